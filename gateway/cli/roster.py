"""Rosters from the keyboard: taken in, looked up, exported, forgotten; what a number consented to.

Policy
- A rehearsal (`import --dry-run`) changes nothing, so nobody signs for it; with `--json` it reads the file alone and
  needs no site.
- Numbers are masked unless `--full-numbers` is given; an export holds them whole, is readable by its owner alone and
  is audited.
- Forgetting asks once more, since nothing brings a person back.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import shown
from gateway.cli.caller import caller
from gateway.cli.cases import FullNumbers
from gateway.cli.fields import ColumnFlag, SheetFlag, columns
from gateway.cli.help import argument, noun, option, verb
from gateway.cli.language import t
from gateway.cli.tools import FILE, JsonFlag
from gateway.errors import Refused

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.config import Config
    from gateway.officials import Official
    from gateway.roster import Consent, Forgotten, ImportReport, NumberState, Overview, Said, Subscriber

REJECTED_SHOWN = 40
MISSING_SHOWN = 20

Number = Annotated[str, argument(("号码", "NUMBER"), zh="手机号码", en="the number")]


# --- import --------------------------------------------------------------------------------------------------


@verb("导入花名册（CSV、XLSX、XLS、ODS）；再导一次就是更新", "Import a roster (CSV, XLSX, XLS, ODS); again updates it")
def import_(
    ctx: typer.Context,
    file: Annotated[Path, argument(FILE, zh="花名册", en="the roster")],
    dry_run: Annotated[bool, option("--dry-run", zh="只看结果，什么也不改", en="only tell what would happen")] = False,
    name: Annotated[
        str | None,
        option("--name", value=("名册", "ROSTER"), zh="这份名册叫什么；不写就用文件名", en="its name; else the file's"),
    ] = None,
    column: ColumnFlag = None,
    sheet: SheetFlag = None,
    json: JsonFlag = False,
) -> None:
    if dry_run and json:
        return shown.as_json(_read_alone(file, columns(column), sheet))
    options = {"roster": name, "columns": columns(column), "sheet": sheet}
    who = caller(ctx)
    if dry_run:
        report = who.read(lambda gateway: _import(gateway, file, _system(), dry_run=True, **options))
    else:
        report = who.act(lambda gateway, by: _import(gateway, file, by, dry_run=False, **options))
    return shown.as_json(report.as_dict()) if json else _show_report(report)


def _system() -> Official:
    from gateway.officials import SYSTEM

    return SYSTEM


def _read_alone(file: Path, chosen: Mapping[str, str], sheet: str | None) -> dict[str, Any]:
    from gateway import sheets
    from gateway.roster.reading import Summary, read_people

    summary = Summary()
    for one in read_people(sheets.open_table(file, sheet=sheet), chosen):
        summary.add(one)
    return summary.as_dict()


async def _import(gateway: Gateway, file: Path, by: Official, *, dry_run: bool, **options: Any) -> ImportReport:
    with shown.bar(t("读文件", "reading"), t("导入", "importing")) as progress:
        return await gateway.roster.import_file(file, by=by, dry_run=dry_run, progress=progress, **options)


def _show_report(report: ImportReport) -> None:
    done = t("试导入，什么也没有改", "rehearsed, nothing was changed") if report.dry_run else t("已导入", "imported")
    shown.say(f"{t('名册', 'Roster')} {report.roster}{t('：', ': ')}{done}")
    rows = [
        (t("行数", "rows"), f"{report.rows:,}"),
        (t("可导入", "importable"), f"{report.importable:,}"),
        (t("　新增", "  new"), f"{report.new:,}"),
        (t("　更新", "  updated"), f"{report.updated:,}"),
        (t("　没变", "  unchanged"), f"{report.unchanged:,}"),
        (t("重复的行", "duplicates"), f"{report.duplicates:,}"),
        (t("与别人同号", "shared numbers"), f"{report.shared:,}"),
        (t("不能导入", "rejected"), f"{len(report.rejected):,}"),
        (t("名册里有、文件里没有", "in the roster, not in the file"), f"{report.missing_count:,}"),
        (t("退订随号恢复", "opt-outs that came back"), report.returned or None),
        (t("多余的号码未收", "further numbers, not kept"), report.other_phones or None),
    ]
    shown.facts(rows)
    for village, n in report.unplaced.items():
        shown.say(
            t(f"留意  村“{village}”不在 config.toml 里：{n} 人归到全镇", f"note  unknown village {village}: {n} people")
        )
    _show_rejected(report)
    _show_missing(report)


def _show_rejected(report: ImportReport) -> None:
    from gateway.roster.reading import explain

    if not report.rejected:
        return
    rows = [(lost.row, lost.name, lost.phone, t(*explain(lost.reason))) for lost in report.rejected[:REJECTED_SHOWN]]
    headings = (t("行", "row"), t("姓名", "name"), t("号码", "number"), t("为什么不能导入", "why it is rejected"))
    shown.table(headings, rows, right=(0,))
    _more(len(report.rejected) - REJECTED_SHOWN)


def _show_missing(report: ImportReport) -> None:
    if report.missing:
        rows = [(one.name, one.village) for one in report.missing[:MISSING_SHOWN]]
        title = t("名册里有、这次文件里没有的人（没有删）", "in the roster and not in this file (nobody is deleted)")
        shown.table((t("姓名", "name"), t("村", "village")), rows, title=title)
        _more(report.missing_count - MISSING_SHOWN)


def _more(n: int) -> None:
    if n > 0:
        shown.say(t(f"……还有 {n:,} 个", f"... and {n:,} more"))


# --- show ----------------------------------------------------------------------------------------------------


@verb("按号码或姓名找人；不写就看总数", "Find people by number or name; without it, the totals")
def show(
    ctx: typer.Context,
    text: Annotated[
        str | None, argument(("号码或姓名", "TEXT"), zh="号码，或姓名里的字", en="a number or a name")
    ] = None,
    full_numbers: FullNumbers = False,
    json: JsonFlag = False,
) -> None:
    who = caller(ctx)
    if text is None:
        overview = who.read(lambda gateway: gateway.roster.show())
        return shown.as_json(overview) if json else _show_overview(overview, who.config())
    found, state = who.read(lambda gateway: _look_up(gateway, text))
    if json:
        dead = bool(state and state.dead)
        return shown.as_json([{**_plain(one, full=full_numbers), "dead": dead} for one in found])
    if found:
        _show_people(found, full=full_numbers)
    else:
        shown.say(t("没有找到。", "Nobody found."))
    return _show_number(state, who.config()) if state else None


async def _look_up(gateway: Gateway, text: str) -> tuple[Sequence[Subscriber], NumberState | None]:
    return await gateway.roster.find(text), await gateway.roster.number(text)


def _show_number(found: NumberState, config: Config) -> None:
    """What operators said of it, in sentences."""
    if found.blocked:
        shown.say(
            t(
                "运营商的黑名单里有这个号码：什么也收不到，我们解除不了。",
                "On the operator's blacklist: not ours to lift.",
            )
        )
    if found.dead:
        number = shown_number(found.number, full=False)
        zh = f"{number} 可能已不是原来的人：核实之前不发写给个人的短信。"
        shown.say(t(zh, f"{number} may be somebody else's by now: nothing personal goes to it."))
        shown.hint(t("核实后：gateway roster confirm 号码", "once confirmed: gateway roster confirm NUMBER"))
    if found.confirmed_at is not None:
        when = shown.when(found.confirmed_at, config)
        shown.say(
            t(f"{when} {found.confirmed_by} 核实过（{found.confirmed_how}）", f"confirmed {when}: {found.confirmed_by}")
        )
    if found.signs:
        rows = [(one.day, one.carrier, one.code, _meant(one, config)) for one in found.signs]
        shown.table((t("日期", "day"), t("账号", "account"), t("代码", "code"), t("意思", "meaning")), rows)


def _meant(one: Said, config: Config) -> str:
    from gateway.store.numbers import NEW_OWNER

    if one.code == NEW_OWNER:
        return t("来信说这号是新办的", "wrote that the number is newly theirs")
    known = config.meaning(one.carrier, "receipt", one.code)
    void = t("；当时一下子很多，不算", "; in a cluster, does not count") if one.void else ""
    return t(known.zh, known.en) + void


@verb("核实号码：还是花名册上的这个人，写给个人的短信照发", "Confirm a number: personal texts go to it again")
def confirm(
    ctx: typer.Context,
    number: Number,
    how: Annotated[
        str, option("--how", value=("途径", "TEXT"), zh="怎么核实的：来电、窗口、村里", en="how it was confirmed")
    ] = "counter",
) -> None:
    caller(ctx).act(lambda gateway, by: gateway.roster.confirm(number, by=by, how=how))
    shown.say(t("已核实。", "Confirmed."))


def _show_overview(found: Overview, config: Config) -> None:
    rows = [
        (t("人", "people"), f"{found.people:,}"),
        (t("号码", "numbers"), f"{found.numbers:,}"),
        (t("没有号码", "without a number"), f"{found.without_number:,}"),
        (t("在外", "away"), f"{found.away:,}"),
    ]
    shown.facts(rows)
    people = t("人数", "people")
    shown.table((t("名册", "roster"), people), [(name, f"{n:,}") for name, n in found.rosters], right=(1,))
    shown.table((t("村", "village"), people), [(name or "—", f"{n:,}") for name, n in found.villages], right=(1,))
    imports = [
        (
            one.roster,
            one.by,
            shown.when(one.started_at, config),
            shown.when(one.finished_at, config, t("没有完成", "not finished")),
        )
        for one in found.imports
    ]
    if imports:
        headings = (t("导入", "import"), t("谁", "by"), t("开始", "started"), t("完成", "finished"))
        shown.table(headings, imports)


def _show_people(found: Sequence[Subscriber], *, full: bool) -> None:
    headings = (
        t("姓名", "name"),
        t("号码", "number"),
        t("村", "village"),
        t("组", "group"),
        t("性别", "sex"),
        t("出生", "born"),
        t("标签", "tags"),
        t("在外", "away"),
    )
    rows = []
    for one in found:
        number = shown_number(one.phone, full=full)
        if one.taker_phone:
            number = f"{number} {t('代收', 'taken by')} {shown_number(one.taker_phone, full=full)}".strip()
        born = one.birth.isoformat() if one.birth else ""
        rows.append((one.name, number, one.village, one.group, one.sex, born, "；".join(one.tags), one.away_to))
    shown.table(headings, rows, whole=(0, 1, 5))


def shown_number(number: str | None, *, full: bool) -> str:
    from gateway import phone

    if not number:
        return ""
    return phone.local(number) if full else phone.mask(number)


def _plain(one: Subscriber, *, full: bool) -> dict[str, Any]:
    values: dict[str, Any] = shown.plain(one)
    for name in ("phone", "taker_phone"):
        values[name] = getattr(one, name) if full else shown_number(getattr(one, name), full=False) or None
    return values


@verb("导出花名册到新的 .xlsx 或 .csv", "Export the roster to a new .xlsx or .csv")
def export(
    ctx: typer.Context,
    file: Annotated[Path, argument(FILE, zh="要写的文件", en="the file to write")],
    area: Annotated[str, option("--area", value=("代码", "CODE"), zh="只导出这个区划", en="this area alone")] = "",
) -> None:
    n = caller(ctx).act(lambda gateway, by: gateway.roster.export(file, by=by, area=area))
    shown.say(t(f"已导出 {n:,} 人到 {file}", f"{n:,} people exported to {file}"))


# --- consent, forget -----------------------------------------------------------------------------------------


SELF = ("本人", "themselves")
SOURCES = {
    "counter": ("窗口", "at the counter"),
    "call": ("来电", "by phone"),
    "letter": ("书面", "in writing"),
    "sms": ("短信", "by text"),
    "operator_block": ("运营商黑名单", "the operator's blacklist"),
    "webhook": ("短信（接口）", "by text (webhook)"),
    "cli": ("短信（命令行代收）", "by text (typed in)"),
}
"""How a word of consent came, (zh, en); anything else is shown as whoever wrote it down put it."""


@verb(
    "看一个号码退订过什么；--out／--in 代为登记",
    "What a number opted out of; --out / --in writes down what they said",
)
def consent(
    ctx: typer.Context,
    number: Number,
    state: Annotated[
        bool | None, option("--in/--out", zh="登记：要收／退订", en="write down: opts in / opts out")
    ] = None,
    category: Annotated[
        str | None,
        option("--category", value=("类别", "NAME"), zh="哪一类通知；不写就是全部", en="of which notices; else of all"),
    ] = None,
    source: Annotated[
        str, option("--source", value=("途径", "TEXT"), zh="怎么说的：窗口、来电、书面", en="how it was said")
    ] = "counter",
    wording: Annotated[str, option("--wording", value=("原话", "TEXT"), zh="本人怎么说的", en="in which words")] = "",
    json: JsonFlag = False,
) -> None:
    who = caller(ctx)
    if state is not None:
        who.act(lambda gateway, by: _set_consent(gateway, by, number, category, state, source, wording))
    found, names = who.read(lambda gateway: _consents(gateway, number))
    return shown.as_json(found) if json else _show_consent(found, names, who.config())


async def _set_consent(
    gateway: Gateway, by: Official, number: str, category: str | None, state: bool, source: str, wording: str
) -> None:
    known = {one.category for one in gateway.templates.values() if not one.is_service}
    if category is not None and category not in known:
        listed = sorted(known)
        raise Refused(f"没有类别 {category}；有：{'、'.join(listed)}", f"no category {category}: {', '.join(listed)}")
    word: Any = "in" if state else "out"
    await gateway.roster.set_consent(number, category, word, by=by, source=source, wording=wording)


async def _consents(gateway: Gateway, number: str) -> tuple[list[Consent], dict[str, str]]:
    names = {one.category: one.name_zh for one in gateway.templates.values()}
    return await gateway.roster.history(number), names


def _show_consent(found: Sequence[Consent], names: Mapping[str, str], config: Config) -> None:
    if not found:
        return shown.say(t("这个号码没有退订过。", "This number never opted out."))
    headings = (
        t("时间", "at"),
        t("类别", "category"),
        t("意愿", "word"),
        t("途径", "how"),
        t("原话", "wording"),
        t("经手", "by"),
    )
    words = {"in": t("要收", "in"), "out": t("退订", "out")}
    rows = []
    for one in found:
        about = t("全部", "all") if one.category is None else t(names.get(one.category, one.category), one.category)
        how, by = _source(one.source, config), t(*SELF) if one.by == "self" else one.by
        rows.append((shown.when(one.at, config), about, words[one.state], how, one.wording, by))
    return shown.table(headings, rows)


def _source(source: str, config: Config) -> str:
    if source in config.carriers:
        return t(f"短信（{source}）", f"by text ({source})")
    return t(*SOURCES.get(source, (source, source)))


@verb("按本人要求删除一个人；法定要留的到期自动删", "Forget a person; what the law keeps goes when its days are over")
def forget(
    ctx: typer.Context,
    number: Annotated[
        str, argument(("号码", "NUMBER"), zh='号码；没有号码的人写 "" 并加 --name', en='the number; "" with --name')
    ],
    name: Annotated[
        str | None, option("--name", value=("姓名", "NAME"), zh="这个号码上的哪一位；不写就是全部", en="whom of them")
    ] = None,
    village: Annotated[
        str, option("--village", value=("村", "NAME"), zh="分清同名的人", en="tells namesakes apart")
    ] = "",
    yes: Annotated[bool, option("--yes", zh="不再询问", en="do not ask")] = False,
    json: JsonFlag = False,
) -> None:
    _sure(yes)
    found = caller(ctx).act(lambda gateway, by: gateway.roster.forget(number, name, by=by, village=village))
    return shown.as_json(found) if json else _show_forgotten(found)


def _sure(yes: bool) -> None:
    if not yes and not sys.stdin.isatty():
        raise Refused("这里不能询问，请加 --yes", "no terminal to ask: give --yes")
    if not yes:
        typer.confirm(t("删除后不能恢复。确定吗", "This cannot be undone. Go on"), abort=True, err=True)


def _show_forgotten(found: Forgotten) -> None:
    shown.say(t(f"已删除 {found.people} 人。", f"{found.people} people forgotten."))
    rows = [
        (t("已清空", "blanked"), sum(found.removed.values())),
        (t("依法暂留", "kept by law"), sum(found.kept.values())),
        (t("留到", "kept until"), found.kept_until),
        (t("还会发出的短信", "texts that still leave"), found.waiting or None),
        (t("保留的退订", "opt-outs kept"), len(found.optouts) or None),
    ]
    shown.facts(rows)


roster = noun(
    "花名册：导入、查找、核实、导出、退订、删除",
    "Rosters: import, look up, confirm, export, consent, forget",
    import_=import_,
    show=show,
    confirm=confirm,
    export=export,
    consent=consent,
    forget=forget,
)
