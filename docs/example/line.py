"""An imaginary operator that speaks JSON, one object a line, over TCP: `protocol = "example.line"`.

We say            {"user": U, "secret": S}          it answers  {"ok": true} or {"ok": false}
We say            {"text": N, "to": NUMBER, "body": B}          {"text": N, "ref": R} or {"text": N, "no": CODE}
It says           {"item": N, "receipt": R, "to": NUMBER, "state": STATE} or {"item": N, "from": NUMBER, "body": B}
We answer         {"item": N, "stored": true}
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gateway import carriers
from gateway.carriers import Accepted, Answer, Deferred, Items, Links, Receipt, Received, Rejected, Text, Uncertain
from gateway.errors import Unavailable
from gateway.model import ReceiptState
from gateway.text import Cutting


@dataclass(frozen=True, kw_only=True)
class LineSettings(carriers.Carrier.Settings):
    """The keys of `[carriers.NAME]`; `secret` is written there as `secret_env`."""

    host: str
    port: int
    user: str
    secret: str
    in_flight: int = 16
    connect_seconds: float = 10.0
    answer_seconds: float = 60.0

    def problems(self) -> Iterator[tuple[str, str, str]]:
        if not 0 < self.port < 65536:
            yield "port", "端口是 1 到 65535", "a port is 1 to 65535"


class Carrier(carriers.Carrier):
    """One connection; the operator cuts long texts itself, so that each text is one part."""

    Settings = LineSettings

    def __init__(self, name: str, settings: Any, links: Links) -> None:
        super().__init__(name, settings, links)
        self._flying: dict[int, tuple[Text, float]] = {}
        self._number = 0
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    def cutting(cls, settings: Any) -> Cutting:
        return Cutting(header=0)

    # -- what the gateway asks -------------------------------------------------------------------------------

    @property
    def capacity(self) -> int:
        return int(self.settings.in_flight)

    @property
    def free(self) -> int:
        return self.capacity - len(self._flying) if self._writer else 0

    def submit(self, texts: Sequence[Text]) -> None:
        for text in texts:
            self._number += 1
            self._flying[self._number] = (text, asyncio.get_running_loop().time())
            self._say({"text": self._number, "to": text.phone, "body": text.body})

    async def open(self) -> None:
        try:
            async with asyncio.timeout(self.settings.connect_seconds):
                reader, writer = await asyncio.open_connection(self.settings.host, self.settings.port)
                writer.write(_line({"user": self.settings.user, "secret": self.settings.secret}))
                admitted = json.loads(await reader.readline() or "{}").get("ok")
        except (OSError, TimeoutError, ValueError) as error:
            raise Unavailable(f"连不上：{type(error).__name__}", f"cannot connect: {type(error).__name__}") from error
        if not admitted:
            writer.close()
            raise Unavailable("账号或密码不对", "wrong user or secret")
        self._writer = writer
        self._tasks = [asyncio.create_task(self._read(reader)), asyncio.create_task(self._give_up())]

    async def close(self) -> None:
        with contextlib.suppress(TimeoutError):  # let what is in flight be answered
            async with asyncio.timeout(2.0):
                while self._writer and self._flying:  # noqa: ASYNC110 - once, at the end
                    await asyncio.sleep(0.01)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._end("closed")

    # -- what the operator says ------------------------------------------------------------------------------

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                said = json.loads(line)
                if "text" in said:
                    self._answered(said)
                else:
                    await self._store([said])
            why = "closed by the operator"
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = f"link lost: {type(error).__name__}"
        if self._writer:
            self._end(why)
            self.links.failed(why)

    def _answered(self, said: dict[str, Any]) -> None:
        text, _ = self._flying.pop(said["text"], (None, 0.0))
        if text is not None:
            self.links.answered([_answer(text, said)])

    async def _store(self, said: Sequence[dict[str, Any]]) -> None:
        """Stored first, acknowledged after; a storage that fails is tried again."""
        items: Items = [self._item(one) for one in said]
        while True:
            try:
                await self.links.receive(items)
                break
            except Exception:
                await asyncio.sleep(0.2)
        for one in said:
            self._say({"item": one["item"], "stored": True})

    def _item(self, said: dict[str, Any]) -> Receipt | Received:
        now = self.links.now()
        if "receipt" not in said:
            return Received(str(said["item"]), said["from"], "", said["body"], now)
        delivered = said["state"] == "DELIVRD"
        state = ReceiptState.DELIVERED if delivered else ReceiptState.UNDELIVERED
        return Receipt(said["receipt"], said["to"], state, None if delivered else said["state"], now)

    async def _give_up(self) -> None:
        """A text without an answer in time may have arrived."""
        while True:
            await asyncio.sleep(self.settings.answer_seconds / 4)
            before = asyncio.get_running_loop().time() - self.settings.answer_seconds
            late = [number for number, (_, at) in self._flying.items() if at < before]
            if late:
                self.links.answered([Uncertain(self._flying.pop(number)[0], "no answer") for number in late])

    def _say(self, said: dict[str, Any]) -> None:
        if self._writer is not None:
            self._writer.write(_line(said))

    def _end(self, why: str) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        lost = [Uncertain(text, why) for text, _ in self._flying.values()]
        self._flying.clear()
        if lost:
            self.links.answered(lost)


def _answer(text: Text, said: dict[str, Any]) -> Answer:
    if "ref" in said:
        return Accepted(text, (said["ref"],))
    return Deferred(text, "BUSY") if said["no"] == "BUSY" else Rejected(text, str(said["no"]))


def _line(said: dict[str, Any]) -> bytes:
    return json.dumps(said, ensure_ascii=False).encode() + b"\n"
