"""SQL of rosters: taking people in by the thousand, and letting one go.

Policy
- A person is found again by `key`: number and name, or without a number name, village and birth date. Taking a slice
  in is idempotent, so an import that was killed is run again from the start; `finished_at` tells which ones were not.
- A file speaks only of the columns it has: what it lacks stays as it was known.
- Who is no longer in a roster is counted by `missing` and never deleted by an import.
- What was forgotten is kept as an HMAC of the number, with the opt-outs that hold for it and the ids of what the law
  has us keep for a while (`retention` removes those in the end). A number that returns gets its opt-outs back first.
- A deleted person's id can be given out again on SQLite; so every row that bears it is cleared when it is forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, true, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.elements import ColumnElement

from gateway.store import bulk, numbers, payments, signups
from gateway.store import consent as ledger
from gateway.store.tables import case, consent, forgotten, left_out, message, person, prompt, roster_import
from gateway.store.types import sealed

Entry = Mapping[str, Any]
"""A person to take in: the columns of `person` but for id, roster, seen_import and updated_at."""

Word = tuple[str | None, str]
"""(category or None for all, "in" or "out")."""

SLICE = 1000


def key_of(name: str, phone: str | None, village: str, birth: date | None) -> str:
    """By what a person is found again."""
    if phone is not None:
        return f"{sealed(phone)}|{name}"
    return f"-|{name}|{village}|{birth.isoformat() if birth else ''}"


# -- taking in -------------------------------------------------------------------------------------------------


def begin(db: Connection, roster: str, sha256: str, by: str, now: datetime) -> int:
    """Note that an import begins; its id."""
    values = {"roster": roster, "sha256": sha256, "by": by, "started_at": now, "counts": {}}
    return bulk.insert_one(db, roster_import, **values)


def finish(db: Connection, import_id: int, counts: Mapping[str, Any], now: datetime) -> None:
    """Note that it is whole."""
    mine = roster_import.c.id == import_id
    db.execute(update(roster_import).where(mine).values(finished_at=now, counts=dict(counts)))


@dataclass(slots=True)
class Compared:
    """A slice beside what is known: `new` and `changed` as they are to be stored, `same` and `found` as ids."""

    new: list[Entry] = field(default_factory=list)
    changed: list[Entry] = field(default_factory=list)
    same: list[int] = field(default_factory=list)
    found: list[int] = field(default_factory=list)


def compare(db: Connection, entries: Sequence[Entry], given: Collection[str]) -> Compared:
    """Who of a slice is new, changed or known as they are; only the columns `given` are compared."""
    rows = db.execute(select(person).where(person.c.key.in_([one["key"] for one in entries])))
    known = {row["key"]: row for row in rows.mappings()}
    compared = Compared()
    for one in entries:
        row = known.get(one["key"])
        if row is None:
            compared.new.append(one)
            continue
        compared.found.append(row["id"])
        if all(row[name] == one[name] for name in given):
            compared.same.append(row["id"])
        else:
            compared.changed.append({name: one[name] if name in given else row[name] for name in one})
    return compared


def take(
    db: Connection, import_id: int, roster: str, entries: Sequence[Entry], given: Collection[str], now: datetime
) -> Compared:
    """Insert or update a slice of people and mark them as seen by this import."""
    compared = compare(db, entries, given)
    stored = [*compared.new, *compared.changed]
    if stored:
        ours = {"roster": roster, "seen_import": import_id, "updated_at": now}
        db.execute(_upsert(db, (*stored[0], *ours)), [{**one, **ours} for one in stored])
    if compared.same:
        seen = update(person).where(person.c.id.in_(compared.same))
        db.execute(seen.values(roster=roster, seen_import=import_id))
    return compared


def _upsert(db: Connection, columns: Iterable[str]) -> Any:
    dialect = sqlite if db.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(person)
    changes = {name: statement.excluded[name] for name in columns if name != "key"}
    return statement.on_conflict_do_update(index_elements=["key"], set_=changes)


def missing(db: Connection, roster: str, import_id: int, limit: int) -> tuple[int, list[Any]]:
    """People of this roster whom the import did not see: how many, and the first as (id, name, village)."""
    gone = and_(person.c.roster == roster, person.c.seen_import != import_id)
    count = db.execute(select(func.count()).where(gone)).scalar_one()
    columns = (person.c.id, person.c.name, person.c.village)
    return int(count), list(db.execute(select(*columns).where(gone).order_by(person.c.id).limit(limit)))


def of_roster(db: Connection, roster: str) -> list[Any]:
    """(id, name, village) of everybody of this roster."""
    columns = (person.c.id, person.c.name, person.c.village)
    return list(db.execute(select(*columns).where(person.c.roster == roster).order_by(person.c.id)))


# -- looking ---------------------------------------------------------------------------------------------------


def _within(area: str) -> ColumnElement[bool]:
    return person.c.area.startswith(area, autoescape=True) if area else true()


def find(db: Connection, phone: str | None, name: str, area: str, limit: int) -> list[Any]:
    """People with this number (theirs or their taker's), or whose name holds `name`."""
    if phone is not None:
        fits = or_(person.c.phone == sealed(phone), person.c.taker_phone == sealed(phone))
    else:
        fits = person.c.name.contains(name, autoescape=True)
    query = select(person).where(fits, _within(area)).order_by(person.c.name, person.c.id)
    return list(db.execute(query.limit(limit)))


def export_page(db: Connection, area: str, after: tuple[str, str, str, int] | None, limit: int) -> list[Any]:
    """The next people in the order of a printed roster: area, village, group, id."""
    p = person.c
    place = (p.area, p.village, p.grp, p.id)
    query = select(person).where(_within(area)).order_by(*place).limit(limit)
    if after is not None:
        tied: ColumnElement[bool] = true()
        beyond = []
        for column, value in zip(place, after, strict=True):
            beyond.append(and_(tied, column > value))
            tied = and_(tied, column == value)
        query = query.where(or_(*beyond))
    return list(db.execute(query))


def totals(db: Connection, area: str) -> Any:
    """One row: people, numbers (each once), without_number, away."""
    p = person.c
    return db.execute(
        select(
            func.count().label("people"),
            func.count(p.phone.distinct()).label("numbers"),
            func.count().filter(p.phone.is_(None)).label("without_number"),
            func.count().filter(p.away_to != "").label("away"),
        ).where(_within(area))
    ).one()


def per(db: Connection, column: str, area: str) -> list[tuple[str, int]]:
    """(value, people) by `roster` or `village`, most people first."""
    by = person.c[column]
    query = select(by, func.count()).where(_within(area)).group_by(by).order_by(func.count().desc(), by)
    return [(row[0], row[1]) for row in db.execute(query)]


def imports(db: Connection, limit: int) -> list[Any]:
    """The newest imports, unfinished ones too."""
    return list(db.execute(select(roster_import).order_by(roster_import.c.id.desc()).limit(limit)))


# -- forgetting ------------------------------------------------------------------------------------------------


def in_force(words: Iterable[Word]) -> list[Word]:
    """What still counts of a number's words, oldest first: a word about all overrules what was said before it."""
    about_all, single = "in", dict[str, str]()
    for category, state in words:
        if category is None:
            about_all = state
            single.clear()
        else:
            single[category] = state
    kept: list[Word] = [(None, "out")] if about_all == "out" else []
    return kept + [(name, state) for name, state in sorted(single.items()) if state != about_all]


def users(db: Connection, phone: str) -> list[Any]:
    """Everybody whose own number this is, and everybody whose texts somebody takes there."""
    fits = or_(person.c.phone == sealed(phone), person.c.taker_phone == sealed(phone))
    return list(db.execute(select(person).where(fits).order_by(person.c.id)))


def without_number(db: Connection, name: str, village: str) -> list[Any]:
    """People of this name who have no number of their own; `village` "" is any."""
    query = select(person).where(person.c.phone.is_(None), person.c.name == name)
    return list(db.execute(query.where(person.c.village == village) if village else query))


def remove(db: Connection, ids: Collection[int], phones: Collection[str]) -> None:
    """Delete people. Texts sent to `phones` remain, but no longer say to whom; payments and sign-ups name nobody."""
    names = db.execute(select(person.c.name).where(person.c.id.in_(ids))).scalars().all()
    payments.forget(db, phones, names)
    signups.forget(db, phones, names)
    db.execute(delete(person).where(person.c.id.in_(ids)))
    theirs = and_(message.c.phone.in_([sealed(phone) for phone in phones]), message.c.person_id.in_(ids))
    db.execute(update(message).where(theirs).values(person_id=None))
    about = and_(case.c.phone.in_([sealed(phone) for phone in phones]), case.c.person_id.in_(ids))
    db.execute(update(case).where(about).values(person_id=None))


def let_number_go(db: Connection, phone: str, phone_hmac: str, now: datetime) -> list[Word]:
    """Nobody uses this number any more: keep its opt-outs under the HMAC, and note what is to go later."""
    db.execute(update(person).where(person.c.taker_phone == sealed(phone)).values(taker_phone=None))
    db.execute(delete(prompt).where(prompt.c.phone == sealed(phone)))
    payments.forget(db, [phone])
    signups.forget(db, [phone])
    numbers.forget(db, phone)
    rows = ledger.history(db, phone)
    cases = db.execute(select(case.c.id).where(case.c.phone == sealed(phone))).scalars().all()
    before = _kept(db, phone_hmac)
    words = in_force([*(before["words"] if before else ()), *((row.category, row.state) for row in rows)])
    kept = {"words": words, "ledger": [row.id for row in rows], "cases": list(cases)}
    db.execute(delete(forgotten).where(forgotten.c.phone_hmac == phone_hmac))
    db.execute(insert(forgotten).values(phone_hmac=phone_hmac, optouts=kept, at=now))
    return words


def _kept(db: Connection, phone_hmac: str) -> dict[str, Any] | None:
    query = select(forgotten.c.optouts).where(forgotten.c.phone_hmac == phone_hmac)
    kept: dict[str, Any] | None = db.execute(query).scalar_one_or_none()
    return kept


def left_out_rows(db: Connection, ids: Collection[int], phone: str | None) -> list[tuple[int, int]]:
    """Where somebody was left out of a broadcast: (broadcast_id, seq)."""
    theirs = left_out.c.person_id.in_(ids)
    fits = theirs if phone is None else or_(theirs, left_out.c.phone == sealed(phone))
    return [(row[0], row[1]) for row in db.execute(select(left_out.c.broadcast_id, left_out.c.seq).where(fits))]


def any_forgotten(db: Connection) -> bool:
    """Whether any number was ever forgotten, so that the secret it was hashed with is needed."""
    return db.execute(select(forgotten.c.phone_hmac).limit(1)).one_or_none() is not None


def come_back(db: Connection, hmacs: Mapping[str, str], by: str, now: datetime) -> int:
    """Forgotten numbers that a roster brings back (HMAC -> number) get their opt-outs back; answers how many."""
    rows = db.execute(select(forgotten).where(forgotten.c.phone_hmac.in_(list(hmacs)))).all()
    for row in rows:
        _come_back(db, row, hmacs[row.phone_hmac], by, now)
    return len(rows)


def _come_back(db: Connection, row: Any, phone: str, by: str, now: datetime) -> None:
    said = [(one.category, one.state, one.at) for one in ledger.history(db, phone)]
    since = [(category, state) for category, state, at in said if at > row.at]
    wanted = in_force([*((category, state) for category, state in row.optouts["words"]), *since])
    if wanted != in_force([(category, state) for category, state, _ in said]):
        values = {"phone": sealed(phone), "source": "forgotten", "wording": "", "by": by, "at": now}
        db.execute(insert(consent), [{**values, "category": category, "state": state} for category, state in wanted])
    db.execute(delete(forgotten).where(forgotten.c.phone_hmac == row.phone_hmac))
