"""gateway.carriers.smpp: frames against an independent library, receipts of many spellings, a live peer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import smpp34
from hypothesis import given
from hypothesis import strategies as st

from gateway import carriers
from gateway.carriers import Accepted, Concat, Receipt, Received, Rejected, Text
from gateway.carriers.smpp import CODEC, Carrier, Esme, Smsc, read_receipt
from gateway.carriers.wire import content
from gateway.carriers.wire.codec import Pdu
from gateway.carriers.wire.dialect import Role
from gateway.errors import Invalid
from gateway.model import ReceiptState
from gateway.text import parts
from tests.carriers.rig import Desk, Smpp, texts

NOW = datetime(2026, 7, 1, 1, 0, tzinfo=UTC)
ACCOUNT: dict[str, Any] = {
    "host": "127.0.0.1",
    "port": 2775,
    "user": "901234",
    "secret": "secret",
    "service_code": "10690001",
}
LONG = "【枣原镇】" + "养老保险待遇领取资格认证" * 12


def esme(**changes: Any) -> Esme:
    return Esme(carriers.settings_of(Carrier, "main", ACCOUNT | changes))


def submitted(dialect: Esme, body: str, **changes: Any) -> list[Pdu]:
    text = Text(1, 1, "+8613800130001", body, 1, 2, None)._replace(**changes)
    made = content.pieces(body, Carrier.cutting(dialect.settings), 7, dialect.header)
    return [dialect.submit(text, piece) for piece in made]


# -- frames against smpp34 -----------------------------------------------------------------------------------------

ASCII = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
OCTET = st.integers(0, 255)
MESSAGES = st.fixed_dictionaries(
    {
        "service_type": st.text("ABC", max_size=5),
        "source_addr_ton": OCTET, "source_addr_npi": OCTET, "source_addr": ASCII,
        "dest_addr_ton": OCTET, "dest_addr_npi": OCTET, "destination_addr": ASCII,
        "esm_class": OCTET, "protocol_id": OCTET, "priority_flag": OCTET, "registered_delivery": OCTET,
        "replace_if_present_flag": OCTET, "data_coding": OCTET, "sm_default_msg_id": OCTET,
        "short_message": st.binary(max_size=254), "sequence_number": st.integers(1, 0x7FFFFFFF),
    }
)  # fmt: skip


@given(MESSAGES, st.integers(0, 65535), st.binary(max_size=300))
def test_another_library_writes_the_same_octets_and_reads_ours(
    fields: dict[str, Any], reference: int, payload: bytes
) -> None:
    tags = [
        smpp34.Tlv(smpp34.TLV_SAR_MSG_REF_NUM, reference.to_bytes(2, "big")),
        smpp34.Tlv(smpp34.TLV_MESSAGE_PAYLOAD, payload),
        smpp34.Tlv(0x1400, b"vendor"),
    ]
    ours = fields | {"sar_msg_ref_num": reference, "message_payload": payload, "0x1400": b"vendor"}
    for kind, name in ((smpp34.SubmitSm, "submit_sm"), (smpp34.DeliverSm, "deliver_sm")):
        theirs = kind(**fields, tlvs=tags).encode()
        assert CODEC.encode(name, ours) == theirs
        read = CODEC.decode(theirs)
        assert read.name == name
        assert {key: read.fields[key] for key in ours} == ours
        assert smpp34.decode(CODEC.encode(name, ours)).short_message == fields["short_message"]


@pytest.mark.parametrize(
    ("name", "fields", "octets"),
    [
        (
            "bind_transceiver",
            {"system_id": "ab", "password": "cd", "sequence_number": 1},
            "0000001b 00000009 00000000 00000001 616200 636400 00 34 00 00 00",
        ),
        ("enquire_link", {"sequence_number": 2}, "00000010 00000015 00000000 00000002"),
        ("generic_nack", {"command_status": 3, "sequence_number": 2}, "00000010 80000000 00000003 00000002"),
        (
            "submit_sm_resp",
            {"message_id": "0A1b", "sequence_number": 3},
            "00000015 80000004 00000000 00000003 3041316200",
        ),
        ("deliver_sm_resp", {"sequence_number": 3}, "00000011 80000005 00000000 00000003 00"),
    ],
)
def test_frames_octet_by_octet(name: str, fields: dict[str, Any], octets: str) -> None:
    assert CODEC.encode(name, fields).hex() == octets.replace(" ", "")


@pytest.mark.parametrize("body", ["", "00"])
def test_a_refusal_has_no_body_or_a_lone_nul(body: str) -> None:
    octets = bytes.fromhex(f"{16 + len(body) // 2:08x} 80000004 00000058 00000005 {body}")
    assert esme().answered(CODEC.decode(octets)) == ("", "0x58")


# -- what leaves ---------------------------------------------------------------------------------------------------


def test_a_submit_says_what_the_account_says() -> None:
    expires = datetime(2026, 7, 2, 1, 0, tzinfo=UTC)
    [pdu] = submitted(esme(service="CMT"), "您好", priority=0, expires_at=expires)
    wanted = {
        "service_type": "CMT", "source_addr": "10690001", "source_addr_ton": 0, "source_addr_npi": 0,
        "destination_addr": "8613800130001", "dest_addr_ton": 1, "dest_addr_npi": 1, "priority_flag": 3,
        "validity_period": "260702090000032+", "registered_delivery": 1, "data_coding": 8,
        "short_message": "您好".encode("utf-16-be"),
    }  # fmt: skip
    assert {key: pdu.fields[key] for key in wanted} == wanted


@pytest.mark.parametrize(
    ("sender", "ton", "npi", "shown"),
    [("10690001", 0, 0, "10690001"), ("+861069", 1, 1, "861069"), ("ZAOYUAN", 5, 0, "ZAOYUAN"), ("", 0, 0, "")],
)
def test_the_type_of_our_own_number_is_guessed(sender: str, ton: int, npi: int, shown: str) -> None:
    [pdu] = submitted(esme(service_code=sender), "a")
    assert (pdu.fields["source_addr_ton"], pdu.fields["source_addr_npi"], pdu.fields["source_addr"]) == (
        ton,
        npi,
        shown,
    )
    [told] = submitted(esme(service_code=sender, source_ton=3, source_npi=9), "a")
    assert (told.fields["source_addr_ton"], told.fields["source_addr_npi"]) == (3, 9)


def test_gsm_septets_are_unpacked_octets() -> None:
    [pdu] = submitted(esme(), "@_$€")
    assert (pdu.fields["data_coding"], pdu.fields["short_message"]) == (0, b"\x00\x11\x02\x1b\x65")
    [ucs2] = submitted(esme(alphabet="ucs2"), "@")
    assert (ucs2.fields["data_coding"], ucs2.fields["short_message"]) == (8, b"\0@")


@pytest.mark.parametrize(
    ("long", "head", "units"), [("6", b"\x05\x00\x03\x07", 67), ("7", b"\x06\x08\x04\x00\x07", 66)]
)
def test_long_texts_by_a_header(long: str, head: bytes, units: int) -> None:
    made = submitted(esme(long=long), LONG)
    assert len(made) == -(-len(LONG) // units) == parts(LONG, Carrier.cutting(esme(long=long).settings))
    for number, pdu in enumerate(made, 1):
        assert pdu.fields["esm_class"] == 0x40
        assert pdu.fields["short_message"].startswith(head + bytes((len(made), number)))


def test_long_texts_by_tagged_values_or_as_one_payload() -> None:
    made = submitted(esme(long="sar"), LONG)
    tags = [(p.fields["sar_msg_ref_num"], p.fields["sar_total_segments"], p.fields["sar_segment_seqnum"]) for p in made]
    assert tags == [(7, len(made), n) for n in range(1, len(made) + 1)]
    assert b"".join(p.fields["short_message"] for p in made).decode("utf-16-be") == LONG
    [whole] = submitted(esme(long="payload"), LONG)
    assert (whole.fields["short_message"], whole.fields["message_payload"]) == (b"", LONG.encode("utf-16-be"))
    [short] = submitted(esme(long="payload"), "您好")
    assert "message_payload" not in short.fields


# -- what comes ----------------------------------------------------------------------------------------------------

RECEIPT = "id:{id} sub:001 dlvrd:001 submit date:2607010900 done date:2607010905 stat:{stat} err:{err} text:id:9 stat:X"


def report(body: str = "", **fields: Any) -> list[Any]:
    told = {"source_addr": "8613800130001", "destination_addr": "10690001", "esm_class": 4}
    told |= {"short_message": body.encode("latin-1")} | fields
    return esme().items(CODEC.decode(CODEC.encode("deliver_sm", told)), NOW)


def test_a_receipt_is_read_up_to_its_text() -> None:
    [found] = report(RECEIPT.format(id="0A1b", stat="DELIVRD", err="000"))
    at = datetime(2026, 7, 1, 1, 5, tzinfo=UTC)
    assert found == Receipt("0A1b", "+8613800130001", ReceiptState.DELIVERED, None, at)
    [failed] = report(RECEIPT.format(id="7", stat="UNDELIV", err="640"))
    assert (failed.state, failed.error) == (ReceiptState.UNDELIVERED, "UNDELIV:640")
    [plain] = report(RECEIPT.format(id="7", stat="UNDELIV", err="000"))
    assert plain.error == "UNDELIV"


@pytest.mark.parametrize("stat", ["ACCEPTD", "ENROUTE"])
def test_what_is_not_final_says_nothing(stat: str) -> None:
    assert report(RECEIPT.format(id="7", stat=stat, err="000")) == []
    assert report(RECEIPT.format(id="7", stat="DELIVRD", err="000"), esm_class=0x20) == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("ID:7 Stat:DELIVRD Text:hello", ("7", "DELIVRD", "")),
        ("id:7 submit date:260701090000 done date:260701090500 stat:EXPIRED", ("7", "EXPIRED", "260701090500")),
        ("stat:REJECTD err:12 id:abc", ("abc", "REJECTD:12", "")),
        ("nonsense", ("", "", "")),
        ("", ("", "", "")),
    ],
)
def test_receipts_of_other_spellings(body: str, told: tuple[str, str, str]) -> None:
    assert read_receipt({"short_message": body.encode()}) == told


def test_tagged_values_of_a_receipt_go_before_its_text() -> None:
    [found] = report(RECEIPT.format(id="7", stat="DELIVRD", err="000"), receipted_message_id="8", message_state=5)
    assert (found.ref, found.error) == ("8", "UNDELIV")
    [bare] = report("", esm_class=0, receipted_message_id="8", message_state=2)
    assert (bare.ref, bare.state) == ("8", ReceiptState.DELIVERED)


@pytest.mark.parametrize(
    ("form", "given_as", "told_as"),
    [
        ("exact", "0A1b", "0A1b"), ("any-case", "0A1b", "0a1B"), ("unpadded", "000a1b", "A1B"),
        ("hex-to-decimal", "0A1b", "2587"), ("hex-to-decimal", "a1b", "0002587"), ("decimal-to-hex", "2587", "0a1B"),
    ],
)  # fmt: skip
def test_ids_are_brought_to_one_form(form: str, given_as: str, told_as: str) -> None:
    dialect = esme(receipt_ids=form)
    answer = Pdu("submit_sm_resp", {"message_id": given_as, "command_status": 0, "sequence_number": 1})
    body = RECEIPT.format(id=told_as, stat="DELIVRD", err="0").encode()
    told = Pdu("deliver_sm", {"esm_class": 4, "source_addr": "8613800130001", "short_message": body})
    [receipt] = dialect.items(told, NOW)
    assert receipt.ref == dialect.answered(answer)[0]


@pytest.mark.parametrize(
    ("fields", "body", "concat"),
    [
        ({"short_message": "退订".encode("utf-16-be"), "data_coding": 8}, "退订", None),
        ({"short_message": b"\x00\x1b\x65", "data_coding": 0}, "@€", None),
        ({"short_message": b"TD", "data_coding": 1}, "TD", None),
        ({"short_message": b"\xe9", "data_coding": 3}, "é", None),
        ({"short_message": b"", "message_payload": "退订".encode("utf-16-be"), "data_coding": 8}, "退订", None),
        (
            {"short_message": b"\x05\x00\x03\x09\x02\x01\x90\x00", "esm_class": 0x40, "data_coding": 8},
            "退",
            Concat(9, 2, 1),
        ),
        (
            {"short_message": "退".encode("utf-16-be"), "data_coding": 8, "sar_msg_ref_num": 300,
             "sar_total_segments": 2, "sar_segment_seqnum": 2},
            "退",
            Concat(300, 2, 2),
        ),
        ({"short_message": b"a", "data_coding": 0, "sar_msg_ref_num": 1}, "a", None),
    ],
)  # fmt: skip
def test_a_text_to_us(fields: dict[str, Any], body: str, concat: Concat | None) -> None:
    pdu = {"source_addr": "8613800130001", "destination_addr": "10690001"} | fields
    [found] = esme().items(CODEC.decode(CODEC.encode("deliver_sm", pdu)), NOW)
    assert found == Received("", "+8613800130001", "10690001", body, NOW, concat)


def test_what_we_do_not_serve_is_answered_and_answers_are_not() -> None:
    dialect = esme()
    asked = Pdu("query_sm", {"sequence_number": 9, "command_status": 0})
    assert dialect.unasked(asked) is Role.ASKED
    assert dialect.reply(asked) == Pdu("generic_nack", {"sequence_number": 9, "command_status": 3})
    assert dialect.unasked(Pdu("0x00000999", {})) is Role.ASKED
    for name in ("0x80000999", "query_sm_resp", "alert_notification", "outbind"):
        assert dialect.unasked(Pdu(name, {})) is Role.IGNORED


def test_wrong_settings_are_named() -> None:
    with pytest.raises(Invalid) as caught:
        esme(user="x" * 16, bind="both", alphabet="gsm", long="8", receipt_ids="hex", default="utf-8", port=0, links=0)
    assert [problem.key.rpartition(".")[2] for problem in caught.value.problems] == [
        "port", "links", "bind", "alphabet", "long", "receipt_ids", "default", "user"
    ]  # fmt: skip


# -- a live peer -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def peer() -> AsyncIterator[tuple[smpp34.Server, int]]:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    server = smpp34.Server("127.0.0.1", port, system_id="peer")
    await server.start()
    yield server, port
    await server.stop()


async def test_another_implementation_takes_our_texts_and_sends_us_theirs(peer: tuple[smpp34.Server, int]) -> None:
    server, port = peer
    desk = Desk()
    carrier = Carrier("main", carriers.settings_of(Carrier, "main", ACCOUNT | {"port": port}), desk.links())
    opening = asyncio.create_task(carrier.open())
    bound = await asyncio.wait_for(server.next(), 5)
    await opening
    assert bound.system_id == "901234"
    carrier.submit([*texts(1), *texts(1, first=1)])
    for _ in range(2):  # in whatever order
        event = await asyncio.wait_for(server.next(), 5)
        if event.destination_addr == "8613800130001":
            event.reject(smpp34.ESME_RINVDSTADR)
        else:
            assert event.short_message.decode("utf-16-be") == texts(1)[0].body
            event.accept("peer-1")
    accepted, rejected = sorted(await desk.answered(2), key=lambda answer: answer.text.key)
    assert (accepted, rejected) == (Accepted(texts(1)[0], ("peer-1",)), Rejected(texts(1, first=1)[0], "0x0B"))
    body = RECEIPT.format(id="peer-1", stat="DELIVRD", err="000").encode()
    answer = await bound.deliver_sm("10690001", body, source_addr="8613800130000", esm_class=4)
    assert answer.is_success
    assert [receipt.ref for receipt in desk.receipts] == ["peer-1"]
    long = LONG.encode("utf-16-be")
    tag = smpp34.Tlv(smpp34.TLV_MESSAGE_PAYLOAD, long)
    await bound.deliver_sm("10690001", source_addr="8613800130009", data_coding=8, tlvs=[tag])
    assert [text.body for text in desk.received] == [LONG]
    await carrier.close()


async def test_a_pair_keeps_texts_and_receipts_apart() -> None:
    rig = Smpp()
    await rig.start()
    carrier = await rig.opened(bind="pair", links=2)
    assert carrier.links_up == (4, 4)
    assert carrier.capacity == 2 * 16
    assert sorted(str(session.mode) for session in rig.operator.sessions) == ["receive", "receive", "send", "send"]
    carrier.submit(texts(3))
    await rig.desk.until(lambda: len(rig.desk.receipts) == 3)
    assert carrier.noticed["system_id"] == "rehearsal" and carrier.noticed["version"] == "3.4"
    await rig.stop()


def test_the_rehearsal_smsc_speaks_the_same() -> None:
    gate = Smsc()
    made = gate.answer(Pdu("submit_sm", {"sequence_number": 4}), "ab", 0)
    assert CODEC.decode(CODEC.encode(made.name, made.fields)).fields["message_id"] == "ab"
