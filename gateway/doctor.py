"""One account alone: does it log in, does a text arrive, does its receipt come, does an answer come in.

Policy
- Nobody else may hold the account meanwhile: beside a running `serve` this is refused, and nothing that waits is sent.
- The one text that leaves goes the way of every text: queued, its watermark durable before it is handed over, recorded
  after; so that a receipt that comes late finds it, and a process that dies leaves it uncertain.
- What comes in is stored by the inbox before it is acknowledged, whoever it is from.
- Findings are values, told as they come; the sheet made of them holds no whole number and no secret, and can be sent to
  the operator.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from gateway import phone
from gateway.carriers import Accepted, Answer, Carrier, Items, Links, Receipt, Received, Rejected, Text, Uncertain
from gateway.codes import Code, Stage
from gateway.config import Carrier as Bought
from gateway.dispatch import alone
from gateway.errors import Refused, Unavailable
from gateway.model import Outcome, ParcelState, Priority, ReceiptState, home_parcel, message_id
from gateway.outbox import Outbox, Written
from gateway.store import Connection, Store, audit, parcels, receipts
from gateway.store.parcels import Envelope, Queued, Result, Step
from gateway.worktime import Clock

HELD_FOR = timedelta(seconds=10)
RENEW_SECONDS = 2.0
WORTH = timedelta(minutes=10)
SKEW = 90.0
"""Seconds by which the operator's clock may differ before it is told as wrong; many tell whole minutes."""

Words = tuple[str, str]


NOTICED = {
    "version": "协议版本",
    "our address": "我们的地址",
    "their clock": "对方的时间和我们差",
    "modem": "模块",
    "network": "网络",
    "operator": "运营商",
    "signal": "信号",
    "reports": "送达报告",
}
"""What carriers notice, in words of people; other names are shown as they are."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what, how it is (None: not told), and what was seen; in Chinese and English."""

    what: Words
    fine: bool | None
    said: Words


@dataclass(frozen=True, kw_only=True)
class Patient:
    """The account to be examined, and what it needs."""

    bought: Bought
    make: Callable[[Links], Carrier]
    receive: Callable[[str, Items], Awaitable[None]]
    means: Callable[[Stage, str], Code]


class Examination:
    """Of one account; `told` hears each finding at once, `wait` is how long to wait for each thing, in seconds."""

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        clock: Clock,
        patient: Patient,
        *,
        told: Callable[[Finding], None],
        wait: float,
    ) -> None:
        self._store, self._outbox, self._clock, self._patient = store, outbox, clock, patient
        self._told, self._wait = told, wait
        self._name = patient.bought.name
        self._answers: list[Answer] = []
        self._came: list[tuple[Receipt | Received, datetime]] = []
        self._failed: list[str] = []
        self._news = asyncio.Event()
        self.findings: list[Finding] = []

    async def run(self, number: str | None, by: str) -> Sequence[Finding]:
        """Everything, with a text to `number` (E.164) where one is given; Refused where somebody holds the account."""
        with alone(self._store):
            async with self._holding() as epoch:
                await self._address()
                carrier = self._patient.make(self._links())
                if await self._logs_in(carrier):
                    try:
                        self._notice(carrier)
                        if number is not None:
                            await self._text(carrier, epoch, number, by)
                    finally:
                        await carrier.close()
        return self.findings

    def _say(self, what: Words, fine: bool | None, zh: str, en: str) -> None:
        self.findings.append(Finding(what, fine, (zh, en)))
        self._told(self.findings[-1])

    # -- holding it -----------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _holding(self) -> AsyncIterator[int]:
        node = f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(4)}"
        epoch = await self._store.write(parcels.take, self._name, node, self._clock.now(), HELD_FOR)
        if epoch is None:
            raise Refused(
                f"账号 {self._name} 正由另一个进程使用（gateway serve），请先停掉它",
                f"{self._name} is held by another process (gateway serve): stop it first",
            )
        renewing = asyncio.create_task(self._renew(epoch))
        try:
            yield epoch
        finally:
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewing
            await self._store.write(parcels.let_account_go, self._name, epoch, self._clock.now())

    async def _renew(self, epoch: int) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            await self._store.write(parcels.renew, self._name, epoch, self._clock.now(), HELD_FOR)

    def _links(self) -> Links:
        return Links(answered=self._answered, receive=self._receive, failed=self._fails, now=self._clock.now)

    def _answered(self, answers: Sequence[Answer]) -> None:
        self._answers += answers
        self._news.set()

    def _fails(self, why: str) -> None:
        self._failed.append(why)
        self._news.set()

    async def _receive(self, items: Items) -> None:
        await self._patient.receive(self._name, items)
        self._came += [(item, self._clock.now()) for item in items]
        self._news.set()

    # -- the way there, and the login -----------------------------------------------------------------------

    async def _address(self) -> None:
        what = ("本机地址", "our address")
        there = _where(self._patient.bought.options)
        if there is None:
            return self._say(what, None, "这种通道不经网络地址", "this carrier has no network address")
        try:
            ours = await asyncio.to_thread(_source, *there)
        except OSError as error:
            return self._say(what, False, f"找不到 {there[0]}：{error.strerror}", f"{there[0]}: {error.strerror}")
        return self._say(what, True, f"从 {ours} 连 {there[0]}:{there[1]}", f"from {ours} to {there[0]}:{there[1]}")

    async def _logs_in(self, carrier: Carrier) -> bool:
        what, began = ("登录", "login"), self._clock.monotonic()
        try:
            await carrier.open()
        except Unavailable as error:
            self._say(what, False, error.zh, error.en)
            return False
        took = self._clock.monotonic() - began
        up, links = carrier.links_up
        self._say(
            what, up == links, f"成功，{took:.1f} 秒，连接 {up}/{links}", f"fine, {took:.1f} s, links {up}/{links}"
        )
        return True

    def _notice(self, carrier: Carrier) -> None:
        for key, value in carrier.noticed.items():
            self._say((f"对方所示：{NOTICED.get(key, key)}", f"noticed: {key}"), None, value, value)

    # -- a text there and back ------------------------------------------------------------------------------

    async def _text(self, carrier: Carrier, epoch: int, number: str, by: str) -> None:
        written = self._outbox.write(_body(self._clock.now()), self._name)
        key = await self._store.write(self._queue, epoch, number, written, by)
        began = self._clock.now()
        carrier.submit([Text(key, 1, number, written.body, written.parts, Priority.URGENT, began + WORTH)])
        answered = await self._until(lambda: bool(self._answers))
        if not answered:
            await carrier.close()  # says that it is uncertain
        answer = self._answers[0] if self._answers else None
        await self._store.write(self._record, epoch, key, written.parts, answer)
        if self._tell_answer(answer, number):
            await self._await_receipt(number, written.parts, began)
            await self._await_reply(number)
        for why in self._failed:
            self._say(("连接", "link"), False, f"断了：{why}", f"lost: {why}")
        await self._store.write(receipts.settle, self._clock.now(), {self._name: self._patient.bought.receipts})

    def _queue(self, db: Connection, epoch: int, number: str, written: Written, by: str) -> int:
        now = self._clock.now()
        envelope = Envelope(
            broadcast_id=0,
            carrier=self._name,
            route="doctor",
            priority=Priority.URGENT,
            body=None,
            category=None,
            hours=None,
            on_uncertain="leave",
            consent_seen=parcels.newest_consent(db),
            state=ParcelState.READY,
            not_before=None,
            expires_at=now + WORTH,
        )
        text = Queued(number, None, written.body, written.parts)
        audit.append(db, now, by, "examine", f"carrier {self._name}", {"to": phone.mask(number)})
        return message_id(parcels.queue_open(db, envelope, [text], now, epoch), 0)

    def _record(self, db: Connection, epoch: int, key: int, parts: int, answer: Answer | None) -> None:
        home = home_parcel(key)
        done = {home: (ParcelState.DONE, None)}
        step = Step(results=[(home, 1, _result(key, parts, answer))], let_go=dict(done))
        parcels.record(db, self._name, epoch, step, [home], self._clock.now())

    def _tell_answer(self, answer: Answer | None, number: str) -> bool:
        what, to = ("发一条", "one text out"), phone.mask(number)
        if isinstance(answer, Accepted):
            refs = ", ".join(answer.refs)
            self._say(what, True, f"发到 {to}，对方受理，编号 {refs}", f"to {to}: accepted as {refs}")
            return True
        if answer is None or isinstance(answer, Uncertain):
            why = answer.error if answer else "; ".join(self._failed)
            self._say(what, False, f"发到 {to}，没有回应：{why}", f"to {to}: no answer: {why}")
            return answer is not None
        code = self._patient.means("submit", answer.error)
        self._say(what, False, f"发到 {to}，{answer.error}：{code.zh}", f"to {to}, {answer.error}: {code.en}")
        return False

    async def _await_receipt(self, number: str, parts: int, began: datetime) -> None:
        what = ("回执", "receipt")
        wanted = parts if self._patient.bought.receipts == "every" else 1
        await self._until(lambda: len(self._receipts(number)) >= wanted)
        found = self._receipts(number)
        for receipt, at in found:
            code = self._patient.means("receipt", receipt.error or "")
            fine, after = receipt.state == ReceiptState.DELIVERED, (at - began).total_seconds()
            said = ("送达", "delivered") if fine else (f"{receipt.error}：{code.zh}", f"{receipt.error}: {code.en}")
            self._say(what, fine, f"{said[0]}，{after:.1f} 秒后", f"{said[1]}, after {after:.1f} s")
        if len(found) < wanted:
            zh, en = f"{wanted} 个里来了 {len(found)} 个", f"{len(found)} of {wanted} came"
            self._say(what, False, f"等了最多 {self._wait:g} 秒，{zh}", f"{en} within {self._wait:g} s")
        if found:
            self._tell_clock(*found[0])

    def _receipts(self, number: str) -> list[tuple[Receipt, datetime]]:
        refs = {ref for answer in self._answers for ref in getattr(answer, "refs", ())}
        return [
            (item, at)
            for item, at in self._came
            if isinstance(item, Receipt) and item.phone in (number, "") and (item.ref in refs or not refs)
        ]

    def _tell_clock(self, receipt: Receipt, at: datetime) -> None:
        off = (receipt.at - at).total_seconds()
        self._say(
            ("对方的钟", "their clock"),
            abs(off) <= SKEW,
            f"回执所写时间比本机{'早' if off < 0 else '晚'} {abs(off):.0f} 秒",
            f"the receipt's time is {abs(off):.0f} s {'behind' if off < 0 else 'ahead of'} ours",
        )

    async def _await_reply(self, number: str) -> None:
        what, to = ("来信", "a reply in"), phone.mask(number)
        self._told(Finding(what, None, (f"请用 {to} 回一条短信……", f"please answer from {to} ...")))
        await self._until(lambda: any(self._is_reply(item, number) for item, _ in self._came))
        reply = next((item for item, _ in self._came if self._is_reply(item, number)), None)
        if isinstance(reply, Received):
            length = len(reply.body)
            self._say(what, True, f"收到 {length} 个字，发到 {reply.to}", f"{length} characters, sent to {reply.to}")
        else:
            self._say(what, False, f"等了 {self._wait:g} 秒没有收到", f"none came within {self._wait:g} s")

    @staticmethod
    def _is_reply(item: Receipt | Received, number: str) -> bool:
        return isinstance(item, Received) and item.phone == number

    async def _until(self, true: Callable[[], bool]) -> bool:
        """Whether it came true before the wait was over, or the link failed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._wait):
                while not true() and not self._failed:
                    self._news.clear()
                    await self._news.wait()
        return true()


def _body(now: datetime) -> str:
    return f"通道测试{now:%H%M%S}，收到请回复1。"


def _result(key: int, parts: int, answer: Answer | None) -> Result:
    if isinstance(answer, Accepted):
        return Result(key, parts, Outcome.ACCEPTED, answer.refs, None)
    if answer is None or isinstance(answer, Uncertain):
        return Result(key, parts, Outcome.UNCERTAIN, answer.refs if answer else (), answer.error if answer else "")
    if isinstance(answer, Rejected):
        return Result(key, parts, Outcome.REJECTED, answer.refs, answer.error)
    return Result(key, parts, Outcome.EXPIRED, (), answer.error)  # nobody tries a test again


def _where(options: Mapping[str, object]) -> tuple[str, int] | None:
    """Host and port that an account's own settings name, however its protocol calls them."""
    if (host := options.get("host")) and isinstance(host, str):
        port = options.get("port")
        return host, port if isinstance(port, int) else 0
    for key in ("url", "endpoint", "address"):
        if (value := options.get(key)) and isinstance(value, str):
            parts = urlsplit(value if "//" in value else f"//{value}")
            if parts.hostname:
                return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    return None


def _source(host: str, port: int) -> str:
    """Our address on the way to theirs; nothing is sent."""
    kind, _, _, _, address = socket.getaddrinfo(host, port or 9, type=socket.SOCK_DGRAM)[0]
    with socket.socket(kind, socket.SOCK_DGRAM) as there:
        there.connect(address)
        return str(there.getsockname()[0])
