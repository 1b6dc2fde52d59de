"""Conversations as they are written down in *.txt: read, and played against the sample town's hall.

The files are for people: README.md beside them says in Chinese how one is written. A file holds conversations, begun
by a line "# title"; every other line is one `Line`. Everything the hall says must be written down: a text that nobody
expects fails the conversation as one that is missing does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
NAME = r"\{[甲乙丙丁戊己庚辛壬癸]\}"
"""What a case is called in a file; other words in braces are said as they stand."""

_TITLE = re.compile(r"#\s*(.+)")
_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("time", re.compile(r"时间：(\d{4}-\d\d-\d\d \d{1,2}:\d\d)")),
    ("rule", re.compile(r"规定：(.+)")),
    ("person", re.compile(r"乡亲：(\S+) (\d{11}|\d{3,15})(?: (\S+村))?")),
    ("later", re.compile(r"……\s*(\d+)(秒|分钟|小时|天)后")),
    ("until", re.compile(r"……\s*(\d{1,2})月(\d{1,2})日(\d{1,2}:\d\d)")),
    ("repeat", re.compile(r"〔运营商把上一条又送来一遍〕")),
    ("notice", re.compile(r"〔通知 (\S+)〕")),
    ("forecast", re.compile(r"〔预报 (\S+) (\S+) (-?\d+)到(-?\d+)度〕")),
    ("paid", re.compile(r"〔发钱 (\S+) (\S+) (\d+(?:\.\d\d)?)元〕")),
    ("act", re.compile(r"〔(\S+) (\S+?)(?: \{(\w+)\})?(?: (\S+))?〕(.*)")),
    ("refused", re.compile(r"不许：(.+)")),
    ("silence", re.compile(r"大厅不答")),
    ("at_once", re.compile(r"大厅马上答(\S*?)：(.+)")),
    ("page", re.compile(r"大厅叫(\S+?)：(.+)")),
    ("answer", re.compile(r"大厅答(\S*?)：(.+)")),
    ("state", re.compile(r"（(.+)）")),
    ("parts", re.compile(r"(\S+?)分(\d)段，先后到([\d、]+)：(.+)")),
    ("form", re.compile(r"(\S+?)在网上写：(.+)")),
    ("say", re.compile(r"(?!大厅)(\S+?)：(.*)")),
)
SAID = frozenset({"say", "parts", "form"})


class Line(NamedTuple):
    """One line of a conversation: what it is, its pieces, and where it stands."""

    kind: str
    pieces: tuple[str, ...]
    file: str
    number: int
    text: str


@dataclass
class Talk:
    """One conversation."""

    title: str
    file: str
    lines: list[Line] = field(default_factory=list)

    @property
    def exchanges(self) -> int:
        """How often a person says something."""
        return sum(line.kind in SAID for line in self.lines)


def read(path: Path) -> list[Talk]:
    """The conversations of one file; ValueError names a line that cannot be read."""
    talks: list[Talk] = []
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = raw.strip("　 ")
        if title := _TITLE.fullmatch(text):
            talks.append(Talk(title[1], path.name))
        elif text:
            if not talks:
                raise ValueError(f"{path.name}:{number}: 先写一行“# 题目”")
            talks[-1].lines.append(_line(path.name, number, text))
    return talks


def _line(file: str, number: int, text: str) -> Line:
    for kind, pattern in _KINDS:
        if found := pattern.fullmatch(text):
            return Line(kind, tuple(piece or "" for piece in found.groups()), file, number, text)
    raise ValueError(f"{file}:{number}: 这一行看不懂：{text}")


def all_talks() -> Iterator[Talk]:
    """Every conversation of every file, in the order of their names."""
    for path in sorted(HERE.glob("*.txt")):
        yield from read(path)


def matches(written: str, said: str, names: dict[str, str]) -> bool:
    """Whether the hall said what is written: … stands for anything, {甲} for a case number.

    A name stands for the same number wherever it is; one that is new is bound to the number found, if all matches.
    """
    pattern, bound = "", []
    for piece in re.split(rf"(…|{NAME})", written):
        if piece == "…":
            pattern += ".*"
        elif re.fullmatch(NAME, piece) and piece[1:-1] in names:
            pattern += re.escape(names[piece[1:-1]])
        elif re.fullmatch(NAME, piece):
            pattern += r"(\d{11,12})"
            bound.append(piece[1:-1])
        else:
            pattern += re.escape(piece)
    found = re.fullmatch(pattern, said, re.DOTALL)
    if found is None:
        return False
    names.update(zip(bound, found.groups(), strict=True))
    return True
