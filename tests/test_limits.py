"""gateway.dispatch.limits, and what it holds back: how often to one number, and what was bought."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from gateway.bought import Used
from gateway.config import Carrier as Bought
from gateway.dispatch import Bounds, Frequency, Gate, Setup
from gateway.dispatch import account as keeping
from gateway.model import Priority, home_parcel
from gateway.store import Store, slots
from gateway.store.parcels import Queued
from gateway.store.tables import submission
from gateway.worktime import ManualClock
from tests.conftest import NOON
from tests.store.outbound import number, queue, repeats, tally, to
from tests.test_dispatch import ZONE, Hall, finished, until

ONE = number(0)
DAY = 86400


@pytest.fixture
def hall(store: Store, clock: ManualClock) -> Hall:
    return Hall(store, clock)


def frequency(clock: ManualClock, numbers: int = 100, **bounds: int) -> Frequency:
    return Frequency(Bounds(**bounds), clock.monotonic, numbers)


def leave(limit: Frequency, count: int, text: Callable[[int], str] = str) -> None:
    for n in range(count):
        assert limit.wait(ONE, text(n)) == 0
        limit.left(ONE, text(n))


# -- how often to one number -----------------------------------------------------------------------------------


def test_fifteen_a_minute_to_one_number(clock: ManualClock) -> None:
    limit = frequency(clock)
    leave(limit, 15)
    assert limit.wait(ONE, "another") == 60
    assert limit.wait(number(1), "another") == 0
    clock.advance(59)
    assert limit.wait(ONE, "another") == 1
    clock.advance(1)
    assert limit.wait(ONE, "another") == 0


def test_fifty_a_day_to_one_number(clock: ManualClock) -> None:
    limit = frequency(clock)
    for n in range(50):
        leave(limit, 1, lambda _, n=n: f"{n}")
        clock.advance(60)
    assert limit.wait(ONE, "another") == DAY - 50 * 60
    clock.advance(DAY - 50 * 60)
    leave(limit, 1)


def test_the_same_text_twice_in_59_seconds_and_five_times_in_59_minutes(clock: ManualClock) -> None:
    limit = frequency(clock)
    leave(limit, 2, lambda _: "same")
    assert (limit.wait(ONE, "same"), limit.wait(ONE, "other")) == (59, 0)
    for _ in range(3):
        clock.advance(60)
        leave(limit, 1, lambda _: "same")
    assert limit.wait(ONE, "same") == 59 * 60 - 180
    assert limit.wait(ONE, "other") == 0


def test_a_bound_of_nothing_is_none(clock: ManualClock) -> None:
    leave(frequency(clock, per_minute=0, per_day=0, same_per_minute=0, same_per_hour=0), 200, lambda _: "same")


def test_what_is_remembered_is_bounded(clock: ManualClock) -> None:
    limit = frequency(clock, numbers=10, same_per_minute=1)
    for n in range(11):
        limit.left(number(n), "same")
    assert limit.wait(number(0), "same") == 0
    assert all(limit.wait(number(n), "same") for n in range(1, 11))
    assert len(limit._left) == 10


def test_thousands_of_numbers_cost_next_to_nothing(clock: ManualClock) -> None:
    limit, body = frequency(clock, numbers=100_000), "【枣原镇】" + "停" * 60
    began = time.process_time()
    for n in range(50_000):
        assert limit.wait(number(n), body) == 0
        limit.left(number(n), body)
    assert (time.process_time() - began) / 50_000 < 50e-6


# -- in dispatch -----------------------------------------------------------------------------------------------


async def outcomes(store: Store) -> list[tuple[int, str]]:
    """(attempt, outcome) of everything recorded, in order of texts."""
    query = select(submission.c.attempt, submission.c.outcome).order_by(submission.c.message_id, submission.c.attempt)
    return await store.read(lambda db: [tuple(row) for row in db.execute(query)])


async def test_a_text_that_comes_too_often_is_put_off_and_leaves_when_it_may(hall: Hall, clock: ManualClock) -> None:
    homes = [await queue(hall.store, to(1), broadcast_id=n) for n in (1, 2, 3)]
    async with hall.dispatching(replace(hall.setup(), bounds=Bounds())):
        await until(lambda: deferred(hall.store))
        (again,) = await repeats(hall.store)
        assert (again.attempt, again.not_before) == (2, NOON + timedelta(seconds=60))
        assert len(hall.sent) == 2
        clock.advance(60)
        await until(lambda: len(hall.sent) == 3)
    assert {home_parcel(key) for key, _ in hall.sent} == set(homes)
    assert await tally(hall.store) == {"delivered": 3}


async def deferred(store: Store) -> bool:
    return "deferred" in {outcome for _, outcome in await outcomes(store)} and bool(await repeats(store))


async def test_emergencies_are_never_put_off(hall: Hall) -> None:
    for n in range(1, 5):
        await queue(hall.store, to(1), broadcast_id=n, priority=Priority.EMERGENCY)
    async with hall.dispatching(replace(hall.setup(), bounds=Bounds())):
        await until(lambda: len(hall.sent) == 4)


async def test_a_broadcast_to_thousands_is_not_slowed(hall: Hall) -> None:
    for at in range(0, 3000, 500):
        await queue(hall.store, to(500, first=at))
    async with hall.dispatching(replace(hall.setup(in_flight=500), bounds=Bounds())):
        await until(lambda: finished(hall.store), 30)
    assert len(hall.sent) == 3000
    assert {attempt for attempt, _ in await outcomes(hall.store)} == {1}


# -- what was bought -------------------------------------------------------------------------------------------


def bought(**limits: Any) -> Bought:
    return Bought.model_validate({"name": "main", "protocol": "simulator", **limits})


def test_a_gate_counts_on_from_what_was_used() -> None:
    gate = Gate(bought(quota_per_day=10, monthly_cap=100), ZONE)
    assert gate.must_learn(NOON) is not None and not gate.takes(1, NOON)
    gate.learn(Used(today=4, month=5), NOON)
    assert gate.must_learn(NOON + timedelta(hours=11)) is None
    gate.leaves(5)
    assert gate.takes(1, NOON) and gate.closed(NOON) is None
    assert not gate.takes(2, NOON) and not gate.takes(1, NOON)
    assert gate.closed(NOON) == ("运营商每天的限额 10 段已用完", "the operator's quota per day, 10 parts, is used up")
    gate.answered(2, taken=False)
    assert gate.takes(2, NOON)
    gate.answered(3, taken=True)
    assert gate.must_learn(NOON + timedelta(hours=12)) is not None  # midnight in Beijing


def test_an_unlimited_gate_is_open() -> None:
    for gate in (Gate(None, ZONE), Gate(bought(), ZONE)):
        assert gate.must_learn(NOON) is None
        assert gate.takes(1000, NOON) and gate.closed(NOON) is None


def limited(hall: Hall, **limits: Any) -> Setup:
    return replace(hall.setup(), bought=bought(**limits))


async def test_beyond_the_quota_only_emergencies_leave_until_the_next_day(hall: Hall, clock: ManualClock) -> None:
    await queue(hall.store, 30)
    async with hall.dispatching(limited(hall, quota_per_day=20)) as dispatcher:
        await until(lambda: len(hall.sent) == 20)
        await queue(hall.store, to(3, first=100), broadcast_id=2, priority=Priority.EMERGENCY)
        await until(lambda: len(hall.sent) == 23)
        await until(lambda: hall.carriers[0].idle)
        assert "is used up" in dispatcher.accounts["main"].live["closed"][1]
        clock.advance(12 * 3600)
        await until(lambda: len(hall.sent) == 33)
    assert await tally(hall.store) == {"delivered": 33}


async def test_a_restart_counts_what_left_before(hall: Hall) -> None:
    await queue(hall.store, 30)
    for _ in range(2):
        async with hall.dispatching(limited(hall, monthly_cap=20)):
            await until(lambda: len(hall.sent) == 20)
            await until(lambda: hall.carriers[-1].idle)
    assert len(hall.sent) == 20


async def test_long_texts_count_by_their_parts(hall: Hall) -> None:
    await queue(hall.store, to(10, parts=3))
    async with hall.dispatching(limited(hall, quota_per_month=10)):
        await until(lambda: len(hall.sent) == 3)
        await until(lambda: hall.carriers[0].idle)
    assert (await tally(hall.store))["waiting"] == 7


async def test_in_the_operators_closed_hours_only_emergencies_leave(hall: Hall, clock: ManualClock) -> None:
    clock.advance(10 * 3600)  # 22:00
    await queue(hall.store, 5)
    await queue(hall.store, to(2, first=100), broadcast_id=2, priority=Priority.EMERGENCY)
    async with hall.dispatching(limited(hall, hours="08:00-21:00")):
        await until(lambda: len(hall.sent) == 2)
        clock.advance(10 * 3600)
        await until(lambda: len(hall.sent) == 7)


async def test_a_balance_below_its_warning_is_a_fault_until_it_is_not(
    hall: Hall, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "BALANCE_SECONDS", 0.0)
    await queue(hall.store, [Queued(number(n), None, None, 2) for n in range(4)])
    account = {"balance": 20, "balance_on": date(2026, 3, 1), "balance_warning": 15}
    async with hall.dispatching(limited(hall, **account)) as dispatcher:
        await until(lambda: finished(hall.store))
        await dispatcher.accounts["main"].watch_balance()
        (fault,) = await hall.store.read(slots.faults)
        assert "has 12 parts left, fewer than 15" in fault.en
    async with hall.dispatching(limited(hall, **account | {"balance": 200})) as dispatcher:
        await dispatcher.accounts["main"].watch_balance()
        assert await hall.store.read(slots.faults) == []
