"""SQL of retention: what is too old to keep is blanked, in slices. Only this and `forget` rewrite what was recorded.

Policy
- Rows stay, so that counts and reports stay; what is personal in them goes: numbers become their masked form, names
  and bodies "", links to a person null. A body that many texts share names nobody and stays.
- A text's days begin when it was queued or last handed to an operator, whichever is later. A text that may still leave
  is never touched, however old it is: its number is needed, and approvals are bound to it.
- Unmatched receipts, signs of dead numbers, prompts and the parts of texts that were put together serve nothing once
  they are old, and are deleted. So is, of a forgotten number, the consent ledger after its days; its closed cases are
  blanked. Other cases are files of the hall and are not swept.
- Payments are kept as long as people are answered from them (`payments.ANSWERED_DAYS`), or longer where texts are.
- One call is one transaction of at most `limit` rows of each kind, so that no sweep holds up a watermark. Killed
  between two calls nothing is lost: what is blank is not found again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, delete, exists, func, select, update
from sqlalchemy.sql.elements import ColumnElement

from gateway.model import BroadcastState, CaseState, ParcelState, home_parcel
from gateway.phone import mask
from gateway.store import parts, payments, signups
from gateway.store.parcels import home_of
from gateway.store.tables import (
    broadcast,
    case,
    case_event,
    consent,
    forgotten,
    inbound,
    inbound_part,
    left_out,
    message,
    number_sign,
    parcel,
    prompt,
    receipt_unmatched,
    submission,
)
from gateway.store.types import sealed

SLICE = 1000
KINDS = (
    *("messages", "inbound", "left_out", "receipts", "prompts", "parts", "signs", "payments", "signups", "consent"),
    "cases",
)
_ENDED = (ParcelState.DONE, ParcelState.CANCELLED, ParcelState.EXPIRED)
_SETTLED = (BroadcastState.APPROVED, BroadcastState.STOPPED, BroadcastState.CANCELLED, BroadcastState.FAILED)


@dataclass(frozen=True, slots=True)
class Swept:
    """What one call did, by KINDS; `after` is where the next one goes on, `done` whether there is none to make."""

    counts: Mapping[str, int] = field(default_factory=dict)
    after: int = 0
    done: bool = False


def masked(phone: str) -> str:
    """The form in which a number stays; never without a star, by which it is known as done."""
    shown = mask(phone)
    return shown if "*" in shown else "*"


def begin(db: Connection, now: datetime, days: int) -> int:
    """Where a sweep may start: before the first text that is due. A read, so that no write has to look for it."""
    first = db.execute(_due_messages(now - timedelta(days=days), 0, 1)).first()
    return int(first.id) - 1 if first else 1 << 62


def sweep(
    db: Connection,
    now: datetime,
    texts_days: int,
    receipts_days: int | None = None,
    limit: int = SLICE,
    after: int = 0,
) -> Swept:
    """Blank up to `limit` rows of each kind older than their days; go on from the answer's `after` until `done`."""
    texts = now - timedelta(days=texts_days)
    receipts = now - timedelta(days=receipts_days or texts_days)
    found = _without_pending(db, db.execute(_due_messages(texts, after, limit)).all())
    blank_messages(db, found.blank)
    counts = {
        "messages": len(found.blank),
        "inbound": _sweep_inbound(db, texts, limit),
        "parts": _delete_old(db, inbound_part.c.stored_at, now - parts.KEPT, limit, inbound_part.c.used),
        "left_out": _sweep_left_out(db, texts, limit),
        "receipts": _delete_old(db, receipt_unmatched.c.parked_at, receipts, limit),
        "prompts": _delete_old(db, prompt.c.until, texts, limit),
        "signs": _delete_old(db, number_sign.c.at, texts, limit),
        "payments": payments.blank_old(db, min(texts, now - timedelta(days=payments.ANSWERED_DAYS)), limit),
        "signups": signups.blank_old(db, texts, limit),
        **_sweep_forgotten(db, texts, limit),
    }
    others = (count for kind, count in counts.items() if kind != "messages")
    return Swept(counts, found.last or after, found.seen < limit and all(count < limit for count in others))


# -- texts sent ------------------------------------------------------------------------------------------------


def _due_messages(cutoff: datetime, after: int, limit: int) -> Select[Any]:
    handed = exists().where(submission.c.message_id == message.c.id, submission.c.at >= cutoff)
    return (
        select(message.c.id, message.c.phone, message.c.body.is_not(None).label("own"), parcel.c.broadcast_id)
        .join(parcel, parcel.c.id == home_of(message.c.id))
        .where(message.c.id > after, message.c.created_at < cutoff, _plain(message.c.phone))
        .where(parcel.c.state.in_(_ENDED), parcel.c.holder_epoch.is_(None), ~handed)
        .order_by(message.c.id)
        .limit(limit)
    )


def _plain(phone: ColumnElement[Any]) -> ColumnElement[bool]:
    return ~phone.contains("*")


@dataclass(frozen=True, slots=True)
class _Found:
    blank: Sequence[Any]
    seen: int
    last: int


def _without_pending(db: Connection, rows: Sequence[Any]) -> _Found:
    """Texts that wait for another attempt in a later parcel are left as they are."""
    waiting = and_(parcel.c.members.is_not(None), parcel.c.state.in_((ParcelState.HELD, ParcelState.READY)))
    members = db.execute(select(parcel.c.members).where(waiting)).scalars() if rows else ()
    pending = {key for keys in members for key in keys}
    return _Found([row for row in rows if row.id not in pending], len(rows), rows[-1].id if rows else 0)


def blank_messages(db: Connection, rows: Sequence[Any]) -> None:
    """`rows` as (id, phone, own, broadcast_id): mask the number, empty the text's own body, forget whose it was."""
    if not rows:
        return
    by_key = update(message).where(message.c.id == bindparam("key"))
    plain = [{"key": row.id, "phone": masked(row.phone), "person_id": None} for row in rows]
    for own in (True, False):
        some = [values for values, row in zip(plain, rows, strict=True) if bool(row.own) is own]
        if some:
            db.execute(by_key, [{**values, "body": ""} for values in some] if own else some)
    # Texts of no broadcast that share a parcel's body are answers to one person each.
    singles = {home_parcel(row.id) for row in rows if row.broadcast_id == 0 and not row.own}
    if singles:
        db.execute(update(parcel).where(parcel.c.id.in_(singles)).values(body=""))


# -- everything else -------------------------------------------------------------------------------------------


def _sweep_inbound(db: Connection, cutoff: datetime, limit: int) -> int:
    old = and_(inbound.c.received_at < cutoff, inbound.c.handled_at.is_not(None), _plain(inbound.c.phone))
    return blank_inbound(db, old, limit)


def blank_inbound(db: Connection, which: ColumnElement[bool], limit: int) -> int:
    """Mask the number and empty the body of up to `limit` texts that came in."""
    rows = db.execute(select(inbound.c.id, inbound.c.phone).where(which).order_by(inbound.c.id).limit(limit)).all()
    values = [{"key": row.id, "phone": masked(row.phone), "body": "", "digest": ""} for row in rows]
    if values:
        db.execute(update(inbound).where(inbound.c.id == bindparam("key")), values)
    return len(rows)


def _sweep_left_out(db: Connection, cutoff: datetime, limit: int) -> int:
    old = and_(broadcast.c.created_at < cutoff, broadcast.c.state.in_(_SETTLED), left_out.c.name != "")
    query = select(left_out.c.broadcast_id, left_out.c.seq).join(broadcast).where(old).limit(limit)
    rows = [(row[0], row[1]) for row in db.execute(query)]
    blank_left_out(db, rows)
    return len(rows)


def blank_left_out(db: Connection, keys: Sequence[tuple[int, int]]) -> None:
    """That somebody was left out, and why, stays; who it was goes."""
    mine = and_(left_out.c.broadcast_id == bindparam("of"), left_out.c.seq == bindparam("at"))
    values = [{"of": of, "at": at, "name": "", "phone": None, "person_id": None} for of, at in keys]
    if values:
        db.execute(update(left_out).where(mine), values)


def _delete_old(
    db: Connection, moment: Any, cutoff: datetime, limit: int, which: ColumnElement[bool] | None = None
) -> int:
    table = moment.table
    query = select(table.c.id).where(moment < cutoff)
    query = query if which is None else query.where(which)
    old = query.order_by(table.c.id).limit(limit)
    return db.execute(delete(table).where(table.c.id.in_(old))).rowcount


def _sweep_forgotten(db: Connection, cutoff: datetime, limit: int) -> dict[str, int]:
    """What was to go some time after a number was forgotten: its ledger, and its cases once they are closed as long."""
    counts = {"consent": 0, "cases": 0}
    for row in db.execute(select(forgotten).where(forgotten.c.at < cutoff).order_by(forgotten.c.at)).all():
        kept = row.optouts
        if not kept["ledger"] and not kept["cases"]:
            continue
        if max(counts.values()) >= limit:
            break
        gone = _blank_cases(db, kept["cases"], cutoff)
        counts["cases"] += len(gone)
        if kept["ledger"]:
            counts["consent"] += db.execute(delete(consent).where(consent.c.id.in_(kept["ledger"]))).rowcount
        left = {**kept, "ledger": [], "cases": [key for key in kept["cases"] if key not in gone]}
        db.execute(update(forgotten).where(forgotten.c.phone_hmac == row.phone_hmac).values(optouts=left))
    return counts


def _blank_cases(db: Connection, ids: Collection[int], cutoff: datetime) -> set[int]:
    if not ids:
        return set()
    over = and_(case.c.id.in_(ids), case.c.state == CaseState.CLOSED, case.c.closed_at < cutoff)
    rows = db.execute(select(case.c.id, case.c.phone).where(over)).all()
    for row in rows:
        values = {"phone": masked(row.phone), "title": "", "person_id": None, "name": None, "behalf": None}
        db.execute(update(case).where(case.c.id == row.id).values(**values))
        db.execute(update(case_event).where(case_event.c.case_id == row.id).values(body=""))
    return {row.id for row in rows}


# -- one number ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """What of a number the law has us keep: rows, and when the newest was queued or received."""

    messages: int
    inbound: int
    cases: int
    consent: int
    newest: datetime | None
    waiting: int
    """Texts that have not left yet."""


def blank_number(
    db: Connection, phones: Collection[str], ids: Collection[int] | None, cutoff: datetime, after: int, limit: int
) -> Swept:
    """The same for some numbers at once: all of them (`ids` None), or only texts to these people."""
    stored = [sealed(phone) for phone in phones]
    query = _due_messages(cutoff, after, limit).where(message.c.phone.in_(stored))
    if ids is not None:
        query = query.where(message.c.person_id.in_(ids))
    found = _without_pending(db, db.execute(query).all())
    blank_messages(db, found.blank)
    counts = {"messages": len(found.blank), "inbound": 0, "cases": 0}
    if ids is None:
        old = and_(inbound.c.received_at < cutoff, inbound.c.handled_at.is_not(None))
        counts["inbound"] = blank_inbound(db, and_(inbound.c.phone.in_(stored), old), limit)
        cases = db.execute(select(case.c.id).where(case.c.phone.in_(stored))).scalars().all()
        counts["cases"] = len(_blank_cases(db, cases, cutoff))
    return Swept(counts, found.last or after, found.seen < limit and counts["inbound"] < limit)


def kept_of(db: Connection, phone: str) -> Kept:
    """What is still there of a number."""
    stored = sealed(phone)
    sent = db.execute(select(func.count(), func.max(message.c.created_at)).where(message.c.phone == stored)).one()
    came = db.execute(select(func.count(), func.max(inbound.c.received_at)).where(inbound.c.phone == stored)).one()
    waits = (
        select(func.count())
        .select_from(message)
        .join(parcel, parcel.c.id == home_of(message.c.id))
        .where(message.c.phone == stored, parcel.c.state.not_in(_ENDED))
    )
    return Kept(
        messages=sent[0],
        inbound=came[0],
        cases=_count(db, case.c.phone == stored),
        consent=_count(db, consent.c.phone == stored),
        newest=max((moment for moment in (sent[1], came[1]) if moment), default=None),
        waiting=db.execute(waits).scalar_one(),
    )


def _count(db: Connection, which: ColumnElement[bool]) -> int:
    return int(db.execute(select(func.count()).where(which)).scalar_one())
