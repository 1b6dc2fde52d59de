"""The county's own form, filled in by its named cells. The only home of openpyxl.

Policy
- A cell is filled by the name that the form gives it: a figure's name (受理总数, 办结率) for the whole, or of whom, an
  underscore and the figure (民政_受理, 枣湾村_满意率, 七月_办结). Windows, items and villages are known by name, by
  code, or by the beginning of one name alone.
- Nothing else is touched: other cells, formats, formulas stay. A named cell that holds a formula is the form's own
  reckoning and is left. What the library would drop on saving (pictures, charts, macros) is told.
- Texts are written as texts, whatever they begin with. A rate goes in as a number under a percent format; what would
  be divided by nothing is "—".
- Every name that was not understood is told, and so is one that names no single cell.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from gateway.errors import NotFound, Refused
from gateway.scores import summary
from gateway.scores.summary import NOTHING, RATES, Line, Summary
from gateway.sheets import unpacking

OTHER_NAMES: Mapping[str, str] = {
    "受理总数": "received",
    "受理数": "received",
    "办结总数": "finished",
    "办结数": "finished",
    "按时办结率": "on_time_rate",
    "超期数": "late",
    "转办数": "handed_over",
    "当场办结数": "spot",
    "重办数": "reopened",
    "评价数": "rated",
    "满意数": "satisfied",
    "满意度": "satisfaction",
    "办成数": "solved",
}
MONTHS = ("一月", "二月", "三月", "四月", "五月", "六月", "七月", "八月", "九月", "十月", "十一月", "十二月")
_LOST: Mapping[str, tuple[str, str]] = {
    "xl/media/": ("图片", "pictures"),
    "xl/charts/": ("图表", "charts"),
    "xl/vbaProject": ("宏", "macros"),
    "xl/embeddings/": ("嵌入的文件", "embedded files"),
    "xl/ctrlProps/": ("控件", "controls"),
}
_PLACE = re.compile(
    r"(?:'(?P<quoted>(?:[^']|'')+)'|(?P<plain>[^'!,]+))!\$?(?P<cell>[A-Z]{1,3}\$?\d+)(?::\$?[A-Z]+\$?\d+)?"
)
_PERCENT = "0.0%"


@dataclass(frozen=True, slots=True)
class Filled:
    """What became of a form's names: those filled with what they show, those not known, those left as they were (with
    why, zh and en), and what the saved file no longer has.
    """

    filled: Mapping[str, str]
    unknown: Sequence[str]
    left: Mapping[str, tuple[str, str]]
    lost: Sequence[tuple[str, str]]


Value = str | int | Decimal | None


def fill(form: Path, out: Path, found: Summary) -> Filled:
    """Write the form at `form` to `out` with the figures in its named cells; Refused for what is no such workbook."""
    import openpyxl

    lost = _lost(form)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of extensions that it drops; they have no place among our answers
        try:
            book = openpyxl.load_workbook(form)
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise Refused(f"{form.name} 打不开（{type(error).__name__}）", f"{form.name} cannot be read") from error
        done = _fill(book, found, lost)
        book.save(out)
    return done


def _lost(form: Path) -> list[tuple[str, str]]:
    if not form.is_file():
        raise NotFound(f"找不到文件 {form.name}", f"there is no file {form.name}")
    if form.suffix.lower() != ".xlsx" or not zipfile.is_zipfile(form):
        raise Refused("表格要是 .xlsx，请用表格软件另存", "the form must be a .xlsx file")
    with form.open("rb") as file:
        unpacking.judge(form.name, file)
    with zipfile.ZipFile(form) as packed:
        names = packed.namelist()
    return [told for prefix, told in _LOST.items() if any(name.startswith(prefix) for name in names)]


def _fill(book: Any, found: Summary, lost: Sequence[tuple[str, str]]) -> Filled:
    filled: dict[str, str] = {}
    unknown: list[str] = []
    left: dict[str, tuple[str, str]] = {}
    for name, target in _names(book):
        known = _meant(name, found)
        if known is None:
            unknown.append(name)
        elif (cell := _cell(book, target)) is None:
            left[name] = ("不是一个单元格", "names no single cell")
        elif cell.data_type == "f":
            left[name] = ("有公式", "holds a formula")
        else:
            filled[name] = _write(cell, *known)
    return Filled(filled, unknown, left, lost)


def _names(book: Any) -> Iterator[tuple[str, str]]:
    """Names and what they stand for: of the workbook, then of each sheet."""
    for defined in (book.defined_names, *(sheet.defined_names for sheet in book.worksheets)):
        for name, one in defined.items():
            if not name.startswith("_xl") and not one.hidden:
                yield name, one.attr_text or ""


def _cell(book: Any, target: str) -> Any:
    """The cell that a name stands for; the first of a merged one. None where it is none, or in no sheet of tables."""
    place = _PLACE.fullmatch(target)
    if place is None:
        return None
    title = (place["quoted"] or place["plain"]).replace("''", "'")
    sheet = next((one for one in book.worksheets if one.title == title), None)
    if sheet is None:
        return None
    at = place["cell"].replace("$", "")
    whole = target.rpartition("!")[2].replace("$", "")
    merged = next((one for one in sheet.merged_cells.ranges if at in one), None)
    if ":" in whole and (merged is None or str(merged) != whole):
        return None
    return sheet.cell(merged.min_row, merged.min_col) if merged else sheet[at]


def _write(cell: Any, value: Value, is_rate: bool) -> str:
    if value is None:
        value = NOTHING
    if isinstance(value, str):
        cell.value, cell.data_type = value, "s"
        return value
    if is_rate:
        rate = Decimal(value)
        if "%" not in (cell.number_format or ""):
            cell.number_format = _PERCENT
        cell.value = rate
        return summary.percent(rate)
    cell.value = summary.rounded(value, Decimal("0.01")) if isinstance(value, Decimal) else value
    return f"{cell.value:,}"


# -- what a name means -----------------------------------------------------------------------------------------------


def _meant(name: str, found: Summary) -> tuple[Value, bool] | None:
    """The value of a name and whether it is a rate; None for a name that is not known."""
    facts: Mapping[str, Value] = {
        "单位": found.place,
        "大厅": found.place,
        "年度": found.first.year,
        "起止": f"{found.first:%Y-%m-%d} 至 {found.last:%Y-%m-%d}",
        "文字总结": summary.in_words(found),
    }
    if name in facts:
        return facts[name], False
    of, mark, figure = name.rpartition("_")
    meant = _figure(figure if mark else name)
    if meant is None:
        return None
    line = _line(of, found) if mark else found.total
    return None if line is None else (line.value(meant), meant in RATES)


def _figure(name: str) -> str | None:
    if name in OTHER_NAMES:
        return OTHER_NAMES[name]
    return next((key for key, words in summary.TITLES.items() if name in (key, words[0])), None)


def _line(of: str, found: Summary) -> Line | None:
    """The line of a window, item, village or month; None where the word means nothing or several things."""
    if of in ("合计", "全部", "总"):
        return found.total
    if of in MONTHS:
        return _month(of, found.groups["month"])
    for begins in (False, True):
        for grouping in ("window", "village", "item"):
            lines = {line.key: line for line in found.groups[grouping]}
            key = summary.matching(of, _plain(lines), begins=begins)
            if key is not None:
                return lines[key]
    return None


def _plain(lines: Mapping[str, Line]) -> Mapping[str, str]:
    """Names as a form can write them: what is in brackets or no letter cannot stand in a cell's name."""
    return {key: re.sub(r"[(（].*|[^\w]", "", line.name) for key, line in lines.items() if key}


def _month(of: str, lines: Sequence[Line]) -> Line | None:
    tail = f"-{MONTHS.index(of) + 1:02}"
    fitting = [line for line in lines if line.key.endswith(tail)]
    return fitting[0] if len(fitting) == 1 else None
