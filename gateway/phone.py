"""Phone numbers as people write them, to E.164; their operator; their mask. The only home of phonenumbers.

A number is taken as it stands or refused with a reason: nothing is guessed or repaired, because a text to a
wrong number tells a stranger about a neighbour. Dropped without loss are white space, format characters, a
leading apostrophe, dashes, dots, parentheses, the ".0" of a number cell, and +86, 0086 or 86 before eleven
digits; NFKC turns full-width digits plain. Letters are never read as keypad digits.

`Phone.reason` is None exactly for a mainland mobile number that can be sent to, else one of `REASONS`.
A valid landline or foreign number still has its e164, for a caller with a carrier that serves it.

Mainland blocks come from the ministry's allocation table (end of March 2023) and from phonenumbers 9 (1610,
newer than the table). Both agree on validity and operator, but for the hosts of the virtual operators 162 and
165 and the satellite block 1349, which phonenumbers does not name. A prefix tells the block, not today's
network: a ported number needs the override of `operator`.

phonenumbers is loaded at the first landline or foreign number; mobile numbers never need it. Nothing here
raises on bad input, and no message has a whole number in it: what is shown or logged goes through `mask`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from math import isnan
from typing import TYPE_CHECKING

from gateway.errors import Refused

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber


class Operator(StrEnum):
    """The four networks; virtual operators count as their host."""

    MOBILE = "移动"
    TELECOM = "电信"
    UNICOM = "联通"
    BROADNET = "广电"


@dataclass(frozen=True, slots=True)
class Phone:
    """`e164` with its plus or None; `mobile`: whether it is one; `reason`: why it is refused, or None."""

    e164: str | None
    mobile: bool
    operator: Operator | None
    reason: str | None


REASONS: dict[str, tuple[str, str]] = {
    "missing_phone": ("没有填写号码", "no number given"),
    "not_digits": ("号码中有数字以外的字符", "the number has something other than digits in it"),
    "landline": ("固定电话，收不到短信", "a landline, which cannot receive texts"),
    "too_short": ("位数太少，手机号码应为11位", "too few digits; a mobile number has eleven"),
    "ten_digits": ("只有10位，手机号码应为11位", "ten digits; a mobile number has eleven"),
    "twelve_digits": ("有12位，手机号码应为11位", "twelve digits; a mobile number has eleven"),
    "too_long": ("位数太多，手机号码应为11位", "too many digits; a mobile number has eleven"),
    "bad_prefix": ("开头不是手机号段", "does not begin like a mobile number"),
    "not_assigned": ("该号段尚未启用", "this block of numbers is not in use"),
    "iot": ("物联网号码，收不到短信", "a number for devices, which cannot receive texts"),
    "service": ("服务号码，不能作为接收人", "a service number, which cannot be a recipient"),
    "foreign": (
        "境外号码，不在本地通道范围内",
        "a number from outside the mainland, which the local carriers do not serve",
    ),
}

# 1349 and 1740 are satellite blocks; 162, 165, 167, 170 and 171 virtual operators on their host's network.
_SENDABLE: dict[Operator | None, str] = {
    Operator.MOBILE: "134 135 136 137 138 139 147 150 151 152 157 158 159 165 1703 1705 1706 172 178"
    " 182 183 184 187 188 195 197 198",
    Operator.TELECOM: "133 13492 13493 13499 153 162 1700 1701 1702 173 17400 17401 17402 17403 17404 17405"
    " 177 180 181 189 190 191 193 199",
    Operator.UNICOM: "130 131 132 145 155 156 166 167 1704 1707 1708 1709 171 175 176 185 186 196",
    Operator.BROADNET: "1610 192",
    None: "1349",
}
# 140 to 144 have thirteen digits when in use; 146, 148 and 149 are cards for devices.
_BARRED: dict[str, str] = {
    "iot": "140 141 142 143 144 146 148 149",
    "not_assigned": "154 160 161 163 164 168 169 174 179 194",
}

_Block = tuple[Operator | None, str | None]


def _spread() -> dict[str, _Block]:
    """Operator and reason by the first five digits, so that one look-up does; longer prefixes overrule."""
    blocks: dict[str, _Block] = {}
    for reason, prefixes in _BARRED.items():
        blocks |= dict.fromkeys(prefixes.split(), (None, reason))
    for network, prefixes in _SENDABLE.items():
        blocks |= dict.fromkeys(prefixes.split(), (network, None))
    table: dict[str, _Block] = {}
    for prefix in sorted(blocks, key=len):
        tails = product("0123456789", repeat=5 - len(prefix))
        table |= dict.fromkeys([prefix + "".join(tail) for tail in tails], blocks[prefix])
    return table


_BY_PREFIX = _spread()
_REFUSED = {reason: Phone(None, False, None, reason) for reason in REASONS}
_OTHER_LENGTHS = {10: "ten_digits", 11: "bad_prefix", 12: "twelve_digits"}

_DECIMAL = re.compile(r"(\+?[0-9]+)\.00?")
_SEPARATORS = re.compile("[-.()\u00b7\u2010-\u2015\u2212]")
_DIGITS = re.compile(r"\+?[0-9]+")
_COUNTRY = re.compile(r"\+86|0086|86(?=[0-9]{11}$)")
_THINGS = re.compile(r"14[0-4][0-9]{10}|1064[6-9][0-9]{8}")
_SERVICE = re.compile(
    "11[0249]|12[02]|1[12][0-9]{3,4}|100[0-9]{2}|95[0-9]{3,6}|96[0-9]{3,4}|400[0-9]{7}|106[0-9]{5,17}|86106[0-9]{9,17}"
)
_D, _GAP = "[0-9０-９]", "[^\\S\r\n]{0,2}[-.()\u2010-\u2015\u200b-\u200d\u2060]?[^\\S\r\n]{0,2}"
# With or without +86, 0086, 86 or a trunk 0, and grouped 3-4-4, 4-3-4 or 3-3-5.
_MOBILE_IN_TEXT = re.compile(
    f"(?<!{_D})(?:(?:[+＋]|[0０][0０])?[8８][6６]{_GAP}|[0０])?"
    f"[1１][3-9３-９]{_D}{_GAP}{_D}{_GAP}{_D}{_D}{_GAP}{_D}{_GAP}{_D}{_D}{_D}{_D}(?!{_D})"
)
# 15 to 19 characters, grouped as people group them; the last of an identity card may be an X.
_CARD_IN_TEXT = re.compile(f"(?<!{_D})(?:{_D}[ \\-]?){{14,18}}[0-9０-９XxＸｘ](?!{_D})")


def parse(raw: object) -> Phone:
    """The number in a cell or a form field: text, int, float, None or anything that prints as one."""
    if type(raw) is str and len(raw) == 11 and raw[0] == "1" and raw.isascii() and raw.isdigit():
        return _mainland(raw)
    written = _written(raw)
    return _REFUSED["not_digits"] if written is None else _read(_plain(written))


def mobile(raw: object) -> str:
    """E.164 of a number one can send to; Refused with the reason for any other."""
    parsed = parse(raw)
    if parsed.reason is not None or parsed.e164 is None:
        raise Refused(*explain(parsed.reason or "not_digits"))
    return parsed.e164


def explain(reason: str) -> tuple[str, str]:
    """What to tell people about a `Phone.reason`, as (zh, en); KeyError for another word."""
    return REASONS[reason]


def operator(e164: str, ported: Mapping[str, Operator] | None = None) -> Operator | None:
    """The network that serves a number: `ported` (by e164) first, then its block; None where nobody knows."""
    if ported and e164 in ported:
        return ported[e164]
    if len(e164) != 14 or not e164.startswith("+86"):
        return None
    return _BY_PREFIX.get(e164[3:8], (None, None))[0]


def local(e164: str) -> str:
    """The number as its own country's carriers want it: without +86, or without the plus."""
    return e164[3:] if e164.startswith("+86") else e164.removeprefix("+")


def mask(number: str) -> str:
    """Three characters, stars, four characters of the local number; all stars under eleven characters."""
    shown = local(number)
    if len(shown) < 11:
        return "*" * len(shown)
    return f"{shown[:3]}{'*' * (len(shown) - 7)}{shown[-4:]}"


def mask_text(text: str) -> str:
    """`text` with every mainland mobile number in it masked, country code and separators dropped."""
    return _MOBILE_IN_TEXT.sub(_masked, text)


def mask_numbers(text: str) -> str:
    """`mask_text`, and of every number as long as that of an identity or a bank card the last four characters."""
    return mask_text(_CARD_IN_TEXT.sub(_card, text))


def _card(found: re.Match[str]) -> str:
    digits = [char for char in unicodedata.normalize("NFKC", found[0]) if char.isalnum()]
    return "*" * (len(digits) - 4) + "".join(digits[-4:])


def _masked(found: re.Match[str]) -> str:
    digits = [char for char in unicodedata.normalize("NFKC", found[0]) if char.isdigit()]
    return mask("".join(digits[-11:]))


def _written(raw: object) -> str | None:
    """The cell as text; None for a number that cannot be one of a phone."""
    if isinstance(raw, str):
        return raw
    if raw is None or (isinstance(raw, float) and isnan(raw)):  # an empty cell is a NaN to some readers
        return ""
    if isinstance(raw, (int, float)):
        whole = not isinstance(raw, bool) and 0 <= raw < 10**30 and raw == int(raw)
        return str(int(raw)) if whole else None
    return str(raw)


def _plain(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = "".join([char for char in text if unicodedata.category(char) != "Cf"])
    text = "".join(text.split()).lstrip("'‘’`")
    number = _DECIMAL.fullmatch(text)
    return number[1] if number else _SEPARATORS.sub("", text)


def _read(text: str) -> Phone:
    if not text:
        return _REFUSED["missing_phone"]
    if not _DIGITS.fullmatch(text):
        return _REFUSED["not_digits"]
    country = _COUNTRY.match(text)
    if country:
        return _mainland(text[country.end() :], coded=country[0] != "86")
    if text.startswith("+"):
        return _foreign(text)
    return _foreign("+" + text[2:]) if text.startswith("00") else _mainland(text)


def _mainland(digits: str, *, coded: bool = False) -> Phone:
    """`digits` without country code; `coded` if it had one, after which a landline needs no leading 0."""
    block = _BY_PREFIX.get(digits[:5]) if len(digits) == 11 else None
    if block:
        network, reason = block
        return _REFUSED[reason] if reason else Phone("+86" + digits, True, network, None)
    if digits.startswith("0"):
        return _trunk(digits)
    e164 = _fixed("+86" + digits) if coded else None
    return Phone(e164, False, None, "landline") if e164 else _REFUSED[_misshapen(digits)]


def _trunk(digits: str) -> Phone:
    """A leading 0 means an area code, unless a mobile number follows it: that is one digit too many."""
    if len(digits) < 10:
        return _REFUSED["too_short"]
    if len(digits) == 12 and digits[1:6] in _BY_PREFIX:
        return _REFUSED["twelve_digits"]
    return Phone(_fixed(digits), False, None, "landline")


def _misshapen(digits: str) -> str:
    if _THINGS.fullmatch(digits):
        return "iot"
    if _SERVICE.fullmatch(digits):
        return "service"
    return _OTHER_LENGTHS.get(len(digits), "too_short" if len(digits) < 10 else "too_long")


def _fixed(written: str) -> str | None:
    """The e164 of a valid mainland landline."""
    import phonenumbers

    number = _parsed(written, "CN")
    if number is None or phonenumbers.number_type(number) != phonenumbers.PhoneNumberType.FIXED_LINE:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _foreign(written: str) -> Phone:
    """Valid ones keep their e164; where a country does not tell mobile from fixed, it counts as mobile."""
    import phonenumbers

    number = _parsed(written, None)
    if number is None:
        return _REFUSED["bad_prefix"]
    kind = phonenumbers.number_type(number)
    if kind == phonenumbers.PhoneNumberType.UNKNOWN:
        return _REFUSED["foreign"]
    texts = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE)
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return Phone(e164, kind in texts, None, "foreign")


def _parsed(written: str, region: str | None) -> PhoneNumber | None:
    import phonenumbers

    try:
        return phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return None
