"""Texts that come in, and their cases."""

from __future__ import annotations

from pathlib import Path

from cli.conftest import Gateway
from gateway.cli.inbound import INTENTS
from gateway.words import Intent


def asked(gateway: Gateway) -> str:
    text = "你好 我妈76了 养老认证刷不上脸 咋办 打13800130017"
    found = gateway("inbound", "13800130011", text, "--json").fine().json
    assert (found["intent"], found["answered"]) == ("consult", True)
    return str(found["case"])


def test_a_question_becomes_a_case_and_is_answered(gateway: Gateway, site: Path) -> None:
    number = asked(gateway)
    listed = gateway("cases", "list").fine().out
    assert number in listed
    assert "138****0011" in listed
    assert "13800130017" not in listed
    gateway("cases", "reply", number, "可以在家认证", "--as", "wang").fine()
    assert [one["state"] for one in gateway("cases", "list", "--json").fine().json] == ["answered"]
    gateway("cases", "handover", number, "front-desk", "要上门", "--as", "wang").fine()
    gateway("cases", "close", number, "--as", "wang").fine()
    assert gateway("cases", "list").fine().out == "没有待办的件。\n"
    shown = gateway("cases", "show", number).fine().out
    assert "可以在家认证" in shown
    assert "要上门（民政社保 → 首问前台）" in shown
    assert "13800130017" not in shown
    assert [one["state"] for one in gateway("cases", "list", "--state", "closed", "--json").fine().json] == ["closed"]


def test_whole_numbers_are_shown_to_who_asks(gateway: Gateway, site: Path) -> None:
    number = asked(gateway)
    masked, full = (gateway("cases", "show", number, *more, "--json").fine().json for more in ((), ("--full-numbers",)))
    assert masked["phone"] == "138****0011"
    assert full["phone"] == "+8613800130011"
    assert "138****0017" in masked["events"][0]["body"]
    assert "13800130017" in gateway("cases", "show", number, "--full-numbers").fine().out


def test_opting_out_opens_no_case(gateway: Gateway, site: Path) -> None:
    said = gateway("inbound", "13300130002", "退订").fine()
    assert said.out == "退订\n"
    assert "serve" in said.err
    assert gateway("cases", "list").fine().out == "没有待办的件。\n"
    assert "全部" in gateway("roster", "consent", "13300130002").fine().out


def test_what_there_is_not(gateway: Gateway, site: Path) -> None:
    assert gateway("cases", "show", "1").code == 1
    assert gateway("cases", "list", "--state", "lost").code == 2
    assert gateway("cases", "reply", "1", "好", "--as", "li").code == 1


def test_a_list_is_asked_for_in_the_words_it_is_shown_in(gateway: Gateway, site: Path) -> None:
    number = asked(gateway)
    assert number in gateway("cases", "list", "--state", "待办").fine().out
    assert "待办、已答复、等材料、已办结" in gateway("cases", "list", "--state", "lost").err
    assert "front-desk" in gateway("cases", "list", "--window", "nowhere").err


def test_what_opens_no_case_is_told_to_go_on_with_one(gateway: Gateway, site: Path) -> None:
    number = asked(gateway)
    assert gateway("inbound", "13800130011", "谢谢").fine().out == f"致谢，不开件\n记入件 {number}\n"


def test_an_empty_text_is_seen_in_the_list(gateway: Gateway, site: Path) -> None:
    gateway("inbound", "13800130011", "").fine()
    assert "（空白）" in gateway("cases", "list").fine().out


def test_a_conversation_is_told_in_words_and_numbers_as_one_dials_them(gateway: Gateway, site: Path) -> None:
    number = asked(gateway)
    shown = gateway("cases", "show", number, "--full-numbers").fine().out
    assert "已回执  系统" in shown
    assert "+86" not in shown
    abroad = gateway("inbound", "0912-0000000", "低保咋停了", "--json").fine().json["case"]
    assert "+869120000000" in gateway("cases", "show", abroad, "--full-numbers").fine().out


def test_whoever_says_who_they_are_sees_what_is_theirs_to_see(gateway: Gateway, site: Path) -> None:
    for login in ("he-fang", "zhao-ting"):
        gateway("official", "add", login, "--name", login, "--roles", "clerk", "--as", "li").fine()
    text = "民政窗口那个女的态度差得很 我电话13800130011 身份证612725197001011234"
    number = gateway("inbound", "13800130011", text, "--json").fine().json["case"]
    assert number in gateway("cases", "list").fine().out
    other = gateway("cases", "list", "--as", "zhao-ting").fine().out
    assert number in other and "[保密]" in other
    assert gateway("cases", "list", "--as", "he-fang").fine().out == "没有待办的件。\n"
    assert gateway("cases", "show", number, "--as", "he-fang").code == 1
    seen = gateway("cases", "show", number, "--full-numbers", "--as", "zhao-ting").fine().out
    assert "13800130011" not in seen and "612725197001011234" not in seen
    assert "投诉的窗口" in seen and "民政社保" in seen
    assert gateway("summary", "--as", "he-fang").err.startswith("he-fang 没有这项权限（要有角色：主任")
    assert gateway("cases", "list", "--as", "nobody").err == "没有这位工作人员：nobody\n"


def test_a_case_is_told_in_the_words_of_the_hall(gateway: Gateway, site: Path) -> None:
    number = asked(gateway)
    gateway("cases", "sign", number, "--as", "wang").fine()
    gateway("cases", "mark", number, "--external", "12345-77", "--urgent", "--as", "wang").fine()
    assert (
        gateway("cases", "handover", number, "caizheng", "发钱的事", "--as", "wang").fine().out == "已转给财政惠农。\n"
    )
    lines = [line.strip() for line in gateway("cases", "show", number).fine().out.splitlines()]
    assert any(line.endswith("来信1") for line in lines)
    assert any(line.startswith("归口：") for line in lines)
    assert "别的系统的编号：（没有） → 12345-77；急件：否 → 是" in lines


def test_every_intent_has_its_words() -> None:
    assert {intent.value for intent in Intent} == set(INTENTS)
