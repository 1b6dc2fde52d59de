"""A carrier over links: plans them, keeps them up, spreads texts over them.

Policy
- One link that sends is enough to be open; the others are brought up and kept up beside it, with pauses that grow and
  differ a little, so that the links of an account do not all knock at once.
- When the last link that sends is gone the carrier has failed as a whole, and whoever opened it opens it anew. Links of
  a protocol that opens them on demand are another matter: an idle one that ends only sleeps, and wakes with the next
  text.
- A text goes over the link with most room, all its parts over the same.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import ssl
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import structlog

from gateway import carriers
from gateway.carriers import Answer, Items, Links, Text
from gateway.carriers.wire import content
from gateway.carriers.wire.dialect import Dialect, WireSettings
from gateway.carriers.wire.flight import Flight, Segment
from gateway.carriers.wire.link import Link
from gateway.errors import Unavailable
from gateway.text import Cutting

log = structlog.get_logger()

PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
REMEMBERED = 20_000
"""Numbers whose last reference of a long text is remembered."""


class References:
    """References of long texts: those to one number follow each other, so that a phone never joins two texts."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, int] = OrderedDict()

    def next(self, phone: str) -> int:
        """0 to 65,535."""
        reference = (self._last.pop(phone, random.randrange(65536)) + 1) % 65536
        self._last[phone] = reference
        if len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
        return reference


class WireCarrier(carriers.Carrier):
    """One login with one operator over as many links as it allows; a protocol's file says which dialect it speaks."""

    Dialect: ClassVar[type[Dialect]]
    Settings: ClassVar[type[WireSettings]]
    settings: Any

    def __init__(self, name: str, settings: Any, links: Links) -> None:
        super().__init__(name, settings, links)
        self.dialect = self.Dialect(settings)
        self._cutting = self.Dialect.cutting(settings)
        self._added = f"【{settings.signature}】" if settings.signature_place == "carrier" else ""
        self._modes = self.dialect.plan()
        self._slots: list[Link | None] = [None] * len(self._modes)
        self._keeping: dict[int, asyncio.Task[None]] = {}
        self._ticking: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._sequences = itertools.count(self.dialect.first_sequence)
        self._references = References()
        self._open = False

    @classmethod
    def cutting(cls, settings: Any) -> Cutting:
        return cls.Dialect.cutting(settings)

    # -- what the contract asks for ----------------------------------------------------------------------------

    @property
    def capacity(self) -> int:
        return int(self.settings.in_flight) * sum(mode.sends for mode in self._modes)

    @property
    def free(self) -> int:
        return sum(self._room(at) for at in range(len(self._slots))) if self._open else 0

    @property
    def links_up(self) -> tuple[int, int]:
        return sum(self._works(at) for at in range(len(self._slots))) if self._open else 0, len(self._modes)

    @property
    def noticed(self) -> Mapping[str, str]:
        return self.dialect.noticed

    def submit(self, texts: Sequence[Text]) -> None:
        for text in texts:
            reference = self._references.next(text.phone) if text.parts > 1 else 0
            header = self.dialect.header if self._cutting.header else None
            pieces = content.pieces(text.body, self._cutting, reference, header, self._added)
            flight = Flight(text, len(pieces))
            segments = [Segment(flight, piece.number, self.dialect.submit(text, piece)) for piece in pieces]
            self._link(max(range(len(self._slots)), key=self._room)).queue(segments)
        for link in self._slots:
            if link is not None:
                link.pump()

    def _link(self, slot: int) -> Link:
        self._wake(slot)
        link = self._slots[slot]
        assert link is not None  # noqa: S101 - awake, or waking
        return link

    async def open(self) -> None:
        self._open = True
        ends = await asyncio.gather(*(self._connect(at) for at in range(len(self._slots))), return_exceptions=True)
        failed = [end for end in ends if isinstance(end, BaseException)]
        if not self._any_sends:
            await self.close()
            raise failed[0] if failed else Unavailable("连接断了", "the links were cut off")
        self._ticking = asyncio.create_task(self._tick())
        for at, end in enumerate(ends):
            if isinstance(end, BaseException):
                self._keep(at)

    async def close(self) -> None:
        self._open = False
        tasks = [task for task in (*self._keeping.values(), *self._ending, self._ticking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(link.end() for link in self._slots if link is not None))
        self._keeping.clear()

    # -- what links ask for ------------------------------------------------------------------------------------

    def answered(self, answers: Sequence[Answer]) -> None:
        self.links.answered(answers)

    async def receive(self, items: Items) -> None:
        await self.links.receive(items)

    def now(self) -> datetime:
        return self.links.now()

    def next_sequence(self) -> int:
        return next(self._sequences) % self.dialect.last_sequence + 1

    def link_lost(self, link: Link, why: str) -> None:
        if not (self._open and link.was_up and link in self._slots):
            return
        slot = self._slots.index(link)
        if self.dialect.on_demand:
            log.info("link.asleep", carrier=self.name, why=why)
            self._fall_asleep(slot)
            return
        log.warning("link.lost", carrier=self.name, why=why)
        if self._any_sends:
            self._keep(slot)
        else:
            self._fail(why)

    def _fall_asleep(self, slot: int) -> None:
        self._slots[slot] = None
        self.links.answered(())  # a text would wake it
        if not self.dialect.sleeps:
            asyncio.get_running_loop().call_later(PAUSES[0], self._wake, slot)

    def _wake(self, slot: int) -> None:
        if self._open and self._slots[slot] is None:
            self._slots[slot] = Link(self, self.dialect, self._modes[slot])
            self._keep(slot)

    def _fail(self, why: str) -> None:
        self._open = False
        self.links.failed(why)

    # -- links -------------------------------------------------------------------------------------------------

    @property
    def _any_sends(self) -> bool:
        return any(link is not None and link.up and link.mode.sends for link in self._slots)

    @property
    def _any_works(self) -> bool:
        return any(mode.sends and self._works(slot) for slot, mode in enumerate(self._modes))

    def _works(self, slot: int) -> bool:
        """Whether it is up; one that sleeps is as good."""
        link = self._slots[slot]
        return self.dialect.on_demand if link is None else link.up

    def _room(self, slot: int) -> int:
        link = self._slots[slot]
        if link is not None:
            return link.room
        asleep = self.dialect.on_demand and self._modes[slot].sends
        return int(self.settings.in_flight) if asleep else 0

    async def _connect(self, slot: int) -> None:
        """Unavailable where it does not come up; what waited for it is answered then."""
        link = self._slots[slot]
        if link is None or link.ended:
            link = self._slots[slot] = Link(self, self.dialect, self._modes[slot])
        try:
            await self._dial(link)
            await link.log_in()
        except Unavailable as error:
            link.abandon(error.en)
            raise
        self.dialect.noticed["our address"] = link.address
        self.links.answered(())  # there is room

    async def _dial(self, link: Link) -> None:
        host, port = self.settings.host, self.settings.port
        try:
            async with asyncio.timeout(self.settings.connect_seconds):
                await asyncio.get_running_loop().create_connection(lambda: link, host, port, ssl=self._ssl())
        except (OSError, TimeoutError) as error:
            why = str(error) or type(error).__name__
            raise Unavailable(f"连不上 {host}:{port}：{why}", f"cannot reach {host}:{port}: {why}") from error

    def _ssl(self) -> ssl.SSLContext | None:
        return ssl.create_default_context() if getattr(self.settings, "tls", False) else None

    def _keep(self, slot: int) -> None:
        """Bring a link up in the background, however long that takes."""
        if slot not in self._keeping:
            task = asyncio.create_task(self._bring_up(slot))
            self._keeping[slot] = task
            task.add_done_callback(lambda done: self._kept(slot))

    def _kept(self, slot: int) -> None:
        """It came up, or nobody wants it any more. One that was lost again before this was known is brought up anew."""
        self._keeping.pop(slot, None)
        link = self._slots[slot]
        if self._open and link is not None and not link.up:
            self._keep(slot)

    async def _bring_up(self, slot: int) -> None:
        if not self.dialect.on_demand:
            await asyncio.sleep(max(self.settings.relogin_seconds, PAUSES[0] * random.uniform(0.8, 1.2)))
        for pause in itertools.chain(PAUSES, itertools.repeat(PAUSES[-1])):
            try:
                await self._connect(slot)
                break
            except Unavailable as error:
                log.warning("link.unavailable", carrier=self.name, why=error.en, again_in=pause)
                if self.dialect.on_demand and not self._any_works:
                    self._fail(error.en)
                    break
            await asyncio.sleep(max(self.settings.relogin_seconds, pause * random.uniform(0.8, 1.2)))

    async def _tick(self) -> None:
        shortest = min(4.0, self.settings.idle_seconds, self.settings.answer_seconds)
        while True:
            await asyncio.sleep(shortest / 4)
            for link in self._slots:
                if link is not None:
                    link.tick()
                    self._lay_to_sleep(link)

    def _lay_to_sleep(self, link: Link) -> None:
        if self.dialect.sleeps and link.up and link.idle and link.idle_for > self.settings.idle_seconds:
            ending = asyncio.create_task(link.end())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
