"""Rosters at the keyboard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from cli.conftest import Gateway

EXPECTED = Path(__file__).parent.parent / "data" / "roster-expected.json"


def test_a_rehearsal_has_exactly_the_promised_shape_and_needs_no_site(gateway: Gateway, made: Path) -> None:
    answer = gateway("roster", "import", made / "subscribers" / "sample-town.csv", "--dry-run", "--json").fine().json
    assert list(answer) == ["rows", "importable", "duplicates", "shared", "rejected"]
    expected = json.loads(EXPECTED.read_text())
    assert answer["rows"] == expected["counts"]["rows"]
    assert answer["importable"] + answer["duplicates"] + len(answer["rejected"]) == answer["rows"]
    assert answer["shared"] == sum(not one["same_person"] for one in expected["duplicates"])
    rejected = [{"row": one["row"], "reason": one["reason"]} for one in expected["rejected"]]
    assert answer["rejected"] == rejected


def test_a_rehearsal_for_people_changes_nothing(gateway: Gateway, site: Path) -> None:
    file = site / "new.csv"
    file.write_text("姓名,电话号,村\n张三,13800139001,枣湾村\n李四,1380013,石畔村\n王五,13800139002,李家村\n")
    unsure = gateway("roster", "import", file, "--dry-run")
    assert unsure.code == 1
    assert "--column phone=" in unsure.err
    said = gateway("roster", "import", file, "--dry-run", "--column", "phone=电话号").fine().out
    assert "什么也没有改" in said
    assert "138****9001" not in said
    assert "位数太少" in said
    assert "李家村" in said
    assert gateway("roster", "show", "张三").fine().out == "没有找到。\n"
    assert gateway("roster", "import", file, "--column", "电话号").code == 2


def test_an_import_names_who_is_missing(gateway: Gateway, site: Path, people: Mapping[str, int]) -> None:
    file = site / "fewer.csv"
    lines = (site / "subscribers" / "sample-few.csv").read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:31]))
    said = gateway("roster", "import", file, "--name", "town", "--as", "wang").fine().out
    assert "没有删" in said
    assert "还有" in said
    assert gateway("roster", "show", "--json").fine().json["people"] == people[""]


def test_people_are_shown_masked_unless_asked(gateway: Gateway, site: Path) -> None:
    found = gateway("roster", "show", "13800130011", "--json").fine().json
    assert [one["phone"] for one in found] == ["138****0011"]
    assert "138****0011" in gateway("roster", "show", "13800130011").fine().out
    assert "13800130011" in gateway("roster", "show", "13800130011", "--full-numbers").fine().out
    assert "枣湾村" in gateway("roster", "show").fine().out


def test_consent_is_written_down_and_shown(gateway: Gateway, site: Path) -> None:
    assert "没有退订过" in gateway("roster", "consent", "13800130011").fine().out
    out = ("roster", "consent", "13800130011", "--out", "--category", "jobs", "--wording", "别再发招工")
    said = gateway(*out, "--as", "wang").fine().out
    assert "窗口" in said
    assert "招工信息" in said
    assert "别再发招工" in said
    assert gateway("roster", "consent", "13800130011", "--out", "--category", "noise", "--as", "wang").code == 1
    assert [one["state"] for one in gateway("roster", "consent", "13800130011", "--json").fine().json] == ["out"]
    gateway("inbound", "13800130011", "退订").fine()
    heard = gateway("roster", "consent", "13800130011").fine().out.splitlines()[-1].split()
    assert heard[4:] == ["短信（命令行代收）", "退订", "本人"]


def test_forgetting_asks_first(gateway: Gateway, site: Path) -> None:
    asked = gateway("roster", "forget", "13800130011", "--as", "li")
    assert (asked.code, asked.err) == (1, "这里不能询问，请加 --yes\n")
    assert "已删除 1 人" in gateway("roster", "forget", "13800130011", "--yes", "--as", "li").fine().out
    assert gateway("roster", "show", "13800130011").fine().out == "没有找到。\n"


def test_an_export_can_be_imported_again(gateway: Gateway, site: Path, people: Mapping[str, int]) -> None:
    assert gateway("roster", "export", "out.csv", "--as", "wang").code == 1
    gateway("roster", "export", "out.csv", "--as", "li").fine()
    assert gateway("roster", "export", "out.csv", "--as", "li").code == 1
    again = gateway("roster", "import", "out.csv", "--dry-run", "--json").fine().json
    assert (again["importable"], again["rejected"]) == (people[""], [])
