"""Who is told, at which hour, and what a page says."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from desk import site
from sqlalchemy import select
from structlog.testing import capture_logs

from gateway import duty as duties
from gateway.config import Config, Duty, Officer
from gateway.outbox import Outbox
from gateway.rota import Turn
from gateway.store import Connection, Store
from gateway.store import cases as case_rows
from gateway.store.tables import case_event, message, parcel
from gateway.worktime import ManualClock

ZONE = ZoneInfo("Asia/Shanghai")
OFFICE = "2026-09-28T10:00"  # a Monday
NIGHT = "2026-09-28T21:00"
WEEKEND = "2026-09-27T10:00"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE).astimezone(UTC)


def officer(login: str, window: str = "", **more: Any) -> Officer:
    return Officer(login=login, name=login, phone=more.pop("phone", "18900138001"), window=window, **more)


def duty(*officers: Officer, rota: tuple[Turn, ...] = (), ladder: tuple[str, ...] = (), **more: Any) -> duties.Duty:
    loaded, texts = site()
    config = loaded.model_copy(update={"duty": Duty(officers=officers, rota=rota, ladder=ladder), **more})
    return duties.Duty(config, Outbox(config), texts, ManualClock(at(OFFICE)))


def sample() -> duties.Duty:
    loaded, texts = site()
    return duties.Duty(loaded, Outbox(loaded), texts, ManualClock(at(OFFICE)))


def logins(found: Any) -> list[str]:
    return [one.login for one in found]


# -- the sample ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "when", "told", "why"),
    [
        ("caizheng", OFFICE, ["zhao-ting"], duties.TURN),
        ("minzheng", OFFICE, ["he-fang", "liu-yang"], duties.WINDOW),
        ("caizheng", NIGHT, ["zhiban-1"], duties.HALL),
        ("caizheng", WEEKEND, ["zhiban-2", "zhiban-1"], duties.HALL),
        ("", OFFICE, ["guo-zhuren"], duties.DIRECTOR),
        ("", NIGHT, ["zhiban-1"], duties.HALL),
        ("caizheng", "2026-10-03T10:00", ["guo-zhuren", "zhiban-1"], duties.DATED),  # 国庆
        ("caizheng", "2026-10-08T03:00", ["guo-zhuren", "zhiban-1"], duties.DATED),
        ("caizheng", "2026-10-10T10:00", ["zhao-ting"], duties.TURN),  # the Saturday worked for it
        ("minzheng", "2026-10-10T10:00", ["he-fang", "liu-yang"], duties.WINDOW),
        ("caizheng", "2026-10-10T20:00", ["zhiban-2"], duties.HALL),
    ],
)
def test_who_is_on_duty_in_the_sample_town(window: str, when: str, told: list[str], why: duties.Reason) -> None:
    found = sample().explained(window, at(when))
    assert (logins(found.officers), found.why) == (told, why)


def test_in_the_sample_there_is_somebody_at_every_hour_of_a_month_for_every_window() -> None:
    town, config = sample(), site()[0]
    for day in range(1, 31):
        for window in ("", *(one.code for one in config.hall.windows)):
            for hour in range(0, 24, 3):
                assert town.on_duty(window, datetime(2026, 10, day, hour, tzinfo=UTC))


def test_a_day_in_shifts() -> None:
    shifts = sample().day("caizheng", date(2026, 10, 8))
    local = [(f"{one.begins_at.astimezone(ZONE):%H:%M}", logins(one.on_duty.officers)) for one in shifts]
    assert local == [("00:00", ["guo-zhuren", "zhiban-1"]), ("08:30", ["zhao-ting"]), ("17:30", ["zhiban-1"])]
    assert all(one.ends_at == other.begins_at for one, other in pairwise(shifts))


# -- the order in which somebody is looked for ---------------------------------------------------------------


def test_never_nobody_if_there_is_anybody() -> None:
    assert logins(duty(officer("a", "minzheng")).on_duty("caizheng", at(NIGHT))) == ["a"]
    assert logins(duty(officer("a", "minzheng", away={date(2026, 9, 28)})).on_duty("", at(NIGHT))) == ["a"]
    assert duty().explained("", at(NIGHT)) == duties.OnDuty((), duties.NOBODY)


def test_a_windows_officers_come_before_the_halls_turn_in_office_time_alone() -> None:
    town = duty(officer("hall"), officer("window", "caizheng"), rota=(Turn(officers=("hall",)),))
    assert logins(town.on_duty("caizheng", at(OFFICE))) == ["window"]
    assert logins(town.on_duty("caizheng", at(NIGHT))) == ["hall"]


def test_who_is_away_is_passed_over() -> None:
    away = officer("a", "caizheng", away={date(2026, 9, 28)})
    town = duty(away, officer("b", "caizheng"), rota=(Turn(window="caizheng", officers=("a",)),))
    assert logins(town.on_duty("caizheng", at(OFFICE))) == ["b"]
    assert logins(town.on_duty("caizheng", at("2026-09-29T10:00"))) == ["a"]


def test_an_officer_of_the_window_complained_about_is_never_told() -> None:
    only = officer("a", "caizheng")
    assert logins(duty(only, officer("boss")).on_duty("caizheng", at(OFFICE), about="caizheng")) == ["boss"]
    assert not duty(only).on_duty("caizheng", at(OFFICE), about="caizheng")
    assert duty(only, ladder=("a",)).director(at(OFFICE), about="caizheng") is None


def test_the_ladder_goes_upwards_past_who_is_away() -> None:
    people = officer("boss", away={date(2026, 9, 28)}), officer("town"), officer("county")
    town = duty(*people, ladder=("boss", "town", "county"))
    today, later = at(OFFICE), at("2026-09-29T10:00")
    assert [one.login if (one := town.step(n, today)) else None for n in range(4)] == ["town", "town", "county", None]
    assert (found := town.director(later)) is not None
    assert found.login == "boss"
    assert (found := duty(officer("first"), officer("second")).director(today)) is not None
    assert found.login == "first"


# -- paging --------------------------------------------------------------------------------------------------


def opened(db: Connection, **more: Any) -> Any:
    values = {"number": "26092800014", "phone": "+8613800130001", "window": "anjian", "kind": "consult"}
    values |= {"state": "open", "area": "610899100201", "title": "着火了快来", "opened_at": at(NIGHT)}
    return case_rows.add(db, {**values, **more})


async def texts(store: Store) -> list[tuple[str, str]]:
    query = select(message.c.phone, message.c.body).order_by(message.c.id)
    return [tuple(row) for row in await store.read(lambda db: db.execute(query).all())]


async def test_danger_is_paged_at_night_with_the_number_to_call_back(store: Store) -> None:
    def page(db: Connection) -> Any:
        return sample().page(db, opened(db), "着火", at(NIGHT))

    with capture_logs() as logs:
        sent = await store.write(page)
    body = "【枣原镇】险情：着火！枣湾村，请马上回电13800130001。件26092800014。"
    assert await texts(store) == [("+8618900138004", body)]
    assert logs == []
    (event,) = await store.read(lambda db: db.execute(select(case_event)).all())
    assert (event.kind, event.data["told"], event.message_id) == ("paged", ["zhiban-1"], sent[0])
    (hours,) = await store.read(lambda db: db.execute(select(parcel.c.hours)).scalars().all())
    assert hours is None


async def test_by_day_the_hall_and_the_window_are_paged_once_each(sqlite_store: Store) -> None:
    def page(db: Connection) -> Any:
        return sample().page(db, opened(db), "着火", at(OFFICE))

    assert len(await sqlite_store.write(page)) == 3
    assert [phone[-4:] for phone, _ in await texts(sqlite_store)] == ["8001", "8901", "8902"]


async def test_the_same_word_again_is_not_paged_for_ten_minutes(sqlite_store: Store) -> None:
    row = await sqlite_store.write(opened)
    said = [("着火", 0), ("着火", 9), ("塌方", 9), ("着火", 11)]
    sent = [
        len(await sqlite_store.write(sample().page, row, word, at(NIGHT).replace(minute=minute)))
        for word, minute in said
    ]
    assert sent == [1, 0, 1, 1]


async def test_nobody_to_page_is_an_error_and_not_a_failure(sqlite_store: Store) -> None:
    row = await sqlite_store.write(opened, about="anjian")
    town = duty(officer("a", "anjian"))
    with capture_logs() as logs:
        assert list(await sqlite_store.write(town.page, row, "着火", at(NIGHT))) == []
    assert [(one["event"], one["log_level"]) for one in logs] == [("duty.nobody_paged", "error")]


async def test_a_number_that_nobody_reaches_is_an_error_without_the_number(sqlite_store: Store) -> None:
    town = duty(officer("a", phone="14100138001"), officer("b"), rota=(Turn(officers=("a", "b")),))
    row = await sqlite_store.write(opened)
    with capture_logs() as logs:
        assert len(await sqlite_store.write(town.page, row, "着火", at(NIGHT))) == 1
    assert logs == [
        {"event": "duty.unreached", "officer": "a", "template": "alarm-page", "log_level": "error"},
    ]


# -- checking ------------------------------------------------------------------------------------------------


def test_the_samples_duty_is_in_order() -> None:
    assert duties.check(site()[0]) == []


def test_windows_that_are_none_and_numbers_that_take_no_text_are_found() -> None:
    loaded: Config = site()[0]
    bad = Duty(officers=(officer("a", "caizhen", phone="14100138001"),), rota=(Turn(window="no", officers=("a",)),))
    found = duties.check(loaded.model_copy(update={"duty": bad}))
    assert [(one.file, one.key) for one in found] == [
        ("duty.toml", "officers[1].window"),
        ("duty.toml", "rota[1].window"),
        ("duty.toml", "officers[1].phone"),
    ]
    assert "caizheng" in found[0].zh


def test_a_hall_without_the_file_has_nothing_to_check() -> None:
    loaded: Config = site()[0]
    sources = {name: text.replace('duty = "duty.toml"', "") for name, text in loaded.sources.items()}
    assert duties.check(loaded.model_copy(update={"sources": sources})) == []
