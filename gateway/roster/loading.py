"""A roster file, read beside the event loop, and its people as the store takes them.

Policy
- One thread of its own reads one file, a slice at a time; it waits while the slice is stored. So memory holds one
  slice, the loop never waits for a parser, and who gives up leaves at most one slice's work behind. A thread will do:
  a workbook was already read whole by another process, with limits, before this one opens it (`gateway.sheets`).
- A file is read twice: first all of it, to know that it can be read to its end and how many rows it has, then to take
  it in. A broken file changes nothing. One that changed in between is a Conflict.
- `given` are the columns the file has; it says nothing about the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

from gateway import sheets
from gateway.errors import Conflict
from gateway.roster.reading import SINGLE, WANTED, PersonRow, Read, read_people
from gateway.sheets import Table, headed
from gateway.store.people import tag_text
from gateway.store.rosters import Entry, key_of

T = TypeVar("T")

SLICE: Final = 500
"""Rows; on PostgreSQL a slice is prepared on the event loop, and twice as many held it up by more than 100 ms."""

_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "village": ("village", "area"),
    "group": ("grp",),
    "sex": ("sex",),
    "birth": ("birth",),
    "identity": ("sex", "birth"),
    "tags": ("tags",),
    "away_to": ("away_to",),
    "note": ("note",),
    "taker_phone": ("taker_phone",),
}


@dataclass(frozen=True, slots=True)
class _Opened:
    table: Table
    given: frozenset[str]
    sha256: str


class Loading:
    """An open roster; made by `loading`."""

    def __init__(self, path: Path, columns: Mapping[str, str] | None, thread: ThreadPoolExecutor) -> None:
        self._path, self._columns, self._thread = path, columns, thread
        self._opened: _Opened

    @property
    def given(self) -> frozenset[str]:
        """The columns of `person` that the file speaks of."""
        return self._opened.given

    @property
    def sha256(self) -> str:
        return self._opened.sha256

    async def open(self, sheet: str | None) -> None:
        """Raises NotFound, Refused or Unsure."""
        self._opened = await self._run(lambda: self._open(sheet))

    def _open(self, sheet: str | None) -> _Opened:
        sha256 = _sha256(self._path)
        table, header = headed(sheets.open_table(self._path, sheet=sheet), WANTED, self._columns, single=SINGLE)
        given = {name for key in header.columns for name in _COLUMNS.get(key, ())}
        return _Opened(table, frozenset(given), sha256)

    async def slices(self) -> AsyncIterator[Sequence[Read]]:
        """Everything from the top, at most SLICE rows at a time."""
        rows: Iterator[Read] = await self._run(lambda: read_people(self._opened.table, self._columns))
        while piece := await self._run(lambda: list(islice(rows, SLICE))):
            yield piece

    async def check_unchanged(self) -> None:
        """Conflict if the file is another one than was opened."""
        if await self._run(lambda: _sha256(self._path)) != self._opened.sha256:
            raise Conflict(
                "文件在导入时被改动了，请重新导入", "the file was changed while it was read: import it again"
            )

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


@contextlib.asynccontextmanager
async def loading(path: Path, columns: Mapping[str, str] | None, sheet: str | None) -> AsyncIterator[Loading]:
    """The roster at `path`, for the length of an `async with`."""
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="roster")
    try:
        opened = Loading(path, columns, thread)
        await opened.open(sheet)
        yield opened
    finally:
        thread.shutdown(wait=False, cancel_futures=True)


def entry(one: PersonRow, area: str) -> Entry:
    """A person as the store takes them. Further numbers and a taker's name have no place there and are not kept."""
    values: dict[str, Any] = {
        "key": key_of(one.name, one.phone, one.village, one.birth),
        "name": one.name,
        "phone": one.phone,
        "taker_phone": one.taker_phone,
        "village": one.village,
        "grp": one.group,
        "area": area,
        "sex": one.sex,
        "birth": one.birth,
        "tags": tag_text(one.tags),
        "away_to": one.away_to,
        "note": one.note,
    }
    return values


def _sha256(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
