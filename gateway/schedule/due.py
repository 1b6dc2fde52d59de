"""What becomes of a due time, and how slots, schedules and their faults are told to others.

Policy: the rule for a due time that was missed is decided here, from nothing but the schedule and two moments; whoever
claims the slot writes down what was decided, with its reason in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gateway.config import Schedule
from gateway.store import Connection, slots
from gateway.store.slots import SlotState

ON_TIME = timedelta(seconds=60)


def verdict(schedule: Schedule, due: datetime, now: datetime, *, newest: bool, paused: bool) -> tuple[SlotState, str]:
    """What becomes of a due time that is claimed `now`, and why; `newest`: no later one is due yet."""
    if paused:
        return SlotState.SKIPPED, "暂停中 / paused"
    if now - due <= ON_TIME:
        return SlotState.DUE, ""
    if schedule.missed == "ask":
        return SlotState.ASKED, "停机错过，等人决定 / missed: a person decides"
    if schedule.missed == "skip":
        return SlotState.SKIPPED, "停机错过，不补发 / missed"
    if not newest:
        return SlotState.SKIPPED, "停机错过，由后一次代替 / missed: the next one stands for it"
    if now - due > schedule.late_within:
        return SlotState.SKIPPED, "停机错过，已过补发时限 / missed: too late now"
    return SlotState.DUE, "停机错过，补发 / missed: sent late"


@dataclass(frozen=True, slots=True)
class Slot:
    """One due time as it was claimed or stands now."""

    schedule: str
    due_at: datetime
    state: SlotState
    broadcast_id: int | None
    note: str


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A schedule as officials see it. `standing`: none, in force, template changed, audience changed."""

    name: str
    template: str
    audience: str
    due: Sequence[datetime]
    missed: str
    paused: bool
    standing: str
    slots: Sequence[Slot]
    """The last ones and all that wait for a person's answer, newest first."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What keeps a schedule from its work until it is over, in words; `key` begins with its kind."""

    key: str
    zh: str
    en: str
    since: datetime


def last_slots(db: Connection, name: str, n: int) -> list[Slot]:
    """The last `n` of a schedule and all that wait for a person's answer, newest first."""
    found = [slot_of(row) for row in slots.last(db, name, n)]
    seen = {slot.due_at for slot in found}
    older = [slots.get(db, name, due) for due in reversed(slots.asked(db, name)) if due not in seen]
    return found + [slot_of(row) for row in older]


def slot_of(row: Any) -> Slot:
    """A row of the store's as others see it."""
    return Slot(row.schedule, row.due_at, SlotState(row.state), row.broadcast_id, row.note)
