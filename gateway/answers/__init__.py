"""Placeholder until the package is written: answers nothing from data."""

from __future__ import annotations

from typing import Any, NamedTuple

from gateway.words import Intent


class Said(NamedTuple):
    message_ids: tuple[int, ...]
    intent: Intent


class Answers:
    def __init__(self, *given: Any) -> None: ...

    def answer(self, db: Any, read: Any, text: Any, now: Any) -> Said | None:
        return None

    def chosen(self, db: Any, prompt_row: Any, digit: int, text: Any, now: Any) -> Said | None:
        return None
