"""Tables of a report as a workbook.

Policy: every text is written as text, so that none is taken for a formula, and every figure as a number, so that a
spreadsheet can add them up. A file that is there already is never written over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from gateway.errors import Conflict, Refused

Cell = str | int | Decimal | None
Sheet = tuple[Sequence[str], Sequence[Sequence[Cell]]]
"""Headings and rows."""

LEAST_WIDTH, MOST_WIDTH = 8, 48


def free_path(path: Path) -> Path:
    """The same path; Refused for another ending than .xlsx or no directory, Conflict where the file exists."""
    if path.suffix.lower() != ".xlsx":
        raise Refused("报表只能写成 .xlsx", "reports are written as .xlsx")
    if not path.parent.is_dir():
        raise Refused(f"没有目录 {path.parent}", f"there is no directory {path.parent}")
    if path.exists():
        raise Conflict(f"{path} 已经存在，请换个名字", f"{path} exists already; name another file")
    return path


def write(path: Path, sheets: Mapping[str, Sheet]) -> None:
    """One sheet for each table; the first row is its heading and stays in sight."""
    import xlsxwriter

    with xlsxwriter.Workbook(str(free_path(path))) as book:
        bold = book.add_format({"bold": True, "bottom": 1})
        for title, (headings, rows) in sheets.items():
            sheet = book.add_worksheet(title)
            for column, heading in enumerate(headings):
                sheet.write_string(0, column, heading, bold)
                sheet.set_column(column, column, _width([heading, *(row[column] for row in rows)]))
            sheet.freeze_panes(1, 0)
            for line, row in enumerate(rows, 1):
                _write_row(sheet, line, row)


def _write_row(sheet: object, line: int, row: Sequence[Cell]) -> None:
    for column, cell in enumerate(row):
        if isinstance(cell, int | Decimal):
            sheet.write_number(line, column, cell)  # type: ignore[attr-defined]
        elif cell:
            sheet.write_string(line, column, cell)  # type: ignore[attr-defined]


def _width(cells: Sequence[Cell]) -> int:
    """Columns of Chinese characters are twice as wide."""
    longest = max(sum(2 if ord(char) > 0x2E80 else 1 for char in str(cell or "")) for cell in cells)
    return min(MOST_WIDTH, max(LEAST_WIDTH, longest + 2))
