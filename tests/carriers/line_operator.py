"""The scripted operator of docs/example/line.py."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

from tests.carriers.rig import Rig


class Line(Rig):
    """`protocol = "example.line"`, a carrier outside the package."""

    protocol = "example.line"

    def __init__(self) -> None:
        super().__init__()
        self.port = 0
        self._behaviour: dict[str, Any] = {}
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._bodies: dict[str, list[str]] = {}
        self._held: list[dict[str, Any]] | None = None
        self._unanswered = self._most = 0
        self._numbers = itertools.count(1)
        self._items: dict[int, dict[str, Any]] = {}
        self._budget = 0.0

    def options(self) -> dict[str, Any]:
        account = {"host": "127.0.0.1", "port": self.port, "user": "901234", "secret": self.secret}
        return account | {"connect_seconds": 2.0}

    async def start(self, **behaviour: Any) -> None:
        self._behaviour, self._budget = behaviour, behaviour.get("rate", 0) / 10
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.drop()
        await asyncio.sleep(0.01)

    def bodies(self) -> dict[str, list[str]]:
        return self._bodies

    def say(self, phone: str, body: str) -> None:
        self._tell({"from": phone, "body": body})

    def report(self, answer: Any, *, delivered: bool = True) -> None:
        for ref in answer.refs:
            state = "DELIVRD" if delivered else "UNDELIV"
            self._tell({"receipt": ref, "to": answer.text.phone, "state": state})

    def hold(self) -> None:
        self._held = []

    def release(self) -> None:
        held, self._held = self._held or [], None
        for said in held:
            self._answer(said)

    def drop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    @property
    def unacknowledged(self) -> int:
        return len(self._items)

    @property
    def most_unanswered(self) -> int:
        return self._most

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            fits = json.loads(await reader.readline()) == {"user": "901234", "secret": self.secret}
            writer.write(json.dumps({"ok": fits}).encode() + b"\n")
            self._writers.append(writer)
            for item in self._items.values():
                self._write(item)
            while fits and (line := await reader.readline()):
                await self._take(json.loads(line))
        except OSError:
            pass
        finally:
            if writer in self._writers:
                self._writers.remove(writer)
            writer.close()

    async def _take(self, said: dict[str, Any]) -> None:
        if "item" in said:
            self._items.pop(said["item"], None)
            return
        self._unanswered += 1
        self._most = max(self._most, self._unanswered)
        if self._held is not None:
            self._held.append(said)
        else:
            asyncio.get_running_loop().call_later(self._behaviour.get("latency", 0), self._answer, said)

    def _answer(self, said: dict[str, Any]) -> None:
        self._unanswered -= 1
        if self._behaviour.get("reject"):
            return self._write({"text": said["text"], "no": "REFUSED"})
        if self._behaviour.get("rate"):
            self._budget -= 1
            if self._budget < 0:
                return self._write({"text": said["text"], "no": "BUSY"})
        ref = f"r{next(self._numbers)}"
        self._bodies.setdefault(said["to"], []).append(said["body"])
        early = self._behaviour.get("receipt_early")
        for _ in range((2 if self._behaviour.get("receipt_twice") else 1) if early else 0):
            self._tell({"receipt": ref, "to": said["to"], "state": "DELIVRD"})
        return self._write({"text": said["text"], "ref": ref})

    def _tell(self, item: dict[str, Any]) -> None:
        number = next(self._numbers)
        self._items[number] = item | {"item": number}
        self._write(self._items[number])

    def _write(self, said: dict[str, Any]) -> None:
        for writer in self._writers[-1:]:
            writer.write(json.dumps(said).encode() + b"\n")
