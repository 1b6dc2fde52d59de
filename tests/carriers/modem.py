"""A played modem over TCP or over a pseudo-terminal, and a gateway's side that keeps all it is told.

`Gsm` is the modem as the suite of all carriers needs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import tty
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway.carriers import Answer, Items, Links, Receipt, Received, Text, settings_of
from gateway.carriers.gsm import Carrier
from gateway.carriers.gsm.rehearsal import Behaviour, Modem, listen
from tests.carriers.rig import Rig as Conforming

QUICK: dict[str, Any] = {
    "pause": 0.0,
    "register_seconds": 0.3,
    "answer_seconds": 0.5,
    "check_seconds": 60.0,
    "per_day": 0,
}
_names = itertools.count()


def text(key: int, body: str = "今夜有雨", parts: int = 1, **more: Any) -> Text:
    return Text(key, 1, f"+861380013{key % 10_000:04}", body, parts, **more)


@dataclass
class Desk:
    """The gateway."""

    answers: list[Answer] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    refusals: int = 0
    """How many more times storing goes wrong."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def receive(self, items: Items) -> None:
        await asyncio.sleep(0)
        if self.refusals:
            self.refusals -= 1
            raise RuntimeError("disk full")
        self.receipts += [item for item in items if isinstance(item, Receipt)]
        self.received += [item for item in items if isinstance(item, Received)]

    def links(self) -> Links:
        return Links(
            answered=self.answers.extend, receive=self.receive, failed=self.failures.append, now=lambda: self.now()
        )  # fmt: skip

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(8):
            while not true():
                await asyncio.sleep(0.005)

    async def answered(self, count: int) -> list[Answer]:
        await self.until(lambda: len(self.answers) >= count)
        return self.answers


class Terminal:
    """A modem behind a pseudo-terminal, as behind a cable."""

    def __init__(self, modem: Modem) -> None:
        self.modem = modem
        self.ours, theirs = os.openpty()
        tty.setraw(theirs)
        os.set_blocking(self.ours, False)
        self.theirs, self.port = theirs, os.ttyname(theirs)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.ours, self._read)
        modem.connected(self.write, self.unplug)

    def write(self, octets: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(self.ours, octets)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            self.modem.feed(os.read(self.ours, 4096))

    def unplug(self) -> None:
        """The cable is pulled."""
        if self.ours >= 0:
            self._loop.remove_reader(self.ours)
            os.close(self.ours)
            os.close(self.theirs)
            self.ours = -1


@dataclass
class Rig:
    """A modem, the port it is at, and the gateway that opens it."""

    modem: Modem
    port: str
    desk: Desk
    name: str
    carriers: list[Carrier] = field(default_factory=list)
    unplug: Callable[[], None] = lambda: None

    def carrier(self, **settings: Any) -> Carrier:
        made = settings_of(Carrier, self.name, {"port": self.port, **QUICK, **settings})
        self.carriers.append(Carrier(self.name, made, self.desk.links()))
        return self.carriers[-1]

    async def opened(self, **settings: Any) -> Carrier:
        carrier = self.carrier(**settings)
        await carrier.open()
        return carrier


@contextlib.asynccontextmanager
async def rig(kind: str = "tcp", **behaviour: Any) -> AsyncIterator[Rig]:
    """`kind` is tcp or pty."""
    own = {"latency": 0.0, "receipt_after": 0.0, "receipt_lost": 1.0} | behaviour
    modem = Modem(Behaviour(**own))
    async with contextlib.AsyncExitStack() as ends:
        ends.callback(modem.stop)
        made = Rig(modem, "", Desk(), f"gsm{next(_names)}")
        if kind == "pty":
            terminal = Terminal(modem)
            made.port, made.unplug = terminal.port, terminal.unplug
            ends.callback(terminal.unplug)
        else:
            server = await listen(modem, "127.0.0.1", 0)
            made.port = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            made.unplug = modem.cut
            ends.callback(server.close)
        yield made
        for carrier in made.carriers:
            await carrier.close()
    await asyncio.sleep(0.01)  # cut connections are closed in the loop's next turns


class Gsm(Conforming):
    """One text at a time."""

    protocol = "gsm"
    secret = "2468"

    def __init__(self) -> None:
        super().__init__()
        self.modem = Modem(Behaviour())
        self.server: asyncio.Server | None = None
        self.port = 0

    def options(self) -> dict[str, Any]:
        return QUICK | {"port": f"tcp://127.0.0.1:{self.port}", "pin": self.secret, "service_code": self.sender}

    async def start(self, **behaviour: Any) -> None:
        self.modem = Modem(Behaviour(pin=self.secret, receipt_after=0.0, **{"latency": 0.0} | behaviour))
        self.server = await listen(self.modem, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self.modem.stop()
        if self.server is not None:
            self.server.close()
        await asyncio.sleep(0.01)

    def bodies(self) -> dict[str, list[str]]:
        return self.modem.bodies()

    def say(self, phone: str, body: str) -> None:
        self.modem.say(phone, body)

    def report(self, answer: Any, *, delivered: bool = True) -> None:
        for taken in self.modem.seen.taken:
            if taken.phone == answer.text.phone:
                self.modem.report(taken, 0x00 if delivered else 0x46)

    def hold(self) -> None:
        self.modem.holding = True

    def release(self) -> None:
        self.modem.release()

    def drop(self) -> None:
        self.modem.cut()

    @property
    def unacknowledged(self) -> int:
        return self.modem.unacknowledged

    @property
    def most_unanswered(self) -> int:
        return self.modem.seen.most_unanswered
