"""gateway.answers: what people are told from data, by text, and that nobody is told what is somebody else's."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert

from gateway.answers import guide, progress, sky
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
    for step in item.steps:
        assert step in said


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
    assert (await hall.said())[-1].startswith(f"您问的是哪一项：1{ITEMS[3][1].called}，2{ITEMS[4][1].called}？")
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
    await enrol(hall, "高秀英", MOTHER)
    await enrol(hall, "高英", MOTHER)
    await paid(hall, MOTHER, "高秀英", "854.46", timedelta(days=30))
    await paid(hall, MOTHER, "高英", "100.00", timedelta(days=10))
    await paid(hall, SON, "王强", "999.99", timedelta(days=10))
    await paid(hall, MOTHER, "高秀英", "1.00", timedelta(days=400))
    await paid(hall, MOTHER, "高秀英", "2.00", timedelta(days=1), state="cancelled")
    await hall.hears("查补贴")
    assert await hall.said() == [
        "您号上最近发的：10月23日高*2026年种粮补贴100.00元；10月3日高*英2026年种粮补贴854.46元。"
        "有不对的问财政惠农0912-0000300。"
    ]


async def test_a_number_given_out_again_is_not_told_what_was_paid_before(hall: Hall) -> None:
    await enrol(hall, "王强", MOTHER)
    await paid(hall, MOTHER, "高秀英", "854.46", timedelta(days=30))
    await hall.hears("补贴")
    assert (await hall.said())[0].startswith("这个号码名下一年内没有查到发放记录")


async def test_the_newest_five_are_told(hall: Hall) -> None:
    await enrol(hall, "高秀英", MOTHER)
    for days in range(1, 8):
        await paid(hall, MOTHER, "高秀英", f"{days}.00", timedelta(days=days))
    await hall.hears("补贴")
    (said,) = await hall.said()
    assert [f"补贴{days}.00元" in said for days in range(1, 8)] == [True] * 5 + [False] * 2


async def test_nothing_paid_names_the_window_to_ask(hall: Hall) -> None:
    await hall.hears("补贴")
    assert await hall.said() == ["这个号码名下一年内没有查到发放记录。不对的话请问财政惠农，电话0912-0000300。"]
    assert await hall.all_cases() == []


def test_masked_names() -> None:
    assert [masked(name) for name in ("高", "高英", "高秀英", "欧阳秀英")] == ["高", "高*", "高*英", "欧**英"]


# -- weather -----------------------------------------------------------------------------------------------------


async def forecast(
    hall: Hall, hours: int = 2, area: str = "610899100", name: str = "枣原镇", *, official: bool = True
) -> None:
    issued = hall.clock.now() - timedelta(hours=hours)
    skies = ((2, "晴"), (3, "小雪"))
    day = [weather.Day(date(2026, 11, n), what, 1.0, 12.0, "北风3级") for n, what in skies]
    made = weather.Forecast(
        area=area, name=name, source="清宁县气象台", issued_at=issued, days=tuple(day), official=official
    )
    said = {area: (issued, weather.to_json(made))}
    await hall.store.write(slots.feed_put, "weather", said, hall.clock.now())


async def test_todays_weather_names_the_station(hall: Hall) -> None:
    await forecast(hall)
    await hall.hears("天气")
    assert await hall.said() == ["11月2日枣原镇晴，1到12℃，北风3级。（清宁县气象台2日7时30分发布）"]


async def test_who_asks_for_tomorrow_is_told_tomorrow(hall: Hall) -> None:
    await forecast(hall)
    await hall.hears("明天能不能打药")
    assert (await hall.said())[0].startswith("11月3日枣原镇小雪")


async def test_in_the_evening_it_is_tomorrows(hall: Hall) -> None:
    await forecast(hall)
    hall.clock.advance(8.5 * 3600)
    await hall.hears("天气")
    assert (await hall.said())[0].startswith("11月3日枣原镇小雪")


async def test_no_forecast_is_said_so(hall: Hall) -> None:
    await hall.hears("天气")
    assert await hall.said() == ["还没有今天的预报。过一阵再查，急问打0912-0000000或12121。"]


async def test_an_old_forecast_is_not_told_but_whose_it_was(hall: Hall) -> None:
    await forecast(hall, hours=30)
    await hall.hears("天气")
    assert await hall.said() == [
        "还没有今天的预报。上次的旧了，是清宁县气象台11月1日3时发的。过一阵再查，急问打0912-0000000或12121。"
    ]


async def test_a_village_with_a_forecast_of_its_own_is_told_that_one(hall: Hall) -> None:
    await enrol(hall, "高秀英", MOTHER, area="610899100201")
    await forecast(hall)
    await forecast(hall, area="610899100201", name="枣湾村")
    await hall.hears("天气")
    assert "枣湾村" in (await hall.said())[0]
    await hall.hears("天气", phone=NEIGHBOUR)
    assert "枣原镇" in (await hall.said(NEIGHBOUR))[0]


async def test_a_forecast_that_no_station_issued_is_for_rehearsals(hall: Hall) -> None:
    await forecast(hall, official=False)
    assert await hall.store.read(sky.told, CONFIG, "610899100", hall.clock.now())
    real = CONFIG.carriers["simulator"].model_copy(update={"protocol": "cmpp"})
    live = CONFIG.model_copy(update={"carriers": {"simulator": real}})
    assert await hall.store.read(sky.told, live, "610899100", hall.clock.now()) is None
    assert await hall.store.read(sky.last, live, "610899100") == ""


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
    assert (await hall.said())[1].startswith("报上了：焊工")
    assert (await hall.said())[2].startswith("您已经报上了焊工，不用再报")
    assert await listed(hall, "hangong") == [(MOTHER, "in")]
    await hall.hears("不报了")
    assert await listed(hall, "hangong") == []


async def test_a_question_that_begins_like_a_sign_up_is_a_case(hall: Hall) -> None:
    await hall.hears("报名参军要不要回户籍地")
    assert (await hall.only_case()).window == "wuzhuang"
    assert (await hall.said())[-1].startswith("收到，编号")


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


# -- who signs up, where, and how it is said -----------------------------------------------------------------------


async def test_signing_up_somebody_else_by_name(hall: Hall) -> None:
    await enrol(hall, "高秀英", MOTHER)
    await enrol(hall, "王强", MOTHER)
    await hall.hears("给王强报名焊工")
    assert await listed(hall, "hangong") == [("王强", "in")]
    assert (await hall.said())[0].startswith("报上了：焊工")


async def test_a_number_on_the_list_after_the_word(hall: Hall) -> None:
    await hall.hears("报2")
    assert await listed(hall, "yuesao") == [(MOTHER, "in")]
    hall.clock.advance(35 * 24 * 3600)  # the third course is over, the numbers are those of the list that was sent
    await hall.hears("报名", "报名第1个", phone=SON)
    assert await listed(hall, "hangong") == [(SON, "in")]
    await hall.hears("报9", phone=NEIGHBOUR)
    assert (await hall.said(NEIGHBOUR))[-1].startswith("能报名的：1焊工")


async def test_a_course_that_is_named_after_its_last_day_is_refused(hall: Hall) -> None:
    hall.clock.advance(35 * 24 * 3600)
    await hall.hears("报名果树修剪")
    assert await hall.said() == ["果树修剪报名已经截止。电话0912-0000600。"]
    assert await listed(hall, "guoshu") == []


async def test_people_who_share_a_number_are_asked_who(hall: Hall) -> None:
    await enrol(hall, "高秀英", MOTHER)
    await enrol(hall, "王强", MOTHER)
    await hall.hears("报名焊工")
    assert (await hall.said())[-1] == "这个号码登记了几个人，焊工是哪一位：1高*英，2王*？回1到2。"
    await hall.hears("2")
    assert await listed(hall, "hangong") == [("王强", "in")]
    await hall.hears("报名 焊工 高秀英")
    assert await listed(hall, "hangong") == [("王强", "in"), ("高秀英", "in")]
    await hall.hears("取消报名焊工")
    assert "是哪一位" in (await hall.said())[-1]
    await hall.hears("1")
    assert await listed(hall, "hangong") == [("高秀英", "in")]
    await hall.hears("取消报名 焊工 高秀英")
    assert await listed(hall, "hangong") == []


async def test_who_is_in_several_courses_is_asked_which_to_leave(hall: Hall) -> None:
    await hall.hears("报名焊工", "报名月嫂", "不报了")
    assert (await hall.said())[-1] == "您报了几门课：1焊工，2月嫂。不去哪一门？回1到2。"
    await hall.hears("2")
    assert (await listed(hall, "hangong"), await listed(hall, "yuesao")) == ([(MOTHER, "in")], [])
    assert await hall.all_cases() == []


async def test_whoever_waits_comes_before_whoever_is_new(hall: Hall) -> None:
    """A place that came free in another way (more places, somebody forgotten) goes to the line first."""
    numbers = [f"+8613800138{n:03}" for n in range(4)]
    for phone in numbers[:3]:
        await hall.hears("报名果树修剪", phone=phone)
    await hall.store.write(signups.forget, [numbers[0]])
    await hall.hears("报名果树修剪", phone=numbers[3])
    assert await listed(hall, "guoshu") == [(numbers[1], "in"), (numbers[2], "in"), (numbers[3], "waiting")]
    assert (await hall.said(numbers[2]))[-1].startswith("果树修剪空出名额，您补上了")


@pytest.mark.parametrize("said", ["报销住院费要带啥", "报警电话多少", "合疗咋不报销"])
async def test_what_only_begins_like_a_sign_up_is_none(hall: Hall, said: str) -> None:
    await hall.hears(said)
    assert (await hall.intents())[-1] != "signup"
    assert "报名" not in "".join(await hall.said())


async def test_answers_of_the_list_that_mean_none_of_them_make_no_sign_up(hall: Hall) -> None:
    await hall.hears("报名", "0")
    assert await hall.store.read(signups.listed, "hangong") == []


async def test_a_case_past_its_day_and_many_cases(hall: Hall) -> None:
    await hall.hears("粮补啥时候到")
    number = (await hall.only_case()).number
    hall.clock.advance(20 * 24 * 3600)
    await hall.hears("查询")
    assert (await hall.said())[-1] == f"{number}财政惠农正在办，原定11月5日办完，已经在催，电话0912-0000300。"
    rows = await hall.all_cases()
    assert progress.lines([*rows * 6], hall.cases.book, hall.clock.now())[-1] == "另有2件"


def test_a_guide_says_who_may_ask_what_each_paper_is_for_and_the_steps() -> None:
    window, item = next(one for one in ITEMS if one[1].code == "zw-01")
    said = "".join(guide.pages(window, item, ROOM))
    assert "谁能办：户籍或常住在本镇的居民。" in said
    assert "4.委托书和代办人身份证（原件+复印件，由别人代办时才要）。" in said
    assert "当天办（资料齐全当场出具;需入户核实的3个工作日），不收费。" in said
    assert "步骤：村委会签意见→窗口核对→盖章→领取或寄出。" in said
    window, item = next(one for one in ITEMS if one[1].code == "fd-02")
    assert "1.居民身份证（原件，只看不收，" in "".join(guide.pages(window, item, ROOM))
