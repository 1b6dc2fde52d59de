"""Links that an operator opens to us: who may, how many, and for how long without a word.

Policy
- An address that is not allowed, and a connection beyond `listen_links`, is closed with a line in the log before it is
  read. So is one that has not logged in after `connect_seconds`, or says nothing for `tests` times `idle_seconds`: a
  dead one must not hold a place.
- Whoever opened a link asks and the other answers: we send nothing here but answers, not even the wish to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from gateway.carriers import Answer, Items
from gateway.carriers.wire.codec import Pdu
from gateway.carriers.wire.dialect import Dialect, Mode, WireSettings
from gateway.carriers.wire.link import Link, Owner
from gateway.errors import Unavailable

log = structlog.get_logger()

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, kw_only=True)
class ListeningSettings(WireSettings):
    """`listen` is our "address:port", "" for none. The operator logs in with `listen_user` and `listen_secret`, from
    the addresses or networks in `allow`, over at most `listen_links` links at once.
    """

    listen: str = ""
    listen_user: str = ""
    listen_secret: str = ""
    allow: tuple[str, ...] = ()
    listen_links: int = 4

    def problems(self) -> Iterator[tuple[str, str, str]]:
        yield from super().problems()
        if self.listen_links < 1:
            yield "listen_links", "至少 1", "at least 1"
        for one in self.allow:
            if network(one) is None:
                yield "allow", f"{one} 不是 IP 地址或网段", f"{one} is no address or network"
        if self.listen:
            yield from self._listening_problems()

    def _listening_problems(self) -> Iterator[tuple[str, str, str]]:
        host, colon, port = self.listen.rpartition(":")
        if not (colon and host and port.isdigit() and int(port) < 65536):
            yield "listen", "写作 地址:端口，如 0.0.0.0:8801", "written address:port, such as 0.0.0.0:8801"
        if not self.allow:
            yield "allow", "写上运营商连过来的 IP 地址", "name the addresses that the operator calls from"
        for key in ("listen_user", "listen_secret"):
            if not getattr(self, key):
                yield key, "运营商连过来时用的账号和密码都要有", "what the operator logs in with is needed"


def network(written: str) -> Network | None:
    """An address or a network; None if it is none."""
    try:
        return ipaddress.ip_network(written, strict=False)
    except ValueError:
        return None


def allowed(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address is in one of the networks; an IPv4 address may come dressed as IPv6."""
    try:
        own = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    plain = getattr(own, "ipv4_mapped", None) or own
    return any(plain in one for one in networks)


class Called(Link):
    """One link that the operator opened. It is up when its login was let in."""

    def __init__(self, listener: Listener, dialect: Dialect) -> None:
        super().__init__(listener, dialect, Mode.RECEIVE)
        self._listener, self._made = listener, self._loop.time()
        self._admitted.set_result(None)  # we asked for no login here: an answer to one says nothing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.peer = str(peer[0]) if peer else ""
        if why := self._listener.objection(self.peer):
            self._abort(why)
        else:
            self._listener.links.append(self)

    def _on_knocking(self, pdu: Pdu) -> None:
        super()._on_knocking(pdu)
        if self.up:
            log.info("listener.let_in", carrier=self._owner.name, peer=self.peer)
            self._dialect.noticed["called from"] = self.peer

    def tick(self) -> None:
        """Close it when it has no business here any more."""
        now, own = self._loop.time(), self._settings
        if not self.up and now - self._made > own.connect_seconds:
            self._abort("no login")
        elif self.idle and now - self._heard > own.idle_seconds * own.tests:
            self._abort("silent")

    async def end(self) -> None:
        """What came in is stored and acknowledged first."""
        await self._all_stored()
        self._abort("closed")
        await asyncio.shield(self._closed)


class Listener:
    """The `Owner` of the links that an operator opens; what they bring goes to the carrier."""

    def __init__(self, owner: Owner, dialect: Dialect) -> None:
        self.name = owner.name
        self.links: list[Called] = []
        self._owner, self._dialect, self._settings = owner, dialect, dialect.settings
        self._networks = [found for one in self._settings.allow if (found := network(one))]
        self._server: asyncio.Server | None = None
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Listen; Unavailable where the address cannot be had."""
        host, _, port = self._settings.listen.rpartition(":")
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: Called(self, self._dialect), host.strip("[]"), int(port))
        except OSError as error:
            where, why = self._settings.listen, str(error)
            raise Unavailable(f"不能在 {where} 上等运营商连接：{why}", f"cannot listen on {where}: {why}") from error
        self._watching = loop.create_task(self._watch())

    @property
    def port(self) -> int:
        """Where it listens; 0 while it does not."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server and self._server.sockets else 0

    async def close(self) -> None:
        """Let nobody in any more, store what came, close."""
        if self._server is not None:
            self._server.close()
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
            self._watching = None
        await asyncio.gather(*(link.end() for link in self.links))

    def objection(self, peer: str) -> str:
        """Why this one is not even read; "" if it is."""
        if not allowed(peer, self._networks):
            return "address not allowed"
        return "too many links" if len(self.links) >= self._settings.listen_links else ""

    async def _watch(self) -> None:
        own = self._settings
        while True:
            await asyncio.sleep(min(1.0, own.idle_seconds / 2, own.connect_seconds / 2))
            for link in list(self.links):
                link.tick()

    # -- what links ask for --------------------------------------------------------------------------------------

    def answered(self, answers: Sequence[Answer]) -> None:
        self._owner.answered(answers)

    def link_lost(self, link: Link, why: str) -> None:
        assert isinstance(link, Called)  # noqa: S101 - it makes no other
        if link in self.links:
            self.links.remove(link)
        tell = log.info if link.was_up else log.warning
        tell("listener.closed", carrier=self.name, peer=link.peer, why=why)

    async def receive(self, items: Items) -> None:
        await self._owner.receive(items)

    def next_sequence(self) -> int:
        return self._owner.next_sequence()

    def now(self) -> datetime:
        return self._owner.now()
