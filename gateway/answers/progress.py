"""Where somebody's own cases stand, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.cases.book import Book
from gateway.model import CaseState

LINES_AT_MOST = 4
STATES = {
    CaseState.OPEN: "正在办",
    CaseState.ANSWERED: "已答复",
    CaseState.WAITING: "等您补材料",
    CaseState.CLOSED: "办完了",
}


def lines(rows: Sequence[Any], book: Book) -> list[str]:
    """One line per case, the newest first."""
    newest = sorted(rows, key=lambda row: -row.id)[:LINES_AT_MOST]
    return [_line(row, book) for row in newest]


def _line(row: Any, book: Book) -> str:
    state = CaseState(row.state)
    desk = book.desk(row.window)
    if state is CaseState.CLOSED:
        return f"{row.number}{desk.name}{book.day(row.closed_at)}办完了，电话{desk.duty_phone}"
    due = "" if state is CaseState.WAITING else f"，{book.day(row.due_at)}前办完"
    return f"{row.number}{desk.name}{STATES[state]}{due}，电话{desk.duty_phone}"
