"""gateway.store.engine: what is promised of a transaction, on both databases and when the disk is full."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Connection, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from gateway.store import DATABASE_ERRORS, Store, open_store
from gateway.store.tables import case_count, prompt

DAY = date(2026, 3, 2)


def add(db: Connection, n: int) -> int:
    db.execute(insert(case_count).values(day=date.fromordinal(DAY.toordinal() + n), last=n))
    return n


def increase(db: Connection) -> None:
    db.execute(update(case_count).where(case_count.c.day == DAY).values(last=case_count.c.last + 1))


def numbers(db: Connection) -> list[int]:
    return list(db.execute(select(case_count.c.last).order_by(case_count.c.last)).scalars())


class Gate:
    """Keeps SQLite's writer busy, so that what is written meanwhile becomes one group."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open = threading.Event()

    async def __aenter__(self) -> None:
        self._busy = asyncio.create_task(self._store.write(lambda _db: self._open.wait(5)))
        await asyncio.sleep(0.02)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0.02)
        self._open.set()
        await self._busy


async def test_many_at_once_are_all_stored(store: Store) -> None:
    assert await asyncio.gather(*(store.write(add, n) for n in range(150))) == list(range(150))
    assert await store.read(numbers) == list(range(150))


async def test_no_change_is_lost_between_writers(store: Store) -> None:
    await store.write(add, 0)
    await asyncio.gather(*(store.write(increase) for _ in range(60)))
    assert await store.read(numbers) == [60]


async def test_when_write_returns_another_connection_sees_it(store: Store, url: str) -> None:
    for n in range(5):
        await store.write(add, n)
        assert await seen_from_outside(url) == n + 1


async def seen_from_outside(url: str) -> int:
    if url.startswith("sqlite"):
        outside = sqlite3.connect(url.removeprefix("sqlite:///"))
        found = outside.execute("SELECT count(*) FROM case_count").fetchone()[0]
        outside.close()
        return int(found)
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    found = await connection.fetchval("SELECT count(*) FROM case_count")
    await connection.close()
    return int(found)


async def test_what_raises_stores_nothing(store: Store) -> None:
    def half(db: Connection) -> None:
        add(db, 1)
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        await store.write(half)
    with pytest.raises(IntegrityError):
        await asyncio.gather(store.write(add, 2), store.write(add, 2))
    assert await store.read(numbers) == [2]


async def test_readers_cannot_write(store: Store) -> None:
    with pytest.raises(DBAPIError):
        await store.read(add, 1)
    assert await store.read(numbers) == []
    await store.write(add, 1)
    assert await store.read(numbers) == [1]


async def test_a_reader_sees_one_snapshot(store: Store, url: str) -> None:
    def twice(db: Connection) -> tuple[list[int], list[int]]:
        before = numbers(db)
        looked.set()
        pause = "SELECT pg_sleep(0.2)" if not store.is_sqlite else None
        if pause:
            db.execute(text(pause))
        else:
            db.execute(text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 800000) "
                            "SELECT count(*) FROM n"))  # fmt: skip
        return before, numbers(db)

    looked = asyncio.Event()
    reading = asyncio.create_task(store.read(twice))
    await looked.wait()
    await store.write(add, 1)
    assert not reading.done()
    assert await reading == ([], [])


async def test_a_caller_that_gives_up_harms_nobody(store: Store) -> None:
    for n in range(40):
        giving_up = asyncio.create_task(store.write(add, n))
        await asyncio.sleep(0.0002 * (n % 10))
        giving_up.cancel()
    await asyncio.wait_for(store.write(add, 100), 5)
    assert (await store.read(numbers))[-1] == 100


async def test_closing_finishes_what_was_handed_over(store: Store, url: str) -> None:
    writing = [asyncio.create_task(store.write(add, n)) for n in range(20)]
    await asyncio.sleep(0)
    if store.is_sqlite:
        await store.close()
    await asyncio.gather(*writing)
    assert await seen_from_outside(url) == 20


# -- SQLite ----------------------------------------------------------------------------------------------------


async def test_what_waits_shares_one_commit(sqlite_store: Store) -> None:
    async with Gate(sqlite_store):
        writing = [asyncio.create_task(sqlite_store.write(lambda db: db.get_transaction())) for _ in range(20)]
    transactions = await asyncio.gather(*writing)
    assert transactions[0] is not None and all(each is transactions[0] for each in transactions)


async def test_a_job_that_fails_takes_no_other_of_its_group_along(sqlite_store: Store) -> None:
    def fails(db: Connection) -> None:
        add(db, 99)
        raise RuntimeError("mine alone")

    async with Gate(sqlite_store):
        jobs = [sqlite_store.write(add, 1), sqlite_store.write(fails), sqlite_store.write(add, 2)]
        writing = [asyncio.create_task(job) for job in (*jobs, sqlite_store.write(add, 1))]
    first, failed, second, again = await asyncio.gather(*writing, return_exceptions=True)
    assert (first, second) == (1, 2)
    assert isinstance(failed, RuntimeError) and isinstance(again, IntegrityError)
    assert await sqlite_store.read(numbers) == [1, 2]


async def test_a_full_disk_fails_the_whole_group_and_stores_none_of_it(sqlite_store: Store) -> None:
    def fill(db: Connection) -> None:
        db.execute(text("INSERT INTO fault VALUES ('big', :big, '', 0)"), {"big": "雨" * 200_000})

    def pages(db: Connection, most: int) -> int:
        return int(db.execute(text(f"PRAGMA max_page_count={most}")).scalar_one())

    size = await sqlite_store.read(lambda db: db.execute(text("PRAGMA page_count")).scalar_one())
    assert await sqlite_store.write(pages, size + 5) == size + 5
    async with Gate(sqlite_store):
        jobs = (lambda db: add(db, 1), fill, lambda db: add(db, 2))
        writing = [asyncio.create_task(sqlite_store.write(job)) for job in jobs]
    for error in await asyncio.gather(*writing, return_exceptions=True):
        assert isinstance(error, OperationalError) and "full" in str(error)
    assert await sqlite_store.read(numbers) == []
    with pytest.raises(DATABASE_ERRORS):
        await sqlite_store.write(fill)
    await sqlite_store.write(pages, size + 5000)
    await sqlite_store.write(fill)
    await sqlite_store.write(add, 2)
    assert await sqlite_store.read(numbers) == [2]


async def test_when_the_whole_transaction_is_undone_all_of_the_group_fail(sqlite_store: Store) -> None:
    def undone(db: Connection) -> None:
        db.connection.driver_connection.execute("ROLLBACK")  # as SQLite does by itself when the disk fails it
        raise OSError("disk")

    async with Gate(sqlite_store):
        jobs = (lambda db: add(db, 1), undone, lambda db: add(db, 2))
        writing = [asyncio.create_task(sqlite_store.write(job)) for job in jobs]
    assert all(isinstance(each, Exception) for each in await asyncio.gather(*writing, return_exceptions=True))
    assert await sqlite_store.read(numbers) == []
    assert await sqlite_store.write(add, 3) == 3


async def test_another_process_that_writes_is_waited_for(sqlite_store: Store, sqlite_url: str) -> None:
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(sqlite_store.write(add, 1))
    await asyncio.sleep(0.1)
    assert not writing.done() and await sqlite_store.read(numbers) == []
    other.execute("ROLLBACK")
    other.close()
    assert await writing == 1


async def test_a_file_that_cannot_be_opened_fails_each_write_and_no_later_one(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    path.mkdir()
    store = open_store(f"sqlite:///{path}")
    for _ in range(2):
        with pytest.raises(OperationalError, match="unable to open"):
            await store.write(add, 1)
    path.rmdir()
    assert await store.write(lambda db: db.execute(text("SELECT 1")).scalar_one()) == 1
    await store.close()


async def test_the_file_is_safe_against_a_power_cut(sqlite_store: Store) -> None:
    def settings(db: Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [db.execute(text(f"PRAGMA {name}")).scalar_one() for name in names]

    assert await sqlite_store.write(settings) == ["wal", 2, 1]


# -- PostgreSQL ------------------------------------------------------------------------------------------------


async def test_of_two_in_a_deadlock_both_are_done(postgres_store: Store) -> None:
    def crosswise(db: Connection, first: int, second: int) -> None:
        db.execute(text("SET LOCAL deadlock_timeout = '20ms'"))
        for n in (first, second):
            mine = case_count.c.day == date.fromordinal(DAY.toordinal() + n)
            db.execute(update(case_count).where(mine).values(last=case_count.c.last + 10))
            db.execute(select(func.pg_sleep(0.1)))

    await asyncio.gather(*(postgres_store.write(add, n) for n in (0, 1)))
    await asyncio.gather(postgres_store.write(crosswise, 0, 1), postgres_store.write(crosswise, 1, 0))
    assert await postgres_store.read(numbers) == [20, 21]


async def test_a_frozen_process_does_not_keep_its_locks(postgres_store: Store) -> None:
    await postgres_store.write(add, 0)
    async with postgres_store.engine.connect() as frozen:
        await frozen.execute(select(case_count).with_for_update())
        await asyncio.wait_for(postgres_store.write(increase), 3)
        await frozen.invalidate()
    assert await postgres_store.read(numbers) == [1]


@pytest.mark.parametrize("url", ["mysql://here/gateway", "postgresql+psycopg://here/gateway", "postgresql://here/x"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="postgresql\\+asyncpg"):
        open_store(url)


async def test_an_error_shows_no_numbers(store: Store) -> None:
    values = {"phone": "+8613800130001", "kind": None}
    with pytest.raises(IntegrityError) as caught:
        await store.write(lambda db: db.execute(insert(prompt).values(**values)))
    assert "parameters hidden" in str(caught.value)


async def test_no_free_connection_is_the_databases_error(postgres_store: Store, monkeypatch: Any) -> None:
    monkeypatch.setattr(postgres_store.engine.sync_engine.pool, "_timeout", 0.05)
    async with contextlib.AsyncExitStack() as busy:
        for _ in range(16):
            await busy.enter_async_context(postgres_store.engine.connect())
        with pytest.raises(DATABASE_ERRORS):
            await postgres_store.write(numbers)
