"""What was sent and to what end; who carries it.

Policy
- Figures are added up elsewhere (`gateway.reports`); here they are put into tables and workbooks.
- Without a terminal nothing is cut: a table is as wide as it needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import shown
from gateway.cli.caller import caller
from gateway.cli.help import option, verb
from gateway.cli.language import t
from gateway.cli.tools import FILE, JsonFlag

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.config import Config
    from gateway.reports import BroadcastReport, LeftBehind, PeriodReport

OutFile = Annotated[Path | None, option("--out", value=FILE, zh="写成 .xlsx", en="write it as .xlsx")]

STATES = ("delivered", "accepted", "undelivered", "rejected", "uncertain", "waiting")
"""States of texts in the order of a table's columns."""


# --- a period ------------------------------------------------------------------------------------------------


@verb("一段时间的报表：群发、人数、送达、费用", "The report of a period: broadcasts, people, delivered, cost")
def report(
    ctx: typer.Context,
    from_: Annotated[
        str,
        option("--from", value=("日期", "DAY"), zh="从哪天；不写是本月一日", en="first day; else the month's first"),
    ] = "",
    to: Annotated[str, option("--to", value=("日期", "DAY"), zh="到哪天；不写是今天", en="last day; else today")] = "",
    out: OutFile = None,
    json: JsonFlag = False,
) -> None:
    days = (_day(from_), _day(to))
    who = caller(ctx)
    found = who.read(lambda gateway: _period(gateway, *days))
    if out is not None:
        _write_period(out, found)
    if json:
        listed, totals = found.broadcasts, found.totals
        return shown.as_json({"from": found.first, "to": found.last, "broadcasts": listed, "totals": totals})
    _show_period(found, who.config())
    return _say_written(out)


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(t(f"日期要写成 2026-07-01：{text}", f"days are written 2026-07-01: {text}")) from None


async def _period(gateway: Gateway, first: date | None, last: date | None) -> PeriodReport:
    from gateway.officials import SYSTEM

    return await gateway.reports.period(first, last, by=SYSTEM)


def _show_period(found: PeriodReport, config: Config) -> None:
    shown.say(t(f"{found.first} 至 {found.last}", f"{found.first} to {found.last}"))
    if not found.broadcasts:
        return shown.say(t("这段时间没有发过。", "Nothing was sent in this time."))
    rows = [
        (one.id, one.title, shown.when(one.approved_at, config)[:10], *_cells(shown.plain(one)), shown.figure(one.cost))
        for one in found.broadcasts
    ]
    total = shown.figure(Decimal(found.totals["cost"]))
    rows.append(("", t("合计", "total"), "", *_cells(found.totals), total))
    return shown.table(_headings(config), rows, right=(0, 3, 4, 5, 6, 7, 8), whole=(2,))


def _headings(config: Config) -> tuple[str, ...]:
    currency = shown.currency(config)
    return (
        t("编号", "id"),
        t("标题", "title"),
        t("批准", "approved"),
        t("人数", "people"),
        t("短信", "texts"),
        t("送达", "delivered"),
        t("没到", "missed"),
        t("未明", "unknown"),
        t(f"费用（{currency}）", f"cost ({currency})"),
    )


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """People, texts, and what became of these; the three last ones add up to the texts."""
    unknown = row["accepted"] + row["uncertain"] + row["waiting"]
    missed = row["texts"] - row["delivered"] - unknown
    return tuple(f"{n:,}" for n in (row["people"], row["texts"], row["delivered"], missed, unknown))


def _write_period(out: Path, found: PeriodReport) -> None:
    from gateway.cli import spreadsheet
    from gateway.reports import FIGURES

    headings = [t("编号", "id"), t("标题", "title"), t("批准人", "approver"), *map(_figure_name, FIGURES)]
    rows = [[one.id, one.title, one.approver, *(getattr(one, name) for name in FIGURES)] for one in found.broadcasts]
    spreadsheet.write(out, {t("群发", "broadcasts"): (headings, rows)})


def _figure_name(name: str) -> str:
    named = {"people": ("人数", "people"), "parts": ("计费条数", "parts"), "cost": ("费用", "cost")}
    return t(*named[name]) if name in named else shown.state(name)


def _say_written(out: Path | None) -> None:
    if out is not None:
        shown.hint(t(f"已写到 {out}", f"written to {out}"))


# --- one broadcast -------------------------------------------------------------------------------------------


def show_broadcast(found: BroadcastReport, config: Config, out: Path | None, *, json: bool) -> None:
    """The report of one broadcast, printed and, where `out` is given, written to a workbook."""
    if out is not None:
        from gateway.cli import spreadsheet

        spreadsheet.write(out, _sheets(found))
    if json:
        return shown.as_json(found)
    shown.say(f"{t('群发', 'Broadcast')} {found.id}  {found.title}  {shown.state(found.state)}")
    shown.facts(_stages(found, config))
    for title, by in ((t("村", "village"), found.by_village), (t("运营商", "operator"), found.by_operator)):
        headings, rows = _by(title, by)
        shown.table(headings, rows, right=range(1, len(headings)))
    _show_failures(found)
    _show_test_phones(found, config)
    for zh, en in found.suspicions:
        shown.say(t(f"可疑：{zh}。请问运营商。", f"Suspicious: {en}. Ask the operator."))
    shown.left_out_table(found.left_out)
    return _say_written(out)


def _stages(found: BroadcastReport, config: Config) -> list[tuple[str, object]]:
    stages = found.stages
    told = t("，", ", ").join(f"{shown.state(name)} {n:,}" for name, n in found.by_state.items())
    return [
        (t("人数", "people"), f"{found.people:,}"),
        (t("费用", "cost"), shown.money(found.cost, config)),
        (t("起草", "drafted"), f"{shown.when(stages.drafted, config)}  {found.author}"),
        (t("审批", "approved"), f"{shown.when(stages.approved, config)}  {found.approver or ''}".strip()),
        (t("发出", "left"), _span(stages.first_left, stages.last_left, config)),
        (t("最后的回执", "last receipt"), shown.when(stages.last_receipt, config)),
        (t("短信", "texts"), told),
        (t("结果不明", "unknown"), _silent(found)),
    ]


def _silent(found: BroadcastReport) -> str:
    """`30 条（已交运营商，72小时没有回执）`."""
    zh, en = "条（已交运营商，72小时没有回执，不会重发）", "texts (accepted, no receipt in 72 hours, never sent again)"
    return shown.count(found.silent, zh, en) if found.silent else ""


def _span(first: datetime | None, last: datetime | None, config: Config) -> str:
    return "" if first is None else f"{shown.when(first, config)} — {shown.when(last, config)}"


def _by(title: str, by: Mapping[str, Mapping[str, int]]) -> tuple[list[str], list[list[Any]]]:
    states = [name for name in STATES if any(name in counts for counts in by.values())]
    states += sorted({name for counts in by.values() for name in counts} - set(states))
    rows = [[name or "—", sum(counts.values()), *(counts.get(one, 0) for one in states)] for name, counts in by.items()]
    return [title, t("短信", "texts"), *(shown.state(one) for one in states)], rows


def _show_failures(found: BroadcastReport) -> None:
    if found.failures:
        rows = [(shown.state(one.state), one.error or "—", one.texts, t(one.zh, one.en)) for one in found.failures]
        headings = (
            t("没到", "not delivered"),
            t("运营商代码", "operator's code"),
            t("短信", "texts"),
            t("原因", "why"),
        )
        shown.table(headings, rows, right=(2,))


def _show_test_phones(found: BroadcastReport, config: Config) -> None:
    if not found.test_phones:
        return
    said = {True: t("收到了", "got it"), False: t("没收到", "did not"), None: "—"}
    rows = [(one.phone, shown.state(one.state), said[one.got]) for one in found.test_phones]
    cost = shown.money(sum((one.cost for one in found.test_phones), Decimal(0)), config)
    headings = (t("测试手机", "own phone"), t("回执", "receipt"), t("手里的人说", "its holder says"))
    shown.table(headings, rows, title=t(f"大厅的测试手机（另计，{cost}）", f"the hall's own phones (apart, {cost})"))


def _sheets(found: BroadcastReport) -> dict[str, tuple[Sequence[str], Sequence[Sequence[Any]]]]:
    failures = [[shown.state(one.state), one.error, one.texts, t(one.zh, one.en)] for one in found.failures]
    left = [[shown.left_out(reason), n] for reason, n in found.left_out.items()]
    return {
        t("按村", "villages"): _by(t("村", "village"), found.by_village),
        t("按运营商", "operators"): _by(t("运营商", "operator"), found.by_operator),
        t("没到", "failures"): (
            [t("状态", "state"), t("代码", "code"), t("短信", "texts"), t("原因", "why")],
            failures,
        ),
        t("未列入", "left out"): ([t("原因", "reason"), t("人数", "people")], left),
    }


def show_left_behind(found: LeftBehind, out: Path | None, *, json: bool) -> None:
    """Who was not reached, printed and, where `out` is given, written to a workbook to print."""
    if out is not None:
        from gateway.cli import spreadsheet

        found.to_xlsx(spreadsheet.free_path(out))
    if json:
        return shown.as_json({"broadcast": found.broadcast_id, "title": found.title, "rows": found.rows})
    if out is not None:
        return _say_written(out)
    shown.say(found.heading)
    headings = (t("村", "village"), t("组", "group"), t("姓名", "name"), t("原因", "reason"), t("号码", "number"))
    rows = [(one.village, one.group, one.name, t(one.reason_zh, one.reason_en), one.phone) for one in found.rows]
    return shown.table(headings, rows) if rows else None
