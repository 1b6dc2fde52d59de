"""Broadcasts at the keyboard."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.conftest import POLICY, Gateway
from gateway import sheets
from gateway.app import open_gateway
from gateway.worktime import ManualClock


def drafted(gateway: Gateway, *options: str | Path) -> dict[str, object]:
    found: dict[str, object] = gateway("--as", "wang", "broadcast", "draft", *POLICY, *options, "--json").fine().json
    return found


def approved(gateway: Gateway, *options: str | Path) -> dict[str, object]:
    found = drafted(gateway, *options)
    gateway("--as", "li", "broadcast", "approve", str(found["id"]), "--people", str(found["people"])).fine()
    return found


def test_the_audience_is_what_the_options_say(gateway: Gateway, people: Mapping[str, int]) -> None:
    assert drafted(gateway)["people"] == people[""]
    assert (
        drafted(gateway, "--audience", "conscripts")["people"]
        == drafted(gateway, "--sex", "男", "--age", "18-22")["people"]
    )
    away, home = drafted(gateway, "--away")["people"], drafted(gateway, "--home")["people"]
    assert (away, home) == (people["away"], people[""] - people["away"])
    one = drafted(gateway, "--village", "枣湾村", "--tag", "果农", "--home", "--area", "610899100201")["people"]
    assert isinstance(one, int)
    assert 0 < one < people["枣湾村"]


def test_a_list_lies_within_the_site(gateway: Gateway, site: Path, tmp_path: Path) -> None:
    outside = tmp_path / "list.csv"
    outside.write_text("姓名,手机号\n惠慧雯,13800130011\n")
    refused = gateway("--as", "wang", "broadcast", "draft", *POLICY, "--list", outside)
    assert refused.code == 1
    assert "站点目录" in refused.err
    (site / "subscribers" / "list.csv").write_text(outside.read_text())
    assert drafted(gateway, "--list", "subscribers/list.csv")["people"] == 1


PAYOUT = """姓名,手机号,金额(元)
惠慧雯,13800130011,84.6
惠慧雯,13800130017,10
没有此人,13800139999,10
郭春娥,13800130017,0
"""


def test_a_payout_is_checked_against_the_roster(gateway: Gateway, site: Path) -> None:
    (site / "subscribers" / "pay.csv").write_text(PAYOUT)
    fields = ("--set", "项目=种粮补贴", "--set", "电话=0912-0000300", "--set", "账号尾号=8215")
    draft = ("--as", "wang", "broadcast", "draft", "subsidy-payout", *fields, "--payout", "subscribers/pay.csv")
    said = gateway(*draft).fine().out
    assert "惠慧雯：种粮补贴84.60元" in said
    for reason in ("花名册里没有这个号码", "花名册里这个号码不是此人的", "金额不大于零"):
        assert reason in said
    assert gateway(*draft, "--village", "枣湾村").code == 2
    missing = gateway("--as", "wang", "broadcast", "draft", "subsidy-payout", "--payout", "none.csv")
    assert (missing.code, missing.err) == (1, "找不到文件 none.csv\n")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--audience", "nobody"], 1),
        (["--age", "old"], 2),
        (["--village", "李家村", "--at", "soon"], 2),
        (["--set", "事项"], 2),
        (["--set", "颜色=红"], 1),
    ],
)
def test_what_cannot_be_read_is_refused(gateway: Gateway, site: Path, options: list[str], code: int) -> None:
    assert gateway("--as", "wang", "broadcast", "draft", *POLICY, *options).code == code
    assert gateway("broadcast", "list").out == "还没有群发。\n"


def test_the_same_key_is_the_same_broadcast(gateway: Gateway, site: Path) -> None:
    first = drafted(gateway, "--key", "k", "--village", "枣湾村", "--at", "2099-07-01 09:00")
    assert drafted(gateway, "--key", "k")["id"] == first["id"]
    assert first["not_before"] == "2099-07-01T01:00:00+00:00"


def test_texts_whose_account_was_renamed_are_told_of(gateway: Gateway, site: Path) -> None:
    people = approved(gateway, "--village", "枣湾村", "--at", "2099-07-01 09:00")["people"]
    assert "在等通道" not in gateway("carriers").fine().err
    config = site / "config.toml"
    config.write_text(
        config.read_text().replace("[carriers.simulator]", "[carriers.other]").replace('["simulator"]', '["other"]')
    )
    said = gateway("carriers").fine().err
    assert "条短信在等通道 simulator，config.toml 里没有它：把名字改回来" in said and str(people) in said


def test_an_approval_may_name_its_digest(gateway: Gateway, site: Path) -> None:
    found = drafted(gateway, "--village", "枣湾村")
    approve = ("--as", "li", "broadcast", "approve", "1", "--people", str(found["people"]), "--digest")
    assert gateway(*approve, "0" * 64).code == 1
    gateway(*approve, str(found["digest"])[:16]).fine()
    assert gateway("--as", "li", "broadcast", "compose", "1").code == 1


def test_without_a_terminal_the_number_is_an_option(gateway: Gateway, site: Path) -> None:
    drafted(gateway, "--village", "枣湾村")
    asked = gateway("--as", "li", "broadcast", "approve", "1")
    assert asked.code == 1
    assert "--people" in asked.err


def test_stop_resume_cancel(gateway: Gateway, site: Path) -> None:
    approved(gateway, "--village", "枣湾村")
    for verb, state in (("stop", "stopped"), ("resume", "approved"), ("cancel", "cancelled")):
        gateway("--as", "li", "broadcast", verb, "1").fine()
        assert gateway("broadcast", "show", "1", "--json").fine().json["state"] == state
    counts = gateway("broadcast", "show", "1", "--json").fine().json["counts"]
    assert (counts["cancelled"], counts["waiting"]) == (counts["texts"], 0)


def test_composing_anew_takes_the_roster_as_it_is(gateway: Gateway, site: Path) -> None:
    before = drafted(gateway, "--village", "枣湾村")["people"]
    gateway("roster", "forget", "13800130011", "--yes", "--as", "li").fine()
    after = gateway("--as", "wang", "broadcast", "compose", "1", "--json").fine().json["people"]
    assert (before, after) == (after + 1, after)


def test_one_persons_text_is_looked_up(gateway: Gateway, site: Path) -> None:
    drafted(gateway, "--village", "枣湾村")
    found = gateway("broadcast", "show", "1", "--name", "惠慧雯", "--json").fine().json
    assert [number for number, _ in found["samples"]] == ["138****0011"]
    assert "名单里没有 某人" in gateway("broadcast", "show", "1", "--name", "某人").fine().err


def test_a_test_send_and_uncertain_texts(gateway: Gateway, site: Path) -> None:
    approved(gateway, "--village", "枣湾村")
    gateway("--as", "wang", "broadcast", "test", "1", "--to", "13800130001").fine()
    assert gateway("--as", "wang", "broadcast", "test", "1", "--to", "0912-3456789").code == 1
    assert gateway("--as", "li", "broadcast", "uncertain", "1").code == 2
    assert gateway("--as", "li", "broadcast", "uncertain", "1", "--resend").fine().out.startswith("0 条")


def test_reports(gateway: Gateway, site: Path) -> None:
    texts = approved(gateway, "--village", "枣湾村")["texts"]
    gateway("broadcast", "report", "1", "--out", "one.xlsx").fine()
    assert "按村" in sheets.open_table(site / "one.xlsx").sheet_names
    assert gateway("broadcast", "report", "1", "--json").fine().json["by_village"] == {"枣湾村": {"waiting": texts}}
    behind = gateway("broadcast", "left-behind", "1", "--out", "behind.xlsx").fine()
    assert "behind.xlsx" in behind.err
    assert (site / "behind.xlsx").stat().st_size > 0
    assert "惠慧雯" in gateway("broadcast", "left-behind", "1").fine().out
    assert gateway("broadcast", "left-behind", "1", "--out", "behind.xlsx").code == 1
    early = gateway("--as", "wang", "broadcast", "left-behind", "1", "--tell")
    assert (early.code, early.err) == (1, "还在发，发完再告知各村\n")
    with sqlite3.connect(site / "var" / "gateway.db") as db:  # as if it had been sent, and nobody answered
        db.execute("UPDATE parcel SET state = 'done', watermark = n")
    told = gateway("--as", "wang", "broadcast", "left-behind", "1", "--tell").fine().out
    assert "已通知文书" in told


def test_a_periods_report_adds_up(gateway: Gateway, site: Path, people: Mapping[str, int]) -> None:
    assert "没有发过" in gateway("report").fine().out
    approved(gateway, "--village", "枣湾村")
    approved(gateway, "--village", "石畔村")
    drafted(gateway)
    found = gateway("report", "--json").fine().json
    assert found["totals"]["people"] == people["枣湾村"] + people["石畔村"]
    assert len(found["broadcasts"]) == 2
    gateway("report", "--out", "month.xlsx").fine()
    rows = list(sheets.open_table(site / "month.xlsx").rows())
    assert [row.cells[0] for row in rows[1:]] == [1, 2]
    assert "合计" in gateway("report").fine().out
    assert "没有发过" in gateway("report", "--from", "2001-01-01", "--to", "2001-01-31").fine().out
    assert gateway("report", "--from", "tomorrow").code == 2
    assert gateway("report", "--out", "month.pdf").code == 1


def test_accounts_show_what_waits(gateway: Gateway, site: Path) -> None:
    [account] = gateway("carriers", "--json").fine().json
    assert (account["name"], account["waiting"]) == ("simulator", 0)
    approved(gateway)
    texts = gateway("broadcast", "show", "1", "--json").fine().json["texts"]
    assert gateway("carriers", "--json").fine().json[0]["waiting"] == texts
    said = gateway("carriers").fine().out
    assert "移动、电信、联通、广电" in said
    assert "没有在运行" in said


def test_what_the_account_objects_to_is_shown_and_cannot_be_approved(gateway: Gateway, site: Path) -> None:
    config = site / "config.toml"
    bought = 'signature_state = "pending"\nbalance = 500\nbalance_on = 2026-11-01\nbalance_warning = 499\n'
    config.write_text(config.read_text().replace("rate = 2000", bought + "rate = 2000"))
    drafted(gateway, "--village", "枣湾村")
    said = gateway("broadcast", "show", "1").fine().out
    assert "不能批准：simulator：签名【枣原镇】还在报备" in said
    assert said.index("不能批准") < said.index("注意：simulator：发完后账号只剩")
    people = str(gateway("broadcast", "show", "1", "--json").fine().json["people"])
    refused = gateway("--as", "li", "broadcast", "approve", "1", "--people", people)
    assert (refused.code, "还在报备" in refused.err) == (1, True)
    assert gateway("broadcast", "show", "1", "--json").json["findings"][0]["refuses"] is True


REFUSES = """rate = 5000
reject = 1.0
codes = { "submit R:REFUSED" = { kind = "content", does = "pause", zh = "含敏感词", en = "a keyword" } }
"""


async def until_paused(directory: Path) -> None:
    """Send with the simulator until the system has stopped it, as `gateway serve` would."""
    noon = ManualClock(datetime.now(UTC).replace(hour=4))  # stands still, so that a burst leaves and no more
    async with open_gateway(directory, noon) as opened, opened.dispatching(), opened.keeping_house():
        async with asyncio.timeout(30):
            while await opened.watch.paused(1) is None:
                await asyncio.sleep(0.05)


def test_one_that_the_operator_refuses_pauses_itself_and_says_what_may_be_done(gateway: Gateway, site: Path) -> None:
    config = site / "config.toml"
    text = config.read_text(encoding="utf-8")
    config.write_text(re.sub(r"^rate = 2000.*\n", REFUSES, text, flags=re.M), encoding="utf-8")
    approved(gateway)
    asyncio.run(until_paused(site))
    shown = gateway("broadcast", "show", "1").fine()
    assert "已停" in shown.out
    assert "系统自动停下" in shown.out
    assert "含敏感词" in shown.out
    assert "--to-manager" in shown.err
    assert "--instead-of 1" in shown.err
    message = gateway("broadcast", "show", "1", "--to-manager").fine().out
    assert message.startswith("您好")
    assert "R:REFUSED" in message
    paused = gateway("broadcast", "show", "1", "--json").fine().json["paused"]
    assert paused["answers"] >= 20
    counts = gateway("broadcast", "show", "1", "--json").fine().json["counts"]
    assert counts["waiting"] + counts["rejected"] == counts["texts"]
    assert gateway("broadcast", "show", "99", "--to-manager").code == 1
    (failure,) = gateway("carriers", "failures", "--json").fine().json
    assert (failure["account"], failure["code"], failure["kind"]) == ("simulator", "R:REFUSED", "content")
    assert "含敏感词" in gateway("carriers", "failures").fine().out


def test_the_halls_own_phone_rides_along_and_its_holder_says_what_came(gateway: Gateway, site: Path) -> None:
    config = site / "config.toml"
    own = '\n[[test_phones]]\nnumber = "13800139001"\noperator = "移动"\n'
    text = config.read_text(encoding="utf-8").replace("[dispatch]\n", "[dispatch]\ntest_phones_from = 10\n", 1)
    config.write_text(text + own, encoding="utf-8")
    approved(gateway)
    assert gateway("broadcast", "testphone", "1", "13800139001").code == 2
    gateway("--as", "wang", "broadcast", "testphone", "1", "13800139001", "--got").fine()
    report = gateway("broadcast", "report", "1").fine()
    assert "大厅的测试手机" in report.out
    assert "138****9001" in report.out
    assert "收到了" in report.out
    (own_phone,) = gateway("broadcast", "report", "1", "--json").fine().json["test_phones"]
    assert (own_phone["phone"], own_phone["got"]) == ("138****9001", True)
    assert gateway("--as", "wang", "broadcast", "testphone", "1", "13800139002", "--not").code == 1
