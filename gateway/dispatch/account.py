"""Keeping an account: take it, recover what a dead holder left, open its carrier, run holders one after another.

Losing the account to a newer epoch, or the carrier, ends a holder and not the account: it is taken and opened again,
with pauses that grow, and no sooner than the operator's gate bears. A carrier that stays down hands its waiting
parcels to the next of their route; so does one whose receipts are late or that fails too much, until it is well again.
With each renewal the account says how it does, so that other processes can show it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from gateway import bought
from gateway.carriers import Answer, Carrier, Items, Links
from gateway.config import Carrier as Bought
from gateway.dispatch.holder import BACKOFF_SECONDS, Holder, Tally
from gateway.dispatch.limits import UNBOUNDED, Bounds, Frequency, Gate
from gateway.dispatch.pace import Logins, Pace
from gateway.errors import Unavailable
from gateway.health import HOUR, LOOKED_AT, Health, Marks, Means, measure, no_meaning
from gateway.store import DATABASE_ERRORS, Store, parcels, slots, usage
from gateway.store.numbers import Signs
from gateway.store.parcels import EpochLost
from gateway.store.receipts import Recent
from gateway.store.retrying import Retry
from gateway.worktime import Clock

log = structlog.get_logger()

HELD_FOR = timedelta(seconds=4)
RENEW_SECONDS = 1.0
FAILOVER_SECONDS = 10.0
GRACE_SECONDS = 5.0
HEALTH_SECONDS = 10.0
BALANCE_SECONDS = 60.0
Receive = Callable[[str, Items], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What an account needs: how to make its carrier, its pace, and where its parcels go while it is down."""

    name: str
    make: Callable[[Links], Carrier]
    pace: Pace
    onward: Mapping[str, str] = field(default_factory=dict)
    """Route -> the carrier after this one."""
    receipts: str = "every"
    """For which parts of a long text the operator sends a receipt: every, first, last, one."""
    marks: Marks = field(default_factory=Marks)
    means: Means = no_meaning
    retry: Retry | None = None
    """Which failures its receipts ask to be tried again."""
    signs: Signs | None = None
    """What its receipts say of numbers."""
    bounds: Bounds = UNBOUNDED
    bought: Bought | None = None


class Account:
    """Takes an account, opens its carrier and runs holders, one after another, until it is stopped."""

    def __init__(
        self,
        store: Store,
        setup: Setup,
        *,
        node: str,
        clock: Clock,
        zone: ZoneInfo,
        recent: Recent,
        receive: Receive,
    ) -> None:
        self._store, self._setup, self._node = store, setup, node
        self._clock, self._zone, self._recent, self._receive = clock, zone, recent, receive
        self._stopping = asyncio.Event()
        self._failed = asyncio.Event()
        self._holder: Holder | None = None
        # Logins are paced by the machine's own time: the operator's gate knows no other.
        self._logins = Logins(setup.pace.relogin_seconds, BACKOFF_SECONDS, time.monotonic)
        self._frequency = Frequency(setup.bounds, clock.monotonic)
        self.gate = Gate(setup.bought, zone)
        self._down_since = 0.0
        self._epoch: int | None = None
        self._failure: tuple[str, str] | None = None
        self._measure_at = self._balance_at = 0.0
        self.health: Health | None = None
        self.carrier: Carrier | None = None
        self.tally = Tally()
        self.state = "waiting"
        """waiting (somebody else holds it), down, up, stopped."""

    def look_again(self) -> None:
        """Something was queued for this account."""
        if self._holder is not None:
            self._holder.look_again()

    def stop(self) -> None:
        """Send nothing more; `run` ends when what is in flight is recorded."""
        self._stopping.set()

    async def run(self) -> None:
        """Until `stop`; losing the account only means waiting for it again."""
        while not self._stopping.is_set():
            epoch = await self._take()
            if epoch is None:
                await self._pause(RENEW_SECONDS)
                continue
            try:
                await self._hold(epoch)
            except EpochLost:
                log.warning("account.lost", carrier=self._setup.name, epoch=epoch)
            except Exception as error:
                # One account's trouble is not the others'; what it had in flight is found by the next `recover`.
                log.exception("account.failed", carrier=self._setup.name, error=type(error).__name__)
                await self._pause(RENEW_SECONDS)
            finally:
                self.state = "waiting"
        self.state = "stopped"

    @property
    def live(self) -> dict[str, Any]:
        """How it does now, as other processes read it."""
        carrier = self.carrier if self.state == "up" else None
        up, links = (0, 0) if carrier is None else carrier.links_up
        return {
            "state": self.state,
            "links_up": up,
            "links": links,
            "in_flight": 0 if carrier is None else carrier.capacity - carrier.free,
            "capacity": 0 if carrier is None else carrier.capacity,
            "failure": self._failure,
            "closed": self.gate.closed(self._clock.now()),
        }

    @property
    def well(self) -> bool:
        """Whether it can take what another cannot send."""
        return self.state == "up" and not (self.health and self.health.trouble)

    async def mind(self, takes: Callable[[str], bool]) -> None:
        """Measure its health now and then; in trouble, what waits goes on to carriers that can take it (`takes`)."""
        epoch = self._epoch
        if epoch is None or self.state != "up":
            return
        await self._measure()
        onward = {route: name for route, name in self._setup.onward.items() if takes(name)}
        if self.health is not None and self.health.trouble and onward:
            with contextlib.suppress(EpochLost):  # whoever has the account now minds it
                await self._store.write(parcels.move, self._setup.name, epoch, onward)

    async def _measure(self) -> None:
        if time.monotonic() < self._measure_at:
            return
        self._measure_at = time.monotonic() + HEALTH_SECONDS
        now, before = self._clock.now(), self.health.trouble if self.health else ""
        sent = await self._store.read(usage.newest, self._setup.name, now - HOUR, LOOKED_AT)
        self.health = measure(sent, now, self._setup.marks, self._setup.means)
        if self.health.trouble != before:
            log.warning("account.trouble", carrier=self._setup.name, trouble=self.health.trouble or "none")

    async def watch_balance(self) -> None:
        """A balance below its warning is a fault that people see, until it is not."""
        account, now = self._setup.bought, self._clock.now()
        if account is None or account.balance_warning is None or time.monotonic() < self._balance_at:
            return
        self._balance_at = time.monotonic() + BALANCE_SECONDS
        used = await self._store.read(usage.used, account.name, bought.beginnings(account, now, self._zone))
        left = (account.balance or 0) - used.since_balance
        key = f"balance:{account.name}"
        if left >= account.balance_warning:
            await self._store.write(slots.fault_clear, key)
            return
        name, warning = account.name, account.balance_warning
        zh = f"通道 {name} 只剩 {left:,} 段，少于 {warning:,}：请续买，再改 balance 和 balance_on"
        en = f"{name} has {left:,} parts left, fewer than {warning:,}: buy more, then set balance and balance_on"
        await self._store.write(slots.fault_set, key, zh, en, now)

    async def _take(self) -> int | None:
        try:
            return await self._store.write(parcels.take, self._setup.name, self._node, self._clock.now(), HELD_FOR)
        except DATABASE_ERRORS as error:
            log.warning("account.take_failed", carrier=self._setup.name, error=type(error).__name__)
            return None

    async def _hold(self, epoch: int) -> None:
        name, self._epoch = self._setup.name, epoch
        renewing = asyncio.create_task(self._renew(epoch))
        try:
            found = await self._store.write(
                parcels.recover, name, epoch, self._clock.now(), self._setup.pace.max_attempts
            )
            self.tally.recovered_uncertain += sum(parcel.uncertain for parcel in found)
            for parcel in found:
                log.warning("parcel.recovered", carrier=name, parcel=parcel.parcel_id, uncertain=parcel.uncertain)
            await self._keep_sending(epoch, renewing)
            await self._store.write(parcels.let_account_go, name, epoch, self._clock.now())
        finally:
            self._epoch = None
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError, EpochLost):
                await renewing

    async def _renew(self, epoch: int) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                held = await self._store.write(
                    parcels.renew, self._setup.name, epoch, self._clock.now(), HELD_FOR, self.live
                )
            except DATABASE_ERRORS:
                continue  # while the database is away nobody else can take the account either
            if not held:
                raise EpochLost("通道已由另一进程接管", "the account is held by another process")

    async def _keep_sending(self, epoch: int, renewing: asyncio.Task[None]) -> None:
        self._down_since = time.monotonic()
        while not self._stopping.is_set():
            if wait := self._logins.wait():
                await self._stay_down(wait, epoch, renewing)
                continue
            carrier = self._setup.make(self._links())
            self._logins.begins()
            try:
                await carrier.open()
            except Unavailable as error:
                wait, self._failure = self._logins.failed(), (error.zh, error.en)
                log.warning("carrier.unavailable", carrier=self._setup.name, error=error.en, again_in=round(wait, 1))
                await self._stay_down(wait, epoch, renewing)
                continue
            self._logins.succeeded()
            self._failure = None
            self.state, self.carrier = "up", carrier
            await self._send_over(carrier, epoch, renewing)
            self._down_since = time.monotonic()

    async def _stay_down(self, seconds: float, epoch: int, renewing: asyncio.Task[None]) -> None:
        """Wait for the next login; what waits meanwhile goes to the next of its route when that takes long.

        A login that nobody answers takes its time too: what counts is since when nothing leaves.
        """
        self.state = "down"
        while seconds > 0 and not self._stopping.is_set():
            pause = min(seconds, FAILOVER_SECONDS)
            await self._rest(pause, renewing)
            seconds -= pause
            if time.monotonic() - self._down_since >= FAILOVER_SECONDS and self._setup.onward:
                await self._store.write(parcels.move, self._setup.name, epoch, dict(self._setup.onward))

    async def _rest(self, seconds: float, renewing: asyncio.Task[None]) -> None:
        """Pause, but not longer than the account is ours."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                stopping = asyncio.ensure_future(self._stopping.wait())
                try:
                    await asyncio.wait({renewing, stopping}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    stopping.cancel()
        if renewing.done():
            renewing.result()

    async def _send_over(self, carrier: Carrier, epoch: int, renewing: asyncio.Task[None]) -> None:
        """Run one holder over an open carrier until it fails, the account is lost, or we are told to stop."""
        self._failed.clear()
        self.gate = Gate(self._setup.bought, self._zone)  # nothing is out: what was used is read anew
        seen = await self._store.read(parcels.newest_consent)
        holder = Holder(
            self._store,
            carrier,
            epoch,
            seen,
            self._setup.pace,
            self._clock,
            self._zone,
            self._recent,
            self.tally,
            self._frequency,
            self.gate,
        )
        self._holder = holder
        running = asyncio.create_task(holder.run())
        ends = [asyncio.create_task(event.wait()) for event in (self._failed, self._stopping)]
        try:
            await asyncio.wait({running, renewing, *ends}, return_when=asyncio.FIRST_COMPLETED)
            if renewing.done():
                renewing.result()
            holder.close_soon()
            if not self._failed.is_set():
                await asyncio.wait({running}, timeout=GRACE_SECONDS)
            await carrier.close()
            # With the database away an end must not wait for it: what is unrecorded is found by `recover`.
            await asyncio.wait({running}, timeout=GRACE_SECONDS)
            if running.done():
                running.result()
        finally:
            self._holder = None
            holder.drop()
            for task in (running, *ends):
                task.cancel()
            # However it ended: nothing may keep the links from being closed.
            await asyncio.gather(running, *ends, return_exceptions=True)
            await carrier.close()

    def _links(self) -> Links:
        return Links(
            answered=self._answered,
            receive=lambda items: self._receive(self._setup.name, items),
            failed=self._on_failed,
            now=self._clock.now,
        )

    def _answered(self, answers: Sequence[Answer]) -> None:
        if self._holder is not None:
            self._holder.answered(answers)

    def _on_failed(self, why: str) -> None:
        log.warning("carrier.failed", carrier=self._setup.name, why=why)
        self._failure = (why, why)
        self._failed.set()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
