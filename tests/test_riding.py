"""The hall's own phones in mass notices, and receipts that are too fast, too perfect or contradicted by them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, update

from gateway.broadcasts.riding import Riders
from gateway.errors import NotFound, Refused
from gateway.model import ReceiptState, Role, home_parcel
from gateway.officials import Official
from gateway.reports import Reports
from gateway.reports.suspicion import suspicions
from gateway.settings import TestPhone as OwnPhone
from gateway.store import Store, riding
from gateway.store.riding import Ride, Told
from gateway.store.tables import audit, parcel, receipt
from gateway.store.tables import test_ride as rides_table
from gateway.worktime import ManualClock
from tests.notices import CLERK, SITE, TEMPLATES, Office, Somebody, mobile

OWN, OTHER = mobile(9001), mobile(9002, 133)
PERSONAL = {name: field.example for name, field in TEMPLATES["conscription-physical"].fields.items()}


@pytest.fixture
def office(store: Store, clock: ManualClock) -> Office:
    phones = (OwnPhone(number=OWN[3:], operator="移动"), OwnPhone(number=OTHER[3:], operator="电信"))
    limits = SITE.dispatch.model_copy(update={"test_phones_from": 3})
    return Office(store, clock, SITE.model_copy(update={"test_phones": phones, "dispatch": limits}))


async def report(office: Office, sent: int) -> Any:
    return await Reports(office.store, office.config, TEMPLATES, office.outbox, office.clock).broadcast(sent)


async def town(office: Office, people: int = 3) -> None:
    await office.enrol(*(Somebody(f"村民{n}", mobile(n)) for n in range(people)))


async def test_they_get_the_words_and_are_in_no_count(office: Office) -> None:
    await town(office)
    sent = await office.send()
    bodies = {body for texts in (await office.texts(sent)).values() for body in texts}
    assert await office.texts(0) == {OWN: list(bodies), OTHER: list(bodies)}
    found = await report(office, sent)
    assert (found.people, found.texts, sum(found.by_state.values())) == (3, 3, 3)
    assert found.cost == found.parts * Decimal("0.05")
    assert [(one.phone, one.state, one.got) for one in found.test_phones] == [
        ("138****9001", "waiting", None),
        ("133****9002", "waiting", None),
    ]
    assert found.test_phones[0].cost == found.cost / 3
    assert (await office.broadcasts.counts(sent))["texts"] == 3


async def test_small_notices_and_personal_ones_go_to_nobody_else(office: Office) -> None:
    await town(office, 2)
    await office.send()
    await office.enrol(Somebody("村民", mobile(7)))
    await office.send("conscription-physical", PERSONAL)
    assert await office.texts(0) == {}


async def test_they_leave_when_the_notice_does(office: Office) -> None:
    await town(office)
    at = office.clock.now() + timedelta(hours=2)
    sent = await office.send(not_before=at)
    rides = await office.store.read(lambda db: list(db.execute(select(rides_table.c.message_id)).scalars()))
    (home, _) = await office.parcels(0)
    (notice,) = await office.parcels(sent)
    assert home_parcel(rides[0]) == home.id
    same = ("not_before", "expires_at", "hours", "priority")
    assert [getattr(home, name) for name in same] == [getattr(notice, name) for name in same]
    assert home.not_before == at


async def test_a_site_without_phones_has_no_rides(store: Store, clock: ManualClock) -> None:
    office = Office(store, clock)
    await town(office)
    assert (await report(office, await office.send())).test_phones == []


async def test_a_person_says_whether_it_came(office: Office) -> None:
    await town(office)
    sent = await office.send()
    riders = Riders(office.store, office.clock)
    await office.left([OWN, OTHER])
    await office.told([OWN])
    await office.told([OTHER], ReceiptState.UNDELIVERED, error="UNDELIV")
    await riders.answer(sent, OWN[3:], True, by=CLERK)
    assert (await report(office, sent)).suspicions == []
    await riders.answer(sent, OWN, False, by=CLERK)
    await riders.answer(sent, OTHER, True, by=CLERK)
    found = await report(office, sent)
    assert [one.got for one in found.test_phones] == [False, True]
    assert [zh for zh, _ in found.suspicions] == [
        "1 部测试手机没有收到，回执却说已送达",
        "1 部测试手机收到了，回执却说没送达",
    ]
    said = await office.store.read(lambda db: list(db.execute(select(audit.c.what)).scalars()))
    assert {"phone": "138****9001", "got": False} in said


async def test_who_and_what_may_be_answered(office: Office) -> None:
    await town(office)
    sent = await office.send()
    riders = Riders(office.store, office.clock)
    with pytest.raises(NotFound, match="did not ride"):
        await riders.answer(sent, mobile(1), True, by=CLERK)
    with pytest.raises(Refused):
        await riders.answer(sent, "12", True, by=CLERK)
    with pytest.raises(Refused):
        await riders.answer(sent, OWN, True, by=Official("xu", "徐", frozenset({Role.AUDITOR}), ""))


# -- suspicions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "odd"),
    [
        (Told(200, 1, 198), 1),
        (Told(200, 1, 197), 0),
        (Told(199, 1, 199), 0),
        (Told(2000, 0, 0), 1),
        (Told(2000, 1, 0), 0),
        (Told(1999, 0, 0), 0),
        (Told(5000, 0, 5000), 2),
        (Told(0, 0, 0), 0),
    ],
)
def test_too_fast_and_too_perfect(told: Told, odd: int) -> None:
    found = suspicions(told, [])
    assert len(found) == odd
    assert all(zh and en for zh, en in found)


@pytest.mark.parametrize(
    ("state", "got", "odd"),
    [
        ("delivered", False, 1),
        ("delivered", True, 0),
        ("delivered", None, 0),
        ("undelivered", True, 1),
        ("rejected", True, 1),
        ("undelivered", False, 0),
        ("accepted", False, 0),
        ("accepted", True, 0),
    ],
)
def test_a_phone_in_hand_contradicts(state: str, got: bool | None, odd: int) -> None:
    assert len(suspicions(Told(0, 0, 0), [Ride(OWN, state, 1, Decimal(0), got, None)])) == odd


async def test_how_soon_receipts_came_is_counted(office: Office) -> None:
    await town(office, 4)
    sent = await office.send()
    await office.left([mobile(n) for n in range(4)])
    await office.told([mobile(0)])
    office.clock.advance(0.999)
    await office.told([mobile(1)], ReceiptState.UNDELIVERED, error="UNDELIV")
    office.clock.advance(0.001)
    await office.told([mobile(2)])
    await office.told([mobile(3)])
    # An operator that tells minutes: its time lies before the text left, and says nothing of speed.
    early = office.clock.now() - timedelta(seconds=30)
    key = await office.store.read(lambda db: max(db.execute(select(receipt.c.message_id)).scalars()))
    await office.store.write(lambda db: db.execute(update(receipt).where(receipt.c.message_id == key).values(at=early)))
    homes = await office.store.read(
        lambda db: list(db.execute(select(parcel.c.id).where(parcel.c.broadcast_id == sent)).scalars())
    )
    assert await office.store.read(riding.told, homes) == Told(4, 1, 2)
    assert await office.store.read(riding.told, []) == Told(0, 0, 0)
