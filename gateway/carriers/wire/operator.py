"""A rehearsal operator: the other end of a wire protocol, well or badly behaved as it is told.

Policy
- Users rehearse with it before their account is live (`gateway operator`), and the tests run on it. It listens on this
  machine only, and what it is sent goes nowhere.
- What happens to a part depends on the seed and on its turn alone, so that a run can be repeated.
- Receipts and texts are kept until they are acknowledged and sent again over the next link, as operators do.
- It keeps a bounded ledger of what it saw: what was taken, how often, and how many were unanswered at once.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from gateway.carriers.wire import content
from gateway.carriers.wire.codec import Pdu
from gateway.carriers.wire.dialect import Gate, Mode, Said, Submitted
from gateway.carriers.wire.fields import Malformed
from gateway.text import Cutting

DELIVERED, FAILED = "DELIVRD", "UNDELIV"


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """Ratios are 0 to 1, times are seconds. `rate` parts a second are taken and the rest told to slow down, 0 is any.

    `drop_every`: a link is cut after so many parts, 0 never. `call`: "host:port" to open a link to, for protocols whose
    operator does; `in_flight` of its own may be unacknowledged on each link.
    """

    user: str = "rehearsal"
    secret: str = "rehearsal"  # noqa: S105 - nothing is behind it
    seed: int = 1
    latency: float = 0.0
    rate: float = 0.0
    reject: float = 0.0
    reject_code: int = 0
    receipt_after: float = 0.0
    receipt_failed: float = 0.0
    receipt_lost: float = 0.0
    receipt_early: float = 0.0
    receipt_late: float = 0.0
    receipt_late_after: float = 1.0
    receipt_twice: float = 0.0
    drop_every: int = 0
    in_flight: int = 16
    call: str = ""
    remember: int = 100_000


class Taken(NamedTuple):
    """One part that was taken."""

    ref: str
    part: Submitted


class Operator:
    """Listens for logins of one account; `gate` makes the protocol's side of a link."""

    def __init__(self, gate: Callable[[], Gate], behaviour: Behaviour) -> None:
        self.gate, self.behaviour = gate, behaviour
        self.taken: deque[Taken] = deque(maxlen=behaviour.remember)
        self.seen = Counter[str]()
        """taken, refused, slowed, logins, refused logins, receipts, acknowledged, malformed."""
        self.most_unanswered = 0
        self.holding = False
        """While set, submits are taken and not answered."""
        self.sessions: list[Session] = []
        self.watch: Callable[[Taken], None] = lambda taken: None
        """Told of each part that is taken."""
        self._outgoing: deque[Callable[[Gate, int, datetime], Pdu]] = deque()
        self._held: list[tuple[Session, Sequence[Pdu]]] = []
        self._dice = random.Random(behaviour.seed)
        self._allowed = 0.0
        self._allowed_at = 0.0
        self._numbers = itertools.count(1)
        self._timers: set[asyncio.TimerHandle] = set()
        self._server: asyncio.Server | None = None
        self._calling: asyncio.Task[None] | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Session(self, self.gate()), host, port)
        if self.behaviour.call:
            self._calling = asyncio.create_task(self._call())
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close all at once, as a dead operator does."""
        if self._server is not None:
            self._server.close()
        if self._calling is not None:
            self._calling.cancel()
            await asyncio.gather(self._calling, return_exceptions=True)
        for timer in self._timers:
            timer.cancel()
        self.drop()
        await asyncio.sleep(0)

    # -- what a rehearsal does to us -----------------------------------------------------------------------------

    def drop(self) -> None:
        """Cut every link."""
        for session in list(self.sessions):
            session.abort()

    def say(self, phone: str, to: str, body: str, cutting: Cutting = Cutting("ucs2", 6)) -> None:  # noqa: B008 - a value
        """A person writes to us."""
        reference = next(self._numbers)
        for piece in content.pieces(body, cutting, reference, content.HEADERS[cutting.header]):
            self._send(_text(phone, to, piece))

    def report(self, said: Said) -> None:
        """Say of a part what became of it."""
        self._send(lambda gate, number, now: gate.report(said))

    def release(self) -> None:
        """Answer what was held back."""
        self.holding = False
        held, self._held = self._held, []
        for session, pdus in held:
            session.answer(pdus)

    @property
    def idle(self) -> bool:
        """Whether nothing is due, unsent or unacknowledged."""
        return not (self._timers or self._outgoing or any(session.unacknowledged for session in self.sessions))

    # -- what links ask for --------------------------------------------------------------------------------------

    def submitted(self, session: Session, pdus: Sequence[Pdu]) -> None:
        """Decide on the parts of one chunk; answer them together after the latency."""
        if self.holding:
            self._held.append((session, pdus))
        else:
            self.later(self.behaviour.latency, lambda: session.answer(pdus))

    def decide(self, gate: Gate, pdu: Pdu) -> Pdu:
        """The answer to one part; receipts are set out from here."""
        own = self.behaviour
        if self._too_fast():
            self.seen["slowed"] += 1
            return gate.answer(pdu, "", gate.busy)
        if own.reject and self._dice.random() < own.reject:
            self.seen["refused"] += 1
            return gate.answer(pdu, "", own.reject_code or gate.refusal)
        part = gate.taken(pdu)
        ref = gate.reference(pdu, next(self._numbers), _now())
        self.taken.append(Taken(ref, part))
        self.watch(self.taken[-1])
        self.seen["taken"] += 1
        if part.wants_receipt:
            self._promise(ref, part)
        return gate.answer(pdu, ref, 0)

    def _too_fast(self) -> bool:
        rate = self.behaviour.rate
        if not rate:
            return False
        now = asyncio.get_running_loop().time()
        self._allowed = min(max(1.0, rate / 10), self._allowed + (now - self._allowed_at) * rate)
        self._allowed_at = now
        if self._allowed < 1:
            return True
        self._allowed -= 1
        return False

    def _promise(self, ref: str, part: Submitted) -> None:
        own, dice = self.behaviour, self._dice
        roll, after = dice.random(), own.receipt_after
        if roll < own.receipt_lost:
            return
        roll -= own.receipt_lost
        if roll < own.receipt_late:
            after = own.receipt_late_after
        stat = FAILED if dice.random() < own.receipt_failed else DELIVERED
        said = Said(ref, part.phone, part.sender, stat, _now())
        times = 2 if dice.random() < own.receipt_twice else 1
        early = own.receipt_late <= roll < own.receipt_late + own.receipt_early
        for _ in range(times):
            self.seen["receipts"] += 1
            if early:
                self.report(said)
            else:
                self.later(after, lambda: self.report(said))

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """At once for 0, but after what is being done."""

        def fire() -> None:
            self._timers.discard(timer)
            act()

        timer = asyncio.get_running_loop().call_later(seconds, fire)
        self._timers.add(timer)

    def _send(self, make: Callable[[Gate, int, datetime], Pdu]) -> None:
        self._outgoing.append(make)
        self.push()

    def push(self) -> None:
        """Hand what waits to links that take it."""
        for session in self.sessions:
            while self._outgoing and session.receives and session.has_room:
                session.deliver(self._outgoing.popleft())

    def again(self, made: Sequence[Callable[[Gate, int, datetime], Pdu]]) -> None:
        """What a lost link had not acknowledged."""
        self._outgoing.extendleft(reversed(made))
        self.push()

    def number(self) -> int:
        return next(self._numbers)

    async def _call(self) -> None:
        host, _, port = self.behaviour.call.rpartition(":")
        while True:
            session = Session(self, self.gate(), calling=True)
            try:
                await asyncio.get_running_loop().create_connection(lambda made=session: made, host, int(port))  # type: ignore[misc]
                await session.closed.wait()
            except OSError:
                pass
            await asyncio.sleep(0.2)


def _text(phone: str, to: str, piece: content.Piece) -> Callable[[Gate, int, datetime], Pdu]:
    return lambda gate, number, now: gate.text(phone, to, piece, number, now)


def _now() -> datetime:
    return datetime.now(UTC)


class Session(asyncio.Protocol):
    """One link, the operator's end of it."""

    def __init__(self, operator: Operator, gate: Gate, *, calling: bool = False) -> None:
        self.closed = asyncio.Event()
        self.unacknowledged: dict[int, Callable[[Gate, int, datetime], Pdu]] = {}
        self.mode: Mode | None = None
        """None until it is let in."""
        self._operator, self._gate, self._calling = operator, gate, calling
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._out: list[bytes] = []
        self._parts = 0
        self._unanswered = 0
        self._sequences = itertools.count(1)
        self.frozen = False
        """While set, whatever comes is not even read: the link is half open."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - sockets make no other
        self._transport = transport
        self._operator.sessions.append(self)
        if self._calling:
            own = self._operator.behaviour
            self._request(self._gate.call(own.user, own.secret))
            self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._operator.sessions.remove(self)
        self._transport = None
        self.closed.set()
        self._operator.again(list(self.unacknowledged.values()))

    def data_received(self, data: bytes) -> None:
        if self.frozen:
            return
        self._buffer += data
        submits: list[Pdu] = []
        try:
            for frame in self._gate.codec.frames(self._buffer):
                self._take(self._gate.codec.decode(frame), submits)
        except Malformed:
            self._operator.seen["malformed"] += 1
            self.abort()
        self._flush()
        if submits:
            self._unanswered += len(submits)
            self._operator.most_unanswered = max(self._operator.most_unanswered, self._unanswered)
            self._operator.submitted(self, submits)

    def _take(self, pdu: Pdu, submits: list[Pdu]) -> None:
        gate = self._gate
        if pdu.name in gate.admits:
            self._admit(pdu)
        elif pdu.name in gate.submits and self.mode is not None:
            submits.append(pdu)
        elif pdu.name in gate.acknowledges:
            self._acknowledged(pdu)
        elif (reply := gate.reply(pdu)) is not None:
            self._reply(reply)
            if pdu.name in gate.ends:
                self._flush()
                self.close()

    def _admit(self, pdu: Pdu) -> None:
        own, operator = self._operator.behaviour, self._operator
        answer, fits, mode = self._gate.admit(pdu, own.user, own.secret, _now())
        self._reply(answer)
        operator.seen["logins" if fits else "refused logins"] += 1
        if not fits:
            self._flush()
            self.close()
            return
        self.mode = Mode.SEND if own.call else mode  # one that calls us brings nothing over our links
        operator.later(0.0, operator.push)

    def _acknowledged(self, pdu: Pdu) -> None:
        if self._calling and self.mode is None:
            self.mode = Mode.RECEIVE if self._gate.let_in(pdu) else None
            self._operator.seen["calls let in" if self.mode else "calls refused"] += 1
        elif self.unacknowledged.pop(self._gate.sequence(pdu), None) is not None:
            self._operator.seen["acknowledged"] += 1
        self._operator.push()

    @property
    def receives(self) -> bool:
        """Whether receipts and texts may go over it."""
        return self.mode is not None and self.mode is not Mode.SEND and self._transport is not None

    @property
    def has_room(self) -> bool:
        return len(self.unacknowledged) < self._operator.behaviour.in_flight

    def answer(self, pdus: Sequence[Pdu]) -> None:
        """Answer parts, unless the link is gone or is cut now."""
        if self._transport is None:
            return
        for pdu in pdus:
            self._parts += 1
            self._reply(self._operator.decide(self._gate, pdu))
            every = self._operator.behaviour.drop_every
            if every and self._parts % every == 0:
                self._flush()
                self.abort()
                return
        self._unanswered -= len(pdus)
        self._flush()

    def deliver(self, make: Callable[[Gate, int, datetime], Pdu]) -> None:
        """Send a receipt or a text."""
        pdu = make(self._gate, self._operator.number(), _now())
        sequence = self._request(pdu)
        self.unacknowledged[sequence] = make
        self._flush()

    def _request(self, pdu: Pdu) -> int:
        sequence = next(self._sequences)
        self._reply(Pdu(pdu.name, pdu.fields | self._gate.numbered(sequence, _now())))
        return sequence

    def _reply(self, pdu: Pdu) -> None:
        self._out.append(self._gate.codec.encode(pdu.name, pdu.fields))

    def _flush(self) -> None:
        if self._out and self._transport is not None:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def close(self) -> None:
        """When what was written has left."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """At once."""
        if self._transport is not None:
            self._transport.abort()
