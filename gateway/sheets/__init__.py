"""A table file, as rows. The only home of python-calamine.

CSV and TSV (UTF-8, GB18030, UTF-16 with a byte-order mark), XLSX, XLS and ODS are told apart by what they contain,
never by their names. Every file is somebody's upload, so it is judged before it is read:

- The whole of a text file is decoded strictly once, in pieces, before its first row is given out; nothing is
  replaced, and no encoding is guessed from a part. A file cut off in the middle of a character is refused.
- A workbook's zip directory is looked at before anything is unpacked, and another process, with limits, reads the
  workbook before this one does (`unpacking`).
- Whatever is wrong is a `Refused` in Chinese and English that names the file, and the row where there is one, but
  never a cell's content. Rows already given out stay valid; who must have all or nothing collects first.

Text files are streamed: memory does not grow with their length. A workbook's sheet lies in memory as the native
reader holds it and becomes Python values row by row.

Row numbers are those a spreadsheet shows: the first row is 1, blank rows count, and a quoted cell with line breaks
is still one row. A merged cell's value fills its whole height, as a person reads it; `Row.filled` tells which cells
got theirs so, because an amount merged over three people is not three amounts.

Which column is which is decided by its heading alone; where two could be meant, or none, `Unsure` asks (`headings`).
"""

from __future__ import annotations

from pathlib import Path

from gateway.errors import NotFound
from gateway.sheets import books, delimited
from gateway.sheets.cells import written
from gateway.sheets.headings import Header, find_header, headed, heading, records, unit
from gateway.sheets.table import MAX_FILE, Cell, Row, Table, Unsure, refused

__all__ = [
    "Cell",
    "Header",
    "Row",
    "Table",
    "Unsure",
    "find_header",
    "headed",
    "heading",
    "open_table",
    "records",
    "unit",
    "written",
]


def open_table(path: Path, *, sheet: str | None = None) -> Table:
    """The table in the file at `path`; raises NotFound, or Refused for what is no readable table."""
    if not path.is_file():
        raise NotFound(f"找不到文件 {path.name}", f"there is no file {path.name}")
    size = path.stat().st_size
    if size == 0:
        raise refused(path.name, "文件是空的", "the file is empty")
    if size > MAX_FILE:
        raise refused(path.name, "文件超过 200 MB，请拆分", "the file is larger than 200 MB; split it")
    with path.open("rb") as file:
        start = file.read(512)
    table = books.open_file(path) if books.begins(start) else delimited.open_file(path)
    return table if sheet is None else table.on(sheet)
