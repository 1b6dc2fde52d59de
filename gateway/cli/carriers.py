"""The accounts: what was bought, what waits, and how they do, once or watched.

Policy
- What only the process that sends can know (links, places in flight) is read from what it wrote with its last renewal;
  an account that nobody holds says so. Everything else is counted from the store, by this process.
- Watching looks anew every second and ends with q or Ctrl-C; with `--json` each look is one line.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import shown
from gateway.cli.caller import caller
from gateway.cli.codes import STAGE_NAMES
from gateway.cli.doctor import doctor
from gateway.cli.help import Group, add, option, verb
from gateway.cli.language import t
from gateway.cli.tools import JsonFlag
from gateway.codes import KINDS

if TYPE_CHECKING:
    from rich.table import Table

    from gateway.app import Gateway
    from gateway.config import Config

WATCH_SECONDS = 1.0

SIGNATURES = {
    "unneeded": ("不需报备", "unneeded"),
    "filed": ("已报备", "filed"),
    "pending": ("报备中", "pending"),
    "refused": ("报备未过", "refused"),
}
STATES = {
    "up": ("连通", "up"),
    "down": ("断开", "down"),
    "waiting": ("等接管", "waiting"),
    "stopped": ("已停", "stopped"),
}

carriers = typer.Typer(
    cls=Group,
    invoke_without_command=True,
    help=t(
        "列出通道账号、能到的运营商、待发的短信数和各项状态",
        "List the accounts, the operators they reach, the texts that wait, and how they do",
    ),
)


@carriers.callback()
def show(
    ctx: typer.Context,
    watch: Annotated[
        bool, option("--watch", zh="每秒刷新，按 q 或 Ctrl-C 结束", en="look anew every second; q or Ctrl-C ends it")
    ] = False,
    json: JsonFlag = False,
) -> None:
    if ctx.invoked_subcommand is not None:
        return None
    who = caller(ctx)
    if watch:
        return who.read(lambda gateway: _watch(gateway, json=json))
    rows = who.read(_accounts)
    if json:
        return shown.as_json(rows)
    shown.show(_bought(rows, who.config()))
    shown.say()
    shown.show(_doing(rows))
    for line in who.read(stranded):
        shown.hint(line)
    return None


@verb("一天来没发成的：运营商的代码、意思、多少条", "What failed in the last day: operators' codes and what they mean")
def failures(ctx: typer.Context, json: JsonFlag = False) -> None:
    found = caller(ctx).read(lambda gateway: gateway.reports.codes())
    if json:
        return shown.as_json(found)
    if not found:
        return shown.say(t("一天来没有失败的。", "Nothing failed in the last day."))
    rows = [
        (one.account, t(*STAGE_NAMES[one.stage]), one.code, f"{one.parts:,}", t(*KINDS[one.kind]), t(one.zh, one.en))
        for one in found
    ]
    headings = (
        t("账号", "account"),
        t("环节", "stage"),
        t("代码", "code"),
        t("条数", "parts"),
        t("类别", "kind"),
        t("意思", "meaning"),
    )
    return shown.table(headings, rows, right=(3,), whole=(0, 2))


add(carriers, "", doctor=doctor, failures=failures)


async def _accounts(gateway: Gateway) -> list[dict[str, Any]]:
    config = gateway.config
    return [{**_written(config, one["name"]), **shown.plain(one)} for one in await gateway.carriers()]


async def stranded(gateway: Gateway) -> list[str]:
    """What to say of texts whose account was renamed or taken out of config.toml."""
    return [
        t(
            f"{texts:,} 条短信在等通道 {name}，config.toml 里没有它：把名字改回来，或者取消那次群发再起草",
            f"{texts:,} texts wait for {name}, which config.toml lacks: name it so again, or cancel the broadcast",
        )
        for name, texts in (await gateway.stranded()).items()
    ]


def _written(config: Config, name: str) -> dict[str, Any]:
    account = config.carriers[name]
    names = ("protocol", "operators", "rate", "links", "signature_state", "service_code")
    return {
        **{key: shown.plain(getattr(account, key)) for key in names},
        "routes": [route.name for route in config.routes if name in route.carriers],
        "price": shown.plain(config.price(name)),
    }


# --- tables --------------------------------------------------------------------------------------------------


def _bought(rows: Sequence[Mapping[str, Any]], config: Config) -> Table:
    headings = (
        t("账号", "account"),
        t("协议", "protocol"),
        t("能到", "reaches"),
        t("路由", "routes"),
        t("速率", "rate"),
        t("单价", "price"),
        t("签名", "signature"),
    )
    table = [
        (
            one["name"],
            one["protocol"],
            "、".join(one["operators"]),
            "、".join(one["routes"]),
            t(f"{one['rate']:g} 条/秒", f"{one['rate']:g}/s"),
            shown.money(config.price(one["name"]), config),
            t(*SIGNATURES[one["signature_state"]]),
        )
        for one in rows
    ]
    return shown.drawn(headings, table, right=(4, 5), whole=(0, 1))


def _doing(rows: Sequence[Mapping[str, Any]]) -> Table:
    headings = (
        t("账号", "account"),
        t("状态", "state"),
        t("连接", "links"),
        t("待发", "waiting"),
        t("在途", "in flight"),
        t("每秒", "per second"),
        t("回执 中位/95%", "receipts median/95%"),
        t("送达", "delivered"),
        t("失败", "failed"),
        t("没回执", "unknown"),
        t("最近的错误", "last error"),
    )
    table = [_does(one, one["live"] or {}, one["health"]) for one in rows]
    return shown.drawn(headings, table, right=range(2, 10), whole=(0, 1))


def _does(one: Mapping[str, Any], live: Mapping[str, Any], health: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        one["name"],
        _state(live, health["trouble"]),
        f"{live['links_up']}/{live['links']}" if live else "",
        f"{one['waiting']:,}",
        f"{live['in_flight']:,}/{live['capacity']:,}" if live else "",
        f"{health['per_second']:.1f}",
        f"{_seconds(health['median_delay'])}/{_seconds(health['late_delay'])}",
        *(_share(health[name]) for name in ("delivered", "failed", "unknown")),
        t(*said) if (said := live.get("failure") or live.get("closed")) else health["last_error"] or "",
    )


def _state(live: Mapping[str, Any], trouble: str) -> str:
    from gateway.health import TROUBLES

    if not live:
        return t("没有在运行", "not running")
    state = t(*STATES.get(live["state"], (live["state"],) * 2))
    return f"{state}（{t(*TROUBLES[trouble])}）" if trouble else state


def _seconds(delay: float | None) -> str:
    return "—" if delay is None else t(f"{delay:.0f} 秒", f"{delay:.0f} s")


def _share(share: float | None) -> str:
    return "—" if share is None else f"{share:.1%}"


# --- watching ------------------------------------------------------------------------------------------------


async def _watch(gateway: Gateway, *, json: bool) -> None:
    with _key("q") as ended:
        if json:
            while not ended.is_set():
                shown.as_json({"carriers": await _accounts(gateway)}, line=True)
                sys.stdout.flush()
                await _pause(ended)
            return
        await _show_live(gateway, ended)


async def _show_live(gateway: Gateway, ended: asyncio.Event) -> None:
    from rich.live import Live

    with Live(console=shown.console(), auto_refresh=False) as live:
        while not ended.is_set():
            live.update(_doing(await _accounts(gateway)), refresh=True)
            await _pause(ended)


async def _pause(ended: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WATCH_SECONDS):
            await ended.wait()


@contextlib.contextmanager
def _key(wanted: str) -> Iterator[asyncio.Event]:
    """An event that this key sets, where there is a keyboard; keys are read one by one, unseen."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    if not sys.stdin.isatty():
        yield ended
        return
    import termios
    import tty

    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)

    def pressed() -> None:
        if wanted.encode() in os.read(keyboard, 64).lower():
            ended.set()

    try:
        tty.setcbreak(keyboard)
        loop.add_reader(keyboard, pressed)
        yield ended
    finally:
        loop.remove_reader(keyboard)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
