"""SQL of counting: a text's state from its facts, and a parcel's counters from its texts.

Policy
- `text_states` is `model.text_state` in SQL; a test holds the two together on both databases.
- Counters are counted from rows for parcels marked `stale`, never kept by deltas, and a text counts in its home parcel.
- A parcel is unmarked before it is counted, with its row locked: who records from then on marks it again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, case, func, literal, or_, select, text, union_all, update
from sqlalchemy.sql.elements import ColumnElement

from gateway.model import (
    ATTEMPT_ORDER,
    POSITION_BITS,
    ParcelState,
    ReceiptState,
    TextState,
    message_id,
)
from gateway.store.engine import Store
from gateway.store.parcels import home_of
from gateway.store.tables import message, parcel, receipt, submission

STALE = text("parcel.stale")
"""In the partial index's own words."""

COUNTED = (
    TextState.ACCEPTED,
    TextState.DELIVERED,
    TextState.UNDELIVERED,
    TextState.REJECTED,
    TextState.UNCERTAIN,
    TextState.WITHHELD,
    TextState.EXPIRED,
    TextState.CANCELLED,
)
RECOUNTED_AT_ONCE = 40


def recount(db: Connection, limit: int = RECOUNTED_AT_ONCE) -> int:
    """Count up to `limit` stale parcels anew; answers how many were stale."""
    chosen = select(parcel.c.id).where(STALE).order_by(parcel.c.id).limit(limit)
    ids = db.execute(chosen.with_for_update(skip_locked=True)).scalars().all()
    if not ids:
        return 0
    # Unmarked first: who records from here on marks it again, and waits for our row locks until we have counted.
    db.execute(update(parcel).where(parcel.c.id.in_(ids)).values(stale=False))
    counts = _count(db, ids)
    for row in db.execute(select(parcel.c.id, parcel.c.n, parcel.c.state).where(parcel.c.id.in_(ids))):
        db.execute(update(parcel).where(parcel.c.id == row.id).values(**_counters(row, counts[row.id])))
    return len(ids)


async def count_all(store: Store) -> None:
    """Have every stale parcel counted; in slices, so that no watermark waits for it."""
    while await store.write(recount) == RECOUNTED_AT_ONCE:
        continue


def _counters(row: Any, counted: dict[str, int]) -> dict[str, int]:
    values = {state.value: counted.get(state.value, 0) for state in COUNTED}
    unsaid = row.n - sum(counted.values())
    if row.state in (ParcelState.CANCELLED, ParcelState.EXPIRED):
        values[row.state] += unsaid
    return values


def _count(db: Connection, ids: Sequence[int]) -> dict[int, dict[str, int]]:
    states = text_states(
        or_(*(_in_parcel(submission.c.message_id, i) for i in ids)),
        or_(*(_in_parcel(receipt.c.message_id, i) for i in ids)),
    )
    home = home_of(states.c.message_id).label("home")
    counts: dict[int, dict[str, int]] = defaultdict(dict)
    for parcel_id, state, count in db.execute(
        select(home, states.c.state, func.count()).group_by(home, states.c.state)
    ):
        counts[parcel_id][state] = count
    return counts


def _in_parcel(column: ColumnElement[int], parcel_id: int) -> ColumnElement[bool]:
    return column.between(message_id(parcel_id, 0), message_id(parcel_id, (1 << POSITION_BITS) - 1))


def text_states(submitted: ColumnElement[bool], received: ColumnElement[bool]) -> Any:
    """`model.text_state` in SQL: a subquery (message_id, state) of the texts with any fact that fits the conditions."""
    facts = union_all(
        select(submission.c.message_id, submission.c.attempt, submission.c.outcome.label("what")).where(submitted),
        select(receipt.c.message_id, receipt.c.attempt, receipt.c.state.label("what")).where(received),
    ).subquery("facts")

    def seen(what: str) -> ColumnElement[int]:
        return func.sum(case((facts.c.what == what, 1), else_=0))

    state = case(
        (seen(ReceiptState.DELIVERED) >= message.c.parts, literal(TextState.DELIVERED.value)),
        *((seen(what) > 0, literal(state.value)) for what, state in ATTEMPT_ORDER),
        else_=literal(TextState.WAITING.value),
    ).label("state")
    attempts = (
        select(facts.c.message_id, facts.c.attempt, state)
        .join(message, message.c.id == facts.c.message_id)
        .group_by(facts.c.message_id, facts.c.attempt, message.c.parts)
        .subquery("attempts")
    )
    best = case((attempts.c.state == TextState.DELIVERED.value, 1), else_=0).desc()
    place = func.row_number().over(partition_by=attempts.c.message_id, order_by=(best, attempts.c.attempt.desc()))
    ranked = select(attempts, place.label("place")).subquery("ranked")
    columns = (ranked.c.message_id, ranked.c.attempt, ranked.c.state)
    return select(*columns).where(ranked.c.place == 1).subquery("states")


def states_in(db: Connection, parcels: Collection[int]) -> dict[int, tuple[int, str]]:
    """Message id -> (newest attempt, state) of those texts of some home parcels that have any fact."""
    if not parcels:
        return {}
    states = text_states(
        or_(*(_in_parcel(submission.c.message_id, i) for i in parcels)),
        or_(*(_in_parcel(receipt.c.message_id, i) for i in parcels)),
    )
    return {row.message_id: (row.attempt, row.state) for row in db.execute(select(states))}
