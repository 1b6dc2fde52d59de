"""Clocks, working days, open hours and due times.

Moments are aware and, once computed here, UTC; the site's zone comes in as an argument and is used only to
read the wall clock. A naive datetime is a programming error and raises ValueError.

Whether a day is worked is never guessed silently. The site's own table comes first, then the published
arrangement of the State Council (`chinesecalendar`, 2004 to 2026), then the statutory days of the `holidays`
package, which knows no make-up days, then bare weekdays. The last two are estimates; `Calendar.explain` and
`Calendar.estimated` say so. Only this module imports the two packages, and only when a day is asked for.

Wall clocks jump. A due time inside a gap falls as far behind the gap as it lies behind the gap's start (02:30
becomes 03:30), one that comes twice falls the first time, and either falls once. Open hours follow the wall
clock as people read it, so they may open at the jump itself, or twice in that night.
"""

from __future__ import annotations

import asyncio
import time as _time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache, partial
from typing import Protocol
from zoneinfo import ZoneInfo

from gateway.errors import Refused

ONE_DAY = timedelta(days=1)
# A table may close a hall for long, but a year without a working day is a mistake in the table.
LONGEST_CLOSURE = 366
# Far enough for a day that comes once in a leap year.
HORIZON = 4 * 366 + 1
# Nodes and the database may disagree by minutes; a battery that died puts the clock back by years.
CLOCK_TOLERANCE = timedelta(minutes=10)


def utc(moment: datetime) -> datetime:
    """The same moment in UTC; ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError(f"naive datetime: {moment.isoformat()}")
    return moment.astimezone(UTC)


class Clock(Protocol):
    """The one clock that is handed to everything that asks for the time or waits."""

    def now(self) -> datetime:
        """The moment, aware, UTC."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back. Timers use this one."""

    async def sleep(self, seconds: float) -> None:
        """Returns after that many seconds of `monotonic`."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return _time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ShiftedClock(SystemClock):
    """Runs at the real pace from another starting point: a demonstration on the sample town's day."""

    def __init__(self, start: datetime) -> None:
        self._start = utc(start)
        self._begun = _time.monotonic()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=_time.monotonic() - self._begun)


class ManualClock:
    """Stands still until told to advance; for tests.

    `advance` moves both readings and wakes every sleeper whose time has come. `step` moves the wall clock
    alone, as a person or NTP would, and may move it back.
    """

    def __init__(self, start: datetime) -> None:
        self._now = utc(start)
        self._elapsed = 0.0
        self._sleepers: dict[asyncio.Future[None], float] = {}

    @property
    def sleepers(self) -> int:
        """How many are asleep now."""
        return len(self._sleepers)

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        alarm: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers[alarm] = self._elapsed + seconds
        try:
            await alarm
        finally:
            self._sleepers.pop(alarm, None)

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("a monotonic clock does not go back")
        self._now += timedelta(seconds=seconds)
        self._elapsed += seconds
        self._wake()

    def step(self, by: timedelta) -> None:
        self._now += by

    def _wake(self) -> None:
        ripe = [alarm for alarm, due in self._sleepers.items() if due <= self._elapsed]
        for alarm in sorted(ripe, key=self._sleepers.__getitem__):
            del self._sleepers[alarm]
            if not alarm.done():  # cancelled, and its task has not run since
                alarm.set_result(None)


def clock_is_behind(now: datetime, newest_stored: datetime | None, tolerance: timedelta = CLOCK_TOLERANCE) -> bool:
    """Whether the clock reads earlier than something already recorded, as after a dead battery."""
    return newest_stored is not None and utc(now) < utc(newest_stored) - tolerance


@dataclass(frozen=True, slots=True)
class _Ruling:
    workday: bool
    estimated: bool
    zh: str
    en: str


@dataclass(frozen=True)
class Calendar:
    """Which days are worked. `off` and `on` are the site's own table and outrank everything else."""

    off: frozenset[date] = frozenset()
    on: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        if both := sorted(self.off & self.on):
            days = ", ".join(day.isoformat() for day in both)
            raise Refused(f"同一天既放假又上班：{days}", f"both off and on: {days}")

    def is_workday(self, day: date) -> bool:
        return self._ruling(day).workday

    def estimated(self, day: date) -> bool:
        """True where neither the site's table nor a published arrangement covers the day."""
        return self._ruling(day).estimated

    def explain(self, day: date) -> tuple[str, str]:
        """(Chinese, English): the answer, and where it came from."""
        ruling = self._ruling(day)
        return ruling.zh, ruling.en

    def missing_year(self, today: date) -> int | None:
        """The year whose arrangement somebody must enter: this one or, from November, the next; else None."""
        years = [today.year, today.year + 1] if today.month >= 11 else [today.year]
        return next((year for year in years if not self._covers(year)), None)

    def next_workday(self, day: date) -> date:
        """The first working day after `day`."""
        return self._nearest(day, ONE_DAY)

    def last_workday_of_month(self, year: int, month: int) -> date:
        first_of_next = date(year + month // 12, month % 12 + 1, 1)
        last = self._nearest(first_of_next, -ONE_DAY)
        if (last.year, last.month) != (year, month):
            raise Refused(f"{year}年{month}月没有工作日", f"no working day in {year}-{month:02}")
        return last

    def add_workdays(self, day: date, n: int) -> date:
        """The n-th working day after `day` (before it, if n < 0); for 0 the first one on or after it."""
        if n == 0:
            return day if self.is_workday(day) else self.next_workday(day)
        for _ in range(abs(n)):
            day = self._nearest(day, ONE_DAY if n > 0 else -ONE_DAY)
        return day

    def _nearest(self, day: date, step: timedelta) -> date:
        for _ in range(LONGEST_CLOSURE):
            day += step
            if self.is_workday(day):
                return day
        raise Refused("一年内没有工作日，请检查放假表", "no working day within a year: see the table of days off")

    def _ruling(self, day: date) -> _Ruling:
        if day in self.off:
            return _Ruling(False, False, "休息日：本单位放假表", "day off: the site's own table")
        if day in self.on:
            return _Ruling(True, False, "工作日：本单位上班表", "working day: the site's own table")
        return _published(day) or _statutory(day)

    def _covers(self, year: int) -> bool:
        return _published(date(year, 1, 1)) is not None or any(day.year == year for day in self.off | self.on)


@lru_cache(maxsize=4096)
def _published(day: date) -> _Ruling | None:
    """By the State Council's yearly arrangement; None outside the years the package knows."""
    import chinese_calendar

    try:
        rest, name = chinese_calendar.get_holiday_detail(day)
    except NotImplementedError:
        return None
    zh = chinese_calendar.Holiday(name).chinese if name else "周末" if rest else ""
    en = name or ("weekend" if rest else "")
    if rest:
        return _Ruling(False, False, f"休息日：{zh}（国务院放假安排）", f"day off: {en}, as published")
    if name:
        zh, en = f"：{zh}调休上班", f": make-up for {en}"
    return _Ruling(True, False, f"工作日{zh}（国务院放假安排）", f"working day{en}, as published")


@lru_cache(maxsize=4096)
def _statutory(day: date) -> _Ruling:
    """By the statutory days alone, or by weekdays alone in years that even those are not known for."""
    names = _statutory_days(day.year)
    caveat = "（估计：调休未公布）" if names else "（估计：仅按周一至周五）"
    doubt = "estimated: make-up days unknown" if names else "estimated: weekdays only"
    if day in names:
        return _Ruling(False, True, f"休息日：{names[day]}{caveat}", f"day off: statutory holiday ({doubt})")
    if day.weekday() >= 5:
        return _Ruling(False, True, f"休息日：周末{caveat}", f"day off: weekend ({doubt})")
    return _Ruling(True, True, f"工作日{caveat}", f"working day ({doubt})")


@lru_cache(maxsize=64)
def _statutory_days(year: int) -> Mapping[date, str]:
    import holidays

    found = holidays.country_holidays("CN", years=year, language="zh_CN")
    return {day: name.replace("; ", "、") for day, name in found.items()}


@dataclass(frozen=True, slots=True)
class Hours:
    """Open from `open`, included, to `close`, excluded, on the wall clock; over midnight if `close` is less.

    Midnight twice is round the clock, written 00:00-24:00.
    """

    open: time
    close: time

    def __post_init__(self) -> None:
        if self.open == self.close and self.open != time():
            raise Refused("营业时段的起止相同", "hours open and close at the same time")

    @classmethod
    def parse(cls, text: str) -> Hours:
        """`08:00-21:00`; Refused otherwise."""
        opening, dash, closing = text.replace(" ", "").partition("-")
        if not dash or opening == closing:
            raise Refused(f"时段应写作 08:00-21:00：{text}", f"hours are written 08:00-21:00: {text}")
        return cls(_clock_time(opening), time() if closing == "24:00" else _clock_time(closing))

    def __str__(self) -> str:
        return f"{self.open:%H:%M}-{'24:00' if self.close == time() else format(self.close, '%H:%M')}"

    @property
    def always(self) -> bool:
        return self.open == self.close

    def is_open(self, at: datetime, zone: ZoneInfo) -> bool:
        wall = utc(at).astimezone(zone).time()
        if self.open < self.close:
            return self.open <= wall < self.close
        return wall >= self.open or wall < self.close

    def next_opening(self, at: datetime, zone: ZoneInfo) -> datetime:
        """`at` itself if open then, else the first open moment after it; UTC."""
        return self._first(utc(at), zone, self.open, wanted=True)

    def closing_after(self, at: datetime, zone: ZoneInfo) -> datetime | None:
        """When the open span ends in which `at` lies, or else the next one; None if it never closes."""
        if self.always:
            return None
        return self._first(self.next_opening(at, zone), zone, self.close, wanted=False)

    def open_within(self, start: datetime, end: datetime, zone: ZoneInfo) -> bool:
        """Whether any moment from `start`, included, to `end`, excluded, is open."""
        return utc(start) < utc(end) and self.next_opening(start, zone) < utc(end)

    def _first(self, at: datetime, zone: ZoneInfo, edge: time, *, wanted: bool) -> datetime:
        """The first moment from `at` on that is open (or not): hours change only where the wall clock reads
        `edge`, or where it jumps."""
        today = at.astimezone(zone).date()
        readings = [datetime.combine(today + n * ONE_DAY, edge, zone) for n in range(4)]
        edges = [utc(reading.replace(fold=fold)) for reading in readings for fold in (0, 1)]
        moments = sorted([at, *edges, *_jumps(at, at + 3 * ONE_DAY, zone)])
        return next(m for m in moments if m >= at and self.is_open(m, zone) is wanted)


class OfficeTable(Protocol):
    """How the site writes its office hours (`[office]`): spans of a day in order, and those of its summer."""

    @property
    def spans(self) -> Sequence[tuple[time, time]]:
        """From and until on the wall clock; midnight as the end is 24:00."""

    @property
    def summer_spans(self) -> Sequence[tuple[time, time]]:
        """The same within the summer; empty where summer is like the rest of the year."""

    @property
    def summer_days(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """(month, day) of the first and of the last day of summer."""


@dataclass(frozen=True)
class OfficeHours:
    """The time that counts when a promise is measured: the spans of each working day, lunch left out.

    Spans are in order and do not overlap. What a jump of the wall clock swallows is not open.
    """

    hours: tuple[Hours, ...]
    calendar: Calendar
    zone: ZoneInfo
    summer: tuple[Hours, ...] = ()
    summer_days: tuple[tuple[int, int], tuple[int, int]] = ((6, 1), (9, 30))
    _spans: dict[date, tuple[tuple[datetime, datetime], ...]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )
    _lengths: dict[date, timedelta] = field(default_factory=dict, init=False, compare=False, repr=False)
    _next: dict[date, date] = field(default_factory=dict, init=False, compare=False, repr=False)

    @classmethod
    def of(cls, table: OfficeTable, calendar: Calendar, zone: ZoneInfo) -> OfficeHours:
        """As a site has it; `table` is `config.office`."""
        hours = tuple(Hours(*span) for span in table.spans)
        summer = tuple(Hours(*span) for span in table.summer_spans)
        return cls(hours, calendar, zone, summer, table.summer_days)

    def day(self, at: datetime) -> date:
        """The site's date at a moment."""
        return utc(at).astimezone(self.zone).date()

    def midnight(self, day: date) -> datetime:
        """24:00 of a day, UTC."""
        return utc(datetime.combine(day + ONE_DAY, time(), self.zone))

    def spans(self, day: date) -> Sequence[tuple[datetime, datetime]]:
        """Opening and closing of each span of a day, UTC, in order; none on a day off."""
        found = self._spans.get(day)
        if found is None:
            found = self._spans[day] = tuple(self._read(day)) if self.calendar.is_workday(day) else ()
        return found

    def length(self, day: date) -> timedelta:
        """How long the office is open on a day."""
        found = self._lengths.get(day)
        if found is None:
            found = self._lengths[day] = sum((end - begin for begin, end in self.spans(day)), timedelta())
        return found

    def is_open(self, at: datetime) -> bool:
        return any(begin <= utc(at) < end for begin, end in self.spans(self.day(at)))

    def next_opening(self, at: datetime) -> datetime:
        """`at` itself if open then, else the first open moment after it; UTC."""
        at = utc(at)
        return next(max(begin, at) for begin, end in self._from(self.day(at)) if at < end)

    def closing(self, day: date) -> datetime:
        """The end of the last span of a working day, UTC; ValueError for a day off."""
        spans = self.spans(day)
        if not spans:
            raise ValueError(f"the office does not open on {day}")
        return spans[-1][1]

    def add(self, at: datetime, span: timedelta) -> datetime:
        """The moment until which `span` of open time has passed since `at`; a closing rather than the opening after
        it. No time at all after a closed moment is the next opening."""
        if span < timedelta():
            raise ValueError("office time is added, not taken away")
        if not span:
            return self.next_opening(at)
        at = utc(at)
        day = self.day(at)
        span += self._gone(day, at)
        while span > self.length(day):
            span -= self.length(day)
            day = self._after(day)
        return self._after_opening(day, span)

    def between(self, start: datetime, end: datetime) -> timedelta:
        """How much open time lies from `start` to `end`; none if `end` comes first."""
        start, end = utc(start), utc(end)
        if end <= start:
            return timedelta()
        day, last = self.day(start), self.day(end)
        total = self._gone(last, end) - self._gone(day, start)
        while day < last:
            total += self.length(day)
            day = self._after(day)
        return total

    def workday_after(self, at: datetime, n: int) -> date:
        """The n-th working day after the day on which a clock of that moment starts: that of the next opening."""
        return self.workdays_later(self.day(self.next_opening(at)), n)

    def workdays_later(self, day: date, n: int) -> date:
        """The n-th working day after `day`, `day` itself for 0."""
        for _ in range(n):
            day = self._after(day)
        return day

    def _gone(self, day: date, at: datetime) -> timedelta:
        """The open time of a day before a moment."""
        return sum((min(at, end) - begin for begin, end in self.spans(day) if begin < at), timedelta())

    def _after_opening(self, day: date, span: timedelta) -> datetime:
        """The moment at which that much of a day's open time is over."""
        *before, last = self.spans(day)
        for begin, end in before:
            if span <= end - begin:
                return begin + span
            span -= end - begin
        return last[0] + span

    def _from(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        while True:
            yield from self.spans(day)
            day = self._after(day)

    def _after(self, day: date) -> date:
        found = self._next.get(day)
        if found is None:
            found = self._next[day] = self.calendar.next_workday(day)
        return found

    def _read(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        first, last = self.summer_days
        in_summer = bool(self.summer) and first <= (day.month, day.day) <= last
        for one in self.summer if in_summer else self.hours:
            until = day if one.close > one.open else day + ONE_DAY
            begin = utc(datetime.combine(day, one.open, self.zone))
            end = utc(datetime.combine(until, one.close, self.zone))
            # A gap of the wall clock may swallow a span, or, at the date line, the whole day.
            if begin < end and self.day(begin) == day:
                yield begin, end


def _jumps(start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """The moments in (start, end] at which the zone's offset changes; of two within 12 hours one is found."""
    while start < end:
        stop = start + timedelta(hours=12)
        if _offset(start, zone) != _offset(stop, zone):
            yield _jump(start, stop, zone)
        start = stop


def _jump(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    whole = before.replace(microsecond=0)
    low, high = 0, int((after - whole).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        same = _offset(whole + timedelta(seconds=middle), zone) == _offset(before, zone)
        low, high = (middle, high) if same else (low, middle)
    return whole + timedelta(seconds=high)


def _offset(at: datetime, zone: ZoneInfo) -> timedelta | None:
    return at.astimezone(zone).utcoffset()


def _clock_time(text: str) -> time:
    hour, _, minute = text.strip().partition(":")
    if not (hour.isascii() and hour.isdigit() and len(minute) == 2 and minute.isascii() and minute.isdigit()):
        raise Refused(f"时间应写作 07:30：{text}", f"a time is written 07:30: {text}")
    if int(hour) > 23 or int(minute) > 59:
        raise Refused(f"没有这个时间：{text}", f"there is no such time: {text}")
    return time(int(hour), int(minute))


DayTest = Callable[[date, Calendar], bool]
"""Whether a rule falls on a day. Lunar dates and solar terms are to come in as further names for these."""


def _daily(day: date, calendar: Calendar) -> bool:
    return True


def _workdays(day: date, calendar: Calendar) -> bool:
    return calendar.is_workday(day)


def _last_workday(day: date, calendar: Calendar) -> bool:
    return calendar.is_workday(day) and calendar.next_workday(day).month != day.month


def _last_day(day: date, calendar: Calendar) -> bool:
    return (day + ONE_DAY).day == 1


def _weekday(number: int, day: date, calendar: Calendar) -> bool:
    return day.weekday() == number


def _day_of_month(number: int, day: date, calendar: Calendar) -> bool:
    return day.day == number


def _on_date(only: date, day: date, calendar: Calendar) -> bool:
    return day == only


DAY_TESTS: Mapping[str, DayTest] = {
    "daily": _daily,
    "workdays": _workdays,
    "last-workday": _last_workday,
    "last": _last_day,
    **{name: partial(_weekday, n) for n, name in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))},
}


class Recurrence(Protocol):
    """Anything that knows its next due time: a rule in its zone, a cron expression."""

    def due_after(self, moment: datetime) -> datetime | None:
        """The first due time strictly after `moment`, UTC; None when there is none to come."""


@dataclass(frozen=True)
class Rule:
    """On which days, at which times of day. `on` and `at` are kept as written, for showing."""

    on: str
    at: str
    tests: tuple[DayTest, ...] = field(compare=False, repr=False)
    times: tuple[time, ...] = field(compare=False, repr=False)
    last_date: date | None = field(default=None, compare=False, repr=False)

    @classmethod
    def parse(
        cls, *, on: str | Sequence[str], at: str | Sequence[str], tests: Mapping[str, DayTest] = DAY_TESTS
    ) -> Rule:
        """`on`: names of `tests`, days of the month ("5,20"), ISO dates, mixed at will; `at`: "07:00,19:00".

        A day of the month that a month lacks is skipped there: "last" is the end of any month.
        """
        days, times = _words(on), _words(at)
        if not days or not times:
            raise Refused("定时规则要写明日期和时间", "a rule needs days and times")
        dates = [day for word in days if (day := _iso_date(word))]
        return cls(
            on=",".join(days),
            at=",".join(times),
            tests=tuple(_day_test(word, tests) for word in days),
            times=tuple(sorted({_clock_time(word) for word in times})),
            last_date=max(dates, default=None),
        )

    def falls_on(self, day: date, calendar: Calendar) -> bool:
        return any(test(day, calendar) for test in self.tests)

    def due_after(self, moment: datetime, zone: ZoneInfo, calendar: Calendar) -> datetime | None:
        """The first due time strictly after `moment`, UTC; None when there is none within four years or,
        where ISO dates are listed, until the last of them."""
        moment = utc(moment)
        first = moment.astimezone(zone).date() - ONE_DAY
        for day in self._days(first):
            if found := self._after(moment, day, zone, calendar):
                # A jump over midnight may put this day's last time behind the first of the next day.
                return min(found + self._after(moment, day + ONE_DAY, zone, calendar))
        return None

    def in_zone(self, zone: ZoneInfo, calendar: Calendar) -> RuleInZone:
        return RuleInZone(self, zone, calendar)

    def _days(self, first: date) -> Iterator[date]:
        end = max(first + HORIZON * ONE_DAY, self.last_date or first)
        return (first + n * ONE_DAY for n in range((end - first).days + 1))

    def _after(self, moment: datetime, day: date, zone: ZoneInfo, calendar: Calendar) -> list[datetime]:
        if not self.falls_on(day, calendar):
            return []
        # fold=0 is the policy on jumps: the first of two, and past a gap by what lies in it.
        slots = (utc(datetime.combine(day, at, zone)) for at in self.times)
        return [slot for slot in slots if slot > moment]


@dataclass(frozen=True)
class RuleInZone:
    """A rule with the zone and the calendar it is read in."""

    rule: Rule
    zone: ZoneInfo
    calendar: Calendar

    def due_after(self, moment: datetime) -> datetime | None:
        return self.rule.due_after(moment, self.zone, self.calendar)


def due_between(recurrence: Recurrence, start: datetime, end: datetime) -> list[datetime]:
    """All due times after `start` up to `end`, `end` included: adjacent spans share none and lose none."""
    slots = []
    slot = recurrence.due_after(start)
    while slot is not None and slot <= end:
        slots.append(slot)
        slot = recurrence.due_after(slot)
    return slots


def _words(text: str | Sequence[str]) -> list[str]:
    parts = text.replace("，", ",").split(",") if isinstance(text, str) else text
    return [word.strip().lower() for word in parts if word.strip()]


def _day_test(word: str, tests: Mapping[str, DayTest]) -> DayTest:
    if word in tests:
        return tests[word]
    if day := _iso_date(word):
        return partial(_on_date, day)
    if word.isascii() and word.isdigit() and 1 <= int(word) <= 31:
        return partial(_day_of_month, int(word))
    raise Refused(f"不认识的日期规则：{word}", f"not a day rule: {word}")


def _iso_date(word: str) -> date | None:
    try:
        return date.fromisoformat(word) if "-" in word else None
    except ValueError:
        return None
