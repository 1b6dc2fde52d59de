"""What a text is on the air: alphabet, units, parts, signature, price. Pure.

A text is sent in the GSM 7-bit alphabet when every character is in it (3GPP TS 23.038, with the extension
table, whose characters take two septets), else in UCS-2, counted in UTF-16 units. One part holds 160 septets
or 70 units; of a longer text each holds 153 or 67, which leaves room for a 6-octet header (23.040).
Cutting is greedy and never divides an extension pair, a surrogate pair or a GB18030 character, so a part may
stay short of that and the number of parts is not simply a quotient.

Invariants: the parts joined are the text; `measure(text).parts == len(split(text))`; an empty text has one
part, whoever sends it refuses it earlier. Lone surrogates cannot be sent and are `Refused` wherever a text is
counted; `clean` finds them, with the other characters no handset shows, before a text is stored.

Chinese carriers bill by 70 and 67 characters whatever the alphabet: `billed_parts` is that count,
`Measure.parts` is what goes over the wire. Both are to be taken of the signed text (`counted`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, InvalidOperation
from enum import StrEnum
from itertools import accumulate
from typing import Literal, NamedTuple

from gateway.errors import Refused

GSM7_SINGLE, GSM7_PART = 160, 153  # septets
UCS2_SINGLE, UCS2_PART = 70, 67  # UTF-16 units
GB18030_SINGLE, GB18030_PART = 140, 134  # octets

Place = Literal["front", "back", "carrier"]


class Alphabet(StrEnum):
    """What a text travels in."""

    GSM7 = "GSM7"
    UCS2 = "UCS2"
    GB18030 = "GB18030"


class Cutting(NamedTuple):
    """How an account's texts are encoded and cut; carriers of one route share it, so that a parcel may move.

    `alphabet`: auto is GSM 7-bit where that does, else UCS-2; gb18030 is for texts within GBK, others go in UCS-2.
    `header`: octets before the text in each part of a long one (6 or 7); 0 where the operator cuts, so that it is one.
    """

    alphabet: Literal["auto", "ucs2", "gb18030"] = "auto"
    header: Literal[0, 6, 7] = 6


@dataclass(frozen=True, slots=True)
class Measure:
    """`units` are septets in GSM7 and UTF-16 units in UCS2; `parts` are wire parts, at least 1."""

    alphabet: Alphabet
    units: int
    parts: int


_ESC = "\x1b"
# In the order of their codes, 0x00 to 0x7F; ESC holds its place and is no character of a text.
_DEFAULT = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)
_EXTENDED = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}

_TO_SEPTETS = {char: chr(code) for code, char in enumerate(_DEFAULT) if char != _ESC}
_TO_SEPTETS |= {char: _ESC + chr(code) for code, char in _EXTENDED.items()}
_ENCODE = str.maketrans(_TO_SEPTETS)
_DECODE = dict(enumerate(_DEFAULT)) | dict.fromkeys(range(0x80, 0x100), "\ufffd")
# Keyed by the default table's character of the same code, because decoding meets it in that form.
_AFTER_ESC = {_DEFAULT[code]: char for code, char in _EXTENDED.items()} | {"": " ", _ESC: " "}

_BEYOND_GSM7 = re.compile("[^" + re.escape("".join(_TO_SEPTETS)) + "]")
_EXTENSION = re.compile("[" + re.escape("".join(_EXTENDED.values())) + "]")
_ESCAPED = re.compile(_ESC + "(.?)", re.DOTALL)
_UNSENDABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_LINK = re.compile(r"https?:|www\.|[a-z0-9-]\.(?:cn|com|net|org|gov|top|vip|xyz|cc|me|link|icu)(?![a-z0-9])", re.I)

_EXACT = Context(prec=60, traps=[Inexact, InvalidOperation])


def measure(text: str) -> Measure:
    """The alphabet `text` needs, its units in it, and the parts it is sent in."""
    if not _BEYOND_GSM7.search(text):
        return _measure_gsm7(text)
    octets = _utf16(text)
    return Measure(Alphabet.UCS2, len(octets) // 2, _ucs2_parts(text, octets))


def split(text: str) -> list[str]:
    """The texts of the parts, in order; joined they are `text`, and there is at least one."""
    return cut(text, Cutting())[1]


def billed_parts(text: str) -> int:
    """Parts by the Chinese price rule: one up to 70 characters, else 67 each; a letter counts as one too.

    Counted in UTF-16 units and cut where the text would be cut, so never below what is sent in UCS-2.
    """
    return _ucs2_parts(text, _utf16(text))


def cut(text: str, cutting: Cutting) -> tuple[Alphabet, list[str]]:
    """The alphabet a text leaves in and the texts of its parts; joined they are `text`."""
    less = max(0, cutting.header - 6)  # of each part, beyond the six octets that the limits allow for
    if cutting.alphabet == "auto" and not _BEYOND_GSM7.search(text):
        septets = encode_gsm7(text)
        pieces = [decode_gsm7(septets[start:end]) for start, end in _spans(_gsm7_cuts(septets, less))]
        return Alphabet.GSM7, pieces if cutting.header else [text]
    if cutting.alphabet == "gb18030" and _within_gbk(text):
        ends = list(accumulate(_gb18030_widths(text), initial=0))
        places = {octet: at for at, octet in enumerate(ends)}
        cuts = _cuts(ends[-1], GB18030_SINGLE, GB18030_PART - less, lambda at: at not in places)
        pieces = [text[places[start] : places[end]] for start, end in _spans(cuts)]
        return Alphabet.GB18030, pieces if cutting.header else [text]
    octets = _utf16(text)
    pieces = [octets[2 * start : 2 * end].decode("utf-16-be") for start, end in _spans(_ucs2_cuts(octets, less))]
    return Alphabet.UCS2, pieces if cutting.header else [text]


def parts(text: str, cutting: Cutting) -> int:
    """In how many parts `cut` would cut it."""
    if not cutting.header:
        return 1
    if cutting.header == 6 and cutting.alphabet == "auto":
        return measure(text).parts
    if cutting.header == 6 and cutting.alphabet == "ucs2":
        return billed_parts(text)
    return len(cut(text, cutting)[1])


def _within_gbk(text: str) -> bool:
    try:
        text.encode("gbk")
    except UnicodeEncodeError:
        return False
    return True


def _measure_gsm7(text: str) -> Measure:
    units = len(text) + len(_EXTENSION.findall(text))
    if units <= GSM7_SINGLE:
        return Measure(Alphabet.GSM7, units, 1)
    if units == len(text):
        return Measure(Alphabet.GSM7, units, -(-units // GSM7_PART))
    return Measure(Alphabet.GSM7, units, len(_gsm7_cuts(encode_gsm7(text))))


def _ucs2_parts(text: str, octets: bytes) -> int:
    units = len(octets) // 2
    if units <= UCS2_SINGLE:
        return 1
    if units == len(text):
        return -(-units // UCS2_PART)
    return len(_ucs2_cuts(octets))


def _gsm7_cuts(septets: bytes, less: int = 0) -> list[int]:
    return _cuts(len(septets), GSM7_SINGLE, GSM7_PART - less, lambda at: septets[at - 1] == 0x1B)


def _ucs2_cuts(octets: bytes, less: int = 0) -> list[int]:
    """In units; a unit 0xDC00 to 0xDFFF is the second half of a pair."""
    return _cuts(len(octets) // 2, UCS2_SINGLE, UCS2_PART - less, lambda at: octets[2 * at] & 0xFC == 0xDC)


def _cuts(size: int, single: int, part: int, divides: Callable[[int], bool]) -> list[int]:
    """Where each part ends; `divides(at)` tells that a cut there would go through a character."""
    cuts: list[int] = []
    at = 0
    while size > single and size - at > part:
        at += part
        while divides(at):
            at -= 1
        cuts.append(at)
    return [*cuts, size]


def _spans(cuts: list[int]) -> zip[tuple[int, int]]:
    return zip([0, *cuts], cuts, strict=False)


def _utf16(text: str) -> bytes:
    try:
        return text.encode("utf-16-be")
    except UnicodeEncodeError as error:
        raise _unsendable(text, error.start) from None


def _unsendable(text: str, at: int) -> Refused:
    code = f"U+{ord(text[at]):04X}"
    return Refused(
        f"第{at + 1}个字符({code})不能发送，请删除后重试",
        f"character {at + 1} ({code}) cannot be sent; remove it and try again",
    )


def encode_gsm7(text: str) -> bytes:
    """Unpacked septets, one an octet, extension characters as ESC and code.

    Raises `Refused`, with the position, at the first character outside both tables.
    """
    beyond = _BEYOND_GSM7.search(text)
    if beyond:
        at = beyond.end()
        raise Refused(f"第{at}个字符不在GSM 7位字符表内", f"character {at} is not in the GSM 7-bit alphabet")
    return text.translate(_ENCODE).encode("latin-1")


def decode_gsm7(septets: bytes) -> str:
    """Text of unpacked septets; never raises, since it reads what others sent.

    An unknown extension code gives the default table's character, a lone ESC at the end a space,
    an octet above 0x7F the replacement character.
    """
    text = septets.decode("latin-1").translate(_DECODE)
    return _ESCAPED.sub(_unescaped, text) if _ESC in text else text


def _unescaped(escaped: re.Match[str]) -> str:
    return _AFTER_ESC.get(escaped[1], escaped[1])


def gb18030_length(text: str) -> int:
    """Octets of `text` in GB18030 (CMPP Msg_Fmt 15): 1 for ASCII, 2 for GBK, 4 for the rest."""
    return sum(_gb18030_widths(text))


def gb18030_parts(text: str) -> int:
    """Parts by 140 and 134 octets, no character divided."""
    ends = set(accumulate(_gb18030_widths(text), initial=0))
    return len(_cuts(max(ends), GB18030_SINGLE, GB18030_PART, lambda at: at not in ends))


def _gb18030_widths(text: str) -> list[int]:
    _utf16(text)  # GB18030 has no code for lone surrogates either
    return [len(char.encode("gb18030")) for char in text]


def clean(text: str) -> str:
    """`text` with LF line ends and spaces for tabs.

    Raises `Refused`, with the position in `text` as given, at the first other C0 or C1 control character
    or lone surrogate: handsets show them as boxes, or end the text there.
    """
    found = _UNSENDABLE.search(text)
    if found:
        raise _unsendable(text, found.start())
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")


def sign(body: str, signature: str, place: Place) -> str:
    """`body` as it is handed to the carrier; `signature` is without its 【】."""
    return body if place == "carrier" else counted(body, signature, place)


def counted(body: str, signature: str, place: Place) -> str:
    """The text that is measured and billed: signed, for a signature that the carrier adds counts as well."""
    return f"{body}【{signature}】" if place == "back" else f"【{signature}】{body}"


def measure_signed(body: str, signature: str, place: Place) -> Measure:
    """The measure of `body` with its signature, whoever adds it."""
    return measure(counted(body, signature, place))


def warnings(body: str, signature: str = "") -> list[tuple[str, str]]:
    """What carriers dislike in an unsigned `body`, as (zh, en); nothing here forbids sending.

    Carriers filter a second pair of 【】, line breaks and links; public-interest texts keep to 70 characters,
    the signature (given without brackets) included.
    """
    found = []
    if "【" in body or "】" in body:
        found.append(("正文中有【】，只有签名可以使用", "the text has 【】, which only the signature may use"))
    if "\n" in body or "\r" in body:
        found.append(("正文中有换行", "the text has a line break"))
    if _LINK.search(body):
        found.append(("正文中有链接", "the text has a link"))
    total = len(_utf16(counted(body, signature, "front") if signature else body)) // 2
    if total > UCS2_SINGLE:
        found.append((f"全文{total}字，超过70字", f"{total} characters in all, more than 70"))
    return found


def cost(parts: int, price: Decimal) -> Decimal:
    """`parts` times `price`, exact; raises `decimal.Inexact` rather than round (beyond 60 digits)."""
    return _EXACT.multiply(price, parts)
