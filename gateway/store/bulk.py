"""Rows by the hundred: one statement, no per-row objects.

SQLite takes an executemany; PostgreSQL one INSERT from arrays (`unnest`), which is nearly COPY's speed, minds conflicts
and, unlike COPY on a borrowed driver connection, always lies inside the transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Table

Row = tuple[Any, ...]


def insert(
    db: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Row], *, ignore: bool = False
) -> None:
    """Insert `rows`, tuples in the order of `columns`; with `ignore` a row whose key exists does nothing."""
    if not rows:
        return
    statement, binders = _prepared(table, columns, db.dialect.name, ignore)
    cells: list[Sequence[Any]] = list(zip(*rows, strict=True))
    for at, binder in binders:
        cells[at] = _bound(cells[at], binder)
    if db.dialect.name == "sqlite":
        db.exec_driver_sql(statement, list(zip(*cells, strict=True)))
    else:
        db.exec_driver_sql(statement, tuple(list(column) for column in cells))


def insert_one(db: Connection, table: Table, **values: Any) -> int:
    """Insert one row and answer its id."""
    key = db.execute(table.insert().values(**values)).inserted_primary_key
    assert key is not None  # noqa: S101 - both databases return it
    return int(key[0])


Binder = Callable[[Any], Any]


def _bound(values: Sequence[Any], binder: Binder) -> list[Any]:
    """A batch's moments are mostly one and the same object, which is then bound once."""
    last: Any = object()
    bound, result = None, []
    for value in values:
        if value is not last:
            last, bound = value, binder(value)
        result.append(bound)
    return result


@lru_cache(maxsize=64)
def _prepared(
    table: Table, columns: tuple[str, ...], dialect: str, ignore: bool
) -> tuple[str, tuple[tuple[int, Binder], ...]]:
    names = ", ".join(f'"{name}"' for name in columns)
    if dialect == "sqlite":
        source = f"VALUES ({', '.join('?' * len(columns))})"
    else:
        arrays = (f"${i}::{_array_of(table, name)}" for i, name in enumerate(columns, 1))
        source = f"SELECT * FROM unnest({', '.join(arrays)})"  # noqa: S608 - names of our own tables
    tail = " ON CONFLICT DO NOTHING" if ignore else ""
    binders = tuple(
        (at, binder) for at, name in enumerate(columns) if (binder := _binder(table, name, dialect)) is not None
    )
    return f'INSERT INTO "{table.name}" ({names}) {source}{tail}', binders


def _dialect(name: str) -> Dialect:
    if name == "sqlite":
        from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

        return SQLiteDialect_pysqlite()
    from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

    dialect: Dialect = PGDialect_asyncpg()  # type: ignore[no-untyped-call]
    return dialect


def _binder(table: Table, column: str, dialect: str) -> Binder | None:
    binder: Binder | None = table.c[column].type.dialect_impl(_dialect(dialect)).bind_processor(_dialect(dialect))
    return binder


def _array_of(table: Table, column: str) -> str:
    return f"{table.c[column].type.compile(_dialect('postgresql'))}[]"
