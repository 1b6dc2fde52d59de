"""The text in a frame: its octets, the header that joins parts, and back again.

Policy
- Out: a text is cut by `gateway.text` and each part encoded whole; parts of a long one begin with a header (3GPP TS
  23.040, 9.2.3.24.1) of 6 octets, or of 7 with a 16-bit reference. References count up per carrier.
- In: the header is read element by element, since others may stand before the one that joins; what makes no sense is
  left out and the rest of the text is kept. Octets that are no text come out as replacement characters: a text that
  was received is never lost over its encoding. Half a surrogate pair at a part's edge stays half until the parts are
  joined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from gateway import text as texts
from gateway.carriers import Concat
from gateway.text import Alphabet, Cutting

BEIJING = ZoneInfo("Asia/Shanghai")
"""Operators of China speak in Beijing time, wherever the site is."""

ASCII, BINARY, UCS2, GB = 0, 4, 8, 15
"""Msg_Fmt of CMPP, MessageCoding of SGIP, MsgFormat of SMGP."""

_FORMATS: Mapping[Alphabet, int] = {Alphabet.GSM7: ASCII, Alphabet.UCS2: UCS2, Alphabet.GB18030: GB}


class Piece(NamedTuple):
    """One part on its way out: its octets with the header, and where it stands in the whole."""

    alphabet: Alphabet
    octets: bytes
    total: int
    number: int
    reference: int = 0

    @property
    def has_header(self) -> bool:
        return self.total > 1

    @property
    def format(self) -> int:
        """As CMPP, SGIP and SMGP number it."""
        return _FORMATS[self.alphabet]


Header = Callable[[int, int, int], bytes]
"""Of reference, total and number: the octets that each part of a long text begins with."""


def pieces(body: str, cutting: Cutting, reference: int, header: Header | None, added: str = "") -> list[Piece]:
    """The parts of a text, in order; `added` is what the operator puts before it, and finds room for."""
    alphabet, encoded = _encoded(body, cutting, added)
    total = len(encoded)
    if total == 1 or header is None:
        return [Piece(alphabet, one, total, at, reference) for at, one in enumerate(encoded, 1)]
    return [
        Piece(alphabet, header(reference, total, at) + one, total, at, reference) for at, one in enumerate(encoded, 1)
    ]


@lru_cache(maxsize=256)
def _encoded(body: str, cutting: Cutting, added: str) -> tuple[Alphabet, tuple[bytes, ...]]:
    """Remembered, for most texts of a broadcast are the same."""
    alphabet, (first, *rest) = texts.cut(added + body, cutting)
    return alphabet, tuple(encode(one, alphabet) for one in (first[len(added) :], *rest))


def header_of_6(reference: int, total: int, number: int) -> bytes:
    """Element 0: 8-bit reference."""
    return bytes((5, 0, 3, reference & 0xFF, total, number))


def header_of_7(reference: int, total: int, number: int) -> bytes:
    """Element 8: 16-bit reference."""
    return bytes((6, 8, 4, reference >> 8 & 0xFF, reference & 0xFF, total, number))


HEADERS: Mapping[int, Header | None] = {0: None, 6: header_of_6, 7: header_of_7}


def encode(text: str, alphabet: Alphabet) -> bytes:
    """GSM 7-bit unpacked, one septet an octet; UCS-2 as UTF-16 big-endian without a mark."""
    if alphabet is Alphabet.UCS2:
        return text.encode("utf-16-be")
    return texts.encode_gsm7(text) if alphabet is Alphabet.GSM7 else text.encode("gb18030")


def decode(octets: bytes, format: int) -> str:
    """What came in CMPP, SGIP or SMGP; other formats are data coding schemes of GSM 03.38."""
    if format == GB:
        return octets.decode("gb18030", "replace")
    if format == UCS2 or (format & 0x0C == 0x08 and format < 0xC0):
        return utf16(octets)
    if format == BINARY:
        return octets.decode("latin-1")
    return octets.decode("ascii", "replace") if octets.isascii() else octets.decode("gb18030", "replace")


def utf16(octets: bytes) -> str:
    """Big-endian, whatever it is: a last odd octet is dropped, half a pair is kept as it is."""
    return octets[: len(octets) & ~1].removeprefix(b"\xfe\xff").decode("utf-16-be", "surrogatepass")


def joined(octets: bytes, has_header: bool) -> tuple[Concat | None, bytes]:
    """Which part this is, by its header, and the octets of the text itself."""
    if not has_header or not octets:
        return None, octets
    end = 1 + octets[0]
    if end > len(octets):
        return None, octets
    return _concat(octets[1:end]), octets[end:]


def _concat(elements: bytes) -> Concat | None:
    at = 0
    while at + 2 <= len(elements):
        kind, size = elements[at], elements[at + 1]
        data = elements[at + 2 : at + 2 + size]
        if (kind, len(data)) in ((0, 3), (8, 4)) and 0 < data[-1] <= data[-2]:
            return Concat(int.from_bytes(data[:-2], "big"), data[-2], data[-1])
        at += 2 + size
    return None


@lru_cache(maxsize=256)
def absolute(moment: datetime | None, width: int) -> str:
    """A time as SMPP writes it, `YYMMDDhhmmsstnnp`, in Beijing time; "" for none. SGIP's field has 16 octets."""
    if moment is None:
        return ""
    return f"{moment.astimezone(BEIJING):%y%m%d%H%M%S}032+"[:width]


def stamp(moment: datetime) -> int:
    """MMDDHHMMSS as an integer, which is how the protocols of China date a login."""
    return _stamp(int(moment.timestamp()))


@lru_cache(maxsize=16)
def _stamp(second: int) -> int:
    """SGIP dates every frame, and many leave in a second."""
    return int(f"{datetime.fromtimestamp(second, BEIJING):%m%d%H%M%S}")


def moment(text: str, default: datetime) -> datetime:
    """`YYMMDDhhmm` with or without seconds, or `YYYYMMDDhhmmss`, in Beijing time; else `default`."""
    for shape, length in (("%y%m%d%H%M", 10), ("%y%m%d%H%M%S", 12), ("%Y%m%d%H%M%S", 14)):
        if len(text) == length and text.isdigit():
            try:
                return datetime.strptime(text, shape).replace(tzinfo=BEIJING).astimezone(default.tzinfo)
            except ValueError:
                return default
    return default


def national(phone: str) -> str:
    """+8613800130001 as 13800130001; numbers of elsewhere without the plus."""
    return phone.removeprefix("+86") if phone.startswith("+86") else phone.removeprefix("+")


def international(phone: str) -> str:
    """+8613800130001 as 8613800130001."""
    return phone.removeprefix("+")


def e164(number: str) -> str:
    """A mobile number of China in any of the ways operators write it; anything else as it came."""
    digits = number.lstrip("+").removeprefix("00")
    digits = digits.removeprefix("86") if len(digits) == 13 else digits
    return f"+86{digits}" if len(digits) == 11 and digits.isdigit() and digits[0] == "1" else number


def mobile(number: str) -> str:
    """A mobile number of China in E.164; "" for anything else, so that a receipt is told by its reference alone."""
    found = e164(number)
    return found if found.startswith("+861") else ""
