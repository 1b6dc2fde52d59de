"""A store that does its work on the spot, in memory: hundreds of conversations in seconds.

The tables, the SQL and the transactions are those of every other store; only the threads and the disk are left out,
which other tests are about.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import StaticPool

from gateway.store import Store


class InlineStore(Store):
    """One connection, so that statements are compiled once; `renew` makes it a copy of the migrated file `template`."""

    def __init__(self, template: Path) -> None:
        super().__init__(create_async_engine("sqlite+aiosqlite://"), None, None)
        self._template = template
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._here = create_engine("sqlite://", creator=lambda: self._connection, poolclass=StaticPool)
        event.listen(self._here, "begin", lambda db: db.exec_driver_sql("BEGIN"))

    def renew(self) -> None:
        """Throw away what is in it."""
        with contextlib.closing(sqlite3.connect(self._template)) as source:
            source.backup(self._connection)
        self._connection.execute("PRAGMA foreign_keys=ON")

    async def read(self, job: Any, *args: Any, **kwargs: Any) -> Any:
        return await self.write(job, *args, **kwargs)

    async def write(self, job: Any, *args: Any, **kwargs: Any) -> Any:
        with self._here.begin() as connection:
            return job(connection, *args, **kwargs)

    def end(self) -> None:
        self._here.dispose()
        self._connection.close()
