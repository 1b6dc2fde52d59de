"""A provider to be asked over HTTP, scripted, on loopback; and the gateway's side that keeps all a carrier tells it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import structlog
from aiohttp import web

from gateway import carriers
from gateway.carriers import Answer, Carrier, Items, Links, Text
from tests.conftest import NOON

CUT, HANG = object(), object()
"""Take the request whole, then close the connection, or say nothing."""


class Asked(NamedTuple):
    """One request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    raw_path: str

    @property
    def form(self) -> Mapping[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=bool(self.body)))

    def json(self) -> Any:
        return json.loads(self.body)


class Said(NamedTuple):
    """An answer of any kind."""

    status: int
    body: Any = ""
    headers: Mapping[str, str] = {}


Script = Callable[[Asked], Any]


class Provider:
    """Answers by `script`, one step per request, then by `otherwise`; counts what it was asked."""

    def __init__(self, otherwise: Script) -> None:
        self.otherwise = otherwise
        self.script: list[Any] = []
        self.asked: list[Asked] = []
        self.pause = 0.0
        self.now = self.most = 0
        self.url = ""

    @contextlib.asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Provider]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Asked(
            request.method, request.path, dict(request.query), headers, await request.read(), request.raw_path
        )
        self.asked.append(asked)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.pause)
            step = self.script.pop(0) if self.script else self.otherwise
            return await self._do(step(asked) if callable(step) else step, request)
        finally:
            self.now -= 1

    async def _do(self, step: Any, request: web.Request) -> web.StreamResponse:
        if step is HANG:
            await asyncio.sleep(30)
        if step is CUT or step is HANG:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        said = step if isinstance(step, Said) else Said(200, step)
        body = said.body if isinstance(said.body, str) else json.dumps(said.body)
        return web.Response(status=said.status, text=body, headers=dict(said.headers))


@dataclass
class Gateway:
    """What a carrier speaks to: keeps all it is told, and what it logged meanwhile."""

    answers: list[Answer] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    log: io.StringIO = field(default_factory=io.StringIO)
    at: datetime = NOON

    async def receive(self, items: Items) -> None:
        raise AssertionError("a web carrier receives by callbacks alone")

    @contextlib.asynccontextmanager
    async def over(self, kind: type[Carrier], **options: Any) -> AsyncIterator[Any]:
        """An open carrier with these settings, as its table would give them."""
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(self.log))
        links = Links(
            answered=self.answers.extend, receive=self.receive, failed=self.failures.append, now=lambda: self.at
        )
        carrier = kind("main", carriers.settings_of(kind, "main", options), links)
        await carrier.open()
        try:
            yield carrier
        finally:
            await carrier.close()
            structlog.reset_defaults()

    async def hear(self, answers: int) -> list[Answer]:
        async with asyncio.timeout(20):
            while len(self.answers) < answers:
                await asyncio.sleep(0.005)
        return self.answers

    @property
    def kinds(self) -> Counter[str]:
        return Counter(type(answer).__name__ for answer in self.answers)

    @property
    def errors(self) -> set[str]:
        return {getattr(answer, "error", "") for answer in self.answers}


def number(n: int) -> str:
    return f"+861380013{n:04}"


def texts(body: str, count: int, *, parts: int = 1, first: int = 1) -> list[Text]:
    """So many texts of one body to as many numbers."""
    return [Text(key, 1, number(key), body, parts) for key in range(first, first + count)]


def refs(answers: Sequence[Answer]) -> list[tuple[str, ...]]:
    return [getattr(answer, "refs", ()) for answer in answers]


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not happened():
            await asyncio.sleep(0.005)
