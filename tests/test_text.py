"""gateway.text: parts as handsets and carriers count them, checked against an independent splitter."""

from __future__ import annotations

import re
from decimal import Decimal, Inexact, localcontext

import pytest
import smsutil
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import Refused
from gateway.text import (
    Alphabet,
    Cutting,
    Measure,
    Place,
    billed_parts,
    clean,
    cost,
    counted,
    cut,
    decode_gsm7,
    encode_gsm7,
    gb18030_length,
    gb18030_parts,
    measure,
    measure_signed,
    parts,
    sign,
    split,
    warnings,
)

GSM7_CHARACTERS = decode_gsm7(bytes(set(range(128)) - {0x1B})) + "\f^{}\\[~]|€"
SENDABLE = st.characters(exclude_categories=["Cs"], exclude_characters="\x1b")
MIXED = st.one_of(
    st.text(SENDABLE, max_size=250),
    st.text(st.sampled_from("您好。😀𠮷1"), max_size=250),
    st.text(st.sampled_from("aé€["), max_size=400),
    st.text(GSM7_CHARACTERS, max_size=400),
)


def units(part: str, alphabet: Alphabet) -> int:
    if alphabet is Alphabet.GSM7:
        return sum(2 if char in "\f^{}\\[~]|€" else 1 for char in part)
    return sum(2 if ord(char) > 0xFFFF else 1 for char in part)


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("", [0]),
        ("您" * 70, [70]),
        ("您" * 71, [67, 4]),
        ("您" * 134, [67, 67]),
        ("您" * 135, [67, 67, 1]),
        ("您" * 66 + "😀" + "您" * 40, [66, 42]),
        ("😀" * 35, [70]),
        ("😀" * 36, [66, 6]),
        ("a" * 160, [160]),
        ("a" * 161, [153, 8]),
        ("a" * 306, [153, 153]),
        ("a" * 152 + "€" * 5, [152, 10]),
        ("€" * 80, [160]),
        ("€" * 81, [152, 10]),
        ("【" + "a" * 70, [67, 4]),
    ],
)
def test_parts(text: str, sizes: list[int]) -> None:
    measured = measure(text)
    assert [units(part, measured.alphabet) for part in split(text)] == sizes
    assert (measured.units, measured.parts) == (sum(sizes), len(sizes))


def test_alphabet() -> None:
    assert measure("Hello, @£$ {world} €") == Measure(Alphabet.GSM7, 23, 1)
    assert measure("") == Measure(Alphabet.GSM7, 0, 1)
    for outside in ("您", "`", "ç", "\x1b", "\t", "【a】", "\u00a0"):
        assert measure(outside).alphabet is Alphabet.UCS2


@given(MIXED)
@example("😀" * 36)
@example("a" * 152 + "€€€€€")
@example("a" * 159 + "€")
def test_against_an_independent_splitter(text: str) -> None:
    told = smsutil.split(text)
    measured = measure(text)
    assert measured.parts == len(told.parts)
    if text:
        assert split(text) == [part.content for part in told.parts]
        assert measured.alphabet == {"gsm0338": "GSM7", "utf_16_be": "UCS2"}[told.encoding]
        assert measured.units == told.total_bytes // (2 if measured.alphabet is Alphabet.UCS2 else 1)


@given(MIXED)
def test_the_parts_are_the_text_and_none_is_too_long(text: str) -> None:
    parts = split(text)
    measured = measure(text)
    single, several = (160, 153) if measured.alphabet is Alphabet.GSM7 else (70, 67)
    assert "".join(parts) == text
    assert measured.parts == len(parts)
    assert max(units(part, measured.alphabet) for part in parts) <= (single if len(parts) == 1 else several)
    assert not re.search("[\ud800-\udfff]", "".join(f"{part}|" for part in parts))


@given(st.text(GSM7_CHARACTERS, max_size=400))
def test_no_part_ends_within_an_extension_pair(text: str) -> None:
    assert b"".join(encode_gsm7(part) for part in split(text)) == encode_gsm7(text)
    assert not any(encode_gsm7(part).endswith(b"\x1b") for part in split(text))


@pytest.mark.parametrize("count", [measure, split, billed_parts, gb18030_length, gb18030_parts, warnings])
@pytest.mark.parametrize(("text", "place"), [("您\ud800", 2), ("\udc00a", 1), ("ab\ud83d\ude00", 3)])
def test_lone_surrogates_are_refused_with_their_place(count: object, text: str, place: int) -> None:
    assert callable(count)
    with pytest.raises(Refused, match=f"character {place} ") as refusal:
        count(text)
    assert f"第{place}个字符" in refusal.value.zh


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1),
        ("a" * 70, 1),
        ("a" * 71, 2),
        ("a" * 160, 3),
        ("您" * 134, 2),
        ("您" * 135, 3),
        ("😀" * 36, 2),
        ("😀" * 67, 3),
    ],
)
def test_billed_parts(text: str, parts: int) -> None:
    assert billed_parts(text) == parts


@given(MIXED)
def test_never_billed_below_what_is_sent(text: str) -> None:
    assert billed_parts(text) >= measure(text).parts


@pytest.mark.parametrize(
    ("text", "octets", "parts"),
    [
        ("", 0, 1),
        ("a您😀", 7, 1),
        ("您" * 70, 140, 1),
        ("您" * 71, 142, 2),
        ("a" + "您" * 70, 141, 2),
        ("a" + "您" * 133 + "a", 268, 3),
        ("您" * 134, 268, 2),
        ("a" * 3 + "😀" * 35, 143, 2),
        ("a" * 3 + "😀" * 66, 267, 3),
    ],
)
def test_gb18030(text: str, octets: int, parts: int) -> None:
    assert (gb18030_length(text), gb18030_parts(text)) == (octets, parts)


@given(st.text(SENDABLE, max_size=200))
def test_gb18030_length_is_that_of_the_codec(text: str) -> None:
    assert gb18030_length(text) == len(text.encode("gb18030"))


@given(st.text(st.sampled_from("a您😀"), max_size=200))
def test_gb18030_fills_each_part_with_whole_characters(text: str) -> None:
    sizes = [0]
    for width in (len(char.encode("gb18030")) for char in text):
        if sizes[-1] + width > 134:
            sizes.append(0)
        sizes[-1] += width
    assert gb18030_parts(text) == (1 if sum(sizes) <= 140 else len(sizes))


def test_gsm7_codes() -> None:
    assert encode_gsm7("@$_Δ ~a€ü") == bytes.fromhex("00 02 11 10 20 1b3d 61 1b65 7e")
    assert encode_gsm7("") == b""


@given(st.text(GSM7_CHARACTERS))
def test_gsm7_there_and_back(text: str) -> None:
    assert decode_gsm7(encode_gsm7(text)) == text
    assert encode_gsm7(text) == text.encode("gsm0338")  # the independent splitter's codec


def test_gsm7_refuses_what_it_lacks() -> None:
    with pytest.raises(Refused, match="character 3 ") as refusal:
        encode_gsm7("ab您")
    assert refusal.value.zh == "第3个字符不在GSM 7位字符表内"
    with pytest.raises(Refused):
        encode_gsm7("\x1b")


@pytest.mark.parametrize(
    ("septets", "text"),
    [
        (b"\x1b\x65\x1b\x0a", "€\f"),
        (b"a\x1bbc", "abc"),
        (b"a\x1b", "a "),
        (b"\x1b\x1b\x65", " e"),
        (b"\x1b\x00", "@"),
        (b"a\x80\xff", "a\ufffd\ufffd"),
        (b"\x1b\x80", "\ufffd"),
    ],
)
def test_gsm7_reads_what_others_send(septets: bytes, text: str) -> None:
    assert decode_gsm7(septets) == text


@given(st.binary())
def test_gsm7_decoding_never_raises(septets: bytes) -> None:
    assert len(decode_gsm7(septets)) <= len(septets)


def test_clean() -> None:
    assert clean("甲\r\n乙\r丙\n丁\t戊😀") == "甲\n乙\n丙\n丁 戊😀"


@pytest.mark.parametrize("char", ["\x00", "\x07", "\x0b", "\x0c", "\x1b", "\x1f", "\x7f", "\x85", "\x9f", "\ud800"])
def test_clean_refuses_what_no_handset_shows(char: str) -> None:
    with pytest.raises(Refused, match=f"character 4 \\(U\\+{ord(char):04X}\\)") as refusal:
        clean(f"甲\r\n{char}乙")
    assert "第4个字符" in refusal.value.zh


@given(st.text())
def test_what_is_clean_stays_as_it_is_and_can_be_measured(text: str) -> None:
    try:
        cleaned = clean(text)
    except Refused:
        return
    assert clean(cleaned) == cleaned
    assert measure(cleaned).parts >= 1


@pytest.mark.parametrize(
    ("place", "signed", "whole"),
    [
        ("front", "【枣原镇】停水通知", "【枣原镇】停水通知"),
        ("back", "停水通知【枣原镇】", "停水通知【枣原镇】"),
        ("carrier", "停水通知", "【枣原镇】停水通知"),
    ],
)
def test_sign(place: Place, signed: str, whole: str) -> None:
    assert sign("停水通知", "枣原镇", place) == signed
    assert counted("停水通知", "枣原镇", place) == whole


@pytest.mark.parametrize("place", ["front", "back", "carrier"])
def test_a_signature_counts_whoever_adds_it(place: Place) -> None:
    assert measure_signed("您" * 65, "枣原镇", place) == Measure(Alphabet.UCS2, 70, 1)
    assert measure_signed("您" * 66, "枣原镇", place) == Measure(Alphabet.UCS2, 71, 2)
    assert measure_signed("a" * 100, "枣原镇", place) == Measure(Alphabet.UCS2, 105, 2)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("明天上午停水，请储水。", []),
        ("您" * 65, []),
        ("您" * 66, ["71 characters"]),
        ("【重要】停水", ["【】"]),
        ("停水】", ["【】"]),
        ("停水\n请储水", ["line break"]),
        ("详见https://hall.invalid/1", ["link"]),
        ("详见hall.gov.cn查看", ["link"]),
        ("详见WWW.hall", ["link"]),
        ("金额84.60元，7.1起发放", []),
        ("【重要】\r\n" + "www.hall" * 10, ["【】", "line break", "link", "characters"]),
    ],
)
def test_warnings(body: str, said: list[str]) -> None:
    found = warnings(body, "枣原镇")
    assert len(found) == len(said)
    for (zh, en), word in zip(found, said, strict=True):
        assert word in en
        assert "\u4e00" <= zh[0] <= "\u9fff"


def test_warnings_without_a_signature_count_the_body() -> None:
    assert warnings("您" * 70) == []
    assert warnings("您" * 71) == [("全文71字，超过70字", "71 characters in all, more than 70")]


def test_cost_is_exact() -> None:
    assert cost(54_000, Decimal("0.0425")) == Decimal("2295.0000")
    assert cost(0, Decimal("0.05")) == 0
    with localcontext() as ctx:
        ctx.prec = 3
        assert cost(1234567, Decimal("0.05")) == Decimal("61728.35")
    with pytest.raises(Inexact):
        cost(3, Decimal("1." + "1" * 60))


# -- as an account cuts it -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cutting", "text", "alphabet", "sizes"),
    [
        (Cutting(), "a" * 160, Alphabet.GSM7, [160]),
        (Cutting(), "a" * 161, Alphabet.GSM7, [153, 8]),
        (Cutting("auto", 7), "a" * 161, Alphabet.GSM7, [152, 9]),
        (Cutting("auto", 0), "a" * 161, Alphabet.GSM7, [161]),
        (Cutting("ucs2", 6), "a" * 71, Alphabet.UCS2, [67, 4]),
        (Cutting("ucs2", 7), "字" * 71, Alphabet.UCS2, [66, 5]),
        (Cutting("ucs2", 0), "字" * 71, Alphabet.UCS2, [71]),
        (Cutting("ucs2", 6), "字" * 66 + "😀字字字", Alphabet.UCS2, [66, 4]),
        (Cutting("gb18030", 6), "字" * 71, Alphabet.GB18030, [67, 4]),
        (Cutting("gb18030", 7), "字" * 71, Alphabet.GB18030, [66, 5]),
        (Cutting("gb18030", 6), "a" + "字" * 70, Alphabet.GB18030, [67, 4]),
        (Cutting("gb18030", 0), "字" * 71, Alphabet.GB18030, [71]),
        (Cutting("gb18030", 6), "😀" + "字" * 70, Alphabet.UCS2, [66, 5]),
    ],
)
def test_a_text_is_cut_as_its_account_says(cutting: Cutting, text: str, alphabet: Alphabet, sizes: list[int]) -> None:
    found, pieces = cut(text, cutting)
    assert (found, [len(piece) for piece in pieces]) == (alphabet, sizes)
    assert "".join(pieces) == text
    assert parts(text, cutting) == len(sizes)


@given(
    st.text(st.sampled_from("a字€[😀𠮷\n"), max_size=400),
    st.sampled_from([Cutting(a, h) for a in ("auto", "ucs2", "gb18030") for h in (0, 6, 7)]),
)
def test_parts_counts_what_cut_cuts(text: str, cutting: Cutting) -> None:
    _, pieces = cut(text, cutting)
    assert "".join(pieces) == text
    assert parts(text, cutting) == len(pieces)
