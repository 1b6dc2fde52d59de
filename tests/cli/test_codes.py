"""`gateway codes`: one code explained, all of them listed, an account's own before the common ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Gateway
from gateway import codes


def test_a_code_is_explained_without_a_site(gateway: Gateway) -> None:
    said = gateway("codes", "MK:0001").fine().out
    assert "空号" in said
    assert "cmpp" in said


def test_an_unknown_code_is_shown_as_that(gateway: Gateway) -> None:
    assert "不认得的代码" in gateway("codes", "XY:0001", "--protocol", "cmpp", "--stage", "receipt").fine().out


def test_a_stage_and_a_protocol_for_programs(gateway: Gateway) -> None:
    (found,) = gateway("codes", "8", "--protocol", "cmpp2", "--stage", "submit", "--json").fine().json
    assert (found["kind"], found["does"], found["protocols"], found["known"]) == ("rate", "slow", ["cmpp2"], True)


def test_all_of_them(gateway: Gateway) -> None:
    found = gateway("codes", "--json").fine().json
    assert len(found) == sum(len(entries) for tables in codes.data().values() for entries in tables.values())
    of_one = gateway("codes", "--protocol", "sgip", "--stage", "receipt", "--json").fine().json
    assert {one["table"] for one in of_one} == {"sgip", "联通", "移动", "电信", "all"}
    assert "MB:0008,0019" in gateway("codes", "--protocol", "cmpp").fine().out


OWN = """
[carriers.simulator.codes]
"MA:0006" = { kind = "dead", does = "suppress", zh = "没有这个号码", en = "no such number" }
"""


@pytest.fixture
def account(site: Path) -> Path:
    config = site / "config.toml"
    config.write_text(config.read_text(encoding="utf-8") + OWN, encoding="utf-8")
    return site


def test_an_accounts_own_codes(gateway: Gateway, account: Path) -> None:
    assert "没有这个号码" in gateway("codes", "MA:0006", "--carrier", "simulator").fine().out
    assert "没有这个号码" not in gateway("codes", "MA:0006").fine().out
    assert "本账号" in gateway("codes", "--carrier", "simulator").fine().out
    assert gateway("check").fine()


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--carrier", "nobody"], "没有通道 nobody"), (["8", "--stage", "later"], "没有环节 later")],
)
def test_what_is_not_there(gateway: Gateway, site: Path, words: list[str], said: str) -> None:
    wrong = gateway("codes", *words)
    assert wrong.code
    assert said in wrong.err
