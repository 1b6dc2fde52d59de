"""The user data of an SMS: header, alphabet, text (3GPP TS 23.040 section 9.2.3.24, 23.038). Pure.

Policy
- TP-UD is a text where writing it gives the very octets that were read, else an object with `hex`: octets, in the 7-bit
  alphabet septets unpacked one an octet. The header is TP-UDH's.
- A length beyond the end is cut to what there is; what is no text is never shown as one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway import text as texts
from gateway.carriers.gsm.fields import Field, Fields, Given, Reader, Several, octets_of, whole, wrong
from gateway.carriers.gsm.septets import pack, unpack
from gateway.errors import Refused
from gateway.text import Alphabet

MOST_DATA = 140
OCTETS = "8BIT"
"""What is no text, beside the alphabets of texts."""

_WIDE = 16
_CONCAT = {0x00: 1, 0x08: 2}
"""Information elements that name a part, and the octets of their reference."""


def alphabet(scheme: int) -> str:
    """What a data coding scheme stands for: GSM7, UCS2, or 8BIT for what is no text; an unknown one is GSM7."""
    group = scheme >> 4
    if group < 8:
        compressed = group & 2
        return OCTETS if compressed else (Alphabet.GSM7, OCTETS, Alphabet.UCS2, Alphabet.GSM7)[scheme >> 2 & 3]
    if group == 15:
        return OCTETS if scheme & 4 else Alphabet.GSM7
    return Alphabet.UCS2 if group == 14 else Alphabet.GSM7


def _filling(header: int) -> int:
    """Bits between a header of so many octets and the first septet."""
    return -8 * header % 7


def _septets(header: int) -> int:
    """How many septets a header of so many octets takes up."""
    return (8 * header + 6) // 7


def _kind(fields: Given) -> str:
    return alphabet(whole(fields.get("TP-DCS", 0), 255, "TP-DCS"))


def _read_length(reader: Reader, fields: Fields) -> int:
    """The length that is counted in septets or octets; what follows ends there."""
    count = reader.take(1, "TP-UDL")[0]
    octets = (7 * count + 7) // 8 if _kind(fields) == Alphabet.GSM7 else count
    reader.end = min(len(reader.octets), reader.at + octets)
    if reader.left > MOST_DATA:
        raise reader.refuse("TP-UDL", f"大于{MOST_DATA}个八位组", f"is more than {MOST_DATA} octets")
    return count


def _write_length(value: Any, given: Given) -> bytes:
    if len(header_of(given)) + len(_write_data(None, given)) > MOST_DATA:
        raise wrong("TP-UD", f"太长，最多{MOST_DATA}个八位组", f"is too long, {MOST_DATA} octets at most")
    return bytes([_units(given, _data(given))])


def _units(fields: Given, data: bytes) -> int:
    """TP-UDL: septets, or octets, with the header's."""
    header = len(header_of(fields))
    return len(data) + (_septets(header) if _kind(fields) == Alphabet.GSM7 else header)


def _read_header(reader: Reader, fields: Fields) -> list[Fields]:
    end, elements = reader.take(1, "TP-UDH")[0] + reader.at, []
    if end > reader.end:
        raise reader.refuse("TP-UDH", "比用户数据还长", "is longer than the user data")
    behind, reader.end = reader.end, end
    while reader.left:
        kind, size = reader.take(2, "TP-UDH")
        elements.append(_shown_element(kind, reader.take(size, "TP-UDH")))
    reader.end = behind
    return elements


def _shown_element(kind: int, data: bytes) -> Fields:
    width = _CONCAT.get(kind)
    if width is None or len(data) != width + 2:
        return {"iei": kind, "data": data.hex()}
    return {"iei": kind, "ref": int.from_bytes(data[:width], "big"), "total": data[-2], "seq": data[-1]}


def header_of(given: Given) -> bytes:
    """The header with its own length in front; none where there is no TP-UDH."""
    elements = given.get("TP-UDH")
    if elements is None:
        return b""
    if not isinstance(elements, Sequence) or not all(isinstance(element, Mapping) for element in elements):
        raise wrong("TP-UDH", "应为信息单元的列表", "should be a list of information elements")
    octets = b"".join(map(_element, elements))
    return bytes([whole(len(octets), MOST_DATA - 1, "TP-UDH")]) + octets


def _element(element: Mapping[str, Any]) -> bytes:
    kind = whole(element.get("iei"), 255, "TP-UDH")
    if "data" in element or kind not in _CONCAT:
        data = octets_of(element.get("data"), "TP-UDH")
    else:
        width = _CONCAT[kind]
        ref = whole(element.get("ref"), 256**width - 1, "TP-UDH").to_bytes(width, "big")
        data = ref + bytes(whole(element.get(key), 255, "TP-UDH") for key in ("total", "seq"))
    return bytes([kind, whole(len(data), MOST_DATA, "TP-UDH")]) + data


def _read_data(reader: Reader, fields: Fields) -> Several:
    """The data, and as TP-UDL what there is of it."""
    header, kind = len(header_of(fields)), _kind(fields)
    data = reader.take(reader.left, "TP-UD")
    reader.end = len(reader.octets)
    if kind == Alphabet.GSM7:
        data = unpack(data, max(0, fields["TP-UDL"] - _septets(header)), _filling(header))
    return Several({"TP-UDL": _units(fields, data), "TP-UD": _shown_data(data, kind)})


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
        data = octets_of(value.get("hex"), "TP-UD")
        if kind == Alphabet.GSM7 and any(octet > 0x7F for octet in data):
            raise wrong("TP-UD", "里有大于7F的七位字符", "has a septet above 7F")
        return data
    if not isinstance(value, str) or (kind == OCTETS and value):
        raise wrong("TP-UD", "应为文字，二进制为 {hex}", "should be a text, or {hex} for binary data")
    if (spelt := _spelt(value, kind)) is None:
        raise wrong("TP-UD", f"有不在 {kind} 里的字符", f"has a character that is not in {kind}")
    return spelt


def _write_data(value: Any, given: Given) -> bytes:
    data = _data(given)
    return pack(data, _filling(len(header_of(given)))) if _kind(given) == Alphabet.GSM7 else data


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


def user_data(when: Callable[[Given], bool] = lambda fields: True) -> tuple[Field, ...]:
    """The rows that a PDU with user data ends with."""
    return (
        Field("TP-UDL", _read_length, _write_length, 0, when),
        Field("TP-UDH", _read_header, lambda value, given: header_of(given), None,
              lambda fields: when(fields) and bool(fields["TP-UDHI"])),
        Field("TP-UD", _read_data, _write_data, "", when),
    )  # fmt: skip
