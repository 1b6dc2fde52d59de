"""SQL of the audit trail: one row per change, chained by hash within its day and from day to day.

Policy
- A verb appends its row in its own transaction; what was not audited did not happen, and the other way round.
- Each row's hash covers the row and the hash before it, a day's first row the head of the day before; the day's head is
  kept apart with the number of rows. So a row or a day that was changed, moved or removed shows in `verify`. Who may
  write to the database can cut off the newest days together with their heads; keep the heads elsewhere against that.
- Days follow UTC and never go back: while a clock is behind, rows join the newest day.
- `what` never holds a whole number or a secret: callers mask.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from gateway.store import bulk
from gateway.store.tables import audit, audit_day
from gateway.store.types import to_millis

START = "0" * 64


def append(db: Connection, at: datetime, who: str, verb: str, about: str, what: Mapping[str, Any]) -> None:
    """Add one row: `who` did `verb` to `about` ("broadcast 12"); `what` changed, as JSON values."""
    head = _head(db, at.date())
    day = head.day
    values = {"day": day, "seq": head.rows + 1, "at": at, "who": who, "verb": verb, "object": about, "what": dict(what)}
    hashed = _hash(head.head, values)
    db.execute(insert(audit).values(**values, previous=head.head, hash=hashed))
    db.execute(update(audit_day).where(audit_day.c.day == day).values(rows=head.rows + 1, head=hashed))


def _head(db: Connection, today: date) -> Any:
    """The newest day's head, locked: rows are chained one after another. A new day begins where the last one ended."""
    newest = select(audit_day).order_by(audit_day.c.day.desc()).limit(1).with_for_update()
    row = db.execute(newest).one_or_none()
    if row is None or row.day < today:
        start = START if row is None else row.head
        bulk.insert(db, audit_day, ("day", "rows", "head"), [(today, 0, start)], ignore=True)
        row = db.execute(newest).one()
    return row


def _hash(previous: str, values: Mapping[str, Any]) -> str:
    plain = {**values, "day": values["day"].isoformat(), "at": to_millis(values["at"])}
    text = json.dumps(plain, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Flaw:
    """A place where the chain does not hold: row `seq` of `day`, or the day's end where `seq` is None."""

    day: date
    seq: int | None
    what: str
    """changed, missing, moved or end."""


def verify(db: Connection) -> tuple[int, list[Flaw]]:
    """Walk every chain; answers the number of rows and what is wrong with them."""
    flaws: list[Flaw] = []
    rows = 0
    heads = {row.day: row for row in db.execute(select(audit_day))}
    days = set(heads) | set(db.execute(select(audit.c.day).distinct()).scalars())
    before = START
    for day in sorted(days):
        chain = db.execute(select(audit).where(audit.c.day == day).order_by(audit.c.seq)).all()
        rows += len(chain)
        flaws += _flaws(day, chain, heads.get(day), before)
        before = heads[day].head if day in heads else chain[-1].hash
    return rows, flaws


def _flaws(day: date, chain: Any, head: Any, previous: str) -> list[Flaw]:
    flaws = []
    expected = 1
    for row in chain:
        values = {name: getattr(row, name) for name in ("day", "seq", "at", "who", "verb", "object", "what")}
        if row.seq != expected:
            flaws.append(Flaw(day, row.seq, "missing"))
        elif row.previous != previous:
            flaws.append(Flaw(day, row.seq, "moved"))
        if row.hash != _hash(row.previous, values):
            flaws.append(Flaw(day, row.seq, "changed"))
        expected, previous = row.seq + 1, row.hash
    if head is None or head.rows != len(chain) or head.head != previous:
        flaws.append(Flaw(day, None, "end"))
    return flaws
