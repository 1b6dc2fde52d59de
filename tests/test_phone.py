"""gateway.phone: what people write, what comes of it, and that nothing shows a whole number."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from decimal import Decimal

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberType, carrier

from gateway.errors import Refused
from gateway.phone import (
    REASONS,
    Operator,
    Phone,
    explain,
    local,
    mask,
    mask_numbers,
    mask_text,
    mobile,
    operator,
    parse,
)

MOBILE = Phone("+8613800130001", True, Operator.MOBILE, None)
MAINLAND_LANDLINE = phonenumbers.format_number(phonenumbers.example_number("CN"), phonenumbers.PhoneNumberFormat.E164)


def example(region: str, kind: int) -> str:
    number = phonenumbers.example_number_for_type(region, kind)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


HONG_KONG_MOBILE = example("HK", PhoneNumberType.MOBILE)
HONG_KONG_FIXED = example("HK", PhoneNumberType.FIXED_LINE)


@pytest.mark.parametrize(
    "raw",
    [
        "13800130001",
        13800130001,
        13800130001.0,
        Decimal("13800130001"),
        Decimal("13800130001.0"),
        "13800130001.0",
        "+8613800130001",
        "+86 138 0013 0001",
        "(+86)13800130001",
        "+86-138-0013-0001",
        "86-13800130001",
        "8613800130001",
        "008613800130001",
        "0086 138 0013 0001",
        "138.0013.0001",
        "138-0013-0001",
        "138–0013—0001",
        "138−0013·0001",
        " 13800130001\t\r\n",
        "'13800130001",
        "’13800130001",
        "13800130001\u00a0",
        "13800130001\u3000",
        "\u200b13800130001\ufeff",
        "１３８００１３０００１",
        "＋８６１３８００１３０００１",
        "（１３８）－００１３－０００１",
    ],
)
def test_a_number_is_taken_however_it_is_written(raw: object) -> None:
    assert parse(raw) == MOBILE


# The number fields that an import of the sample roster has to refuse, each reason as often as it has forms.
@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "missing_phone"),
        ("1.38001E+10", "not_digits"),
        ("1.82001E+10", "not_digits"),
        ("1.30001E+10", "not_digits"),
        ("189OO13OO94", "not_digits"),
        ("1820013068", "ten_digits"),
        ("1380013004", "ten_digits"),
        ("1300013015", "ten_digits"),
        ("1920013001", "ten_digits"),
        ("1860013023", "ten_digits"),
        ("182001306266", "twelve_digits"),
        ("182001306444", "twelve_digits"),
        ("12800130647", "bad_prefix"),
        ("12900130091", "bad_prefix"),
    ],
)
def test_the_sample_rosters_refusals(raw: str, reason: str) -> None:
    assert parse(raw) == Phone(None, False, None, reason)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "missing_phone"),
        (float("nan"), "missing_phone"),
        (" \u200b'", "missing_phone"),
        ("-", "missing_phone"),
        ("无", "not_digits"),
        ("+", "not_digits"),
        ("138+00130001", "not_digits"),
        ("13800130001/13800130002", "not_digits"),
        ("1380013O001", "not_digits"),
        ("138001300l1", "not_digits"),
        ("138-0013-HALL", "not_digits"),
        ("١٣٨٠٠١٣٠٠٠١", "not_digits"),
        (True, "not_digits"),
        (-13800130001, "not_digits"),
        (1380013000.5, "not_digits"),
        (float("inf"), "not_digits"),
        pytest.param(10**5000, "not_digits", id="huge"),
        (b"13800130001", "not_digits"),
        (date(2026, 7, 1), "too_short"),
        ("0", "too_short"),
        ("0912573", "too_short"),
        ("1380013", "too_short"),
        ("+86", "too_short"),
        ("13800130001 13800130002", "too_long"),
        ("1380013000.0", "ten_digits"),
        ("+86 1380013000", "ten_digits"),
        ("86 1380013000", "twelve_digits"),
        ("013800130001", "twelve_digits"),
        ("23800130001", "bad_prefix"),
        ("86 12800130647", "bad_prefix"),
        ("00000000000", "bad_prefix"),
        ("110", "service"),
        ("10086", "service"),
        ("12345", "service"),
        ("95588", "service"),
        ("96110", "service"),
        ("106900130001", "service"),
        ("8610690013000101", "service"),
        ("400-001-3000", "service"),
        ("+85200000000", "foreign"),
        ("+0086 13800130001", "bad_prefix"),
        ("0912-0000573-801", "landline"),
    ],
)
def test_what_else_is_refused(raw: object, reason: str) -> None:
    assert parse(raw) == Phone(None, False, None, reason)


@pytest.mark.parametrize(
    ("prefix", "digits", "reason"),
    [
        ("154", 11, "not_assigned"),
        ("17406", 11, "not_assigned"),
        ("1619", 11, "not_assigned"),
        ("146", 11, "iot"),
        ("149", 11, "iot"),
        ("140", 11, "iot"),
        ("144", 13, "iot"),
        ("10647", 13, "iot"),
        ("+8610649", 16, "iot"),
    ],
)
def test_blocks_that_nobody_reads_texts_in(prefix: str, digits: int, reason: str) -> None:
    assert parse(prefix.ljust(digits, "0")) == Phone(None, False, None, reason)


@pytest.mark.parametrize("raw", ["0912-0000573", "(0912)0000573", "09120000573", "+86 912 0000573"])
def test_the_sample_rosters_landlines(raw: str) -> None:
    assert parse(raw) == Phone("+869120000573", False, None, "landline")


def test_a_valid_landline_keeps_its_number() -> None:
    number = MAINLAND_LANDLINE.removeprefix("+86")
    for written in (f"0{number[:2]}-{number[2:]}", f"+86 {number}", f"+86 0{number}", f"00860{number}"):
        assert parse(written) == Phone(MAINLAND_LANDLINE, False, None, "landline")


def test_foreign_numbers_keep_their_number_and_their_reason() -> None:
    assert parse(HONG_KONG_MOBILE) == Phone(HONG_KONG_MOBILE, True, None, "foreign")
    assert parse("00" + HONG_KONG_MOBILE.removeprefix("+")) == parse(HONG_KONG_MOBILE)
    assert parse(HONG_KONG_FIXED) == Phone(HONG_KONG_FIXED, False, None, "foreign")
    american = example("US", PhoneNumberType.MOBILE)
    assert parse(american) == Phone(american, True, None, "foreign")


def test_every_reason_is_explained_in_both_languages() -> None:
    for reason in REASONS:
        zh, en = explain(reason)
        assert any("\u4e00" <= char <= "\u9fff" for char in zh)
        assert en.isascii()
    with pytest.raises(KeyError):
        explain("no such reason")


NAMES = {"中国移动": "移动", "中国电信": "电信", "中国联通": "联通", "中国广电": "广电", "": None}
# Hosts of virtual operators and of the satellite block, which the library does not name.
UNNAMED = {"162": "电信", "165": "移动", "13492": "电信", "13493": "电信", "13499": "电信"}


def test_every_block_is_as_valid_and_has_the_operator_that_the_library_says() -> None:
    for prefix in range(13000, 20000):
        digits = f"{prefix}130001"
        told = phonenumbers.parse(digits, "CN")
        ours = parse(digits)
        assert ours.mobile is phonenumbers.is_valid_number(told), prefix
        expected = UNNAMED.get(digits[:3]) or UNNAMED.get(digits[:5]) or NAMES[carrier.name_for_number(told, "zh")]
        assert ours.operator == expected, prefix
        assert operator("+86" + digits) == expected, prefix


def test_an_override_outranks_the_block() -> None:
    ported = {"+8613800130001": Operator.TELECOM}
    assert operator("+8613800130001", ported) is Operator.TELECOM
    assert operator("+8613800130002", ported) is Operator.MOBILE
    assert operator("+8619200130001", {}) is Operator.BROADNET


@pytest.mark.parametrize("e164", [MAINLAND_LANDLINE, HONG_KONG_MOBILE, "+8612800130647", "13800130001", ""])
def test_what_is_no_mainland_mobile_has_no_operator(e164: str) -> None:
    assert operator(e164) is None


def test_local() -> None:
    assert local("+8613800130001") == "13800130001"
    assert local(HONG_KONG_MOBILE) == HONG_KONG_MOBILE[1:]


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("+8613800130001", "138****0001"),
        ("13800130001", "138****0001"),
        ("10690013000130", "106*******0130"),
        ("+869120000573", "**********"),
        ("12345", "*****"),
        ("", ""),
    ],
)
def test_mask(number: str, masked: str) -> None:
    assert mask(number) == masked


@pytest.mark.parametrize(
    "written",
    [
        "13800130001",
        "+8613800130001",
        "8613800130001",
        "008613800130001",
        "+86 138 0013 0001",
        "+86-138-0013-0001",
        "138 0013 0001",
        "1380 013 0001",
        "138-001-30001",
        "138 – 0013 – 0001",
        "138\u200b0013\u200b0001",
        "013800130001",
        "１３８００１３０００１",
        "＋８６１３８００１３０００１",
    ],
)
def test_numbers_in_a_text_are_masked(written: str) -> None:
    assert mask_text(f"请拨打{written}找王主任，或18900130002。") == "请拨打138****0001找王主任，或189****0002。"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "案件26070100015",
        "2026-07-01 15:30:12.345678",
        "msgid 138001300010000",
        "电话0912-0000573",
        "金额1380.01",
    ],
)
def test_other_digits_in_a_text_stay(text: str) -> None:
    assert mask_text(text) == text


def test_mobile_numbers_never_load_the_library() -> None:
    script = (
        "import sys; from gateway.phone import parse\n"
        "assert parse('+86 138 0013 0001').mobile and parse('12345').reason == 'service'\n"
        "assert 'phonenumbers' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


MOBILES = st.builds(
    lambda block, tail: f"{block}0013{tail:04d}",
    st.sampled_from(["138", "182", "133", "189", "130", "186", "192"]),
    st.integers(1, 9999),
).filter(lambda digits: digits != "138" + "00138000")
SIGNS = st.text("0123456789+-.() 086'０１８６\u200b\u00a0", max_size=24)


@given(st.one_of(st.text(), SIGNS, st.integers(), st.floats(), st.decimals(), st.binary(), st.none()))
def test_nothing_raises_and_every_answer_is_whole(raw: object) -> None:
    phone = parse(raw)
    assert phone.reason is None or phone.reason in REASONS
    assert phone.mobile or phone.reason is not None
    assert phone.e164 is not None or not phone.mobile
    if phone.e164 is not None:
        assert parse(phone.e164) == phone


@given(st.text("0123456789", min_size=8, max_size=14))
def test_white_space_around_it_changes_nothing(digits: str) -> None:
    assert parse(f" {digits}\n") == parse(digits)


@given(SIGNS)
def test_a_text_with_a_letter_is_never_accepted(signs: str) -> None:
    for letter in ("a", "O", "l", "Ｏ", "号", "零"):
        assert parse(signs + letter).reason == "not_digits"
        assert parse(letter + signs).reason == "not_digits"


@given(
    MOBILES,
    st.sampled_from(["", "+86", "0086", "86", "+86 ", "(+86)", "＋８６", "'", "\u200b"]),
    st.sampled_from(["", " ", "-", ".", "\u00a0", "\u3000", "－"]),
    st.booleans(),
)
def test_however_it_is_written_it_is_one_number(digits: str, before: str, between: str, wide: bool) -> None:
    groups = between.join((digits[:3], digits[3:7], digits[7:]))
    written = groups.translate({ord("0") + n: ord("０") + n for n in range(10)}) if wide else groups
    assert parse(before + written) == parse(digits)
    assert parse(int(digits)) == parse(float(digits)) == parse(digits)
    assert parse(digits).e164 == "+86" + digits


@given(st.text(st.characters(exclude_characters="*")))
def test_a_mask_shows_seven_characters_at_most(number: str) -> None:
    masked = mask(number)
    assert len(masked) == len(local(number))
    assert len(masked.replace("*", "")) == (7 if len(masked) >= 11 else 0)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("身份证612725197001011234。", "身份证**************1234。"),
        ("612725 19700101 123X", "**************123X"),
        ("卡６２１７００１２３４５６７８９０１２３", "卡***************0123"),
        ("件号26070100014，电话13800130001", "件号26070100014，电话138****0001"),
        ("20260701093000123456789012", "20260701093000123456789012"),
    ],
)
def test_numbers_of_cards_are_masked_too(written: str, told: str) -> None:
    assert mask_numbers(written) == told


@given(
    MOBILES,
    st.text(st.characters(exclude_categories=["Nd"])),
    st.text(st.characters(exclude_categories=["Nd"])),
)
def test_no_mobile_number_survives_mask_text(digits: str, before: str, after: str) -> None:
    masked = mask_text(before + digits + after)
    assert digits not in masked
    assert mask(digits) in masked


def test_a_number_to_send_to() -> None:
    assert mobile("138 0013 0001") == "+8613800130001"
    with pytest.raises(Refused):
        mobile("0912-0000000")
    with pytest.raises(Refused):
        mobile("没有")
