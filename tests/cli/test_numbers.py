"""`gateway roster show` and `confirm`: what operators said of a number, and that it is whose it is."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from cli.conftest import Gateway

NUMBER = "13800130011"


def called_dead(site: Path) -> None:
    """On two days, once of them in a cluster that does not count."""
    with sqlite3.connect(site / "var" / "gateway.db") as db:
        for day, void in (("2026-03-01", 0), ("2026-03-02", 0), ("2026-03-03", 1)):
            row = (f"+86{NUMBER}", day, 0, "MK:0001", "simulator", "移动", 1024, void, 1)
            columns = "phone, day, disputed, code, carrier, operator, message_id, void, at"
            db.execute(f"INSERT INTO number_sign ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    db.close()


def test_a_dead_number_is_shown_and_confirmed(gateway: Gateway, site: Path) -> None:
    called_dead(site)
    shown = gateway("roster", "show", NUMBER).fine()
    assert "138****0011 可能已不是原来的人" in shown.out
    assert "MK:0001" in shown.out
    assert "一下子很多，不算" in shown.out
    assert NUMBER not in shown.out
    assert "gateway roster confirm" in shown.err
    assert gateway("roster", "show", NUMBER, "--json").fine().json[0]["dead"] is True
    gateway("--as", "wang", "roster", "confirm", NUMBER, "--how", "来电").fine()
    shown = gateway("roster", "show", NUMBER).fine()
    assert "可能已不是" not in shown.out
    assert "wang 核实过（来电）" in shown.out
    assert gateway("roster", "show", NUMBER, "--json").fine().json[0]["dead"] is False


def test_who_confirms_signs_for_it(gateway: Gateway, site: Path) -> None:
    assert gateway("roster", "confirm", NUMBER).code == 2
    assert gateway("--as", "wang", "roster", "confirm", "12").code == 1


def test_a_number_that_the_operator_blocks(gateway: Gateway, site: Path) -> None:
    with sqlite3.connect(site / "var" / "gateway.db") as db:
        row = (f"+86{NUMBER}", None, "out", "operator_block", "TUIDING", "simulator", int(time.time() * 1000))
        db.execute("INSERT INTO consent (phone, category, state, source, wording, by, at) VALUES (?,?,?,?,?,?,?)", row)
    db.close()
    assert "运营商的黑名单" in gateway("roster", "show", NUMBER).fine().out
    assert "运营商黑名单" in gateway("roster", "consent", NUMBER).fine().out
