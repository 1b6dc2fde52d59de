"""SQL of schedules: slots, what was seen, what feeds said last, the faults that people must see, and the newest time.

Policy
- The table of slots is the truth: whoever inserts (schedule, due time) has it, and inserts its broadcast in the same
  transaction. All others find the row and do nothing.
- `seen_until` is moved forward only after every due time up to it has its slot, so a crash in between repeats and loses
  nothing.
- A slot that is `due` has a broadcast nobody has finished yet; `until` says how long the process that took it may
  need. After that, anybody may.
- A fault has a key, stands until it is cleared, and keeps the moment it was first set.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Table, and_, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from gateway.model import BroadcastState
from gateway.store import bulk
from gateway.store.tables import audit, broadcast, fault, feed_state, inbound, schedule, slot

NEWEST_ROWS = 500
"""Rows by id that are asked for their newest time: the times are not indexed, and ids follow them."""

CLOCK_CONFIRMED = "clock-confirmed"
"""No fault: the moment at which a person said that the clock is right and what was stored is not."""


class SlotState(StrEnum):
    """`due` is being carried on; `asked` and `fault` wait for a person; the others are ends."""

    DUE = "due"
    RUN = "run"
    LATE = "late"
    SKIPPED = "skipped"
    ASKED = "asked"
    FAULT = "fault"


# -- what was seen ---------------------------------------------------------------------------------------------


def begin(db: Connection, names: Collection[str], now: datetime) -> None:
    """Rows for schedules that have none: seen until `now`, so that a first start makes up for nothing."""
    rows = [(name, False, now) for name in sorted(names)]
    bulk.insert(db, schedule, ("name", "paused", "seen_until"), rows, ignore=True)


def schedules(db: Connection) -> dict[str, Any]:
    """Name -> row (paused, seen_until) of every schedule that was ever seen."""
    return {row.name: row for row in db.execute(select(schedule))}


def see(db: Connection, names: Collection[str], until: datetime) -> None:
    """Every due time up to `until` has its slot; never moves back."""
    behind = and_(schedule.c.name.in_(names), schedule.c.seen_until < until)
    db.execute(update(schedule).where(behind).values(seen_until=until))


def set_paused(db: Connection, name: str, paused: bool) -> bool:
    """False when it was so already."""
    other = and_(schedule.c.name == name, schedule.c.paused.is_not(paused))
    return db.execute(update(schedule).where(other).values(paused=paused)).rowcount == 1


# -- slots -----------------------------------------------------------------------------------------------------


def claim(
    db: Connection,
    name: str,
    due_at: datetime,
    *,
    state: SlotState,
    now: datetime,
    note: str = "",
    make: Callable[[Connection], int] | None = None,
) -> bool:
    """Insert the slot if nobody has; the winner also runs `make`, which inserts its broadcast and answers its id."""
    values = {"schedule": name, "due_at": due_at, "state": state, "note": note, "at": now}
    statement = _insert(db, slot).values(**values).on_conflict_do_nothing().returning(slot.c.schedule)
    won = db.execute(statement).one_or_none() is not None
    if won and make is not None:
        db.execute(update(slot).where(_is(name, due_at)).values(broadcast_id=make(db)))
    return won


def reclaim(
    db: Connection,
    name: str,
    due_at: datetime,
    *,
    came_from: Collection[SlotState],
    now: datetime,
    make: Callable[[Connection], int],
) -> bool:
    """Make a slot due that waited for a person, with a broadcast of its own; False when it is in another state.

    A fault is only run again when nothing of its broadcast can still be sent.
    """
    ended = select(broadcast.c.id).where(broadcast.c.state.in_((BroadcastState.FAILED, BroadcastState.CANCELLED)))
    free = or_(slot.c.broadcast_id.is_(None), slot.c.broadcast_id.in_(ended))
    mine = and_(_is(name, due_at), slot.c.state.in_(came_from), free)
    if db.execute(update(slot).where(mine).values(state=SlotState.DUE, at=now, until=None)).rowcount != 1:
        return False
    db.execute(update(slot).where(_is(name, due_at)).values(broadcast_id=make(db)))
    return True


def get(db: Connection, name: str, due_at: datetime) -> Any:
    """The slot's row, or None."""
    return db.execute(select(slot).where(_is(name, due_at))).one_or_none()


def last(db: Connection, name: str, limit: int) -> list[Any]:
    """The newest slots of a schedule, newest first."""
    query = select(slot).where(slot.c.schedule == name).order_by(slot.c.due_at.desc()).limit(limit)
    return list(db.execute(query).all())


def asked(db: Connection, name: str) -> list[datetime]:
    """Due times that wait for a person's answer, in order."""
    mine = and_(slot.c.schedule == name, slot.c.state == SlotState.ASKED)
    return list(db.execute(select(slot.c.due_at).where(mine).order_by(slot.c.due_at)).scalars())


def at_fault(db: Connection, name: str) -> list[Any]:
    """Slots of a schedule that stand at fault, in order."""
    mine = and_(slot.c.schedule == name, slot.c.state == SlotState.FAULT)
    return list(db.execute(select(slot).where(mine).order_by(slot.c.due_at)).all())


def settle(
    db: Connection,
    name: str,
    due_at: datetime,
    state: SlotState,
    *,
    note: str | None = None,
    came_from: Collection[SlotState] = tuple(SlotState),
) -> bool:
    """Change the state if it is one of `came_from`; False when it is not."""
    values = {"state": state} if note is None else {"state": state, "note": note}
    mine = and_(_is(name, due_at), slot.c.state.in_(came_from))
    return db.execute(update(slot).where(mine).values(**values)).rowcount == 1


def unfinished(db: Connection, now: datetime, held_for: timedelta) -> list[Any]:
    """Slots that nobody holds and whose broadcast must be carried on; `carried` is the broadcast's state.

    They are those that are due, and those at fault whose broadcast waits for its forecast.
    """
    waits = and_(slot.c.state == SlotState.FAULT, broadcast.c.state == BroadcastState.DUE)
    query = select(slot, broadcast.c.state.label("carried"), broadcast.c.created_at)
    joined = query.join(broadcast, broadcast.c.id == slot.c.broadcast_id)
    found = joined.where(or_(slot.c.state == SlotState.DUE, waits), _let_go(now, held_for))
    return list(db.execute(found.order_by(slot.c.due_at, slot.c.schedule)).all())


def take(db: Connection, name: str, due_at: datetime, now: datetime, held_for: timedelta) -> bool:
    """Hold the slot for so long; False when another process was quicker."""
    mine = and_(_is(name, due_at), _let_go(now, held_for))
    return db.execute(update(slot).where(mine).values(until=now + held_for)).rowcount == 1


def _let_go(now: datetime, held_for: timedelta) -> Any:
    # Held longer than anybody ever holds: the clock was put back meanwhile.
    return or_(slot.c.until.is_(None), slot.c.until <= now, slot.c.until > now + held_for)


def _is(name: str, due_at: datetime) -> Any:
    return and_(slot.c.schedule == name, slot.c.due_at == due_at)


# -- feeds -----------------------------------------------------------------------------------------------------


def feed_get(db: Connection, feed: str) -> dict[str, str]:
    """Area -> what the feed said last of it."""
    rows = db.execute(select(feed_state.c.area, feed_state.c.content).where(feed_state.c.feed == feed))
    return {row.area: row.content for row in rows}


def feed_put(db: Connection, feed: str, said: Mapping[str, tuple[datetime, str]], now: datetime) -> None:
    """Keep what the feed says now (area -> issued, content), where that is not older than what is kept."""
    for area, (issued_at, content) in sorted(said.items()):
        statement = _insert(db, feed_state).values(
            feed=feed, area=area, issued_at=issued_at, content=content, stored_at=now
        )
        kept = {name: statement.excluded[name] for name in ("issued_at", "content", "stored_at")}
        newer = feed_state.c.issued_at <= statement.excluded.issued_at
        db.execute(statement.on_conflict_do_update(index_elements=["feed", "area"], set_=kept, where=newer))


# -- faults ----------------------------------------------------------------------------------------------------


def fault_set(db: Connection, key: str, zh: str, en: str, now: datetime) -> None:
    """A fault stands; one that stood already keeps the moment it began."""
    statement = _insert(db, fault).values(key=key, zh=zh, en=en, since=now)
    said = {"zh": zh, "en": en}
    db.execute(statement.on_conflict_do_update(index_elements=["key"], set_=said))


def fault_clear(db: Connection, *keys: str) -> None:
    """These are over."""
    db.execute(delete(fault).where(fault.c.key.in_(keys)))


def faults(db: Connection) -> list[Any]:
    """What people must see, oldest first: key, zh, en, since."""
    query = select(fault).where(fault.c.key != CLOCK_CONFIRMED)
    return list(db.execute(query.order_by(fault.c.since, fault.c.key)).all())


def clear_approvals(db: Connection, prefix: str) -> None:
    """End the faults (`prefix` and a broadcast's id) of broadcasts that no longer wait for approval."""
    waiting = fault.c.key.startswith(prefix, autoescape=True)
    ids = {int(key.removeprefix(prefix)): key for key in db.execute(select(fault.c.key).where(waiting)).scalars()}
    composed = and_(broadcast.c.id.in_(ids), broadcast.c.state == BroadcastState.COMPOSED)
    still = set(db.execute(select(broadcast.c.id).where(composed)).scalars())
    fault_clear(db, *(key for broadcast_id, key in ids.items() if broadcast_id not in still))


# -- the newest time -------------------------------------------------------------------------------------------


def newest_time(db: Connection) -> datetime | None:
    """The newest moment that can be believed; None in an empty database. A clock well before it is wrong.

    Once a person has confirmed the clock, what was recorded before counts no more: only the confirmation itself and
    what schedules have seen since.
    """
    confirmed = clock_confirmed(db)
    seen = db.execute(select(func.max(schedule.c.seen_until))).scalar_one()
    if confirmed is None:
        return _latest(recorded_time(db), seen)
    return _latest(confirmed, seen)


def recorded_time(db: Connection) -> datetime | None:
    """The newest moment among broadcasts, texts that came in, and the audit trail."""
    return _latest(
        _newest(db, broadcast, "created_at"),
        _newest(db, inbound, "received_at"),
        db.execute(
            select(func.max(audit.c.at)).where(audit.c.day == select(func.max(audit.c.day)).scalar_subquery())
        ).scalar_one(),
    )


def clock_confirmed(db: Connection) -> datetime | None:
    """When a person confirmed the clock, while times after it are still stored."""
    return db.execute(select(fault.c.since).where(fault.c.key == CLOCK_CONFIRMED)).scalar_one_or_none()


def confirm_clock(db: Connection, who: str, now: datetime) -> None:
    """The clock is right. Slots that lie ahead of it and sent nothing are not over: they come again."""
    fault_clear(db, CLOCK_CONFIRMED)
    db.execute(insert(fault).values(key=CLOCK_CONFIRMED, zh=f"{who} 确认", en=f"confirmed by {who}", since=now))
    db.execute(update(schedule).where(schedule.c.seen_until > now).values(seen_until=now))
    db.execute(delete(slot).where(slot.c.due_at > now, slot.c.broadcast_id.is_(None)))


def _newest(db: Connection, table: Table, column: str) -> datetime | None:
    rows = select(table.c[column]).order_by(table.c.id.desc()).limit(NEWEST_ROWS).subquery()
    found: datetime | None = db.execute(select(func.max(rows.c[column]))).scalar_one()
    return found


def _latest(*moments: datetime | None) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)


def _insert(db: Connection, table: Table) -> Any:
    return sqlite.insert(table) if db.dialect.name == "sqlite" else postgresql.insert(table)
