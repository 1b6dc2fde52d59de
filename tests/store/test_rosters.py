"""What stays of a number's words, what counts as the same person, and what a sweep may and may not touch."""

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from gateway.model import Outcome, ParcelState
from gateway.store import Store, parcels, retention, rosters, tables
from gateway.store.parcels import Again, Queued
from gateway.store.rosters import Word, in_force, key_of
from tests.conftest import NOON
from tests.store.outbound import envelope, number

LATER = NOON + timedelta(days=181)
DAYS = 180


def person(name: str, phone: str | None, **values: Any) -> dict[str, Any]:
    plain = {"village": "", "grp": "", "area": "61", "sex": "", "birth": None, "tags": "", "away_to": "", "note": ""}
    row = {**plain, "name": name, "phone": phone, "taker_phone": None, **values}
    return {"key": key_of(name, phone, row["village"], row["birth"]), **row}


@pytest.mark.parametrize(
    ("said", "holds"),
    [
        ([], []),
        ([("jobs", "in")], []),
        ([("jobs", "out"), ("jobs", "in")], []),
        ([("jobs", "out"), ("jobs", "in"), ("jobs", "out")], [("jobs", "out")]),
        ([("jobs", "out"), (None, "in")], []),
        ([("jobs", "out"), (None, "out")], [(None, "out")]),
        ([(None, "out"), ("weather", "in"), ("jobs", "out")], [(None, "out"), ("weather", "in")]),
        ([(None, "out"), (None, "in"), ("weather", "out")], [("weather", "out")]),
    ],
)
def test_of_a_numbers_words_the_newest_about_each_category_holds(said: list[Word], holds: list[Word]) -> None:
    assert in_force(said) == holds
    assert in_force(in_force(said)) == holds


def test_a_person_is_number_and_name_or_name_village_and_birth() -> None:
    assert key_of("惠安", number(1), "枣湾村", date(1950, 1, 2)) == f"{number(1)}|惠安"
    assert key_of("惠安", None, "枣湾村", date(1950, 1, 2)) == "-|惠安|枣湾村|1950-01-02"
    assert key_of("惠安", None, "", None) == "-|惠安||"


async def test_taking_in_keeps_ids_and_marks_whom_it_saw(store: Store) -> None:
    first = [person("惠安", number(1)), person("白贝", number(2), note="旧")]
    taken = await store.write(rosters.take, 1, "town", first, {"note"}, NOON)
    assert (len(taken.new), taken.found) == (2, [])
    before = await store.read(lambda db: {row.name: row for row in db.execute(select(tables.person))})
    second = [person("白贝", number(2), note="新", village="不算"), person("新人", number(3))]
    taken = await store.write(rosters.take, 2, "town", second, {"note"}, LATER)
    assert ([one["name"] for one in taken.new], [one["note"] for one in taken.changed]) == (["新人"], ["新"])
    after = await store.read(lambda db: {row.name: row for row in db.execute(select(tables.person))})
    assert after["白贝"].id == before["白贝"].id
    assert (after["白贝"].note, after["白贝"].village, after["白贝"].updated_at) == ("新", "", LATER)
    assert after["惠安"] == before["惠安"]
    total, gone = await store.read(rosters.missing, "town", 2, 10)
    assert (total, [row.name for row in gone]) == (1, ["惠安"])


async def test_people_are_exported_page_by_page_in_the_order_of_the_printed_roster(store: Store) -> None:
    places = [("2", "b", "1组"), ("1", "b", "2组"), ("1", "a", "9组"), ("1", "b", "1组"), ("1", "b", "1组")]
    people = [
        person(f"人{at}", number(at), area=area, village=village, grp=group)
        for at, (area, village, group) in enumerate(places)
    ]
    await store.write(rosters.take, 1, "town", people, (), NOON)
    names: list[str] = []
    after = None
    while page := await store.read(rosters.export_page, "", after, 2):
        names += [row.name for row in page]
        after = (page[-1].area, page[-1].village, page[-1].grp, page[-1].id)
    assert names == ["人2", "人3", "人4", "人1", "人0"]


async def sweep_all(store: Store, limit: int = 2) -> dict[str, int]:
    totals = dict.fromkeys(retention.KINDS, 0)
    swept = retention.Swept()
    while not swept.done:
        swept = await store.write(retention.sweep, LATER, DAYS, DAYS, limit, swept.after)
        assert max(swept.counts.values()) <= limit
        for kind, count in swept.counts.items():
            totals[kind] += count
    return totals


async def end_all(store: Store, state: ParcelState = ParcelState.DONE) -> None:
    await store.write(lambda db: db.execute(update(tables.parcel).values(state=state)))


async def texts(store: Store) -> list[tuple[str, str | None]]:
    columns = (tables.message.c.phone, tables.message.c.body)
    rows = await store.read(lambda db: db.execute(select(*columns).order_by(tables.message.c.id)).all())
    return [(row[0], row[1]) for row in rows]


async def test_a_sweep_masks_old_texts_in_slices_and_leaves_shared_bodies(store: Store) -> None:
    own = [Queued(number(n), 7, f"补贴{n}", 1) for n in range(3)]
    personal = await store.write(parcels.queue, envelope(body=None), own, NOON)
    shared = await store.write(parcels.queue, envelope(), [Queued(number(3), None, None, 1)], NOON)
    answer = await store.write(
        parcels.queue, envelope(broadcast_id=0, body="您的事办好了"), [Queued(number(4), None, None, 1)], NOON
    )
    await store.write(parcels.queue, envelope(), [Queued(number(5), None, None, 1)], LATER)
    await end_all(store)
    start = await store.read(retention.begin, LATER, DAYS)
    assert 0 < start < personal << 10 <= start + 1
    assert (await sweep_all(store))["messages"] == 5
    masks = [(f"138****{n:04}", "" if n < 3 else None) for n in range(5)]
    assert await texts(store) == [*masks, (number(5), None)]
    bodies = await store.read(lambda db: {row.id: row.body for row in db.execute(select(tables.parcel))})
    assert (bodies[shared], bodies[answer]) == (envelope().body, "")
    owners = await store.read(lambda db: set(db.execute(select(tables.message.c.person_id)).scalars()))
    assert owners == {None}
    assert not any((await sweep_all(store)).values())


@pytest.mark.parametrize("state", [ParcelState.HELD, ParcelState.READY])
async def test_a_text_that_may_still_leave_is_not_touched(store: Store, state: ParcelState) -> None:
    first = await store.write(parcels.queue, envelope(state=state), [Queued(number(1), None, None, 1)], NOON)
    assert (await sweep_all(store))["messages"] == 0
    await end_all(store)
    again = await store.write(parcels.try_again, Again(first, 2, (first << 10,), None))
    assert again > first
    assert (await sweep_all(store))["messages"] == 0
    await end_all(store)
    assert (await sweep_all(store))["messages"] == 1


async def test_a_texts_days_begin_when_it_was_handed_over(store: Store) -> None:
    parcel = await store.write(parcels.queue, envelope(), [Queued(number(1), None, None, 1)], NOON)
    await end_all(store)
    handed = {"message_id": parcel << 10, "attempt": 1, "part": 1, "outcome": Outcome.ACCEPTED, "carrier": "main"}
    row = insert(tables.submission).values(**handed, at=NOON + timedelta(days=9))
    await store.write(lambda db: db.execute(row))
    assert (await sweep_all(store))["messages"] == 0
    assert await texts(store) == [(number(1), None)]


async def test_a_sweep_of_everything_else(store: Store) -> None:
    def rows(db: Any) -> None:
        inbound = {"source": "main", "to": "106", "digest": "d", "body": "问低保", "received_at": NOON}
        for n in range(3):
            row = {**inbound, "ref": str(n), "phone": number(n), "handled_at": NOON if n else None}
            db.execute(insert(tables.inbound).values(**row))
        parked = {"carrier": "main", "state": "delivered", "why": "unknown", "at": NOON, "parked_at": NOON}
        for n in range(3):
            db.execute(insert(tables.receipt_unmatched).values(**parked, carrier_ref=str(n), phone=number(n)))
        prompt = {"phone": number(1), "kind": "menu", "data": {}, "asked_at": NOON}
        db.execute(insert(tables.prompt).values(**prompt, until=NOON))
        db.execute(insert(tables.prompt).values(**prompt, until=LATER))

    await store.write(rows)
    found = await sweep_all(store)
    assert {kind: count for kind, count in found.items() if count} == {"inbound": 2, "receipts": 3, "prompts": 1}
    columns = (tables.inbound.c.phone, tables.inbound.c.body)
    left = await store.read(lambda db: db.execute(select(*columns).order_by(tables.inbound.c.id)).all())
    assert [tuple(row) for row in left] == [(number(0), "问低保"), ("138****0001", ""), ("138****0002", "")]


@pytest.mark.parametrize("short", ["10086", "", "+86 138****0001"])
def test_a_mask_always_shows_that_it_is_one(short: str) -> None:
    assert "*" in retention.masked(short)
