"""Scripted providers over HTTP for the suite of all carriers: they call us back over a real listener until we store."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import itertools
import json
import time
from abc import abstractmethod
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import parse_qs, parse_qsl, urlsplit

from aiohttp import ClientSession, web

from gateway import carriers
from gateway.text import measure
from gateway.web.callbacks import callbacks
from gateway.web.hooks import listening
from gateway.worktime import SystemClock
from tests.carriers.rig import Rig
from tests.carriers.test_http import KANNEL, VONAGE, table

SIGN = "枣原镇"
AGAIN_SECONDS = 0.05


class Taken(NamedTuple):
    """A text as it would stand on the phone, and how the provider's calls name it, part by part."""

    phone: str
    body: str
    names: tuple[str, ...]


class Told(NamedTuple):
    """A call of the provider's: by GET where there is no body."""

    query: dict[str, str]
    body: str | None
    headers: dict[str, str]


def as_json(told: Any) -> Told:
    return Told({}, json.dumps(told), {"Content-Type": "application/json"})


class Web(Rig):
    """A provider's behaviour; its subclasses have its words."""

    token = "an-unguessable-token-1"

    def __init__(self) -> None:
        super().__init__()
        self.url = ""
        self._behaviour: dict[str, Any] = {}
        self._bodies: dict[str, list[str]] = {}
        self._names = itertools.count(1)
        self._unanswered = self._most = 0
        self._open = asyncio.Event()
        self._transports: set[asyncio.Transport] = set()
        self._waiting: dict[int, asyncio.Task[None]] = {}
        self._tokens, self._since = 0.0, 0.0
        self._opened = contextlib.AsyncExitStack()

    # -- words -------------------------------------------------------------------------------------------------

    @abstractmethod
    def taken(self, request: web.Request, body: bytes) -> list[Taken]:
        """The texts of a request."""

    @abstractmethod
    def accepts(self, texts: list[Taken]) -> web.Response: ...
    @abstractmethod
    def refuses(self, texts: list[Taken]) -> web.Response: ...
    @abstractmethod
    def throttles(self) -> web.Response: ...
    @abstractmethod
    def receipt(self, name: str, phone: str, *, delivered: bool) -> Told: ...
    @abstractmethod
    def text(self, phone: str, body: str) -> Told: ...
    def name_of(self, ref: str) -> str:
        """How the provider names what we call so."""
        return ref

    # -- behaviour ---------------------------------------------------------------------------------------------

    async def start(self, **behaviour: Any) -> None:
        self._behaviour, self._since = behaviour, time.monotonic()
        self._tokens = behaviour.get("rate", 0) / 10
        self._open.set()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        port = await self._opened.enter_async_context(listening(app, "127.0.0.1:0"))
        self.url = f"http://127.0.0.1:{port}"
        kind = carriers.load(self.protocol)
        called = partial(kind.called, carriers.settings_of(kind, "main", self.options()))
        receive = self.desk.links().receive
        ours = callbacks(None, {"main": called}, lambda _, items: receive(items), SystemClock())
        back = await self._opened.enter_async_context(listening(ours, "127.0.0.1:0"))
        self._back = f"http://127.0.0.1:{back}/carriers/main/{self.token}"
        self._session = await self._opened.enter_async_context(ClientSession())

    async def close(self) -> None:
        self._open.set()
        self.drop()
        for task in self._waiting.values():
            task.cancel()
        await asyncio.gather(*self._waiting.values(), return_exceptions=True)
        await self._opened.aclose()

    async def _serve(self, request: web.Request) -> web.Response:
        texts = self.taken(request, await request.read())
        self._unanswered += len(texts)
        self._most = max(self._most, self._unanswered)
        assert request.transport is not None
        self._transports.add(request.transport)
        try:
            await self._open.wait()
            await asyncio.sleep(self._behaviour.get("latency", 0))
            return self._answer(texts)
        finally:
            self._unanswered -= len(texts)
            self._transports.discard(request.transport)  # type: ignore[arg-type]

    def _answer(self, texts: list[Taken]) -> web.Response:
        if self._behaviour.get("reject"):
            return self.refuses(texts)
        if self._too_fast(len(texts)):
            return self.throttles()
        for text in texts:
            self._bodies.setdefault(text.phone, []).append(text.body)
            for name in text.names * (2 if self._behaviour.get("receipt_twice") else 1):
                if self._behaviour.get("receipt_early"):
                    self._tell(self.receipt(name, text.phone, delivered=True))
        return self.accepts(texts)

    def _too_fast(self, count: int) -> bool:
        rate, now = self._behaviour.get("rate", 0), time.monotonic()
        self._tokens, self._since = min(rate, self._tokens + (now - self._since) * rate), now
        if rate and self._tokens < count:
            return True
        self._tokens -= count
        return False

    def _tell(self, told: Told) -> None:
        number = next(self._names)
        self._waiting[number] = asyncio.create_task(self._until_stored(number, told))

    async def _until_stored(self, number: int, told: Told) -> None:
        way = "GET" if told.body is None else "POST"
        asked = partial(self._session.request, way, self._back, params=told.query, data=told.body, headers=told.headers)
        while True:
            async with asked() as answer:
                if answer.status == 200:
                    del self._waiting[number]
                    return
            await asyncio.sleep(AGAIN_SECONDS)

    def bodies(self) -> dict[str, list[str]]:
        return self._bodies

    def say(self, phone: str, body: str) -> None:
        self._tell(self.text(phone, body))

    def report(self, answer: Any, *, delivered: bool = True) -> None:
        for ref in answer.refs:
            self._tell(self.receipt(self.name_of(ref), answer.text.phone, delivered=delivered))

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def drop(self) -> None:
        for transport in list(self._transports):
            transport.abort()

    @property
    def unacknowledged(self) -> int:
        return len(self._waiting)

    @property
    def most_unanswered(self) -> int:
        return self._most


class Rendering(Web):
    """Templates that make the suite's texts."""

    def options(self) -> dict[str, Any]:
        first, what = self.template
        templates = {first: "明天上午停水，请提前储水。", what: f"关于{self.placeholder}完"}
        own = {"sign_name": SIGN, "templates": templates, "longest_parameter": 500, "callback_token": self.token}
        return own | {"endpoint": self.url or "https://provider.example.com"}

    template = ("1", "2")
    placeholder = ""

    def rendered(self, code: str, value: str) -> str:
        return f"【{SIGN}】" + (self.options()["templates"][code].replace(self.placeholder, value))


class Aliyun(Rendering):
    """By SendSms and SendBatchSms."""

    protocol, placeholder = "aliyun", "${what}"

    def options(self) -> dict[str, Any]:
        return super().options() | {"access_key_id": "LTAI-of-ours", "access_key_secret": self.secret}

    def taken(self, request: web.Request, body: bytes) -> list[Taken]:
        told = {**request.query, **dict(parse_qsl(body.decode()))}
        if "PhoneNumbers" in told:
            phones, values = [told["PhoneNumbers"]], [json.loads(told["TemplateParam"])]
        else:
            phones, values = json.loads(told["PhoneNumberJson"]), json.loads(told["TemplateParamJson"])
        texts = [self.rendered(told["TemplateCode"], value.get("what", "")) for value in values]
        return [Taken(f"+86{one}", text, (told["OutId"],)) for one, text in zip(phones, texts, strict=True)]

    def accepts(self, texts: list[Taken]) -> web.Response:
        return web.json_response({"Code": "OK", "BizId": "9^0"})

    def refuses(self, texts: list[Taken]) -> web.Response:
        return web.json_response({"Code": "isv.MOBILE_NUMBER_ILLEGAL"}, status=400)

    def throttles(self) -> web.Response:
        return web.json_response({"Code": "Throttling.User"}, status=400)

    def name_of(self, ref: str) -> str:
        return ref.rpartition("-")[0]

    def receipt(self, name: str, phone: str, *, delivered: bool) -> Told:
        code = "DELIVERED" if delivered else "MK:0001"
        return as_json(
            [{"phone_number": phone.removeprefix("+86"), "out_id": name, "success": delivered, "err_code": code}]
        )

    def text(self, phone: str, body: str) -> Told:
        return as_json([{"phone_number": phone, "content": body, "sequence_id": next(self._names)}])


class Tencent(Rendering):
    """By SendSms to many numbers."""

    protocol, placeholder = "tencent", "{1}"

    def options(self) -> dict[str, Any]:
        return super().options() | {"secret_id": "AKID-of-ours", "secret_key": self.secret, "app_id": "1400"}

    def taken(self, request: web.Request, body: bytes) -> list[Taken]:
        told = json.loads(body)
        text = self.rendered(told["TemplateId"], "".join(told["TemplateParamSet"]))
        return [Taken(phone, text, (f"s{next(self._names)}",)) for phone in told["PhoneNumberSet"]]

    def accepts(self, texts: list[Taken], code: str = "Ok") -> web.Response:
        each = [{"PhoneNumber": text.phone, "SerialNo": text.names[0], "Code": code} for text in texts]
        return web.json_response({"Response": {"SendStatusSet": each}})

    def refuses(self, texts: list[Taken]) -> web.Response:
        return self.accepts(texts, "FailedOperation.PhoneNumberInBlacklist")

    def throttles(self) -> web.Response:
        return web.json_response({"Response": {"Error": {"Code": "RequestLimitExceeded"}}})

    def receipt(self, name: str, phone: str, *, delivered: bool) -> Told:
        words = ("SUCCESS", "DELIVRD") if delivered else ("FAIL", "MK:0001")
        own = dict(zip(("report_status", "errmsg"), words, strict=True))
        return as_json([{"nationcode": "86", "mobile": phone.removeprefix("+86"), "sid": name, **own}])

    def text(self, phone: str, body: str) -> Told:
        told = {"nationcode": "86", "mobile": phone.removeprefix("+86"), "text": body, "time": int(time.time())}
        return as_json(told)


class Kannel(Web):
    """By GET, with a table of config.toml."""

    protocol = "http"

    def options(self) -> dict[str, Any]:
        url = self.url or "https://provider.example.com"
        return table(KANNEL, url) | {"secret": self.secret, "callback_token": self.token}

    def taken(self, request: web.Request, body: bytes) -> list[Taken]:
        told = dict(request.query)
        (name,) = parse_qs(urlsplit(told["dlr-url"]).query)["id"]
        return [Taken(f"+86{told['to']}", told["text"], (name,))]

    def accepts(self, texts: list[Taken]) -> web.Response:
        return web.Response(status=202, text="0: Accepted for delivery")

    def refuses(self, texts: list[Taken]) -> web.Response:
        return web.Response(status=403, text="Not routable. Do not try again.")

    def throttles(self) -> web.Response:
        return web.Response(status=503, text="Temporal failure, try again later.")

    def receipt(self, name: str, phone: str, *, delivered: bool) -> Told:
        return Told({"id": name, "state": "1" if delivered else "2", "error": ""}, None, {})

    def text(self, phone: str, body: str) -> Told:
        return Told({"id": str(next(self._names)), "from": phone, "to": self.sender, "text": body}, None, {})


class Vonage(Web):
    """By JSON, with a table of config.toml; it names each part."""

    protocol = "http"

    def options(self) -> dict[str, Any]:
        url = self.url or "https://provider.example.com"
        return table(VONAGE, url) | {"secret": self.secret, "callback_token": self.token}

    def taken(self, request: web.Request, body: bytes) -> list[Taken]:
        told = json.loads(body)
        names = tuple(f"v{next(self._names)}" for _ in range(measure(told["text"]).parts))
        return [Taken(f"+{told['to']}", told["text"], names)]

    def accepts(self, texts: list[Taken], status: str = "0") -> web.Response:
        return web.json_response({"messages": [{"status": status, "message-id": name} for name in texts[0].names]})

    def refuses(self, texts: list[Taken]) -> web.Response:
        return web.json_response({"messages": [{"status": "6"}]})

    def throttles(self) -> web.Response:
        return web.json_response({"messages": [{"status": "1"}]})

    def receipt(self, name: str, phone: str, *, delivered: bool) -> Told:
        state = "delivered" if delivered else "failed"
        return as_json({"messageId": name, "msisdn": phone.removeprefix("+"), "status": state, "err-code": "1"})

    def text(self, phone: str, body: str) -> Told:
        own = {"messageId": f"m{next(self._names)}", "msisdn": phone.removeprefix("+"), "to": self.sender, "text": body}
        return as_json(own)


class Android(Web):
    """A phone that signs its calls."""

    protocol = "android"
    tells_of_long = False
    key = "signing-key-of-the-phone"

    def options(self) -> dict[str, Any]:
        own = {"password": self.secret, "signing_key": self.key, "callback_token": self.token}
        return own | {"url": self.url or "https://phone.example.com"}

    def taken(self, request: web.Request, body: bytes) -> list[Taken]:
        told = json.loads(body)
        return [Taken(told["phoneNumbers"][0], told["textMessage"]["text"], (told["id"],))]

    def accepts(self, texts: list[Taken]) -> web.Response:
        return web.json_response({"id": texts[0].names[0], "state": "Pending"}, status=202)

    def refuses(self, texts: list[Taken]) -> web.Response:
        return web.json_response({"message": "Invalid phone number"}, status=400)

    def throttles(self) -> web.Response:
        return web.Response(status=429)

    def receipt(self, name: str, phone: str, *, delivered: bool) -> Told:
        own: dict[str, Any] = {"messageId": name, "recipient": phone}
        if delivered:
            return self._signed("sms:delivered", own)
        return self._signed("sms:failed", own | {"reason": "Send result: RESULT_ERROR_NO_SERVICE (no)"})

    def text(self, phone: str, body: str) -> Told:
        return self._signed("sms:received", {"messageId": "c", "sender": phone, "message": body})

    def _signed(self, event: str, payload: dict[str, Any]) -> Told:
        body = json.dumps({"event": event, "id": f"e{next(self._names)}", "payload": payload})
        at = str(int(time.time()))
        signature = hmac.new(self.key.encode(), f"{body}{at}".encode(), hashlib.sha256).hexdigest()
        return Told({}, body, {"X-Timestamp": at, "X-Signature": signature, "Content-Type": "application/json"})


WEB = (Aliyun, Tencent, Kannel, Vonage, Android)
