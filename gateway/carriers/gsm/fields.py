"""Fields of an SMS PDU: flags, octets, numbers, times; how each is read and written (3GPP TS 23.040 section 9.1). Pure.

Policy
- Values are plain (a number, "+86...", a time in ISO 8601) where nothing is lost by that, else objects with `hex`.
- `Refused` names the field, and when reading the octet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from gateway import text as texts
from gateway.carriers.gsm.septets import pack, unpack
from gateway.errors import Refused

Fields = dict[str, Any]
Given = Mapping[str, Any]
Bits = Sequence[tuple[str, int, int]]
"""Name, lowest bit, and how many bits."""

INTERNATIONAL, NATIONAL = 0x91, 0x81

_NIBBLES = "0123456789*#abc"
_MOST_DIGITS = 20
_LONGEST_CENTRE = 11
_MOST_QUARTERS = 79
_HEX = re.compile("(?:[0-9a-fA-F]{2})*")


class Reader:
    """Octets with a place in them; `end` may be set nearer, for what has a length of its own."""

    def __init__(self, octets: bytes) -> None:
        self.octets, self.at, self.end = octets, 0, len(octets)

    @property
    def left(self) -> int:
        return self.end - self.at

    def take(self, count: int, name: str) -> bytes:
        """The next octets."""
        if count > self.left:
            raise Refused(
                f"第{self.at + 1}个八位组：{name} 不完整，还要{count}个，只剩{self.left}个",
                f"octet {self.at + 1}: {name} is cut short, needs {count} more, {self.left} are left",
            )
        self.at += count
        return self.octets[self.at - count : self.at]

    def refuse(self, name: str, zh: str, en: str) -> Refused:
        """What is wrong with the field that ends here."""
        return Refused(f"到第{self.at}个八位组：{name} {zh}", f"up to octet {self.at}: {name} {en}")


class Several(Fields):
    """More than one field read at once."""


@dataclass(frozen=True, slots=True)
class Field:
    """One row: how it is read, given what was read before, and written, given all. `default` stands in for none."""

    name: str
    read: Callable[[Reader, Fields], Any]
    write: Callable[[Any, Given], bytes]
    default: Any = None
    when: Callable[[Given], bool] = lambda fields: True


def wrong(name: str, zh: str, en: str) -> Refused:
    return Refused(f"{name} {zh}", f"{name} {en}")


def octets_of(value: object, name: str) -> bytes:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise wrong(name, "应为十六进制", "should be hexadecimal")
    return bytes.fromhex(value)


def whole(value: object, most: int, name: str) -> int:
    if not isinstance(value, int) or not 0 <= value <= most:
        raise wrong(name, f"应为0至{most}的整数", f"should be a whole number from 0 to {most}")
    return int(value)


# -- flags and octets ------------------------------------------------------------------------------------------


def flags(bits: Bits) -> Field:
    """The first octet."""

    def read(reader: Reader, fields: Fields) -> Several:
        first = reader.take(1, "TP-MTI")[0]
        return Several({bit: first >> low & (1 << width) - 1 for bit, low, width in bits})

    def write(value: object, given: Given) -> bytes:
        values = ((whole(given.get(bit, 0), (1 << width) - 1, bit), low) for bit, low, width in bits)
        return bytes([sum(value << low for value, low in values)])

    return Field("TP-MTI", read, write)


def octet(name: str, default: int | None = None, when: Callable[[Given], bool] = lambda fields: True) -> Field:
    return Field(
        name,
        lambda reader, fields: reader.take(1, name)[0],
        lambda value, given: bytes([whole(value, 255, name)]),
        default,
        when,
    )


def _swapped(octets: bytes) -> str:
    """Semi-octets in the order of reading, as hexadecimal digits."""
    return "".join(f"{octet & 15:x}{octet >> 4:x}" for octet in octets)


def _digits(octets: bytes, count: int) -> str | None:
    """Digits of an address; None where a semi-octet is none."""
    nibbles = _swapped(octets)[:count]
    return None if "f" in nibbles else "".join(_NIBBLES[int(nibble, 16)] for nibble in nibbles)


def _semi_octets(digits: str, name: str) -> bytes:
    if any(digit not in _NIBBLES for digit in digits):
        raise wrong(name, "里有不是号码的字符", "has a character that is in no number")
    nibbles = [_NIBBLES.index(digit) for digit in digits] + [15] * (len(digits) % 2)
    return bytes(high << 4 | low for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))


def read_centre(reader: Reader) -> Any:
    octets = reader.take(whole(reader.take(1, "SMSC")[0], _LONGEST_CENTRE, "SMSC"), "SMSC")
    if not octets:
        return ""
    filled = octets[-1] >> 4 == 15 if len(octets) > 1 else False
    value = _plain(octets[0], _digits(octets[1:], 2 * (len(octets) - 1) - filled))
    return value if isinstance(value, str) else {"hex": octets.hex()}


def write_centre(value: Any) -> bytes:
    if isinstance(value, Mapping):
        octets = octets_of(value.get("hex"), "SMSC")
    else:
        kind, digits = _parted(value, "SMSC")
        octets = bytes([kind]) + _semi_octets(digits, "SMSC") if value else b""
    return bytes([whole(len(octets), _LONGEST_CENTRE, "SMSC")]) + octets


def _plain(kind: int, digits: str | None) -> str | None:
    """`+digits` or `digits` for the two usual types of number."""
    if not digits or kind not in (INTERNATIONAL, NATIONAL):
        return None
    return f"+{digits}" if kind == INTERNATIONAL else digits


def _parted(value: object, name: str) -> tuple[int, str]:
    if not isinstance(value, str):
        raise wrong(name, "应为号码", "should be a number")
    return (INTERNATIONAL, value[1:]) if value.startswith("+") else (NATIONAL, value)


def address(name: str) -> Field:
    def read(reader: Reader, fields: Fields) -> Any:
        count, kind = reader.take(2, name)
        if count > _MOST_DIGITS or not kind & 0x80:
            raise reader.refuse(name, f"不是号码（{count:02X} {kind:02X}）", f"is no address ({count:02X} {kind:02X})")
        return _shown_address(count, kind, reader.take((count + 1) // 2, name))

    return Field(name, read, lambda value, given: _written_address(value, name))


def _shown_address(count: int, kind: int, octets: bytes) -> Any:
    digits, shown = _digits(octets, count), Fields({"toa": kind})
    if plain := _plain(kind, digits):
        return plain
    if kind & 0x70 == 0x50:
        shown["text"] = texts.decode_gsm7(unpack(octets, 4 * count // 7))
    elif digits is not None:
        shown["digits"] = digits
    whole = bytes([count, kind]) + octets
    return shown if _writes(shown, whole) else shown | {"length": count, "hex": octets.hex()}


def _writes(shown: Fields, octets: bytes) -> bool:
    try:
        return _written_address(shown, "") == octets
    except Refused:
        return False


def _written_address(value: Any, name: str) -> bytes:
    if not isinstance(value, Mapping):
        kind, digits = _parted(value, name)
        return _with_length(len(digits), kind, _semi_octets(digits, name), name)
    kind = whole(value.get("toa"), 255, name) | 0x80
    if "hex" in value:
        count = whole(value.get("length"), _MOST_DIGITS, name)
        octets = octets_of(value["hex"], name)
        if len(octets) != (count + 1) // 2:
            raise wrong(name, "的长度不对", "has a length that does not fit")
        return bytes([count, kind]) + octets
    if isinstance(text := value.get("text"), str):
        septets = texts.encode_gsm7(text)
        return _with_length(-(-7 * len(septets) // 4), kind, pack(septets), name)
    _, digits = _parted(value.get("digits"), name)
    return _with_length(len(digits), kind, _semi_octets(digits, name), name)


def _with_length(count: int, kind: int, octets: bytes, name: str) -> bytes:
    if not 0 < count <= _MOST_DIGITS:
        raise wrong(name, f"太长或没有（{count}位）", f"is empty or too long ({count} digits)")
    return bytes([count, kind]) + octets


def time(name: str) -> Field:
    def read(reader: Reader, fields: Fields) -> Any:
        return _shown_time(reader.take(7, name))

    return Field(name, read, lambda value, given: _written_time(value, name))


def _shown_time(octets: bytes) -> Any:
    """ISO 8601; the last octet is quarters of an hour, with the sign in the first semi-octet."""
    nibbles = _swapped(octets)
    zone = int(nibbles[12], 16)
    quarters = (zone & 7) * 10 + int(nibbles[13], 16)
    try:
        year, month, day, hour, minute, second = (int(nibbles[at : at + 2]) for at in range(0, 12, 2))
        offset = timedelta(minutes=15 * quarters) * (-1 if zone & 8 else 1)
        shown = datetime(2000 + year, month, day, hour, minute, second, tzinfo=timezone(offset)).isoformat()
        return shown if _written_time(shown, "") == octets else {"hex": octets.hex()}
    except (ValueError, Refused):
        return {"hex": octets.hex()}


def _written_time(value: Any, name: str) -> bytes:
    if isinstance(value, Mapping):
        octets = octets_of(value.get("hex"), name)
        if len(octets) != 7:
            raise wrong(name, "应为7个八位组", "should be 7 octets")
        return octets
    at = moment(value)
    offset = at.utcoffset() if at else None
    quarters, odd = divmod(abs(offset or timedelta()), timedelta(minutes=15))
    if at is None or offset is None or not 2000 <= at.year < 2100 or odd or quarters > _MOST_QUARTERS:
        raise wrong(name, "应为带时区的时间", "should be a time with its zone")
    octets = bytes.fromhex(at.strftime("%y%m%d%H%M%S") + f"{quarters:02}")
    sign = 8 if offset < timedelta() else 0
    swapped = bytes(octet << 4 & 0xF0 | octet >> 4 for octet in octets)
    return swapped[:6] + bytes([swapped[6] | sign])


def moment(value: object) -> datetime | None:
    """A time as `decode` shows it; None where it is none."""
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def read_validity(reader: Reader, fields: Fields) -> Any:
    if fields["TP-VPF"] == 2:
        return reader.take(1, "TP-VP")[0]
    octets = reader.take(7, "TP-VP")
    return _shown_time(octets) if fields["TP-VPF"] == 3 else {"hex": octets.hex()}


def write_validity(value: Any, given: Given) -> bytes:
    return bytes([whole(value, 255, "TP-VP")]) if given["TP-VPF"] == 2 else _written_time(value, "TP-VP")


def validity_format(fields: Given) -> int:
    """0 none, 2 relative in one octet, 3 a time, 1 what we do not read (enhanced)."""
    value = fields.get("TP-VP")
    if isinstance(value, Mapping):
        return 3 if fields.get("TP-VPF") == 3 else 1
    return 0 if value is None else 3 if isinstance(value, str) else 2


def relative_validity(span: timedelta) -> int:
    """The octet of the longest period that is no longer than `span`, at least five minutes."""
    minutes = max(5, int(span.total_seconds() // 60))
    if minutes <= 12 * 60:
        return minutes // 5 - 1
    if minutes <= 24 * 60:
        return 143 + (minutes - 12 * 60) // 30
    days = minutes // (24 * 60)
    if days < 2:
        return 167
    return 166 + days if days <= 30 else min(255, max(196, 192 + days // 7))
