"""The month as the gateway itself lives it: the real modules over a real database, with a clock that is moved.

The site is a copy of the sample, with reminders turned on, pauses that end within the month, items promised in days of
the calendar, officers who are away, and commendations that are not lost by three late cases. What came of it is read
from the database, by no verb of the gateway.
"""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import select

from gateway.app import Gateway, open_gateway
from gateway.carriers import Received
from gateway.model import Role, home_parcel
from gateway.officials import Official
from gateway.store.tables import case, case_alarm, inbound, message, parcel, point, prompt
from gateway.worktime import ManualClock
from tests.month.days import moment, seconds
from tests.month.plan import BEGIN, Act, Plan

SAMPLE = Path(__file__).parents[2]
FILES = ("config.toml", "duty.toml", "windows.toml", "scoring.toml", "offers.toml", "questions.csv")
TOWN = "610899100"
CASES = """
[cases]
signed_minutes = 240
first_days = 1
urgent_signed_minutes = 30
urgent_first_minutes = 120
urgent_days = 1
pause_cap_days = 6
warn_minutes = 120
rating_days = 7
rating_reminder = true
rating_reminder_days = 3
"""
CALENDAR = ("mz-09", "mz-06", "mz-03", "xf-02", "zw-07", "jy-02", "jy-06")
"""Items promised in days of the calendar."""
CHANGES = (
    ("scoring.toml", 'rule = "overdue"\ntimes = 3', 'rule = "overdue"\ntimes = 30'),
    ("scoring.toml", 'rule = "late-day"\ntimes = 3', 'rule = "late-day"\ntimes = 9'),
    ("config.toml", "[webhook]", CASES + "\n[webhook]"),
    *(("windows.toml", f'code = "{item}"', f'code = "{item}"\npromised_days_kind = "calendar"') for item in CALENDAR),
    ("duty.toml", 'login = "zhao-ting"', 'login = "zhao-ting"\naway = [2026-09-21, 2026-09-22, 2026-10-09]'),
    ("duty.toml", 'login = "nan-zhenzhang"', 'login = "nan-zhenzhang"\naway = [2026-09-24, 2026-10-10]'),
    ("duty.toml", 'login = "cao-juan"', 'login = "cao-juan"\naway = [2026-09-28, 2026-09-29, 2026-09-30]'),
)


def a_site(directory: Path) -> Path:
    """A copy of the sample site, changed a little."""
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "subscribers").mkdir(parents=True)
    for name in FILES:
        shutil.copy(SAMPLE / name, directory / name)
    shutil.copytree(SAMPLE / "templates", directory / "templates")
    for path in (SAMPLE / "subscribers").glob("sample-*"):
        shutil.copy(path, directory / "subscribers")
    for name, old, new in CHANGES:
        text = (directory / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, old
        (directory / name).write_text(text.replace(old, new), encoding="utf-8")
    return directory


@dataclass
class Played:
    """What the database says in the end."""

    people: int = 0
    cases: list[Any] = field(default_factory=list)
    """Rows of cases, in their order."""
    trail: list[tuple[Any, ...]] = field(default_factory=list)
    """After each act of a clerk: number, when, the three due times, and since when papers are awaited."""
    holding: dict[str, Mapping[str, float]] = field(default_factory=dict)
    """By number: the minutes that each window had it."""
    said: list[tuple[float, str, str]] = field(default_factory=list)
    told: list[tuple[float, str, str, str, float, str]] = field(default_factory=list)
    prompts: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    points: list[tuple[Any, ...]] = field(default_factory=list)
    boards: dict[tuple[str, str], dict[str, tuple[Any, ...]]] = field(default_factory=dict)
    asleep: list[tuple[float, str, str]] = field(default_factory=list)
    """Alarms that were queued while the hours of their parcel were closed."""


async def play(site: Path, plan: Plan) -> Played:
    clock = ManualClock(moment(BEGIN))
    async with open_gateway(site, clock) as gateway:
        month = Month(gateway, clock)
        admin = Official("admin", "管理员", frozenset({Role.ADMIN}), "")
        report = await gateway.roster.import_file(site / "subscribers/sample-town.csv", by=admin)
        month.played.people = report.importable
        for step in plan.steps():
            clock.advance((moment(step.at) - clock.now()).total_seconds())
            if step.what == "look":
                await gateway.alarms.run_due()
            elif step.what == "hear":
                await gateway.inbox.handle_waiting()
            elif step.what == "count":
                await gateway.scores.run_due()
            elif step.act is not None:
                await month.act(step.act)
        await month.read()
        return month.played


class Month:
    """Carries out the acts of a plan."""

    def __init__(self, gateway: Gateway, clock: ManualClock) -> None:
        self.gateway, self.clock, self.played = gateway, clock, Played()
        self._numbers: dict[int, list[str]] = defaultdict(list)
        self._story: dict[str, int] = {}
        self._given: dict[int, int] = {}
        self._appeals: dict[int, int] = {}
        self._seen = 0
        windows = {one.login: one for one in gateway.config.duty.officers}
        self._officials = {login: self._official(login, bool(one.window)) for login, one in windows.items()}

    def _official(self, login: str, clerk: bool) -> Official:
        return Official(login, login, frozenset({Role.CLERK if clerk else Role.DIRECTOR}), TOWN)

    # -- acts ----------------------------------------------------------------------------------------------------

    async def act(self, act: Act) -> None:
        if act.verb == "text":
            self._story[act.who] = act.story
            text = Received(f"{act.who}-{act.at}", act.who, "", act.text, self.clock.now())
            await self.gateway.inbox.receive("simulator", [text])
        elif act.verb in POINTS:
            await POINTS[act.verb](self, act)
        else:
            number = await self.number(act.story, act.case)
            await VERBS[act.verb](self, number, act, self._officials[act.who])
            await self._look_at_dues(number, act)

    async def _look_at_dues(self, number: str, act: Act) -> None:
        c = case.c
        dues = select(c.signed_due_at, c.first_due_at, c.due_at, c.waiting_since).where(c.number == number)
        for row in await self._rows(dues):
            self.played.trail.append((act.at, number, *map(_seconds, row)))

    async def _rows(self, query: Any) -> list[Any]:
        return await self.gateway.store.read(lambda db: list(db.execute(query).all()))

    async def number(self, story: int, n: int) -> str:
        """Of the n-th case of a story; of the cases that are new it is looked whose story they belong to."""
        if len(self._numbers[story]) <= n:
            for row in await self._rows(select(case.c.id, case.c.number, case.c.phone).where(case.c.id > self._seen)):
                self._numbers[self._story[row.phone]].append(row.number)
                self._seen = row.id
        assert len(self._numbers[story]) > n, f"story {story} has no case {n} at {self.clock.now()}"
        return self._numbers[story][n]

    async def give(self, act: Act) -> None:
        by, give = self._officials[act.who], self.gateway.scores.give
        self._given[act.case] = await give(act.values["subject"], act.values["rule"], act.text, by=by)

    async def appeal(self, act: Act) -> None:
        by = self._officials[act.who]
        self._appeals[act.case] = await self.gateway.scores.appeal(self._given[act.case], act.text, by=by)

    async def decide(self, act: Act) -> None:
        by, upheld = self._officials[act.who], not act.values["reverse"]
        await self.gateway.scores.decide(self._appeals[act.case], upheld, act.text, by=by)

    # -- what came of it -----------------------------------------------------------------------------------------

    async def read(self) -> None:
        played = self.played
        played.cases = await self._rows(select(case).order_by(case.c.id))
        numbers = {row.id: row.number for row in played.cases}
        for row in played.cases:
            shown = await self.gateway.cases.show(row.number)
            played.holding[row.number] = shown.holding
        await self._texts()
        for row in await self._rows(select(case_alarm).order_by(case_alarm.c.id)):
            told = (seconds(row.at), numbers[row.case_id], row.clock, row.level, seconds(row.due_at), row.told)
            played.told.append(told)
        for row in await self._rows(select(prompt).where(prompt.c.phone.in_({one.phone for one in played.cases}))):
            times = (row.asked_at, row.until, row.reminded_at, row.ended_at)
            key = (row.phone, row.kind, numbers.get(row.case_id, ""), *map(_seconds, times), row.end)
            played.prompts[key] += 1
        for row in await self._rows(select(point)):
            number = numbers.get(row.case_id, "")
            points = Decimal(row.points).normalize()
            played.points.append((row.month, row.subject, row.rule, points, number, seconds(row.at)))
        for who in ("window", "officer"):
            for month in ("2026-09", "2026-10"):
                board = await self.gateway.scores.board(month, who)
                played.boards[who, month] = {
                    one.subject: (one.score, one.band, one.rank, one.before, one.disqualified) for one in board
                }

    async def _texts(self) -> None:
        """What was said to whom, but for answers from data."""
        asked = {
            row.message_id
            for row in await self._rows(select(inbound.c.message_id).where(inbound.c.intent.in_(FROM_DATA)))
        }
        hours = {row.id: row.hours for row in await self._rows(select(parcel.c.id, parcel.c.hours))}
        officers = {f"+86{one.phone}" for one in self.gateway.config.duty.officers}
        pages = await self._rows(select(message).order_by(message.c.id))
        served = {(row.phone, row.created_at) for row in pages if row.id in asked}  # a guide is several texts
        for row in pages:
            said = (seconds(row.created_at), row.phone, row.body)
            if (row.phone, row.created_at) not in served:
                self.played.said.append(said)
            if row.phone in officers and not _open(hours[home_parcel(row.id)], row.created_at):
                self.played.asleep.append(said)


FROM_DATA = ("optout", "resume", "help", "status", "guide", "subsidy", "weather", "jobs", "signup")


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else seconds(at)


def _open(hours: str | None, at: datetime) -> bool:
    """Whether a parcel with these hours may leave then; 08:00-21:00."""
    begin, _, end = (hours or "00:00-24:00").partition("-")
    local = f"{at.astimezone(moment(0).tzinfo):%H:%M}"
    return begin <= local < end


async def _split(month: Month, number: str, act: Act, by: Official) -> None:
    events = (await month.gateway.cases.show(number)).events
    texts = [event.id for event in events if event.kind == "text"]
    await month.gateway.cases.split(number, [texts[n] for n in act.values["texts"]], act.values["window"], by=by)


async def _merge(month: Month, number: str, act: Act, by: Official) -> None:
    await month.gateway.cases.merge(number, await month.number(act.story, act.values["into"]), by=by)


Do = Callable[[Month, str, Act, Official], Awaitable[Any]]
VERBS: Mapping[str, Do] = {
    "sign": lambda m, n, act, by: m.gateway.cases.sign(n, by=by),
    "reply": lambda m, n, act, by: m.gateway.cases.reply(n, act.text, by=by),
    "called": lambda m, n, act, by: m.gateway.cases.called(n, act.text, by=by, **act.values),
    "close": lambda m, n, act, by: m.gateway.cases.close(n, act.text or None, by=by, **act.values),
    "papers": lambda m, n, act, by: m.gateway.cases.ask_papers(n, act.values["papers"], by=by),
    "came": lambda m, n, act, by: m.gateway.cases.papers_came(n, by=by),
    "extend": lambda m, n, act, by: m.gateway.cases.ask_extension(n, act.values["days"], act.text, by=by),
    "extension": lambda m, n, act, by: m.gateway.cases.decide_extension(n, act.values["approved"], by=by),
    "handover": lambda m, n, act, by: m.gateway.cases.handover(n, act.values["window"], act.text, by=by),
    "back": lambda m, n, act, by: m.gateway.cases.hand_back(n, act.text, by=by),
    "split": _split,
    "merge": _merge,
    "parts": lambda m, n, act, by: m.gateway.cases.open_subs(n, act.values["windows"], by=by),
}
POINTS: Mapping[str, Callable[[Month, Act], Awaitable[None]]] = {
    "give": Month.give,
    "appeal": Month.appeal,
    "decide": Month.decide,
}
