"""SQL of what was paid to whom, as the payout broadcasts told it: what people are answered who ask for their subsidy.

Policy
- A row belongs to a broadcast and counts once that is approved; what is composed anew takes its rows with it.
- Amounts are yuan with two places. Names and numbers are blanked once nobody is answered from them any more, and at
  once where somebody is to be forgotten: the sums stay.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import Connection, and_, delete, func, select, update

from gateway.model import BroadcastState
from gateway.store import bulk
from gateway.store.tables import broadcast, payment
from gateway.store.types import sealed

COLUMNS = ("broadcast_id", "phone", "name", "item", "amount")
TOLD = (BroadcastState.APPROVED, BroadcastState.STOPPED)
ANSWERED_DAYS = 366
"""So far back people are answered what was paid to them."""
NOBODY = "*"
"""The number of a row whose person is forgotten."""


class Paid(NamedTuple):
    """One payment; `at` is when its broadcast was approved."""

    name: str
    item: str
    amount: Decimal
    at: datetime


def keep(db: Connection, rows: Sequence[bulk.Row]) -> None:
    """Payments in the order of COLUMNS."""
    bulk.insert(db, payment, COLUMNS, rows)


def throw_away(db: Connection, broadcast_id: int) -> None:
    """Those of a broadcast that is composed anew."""
    db.execute(delete(payment).where(payment.c.broadcast_id == broadcast_id))


def to_number(
    db: Connection, phone: str, since: datetime, limit: int, names: Collection[str] | None = None
) -> list[Paid]:
    """What was paid to people (of these names) who had this number, the newest first."""
    query = (
        select(payment.c.name, payment.c.item, payment.c.amount, broadcast.c.approved_at)
        .join(broadcast, broadcast.c.id == payment.c.broadcast_id)
        .where(payment.c.phone == sealed(phone), payment.c.name != "", broadcast.c.approved_at > since)
        .where(broadcast.c.state.in_(TOLD), broadcast.c.test.is_(False))
        .order_by(broadcast.c.approved_at.desc(), payment.c.id)
    )
    query = query if names is None else query.where(payment.c.name.in_(names))
    return [Paid(*row) for row in db.execute(query.limit(limit))]


def blank_old(db: Connection, cutoff: datetime, limit: int) -> int:
    """Take name and number out of payments older than that, also of those that nobody approved; how many."""
    told_at = func.coalesce(broadcast.c.approved_at, broadcast.c.created_at)
    old = and_(told_at < cutoff, payment.c.name != "")
    query = select(payment.c.id).join(broadcast).where(old).order_by(payment.c.id).limit(limit)
    ids = db.execute(query).scalars().all()
    if ids:
        db.execute(update(payment).where(payment.c.id.in_(ids)).values(name="", phone=NOBODY))
    return len(ids)


def forget(db: Connection, phones: Collection[str], names: Collection[str] | None = None) -> None:
    """Take these numbers out of the payments at once, or only these people on them."""
    theirs = [payment.c.phone.in_([sealed(phone) for phone in phones])]
    if names is not None:
        theirs.append(payment.c.name.in_(names))
    db.execute(update(payment).where(*theirs).values(name="", phone=NOBODY))
