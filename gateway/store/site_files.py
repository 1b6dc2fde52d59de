"""SQL of the site's files as they were loaded: what broadcasts, case events and points cite.

A file is kept once per content, so that a replay uses the wording and the calendar of the day.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, and_, select

from gateway.store import bulk
from gateway.store.tables import site_file


class SiteFile(NamedTuple):
    """One version of one file."""

    id: int
    name: str
    sha256: str
    content: str
    loaded_at: datetime


def keep(db: Connection, name: str, content: str, now: datetime) -> int:
    """The id of this content of this file, kept if it is new."""
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    bulk.insert(db, site_file, ("name", "sha256", "content", "loaded_at"), [(name, sha256, content, now)], ignore=True)
    mine = and_(site_file.c.name == name, site_file.c.sha256 == sha256)
    return int(db.execute(select(site_file.c.id).where(mine)).scalar_one())


def get(db: Connection, file_id: int) -> SiteFile | None:
    """A version by its id."""
    row = db.execute(select(site_file).where(site_file.c.id == file_id)).one_or_none()
    return SiteFile(row.id, row.name, row.sha256, row.content, row.loaded_at) if row else None
