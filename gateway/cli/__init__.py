"""Every verb of the gateway, typed. The third phrasing beside console and API; no rule and no SQL is here.

Policy
- Exit codes: 0 fine, 1 refused or failed, 2 wrong use. What was refused is told on standard error, one line per
  problem, in the person's language, never as a traceback; a traceback is a fault of ours.
- Starting is quick: what is heavy (the database, the settings' checks) is imported inside the commands that need it.
- Every reading command takes `--json`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, cast

import typer
from typer.core import TyperGroup
from typer.main import get_command

from gateway.cli import (
    broadcast,
    carriers,
    cases,
    codes,
    duty,
    inbound,
    notices,
    offers,
    officials,
    reconcile,
    reports,
    roster,
    schedule,
    scores,
    site,
    tools,
    triage,
    wire,
)
from gateway.cli.caller import Caller, out_of_reach
from gateway.cli.help import Group, add, hoisted, option, wrong_use
from gateway.cli.language import t, told
from gateway.cli.shown import hint
from gateway.errors import GatewayError

FINE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130


def main() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(run(sys.argv[1:]))


def run(args: Sequence[str]) -> int:
    """Run one command line; its exit code."""
    try:
        code = build().main(hoisted(args), prog_name="gateway", standalone_mode=False)
    except typer.Abort:
        return _fail([t("已取消，什么也没有改变", "aborted, nothing was changed")], FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _pipe_closed()
    except GatewayError as error:
        return _fail(told(error), FAILED)
    except typer.TyperException as error:
        return _misused(error)
    except OSError as error:
        return _fail(told(out_of_reach(error)), FAILED)
    return code if isinstance(code, int) else FINE


COMMANDS: Sequence[tuple[tuple[str, str], Mapping[str, Callable[..., None] | typer.Typer]]] = (
    (("站点", "The site"), {"init": site.init, "check": site.check, "serve": site.serve, "db": site.db}),
    (
        ("发通知", "Notices"),
        {
            "roster": roster.roster,
            "preview": notices.preview,
            "broadcast": broadcast.broadcast,
            "send": notices.send,
            "schedule": schedule.schedule,
        },
    ),
    (
        ("来信", "What comes in"),
        {
            "inbound": inbound.inbound,
            "cases": cases.cases,
            "triage": triage.triage,
            "guide": offers.guide,
            "offers": offers.offers,
            "duty": duty.duty,
        },
    ),
    (
        ("查看", "Looking"),
        {
            "report": reports.report,
            "summary": scores.summary,
            "scores": scores.scores,
            "carriers": carriers.carriers,
            "reconcile": reconcile.reconcile,
            "audit": officials.audit,
        },
    ),
    (("人员", "People"), {"official": officials.official}),
    (
        ("工具", "Tools"),
        {
            "text": tools.text,
            "phone": tools.phone,
            "codes": codes.codes,
            "pdu": wire.pdu,
            "operator": wire.operator,
            "demo": tools.demo,
        },
    ),
)
"""What is offered, by panel of the help, in this order."""


@cache
def build() -> TyperGroup:
    """The whole command line, as a value; it keeps nothing from one run to the next."""
    app = typer.Typer(cls=Group, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback(help=t("乡镇便民服务大厅短信网关", "The SMS gateway of a township service hall"))(everywhere)
    for title, verbs in COMMANDS:
        add(app, t(*title), **verbs)
    made = cast(TyperGroup, get_command(app))
    made.commands = {name: made.commands[name] for _, verbs in COMMANDS for name in verbs}
    return made


def _fail(lines: Sequence[str], code: int) -> int:
    for line in lines:
        hint(line)
    return code


def _misused(error: typer.TyperException) -> int:
    """Wrong use, with where to read more; called without a command, a group has printed its help already."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return WRONG_USE
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx else "gateway"
    return _fail([wrong_use(error), t(f"用法见 {path} --help", f"see {path} --help")], error.exit_code)


def _pipe_closed() -> int:
    """Whoever read our output has gone; nothing more is written, also not at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED


def everywhere(
    ctx: typer.Context,
    site: Annotated[
        Path | None,
        option(
            "--site",
            value=("目录", "DIR"),
            envvar="GATEWAY_SITE",
            zh="站点目录；不写就用当前目录或上级中有 config.toml 的（GATEWAY_SITE）",
            en="the site's directory; else the nearest upwards with a config.toml (GATEWAY_SITE)",
        ),
    ] = None,
    login: Annotated[
        str | None,
        option(
            "--as",
            value=("登录名", "LOGIN"),
            envvar="GATEWAY_OFFICIAL",
            zh="谁在操作；要改动什么时才需要（GATEWAY_OFFICIAL，密码 GATEWAY_PASSWORD）",
            en="who acts; needed to change anything (GATEWAY_OFFICIAL, with GATEWAY_PASSWORD)",
        ),
    ] = None,
) -> None:
    ctx.obj = Caller(site, login)
