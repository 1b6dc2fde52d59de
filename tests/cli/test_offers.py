"""Jobs, courses and guides from the keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Gateway

OFFERS = """
[[jobs]]
code = "fenjian"
employer = "清宁枣业"
work = "分拣工"
place = "县工业园"
pay = "每月3500元"
count = 20
terms = "管午饭"
phone = "0912-0000801"
until = 2099-12-31
keywords = ["枣"]

[[jobs]]
code = "baoan"
employer = "枣原中学"
work = "保安"
place = "枣原镇"
pay = "每月2600元"
count = 2
phone = "0912-0000802"
until = 2020-12-31

[[courses]]
code = "hangong"
name = "焊工"
aliases = ["电焊"]
starts = 2099-12-15
place = "镇文化站"
places = 1
waiting = 2
until = 2099-12-10
phone = "0912-0000600"
"""


@pytest.fixture
def town(site: Path) -> Path:
    """A site whose offers do not end while these tests are kept."""
    (site / "offers.toml").write_text(OFFERS, encoding="utf-8")
    return site


def test_what_there_is_and_what_is_over(gateway: Gateway, town: Path) -> None:
    said = gateway("offers", "list").fine().out
    assert [line.split()[0] for line in said.splitlines() if "工" in line] == ["岗位", "fenjian", "hangong"]
    assert "已截止" in next(line for line in said.splitlines() if "baoan" in line)
    assert said.count("已截止") == 1
    found = gateway("offers", "list", "--json").fine().json
    assert [(one["code"], one["open"]) for one in found["jobs"]] == [("fenjian", True), ("baoan", False)]
    (course,) = found["courses"]
    assert (course["places"], course["in"], course["waiting"], course["on_waiting_list"]) == (1, 0, 2, 0)


def test_a_site_without_offers(gateway: Gateway, site: Path) -> None:
    (site / "offers.toml").write_text("", encoding="utf-8")
    assert "没有岗位" in gateway("offers", "list").fine().out


def test_one_job_and_one_course(gateway: Gateway, town: Path) -> None:
    job = gateway("offers", "show", "fenjian").fine().out
    assert "管午饭" in job
    assert "已截止" not in job
    assert "2020-12-31（已截止）" in gateway("offers", "show", "baoan").fine().out
    course = gateway("offers", "show", "hangong").fine().out
    assert "电焊" in course
    assert "1，报上0" in course
    assert gateway("offers", "show", "fenjian", "--json").fine().json["pay"] == "每月3500元"
    assert gateway("offers", "show", "hangong", "--json").fine().json["starts"] == "2099-12-15"


@pytest.mark.parametrize(
    ("words", "known"), [(("show", "hangon"), "fenjian、baoan、hangong"), (("signups", "fenjian"), "有：hangong")]
)
def test_an_unknown_code_is_told_with_those_there_are(
    gateway: Gateway, town: Path, words: tuple[str, str], known: str
) -> None:
    said = gateway("offers", *words)
    assert said.code == 1
    assert known in said.err


def test_who_signed_up_by_text_in_the_order_of_the_line(gateway: Gateway, town: Path) -> None:
    assert "还没有人报名" in gateway("offers", "signups", "hangong").fine().out
    for number in ("13800137001", "13800137002", "13800137003"):
        gateway("inbound", number, "报名焊工").fine()
    said = gateway("offers", "signups", "hangong").fine().out
    assert "13800137001" not in said
    assert "138****7001" in said
    found = gateway("offers", "signups", "hangong", "--full-numbers", "--json").fine().json
    assert [(one["state"], one["place"], one["phone"], one["name"]) for one in found] == [
        ("in", 1, "13800137001", ""),
        ("waiting", 1, "13800137002", ""),
        ("waiting", 2, "13800137003", ""),
    ]
    gateway("inbound", "13800137001", "取消报名焊工").fine()
    found = gateway("offers", "signups", "hangong", "--json").fine().json
    assert [(one["state"], one["phone"]) for one in found] == [("in", "138****7002"), ("waiting", "138****7003")]
    (course,) = gateway("offers", "list", "--json").fine().json["courses"]
    assert (course["in"], course["on_waiting_list"]) == (1, 1)


def test_a_guide_as_it_is_sent(gateway: Gateway, site: Path) -> None:
    said = gateway("guide", "低保").fine().out
    assert "第1条" in said
    assert "低保申请书" in said
    found = gateway("guide", "mz-01", "--json").fine().json
    assert (found["code"], found["window"]) == ("mz-01", "minzheng")
    assert all(text in said.replace("\n  ", "") for text in found["texts"])


def test_a_word_that_stands_in_several_items_lists_them(gateway: Gateway, site: Path) -> None:
    said = gateway("guide", "补贴").fine().out
    assert "cz-01" in said
    assert "cz-04" in said
    codes = [one["code"] for one in gateway("guide", "补贴", "--json").fine().json]
    assert {"cz-01", "cz-04", "mz-09"} <= set(codes)


@pytest.mark.parametrize("word", ["没有这件事", "？"])
def test_a_word_that_no_item_has(gateway: Gateway, site: Path, word: str) -> None:
    said = gateway("guide", word)
    assert said.code == 1
    assert word in said.err
