"""gateway.model: what a text's facts come to, and which way a broadcast may go."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import (
    BROADCAST_MOVES,
    POSITION_BITS,
    BroadcastState,
    Fact,
    Outcome,
    ParcelState,
    Priority,
    ReceiptState,
    TextState,
    home_parcel,
    message_id,
    text_state,
    within,
)

KINDS: list[Outcome | ReceiptState] = [*Outcome, *ReceiptState]
parts = st.integers(1, 3)
facts = st.lists(
    st.builds(Fact, attempt=st.integers(1, 3), part=parts, what=st.sampled_from(KINDS)), max_size=12, unique=True
)


def said(*words: str) -> list[Fact]:
    """`1/2 accepted` is attempt 1, part 2; the attempt may be left out."""
    made = []
    for word in words:
        place, _, what = word.partition(" ")
        attempt, _, part = place.rpartition("/")
        made.append(Fact(int(attempt or 1), int(part), next(kind for kind in KINDS if kind == what)))
    return made


@pytest.mark.parametrize(
    ("of", "words", "state"),
    [
        (1, [], "waiting"),
        (1, ["1 accepted"], "accepted"),
        (1, ["1 deferred"], "waiting"),
        (1, ["1 rejected"], "rejected"),
        (1, ["1 uncertain"], "uncertain"),
        (1, ["1 withheld"], "withheld"),
        (1, ["1 expired"], "expired"),
        (1, ["1 cancelled"], "cancelled"),
        (1, ["1 accepted", "1 delivered"], "delivered"),
        (1, ["1 accepted", "1 undelivered"], "undelivered"),
        (1, ["1 delivered"], "delivered"),  # the receipt overtook the recording
        (1, ["1 uncertain", "1 delivered"], "delivered"),
        (1, ["1 uncertain", "1 undelivered"], "undelivered"),
        (1, ["1 uncertain", "1 accepted"], "accepted"),
        (1, ["1 accepted", "1 delivered", "1 undelivered"], "delivered"),  # a text on the phone stays there
        (2, ["1 accepted", "2 accepted", "1 delivered"], "accepted"),
        (2, ["1 uncertain", "2 uncertain", "1 delivered"], "accepted"),
        (2, ["1 accepted", "2 accepted", "1 delivered", "2 delivered"], "delivered"),
        (2, ["1 accepted", "2 accepted", "1 delivered", "2 undelivered"], "undelivered"),
        (3, ["1 delivered", "2 delivered"], "accepted"),
        (1, ["1/1 deferred", "2/1 accepted"], "accepted"),
        (1, ["1/1 uncertain", "2/1 rejected"], "rejected"),
        (1, ["1/1 uncertain", "1/1 delivered", "2/1 rejected"], "delivered"),
        (1, ["1/1 rejected", "2/1 deferred"], "waiting"),
        (2, ["1/1 delivered", "2/2 delivered"], "accepted"),  # half of one and half of another is no whole
        (1, ["3/1 accepted", "1/1 undelivered"], "accepted"),
    ],
)
def test_the_state_of_a_text(of: int, words: list[str], state: str) -> None:
    assert text_state(of, said(*words)) is TextState(state)


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (None, TextState.WAITING),
        (ParcelState.READY, TextState.WAITING),
        (ParcelState.HELD, TextState.WAITING),
        (ParcelState.DONE, TextState.WAITING),
        (ParcelState.CANCELLED, TextState.CANCELLED),
        (ParcelState.EXPIRED, TextState.EXPIRED),
    ],
)
def test_how_its_parcel_ended_settles_a_text_without_facts(end: ParcelState | None, state: TextState) -> None:
    assert text_state(1, [], end=end) is state
    assert text_state(1, said("1 accepted"), end=end) is TextState.ACCEPTED


@given(parts, facts, st.randoms())
def test_the_order_of_facts_does_not_matter_nor_do_repeats(of: int, some: list[Fact], dice: Random) -> None:
    shuffled = some + some[::2]
    dice.shuffle(shuffled)
    assert text_state(of, shuffled) is text_state(of, some)


@given(parts, facts, st.integers(1, 3))
def test_when_all_parts_of_an_attempt_are_delivered_so_is_the_text(of: int, some: list[Fact], attempt: int) -> None:
    receipts = [Fact(attempt, part, ReceiptState.DELIVERED) for part in range(1, of + 1)]
    assert text_state(of, some + receipts) is TextState.DELIVERED


@given(parts, facts, facts)
def test_nothing_moves_a_text_from_delivered(of: int, some: list[Fact], more: list[Fact]) -> None:
    if text_state(of, some) is TextState.DELIVERED:
        assert text_state(of, some + more) is TextState.DELIVERED


@given(parts, facts, st.sampled_from([Outcome.ACCEPTED, Outcome.REJECTED, *ReceiptState]))
def test_an_answer_outranks_uncertain(of: int, some: list[Fact], answer: Outcome | ReceiptState) -> None:
    answered = [*some, Fact(4, 1, Outcome.UNCERTAIN), Fact(4, 1, answer)]
    assert text_state(of, answered) is not TextState.UNCERTAIN


@given(st.integers(1, 1 << 40), st.integers(0, (1 << POSITION_BITS) - 1))
def test_a_message_id_holds_its_parcel(parcel: int, position: int) -> None:
    key = message_id(parcel, position)
    assert home_parcel(key) == parcel
    assert key - message_id(parcel, 0) == position


def test_message_ids_of_one_parcel_are_a_range_of_their_own() -> None:
    assert message_id(7, (1 << POSITION_BITS) - 1) + 1 == message_id(8, 0)


def test_a_broadcast_cannot_leave_cancelled_and_nothing_is_approved_unseen() -> None:
    assert set(BROADCAST_MOVES) == set(BroadcastState)
    assert not BROADCAST_MOVES[BroadcastState.CANCELLED]
    before_approval = {state for state, moves in BROADCAST_MOVES.items() if BroadcastState.APPROVED in moves}
    assert before_approval == {BroadcastState.COMPOSED, BroadcastState.STOPPED}


@pytest.mark.parametrize("state", sorted(set(BroadcastState) - {BroadcastState.CANCELLED}))
def test_every_broadcast_can_be_reached_and_can_end(state: BroadcastState) -> None:
    assert state is BroadcastState.DUE or state in reached(BroadcastState.DUE)
    assert BroadcastState.CANCELLED in reached(state)


def reached(start: BroadcastState) -> set[BroadcastState]:
    found, todo = set[BroadcastState](), [start]
    while todo:
        new = BROADCAST_MOVES[todo.pop()] - found
        found |= new
        todo.extend(new)
    return found


def test_priorities_go_in_order_of_urgency() -> None:
    assert sorted(Priority) == [Priority.EMERGENCY, Priority.URGENT, Priority.NORMAL, Priority.BULK]


def test_areas_lie_within_prefixes() -> None:
    assert within("610823", "") and within("610823", "6108") and within("610823", "610823")
    assert not within("6108", "610823") and not within("610823", "6109")
