"""SQL of broadcasts: their row, their frozen texts, their counters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, func, or_, select, update

from gateway.model import BroadcastState, ParcelState, TextState, home_parcel, message_id
from gateway.store import bulk, counting, parcels, payments
from gateway.store.counting import COUNTED
from gateway.store.tables import broadcast, left_out, message, parcel, person, standing_approval
from gateway.store.types import to_millis

LEFT_OUT_COLUMNS = ("broadcast_id", "seq", "person_id", "reason", "name", "phone", "village", "grp", "detail")
SLICE = 20
"""Parcels deleted or read at once: no transaction of ours holds up a watermark for long."""


def add(db: Connection, **values: Any) -> int:
    """Insert one broadcast; answers its id."""
    return bulk.insert_one(db, broadcast, **values)


def get(db: Connection, broadcast_id: int, *, lock: bool = False) -> Any:
    """The broadcast's row, or None; with `lock` nobody else changes it before this transaction ends."""
    query = select(broadcast).where(broadcast.c.id == broadcast_id)
    return db.execute(query.with_for_update() if lock else query).one_or_none()


def by_key(db: Connection, key: str) -> int | None:
    """The broadcast that was drafted under this idempotency key."""
    return db.execute(select(broadcast.c.id).where(broadcast.c.idempotency_key == key)).scalar_one_or_none()


def newest(db: Connection, limit: int, area: str = "", states: Collection[BroadcastState] = ()) -> list[Any]:
    """Broadcasts of an area, newest first."""
    query = select(broadcast).where(broadcast.c.area.startswith(area, autoescape=True))
    if states:
        query = query.where(broadcast.c.state.in_(states))
    return list(db.execute(query.order_by(broadcast.c.id.desc()).limit(limit)).all())


def move(
    db: Connection, /, broadcast_id: int, came_from: Collection[BroadcastState], to: BroadcastState, **values: Any
) -> bool:
    """Change the state if it is one of `came_from`; False when it is not (somebody was quicker)."""
    mine = and_(broadcast.c.id == broadcast_id, broadcast.c.state.in_(came_from))
    return db.execute(update(broadcast).where(mine).values(state=to, **values)).rowcount == 1


def change(db: Connection, broadcast_id: int, **values: Any) -> None:
    """Change columns other than the state."""
    db.execute(update(broadcast).where(broadcast.c.id == broadcast_id).values(**values))


def sha256_of(value: Any) -> str:
    """SHA-256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


# -- composing -------------------------------------------------------------------------------------------------


def throw_away(db: Connection, broadcast_id: int) -> bool:
    """Delete a slice of what was composed; True while there is more. Only for parcels that were never ready."""
    held = and_(parcel.c.broadcast_id == broadcast_id, parcel.c.state == ParcelState.HELD)
    ids = db.execute(select(parcel.c.id).where(held).order_by(parcel.c.id).limit(SLICE)).scalars().all()
    for parcel_id in ids:
        first, last = message_id(parcel_id, 0), message_id(parcel_id + 1, 0) - 1
        db.execute(delete(message).where(message.c.id.between(first, last)))
    db.execute(delete(parcel).where(parcel.c.id.in_(ids)))
    if not ids:
        db.execute(delete(left_out).where(left_out.c.broadcast_id == broadcast_id))
        payments.throw_away(db, broadcast_id)
    return bool(ids)


def leave_out(db: Connection, rows: Sequence[bulk.Row]) -> None:
    """People who get no text, in the order of LEFT_OUT_COLUMNS."""
    bulk.insert(db, left_out, LEFT_OUT_COLUMNS, rows)


def digest(db: Connection, broadcast_id: int) -> str:
    """SHA-256 over all frozen texts in their order, with carrier, priority and times: what an approval is bound to.

    "" for a broadcast that does not exist.
    """
    row = get(db, broadcast_id)
    if row is None:
        return ""
    hashed = hashlib.sha256()
    times = [None if at is None else to_millis(at) for at in (row.not_before, row.expires_at)]
    hashed.update(repr((row.template, row.category, row.hours, *times)).encode())
    for one in _home_parcels(db, broadcast_id):
        hashed.update(repr((one.carrier, one.route, one.priority, one.body, one.on_uncertain)).encode())
        for text in _messages(db, one.id):
            hashed.update(repr(tuple(text)).encode())
    return hashed.hexdigest()


def _home_parcels(db: Connection, broadcast_id: int) -> Sequence[Any]:
    mine = and_(parcel.c.broadcast_id == broadcast_id, parcel.c.members.is_(None))
    return db.execute(select(parcel).where(mine).order_by(parcel.c.id)).all()


def _messages(db: Connection, parcel_id: int) -> Sequence[Any]:
    first, last = message_id(parcel_id, 0), message_id(parcel_id + 1, 0) - 1
    query = select(message.c.phone, message.c.body, message.c.parts).where(message.c.id.between(first, last))
    return db.execute(query.order_by(message.c.id)).all()


def texts(db: Connection, broadcast_id: int) -> Iterator[tuple[int, str, int | None, str]]:
    """(message id, phone, person id, body) of every text, in order."""
    for one in _home_parcels(db, broadcast_id):
        first, last = message_id(one.id, 0), message_id(one.id + 1, 0) - 1
        query = select(message.c.id, message.c.phone, message.c.person_id, message.c.body)
        for row in db.execute(query.where(message.c.id.between(first, last)).order_by(message.c.id)):
            yield row.id, row.phone, row.person_id, one.body if row.body is None else row.body


@dataclass(frozen=True, slots=True)
class HeldText:
    """One frozen text as it will leave, with the account that it is queued for."""

    carrier: str
    phone: str
    body: str
    parts: int


def held_texts(db: Connection, broadcast_id: int) -> Iterator[HeldText]:
    """Every text of a broadcast, in order."""
    for one in _home_parcels(db, broadcast_id):
        for number, body, parts in _messages(db, one.id):
            yield HeldText(one.carrier, number, one.body if body is None else body, parts)


def texts_by_body(db: Connection, broadcast_id: int, limit: int) -> list[tuple[int, str, str]]:
    """(message id, phone, body) of the first text of each of the first `limit` bodies that parcels share."""
    mine = and_(parcel.c.broadcast_id == broadcast_id, parcel.c.members.is_(None), parcel.c.body.is_not(None))
    home = func.min(parcel.c.id).label("home")
    bodies = select(home, parcel.c.body).where(mine).group_by(parcel.c.body).order_by(home).limit(limit)
    firsts = {message_id(row.home, 0): row.body for row in db.execute(bodies)}
    found = db.execute(select(message.c.id, message.c.phone).where(message.c.id.in_(firsts)).order_by(message.c.id))
    return [(row.id, row.phone, firsts[row.id]) for row in found]


def text_to_away(db: Connection, broadcast_id: int) -> tuple[int, str, str] | None:
    """(message id, phone, body) of the first text to somebody who works elsewhere."""
    homes = _home_parcels(db, broadcast_id)
    query = select(message.c.id, message.c.phone, message.c.body).join(person, person.c.id == message.c.person_id)
    for start in range(0, len(homes), SLICE):
        bodies = {one.id: one.body for one in homes[start : start + SLICE]}
        theirs = or_(*(message.c.id.between(message_id(one, 0), message_id(one + 1, 0) - 1) for one in bodies))
        row = db.execute(query.where(theirs, person.c.away_to != "").order_by(message.c.id).limit(1)).one_or_none()
        if row is not None:
            return row.id, row.phone, bodies[home_parcel(row.id)] if row.body is None else row.body
    return None


# -- after composing -------------------------------------------------------------------------------------------


def release(db: Connection, broadcast_id: int) -> int:
    """All held parcels become ready, in one statement."""
    held = and_(parcel.c.broadcast_id == broadcast_id, parcel.c.state == ParcelState.HELD)
    return db.execute(update(parcel).where(held).values(state=ParcelState.READY)).rowcount


def hold(db: Connection, broadcast_id: int) -> int:
    """All ready parcels are held; who has one open sees it with the next watermark."""
    ready = and_(parcel.c.broadcast_id == broadcast_id, parcel.c.state == ParcelState.READY)
    # Whoever inserts a repeated attempt has its source locked: wait, then look with fresh eyes.
    db.execute(select(parcel.c.id).where(ready).order_by(parcel.c.id).with_for_update())
    count = 0
    while held := db.execute(update(parcel).where(ready).values(state=ParcelState.HELD)).rowcount:
        count += held
    return count


def cancel(db: Connection, broadcast_id: int, now: datetime) -> int:
    """What has not left never will."""
    waiting = and_(parcel.c.broadcast_id == broadcast_id, parcel.c.state.in_((ParcelState.HELD, ParcelState.READY)))
    locked = select(parcel).where(waiting).order_by(parcel.c.id).with_for_update()
    db.execute(locked.with_only_columns(parcel.c.id))  # as in `hold`
    count = 0
    while rows := db.execute(locked).all():
        # The holder of an open one says of its texts what became of them.
        plain = [row.id for row in rows if row.members is None or row.holder_epoch is not None]
        db.execute(update(parcel).where(parcel.c.id.in_(plain)).values(state=ParcelState.CANCELLED, stale=True))
        for row in rows:
            if row.members is not None and row.holder_epoch is None:
                parcels.end_unsent(db, row, ParcelState.CANCELLED, now)
        count += len(rows)
    return count


def counts(db: Connection, broadcast_id: int) -> dict[str, int]:
    """Texts by state, summed over the home parcels; `waiting` is what none of the other states holds."""
    sums = (func.coalesce(func.sum(parcel.c[state.value]), 0).label(state.value) for state in COUNTED)
    mine = and_(parcel.c.broadcast_id == broadcast_id, parcel.c.members.is_(None))
    row = db.execute(select(func.coalesce(func.sum(parcel.c.n), 0).label("n"), *sums).where(mine)).one()
    known = {state.value: int(getattr(row, state.value)) for state in COUNTED}
    return {"texts": int(row.n), "waiting": int(row.n) - sum(known.values()), **known}


def in_motion(db: Connection, broadcast_id: int) -> int:
    """Parcels, repeated attempts among them, that are not at their end."""
    live = and_(parcel.c.broadcast_id == broadcast_id, parcel.c.state.in_((ParcelState.HELD, ParcelState.READY)))
    return int(db.execute(select(func.count()).select_from(parcel).where(live)).scalar_one())


def left_out_counts(db: Connection, broadcast_id: int) -> dict[str, int]:
    """People left out, by reason."""
    query = select(left_out.c.reason, func.count()).where(left_out.c.broadcast_id == broadcast_id)
    return {row[0]: row[1] for row in db.execute(query.group_by(left_out.c.reason))}


def unreached_operators(db: Connection, broadcast_id: int) -> dict[str, int]:
    """People left out because no account reaches their operator, by operator."""
    mine = and_(left_out.c.broadcast_id == broadcast_id, left_out.c.reason == "no_route")
    query = select(left_out.c.detail, func.count()).where(mine).group_by(left_out.c.detail)
    return {row[0]: row[1] for row in db.execute(query)}


def left_out_people(db: Connection, broadcast_id: int, limit: int = 10_000) -> list[Any]:
    """The rows of `left_out`, in order."""
    query = select(left_out).where(left_out.c.broadcast_id == broadcast_id).order_by(left_out.c.seq).limit(limit)
    return list(db.execute(query).all())


def in_hand(db: Connection, broadcast_id: int) -> bool:
    """Whether a holder has one of its parcels open, so that texts may be on their way that nothing is recorded of."""
    mine = and_(parcel.c.broadcast_id == broadcast_id, parcel.c.holder_epoch.is_not(None))
    return db.execute(select(parcel.c.id).where(mine).limit(1)).one_or_none() is not None


def may_have_arrived(db: Connection, broadcast_id: int) -> set[tuple[str, int | None]]:
    """(number, person) of its texts that arrived, are on their way, or may have left."""
    homes = {one.id: one for one in _home_parcels(db, broadcast_id)}
    there = (TextState.DELIVERED, TextState.ACCEPTED, TextState.UNCERTAIN)
    found: set[tuple[str, int | None]] = set()
    for start in range(0, len(homes), SLICE):
        some = list(homes)[start : start + SLICE]
        keys = {key for key, (_, state) in counting.states_in(db, some).items() if state in there}
        for home in some:
            first, last = message_id(home, 0), message_id(home + 1, 0) - 1
            query = select(message.c.id, message.c.phone, message.c.person_id)
            rows = db.execute(query.where(message.c.id.between(first, last)))
            found |= {(row.phone, row.person_id) for row in rows if row.id in keys}
    return found


def uncertain_texts(db: Connection, broadcast_id: int) -> dict[tuple[int, int], list[int]]:
    """(home parcel, newest attempt) -> ids of the texts whose fate is unknown. Count stale parcels before asking.

    Those that wait for another attempt already are not among them: asked twice, they would leave twice.
    """
    again = _tried_again(db, broadcast_id)
    mine = and_(parcel.c.broadcast_id == broadcast_id, parcel.c.members.is_(None), parcel.c.uncertain > 0)
    homes = db.execute(select(parcel.c.id).where(mine).order_by(parcel.c.id)).scalars().all()
    found: dict[tuple[int, int], list[int]] = {}
    for start in range(0, len(homes), SLICE):
        for key, (attempt, state) in counting.states_in(db, homes[start : start + SLICE]).items():
            if state == TextState.UNCERTAIN and key not in again:
                found.setdefault((home_parcel(key), attempt), []).append(key)
    return found


def _tried_again(db: Connection, broadcast_id: int) -> set[int]:
    """Texts of repeated attempts that are not at their end."""
    repeats = and_(parcel.c.broadcast_id == broadcast_id, parcel.c.members.is_not(None))
    live = parcel.c.state.in_((ParcelState.HELD, ParcelState.READY))
    found = db.execute(select(parcel.c.members).where(repeats, live)).scalars()
    return {key for members in found for key in members or ()}


# -- standing approvals ----------------------------------------------------------------------------------------


def stand_for(db: Connection, **values: Any) -> int:
    """A director's standing approval of a schedule; it replaces the one before."""
    revoke(db, values["schedule"], values["at"])
    return bulk.insert_one(db, standing_approval, **values)


def revoke(db: Connection, schedule: str, now: datetime) -> int:
    """End a schedule's standing approval."""
    live = and_(standing_approval.c.schedule == schedule, standing_approval.c.revoked_at.is_(None))
    return db.execute(update(standing_approval).where(live).values(revoked_at=now)).rowcount


def standing(db: Connection, schedule: str) -> Any:
    """The standing approval in force, or None."""
    live = and_(standing_approval.c.schedule == schedule, standing_approval.c.revoked_at.is_(None))
    return db.execute(select(standing_approval).where(live)).one_or_none()
