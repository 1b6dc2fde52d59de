"""gateway.health: how an account does, in numbers, and from where on it is in trouble."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from gateway.codes import Stage
from gateway.health import Health, Marks, Sent, measure, no_meaning
from tests.conftest import NOON

MINUTE = timedelta(minutes=1)
MARKS = Marks()


def part(
    ago: float = 1, outcome: str = "accepted", error: str | None = None, state: str | None = "delivered",
    said: str | None = None, after: float = 3,
) -> Sent:  # fmt: skip
    """A part that left so many minutes ago, its receipt so many seconds later."""
    at = NOON - ago * MINUTE
    told: datetime | None = at + timedelta(seconds=after) if state else None
    return Sent(at, outcome, error, state, said, told)


def health(*sent: Sent, marks: Marks = MARKS) -> Health:
    return measure(sorted(sent, key=lambda one: one.at, reverse=True), NOON, marks, meaning)


def meaning(stage: Stage, code: str) -> str:
    return {"MK:0001": "dead", "SPAM": "content", "GONE": "absent"}.get(code, no_meaning(stage, code))


def test_nothing_sent_says_nothing() -> None:
    found = health()
    assert (found.parts, found.per_second, found.delivered, found.median_delay, found.trouble) == (0, 0, None, None, "")


def test_shares_are_of_all_parts_of_the_hour() -> None:
    rejected, silent = part(outcome="rejected", error="8", state=None), part(state=None)
    unsure = part(outcome="uncertain", error="lost", state=None)
    found = health(*[part()] * 6, part(state="undelivered", said="MK:0001"), rejected, silent, unsure)
    assert (found.parts, found.delivered, found.failed, found.unknown) == (10, 0.6, 0.2, 0.2)


def test_speed_is_of_the_last_ten_seconds() -> None:
    assert health(*[part(ago=0.1)] * 30, *[part(ago=1)] * 100).per_second == 3


def test_delays_are_those_of_receipts_and_never_negative() -> None:
    found = health(*[part(after=n) for n in range(1, 101)], part(state=None))
    assert (found.median_delay, found.late_delay) == (50, 95)
    assert health(part(after=-40)).median_delay == 0


def test_the_newest_error_is_told_whoever_said_it() -> None:
    found = health(part(5, "rejected", "8", None), part(3, state="undelivered", said="MK:0001"), part(1))
    assert (found.last_error, found.last_error_at) == ("MK:0001", NOON - 3 * MINUTE)
    assert health(part()).last_error is None


@pytest.mark.parametrize(
    ("late", "told", "ago", "trouble"),
    [(10, 10, 15, "slow"), (9, 11, 15, ""), (20, 0, 9, ""), (20, 0, 31, ""), (19, 0, 15, "")],
)
def test_an_account_is_slow_when_half_of_what_is_due_has_no_receipt(
    late: int, told: int, ago: float, trouble: str
) -> None:
    assert health(*[part(ago, state=None)] * late, *[part(ago)] * told).trouble == trouble


def test_an_account_that_fails_half_of_its_newest_parts_is_failing() -> None:
    fails, well = part(outcome="rejected", error="8", state=None), part(state="delivered")
    assert health(*[fails] * 10, *[well] * 10).trouble == "failing"
    assert health(*[fails] * 9, *[well] * 11).trouble == ""
    assert health(*[part(20, "rejected", "8", None)] * 50).trouble == ""  # long ago: let it try again
    newest = Marks(failing_of=20)
    assert health(*[part(1)] * 20, *[part(2, "rejected", "8", None)] * 80, marks=newest).trouble == ""


def test_dead_numbers_and_refused_wordings_are_not_the_carriers_failing() -> None:
    dead, spam = part(state="undelivered", said="MK:0001"), part(outcome="rejected", error="SPAM", state=None)
    found = health(*[dead] * 50, *[spam] * 50)
    assert (found.failed, found.failing, found.trouble) == (1, 0, "")


def test_a_share_of_nothing_is_never_looked_at() -> None:
    fails, late = part(outcome="rejected", error="8", state=None), part(15, state=None)
    assert health(*[fails] * 50, marks=Marks(failing_share=0)).trouble == ""
    assert health(*[late] * 50, marks=Marks(late_share=0)).trouble == ""
    assert health(*[fails] * 50, *[late] * 50).trouble == "failing"
