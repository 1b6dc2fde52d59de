"""Whatever a provider calls or answers, nothing crashes: each is read, or refused, or leaves its texts uncertain."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import carriers
from gateway.carriers import Call, Carrier, Links, Receipt, Received, Text, aliyun, android, http, tencent
from gateway.carriers.verdicts import Answered, Apart, Batch, Refusal, Wait
from tests.carriers import test_aliyun, test_android, test_http, test_tencent
from tests.conftest import NOON

TOKEN = "an-unguessable-token-1"
RAIN = "今夜有雨，注意防范。"
LINKS = Links(answered=list, receive=None, failed=list, now=lambda: NOON)  # type: ignore[arg-type]


def made(kind: type[Carrier], table: dict[str, Any]) -> Any:
    return kind("main", carriers.settings_of(kind, "main", table), LINKS)


CARRIERS = {
    "aliyun": made(aliyun.Carrier, test_aliyun.options()),
    "tencent": made(tencent.Carrier, test_tencent.options()),
    "vonage": made(http.Carrier, test_http.table(test_http.VONAGE)),
    "twilio": made(http.Carrier, test_http.table(test_http.TWILIO)),
    "kannel": made(http.Carrier, test_http.table(test_http.KANNEL)),
    "playsms": made(http.Carrier, test_http.table(test_http.PLAYSMS)),
    "android": made(android.Carrier, test_android.options()),
}

WORDS = re.findall(
    r"\S+",
    """phone_number send_time report_time success err_code out_id biz_id content dest_code sequence_id nationcode mobile
    report_status errmsg sid extend text time msisdn messageId status message-timestamp concat-ref concat-total
    concat-part MessageSid MessageStatus From To Body id state from to event payload messageId recipient sender message
    receivedAt reason failedAt Code Response Error SendStatusSet SerialNo PhoneNumber messages message-id data smslog_id
    error sid code""",
)
VALUES = (
    *("+8613800130001", "13800130001", "SUCCESS", "OK", "Ok", "0", "1", "sms:received", "sms:failed", "sms:delivered"),
    *("2026-03-02 11:50:09", "20260302115009", "\ud83d", "", "9" * 400, "a-1", "\x00", "delivered", "0: x"),
)
VALUE = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(VALUES), st.text(max_size=8))
JSON = st.recursive(
    VALUE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=9),
    max_leaves=10,
)

ODD = [
    {"success": True, "out_id": "\ud83d", "phone_number": "\ud83d"},
    {"report_status": "SUCCESS", "sid": "\ud83d", "mobile": "\ud83d", "nationcode": "\ud83d"},
    {"content": "\ud83d", "phone_number": "\ud83d", "dest_code": {}, "send_time": []},
    {
        "MessageSid": "\ud83d",
        "MessageStatus": "delivered",
        "To": "\ud83d",
        "messageId": "\ud83d",
        "status": "delivered",
    },
    {"event": "sms:received", "id": "\ud83d", "payload": {"sender": "\ud83d", "message": "\ud83d"}},
]


def signed(body: bytes) -> dict[str, str]:
    at = str(int(NOON.timestamp()))
    made = hmac.new(test_android.SIGNING.encode(), body + at.encode(), hashlib.sha256)
    return {"x-timestamp": at, "x-signature": made.hexdigest()}


@pytest.mark.parametrize("told", ODD)
@pytest.mark.parametrize("name", CARRIERS)
def test_half_a_character_is_no_crash(name: str, told: dict[str, Any]) -> None:
    any_call(name, told, b"")


@pytest.mark.parametrize("name", CARRIERS)
@settings(max_examples=50)
@given(told=JSON | st.dictionaries(st.sampled_from(WORDS), JSON, min_size=3), raw=st.binary(max_size=40))
def test_any_call_is_read_or_refused(name: str, told: Any, raw: bytes) -> None:
    any_call(name, told, raw)


def any_call(name: str, told: Any, raw: bytes) -> None:
    carrier = CARRIERS[name]
    query = {str(key): str(value) for key, value in told.items()} if isinstance(told, dict) else {}
    for body in (json.dumps(told).encode(), json.dumps([told]).encode(), raw, b""):
        reply = carrier.called(carrier.settings, Call("POST", query, signed(body), body, TOKEN), NOON)
        assert reply.status in (200, 400)
        for item in reply.items:
            assert isinstance(item, Receipt | Received) and item.at.tzinfo is not None
            assert isinstance(item.ref, str) and isinstance(item.phone, str)
            assert item.phone or isinstance(item, Receipt)


@pytest.mark.parametrize("name", CARRIERS)
@settings(max_examples=50)
@given(told=JSON, raw=st.binary(max_size=40), status=st.integers(100, 599))
def test_any_answer_has_a_verdict(name: str, told: Any, raw: bytes, status: int) -> None:
    carrier = CARRIERS[name]
    job = carrier.prepare(Text(1, 1, "+8613800130001", RAIN, 1))
    for body in (json.dumps(told).encode(), json.dumps({"Response": told, "messages": [told]}).encode(), raw, b""):
        verdict = carrier.read(Batch([job]), Answered(status, {"retry-after": str(told)}, body))
        if not isinstance(verdict, Wait | Refusal | Apart):
            assert [answer.text.key for answer in carrier._all_of(Batch([job]), verdict)] == [1]
