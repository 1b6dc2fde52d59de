"""The scoreboard: sums, bands, ranks and trends of subjects from their points; pure.

Policy
- Everybody begins a month with the rule file's `base`. A rule's cap bounds what all of its points of a month come to,
  and is taken when they are added up: a point that is reversed makes room for those behind it.
- Reversed points are shown and count nothing.
- Ranks are shared by equal scores (1, 1, 3). Whoever is disqualified stands behind everybody else, without a rank and
  with the reason; that lasts until the end of the year in which it happened.
- The trend is the score less that of the month before, by that month's own rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from gateway.rules import Disqualified, Scoring

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Point:
    """A point as it is shown; `number` is its case's, `version` names the rule file, `appeal` is None, or where it
    stands: waiting, upheld (the point stands) or reversed.
    """

    id: int
    month: str
    subject: str
    rule: str
    name: str
    points: Decimal
    why: str
    case_id: int | None
    number: str | None
    version: str
    at: datetime
    by: str
    appeal: str | None = None
    appeal_id: int | None = None
    appeal_reason: str | None = None
    appeal_by: str | None = None
    decided_by: str | None = None
    decided_why: str | None = None

    @property
    def counts(self) -> bool:
        return self.appeal != "reversed"


@dataclass(frozen=True, slots=True)
class RuleSum:
    """What the points of one rule come to in a month; `counted` is `points` within the cap."""

    rule: str
    name: str
    times: int
    points: Decimal
    counted: Decimal


@dataclass(frozen=True, slots=True)
class Standing:
    """One line of the board; `rank` is None for whoever is disqualified, `before` the score of the month before."""

    subject: str
    name: str
    score: Decimal
    band: str
    rank: int | None
    before: Decimal
    sums: Sequence[RuleSum]
    disqualified: str = ""

    @property
    def trend(self) -> Decimal:
        return self.score - self.before


def sums(points: Iterable[Point], scoring: Scoring) -> list[RuleSum]:
    """The points of one subject and month by rule, in the order of the file; those reversed are left out."""
    by_rule: dict[str, list[Point]] = {}
    for point in points:
        if point.counts:
            by_rule.setdefault(point.rule, []).append(point)
    order = {rule.code: n for n, rule in enumerate(scoring.rules)}
    return [_sum(code, by_rule[code], scoring) for code in sorted(by_rule, key=lambda one: order.get(one, len(order)))]


def _sum(code: str, points: Sequence[Point], scoring: Scoring) -> RuleSum:
    rule = scoring.rule(code)
    total = sum((point.points for point in points), ZERO)
    cap = None if rule is None or rule.cap is None else abs(rule.cap)
    counted = total if cap is None else max(-cap, min(cap, total))
    return RuleSum(code, rule.name if rule else points[-1].name, len(points), total, counted)


def score(points: Iterable[Point], scoring: Scoring) -> Decimal:
    """The base and what the points of one subject and month come to."""
    return scoring.base + sum((one.counted for one in sums(points, scoring)), ZERO)


def band(value: Decimal, scoring: Scoring) -> str:
    """What so many points are called; "" where the file has no name for them."""
    fitting = [one for one in scoring.bands if one.least <= value]
    return max(fitting, key=lambda one: one.least).name if fitting else ""


def board(
    names: Mapping[str, str],
    points: Mapping[str, Sequence[Point]],
    scoring: Scoring,
    before: Mapping[str, Decimal],
    barred: Mapping[str, str],
) -> list[Standing]:
    """Subjects (with their names), best first; `points` are the month's, `barred` why somebody is disqualified."""
    scores = {subject: score(points.get(subject, ()), scoring) for subject in names}
    fair = [scores[subject] for subject in names if subject not in barred]
    place = {name: n for n, name in enumerate(names)}
    ordered = sorted(names, key=lambda one: (one in barred, -scores[one], place[one]))
    return [
        Standing(
            subject,
            names[subject],
            scores[subject],
            band(scores[subject], scoring),
            None if subject in barred else 1 + sum(other > scores[subject] for other in fair),
            before.get(subject, scoring.base),
            sums(points.get(subject, ()), scoring),
            barred.get(subject, ""),
        )
        for subject in ordered
    ]


def barred(
    year: Sequence[Point], scoring: Scoring, day: Callable[[datetime], date], workdays: Callable[[date, date], int]
) -> str:
    """Why a subject is disqualified by its points of the year up to now, or "".

    `workdays` counts the working days from one day to another, both included.
    """
    for rule in scoring.disqualified:
        mine = [point for point in year if point.rule == rule.rule and point.counts]
        if any(_reached(some, rule, day, workdays) for some in _apart(mine, rule)):
            return rule.why
    return ""


def _apart(points: Sequence[Point], rule: Disqualified) -> Iterable[Sequence[Point]]:
    if not rule.same_case:
        return [points]
    by_case: dict[int, list[Point]] = {}
    for point in points:
        if point.case_id is not None:
            by_case.setdefault(point.case_id, []).append(point)
    return by_case.values()


def _reached(
    points: Sequence[Point], rule: Disqualified, day: Callable[[datetime], date], workdays: Callable[[date, date], int]
) -> bool:
    days = sorted(day(point.at) for point in points)
    if rule.days is None:
        return len(days) >= rule.times
    spans = zip(days, days[rule.times - 1 :], strict=False)
    return any(workdays(first, last) <= rule.days for first, last in spans)
