"""XLSX, XLS and ODS, through the native reader.

A file reaches that reader in this process only after `unpacking` has had it read in another; what it raises there it
never raises here, unless the file changes in between. Formulas arrive as the values last saved with them;
a formula's error arrives as an empty cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

import python_calamine as calamine

from gateway.sheets import unpacking
from gateway.sheets.table import Cell, Row, Table, refused

Place = tuple[int, int]  # row, column, from 0


def begins(start: bytes) -> bool:
    """Whether a file that begins so is a workbook: a zip archive, or the container of the old format."""
    return start.startswith((b"PK\x03\x04", unpacking.OLE))


def open_file(path: Path) -> Table:
    with path.open("rb") as file:
        unpacking.judge(path.name, file)
        file.seek(0)
        book = calamine.load_workbook(file)
    names = tuple(sheet.name for sheet in book.sheets_metadata if _can_be_seen(sheet))
    if not names:
        raise refused(path.name, "没有可见的工作表", "there is no visible sheet")
    only = names[0] if len(names) == 1 else None
    return Table(path.name, names, only, _Loaded(book).rows)


def _can_be_seen(sheet: calamine.SheetMetadata) -> bool:
    return sheet.typ == calamine.SheetTypeEnum.WorkSheet and sheet.visible == calamine.SheetVisibleEnum.Visible


class _Loaded:
    """An open workbook that keeps the sheet last read, so that finding the heading does not load it twice."""

    def __init__(self, book: calamine.CalamineWorkbook) -> None:
        self._book = book
        self._last: tuple[str, calamine.CalamineSheet] | None = None

    def rows(self, sheet: str) -> Iterator[Row]:
        if self._last is None or self._last[0] != sheet:
            self._last = sheet, self._book.get_sheet_by_name(sheet)
        return _rows(self._last[1])


def _rows(sheet: calamine.CalamineSheet) -> Iterator[Row]:
    left = sheet.start[1] if sheet.start else 0
    merged = _Merged(sheet.merged_cell_ranges or (), left)
    for index, values in enumerate(sheet.iter_rows()):
        cells = [_cell(value) for value in values]
        filled = merged.fill(index, cells)
        yield Row(index + 1, tuple(cells), filled)


def _cell(value: object) -> Cell:
    if isinstance(value, str):
        return value or None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, bool | int | date):
        return value
    return str(value)  # a time of day or a span: of no use in a roster, but a person wrote it


class _Merged:
    """Fills the cells under a tall merged cell with its value, while the rows pass by from the top."""

    def __init__(self, ranges: Iterable[tuple[Place, Place]], left: int) -> None:
        self._starts: dict[int, list[Place]] = {}  # first row -> (column, last row)
        for (top, column), (bottom, _) in ranges:
            if bottom > top:
                self._starts.setdefault(top, []).append((column - left, bottom))
        self._open: dict[int, tuple[int, Cell]] = {}  # column -> last row, value

    def fill(self, row: int, cells: list[Cell]) -> frozenset[int]:
        """Completes one row in place; returns the columns that were filled."""
        self._open = {column: kept for column, kept in self._open.items() if kept[0] >= row}
        for column, (_, value) in self._open.items():
            cells[column] = value
        filled = frozenset(self._open)
        for column, bottom in self._starts.get(row, ()):
            if 0 <= column < len(cells):
                self._open[column] = bottom, cells[column]
        return filled
