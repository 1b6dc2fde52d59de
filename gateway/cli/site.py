"""A site from its first day: made, checked, its database brought up to date, and served.

Policy
- `init` never overwrites; `check` writes nothing and names every problem of every file at once.
- `serve` says what it listens on and logs to standard error. SIGINT and SIGTERM end it in order: what is in flight is
  answered or recorded, accounts are let go, then the database is closed.
- Without the webhook's secret `serve` runs without the listener and says so; `--only web` refuses instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import shown
from gateway.cli.caller import caller, log_to_stderr, out_of_reach
from gateway.cli.help import argument, noun, option, verb
from gateway.cli.language import t
from gateway.cli.tools import JsonFlag
from gateway.errors import Invalid

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.templates import Template

PARTS = ("web", "dispatch", "schedule", "inbox")


@verb("新建一个站点：配置、窗口、模板、样例花名册", "Make a new site: settings, windows, templates, a sample roster")
def init(
    directory: Annotated[Path, argument(("目录", "DIR"), zh="放站点的目录", en="where the site is to be")],
) -> None:
    from gateway.site import write_site

    for path in write_site(directory):
        shown.say(f"{path}{'/' if path.is_dir() else ''}")
    shown.hint("")
    shown.hint(t(f"下一步：cd {directory}，改 config.toml，然后", f"next: cd {directory}, edit config.toml, then"))
    for step in (
        "gateway check",
        t(
            "gateway official add 登录名 --first --roles director,approver",
            "gateway official add LOGIN --first --roles director,approver",
        ),
        "gateway serve",
    ):
        shown.hint(f"  {step}")


# --- check ---------------------------------------------------------------------------------------------------


@verb(
    "检查站点的全部文件，列出模板的字数、条数和费用",
    "Check all of the site's files; list its templates with their length and cost",
)
def check(ctx: typer.Context, json: JsonFlag = False) -> None:
    from gateway.app import check_site

    directory = caller(ctx).directory()
    try:
        config, notices = check_site(directory)
    except Invalid as error:
        if json:
            shown.as_json({"ok": False, "problems": [_problem(one) for one in error.problems]})
            raise typer.Exit(1) from None
        raise
    if json:
        return shown.as_json(_checked(config, notices))
    _show_site(directory, config)
    _show_templates(config, notices)
    return _show_advice(config, notices)


def _problem(one: Any) -> dict[str, Any]:
    return {"file": one.file, "line": one.line, "key": one.key, "zh": one.zh, "en": one.en}


def _checked(config: Config, notices: Mapping[str, Template]) -> dict[str, Any]:
    from gateway import templates

    advice = [_problem(one) for template in notices.values() for one in templates.advise(template, config)]
    return {"ok": True, "site": config.site.name, "templates": _template_rows(config, notices), "advice": advice}


def _template_rows(config: Config, notices: Mapping[str, Template]) -> list[dict[str, Any]]:
    from gateway import templates

    rows = []
    for name, one in notices.items():
        home = templates.estimate(one, config)
        away = templates.estimate(one, config, away=True) if one.away else None
        rows.append(
            {
                "name": name,
                "title": one.title,
                "category": one.category,
                "class": one.urgency,
                "characters": home.characters,
                "parts": home.parts,
                "cost": home.cost,
                "away": away and {"characters": away.characters, "parts": away.parts, "cost": away.cost},
                "personal": one.personal,
                "single": one.single,
            }
        )
    return rows


def _show_site(directory: Path, config: Config) -> None:
    accounts = "、".join(f"{one.name}（{one.protocol}）" for one in config.carriers.values())
    rows = [
        (t("站点", "site"), f"{config.site.name}  {directory}"),
        (t("签名", "signature"), f"【{config.site.signature}】"),
        (t("账号", "accounts"), accounts),
        (t("窗口", "windows"), len(config.hall.windows)),
        (t("定时", "schedules"), "、".join(one.name for one in config.schedules)),
    ]
    shown.facts(rows)


def _show_templates(config: Config, notices: Mapping[str, Template]) -> None:
    currency = shown.currency(config)
    headings = (
        t("模板", "template"),
        t("类别", "category"),
        t("字数", "chars"),
        t("条数", "parts"),
        t(f"费用（{currency}）", f"cost ({currency})"),
        t("说明", "notes"),
    )
    rows = []
    ordered = sorted(_template_rows(config, notices), key=lambda one: notices[one["name"]].is_service)
    for one in ordered:
        both = [one, one["away"]] if one["away"] else [one]
        each = [" / ".join(dict.fromkeys(str(version[key]) for version in both)) for key in ("characters", "parts")]
        costs = " / ".join(dict.fromkeys(shown.figure(version["cost"]) for version in both))
        rows.append((one["name"], notices[one["name"]].name_zh, *each, costs, _notes(one)))
    shown.table(headings, rows, right=(2, 3, 4), whole=(0, 1))


def _notes(row: Mapping[str, Any]) -> str:
    if row["category"] == "service":
        return ""
    said = [
        (row["class"] in ("emergency", "urgent"), t(*shown.PRIORITIES[row["class"]])),
        (row["away"], t("外出另文", "away text")),
        (row["personal"], t("一人一文", "personal")),
        (row["single"], t("可单发", "single")),
    ]
    return t("、", ", ").join(word for holds, word in said if holds)


def _show_advice(config: Config, notices: Mapping[str, Template]) -> None:
    from gateway import templates

    shown.say()
    for template in notices.values():
        for advice in templates.advise(template, config):
            shown.say(f"{t('留意', 'note')}  {advice.where()}{t('：', ': ')}{t(advice.zh, advice.en)}")
    shown.say(t("没有错误。", "No errors."))


# --- db ------------------------------------------------------------------------------------------------------


@verb("把数据库升到本程序的版本", "Bring the database to this program's version")
def upgrade(ctx: typer.Context) -> None:
    from gateway.store import migrations

    migrations.upgrade(caller(ctx).config().database_url())
    shown.say(t(f"数据库版本：{migrations.HEAD}", f"database version: {migrations.HEAD}"))


db = noun("数据库升级", "The database", upgrade=upgrade)


# --- serve ---------------------------------------------------------------------------------------------------


@verb("运行网关：收发短信、定时、接口", "Run the gateway: sending, receiving, schedules, hooks")
def serve(
    ctx: typer.Context,
    only: Annotated[
        str,
        option(
            "--only",
            value=("部分", "PARTS"),
            zh="只运行这些部分，逗号分开：web,dispatch,schedule,inbox",
            en="run these parts alone, with commas: web,dispatch,schedule,inbox",
        ),
    ] = "",
) -> None:
    import asyncio

    from gateway.cli import serving
    from gateway.store import DATABASE_ERRORS

    parts = tuple(word.strip() for word in only.split(",") if word.strip()) or PARTS
    if unknown := [part for part in parts if part not in PARTS]:
        raise typer.BadParameter(
            t(
                f"没有这个部分：{unknown[0]}；有：{'、'.join(PARTS)}",
                f"no part {unknown[0]}; there are {', '.join(PARTS)}",
            )
        )
    directory = caller(ctx).directory()
    log_to_stderr("info")
    try:
        asyncio.run(serving.serve(directory, parts, chosen=bool(only)))
    except DATABASE_ERRORS as error:
        raise out_of_reach(error) from error
