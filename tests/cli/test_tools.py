"""What programs ask of the command line has exactly the promised shape."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.conftest import Gateway


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("hello", {"alphabet": "GSM7", "units": 5, "parts": 1}),
        ("{x}", {"alphabet": "GSM7", "units": 5, "parts": 1}),
        ("字" * 71, {"alphabet": "UCS2", "units": 71, "parts": 2}),
        ("", {"alphabet": "GSM7", "units": 0, "parts": 1}),
    ],
)
def test_text(gateway: Gateway, text: str, answer: dict[str, object]) -> None:
    assert gateway("text", "--json", text).fine().json == answer


def test_text_for_people_has_the_signature_and_what_carriers_dislike(gateway: Gateway) -> None:
    said = gateway("text", "字" * 66, "--signature", "枣原镇").fine().out
    assert said.splitlines() == ["UCS2，71 个单位，2 段，计费 2 条", "全文71字，超过70字"]


def test_a_file_of_texts_gives_a_line_for_each(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "texts.csv"
    file.write_text('id,text\n1,hello\n2,"你好,\n世界"\n3,\n')
    lines = gateway("text", "--json", "--file", file).fine().out.splitlines()
    assert [json.loads(line)["units"] for line in lines] == [5, 6, 0]
    assert gateway("text", "--file", file).fine().out.splitlines()[0].split()[0] == "2"


@pytest.mark.parametrize(
    ("number", "e164", "mobile", "operator", "reason"),
    [
        ("138 0013 0001", "+8613800130001", True, "移动", None),
        ("+86 192-0013-0001", "+8619200130001", True, "广电", None),
        ("0912-3456789", "+869123456789", False, None, "landline"),
        ("1380013000", None, False, None, "ten_digits"),
    ],
)
def test_phone(
    gateway: Gateway, number: str, e164: str | None, mobile: bool, operator: str | None, reason: str | None
) -> None:
    answer = gateway("phone", "--json", number).fine().json
    assert answer == {"e164": e164, "mobile": mobile, "operator": operator, "reason": reason}


def test_a_file_of_phones_needs_no_english_heading(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "phones.csv"
    file.write_text("姓名,手机号\n甲,13300130001\n乙,\n")
    lines = gateway("phone", "--json", "--file", file).fine().out.splitlines()
    assert [json.loads(line)["reason"] for line in lines] == [None, "missing_phone"]
    assert "没有填写号码" in gateway("phone", "--file", file).fine().out


def test_a_file_that_is_not_there_is_told(gateway: Gateway) -> None:
    missing = gateway("text", "--file", "nowhere.csv")
    assert (missing.code, missing.out, missing.err) == (1, "", "找不到文件 nowhere.csv\n")


@pytest.mark.parametrize("words", [["text"], ["text", "a", "--file", "b"], ["phone"]])
def test_either_a_string_or_a_file(gateway: Gateway, words: list[str]) -> None:
    assert gateway(*words).code == 2


def test_starting_is_quick() -> None:
    """Nothing heavy is imported for what needs nothing."""
    code = (
        "import sys; from gateway.cli import run; run(['text', '--json', 'a']);"
        "print([name for name in ('sqlalchemy', 'aiohttp', 'gateway.config', 'rich.table') if name in sys.modules])"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert time.monotonic() - started < 5
