"""One account tried alone, and the sheet of it that can be sent to the operator.

Policy: looking at the login needs nobody's word; a text to `--to` is signed for by an official. The sheet is in both
languages, whatever the person's: whoever reads it at the operator's may need either.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import shown
from gateway.cli.caller import caller
from gateway.cli.fields import Account
from gateway.cli.help import option, verb
from gateway.cli.language import t
from gateway.cli.tools import FILE, JsonFlag
from gateway.errors import Conflict, Refused
from gateway.model import Role

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.config import Config
    from gateway.doctor import Finding
    from gateway.officials import Official

MARKS = {True: "√", False: "×", None: "·"}


@verb(
    "检查一个通道：本机地址、登录、对方所示；加 --to 就发一条，等回执和来信",
    "Try an account: our address, its login, what it shows; with --to a text out, its receipt, a reply in",
)
def doctor(
    ctx: typer.Context,
    name: Account,
    to: Annotated[
        str | None, option("--to", value=("号码", "NUMBER"), zh="往这个号码发一条", en="send one text to this number")
    ] = None,
    wait: Annotated[
        float, option("--wait", value=("秒", "SECONDS"), zh="每一步最多等多久", en="how long to wait for each thing")
    ] = 90,
    out: Annotated[Path | None, option("--out", value=FILE, zh="检查单写成 .txt", en="write the sheet as .txt")] = None,
    json: JsonFlag = False,
) -> None:
    who, path = caller(ctx), _free(out)

    async def examine(gateway: Gateway, number: str | None, by: str) -> tuple[Sequence[Finding], datetime]:
        told = _ignore if json else _tell
        return await gateway.examine(name, number, by, told=told, wait=wait), gateway.clock.now()

    if to is None:
        found, at = who.read(lambda gateway: examine(gateway, None, ""))
    else:
        number = _mobile(to)
        found, at = who.act(lambda gateway, by: examine(gateway, number, _sender(by)))
    sheet = "\n".join(_sheet(name, found, at, who.config()))
    if path is not None:
        path.write_text(sheet + "\n", encoding="utf-8")
        shown.hint(t(f"检查单已写到 {path}", f"the sheet is in {path}"))
    if json:
        shown.as_json({"carrier": name, "at": at, "fine": _fine(found), "findings": found})
    if not _fine(found):
        raise typer.Exit(1)


def _sender(by: Official) -> str:
    """Whose word the text leaves on: whoever may send one text to one person."""
    from gateway.broadcasts import SENDERS

    by.needs(*SENDERS, Role.ADMIN)
    return by.login


def _mobile(number: str) -> str:
    from gateway import phone

    return phone.mobile(number)


def _free(out: Path | None) -> Path | None:
    if out is None:
        return None
    if out.suffix.lower() != ".txt":
        raise Refused("检查单只能写成 .txt", "the sheet is written as .txt")
    if out.exists():
        raise Conflict(f"{out} 已经存在，请换个名字", f"{out} exists already; name another file")
    return out


def _fine(found: Sequence[Finding]) -> bool:
    return all(one.fine is not False for one in found)


def _ignore(_one: Finding) -> None:
    """With `--json` everything is told at the end."""


def _tell(one: Finding) -> None:
    shown.say_now(f"{MARKS[one.fine]} {t(*one.what)}{t('：', ': ')}{t(*one.said)}")


def _sheet(name: str, found: Sequence[Finding], at: datetime, config: Config) -> list[str]:
    account = config.carriers[name]
    code = account.service_code or "—"
    return [
        f"通道检查单 Account check — {config.site.name}",
        f"时间 time: {shown.when(at, config)} ({config.site.timezone})",
        f"账号 account: {name}    协议 protocol: {account.protocol}    接入号 service code: {code}",
        "",
        *(
            line
            for one in found
            for line in (
                f"[{MARKS[one.fine]}] {one.what[0]}：{one.said[0]}",
                f"    {one.what[1]}: {one.said[1]}",
            )
        ),
        "",
        "全部正常 all fine" if _fine(found) else "有不正常的项目，见上面的 × something is wrong, see × above",
    ]
