"""A roster written to a file that the import reads again.

XLSX or CSV by the name's ending. In a workbook every cell is text and marked as such, so that none is ever taken for a
formula; a CSV has no such mark, so there a cell that begins like a formula gets an apostrophe before it (OWASP, CSV
Injection). CSV is UTF-8 with a byte-order mark, which spreadsheet programs need to read Chinese.

The file appears under its name only when it is whole and `keep` is called, readable by its owner alone; a file that is
already there is never written over. xlsxwriter's home in the roster.
"""

from __future__ import annotations

import csv
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TextIO

import xlsxwriter

from gateway import phone as phones
from gateway.errors import Conflict, NotFound, Refused

HEADINGS: Final = ("姓名", "手机号", "村", "组", "性别", "出生日期", "标签", "在外务工地", "备注", "代收电话")
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def neutral(text: str) -> str:
    """The text, with an apostrophe before what a spreadsheet would take for a formula."""
    return f"'{text}" if text.startswith(_FORMULAS) else text


def cells(row: Any) -> tuple[str, ...]:
    """A row of `person` under HEADINGS."""
    return (
        row.name,
        phones.local(row.phone or ""),
        row.village,
        row.grp,
        row.sex,
        row.birth.isoformat() if row.birth else "",
        row.tags.strip(";"),
        row.away_to,
        row.note,
        phones.local(row.taker_phone or ""),
    )


class _Csv:
    def __init__(self, file: TextIO) -> None:
        self._file, self._rows = file, csv.writer(file, lineterminator="\r\n")

    def write(self, row: Sequence[str]) -> None:
        self._rows.writerow([neutral(cell) for cell in row])

    def close(self) -> None:
        self._file.close()


class _Workbook:
    def __init__(self, path: Path) -> None:
        self._book = xlsxwriter.Workbook(str(path), {"constant_memory": True})
        self._sheet = self._book.add_worksheet("花名册")
        self._text = self._book.add_format({"num_format": "@", "quote_prefix": True})
        self._at = 0

    def write(self, row: Sequence[str]) -> None:
        for column, cell in enumerate(row):
            if cell:
                self._sheet.write_string(self._at, column, cell, self._text)
        self._at += 1

    def close(self) -> None:
        self._book.close()


class Export:
    """One file in the making; all its methods block and are called one after another, from any thread."""

    def __init__(self, path: Path) -> None:
        """Refused for another ending than .xlsx and .csv, NotFound without its directory, Conflict where it exists."""
        if path.suffix.lower() not in (".xlsx", ".csv"):
            raise Refused("只能导出为 .xlsx 或 .csv", "exports end in .xlsx or .csv")
        if not path.parent.is_dir():
            raise NotFound(f"没有目录 {path.parent}", f"there is no directory {path.parent}")
        if path.exists():
            raise Conflict(f"{path.name} 已经存在，请换个名字", f"{path.name} exists already; name another file")
        self._path = path
        self._aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(self._aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._out: _Csv | _Workbook
        if path.suffix.lower() == ".csv":
            self._out = _Csv(os.fdopen(descriptor, "w", encoding="utf-8-sig", newline=""))
        else:
            os.close(descriptor)
            self._out = _Workbook(self._aside)
        self._out.write(HEADINGS)

    def write(self, rows: Sequence[Any]) -> None:
        """Append rows of `person`."""
        for row in rows:
            self._out.write(cells(row))

    def finish(self) -> None:
        """Everything is on the disk, under a name nobody knows yet."""
        self._out.close()

    def keep(self) -> None:
        """Give it its name; Conflict where somebody took that meanwhile."""
        if self._path.exists():
            raise Conflict(
                f"{self._path.name} 已经存在，请换个名字", f"{self._path.name} exists already; name another file"
            )
        self._aside.replace(self._path)

    def throw_away(self) -> None:
        """Leave nothing aside; the kept file stays."""
        self._aside.unlink(missing_ok=True)
