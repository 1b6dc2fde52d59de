"""gateway.web.callbacks: what providers tell us is translated by the account's carrier, stored, then answered."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from aiohttp import ClientSession
from sqlalchemy.exc import OperationalError

from gateway.carriers import Call, Items, Received, Reply
from gateway.errors import Refused
from gateway.store import Store
from gateway.web.callbacks import LARGEST_CALL, callbacks
from gateway.web.hooks import listening
from gateway.worktime import ManualClock
from tests.desk import MOTHER, Hall

TEXT = {"from": "13800130001", "text": "粮补啥时候发", "id": "7"}


def translated(call: Call, now: datetime) -> Reply:
    """A provider that must give the token and sends one text as JSON."""
    if call.token != "right":
        return Reply((), 404)
    told = json.loads(call.body) if call.method == "POST" else call.query
    return Reply((Received(told["id"], told["from"], "10690001", told["text"], now),), 200, '{"code":0}')


@dataclass
class Provider:
    """Who calls us."""

    session: ClientSession
    address: str

    async def calls(self, path: str, body: bytes | None = None, **query: str) -> tuple[int, str, Mapping[str, str]]:
        way = self.session.get if body is None else self.session.post
        more: dict[str, Any] = {} if body is None else {"data": io.BytesIO(body)}
        async with way(f"{self.address}{path}", params=query, **more) as answer:
            return answer.status, await answer.text(), dict(answer.headers)


@asynccontextmanager
async def serving(
    receive: Callable[[str, Items], Any], clock: ManualClock, **called: Callable[[Call, datetime], Reply] | Refused
) -> AsyncIterator[Provider]:
    app = callbacks(None, {"main": translated, **called}, receive, clock)
    async with listening(app, "127.0.0.1:0") as port, ClientSession() as session:
        yield Provider(session, f"http://127.0.0.1:{port}")


@pytest.fixture
async def hall(store: Store, clock: ManualClock) -> Hall:
    return Hall(store, clock)


async def test_a_call_is_stored_then_answered_as_the_carrier_says(hall: Hall) -> None:
    async with serving(hall.inbox.receive, hall.clock) as provider:
        status, body, headers = await provider.calls("/carriers/main/right", json.dumps(TEXT).encode())
    assert (status, body, headers["Content-Type"]) == (200, '{"code":0}', "text/plain; charset=utf-8")
    (text,) = await hall.texts()
    assert (text.source, text.ref, text.phone, text.body) == ("main", "7", MOTHER, TEXT["text"])
    await hall.settle()
    assert (await hall.only_case()).window == "caizheng"


async def test_a_repeated_call_is_one_text(hall: Hall) -> None:
    async with serving(hall.inbox.receive, hall.clock) as provider:
        for _ in range(3):
            assert (await provider.calls("/carriers/main/right", json.dumps(TEXT).encode()))[0] == 200
    assert len(await hall.texts()) == 1


async def test_a_call_may_be_a_get(hall: Hall) -> None:
    async with serving(hall.inbox.receive, hall.clock) as provider:
        assert (await provider.calls("/carriers/main/right", **TEXT))[0] == 200
    assert [text.body for text in await hall.texts()] == [TEXT["text"]]


async def nothing(name: str, items: Items) -> None:
    raise AssertionError


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/carriers/main", 404),
        ("/carriers/main/wrong", 404),
        ("/carriers/other/right", 404),
        ("/carriers/main/right/more", 404),
        ("/carriers", 404),
    ],
)
async def test_unknown_names_and_tokens_are_told_nothing(clock: ManualClock, path: str, status: int) -> None:
    async with serving(nothing, clock) as provider:
        told = await provider.calls(path, json.dumps(TEXT).encode())
    assert told[0] == status
    assert "right" not in told[1] and "main" not in told[1]


@pytest.mark.parametrize("error", [OSError("gone"), TimeoutError(), OperationalError("x", {}, Exception("locked"))])
async def test_while_the_database_is_away_nothing_is_acknowledged(clock: ManualClock, error: Exception) -> None:
    async def away(name: str, items: Items) -> None:
        raise error

    async with serving(away, clock) as provider:
        status, body, headers = await provider.calls("/carriers/main/right", json.dumps(TEXT).encode())
    assert (status, body, headers["Retry-After"]) == (503, "", "5")


async def test_an_account_without_its_secrets_asks_for_patience(clock: ManualClock) -> None:
    async with serving(nothing, clock, other=Refused("没有密钥", "no secret")) as provider:
        assert (await provider.calls("/carriers/other/right", b"{}"))[:2] == (503, "")


async def test_a_call_the_carrier_stumbles_over_is_an_error_without_words(
    clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(nothing, clock) as provider:
        assert (await provider.calls("/carriers/main/right", b"13800130001 not json"))[:2] == (500, "")
    said = "".join(capsys.readouterr())
    assert "callback.failed" in said and "JSONDecodeError" in said
    assert "13800130001" not in said and "right" not in said


async def test_too_large_a_call_is_refused_and_a_large_one_taken(clock: ManualClock) -> None:
    taken: list[int] = []

    def measured(call: Call, now: datetime) -> Reply:
        taken.append(len(call.body))
        return Reply(())

    async with serving(nothing, clock, sized=measured) as provider:
        assert (await provider.calls("/carriers/sized", b"x" * (LARGEST_CALL + 1)))[0] == 413
        assert (await provider.calls("/carriers/sized", b"x" * LARGEST_CALL))[0] == 200
    assert taken == [LARGEST_CALL]
