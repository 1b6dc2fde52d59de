"""The accounts, watched from another process, at a keyboard and through a pipe."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

from cli.conftest import Gateway

COMMAND = [sys.executable, "-m", "gateway.cli", "carriers", "--watch"]
TREE = Path(__file__).parents[2]


def environment(language: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(TREE), "GATEWAY_LANG": language, "TERM": "xterm", "COLUMNS": "160"}


def test_watched_through_a_pipe_each_look_is_a_line(site: Path) -> None:
    with subprocess.Popen([*COMMAND, "--json"], cwd=site, stdout=subprocess.PIPE, env=environment("en")) as watching:
        assert watching.stdout is not None
        looks = [json.loads(watching.stdout.readline()) for _ in range(2)]
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 130
    for look in looks:
        (account,) = look["carriers"]
        assert (account["name"], account["live"], account["health"]["parts"]) == ("simulator", None, 0)


def test_at_a_keyboard_q_ends_it(site: Path) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(COMMAND, cwd=site, stdin=theirs, stdout=theirs, stderr=theirs, env=environment("zh")) as seen:
        os.close(theirs)
        said = b""
        while "没有在运行".encode() not in said:
            said += os.read(ours, 4096)
        os.write(ours, b"q")
        assert seen.wait(20) == 0
    os.close(ours)


def test_the_doctor_looks_at_the_login_without_anybodys_word(gateway: Gateway, site: Path) -> None:
    said = gateway("carriers", "doctor", "simulator").fine().out
    assert "√ 登录：成功" in said
    assert gateway("carriers", "doctor", "nobody").code == 1


def test_the_doctor_sends_a_text_on_an_officials_word_and_writes_a_sheet(gateway: Gateway, site: Path) -> None:
    command = ("carriers", "doctor", "simulator", "--to", "13800130007", "--wait", "1")
    assert gateway(*command).code == 2  # nobody signs for it
    answer = gateway("--as", "wang", *command, "--out", "sheet.txt")
    assert answer.code == 1  # nobody answers from a simulated phone
    assert "√ 回执：送达" in answer.out and "× 来信：" in answer.out
    sheet = (site / "sheet.txt").read_text()
    assert "[√] 登录：成功" in sheet and "login: fine" in sheet and "138****0007" in sheet
    assert "13800130007" not in sheet
    assert gateway("--as", "wang", *command, "--out", "sheet.txt").code == 1
    found = gateway("--as", "wang", *command, "--json")
    assert (found.code, found.json["fine"], found.json["findings"][-1]["what"]) == (1, False, ["来信", "a reply in"])
    assert gateway("audit", "verify").code == 0


def test_the_doctor_waits_until_nobody_sends(gateway: Gateway, site: Path) -> None:
    with (site / "var" / "gateway.db.dispatch.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = gateway("carriers", "doctor", "simulator")
    assert (refused.code, "gateway serve" in refused.err) == (1, True)


def test_accounts_that_cut_unlike_each_other_are_told_apart_by_name(gateway: Gateway, site: Path) -> None:
    config = site / "config.toml"
    table = (
        '[carriers.{}]\nprotocol = "cmpp"\nhost = "127.0.0.1"\nport = 7890\nuser = "901234"\nsecret_env = "X"\n'
        'service = "S"\nservice_code = "10690001"\nlong = {}\n\n[[routes]]'
    )
    text = config.read_text().replace('carriers = ["simulator"]', 'carriers = ["six", "seven"]')
    for name, long in (("six", 6), ("seven", 7)):
        text = text.replace("[[routes]]", table.format(name, long), 1)
    config.write_text(text)
    assert "routes[1].carriers：seven 的编码或长短信拆法和 six 不同；改成一样" in gateway("check").err


def test_a_protocol_that_is_none_is_told_once(gateway: Gateway, site: Path) -> None:
    config = site / "config.toml"
    config.write_text(config.read_text().replace('protocol = "simulator"', 'protocol = "cmmp"'))
    assert "carriers.simulator.protocol：通道 simulator：没有协议 cmmp；有哪些见" in gateway("check").err
