"""SQL of broadcasts that fail while they leave: their newest refusals and failed receipts.

Policy: asked every few seconds of each broadcast that leaves, so it walks the partial indexes of what failed from their
end and stops at the limit; nothing is counted and no text that arrived is read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Select, and_, func, literal, select, text

from gateway.model import Outcome, message_id
from gateway.store.parcels import OPENED, READY, home_of
from gateway.store.tables import audit, message, parcel, receipt, submission

NOT_ACCEPTED = text("submission.outcome <> 'accepted'")
NOT_DELIVERED = text("receipt.state <> 'delivered'")
"""In the partial indexes' own words."""


class Failed(NamedTuple):
    """A part that was refused or whose receipt says that it did not arrive."""

    message_id: int
    carrier: str
    stage: Literal["submit", "receipt"]
    code: str
    at: datetime


def leaving(db: Connection) -> list[int]:
    """Broadcasts that have something left to send, in order."""
    found: set[int] = set()
    for which in (READY, OPENED):
        found |= set(db.execute(select(parcel.c.broadcast_id).where(which, parcel.c.broadcast_id > 0)).scalars())
    return sorted(found)


def newest(db: Connection, broadcast_id: int, limit: int) -> list[Failed]:
    """The last `limit` failures of a broadcast, the newest first."""
    first, last = db.execute(
        select(func.min(parcel.c.id), func.max(parcel.c.id)).where(parcel.c.broadcast_id == broadcast_id)
    ).one()
    if first is None:
        return []
    span = message_id(first, 0), message_id(last + 1, 0) - 1
    found = [*_refused(db, broadcast_id, span, limit), *_undelivered(db, broadcast_id, span, limit)]
    return sorted(found, key=lambda one: (one.at, one.message_id), reverse=True)[:limit]


def _refused(db: Connection, broadcast_id: int, span: tuple[int, int], limit: int) -> Iterator[Failed]:
    s = submission.c
    query = select(s.message_id, s.carrier, s.error, s.at)
    query = query.where(NOT_ACCEPTED, s.message_id.between(*span), s.outcome == Outcome.REJECTED)
    for row in db.execute(_of(query, s.message_id, broadcast_id).limit(limit)):
        yield Failed(row.message_id, row.carrier, "submit", row.error or "", row.at)


def _undelivered(db: Connection, broadcast_id: int, span: tuple[int, int], limit: int) -> Iterator[Failed]:
    r, s = receipt.c, submission.c
    part = and_(s.message_id == r.message_id, s.attempt == r.attempt, s.part == r.part)
    carrier = select(s.carrier).where(part).limit(1).scalar_subquery()
    query = select(r.message_id, func.coalesce(carrier, literal("")).label("carrier"), r.error, r.at)
    query = query.where(NOT_DELIVERED, r.message_id.between(*span))
    for row in db.execute(_of(query, r.message_id, broadcast_id).limit(limit)):
        yield Failed(row.message_id, row.carrier, "receipt", row.error or "", row.at)


def _of(query: Select[Any], column: Any, broadcast_id: int) -> Select[Any]:
    """Other broadcasts' parcels may lie between. A subquery, for a join would begin with the parcels."""
    whose = select(parcel.c.broadcast_id).where(parcel.c.id == home_of(column)).scalar_subquery()
    return query.where(whose == broadcast_id).order_by(column.desc())


def last_said(db: Connection, about: str, verbs: Collection[str], since: date) -> Any:
    """The newest audit row of these verbs about a thing that was made on that day; None where there is none."""
    mine = and_(audit.c.object == about, audit.c.verb.in_(verbs), audit.c.day >= since)
    newest_first = select(audit).where(mine).order_by(audit.c.day.desc(), audit.c.seq.desc())
    return db.execute(newest_first.limit(1)).one_or_none()


def shared_bodies(db: Connection, messages: Sequence[int], limit: int) -> list[str]:
    """Different bodies of these texts as far as their parcels share them: they have nothing of one person."""
    mine = and_(message.c.id.in_(messages), message.c.body.is_(None), parcel.c.body.is_not(None))
    query = select(parcel.c.body).join(message, parcel.c.id == home_of(message.c.id)).where(mine)
    return list(dict.fromkeys(db.execute(query.order_by(message.c.id)).scalars()))[:limit]
