"""The running gateway: every part in its place, until a signal ends it in order.

Policy: nothing is sent and no slot runs before the clock can be believed. What was opened last is closed first: no new
texts come in while what is in flight is let go.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
from collections.abc import AsyncIterator, Awaitable, Collection, Iterator, Mapping
from pathlib import Path

import structlog

from gateway.app import Called, Gateway, open_gateway
from gateway.app import callbacks as callbacks_of
from gateway.carriers import Received
from gateway.cli.carriers import stranded
from gateway.cli.language import t
from gateway.cli.shown import say_now as say
from gateway.errors import Refused
from gateway.web.callbacks import callbacks
from gateway.web.form import SOURCE, form
from gateway.web.hooks import Application, application, hooks, listening

log = structlog.get_logger()


async def serve(directory: Path, parts: Collection[str], *, chosen: bool) -> None:
    """Run these parts of the site until SIGINT or SIGTERM; `chosen`: a person named them, so none may be missing."""
    async with open_gateway(directory) as gateway:
        with _signals() as ended:
            if await _unless(ended, gateway.wait_for_clock()):
                async with contextlib.AsyncExitStack() as running:
                    for part in ("inbox", "dispatch", "schedule", "web"):
                        if part in parts:
                            await _start(part, gateway, running, chosen=chosen)
                    say(t("正在运行，Ctrl-C 结束。", "Running; Ctrl-C ends it."))
                    await ended.wait()
                    say(t("正在按顺序结束……", "Ending in order ..."))
    say(t("已结束。", "Ended."))


async def _start(part: str, gateway: Gateway, running: contextlib.AsyncExitStack, *, chosen: bool) -> None:
    if part == "inbox":
        await running.enter_async_context(gateway.handling())
        say(t("来信：处理中", "inbox: handling"))
    elif part == "dispatch":
        await running.enter_async_context(gateway.dispatching())
        accounts = "、".join(gateway.config.carriers)
        say(t(f"发送：账号 {accounts}", f"dispatch: accounts {accounts}"))
        for line in await stranded(gateway):
            say(line)
    elif part == "schedule":
        await running.enter_async_context(gateway.schedules.running())
        await running.enter_async_context(gateway.keeping_house())
        say(t(f"定时：{len(gateway.config.schedules)} 项", f"schedule: {len(gateway.config.schedules)} schedules"))
    else:
        await running.enter_async_context(_web(gateway, chosen=chosen))


@contextlib.asynccontextmanager
async def _web(gateway: Gateway, *, chosen: bool) -> AsyncIterator[None]:
    settings, called = gateway.config.webhook, callbacks_of(gateway.config)
    app: Application | None = None
    try:
        app = _hooks(gateway)
    except Refused as error:
        if chosen:
            raise
        say(t(f"接口：没有打开（{error.zh}）", f"hooks: not opened ({error.en})"))
    hooked = app is not None
    if settings.form:  # it needs no secret
        app = app or application()
        _form(app, gateway)
    if app is None and not called:
        yield
        return
    host = settings.listen.rpartition(":")[0]
    async with contextlib.AsyncExitStack() as opened:
        try:
            served = callbacks(app, called, gateway.inbox.receive, gateway.clock)
            port = await opened.enter_async_context(listening(served, settings.listen))
        except OSError as error:
            raise cannot_listen(settings.listen, error) from error
        _tell(f"http://{host}:{port}", called, hooked=hooked, form=settings.form)
        yield


def _hooks(gateway: Gateway) -> Application:
    """The webhook; Refused without a secret."""

    async def take(received: Received, digest: str) -> tuple[int, bool]:
        return await gateway.inbox.take("webhook", received, digest)

    return hooks(take, gateway.config.webhook, gateway.clock)


def _form(app: Application, gateway: Gateway) -> None:
    """The page for people who would rather type than text."""

    async def fill_in(received: Received) -> tuple[int, bool]:
        return await gateway.inbox.take(SOURCE, received)

    form(app, fill_in, gateway.config, gateway.clock)


def _tell(address: str, called: Mapping[str, Called | Refused], *, hooked: bool, form: bool) -> None:
    """Where each of them is; the token that ends a callback's address is nobody's to read here."""
    if hooked:
        say(t(f"接口：{address}/hooks/inbound", f"hooks: {address}/hooks/inbound"))
    if form:
        say(t(f"网上来信：{address}/form", f"form: {address}/form"))
    for name, one in called.items():
        if isinstance(one, Refused):
            say(t(f"通道 {name} 的回调：没有打开（{one.zh}）", f"callbacks of {name}: not opened ({one.en})"))
        else:
            say(t(f"通道 {name} 的回调：{address}/carriers/{name}", f"callbacks of {name}: {address}/carriers/{name}"))


def cannot_listen(listen: str, error: OSError) -> Refused:
    """What is wrong with an address that was to be listened on."""
    if error.errno == errno.EADDRINUSE:
        return Refused(f"不能监听 {listen}：已被别的程序占用", f"cannot listen on {listen}: it is taken")
    return Refused(f"不能监听 {listen}：{error.strerror}", f"cannot listen on {listen}: {error.strerror}")


async def _unless(ended: asyncio.Event, wait: Awaitable[None]) -> bool:
    """Wait, unless a signal comes first; whether it was waited for to the end."""
    waiting, stopped = asyncio.ensure_future(wait), asyncio.create_task(ended.wait())
    await asyncio.wait({waiting, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not waiting.done():
        waiting.cancel()
        return False
    await waiting
    return True


@contextlib.contextmanager
def _signals() -> Iterator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        yield ended
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
