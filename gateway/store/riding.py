"""SQL of the hall's own phones that ride along in mass notices, and of how soon receipts came.

Policy: a ride is a single text, so that no count, cost or list of its broadcast has it; this table says which it was.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, and_, func, or_, select, type_coerce, update

from gateway.model import ReceiptState, home_parcel, message_id
from gateway.store import bulk, counting
from gateway.store.tables import receipt, submission, test_ride
from gateway.store.types import sealed

COLUMNS = ("broadcast_id", "phone", "message_id", "parts", "cost", "at")
AT_ONCE = 1000
"""Milliseconds within which no network has found a phone, sent it a text and heard of it, over and over."""


class Ride(NamedTuple):
    """One of our phones: the state of its text as operators tell it, and whether a person says that it came."""

    phone: str
    state: str
    parts: int
    cost: Any
    got: bool | None
    by: str | None


class Told(NamedTuple):
    """What was said of some texts: receipts in all, those of failures, those that came at once."""

    receipts: int
    failed: int
    at_once: int


def add(db: Connection, rows: Sequence[bulk.Row]) -> None:
    """In the order of COLUMNS."""
    bulk.insert(db, test_ride, COLUMNS, rows, ignore=True)


def of_broadcast(db: Connection, broadcast_id: int) -> list[Ride]:
    """Every ride of it, in order."""
    mine = select(test_ride).where(test_ride.c.broadcast_id == broadcast_id).order_by(test_ride.c.message_id)
    found = db.execute(mine).all()
    states = counting.states_in(db, {home_parcel(row.message_id) for row in found})
    return [
        Ride(row.phone, states.get(row.message_id, (1, "waiting"))[1], row.parts, row.cost, row.got, row.by)
        for row in found
    ]


def answer(db: Connection, broadcast_id: int, phone: str, got: bool, by: str, at: datetime) -> bool:
    """Whether the phone has it, as a person says; False where it did not ride along."""
    mine = and_(test_ride.c.broadcast_id == broadcast_id, test_ride.c.phone == sealed(phone))
    return db.execute(update(test_ride).where(mine).values(got=got, by=by, answered_at=at)).rowcount > 0


def told(db: Connection, homes: Collection[int]) -> Told:
    """Of the texts of these home parcels."""
    if not homes:
        return Told(0, 0, 0)
    r, s = receipt.c, submission.c
    theirs = or_(*(r.message_id.between(message_id(home, 0), message_id(home + 1, 0) - 1) for home in homes))
    part = and_(s.message_id == r.message_id, s.attempt == r.attempt, s.part == r.part, s.outcome == "accepted")
    passed = type_coerce(r.at, BigInteger) - type_coerce(s.at, BigInteger)
    query = select(
        func.count(),
        func.count().filter(r.state == ReceiptState.UNDELIVERED),
        func.count().filter(and_(passed >= 0, passed < AT_ONCE)),
    ).select_from(receipt.outerjoin(submission, part))
    return Told(*db.execute(query.where(theirs)).one())
