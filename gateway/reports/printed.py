"""The list of those left behind as it is printed: a table for a screen, a workbook for paper.

Policy: numbers come here masked. A cell of the workbook is always text, whatever a name begins with.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import xlsxwriter


@dataclass(frozen=True, slots=True)
class LeftBehindRow:
    """Somebody whom a broadcast did not reach; `phone` is masked or "", and a neighbour's where `taker`."""

    village: str
    group: str
    name: str
    reason: str
    reason_zh: str
    reason_en: str
    phone: str
    taker: bool


HEADINGS: Final = ("村 Village", "组 Group", "姓名 Name", "原因 Reason", "手机号 Phone", "代收 Taker")
_WIDTHS: Final = (12, 9, 14, 44, 16, 9)


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """The list, by village in the site's order, group and name; `made_at` on the site's clock."""

    broadcast_id: int
    title: str
    made_at: datetime
    rows: Sequence[LeftBehindRow]

    @property
    def heading(self) -> str:
        """The title of the printed list."""
        return f"未收到短信人员名单：{self.title}（{len(self.rows)}人，{self.made_at:%Y-%m-%d %H:%M}）"

    def by_village(self) -> dict[str, list[LeftBehindRow]]:
        """The rows of each village, in order."""
        found: dict[str, list[LeftBehindRow]] = {}
        for row in self.rows:
            found.setdefault(row.village, []).append(row)
        return found

    def to_text(self) -> str:
        """A table in columns for a screen or a printer with one width of letter; a blank line between villages."""
        lines = [self.heading, ""]
        table = [HEADINGS, *map(_cells, self.rows)]
        widths = [max(map(_width, column)) for column in zip(*table, strict=True)]
        village = None
        for cells in table:
            if village is not None and cells[0] != village and cells is not table[1]:
                lines.append("")
            village = cells[0]
            lines.append("  ".join(_padded(cell, width) for cell, width in zip(cells, widths, strict=True)).rstrip())
        return "\n".join(lines) + "\n"

    def to_xlsx(self, path: Path) -> None:
        """A workbook to print: A4 landscape, title and headings on every page, each village on pages of its own.

        Overwrites `path`; an OSError where that cannot be written.
        """
        options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
        with xlsxwriter.Workbook(str(path), options) as book:
            sheet = book.add_worksheet("未收到")
            bold, framed = book.add_format({"bold": True, "font_size": 14}), book.add_format({"border": 1})
            self._set_up(sheet)
            sheet.write_string(0, 0, self.heading, bold)
            for line, cells in enumerate([HEADINGS, *map(_cells, self.rows)], 1):
                for column, cell in enumerate(cells):
                    sheet.write_string(line, column, cell, framed)

    def _set_up(self, sheet: Any) -> None:
        for column, width in enumerate(_WIDTHS):
            sheet.set_column(column, column, width)
        sheet.set_landscape()
        sheet.set_paper(9)
        # No fitting to a page's width: a spreadsheet would then ignore the breaks between villages.
        sheet.repeat_rows(0, 1)
        sheet.freeze_panes(2, 0)
        sheet.set_footer("&C&P / &N")
        sheet.set_h_pagebreaks(self._breaks())

    def _breaks(self) -> list[int]:
        """The lines before which a new village begins."""
        pairs = zip(self.rows, self.rows[1:], strict=False)
        return [line for line, (one, other) in enumerate(pairs, 3) if one.village != other.village]


def _cells(row: LeftBehindRow) -> tuple[str, ...]:
    reason = f"{row.reason_zh} {row.reason_en}"
    return row.village, row.group, row.name, reason, row.phone, "是 yes" if row.taker else ""


def _width(text: str) -> int:
    """Columns on a screen, where Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
