"""gateway.store.bulk: hundreds of rows in one statement, alike on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from gateway.store import Store, bulk
from gateway.store.tables import feed_state, left_out, message, schedule, slot

AT = datetime(2026, 3, 2, 4, 0, 0, 123000, tzinfo=UTC)
COLUMNS = ("id", "phone", "person_id", "body", "parts", "created_at")
ROWS = [
    (1, "+8613800130001", None, None, 1, AT),
    (2, "+8613800130002", 1 << 40, "“雨”'; DROP TABLE x --\n\t🌧", 3, AT + timedelta(days=400_000)),
    ((1 << 62) + 1, "", -1, "", 32767, datetime(1969, 12, 31, tzinfo=UTC)),
]


def stored(db: Connection) -> list[tuple[object, ...]]:
    return [tuple(row) for row in db.execute(select(message).order_by(message.c.id))]


async def test_rows_come_back_as_they_went_in(store: Store) -> None:
    await store.write(bulk.insert, message, COLUMNS, ROWS)
    assert await store.read(stored) == ROWS


async def test_columns_in_any_order_and_those_left_out_are_null(store: Store) -> None:
    await store.write(bulk.insert, message, ("created_at", "parts", "phone", "id"), [(AT, 2, "x", 7)])
    assert await store.read(stored) == [(7, "x", None, None, 2, AT)]


async def test_a_thousand_rows(store: Store) -> None:
    rows = [(n, "x", None, "文" * 87, 2, AT) for n in range(1000)]
    await store.write(bulk.insert, message, COLUMNS, rows)
    assert await store.read(stored) == rows


async def test_nothing_to_insert(store: Store) -> None:
    await store.write(bulk.insert, message, COLUMNS, [])
    assert await store.read(stored) == []


async def test_a_key_that_exists_is_an_error_and_then_nothing_is_stored(store: Store) -> None:
    await store.write(bulk.insert, message, COLUMNS, ROWS[:1])
    with pytest.raises(IntegrityError):
        await store.write(bulk.insert, message, COLUMNS, [ROWS[1], ROWS[0]])
    assert await store.read(stored) == ROWS[:1]


async def test_or_does_nothing_where_that_is_asked_for(store: Store) -> None:
    changed = (1, "other", None, None, 9, AT)
    await store.write(bulk.insert, message, COLUMNS, ROWS[:1])
    await store.write(bulk.insert, message, COLUMNS, [changed, ROWS[1], ROWS[1]], ignore=True)
    assert await store.read(stored) == ROWS[:2]


async def test_a_null_where_there_must_be_none_is_an_error_even_then(store: Store) -> None:
    with pytest.raises(IntegrityError):
        await store.write(bulk.insert, message, COLUMNS, [(1, None, None, None, 1, AT)], ignore=True)


async def test_booleans_moments_and_json(store: Store) -> None:
    content = {"雨": [1, None, True]}
    await store.write(bulk.insert, schedule, ("name", "paused", "seen_until"), [("a", True, AT), ("b", False, AT)])
    columns = ("feed", "area", "issued_at", "content", "stored_at")
    await store.write(bulk.insert, feed_state, columns, [("weather", "610802", AT, content, AT)])
    assert await store.read(lambda db: list(db.execute(select(schedule.c.paused).order_by("name")).scalars())) == [
        True,
        False,
    ]
    assert await store.read(lambda db: db.execute(select(feed_state.c.content)).scalar_one()) == content


async def test_foreign_keys_are_minded(store: Store) -> None:
    columns = ("broadcast_id", "seq", "reason", "name", "village", "grp", "detail")
    with pytest.raises(IntegrityError):
        await store.write(bulk.insert, left_out, columns, [(404, 1, "opted_out", "", "", "", "")])


async def test_a_slot_is_won_once(store: Store) -> None:
    columns = ("schedule", "due_at", "state", "note", "at")
    for state in ("run", "late"):
        await store.write(bulk.insert, slot, columns, [("rain", AT, state, "", AT)], ignore=True)
    assert await store.read(lambda db: db.execute(select(slot.c.state)).scalars().all()) == ["run"]
