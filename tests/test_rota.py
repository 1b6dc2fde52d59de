"""Which turns of duty.toml fit a moment, and what is wrong with a file."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from pydantic import ValidationError

from gateway.rota import Duty, Officer, Turn, contradictions

WORKED = {date(2026, 10, 9), date(2026, 10, 10)}
"""A Friday and the Saturday that is worked in exchange."""


def works(day: date) -> bool:
    return day in WORKED


def officer(login: str, window: str = "") -> Officer:
    return Officer(login=login, name=login, phone="18900138001", window=window)


def fits(turn: Turn, at: str) -> bool:
    return turn.fits(datetime.fromisoformat(at), works)


def test_days_by_name_are_the_weeks_days_whatever_the_calendar_says() -> None:
    friday = Turn(days=("fri",), officers=("a",))
    assert fits(friday, "2026-10-09T00:00")
    assert fits(friday, "2026-10-09T23:59:59.999999")
    assert not fits(friday, "2026-10-10T00:00")


def test_workdays_and_offdays_follow_the_calendar() -> None:
    worked, off = Turn(days=("workdays",), officers=("a",)), Turn(days=("offdays",), officers=("a",))
    assert (fits(worked, "2026-10-10T09:00"), fits(off, "2026-10-10T09:00")) == (True, False)
    assert (fits(worked, "2026-10-11T09:00"), fits(off, "2026-10-11T09:00")) == (False, True)


def test_a_turn_begins_and_ends_on_the_minute() -> None:
    turn = Turn(hours="08:30-17:30", officers=("a",))
    assert [fits(turn, f"2026-10-09T{at}") for at in ("08:29", "08:30", "17:29", "17:30")] == [False, True, True, False]


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    night = Turn(days=("fri",), hours="17:30-08:30", officers=("a",))
    assert fits(night, "2026-10-09T17:30")
    assert fits(night, "2026-10-10T08:29")
    assert not fits(night, "2026-10-10T08:30")
    assert not fits(night, "2026-10-09T03:00")


def test_a_round_of_24_hours_hands_over_in_the_morning() -> None:
    sunday = Turn(days=("sun",), hours="08:30-08:30", officers=("a",))
    assert fits(sunday, "2026-10-11T08:30")
    assert fits(sunday, "2026-10-12T08:29")
    assert not fits(sunday, "2026-10-12T08:30")
    assert not fits(sunday, "2026-10-11T08:29")


def test_24_00_is_the_end_of_the_day() -> None:
    evening = Turn(days=("fri",), hours="17:30-24:00", officers=("a",))
    assert fits(evening, "2026-10-09T23:59:59.999999")
    assert not fits(evening, "2026-10-10T00:00")


def test_dates_stand_instead_of_days() -> None:
    turn = Turn(days=("mon",), dates=(date(2026, 10, 1),), hours="17:30-08:30", officers=("a",))
    assert fits(turn, "2026-10-01T18:00")
    assert fits(turn, "2026-10-02T08:00")
    assert not fits(turn, "2026-10-05T18:00")


def test_dates_outrank_and_a_window_comes_before_the_hall() -> None:
    hall, second = Turn(officers=("hall",)), Turn(officers=("second",))
    window = Turn(window="caizheng", officers=("window",))
    other = Turn(window="minzheng", officers=("other",))
    dated = Turn(dates=(date(2026, 10, 9),), officers=("dated",))
    duty = Duty(rota=(hall, second, other, window, dated))
    at = datetime.fromisoformat("2026-10-09T12:00")
    assert duty.turns("caizheng", at, works) == [dated, window, hall, second]
    assert duty.turns("", at, works) == [dated, hall, second]


def test_officers_by_login_and_by_window() -> None:
    duty = Duty(officers=(officer("a"), officer("b", "caizheng"), officer("c", "caizheng")))
    assert [one.login for one in duty.at_window("caizheng")] == ["b", "c"]
    assert [one.login for one in duty.at_window("")] == ["a"]
    assert [one.login for one in duty.named(["c", "nobody", "a"])] == ["c", "a"]


@pytest.mark.parametrize("hours", ["8:30-17:30", "08:30", "08:30-25:00", "24:00-08:30", "全天"])
def test_hours_that_are_none(hours: str) -> None:
    with pytest.raises(ValidationError):
        Turn(hours=hours, officers=("a",))


def test_a_turn_without_officers_and_a_landline_are_refused() -> None:
    with pytest.raises(ValidationError):
        Turn(officers=())
    with pytest.raises(ValidationError):
        Officer(login="a", name="a", phone="0912-0000000")


def test_what_contradicts() -> None:
    turn = Turn(officers=("a", "b"))
    duty = Duty(officers=(officer("a"), officer("a")), rota=(turn,), ladder=("a", "c"))
    assert [key for key, _, _ in contradictions(duty)] == [
        ("officers", 1, "login"),
        ("rota", 0, "officers"),
        ("ladder", 1),
    ]
