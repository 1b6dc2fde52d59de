"""Scores: points of windows and officers by the site's rules, the board they make, and the summary of a period.

Policy
- A point is made of a fact of a case (`marking`) by a rule of scoring.toml, once, and cites the file's version
  (`counting`). What it comes to is added up when somebody looks (`board`, `showing`), less what was reversed.
- The gateway counts every day by itself. Directors and administrators run and give, directors decide appeals, auditors
  read along; an officer reads their own points and those of their window. A summary is for the same, for their area.
- `by` None is the machine that the gateway runs on.
"""

from __future__ import annotations

from datetime import date

from gateway.config import Config
from gateway.errors import Refused
from gateway.model import Role
from gateway.officials import SYSTEM, Official
from gateway.scores import summary
from gateway.scores.board import Point, RuleSum, Standing
from gateway.scores.counting import Counting
from gateway.scores.figures import Figures, Listed
from gateway.scores.ground import OFFICER, READ, WINDOW, Ground, month_before
from gateway.scores.showing import Sheet, Showing
from gateway.scores.summary import Cell, Line, Summary
from gateway.store import Store
from gateway.worktime import Clock

__all__ = ["Cell", "Line", "Listed", "Point", "RuleSum", "Scores", "Sheet", "Standing", "Summary"]


class Scores:
    """Points, the board, appeals and the summary."""

    def __init__(self, store: Store, config: Config, clock: Clock) -> None:
        self._store, self._ground = store, Ground(config, clock)
        self._counting, self._showing = Counting(self._ground), Showing(self._ground)
        self._figures = Figures(self._ground)

    # -- counting ----------------------------------------------------------------------------------------------------

    async def run(self, month: str | None = None, *, by: Official) -> int:
        """Count what happened in a month ("2026-07", without: this one) and is not counted yet; how many points."""
        self._ground.may_manage(by)
        return await self._store.write(self._counting.run, self._ground.month(month), by)

    async def run_due(self) -> int:
        """Count what happened this month and last month; done every day by the gateway itself."""
        if not self._ground.config.scoring.rules:
            return 0
        month = self._ground.month(None)
        return sum([await self.run(one, by=SYSTEM) for one in (month_before(month), month)])

    async def give(
        self, subject: str, rule: str, why: str, *, by: Official, day: date | None = None, number: str | None = None
    ) -> int:
        """Count by hand what a rule with `when = "manual"` is for, today or on a `day`; the point's id."""
        self._ground.may_manage(by)
        return await self._store.write(self._counting.give, subject, rule, why, by, day, number)

    # -- looking -----------------------------------------------------------------------------------------------------

    async def board(self, month: str | None = None, who: str = WINDOW, *, by: Official | None = None) -> list[Standing]:
        """All windows, or all officers, best first; `who` is window or officer."""
        self._ground.may_read(by)
        if who not in (WINDOW, OFFICER):
            raise Refused("看 window（窗口）或 officer（人员）", "window or officer")
        return await self._store.read(self._showing.board, self._ground.month(month), who)

    async def show(self, subject: str, month: str | None = None, *, by: Official | None = None) -> Sheet:
        """The points of one window or officer in a month, each with case, rule, version and why.

        `subject` is window:minzheng, officer:zhao-ting, or a code, a login or a name.
        """
        found = self._ground.subject(subject)
        if by is None or not self._ground.own(found, by):
            self._ground.may_read(by)
        return await self._store.read(self._showing.show, found, self._ground.month(month), by)

    # -- appeals -----------------------------------------------------------------------------------------------------

    async def appeal(self, point_id: int, reason: str, *, by: Official) -> int:
        """Say that a point is wrong; the appeal's id. For whoever it was counted for, and for directors."""
        return await self._store.write(self._showing.appeal, point_id, reason, by)

    async def decide(self, appeal_id: int, upheld: bool, why: str, *, by: Official) -> None:
        """Decide an appeal, with the reason. `upheld`: the point stands; else it is reversed and counts no more.

        Refused for who appealed and for whom the point was counted.
        """
        by.needs(Role.DIRECTOR)
        self._ground.needs_hall(by)
        await self._store.write(self._showing.decide, appeal_id, upheld, why, by)

    async def appeals(self, *, by: Official | None = None) -> list[Point]:
        """Points whose appeal waits for a director, the oldest first."""
        self._ground.may_read(by)
        return await self._store.read(self._showing.undecided, by)

    # -- the summary -------------------------------------------------------------------------------------------------

    async def summary(
        self, since: date | None = None, until: date | None = None, *, by: Official | None = None
    ) -> Summary:
        """The figures of the cases opened from a day (this year's first) to a day (today), both included."""
        if by is not None:
            by.needs(*READ)
        return await self._store.read(self._figures.summary, *self._figures.period(since, until), by)

    async def cases_of(
        self, cell: str | Cell, since: date | None = None, until: date | None = None, *, by: Official | None = None
    ) -> Listed:
        """The cases that a figure counts, oldest first: `window=minzheng,on_time`; see `summary.cell`."""
        if by is not None:
            by.needs(*READ)
        asked = summary.cell(cell) if isinstance(cell, str) else cell
        return await self._store.read(self._figures.cases_of, asked, *self._figures.period(since, until), by)
