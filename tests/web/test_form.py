"""gateway.web.form: what people fill in on the page, over a real listener."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from aiohttp import ClientSession, FormData, web
from sqlalchemy.exc import OperationalError

from gateway.carriers import Received
from gateway.errors import Conflict
from gateway.store import Store
from gateway.web.form import PER_NUMBER, TOGETHER, Limits, form
from gateway.web.hooks import LARGEST_BODY, listening
from gateway.worktime import ManualClock
from tests.desk import MOTHER, Hall

JSON = {"Accept": "application/json"}
FILLED = {"phone": "138 0013 0001", "text": "粮补啥时候发", "name": "高秀英", "village": "枣湾村", "id": "k1"}


class Page:
    """Somebody at the page."""

    def __init__(self, session: ClientSession, port: int) -> None:
        self._session, self._at = session, f"http://127.0.0.1:{port}"

    async def looks(self) -> tuple[int, str]:
        async with self._session.get(f"{self._at}/form") as answer:
            assert "script" not in answer.headers["Content-Security-Policy"]
            return answer.status, await answer.text()

    async def sends(self, **changed: str) -> tuple[int, str]:
        async with self._session.post(f"{self._at}/form/inbound", data=FILLED | changed) as answer:
            return answer.status, await answer.text()

    async def asks(self, data: object = None, **changed: str) -> tuple[int, dict[str, object]]:
        given = FILLED | changed if data is None else data
        async with self._session.post(f"{self._at}/form/inbound", data=given, headers=JSON) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def hall(sqlite_store: Store, clock: ManualClock) -> Hall:
    return Hall(sqlite_store, clock)


@pytest.fixture
async def page(hall: Hall) -> AsyncIterator[Page]:
    async def take(item: Received) -> tuple[int, bool]:
        return await hall.inbox.take("form", item)

    async for one in opened(hall, take):
        yield one


async def opened(hall: Hall, take: object) -> AsyncIterator[Page]:
    app = web.Application(client_max_size=LARGEST_BODY)
    form(app, take, hall.config, hall.clock)  # type: ignore[arg-type]
    async with listening(app, "127.0.0.1:0") as port, ClientSession() as session:
        yield Page(session, port)


async def test_the_page_is_whole_and_names_the_hall(page: Page, hall: Hall) -> None:
    status, text = await page.looks()
    assert status == 200
    assert hall.config.hall.about.name in text
    assert hall.config.hall.about.phone in text
    assert "$" not in text
    assert "<script" not in text
    assert "http" not in text


async def test_what_is_filled_in_becomes_a_case_and_is_acknowledged_by_text(page: Page, hall: Hall) -> None:
    status, text = await page.sends()
    assert status == 200
    assert "收到了。" in text
    await hall.settle()
    case = await hall.only_case()
    assert (case.phone, case.window, case.source) == (MOTHER, "caizheng", "form")
    (said,) = [event.body for event in (await hall.cases.show(case.number)).events if event.kind == "text"]
    assert said == "粮补啥时候发\n（枣湾村 高秀英）"
    assert len(await hall.said()) == 1


async def test_a_double_click_is_one_text_and_another_text_under_its_key_a_conflict(page: Page, hall: Hall) -> None:
    assert await page.asks() == await page.asks()
    status, answer = await page.asks(text="另一件事")
    assert (status, answer["stored"]) == (409, False)
    assert len(await hall.texts()) == 1


async def test_a_form_opts_nobody_out(page: Page, hall: Hall) -> None:
    await page.sends(text="退订", name="", village="")
    await hall.settle()
    assert await hall.ledger() == []
    assert (await hall.only_case()).window == "front-desk"


@pytest.mark.parametrize(
    ("changed", "status", "field"),
    [
        ({"phone": "没有"}, 400, "phone"),
        ({"phone": "0912-0000000"}, 400, "phone"),
        ({"text": "  "}, 400, "text"),
        ({"text": "长" * 2001}, 400, "text"),
        ({"name": "名" * 31}, 400, "name"),
    ],
)
async def test_what_is_wrong_is_told_by_field_and_nothing_is_stored(
    page: Page, hall: Hall, changed: dict[str, str], status: int, field: str
) -> None:
    assert (await page.asks(**changed))[0] == status
    assert (await page.asks(**changed))[1]["field"] == field
    assert await hall.texts() == []


async def test_what_was_written_stays_in_the_page_and_is_no_markup(page: Page) -> None:
    status, text = await page.sends(phone="12", text="<script>alert(1)</script>")
    assert status == 400
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script" not in text


async def test_a_file_is_no_text_and_a_flood_of_octets_is_refused(page: Page) -> None:
    data = FormData()
    data.add_field("text", b"x", filename="a.txt")
    assert (await page.asks(data))[0] == 400
    assert (await page.asks({"text": "x" * (LARGEST_BODY + 1)}))[0] == 413


async def test_what_fills_in_every_field_is_thanked_and_not_stored(page: Page, hall: Hall) -> None:
    assert (await page.sends(website="x"))[0] == 200
    assert await hall.texts() == []


async def test_one_number_and_everybody_together_have_limits(page: Page, hall: Hall) -> None:
    answers = [(await page.asks(id=f"n{n}", text=f"第{n}条"))[0] for n in range(PER_NUMBER + 1)]
    assert answers == [200] * PER_NUMBER + [429]
    hall.clock.advance(601)
    assert (await page.asks(id="later", text="再来"))[0] == 200


def test_limits_forget_what_is_over(clock: ManualClock) -> None:
    limits, now = Limits(), clock.now()
    numbers = [f"+861380013{n:04d}" for n in range(TOGETHER + 1)]
    assert [limits.allows(number, now) for number in numbers] == [True] * TOGETHER + [False]
    assert limits.allows(numbers[-1], now + timedelta(minutes=1))


@pytest.mark.parametrize(
    ("error", "status"), [(OperationalError("x", {}, Exception()), 503), (Conflict("有了", "there is one"), 409)]
)
async def test_a_store_that_cannot_is_told(hall: Hall, error: Exception, status: int) -> None:
    async def take(item: Received) -> tuple[int, bool]:
        raise error

    async for page in opened(hall, take):
        assert (await page.asks())[0] == status
        assert (await page.sends())[0] == status
