"""What was read in the texts of one number that are taken as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from gateway import phone as phones
from gateway import words
from gateway.store.inbound import Waiting
from gateway.triage import CASE_INTENTS, Triage, Understanding, signs
from gateway.words import Intent, Topic, Word

WINDOW_OF: Mapping[Intent, str] = {Intent.JOBS: "jiuye", Intent.SIGNUP: "jiuye"}
"""Questions from data that are about a window's own items."""
MOST_CLAUSES = 8
LONGEST_READ = 2000
"""Characters that are read of texts taken as one; the rest is kept and shown."""
IDLE = (Intent.THANKS, Intent.SPAM)


@dataclass(frozen=True, slots=True)
class Reading:
    """Texts taken as one, oldest first, with what was read in them."""

    texts: Sequence[Waiting]
    body: str
    """All of them, a line each, without greetings beside other things."""
    word: Word | None
    understood: Understanding
    answerable: bool
    now: datetime
    prompted: bool = False
    """Whether an answer to a question of ours let them go on."""

    @property
    def phone(self) -> str:
        return self.texts[0].phone

    @property
    def last(self) -> Waiting:
        return self.texts[-1]

    @property
    def idle(self) -> Intent | None:
        """`thanks` or `spam`, which open nothing and wake nothing."""
        return self.understood.intent if self.understood.intent in IDLE else None

    @property
    def intent(self) -> Intent:
        return self.word.intent if self.word else self.understood.intent

    @property
    def whole(self) -> str:
        """The texts as words are compared."""
        return words.normalise(self.body)


class Reader:
    """Reads texts with the site's words."""

    def __init__(
        self, triage: Callable[[], Triage], topics: Sequence[Topic], optout_words: Sequence[str], own: frozenset[str]
    ) -> None:
        self._triage, self._topics, self._optout_words, self._own = cache(triage), topics, optout_words, own

    @property
    def learned(self) -> bool:
        """Whether what reads texts is made; else the first text that is read has it made."""
        return self._triage.cache_info().currsize > 0

    def learn(self) -> None:
        """Have it made."""
        self._triage()

    def read(self, texts: Sequence[Waiting], now: datetime) -> Reading:
        """What these texts of one number say together."""
        body = _body(texts)
        return Reading(texts, body, self.word(body), self._understood(texts[0], body), self._answerable(texts[0]), now)

    def word(self, body: str) -> Word | None:
        """The service word that a text is as a whole."""
        return words.read(body, self._topics, self._optout_words)

    def at_once(self, text: Waiting) -> bool:
        """Whether a text is not to wait for others: service words, opt-outs, answers by digit."""
        return self.word(text.body) is not None

    def beside(self, reading: Reading) -> Understanding | None:
        """What a text that is answered from data asks besides: a part of it that by itself is about another item."""
        asked = WINDOW_OF.get(reading.understood.intent)
        for clause in words.clauses(reading.body)[:MOST_CLAUSES]:
            found = self._triage().read(clause)
            if found.intent in CASE_INTENTS and found.item and found.window != asked:
                return found
        return None

    def danger(self, body: str) -> bool:
        """Whether a text tells of danger to life."""
        return signs.danger(words.normalise(body[:LONGEST_READ])) is not None

    def _understood(self, first: Waiting, body: str) -> Understanding:
        service = phones.parse(first.phone).reason == "service"
        idle = words.opens_nothing(body, from_service=service)
        return Understanding(idle) if idle else self._triage().read(body)

    def _answerable(self, first: Waiting) -> bool:
        """Not service numbers, not our own, nor what no text can reach."""
        return phones.parse(first.phone).reason is None and first.phone not in self._own and first.phone != first.to


def _body(texts: Sequence[Waiting]) -> str:
    said = [text.body for text in texts]
    meant = [one for one in said if words.opens_nothing(one) is None] or said
    return "\n".join(meant)[:LONGEST_READ]
