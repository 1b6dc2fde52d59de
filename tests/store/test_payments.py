"""What was paid to whom: kept while people are answered from it, gone with whoever is forgotten."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert, select

from gateway.store import Store, payments, retention, rosters
from gateway.store.tables import broadcast, payment, person
from tests.conftest import NOON

MOTHER, SON = "+8613800130001", "+8618200130002"
PAYOUT = {
    "template": "subsidy-payout",
    "category": "subsidy-payout",
    "title": "补贴到账",
    "priority": 2,
    "area": "610899100",
    "audience": {},
    "fields": {},
    "author": "wang",
    "on_uncertain": "leave",
    "test": False,
    "people": 1,
    "texts": 1,
    "parts": 1,
    "cost": 0,
    "note": "",
}


async def paid(
    store: Store, *who: tuple[str, str], at: datetime = NOON, state: str = "approved", amount: str = "854.46"
) -> int:
    """A payout of so much to each of these (number, name); the id of its broadcast."""

    def write(db: Any) -> int:
        approved = at if state == "approved" else None
        made = insert(broadcast).values(**PAYOUT, state=state, approved_at=approved, created_at=at)
        key = int(db.execute(made.returning(broadcast.c.id)).scalar_one())
        payments.keep(db, [(key, phone, name, "种粮补贴", Decimal(amount)) for phone, name in who])
        return key

    return await store.write(write)


async def rows(store: Store) -> list[tuple[str, str, Decimal]]:
    query = select(payment.c.phone, payment.c.name, payment.c.amount).order_by(payment.c.id)
    return [(row[0], row[1], row[2]) for row in await store.read(lambda db: db.execute(query).all())]


async def to(store: Store, phone: str, limit: int = 9) -> list[tuple[str, str]]:
    found = await store.read(payments.to_number, phone, NOON - timedelta(days=300), limit)
    return [(one.name, str(one.amount)) for one in found]


async def test_what_was_paid_to_a_number_newest_first(store: Store) -> None:
    await paid(store, (MOTHER, "高秀英"), (SON, "王强"), at=NOON - timedelta(days=9), amount="1.50")
    await paid(store, (MOTHER, "高秀英"), at=NOON, amount="84.60")
    await paid(store, (MOTHER, "高秀英"), at=NOON - timedelta(days=301), amount="3.00")
    assert await to(store, MOTHER) == [("高秀英", "84.60"), ("高秀英", "1.50")]
    assert await to(store, MOTHER, limit=1) == [("高秀英", "84.60")]
    assert await to(store, SON) == [("王强", "1.50")]


@pytest.mark.parametrize("state", ["draft", "composing", "composed", "cancelled"])
async def test_what_nobody_approved_was_not_paid(store: Store, state: str) -> None:
    await paid(store, (MOTHER, "高秀英"), state=state)
    assert await to(store, MOTHER) == []


async def test_what_is_composed_anew_takes_its_payments_with_it(store: Store) -> None:
    first = await paid(store, (MOTHER, "高秀英"))
    await paid(store, (SON, "王强"))
    await store.write(payments.throw_away, first)
    assert [name for _, name, _ in await rows(store)] == ["王强"]


async def test_a_sweep_blanks_what_nobody_is_answered_from_any_more(store: Store) -> None:
    await paid(store, (MOTHER, "高秀英"), (SON, "王强"), (SON, "王小强"))
    await paid(store, (MOTHER, "高秀英"), state="cancelled")
    year = timedelta(days=payments.ANSWERED_DAYS)

    async def sweep(after: timedelta, days: int = 180) -> int:
        return (await store.write(retention.sweep, NOON + after, days, days, 3)).counts["payments"]

    assert await sweep(year) == 0
    assert await sweep(year + timedelta(hours=1), days=400) == 0
    assert await sweep(year + timedelta(hours=1)) == 3
    assert await sweep(year + timedelta(hours=1)) == 1
    assert {(phone, name) for phone, name, _ in await rows(store)} == {("*", "")}
    assert sum(amount for _, _, amount in await rows(store)) == 4 * Decimal("854.46")


async def test_forgetting_a_person_leaves_what_others_on_the_number_were_paid(store: Store) -> None:
    await paid(store, (MOTHER, "高秀英"), (MOTHER, "王强"), (SON, "高秀英"))
    row = {"village": "", "grp": "", "area": "", "sex": "", "tags": "", "away_to": "", "note": "", "roster": "town"}
    one = insert(person).values(**row, id=7, key="k", name="高秀英", phone=MOTHER, seen_import=1, updated_at=NOON)
    await store.write(lambda db: db.execute(one))
    await store.write(rosters.remove, [7], [MOTHER])
    assert [(phone, name) for phone, name, _ in await rows(store)] == [("*", ""), (MOTHER, "王强"), (SON, "高秀英")]
    await store.write(rosters.let_number_go, MOTHER, "hmac", NOON)
    assert await to(store, MOTHER) == []
    assert await to(store, SON) == [("高秀英", "854.46")]
