"""gateway.store.reports: the slices' states are the model's, whatever the number of parcels and of attempts."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import Connection

from gateway.model import Outcome, ParcelState, ReceiptState
from gateway.store import Store, bulk, parcels, reports
from gateway.store.tables import receipt, submission
from tests.conftest import NOON
from tests.store import outbound


def _fate(key: int) -> tuple[Outcome | None, ReceiptState | None]:
    """Texts meet every fate in turn, by their id."""
    fates = [
        (None, None),
        (Outcome.ACCEPTED, None),
        (Outcome.ACCEPTED, ReceiptState.DELIVERED),
        (Outcome.ACCEPTED, ReceiptState.UNDELIVERED),
        (Outcome.REJECTED, None),
        (Outcome.UNCERTAIN, None),
        (Outcome.UNCERTAIN, ReceiptState.DELIVERED),
        (Outcome.DEFERRED, None),
    ]
    return fates[((key >> 10) + key) % len(fates)]


def _scatter(db: Connection, keys: list[int]) -> None:
    fates = [(key, *_fate(key)) for key in keys]
    submitted = [(k, 1, 1, one.value, "main", None, f"E{k % 3}", NOON) for k, one, _ in fates if one]
    received = [(k, 1, 1, one.value, "0", "ref", NOON) for k, _, one in fates if one]
    bulk.insert(db, submission, parcels.SUBMISSION_COLUMNS, submitted)
    bulk.insert(db, receipt, ("message_id", "attempt", "part", "state", "error", "matched", "at"), received)


def _all(db: Connection, broadcast_id: int) -> list[reports.Text]:
    return [one for homes in reports.slices(db, broadcast_id) for one in reports.texts(db, homes)]


async def test_every_text_is_told_once_in_its_state_over_several_slices(store: Store) -> None:
    homes = [await outbound.queue(store, 3) for _ in range(2 * reports.SLICE + 1)]
    other = await outbound.queue(store, 3, broadcast_id=2)
    ends = (
        await outbound.queue(store, 2, state=ParcelState.EXPIRED),
        await outbound.queue(store, 2, state=ParcelState.CANCELLED),
    )
    await store.write(_scatter, [home << 10 | at for home in [*homes, other] for at in range(3)])
    told = await store.read(_all, 1)
    expected = await outbound.states(store)
    assert {one.key: one.state for one in told} == {k: s for k, s in expected.items() if k >> 10 != other}
    assert len(told) == 3 * len(homes) + 2 * len(ends)
    assert [one.key for one in told] == sorted(one.key for one in told)
    assert len(Counter(one.state for one in told)) >= 8


async def test_errors_belong_to_their_attempt_and_delivered_texts_have_none(store: Store) -> None:
    home = await outbound.queue(store, 8)
    first = home << 10
    await store.write(_scatter, list(range(first, first + 8)))
    rows = [(first, attempt, 1, "rejected", "main", None, f"A{attempt}", NOON) for attempt in (2, 3)]
    await store.write(bulk.insert, submission, parcels.SUBMISSION_COLUMNS, rows)
    found = await store.read(reports.errors, [home])
    assert [found[first, attempt] for attempt in (2, 3)] == [("main", "submit", "A2"), ("main", "submit", "A3")]
    failed = {
        key
        for key in range(first, first + 8)
        if _fate(key)[0] not in (None, Outcome.ACCEPTED) or _fate(key)[1] is ReceiptState.UNDELIVERED
    }
    assert {key for key, attempt in found if attempt == 1} == failed
