"""gateway.carriers.aliyun: against a scripted provider, and its signature against the vendor's own SDK."""

from __future__ import annotations

import asyncio
import json
import re
import warnings
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway import carriers
from gateway.carriers import Call, Deferred, Receipt, Received, Rejected, Text, aliyun, web
from gateway.errors import Invalid, Unavailable
from gateway.model import ReceiptState
from tests.carriers.provider import CUT, HANG, Asked, Gateway, Provider, Said, number, refs, texts, until
from tests.conftest import NOON

KEY, SECRET, TOKEN = "LTAI-key", "a-secret-key-of-theirs", "an-unguessable-token-1"
TEMPLATES = {"SMS_1": "尊敬的${name}，您的${item}已办好，请于${day}前来取。", "SMS_2": "今夜有雨，注意防范。"}
RAIN, DONE = "【枣原镇】今夜有雨，注意防范。", "【枣原镇】尊敬的{}，您的社保卡已办好，请于3月9日前来取。"


def options(provider: Provider | None = None, **more: Any) -> dict[str, Any]:
    return {
        "access_key_id": KEY,
        "access_key_secret": SECRET,
        "sign_name": "枣原镇",
        "templates": TEMPLATES,
        "endpoint": provider.url if provider else "https://dysmsapi.aliyuncs.com",
        "callback_token": TOKEN,
        "in_flight": 200,
        **more,
    }


def accepted(asked: Asked) -> Any:
    return {"Code": "OK", "Message": "OK", "BizId": "9006^0", "RequestId": "F655"}


def phones(asked: Asked) -> list[str]:
    if "PhoneNumbers" in asked.query:
        return [asked.query["PhoneNumbers"]]
    return list(json.loads(asked.form["PhoneNumberJson"]))


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider(accepted).listening() as one:
        yield one


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


# -- sending ---------------------------------------------------------------------------------------------------


async def test_one_text_is_sent_as_template_and_parameters(provider: Provider, gateway: Gateway) -> None:
    async with gateway.over(aliyun.Carrier, **options(provider)) as carrier:
        carrier.submit([Text(1, 1, number(1), DONE.format("王大爷"), 2)])
        assert gateway.answers == [] and carrier.free == 198
        await gateway.hear(1)
        assert carrier.free == carrier.capacity == 200
    (asked,) = provider.asked
    assert (asked.method, asked.path, asked.headers["x-acs-action"]) == ("POST", "/", "SendSms")
    assert (asked.query["PhoneNumbers"], asked.query["SignName"], asked.query["TemplateCode"]) == (
        "13800130001", "枣原镇", "SMS_1"
    )  # fmt: skip
    assert json.loads(asked.query["TemplateParam"]) == {"name": "王大爷", "item": "社保卡", "day": "3月9日"}
    assert refs(gateway.answers) == [(aliyun.ref_of(asked.query["OutId"], number(1)), "")]
    assert gateway.kinds == {"Accepted": 1}


async def test_up_to_a_hundred_share_a_request_each_with_its_own_parameters(
    provider: Provider, gateway: Gateway
) -> None:
    people = [Text(n, 1, number(n), DONE.format(f"村民{n}"), 1) for n in range(1, 151)]
    async with gateway.over(aliyun.Carrier, **options(provider)) as carrier:
        carrier.submit(people)
        await gateway.hear(150)
    assert [len(phones(asked)) for asked in provider.asked] == [100, 50]
    first = provider.asked[0]
    assert first.headers["x-acs-action"] == "SendBatchSms" and first.query.keys() == {"OutId", "TemplateCode"}
    assert json.loads(first.form["SignNameJson"]) == ["枣原镇"] * 100
    assert [one["name"] for one in json.loads(first.form["TemplateParamJson"])] == [f"村民{n}" for n in range(1, 101)]
    assert len(set(refs(gateway.answers))) == 150 and gateway.kinds == {"Accepted": 150}


async def test_templates_are_not_mixed_and_a_number_is_once_in_a_request(provider: Provider, gateway: Gateway) -> None:
    people = [*texts(RAIN, 3), *texts(DONE.format("王大爷"), 2, first=5), Text(9, 1, number(1), RAIN, 1)]
    async with gateway.over(aliyun.Carrier, **options(provider)) as carrier:
        carrier.submit(people)
        await gateway.hear(6)
    assert sorted(len(phones(asked)) for asked in provider.asked) == [1, 2, 3]
    assert all(len(set(phones(asked))) == len(phones(asked)) for asked in provider.asked)


async def test_a_text_of_no_template_is_refused_without_being_sent(provider: Provider, gateway: Gateway) -> None:
    async with gateway.over(aliyun.Carrier, **options(provider)) as carrier:
        carrier.submit([*texts("【枣原镇】明天停水。", 1)])
        assert gateway.answers == []
        await gateway.hear(1)
    assert gateway.answers == [Rejected(texts("【枣原镇】明天停水。", 1)[0], "TEMPLATE")] and provider.asked == []


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("isv.SMS_SIGNATURE_ILLEGAL", "Rejected"),
        ("isv.SMS_TEMPLATE_ILLEGAL", "Rejected"),
        ("isv.SOMETHING_NEW", "Rejected"),
        ("isv.BUSINESS_LIMIT_CONTROL", "Deferred"),
        ("isp.SYSTEM_ERROR", "Uncertain"),
        ("isv.AMOUNT_NOT_ENOUGH", "Deferred"),
        ("SignatureDoesNotMatch", "Deferred"),
    ],
)
@pytest.mark.parametrize("status", [200, 400])
async def test_each_code_has_its_outcome(
    provider: Provider, gateway: Gateway, code: str, kind: str, status: int
) -> None:
    provider.script = [Said(status, {"Code": code, "Message": "m"})]
    async with gateway.over(aliyun.Carrier, **options(provider)) as carrier:
        carrier.submit(texts(RAIN, 1))
        (answer,) = await gateway.hear(1)
    assert (type(answer).__name__, answer.error) == (kind, code)  # type: ignore[union-attr]
    assert [bool(ref) for ref in refs([answer])] == [kind == "Uncertain"]


async def test_where_the_account_is_refused_it_is_unavailable_for_a_while(
    provider: Provider, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "REFUSED_SECONDS", 0.3)
    code = "isv.AMOUNT_NOT_ENOUGH"
    provider.script = [{"Code": code}]
    async with gateway.over(aliyun.Carrier, **options(provider)) as carrier:
        carrier.submit([*texts(RAIN, 2), *texts(DONE.format("王大爷"), 2, first=5)])
        await gateway.hear(2)
        assert (gateway.failures, carrier.free, carrier.links_up) == ([f"refused: {code}"], 0, (0, 1))
    assert gateway.kinds == {"Deferred": 4} and len(provider.asked) == 1
    with pytest.raises(Unavailable, match=code):
        async with gateway.over(aliyun.Carrier, **options(provider)):
            pass
    await asyncio.sleep(0.3)
    async with gateway.over(aliyun.Carrier, **options(provider)) as carrier:
        carrier.submit(texts(RAIN, 1, first=9))
        await gateway.hear(5)
        assert (gateway.kinds["Accepted"], carrier.links_up) == (1, (1, 1))
    async with gateway.over(aliyun.Carrier, **options(provider)):
        pass  # it may be asked again
    assert "carrier.refuses_us" in gateway.log.getvalue()


async def test_an_account_that_stays_refused_is_asked_less_and_less(
    provider: Provider, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "REFUSED_SECONDS", 0.01)
    monkeypatch.setattr(web, "LONGEST_REFUSAL", 0.03)
    provider.otherwise = lambda asked: {"Code": "SignatureDoesNotMatch"}
    for n in range(1, 4):
        async with gateway.over(aliyun.Carrier, **options(provider)) as carrier:
            carrier.submit(texts(RAIN, 1, first=n))
            await gateway.hear(n)
        await asyncio.sleep(0.05)
    pauses = [
        line.split("again_in=")[1].split()[0] for line in gateway.log.getvalue().splitlines() if "again_in" in line
    ]
    assert [float(re.sub(r"\x1b\[[0-9;]*m", "", pause)) for pause in pauses] == [0.01, 0.02, 0.03]


async def test_a_throttled_request_stays_in_flight_and_is_sent_again(
    provider: Provider, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "THROTTLED_SECONDS", 0.02)
    provider.script = [Said(400, {"Code": "Throttling.User"}), Said(503, "busy", {"Retry-After": "0"})]
    async with gateway.over(aliyun.Carrier, **options(provider)) as carrier:
        carrier.submit(texts(RAIN, 2))
        await until(lambda: len(provider.asked) == 1)
        await asyncio.sleep(0.005)
        assert gateway.answers == []
        await gateway.hear(2)
    assert len(provider.asked) == 3 and gateway.kinds == {"Accepted": 2}


async def test_what_is_throttled_too_often_is_deferred(
    provider: Provider, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "THROTTLED_SECONDS", 0.001)
    provider.otherwise = lambda asked: Said(429)
    async with gateway.over(aliyun.Carrier, **options(provider)) as carrier:
        carrier.submit(texts(RAIN, 2))
        await gateway.hear(2)
    assert len(provider.asked) == web.MOST_TRIES and gateway.kinds == {"Deferred": 2}


async def test_of_a_refused_batch_each_is_sent_by_itself(provider: Provider, gateway: Gateway) -> None:
    def one_is_wrong(asked: Asked) -> Any:
        return {"Code": "isv.MOBILE_NUMBER_ILLEGAL"} if "13800130002" in phones(asked) else accepted(asked)

    provider.otherwise = one_is_wrong
    async with gateway.over(aliyun.Carrier, **options(provider)) as carrier:
        carrier.submit(texts(RAIN, 3))
        await gateway.hear(3)
    assert len(provider.asked) == 4 and gateway.kinds == {"Accepted": 2, "Rejected": 1}
    (refused,) = (answer for answer in gateway.answers if isinstance(answer, Rejected))
    assert (refused.text.key, refused.error) == (2, "isv.MOBILE_NUMBER_ILLEGAL")


@pytest.mark.parametrize("step", [CUT, HANG, Said(500, "oops"), Said(200, "<html>"), Said(200, "[1]"), Said(502)])
async def test_what_may_have_left_is_uncertain_and_keeps_a_reference(
    provider: Provider, gateway: Gateway, step: Any
) -> None:
    provider.script = [step]
    async with gateway.over(aliyun.Carrier, **options(provider, answer_seconds=0.5)) as carrier:
        carrier.submit(texts(RAIN, 2))
        await gateway.hear(2)
        assert carrier.free == carrier.capacity
    out = provider.asked[0].query["OutId"]
    assert refs(gateway.answers) == [(aliyun.ref_of(out, number(n)),) for n in (1, 2)]
    assert gateway.kinds == {"Uncertain": 2}
    assert len(provider.asked) == 1 and gateway.failures == []


@pytest.mark.parametrize("status", [301, 302, 307, 401, 403, 404, 405])
async def test_a_misdirected_request_is_deferred_and_no_redirect_followed(
    provider: Provider, gateway: Gateway, status: int
) -> None:
    provider.script = [Said(status, "", {"Location": f"{provider.url}/elsewhere"})]
    async with gateway.over(aliyun.Carrier, **options(provider)) as carrier:
        carrier.submit(texts(RAIN, 1))
        await gateway.hear(1)
        assert (gateway.answers, carrier.free) == ([Deferred(texts(RAIN, 1)[0], f"HTTP {status}")], 0)
    assert len(provider.asked) == 1


async def test_an_answer_without_end_is_not_read_to_its_end(
    provider: Provider, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "LARGEST_ANSWER", 100)
    provider.script = ["x" * 101]
    async with gateway.over(aliyun.Carrier, **options(provider)) as carrier:
        carrier.submit(texts(RAIN, 1))
        await gateway.hear(1)
    assert gateway.kinds == {"Uncertain": 1}


async def test_nobody_there_is_unavailable_and_later_deferred_and_told(gateway: Gateway) -> None:
    async with Provider(accepted).listening() as one, gateway.over(aliyun.Carrier, **options(one)) as carrier:
        one.script = [accepted]
        carrier.submit(texts(RAIN, 1))
        await gateway.hear(1)
    with pytest.raises(Unavailable, match="cannot reach"):
        async with gateway.over(aliyun.Carrier, **options(one)):
            pass
    del carrier


async def test_a_provider_that_goes_away_fails_the_account_once(gateway: Gateway) -> None:
    async with Provider(accepted).listening() as one:
        entered = gateway.over(aliyun.Carrier, **options(one, links=4, in_flight=4))
        carrier = await entered.__aenter__()
    carrier.submit([*texts(RAIN, 1), *texts(DONE.format("王大爷"), 1, first=2)])
    await gateway.hear(2)
    assert (gateway.kinds, carrier.free, carrier.links_up) == ({"Deferred": 2}, 0, (0, 4))
    assert gateway.failures == ["no connection: ClientConnectorError"]
    await entered.__aexit__(None, None, None)
    assert len(gateway.answers) == 2


async def test_closing_answers_everything_once(
    provider: Provider, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "GRACE_SECONDS", 0.1)
    provider.script = [HANG]
    async with gateway.over(aliyun.Carrier, **options(provider)) as carrier:
        carrier.submit([*texts(RAIN, 2), *texts(DONE.format("王大爷"), 1, first=5)])
        await until(lambda: len(provider.asked) == 1)
    assert gateway.kinds == {"Uncertain": 2, "Deferred": 1} and carrier.free == 0
    await carrier.close()
    assert len(gateway.answers) == 3 and len(provider.asked) == 1


async def test_closing_waits_for_what_is_being_answered(provider: Provider, gateway: Gateway) -> None:
    provider.pause = 0.1
    async with gateway.over(aliyun.Carrier, **options(provider)) as carrier:
        carrier.submit(texts(RAIN, 2))
        await until(lambda: len(provider.asked) == 1)
    assert gateway.kinds == {"Accepted": 2}


async def test_what_is_to_be_put_otherwise_at_the_end_did_not_leave(provider: Provider, gateway: Gateway) -> None:
    provider.pause, provider.script = 0.1, [{"Code": "isv.MOBILE_NUMBER_ILLEGAL"}]
    async with gateway.over(aliyun.Carrier, **options(provider)) as carrier:
        carrier.submit(texts(RAIN, 2))
        await until(lambda: len(provider.asked) == 1)
    assert gateway.kinds == {"Deferred": 2} and len(provider.asked) == 1


async def test_never_more_requests_than_links_nor_parts_than_places(provider: Provider, gateway: Gateway) -> None:
    provider.pause = 0.01
    people = [Text(n, 1, number(n % 7), RAIN, 1) for n in range(60)]
    async with gateway.over(aliyun.Carrier, **options(provider, links=3, in_flight=5)) as carrier:
        while people:
            now, people = people[: carrier.free], people[carrier.free :]
            carrier.submit(now)
            assert carrier.capacity - carrier.free <= 15
            await asyncio.sleep(0.003)
        await gateway.hear(60)
    assert provider.most == 3 and gateway.kinds == {"Accepted": 60}


async def test_what_expired_while_it_waited_does_not_leave(provider: Provider, gateway: Gateway) -> None:
    late = Text(1, 1, number(1), RAIN, 1, 2, NOON - timedelta(seconds=1))
    async with gateway.over(aliyun.Carrier, **options(provider)) as carrier:
        carrier.submit([late, *texts(RAIN, 1, first=2)])
        await gateway.hear(2)
    assert Deferred(late, "expired") in gateway.answers and phones(provider.asked[0]) == ["13800130002"]


async def test_our_address_and_the_providers_clock_are_noticed(provider: Provider, gateway: Gateway) -> None:
    provider.script = [
        Said(200, {"Code": "OK"}, {"Date": "Mon, 02 Mar 2026 04:02:05 GMT"}),
        Said(500, "", {"Date": "x"}),
    ]
    async with gateway.over(aliyun.Carrier, **options(provider)) as carrier:
        assert carrier.noticed == {"our address": "127.0.0.1"}
        for n in (1, 2):
            carrier.submit(texts(RAIN, 1, first=n))
            await gateway.hear(n)
        assert carrier.noticed["their clock"] == "+125 s"


async def test_no_secret_and_no_number_is_logged(provider: Provider, gateway: Gateway) -> None:
    provider.script = [CUT, Said(500), {"Code": "SignatureDoesNotMatch", "Message": SECRET}]
    async with gateway.over(aliyun.Carrier, **options(provider)) as carrier:
        for n in range(1, 4):
            carrier.submit(texts(RAIN, 1, first=n))
            await gateway.hear(n)
    assert gateway.failures == ["refused: SignatureDoesNotMatch"]
    said = gateway.log.getvalue() + repr(gateway.failures) + repr(gateway.errors)
    assert "SignatureDoesNotMatch" in said
    assert not any(secret in said for secret in (SECRET, KEY, TOKEN, "1380013", "今夜"))


# -- settings and preflight ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"endpoint": "http://dysmsapi.aliyuncs.com"}, "endpoint"),
        ({"endpoint": "ftp://dysmsapi.aliyuncs.com"}, "endpoint"),
        ({"endpoint": "https://user:word@dysmsapi.aliyuncs.com"}, "endpoint"),
        ({"endpoint": "https://"}, "endpoint"),
        ({"templates": {}}, "templates"),
        ({"templates": {"SMS_1": "请于${}前来"}}, "templates"),
        ({"templates": {"SMS_1": 5}}, "templates"),
        ({"templates": {"SMS_1": "【枣原镇】有雨"}}, "templates"),
        ({"signature_place": "back"}, "signature_place"),
        ({"answer_seconds": 0.0}, "answer_seconds"),
    ],
)
def test_wrong_settings_are_named(changed: dict[str, Any], key: str) -> None:
    with pytest.raises(Invalid) as caught:
        carriers.settings_of(aliyun.Carrier, "main", options() | changed)
    assert [problem.key for problem in caught.value.problems] == [f"carriers.main.{key}"]


def test_preflight_refuses_what_was_not_registered() -> None:
    settings = carriers.settings_of(aliyun.Carrier, "main", options())
    assert aliyun.Carrier.objection(settings, RAIN) is None
    assert aliyun.Carrier.objection(settings, RAIN.removeprefix("【枣原镇】")) is None
    said = aliyun.Carrier.objection(settings, "【枣原镇】今夜有雪，注意防范。")
    assert said is not None and "报备" in said[0]


# -- callbacks -------------------------------------------------------------------------------------------------


def called(told: Any, token: str = TOKEN, **more: Any) -> carriers.Reply:
    settings = carriers.settings_of(aliyun.Carrier, "main", options(**more))
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    return aliyun.Carrier.called(settings, Call("POST", {}, {}, body, token), NOON)


REPORT = {
    "phone_number": "13800130001", "send_time": "2026-03-02 11:50:00", "report_time": "2026-03-02 11:50:09",
    "success": True, "err_code": "DELIVERED", "err_msg": "ok", "sms_size": "1", "biz_id": "9006^0", "out_id": "0a1b",
}  # fmt: skip
REPLY = {
    "phone_number": "13800130001", "send_time": "20260302115500", "content": "收到，谢谢", "sign_name": "枣原镇",
    "dest_code": "1069000112", "sequence_id": 1234567890,
}  # fmt: skip
AT = datetime(2026, 3, 2, 3, 50, 9, tzinfo=UTC)


def test_receipts_name_our_reference_and_the_number() -> None:
    failed = REPORT | {"success": False, "err_code": "MK:0001", "out_id": "0a1c", "phone_number": "8613800130002"}
    reply = called([REPORT, failed])
    assert reply.items == (
        Receipt(aliyun.ref_of("0a1b", number(1)), number(1), ReceiptState.DELIVERED, None, AT),
        Receipt(aliyun.ref_of("0a1c", number(2)), number(2), ReceiptState.UNDELIVERED, "MK:0001", AT),
    )
    assert (reply.status, json.loads(reply.body)["code"], reply.content_type) == (200, 0, "application/json")


def test_texts_come_the_same_way() -> None:
    assert called([REPLY]).items == (
        Received("1234567890", number(1), "1069000112", "收到，谢谢", datetime(2026, 3, 2, 3, 55, tzinfo=UTC)),
    )


def test_a_repeated_call_says_the_same() -> None:
    assert called([REPORT, REPLY]) == called([REPORT, REPLY])


@pytest.mark.parametrize("body", [b"", b"nonsense", b"{}", b"5", b"\xff", b"[" * 100_000])
def test_what_is_no_array_is_refused(body: bytes) -> None:
    assert called(body) == carriers.Reply((), 400)


def test_of_an_array_what_can_be_read_is_taken() -> None:
    odd = [None, 5, [], {}, {"success": True}, {"content": "x"}, REPORT | {"out_id": None, "biz_id": None}]
    assert called([*odd, REPORT]).items == called([REPORT]).items
    unclear = called([REPORT | {"report_time": "soon", "phone_number": "?"}]).items[0]
    assert isinstance(unclear, Receipt) and (unclear.phone, unclear.at) == ("", NOON)


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", TOKEN[:-1], "\udce5"])
def test_only_who_knows_the_token_is_heard(token: str) -> None:
    assert called([REPORT], token) == carriers.Reply((), 404)


@pytest.mark.parametrize("token", ["", "short"])
def test_a_token_that_could_be_guessed_is_none(token: str) -> None:
    assert called([REPORT], token, callback_token=token) == carriers.Reply((), 404)


# -- the vendor's SDK ------------------------------------------------------------------------------------------


async def test_our_signature_is_the_sdks_byte_for_byte(provider: Provider) -> None:
    """The SDK asks our provider; signed over again with its time and nonce the header is the same."""
    asked = await asyncio.to_thread(asked_by_sdk, provider)
    await asyncio.sleep(0)
    assert [one.headers["x-acs-action"] for one in asked] == ["SendSms", "SendBatchSms"]
    for one in asked:
        names = one.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
        headers = {name: one.headers[name] for name in names}
        assert (
            aliyun.authorization("POST", aliyun.encoded(one.query), headers, KEY, SECRET)
            == one.headers["authorization"]
        )


async def test_what_we_send_is_signed_as_the_sdk_would_and_says_what_it_says(
    provider: Provider, gateway: Gateway
) -> None:
    from alibabacloud_tea_openapi.utils import Utils
    from darabonba.request import DaraRequest

    async with gateway.over(aliyun.Carrier, **options(provider)) as carrier:
        carrier.submit(texts(RAIN, 1))
        carrier.submit([Text(n, 1, number(n), DONE.format(f"王{n}~ *+/?&=%"), 1) for n in (2, 3)])
        await gateway.hear(3)
    theirs = {one.headers["x-acs-action"]: one for one in await asyncio.to_thread(asked_by_sdk, provider)}
    for one in provider.asked[:2]:
        sdk = theirs[one.headers["x-acs-action"]]
        assert one.query.keys() == sdk.query.keys() and one.form.keys() == sdk.form.keys()
        assert one.headers.get("content-type") == sdk.headers.get("content-type")
        assert one.headers["x-acs-version"] == sdk.headers["x-acs-version"]
        request = DaraRequest()
        request.method, request.pathname, request.query = "POST", "/", dict(one.query)
        names = one.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
        request.headers = {name: one.headers[name] for name in names}
        payload = one.headers["x-acs-content-sha256"]
        expected = Utils.get_authorization(request, "ACS3-HMAC-SHA256", payload, KEY, SECRET)
        assert one.headers["authorization"] == expected
        assert Utils.hash(one.body, "ACS3-HMAC-SHA256").hex() == payload
        assert one.headers["x-acs-date"] == "2026-03-02T04:00:00Z"


def asked_by_sdk(provider: Provider) -> list[Asked]:
    """SendSms and SendBatchSms as the vendor's own client puts them to the provider."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not ours
        from alibabacloud_dysmsapi20170525 import models
        from alibabacloud_dysmsapi20170525.client import Client
        from alibabacloud_tea_openapi.models import Config

        before = len(provider.asked)
        host = provider.url.partition("://")[2]
        client = Client(Config(access_key_id=KEY, access_key_secret=SECRET, endpoint=host, protocol="http"))
        client.send_sms(
            models.SendSmsRequest(
                phone_numbers="13800130001",
                sign_name="枣原镇",
                template_code="SMS_2",
                template_param="{}",
                out_id="a b~",
            )
        )
        client.send_batch_sms(
            models.SendBatchSmsRequest(
                phone_number_json='["13800130001","13800130002"]', sign_name_json='["枣原镇","枣原镇"]',
                template_code="SMS_1", template_param_json='[{"name":"王"},{"name":"李 +~"}]', out_id="c/d",
            )
        )  # fmt: skip
        return provider.asked[before:]
