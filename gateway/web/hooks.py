"""The webhook that texts come in by: POST /hooks/inbound, signed by Standard Webhooks, on its own listener.

Policy
- Stored first, acknowledged after: 200 is sent when the text is on the disk. While the database is away the answer is
  503 and nothing is stored; the sender repeats.
- A delivery is named by its `webhook-id`. The same one with the same content is 200 without effect, with another 409.
- Nothing is read of a delivery before its signature fits (401), made with the shared secret over id, timestamp and the
  octets of the body; several signatures may be given while a secret is changed. A timestamp further from our clock than
  the tolerance, either way, is 401: what was recorded cannot be replayed for ever, and within the tolerance it is a
  repeat.
- A body has at most 64 KB (413). What is wrong with it is told field by field (400), in both languages.
- An answer never holds a number or a text.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import structlog
from aiohttp import web
from standardwebhooks.webhooks import EmptyWebhookSecretError
from standardwebhooks.webhooks import Webhook as Signer

from gateway.carriers import Received
from gateway.config import Webhook
from gateway.errors import Conflict, GatewayError, Refused
from gateway.store import DATABASE_ERRORS
from gateway.store.inbound import digest
from gateway.worktime import Clock

log = structlog.get_logger()

_as_written = partial(json.dumps, ensure_ascii=False)
"""Chinese as it is read, not as escapes."""

LARGEST_BODY = 64 * 1024
LONGEST_ID = 255
LONGEST_NUMBER = 64
SHORTEST_SECRET = 24
"""Octets, by the specification; a shorter secret works and is warned of."""

Application = web.Application
"""What is served on the listener; other modules add their paths to it."""

Take = Callable[[Received, str], Awaitable[tuple[int, bool]]]
"""Stores one text under its `ref`; its id and whether it is new. Conflict where the digest differs."""


class Wrong(Refused):
    """A delivery that is refused with an HTTP status; `field` names what is wrong in the body."""

    def __init__(self, status: int, zh: str, en: str, field: str = "") -> None:
        super().__init__(zh, en)
        self.status = status
        self.field = field


def hooks(take: Take, settings: Webhook, clock: Clock, environ: Mapping[str, str] | None = None) -> web.Application:
    """The application; Refused where the secret is missing or is no secret."""
    desk = _Desk(take, _signer(settings.secret(environ)), timedelta(seconds=settings.tolerance_seconds), clock)
    app = application()
    app.router.add_post("/hooks/inbound", desk.inbound)
    return app


def application() -> web.Application:
    """One without any paths: for the form alone, where there is no secret for hooks."""
    return web.Application(client_max_size=LARGEST_BODY)


@asynccontextmanager
async def listening(app: web.Application, listen: str) -> AsyncIterator[int]:
    """Serve on "host:port" while entered; the port, which the system chooses for 0. OSError where it is taken."""
    host, _, port = listen.rpartition(":")
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, int(port))
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _signer(secret: str) -> Signer:
    try:
        signer = Signer(secret)
    except (ValueError, EmptyWebhookSecretError):
        raise Refused("Webhook 密钥应是 whsec_ 加 base64", "the webhook's secret is whsec_ and base64") from None
    if len(base64.b64decode(secret.removeprefix("whsec_") + "==")) < SHORTEST_SECRET:
        log.warning("hooks.short_secret", should_have=SHORTEST_SECRET)
    return signer


class _Desk:
    def __init__(self, take: Take, signer: Signer, tolerance: timedelta, clock: Clock) -> None:
        self._take = take
        self._signer = signer
        self._tolerance = tolerance
        self._clock = clock

    async def inbound(self, request: web.Request) -> web.Response:
        try:
            key, body = await self._authentic(request)
            text = _text(body, key, self._clock.now())
            stored, new = await self._take(text.received, text.digest)
        except Wrong as error:
            return _refusal(error.status, error, error.field)
        except Conflict as error:
            return _refusal(409, error)
        except DATABASE_ERRORS as error:
            log.warning("hooks.database", error=type(error).__name__)
            away = GatewayError("暂时存不了，请稍后重发", "cannot store now: send it again later")
            return _refusal(503, away, headers={"Retry-After": "5"})
        return web.json_response({"stored": True, "id": stored, "new": new})

    async def _authentic(self, request: web.Request) -> tuple[str, str]:
        """The delivery's id and its body, once the signature fits."""
        octets = await _octets(request)
        key = request.headers.get("webhook-id", "")
        if not key or len(key) > LONGEST_ID:
            raise Wrong(401, "缺少 webhook-id，或太长", "webhook-id is missing or too long")
        at = self._timestamp(request.headers.get("webhook-timestamp", ""))
        try:
            body = octets.decode()
            expected = self._signer.sign(key, at, body)
        except UnicodeError:
            raise Wrong(401, "签名不符", "the signature does not fit") from None
        given = request.headers.get("webhook-signature", "").split(" ")
        fits = [hmac.compare_digest(expected.encode(), one.encode("utf-8", "surrogateescape")) for one in given]
        if not any(fits):
            raise Wrong(401, "签名不符", "the signature does not fit")
        return key, body

    def _timestamp(self, seconds: str) -> datetime:
        if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 11):
            raise Wrong(401, "webhook-timestamp 应是秒数", "webhook-timestamp is in seconds")
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(seconds))
        if abs(self._clock.now() - at) > self._tolerance:
            raise Wrong(401, "时间相差太多，可能是重放", "the timestamp is too far from now")
        return at


async def _octets(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise Wrong(413, "内容超过 64 KB", "the body is larger than 64 KB") from None


@dataclass(frozen=True, slots=True)
class _Text:
    received: Received
    digest: str


def _text(body: str, key: str, now: datetime) -> _Text:
    """One delivery's text. Its digest is over the content, so that a repeat may order or space it differently."""
    data = _object(body)
    sender = _string(data, "from", LONGEST_NUMBER)
    if not sender.strip():
        raise Wrong(400, "from 不能空", "from is empty", "from")
    to, text = _string(data, "to", LONGEST_NUMBER, ""), _string(data, "text", LARGEST_BODY)
    own_id, said_at = _string(data, "id", LONGEST_ID, ""), _string(data, "received_at", LONGEST_NUMBER, "")
    at = _moment(said_at) if said_at else now
    return _Text(Received(key, sender, to, text, at), digest(sender, to, text, own_id, said_at))


def _object(body: str) -> Mapping[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise Wrong(400, "不是 JSON", "not JSON") from None
    if not isinstance(data, dict):
        raise Wrong(400, "应是一个 JSON 对象", "should be a JSON object")
    return data


def _string(data: Mapping[str, Any], name: str, longest: int, default: str | None = None) -> str:
    value = data.get(name)
    if value is None:
        value = default
    if not isinstance(value, str):
        raise Wrong(400, f"{name} 应是文字", f"{name} should be a string", name)
    if len(value) > longest:
        raise Wrong(400, f"{name} 超过 {longest} 个字", f"{name} has more than {longest} characters", name)
    return value


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        zh, en = "received_at 应写作 2026-07-01T09:00:00+08:00", "received_at is written 2026-07-01T09:00:00+08:00"
        raise Wrong(400, zh, en, "received_at") from None


def _refusal(
    status: int, error: GatewayError, field: str = "", headers: Mapping[str, str] | None = None
) -> web.Response:
    said = {"stored": False, "error": {"zh": error.zh, "en": error.en}}
    body = said | ({"field": field} if field else {})
    return web.json_response(body, status=status, headers=headers, dumps=_as_written)
