"""Whether a workbook can be opened at all, found out before this process opens it.

The native reader reserves rows x columns at once and copies a shared string into every cell that shows it. Where
memory does not suffice it ends the whole process, and one flipped byte of an old XLS can make it ask for a terabyte.
So a workbook passes two gates:

- The zip directory: what it holds, whether it is locked, number of entries, unpacked size, ratio.
- A trial: the native reader reads all of it in a process of its own, with limits of memory and time. What that
  process survives, this one will. (Where the system knows no such limits, the process of its own alone protects.)
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from typing import BinaryIO, Final

from gateway.sheets.table import bomb, damaged, locked, no_table, too_large

OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
MAX_UNPACKED: Final = 200_000_000  # bytes
MAX_RATIO: Final = 200  # unpacked to packed; real workbooks stay under 50
SMALL: Final = 10_000_000  # bytes; below this no ratio is suspicious
MAX_ENTRIES: Final = 2_000
MAX_MEMORY: Final = 2_000_000_000  # bytes of address space for the trial
MAX_SECONDS: Final = 60

_WORKBOOKS: Final = frozenset({"xl/workbook.xml", "content.xml"})
_MANIFEST: Final = "META-INF/manifest.xml"
# A new workbook sealed in the old container; or FILEPASS after BOF in the old format ([MS-XLS] 2.1.7.20.2).
_SEALED: Final = re.compile(
    re.escape("EncryptedPackage".encode("utf-16-le")) + rb"|\x09\x08\x10\0.{16}(?:\x86\0\0\0)?\x2f\0", re.DOTALL
)
_BROKEN: Final = (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OSError, NotImplementedError, ValueError)
_DAMAGED: Final = 3
_TRIAL: Final = """
import io, os, sys
import python_calamine as calamine
memory, seconds, damaged = map(int, sys.argv[1:])
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except ImportError:
    pass
try:
    book = calamine.load_workbook(io.BytesIO(sys.stdin.buffer.read()))
    for known in book.sheets_metadata:
        if known.typ == calamine.SheetTypeEnum.WorkSheet:
            sheet = book.get_sheet_by_name(known.name)
            sheet.merged_cell_ranges
            for row in sheet.iter_rows():
                pass
except MemoryError:
    os._exit(1)
except BaseException:
    os._exit(damaged)
os._exit(0)
"""


def judge(name: str, file: BinaryIO) -> None:
    """Refuses a workbook that is damaged, locked, no workbook at all, or too much to open."""
    if file.read(len(OLE)) == OLE:
        if _SEALED.search(file.read()):
            raise locked(name)
    else:
        _judge_zip(name, file)
    file.seek(0)
    _try(name, file)


def _judge_zip(name: str, file: BinaryIO) -> None:
    try:
        with zipfile.ZipFile(file) as packed:
            _judge_directory(name, packed.infolist())
            # ODS encrypts its entries one by one, and says so in its manifest.
            if _MANIFEST in packed.namelist() and b"encryption-data" in packed.read(_MANIFEST):
                raise locked(name)
    except _BROKEN:
        raise damaged(name) from None


def _judge_directory(name: str, entries: list[zipfile.ZipInfo]) -> None:
    if any(entry.flag_bits & 1 for entry in entries):
        raise locked(name)
    if _WORKBOOKS.isdisjoint(entry.filename for entry in entries):
        raise no_table(name)
    unpacked = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    if len(entries) > MAX_ENTRIES or unpacked > MAX_UNPACKED:
        raise bomb(name)
    if unpacked > SMALL and unpacked > MAX_RATIO * packed:
        raise bomb(name)


def _try(name: str, file: BinaryIO) -> None:
    limits = [str(limit) for limit in (MAX_MEMORY, MAX_SECONDS, _DAMAGED)]
    try:
        ended = subprocess.run(  # noqa: S603
            [sys.executable, "-P", "-c", _TRIAL, *limits],
            stdin=file,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"RUST_BACKTRACE": "0"},
            timeout=2 * MAX_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise too_large(name) from None
    # Any other end than by the trial's own word is one for want of memory or time.
    if ended.returncode:
        raise damaged(name) if ended.returncode == _DAMAGED else too_large(name)
