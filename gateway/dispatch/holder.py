"""One holding of one account: plans each transaction, learns from it, hands texts over.

The rules are those of the package (`gateway.dispatch`). A turn is one transaction: `_plan` puts together what waits,
`parcels.record` writes it, `_learn` takes in what the database answered; `_send` fills the carrier's free places at any
time, but never beyond what the last finished transaction granted.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import structlog

from gateway.carriers import Accepted, Answer, Carrier, Deferred, Rejected, Text
from gateway.dispatch.limits import Frequency, Gate
from gateway.dispatch.pace import Bucket, Pace
from gateway.dispatch.withdrawals import Withdrawals
from gateway.model import PARCEL_SIZE, Outcome, ParcelState, Priority
from gateway.store import DATABASE_ERRORS, REFUSED_ROWS, Store, parcels, usage
from gateway.store.parcels import Again, EpochLost, OpenParcel, Result, Step, Verdict
from gateway.store.receipts import Part, Recent
from gateway.worktime import Clock, Hours

log = structlog.get_logger()

RECORD_ROWS = 500
OPEN_TEXTS = 2 * PARCEL_SIZE
POLL_SECONDS = 0.2
BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

hours_of = lru_cache(maxsize=64)(Hours.parse)


@dataclass(slots=True)
class Flight:
    """An open parcel. Positions below `recorded` + those out of order are settled; `sent` is the next to leave."""

    parcel: OpenParcel
    base: int
    granted: int
    sent: int
    recorded: int
    ends: str = ""
    """Why no more of it leaves now: "", stopped, closed."""
    until: datetime | None = None
    spared: int = 0
    """Positions that did not leave and are not yet recorded as such."""

    @property
    def at_risk(self) -> int:
        return self.granted - self.recorded - self.spared

    def risk_after(self, settled: int) -> int:
        """`at_risk` when so many more of its texts are recorded; those that did not leave were none."""
        recorded = self.recorded + settled
        return self.granted - recorded - min(self.spared, self.parcel.n - recorded)

    @property
    def urgent(self) -> bool:
        """Whether it passes every limit but the pace."""
        return self.parcel.priority == Priority.EMERGENCY

    @property
    def unsent(self) -> int:
        return self.parcel.n - self.sent

    def next_text(self) -> Text:
        key, phone, body, parts = self.parcel.texts[self.sent - self.base]
        own = self.parcel
        return Text(key, own.attempt, phone, body, parts, own.priority, own.expires_at)


@dataclass(slots=True)
class Tally:
    """What a holder has done since it took the account; for the log, the tests and `gateway carriers`."""

    handed_over: int = 0
    most_at_risk: int = 0
    recovered_uncertain: int = 0
    steps: int = 0


@dataclass(slots=True)
class _Hints:
    """Priorities in which a parcel may wait to be opened, and the broadcast last served in each."""

    maybe: set[int] = field(default_factory=lambda: set(Priority))
    after: dict[int, int] = field(default_factory=lambda: dict.fromkeys(Priority, 0))


class Holder:
    """One holding of one account, from taking it to losing it or letting it go."""

    def __init__(
        self,
        store: Store,
        carrier: Carrier,
        epoch: int,
        consent_seen: int,
        pace: Pace,
        clock: Clock,
        zone: ZoneInfo,
        recent: Recent,
        tally: Tally,
        frequency: Frequency,
        gate: Gate,
    ) -> None:
        self._store, self.carrier, self.epoch = store, carrier, epoch
        self._pace, self._clock, self._zone, self._recent = pace, clock, zone, recent
        self._bucket = Bucket(pace.rate, clock.monotonic)
        self._flights: dict[int, Flight] = {}
        self._by_text: dict[tuple[int, int], Flight] = {}
        self._results: deque[tuple[int, int, Result]] = deque()
        self._withdrawals = Withdrawals(consent_seen)
        self._hints = _Hints()
        self._look_at = 0.0
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self.tally = tally
        self._frequency, self._gate = frequency, gate
        self._put_off: dict[tuple[int, int], float] = {}

    # -- what the carrier says -----------------------------------------------------------------------------

    def answered(self, answers: Sequence[Answer]) -> None:
        """Results wait for the next transaction; the places they leave are filled at once."""
        for answer in answers:
            flight = self._by_text.pop((answer.text.key, answer.text.attempt), None)
            if flight is not None:
                self._gate.answered(answer.text.parts, taken=not isinstance(answer, Deferred | Rejected))
                self._results.append((flight.parcel.id, flight.parcel.attempt, self._result(answer)))
        self._wake.set()
        self._send()

    def _result(self, answer: Answer) -> Result:
        text = answer.text
        if isinstance(answer, Deferred):
            last = text.attempt >= self._pace.max_attempts
            return Result(text.key, text.parts, Outcome.EXPIRED if last else Outcome.DEFERRED, (), answer.error)
        self._remember(text, answer.refs)
        if isinstance(answer, Accepted):
            return Result(text.key, text.parts, Outcome.ACCEPTED, answer.refs, None)
        outcome = Outcome.REJECTED if isinstance(answer, Rejected) else Outcome.UNCERTAIN
        return Result(text.key, text.parts, outcome, answer.refs, answer.error)

    def _remember(self, text: Text, refs: Sequence[str]) -> None:
        for part, ref in enumerate(refs, 1):
            if ref:
                self._recent.remember(self.carrier.name, ref, Part(text.key, text.attempt, part, text.phone))

    def look_again(self) -> None:
        """Something was queued: parcels may wait in any priority."""
        self._hints.maybe.update(Priority)
        self._wake.set()

    # -- the writer ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled, or until EpochLost; any other error of the database is outlasted."""
        while not (self._closing and not self._flights):
            self._wake.clear()
            await self._turn()
            self._send()
            if not (self._wake.is_set() or self._results or self._wants_opening()):
                await self._wait()

    def close_soon(self) -> None:
        """Send nothing more; `run` ends when all that is in flight is recorded and every parcel let go."""
        self._closing = True
        self._wake.set()

    async def _wait(self) -> None:
        # Not wait_for: Python 3.11's forgets a cancellation that comes together with the event.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._wake.wait()
        if not self._wake.is_set() and not self._closing and (self._flights or await self._anything_ready()):
            self._hints.maybe.update(Priority)

    async def _anything_ready(self) -> bool:
        return await self._store.read(parcels.has_ready, self.carrier.name, self._clock.now())

    async def _turn(self) -> None:
        await self._mind_the_gate()
        step = self._plan()
        if step is None:
            return
        verdict = await self._write(step)
        self.tally.steps += 1
        self._learn(step, verdict)

    async def _mind_the_gate(self) -> None:
        """Read anew what was used, when a day begins."""
        now = self._clock.now()
        if (since := self._gate.must_learn(now)) is not None:
            with contextlib.suppress(*DATABASE_ERRORS):
                self._gate.learn(await self._store.read(usage.used, self.carrier.name, since), now)

    async def _write(self, step: Step) -> Verdict:
        attempt = 0
        while True:
            now = self._clock.now()
            try:
                return await self._store.write(
                    parcels.record,
                    self.carrier.name,
                    self.epoch,
                    step,
                    list(self._flights),
                    now,
                    attempt > 0,
                )
            except (EpochLost, *REFUSED_ROWS):
                # Trying again would say the same; the account is taken anew and what is unrecorded found by `recover`.
                raise
            except DATABASE_ERRORS as error:
                wait = BACKOFF_SECONDS[min(attempt, len(BACKOFF_SECONDS) - 1)]
                log.warning("record.failed", carrier=self.carrier.name, error=type(error).__name__, again_in=wait)
                await asyncio.sleep(wait)
                attempt += 1

    # -- planning one transaction --------------------------------------------------------------------------

    def _plan(self) -> Step | None:
        self._mind_the_clock()
        step = Step(consent_seen=self._withdrawals.since)
        settled = self._take_results(step)
        self._let_go(step, settled)
        self._grant(step, settled)
        if not self._closing:
            self._look_around()
            rooms = {p: self._room_in(p) for p in sorted(self._hints.maybe)}
            step.open = {p: (self._hints.after[p], room) for p, room in rooms.items() if room}
        if not (step.results or step.watermarks or step.let_go or step.open or self._flights):
            return None
        return step

    def _look_around(self) -> None:
        """Other processes queue parcels too, and while texts leave we never come to wait and look."""
        now = asyncio.get_running_loop().time()
        if self._flights and now >= self._look_at:
            self._look_at = now + POLL_SECONDS
            self._hints.maybe.update(Priority)

    def _take_results(self, step: Step) -> dict[int, int]:
        """Move up to RECORD_ROWS rows into the step; answers how many texts of each parcel they settle."""
        settled: dict[int, int] = defaultdict(int)
        again: dict[tuple[int, float], list[int]] = defaultdict(list)
        rows = 0
        while self._results and rows < RECORD_ROWS:
            item = self._results.popleft()
            step.results.append(item)
            rows += item[2].parts
            settled[item[0]] += 1
            if (pause := self._tries_again(item[0], item[2])) is not None:
                again[item[0], pause].append(item[2].key)
        step.again = [self._again(parcel_id, keys, pause) for (parcel_id, pause), keys in again.items()]
        return settled

    def _tries_again(self, parcel_id: int, result: Result) -> float | None:
        """None: not at all; else after so many seconds, 0 being at once (emergency, by the category's rule)."""
        parcel = self._flights[parcel_id].parcel
        if result.outcome is Outcome.DEFERRED:
            pauses = self._pace.retry_seconds
            ordinary = pauses[min(parcel.attempt, len(pauses)) - 1]
            return self._put_off.pop((result.key, parcel.attempt), ordinary)
        resends = parcel.on_uncertain == "resend" and parcel.attempt < self._pace.max_attempts
        return 0 if resends and result.outcome is Outcome.UNCERTAIN else None

    def _again(self, parcel_id: int, keys: list[int], pause: float) -> Again:
        attempt = self._flights[parcel_id].parcel.attempt
        at = self._clock.now() + timedelta(seconds=pause) if pause else None
        return Again(parcel_id, attempt + 1, tuple(keys), at)

    def _let_go(self, step: Step, settled: Mapping[int, int]) -> None:
        for flight in self._flights.values():
            recorded = flight.recorded + settled.get(flight.parcel.id, 0)
            if flight.granted > flight.sent and flight.ends:
                step.watermarks[flight.parcel.id] = flight.sent
            if recorded < flight.sent or not (flight.ends or flight.sent == flight.parcel.n):
                continue
            done = flight.sent == flight.parcel.n
            step.let_go[flight.parcel.id] = (ParcelState.DONE, None) if done else (None, flight.until)

    def _grant(self, step: Step, settled: Mapping[int, int]) -> None:
        """Raise watermarks, urgent parcels first, as far as `at_risk` and one second's pace allow."""
        at_risk = sum(f.risk_after(settled.get(f.parcel.id, 0)) for f in self._flights.values())
        ahead = sum(f.granted - f.sent for f in self._flights.values())
        budget = min(2 * self.carrier.capacity - at_risk, max(1, int(self._pace.rate)) - ahead)
        for flight in self._in_turn():
            if budget <= 0:
                return
            if flight.ends or flight.parcel.id in step.let_go:
                continue
            more = min(budget, flight.parcel.n - flight.granted)
            if more > 0:
                step.watermarks[flight.parcel.id] = flight.granted + more
                budget -= more

    def _in_turn(self) -> Iterator[Flight]:
        return iter(sorted(self._flights.values(), key=lambda f: f.parcel.priority))

    def _room_in(self, priority: int) -> int:
        """Texts of this priority that may be opened now: two full parcels, or many small ones."""
        if priority != Priority.EMERGENCY and self._gate.closed(self._clock.now()) is not None:
            return 0
        mine = (f for f in self._flights.values() if f.parcel.priority == priority and not f.ends)
        unsent = sum(f.unsent for f in mine)
        return OPEN_TEXTS - unsent if unsent <= PARCEL_SIZE else 0

    def _wants_opening(self) -> bool:
        return not self._closing and any(self._room_in(p) for p in self._hints.maybe)

    # -- after it ------------------------------------------------------------------------------------------

    def _learn(self, step: Step, verdict: Verdict) -> None:
        for parcel_id, _, _ in step.results:
            flight = self._flights[parcel_id]
            flight.recorded += 1
            # What has not left is recorded after what has.
            flight.spared = min(flight.spared, flight.parcel.n - flight.recorded)
        for parcel_id, mark in step.watermarks.items():
            self._flights[parcel_id].granted = mark
        self.tally.most_at_risk = max(self.tally.most_at_risk, sum(f.at_risk for f in self._flights.values()))
        for parcel_id in step.let_go:
            del self._flights[parcel_id]
        self._withdrawals.learn(verdict.consent)
        self._obey(verdict.states)
        opened = {parcel.priority for parcel in verdict.opened}
        self._hints.maybe -= step.open.keys() - opened
        for parcel in verdict.opened:
            self._hints.after[parcel.priority] = parcel.broadcast_id
            self._take_up(parcel)
        if verdict.opened:
            self._wake.set()

    def _obey(self, states: Mapping[int, ParcelState]) -> None:
        for parcel_id, state in states.items():
            flight = self._flights.get(parcel_id)
            if flight is None:
                continue
            if state is ParcelState.CANCELLED and flight.parcel.members is not None and not flight.ends:
                self._settle_rest(flight, Outcome.CANCELLED)
            elif state in (ParcelState.HELD, ParcelState.CANCELLED):
                flight.ends = "stopped"

    def _take_up(self, parcel: OpenParcel) -> None:
        start = parcel.watermark
        self._flights[parcel.id] = Flight(parcel, base=start, granted=start, sent=start, recorded=start)
        # It was composed before what we know of consent begins: read from there on before any of it is granted.
        self._withdrawals.since = min(self._withdrawals.since, parcel.consent_seen)

    # -- sending -------------------------------------------------------------------------------------------

    def _mind_the_clock(self) -> None:
        now = self._clock.now()
        for flight in self._flights.values():
            if self._closing:
                flight.ends = flight.ends or "closed"
            if flight.ends:
                continue
            if flight.parcel.expires_at is not None and flight.parcel.expires_at <= now:
                self._settle_rest(flight, Outcome.EXPIRED)
            elif flight.parcel.hours is not None:
                self._mind_the_hours(flight, hours_of(flight.parcel.hours), now)

    def _mind_the_hours(self, flight: Flight, hours: Hours, now: datetime) -> None:
        if hours.is_open(now, self._zone):
            return
        opening = hours.next_opening(now, self._zone)
        if flight.parcel.expires_at is not None and opening >= flight.parcel.expires_at:
            self._settle_rest(flight, Outcome.EXPIRED)
        else:
            flight.ends, flight.until = "closed", opening

    def _settle_rest(self, flight: Flight, outcome: Outcome) -> None:
        """Record of all that has not left that it will not leave."""
        for key, _, _, parts in flight.parcel.texts[flight.sent - flight.base :]:
            self._results.append((flight.parcel.id, flight.parcel.attempt, Result(key, parts, outcome, (), None)))
        flight.spared = flight.unsent
        flight.sent = flight.granted = flight.parcel.n

    def _send(self) -> None:
        """Hand over what is granted, as far as the carrier's free places and the pace allow."""
        if self._closing:
            return
        free, pace, now = self.carrier.free, self._bucket.available(), self._clock.now()
        batch = list[Text]()
        for flight in self._in_turn():
            while not flight.ends and flight.sent < flight.granted:
                text = flight.next_text()
                # A throttled carrier may have fewer places than a long text has parts: with nothing out it goes.
                fits = text.parts <= free or (free > 0 and not self._by_text)
                if not fits or pace < 1:
                    self._hand_over(batch)
                    self._send_later(text, pace, fits)
                    return
                if not (flight.urgent or self._gate.takes(text.parts, now)):
                    flight.ends = "closed"
                    self._wake.set()
                    break
                flight.sent += 1
                if self._withdrawals.withholds(text.phone, flight.parcel.category, flight.parcel.consent_seen):
                    self._withhold(flight, text)
                    continue
                if not flight.urgent and (wait := self._frequency.wait(text.phone, text.body)):
                    self._defer(flight, text, wait)
                    continue
                free, pace = free - text.parts, pace - text.parts
                self._bucket.spend(text.parts)
                self._gate.leaves(text.parts)
                self._frequency.left(text.phone, text.body)
                self._by_text[text.key, text.attempt] = flight
                batch.append(text)
        self._hand_over(batch)

    def _withhold(self, flight: Flight, text: Text) -> None:
        result = Result(text.key, text.parts, Outcome.WITHHELD, (), "opted out")
        self._results.append((flight.parcel.id, flight.parcel.attempt, result))
        self._wake.set()

    def _defer(self, flight: Flight, text: Text, wait: float) -> None:
        """Too often to this number: another parcel takes it up when it may leave, to the tenth second."""
        self._put_off[text.key, text.attempt] = math.ceil(wait / 10) * 10
        result = Result(text.key, text.parts, Outcome.DEFERRED, (), "too often to this number")
        self._results.append((flight.parcel.id, flight.parcel.attempt, result))
        self._wake.set()

    def _hand_over(self, batch: list[Text]) -> None:
        if batch:
            self.tally.handed_over += len(batch)
            self.carrier.submit(batch)
            # The watermark follows what left, so there may be more to grant.
            self._wake.set()

    def _send_later(self, text: Text, pace: float, fits: bool) -> None:
        if fits and (self._timer is None or self._timer.cancelled()):
            wait = max(0.001, (1 - pace) / self._pace.rate)
            self._timer = asyncio.get_running_loop().call_later(wait, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._send()

    def drop(self) -> None:
        """The account is somebody else's: forget everything, send nothing, end."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        self._flights.clear()
        self._by_text.clear()
        self._results.clear()
        self._put_off.clear()
