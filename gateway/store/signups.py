"""SQL of sign-ups for courses.

Policy
- One row per course, number and name: who signs up again after leaving goes to the end of the line.
- Whoever changes a course's list holds it first (`hold_course`), so that the last place is given once.
- Names and numbers are blanked some time after the last change, or at once for whoever is to be forgotten.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from gateway.store import bulk
from gateway.store.tables import signup
from gateway.store.types import sealed

IN, WAITING, OUT = "in", "waiting", "out"
NOBODY = "*"
"""The number of a row whose person is forgotten."""


def hold_course(db: Connection, course: str) -> None:
    """Keep every other process from this course's list until the transaction ends; SQLite has one writer anyway."""
    if db.dialect.name == "postgresql":
        digest = hashlib.sha256(f"course {course}".encode()).digest()
        db.execute(select(func.pg_advisory_xact_lock(int.from_bytes(digest[:8], "big", signed=True))))


def find(db: Connection, course: str, phone: str, name: str | None = None) -> list[Any]:
    """The rows of a number (and a name) in a course."""
    c = signup.c
    mine = select(signup).where(c.course == course, c.phone == sealed(phone))
    mine = mine if name is None else mine.where(c.name == name)
    return list(db.execute(mine.order_by(c.changed_at, c.id)).all())


def listed(db: Connection, course: str, *states: str) -> list[Any]:
    """A course's rows in these states, in the order of their places."""
    c = signup.c
    query = select(signup).where(c.course == course, c.state.in_(states or (IN, WAITING)))
    return list(db.execute(query.order_by(c.state, c.changed_at, c.id)).all())


def count(db: Connection, course: str, state: str) -> int:
    """How many are in that state."""
    c = signup.c
    query = select(func.count()).where(c.course == course, c.state == state)
    return int(db.execute(query.select_from(signup)).scalar_one())


def put(
    db: Connection,
    course: str,
    phone: str,
    name: str,
    state: str,
    now: datetime,
    *,
    person_id: int | None = None,
    inbound_id: int | None = None,
) -> None:
    """Set where somebody stands in a course, at the end of that state's line."""
    found = find(db, course, phone, name)
    if found:
        values = {"state": state, "changed_at": now, "inbound_id": inbound_id}
        db.execute(update(signup).where(signup.c.id == found[0].id).values(**values))
        return
    values = {"course": course, "phone": phone, "name": name, "state": state, "person_id": person_id}
    bulk.insert_one(db, signup, **values, inbound_id=inbound_id, at=now, changed_at=now)


def move(db: Connection, signup_id: int, state: str, now: datetime) -> None:
    """Move one row to another state."""
    db.execute(update(signup).where(signup.c.id == signup_id).values(state=state, changed_at=now))


def blank_old(db: Connection, cutoff: datetime, limit: int) -> int:
    """Take name and number out of rows that nobody changed since then; how many. Where they stood stays."""
    old = select(signup.c.id).where(signup.c.changed_at < cutoff, signup.c.phone != NOBODY)
    ids = db.execute(old.order_by(signup.c.id).limit(limit)).scalars().all()
    _blank(db, ids, {})
    return len(ids)


def forget(db: Connection, phones: Collection[str], names: Collection[str] | None = None) -> None:
    """Take these numbers out of all lists at once, or only these people on them."""
    theirs = [signup.c.phone.in_([sealed(phone) for phone in phones])]
    if names is not None:
        theirs.append(signup.c.name.in_(names))
    _blank(db, db.execute(select(signup.c.id).where(*theirs)).scalars().all(), {"state": OUT})


def _blank(db: Connection, ids: Collection[int], more: Mapping[str, str]) -> None:
    """Names stay unlike each other, as a list has each of a number once."""
    for one in ids:
        gone = {"phone": NOBODY, "name": f"{NOBODY}{one}", "person_id": None, "inbound_id": None}
        db.execute(update(signup).where(signup.c.id == one).values(**gone, **more))
