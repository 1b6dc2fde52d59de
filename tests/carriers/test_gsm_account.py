"""gateway.carriers.gsm under an account with a real store: a hang is outlasted, reports find texts in the database."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from zoneinfo import ZoneInfo

import pytest

from gateway.carriers import Items, Links, Receipt, settings_of
from gateway.carriers.gsm import Carrier, at, memory, modem
from gateway.dispatch import Dispatcher, Pace, Setup
from gateway.store import Store, receipts
from gateway.store.receipts import Recent, Told
from gateway.worktime import SystemClock
from tests.carriers.modem import QUICK, Rig, rig
from tests.store.outbound import queue, states, to

CLOCK = SystemClock()


class Hall:
    """A dispatching process with one modem; `restarted` is the next one, which remembers nothing."""

    def __init__(self, store: Store, one: Rig) -> None:
        self.store, self.rig = store, one
        self.recent = Recent()

    def restarted(self) -> Hall:
        memory._OF.clear()
        return Hall(self.store, self.rig)

    async def receive(self, name: str, items: Items) -> None:
        heard = [Told(i.ref, i.phone, i.state, i.error, i.at) for i in items if isinstance(i, Receipt)]
        known = [self.recent.find(name, one.ref) for one in heard]
        await self.store.write(receipts.store, name, heard, known, CLOCK.now())

    @contextlib.asynccontextmanager
    async def sending(self) -> AsyncIterator[Dispatcher]:
        def make(links: Links) -> Carrier:
            return Carrier("main", settings_of(Carrier, "main", QUICK | {"port": self.rig.port}), links)

        setup = Setup(name="main", make=make, pace=Pace(rate=1000.0))
        dispatcher = Dispatcher(
            self.store, [setup], clock=CLOCK, zone=ZoneInfo("Asia/Shanghai"), recent=self.recent, receive=self.receive
        )
        async with dispatcher.running():
            yield dispatcher

    async def tally(self) -> Counter[str]:
        return Counter(state.value for state in (await states(self.store)).values())

    async def until(self, **wanted: int) -> None:
        """Until so many texts are in each of these states."""
        async with asyncio.timeout(15):
            while not Counter(wanted) <= await self.tally():
                await asyncio.sleep(0.02)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(modem, "SYNC_SECONDS", 0.1)
    memory._OF.clear()


async def test_a_hang_costs_one_text_its_certainty_and_the_others_leave(sqlite_store: Store) -> None:
    async with rig("pty", receipt_lost=0.0) as one:
        one.modem.script += ["OK", "OK", "hang"]
        await queue(sqlite_store, to(6))
        hall = Hall(sqlite_store, one)
        async with hall.sending() as dispatcher:
            await hall.until(uncertain=1, waiting=3)
            await one.desk.until(lambda: dispatcher.accounts["main"].state == "down")
            one.modem.revive()
            await hall.until(delivered=5, uncertain=1)
        assert one.modem.seen.commands.count("ATZ") == 2
        assert len(one.modem.bodies()) == 5


@pytest.mark.parametrize("direct", [False, True])
async def test_reports_after_a_restart_find_their_texts_in_the_database(sqlite_store: Store, direct: bool) -> None:
    async with rig(direct=direct) as one:
        await queue(sqlite_store, to(3, parts=1))
        hall = Hall(sqlite_store, one)
        async with hall.sending():
            await hall.until(accepted=3)
        for taken in one.modem.seen.taken:
            one.modem.report(taken, 0x00 if taken.number else 0x46)
        hall = hall.restarted()
        async with hall.sending():
            await hall.until(delivered=2, undelivered=1)
