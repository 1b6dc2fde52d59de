"""gateway.inbox: conversations by text, from what the operator delivers to what the person reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, inspect, select

from gateway import words
from gateway.carriers import Receipt, Received
from gateway.errors import Conflict, Refused
from gateway.inbox import Inbox, asking
from gateway.model import CaseState, ReceiptState, TextState, message_id
from gateway.outbox import Outbox
from gateway.store import Store, bulk, consent, open_store, parcels
from gateway.store.parcels import Queued
from gateway.store.receipts import Recent
from gateway.store.tables import case_count, person, receipt_unmatched, submission
from gateway.words import Intent
from gateway.worktime import ManualClock
from tests import desk
from tests.desk import ACCOUNT, CLERK, MOTHER, NEIGHBOUR, SON, Hall, received
from tests.store.outbound import envelope, states

ASKS = "我妈76了 养老认证刷不上脸"


@pytest.fixture
async def hall(store: Store, clock: ManualClock) -> Hall:
    return Hall(store, clock)


@pytest.fixture
async def light(sqlite_store: Store, clock: ManualClock) -> Hall:
    """Where the database makes no difference."""
    return Hall(sqlite_store, clock)


# -- a conversation --------------------------------------------------------------------------------------------


async def test_a_question_opens_a_case_with_a_number_and_an_acknowledgement(hall: Hall) -> None:
    await hall.hears(ASKS)
    case = await hall.only_case()
    assert case.number == "26030200017"
    assert (case.phone, case.window, case.state, case.title) == (MOTHER, "minzheng", CaseState.OPEN, ASKS)
    assert await hall.said() == [
        "收到，编号26030200017，交民政社保办，3月9日前答复您。从今天14:00起算。电话0912-0000500，回“查询”看进度。"
    ]
    assert await hall.events() == [("text", ASKS), ("acknowledged", "")]
    (text,) = await hall.texts()
    assert (text.intent, text.case_id, text.handled_at) == ("feedback", case.id, hall.clock.now())
    assert text.message_id is not None


async def test_what_nobody_can_place_goes_to_the_front_desk(light: Hall) -> None:
    await light.hears("他说叫我问你们")
    case = await light.only_case()
    assert (case.window, case.kind) == ("front-desk", "unclear")
    assert await light.intents() == ["unclear"]


async def test_more_texts_join_the_open_case(light: Hall) -> None:
    await light.hears(ASKS, "她人在后沟村", "刷了三回")
    assert len(await light.all_cases()) == 1
    assert [body for kind, body in await light.events() if kind == "text"] == [ASKS, "她人在后沟村", "刷了三回"]
    assert len(await light.said()) == 1


async def test_several_people_are_several_cases(light: Hall) -> None:
    await light.hears(ASKS)
    await light.hears("粮补啥时候发", phone=SON)
    assert [(c.phone, c.number) for c in await light.all_cases()] == [(MOTHER, "26030200017"), (SON, "26030200025")]
    assert len(await light.said(SON)) == 1


async def test_a_case_knows_the_village_and_the_notice_it_followed(light: Hall) -> None:
    row = {"key": "k", "name": "高秀英", "phone": MOTHER, "village": "后沟村", "grp": "", "area": "610899100207"}
    row |= {"sex": "", "tags": "", "away_to": "", "note": "", "roster": "r", "seen_import": 1}
    await light.store.write(lambda db: db.execute(insert(person).values(**row, updated_at=light.clock.now())))
    await light.sent_notice("pension-certification", timedelta(hours=71), broadcast_id=9)
    await light.hears(ASKS)
    case = await light.only_case()
    assert (case.area, case.broadcast_id, case.person_id is not None) == ("610899100207", 9, True)


async def test_an_old_notice_is_not_what_a_text_replies_to(light: Hall) -> None:
    await light.sent_notice("policy", timedelta(hours=73))
    await light.hears(ASKS)
    assert (await light.only_case()).broadcast_id is None


@pytest.fixture
async def dialled(sqlite_store: Store, clock: ManualClock) -> Hall:
    """The account's number has digits behind it, two of which are windows'."""
    account = {"service_code": "10690001", "extension": 2, "extensions": {"03": "caizheng", "07": "xinfang"}}
    return Hall(sqlite_store, clock, account=account)


async def test_the_digits_it_was_sent_to_say_the_window(dialled: Hall) -> None:
    await dialled.hears("他说叫我问你们", to="1069000103")
    case = await dialled.only_case()
    assert (case.window, case.kind) == ("caizheng", "consult")
    await dialled.hears("到底啥时候给", to="1069000103")
    assert len(await dialled.all_cases()) == 1


async def test_another_windows_digits_are_another_matter(dialled: Hall) -> None:
    await dialled.hears("粮补啥时候发", to="1069000103")
    await dialled.hears("我要反映个事", to="1069000107")
    await dialled.hears(ASKS, to="10690001", phone=SON)
    assert [case.window for case in await dialled.all_cases()] == ["caizheng", "xinfang", "minzheng"]


async def test_a_complaint_about_a_window_does_not_go_where_it_was_sent(dialled: Hall) -> None:
    await dialled.hears("财政窗口那个人态度差得很 跑了三趟都不给办粮补", to="1069000103")
    case = await dialled.only_case()
    assert (case.window, case.kind, case.restricted) == ("xinfang", "complaint", True)


async def test_opting_out_outranks_the_digits(dialled: Hall) -> None:
    await dialled.hears("退订", "谢谢", to="1069000103")
    assert await dialled.all_cases() == []


async def test_thanks_open_nothing_and_are_kept(light: Hall) -> None:
    await light.hears("谢谢", "👍", "收到")
    assert await light.all_cases() == []
    assert await light.said() == []
    assert [text.body for text in await light.inbox.texts([Intent.THANKS])] == ["收到", "👍", "谢谢"]


async def test_thanks_join_an_answered_case_and_wake_nobody(light: Hall) -> None:
    await light.hears(ASKS)
    await light.cases.reply("26030200017", "已经办好", by=CLERK)
    await light.hears("谢谢")
    case = await light.only_case()
    assert case.state == CaseState.ANSWERED
    assert len(await light.said()) == 2
    await light.hears("可是还没到账")
    assert (await light.only_case()).state == CaseState.OPEN


async def test_an_own_case_number_goes_before_the_open_case_and_reopens_a_closed_one(hall: Hall) -> None:
    await hall.hears(ASKS)
    await hall.cases.close("26030200017", by=CLERK)
    await hall.hears("粮补啥时候发", "2")
    await hall.hears("26030200017 还没到账")
    first, second = await hall.all_cases()
    assert (first.state, first.closed_at, second.state) == (CaseState.OPEN, None, CaseState.OPEN)
    kinds = [kind for kind, _ in await hall.events()]
    assert kinds.count("reopened") == 1


async def test_somebody_elses_number_is_no_number(light: Hall) -> None:
    await light.hears(ASKS)
    await light.hears("26030200017 那件 我家养老钱也停了", phone=SON)
    mother, son = await light.all_cases()
    assert (mother.phone, son.phone) == (MOTHER, SON)
    assert [event.body for event in (await light.cases.show(mother.number)).events if event.kind == "text"] == [ASKS]
    await light.hears("查询26030200017", phone=NEIGHBOUR)
    assert await light.said(NEIGHBOUR) == ["您这个号码没有在办的事。要办什么直接写来，或打0912-0000000。"]


async def two_open(hall: Hall) -> None:
    """26030200017 at minzheng and 26030200025 at caizheng."""
    await hall.hears(ASKS)
    await hall.cases.close("26030200017", by=CLERK)
    await hall.hears("粮补啥时候发", "2", "26030200017 还没好")


async def test_with_several_cases_open_it_is_asked_which(hall: Hall) -> None:
    await two_open(hall)
    await hall.hears("那个事咋弄下了", "到底咋样了")
    assert (await hall.said())[-1].startswith("您有几件事在办：1")
    assert (await hall.said())[-1].endswith("刚才说的是哪件？回1到2，都不是回0。")
    assert await hall.intents() == ["feedback", "consult", "answer", "consult", "held", "held"]
    await hall.hears("2")
    _, second = await hall.all_cases()
    assert [event.body for event in (await hall.cases.show(second.number)).events if event.kind == "text"] == [
        "粮补啥时候发",
        "那个事咋弄下了",
        "到底咋样了",
    ]
    assert (await hall.intents())[-3:] == ["consult", "consult", "answer"]


async def test_with_several_cases_open_danger_is_a_case_of_its_own_and_pages(hall: Hall) -> None:
    await two_open(hall)
    await hall.hears("隔壁窑塌了 压住人了")
    *_, case = await hall.all_cases()
    assert (case.urgent, case.window) == (True, "zhengwu")
    assert "paged" in [kind for kind, _ in await hall.events()]
    assert (await hall.said())[-1].startswith("收到，值班人员已经接到")


async def test_who_answers_which_is_told_where_it_went_however_many_texts_were_sent_before(light: Hall) -> None:
    await two_open(light)
    for text in ("那个事咋弄下了", "2", "到底咋样了"):
        light.clock.advance(601)
        await light.hears(text)
    light.clock.advance(601)
    await light.hears("第二个")
    assert (await light.said())[-1].startswith("收到，编号26030200025，")


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("2", 2),
        ("２", 2),
        ("12", 12),
        ("二", 2),
        ("两", 2),
        ("〇", 0),
        ("回1", 1),
        ("我选3", 3),
        ("第二个", 2),
        ("1号", 1),
    ],
)
def test_a_number_is_an_answer_however_it_is_written(said: str, number: int) -> None:
    assert asking.digit(words.normalise(said)) == number


@pytest.mark.parametrize("said", ["", "123", "二十", "2斤", "1或2", "回"])
def test_what_is_no_number_of_a_list(said: str) -> None:
    assert asking.digit(words.normalise(said)) is None


@pytest.mark.parametrize(
    ("said", "helped"), [("1", True), ("一", True), ("办成了", True), ("回2", False), ("还没有", False), ("3", None)]
)
def test_whether_it_helped(said: str, helped: bool | None) -> None:
    assert asking.solved(words.normalise(said)) is helped


async def test_an_unanswered_which_becomes_a_case_at_the_front_desk_from_the_first_text(hall: Hall) -> None:
    await two_open(hall)
    asked_at = hall.clock.now()
    await hall.hears("那个事咋弄下了", "到底咋样了")
    hall.clock.advance(6 * 3600 + 1)
    await hall.settle()
    *_, case = await hall.all_cases()
    assert (case.window, case.kind) == ("front-desk", "unclear")
    texts = [event for event in (await hall.cases.show(case.number)).events if event.kind == "text"]
    assert [event.body for event in texts] == ["那个事咋弄下了", "到底咋样了"]
    assert texts[0].at == asked_at
    await hall.hears("1")
    assert len(await hall.all_cases()) == 3


async def test_a_question_that_is_overtaken_loses_no_text(light: Hall) -> None:
    await two_open(light)
    await light.hears("那个事咋弄下了")
    await light.cases.close("26030200025", "下月发", by=CLERK)
    await light.settle()
    *_, case = await light.all_cases()
    assert [event.body for event in (await light.cases.show(case.number)).events if event.kind == "text"] == [
        "那个事咋弄下了"
    ]


async def test_after_hours_the_acknowledgement_says_when_the_clock_starts(light: Hall) -> None:
    light.clock.advance(6 * 3600)
    await light.hears(ASKS)
    assert "3月10日前答复您。现在下班，从明天8:30起算。" in (await light.said())[0]


async def test_help_and_a_bare_digit_get_the_menu_once_in_a_while(light: Hall) -> None:
    await light.hears("帮助", "？", "5")
    assert len(await light.said()) == 1
    assert "退订" in (await light.said())[0]
    light.clock.advance(601)
    await light.hears("3")
    assert len(await light.said()) == 2
    assert await light.all_cases() == []


# -- opting out ------------------------------------------------------------------------------------------------


async def test_a_bare_word_stops_everything_with_one_confirmation(light: Hall) -> None:
    await light.hears("ＴＤ", "退订", "td")
    assert await light.ledger() == [(MOTHER, None, "out")]
    said = await light.said()
    assert len(said) == 1 and said[0].startswith("已停发全部通知。")
    assert await light.all_cases() == []


async def test_a_category_is_stopped_and_resumed_by_its_name(hall: Hall) -> None:
    await hall.hears("退订天气", "恢复天气预报")
    assert await hall.ledger() == [(MOTHER, "weather-daily", "out"), (MOTHER, "weather-daily", "in")]
    assert [text.split("，")[0].split("。")[0] for text in await hall.said()] == ["已停发天气预报", "已恢复天气预报"]


async def test_a_name_that_two_categories_share_stops_both(light: Hall) -> None:
    await light.hears("退订征兵")
    categories = [category for _, category, _ in await light.ledger()]
    assert categories == ["conscription-physical", "conscription-registration"]
    assert (await light.said())[0].startswith("已停发征兵。")


async def test_r_after_a_notice_is_that_category(hall: Hall) -> None:
    await hall.sent_notice("jobs", timedelta(hours=60), broadcast_id=3)
    await hall.sent_notice("policy", timedelta(hours=2), broadcast_id=4)
    await hall.sent_notice("training", timedelta(hours=1), phone=SON, broadcast_id=5)
    await hall.hears("R")
    assert await hall.ledger() == [(MOTHER, "policy", "out")]
    assert (await hall.said())[-1].startswith("已停发政策通知。")


@pytest.mark.parametrize(("ago", "category"), [(73, "policy"), (1, "emergency"), (1, None)])
async def test_r_is_everything_without_a_recent_notice_that_can_be_stopped(
    light: Hall, ago: int, category: str | None
) -> None:
    await light.sent_notice(category, timedelta(hours=ago))
    await light.hears("R")
    assert await light.ledger() == [(MOTHER, None, "out")]


async def test_all_is_all_even_after_a_notice(light: Hall) -> None:
    await light.sent_notice("policy", timedelta(hours=1))
    await light.hears("全退")
    assert await light.ledger() == [(MOTHER, None, "out")]


async def test_writing_in_opts_nobody_back_in_and_still_gets_answers(light: Hall) -> None:
    await light.hears("退订", ASKS)
    await light.cases.reply("26030200017", "已经办好", by=CLERK)
    assert await light.ledger() == [(MOTHER, None, "out")]
    assert not await light.store.read(consent.wants, MOTHER, "policy")
    assert len(await light.said()) == 3


async def test_opting_out_outranks_an_open_case(hall: Hall) -> None:
    await hall.hears(ASKS, "不要再发了!!!")
    assert await hall.ledger() == [(MOTHER, None, "out")]
    assert await hall.intents() == ["feedback", "optout"]
    assert [body for kind, body in await hall.events() if kind == "text"] == [ASKS]


async def test_stopping_one_category_after_all_changes_nothing(light: Hall) -> None:
    await light.hears("退订", "退订天气")
    assert await light.ledger() == [(MOTHER, None, "out")]
    await light.hears("恢复天气", "退订")
    assert [row[1:] for row in await light.ledger()] == [(None, "out"), ("weather-daily", "in"), (None, "out")]


async def test_the_ledger_keeps_the_words(light: Hall) -> None:
    await light.hears("Ｔ Ｄ")
    (row,) = await light.store.read(consent.history, MOTHER)
    assert (row.wording, row.source, row.by) == ("Ｔ Ｄ", ACCOUNT, "self")


async def test_a_sites_own_word(sqlite_store: Store, clock: ManualClock) -> None:
    hall = Hall(sqlite_store, clock, optout_words=("莫发哩",))
    await hall.hears("莫发哩！")
    assert await hall.ledger() == [(MOTHER, None, "out")]


# -- few automatic answers -------------------------------------------------------------------------------------


async def test_at_most_one_acknowledgement_per_case_in_ten_minutes(light: Hall) -> None:
    await light.hears(ASKS)
    light.clock.advance(599)
    await light.hears("喂")
    assert len(await light.said()) == 1
    light.clock.advance(1)
    await light.hears("有人没有")
    assert len(await light.said()) == 2


async def test_a_flood_from_one_phone_is_one_case_and_one_acknowledgement(hall: Hall) -> None:
    texts = [f"第{n}条 快点回" for n in range(300)]
    await hall.inbox.receive(ACCOUNT, received(*texts, at=hall.clock.now()))
    await hall.settle()
    assert [text.body for text in await hall.texts()] == texts
    assert all(text.handled_at for text in await hall.texts())
    assert len(await hall.all_cases()) == 1
    assert len(await hall.said()) == 1
    assert [body for kind, body in await hall.events() if kind == "text"] == texts


async def test_back_and_forth_about_consent_is_answered_five_times_at_most(light: Hall) -> None:
    await light.hears(*["退订", "恢复"] * 5)
    assert len(await light.ledger()) == 10
    assert len(await light.said()) == 5


async def test_two_gateways_answering_each_other_stop_after_three(light: Hall) -> None:
    for n in range(8):
        await light.hears(f"您好，我现在有事，稍后回复。{n}")
        light.clock.advance(601)
    assert len(await light.said()) == 3


async def test_a_clerks_word_and_a_day_later_are_a_new_start(light: Hall) -> None:
    for n in range(5):
        await light.hears(f"问了{n}回了")
        light.clock.advance(601)
    await light.cases.reply((await light.only_case()).number, "马上办", by=CLERK)
    light.clock.advance(1)
    await light.hears("好久了还没办")
    assert len(await light.said()) == 5
    for n in range(5):
        light.clock.advance(601)
        await light.hears(f"又问了{n}回了")
    assert len(await light.said()) == 7
    light.clock.advance(24 * 3600)
    await light.hears("今天办不办")
    assert len(await light.said()) == 8


@pytest.mark.parametrize("phone", ["10690009999", "10086", "+85261234567", "1064600000001", "106900011234", "不是号码"])
async def test_no_automatic_answer_where_nobody_reads_it(light: Hall, phone: str) -> None:
    await light.hears("退订", ASKS, phone=phone)
    (text, _) = await light.texts()
    assert await light.said(text.phone) == []
    case = await light.only_case()
    assert (case.phone, case.window) == (phone, "minzheng")
    assert (await light.ledger())[0][0] == phone


async def test_no_automatic_answer_to_our_own_numbers(light: Hall) -> None:
    await light.hears(ASKS, phone="10690001")
    await light.hears(ASKS, phone=MOTHER, to="13800130001")
    assert await light.said() == []
    assert len(await light.all_cases()) == 2


async def test_advertisements_from_service_numbers_open_nothing(light: Hall) -> None:
    await light.hears("【某某购】全场3折 拒收请回复R", phone="10690009999")
    assert await light.all_cases() == []
    assert await light.intents() == ["spam"]


# -- duplicates ------------------------------------------------------------------------------------------------


async def test_what_the_operator_repeats_is_one_text(hall: Hall) -> None:
    chunk = received(ASKS, "刷了三回", at=hall.clock.now())
    await hall.inbox.receive(ACCOUNT, chunk)
    hall.clock.advance(3600)
    await hall.inbox.receive(ACCOUNT, [*chunk, chunk[0]])
    await hall.settle()
    assert [text.body for text in await hall.texts()] == [ASKS, "刷了三回"]
    assert hall.inbox.repeats == 3


async def test_a_person_who_repeats_themselves_is_heard_twice(light: Hall) -> None:
    await light.hears(ASKS, ASKS)
    assert len(await light.texts()) == 2


async def test_a_reference_that_wrapped_names_another_text(hall: Hall) -> None:
    await hall.inbox.receive(ACCOUNT, received(ASKS, at=hall.clock.now(), refs=["1"]))
    for _ in range(2):
        await hall.inbox.receive(ACCOUNT, received("粮补啥时候发", at=hall.clock.now(), refs=["1"]))
    await hall.inbox.receive("another", received(ASKS, at=hall.clock.now(), refs=["1"]))
    assert [(text.source, text.body) for text in await hall.texts()] == [
        (ACCOUNT, ASKS),
        (ACCOUNT, "粮补啥时候发"),
        ("another", ASKS),
    ]


async def test_without_a_reference_the_same_text_within_seconds_is_one(hall: Hall) -> None:
    at = hall.clock.now()
    hall.clock.advance(60)
    for later in (0, 4, 12):
        await hall.inbox.receive(ACCOUNT, received(ASKS, at=at + timedelta(seconds=later), refs=[""]))
    await hall.inbox.receive(ACCOUNT, received(ASKS, "再问一句", phone=SON, at=at, refs=["", ""]))
    await hall.inbox.receive(ACCOUNT, received("刷了", "刷了", at=at, refs=["", ""]))
    assert [(text.phone, text.body) for text in await hall.texts()] == [
        (MOTHER, ASKS),
        (MOTHER, ASKS),
        (SON, ASKS),
        (SON, "再问一句"),
        (MOTHER, "刷了"),
    ]


async def test_two_links_that_deliver_the_same_text_at_once_store_it_once(hall: Hall) -> None:
    chunks = [received(ASKS, at=hall.clock.now(), refs=[ref]) for ref in ("", "7") for _ in range(6)]
    await asyncio.gather(*(hall.inbox.receive(ACCOUNT, chunk) for chunk in chunks[:6]))
    assert len(await hall.texts()) == 1
    await asyncio.gather(*(hall.inbox.receive(ACCOUNT, chunk) for chunk in chunks[6:]))
    assert len(await hall.texts()) == 2


async def test_two_texts_that_are_given_one_reference_at_once_are_both_kept(hall: Hall) -> None:
    chunks = [received(f"第{n}个人", at=hall.clock.now(), refs=["1"]) for n in range(6)]
    await asyncio.gather(*(hall.inbox.receive(ACCOUNT, chunk) for chunk in chunks))
    assert {text.body for text in await hall.texts()} == {f"第{n}个人" for n in range(6)}


async def test_a_caller_with_unique_references_is_told_of_a_conflict(hall: Hall) -> None:
    (item,) = received(ASKS, at=hall.clock.now(), refs=["w1"])
    first = await hall.inbox.take("webhook", item)
    assert first == (first[0], True)
    assert await hall.inbox.take("webhook", item) == (first[0], False)
    with pytest.raises(Conflict):
        await hall.inbox.take("webhook", Received("w1", MOTHER, "", "另一条", hall.clock.now()))
    unnamed = Received("", MOTHER, "", ASKS, hall.clock.now())
    assert (await hall.inbox.take("cli", unnamed))[0] != (await hall.inbox.take("cli", unnamed))[0]
    assert len(await hall.texts()) == 3


# -- what must not happen --------------------------------------------------------------------------------------


async def test_a_crash_between_storing_and_handling_loses_nothing(hall: Hall) -> None:
    await hall.inbox.receive(ACCOUNT, received(ASKS, "刷了三回", at=hall.clock.now()))
    again = Hall(hall.store, hall.clock)
    await again.settle()
    await hall.settle()
    assert len(await hall.all_cases()) == 1
    assert len(await hall.said()) == 1
    assert await hall.intents() == ["feedback", "feedback"]


async def test_many_handlers_at_once_handle_each_text_once_and_in_order(hall: Hall) -> None:
    phones = [f"+861380013{n:04d}" for n in range(12)]
    items = [Received(f"{phone}{n}", phone, "", f"第{n}条", hall.clock.now()) for n in range(5) for phone in phones]
    await hall.inbox.receive(ACCOUNT, items)
    halls = [hall, Hall(hall.store, hall.clock), Hall(hall.store, hall.clock)]
    await asyncio.gather(*(one.settle() for one in halls))
    cases = await hall.all_cases()
    assert sorted(case.phone for case in cases) == phones
    assert len({case.number for case in cases}) == len(phones)
    for case in cases:
        conversation = await hall.cases.show(case.number)
        assert [event.body for event in conversation.events if event.kind == "text"] == [f"第{n}条" for n in range(5)]
        assert len(await hall.said(case.phone)) == 1


async def test_a_text_that_cannot_be_handled_goes_before_the_front_desk_and_holds_up_nobody(
    light: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = light.inbox._deciding._consent

    def fails(db: Any, reading: Any) -> Any:
        if reading.body == ASKS:
            raise ZeroDivisionError
        return decide(db, reading)

    monkeypatch.setattr(light.inbox._deciding, "_consent", fails)
    await light.hears(ASKS, "刷了三回", phone=SON)
    await light.hears("粮补啥时候发")
    first, second = await light.all_cases()
    assert (first.window, first.phone, second.window) == ("front-desk", SON, "caizheng")
    assert await light.intents() == ["error", "complaint", "consult"]
    assert [text.body for text in await light.inbox.texts([Intent.ERROR])] == [ASKS]


async def test_what_even_the_front_desk_cannot_take_is_marked_and_shown(
    light: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(light.cases.intake, "open", fails)
    await light.hears(ASKS)
    assert await light.all_cases() == []
    assert await light.intents() == ["error"]


async def test_a_database_that_goes_away_meanwhile_leaves_the_text_waiting(
    light: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def write(*_: Any) -> Any:
        raise OSError("disk full")

    await light.inbox.receive(ACCOUNT, received(ASKS, at=light.clock.now()))
    with monkeypatch.context() as patched:
        patched.setattr(light.store, "write", write)
        with pytest.raises(OSError, match="disk full"):
            await light.inbox.handle_waiting()
    assert await light.intents() == [None]
    await light.settle()
    assert await light.intents() == ["feedback"]


async def test_a_number_that_no_carrier_reaches_still_has_its_case(
    light: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(light.cases.book, "_outbox", Outbox(light.config.model_copy(update={"routes": ()})))
    await light.hears(ASKS, "退订")
    assert await light.events() == [("text", ASKS)]
    assert await light.ledger() == [(MOTHER, None, "out")]
    with pytest.raises(Refused, match="no carrier"):
        await light.cases.reply((await light.only_case()).number, "好", by=CLERK)


HOSTILE = [
    "{姓名} {编号} {{7*7}} ${jndi:ldap://x} %s %(x)s",
    "'); DROP TABLE inbound; --",
    "<script>alert(1)</script>",
    "\u202e倒着写\u202c 👨‍👩‍👧 \x07 \x1b[31m",
    "a" * 5000,
    "=cmd|' /C calc'!A0",
]


async def test_hostile_texts_stay_literal(hall: Hall) -> None:
    for n, text in enumerate(HOSTILE):
        await hall.hears(text, phone=f"+861380013{n:04d}")
    assert [text.body for text in await hall.texts()] == HOSTILE
    kept = [body for kind, body in await hall.events() if kind == "text"]
    spam = [text.body for text in await hall.inbox.texts([Intent.SPAM])]
    assert sorted(kept + spam) == sorted(HOSTILE)
    assert len(kept) >= 4
    for case in await hall.all_cases():
        (said,) = await hall.said(case.phone)
        assert said.startswith("收到，编号")
    tables = await hall.store.read(lambda db: inspect(db).get_table_names())
    assert "inbound" in tables


async def test_what_no_database_keeps_is_replaced_and_the_rest_kept(hall: Hall) -> None:
    await hall.hears("a\0b\ud83d 中", to="1\0")
    (text,) = await hall.texts()
    assert (text.body, text.to) == ("a␀b\ufffd 中", "1␀")
    assert text.handled_at is not None


@pytest.fixture
async def anything(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> AsyncIterator[Hall]:
    path = tmp_path_factory.mktemp("anything") / "gateway.db"
    path.write_bytes(sqlite_template.read_bytes())
    store = open_store(f"sqlite:///{path}")
    yield Hall(store, ManualClock(datetime(2026, 3, 2, 4, tzinfo=UTC)))
    await store.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=80), max_size=6)
)
async def test_any_text_is_kept_exactly_and_handled(anything: Hall, texts: list[str]) -> None:
    before = len(await anything.texts())
    await anything.hears(*texts)
    rows = (await anything.texts())[before:]
    assert [row.body for row in rows] == texts
    assert all(row.handled_at is not None and row.intent != "error" for row in rows)


async def test_receipts_are_stored_with_the_texts_of_a_chunk(hall: Hall) -> None:
    now = hall.clock.now()
    await hall.inbox.receive(
        ACCOUNT, [Receipt("x", MOTHER, ReceiptState.DELIVERED, None, now), *received("谢谢", at=now)]
    )
    parked = await hall.store.read(lambda db: db.execute(select(receipt_unmatched.c.carrier_ref)).scalars().all())
    assert (list(parked), len(await hall.texts())) == (["x"], 1)


async def test_one_receipt_is_the_whole_texts_where_the_account_sends_one(hall: Hall) -> None:
    now, (site, notices) = hall.clock.now(), desk.site()
    bought = site.carriers[ACCOUNT].model_copy(update={"receipts": "one"})
    config = site.model_copy(update={"carriers": {ACCOUNT: bought}})
    inbox = Inbox(hall.store, config, notices, hall.cases, hall.answers, desk.triage, hall.clock, Recent())
    long = [Queued(MOTHER, None, "长", 3)]
    key = message_id(await hall.store.write(parcels.queue, envelope(carrier=ACCOUNT), long, now), 0)
    taken = [(key, 1, part, "accepted", ACCOUNT, f"r{part}", None, now) for part in (1, 2, 3)]
    await hall.store.write(bulk.insert, submission, parcels.SUBMISSION_COLUMNS, taken)
    await inbox.receive(ACCOUNT, [Receipt("r1", MOTHER, ReceiptState.DELIVERED, None, now)])
    assert (await states(hall.store))[key] is TextState.DELIVERED


async def test_a_time_to_come_is_taken_for_now(light: Hall) -> None:
    await light.inbox.receive(ACCOUNT, received(ASKS, at=light.clock.now() + timedelta(days=400)))
    assert (await light.texts())[0].received_at == light.clock.now()


async def test_the_daily_count_is_given_back_when_a_case_is_not_opened(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(hall.cases.book, "say", fails)
        await hall.hears(ASKS)
    await hall.hears("粮补啥时候发", phone=SON)
    assert await hall.store.read(lambda db: db.execute(select(case_count.c.last)).scalar_one()) == 2


# -- running ---------------------------------------------------------------------------------------------------


async def until(condition: Any) -> None:
    for _ in range(400):
        if await condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen")


async def test_running_handles_what_comes_and_what_others_stored(hall: Hall) -> None:
    async def handled(n: int) -> bool:
        return [row.handled_at is not None for row in await hall.texts()] == [True] * n

    running = asyncio.create_task(hall.inbox.run())
    try:
        await hall.inbox.receive(ACCOUNT, received(ASKS, at=hall.clock.now()))
        await until(lambda: handled(1))
        other = Hall(hall.store, hall.clock)
        await other.inbox.take("cli", Received("", NEIGHBOUR, "", "粮补啥时候发", hall.clock.now()))
        await until(lambda: _slept(hall.clock))
        hall.clock.advance(1)
        await until(lambda: handled(2))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _slept(clock: ManualClock) -> bool:
    return clock.sleepers > 0


async def test_running_outlasts_a_database_that_is_away(light: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    real, failures = light.store.read, iter(range(3))

    async def read(*args: Any, **kwargs: Any) -> Any:
        if next(failures, None) is not None:
            raise OSError("no such host")
        return await real(*args, **kwargs)

    monkeypatch.setattr(light.store, "read", read)
    await light.inbox.take("cli", Received("", MOTHER, "", ASKS, light.clock.now()))
    running = asyncio.create_task(light.inbox.run())
    try:
        for _ in range(3):
            await until(lambda: _slept(light.clock))
            light.clock.advance(2)
        await until(lambda: _answered(light))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _answered(hall: Hall) -> bool:
    return len(await hall.said()) == 1
