"""Making, checking and serving a site."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from cli.conftest import Gateway


def test_init_overwrites_nothing(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("mine")
    refused = gateway("init", tmp_path)
    assert refused.code == 1
    assert "不覆盖" in refused.err
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


def test_the_site_is_found_from_below_and_told_when_there_is_none(
    gateway: Gateway, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site / "templates" / "service")
    gateway("check").fine()
    monkeypatch.chdir(tmp_path)
    assert "这里没有站点" in gateway("check").err
    assert gateway("check", "--site", site).code == 0
    assert gateway("check", f"--site={site / 'templates'}").code == 1


def test_check_lists_templates_with_what_they_cost(gateway: Gateway, site: Path) -> None:
    found = gateway("check", "--json").fine().json
    rows = {row["name"]: row for row in found["templates"]}
    assert rows["jobs"]["parts"] == 2
    assert rows["jobs"]["cost"] == "0.10"
    assert rows["subsidy-payout"]["personal"] is True
    assert rows["policy"]["away"]["characters"] == 70
    advised = [one["file"].removeprefix("templates/") for one in found["advice"]]
    assert [name for name in advised if "/" not in name] == ["jobs.md", "weather-warning.md"]
    # Two parts is what it takes to say everything; every other text of the hall's own fits into one.
    in_two_parts = [f"service/{name}.md" for name in ("acknowledgement", "menu", "papers")]
    assert [name for name in advised if "/" in name] == in_two_parts
    table = gateway("check").fine().out
    assert "conscription-registration" in table
    assert "\x1b" not in table


def break_site(site: Path) -> None:
    config = (site / "config.toml").read_text()
    config = config.replace('timezone = "Asia/Shanghai"', 'timezone = "Asia/Nowhere"')
    (site / "config.toml").write_text(config.replace("tags = [", "tagz = ["))
    (site / "templates" / "policy.md").write_text("no front matter")


def test_a_broken_site_is_told_whole(gateway: Gateway, site: Path) -> None:
    break_site(site)
    broken = gateway("check")
    assert (broken.code, broken.out) == (1, "")
    lines = broken.err.splitlines()
    assert len(lines) >= 5
    assert any(line.startswith("config.toml:8 site.timezone：") for line in lines)
    assert any(line.startswith("templates/policy.md:1") for line in lines)
    told = gateway("check", "--json")
    assert told.code == 1
    assert told.json["ok"] is False
    assert {problem["key"] for problem in told.json["problems"]} >= {"site.timezone", "audiences.grain-growers.tagz"}


def test_other_commands_tell_a_broken_site_too(gateway: Gateway, site: Path) -> None:
    break_site(site)
    broken = gateway("broadcast", "list")
    assert broken.code == 1
    assert "site.timezone" in broken.err
    assert "Traceback" not in broken.err


def test_db_upgrade(gateway: Gateway, site: Path) -> None:
    (site / "var" / "gateway.db").unlink()
    assert "0001" in gateway("db", "upgrade").fine().out
    assert (site / "var" / "gateway.db").exists()
    assert "还没有群发" in gateway("broadcast", "list").fine().out


def test_serve_knows_its_parts(gateway: Gateway, site: Path) -> None:
    wrong = gateway("serve", "--only", "dispatch,letters")
    assert wrong.code == 2
    assert "letters" in wrong.err
    missing = gateway("serve", "--only", "web")
    assert missing.code == 1
    assert "GATEWAY_WEBHOOK_SECRET" in missing.err


def test_the_form_is_served_without_the_secret_that_hooks_need(site: Path) -> None:
    config = (site / "config.toml").read_text().replace("127.0.0.1:8081", "127.0.0.1:0")
    (site / "config.toml").write_text(config)
    environ = {name: value for name, value in os.environ.items() if name != "GATEWAY_WEBHOOK_SECRET"}
    command = [sys.executable, "-m", "gateway.cli", "serve"]
    environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    with subprocess.Popen(command, cwd=site, env=environ, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        address, page, answered = "", "", ""
        for line in serving.stdout:
            address = line.strip().partition("：")[2] if line.startswith("网上来信") else address
            if "正在运行" in line:
                page = urlopen(address).read().decode()
                told = urlencode({"phone": "13800130011", "text": "粮补啥时候发"}).encode()
                answered = urlopen(f"{address}/inbound", told).read().decode()
                serving.send_signal(signal.SIGINT)
    assert "枣原镇便民服务大厅" in page
    assert "收到了" in answered


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_runs_until_it_is_told_to_end(site: Path, number: signal.Signals) -> None:
    listen = (site / "config.toml").read_text().replace("127.0.0.1:8081", "127.0.0.1:0")
    (site / "config.toml").write_text(listen)
    environ = {**os.environ, "GATEWAY_WEBHOOK_SECRET": "whsec_" + "QUJD" * 8, "PYTHONPATH": str(Path.cwd())}
    environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    serving = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "serve"],
        cwd=site,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert serving.stdout is not None
    said = []
    for line in serving.stdout:
        said.append(line)
        if "正在运行" in line:
            serving.send_signal(number)
    assert serving.stderr is not None
    errors = serving.stderr.read()
    assert serving.wait(10) == 0, errors
    serving.stdout.close()
    serving.stderr.close()
    assert any("http://127.0.0.1:" in line and "/hooks/inbound" in line for line in said)
    assert "Traceback" not in errors
    assert said[-1] == "已结束。\n"


def test_a_port_that_is_taken_is_told(gateway: Gateway, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_WEBHOOK_SECRET", "whsec_" + "QUJD" * 8)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        config = (site / "config.toml").read_text().replace("127.0.0.1:8081", listen)
        (site / "config.toml").write_text(config)
        refused = gateway("serve", "--only", "web")
    assert refused.code == 1
    assert refused.err.startswith(f"不能监听 {listen}")


def test_a_database_that_is_none_is_told_without_its_words(gateway: Gateway, site: Path) -> None:
    (site / "var" / "gateway.db").write_bytes(b"this is no database at all " * 100)
    broken = gateway("broadcast", "list")
    assert broken.code == 1
    assert broken.err == "数据库现在用不了，请稍后再试（DatabaseError）\n"


def test_a_file_that_cannot_be_written_is_told(gateway: Gateway, site: Path) -> None:
    assert gateway("report", "--out", "nowhere/month.xlsx").err == "没有目录 nowhere\n"
    told = gateway("roster", "export", "nowhere/all.csv", "--as", "li")
    assert told.code == 1
    assert "nowhere" in told.err
    assert "Traceback" not in told.err


def test_a_cron_that_is_none_is_found_by_check(gateway: Gateway, site: Path) -> None:
    config = site / "config.toml"
    config.write_text(config.read_text(encoding="utf-8").replace("0 10 1,15 10-12 *", "0 25 1,15 10-12 *"), "utf-8")
    wrong = gateway("check")
    line = config.read_text(encoding="utf-8")[: config.read_text(encoding="utf-8").index("0 25 1,15")].count("\n") + 1
    assert wrong.code == 1
    assert f"config.toml:{line}" in wrong.err and "forest-fire" in wrong.err


def test_one_broken_template_does_not_have_the_others_missed(gateway: Gateway, site: Path) -> None:
    policy = site / "templates" / "policy.md"
    policy.write_text(policy.read_text(encoding="utf-8") + "{", "utf-8")
    wrong = gateway("check")
    assert wrong.code == 1
    assert "policy.md" in wrong.err and "缺少" not in wrong.err and "weather-daily" not in wrong.err
