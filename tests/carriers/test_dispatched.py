"""A wire carrier under the dispatcher, from queued parcels to receipts in the database, over both ends of a socket."""

from __future__ import annotations

import asyncio
import contextlib
from bisect import bisect_left
from collections.abc import AsyncIterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway import carriers
from gateway.carriers import Items, Links, Receipt
from gateway.carriers.cmpp import Carrier
from gateway.dispatch import Dispatcher, Pace, Setup
from gateway.store import Store, receipts
from gateway.store.receipts import Recent, Told
from gateway.worktime import SystemClock
from tests.carriers.rig import Cmpp3
from tests.store.outbound import queue, tally, to

ZONE = ZoneInfo("Asia/Shanghai")
LONG = "【枣原镇】" + "关于养老认证的通知，" * 12


class Hall:
    """A dispatching process with one CMPP account."""

    def __init__(self, store: Store, rig: Cmpp3) -> None:
        self.store, self.rig, self.clock, self.recent = store, rig, SystemClock(), Recent()

    async def receive(self, name: str, items: Items) -> None:
        heard = [Told(i.ref, i.phone, i.state, i.error, i.at) for i in items if isinstance(i, Receipt)]
        known = [self.recent.find(name, one.ref) for one in heard]
        await self.store.write(receipts.store, name, heard, known, self.clock.now())

    @contextlib.asynccontextmanager
    async def dispatching(self, rate: float = 10_000, **changes: Any) -> AsyncIterator[Dispatcher]:
        options = {key: value for key, value in (self.rig.options() | changes).items() if carriers.takes(Carrier, key)}
        settings = carriers.settings_of(Carrier, "main", options)

        def make(links: Links) -> Carrier:
            return Carrier("main", settings, links)

        setup = Setup(name="main", make=make, pace=Pace(rate=rate, retry_seconds=(0.1,)))
        dispatcher = Dispatcher(
            self.store, [setup], clock=self.clock, zone=ZONE, recent=self.recent, receive=self.receive
        )
        async with dispatcher.running():
            yield dispatcher

    async def until(self, **wanted: int) -> None:
        async with asyncio.timeout(20):
            while await tally(self.store) != wanted:
                await asyncio.sleep(0.02)


@pytest.fixture
async def hall(sqlite_store: Store) -> AsyncIterator[Hall]:
    rig = Cmpp3()
    yield Hall(sqlite_store, rig)
    await rig.stop()


async def test_every_text_is_delivered_and_seen_once(hall: Hall) -> None:
    await hall.rig.start(receipt_early=0.2, receipt_twice=0.1, in_flight=64)
    await queue(hall.store, to(400))
    await queue(hall.store, to(20, first=400, parts=2, body=LONG))
    async with hall.dispatching(links=2):
        await hall.until(delivered=420)
    assert {len(found) for found in hall.rig.bodies().values()} == {1}
    assert len(hall.rig.bodies()) == 420
    assert hall.rig.operator.seen["taken"] == 440


async def test_links_that_are_cut_lose_no_text_and_send_none_twice(hall: Hall) -> None:
    """What was unanswered is uncertain, at most the window of each cut; a receipt that names it settles it later."""
    await hall.rig.start(drop_every=70, receipt_lost=1.0)
    await queue(hall.store, to(300))
    async with hall.dispatching(in_flight=8):
        async with asyncio.timeout(30):
            while (await tally(hall.store)).get("waiting", 0) or sum((await tally(hall.store)).values()) < 300:
                await asyncio.sleep(0.05)
    found = await tally(hall.store)
    cuts = hall.rig.operator.seen["logins"] - 1
    assert cuts >= 3
    assert set(found) == {"accepted", "uncertain"}
    assert found["uncertain"] <= 8 * cuts
    assert {len(bodies) for bodies in hall.rig.bodies().values()} == {1}


async def test_the_rate_is_kept_within_two_in_a_hundred(hall: Hall) -> None:
    await hall.rig.start(receipt_lost=1.0)
    at: list[float] = []
    hall.rig.operator.watch = lambda taken: at.append(asyncio.get_running_loop().time())
    await queue(hall.store, to(250))
    async with hall.dispatching(rate=100):
        await hall.until(accepted=250)
    in_a_second = max(bisect_left(at, start + 1.0) - n for n, start in enumerate(at))
    assert in_a_second <= 102 + 1
