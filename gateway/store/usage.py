"""SQL of what left over an account: how many parts its operator took, and how many still wait. Read only.

Policy
- What was taken is counted from the rows of `submission` by the index on (carrier, at); nothing is kept by deltas.
- `uncertain` counts as taken: it may have been.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, case, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from gateway.bought import Beginnings, Used
from gateway.health import Sent
from gateway.model import Outcome, ParcelState, ReceiptState, message_id
from gateway.store import parcels
from gateway.store.tables import message, parcel, receipt, submission

ANSWERED = (Outcome.ACCEPTED.value, Outcome.REJECTED.value, Outcome.UNCERTAIN.value)
TAKEN = (Outcome.ACCEPTED.value, Outcome.UNCERTAIN.value)


def used(db: Connection, carrier: str, since: Beginnings) -> Used:
    """Parts that count against the account's ceilings."""
    balance = 0 if since.balance is None else taken(db, carrier, since.balance)
    return Used(taken(db, carrier, since.day), taken(db, carrier, since.month), balance)


def taken(db: Connection, carrier: str, since: datetime) -> int:
    """Parts that the operator took, or may have taken, from this moment on."""
    mine = and_(submission.c.carrier == carrier, submission.c.at >= since, submission.c.outcome.in_(TAKEN))
    return int(db.execute(select(func.count()).select_from(submission).where(mine)).scalar_one())


def newest(db: Connection, carrier: str, since: datetime, limit: int) -> list[Sent]:
    """The newest parts that left from `since` on, newest first, each with its receipt; delivered outranks another."""
    s, r = submission.c, receipt.c
    mine = and_(s.carrier == carrier, s.at >= since, s.outcome.in_(ANSWERED))
    parts = select(submission).where(mine).order_by(s.at.desc()).limit(limit).subquery("parts")
    p = parts.c
    same = and_(r.message_id == p.message_id, r.attempt == p.attempt, r.part == p.part)
    columns = (p.message_id, p.attempt, p.part, p.at, p.outcome, p.error, r.state, r.error, r.at)
    query = select(*columns).select_from(parts.outerjoin(receipt, same))
    found: dict[tuple[Any, ...], Sent] = {}
    for *key, at, outcome, error, state, said, told_at in db.execute(query.order_by(p.at.desc(), r.state.desc())):
        found[tuple(key)] = Sent(at, outcome, error, state, said, told_at)
    return list(found.values())


class Counts(NamedTuple):
    """Parts to one number: handed over, taken, delivered; and those that may have been taken."""

    submitted: int
    accepted: int
    delivered: int
    uncertain: int


def by_number(db: Connection, carrier: str, since: datetime, until: datetime) -> dict[str, Counts]:
    """Number -> its parts that were handed to the operator from `since` to `until`, deferred ones left out."""
    s, r = submission.c, receipt.c

    def counted(*what: ColumnElement[bool]) -> ColumnElement[int]:
        return func.sum(case((and_(*what), 1), else_=0))

    same = (r.message_id == s.message_id, r.attempt == s.attempt, r.part == s.part)
    arrived = select(r.part).where(*same, r.state == ReceiptState.DELIVERED).exists()
    taken = s.outcome == Outcome.ACCEPTED
    query = (
        select(
            message.c.phone,
            func.count(),
            counted(taken),
            counted(s.outcome != Outcome.REJECTED, arrived),
            counted(s.outcome == Outcome.UNCERTAIN),
        )
        .join(message, message.c.id == s.message_id)
        .where(s.carrier == carrier, s.at >= since, s.at < until, s.outcome.in_(ANSWERED))
        .group_by(message.c.phone)
    )
    return {row[0]: Counts(*map(int, row[1:])) for row in db.execute(query)}


def waiting(db: Connection, carrier: str, until: datetime) -> Counter[int]:
    """Priority -> parts that are approved, have not left and may leave before `until`."""
    soon = or_(parcel.c.not_before.is_(None), parcel.c.not_before < until)
    found: Counter[int] = Counter()
    for which in (parcels.READY, and_(parcels.OPENED, parcel.c.state == ParcelState.READY)):
        mine = and_(parcel.c.carrier == carrier, which, soon)
        found.update(_own_texts(db, mine))
        found.update(_repeated(db, mine))
    return found


def _own_texts(db: Connection, which: ColumnElement[bool]) -> dict[int, int]:
    first = parcel.c.id * message_id(1, 0)
    unsent = message.c.id.between(first + parcel.c.watermark, first + parcel.c.n - 1)
    query = select(parcel.c.priority, func.sum(message.c.parts)).join(message, unsent)
    rows = db.execute(query.where(which, parcel.c.members.is_(None)).group_by(parcel.c.priority))
    return {row[0]: int(row[1]) for row in rows}


def _repeated(db: Connection, which: ColumnElement[bool]) -> Counter[int]:
    found: Counter[int] = Counter()
    for row in db.execute(select(parcel).where(which, parcel.c.members.is_not(None))):
        theirs = message.c.id.in_(row.members[row.watermark :])
        found[row.priority] += db.execute(
            select(func.coalesce(func.sum(message.c.parts), 0)).where(theirs)
        ).scalar_one()
    return found
