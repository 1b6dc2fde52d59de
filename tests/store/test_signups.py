"""A course's list: the order of its line, and who is taken out of it."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import insert

from gateway.store import Store, retention, rosters, signups
from gateway.store.signups import IN, OUT, WAITING
from gateway.store.tables import person
from tests.conftest import NOON

MOTHER, SON = "+8613800130001", "+8618200130002"


async def put(store: Store, phone: str, name: str, state: str, minutes: int = 0) -> None:
    await store.write(signups.put, "hangong", phone, name, state, NOON + timedelta(minutes=minutes))


async def line(store: Store, *states: str) -> list[tuple[str, str, str]]:
    found = await store.read(signups.listed, "hangong", *states)
    return [(row.phone, row.name, row.state) for row in found]


async def test_the_line_is_in_the_order_of_the_last_change(store: Store) -> None:
    await put(store, MOTHER, "高秀英", WAITING)
    await put(store, SON, "王强", WAITING, minutes=1)
    await put(store, MOTHER, "高秀英", OUT, minutes=2)
    assert await line(store) == [(SON, "王强", WAITING)]
    await put(store, MOTHER, "高秀英", WAITING, minutes=3)
    assert [name for _, name, _ in await line(store, WAITING)] == ["王强", "高秀英"]
    assert await store.read(signups.count, "hangong", WAITING) == 2
    assert await store.read(signups.count, "other", WAITING) == 0


async def test_people_on_one_number_are_told_apart_by_name(store: Store) -> None:
    await put(store, MOTHER, "高秀英", IN)
    await put(store, MOTHER, "王强", IN)
    assert len(await store.read(signups.find, "hangong", MOTHER)) == 2
    (row,) = await store.read(signups.find, "hangong", MOTHER, "王强")
    await store.write(signups.move, row.id, OUT, NOON)
    assert await line(store) == [(MOTHER, "高秀英", IN)]


async def test_a_sweep_takes_names_and_numbers_and_leaves_who_stood_where(store: Store) -> None:
    await put(store, MOTHER, "高秀英", IN)
    await put(store, SON, "王强", IN)
    await put(store, SON, "王小强", WAITING, minutes=24 * 60)
    later = NOON + timedelta(days=180, minutes=1)
    assert (await store.write(retention.sweep, later, 180)).counts["signups"] == 2
    assert (await store.write(retention.sweep, later, 180)).counts["signups"] == 0
    assert [(phone, state) for phone, _, state in await line(store)] == [("*", IN), ("*", IN), (SON, WAITING)]


async def test_whoever_is_forgotten_gives_the_place_back(store: Store) -> None:
    await put(store, MOTHER, "高秀英", IN)
    await put(store, MOTHER, "王强", IN)
    row = {"village": "", "grp": "", "area": "", "sex": "", "tags": "", "away_to": "", "note": "", "roster": "town"}
    one = insert(person).values(**row, id=7, key="k", name="高秀英", phone=MOTHER, seen_import=1, updated_at=NOON)
    await store.write(lambda db: db.execute(one))
    await store.write(rosters.remove, [7], [MOTHER])
    assert await line(store) == [(MOTHER, "王强", IN)]
    await store.write(rosters.let_number_go, MOTHER, "hmac", NOON)
    assert await line(store) == []
    assert {phone for phone, _, _ in await line(store, OUT)} == {"*"}
