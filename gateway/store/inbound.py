"""SQL of the texts that come in: stored first, handled afterwards.

Policy
- A text is one row, unique by (source, ref), and never deleted or changed; `handled_at`, `intent`, `case_id` and
  `message_id` (the automatic answer) are set by the transaction that handles it, a second time only where it was held.
- The same reference with the same content is the operator's repeat and adds nothing. With another content it is another
  text: operators' references wrap. A caller whose references are unique (`keep_one`) is told of the conflict instead.
- Where there is no reference, the same number and text within `REPEAT_SECONDS` of the operator's time is a repeat.
- Whoever handles a number's texts, or looks for such repeats, holds the number (`hold_number`): texts of one number are
  handled one after another, by however many processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, exists, func, select, update
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError

from gateway.errors import Conflict
from gateway.model import Outcome, home_parcel
from gateway.store import bulk
from gateway.store.parcels import home_of
from gateway.store.tables import inbound, message, parcel, prompt, submission
from gateway.store.types import sealed, to_millis

COLUMNS = ("source", "ref", "phone", "to", "body", "digest", "received_at")
REPEAT_SECONDS = 5
HELD = "held"
"""The intent of a text that waits for an answer, as words.Intent has it."""
MANY = 500
"""Ids in one statement."""
ROW_ERRORS = (DataError, IntegrityError, ProgrammingError)
"""Database errors that are one text's fault and come again however often it is tried."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """One text to be stored; `ref` "" where the operator gave none, `digest` of what makes it the same text."""

    ref: str
    phone: str
    to: str
    body: str
    digest: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """A stored text that nobody has handled."""

    id: int
    source: str
    phone: str
    to: str
    body: str
    at: datetime


def digest(*parts: str) -> str:
    """SHA-256 of the parts, each with its length, so that no two lists of parts read the same."""
    hashed = hashlib.sha256()
    for part in parts:
        octets = part.encode("utf-8", "surrogatepass")
        hashed.update(f"{len(octets)}:".encode() + octets)
    return hashed.hexdigest()


def hold_number(db: Connection, phone: str) -> None:
    """Keep every other process from this number until the transaction ends; SQLite has one writer anyway."""
    if db.dialect.name == "postgresql":
        key = int.from_bytes(hashlib.sha256(sealed(phone).encode()).digest()[:8], "big", signed=True)
        db.execute(select(func.pg_advisory_xact_lock(key)))


def keep(db: Connection, source: str, texts: Sequence[Arrived]) -> int:
    """Store what is new of `texts`, in their order; answers how many were repeats."""
    for phone in sorted({one.phone for one in texts if not one.ref}):
        hold_number(db, phone)
    named = [one for one in texts if one.ref]
    known = _digests(db, source, [*(one.ref for one in named), *(_reused(one) for one in named)])
    fresh: dict[str, Arrived] = {}
    for one in texts:
        ref = _own_ref(one, known) if one.ref else _made_up_ref(db, one, fresh.values())
        if ref is not None:
            known[ref] = one.digest
            fresh[ref] = one
    bulk.insert(db, inbound, COLUMNS, [_row(source, ref, one) for ref, one in fresh.items()], ignore=True)
    _keep_what_lost_its_ref(db, source, fresh)
    return len(texts) - len(fresh)


def _row(source: str, ref: str, one: Arrived) -> bulk.Row:
    return (source, ref, one.phone, one.to, one.body, one.digest, one.at)


def _own_ref(one: Arrived, known: dict[str, str]) -> str | None:
    """The reference to store it under; None for a repeat."""
    ref = one.ref if known.get(one.ref, one.digest) == one.digest else _reused(one)
    return None if ref in known else ref


def _reused(one: Arrived) -> str:
    return f"{one.ref}#{one.digest[:16]}"


def _made_up_ref(db: Connection, one: Arrived, fresh: Iterable[Arrived]) -> str | None:
    """By the operator's time, so that a repeat that comes late makes the same one; None for a repeat."""
    span = timedelta(seconds=REPEAT_SECONDS)
    if any(other.digest == one.digest and abs(other.at - one.at) <= span for other in fresh if not other.ref):
        return None
    same = select(inbound.c.id).where(
        inbound.c.phone == sealed(one.phone),
        inbound.c.received_at.between(one.at - span, one.at + span),
        inbound.c.digest == one.digest,
    )
    repeated = db.execute(same.limit(1)).one_or_none() is not None
    return None if repeated else f"~{to_millis(one.at)}-{one.digest[:16]}"


def _keep_what_lost_its_ref(db: Connection, source: str, fresh: Mapping[str, Arrived]) -> None:
    """Another process stored another text under the same reference between our look and our insert."""
    there = _digests(db, source, list(fresh))
    lost = [one for ref, one in fresh.items() if there[ref] != one.digest]
    bulk.insert(db, inbound, COLUMNS, [_row(source, _reused(one), one) for one in lost], ignore=True)


def _digests(db: Connection, source: str, refs: Sequence[str]) -> dict[str, str]:
    if not refs:
        return {}
    query = select(inbound.c.ref, inbound.c.digest).where(inbound.c.source == source, inbound.c.ref.in_(refs))
    return {row.ref: row.digest for row in db.execute(query)}


def keep_one(db: Connection, source: str, one: Arrived) -> tuple[int, bool]:
    """Store a text under its unique reference; its id and whether it is new. Conflict where the content differs."""
    query = select(inbound.c.id, inbound.c.digest).where(inbound.c.source == source, inbound.c.ref == one.ref)
    before = db.execute(query).one_or_none()
    if before is None:
        bulk.insert(db, inbound, COLUMNS, [_row(source, one.ref, one)], ignore=True)
    row = before or db.execute(query).one()
    if row.digest != one.digest:
        raise Conflict("这个编号已收过另一条内容", "this id was used for another content")
    return row.id, before is None


_c = inbound.c
_TEXT = select(_c.id, _c.source, _c.phone, _c.to, _c.body, _c.received_at)


def fresh(db: Connection, after: int, limit: int) -> list[Waiting]:
    """Unhandled texts that were stored after the one of that id, in order."""
    query = _TEXT.where(_c.handled_at.is_(None), _c.id > after)
    return [Waiting(*row) for row in db.execute(query.order_by(_c.id).limit(limit))]


def ripe(db: Connection, before: datetime, limit: int) -> list[str]:
    """Numbers whose oldest unhandled text came by then, whoever waits longest first."""
    query = select(_c.phone).where(_c.handled_at.is_(None)).group_by(_c.phone)
    query = query.having(func.min(_c.received_at) <= before)
    return list(db.execute(query.order_by(func.min(_c.id)).limit(limit)).scalars())


def unhandled(db: Connection, phone: str, limit: int) -> list[Waiting]:
    """The oldest unhandled texts of a number; ask it holding the number."""
    query = _TEXT.where(_c.handled_at.is_(None), _c.phone == sealed(phone))
    return [Waiting(*row) for row in db.execute(query.order_by(_c.id).limit(limit))]


def if_unhandled(db: Connection, text: Waiting) -> list[Waiting]:
    """A text, if nobody has handled it; ask it holding the number."""
    query = select(_c.id).where(_c.id == text.id, _c.handled_at.is_(None))
    return [text] if db.execute(query).one_or_none() else []


def held(db: Connection, phone: str) -> list[Waiting]:
    """The texts of a number that wait for the answer to a question of ours, oldest first."""
    query = _TEXT.where(_c.intent == HELD, _c.phone == sealed(phone))
    return [Waiting(*row) for row in db.execute(query.order_by(_c.id))]


def forsaken(db: Connection, asking: Collection[str], limit: int) -> list[str]:
    """Numbers with held texts of which no question of these kinds is open any more."""
    open_prompt = exists().where(
        prompt.c.phone == _c.phone, prompt.c.ended_at.is_(None), prompt.c.kind.in_(sorted(asking))
    )
    query = select(_c.phone).where(_c.intent == HELD, ~open_prompt)
    return list(db.execute(query.distinct().limit(limit)).scalars())


def any_unhandled(db: Connection) -> bool:
    """Whether a text waits to be read."""
    return db.execute(select(_c.id).where(_c.handled_at.is_(None)).limit(1)).one_or_none() is not None


def newest(db: Connection, intents: Collection[str], limit: int) -> list[Any]:
    """The newest texts, or those of these intents: with `thanks`, `spam` and `error` those that no case shows."""
    query = select(inbound).order_by(inbound.c.id.desc()).limit(limit)
    return list(db.execute(query.where(inbound.c.intent.in_(sorted(intents))) if intents else query).all())


def mark_handled(
    db: Connection, ids: Sequence[int], at: datetime, intent: str, case_id: int | None, message_id: int | None
) -> None:
    """What was made of texts that were read as one; `message_id`, of their automatic answer, is noted with the last."""
    values = {"handled_at": at, "intent": intent, "case_id": case_id}
    for start in range(0, len(ids), MANY):
        db.execute(update(inbound).where(_c.id.in_(ids[start : start + MANY])).values(**values))
    if message_id is not None:
        db.execute(update(inbound).where(_c.id == ids[-1]).values(message_id=message_id))


@dataclass(frozen=True, slots=True)
class Answer:
    """One automatic answer that a number got."""

    intent: str
    case_id: int | None
    at: datetime


def answers_since(db: Connection, phone: str, since: datetime, limit: int) -> list[Answer]:
    """The newest automatic answers to a number, newest first."""
    c = inbound.c
    query = select(c.intent, c.case_id, c.handled_at).where(
        c.phone == sealed(phone), c.message_id.is_not(None), c.handled_at > since
    )
    return [Answer(*row) for row in db.execute(query.order_by(c.handled_at.desc(), c.id.desc()).limit(limit))]


@dataclass(frozen=True, slots=True)
class Notice:
    """A broadcast's text to a number."""

    broadcast_id: int
    category: str | None


def last_notice(db: Connection, phone: str, since: datetime, oldest: datetime) -> Notice | None:
    """The newest broadcast that left for this number since then; `oldest`: when its text may have been composed."""
    left = submission.c.outcome.in_((Outcome.ACCEPTED, Outcome.UNCERTAIN))
    query = (
        select(message.c.id)
        .join(submission, submission.c.message_id == message.c.id)
        .join(parcel, parcel.c.id == home_of(message.c.id))
        .where(
            message.c.phone == sealed(phone),
            message.c.created_at > oldest,
            left,
            submission.c.at > since,
            parcel.c.broadcast_id > 0,
        )
        .order_by(submission.c.at.desc(), message.c.id.desc())
    )
    key = db.execute(query.limit(1)).scalar_one_or_none()
    if key is None:
        return None
    row = db.execute(select(parcel.c.broadcast_id, parcel.c.category).where(parcel.c.id == home_parcel(key))).one()
    return Notice(row.broadcast_id, row.category)
