"""Bringing a database to the tables this program was written for.

Policy
- `upgrade` is the only thing that creates or changes tables. It runs in one transaction behind the database's own lock:
  two processes that start at once upgrade one after the other, and a failed step leaves the database as it was.
- Every start asks `is_current`, one query, so alembic is imported only where something is to be done.
- A script says what the columns are on disk (BIGINT, TEXT), never what `tables.py` calls them today; a test holds the
  two together on both databases. `draft` writes the body of the next script; it is read by a person before it is kept.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection, MetaData, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from gateway.store.engine import enter_wal

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext

HEAD = "0001"
"""The newest script under versions/."""

_LOCK = 0x67617465  # any number that all nodes of a site agree on
_BUSY_SECONDS = 60.0


def is_current(connection: Connection) -> bool:
    """Whether the database has the tables of this program; False for an empty, an older and a newer one."""
    if not inspect(connection).has_table("alembic_version"):
        return False
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == [HEAD]


def is_empty(connection: Connection) -> bool:
    """Whether nobody has made any table in this database yet."""
    return not inspect(connection).get_table_names()


def upgrade(url: str) -> None:
    """Create the tables at a store's URL or bring them to `HEAD`; does nothing when they are there.

    Blocks: from a running event loop call it through `asyncio.to_thread`.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        _upgrade_sqlite(Path(parsed.database or ""))
    else:
        asyncio.run(_upgrade_postgresql(parsed))


def draft(connection: Connection, wanted: MetaData) -> str:
    """Python for the `upgrade()` that takes this database to `wanted`; the types as they lie on the disk."""
    from alembic.autogenerate import produce_migrations, render_python_code
    from alembic.runtime.migration import MigrationContext

    migrations = produce_migrations(MigrationContext.configure(connection), wanted)
    if migrations.upgrade_ops is None:
        return ""
    return render_python_code(migrations.upgrade_ops, render_item=_on_disk)


def _on_disk(kind: str, item: Any, _context: object) -> str | Literal[False]:
    if kind == "type" and type(item).__module__ == "gateway.store.types":
        return f"sa.{type(item.impl).__name__}()"
    return False


def _upgrade_sqlite(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _leave_transactions_to_us)
    event.listen(engine, "begin", lambda db: db.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        with engine.begin() as connection:
            _run(connection)
    finally:
        engine.dispose()


def _leave_transactions_to_us(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    enter_wal(connection, _BUSY_SECONDS)


async def _upgrade_postgresql(url: URL) -> None:
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            await connection.run_sync(_run)
    finally:
        await engine.dispose()


def _run(connection: Connection) -> None:
    if is_current(connection):
        return
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(__file__).parent))

    def steps(revision: Any, _context: MigrationContext) -> list[Any]:
        return scripts._upgrade_revs("head", revision)

    with EnvironmentContext(Config(), scripts, fn=steps) as environment:
        environment.configure(connection=connection, transactional_ddl=True)
        environment.run_migrations()
