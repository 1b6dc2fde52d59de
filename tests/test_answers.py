"""gateway.answers: what people are told from data, by text, and that nobody is told what is somebody else's."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert

from gateway.answers import guide
from gateway.answers.money import masked
from gateway.feeds import weather
from gateway.store import Store, payments, signups, slots
from gateway.store.tables import broadcast, person, signup
from gateway.text import measure_signed
from gateway.worktime import ManualClock
from tests.desk import CLERK, MOTHER, NEIGHBOUR, SON, Hall, site

CONFIG = site()[0]
ZONE = CONFIG.site.zone
ITEMS = [(window, item) for window in CONFIG.hall.windows for item in window.items]
ROOM = guide.room(CONFIG.site.signature)


@pytest.fixture
async def hall(sqlite_store: Store) -> Hall:
    return Hall(sqlite_store, ManualClock(datetime(2026, 11, 2, 9, 30, tzinfo=ZONE)))


async def enrol(hall: Hall, name: str, phone: str, area: str = "610899100201", key: str = "") -> None:
    row = {"key": key or name, "name": name, "phone": phone, "village": "枣湾村", "grp": "1组", "area": area}
    row |= {"sex": "", "tags": "", "away_to": "", "note": "", "roster": "r", "seen_import": 1}
    await hall.store.write(lambda db: db.execute(insert(person).values(**row, updated_at=hall.clock.now())))


# -- guides ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("window", "item"), ITEMS, ids=[item.code for _, item in ITEMS])
def test_every_guide_fits_phones_and_says_everything(window: Any, item: Any) -> None:
    pages = guide.pages(window, item, ROOM)
    assert 1 <= len(pages) <= guide.TEXTS_AT_MOST
    for page in pages:
        assert measure_signed(page, CONFIG.site.signature, "front").parts <= guide.PARTS
    said = "".join(pages)
    for wanted in (item.name, window.seat, item.contact, item.fee):
        assert wanted in said
    for paper in item.materials:
        assert paper.form == "-" or paper.name in said


def test_a_guide_that_is_too_long_ends_with_the_telephone() -> None:
    window, item = ITEMS[0]
    paper = item.materials[0].model_copy(update={"name": "一份名字很长很长的材料" * 4, "form": "原件"})
    long = item.model_copy(update={"materials": (paper,) * 30})
    pages = guide.pages(window, long, ROOM)
    assert len(pages) == guide.TEXTS_AT_MOST
    assert pages[-1].endswith(f"其余材料请打{item.contact}问。")
    assert all(len(page) <= ROOM for page in pages)


async def test_a_name_of_an_item_gets_its_guide_and_no_case(hall: Hall) -> None:
    await hall.hears("高龄补贴")
    assert (await hall.said())[0].startswith(
        "高龄补贴与老年优待证，5号窗口民政社保办，电话0912-0000500。要带：1.居民身份证"
    )
    assert await hall.all_cases() == []
    assert await hall.intents() == ["guide"]


async def test_guides_come_before_the_open_case_where_the_whole_text_is_the_name(hall: Hall) -> None:
    await hall.hears("他说叫我问你们", "高龄补贴")
    assert len(await hall.all_cases()) == 1
    assert await hall.intents() == ["unclear", "guide"]


async def test_several_matches_are_a_menu(hall: Hall) -> None:
    from gateway.triage import Understanding
    from gateway.words import Intent

    codes = [item.code for _, item in ITEMS[3:5]]
    read = Understanding(Intent.GUIDE, items=tuple(codes))
    await hall.hears("谢谢")
    text = (await hall.texts())[0]
    from gateway.store.inbound import Waiting

    waiting = Waiting(text.id, text.source, text.phone, "", "材料", text.received_at)
    await hall.store.write(hall.answers.answer, read, waiting, hall.clock.now())
    assert (await hall.said())[-1].startswith(f"您问的是哪一项：1{ITEMS[3][1].name}，2{ITEMS[4][1].name}？")
    await hall.hears("2")
    assert (await hall.said())[-1].startswith(ITEMS[4][1].name) or ITEMS[4][1].name in "".join(await hall.said())
    await hall.store.write(hall.answers.answer, read, waiting, hall.clock.now())
    await hall.hears("7")
    assert (await hall.intents())[-1] == "help"
    assert (await hall.said())[-1].startswith("有事直接写来")
    assert await hall.all_cases() == []


# -- money -------------------------------------------------------------------------------------------------------


async def paid(hall: Hall, phone: str, name: str, amount: str, ago: timedelta, state: str = "approved") -> None:
    at = hall.clock.now() - ago
    row = {"template": "subsidy", "category": "subsidy", "title": "种粮补贴", "state": state, "priority": 2}
    row |= {"area": "610899100", "audience": {}, "fields": {}, "author": "wang", "on_uncertain": "leave"}
    row |= {"test": False, "people": 1, "texts": 1, "parts": 1, "cost": 0, "note": "", "created_at": at}

    def write(db: Any) -> None:
        db.execute(insert(broadcast).values(**row, approved_at=at))
        key = db.execute(broadcast.select().order_by(broadcast.c.id.desc())).first().id
        payments.keep(db, [(key, phone, name, "2026年种粮补贴", Decimal(amount))])

    await hall.store.write(write)


async def test_what_was_paid_to_this_number_by_masked_name(hall: Hall) -> None:
    await paid(hall, MOTHER, "高秀英", "854.46", timedelta(days=30))
    await paid(hall, MOTHER, "高英", "100.00", timedelta(days=10))
    await paid(hall, SON, "王强", "999.99", timedelta(days=10))
    await paid(hall, MOTHER, "高秀英", "1.00", timedelta(days=400))
    await paid(hall, MOTHER, "高秀英", "2.00", timedelta(days=1), state="cancelled")
    await hall.hears("查补贴")
    assert await hall.said() == [
        "您号上最近发的：10月23日高*2026年种粮补贴100.00元；10月3日高*英2026年种粮补贴854.46元。"
    ]


async def test_nothing_paid_names_the_window_to_ask(hall: Hall) -> None:
    await hall.hears("补贴")
    assert await hall.said() == ["这个号码名下一年内没有查到发放记录。不对的话请问财政惠农，电话0912-0000300。"]
    assert await hall.all_cases() == []


def test_masked_names() -> None:
    assert [masked(name) for name in ("高", "高英", "高秀英", "欧阳秀英")] == ["高", "高*", "高*英", "欧**英"]


# -- weather -----------------------------------------------------------------------------------------------------


async def forecast(hall: Hall, hours: int = 2) -> None:
    issued = hall.clock.now() - timedelta(hours=hours)
    skies = ((2, "晴"), (3, "小雪"))
    day = [weather.Day(date(2026, 11, n), what, 1.0, 12.0, "北风3级") for n, what in skies]
    made = weather.Forecast(
        area="610899100", name="枣原镇", source="清宁县气象台", issued_at=issued, days=tuple(day), official=True
    )
    said = {"610899100": (issued, weather.to_json(made))}
    await hall.store.write(slots.feed_put, "weather", said, hall.clock.now())


async def test_todays_weather_names_the_station(hall: Hall) -> None:
    await forecast(hall)
    await hall.hears("天气")
    assert await hall.said() == ["11月2日枣原镇晴，1到12℃，北风3级。（清宁县气象台2日7时30分发布）"]


async def test_in_the_evening_it_is_tomorrows(hall: Hall) -> None:
    await forecast(hall)
    hall.clock.advance(8.5 * 3600)
    await hall.hears("天气")
    assert (await hall.said())[0].startswith("11月3日枣原镇小雪")


@pytest.mark.parametrize("hours", [None, 30])
async def test_no_forecast_or_an_old_one_is_said_so(hall: Hall, hours: int | None) -> None:
    if hours:
        await forecast(hall, hours)
    await hall.hears("天气")
    assert await hall.said() == ["今天的预报还没有收到，收到后再查。急问打0912-0000000，或拨12121。"]


# -- progress ----------------------------------------------------------------------------------------------------


async def test_progress_is_of_ones_own_cases_alone(hall: Hall) -> None:
    await hall.hears("粮补啥时候到", phone=SON)
    number = (await hall.only_case()).number
    await hall.hears("查询", f"查询{number}")
    assert await hall.said() == ["您这个号码没有在办的事。要办什么直接写来，或打0912-0000000。"] * 2
    await hall.hears("进度", phone=SON)
    assert (await hall.said(SON))[-1] == f"{number}财政惠农正在办，11月5日前办完，电话0912-0000300。"
    await hall.cases.close(number, "到账了", by=CLERK)
    await hall.hears(f"查询 {number}", phone=SON)
    assert (await hall.said(SON))[-1] == f"{number}财政惠农11月2日办完了，电话0912-0000300。"
    await hall.hears("查询", phone=SON)
    assert (await hall.said(SON))[-1].startswith("您这个号码没有在办的事")


# -- jobs and courses --------------------------------------------------------------------------------------------


async def test_jobs_that_fit_else_all(hall: Hall) -> None:
    await hall.hears("有没有保安的活")
    (said,) = await hall.said()
    assert said.startswith("枣原中学（样例）招保安2人")
    await hall.hears("岗位", phone=SON)
    assert len(await hall.said(SON)) == 3
    hall.clock.advance(70 * 24 * 3600)
    await hall.hears("岗位", phone=NEIGHBOUR)
    assert (await hall.said(NEIGHBOUR))[0].startswith("眼下没有合适的岗位")


async def listed(hall: Hall, course: str) -> list[tuple[str, str]]:
    rows = await hall.store.read(signups.listed, course)
    return [(row.name, row.state) for row in rows]


async def test_places_a_waiting_list_and_who_moves_up(hall: Hall) -> None:
    numbers = [f"+8613800138{n:03}" for n in range(5)]
    for n, phone in enumerate(numbers):
        await enrol(hall, f"张{n}", phone)
        await hall.hears("报名 果树修剪", phone=phone)
    assert (await hall.said(numbers[0]))[-1].startswith("报上了：果树修剪，12月5日在枣湾村果园开课。")
    assert "候补第1位" in (await hall.said(numbers[2]))[-1]
    assert "候补第2位" in (await hall.said(numbers[3]))[-1]
    assert "候补都满了" in (await hall.said(numbers[4]))[-1]
    assert await listed(hall, "guoshu") == [("张0", "in"), ("张1", "in"), ("张2", "waiting"), ("张3", "waiting")]
    await hall.hears("取消报名 果树修剪", phone=numbers[0])
    assert (await hall.said(numbers[0]))[-1].startswith("果树修剪的报名给您撤了")
    assert (await hall.said(numbers[2]))[-1].startswith("果树修剪空出名额，您补上了")
    assert await listed(hall, "guoshu") == [("张1", "in"), ("张2", "in"), ("张3", "waiting")]
    hall.clock.advance(1)
    await hall.hears("报名剪枝", phone=numbers[0])
    assert "候补第2位" in (await hall.said(numbers[0]))[-1]


async def test_a_list_of_courses_is_answered_by_digit_and_twice_is_once(hall: Hall) -> None:
    await hall.hears("报名")
    assert (await hall.said())[-1].startswith("能报名的：1焊工（12月15日，镇文化站，余30名），2月嫂")
    await hall.hears("1", "报名焊工")
    assert (await hall.said())[1] == (await hall.said())[2]
    assert await listed(hall, "hangong") == [(MOTHER, "in")]
    await hall.hears("不报了")
    assert await listed(hall, "hangong") == []


async def test_a_course_that_takes_no_more_names(hall: Hall) -> None:
    hall.clock.advance(35 * 24 * 3600)
    await hall.hears("报名")
    assert "果树修剪" not in (await hall.said())[-1]
    hall.clock.advance(30 * 24 * 3600)
    await hall.hears("报名", phone=SON)
    assert (await hall.said(SON))[-1].startswith("眼下没有能报名的培训")


async def test_the_last_place_is_given_once(store: Store) -> None:
    import asyncio

    hall = Hall(store, ManualClock(datetime(2026, 11, 2, 9, 30, tzinfo=ZONE)))
    numbers = [f"+8613800138{n:03}" for n in range(6)]
    await asyncio.gather(*(hall.hears("报名果树修剪", phone=phone) for phone in numbers))
    states = await store.read(lambda db: [row.state for row in db.execute(signup.select()).all()])
    assert sorted(states) == ["in", "in", "waiting", "waiting"]


async def test_nothing_to_take_back_is_no_data(hall: Hall) -> None:
    await hall.hears("取消报名")
    assert len(await hall.all_cases()) == 1


async def test_a_payout_keeps_what_was_paid_and_composing_anew_keeps_it_once(store: Store) -> None:
    rows = [(1, MOTHER, "高秀英", "种粮补贴", Decimal("1.50"))]
    hall = Hall(store, ManualClock(datetime(2026, 11, 2, 9, 30, tzinfo=ZONE)))
    await paid(hall, SON, "王强", "3.20", timedelta(days=1))
    key = await store.read(lambda db: db.execute(broadcast.select()).one().id)
    rows = [(key, *row[1:]) for row in rows]
    await store.write(payments.keep, rows)
    since = hall.clock.now() - timedelta(days=9)
    found = await store.read(payments.to_number, MOTHER, since, 5)
    assert [(one.name, one.amount) for one in found] == [("高秀英", Decimal("1.50"))]
    assert await store.write(payments.blank_old, hall.clock.now(), 10) == 2
    await store.write(payments.throw_away, key)
    assert await store.read(payments.to_number, MOTHER, since, 5) == []
