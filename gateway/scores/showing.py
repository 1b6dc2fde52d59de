"""Points as they are shown: the board, one subject's sheet, and appeals.

Policy
- A point is explained by its case, its rule and the version of the rule file that it cites; a past month is added up by
  the newest version that its points cite, not by today's.
- A point is wrong until somebody says so: whoever it was counted for, or a director, appeals once; a director who did
  not appeal and whom it does not concern decides. A reversed point is kept, shown struck, and counts no more.
- Case numbers are shown to those who may see the case.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import ValidationError

from gateway import words
from gateway.errors import Conflict, NotFound, Refused
from gateway.model import Role
from gateway.officials import Official
from gateway.rules import Scoring
from gateway.scores.board import Point, Standing, barred, board, score
from gateway.scores.ground import OFFICER, READ, Ground, given, grouped, month_before
from gateway.store import Connection, audit, site_files
from gateway.store import points as rows
from gateway.store.points import REVERSED, UPHELD

WAITING = "waiting"
HIDDEN = "（保密件）"


class Sheet(NamedTuple):
    """The points of one subject in a month: what they come to, and each with why, in the order of the facts."""

    standing: Standing
    points: Sequence[Point]


class Showing:
    """One transaction's worth each."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    # -- the board ---------------------------------------------------------------------------------------------------

    def board(self, db: Connection, month: str, who: str) -> list[Standing]:
        """All windows, or all officers, best first."""
        earlier = month_before(month)
        found = [
            row
            for row in rows.of_months(db, min(f"{month[:4]}-01", earlier), month)
            if row.subject.startswith(f"{who}:")
        ]
        months = grouped([_plain(row) for row in found], lambda one: one.month)
        here, there = (grouped(months.get(one, []), lambda point: point.subject) for one in (month, earlier))
        scoring, theirs = self._rules_of(db, found, month), self._rules_of(db, found, earlier)
        names = self._ground.everybody(who, [*here, *there])
        before = {subject: score(there.get(subject, ()), theirs) for subject in names}
        year = [point for name, its in months.items() if name[:4] == month[:4] for point in its]
        return board(names, here, scoring, before, self._barred(year, scoring))

    def _barred(self, year: Sequence[Point], scoring: Scoring) -> dict[str, str]:
        by_subject = grouped(year, lambda one: one.subject)
        why = {one: barred(its, scoring, self._ground.day, self._ground.workdays) for one, its in by_subject.items()}
        return {subject: one for subject, one in why.items() if one}

    def _rules_of(self, db: Connection, found: Sequence[Any], month: str) -> Scoring:
        """The rules of a month: those of the newest version that its points cite, else those of today."""
        cited = [row.site_file_id for row in found if row.month == month and row.site_file_id]
        kept = site_files.get(db, max(cited)) if cited else None
        return (_read(kept.content) if kept else None) or self._ground.config.scoring

    def show(self, db: Connection, subject: str, month: str, by: Official | None) -> Sheet:
        """One subject; NotFound for one that has no place on that month's board."""
        line = next((one for one in self.board(db, month, subject.partition(":")[0]) if one.subject == subject), None)
        if line is None:
            raise NotFound(f"{month} 没有 {subject} 的分", f"{subject} has no points in {month}")
        return Sheet(line, [self.point(db, row, by) for row in rows.of_months(db, month, month, subject)])

    def point(self, db: Connection, row: Any, by: Official | None) -> Point:
        """A point with its rule's name as it was then and the version it cites, as `by` may see it."""
        seen = row.number is None or self._ground.sight.may_see(row, by)
        kept = site_files.get(db, row.site_file_id) if row.site_file_id else None
        scoring = _read(kept.content) if kept else None
        rule = scoring.rule(row.rule) if scoring else None
        version = f"{kept.name} {(scoring.version if scoring else '') or kept.sha256[:8]}" if kept else ""
        number, why = (row.number, row.why) if seen else (None, row.why.replace(row.number, HIDDEN))
        return _plain(row, name=rule.name if rule else row.rule, version=version, number=number, why=why)

    # -- appeals -----------------------------------------------------------------------------------------------------

    def undecided(self, db: Connection, by: Official | None) -> list[Point]:
        """Points whose appeal waits for a director, the oldest first."""
        return [self.point(db, row, by) for row in rows.undecided(db)]

    def appeal(self, db: Connection, point_id: int, reason: str, by: Official) -> int:
        """The appeal's id; NotFound also for a point that `by` may not see."""
        row, own = rows.get(db, point_id), False
        if row is not None:
            own = self._ground.own(row.subject, by)
        if row is None or not (own or (self._ground.sees_all(by) and not by.roles.isdisjoint(READ))):
            raise NotFound(f"没有这一分：{point_id}", f"no point {point_id}")
        if not own:
            by.needs(Role.DIRECTOR)
        if row.appeal_id is not None:
            raise Conflict("这一分已经申诉过", "that point was appealed already")
        said = words.storable(given(reason, "要写明申诉理由", "say why it is wrong"))
        now = self._ground.clock.now()
        appeal_id = rows.add_appeal(db, point_id, said, by.login, now)
        audit.append(db, now, by.login, "scores.appeal", f"point {point_id}", {"appeal": appeal_id})
        return appeal_id

    def decide(self, db: Connection, appeal_id: int, upheld: bool, why: str, by: Official) -> None:
        row = rows.of_appeal(db, appeal_id)
        if row is None:
            raise NotFound(f"没有这个申诉：{appeal_id}", f"no appeal {appeal_id}")
        if row.decision is not None:
            raise Conflict(f"{row.decided_by} 已经裁定", f"{row.decided_by} has decided")
        if by.login == row.appealed_by or row.subject == f"{OFFICER}:{by.login}":
            raise Refused("申诉的人和本人不能裁定", "neither who appealed nor whom it concerns decides")
        said = words.storable(given(why, "要写明裁定理由", "say why"))
        decision, now = UPHELD if upheld else REVERSED, self._ground.clock.now()
        rows.decide(db, appeal_id, decision, said, by.login, now)
        what = {"point": row.id, "subject": row.subject, "decision": decision}
        audit.append(db, now, by.login, "scores.decide", f"appeal {appeal_id}", what)


def _plain(row: Any, **changed: Any) -> Point:
    """A row as a value."""
    copied = ("id", "month", "subject", "rule", "why", "case_id", "number", "at", "by", "appeal_id", "decided_by")
    values = {name: getattr(row, name) for name in copied}
    appeal = None if row.appeal_id is None else row.decision or WAITING
    values |= {"name": row.rule, "version": "", "points": Decimal(row.points), "appeal": appeal}
    values |= {"appeal_reason": row.reason, "appeal_by": row.appealed_by, "decided_why": row.decided_why}
    return Point(**{**values, **changed})


@lru_cache(maxsize=64)
def _read(content: str) -> Scoring | None:
    """A version of the rule file as it was; None for one whose shape this program no longer reads."""
    try:
        return Scoring.model_validate(tomllib.loads(content))
    except (ValidationError, tomllib.TOMLDecodeError):
        return None
