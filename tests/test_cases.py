"""gateway.cases: numbers, due times, and what a clerk does."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from gateway.cases import is_number, issue_number
from gateway.cases.numbers import _check_digit
from gateway.errors import Conflict, NotFound, Refused
from gateway.model import CaseState, Role
from gateway.officials import Official
from gateway.store import Store, audit
from gateway.store import cases as case_rows
from gateway.store.tables import audit as audit_rows
from gateway.store.tables import message, parcel
from gateway.worktime import ManualClock
from tests.desk import CLERK, MOTHER, SON, Hall

NUMBER = "26030200017"
days = st.dates(date(2020, 1, 1), date(2099, 12, 31))


async def with_a_case(store: Store, clock: ManualClock) -> Hall:
    """NUMBER, of the mother's."""
    hall = Hall(store, clock)
    await hall.hears("我妈76了 养老认证刷不上脸")
    return hall


@pytest.fixture
async def hall(store: Store, clock: ManualClock) -> Hall:
    return await with_a_case(store, clock)


@pytest.fixture
async def light(sqlite_store: Store, clock: ManualClock) -> Hall:
    """Where the database makes no difference."""
    return await with_a_case(sqlite_store, clock)


# -- numbers ---------------------------------------------------------------------------------------------------


def test_the_check_digit_is_iso_7064s() -> None:
    assert [_check_digit(digits) for digits in ("79462", "00200667308")] == ["3", "5"]


def test_the_numbers_of_a_day() -> None:
    day = date(2026, 7, 1)
    assert [issue_number(day, n) for n in (1, 2, 9999, 10000)] == [
        "26070100014",
        "26070100022",
        "26070199998",
        "260701100002",
    ]


@given(days, st.integers(1, 99_999))
def test_every_number_issued_is_one(day: date, count: int) -> None:
    assert is_number(issue_number(day, count))


@given(days, st.integers(1, 9999), st.integers(0, 10), st.integers(1, 9))
def test_one_wrong_digit_makes_no_number(day: date, count: int, at: int, by: int) -> None:
    number = issue_number(day, count)
    wrong = number[:at] + str((int(number[at]) + by) % 10) + number[at + 1 :]
    assert not is_number(wrong)


@pytest.mark.parametrize(
    "text", ["", "2607010001", "26130100014", "2607010001x", "13800130001", "２６０７０１０００１４"]
)
def test_what_is_no_number(text: str) -> None:
    assert not is_number(text)


async def test_many_at_once_get_each_their_own(store: Store) -> None:
    day = date(2026, 7, 1)
    counts = await asyncio.gather(*(store.write(case_rows.next_count, day) for _ in range(20)))
    assert sorted(counts) == list(range(1, 21))
    assert await store.write(case_rows.next_count, date(2026, 7, 2)) == 1


# -- verbs -----------------------------------------------------------------------------------------------------


async def audited(hall: Hall) -> list[tuple[str, str, str]]:
    query = select(audit_rows.c.who, audit_rows.c.verb, audit_rows.c.object).order_by(
        audit_rows.c.day, audit_rows.c.seq
    )
    rows = await hall.store.read(lambda db: db.execute(query).all())
    assert await hall.store.read(audit.verify) == (len(rows), [])
    return [tuple(row) for row in rows]


async def test_a_reply_goes_out_by_the_outbox_and_answers_the_case(hall: Hall) -> None:
    message_id = await hall.cases.reply(NUMBER, "已经人工办好，这个月的钱照发。", by=CLERK)
    assert (await hall.said())[-1] == f"{NUMBER}答复：已经人工办好，这个月的钱照发。（民政社保）还有疑问直接回短信。"
    shown = await hall.cases.show(NUMBER)
    assert (shown.case.state, shown.case.first_answer_at) == (CaseState.ANSWERED, hall.clock.now())
    assert [(event.kind, event.who) for event in shown.events] == [
        ("text", ""),
        ("acknowledged", "system"),
        ("replied", "li"),
    ]
    assert shown.events[-1].message_id == message_id
    assert await audited(hall) == [("li", "case.reply", f"case {NUMBER}")]


async def test_the_first_answer_stays_the_first(light: Hall) -> None:
    first = light.clock.now()
    await light.cases.reply(NUMBER, "正在办", by=CLERK)
    light.clock.advance(60)
    await light.cases.reply(NUMBER, "办好了", by=CLERK)
    assert (await light.cases.show(NUMBER)).case.first_answer_at == first


async def test_closing_with_and_without_a_last_answer(light: Hall) -> None:
    await light.hears("粮补啥时候发", phone=SON)
    await light.cases.close(NUMBER, "办好了", by=CLERK)
    await light.cases.close("26030200025", by=CLERK)
    assert "办好了" in (await light.said())[-1]
    assert (await light.said(SON))[-1] == "您的26030200025，财政惠农办完了。办成回1，没办成回2。"
    assert await light.cases.list() == []
    closed = {case.number: case.closed_at for case in await light.cases.list(state=CaseState.CLOSED)}
    assert closed == dict.fromkeys([NUMBER, "26030200025"], light.clock.now())
    with pytest.raises(Conflict):
        await light.cases.reply(NUMBER, "再说一句", by=CLERK)
    with pytest.raises(Conflict):
        await light.cases.close(NUMBER, by=CLERK)


async def test_a_handover_names_the_reason_and_moves_no_due_time(hall: Hall) -> None:
    before = (await hall.cases.show(NUMBER)).case
    hall.clock.advance(3600)
    await hall.cases.handover(NUMBER, "caizheng", "是发钱的事", by=CLERK)
    shown = await hall.cases.show(NUMBER)
    assert (shown.case.window, shown.case.due_at) == ("caizheng", before.due_at)
    assert (shown.events[-1].body, shown.events[-1].data) == ("是发钱的事", {"from": "minzheng", "to": "caizheng"})
    assert [case.number for case in await hall.cases.list(window="caizheng")] == [NUMBER]
    assert await hall.cases.list(window="minzheng") == []


@pytest.mark.parametrize(
    ("window", "reason", "error"), [("nowhere", "x", NotFound), ("minzheng", "x", Refused), ("caizheng", " ", Refused)]
)
async def test_a_handover_that_is_refused_changes_nothing(
    light: Hall, window: str, reason: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await light.cases.handover(NUMBER, window, reason, by=CLERK)
    assert (await light.cases.show(NUMBER)).case.window == "minzheng"
    assert await audited(light) == []


@pytest.mark.parametrize("text", ["", " 。", "钱\0到了", "a\ud800"])
async def test_a_reply_that_cannot_be_sent_changes_nothing(light: Hall, text: str) -> None:
    with pytest.raises(Refused):
        await light.cases.reply(NUMBER, text, by=CLERK)
    shown = await light.cases.show(NUMBER)
    assert (shown.case.state, len(shown.events), len(await light.said())) == (CaseState.OPEN, 2, 1)


async def test_a_number_that_reads_no_texts_is_told_to_the_clerk(light: Hall) -> None:
    await light.hears("粮补啥时候发", phone="10690009999")
    with pytest.raises(Refused, match="no text can reach"):
        await light.cases.reply("26030200025", "下月发", by=CLERK)
    await light.cases.close("26030200025", by=CLERK)


async def test_braces_in_a_reply_stay_literal(light: Hall) -> None:
    await light.cases.reply(NUMBER, "{编号}{{x}}【假】", by=CLERK)
    assert (await light.said())[-1].startswith(f"{NUMBER}答复：{{编号}}{{{{x}}}}[假]。")


async def test_who_may_not(hall: Hall) -> None:
    author = Official("wang", "王强", frozenset({Role.AUTHOR}), "610899100")
    elsewhere = Official("liu", "刘敏", frozenset({Role.CLERK}), "610823")
    with pytest.raises(Refused):
        await hall.cases.reply(NUMBER, "好", by=author)
    with pytest.raises(NotFound):
        await hall.cases.close(NUMBER, by=elsewhere)
    with pytest.raises(NotFound):
        await hall.cases.show(NUMBER, by=elsewhere)
    assert await hall.cases.list(area="610823") == []
    assert [case.number for case in await hall.cases.list(area="6108")] == [NUMBER]
    with pytest.raises(NotFound):
        await hall.cases.show("26030299999")


async def test_the_list_begins_with_what_is_due_first(light: Hall) -> None:
    light.clock.advance(24 * 3600)
    await light.hears("他说叫我问你们", phone=SON)
    await light.hears("粮补啥时候发", phone="+8613300130003")
    listed = await light.cases.list()
    assert [case.due_at for case in listed] == sorted(case.due_at for case in listed if case.due_at)
    assert [case.phone for case in listed] == [SON, "+8613300130003", MOTHER]
    assert len(await light.cases.list(limit=2)) == 2


async def test_a_text_and_a_clerk_at_once_take_turns(hall: Hall) -> None:
    async def writes() -> None:
        await hall.hears(*[f"第{n}条" for n in range(5)])

    async def answers() -> None:
        for n in range(5):
            await hall.cases.reply(NUMBER, f"答{n}", by=CLERK)

    await asyncio.gather(writes(), answers())
    kinds = [event.kind for event in (await hall.cases.show(NUMBER)).events]
    assert (kinds.count("text"), kinds.count("replied")) == (6, 5)
    assert len(await audited(hall)) == 5


async def test_answers_are_withheld_by_no_opt_out_and_keep_no_hours(light: Hall) -> None:
    await light.cases.reply(NUMBER, "好了", by=CLERK)
    rows = await light.store.read(lambda db: db.execute(select(parcel.c.category, parcel.c.hours)).all())
    assert {tuple(row) for row in rows} == {(None, None)}
    assert len(await light.store.read(lambda db: db.execute(select(message.c.id)).all())) == 2
