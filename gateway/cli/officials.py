"""Officials and the audit trail.

Policy: an official adds another; the first one of a site adds themselves with `--first`, which is refused ever after.
Passwords are typed, twice where they are new, or come from the environment: $GATEWAY_PASSWORD is of whoever acts,
$GATEWAY_NEW_PASSWORD the new one. They are never on the command line, where others on the machine could read them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import shown
from gateway.cli.caller import Caller, caller, password
from gateway.cli.help import argument, noun, option, verb
from gateway.cli.language import t
from gateway.cli.tools import JsonFlag
from gateway.errors import Conflict, Refused

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.model import Role
    from gateway.officials import Official

NEW_PASSWORD = "GATEWAY_NEW_PASSWORD"  # noqa: S105 (a variable's name)
ROLES = ("author", "approver", "clerk", "director", "admin", "auditor")
ROLE_NAMES = {
    "author": ("起草", "author"),
    "approver": ("审批", "approver"),
    "clerk": ("窗口", "clerk"),
    "director": ("主任", "director"),
    "admin": ("管理", "admin"),
    "auditor": ("审计", "auditor"),
}

Login = Annotated[str, argument(("登录名", "LOGIN"), zh="登录名", en="the login")]
RolesOption = Annotated[
    str,
    option(
        "--roles",
        value=("角色", "ROLES"),
        zh=f"角色，逗号分开：{'、'.join(f'{key}（{zh}）' for key, (zh, _) in ROLE_NAMES.items())}",
        en=f"roles, with commas: {', '.join(ROLES)}",
    ),
]


@verb("添加一位工作人员", "Add an official")
def add(
    ctx: typer.Context,
    login: Login,
    name: Annotated[str, option("--name", value=("姓名", "NAME"), zh="姓名", en="their name")] = "",
    roles: RolesOption = "",
    area: Annotated[
        str | None,
        option(
            "--area", value=("代码", "CODE"), zh="管的区划；不写就是全站", en="the area they see; else the whole site"
        ),
    ] = None,
    phone: Annotated[
        str, option("--phone", value=("号码", "NUMBER"), zh="告警发到这个手机号", en="where alarms reach them")
    ] = "",
    first: Annotated[
        bool,
        option(
            "--first",
            zh="建第一位：本站还没有任何人时才可以，另得管理角色",
            en="the very first, who becomes an admin as well; only while there is nobody",
        ),
    ] = False,
) -> None:
    given = _roles(roles)
    if not given and not first:
        raise typer.BadParameter(t("要给 --roles", "give --roles"))

    async def work(gateway: Gateway, by: str) -> None:
        where = gateway.config.site.area if area is None else area
        wanted = _with_admin(given) if first else given
        new = new_password(login)
        await gateway.officials.add(login, name or login, new, wanted, where, by=by, phone=_own_number(phone))
        shown.say(t(f"已添加 {login}（{_named(wanted)}）", f"added {login} ({_named(wanted)})"))

    _as_admin(caller(ctx), work, first_login=login if first else None)


def _with_admin(given: list[Role]) -> list[Role]:
    from gateway.model import Role

    return [*given, *([] if Role.ADMIN in given else [Role.ADMIN])]


def _own_number(raw: str) -> str:
    from gateway import phone as phones

    if not raw:
        return ""
    parsed = phones.parse(raw)
    if parsed.reason is not None or parsed.e164 is None:
        raise Refused(*phones.explain(parsed.reason or "not_digits"))
    return parsed.e164


@verb("改密码；管理员可改别人的", "Change a password; an admin may change anybody's")
def passwd(ctx: typer.Context, login: Login) -> None:
    async def work(gateway: Gateway, by: Official) -> None:
        from gateway.model import Role

        if by.login != login:
            by.needs(Role.ADMIN)
        await gateway.officials.set_password(login, new_password(login), by=by.login)
        shown.say(t(f"{login} 的密码已改", f"the password of {login} is changed"))

    caller(ctx).act(work)


@verb("重设一位工作人员的角色", "Set exactly these roles of an official")
def roles(
    ctx: typer.Context,
    login: Login,
    wanted: Annotated[
        str, argument(("角色", "ROLES"), zh=f"逗号分开：{'、'.join(ROLES)}", en=f"with commas: {', '.join(ROLES)}")
    ],
) -> None:
    given = _roles(wanted)

    async def work(gateway: Gateway, by: str) -> None:
        await gateway.officials.set_roles(login, given, by=by)
        shown.say(t(f"{login} 现在是：{_named(given)}", f"{login} is now: {_named(given)}"))

    _as_admin(caller(ctx), work)


@verb("列出工作人员", "List the officials")
def list_(ctx: typer.Context, json: JsonFlag = False) -> None:
    async def work(gateway: Gateway) -> list[Official]:
        return await gateway.officials.list()

    found = caller(ctx).read(work)
    if json:
        rows = [{"login": one.login, "name": one.name, "roles": sorted(one.roles), "area": one.area} for one in found]
        return shown.as_json(rows)
    headings = (t("登录名", "login"), t("姓名", "name"), t("角色", "roles"), t("区划", "area"))
    return shown.table(headings, [(one.login, one.name, _named(sorted(one.roles)), one.area) for one in found])


def _as_admin(who: Caller, work: object, first_login: str | None = None) -> None:
    """Run `work(gateway, login)` for an admin, or for the first official of all."""

    async def first(gateway: Gateway) -> None:
        if await gateway.officials.list():
            raise Conflict(
                "本站已有工作人员，请由管理员添加（--as）", "there are officials: an admin adds others (--as)"
            )
        await work(gateway, first_login)  # type: ignore[operator]

    async def signed(gateway: Gateway, by: Official) -> None:
        from gateway.model import Role

        by.needs(Role.ADMIN)
        await work(gateway, by.login)  # type: ignore[operator]

    if first_login is not None:
        who.read(first)
    else:
        who.act(signed)


def _roles(words: str) -> list[Role]:
    from gateway.model import Role

    given = [word.strip() for word in words.replace("，", ",").split(",") if word.strip()]
    by_name = {zh: key for key, (zh, _) in ROLE_NAMES.items()}
    keys = [by_name.get(word, word) for word in given]
    if unknown := [key for key in keys if key not in ROLES]:
        raise typer.BadParameter(
            t(f"没有角色 {unknown[0]}；有：{'、'.join(ROLES)}", f"no role {unknown[0]}; there are {', '.join(ROLES)}")
        )
    return [Role(key) for key in dict.fromkeys(keys)]


def _named(roles: object) -> str:
    return t("、", ", ").join(t(*ROLE_NAMES[str(role)]) for role in roles)  # type: ignore[attr-defined]


def new_password(login: str) -> str:
    """Typed twice, or from the environment."""
    if given := os.environ.get(NEW_PASSWORD):
        return given
    once = password(t(f"{login} 的新密码：", f"New password of {login}: "), NEW_PASSWORD)
    if password(t("再输一遍：", "Again: "), NEW_PASSWORD) != once:
        raise Refused("两遍不一样", "the two differ")
    return once


official = noun(
    "工作人员：添加、密码、角色", "Officials: add, passwords, roles", add=add, passwd=passwd, roles=roles, list_=list_
)


# --- audit ---------------------------------------------------------------------------------------------------

FLAWS = {
    "changed": ("被改过", "was changed"),
    "missing": ("前面少了行", "rows before it are missing"),
    "moved": ("被挪过", "was moved"),
    "end": ("末尾对不上", "its end does not fit"),
}


@verb("核对审计记录有没有被改、被删、被挪", "Find any audit row that was changed, removed or moved")
def verify(ctx: typer.Context, json: JsonFlag = False) -> None:
    rows, flaws = caller(ctx).read(lambda gateway: gateway.audit_verify())
    if json:
        shown.as_json({"rows": rows, "whole": not flaws, "flaws": flaws})
    else:
        for flaw in flaws:
            place = f"{flaw.day}" + (t(f" 第 {flaw.seq} 行", f" row {flaw.seq}") if flaw.seq is not None else "")
            shown.say(f"{place}{t('：', ': ')}{t(*FLAWS[flaw.what])}")
        whole = t("完整", "whole") if not flaws else t(f"{len(flaws)} 处有问题", f"{len(flaws)} flaws")
        shown.say(t(f"审计记录 {rows:,} 行，{whole}", f"{rows:,} audit rows, {whole}"))
    if flaws:
        raise typer.Exit(1)


audit = noun("核对审计记录", "The audit trail", verify=verify)
