"""SQL of the consent ledger: who wants which category of notices. Append-only.

Policy
- The newest row that speaks of a category, or of all of them (category None), decides. No row at all means yes: these
  are notices of a public office, which everybody gets until they say no.
- `operator_block`: the operator itself holds back whatever we send. Nothing lifts it, for nothing would arrive.
- Rows are never changed. `forget` keeps the opt-outs of a number under its HMAC.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, or_, select

from gateway.store import bulk
from gateway.store.tables import consent
from gateway.store.types import sealed

OPERATOR_BLOCK = "operator_block"
"""The source of a word that is the operator's."""

Word = Literal["in", "out"]


def append(
    db: Connection,
    phone: str,
    category: str | None,
    state: Word,
    *,
    source: str,
    wording: str,
    by: str,
    at: datetime,
) -> int:
    """Add one word of consent; `wording` is what the person wrote, `by` who entered it. Answers the row's id."""
    values = {"phone": sealed(phone), "category": category, "state": state, "source": source}
    return bulk.insert_one(db, consent, **values, wording=wording, by=by, at=at)


def opted_out(db: Connection, category: str) -> set[str]:
    """Numbers whose newest word about this category is no."""
    about = or_(consent.c.category.is_(None), consent.c.category == category)
    rows = db.execute(select(consent.c.phone, consent.c.state).where(about).order_by(consent.c.id))
    newest = {row.phone: row.state for row in rows}
    return {phone for phone, state in newest.items() if state == "out"} | blocked(db)


def wants(db: Connection, phone: str, category: str) -> bool:
    """Whether this number's newest word about the category is not no."""
    about = or_(consent.c.category.is_(None), consent.c.category == category)
    query = select(consent.c.state).where(consent.c.phone == sealed(phone), about)
    newest = db.execute(query.order_by(consent.c.id.desc()).limit(1)).scalar_one_or_none()
    return newest != "out" and not is_blocked(db, phone)


def blocked(db: Connection) -> set[str]:
    """Numbers that an operator has on its own blacklist."""
    return set(db.execute(select(consent.c.phone).where(consent.c.source == OPERATOR_BLOCK)).scalars())


def is_blocked(db: Connection, phone: str) -> bool:
    """Whether this is one of them."""
    mine = select(consent.c.id).where(consent.c.phone == sealed(phone), consent.c.source == OPERATOR_BLOCK)
    return db.execute(mine.limit(1)).one_or_none() is not None


def block(db: Connection, phone: str, code: str, *, by: str, at: datetime) -> None:
    """The operator said so with this code, to the account `by`; written down once."""
    if not is_blocked(db, phone):
        append(db, phone, None, "out", source=OPERATOR_BLOCK, wording=code, by=by, at=at)


def history(db: Connection, phone: str) -> list[Any]:
    """The number's rows, oldest first: category, state, source, wording, by, at."""
    query = select(consent).where(consent.c.phone == sealed(phone)).order_by(consent.c.id)
    return list(db.execute(query).all())
