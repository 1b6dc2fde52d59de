"""The gateway's side of a run: a process that may die at any moment and is started again until all is done.

    python -m tests.kill.worker --store URL --operator HOST:PORT --plan JSON

It composes the broadcasts one after another, dispatches beside that, stores receipts, and says on standard output what
it is at, so that whoever kills it can choose a moment. Two transactions are made to last a little longer before they
commit, since otherwise hardly a kill would hit them. `--plan` with `broken` leaves one promise unkept, on purpose: a
checker that then finds nothing is worth nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Connection, delete, func, select, update

from gateway.carriers import Items, Links, Receipt, Text, simulator
from gateway.dispatch import Dispatcher, Setup
from gateway.model import ParcelState
from gateway.store import Store, open_store, parcels, receipts
from gateway.store.receipts import Recent, Told
from gateway.store.tables import message, parcel, receipt
from gateway.worktime import SystemClock
from tests.kill.plan import BACKLOG, CARRIER, SLICE_PAUSE, Plan, envelope, texts_of

DWELL_SECONDS = 0.02
QUIET_SECONDS = 3.5
"""How long nothing more may come in before a run is over: late receipts, and those settled by number."""

clock = SystemClock()


def say(*words: object) -> None:
    """One line, whole even from two threads."""
    os.write(1, (" ".join(str(word) for word in words) + "\n").encode())


# -- composing -------------------------------------------------------------------------------------------------


async def compose(store: Store, plan: Plan, broadcast: int) -> bool:
    """Queue one broadcast whole; False when that was done before. What a dead process left half is deleted first."""
    if not await store.write(_begin, broadcast):
        return False
    texts = texts_of(plan, broadcast)
    for start in range(0, len(texts), plan.slice):
        say("composing", broadcast)
        await store.write(parcels.queue, envelope(broadcast), texts[start : start + plan.slice], clock.now())
        await asyncio.sleep(SLICE_PAUSE.total_seconds())
    first = await store.write(_release, broadcast)
    say("composed", broadcast, first)
    return True


def _begin(db: Connection, broadcast: int) -> bool:
    own = parcel.c.broadcast_id == broadcast
    found = db.execute(select(parcel.c.id, parcel.c.state).where(own)).all()
    if any(row.state != ParcelState.HELD for row in found):
        return False
    for row in found:
        db.execute(delete(message).where(parcels.home_of(message.c.id) == row.id))
    db.execute(delete(parcel).where(own))
    return True


def _release(db: Connection, broadcast: int) -> int:
    own = parcel.c.broadcast_id == broadcast
    db.execute(update(parcel).where(own).values(state=ParcelState.READY))
    return int(db.execute(select(func.min(parcel.c.id)).where(own)).scalar_one())


async def compose_all(store: Store, plan: Plan, dispatcher: Dispatcher) -> None:
    """One broadcast after another, while few parcels wait."""
    for broadcast in range(1, plan.broadcasts + 1):
        if await compose(store, plan, broadcast):
            dispatcher.look_again()
            while await store.read(_unfinished) > BACKLOG:
                await asyncio.sleep(0.02)


def _unfinished(db: Connection) -> int:
    return int(db.execute(select(func.count()).where(parcel.c.state == ParcelState.READY)).scalar_one())


# -- the carrier and what it reports ---------------------------------------------------------------------------


class Carrier(simulator.Carrier):
    """Says what leaves."""

    def submit(self, texts: Sequence[Text]) -> None:
        repeated = sum(text.attempt > 1 for text in texts)
        super().submit(texts)
        say("retrying" if repeated else "sending", len(texts), repeated)


def receiver(store: Store, recent: Recent) -> Callable[[str, Items], Any]:
    """Stores receipts; returning means that they are safe."""

    async def receive(carrier: str, items: Items) -> None:
        told = [Told(r.ref, r.phone, r.state, r.error, r.at) for r in items if isinstance(r, Receipt)]
        known = [recent.find(carrier, one.ref) for one in told]
        await store.write(receipts.store, carrier, told, known, clock.now())

    return receive


async def until_quiet(store: Store) -> None:
    """Nothing unfinished, and no receipt for a while."""
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < QUIET_SECONDS:
        await asyncio.sleep(0.1)
        now = await store.read(_receipts)
        if now != seen or await store.read(_unfinished) > 0:
            seen, since = now, time.monotonic()


def _receipts(db: Connection) -> int:
    return int(db.execute(select(func.count()).select_from(receipt)).scalar_one())


# -- moments worth killing in, and promises to break -----------------------------------------------------------


def linger() -> None:
    """Have two rare transactions last, so that kills hit them before they commit and after."""
    recover, try_again = parcels.recover, parcels.try_again

    def recovering(*args: Any) -> list[parcels.Recovered]:
        say("recovering")
        found = recover(*args)
        say("recovered", sum(one.uncertain for one in found))
        time.sleep(DWELL_SECONDS)
        return found

    def deciding(*args: Any) -> int:
        say("deciding")
        decided = try_again(*args)
        time.sleep(DWELL_SECONDS / 10)
        return decided

    parcels.recover, parcels.try_again = recovering, deciding  # type: ignore[assignment]


def without_watermark() -> None:
    """Texts leave without their watermark having been written."""
    record = parcels.record

    def recording(
        db: Connection, name: str, epoch: int, step: parcels.Step, *args: Any, **more: Any
    ) -> parcels.Verdict:
        return record(db, name, epoch, replace(step, watermarks={}), *args, **more)

    parcels.record = recording


def without_recovery() -> None:
    """What a dead process had open is let go, and what may have left is not marked."""

    def recover(db: Connection, name: str, epoch: int, *_: Any) -> list[parcels.Recovered]:
        parcels.hold(db, name, epoch)
        held = parcel.c.holder_epoch.is_not(None)
        db.execute(update(parcel).where(held, parcel.c.watermark >= parcel.c.n).values(state=ParcelState.DONE))
        db.execute(update(parcel).where(held).values(holder_epoch=None))
        return []

    parcels.recover = recover  # type: ignore[assignment]


BROKEN: dict[str, Callable[[], None]] = {"watermark": without_watermark, "recovery": without_recovery, "": lambda: None}


# -- the process -----------------------------------------------------------------------------------------------


async def work(url: str, address: str, plan: Plan) -> None:
    """Until all is composed, sent and reported."""
    store, recent = open_store(url), Recent()
    setup = Setup(name=CARRIER, make=lambda links: _carrier(plan, address, links), pace=plan.pace)
    dispatcher = Dispatcher(
        store,
        [setup],
        clock=clock,
        zone=ZoneInfo("Asia/Shanghai"),
        recent=recent,
        receive=receiver(store, recent),
    )
    async with dispatcher.running():
        say("up")
        await compose_all(store, plan, dispatcher)
        await until_quiet(store)
    await store.close()
    say("done", dispatcher.accounts[CARRIER].tally.most_at_risk)


def _carrier(plan: Plan, address: str, links: Links) -> Carrier:
    return Carrier(CARRIER, plan.operator(address), links)


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", required=True)
    parser.add_argument("--operator", required=True)
    parser.add_argument("--plan", required=True)
    given = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    plan = Plan(**json.loads(given.plan))
    BROKEN[plan.broken]()
    linger()
    asyncio.run(work(given.store, given.operator, plan))


if __name__ == "__main__":
    main()
