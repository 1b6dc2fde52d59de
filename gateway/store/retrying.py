"""SQL of texts whose receipt says that they may be tried once more: absent for now, or lost inside the operator.

Policy
- Decided in the transaction that stores the receipt, once: a receipt that is told twice decides nothing the second
  time, and a text that has failed before is not tried again.
- All parts must have been taken and have failed for such a reason. Where one arrived, or nobody knows, a second text
  would be a second text on the phone.
- Only while it is worth something: not expired by then, and its broadcast neither stopped nor cancelled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, select

from gateway.model import BroadcastState, Outcome, ParcelState, ReceiptState, home_parcel
from gateway.store import bulk, parcels
from gateway.store.parcels import Again
from gateway.store.tables import broadcast, message, parcel, receipt, submission

RUNNING = (ParcelState.READY, ParcelState.DONE)


@dataclass(frozen=True, slots=True)
class Retry:
    """Which codes of an account's receipts ask for another try, and how much later that is."""

    wants: Callable[[str], bool]
    after: timedelta


def new_failures(db: Connection, rows: Sequence[bulk.Row], retry: Retry) -> set[tuple[int, int]]:
    """(message, attempt) of the receipts that ask for another try and are not stored yet; call it before storing.

    Their home parcels are locked, so that of two transactions with the same receipt one sees the other's.
    """
    asking = {row[:3] for row in rows if row[3] == ReceiptState.UNDELIVERED and row[4] and retry.wants(row[4])}
    if not asking:
        return set()
    parcels.lock(db, {home_parcel(key) for key, _, _ in asking})
    r = receipt.c
    stored = select(r.message_id, r.attempt, r.part).where(r.message_id.in_({key for key, _, _ in asking}))
    known = {tuple(row) for row in db.execute(stored.where(r.state == ReceiptState.UNDELIVERED))}
    return {one[:2] for one in asking - known}


def try_again(db: Connection, failed: Collection[tuple[int, int]], retry: Retry, now: datetime) -> int:
    """Queue the next attempt of those that may have one; answers how many texts. Call it after storing."""
    at = now + retry.after
    wanted: dict[tuple[int, int], list[int]] = defaultdict(list)
    for key, attempt in _failed_whole(db, failed, retry):
        wanted[home_parcel(key), attempt].append(key)
    running = _running(db, {home for home, _ in wanted}, at)
    chosen = {group: sorted(keys) for group, keys in wanted.items() if group[0] in running}
    for (home, attempt), keys in chosen.items():
        parcels.try_again(db, Again(home, attempt + 1, tuple(keys), at))
    return sum(map(len, chosen.values()))


def _failed_whole(db: Connection, failed: Collection[tuple[int, int]], retry: Retry) -> Iterable[tuple[int, int]]:
    """Those of which every part was taken and has failed so, at the first attempt that failed."""
    ids = {key for key, _ in failed}
    if not ids:
        return
    s, r = submission.c, receipt.c
    parts = {
        row.id: row.parts for row in db.execute(select(message.c.id, message.c.parts).where(message.c.id.in_(ids)))
    }
    taken = _grouped(db, select(s.message_id, s.attempt, s.outcome).where(s.message_id.in_(ids)))
    told = _grouped(db, select(r.message_id, r.attempt, r.state, r.error).where(r.message_id.in_(ids)))
    first = {key: min(attempt for one, attempt in told if one == key) for key in ids}
    for key, attempt in failed:
        receipts = told[key, attempt]
        if (
            attempt == first[key]
            and len(receipts) == parts[key]
            and all(row.state == ReceiptState.UNDELIVERED and row.error and retry.wants(row.error) for row in receipts)
            and [row.outcome for row in taken[key, attempt]] == [Outcome.ACCEPTED] * parts[key]
            and attempt == max(nth for one, nth in taken if one == key)
        ):
            yield key, attempt


def _grouped(db: Connection, query: Any) -> dict[tuple[int, int], list[Any]]:
    found: dict[tuple[int, int], list[Any]] = defaultdict(list)
    for row in db.execute(query):
        found[row.message_id, row.attempt].append(row)
    return found


def _running(db: Connection, homes: Collection[int], at: datetime) -> set[int]:
    """The parcels that will not have expired by then, of single texts and of broadcasts that go on."""
    p, b = parcel.c, broadcast.c
    query = select(p.id, p.broadcast_id, p.expires_at, b.state).outerjoin(broadcast, b.id == p.broadcast_id)
    rows = db.execute(query.where(and_(p.id.in_(homes), p.state.in_(RUNNING)))).all() if homes else ()
    return {
        row.id
        for row in rows
        if (row.broadcast_id == 0 or row.state == BroadcastState.APPROVED)
        and (row.expires_at is None or row.expires_at > at)
    }
