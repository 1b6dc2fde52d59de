"""SQL of points and appeals: what was counted for whom, and what of it counts no more.

Policy
- A point is a row that is never changed and never removed; one that was reversed is kept and shown with the decision.
- A fact counts once for a rule and a subject. The database says so (a unique index), so that two runs at once add it
  once.
- A point has one appeal. Who appeals or decides holds the point's row first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, and_, exists, func, or_, select, update

from gateway.store import bulk
from gateway.store.tables import appeal, case, case_event, point

REVERSED, UPHELD = "reversed", "upheld"
COLUMNS = ("month", "subject", "rule", "site_file_id", "case_id", "fact", "points", "why", "by", "at")
MANY = 500


class New(NamedTuple):
    """A point to be kept, as `COLUMNS`; `at` is when the fact happened, `by` who counted it."""

    month: str
    subject: str
    rule: str
    site_file_id: int
    case_id: int | None
    fact: str
    points: Decimal
    why: str
    by: str
    at: datetime


def touched(db: Connection, since: datetime, until: datetime) -> list[Any]:
    """The cases to which something can have happened from `since` up to `until`, excluded: rows, oldest first."""
    c, e = case.c, case_event.c
    happened = exists().where(e.case_id == c.id, e.at >= since, e.at < until)
    alive = or_(c.closed_at.is_(None), c.closed_at >= since, happened)
    return list(db.execute(select(case).where(c.opened_at < until, alive).order_by(c.id)).all())


def add(db: Connection, new: Sequence[New]) -> int:
    """Keep those that are not kept yet; how many they were."""
    months = sorted({one.month for one in new})
    before = _how_many(db, months)
    bulk.insert(db, point, COLUMNS, [tuple(one) for one in new], ignore=True)
    return _how_many(db, months) - before


def _how_many(db: Connection, months: Collection[str]) -> int:
    return int(db.execute(select(func.count()).select_from(point).where(point.c.month.in_(months))).scalar_one())


def id_of(db: Connection, one: New) -> int:
    """The id of a point that is kept."""
    p = point.c
    mine = and_(p.rule == one.rule, p.subject == one.subject, p.fact == one.fact)
    return int(db.execute(select(p.id).where(mine)).scalar_one())


def known(db: Connection, facts: Sequence[str]) -> set[tuple[str, str, str]]:
    """(rule, subject, fact) of those facts that are counted already."""
    found: set[tuple[str, str, str]] = set()
    p = point.c
    for start in range(0, len(facts), MANY):
        query = select(p.rule, p.subject, p.fact).where(p.fact.in_(facts[start : start + MANY]))
        found |= {(row.rule, row.subject, row.fact) for row in db.execute(query)}
    return found


def _shown() -> Select[Any]:
    """Points with the number of their case and their appeal, if there is one."""
    a = appeal.c
    appealed = (a.id.label("appeal_id"), a.reason, a.decision, a.decided_by, a.decided_why)
    about = (case.c.number, case.c.area, case.c.restricted, case.c.about)
    joined = point.outerjoin(case, case.c.id == point.c.case_id).outerjoin(appeal, a.point_id == point.c.id)
    return select(point, *about, *appealed, a.by.label("appealed_by"), a.at.label("appealed_at")).select_from(joined)


def of_months(db: Connection, first: str, last: str, subject: str | None = None) -> list[Any]:
    """The points of these months, both included, in the order in which the facts happened; all subjects or one."""
    p = point.c
    within = and_(p.month >= first, p.month <= last)
    query = _shown().where(within if subject is None else and_(within, p.subject == subject))
    return list(db.execute(query.order_by(p.at, p.id)).all())


def get(db: Connection, point_id: int) -> Any:
    """A point with its appeal, or None; nobody else appeals or decides until the transaction ends."""
    db.execute(select(point.c.id).where(point.c.id == point_id).with_for_update()).all()
    return db.execute(_shown().where(point.c.id == point_id)).one_or_none()


def of_appeal(db: Connection, appeal_id: int) -> Any:
    """The point that an appeal is about, held; None where there is no such appeal."""
    point_id = db.execute(select(appeal.c.point_id).where(appeal.c.id == appeal_id)).scalar_one_or_none()
    return None if point_id is None else get(db, point_id)


def add_appeal(db: Connection, point_id: int, reason: str, by: str, at: datetime) -> int:
    """The new appeal's id."""
    return bulk.insert_one(db, appeal, point_id=point_id, reason=reason, by=by, at=at)


def decide(db: Connection, appeal_id: int, decision: str, why: str, by: str, at: datetime) -> None:
    """Write down what was decided: upheld or reversed."""
    decided = {"decision": decision, "decided_why": why, "decided_by": by, "decided_at": at}
    db.execute(update(appeal).where(appeal.c.id == appeal_id).values(**decided))


def undecided(db: Connection) -> list[Any]:
    """Points with an appeal that nobody has decided, the oldest appeal first."""
    waiting = _shown().where(appeal.c.id.is_not(None), appeal.c.decision.is_(None))
    return list(db.execute(waiting.order_by(appeal.c.id)).all())
