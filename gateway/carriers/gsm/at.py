"""The line to a modem: one AT command at a time, every line that comes sorted (3GPP TS 27.005, 27.007).

Policy
- The only home of pyserial. A port is a device, or `tcp://HOST:PORT` for a modem on another machine.
- One command at a time, whoever asks; what was asked first is answered first. A payload follows the prompt and nothing
  comes between.
- A line is, in this order: the PDU of an announcement before it, an echo, an announcement with a PDU, the end of the
  answer, a part of the answer, or an announcement. So announcements may come at any moment.
- No answer in time raises `Silent`, a dead line `Gone`; both say whether a payload had been handed over. After that the
  line is of no use: an answer that comes late would be taken for that of the next command.
- Nothing of what is said is logged: commands hold the PIN, PDUs hold numbers.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import serial_asyncio_fast

LONGEST_LINE = 4096
"""What is longer is noise of the line; a PDU has at most 510 characters."""
CONNECT_SECONDS = 10.0
ANSWER_SECONDS, PROMPT_SECONDS = 5.0, 10.0
ESCAPE, END = b"\x1b", b"\x1a"

_ENDS = re.compile(r"OK|ERROR|\+CM[ES] ERROR: ?.*|COMMAND NOT SUPPORT|TOO MANY PARAMETERS|NO CARRIER")
_WITH_PDU = re.compile(r"\+(?:CMT|CDS|CBM):")
_ANNOUNCED = re.compile(r"[\^*$%]|RING|RDY|\+(?:CMTI|CDSI|CREG|CGREG|CEREG|CUSD|CIEV|CRING|CLIP|CCWA|CTZV|QIND|CPIN):")
_HEX = re.compile("(?:[0-9A-Fa-f]{2})+")
_BREAK = re.compile(rb"[\r\n]+")


class Silent(Exception):
    """The modem did not answer in time; `left`: a payload was handed over before. `lines` came without an end."""

    def __init__(self, what: str, left: bool, lines: tuple[str, ...] = ()) -> None:
        super().__init__(what)
        self.left, self.lines = left, lines


class Gone(Silent):
    """The line is dead."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came up to the end of the answer, and how it ended."""

    lines: tuple[str, ...]
    end: str

    @property
    def ok(self) -> bool:
        return self.end == "OK"

    @property
    def error(self) -> str:
        """`CMS:38`, `CME:10`, or the modem's own word."""
        found = re.fullmatch(r"\+(CM[ES]) ERROR: ?(.*)", self.end)
        return f"{found[1]}:{found[2].strip()[:20]}" if found else self.end

    def after(self, prefix: str) -> str | None:
        """What follows the prefix in the last line that has it."""
        found = [line[len(prefix) :].strip() for line in self.lines if line.startswith(prefix)]
        return found[-1] if found else None


@dataclass(slots=True)
class _Asked:
    """The command whose answer is awaited; `bare`: its answer has no prefix, `pdus`: a PDU follows each line of it."""

    command: str
    prefix: str
    bare: bool
    pdus: bool
    ended: asyncio.Future[str]
    prompted: asyncio.Future[str]
    payload: str | None
    lines: list[str] = field(default_factory=list)

    def takes(self, line: str) -> bool:
        if self.prefix and line.startswith(self.prefix):
            return True
        if self.pdus and self.lines and not _HEX.fullmatch(self.lines[-1]) and _HEX.fullmatch(line):
            return True
        return self.bare and not _ANNOUNCED.match(line)


Announced = Callable[[str, str], None]
"""An announcement and its PDU, "" where it has none."""


class Line(asyncio.Protocol):
    """A connected port; made by `connect`."""

    def __init__(self, announced: Announced, lost: Callable[[str], None]) -> None:
        self._announced, self._lost = announced, lost
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._one = asyncio.Lock()
        self.connected, self._ended = asyncio.Event(), asyncio.Event()
        self._asked: _Asked | None = None
        self._header = ""
        self.left = False
        """Whether a payload is out whose fate is not known."""

    # -- asking ------------------------------------------------------------------------------------------------

    async def ask(
        self,
        command: str,
        prefix: str = "",
        *,
        bare: bool = False,
        pdus: bool = False,
        payload: str | None = None,
        seconds: float | None = None,
    ) -> Result:
        """Send a command and wait for the end of its answer; `payload` goes out at the prompt."""
        async with self._one:
            loop = asyncio.get_running_loop()
            asked = _Asked(command, prefix, bare, pdus, loop.create_future(), loop.create_future(), payload)
            self._asked, self.left = asked, False
            try:
                self._write(f"{command}\r".encode("ascii"))
                if payload is not None:
                    await self._hand_over(asked, payload)
                async with asyncio.timeout(seconds or ANSWER_SECONDS):
                    end = await asked.ended
            except TimeoutError:
                what = command.partition("=")[0]
                raise Silent(f"no answer to {what}", self.left, tuple(asked.lines)) from None
            finally:
                self._asked = None
            self.left = False
            return Result(tuple(asked.lines), end)

    async def _hand_over(self, asked: _Asked, payload: str) -> None:
        async with asyncio.timeout(PROMPT_SECONDS):
            await asyncio.wait({asked.ended, asked.prompted}, return_when=asyncio.FIRST_COMPLETED)
        if not asked.ended.done():
            self._write(payload.encode("ascii") + END)
            self.left = True

    async def quiet(self) -> None:
        """Return when no command is waiting for its answer."""
        async with self._one:
            pass

    def escape(self) -> None:
        """Leave a prompt that somebody left open."""
        self._write(ESCAPE + b"\r")

    def _write(self, octets: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            raise Gone("the line is closed", False)
        self._transport.write(octets)

    async def close(self) -> None:
        """End the line at once, whatever is still to be written; return when the port is free."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
            # The kernel may hold a port for a while whose modem takes nothing any more.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._ended.wait()

    # -- hearing -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what both kinds of connection give
        self._transport = transport
        self.connected.set()

    def connection_lost(self, error: Exception | None) -> None:
        ours, self._transport = self._transport is None, None
        self._ended.set()
        why = f"the line broke: {type(error).__name__}" if error else "the line was closed"
        if self._asked is not None and not self._asked.ended.done():
            self._asked.ended.set_exception(Gone(why, self.left))
            self._asked.ended.exception()  # who asked may be cancelled by the same news and never look
        if not ours:
            self._lost(why)

    def data_received(self, octets: bytes) -> None:
        *lines, self._buffer = _BREAK.split(self._buffer + octets)
        for line in lines:
            self._line(line.decode("latin-1").strip("\x00\x1a\x1b \t"))
        if self._buffer.lstrip().startswith(b">") and self._asked is not None and self._asked.payload is not None:
            self._buffer = b""
            if not self._asked.prompted.done():
                self._asked.prompted.set_result(">")
        self._buffer = self._buffer[-LONGEST_LINE:]

    def _line(self, line: str) -> None:
        line = line.removeprefix("> ")
        header, self._header = self._header, ""
        if header and _HEX.fullmatch(line):
            self._announced(header, line)
        elif not line or self._is_echo(line):
            self._header = header
        elif _WITH_PDU.match(line):
            self._header = line
        elif not self._is_answer(line):
            self._announced(line, "")

    def _is_echo(self, line: str) -> bool:
        return self._asked is not None and line in (self._asked.command, self._asked.payload)

    def _is_answer(self, line: str) -> bool:
        asked = self._asked
        if _ENDS.fullmatch(line):
            if asked is not None and not asked.ended.done():
                asked.ended.set_result(line)
            return True
        if asked is None or not asked.takes(line):
            return False
        asked.lines.append(line)
        return True


async def connect(port: str, baud: int, rtscts: bool, announced: Announced, lost: Callable[[str], None]) -> Line:
    """Open a port; OSError or TimeoutError where that fails."""
    loop, line = asyncio.get_running_loop(), Line(announced, lost)
    async with asyncio.timeout(CONNECT_SECONDS):
        if port.startswith("tcp://"):
            address = urlsplit(port)
            await loop.create_connection(lambda: line, str(address.hostname), address.port or 0)
        else:
            await serial_asyncio_fast.create_serial_connection(
                loop, lambda: line, port, baudrate=baud, rtscts=rtscts, exclusive=True
            )
        await line.connected.wait()
    return line
