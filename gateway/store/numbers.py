"""SQL of numbers that operators call dead or blocked: signs by day, what confirms a number, the operators' own no.

Policy
- A number is dead when undisputed word of it came on one day and any word on another, none of it void and all of it
  since somebody confirmed the number; or when its new owner says so. One receipt never makes a number dead.
- Signs are void where they came in a sudden cluster: then the operator screens us, and the numbers are as they were.
- What is blocked at the operator goes into the consent ledger as `operator_block`, once; nothing lifts that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Select, and_, case, delete, distinct, func, or_, select, update

from gateway import phone as phones
from gateway.model import Outcome, ReceiptState
from gateway.store import bulk, consent
from gateway.store.tables import message, number_confirmed, number_sign, receipt, submission
from gateway.store.types import sealed

SIGN_COLUMNS = ("phone", "day", "disputed", "code", "carrier", "operator", "message_id", "void", "at")


NEW_OWNER = "new-owner"
"""The code of a word that is no operator's: whoever has the number now wrote that it is newly theirs."""

Sign = tuple[Literal["dead", "blocked"], bool]
"""What a code says of a number for more than this one text, and whether that is disputed."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What an account's codes say of numbers, and the zone in which its days are counted."""

    means: Callable[[str], Sign | None]
    zone: ZoneInfo


def note(db: Connection, carrier: str, rows: Sequence[bulk.Row], signs: Signs, now: datetime) -> None:
    """Keep what these receipts (in the order of RECEIPT_COLUMNS) say of their numbers."""
    said = [(row[0], row[4], sign) for row in rows if row[3] == ReceiptState.UNDELIVERED and row[4]
            and (sign := signs.means(row[4])) is not None]  # fmt: skip
    if not said:
        return
    _note(db, carrier, said, now.astimezone(signs.zone).date(), now)


def note_refused(db: Connection, carrier: str, since: datetime, signs: Signs, now: datetime) -> None:
    """The same of what the account's operator refused at the submit from `since` on; twice is once."""
    s = submission.c
    refused = and_(s.carrier == carrier, s.at >= since, s.outcome == Outcome.REJECTED, s.error.is_not(None))
    rows = db.execute(select(s.message_id, s.error).where(refused)).all()
    said = [(row.message_id, row.error, sign) for row in rows if (sign := signs.means(row.error)) is not None]
    if said:
        _note(db, carrier, said, now.astimezone(signs.zone).date(), now)


def _note(db: Connection, carrier: str, said: Sequence[tuple[int, str, Sign]], day: date, now: datetime) -> None:
    numbers = _numbers(db, {key for key, _, _ in said})
    dead = [
        (sealed(number), day, disputed, code, carrier, phones.operator(number) or "", key, False, now)
        for key, code, (kind, disputed) in said
        if kind == "dead" and (number := numbers.get(key))
    ]
    bulk.insert(db, number_sign, SIGN_COLUMNS, list(dict.fromkeys(dead)), ignore=True)
    blocked = {numbers[key]: code for key, code, sign in said if sign == ("blocked", False) and key in numbers}
    for number, code in blocked.items():
        consent.block(db, number, code, by=carrier, at=now)


def _numbers(db: Connection, keys: set[int]) -> dict[int, str]:
    rows = db.execute(select(message.c.id, message.c.phone).where(message.c.id.in_(keys)))
    return {row.id: row.phone for row in rows if "*" not in row.phone}


# -- dead numbers ----------------------------------------------------------------------------------------------


def dead(db: Connection) -> set[str]:
    """Numbers to which no personal text goes until somebody has confirmed them."""
    return set(db.execute(_dead()).scalars())


def is_dead(db: Connection, number: str) -> bool:
    """Whether this is one of them."""
    return db.execute(_dead().where(number_sign.c.phone == sealed(number))).one_or_none() is not None


def _dead() -> Select[Any]:
    s, c = number_sign.c, number_confirmed.c
    since = or_(c.at.is_(None), s.at > c.at)
    sure = func.sum(case((s.disputed, 0), else_=1))
    given_out = func.sum(case((s.code == NEW_OWNER, 1), else_=0))
    query = select(s.phone).outerjoin(number_confirmed, c.phone == s.phone).where(~s.void, since)
    twice = and_(func.count(distinct(s.day)) >= 2, sure > 0)
    return query.group_by(s.phone).having(or_(twice, given_out > 0))


def given_out_again(db: Connection, number: str, source: str, day: date, at: datetime) -> None:
    """Whoever wrote from it says that the number is newly theirs."""
    row = (sealed(number), day, False, NEW_OWNER, source, phones.operator(number) or "", 0, False, at)
    mine = and_(number_sign.c.phone == sealed(number), number_sign.c.day == day, ~number_sign.c.disputed)
    db.execute(delete(number_sign).where(mine))  # it says more than a receipt of the same day
    bulk.insert(db, number_sign, SIGN_COLUMNS, [row])


def signs_of(db: Connection, number: str) -> Sequence[Any]:
    """What operators said of a number since it was confirmed last, oldest first."""
    s, c = number_sign.c, number_confirmed.c
    query = select(number_sign).outerjoin(number_confirmed, c.phone == s.phone)
    mine = and_(s.phone == sealed(number), or_(c.at.is_(None), s.at > c.at))
    return list(db.execute(query.where(mine).order_by(s.day, s.id)).all())


def confirm(db: Connection, number: str, by: str, how: str, at: datetime) -> None:
    """The number is whose it is said to be; what was said before counts no more."""
    db.execute(delete(number_confirmed).where(number_confirmed.c.phone == sealed(number)))
    bulk.insert(db, number_confirmed, ("phone", "by", "how", "at"), [(sealed(number), by, how, at)])


def confirmed(db: Connection, number: str) -> Any:
    """Who confirmed it last, and when; None where nobody did."""
    return db.execute(select(number_confirmed).where(number_confirmed.c.phone == sealed(number))).one_or_none()


def forget(db: Connection, number: str) -> None:
    """Nothing of it is kept."""
    for table in (number_sign, number_confirmed):
        db.execute(delete(table).where(table.c.phone == sealed(number)))


# -- clusters --------------------------------------------------------------------------------------------------


class Cluster(NamedTuple):
    """Signs of one operator since a moment, and the range of the texts they are about."""

    operator: str
    signs: int
    first: int
    last: int


def since(db: Connection, at: datetime) -> list[Cluster]:
    """By operator, what counts and came since then."""
    s = number_sign.c
    query = select(s.operator, func.count(), func.min(s.message_id), func.max(s.message_id))
    query = query.where(s.at >= at, ~s.void, s.code != NEW_OWNER)
    return [Cluster(*row) for row in db.execute(query.group_by(s.operator).order_by(s.operator))]


def told_of(db: Connection, cluster: Cluster) -> int:
    """Texts to that operator in the cluster's range of which the operator has said anything."""
    query = select(message.c.phone).join(receipt, receipt.c.message_id == message.c.id)
    span = query.where(receipt.c.message_id.between(cluster.first, cluster.last), receipt.c.part == 1)
    return sum((phones.operator(number) or "") == cluster.operator for number in db.execute(span).scalars())


def void(db: Connection, operator: str, at: datetime) -> int:
    """What came of an operator since then counts no more; answers how many signs."""
    s = number_sign.c
    mine = and_(s.operator == operator, s.at >= at, ~s.void, s.code != NEW_OWNER)
    return db.execute(update(number_sign).where(mine).values(void=True)).rowcount


def days(rows: Sequence[Any]) -> list[date]:
    """The days of signs that count."""
    return sorted({row.day for row in rows if not row.void})
