"""SQL of people: selecting an audience. (The roster's import and `forget` are in `store.rosters`.)"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, and_, or_, select, true
from sqlalchemy.sql.elements import ColumnElement

from gateway.store.tables import person
from gateway.store.types import sealed

MANY = 500
"""Names in one statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Conditions on people, all of which must hold; the empty ones hold for everybody.

    `areas` are prefixes of administrative-division codes, any of which will do. Births lie after `born_after`
    and not after `born_until`; whoever has no birth date fits no span of ages.
    """

    areas: Collection[str] = ()
    villages: Collection[str] = ()
    tags: Collection[str] = ()
    sex: str | None = None
    born_after: date | None = None
    born_until: date | None = None
    away: bool | None = None


def tag_text(tags: Collection[str]) -> str:
    """Tags as they are stored, so that one can be looked for whole: ";党员;种粮户;"."""
    return f";{';'.join(tags)};" if tags else ""


def select_people(db: Connection, wanted: Selection, after: int, limit: int) -> list[Any]:
    """The next people by id: id, name, phone, taker_phone, village, grp, area, away_to."""
    p = person.c
    columns = (p.id, p.name, p.phone, p.taker_phone, p.village, p.grp, p.area, p.away_to)
    query = select(*columns).where(p.id > after, _fits(wanted)).order_by(p.id).limit(limit)
    return list(db.execute(query).all())


def _fits(wanted: Selection) -> ColumnElement[bool]:
    p = person.c
    conditions: list[ColumnElement[bool]] = [true()]
    if wanted.areas:
        conditions.append(or_(*(p.area.startswith(area, autoescape=True) for area in wanted.areas)))
    if wanted.villages:
        conditions.append(p.village.in_(wanted.villages))
    if wanted.tags:
        conditions.append(or_(*(p.tags.contains(f";{tag};", autoescape=True) for tag in wanted.tags)))
    if wanted.sex:
        conditions.append(p.sex == wanted.sex)
    if wanted.born_after is not None:
        conditions.append(p.birth > wanted.born_after)
    if wanted.born_until is not None:
        conditions.append(p.birth <= wanted.born_until)
    if wanted.away is not None:
        conditions.append(p.away_to != "" if wanted.away else p.away_to == "")
    return and_(*conditions)


def names_by_phone(db: Connection) -> dict[str, list[str]]:
    """Every number of the roster with the names of those who use it."""
    found: dict[str, list[str]] = {}
    for row in db.execute(select(person.c.phone, person.c.name).where(person.c.phone.is_not(None))):
        found.setdefault(row.phone, []).append(row.name)
    return found


def by_phone(db: Connection, phone: str) -> list[Any]:
    """Everybody who uses this number."""
    return list(db.execute(select(person).where(person.c.phone == sealed(phone)).order_by(person.c.id)).all())


def ids_by_key(db: Connection) -> dict[tuple[str, str], int]:
    """(number, name) -> person id."""
    p = person.c
    rows = db.execute(select(p.phone, p.name, p.id).where(p.phone.is_not(None)))
    return {(row.phone, row.name): row.id for row in rows}


def ids_of_names(db: Connection, names: Collection[str]) -> set[int]:
    """Everybody of these names."""
    return set(db.execute(select(person.c.id).where(person.c.name.in_(names))).scalars())


def known_names(db: Connection, names: Collection[str]) -> set[str]:
    """Those of `names` that somebody of the roster has."""
    wanted, found = sorted(names), set[str]()
    for start in range(0, len(wanted), MANY):
        some = wanted[start : start + MANY]
        found.update(db.execute(select(person.c.name).where(person.c.name.in_(some))).scalars())
    return found
