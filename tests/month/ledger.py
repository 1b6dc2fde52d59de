"""The oracle's cases: what happened to each, and the due times that follow from it by the rules of docs and pages.

Independent of `gateway.clocks` in method too: a due time is found by walking the open spans of the calendar and leaving
out those in which papers were awaited, second by second counted down, never by adding what was paused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.month.days import DAY, LAST, Office, Span, next_worked, run_out

ALWAYS: Sequence[Span] = [(0, LAST * DAY)]


class Limits(NamedTuple):
    """What a person was promised; `unit` of the finish: workdays, or days of the calendar."""

    signed_minutes: int
    first: tuple[int, str]
    finish: tuple[int, str]
    cap_days: int


class Dues(NamedTuple):
    """Where the clocks of a round stand."""

    signed: int
    first: int
    finish: int
    paused_since: int | None


@dataclass(frozen=True)
class Event:
    """Something of which points are made, or time: `what` is the gateway's word for it."""

    at: int
    what: str
    who: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass
class Round:
    """From a text, or from being opened again, until it was closed."""

    begun: int
    signed: int | None = None
    first: int | None = None
    closed: int | None = None
    asked: list[tuple[int, int | None]] = field(default_factory=list)
    """From when to when papers were awaited."""
    extended: list[tuple[int, int]] = field(default_factory=list)
    """When, and by how many working days."""


@dataclass
class Case:
    """One case; `told` is what its row said of its clocks when somebody last touched it."""

    id: int
    number: str
    phone: str
    story: int
    window: str
    kind: str
    item: str
    urgent: bool
    title: str
    limits: Limits
    opened_at: int
    rounds: list[Round]
    events: list[Event] = field(default_factory=list)
    texts: list[tuple[int, str]] = field(default_factory=list)
    state: str = "open"
    officer: str | None = None
    restricted: bool = False
    publish: bool = False
    parent: Case | None = None
    merged_into: Case | None = None
    closed_at: int | None = None
    how: str | None = None
    solved: bool | None = None
    rating: int | None = None
    first_window: str = ""
    row: Dues = field(default_factory=lambda: Dues(0, 0, 0, None))
    trail: list[tuple[int, Dues]] = field(default_factory=list)

    @property
    def now(self) -> Round:
        return self.rounds[-1]

    @property
    def live(self) -> bool:
        return self.state != "closed"

    def note(self, at: int, what: str, who: str = "", **data: Any) -> None:
        self.events.append(Event(at, what, who, data))

    def signs(self, at: int, *, answers: bool = False) -> None:
        """Who answers has signed; who signs has not answered."""
        self.now.signed = at if self.now.signed is None else self.now.signed
        if answers and self.now.first is None:
            self.now.first = at

    def settle(self, office: Office, at: int) -> None:
        self.row = dues(self.now, self.limits, office, at)
        self.trail.append((at, self.row))

    def unmet(self) -> Iterator[tuple[str, int]]:
        """The clocks that still run, as the row has them."""
        if self.now.signed is None:
            yield "signed", self.row.signed
        if self.now.first is None:
            yield "first", self.row.first
        if self.state != "waiting" and self.row.paused_since is None:
            yield "finish", self.row.finish


def dues(one: Round, limits: Limits, office: Office, now: int) -> Dues:
    """The due times as they stand at a moment."""
    start = office.opening(one.begun)
    signed = office.after(start, limits.signed_minutes * 60)
    finish, since = finish_of(one, limits, office, now)
    return Dues(signed, _end(office, start, *limits.first), finish, since)


def _end(office: Office, start: int, amount: int, unit: str, extended: int = 0) -> int:
    """The end of a limit that nothing has paused."""
    first = start // DAY
    if unit == "minutes":
        return office.after(start, amount * 60)
    if unit == "workdays":
        return office.closing(next_worked(first, amount + extended))
    return (next_worked(first + amount, extended) + 1) * DAY


def finish_of(one: Round, limits: Limits, office: Office, now: int) -> tuple[int, int | None]:
    """When a round's case was due by what was known at a moment, and since when it stood still if it did."""
    start = office.opening(one.begun)
    due = _end(office, start, *limits.finish, extended=sum(days for at, days in one.extended if at <= now))
    calendar = limits.finish[1] == "days"
    spans = ALWAYS if calendar else office.spans
    budget = due - start if calendar else office.between(start, due)
    pauses, running = _paused(one, limits, office, now)
    counted: list[Span] = []
    for pause in pauses:
        if pause[0] >= due:  # what begins after the time is over moves nothing
            break
        counted.append(pause)
        due = run_out(spans, start, budget, counted)
    return due, running


def _paused(one: Round, limits: Limits, office: Office, now: int) -> tuple[list[Span], int | None]:
    """The spans in which the clock stood still, and the beginning of one that lasts; the cap ends them."""
    left = limits.cap_days * office.length(office.opening(one.begun) // DAY)
    found: list[Span] = []
    for since, until in one.asked:
        if since > now or not left:
            break
        ends = office.after(since, left)
        over = until is not None and until <= now
        stop = min(ends, until if over and until is not None else now if one.closed is None else min(now, one.closed))
        found.append((since, stop))
        left -= office.between(since, stop)
        if not over and stop < ends:
            return found, since
    return found, None


def held(case: Case, office: Office, now: int) -> dict[str, int]:
    """How many seconds of office time each window had it, but not while it was closed."""
    total: dict[str, int] = {}
    window, since, closed = case.first_window, min(at for at, _ in case.texts), False
    for event in [*case.events, Event(now, "end")]:
        if event.what not in ("handed_over", "handed_back", "closed", "reopened", "end"):
            continue
        at = max(event.at, since)
        if not closed:
            total[window] = total.get(window, 0) + office.between(since, at)
        since, closed = at, event.what == "closed" or (closed and event.what != "reopened")
        window = event.data.get("window", window)
    return total
