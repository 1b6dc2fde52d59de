"""Opting out and in: the ledger's rows and the one confirmation.

Policy
- Only words for it change consent; writing in never opts anybody back in. Saying the same again changes nothing.
- "R" is the category of the newest notice of the last 72 hours; without one it is all of them.
- The confirmation names what was stopped and what to answer to undo just that, and goes out once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from gateway.inbox.reading import Reading
from gateway.store import Connection, consent, inbound
from gateway.words import Intent, Topic, Word

NOTICE_IS_RECENT = timedelta(hours=72)
NOTICE_MAY_WAIT = timedelta(days=30)
"""How long before it left a notice may have been composed."""
Say = Callable[..., int | None]
ALL = "全部通知"


class Consenting:
    """What an opt-out or a resuming text changes."""

    def __init__(self, topics: Sequence[Topic], say: Say, phone: str) -> None:
        """`say` queues one of the gateway's own texts; `phone` is the hall's."""
        self._topics, self._say, self._phone = topics, say, phone

    def change(self, db: Connection, reading: Reading, word: Word) -> str | None:
        """Append what is new to the ledger: what it is about, in words, or None where nothing changes."""
        categories = word.categories
        if word.of_last_notice:
            notice = last_notice(db, reading)
            known = {topic.category for topic in self._topics}
            categories = (notice.category,) if notice and notice.category in known else None
        state: consent.Word = "out" if word.intent is Intent.OPTOUT else "in"
        changed = False
        for category in categories or (None,):
            if _stands(db, reading.phone, category, state):
                continue
            text = reading.last
            ledger: dict[str, Any] = {"source": text.source, "wording": text.body, "by": "self", "at": reading.now}
            consent.append(db, text.phone, category, state, **ledger)
            changed = True
        return self._name(categories) if changed else None

    def confirm(self, db: Connection, reading: Reading, word: Word, about: str) -> int | None:
        """Say what was stopped or begun again."""
        opposite = "恢复" if word.intent is Intent.OPTOUT else "退订"
        undone = opposite if about == ALL else f"{opposite}{about}"
        values = {"类别": about, "口令": undone, "电话": self._phone}
        return self._say(db, reading.phone, str(word.intent), values, reading.now)

    def _name(self, categories: tuple[str, ...] | None) -> str:
        if categories is None:
            return ALL
        return "和".join(dict.fromkeys(topic.name for topic in self._topics if topic.category in categories))


def last_notice(db: Connection, reading: Reading) -> inbound.Notice | None:
    """The newest broadcast that this number got within 72 hours."""
    since = reading.now - NOTICE_IS_RECENT
    return inbound.last_notice(db, reading.phone, since, since - NOTICE_MAY_WAIT)


def _stands(db: Connection, phone: str, category: str | None, state: consent.Word) -> bool:
    """Whether saying this again would change nothing."""
    said = consent.history(db, phone)
    if category is None:
        return bool(said) and (said[-1].category, said[-1].state) == (None, state)
    about = [row for row in said if row.category in (None, category)]
    return bool(about) and about[-1].state == state
