"""gateway.store.slots: one winner per slot, seen never back, faults with their beginning, the newest time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, func, insert, select

from gateway.store import Store, audit, slots
from gateway.store.slots import SlotState
from gateway.store.tables import feed_state, inbound, schedule, slot

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
DUE = NOW + timedelta(hours=1)
HOUR = timedelta(hours=1)
HELD = timedelta(minutes=3)


def nothing(db: Connection) -> int:
    raise AssertionError("only a winner makes anything")


async def test_of_many_claims_one_wins_and_makes_the_broadcast(store: Store) -> None:
    def claim(db: Connection, number: int) -> bool:
        return slots.claim(db, "one", DUE, state=SlotState.DUE, now=NOW, make=lambda _: number)

    won = await asyncio.gather(*(store.write(claim, number) for number in range(8)))
    assert sum(won) == 1
    row = await store.read(slots.get, "one", DUE)
    assert (row.broadcast_id, row.state, row.at, row.until) == (won.index(True), "due", NOW, None)
    assert not await store.write(lambda db: slots.claim(db, "one", DUE, state=SlotState.DUE, now=NOW, make=nothing))
    assert await store.read(slots.get, "one", NOW) is None


async def test_a_broadcast_that_cannot_be_made_leaves_no_slot(store: Store) -> None:
    with pytest.raises(AssertionError):
        await store.write(lambda db: slots.claim(db, "one", DUE, state=SlotState.DUE, now=NOW, make=nothing))
    assert await store.read(lambda db: db.execute(select(func.count()).select_from(slot)).scalar_one()) == 0


async def test_a_slot_is_settled_from_the_states_named(store: Store) -> None:
    await store.write(lambda db: slots.claim(db, "one", DUE, state=SlotState.ASKED, now=NOW, note="why"))
    assert await store.read(slots.asked, "one") == [DUE]

    def settle(db: Connection, came_from: SlotState) -> bool:
        return slots.settle(db, "one", DUE, SlotState.SKIPPED, came_from=[came_from])

    assert not await store.write(settle, SlotState.DUE)
    assert await store.write(settle, SlotState.ASKED)
    (row,) = await store.read(slots.last, "one", 5)
    assert (row.state, row.note) == ("skipped", "why")
    assert await store.read(slots.asked, "one") == []


async def test_one_at_a_time_takes_a_slot(store: Store) -> None:
    await store.write(lambda db: slots.claim(db, "one", DUE, state=SlotState.DUE, now=NOW, make=lambda _: 1))
    assert sum(await asyncio.gather(*(store.write(slots.take, "one", DUE, NOW, HELD) for _ in range(5)))) == 1
    assert not await store.write(slots.take, "one", DUE, NOW + HELD / 2, HELD)
    assert await store.write(slots.take, "one", DUE, NOW + HELD, HELD)
    assert await store.write(slots.take, "one", DUE, NOW - HOUR, HELD), "held until long after: the clock was put back"


async def test_seen_begins_once_and_never_moves_back(store: Store) -> None:
    await store.write(slots.begin, {"a", "b"}, NOW)
    await store.write(slots.begin, {"b", "c"}, NOW + HOUR)
    await store.write(slots.see, ["a"], NOW + 2 * HOUR)
    await store.write(slots.see, ["a", "c"], NOW)
    known = await store.read(slots.schedules)
    assert {name: row.seen_until - NOW for name, row in known.items()} == {"a": 2 * HOUR, "b": 0 * HOUR, "c": HOUR}
    assert await store.write(slots.set_paused, "a", True)
    assert not await store.write(slots.set_paused, "a", True)
    assert [name for name, row in (await store.read(slots.schedules)).items() if row.paused] == ["a"]


async def test_a_feed_keeps_what_is_newest(store: Store) -> None:
    await store.write(slots.feed_put, "weather", {"61": (NOW, "first"), "62": (NOW, "other")}, NOW)
    await store.write(slots.feed_put, "weather", {"61": (NOW + HOUR, "second")}, NOW)
    await store.write(slots.feed_put, "weather", {"61": (NOW - HOUR, "old")}, NOW)
    assert await store.read(slots.feed_get, "weather") == {"61": "second", "62": "other"}
    assert await store.read(slots.feed_get, "another") == {}
    assert await store.read(lambda db: db.execute(select(func.max(feed_state.c.issued_at))).scalar_one()) == NOW + HOUR


async def test_a_fault_keeps_its_beginning_until_it_is_cleared(store: Store) -> None:
    await store.write(slots.fault_set, "feed", "坏了", "broken", NOW)
    await store.write(slots.fault_set, "feed", "还坏", "still broken", NOW + HOUR)
    await store.write(slots.fault_set, "earlier", "早", "early", NOW - HOUR)
    found = await store.read(slots.faults)
    assert [(row.key, row.zh, row.since) for row in found] == [("earlier", "早", NOW - HOUR), ("feed", "还坏", NOW)]
    await store.write(slots.fault_clear, "feed", "earlier", "never")
    assert await store.read(slots.faults) == []


def receive(db: Connection, at: datetime) -> None:
    given = {"source": "cli", "ref": str(at), "phone": "+8613800139301", "to": "", "body": "", "digest": ""}
    db.execute(insert(inbound).values(**given, received_at=at))


async def test_the_newest_time(store: Store) -> None:
    assert await store.read(slots.newest_time) is None
    await store.write(receive, NOW)
    assert await store.read(slots.newest_time) == NOW
    await store.write(lambda db: audit.append(db, NOW + HOUR, "wang", "verb", "thing", {}))
    assert await store.read(slots.newest_time) == NOW + HOUR
    await store.write(slots.begin, {"a"}, NOW + 2 * HOUR)
    assert await store.read(slots.newest_time) == NOW + 2 * HOUR
    assert await store.read(slots.recorded_time) == NOW + HOUR


async def test_a_confirmed_clock(store: Store) -> None:
    await store.write(receive, NOW + 9 * HOUR)
    await store.write(slots.begin, {"a"}, NOW + 9 * HOUR)

    def ahead(db: Connection) -> None:
        slots.claim(db, "a", NOW - HOUR, state=SlotState.SKIPPED, now=NOW)
        slots.claim(db, "a", NOW + HOUR, state=SlotState.SKIPPED, now=NOW)
        slots.claim(db, "a", NOW + 2 * HOUR, state=SlotState.DUE, now=NOW, make=lambda _: 7)

    await store.write(ahead)
    await store.write(slots.confirm_clock, "li", NOW)
    assert await store.read(slots.clock_confirmed) == NOW
    assert await store.read(slots.newest_time) == NOW
    assert await store.read(slots.faults) == [], "a confirmation is no fault"
    left = [row.due_at - NOW for row in await store.read(slots.last, "a", 9)]
    assert left == [2 * HOUR, -HOUR], "what was sent stays sent, what was not comes again"
    assert await store.read(lambda db: db.execute(select(schedule.c.seen_until)).scalar_one()) == NOW
    await store.write(slots.see, ["a"], NOW + HOUR)
    assert await store.read(slots.newest_time) == NOW + HOUR
