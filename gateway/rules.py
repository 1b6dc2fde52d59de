"""How windows and their officers are assessed: the shape of scoring.toml.

Policy
- A rule says what happened (`when`), to whom the points go (`who`) and how many, each time or for each working day that
  a case is late; a cap is per subject and month. The file's version is part of every point: what was counted once is
  explained by the rule of its day.
- `code` is what a point is known by: one that is renamed counts the same facts again. Change the name, keep the code.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from gateway.hall import Finding, Text, repeated
from gateway.tomlfile import Table

Points = Annotated[Decimal, Field(ge=-1000, le=1000, decimal_places=2)]
When = Literal[
    "finished",  # once per case and window
    "spot",  # finished on the spot
    "published",
    "five-stars",
    "bad-rating",  # 1 or 2
    "unsolved",
    "reopened",
    "late",  # not finished when it was due
    "late-signed",
    "late-first",  # first answer
    "breach",  # papers were not all told at once
    "handed-back",  # given to a window that it was not for
    "manual",  # somebody who may says so, with a reason
]
"""What can have happened; see gateway.scores.marking."""


class Rule(Table):
    """`points` may be negative; the cap is how far all of them together go, whatever their sign."""

    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    name: Text
    when: When
    kinds: tuple[Text, ...] = ()
    who: Literal["window", "officer", "both"] = "window"
    points: Points
    per: Literal["time", "day"] = "time"
    cap: Points | None = None
    basis: str = ""


class Band(Table):
    """What so many points and more are called."""

    name: Text
    least: Points


class Disqualified(Table):
    """Who may not be praised this year: so many points by a rule within so many working days (None: the year).

    With `same_case` they all are about one case: `times = 3` of a rule per day is a case that was three days late.
    """

    rule: Text
    times: Annotated[int, Field(ge=1)]
    days: Annotated[int, Field(ge=1)] | None = None
    same_case: bool = False
    why: Text


class Scoring(Table):
    """scoring.toml as a whole."""

    version: str = ""
    base: Points = Decimal(100)
    rules: tuple[Rule, ...] = ()
    bands: tuple[Band, ...] = ()
    disqualified: tuple[Disqualified, ...] = ()

    def rule(self, code: str) -> Rule | None:
        return next((rule for rule in self.rules if rule.code == code), None)


def contradictions(scoring: Scoring) -> Iterator[Finding]:
    """Codes that stand twice, days of what has none, and disqualifications by rules that are not there."""
    yield from repeated([(("rules", n, "code"), one.code) for n, one in enumerate(scoring.rules)])
    for n, rule in enumerate(scoring.rules):
        if rule.per == "day" and rule.when != "late":
            yield ("rules", n, "per"), "只有 late 能按天算", "only late is counted by the day"
    for n, one in enumerate(scoring.disqualified):
        if scoring.rule(one.rule) is None:
            yield ("disqualified", n, "rule"), f"没有规则 {one.rule}", f"no rule {one.rule}"
