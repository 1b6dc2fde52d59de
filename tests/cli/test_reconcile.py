"""A bill at the keyboard."""

from __future__ import annotations

from pathlib import Path

from cli.conftest import Gateway
from gateway import sheets

BILL = "枣原镇2026年11月账单,,,\n日期,运营商,提交条数,计费条数\n2026-11-01,移动,10,12\n2026-11-02,联通,0,0\n"


def test_differences_are_told_summed_and_written(gateway: Gateway, site: Path) -> None:
    (site / "bill.csv").write_text(BILL, encoding="gb18030")
    said = gateway("reconcile", "bill.csv", "--out", "compared.xlsx").fine()
    assert "账号 simulator，2026-11-01 — 2026-11-30" in said.out
    assert "2026-11-01" in said.out and "2026-11-02" not in said.out
    assert "账单 12，我方 0，差 +12" in said.out and "0.60 元" in said.out
    assert "2026-11-02" in gateway("reconcile", "bill.csv", "--all").fine().out
    rows = [row.cells for row in sheets.open_table(site / "compared.xlsx").rows()]
    assert rows[1][:2] == ("2026-11-01", "移动") and rows[1][-1] == 12
    found = gateway("reconcile", "bill.csv", "--month", "2026-11", "--json").fine().json
    assert (found["agrees"], found["differs"], found["cost"]) == (False, {"submitted": 10, "billed": 12}, "0.60")


def test_a_bill_that_agrees(gateway: Gateway, site: Path) -> None:
    (site / "bill.csv").write_text("日期,计费条数\n2026-11-01,0\n")
    assert "每一行都一致" in gateway("reconcile", "bill.csv").fine().out


def test_what_is_no_bill_or_no_month_is_refused(gateway: Gateway, site: Path) -> None:
    (site / "bill.csv").write_text("日期,金额\n2026-11-01,0\n")
    assert gateway("reconcile", "bill.csv").code == 1
    assert gateway("reconcile", "none.csv").code == 1
    assert gateway("reconcile", "bill.csv", "--month", "11").code == 2
