"""gateway.inbox: texts that are read as one, long texts from their parts, floods, and what wakes a process again."""

from __future__ import annotations

from datetime import datetime
from itertools import count

import pytest

from gateway.carriers import Concat, Received
from gateway.carriers.wire import content
from gateway.store import Store
from gateway.store.parts import MISSING
from gateway.worktime import ManualClock
from tests.desk import ACCOUNT, MOTHER, SON, Hall, received, site

ZONE = site()[0].site.zone
THREE = ["在吗", "我妈76了 养老认证刷不上脸", "我在东莞回不来"]


@pytest.fixture
async def hall(store: Store) -> Hall:
    return Hall(store, ManualClock(datetime(2026, 3, 2, 9, 30, tzinfo=ZONE)), join_seconds=60)


@pytest.fixture
async def light(sqlite_store: Store) -> Hall:
    return Hall(sqlite_store, ManualClock(datetime(2026, 3, 2, 9, 30, tzinfo=ZONE)), join_seconds=60)


async def wait(hall: Hall, seconds: float) -> None:
    hall.clock.advance(seconds)
    await hall.settle()


# -- read as one -------------------------------------------------------------------------------------------------


async def test_three_texts_within_a_minute_are_one_case_with_one_answer(hall: Hall) -> None:
    for text in THREE:
        await hall.hears(text)
        hall.clock.advance(15)
    assert await hall.all_cases() == []
    await wait(hall, 15)
    case = await hall.only_case()
    assert (case.window, case.signed_due_at) == ("minzheng", datetime(2026, 3, 2, 15, 30, tzinfo=ZONE))
    assert [body for kind, body in await hall.events() if kind == "text"] == THREE
    assert len(await hall.said()) == 1
    assert len(set(await hall.intents())) == 1


async def test_the_span_begins_with_the_first_text_and_is_not_stretched(light: Hall) -> None:
    await light.hears("粮补啥时候发")
    await wait(light, 50)
    await light.hears("我家三口人")
    await wait(light, 10)
    assert len([text for text in await light.texts() if text.handled_at]) == 2


async def test_a_restart_waits_no_second_longer(hall: Hall) -> None:
    await hall.hears(THREE[0])
    hall.clock.advance(40)
    again = Hall(hall.store, hall.clock, join_seconds=60)
    await again.hears(THREE[1], phone=MOTHER)
    assert await again.all_cases() == []
    await wait(again, 20)
    assert [body for kind, body in await again.events() if kind == "text"] == THREE[:2]


async def test_opting_out_and_service_words_do_not_wait_and_leave_the_others_waiting(light: Hall) -> None:
    await light.hears("粮补啥时候发", "退订", "帮助")
    assert await light.ledger() == [(MOTHER, None, "out")]
    assert len(await light.said()) == 2
    assert await light.all_cases() == []
    await wait(light, 60)
    assert [body for kind, body in await light.events() if kind == "text"] == ["粮补啥时候发"]


async def test_danger_does_not_wait_and_takes_what_came_before_along(light: Hall) -> None:
    await light.hears("在吗", "我家窑塌了 埋住人了")
    case = await light.only_case()
    assert case.urgent
    assert [body for kind, body in await light.events() if kind == "text"] == ["在吗", "我家窑塌了 埋住人了"]
    assert [kind for kind, _ in await light.events()].count("paged") == 1
    assert "119" in (await light.said())[0]


async def test_two_people_do_not_wait_for_each_other(light: Hall) -> None:
    await light.hears("粮补啥时候发")
    await wait(light, 30)
    await light.hears("低保年审在哪搞", phone=SON)
    await wait(light, 30)
    assert [case.phone for case in await light.all_cases()] == [MOTHER]
    await wait(light, 30)
    assert len(await light.all_cases()) == 2


async def test_a_greeting_alone_opens_nothing(light: Hall) -> None:
    await light.hears("在吗")
    await wait(light, 60)
    assert (await light.all_cases(), await light.said(), await light.intents()) == ([], [], ["thanks"])


# -- a flood -----------------------------------------------------------------------------------------------------


async def test_ten_thousand_texts_from_one_phone(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, ManualClock(datetime(2026, 3, 2, 9, 30, tzinfo=ZONE)), join_seconds=60)
    texts = [f"第{n}条 快点回" for n in range(10_000)]
    await hall.inbox.receive(ACCOUNT, received(*texts, at=hall.clock.now()))
    await hall.inbox.receive(ACCOUNT, received("粮补啥时候发", phone=SON, at=hall.clock.now(), refs=["son"]))
    await hall.settle()
    await wait(hall, 60)
    rows = await hall.texts()
    assert [row.body for row in rows[:-1]] == texts
    assert all(row.handled_at for row in rows)
    mine, sons = await hall.all_cases()
    assert (mine.phone, sons.phone) == (MOTHER, SON)
    assert len(await hall.said()) == 1
    events = (await hall.cases.show(mine.number)).events
    assert [event.body for event in events if event.kind == "text"] == texts
    assert len(await hall.said(SON)) == 1


# -- long texts --------------------------------------------------------------------------------------------------

LONG = "".join(f"{n:04d}我家的地被占了没人管" for n in range(150))[:2000]
refs = count(1)


def parts(text: str, ref: int, total: int, phone: str = MOTHER) -> list[Received]:
    size = -(-len(text) // total)
    at = datetime(2026, 3, 2, 9, 30, tzinfo=ZONE)
    return [
        Received(f"p{next(refs)}", phone, "10690001", text[n * size : n * size + size], at, Concat(ref, total, n + 1))
        for n in range(total)
    ]


async def test_ten_parts_in_any_order_are_one_text(hall: Hall) -> None:
    assert len(LONG) == 2000
    pieces = parts(LONG, 7, 10)
    shuffled = [pieces[n] for n in (3, 9, 0, 7, 2, 5, 8, 1, 6, 4)]
    for start in (0, 4, 7):
        await hall.inbox.receive(ACCOUNT, shuffled[start : start + (4 if start == 0 else 3)])
    (text,) = await hall.texts()
    assert text.body == LONG
    await wait(hall, 60)
    assert [body for kind, body in await hall.events() if kind == "text"] == [LONG]


def in_parts(*texts: str) -> list[Received]:
    at = datetime(2026, 3, 2, 9, 30, tzinfo=ZONE)
    numbered = enumerate(texts, 1)
    return [Received(f"p{next(refs)}", MOTHER, "", text, at, Concat(9, len(texts), n)) for n, text in numbered]


async def test_a_character_that_the_sender_cut_in_two_is_whole_again(hall: Hall) -> None:
    octets = "我姓𠮷，问一下养老认证😀".encode("utf-16-be")
    cut = len("我姓".encode("utf-16-be")) + 2  # in the middle of 𠮷
    for part in reversed(in_parts(content.utf16(octets[:cut]), content.utf16(octets[cut:]))):
        await hall.inbox.receive(ACCOUNT, [part])
    assert [text.body for text in await hall.texts()] == ["我姓𠮷，问一下养老认证😀"]


async def test_a_half_that_finds_no_other_is_unreadable_and_the_rest_is_kept(hall: Hall) -> None:
    await hall.inbox.receive(ACCOUNT, in_parts("\ud842吃了吗", "\ud83d好"))
    assert [text.body for text in await hall.texts()] == ["\ufffd吃了吗\ufffd好"]


async def test_parts_that_come_twice_make_one_text(hall: Hall) -> None:
    pieces = parts("前半句" + "后半句", 7, 2)
    for piece in (pieces[0], pieces[0], pieces[1], pieces[1], pieces[0]):
        await hall.inbox.receive(ACCOUNT, [piece])
    await wait(hall, 400)
    assert [text.body for text in await hall.texts()] == ["前半句后半句"]


async def test_two_phones_and_two_texts_with_one_reference_do_not_mix(hall: Hall) -> None:
    mine, sons = parts("我的上半我的下半", 7, 2), parts("儿的上半儿的下半", 7, 2, SON)
    await hall.inbox.receive(ACCOUNT, [mine[0], sons[1], sons[0], mine[1]])
    await hall.inbox.receive(ACCOUNT, parts("第二回的一二三", 7, 3))
    assert sorted(text.body for text in await hall.texts()) == [
        "儿的上半儿的下半",
        "我的上半我的下半",
        "第二回的一二三",
    ]


async def test_a_part_that_never_comes_is_marked_and_the_rest_is_kept(hall: Hall) -> None:
    first, _, third = parts("一一一二二二三三三", 7, 3)
    await hall.inbox.receive(ACCOUNT, [third, first])
    await wait(hall, 299)
    assert await hall.texts() == []
    await wait(hall, 2)
    await wait(hall, 60)
    (text,) = await hall.texts()
    assert text.body == f"一一一{MISSING.format(2)}三三三"
    assert len(await hall.all_cases()) == 1


@pytest.mark.parametrize("concat", [Concat(1, 1, 1), Concat(1, 0, 0), Concat(1, 3, 4), Concat(1, 3, 0)])
async def test_a_header_that_makes_no_sense_is_a_text_of_its_own(light: Hall, concat: Concat) -> None:
    await light.inbox.receive(ACCOUNT, [Received("a", MOTHER, "", "一句话", light.clock.now(), concat)])
    assert [text.body for text in await light.texts()] == ["一句话"]
