"""SQL of cases: their rows, their events, and the daily count their numbers come from.

Policy
- What was said and done is appended to `case_event`; the case's row holds where it stands now.
- Whoever changes a case reads its row `FOR UPDATE` first, so that a clerk and a text that comes in take turns.
- The daily count is raised by the transaction that opens the case: one that fails gives its number back.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from gateway.model import CaseState
from gateway.store import bulk
from gateway.store.tables import case, case_count, case_event
from gateway.store.types import sealed


def next_count(db: Connection, day: date) -> int:
    """The day's next number, from 1."""
    bulk.insert(db, case_count, ("day", "last"), [(day, 0)], ignore=True)
    raised = update(case_count).where(case_count.c.day == day).values(last=case_count.c.last + 1)
    return int(db.execute(raised.returning(case_count.c.last)).scalar_one())


def add(db: Connection, values: Mapping[str, Any]) -> Any:
    """Insert a case; its row."""
    db.execute(insert(case).values(**values))
    return db.execute(select(case).where(case.c.number == values["number"])).one()


def change(db: Connection, case_id: int, **values: Any) -> None:
    """Set columns of one case."""
    db.execute(update(case).where(case.c.id == case_id).values(**values))


def by_number(db: Connection, number: str, *, hold: bool) -> Any:
    """The case of a number, or None; with `hold` nobody else changes it until the transaction ends."""
    query = select(case).where(case.c.number == number)
    return db.execute(query.with_for_update() if hold else query).one_or_none()


def open_of(db: Connection, phone: str) -> list[Any]:
    """A number's cases that are not closed, oldest first, held until the transaction ends."""
    live = select(case).where(case.c.phone == sealed(phone), case.c.state != CaseState.CLOSED)
    return list(db.execute(live.order_by(case.c.id).with_for_update()).all())


def append(
    db: Connection,
    case_id: int,
    kind: str,
    who: str,
    at: datetime,
    *,
    body: str = "",
    data: Mapping[str, Any] | None = None,
    message_id: int | None = None,
    inbound_id: int | None = None,
) -> None:
    """Add one event: text, acknowledged, replied, handed_over, closed or reopened."""
    values = {"case_id": case_id, "kind": kind, "who": who, "body": body, "data": dict(data or {}), "at": at}
    db.execute(insert(case_event).values(**values, message_id=message_id, inbound_id=inbound_id))


def events(db: Connection, case_id: int) -> list[Any]:
    """What was said and done, oldest first."""
    return list(db.execute(select(case_event).where(case_event.c.case_id == case_id).order_by(case_event.c.id)).all())


def last_said(db: Connection, phone: str) -> datetime | None:
    """When somebody of the hall last answered this number."""
    query = (
        select(func.max(case_event.c.at))
        .join(case, case.c.id == case_event.c.case_id)
        .where(case.c.phone == sealed(phone), case_event.c.kind == "replied")
    )
    said: datetime | None = db.execute(query).scalar_one_or_none()
    return said


def listed(db: Connection, window: str | None, state: str | None, area: str, limit: int) -> list[Any]:
    """Cases by due time, then by age; without a `state` those that are not closed. `area` is a prefix."""
    query = select(case).where(case.c.state == state if state else case.c.state != CaseState.CLOSED)
    if window:
        query = query.where(case.c.window == window)
    if area:
        query = query.where(case.c.area.startswith(area, autoescape=True))
    return list(db.execute(query.order_by(case.c.due_at.is_(None), case.c.due_at, case.c.id).limit(limit)).all())
