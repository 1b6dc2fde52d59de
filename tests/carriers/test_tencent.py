"""gateway.carriers.tencent: against a scripted provider, and its signature against the vendor's own SDK."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from gateway import carriers
from gateway.carriers import Accepted, Call, Receipt, Received, Rejected, Text, tencent, web
from gateway.codes import Entry
from gateway.errors import Invalid
from gateway.model import ReceiptState
from tests.carriers.provider import CUT, HANG, Asked, Gateway, Provider, Said, number, refs, texts, until
from tests.conftest import NOON

ID, KEY, TOKEN = "AKID-of-theirs", "a-secret-key-of-theirs", "an-unguessable-token-1"
TEMPLATES = {"1110": "尊敬的{1}，您的{2}已办好。", "1111": "今夜有雨，注意防范。"}
RAIN, DONE = "今夜有雨，注意防范。", "【枣原镇】尊敬的{}，您的社保卡已办好。"


def options(provider: Provider | None = None, **more: Any) -> dict[str, Any]:
    return {
        "secret_id": ID,
        "secret_key": KEY,
        "app_id": "1400006666",
        "sign_name": "枣原镇",
        "templates": TEMPLATES,
        "endpoint": provider.url if provider else "https://sms.tencentcloudapi.com",
        "callback_token": TOKEN,
        "in_flight": 400,
        **more,
    }


def status(phone: str, code: str = "Ok") -> dict[str, Any]:
    serial = f"2019:{phone[-4:]}" if code == "Ok" else ""
    return {"SerialNo": serial, "PhoneNumber": phone, "Fee": 1, "Code": code, "Message": "m", "IsoCode": "CN"}


def accepted(asked: Asked, **codes: str) -> Any:
    """Each number, but those that are told another code, by its last four digits."""
    each = [status(phone, codes.get(f"n{phone[-4:]}", "Ok")) for phone in asked.json()["PhoneNumberSet"]]
    return {"Response": {"SendStatusSet": each, "RequestId": "a0aabda6"}}


def refused(code: str) -> Any:
    return {"Response": {"Error": {"Code": code, "Message": "m"}, "RequestId": "a0aabda6"}}


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider(accepted).listening() as one:
        yield one


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


async def test_a_text_is_sent_as_template_and_parameters_in_order(provider: Provider, gateway: Gateway) -> None:
    async with gateway.over(tencent.Carrier, **options(provider)) as carrier:
        carrier.submit([Text(1, 1, number(1), DONE.format("王大爷"), 2)])
        assert gateway.answers == []
        await gateway.hear(1)
    (asked,) = provider.asked
    told = asked.json()
    assert (asked.method, asked.path, asked.headers["x-tc-action"]) == ("POST", "/", "SendSms")
    assert told.pop("SessionContext")
    assert told == {
        "PhoneNumberSet": ["+8613800130001"], "SmsSdkAppId": "1400006666", "SignName": "枣原镇", "TemplateId": "1110",
        "TemplateParamSet": ["王大爷", "社保卡"],
    }  # fmt: skip
    assert refs(gateway.answers) == [("2019:0001", "")]


async def test_up_to_two_hundred_share_what_is_the_same(provider: Provider, gateway: Gateway) -> None:
    async with gateway.over(tencent.Carrier, **options(provider)) as carrier:
        carrier.submit([*texts(RAIN, 210), Text(900, 1, number(1), RAIN, 1), *texts(DONE.format("甲"), 2, first=300)])
        carrier.submit(texts(DONE.format("乙"), 1, first=302))
        await gateway.hear(214)
    sent = [one.json()["PhoneNumberSet"] for one in provider.asked]
    assert sorted(map(len, sent)) == [1, 2, 11, 200]
    assert all(len(set(one)) == len(one) for one in sent)
    assert gateway.kinds == {"Accepted": 214} and len(set(refs(gateway.answers))) == 213


async def test_a_batch_may_be_refused_in_part(provider: Provider, gateway: Gateway) -> None:
    wrong = {"n0002": "FailedOperation.PhoneNumberInBlacklist", "n0003": "LimitExceeded.PhoneNumberDailyLimit"}
    provider.script = [lambda asked: accepted(asked, **wrong, n0004="InternalError.Timeout", n0005="Something.New")]
    async with gateway.over(tencent.Carrier, **options(provider)) as carrier:
        carrier.submit(texts(RAIN, 5))
        await gateway.hear(5)
        assert carrier.free == carrier.capacity
    said = {answer.text.key: type(answer).__name__ for answer in gateway.answers}
    assert said == {1: "Accepted", 2: "Rejected", 3: "Deferred", 4: "Uncertain", 5: "Rejected"}
    assert len(provider.asked) == 1


async def test_a_number_that_the_answer_passes_over_is_uncertain(provider: Provider, gateway: Gateway) -> None:
    provider.script = [{"Response": {"SendStatusSet": [status(number(1)), None, {"Code": "Ok"}, status(number(9))]}}]
    async with gateway.over(tencent.Carrier, **options(provider)) as carrier:
        carrier.submit(texts(RAIN, 2))
        await gateway.hear(2)
    assert gateway.kinds == {"Accepted": 1, "Uncertain": 1}
    assert refs(gateway.answers)[1] == (provider.asked[0].json()["SessionContext"],)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("FailedOperation.TemplateIncorrectOrUnapproved", "Rejected"),
        ("AuthFailure.SecretIdNotFound", "Deferred"),
        ("AuthFailure.SignatureExpire", "Deferred"),
        ("UnauthorizedOperation.ServiceSuspendDueToArrears", "Deferred"),
        ("InternalError", "Uncertain"),
        ("Something.New", "Rejected"),
    ],
)
async def test_each_code_of_the_whole_has_its_outcome(
    provider: Provider, gateway: Gateway, code: str, kind: str
) -> None:
    provider.script = [refused(code)]
    async with gateway.over(tencent.Carrier, **options(provider)) as carrier:
        carrier.submit(texts(RAIN, 2))
        await gateway.hear(2)
        assert (carrier.free == 0) == (kind == "Deferred")
    assert (gateway.kinds, gateway.errors) == ({kind: 2}, {code})


async def test_what_every_number_is_refused_for_may_be_the_accounts(provider: Provider, gateway: Gateway) -> None:
    code = "FailedOperation.InsufficientBalanceInSmsPackage"
    provider.script = [lambda asked: accepted(asked, n0001=code, n0002=code)]
    async with gateway.over(tencent.Carrier, **options(provider)) as carrier:
        carrier.submit(texts(RAIN, 2))
        await gateway.hear(2)
        assert (gateway.kinds, carrier.free) == ({"Deferred": 2}, 0)


@pytest.mark.parametrize("how", ["whole", "each"])
async def test_throttled_texts_are_sent_again(
    provider: Provider, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(web, "THROTTLED_SECONDS", 0.01)
    code = "RequestLimitExceeded"
    provider.script = [refused(code) if how == "whole" else lambda asked: accepted(asked, n0001=code, n0002=code)]
    async with gateway.over(tencent.Carrier, **options(provider)) as carrier:
        carrier.submit(texts(RAIN, 2))
        await gateway.hear(2)
    assert len(provider.asked) == 2 and gateway.kinds == {"Accepted": 2}


@pytest.mark.parametrize("step", [CUT, HANG, Said(500, "oops"), Said(200, "<html>"), Said(200, "[]"), {"Response": 5}])
async def test_what_may_have_left_is_uncertain(provider: Provider, gateway: Gateway, step: Any) -> None:
    provider.script = [step]
    async with gateway.over(tencent.Carrier, **options(provider, answer_seconds=0.5)) as carrier:
        carrier.submit(texts(RAIN, 2))
        await gateway.hear(2)
    assert gateway.kinds == {"Uncertain": 2}
    assert set(refs(gateway.answers)) == {(provider.asked[0].json()["SessionContext"],)}


async def test_never_more_requests_than_links(provider: Provider, gateway: Gateway) -> None:
    provider.pause = 0.02
    async with gateway.over(tencent.Carrier, **options(provider, links=2, in_flight=20)) as carrier:
        carrier.submit([Text(n, 1, number(n), DONE.format(f"王{n}"), 1) for n in range(1, 31)])
        assert carrier.free == 10
        await gateway.hear(30)
    assert provider.most == 2 and gateway.kinds == {"Accepted": 30}


async def test_no_secret_and_no_number_is_logged(provider: Provider, gateway: Gateway) -> None:
    provider.script = [CUT, refused("AuthFailure.SignatureFailure")]
    async with gateway.over(tencent.Carrier, **options(provider)) as carrier:
        for n in (1, 2):
            carrier.submit(texts(RAIN, 1, first=n))
            await gateway.hear(n)
    said = gateway.log.getvalue() + repr(gateway.failures) + repr(gateway.errors)
    assert "AuthFailure.SignatureFailure" in said
    assert not any(secret in said for secret in (ID, KEY, TOKEN, "1380013", "今夜"))


async def test_an_account_may_read_a_code_in_its_own_way(provider: Provider, gateway: Gateway) -> None:
    own = {"submit Something.New": Entry(kind="quota", does="wait", zh="等", en="wait")}
    provider.script = [refused("Something.New")]
    async with gateway.over(tencent.Carrier, **options(provider, codes=own)) as carrier:
        carrier.submit(texts(RAIN, 1))
        await gateway.hear(1)
    assert gateway.kinds == {"Deferred": 1}


# -- settings and preflight ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"endpoint": "http://sms.example.com"}, "endpoint"),
        ({"templates": {"1": "{0}"}}, "templates"),
        ({"templates": {"1": "${name}您好"}}, "templates"),
        ({"app_id": 5}, "app_id"),
    ],
)
def test_wrong_settings_are_named(changed: dict[str, Any], key: str) -> None:
    with pytest.raises(Invalid) as caught:
        carriers.settings_of(tencent.Carrier, "main", options() | changed)
    assert [problem.key for problem in caught.value.problems] == [f"carriers.main.{key}"]


async def test_a_parameter_too_long_is_refused_before_it_is_sent(provider: Provider, gateway: Gateway) -> None:
    body = DONE.format("枣原镇石畔村的王大爷")
    said = tencent.Carrier.objection(carriers.settings_of(tencent.Carrier, "main", options()), body)
    assert said is not None and "6 个字" in said[0]
    async with gateway.over(tencent.Carrier, **options(provider)) as carrier:
        carrier.submit(texts(body, 1))
        await gateway.hear(1)
    assert gateway.answers == [Rejected(texts(body, 1)[0], "TEMPLATE")] and provider.asked == []
    wide = carriers.settings_of(tencent.Carrier, "main", options(longest_parameter=12))
    assert tencent.Carrier.objection(wide, body) is None


async def test_more_than_nine_parameters_keep_their_order(provider: Provider, gateway: Gateway) -> None:
    wording = {"9": "".join(f"{n}号{{{n}}}；" for n in range(11, 0, -1))}
    body = "".join(f"{n}号第{n}；" for n in range(11, 0, -1))
    async with gateway.over(tencent.Carrier, **options(provider, templates=wording)) as carrier:
        carrier.submit(texts(body, 1))
        await gateway.hear(1)
    assert provider.asked[0].json()["TemplateParamSet"] == [f"第{n}" for n in range(1, 12)]


# -- callbacks -------------------------------------------------------------------------------------------------

REPORT = {
    "user_receive_time": "2026-03-02 11:50:09", "nationcode": "86", "mobile": "13800130001",
    "report_status": "SUCCESS", "errmsg": "DELIVRD", "description": "用户短信送达成功", "sid": "2019:0001",
}  # fmt: skip
REPLY = {
    "extend": "12",
    "mobile": "13800130001",
    "nationcode": "86",
    "sign": "枣原镇",
    "text": "收到",
    "time": 1772423700,
}


def called(told: Any, token: str = TOKEN) -> carriers.Reply:
    settings = carriers.settings_of(tencent.Carrier, "main", options())
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    return tencent.Carrier.called(settings, Call("POST", {}, {}, body, token), NOON)


def test_receipts_name_the_serial_number() -> None:
    failed = REPORT | {"report_status": "FAIL", "errmsg": "MK:0001", "sid": "2019:0002", "mobile": "13800130002"}
    at = datetime(2026, 3, 2, 3, 50, 9, tzinfo=UTC)
    reply = called([REPORT, failed, {"sid": "x"}, 7])
    assert reply.items == (
        Receipt("2019:0001", number(1), ReceiptState.DELIVERED, None, at),
        Receipt("2019:0002", number(2), ReceiptState.UNDELIVERED, "MK:0001", at),
    )
    assert (reply.status, json.loads(reply.body), reply.content_type) == (
        200, {"result": 0, "errmsg": "OK"}, "application/json"
    )  # fmt: skip


def test_a_reply_comes_alone() -> None:
    at = datetime(2026, 3, 2, 3, 55, tzinfo=UTC)
    assert called(REPLY).items == (Received("", number(1), "12", "收到", at),)
    assert called(REPLY | {"time": "soon"}).items[0].at == NOON
    assert called(REPLY | {"time": 10**30}).items[0].at == NOON


@pytest.mark.parametrize("body", [b"", b"nonsense", b"{}", b"[{}]", b"5", b"\xff", b"[" * 100_000])
def test_what_cannot_be_read_is_refused(body: bytes) -> None:
    assert called(body) == carriers.Reply((), 400)


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x"])
def test_only_who_knows_the_token_is_heard(token: str) -> None:
    assert called([REPORT], token) == carriers.Reply((), 404)


# -- the vendor's SDK ------------------------------------------------------------------------------------------


def asked_by_sdk(provider: Provider) -> Asked:
    """SendSms as the vendor's own client puts it to the provider, which answers it."""
    from tencentcloud.common import credential
    from tencentcloud.common.profile.client_profile import ClientProfile
    from tencentcloud.common.profile.http_profile import HttpProfile
    from tencentcloud.sms.v20210111 import models, sms_client

    http = HttpProfile(protocol="http", endpoint=provider.url.partition("://")[2])
    client = sms_client.SmsClient(
        credential.Credential(ID, KEY), "ap-guangzhou", ClientProfile(httpProfile=http, signMethod="TC3-HMAC-SHA256")
    )
    request = models.SendSmsRequest()
    request.PhoneNumberSet, request.SmsSdkAppId, request.SignName = ["+8613800130001"], "1400006666", "枣原镇"
    request.TemplateId, request.TemplateParamSet, request.SessionContext = "1110", ["王大爷", "社保卡"], "x"
    answered = client.SendSms(request)
    assert [one.Code for one in answered.SendStatusSet] == ["Ok"]
    return provider.asked[-1]


async def test_our_signature_is_the_sdks_byte_for_byte(provider: Provider) -> None:
    """The SDK asks our provider; signed over again at its time the header is the same."""
    one = await asyncio.to_thread(asked_by_sdk, provider)
    seconds = int(one.headers["x-tc-timestamp"])
    ours = tencent.authorization(one.headers["host"], one.headers["content-type"], one.body, ID, KEY, seconds)
    assert ours == one.headers["authorization"]


async def test_what_we_send_is_signed_as_the_sdk_would_and_says_what_it_says(
    provider: Provider, gateway: Gateway
) -> None:
    from tencentcloud.common.sign import Sign

    async with gateway.over(tencent.Carrier, **options(provider)) as carrier:
        carrier.submit([Text(1, 1, number(1), DONE.format("王大爷"), 1)])
        await gateway.hear(1)
    ours, theirs = provider.asked[0], await asyncio.to_thread(asked_by_sdk, provider)
    assert {**ours.json(), "SessionContext": "x"} == theirs.json()
    for name in ("x-tc-action", "x-tc-version", "x-tc-region", "host"):
        assert ours.headers[name] == theirs.headers[name]
    (at, scope), digest = ("1772424000", "2026-03-02/sms/tc3_request"), _canonical(ours)
    assert ours.headers["x-tc-timestamp"] == at
    signature = Sign.sign_tc3(KEY, "2026-03-02", "sms", f"TC3-HMAC-SHA256\n{at}\n{scope}\n{digest}")
    assert ours.headers["authorization"].endswith(f"SignedHeaders=content-type;host, Signature={signature}")
    await until(lambda: isinstance(gateway.answers[0], Accepted))


def _canonical(one: Asked) -> str:
    """The digest that is signed, as the vendor's page puts it together."""
    lines = f"content-type:{one.headers['content-type']}\nhost:{one.headers['host']}\n"
    whole = f"POST\n/\n\n{lines}\ncontent-type;host\n{sha256(one.body).hexdigest()}"
    return sha256(whole.encode()).hexdigest()
