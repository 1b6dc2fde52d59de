"""Schedules at the keyboard."""

from __future__ import annotations

from pathlib import Path

from cli.conftest import Gateway


def test_schedules_are_listed_with_what_stands(gateway: Gateway, site: Path) -> None:
    found = gateway("schedule", "list", "--json").fine().json
    assert [one["name"] for one in found["schedules"]] == ["weather-daily", "pension-reminder", "forest-fire"]
    assert [len(one["due"]) for one in found["schedules"]] == [5, 5, 5]
    assert found["faults"] == []
    said = gateway("schedule", "list").fine().out
    assert said.count(" 09:00") == 5
    assert "要处理" not in said
    assert "长期审批" in said
    assert "没有" in said


def test_a_run_waits_for_approval_until_one_stands(gateway: Gateway, site: Path) -> None:
    ran = gateway("schedule", "run", "pension-reminder", "--as", "li").fine()
    assert ran.out == "群发 1：待审批\n"
    listed = gateway("schedule", "list").fine()
    assert 0 < listed.out.index("等待审批") < listed.out.index("weather-daily")
    assert "待审批" in listed.out.splitlines()[-1]
    assert listed.err == "审批：gateway broadcast approve 编号\n"
    ceilings = ("--max-people", "5000", "--max-cost", "500")
    stood = gateway("schedule", "approve", "pension-reminder", "--broadcast", "1", *ceilings, "--as", "li").fine()
    assert "500.00 元" in stood.out
    standing = {one["name"]: one["standing"] for one in gateway("schedule", "list", "--json").fine().json["schedules"]}
    assert standing["pension-reminder"] == "in force"


def test_pause_and_resume(gateway: Gateway, site: Path) -> None:
    assert gateway("schedule", "pause", "weather-daily", "--as", "wang").code == 1
    gateway("schedule", "pause", "weather-daily", "--as", "li").fine()
    assert "暂停中" in gateway("schedule", "list").fine().out
    gateway("schedule", "resume", "weather-daily", "--as", "li").fine()
    assert "暂停中" not in gateway("schedule", "list").fine().out


def test_what_is_not_waiting_is_refused(gateway: Gateway, site: Path) -> None:
    assert gateway("schedule", "skip", "weather-daily", "2026-07-01 07:00", "--as", "li").code == 1
    assert gateway("schedule", "skip", "weather-daily", "whenever", "--as", "li").code == 2
    assert gateway("schedule", "run", "nothing", "--as", "li").code == 1
    assert "没有落后" in gateway("schedule", "confirm-clock", "--as", "li").err
    money = ("--max-people", "1", "--max-cost", "much")
    assert gateway("schedule", "approve", "weather-daily", "--broadcast", "1", *money, "--as", "li").code == 2
