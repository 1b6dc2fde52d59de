"""An operator's bill against what left.

Policy: only what differs is listed; `--all` lists every line. The sums always stand below. A difference is bill minus
ours: above 0 the operator counts more than left.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import shown
from gateway.cli.caller import caller
from gateway.cli.fields import ColumnFlag, SheetFlag, columns
from gateway.cli.help import argument, option, verb
from gateway.cli.language import t
from gateway.cli.reports import OutFile
from gateway.cli.tools import FILE, JsonFlag

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.reconcile import Line
    from gateway.reports.bills import Reconciliation


@verb("拿运营商的账单对一遍发出去的条数", "Compare an operator's bill with what left")
def reconcile(
    ctx: typer.Context,
    bill: Annotated[Path, argument(FILE, zh="账单：.xlsx、.xls、.csv", en="the bill: .xlsx, .xls, .csv")],
    carrier: Annotated[
        str | None,
        option("--carrier", value=("账号", "NAME"), zh="哪个通道账号的账单", en="the account that the bill is of"),
    ] = None,
    month: Annotated[
        str,
        option(
            "--month", value=("月份", "MONTH"), zh="只对这个月：2026-11；不写就对账单里的各月", en="this month: 2026-11"
        ),
    ] = "",
    all_: Annotated[bool, option("--all", zh="一致的也列出", en="list what agrees, too")] = False,
    column: ColumnFlag = None,
    sheet: SheetFlag = None,
    out: OutFile = None,
    json: JsonFlag = False,
) -> None:
    who, wanted = caller(ctx), _month(month)
    found = who.read(
        lambda gateway: gateway.bills.reconcile(
            bill, carrier=carrier, month=wanted, columns=columns(column), sheet=sheet
        )
    )
    config = who.config()
    if out is not None:
        _write(out, found)
    if json:
        return shown.as_json(_plain(found, config))
    return _show(found, config, everything=all_)


def _month(text: str) -> date | None:
    try:
        return date.fromisoformat(f"{text}-01") if text else None
    except ValueError:
        raise typer.BadParameter(t(f"月份应写作 2026-11：{text}", f"a month is written 2026-11: {text}")) from None


def _show(found: Reconciliation, config: Config, *, everything: bool) -> None:
    result = found.found
    shown.say(t(f"账号 {found.carrier}，{_span(found)}", f"account {found.carrier}, {_span(found)}"))
    lines = [line for line in result.lines if everything or any(line.differs.values())]
    if lines:
        rows = [_cells(found, line) for line in lines]
        shown.table(_headings(found), rows, right=range(2, len(_headings(found))), whole=(0,))
    shown.say()
    shown.facts([*_sums(found), *_money(found, config)])
    if result.agrees:
        shown.say(t("每一行都一致。", "Every line agrees."))


def _span(found: Reconciliation) -> str:
    last = date.fromordinal(found.until.toordinal() - 1)
    return f"{found.since} — {last}"


def _name(column: str) -> str:
    from gateway.reconcile import NAMES

    return t(*NAMES[column])


def _headings(found: Reconciliation) -> tuple[str, ...]:
    ours = [t(f"我方{_name(name)}", f"ours {_name(name)}") for name in ("submitted", "accepted", "delivered")]
    billed = [t(f"账单{_name(name)}", f"bill {_name(name)}") for name in found.found.columns]
    differs = [t(f"{_name(name)}差", f"{_name(name)} +/-") for name in found.found.columns]
    return (t("日期", "day"), t("运营商", "operator"), *ours, t("结果不明", "uncertain"), *billed, *differs)


def _cells(found: Reconciliation, line: Line) -> tuple[str, ...]:
    ours = [f"{count:,}" for count in line.ours]
    billed = [f"{line.bill[name]:,}" if line.bill else "—" for name in found.found.columns]
    differs = [f"{line.differs[name]:+,}" if line.differs[name] else "" for name in found.found.columns]
    return (_day(line), line.key.operator or t("全部", "all"), *ours, *billed, *differs)


def _day(line: Line) -> str:
    return f"{line.key.day:%Y-%m}" if line.key.whole_month else line.key.day.isoformat()


def _sums(found: Reconciliation) -> list[tuple[str, object]]:
    from gateway.reconcile import AGAINST

    result = found.found
    sums: list[tuple[str, object]] = []
    for name in result.columns:
        bill, ours, differs = result.bill[name], getattr(result.ours, AGAINST[name]), result.differs[name]
        told = t(f"账单 {bill:,}，我方 {ours:,}，差 {differs:+,}", f"bill {bill:,}, ours {ours:,}: {differs:+,}")
        sums.append((t(f"{_name(name)}合计", f"{_name(name)} in all"), told))
    return sums


def _money(found: Reconciliation, config: Config) -> list[tuple[str, object]]:
    """What the difference in billed parts costs."""
    differs = found.found.differs.get("billed", 0)
    if not differs:
        return []
    return [(t("差额", "it costs"), shown.money(differs * config.price(found.carrier), config))]


def _plain(found: Reconciliation, config: Config) -> dict[str, Any]:
    result = found.found
    return {
        "carrier": found.carrier,
        "since": found.since,
        "until": found.until,
        "agrees": result.agrees,
        "columns": result.columns,
        "lines": [_plain_line(line) for line in result.lines],
        "ours": result.ours._asdict(),
        "bill": result.bill,
        "differs": result.differs,
        "cost": result.differs.get("billed", 0) * config.price(found.carrier),
    }


def _plain_line(line: Line) -> Mapping[str, Any]:
    return {
        "day": _day(line),
        "operator": line.key.operator,
        "ours": line.ours._asdict(),
        "bill": dict(line.bill) or None,
        "differs": line.differs,
    }


def _write(out: Path, found: Reconciliation) -> None:
    from gateway.cli import spreadsheet

    rows = [
        [
            _day(line),
            line.key.operator or t("全部", "all"),
            *line.ours,
            *(line.bill.get(name) for name in found.found.columns),
            *(line.differs[name] for name in found.found.columns),
        ]
        for line in found.found.lines
    ]
    spreadsheet.write(out, {t("对账", "bill"): (_headings(found), rows)})
    shown.hint(t(f"已写到 {out}", f"written to {out}"))
