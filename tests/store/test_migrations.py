"""gateway.store.migrations: the scripts and `tables.py` say the same, on both databases."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from gateway.store import Store, migrations, open_store
from gateway.store.migrations import draft, is_current, upgrade
from gateway.store.tables import metadata

SQLITE_SHAPE = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE '%alembic_version%'"
POSTGRESQL_SHAPE = (
    "SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity, numeric_precision,"
    " numeric_scale FROM information_schema.columns WHERE table_schema = current_schema()"
    " AND table_name <> 'alembic_version'",
    "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename <> 'alembic_version'",
    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = current_schema()::regnamespace"
    " AND conname NOT LIKE 'alembic_version%'",
)


@pytest.fixture(params=["sqlite_url", "own_postgres_url"])
def url(request: pytest.FixtureRequest) -> str:
    """A database whose tables may be changed."""
    address: str = request.getfixturevalue(request.param)
    return address


def shape(db: Connection) -> set[tuple[object, ...]]:
    """Every table, column, index and constraint as the database itself tells them."""
    statements = (SQLITE_SHAPE,) if db.dialect.name == "sqlite" else POSTGRESQL_SHAPE
    rows = {tuple(row) for statement in statements for row in db.execute(text(statement))}
    return {tuple("".join(cell.split()) if isinstance(cell, str) else cell for cell in row) for row in rows}


def recreate(db: Connection) -> None:
    metadata.drop_all(db)
    metadata.create_all(db)


async def test_the_scripts_make_the_tables_and_indexes_of_the_metadata(store: Store) -> None:
    migrated = await store.read(shape)
    await store.write(recreate)
    assert migrated == await store.read(shape)
    assert len(migrated) > len(metadata.tables)


async def test_alembic_sees_no_difference(store: Store) -> None:
    assert await store.read(lambda db: compare_metadata(MigrationContext.configure(db), metadata)) == []


async def test_a_difference_would_be_drafted(store: Store) -> None:
    await store.write(lambda db: db.execute(text("DROP INDEX ix_parcel_ready")))
    await store.write(lambda db: db.execute(text("ALTER TABLE person DROP COLUMN updated_at")))
    body = await store.read(draft, metadata)
    assert "op.create_index(op.f('ix_parcel_ready')" in body or "op.create_index('ix_parcel_ready'" in body
    assert "op.add_column('person', sa.Column('updated_at', sa.BigInteger()" in body
    assert "drop" not in body


async def test_a_migrated_database_is_current_and_upgrading_it_again_changes_nothing(store: Store, url: str) -> None:
    assert await store.read(is_current)
    before = await store.read(shape)
    await asyncio.to_thread(upgrade, url)
    assert await store.read(shape) == before


@pytest.mark.parametrize("version", ["0000", "9999", None])
async def test_another_version_or_none_is_not_current(store: Store, version: str | None) -> None:
    await store.write(lambda db: db.execute(text("DELETE FROM alembic_version")))
    if version is not None:
        await store.write(lambda db: db.execute(text("INSERT INTO alembic_version VALUES (:v)"), {"v": version}))
    assert not await store.read(is_current)


async def test_an_empty_file_is_not_current(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'new' / 'gateway.db'}")
    assert not await store.write(is_current)
    await store.close()


async def test_a_step_that_fails_leaves_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    store = open_store(url)
    await store.write(lambda db: db.execute(text("CREATE TABLE receipt (id INTEGER)")))
    with pytest.raises(Exception, match="already exists"):
        await asyncio.to_thread(upgrade, url)
    assert {row[1] for row in await store.read(shape)} == {"receipt"}
    await store.close()


async def test_two_processes_that_start_at_once_upgrade_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    await asyncio.gather(*(asyncio.to_thread(upgrade, url) for _ in range(3)))
    store = open_store(url)
    assert await store.read(is_current)
    await store.close()


def test_head_is_the_newest_script() -> None:
    assert ScriptDirectory(str(Path(migrations.__file__).parent)).get_current_head() == migrations.HEAD


def test_asking_whether_all_is_current_does_not_import_alembic() -> None:
    asked = "import sys, gateway.store.migrations; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0
