"""The audit trail: what is appended holds, and anything done to it afterwards shows."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from gateway.store import Store, audit
from gateway.store.audit import Flaw
from gateway.store.tables import audit as rows
from gateway.store.tables import audit_day
from tests.conftest import NOON

DAY = timedelta(days=1)


async def append(store: Store, at: datetime, n: int = 1) -> None:
    for _ in range(n):
        await store.write(audit.append, at, "wang", "draft", "broadcast 1", {"texts": 3, "title": "合疗"})


async def flaws(store: Store) -> list[Flaw]:
    return (await store.read(audit.verify))[1]


@pytest.fixture
async def trail(store: Store) -> Store:
    """Three days of three rows."""
    for day in range(3):
        await append(store, NOON + day * DAY, 3)
    return store


async def test_an_untouched_trail_is_whole(trail: Store) -> None:
    assert await trail.read(audit.verify) == (9, [])


async def test_an_empty_trail_is_whole(store: Store) -> None:
    assert await store.read(audit.verify) == (0, [])


MIDDLE = (NOON + DAY).date()
OF_MIDDLE = rows.c.day == MIDDLE
TAMPERED = {
    "changed who": (update(rows).where(OF_MIDDLE, rows.c.seq == 2).values(who="li"), "changed"),
    "changed what": (update(rows).where(OF_MIDDLE, rows.c.seq == 1).values(what={"texts": 4}), "changed"),
    "changed time": (update(rows).where(OF_MIDDLE, rows.c.seq == 3).values(at=NOON), "changed"),
    "removed the first": (delete(rows).where(OF_MIDDLE, rows.c.seq == 1), "missing"),
    "removed one between": (delete(rows).where(OF_MIDDLE, rows.c.seq == 2), "missing"),
    "removed the last": (delete(rows).where(OF_MIDDLE, rows.c.seq == 3), "end"),
    "removed all of a day": (delete(rows).where(OF_MIDDLE), "end"),
    "removed a day's head": (delete(audit_day).where(audit_day.c.day == MIDDLE), "end"),
}


@pytest.mark.parametrize("how", TAMPERED)
async def test_what_is_done_to_it_shows(trail: Store, how: str) -> None:
    statement, kind = TAMPERED[how]
    await trail.write(lambda db: db.execute(statement) and None)
    found = await flaws(trail)
    assert (MIDDLE, kind) in {(flaw.day, flaw.what) for flaw in found}


async def test_a_gap_is_told_once(trail: Store) -> None:
    await trail.write(lambda db: db.execute(delete(rows).where(OF_MIDDLE, rows.c.seq == 1)) and None)
    found = [flaw for flaw in await flaws(trail) if flaw.what == "missing"]
    assert found == [Flaw(MIDDLE, 2, "missing")]


async def test_rows_that_changed_places_show(trail: Store) -> None:
    def swap(db: Connection) -> None:
        for old, new in ((1, 9), (2, 1), (9, 2)):
            db.execute(update(rows).where(OF_MIDDLE, rows.c.seq == old).values(seq=new))

    await trail.write(swap)
    assert {"moved", "changed"} <= {flaw.what for flaw in await flaws(trail)}


async def test_a_day_removed_with_its_head_shows_at_the_next(trail: Store) -> None:
    def remove(db: Connection) -> None:
        db.execute(delete(rows).where(OF_MIDDLE))
        db.execute(delete(audit_day).where(audit_day.c.day == MIDDLE))

    await trail.write(remove)
    assert [(flaw.day, flaw.what) for flaw in await flaws(trail)] == [((NOON + 2 * DAY).date(), "moved")]


async def test_a_row_slipped_in_shows(trail: Store) -> None:
    def slip(db: Connection) -> None:
        last = db.execute(select(rows).where(OF_MIDDLE, rows.c.seq == 3)).one()._asdict()
        db.execute(insert(rows).values({**last, "seq": 4, "previous": last["hash"]}))

    await trail.write(slip)
    assert await flaws(trail) != []


async def test_while_the_clock_is_behind_rows_join_the_newest_day(trail: Store) -> None:
    await append(trail, NOON - 30 * DAY, 2)
    assert await trail.read(audit.verify) == (11, [])
    newest = select(rows.c.day).where(rows.c.at < NOON)
    assert set(await trail.read(lambda db: db.execute(newest).scalars().all())) == {(NOON + 2 * DAY).date()}


async def test_rows_written_at_once_are_chained_one_after_another(store: Store) -> None:
    await asyncio.gather(*(append(store, NOON, 5) for _ in range(6)))
    assert await store.read(audit.verify) == (30, [])
