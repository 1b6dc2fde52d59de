"""gateway.carriers.registered: a finished text is taken apart so that the provider's rendering is that text."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.registered import NAMED, NUMBERED, fit, objection, template_problems, unsigned


def render(text: str, values: Mapping[str, str]) -> str:
    """As the provider does."""
    return re.sub(NAMED, lambda found: values[found[1]], text)


def test_values_are_found_between_the_words() -> None:
    found = fit({"A": "${姓名}您好，${n1}元已到账，尾号${tail}"}, NAMED, "x", 35)
    assert found is None  # placeholders have names of letters
    found = fit({"A": "${name}您好，${sum}元已到账，尾号${tail}"}, NAMED, "王大爷您好，120.50元已到账，尾号0013", 35)
    assert found == ("A", {"name": "王大爷", "sum": "120.50", "tail": "0013"})


@pytest.mark.parametrize(
    ("body", "code"),
    [("今天下雨", "words"), ("明天下雨", "some"), ("明天刮风", "any"), ("明天下雨下雨", "some")],
)
def test_the_most_specific_is_taken(body: str, code: str) -> None:
    templates = {"any": "${a}", "some": "${a}下雨", "words": "今天下雨", "two": "${a}天${b}"}
    found = fit(templates, NAMED, body, 35)
    assert found is not None
    assert found.code == ("two" if code == "any" else code)


def test_of_two_alike_the_one_with_fewer_placeholders_then_the_first() -> None:
    assert fit({"A": "${x}${y}雨", "B": "${x}雨", "C": "${z}雨"}, NAMED, "大大雨", 35) == ("B", {"x": "大大"})


def test_numbered_placeholders() -> None:
    assert fit({"1110": "{1}您好，{2}已办好"}, NUMBERED, "王大爷您好，社保卡已办好", 12) == (
        "1110", {"1": "王大爷", "2": "社保卡"}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("template", "body", "values"),
    [
        ("${a}和${a}", "甲和甲", {"a": "甲"}),
        ("${a}和${a}", "甲和乙", None),
        ("${a}和${a}", "和和和", {"a": "和"}),
        ("${a}${b}${a}", "甲乙乙甲", {"a": "甲", "b": "乙乙"}),
        ("${a}，${b}", "甲，乙，丙", {"a": "甲", "b": "乙，丙"}),
        ("${a}。", "甲。乙。", {"a": "甲。乙"}),
        ("请${a}", "请", None),
        ("${a}", "", None),
        ("${a}元", "一百", None),
        ("(.*)${a}", "abc", None),
        ("(.*)${a}", "(.*)c", {"a": "c"}),
    ],
)
def test_each_placeholder_has_one_value_and_none_is_empty(
    template: str, body: str, values: Mapping[str, str] | None
) -> None:
    found = fit({"A": template}, NAMED, body, 35)
    assert (None if found is None else found.values) == values


def test_a_value_is_not_longer_than_the_provider_takes() -> None:
    templates = {"A": "事项：${what}"}
    assert fit(templates, NAMED, "事项：" + "长" * 35, 35) is not None
    assert fit(templates, NAMED, "事项：" + "长" * 36, 35) is None
    said = objection(templates, NAMED, "事项：" + "长" * 36, 35)
    assert said is not None and "what" in said[0] and "35" in said[0] and "A" in said[1]


@pytest.mark.parametrize("value", ["见http://a.cn", "【某某】", "看 www.a.cn"])
def test_a_value_has_no_link_and_no_signature(value: str) -> None:
    assert fit({"A": "事项：${what}"}, NAMED, f"事项：{value}", 35) is None
    said = objection({"A": "事项：${what}"}, NAMED, f"事项：{value}", 35)
    assert said is not None and "链接" in said[0]


def test_what_fits_nothing_is_told_so() -> None:
    assert objection({"A": "有雨"}, NAMED, "有雨", 35) is None
    said = objection({"A": "有雨"}, NAMED, "有雪", 35)
    assert said is not None and "报备" in said[0] and "registered" in said[1]


@given(
    st.lists(st.text("甲乙，。ab{}$", max_size=4), min_size=1, max_size=6),
    st.lists(st.text("甲乙，。ab", min_size=1, max_size=5), min_size=6, max_size=6),
)
def test_what_the_provider_renders_is_our_text(words: list[str], filled: list[str]) -> None:
    template = "".join(f"{word}${{v{n}}}" for n, word in enumerate(words))
    body = "".join(f"{word}{value}" for word, value in zip(words, filled, strict=False))
    found = fit({"A": template}, NAMED, body, 35)
    assert found is not None
    assert render(template, found.values) == body


def test_a_hostile_text_takes_no_longer() -> None:
    template = "".join(f"${{v{n}}}的" for n in range(12)) + "完"
    began = time.perf_counter()
    assert fit({"A": template}, NAMED, "的" * 500, 35) is None
    assert time.perf_counter() - began < 2


def test_what_is_wrong_with_a_table_is_told() -> None:
    assert list(template_problems({"A": "${a}b", "B": "c"}, NAMED)) == []
    assert len(list(template_problems({"A": "${a-b}", "B": "", "C": 1, "D": "【x】y"}, NAMED))) == 4
    assert len(list(template_problems({}, NUMBERED))) == 1


def test_the_signature_in_front_is_the_providers_to_add() -> None:
    assert unsigned("【枣原镇】有雨", "枣原镇") == unsigned("有雨", "枣原镇") == "有雨"
    assert unsigned("有雨【枣原镇】", "枣原镇") == "有雨【枣原镇】"
