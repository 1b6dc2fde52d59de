"""Plays a conversation against the sample town's hall, line by line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from gateway import phone as phones
from gateway.carriers import Concat, Received
from gateway.errors import GatewayError
from gateway.model import Role
from gateway.officials import Official
from gateway.store import Store
from gateway.store.tables import case, inbound, message
from gateway.worktime import ManualClock
from tests.conversations import around, facts
from tests.conversations.talk import NAME, Line, Talk, matches
from tests.conversations.verbs import verbs
from tests.desk import ACCOUNT, Hall

SPANS = {"秒": "seconds", "分钟": "minutes", "小时": "hours", "天": "days"}
RULES: Mapping[str, Mapping[str, Any]] = {
    "没评价的三天后再问一次": {"rating_reminder": True},
    "办结不问满意不满意": {"rating": False},
}
SIGNATURE = "【枣原镇】"
JOIN = timedelta(seconds=60)
ALL = "全部"
FORM = "form"
_SPECIAL = re.compile(r"⏎|␀|〈([0-9A-F]{4,5})〉")


class Wrong(AssertionError):
    """The talk went otherwise than it is written."""

    def __init__(self, line: Line, why: str) -> None:
        super().__init__(f"{line.file}:{line.number}: {line.text}\n  {why}")


class Player:
    """One conversation on its way; `people` are numbers by name, `names` case numbers by what the file calls them."""

    hall: Hall

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store, self.clock = store, clock
        self.people: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.last = ""
        self._items: list[Received] = []
        self._refusal: tuple[Line, str] | None = None
        self._read = 0
        self._pending: dict[str, list[str]] = {}

    async def play(self, talk: Talk) -> None:
        """Wrong names the first line at which it goes otherwise."""
        settings: dict[str, Any] = {}
        for line in (one for one in talk.lines if one.kind == "rule"):
            settings |= _known(line, RULES, line.pieces[0])
        self.hall = Hall(self.store, self.clock, settings, join_seconds=JOIN.seconds)
        for line in talk.lines:
            self._nothing_refused(line.kind)
            await getattr(self, f"_{line.kind}")(line, *line.pieces)
        self._nothing_refused()
        await self._pause(talk.lines[-1])

    # -- time ------------------------------------------------------------------------------------------------------

    async def _rule(self, line: Line, rule: str) -> None:
        """Rules hold from the beginning: see `play`."""

    async def _time(self, line: Line, when: str) -> None:
        at = datetime.strptime(when, "%Y-%m-%d %H:%M").replace(tzinfo=self.hall.config.site.zone)
        await self._move(at - self.clock.now())

    async def _later(self, line: Line, count: str, unit: str) -> None:
        span = timedelta(**{SPANS[unit]: int(count)})
        if span >= JOIN:
            await self._pause(line)
        await self._move(span)

    async def _until(self, line: Line, month: str, day: str, at: str) -> None:
        await self._pause(line)
        now = self.clock.now().astimezone(self.hall.config.site.zone)
        hour, minute = map(int, at.split(":"))
        moment = now.replace(month=int(month), day=int(day), hour=hour, minute=minute, second=0)
        await self._move((moment if moment > now else moment.replace(year=now.year + 1)) - now)

    async def _move(self, span: timedelta) -> None:
        self.clock.advance(span.total_seconds())
        await self.hall.settle()
        await self.hall.cases.end_pauses()
        await self.hall.cases.remind_due()

    async def _let_join(self) -> None:
        """Whoever writes several texts at once is heard after a minute."""
        if await self.hall.unheard():
            await self._move(JOIN)

    async def _pause(self, line: Line) -> None:
        """Everything so far is heard, and all that was said to it is written down."""
        await self._let_join()
        await self._nothing_unsaid(line)

    # -- people ----------------------------------------------------------------------------------------------------

    async def _person(self, line: Line, name: str, number: str, village: str) -> None:
        self.people[name] = phones.parse(number).e164 or number
        if village:
            await around.enrol(self.hall, name, self.people[name], village, self._area(line, village))

    async def _say(self, line: Line, name: str, text: str) -> None:
        await self._hears(Received(self._ref(), self._phone(name), "", self._said(text), self.clock.now()))

    async def _form(self, line: Line, name: str, text: str) -> None:
        item = Received(self._ref(), self._phone(name), "", self._said(text), self.clock.now())
        await self.hall.inbox.take(FORM, item)
        await self.hall.settle()

    async def _parts(self, line: Line, name: str, total: str, order: str, text: str) -> None:
        """A long text in parts of one length, each of which comes by itself."""
        phone, long, length = self._phone(name), self._said(text), -(-len(text) // int(total))
        for number in map(int, order.split("、")):
            part = long[(number - 1) * length : number * length]
            concat = Concat(line.number % 256, int(total), number)
            await self._hears(Received(self._ref(), phone, "", part, self.clock.now(), concat))

    async def _repeat(self, line: Line) -> None:
        before = self.hall.inbox.repeats
        await self._hears(self._items.pop())
        if self.hall.inbox.repeats == before:
            raise Wrong(line, "当成新的一条了")

    async def _hears(self, item: Received) -> None:
        self._items.append(item)
        await self.hall.inbox.receive(ACCOUNT, [item])
        await self.hall.settle()

    def _ref(self) -> str:
        return f"r{len(self._items)}-{self._read}-{self.clock.now().timestamp()}"

    def _phone(self, name: str) -> str:
        self.last = name
        return self.people.setdefault(name, f"+861380013{7900 + len(self.people)}")

    def _said(self, text: str) -> str:
        """With what cannot be seen in a file, and with the numbers of cases that are known by name."""
        named = re.sub(NAME, lambda found: self.names.get(found[0][1:-1], found[0]), text)
        return _SPECIAL.sub(_special, named)

    # -- what happens around ---------------------------------------------------------------------------------------

    async def _notice(self, line: Line, category: str) -> None:
        topics = {topic.name: topic.category for topic in self.hall.inbox.topics}
        topic = _known(line, topics, category)
        await self._pause(line)
        for phone in self.people.values():
            await self.hall.sent_notice(topic, timedelta(0), phone)
        await self._collect()
        self._pending.clear()

    async def _forecast(self, line: Line, place: str, sky: str, low: str, high: str) -> None:
        area = self._area(line, place) if place.endswith("村") else self.hall.config.site.area
        await around.forecast(self.hall, place, area, sky, float(low), float(high))

    async def _paid(self, line: Line, name: str, item: str, amount: str) -> None:
        await around.paid(self.store, self.people[name], name, item, amount, self.clock.now())

    def _area(self, line: Line, village: str) -> str:
        if not (area := self.hall.config.area_codes(village)):
            raise Wrong(line, f"没有{village}")
        return area[0]

    # -- the hall --------------------------------------------------------------------------------------------------

    async def _answer(self, line: Line, name: str, written: str) -> None:
        await self._let_join()
        await self._at_once(line, name, written)

    async def _at_once(self, line: Line, name: str, written: str) -> None:
        await self._expect(line, self.people.get(name or self.last, ""), written)

    async def _page(self, line: Line, name: str, written: str) -> None:
        numbers = {one.name: phones.parse(one.phone).e164 or "" for one in self.hall.config.duty.officers}
        await self._expect(line, _known(line, numbers, name), written)

    async def _expect(self, line: Line, phone: str, written: str) -> None:
        await self._collect()
        waiting = self._pending.get(phone, [])
        if not waiting:
            raise Wrong(line, "大厅没有答")
        said = waiting.pop(0)
        if not matches(written, said, self.names):
            raise Wrong(line, f"大厅答的是：{said}")

    async def _silence(self, line: Line) -> None:
        await self._pause(line)

    async def _nothing_unsaid(self, line: Line) -> None:
        await self._collect()
        for phone in self.people.values():
            if waiting := self._pending.get(phone):
                raise Wrong(line, f"大厅还说了：{waiting[0]}")

    async def _collect(self) -> None:
        query = select(message.c.id, message.c.phone, message.c.body).where(message.c.id > self._read)
        for row in await self.store.read(lambda db: db.execute(query.order_by(message.c.id)).all()):
            self._read = row.id
            if row.body is not None:
                self._pending.setdefault(row.phone, []).append(row.body.removeprefix(SIGNATURE))

    # -- officials -------------------------------------------------------------------------------------------------

    async def _act(self, line: Line, who: str, verb: str, name: str, about: str, text: str) -> None:
        await self._pause(line)
        act = _known(line, verbs(self.names), verb)
        number = await self._number(line, name) if name else ""
        try:
            await act(self.hall, number, about, text, self._official(who))
        except GatewayError as error:
            self._refusal = (line, error.zh)
        await self.hall.settle()

    def _official(self, name: str) -> Official:
        """Whom the rota has by that name acts with the login of the rota."""
        logins = {one.name: one.login for one in self.hall.config.duty.officers}
        roles = frozenset({Role.CLERK, Role.DIRECTOR})
        return Official(logins.get(name, name), name, roles, self.hall.config.site.area)

    async def _refused(self, line: Line, why: str) -> None:
        if self._refusal is None:
            raise Wrong(line, "办成了")
        (_, told), self._refusal = self._refusal, None
        if not matches(why, told, self.names):
            raise Wrong(line, f"说的是：{told}")

    def _nothing_refused(self, next_kind: str = "") -> None:
        """What an official could not do must be written in the next line."""
        if self._refusal and next_kind != "refused":
            raise Wrong(self._refusal[0], f"办不成：{self._refusal[1]}")

    # -- what should be so -----------------------------------------------------------------------------------------

    async def _state(self, line: Line, said: str) -> None:
        await self._let_join()
        if said.startswith("原话："):
            return await self._kept(line, self._said(said.removeprefix("原话：")))
        for one in said.replace("，", "、").split("、"):
            if not await self._holds(line, one):
                raise Wrong(line, f"不是这样：{one}（{await self._as_it_is()}）")
        return None

    async def _kept(self, line: Line, said: str) -> None:
        query = select(inbound.c.body).order_by(inbound.c.id.desc()).limit(1)
        kept = await self.store.read(lambda db: db.execute(query).scalar_one())
        if kept != said.replace("\0", "␀"):
            raise Wrong(line, f"记下的是：{kept}")

    async def _holds(self, line: Line, said: str) -> bool:
        found = await self._cases()
        if said == "不开件":
            return not found
        if count := re.fullmatch(r"(\d+)件(在办)?", said):
            return sum(not count[2] or row.state != "closed" for row in found) == int(count[1])
        if said == "未退订" or said.startswith("退订"):
            return await self._out() == said.removeprefix("退订：").removeprefix("未退订")
        name, _, fact = said.removeprefix("{").partition("}")
        number = await self._number(line, name)
        row = next(one for one in found if one.number == number)
        held = facts.holds(self.hall, self.names, await facts.known(self.hall, row), fact)
        if held is None:
            raise Wrong(line, f"不认识“{fact}”")
        return held

    async def _number(self, line: Line, name: str) -> str:
        """The case called so; a name that is new is that of the newest case that has none."""
        if name not in self.names:
            unnamed = [row.number for row in await self._cases() if row.number not in self.names.values()]
            if not unnamed:
                raise Wrong(line, f"还不知道{{{name}}}是哪一件")
            self.names[name] = unnamed[-1]
        return self.names[name]

    async def _cases(self) -> list[Any]:
        return list(await self.store.read(lambda db: db.execute(select(case).order_by(case.c.id)).all()))

    async def _out(self) -> str:
        phone, topics = self.people[self.last], {topic.category: topic.name for topic in self.hall.inbox.topics}
        last: dict[str, str] = {}
        for number, category, state in await self.hall.ledger():
            if number == phone:
                last[ALL if category is None else topics[category]] = state
        return "和".join(dict.fromkeys(name for name, state in last.items() if state == "out"))

    async def _as_it_is(self) -> str:
        cases = "；".join(f"{row.number} 在{row.window} {row.kind} {row.state}" for row in await self._cases())
        return f"{cases or '没有件'}；退订：{await self._out() or '无'}"


def _known(line: Line, known: Mapping[str, Any], word: str) -> Any:
    if word not in known:
        raise Wrong(line, f"不会“{word}”；会：{'、'.join(known)}")
    return known[word]


def _special(found: re.Match[str]) -> str:
    return {"⏎": "\n", "␀": "\0"}.get(found[0]) or chr(int(found[1], 16))
