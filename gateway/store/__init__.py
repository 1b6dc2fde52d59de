"""The only SQL. One `Store` over SQLite (the default) or PostgreSQL (by URL).

Policy
- A verb hands a plain function over a SQLAlchemy `Connection` to `Store.write` or `Store.read`; the function is one
  transaction, holds all its SQL and awaits nothing. So no transaction can span a network call.
- Writes are serial on SQLite (see `engine.Writer`) and concurrent on PostgreSQL, where a deadlock or a lost
  serialization is tried again; a function may therefore run more than once and must have no effect but its SQL.
- When `write` returns the rows are on the disk (synchronous=FULL, or PostgreSQL's commit). When it raises nothing is.
- Hot-path rows go through `bulk`, never through the ORM and never one transaction per text.
"""

from __future__ import annotations

from sqlalchemy import Connection

from gateway.store.engine import DATABASE_ERRORS, REFUSED_ROWS, Job, Store, open_store

__all__ = ["DATABASE_ERRORS", "REFUSED_ROWS", "Connection", "Job", "Store", "open_store"]
