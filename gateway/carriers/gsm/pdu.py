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

from collections.abc import Callable, Mapping, Sequence

from gateway.carriers.gsm.fields import (
    INTERNATIONAL,
    NATIONAL,
    Bits,
    Field,
    Fields,
    Given,
    Reader,
    Several,
    address,
    flags,
    moment,
    octet,
    octets_of,
    read_centre,
    read_validity,
    relative_validity,
    time,
    validity_format,
    whole,
    write_centre,
    write_validity,
    wrong,
)
from gateway.carriers.gsm.userdata import MOST_DATA, part_of, user_data, words
from gateway.errors import Refused

__all__ = [
    "DELIVER",
    "INTERNATIONAL",
    "MOST_DATA",
    "NATIONAL",
    "REPORT",
    "SUBMIT",
    "Fields",
    "decode",
    "encode",
    "length",
    "moment",
    "part_of",
    "relative_validity",
    "words",
]

LONGEST = 255
"""Octets of a PDU; a SIM keeps 175."""
DELIVER, SUBMIT, REPORT = "SMS-DELIVER", "SMS-SUBMIT", "SMS-STATUS-REPORT"
NAMES = (DELIVER, SUBMIT, REPORT)
"""In the order of TP-MTI."""


def decode(octets: bytes) -> tuple[str, Fields]:
    """The PDU's name and its fields; `Refused` says what cannot be read, and where."""
    if len(octets) > LONGEST:
        raise Refused(f"太长：{len(octets)}个八位组", f"too long: {len(octets)} octets")
    reader, fields = Reader(octets), Fields()
    fields["SMSC"] = read_centre(reader)
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
    octets = write_centre(given.get("SMSC", ""))
    octets += b"".join(_write(row, given) for row in rows if row.when(given))
    if "TP-PI" in given:
        octets += b"".join(_write(row, given) for row in tail if row.when(given))
    return octets + octets_of(given.get("rest", ""), "rest")


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
        if isinstance(value, Several):
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
        given["TP-VPF"] = validity_format(fields)
    if name == REPORT and "TP-PI" not in fields and "TP-UD" in fields:
        raise wrong("TP-UD", "要有 TP-PI", "needs TP-PI")
    return given


def _write(row: Field, given: Given) -> bytes:
    value = given.get(row.name, row.default)
    if value is None:
        raise Refused(f"缺少字段 {row.name}", f"field {row.name} is missing")
    return row.write(value, given)


# -- the tables ------------------------------------------------------------------------------------------------

FIRST: Mapping[str, Bits] = {
    DELIVER: (
        ("TP-MTI", 0, 2), ("TP-MMS", 2, 1), ("TP-LP", 3, 1), ("TP-SRI", 5, 1), ("TP-UDHI", 6, 1), ("TP-RP", 7, 1),
    ),
    SUBMIT: (
        ("TP-MTI", 0, 2), ("TP-RD", 2, 1), ("TP-VPF", 3, 2), ("TP-SRR", 5, 1), ("TP-UDHI", 6, 1), ("TP-RP", 7, 1),
    ),
    REPORT: (("TP-MTI", 0, 2), ("TP-MMS", 2, 1), ("TP-LP", 3, 1), ("TP-SRQ", 5, 1), ("TP-UDHI", 6, 1)),
}  # fmt: skip


def _says(bit: int) -> Callable[[Given], bool]:
    """Whether TP-PI names an optional field."""
    return lambda fields: bool(whole(fields.get("TP-PI", 0), 255, "TP-PI") >> bit & 1)


TABLES: Mapping[str, Sequence[Field]] = {
    DELIVER: (
        flags(FIRST[DELIVER]),
        address("TP-OA"),
        octet("TP-PID", 0),
        octet("TP-DCS", 0),
        time("TP-SCTS"),
        *user_data(),
    ),
    SUBMIT: (
        flags(FIRST[SUBMIT]),
        octet("TP-MR", 0),
        address("TP-DA"),
        octet("TP-PID", 0),
        octet("TP-DCS", 0),
        Field("TP-VP", read_validity, write_validity, None, lambda fields: bool(fields["TP-VPF"])),
        *user_data(),
    ),
    REPORT: (
        flags(FIRST[REPORT]),
        octet("TP-MR"),
        address("TP-RA"),
        time("TP-SCTS"),
        time("TP-DT"),
        octet("TP-ST"),
    ),
}

TAILS: Mapping[str, Sequence[Field]] = {
    REPORT: (
        octet("TP-PI"),
        octet("TP-PID", 0, _says(0)),
        octet("TP-DCS", 0, _says(1)),
        *user_data(_says(2)),
    )
}
"""What may follow, or not."""
