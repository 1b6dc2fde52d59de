"""One connection to an operator: frames in and out, a window of unanswered ones, tests of whether anybody is there.

Policy
- Every frame of a chunk is read before anything is written, and what is written goes out in one piece. There is no
  task, no future and no timer per text.
- At most `window` parts are unanswered. When the operator asks for less, the part stays here and is sent again when
  the `Throttle` lets it.
- A link that owes answers and has said nothing since is doubted: it is tested, every `connect_seconds`, and nothing
  more leaves over it until it says something.
- A part that has no answer in time, or was unanswered when the link was lost, is lost to us: it may have arrived. What
  had not been written when the link was lost has not left.
- Inbound frames are handed to storage in the order in which they came, all that wait at once, and acknowledged when
  that is done. While storage fails they are neither acknowledged nor lost: it is tried again, and a peer that piles up
  more than `MOST_UNSTORED` is left.
- A frame that is none, or a field that says what cannot be, closes the link with a line in the log, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

import structlog

from gateway.carriers import Answer, Items
from gateway.carriers.wire.codec import Pdu
from gateway.carriers.wire.dialect import Dialect, Mode, Role
from gateway.carriers.wire.fields import Malformed
from gateway.carriers.wire.flight import Flight, Segment
from gateway.carriers.wire.throttle import Throttle
from gateway.errors import Unavailable

log = structlog.get_logger()

MOST_SLOWED = 20
"""A part that was sent so often is deferred: its link has been slow for ten minutes."""
ACCOUNTS_FAULT = ("relogin", "stop")
"""What is done about codes that say nothing of the text: the link ends, and the next login tells."""
MOST_UNSTORED = 4096
STORE_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)
END_SECONDS = 2.0


class Owner(Protocol):
    """What a link tells its carrier, on the event loop."""

    name: str

    def answered(self, answers: Sequence[Answer]) -> None: ...
    def link_lost(self, link: Link, why: str) -> None: ...
    async def receive(self, items: Items) -> None: ...
    def next_sequence(self) -> int: ...
    def now(self) -> datetime: ...


class Link(asyncio.Protocol):
    """Made unconnected, as the factory of `create_connection`; `log_in` before use."""

    def __init__(self, owner: Owner, dialect: Dialect, mode: Mode) -> None:
        self.mode = mode
        self.up = False
        self.was_up = False
        self.why = ""
        """Why it ended."""
        self._owner, self._dialect, self._settings = owner, dialect, dialect.settings
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._out: list[bytes] = []
        self._answers: list[Answer] = []
        self._flying: dict[int, Segment] = {}
        self._waiting: deque[Segment] = deque()
        self._throttle = Throttle(self._settings.in_flight)
        self._again: asyncio.TimerHandle | None = None
        self._doubted = False
        """Whether nothing was heard since parts were written that have no answer."""
        self._heard = self._busy = self._loop.time()
        self._tests, self._tested = 0, 0.0
        self._ending = False
        self._answered = asyncio.Event()
        self._admitted: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._arrived: list[Pdu] = []
        self._storing: asyncio.Task[None] | None = None
        self._starting_over: asyncio.Task[None] | None = None
        self._act: dict[Role, Callable[[Pdu], None]] = {
            Role.ADMITTED: self._on_admitted,
            Role.ANSWERED: self._on_answered,
            Role.INBOUND: self._arrived.append,
            Role.ASKED: self._on_asked,
            Role.ENDING: self._on_ending,
            Role.KNOCKING: self._on_knocking,
            Role.ENDED: lambda pdu: self._abort("ended"),
        }

    # -- the connection ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - create_connection makes no other
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.why = self.why or (f"link lost: {exc}" if exc else "closed by the operator")
        self.up = False
        self._transport = None
        self._lose_all()
        self._answered.set()
        if not self._admitted.done():
            self._admitted.set_exception(Unavailable(f"登录时断开：{self.why}", f"cut off at login: {self.why}"))
        if not self._closed.done():
            self._closed.set_result(None)
        self._owner.link_lost(self, self.why)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._heard, self._tests = self._loop.time(), 0
        doubted, self._doubted = self._doubted, False
        try:
            for frame in self._dialect.codec.frames(self._buffer):
                self._take(self._dialect.read(frame))
        except Malformed as error:
            self._abort(f"malformed frame: {error.en}")
        except Exception as error:
            # Whatever a peer says, only its own link ends.
            log.exception("link.failed", carrier=self._owner.name, error=type(error).__name__)
            self._abort(f"unreadable frame: {type(error).__name__}")
        self._tell()
        self.pump()
        self._store_soon()
        if doubted:
            self._owner.answered(())  # there is room again

    async def log_in(self) -> None:
        """`Unavailable` says why it was not let in."""
        try:
            self._write(self._dialect.login(self.mode, self._owner.now()))
        except Malformed as error:
            self._admitted.cancel()
            raise Unavailable(f"登录写不出来：{error.zh}", f"the login cannot be written: {error.en}") from None
        self._flush()
        try:
            async with asyncio.timeout(self._settings.connect_seconds):
                await self._admitted
        except TimeoutError:
            self._abort("no answer to the login")
            raise Unavailable("登录没有回应", "no answer to the login") from None

    def abandon(self, why: str) -> None:
        """It never came up: what waits here has not left."""
        self._abort(why)
        self._lose_all()

    async def end(self) -> None:
        """In order: let answers come, say so, wait for the answer, close. What is unanswered by then is lost."""
        self._ending = True
        await self._drained()
        await self._all_stored()
        if self.up:
            self.up = False
            self._write(self._dialect.end())
            self._flush()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_SECONDS):
                    await asyncio.shield(self._closed)
        self._abort("closed")
        await asyncio.shield(self._closed)

    def _abort(self, why: str) -> None:
        self.why = self.why or why
        self.up = False
        if self._transport is not None:
            self._transport.close()
            if self._transport.get_write_buffer_size():  # nobody may be reading any more
                self._loop.call_later(END_SECONDS, self._transport.abort)
        elif not self._closed.done():
            self._closed.set_result(None)

    @property
    def ended(self) -> bool:
        return self._closed.done()

    @property
    def address(self) -> str:
        """Ours, as this machine has it."""
        found = self._transport.get_extra_info("sockname") if self._transport else None
        return f"{found[0]}:{found[1]}" if found else ""

    # -- sending -----------------------------------------------------------------------------------------------

    @property
    def room(self) -> int:
        """Parts it can take now."""
        if not (self.up and self.mode.sends) or self._throttle.paused or self._ending or self._doubted:
            return 0
        return max(0, self._throttle.window - len(self._flying) - len(self._waiting))

    @property
    def idle(self) -> bool:
        """Whether nothing is unanswered, unsent or unstored."""
        return not (self._flying or self._waiting or self._arrived or self._storing)

    @property
    def idle_for(self) -> float:
        """Seconds since anything of substance was sent or came."""
        return self._loop.time() - self._busy

    def queue(self, segments: Sequence[Segment]) -> None:
        """Take parts, as many as there are; they leave with the next `pump`, as far as they find a place."""
        self._waiting.extend(segments)

    def pump(self) -> None:
        """Fill the window from what waits, and write all that has come together."""
        if self.up and not (self._throttle.paused or self._doubted) and self._waiting:
            now = self._owner.now()
            while self._waiting and len(self._flying) < self._throttle.window and self._may_leave():
                self._submit(self._waiting.popleft(), now)
        self._tell()
        self._flush()

    def _may_leave(self) -> bool:
        """Whether the operator takes the next part now; if not, the pump comes back when it does."""
        wait = self._throttle.wait(self._loop.time())
        if wait and self._again is None:
            self._again = self._loop.call_later(wait, self._pump_again)
        return not wait

    def _pump_again(self) -> None:
        self._again = None
        self.pump()

    def _submit(self, segment: Segment, now: datetime) -> None:
        flight, pdu = segment.flight, segment.pdu
        if flight.refused:
            flight.refuse("", for_good=False)
            self._settle(flight)
            return
        sequence = self._number(pdu, now)
        try:
            self._reply(pdu)
        except Malformed as error:
            flight.refuse(error.en, for_good=True)
            self._settle(flight)
            return
        segment.at = self._busy = self._loop.time()
        flight.named[segment.number - 1] = self._dialect.named(pdu)
        flight.written += 1
        self._flying[sequence] = segment

    def _number(self, pdu: Pdu, now: datetime) -> int:
        sequence = self._owner.next_sequence()
        pdu.fields.update(self._dialect.numbered(sequence, now))
        return sequence

    def _write(self, pdu: Pdu) -> None:
        """A request of ours that is no text."""
        self._number(pdu, self._owner.now())
        self._reply(pdu)

    def _reply(self, pdu: Pdu) -> None:
        """Queue a frame that is complete."""
        self._out.append(self._dialect.codec.encode(pdu.name, pdu.fields))

    def _flush(self) -> None:
        if self._out and self._transport is not None:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    # -- answers -----------------------------------------------------------------------------------------------

    def _take(self, pdu: Pdu) -> None:
        role = self._dialect.roles.get(pdu.name) or self._dialect.unasked(pdu)
        if not self.was_up and role in (Role.INBOUND, Role.ANSWERED):
            raise Malformed(f"登录之前来了 {pdu.name}", f"{pdu.name} before the login")
        if act := self._act.get(role):
            act(pdu)

    def _on_admitted(self, pdu: Pdu) -> None:
        if self._admitted.done():
            return
        code = self._dialect.admitted(pdu)
        if not code:
            self._come_up()
            self._admitted.set_result(None)
            return
        said = self._dialect.explained("login", code)
        self._admitted.set_exception(
            Unavailable(f"登录被拒（{code}）：{said.zh}", f"the login was refused ({code}): {said.en}")
        )
        self._abort("login refused")

    def _on_knocking(self, pdu: Pdu) -> None:
        """The operator opened this link and wants to be let in."""
        answer, fits = self._dialect.let_in(pdu)
        self._reply(answer)
        if fits:
            self._come_up()
            return
        self._flush()
        self._abort("the operator's login was refused")

    def _come_up(self) -> None:
        self.up = self.was_up = True

    def _on_answered(self, pdu: Pdu) -> None:
        segment = self._flying.pop(self._dialect.sequence(pdu), None)
        if segment is None:
            return  # nobody waits any more, or nobody ever asked
        ref, code = self._dialect.answered(pdu)
        if not code:
            self._throttle.taken(self._loop.time())
            segment.flight.took(segment.number, ref)
            self._settle(segment.flight)
            return
        does = self._dialect.explained("submit", code).does
        if does == "slow" and segment.slowed < MOST_SLOWED:
            self._slow_down(segment)
            return
        later = does in ("slow", "retry", "wait", *ACCOUNTS_FAULT)
        segment.flight.refuse(code, for_good=not later)
        self._settle(segment.flight)
        if does in ACCOUNTS_FAULT:
            self._start_over(code)

    def _start_over(self, code: str) -> None:
        """The operator does not know us any more: what waits does not leave, what left is answered, the link ends."""
        if self._ending:
            return
        self._ending, self.why = True, "the operator wants a new login"
        while self._waiting:
            flight = self._waiting.popleft().flight
            flight.refuse(code, for_good=False)
            self._settle(flight)
        self._starting_over = self._loop.create_task(self.end())

    def _settle(self, flight: Flight) -> None:
        """Something was said of one of its parts: with the last of them it is answered."""
        if (answer := flight.answer()) is not None:
            self._answers.append(answer)

    def _tell(self) -> None:
        if self._answers:
            answers, self._answers = self._answers, []
            self._answered.set()
            self._owner.answered(answers)

    def _slow_down(self, segment: Segment) -> None:
        segment.slowed += 1
        segment.flight.written -= 1
        self._waiting.appendleft(segment)
        if pause := self._throttle.slow_down(segment.at, self._loop.time()):
            self._loop.call_later(pause, self._resume)

    def _resume(self) -> None:
        self._throttle.resume(self._loop.time())
        self.pump()
        self._owner.answered(())  # there is room again

    # -- what comes in -----------------------------------------------------------------------------------------

    def _on_asked(self, pdu: Pdu) -> None:
        if (reply := self._dialect.reply(pdu)) is not None:
            self._reply(reply)

    def _on_ending(self, pdu: Pdu) -> None:
        self._on_asked(pdu)
        self._flush()
        self._abort("ended by the operator")

    def _store_soon(self) -> None:
        if len(self._arrived) > MOST_UNSTORED:
            self._abort("more came in than could be stored")
        elif self._arrived and self._storing is None:
            self._storing = self._loop.create_task(self._store())

    async def _store(self) -> None:
        try:
            while self._arrived and self._transport is not None:
                pdus = self._arrived[:]
                self._arrived.clear()
                self._busy = self._loop.time()
                await self._receive(pdus)
                for pdu in pdus:
                    self._reply(self._dialect.stored(pdu))
                self._flush()
        except Exception as error:
            log.exception("link.unreadable", carrier=self._owner.name, error=type(error).__name__)
            self._abort(f"unreadable frame: {type(error).__name__}")
        finally:
            self._storing = None

    async def _receive(self, pdus: Sequence[Pdu]) -> None:
        """Returns when all is stored, however long that takes while the link lives."""
        now = self._owner.now()
        items = [item for pdu in pdus for item in self._dialect.items(pdu, now)]
        failures = 0
        while items:
            try:
                await self._owner.receive(items)
                break
            except Exception as error:
                wait = STORE_PAUSES[min(failures, len(STORE_PAUSES) - 1)]
                log.warning("link.not_stored", carrier=self._owner.name, error=type(error).__name__, again_in=wait)
                failures += 1
                await asyncio.sleep(wait)
                if self._transport is None:
                    raise

    async def _drained(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                while self.up and (self._flying or self._waiting):
                    self._answered.clear()
                    await self._answered.wait()

    async def _all_stored(self) -> None:
        if self._storing is not None:
            await asyncio.wait({self._storing}, timeout=END_SECONDS)

    # -- time --------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Called about once a second, or more often where times are short."""
        if not self.up:
            return
        now = self._loop.time()
        before = now - self._settings.answer_seconds
        if self._give_up(before) and self._heard <= before:
            self._doubt()
        elif now - max(self._heard, self._tested) >= self._patience:
            self._test()
        self.pump()

    @property
    def _patience(self) -> float:
        """Seconds until the next test: what waits behind a doubted link shall soon go another way."""
        quiet, doubted = float(self._settings.idle_seconds), float(self._settings.connect_seconds)
        return min(quiet, doubted) if self._doubted else quiet

    def _doubt(self) -> None:
        """It may be dead: whatever left now would be lost with it, so nothing does until something is heard."""
        if self._dialect.test() is None:
            self._abort("no answer to anything")
        elif not self._doubted:
            self._doubted = True
            self._test()

    def _give_up(self, before: float) -> bool:
        """Whether parts that were written before have no answer; they stand in the order in which they were written."""
        unanswered = len(self._flying)
        for sequence, segment in list(self._flying.items()):
            if segment.at > before:
                break
            del self._flying[sequence]
            segment.flight.lose("no answer")
            self._settle(segment.flight)
        return len(self._flying) < unanswered

    def _test(self) -> None:
        test = self._dialect.test()
        if test is None:
            return
        if self._tests >= self._settings.tests:
            self._abort("link tests unanswered")
            return
        self._tests, self._tested = self._tests + 1, self._loop.time()
        self._write(test)

    def _lose_all(self) -> None:
        for segment in self._flying.values():
            segment.flight.lose(self.why)
            self._settle(segment.flight)
        for segment in self._waiting:
            flight = segment.flight
            if flight.written:
                flight.lose(self.why)
            else:
                flight.refuse("link lost", for_good=False)
            self._settle(flight)
        self._flying.clear()
        self._waiting.clear()
        self._tell()
