"""Who is on duty and whom the alarms would tell, from the keyboard."""

from __future__ import annotations

from pathlib import Path

from cli.conftest import Gateway

MONDAY, NIGHT, HOLIDAY = "2026-09-28 10:00", "2026-09-28 21:00", "2026-10-03 10:00"


def test_who_is_on_duty_at_a_time(gateway: Gateway, site: Path) -> None:
    said = gateway("duty", "now", "--at", MONDAY).fine().out
    assert "赵婷" in said
    assert "189****8301" in said
    assert "18900138301" not in said
    found = gateway("duty", "now", "--at", MONDAY, "--json").fine().json
    assert len(found) == 10
    assert (found[0]["window"], [one["login"] for one in found[0]["officers"]]) == ("", ["guo-zhuren"])
    (night,) = gateway("duty", "now", "--window", "caizheng", "--at", NIGHT, "--json").fine().json
    assert ([one["login"] for one in night["officers"]], night["why"]) == (["zhiban-1"], "大厅值班")


def test_who_is_on_duty_now(gateway: Gateway, site: Path) -> None:
    assert all(one["officers"] for one in gateway("duty", "now", "--json").fine().json)


def test_a_week_of_the_hall_and_of_a_window(gateway: Gateway, site: Path) -> None:
    said = gateway("duty", "week", "--at", "2026-09-30").fine().out
    assert "国庆节" in said
    assert "17:30-24:00" in said
    found = gateway("duty", "week", "--window", "caizheng", "--at", "2026-10-04", "--json").fine().json
    assert {one["day"] for one in found} == {f"2026-10-{day:02}" for day in range(4, 11)}
    assert [one["officers"] for one in found if one["day"] == "2026-10-05"] == [["guo-zhuren", "zhiban-1"]]
    assert ["zhao-ting"] in [one["officers"] for one in found if one["day"] == "2026-10-10"]


def test_an_unknown_window_is_told_with_those_there_are(gateway: Gateway, site: Path) -> None:
    for words in (("now",), ("week",)):
        found = gateway("duty", *words, "--window", "caizhen")
        assert found.code == 1
        assert "caizheng" in found.err


def test_what_would_be_told(gateway: Gateway, site: Path) -> None:
    gateway("inbound", "13800130011", "粮食直补什么时候发").fine()
    (case,) = gateway("cases", "list", "--json").fine().json
    at = ("--at", "2036-01-02 10:00")  # long overdue
    told = gateway("duty", "alarms", *at).fine().out
    assert "超期督办" in told
    assert case["number"] in told
    assert "粮食直补" not in told
    assert "13800130011" not in told
    assert "--why" not in told
    why = gateway("duty", "alarms", *at, "--why").fine().out
    assert "督办第1级" in why
    assert "已超期" in why
    levels = [one["level"] for one in gateway("duty", "alarms", *at, "--json").fine().json]
    assert levels == ["digest", "overdue", "ladder-1", "ladder-2"]
    assert gateway("duty", "alarms", *at).fine().out == told  # nothing was sent


def test_nothing_is_told_on_a_day_off(gateway: Gateway, site: Path) -> None:
    said = gateway("duty", "alarms", "--at", HOLIDAY).fine().out
    assert "国庆节" in said
    assert "没有要提醒的" in gateway("duty", "alarms", "--at", MONDAY).fine().out


def test_a_site_whose_rota_names_no_window_is_not_in_order(gateway: Gateway, site: Path) -> None:
    file = site / "duty.toml"
    file.write_text(file.read_text(encoding="utf-8").replace('window = "caizheng"', 'window = "caizhen"', 1))
    found = gateway("check")
    assert found.code == 1
    assert "没有窗口 caizhen，是不是 caizheng？" in found.err
