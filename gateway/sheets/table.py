"""Rows, the table they come from, its limits, and the words in which it is refused.

The limits hold for every format and are checked again on each row given out, whatever the format's own reader
has checked before. Messages name the file by its last part and never quote a cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final, NamedTuple

from gateway.errors import NotFound, Refused

Cell = str | int | float | bool | date | datetime | None

MAX_ROWS: Final = 1_000_000
MAX_COLUMNS: Final = 512
MAX_CELL: Final = 32_767  # characters, as in a spreadsheet
MAX_FILE: Final = 200_000_000


class Row(NamedTuple):
    """`number` as a spreadsheet shows it; `filled` holds the positions whose value came down from a merged cell.

    An empty cell is None, never "". A whole number is an int even where the file keeps it as a float.
    """

    number: int
    cells: tuple[Cell, ...]
    filled: frozenset[int] = frozenset()


class Unsure(Refused):
    """A person must say which: a column (`key` names what is sought), or a sheet (`key` is "sheet")."""

    def __init__(self, key: str, candidates: Sequence[str], zh: str, en: str) -> None:
        super().__init__(zh, en)
        self.key = key
        self.candidates = tuple(candidates)


@dataclass(frozen=True, slots=True)
class Table:
    """A table file; `sheet` is the chosen sheet, or None while a workbook has several and none is chosen.

    A text file has one nameless sheet. Hidden sheets and charts are not among `sheet_names`.
    """

    name: str
    sheet_names: tuple[str, ...]
    sheet: str | None
    read: Callable[[str], Iterator[Row]]

    def rows(self) -> Iterator[Row]:
        """All rows from the top; raises Unsure while no sheet is chosen, and Refused where the file is broken."""
        if self.sheet is None:
            raise which_sheet(self)
        return _within_limits(self.name, self.read(self.sheet))

    def on(self, sheet: str) -> Table:
        """The same file on that sheet, or NotFound."""
        if sheet not in self.sheet_names:
            named = "、".join(self.sheet_names)
            raise NotFound(
                f"{self.name} 里没有工作表“{sheet}”，只有：{named}",
                f"{self.name} has no sheet '{sheet}', only: {named}",
            )
        return replace(self, sheet=sheet)


def _within_limits(name: str, rows: Iterator[Row]) -> Iterator[Row]:
    for row in rows:
        if row.number > MAX_ROWS or len(row.cells) > MAX_COLUMNS:
            raise too_large(name)
        for cell in row.cells:
            if isinstance(cell, str) and len(cell) > MAX_CELL:
                raise huge_cell(name, row.number)
        yield row


def refused(name: str, zh: str, en: str) -> Refused:
    return Refused(f"{name}：{zh}", f"{name}: {en}")


def damaged(name: str) -> Refused:
    return refused(
        name,
        "文件已损坏或不完整，请在表格软件里打开并另存一份",
        "the file is damaged or cut off; open it in a spreadsheet program and save it anew",
    )


def locked(name: str) -> Refused:
    return refused(name, "文件有密码，请先去掉密码", "the file is protected by a password; remove it first")


def no_table(name: str) -> Refused:
    return refused(name, "不是表格文件；请另存为 .xlsx 或 .csv", "this is no table file; save it as .xlsx or .csv")


def too_large(name: str) -> Refused:
    return refused(
        name,
        f"表太大：最多 {MAX_ROWS:,} 行、{MAX_COLUMNS} 列；也看看右下远处有没有多余的格子，或另存为 .csv",
        f"the table is too large: at most {MAX_ROWS:,} rows and {MAX_COLUMNS} columns; look for stray cells "
        "far below or to the right, or save it as .csv",
    )


def bomb(name: str) -> Refused:
    return refused(
        name,
        "解压后过大，不予打开；请另存为 .csv",
        "it would unpack to far too much and is not opened; save it as .csv",
    )


def huge_cell(name: str, row: int) -> Refused:
    return refused(
        name,
        f"第 {row} 行有一格超过 {MAX_CELL:,} 字（可能少了一个引号）",
        f"row {row} has a cell of more than {MAX_CELL:,} characters (a quotation mark may be missing)",
    )


def which_sheet(table: Table) -> Unsure:
    named = "、".join(table.sheet_names)
    return Unsure(
        "sheet",
        table.sheet_names,
        f"{table.name} 有多个工作表：{named}。请指明用哪一个，例如 --sheet {table.sheet_names[0]}",
        f"{table.name} has several sheets: {named}; say which one, such as --sheet {table.sheet_names[0]}",
    )
