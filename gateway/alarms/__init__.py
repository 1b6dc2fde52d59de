"""Alarms: who of the hall is told that a case's time runs out or has run out.

Policy
- Told in office time alone; on days off, at night and over lunch nothing goes out (danger does: `Duty.page`).
- Each half-day, at opening and when the afternoon begins: one digest per window to each officer on duty, of all clocks
  (signed, first answer, finish) that are overdue or due before the end of the next working day. Where there is nothing,
  nothing is sent. What comes in later waits for the next half-day; a gateway that was down makes up for the running
  half-day only.
- Singles: an urgent case as soon as a clock of it lies that near; any other within the last `cases.warn_minutes` of
  office time. Clocks that come up in one minute share a text, `SINGLES` cases at most.
- Overdue (first answer, finish): on the working day after, at opening, to the director, in one text; on every further
  working day one step up the ladder, each step once. Signing late is in the window's digests alone.
- Alarms follow the due time as it stands: one that moves is told anew, the finish of a case that waits for papers is
  not told at all. Officers of the window that a case is about are never told of it; then the director is.
- Each telling is one row of `case_alarm`, unique by case, clock, level and due time, written with its text and the
  case's event in one transaction, of at most `BATCH` cases: a restart or a second process tells nothing twice. The rest
  of a longer backlog comes a minute later.
- Nobody of duty.toml: nothing is told. Somebody whom no carrier reaches counts as told, and is logged as an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any, NamedTuple

import structlog

from gateway.alarms import wording
from gateway.alarms.wording import Due
from gateway.cases import Cases
from gateway.config import Config, Officer
from gateway.duty import Duty, Reason
from gateway.model import CaseState, Happened
from gateway.officials import SYSTEM
from gateway.store import Connection, Store
from gateway.store import alarms as rows
from gateway.store import cases as case_rows
from gateway.store.alarms import Wanted
from gateway.worktime import ONE_DAY, Calendar, Clock, Hours, utc

log = structlog.get_logger()

BATCH = 500
SINGLES = 4
"""Cases in one text."""

AFTERNOON = time(14)
"""When the second half-day begins where office time has no break."""

DIGEST, SINGLE, OVERDUE = "digest", "single", "overdue"
OVERDUE_CLOCKS = ("first", "finish")
_MOMENT = timedelta(milliseconds=1)


def level_of(step: int) -> str:
    """What a step of the ladder is called in `case_alarm`: overdue for the director, ladder-1 for the next."""
    return f"ladder-{step}" if step else OVERDUE


@dataclass(frozen=True, slots=True)
class Telling:
    """One alarm: what is told to whom, at which level, and why them."""

    level: str
    window: str
    officers: tuple[Officer, ...]
    dues: tuple[Due, ...]
    why: Reason


@dataclass(frozen=True, slots=True)
class Planned:
    """A telling as it would go out, for looking at; `why` has a line for each clock and one for the officers."""

    level: str
    window: str
    officers: Sequence[str]
    cases: Sequence[str]
    text: str
    why: Sequence[Reason]


class HalfDay(NamedTuple):
    """The span of office time that is running, UTC."""

    begins_at: datetime
    ends_at: datetime


Find = Callable[[Connection, datetime, bool], Sequence[Telling]]
"""What is to be told; with the last argument the cases are held, since something will be written to them."""


class Stage(NamedTuple):
    """One transaction of a run, and what it is to find; without that it notes that it was done whatever there is."""

    find: Find
    wanted: Sequence[Wanted] = ()


class Alarms:
    """Looks every minute whether somebody is to be told."""

    def __init__(
        self,
        store: Store,
        config: Config,
        cases: Cases,
        duty: Duty,
        clock: Clock,
        queued: Callable[[], None] = lambda: None,
    ) -> None:
        """`queued` is called after texts were queued in this process."""
        self._store, self._config, self._cases, self._duty, self._clock = store, config, cases, duty, clock
        self._queued = queued
        self._zone = config.site.zone
        self._calendar = Calendar(config.calendar.off, config.calendar.on)

    async def run_due(self) -> int:
        """Tell what is to be told now; the number of texts."""
        now = self._clock.now()
        await self._cases.end_pauses()
        sent = 0
        for find in await self._store.read(self._to_do, now) if self.half_day(now) else ():
            sent += await self._store.write(self._carry_out, find, now)
        if sent:
            self._queued()
        await self._cases.remind_due()
        return sent

    async def planned(self, at: datetime | None = None) -> Sequence[Planned]:
        """What `run_due` would tell at that moment, now if none is given; nothing is written."""
        now = at or self._clock.now()

        def plan(db: Connection) -> Sequence[Planned]:
            tellings = [one for stage in self._stages(db, now) for one in stage.find(db, now, False)]
            return [self._planned(telling, part, now) for telling in tellings for part in _texts(telling)]

        return await self._store.read(plan)

    def quiet(self, at: datetime | None = None) -> Reason | None:
        """Why nothing is told at that moment whatever there is; None in office time."""
        now = at or self._clock.now()
        if not self._config.duty.officers:
            return "duty.toml 里没有人", "duty.toml names nobody"
        if self.half_day(now):
            return None
        day_zh, day_en = self._calendar.explain(self._today(now))
        return f"下班时间，只有险情叫人（{day_zh}）", f"the hall is closed, danger alone is paged ({day_en})"

    def half_day(self, at: datetime) -> HalfDay | None:
        """The span of office time in which `at` lies; one without a break at noon is parted at `AFTERNOON`."""
        today = self._today(at)
        afternoon = utc(datetime.combine(today, AFTERNOON, self._zone))
        for begin, end in self._duty.office.spans(today):
            halves = [(begin, afternoon), (afternoon, end)] if begin < afternoon < end else [(begin, end)]
            if found := next((HalfDay(*half) for half in halves if half[0] <= at < half[1]), None):
                return found
        return None

    # -- finding -----------------------------------------------------------------------------------------------

    def _to_do(self, db: Connection, now: datetime) -> Sequence[Find]:
        """What a run has to write: mostly nothing, and one look shows it."""
        stages = self._stages(db, now)
        wanted = [one for stage in stages for one in stage.wanted]
        found = {one for one, there in zip(wanted, rows.any_untold(db, wanted), strict=True) if there} if wanted else ()
        return [stage.find for stage in stages if not stage.wanted or any(one in found for one in stage.wanted)]

    def _stages(self, db: Connection, now: datetime) -> Sequence[Stage]:
        half = self.half_day(now)
        if half is None or not self._config.duty.officers:
            return []
        done = rows.rounds(db, half.begins_at)
        undone = [one for one in self._windows(db) if one not in done]
        digests = [Stage(partial(self._digests, half, undone))] if undone else []
        steps = [
            Stage(partial(self._overdue, step), self._overdue_wanted(step, now))
            for step in range(len(self._duty.ladder))
        ]
        return [*digests, Stage(self._singles, self._singles_wanted(now)), *steps]

    def _windows(self, db: Connection) -> Sequence[str]:
        """The hall's, and any other that still has cases."""
        return list(dict.fromkeys([*(one.code for one in self._config.hall.windows), *rows.windows(db)]))

    def _digests(
        self, half: HalfDay, windows: Sequence[str], db: Connection, now: datetime, hold: bool
    ) -> Sequence[Telling]:
        """Of those windows that nobody has told this half-day."""
        before = self._horizon(now)
        found: list[Any] = []
        for window in windows:
            if not hold or rows.begin_round(db, window, half.begins_at, now):
                found += rows.of_window(db, window, before, half.begins_at, limit=BATCH, hold=hold)
        dues = [due for row in found for due in _dues(row) if due.due_at < before]
        return list(self._to_duty(DIGEST, dues, now))

    def _singles_wanted(self, now: datetime) -> Sequence[Wanted]:
        nearness = (True, self._horizon(now)), (False, self._warned_until(now))
        return [
            Wanted(clock, SINGLE, before, after=now, urgent=urgent)
            for urgent, before in nearness
            for clock in rows.CLOCKS
        ]

    def _singles(self, db: Connection, now: datetime, hold: bool) -> Sequence[Telling]:
        return list(self._to_duty(SINGLE, self._untold(db, self._singles_wanted(now), hold), now))

    def _untold(self, db: Connection, wanted: Sequence[Wanted], hold: bool) -> Sequence[Due]:
        found = [(one.clock, row) for one in wanted for row in rows.untold(db, one, limit=BATCH, hold=hold)]
        return [due for clock, row in found for due in _dues(row) if due.clock == clock]

    def _to_duty(self, level: str, dues: Sequence[Due], now: datetime) -> Iterator[Telling]:
        """To the officers on duty of each window, those of restricted cases to whoever may know of them."""
        groups: dict[tuple[str, str], list[Due]] = {}
        for due in dues:
            groups.setdefault((due.window, due.about), []).append(due)
        together: dict[tuple[str, tuple[str, ...]], Telling] = {}
        for (window, about), group in groups.items():
            found = self._duty.explained(window, now, about=about)
            key = window, tuple(one.login for one in found.officers)
            made = Telling(level, window, found.officers, tuple(group), found.why)
            before = together.get(key)
            together[key] = replace(before, dues=before.dues + made.dues) if before else made
        yield from together.values()

    def _overdue_wanted(self, step: int, now: datetime) -> Sequence[Wanted]:
        """Those that stand since `step` + 1 working days."""
        before = self._midnight(self._calendar.add_workdays(self._today(now), -step)) + _MOMENT
        return [Wanted(clock, level_of(step), before) for clock in OVERDUE_CLOCKS]

    def _overdue(self, step: int, db: Connection, now: datetime, hold: bool) -> Sequence[Telling]:
        """Those that were not told at this step."""
        groups: dict[str, list[Due]] = {}
        for due in self._untold(db, self._overdue_wanted(step, now), hold):
            groups.setdefault(due.about, []).append(due)
        together: dict[Officer | None, list[Due]] = {}
        for about, dues in groups.items():
            together.setdefault(self._duty.step(step, now, about=about), []).extend(dues)
        why = f"督办第{step + 1}级", f"step {step + 1} of the ladder"
        return [Telling(level_of(step), "", (one,) if one else (), tuple(dues), why) for one, dues in together.items()]

    # -- telling -----------------------------------------------------------------------------------------------

    def _carry_out(self, db: Connection, find: Find, now: datetime) -> int:
        return sum(self._tell(db, telling, now) for telling in find(db, now, True))

    def _tell(self, db: Connection, telling: Telling, now: datetime) -> int:
        """Claim, queue and note one telling; of a digest all is said, of others what nobody has said before."""
        logins = [one.login for one in telling.officers]
        claimed = {
            due: alarm
            for due in telling.dues
            if (alarm := rows.claim(db, due.case_id, due.clock, telling.level, due.due_at, logins, now)) is not None
        }
        if telling.level != DIGEST:
            telling = replace(telling, dues=tuple(claimed))
        if not telling.officers:
            log.error("alarms.nobody", level=telling.level, cases=sorted({due.number for due in telling.dues}))
        sent: list[int] = []
        for part in _texts(telling) if telling.officers else ():
            said = _template(telling.level), self._values(part, now)
            messages = self._duty.say(db, telling.officers, *said, now, self._office_day(now))
            sent += messages
            if messages:
                rows.sent(db, [claimed[due] for due in part.dues if due in claimed], messages[0])
        self._note(db, telling.level, list(claimed), logins, now)
        return len(sent)

    def _note(self, db: Connection, level: str, dues: Sequence[Due], logins: Sequence[str], now: datetime) -> None:
        kind = Happened.WARNED if level in (DIGEST, SINGLE) else Happened.ESCALATED
        for due in dues:
            data = {"clock": due.clock, "level": level, "due_at": due.due_at.isoformat(), "told": list(logins)}
            case_rows.append(db, due.case_id, kind, SYSTEM.login, now, data=data)

    # -- saying ------------------------------------------------------------------------------------------------

    def _values(self, telling: Telling, now: datetime) -> Mapping[str, str]:
        if telling.level == DIGEST:
            return {"窗口": self._seat(telling.window), "清单": wording.digest(telling.dues, now, self._zone)}
        if telling.level == SINGLE:
            return {"窗口": self._seat(telling.window), "清单": wording.single(telling.dues, now, self._zone)}
        late = partial(self.days_late, now=now)
        cases = len({due.case_id for due in telling.dues})
        return {"件数": str(cases), "清单": wording.overdue(telling.dues, late, self._name)}

    def _planned(self, telling: Telling, part: Telling, now: datetime) -> Planned:
        zh, en = telling.why
        names = [one.name for one in telling.officers]
        who = f"告知{'、'.join(names) or '没有人'}：{zh}", f"told: {', '.join(names) or 'nobody'} ({en})"
        return Planned(
            level=telling.level,
            window=telling.window,
            officers=[one.login for one in telling.officers],
            cases=list(dict.fromkeys(due.number for due in part.dues)),
            text=self._duty.worded(_template(telling.level), self._values(part, now)),
            why=[*(self._explain(due, telling.level, now) for due in part.dues), who],
        )

    def _explain(self, due: Due, level: str, now: datetime) -> Reason:
        zh, en = wording.CLOCKS[due.clock]
        when = f"{wording.day_of(due.due_at, self._zone):%m-%d} {wording.clock_of(due.due_at, self._zone)}"
        why_zh, why_en = self._nearness(due, level, now)
        return f"{due.number} {zh}期限 {when}，{why_zh}", f"{due.number} {en} due {when}: {why_en}"

    def _nearness(self, due: Due, level: str, now: datetime) -> Reason:
        if due.due_at <= now:
            late = self.days_late(due, now=now)
            return f"已超期 {late} 个工作日", f"overdue by {late} working days"
        if level == SINGLE and due.urgent:
            return "急件", "urgent"
        if level == SINGLE:
            minutes = self._config.cases.warn_minutes
            return f"剩下不到 {minutes} 分钟办公时间", f"less than {minutes} minutes of office time left"
        return "下一个工作日结束前到期", "before the end of the next working day"

    def _seat(self, window: str) -> str:
        desk = self._config.hall.window(window)
        return desk.seat if desk else window

    def _name(self, window: str) -> str:
        desk = self._config.hall.window(window)
        return desk.name if desk else window

    # -- time --------------------------------------------------------------------------------------------------

    def days_late(self, due: Due, *, now: datetime) -> int:
        """Working days after the one on which it was due, up to today."""
        day, today, late = wording.day_of(due.due_at, self._zone), self._today(now), 0
        while day < today:
            day += ONE_DAY
            late += self._calendar.is_workday(day)
        return late

    def _horizon(self, now: datetime) -> datetime:
        """What is due before the end of the next working day is due before this moment."""
        return self._midnight(self._calendar.next_workday(self._today(now)) + ONE_DAY) + _MOMENT

    def _warned_until(self, now: datetime) -> datetime:
        """What is due before this moment has no more than `warn_minutes` of office time left."""
        left, day = timedelta(minutes=self._config.cases.warn_minutes), self._today(now)
        while True:
            for begin, end in self._duty.office.spans(day):
                start = max(begin, now)
                if left < end - start or (left <= timedelta() and start < end):
                    return start + left + _MOMENT
                left -= max(end - start, timedelta())
            day = self._calendar.next_workday(day)

    def _office_day(self, now: datetime) -> Hours:
        """From the first opening of the day to its last closing, in summer as in winter: when alarms may leave."""
        spans = self._duty.office.spans(self._today(now))
        opening, closing = (one.astimezone(self._zone).time() for one in (spans[0][0], spans[-1][1]))
        return Hours(opening, closing)

    def _today(self, at: datetime) -> date:
        return at.astimezone(self._zone).date()

    def _midnight(self, day: date) -> datetime:
        return utc(datetime.combine(day, time(), self._zone))


def _dues(row: Any) -> Iterator[Due]:
    """The clocks of a case's row that are not met."""
    paused = row.waiting_since is not None or row.state == CaseState.WAITING
    met = {"signed": row.signed_at, "first": row.first_answer_at, "finish": paused or None}
    times = {"signed": row.signed_due_at, "first": row.first_due_at, "finish": row.due_at}
    for clock, due_at in times.items():
        if due_at is not None and met[clock] is None:
            yield Due(row.id, row.number, row.window, row.about or "", row.urgent, clock, due_at)


def _texts(telling: Telling) -> Iterator[Telling]:
    """A telling cut into texts: singles name every case in full, so that a text holds a few."""
    numbers = list(dict.fromkeys(due.number for due in telling.dues))
    size = SINGLES if telling.level == SINGLE else max(len(numbers), 1)
    for start in range(0, len(numbers), size):
        some = numbers[start : start + size]
        yield replace(telling, dues=tuple(due for due in telling.dues if due.number in some))


def _template(level: str) -> str:
    return {DIGEST: "alarm-digest", SINGLE: "alarm-single"}.get(level, "alarm-overdue")
