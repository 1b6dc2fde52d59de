"""What the month should have come to, worked out of the plan alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.month import clerks
from tests.month.alarms import Alarms
from tests.month.hall import Hall
from tests.month.plan import Plan
from tests.month.points import Points

GIVEN = ("give", "appeal", "decide")


class Oracle:
    """The hall, its alarms and its points at the end of the month."""

    def __init__(self, site: Path, plan: Plan, villages: dict[str, str]) -> None:
        self.alarms = Alarms(site)
        self.hall = self.alarms.hall = Hall(site, villages, self.alarms.page)
        self.trail: list[tuple[Any, ...]] = []
        """After each act of a clerk: when, number, the three due times, and since when papers are awaited."""
        for step in plan.steps():
            if step.what == "hear":
                self.hall.hear(step.at)
            elif step.what == "look":
                self.alarms.look(step.at)
            elif step.act is not None and step.act.verb == "text":
                self.hall.receive(step.act)
            elif step.act is not None and step.act.verb not in GIVEN:
                clerks.does(self.hall, step.act)
                case = self.hall.of(step.act.story, step.act.case)
                self.trail.append((step.at, case.number, *case.row))
        self.end = step.at
        self.points = Points(self.hall, self.end)
        for act in plan.acts:
            if act.verb in GIVEN and act.at < self.end:
                self.points.given(act)
