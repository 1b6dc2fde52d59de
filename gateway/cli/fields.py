"""What people type as options, read: `--set 字段=值`, times on the site's clock, numbers, who is meant.

Policy: what cannot be read is wrong use (exit code 2) and named; nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from gateway.cli.help import argument, option
from gateway.cli.language import t
from gateway.errors import Refused

if TYPE_CHECKING:
    from gateway.config import Audience, Config

_AGE = re.compile(r"\d{1,3}(-\d{0,3})?|-\d{1,3}", re.ASCII)

TemplateName = Annotated[
    str,
    argument(("模板", "TEMPLATE"), zh="模板的名字；gateway check 列出全部", en="its name; gateway check lists them"),
]
SetFields = Annotated[
    list[str] | None,
    option(
        "--set",
        value=("字段=值", "FIELD=VALUE"),
        zh="模板里一个字段的值，可写多次",
        en="the value of one of the template's fields; may be repeated",
    ),
]
ColumnFlag = Annotated[
    list[str] | None,
    option(
        "--column",
        value=("列=表头", "KEY=HEADING"),
        zh="认不出的列，例如 phone=联系电话 或 phone=B，可写多次",
        en="a column that is not recognised: phone=联系电话 or phone=B; may be repeated",
    ),
]
SheetFlag = Annotated[str | None, option("--sheet", value=("工作表", "SHEET"), zh="用哪一个工作表", en="which sheet")]
Account = Annotated[str, argument(("账号", "NAME"), zh="config.toml 里通道的名字", en="an account of config.toml")]
ToNumber = Annotated[str, option("--to", value=("号码", "NUMBER"), zh="发到这个号码", en="to this number")]


def fields(given: Sequence[str] | None) -> dict[str, str]:
    """`字段=值` as a mapping; a full-width ＝ will do."""
    found = {}
    for one in given or ():
        name, mark, value = one.replace("＝", "=", 1).partition("=") if "=" not in one else one.partition("=")
        if not mark or not name.strip():
            raise typer.BadParameter(t(f"--set 要写成 字段=值：{one}", f"--set is written FIELD=VALUE: {one}"))
        found[name.strip()] = value.strip()
    return found


def moment(text: str, zone: ZoneInfo, now: datetime) -> datetime:
    """`2026-07-01 09:00`, `2026-07-01` or, for today, `09:00`, on the site's clock; as UTC."""
    today = now.astimezone(zone).date()
    try:
        if len(text) <= 5:
            return datetime.combine(today, time.fromisoformat(text.zfill(5)), zone).astimezone(UTC)
        read = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            t(f"时间要写成 2026-07-01 09:00 或 09:00：{text}", f"times are written 2026-07-01 09:00 or 09:00: {text}")
        ) from None
    return (read if read.tzinfo else read.replace(tzinfo=zone)).astimezone(UTC)


def columns(given: Sequence[str] | None) -> dict[str, str]:
    """`--column phone=联系电话` as a mapping."""
    found = {}
    for one in given or ():
        key, mark, heading = one.partition("=")
        if not mark:
            raise typer.BadParameter(t(f"--column 要写成 phone=联系电话：{one}", f"--column is written phone=B: {one}"))
        found[key.strip()] = heading.strip()
    return found


def audience(config: Config, named: str | None, options: dict[str, Any], list_file: Path | None) -> Audience:
    """The people meant: a named audience of the site, narrowed by the options; Refused for an unknown name."""
    from gateway.config import Audience

    base: dict[str, Any] = {}
    if named is not None:
        base = _named(config, named).model_dump(exclude_defaults=True)
    given = {key: value for key, value in options.items() if value not in (None, [], ())}
    if list_file is not None:
        given["list"] = _inside(config, list_file)
    _readable(given)
    if "age" not in given and "age" in base:
        return Audience.model_validate({**base, **given})
    age = given.pop("age", None)
    return Audience.of(age=age, **{**base, **given})


def _readable(given: Mapping[str, Any]) -> None:
    """Wrong use, told by the option's name; what is left the model judges."""
    sex, age = given.get("sex"), given.get("age")
    if sex is not None and sex not in ("男", "女"):
        raise typer.BadParameter(t(f"--sex 要写 男 或 女：{sex}", f"--sex is 男 or 女: {sex}"))
    if age is not None and not _AGE.fullmatch(age):
        raise typer.BadParameter(
            t(f"--age 要写成 18-22、60- 或 18：{age}", f"--age is written 18-22, 60- or 18: {age}")
        )


def _named(config: Config, name: str) -> Audience:
    if name not in config.audiences:
        known = list(config.audiences)
        raise Refused(
            f"config.toml 里没有人群 {name}；有：{'、'.join(known)}",
            f"no audience {name}; there are {', '.join(known)}",
        )
    return config.audiences[name]


def _inside(config: Config, file: Path) -> str:
    """A list's path as the site names it: what is sent must be found again."""
    home = config.directory.resolve()
    for path in (file.resolve(), (home / file).resolve()):
        if path.is_file() and path.is_relative_to(home):
            return path.relative_to(home).as_posix()
    raise Refused(
        f"名单 {file} 要放在站点目录里（例如 subscribers/）", f"the list {file} must lie within the site (subscribers/)"
    )
