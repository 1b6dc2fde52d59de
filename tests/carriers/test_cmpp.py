"""gateway.carriers.cmpp: frames of 2.0 and 3.0 by hand, what proves a login, versions, receipts long and short."""

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

from gateway.carriers import Accepted, Concat, Receipt, Received, Text, cmpp, settings_of
from gateway.carriers.wire import content
from gateway.carriers.wire.codec import Codec, Pdu
from gateway.carriers.wire.dialect import Mode
from gateway.carriers.wire.operator import Behaviour, Operator
from gateway.errors import Invalid, Unavailable
from gateway.model import ReceiptState
from tests.carriers.laid import fixed_text, laid, u8s, u32s, u64s
from tests.carriers.rig import Cmpp2, Cmpp3, Desk, texts
from tests.conftest import NOON

patient = hypothesis_settings(deadline=None)
"""A busy machine is no failure."""
TWO, THREE = cmpp.CODECS["cmpp2"], cmpp.CODECS["cmpp3"]
VERSIONS = pytest.mark.parametrize("version", ["2.0", "3.0"])
STAMP = 302120000
"""NOON, in Beijing."""
ID = 0xF8C3_0000_1234_5678
"""Above the largest signed number, as ids are from August on."""


def settings(**changes: Any) -> cmpp.Settings:
    own = {"host": "127.0.0.1", "port": 7890, "user": "901234", "secret": "s3cret", "service": "NOTICE"}
    found: cmpp.Settings = settings_of(cmpp.Carrier, "main", own | {"service_code": "10690001"} | changes)
    return found


def dialect(**changes: Any) -> cmpp.Cmpp:
    return cmpp.Cmpp(settings(**changes))


def sent(text: Text, number: int = 1, **changes: Any) -> list[bytes]:
    """The frames of a text, with the sequence 77."""
    own = dialect(**changes)
    pieces = content.pieces(text.body, own.cutting(own.settings), number, own.header)
    return [own.codec.encode("SUBMIT", own.submit(text, piece).fields | own.numbered(77, NOON)) for piece in pieces]


# -- logins ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "octet"), [("2.0", 0x20), ("2.1", 0x21), ("3.0", 0x30)])
def test_connect(version: str, octet: int) -> None:
    proof = hashlib.md5(b"901234" + bytes(9) + b"s3cret" + b"0302120000").digest()
    frame = laid(39, {4: (1, 4), 8: (77, 4), 12: "901234", 18: proof, 34: octet, 35: (STAMP, 4)})
    own = dialect(version=version)
    pdu = own.login(Mode.BOTH, NOON)
    assert own.codec.encode("CONNECT", pdu.fields | {"Sequence_Id": 77}) == frame


def test_the_time_is_hashed_as_ten_digits() -> None:
    pdu = dialect().login(Mode.BOTH, datetime(2026, 3, 1, 0, 30, 5, tzinfo=UTC))
    assert pdu.fields["Timestamp"] == 301083005
    expected = hashlib.md5(b"901234\0\0\0\0\0\0\0\0\0s3cret0301083005").digest()
    assert pdu.fields["AuthenticatorSource"] == expected


def answer_to(own: cmpp.Cmpp, *, wide: bool, hashed: int, version: int, status: int = 0) -> bytes:
    """CONNECT_RESP with its status wide or narrow, the status hashed in so many octets."""
    proof = own.login(Mode.BOTH, NOON).fields["AuthenticatorSource"]
    ours = hashlib.md5(status.to_bytes(hashed, "big") + proof + b"s3cret").digest()
    if wide:
        return laid(33, {4: (0x80000001, 4), 8: (77, 4), 12: (status, 4), 16: ours, 32: version})
    return laid(30, {4: (0x80000001, 4), 8: (77, 4), 12: status, 13: ours, 29: version})


@pytest.mark.parametrize("hashed", [1, 4])
@pytest.mark.parametrize("wide", [False, True])
@VERSIONS
def test_connect_resp_is_told_by_its_length_and_proved_either_way(version: str, wide: bool, hashed: int) -> None:
    own = dialect(version=version, strict=True)
    frame = answer_to(own, wide=wide, hashed=hashed, version=0x30 if wide else 0x20)
    with capture_logs() as logs:
        assert own.admitted(own.read(frame)) == ""
    assert not logs and own.noticed["version"] == ("3.0" if wide else "2.0")


@pytest.mark.parametrize(("status", "code"), [(1, "1"), (3, "3"), (4, "4"), (9, "9")])
@VERSIONS
def test_a_refused_login_has_its_code(version: str, status: int, code: str) -> None:
    own = dialect(version=version)
    assert own.admitted(own.read(answer_to(own, wide=False, hashed=1, version=0x20, status=status))) == code


@pytest.mark.parametrize(
    ("wide", "version", "spoken"),
    [(True, 0x30, THREE), (True, 0x20, THREE), (True, 0, THREE), (False, 0x20, TWO), (False, 0x30, TWO)],
)
def test_the_layout_of_the_answer_decides_what_is_spoken(wide: bool, version: int, spoken: Codec) -> None:
    own = dialect(version="3.0")
    own.admitted(own.read(answer_to(own, wide=wide, hashed=1, version=version)))
    assert own.codec is spoken
    again = answer_to(own, wide=True, hashed=4, version=0x30)  # the operator has learnt 3.0 since
    own.admitted(own.read(again))
    assert own.codec is THREE


def test_an_account_for_2_0_stays_there() -> None:
    own = dialect(version="2.0")
    own.admitted(own.read(answer_to(own, wide=False, hashed=1, version=0x30)))
    assert own.codec is TWO


def test_an_operator_that_proves_nothing_is_a_warning_or_where_the_account_is_strict_refused() -> None:
    for strict, code in ((False, ""), (True, "3")):
        own = dialect(strict=strict)
        own.login(Mode.BOTH, NOON)
        with capture_logs() as logs:
            frame = laid(33, {4: (0x80000001, 4), 16: "constant text !!", 32: 0x30})
            assert own.admitted(own.read(frame)) == code
        assert [line["log_level"] for line in logs] == ["warning"]


def test_links_that_log_in_at_once_are_each_proved() -> None:
    own = dialect(links=2, strict=True)
    first = answer_to(own, wide=True, hashed=4, version=0x30)
    own.login(Mode.BOTH, datetime(2026, 3, 2, 4, 0, 1, tzinfo=UTC))  # the other link, a second later
    assert own.admitted(own.read(first)) == ""


# -- out ---------------------------------------------------------------------------------------------------------

TEXT = Text(1, 1, "+8613800130001", "停水", 1, 0, datetime(2026, 3, 2, 6, 30, 5, tzinfo=UTC))


def test_submit_of_2_0() -> None:
    frame = laid(
        138 + 21 + 4,
        {
            4: (4, 4), 8: (77, 4), 20: 1, 21: 1, 22: 1, 23: 9, 24: "NOTICE", 34: 2, 58: 8, 59: "901234", 65: "01",
            67: "0", 73: "260302143005032+", 107: "10690001", 128: 1, 129: "13800130001", 150: 4,
            151: b"\x50\x5c\x6c\x34",
        },
    )  # fmt: skip
    assert sent(TEXT, version="2.0") == [frame]
    assert sent(TEXT, version="2.1") == [frame]


def test_submit_of_3_0() -> None:
    frame = laid(
        163 + 32 + 4,
        {
            4: (4, 4), 8: (77, 4), 20: 1, 21: 1, 22: 1, 23: 9, 24: "NOTICE", 34: 2, 70: 8, 71: "901234", 77: "01",
            79: "0", 85: "260302143005032+", 119: "10690001", 140: 1, 141: "13800130001", 174: 4,
            175: b"\x50\x5c\x6c\x34",
        },
    )  # fmt: skip
    assert sent(TEXT) == [frame]
    assert THREE.decode(frame).fields["Dest_terminal_type"] == 0


@pytest.mark.parametrize(("codec", "width", "head"), [(TWO, 21, 129), (THREE, 32, 141)])
def test_a_submit_to_many_is_read(codec: Codec, width: int, head: int) -> None:
    users = tuple(f"138001{n:05}" for n in range(99))
    places = {head + width * n: user for n, user in enumerate(users)}
    after = head + 99 * width + (1 if codec is THREE else 0)
    total = {TWO: 138 + 21 * 99 + 160, THREE: 163 + 32 * 99 + 160}[codec]
    frame = laid(total, {4: (4, 4), head - 1: 99, **places, after: 160, after + 1: "x" * 160})
    fields = codec.decode(frame).fields
    assert fields["Dest_terminal_Id"] == users and fields["Msg_Content"] == b"x" * 160


@pytest.mark.parametrize(("long", "header"), [(6, b"\5\0\3\2\2"), (7, b"\6\x08\4\1\2\2")])
def test_parts_of_a_long_text_are_numbered_twice(long: int, header: bytes) -> None:
    parts = [THREE.decode(one).fields for one in sent(TEXT._replace(body="长" * 71), 0x0102, long=long)]
    assert [(part["Pk_total"], part["Pk_number"], part["TP_udhi"]) for part in parts] == [(2, 1, 1), (2, 2, 1)]
    assert [part["Msg_Content"].startswith(header + bytes([n])) for n, part in enumerate(parts, 1)] == [True, True]
    assert [len(part["Msg_Content"]) for part in parts] == ([140, 14] if long == 6 else [139, 17])


def test_an_account_decides_on_the_rest_of_a_submit() -> None:
    [frame] = sent(TEXT, alphabet="gb18030", national=False, ask_receipts=False, fee_type="02", fee_user=0)
    fields = THREE.decode(frame).fields
    assert (fields["Msg_Fmt"], fields["Msg_Content"]) == (15, "停水".encode("gbk"))
    assert fields["Dest_terminal_Id"] == ("8613800130001",)
    assert (fields["Registered_Delivery"], fields["FeeType"], fields["Fee_UserType"]) == (0, "02", 0)


@pytest.mark.parametrize("wide", [False, True])
@VERSIONS
def test_submit_resp_is_told_by_its_length(version: str, wide: bool) -> None:
    own = dialect(version=version)
    for result, code in ((0, ""), (8, "8")):
        frame = (
            laid(24, {4: (0x80000004, 4), 8: (77, 4), 12: (ID, 8), 20: (result, 4)})
            if wide
            else laid(21, {4: (0x80000004, 4), 8: (77, 4), 12: (ID, 8), 20: result})
        )
        assert own.answered(own.read(frame)) == (str(ID), code)


def test_codes_of_2_0_are_its_own() -> None:
    assert dialect(version="2.0").explained("submit", "13") != dialect(version="3.0").explained("submit", "13")
    assert dialect(version="2.0").explained("submit", "8").does == dialect().explained("submit", "8").does == "slow"


# -- in ----------------------------------------------------------------------------------------------------------


def deliver(
    version: str, body: bytes, *, report: int = 0, format: int = 8, udhi: int = 0, sender: str = "13800130009",
    tail: int | None = None,
) -> bytes:  # fmt: skip
    three = version == "3.0"
    at = {4: (5, 4), 8: (5, 4), 12: (ID, 8), 20: "10690001", 52: udhi, 53: format, 54: sender}
    flag = 87 if three else 75
    tail = (20 if three else 8) if tail is None else tail
    return laid(flag + 2 + len(body) + tail, at | {flag: report, flag + 1: len(body), flag + 2: body})


def read(version: str, frame: bytes) -> list[Receipt | Received]:
    own = dialect(version=version)
    return own.items(own.read(frame), NOON)


@VERSIONS
def test_deliver(version: str) -> None:
    body = "查询".encode("utf-16-be")
    assert len(deliver(version, body)) == {"2.0": 85, "3.0": 109}[version] + 4
    expected = [Received(str(ID), "+8613800130009", "10690001", "查询", NOON)]
    for tail in (None, 0, 5, 9):  # LinkID missing or cut
        assert read(version, deliver(version, body, tail=tail)) == expected
    for sender in ("8613800130009", "+8613800130009"):
        assert read(version, deliver(version, body, sender=sender)) == expected


@pytest.mark.parametrize("udhi", [1, 64])
@VERSIONS
def test_a_part_of_a_long_text_to_us(version: str, udhi: int) -> None:
    part = b"\6\x08\4\1\2\2\1" + "前".encode("utf-16-be")
    [found] = read(version, deliver(version, part, udhi=udhi))
    assert isinstance(found, Received) and (found.body, found.concat) == ("前", Concat(0x0102, 2, 1))


@pytest.mark.parametrize(("version", "total"), [("2.0", 21), ("3.0", 24)])
def test_deliver_resp(version: str, total: int) -> None:
    own = dialect(version=version)
    acknowledged = own.stored(own.read(deliver(version, b"TD", format=0)))
    assert own.codec.encode(*acknowledged) == laid(total, {4: (0x80000005, 4), 8: (5, 4), 12: (ID, 8)})


def report(length: int, stat: str = "UNDELIV", number: str = "13800130001", done: str = "2603021155") -> bytes:
    """A receipt's content of so many octets: 60, 71, or cut short."""
    width = 32 if length == 71 else 21
    times = b"2603021150" + done.encode().ljust(10, b"\0")
    whole = ID.to_bytes(8, "big") + stat.encode().ljust(7, b"\0") + times + number.encode().ljust(width, b"\0")
    return (whole + (7).to_bytes(4, "big"))[:length]


@pytest.mark.parametrize("length", [60, 71, 56, 46])
@VERSIONS
def test_a_receipt_is_told_by_its_length_and_not_by_the_version(version: str, length: int) -> None:
    done = datetime(2026, 3, 2, 3, 55, tzinfo=UTC)
    for sender in ("13800130001", "10690001", ""):
        found = read(version, deliver(version, report(length), report=1, sender=sender))
        assert found == [Receipt(str(ID), "+8613800130001", ReceiptState.UNDELIVERED, "UNDELIV", done)]


@pytest.mark.parametrize("length", [15, 20, 35, 40])
@VERSIONS
def test_a_short_receipt_keeps_what_is_there(version: str, length: int) -> None:
    [found] = read(version, deliver(version, report(length), report=1, sender="13800130001"))
    assert isinstance(found, Receipt)
    assert (found.ref, found.error, found.phone) == (str(ID), "UNDELIV", "+8613800130001")
    assert (found.at == NOON) is (length < 35)


@pytest.mark.parametrize("length", [0, 8, 14])
def test_what_has_no_id_and_state_is_no_receipt(length: int) -> None:
    with capture_logs() as logs:
        assert read("3.0", deliver("3.0", report(length), report=1)) == []
    assert [line["event"] for line in logs] == ["cmpp.receipt_too_short"]


def test_a_receipt_for_a_number_that_is_none_is_told_by_its_reference() -> None:
    [found] = read("3.0", deliver("3.0", report(71, number="pseudo-4711"), report=1, sender="pseudo-4711"))
    assert isinstance(found, Receipt) and found.phone == ""


@pytest.mark.parametrize(
    ("stat", "told"),
    [
        ("DELIVRD", (ReceiptState.DELIVERED, None)),
        ("ACCEPTD", None),
        ("ML:0001", None),
        ("EXPIRED", (ReceiptState.UNDELIVERED, "EXPIRED")),
        ("MK:0001", (ReceiptState.UNDELIVERED, "MK:0001")),
        ("XX:9999", (ReceiptState.UNDELIVERED, "XX:9999")),
        ("", (ReceiptState.UNDELIVERED, "")),
    ],
)
def test_what_a_receipt_says(stat: str, told: tuple[ReceiptState, str | None] | None) -> None:
    found = read("3.0", deliver("3.0", report(71, stat, done=""), report=1))
    assert found == ([Receipt(str(ID), "+8613800130001", *told, NOON)] if told else [])


# -- the other frames --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", [TWO, THREE])
def test_frames_that_both_versions_share(codec: Codec) -> None:
    query = laid(39, {4: (6, 4), 8: (1, 4), 12: "20260302", 20: 1, 21: "NOTICE"})
    fields = {"Sequence_Id": 1, "Time": "20260302", "Query_Type": 1, "Query_Code": "NOTICE"}
    assert codec.encode("QUERY", fields) == query
    counted = {31 + 4 * n: (n + 1, 4) for n in range(8)}
    found = codec.decode(laid(63, {4: (0x80000006, 4), 12: "20260302", **counted})).fields
    assert (found["MT_TLMsg"], found["MT_FL"], found["MO_FL"]) == (1, 5, 8)
    assert codec.encode("CANCEL", {"Msg_Id": ID}) == laid(20, {4: (7, 4), 12: (ID, 8)})
    for total, width in ((13, 1), (16, 4)):
        assert codec.decode(laid(total, {4: (0x80000007, 4), 12: (1, width)})).fields["Success_Id"] == 1


@pytest.mark.parametrize("codec", [TWO, THREE])
def test_link_tests(codec: Codec) -> None:
    own = dialect()
    asked = codec.decode(laid(12, {4: (8, 4), 8: (9, 4)}))
    answer = own.reply(asked)
    assert answer is not None
    assert codec.encode(*answer) == laid(13, {4: (0x80000008, 4), 8: (9, 4)})
    for total in (12, 13):
        assert codec.decode(laid(total, {4: (0x80000008, 4), 8: (9, 4)})).fields["Sequence_Id"] == 9
    ending = own.reply(codec.decode(laid(12, {4: (2, 4), 8: (9, 4)})))
    assert ending is not None
    assert codec.encode(*ending) == laid(12, {4: (0x80000002, 4), 8: (9, 4)})


@patient
@given(
    numbers=st.lists(fixed_text(21), max_size=5), body=st.binary(max_size=160), id=u64s, format=u8s, sequence=u32s,
    source=fixed_text(21), link=fixed_text(8),
)  # fmt: skip
@VERSIONS
def test_a_submit_comes_back_as_it_was_given(
    version: str, numbers: list[str], body: bytes, id: int, format: int, sequence: int, source: str, link: str
) -> None:
    codec = cmpp.codec_of(version)
    fields = {"Sequence_Id": sequence, "Msg_Id": id, "Dest_terminal_Id": tuple(numbers), "Msg_Content": body}
    fields |= {"Msg_Fmt": format, "Src_Id": source, "LinkID" if version == "3.0" else "Reserve": link}
    found = codec.decode(codec.encode("SUBMIT", fields)).fields
    assert {key: found[key] for key in fields} == fields
    assert (found["DestUsr_tl"], found["Msg_Length"]) == (len(numbers), len(body))


def test_the_id_that_the_rehearsal_operator_gives_is_laid_out_as_specified() -> None:
    made = int(cmpp.Ismg().reference(Pdu("", {}), 0x12345, datetime(2026, 8, 31, 15, 59, 58, tzinfo=UTC)))
    parts = [made >> 60, made >> 55 & 31, made >> 50 & 31, made >> 44 & 63, made >> 38 & 63, made & 0xFFFF]
    assert parts == [8, 31, 23, 59, 58, 0x2345] and made > 2**63


# -- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"version": "1.2"}, "version"),
        ({"alphabet": "auto"}, "alphabet"),
        ({"long": 8}, "long"),
        ({"user": "9012345"}, "user"),
        ({"service": "政务服务"}, "service"),
        ({"fee_type": "001"}, "fee_type"),
        ({"fee_user": 4}, "fee_user"),
        ({"port": 0}, "port"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(Invalid) as caught:
        settings(**changes)
    assert [problem.key for problem in caught.value.problems] == [f"carriers.main.{key}"]


# -- links -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def rig() -> AsyncIterator[Cmpp3]:
    made = Cmpp3()
    yield made
    await made.stop()


class Older(cmpp.Ismg):
    """Lets in whoever asks for 3.0, and speaks 2.0."""

    def __init__(self) -> None:
        super().__init__("2.0")

    def admit(self, pdu: Pdu, user: str, secret: str, now: datetime) -> tuple[Pdu, bool, Mode]:
        return super().admit(Pdu(pdu.name, pdu.fields | {"Version": 0x20}), user, secret, now)


async def test_asked_for_3_0_and_answered_in_2_0_it_speaks_2_0(rig: Cmpp3) -> None:
    rig.operator = Operator(Older, Behaviour(user="901234", secret=rig.secret))
    rig.port = await rig.operator.start()
    carrier = await rig.opened()
    carrier.submit(texts(2, "长" * 100, 2))
    assert all(isinstance(answer, Accepted) for answer in await rig.desk.answered(2))
    await rig.desk.until(lambda: len(rig.desk.receipts) == 4)
    assert rig.bodies() == {"+8613800130000": ["长" * 100], "+8613800130001": ["长" * 100]}
    assert carrier.noticed["version"] == "2.0"


async def test_3_0_where_there_is_only_2_0_is_explained() -> None:
    rig = Cmpp2()
    try:
        await rig.start()
        with pytest.raises(Unavailable) as caught:
            await rig.opened(version="3.0")
        assert "4" in caught.value.en and "版本" in caught.value.zh
    finally:
        await rig.stop()


class Echo(cmpp.Ismg):
    """Answers a link test with another, as one known operator does."""

    def reply(self, pdu: Pdu) -> Pdu | None:
        return pdu if pdu.name == "ACTIVE_TEST" else super().reply(pdu)


async def test_a_link_test_answered_by_a_link_test_is_a_sign_of_life(rig: Cmpp3) -> None:
    rig.operator = Operator(Echo, Behaviour(user="901234", secret=rig.secret))
    rig.port = await rig.operator.start()
    carrier = await rig.opened(idle_seconds=0.3, tests=2)
    desk: Desk = rig.desk
    await desk.until(lambda: carrier.free)
    for n in range(3):
        carrier.submit(texts(1, first=n))
        await desk.answered(n + 1)
        await asyncio.sleep(0.7)
    assert not desk.failures and carrier.links_up == (1, 1)
