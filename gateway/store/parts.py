"""SQL of long texts that come in parts, in any order, through any of an account's links.

Policy
- A part is stored before it is acknowledged; the transaction that stores the last one stores the whole text.
- Parts belong together by account, number, the sender's reference and the number of parts. References are small and
  wrap: what is older than `KEPT` belongs to nothing any more.
- A part that comes twice is known by its place and its words, also after the whole was put together.
- What is not whole in time is kept as it is, with a mark where a part is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select, update

from gateway.store import bulk
from gateway.store.inbound import Arrived, digest, hold_number
from gateway.store.tables import inbound_part
from gateway.store.types import sealed
from gateway.words import of_halves

KEPT = timedelta(hours=24)
MISSING = "〔缺第{}段〕"
LONGEST = 255
"""More parts than that no header can name."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part; `number` counts from 1."""

    arrived: Arrived
    ref: int
    total: int
    number: int

    @property
    def sound(self) -> bool:
        """Whether it can be a part of anything."""
        return 1 < self.total <= LONGEST and 1 <= self.number <= self.total


def keep(db: Connection, source: str, parts: Sequence[Part], now: datetime) -> list[Arrived]:
    """Store parts; the texts that are whole with them."""
    whole = []
    for part in parts:
        hold_number(db, part.arrived.phone)
        siblings = _siblings(db, source, part, now)
        if any(one.number == part.number and one.body == part.arrived.body for one in siblings):
            continue
        _add(db, source, part, now)
        waiting = [one for one in _siblings(db, source, part, now) if not one.used]
        if len({one.number for one in waiting}) == part.total:
            whole.append(_together(db, waiting))
    return whole


def overdue(db: Connection, before: datetime, limit: int) -> list[tuple[str, Arrived]]:
    """Texts whose oldest part came before that and that are not whole, by source; they count as put together."""
    c = inbound_part.c
    late = select(inbound_part).where(~c.used, c.stored_at < before).order_by(c.id).limit(limit)
    found: list[tuple[str, Arrived]] = []
    done: set[int] = set()
    for row in db.execute(late).all():
        if row.id not in done:
            waiting = [one for one in _alike(db, row.source, row.phone, row.ref, row.total) if not one.used]
            done |= {one.id for one in waiting}
            found.append((row.source, _together(db, waiting)))
    return found


def any_overdue(db: Connection, before: datetime) -> bool:
    """Whether a part waits since before that."""
    c = inbound_part.c
    return db.execute(select(c.id).where(~c.used, c.stored_at < before).limit(1)).one_or_none() is not None


def forget(db: Connection, now: datetime) -> None:
    """Parts that were put together and can come again no more."""
    db.execute(delete(inbound_part).where(inbound_part.c.used, inbound_part.c.stored_at < now - KEPT))


def _siblings(db: Connection, source: str, part: Part, now: datetime) -> list[Any]:
    found = _alike(db, source, part.arrived.phone, part.ref, part.total)
    return [one for one in found if one.stored_at > now - KEPT]


def _alike(db: Connection, source: str, phone: str, ref: int, total: int) -> list[Any]:
    c = inbound_part.c
    same = select(inbound_part).where(c.phone == sealed(phone), c.source == source, c.ref == ref, c.total == total)
    return list(db.execute(same.order_by(c.number, c.id)).all())


def _add(db: Connection, source: str, part: Part, now: datetime) -> None:
    one = part.arrived
    values = {"source": source, "phone": one.phone, "to": one.to, "ref": part.ref, "total": part.total}
    values |= {"number": part.number, "body": one.body, "own_ref": one.ref, "received_at": one.at, "stored_at": now}
    bulk.insert_one(db, inbound_part, **values)


def _together(db: Connection, rows: Sequence[Any]) -> Arrived:
    """The text that these parts make, which are used up by it; the first of each place counts."""
    db.execute(update(inbound_part).where(inbound_part.c.id.in_([one.id for one in rows])).values(used=True))
    by_place = {one.number: one for one in reversed(rows)}
    first = rows[0]
    body = of_halves("".join(_words(by_place, first.total)))
    ref = next((f"{one.own_ref}+" for one in rows if one.own_ref), "")
    return Arrived(
        ref=ref,
        phone=first.phone,
        to=first.to,
        body=body,
        digest=digest(first.phone, body),
        at=min(one.received_at for one in rows),
    )


def _words(by_place: dict[int, Any], total: int) -> Iterable[str]:
    for place in range(1, total + 1):
        yield by_place[place].body if place in by_place else MISSING.format(place)
