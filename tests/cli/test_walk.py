"""From an empty directory to an approved broadcast, as the town's IT person and two officials type it."""

from __future__ import annotations

from pathlib import Path

from cli.conftest import POLICY, Gateway


def test_a_first_day(gateway: Gateway, tmp_path: Path) -> None:
    site = tmp_path / "hall"
    at = ("--site", site)
    assert "config.toml" in gateway("init", site).fine().out
    assert "没有错误" in gateway(*at, "check").fine().out
    gateway(*at, "official", "add", "li", "--first", "--roles", "approver").fine()
    gateway(*at, "official", "add", "wang", "--roles", "起草", "--as", "li").fine()
    roster = site / "subscribers" / "sample-town.csv"
    taken = gateway(*at, "--as", "wang", "roster", "import", roster, "--json").fine().json
    assert (taken["importable"], taken["new"]) == (2955, 2955)

    drafted = gateway(*at, "--as", "wang", "broadcast", "draft", *POLICY, "--village", "枣湾村", "--json").fine().json
    assert (drafted["state"], drafted["people"], drafted["cost"]) == ("composed", 537, "26.80")
    number = str(drafted["id"])
    own = gateway(*at, "--as", "wang", "broadcast", "approve", number, "--people", "537")
    assert own.code == 1
    assert "没有这项权限" in own.err
    wrong = gateway(*at, "--as", "li", "broadcast", "approve", number, "--people", "536")
    assert wrong.code == 1
    assert "537 人，没有批准" in wrong.err
    gateway(*at, "--as", "li", "broadcast", "approve", number, "--people", "537").fine()

    listed = gateway(*at, "broadcast", "list", "--json").fine().json
    assert [(one["state"], one["author"], one["approver"]) for one in listed] == [("approved", "wang", "li")]
    shown = gateway(*at, "broadcast", "show", number).fine().out
    assert "已批准" in shown
    assert "【枣原镇】危房改造：9月30日前申请" in shown
    assert gateway(*at, "audit", "verify", "--json").fine().json["whole"]


def test_an_author_who_may_approve_others_is_refused_their_own(gateway: Gateway, site: Path) -> None:
    gateway("official", "roles", "wang", "author,approver", "--as", "li").fine()
    gateway("--as", "wang", "broadcast", "draft", *POLICY).fine()
    refused = gateway("--as", "wang", "broadcast", "approve", "1")
    assert refused.code == 1
    assert "不能审批自己起草的群发" in refused.err
