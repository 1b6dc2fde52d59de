"""The three clocks of a case, replayed from what happened to it: signed for, first answer, finished.

Policy
- Pure: the same marks, promise, office hours and moment give the same due times and the same explanation. Nothing is
  kept; whoever wants to know replays.
- Clocks start with the person's first text: at once in office time, else at the next opening, whose day then counts as
  the first day. Minutes are of office time. The n-th working day ends with office hours, the n-th calendar day at
  24:00; neither kind is ever converted into the other.
- Answering is signing; finishing is both. Saying which papers are missing, or which step of an errand is done, is an
  answer: the person has heard from the hall. A hand-over restarts nothing, a case opened again has fresh clocks.
- The finish alone is paused, while listed papers are awaited: from the request to the papers, a text of the person, or
  the cap. The cap is counted over all pauses of a round; a day of it is as long as the office is open on the day on
  which the round's clocks start. A pause moves the due time by exactly what was paused, office time for minutes and
  working days, elapsed time for calendar days: a pause of a minute wins nobody a day. While it lasts, the due time is
  the one that holds if the papers came now. A due time that has passed no pause moves, but its time is not counted as
  late either.
- An extension is in working days, and counts from the day on which the case was due without its pauses.
- What each window held is counted in office time over all rounds, pauses included, but not while the case was closed.
- A clock that was put back does not undo anything: marks count in the order given, none earlier than the one before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Literal

from gateway.model import Happened
from gateway.worktime import ONE_DAY, Calendar, OfficeHours, utc

Unit = Literal["minutes", "workdays", "days"]
Line = tuple[str, str]
"""Chinese and English."""

NO_TIME = timedelta()
_MOMENT = timedelta(milliseconds=1)
_ANSWERS = (Happened.REPLIED, Happened.CALLED, Happened.ASKED_PAPERS, Happened.STEP, Happened.CLOSED)
_SIGNS = (Happened.SIGNED, *_ANSWERS)
_RESUMES = (Happened.PAPERS_CAME, Happened.TEXT)
_MOVES = (Happened.HANDED_OVER, Happened.HANDED_BACK, Happened.REOPENED)


@dataclass(frozen=True, slots=True)
class Span:
    """A time limit: minutes of office time, working days, or calendar days."""

    amount: int
    unit: Unit


@dataclass(frozen=True, slots=True)
class Promise:
    """The limits of a case; `because` says whose they are, for the explanation."""

    signed: Span
    first: Span
    finish: Span
    pause_cap_days: int
    because: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened to a case. `window` is where it is from then on, `days` those of an extension."""

    what: Happened
    at: datetime
    window: str = ""
    days: int = 0
    papers: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Clock:
    """One clock. `late` is office time past due when it was met, or now; the cap ends a pause at `pause_ends_at`."""

    starts_at: datetime
    due_at: datetime
    met_at: datetime | None
    paused_since: datetime | None
    late: timedelta
    pause_ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Clocks:
    """Where a case stands: the clocks of its last round; `holding` and `paused` in office time over all rounds.

    `why` explains the due times of the last round, in Chinese and in English.
    """

    signed: Clock
    first: Clock
    finish: Clock
    holding: Mapping[str, timedelta]
    paused: timedelta
    round: int
    why: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class _Pause:
    since: datetime
    until: datetime | None
    """None while it lasts."""
    ends_at: datetime
    """Where the cap ends it."""
    papers: tuple[str, ...]
    office: timedelta
    elapsed: timedelta

    @property
    def capped(self) -> bool:
        return self.until == self.ends_at


def replay(
    marks: Sequence[Mark], promise: Promise, office: OfficeHours, now: datetime, *, explain: bool = True
) -> Clocks:
    """Where the clocks of a case stand at `now`; the first mark is the person's text, with the window that got it.

    Explaining takes as long as all the rest: who shows it to nobody leaves `why` empty.
    ValueError for no marks, for another first mark, and for a naive datetime.
    """
    ordered = _in_order(marks)
    now = max(utc(now), ordered[-1].at)
    parts = list(_parts(ordered))
    ends = [*(part[0].at for part in parts[1:]), now]
    rounds = [_Round(part, promise, office, end) for part, end in zip(parts, ends, strict=True)]
    last = rounds[-1]
    signed, first = last.clock(promise.signed, _SIGNS), last.clock(promise.first, _ANSWERS)
    finish = last.finish()
    return Clocks(
        signed=signed,
        first=first,
        finish=finish,
        holding=_holding(ordered, office, now),
        paused=sum((pause.office for one in rounds for pause in one.pauses), NO_TIME),
        round=len(rounds),
        why=tuple(_explained(last, len(rounds), (signed, first, finish))) if explain else (),
    )


def _in_order(marks: Sequence[Mark]) -> list[Mark]:
    if not marks or marks[0].what is not Happened.TEXT:
        raise ValueError("a case begins with a text")
    ordered: list[Mark] = []
    for mark in marks:
        at = max(utc(mark.at), ordered[-1].at) if ordered else utc(mark.at)
        ordered.append(mark if at is mark.at else replace(mark, at=at))
    return ordered


def _parts(marks: Sequence[Mark]) -> Iterator[list[Mark]]:
    """The marks of each round, up to the one that closed it."""
    part: list[Mark] = []
    for mark in marks:
        if mark.what is Happened.REOPENED:
            yield part
            part = []
        if not part or part[-1].what is not Happened.CLOSED:
            part.append(mark)
    yield part


def _holding(marks: Sequence[Mark], office: OfficeHours, now: datetime) -> Mapping[str, timedelta]:
    held: dict[str, timedelta] = {}
    window, since, closed = marks[0].window, marks[0].at, False
    for mark in (*marks[1:], Mark(Happened.MARKED, now)):
        if not closed:
            held[window] = held.get(window, NO_TIME) + office.between(since, mark.at)
        since = mark.at
        closed = mark.what is Happened.CLOSED or (closed and mark.what is not Happened.REOPENED)
        window = (mark.window or window) if mark.what in _MOVES else window
    return held


class _Round:
    """A case from a text, or from its being opened again, until it is closed or now."""

    def __init__(self, marks: Sequence[Mark], promise: Promise, office: OfficeHours, now: datetime) -> None:
        self.marks, self.promise, self.office = marks, promise, office
        self.begun_at = marks[0].at
        self.starts_at = office.next_opening(self.begun_at)
        self.first_day = office.day(self.starts_at)
        self.day_length = office.length(self.first_day)
        self.until = marks[-1].at if marks[-1].what is Happened.CLOSED else now
        self.now = now
        self.pauses = list(self._pauses())

    def clock(self, span: Span, met_by: Sequence[Happened]) -> Clock:
        due_at, met_at = self.due(span), self.met_at(met_by)
        return Clock(self.starts_at, due_at, met_at, None, self.office.between(due_at, met_at or self.now))

    def finish(self) -> Clock:
        due_at = self.due(self.promise.finish, self.extended(), self.pauses)
        met_at = self.met_at([Happened.CLOSED])
        excused = sum((pause.office for pause in self.pauses if pause.since >= due_at), NO_TIME)
        late = self.office.between(due_at, met_at or self.now) - excused
        running = next((pause for pause in self.pauses if pause.until is None), None)
        paused = (running.since, running.ends_at) if running else (None, None)
        return Clock(self.starts_at, due_at, met_at, paused[0], late, paused[1])

    def met_at(self, met_by: Sequence[Happened]) -> datetime | None:
        return next((mark.at for mark in self.marks if mark.what in met_by), None)

    def extended(self) -> int:
        return sum(mark.days for mark in self.marks if mark.what is Happened.EXTENDED)

    # -- due times ---------------------------------------------------------------------------------------------

    def due(self, span: Span, extended: int = 0, pauses: Sequence[_Pause] = ()) -> datetime:
        """When a limit ends, longer by working days and by the pauses that began before its end."""
        due_at = self._unpaused(span, extended)
        for pause in pauses:
            if pause.since >= due_at:
                break
            if span.unit == "days":
                due_at += pause.elapsed
            elif pause.office:
                due_at = self.office.add(due_at, pause.office)
        return due_at

    def _unpaused(self, span: Span, extended: int) -> datetime:
        if span.unit == "workdays":
            return self.office.closing(self.office.workdays_later(self.first_day, span.amount + extended))
        if span.unit == "days":
            return self.office.midnight(self.office.workdays_later(self.first_day + span.amount * ONE_DAY, extended))
        due_at = self.office.add(self.starts_at, span.amount * timedelta(minutes=1))
        if not extended:
            return due_at
        return self.office.closing(self.office.workdays_later(self.office.day(due_at), extended))

    # -- pauses ------------------------------------------------------------------------------------------------

    def _pauses(self) -> Iterator[_Pause]:
        left = self.promise.pause_cap_days * self.day_length
        for since, until, papers in self._awaited():
            if not left:
                return
            ends_at = self.office.add(since, left)
            stop = min(ends_at, until or self.until)
            over = until is not None or stop == ends_at
            used = self.office.between(since, stop)
            left -= used
            elapsed = max(stop - max(since, self.starts_at), NO_TIME)
            yield _Pause(since, stop if over else None, ends_at, papers, used, elapsed)

    def _awaited(self) -> Iterator[tuple[datetime, datetime | None, tuple[str, ...]]]:
        """From when until when papers were awaited, and which; no end while they are."""
        since: datetime | None = None
        papers: tuple[str, ...] = ()
        for mark in self.marks[1:]:
            if mark.what is Happened.ASKED_PAPERS and mark.papers:
                since, papers = since or mark.at, tuple(dict.fromkeys(papers + mark.papers))
            elif since and mark.what in (*_RESUMES, Happened.CLOSED):
                yield since, mark.at, papers
                since, papers = None, ()
        if since:
            yield since, None, papers


# -- explanations ----------------------------------------------------------------------------------------------------

_WEEKDAYS = tuple(zip("一二三四五六日", ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), strict=True))
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PUBLISHED = ("（国务院放假安排）", ", as published")
_CLOCKS = (("签收", "signed for"), ("首次答复", "first answer"), ("办结", "finished"))
_MANY_RUNS = 2
"""Days off of one name that come in more runs than this are counted, not listed."""


def _explained(case: _Round, number: int, clocks: tuple[Clock, Clock, Clock]) -> Iterator[Line]:
    promise, words = case.promise, _Words(case.office, case.first_day.year)
    yield _start(case, number, words)
    yield _limit(_CLOCKS[0], promise.signed, "", case, words)
    yield _limit(_CLOCKS[1], promise.first, "", case, words)
    yield _limit(_CLOCKS[2], promise.finish, promise.because, case, words)
    yield from _changes(case, words)
    if words.estimated(case.starts_at, clocks[2].due_at):
        yield "其中有放假安排还没公布的日子，期限是估计的", "an estimate: days off are not published that far"
    yield from _lateness(case, clocks)


def _start(case: _Round, number: int, words: _Words) -> Line:
    at, starts = words.at(case.begun_at), words.at(case.starts_at)
    what = ("来信", "texted") if number == 1 else (f"重新办理（第{number}轮）", f"opened again (round {number})")
    if case.starts_at == case.begun_at:
        return f"{at[0]} {what[0]}，当即起算", f"{what[1]} {at[1]}: runs at once"
    why = _closed(case)
    return f"{at[0]} {what[0]}，{why[0]}，从{starts[0]}起算", f"{what[1]} {at[1]}, {why[1]}: runs from {starts[1]}"


def _closed(case: _Round) -> Line:
    day = case.office.day(case.begun_at)
    spans = case.office.spans(day)
    if not spans:
        zh, en = _name(case.office.calendar, day)
        return f"{zh}休息" if zh[-1] != "）" else f"休息：{zh}", f"day off: {en}"
    if case.begun_at < spans[0][0]:
        return "还没上班", "before office hours"
    return ("下班了", "after office hours") if case.begun_at >= spans[-1][1] else ("午休", "lunch break")


def _limit(what: Line, span: Span, because: str, case: _Round, words: _Words) -> Line:
    due_at = case.due(span)
    amount, until = _amount(span), words.at(due_at, end=True)
    skipped = words.skipped(case.starts_at, due_at) if span.unit != "days" else ("", "")
    named = f" ({because})" if because else ""
    return (
        f"{what[0]}：{because}{amount[0]}，{until[0]}前{skipped[0]}",
        f"{what[1]}: {amount[1]}{named}, by {until[1]}{skipped[1]}",
    )


def _amount(span: Span) -> Line:
    if span.unit == "minutes":
        zh, en = _lasted(span.amount * timedelta(minutes=1), ONE_DAY * 365)
        return f"上班时间{zh}内", f"{en} of office time"
    if not span.amount:
        return "当天", "the same day"
    unit = ("个工作日", "working day") if span.unit == "workdays" else ("个自然日", "calendar day")
    return f"{span.amount}{unit[0]}", f"{span.amount} {unit[1]}{'s' if span.amount > 1 else ''}"


def _lasted(span: timedelta, day: timedelta) -> Line:
    """In days of that length, hours and minutes."""
    days, rest = divmod(span, day)
    hours, minutes = divmod(rest // timedelta(minutes=1), 60)
    parts = [(days, "天", "d"), (hours, "小时", "h"), (minutes, "分钟", "min")]
    zh = "".join(f"{n}{unit}" for n, unit, _ in parts if n)
    en = " ".join(f"{n} {unit}" for n, _, unit in parts if n)
    return zh or "不到1分钟", en or "less than a minute"


def _changes(case: _Round, words: _Words) -> Iterator[Line]:
    """What moved the finish, in order of time, each with the due time that came of it."""
    changes: list[tuple[datetime, Mark | _Pause]] = [(pause.since, pause) for pause in case.pauses]
    changes += [(mark.at, mark) for mark in case.marks if mark.what is Happened.EXTENDED]
    extended, paused = 0, list[_Pause]()
    due_at = case.due(case.promise.finish)
    for _, change in sorted(changes, key=lambda one: one[0]):
        if isinstance(change, Mark):
            extended += change.days
        else:
            paused.append(change)
        before, due_at = due_at, case.due(case.promise.finish, extended, paused)
        (zh, en), to = (_extension(change), ("", "")) if isinstance(change, Mark) else _pause(change, case, words)
        counts_all = case.promise.finish.unit == "days" and isinstance(change, _Pause)
        until, skipped = words.at(due_at, end=True), ("", "") if counts_all else words.skipped(before, due_at)
        if due_at == before:
            yield f"{zh}，期限不变", f"{en}, due as before"
        else:
            yield f"{zh}，{to[0]}到{until[0]}{skipped[0]}", f"{en}, {to[1]}to {until[1]}{skipped[1]}"


def _extension(mark: Mark) -> Line:
    days = _amount(Span(mark.days, "workdays"))
    return f"延期{days[0]}（主任批准）", f"extended by {days[1]} (approved by the director)"


def _pause(pause: _Pause, case: _Round, words: _Words) -> tuple[Line, Line]:
    """What happened, and how a due time that follows from it is introduced."""
    papers = ("、".join(pause.papers), ", ".join(pause.papers))
    if pause.until is None:
        zh, en = words.at(pause.since)
        running = f"{zh}起停着等材料（{papers[0]}）", f"paused since {en} for papers ({papers[1]})"
        return running, ("要是现在交齐，", "if they came now ")
    calendar_days = case.promise.finish.unit == "days"
    zh, en = _lasted(pause.elapsed, ONE_DAY) if calendar_days else _lasted(pause.office, case.day_length)
    zh, en = f"等材料停了{zh}（{papers[0]}）", f"paused {en} for papers ({papers[1]})"
    if pause.capped:
        cap = _amount(Span(case.promise.pause_cap_days, "workdays"))
        zh, en = f"{zh}，停满{cap[0]}不再停", f"{en}, no longer as {cap[1]} are used up"
    return (zh, en), ("顺延", "moved ")


def _lateness(case: _Round, clocks: tuple[Clock, Clock, Clock]) -> Iterator[Line]:
    for what, clock in zip(_CLOCKS, clocks, strict=True):
        if clock.late:
            zh, en = _lasted(clock.late, case.day_length)
            yield f"{what[0]}超期{zh}（上班时间）", f"{what[1]} late by {en} of office time"


@lru_cache(maxsize=4096)
def _name(calendar: Calendar, day: date) -> Line:
    """Why a day is off, or worked where it would not be; empty for an ordinary working day."""
    zh, en = calendar.explain(day)
    zh, en = zh.removesuffix(_PUBLISHED[0]), en.removesuffix(_PUBLISHED[1])
    return (zh.partition("：")[2], en.partition(": ")[2]) if zh[3:4] == "：" else ("", "")


class _Words:
    """Moments of the site's clock in words; a year is named where it is not the one that a round began in."""

    def __init__(self, office: OfficeHours, year: int) -> None:
        self._office, self._year = office, year

    def at(self, at: datetime, *, end: bool = False) -> Line:
        """A moment; as an end midnight is 24:00."""
        local = at.astimezone(self._office.zone)
        clock, day = f"{local.hour}:{local.minute:02}", local.date()
        if end and clock == "0:00":
            clock, day = "24:00", day - ONE_DAY
        zh, en = self.day(day)
        return f"{zh}{clock}", f"{en} {clock}"

    def day(self, day: date) -> Line:
        zh, en = _WEEKDAYS[day.weekday()]
        date_zh, date_en = self._date(day)
        return f"{date_zh}（周{zh}）", f"{en} {date_en}"

    def _date(self, day: date) -> Line:
        year = ("", "") if day.year == self._year else (f"{day.year}年", f" {day.year}")
        return f"{year[0]}{day.month}月{day.day}日", f"{day.day} {_MONTHS[day.month - 1]}{year[1]}"

    def skipped(self, start: datetime, end: datetime) -> Line:
        """The days off after the day of `start` up to that of `end`, and those worked out of turn."""
        _, *days = self._days(start, end)
        named = [(day, name) for day in days if (name := _name(self._office.calendar, day))[0]]
        off = [(day, name) for day, name in named if not self._office.spans(day)]
        zh, en = zip(*self._runs(off), strict=True) if off else ((), ())
        worked = [self._worked(day, name) for day, name in named if self._office.spans(day)]
        zhs = [f"；跳过{'、'.join(zh)}" if zh else "", *(f"；{one[0]}" for one in worked)]
        ens = [f"; skips {', '.join(en)}" if en else "", *(f"; {one[1]}" for one in worked)]
        return "".join(zhs), "".join(ens)

    def estimated(self, start: datetime, end: datetime) -> bool:
        """Whether it is not known of every day between whether it is worked."""
        return any(self._office.calendar.estimated(day) for day in self._days(start, end))

    def _days(self, start: datetime, end: datetime) -> Sequence[date]:
        first, last = self._office.day(start), self._office.day(end - _MOMENT)
        return [first + n * ONE_DAY for n in range(max((last - first).days, 0) + 1)]

    def _worked(self, day: date, name: Line) -> Line:
        zh, en = self.day(day)
        return f"{zh}上班（{name[0].removesuffix('上班')}）", f"{en} is worked ({name[1]})"

    def _runs(self, days: Sequence[tuple[date, Line]]) -> Iterator[Line]:
        """Days that follow each other and have one name are told together."""
        runs: dict[Line, list[list[date]]] = {}
        for day, name in days:
            mine = runs.setdefault(name, [])
            if mine and mine[-1][-1] + ONE_DAY == day:
                mine[-1].append(day)
            else:
                mine.append([day])
        for name, mine in runs.items():
            if len(mine) > _MANY_RUNS:
                total = sum(map(len, mine))
                yield f"{name[0]}共{total}天", f"{total} days of {name[1]}"
            else:
                yield from (self._run(run, name) for run in mine)

    def _run(self, run: Sequence[date], name: Line) -> Line:
        first, last = run[0], run[-1]
        zh, en = self._date(first)
        if last != first:
            until = self._date(last)
            zh += f"—{last.day}日" if last.month == first.month else f"—{until[0]}"
            en = f"{first.day}-{until[1]}" if last.month == first.month else f"{en}-{until[1]}"
        return f"{zh}（{name[0]}）", f"{en} ({name[1]})"
