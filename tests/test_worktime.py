"""Working days, hours and due times; the zones with jumps are the hard part."""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Refused
from gateway.settings import OfficeTable
from gateway.worktime import (
    DAY_TESTS,
    Calendar,
    Clock,
    Hours,
    ManualClock,
    OfficeHours,
    Rule,
    RuleInZone,
    ShiftedClock,
    SystemClock,
    clock_is_behind,
    due_between,
    utc,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
NEW_YORK = ZoneInfo("America/New_York")
# Jumps by an hour, by half an hour, over midnight, by a whole day (2011-12-30), and none.
ZONES = [ZoneInfo(name) for name in ("Australia/Lord_Howe", "Asia/Beirut", "Pacific/Apia")] + [
    NEW_YORK,
    SHANGHAI,
]
PLAIN = Calendar()
MINUTE = timedelta(minutes=1)

zones = st.sampled_from(ZONES)
clock_times = st.builds(time, st.integers(0, 23), st.integers(0, 59))
# The years in which the zones above jump in their different ways.
moments = st.integers(0, 2 * 365 * 24 * 60).map(lambda n: datetime(2010, 12, 1, tzinfo=UTC) + n * MINUTE)
near_jumps = st.builds(
    lambda start, minutes: datetime.fromisoformat(start) + minutes * MINUTE,
    st.sampled_from(
        [
            "2011-03-13T07:00+00:00",  # New York, forward
            "2011-11-06T06:00+00:00",  # New York, back
            "2011-03-26T22:00+00:00",  # Beirut, forward at midnight
            "2011-10-29T21:00+00:00",  # Beirut, back at midnight
            "2011-10-01T15:30+00:00",  # Lord Howe, forward
            "2011-04-02T15:00+00:00",  # Lord Howe, back
            "2011-12-30T10:00+00:00",  # Apia loses a day
        ]
    ),
    st.integers(-1500, 1500),
)
any_moment = st.one_of(moments, near_jumps)
days = st.dates(date(2003, 1, 1), date(2030, 12, 31))
day_words = st.one_of(
    st.sampled_from(sorted(DAY_TESTS)),
    st.integers(1, 31).map(str),
    st.dates(date(2010, 12, 1), date(2013, 1, 31)).map(str),
)
rules = st.builds(
    lambda on, at: Rule.parse(on=on, at=at),
    st.lists(day_words, min_size=1, max_size=3),
    st.lists(clock_times.map("{:%H:%M}".format), min_size=1, max_size=3),
)


def local(text: str, zone: ZoneInfo = SHANGHAI, fold: int = 0) -> datetime:
    """In UTC, since Python never calls a repeated or skipped reading equal to one in another zone."""
    return utc(datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold))


# clocks


async def test_system_clock_is_utc_and_sleeps() -> None:
    clock: Clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(0.01)
    assert clock.now().tzinfo is UTC
    assert clock.monotonic() - before >= 0.009


async def test_shifted_clock_runs_at_the_real_pace() -> None:
    clock = ShiftedClock(local("2026-07-01T07:00"))
    assert timedelta() <= clock.now() - local("2026-07-01T07:00") < timedelta(seconds=5)
    first = clock.now()
    await clock.sleep(0.01)
    assert clock.now() > first


async def test_manual_clock_wakes_in_order_of_due_time() -> None:
    clock = ManualClock(local("2026-07-01T07:00"))
    woken: list[int] = []

    async def nap(seconds: int) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    tasks = [asyncio.create_task(nap(seconds)) for seconds in (30, 10, 20, 60)]
    await asyncio.sleep(0)
    assert clock.sleepers == 4
    clock.advance(9.5)
    await asyncio.sleep(0)
    assert woken == []
    clock.advance(20.5)
    await asyncio.sleep(0)
    assert woken == [10, 20, 30]
    assert clock.now() == local("2026-07-01T07:00:30")
    assert clock.monotonic() == 30
    tasks[3].cancel()
    clock.advance(100)
    with pytest.raises(asyncio.CancelledError):
        await tasks[3]
    assert clock.sleepers == 0


async def test_manual_clock_without_a_wait_still_yields() -> None:
    clock = ManualClock(local("2026-07-01T07:00"))
    await clock.sleep(0)
    assert clock.sleepers == 0
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)


async def test_a_stepped_wall_clock_leaves_timers_alone() -> None:
    clock = ManualClock(local("2026-07-01T07:00"))
    task = asyncio.create_task(clock.sleep(10))
    await asyncio.sleep(0)
    clock.step(timedelta(hours=-1))
    assert clock.now() == local("2026-07-01T06:00")
    assert clock.sleepers == 1
    clock.advance(10)
    await task


def test_naive_moments_are_a_programming_error() -> None:
    with pytest.raises(ValueError, match="naive"):
        utc(datetime(2026, 7, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="naive"):
        ManualClock(datetime(2026, 7, 1))  # noqa: DTZ001


def test_a_clock_behind_what_is_stored_is_noticed() -> None:
    stored = local("2026-07-01T07:00")
    assert clock_is_behind(local("2010-01-01T00:00"), stored)
    assert not clock_is_behind(stored - timedelta(minutes=10), stored)
    assert clock_is_behind(stored - timedelta(minutes=10, seconds=1), stored)
    assert clock_is_behind(stored - timedelta(seconds=2), stored, tolerance=timedelta(seconds=1))
    assert not clock_is_behind(local("2010-01-01T00:00"), None)


# working days


@pytest.mark.parametrize(
    ("day", "workday", "estimated", "zh", "en"),
    [
        ("2026-07-01", True, False, "工作日（国务院放假安排）", "working day, as published"),
        ("2026-07-04", False, False, "休息日：周末（国务院放假安排）", "day off: weekend, as published"),
        (
            "2026-10-01",
            False,
            False,
            "休息日：国庆节（国务院放假安排）",
            "day off: National Day, as published",
        ),
        (
            "2026-02-14",
            True,
            False,
            "工作日：春节调休上班（国务院放假安排）",
            "working day: make-up for Spring Festival, as published",
        ),
        (
            "2031-10-01",
            False,
            True,
            "休息日：中秋节、国庆节（估计：调休未公布）",
            "day off: statutory holiday (estimated: make-up days unknown)",
        ),
        (
            "2031-07-05",
            False,
            True,
            "休息日：周末（估计：调休未公布）",
            "day off: weekend (estimated: make-up days unknown)",
        ),
        (
            "2031-07-01",
            True,
            True,
            "工作日（估计：调休未公布）",
            "working day (estimated: make-up days unknown)",
        ),
        (
            "2150-10-01",
            True,
            True,
            "工作日（估计：仅按周一至周五）",
            "working day (estimated: weekdays only)",
        ),
    ],
)
def test_every_answer_says_where_it_came_from(day: str, workday: bool, estimated: bool, zh: str, en: str) -> None:
    on = date.fromisoformat(day)
    assert PLAIN.is_workday(on) is workday
    assert PLAIN.estimated(on) is estimated
    assert PLAIN.explain(on) == (zh, en)


def test_the_sites_own_table_outranks_the_published_one() -> None:
    market, holiday = date(2026, 7, 1), date(2026, 10, 1)
    calendar = Calendar(off=frozenset({market}), on=frozenset({holiday}))
    assert not calendar.is_workday(market)
    assert calendar.is_workday(holiday)
    assert calendar.explain(market) == ("休息日：本单位放假表", "day off: the site's own table")
    assert calendar.explain(holiday) == ("工作日：本单位上班表", "working day: the site's own table")
    assert not Calendar(on=frozenset({date(2031, 7, 5)})).estimated(date(2031, 7, 5))


def test_a_day_cannot_be_both_off_and_on() -> None:
    day = frozenset({date(2026, 7, 1)})
    with pytest.raises(Refused, match="2026-07-01"):
        Calendar(off=day, on=day)


def test_a_missing_year_is_asked_for_from_november() -> None:
    calendar = Calendar(off=frozenset({date(2031, 1, 1)}))
    assert PLAIN.missing_year(date(2025, 12, 31)) is None
    assert PLAIN.missing_year(date(2031, 3, 1)) == 2031
    assert calendar.missing_year(date(2031, 10, 31)) is None
    assert calendar.missing_year(date(2031, 11, 1)) == 2032


def test_counting_working_days_over_national_day() -> None:
    assert PLAIN.next_workday(date(2026, 9, 30)) == date(2026, 10, 8)
    assert PLAIN.add_workdays(date(2026, 9, 29), 2) == date(2026, 10, 8)
    assert PLAIN.add_workdays(date(2026, 10, 8), -1) == date(2026, 9, 30)
    assert PLAIN.add_workdays(date(2026, 10, 3), 0) == date(2026, 10, 8)
    assert PLAIN.add_workdays(date(2026, 10, 8), 0) == date(2026, 10, 8)


def test_last_workday_of_december_and_of_a_closed_month() -> None:
    assert PLAIN.last_workday_of_month(2025, 12) == date(2025, 12, 31)
    assert PLAIN.last_workday_of_month(2026, 5) == date(2026, 5, 29)
    july = frozenset(date(2026, 7, day) for day in range(1, 32))
    with pytest.raises(Refused, match="2026-07"):
        Calendar(off=july).last_workday_of_month(2026, 7)


def test_a_table_without_a_working_day_in_a_year_is_refused() -> None:
    closed = frozenset(date(2026, 1, 1) + timedelta(days=n) for n in range(400))
    with pytest.raises(Refused, match="table"):
        Calendar(off=closed).next_workday(date(2026, 1, 1))


@given(day=days, n=st.integers(-15, 15).filter(bool))
def test_added_working_days_are_counted_one_by_one(day: date, n: int) -> None:
    found = PLAIN.add_workdays(day, n)
    low, high = (day + timedelta(days=1), found) if n > 0 else (found, day - timedelta(days=1))
    span = [low + timedelta(days=k) for k in range((high - low).days + 1)]
    assert sum(map(PLAIN.is_workday, span)) == abs(n)
    assert PLAIN.is_workday(found)


@given(year=st.integers(2003, 2030), month=st.integers(1, 12), off=st.sets(days, max_size=30))
def test_no_working_day_follows_the_last_one_of_a_month(year: int, month: int, off: set[date]) -> None:
    calendar = Calendar(off=frozenset(off))
    last = calendar.last_workday_of_month(year, month)
    assert (last.year, last.month) == (year, month)
    assert calendar.is_workday(last)
    assert calendar.next_workday(last).month != month
    rule = Rule.parse(on="last-workday", at="09:00")
    assert rule.falls_on(last, calendar)


# open hours


def test_hours_are_written_and_read_alike() -> None:
    for text in ("08:00-21:00", "22:00-06:00", "00:00-24:00", "18:00-24:00", "00:00-06:30"):
        assert str(Hours.parse(text)) == text
    assert Hours.parse(" 8:00 - 21:00 ") == Hours(time(8), time(21))
    assert Hours.parse("00:00-24:00").always


@pytest.mark.parametrize(
    "text",
    [
        "",
        "08:00",
        "08:00-08:00",
        "00:00-00:00",
        "8-21",
        "25:00-26:00",
        "08:60-09:00",
        "八点-九点",
        "08:0x-09:00",
    ],
)
def test_bad_hours_are_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        Hours.parse(text)
    assert refused.value.zh != refused.value.en


def test_hours_that_open_and_close_together_are_refused() -> None:
    with pytest.raises(Refused):
        Hours(time(8), time(8))


def test_quiet_at_night_in_shanghai() -> None:
    hours = Hours.parse("08:00-21:00")
    assert hours.is_open(local("2026-07-01T08:00"), SHANGHAI)
    assert hours.is_open(local("2026-07-01T20:59:59"), SHANGHAI)
    assert not hours.is_open(local("2026-07-01T21:00"), SHANGHAI)
    assert hours.next_opening(local("2026-07-01T21:00"), SHANGHAI) == local("2026-07-02T08:00")
    assert hours.next_opening(local("2026-07-01T12:34:56"), SHANGHAI) == local("2026-07-01T12:34:56")
    assert hours.closing_after(local("2026-07-01T12:00"), SHANGHAI) == local("2026-07-01T21:00")
    assert hours.closing_after(local("2026-07-01T21:00"), SHANGHAI) == local("2026-07-02T21:00")


def test_hours_over_midnight_and_round_the_clock() -> None:
    night, always = Hours.parse("22:00-06:00"), Hours.parse("00:00-24:00")
    assert night.is_open(local("2026-07-01T23:00"), SHANGHAI)
    assert night.is_open(local("2026-07-01T05:59"), SHANGHAI)
    assert not night.is_open(local("2026-07-01T06:00"), SHANGHAI)
    assert night.closing_after(local("2026-07-01T23:00"), SHANGHAI) == local("2026-07-02T06:00")
    assert always.is_open(local("2026-07-01T00:00"), SHANGHAI)
    assert always.next_opening(local("2026-07-01T03:00"), SHANGHAI) == local("2026-07-01T03:00")
    assert always.closing_after(local("2026-07-01T03:00"), SHANGHAI) is None


def test_a_time_without_an_open_hour_is_seen() -> None:
    hours = Hours.parse("08:00-21:00")
    assert not hours.open_within(local("2026-07-01T21:00"), local("2026-07-02T08:00"), SHANGHAI)
    assert hours.open_within(local("2026-07-01T21:00"), local("2026-07-02T08:01"), SHANGHAI)
    assert hours.open_within(local("2026-07-01T20:59"), local("2026-07-01T21:00"), SHANGHAI)
    assert not hours.open_within(local("2026-07-01T12:00"), local("2026-07-01T12:00"), SHANGHAI)


def test_hours_that_begin_in_a_gap_open_at_the_jump() -> None:
    hours = Hours.parse("02:30-05:00")
    jump = local("2026-03-08T03:00", NEW_YORK)
    assert hours.next_opening(local("2026-03-08T01:00", NEW_YORK), NEW_YORK) == jump
    assert not hours.is_open(jump - MINUTE, NEW_YORK)


def test_hours_that_begin_in_a_repeated_hour_open_twice() -> None:
    hours = Hours.parse("01:30-05:00")
    jump = local("2026-11-01T01:00", NEW_YORK, fold=1)
    assert hours.closing_after(local("2026-11-01T01:45", NEW_YORK), NEW_YORK) == jump
    assert hours.next_opening(jump, NEW_YORK) == local("2026-11-01T01:30", NEW_YORK, fold=1)


def scan(at: datetime, wanted: Callable[[datetime], bool]) -> datetime:
    """The slow and certain way: minute by minute."""
    while not wanted(at):
        at += MINUTE
    return at


@settings(max_examples=120, deadline=None)
@given(at=any_moment, zone=zones, opening=clock_times, closing=clock_times)
def test_openings_and_closings_agree_with_every_single_minute(
    at: datetime, zone: ZoneInfo, opening: time, closing: time
) -> None:
    hours = Hours(opening, closing) if opening != closing else Hours(time(), time())
    opened = hours.next_opening(at, zone)
    assert hours.is_open(opened, zone)
    assert opened == scan(at, lambda minute: hours.is_open(minute, zone))
    closed = hours.closing_after(at, zone)
    if not hours.always:
        assert closed == scan(opened, lambda minute: not hours.is_open(minute, zone))
        assert not hours.open_within(closed, hours.next_opening(closed, zone), zone)
        assert hours.open_within(at, opened + MINUTE, zone)


# due times


def slots(on: str, at: str, start: str, end: str, zone: ZoneInfo = SHANGHAI) -> list[str]:
    rule = Rule.parse(on=on, at=at)
    found = due_between(rule.in_zone(zone, PLAIN), local(start, zone), local(end, zone))
    return [slot.astimezone(zone).isoformat(timespec="minutes")[:16] for slot in found]


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ("daily", ["2026-09-28", "2026-09-29", "2026-09-30", "2026-10-01", "2026-10-02", "2026-10-03"]),
        ("workdays", ["2026-09-28", "2026-09-29", "2026-09-30"]),
        ("last-workday", ["2026-09-30"]),
        ("last", ["2026-09-30"]),
        ("mon,Sat", ["2026-09-28", "2026-10-03"]),
        ("1，29", ["2026-09-29", "2026-10-01"]),
        ("2026-10-02,thu", ["2026-10-01", "2026-10-02"]),
        ("31", []),
    ],
)
def test_days_of_rules(on: str, expected: list[str]) -> None:
    assert [s[:10] for s in slots(on, "07:00", "2026-09-28T00:00", "2026-10-04T00:00")] == expected


def test_several_times_a_day_and_the_edges_of_a_span() -> None:
    found = slots("daily", "19:00, 7:00", "2026-07-01T07:00", "2026-07-02T07:00")
    assert found == ["2026-07-01T19:00", "2026-07-02T07:00"]


def test_a_rule_is_kept_as_written() -> None:
    rule = Rule.parse(on=["mon", "last"], at=["07:00"])
    assert (rule.on, rule.at) == ("mon,last", "07:00")
    assert rule == Rule.parse(on="mon, LAST", at="07:00")


def test_dates_far_off_are_found_and_past_ones_are_not() -> None:
    rule = Rule.parse(on="2026-07-01,2040-02-29", at="07:00")
    assert rule.due_after(local("2026-07-01T07:00"), SHANGHAI, PLAIN) == local("2040-02-29T07:00")
    assert rule.due_after(local("2040-02-29T07:00"), SHANGHAI, PLAIN) is None


def test_a_site_can_name_days_of_its_own() -> None:
    def market(day: date, calendar: Calendar) -> bool:
        return day.day % 10 == 3 and calendar.is_workday(day)

    rule = Rule.parse(on="market", at="06:00", tests={**DAY_TESTS, "market": market})
    assert rule.due_after(local("2026-07-04T00:00"), SHANGHAI, PLAIN) == local("2026-07-13T06:00")


@pytest.mark.parametrize(
    ("on", "at"),
    [
        ("", "07:00"),
        ("daily", ""),
        ("0", "07:00"),
        ("32", "07:00"),
        ("someday", "07:00"),
        ("2026-02-30", "07:00"),
        ("daily", "24:00"),
        ("daily", "7"),
        ("daily", "07:5"),
        ("٣", "07:00"),
    ],
)
def test_bad_rules_are_refused(on: str, at: str) -> None:
    with pytest.raises(Refused) as refused:
        Rule.parse(on=on, at=at)
    assert refused.value.zh != refused.value.en


def test_a_time_in_a_gap_falls_once_behind_it() -> None:
    assert slots("daily", "02:30", "2026-03-07T12:00", "2026-03-09T12:00", NEW_YORK) == [
        "2026-03-08T03:30",
        "2026-03-09T02:30",
    ]


def test_a_gap_puts_no_slot_behind_a_later_one_nor_doubles_any() -> None:
    found = slots("daily", "02:30,03:15,03:30", "2026-03-08T00:00", "2026-03-08T12:00", NEW_YORK)
    assert found == ["2026-03-08T03:15", "2026-03-08T03:30"]


def test_a_time_that_comes_twice_falls_the_first_time() -> None:
    rule = Rule.parse(on="daily", at="01:30")
    found = rule.due_after(local("2026-10-31T12:00", NEW_YORK), NEW_YORK, PLAIN)
    assert found == local("2026-11-01T01:30", NEW_YORK, fold=0)
    assert found is not None
    assert rule.due_after(found, NEW_YORK, PLAIN) == local("2026-11-02T01:30", NEW_YORK)


def test_a_day_that_a_zone_never_had_shares_its_slot_with_the_next() -> None:
    apia = ZoneInfo("Pacific/Apia")
    found = slots("daily", "07:00", "2011-12-29T00:00", "2012-01-01T00:00", apia)
    assert found == ["2011-12-29T07:00", "2011-12-31T07:00"]


def chain(rule: Rule, start: datetime, zone: ZoneInfo, count: int) -> list[datetime]:
    recurrence = RuleInZone(rule, zone, PLAIN)
    found: list[datetime] = []
    while len(found) < count and (slot := recurrence.due_after(start)):
        found.append(start := slot)
    return found


def skipped(rule: Rule, slot: datetime, zone: ZoneInfo) -> bool:
    """Whether the slot stands for a reading of the clock that the zone skipped."""
    day = slot.astimezone(zone).date()
    readings = [
        datetime.combine(day - timedelta(days=n), at, zone)
        for n in (0, 1)
        for at in rule.times
        if rule.falls_on(day - timedelta(days=n), PLAIN)
    ]
    return any(
        utc(r) == slot and utc(r).astimezone(zone).replace(tzinfo=None) != r.replace(tzinfo=None) for r in readings
    )


@settings(max_examples=120, deadline=None)
@given(rule=rules, start=any_moment, zone=zones)
def test_due_times_increase_and_satisfy_their_rule(rule: Rule, start: datetime, zone: ZoneInfo) -> None:
    found = chain(rule, start, zone, 8)
    assert all(earlier < later for earlier, later in pairwise([start, *found]))
    for slot in found:
        wall = slot.astimezone(zone)
        on_time = wall.time() in rule.times and rule.falls_on(wall.date(), PLAIN) and wall.fold == 0
        assert on_time or skipped(rule, slot, zone)


@settings(max_examples=120, deadline=None)
@given(rule=rules, start=any_moment, zone=zones, days=st.integers(0, 40))
def test_every_day_of_a_rule_has_all_its_times(rule: Rule, start: datetime, zone: ZoneInfo, days: int) -> None:
    end = start + timedelta(days=days)
    found = due_between(rule.in_zone(zone, PLAIN), start, end)
    first = start.astimezone(zone).date() - timedelta(days=2)
    expected = {
        utc(datetime.combine(day, at, zone))
        for day in (first + timedelta(days=n) for n in range(days + 5))
        for at in rule.times
        if rule.falls_on(day, PLAIN)
    }
    assert found == sorted(slot for slot in expected if start < slot <= end)


@settings(max_examples=120, deadline=None)
@given(rule=rules, start=any_moment, zone=zones, steps=st.lists(st.integers(0, 20_000), max_size=4))
def test_adjacent_spans_lose_no_slot_and_double_none(
    rule: Rule, start: datetime, zone: ZoneInfo, steps: list[int]
) -> None:
    recurrence = rule.in_zone(zone, PLAIN)
    edges = [start]
    for step in steps:
        edges.append(edges[-1] + step * MINUTE)
    pieces = [slot for a, b in pairwise(edges) for slot in due_between(recurrence, a, b)]
    assert pieces == due_between(recurrence, edges[0], edges[-1])


# office hours

TWO_SPANS = "08:30-12:00,14:00-17:30"
IN_SUMMER = "08:30-12:00,14:30-18:00"
DAYS_OFF_2026 = {
    5: {1, 2, 3, 4, 5, 10, 16, 17, 23, 24, 30, 31},  # Labour Day, made up for on Saturday the 9th
    6: {6, 7, 13, 14, 19, 20, 21, 27, 28},  # Dragon Boat Festival
    9: {5, 6, 12, 13, 19, 25, 26, 27},  # Mid-Autumn Festival; Sunday the 20th is worked
    10: {1, 2, 3, 4, 5, 6, 7, 11, 17, 18, 24, 25, 31},  # National Day, made up for on Saturday the 10th
}


def office(hours: str = TWO_SPANS, summer: str | None = None, zone: ZoneInfo = SHANGHAI) -> OfficeHours:
    return OfficeHours.of(OfficeTable(hours=hours, summer=summer), PLAIN, zone)


def open_by_the_clock(wall: datetime, hours: str, summer: str | None) -> bool:
    """Read off the wall, minute by minute, with the days off written down above."""
    if wall.day in DAYS_OFF_2026[wall.month]:
        return False
    today = summer if summer and wall.month in (6, 7, 8, 9) else hours
    return any(first <= f"{wall:%H:%M}" < last for first, last in (span.split("-") for span in today.split(",")))


def test_spans_of_a_day() -> None:
    assert office().spans(date(2026, 5, 9)) == (
        (local("2026-05-09 08:30"), local("2026-05-09 12:00")),
        (local("2026-05-09 14:00"), local("2026-05-09 17:30")),
    )
    assert office().spans(date(2026, 5, 10)) == ()
    assert (office().length(date(2026, 5, 9)), office().length(date(2026, 5, 10))) == (timedelta(hours=7), timedelta())
    assert all(moment.tzinfo is UTC for span in office().spans(date(2026, 5, 9)) for moment in span)


def test_summer_hours_hold_on_their_first_and_last_day() -> None:
    ours = office(summer=IN_SUMMER)
    ends = [ours.closing(day) for day in map(date.fromisoformat, ("2026-05-29", "2026-06-01", "2026-09-30"))]
    assert ends == [local("2026-05-29 17:30"), local("2026-06-01 18:00"), local("2026-09-30 18:00")]
    assert ours.closing(date(2026, 10, 8)) == local("2026-10-08 17:30")
    assert office().closing(date(2026, 6, 1)) == local("2026-06-01 17:30")


@pytest.mark.parametrize(
    ("at", "opening"),
    [
        ("2026-05-06 08:29", "2026-05-06 08:30"),
        ("2026-05-06 08:30", "2026-05-06 08:30"),
        ("2026-05-06 11:59", "2026-05-06 11:59"),
        ("2026-05-06 12:00", "2026-05-06 14:00"),
        ("2026-05-06 17:30", "2026-05-07 08:30"),
        ("2026-04-30 17:30", "2026-05-06 08:30"),
        ("2026-05-08 23:59", "2026-05-09 08:30"),
        ("2026-05-09 18:00", "2026-05-11 08:30"),
    ],
)
def test_the_next_opening_of_an_office(at: str, opening: str) -> None:
    assert office().next_opening(local(at)) == local(opening)
    assert office().is_open(local(at)) is (at == opening)


@pytest.mark.parametrize(
    ("at", "minutes", "end"),
    [
        ("2026-05-06 10:00", 120, "2026-05-06 12:00"),  # a closing, not the opening after it
        ("2026-05-06 10:00", 121, "2026-05-06 14:01"),
        ("2026-05-06 13:00", 210, "2026-05-06 17:30"),
        ("2026-05-08 17:00", 60, "2026-05-09 09:00"),
        ("2026-04-30 17:00", 31, "2026-05-06 08:31"),
        ("2026-05-06 10:00", 0, "2026-05-06 10:00"),
        ("2026-05-06 12:30", 0, "2026-05-06 14:00"),
        ("2026-05-06 17:30", 420, "2026-05-07 17:30"),
    ],
)
def test_adding_office_time(at: str, minutes: int, end: str) -> None:
    assert office().add(local(at), minutes * MINUTE) == local(end)


@pytest.mark.parametrize(
    ("at", "n", "day"),
    [
        ("2026-05-06 17:29", 0, "2026-05-06"),
        ("2026-05-06 17:30", 0, "2026-05-07"),
        ("2026-05-06 17:30", 1, "2026-05-08"),
        ("2026-05-08 09:00", 1, "2026-05-09"),
        ("2026-05-08 09:00", 2, "2026-05-11"),
        ("2026-04-29 07:00", 2, "2026-05-06"),
        ("2026-05-01 10:00", 1, "2026-05-07"),
    ],
)
def test_the_nth_working_day_after_a_clock_starts(at: str, n: int, day: str) -> None:
    assert office().workday_after(local(at), n) == date.fromisoformat(day)


def test_an_office_round_the_clock_closes_on_days_off_alone() -> None:
    ours = office("")
    assert ours.length(date(2026, 5, 8)) == timedelta(days=1)
    assert ours.closing(date(2026, 5, 8)) == ours.midnight(date(2026, 5, 8)) == local("2026-05-09 00:00")
    assert ours.is_open(local("2026-05-09 23:59"))
    assert ours.next_opening(local("2026-05-10 00:00")) == local("2026-05-11 00:00")
    assert ours.add(local("2026-05-09 12:00"), timedelta(hours=13)) == local("2026-05-11 01:00")


def test_the_site_day_is_that_of_its_zone() -> None:
    assert office().day(datetime(2026, 5, 6, 16, tzinfo=UTC)) == date(2026, 5, 7)
    assert office().midnight(date(2026, 5, 6)) == datetime(2026, 5, 6, 16, tzinfo=UTC)


def test_what_an_office_cannot_say() -> None:
    aware = local("2026-05-06 10:00")
    naive = aware.replace(tzinfo=None)
    calls: list[Callable[[], object]] = [
        lambda: office().is_open(naive),
        lambda: office().next_opening(naive),
        lambda: office().add(naive, MINUTE),
        lambda: office().add(naive, timedelta()),
        lambda: office().between(naive, aware),
        lambda: office().between(aware, naive),
        lambda: office().workday_after(naive, 1),
        lambda: office().day(naive),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="naive"):
            call()
    with pytest.raises(ValueError, match="not taken away"):
        office().add(aware, -MINUTE)
    with pytest.raises(ValueError, match="2026-05-10"):
        office().closing(date(2026, 5, 10))


def test_an_office_that_never_opens_is_refused() -> None:
    closed = Calendar(off=frozenset(date(2026, 5, 1) + timedelta(days=n) for n in range(800)))
    ours = OfficeHours.of(OfficeTable(), closed, SHANGHAI)
    with pytest.raises(Refused, match="days off"):
        ours.next_opening(local("2026-05-06 10:00"))


def test_offices_are_equal_by_their_hours() -> None:
    used, fresh = office(), office()
    used.closing(date(2026, 5, 6))
    assert used == fresh
    assert used != office(summer=IN_SUMMER)


def test_hours_that_a_jump_swallows_are_not_open() -> None:
    in_gap = OfficeHours.of(OfficeTable(hours="02:00-02:30,02:30-03:00,03:00-04:00"), PLAIN, NEW_YORK)
    assert in_gap.length(date(2011, 3, 14)) == timedelta(hours=2)
    worked = Calendar(on=frozenset({date(2011, 3, 13), date(2011, 11, 6), date(2011, 12, 30)}))
    short = OfficeHours.of(OfficeTable(hours="01:30-02:30,03:30-04:00"), worked, NEW_YORK)
    assert short.spans(date(2011, 3, 13))[0] == (
        local("2011-03-13 01:30", NEW_YORK),
        local("2011-03-13 03:30", NEW_YORK),
    )
    night = OfficeHours.of(OfficeTable(hours="02:30-03:00,03:30-04:00"), worked, NEW_YORK)
    assert night.length(date(2011, 3, 13)) == timedelta(minutes=30)
    apia = OfficeHours.of(OfficeTable(), worked, ZoneInfo("Pacific/Apia"))
    assert apia.spans(date(2011, 12, 30)) == ()  # the day that Samoa left out


@settings(max_examples=60, deadline=None)
@given(
    month=st.sampled_from([5, 9]),
    start=st.integers(0, 40 * 1440),
    span=st.integers(0, 15 * 1440),
    hours=st.sampled_from([TWO_SPANS, "00:00-24:00", "09:00-12:00,12:00-13:00,20:00-24:00"]),
    summer=st.sampled_from([None, IN_SUMMER]),
)
def test_office_time_against_a_walk_by_minutes(
    month: int, start: int, span: int, hours: str, summer: str | None
) -> None:
    ours = office(hours, summer)
    begin = datetime(2026, month, 1, tzinfo=SHANGHAI) + start * MINUTE
    end = begin + span * MINUTE
    opened = [at for at in walk(begin, end) if open_by_the_clock(at, hours, summer)]
    total = len(opened) * MINUTE
    assert ours.between(begin, end) == total
    assert ours.between(end, begin) == timedelta()
    assert ours.is_open(begin) is open_by_the_clock(begin, hours, summer)
    if opened:
        assert ours.next_opening(begin) == opened[0]
        assert ours.add(begin, total) == opened[-1] + MINUTE


def walk(start: datetime, end: datetime) -> list[datetime]:
    return [start + n * MINUTE for n in range((end - start) // MINUTE)]


@settings(max_examples=100, deadline=None)
@given(start=any_moment, zone=zones, first=st.integers(1, 3000), second=st.integers(1, 3000))
def test_office_time_adds_up_across_jumps(start: datetime, zone: ZoneInfo, first: int, second: int) -> None:
    ours = OfficeHours.of(OfficeTable(hours="00:30-02:15,02:15-09:00,21:00-24:00"), PLAIN, zone)
    middle = ours.add(start, first * MINUTE)
    end = ours.add(start, (first + second) * MINUTE)
    assert ours.add(middle, second * MINUTE) == end
    assert (ours.between(start, middle), ours.between(middle, end)) == (first * MINUTE, second * MINUTE)
