"""Questions of ours that wait for an answer: which case, the same matter?, and what digits and words mean to each.

Policy
- A digit belongs to the last question that was sent to the number; what is no answer to it goes on as any other text.
- A text that brought up a question is held until the answer, with whatever the person adds meanwhile. Where no answer
  comes, or the question was overtaken by another, what is held becomes a case at the front desk, its clock from the
  first of these texts: nothing that somebody wrote is lost for want of a digit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from gateway.cases import Cases
from gateway.inbox.reading import Reading
from gateway.model import Asked, CaseState
from gateway.store import Connection, prompts
from gateway.store import cases as case_rows

HOLDING = (Asked.WHICH_CASE, Asked.SAME_MATTER)
"""Questions that hold texts."""
ANSWER_WITHIN = timedelta(hours=6)
CHOICES_AT_MOST = 9
TITLE_CHARACTERS = 10

YES = frozenset(
    [
        "办成",
        "办成了",
        "办好",
        "办好了",
        "成了",
        "好了",
        "解决了",
        "都办好了",
        "是",
        "是的",
        "办完了",
        "可以了",
        "弄好了",
    ]
)
NO = frozenset(
    ["没办成", "没有办成", "没有", "没成", "没办好", "没解决", "没弄好", "还没", "还没有", "没", "不行", "没好"]
)
PAPERS_HERE = frozenset(
    [
        "1",
        "齐了",
        "都齐了",
        "材料齐了",
        "交了",
        "已交",
        "寄了",
        "寄了哈",
        "已寄",
        "补齐了",
        "补好了",
        "送去了",
        "送了",
        "办好了",
        "好了",
        "弄好了",
    ]
)
_POLITE = r"(?:分|星|颗星|谢谢.{0,2}|多谢)*"
_RATINGS: Mapping[int, str] = {
    5: rf"(?:5|五)?(?:非常|很|特别|十分|相当|太)满意了?{_POLITE}|[5五]{_POLITE}",
    4: rf"(?:4|四)?满意了?{_POLITE}|[4四]{_POLITE}",
    3: rf"(?:3|三)?(?:基本|比较|还算)满意{_POLITE}|一般|还行|凑合|[3三]{_POLITE}",
    2: rf"(?:2|二)?不(?:太|怎么)?满意{_POLITE}|[2二两]{_POLITE}",
    1: rf"(?:1|一)?(?:非常|很|特别|十分|太)不满意{_POLITE}|[1一]{_POLITE}",
}


_CHOICE = re.compile(r"(?:我?选|回复?|第)?(?:([0-9]{1,2})|([零〇一二两三四五六七八九]))(?:个|件|号|项)?")
_NUMERALS = {"零": 0, "〇": 0, "一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9}


def rating(whole: str) -> int | None:
    """1 to 5 by digit or by word of a normalised text; None for anything else."""
    said = re.sub("^回复?", "", whole)
    return next((value for value, pattern in _RATINGS.items() if re.fullmatch(pattern, said)), None)


def digit(whole: str) -> int | None:
    """The number that a normalised text is as an answer: 2, 二, 回2, 第二个; None for anything else."""
    found = _CHOICE.fullmatch(whole)
    if found is None:
        return None
    return int(found[1]) if found[1] else _NUMERALS[found[2]]


def solved(whole: str) -> bool | None:
    """Whether a normalised text says that it helped; None where it says neither."""
    if whole in YES | NO:
        return whole in YES
    return {1: True, 2: False}.get(digit(whole) or 0)


class Asking:
    """Asks, and knows what was meant."""

    def __init__(self, cases: Cases) -> None:
        self._cases = cases

    def which(self, db: Connection, reading: Reading, rows: Sequence[Any]) -> int | None:
        """Ask which of several cases a text is about; the question's message id."""
        offered = rows[:CHOICES_AT_MOST]
        listed = "，".join(f"{n}{self._title(row)}" for n, row in enumerate(offered, 1))
        stands = "刚办完" if all(row.state == CaseState.CLOSED for row in offered) else "在办"
        values = {"事项": listed, "末号": str(len(offered)), "情形": stands}
        return self._ask(db, reading, Asked.WHICH_CASE, "which-case", values, [row.id for row in offered])

    def same_matter(self, db: Connection, reading: Reading, row: Any) -> int | None:
        """Ask whether a text goes on about a case that was just finished."""
        values = {"编号": row.number, "事项": self._title(row), "日期": self._cases.book.day(row.closed_at)}
        return self._ask(db, reading, Asked.SAME_MATTER, "same-matter", values, [row.id])

    def _ask(
        self, db: Connection, reading: Reading, kind: Asked, name: str, values: Mapping[str, str], ids: list[int]
    ) -> int | None:
        message_id = self._cases.book.say(db, reading.phone, name, values, reading.now)
        if message_id is not None:
            until, held = reading.now + ANSWER_WITHIN, reading.last.id
            data = {"cases": ids}
            prompts.ask(db, reading.phone, kind, reading.now, until, data=data, inbound_id=held, message_id=message_id)
        return message_id

    def chosen(self, db: Connection, prompt: Any, whole: str) -> Any:
        """The case that an answer names, 0 for a new matter, None where it is no answer."""
        number, ids = digit(whole), prompt.data["cases"]
        if prompt.kind == Asked.SAME_MATTER:
            number = _same(whole)
        if number is None or number > len(ids):
            return None
        return case_rows.get(db, ids[number - 1]) if number else 0

    def _title(self, row: Any) -> str:
        item = self._cases.book.config.hall.item(row.item) if row.item else None
        title = item.called if item else row.title
        return title if len(title) <= TITLE_CHARACTERS else f"{title[: TITLE_CHARACTERS - 1]}…"


def _same(whole: str) -> int | None:
    number = digit(whole)
    if number == 1 or whole in ("是", "是的", "还是", "还是这件", "同一件", "是这件"):
        return 1
    return 0 if number in (0, 2) or whole in ("不是", "新的", "新的事", "另一件", "是新的", "是新的事") else None
