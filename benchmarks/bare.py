"""The least that could be done: the same rows into the same tables with the raw driver, and no rules at all.

No watermark, no epoch, no pacing, no stop, no opt-out, no trying again, no counting: nobody could run a hall on it. It
says what the database and its driver cost, in transactions of 500 rows, so that the ratio to it is the price of the
gateway's promises. It shares no code with the gateway, only the tables, which exist beforehand.

    python -m benchmarks.bare stages|whole URL TEXTS
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

SIZE = 500
BODY = "【枣原镇】" + "测" * 60
Rows = list[tuple[Any, ...]]

PARCEL = (
    "INSERT INTO parcel (id, broadcast_id, carrier, route, priority, attempt, body, category, on_uncertain,"
    " consent_seen, state, n, watermark, stale) VALUES"
    " ({id}, 1, 'sim', 'default', 3, 1, '{body}', 'policy', 'leave', 0, 'ready', {n}, 0, {no})"
)
MESSAGE = ("message", "id, phone, person_id, body, parts, created_at", "bigint, text, bigint, text, smallint, bigint")
SUBMISSION = (
    "submission",
    "message_id, attempt, part, outcome, carrier, carrier_ref, error, at",
    "bigint, smallint, smallint, text, text, text, text, bigint",
)
RECEIPT = (
    "receipt",
    "message_id, attempt, part, state, error, matched, at",
    "bigint, smallint, smallint, text, text, text, bigint",
)


def phone(at: int) -> str:
    """One of 10,000 numbers that belong to nobody."""
    return f"+861380013{at % 10_000:04d}"


def messages(parcel: int, n: int) -> Rows:
    """One parcel's texts."""
    now = time.time_ns() // 1_000_000
    return [(parcel << 10 | at, phone(parcel * SIZE + at), None, None, 1, now) for at in range(n)]


def submissions(keys: Sequence[int]) -> Rows:
    """What the operator answered: accepted, with a reference."""
    now = time.time_ns() // 1_000_000
    return [(key, 1, 1, "accepted", "sim", f"{key:x}.1.1", None, now) for key in keys]


def receipts(keys: Sequence[int]) -> Rows:
    """What it reported: delivered."""
    now = time.time_ns() // 1_000_000
    return [(key, 1, 1, "delivered", None, "ref", now) for key in keys]


class Sqlite:
    """The driver of the standard library, with the pragmas of the gateway."""

    no = "0"

    def __init__(self, path: str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-65536", "temp_store=MEMORY"):
            self._db.execute(f"PRAGMA {pragma}")

    async def transaction(self, *work: Callable[[], Any]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        for one in work:
            one()
        self._db.execute("COMMIT")

    def insert(self, table: tuple[str, str, str], rows: Rows) -> Callable[[], Any]:
        name, columns, _ = table
        marks = ", ".join("?" * len(rows[0]))
        return lambda: self._db.executemany(f"INSERT INTO {name} ({columns}) VALUES ({marks})", rows)

    def run(self, statement: str) -> Callable[[], Any]:
        return lambda: self._db.execute(statement)

    async def keys(self, parcel: int) -> list[int]:
        query = "SELECT id, phone, body, parts FROM message WHERE id BETWEEN ? AND ? ORDER BY id"
        return [row[0] for row in self._db.execute(query, (parcel << 10, parcel << 10 | 1023))]

    async def close(self) -> None:
        self._db.close()


class Postgres:
    """asyncpg; rows as arrays, like the gateway's."""

    no = "false"

    def __init__(self, connection: Any) -> None:
        self._db = connection

    async def transaction(self, *work: Callable[[], Any]) -> None:
        async with self._db.transaction():
            for one in work:
                await one()

    def insert(self, table: tuple[str, str, str], rows: Rows) -> Callable[[], Any]:
        name, columns, types = table
        arrays = ", ".join(f"${at}::{type_}[]" for at, type_ in enumerate(types.split(", "), 1))
        lists = [list(column) for column in zip(*rows, strict=True)]
        return lambda: self._db.execute(f"INSERT INTO {name} ({columns}) SELECT * FROM unnest({arrays})", *lists)

    def run(self, statement: str) -> Callable[[], Any]:
        return lambda: self._db.execute(statement)

    async def keys(self, parcel: int) -> list[int]:
        query = "SELECT id, phone, body, parts FROM message WHERE id BETWEEN $1 AND $2 ORDER BY id"
        return [row[0] for row in await self._db.fetch(query, parcel << 10, parcel << 10 | 1023)]

    async def close(self) -> None:
        await self._db.close()


async def connect(url: str) -> Sqlite | Postgres:
    """`sqlite:///PATH` or `postgresql+asyncpg://...`"""
    if url.startswith("sqlite:"):
        return Sqlite(url.removeprefix("sqlite:///"))
    import asyncpg

    return Postgres(await asyncpg.connect(url.replace("+asyncpg", "")))


async def queue(db: Sqlite | Postgres, texts: int) -> None:
    """One parcel and its texts per transaction."""
    for parcel in range(1, texts // SIZE + 1):
        insert = PARCEL.format(id=parcel, body=BODY, n=SIZE, no=db.no)
        await db.transaction(db.run(insert), db.insert(MESSAGE, messages(parcel, SIZE)))


async def dispatch(db: Sqlite | Postgres, texts: int) -> None:
    """Read a parcel, call it sent, record that."""
    for parcel in range(1, texts // SIZE + 1):
        sent = await db.keys(parcel)
        done = db.run(f"UPDATE parcel SET state = 'done', watermark = {SIZE} WHERE id = {parcel}")
        await db.transaction(db.insert(SUBMISSION, submissions(sent)), done)


async def report(db: Sqlite | Postgres, texts: int) -> None:
    """Receipts, a parcel's worth per transaction."""
    for parcel in range(1, texts // SIZE + 1):
        keys = [parcel << 10 | at for at in range(SIZE)]
        await db.transaction(db.insert(RECEIPT, receipts(keys)))


async def whole(db: Sqlite | Postgres, texts: int) -> None:
    """All three, one after another."""
    await queue(db, texts)
    await dispatch(db, texts)
    await report(db, texts)


Stage = Callable[[Any, int], Awaitable[None]]
STAGES: dict[str, dict[str, Stage]] = {
    "stages": {"queue": queue, "dispatch": dispatch, "receipts": report},
    "whole": {"whole": whole},
}


async def timed(stages: Mapping[str, Stage], database: Any, texts: int) -> dict[str, float]:
    """Texts a second of each stage, processor ms per 1,000 texts of all, and the peak of this process in MB."""
    found, before = {}, time.process_time()
    for name, stage in stages.items():
        started = time.perf_counter()
        await stage(database, texts)
        found[name] = texts / (time.perf_counter() - started)
    found["cpu_ms"] = (time.process_time() - before) / texts * 1e6
    found["peak_mb"] = peak_mb()
    return found


def peak_mb() -> float:
    """Of this process alone: `ru_maxrss` would begin with what the parent had when it started us."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


async def measure(kind: str, url: str, texts: int) -> dict[str, float]:
    """One measurement over an empty, migrated database."""
    database = await connect(url)
    found = await timed(STAGES[kind], database, texts)
    await database.close()
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
