"""gateway.store.receipts: each receipt finds its part, or is parked and never guessed; on both databases."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from gateway.model import Outcome, home_parcel, message_id
from gateway.store import Store, bulk, parcels, receipts
from gateway.store.receipts import Part, Recent, Stored, Told
from gateway.store.tables import parcel, receipt, receipt_unmatched, submission
from tests.conftest import NOON
from tests.store.outbound import counted, number, queue, row, states, tally, to

LATER = NOON + timedelta(seconds=30)


def told(ref: str, phone: str, state: str = "delivered", at: datetime = NOON) -> Told:
    return Told(ref, phone, state, None if state == "delivered" else "UNDELIV", at)


async def submitted(
    store: Store, key: int, *refs: str | None, outcome: Outcome = Outcome.ACCEPTED, attempt: int = 1
) -> None:
    """What was recorded of a text's parts."""
    rows = [(key, attempt, part, outcome.value, "main", ref, None, NOON) for part, ref in enumerate(refs, 1)]
    await store.write(bulk.insert, submission, parcels.SUBMISSION_COLUMNS, rows)


async def hear(
    store: Store, *heard: Told, recent: Recent | None = None, carrier: str = "main", rule: str = "every"
) -> Stored:
    known = [recent.find(carrier, one.ref) if recent else None for one in heard]
    return await store.write(receipts.store, carrier, heard, known, NOON, rule)


async def parked(store: Store) -> list[tuple[Any, ...]]:
    columns = (receipt_unmatched.c.carrier_ref, receipt_unmatched.c.state, receipt_unmatched.c.why)
    query = select(*columns).order_by(receipt_unmatched.c.id)
    return await store.read(lambda db: [tuple(each) for each in db.execute(query)])


async def matched(store: Store) -> list[tuple[Any, ...]]:
    r = receipt.c
    query = select(r.message_id, r.attempt, r.part, r.state, r.matched).order_by(r.message_id, r.attempt, r.part)
    return await store.read(lambda db: [tuple(each) for each in db.execute(query)])


async def settle(store: Store, before: datetime = LATER) -> Stored:
    settled = await store.write(receipts.settle, before)
    return Stored(settled.matched, settled.parked)


# -- by reference ----------------------------------------------------------------------------------------------


async def test_a_reference_is_known_from_memory_before_it_is_recorded(store: Store) -> None:
    key = message_id(await queue(store, 1), 0)
    recent = Recent()
    recent.remember("main", "A1", Part(key, 1, 1, number(0)))
    assert await hear(store, told("A1", number(0)), recent=recent) == Stored(1, 0)
    assert await tally(store) == await counted(store) == {"delivered": 1}


async def test_and_later_from_the_index(store: Store) -> None:
    home = await queue(store, 3)
    for at in range(3):
        await submitted(store, message_id(home, at), f"A{at}")
    heard = [told("A0", number(0)), told("A2", number(2), "undelivered"), told("A9", number(1))]
    assert await hear(store, *heard) == Stored(2, 1)
    assert await tally(store) == await counted(store) == {"delivered": 1, "undelivered": 1, "accepted": 1}
    assert await parked(store) == [("A9", "delivered", "unknown")]


async def test_a_receipt_marks_its_home_for_counting(store: Store) -> None:
    home = await queue(store, 1)
    await submitted(store, message_id(home, 0), "A")
    await counted(store)
    await hear(store, told("A", number(0)))
    assert (await row(store, home)).stale


async def test_each_part_has_its_own_reference_and_receipt(store: Store) -> None:
    key = message_id(await queue(store, to(1, parts=2)), 0)
    await submitted(store, key, "A1", "A2")
    await hear(store, told("A2", number(0)))
    assert await counted(store) == {"accepted": 1}
    await hear(store, told("A1", number(0)))
    assert await counted(store) == {"delivered": 1}
    assert await matched(store) == [(key, 1, 1, "delivered", "ref"), (key, 1, 2, "delivered", "ref")]


async def test_a_receipt_belongs_to_its_attempt(store: Store) -> None:
    key = message_id(await queue(store, 1), 0)
    await submitted(store, key, None, outcome=Outcome.DEFERRED)
    await submitted(store, key, "B", attempt=2)
    await hear(store, told("B", number(0)))
    assert await matched(store) == [(key, 2, 1, "delivered", "ref")]


async def test_a_repeated_receipt_does_nothing(store: Store) -> None:
    await submitted(store, message_id(await queue(store, 1), 0), "A")
    for _ in range(2):
        await hear(store, told("A", number(0)), told("A", number(0)), told("?", number(0)))
    assert len(await matched(store)) == len(await parked(store)) == 1


async def test_a_second_opinion_is_kept_and_changes_nothing_delivered(store: Store) -> None:
    await submitted(store, message_id(await queue(store, 1), 0), "A")
    await hear(store, told("A", number(0), "undelivered"))
    assert await counted(store) == {"undelivered": 1}
    await hear(store, told("A", number(0), "delivered"))
    await hear(store, told("A", number(0), "undelivered"))
    assert len(await matched(store)) == 2
    assert await counted(store) == await tally(store) == {"delivered": 1}


@pytest.mark.parametrize("remembered", [True, False])
async def test_the_number_must_agree(store: Store, remembered: bool) -> None:
    key = message_id(await queue(store, 1), 0)
    await submitted(store, key, "A")
    recent = Recent()
    if remembered:
        recent.remember("main", "A", Part(key, 1, 1, number(0)))
    assert await hear(store, told("A", number(7)), recent=recent) == Stored(0, 1)
    assert await parked(store) == [("A", "delivered", "number_differs")]
    assert await tally(store) == {"accepted": 1}


async def test_two_texts_that_fit_are_quarantined_and_stay_so(store: Store) -> None:
    home = await queue(store, [*to(1), *to(1)])
    for at in (0, 1):
        await submitted(store, message_id(home, at), "A")
    assert await hear(store, told("A", number(0))) == Stored(0, 1)
    assert await parked(store) == [("A", "delivered", "two_candidates")]
    assert await settle(store) == Stored(0, 0)


async def test_of_two_with_the_same_reference_the_number_decides(store: Store) -> None:
    home = await queue(store, 2)
    for at in (0, 1):
        await submitted(store, message_id(home, at), "A")
    await hear(store, told("A", number(1)))
    assert [each[0] for each in await matched(store)] == [message_id(home, 1)]


async def test_a_reference_is_an_accounts_own(store: Store) -> None:
    await submitted(store, message_id(await queue(store, 1), 0), "A")
    assert await hear(store, told("A", number(0)), carrier="other") == Stored(0, 1)


async def test_nothing_heard_is_nothing_stored(store: Store) -> None:
    assert await hear(store) == await settle(store) == Stored(0, 0)


def test_memory_is_bounded_and_the_newest_wins() -> None:
    recent = Recent(limit=2)
    parts = [Part(n, 1, 1, number(n)) for n in range(3)]
    for ref, part in zip("ABC", parts, strict=True):
        recent.remember("main", ref, part)
    assert [recent.find("main", ref) for ref in "ABC"] == [None, parts[1], parts[2]]
    recent.remember("main", "C", parts[0])
    assert recent.find("main", "C") == parts[0] and recent.find("other", "C") is None


# -- parked ----------------------------------------------------------------------------------------------------


async def test_a_receipt_that_overtook_its_recording_is_settled_by_reference(store: Store) -> None:
    key = message_id(await queue(store, 1), 0)
    await hear(store, told("A", number(0)))
    assert await settle(store, NOON - timedelta(seconds=1)) == Stored(0, 0)
    assert await settle(store) == Stored(0, 1)
    await submitted(store, key, "A")
    assert await settle(store) == Stored(1, 0)
    assert await parked(store) == []
    assert await matched(store) == [(key, 1, 1, "delivered", "ref")]
    assert await counted(store) == {"delivered": 1}


async def test_an_uncertain_text_is_settled_by_number_when_it_is_the_only_one(store: Store) -> None:
    key = message_id(await queue(store, 1), 0)
    await submitted(store, key, None, outcome=Outcome.UNCERTAIN)
    await hear(store, told("X", number(0)))
    assert await settle(store) == Stored(1, 0)
    assert await matched(store) == [(key, 1, 1, "delivered", "number")]
    assert await tally(store) == await counted(store) == {"delivered": 1}


async def test_a_long_uncertain_text_takes_one_receipt_for_each_part(store: Store) -> None:
    key = message_id(await queue(store, to(1, parts=2)), 0)
    await submitted(store, key, None, None, outcome=Outcome.UNCERTAIN)
    await hear(store, told("X", number(0)), told("Y", number(0)), told("Z", number(0)))
    assert await settle(store) == Stored(2, 1)
    assert [each[:3] for each in await matched(store)] == [(key, 1, 1), (key, 1, 2)]
    assert await counted(store) == {"delivered": 1}


async def test_the_same_receipt_again_settles_no_other_text(store: Store) -> None:
    first, second = message_id(await queue(store, to(1, parts=2)), 0), message_id(await queue(store, 1), 0)
    await submitted(store, first, None, None, outcome=Outcome.UNCERTAIN)
    await hear(store, told("X", number(0)), told("Y", number(0)))
    assert await settle(store) == Stored(2, 0)
    await submitted(store, second, None, outcome=Outcome.UNCERTAIN)  # it never left
    assert await hear(store, told("X", number(0))) == Stored(1, 0)
    assert await settle(store) == Stored(0, 0)
    assert [each[:3] for each in await matched(store)] == [(first, 1, 1), (first, 1, 2)]


async def test_two_words_about_one_reference_are_about_one_part(store: Store) -> None:
    key = message_id(await queue(store, to(1, parts=2)), 0)
    await submitted(store, key, None, None, outcome=Outcome.UNCERTAIN)
    await hear(store, told("X", number(0), "undelivered"), told("X", number(0)))
    assert await settle(store) == Stored(2, 0)
    assert {each[:3] for each in await matched(store)} == {(key, 1, 1)}


@pytest.mark.parametrize("other", [Outcome.UNCERTAIN, Outcome.ACCEPTED])
async def test_of_two_texts_to_a_number_none_is_guessed(store: Store, other: Outcome) -> None:
    home = await queue(store, [*to(1), *to(1)])
    await submitted(store, message_id(home, 0), None, outcome=Outcome.UNCERTAIN)
    await submitted(store, message_id(home, 1), "A" if other is Outcome.ACCEPTED else None, outcome=other)
    await hear(store, told("X", number(0)))
    assert await settle(store) == Stored(0, 1)
    assert await parked(store) == [("X", "delivered", "unknown")]
    if other is Outcome.ACCEPTED:
        await hear(store, told("A", number(0)))  # now only one of them is without a receipt
        assert await settle(store) == Stored(1, 0)


async def test_what_is_not_uncertain_is_not_settled_by_number(store: Store) -> None:
    home = await queue(store, 3)
    await submitted(store, message_id(home, 0), "A")
    await submitted(store, message_id(home, 1), None, outcome=Outcome.REJECTED)
    await hear(store, *(told("X", number(n)) for n in range(3)))
    assert await settle(store) == Stored(0, 3)


@pytest.mark.parametrize(("early", "settled"), [(59, 1), (61, 0)])
async def test_nor_by_a_receipt_older_than_the_text(store: Store, early: int, settled: int) -> None:
    await submitted(store, message_id(await queue(store, 1), 0), None, outcome=Outcome.UNCERTAIN)
    await hear(store, told("X", number(0), at=NOON - timedelta(seconds=early)))
    assert (await settle(store)).matched == settled


async def test_nor_over_another_account(store: Store) -> None:
    await submitted(store, message_id(await queue(store, 1), 0), None, outcome=Outcome.UNCERTAIN)
    await hear(store, told("X", number(0)), carrier="other")
    assert await settle(store) == Stored(0, 1)


async def test_receipts_of_nobodys_texts_do_not_stand_in_the_way_of_others(store: Store) -> None:
    key = message_id(await queue(store, 1), 0)
    await hear(store, *(told(f"stray {n}", number(100 + n)) for n in range(5)))
    await submitted(store, key, None, outcome=Outcome.UNCERTAIN)
    await hear(store, told("X", number(0)))
    after = 0
    for _ in range(2):
        after = (await store.write(receipts.settle, LATER, limit=3, after=after)).next
    assert (await states(store))[key] == "delivered"
    assert (await store.write(receipts.settle, LATER, limit=3, after=after)).next == 0  # and round again


async def test_many_at_once(store: Store) -> None:
    home = await queue(store, 500)
    rows = [(message_id(home, n), 1, 1, "accepted", "main", f"A{n}", None, NOON) for n in range(500)]
    await store.write(bulk.insert, submission, parcels.SUBMISSION_COLUMNS, rows)
    assert await hear(store, *(told(f"A{n}", number(n)) for n in range(500))) == Stored(500, 0)
    assert await store.read(lambda db: db.execute(select(func.count()).select_from(receipt)).scalar_one()) == 500


async def test_where_the_newest_of_a_reference_went_to_another_the_older_is_meant(store: Store) -> None:
    home = await queue(store, 2)
    recent = Recent()
    for at in (0, 1):
        await submitted(store, message_id(home, at), "7")
        recent.remember("main", "7", Part(message_id(home, at), 1, 1, number(at)))
    assert await hear(store, told("7", number(0)), told("7", number(1)), recent=recent) == Stored(2, 0)
    assert [each[0] for each in await matched(store)] == [message_id(home, 0), message_id(home, 1)]


@pytest.mark.parametrize("repeat", [False, True])
async def test_nothing_is_settled_by_number_while_another_text_to_it_is_not_answered(
    store: Store, repeat: bool
) -> None:
    """An operator may report before it answers; the receipt is that other text's as soon as that is recorded."""
    uncertain, flying = [message_id(await queue(store, 1, broadcast_id=n), 0) for n in (1, 2)]
    await submitted(store, uncertain, None, outcome=Outcome.UNCERTAIN)
    await store.write(lambda db: db.execute(update(parcel).values(state="done")))
    if repeat:
        await submitted(store, flying, None, outcome=Outcome.DEFERRED)
        await store.write(parcels.try_again, parcels.Again(home_parcel(flying), 2, (flying,), None))
    which = parcel.c.members.is_not(None) if repeat else parcel.c.id == home_parcel(flying)
    await store.write(lambda db: db.execute(update(parcel).where(which).values(holder_epoch=1)))
    await hear(store, told("late", number(0)))
    assert await settle(store) == Stored(0, 1)
    await submitted(store, flying, "late", attempt=2 if repeat else 1)
    assert await settle(store) == Stored(1, 0)
    assert [each[0] for each in await matched(store)] == [flying]


# -- one receipt for a long text -------------------------------------------------------------------------------


async def long_text(store: Store) -> int:
    """A text of three parts that the operator took."""
    key = message_id(await queue(store, to(1, parts=3)), 0)
    await submitted(store, key, "A1", "A2", "A3")
    return key


@pytest.mark.parametrize(
    ("rule", "ref", "state"),
    [
        ("every", "A1", "accepted"),
        ("first", "A1", "delivered"),
        ("first", "A2", "accepted"),
        ("last", "A3", "delivered"),
        ("last", "A1", "accepted"),
        ("one", "A2", "delivered"),
    ],
)
async def test_the_receipt_that_an_account_sends_for_the_whole_text_delivers_it(
    store: Store, rule: str, ref: str, state: str
) -> None:
    await long_text(store)
    assert await hear(store, told(ref, number(0)), rule=rule) == Stored(1, 0)
    assert await tally(store) == await counted(store) == {state: 1}


async def test_a_receipt_of_failure_speaks_for_the_whole_text_too(store: Store) -> None:
    key = await long_text(store)
    await hear(store, told("A1", number(0), "undelivered"), rule="one")
    assert await tally(store) == await counted(store) == {"undelivered": 1}
    assert [found[2:] for found in await matched(store)] == [
        (1, "undelivered", "ref"), (2, "undelivered", "whole"), (3, "undelivered", "whole")
    ]  # fmt: skip
    assert (await matched(store))[0][0] == key


@pytest.mark.parametrize("first", ["A1", "A2"])
async def test_what_is_said_of_a_part_itself_outranks_what_was_concluded(store: Store, first: str) -> None:
    await long_text(store)
    heard = [told("A1", number(0)), told("A2", number(0), "undelivered")]
    for one in sorted(heard, key=lambda one: one.ref != first):
        await hear(store, one, rule="first")
    assert [found[2:] for found in await matched(store)] == [
        (1, "delivered", "ref"), (2, "undelivered", "ref"), (3, "delivered", "whole")
    ]  # fmt: skip
    assert await tally(store) == await counted(store) == {"undelivered": 1}


async def test_texts_of_one_part_need_no_rule(store: Store) -> None:
    home = await queue(store, 2)
    for at in range(2):
        await submitted(store, message_id(home, at), f"A{at}")
    await hear(store, *(told(f"A{at}", number(at)) for at in range(2)), rule="last")
    assert await tally(store) == {"delivered": 2}
    assert {how for *_, how in await matched(store)} == {"ref"}


async def test_a_parked_receipt_follows_the_rule_of_its_account(store: Store) -> None:
    key = message_id(await queue(store, to(1, parts=3)), 0)
    await hear(store, told("A1", number(0)), rule="one")
    await submitted(store, key, "A1", "A2", "A3")
    await store.write(receipts.settle, LATER, {"main": "one"})
    assert await tally(store) == await counted(store) == {"delivered": 1}
