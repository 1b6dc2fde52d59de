"""Where providers call us: GET and POST /carriers/NAME, or /carriers/NAME/TOKEN, on the listener of the webhook.

Policy
- Only the account's carrier reads a call and decides whether it is authentic; here it is stored, then answered as the
  carrier says. While the database is away the answer is 503 and nothing is acknowledged; the provider repeats.
- A name without callbacks is 404; one whose secrets this process lacks is 503, for they may be set later.
- A body has at most 1 MB (413): providers batch. A call that the carrier stumbles over is 500, logged by place alone.
- No answer, no log line holds a number, a text or a token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import structlog
from aiohttp import web

from gateway.carriers import Call, Items, Reply
from gateway.errors import Refused, place
from gateway.store import DATABASE_ERRORS
from gateway.worktime import Clock

log = structlog.get_logger()

LARGEST_CALL = 1024 * 1024

Called = Callable[[Call, datetime], Reply]
Receive = Callable[[str, Items], Awaitable[None]]


def callbacks(
    app: web.Application | None, called: Mapping[str, Called | Refused], receive: Receive, clock: Clock
) -> web.Application:
    """The application with the paths; `called` has every account that providers call, `receive` stores what came."""
    app = web.Application() if app is None else app
    counter = _Counter(called, receive, clock)
    for path in ("/carriers/{name}", "/carriers/{name}/{token}"):
        app.router.add_get(path, counter.take, allow_head=False)
        app.router.add_post(path, counter.take)
    return app


class _Counter:
    def __init__(self, called: Mapping[str, Called | Refused], receive: Receive, clock: Clock) -> None:
        self._called, self._receive, self._clock = called, receive, clock

    async def take(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        called = self._called.get(name)
        if called is None:
            return web.Response(status=404)
        if isinstance(called, Refused):
            return _later()
        body = await _body(request)
        if body is None:
            return web.Response(status=413)
        return await self._answer(name, called, _call(request, body))

    async def _answer(self, name: str, called: Called, call: Call) -> web.Response:
        try:
            reply = called(call, self._clock.now())
            if reply.items:
                await self._receive(name, reply.items)
        except DATABASE_ERRORS as error:
            log.warning("callback.database", carrier=name, error=type(error).__name__)
            return _later()
        except Exception as error:
            log.error("callback.failed", carrier=name, error=type(error).__name__, where=place(error))
            return web.Response(status=500)
        if reply.status >= 400:
            log.warning("callback.refused", carrier=name, status=reply.status)
        return web.Response(status=reply.status, text=reply.body, content_type=reply.content_type)


def _call(request: web.Request, body: bytes) -> Call:
    query = {key: request.query[key] for key in request.query}
    headers = {key.lower(): request.headers[key] for key in request.headers}
    return Call(request.method, query, headers, body, request.match_info.get("token", ""))


async def _body(request: web.Request) -> bytes | None:
    """None where there is too much of it. The application's own limit is that of the webhook, which is smaller."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > LARGEST_CALL:
            return None
    return bytes(body)


def _later() -> web.Response:
    return web.Response(status=503, headers={"Retry-After": "5"})
