"""A TOML text whose mistakes can be shown to the person who wrote it.

Python's parser forgets lines, so the line of a key is found by scanning the text for headers and keys,
only when there is something to say. A key inside an inline table or an array is answered with the
nearest key around it. What pydantic found is turned into `Problem`s in both languages; a message never
repeats the value, since the value may be a secret. An unknown key is answered with the known one that
looks most like it.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from gateway.errors import Invalid, Problem

Key = tuple[str | int, ...]
"""A path into the data: names of tables and keys, positions (from 0) in arrays."""

_NAME = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_PATH = rf"{_NAME}(?:[ \t]*\.[ \t]*{_NAME})*"
_HEADER = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_PATH})[ \t]*\]")
_ASSIGNMENT = re.compile(rf"[ \t]*({_PATH})[ \t]*=")
_TOKEN = re.compile(
    r'''"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|\#[^\n]*|[\[\]{}]|\n''', re.DOTALL
)
_SYNTAX_PLACE = re.compile(r"\s*\(at line (\d+), column \d+\)")


class Table(BaseModel):
    """What all tables of a site's files share: frozen, and no key is ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def wrong(zh: str, en: str) -> PydanticCustomError:
    """What a validator raises to say in both languages what is the matter."""
    return PydanticCustomError("site", "{en}", {"zh": zh, "en": en})


def did_you_mean(word: str, known: Collection[str]) -> tuple[str, str]:
    """The tail of a message about an unknown word, zh and en; empty if nothing is like it."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return (f"，是不是 {near[0]}？", f", did you mean {near[0]}?") if near else ("", "")


def dotted(key: Key) -> str:
    """`areas[3].code`; positions are shown counting from 1."""
    text = ""
    for part in key:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


@dataclass(frozen=True)
class TomlFile:
    """`name` as the person knows the file; `first_line` is where in it the text begins (front matter: 2)."""

    name: str
    text: str = field(repr=False)
    data: dict[str, Any] = field(repr=False)
    first_line: int = 1

    @classmethod
    def parse(cls, name: str, text: str, first_line: int = 1) -> TomlFile:
        """Raises Invalid, with the line, where the text is not TOML."""
        try:
            return cls(name, text, tomllib.loads(text), first_line)
        except tomllib.TOMLDecodeError as error:
            place = _SYNTAX_PLACE.search(str(error))
            line = first_line - 1 + (int(place[1]) if place else text.count("\n") + 1)
            said = _SYNTAX_PLACE.sub("", str(error)).replace(" (at end of document)", "")
            raise Invalid([Problem(name, "", line, f"TOML 写法不对（{said}）", f"not TOML: {said}")]) from None

    @classmethod
    def read(cls, path: Path, name: str) -> TomlFile:
        """Raises Invalid where the file is missing, not UTF-8 or not TOML."""
        return cls.parse(name, read_text(path, name))

    def line(self, key: Key) -> int | None:
        """The line of `key`, or of the nearest table around it; None if even that is not in the file."""
        places = (key[:n] for n in range(len(key), 0, -1))
        return next((self._lines[place] for place in places if place in self._lines), None)

    def problem(self, key: Key, zh: str, en: str) -> Problem:
        return Problem(self.name, dotted(key), self.line(key), zh, en)

    def problems(self, error: ValidationError, model: type[BaseModel], at: Key = ()) -> list[Problem]:
        """What pydantic found in the table at `at`, checked against `model`."""
        errors = error.errors(include_url=False, include_input=False)
        return [
            self.problem((*at, *found["loc"]), *_explain(found, model))
            for found in errors
            if not _follows(found, errors)
        ]

    @cached_property
    def _lines(self) -> dict[Key, int]:
        return {key: line + self.first_line - 1 for key, line in reversed(list(_keys(self.text)))}


def read_text(path: Path, name: str) -> str:
    """The file's text with LF line ends; Invalid where it is missing or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError:
        raise Invalid([Problem(name, "", None, "读不到这个文件", "the file cannot be read")]) from None
    except UnicodeDecodeError:
        raise Invalid([Problem(name, "", None, "文件须存为 UTF-8", "the file must be UTF-8")]) from None


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each line, counted from 1, on which no value of an earlier line goes on."""
    lines = text.splitlines()
    depth, number, starts = 0, 1, [1]
    for token in _TOKEN.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        number += token[0].count("\n")
        if token[0] == "\n" and depth == 0:
            starts.append(number)
    return ((n, lines[n - 1]) for n in starts if n <= len(lines))


def _keys(text: str) -> Iterator[tuple[Key, int]]:
    """Every table and key with its line. Arrays of tables are counted as they come."""
    table: Key = ()
    seen: dict[Key, int] = {}
    for line, statement in _statements(text):
        if header := _HEADER.match(statement):
            path = _resolve(_names(header[2]), seen)
            if header[1] == "[[":
                seen[path] = seen.get(path, -1) + 1
                path = (*path, seen[path])
            table = _into_last(path, seen)
            yield table, line
        elif assignment := _ASSIGNMENT.match(statement):
            yield (*table, *_names(assignment[1])), line


def _names(path: str) -> list[str]:
    return [name.strip("\"'") for name in re.findall(_NAME, path)]


def _resolve(names: list[str], seen: dict[Key, int]) -> Key:
    """`windows.items` after the third `[[windows]]` is (windows, 2, items)."""
    path: Key = ()
    for name in names:
        path = (*_into_last(path, seen), name)
    return path


def _into_last(path: Key, seen: dict[Key, int]) -> Key:
    return (*path, seen[path]) if path in seen else path


def _follows(found: ErrorDetails, errors: list[ErrorDetails]) -> bool:
    """Whether an array is called too short only because an entry that is wrong was not counted."""
    place = found["loc"]
    return found["type"] == "too_short" and any(
        other["loc"][: len(place)] == place for other in errors if other is not found
    )


def _explain(found: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    context = found.get("ctx", {})
    if found["type"] == "site":
        return context["zh"], context["en"]
    if found["type"] == "extra_forbidden":
        zh, en = did_you_mean(str(found["loc"][-1]), _known_keys(model, found["loc"][:-1]))
        return f"没有这一项{zh}", f"unknown key{en}"
    zh = _ZH.get(found["type"], "写法不对：" + found["msg"])
    return zh.format(**context), _EN.get(found["type"], found["msg"][:1].lower() + found["msg"][1:])


_ZH = {
    "missing": "必须填写",
    "literal_error": "只能是 {expected}",
    "string_type": "应是带引号的文字",
    "string_too_short": "至少 {min_length} 个字",
    "string_too_long": "最多 {max_length} 个字",
    "string_pattern_mismatch": "格式不对，应符合 {pattern}",
    "too_short": "至少 {min_length} 项",
    "too_long": "最多 {max_length} 项",
    "greater_than": "应大于 {gt}",
    "greater_than_equal": "不得小于 {ge}",
    "less_than_equal": "不得大于 {le}",
    "int_type": "应是整数",
    "int_parsing": "应是整数",
    "int_from_float": "应是整数",
    "decimal_type": "应是数字",
    "decimal_parsing": "应是数字",
    "bool_type": "应是 true 或 false",
    "bool_parsing": "应是 true 或 false",
    "date_type": "日期应写作 2026-10-01",
    "date_from_datetime_parsing": "日期应写作 2026-10-01",
    "tuple_type": "应是列表，写在方括号里",
    "frozen_set_type": "应是列表，写在方括号里",
    "dict_type": "应是一张表",
    "model_type": "应是一张表",
}
_EN = {
    "missing": "is required",
    "date_from_datetime_parsing": "a date is written 2026-10-01",
    "model_type": "should be a table",
    "dict_type": "should be a table",
    "tuple_type": "should be an array",
    "frozen_set_type": "should be an array",
}


def _known_keys(model: type[BaseModel], place: Key) -> list[str]:
    """The keys that a table at `place` may have, by the names the file uses."""
    for part in place:
        inner = model.model_fields.get(str(part))
        model = (inner and _model_in(inner.annotation)) or model
    return [known.alias or name for name, known in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)
