"""SQL of cases: their rows, their events, and the daily count their numbers come from.

Policy
- What was said and done is appended to `case_event`; the case's row holds where it stands now.
- Whoever changes a case reads its row `FOR UPDATE` first, so that a clerk and a text that comes in take turns.
- The daily count is raised by the transaction that opens the case: one that fails gives its number back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from gateway.model import CaseState, Happened
from gateway.store import bulk
from gateway.store.tables import case, case_count, case_event
from gateway.store.types import sealed

MANY = 500
"""Ids in one statement."""
SAID = (Happened.REPLIED, Happened.CALLED, Happened.ASKED_PAPERS, Happened.STEP, Happened.CLOSED)
"""Events by which somebody of the hall spoke to the person."""


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


def get(db: Connection, case_id: int) -> Any:
    """The case of an id, held until the transaction ends."""
    return db.execute(select(case).where(case.c.id == case_id).with_for_update()).one()


def open_of(db: Connection, phone: str) -> list[Any]:
    """A number's cases that are not closed, oldest first, held until the transaction ends."""
    live = select(case).where(case.c.phone == sealed(phone), case.c.state != CaseState.CLOSED)
    return list(db.execute(live.order_by(case.c.id).with_for_update()).all())


def closed_since(db: Connection, phone: str, since: datetime) -> list[Any]:
    """A number's cases that were finished since then, the newest first; not those that are part of another."""
    c = case.c
    recent = select(case).where(
        c.phone == sealed(phone),
        c.state == CaseState.CLOSED,
        c.closed_at > since,
        c.merged_into.is_(None),
        c.parent_id.is_(None),
    )
    return list(db.execute(recent.order_by(c.closed_at.desc(), c.id.desc()).with_for_update()).all())


def subs_of(db: Connection, case_id: int) -> list[Any]:
    """The parts that a case was given to several windows in, oldest first."""
    return list(db.execute(select(case).where(case.c.parent_id == case_id).order_by(case.c.id)).all())


def awaiting_papers(db: Connection, limit: int) -> list[Any]:
    """Open cases whose clock stands still, the longest first, held until the transaction ends."""
    c = case.c
    waiting = select(case).where(c.waiting_since.is_not(None), c.state != CaseState.CLOSED)
    return list(db.execute(waiting.order_by(c.waiting_since, c.id).limit(limit).with_for_update()).all())


def unclosed_at(db: Connection, window: str, area: str, limit: int) -> list[Any]:
    """Cases at a window that are not closed, the newest first; `area` is a prefix."""
    live = select(case).where(case.c.window == window, case.c.state != CaseState.CLOSED)
    live = live.where(case.c.area.startswith(area, autoescape=True)) if area else live
    return list(db.execute(live.order_by(case.c.id.desc()).limit(limit)).all())


def between(db: Connection, since: datetime, until: datetime, area: str, *, closed: bool = False) -> list[Any]:
    """Cases opened (or `closed`) from `since` up to `until`, excluded, oldest first; `area` is a prefix."""
    at = case.c.closed_at if closed else case.c.opened_at
    query = select(case).where(at >= since, at < until)
    query = query.where(case.c.area.startswith(area, autoescape=True)) if area else query
    return list(db.execute(query.order_by(at, case.c.id)).all())


COLUMNS = ("case_id", "kind", "who", "body", "data", "inbound_id", "at")


def add_texts(db: Connection, case_id: int, texts: Iterable[tuple[int, str, datetime]]) -> None:
    """Append texts of the person: (id of the inbound text, what it says, when it came), by the thousand."""
    rows: list[bulk.Row] = [(case_id, Happened.TEXT, "", body, {}, inbound_id, at) for inbound_id, body, at in texts]
    bulk.insert(db, case_event, COLUMNS, rows)


def events_of(db: Connection, case_ids: Sequence[int], kinds: Collection[str]) -> dict[int, list[Any]]:
    """Events of these kinds by case, oldest first."""
    found: dict[int, list[Any]] = {one: [] for one in case_ids}
    c = case_event.c
    for start in range(0, len(case_ids), MANY):
        some = case_ids[start : start + MANY]
        for row in db.execute(select(case_event).where(c.case_id.in_(some), c.kind.in_(kinds)).order_by(c.id)):
            found[row.case_id].append(row)
    return found


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
    """Add one event; `kind` is one of model.Happened."""
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
        .where(case.c.phone == sealed(phone), case_event.c.kind.in_(SAID))
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
