"""One text: looked at, or sent to one number."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Gateway

CARD = """+++
title = "取证"
name_zh = "取证通知"
single = true
category = "card"

[fields]
"证件" = { about = "什么证", example = "社保卡" }
+++
{姓名}：您的{证件}办好了，请带身份证来取。
"""


@pytest.fixture
def card(site: Path) -> None:
    (site / "templates" / "card.md").write_text(CARD)


def test_a_preview_touches_no_database(gateway: Gateway, site: Path) -> None:
    (site / "var" / "gateway.db").unlink()
    said = gateway("preview", "policy", "--to", "18600130001", "--set", "事项=危房改造")
    assert "联通" in said.fine().out
    assert "在外的人" in said.out
    assert "186****0001" in said.out
    assert said.err == "用的是示例：要点、窗口、电话（--set 字段=值）\n"
    assert not (site / "var" / "gateway.db").exists()


def test_a_preview_in_json(gateway: Gateway, site: Path) -> None:
    found = gateway("preview", "jobs", "--json").fine().json
    assert [(one["for"], one["parts"], one["cost"]) for one in found["texts"]] == [("home", 2, "0.10")]
    assert gateway("preview", "nope").code == 1
    assert gateway("preview", "jobs", "--set", "颜色=红").code == 1
    assert gateway("preview", "jobs", "--to", "110").code == 1


def test_a_preview_of_a_list_counts_each_row(gateway: Gateway, site: Path) -> None:
    sheet = ("--list", "subscribers/sample-subsidy-2026-grain.csv", "--set", "项目=补贴", "--set", "电话=0912-0000300")
    found = gateway("preview", "subsidy-payout", *sheet, "--json").fine().json
    assert (found["texts"], found["parts"], found["cost"]) == (613, 613, "30.65")
    assert [one["row"] for one in found["problems"]] == [24, 76, 418]
    assert "还缺：金额" in gateway("preview", "subsidy-payout", *sheet).fine().out


def test_only_single_templates_are_sent_singly(gateway: Gateway, site: Path, card: None) -> None:
    refused = gateway("send", "jobs", "--to", "13800130011", "--as", "wang")
    assert refused.code == 1
    assert "single = true" in refused.err
    missing = gateway("send", "card", "--to", "13800130011", "--as", "wang")
    assert (missing.code, missing.err) == (1, "还缺：证件\n")
    unknown = gateway("send", "card", "--to", "13800130011", "--set", "色=红", "--as", "wang")
    assert unknown.code == 1


def test_one_text_is_queued_and_audited(gateway: Gateway, site: Path, card: None) -> None:
    sent = gateway("send", "card", "--to", "13800130011", "--set", "证件=社保卡", "--as", "wang")
    assert "已排队" in sent.fine().out
    assert gateway("carriers", "--json").fine().json[0]["waiting"] == 1
    assert gateway("audit", "verify").code == 0


def test_an_appointment_of_the_sample_site_is_sent_to_one_person(gateway: Gateway, site: Path) -> None:
    values = ("姓名=李秀英", "时间=8月3日7时30分", "地点=县医院体检中心", "电话=0912-0000800")
    given = [word for value in values for word in ("--set", value)]
    sent = gateway("send", "conscription-physical", "--to", "18600130001", *given, "--as", "wang", "--json")
    assert sent.fine().json["state"] == "waiting"
    refused = gateway("send", "conscription-physical", "--to", "110", *given, "--as", "wang")
    assert (refused.code, refused.out) == (1, "")


def test_who_opted_out_gets_none(gateway: Gateway, site: Path, card: None) -> None:
    gateway("roster", "consent", "13800130011", "--out", "--as", "wang").fine()
    refused = gateway("send", "card", "--to", "13800130011", "--set", "证件=社保卡", "--as", "wang")
    assert (refused.code, refused.err) == (1, "这个号码退订了取证通知\n")
