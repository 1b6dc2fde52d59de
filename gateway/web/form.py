"""The web form for people who would rather type than text: GET /form, POST /form/inbound.

Policy
- A form proves no number: what comes in by it opts nobody out or in (the inbox sees to that), and its answers go to the
  number as texts, never into the page.
- Stored first, told after. The page carries a key of its own, so that a double click, or going back, stores one text.
- Limits are small and shared by everybody: `PER_NUMBER` in `SPAN` and `TOGETHER` a minute; then 429, and nothing is
  stored. A field that people cannot see catches what fills in every field: it is thanked and not stored.
- One page without script or anything from elsewhere; whoever asks for JSON gets JSON.
"""

from __future__ import annotations

import html
import json
import secrets
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from importlib import resources
from string import Template
from typing import NamedTuple

import structlog
from aiohttp import web

from gateway import phone as phones
from gateway.carriers import Received
from gateway.config import Config
from gateway.errors import Conflict, GatewayError, Refused
from gateway.store import DATABASE_ERRORS
from gateway.worktime import Clock

log = structlog.get_logger()

SOURCE = "form"
LARGEST_BODY = 64 * 1024
LONGEST = {"phone": 64, "name": 30, "village": 30, "text": 2000, "id": 64, "website": 200}
SPAN = timedelta(minutes=10)
PER_NUMBER = 10
TOGETHER = 120
NUMBERS_KEPT = 10_000

Take = Callable[[Received], Awaitable[tuple[int, bool]]]
"""Stores one text under its `ref`; Conflict where the content differs."""


class Wrong(Refused):
    """A form that is not taken, with the HTTP status and the field."""

    def __init__(self, status: int, zh: str, en: str, field: str = "") -> None:
        super().__init__(zh, en)
        self.status, self.field = status, field


class Said(NamedTuple):
    """A form as it was filled in."""

    phone: str
    name: str
    village: str
    text: str
    id: str
    website: str


RECEIVED = "收到了。编号和答复会发到您的手机上。", "Received: the answer comes by text message."
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
EMPTY = Said("", "", "", "", "", "")


def form(app: web.Application, take: Take, config: Config, clock: Clock) -> None:
    """Add the form to an application."""
    desk = _Desk(take, config, clock)
    app.router.add_get("/form", desk.page)
    app.router.add_post("/form/inbound", desk.inbound)


class _Desk:
    def __init__(self, take: Take, config: Config, clock: Clock) -> None:
        self._take, self._config, self._clock = take, config, clock
        self._page = Template((resources.files("gateway.web") / "form.html").read_text("utf-8"))
        self._limits = Limits()

    async def page(self, request: web.Request) -> web.Response:
        return self._shown(EMPTY)

    async def inbound(self, request: web.Request) -> web.Response:
        as_json = "application/json" in request.headers.get("Accept", "")
        said = EMPTY
        try:
            said = await _filled_in(request)
            stored = await self._store(said)
        except Wrong as error:
            return self._refused(error.status, error, said, as_json, error.field)
        except Conflict as error:
            return self._refused(409, error, said, as_json)
        except DATABASE_ERRORS as error:
            log.warning("form.database", error=type(error).__name__)
            away = GatewayError("暂时存不了，请过几分钟再发", "cannot store now: try again in some minutes")
            return self._refused(503, away, said, as_json)
        if as_json:
            return web.json_response({"stored": True, "id": stored})
        return self._shown(EMPTY, "told", *RECEIVED)

    async def _store(self, said: Said) -> int:
        """Check and store; 0 for what only a machine fills in."""
        if said.website:
            return 0
        try:
            number = phones.mobile(said.phone)
        except Refused as error:
            raise Wrong(400, f"手机号：{error.zh}", f"mobile number: {error.en}", "phone") from None
        if not said.text.strip():
            raise Wrong(400, "还没写什么事", "nothing is written", "text")
        now = self._clock.now()
        if not self._limits.allows(number, now):
            raise Wrong(429, "发得太密了，请过十分钟再发，或打大厅电话", "too many: wait ten minutes, or call")
        stored, _ = await self._take(Received(said.id or secrets.token_hex(16), number, "", _letter(said), now))
        return stored

    def _refused(self, status: int, error: GatewayError, said: Said, as_json: bool, field: str = "") -> web.Response:
        if not as_json:
            return self._shown(said, "wrong", error.zh, error.en, status)
        body = {"stored": False, "error": {"zh": error.zh, "en": error.en}, **({"field": field} if field else {})}
        return web.json_response(body, status=status, dumps=partial(json.dumps, ensure_ascii=False))

    def _shown(self, said: Said, kind: str = "", zh: str = "", en: str = "", status: int = 200) -> web.Response:
        told = f'<p class="{kind}" role="status">{html.escape(zh)}<small>{html.escape(en)}</small></p>' if kind else ""
        about = self._config.hall.about
        written = {name: html.escape(value) for name, value in said._asdict().items() if name != "website"}
        named = {"hall": html.escape(about.name), "tel": html.escape(about.phone), "id": secrets.token_hex(16)}
        page = self._page.substitute(written | named, told=told)
        return web.Response(text=page, status=status, content_type="text/html", charset="utf-8", headers=HEADERS)


async def _filled_in(request: web.Request) -> Said:
    try:
        given = await request.post()
    except web.HTTPRequestEntityTooLarge:
        raise Wrong(413, "内容超过 64 KB", "the body is larger than 64 KB") from None
    except ValueError:
        raise Wrong(400, "不是表单", "not a form") from None
    return Said(**{name: _field(given, name) for name in Said._fields})


def _field(given: Mapping[str, object], name: str) -> str:
    value = given.get(name, "")
    if not isinstance(value, str):
        raise Wrong(400, f"{name} 应是文字", f"{name} should be a string", name)
    if len(value) > LONGEST[name]:
        raise Wrong(400, f"{name} 超过 {LONGEST[name]} 个字", f"{name} has more than {LONGEST[name]} characters", name)
    return value


def _letter(said: Said) -> str:
    """What is stored: the words, and under them who wrote, as they say."""
    who = " ".join(filter(None, (said.village.strip(), said.name.strip())))
    return f"{said.text.strip()}\n（{who}）" if who else said.text.strip()


class Limits:
    """How often is too often; in memory, for a restart may forget it."""

    def __init__(self) -> None:
        self._by_number: OrderedDict[str, deque[datetime]] = OrderedDict()
        self._all: deque[datetime] = deque()

    def allows(self, number: str, now: datetime) -> bool:
        """Whether one more of this number may be stored; it is counted if so."""
        mine = self._by_number.setdefault(number, deque())
        self._by_number.move_to_end(number)
        _forget(mine, now - SPAN)
        _forget(self._all, now - timedelta(minutes=1))
        if len(mine) >= PER_NUMBER or len(self._all) >= TOGETHER:
            return False
        mine.append(now)
        self._all.append(now)
        while len(self._by_number) > NUMBERS_KEPT:
            self._by_number.popitem(last=False)
        return True


def _forget(moments: deque[datetime], before: datetime) -> None:
    while moments and moments[0] <= before:
        moments.popleft()
