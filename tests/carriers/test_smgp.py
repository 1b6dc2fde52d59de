"""gateway.carriers.smgp: frames by hand, what proves a login, receipts in all spellings, links that go one way."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.carriers import Accepted, Concat, Deferred, Receipt, Received, Text, settings_of, smgp
from gateway.carriers.wire import content
from gateway.carriers.wire.codec import Pdu
from gateway.carriers.wire.dialect import Mode, Said
from gateway.carriers.wire.operator import Behaviour, Operator
from gateway.errors import Invalid, Unavailable
from gateway.model import ReceiptState
from tests.carriers.laid import fixed_text, laid, u8s, u32s
from tests.carriers.rig import Smgp, SmgpPair, texts
from tests.conftest import NOON

patient = hypothesis_settings(deadline=None)
"""A busy machine is no failure."""
CODEC = smgp.CODECS["smgp"]
ID = bytes.fromhex("01006101161700012345")
STAMP = 302120000
"""NOON, in Beijing."""


def settings(**changes: Any) -> smgp.Settings:
    own = {"host": "127.0.0.1", "port": 8890, "user": "90123456", "secret": "s3cret", "service": "NOTICE"}
    found: smgp.Settings = settings_of(smgp.Carrier, "main", own | {"service_code": "10690001"} | changes)
    return found


def dialect(**changes: Any) -> smgp.Smgp:
    return smgp.Smgp(settings(**changes))


def sent(text: Text, number: int = 1, **changes: Any) -> list[bytes]:
    """The frames of a text, with the sequence 77."""
    own = dialect(**changes)
    pieces = content.pieces(text.body, own.cutting(own.settings), number, own.header)
    return [own.codec.encode("Submit", own.submit(text, piece).fields | own.numbered(77, NOON)) for piece in pieces]


# -- frames ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "number"), [(Mode.SEND, 0), (Mode.RECEIVE, 1), (Mode.BOTH, 2)])
def test_login(mode: Mode, number: int) -> None:
    proof = hashlib.md5(b"90123456" + bytes(7) + b"s3cret" + b"0302120000").digest()
    frame = laid(42, {4: (1, 4), 8: (77, 4), 12: "90123456", 20: proof, 36: number, 37: (STAMP, 4), 41: 0x30})
    pdu = dialect().login(mode, NOON)
    assert CODEC.encode("Login", pdu.fields | {"SequenceID": 77}) == frame
    assert CODEC.decode(frame).fields["TimeStamp"] == STAMP


def test_the_time_is_hashed_as_ten_digits() -> None:
    first_of_march = datetime(2026, 2, 28, 16, 0, tzinfo=UTC)
    pdu = dialect().login(Mode.BOTH, first_of_march)
    assert pdu.fields["TimeStamp"] == 0x11F0E540
    expected = hashlib.md5(b"90123456\0\0\0\0\0\0\0s3cret0301000000").digest()
    assert pdu.fields["AuthenticatorClient"] == expected


def test_a_short_client_id_is_hashed_as_it_is_or_filled_up() -> None:
    plain = hashlib.md5(b"901234" + bytes(7) + b"s3cret0302120000").digest()
    padded = hashlib.md5(b"901234" + bytes(2 + 7) + b"s3cret0302120000").digest()
    assert dialect(user="901234").login(Mode.BOTH, NOON).fields["AuthenticatorClient"] == plain
    assert dialect(user="901234", pad=True).login(Mode.BOTH, NOON).fields["AuthenticatorClient"] == padded
    assert smgp.authenticator("90123456", "s", 1, pad=True) == smgp.authenticator("90123456", "s", 1)


def test_login_resp() -> None:
    own = dialect()
    proof = own.login(Mode.BOTH, NOON).fields["AuthenticatorClient"]
    own.login(Mode.BOTH, datetime(2026, 3, 2, 4, 0, 1, tzinfo=UTC))  # another link, a second later
    ours = hashlib.md5(bytes(4) + proof + b"s3cret").digest()
    frame = laid(33, {4: (0x80000001, 4), 8: (77, 4), 16: ours, 32: 0x30})
    with capture_logs() as logs:
        assert own.admitted(CODEC.decode(frame)) == ""
    assert not logs and own.noticed["version"] == "3.0"
    refused = laid(33, {4: (0x80000001, 4), 8: (77, 4), 12: (21, 4), 32: 0x30})
    assert own.admitted(CODEC.decode(refused)) == "21"


def test_an_operator_that_proves_nothing_is_a_warning() -> None:
    own = dialect()
    own.login(Mode.BOTH, NOON)
    with capture_logs() as logs:
        assert own.admitted(CODEC.decode(laid(33, {4: (0x80000001, 4), 16: "constant text !!", 32: 0x30}))) == ""
    assert [line["log_level"] for line in logs] == ["warning"]


def test_submit() -> None:
    text = Text(1, 1, "+8618900130001", "停水", 1, 0, datetime(2026, 3, 2, 6, 30, 5, tzinfo=UTC))
    frame = laid(
        147 + 4,
        {
            4: (2, 4), 8: (77, 4), 12: 6, 13: 1, 14: 3, 15: "NOTICE", 25: "00", 27: "0", 33: "0", 39: 8,
            40: "260302143005032+", 74: "10690001", 116: 1, 117: "18900130001", 138: 4, 139: b"\x50\x5c\x6c\x34",
        },
    )  # fmt: skip
    assert sent(text) == [frame]
    assert CODEC.decode(frame).fields["ValidTime"] == "260302143005032+"


def test_a_long_text_has_tagged_values_and_headers() -> None:
    first, second = sent(Text(1, 1, "+8618900130001", "长" * 71, 2), number=9)
    body = b"\5\0\3\x09\2\1" + ("长" * 67).encode("utf-16-be")
    assert len(first) == 147 + 140 + 15
    assert first[138:139] == b"\x8c" and first[139:279] == body and first[279:287] == bytes(8)
    assert first[287:] == bytes.fromhex("00020001010009000102000a000101")
    assert CODEC.decode(second).fields["PkNumber"] == 2
    assert second[139:145] == b"\5\0\3\x09\2\2"
    [_, other] = sent(Text(1, 1, "+8618900130001", "长" * 71, 2), number=0x0102, long=7)
    assert other[139:146] == b"\6\x08\4\1\2\2\2"


def test_an_account_decides_on_the_rest_of_a_submit() -> None:
    text = Text(1, 1, "+8618900130001", "停水", 1, 3)
    [frame] = sent(
        text, alphabet="gb18030", ask_receipts=False, fee_type="01", fee_code="10", corp="C1", product="P", fee_user=2,
        national=False,
    )  # fmt: skip
    fields = CODEC.decode(frame).fields
    assert (fields["MsgFormat"], fields["MsgContent"]) == (15, "停水".encode("gbk"))
    assert (fields["NeedReport"], fields["Priority"], fields["FeeType"], fields["FeeCode"]) == (0, 0, "01", "10")
    assert fields["DestTermID"] == ("8618900130001",)
    assert fields["MsgSrc"] == b"C1".ljust(8, b"\0") and fields["MServiceID"] == b"P".ljust(21, b"\0")
    assert fields["ChargeUserType"] == 2


def test_peers_of_version_1_3_have_no_fixed_fee() -> None:
    text = Text(1, 1, "+8618900130001", "停水", 1)
    [older], [newer] = sent(text, version="1.3"), sent(text)
    assert len(older) == len(newer) - 6
    assert older[33] == 8 and older[111:122] == b"18900130001"
    assert dialect(version="1.3").login(Mode.BOTH, NOON).fields["ClientVersion"] == 0x13


def test_submit_resp() -> None:
    frame = laid(26, {4: (0x80000002, 4), 8: (77, 4), 12: ID})
    assert dialect().answered(CODEC.decode(frame)) == ("01006101161700012345", "")
    frame = laid(26, {4: (0x80000002, 4), 8: (77, 4), 22: (75, 4)})
    assert dialect().answered(CODEC.decode(frame))[1] == "75"


def deliver(body: bytes, *, report: int = 0, format: int = 8, tail: bytes = bytes(8), more: bytes = b"") -> bytes:
    head = laid(
        81 + len(body),
        {
            4: (3, 4), 8: (5, 4), 12: ID, 22: report, 23: format, 24: "20260302115930", 38: "18900130009",
            59: "10690001", 80: len(body), 81: body,
        },
    )  # fmt: skip
    whole = head + tail + more
    return len(whole).to_bytes(4, "big") + whole[4:]


def read(frame: bytes) -> list[Receipt | Received]:
    return dialect().items(CODEC.decode(frame), NOON)


def test_deliver() -> None:
    assert len(deliver(b"")) == 89
    at = datetime(2026, 3, 2, 3, 59, 30, tzinfo=UTC)
    body = "查询".encode("utf-16-be")
    expected = [Received("01006101161700012345", "+8618900130009", "10690001", "查询", at)]
    assert read(deliver(body)) == expected
    for tail in (b"", b"\0\0\0", bytes(8)):  # Reserve cut short
        assert read(deliver(body, tail=tail)) == expected
    pdu = CODEC.decode(deliver(body))
    acknowledged = dialect().stored(pdu)
    assert CODEC.encode(*acknowledged) == laid(26, {4: (0x80000003, 4), 8: (5, 4), 12: ID})


def test_tagged_values_of_a_deliver() -> None:
    part = b"\5\0\3\x10\2\1" + "前".encode("utf-16-be")
    [found] = read(deliver(part, more=bytes.fromhex("00090001020002000101000a000101")))
    assert isinstance(found, Received) and (found.body, found.concat) == ("前", Concat(16, 2, 1))
    for cut in ("0002", "000200", "00020001", "00090005aa", "ffff0003aabb"):  # the message is kept
        assert read(deliver("查".encode("utf-16-be"), more=bytes.fromhex(cut)))[0].body == "查"  # type: ignore[union-attr]
    unknown = CODEC.decode(deliver(b"", more=bytes.fromhex("7fff0002aabb0002000101")))
    assert unknown.fields["0x7FFF"] == b"\xaa\xbb" and unknown.fields["TP_udhi"] == 1


def test_the_operator_s_clock_may_be_ahead() -> None:
    frame = deliver("查".encode("utf-16-be")).replace(b"20260302115930", b"20260302235930")
    assert read(frame)[0].at == NOON
    assert read(frame.replace(b"20260302235930", b"\0" * 14))[0].at == NOON


@pytest.mark.parametrize("name", ["Active_Test", "Exit"])
def test_frames_without_a_body(name: str) -> None:
    command = {"Active_Test": 4, "Exit": 6}[name]
    asked = CODEC.decode(laid(12, {4: (command, 4), 8: (9, 4)}))
    answer = dialect().reply(asked)
    assert answer is not None
    assert CODEC.encode(*answer) == laid(12, {4: (command | 0x80000000, 4), 8: (9, 4)})
    longer = laid(13, {4: (command | 0x80000000, 4), 8: (9, 4)})
    assert CODEC.decode(longer) == Pdu(f"{name}_Resp", {"SequenceID": 9})


def test_query() -> None:
    frame = laid(31, {4: (7, 4), 8: (1, 4), 12: "20260302", 20: 1, 21: "NOTICE"})
    assert (
        CODEC.encode("Query", {"SequenceID": 1, "QueryTime": "20260302", "QueryType": 1, "QueryCode": "NOTICE"})
        == frame
    )
    answer = laid(71, {4: (0x80000007, 4), 8: (1, 4), 12: "20260302", 31: (5, 4), 59: (7, 4)})
    fields = CODEC.decode(answer).fields
    assert (fields["MT_TLMsg"], fields["MO_FL"]) == (5, 7)


@patient
@given(
    numbers=st.lists(fixed_text(21), max_size=5), body=st.binary(max_size=140), service=fixed_text(10), format=u8s,
    sequence=u32s, valid=fixed_text(17), more=st.dictionaries(st.sampled_from(["PkTotal", "PkNumber", "TP_pid"]), u8s),
    link=st.binary(max_size=20),
)  # fmt: skip
@pytest.mark.parametrize("version", ["3.0", "1.3"])
def test_a_submit_comes_back_as_it_was_given(
    version: str, numbers: list[str], body: bytes, service: str, format: int, sequence: int, valid: str,
    more: dict[str, int], link: bytes,
) -> None:  # fmt: skip
    codec = smgp.codec_of(version)
    fields = {"SequenceID": sequence, "DestTermID": tuple(numbers), "MsgContent": body, "ServiceID": service}
    fields |= {"MsgFormat": format, "ValidTime": valid, "LinkID": link, **more}
    found = codec.decode(codec.encode("Submit", fields)).fields
    assert {key: found[key] for key in fields} == fields


# -- receipts ----------------------------------------------------------------------------------------------------

SPELLINGS = [
    b" sub:001 dlvrd:001 Submit date:2603021150 done date:2603021155 stat:UNDELIV err:640 Text:004\x4e\x2d\x56\xfd",
    b" sub:001 dlvrd:001 submit date:2603021150 done date:2603021155 stat:UNDELIV err:640 text:000",
    b" sub:001 dlvrd:001 submit_date:2603021150 done_date:2603021155 stat:UNDELIV err:640 text:",
    b" SUB:001 DLVRD:001 SUBMIT DATE:2603021150 DONE DATE:2603021155 STAT:UNDELIV ERR:640",
    b" sub:001 dlvrd:001 submit_date:2603021150 done_date:2603021155 stat: UNDELIV err: 640 text: stat:DELIVRD err:000",
    b"sSub:001sDlvrd:000sSubmit_Date:2603021150sDone_Date:2603021155sStat:UNDELIVsErr:640sText:007UNDELIV\0\0\0",
    b"sub:001 dlvrd:001 donedate:260302115500 stat:UNDELIV\0err:640\0\0\0",
]


@pytest.mark.parametrize("rest", SPELLINGS)
@pytest.mark.parametrize(
    "id",
    [ID, b"\x20" * 10, b"::::::::::", bytes(10), b"stat:DELIV", b" err:000 s", b"0123456789", b"\n\r\t\xff\xfe id:x"],
)
def test_the_id_may_be_any_octets_and_keys_any_spelling(id: bytes, rest: bytes) -> None:
    done = datetime(2026, 3, 2, 3, 55, tzinfo=UTC)
    assert read(deliver(b"id:" + id + rest, report=1, format=0)) == [
        Receipt(id.hex(), "+8618900130009", ReceiptState.UNDELIVERED, "UNDELIV:640", done)
    ]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"stat:DELIVRD err:000", (ReceiptState.DELIVERED, None)),
        (b"stat:DELIVRD err:001", (ReceiptState.DELIVERED, None)),
        (b"stat:DELIVRD", (ReceiptState.DELIVERED, None)),
        (b"stat:ACCEPTD err:000", None),
        (b"stat:EXPIRED err:001", (ReceiptState.UNDELIVERED, "EXPIRED:001")),
        (b"stat:UNDELIV err:000", (ReceiptState.UNDELIVERED, "UNDELIV")),
        (b"stat:UNDELIV err:", (ReceiptState.UNDELIVERED, "UNDELIV")),
        (b"stat:MK:0001 err:000", (ReceiptState.UNDELIVERED, "MK:0001")),
        (b"stat:RT:0148 err:148", (ReceiptState.UNDELIVERED, "RT:0148")),
        (b"stat:MB:1041 err:012", (ReceiptState.UNDELIVERED, "MB:1041")),
        (b"stat:QWERTYU err:12A", (ReceiptState.UNDELIVERED, "QWERTYU:12A")),
    ],
)
def test_what_a_receipt_says(said: bytes, told: tuple[ReceiptState, str | None] | None) -> None:
    body = b"id:" + ID + b" sub:001 dlvrd:001 Submit date:0000000000 done date:0000000000 " + said
    expected = [Receipt(ID.hex(), "+8618900130009", *told, NOON)] if told else []
    assert read(deliver(body, report=1)) == expected


def test_an_id_written_as_digits_is_the_same_id() -> None:
    body = b"id:01006101161700012345 sub:001 dlvrd:001 done date:2603021155 stat:DELIVRD err:000"
    assert read(deliver(body, report=1))[0].ref == ID.hex()
    body = b"id:0100610116170001234A sub:001 stat:DELIVRD"
    assert read(deliver(body, report=1))[0].ref == "0100610116170001234a"


def test_a_receipt_without_an_id_falls_back_to_the_frame_s() -> None:
    assert read(deliver(b"stat:DELIVRD err:000", report=1))[0].ref == ID.hex()


@pytest.mark.parametrize(
    "body",
    [b"", b"id:", b"id:" + ID, b"id:" + ID + b" stat:", b"id:" + ID + b" stat: err:640", "已送达".encode("utf-16-be")],
)
def test_what_is_no_receipt_is_acknowledged_and_told_to_it(body: bytes) -> None:
    with capture_logs() as logs:
        assert read(deliver(body, report=1)) == []
    assert [line["event"] for line in logs] == ["smgp.receipt_unreadable"]


def test_a_receipt_may_name_the_phone_at_the_other_end_or_not_at_all() -> None:
    body = b"id:" + ID + b" stat:DELIVRD err:000"
    swapped = deliver(body, report=1).replace(b"18900130009", bytes(11)).replace(b"10690001", b"18900130009"[:8])
    assert read(swapped)[0].phone == ""
    pdu = CODEC.decode(deliver(body, report=1))
    turned = Pdu(pdu.name, pdu.fields | {"SrcTermID": "10690001", "DestTermID": "8618900130009"})
    assert dialect().items(turned, NOON)[0].phone == "+8618900130009"


def test_a_receipt_as_the_specification_lays_it_out() -> None:
    written = smgp.write_report(smgp.Report(ID.hex(), "DELIVRD", "", "2603021155"))
    assert len(written) == 122
    assert written == (
        b"id:" + ID + b" sub:001 dlvrd:001 Submit date:2603021155 done date:2603021155 stat:DELIVRD err:000 Text:000"
        + b" " * 17
    )  # fmt: skip


@patient
@given(st.binary(min_size=10, max_size=10), st.sampled_from(["UNDELIV", "EXPIRED", "MBBLACK"]), st.integers(1, 999))
def test_a_written_receipt_is_read(id: bytes, stat: str, err: int) -> None:
    report = smgp.Report(id.hex(), stat, f"{err:03}", "2603021155")
    assert smgp.read_report(smgp.write_report(report)) == report


@patient
@given(st.binary(max_size=160))
def test_any_octets_are_read_as_a_receipt_without_failing(octets: bytes) -> None:
    smgp.read_report(octets)
    smgp.read_report(b"id:" + octets)


# -- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"user": "901234567"}, "user"),
        ({"modes": "transmit"}, "modes"),
        ({"version": "2.0"}, "version"),
        ({"alphabet": "auto"}, "alphabet"),
        ({"long": 0}, "long"),
        ({"fee_user": 256}, "fee_user"),
        ({"corp": "123456789"}, "corp"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(Invalid) as caught:
        settings(**changes)
    assert [problem.key for problem in caught.value.problems] == [f"carriers.main.{key}"]


# -- links -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def rig() -> AsyncIterator[Smgp]:
    made = Smgp()
    yield made
    await made.stop()


@pytest.fixture
async def pair() -> AsyncIterator[SmgpPair]:
    made = SmgpPair()
    yield made
    await made.stop()


async def test_a_pair_sends_over_one_link_and_receives_over_the_other(pair: SmgpPair) -> None:
    await pair.start()
    carrier = await pair.opened()
    modes = sorted(str(session.mode) for session in pair.operator.sessions)
    assert modes == ["receive", "send"] and carrier.links_up == (2, 2)
    assert carrier.capacity == carrier.free == 16
    carrier.submit(texts(3))
    pair.say("+8618900130009", "查询")
    await pair.desk.until(lambda: len(pair.desk.items) == 4)
    assert all(isinstance(answer, Accepted) for answer in pair.desk.answers)


async def test_a_pair_that_loses_the_link_back_goes_on_sending(pair: SmgpPair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.carriers.wire.carrier.PAUSES", (0.1,))
    await pair.start()
    carrier = await pair.opened()
    [back] = [session for session in pair.operator.sessions if session.mode is Mode.RECEIVE]
    back.abort()
    carrier.submit(texts(2))
    await pair.desk.until(lambda: len(pair.desk.receipts) == 2)
    assert carrier.links_up == (2, 2) and not pair.desk.failures


async def test_a_wrong_secret_is_explained(rig: Smgp) -> None:
    await rig.start()
    with pytest.raises(Unavailable) as caught:
        await rig.opened(secret="wrong")
    assert "21" in caught.value.en and "认证" in caught.value.zh


async def test_an_operator_that_wants_a_new_login_gets_one(rig: Smgp) -> None:
    await rig.start(reject=1.0, reject_code=2)
    carrier = await rig.opened()
    carrier.submit(texts(2))
    assert all(isinstance(answer, Deferred) for answer in await rig.desk.answered(2))
    await rig.desk.until(lambda: rig.desk.failures)
    assert rig.desk.failures == ["the operator wants a new login"]  # whoever opened it opens it anew


async def test_a_peer_of_version_1_3(rig: Smgp) -> None:
    rig.operator = Operator(smgp.GATES["smgp13"], Behaviour(user="901234", secret=rig.secret))
    rig.port = await rig.operator.start()
    with pytest.raises(Unavailable, match="22"):
        await rig.opened()
    carrier = await rig.opened(version="1.3")
    carrier.submit(texts(1, "长" * 100, 2))
    assert isinstance((await rig.desk.answered(1))[0], Accepted)
    assert rig.bodies() == {"+8613800130000": ["长" * 100]}
    await rig.desk.until(lambda: len(rig.desk.receipts) == 2)


async def test_a_failed_receipt_has_stat_and_error(rig: Smgp) -> None:
    await rig.start(receipt_lost=1.0)
    carrier = await rig.opened()
    carrier.submit(texts(1))
    [answer] = await rig.desk.answered(1)
    assert isinstance(answer, Accepted)
    for stat in ("UNDELIV:640", "ACCEPTD", "EXPIRED", "DELIVRD"):
        rig.operator.report(Said(answer.refs[0], answer.text.phone, "10690001", stat, NOON))
    await rig.desk.until(lambda: len(rig.desk.receipts) == 3)
    assert [receipt.error for receipt in rig.desk.receipts] == ["UNDELIV:640", "EXPIRED", None]


async def test_a_half_open_link_is_found(rig: Smgp) -> None:
    await rig.start(receipt_lost=1.0)
    carrier = await rig.opened(idle_seconds=0.3, tests=2)
    await asyncio.sleep(0.8)
    assert carrier.links_up == (1, 1)
    rig.operator.sessions[0].frozen = True
    await rig.desk.until(lambda: rig.desk.failures)
    assert rig.desk.failures == ["link tests unanswered"]


async def test_a_link_test_of_the_operator_is_answered_and_its_exit_too(rig: Smgp) -> None:
    await rig.start()
    await rig.opened()
    [session] = rig.operator.sessions
    seen: list[str] = []
    take = session._take
    session._take = lambda pdu, submits: (seen.append(pdu.name), take(pdu, submits))[1]  # type: ignore[method-assign]
    session._request(Pdu("Active_Test", {}))
    session._request(Pdu("Exit", {}))
    session._flush()
    await rig.desk.until(lambda: rig.desk.failures)
    assert rig.desk.failures == ["ended by the operator"]
    assert seen == ["Active_Test_Resp", "Exit_Resp"]
