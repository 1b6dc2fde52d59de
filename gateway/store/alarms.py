"""SQL of alarms: clocks of cases that run out or have run out, and who was told of which.

Policy
- A clock is unmet while its due time stands and what it waits for has not happened. The finish of a case whose papers
  are awaited is not looked at: its clock is paused, and its due time will have moved when it runs again.
- An alarm is told once for a case, a clock, a level and a due time. `claim` decides that: of two processes that would
  tell the same, one gets the row and the other nothing. A due time that moves makes its alarms new.
- `begin_round` is the same for what is told to a window each half-day, whether or not there was anything to tell.
- Cases are read in slices, and held while something is written to them, so that a clerk who closes one comes before or
  after, never between.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Insert, Select, Table, and_, bindparam, exists, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from gateway.model import CaseState, Happened
from gateway.store.tables import alarm_round, case, case_alarm, case_event

LIVE = case.c.state != CaseState.CLOSED
CLOCKS: dict[str, tuple[ColumnElement[datetime | None], ColumnElement[bool]]] = {
    "signed": (case.c.signed_due_at, case.c.signed_at.is_(None)),
    "first": (case.c.first_due_at, case.c.first_answer_at.is_(None)),
    "finish": (case.c.due_at, and_(case.c.state != CaseState.WAITING, case.c.waiting_since.is_(None))),
}
"""Each clock's due time, and what holds while it is unmet."""


def of_window(
    db: Connection, window: str, before: datetime, opened_before: datetime, *, limit: int, hold: bool
) -> Sequence[Any]:
    """A window's cases of which a clock is due before then or overdue; those due first before the others."""
    due = [and_(column < before, unmet) for column, unmet in CLOCKS.values()]
    mine = select(case).where(LIVE, case.c.window == window, case.c.opened_at < opened_before, or_(*due))
    return _cases(db, mine.order_by(case.c.due_at, case.c.id).limit(limit), hold)


def windows(db: Connection) -> Sequence[str]:
    """Those that have a case which is not closed."""
    return list(db.execute(select(case.c.window).where(LIVE).distinct().order_by(case.c.window)).scalars())


class Wanted(NamedTuple):
    """A clock that was not told at a level and is due in [after, before)."""

    clock: str
    level: str
    before: datetime
    after: datetime | None = None
    urgent: bool | None = None


def untold(db: Connection, wanted: Wanted, *, limit: int, hold: bool) -> Sequence[Any]:
    """The cases of it, in order of age."""
    query = select(case).where(*_wanted(_shape(wanted), 0)).order_by(case.c.id).limit(limit)
    return list(db.execute(query.with_for_update(of=case) if hold else query, _bound([wanted])).all())


def any_untold(db: Connection, wanted: Sequence[Wanted]) -> Sequence[bool]:
    """Which of them have a case; one look, for it is asked every minute."""
    return [bool(found) for found in db.execute(_any(tuple(map(_shape, wanted))), _bound(wanted)).one()]


Shape = tuple[str, bool, bool | None]


def _shape(wanted: Wanted) -> Shape:
    return wanted.clock, wanted.after is not None, wanted.urgent


@lru_cache(maxsize=64)
def _any(shapes: tuple[Shape, ...]) -> Select[Any]:
    found: list[Any] = [exists(select(case.c.id).where(*_wanted(shape, n))) for n, shape in enumerate(shapes)]
    return select(*found)


def _wanted(shape: Shape, n: int) -> Sequence[ColumnElement[bool]]:
    """The conditions, with `n` in the names of what is bound to them."""
    clock, after, urgent = shape
    column, unmet = CLOCKS[clock]
    told = exists().where(
        case_alarm.c.case_id == case.c.id,
        case_alarm.c.clock == clock,
        case_alarm.c.level == bindparam(f"level_{n}"),
        case_alarm.c.due_at == column,
    )
    found = [LIVE, unmet, column < bindparam(f"before_{n}"), ~told]
    found += [column >= bindparam(f"after_{n}")] if after else []
    return [*found, case.c.urgent.is_(urgent)] if urgent is not None else found


def _bound(wanted: Sequence[Wanted]) -> dict[str, Any]:
    given = {f"{name}_{n}": getattr(one, name) for n, one in enumerate(wanted) for name in ("level", "before", "after")}
    return {name: value for name, value in given.items() if value is not None}


def claim(
    db: Connection, case_id: int, clock: str, level: str, due_at: datetime, told: Collection[str], at: datetime
) -> int | None:
    """Note that these are told, unless somebody has noted it before; the row's id, or None."""
    values = {"case_id": case_id, "clock": clock, "level": level, "due_at": due_at, "told": ",".join(told), "at": at}
    statement = _insert(db, case_alarm).values(**values).on_conflict_do_nothing()
    found: int | None = db.execute(statement.returning(case_alarm.c.id)).scalar_one_or_none()
    return found


def sent(db: Connection, alarm_ids: Collection[int], message_id: int) -> None:
    """With which text these were told."""
    db.execute(update(case_alarm).where(case_alarm.c.id.in_(alarm_ids)).values(message_id=message_id))


def of_case(db: Connection, case_id: int) -> Sequence[Any]:
    """What was told of a case, oldest first."""
    return list(db.execute(select(case_alarm).where(case_alarm.c.case_id == case_id).order_by(case_alarm.c.id)).all())


def begin_round(db: Connection, window: str, half_day: datetime, at: datetime) -> bool:
    """Whether nobody has told this window what is due in the half-day that began then."""
    values = {"window": window, "half_day": half_day, "at": at}
    statement = _insert(db, alarm_round).values(**values).on_conflict_do_nothing()
    return db.execute(statement.returning(alarm_round.c.window)).one_or_none() is not None


def rounds(db: Connection, half_day: datetime) -> Collection[str]:
    """The windows that were told in the half-day that began then."""
    return set(db.execute(select(alarm_round.c.window).where(alarm_round.c.half_day == half_day)).scalars())


def paged_since(db: Connection, case_id: int, danger: str, since: datetime) -> bool:
    """Whether somebody was paged for this word in this case since then."""
    mine = and_(case_event.c.case_id == case_id, case_event.c.kind == Happened.PAGED, case_event.c.at > since)
    return any(data.get("danger") == danger for data in db.execute(select(case_event.c.data).where(mine)).scalars())


def _cases(db: Connection, wanted: Select[Any], hold: bool) -> Sequence[Any]:
    return list(db.execute(wanted.with_for_update(of=case) if hold else wanted).all())


def _insert(db: Connection, table: Table) -> Any:
    made: Insert = (sqlite if db.dialect.name == "sqlite" else postgresql).insert(table)
    return made
