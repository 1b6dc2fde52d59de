"""Who may act."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from cli.conftest import Gateway
from gateway.cli import caller, officials
from gateway.errors import Refused


def test_only_the_very_first_adds_themselves(gateway: Gateway, site: Path) -> None:
    refused = gateway("official", "add", "zhao", "--first", "--roles", "author")
    assert refused.code == 1
    assert "本站已有工作人员" in refused.err
    logins = [one["login"] for one in gateway("official", "list", "--json").fine().json]
    assert logins == ["li", "wang"]


def test_the_first_is_an_admin(gateway: Gateway, site: Path) -> None:
    roles = {one["login"]: one["roles"] for one in gateway("official", "list", "--json").fine().json}
    assert roles == {"li": ["admin", "approver", "director"], "wang": ["author", "clerk"]}
    assert "主任" in gateway("official", "list").fine().out


def test_only_an_admin_adds(gateway: Gateway, site: Path) -> None:
    refused = gateway("official", "add", "zhao", "--roles", "author", "--as", "wang")
    assert refused.code == 1
    assert "管理" in refused.err
    gateway("official", "add", "zhao", "--roles", "起草，窗口", "--phone", "13800130001", "--as", "li").fine()
    assert gateway("official", "add", "qian", "--roles", "author", "--phone", "123", "--as", "li").code == 1


@pytest.mark.parametrize("roles", [[], ["--roles", "mayor"]])
def test_roles_must_be_known(gateway: Gateway, site: Path, roles: list[str]) -> None:
    assert gateway("official", "add", "zhao", *roles, "--as", "li").code == 2


def test_a_password_is_changed_by_its_owner_or_an_admin(
    gateway: Gateway, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gateway("official", "passwd", "li", "--as", "wang").code == 1
    monkeypatch.setenv("GATEWAY_NEW_PASSWORD", "short")
    assert "至少" in gateway("official", "passwd", "wang", "--as", "wang").err
    monkeypatch.setenv("GATEWAY_NEW_PASSWORD", "another-password")
    gateway("official", "passwd", "wang", "--as", "wang").fine()
    wrong = gateway("schedule", "pause", "weather-daily", "--as", "wang")
    assert (wrong.code, wrong.err) == (1, "登录名或密码不对\n")


def test_a_password_is_typed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWAY_NEW_PASSWORD")
    typed = iter(["one-password", "another-one"])
    monkeypatch.setattr(officials, "password", lambda prompt, variable: next(typed))
    with pytest.raises(Refused):
        officials.new_password("li")


def test_nobody_is_asked_where_nobody_sits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWAY_PASSWORD")
    with pytest.raises(Refused) as refused:
        caller.password("?")
    assert "GATEWAY_PASSWORD" in refused.value.zh


def test_tampering_shows(gateway: Gateway, site: Path) -> None:
    assert "完整" in gateway("audit", "verify").fine().out
    with sqlite3.connect(site / "var" / "gateway.db") as db:
        db.execute("UPDATE audit SET who = 'nobody' WHERE verb = 'official.add' AND object = 'official wang'")
    db.close()
    found = gateway("audit", "verify")
    assert found.code == 1
    assert "被改过" in found.out
    assert gateway("audit", "verify", "--json").json["whole"] is False
