"""One text before it goes to many, or to one: `preview` and `send`.

Policy
- `preview` opens no database. What is not set shows the template's own examples, and says which they are.
- `send` is for templates marked `single`, and for one number; everything else is a broadcast, which another person
  approves. Somebody who opted out gets none. Without a running `serve` it only queues, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import shown
from gateway.cli.caller import caller
from gateway.cli.fields import SetFields, TemplateName, ToNumber, fields
from gateway.cli.help import option, verb
from gateway.cli.language import t
from gateway.cli.tools import FILE, JsonFlag
from gateway.errors import NotFound, Refused

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.outbox import Outbox
    from gateway.templates import Template

SAMPLES = 5


# --- preview -------------------------------------------------------------------------------------------------


@verb("看模板发出去的样子和费用，不动数据库", "What a template looks like and costs; touches no database")
def preview(
    ctx: typer.Context,
    template: TemplateName,
    set_: SetFields = None,
    to: Annotated[
        str | None, option("--to", value=("号码", "NUMBER"), zh="发给这个号码会怎样", en="as sent to this number")
    ] = None,
    list_: Annotated[
        Path | None,
        option(
            "--list", value=FILE, zh="照这份名单逐人算；表头与字段同名的列是各人的值", en="for each row of this list"
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    from gateway.app import check_site

    config, notices = check_site(caller(ctx).directory())
    one, given = _notice(notices, template), fields(set_)
    if unknown := one.unknown(given):
        raise Refused(f"模板里没有：{'、'.join(unknown)}", f"not in the template: {', '.join(unknown)}")
    if list_ is not None:
        return _preview_list(one, config, given, list_, json=json)
    return _preview_one(one, config, given, to, json=json)


def _notice(notices: Mapping[str, Template], name: str) -> Template:
    found = notices.get(name)
    if found is None or found.is_service:
        known = [key for key, one in notices.items() if not one.is_service]
        raise NotFound(f"没有模板 {name}；有：{'、'.join(known)}", f"no template {name}; there are {', '.join(known)}")
    return found


def _examples(one: Template) -> dict[str, str]:
    from gateway.templates import PERSON_FIELDS

    return {**PERSON_FIELDS, **{name: field.example for name, field in one.fields.items()}}


def _preview_one(one: Template, config: Config, given: Mapping[str, str], to: str | None, *, json: bool) -> None:
    from gateway.outbox import Outbox

    outbox = Outbox(config)
    path = _path(outbox, to, one.category)
    carrier = path["carrier"] or next(iter(config.carriers))
    values = {**_examples(one), **given}
    bodies = {"home": one.render(values), **({"away": one.render(values, away=True)} if one.away else {})}
    texts = [{"for": whom, **_measured(body, outbox, carrier)} for whom, body in bodies.items()]
    examples = [name for name in _examples(one) if name in one.names and name not in given]
    if json:
        return shown.as_json({"template": one.name, **path, "texts": texts, "examples": examples})
    _show_path(path)
    for text in texts:
        title = t("在外的人", "those who are away") if text["for"] == "away" else t("在家的人", "those at home")
        shown.text_box(f"{title}  {_length(text, config)}", text["body"])
    if examples:
        shown.hint(
            t(f"用的是示例：{'、'.join(examples)}（--set 字段=值）", f"examples stand for: {', '.join(examples)}")
        )
    return None


def _path(outbox: Outbox, to: str | None, category: str) -> dict[str, Any]:
    """Who the number is with, and the route and carrier that serve it."""
    if to is None:
        return {"to": None, "operator": None, "route": None, "carrier": None}
    from gateway import phone as phones

    e164 = phones.mobile(to)
    path = outbox.path(e164, category)
    if path is None:
        raise Refused("没有通道能到这个号码", "no carrier reaches this number")
    operator = phones.operator(e164)
    return {
        "to": phones.mask(e164),
        "operator": operator.value if operator else None,
        "route": path.route,
        "carrier": path.carrier,
    }


def _show_path(path: Mapping[str, Any]) -> None:
    if path["to"]:
        operator = path["operator"] or t("运营商不明", "operator unknown")
        shown.say(f"{path['to']}  {operator}  {t('通道', 'carrier')} {path['carrier']}")


def _measured(body: str, outbox: Outbox, carrier: str) -> dict[str, Any]:
    written = outbox.write(body, carrier)
    return {"body": written.body, "characters": len(written.body), "parts": written.billed, "cost": written.cost}


def _length(text: Mapping[str, Any], config: Config) -> str:
    cost = shown.money(text["cost"], config)
    return t(
        f"{text['characters']} 字，{text['parts']} 条，{cost}",
        f"{text['characters']} chars, {text['parts']} parts, {cost}",
    )


# --- preview of a list ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Total:
    texts: int = 0
    parts: int = 0
    cost: Decimal = Decimal(0)


def _preview_list(one: Template, config: Config, given: Mapping[str, str], file: Path, *, json: bool) -> None:
    from gateway.outbox import Outbox

    outbox, total = Outbox(config), _Total()
    samples: list[tuple[str, str]] = []
    problems: list[tuple[int, tuple[str, str]]] = []
    for row, values, cell in _rows(one, file):
        try:
            masked, written = _for_row(one, outbox, {**values, **given}, cell)
        except Refused as error:
            problems.append((row, (error.zh, error.en)))
            continue
        total.texts, total.parts, total.cost = total.texts + 1, total.parts + written.billed, total.cost + written.cost
        if len(samples) < SAMPLES:
            samples.append((masked, written.body))
    if json:
        said = [{"row": row, "zh": zh, "en": en} for row, (zh, en) in problems]
        return shown.as_json({"template": one.name, **shown.plain(total), "samples": samples, "problems": said})
    return _show_list(total, samples, problems, config)


def _rows(one: Template, file: Path) -> Iterator[tuple[int, dict[str, str], object]]:
    """Row number, the values its columns give the template, and the cell of its number."""
    from gateway import sheets
    from gateway.roster.reading import WANTED

    table, header = sheets.headed(sheets.open_table(file), WANTED, needed=("phone",), single=("phone",))
    places = {name: place for place, name in enumerate(header.headings) if name in one.names}
    for row in sheets.records(table.rows(), header):
        values = {name: sheets.written(row.cells[at]) for name, at in places.items() if at < len(row.cells)}
        own = {"姓名": header.text(row, "name"), "村": header.text(row, "village"), "组": header.text(row, "group")}
        yield row.number, {**values, **own}, header.cell(row, "phone")


def _for_row(one: Template, outbox: Outbox, values: Mapping[str, str], cell: object) -> tuple[str, Any]:
    from gateway import phone as phones

    e164 = phones.mobile(str(cell or ""))
    path = outbox.path(e164, one.category)
    if path is None:
        raise Refused("没有通道能到这个号码", "no carrier reaches this number")
    return phones.mask(e164), outbox.write(one.render(values), path.carrier)


def _show_list(
    total: _Total, samples: list[tuple[str, str]], problems: list[tuple[int, tuple[str, str]]], config: Config
) -> None:
    cost = shown.money(total.cost, config)
    shown.say(
        t(
            f"{total.texts:,} 条短信，计费 {total.parts:,} 条，{cost}",
            f"{total.texts:,} texts, {total.parts:,} parts, {cost}",
        )
    )
    if problems:
        rows = [(row, t(*why)) for row, why in problems[:40]]
        shown.table((t("行", "row"), t("不能发", "cannot be sent")), rows, right=(0,))
        if len(problems) > len(rows):
            shown.say(t(f"……共 {len(problems):,} 行不能发", f"... {len(problems):,} rows in all"))
    shown.texts(samples)


# --- send ----------------------------------------------------------------------------------------------------


@verb("给一个号码发一条；只用于标了 single 的模板", "Send one text to one number; for templates marked single alone")
def send(
    ctx: typer.Context, template: TemplateName, to: ToNumber, set_: SetFields = None, json: JsonFlag = False
) -> None:
    given = fields(set_)
    message_id = caller(ctx).act(lambda gateway, by: gateway.broadcasts.send(template, to, given, by=by))
    if json:
        return shown.as_json({"message": message_id, "state": "waiting"})
    return shown.say(t("已排队，由运行中的 gateway serve 发送。", "Queued; a running gateway serve sends it."))
