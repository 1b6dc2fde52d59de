"""What the suite of all carriers runs on: a carrier, the operator it speaks to, and a desk that hears both.

A protocol takes part by a `Rig`: how its operator is started and what can be had of it. The desk is the gateway's side:
it keeps what was answered and what came in, and can refuse to store.
"""

from __future__ import annotations

import asyncio
import socket
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from gateway import carriers
from gateway.carriers import Answer, Carrier, Items, Links, Receipt, Received, Text
from gateway.carriers.wire.operator import Behaviour, Operator

SECONDS = 5.0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Desk:
    """Everything a carrier says."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.items: list[Receipt | Received] = []
        self.failures: list[str] = []
        self.refusals = 0
        """How often storage shall fail before it works."""

    def links(self) -> Links:
        return Links(
            answered=self.answers.extend,
            receive=self._receive,
            failed=self.failures.append,
            now=lambda: datetime.now(UTC),
        )

    async def _receive(self, items: Items) -> None:
        if self.refusals:
            self.refusals -= 1
            raise OSError("disk full")
        self.items.extend(items)

    @property
    def receipts(self) -> list[Receipt]:
        return [item for item in self.items if isinstance(item, Receipt)]

    @property
    def received(self) -> list[Received]:
        return [item for item in self.items if isinstance(item, Received)]

    async def until(self, true: Callable[[], object], seconds: float = SECONDS) -> None:
        """Wait until it holds; a failure says what there was."""
        try:
            async with asyncio.timeout(seconds):
                while not true():
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"still not so: {self.answers[-3:]} {self.items[-3:]} {self.failures}") from None

    async def answered(self, count: int) -> list[Answer]:
        await self.until(lambda: len(self.answers) >= count)
        return self.answers


def texts(count: int, body: str = "【枣原镇】明天上午停水，请提前储水。", parts: int = 1, first: int = 0) -> list[Text]:
    """To as many numbers."""
    return [Text(n, 1, f"+861380013{n:04}", body, parts, 2, None) for n in range(first, first + count)]


class Rig(ABC):
    """One protocol's operator, as the suite needs it."""

    protocol = ""
    secret = "s3cret-Of-The-Account"
    sender = "10690001"
    tells_of_long = True
    """False where the operator says of a long text that parts arrived but not which: that is no receipt."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.carriers: list[Carrier] = []

    def carrier(self, **changes: Any) -> Carrier:
        """A carrier of ours for this operator, closed."""
        kind = carriers.load(self.protocol)
        options = {key: value for key, value in (self.options() | changes).items() if carriers.takes(kind, key)}
        self.carriers.append(kind("main", carriers.settings_of(kind, "main", options), self.desk.links()))
        return self.carriers[-1]

    async def opened(self, **changes: Any) -> Carrier:
        carrier = self.carrier(**changes)
        await carrier.open()
        return carrier

    async def stop(self) -> None:
        for carrier in self.carriers:
            await carrier.close()
        await self.close()

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """The account's table."""

    @abstractmethod
    async def start(self, **behaviour: Any) -> None: ...
    @abstractmethod
    async def close(self) -> None: ...
    @abstractmethod
    def bodies(self) -> dict[str, list[str]]:
        """Number -> the texts that reached it, put together from their parts."""

    @abstractmethod
    def say(self, phone: str, body: str) -> None:
        """A person writes to us."""

    @abstractmethod
    def report(self, answer: Any, *, delivered: bool = True) -> None:
        """The operator says of each part of an accepted text what became of it."""

    @abstractmethod
    def hold(self) -> None:
        """Take texts and leave them unanswered."""

    @abstractmethod
    def release(self) -> None: ...
    @abstractmethod
    def drop(self) -> None:
        """Cut every link."""

    @property
    @abstractmethod
    def unacknowledged(self) -> int:
        """Receipts and texts that we were sent and have not acknowledged."""

    @property
    @abstractmethod
    def most_unanswered(self) -> int: ...


class WireRig(Rig):
    """Over `gateway.carriers.wire.operator`."""

    gate: str = ""

    def __init__(self) -> None:
        super().__init__()
        self.operator: Operator
        self.port = 0

    def options(self) -> dict[str, Any]:
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "secret": self.secret,
            "service_code": self.sender,
            "connect_seconds": 2.0,
        }

    async def start(self, **behaviour: Any) -> None:
        gates = __import__(f"gateway.carriers.{self.protocol}", fromlist=["GATES"]).GATES
        own = {"user": "901234", "secret": self.secret} | behaviour
        self.operator = Operator(gates[self.gate], Behaviour(**own))
        self.port = await self.operator.start("127.0.0.1", self.port)

    async def close(self) -> None:
        await self.operator.stop()

    def bodies(self) -> dict[str, list[str]]:
        whole: dict[tuple[str, object], dict[int, str]] = defaultdict(dict)
        for n, (_, part) in enumerate(self.operator.taken):
            key = (part.phone, (part.concat.ref, part.concat.total) if part.concat else n)
            whole[key][part.concat.number if part.concat else 1] = part.body
        found: dict[str, list[str]] = defaultdict(list)
        for (phone, _), parts in whole.items():
            found[phone].append("".join(parts[number] for number in sorted(parts)))
        return found

    def say(self, phone: str, body: str) -> None:
        self.operator.say(phone, self.sender, body)

    def report(self, answer: Any, *, delivered: bool = True) -> None:
        from gateway.carriers.wire.dialect import Said
        from gateway.carriers.wire.operator import DELIVERED, FAILED

        for ref in answer.refs:
            stat = DELIVERED if delivered else FAILED
            self.operator.report(Said(ref, answer.text.phone, self.sender, stat, datetime.now(UTC)))

    def hold(self) -> None:
        self.operator.holding = True

    def release(self) -> None:
        self.operator.release()

    def drop(self) -> None:
        self.operator.drop()

    @property
    def unacknowledged(self) -> int:
        return sum(len(session.unacknowledged) for session in self.operator.sessions)

    @property
    def most_unanswered(self) -> int:
        return self.operator.most_unanswered


class Cmpp3(WireRig):
    protocol, gate = "cmpp", "cmpp3"

    def options(self) -> dict[str, Any]:
        return super().options() | {"user": "901234", "version": "3.0"}


class Cmpp2(Cmpp3):
    gate = "cmpp2"

    def options(self) -> dict[str, Any]:
        return super().options() | {"version": "2.0"}


class Sgip(WireRig):
    """Everything over the links that we open."""

    protocol, gate = "sgip", "sgip"
    secret = "s3cret-Of-Acct"

    def options(self) -> dict[str, Any]:
        return super().options() | {"user": "901234", "node": 3037100001}


class SgipCalled(Sgip):
    """The operator opens a link to us for what it has to say."""

    def __init__(self) -> None:
        super().__init__()
        self.listen = f"127.0.0.1:{free_port()}"

    def options(self) -> dict[str, Any]:
        own = {"listen": self.listen, "listen_user": "901234", "listen_secret": self.secret, "allow": ["127.0.0.1"]}
        return super().options() | own

    async def start(self, **behaviour: Any) -> None:
        await super().start(call=self.listen, **behaviour)


class Smgp(WireRig):
    protocol, gate = "smgp", "smgp"
    secret = "s3cret-Of-Acct"

    def options(self) -> dict[str, Any]:
        return super().options() | {"user": "901234"}


class SmgpPair(Smgp):
    """A link for each way."""

    def options(self) -> dict[str, Any]:
        return super().options() | {"modes": "pair"}


class Smpp(WireRig):
    protocol = gate = "smpp"

    def options(self) -> dict[str, Any]:
        return super().options() | {"user": "901234"}


class SmppPair(Smpp):
    """A link that sends and a link that receives; long texts by tagged values."""

    def options(self) -> dict[str, Any]:
        return super().options() | {"bind": "pair", "long": "sar"}
