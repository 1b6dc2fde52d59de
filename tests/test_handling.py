"""gateway.cases: what clerks do with a case from its first text to its end, and who may see it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from gateway.cases import EXPORT
from gateway.cases.kept import everything, keep, kept
from gateway.errors import Conflict, NotFound, Refused
from gateway.model import CaseState, Role
from gateway.officials import Official
from gateway.store import Store
from gateway.store import cases as case_rows
from gateway.store.tables import case as case_table
from gateway.store.tables import person, prompt
from gateway.worktime import ManualClock
from tests.desk import CLERK, MOTHER, SON, Hall, site

AREA = "610899100"
DIRECTOR = Official("guo", "郭海燕", frozenset({Role.DIRECTOR}), AREA)
AT_PENSIONS = Official("ma-ning", "马宁", frozenset({Role.CLERK}), AREA)
ZONE = site()[0].site.zone
ASKS = "我妈76了 养老认证刷不上脸"
NUMBER = "26030200017"
PLAIN: dict[str, Any] = {
    **dict.fromkeys(("village", "grp", "sex", "tags", "away_to", "note", "roster"), ""),
    "seen_import": 1,
    "updated_at": datetime(2026, 3, 1, tzinfo=ZONE),
}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


def officer_of(hall: Hall, window: str) -> Official:
    """An officer whom duty.toml names for a window."""
    officer = hall.config.duty.at_window(window)[0]
    return Official(officer.login, officer.name, frozenset({Role.CLERK}), AREA)


@pytest.fixture
async def hall(sqlite_store: Store) -> Hall:
    """NUMBER of the mother's, at minzheng, since Monday 9:30."""
    hall = Hall(sqlite_store, ManualClock(at("2026-03-02T09:30")))
    await hall.hears(ASKS)
    return hall


async def later(hall: Hall, moment: str) -> None:
    hall.clock.advance((at(moment) - hall.clock.now()).total_seconds())
    await hall.settle()


async def case(hall: Hall, number: str = NUMBER) -> Any:
    return (await hall.cases.show(number)).case


async def kinds(hall: Hall, number: str = NUMBER) -> list[str]:
    return [event.kind for event in (await hall.cases.show(number)).events]


# -- clocks ------------------------------------------------------------------------------------------------------


async def test_three_clocks_start_with_the_first_text(hall: Hall) -> None:
    found = await case(hall)
    assert found.signed_due_at == at("2026-03-02T15:30")  # 240 minutes of office time, lunch left out
    assert found.first_due_at == at("2026-03-03T17:30")
    assert found.due_at == at("2026-03-09T17:30")


async def test_signing_meets_one_clock_and_answering_two(hall: Hall) -> None:
    await hall.cases.sign(NUMBER, by=CLERK)
    found = await case(hall)
    assert (found.signed_at, found.first_answer_at, found.officer) == (hall.clock.now(), None, "li")
    with pytest.raises(Conflict, match="signed by li"):
        await hall.cases.sign(NUMBER, by=DIRECTOR)
    await later(hall, "2026-03-02T11:00")
    await hall.cases.reply(NUMBER, "正在核对", by=CLERK)
    assert (await case(hall)).first_answer_at == hall.clock.now()


async def test_whoever_answers_first_has_signed(hall: Hall) -> None:
    await hall.cases.reply(NUMBER, "正在核对", by=CLERK)
    found = await case(hall)
    assert (found.signed_at, found.officer) == (hall.clock.now(), "li")


async def test_a_case_that_was_handed_over_is_signed_for_once_more(hall: Hall) -> None:
    await hall.cases.sign(NUMBER, by=CLERK)
    await hall.cases.handover(NUMBER, "caizheng", "是发钱的事", by=CLERK)
    first = (await case(hall)).signed_at
    await later(hall, "2026-03-02T11:00")
    there = officer_of(hall, "caizheng")
    await hall.cases.sign(NUMBER, by=there)
    found = await case(hall)
    assert (found.officer, found.signed_at) == (there.login, first)
    with pytest.raises(Conflict):
        await hall.cases.sign(NUMBER, by=there)


async def test_a_handover_restarts_no_clock_and_each_window_has_its_holding_time(hall: Hall) -> None:
    before = await case(hall)
    await later(hall, "2026-03-02T11:30")
    await hall.cases.handover(NUMBER, "caizheng", "是发钱的事", by=CLERK)
    await later(hall, "2026-03-03T09:30")
    await hall.cases.hand_back(NUMBER, "不归我们", by=CLERK)
    found = await hall.cases.show(NUMBER)
    assert (found.case.window, found.case.due_at, found.case.signed_due_at) == (
        "minzheng",
        before.due_at,
        before.signed_due_at,
    )
    assert found.holding["minzheng"] == 120
    assert found.holding["caizheng"] == 30 + 210 + 60
    assert found.events[-1].data == {"from": "caizheng", "to": "minzheng"}


async def test_a_first_handback_goes_to_the_front_desk(hall: Hall) -> None:
    await hall.cases.hand_back(NUMBER, "派错了", by=CLERK)
    assert (await case(hall)).window == "front-desk"


async def test_every_due_date_explains_itself(hall: Hall) -> None:
    why = (await hall.cases.show(NUMBER)).why
    assert why
    assert all(zh and en for zh, en in why)
    assert any("民政社保" in zh for zh, _ in why)


async def test_an_urgent_case_has_short_clocks(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, ManualClock(at("2026-03-02T09:30")))
    await hall.hears("窑洞要塌了 快来人")
    found = await hall.only_case()
    assert found.urgent
    assert found.signed_due_at == at("2026-03-02T09:45")
    assert found.first_due_at == at("2026-03-02T11:30")


# -- papers ------------------------------------------------------------------------------------------------------


async def test_papers_stop_the_finish_and_nothing_else(hall: Hall) -> None:
    await later(hall, "2026-03-02T10:30")
    assert not await hall.cases.ask_papers(NUMBER, ["身份证复印件", "户口本首页"], by=CLERK)
    said = (await hall.said())[-1]
    assert said.startswith(f"{NUMBER}还要这些材料：1.身份证复印件；2.户口本首页。")
    found = await case(hall)
    assert (found.state, found.waiting_since) == (CaseState.WAITING, hall.clock.now())
    await later(hall, "2026-03-03T10:30")
    await hall.hears("齐了")
    found = await case(hall)
    assert (found.state, found.waiting_since) == (CaseState.OPEN, None)
    assert found.due_at == at("2026-03-10T17:30")
    assert (await hall.intents())[-1] == "answer"
    assert (await hall.said())[-1].startswith(f"收到，编号{NUMBER}，交民政社保办，3月10日前答复您。")


async def test_saying_which_papers_are_missing_signs_and_answers(hall: Hall) -> None:
    await later(hall, "2026-03-02T10:30")
    await hall.cases.ask_papers(NUMBER, ["身份证复印件"], by=CLERK)
    found = await case(hall)
    assert (found.officer, found.signed_at, found.first_answer_at) == ("li", hall.clock.now(), hall.clock.now())
    await later(hall, "2026-03-04T10:30")
    assert not any("超期" in zh for zh, _ in (await hall.cases.show(NUMBER)).why)


async def test_a_question_while_papers_are_awaited_wakes_the_hall_and_not_the_clock(hall: Hall) -> None:
    await hall.cases.ask_papers(NUMBER, ["身份证复印件"], by=CLERK)
    since = (await case(hall)).waiting_since
    await later(hall, "2026-03-03T10:30")
    await hall.hears("复印件要几份")
    found = await case(hall)
    assert (found.state, found.waiting_since) == (CaseState.OPEN, since)


async def test_the_hall_may_note_that_papers_came(hall: Hall) -> None:
    with pytest.raises(Conflict):
        await hall.cases.papers_came(NUMBER, by=CLERK)
    await hall.cases.ask_papers(NUMBER, ["身份证复印件"], by=CLERK)
    await hall.cases.papers_came(NUMBER, by=CLERK)
    assert (await case(hall)).waiting_since is None


async def test_without_names_the_papers_are_those_of_the_item(hall: Hall) -> None:
    item = hall.config.hall.item((await case(hall)).item)
    assert item is not None
    await hall.cases.ask_papers(NUMBER, by=CLERK)
    (event,) = [one for one in (await hall.cases.show(NUMBER)).events if one.kind == "asked_papers"]
    assert event.data["papers"] == list(dict.fromkeys(material.name for material in item.materials))
    await hall.cases.mark(NUMBER, item="fd-01", by=CLERK)


async def test_a_paper_that_was_not_told_at_first_is_a_breach_and_still_asked_for(hall: Hall) -> None:
    await hall.cases.ask_papers(NUMBER, ["身份证复印件", "户口本首页"], by=CLERK)
    await hall.cases.papers_came(NUMBER, by=CLERK)
    assert not await hall.cases.ask_papers(NUMBER, ["户口本首页"], by=CLERK)
    assert "breach" not in await kinds(hall)
    assert await hall.cases.ask_papers(NUMBER, ["户口本首页", "死亡证明"], by=CLERK)
    (event,) = [one for one in (await hall.cases.show(NUMBER)).events if one.kind == "breach"]
    assert event.data == {"papers": ["死亡证明"], "window": "minzheng"}
    assert "死亡证明" in (await hall.said())[-1]


async def test_a_pause_ends_by_itself_when_its_cap_is_reached(hall: Hall) -> None:
    await hall.cases.ask_papers(NUMBER, ["身份证复印件"], by=CLERK)
    await later(hall, "2026-03-23T09:00")
    assert await hall.cases.end_pauses() == 0
    await later(hall, "2026-03-23T09:40")
    assert await hall.cases.end_pauses() == 1
    found = await case(hall)
    assert (found.state, found.waiting_since) == (CaseState.OPEN, None)
    assert found.due_at == at("2026-03-30T17:30")


# -- extensions --------------------------------------------------------------------------------------------------


async def test_an_extension_is_asked_for_approved_by_another_and_told(hall: Hall) -> None:
    await hall.cases.ask_extension(NUMBER, 5, "要县上核对档案", by=CLERK)
    with pytest.raises(Conflict):
        await hall.cases.ask_extension(NUMBER, 5, "再来", by=CLERK)
    with pytest.raises(Refused):
        await hall.cases.decide_extension(NUMBER, True, by=CLERK)
    await hall.cases.decide_extension(NUMBER, True, by=DIRECTOR)
    assert (await case(hall)).due_at == at("2026-03-16T17:30")
    assert (await hall.said())[-1] == (
        f"{NUMBER}一时办不完，经批准延长5个工作日，3月16日前答复您。原因：要县上核对档案。"
    )
    with pytest.raises(Conflict):
        await hall.cases.decide_extension(NUMBER, True, by=DIRECTOR)
    with pytest.raises(Refused, match="once already"):
        await hall.cases.ask_extension(NUMBER, 1, "还要", by=CLERK)


async def test_a_petition_may_be_extended_for_longer(hall: Hall) -> None:
    await hall.store.write(lambda db: db.execute(update(case_table).values(kind="petition")))
    with pytest.raises(Refused, match="1 to 30"):
        await hall.cases.ask_extension(NUMBER, 31, "案情复杂", by=CLERK)
    await hall.cases.ask_extension(NUMBER, 30, "案情复杂", by=CLERK)


async def test_nobody_approves_their_own_extension_and_a_refusal_moves_nothing(hall: Hall) -> None:
    before, said = (await case(hall)).due_at, len(await hall.said())
    await hall.cases.ask_extension(NUMBER, 5, "忙", by=DIRECTOR)
    with pytest.raises(Refused, match="who asks does not approve"):
        await hall.cases.decide_extension(NUMBER, True, by=DIRECTOR)
    other = Official("nan", "南志强", frozenset({Role.DIRECTOR}), AREA)
    await hall.cases.decide_extension(NUMBER, False, by=other, reason="不能拖")
    assert ((await case(hall)).due_at, len(await hall.said())) == (before, said)
    await hall.cases.ask_extension(NUMBER, 2, "真的忙", by=CLERK)


@pytest.mark.parametrize(("days", "reason"), [(0, "忙"), (11, "忙"), (5, " ")])
async def test_an_extension_that_makes_no_sense(hall: Hall, days: int, reason: str) -> None:
    with pytest.raises(Refused):
        await hall.cases.ask_extension(NUMBER, days, reason, by=CLERK)


# -- the end -----------------------------------------------------------------------------------------------------


async def test_solved_and_rated(hall: Hall) -> None:
    await hall.cases.close(NUMBER, "已经人工办好", by=CLERK)
    assert (await hall.said())[-1] == f"{NUMBER}答复：已经人工办好。办成回1，没办成回2。"
    await hall.hears("1")
    assert (await hall.said())[-1].startswith(f"{NUMBER}办完了，满意吗？")
    await hall.hears("５分")
    found = await case(hall)
    assert (found.state, found.solved, found.rating) == (CaseState.CLOSED, True, 5)
    assert await kinds(hall) == ["text", "acknowledged", "replied", "closed", "solved", "rated"]
    await hall.hears("3")
    assert (await case(hall)).rating == 5


@pytest.mark.parametrize(
    ("word", "value"),
    [("非常满意", 5), ("满意", 4), ("基本满意", 3), ("不满意", 2), ("非常不满意", 1), ("4分谢谢", 4), ("五", 5)],
)
async def test_a_rating_by_word(hall: Hall, word: str, value: int) -> None:
    await hall.cases.close(NUMBER, by=CLERK)
    await hall.hears("办成了", word)
    assert (await case(hall)).rating == value


async def test_not_solved_opens_again_with_another_handler_and_fresh_clocks(hall: Hall) -> None:
    mine = officer_of(hall, "minzheng")
    await hall.cases.close(NUMBER, "办好了", by=mine)
    await later(hall, "2026-03-04T09:00")
    await hall.hears("没办成")
    found = await case(hall)
    assert (found.state, found.solved, found.rounds, found.closed_at) == (CaseState.OPEN, False, 2, None)
    assert found.officer != mine.login
    assert found.due_at == at("2026-03-11T17:30")
    assert (found.signed_at, found.first_answer_at) == (None, None)
    assert "重新办，换人接手，3月11日前答复您" in (await hall.said())[-1]


async def test_where_nobody_else_is_at_the_window_the_front_desk_takes_it(hall: Hall) -> None:
    await hall.cases.close(NUMBER, "办好了", by=CLERK)
    others = [one for one in hall.config.duty.at_window("minzheng") if one.login != "li"]
    await hall.hears("2")
    found = await case(hall)
    assert (found.window, found.officer) == ("minzheng", others[0].login)


async def test_a_bad_rating_opens_again(hall: Hall) -> None:
    await hall.cases.close(NUMBER, by=CLERK)
    await hall.hears("1", "2")
    found = await case(hall)
    assert (found.state, found.rating, found.rounds) == (CaseState.OPEN, 2, 2)
    await hall.cases.close(NUMBER, "这回办好了", by=CLERK)
    await hall.hears("1", "5")
    assert (await case(hall)).rating == 5


async def test_the_question_that_a_bad_rating_answers_is_answered(hall: Hall) -> None:
    await hall.cases.close(NUMBER, "办好了", by=CLERK)
    await hall.hears("1", "1")
    ends = await hall.store.read(lambda db: list(db.execute(select(prompt.c.kind, prompt.c.end)).all()))
    assert ends == [("solved", "answered"), ("rating", "answered")]


async def test_more_about_a_finished_case_opens_it_again_with_who_had_it(hall: Hall) -> None:
    await hall.cases.close(NUMBER, "办好了", by=CLERK)
    await later(hall, "2026-03-05T09:00")
    await hall.hears("钱还是没到")
    assert f"（{NUMBER}）3月2日办完了。刚才说的还是这件事回1，是新的事回2。" in (await hall.said())[-1]
    assert (await case(hall)).state == CaseState.CLOSED
    await hall.hears("1")
    found = await case(hall)
    assert (found.state, found.officer, found.rounds) == (CaseState.OPEN, "li", 2)
    assert found.due_at == at("2026-03-12T17:30")


async def test_thanks_open_nothing_again(hall: Hall) -> None:
    await hall.cases.close(NUMBER, "办好了", by=CLERK)
    await hall.hears("谢谢你们")
    assert (await case(hall)).state == CaseState.CLOSED


async def test_after_a_week_it_is_a_new_matter(hall: Hall) -> None:
    await hall.cases.close(NUMBER, "办好了", by=CLERK)
    await later(hall, "2026-03-09T09:31")
    await hall.hears("养老认证又过期了咋办")
    assert len(await hall.all_cases()) == 2


async def test_answered_by_phone_sums_up_and_closes(hall: Hall) -> None:
    await hall.cases.called(NUMBER, "下周一带身份证来，当场办", by=CLERK)
    assert (await hall.said())[-1] == f"{NUMBER}刚才电话里说的：下周一带身份证来，当场办。办成回1，没办成回2。"
    found = await case(hall)
    assert (found.state, found.closed_how, found.first_answer_at) == (CaseState.CLOSED, "phone", hall.clock.now())


async def test_answered_by_phone_and_not_finished(hall: Hall) -> None:
    await hall.cases.called(NUMBER, "先等等", by=CLERK, close=False)
    assert (await case(hall)).state == CaseState.ANSWERED
    assert (await hall.said())[-1].endswith("有疑问直接回短信。")
    with pytest.raises(Refused):
        await hall.cases.called(NUMBER, " ", by=CLERK)


async def test_how_it_was_finished_is_one_of_four(hall: Hall) -> None:
    with pytest.raises(Refused, match="how is one of"):
        await hall.cases.close(NUMBER, by=CLERK, how="magic")
    await hall.cases.close(NUMBER, by=CLERK, how="spot")
    assert (await case(hall)).closed_how == "spot"


async def test_a_reminder_where_the_site_turns_it_on(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, ManualClock(at("2026-03-02T09:30")))
    await hall.hears(ASKS)
    await hall.cases.close(NUMBER, "办好了", by=CLERK)
    await later(hall, "2026-03-05T09:31")
    assert await hall.cases.remind_due() == 0
    terms = hall.config.cases.model_copy(update={"rating_reminder": True})
    hall.cases._config = hall.config.model_copy(update={"cases": terms})
    await later(hall, "2026-03-05T22:00")
    assert await hall.cases.remind_due() == 0  # nobody is asked at night
    await later(hall, "2026-03-06T08:00")
    assert await hall.cases.remind_due() == 1
    assert await hall.cases.remind_due() == 0
    assert (await hall.said())[-1].endswith("还想问一声：办成回1，没办成回2。")
    await later(hall, "2026-03-11T09:31")
    await hall.hears("1")
    assert (await case(hall)).solved is True


# -- splitting, merging, parts -----------------------------------------------------------------------------------


async def texts_of(hall: Hall, number: str) -> list[str]:
    return [event.body for event in (await hall.cases.show(number)).events if event.kind == "text"]


async def test_split_makes_a_case_of_some_texts_with_the_clock_from_the_first_of_them(hall: Hall) -> None:
    await later(hall, "2026-03-03T10:00")
    await hall.hears("还有我家的粮补没到账")
    events = (await hall.cases.show(NUMBER)).events
    second = [event.id for event in events if event.kind == "text"][1]
    await later(hall, "2026-03-04T10:00")
    new = await hall.cases.split(NUMBER, [second], "caizheng", by=CLERK)
    assert (await case(hall, new)).window == "caizheng"
    assert await texts_of(hall, new) == ["还有我家的粮补没到账"]
    assert (await case(hall, new)).due_at == at("2026-03-10T17:30")
    assert (await hall.said())[-1].startswith(f"收到，编号{new}，交财政惠农办")
    assert (await kinds(hall))[-1] == "split_off"
    with pytest.raises(NotFound):
        await hall.cases.split(NUMBER, [10**6], "caizheng", by=CLERK)


async def test_one_text_with_two_matters_is_split_too(hall: Hall) -> None:
    (text,) = [event.id for event in (await hall.cases.show(NUMBER)).events if event.kind == "text"]
    new = await hall.cases.split(NUMBER, [text], "caizheng", by=CLERK)
    assert await texts_of(hall, new) == await texts_of(hall, NUMBER) == [ASKS]


async def test_merge_keeps_the_older_clock_and_every_text(hall: Hall) -> None:
    await hall.cases.close(NUMBER, by=CLERK)
    await later(hall, "2026-03-03T10:00")
    await hall.hears("粮补面积给我家登错了", "2", f"{NUMBER} 还是不行")
    other = (await hall.all_cases())[1].number
    await hall.cases.merge(NUMBER, other, by=CLERK)
    gone = await case(hall)
    assert (gone.state, gone.closed_how) == (CaseState.CLOSED, "merged")
    assert set(await texts_of(hall, other)) >= {ASKS, "粮补面积给我家登错了", f"{NUMBER} 还是不行"}
    await hall.hears(f"{NUMBER} 有信没")
    assert (await texts_of(hall, other))[-1] == f"{NUMBER} 有信没"
    with pytest.raises(Refused):
        await hall.cases.merge(other, other, by=CLERK)


async def test_parts_are_worked_on_side_by_side_and_the_whole_waits_for_them(hall: Hall) -> None:
    first, second = await hall.cases.open_subs(NUMBER, ["caizheng", "zhengwu"], by=CLERK)
    assert (await hall.cases.show(NUMBER)).subs == [first, second]
    assert (await hall.cases.show(first)).parent == NUMBER
    with pytest.raises(Conflict, match="parts are still open"):
        await hall.cases.close(NUMBER, "办好了", by=CLERK)
    said = len(await hall.said())
    await hall.cases.close(first, "钱已补发", by=CLERK)
    await hall.cases.close(second, "证明已开", by=CLERK)
    assert len(await hall.said()) == said  # the person hears from whoever handles the whole
    steps = [event.body for event in (await hall.cases.show(NUMBER)).events if event.kind == "step"]
    assert steps == ["财政惠农办完了：钱已补发", "综合政务办完了：证明已开"]
    await hall.hears("有信没")
    assert (await texts_of(hall, NUMBER))[-1] == "有信没"
    await hall.cases.close(NUMBER, "都办好了", by=CLERK)
    with pytest.raises(Conflict):
        await hall.cases.open_subs(NUMBER, ["caizheng"], by=CLERK)


async def test_a_step_of_an_errand_is_told(hall: Hall) -> None:
    await hall.cases.step(NUMBER, "材料已送县医保局。", by=CLERK)
    assert (await hall.said())[-1] == f"{NUMBER}办到这一步：材料已送县医保局。"


# -- many at once ------------------------------------------------------------------------------------------------


async def test_a_step_answers_and_signs_but_what_a_part_reports_does_not(hall: Hall) -> None:
    (part,) = await hall.cases.open_subs(NUMBER, ["caizheng"], by=CLERK)
    await hall.cases.close(part, "钱照发", by=CLERK)
    assert (await case(hall)).first_answer_at is None
    await hall.cases.step(NUMBER, "材料已送县上", by=CLERK)
    found = await case(hall)
    assert (found.officer, found.signed_at, found.first_answer_at) == ("li", hall.clock.now(), hall.clock.now())


async def test_one_answer_for_many_who_ask_the_same(hall: Hall) -> None:
    await hall.hears("养老认证刷脸刷不上咋办", phone=SON)
    await hall.hears("路灯坏了", phone="+8613300130003")
    alike = await hall.cases.alike(NUMBER)
    assert [one.phone for one in alike] == [SON]
    await hall.cases.answer_all([NUMBER, alike[0].number], "带老人来5号台，人工认证", by=CLERK)
    for phone in (MOTHER, SON):
        assert "人工认证" in (await hall.said(phone))[-1]


async def test_one_answer_may_finish_them_all(hall: Hall) -> None:
    await hall.hears("养老认证刷脸刷不上咋办", phone=SON)
    numbers = [row.number for row in await hall.all_cases()]
    await hall.cases.answer_all(numbers, "带老人来5号台", by=CLERK, close=True)
    assert [row.state for row in await hall.all_cases()] == ["closed", "closed"]
    assert (await hall.said(SON))[-1].endswith("带老人来5号台。办成回1，没办成回2。")


async def test_all_are_answered_or_none(hall: Hall) -> None:
    with pytest.raises(Refused, match="none was answered"):
        await hall.cases.answer_all([NUMBER, "26030299998"], "好", by=CLERK)
    assert (await case(hall)).state == CaseState.OPEN


def test_an_answer_is_kept_under_a_name_and_never_written_over(tmp_path: Any) -> None:
    keep(tmp_path, "养老认证", " 带老人来5号台 ")
    assert kept(tmp_path, "养老认证") == "带老人来5号台"
    assert list(everything(tmp_path)) == ["养老认证"]
    with pytest.raises(Conflict):
        keep(tmp_path, "养老认证", "另一个")
    with pytest.raises(NotFound, match="养老认证"):
        kept(tmp_path, "没有的")
    with pytest.raises(Refused):
        keep(tmp_path, "../x", "好")


# -- who sees what -----------------------------------------------------------------------------------------------


async def complaint(hall: Hall) -> str:
    await hall.hears("民政窗口那个女的态度差得很 跑了三趟都不给办低保", phone=SON)
    return str((await hall.all_cases())[-1].number)


async def test_a_complaint_is_never_shown_to_the_window_complained_about(hall: Hall) -> None:
    number = await complaint(hall)
    accused, handler = officer_of(hall, "minzheng"), officer_of(hall, "xinfang")
    found = await hall.cases.show(number, by=handler)
    assert (found.case.about, found.case.restricted, found.case.phone) == ("minzheng", True, SON)
    with pytest.raises(NotFound):
        await hall.cases.show(number, by=accused)
    assert number not in [one.number for one in await hall.cases.list(by=accused)]
    assert number in [one.number for one in await hall.cases.list(by=handler)]
    for act in (hall.cases.sign(number, by=accused), hall.cases.close(number, "好", by=accused)):
        with pytest.raises(NotFound):
            await act
    with pytest.raises(Refused, match="about this window"):
        await hall.cases.handover(number, "minzheng", "你们看看", by=handler)
    with pytest.raises(Refused, match="about this window"):
        await hall.cases.open_subs(number, ["minzheng"], by=handler)


async def test_a_complaint_beside_an_open_case_is_a_case_of_its_own(hall: Hall) -> None:
    await hall.hears("民政窗口的人态度太差了 骂我妈")
    first, second = await hall.all_cases()
    assert (first.window, first.restricted) == ("minzheng", False)
    assert (second.window, second.kind, second.about, second.restricted) == ("xinfang", "complaint", "minzheng", True)
    theirs = (await hall.cases.show(NUMBER, by=officer_of(hall, "minzheng"))).events
    assert not any("态度" in event.body for event in theirs)
    await hall.hears(f"{second.number} 今天又骂了")
    assert len(await hall.all_cases()) == 2


async def test_a_case_that_turns_out_to_be_about_its_window_leaves_it_at_once(hall: Hall) -> None:
    accused = officer_of(hall, "minzheng")
    await hall.cases.mark(NUMBER, about="minzheng", by=accused)
    found = await case(hall)
    assert (found.window, found.restricted, found.officer) == ("xinfang", True, None)
    with pytest.raises(NotFound):
        await hall.cases.show(NUMBER, by=accused)
    with pytest.raises(Refused, match="about this window"):
        await hall.cases.hand_back(NUMBER, "退回", by=officer_of(hall, "xinfang"))


async def test_no_part_of_a_complaint_is_split_off_to_whom_it_is_about(hall: Hall) -> None:
    await hall.hears("还有低保的事")
    second = (await hall.cases.show(NUMBER)).events[-1]
    await hall.cases.mark(NUMBER, about="caizheng", by=CLERK)
    with pytest.raises(Refused, match="about this window"):
        await hall.cases.split(NUMBER, [second.id], "caizheng", by=DIRECTOR)


async def test_a_complaint_about_the_petitions_desk_is_not_its_own(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, ManualClock(at("2026-03-02T09:30")))
    await hall.hears("信访那个接待的人骂我 推三阻四")
    found = await hall.only_case()
    assert (found.window, found.about, found.restricted) == ("front-desk", "xinfang", True)


async def test_a_number_is_never_cut_in_a_title(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, ManualClock(at("2026-03-02T09:30")))
    await hall.hears("问一下我爸的残疾证到底多会儿能办下来我人在外地回不去我爸身份证612725197001011234")
    assert (await hall.only_case()).title == "问一下我爸的残疾证到底多会儿能办下来我人在外地回不去我爸身份证"


async def test_how_much_time_is_left(hall: Hall) -> None:
    told = {
        "2026-03-02T10:00": "剩5天",
        "2026-03-09T10:00": "今天",
        "2026-03-09T18:00": "已超期",
        "2026-03-11T09:00": "超2天",
    }
    for moment, left in told.items():
        await later(hall, moment)
        assert hall.cases.left(await case(hall))[0] == left
    await hall.cases.ask_papers(NUMBER, ["照片"], by=CLERK)
    assert hall.cases.left(await case(hall))[0] == "停着"
    await hall.cases.close(NUMBER, "办好了", by=CLERK)
    assert hall.cases.left(await case(hall)) == ("", "")


async def test_its_number_is_masked_for_other_windows_and_unknown_officers_see_nothing(hall: Hall) -> None:
    number = await complaint(hall)
    shown = await hall.cases.show(number, by=officer_of(hall, "caizheng"))
    assert shown.case.phone == "182****0002"
    assert (await hall.cases.show(number, by=DIRECTOR)).case.phone == SON
    with pytest.raises(NotFound):
        await hall.cases.show(number, by=CLERK)


# -- records -----------------------------------------------------------------------------------------------------


async def test_corrections_are_events_with_before_and_after(hall: Hall) -> None:
    await hall.cases.mark(NUMBER, external="12345-2026-001", name="高秀英", behalf="母亲", by=CLERK)
    event = (await hall.cases.show(NUMBER)).events[-1]
    assert event.data["after"]["external"] == "12345-2026-001"
    assert (await case(hall)).behalf == "母亲"
    for wrong in ({"kind": "gossip"}, {"item": "xx-99"}, {"about": "nowhere"}, {}):
        with pytest.raises((Refused, NotFound)):
            await hall.cases.mark(NUMBER, by=CLERK, **wrong)


async def test_a_changed_number_takes_the_open_cases_along(hall: Hall) -> None:
    await hall.cases.mark(NUMBER, phone="189 0013 0009", by=CLERK)
    await hall.cases.reply(NUMBER, "以后发这个号", by=CLERK)
    assert "以后发这个号" in (await hall.said("+8618900130009"))[-1]
    event = next(one for one in (await hall.cases.show(NUMBER)).events if one.kind == "marked")
    assert "18900130009" not in str(event.data)


async def test_what_was_asked_moves_with_the_number(hall: Hall) -> None:
    await hall.cases.ask_papers(NUMBER, ["照片"], by=CLERK)
    await hall.cases.mark(NUMBER, phone=SON, by=CLERK)
    await hall.hears("齐了", phone=SON)
    assert (await case(hall)).state == CaseState.OPEN
    assert (await hall.intents())[-1] == "answer"


async def test_somebody_elses_case_on_a_shared_number_stays_there(hall: Hall) -> None:
    people = [{"name": name, "key": name, "phone": MOTHER, "area": AREA} for name in ("高秀英", "高小明")]
    await hall.store.write(lambda db: db.execute(insert(person).values([PLAIN | one for one in people])))
    (text,) = [event.id for event in (await hall.cases.show(NUMBER)).events if event.kind == "text"]
    other = await hall.cases.split(NUMBER, [text], "caizheng", by=CLERK)
    await hall.cases.mark(other, phone=SON, by=CLERK)
    assert {row.number: row.phone for row in await hall.all_cases()} == {NUMBER: MOTHER, other: SON}


async def test_a_case_that_becomes_a_complaint_is_restricted(hall: Hall) -> None:
    await hall.cases.mark(NUMBER, about="minzheng", by=CLERK)
    assert (await case(hall)).restricted


async def test_export_has_the_columns_of_a_hotline_platform(hall: Hall) -> None:
    await hall.cases.mark(NUMBER, external="12345-2026-001", by=CLERK)
    await hall.cases.close(NUMBER, "办好了", by=CLERK)
    await hall.hears("1", "5")
    await complaint(hall)
    span = at("2026-03-01T00:00"), at("2026-04-01T00:00")
    rows = [dict(zip(EXPORT, row, strict=True)) for row in await hall.cases.export(*span, by=DIRECTOR)]
    assert len(rows) == 2
    first = rows[0]
    assert (first["工单编号"], first["联系电话"], first["办理状态"]) == ("12345-2026-001", "13800130001", "已办结")
    assert (first["是否解决"], first["满意度"], first["办理结果"]) == ("是", "非常满意", "办好了")
    assert first["受理时间"] == "2026-03-02 09:30"
    accused = officer_of(hall, "minzheng")
    assert len(await hall.cases.export(*span, by=accused)) == 1
    assert len(await hall.cases.export(*span, by=DIRECTOR, external_only=True)) == 1


async def test_only_what_somebody_opted_in_is_published_without_names_and_numbers(hall: Hall) -> None:
    await hall.hears("枣湾村高秀英的低保停了 电话13800130007 身份证610899196001010011", phone=SON)
    other = (await hall.all_cases())[-1].number
    await hall.cases.mark(other, name="高秀英", by=CLERK)
    await hall.cases.close(NUMBER, "办好了", by=CLERK)
    await hall.cases.close(other, "高秀英的低保已恢复", by=CLERK, publish=True)
    (one,) = await hall.cases.published(at("2026-03-01T00:00"), at("2026-04-01T00:00"))
    said = one.question + one.answer
    assert one.month == "2026-03"
    for secret in ("高秀英", "枣湾村", "13800130007", "610899196001010011"):
        assert secret not in said
    assert "低保已恢复" in one.answer


async def test_what_officials_corrected_is_an_example_to_learn_from(hall: Hall) -> None:
    await hall.hears("那个东西给我家登错了 我电话13800130007", phone=SON)
    other = (await hall.all_cases())[-1].number
    await hall.cases.handover(other, "caizheng", "问的是粮补", by=CLERK)
    await hall.cases.mark(other, kind="consult", by=CLERK)
    for number in (NUMBER, other):
        await hall.cases.close(number, "好了", by=CLERK)
    await complaint(hall)
    span = at("2026-03-01T00:00"), at("2026-04-01T00:00")
    (one,) = await hall.cases.corrected(*span, by=DIRECTOR)
    assert one == ("那个东西给我家登错了 我电话", "caizheng", "consult", "")
    with pytest.raises(Refused):
        await hall.cases.corrected(*span, by=CLERK)


async def test_prompts_about_a_case_end_with_it(hall: Hall) -> None:
    await hall.cases.ask_papers(NUMBER, ["身份证复印件"], by=CLERK)
    await hall.cases.close(NUMBER, "不用了", by=CLERK)
    rows = await hall.store.read(lambda db: db.execute(select(prompt.c.kind, prompt.c.end)).all())
    assert [tuple(row) for row in rows] == [("papers", "withdrawn"), ("solved", None)]


async def test_the_row_says_what_a_replay_of_the_events_says(hall: Hall) -> None:
    await hall.cases.ask_papers(NUMBER, ["身份证复印件"], by=CLERK)
    await later(hall, "2026-03-04T10:00")
    await hall.cases.papers_came(NUMBER, by=CLERK)
    await hall.cases.handover(NUMBER, "caizheng", "换", by=CLERK)
    row = await hall.only_case()
    events = await hall.store.read(case_rows.events, row.id)
    found = hall.cases.book.clocks(events)
    assert (row.signed_due_at, row.first_due_at, row.due_at) == (
        found.signed.due_at,
        found.first.due_at,
        found.finish.due_at,
    )
    assert row.due_at > at("2026-03-09T17:30") and timedelta(0) < found.paused
