"""gateway.store.usage: what an account's operator took, and what still waits; on both databases."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import text, update

from gateway.bought import Beginnings
from gateway.model import Outcome, ParcelState, message_id
from gateway.store import Store, bulk, parcels, receipts, usage
from gateway.store.parcels import Again
from gateway.store.tables import parcel, receipt, submission
from tests.conftest import NOON
from tests.store.outbound import queue, to

HOUR = timedelta(hours=1)
FAR = NOON + 1000 * HOUR


async def taken(store: Store, key: int, parts: int, at: datetime, outcome: Outcome, carrier: str = "main") -> None:
    rows = [(key, 1, part, outcome.value, carrier, None, None, at) for part in range(1, parts + 1)]
    await store.write(bulk.insert, submission, parcels.SUBMISSION_COLUMNS, rows)


async def test_parts_that_were_taken_or_may_have_been_count_from_each_beginning(store: Store) -> None:
    home = await queue(store, to(6, parts=2))
    ages = [(1, Outcome.ACCEPTED), (30, Outcome.UNCERTAIN), (30, Outcome.REJECTED), (800, Outcome.ACCEPTED)]
    for place, (hours, outcome) in enumerate(ages):
        await taken(store, message_id(home, place), 2, NOON - hours * HOUR, outcome)
    await taken(store, message_id(home, 5), 2, NOON, Outcome.ACCEPTED, carrier="other")
    since = Beginnings(NOON - 24 * HOUR, NOON - 720 * HOUR, NOON - 2000 * HOUR)
    assert await store.read(usage.used, "main", since) == (2, 4, 6)
    assert await store.read(usage.used, "main", Beginnings(NOON, NOON, None)) == (0, 0, 0)


async def test_the_count_goes_by_the_index(sqlite_store: Store) -> None:
    plan = text("EXPLAIN QUERY PLAN SELECT count(*) FROM submission WHERE carrier = 'main' AND at >= 5")
    rows = await sqlite_store.read(lambda db: [row.detail for row in db.execute(plan)])
    assert any("ix_submission_at" in row for row in rows)


async def test_what_waits_is_counted_by_priority_and_without_what_left(store: Store) -> None:
    home = await queue(store, to(10, parts=2), priority=3)
    await queue(store, to(4, first=20), priority=1)
    await queue(store, to(4, first=30), priority=1, carrier="other")
    await queue(store, to(4, first=40), priority=1, state=ParcelState.HELD)
    await queue(store, to(5, first=50), priority=2, not_before=NOON + 5 * HOUR)
    half = update(parcel).where(parcel.c.id == home).values(watermark=3, holder_epoch=1)
    await store.write(lambda db: db.execute(half))
    await store.write(parcels.try_again, Again(home, 2, (message_id(home, 0), message_id(home, 1)), None))
    assert await store.read(usage.waiting, "main", FAR) == {3: 14 + 4, 1: 4, 2: 5}
    assert await store.read(usage.waiting, "main", NOON + HOUR) == {3: 18, 1: 4}


async def test_the_newest_parts_come_with_their_receipts_and_delivered_outranks(store: Store) -> None:
    home = await queue(store, to(4, parts=1))
    keys = [message_id(home, place) for place in range(4)]
    for place, outcome in enumerate([Outcome.ACCEPTED, Outcome.ACCEPTED, Outcome.REJECTED, Outcome.WITHHELD]):
        await taken(store, keys[place], 1, NOON + place * HOUR, outcome)
    said = [
        (keys[0], 1, 1, "undelivered", "X", "ref", NOON), (keys[0], 1, 1, "delivered", None, "ref", NOON + HOUR)
    ]  # fmt: skip
    await store.write(bulk.insert, receipt, receipts.RECEIPT_COLUMNS, said)
    found = await store.read(usage.newest, "main", NOON, 10)
    assert [(one.outcome, one.state, one.told_at) for one in found] == [
        ("rejected", None, None), ("accepted", None, None), ("accepted", "delivered", NOON + HOUR)
    ]  # fmt: skip
    assert len(await store.read(usage.newest, "main", NOON, 2)) == 2
    assert await store.read(usage.newest, "main", NOON + 9 * HOUR, 2) == []
