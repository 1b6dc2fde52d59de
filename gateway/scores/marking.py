"""What of a case is worth points: facts from its events, and the points that the site's rules make of them; pure.

Policy
- A fact is something that happened, at a moment, while one window and perhaps one officer had the case; it counts in
  the month of that moment. Nothing that happens later makes it unhappened: what was wrong about a completion is a fact
  of its own (bad-rating, unsolved, reopened), and a point that is wrong is appealed.
- The facts of a month depend on nothing after it: whenever it is computed, it is computed as it stood at its end.
- Late is what its clock says (gateway.clocks: pauses, extensions, rounds), once for each clock and round, for whoever
  had the case when it was due. A late day is a working day at whose opening the case was past due, not finished and not
  waiting for papers; it is for whoever had it at that opening.
- A case whose events hold no promise (it was brought in from elsewhere) is judged by the due times in its row.
- A wrong assignment is a fact where somebody had made it: a hand-back of what the gateway itself assigned is nobody's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from gateway.cases import promises
from gateway.clocks import Clock as Finish
from gateway.clocks import Clocks, Mark, Promise, replay
from gateway.model import Happened
from gateway.officials import SYSTEM
from gateway.rules import Rule
from gateway.worktime import ONE_DAY, OfficeHours

LATE_DAY = "late-day"
"""What `late` with `per = "day"` counts."""
BAD, BEST = 2, 5
KINDS: frozenset[Happened] = frozenset(Happened) - {Happened.WARNED, Happened.ESCALATED, Happened.REMINDED}
"""Events that facts are made of."""
FINISHED = ("text", "phone", "counter", "spot")
_SIGNS = (Happened.SIGNED, Happened.REPLIED, Happened.CALLED, Happened.ASKED_PAPERS, Happened.STEP)
_MOVES = (Happened.HANDED_OVER, Happened.HANDED_BACK)
_MOMENT = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Fact:
    """`what` is a rule's `when` (or `LATE_DAY`); `key` makes it one of a kind; `why` is for officials."""

    what: str
    key: str
    at: datetime
    window: str
    officer: str
    case_id: int
    kind: str
    why: str


class Share(NamedTuple):
    """Points of a rule for one subject."""

    subject: str
    rule: str
    points: Decimal


def shares(rules: Iterable[Rule], fact: Fact) -> Iterator[Share]:
    """What a fact is worth, by rule and subject: `window:minzheng`, `officer:zhao`."""
    for rule in rules:
        if _applies(rule, fact):
            if rule.who != "officer" and fact.window:
                yield Share(f"window:{fact.window}", rule.code, rule.points)
            if rule.who != "window" and fact.officer:
                yield Share(f"officer:{fact.officer}", rule.code, rule.points)


def _applies(rule: Rule, fact: Fact) -> bool:
    what = LATE_DAY if rule.per == "day" else rule.when
    return what == fact.what and (not rule.kinds or fact.kind in rule.kinds)


def facts(row: Any, events: Sequence[Any], office: OfficeHours, since: datetime, until: datetime) -> Iterator[Fact]:
    """What happened to a case from `since` up to `until`, excluded, as it stood at `until`; events oldest first."""
    story = _Story(row, [event for event in events if event.at < until], office, since, until)
    for fact in (*story.told(), *story.late()):
        if since <= fact.at < until:
            yield fact


class _Had(NamedTuple):
    """Who had the case from then on."""

    at: datetime
    window: str
    officer: str


class _Clock(NamedTuple):
    """One clock of one round; a finish that ran out is told as it was then, whatever extended it later."""

    due_at: datetime
    met_at: datetime | None
    late: bool


class _Story:
    """A case up to a moment."""

    def __init__(self, row: Any, events: Sequence[Any], office: OfficeHours, since: datetime, until: datetime) -> None:
        self.row, self.events, self.office, self.since, self.until = row, events, office, since, until
        self.had = list(_holders(row, events))

    def fact(self, what: str, tail: str, at: datetime, window: str, officer: str, why: str) -> Fact:
        who = "" if officer == SYSTEM.login else officer
        key = f"{self.row.number}:{what}{f':{tail}' if tail else ''}"
        return Fact(what, key, at, window, who, self.row.id, self.row.kind, f"{self.row.number} {why}")

    def holder(self, at: datetime) -> _Had:
        """Who had it at that moment."""
        return next((had for had in reversed(self.had) if had.at <= at), self.had[0])

    # -- what events say ---------------------------------------------------------------------------------------

    def told(self) -> Iterator[Fact]:
        """Facts that events state."""
        closed: Any = None
        for event in self.events:
            if event.kind == Happened.CLOSED:
                closed = event
                yield from self._finished(event)
            elif event.kind == Happened.RATED:
                yield from self._rated(event, closed)
            elif event.kind == Happened.SOLVED and event.data.get("solved") is False:
                yield self._of(event, "unsolved", closed, "群众说没办成")
            elif event.kind == Happened.REOPENED:
                yield self._of(event, "reopened", closed, "办结后又重办")
            elif event.kind == Happened.BREACH:
                yield self._breach(event)
            elif event.kind == Happened.HANDED_BACK:
                yield from self._handed_back(event)
        yield from self._published(closed)

    def _finished(self, event: Any) -> Iterator[Fact]:
        how = event.data.get("how") or self.row.closed_how or "text"
        if how not in FINISHED:
            return
        had = self._closer(event)
        yield self.fact("finished", "", event.at, *had, "办结")
        if how == "spot":
            yield self.fact("spot", "", event.at, *had, "当场办结")

    def _closer(self, closed: Any) -> tuple[str, str]:
        """Window and officer of a completion."""
        had = self.holder(closed.at)
        return closed.data.get("window") or had.window, closed.data.get("officer") or had.officer or closed.who

    def _of(self, event: Any, what: str, closed: Any, why: str) -> Fact:
        """A fact that says something about the completion before it; once for each."""
        had = self.holder(event.at)
        whose = self._closer(closed) if closed is not None else (had.window, had.officer)
        return self.fact(what, str(event.id), event.at, *whose, why)

    def _rated(self, event: Any, closed: Any) -> Iterator[Fact]:
        value = event.data["value"]
        if value <= BAD:
            yield self._of(event, "bad-rating", closed, f"群众评价{value}")
        elif value == BEST:
            yield self._of(event, "five-stars", closed, "群众评价5，非常满意")

    def _breach(self, event: Any) -> Fact:
        had = self.holder(event.at)
        window = event.data.get("window") or had.window
        papers = "、".join(event.data.get("papers", ()))
        why = f"第二次要材料，有第一次没说的{f'：{papers}' if papers else ''}"
        return self.fact("breach", str(event.id), event.at, window, event.who or had.officer, why)

    def _handed_back(self, event: Any) -> Iterator[Fact]:
        given = [one for one in self.events if one.kind in _MOVES and one.id < event.id]
        wrong = next((one for one in reversed(given) if one.data.get("to") == event.data.get("from")), None)
        if wrong is not None and wrong.data.get("from"):
            why = "转错窗口，被退回"
            yield self.fact("handed-back", str(event.id), event.at, wrong.data["from"], wrong.who, why)

    def _published(self, closed: Any) -> Iterator[Fact]:
        told = next((one.at for one in self.events if one.kind == Happened.PUBLISHED), None)
        if told is None and self.row.publish and closed is not None:
            allowed = [one.at for one in self.events if one.data.get("after", {}).get("publish")]
            told = max(closed.at, *allowed[:1]) if allowed else closed.at
        if told is not None:
            had = self._closer(closed) if closed is not None else self.holder(told)[1:]
            yield self.fact("published", "", told, *had, "群众同意，答复公开")

    # -- what clocks say ---------------------------------------------------------------------------------------

    def rounds(self) -> Iterator[_Round]:
        """The clocks of each round, the first one first."""
        if not any("promise" in event.data for event in self.events):
            yield _Written(self.row, self.until)
            return
        promise, marks = promises.of_events(self.events)
        start = 1
        ends = [n for n, mark in enumerate(marks) if mark.what is Happened.REOPENED]
        for end in (*ends, len(marks)):
            until = marks[end].at if end < len(marks) else self.until
            yield _Replayed(marks[:end], start, promise, self.office, until)
            start = end + 1

    def late(self) -> Iterator[Fact]:
        """Facts of the clocks: each once for each round in which it ran out."""
        for number, clocks in enumerate(self.rounds(), 1):
            for what, clock, why in (
                ("late-signed", clocks.signed, "签收超时"),
                ("late-first", clocks.first, "首次答复超时"),
                ("late", clocks.finish, "到期没有办结"),
            ):
                if clock is not None and clock.late:
                    yield self._late(what, number, clock, why)
            yield from self._days(number, clocks)

    def _late(self, what: str, number: int, clock: _Clock, why: str) -> Fact:
        had = self.holder(clock.due_at)
        until = self._day(self.office.day(clock.due_at - _MOMENT))
        return self.fact(what, str(number), clock.due_at, had.window, had.officer, f"{why}（期限{until}）")

    def _days(self, number: int, clocks: _Round) -> Iterator[Fact]:
        """The working days of the span at whose opening the case was late."""
        clock, count = clocks.finish, 0
        if clock is None or not clock.late:
            return
        day = self.office.day(clock.due_at - _MOMENT) + ONE_DAY
        last = self.office.day(min(clocks.until, clock.met_at or clocks.until))
        while day <= last:
            opening = self._opening(day)
            if opening is not None and opening < clocks.until and clocks.late_at(opening):
                count += 1
                had = self.holder(opening)
                why = f"{self._day(day)}仍没有办结，超期第{count}个工作日"
                yield self.fact(LATE_DAY, f"{number}:{day}", opening, had.window, had.officer, why)
            day += ONE_DAY

    def _opening(self, day: date) -> datetime | None:
        spans = self.office.spans(day)
        return spans[0][0] if spans else None

    def _day(self, day: date) -> str:
        return f"{day.month}月{day.day}日"


def _holders(row: Any, events: Sequence[Any]) -> Iterator[_Had]:
    """Who had a case when: it begins where its first text put it."""
    moves = [event for event in events if event.kind in _MOVES]
    opening = next((event.data["window"] for event in events if "promise" in event.data), None)
    window = opening or (moves[0].data.get("from") if moves else None) or row.window
    written = opening is None and not moves and not any(event.kind in _SIGNS for event in events)
    officer = row.officer or "" if written else ""
    yield _Had(row.opened_at, window, officer)
    for event in events:
        if event.kind in _MOVES:
            window, officer = event.data.get("to") or window, ""
        elif event.kind == Happened.REOPENED:
            window, officer = event.data.get("window") or window, event.data.get("officer") or ""
        elif event.kind in _SIGNS and not officer and "sub" not in event.data:
            officer = event.who
        else:
            continue
        yield _Had(event.at, window, officer)


# -- clocks of one round ---------------------------------------------------------------------------------------------


class _Replayed:
    """The clocks of a round by the events; `marks` ends with the round, whose own begin at `start`."""

    def __init__(
        self, marks: Sequence[Mark], start: int, promise: Promise, office: OfficeHours, until: datetime
    ) -> None:
        self._marks, self._promise, self._office, self.until = marks, promise, office, until
        self._unpaused: dict[int, Finish] = {}
        found = self._at(len(marks), until)
        self.signed, self.first = (_clock(one, until) for one in (found.signed, found.first))
        extended = [n for n in range(start, len(marks)) if marks[n].what is Happened.EXTENDED]
        stood = [_clock(self._at(n, marks[n].at).finish, marks[n].at) for n in extended]
        last = _clock(found.finish, until)
        self.finish = next((one for one in stood if one.late), last)._replace(met_at=last.met_at)

    def _at(self, n: int, now: datetime) -> Clocks:
        return replay(self._marks[:n], self._promise, self._office, now, explain=False)

    def late_at(self, at: datetime) -> bool:
        """Whether the case was past due, not finished and not waiting then."""
        n = max(sum(mark.at <= at for mark in self._marks), 1)
        finish = self._unpaused.get(n) or self._at(n, at).finish
        if finish.paused_since is None:  # so it stays until the next mark
            self._unpaused[n] = finish
        return finish.due_at < at and finish.met_at is None and finish.paused_since is None


class _Written:
    """The clocks of a case by its row alone."""

    def __init__(self, row: Any, until: datetime) -> None:
        self._row, self.until = row, until
        self.signed = self._clock(row.signed_due_at, row.signed_at)
        self.first = self._clock(row.first_due_at, row.first_answer_at)
        self.finish = self._clock(row.due_at, row.closed_at)

    def _clock(self, due_at: datetime | None, met_at: datetime | None) -> _Clock | None:
        if due_at is None:
            return None
        met_at = met_at if met_at is not None and met_at < self.until else None
        return _Clock(due_at, met_at, due_at < (met_at or self.until))

    def late_at(self, at: datetime) -> bool:
        closed, waits = self._row.closed_at, self._row.waiting_since
        return self._row.due_at < at and not (closed and closed <= at) and not (waits and waits <= at)


_Round = _Replayed | _Written


def _clock(one: Finish, until: datetime) -> _Clock:
    return _Clock(one.due_at, one.met_at, one.due_at < (one.met_at or until))
