"""gateway.schedule: each due time exactly once, whatever ticks, dies, sleeps or is put back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, select, text, update
from structlog.testing import capture_logs

from gateway import config as configs
from gateway import templates as notices
from gateway.broadcasts import Broadcasts
from gateway.config import Area, Audience, Config, Feed, Schedule
from gateway.errors import Conflict, NotFound, Refused
from gateway.feeds import weather
from gateway.model import Role
from gateway.officials import Official
from gateway.outbox import Outbox
from gateway.roster import Roster
from gateway.schedule import HELD_FOR, Cron, Schedules, due_times
from gateway.store import Store, open_store, slots
from gateway.store import broadcasts as rows
from gateway.store.tables import audit, broadcast, left_out, message, parcel, person, slot
from gateway.templates import Template
from gateway.worktime import Calendar, Clock, ManualClock, Rule, ShiftedClock

ROOT = Path(__file__).parent.parent
SITE = configs.load(ROOT)
TEMPLATES = notices.load(ROOT / "templates")
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
NINE = datetime(2026, 3, 3, 1, 0, tzinfo=UTC)
"""Nine o'clock in Beijing on the next day."""

TOWN, VILLAGE, OTHER = "610899100", "610899100201", "610899100202"
AUTHOR = Official("wang", "王干事", frozenset({Role.AUTHOR}), TOWN)
DIRECTOR = Official("li", "李主任", frozenset({Role.DIRECTOR, Role.APPROVER}), TOWN)
CLERK = Official("zhao", "赵办事员", frozenset({Role.CLERK}), TOWN)
STRANGER = Official("sun", "孙主任", frozenset({Role.DIRECTOR}), "610801")


def daily(name: str = "morning", **changes: Any) -> Schedule:
    given = {"name": name, "template": "pension-certification", "on": "daily", "at": "09:00", "missed": "late"}
    return Schedule.model_validate(given | {"fields": {"电话": "0912-0000500"}} | changes)


def site(*schedules: Schedule, **changes: Any) -> Config:
    return SITE.model_copy(update={"schedules": schedules, **changes})


def node(store: Store, clock: Clock, config: Config, templates: dict[str, Template] | None = None) -> Schedules:
    """One process's schedules."""
    own = TEMPLATES if templates is None else templates
    outbox, roster = Outbox(config), Roster(store, config, clock)
    verbs = Broadcasts(store, config, own, outbox, roster, clock, lambda: None)
    return Schedules(store, config, own, verbs, clock, Calendar())


def verbs(store: Store, clock: Clock, config: Config) -> Broadcasts:
    return Broadcasts(store, config, TEMPLATES, Outbox(config), Roster(store, config, clock), clock, lambda: None)


PEOPLE = (
    ("李秀英", "+8613800139301", TOWN),
    ("王建国", "+8613800139302", VILLAGE),
    ("张桂兰", "+8613800139303", OTHER),
)


def insert_people(db: Connection, people: Sequence[tuple[str, str, str]] = PEOPLE) -> None:
    blank = dict.fromkeys(("village", "grp", "sex", "tags", "away_to", "note", "roster"), "")
    for name, number, area in people:
        values = {**blank, "key": f"{number}{name}", "name": name, "phone": number, "area": area}
        db.execute(insert(person).values(**values, seen_import=1, updated_at=NOON))


def all_slots(db: Connection) -> list[tuple[datetime, str]]:
    return [(row.due_at, row.state) for row in db.execute(select(slot).order_by(slot.c.due_at))]


def states(db: Connection) -> list[str]:
    return list(db.execute(select(broadcast.c.state).order_by(broadcast.c.id)).scalars())


def second_becomes(db: Connection, state: str) -> None:
    db.execute(update(broadcast).where(broadcast.c.id == 2).values(state=state))


def fault_keys(db: Connection) -> set[str]:
    return {row.key for row in slots.faults(db)}


def bodies(db: Connection) -> dict[str, str]:
    """Number -> the text composed for it."""
    ids = db.execute(select(broadcast.c.id).order_by(broadcast.c.id)).scalars().all()
    return {number: body for one in ids for _, number, _, body in rows.texts(db, one)}


async def begun(store: Store, clock: ManualClock, config: Config, people: Any = PEOPLE) -> Schedules:
    """A node that has ticked once, with people to write to."""
    await store.write(insert_people, people)
    one = node(store, clock, config)
    await one.tick()
    return one


def go_to(clock: ManualClock, moment: datetime) -> None:
    clock.advance((moment - clock.now()).total_seconds())


async def stand_for(store: Store, clock: ManualClock, config: Config, **ceilings: Any) -> None:
    """A standing approval from a first run by hand, which is then called off."""
    one, name = node(store, clock, config), config.schedules[0].name
    first = await one.run(name, by=AUTHOR)
    limits = {"max_people": 100, "max_cost": Decimal(10)} | ceilings
    await verbs(store, clock, config).stand_for(name, first, by=DIRECTOR, **limits)
    await verbs(store, clock, config).cancel(first, by=DIRECTOR)


# -- one slot, one run -----------------------------------------------------------------------------------------


async def test_a_schedule_that_is_new_makes_up_for_nothing(store: Store, clock: ManualClock) -> None:
    one = node(store, clock, site(daily(at="09:00"), daily("evening", at="19:00")))
    await one.tick()
    assert await store.read(all_slots) == []
    clock.advance(3600)
    await one.tick()
    assert await store.read(all_slots) == []


@pytest.mark.parametrize("nodes", [2, 5])
async def test_processes_that_tick_at_once_run_a_slot_once(store: Store, clock: ManualClock, nodes: int) -> None:
    config = site(daily(), daily("also", template="forest-fire", fields={"起": "1日", "止": "2日", "电话": "119"}))
    await begun(store, clock, config)
    go_to(clock, NINE)
    many = [node(store, clock, config) for _ in range(nodes)]
    await asyncio.gather(*(one.tick() for one in many))
    await asyncio.gather(*(one.tick() for one in many))
    assert await store.read(all_slots) == [(NINE, "run"), (NINE, "run")]
    assert await store.read(states) == ["composed", "composed"]
    assert len(await store.read(lambda db: db.execute(select(message.c.id)).all())) == 2 * len(PEOPLE)


async def test_a_slot_and_its_broadcast_are_one_transaction(store: Store, clock: ManualClock) -> None:
    one = await begun(store, clock, site(daily()))
    go_to(clock, NINE)
    (claimed,) = await one.catch_up(clock.now())
    row = await store.read(lambda db: db.execute(select(broadcast)).one())
    assert (claimed.broadcast_id, row.state, row.schedule, row.author) == (row.id, "due", "morning", "system")
    assert row.expires_at == NINE + timedelta(days=1)


async def test_a_schedule_that_fails_stops_no_other(sqlite_store: Store, clock: ManualClock) -> None:
    config = site(daily("gone", template="no-such"), daily())
    one = await begun(sqlite_store, clock, config)
    go_to(clock, NINE)
    await one.tick()
    assert await sqlite_store.read(states) == ["composed"]
    assert "schedule:gone" in await sqlite_store.read(fault_keys)
    mended = node(sqlite_store, clock, site(daily("gone"), daily()))
    await mended.tick()
    assert await sqlite_store.read(states) == ["composed", "composed"]
    assert "schedule:gone" not in await sqlite_store.read(fault_keys)


# -- missed ----------------------------------------------------------------------------------------------------

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize("missed", ["late", "skip", "ask"])
async def test_within_a_minute_is_on_time_by_any_rule(sqlite_store: Store, clock: ManualClock, missed: str) -> None:
    one = await begun(sqlite_store, clock, site(daily(missed=missed)))
    go_to(clock, NINE + MINUTE)
    await one.tick()
    assert await sqlite_store.read(all_slots) == [(NINE, "run")]


@pytest.mark.parametrize(
    ("down", "missed", "expected"),
    [
        (2 * MINUTE, "late", ["late"]),
        (2 * MINUTE, "skip", ["skipped"]),
        (2 * MINUTE, "ask", ["asked"]),
        (HOUR, "late", ["late"]),
        (HOUR, "skip", ["skipped"]),
        (HOUR, "ask", ["asked"]),
        (3 * DAY + HOUR, "late", ["skipped", "skipped", "skipped", "late"]),
        (3 * DAY + 3 * HOUR, "late", ["skipped"] * 4),
        (3 * DAY, "late", ["skipped", "skipped", "skipped", "run"]),
        (3 * DAY, "skip", ["skipped", "skipped", "skipped", "run"]),
        (3 * DAY, "ask", ["asked", "asked", "asked", "run"]),
    ],
)
async def test_down_over_due_times(
    sqlite_store: Store, clock: ManualClock, down: timedelta, missed: str, expected: list[str]
) -> None:
    config = site(daily(missed=missed, late_within="2h"))
    await begun(sqlite_store, clock, config)
    go_to(clock, NINE + down)
    await node(sqlite_store, clock, config).tick()
    found = await sqlite_store.read(all_slots)
    assert [state for _, state in found] == expected
    assert [due for due, _ in found] == [NINE + n * DAY for n in range(len(expected))]
    assert ("asked:morning" in await sqlite_store.read(fault_keys)) == ("asked" in expected)
    assert all(
        row.note for row in await sqlite_store.read(slots.last, "morning", 9) if row.state in ("skipped", "asked")
    )


async def test_a_long_outage_is_made_up_for_in_slices(sqlite_store: Store, clock: ManualClock) -> None:
    config = site(daily(on=(), at=(), cron="*/5 * * * *", missed="skip"))
    await begun(sqlite_store, clock, config)
    go_to(clock, NOON + 2 * DAY)
    await node(sqlite_store, clock, config).tick()
    found = await sqlite_store.read(all_slots)
    assert [due for due, _ in found] == [NOON + n * 5 * MINUTE for n in range(1, 2 * 288 + 1)]
    assert [state for _, state in found] == ["skipped"] * 575 + ["run"]


async def test_a_missed_slot_is_run_by_a_person(sqlite_store: Store, clock: ManualClock) -> None:
    one = await begun(sqlite_store, clock, site(daily(missed="ask")))
    go_to(clock, NINE + DAY + HOUR)
    await one.tick()
    first = await one.run("morning", by=AUTHOR, due_at=NINE)
    assert await sqlite_store.read(all_slots) == [(NINE, "late"), (NINE + DAY, "asked")]
    row = await sqlite_store.read(lambda db: db.execute(select(broadcast)).one())
    assert (row.id, row.state, row.author) == (first, "composed", "wang")
    assert "asked:morning" in await sqlite_store.read(fault_keys)
    with pytest.raises(Conflict):
        await one.run("morning", by=AUTHOR, due_at=NINE)
    await one.skip("morning", NINE + DAY, by=AUTHOR)
    assert await sqlite_store.read(fault_keys) == {f"approval:{first}"}
    with pytest.raises(Conflict):
        await one.skip("morning", NINE + DAY, by=AUTHOR)
    with pytest.raises(Conflict):
        await one.skip("morning", NINE + 7 * DAY, by=AUTHOR)
    trail = await sqlite_store.read(lambda db: db.execute(select(audit.c.verb, audit.c.who, audit.c.object)).all())
    assert {("run", "wang", "schedule morning"), ("skip", "wang", "schedule morning")} <= set(map(tuple, trail))


# -- clocks ----------------------------------------------------------------------------------------------------


async def test_a_clock_put_forth_and_back_runs_each_slot_once(store: Store, clock: ManualClock) -> None:
    one = await begun(store, clock, site(daily(at="12:30,13:30,14:30")))
    clock.step(HOUR)  # 13:00: the one of 12:30 is half an hour late
    await one.tick()
    clock.step(-HOUR)
    await one.tick()
    assert "clock" in await store.read(fault_keys)
    for _ in range(18):
        clock.advance(600)
        await one.tick()
    due = [NOON + timedelta(minutes=minutes) for minutes in (30, 90, 150)]
    assert await store.read(all_slots) == [(due[0], "late"), (due[1], "run"), (due[2], "run")]
    assert len(await store.read(states)) == 3
    assert "clock" not in await store.read(fault_keys)


async def test_a_clock_put_back_and_forth_loses_none(store: Store, clock: ManualClock) -> None:
    one = await begun(store, clock, site(daily(at="11:30,12:30")))
    clock.step(-HOUR)
    await one.tick()
    assert await one.clock_behind()
    with pytest.raises(Refused):
        await one.run("morning", by=AUTHOR)
    clock.step(HOUR)
    go_to(clock, NOON + HOUR / 2)
    await one.tick()
    assert await store.read(all_slots) == [(NOON + HOUR / 2, "run")]
    assert not await one.clock_behind()


async def test_a_person_confirms_a_clock_that_came_back(store: Store, clock: ManualClock) -> None:
    config = site(daily(missed="skip"), daily("weekly", on="tue", missed="ask"))
    one = await begun(store, clock, config)
    clock.step(400 * DAY)  # a wrong year, in which the hall even sent something
    await one.tick()
    await one.run("morning", by=AUTHOR)
    clock.step(-400 * DAY)
    assert await one.clock_behind()
    with pytest.raises(Refused):
        await one.confirm_clock(by=AUTHOR)
    await one.confirm_clock(by=DIRECTOR)
    assert not await one.clock_behind()
    assert {"clock", "asked:weekly"}.isdisjoint(await store.read(fault_keys))
    with pytest.raises(Refused):
        await one.confirm_clock(by=DIRECTOR)
    go_to(clock, NINE)
    await one.tick()
    found = [(row.due_at, row.state) for row in await store.read(slots.last, "morning", 9)]
    assert found[-1] == (NINE, "run")
    assert all(due <= NINE or state == "run" for due, state in found)
    clock.step(-HOUR)
    assert await one.clock_behind(), "what was seen since the confirmation guards again"
    clock.step(401 * DAY)
    assert not await one.clock_behind()
    assert await store.read(slots.clock_confirmed) is None


NEW_YORK = ZoneInfo("America/New_York")
SPRING, AUTUMN = date(2026, 3, 8), date(2026, 11, 1)


@pytest.mark.parametrize("day", [SPRING, AUTUMN])
@pytest.mark.parametrize(
    "written", [{"on": "daily", "at": "01:30,02:30"}, {"on": (), "at": (), "cron": "30 1,2 * * *"}]
)
async def test_a_night_in_which_the_clocks_change(sqlite_store: Store, day: date, written: dict[str, Any]) -> None:
    start = datetime(day.year, day.month, day.day, tzinfo=NEW_YORK).astimezone(UTC)
    clock = ManualClock(start)
    zoned = SITE.site.model_copy(update={"timezone": "America/New_York"})
    one = node(sqlite_store, clock, site(daily(**written), site=zoned))
    for _ in range(28):
        await one.catch_up(clock.now())
        clock.advance(600)
    offsets = {SPRING: (1.5, 2.5), AUTUMN: (1.5, 3.5)}[day]
    assert await sqlite_store.read(all_slots) == [(start + timedelta(hours=hours), "due") for hours in offsets]


# -- cron ------------------------------------------------------------------------------------------------------


def test_cron_reads_the_sites_wall_clock_and_names_of_days() -> None:
    sunday = Cron("0 9 * * sun", ZoneInfo("Asia/Shanghai"))
    assert sunday.due_after(NOON) == datetime(2026, 3, 8, 1, 0, tzinfo=UTC)
    assert Cron("0 10 1,15 10-12 *", ZoneInfo("Asia/Shanghai")).due_after(NOON) == datetime(2026, 10, 1, 2, tzinfo=UTC)


def test_cron_that_never_comes() -> None:
    assert Cron("0 0 31 2 *", ZoneInfo("Asia/Shanghai")).due_after(NOON) is None


def test_a_cron_that_is_none_is_refused() -> None:
    with pytest.raises(Refused):
        Cron("99 * * * *", ZoneInfo("Asia/Shanghai"))


crons = st.sampled_from(["*/15 * * * *", "30 1,2 * * *", "0 0 * * sun", "59 23 * 3,11 *", "0 2 8 3 *"])
minutes = st.integers(0, 366 * 24 * 60)


@settings(deadline=None, max_examples=50)
@given(crons, minutes, st.integers(0, 6 * 24 * 60))
def test_cron_due_times_rise_and_do_not_depend_on_where_one_starts(expression: str, start: int, later: int) -> None:
    cron, origin = Cron(expression, NEW_YORK), datetime(2026, 1, 1, tzinfo=UTC) + start * MINUTE
    first = list(due_times(cron, origin, origin + 7 * DAY))
    assert first == sorted(set(first))
    assert all(origin < due <= origin + 7 * DAY for due in first)
    middle = origin + later * MINUTE
    rest = list(due_times(cron, middle, origin + 7 * DAY))
    assert rest == [due for due in first if due > middle]


rules = st.sampled_from(
    [Rule.parse(on=on, at=at) for on, at in [("daily", "02:30,03:30"), ("workdays", "00:00"), ("last,1", "23:59")]]
)


cuts_of_ten_days = st.lists(st.integers(0, 10 * 24 * 60), min_size=1, max_size=6)


@settings(deadline=None, max_examples=50)
@given(st.one_of(crons, rules), cuts_of_ten_days, st.sampled_from(["Asia/Shanghai", "Europe/Paris"]))
def test_adjacent_spans_share_no_due_time_and_lose_none(written: str | Rule, cuts: list[int], zone: str) -> None:
    where = ZoneInfo(zone)
    recurrence = Cron(written, where) if isinstance(written, str) else written.in_zone(where, Calendar())
    origin, end = datetime(2026, 3, 25, tzinfo=UTC), datetime(2026, 4, 4, tzinfo=UTC)
    edges = [origin, *sorted(origin + cut * MINUTE for cut in cuts), end]
    parts = [due for start, stop in pairwise(edges) for due in due_times(recurrence, start, stop)]
    assert parts == list(due_times(recurrence, origin, end))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 5 * 24 * 60), min_size=1, max_size=5), nodes=st.integers(1, 3), data=st.data())
def test_catching_up_at_any_times_gives_each_due_time_one_slot(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, cuts: list[int], nodes: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("cuts") / "gateway.db"
    shutil.copy(sqlite_template, path)
    config = site(daily(at="09:00,19:30", missed=data.draw(st.sampled_from(["late", "skip", "ask"]))))

    async def live() -> list[tuple[datetime, str]]:
        store, clock = open_store(f"sqlite:///{path}"), ManualClock(NOON)
        many = [node(store, clock, config) for _ in range(nodes)]
        await many[0].catch_up(NOON)
        for cut in sorted(cuts):
            await asyncio.gather(*(one.catch_up(NOON + cut * MINUTE) for one in many))
        found = await store.read(all_slots)
        await store.close()
        return found

    expected = due_times(node_recurrence(config), NOON, NOON + max(cuts) * MINUTE)
    assert [due for due, _ in asyncio.run(live())] == list(expected)


def node_recurrence(config: Config) -> Any:
    rule = Rule.parse(on=config.schedules[0].on, at=config.schedules[0].at)
    return rule.in_zone(config.site.zone, Calendar())


# -- carrying on -----------------------------------------------------------------------------------------------


async def test_the_broadcast_of_a_dead_process_is_carried_on(store: Store, clock: ManualClock) -> None:
    config = site(daily())
    dead = await begun(store, clock, config)
    go_to(clock, NINE)
    await dead.catch_up(clock.now())
    assert await store.read(states) == ["due"]
    clock.advance(300)
    await node(store, clock, config).tick()
    assert await store.read(states) == ["composed"]
    assert await store.read(all_slots) == [(NINE, "run")]


async def test_a_process_that_died_while_composing(store: Store, clock: ManualClock) -> None:
    config = site(daily())
    dead = await begun(store, clock, config)
    go_to(clock, NINE)
    await dead.catch_up(clock.now())

    def die(db: Connection) -> None:
        assert slots.take(db, "morning", NINE, NINE, HELD_FOR)
        dead_node = f"{os.uname().nodename}:{2**22 + 1}"
        db.execute(update(broadcast).values(state="composing", composing_node=dead_node))

    await store.write(die)
    other = node(store, clock, config)
    await other.tick()
    assert await store.read(states) == ["composing"], "it may yet live"
    clock.advance(HELD_FOR.total_seconds())
    await other.tick()
    assert await store.read(states) == ["composed"]
    assert len(await store.read(bodies)) == len(PEOPLE)


async def test_one_that_composes_for_long_elsewhere_is_left_alone_and_shown(store: Store, clock: ManualClock) -> None:
    one = await begun(store, clock, site(daily()))
    go_to(clock, NINE)
    await one.catch_up(clock.now())
    elsewhere = update(broadcast).values(state="composing", composing_node="another-host:1")
    await store.write(lambda db: db.execute(elsewhere))
    await one.tick()
    assert await store.read(fault_keys) == set()
    clock.advance(1200)
    await one.tick()
    assert await store.read(states) == ["composing"]
    assert await store.read(fault_keys) == {f"slot:morning:{NINE.isoformat()}"}


async def test_a_process_that_died_between_approval_and_the_slots_end(store: Store, clock: ManualClock) -> None:
    one = await begun(store, clock, site(daily()))
    go_to(clock, NINE)
    await one.catch_up(clock.now())
    await store.write(lambda db: db.execute(update(broadcast).values(state="approved")))
    await one.tick()
    assert await store.read(all_slots) == [(NINE, "run")]
    assert await store.read(states) == ["approved"]


async def test_nobody_to_send_it_to_is_shown(sqlite_store: Store, clock: ManualClock) -> None:
    one = await begun(sqlite_store, clock, site(daily()), people=())
    go_to(clock, NINE)
    await one.tick()
    assert await sqlite_store.read(all_slots) == [(NINE, "fault")]
    assert await sqlite_store.read(fault_keys) == {f"slot:morning:{NINE.isoformat()}"}


async def test_a_field_that_is_missing_is_shown_and_mended_by_hand(sqlite_store: Store, clock: ManualClock) -> None:
    one = await begun(sqlite_store, clock, site(daily(fields={})))
    go_to(clock, NINE)
    await one.tick()
    (shown,) = await sqlite_store.read(slots.faults)
    assert "电话" in shown.zh
    assert "电话" in shown.en
    assert await sqlite_store.read(states) == ["failed"]
    mended = node(sqlite_store, clock, site(daily()))
    await mended.run("morning", by=AUTHOR, due_at=NINE)
    assert await sqlite_store.read(states) == ["failed", "composed"]
    assert await sqlite_store.read(all_slots) == [(NINE, "run")]


async def test_a_run_by_hand_replaces_what_stands_at_fault(store: Store, clock: ManualClock) -> None:
    one = await begun(store, clock, site(daily(fields={})))
    go_to(clock, NINE)
    await one.tick()
    go_to(clock, NINE + timedelta(minutes=30))
    made = await node(store, clock, site(daily())).run("morning", by=AUTHOR)
    assert await store.read(states) == ["cancelled", "composed"]
    assert await store.read(all_slots) == [(NINE, "skipped"), (NINE + timedelta(minutes=30), "run")]
    assert await store.read(fault_keys) == {f"approval:{made}"}


# -- approval --------------------------------------------------------------------------------------------------


async def test_a_standing_approval_sends_it(store: Store, clock: ManualClock) -> None:
    config = site(daily())
    one = await begun(store, clock, config)
    await stand_for(store, clock, config)
    assert [each.standing for each in await one.upcoming()] == ["in force"]
    go_to(clock, NINE)
    await one.tick()
    assert await store.read(states) == ["cancelled", "approved"]
    assert set(await store.read(lambda db: db.execute(select(parcel.c.state)).scalars().all())) == {
        "cancelled",
        "ready",
    }
    assert await store.read(fault_keys) == set()


async def test_without_one_it_waits_for_a_person(store: Store, clock: ManualClock) -> None:
    one = await begun(store, clock, site(daily()))
    go_to(clock, NINE)
    await one.tick()
    (shown,) = await store.read(slots.faults)
    assert "等待审批" in shown.zh
    row = await store.read(lambda db: db.execute(select(broadcast)).one())
    approver = Official("qian", "钱主任", frozenset({Role.APPROVER}), TOWN)
    await verbs(store, clock, site(daily())).approve(row.id, by=approver, digest=row.digest)
    await one.tick()
    assert await store.read(fault_keys) == set()
    assert await store.read(states) == ["approved"]


@pytest.mark.parametrize("ceiling", [{"max_people": 2}, {"max_cost": Decimal("0.01")}])
async def test_more_than_its_ceilings_waits_for_a_person(
    sqlite_store: Store, clock: ManualClock, ceiling: dict[str, Any]
) -> None:
    config = site(daily())
    one = await begun(sqlite_store, clock, config)
    await stand_for(sqlite_store, clock, config, **ceiling)
    go_to(clock, NINE)
    await one.tick()
    assert await sqlite_store.read(states) == ["cancelled", "composed"]


async def test_another_version_of_the_template_or_audience_waits(sqlite_store: Store, clock: ManualClock) -> None:
    config = site(daily(audience=Audience(area=TOWN)))
    await begun(sqlite_store, clock, config)
    await stand_for(sqlite_store, clock, config)
    changed = TEMPLATES | {
        "pension-certification": TEMPLATES["pension-certification"].model_copy(update={"sha256": "0" * 64})
    }
    edited = node(sqlite_store, clock, config, changed)
    widened = node(sqlite_store, clock, site(daily()))
    assert [each.standing for each in await edited.upcoming()] == ["template changed"]
    assert [each.standing for each in await widened.upcoming()] == ["audience changed"]
    go_to(clock, NINE)
    await edited.tick()
    go_to(clock, NINE + DAY)
    await widened.tick()
    assert await sqlite_store.read(states) == ["cancelled", "composed", "composed"]


async def test_too_late_for_its_hours_is_shown(sqlite_store: Store, clock: ManualClock) -> None:
    config = site(daily(at="23:00", template="work-safety", fields=_examples("work-safety")))
    one = await begun(sqlite_store, clock, config)
    await stand_for(sqlite_store, clock, config)
    due = NOON + 11 * HOUR
    go_to(clock, due)
    short = update(broadcast).where(broadcast.c.state == "due").values(expires_at=due + HOUR)
    await one.catch_up(clock.now())
    await sqlite_store.write(lambda db: db.execute(short))
    await one.tick()
    assert (due, "fault") in await sqlite_store.read(all_slots)
    assert await sqlite_store.read(states) == ["cancelled", "composed"]
    await sqlite_store.write(second_becomes, "approved")
    with pytest.raises(Conflict):
        await one.skip("morning", due, by=DIRECTOR)
    await sqlite_store.write(second_becomes, "composed")
    await one.skip("morning", due, by=DIRECTOR)
    assert await sqlite_store.read(fault_keys) == set()


def _examples(template: str) -> dict[str, str]:
    return {name: field.example for name, field in TEMPLATES[template].fields.items()}


# -- by hand ---------------------------------------------------------------------------------------------------


async def test_paused_is_skipped_and_shown(store: Store, clock: ManualClock) -> None:
    one = await begun(store, clock, site(daily()))
    await one.pause("morning", by=DIRECTOR)
    await one.pause("morning", by=DIRECTOR)
    go_to(clock, NINE)
    await one.tick()
    go_to(clock, NINE + DAY + HOUR)
    (shown,) = await one.upcoming()
    assert shown.paused
    await one.resume("morning", by=DIRECTOR)
    go_to(clock, NINE + 2 * DAY)
    await one.tick()
    assert await store.read(all_slots) == [(NINE, "skipped"), (NINE + DAY, "skipped"), (NINE + 2 * DAY, "run")]
    trail = await store.read(
        lambda db: db.execute(select(audit.c.verb).order_by(audit.c.day, audit.c.seq)).scalars().all()
    )
    assert [verb for verb in trail if verb in ("pause", "resume")] == ["pause", "resume"]


async def test_running_it_twice_in_a_minute_is_a_slip(sqlite_store: Store, clock: ManualClock) -> None:
    one = await begun(sqlite_store, clock, site(daily()))
    await one.run("morning", by=AUTHOR)
    clock.advance(30)
    with pytest.raises(Conflict):
        await one.run("morning", by=AUTHOR)
    clock.advance(30)
    await one.run("morning", by=AUTHOR)
    assert await sqlite_store.read(all_slots) == [(NOON, "run"), (NOON + MINUTE, "run")]


async def test_who_may_do_what(sqlite_store: Store, clock: ManualClock) -> None:
    one = await begun(sqlite_store, clock, site(daily()))
    for attempt in (one.run("morning", by=CLERK), one.pause("morning", by=AUTHOR), one.skip("morning", NINE, by=CLERK)):
        with pytest.raises(Refused):
            await attempt
    for attempt in (one.run("morning", by=STRANGER), one.resume("no-such", by=DIRECTOR)):
        with pytest.raises(NotFound):
            await attempt
    assert await sqlite_store.read(all_slots) == []


async def test_what_is_coming(sqlite_store: Store, clock: ManualClock) -> None:
    cron = daily("yearly", on=(), at=(), cron="0 10 1 10 *", audience=Audience(name="pensioners", tags=("养老领取",)))
    one = await begun(sqlite_store, clock, site(daily(), cron))
    go_to(clock, NINE)
    await one.tick()
    first, second = await one.upcoming(3)
    assert first.due == [NINE + n * DAY for n in (1, 2, 3)]
    assert [(known.due_at, known.state) for known in first.slots] == [(NINE, "run")]
    assert (first.standing, first.paused, first.audience) == ("none", False, SITE.site.name)
    assert [due.year for due in second.due] == [2026, 2027, 2028]
    assert second.audience == "pensioners"


# -- weather ---------------------------------------------------------------------------------------------------


def forecast(*areas: str, issued: str = "2026-03-03T06:00:00+08:00", day: str = "2026-03-03") -> str:
    """A station's file; the low is the area's last digit."""
    figures = {"date": day, "weather": "晴", "high": 15, "wind": "南风2级"}
    rows = [{"area": one, "name": f"地{one[-3:]}", "days": [figures | {"low": int(one[-1])}]} for one in areas]
    return json.dumps({"source": "气象台", "issued_at": issued, "areas": rows})


def weather_site(directory: Path, file: str = "forecast.json", **feed: Any) -> Config:
    one = Feed.model_validate({"name": "weather", "kind": "station", "source": "气象台", "file": file} | feed)
    areas = tuple(Area(code=code, name=f"地{code[-3:]}") for code in (TOWN, VILLAGE, OTHER))
    push = daily(template="weather-daily", feed="weather", fields={})
    return site(push, feeds={"weather": one}, areas=areas, directory=directory)


async def test_weather_by_area(store: Store, clock: ManualClock, tmp_path: Path) -> None:
    (tmp_path / "forecast.json").write_text(forecast(TOWN, VILLAGE))
    one = await begun(store, clock, weather_site(tmp_path))
    go_to(clock, NINE)
    await one.tick()
    texts = await store.read(bodies)
    assert texts["+8613800139302"].startswith("【枣原镇】3月3日地201晴，1到15℃，南风2级。")
    assert "地100晴，0到15℃" in texts["+8613800139301"]
    assert texts["+8613800139303"] == texts["+8613800139301"], "no forecast of its own: that of the area around it"
    fields = await store.read(lambda db: db.execute(select(broadcast.c.fields)).scalar_one())
    assert fields[VILLAGE].keys() <= TEMPLATES["weather-daily"].fields.keys()
    assert await store.read(fault_keys) == {"approval:1"}


async def test_one_file_per_area_and_one_that_is_absent(store: Store, clock: ManualClock, tmp_path: Path) -> None:
    (tmp_path / f"f-{VILLAGE}.json").write_text(forecast(VILLAGE))
    one = await begun(store, clock, weather_site(tmp_path, "f-{area}.json"))
    go_to(clock, NINE)
    await one.tick()
    assert set(await store.read(bodies)) == {"+8613800139302"}
    reasons = await store.read(lambda db: db.execute(select(left_out.c.reason)).scalars().all())
    assert reasons == ["missing_field", "missing_field"]
    shown = {row.key: row.zh for row in await store.read(slots.faults)}
    assert "地100、地202" in shown["feed:weather"]
    issued = "2026-03-04T06:00:00+08:00"
    for code in (TOWN, OTHER):
        (tmp_path / f"f-{code}.json").write_text(forecast(code, issued=issued, day="2026-03-04"))
    (tmp_path / f"f-{VILLAGE}.json").write_text(forecast(VILLAGE, issued=issued, day="2026-03-04"))
    go_to(clock, NINE + DAY)
    await one.tick()
    assert "feed:weather" not in await store.read(fault_keys)


async def test_the_last_good_forecast_stands_while_it_is_young(
    store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    both = json.loads(forecast(TOWN))
    both["areas"][0]["days"].append(both["areas"][0]["days"][0] | {"date": "2026-03-04", "weather": "雨"})
    both["areas"][0]["days"].append(both["areas"][0]["days"][0] | {"date": "2026-03-05"})
    (tmp_path / "forecast.json").write_text(json.dumps(both))
    one = await begun(store, clock, weather_site(tmp_path, max_age_hours=30))
    go_to(clock, NINE)
    await one.tick()
    (tmp_path / "forecast.json").write_text('{"source": "气象台", "areas": 1}')
    go_to(clock, NINE + DAY)
    await one.tick()
    assert any("3月4日地100雨" in body for body in (await store.read(bodies)).values())
    assert "feed:weather" in await store.read(fault_keys)
    go_to(clock, NINE + 2 * DAY)
    await one.tick()
    assert (await store.read(all_slots))[-1] == (NINE + 2 * DAY, "fault")
    assert await store.read(states) == ["composed", "composed", "due"]


async def test_no_forecast_waits_and_goes_out_when_it_comes(
    sqlite_store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    one = await begun(sqlite_store, clock, weather_site(tmp_path))
    go_to(clock, NINE)
    await one.tick()
    assert await sqlite_store.read(all_slots) == [(NINE, "fault")]
    assert await sqlite_store.read(fault_keys) == {f"slot:morning:{NINE.isoformat()}"}
    assert await sqlite_store.read(states) == ["due"]
    with pytest.raises(Conflict):
        await one.run("morning", by=AUTHOR, due_at=NINE)
    (tmp_path / "forecast.json").write_text(forecast(TOWN))
    clock.advance(1)
    await one.tick()
    assert await sqlite_store.read(states) == ["due"], "it is not asked for at every tick"
    clock.advance(HELD_FOR.total_seconds())
    await one.tick()
    assert await sqlite_store.read(all_slots) == [(NINE, "run")]
    assert await sqlite_store.read(states) == ["composed"]
    assert await sqlite_store.read(fault_keys) == {"approval:1"}


@pytest.mark.parametrize("end", ["too late", "skipped"])
async def test_no_forecast_at_all(sqlite_store: Store, clock: ManualClock, tmp_path: Path, end: str) -> None:
    one = await begun(sqlite_store, clock, weather_site(tmp_path))
    go_to(clock, NINE)
    await one.tick()
    if end == "skipped":
        await one.skip("morning", NINE, by=AUTHOR)
    else:
        clock.advance(2 * 3600)
        await one.tick()
    (tmp_path / "forecast.json").write_text(forecast(TOWN))
    clock.advance(3600)
    await one.tick()
    expected = {"too late": ("fault", "failed", 1), "skipped": ("skipped", "cancelled", 0)}[end]
    (found,) = await sqlite_store.read(all_slots)
    assert (found[1], (await sqlite_store.read(states))[0], len(await sqlite_store.read(slots.faults))) == expected
    assert await sqlite_store.read(bodies) == {}


async def test_the_evenings_forecast_is_for_the_next_day(
    sqlite_store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    config = weather_site(tmp_path)
    evening = config.schedules[0].model_copy(update={"at": ("19:00",)})
    (tmp_path / "forecast.json").write_text(forecast(TOWN, issued="2026-03-02T16:30:00+08:00"))
    one = await begun(sqlite_store, clock, config.model_copy(update={"schedules": (evening,)}))
    go_to(clock, NOON + 7 * HOUR)
    await one.tick()
    assert any("3月3日地100晴" in body for body in (await sqlite_store.read(bodies)).values())


async def test_a_web_forecast_reaches_nobody_real(sqlite_store: Store, clock: ManualClock, tmp_path: Path) -> None:
    payload = {
        "daily_units": {"temperature_2m_max": "°C", "temperature_2m_min": "°C"},
        "daily": {"time": ["2026-03-03"], "weather_code": [0], "temperature_2m_max": [9], "temperature_2m_min": [1]},
    }
    (tmp_path / "forecast.json").write_text(json.dumps(payload))
    config = weather_site(tmp_path, kind="open-meteo", source="网络预报")
    live = {"county": SITE.carriers["simulator"].model_copy(update={"name": "county", "protocol": "cmpp"})}
    one = await begun(sqlite_store, clock, config.model_copy(update={"carriers": dict(SITE.carriers) | live}))
    go_to(clock, NINE)
    await one.tick()
    (shown,) = await sqlite_store.read(slots.faults)
    assert "不是气象台" in shown.zh
    assert await sqlite_store.read(bodies) == {}
    demonstration = node(sqlite_store, clock, config)
    clock.advance(HELD_FOR.total_seconds())
    await demonstration.tick()
    assert len(await sqlite_store.read(bodies)) == len(PEOPLE)


async def test_a_kept_forecast_of_another_version_is_passed_over(
    sqlite_store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    one = await begun(sqlite_store, clock, weather_site(tmp_path))
    await sqlite_store.write(slots.feed_put, "weather", {TOWN: (NOON, '{"v": 2}')}, NOON)
    go_to(clock, NINE)
    await one.tick()
    assert await sqlite_store.read(all_slots) == [(NINE, "fault")]


async def test_a_token_that_is_not_set_is_a_fault(
    sqlite_store: Store, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WEATHER_TOKEN", raising=False)
    (tmp_path / "forecast.json").write_text(forecast(TOWN))
    one = await begun(sqlite_store, clock, weather_site(tmp_path, secret_env="WEATHER_TOKEN"))
    go_to(clock, NINE)
    await one.tick()
    (shown,) = await sqlite_store.read(slots.faults)
    assert "WEATHER_TOKEN" in shown.zh


def test_forecasts_survive_being_kept() -> None:
    (one,) = weather.read(forecast(TOWN).encode(), "station", file="f", fetched_at=NOON)
    assert weather.from_json(weather.to_json(one)) == one


# -- the timer -------------------------------------------------------------------------------------------------


async def test_the_timer_ticks_when_a_slot_is_due(sqlite_store: Store) -> None:
    clock = ShiftedClock(NINE - timedelta(milliseconds=400))
    await sqlite_store.write(insert_people)
    async with node(sqlite_store, clock, site(daily())).running():
        async with asyncio.timeout(5):
            while await sqlite_store.read(states) != ["composed"]:
                await asyncio.sleep(0.02)
    (known,) = await sqlite_store.read(slots.last, "morning", 1)
    assert known.due_at == NINE
    assert known.at - NINE < timedelta(seconds=2)


async def test_the_timer_goes_on_when_the_database_is_back(sqlite_store: Store) -> None:
    clock = ShiftedClock(NINE - timedelta(milliseconds=800))
    await sqlite_store.write(insert_people)
    await sqlite_store.write(lambda db: db.execute(text("ALTER TABLE slot RENAME TO gone")))
    with capture_logs() as logged:
        async with node(sqlite_store, clock, site(daily())).running():
            async with asyncio.timeout(5):
                while not any(line["event"] == "schedule.database" for line in logged):
                    await asyncio.sleep(0.01)
                await sqlite_store.write(lambda db: db.execute(text("ALTER TABLE gone RENAME TO slot")))
                while await sqlite_store.read(states) != ["composed"]:
                    await asyncio.sleep(0.02)
    assert await sqlite_store.read(all_slots) == [(NINE, "run")]
