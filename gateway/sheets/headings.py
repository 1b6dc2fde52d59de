"""Which row is the heading, which column is which, and which rows below are not data.

Headings are compared after NFKC, without spaces, bracketed units and required marks: 金额（元） is 金额. The heading
row is the one of the first 50 rows that names most of what is sought; of two adjacent rows alike, the lower (a
heading two rows tall whose merged cells reach down). A key that must not be guessed at (`single`) and has two
columns raises `Unsure`, as does a key that must be there (`needed`) and has none; other keys take the name listed
first.

A person answers with `chosen`: key -> heading, or the column's letter as the spreadsheet shows it.

Not data, and left out by `records`: blank rows, the heading printed again, sums (合计, 小计 ...), signatures and notes
below the table. A row with a mobile number in a cell of its own is always data, whatever it is called.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from gateway.errors import Refused
from gateway.sheets.cells import written
from gateway.sheets.table import Cell, Row, Table, Unsure, which_sheet

HEADING_WITHIN: Final = 50  # rows from the top
NEEDED: Final = ("name", "phone")

Wanted = Mapping[str, Sequence[str]]
Matches = dict[str, list[int]]

_OWNERS: Final = ("", "本人", "户主", "个人", "居民", "村民", "农户", "群众", "联系人", "领款人", "参保人")
NUMBERS: Final = ("手机号", "手机号码", "手机", "移动电话", "联系电话", "电话号码", "电话", "联系方式", "联系号码")
_OTHER_NUMBERS: Final = (
    "家庭电话",
    "固定电话",
    "住宅电话",
    "座机",
    "家庭联系电话",
    "常用电话",
    "备用电话",
    "phone",
    "Phone",
)
PHONES: Final = (*(owner + number for owner in _OWNERS for number in NUMBERS), *_OTHER_NUMBERS)
NAMES: Final = (
    *("姓名", "名字", "人员姓名", "居民姓名", "村民姓名", "本人姓名", "户主姓名", "户主"),
    *("领款人姓名", "领款人", "name", "Name"),
)
VILLAGES: Final = ("村", "村名", "所在村", "行政村", "村居", "村委会", "村庄", "所属村", "村社区", "社区")
IDENTITIES: Final = ("身份证号", "身份证号码", "身份证", "公民身份号码", "公民身份证号", "证件号码", "居民身份证号")

_BRACKETED: Final = re.compile(r"[(\[{<【〔《「]([^)\]}>】〕》」]*)[)\]}>】〕》」]")
_DROPPED: Final = re.compile(r"[\s*:'\"\u200b-\u200d\u2060\ufeff]+")
_LETTERS: Final = re.compile(r"[A-Za-z]{1,3}")
_MANY_DIGITS: Final = re.compile(r"[0-9]{5}")
_MOBILE: Final = re.compile(r"1[0-9]{10}")
_SUM: Final = re.compile(
    r"\s*(?:.{0,8}[村组镇乡区队页表户])?\s*[合总小共累]\s*计\s*(?:[:：0-9(（].*|[人户]?[数次]?|金额)\s*"
)
_BELOW: Final = re.compile(
    r"\s*(?:(?:制表|填表|填报|审核|审批|复核|经办|统计|报送|编制|主管|(?:单位)?负责|领导)[^:：]{0,6}"
    r"|注|备\s*注|附\s*注|说\s*明|单位(?:[(（]盖?公?章[)）])?|日\s*期)\s*\d?\s*[:：].*",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Header:
    """`row` is its number, 0 where a table has none; `columns`: key -> position; one heading per column.

    `headings` are normalised and without units, "" where a column has none; `units` are what stood in brackets.
    """

    row: int
    columns: Mapping[str, int]
    headings: tuple[str, ...]
    units: tuple[str, ...]
    cells: tuple[Cell, ...]

    def cell(self, row: Row, key: str) -> Cell:
        """The row's cell under that key; None where the table has no such column or the row is short."""
        position = self.columns.get(key)
        return None if position is None or position >= len(row.cells) else row.cells[position]

    def text(self, row: Row, key: str) -> str:
        return written(self.cell(row, key))


class _NoHeading(Unsure):
    """No row names anything that is needed: this may be no table at all."""


def heading(text: str) -> str:
    """金额（元） -> 金额."""
    plain = unicodedata.normalize("NFKC", text)
    return _DROPPED.sub("", _BRACKETED.sub("", plain)) or _DROPPED.sub("", plain)


def unit(text: str) -> str:
    """金额（元） -> 元; "" where nothing stands in brackets."""
    found = _BRACKETED.search(unicodedata.normalize("NFKC", text))
    return _DROPPED.sub("", found[1]) if found else ""


def headed(
    table: Table,
    wanted: Wanted,
    chosen: Mapping[str, str] | None = None,
    *,
    needed: Collection[str] = NEEDED,
    single: Collection[str] = (),
) -> tuple[Table, Header]:
    """The table on its sheet, and that sheet's heading; the sheet is chosen where exactly one holds a table."""
    if table.sheet is not None:
        return table, find_header(table.rows(), wanted, chosen, needed=needed, single=single)
    found: dict[str, Header | Unsure] = {}
    for sheet in table.sheet_names:
        try:
            found[sheet] = find_header(table.on(sheet).rows(), wanted, chosen, needed=needed, single=single)
        except _NoHeading:
            continue
        except Unsure as doubt:
            found[sheet] = doubt
    if len(found) != 1:
        raise which_sheet(table)
    [(sheet, header)] = found.items()
    if isinstance(header, Unsure):
        raise header
    return table.on(sheet), header


def find_header(
    rows: Iterable[Row],
    wanted: Wanted,
    chosen: Mapping[str, str] | None = None,
    *,
    needed: Collection[str] = NEEDED,
    single: Collection[str] = (),
) -> Header:
    """The heading among the first rows. `wanted`: key -> names, best first. Raises Unsure, never guesses."""
    chosen = chosen or {}
    _known(chosen, wanted)
    names = {key: (heading(chosen[key]),) if key in chosen else tuple(wanted[key]) for key in wanted}
    row, matches = _best(islice(rows, HEADING_WITHIN), names)
    columns = _by_letter(chosen, matches)
    missing = [key for key in (*needed, *chosen) if key not in matches and key not in columns]
    if missing:
        nothing = row.number > 0 and not any(key in matches for key in needed)
        raise _missing(_NoHeading if nothing else Unsure, missing[0], wanted, row)
    for key, positions in matches.items():
        if len(positions) > 1 and (key in single or key in chosen):
            raise _ambiguous(key, wanted, row, positions)
        columns[key] = positions[0]
    return _header(row if matches else Row(0, ()), columns)


def _known(chosen: Mapping[str, str], wanted: Wanted) -> None:
    for key in chosen:
        if key not in wanted:
            keys = ", ".join(wanted)
            raise Refused(f"没有“{key}”这种列，可用：{keys}", f"there is no column kind '{key}', only: {keys}")


def _by_letter(chosen: Mapping[str, str], matches: Matches) -> dict[str, int]:
    positions = {key: _position(text) for key, text in chosen.items() if key not in matches}
    return {key: position for key, position in positions.items() if position is not None}


def _header(row: Row, columns: Mapping[str, int]) -> Header:
    texts = [written(cell) for cell in row.cells]
    return Header(row.number, columns, tuple(map(heading, texts)), tuple(map(unit, texts)), row.cells)


def _best(rows: Iterable[Row], names: Mapping[str, Sequence[str]]) -> tuple[Row, Matches]:
    """The row with most matches, else the fullest one, with no match."""
    best, matches, fullest = Row(0, ()), Matches(), Row(0, ())
    for row in rows:
        here = _matches(row, names)
        below = bool(here) and len(here) == len(matches) and row.number == best.number + 1
        if len(here) > len(matches) or below:
            best, matches = row, here
        if _filled(row) > _filled(fullest):
            fullest = row
    return (best, matches) if matches else (fullest, matches)


def _filled(row: Row) -> int:
    return sum(isinstance(cell, str) for cell in row.cells)


def _matches(row: Row, names: Mapping[str, Sequence[str]]) -> Matches:
    """key -> its columns, those with a better name first."""
    headings = [heading(cell) if isinstance(cell, str) and len(cell) < 60 else "" for cell in row.cells]
    matches = Matches()
    for key, sought in names.items():
        found = [column for name in sought for column, text in enumerate(headings) if text == name]
        if found:
            matches[key] = found
    return matches


def _position(letters: str) -> int | None:
    if not _LETTERS.fullmatch(letters):
        return None
    position = 0
    for letter in letters.upper():
        position = position * 26 + ord(letter) - 64
    return position - 1


def _letters(position: int) -> str:
    letters = ""
    position += 1
    while position:
        position, rest = divmod(position - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def _missing(kind: type[Unsure], key: str, wanted: Wanted, row: Row) -> Unsure:
    offered = _offered(row, range(len(row.cells)))
    label = wanted[key][0]
    return kind(
        key,
        offered,
        f"找不到“{label}”这一列。请指明是哪一列，例如 --column {key}={_example(offered)}；有：{'、'.join(offered)}",
        f"no column for '{key}'; name it, such as --column {key}={_example(offered)}; there are: {', '.join(offered)}",
    )


def _ambiguous(key: str, wanted: Wanted, row: Row, positions: Sequence[int]) -> Unsure:
    offered = _offered(row, positions)
    return Unsure(
        key,
        offered,
        f"看不出哪一列是“{wanted[key][0]}”：{'、'.join(offered)}。请指明，例如 --column {key}={offered[0]}",
        f"which column is '{key}': {', '.join(offered)}? Name it, such as --column {key}={offered[0]}",
    )


def _example(offered: Sequence[str]) -> str:
    return offered[0] if offered else "B"


def _offered(row: Row, positions: Iterable[int]) -> list[str]:
    """What a person may answer: the heading, or the column's letter where the heading is not one of a kind.

    A row with many digits in a cell is no heading: a table without one has people in its first row.
    """
    texts = [heading(cell) if isinstance(cell, str) else "" for cell in row.cells]
    if any(_MANY_DIGITS.search(written(cell)) for cell in row.cells):
        texts = ["" for _ in texts]
    plain = [bool(text) and len(text) < 20 for text in texts]
    return [texts[place] if plain[place] and texts.count(texts[place]) == 1 else _letters(place) for place in positions]


def records(rows: Iterable[Row], header: Header) -> Iterator[Row]:
    """The rows of data below the heading, in order."""
    for row in rows:
        if row.number > header.row and not (_blank(row) or _repeats(row, header) or _closing(row)):
            yield row


def _blank(row: Row) -> bool:
    """A merged cell that reaches over a row does not fill it."""
    for position, cell in enumerate(row.cells):
        if cell is not None and position not in row.filled and not (isinstance(cell, str) and cell.isspace()):
            return False
    return True


def _repeats(row: Row, header: Header) -> bool:
    """The heading again, or the second row of one: nobody's number is 手机号."""
    number = header.cell(row, "phone")
    if isinstance(number, str) and not number.isdecimal() and heading(number) in PHONES:
        return True
    return header.row > 0 and all(
        place < len(row.cells) and row.cells[place] == header.cells[place]
        for place in header.columns.values()
        if place < len(header.cells)
    )


def _closing(row: Row) -> bool:
    """Sums, signatures, notes: told by the first three cells with anything in them."""
    first = list(islice((cell for cell in row.cells if cell is not None), 3))
    summed = any(isinstance(cell, str) and _SUM.fullmatch(cell) for cell in first)
    if not summed and not (first and isinstance(first[0], str) and _BELOW.fullmatch(first[0])):
        return False
    return not any(_MOBILE.fullmatch(written(cell)) for cell in row.cells)
