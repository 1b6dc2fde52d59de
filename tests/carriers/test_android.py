"""gateway.carriers.android: against a scripted phone, and its signed calls."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway import carriers
from gateway.carriers import Accepted, Call, Receipt, Received, Text, Uncertain, android, web
from gateway.codes import explain
from gateway.errors import Invalid
from gateway.model import ReceiptState
from tests.carriers.provider import CUT, HANG, Asked, Gateway, Provider, Said, number, refs, texts
from tests.conftest import NOON

PASSWORD, SIGNING, TOKEN = "phone-password", "signing-key-of-the-phone", "an-unguessable-token-1"
RAIN = "【枣原镇】今夜有雨，注意防范。"
LONG = RAIN * 5


def options(provider: Provider | None = None, **more: Any) -> dict[str, Any]:
    url = provider.url if provider else "http://127.0.0.1:8080"
    return {"url": url, "password": PASSWORD, "signing_key": SIGNING, "answer_seconds": 2, **more}


def accepted(asked: Asked) -> Any:
    told = asked.json()
    waiting = [{"phoneNumber": one, "state": "Pending"} for one in told["phoneNumbers"]]
    return Said(202, {"id": told["id"], "deviceId": "d1", "state": "Pending", "recipients": waiting})


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider(accepted).listening() as one:
        yield one


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


async def test_a_text_is_queued_on_the_phone_under_our_id(provider: Provider, gateway: Gateway) -> None:
    text = Text(1, 1, number(1), LONG, 1, 0, NOON + timedelta(hours=2))
    async with gateway.over(android.Carrier, **options(provider, sim=2)) as carrier:
        carrier.submit([text])
        assert gateway.answers == []
        await gateway.hear(1)
    (asked,) = provider.asked
    told = asked.json()
    assert (asked.method, asked.path) == ("POST", "/message")
    assert asked.headers["authorization"] == f"Basic {base64.b64encode(f'sms:{PASSWORD}'.encode()).decode()}"
    own = told.pop("id")
    assert own.endswith("-2") and refs(gateway.answers) == [(own,)]
    assert told == {
        "textMessage": {"text": LONG}, "phoneNumbers": [number(1)], "withDeliveryReport": True, "priority": 127,
        "simNumber": 2, "ttl": 7200,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (Said(409, {"message": "Message with the same ID already exists"}), "Accepted"),
        (Said(400, {"message": "Invalid phone number"}), "Rejected"),
        (Said(401, ""), "Deferred"),
        (Said(404, ""), "Deferred"),
        (Said(500, {"message": "oops"}), "Uncertain"),
        (Said(202, {"id": "another's"}), "Uncertain"),
        (Said(202, "<html>"), "Uncertain"),
        (Said(200, "{}"), "Uncertain"),
        (CUT, "Uncertain"),
        (HANG, "Uncertain"),
    ],
)
async def test_what_the_phone_says_has_its_outcome(provider: Provider, gateway: Gateway, said: Any, kind: str) -> None:
    provider.script = [said]
    async with gateway.over(android.Carrier, **options(provider, answer_seconds=0.5)) as carrier:
        carrier.submit(texts(RAIN, 1))
        (one,) = await gateway.hear(1)
    assert type(one).__name__ == kind
    if isinstance(one, Accepted | Uncertain):
        assert one.refs == (provider.asked[0].json()["id"],)


async def test_a_busy_phone_gets_the_text_again_under_the_same_id(
    provider: Provider, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "THROTTLED_SECONDS", 0.01)
    provider.script = [Said(503, "")]
    async with gateway.over(android.Carrier, **options(provider)) as carrier:
        carrier.submit(texts(RAIN, 1))
        await gateway.hear(1)
    assert gateway.kinds == {"Accepted": 1}
    assert len({asked.json()["id"] for asked in provider.asked}) == 1 and len(provider.asked) == 2


async def test_as_many_requests_as_may_be_in_flight(provider: Provider, gateway: Gateway) -> None:
    provider.pause = 0.01
    async with gateway.over(android.Carrier, **options(provider, links=2, in_flight=10)) as carrier:
        carrier.submit(texts(RAIN, 20))
        assert carrier.free == 0
        await gateway.hear(20)
    assert provider.most == 20 and len(set(refs(gateway.answers))) == 20


async def test_no_secret_and_no_number_is_logged(provider: Provider, gateway: Gateway) -> None:
    provider.script = [CUT, Said(401)]
    async with gateway.over(android.Carrier, **options(provider)) as carrier:
        for n in (1, 2):
            carrier.submit(texts(RAIN, 1, first=n))
            await gateway.hear(n)
    said = gateway.log.getvalue() + repr(gateway.failures) + repr(gateway.errors)
    assert "HTTP 401" in said
    assert not any(secret in said for secret in (PASSWORD, SIGNING, "1380013", "今夜"))


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"url": "http://192.168.1.20:8080"}, "url"),
        ({"sim": 4}, "sim"),
    ],
)
def test_wrong_settings_are_named(changed: dict[str, Any], key: str) -> None:
    with pytest.raises(Invalid) as caught:
        carriers.settings_of(android.Carrier, "main", options() | changed)
    assert [problem.key for problem in caught.value.problems] == [f"carriers.main.{key}"]


# -- callbacks -------------------------------------------------------------------------------------------------

AT = datetime(2026, 3, 2, 3, 50, 9, tzinfo=UTC)


def event(kind: str, **payload: Any) -> dict[str, Any]:
    own = {"messageId": "0a1b-1", "sender": None, "recipient": number(1), "simNumber": 1}
    return {"deviceId": "d1", "event": kind, "id": "Ey6E", "payload": own | payload, "webhookId": "Lre"}


def called(told: Any, ago: float = 0, token: str = "", key: str = SIGNING, **more: Any) -> carriers.Reply:
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    at = str(int(NOON.timestamp() - ago))
    signature = hmac.new(key.encode(), body + at.encode(), hashlib.sha256).hexdigest()
    call = Call("POST", {}, {"x-timestamp": at, "x-signature": signature}, body, token)
    return android.Carrier.called(carriers.settings_of(android.Carrier, "main", options(**more)), call, NOON)


def test_a_text_of_one_part_arrived() -> None:
    told = event("sms:delivered", deliveredAt="2026-03-02T11:50:09.000+08:00")
    assert called(told) == carriers.Reply((Receipt("0a1b-1", number(1), ReceiptState.DELIVERED, None, AT),))


def test_that_a_part_arrived_says_nothing_of_a_long_text() -> None:
    assert called(event("sms:delivered", messageId="0a1b-3")) == carriers.Reply(())
    assert called(event("sms:sent", partsCount=1)) == carriers.Reply(())
    assert called(event("system:ping")) == carriers.Reply(())


@pytest.mark.parametrize(
    ("reason", "code", "kind"),
    [
        ("Delivery result from SC +8613800130500: 64", "0x40", "fault"),
        ("Delivery result from SC +8613800130500: 99", "0x63", "absent"),
        ("Send result: RESULT_ERROR_NO_SERVICE (Failed because service is currently unavailable)", None, "fault"),
        ("Send result: RESULT_RIL_SIM_ABSENT (The radio failed)", None, "account"),
        ("Unknown", "", ""),
    ],
)
def test_a_failure_has_the_code_and_no_prose(reason: str, code: str | None, kind: str) -> None:
    told = event("sms:failed", failedAt="2026-03-02T11:50:09.000+08:00", reason=reason, messageId="0a1b-3")
    wanted = reason.split()[2] if code is None else code or None
    assert called(told).items == (Receipt("0a1b-3", number(1), ReceiptState.UNDELIVERED, wanted, AT),)
    if wanted:
        meaning = explain("android", "receipt", wanted)
        assert (meaning.kind, meaning.known) == (kind, True)


def test_a_text_comes_in_whole_under_the_events_id() -> None:
    told = event(
        "sms:received", messageId="c1", message="收到", sender="13800130001", recipient=None,
        receivedAt="2026-03-02T11:50:09.000+08:00",
    )  # fmt: skip
    assert called(told).items == (Received("Ey6E", number(1), "", "收到", AT),)
    older = event("sms:received", message="收到", phoneNumber="10086", receivedAt="soon")
    assert called(older).items == (Received("Ey6E", "10086", number(1), "收到", NOON),)
    assert called(told) == called(told)


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b"{}", b'{"payload": 5}', b"[" * 100_000])
def test_what_cannot_be_read_is_refused(body: bytes) -> None:
    assert called(body) == carriers.Reply((), 400)


def test_only_a_fresh_signature_of_the_phone_is_heard() -> None:
    told = event("sms:delivered")
    assert called(told, key="another") == carriers.Reply((), 401)
    assert [called(told, ago=ago).status for ago in (300, 301, -300, -301)] == [200, 401, 200, 401]
    assert called(told, signing_key="") == carriers.Reply((), 404)
    settings = carriers.settings_of(android.Carrier, "main", options())
    for headers in (
        {},
        {"x-timestamp": "soon", "x-signature": "x"},
        {"x-timestamp": "1772424000", "x-signature": "签"},
    ):
        assert android.Carrier.called(settings, Call("POST", {}, headers, b"{}"), NOON).status == 401


@pytest.mark.parametrize(("token", "status"), [("", 404), ("wrong", 404), (TOKEN, 200)])
def test_a_token_may_be_asked_for_besides(token: str, status: int) -> None:
    assert called(event("sms:delivered"), token=token, callback_token=TOKEN).status == status
