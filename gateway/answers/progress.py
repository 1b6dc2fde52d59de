"""Where somebody's own cases stand, in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
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


def lines(rows: Sequence[Any], book: Book, now: datetime) -> list[str]:
    """One line per case, the newest first, and how many there are more."""
    newest = sorted(rows, key=lambda row: -row.id)
    told = [_line(row, book, now) for row in newest[:LINES_AT_MOST]]
    more = len(newest) - len(told)
    return [*told, f"另有{more}件"] if more else told


def _line(row: Any, book: Book, now: datetime) -> str:
    desk = book.desk(row.window)
    return f"{row.number}{desk.name}{_stands(row, book, now)}，电话{desk.duty_phone}"


def _stands(row: Any, book: Book, now: datetime) -> str:
    state = CaseState(row.state)
    if state is CaseState.CLOSED:
        return f"{book.day(row.closed_at)}{STATES[state]}" if row.closed_at else STATES[state]
    if state is CaseState.WAITING or row.due_at is None:
        return STATES[state]
    if row.due_at < now:
        return f"{STATES[state]}，原定{book.day(row.due_at)}办完，已经在催"
    return f"{STATES[state]}，{book.day(row.due_at)}前办完"
