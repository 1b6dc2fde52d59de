from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from gateway.errors import Invalid, Problem
from gateway.tomlfile import Table, TomlFile, did_you_mean, dotted, read_text

TEXT = '''# a comment with [brackets] and "quotes
title = "a # b [c"
many = [
  "x = 1",
  { y = 2 },  # ] not the end
]
long = """
[not.a.header]
no = "key"
"""
raw = \'\'\'
also = no key\'\'\'

[[windows]]
code = "one"
"引号" = 1

[[windows.items]]
name = "first"

[[windows.items]]
name = "second"

[[windows]]
code = "two"
  [windows.about]
  phone.area = "0912"
'''


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("title",), 2),
        (("many",), 3),
        (("many", 1, "y"), 3),
        (("long",), 7),
        (("raw",), 11),
        (("windows", 0), 14),
        (("windows", 0, "code"), 15),
        (("windows", 0, "引号"), 16),
        (("windows", 0, "items", 1), 21),
        (("windows", 0, "items", 1, "name"), 22),
        (("windows", 0, "items", 1, "missing"), 21),
        (("windows", 1, "code"), 25),
        (("windows", 1, "about", "phone", "area"), 27),
        (("no",), None),
        (("also",), None),
        ((), None),
    ],
)
def test_line_of_a_key(key: tuple[str | int, ...], line: int | None) -> None:
    assert TomlFile.parse("a.toml", TEXT).line(key) == line


def test_lines_count_from_where_the_text_begins() -> None:
    assert TomlFile.parse("a.md", "a = 1\nb = 2", first_line=2).line(("b",)) == 3


@pytest.mark.parametrize(("text", "line"), [("a = 1\nb = \n", 2), ("a = 1\na = 2\n", 2), ("a = [1,\n2\n", 3), ("x", 1)])
def test_syntax_error_has_its_line(text: str, line: int) -> None:
    with pytest.raises(Invalid) as caught:
        TomlFile.parse("a.toml", text, first_line=11)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == ("a.toml", line + 10)
    assert "line" not in problem.en


@given(
    st.lists(
        st.tuples(st.from_regex(r"[a-z]{1,6}", fullmatch=True), st.text("ab[]{}#=\\n", max_size=9)),
        unique_by=lambda pair: pair[0],
    )
)
def test_every_key_is_found_on_its_own_line(pairs: list[tuple[str, str]]) -> None:
    text = "".join(f"{key} = '{value}'\n" for key, value in pairs)
    file = TomlFile.parse("a.toml", text)
    assert [file.line((key,)) for key, _ in pairs] == list(range(1, len(pairs) + 1))
    assert file.data == dict(pairs)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "gbk.toml").write_bytes("a = '中文'".encode("gbk"))
    for name, word in (("gbk.toml", "UTF-8"), ("none.toml", "cannot be read")):
        with pytest.raises(Invalid, match=word):
            TomlFile.read(tmp_path / name, name)


def test_a_byte_order_mark_and_crlf_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfa = 1\r\nb = 2\r\n")
    assert TomlFile.read(tmp_path / "a.toml", "a.toml").line(("b",)) == 2
    assert read_text(tmp_path / "a.toml", "a.toml") == "a = 1\nb = 2\n"


class Inner(Table):
    rate: Annotated[int, Field(ge=1)] = 1
    kind: str = Field("x", alias="class")


class Outer(Table):
    site: Inner
    named: Mapping[str, Inner] = {}
    several: tuple[Inner, ...] = ()


def problems(text: str) -> list[Problem]:
    file = TomlFile.parse("a.toml", text)
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(file.data)
    return file.problems(caught.value, Outer)


def test_problems_say_where_and_what_in_both_languages() -> None:
    text = "[site]\nrate = 0\n[named.main]\nclas = 'y'\n[[several]]\nrate = 'many'\n[[several]]\nzzzz = 1\n"
    found = [(p.key, p.line, p.zh, p.en) for p in problems(text)]
    assert found == [
        ("site.rate", 2, "不得小于 1", "input should be greater than or equal to 1"),
        ("named.main.clas", 4, "没有这一项，是不是 class？", "unknown key, did you mean class?"),
        (
            "several[1].rate",
            6,
            "应是整数",
            "input should be a valid integer, unable to parse string as an integer",
        ),
        ("several[2].zzzz", 8, "没有这一项", "unknown key"),
    ]


def test_a_missing_table_and_a_table_of_the_wrong_kind() -> None:
    assert [(p.key, p.line, p.en) for p in problems("named = 3\n")] == [
        ("site", None, "is required"),
        ("named", 1, "should be a table"),
    ]


def test_a_kind_of_mistake_without_words_of_its_own_still_speaks() -> None:
    class Odd(Table):
        ratio: Annotated[float, Field(multiple_of=2)]

    with pytest.raises(ValidationError) as caught:
        Odd.model_validate({"ratio": 3})
    (problem,) = TomlFile("a", "ratio = 3", {}).problems(caught.value, Odd)
    assert problem.zh == "写法不对：Input should be a multiple of 2"


def test_messages_do_not_repeat_values() -> None:
    value: Any = "hunter2"
    with pytest.raises(ValidationError) as caught:
        Inner.model_validate({"rate": value, "other": value})
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in str(TomlFile("a", "", {}).problems(caught.value, Inner))


def test_small_words() -> None:
    assert did_you_mean("weahter", ["weather", "jobs"])[1] == ", did you mean weather?"
    assert did_you_mean("x", ["weather"]) == ("", "")
    assert dotted(("areas", 2, "code")) == "areas[3].code"
