"""The oracle's points: what happened to each case, what it is worth by scoring.toml, and the board of each month.

By the table of docs/scores.md: once each, for whoever had the case then, in the month in which it happened. Late is
what the clock says as it stood; an extension that comes after the end takes nothing back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from tests.month.days import DAY, Office, date_of, due_day, worked
from tests.month.hall import Hall
from tests.month.ledger import Case, Event, Round, dues, finish_of
from tests.month.plan import Act

SIGNING = ("signed", "replied", "called", "asked_papers")


class Fact(NamedTuple):
    """Something worth points; what has the same key happens once."""

    what: str
    key: str
    at: int
    window: str
    officer: str
    case: Case


@dataclass(frozen=True)
class Point:
    """One point; `number` is the case's."""

    month: str
    subject: str
    rule: str
    points: Decimal
    number: str
    at: int
    reversed: bool = False


class Standing(NamedTuple):
    """A line of the board."""

    score: Decimal
    band: str
    rank: int | None
    before: Decimal
    disqualified: str


class Points:
    """All points of the month, at its end."""

    def __init__(self, hall: Hall, end: int) -> None:
        self._hall, self._end = hall, end
        self._rules: Sequence[dict[str, Any]] = hall.site.scoring["rules"]
        self.all = list(self._counted())

    # -- counting ----------------------------------------------------------------------------------------------------

    def _counted(self) -> Iterator[Point]:
        known: set[tuple[str, str, str]] = set()
        facts = [fact for case in self._hall.cases for fact in facts_of(case, self._hall.office, self._end)]
        for fact in sorted(facts, key=lambda fact: fact.at):
            for rule in self._rules:
                for subject in _subjects(rule, fact):
                    if (rule["code"], subject, fact.key) not in known and fact.at < self._end:
                        known.add((rule["code"], subject, fact.key))
                        points = Decimal(str(rule["points"]))
                        yield Point(_month(fact.at), subject, rule["code"], points, fact.case.number, fact.at)

    def given(self, act: Act) -> None:
        """Points by hand, appeals against them, and what a director says to those."""
        if act.verb == "give":
            rule = next(one for one in self._rules if one["code"] == act.values["rule"])
            points = Decimal(str(rule["points"]))
            self.all.append(Point(_month(act.at), act.values["subject"], rule["code"], points, "", act.at))
        elif act.verb == "decide" and act.values["reverse"]:
            by_hand = [n for n, point in enumerate(self.all) if not point.number]
            n = by_hand[act.case]
            self.all[n] = replace(self.all[n], reversed=True)

    # -- the board ---------------------------------------------------------------------------------------------------

    def score(self, subject: str, month: str) -> Decimal:
        """The base and each rule's points of the month, as far as its cap goes."""
        total = Decimal(str(self._hall.site.scoring["base"]))
        for rule in self._rules:
            mine = sum((one.points for one in self._of(subject, rule["code"]) if one.month == month), Decimal(0))
            if "cap" in rule:
                cap = abs(Decimal(str(rule["cap"])))
                mine = max(-cap, min(cap, mine))
            total += mine
        return total

    def _of(self, subject: str, rule: str) -> list[Point]:
        return [one for one in self.all if (one.subject, one.rule, one.reversed) == (subject, rule, False)]

    def board(self, who: str, month: str, before: str) -> dict[str, Standing]:
        """All windows or all officers of windows, and whoever else has points."""
        names = [f"window:{code}" for code in self._hall.site.windows]
        if who == "officer":
            names = [f"officer:{one['login']}" for one in self._hall.site.duty["officers"] if one.get("window")]
        others = {one.subject for one in self.all if one.subject.startswith(who) and one.month in (month, before)}
        names += sorted(others - set(names))
        barred = {name: self._barred(name, month) for name in names}
        scores = {name: self.score(name, month) for name in names}
        fair = [scores[name] for name in names if not barred[name]]
        return {
            name: Standing(
                scores[name],
                self._band(scores[name]),
                None if barred[name] else 1 + sum(other > scores[name] for other in fair),
                self.score(name, before),
                barred[name],
            )
            for name in names
        }

    def _band(self, score: Decimal) -> str:
        fitting = [one for one in self._hall.site.scoring["bands"] if Decimal(str(one["least"])) <= score]
        return str(max(fitting, key=lambda one: Decimal(str(one["least"])))["name"])

    def _barred(self, subject: str, month: str) -> str:
        """Why there is no commendation this year, by the first rule that says so."""
        for rule in self._hall.site.scoring["disqualified"]:
            mine = [one for one in self._of(subject, rule["rule"]) if one.month <= month]
            groups: dict[str, list[int]] = defaultdict(list)
            for one in sorted(mine, key=lambda one: one.at):
                groups[one.number if rule.get("same_case") else ""].append(one.at // DAY)
            if any(self._reached(days, rule) for days in groups.values()):
                return str(rule["why"])
        return ""

    def _reached(self, days: Sequence[int], rule: dict[str, Any]) -> bool:
        times = rule["times"]
        for first, last in zip(days, days[times - 1 :], strict=False):
            if "days" not in rule or sum(worked(day) for day in range(first, last + 1)) <= rule["days"]:
                return True
        return False


def _subjects(rule: dict[str, Any], fact: Fact) -> Iterator[str]:
    what = "late-day" if rule.get("per") == "day" else rule["when"]
    who = rule.get("who", "window")
    if what != fact.what or fact.case.kind not in rule.get("kinds", [fact.case.kind]):
        return
    if who in ("window", "both"):
        yield f"window:{fact.window}"
    if who in ("officer", "both") and fact.officer:
        yield f"officer:{fact.officer}"


def _month(at: int) -> str:
    day: date = date_of(at // DAY)
    return f"{day:%Y-%m}"


# -- facts -----------------------------------------------------------------------------------------------------------


def facts_of(case: Case, office: Office, end: int) -> Iterator[Fact]:
    yield from _told(case)
    yield from _late(case, office, end)


def _told(case: Case) -> Iterator[Fact]:
    """What was done and said."""
    closed: Event | None = None
    for n, event in enumerate(case.events):
        key = f"{case.number}:{event.what}:{n}"
        if event.what == "closed":
            closed = event
            if event.data["how"] == "merged":
                continue
            done = (event.at, event.data["window"], event.data["officer"], case)
            yield Fact("finished", f"{case.number}:finished", *done)
            if event.data["how"] == "spot":
                yield Fact("spot", f"{case.number}:spot", *done)
            if case.publish:
                yield Fact("published", f"{case.number}:published", *done)
        elif event.what == "breach":
            yield Fact("breach", key, event.at, event.data["window"], event.who, case)
        elif event.what == "handed_back":
            yield from _wrongly_given(case, event, key)
        elif closed is not None and (what := _judged(event)):
            yield Fact(what, key, event.at, closed.data["window"], closed.data["officer"], case)


def _judged(event: Event) -> str:
    """What is said of the completion before."""
    if event.what == "rated":
        return {1: "bad-rating", 2: "bad-rating", 5: "five-stars"}.get(event.data["value"], "")
    if event.what == "solved":
        return "" if event.data["yes"] else "unsolved"
    return "reopened" if event.what == "reopened" else ""


def _wrongly_given(case: Case, back: Event, key: str) -> Iterator[Fact]:
    """For who had given it there; what the gateway placed is nobody's mistake."""
    for event in reversed(case.events[: case.events.index(back)]):
        if event.what in ("handed_over", "handed_back") and event.data["window"] == back.data["before"]:
            yield Fact("handed-back", key, back.at, event.data["before"], event.who, case)
            return


def _late(case: Case, office: Office, end: int) -> Iterator[Fact]:
    """Each clock of each round that ran out, and each working day that began with the case late."""
    for number, one in enumerate(case.rounds, 1):
        until = case.rounds[number].begun if number < len(case.rounds) else end
        stood = dues(one, case.limits, office, until)
        for what, due, met in (("late-signed", stood.signed, one.signed), ("late-first", stood.first, one.first)):
            if due < (until if met is None else met):
                yield Fact(what, f"{case.number}:{what}:{number}", due, *_holder(case, due), case)
        finish = _ran_out(case, one, office, until)
        if finish is not None:
            yield Fact("late", f"{case.number}:late:{number}", finish, *_holder(case, finish), case)
            yield from _late_days(case, one, number, office, finish, until)


def _ran_out(case: Case, one: Round, office: Office, until: int) -> int | None:
    """The due time that passed, as it stood before any extension that came after it."""
    for at, _ in one.extended:
        earlier = replace(one, extended=[given for given in one.extended if given[0] < at])
        due, _ = finish_of(earlier, case.limits, office, at)
        if due < at:
            return due
    due, _ = finish_of(one, case.limits, office, until)
    return due if due < (until if one.closed is None else one.closed) else None


def _late_days(case: Case, one: Round, number: int, office: Office, due: int, until: int) -> Iterator[Fact]:
    last = until if one.closed is None else one.closed
    for day in range(due_day(due) + 1, last // DAY + 1):
        if not worked(day) or (opening := office.of_day(day)[0][0]) >= min(until, last):
            continue
        stands, paused = finish_of(one, case.limits, office, opening)
        if stands < opening and paused is None:
            key = f"{case.number}:late-day:{number}:{day}"
            yield Fact("late-day", key, opening, *_holder(case, opening), case)


def _holder(case: Case, at: int) -> tuple[str, str]:
    """Window and officer who had the case at a moment."""
    window, officer = case.first_window, ""
    for event in case.events:
        if event.at > at:
            break
        if event.what in ("handed_over", "handed_back"):
            window, officer = event.data["window"], ""
        elif event.what == "reopened":
            window, officer = event.data["window"], event.data["officer"]
        elif event.what in SIGNING and not officer:
            officer = event.who
    return window, officer
