"""How texts are understood, from the keyboard; nothing here has a database."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cli.conftest import Gateway

ROOT = Path(__file__).parent.parent.parent
FEW = """text,window,intent,note
天气,,weather,
退订,,optout,
低保要什么材料,,guide,
"3号窗口的人骂我",xinfang,complaint,about=caizheng
工地老板欠我三个月工资不给,anjian,complaint,"alt=jiuye | 两边都行"
补贴,,weather,
"""


@pytest.fixture
def hall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site that never opened its database."""
    for name in (*ROOT.glob("*.toml"), ROOT / "questions.csv"):
        shutil.copy(name, tmp_path)
    shutil.copytree(ROOT / "templates", tmp_path / "templates")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.csv").write_text(FEW, encoding="utf-8")
    return tmp_path


def test_one_text_is_explained(gateway: Gateway, hall: Path) -> None:
    said = gateway("triage", "--text", "3号窗口的人骂我 材料不给收").fine().out
    assert "投诉" in said and "财政惠农" in said and "为什么" in said
    found = gateway("triage", "--text", "我妈76了 养老认证刷不上脸", "--json").fine().json
    assert (found["intent"], found["window"], found["item"]) == ("feedback", "minzheng", "mz-07")
    assert gateway("triage", "--text", "退订 天气", "--json").fine().json["intent"] == "optout"
    assert not (hall / "var").exists()


def test_a_sample_is_measured(gateway: Gateway, hall: Path) -> None:
    found = gateway("triage", "few.csv", "--json", "--wrong").fine().json
    assert (found["texts"], found["optout"], found["window"]) == (6, 1.0, 1.0)
    assert found["intent"] == 0.8333
    assert {"named": "weather", "read": "subsidy", "texts": 1} in found["confusions"]
    weather = next(one for one in found["intents"] if one["name"] == "weather")
    assert (weather["precision"], weather["recall"]) == (1.0, 0.5)
    (wrong,) = found["wrong"]
    assert (wrong["row"], wrong["text"], wrong["read_intent"]) == (7, "补贴", "subsidy")
    assert "wrong" not in gateway("triage", "few.csv", "--json").fine().json


def test_tables_for_people(gateway: Gateway, hall: Path) -> None:
    said = gateway("triage", "few.csv", "--wrong").fine().out
    assert "83.3%" in said and "混淆表" in said and "整条就是「补贴」" in said
    assert "整条就是" not in gateway("triage", "few.csv").fine().out


def test_without_a_file_the_sites_questions_are_cross_validated(gateway: Gateway, hall: Path) -> None:
    lines = (hall / "questions.csv").read_text(encoding="utf-8").splitlines()
    (hall / "questions.csv").write_text("\n".join([lines[0], *lines[1::20]]), encoding="utf-8")
    found = gateway("triage", "--cross", "2", "--json").fine().json
    assert found["texts"] == len(lines[1::20])
    assert gateway("triage", "--json").fine().json["texts"] == found["texts"]


def test_corrections_are_learned(gateway: Gateway, hall: Path) -> None:
    text = "街上那个蓝房子的事你们管不管"
    (hall / "new.csv").write_text(f"text,window,intent\n{text},zhengwu,feedback\n", encoding="utf-8")
    said = gateway("triage", "--learn", "new.csv").fine()
    assert "记下 1 条" in said.out and "learned.csv" in said.err
    found = gateway("triage", "--text", text, "--json").fine().json
    assert (found["window"], found["intent"]) == ("zhengwu", "feedback")
    again = gateway("triage", "--learn", "new.csv", "--json").fine().json
    assert (again["learned"], again["known"]) == (0, 1)
    assert len((hall / "learned.csv").read_text(encoding="utf-8").splitlines()) == 2


def test_rows_that_cannot_be_learned_are_named_and_nothing_is_written(gateway: Gateway, hall: Path) -> None:
    rows = "text,window,intent\n甲,zhengwu,consult\n乙,nowhere,consult\n丙,zhengwu,fun\n"
    (hall / "bad.csv").write_text(rows, encoding="utf-8")
    said = gateway("triage", "--learn", "bad.csv")
    assert said.code == 1
    assert said.err.splitlines() == ["bad.csv:3 window：没有这个窗口：nowhere", "bad.csv:4 intent：没有这种意图：fun"]
    assert not (hall / "learned.csv").exists()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("none.csv",), 1),
        (("config.toml",), 1),
        (("few.csv", "--text", "x"), 2),
        (("--text", "x", "--cross", "3"), 2),
        (("--cross", "1"), 2),
    ],
)
def test_wrong_input(gateway: Gateway, hall: Path, words: tuple[str, ...], code: int) -> None:
    said = gateway("triage", *words)
    assert said.code == code and said.err and not said.out


def test_a_site_without_questions(gateway: Gateway, hall: Path) -> None:
    settings = (hall / "config.toml").read_text(encoding="utf-8")
    lines = [line for line in settings.splitlines() if not line.startswith("questions =")]
    (hall / "config.toml").write_text("\n".join(lines), encoding="utf-8")
    assert "没有例句" in gateway("triage", "--text", "我家粮补咋少了").fine().out
    assert gateway("triage").code == 1
    assert gateway("triage", "--learn", "few.csv").code == 1
