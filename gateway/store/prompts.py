"""SQL of prompts: questions the gateway asked a number and still waits on.

Policy
- Digits are bound to the last prompt sent to a number: `ask` ends the ones before it as `replaced`.
- A prompt ends once: answered, expired, replaced or withdrawn. What becomes of texts that it held (`inbound_id`) is for
  the inbox to see to, which finds them by their intent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from gateway.model import Asked
from gateway.store import bulk
from gateway.store.tables import prompt
from gateway.store.types import sealed


def ask(
    db: Connection,
    phone: str,
    kind: Asked,
    now: datetime,
    until: datetime,
    *,
    data: Mapping[str, Any] | None = None,
    case_id: int | None = None,
    inbound_id: int | None = None,
    message_id: int | None = None,
) -> Sequence[Any]:
    """Note that a question was sent; the open prompts of the number that it replaces."""
    replaced = open_of(db, phone)
    for row in replaced:
        end(db, row.id, "replaced", now)
    values = {"phone": phone, "kind": kind, "data": dict(data or {}), "case_id": case_id, "inbound_id": inbound_id}
    bulk.insert_one(db, prompt, **values, message_id=message_id, asked_at=now, until=until)
    return replaced


def open_of(db: Connection, phone: str) -> Sequence[Any]:
    """The number's open prompts, the newest first, whether or not their time is over."""
    mine = select(prompt).where(prompt.c.phone == sealed(phone), prompt.c.ended_at.is_(None))
    return list(db.execute(mine.order_by(prompt.c.id.desc())).all())


def last(db: Connection, phone: str, now: datetime) -> Any:
    """The prompt that an answer of now would belong to, or None."""
    newest = next(iter(open_of(db, phone)), None)
    return newest if newest is not None and newest.until > now else None


def overdue(db: Connection, now: datetime, limit: int) -> Sequence[Any]:
    """Open prompts whose time is over, the oldest first; whoever reads them ends them."""
    late = select(prompt).where(prompt.c.ended_at.is_(None), prompt.c.until <= now)
    return list(db.execute(late.order_by(prompt.c.until, prompt.c.id).limit(limit)).all())


def unreminded(db: Connection, kinds: Sequence[Asked], before: datetime, now: datetime, limit: int) -> Sequence[Any]:
    """Open prompts of these kinds that were asked before that and are the last of their number, the oldest first."""
    c = prompt.c
    asked = select(prompt).where(
        c.ended_at.is_(None), c.until > now, c.kind.in_(kinds), c.asked_at <= before, c.reminded_at.is_(None)
    )
    return list(db.execute(asked.order_by(c.id).limit(limit)).all())


def reminded(db: Connection, row: Any, now: datetime) -> None:
    """Note that it was asked once more; its time runs as long again."""
    until = max(row.until, now + (row.until - row.asked_at))
    db.execute(update(prompt).where(prompt.c.id == row.id).values(reminded_at=now, until=until))


def end(db: Connection, prompt_id: int, how: str, now: datetime) -> bool:
    """End an open prompt; False where it had ended already."""
    still = update(prompt).where(prompt.c.id == prompt_id, prompt.c.ended_at.is_(None))
    return db.execute(still.values(end=how, ended_at=now)).rowcount == 1


def move_of_case(db: Connection, case_id: int, phone: str) -> None:
    """What was asked about a case is asked of another number from now on."""
    about = update(prompt).where(prompt.c.case_id == case_id, prompt.c.ended_at.is_(None))
    db.execute(about.values(phone=phone))


def withdraw_of_case(db: Connection, case_id: int, now: datetime, kinds: Sequence[Asked] = ()) -> None:
    """What was asked about a case and no longer matters."""
    about = update(prompt).where(prompt.c.case_id == case_id, prompt.c.ended_at.is_(None))
    if kinds:
        about = about.where(prompt.c.kind.in_(kinds))
    db.execute(about.values(end="withdrawn", ended_at=now))
