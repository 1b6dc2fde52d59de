"""gateway.dispatch over the rehearsed operator and real stores: what leaves, when, how often, what is said of it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from sqlalchemy import func, select, update

from gateway import dispatch as dispatching
from gateway.carriers import Accepted, Items, Links, Receipt, Rejected, Text
from gateway.carriers.simulator import Carrier, Operator, SimulatorSettings
from gateway.dispatch import Account, Bucket, Dispatcher, Logins, Pace, Setup, Withdrawals
from gateway.dispatch import account as keeping
from gateway.dispatch.account import HELD_FOR
from gateway.errors import Refused, Unavailable
from gateway.model import Outcome, ParcelState, Priority, home_parcel, message_id
from gateway.store import Store, broadcasts, consent, engine, open_store, parcels, receipts
from gateway.store.parcels import EpochLost, Result, Step
from gateway.store.receipts import Recent, Told
from gateway.store.tables import account, message, parcel, submission
from gateway.worktime import ManualClock, SystemClock
from tests.conftest import NOON
from tests.store.outbound import counted, number, queue, queue_many, repeats, row, states, tally, to

ZONE = ZoneInfo("Asia/Shanghai")
AT_ONCE = Pace(rate=10_000_000)  # under a clock that stands still nothing is saved up again
RETRY = Pace(rate=10_000_000, retry_seconds=(60.0,))


class Hall:
    """A dispatching process with the operators it has met, one per opened carrier, and a place for receipts."""

    def __init__(self, store: Store, clock: Any) -> None:
        self.store, self.clock = store, clock
        self.recent = Recent()
        self.carriers: list[Carrier] = []

    def setup(self, name: str = "main", pace: Pace = AT_ONCE, onward: dict[str, str] | None = None, **on: Any) -> Setup:
        def make(links: Links) -> Carrier:
            self.carriers.append(Carrier(name, SimulatorSettings(**on), links))
            return self.carriers[-1]

        return Setup(name=name, make=make, pace=pace, onward=onward or {})

    async def receive(self, name: str, items: Items) -> None:
        heard = [Told(i.ref, i.phone, i.state, i.error, i.at) for i in items if isinstance(i, Receipt)]
        known = [self.recent.find(name, one.ref) for one in heard]
        await self.store.write(receipts.store, name, heard, known, self.clock.now())

    def dispatcher(self, *setups: Setup) -> Dispatcher:
        return Dispatcher(
            self.store, setups, clock=self.clock, zone=ZONE, recent=self.recent, receive=self.receive
        )  # fmt: skip

    def account(self, setup: Setup, node: str) -> Account:
        return Account(
            self.store, setup, node=node, clock=self.clock, zone=ZONE, recent=self.recent, receive=self.receive
        )  # fmt: skip

    @contextlib.asynccontextmanager
    async def dispatching(self, *setups: Setup) -> AsyncIterator[Dispatcher]:
        """As `serve` does; afterwards nothing was sent twice and no more was ever at risk than is promised."""
        dispatcher = self.dispatcher(*setups)
        async with dispatcher.running():
            yield dispatcher
        for one in dispatcher.accounts.values():
            assert one.carrier is None or one.tally.most_at_risk <= 2 * one.carrier.capacity
        assert len(self.sent) == len(set(self.sent))
        assert all(carrier.operator.repeated == 0 for carrier in self.carriers)

    @property
    def sent(self) -> list[tuple[int, int]]:
        """(text, attempt) in the order in which operators took them."""
        return [slot for carrier in self.carriers for slot in carrier.operator.seen]


@pytest.fixture
def hall(store: Store, clock: ManualClock) -> Hall:
    return Hall(store, clock)


async def until(condition: Callable[[], Awaitable[bool]] | Callable[[], bool], seconds: float = 8.0) -> None:
    """Look every few milliseconds; fails when it takes too long."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.01)


async def finished(store: Store) -> bool:
    """Nothing waits and nobody holds a parcel."""
    busy = select(func.count()).select_from(parcel).where(parcel.c.state.in_(("ready", "held")))
    return await store.read(lambda db: db.execute(busy).scalar_one() == 0)


async def let_go(store: Store) -> bool:
    """Nobody holds a parcel."""
    held = select(func.count()).select_from(parcel).where(parcel.c.holder_epoch.is_not(None))
    return await store.read(lambda db: db.execute(held).scalar_one() == 0)


async def send_all(hall: Hall, *setups: Setup) -> None:
    async with hall.dispatching(*setups):
        await until(lambda: finished(hall.store))


# -- the ordinary way ------------------------------------------------------------------------------------------


async def test_every_text_leaves_once_and_is_delivered(hall: Hall) -> None:
    homes = await queue_many(hall.store, 1200)
    async with hall.dispatching(hall.setup(in_flight=50)) as dispatcher:
        await until(lambda: finished(hall.store))
        await until(lambda: hall.carriers[0].idle)
    assert len(hall.sent) == 1200
    assert await tally(hall.store) == await counted(hall.store) == {"delivered": 1200}
    for home in homes:
        ended = await row(hall.store, home)
        assert (ended.state, ended.holder_epoch, ended.watermark) == (ParcelState.DONE, None, ended.n)
    assert dispatcher.accounts["main"].state == "stopped"
    assert dispatcher.accounts["main"].tally.handed_over == 1200


async def test_each_text_says_what_it_should_to_whom_it_should(hall: Hall) -> None:
    own = [*to(1, body="只给你"), *to(2, first=1)]
    home = await queue(hall.store, own, body="大家好")
    await send_all(hall, hall.setup())
    operator = hall.carriers[0].operator
    assert [operator.bodies[message_id(home, n)] for n in range(3)] == ["只给你", "大家好", "大家好"]
    assert list(operator.seen.values()) == [number(n) for n in range(3)]


async def test_each_text_ends_as_its_operator_says(hall: Hall) -> None:
    await queue_many(hall.store, 700)
    odds = {"receipt_lost": 0.05, "receipt_late": 0.1, "receipt_early": 0.1, "receipt_twice": 0.1}
    async with hall.dispatching(hall.setup(reject=0.05, receipt_failed=0.05, receipt_late_after=0.3, **odds)):
        await until(lambda: finished(hall.store))
        await until(lambda: hall.carriers[0].idle)
    expected = await hall.store.read(lambda db: expected_states(db, hall.carriers[0]))
    assert {key: state.value for key, state in (await states(hall.store)).items()} == expected
    assert set(expected.values()) == {"accepted", "delivered", "undelivered", "rejected"}
    assert await counted(hall.store) == await tally(hall.store)


def expected_states(db: Any, carrier: Carrier) -> dict[int, str]:
    """What the dice of the operator come to for each text."""
    ends = {}
    for key, phone in db.execute(select(message.c.id, message.c.phone)):
        fate = carrier.operator.fate(Text(key, 1, phone, "", 1))
        said = "accepted" if fate.receipt == "lost" else "undelivered" if fate.failed else "delivered"
        ends[key] = "rejected" if fate.refused else said
    return ends


async def test_texts_of_several_parts_count_in_flight_as_such(hall: Hall) -> None:
    await queue(hall.store, to(60, parts=3))
    async with hall.dispatching(hall.setup(in_flight=10, latency=0.002)):
        await until(lambda: finished(hall.store))
        await until(lambda: hall.carriers[0].idle)
    assert await counted(hall.store) == {"delivered": 60}


async def test_a_throttled_carrier_with_one_place_left_still_gets_long_texts(hall: Hall) -> None:
    class Narrow(Carrier):
        @property
        def free(self) -> int:
            return min(1 - self._parts, super().free)

    await queue(hall.store, to(4, parts=2))

    def make(links: Links) -> Carrier:
        hall.carriers.append(Narrow("main", SimulatorSettings(in_flight=10), links))
        return hall.carriers[-1]

    await send_all(hall, replace(hall.setup(), make=make))
    assert len(hall.sent) == 4


async def test_a_text_longer_than_the_places_there_are_leaves_alone(hall: Hall) -> None:
    await queue(hall.store, to(5, parts=3))
    await send_all(hall, hall.setup(in_flight=2, latency=0.002))
    assert len(hall.sent) == 5


async def test_what_is_queued_while_it_runs_is_found(hall: Hall) -> None:
    async with hall.dispatching(hall.setup()) as dispatcher:
        for n in range(3):
            await queue(hall.store, to(1, first=n))
            if n == 1:
                dispatcher.look_again()
            await until(lambda: len(hall.sent) == n + 1)  # noqa: B023 - awaited here


# -- again -----------------------------------------------------------------------------------------------------


async def test_what_is_deferred_is_tried_again_in_a_parcel_of_its_own(hall: Hall, clock: ManualClock) -> None:
    home = await queue(hall.store, 200)
    async with hall.dispatching(hall.setup(pace=RETRY, defer=0.3)):
        await until(lambda: let_go(hall.store))
        await until(lambda: ended(hall.store, home))
        first = {key for key, _ in hall.sent}
        waiting = [key for each in await repeats(hall.store) for key in each.members]
        assert 20 < len(waiting) < 100 and not first & set(waiting) and len(first) + len(waiting) == 200
        assert all(each.not_before == clock.now() + timedelta(seconds=60) for each in await repeats(hall.store))
        await asyncio.sleep(0.3)
        assert len(hall.sent) == len(first)
        clock.advance(60)
        await until(lambda: finished(hall.store))
        await until(lambda: hall.carriers[0].idle)
    assert sorted(key for key, attempt in hall.sent if attempt == 2) == sorted(waiting)
    assert await counted(hall.store) == await tally(hall.store) == {"delivered": 200}


async def ended(store: Store, key: int) -> bool:
    return bool((await row(store, key)).state == ParcelState.DONE)


async def test_but_not_for_ever(hall: Hall) -> None:
    await queue(hall.store, 100)
    await send_all(hall, hall.setup(pace=Pace(rate=1e7, max_attempts=1), defer=1.0))
    assert await counted(hall.store) == await tally(hall.store) == {"expired": 100}
    assert hall.sent == []


# -- stop, cancel, opt out -------------------------------------------------------------------------------------


async def test_after_a_stop_nothing_leaves_until_it_is_resumed(hall: Hall) -> None:
    await queue_many(hall.store, 600)
    async with hall.dispatching(hall.setup(in_flight=10, latency=0.01)):
        await until(lambda: len(hall.sent) > 50)
        await hall.store.write(broadcasts.hold, 1)
        await until(lambda: let_go(hall.store))
        stopped = len(hall.sent)
        assert stopped < 550
        await asyncio.sleep(0.3)
        assert len(hall.sent) == stopped
        marks = await hall.store.read(lambda db: db.execute(select(func.sum(parcel.c.watermark))).scalar_one())
        assert marks == stopped  # let go in order: the mark is what left
        assert (await tally(hall.store)).get("uncertain", 0) == 0
        await hall.store.write(broadcasts.release, 1)
        await until(lambda: finished(hall.store))
    assert len(hall.sent) == 600


async def test_a_stop_holds_what_was_deferred_as_well(hall: Hall, clock: ManualClock) -> None:
    await queue_many(hall.store, 400)
    async with hall.dispatching(hall.setup(pace=RETRY, in_flight=10, latency=0.01, defer=0.5)):
        await until(lambda: len(hall.sent) > 20)
        await hall.store.write(broadcasts.hold, 1)
        await until(lambda: let_go(hall.store))
        stopped = len(hall.sent)
        clock.advance(3600)
        await asyncio.sleep(0.4)
        assert len(hall.sent) == stopped
        await hall.store.write(broadcasts.release, 1)
        await until(lambda: len(hall.sent) > stopped)


async def test_what_has_not_left_when_it_is_cancelled_never_will(hall: Hall, clock: ManualClock) -> None:
    await queue_many(hall.store, 600)
    async with hall.dispatching(hall.setup(in_flight=10, latency=0.01)):
        await until(lambda: len(hall.sent) > 50)
        await hall.store.write(broadcasts.cancel, 1, clock.now())
        await until(lambda: let_go(hall.store))
        await asyncio.sleep(0.1)
    sent = len(hall.sent)
    found = await counted(hall.store)
    assert found == await tally(hall.store)
    assert found["cancelled"] == 600 - sent > 0
    assert set(found) <= {"cancelled", "delivered", "accepted"}


async def test_who_opts_out_while_it_is_sent_is_not_sent_to(hall: Hall, clock: ManualClock) -> None:
    home = await queue(hall.store, 500)
    async with hall.dispatching(hall.setup(in_flight=5, latency=0.01)):
        await until(lambda: len(hall.sent) > 20)
        for n, category, word in ((497, None, "out"), (498, "weather", "out"), (499, "jobs", "out"), (496, None, "out"),
                                  (496, "weather", "in")):  # fmt: skip
            said = {"source": "text", "wording": "TD", "by": "-", "at": clock.now()}
            await hall.store.write(consent.append, number(n), category, word, **said)
        await until(lambda: finished(hall.store))
    sent = {key for key, _ in hall.sent}
    assert [message_id(home, n) in sent for n in range(495, 500)] == [True, True, False, False, True]
    assert (await counted(hall.store))["withheld"] == 2


async def test_consent_that_the_parcel_was_composed_after_is_not_asked_again(hall: Hall, clock: ManualClock) -> None:
    said = {"source": "text", "wording": "TD", "by": "-", "at": clock.now()}
    key = await hall.store.write(consent.append, number(0), None, "out", **said)
    await queue(hall.store, 1, consent_seen=key)  # whoever composed it knew
    await queue(hall.store, 1, consent_seen=0, category=None)  # an answer to what they asked
    await queue(hall.store, 1, consent_seen=0)
    await send_all(hall, hall.setup())
    assert len(hall.sent) == 2
    assert (await counted(hall.store))["withheld"] == 1


# -- hours and expiry ------------------------------------------------------------------------------------------


async def test_at_closing_time_a_parcel_is_let_go_until_opening(hall: Hall, clock: ManualClock) -> None:
    home = await queue(hall.store, 400, hours="08:00-12:30")
    async with hall.dispatching(hall.setup(in_flight=10, latency=0.01)):
        await until(lambda: len(hall.sent) > 30)
        clock.advance(30 * 60)
        await until(lambda: let_go(hall.store))
        closed = len(hall.sent)
        waiting = await row(hall.store, home)
        assert (waiting.state, waiting.watermark) == (ParcelState.READY, closed) and closed < 400
        assert waiting.not_before == NOON.replace(day=NOON.day + 1, hour=0)  # 08:00 in Shanghai
        clock.advance(19 * 3600)
        await asyncio.sleep(0.3)
        assert len(hall.sent) == closed
        clock.advance(30 * 60)
        await until(lambda: finished(hall.store))
    assert len(hall.sent) == 400


async def test_outside_the_hours_nothing_leaves_at_all(hall: Hall) -> None:
    home = await queue(hall.store, 10, hours="13:00-21:00")
    async with hall.dispatching(hall.setup()):
        await until(lambda: waits_for(hall.store, home))
        await asyncio.sleep(0.1)
    assert hall.sent == []
    assert (await row(hall.store, home)).watermark == 0


async def waits_for(store: Store, key: int) -> bool:
    return (await row(store, key)).not_before is not None


async def test_what_opens_only_after_it_expires_has_expired(hall: Hall) -> None:
    await queue(hall.store, 10, hours="13:00-21:00", expires_at=NOON + timedelta(minutes=30))
    await send_all(hall, hall.setup())
    assert hall.sent == []
    assert await counted(hall.store) == await tally(hall.store) == {"expired": 10}


async def test_what_has_not_left_in_time_expires(hall: Hall, clock: ManualClock) -> None:
    await queue_many(hall.store, 1200, expires_at=NOON + timedelta(minutes=1))
    async with hall.dispatching(hall.setup(in_flight=10, latency=0.01)):
        await until(lambda: len(hall.sent) > 30)
        clock.advance(60)
        await until(lambda: finished(hall.store))
    found = await counted(hall.store)
    assert found == await tally(hall.store)
    assert found["expired"] == 1200 - len(hall.sent) > 0


# -- whose turn it is ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [True, False])
async def test_an_emergency_overtakes_what_is_queued(hall: Hall, told: bool) -> None:
    """Whether this process queued it or another one did, of which nobody tells."""
    await queue_many(hall.store, 2500)
    # 1,280 texts a second at most, however fast the machine: a look every 0.2 s lets a few hundred pass.
    async with hall.dispatching(hall.setup(in_flight=64, latency=0.05)) as dispatcher:
        await until(lambda: len(hall.sent) > 100)
        urgent = await queue(hall.store, 20, priority=Priority.EMERGENCY, broadcast_id=9)
        before = len(hall.sent)
        if told:
            dispatcher.look_again()
        await until(lambda: sum(home_parcel(key) == urgent for key, _ in hall.sent) == 20, 20)
        assert len(hall.sent) - before < (600 if told else 1800)
        await until(lambda: finished(hall.store), 20)
    last = max(at for at, (key, _) in enumerate(hall.sent) if home_parcel(key) == urgent)
    assert last < 2200


async def test_each_priority_goes_before_the_next(hall: Hall) -> None:
    homes = {priority: await queue(hall.store, 100, priority=priority) for priority in reversed(Priority)}
    await send_all(hall, hall.setup(in_flight=8, latency=0.001))
    order = [home_parcel(key) for key, _ in hall.sent]
    # The first grant may go to whatever was opened; from then on they leave by rank.
    middles = [sorted(at for at, home in enumerate(order) if home == homes[priority])[50] for priority in Priority]
    assert middles == sorted(middles)


async def test_two_broadcasts_take_turns(hall: Hall) -> None:
    for broadcast in (1, 2):
        await queue_many(hall.store, 2000, broadcast_id=broadcast)
    await send_all(hall, hall.setup(in_flight=64))
    first_half = [home_parcel(key) for key, _ in hall.sent[:2000]]
    of_first = await hall.store.read(
        lambda db: set(db.execute(select(parcel.c.id).where(parcel.c.broadcast_id == 1)).scalars())
    )
    assert 500 <= sum(home in of_first for home in first_half) <= 1500


# -- pace ------------------------------------------------------------------------------------------------------


async def test_the_pace_is_kept(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, SystemClock())
    await queue(sqlite_store, to(60, parts=2))
    begun = asyncio.get_running_loop().time()
    await send_all(hall, hall.setup(pace=Pace(rate=200.0)))
    took = asyncio.get_running_loop().time() - begun
    assert 0.45 < took < 3  # 120 parts, of which a tenth of a second's worth may leave at once


def test_a_bucket_saves_a_fiftieth_of_a_second_and_may_be_overdrawn(clock: ManualClock) -> None:
    bucket = Bucket(100.0, clock.monotonic)
    clock.advance(60)
    assert bucket.available() == 2
    bucket.spend(7)
    clock.advance(0.01)
    assert bucket.available() == pytest.approx(-4)
    assert Bucket(1.0, clock.monotonic).available() == 1


def test_the_newest_word_about_a_category_decides() -> None:
    said = Withdrawals(0)
    said.learn([(1, "a", None, "out"), (2, "a", "weather", "in"), (3, "b", "jobs", "out"), (4, "c", None, "in")])
    assert said.since == 4
    assert not said.withholds("a", "weather", 0) and said.withholds("a", "jobs", 0)
    assert not said.withholds("a", "jobs", 1) and not said.withholds("a", None, 0)
    assert said.withholds("b", "jobs", 2) and not said.withholds("b", "weather", 0)
    assert not said.withholds("c", "jobs", 0) and not said.withholds("d", "jobs", 0)


# -- what breaks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answers_first", [True, False])
async def test_a_link_that_fails_leaves_what_was_in_flight_uncertain_and_goes_on(
    hall: Hall, answers_first: bool
) -> None:
    await queue(hall.store, 200)
    async with hall.dispatching(hall.setup(in_flight=10, latency=0.05)):
        await until(lambda: len(hall.sent) >= 20)
        if answers_first:
            hall.carriers[0].lost("cut")
        else:
            hall.carriers[0].links.failed("cut")
        await until(lambda: finished(hall.store))
    assert len(hall.carriers) == 2
    assert 0 < (await tally(hall.store))["uncertain"] <= 10
    assert len(hall.sent) == 200  # each reached the operator once, the uncertain ones too
    assert await counted(hall.store) == await tally(hall.store)


async def test_emergencies_are_sent_again_when_their_link_fails(hall: Hall) -> None:
    await queue(hall.store, 100, priority=Priority.EMERGENCY, on_uncertain="resend")
    async with hall.dispatching(hall.setup(in_flight=10, latency=0.05)):
        await until(lambda: len(hall.sent) >= 20)
        hall.carriers[0].lost("cut")
        await until(lambda: finished(hall.store))
        await until(lambda: hall.carriers[1].idle)
    assert {key for key, attempt in hall.sent if attempt == 2} == {
        key for each in await repeats(hall.store) for key in each.members
    }
    assert set(await tally(hall.store)) <= {"delivered", "accepted"}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become hundredths."""
    monkeypatch.setattr(keeping, "BACKOFF_SECONDS", (0.02, 0.05))
    monkeypatch.setattr(keeping, "FAILOVER_SECONDS", 0.05)
    monkeypatch.setattr(keeping, "HELD_FOR", timedelta(seconds=0.5))
    monkeypatch.setattr(keeping, "RENEW_SECONDS", 0.1)


@pytest.mark.usefixtures("impatient")
async def test_what_waits_for_a_carrier_that_is_down_goes_to_the_next_of_its_route(hall: Hall) -> None:
    await queue(hall.store, 30)
    other = await queue(hall.store, 5, route="only here")
    main = hall.setup(down=True, onward={"all": "backup"})
    async with hall.dispatching(main, hall.setup("backup")) as dispatcher:
        await until(lambda: len(hall.sent) == 30)
        assert [dispatcher.accounts[name].state for name in ("main", "backup")] == ["down", "up"]
    assert (await row(hall.store, other)).carrier == "main"


@pytest.mark.usefixtures("impatient")
async def test_logins_that_nobody_answers_count_as_time_that_a_carrier_is_down(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try takes ten times as long as the pause before the next: a frozen gate shall not hold what waits."""
    monkeypatch.setattr(keeping, "FAILOVER_SECONDS", 0.3)
    monkeypatch.setattr(keeping, "BACKOFF_SECONDS", (0.02,))
    await queue(hall.store, 30)
    tried: list[float] = []

    class Frozen(Carrier):
        async def open(self) -> None:
            tried.append(time.monotonic())
            await asyncio.sleep(0.3)
            raise Unavailable("登录没有回应", "no answer to the login")

    main = replace(hall.setup(onward={"all": "backup"}), make=lambda links: Frozen("main", SimulatorSettings(), links))
    async with hall.dispatching(main, hall.setup("backup")):
        await until(lambda: len(hall.sent) == 30)
    assert len(tried) <= 4


@pytest.mark.usefixtures("impatient")
async def test_a_carrier_that_comes_back_is_used(hall: Hall) -> None:
    await queue(hall.store, 30)
    settings = [SimulatorSettings(down=True)] * 3 + [SimulatorSettings()]

    def make(links: Links) -> Carrier:
        hall.carriers.append(Carrier("main", settings[len(hall.carriers)], links))
        return hall.carriers[-1]

    await send_all(hall, Setup(name="main", make=make, pace=AT_ONCE))
    assert len(hall.carriers) == 4 and len(hall.sent) == 30


@pytest.mark.usefixtures("impatient")
async def test_an_account_logs_in_no_sooner_than_its_gate_bears(hall: Hall) -> None:
    await queue(hall.store, 30)
    opened: list[float] = []

    def make(links: Links) -> Carrier:
        opened.append(time.monotonic())
        down = SimulatorSettings(down=len(opened) < 3)
        hall.carriers.append(Carrier("main", down, links))
        return hall.carriers[-1]

    await send_all(hall, Setup(name="main", make=make, pace=replace(AT_ONCE, relogin_seconds=0.3)))
    assert len(opened) == 3
    assert all(later - sooner >= 0.3 for sooner, later in itertools.pairwise(opened))


@pytest.mark.usefixtures("impatient")
async def test_a_link_that_fails_waits_for_its_next_login_and_what_waits_goes_on(hall: Hall) -> None:
    slow = hall.setup(pace=replace(AT_ONCE, relogin_seconds=30), onward={"all": "backup"})
    async with hall.dispatching(slow, hall.setup("backup")) as dispatcher:
        await until(lambda: dispatcher.accounts["main"].state == "up")
        next(one for one in hall.carriers if one.name == "main").lost("cut")
        await until(lambda: dispatcher.accounts["main"].state == "down")
        await queue(hall.store, 30)
        await until(lambda: len(hall.sent) == 30)
    assert len([one for one in hall.carriers if one.name == "main"]) == 1


def test_pauses_between_logins_grow_with_jitter_and_begin_anew() -> None:
    now = [0.0]
    logins = Logins(10, (1.0, 2.0), lambda: now[0])
    assert logins.wait() == 0
    logins.begins()
    assert 10 <= logins.failed() <= 12.5 and 10 <= logins.wait() <= 12.5
    now[0] = 20
    logins.begins()
    now[0] = 40
    assert logins.wait() == 0 and 2 <= logins.failed() <= 2.5
    logins.succeeded()
    assert 1 <= logins.failed() <= 1.25
    assert len({Logins(0, (1.0,), lambda: 0.0).failed() for _ in range(20)}) > 10


@pytest.fixture
def attentive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Health is measured at once, and looked after all the time."""
    monkeypatch.setattr(keeping, "HEALTH_SECONDS", 0.0)
    monkeypatch.setattr(dispatching, "UPKEEP_SECONDS", 0.02)


@pytest.mark.usefixtures("attentive")
async def test_what_waits_for_a_carrier_that_fails_goes_on_until_it_is_well_again(
    hall: Hall, clock: ManualClock
) -> None:
    failing = hall.setup(reject=1.0, onward={"all": "backup"})
    async with hall.dispatching(failing, hall.setup("backup")) as dispatcher:
        main = dispatcher.accounts["main"]
        await queue(hall.store, 30)
        await until(lambda: main.health is not None and main.health.trouble == "failing")
        assert not main.well
        await queue(hall.store, 20, not_before=clock.now() + timedelta(minutes=1), broadcast_id=2)
        await until(lambda: parcel_of(hall.store, 2, "backup"))
        clock.advance(16 * 60)  # what was refused is long ago now
        await until(lambda: main.health is not None and main.health.trouble == "")
        await queue(hall.store, 10, not_before=clock.now() + timedelta(minutes=1), broadcast_id=3)
        await asyncio.sleep(0.2)
        assert await parcel_of(hall.store, 3, "main")
    assert (await tally(hall.store))["rejected"] == 30


@pytest.mark.usefixtures("attentive")
async def test_late_receipts_send_what_waits_another_way_but_never_to_one_that_is_down(
    hall: Hall, clock: ManualClock
) -> None:
    slow = hall.setup(receipt_lost=1.0, onward={"all": "backup"})
    async with hall.dispatching(slow, hall.setup("backup", down=True)) as dispatcher:
        main = dispatcher.accounts["main"]
        await queue(hall.store, 30)
        await until(lambda: finished(hall.store))
        clock.advance(15 * 60)
        await until(lambda: main.health is not None and main.health.trouble == "slow")
        await queue(hall.store, 20, not_before=clock.now() + timedelta(minutes=1), broadcast_id=2)
        await asyncio.sleep(0.2)
        assert await parcel_of(hall.store, 2, "main")


async def parcel_of(store: Store, broadcast_id: int, carrier: str) -> bool:
    """Whether a broadcast's parcel waits for this account."""
    query = select(parcel.c.carrier).where(parcel.c.broadcast_id == broadcast_id)
    return await store.read(lambda db: db.execute(query).scalar_one() == carrier)


@pytest.mark.usefixtures("impatient")
async def test_an_account_says_how_it_does_to_other_processes(hall: Hall, clock: ManualClock) -> None:
    await queue(hall.store, 40)
    async with hall.dispatching(hall.setup(in_flight=10, links=2, latency=5.0), hall.setup("other", down=True)):
        await until(lambda: len(hall.carriers) > 0)

        async def full() -> bool:
            living = await hall.store.read(parcels.living, clock.now())
            return living.get("main", {}).get("in_flight") == 20 and living.get("other", {}).get("state") == "down"

        await until(full)
        living = await hall.store.read(parcels.living, clock.now())
        assert {k: living["main"][k] for k in ("state", "links_up", "links", "capacity", "failure")} == {
            "state": "up", "links_up": 2, "links": 2, "capacity": 20, "failure": None
        }  # fmt: skip
        assert living["other"]["failure"][1]
        if hall.store.is_sqlite:  # elsewhere the database's own clock counts
            assert await hall.store.read(parcels.living, clock.now() + timedelta(minutes=1)) == {}
        for carrier in hall.carriers:
            carrier.lost("over")
    assert await hall.store.read(parcels.living, clock.now()) == {}


async def test_leaving_in_order_leaves_nothing_uncertain_and_the_next_goes_on(hall: Hall) -> None:
    await queue_many(hall.store, 800)
    for most in (100, 400):
        async with hall.dispatching(hall.setup(in_flight=20, latency=0.01)):
            await until(lambda: len(hall.sent) > most)  # noqa: B023 - awaited here
        assert await let_go(hall.store)
        assert set(await tally(hall.store)) <= {"waiting", "delivered", "accepted"}
    await send_all(hall, hall.setup(in_flight=100))
    assert len(hall.sent) == 800


@pytest.mark.usefixtures("impatient")
async def test_a_process_that_dies_leaves_at_most_what_was_at_risk(hall: Hall) -> None:
    await queue_many(hall.store, 800)
    dying = hall.account(hall.setup(in_flight=20, latency=0.02), "here")
    running = asyncio.create_task(dying.run())
    await until(lambda: len(hall.sent) > 100)
    hall.carriers[0].links = Links(
        answered=lambda answers: None, receive=hall.carriers[0].links.receive, failed=lambda why: None,
        now=hall.clock.now,
    )  # fmt: skip
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await send_all(hall, hall.setup(in_flight=100))
    found = await tally(hall.store)
    assert 0 < found["uncertain"] <= 40
    assert len(hall.sent) <= 800 and len(hall.sent) + found["uncertain"] >= 800
    assert await counted(hall.store) == found


async def test_a_second_dispatching_process_is_refused_on_sqlite(sqlite_store: Store, clock: ManualClock) -> None:
    hall = Hall(sqlite_store, clock)
    async with hall.dispatching(hall.setup()):
        with pytest.raises(Refused, match="another process"):
            async with hall.dispatcher(hall.setup()).running():
                pass
        await queue(sqlite_store, 1)
        await until(lambda: len(hall.sent) == 1)
    await send_all(hall, hall.setup())


@pytest.mark.usefixtures("impatient")
async def test_another_node_takes_over_from_one_that_froze(postgres_store: Store, clock: ManualClock) -> None:
    hall = Hall(postgres_store, clock)
    home = await queue(postgres_store, 50)
    frozen = await postgres_store.write(parcels.take, "main", "frozen", NOON, HELD_FOR)
    assert frozen is not None
    held = await postgres_store.write(parcels.open_next, "main", frozen, Priority.BULK, 0, NOON)
    assert held is not None
    await postgres_store.write(parcels.record, "main", frozen, Step(watermarks={home: 7}), [home], NOON)
    await send_all(hall, hall.setup())
    assert len(hall.sent) == 43
    late = Step([(home, 1, Result(message_id(home, 0), 1, Outcome.ACCEPTED, ("A",), None))], {home: 50})
    with pytest.raises(EpochLost):
        await postgres_store.write(parcels.record, "main", frozen, late, [home], NOON)
    assert (await tally(postgres_store))["uncertain"] == 7


@pytest.mark.usefixtures("impatient")
async def test_who_lost_the_account_sends_and_records_no_more(postgres_store: Store, clock: ManualClock) -> None:
    hall = Hall(postgres_store, clock)
    await queue_many(postgres_store, 1000)
    async with hall.dispatching(hall.setup(in_flight=10, latency=0.01)) as dispatcher:
        await until(lambda: len(hall.sent) > 50)
        taken = {"node": "other", "epoch": account.c.epoch + 1, "until": NOON.replace(year=2999)}
        await postgres_store.write(lambda db: db.execute(update(account).values(**taken)))
        await until(lambda: dispatcher.accounts["main"].state == "waiting")
        sent, recorded = len(hall.sent), await rows(postgres_store)
        assert sent <= recorded + 20 and sent < 900
        await asyncio.sleep(0.3)
        assert (len(hall.sent), await rows(postgres_store)) == (sent, recorded)
    assert len(hall.carriers) == 1


async def rows(store: Store) -> int:
    return await store.read(lambda db: db.execute(select(func.count()).select_from(submission)).scalar_one())


@pytest.mark.usefixtures("impatient")
async def test_on_sqlite_a_locked_database_is_outlasted(
    sqlite_url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    store = open_store(sqlite_url)
    hall = Hall(store, clock)
    await queue_many(store, 600)
    async with hall.dispatching(hall.setup(in_flight=10, latency=0.005)):
        await until(lambda: len(hall.sent) > 50)
        await locked_for(sqlite_url, 0.6)
        await until(lambda: finished(store))
        await until(lambda: hall.carriers[0].idle)
    assert len(hall.carriers) == 1 and len(hall.sent) == 600
    assert await counted(store) == await tally(store) == {"delivered": 600}
    await store.close()


async def locked_for(url: str, seconds: float) -> None:
    other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=5)
    other.execute("BEGIN EXCLUSIVE")
    await asyncio.sleep(seconds)
    other.execute("ROLLBACK")
    other.close()


@pytest.mark.usefixtures("impatient")
async def test_a_postgresql_that_restarts_is_outlasted(
    postgres_store: Store, postgres_url: str, clock: ManualClock
) -> None:
    hall = Hall(postgres_store, clock)
    await queue_many(postgres_store, 600)
    async with hall.dispatching(hall.setup(in_flight=10, latency=0.005)):
        await until(lambda: len(hall.sent) > 50)
        await away_for(postgres_url, 0.4)
        await until(lambda: finished(postgres_store))
        await until(lambda: hall.carriers[0].idle)
    assert len(hall.carriers) == 1 and len(hall.sent) == 600
    assert await counted(postgres_store) == await tally(postgres_store) == {"delivered": 600}


async def away_for(url: str, seconds: float) -> None:
    """As in a restart: every connection ends and new ones are refused for a while."""
    base, _, name = url.replace("+asyncpg", "").partition("?")[0].rpartition("/")
    outside = await asyncpg.connect(f"{base}/postgres?{url.partition('?')[2]}")
    await outside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await outside.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
    await asyncio.sleep(seconds)
    await outside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    await outside.close()


# -- odd ends --------------------------------------------------------------------------------------------------


async def test_what_expires_frees_no_more_than_its_own_share_of_the_risk(hall: Hall, clock: ManualClock) -> None:
    soon = NOON + timedelta(minutes=1)
    over = await queue(hall.store, 500, priority=Priority.NORMAL, expires_at=soon)
    other = await queue(hall.store, 500, broadcast_id=2)
    async with hall.dispatching(hall.setup(in_flight=5, latency=0.1)):
        await until(lambda: len(hall.sent) >= 5)
        clock.advance(90)
        await until(lambda: any(home_parcel(key) == other for key, _ in hall.sent))
        for n in (1, 2):
            await hall.store.write(broadcasts.hold, n)
        await until(lambda: let_go(hall.store))
    assert (await row(hall.store, over)).state == ParcelState.DONE


async def test_a_repeated_attempt_stopped_and_then_cancelled_leaves_no_text_waiting(
    hall: Hall, clock: ManualClock
) -> None:
    await queue(hall.store, 10)
    setup = hall.setup(in_flight=5, latency=0.6, defer=1.0, pace=RETRY)
    async with hall.dispatching(setup):
        await until(lambda: finished_but_repeats(hall.store), 15)
        clock.advance(90)
        await until(lambda: len(hall.sent) >= 5)
        await hall.store.write(broadcasts.hold, 1)
        await asyncio.sleep(0.35)
        await hall.store.write(broadcasts.cancel, 1, clock.now())
        await until(lambda: let_go(hall.store))
    ends = await tally(hall.store)
    assert ends == await counted(hall.store)
    assert ends["cancelled"] > 0
    assert "waiting" not in ends


async def finished_but_repeats(store: Store) -> bool:
    """Every text was deferred once."""
    rows = select(func.count()).select_from(submission).where(submission.c.outcome == Outcome.DEFERRED)
    return await store.read(lambda db: db.execute(rows).scalar_one() == 10)


async def test_an_operators_odd_characters_hold_up_nothing(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    await queue(hall.store, 2)
    said: list[Rejected | Accepted] = [
        Rejected(Text(0, 0, "", "", 1), "R\0\ud800"),
        Accepted(Text(0, 0, "", "", 1), ("9\0\ud800",)),
    ]
    monkeypatch.setattr(Operator, "take", lambda self, text, fate: said.pop()._replace(text=text))
    await send_all(hall, hall.setup())
    query = select(submission.c.outcome, submission.c.error, submission.c.carrier_ref).order_by(submission.c.message_id)
    found = await hall.store.read(lambda db: [tuple(each) for each in db.execute(query)])
    assert found == [("accepted", None, "9?"), ("rejected", "R?", None)]


async def test_one_parcel_that_cannot_be_ended_does_not_end_the_upkeep(hall: Hall) -> None:
    home = await queue(hall.store, 1, expires_at=NOON)
    nobody = parcels.Again(home, 2, (message_id(home, 400),), None)
    await hall.store.write(parcels.try_again, nobody)
    async with hall.dispatching(hall.setup(down=True)):
        await until(lambda: counted_all(hall.store))


async def counted_all(store: Store) -> bool:
    stale = select(func.count()).select_from(parcel).where(parcel.c.stale)
    return await store.read(lambda db: db.execute(stale).scalar_one() == 0)
