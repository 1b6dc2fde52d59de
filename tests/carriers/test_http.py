"""gateway.carriers.http: Kannel, playSMS, Vonage and Twilio as tables of config.toml, against their scripted likes."""

from __future__ import annotations

import asyncio
import base64
import json
import tomllib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit

import pytest

from gateway import carriers
from gateway.carriers import Call, Concat, Deferred, Receipt, Received, Rejected, Text, http, web
from gateway.codes import Entry
from gateway.errors import Invalid
from gateway.model import ReceiptState
from tests.carriers.provider import CUT, HANG, Asked, Gateway, Provider, Said, number, refs, texts
from tests.conftest import NOON

SECRET, TOKEN = "a-secret-of-theirs", "an-unguessable-token-1"
RAIN = "【枣原镇】今夜有雨，注意防范。"

KANNEL = """
url = "@/cgi-bin/sendsms"
method = "GET"
reply_type = "text/plain"

[query]
username = "hall"
password = "{secret}"
to = "{local}"
from = "{service_code}"
text = "{body}"
coding = "2"
charset = "UTF-8"
dlr-mask = "19"
dlr-url = "https://hall.example.cn/carriers/kannel/{token}?id={id}&state=%d&error=%A"

[answer]
state = '^(\\d|Not routable)'
accepted = ["0", "3"]
refused = ["Not routable"]

[receipt]
id = "id"
state = "state"
delivered = ["1"]
failed = ["2", "16"]
error = "error"

[inbound]
id = "id"
phone = "from"
to = "to"
body = "text"
"""

PLAYSMS = """
url = "@/index.php"

[form]
app = "ws"
op = "pv"
u = "hall"
h = "{secret}"
to = "{phone}"
msg = "{body}"
unicode = "1"

[answer]
state = '"status":\\s*"(\\w+)"'
accepted = ["OK"]
code = '"error":\\s*"(\\d+)"'
id = "/data/0/smslog_id"

[inbound]
phone = "from"
body = "text"
"""

VONAGE = """
url = "@/sms/json"
time_format = "%Y-%m-%d %H:%M:%S"
utc_offset = 0

[json]
api_key = "abcd1234"
api_secret = "{secret}"
from = "Hall"
to = "{digits}"
text = "{body}"
type = "unicode"

[answer]
state = "/messages/*/status"
accepted = ["0"]
later = ["1"]
id = "/messages/*/message-id"

[receipt]
id = "messageId"
state = "status"
delivered = ["delivered"]
failed = ["failed", "rejected", "expired"]
phone = "msisdn"
error = "err-code"
time = "message-timestamp"

[inbound]
id = "messageId"
phone = "msisdn"
to = "to"
body = "text"
time = "message-timestamp"
concat_ref = "concat-ref"
concat_total = "concat-total"
concat_part = "concat-part"
"""

TWILIO = """
url = "@/2010-04-01/Accounts/AC1/Messages.json"
user = "AC1"
reply = "<Response/>"
reply_type = "text/xml"

[form]
To = "{phone}"
From = "+15005550006"
Body = "{body}"

[answer]
code = "/code"
later = ["20429"]
id = "/sid"

[receipt]
id = "MessageSid"
state = "MessageStatus"
delivered = ["delivered"]
failed = ["undelivered", "failed"]
phone = "To"
error = "ErrorCode"

[inbound]
id = "MessageSid"
phone = "From"
to = "To"
body = "Body"
"""


def table(text: str, url: str = "https://provider.example.com", **more: Any) -> dict[str, Any]:
    """As config.toml has it; the account's own keys are the gateway's."""
    read = tomllib.loads(text.replace("@", url))
    own = {"secret": SECRET, "callback_token": TOKEN, "service_code": "10690001", "in_flight": 20, "answer_seconds": 2}
    return {**own, **read, **more}


def called(text: str, call: Call, **more: Any) -> carriers.Reply:
    return http.Carrier.called(carriers.settings_of(http.Carrier, "main", table(text, **more)), call, NOON)


def get(query: str, token: str = TOKEN) -> Call:
    return Call("GET", dict(parse_qsl(query)), {}, b"", token)


def post(body: str | bytes, token: str = TOKEN) -> Call:
    return Call("POST", {}, {}, body if isinstance(body, bytes) else body.encode(), token)


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider(lambda asked: Said(500, "no script")).listening() as one:
        yield one


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


async def answer(provider: Provider, gateway: Gateway, text: str, said: Any, parts: int = 1, **more: Any) -> Any:
    """What one text came to when the provider said this."""
    provider.script = [said]
    async with gateway.over(http.Carrier, **table(text, provider.url, **more)) as carrier:
        carrier.submit(texts(RAIN, 1, parts=parts))
        assert gateway.answers == []
        (one,) = await gateway.hear(1)
    return one


# -- Kannel ----------------------------------------------------------------------------------------------------


async def test_kannel_takes_a_text_by_get_and_reports_to_our_address(provider: Provider, gateway: Gateway) -> None:
    one = await answer(provider, gateway, KANNEL, Said(202, "0: Accepted for delivery"), parts=2)
    (asked,) = provider.asked
    assert (asked.method, asked.path, asked.body) == ("GET", "/cgi-bin/sendsms", b"")
    assert (asked.query["text"], asked.query["to"], asked.query["password"]) == (RAIN, "13800130001", SECRET)
    back = urlsplit(asked.query["dlr-url"])
    assert back.path == f"/carriers/kannel/{TOKEN}" and back.query.endswith("&state=%d&error=%A")
    assert one.refs == (parse_qs(back.query)["id"][0], "")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (Said(202, "3: Queued for later delivery"), "Accepted"),
        (Said(403, "Not routable. Do not try again."), "Rejected"),
        (Said(403, "Authorization failed for sendsms"), "Deferred"),
        (Said(400, "Missing receiver"), "Rejected"),
        (Said(500, "oops"), "Uncertain"),
        (Said(200, "what?"), "Uncertain"),
        (CUT, "Uncertain"),
        (HANG, "Uncertain"),
    ],
)
async def test_what_kannel_says_has_its_outcome(provider: Provider, gateway: Gateway, said: Any, kind: str) -> None:
    one = await answer(provider, gateway, KANNEL, said, answer_seconds=0.5)
    assert type(one).__name__ == kind
    assert len(provider.asked) == 1  # a GET is not repeated by the client either


async def test_kannels_temporal_failure_waits(
    provider: Provider, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "THROTTLED_SECONDS", 0.01)
    provider.otherwise = lambda asked: Said(202, "0: Accepted for delivery")
    one = await answer(provider, gateway, KANNEL, Said(503, "Temporal failure, try again later."))
    assert type(one).__name__ == "Accepted" and len(provider.asked) == 2


async def test_a_get_over_a_kept_connection_is_not_repeated(provider: Provider, gateway: Gateway) -> None:
    provider.script = [Said(202, "0: ok"), CUT]
    async with gateway.over(http.Carrier, **table(KANNEL, provider.url)) as carrier:
        carrier.submit(texts(RAIN, 1))
        await gateway.hear(1)
        carrier.submit(texts(RAIN, 1, first=2))
        await gateway.hear(2)
    assert gateway.kinds == {"Accepted": 1, "Uncertain": 1} and len(provider.asked) == 2


def test_kannels_calls() -> None:
    assert called(KANNEL, get("id=0a1b&state=1&error=")).items == (
        Receipt("0a1b", "", ReceiptState.DELIVERED, None, NOON),
    )
    failed = called(KANNEL, get("id=0a1b&state=2&error=NACK%2F0x45"))
    assert failed.items == (Receipt("0a1b", "", ReceiptState.UNDELIVERED, "NACK/0x45", NOON),)
    assert called(KANNEL, get("id=0a1b&state=4")) == carriers.Reply((), 200)
    came = called(KANNEL, get(f"from={quote('+8613800130001')}&to=10690001&text={quote('收到')}&id=7"))
    assert came.items == (Received("7", number(1), "10690001", "收到", NOON),)
    assert came.body == ""  # Kannel would send any word of it to the person


# -- playSMS ---------------------------------------------------------------------------------------------------


async def test_playsms_takes_a_form_and_answers_in_json(provider: Provider, gateway: Gateway) -> None:
    said = {"data": [{"status": "OK", "error": "0", "smslog_id": "42", "to": "+8613800130001"}], "error_string": None}
    one = await answer(provider, gateway, PLAYSMS, said)
    (asked,) = provider.asked
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.form == {
        "app": "ws", "op": "pv", "u": "hall", "h": SECRET, "to": "+8613800130001", "msg": RAIN, "unicode": "1",
    }  # fmt: skip
    assert (type(one).__name__, one.refs) == ("Accepted", ("42",))


async def test_playsms_refuses_with_its_code_and_the_account_may_say_what_it_means(
    provider: Provider, gateway: Gateway
) -> None:
    said = {"status": "ERR", "error": "103", "error_string": "not enough credit for this operation"}
    one = await answer(provider, gateway, PLAYSMS, said)
    assert one == Rejected(texts(RAIN, 1)[0], "103")
    own = {"submit 103": Entry(kind="account", does="tell", zh="余额不足", en="out of credit")}
    other = Gateway()
    assert await answer(provider, other, PLAYSMS, said, codes=own) == Deferred(texts(RAIN, 1)[0], "103")


def test_playsms_forwards_texts() -> None:
    (text,) = called(PLAYSMS, get("from=13800130001&text=%E6%94%B6%E5%88%B0")).items
    assert text == Received("", number(1), "", "收到", NOON)


# -- Vonage ----------------------------------------------------------------------------------------------------


def vonage(*statuses: str) -> dict[str, Any]:
    each = [{"status": one, "message-id": f"0C{n}", "to": "86138"} for n, one in enumerate(statuses)]
    return {"message-count": str(len(each)), "messages": each}


async def test_vonage_takes_json_and_gives_a_reference_per_part(provider: Provider, gateway: Gateway) -> None:
    one = await answer(provider, gateway, VONAGE, vonage("0", "0"), parts=2)
    (asked,) = provider.asked
    assert asked.json() == {
        "api_key": "abcd1234", "api_secret": SECRET, "from": "Hall", "to": "8613800130001", "text": RAIN,
        "type": "unicode",
    }  # fmt: skip
    assert (type(one).__name__, one.refs) == ("Accepted", ("0C0", "0C1"))


@pytest.mark.parametrize(("parts", "kept"), [(1, ("0C0",)), (3, ("0C0", "0C1", ""))])
async def test_references_are_as_many_as_parts(
    provider: Provider, gateway: Gateway, parts: int, kept: tuple[str, ...]
) -> None:
    assert (await answer(provider, gateway, VONAGE, vonage("0", "0"), parts=parts)).refs == kept


async def test_of_a_long_text_taken_in_part_the_taken_parts_keep_their_reference(
    provider: Provider, gateway: Gateway
) -> None:
    one = await answer(provider, gateway, VONAGE, vonage("0", "5"), parts=2)
    assert one == Rejected(texts(RAIN, 1, parts=2)[0], "5", ("0C0", ""))


async def test_vonage_throttles(provider: Provider, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "THROTTLED_SECONDS", 0.01)
    provider.otherwise = lambda asked: vonage("0")
    assert type(await answer(provider, gateway, VONAGE, vonage("1"))).__name__ == "Accepted"
    assert len(provider.asked) == 2


def test_vonages_calls() -> None:
    told = {
        "msisdn": "8613800130001",
        "messageId": "0C0",
        "status": "delivered",
        "message-timestamp": "2026-03-02 03:50:09",
    }
    at = datetime(2026, 3, 2, 3, 50, 9, tzinfo=UTC)
    assert called(VONAGE, post(json.dumps(told))).items == (
        Receipt("0C0", number(1), ReceiptState.DELIVERED, None, at),
    )
    failed = json.dumps(told | {"status": "rejected", "err-code": 9, "message-timestamp": "soon"})
    assert called(VONAGE, post(failed)).items == (Receipt("0C0", number(1), ReceiptState.UNDELIVERED, "9", NOON),)
    part = {"msisdn": "8613800130001", "to": "1069", "messageId": "0D", "text": "收", "message-timestamp": "x"}
    long = part | {"concat": "true", "concat-ref": "31", "concat-total": "2", "concat-part": 1}
    assert called(VONAGE, post(json.dumps(long))).items == (
        Received("0D", number(1), "1069", "收", NOON, Concat(31, 2, 1)),
    )
    alone = called(VONAGE, post(json.dumps(part | {"msisdn": "HALL"}))).items[0]
    assert isinstance(alone, Received) and (alone.phone, alone.concat) == ("HALL", None)


# -- Twilio ----------------------------------------------------------------------------------------------------


async def test_twilio_takes_a_form_with_basic_authentication(provider: Provider, gateway: Gateway) -> None:
    one = await answer(provider, gateway, TWILIO, Said(201, {"sid": "SM1", "status": "queued"}))
    (asked,) = provider.asked
    assert asked.headers["authorization"] == f"Basic {base64.b64encode(f'AC1:{SECRET}'.encode()).decode()}"
    assert asked.form == {"To": "+8613800130001", "From": "+15005550006", "Body": RAIN}
    assert (type(one).__name__, one.refs) == ("Accepted", ("SM1",))


@pytest.mark.parametrize(
    ("status", "code", "kind", "error"),
    [(400, 21211, "Rejected", "21211"), (401, 20003, "Deferred", "HTTP 401"), (500, 20500, "Uncertain", "HTTP 500")],
)
async def test_twilios_refusals(
    provider: Provider, gateway: Gateway, status: int, code: int, kind: str, error: str
) -> None:
    one = await answer(provider, gateway, TWILIO, Said(status, {"code": code, "status": status}))
    assert (type(one).__name__, one.error) == (kind, error)


def test_twilios_calls() -> None:
    reply = called(TWILIO, post("MessageSid=SM1&MessageStatus=undelivered&ErrorCode=30003&To=%2B8613800130001"))
    assert reply.items == (Receipt("SM1", number(1), ReceiptState.UNDELIVERED, "30003", NOON),)
    assert (reply.status, reply.body, reply.content_type) == (200, "<Response/>", "text/xml")
    assert called(TWILIO, post("MessageSid=SM1&MessageStatus=sent")).items == ()
    (text,) = called(
        TWILIO, post("MessageSid=SM2&SmsStatus=received&From=%2B8613800130001&To=%2B1500&Body=%E5%A5%BD")
    ).items
    assert text == Received("SM2", number(1), "+1500", "好", NOON)


# -- what stands in a text is never read as anything else ------------------------------------------------------

HOSTILE = [
    "{secret} {token} {phone}{{body}}",
    "a&to=13800130009&x=",
    "a=b;c#d?e/../f",
    'x","to":"13800130009',
    "\r\nX-Evil: 1",
    "%0d%0aX: 1",
    "${jndi}",
    "{0.__class__}",
    "</text>",
    "a+b c",
    "\\u0000\\",
    "'; --",
    "{}{{}}%s%(x)s",
    "👍",
]


@pytest.mark.parametrize("body", HOSTILE)
@pytest.mark.parametrize(("text", "where"), [(KANNEL, "text"), (PLAYSMS, "msg"), (VONAGE, "text"), (TWILIO, "Body")])
async def test_a_hostile_text_arrives_as_it_is_and_changes_nothing_else(
    provider: Provider, gateway: Gateway, text: str, where: str, body: str
) -> None:
    provider.otherwise = lambda asked: Said(202, "0: Accepted")
    async with gateway.over(http.Carrier, **table(text, provider.url)) as carrier:
        carrier.submit([Text(1, 1, number(1), RAIN, 1), Text(2, 1, number(1), body, 1)])
        await gateway.hear(2)
    harmless, hostile = (_fields(asked) for asked in provider.asked)
    assert hostile.pop(where) == body and harmless.pop(where) == RAIN
    for fields in (harmless, hostile):
        fields.pop("dlr-url", None)  # has our id
    assert hostile == harmless
    assert provider.asked[0].headers.keys() == provider.asked[1].headers.keys()
    assert provider.asked[0].path == provider.asked[1].path


def _fields(asked: Asked) -> dict[str, Any]:
    if asked.headers.get("content-type") == "application/json":
        return dict(asked.json())
    return {**asked.query, **asked.form}


async def test_a_text_may_travel_in_a_national_encoding(provider: Provider, gateway: Gateway) -> None:
    one = await answer(provider, gateway, PLAYSMS, '{"status": "OK"}', charset="gb18030")
    assert type(one).__name__ == "Accepted"
    assert f"msg={quote(RAIN, safe='', encoding='gb18030')}".encode() in provider.asked[0].body
    other = Gateway()
    assert type(await answer(provider, other, PLAYSMS, "", charset="ascii")).__name__ == "Rejected"
    assert len(provider.asked) == 1
    settings = carriers.settings_of(http.Carrier, "main", table(PLAYSMS, charset="gbk"))
    assert http.Carrier.objection(settings, RAIN) is None
    assert http.Carrier.objection(settings, "好👍") == ("gbk 写不出“👍”", "gbk cannot write 👍")


# -- calls that are odd ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"{}", b"[]", b"[5]", b"\xff\xfe", b"[" * 100_000, b"&" * 5000, b"a=1"]
)
def test_a_call_in_which_nothing_is_understood_is_refused(body: bytes) -> None:
    assert called(TWILIO, post(body)) == carriers.Reply((), 400)


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x"])
@pytest.mark.parametrize("text", [KANNEL, PLAYSMS, VONAGE, TWILIO])
def test_only_who_knows_the_token_is_heard(text: str, token: str) -> None:
    assert called(text, get("id=1&state=1&from=1&text=x", token)) == carriers.Reply((), 404)


def test_a_call_may_bring_a_list_somewhere_inside() -> None:
    inner = '[receipt]\nid = "/message/id"\nstate = "/status/name"\ndelivered = ["DELIVERED"]\ntime = "/at"\n'
    text = PLAYSMS.partition("[inbound]")[0] + inner
    told = {"results": [{"message": {"id": 7}, "status": {"name": "DELIVERED"}, "at": "2026-03-02T11:50:00+08:00"}, 5]}
    reply = called(text, post(json.dumps(told)), items="/results")
    assert reply.items == (Receipt("7", "", ReceiptState.DELIVERED, None, datetime(2026, 3, 2, 3, 50, tzinfo=UTC)),)
    assert called(text, post(json.dumps(told)), items="/nothing").status == 400


@pytest.mark.parametrize(
    ("form", "said", "hour"),
    [
        ("unix", "1772424000", 4),
        ("unix", "x", 4),
        ("iso", "2026-03-02T12:00:00", 4),
        ("%d/%m/%Y %H:%M", "02/03/2026 13:00", 5),
    ],
)
def test_times_are_read_as_the_table_says(form: str, said: str, hour: int) -> None:
    text = TWILIO.replace('error = "ErrorCode"', 'time = "at"')
    reply = called(text, post(f"MessageSid=1&MessageStatus=delivered&at={quote(said)}"), time_format=form)
    assert reply.items[0].at == datetime(2026, 3, 2, hour, tzinfo=UTC)


# -- tables that are wrong -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"url": "http://provider.example.com"}, "url"),
        ({"url": "https://{local}.example.com"}, "url"),
        ({"url": "https://a.example.com/{body}"}, "url"),
        ({"url": "https://a.example.com/{nothing}"}, "url"),
        ({"method": "PUT"}, "method"),
        ({"method": "GET"}, "form"),
        ({"json": {"a": "{body}"}}, "form"),
        ({"form": {"to": "{phone}"}}, "query"),
        ({"form": {"msg": "{body}"}}, "query"),
        ({"form": {"to": "{phone}", "msg": "{body} {bdoy}"}}, "form"),
        ({"headers": {"X": "{body}"}}, "headers"),
        ({"charset": "klingon"}, "charset"),
        ({"answer": {"state": "/a"}}, "answer"),
        ({"answer": {"status": "/a"}}, "answer"),
        ({"answer": {"id": "("}}, "answer"),
        ({"answer": {"id": "id: \\d+"}}, "answer"),
        ({"answer": {"accepted": "OK"}}, "answer"),
        ({"answer": {"id": 5}}, "answer"),
        ({"receipt": {"id": "a"}}, "receipt"),
        ({"inbound": {"phone": "a"}}, "inbound"),
    ],
)
def test_wrong_settings_are_named(changed: dict[str, Any], key: str) -> None:
    with pytest.raises(Invalid) as caught:
        carriers.settings_of(http.Carrier, "main", table(PLAYSMS) | changed)
    assert {problem.key for problem in caught.value.problems} == {f"carriers.main.{key}"}


async def test_no_secret_and_no_number_is_logged(provider: Provider, gateway: Gateway) -> None:
    provider.script = [CUT, Said(500), Said(401, SECRET)]
    async with gateway.over(http.Carrier, **table(KANNEL, provider.url)) as carrier:
        for n in range(1, 4):
            carrier.submit(texts(RAIN, 1, first=n))
            await gateway.hear(n)
    said = gateway.log.getvalue() + repr(gateway.failures) + repr(gateway.errors)
    assert "HTTP 401" in said
    assert not any(secret in said for secret in (SECRET, TOKEN, "1380013", "今夜", "cgi-bin"))


async def test_never_more_requests_than_may_be_in_flight(provider: Provider, gateway: Gateway) -> None:
    provider.pause, provider.otherwise = 0.01, lambda asked: Said(202, "0: ok")
    async with gateway.over(http.Carrier, **table(KANNEL, provider.url, in_flight=3)) as carrier:
        people = texts(RAIN, 30)
        while people:
            now, people = people[: carrier.free], people[carrier.free :]
            carrier.submit(now)
            await asyncio.sleep(0.002)
        await gateway.hear(30)
    assert provider.most == 3 and len(set(refs(gateway.answers))) == 30
