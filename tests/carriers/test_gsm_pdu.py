"""gateway.carriers.gsm.pdu: PDUs against two libraries of others, round trips, and what is broken.

`FUZZ=1000000` mutates so many PDUs instead of the usual 10,000.
"""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime, timedelta, timezone
from io import StringIO
from typing import Any

import pytest
from gsmmodem.pdu import decodeSmsPdu, encodeSmsSubmitPdu
from hypothesis import given
from hypothesis import strategies as st
from smspdudecoder.fields import SMSDeliver, SMSSubmit

from gateway import text as texts
from gateway.carriers.gsm import pdu, userdata
from gateway.carriers.gsm import septets as septets_of
from gateway.errors import Refused

FUZZ = int(os.environ.get("FUZZ", "10000"))
EAST8 = timezone(timedelta(hours=8))

CENTRE = "0891683108100005F0"
SUBMIT = CENTRE + "31000D91683108100300F10008AD084ECA591C670996E8"
DELIVER = CENTRE + "240D91683108100300F1000862302021000023044F60597D"
REPORT = "0006050D91683108100300F162302021000023623020210500" + "2300"

numbers = st.integers(10**6, 10**14).map(str)
# gsmmodem has a back-quote where the table has a section sign, and drops form feeds.
septets = st.sampled_from(sorted(set(texts._TO_SEPTETS) - {"§", "\f"}))
plain_septets = st.sampled_from(sorted(c for c, code in texts._TO_SEPTETS.items() if len(code) == 1 and c != "§"))
hanzi = st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF)
any_text = st.one_of(st.text(septets, max_size=70), st.text(hanzi, max_size=60))
times = st.integers(946_800_000, 3_124_000_000).map(lambda at: datetime.fromtimestamp(at, EAST8))
concats = st.one_of(
    st.tuples(st.just(0), st.integers(0, 255), st.integers(1, 255), st.integers(1, 255)),
    st.tuples(st.just(8), st.integers(0, 65535), st.integers(1, 255), st.integers(1, 255)),
)


def header(part: tuple[int, int, int, int]) -> dict[str, Any]:
    return {"TP-UDH": [dict(zip(("iei", "ref", "total", "seq"), part, strict=True))]}


def scheme(text: str) -> int:
    return 0 if texts.measure(text).alphabet is texts.Alphabet.GSM7 else 8


def agrees(read: str, text: str) -> bool:
    """smspdudecoder takes septets for characters, and shows padding behind a text with extension characters."""
    beyond = any(len(texts._TO_SEPTETS.get(char, "")) == 2 for char in text)
    return (scheme(text) == 0 and beyond) or read == text


def reads(text: str) -> tuple[str, str]:
    """What gsmmodem may read a text as: it loses a commercial at in the last septet of a full octet."""
    return text, text.removesuffix("@")


def again(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    found, read = pdu.decode(pdu.encode(name, fields))
    assert found == name
    return read


# -- known PDUs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "name", "some"),
    [
        (SUBMIT, "SMS-SUBMIT", {"SMSC": "+8613800100500", "TP-SRR": 1, "TP-VPF": 2, "TP-VP": 173, "TP-DCS": 8,
                                "TP-DA": "+8613800130001", "TP-UDL": 8, "TP-UD": "今夜有雨"}),
        (DELIVER, "SMS-DELIVER", {"TP-OA": "+8613800130001", "TP-MMS": 1, "TP-SRI": 1, "TP-DCS": 8,
                                  "TP-SCTS": "2026-03-02T12:00:00+08:00", "TP-UD": "你好"}),
        (REPORT, "SMS-STATUS-REPORT", {"SMSC": "", "TP-MR": 5, "TP-RA": "+8613800130001", "TP-ST": 0,
                                       "TP-SCTS": "2026-03-02T12:00:00+08:00",
                                       "TP-DT": "2026-03-02T12:50:00+08:00"}),
    ],
)  # fmt: skip
def test_known_pdus(octets: str, name: str, some: dict[str, Any]) -> None:
    found, fields = pdu.decode(bytes.fromhex(octets))
    assert found == name and {key: fields[key] for key in some} == some
    assert pdu.encode(found, fields).hex().upper() == octets


def test_the_length_counts_no_service_centre() -> None:
    assert pdu.length(bytes.fromhex(SUBMIT)) == 23
    assert pdu.length(bytes.fromhex("00" + SUBMIT[len(CENTRE) :])) == 23


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("0B813108100300F1", "13800130001"),
        ("0D91683108100300F1", "+8613800130001"),
        ("0BA13108100300F1", {"toa": 0xA1, "digits": "13800130001"}),
        ("0681A1C2D3", "1*2a3b"),
        ("07D0C161B308", {"toa": 0xD0, "text": "ACME"}),
        ("08D0C161B308", {"toa": 0xD0, "text": "ACME", "length": 8, "hex": "c161b308"}),
        ("0081", {"toa": 0x81, "digits": "", "length": 0, "hex": ""}),
        ("0491F1F2", {"toa": 0x91, "length": 4, "hex": "f1f2"}),
    ],
)
def test_addresses_of_every_kind_come_back_as_they_were(address: str, shown: Any) -> None:
    octets = "0004" + address + "000862302021000023044F60597D"
    name, fields = pdu.decode(bytes.fromhex(octets))
    assert fields["TP-OA"] == shown
    assert pdu.encode(name, fields).hex().upper() == octets


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        ("62302021000023", "2026-03-02T12:00:00+08:00"),
        ("6230202100004A", "2026-03-02T12:00:00-06:00"),
        ("62302021000008", {"hex": "62302021000008"}),
        ("62312021000023", {"hex": "62312021000023"}),
        ("FFFFFFFFFFFFFF", {"hex": "ffffffffffffff"}),
    ],
)
def test_times_that_are_none_stay_as_they_are(octets: str, shown: Any) -> None:
    whole = f"00040D91683108100300F10008{octets}044F60597D"
    name, fields = pdu.decode(bytes.fromhex(whole))
    assert fields["TP-SCTS"] == shown
    assert pdu.encode(name, fields).hex().upper() == whole


@pytest.mark.parametrize(
    ("minutes", "octet"),
    [(1, 0), (5, 0), (720, 143), (721, 143), (750, 144), (1440, 167), (2000, 167), (2880, 168), (4320, 169),
     (7 * 1440, 173), (30 * 1440, 196), (34 * 1440, 196), (35 * 1440, 197), (10**7, 255)],
)  # fmt: skip
def test_a_validity_is_never_longer_than_wanted(minutes: int, octet: int) -> None:
    assert pdu.relative_validity(timedelta(minutes=minutes)) == octet


@pytest.mark.parametrize(
    ("dcs", "kind"),
    [(0x00, "GSM7"), (0x04, "8BIT"), (0x08, "UCS2"), (0x0C, "GSM7"), (0x10, "GSM7"), (0x18, "UCS2"), (0x20, "8BIT"),
     (0x48, "UCS2"), (0x80, "GSM7"), (0xC0, "GSM7"), (0xD0, "GSM7"), (0xE0, "UCS2"), (0xF0, "GSM7"), (0xF4, "8BIT")],
)  # fmt: skip
def test_alphabets_of_data_coding_schemes(dcs: int, kind: str) -> None:
    assert userdata.alphabet(dcs) == kind


# -- against other libraries -----------------------------------------------------------------------------------


@given(numbers, any_text)
def test_a_submission_is_read_by_others_as_it_was_meant(number: str, text: str) -> None:
    fields = {"TP-DA": f"+{number}", "TP-DCS": scheme(text), "TP-VP": 167, "TP-SRR": 1, "TP-UD": text}
    octets = pdu.encode("SMS-SUBMIT", fields)
    other = SMSSubmit.decode(StringIO(octets.hex()))
    assert other["recipient"]["number"] == number and agrees(other["user_data"]["data"], text)
    assert (other["header"]["srr"], other["validity-hours"]) == (True, 24)
    third = decodeSmsPdu(octets.hex().upper())
    assert third["number"] == f"+{number}" and third["text"] in reads(text)
    assert again("SMS-SUBMIT", fields)["TP-UD"] == text


@given(numbers, st.one_of(st.text(plain_septets, min_size=1, max_size=100), st.text(hanzi, max_size=60)), concats)
def test_a_part_is_read_by_others_with_its_header(number: str, text: str, part: tuple[int, int, int, int]) -> None:
    fields = {"TP-DA": number, "TP-DCS": scheme(text), "TP-UD": text} | header(part)
    octets = pdu.encode("SMS-SUBMIT", fields)
    other = SMSSubmit.decode(StringIO(octets.hex()))["user_data"]
    [element] = other["header"]["elements"]
    said = element["data"]
    assert (element["iei"], said["reference"], said["parts_count"], said["part_number"]) == part
    # It takes the header for septets of the text first: one that looks like ESC puts it out of step.
    if scheme(text) or 0x1B not in septets_of.unpack(userdata.header_of(fields) + bytes(1), 8):
        assert other["data"] == text
    if scheme(text) or part[0] == 0:  # gsmmodem loses a septet behind a header of seven octets
        third = decodeSmsPdu(octets.hex().upper())
        assert (third["udh"][0].reference, third["udh"][0].parts) == part[1:3] and third["text"] in reads(text)


@given(numbers, any_text, st.booleans())
def test_what_others_write_is_read(number: str, text: str, report: bool) -> None:
    [written] = encodeSmsSubmitPdu(f"+{number}", text, requestStatusReport=report, sendFlash=False)
    name, fields = pdu.decode(bytes.fromhex(str(written)))
    assert (name, fields["TP-DA"], fields["TP-UD"], fields["TP-SRR"]) == ("SMS-SUBMIT", f"+{number}", text, report)
    assert pdu.encode(name, fields).hex().upper() == str(written)


@given(numbers, st.integers(2, 4), st.booleans())
def test_long_texts_that_others_cut_are_put_together(number: str, times: int, latin: bool) -> None:
    text = ("abcdefgh" if latin else "今夜有雨") * 40 * times
    read = [pdu.decode(bytes.fromhex(str(one)))[1] for one in encodeSmsSubmitPdu(f"+{number}", text, reference=7)]
    named = [pdu.part_of(fields) for fields in read]
    assert named == [(7, len(read), at) for at in range(1, len(read) + 1)]
    assert "".join(map(pdu.words, read)) == text


@given(numbers, any_text, times)
def test_a_delivery_is_read_alike(number: str, text: str, at: datetime) -> None:
    fields = {"TP-OA": f"+{number}", "TP-DCS": scheme(text), "TP-SCTS": at.isoformat(), "TP-UD": text}
    octets = pdu.encode("SMS-DELIVER", fields)
    other = SMSDeliver.decode(StringIO(octets.hex()))
    assert (other["sender"]["number"], other["scts"]) == (number, at) and agrees(other["user_data"]["data"], text)
    third = decodeSmsPdu(octets.hex().upper())
    assert (third["type"], third["number"]) == ("SMS-DELIVER", f"+{number}") and third["text"] in reads(text)
    assert third["time"].astimezone(UTC) == at
    assert pdu.moment(again("SMS-DELIVER", fields)["TP-SCTS"]) == at


@given(st.text(plain_septets, min_size=1, max_size=11))
def test_a_name_as_the_sender_is_read_alike(name: str) -> None:
    fields = {"TP-OA": {"toa": 0xD0, "text": name}, "TP-SCTS": "2026-03-02T12:00:00+08:00", "TP-UD": "hello"}
    assert again("SMS-DELIVER", fields)["TP-OA"]["text"] == name
    if not name.endswith("@"):  # others take it for the padding
        octets = pdu.encode("SMS-DELIVER", fields)
        assert SMSDeliver.decode(StringIO(octets.hex()))["sender"]["number"].rstrip("@\r") == name.rstrip("@\r")


@given(numbers, st.integers(0, 255), st.integers(0, 255), times)
def test_a_report_is_read_alike(number: str, ref: int, status: int, at: datetime) -> None:
    done = at + timedelta(hours=3)
    fields = {"TP-MR": ref, "TP-RA": f"+{number}", "TP-SCTS": at.isoformat(), "TP-DT": done.isoformat()}
    octets = pdu.encode("SMS-STATUS-REPORT", fields | {"TP-ST": status})
    other = decodeSmsPdu(octets.hex().upper())
    assert (other["type"], other["reference"], other["number"]) == ("SMS-STATUS-REPORT", ref, f"+{number}")
    assert (other["time"].astimezone(UTC), other["discharge"].astimezone(UTC)) == (at, done)
    assert other["status"] == status
    assert again("SMS-STATUS-REPORT", fields | {"TP-ST": status})["TP-ST"] == status


# -- our own ---------------------------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=35), concats)
def test_texts_with_rare_characters_and_headers_come_back(text: str, part: tuple[int, int, int, int]) -> None:
    fields = again("SMS-SUBMIT", {"TP-DA": "10086", "TP-DCS": scheme(text), "TP-UD": text} | header(part))
    assert fields["TP-UD"] == text == pdu.words(fields)
    assert fields["TP-UDH"] == header(part)["TP-UDH"]


@given(st.binary(max_size=150), st.integers(0, 255))
def test_septets_are_packed_without_loss(octets: bytes, fill: int) -> None:
    septets, fill = bytes(octet & 0x7F for octet in octets), fill % 7
    assert septets_of.unpack(septets_of.pack(septets, fill), len(septets), fill) == septets


@pytest.mark.parametrize("text", ["x" * 160, "€" * 80, "字" * 70])
def test_a_whole_text_fits_and_one_more_does_not(text: str) -> None:
    fields = {"TP-DA": "10086", "TP-DCS": scheme(text)}
    assert again("SMS-SUBMIT", fields | {"TP-UD": text})["TP-UD"] == text
    with pytest.raises(Refused, match="TP-UD"):
        pdu.encode("SMS-SUBMIT", fields | {"TP-UD": text + text[0]})


@pytest.mark.parametrize("iei", [0, 8])
def test_a_part_holds_as_much_as_the_standard_says(iei: int) -> None:
    part = header((iei, 1, 2, 1))
    for text in ("x" * (153 - iei // 8), "字" * (67 - iei // 8)):
        fields = {"TP-DA": "10086", "TP-DCS": scheme(text), "TP-UD": text} | part
        assert len(pdu.encode("SMS-SUBMIT", fields)) <= 11 + pdu.MOST_DATA
        assert again("SMS-SUBMIT", fields)["TP-UD"] == text
        with pytest.raises(Refused):
            pdu.encode("SMS-SUBMIT", fields | {"TP-UD": text + text[0]})


@pytest.mark.parametrize(
    ("elements", "part"),
    [
        ([{"iei": 0, "ref": 9, "total": 2, "seq": 1}], (9, 2, 1)),
        ([{"iei": 8, "ref": 9, "total": 2, "seq": 1}], (9 | 1 << 16, 2, 1)),
        ([{"iei": 5, "data": "0b8423f0"}, {"iei": 0, "ref": 9, "total": 3, "seq": 2}], (9, 3, 2)),
        ([{"iei": 0, "ref": 9, "total": 0, "seq": 1}], None),
        ([{"iei": 0, "ref": 9, "total": 2, "seq": 0}], None),
        ([{"iei": 0, "ref": 9, "total": 2, "seq": 3}], None),
        ([{"iei": 0, "data": "0902"}], None),
        ([{"iei": 0x24, "data": "01"}], None),
        ([], None),
    ],
)
def test_a_part_is_known_by_its_element_wherever_it_stands(elements: list[dict[str, Any]], part: Any) -> None:
    fields = again("SMS-SUBMIT", {"TP-DA": "10086", "TP-UD": "hello", "TP-UDH": elements})
    assert (fields["TP-UDH"], pdu.part_of(fields)) == (elements, part)


@pytest.mark.parametrize(
    ("data", "dcs", "words", "shown"),
    [
        ("4f60d83d", 8, "你\ud83d", {"hex": "4f60d83d", "text": "你�"}),
        ("4f60597d00", 8, "你好", {"hex": "4f60597d00", "text": "你好�"}),
        ("be02", 4, "〔非文字短信，2字节〕", {"hex": "be02"}),
    ],
)
def test_data_that_is_no_whole_text_is_kept(data: str, dcs: int, words: str, shown: Any) -> None:
    whole = f"00040D91683108100300F100{dcs:02X}62302021000023{len(data) // 2:02X}{data.upper()}"
    name, fields = pdu.decode(bytes.fromhex(whole))
    assert fields["TP-UD"] == shown and pdu.words(fields) == words
    assert pdu.encode(name, fields).hex().upper() == whole


def test_more_is_announced_than_there_is() -> None:
    name, fields = pdu.decode(bytes.fromhex("00040D91683108100300F100086230202100002364" + "4F60597D"))
    assert (fields["TP-UD"], fields["TP-UDL"]) == ("你好", 4)
    assert pdu.decode(pdu.encode(name, fields)) == (name, fields)


def test_what_follows_the_last_field_is_kept() -> None:
    name, fields = pdu.decode(bytes.fromhex(DELIVER + "FFFF"))
    assert fields["rest"] == "ffff" and pdu.encode(name, fields).hex().upper() == DELIVER + "FFFF"


@pytest.mark.parametrize(
    ("tail", "some"),
    [
        ("00", {"TP-PI": 0}),
        ("0708080 44F60597D".replace(" ", ""), {"TP-PI": 7, "TP-PID": 8, "TP-DCS": 8, "TP-UD": "你好"}),
        ("0708", {"rest": "0708"}),
        ("FF", {"rest": "ff"}),
    ],
)
def test_a_report_may_go_on(tail: str, some: dict[str, Any]) -> None:
    name, fields = pdu.decode(bytes.fromhex(REPORT + tail))
    assert {key: fields[key] for key in some} == some and fields["TP-ST"] == 0
    assert pdu.encode(name, fields).hex().upper() == REPORT + tail


# -- what is broken --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "zh", "en"),
    [
        ("", "第1个八位组：SMSC 不完整", "octet 1: SMSC is cut short"),
        ("0C" + "00" * 20, "SMSC", "SMSC"),
        ("00", "第2个八位组：TP-MTI 不完整", "octet 2: TP-MTI"),
        ("0003", "是3，保留未用", "reserved"),
        ("000605", "第4个八位组：TP-RA 不完整", "octet 4: TP-RA"),
        ("00060505" + "0D91683108100300F1" + "00" * 15, "TP-RA 不是号码", "TP-RA is no address (05 0D)"),
        (SUBMIT[:40], "TP-PID", "octet 21: TP-PID"),
        (SUBMIT[:-4], "", ""),
        ("00440D91683108100300F10008623020210000230405000309", "TP-UDH 比用户数据还长", "TP-UDH is longer"),
        ("0004" + "0D91683108100300F10004623020210000239D" + "00" * 157, "TP-UDL 大于140", "TP-UDL is more than 140"),
        ("00" * 256, "太长", "too long"),
    ],
)
def test_what_cannot_be_read_says_what_and_where(octets: str, zh: str, en: str) -> None:
    if not zh:  # only the text is cut: what there is of it is shown
        assert pdu.decode(bytes.fromhex(octets))[1]["TP-UD"] == "今夜有"
        return
    with pytest.raises(Refused) as caught:
        pdu.decode(bytes.fromhex(octets))
    assert zh in caught.value.zh and en in caught.value.en


GOOD = {"TP-DA": "+8613800130001", "TP-UD": "hello"}


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("SMS-COMMAND", GOOD, "没有 SMS-COMMAND"),
        ("SMS-SUBMIT", {"TP-UD": "hello"}, "缺少字段 TP-DA"),
        ("SMS-SUBMIT", GOOD | {"TP-OA": "1"}, "没有字段 TP-OA"),
        ("SMS-SUBMIT", GOOD | {"TP-DA": "+86x"}, "TP-DA 里有不是号码的字符"),
        ("SMS-SUBMIT", GOOD | {"TP-DA": ""}, "TP-DA"),
        ("SMS-SUBMIT", GOOD | {"TP-DA": "1" * 21}, "TP-DA"),
        ("SMS-SUBMIT", GOOD | {"TP-DA": 10086}, "TP-DA 应为号码"),
        ("SMS-SUBMIT", GOOD | {"TP-DA": {"toa": 0x91, "length": 4, "hex": "00"}}, "TP-DA 的长度不对"),
        ("SMS-SUBMIT", GOOD | {"TP-MR": 256}, "TP-MR 应为0至255的整数"),
        ("SMS-SUBMIT", GOOD | {"TP-DCS": "8"}, "TP-DCS"),
        ("SMS-SUBMIT", GOOD | {"TP-UD": "你好"}, "TP-UD 有不在 GSM7 里的字符"),
        ("SMS-SUBMIT", GOOD | {"TP-UD": "\ud83d", "TP-DCS": 8}, "TP-UD"),
        ("SMS-SUBMIT", GOOD | {"TP-DCS": 4}, "TP-UD 应为文字"),
        ("SMS-SUBMIT", GOOD | {"TP-UD": {"hex": "ff"}}, "大于7F"),
        ("SMS-SUBMIT", GOOD | {"TP-UD": {"hex": "f"}}, "十六进制"),
        ("SMS-SUBMIT", GOOD | {"TP-UDH": "0500"}, "TP-UDH 应为信息单元的列表"),
        ("SMS-SUBMIT", GOOD | {"TP-UDH": [{"iei": 0, "ref": 256, "total": 2, "seq": 1}]}, "TP-UDH"),
        ("SMS-SUBMIT", GOOD | {"TP-UDH": [{"iei": 4, "data": "00" * 140}]}, "TP-UDH"),
        ("SMS-SUBMIT", GOOD | {"TP-VP": "tomorrow"}, "TP-VP 应为带时区的时间"),
        ("SMS-SUBMIT", GOOD | {"TP-VP": {"hex": "00"}}, "TP-VP 应为7个八位组"),
        ("SMS-SUBMIT", GOOD | {"SMSC": "1" * 30}, "SMSC"),
        ("SMS-DELIVER", {"TP-OA": "10086", "TP-SCTS": "2026-03-02T12:00:00", "TP-UD": ""}, "TP-SCTS"),
        ("SMS-DELIVER", {"TP-OA": "10086", "TP-SCTS": "2026-03-02T12:00:00+20:00", "TP-UD": ""}, "TP-SCTS"),
        ("SMS-STATUS-REPORT", {"TP-UD": "hello"}, "TP-UD 要有 TP-PI"),
    ],
)
def test_what_no_pdu_can_hold_is_refused(name: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused) as caught:
        pdu.encode(name, fields)
    assert said in caught.value.zh and caught.value.en.isascii()


SEEDS = [
    bytes.fromhex(octets)
    for octets in (
        SUBMIT,
        DELIVER,
        REPORT,
        REPORT + "0708080444F60597D0"[:16],
        str(encodeSmsSubmitPdu("+8613800130001", "a€b" * 60, reference=9)[0]),
        "00440D91683108100300F1000862302021000023" + "0C0608040102030 14F60597D00".replace(" ", ""),
        "000407D0C161B308000062302021000023054876BDBC0C".replace("4876BDBC0C", "E8329BFD06"),
    )
]


def mutated(dice: random.Random) -> bytes:
    octets = bytearray(dice.choice(SEEDS))
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(octets) + 1)
        match dice.randrange(5):
            case 0 if octets:
                octets[at % len(octets)] = dice.randrange(256)
            case 1 if octets:
                octets[at % len(octets)] ^= 1 << dice.randrange(8)
            case 2:
                octets[at:at] = dice.randbytes(dice.randint(1, 8))
            case 3:
                del octets[at : at + dice.randint(1, 8)]
            case _:
                octets[at:] = octets[at : at + dice.randrange(40)] * dice.randint(0, 3)
    return bytes(octets)


@pytest.mark.timeout(3600)
def test_no_mutation_crashes_and_what_is_read_is_written_again() -> None:
    dice, read = random.Random(20260302), 0
    for _ in range(FUZZ):
        octets = mutated(dice)
        try:
            name, fields = pdu.decode(octets)
        except Refused as refused:
            assert refused.zh and refused.en
            continue
        read += 1
        assert pdu.decode(pdu.encode(name, fields)) == (name, fields), octets.hex()
        pdu.words(fields).encode("utf-16-be", "surrogatepass")
        pdu.part_of(fields)
    assert read > FUZZ / 10


@pytest.mark.timeout(3600)
def test_no_mutated_field_crashes() -> None:
    dice = random.Random(1)
    values: list[Any] = [None, -1, 0, 7, 256, 10**30, True, 1.5, "", "8", "zz", "你", [], [{}], [1], {}, {"hex": "00"}]
    values += [{"toa": 0xD0, "text": "A"}, {"hex": 1}, {"text": 1}, [{"iei": 0}], "2026-03-02T12:00:00+08:00"]
    for _ in range(FUZZ // 5):
        name, fields = pdu.decode(dice.choice(SEEDS))
        for key in dice.sample(sorted(fields), 2):
            fields[key] = dice.choice(values)
        try:
            octets = pdu.encode(name, fields)
        except Refused:
            continue
        assert pdu.decode(octets)[0] == name
