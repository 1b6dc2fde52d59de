"""SQL of the outbox and of dispatch: parcels, messages, submissions.

Policy (design.md, outbox.md)
- A message is inserted once, in its home parcel; its id holds that parcel's id, so that a broadcast's messages are
  id ranges.
- `watermark` counts the positions of a parcel that may have left. It is raised, in the transaction that also records
  results, before those texts are handed to the carrier, and lowered only by the holder that lets the parcel go.
- What is recorded of (message, attempt) is final. Trying again is a new parcel whose `members` are message ids,
  inserted by the transaction that decides it.
- Only the holder of an account's newest epoch may write a watermark: `hold` is the first statement of its transactions.
- Counters are counted from rows for parcels marked `stale`, never kept by deltas; a text counts in its home parcel.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Integer,
    Row,
    and_,
    bindparam,
    func,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.sql.elements import ColumnElement

from gateway.errors import Unavailable
from gateway.model import (
    PARCEL_SIZE,
    POSITION_BITS,
    Outcome,
    ParcelState,
    home_parcel,
    message_id,
)
from gateway.store import bulk
from gateway.store.tables import account, consent, message, parcel, receipt, submission
from gateway.store.types import storable

MESSAGE_COLUMNS = ("id", "phone", "person_id", "body", "parts", "created_at")
SUBMISSION_COLUMNS = ("message_id", "attempt", "part", "outcome", "carrier", "carrier_ref", "error", "at")


OPENED_AT_ONCE = 32
"""Parcels of one priority opened by one transaction: single texts have a parcel each."""

CONSENT_MARGIN = 64
"""Transactions that may be writing consent at the same moment."""


READY = text("parcel.state = 'ready' AND parcel.holder_epoch IS NULL")
"""Waiting to be opened. In the partial index's own words: SQLite does not match it to bound values."""


OPENED = text("parcel.holder_epoch IS NOT NULL")


class EpochLost(Unavailable):
    """Another process holds the account now; this one must close its links and write nothing more."""


# -- queueing --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What all texts of a parcel have in common; `body` None means that each brings its own."""

    broadcast_id: int
    carrier: str
    route: str
    priority: int
    body: str | None
    category: str | None
    hours: str | None
    on_uncertain: str
    consent_seen: int
    state: ParcelState
    not_before: datetime | None
    expires_at: datetime | None


class Queued(NamedTuple):
    """One text to queue: its own body, or None where the envelope's is meant."""

    phone: str
    person_id: int | None
    body: str | None
    parts: int


def queue(db: Connection, envelope: Envelope, texts: Sequence[Queued], now: datetime) -> int:
    """Insert one parcel with its messages (1 to PARCEL_SIZE); answers the parcel's id."""
    if not 0 < len(texts) <= PARCEL_SIZE:
        raise ValueError(f"a parcel holds 1 to {PARCEL_SIZE} texts")
    parcel_id = _insert_parcel(db, envelope, len(texts), attempt=1, members=None)
    rows = [
        (message_id(parcel_id, at), text.phone, text.person_id, text.body, text.parts, now)
        for at, text in enumerate(texts)
    ]
    bulk.insert(db, message, MESSAGE_COLUMNS, rows)
    return parcel_id


def queue_open(db: Connection, envelope: Envelope, texts: Sequence[Queued], now: datetime, epoch: int) -> int:
    """As `queue`, in its holder's hands at once: all of it may leave when this is durable."""
    hold(db, envelope.carrier, epoch)
    parcel_id = queue(db, envelope, texts, now)
    db.execute(update(parcel).where(parcel.c.id == parcel_id).values(holder_epoch=epoch, watermark=len(texts)))
    return parcel_id


def _insert_parcel(db: Connection, envelope: Envelope, n: int, *, attempt: int, members: list[int] | None) -> int:
    values = {name: getattr(envelope, name) for name in envelope.__dataclass_fields__}
    own = {"attempt": attempt, "members": members, "n": n, "watermark": 0, "stale": members is None}
    return bulk.insert_one(db, parcel, **values, **own)


# -- holding an account ----------------------------------------------------------------------------------------


def take(db: Connection, name: str, node: str, now: datetime, held_for: timedelta) -> int | None:
    """Take the account if nobody holds it now; the new epoch, or None while somebody does.

    On SQLite the caller has the lock file, so that whoever else is named here is dead.
    """
    now = _account_clock(db, now)
    until = now + held_for
    row = db.execute(select(account).where(account.c.name == name).with_for_update()).one_or_none()
    if row is None:
        bulk.insert(db, account, ("name", "node", "epoch", "until"), [(name, "", 0, now)], ignore=True)
        row = db.execute(select(account).where(account.c.name == name).with_for_update()).one()
    if row.until > now and row.node != node and db.dialect.name != "sqlite":
        return None
    epoch = int(row.epoch) + 1
    db.execute(update(account).where(account.c.name == name).values(node=node, epoch=epoch, until=until))
    return epoch


def renew(
    db: Connection,
    name: str,
    epoch: int,
    now: datetime,
    held_for: timedelta,
    live: Mapping[str, Any] | None = None,
) -> bool:
    """Hold on, and say how the account does; False when a newer epoch exists."""
    until = _account_clock(db, now) + held_for
    mine = and_(account.c.name == name, account.c.epoch == epoch)
    return db.execute(update(account).where(mine).values(until=until, live=live)).rowcount == 1


def living(db: Connection, now: datetime) -> dict[str, Mapping[str, Any]]:
    """What the holders said last of the accounts that are held now."""
    moment = _account_clock(db, now)
    rows = db.execute(select(account.c.name, account.c.live).where(account.c.until > moment))
    return {row.name: row.live for row in rows if row.live is not None}


def hold(db: Connection, name: str, epoch: int) -> None:
    """The first statement of every transaction of a holder; EpochLost when the account is somebody else's."""
    mine = and_(account.c.name == name, account.c.epoch == epoch)
    if db.execute(select(account.c.epoch).where(mine).with_for_update(read=True)).one_or_none() is None:
        raise EpochLost(f"{name} 已由另一进程接管", f"{name} is held by another process now")


def let_account_go(db: Connection, name: str, epoch: int, now: datetime) -> None:
    """An orderly end: the next process need not wait."""
    renew(db, name, epoch, now, timedelta(0))


def _account_clock(db: Connection, now: datetime) -> datetime:
    """PostgreSQL's clock, which all its processes share; on SQLite a lock file admits one process and `now` will do."""
    if db.dialect.name == "sqlite":
        return now
    moment: datetime = db.execute(select(func.clock_timestamp())).scalar_one()
    return moment


# -- opening ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class OpenParcel:
    """A parcel in the holder's hands, with its texts from the watermark on."""

    id: int
    broadcast_id: int
    priority: int
    attempt: int
    category: str | None
    hours: str | None
    on_uncertain: str
    consent_seen: int
    expires_at: datetime | None
    n: int
    watermark: int
    members: list[int] | None
    texts: list[tuple[int, str, str, int]] = field(default_factory=list)
    """(message id, phone, body, parts) of positions `watermark` to n - 1."""


def open_next(db: Connection, carrier: str, epoch: int, priority: int, after: int, now: datetime) -> OpenParcel | None:
    """Open the next ready parcel of this priority, from the broadcast after `after` (fair turns, wrapping round)."""
    ready = and_(
        parcel.c.carrier == carrier,
        parcel.c.priority == priority,
        READY,
        or_(parcel.c.not_before.is_(None), parcel.c.not_before <= now),
    )
    query = select(parcel).where(ready).order_by(parcel.c.broadcast_id, parcel.c.id).limit(1)
    row = db.execute(query.where(parcel.c.broadcast_id > after)).one_or_none()
    if row is None:
        row = db.execute(query).one_or_none()
    if row is None:
        return None
    claim = update(parcel).where(parcel.c.id == row.id, parcel.c.carrier == carrier, READY)
    if db.execute(claim.values(holder_epoch=epoch)).rowcount != 1:
        return None
    return _load(db, row)


def _load(db: Connection, row: Row[Any]) -> OpenParcel:
    names = OpenParcel.__dataclass_fields__.keys() - {"texts"}
    opened = OpenParcel(**{name: getattr(row, name) for name in names})
    opened.texts = _texts(db, opened, row.body)
    return opened


def _texts(db: Connection, opened: OpenParcel, shared: str | None) -> list[tuple[int, str, str, int]]:
    query = select(message.c.id, message.c.phone, message.c.body, message.c.parts)
    if opened.members is None:
        first = message_id(opened.id, opened.watermark)
        rows = db.execute(
            query.where(message.c.id.between(first, message_id(opened.id, opened.n - 1))).order_by(message.c.id)
        )
        return [(key, phone, shared if body is None else body, parts) for key, phone, body, parts in rows]  # type: ignore[misc]
    return _member_texts(db, opened.members[opened.watermark :])


def _member_texts(db: Connection, members: list[int]) -> list[tuple[int, str, str, int]]:
    body = func.coalesce(message.c.body, parcel.c.body)
    query = (
        select(message.c.id, message.c.phone, body, message.c.parts)
        .join(parcel, parcel.c.id == home_of(message.c.id))
        .where(message.c.id.in_(members))
    )
    found = {row[0]: (row[0], row[1], row[2], row[3]) for row in db.execute(query)}
    return [found[key] for key in members]


# -- recording -------------------------------------------------------------------------------------------------


class Result(NamedTuple):
    """What is to be recorded of one text of an open parcel; refs has one entry per part ("": none), or is empty.

    Parts of a rejected text that have a reference were taken all the same.
    """

    key: int
    parts: int
    outcome: Outcome
    refs: tuple[str, ...]
    error: str | None


@dataclass(slots=True)
class Step:
    """One transaction of a holder: results by (parcel id, attempt), and what becomes of its open parcels."""

    results: list[tuple[int, int, Result]] = field(default_factory=list)
    watermarks: dict[int, int] = field(default_factory=dict)
    let_go: dict[int, tuple[ParcelState | None, datetime | None]] = field(default_factory=dict)
    """Parcel id -> (its new state, or None to leave it to whoever stopped it, and its next time)."""
    again: list[Again] = field(default_factory=list)
    open: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Priority -> (the broadcast last served, texts wanted), where parcels are wanted."""
    consent_seen: int = 0


@dataclass(frozen=True, slots=True)
class Again:
    """Texts to be tried again: a new parcel with the next attempt, not before `at`."""

    parcel_id: int
    attempt: int
    members: tuple[int, ...]
    at: datetime | None


@dataclass(slots=True)
class Verdict:
    """What the holder learns: the open parcels' states, those newly opened, and the consent given since."""

    states: dict[int, ParcelState]
    opened: list[OpenParcel]
    consent: list[tuple[int, str, str | None, str]]


def record(
    db: Connection,
    name: str,
    epoch: int,
    step: Step,
    watched: Collection[int],
    now: datetime,
    unsure: bool = False,
) -> Verdict:
    """Results and the next watermarks in one transaction; raises EpochLost and then nothing is written.

    `unsure`: this step was tried before and its commit may have gone through although an error came back.
    """
    hold(db, name, epoch)
    if unsure:
        step = _not_yet_written(db, name, epoch, step, watched)
    homes = {home_parcel(result.key) for _, _, result in step.results}
    lock(db, homes | step.watermarks.keys() | step.let_go.keys() | {again.parcel_id for again in step.again})
    bulk.insert(db, submission, SUBMISSION_COLUMNS, list(_rows(name, step.results, now)), ignore=True)
    _raise_watermarks(db, step.watermarks)
    mark_stale(db, homes)
    for again in step.again:
        _again(db, again, now)
    _let_go(db, step.let_go)
    _end_cancelled(db, step.let_go, now)
    opened = _open_wanted(db, name, epoch, step.open, now)
    return Verdict(_states(db, watched), opened, _consent_since(db, step.consent_seen))


def _not_yet_written(db: Connection, name: str, epoch: int, step: Step, watched: Collection[int]) -> Step:
    mine = and_(parcel.c.carrier == name, parcel.c.holder_epoch == epoch, parcel.c.id.not_in(watched))
    db.execute(update(parcel).where(mine).values(holder_epoch=None))
    if not step.results:
        return step
    _, attempt, first = step.results[0]
    written = _recorded(db, [first.key], attempt)
    return replace(step, results=[], again=[]) if written else step


def _rows(carrier: str, results: Iterable[tuple[int, int, Result]], now: datetime) -> Iterable[bulk.Row]:
    for _, attempt, result in results:
        error = result.error and storable(result.error)
        for part in range(1, result.parts + 1):
            ref = storable(result.refs[part - 1]) or None if result.refs else None
            taken = ref is not None and result.outcome is Outcome.REJECTED
            outcome, said = (Outcome.ACCEPTED, None) if taken else (result.outcome, error)
            yield (result.key, attempt, part, outcome.value, carrier, ref, said, now)


def _raise_watermarks(db: Connection, marks: dict[int, int]) -> None:
    if marks:
        change = update(parcel).where(parcel.c.id == bindparam("key")).values(watermark=bindparam("mark"))
        db.execute(change, [{"key": key, "mark": mark} for key, mark in marks.items()])


def _let_go(db: Connection, parcels: Mapping[int, tuple[ParcelState | None, datetime | None]]) -> None:
    """Parcels that end alike in one statement each: many single texts do."""
    alike: dict[tuple[ParcelState | None, datetime | None], list[int]] = defaultdict(list)
    for key, end in parcels.items():
        alike[end].append(key)
    for (state, not_before), keys in alike.items():
        values: dict[str, Any] = {"holder_epoch": None}
        if state is not None:
            values["state"] = state
        if not_before is not None:
            values["not_before"] = not_before
        db.execute(update(parcel).where(parcel.c.id.in_(keys)).values(**values))


def _end_cancelled(db: Connection, let_go: Collection[int], now: datetime) -> None:
    """A repeated attempt that was cancelled after its holder last looked: its texts must not wait for ever."""
    over = and_(parcel.c.state == ParcelState.CANCELLED, parcel.c.members.is_not(None))
    rows = db.execute(select(parcel).where(parcel.c.id.in_(let_go), over)).all() if let_go else ()
    for row in rows:
        end_unsent(db, row, ParcelState.CANCELLED, now)


def _open_wanted(
    db: Connection, name: str, epoch: int, wanted: dict[int, tuple[int, int]], now: datetime
) -> list[OpenParcel]:
    opened = []
    for priority, (after, room) in wanted.items():
        for _ in range(OPENED_AT_ONCE):
            found = open_next(db, name, epoch, priority, after, now) if room > 0 else None
            if found is None:
                break
            opened.append(found)
            after, room = found.broadcast_id, room - (found.n - found.watermark)
    return opened


def _states(db: Connection, watched: Collection[int]) -> dict[int, ParcelState]:
    if not watched:
        return {}
    rows = db.execute(select(parcel.c.id, parcel.c.state).where(parcel.c.id.in_(watched)))
    return {key: ParcelState(state) for key, state in rows}


def _consent_since(db: Connection, seen: int) -> list[tuple[int, str, str | None, str]]:
    columns = (consent.c.id, consent.c.phone, consent.c.category, consent.c.state)
    rows = db.execute(select(*columns).where(consent.c.id > seen - _late_rows(db)).order_by(consent.c.id))
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def newest_consent(db: Connection) -> int:
    """How far the consent ledger is known to be read: all rows up to this id are there (0 when it is empty)."""
    newest = int(db.execute(select(func.coalesce(func.max(consent.c.id), 0))).scalar_one())
    return max(0, newest - _late_rows(db))


def _late_rows(db: Connection) -> int:
    """PostgreSQL's ids are given out before the commit, so a lower one may come later; SQLite has one writer.

    Reading a row twice does no harm: the last word of the ledger decides.
    """
    return 0 if db.dialect.name == "sqlite" else CONSENT_MARGIN


def try_again(db: Connection, again: Again) -> int:
    """Insert the parcel in which `members` get their next attempt, stopped if theirs is; answers its id."""
    source = db.execute(select(parcel).where(parcel.c.id == again.parcel_id).with_for_update()).one()
    stopped = source.state in (ParcelState.HELD, ParcelState.CANCELLED)
    names = set(Envelope.__dataclass_fields__) - {"state", "not_before", "body"}
    envelope = Envelope(
        **{name: getattr(source, name) for name in names},
        body=None,
        state=ParcelState(source.state) if stopped else ParcelState.READY,
        not_before=again.at,
    )
    members = list(again.members)
    return _insert_parcel(db, envelope, len(members), attempt=again.attempt, members=members)


def _again(db: Connection, again: Again, now: datetime) -> None:
    """As `try_again`; where the parcel was cancelled meanwhile, its texts are settled at once."""
    row = db.execute(select(parcel).where(parcel.c.id == try_again(db, again))).one()
    if row.state == ParcelState.CANCELLED:
        end_unsent(db, row, ParcelState.CANCELLED, now)


def mark_stale(db: Connection, parcels: Collection[int]) -> None:
    """Have these parcels counted anew."""
    if parcels:
        ids = sorted(parcels)
        # Without the locks a parcel that is being counted would still look marked, and its new rows never be counted.
        lock(db, ids)
        db.execute(update(parcel).where(parcel.c.id.in_(ids), parcel.c.stale.is_(False)).values(stale=True))


def lock(db: Connection, parcels: Collection[int]) -> None:
    """In the order of their ids, so that no two transactions wait for each other; SQLite has one writer anyway."""
    if parcels and db.dialect.name != "sqlite":
        rows = select(parcel.c.id).where(parcel.c.id.in_(sorted(parcels))).order_by(parcel.c.id)
        db.execute(rows.with_for_update(key_share=True))


# -- after a crash ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recovered:
    """What `recover` found in one parcel that a dead holder had open."""

    parcel_id: int
    uncertain: int
    waiting: int


def recover(db: Connection, name: str, epoch: int, now: datetime, max_attempts: int = 5) -> list[Recovered]:
    """Take over from a dead holder: unrecorded at or below the watermark is `uncertain`, above it untouched.

    Where the category has them sent again, up to `max_attempts`: a process that dies each time must not go on for ever.
    """
    hold(db, name, epoch)
    rows = db.execute(select(parcel).where(parcel.c.carrier == name, parcel.c.holder_epoch.is_not(None))).all()
    return [_recover(db, name, row, now, max_attempts) for row in rows if row.holder_epoch != epoch]


def _recover(db: Connection, name: str, row: Row[Any], now: datetime, max_attempts: int) -> Recovered:
    may_have_left = _keys(row, 0, row.watermark)
    known = _recorded(db, may_have_left, row.attempt)
    lost = [key for key in may_have_left if key not in known]
    parts = _parts_of(db, lost)
    results = [(row.id, row.attempt, Result(key, parts[key], Outcome.UNCERTAIN, (), "process died")) for key in lost]
    bulk.insert(db, submission, SUBMISSION_COLUMNS, list(_rows(name, results, now)), ignore=True)
    mark_stale(db, {home_parcel(key) for key in lost})
    if lost and row.on_uncertain == "resend" and row.attempt < max_attempts:
        _again(db, Again(row.id, row.attempt + 1, tuple(lost), None), now)
    ended = row.watermark >= row.n and row.state == ParcelState.READY
    values = {"holder_epoch": None, "state": ParcelState.DONE if ended else row.state}
    db.execute(update(parcel).where(parcel.c.id == row.id).values(**values))
    _end_cancelled(db, [row.id], now)
    return Recovered(row.id, len(lost), row.n - row.watermark)


def _keys(row: Row[Any], start: int, end: int) -> list[int]:
    if row.members is not None:
        return list(row.members[start:end])
    return [message_id(row.id, at) for at in range(start, end)]


def _recorded(db: Connection, keys: list[int], attempt: int) -> set[int]:
    if not keys:
        return set()
    mine = and_(submission.c.message_id.in_(keys), submission.c.attempt == attempt)
    return set(db.execute(select(submission.c.message_id).where(mine)).scalars())


def _parts_of(db: Connection, keys: list[int]) -> dict[int, int]:
    rows = db.execute(select(message.c.id, message.c.parts).where(message.c.id.in_(keys))) if keys else ()
    return {row[0]: row[1] for row in rows}


# -- ends that nobody dispatched -------------------------------------------------------------------------------


def expire(db: Connection, carrier: str, now: datetime, limit: int = 100) -> int:
    """End ready parcels whose time is over; their unsent texts are `expired`. Answers how many parcels."""
    over = and_(
        parcel.c.carrier == carrier,
        READY,
        parcel.c.expires_at <= now,
    )
    # Locked, for the account's holder may open one of them now; what it has opened is its own to end.
    rows = db.execute(select(parcel).where(over).limit(limit).with_for_update(skip_locked=True)).all()
    for row in rows:
        end_unsent(db, row, ParcelState.EXPIRED, now)
    return len(rows)


def end_unsent(db: Connection, row: Row[Any], state: ParcelState, now: datetime) -> None:
    """End a parcel nobody holds. A repeated attempt says so by rows, since its texts' home parcel has ended already;
    but of a text that an operator has called undelivered there is nothing more to say.
    """
    db.execute(update(parcel).where(parcel.c.id == row.id).values(state=state, stale=row.members is None))
    if row.members is None:
        return
    waiting = _keys(row, row.watermark, row.n)
    settled = _undelivered(db, waiting)
    keys = [key for key in waiting if key not in settled]
    parts = _parts_of(db, keys)
    outcome = Outcome.EXPIRED if state is ParcelState.EXPIRED else Outcome.CANCELLED
    results = [(row.id, row.attempt, Result(key, parts[key], outcome, (), None)) for key in keys]
    bulk.insert(db, submission, SUBMISSION_COLUMNS, list(_rows(row.carrier, results, now)), ignore=True)
    mark_stale(db, {home_parcel(key) for key in keys})


def _undelivered(db: Connection, keys: Collection[int]) -> set[int]:
    failed = select(receipt.c.message_id).where(receipt.c.message_id.in_(keys), text("receipt.state <> 'delivered'"))
    return set(db.execute(failed).scalars())


def move(db: Connection, carrier: str, epoch: int, onward: dict[str, str]) -> int:
    """Carrier down: its waiting parcels go to the next of their route (route name -> carrier), one row each.

    Only parcels of which nothing has left move, so that no text changes carrier halfway; and only the account's holder
    moves them, since to another process the carrier may be up.
    """
    hold(db, carrier, epoch)
    moved = 0
    for route, target in onward.items():
        waiting = and_(
            parcel.c.carrier == carrier,
            parcel.c.route == route,
            parcel.c.state == ParcelState.READY,
            parcel.c.holder_epoch.is_(None),
            parcel.c.watermark == 0,
        )
        moved += db.execute(update(parcel).where(waiting).values(carrier=target)).rowcount
    return moved


def has_ready(db: Connection, carrier: str, now: datetime) -> bool:
    """Whether any parcel waits to be opened now."""
    ready = and_(
        parcel.c.carrier == carrier,
        READY,
        or_(parcel.c.not_before.is_(None), parcel.c.not_before <= now),
    )
    return db.execute(select(parcel.c.id).where(ready).limit(1)).one_or_none() is not None


def waiting(db: Connection) -> dict[str, int]:
    """Texts that are approved and have not left, by carrier; also those whose time or hours have not come."""
    found: Counter[str] = Counter()
    query = select(parcel.c.carrier, func.sum(parcel.c.n - parcel.c.watermark)).group_by(parcel.c.carrier)
    for which in (READY, and_(OPENED, parcel.c.state == ParcelState.READY)):
        found.update({row[0]: int(row[1]) for row in db.execute(query.where(which))})
    return dict(found)


def home_of(column: ColumnElement[int]) -> ColumnElement[int]:
    """`model.home_parcel` in SQL; PostgreSQL shifts by an INTEGER only."""
    return column.op(">>")(literal(POSITION_BITS, Integer))
