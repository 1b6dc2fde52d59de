"""Hold an account, pace, submit, record.

Policy
- One process holds an account whole, behind an epoch. Whoever takes it raises the epoch; each transaction here asks
  first whether the epoch is still ours, and the links are closed when it is not.
- The watermark is the promise: it is durable before the texts it covers are handed to the carrier. What may have
  left and is not recorded (`at_risk`) is at most twice the carrier's capacity in texts, and at most one second's pace
  ahead of what left. So a killed process leaves at most that many texts `uncertain`, a dropped link what was in flight.
- Group commit without a timer: one transaction at a time takes the results that wait (at most `RECORD_ROWS`) with
  the next watermarks, the parcels let go, those tried again and those opened.
- What is recorded of a text is final for its attempt; trying again is a new parcel, inserted by the transaction that
  decides it.
- With each transaction the holder learns the state of its parcels (a stop holds them), the consent given since, and
  minds the hours: at closing time a parcel is let go until opening, and its watermark lowered to what left.
- No connection is held while the carrier is waited for, and memory is bounded: two full parcels per priority.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog

from gateway.dispatch.account import Account, Receive, Setup
from gateway.dispatch.holder import Holder, Tally
from gateway.dispatch.limits import Bounds, Frequency, Gate
from gateway.dispatch.pace import Bucket, Logins, Pace
from gateway.dispatch.withdrawals import Withdrawals
from gateway.errors import Refused
from gateway.store import DATABASE_ERRORS, Store, counting, parcels, receipts
from gateway.store.receipts import Recent
from gateway.worktime import Clock

__all__ = [
    "Account",
    "Bounds",
    "Bucket",
    "Dispatcher",
    "Frequency",
    "Gate",
    "Holder",
    "Logins",
    "Pace",
    "Setup",
    "Tally",
    "Withdrawals",
    "alone",
]

log = structlog.get_logger()

UPKEEP_SECONDS = 1.0
SETTLE_AFTER = timedelta(seconds=2)
"""A parked receipt is tried again once its text's own response has had time to be recorded."""


@contextlib.contextmanager
def alone(store: Store) -> Iterator[None]:
    """On SQLite a lock file admits one dispatching process, another is Refused; on PostgreSQL accounts decide."""
    if store.path is None:
        yield
        return
    with Path(f"{store.path}.dispatch.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Refused(
                "另一个进程正在发送（gateway serve），同时只能有一个：先停下它再试",
                "another process is dispatching (gateway serve), and there can be one only: stop it first",
            ) from error
        yield


class Dispatcher:
    """All accounts of this process, and the upkeep that goes with them."""

    def __init__(
        self,
        store: Store,
        setups: Sequence[Setup],
        *,
        clock: Clock,
        zone: ZoneInfo,
        recent: Recent,
        receive: Receive,
    ) -> None:
        self._store, self._clock = store, clock
        self._settled_to = 0
        self._rules = {setup.name: setup.receipts for setup in setups}
        self._retries = {setup.name: setup.retry for setup in setups if setup.retry}
        self._signs = {setup.name: setup.signs for setup in setups if setup.signs}
        # Containers may share host names and pids; a node is one process.
        node = f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(4)}"
        self.accounts = {
            setup.name: Account(store, setup, node=node, clock=clock, zone=zone, recent=recent, receive=receive)
            for setup in setups
        }

    def look_again(self) -> None:
        """Parcels were queued or approved in this process; others are noticed by polling."""
        for account in self.accounts.values():
            account.look_again()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Dispatcher]:
        """Hold the accounts for the length of a `async with`; leaves in order."""
        with alone(self._store):
            upkeep = asyncio.create_task(self._upkeep())
            tasks = [asyncio.create_task(account.run()) for account in self.accounts.values()]
            try:
                yield self
            finally:
                for account in self.accounts.values():
                    account.stop()
                await asyncio.gather(*tasks)
                upkeep.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await upkeep
                with contextlib.suppress(*DATABASE_ERRORS):
                    await self.count()

    async def count(self) -> None:
        """Have every stale parcel counted."""
        await counting.count_all(self._store)

    async def _upkeep(self) -> None:
        while True:
            expiring = [partial(self._expire, name) for name in self.accounts]
            several = self.accounts.values() if len(self.accounts) > 1 else ()  # one alone can hand nothing on
            minding = [partial(account.mind, self._takes) for account in several]
            balances = [account.watch_balance for account in self.accounts.values()]
            chores: list[Callable[[], Awaitable[None]]] = [*expiring, *minding, *balances, self._settle, self.count]
            for chore in chores:
                try:
                    await chore()
                except DATABASE_ERRORS as error:
                    log.warning("upkeep.failed", error=type(error).__name__)
                except Exception as error:
                    # One parcel's trouble must not end the counting of all others.
                    log.exception("upkeep.failed", error=type(error).__name__)
            await asyncio.sleep(UPKEEP_SECONDS)

    def _takes(self, name: str) -> bool:
        """Whether an account can take what another in trouble hands on; one that another process holds is trusted."""
        return name not in self.accounts or self.accounts[name].well

    async def _expire(self, name: str) -> None:
        await self._store.write(parcels.expire, name, self._clock.now())

    async def _settle(self) -> None:
        now = self._clock.now()
        settled = await self._store.write(
            receipts.settle,
            now - SETTLE_AFTER,
            self._rules,
            after=self._settled_to,
            retries=self._retries,
            signs=self._signs,
            now=now,
        )
        self._settled_to = settled.next
