"""gateway.carriers.gsm: a modem over TCP and over a pseudo-terminal, well and badly behaved."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from gateway.carriers import (
    Accepted,
    Answer,
    Concat,
    Deferred,
    Rejected,
    Text,
    Uncertain,
    gsm,
    load,
    settings_of,
)
from gateway.carriers.gsm import Carrier, at, causes, memory, modem, pdu
from gateway.carriers.gsm.at import Line
from gateway.carriers.gsm.causes import Says
from gateway.carriers.gsm.memory import Memory
from gateway.carriers.gsm.operator import Operator
from gateway.carriers.wire.operator import Behaviour as Told
from gateway.errors import Invalid, Unavailable
from gateway.model import ReceiptState
from gateway.text import measure, parts
from tests.carriers.modem import Rig, rig, text

LONG = "【枣原镇】" + "关于2026年城乡居民基本养老保险待遇领取资格认证的通知：" * 6 + "联系电话0912-0000500。𠮷😀完"
LATIN = "Pension checks: come to the hall [window 3], bring your card. €5 is paid back. " * 5
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)


@pytest.fixture(params=["tcp", "pty"])
async def one(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(request.param) as made:
        yield made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name, seconds in (
        (at, "PROMPT_SECONDS", 0.3), (at, "ANSWER_SECONDS", 1.0), (modem, "SYNC_SECONDS", 0.1),
        (modem, "SETTLE_SECONDS", 0.0), (modem, "BUSY_SECONDS", 0.01), (gsm, "STORE_AGAIN_SECONDS", 0.02),
        (gsm, "CLOSE_SECONDS", 0.6),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, seconds)


def long(key: int, body: str = LONG, **more: Any) -> Text:
    return text(key, body, measure(body).parts, **more)


def kinds(answers: list[Answer]) -> list[str]:
    return [type(answer).__name__ for answer in answers]


def refs(answer: Answer) -> tuple[str, ...]:
    assert isinstance(answer, Accepted)
    return answer.refs


# -- out -------------------------------------------------------------------------------------------------------


async def test_a_protocol_is_a_module() -> None:
    assert load("gsm") is Carrier
    assert (gsm.decode, gsm.encode) == (pdu.decode, pdu.encode)


async def test_accepted_with_a_reference_and_on_the_phone(one: Rig) -> None:
    carrier = await one.opened()
    assert (carrier.capacity, carrier.free, carrier.links_up) == (1, 1, (1, 1))
    carrier.submit([text(1)])
    assert carrier.free == 0 and not one.desk.answers
    [answer] = await one.desk.answered(1)
    assert (answer.text, len(refs(answer))) == (text(1), 1)
    assert one.modem.bodies() == {text(1).phone: ["今夜有雨"]}
    await one.desk.until(lambda: carrier.free == 1)


@pytest.mark.parametrize("header", [6, 7])
@pytest.mark.parametrize("body", [LONG, LATIN, "字" * 71, "字" * 134, "x" * 161, "€" * 81, "字" * 66 + "😀" * 4])
async def test_a_long_text_arrives_whole_with_a_reference_per_part(body: str, header: int) -> None:
    async with rig() as one:
        carrier = await one.opened(long=header)
        count = parts(body, carrier.cutting(carrier.settings))
        carrier.submit([text(1, body, count), text(2, body, count)])
        first, second = await one.desk.answered(2)
        assert len(set(refs(first) + refs(second))) == 2 * count > 2
        assert {taken.fields["TP-UDH"][0]["iei"] for taken in one.modem.seen.taken} == {0 if header == 6 else 8}
        assert one.modem.bodies() == {text(1).phone: [body], text(2).phone: [body]}
        named = [pdu.part_of(taken.fields) for taken in one.modem.seen.taken]
        assert len({part[0] for part in named if part}) == 2  # one long text is not taken for the other


async def test_a_text_has_the_validity_that_is_left_of_it() -> None:
    async with rig() as one:
        one.desk.now = lambda: NOON
        carrier = await one.opened(validity=3 * 86400.0)
        carrier.submit([text(1), text(2, expires_at=NOON + timedelta(hours=2))])
        await one.desk.answered(2)
        assert [part.fields["TP-VP"] for part in one.modem.seen.taken] == [169, 23]


async def test_a_text_that_is_worth_nothing_any_more_does_not_leave() -> None:
    async with rig() as one:
        carrier = await one.opened()
        carrier.submit([text(1, expires_at=datetime.now(UTC) - timedelta(seconds=1))])
        assert await one.desk.answered(1) == [Deferred(one.desk.answers[0].text, "expired")]
        assert not one.modem.seen.taken


async def test_what_cannot_be_sent_is_rejected_and_stops_nobody() -> None:
    async with rig() as one:
        carrier = await one.opened()
        carrier.submit([text(1)._replace(phone="+86138x"), text(2)])
        assert kinds(await one.desk.answered(2)) == ["Rejected", "Accepted"]


async def test_reports_may_be_done_without() -> None:
    async with rig(receipt_lost=0.0) as one:
        carrier = await one.opened(ask_receipts=False)
        carrier.submit([text(1)])
        await one.desk.answered(1)
        assert one.modem.seen.taken[0].fields["TP-SRR"] == 0
        assert carrier.noticed["reports"] == "none"


@pytest.mark.parametrize(
    ("end", "kind", "error", "fails"),
    [
        ("+CMS ERROR: 1", Rejected, "CMS:1", False),
        ("+CMS ERROR: 21", Rejected, "CMS:21", False),
        ("+CMS ERROR: 304", Rejected, "CMS:304", False),
        ("+CMS ERROR: 38", Deferred, "CMS:38", False),
        ("+CMS ERROR: 322", Deferred, "CMS:322", False),
        ("+CMS ERROR: 331", Deferred, "CMS:331", False),
        ("+CMS ERROR: 9999", Deferred, "CMS:9999", False),
        ("+CMS ERROR: SIM busy", Deferred, "CMS:SIM busy", False),
        ("ERROR", Deferred, "ERROR", False),
        ("COMMAND NOT SUPPORT", Deferred, "COMMAND NOT SUPPORT", False),
        ("+CMS ERROR: 332", Uncertain, "CMS:332", False),
        ("+CMS ERROR: 300", Deferred, "CMS:300", True),
        ("+CMS ERROR: 330", Deferred, "CMS:330", True),
        ("+CME ERROR: 10", Deferred, "CME:10", True),
    ],
)
async def test_what_becomes_of_a_refused_text(end: str, kind: type[Answer], error: str, fails: bool) -> None:
    async with rig() as one:
        carrier = await one.opened()
        one.modem.script.append(end)
        carrier.submit([text(1)])
        [answer] = await one.desk.answered(1)
        assert type(answer) is kind and answer.error == error and not getattr(answer, "refs", ())  # type: ignore[union-attr]
        assert one.desk.failures == ([error] if fails else [])
        assert carrier.free == (not fails)
        if not fails:
            carrier.submit([text(2)])
            assert isinstance((await one.desk.answered(2))[1], Accepted)


async def test_refusals_without_a_reason_in_a_row_open_the_modem_anew() -> None:
    async with rig() as one:
        carrier = await one.opened()
        one.modem.script += ["+CMS ERROR: 500", "OK", *["+CMS ERROR: 500"] * 3]
        carrier.submit([text(key) for key in range(5)])
        await one.desk.until(lambda: one.desk.failures)
        assert kinds(one.desk.answers) == ["Deferred", "Accepted", *["Deferred"] * 3]
        assert one.desk.failures == ["CMS:500"]


async def test_a_modem_that_lost_its_settings_rejects_no_text() -> None:
    async with rig() as one:
        carrier = await one.opened()
        one.modem._pdus = False
        carrier.submit([text(1)])
        assert await one.desk.answered(1) == [Deferred(text(1), "CMS:304")]
        assert one.desk.failures == ["CMS:304"]


async def test_what_was_taken_without_a_number_is_uncertain() -> None:
    async with rig() as one:
        carrier = await one.opened()
        one.modem.script.append("OK")
        one.modem._take = lambda fields: one.modem._say("OK")  # type: ignore[method-assign]
        carrier.submit([text(1)])
        assert await one.desk.answered(1) == [Uncertain(text(1), gsm.NO_NUMBER)]
        assert not one.desk.failures


async def test_a_fault_of_our_own_ends_the_carrier_and_is_logged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with rig() as one:
        carrier = await one.opened()
        monkeypatch.setattr(causes, "of", lambda error: 1 / 0)
        one.modem.script.append("+CMS ERROR: 38")
        carrier.submit([text(1)])
        assert kinds(await one.desk.answered(1)) == ["Deferred"]
        assert one.desk.failures == ["failed: ZeroDivisionError"] and "gsm.failed" in capsys.readouterr().out


async def test_a_part_that_is_refused_leaves_the_text_unfinished_and_says_which() -> None:
    async with rig() as one:
        carrier = await one.opened()
        one.modem.script += ["OK", "+CMS ERROR: 21"]
        carrier.submit([long(1)])
        [answer] = await one.desk.answered(1)
        assert isinstance(answer, Rejected) and answer.error == "CMS:21"
        assert len(answer.refs) == answer.text.parts and answer.refs[0] and not any(answer.refs[1:])


async def test_a_part_that_cannot_leave_now_is_offered_again() -> None:
    async with rig() as one:
        carrier = await one.opened()
        one.modem.script += ["OK", "+CMS ERROR: 42", "+CMS ERROR: 38", "OK"]
        carrier.submit([long(1)])
        assert kinds(await one.desk.answered(1)) == ["Accepted"]
        assert one.modem.bodies() == {text(1).phone: [LONG]}


async def test_a_text_that_has_partly_left_and_can_no_further_is_uncertain() -> None:
    async with rig() as one:
        carrier = await one.opened()
        one.modem.script += ["OK", *["+CMS ERROR: 42"] * gsm.PART_TRIES]
        carrier.submit([long(1)])
        [answer] = await one.desk.answered(1)
        assert isinstance(answer, Uncertain) and answer.refs[0] and not any(answer.refs[1:])


async def test_a_modem_that_takes_no_text_is_not_opened_again_at_once() -> None:
    async with rig() as one:
        one.modem.script.append("+CMS ERROR: 330")
        carrier = await one.opened(pause=0.1)
        carrier.submit([text(1)])
        await one.desk.answered(1)
        assert one.desk.failures == ["CMS:330"]
        with pytest.raises(Unavailable, match="CMS:330"):
            await one.opened(pause=0.1)
        await asyncio.sleep(0.2)
        again = await one.opened(pause=0.1)
        again.submit([text(2)])
        assert kinds(await one.desk.answered(2)) == ["Deferred", "Accepted"]
        await one.opened(pause=0.1)


# -- hanging, breaking, coming back ----------------------------------------------------------------------------


async def test_a_hang_after_the_text_was_handed_over_is_uncertain_and_the_modem_comes_back(one: Rig) -> None:
    carrier = await one.opened(answer_seconds=0.2)
    one.modem.script.append("hang")
    carrier.submit([text(1)])
    assert kinds(await one.desk.answered(1)) == ["Uncertain"]
    assert one.desk.failures == ["no answer to AT+CMGS"] and carrier.links_up == (0, 1)
    await carrier.close()
    with pytest.raises(Unavailable):
        await one.opened()
    one.modem.revive()
    again = await one.opened()
    again.submit([text(2)])
    assert kinds(await one.desk.answered(2)) == ["Uncertain", "Accepted"]


async def test_a_hang_before_the_text_was_handed_over_is_deferred(one: Rig) -> None:
    carrier = await one.opened()
    one.modem.hanging = True
    carrier.submit([text(1)])
    assert await one.desk.answered(1) == [Deferred(text(1), "no answer to AT+CMGS")]
    assert one.desk.failures == ["no answer to AT+CMGS"]


async def test_a_hang_is_noticed_without_a_text(one: Rig) -> None:
    await one.opened(check_seconds=0.02)
    one.modem.hanging = True
    async with asyncio.timeout(8):
        while not one.desk.failures:
            await asyncio.sleep(0.02)
    assert one.desk.failures[0].startswith("no answer to AT+C")


async def test_a_broken_line_leaves_what_was_handed_over_uncertain(one: Rig) -> None:
    carrier = await one.opened()
    one.modem.script.append("cut")
    carrier.submit([text(1)])
    assert kinds(await one.desk.answered(1)) == ["Uncertain"]
    assert len(one.desk.failures) == 1 and "line" in one.desk.failures[0]
    carrier.submit([text(2)])
    assert (await one.desk.answered(2))[1] == Deferred(text(2), "closed")


async def test_a_pulled_cable_defers_what_had_not_left(one: Rig) -> None:
    carrier = await one.opened(pause=60.0)
    carrier.submit([text(1)])
    await one.desk.answered(1)
    carrier.submit([text(2)])
    await asyncio.sleep(0.01)
    one.unplug()
    assert kinds(await one.desk.answered(2)) == ["Accepted", "Deferred"]
    assert len(one.desk.failures) == 1


async def test_a_prompt_that_was_left_open_is_no_hindrance(one: Rig) -> None:
    one.modem.script.append("hang")
    carrier = await one.opened()
    one.modem._prompted = True  # a program died between the command and its text
    await carrier.close()
    again = await one.opened()
    one.modem.script.clear()
    again.submit([text(1)])
    assert kinds(await one.desk.answered(1)) == ["Accepted"]
    assert one.modem.bodies() == {text(1).phone: ["今夜有雨"]}


@pytest.mark.parametrize("said", ["RDY", "+CPIN: NOT READY", "NORMAL POWER DOWN"])
async def test_a_modem_that_starts_by_itself_is_opened_anew(said: str) -> None:
    async with rig() as one:
        await one.opened()
        one.modem._say("+CPIN: READY", "^RSSI:18", said)
        await one.desk.until(lambda: one.desk.failures)
        assert one.desk.failures == ["the modem started anew, or lost its SIM"]


async def test_settings_that_are_gone_are_noticed() -> None:
    async with rig() as one:
        await one.opened(check_seconds=0.02)
        one.modem._pdus = False
        await one.desk.until(lambda: one.desk.failures)
        assert one.desk.failures == ["the modem lost its settings"]


async def test_without_network_nothing_is_taken_and_after_a_while_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gsm, "WITHOUT_NETWORK_SECONDS", 0.2)
    async with rig() as one:
        carrier = await one.opened(check_seconds=0.05)
        one.modem.network = 3
        one.modem._say("+CREG: 3")
        await one.desk.until(lambda: carrier.links_up == (0, 1))
        assert carrier.free == 0 and carrier.noticed["network"] == "none (3)" and not one.desk.failures
        one.modem.network = 5
        one.modem._say("+CREG: 5")
        await one.desk.until(lambda: carrier.free)
        assert carrier.noticed["network"] == "roaming"
        one.modem.network = 0
        await one.desk.until(lambda: one.desk.failures)
        assert one.desk.failures == ["no network"]


# -- opening ---------------------------------------------------------------------------------------------------


async def test_nobody_there_is_unavailable(tmp_path: Any) -> None:
    async with rig() as one:
        for port in ("tcp://127.0.0.1:1", str(tmp_path / "ttyUSB9")):
            one.port = port
            with pytest.raises(Unavailable, match="cannot open"):
                await one.opened()
        assert not one.desk.failures and not one.desk.answers


async def test_a_port_that_another_program_has_is_unavailable() -> None:
    async with rig("pty") as one:
        await one.opened()
        with pytest.raises(Unavailable, match="in use"):
            await one.opened()


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"AT": []}, "does not answer"),
        ({"AT+CPIN?": ["+CME ERROR: 10"]}, "no SIM"),
        ({"AT+CPIN?": ["+CPIN: SIM PUK", "OK"]}, "the SIM is locked: SIM PUK"),
        ({"AT+CPIN?": ["+CPIN: PH-NET PIN", "OK"]}, "cannot be used"),
        ({"AT+CREG?": ["+CREG: 1,3", "OK"]}, r"not registered with a network \(none \(3\)\)"),
        ({"AT+CMGF=0": ["ERROR"]}, "no PDU mode"),
        ({"AT+CSCA?": ['+CSCA: "",129', "OK"]}, "set smsc"),
        ({'AT+CPMS="SM","SM","SM"': ["ERROR"]}, "no storage"),
        ({"AT+CNMI=2,1,0,2,0": ["ERROR"], "AT+CNMI=?": ["+CNMI: (2),(1),(0),(2),(0)", "OK"]}, "does not announce"),
    ],
)
async def test_a_modem_that_cannot_work_says_what_is_to_be_done(answers: dict[str, list[str]], said: str) -> None:
    async with rig() as one:
        one.modem.answers |= answers
        with pytest.raises(Unavailable, match=said) as caught:
            await one.opened()
        assert not caught.value.zh.isascii() and caught.value.en.isascii()
        assert not one.desk.failures


@pytest.mark.parametrize(
    "answers",
    [
        {"AT+CREG?": ["+CREG: 1,0", "OK"], "AT+CEREG?": ["+CEREG: 0,1", "OK"]},
        {"AT+CREG?": ["+CREG: 6", "+CREG: 1,6", "OK"]},
        {"AT+CSMS=1": ["+CMS ERROR: 303"]},
        {"AT+CMEE=1": ["ERROR"], "ATZ": ["ERROR"], "ATE0": ["ERROR"], "AT+CFUN?": ["ERROR"]},
        {"AT+CNMI=?": ["ERROR"], "AT+CNMI=2,1,0,2,0": ["ERROR"]},
        {"AT+CPMS=?": ["ERROR"]},
        {"AT+CSQ": ["+CSQ: 99,99", "OK"], "AT+COPS?": ["+COPS: 0", "OK"]},
        {"AT+CPIN?": ["+CPIN: READY"]},
    ],
)
async def test_a_modem_need_not_have_everything(answers: dict[str, list[str]]) -> None:
    async with rig() as one:
        one.modem.answers |= answers
        carrier = await one.opened()
        assert carrier.links_up == (1, 1)
        one.modem.say("+8613800130009", "查询")
        await one.desk.until(lambda: one.desk.received)
        carrier.submit([text(1)])
        assert kinds(await one.desk.answered(1)) == ["Accepted"]


async def test_a_sim_that_is_busy_is_waited_for() -> None:
    async with rig() as one:
        one.modem.answers["AT+CPIN?"] = ["+CME ERROR: 14"]
        opening = asyncio.create_task(one.opened())
        await one.desk.until(lambda: one.modem.seen.commands.count("AT+CPIN?") > 2)
        del one.modem.answers["AT+CPIN?"]
        assert (await opening).links_up == (1, 1)


async def test_the_message_centre_is_set_where_it_is_given() -> None:
    async with rig() as one:
        await one.opened(smsc="+8613800100500", storage="SM")
        assert 'AT+CSCA="+8613800100500",145' in one.modem.seen.commands


async def test_a_modem_that_sleeps_is_woken_and_another_storage_is_taken() -> None:
    async with rig() as one:
        one.modem.answers |= {"AT+CFUN?": ["+CFUN: 0", "OK"], 'AT+CPMS="ME","ME","ME"': ["+CMS ERROR: 302"]}
        await one.opened(storage="ME")
        assert {"AT+CFUN=1", 'AT+CPMS="SM","SM","SM"'} <= set(one.modem.seen.commands)


async def test_a_message_centre_that_cannot_be_set_is_told() -> None:
    async with rig() as one:
        one.modem.answers['AT+CSCA="13800100500",129'] = ["+CME ERROR: 4"]
        with pytest.raises(Unavailable, match="cannot be set"):
            await one.opened(smsc="13800100500")


async def test_what_it_lets_us_see(one: Rig) -> None:
    carrier = await one.opened(per_day=9)
    carrier.submit([text(1)])
    await one.desk.answered(1)
    assert carrier.noticed | {"storage SM": "0/20", "storage SR": "0/20"} == {
        "modem": "Rehearsal Modem", "operator": "CHINA MOBILE", "network": "home", "signal": "-71 dBm",
        "reports": "stored", "storage SM": "0/20", "storage SR": "0/20", "sent today": "1/9",
    }  # fmt: skip


# -- the PIN -----------------------------------------------------------------------------------------------------


async def test_the_right_pin_opens_the_sim() -> None:
    async with rig(pin="2468") as one:
        with pytest.raises(Unavailable, match="set pin_env"):
            await one.opened()
        carrier = await one.opened(pin="2468")
        await carrier.close()
        one.modem.locked = True  # the power was cut
        assert (await one.opened(pin="2468")).links_up == (1, 1)


async def test_a_wrong_pin_is_tried_once_by_all_openings() -> None:
    async with rig(pin="2468") as one:
        for _ in range(4):
            with pytest.raises(Unavailable, match="PIN is wrong"):
                await one.opened(pin="1357")
        assert [said for said in one.modem.seen.commands if said.startswith("AT+CPIN=")] == ['AT+CPIN="1357"']
        assert one.modem.tries == 2


async def test_a_wrong_pin_is_not_tried_again_after_a_restart() -> None:
    async with rig(pin="2468") as one:
        one.modem.tries = 2
        with pytest.raises(Unavailable, match="PIN is wrong"):
            await one.opened(pin="1357")
        assert not any(said.startswith("AT+CPIN=") for said in one.modem.seen.commands)


@pytest.mark.parametrize("pin", ["246", "2468a", '2468"\rAT+CFUN=0', "２４６８"])
async def test_what_is_no_pin_is_not_tried(pin: str) -> None:
    async with rig(pin="2468") as one:
        with pytest.raises(Unavailable, match="4 to 8 digits"):
            await one.opened(pin=pin)
        assert not any(said.startswith("AT+CPIN=") for said in one.modem.seen.commands)


# -- receipts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direct", [False, True])
async def test_each_part_has_its_receipt(one: Rig, direct: bool) -> None:
    one.modem.behaviour = replace(one.modem.behaviour, direct=direct)
    carrier = await one.opened()
    carrier.submit([text(1), long(2)])
    answers = await one.desk.answered(2)
    for taken in reversed(one.modem.seen.taken):
        one.modem.report(taken, 0x00)
    await one.desk.until(lambda: len(one.desk.receipts) == 1 + measure(LONG).parts)
    said = [(receipt.ref, receipt.phone) for receipt in reversed(one.desk.receipts)]
    assert said == [(ref, answer.text.phone) for answer in answers for ref in refs(answer)]
    assert {(receipt.state, receipt.error) for receipt in one.desk.receipts} == {(ReceiptState.DELIVERED, None)}
    assert carrier.noticed["reports"] == ("direct" if direct else "stored")
    if direct:
        await one.desk.until(lambda: one.modem.seen.acknowledged == 1 + measure(LONG).parts)
    else:
        await one.desk.until(lambda: not one.modem.storage["SR"])


@pytest.mark.parametrize("direct", [False, True])
async def test_a_receipt_that_overtakes_the_answer_finds_its_part(direct: bool) -> None:
    async with rig(receipt_lost=0.0, receipt_early=1.0, receipt_twice=1.0, direct=direct, latency=0.01) as one:
        one.desk.now = lambda: NOON + timedelta(minutes=59, seconds=59)
        one.modem._now = lambda: NOON + timedelta(hours=1, seconds=1)  # in another hour by the network's clock
        carrier = await one.opened()
        carrier.submit([text(key) for key in range(3)])
        answers = await one.desk.answered(3)
        await one.desk.until(lambda: len(one.desk.receipts) == 6)
        given = [ref for answer in answers for ref in refs(answer)]
        assert sorted(receipt.ref for receipt in one.desk.receipts) == sorted(given * 2)


async def test_a_receipt_finds_its_part_over_the_next_opening_and_after_a_restart() -> None:
    async with rig() as one:
        carrier = await one.opened()
        carrier.submit([text(1)])
        ref = refs((await one.desk.answered(1))[0])[0]
        await carrier.close()
        for _ in ("reopened", "restarted"):
            one.modem.report(one.modem.seen.taken[0], 0x00)  # kept by the SIM meanwhile
            again = await one.opened()
            await one.desk.until(lambda: one.desk.receipts)
            assert one.desk.receipts.pop()[:2] == (ref, text(1).phone)
            await again.close()
            memory._OF.clear()


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (0x00, (ReceiptState.DELIVERED, None)),
        (0x02, (ReceiptState.UNDELIVERED, "0x02")),
        (0x46, (ReceiptState.UNDELIVERED, "0x46")),
        (0x63, (ReceiptState.UNDELIVERED, "0x63")),
        (0x01, None),
        (0x22, None),
        (0x30, None),
        (0x90, None),
    ],
)
async def test_what_a_report_says(status: int, said: Any) -> None:
    async with rig() as one:
        carrier = await one.opened()
        carrier.submit([text(1)])
        await one.desk.answered(1)
        one.modem.report(one.modem.seen.taken[0], status)
        await one.desk.until(lambda: one.modem.seen.deleted == 1)
        assert [(receipt.state, receipt.error) for receipt in one.desk.receipts] == ([said] if said else [])


async def test_a_report_names_the_number_as_networks_do() -> None:
    async with rig() as one:
        carrier = await one.opened()
        carrier.submit([text(1)])
        ref = refs((await one.desk.answered(1))[0])[0]
        for number in ("13800130001", {"toa": 0xA1, "digits": "13800130001"}, "8613800130001"):
            one.modem.seen.taken[0].fields["TP-DA"] = number
            taken = one.modem.seen.taken[0]
            times = {"TP-SCTS": taken.at.replace(microsecond=0).isoformat()}
            told = {"TP-MR": taken.number, "TP-RA": number, "TP-DT": times["TP-SCTS"], "TP-ST": 0} | times
            one.modem._deliver("SR", pdu.encode(pdu.REPORT, told).hex())
        await one.desk.until(lambda: len(one.desk.receipts) == 3)
        assert {receipt[:2] for receipt in one.desk.receipts} == {(ref, text(1).phone)}


# -- which part a report is about --------------------------------------------------------------------------------


def test_numbers_wrap_and_the_nearest_in_time_is_meant() -> None:
    mine = Memory()
    first = mine.note(5, "+8613800130001", NOON)
    other = mine.note(5, "+8613800130002", NOON)
    second = mine.note(5, "+8613800130001", NOON + timedelta(minutes=20))
    assert (first, other, second) == ("26030212-5", "26030212-5", "26030212-5.2")
    assert mine.find(5, "+8613800130001", NOON + timedelta(minutes=1)) == first
    assert mine.find(5, "+8613800130001", NOON + timedelta(minutes=21)) == second
    assert mine.find(5, "+8613800130002", NOON + timedelta(minutes=21)) == other


def test_two_that_fit_alike_are_nobodys() -> None:
    mine = Memory()
    given = [mine.note(5, "+8613800130001", NOON + timedelta(minutes=20 * n)) for n in range(2)]
    assert mine.find(5, "+8613800130001", NOON + timedelta(minutes=10)) not in given
    assert mine.find(5, "+8613800130001", None) not in given


def test_what_is_not_remembered_is_worked_out_by_the_networks_time() -> None:
    mine = Memory()
    assert not mine.knows(5, "+8613800130001", NOON)
    assert mine.find(5, "+8613800130001", NOON) == Memory().note(5, "+8613800130001", NOON + timedelta(minutes=3))
    assert mine.find(5, "+8613800130001", None) == "?-5"
    mine.note(5, "+8613800130001", NOON - timedelta(days=2))
    assert mine.find(5, "+8613800130001", NOON) == "26030212-5"


def test_a_long_text_never_has_the_reference_of_the_one_before() -> None:
    mine = Memory()
    given = [mine.next_long() for _ in range(70_000)]
    assert all(0 <= one < 1 << 16 and one & 0xFF != two & 0xFF for one, two in pairwise(given))


# -- in ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direct", [False, True])
async def test_a_text_to_us(one: Rig, direct: bool) -> None:
    one.modem.behaviour = replace(one.modem.behaviour, direct=direct)
    await one.opened(service_code="13800130000")
    one.modem.say("+8613800130009", "我妈76了 养老认证刷不上脸")
    await one.desk.until(lambda: one.desk.received)
    [said] = one.desk.received
    assert (said.phone, said.to, said.body) == ("+8613800130009", "13800130000", "我妈76了 养老认证刷不上脸")
    assert said.concat is None and said.ref and abs(said.at - datetime.now(UTC)) < timedelta(minutes=1)
    done = (lambda: one.modem.seen.acknowledged) if direct else (lambda: one.modem.seen.deleted)
    await one.desk.until(lambda: done() == 1)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("body", [LONG.replace("𠮷😀", ""), "abc " * 100])
async def test_a_long_text_to_us_comes_in_parts_that_join(wide: bool, body: str) -> None:
    async with rig() as one:
        await one.opened()
        one.modem.say("+8613800130009", body, wide)
        await one.desk.until(lambda: one.modem.seen.deleted == len(one.desk.received) > 1)
        pieces = sorted(one.desk.received, key=lambda said: said.concat or Concat(0, 0, 0))
        assert "".join(piece.body for piece in pieces) == body
        assert [piece.concat and piece.concat.number for piece in pieces] == list(range(1, len(pieces) + 1))
        assert {piece.concat and piece.concat.ref for piece in pieces} == {0x10001 if wide else 1}


@pytest.mark.parametrize("direct", [False, True])
async def test_stored_before_acknowledged_or_deleted(one: Rig, direct: bool) -> None:
    one.modem.behaviour = replace(one.modem.behaviour, direct=direct)
    await one.opened()
    one.desk.refusals = 3
    one.modem.say("+8613800130009", "查询")
    await one.desk.until(lambda: one.desk.refusals == 1)
    assert not (one.modem.seen.deleted or one.modem.seen.acknowledged or one.desk.received)
    await one.desk.until(lambda: one.modem.seen.deleted + one.modem.seen.acknowledged == 1)
    assert [said.body for said in one.desk.received] == ["查询"]


async def test_what_was_not_stored_comes_again_over_the_next_opening_as_the_same() -> None:
    async with rig() as one:
        carrier = await one.opened()
        one.desk.refusals = 1_000
        one.modem.say("+8613800130009", "查询")
        await one.desk.until(lambda: one.desk.refusals < 1_000)
        await carrier.close()
        one.desk.refusals = 0
        again = await one.opened()
        await one.desk.until(lambda: one.modem.seen.deleted)
        await again.close()
        one.modem.storage["SM"][7] = pdu.encode(
            pdu.DELIVER,
            {"TP-OA": "+8613800130009", "TP-DCS": 8, "TP-UD": "查询", "TP-MMS": 1,
             "TP-SCTS": one.desk.received[0].at.isoformat()},
        ).hex()  # fmt: skip
        await one.opened()
        await one.desk.until(lambda: len(one.desk.received) == 2)
        assert one.desk.received[0].ref == one.desk.received[1].ref


async def test_a_full_sim_is_drained_at_the_start_and_what_waited_follows(one: Rig) -> None:
    one.modem.behaviour = replace(one.modem.behaviour, slots=3)
    for number in range(8):
        one.modem.say("+8613800130009", f"第{number}条")
    assert len(one.modem.storage["SM"]) == 3
    await one.opened()
    await one.desk.until(lambda: one.modem.seen.deleted == 8)
    assert [said.body for said in one.desk.received] == [f"第{number}条" for number in range(8)]


async def test_a_full_storage_that_refuses_a_text_is_drained() -> None:
    async with rig() as one:
        carrier = await one.opened()
        one.modem.storage["SM"][0] = pdu.encode(
            pdu.DELIVER, {"TP-OA": "+8613800130009", "TP-SCTS": "2026-03-02T12:00:00+08:00", "TP-UD": "hello"}
        ).hex()
        one.modem.script.append("+CMS ERROR: 322")
        carrier.submit([text(1)])
        assert kinds(await one.desk.answered(1)) == ["Deferred"]
        await one.desk.until(lambda: one.modem.seen.deleted)
        assert [said.body for said in one.desk.received] == ["hello"]


async def test_what_the_sim_keeps_of_others_is_left_alone() -> None:
    async with rig() as one:
        stored = {0: pdu.encode(pdu.SUBMIT, {"TP-DA": "10086", "TP-UD": "draft"}).hex(), 1: "00FF", 2: "0003"}
        listed = [line for at, octets in stored.items() for line in (f"+CMGL: {at},{2 if not at else 1},,9", octets)]
        one.modem.answers["AT+CMGL=4"] = [*listed, "OK"]
        await one.opened(check_seconds=0.02)
        await one.desk.until(lambda: one.modem.seen.commands.count("AT+CMGL=4") > 5)
        assert not any(said.startswith("AT+CMGD") for said in one.modem.seen.commands)
        assert not one.desk.received and not one.desk.failures
        assert one.carriers[0].noticed["unreadable"] == "2"


async def test_what_cannot_be_read_is_acknowledged_where_it_came_directly() -> None:
    async with rig(direct=True) as one:
        await one.opened()
        one.modem._deliver("SM", "00FFFF")
        one.modem.say("+8613800130009", "查询")
        await one.desk.until(lambda: one.modem.seen.acknowledged == 2)
        assert [said.body for said in one.desk.received] == ["查询"]


async def test_a_modem_that_wants_a_number_with_its_acknowledgement_gets_one() -> None:
    async with rig(direct=True) as one:
        one.modem.answers["AT+CNMA"] = ["ERROR"]
        await one.opened()
        for body in ("查询", "退订"):
            one.modem.say("+8613800130009", body)
        await one.desk.until(lambda: one.modem.seen.acknowledged == 2)
        assert [said.body for said in one.desk.received] == ["查询", "退订"]


async def test_what_is_no_text_is_told_by_its_size() -> None:
    async with rig() as one:
        await one.opened()
        fields = {"TP-OA": {"toa": 0xD0, "text": "CMCC"}, "TP-DCS": 4, "TP-SCTS": "2026-03-02T12:00:00+08:00"}
        one.modem.deliver(pdu.encode(pdu.DELIVER, fields | {"TP-UD": {"hex": "0102"}}))
        await one.desk.until(lambda: one.desk.received)
        assert one.desk.received[0][1:4] == ("CMCC", "", "〔非文字短信，2字节〕")


# -- the line ----------------------------------------------------------------------------------------------------


async def test_a_modem_that_goes_on_echoing_is_understood(one: Rig) -> None:
    one.modem.answers["ATE0"] = ["OK"]
    carrier = await one.opened()
    assert one.modem._echo
    carrier.submit([text(1), long(2)])
    assert kinds(await one.desk.answered(2)) == ["Accepted", "Accepted"]
    one.modem.say("+8613800130009", "查询")
    await one.desk.until(lambda: one.modem.seen.deleted)
    assert one.modem.bodies() == {text(1).phone: ["今夜有雨"], text(2).phone: [LONG]}


async def test_announcements_may_come_between_a_command_and_its_answer(one: Rig) -> None:
    noise = ['+CMTI: "SM",3', "^RSSI:18", "^BOOT:31651085,0,0,0,70", "+CREG: 1", "RING", '+CUSD: 0,"OK",15', "+CDS: 25"]
    for command, answer in (("AT+CSQ", "+CSQ: 20,99"), ("AT+CGMM", "E3372"), ("AT+CREG?", "+CREG: 1,1")):
        one.modem.answers[command] = [*noise, answer, *noise[:4], "OK"]
    carrier = await one.opened()
    assert carrier.noticed["signal"] == "-73 dBm" and carrier.noticed["modem"] == "Rehearsal E3372"
    carrier.submit([text(1)])
    assert kinds(await one.desk.answered(1)) == ["Accepted"]


async def test_texts_come_in_while_one_goes_out() -> None:
    async with rig(direct=True, latency=0.7) as one:
        carrier = await one.opened(answer_seconds=5.0)
        carrier.submit([text(1)])
        await one.desk.until(lambda: one.modem.seen.commands[-1].startswith("AT+CMGS"))
        one.modem.say("+8613800130009", "查询")  # between the text and its answer
        await one.desk.until(lambda: one.desk.received)
        assert not one.desk.answers and not one.modem.seen.acknowledged  # nothing may be asked meanwhile
        await one.desk.until(lambda: one.desk.answers and one.modem.seen.acknowledged)
        assert kinds(one.desk.answers) == ["Accepted"]


class Spy:
    """What a line announces, over a transport that takes what is written."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.line = Line(lambda line, octets: self.said.append((line, octets)), lambda why: None)
        self.written = b""

    def hear(self, octets: bytes, size: int = 1) -> None:
        for start in range(0, len(octets), size):
            self.line.data_received(octets[start : start + size])


def test_lines_come_in_any_pieces() -> None:
    said = b'\r\n+CMTI: "SM",3\r\n\r\n+CMT: ,9\r\n00FF\r\n\r\n+CDS: 9\r\n\r\n^RSSI:18\r\nRING\n\n00FF\r\n'
    for size in (1, 2, 7, 100):
        spy = Spy()
        spy.hear(said, size)
        assert spy.said == [('+CMTI: "SM",3', ""), ("+CMT: ,9", "00FF"), ("^RSSI:18", ""), ("RING", ""), ("00FF", "")]


async def test_no_noise_confuses_the_line() -> None:
    dice, spy, ended = random.Random(3), Spy(), 0
    words = [
        b"OK",
        b"ERROR",
        b"+CMS ERROR: 38",
        b"+CMT:",
        b"+CDS: 5",
        b"\r\n",
        b"> ",
        b"00FF",
        b"+CMGL: 1,1,,9",
        b"\x1a",
    ]
    for _ in range(2_000):
        loop = asyncio.get_running_loop()
        asked = at._Asked(
            "AT+CMGL=4", "+CMGL:", dice.random() < 0.5, True, *(loop.create_future() for _ in range(2)), None
        )
        spy.line._asked = asked
        spy.hear(b"".join(dice.choice([*words, dice.randbytes(4)]) for _ in range(8)) + b"\r\n", dice.randint(1, 20))
        ended += asked.ended.done()
        list(modem._listed(tuple(asked.lines)))
    assert 200 < ended < 2_000


class Wire(asyncio.Transport):
    """Takes what is written."""

    def write(self, data: Any) -> None:
        pass

    def is_closing(self) -> bool:
        return False


async def test_who_asked_may_be_gone_when_the_line_breaks() -> None:
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, what: complaints.append(what["message"]))
    spy = Spy()
    spy.line.connection_made(Wire())
    asking = asyncio.create_task(spy.line.ask("AT+CMGS=1", payload="00"))
    for _ in range(3):
        await asyncio.sleep(0)
    spy.line.connection_lost(None)
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    del asking
    await asyncio.sleep(0)
    gc.collect()
    assert not complaints


def test_noise_without_an_end_is_bounded() -> None:
    spy = Spy()
    spy.hear(b"\xff" * 100_000, 1000)
    assert len(spy.line._buffer) <= at.LONGEST_LINE and not spy.said


async def test_no_noise_stops_the_carrier() -> None:
    dice = random.Random(7)
    words = [
        b"OK",
        b"ERROR",
        b"+CMT:",
        b"+CDS: 5",
        b"\r\n",
        b"> ",
        b"+CMGS: x",
        b"00FF",
        b'+CMTI: "SM"',
        b"\x1a",
        b"+CREG:",
    ]
    async with rig() as one:
        carrier = await one.opened()
        for _ in range(300):
            octets = b"".join(dice.choice([*words, dice.randbytes(5)]) for _ in range(dice.randint(1, 12)))
            carrier._line.data_received(octets + b"\r\n")  # type: ignore[union-attr]
        await asyncio.sleep(0.05)
        again = carrier if not one.desk.failures else await one.opened()
        assert not [task for task in again._tasks if task.done() and not task.cancelled() and task.exception()]


# -- pace --------------------------------------------------------------------------------------------------------


def sendings(carrier: Carrier, times: list[float]) -> list[float]:
    """When parts are handed to the modem, from now on."""
    assert carrier._modem is not None
    send = carrier._modem.send

    async def watched(octets: bytes) -> at.Result:
        times.append(asyncio.get_running_loop().time())
        return await send(octets)

    carrier._modem.send = watched  # type: ignore[method-assign]
    return times


async def test_the_pause_is_kept_between_parts_and_over_openings() -> None:
    async with rig() as one:
        carrier = await one.opened(pause=0.1)
        times = sendings(carrier, [])
        carrier.submit([text(1), long(2)])
        await one.desk.answered(2)
        await carrier.close()
        again = await one.opened(pause=0.1)
        sendings(again, times)
        again.submit([text(3)])
        await one.desk.answered(3)
        assert len(times) == 2 + measure(LONG).parts
        assert all(later - earlier >= 0.1 for earlier, later in pairwise(times))


async def test_each_refusal_of_the_network_in_a_row_makes_the_pause_longer() -> None:
    async with rig() as one:
        carrier = await one.opened(pause=0.05)
        times = sendings(carrier, [])
        one.modem.script += ["+CMS ERROR: 42", "+CMS ERROR: 42", "OK"]
        carrier.submit([text(key) for key in range(3)])
        await one.desk.answered(3)
        first, second, third = times
        assert second - first >= 0.1 and third - second >= 0.2
        assert carrier._memory.failures == 0


async def test_a_day_has_its_number_of_parts_and_receiving_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    async with rig() as one:
        one.desk.now = lambda: NOON
        carrier = await one.opened(per_day=2)
        carrier.submit([long(1)])  # what has begun is finished
        await one.desk.answered(1)
        assert carrier.free == 0 and carrier.links_up == (1, 1)
        assert carrier.noticed["sent today"] == f"{measure(LONG).parts}/2"
        assert capsys.readouterr().out.count("gsm.day_used_up") == 1
        one.modem.say("+8613800130009", "查询")
        await one.desk.until(lambda: one.desk.received)
        one.desk.now = lambda: NOON + timedelta(hours=12)
        assert carrier.free == 1


# -- the end -----------------------------------------------------------------------------------------------------


async def test_an_orderly_end_waits_for_the_answer_and_gives_back_the_rest(one: Rig) -> None:
    one.modem.behaviour = replace(one.modem.behaviour, latency=0.1)
    carrier = await one.opened()
    carrier.submit([text(1), text(2)])
    await asyncio.sleep(0.05)
    await carrier.close()
    assert one.desk.answers[1:] == [Deferred(text(2), "closed")] and kinds(one.desk.answers)[0] == "Accepted"
    assert carrier.free == 0 and carrier.links_up == (0, 1) and not one.desk.failures
    await carrier.close()
    assert len(one.desk.answers) == 2


async def test_a_text_that_has_partly_left_is_finished_before_the_end() -> None:
    async with rig(latency=0.05) as one:
        carrier = await one.opened()
        carrier.submit([long(1)])
        await one.desk.until(lambda: one.modem.seen.taken)
        await carrier.close()
        assert kinds(one.desk.answers) == ["Accepted"] and one.modem.bodies() == {text(1).phone: [LONG]}


async def test_an_end_does_not_wait_for_a_modem_that_hangs() -> None:
    async with rig() as one:
        carrier = await one.opened(answer_seconds=30.0)
        one.modem.script.append("hang")
        carrier.submit([text(1), text(2)])
        await one.desk.until(lambda: one.modem.hanging)
        await carrier.close()
        assert kinds(one.desk.answers) == ["Uncertain", "Deferred"] and not one.desk.failures


async def test_neither_pin_nor_number_nor_text_is_logged(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    async with rig(pin="2468") as one:
        with pytest.raises(Unavailable) as caught:
            await one.opened(pin="1357")
        memory._OF.clear()
        one.modem.tries = 3
        carrier = await one.opened(pin="2468")
        one.desk.refusals = 1
        one.modem.deliver(bytes.fromhex("0004" + "0D91683108100300F1" + "0008"))
        one.modem.say("+8613800130009", "我要投诉")
        await one.desk.until(lambda: one.desk.received)
        one.modem.script.append("hang")
        carrier.submit([text(1)])
        await one.desk.answered(1)
        told = str(caught.value) + caught.value.zh + str(one.desk.failures) + str(carrier.noticed)
    said = caplog.text + "".join(capsys.readouterr()) + told
    assert "gsm.not_stored" in said and "gsm.unreadable" in said
    for secret in ("2468", "1357", "0013000", "3108100300", "投诉", "今夜"):
        assert secret not in said


# -- its table of config.toml --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({}, "port"),
        ({"port": "tcp://127.0.0.1"}, "port"),
        ({"port": "tcp://127.0.0.1:5000", "smsc": "移动"}, "smsc"),
        ({"port": "/dev/ttyUSB0", "storage": "BM"}, "storage"),
        ({"port": "/dev/ttyUSB0", "long": 8}, "long"),
        ({"port": "/dev/ttyUSB0", "baud": 0}, "baud"),
        ({"port": "/dev/ttyUSB0", "pause": -1}, "pause"),
        ({"port": "/dev/ttyUSB0", "in_flight": 2}, "in_flight"),
    ],
)
def test_a_wrong_setting_is_named(given: dict[str, object], key: str) -> None:
    with pytest.raises(Invalid) as caught:
        settings_of(Carrier, "modem", given)
    assert [problem.key for problem in caught.value.problems] == [f"carriers.modem.{key}"]


def test_every_code_says_one_thing() -> None:
    said = {code: causes.of(f"CMS:{code}") for code in range(1000)}
    assert [code for code, says in said.items() if says is Says.UNCERTAIN] == [332]
    for code in (17, 22, 27, 38, 41, 42, 47, 0xC0, 0xC2, 331, 500, 512, 513, 777):
        assert said[code] is Says.DEFERRED
    for code in (1, 8, 10, 21, 28, 29, 30, 50, 69, 304):
        assert said[code] is Says.REJECTED
    assert {causes.of(error) for error in ("ERROR", "CMS:", "CMS:²", "NO CARRIER")} == {Says.DEFERRED}


# -- the rehearsal -------------------------------------------------------------------------------------------------


async def test_the_operator_of_the_command_line_plays_a_modem() -> None:
    told = Told(secret="2468", receipt_after=0.0, latency=0.0, reject=0.0)
    operator, seen = Operator(told), list[Any]()
    operator.watch = seen.append
    async with rig() as one:
        one.port = f"tcp://127.0.0.1:{await operator.start('127.0.0.1', 0)}"
        carrier = await one.opened(pin="2468")
        carrier.submit([text(1), long(2)])
        await one.desk.answered(2)
        operator.say("+8613800130009", "", "查询")
        await one.desk.until(lambda: one.desk.received and len(one.desk.receipts) == 1 + measure(LONG).parts)
        assert [shown.part.phone for shown in seen] == [text(1).phone, *[text(2).phone] * measure(LONG).parts]
        assert seen[0].part.body == "今夜有雨" and seen[0].part.concat is None
        assert seen[2].part.concat.number == 2
        await one.desk.until(lambda: operator.seen["acknowledged"] == 2 + measure(LONG).parts)
        assert (operator.seen["logins"], operator.seen["taken"]) == (1, 1 + measure(LONG).parts)
        await operator.stop()
        await one.desk.until(lambda: one.desk.failures)


async def test_what_is_no_pin_is_none_of_the_operators() -> None:
    assert Operator(Told()).modem.behaviour.pin == ""


async def test_a_rehearsal_is_badly_behaved_as_it_is_told() -> None:
    async with rig(reject=0.3, defer=0.3, receipt_lost=0.0, receipt_failed=0.5) as one:
        carrier = await one.opened()
        carrier.submit([text(key) for key in range(40)])
        answers = await one.desk.answered(40)
        assert set(kinds(answers)) == {"Accepted", "Rejected", "Deferred"}
        await one.desk.until(lambda: len(one.desk.receipts) == kinds(answers).count("Accepted"))
        assert {receipt.state for receipt in one.desk.receipts} == set(ReceiptState)
