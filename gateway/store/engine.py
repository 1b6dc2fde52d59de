"""How a transaction reaches the database: one writer thread on SQLite, a pool on PostgreSQL.

SQLite admits one writer. Rather than let coroutines queue for its lock, one thread per process owns the only writing
connection and takes whatever waits whenever its last commit ends (group commit without a timer): many small jobs share
one fsync, and a lone job waits for nobody. Each job of a group has a savepoint, so that one that fails takes no other
along. Between processes BEGIN IMMEDIATE and a busy timeout keep order.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

P = ParamSpec("P")
T = TypeVar("T")
Job = Callable[Concatenate[Connection, P], T]

DATABASE_ERRORS = (DBAPIError, OSError, TimeoutError, PoolExhausted)
"""What `read` and `write` raise when the database is locked, full, restarting, away or has no connection left."""

REFUSED_ROWS = (IntegrityError, DataError)
"""Those of them that say the same however often one tries."""

BUSY_SECONDS = 10.0
CONNECT_SECONDS = 10.0
STATEMENT_SECONDS = 60.0
"""A statement of ours takes milliseconds; one that takes this long has lost its database."""

GROUP_JOBS = 64
RETRIES = 6
RETRIED_SQLSTATES = frozenset({"40001", "40P01"})  # serialization failure, deadlock

_SNAPSHOT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}

_PRAGMAS = (
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA cache_size=-65536",
    "PRAGMA temp_store=MEMORY",
)


class Writer:
    """The thread that owns SQLite's writing connection; see the module's docstring."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._jobs: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[Connection], T]) -> Future[T]:
        """Queue one job; its future ends when the group's commit has."""
        work = _Work(job)
        self._jobs.put(work)
        return work.future

    def close(self) -> None:
        """Finish what waits, then end the thread."""
        self._jobs.put(None)
        self._thread.join()
        self._engine.dispose()

    def _run(self) -> None:
        while (waiting := self._next_group()) is not None:
            # From here on a caller that gives up cancels nothing, so that the futures can be ended safely.
            group = [work for work in waiting if work.future.set_running_or_notify_cancel()]
            self._commit(group)
            for work in group:
                work.tell()

    def _commit(self, group: list[_Work]) -> None:
        try:
            with self._engine.connect() as connection, connection.begin():
                for work in group:
                    _run_one(connection, work, alone=len(group) == 1)
        except BaseException as error:
            for work in group:
                work.error = work.error or error

    def _next_group(self) -> list[_Work] | None:
        first = self._jobs.get()
        if first is None:
            return None
        group = [first]
        while len(group) < GROUP_JOBS:
            try:
                work = self._jobs.get_nowait()
            except queue.Empty:
                break
            if work is None:
                self._jobs.put(None)
                break
            group.append(work)
        return group


class _Work:
    __slots__ = ("error", "future", "job", "result")

    def __init__(self, job: Callable[[Connection], Any]) -> None:
        self.job = job
        self.future: Future[Any] = Future()
        self.result: Any = None
        self.error: BaseException | None = None

    def tell(self) -> None:
        """End the future, once the group's transaction has ended."""
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


def _run_one(connection: Connection, work: _Work, *, alone: bool) -> None:
    if alone:
        work.result = work.job(connection)
        return
    savepoint = connection.begin_nested()
    try:
        work.result = work.job(connection)
    except Exception as error:
        # A full disk ends the whole transaction and not the savepoint alone; then nobody's rows are safe.
        if not connection.connection.in_transaction:
            raise
        savepoint.rollback()
        work.error = error
    else:
        savepoint.commit()


class Store:
    """The database of one site. Open it with `open_store`; close it when done."""

    def __init__(self, engine: AsyncEngine, writer: Writer | None, path: Path | None) -> None:
        self.engine = engine
        self.path = path
        self._writer = writer
        self._reading = engine if writer else engine.execution_options(**_SNAPSHOT)

    @property
    def is_sqlite(self) -> bool:
        """Whether one process at a time may dispatch (a lock file), or accounts are held by epoch alone."""
        return self._writer is not None

    async def read(self, job: Job[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `job(connection, ...)` on a reader; it sees one snapshot and it cannot write."""
        async with self._reading.connect() as connection:
            return await connection.run_sync(job, *args, **kwargs)

    async def write(self, job: Job[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `job(connection, ...)` as one transaction; when this returns it is on the disk."""
        if self._writer is not None:
            return await asyncio.wrap_future(self._writer.submit(lambda db: job(db, *args, **kwargs)))
        for attempt in range(RETRIES):
            try:
                async with self.engine.begin() as connection:
                    return await connection.run_sync(job, *args, **kwargs)
            except DBAPIError as error:
                if attempt == RETRIES - 1 or not _may_retry(error):
                    raise
                await asyncio.sleep(0.01 * 2**attempt)
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Finish what was handed to `write`, then close every connection."""
        if self._writer is not None:
            await asyncio.to_thread(self._writer.close)
        await self.engine.dispose()


def _may_retry(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) in RETRIED_SQLSTATES


def open_store(url: str) -> Store:
    """Open (never create tables; see `migrations.upgrade`) the database at a SQLAlchemy URL.

    `sqlite:///relative/or/absolute/path` or `postgresql+asyncpg://...`; any other dialect is a ValueError.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(Path(parsed.database or ""))
    if parsed.drivername != "postgresql+asyncpg":
        raise ValueError("store url must be sqlite:///PATH or postgresql+asyncpg://...")
    engine = create_async_engine(
        parsed,
        pool_size=8,
        max_overflow=8,
        pool_pre_ping=True,
        hide_parameters=True,  # numbers and texts, in every error that is logged
        connect_args={
            "timeout": CONNECT_SECONDS,
            "command_timeout": STATEMENT_SECONDS,
            # A frozen process must not keep an account's row locked: its transaction ends by itself.
            "server_settings": {"idle_in_transaction_session_timeout": "1000", "timezone": "UTC"},
        },
    )
    return Store(engine, None, None)


def _open_sqlite(path: Path) -> Store:
    path.parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}, "hide_parameters": True}
    writing = create_engine(f"sqlite:///{path}", **options)
    event.listen(writing, "connect", _prepare)
    event.listen(writing, "begin", _begin_immediate)
    reading = create_async_engine(f"sqlite+aiosqlite:///{path}", **options)
    event.listen(reading.sync_engine, "connect", _prepare_reader)
    event.listen(reading.sync_engine, "begin", lambda db: db.exec_driver_sql("BEGIN"))
    return Store(reading, Writer(writing), path)


def enter_wal(connection: sqlite3.Connection, patience: float = BUSY_SECONDS) -> None:
    """Write-ahead logging; the busy timeout does not hold for this one statement, so the wait for others is ours."""
    until = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() >= until:
                raise
            time.sleep(0.02)


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    enter_wal(connection)
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _prepare_reader(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (*_PRAGMAS, "PRAGMA query_only=ON"):
        # Before the writer's first connection the file may be new and busy; its settings are the file's own then.
        with contextlib.suppress(sqlite3.OperationalError):
            cursor.execute(pragma)
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
