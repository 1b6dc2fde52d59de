"""How often a number is answered by itself.

Policy
- None to service numbers, to our own, to numbers that no text can reach.
- One acknowledgement per case in `acknowledge_once_minutes`; five answers of whatever kind in that span, ten to who
  asks for what service words give.
- None after three in a row without a word from the hall, counted over a day, so that two gateways fall silent and a
  person who comes back next week does not wait in vain. Answers to prompts and to service words do not count.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from gateway.inbox.reading import Reading
from gateway.store import Connection, inbound
from gateway.store import cases as case_rows
from gateway.store.inbound import Answer
from gateway.words import Intent

IN_A_ROW = 3
IN_A_ROW_SPAN = timedelta(hours=24)
ANSWERS_AT_MOST = 5
ASKED_FOR_AT_MOST = 10
LOOK_BACK = 1000
ASKED_FOR = frozenset(
    {
        Intent.OPTOUT,
        Intent.RESUME,
        Intent.HELP,
        Intent.STATUS,
        Intent.RATING,
        Intent.GUIDE,
        Intent.SUBSIDY,
        Intent.WEATHER,
        Intent.JOBS,
        Intent.SIGNUP,
        Intent.ANSWER,
    }
)
"""Texts with these intents ask for an answer or give one: what they get does not count as a row."""


class Guards:
    """Whether one more automatic answer may go out."""

    def __init__(self, once: timedelta) -> None:
        self._once = once

    def may_answer(
        self, db: Connection, reading: Reading, same: Callable[[Answer], bool] = lambda answer: False
    ) -> bool:
        """Whether the number may get one more answer now, and none like it (`same`) was given just before."""
        if not reading.answerable:
            return False
        given = inbound.answers_since(db, reading.phone, reading.now - self._once, ANSWERS_AT_MOST)
        return len(given) < ANSWERS_AT_MOST and not any(map(same, given))

    def may_serve(self, db: Connection, reading: Reading) -> bool:
        """Whether the number may get one more answer from data."""
        if not reading.answerable:
            return False
        given = inbound.answers_since(db, reading.phone, reading.now - self._once, ASKED_FOR_AT_MOST)
        return len(given) < ASKED_FOR_AT_MOST

    def may_speak_first(
        self, db: Connection, reading: Reading, same: Callable[[Answer], bool] = lambda answer: False
    ) -> bool:
        """The same for what was not asked for: acknowledgements and questions of ours."""
        return self.may_answer(db, reading, same) and not self._fell_silent(db, reading)

    def _fell_silent(self, db: Connection, reading: Reading) -> bool:
        """Whether so many answers went unheard by the hall that the other side may be a machine."""
        since = reading.now - IN_A_ROW_SPAN
        if (said := case_rows.last_said(db, reading.phone)) is not None:
            since = max(since, said)
        given = inbound.answers_since(db, reading.phone, since, LOOK_BACK)
        return sum(answer.intent not in ASKED_FOR for answer in given) >= IN_A_ROW
