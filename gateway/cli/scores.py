"""Points, the board and appeals; the summary of a period, on the screen, as a workbook, or in the county's own form.

Policy
- Figures are made in `gateway.scores`; here they are put into tables, words and files.
- Whoever changes something signs for it (`--as`); a file that is there already is never written over.
- A struck point was reversed: it is shown with the decision and counts nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import casebook, shown
from gateway.cli.caller import caller
from gateway.cli.help import Group, add, argument, option, verb
from gateway.cli.language import t
from gateway.cli.tools import FILE, JsonFlag

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.scores import Listed, Point, Sheet, Standing, Summary

DAY, MONTH = ("日期", "DAY"), ("月份", "MONTH")
MonthOption = Annotated[
    str | None, option("--month", value=MONTH, zh="哪个月，例如 2026-07；不写是本月", en="2026-07; else this month")
]
Subject = Annotated[
    str,
    argument(("窗口或人", "SUBJECT"), zh="窗口代码、登录名或名称", en="a window's code, an officer's login, or a name"),
]
Why = Annotated[str, option("--why", value=("理由", "REASON"), zh="为什么（必写）", en="why; must be given")]


# --- the board -----------------------------------------------------------------------------------------------


@verb("积分榜：名次、分数、等次、比上月", "The board: rank, score, band, against the month before")
def board(
    ctx: typer.Context,
    month: MonthOption = None,
    officers: Annotated[bool, option("--officers", zh="看人员的，不写看窗口", en="of officers")] = False,
    json: JsonFlag = False,
) -> None:
    who = caller(ctx)
    found = who.look(lambda gateway, by: gateway.scores.board(month, "officer" if officers else "window", by=by))
    if json:
        return shown.as_json([_plain(one) for one in found])
    headings = (
        t("名次", "rank"),
        t("窗口", "window") if not officers else t("人员", "officer"),
        t("分数", "score"),
        t("等次", "band"),
        t("比上月", "trend"),
        t("记分", "points"),
        "",
    )
    return shown.table(headings, [_line(one) for one in found], right=(0, 2, 4), whole=(1, 3))


def _line(one: Standing) -> tuple[object, ...]:
    rank = NO_RANK if one.rank is None else one.rank
    told = t("，", ", ").join(f"{part.name}{signed(part.counted)}" for part in one.sums)
    why = t(f"取消评优：{one.disqualified}", f"disqualified: {one.disqualified}") if one.disqualified else ""
    return rank, one.name, number(one.score), one.band, _trend(one.trend), told, why


NO_RANK = "—"


def _trend(change: Decimal) -> str:
    return "—" if not change else f"{'↑' if change > 0 else '↓'}{number(abs(change))}"


def number(points: Decimal) -> str:
    """92.5, 90: no zeros behind."""
    text = f"{points:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def signed(points: Decimal) -> str:
    return f"+{number(points)}" if points > 0 else number(points)


def _plain(one: Standing) -> dict[str, Any]:
    return {**shown.plain(one), "trend": shown.plain(one.trend)}


# --- one subject ---------------------------------------------------------------------------------------------


@verb("一个窗口或一个人的每一分：件、规则、版本、为什么", "Each point of a window or an officer, with its reason")
def show(ctx: typer.Context, subject: Subject, month: MonthOption = None, json: JsonFlag = False) -> None:
    who = caller(ctx)
    found = who.look(lambda gateway, by: gateway.scores.show(subject, month, by=by))
    if json:
        standing = _plain(found.standing)
        return shown.as_json({**standing, "points": [shown.plain(one) for one in found.points]})
    _head(found)
    if not found.points:
        return shown.say(t("这个月没有记分。", "No points in this month."))
    headings = (
        t("编号", "id"),
        t("日期", "day"),
        t("分", "points"),
        t("规则", "rule"),
        t("为什么", "why"),
        t("规则版本", "version"),
        t("申诉", "appeal"),
    )
    rows = [_row(one, who.config()) for one in found.points]
    return shown.table(headings, rows, right=(0, 2), whole=(1,))


def _head(found: Sheet) -> None:
    one = found.standing
    shown.say(f"{one.name}  {number(one.score)}  {one.band}")
    rank = one.disqualified or (t(f"第{one.rank}名", f"rank {one.rank}") if one.rank else "")
    capped = [part for part in one.sums if part.counted != part.points]
    shown.facts(
        [
            (t("名次", "rank"), rank),
            (t("比上月", "trend"), _trend(one.trend)),
            *((t("封顶", "capped"), f"{part.name} {signed(part.points)} → {signed(part.counted)}") for part in capped),
        ]
    )


def _row(one: Point, config: Config) -> tuple[object, ...]:
    points = signed(one.points) if one.counts else struck(signed(one.points))
    version = one.version.rpartition(" ")[2]  # of the file's name and its version, the version
    return one.id, shown.when(one.at, config)[:10], points, one.name, one.why, version, _appeal(one, config)


def struck(text: str) -> str:
    """Struck through, also where there is no colour."""
    return "".join(f"{char}\u0336" for char in text)


APPEALS = {
    "waiting": ("待裁定", "to be decided"),
    "upheld": ("维持", "stands"),
    "reversed": ("已撤销", "reversed"),
}


def _appeal(one: Point, config: Config) -> str:
    if one.appeal is None:
        return ""
    said = t(*APPEALS[one.appeal])
    if not one.decided_by:
        return f"#{one.appeal_id} {said}"
    return f"{said}（{casebook.who(config, one.decided_by)}：{one.decided_why}）"


def _whose(subject: str, config: Config) -> str:
    """A window or an officer as people call them."""
    who, _, code = subject.partition(":")
    return casebook.window(config, code) if who == "window" else casebook.who(config, code)


# --- counting ------------------------------------------------------------------------------------------------


@verb("按规则给一个月记分；再运行只加新的", "Count a month by the rules; run again it adds only what is new")
def run(ctx: typer.Context, month: MonthOption = None, json: JsonFlag = False) -> None:
    added = caller(ctx).act(lambda gateway, by: gateway.scores.run(month, by=by))
    if json:
        return shown.as_json({"added": added})
    return shown.say(t(f"新记 {added} 笔。", f"{added} new points."))


@verb("手工记一分（规则里 when 是 manual 的）", "Count by hand what a rule with when = manual is for")
def give(
    ctx: typer.Context,
    subject: Subject,
    rule: Annotated[str, argument(("规则", "RULE"), zh="规则代号", en="the rule's code")],
    why: Why,
    day: Annotated[str, option("--day", value=DAY, zh="哪天的事，不写是今天", en="when it was; else today")] = "",
    case: Annotated[str | None, option("--case", value=("件号", "NUMBER"), zh="哪一件", en="the case")] = None,
) -> None:
    on = _day(day)
    made = caller(ctx).act(lambda gateway, by: gateway.scores.give(subject, rule, why, by=by, day=on, number=case))
    shown.say(t(f"已记，编号 {made}。", f"Counted, point {made}."))


# --- appeals -------------------------------------------------------------------------------------------------


@verb("申诉一分：窗口的人、本人或主任", "Appeal a point: its window's officers, the officer, or a director")
def appeal(
    ctx: typer.Context,
    point: Annotated[int, argument(("编号", "POINT"), zh="这一分的编号", en="the point's id")],
    why: Why,
) -> None:
    made = caller(ctx).act(lambda gateway, by: gateway.scores.appeal(point, why, by=by))
    shown.say(t(f"已申诉，编号 {made}，等主任裁定。", f"Appeal {made}: a director decides."))


@verb("裁定申诉：维持或撤销（主任，不能是申诉的人）", "Decide an appeal: a director who did not appeal")
def decide(
    ctx: typer.Context,
    appeal_id: Annotated[int, argument(("申诉编号", "APPEAL"), zh="申诉的编号", en="the appeal's id")],
    why: Why,
    stands: Annotated[bool, option("--stands", zh="维持，这一分照算", en="the point stands")] = False,
    reverse: Annotated[bool, option("--reverse", zh="撤销，这一分不算", en="the point counts no more")] = False,
) -> None:
    if stands == reverse:
        raise typer.BadParameter(t("写 --stands（维持）或 --reverse（撤销）", "give --stands or --reverse"))
    caller(ctx).act(lambda gateway, by: gateway.scores.decide(appeal_id, stands, why, by=by))
    shown.say(t("已维持。", "It stands.") if stands else t("已撤销，不再计分。", "Reversed: it counts no more."))


@verb("列出等裁定的申诉", "List the appeals that wait for a director")
def appeals(ctx: typer.Context, json: JsonFlag = False) -> None:
    who = caller(ctx)
    found = who.look(lambda gateway, by: gateway.scores.appeals(by=by))
    if json:
        return shown.as_json(found)
    if not found:
        return shown.say(t("没有等裁定的申诉。", "No appeal waits."))
    config = who.config()
    headings = (
        t("申诉", "appeal"),
        t("编号", "point"),
        t("谁的", "whose"),
        t("分", "points"),
        t("为什么", "why"),
        t("申诉人", "by"),
        t("理由", "reason"),
    )
    rows = [
        (
            one.appeal_id,
            one.id,
            _whose(one.subject, config),
            signed(one.points),
            one.why,
            casebook.who(config, one.appeal_by or ""),
            one.appeal_reason,
        )
        for one in found
    ]
    return shown.table(headings, rows, right=(0, 1, 3), whole=(2, 5))


# --- the summary ---------------------------------------------------------------------------------------------

WIDE = (
    *("received", "finished", "completion", "on_time_rate", "late", "handed_over", "spot"),
    *("satisfaction", "solved_rate"),
)
"""Figures of the table on the screen, which is 80 columns wide; a workbook and `--json` have all."""


@verb("一段时间的办件总结：表、文字、XLSX、县里的表", "The summary of a period: table, words, XLSX, the county's form")
def summary(
    ctx: typer.Context,
    by: Annotated[
        str,
        option(
            "--by",
            value=("分类", "GROUPING"),
            zh="按 window、item、village 还是 month",
            en="window, item, village, month",
        ),
    ] = "window",
    since: Annotated[str, option("--since", value=DAY, zh="从哪天；不写是今年1月1日", en="first day")] = "",
    until: Annotated[str, option("--until", value=DAY, zh="到哪天；不写是今天", en="last day; else today")] = "",
    text: Annotated[bool, option("--text", zh="只要文字", en="words alone, in Chinese")] = False,
    xlsx: Annotated[Path | None, option("--xlsx", value=FILE, zh="写成 .xlsx", en="write it as .xlsx")] = None,
    form: Annotated[
        Path | None, option("--form", value=FILE, zh="县里的表，按单元格名称填", en="a form with named cells")
    ] = None,
    out: Annotated[Path | None, option("--out", value=FILE, zh="填好的表写到", en="the filled form")] = None,
    cases: Annotated[
        str | None,
        option(
            "--cases",
            value=("格", "CELL"),
            zh="列出一个数字的件：window=minzheng,on_time",
            en="list a figure's cases: window=minzheng,on_time",
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    span = (_day(since), _day(until))
    who = caller(ctx)
    _check(by, form, out)
    if cases is not None:
        listed = who.look(lambda gateway, by: gateway.scores.cases_of(cases, *span, by=by))
        return _show_cases(listed, who.config(), json=json)
    found = who.look(lambda gateway, by: gateway.scores.summary(*span, by=by))
    if xlsx is not None:
        _write(xlsx, found)
    if form is not None and out is not None:
        _fill(form, out, found)
    if json:
        return shown.as_json(_plain_summary(found, by))
    return _show(found, by, table=not text)


def _check(by: str, form: Path | None, out: Path | None) -> None:
    from gateway.scores.summary import GROUPINGS

    if by not in GROUPINGS:
        raise typer.BadParameter(t(f"--by 有：{'、'.join(GROUPINGS)}", f"--by is one of {', '.join(GROUPINGS)}"))
    if (form is None) != (out is None):
        raise typer.BadParameter(t("--form 和 --out 要一起写", "--form and --out go together"))


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(t(f"日期要写成 2026-07-01：{text}", f"days are written 2026-07-01: {text}")) from None


def _show(found: Summary, by: str, *, table: bool) -> None:
    from gateway.scores.summary import GROUPINGS, TITLES, in_words

    shown.say(in_words(found, by))
    if not table:
        return
    lines = [line for line in found.groups[by] if line.counts["received"] or by != "item"]
    headings = (t(*GROUPINGS[by]), *(t(*TITLES[name]) for name in WIDE))
    rows = [(line.name, *(line.shown(name) for name in WIDE)) for line in lines]
    total = (t("合计", "total"), *(found.total.shown(name) for name in WIDE))
    shown.table(headings, [*rows, total], right=range(1, len(headings)), whole=())


def _write(path: Path, found: Summary) -> None:
    from gateway.cli import spreadsheet
    from gateway.scores.summary import GROUPINGS, NOTHING, RATES, TITLES, in_words, rounded

    def cell(line: Any, name: str) -> Any:
        value = line.value(name)
        if value is None:
            return NOTHING
        return line.shown(name) if name in RATES else rounded(value, Decimal("0.01")) if name == "mean" else value

    sheets: dict[str, Any] = {}
    for by, lines in found.groups.items():
        headings = [t(*GROUPINGS[by]), *(t(*words) for words in TITLES.values())]
        rows = [[line.name, *(cell(line, name) for name in TITLES)] for line in (*lines, found.total)]
        sheets[t(f"按{GROUPINGS[by][0]}", f"by {by}")] = (headings, rows)
    sheets[t("文字", "words")] = ([t("总结", "summary")], [[in_words(found)]])
    spreadsheet.write(path, sheets)
    shown.hint(t(f"已写到 {path}", f"written to {path}"))


def _fill(form: Path, out: Path, found: Summary) -> None:
    from gateway.cli import spreadsheet
    from gateway.scores import form as forms

    done = forms.fill(form, spreadsheet.free_path(out), found)
    shown.hint(t(f"已填 {len(done.filled)} 格，写到 {out}", f"{len(done.filled)} cells filled, written to {out}"))
    if done.unknown:
        shown.hint(t(f"不认识的名称：{'、'.join(done.unknown)}", f"unknown names: {', '.join(done.unknown)}"))
    for name, why in done.left.items():
        shown.hint(t(f"没有填 {name}：{why[0]}", f"left {name}: it {why[1]}"))
    for what in done.lost:
        shown.hint(t(f"原表里的{what[0]}没能保留，请核对", f"{what[1]} of the form could not be kept"))


def _show_cases(found: Listed, config: Config, *, json: bool) -> None:
    from gateway import phone

    if json:
        cases = [{**shown.plain(one), "phone": phone.mask(one.phone)} for one in found.cases]
        return shown.as_json({"cases": cases, "hidden": found.hidden})
    headings = (
        t("件号", "number"),
        t("窗口", "window"),
        t("状态", "state"),
        t("来信", "opened"),
        t("期限", "due"),
        t("办结", "closed"),
        t("内容", "text"),
    )
    rows = [
        (
            one.number,
            casebook.window(config, one.window),
            casebook.state(one.state),
            *(shown.when(at, config)[:10] for at in (one.opened_at, one.due_at, one.closed_at)),
            phone.mask_numbers(one.title),
        )
        for one in found.cases
    ]
    shown.table(headings, rows, whole=(0, 2, 3, 4, 5))
    hidden = t(f"，另有 {found.hidden} 件不便列出", f", {found.hidden} more not to be shown") if found.hidden else ""
    return shown.say(f"{shown.count(len(found.cases), '件', 'cases')}{hidden}")


def _plain_summary(found: Summary, by: str) -> dict[str, Any]:
    lines: Sequence[Any] = (*found.groups[by], found.total)
    from gateway.scores.summary import TITLES

    figures = [{"key": one.key, "name": one.name, **{name: _json(one.value(name)) for name in TITLES}} for one in lines]
    return {"since": found.first, "until": found.last, "by": by, "lines": figures[:-1], "total": figures[-1]}


def _json(value: int | Decimal | None) -> int | float | None:
    return round(float(value), 4) if isinstance(value, Decimal) else value


def _bare(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        board(ctx)


scores = typer.Typer(
    cls=Group,
    invoke_without_command=True,
    help=t("积分：榜、每一分的来历、记分、申诉", "Scores: the board, each point's reason, counting, appeals"),
)
scores.callback()(_bare)
add(scores, "", board=board, show=show, run=run, give=give, appeal=appeal, decide=decide, appeals=appeals)
