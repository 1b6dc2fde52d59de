"""gateway.store.retrying: a text that failed for a passing reason is queued once more, and no other; on both."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from gateway.model import Outcome, ParcelState, ReceiptState, TextState, message_id
from gateway.store import Store, bulk, parcels, receipts
from gateway.store.receipts import Told
from gateway.store.retrying import Retry
from gateway.store.tables import broadcast, parcel, submission
from gateway.worktime import ManualClock
from tests.conftest import NOON
from tests.notices import APPROVER, Office, Somebody, mobile
from tests.store.outbound import number, queue, states, to

HOUR = timedelta(hours=1)
RETRY = Retry({"MI:0001", "MK:0024"}.__contains__, HOUR)


async def taken(store: Store, key: int, *refs: str, attempt: int = 1, outcome: Outcome = Outcome.ACCEPTED) -> None:
    """The operator has every part of it, and it has left its parcel."""
    rows = [(key, attempt, part, outcome.value, "main", ref, None, NOON) for part, ref in enumerate(refs, 1)]
    await store.write(bulk.insert, submission, parcels.SUBMISSION_COLUMNS, rows)
    await store.write(lambda db: db.execute(update(parcel).where(parcel.c.members.is_(None)).values(state="done")))


async def hear(store: Store, *said: tuple[str, str | None], retry: Retry | None = RETRY, rule: str = "every") -> None:
    """(reference, code) of what failed; no code: it arrived."""
    told = [Told(ref, number(0), "undelivered" if code else "delivered", code, NOON) for ref, code in said]
    await store.write(receipts.store, "main", told, [None] * len(told), NOON, rule, retry)


async def repeats(store: Store) -> list[Any]:
    query = select(parcel).where(parcel.c.members.is_not(None)).order_by(parcel.c.id)
    return await store.read(lambda db: list(db.execute(query).all()))


async def single(store: Store, parts: int = 1, **more: Any) -> int:
    home = await queue(store, to(1, parts=parts), broadcast_id=0, **more)
    return message_id(home, 0)


async def test_an_absent_persons_text_gets_one_later_try(store: Store) -> None:
    key = await single(store)
    await taken(store, key, "a")
    await hear(store, ("a", "MI:0001"))
    (again,) = await repeats(store)
    assert (again.members, again.attempt, again.state, again.not_before) == ([key], 2, "ready", NOON + HOUR)
    assert await states(store) == {key: TextState.UNDELIVERED}


async def test_a_receipt_told_twice_is_one_try(store: Store) -> None:
    await taken(store, await single(store), "a")
    await hear(store, ("a", "MI:0001"))
    await hear(store, ("a", "MI:0001"), ("a", "MI:0001"))
    assert len(await repeats(store)) == 1


async def test_the_second_failure_is_final(store: Store) -> None:
    key = await single(store)
    await taken(store, key, "a")
    await hear(store, ("a", "MI:0001"))
    await taken(store, key, "b", attempt=2)
    await hear(store, ("b", "MI:0001"))
    assert len(await repeats(store)) == 1


async def test_a_text_that_was_put_off_before_may_still_have_its_try(store: Store) -> None:
    key = await single(store)
    await taken(store, key, "", outcome=Outcome.DEFERRED)
    await taken(store, key, "b", attempt=2)
    await hear(store, ("b", "MK:0024"))
    (again,) = await repeats(store)
    assert again.attempt == 3


@pytest.mark.parametrize("code", ["MK:0001", "MA:0054", "UNDELIV", ""])
async def test_other_codes_get_none(store: Store, code: str) -> None:
    await taken(store, await single(store), "a")
    await hear(store, ("a", code))
    assert await repeats(store) == []


async def test_what_may_have_left_gets_none(store: Store) -> None:
    await taken(store, await single(store), "a", outcome=Outcome.UNCERTAIN)
    await hear(store, ("a", "MI:0001"))
    assert await repeats(store) == []


@pytest.mark.parametrize(
    ("said", "tries"),
    [
        ([("a", "MI:0001"), ("b", "MI:0001")], 1),
        ([("a", "MI:0001")], 0),
        ([("a", "MI:0001"), ("b", None)], 0),
        ([("a", "MI:0001"), ("b", "MK:0001")], 0),
        ([("b", "MK:0001"), ("a", "MI:0001")], 0),
    ],
)
async def test_of_a_long_text_every_part_must_have_failed_so(
    store: Store, said: list[tuple[str, str | None]], tries: int
) -> None:
    await taken(store, await single(store, parts=2), "a", "b")
    for one in said:
        await hear(store, one)
    assert len(await repeats(store)) == tries


async def test_one_receipt_for_the_whole_will_do(store: Store) -> None:
    await taken(store, await single(store, parts=2), "a", "b")
    await hear(store, ("b", "MI:0001"), rule="last")
    assert len(await repeats(store)) == 1


@pytest.mark.parametrize("end", [ParcelState.EXPIRED, ParcelState.CANCELLED])
async def test_a_try_that_never_left_takes_nothing_back(store: Store, end: ParcelState) -> None:
    key = await single(store)
    await taken(store, key, "a")
    await hear(store, ("a", "MI:0001"))
    (again,) = await repeats(store)
    await store.write(parcels.end_unsent, again, end, NOON)
    assert [one.state for one in await repeats(store)] == [end]
    assert await states(store) == {key: TextState.UNDELIVERED}


async def test_two_texts_of_one_parcel_are_tried_together(store: Store) -> None:
    home = await queue(store, [*to(1), *to(1)], broadcast_id=0)
    for at, ref in enumerate("ab"):
        await taken(store, message_id(home, at), ref)
    await hear(store, ("a", "MI:0001"), ("b", "MI:0001"))
    (again,) = await repeats(store)
    assert again.members == [message_id(home, 0), message_id(home, 1)]


@pytest.mark.parametrize(("left", "tries"), [(HOUR, 0), (HOUR + timedelta(seconds=1), 1)])
async def test_what_will_have_expired_gets_none(store: Store, left: timedelta, tries: int) -> None:
    await taken(store, await single(store, expires_at=NOON + left), "a")
    await hear(store, ("a", "MI:0001"))
    assert len(await repeats(store)) == tries


async def test_an_account_without_the_rule_tries_nothing(store: Store) -> None:
    await taken(store, await single(store), "a")
    await hear(store, ("a", "MI:0001"), retry=None)
    assert await repeats(store) == []


async def test_a_parked_receipt_asks_as_well(store: Store) -> None:
    key = await single(store)
    await hear(store, ("a", "MI:0001"))
    await taken(store, key, "a")
    later = NOON + timedelta(minutes=1)
    await store.write(receipts.settle, later, retries={"main": RETRY}, now=later)
    (again,) = await repeats(store)
    assert again.not_before == later + HOUR


@pytest.mark.parametrize(("state", "tries"), [("approved", 1), ("stopped", 0), ("cancelled", 0)])
async def test_a_broadcast_must_still_be_running(store: Store, clock: ManualClock, state: str, tries: int) -> None:
    office = Office(store, clock)
    await office.enrol(Somebody("李秀英", mobile(0)))
    sent = await office.send()
    (home,) = await office.parcels(sent)
    await office.left([mobile(0)])
    key = message_id(home.id, 0)
    await store.write(lambda db: db.execute(update(submission).values(carrier="main", carrier_ref=f"{key}")))
    await store.write(lambda db: db.execute(update(broadcast).values(state=state)))
    told = Told(f"{key}", mobile(0), ReceiptState.UNDELIVERED, "MI:0001", NOON)
    await store.write(receipts.store, "main", [told], [None], NOON, "every", RETRY)
    assert len(await repeats(store)) == tries


async def test_a_try_of_a_broadcast_that_is_stopped_afterwards_waits_with_it(store: Store, clock: ManualClock) -> None:
    office = Office(store, clock)
    await office.enrol(Somebody("李秀英", mobile(0)))
    sent = await office.send()
    await office.left([mobile(0)])
    await store.write(lambda db: db.execute(update(submission).values(carrier="main", carrier_ref="a")))
    await store.write(
        receipts.store, "main", [Told("a", mobile(0), "undelivered", "MI:0001", NOON)], [None], NOON, "every", RETRY
    )
    await office.broadcasts.stop(sent, by=APPROVER)
    assert {one.state for one in await repeats(store)} == {ParcelState.HELD}
