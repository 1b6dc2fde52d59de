"""gateway.doctor: one account alone, from its login to an answer, against the rehearsal operator of CMPP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from gateway import carriers
from gateway.carriers import Items, Links, Receipt
from gateway.codes import explain
from gateway.config import Carrier as Bought
from gateway.dispatch import alone
from gateway.doctor import Examination, Finding, Patient
from gateway.errors import Refused
from gateway.model import ParcelState
from gateway.outbox import Outbox
from gateway.store import Store, parcels, receipts
from gateway.store.receipts import Told
from gateway.store.tables import audit, message, parcel
from gateway.worktime import SystemClock
from tests.carriers.rig import Cmpp3
from tests.notices import SITE, mobile
from tests.store.outbound import queue, row, tally, to

TEST, HELD = mobile(7), timedelta(seconds=30)


@pytest.fixture
async def rig() -> AsyncIterator[Cmpp3]:
    one = Cmpp3()
    yield one
    await one.stop()


class Room:
    """Where an account is examined: the store it writes to, and what was told."""

    def __init__(self, store: Store, rig: Cmpp3) -> None:
        self.store, self.rig = store, rig
        self.told: list[Finding] = []
        self.on_told: Callable[[Finding], None] = lambda _: None

    def examination(self, wait: float = 5.0, **options: Any) -> Examination:
        table = {**self.rig.options(), **options}
        bought = Bought.model_validate({"name": "main", "protocol": "cmpp", "service_code": table["service_code"]})
        bought = bought.model_copy(update={"options": table})
        site = SITE.model_copy(update={"carriers": {"main": bought}})
        patient = Patient(
            bought=bought, make=partial(self._make, table), receive=self._receive, means=partial(explain, "cmpp")
        )
        return Examination(self.store, Outbox(site), SystemClock(), patient, told=self._hear, wait=wait)

    @staticmethod
    def _make(table: Mapping[str, Any], links: Links) -> Any:
        kind = carriers.load("cmpp")
        known = {key: value for key, value in table.items() if carriers.takes(kind, key)}
        return kind("main", carriers.settings_of(kind, "main", known), links)

    async def _receive(self, name: str, items: Items) -> None:
        heard = [Told(i.ref, i.phone, i.state, i.error, i.at) for i in items if isinstance(i, Receipt)]
        await self.store.write(receipts.store, name, heard, [None] * len(heard), datetime.now(UTC))

    def _hear(self, one: Finding) -> None:
        self.told.append(one)
        self.on_told(one)

    def seen(self, what: str) -> list[tuple[bool | None, str]]:
        return [(one.fine, one.said[1]) for one in self.told if one.what[1] == what]


@pytest.fixture
def room(store: Store, rig: Cmpp3) -> Room:
    return Room(store, rig)


async def test_from_the_login_to_an_answer(room: Room) -> None:
    await room.rig.start()
    others = await queue(room.store, to(3))

    def answer(one: Finding) -> None:
        if one.said[1].startswith("please answer"):
            room.rig.say(TEST, "1")

    room.on_told = answer
    found = await room.examination().run(TEST, "wang")
    assert room.seen("our address") == [(True, f"from 127.0.0.1 to 127.0.0.1:{room.rig.port}")]
    assert room.seen("login")[0][1].startswith("fine, ")
    assert room.seen("noticed: version") == [(None, "3.0")]
    [(fine, said)] = room.seen("one text out")
    assert fine and said.startswith("to 138****0007: accepted as ")
    assert [fine for fine, _ in room.seen("receipt")] == [True]
    assert room.seen("their clock")[0][0] is True
    assert room.seen("a reply in")[-1] == (True, "1 characters, sent to 10690001")
    assert all(one.fine is not False for one in found)
    assert [phone for phone, _ in room.rig.bodies().items()] == [TEST]
    assert "收到请回复1" in room.rig.bodies()[TEST][0] and room.rig.bodies()[TEST][0].startswith("【枣原镇】")
    assert TEST not in str(found) and room.rig.secret not in str(found)
    waiting = await row(room.store, others)
    assert (waiting.state, waiting.watermark) == (ParcelState.READY, 0)
    assert await tally(room.store) == {"waiting": 3, "delivered": 1}


async def test_the_text_is_recorded_signed_for_and_let_go(room: Room) -> None:
    await room.rig.start()
    await room.examination(wait=0.5).run(TEST, "wang")
    query = select(parcel.c.state, parcel.c.holder_epoch, parcel.c.watermark).where(parcel.c.route == "doctor")
    assert await room.store.read(lambda db: [tuple(one) for one in db.execute(query)]) == [("done", None, 1)]
    query = select(audit.c.who, audit.c.verb, audit.c.what)
    assert await room.store.read(lambda db: [tuple(one) for one in db.execute(query)]) == [
        ("wang", "examine", {"to": "138****0007"})
    ]
    assert room.seen("a reply in")[-1] == (False, "none came within 0.5 s")


async def test_a_login_that_is_refused_is_explained_and_nothing_is_sent(room: Room) -> None:
    await room.rig.start()
    found = await room.examination(secret="another").run(TEST, "wang")
    assert [one.what[1] for one in found] == ["our address", "login"]
    assert found[-1].fine is False and found[-1].said[0] and "another" not in str(found)
    assert await room.store.read(lambda db: db.execute(select(message.c.id)).all()) == []


async def test_a_gate_that_is_not_there_is_told(room: Room) -> None:
    await room.rig.start()
    await room.rig.operator.stop()
    await room.examination().run(None, "")
    assert room.seen("login")[0][0] is False and f"127.0.0.1:{room.rig.port}" in room.seen("login")[0][1]


async def test_without_a_number_only_the_login_is_tried(room: Room) -> None:
    await room.rig.start()
    found = await room.examination().run(None, "")
    assert [one.what[1] for one in found if one.fine is not None] == ["our address", "login"]
    assert room.rig.bodies() == {}


async def test_a_text_that_is_not_answered_is_uncertain(room: Room) -> None:
    await room.rig.start()
    room.rig.hold()
    await room.examination(wait=0.3, close_seconds=0.1).run(TEST, "wang")
    assert room.seen("one text out")[0][0] is False
    assert await tally(room.store) == {"uncertain": 1}


async def test_beside_whoever_holds_the_account_it_is_refused(room: Room) -> None:
    await room.rig.start()
    if room.store.is_sqlite:
        with alone(room.store), pytest.raises(Refused, match="another process is dispatching"):
            await room.examination().run(None, "")
    else:
        held = parcels.take, "main", "node", datetime.now(UTC), HELD
        await room.store.write(*held)
        with pytest.raises(Refused, match="held by another process"):
            await room.examination().run(None, "")
    assert room.told == []
