"""SQL of the summary: how many cases there were, how they went, and which they are.

Policy
- A figure is a condition on a case (`FIGURES`), and counting and listing ask with the same one: every figure can name
  its cases, and parts add up to the whole.
- Counted are matters as people see them: a case that was merged into another and the parts of a case for several
  windows are not counted besides. A case is told of in the month in which it was opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, literal, or_, select, true
from sqlalchemy import case as when

from gateway.model import CaseState, Happened
from gateway.store.tables import case, case_event

c = case.c
SATISFIED_FROM = 3


class Month(NamedTuple):
    """A month of the site: from `begins_at` up to `ends_at`, excluded."""

    name: str
    begins_at: datetime
    ends_at: datetime


class Scope(NamedTuple):
    """Cases opened from `since` up to `until`, excluded, in the area of that prefix, as they stand `now`."""

    since: datetime
    until: datetime
    area: str
    now: datetime


class Group(NamedTuple):
    """The figures of one value of a grouping, by name as in `FIGURES`; `stars` is the sum of all ratings."""

    key: str
    counts: Mapping[str, int]
    stars: int


def figures(now: datetime) -> Mapping[str, ColumnElement[bool]]:
    """What each figure counts, at `now`."""
    closed = c.state == CaseState.CLOSED
    moved = select(case_event.c.case_id).where(case_event.c.kind == Happened.HANDED_OVER)
    waits_for_hall = and_(~closed, c.waiting_since.is_(None))
    return {
        "received": true(),
        "finished": closed,
        "open": ~closed,
        "on_time": and_(closed, or_(c.due_at.is_(None), c.closed_at <= c.due_at)),
        "late": or_(and_(closed, c.closed_at > c.due_at), and_(waits_for_hall, c.due_at < now)),
        "handed_over": c.id.in_(moved),
        "spot": and_(closed, c.closed_how == "spot"),
        "rated": c.rating.is_not(None),
        "satisfied": c.rating >= SATISFIED_FROM,
        "told": c.solved.is_not(None),
        "solved": c.solved.is_(True),
        "reopened": c.rounds > 1,
    }


FIGURES: Sequence[str] = (
    *("received", "finished", "open", "on_time", "late", "handed_over", "spot"),
    *("rated", "satisfied", "told", "solved", "reopened"),
)


def counted(db: Connection, scope: Scope, grouping: str, months: Sequence[Month]) -> list[Group]:
    """The figures by `window`, `item`, `area` or `month`, or for "" all in one; groups without a case are not there."""
    key = _key(grouping, months).label("key")
    tests = figures(scope.now)
    sums = [func.sum(when((tests[name], 1), else_=0)).label(name) for name in FIGURES]
    query = select(key, *sums, func.sum(func.coalesce(c.rating, 0)).label("stars")).where(_within(scope))
    return [
        Group(row.key, {name: int(getattr(row, name)) for name in FIGURES}, int(row.stars))
        for row in db.execute(query.group_by("key"))
    ]


def listed(
    db: Connection, scope: Scope, figure: str, window: str | None, item: str | None, month: Month | None
) -> list[Any]:
    """The rows of the cases that a figure counts, oldest first; `item` "" is those without one."""
    query = select(case).where(_within(scope), figures(scope.now)[figure])
    if window is not None:
        query = query.where(c.window == window)
    if item is not None:
        query = query.where(func.coalesce(c.item, "") == item)
    if month is not None:
        query = query.where(c.opened_at >= month.begins_at, c.opened_at < month.ends_at)
    return list(db.execute(query.order_by(c.opened_at, c.id)).all())


def _within(scope: Scope) -> ColumnElement[bool]:
    whole = and_(c.parent_id.is_(None), c.merged_into.is_(None), c.opened_at >= scope.since, c.opened_at < scope.until)
    return and_(whole, c.area.startswith(scope.area, autoescape=True)) if scope.area else whole


def _key(grouping: str, months: Sequence[Month]) -> ColumnElement[str]:
    if grouping == "month":
        return when(*((c.opened_at < month.ends_at, literal(month.name)) for month in months), else_=literal(""))
    columns: Mapping[str, ColumnElement[str]] = {
        "": literal(""),
        "window": c.window,
        "item": func.coalesce(c.item, ""),
        "area": c.area,
    }
    return columns[grouping]
