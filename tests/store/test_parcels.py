"""gateway.store.parcels: queue, hold, open, record, recover and count, on both databases."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select, update

from gateway.model import Fact, Outcome, ParcelState, Priority, ReceiptState, message_id, text_state
from gateway.store import Store, broadcasts, bulk, counting, parcels
from gateway.store.counting import COUNTED
from gateway.store.parcels import Again, EpochLost, OpenParcel, Queued, Result, Step, Verdict
from gateway.store.receipts import RECEIPT_COLUMNS
from gateway.store.tables import consent, message, parcel, receipt, submission
from tests.conftest import NOON
from tests.store.outbound import counted, envelope, number, queue, repeats, row, states, tally, to

FOUR = timedelta(seconds=4)
SOON = NOON + timedelta(minutes=10)


async def take(store: Store, node: str = "here") -> int:
    epoch = await store.write(parcels.take, "main", node, NOON, FOUR)
    assert epoch is not None
    return epoch


async def open_next(
    store: Store, epoch: int, *, priority: int = Priority.BULK, after: int = 0, now: Any = NOON
) -> OpenParcel | None:
    return await store.write(parcels.open_next, "main", epoch, priority, after, now)


async def opened(store: Store, epoch: int) -> OpenParcel:
    found = await open_next(store, epoch)
    assert found is not None
    return found


async def record(store: Store, epoch: int, step: Step, *watched: int, unsure: bool = False) -> Verdict:
    return await store.write(parcels.record, "main", epoch, step, watched, NOON, unsure)


def outcomes(parcel: OpenParcel, outcome: Outcome, start: int, end: int) -> list[tuple[int, int, Result]]:
    made = []
    for key, _, _, parts in parcel.texts[start:end]:
        refs = tuple(f"{key}.{part}" for part in range(1, parts + 1)) if outcome is Outcome.ACCEPTED else ()
        made.append((parcel.id, parcel.attempt, Result(key, parts, outcome, refs, None)))
    return made


async def sent(store: Store, epoch: int, texts: int, mark: int, recorded: int = 0, **changes: Any) -> OpenParcel:
    """A parcel opened with its watermark at `mark` and the first `recorded` texts accepted."""
    key = await queue(store, texts, **changes)
    parcel = await opened(store, epoch)
    assert parcel.id == key
    step = Step(outcomes(parcel, Outcome.ACCEPTED, 0, recorded), watermarks={key: mark})
    await record(store, epoch, step, key)
    return parcel


async def rows_of(store: Store, table: Any) -> int:
    return await store.read(lambda db: db.execute(select(func.count()).select_from(table)).scalar_one())


# -- queueing --------------------------------------------------------------------------------------------------


async def test_a_parcel_comes_out_as_it_went_in(store: Store) -> None:
    own = [Queued(number(1), 7, "雨", 1), Queued(number(2), None, None, 2)]
    key = await queue(store, own, priority=Priority.URGENT, hours="08:00-21:00", consent_seen=5, expires_at=SOON)
    found = await open_next(store, await take(store), priority=Priority.URGENT)
    assert found is not None
    assert (found.id, found.n, found.watermark, found.attempt, found.consent_seen) == (key, 2, 0, 1, 5)
    assert (found.hours, found.expires_at, found.category, found.members) == ("08:00-21:00", SOON, "weather", None)
    shared = envelope().body
    assert found.texts == [(message_id(key, 0), number(1), "雨", 1), (message_id(key, 1), number(2), shared, 2)]


@pytest.mark.parametrize("texts", [0, 501])
async def test_a_parcel_holds_1_to_500_texts(store: Store, texts: int) -> None:
    with pytest.raises(ValueError, match="1 to 500"):
        await queue(store, texts)
    assert await rows_of(store, parcel) == 0


async def test_ids_are_never_used_again(store: Store) -> None:
    first = await queue(store, 1)
    await store.write(lambda db: db.execute(parcel.delete()))
    assert await queue(store, [Queued(number(2), None, None, 1)], broadcast_id=2) > first


# -- holding an account ----------------------------------------------------------------------------------------


async def test_each_taking_raises_the_epoch_and_ends_the_one_before(store: Store) -> None:
    old = await take(store)
    new = await take(store)
    assert new == old + 1
    await store.write(parcels.hold, "main", new)
    with pytest.raises(EpochLost):
        await store.write(parcels.hold, "main", old)
    assert await store.write(parcels.renew, "main", new, NOON, FOUR)
    assert not await store.write(parcels.renew, "main", old, NOON, FOUR)


async def test_accounts_do_not_mind_each_other(store: Store) -> None:
    epoch = await take(store)
    assert await store.write(parcels.take, "other", "there", NOON, FOUR) == 1
    await store.write(parcels.hold, "main", epoch)


async def test_on_sqlite_whoever_has_the_lock_file_takes_it(sqlite_store: Store) -> None:
    assert await take(sqlite_store, "dead") < await take(sqlite_store, "here")


async def test_a_held_account_is_refused_until_its_time_is_over(postgres_store: Store) -> None:
    epoch = await take(postgres_store, "first")
    assert await postgres_store.write(parcels.take, "main", "second", NOON, FOUR) is None
    assert await postgres_store.write(parcels.renew, "main", epoch, NOON, timedelta(milliseconds=-1))
    assert await take(postgres_store, "second") == epoch + 1
    with pytest.raises(EpochLost):
        await record(postgres_store, epoch, Step(watermarks={1: 5}))


async def test_an_orderly_end_leaves_it_to_the_next_at_once(postgres_store: Store) -> None:
    epoch = await take(postgres_store, "first")
    await postgres_store.write(parcels.let_account_go, "main", epoch, NOON)
    assert await take(postgres_store, "second") == epoch + 1


async def test_it_is_the_databases_clock_that_counts(postgres_store: Store) -> None:
    await take(postgres_store, "first")
    future = NOON.replace(year=2999)
    assert await postgres_store.write(parcels.take, "main", "second", future, FOUR) is None


# -- opening ---------------------------------------------------------------------------------------------------


async def test_broadcasts_take_turns_and_wrap_round(store: Store) -> None:
    for broadcast in (1, 1, 2, 3, 3):
        await queue(store, 1, broadcast_id=broadcast)
    epoch, after, served = await take(store), 0, []
    while (found := await open_next(store, epoch, after=after)) is not None:
        served.append(after := found.broadcast_id)
    assert served == [1, 2, 3, 1, 3]


async def test_only_what_is_ready_now_here_and_in_this_priority_is_opened(store: Store) -> None:
    await queue(store, 1, state=ParcelState.HELD)
    await queue(store, 1, state=ParcelState.CANCELLED)
    await queue(store, 1, priority=Priority.NORMAL)
    await queue(store, 1, carrier="other")
    later = await queue(store, 1, not_before=SOON)
    epoch = await take(store)
    assert await open_next(store, epoch) is None
    assert await open_next(store, epoch, now=SOON - timedelta(milliseconds=1)) is None
    assert not await store.read(parcels.has_ready, "absent", NOON)
    found = await open_next(store, epoch, now=SOON)
    assert found is not None and found.id == later
    assert await open_next(store, epoch, now=SOON) is None


async def test_what_waits_is_counted_by_carrier(store: Store) -> None:
    assert await store.read(parcels.waiting) == {}
    await queue(store, 3)
    await queue(store, 2, not_before=SOON)
    await queue(store, 5, carrier="other")
    await queue(store, 7, state=ParcelState.HELD)
    assert await store.read(parcels.waiting) == {"main": 5, "other": 5}
    epoch = await take(store)
    found = await open_next(store, epoch)
    assert found is not None
    await store.write(lambda db: db.execute(update(parcel).where(parcel.c.id == found.id).values(watermark=1)))
    assert await store.read(parcels.waiting) == {"main": 4, "other": 5}


async def test_has_ready_says_whether_there_is_any(store: Store) -> None:
    assert not await store.read(parcels.has_ready, "main", NOON)
    await queue(store, 1, not_before=SOON)
    assert not await store.read(parcels.has_ready, "main", NOON)
    assert await store.read(parcels.has_ready, "main", SOON)
    await open_next(store, await take(store), now=SOON)
    assert not await store.read(parcels.has_ready, "main", SOON)


async def test_a_parcel_let_go_is_opened_from_its_watermark(store: Store) -> None:
    epoch = await take(store)
    parcel = await sent(store, epoch, 5, mark=4, recorded=2)
    await record(store, epoch, Step(watermarks={parcel.id: 2}, let_go={parcel.id: (None, SOON)}), parcel.id)
    assert await open_next(store, epoch) is None
    again = await open_next(store, epoch, now=SOON)
    assert again is not None and again.watermark == 2
    assert [text[0] for text in again.texts] == [text[0] for text in parcel.texts[2:]]


# -- recording -------------------------------------------------------------------------------------------------


async def test_one_transaction_records_and_grants_and_lets_go_and_opens(store: Store) -> None:
    epoch = await take(store)
    first = await sent(store, epoch, 3, mark=3)
    second = await queue(store, 2, broadcast_id=2)
    step = Step(
        outcomes(first, Outcome.ACCEPTED, 0, 2) + outcomes(first, Outcome.REJECTED, 2, 3),
        let_go={first.id: (ParcelState.DONE, None)},
        open={Priority.EMERGENCY: (0, 1), Priority.BULK: (1, 1)},
    )
    verdict = await record(store, epoch, step, first.id)
    assert [each.id for each in verdict.opened] == [second]
    assert verdict.states == {first.id: ParcelState.DONE}
    assert (await row(store, first.id)).holder_epoch is None
    assert await tally(store) == await counted(store) == {"accepted": 2, "rejected": 1, "waiting": 2}


async def test_a_long_text_has_a_row_and_a_reference_per_part(store: Store) -> None:
    epoch = await take(store)
    await queue(store, to(1, parts=3))
    parcel = await opened(store, epoch)
    await record(store, epoch, Step(outcomes(parcel, Outcome.ACCEPTED, 0, 1)), parcel.id)
    query = select(submission.c.part, submission.c.carrier_ref).order_by(submission.c.part)
    key = parcel.texts[0][0]
    assert await store.read(lambda db: [tuple(each) for each in db.execute(query)]) == [
        (1, f"{key}.1"), (2, f"{key}.2"), (3, f"{key}.3")
    ]  # fmt: skip


async def test_who_lost_the_account_writes_nothing(store: Store) -> None:
    epoch = await take(store)
    parcel = await sent(store, epoch, 3, mark=1)
    await take(store, "here")
    step = Step(outcomes(parcel, Outcome.ACCEPTED, 0, 1), watermarks={parcel.id: 3})
    with pytest.raises(EpochLost):
        await record(store, epoch, step, parcel.id)
    assert (await row(store, parcel.id)).watermark == 1
    assert await tally(store) == {"waiting": 3}


async def test_the_holder_learns_of_a_stop_and_of_consent(store: Store) -> None:
    epoch = await take(store)
    parcel_ = await sent(store, epoch, 3, mark=1)
    await store.write(lambda db: db.execute(update(parcel).values(state=ParcelState.HELD)))
    columns = ("phone", "category", "state", "source", "wording", "by", "at")
    said = [(number(n), cat, state, "text", "TD", "-", NOON) for n, cat, state in ((0, None, "out"), (1, "jobs", "in"))]
    await store.write(bulk.insert, consent, columns, said)
    verdict = await record(store, epoch, Step(), parcel_.id)
    assert verdict.states == {parcel_.id: ParcelState.HELD}
    assert [each[1:] for each in verdict.consent] == [(number(0), None, "out"), (number(1), "jobs", "in")]
    last = verdict.consent[-1][0]
    again = await record(store, epoch, Step(consent_seen=last), parcel_.id)
    # PostgreSQL's ids may commit out of order, so that the newest ones are read again; SQLite's cannot.
    assert again.consent == ([] if store.is_sqlite else verdict.consent)
    assert await store.read(parcels.newest_consent) == (last if store.is_sqlite else 0)


async def test_a_step_whose_commit_went_through_unnoticed_is_not_done_twice(store: Store) -> None:
    epoch = await take(store)
    first = await sent(store, epoch, 4, mark=4)
    second = await queue(store, 2, broadcast_id=2)
    step = Step(
        outcomes(first, Outcome.ACCEPTED, 0, 3) + outcomes(first, Outcome.DEFERRED, 3, 4),
        let_go={first.id: (ParcelState.DONE, None)},
        again=[Again(first.id, 2, (first.texts[3][0],), SOON)],
        open={Priority.BULK: (1, 1)},
    )
    once = await record(store, epoch, step, first.id)
    twice = await record(store, epoch, step, first.id, unsure=True)
    assert [each.id for each in once.opened] == [each.id for each in twice.opened] == [second]
    assert len(await repeats(store)) == 1
    assert await rows_of(store, submission) == 4
    assert (await row(store, second)).holder_epoch == epoch


async def test_a_step_whose_commit_did_fail_is_done_when_unsure(store: Store) -> None:
    epoch = await take(store)
    first = await sent(store, epoch, 2, mark=2)
    keys = tuple(text[0] for text in first.texts)
    step = Step(outcomes(first, Outcome.DEFERRED, 0, 2), again=[Again(first.id, 2, keys, None)])
    await record(store, epoch, step, first.id, unsure=True)
    assert [each.members for each in await repeats(store)] == [list(keys)]
    assert await rows_of(store, submission) == 2


# -- trying again ----------------------------------------------------------------------------------------------


async def test_texts_tried_again_are_a_parcel_of_members_with_the_next_attempt(store: Store) -> None:
    epoch = await take(store)
    first = await sent(store, epoch, 5, mark=5, expires_at=SOON, hours="08:00-21:00")
    keys = (first.texts[4][0], first.texts[1][0])
    await store.write(parcels.try_again, Again(first.id, 2, keys, NOON))
    again = await opened(store, epoch)
    assert (again.attempt, again.n, again.members) == (2, 2, list(keys))
    assert (again.expires_at, again.hours, again.category) == (SOON, "08:00-21:00", "weather")
    assert again.texts == [first.texts[4], first.texts[1]]
    await record(store, epoch, Step(outcomes(again, Outcome.ACCEPTED, 0, 2)), again.id)
    assert await counted(store) == {"accepted": 2, "waiting": 3}
    assert (await row(store, again.id)).accepted == 0  # a text counts at home


@pytest.mark.parametrize(("stopped", "state"), [(ParcelState.HELD, "waiting"), (ParcelState.CANCELLED, "cancelled")])
async def test_what_is_tried_again_stays_stopped(store: Store, stopped: ParcelState, state: str) -> None:
    epoch = await take(store)
    first = await sent(store, epoch, 2, mark=1)
    await store.write(lambda db: db.execute(update(parcel).values(state=stopped)))
    keys = (first.texts[0][0],)
    step = Step(outcomes(first, Outcome.DEFERRED, 0, 1), again=[Again(first.id, 2, keys, None)])
    await record(store, epoch, step, first.id)
    assert [each.state for each in await repeats(store)] == [stopped]
    assert await open_next(store, epoch) is None
    assert (await states(store))[keys[0]] == state
    assert await counted(store) == await tally(store)


# -- after a crash ---------------------------------------------------------------------------------------------


async def test_after_a_crash_what_may_have_left_is_uncertain_and_the_rest_waits(store: Store) -> None:
    parcel = await sent(store, await take(store), 10, mark=6, recorded=2)
    epoch = await take(store)
    (found,) = await store.write(parcels.recover, "main", epoch, NOON)
    assert (found.parcel_id, found.uncertain, found.waiting) == (parcel.id, 4, 4)
    assert await tally(store) == await counted(store) == {"accepted": 2, "uncertain": 4, "waiting": 4}
    again = await opened(store, epoch)
    assert [text[0] for text in again.texts] == [text[0] for text in parcel.texts[6:]]
    assert await store.write(parcels.recover, "main", epoch, NOON) == []


async def test_a_crash_after_the_last_text_ends_the_parcel(store: Store) -> None:
    parcel = await sent(store, await take(store), 3, mark=3, recorded=1)
    epoch = await take(store)
    await store.write(parcels.recover, "main", epoch, NOON)
    assert (await row(store, parcel.id)).state == ParcelState.DONE
    assert await open_next(store, epoch) is None
    assert await counted(store) == {"accepted": 1, "uncertain": 2}


async def test_emergencies_that_may_have_left_are_sent_again(store: Store) -> None:
    parcel = await sent(store, await take(store), 5, mark=4, recorded=1, on_uncertain="resend")
    epoch = await take(store)
    await store.write(parcels.recover, "main", epoch, NOON)
    (again,) = await repeats(store)
    assert (again.attempt, again.members) == (2, [text[0] for text in parcel.texts[1:4]])


async def test_a_repeated_attempt_is_recovered_by_its_members(store: Store) -> None:
    epoch = await take(store)
    first = await sent(store, epoch, 4, mark=4)
    keys = tuple(text[0] for text in first.texts)
    done = Step(outcomes(first, Outcome.DEFERRED, 0, 4), let_go={first.id: (ParcelState.DONE, None)})
    await record(store, epoch, replace(done, again=[Again(first.id, 2, keys[::-1], None)]), first.id)
    again = await opened(store, epoch)
    await record(store, epoch, Step(outcomes(again, Outcome.ACCEPTED, 0, 1), watermarks={again.id: 3}), again.id)
    await store.write(parcels.recover, "main", await take(store), NOON)
    found = await states(store)
    assert [found[key].value for key in keys[::-1]] == ["accepted", "uncertain", "uncertain", "waiting"]
    assert await counted(store) == await tally(store)


async def test_a_stopped_parcel_stays_stopped_over_a_crash(store: Store) -> None:
    key = (await sent(store, await take(store), 4, mark=4)).id
    await store.write(lambda db: db.execute(update(parcel).values(state=ParcelState.HELD)))
    await store.write(parcels.recover, "main", await take(store), NOON)
    held = await row(store, key)
    assert (held.state, held.holder_epoch) == (ParcelState.HELD, None)


async def test_a_process_that_dies_each_time_does_not_send_for_ever(store: Store) -> None:
    await queue(store, 3, on_uncertain="resend")
    attempts = []
    while (found := await open_next(store, epoch := await take(store))) is not None:
        attempts.append(found.attempt)
        await record(store, epoch, Step(watermarks={found.id: found.n}), found.id)
        await store.write(parcels.recover, "main", await take(store), NOON, 3)
    assert attempts == [1, 2, 3]
    assert await counted(store) == {"uncertain": 3}


async def repeated(store: Store, epoch: int, texts: int) -> OpenParcel:
    """A second attempt, opened."""
    first = await sent(store, epoch, texts, mark=texts)
    done = Step(outcomes(first, Outcome.DEFERRED, 0, texts), let_go={first.id: (ParcelState.DONE, None)})
    keys = tuple(text[0] for text in first.texts)
    await record(store, epoch, replace(done, again=[Again(first.id, 2, keys, None)]), first.id)
    return await opened(store, epoch)


async def test_a_repeated_attempt_cancelled_before_a_crash_leaves_no_text_waiting(store: Store) -> None:
    again = await repeated(store, epoch := await take(store), 5)
    await record(store, epoch, Step(watermarks={again.id: 2}), again.id)
    await store.write(broadcasts.cancel, 1, NOON)
    await store.write(parcels.recover, "main", await take(store), NOON)
    assert await tally(store) == await counted(store) == {"uncertain": 2, "cancelled": 3}


async def test_a_repeated_attempt_cancelled_as_it_is_let_go_leaves_no_text_waiting(store: Store) -> None:
    again = await repeated(store, epoch := await take(store), 5)
    await store.write(broadcasts.cancel, 1, NOON)
    step = Step(outcomes(again, Outcome.ACCEPTED, 0, 2), watermarks={again.id: 2}, let_go={again.id: (None, SOON)})
    await record(store, epoch, step, again.id)
    assert await tally(store) == await counted(store) == {"accepted": 2, "cancelled": 3}


# -- ends that nobody dispatched -------------------------------------------------------------------------------


async def test_parcels_expire_at_their_time(store: Store) -> None:
    over = await queue(store, 3, expires_at=SOON)
    await queue(store, 2)
    assert await store.write(parcels.expire, "main", SOON - timedelta(milliseconds=1)) == 0
    assert await store.write(parcels.expire, "other", SOON) == 0
    assert await store.write(parcels.expire, "main", SOON) == 1
    assert (await row(store, over)).state == ParcelState.EXPIRED
    assert await tally(store) == await counted(store) == {"expired": 3, "waiting": 2}


async def test_a_repeated_attempt_expires_by_rows(store: Store) -> None:
    epoch = await take(store)
    first = await sent(store, epoch, 3, mark=3, expires_at=SOON)
    keys = tuple(text[0] for text in first.texts[:2])
    results = outcomes(first, Outcome.DEFERRED, 0, 2) + outcomes(first, Outcome.ACCEPTED, 2, 3)
    done = Step(results, let_go={first.id: (ParcelState.DONE, None)}, again=[Again(first.id, 2, keys, SOON)])
    await record(store, epoch, done, first.id)
    assert await store.write(parcels.expire, "main", SOON) == 1
    assert await tally(store) == await counted(store) == {"expired": 2, "accepted": 1}


async def test_what_has_not_begun_moves_to_the_next_carrier_of_its_route(store: Store) -> None:
    epoch = await take(store)
    begun = await sent(store, epoch, 2, mark=1)
    await queue(store, 1)
    await queue(store, 1, route="elsewhere")
    await queue(store, 1, state=ParcelState.HELD)
    assert await store.write(parcels.move, "main", epoch, {"all": "backup"}) == 1
    assert await store.write(parcels.move, "main", epoch, {"all": "backup"}) == 0
    with pytest.raises(EpochLost):
        await store.write(parcels.move, "main", epoch - 1, {"elsewhere": "backup"})
    assert (await row(store, begun.id)).carrier == "main"
    assert await store.read(parcels.has_ready, "backup", NOON)


async def test_what_somebody_ends_now_is_not_opened_and_what_is_opened_is_not_ended(postgres_store: Store) -> None:
    key = await queue(postgres_store, 1, expires_at=SOON)
    epoch = await take(postgres_store)
    async with postgres_store.engine.begin() as holder:
        assert await holder.run_sync(parcels.open_next, "main", epoch, Priority.BULK, 0, NOON) is not None
        assert await postgres_store.write(parcels.expire, "main", SOON) == 0
    assert (await row(postgres_store, key)).state == ParcelState.READY


@pytest.mark.parametrize("end", [broadcasts.hold, lambda db, key: broadcasts.cancel(db, key, NOON)])
async def test_a_stop_finds_the_attempt_that_is_inserted_meanwhile(postgres_store: Store, end: Any) -> None:
    store, epoch = postgres_store, await take(postgres_store)
    first = await sent(store, epoch, 1, mark=1)
    step = Step(outcomes(first, Outcome.DEFERRED, 0, 1), let_go={first.id: (ParcelState.DONE, None)})
    step.again = [Again(first.id, 2, (first.texts[0][0],), None)]
    async with store.engine.begin() as holder:
        await holder.run_sync(parcels.record, "main", epoch, step, [first.id], NOON)
        stopping = asyncio.create_task(store.write(end, 1))
        await asyncio.sleep(0.2)
    assert await stopping == 1
    assert await open_next(store, epoch) is None


# -- counting --------------------------------------------------------------------------------------------------


async def test_parcels_are_counted_in_slices_and_once(store: Store) -> None:
    for _ in range(5):
        await queue(store, 1)
    assert [await store.write(counting.recount, 2) for _ in range(4)] == [2, 2, 1, 0]


KINDS: list[Outcome | ReceiptState] = [*Outcome, *ReceiptState]
FACTS = st.lists(st.builds(Fact, st.integers(1, 3), st.integers(1, 3), st.sampled_from(KINDS)), max_size=6, unique=True)
TEXTS = st.lists(st.tuples(st.integers(1, 3), FACTS), min_size=1, max_size=4)
HOMES = st.lists(st.tuples(st.sampled_from(ParcelState), TEXTS), min_size=1, max_size=3)
Homes = list[tuple[ParcelState, list[tuple[int, list[Fact]]]]]


def put(db: Connection, homes: Homes) -> list[int]:
    ids = []
    for state, texts in homes:
        ids.append(
            parcels.queue(db, envelope(state=state), [Queued("", None, None, parts) for parts, _ in texts], NOON)
        )
        for at, (_, facts) in enumerate(texts):
            put_facts(db, message_id(ids[-1], at), facts)
    return ids


def put_facts(db: Connection, key: int, facts: list[Fact]) -> None:
    said = [(key, f.attempt, f.part, f.what.value, "main", None, None, NOON) for f in facts if f.what in list(Outcome)]
    heard = [(key, f.attempt, f.part, f.what.value, None, "ref", NOON) for f in facts if f.what in list(ReceiptState)]
    bulk.insert(db, submission, parcels.SUBMISSION_COLUMNS, said)
    bulk.insert(db, receipt, RECEIPT_COLUMNS, heard)


def counters(db: Connection, parcel_id: int) -> dict[str, int]:
    found = db.execute(select(parcel).where(parcel.c.id == parcel_id)).one()
    return {state.value: getattr(found, state.value) for state in COUNTED if getattr(found, state.value)}


async def counters_follow_the_model(store: Store, homes: Homes) -> None:
    ids = await store.write(put, homes)
    while await store.write(counting.recount):
        pass
    for key, (end, texts) in zip(ids, homes, strict=True):
        expected = Counter(text_state(parts, facts, end=end).value for parts, facts in texts)
        del expected["waiting"]
        assert await store.read(counters, key) == dict(expected)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(homes=HOMES)
async def test_the_counters_are_what_the_model_says(store: Store, homes: Homes) -> None:
    await counters_follow_the_model(store, homes)


async def test_they_are_even_for_every_pair_of_facts(store: Store) -> None:
    facts = [Fact(attempt, part, what) for attempt in (1, 2) for part in (1, 2) for what in KINDS]
    pairs = [(2, [one, other]) for at, one in enumerate(facts) for other in facts[at + 1 :]]
    homes = [(ParcelState.DONE, pairs[start : start + 500]) for start in range(0, len(pairs), 500)]
    await counters_follow_the_model(store, homes)


async def test_states_in_tells_the_newest_attempt_and_the_state(store: Store) -> None:
    texts = [(1, [Fact(1, 1, Outcome.DEFERRED), Fact(2, 1, Outcome.UNCERTAIN)]), (1, []),
             (1, [Fact(1, 1, ReceiptState.DELIVERED), Fact(2, 1, Outcome.UNCERTAIN)])]  # fmt: skip
    (key,) = await store.write(put, [(ParcelState.DONE, texts)])
    assert await store.read(counting.states_in, [key]) == {
        message_id(key, 0): (2, "uncertain"),
        message_id(key, 2): (1, "delivered"),
    }
    assert await store.read(counting.states_in, []) == {}


async def test_a_broadcasts_messages_are_id_ranges(store: Store) -> None:
    key = await queue(store, 3)
    await queue(store, 2, broadcast_id=2)
    mine = message.c.id.between(message_id(key, 0), message_id(key, 2))
    assert await store.read(lambda db: len(db.execute(select(message).where(mine)).all())) == 3


async def test_what_is_recorded_while_its_parcel_is_counted_is_counted_next(postgres_store: Store) -> None:
    store, epoch = postgres_store, await take(postgres_store)
    await queue(store, 1)
    found = await opened(store, epoch)
    async with store.engine.begin() as other:
        assert await other.run_sync(counting.recount) == 1
        recording = asyncio.create_task(record(store, epoch, Step(outcomes(found, Outcome.ACCEPTED, 0, 1)), found.id))
        await asyncio.sleep(0.2)
    await recording
    assert await counted(store) == {"accepted": 1}
