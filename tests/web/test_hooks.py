"""gateway.web.hooks: deliveries to a real listener, signed as Standard Webhooks says."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import ClientSession, web
from sqlalchemy.exc import OperationalError
from standardwebhooks.webhooks import Webhook as Signer

from gateway.carriers import Received
from gateway.config import Webhook
from gateway.errors import Refused
from gateway.store import Store
from gateway.web.hooks import LARGEST_BODY, hooks, listening
from gateway.worktime import ManualClock
from tests.desk import MOTHER, Hall

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
ENVIRON = {"GATEWAY_WEBHOOK_SECRET": SECRET}
TEXT = {"from": "13800130001", "to": "10690001", "text": "粮补啥时候发"}


class Caller:
    """Somebody who delivers texts to us; `clock` is theirs too."""

    def __init__(self, session: ClientSession, port: int, clock: ManualClock) -> None:
        self.session, self.port, self.clock = session, port, clock
        self.signer = Signer(SECRET)

    async def delivers(self, body: Any, key: str = "msg_1", **headers: str | None) -> tuple[int, Any]:
        """The status and the answer; `headers` replace those that a proper delivery has."""
        octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = self.headers(key, octets) | {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.posts(octets, {name: value for name, value in given.items() if value is not None})

    def headers(self, key: str, octets: bytes, ago: float = 0) -> dict[str, str | None]:
        at = self.clock.now() - timedelta(seconds=ago)
        signature = self.signer.sign(key, at, octets.decode())
        return {"webhook-id": key, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}

    async def posts(self, octets: bytes, headers: Mapping[str, str]) -> tuple[int, Any]:
        address = f"http://127.0.0.1:{self.port}/hooks/inbound"
        async with self.session.post(address, data=octets, headers=headers) as answer:
            assert "\\u" not in await answer.text()
            return answer.status, await answer.json()


@asynccontextmanager
async def calling(app: web.Application, clock: ManualClock) -> AsyncIterator[Caller]:
    async with listening(app, "127.0.0.1:0") as port, ClientSession() as session:
        yield Caller(session, port, clock)


@pytest.fixture
async def hall(store: Store, clock: ManualClock) -> Hall:
    return Hall(store, clock)


def webhook(hall: Hall) -> web.Application:
    async def take(item: Received, digest: str) -> tuple[int, bool]:
        return await hall.inbox.take("webhook", item, digest)

    return hooks(take, Webhook(), hall.clock, ENVIRON)


@pytest.fixture
async def caller(hall: Hall) -> AsyncIterator[Caller]:
    async with calling(webhook(hall), hall.clock) as one:
        yield one


@pytest.fixture
async def light(sqlite_store: Store, clock: ManualClock) -> AsyncIterator[tuple[Hall, Caller]]:
    hall = Hall(sqlite_store, clock)
    async with calling(webhook(hall), clock) as one:
        yield hall, one


async def test_a_text_is_stored_then_acknowledged_then_handled(hall: Hall, caller: Caller) -> None:
    status, answer = await caller.delivers({**TEXT, "received_at": "2026-03-02T11:59:00+08:00", "id": "sp-7"})
    (text,) = await hall.texts()
    assert (status, answer) == (200, {"stored": True, "id": text.id, "new": True})
    assert (text.source, text.ref, text.phone, text.to, text.body) == (
        "webhook",
        "msg_1",
        MOTHER,
        "10690001",
        TEXT["text"],
    )
    assert (text.received_at, text.handled_at) == (datetime(2026, 3, 2, 3, 59, tzinfo=UTC), None)
    await hall.settle()
    assert (await hall.only_case()).window == "caizheng"


async def test_the_same_delivery_again_has_no_effect_and_another_content_conflicts(hall: Hall, caller: Caller) -> None:
    first = await caller.delivers(TEXT)
    await hall.settle()
    hall.clock.advance(200)
    again = await caller.delivers(dict(reversed(TEXT.items())))
    assert again == (200, first[1] | {"new": False})
    for other in ({**TEXT, "text": "别的"}, {**TEXT, "from": "13800130002"}, {**TEXT, "id": "sp-8"}):
        status, answer = await caller.delivers(other)
        assert (status, answer["stored"]) == (409, False)
    await hall.settle()
    assert len(await hall.texts()) == 1
    assert len(await hall.said()) == 1


async def test_the_same_delivery_ten_times_at_once_is_one_text(hall: Hall, caller: Caller) -> None:
    answers = await asyncio.gather(*(caller.delivers(TEXT) for _ in range(10)))
    assert {(status, answer["id"]) for status, answer in answers} == {(200, answers[0][1]["id"])}
    assert len(await hall.texts()) == 1


async def test_different_contents_under_one_id_at_once_leave_one(hall: Hall, caller: Caller) -> None:
    answers = await asyncio.gather(*(caller.delivers({**TEXT, "text": f"第{n}条"}) for n in range(6)))
    assert sorted(status for status, _ in answers) == [200, 409, 409, 409, 409, 409]
    assert len(await hall.texts()) == 1


async def test_the_same_text_under_another_id_is_a_person_repeating_themselves(light: tuple[Hall, Caller]) -> None:
    hall, caller = light
    await caller.delivers(TEXT, "msg_1")
    await caller.delivers(TEXT, "msg_2")
    assert len(await hall.texts()) == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"webhook_signature": None},
        {"webhook_signature": ""},
        {"webhook_signature": "v1"},
        {"webhook_signature": "v1,"},
        {"webhook_signature": "v1,!!!"},
        {"webhook_signature": "v2,AAAA v1a,BBBB"},
        {"webhook_signature": "签名"},
        {"webhook_signature": "v1," + "A" * 43 + "="},
        {"webhook_id": None},
        {"webhook_id": "msg_2"},
        {"webhook_id": "m" * 256},
        {"webhook_timestamp": None},
        {"webhook_timestamp": "soon"},
        {"webhook_timestamp": "-1"},
        {"webhook_timestamp": "9" * 30},
        {"webhook_timestamp": "1772424001"},
    ],
)
async def test_what_is_not_signed_as_it_should_be_is_refused(
    light: tuple[Hall, Caller], headers: dict[str, str | None]
) -> None:
    hall, caller = light
    status, answer = await caller.delivers(TEXT, **headers)
    assert (status, answer["stored"]) == (401, False)
    assert await hall.texts() == []


async def test_a_body_that_was_changed_or_signed_with_another_secret_is_refused(light: tuple[Hall, Caller]) -> None:
    hall, caller = light
    octets = json.dumps(TEXT).encode()
    headers = {name: str(value) for name, value in caller.headers("msg_1", octets).items()}
    assert (await caller.posts(octets.replace(b"0001", b"0002"), headers))[0] == 401
    assert (await caller.posts(b"\xff\xfe", headers))[0] == 401
    caller.signer = Signer(base64.b64encode(b"another secret of 24 octets").decode())
    assert (await caller.delivers(TEXT))[0] == 401
    assert await hall.texts() == []


async def test_one_of_several_signatures_is_enough(light: tuple[Hall, Caller]) -> None:
    _, caller = light
    signature = caller.headers("msg_1", json.dumps(TEXT).encode())["webhook-signature"]
    assert (await caller.delivers(TEXT, webhook_signature=f"v1,b2xk {signature} v2,x"))[0] == 200


@pytest.mark.parametrize(("ago", "status"), [(300, 200), (301, 401), (-300, 200), (-301, 401), (10**9, 401)])
async def test_only_a_recent_timestamp_counts(light: tuple[Hall, Caller], ago: float, status: int) -> None:
    hall, caller = light
    octets = json.dumps(TEXT).encode()
    headers = {name: str(value) for name, value in caller.headers("msg_1", octets, ago).items()}
    assert (await caller.posts(octets, headers))[0] == status
    assert len(await hall.texts()) == (status == 200)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"not json", None),
        (b"[1]", None),
        (b"[" * 20000, None),
        (b"1" * 5000, None),
        ({"to": "x", "text": "x"}, "from"),
        ({**TEXT, "from": " "}, "from"),
        ({**TEXT, "from": 13800130001}, "from"),
        ({**TEXT, "from": "1" * 65}, "from"),
        ({**TEXT, "to": []}, "to"),
        ({"from": "13800130001"}, "text"),
        ({**TEXT, "text": {"a": 1}}, "text"),
        ({**TEXT, "id": 5}, "id"),
        ({**TEXT, "received_at": "2026-03-02T11:59:00"}, "received_at"),
        ({**TEXT, "received_at": "yesterday"}, "received_at"),
        ({**TEXT, "received_at": "0001-01-01T00:00:00+08:00"}, "received_at"),
        ({**TEXT, "received_at": 5}, "received_at"),
    ],
)
async def test_what_is_wrong_with_a_body_is_named(light: tuple[Hall, Caller], body: Any, field: str | None) -> None:
    hall, caller = light
    status, answer = await caller.delivers(body)
    assert (status, answer["stored"], answer.get("field")) == (400, False, field)
    assert answer["error"]["zh"] and answer["error"]["en"]
    assert await hall.texts() == []


@pytest.mark.parametrize("text", ["", "a\0b", "\ud83d", "'; DROP TABLE inbound; --", "<script>", "长" * 3000])
async def test_odd_texts_are_stored(light: tuple[Hall, Caller], text: str) -> None:
    hall, caller = light
    assert (await caller.delivers({"from": "106900099", "text": text, "extra": 1}))[0] == 200
    assert [row.body for row in await hall.texts()] == [text.replace("\0", "␀").replace("\ud83d", "\ufffd")]


async def test_a_body_of_more_than_64_kb_is_refused(light: tuple[Hall, Caller]) -> None:
    hall, caller = light
    largest = LARGEST_BODY - len(json.dumps({**TEXT, "text": ""}).encode())
    assert (await caller.delivers({**TEXT, "text": "a" * (largest + 1)}))[0] == 413
    assert await hall.texts() == []
    assert (await caller.delivers({**TEXT, "text": "a" * largest}))[0] == 200


@pytest.mark.parametrize("error", [OSError("gone"), TimeoutError(), OperationalError("x", {}, Exception("locked"))])
async def test_while_the_database_is_away_nothing_is_acknowledged(clock: ManualClock, error: Exception) -> None:
    async def take(item: Received, digest: str) -> tuple[int, bool]:
        raise error

    async with calling(hooks(take, Webhook(), clock, ENVIRON), clock) as caller:
        status, answer = await caller.delivers(TEXT)
    assert (status, answer["stored"]) == (503, False)


async def test_only_that_path_and_only_posts(light: tuple[Hall, Caller]) -> None:
    _, caller = light
    async with caller.session.get(f"http://127.0.0.1:{caller.port}/hooks/inbound") as answer:
        assert answer.status == 405
    async with caller.session.post(f"http://127.0.0.1:{caller.port}/hooks/receipts") as answer:
        assert answer.status == 404


async def no_take(item: Received, digest: str) -> tuple[int, bool]:
    raise AssertionError


@pytest.mark.parametrize("secret", ["whsec_", "密码", "whsec_a"])
def test_a_secret_that_is_none_is_refused(clock: ManualClock, secret: str) -> None:
    with pytest.raises(Refused):
        hooks(no_take, Webhook(), clock, {"GATEWAY_WEBHOOK_SECRET": secret})


def test_a_missing_secret_is_refused_and_a_short_one_warned_of(
    clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Refused):
        hooks(no_take, Webhook(), clock, {})
    hooks(no_take, Webhook(), clock, {"GATEWAY_WEBHOOK_SECRET": "whsec_c2hvcnQ="})
    assert "short_secret" in capsys.readouterr().out
