"""SQL of officials: who works with the gateway, with hashed passwords and roles."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select, update

from gateway.store.tables import official


def add(db: Connection, **values: Any) -> None:
    """Insert one official; an IntegrityError when the login is taken."""
    db.execute(insert(official).values(**values))


def get(db: Connection, login: str) -> Any:
    """The official's row, or None."""
    return db.execute(select(official).where(official.c.login == login)).one_or_none()


def change(db: Connection, login: str, **values: Any) -> bool:
    """Change columns of one official; False when there is none."""
    return db.execute(update(official).where(official.c.login == login).values(**values)).rowcount == 1


def everybody(db: Connection) -> list[Any]:
    """All officials by login."""
    return list(db.execute(select(official).order_by(official.c.login)).all())
