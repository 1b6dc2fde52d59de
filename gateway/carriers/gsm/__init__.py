"""A GSM modem, or a phone that speaks AT commands, on a serial port or behind a TCP port: one SIM, one text at a time.

Policy
- One part is under way at a time, at least `pause` seconds after the one before, longer after each refusal of the
  network in a row; the parts of a text follow each other. `per_day` ends the day's sending, not the receiving.
- A text of which nothing was handed to the modem is Deferred whatever happens. One that was handed over and not
  answered is Uncertain, and so is a long text of which a part left and the next cannot now; see `causes` for refusals.
- The modem is opened anew, with the whole initialisation, by whoever opened us: after a command without an answer, a
  broken line, a modem that started by itself or refuses without a reason, a SIM in trouble, minutes without network.
- What comes in is acknowledged, or deleted from the storage, after `receive` returned. Storage is read at the start, at
  every announcement and every `check_seconds`. What no codec can read stays in the storage, and is logged once; coming
  directly it is acknowledged, or nothing else would come.
- `incoming` tells what a report says, `memory` which part it is about.
- The log has no number, no text and no PIN.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import structlog

from gateway import carriers
from gateway.carriers import Deferred, Links, Receipt, Received, Text
from gateway.carriers.gsm import at, causes, memory, pdu
from gateway.carriers.gsm.at import Line, Result, Silent
from gateway.carriers.gsm.causes import Says
from gateway.carriers.gsm.flight import Flight
from gateway.carriers.gsm.incoming import Report, received, reported
from gateway.carriers.gsm.modem import Modem
from gateway.carriers.gsm.operator import Operator
from gateway.carriers.gsm.pdu import decode, encode
from gateway.carriers.gsm.settings import GsmSettings
from gateway.errors import Refused, Unavailable
from gateway.text import Cutting

__all__ = ["CODECS", "OPERATORS", "Carrier", "GsmSettings", "decode", "encode"]

log = structlog.get_logger()


class Codec:
    """Frames for people: `gateway pdu`."""

    @staticmethod
    def show(octets: bytes) -> dict[str, Any]:
        """The name of a frame and its fields."""
        name, fields = decode(octets)
        return {"pdu": name, "fields": fields}

    @staticmethod
    def read(name: str, fields: Mapping[str, Any]) -> bytes:
        """The octets of a frame as `show` gives it."""
        return encode(name, fields)


CODECS = {"gsm": Codec}
OPERATORS = {"gsm": Operator}
"""For `gateway operator`."""

LONGEST_PAUSE = 120.0
PART_TRIES = 4
"""How often a part is offered whose text has partly left."""
CLOSE_SECONDS = 8.0
WITHOUT_NETWORK_SECONDS = 120.0
STORE_AGAIN_SECONDS = 2.0
NO_NUMBER = "taken without a number"

_RESTARTED = re.compile(r"RDY|NORMAL POWER DOWN|POWER DOWN|\+CPIN: (?!READY).*")
_STORED = re.compile(r"\+CMTI:|\+CDSI:|\^SMMEMFULL|\+SMSFULL|\+CIEV: ?\"?SMSFULL")


class Carrier(carriers.Carrier):
    """One SIM."""

    Settings = GsmSettings  # type: ignore[assignment]
    settings: GsmSettings

    def __init__(self, name: str, settings: Any, links: Links) -> None:
        super().__init__(name, settings, links)
        self._memory = memory.of(name, self.settings.port)
        self._line: Line | None = None
        self._modem: Modem | None = None
        self._opened = False
        self._flying: deque[Flight] = deque()
        self._direct: deque[str] = deque()
        self._submitted, self._heard, self._stored = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._look, self._closing = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._networkless_since: float | None = None
        self._unreadable: set[str] = set()

    # -- what the gateway sees -----------------------------------------------------------------------------------

    @property
    def capacity(self) -> int:
        return 1

    @property
    def free(self) -> int:
        up, _ = self.links_up
        return int(bool(up) and not self._flying and not self._used_up())

    @property
    def links_up(self) -> tuple[int, int]:
        return (int(self._opened and self._modem is not None and self._modem.registered), 1)

    @property
    def noticed(self) -> Mapping[str, str]:
        found = dict(self._modem.noticed) if self._modem is not None else {}
        if self._unreadable:
            found["unreadable"] = str(len(self._unreadable))
        return found | {"sent today": f"{self._memory.sent_today(self.links.now())}/{self.settings.per_day or '-'}"}

    def _used_up(self) -> bool:
        most = self.settings.per_day
        return bool(most) and self._memory.sent_today(self.links.now()) >= most

    @classmethod
    def cutting(cls, settings: Any) -> Cutting:
        cutting: Cutting = settings.cutting
        return cutting

    def submit(self, texts: Sequence[Text]) -> None:
        if self._opened:
            self._flying.extend(map(Flight, texts))
            self._submitted.set()
        else:
            closed = [Deferred(text, "closed") for text in texts]
            asyncio.get_running_loop().call_soon(self.links.answered, closed)

    async def open(self) -> None:
        trouble = self._memory.trouble
        if trouble and self._memory.next_at > asyncio.get_running_loop().time():
            raise Unavailable(
                f"模块发不出短信（{trouble}），过一会儿再试", f"the modem sends no text ({trouble}); tried again later"
            )
        line = await self._connected()
        modem = Modem(line, self.settings, self._memory)
        try:
            await modem.start()
        except Silent as silent:
            await line.close()
            raise Unavailable("模块没有回应，或线断了", f"the modem: {silent}") from silent
        except BaseException:
            await line.close()
            raise
        self._line, self._modem, self._opened = line, modem, True
        self._stored.set()
        direct = partial(self._heed, self._heard, self._take_direct)
        stored = partial(self._heed, self._stored, self._take_stored)
        works = (self._send_on, direct, stored, self._watch)
        self._tasks = [asyncio.create_task(self._minded(work)) for work in works]

    async def _connected(self) -> Line:
        own = self.settings
        try:
            return await at.connect(own.port, own.baud, own.rtscts, self._announced, self._fail)
        except (OSError, TimeoutError, ValueError) as error:
            raise Unavailable(
                f"打不开 {own.port}：没接上、没有权限，或被别的程序占着",
                f"cannot open {own.port} ({type(error).__name__}): not there, not allowed, or in use",
            ) from error

    async def close(self) -> None:
        """A text whose turn has come, or that has partly left, is finished within `CLOSE_SECONDS`."""
        opened, self._opened = self._opened, False
        self._closing.set()
        self._submitted.set()
        if opened and self._flying:
            await asyncio.wait(self._tasks[:1], timeout=CLOSE_SECONDS)
        self._give_up("closed")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._line is not None:
            await self._line.close()

    async def _minded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Silent as silent:
            self._fail(str(silent))
        except Exception as error:
            log.exception("gsm.failed", carrier=self.name, error=type(error).__name__)
            self._fail(f"failed: {type(error).__name__}")

    def _fail(self, why: str) -> None:
        """It works no more: answer what is in flight, and say so, once."""
        if not self._opened:
            return
        self._opened = False
        self._give_up(why)
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        self.links.failed(why)

    def _give_up(self, why: str) -> None:
        left = self._line is not None and self._line.left
        answers = [flight.unfinished(why, left and not place) for place, flight in enumerate(self._flying)]
        self._flying.clear()
        if answers:
            self.links.answered(answers)

    # -- out -----------------------------------------------------------------------------------------------------

    async def _send_on(self) -> None:
        """Until we are closing; the text whose turn it is then still leaves."""
        while True:
            await self._submitted.wait()
            self._submitted.clear()
            while self._flying:
                await self._send(self._flying[0])
                if self._closing.is_set():
                    return

    async def _send(self, flight: Flight) -> None:
        """Send a text and answer it."""
        error, says = await self._send_parts(flight)
        self._flying.popleft()
        self.links.answered([flight.answer(error, says)])
        if says is Says.REOPEN:
            self._memory.trouble = error
            self._fail(error)

    async def _send_parts(self, flight: Flight) -> tuple[str, Says | None]:
        """The error that ended it; none when all parts were taken."""
        try:
            pdus = flight.pdus(self.settings, self._memory, self.links.now())
        except Refused:
            return "unsendable", Says.REJECTED
        for octets in pdus:
            error, says = await self._send_part(flight, octets)
            if says is not None:
                return error, says
        return "", None

    async def _send_part(self, flight: Flight, octets: bytes) -> tuple[str, Says | None]:
        """A part whose text has partly left is offered several times."""
        for _ in range(PART_TRIES):
            if not await self._in_turn(flight):
                return "closed", Says.DEFERRED
            if flight.expired(self.links.now()):
                return "expired", Says.DEFERRED
            result = await self._handed_over(flight, octets)
            if result.ok:
                self._memory.failures, self._memory.trouble = 0, ""
                return "", None
            says = await self._says(result)
            if not flight.refs or says not in (Says.DEFERRED, Says.FULL):
                break
        return result.error, says

    async def _in_turn(self, flight: Flight) -> bool:
        """Wait for the pause to be over; False where nothing of the text has left and we are closing."""
        loop = asyncio.get_running_loop()
        while (wait := self._memory.next_at - loop.time()) > 0:
            if flight.refs:
                await asyncio.sleep(wait)
            else:
                await _happens(self._closing, wait)
            if self._closing.is_set() and not flight.refs:
                return False
        self._memory.next_at = loop.time() + self.settings.pause
        return True

    async def _handed_over(self, flight: Flight, octets: bytes) -> Result:
        """The modem's answer; a part that was taken, or may have been, counts."""
        assert self._modem is not None  # noqa: S101 - open
        try:
            result = await self._modem.send(octets)
        except Silent as silent:
            if silent.left:
                self._count()
            raise
        number = _number_given(result)
        if result.ok:
            self._count()
        if result.ok and number is not None:
            flight.refs.append(self._memory.note(number, flight.text.phone, self.links.now()))
        return Result((), NO_NUMBER) if result.ok and number is None else result

    def _count(self) -> None:
        now = self.links.now()
        self._memory.count(now)
        if self._memory.sent_today(now) == self.settings.per_day:
            log.warning("gsm.day_used_up", carrier=self.name, per_day=self.settings.per_day)

    async def _says(self, result: Result) -> Says:
        """What a refusal means; the next part waits the longer for it."""
        own, says = self._memory, causes.of(result.error)
        if result.end == NO_NUMBER:
            return Says.UNCERTAIN
        if says is Says.REJECTED:
            return Says.REOPEN if result.error in causes.MALFORMED and await self._forgot() else says
        own.failures += 1
        pause = min(LONGEST_PAUSE, self.settings.pause * 2**own.failures)
        own.next_at = asyncio.get_running_loop().time() + pause
        if says is Says.FULL:
            self._stored.set()
        vague = result.error in causes.VAGUE and own.failures >= causes.VAGUE_AT_MOST
        return Says.REOPEN if vague else says

    async def _forgot(self) -> bool:
        assert self._modem is not None  # noqa: S101 - open
        return await self._modem.forgot()

    # -- in ------------------------------------------------------------------------------------------------------

    def _announced(self, line: str, octets: str) -> None:
        """What the modem says by itself."""
        if octets:
            self._direct.append(octets)
            self._heard.set()
        elif _STORED.match(line):
            self._stored.set()
        elif line.startswith("+CREG:"):
            self._look.set()
        elif _RESTARTED.fullmatch(line):
            self._fail("the modem started anew, or lost its SIM")

    async def _heed(self, announced: asyncio.Event, take: Callable[[], Awaitable[None]]) -> None:
        while True:
            await announced.wait()
            announced.clear()
            try:
                await take()
            except Silent:
                raise
            except Exception as error:
                # Not stored, so neither acknowledged nor deleted: it is still there.
                log.warning("gsm.not_stored", carrier=self.name, error=type(error).__name__)
                await asyncio.sleep(STORE_AGAIN_SECONDS)
                announced.set()

    async def _take_direct(self) -> None:
        assert self._modem is not None  # noqa: S101 - open
        while self._direct:
            item = await self._read(self._direct[0])
            if item is not None:
                await self.links.receive([item])
            self._direct.popleft()
            await self._modem.acknowledge()

    async def _take_stored(self) -> None:
        assert self._modem is not None  # noqa: S101 - open
        for name in self._modem.memories:
            listed = [one for one in await self._modem.stored(name) or () if not one.own]
            items = [(one, await self._read(one.hex)) for one in listed]
            if found := [item for _, item in items if item is not None]:
                await self.links.receive(found)
            for one, _ in items:
                if one.hex not in self._unreadable:
                    await self._modem.delete(one.place)

    async def _read(self, octets: str) -> Receipt | Received | None:
        """What a PDU brings; None for what says nothing, and for what cannot be read."""
        try:
            name, fields = pdu.decode(bytes.fromhex(octets))
        except (Refused, ValueError) as error:
            if octets not in self._unreadable:
                log.warning("gsm.unreadable", carrier=self.name, why=getattr(error, "en", "no hexadecimal"))
            self._unreadable.add(octets)
            return None
        now = self.links.now()
        if name == pdu.REPORT:
            report = reported(fields, now)
            return await self._receipt(report) if report is not None else None
        return received(fields, self.settings.service_code, now) if name == pdu.DELIVER else None

    async def _receipt(self, report: Report) -> Receipt:
        """The receipt of the part that a report is about."""
        which = (report.number, report.phone, report.at)
        if not self._memory.knows(*which) and self._flying and self._flying[0].text.phone == report.phone:
            # It may be of the part whose answer is awaited.
            assert self._line is not None  # noqa: S101 - open
            await self._line.quiet()
        return Receipt(self._memory.find(*which), report.phone, report.state, report.error, report.told_at)

    # -- how it is -----------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        assert self._modem is not None  # noqa: S101 - open
        while True:
            await _happens(self._look, self.settings.check_seconds)
            self._look.clear()
            if await self._modem.forgot():
                return self._fail("the modem lost its settings")
            self._mind_the_network(await self._modem.look())
            self._stored.set()

    def _mind_the_network(self, registered: bool) -> None:
        now = asyncio.get_running_loop().time()
        if registered:
            self._networkless_since = None
            return
        self._networkless_since = self._networkless_since or now
        if now - self._networkless_since >= WITHOUT_NETWORK_SECONDS:
            self._fail("no network")


async def _happens(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, but no longer."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def _number_given(result: Result) -> int | None:
    given = result.after("+CMGS:") or ""
    number = given.partition(",")[0].strip()
    return int(number) & 0xFF if number.isascii() and number.isdigit() else None
