"""How windows and their officers are assessed: the shape of scoring.toml.

Policy
- A rule says what happened (`when`), to whom the points go (`who`) and how many, each time or for each day; a cap is
  per subject and month. The file's version is part of every point: what was counted once is explained by the rule of
  its day.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from gateway.hall import Finding, Text, repeated
from gateway.tomlfile import Table

Points = Annotated[Decimal, Field(ge=-1000, le=1000)]


class Rule(Table):
    """`when` is a fact the gateway knows (late, breach, bad-rating, ...) or "manual"; points may be negative."""

    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    name: Text
    when: Text
    kinds: tuple[Text, ...] = ()
    who: Literal["window", "officer", "both"] = "window"
    points: Points
    per: Literal["time", "day"] = "time"
    cap: Points | None = None
    basis: str = ""


class Band(Table):
    """`from_` points up (not included below): the band's name."""

    name: Text
    least: Points


class Disqualified(Table):
    """Who may not be praised this year: so many points-worthy facts of a rule within `days` (None: a year)."""

    rule: Text
    times: Annotated[int, Field(ge=1)]
    days: Annotated[int, Field(ge=1)] | None = None
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
    """Codes that stand twice and disqualifications by rules that are not there."""
    yield from repeated([(("rules", n, "code"), one.code) for n, one in enumerate(scoring.rules)])
    for n, one in enumerate(scoring.disqualified):
        if scoring.rule(one.rule) is None:
            yield ("disqualified", n, "rule"), f"没有规则 {one.rule}", f"no rule {one.rule}"
