"""The board, points and appeals, and the summary, as they are typed."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from openpyxl.workbook.defined_name import DefinedName
from town import Town

from cli.conftest import AUTHOR, DIRECTOR, Gateway
from gateway.store import open_store


@pytest.fixture
def case(site: Path) -> str:
    """One case of this year that was closed at once; its number."""
    now = datetime.now(ZoneInfo("Asia/Shanghai"))
    return asyncio.run(written(f"sqlite:///{site}/var/gateway.db", f"{now:%Y-%m-%dT%H:%M}"))


async def written(url: str, when: str) -> str:
    store = open_store(url)
    try:
        town = Town(store)
        number = await town.opens("caizheng", when, phone="+8613800130011")
        await town.settles(number, when, AUTHOR, "caizheng")
        return number
    finally:
        await store.close()


def test_counting_twice_counts_once(gateway: Gateway, case: str) -> None:
    assert gateway("scores", "run").code == 2  # who acts?
    assert gateway("scores", "run", "--as", DIRECTOR).fine().out.startswith("新记 2 笔")
    assert gateway("scores", "run", "--as", DIRECTOR, "--json").fine().json == {"added": 0}
    refused = gateway("scores", "run", "--as", AUTHOR)
    assert (refused.code, "没有这项权限" in refused.err) == (1, True)


def test_the_board_and_one_windows_points(gateway: Gateway, case: str) -> None:
    gateway("scores", "run", "--as", DIRECTOR).fine()
    bare, board = gateway("scores").fine().out, gateway("scores", "board").fine().out
    assert bare == board
    assert [line.split()[:4] for line in board.splitlines()[3:5]] == [
        ["1", "财政惠农", "90.2", "优秀"],
        ["2", "首问前台", "90", "优秀"],
    ]
    said = gateway("scores", "show", "caizheng").fine().out
    assert f"{case} 办结" in said
    assert "规则版本" in said and "2026-07-01" in said
    assert "没有记分" in gateway("scores", "show", "民政社保").fine().out
    found = gateway("scores", "board", "--officers", "--json").fine().json
    assert (found[0]["subject"], found[0]["rank"], found[0]["score"]) == (f"officer:{AUTHOR}", 1, "90.20")
    assert gateway("scores", "show", "nobody").code == 1
    assert gateway("scores", "board", "--month", "7月").code == 1


def test_a_point_by_hand_is_appealed_and_struck(gateway: Gateway, case: str) -> None:
    told = ("scores", "give", "caizheng", "absent", "--why", "下午三点没人")
    gateway(*told, "--as", DIRECTOR).fine()
    (point,) = gateway("scores", "show", "caizheng", "--json").fine().json["points"]
    assert (point["points"], point["appeal"]) == ("-5.00", None)
    assert "没有等裁定" in gateway("scores", "appeals").fine().out
    mine = gateway("scores", "appeal", str(point["id"]), "--why", "当时在开会", "--as", DIRECTOR).fine()
    assert "编号 1" in mine.out
    assert "当时在开会" in gateway("scores", "appeals").fine().out
    decide = ("scores", "decide", "1", "--why", "属实")
    assert gateway(*decide, "--as", DIRECTOR).code == 2
    assert "不能裁定" in gateway(*decide, "--reverse", "--as", DIRECTOR).err
    second = ("--name", "副主任", "--roles", "director", "--as", DIRECTOR)
    gateway("official", "add", "zhang", *second).fine()
    assert "不再计分" in gateway(*decide, "--reverse", "--as", "zhang").fine().out
    said = gateway("scores", "show", "caizheng").fine().out
    assert "-\u03365\u0336" in said
    assert "已撤销（zhang：属实）" in said


def test_the_summary_on_the_screen(gateway: Gateway, case: str) -> None:
    said = gateway("summary").fine().out
    assert "共受理群众来信1件，办结1件，办结率100.0%" in said
    assert said.splitlines()[-1].split()[:3] == ["合计", "1", "1"]
    assert gateway("summary", "--text").fine().out.count("\n") == 1
    found = gateway("summary", "--by", "item", "--json").fine().json
    assert (found["total"]["received"], found["total"]["completion"], found["total"]["mean"]) == (1, 1.0, None)
    assert sum(line["received"] for line in found["lines"]) == 1
    assert "没有受理" in gateway("summary", "--since", "2020-01-01", "--until", "2020-12-31").fine().out
    for wrong in (("--by", "colour"), ("--since", "7月"), ("--form", "a.xlsx")):
        assert gateway("summary", *wrong).code == 2


def test_the_cases_of_a_figure(gateway: Gateway, case: str) -> None:
    listed = gateway("summary", "--cases", "window=财政,办结").fine().out
    assert case in listed
    assert "1 件" in listed
    assert "13800130011" not in listed
    (one,) = gateway("summary", "--cases", "finished", "--json").fine().json["cases"]
    assert (one["number"], one["phone"]) == (case, "138****0011")
    assert gateway("summary", "--cases", "满意率").code == 1


def test_the_summary_as_a_workbook(gateway: Gateway, case: str, tmp_path: Path) -> None:
    gateway("summary", "--xlsx", tmp_path / "a.xlsx").fine()
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    assert book.sheetnames == ["按窗口", "按事项", "按村", "按月份", "文字"]
    rows = list(book["按窗口"].iter_rows(values_only=True))
    assert rows[0][:5] == ("窗口", "受理", "办结", "在办", "办结率")
    assert rows[-1][:5] == ("合计", 1, 1, 0, "100.0%")
    assert "—" in rows[-1]
    again = gateway("summary", "--xlsx", tmp_path / "a.xlsx")
    assert (again.code, "已经存在" in again.err) == (1, True)


def test_the_countys_form(gateway: Gateway, case: str, tmp_path: Path) -> None:
    form = openpyxl.Workbook()
    form.active.title = "表"
    for name, cell in {"受理总数": "A1", "财政_办结率": "A2", "什么": "A3"}.items():
        form.defined_names[name] = DefinedName(name, attr_text=f"表!${cell[0]}${cell[1]}")
    form.save(tmp_path / "form.xlsx")
    told = gateway("summary", "--form", tmp_path / "form.xlsx", "--out", tmp_path / "out.xlsx").fine()
    assert "已填 2 格" in told.err
    assert "不认识的名称：什么" in told.err
    sheet = openpyxl.load_workbook(tmp_path / "out.xlsx")["表"]
    assert [sheet[f"A{n}"].value for n in (1, 2, 3)] == [1, 1, None]
