"""Plays a conversation against the sample town's hall, line by line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select

from gateway import phone as phones
from gateway.model import CaseState, Role
from gateway.officials import Official
from gateway.store import Store
from gateway.store.tables import case, message, person
from gateway.worktime import ManualClock
from tests.conversations.talk import Line, Talk, matches
from tests.desk import Hall

SPANS = {"秒": "seconds", "分钟": "minutes", "小时": "hours", "天": "days"}
STATES = {"待办": "open", "已答复": "answered", "等材料": "waiting", "已办结": "closed"}
KINDS = {
    "咨询": "consult",
    "反映": "feedback",
    "代办": "agency",
    "投诉": "complaint",
    "信访": "petition",
    "不清": "unclear",
}
SIGNATURE = "【枣原镇】"
JOIN = timedelta(seconds=60)
ALL = "全部"


class Wrong(AssertionError):
    """The talk went otherwise than it is written."""

    def __init__(self, line: Line, why: str) -> None:
        super().__init__(f"{line.file}:{line.number}: {line.text}\n  {why}")


class Player:
    """One conversation on its way; `people` are numbers by name, `names` case numbers by what the file calls them."""

    def __init__(self, store: Store, clock: ManualClock, start: datetime) -> None:
        self.hall = Hall(store, clock, join_seconds=JOIN.seconds)
        self.store, self.clock, self.start = store, clock, start
        self.people: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.last = ""
        self._read = 0
        self._pending: dict[str, list[str]] = {}

    async def play(self, talk: Talk) -> None:
        """Wrong names the first line at which it goes otherwise."""
        for line in talk.lines:
            await getattr(self, f"_{line.kind}")(line, *line.pieces)
        await self._let_join()
        await self._nothing_unsaid(talk.lines[-1])

    # -- time ------------------------------------------------------------------------------------------------------

    async def _time(self, line: Line, when: str) -> None:
        at = datetime.strptime(when, "%Y-%m-%d %H:%M").replace(tzinfo=self.hall.config.site.zone)
        await self._move(at - self.clock.now())

    async def _later(self, line: Line, count: str, unit: str) -> None:
        span = timedelta(**{SPANS[unit]: int(count)})
        if span >= JOIN:
            await self._let_join()
            await self._nothing_unsaid(line)
        await self._move(span)

    async def _until(self, line: Line, month: str, day: str, at: str) -> None:
        await self._let_join()
        await self._nothing_unsaid(line)
        now = self.clock.now().astimezone(self.hall.config.site.zone)
        hour, minute = map(int, at.split(":"))
        moment = now.replace(month=int(month), day=int(day), hour=hour, minute=minute, second=0)
        await self._move((moment if moment > now else moment.replace(year=now.year + 1)) - now)

    async def _move(self, span: timedelta) -> None:
        self.clock.advance(span.total_seconds())
        await self.hall.settle()

    async def _let_join(self) -> None:
        """Whoever writes several texts at once is heard after a minute."""
        if await self.hall.unheard():
            await self._move(JOIN)

    # -- people ----------------------------------------------------------------------------------------------------

    async def _person(self, line: Line, name: str, number: str, village: str) -> None:
        self.people[name] = phones.parse(number).e164 or number
        if village:
            area = self.hall.config.area_codes(village)
            if not area:
                raise Wrong(line, f"没有{village}")
            await self.store.write(_enrol, name, self.people[name], village, area[0], self.clock.now())

    async def _say(self, line: Line, name: str, text: str) -> None:
        if name not in self.people:
            self.people[name] = f"+8613800137{len(self.people):03}"
        self.last = name
        await self.hall.hears(text.replace("⏎", "\n"), phone=self.people[name])

    async def _notice(self, line: Line, category: str, rest: str) -> None:
        topics = {topic.name: topic.category for topic in self.hall.inbox.topics}
        if category not in topics:
            raise Wrong(line, f"没有这类通知；有：{'、'.join(topics)}")
        for phone in self.people.values():
            await self.hall.sent_notice(topics[category], timedelta(0), phone)
        self._pending.clear()
        await self._collect()
        self._pending.clear()

    # -- the hall --------------------------------------------------------------------------------------------------

    async def _answer(self, line: Line, name: str, written: str) -> None:
        await self._let_join()
        await self._collect()
        waiting = self._pending.get(self.people.get(name or self.last, ""), [])
        if not waiting:
            raise Wrong(line, "大厅没有答")
        said = waiting.pop(0)
        if not matches(written, said, self.names):
            raise Wrong(line, f"大厅答的是：{said}")

    async def _silence(self, line: Line, _: str) -> None:
        await self._let_join()
        await self._nothing_unsaid(line)

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
        await self._let_join()
        await self._nothing_unsaid(line)
        if name and name not in self.names:
            raise Wrong(line, f"还不知道{{{name}}}是哪一件")
        by = Official(who, who, frozenset({Role.CLERK, Role.DIRECTOR}), self.hall.config.site.area)
        if verb not in _VERBS:
            raise Wrong(line, f"不会“{verb}”；会：{'、'.join(_VERBS)}")
        await _VERBS[verb](self.hall, self.names.get(name, ""), about, text, by)
        await self.hall.settle()

    # -- what should be so -----------------------------------------------------------------------------------------

    async def _state(self, line: Line, said: str) -> None:
        await self._let_join()
        for one in said.replace("，", "、").split("、"):
            if not await self._holds(line, one):
                raise Wrong(line, f"不是这样：{one}（{await self._as_it_is()}）")

    async def _holds(self, line: Line, said: str) -> bool:
        found = await self.store.read(lambda db: db.execute(select(case).order_by(case.c.id)).all())
        if said == "不开件":
            return not found
        if said.endswith("件") and said[:-1].isdigit():
            return len(found) == int(said[:-1])
        if said == "未退订" or said.startswith("退订"):
            return await self._out() == said.removeprefix("退订：").removeprefix("未退订")
        name, _, fact = said.removeprefix("{").partition("}")
        row = next((one for one in found if one.number == self.names.get(name)), None)
        return row is not None and self._is(line, row, fact)

    def _is(self, line: Line, row: Any, fact: str) -> bool:
        windows = {window.name: window.code for window in self.hall.config.hall.windows}
        tests: Mapping[str, bool] = {
            **{word: row.state == CaseState(state) for word, state in STATES.items()},
            **{f"是{word}": row.kind == kind for word, kind in KINDS.items()},
            **{f"在{word}": row.window == code for word, code in windows.items()},
            **{f"评价{value}": row.rating == value for value in range(1, 6)},
            "急": row.urgent,
            "保密": row.restricted,
            "已解决": row.solved is True,
            "未解决": row.solved is False,
        }
        if fact not in tests:
            raise Wrong(line, f"不认识“{fact}”；认识：{'、'.join(tests)}")
        return tests[fact]

    async def _out(self) -> str:
        phone, topics = self.people[self.last], {topic.category: topic.name for topic in self.hall.inbox.topics}
        last: dict[str, str] = {}
        for number, category, state in await self.hall.ledger():
            if number == phone:
                last[ALL if category is None else topics[category]] = state
        return "、".join(dict.fromkeys(name for name, state in last.items() if state == "out"))

    async def _as_it_is(self) -> str:
        rows = await self.store.read(lambda db: db.execute(select(case).order_by(case.c.id)).all())
        cases = "；".join(f"{row.number} 在{row.window} {row.kind} {row.state}" for row in rows)
        return f"{cases or '没有件'}；退订：{await self._out() or '无'}"


def _enrol(db: Any, name: str, phone: str, village: str, area: str, now: datetime) -> None:
    row = {"key": f"{phone}|{name}", "name": name, "phone": phone, "village": village, "grp": "1组", "area": area}
    row |= {"sex": "", "tags": "", "away_to": "", "note": "", "roster": "对话", "seen_import": 1, "updated_at": now}
    db.execute(insert(person).values(**row))


Act = Callable[[Hall, str, str, str, Official], Awaitable[object]]

_VERBS: Mapping[str, Act] = {
    "答复": lambda hall, number, about, text, by: hall.cases.reply(number, text, by=by),
    "办结": lambda hall, number, about, text, by: hall.cases.close(number, text or None, by=by),
    "当场办结": lambda hall, number, about, text, by: hall.cases.close(number, text or None, by=by, how="spot"),
    "来电答复": lambda hall, number, about, text, by: hall.cases.called(number, text, by=by),
    "签收": lambda hall, number, about, text, by: hall.cases.sign(number, by=by),
    "要材料": lambda hall, number, about, text, by: hall.cases.ask_papers(number, text.split("、"), by=by),
    "收到材料": lambda hall, number, about, text, by: hall.cases.papers_came(number, by=by),
    "转办": lambda hall, number, about, text, by: hall.cases.handover(number, _window(hall, about), text, by=by),
    "退回": lambda hall, number, about, text, by: hall.cases.hand_back(number, text, by=by),
    "申请延期": lambda hall, number, about, text, by: hall.cases.ask_extension(number, int(about), text, by=by),
    "准延期": lambda hall, number, about, text, by: hall.cases.decide_extension(number, True, by=by),
    "办到": lambda hall, number, about, text, by: hall.cases.step(number, text, by=by),
    "换号": lambda hall, number, about, text, by: hall.cases.mark(number, by=by, phone=about),
    "拆出": lambda hall, number, about, text, by: _split(hall, number, about, text, by),
}


def _window(hall: Hall, name: str) -> str:
    return next(window.code for window in hall.config.hall.windows if window.name == name)


async def _split(hall: Hall, number: str, window: str, text: str, by: Official) -> None:
    """The texts of a case that hold these words become a case of their own."""
    events = (await hall.cases.show(number)).events
    chosen = [event.id for event in events if event.kind == "text" and text in event.body]
    await hall.cases.split(number, chosen, _window(hall, window), by=by)
