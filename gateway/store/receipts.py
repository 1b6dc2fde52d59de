"""SQL of receipts: from an operator's reference to the text it was given to.

Policy
- A reference is looked for among the recent ones in memory (bounded), then, in one query for all that are left, in the
  index. References wrap and repeat: the number must agree, and two texts that fit are quarantined, never guessed.
- What fits nothing is parked and tried again; a late, early or repeated receipt changes nothing but by adding a fact.
- A text whose fate is unknown is settled by a parked receipt only when account, number and time fit and it is the only
  one to that number without a receipt; that is recorded as matched by number. The part takes the receipt's reference,
  so that the same receipt told again settles no other text.
- A failure that asks for another try gets one in the same transaction (`retrying`).
- Some operators send one receipt for a long text. By the account's rule (`every`, `first`, `last`, `one`) it is then
  recorded of the other parts as well, as matched by `whole`, so that a text's state is derived from its facts as ever;
  whatever the operator says of such a part itself takes that row's place.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, bindparam, delete, select, update
from sqlalchemy import text as sql

from gateway.model import Outcome, home_parcel
from gateway.store import bulk, numbers
from gateway.store.numbers import Signs
from gateway.store.parcels import home_of, mark_stale
from gateway.store.retrying import Retry, new_failures, try_again
from gateway.store.tables import message, parcel, receipt, receipt_unmatched, submission
from gateway.store.types import storable

RECENT_REFS = 200_000
"""About 26 MB."""

RECEIPT_COLUMNS = ("message_id", "attempt", "part", "state", "error", "matched", "at")
UNMATCHED_COLUMNS = ("carrier", "carrier_ref", "phone", "state", "error", "why", "at", "parked_at")
WHOLE = "whole"
SETTLE_BEFORE = timedelta(minutes=1)
"""How much earlier than the text a receipt's time may lie: operators' clocks differ."""


NO_RULES: Mapping[str, str] = MappingProxyType({})
NO_RETRIES: Mapping[str, Retry] = MappingProxyType({})
NO_SIGNS: Mapping[str, Signs] = MappingProxyType({})

UNKNOWN = sql("receipt_unmatched.why = 'unknown'")
"""In the partial index's own words."""


class Part(NamedTuple):
    """One part of one attempt of a text, and the number it went to."""

    message_id: int
    attempt: int
    part: int
    phone: str


class Recent:
    """The newest references of all accounts, oldest forgotten first."""

    def __init__(self, limit: int = RECENT_REFS) -> None:
        self._limit = limit
        self._parts: OrderedDict[tuple[str, str], Part] = OrderedDict()

    def remember(self, carrier: str, ref: str, part: Part) -> None:
        """Known from the moment the response is parsed, since a receipt can overtake its recording."""
        self._parts[carrier, ref] = part
        if len(self._parts) > self._limit:
            self._parts.popitem(last=False)

    def find(self, carrier: str, ref: str) -> Part | None:
        """The newest part that was given this reference."""
        return self._parts.get((carrier, ref))


class Told(NamedTuple):
    """One receipt as the carrier parsed it; `phone` "" where the operator names none, so that the reference decides."""

    ref: str
    phone: str
    state: str
    error: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Stored:
    """How many receipts of a batch found their part, and how many were parked."""

    matched: int
    parked: int


@dataclass(frozen=True, slots=True)
class Settled:
    """How many parked receipts of a slice found their part, how many did not, and where the next slice begins."""

    matched: int
    parked: int
    next: int


def store(
    db: Connection,
    carrier: str,
    told: Sequence[Told],
    known: Sequence[Part | None],
    now: datetime,
    rule: str = "every",
    retry: Retry | None = None,
    signs: Signs | None = None,
) -> Stored:
    """Append the receipts that fit a part, park the rest; `known` is what `Recent` said of each.

    `rule`: for which parts of a long text the account's operator sends one. `retry`: which failures are tried again.
    `signs`: what its codes say of numbers.
    """
    told = [one._replace(ref=storable(one.ref), error=one.error and storable(one.error)) for one in told]
    # References wrap: where the newest part of this one went to another number, an older one may be meant.
    known = [part if part and t.phone in (part.phone, "") else None for t, part in zip(told, known, strict=True)]
    found = _look_up(db, carrier, [t.ref for t, part in zip(told, known, strict=True) if part is None])
    rows: list[bulk.Row] = []
    parked: list[bulk.Row] = []
    for one, recent in zip(told, known, strict=True):
        part, why = _fit(one, [recent] if recent is not None else found.get(one.ref, []))
        if part is not None:
            rows.append((*part[:3], one.state, one.error, "ref", one.at))
        else:
            parked.append((carrier, one.ref, one.phone, one.state, one.error, why, one.at, now))
    _append(db, carrier, rows, rule, retry, signs, now)
    bulk.insert(db, receipt_unmatched, UNMATCHED_COLUMNS, parked, ignore=True)
    return Stored(len(rows), len(parked))


def _fit(told: Told, candidates: Sequence[Part]) -> tuple[Part | None, str]:
    fitting = [part for part in candidates if told.phone in (part.phone, "")]
    if len(fitting) == 1:
        return fitting[0], ""
    if fitting:
        return None, "two_candidates"
    return None, "number_differs" if candidates else "unknown"


def _look_up(db: Connection, carrier: str, refs: Sequence[str]) -> dict[str, list[Part]]:
    found: dict[str, list[Part]] = defaultdict(list)
    if not refs:
        return found
    query = (
        select(
            submission.c.carrier_ref,
            submission.c.message_id,
            submission.c.attempt,
            submission.c.part,
            message.c.phone,
        )
        .join(message, message.c.id == submission.c.message_id)
        .where(submission.c.carrier == carrier, submission.c.carrier_ref.in_(refs))
    )
    for ref, *part in db.execute(query):
        found[ref].append(Part(*part))
    return found


def _append(
    db: Connection,
    carrier: str,
    rows: Sequence[bulk.Row],
    rule: str,
    retry: Retry | None,
    signs: Signs | None,
    now: datetime,
) -> None:
    if signs:
        numbers.note(db, carrier, rows, signs, now)
    failed = new_failures(db, rows, retry) if retry else set()
    if rule == "every":
        bulk.insert(db, receipt, RECEIPT_COLUMNS, rows, ignore=True)
    else:
        _take_back(db, rows)
        bulk.insert(db, receipt, RECEIPT_COLUMNS, rows, ignore=True)
        bulk.insert(db, receipt, RECEIPT_COLUMNS, _of_the_whole(db, rows, rule), ignore=True)
    mark_stale(db, {home_parcel(row[0]) for row in rows})
    if retry and failed:
        try_again(db, failed, retry, now)


def _take_back(db: Connection, rows: Sequence[bulk.Row]) -> None:
    """What was concluded of these parts from another's receipt: now the operator speaks of them itself."""
    r = receipt.c
    part = and_(r.message_id == bindparam("key"), r.attempt == bindparam("nth"), r.part == bindparam("place"))
    if rows:
        keys = [{"key": row[0], "nth": row[1], "place": row[2]} for row in rows]
        db.execute(delete(receipt).where(part, r.matched == WHOLE), keys)


def _of_the_whole(db: Connection, rows: Sequence[bulk.Row], rule: str) -> list[bulk.Row]:
    """The other parts of the long texts whose one receipt is among these, as far as nothing was said of them."""
    texts = {row[0] for row in rows}
    long = select(message.c.id, message.c.parts).where(message.c.id.in_(texts), message.c.parts > 1)
    parts: dict[int, int] = {row.id: row.parts for row in db.execute(long)}
    own = select(receipt.c.message_id, receipt.c.attempt, receipt.c.part)
    spoken_of = {
        tuple(row) for row in db.execute(own.where(receipt.c.message_id.in_(parts), receipt.c.matched != WHOLE))
    }
    return [
        (key, attempt, other, state, error, WHOLE, at)
        for key, attempt, part, state, error, _, at in rows
        if key in parts and _is_the_one(rule, part, parts[key])
        for other in range(1, parts[key] + 1)
        if (key, attempt, other) not in spoken_of
    ]


def _is_the_one(rule: str, part: int, parts: int) -> bool:
    return rule == "one" or part == (1 if rule == "first" else parts)


def settle(
    db: Connection,
    parked_before: datetime,
    rules: Mapping[str, str] = NO_RULES,
    limit: int = 500,
    after: int = 0,
    retries: Mapping[str, Retry] = NO_RETRIES,
    signs: Mapping[str, Signs] = NO_SIGNS,
    now: datetime | None = None,
) -> Settled:
    """Try parked receipts again: by reference first, then by number for texts whose fate is unknown.

    `rules`: account -> its rule of receipts; `retries`: account -> which failures are tried again, counted from `now`.
    `signs`: account -> what its codes say of numbers.
    One slice from the id `after` on; go on with `next`, so that what fits nobody's text is in no other's way.
    """
    unknown = and_(UNKNOWN, receipt_unmatched.c.parked_at <= parked_before)
    query = select(receipt_unmatched).where(unknown, receipt_unmatched.c.id > after)
    parked = db.execute(query.order_by(receipt_unmatched.c.id).limit(limit)).all()
    by_carrier: dict[str, list[Any]] = defaultdict(list)
    for row in parked:
        by_carrier[row.carrier].append(row)
    matched = 0
    for carrier, rows in by_carrier.items():
        learns = retries.get(carrier), signs.get(carrier)
        matched += _settle(db, carrier, rows, rules.get(carrier, "every"), *learns, now or parked_before)
    return Settled(matched, len(parked) - matched, parked[-1].id if len(parked) == limit else 0)


def _settle(
    db: Connection,
    carrier: str,
    rows: Sequence[Any],
    rule: str,
    retry: Retry | None,
    signs: Signs | None,
    now: datetime,
) -> int:
    found = _look_up(db, carrier, [row.carrier_ref for row in rows])
    unsettled = _without_receipt(db, carrier, {row.phone for row in rows})
    out = _still_out(db, carrier, unsettled)
    fitted: list[bulk.Row] = []
    done: list[int] = []
    named: list[tuple[Part, str]] = []
    for row in rows:
        told = Told(row.carrier_ref, row.phone, row.state, row.error, row.at)
        part, _ = _fit(told, found.get(row.carrier_ref, []))
        how = "ref"
        if part is None and row.phone not in out:
            part, how = _by_number(told, unsettled), "number"
            if part is not None:
                named.append((part, row.carrier_ref))
                found[row.carrier_ref] = [part]
        if part is not None:
            fitted.append((*part[:3], row.state, row.error, how, row.at))
            done.append(row.id)
    _append(db, carrier, fitted, rule, retry, signs, now)
    _name(db, carrier, named)
    if done:
        db.execute(delete(receipt_unmatched).where(receipt_unmatched.c.id.in_(done)))
    return len(done)


def _name(db: Connection, carrier: str, named: Sequence[tuple[Part, str]]) -> None:
    """Learn the references of parts whose answer never came: the same receipt again must not settle another text."""
    for part, ref in named:
        s = submission.c
        own = and_(s.message_id == part.message_id, s.attempt == part.attempt, s.part == part.part)
        nameless = and_(own, s.carrier == carrier, s.carrier_ref.is_(None))
        db.execute(update(submission).where(nameless).values(carrier_ref=ref))


Unsettled = dict[str, list["_Text"]]


@dataclass(slots=True)
class _Text:
    """A text to a number that has no receipt yet, with the parts that nobody has spoken of."""

    uncertain: bool
    created_at: datetime
    parts: list[Part]


def _by_number(told: Told, unsettled: Unsettled) -> Part | None:
    candidates = unsettled.get(told.phone, [])
    if len(candidates) != 1 or not candidates[0].uncertain or not candidates[0].parts:
        return None
    if candidates[0].created_at - told.at > SETTLE_BEFORE:
        return None
    return candidates[0].parts.pop(0)


def _still_out(db: Connection, carrier: str, phones: Iterable[str]) -> set[str]:
    """Those of the numbers with a text in an open parcel that is not answered yet: the receipt may be of that one."""
    answered = select(submission.c.message_id).where(
        submission.c.message_id == message.c.id, submission.c.attempt == parcel.c.attempt
    )
    held = and_(parcel.c.carrier == carrier, parcel.c.holder_epoch.is_not(None))
    to = and_(message.c.phone.in_(sorted(phones)), ~answered.exists())
    home = select(message.c.phone).join(parcel, parcel.c.id == home_of(message.c.id))
    found = set(db.execute(home.where(held, parcel.c.members.is_(None), to)).scalars())
    for key, members in db.execute(select(parcel.c.id, parcel.c.members).where(held, parcel.c.members.is_not(None))):
        again = select(message.c.phone).join(parcel, parcel.c.id == key).where(message.c.id.in_(members), to)
        found |= set(db.execute(again).scalars())
    return found


def _without_receipt(db: Connection, carrier: str, phones: Iterable[str]) -> Unsettled:
    """Texts to these numbers that may have arrived and of which nothing was said."""
    spoken_of = select(receipt.c.message_id).where(
        receipt.c.message_id == submission.c.message_id, receipt.c.attempt == submission.c.attempt
    )
    s = submission.c
    query = (
        select(message.c.phone, message.c.created_at, s.outcome, s.message_id, s.attempt, s.part)
        .join(message, message.c.id == s.message_id)
        .where(
            s.outcome.in_((Outcome.UNCERTAIN, Outcome.ACCEPTED)),
            s.carrier == carrier,
            message.c.phone.in_(sorted(phones)),
            ~spoken_of.exists(),
        )
        .order_by(s.message_id, s.attempt, s.part)
    )
    texts: dict[tuple[str, int, int], _Text] = {}
    for phone, created_at, outcome, key, attempt, part in db.execute(query):
        text = texts.setdefault((phone, key, attempt), _Text(outcome == Outcome.UNCERTAIN, created_at, []))
        text.parts.append(Part(key, attempt, part, phone))
    unsettled: Unsettled = defaultdict(list)
    for (phone, _, _), text in texts.items():
        unsettled[phone].append(text)
    return unsettled
