"""The gateway's side of a run: a process that may die at any moment and is started again until all is done.

    python -m tests.kill.worker --store URL --site DIRECTORY --ahead SECONDS --operator HOST:PORT --plan JSON

It is the product on a site of its own: the broadcasts are drafted, composed and approved one after another, and sent
beside that. It says on standard output what it is at, so that whoever kills it can choose a moment. Rare transactions
are made to last a little longer before they commit, since otherwise hardly a kill would hit them, and slices and
parcels are small, for the same reason. `--plan` with `broken` leaves one promise unkept, on purpose: a checker that
then finds nothing is worth nothing.
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
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, delete, func, select, update

from gateway import outbox
from gateway.app import Gateway
from gateway.broadcasts import Draft
from gateway.carriers import Text, simulator
from gateway.config import Audience
from gateway.model import BroadcastState, ParcelState
from gateway.officials import Official
from gateway.store import Store, parcels, people
from gateway.store import broadcasts as rows
from gateway.store.tables import left_out, parcel, receipt
from tests.kill.plan import BACKLOG, CARRIER, Plan, drafted_as, notice, villages
from tests.kill.site import APPROVER, AUTHOR, opened

DWELL_SECONDS = 0.02
QUIET_SECONDS = 3.5
"""How long nothing more may come in before a run is over: late receipts, and those settled by number."""


def say(*words: object) -> None:
    """One line, whole even from two threads."""
    os.write(1, (" ".join(str(word) for word in words) + "\n").encode())


# -- asking for texts ------------------------------------------------------------------------------------------


def draft(broadcast: int) -> Draft:
    """The same again in every life."""
    template, values = notice(broadcast)
    return Draft(
        template=template, fields=values, audience=Audience(villages=villages(broadcast)), key=drafted_as(broadcast)
    )


async def issue(gateway: Gateway, broadcast: int, author: Official, approver: Official) -> bool:
    """Draft, compose and approve one broadcast, from wherever a dead process left it; False when it is approved."""
    verbs = gateway.broadcasts
    broadcast_id = await verbs.draft(draft(broadcast), by=author)
    seen = await verbs.preview(broadcast_id)
    if seen.state == BroadcastState.APPROVED:
        return False
    if seen.state != BroadcastState.COMPOSED:
        say("composing", broadcast)
        seen = await verbs.compose(broadcast_id, by=author, progress=lambda _: say("composing", broadcast))
    assert seen.digest is not None
    say("composed", broadcast, broadcast_id, seen.digest)
    await verbs.approve(broadcast_id, by=approver, digest=seen.digest)
    say("approved", broadcast)
    return True


async def issue_all(gateway: Gateway, plan: Plan) -> None:
    """One broadcast after another, while few parcels wait."""
    author, approver = [await gateway.officials.get(login) for login in (AUTHOR, APPROVER)]
    for broadcast in range(1, plan.broadcasts + 1):
        if await issue(gateway, broadcast, author, approver):
            while await gateway.store.read(_unfinished) > BACKLOG:
                await asyncio.sleep(0.02)


def _unfinished(db: Connection) -> int:
    return int(db.execute(select(func.count()).where(parcel.c.state == ParcelState.READY)).scalar_one())


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


# -- moments worth killing in ----------------------------------------------------------------------------------


def say_what_leaves() -> None:
    """Announce every batch once the carrier has it."""
    submit = simulator.Carrier.submit

    def saying(self: simulator.Carrier, texts: Sequence[Text]) -> None:
        repeated = sum(text.attempt > 1 for text in texts)
        submit(self, texts)
        say("retrying" if repeated else "sending", len(texts), repeated)

    simulator.Carrier.submit = saying  # type: ignore[method-assign]


def linger(module: Any, verb: str, seconds: float, before: str = "") -> None:
    """Have a transaction's verb announced with the word `before`, and last longer before the commit."""
    done = getattr(module, verb)

    def lasting(*args: Any) -> Any:
        if before:
            say(before)
        answer = done(*args)
        if verb == "recover":
            say("recovered", sum(one.uncertain for one in answer))
        time.sleep(seconds)
        return answer

    setattr(module, verb, lasting)


def linger_where_it_is_rare(plan: Plan) -> None:
    """Have kills hit these before they commit and after."""
    linger(parcels, "recover", DWELL_SECONDS, "recovering")
    linger(parcels, "try_again", DWELL_SECONDS / 10, "deciding")
    linger(rows, "throw_away", DWELL_SECONDS / 4)
    linger(rows, "leave_out", DWELL_SECONDS / 4)
    linger(rows, "release", DWELL_SECONDS, "approving")
    chosen = people.select_people
    people.select_people = lambda db, wanted, after, limit: chosen(db, wanted, after, min(limit, plan.slice))
    outbox.PARCEL_SIZE = plan.slice  # type: ignore[attr-defined]
    rows.SLICE = 2


# -- promises to break -----------------------------------------------------------------------------------------


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


def without_throwing_away() -> None:
    """What a dead process composed stays beside what is composed anew."""

    def throw_away(db: Connection, broadcast_id: int) -> bool:
        db.execute(delete(left_out).where(left_out.c.broadcast_id == broadcast_id))
        return False

    rows.throw_away = throw_away


BROKEN: dict[str, Callable[[], None]] = {
    "watermark": without_watermark,
    "recovery": without_recovery,
    "throwing away": without_throwing_away,
    "": lambda: None,
}


# -- the process -----------------------------------------------------------------------------------------------


async def work(given: argparse.Namespace, plan: Plan) -> None:
    """Until all is composed, sent and reported."""
    async with opened(plan, given.store, given.site, given.ahead, given.operator) as gateway:
        async with gateway.dispatching() as dispatcher:
            say("up")
            await issue_all(gateway, plan)
            await until_quiet(gateway.store)
        say("done", dispatcher.accounts[CARRIER].tally.most_at_risk)


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", required=True)
    parser.add_argument("--site", type=Path, required=True)
    parser.add_argument("--ahead", type=float, required=True)
    parser.add_argument("--operator", required=True)
    parser.add_argument("--plan", required=True)
    given = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    plan = Plan(**json.loads(given.plan))
    BROKEN[plan.broken]()
    say_what_leaves()
    linger_where_it_is_rare(plan)
    asyncio.run(work(given, plan))


if __name__ == "__main__":
    main()
