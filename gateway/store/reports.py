"""SQL of reports: what became of a broadcast's texts, told text by text in slices of parcels.

Policy
- A report is read in one snapshot, so that its figures agree with each other whatever arrives meanwhile.
- A text's state is derived from facts as everywhere (`counting.states_in`); no counter is trusted and none is written.
  Only a period is told by counters, for its texts may be millions; whoever asks has stale parcels counted first.
- Memory: one slice of `SLICE` parcels (at most 10,000 texts) at a time, and whoever was not reached.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, func, literal, or_, select, text, update

from gateway.model import BroadcastState, LeftOut, ParcelState, TextState, home_parcel, message_id
from gateway.store import counting
from gateway.store.counting import COUNTED
from gateway.store.tables import audit, broadcast, left_out, message, parcel, person, receipt, submission

SLICE = 20
SENT = (BroadcastState.APPROVED, BroadcastState.STOPPED, BroadcastState.CANCELLED)
PERIOD_COLUMNS = (
    *("id", "title", "template", "category", "state", "author", "approver", "approved_at"),
    *("people", "texts", "parts", "cost"),
)
INCOMPLETE, SILENT = "incomplete", "silent"
"""More exact than the state: a long text that arrived in part; one of which the operator said nothing in time."""

PAID_ELSEWHERE = "payout:duplicate_person"
"""A row of a payout sheet whose person another row pays: the text of that row decides whether they were reached."""

REACHED_OTHERWISE = (LeftOut.SAME_NUMBER, LeftOut.GOT_BEFORE, PAID_ELSEWHERE)
"""Of these another text decides, or has decided already."""


class Text(NamedTuple):
    """One text with its newest attempt and state, and who it was for ("" where the roster no longer has them)."""

    key: int
    phone: str
    attempt: int
    state: str
    name: str
    village: str
    group: str
    taker: bool


class Given(NamedTuple):
    """The first error code that was given for an attempt, by which account and at which stage: submit or receipt."""

    carrier: str
    stage: Literal["submit", "receipt"]
    code: str


class Moments(NamedTuple):
    """When the first and the last text left, and when the last receipt came."""

    first_left: datetime | None
    last_left: datetime | None
    last_receipt: datetime | None


class Missed(NamedTuple):
    """Somebody a broadcast did not reach; `reason` is a LeftOut, a TextState, "payout:" and its reason, or one of
    INCOMPLETE and SILENT.
    """

    village: str
    group: str
    name: str
    reason: str
    phone: str | None
    taker: bool


def slices(db: Connection, broadcast_id: int) -> Iterator[dict[int, str]]:
    """The broadcast's home parcels, `SLICE` at a time: id -> state."""
    mine = and_(parcel.c.broadcast_id == broadcast_id, parcel.c.members.is_(None))
    query = select(parcel.c.id, parcel.c.state).where(mine).order_by(parcel.c.id)
    homes = [(row.id, row.state) for row in db.execute(query)]
    for start in range(0, len(homes), SLICE):
        yield dict(homes[start : start + SLICE])


def texts(db: Connection, homes: dict[int, str]) -> Iterator[Text]:
    """Every text of these home parcels (id -> state), in order."""
    known = counting.states_in(db, homes)
    p = person.c
    query = (
        select(message.c.id, message.c.phone, p.name, p.village, p.grp, p.phone.label("own"), p.taker_phone)
        .outerjoin(person, p.id == message.c.person_id)
        .where(_in(message.c.id, homes))
        .order_by(message.c.id)
    )
    for row in db.execute(query):
        attempt, state = known.get(row.id) or (1, _unsaid(homes[home_parcel(row.id)]))
        who = (row.name or "", row.village or "", row.grp or "", row.own is None and row.taker_phone is not None)
        yield Text(row.id, row.phone, attempt, state, *who)


def _in(column: ColumnElement[int], homes: Collection[int]) -> ColumnElement[bool]:
    return or_(*(column.between(message_id(home, 0), message_id(home + 1, 0) - 1) for home in homes))


def _unsaid(end: str) -> str:
    """The state of a text without facts, by how its home parcel ended."""
    ends = {ParcelState.CANCELLED.value: TextState.CANCELLED.value, ParcelState.EXPIRED.value: TextState.EXPIRED.value}
    return ends.get(end, TextState.WAITING.value)


Attempt = tuple[int, int]
"""A text's id, and which attempt of it."""

# Written out, since SQLite uses a partial index only for a condition without parameters.
NOT_ACCEPTED = text("submission.outcome <> 'accepted'")
NOT_DELIVERED = text("receipt.state <> 'delivered'")


def errors(db: Connection, homes: Collection[int]) -> dict[Attempt, Given]:
    """The first error code that was given for each attempt; a receipt's outranks that of the submit."""
    s, r = submission.c, receipt.c
    refused = select(s.message_id, s.attempt, s.carrier, s.error).where(_in(s.message_id, homes), NOT_ACCEPTED)
    submitted = _first(db, refused.where(s.error.is_not(None)).order_by(s.message_id, s.attempt, s.part), "submit")
    whose = and_(s.message_id == r.message_id, s.attempt == r.attempt, s.part == r.part)
    failed = select(r.message_id, r.attempt, func.coalesce(s.carrier, "").label("carrier"), r.error)
    failed = failed.select_from(receipt.outerjoin(submission, whose)).where(_in(r.message_id, homes), NOT_DELIVERED)
    told = _first(db, failed.where(r.error.is_not(None)).order_by(r.message_id, r.attempt, r.part), "receipt")
    return submitted | told


def _first(db: Connection, query: Select[Any], stage: Literal["submit", "receipt"]) -> dict[Attempt, Given]:
    found: dict[Attempt, Given] = {}
    for row in db.execute(query):
        found.setdefault((row.message_id, row.attempt), Given(row.carrier, stage, row.error))
    return found


def incomplete(db: Connection, homes: Collection[int]) -> set[Attempt]:
    """Long texts of which a part failed and another arrived or was taken: the phone shows a piece of them."""
    s, r, taken, arrived = submission.c, receipt.c, submission.alias().c, receipt.alias().c
    failed = select(r.message_id, r.attempt).where(_in(r.message_id, homes), NOT_DELIVERED)
    beside = and_(arrived.message_id == r.message_id, arrived.attempt == r.attempt)
    refused = select(s.message_id, s.attempt).where(_in(s.message_id, homes), NOT_ACCEPTED, s.outcome == "rejected")
    along = and_(taken.message_id == s.message_id, taken.attempt == s.attempt)
    found = [
        *db.execute(failed.where(beside, arrived.state == "delivered").distinct()),
        *db.execute(refused.where(along, taken.outcome == "accepted").distinct()),
    ]
    return {(row.message_id, row.attempt) for row in found}


def silent(db: Connection, homes: Collection[int], before: datetime) -> set[Attempt]:
    """Attempts that the operator took before that, whatever it said of them since."""
    s = submission.c
    taken = select(s.message_id, s.attempt).where(_in(s.message_id, homes), s.outcome == "accepted")
    rows = db.execute(taken.group_by(s.message_id, s.attempt).having(func.max(s.at) < before))
    return {(row.message_id, row.attempt) for row in rows}


def moments(db: Connection, homes: Collection[int]) -> Moments:
    """When texts of these parcels left and were answered; `uncertain` ones may have left."""
    s = submission.c
    left = select(func.min(s.at), func.max(s.at)).where(
        _in(s.message_id, homes), s.outcome.in_(("accepted", "uncertain"))
    )
    first, last = db.execute(left).one()
    answered = select(func.max(receipt.c.at)).where(_in(receipt.c.message_id, homes))
    return Moments(first, last, db.execute(answered).scalar_one())


def composed_at(db: Connection, row: Any) -> datetime | None:
    """When what was sent was composed, by the audit trail; None while it is not."""
    about = and_(audit.c.object == f"broadcast {row.id}", audit.c.verb == "composed")
    query = select(func.max(audit.c.at)).where(about, audit.c.day >= row.created_at.date())
    found: datetime | None = db.execute(query).scalar_one()
    return found


def period(db: Connection, start: datetime, end: datetime, area: str) -> list[Any]:
    """Broadcasts of an area approved from `start` up to `end`, with the counters of their parcels, in order.

    Count stale parcels before asking. `waiting` is what none of the other states holds.
    """
    b, p = broadcast.c, parcel.c
    known = {state.value: func.coalesce(func.sum(p[state.value]), 0) for state in COUNTED}
    waiting = func.coalesce(func.sum(p.n), 0) - sum(known.values(), literal(0))
    homes = broadcast.outerjoin(parcel, and_(p.broadcast_id == b.id, p.members.is_(None)))
    query = select(*(b[name] for name in PERIOD_COLUMNS), waiting.label("waiting"), *_labelled(known))
    theirs = and_(b.approved_at >= start, b.approved_at < end, b.area.startswith(area, autoescape=True))
    chosen = query.select_from(homes).where(theirs, b.state.in_(SENT))
    return list(db.execute(chosen.group_by(b.id).order_by(b.id)).all())


def _labelled(columns: Mapping[str, ColumnElement[int]]) -> list[ColumnElement[int]]:
    return [column.label(name) for name, column in columns.items()]


# -- who was not reached ---------------------------------------------------------------------------------------


def missed(db: Connection, broadcast_id: int, silent_before: datetime) -> list[Missed]:
    """Everybody of the audience that no text reached, in no order; what was taken before then has no receipt coming.

    A notice goes once to a number; where that text failed, all who use the number are missed for its reason.
    """
    sharing = _left_out(db, broadcast_id, left_out.c.reason == LeftOut.SAME_NUMBER)
    outcome: dict[str, str] = dict.fromkeys((row.phone for row in sharing), TextState.WAITING.value)
    found = [
        _missed(row, row.reason) for row in _left_out(db, broadcast_id, left_out.c.reason.not_in(REACHED_OTHERWISE))
    ]
    for homes in slices(db, broadcast_id):
        exact = states(db, homes, silent_before)
        for one in texts(db, homes):
            state = exact.get((one.key, one.attempt, one.state), one.state)
            if one.phone in outcome:
                outcome[one.phone] = state
            if one.state != TextState.DELIVERED:
                found.append(Missed(one.village, one.group, one.name, state, one.phone, one.taker))
    return found + [_missed(row, outcome[row.phone]) for row in sharing if outcome[row.phone] != TextState.DELIVERED]


def states(db: Connection, homes: Collection[int], silent_before: datetime) -> dict[tuple[int, int, str], str]:
    """(text, attempt, state) -> INCOMPLETE or SILENT, where that says more than the state."""
    failed = (TextState.UNDELIVERED.value, TextState.REJECTED.value)
    partly = {(*key, state): INCOMPLETE for key in incomplete(db, homes) for state in failed}
    return partly | {(*key, TextState.ACCEPTED.value): SILENT for key in silent(db, homes, silent_before)}


def _left_out(db: Connection, broadcast_id: int, which: ColumnElement[bool]) -> Sequence[Any]:
    taker = and_(person.c.phone.is_(None), person.c.taker_phone.is_not(None)).label("taker")
    query = (
        select(left_out, taker)
        .outerjoin(person, person.c.id == left_out.c.person_id)
        .where(left_out.c.broadcast_id == broadcast_id, which)
    )
    return db.execute(query.order_by(left_out.c.seq)).all()


def _missed(row: Any, reason: str) -> Missed:
    return Missed(row.village, row.grp, row.name, reason, row.phone, bool(row.taker))


def untold(db: Connection) -> list[Any]:
    """Approved broadcasts whose clerks were not told yet, oldest first."""
    b = broadcast.c
    waiting = and_(b.state == BroadcastState.APPROVED, b.left_behind_at.is_(None), b.test.is_(False))
    return list(db.execute(select(broadcast).where(waiting, b.approved_at.is_not(None)).order_by(b.id)).all())


def mark_told(db: Connection, broadcast_id: int, now: datetime) -> bool:
    """The clerks are told; False when they were before."""
    mine = and_(broadcast.c.id == broadcast_id, broadcast.c.left_behind_at.is_(None))
    return db.execute(update(broadcast).where(mine).values(left_behind_at=now)).rowcount == 1
