"""CSV and TSV: encoding, delimiter, rows.

A file without a byte-order mark is UTF-8 if all of it is valid UTF-8, else GB18030 (which holds GBK and GB2312) if
all of it is valid GB18030, else refused. The delimiter is a comma, a tab or a semicolon: whichever cuts most of the
first rows evenly. Quoting is read strictly, because a quotation mark that is never closed would swallow the rest of
the file as one cell, and the people in it would be missing without a word.
"""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final, TextIO

from gateway.errors import Refused
from gateway.sheets.table import Row, Table, damaged, no_table, refused

MAX_LINE: Final = 1_000_000  # characters

_PIECE: Final = 1 << 20
_SAMPLE: Final = 1 << 16
_DELIMITERS: Final = ",\t;"
_OTHER_FORMATS: Final = ("<html", "<!doc", "<?xml", "<tabl", "<meta", "<styl", "%pdf-", "{\\rtf")
_UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def open_file(path: Path) -> Table:
    encoding = _encoding(path)
    with path.open(encoding=encoding, newline="") as file:
        sample = file.read(_SAMPLE)
    if not sample.strip():
        raise refused(path.name, "文件是空的", "the file is empty")
    if "\0" in sample or sample.lstrip()[:5].lower() in _OTHER_FORMATS:
        raise no_table(path.name)
    delimiter = _delimiter(sample)
    return Table(path.name, ("",), "", lambda _: _rows(path, encoding, delimiter))


def _encoding(path: Path) -> str:
    for encoding in _candidates(path):
        if _decodes(path, encoding):
            return encoding
    raise refused(
        path.name,
        "不是表格文件，或文字编码读不出（应为 UTF-8 或 GB18030）",
        "this is no table file, or its text is neither UTF-8 nor GB18030",
    )


def _candidates(path: Path) -> tuple[str, ...]:
    with path.open("rb") as file:
        start = file.read(3)
    if start.startswith(_UTF16_MARKS):
        return ("utf-16",)
    if start == codecs.BOM_UTF8:
        return ("utf-8-sig",)
    return ("utf-8", "gb18030")


def _decodes(path: Path, encoding: str) -> bool:
    """Whether the whole file is valid; one that only breaks off inside its last character is refused at once."""
    decoder = codecs.getincrementaldecoder(encoding)()
    with path.open("rb") as file:
        try:
            while piece := file.read(_PIECE):
                decoder.decode(piece)
        except UnicodeDecodeError:
            return False
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise damaged(path.name) from None
    return True


def _delimiter(sample: str) -> str:
    return max(_DELIMITERS, key=lambda mark: _evenness(sample, mark))


def _evenness(sample: str, mark: str) -> tuple[int, int]:
    """How many of the first rows this mark cuts into the same number of cells, and into how many."""
    rows = islice(csv.reader(sample.splitlines(), delimiter=mark), 40)
    widths = Counter(len(cells) for cells in rows)
    return max(((rows, width) for width, rows in widths.items() if width > 1), default=(0, 0))


def _rows(path: Path, encoding: str, delimiter: str) -> Iterator[Row]:
    number = 0
    with path.open(encoding=encoding, newline="") as file:
        reader = csv.reader(_lines(path.name, file), delimiter=delimiter, strict=True)
        try:
            for number, cells in enumerate(reader, 1):
                yield Row(number, tuple([cell or None for cell in cells]))
        except csv.Error:
            raise _badly_quoted(path.name, number + 1) from None


def _lines(name: str, file: TextIO) -> Iterator[str]:
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise refused(name, "有一行过长", "a line is too long")
        if "\0" in line:
            raise no_table(name)
        yield line


def _badly_quoted(name: str, row: int) -> Refused:
    return refused(
        name,
        f"第 {row} 行的引号不成对，或有一格太长",
        f"row {row} has an unpaired quotation mark, or a cell that is too long",
    )
