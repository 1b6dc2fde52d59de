"""SQL of the stored ledger: every text with its derived state, to be held against other ledgers."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, and_, func, select

from gateway.model import POSITION_BITS, Outcome, ParcelState, TextState
from gateway.store.counting import states_in
from gateway.store.tables import inbound, message, parcel, submission
from gateway.store.types import sealed


class StoredText(NamedTuple):
    """One text; `accepted` is whether any attempt of it was recorded as accepted."""

    id: int
    phone: str
    body: str
    state: str
    accepted: bool
    at: datetime


def in_motion(db: Connection) -> int:
    """Parcels that are ready or open."""
    ready = parcel.c.state == ParcelState.READY
    return int(db.execute(select(func.count()).select_from(parcel).where(ready)).scalar_one())


def stored(db: Connection, broadcast_id: int) -> list[StoredText]:
    """All texts of a broadcast in order; 0 is the single texts. Reads everything: for a demo or a test."""
    homes = and_(parcel.c.broadcast_id == broadcast_id, parcel.c.members.is_(None))
    found = []
    for row in db.execute(select(parcel.c.id).where(homes).order_by(parcel.c.id)):
        found += _of_parcel(db, row.id)
    return found


def _of_parcel(db: Connection, parcel_id: int) -> list[StoredText]:
    first, last = parcel_id << POSITION_BITS, ((parcel_id + 1) << POSITION_BITS) - 1
    within = submission.c.message_id.between(first, last)
    taken = select(submission.c.message_id).where(within, submission.c.outcome == Outcome.ACCEPTED)
    accepted = set(db.execute(taken).scalars())
    states = states_in(db, [parcel_id])
    body = func.coalesce(message.c.body, parcel.c.body).label("body")
    query = select(message.c.id, message.c.phone, body, message.c.created_at).join(parcel, parcel.c.id == parcel_id)
    rows = db.execute(query.where(message.c.id.between(first, last)).order_by(message.c.id))
    nothing = (0, TextState.WAITING.value)
    return [
        StoredText(r.id, r.phone, r.body, states.get(r.id, nothing)[1], r.id in accepted, r.created_at) for r in rows
    ]


def to_phone(db: Connection, phone: str) -> list[StoredText]:
    """Every text to one number, oldest first."""
    query = select(message.c.id).where(message.c.phone == sealed(phone)).order_by(message.c.created_at, message.c.id)
    ids = db.execute(query).scalars().all()
    texts = {text.id: text for key in {i >> POSITION_BITS for i in ids} for text in _of_parcel(db, key)}
    return [texts[key] for key in ids]


class CameIn(NamedTuple):
    """One text that a number sent us."""

    body: str
    at: datetime


def from_phone(db: Connection, phone: str) -> list[CameIn]:
    """Every text from one number, oldest first."""
    query = select(inbound.c.body, inbound.c.received_at).where(inbound.c.phone == sealed(phone))
    return [CameIn(row.body, row.received_at) for row in db.execute(query.order_by(inbound.c.id))]
