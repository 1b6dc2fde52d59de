"""Both languages, help, wrong use, and the reference that is made from them."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from cli.conftest import Gateway
from gateway.cli import build, reference
from gateway.cli.help import hoisted


def spoken(words: list[str], **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "GATEWAY_"))}
    command = [sys.executable, "-m", "gateway.cli", *words]
    return subprocess.run(command, env={**clean, **environ}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({}, "用法："),
        ({"LANG": "en_US.UTF-8"}, "Usage: "),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "zh_CN.UTF-8"}, "用法："),
        ({"LANG": "zh_CN.UTF-8", "GATEWAY_LANG": "en"}, "Usage: "),
    ],
)
def test_the_locale_decides(environ: dict[str, str], word: str) -> None:
    assert spoken(["phone", "--help"], **environ).stdout.startswith(f"{word}gateway phone")


def test_refusals_and_wrong_use_in_english() -> None:
    wrong = spoken(["text", "--fil", "x"], GATEWAY_LANG="en")
    assert (wrong.returncode, wrong.stderr) == (2, "no option --fil; did you mean --file?\nsee gateway text --help\n")
    refused = spoken(["text", "--file", "x.csv"], GATEWAY_LANG="en")
    assert (refused.returncode, refused.stderr) == (1, "there is no file x.csv\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["txet"], "没有命令 txet，是不是 text？"),
        (["broadcast", "frobnicate"], "没有命令 frobnicate"),
        (["phone", "--nope"], "没有选项 --nope"),
        (["init"], "缺少 目录"),
        (["phone", "1", "2"], "多出来的参数：2"),
        (["phone", "--file"], "选项 --file 后面要有值"),
        (["phone", "1", "--json=yes"], "选项 --json 后面没有值"),
        (["broadcast", "show", "first"], "编号 的值不对"),
        (["broadcast", "list", "--as"], "选项 --as 后面要有值"),
        (["broadcast", "stop", "1"], "--as 登录名"),
    ],
)
def test_wrong_use_is_told_in_words(gateway: Gateway, words: list[str], told: str) -> None:
    wrong = gateway(*words)
    assert wrong.code == 2
    assert told in wrong.err.splitlines()[0]
    assert wrong.err.splitlines()[-1].startswith("用法见 gateway")
    assert wrong.out == ""


@pytest.mark.parametrize("words", [[], ["broadcast"]])
def test_without_a_command_there_is_help(gateway: Gateway, words: list[str]) -> None:
    told = gateway(*words)
    assert told.code == 2
    assert told.out.startswith("用法：gateway")
    assert "draft" in told.out or "broadcast" in told.out


def test_what_holds_everywhere_may_stand_anywhere() -> None:
    assert hoisted(["a", "--as", "li", "b", "--site=x"]) == ["--as", "li", "--site=x", "a", "b"]
    assert hoisted(["a", "--", "--as", "li"]) == ["a", "--", "--as", "li"]
    assert hoisted(["a", "--site"]) == ["--site"]


def meanings(part: str) -> list[str]:
    """What the tables of the reference say of commands, arguments and options."""
    rows = [line.split("|") for line in part.splitlines() if line.startswith("| `")]
    return [cells[2].strip() for cells in rows]


def test_everything_is_said_in_both_languages() -> None:
    chinese, english = map(meanings, reference.PAGE.read_text().split("# Command line"))
    assert len(chinese) == len(english) > 100
    assert [said for said in chinese if not re.search("[\u4e00-\u9fff]", said)] == []
    words = ("男 or 女", "联系电话")  # values that are Chinese in any language
    assert [said for said in english if re.search("[\u4e00-\u9fff]", said) and not any(w in said for w in words)] == []
    assert "" not in english


def test_the_reference_is_in_step() -> None:
    assert reference.PAGE.read_text() == reference.whole(), "run python -m gateway.cli.reference"


def test_every_reading_command_has_json() -> None:
    reading = {
        "broadcast": ("draft", "compose", "show", "list", "report", "left-behind"),
        "roster": ("import", "show", "consent", "forget"),
        "schedule": ("list",),
        "cases": ("list", "show"),
        "official": ("list",),
        "audit": ("verify",),
    }
    top = build().commands
    for group, names in reading.items():
        for name in names:
            command = getattr(top[group], "commands")[name]  # noqa: B009
            assert any("--json" in param.opts for param in command.params), f"{group} {name}"
    for name in ("check", "preview", "send", "inbound", "report", "carriers", "reconcile", "text", "phone", "demo"):
        assert any("--json" in param.opts for param in top[name].params), name
