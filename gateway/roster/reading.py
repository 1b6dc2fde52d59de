"""Rows of a roster to people. Pure; knows nothing of the store.

Each row of data becomes exactly one of three values, in the file's order: a PersonRow, a NotTaken with its reason, or
a Duplicate of an earlier row. Nothing is guessed or repaired: a number that is not a mobile number as it stands is
NotTaken. What is changed on the way in loses nothing: NFKC, format characters, spaces within a Chinese name, the
separators of tags, the ways to write a date. What cannot be read of the lesser fields (a birth date such as 不详) is
left empty, because a notice reaches the person without it.

A person is (number, name). The same again is a Duplicate, and the first row wins; another name on a number already
seen is a family that shares a phone, and is taken. A cell with two numbers gives the first mobile one; the others are
`other_phones`. Who has no number but names a taker (代收电话) is taken too, with `phone` None, and is told apart by
name, village and birth date.

An identity number, where a column has one, gives birth date and sex if they stand nowhere else and its check digit is
right (GB 11643); it is never kept, nor is any other column that is not asked for.

Memory: one key per person of the file, whatever else the rows hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final

from gateway import phone as phones
from gateway.sheets import Cell, Header, Row, Table, headed, records, written
from gateway.sheets.cells import calendar_day, day, hidden, joined, person_name, plain
from gateway.sheets.headings import IDENTITIES, NAMES, NUMBERS, PHONES, VILLAGES

_TAKERS: Final = ("代收", "代收人", "代接收人")

WANTED: Final[Mapping[str, tuple[str, ...]]] = {
    "phone": PHONES,
    "name": NAMES,
    "village": VILLAGES,
    "group": ("组", "村组", "小组", "村民小组", "组别", "所在组", "自然村"),
    "sex": ("性别",),
    "birth": ("出生日期", "出生年月日", "生日", "出生年月"),
    "identity": IDENTITIES,
    "tags": ("标签", "人员标签", "类别", "人员类别", "身份类别"),
    "away_to": ("在外务工地", "务工地", "务工地点", "务工城市", "外出务工地", "外出地点"),
    "note": ("备注", "说明"),
    "taker_name": (*_TAKERS[1:], "代收人姓名", "代接收人姓名"),
    "taker_phone": tuple(taker + number for taker in _TAKERS for number in NUMBERS),
}
SINGLE: Final = ("phone", "taker_phone")

REASONS: Final[Mapping[str, tuple[str, str]]] = {
    "missing_name": ("没有填写姓名", "no name given"),
    "bad_taker": (
        "本人没有号码，代收电话也不是手机号码",
        "no number of their own, and the taker's is no mobile number",
    ),
}

_MARKS: Final = re.compile(r"[/、,，;；|\r\n]+")
_TAG_MARKS: Final = re.compile(r"[;；、,，/|\s]+")
_IDENTITY: Final = re.compile(r"\d{6}(\d{4})(\d{2})(\d{2})\d{2}(\d)[0-9X]")
_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_SEXES: Final = {"男": "男", "女": "女", "男性": "男", "女性": "女"}


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One person as imported. `phone` is E.164, None only where `taker_phone` is given; `sex` is 男, 女 or "".

    `shares_with` is the row of the first person with this number, where that is somebody else.
    """

    row: int
    name: str
    phone: str | None
    village: str = ""
    group: str = ""
    sex: str = ""
    birth: date | None = None
    tags: tuple[str, ...] = ()
    away_to: str = ""
    note: str = ""
    other_phones: tuple[str, ...] = ()
    taker_name: str = ""
    taker_phone: str | None = None
    shares_with: int | None = None


@dataclass(frozen=True, slots=True)
class NotTaken:
    """A row that is not imported; `reason` as `explain` knows it; `phone` masked, as somebody typed it."""

    row: int
    reason: str
    name: str
    phone: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The same person as in the earlier row `of_row`; `person` is what this row says."""

    row: int
    of_row: int
    person: PersonRow


Read = PersonRow | NotTaken | Duplicate


@dataclass(slots=True)
class Summary:
    """Counts of what was read; `rows` is the sum of importable, duplicates and rejected."""

    rows: int = 0
    importable: int = 0
    duplicates: int = 0
    shared: int = 0
    rejected: list[NotTaken] = field(default_factory=list)

    def add(self, read: Read) -> None:
        self.rows += 1
        if isinstance(read, NotTaken):
            self.rejected.append(read)
        elif isinstance(read, Duplicate):
            self.duplicates += 1
        else:
            self.importable += 1
            self.shared += read.shares_with is not None

    def as_dict(self) -> dict[str, Any]:
        """The shape of `gateway roster import --dry-run --json`; it holds no names and no numbers."""
        return {
            "rows": self.rows,
            "importable": self.importable,
            "duplicates": self.duplicates,
            "shared": self.shared,
            "rejected": [{"row": lost.row, "reason": lost.reason} for lost in self.rejected],
        }


def explain(reason: str) -> tuple[str, str]:
    """What to tell an official about a NotTaken.reason, as (zh, en); KeyError for another word."""
    return REASONS[reason] if reason in REASONS else phones.explain(reason)


def read_people(table: Table, columns: Mapping[str, str] | None = None) -> Iterator[Read]:
    """The people of a roster, row by row. `columns`: key of WANTED -> heading or letter, where a person chose.

    Raises Unsure at once where the columns or the sheet are in doubt; while iterating, Refused where the file breaks.
    """
    table, header = headed(table, WANTED, columns, single=SINGLE)
    return _told_apart(_rows(records(table.rows(), header), header))


def _rows(rows: Iterable[Row], header: Header) -> Iterator[PersonRow | NotTaken]:
    for row in rows:
        name = person_name(header.cell(row, "name"))
        raw = header.cell(row, "phone")
        if name or written(raw) or not _only_filled(row, header):
            yield _person(row, header, name, raw)


def _only_filled(row: Row, header: Header) -> bool:
    """Whether the row is a prepared line with nothing filled in: a running number, a merged village."""
    return all(
        position in row.filled or not written(row.cells[position])
        for position in header.columns.values()
        if position < len(row.cells)
    )


def _person(row: Row, header: Header, name: str, raw: Cell) -> PersonRow | NotTaken:
    numbers, reason = numbers_in(raw)
    taker, taker_reason = numbers_in(header.cell(row, "taker_phone"))
    if not name:
        reason = "missing_name"
    elif reason == "missing_phone" and taker_reason != "missing_phone":
        reason = taker_reason and "bad_taker"
    if reason:
        return NotTaken(row.number, reason, name, hidden(raw))
    birth, sex = _birth_and_sex(row, header)
    return PersonRow(
        row=row.number,
        name=name,
        phone=numbers[0] if numbers else None,
        village=joined(header.text(row, "village")),
        group=_group(header.text(row, "group")),
        sex=sex,
        birth=birth,
        tags=tags_in(header.text(row, "tags")),
        away_to=joined(header.text(row, "away_to")),
        note=plain(header.text(row, "note")),
        other_phones=numbers[1:],
        taker_name=person_name(header.cell(row, "taker_name")),
        taker_phone=taker[0] if taker else None,
    )


def _told_apart(people: Iterable[PersonRow | NotTaken]) -> Iterator[Read]:
    rows: dict[tuple[object, ...], int] = {}
    firsts: dict[str, int] = {}
    for person in people:
        yield person if isinstance(person, NotTaken) else _seen(person, rows, firsts)


def _seen(person: PersonRow, rows: dict[tuple[object, ...], int], firsts: dict[str, int]) -> Read:
    by_number = (person.phone, person.name)
    key = by_number if person.phone else (None, person.name, person.village, person.birth)
    of_row = rows.setdefault(key, person.row)
    if of_row != person.row:
        return Duplicate(person.row, of_row, person)
    if not person.phone or (first := firsts.setdefault(person.phone, person.row)) == person.row:
        return person
    return replace(person, shares_with=first)


def numbers_in(raw: Cell) -> tuple[tuple[str, ...], str | None]:
    """The mobile numbers of a cell, E.164, in order; or none and the reason why its first part is not one."""
    whole = phones.parse(raw)
    if whole.reason is None and whole.e164:
        return (whole.e164,), None
    if not isinstance(raw, str) or whole.reason == "missing_phone":
        return (), whole.reason
    parsed = [phones.parse(part) for part in _parts(raw)]
    found = tuple(dict.fromkeys(part.e164 for part in parsed if part.reason is None and part.e164))
    return (found, None) if found else ((), parsed[0].reason if parsed else whole.reason)


def _parts(raw: str) -> Iterator[str]:
    """Split at marks first: the spaces within 138 0013 0001 part nothing, if the whole is a number."""
    for part in filter(str.strip, _MARKS.split(raw)):
        if phones.parse(part).reason is None:
            yield part
        else:
            yield from _by_spaces(part)


def _by_spaces(part: str) -> list[str]:
    pieces = part.split()
    return pieces if any(phones.parse(piece).reason is None for piece in pieces) else [part]


def tags_in(text: str) -> tuple[str, ...]:
    if not text:
        return ()
    return tuple(dict.fromkeys(filter(None, _TAG_MARKS.split(plain(text)))))


def _birth_and_sex(row: Row, header: Header) -> tuple[date | None, str]:
    cell = header.cell(row, "birth")
    birth = day(cell) if cell is not None else None
    sex = _SEXES.get(joined(header.text(row, "sex")), "")
    if birth and sex:
        return birth, sex
    identity_birth, identity_sex = _identity(header.text(row, "identity"))
    return birth or identity_birth, sex or identity_sex


def _identity(text: str) -> tuple[date | None, str]:
    digits = joined(text).lstrip("'").upper()
    found = _IDENTITY.fullmatch(digits)
    if not found or digits[17] != _check_digit(digits):
        return None, ""
    year, month, born, order = map(int, found.groups())
    return calendar_day(year, month, born), "男" if order % 2 else "女"


def _check_digit(digits: str) -> str:
    """ISO 7064 MOD 11-2 over the first seventeen digits."""
    return "10X98765432"[sum(int(digit) * weight for digit, weight in zip(digits, _WEIGHTS, strict=False)) % 11]


def _group(text: str) -> str:
    group = joined(text)
    return f"{group}组" if group.isdecimal() else group
