"""SMS PDUs as AT commands carry them (3GPP TS 23.040), with the service centre in front. Pure.

Policy
- `TABLES` is the codec: each PDU is a row of fields, read from left to right and written by the same rows.
- `decode` takes what networks and modems really send: a length of user data beyond its end, octets behind the last
  field, a report that ends after its status. What cannot be read at all is `Refused` with the field and the octet.
- What is decoded can be encoded again, and decodes to the same. Values are plain (a number, "+86...", a text, a time
  in ISO 8601) where nothing is lost by that; else they are objects with `hex`.
- `encode` fills in what follows from the rest (TP-MTI, TP-UDHI, TP-VPF, TP-UDL) and refuses what no PDU can hold.

`hex` of TP-UD is octets, in the 7-bit alphabet septets unpacked one an octet; the header is TP-UDH's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from gateway import text as texts
from gateway.errors import Refused
from gateway.text import Alphabet

Fields = dict[str, Any]
Given = Mapping[str, Any]

LONGEST = 255
"""Octets of a PDU; a SIM keeps 175."""
MOST_DATA = 140
INTERNATIONAL, NATIONAL, ALPHANUMERIC = 0x91, 0x81, 0xD0
DELIVER, SUBMIT, REPORT = "SMS-DELIVER", "SMS-SUBMIT", "SMS-STATUS-REPORT"
NAMES = (DELIVER, SUBMIT, REPORT)
"""In the order of TP-MTI."""
OCTETS = "8BIT"
"""What is no text, beside the alphabets of texts."""

_NIBBLES = "0123456789*#abc"
_MOST_DIGITS = 20
_LONGEST_CENTRE = 11
_MOST_QUARTERS = 79
_HEX = re.compile("(?:[0-9a-fA-F]{2})*")
_WIDE = 16
_CONCAT = {0x00: 1, 0x08: 2}
"""Information elements that name a part, and the octets of their reference."""


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


class _Several(Fields):
    """More than one field read at once."""


@dataclass(frozen=True, slots=True)
class Field:
    """One row: how it is read, given what was read before, and written, given all. `default` stands in for none."""

    name: str
    read: Callable[[Reader, Fields], Any]
    write: Callable[[Any, Given], bytes]
    default: Any = None
    when: Callable[[Given], bool] = lambda fields: True


def decode(octets: bytes) -> tuple[str, Fields]:
    """The PDU's name and its fields; `Refused` says what cannot be read, and where."""
    if len(octets) > LONGEST:
        raise Refused(f"太长：{len(octets)}个八位组", f"too long: {len(octets)} octets")
    reader, fields = Reader(octets), Fields()
    fields["SMSC"] = _read_centre(reader)
    name = _name(reader)
    for field in TABLES[name]:
        _read(field, reader, fields)
    _read_tail(TAILS.get(name, ()), reader, fields)
    if reader.left:
        fields["rest"] = reader.take(reader.left, "rest").hex()
    return name, fields


def encode(name: str, fields: Given) -> bytes:
    """The octets of a PDU; `Refused` says which field is missing, unknown or wrong."""
    if name not in TABLES:
        raise Refused(f"没有 {name}；可用的有：{', '.join(NAMES)}", f"no {name}; there are: {', '.join(NAMES)}")
    rows, tail = TABLES[name], TAILS.get(name, ())
    given = _completed(name, fields, (*rows, *tail))
    octets = _write_centre(given.get("SMSC", ""))
    octets += b"".join(_write(row, given) for row in rows if row.when(given))
    if "TP-PI" in given:
        octets += b"".join(_write(row, given) for row in tail if row.when(given))
    return octets + _octets(given.get("rest", ""), "rest")


def length(octets: bytes) -> int:
    """Octets of the TPDU alone, as AT+CMGS counts them."""
    return len(octets) - octets[0] - 1


def _name(reader: Reader) -> str:
    kind = reader.take(1, "TP-MTI")[0] & 3
    reader.at -= 1
    if kind >= len(NAMES):
        raise reader.refuse("TP-MTI", "是3，保留未用", "is 3, which is reserved")
    return NAMES[kind]


def _read(field: Field, reader: Reader, fields: Fields) -> None:
    if field.when(fields):
        value = field.read(reader, fields)
        if isinstance(value, _Several):
            fields.update(value)
        else:
            fields[field.name] = value


def _read_tail(tail: Sequence[Field], reader: Reader, fields: Fields) -> None:
    """Fields that a report may have: where they make no sense the octets are a rest."""
    start, read = reader.at, Fields(fields)
    if not (tail and reader.left):
        return
    try:
        for field in tail:
            _read(field, reader, read)
        fields.update(read)
    except Refused:
        reader.at, reader.end = start, len(reader.octets)


def _completed(name: str, fields: Given, rows: Sequence[Field]) -> Fields:
    known = {"SMSC", "rest", *(row.name for row in rows), *(bit for bit, _, _ in FIRST[name])}
    if unknown := sorted(str(key) for key in fields if key not in known):
        raise Refused(f"没有字段 {', '.join(unknown)}", f"no field {', '.join(unknown)}")
    given = Fields(fields) | {"TP-MTI": NAMES.index(name)}
    if name != REPORT or "TP-UD" in fields:
        given["TP-UDHI"] = int("TP-UDH" in fields)
    if name == SUBMIT:
        given["TP-VPF"] = _validity_format(fields)
    if name == REPORT and "TP-PI" not in fields and "TP-UD" in fields:
        raise _wrong("TP-UD", "要有 TP-PI", "needs TP-PI")
    return given


def _write(row: Field, given: Given) -> bytes:
    value = given.get(row.name, row.default)
    if value is None:
        raise Refused(f"缺少字段 {row.name}", f"field {row.name} is missing")
    return row.write(value, given)


def _wrong(name: str, zh: str, en: str) -> Refused:
    return Refused(f"{name} {zh}", f"{name} {en}")


def _octets(value: object, name: str) -> bytes:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise _wrong(name, "应为十六进制", "should be hexadecimal")
    return bytes.fromhex(value)


def _whole(value: object, most: int, name: str) -> int:
    if not isinstance(value, int) or not 0 <= value <= most:
        raise _wrong(name, f"应为0至{most}的整数", f"should be a whole number from 0 to {most}")
    return int(value)


# -- the first octet: flags ------------------------------------------------------------------------------------

FIRST: Mapping[str, Sequence[tuple[str, int, int]]] = {
    DELIVER: (
        ("TP-MTI", 0, 2), ("TP-MMS", 2, 1), ("TP-LP", 3, 1), ("TP-SRI", 5, 1), ("TP-UDHI", 6, 1), ("TP-RP", 7, 1),
    ),
    SUBMIT: (
        ("TP-MTI", 0, 2), ("TP-RD", 2, 1), ("TP-VPF", 3, 2), ("TP-SRR", 5, 1), ("TP-UDHI", 6, 1), ("TP-RP", 7, 1),
    ),
    REPORT: (("TP-MTI", 0, 2), ("TP-MMS", 2, 1), ("TP-LP", 3, 1), ("TP-SRQ", 5, 1), ("TP-UDHI", 6, 1)),
}  # fmt: skip
"""Name, lowest bit, and how many bits."""


def _flags(name: str) -> Field:
    def read(reader: Reader, fields: Fields) -> _Several:
        octet = reader.take(1, "TP-MTI")[0]
        return _Several({bit: octet >> low & (1 << width) - 1 for bit, low, width in FIRST[name]})

    def write(value: object, given: Given) -> bytes:
        bits = ((_whole(given.get(bit, 0), (1 << width) - 1, bit), low) for bit, low, width in FIRST[name])
        return bytes([sum(value << low for value, low in bits)])

    return Field("TP-MTI", read, write)


# -- numbers and times -----------------------------------------------------------------------------------------


def _octet(name: str, default: int | None = None, when: Callable[[Given], bool] = lambda fields: True) -> Field:
    return Field(
        name,
        lambda reader, fields: reader.take(1, name)[0],
        lambda value, given: bytes([_whole(value, 255, name)]),
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
        raise _wrong(name, "里有不是号码的字符", "has a character that is in no number")
    nibbles = [_NIBBLES.index(digit) for digit in digits] + [15] * (len(digits) % 2)
    return bytes(high << 4 | low for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))


def _read_centre(reader: Reader) -> Any:
    octets = reader.take(_whole(reader.take(1, "SMSC")[0], _LONGEST_CENTRE, "SMSC"), "SMSC")
    if not octets:
        return ""
    filled = octets[-1] >> 4 == 15 if len(octets) > 1 else False
    value = _plain(octets[0], _digits(octets[1:], 2 * (len(octets) - 1) - filled))
    return value if isinstance(value, str) else {"hex": octets.hex()}


def _write_centre(value: Any) -> bytes:
    if isinstance(value, Mapping):
        octets = _octets(value.get("hex"), "SMSC")
    else:
        kind, digits = _parted(value, "SMSC")
        octets = bytes([kind]) + _semi_octets(digits, "SMSC") if value else b""
    return bytes([_whole(len(octets), _LONGEST_CENTRE, "SMSC")]) + octets


def _plain(kind: int, digits: str | None) -> str | None:
    """`+digits` or `digits` for the two usual types of number."""
    if not digits or kind not in (INTERNATIONAL, NATIONAL):
        return None
    return f"+{digits}" if kind == INTERNATIONAL else digits


def _parted(value: object, name: str) -> tuple[int, str]:
    if not isinstance(value, str):
        raise _wrong(name, "应为号码", "should be a number")
    return (INTERNATIONAL, value[1:]) if value.startswith("+") else (NATIONAL, value)


def _address(name: str) -> Field:
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
    kind = _whole(value.get("toa"), 255, name) | 0x80
    if "hex" in value:
        count = _whole(value.get("length"), _MOST_DIGITS, name)
        octets = _octets(value["hex"], name)
        if len(octets) != (count + 1) // 2:
            raise _wrong(name, "的长度不对", "has a length that does not fit")
        return bytes([count, kind]) + octets
    if isinstance(text := value.get("text"), str):
        septets = texts.encode_gsm7(text)
        return _with_length(-(-7 * len(septets) // 4), kind, pack(septets), name)
    _, digits = _parted(value.get("digits"), name)
    return _with_length(len(digits), kind, _semi_octets(digits, name), name)


def _with_length(count: int, kind: int, octets: bytes, name: str) -> bytes:
    if not 0 < count <= _MOST_DIGITS:
        raise _wrong(name, f"太长或没有（{count}位）", f"is empty or too long ({count} digits)")
    return bytes([count, kind]) + octets


def _time(name: str) -> Field:
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
        octets = _octets(value.get("hex"), name)
        if len(octets) != 7:
            raise _wrong(name, "应为7个八位组", "should be 7 octets")
        return octets
    at = moment(value)
    offset = at.utcoffset() if at else None
    quarters, odd = divmod(abs(offset or timedelta()), timedelta(minutes=15))
    if at is None or offset is None or not 2000 <= at.year < 2100 or odd or quarters > _MOST_QUARTERS:
        raise _wrong(name, "应为带时区的时间", "should be a time with its zone")
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


def _read_validity(reader: Reader, fields: Fields) -> Any:
    if fields["TP-VPF"] == 2:
        return reader.take(1, "TP-VP")[0]
    octets = reader.take(7, "TP-VP")
    return _shown_time(octets) if fields["TP-VPF"] == 3 else {"hex": octets.hex()}


def _write_validity(value: Any, given: Given) -> bytes:
    return bytes([_whole(value, 255, "TP-VP")]) if given["TP-VPF"] == 2 else _written_time(value, "TP-VP")


def _validity_format(fields: Given) -> int:
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


# -- user data -------------------------------------------------------------------------------------------------


def alphabet(scheme: int) -> str:
    """What a data coding scheme stands for: GSM7, UCS2, or 8BIT for what is no text; an unknown one is GSM7."""
    group = scheme >> 4
    if group < 8:
        compressed = group & 2
        return OCTETS if compressed else (Alphabet.GSM7, OCTETS, Alphabet.UCS2, Alphabet.GSM7)[scheme >> 2 & 3]
    if group == 15:
        return OCTETS if scheme & 4 else Alphabet.GSM7
    return Alphabet.UCS2 if group == 14 else Alphabet.GSM7


def pack(septets: bytes, fill: int = 0) -> bytes:
    """Septets behind so many bits of filling, least significant bit first."""
    bits = sum(septet << 7 * at for at, septet in enumerate(septets)) << fill
    return bits.to_bytes((7 * len(septets) + fill + 7) // 8, "little")


def unpack(octets: bytes, count: int, fill: int = 0) -> bytes:
    """At most `count` septets, one an octet."""
    bits, count = int.from_bytes(octets, "little") >> fill, min(count, max(0, 8 * len(octets) - fill) // 7)
    return bytes(bits >> 7 * at & 0x7F for at in range(count))


def _filling(header: int) -> int:
    """Bits between a header of so many octets and the first septet."""
    return -8 * header % 7


def _septets(header: int) -> int:
    """How many septets a header of so many octets takes up."""
    return (8 * header + 6) // 7


def _kind(fields: Given) -> str:
    return alphabet(_whole(fields.get("TP-DCS", 0), 255, "TP-DCS"))


def _read_length(reader: Reader, fields: Fields) -> int:
    """The length that is counted in septets or octets; what follows ends there."""
    count = reader.take(1, "TP-UDL")[0]
    octets = (7 * count + 7) // 8 if _kind(fields) == Alphabet.GSM7 else count
    reader.end = min(len(reader.octets), reader.at + octets)
    if reader.left > MOST_DATA:
        raise reader.refuse("TP-UDL", f"大于{MOST_DATA}个八位组", f"is more than {MOST_DATA} octets")
    return count


def _write_length(value: Any, given: Given) -> bytes:
    if len(_header(given)) + len(_write_data(None, given)) > MOST_DATA:
        raise _wrong("TP-UD", f"太长，最多{MOST_DATA}个八位组", f"is too long, {MOST_DATA} octets at most")
    return bytes([_units(given, _data(given))])


def _units(fields: Given, data: bytes) -> int:
    """TP-UDL: septets, or octets, with the header's."""
    header = len(_header(fields))
    return len(data) + (_septets(header) if _kind(fields) == Alphabet.GSM7 else header)


def _read_header(reader: Reader, fields: Fields) -> list[Fields]:
    end, elements = reader.take(1, "TP-UDH")[0] + reader.at, []
    if end > reader.end:
        raise reader.refuse("TP-UDH", "比用户数据还长", "is longer than the user data")
    whole, reader.end = reader.end, end
    while reader.left:
        kind, size = reader.take(2, "TP-UDH")
        elements.append(_shown_element(kind, reader.take(size, "TP-UDH")))
    reader.end = whole
    return elements


def _shown_element(kind: int, data: bytes) -> Fields:
    width = _CONCAT.get(kind)
    if width is None or len(data) != width + 2:
        return {"iei": kind, "data": data.hex()}
    return {"iei": kind, "ref": int.from_bytes(data[:width], "big"), "total": data[-2], "seq": data[-1]}


def _header(given: Given) -> bytes:
    """The header with its own length in front; none where there is no TP-UDH."""
    elements = given.get("TP-UDH")
    if elements is None:
        return b""
    if not isinstance(elements, Sequence) or not all(isinstance(element, Mapping) for element in elements):
        raise _wrong("TP-UDH", "应为信息单元的列表", "should be a list of information elements")
    octets = b"".join(map(_element, elements))
    return bytes([_whole(len(octets), MOST_DATA - 1, "TP-UDH")]) + octets


def _element(element: Mapping[str, Any]) -> bytes:
    kind = _whole(element.get("iei"), 255, "TP-UDH")
    if "data" in element or kind not in _CONCAT:
        data = _octets(element.get("data"), "TP-UDH")
    else:
        width = _CONCAT[kind]
        ref = _whole(element.get("ref"), 256**width - 1, "TP-UDH").to_bytes(width, "big")
        data = ref + bytes(_whole(element.get(key), 255, "TP-UDH") for key in ("total", "seq"))
    return bytes([kind, _whole(len(data), MOST_DATA, "TP-UDH")]) + data


def _read_data(reader: Reader, fields: Fields) -> _Several:
    """The data, and as TP-UDL what there is of it."""
    header, kind = len(_header(fields)), _kind(fields)
    data = reader.take(reader.left, "TP-UD")
    reader.end = len(reader.octets)
    if kind == Alphabet.GSM7:
        data = unpack(data, max(0, fields["TP-UDL"] - _septets(header)), _filling(header))
    return _Several({"TP-UDL": _units(fields, data), "TP-UD": _shown_data(data, kind)})


def _shown_data(data: bytes, kind: str) -> Any:
    if kind == OCTETS:
        return {"hex": data.hex()}
    text = texts.decode_gsm7(data) if kind == Alphabet.GSM7 else data.decode("utf-16-be", "replace")
    same = _spelt(text, kind) == data
    return text if same else {"hex": data.hex(), "text": text}


def _spelt(text: str, kind: str) -> bytes | None:
    try:
        return texts.encode_gsm7(text) if kind == Alphabet.GSM7 else text.encode("utf-16-be")
    except (Refused, UnicodeEncodeError):
        return None


def _data(given: Given) -> bytes:
    """Unpacked septets, or octets."""
    value, kind = given.get("TP-UD", ""), _kind(given)
    if isinstance(value, Mapping):
        data = _octets(value.get("hex"), "TP-UD")
        if kind == Alphabet.GSM7 and any(octet > 0x7F for octet in data):
            raise _wrong("TP-UD", "里有大于7F的七位字符", "has a septet above 7F")
        return data
    if not isinstance(value, str) or (kind == OCTETS and value):
        raise _wrong("TP-UD", "应为文字，二进制为 {hex}", "should be a text, or {hex} for binary data")
    if (spelt := _spelt(value, kind)) is None:
        raise _wrong("TP-UD", f"有不在 {kind} 里的字符", f"has a character that is not in {kind}")
    return spelt


def _write_data(value: Any, given: Given) -> bytes:
    data = _data(given)
    return pack(data, _filling(len(_header(given)))) if _kind(given) == Alphabet.GSM7 else data


def words(fields: Given) -> str:
    """The text of user data; what is no text is told by its size. Halves of pairs cut apart by the sender stay."""
    value, kind = fields.get("TP-UD", ""), _kind(fields)
    if isinstance(value, str):
        return value
    data = bytes.fromhex(value["hex"])
    if kind == OCTETS:
        return f"〔非文字短信，{len(data)}字节〕"
    return texts.decode_gsm7(data) if kind == Alphabet.GSM7 else _utf16(data)


def _utf16(data: bytes) -> str:
    return data[: len(data) // 2 * 2].decode("utf-16-be", "surrogatepass")


def part_of(fields: Given) -> tuple[int, int, int] | None:
    """Reference, total and number where this is a part of a long text; a wide reference is set apart by a bit."""
    for element in fields.get("TP-UDH", ()):
        if "seq" in element and 1 <= element["seq"] <= element["total"]:
            wide = element["iei"] == 0x08
            return element["ref"] | wide << _WIDE, element["total"], element["seq"]
    return None


# -- the tables ------------------------------------------------------------------------------------------------


def _user_data(when: Callable[[Given], bool] = lambda fields: True) -> tuple[Field, ...]:
    return (
        Field("TP-UDL", _read_length, _write_length, 0, when),
        Field("TP-UDH", _read_header, lambda value, given: _header(given), None,
              lambda fields: when(fields) and bool(fields["TP-UDHI"])),
        Field("TP-UD", _read_data, _write_data, "", when),
    )  # fmt: skip


def _says(bit: int) -> Callable[[Given], bool]:
    """Whether TP-PI names an optional field."""
    return lambda fields: bool(_whole(fields.get("TP-PI", 0), 255, "TP-PI") >> bit & 1)


TABLES: Mapping[str, Sequence[Field]] = {
    DELIVER: (
        _flags(DELIVER),
        _address("TP-OA"),
        _octet("TP-PID", 0),
        _octet("TP-DCS", 0),
        _time("TP-SCTS"),
        *_user_data(),
    ),
    SUBMIT: (
        _flags(SUBMIT),
        _octet("TP-MR", 0),
        _address("TP-DA"),
        _octet("TP-PID", 0),
        _octet("TP-DCS", 0),
        Field("TP-VP", _read_validity, _write_validity, None, lambda fields: bool(fields["TP-VPF"])),
        *_user_data(),
    ),
    REPORT: (
        _flags(REPORT),
        _octet("TP-MR"),
        _address("TP-RA"),
        _time("TP-SCTS"),
        _time("TP-DT"),
        _octet("TP-ST"),
    ),
}

TAILS: Mapping[str, Sequence[Field]] = {
    REPORT: (
        _octet("TP-PI"),
        _octet("TP-PID", 0, _says(0)),
        _octet("TP-DCS", 0, _says(1)),
        *_user_data(_says(2)),
    )
}
"""What may follow, or not."""
