"""Sample questions of the hall: texts with the window, intent and item that they mean.

Policy
- Two files of the site, of the same shape: questions.csv, which people write, and learned.csv, which the gateway
  writes from corrected cases. The second may be missing.
- A row that cannot be read is told with its line, as the site's other files are; a site does not start with examples
  that are half read.
- No file is looked at but in `load`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import Invalid, Problem
from gateway.hall import Window
from gateway.tomlfile import read_text
from gateway.triage.understanding import CASE_INTENTS
from gateway.words import Intent

COLUMNS = ("text", "window", "intent", "item")
NEEDED = ("text", "window", "intent")
QUESTIONS, LEARNED = "questions.csv", "learned.csv"


@dataclass(frozen=True, slots=True)
class Question:
    """One text and what it means; `window` and `item` are codes or ""."""

    text: str
    window: str
    intent: Intent
    item: str = ""


def load(directory: Path, windows: Collection[Window], name: str = QUESTIONS) -> tuple[Question, ...]:
    """The questions of the file `name` in the site's directory, and of learned.csv beside it.

    Invalid where one is not as it should be; a file that is not there holds none.
    """
    path = directory / name
    found: list[Question] = []
    for one in (path, path.with_name(LEARNED)):
        if one.exists():
            found += parse(one.name, read_text(one, one.name), windows)
    return tuple(found)


def learn(directory: Path, rows: Sequence[Question], name: str = QUESTIONS) -> Path:
    """Append to learned.csv beside the site's questions; the file that was written."""
    path = (directory / name).with_name(LEARNED)
    fresh = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if fresh:
            writer.writerow(COLUMNS)
        writer.writerows((row.text, row.window, row.intent.value, row.item) for row in rows)
    return path


def parse(name: str, text: str, windows: Collection[Window]) -> list[Question]:
    """The rows of a CSV text; Invalid names every row that is wrong."""
    return [
        Question(row["text"], row["window"], Intent(row["intent"]), row["item"])
        for _, row in rows(name, text, windows, COLUMNS)
    ]


def rows(
    name: str, text: str, windows: Collection[Window], needed: Sequence[str] = NEEDED
) -> list[tuple[int, dict[str, str]]]:
    """Rows of a CSV text that say what texts mean, with their numbers as a spreadsheet shows them (the header is 1).

    Codes are stripped; a column that is not there is "", unless it is `needed`. Invalid names every row that is wrong.
    """
    reader = csv.DictReader(io.StringIO(text), restval="")
    if missing := [column for column in needed if column not in (reader.fieldnames or ())]:
        columns = "、".join(missing)
        raise Invalid([Problem(name, "", 1, f"缺少列：{columns}", f"columns are missing: {columns}")])
    found = [
        (at, {column: (row.get(column) or "").strip() for column in (*COLUMNS, "note")} | {"text": row["text"]})
        for at, row in enumerate(reader, 2)
    ]
    problems = [Problem(name, key, at, zh, en) for at, row in found for key, zh, en in _wrong(row, windows)]
    if problems:
        raise Invalid(problems)
    return found


def _wrong(row: dict[str, str], windows: Collection[Window]) -> Iterable[tuple[str, str, str]]:
    codes = {window.code for window in windows}
    items = {item.code for window in windows for item in window.items}
    window, intent, item = row["window"], row["intent"], row["item"]
    if not row["text"].strip():
        yield "text", "没有内容", "no text"
    if intent not in {one.value for one in Intent}:
        yield "intent", f"没有这种意图：{intent}", f"no such intent: {intent}"
    elif intent in CASE_INTENTS and not window:
        yield "window", "要成件的须写窗口", "what makes a case needs a window"
    if window and window not in codes:
        yield "window", f"没有这个窗口：{window}", f"no such window: {window}"
    if item and item not in items:
        yield "item", f"没有这个事项：{item}", f"no such item: {item}"
