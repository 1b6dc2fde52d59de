"""How well texts are read, measured on samples that people labelled. Pure.

Policy
- A sample is a text, the window whose case it becomes ("" where it makes none) and its intent. `alternatives` are
  windows and intents that a sensible clerk could also have chosen; they count as right.
- Four questions are asked: does it make a case, which window (asked of those that make one), which intent, does it opt
  out. For opting out no alternative counts.
- Cross-validation trains on all parts but one and reads that one; parts are drawn from a fixed seed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from gateway.hall import Window
from gateway.triage import questions
from gateway.triage.questions import Question
from gateway.triage.reader import Triage
from gateway.triage.understanding import CASE_INTENTS, Understanding
from gateway.words import Intent

NO_CASE = ""
MAKE_NONE = frozenset(Intent) - CASE_INTENTS - {Intent.UNCLEAR}
"""Intents with which no case is made."""
SEED = 1
Trainer = Callable[[Sequence[Question]], Triage]


@dataclass(frozen=True, slots=True)
class Sample:
    """A labelled text; `row`: its line in the file it came from."""

    text: str
    window: str
    intent: Intent
    alternatives: frozenset[str] = frozenset()
    row: int = 0

    @property
    def may_make_case(self) -> bool:
        return bool(self.window or self.alternatives - MAKE_NONE)

    @property
    def may_make_none(self) -> bool:
        return not self.window or bool(self.alternatives & MAKE_NONE)


def alternatives(note: str) -> frozenset[str]:
    """Those of a note such as "item=cz-02;alt=xinfang;tricky | sounds like a complaint"."""
    tags = (tag.strip() for tag in note.partition("|")[0].split(";"))
    return frozenset(one for tag in tags if tag.startswith("alt=") for one in tag[4:].split("+") if one)


@dataclass(frozen=True, slots=True)
class Reading:
    """A sample and what was read in it."""

    sample: Sample
    read: Understanding

    @property
    def window(self) -> str:
        """The window read, "" where no case is made."""
        return self.read.window or NO_CASE

    @property
    def case_right(self) -> bool:
        return self.sample.may_make_case if self.window else self.sample.may_make_none

    @property
    def window_right(self) -> bool:
        if not self.window:
            return self.sample.may_make_none
        return self.window in (self.sample.window, *self.sample.alternatives)

    @property
    def intent_right(self) -> bool:
        also = self.sample.alternatives
        return self.read.intent in (self.sample.intent, *also) or (not self.sample.window and self.window in also)

    @property
    def optout_right(self) -> bool:
        return (self.read.intent is Intent.OPTOUT) == (self.sample.intent is Intent.OPTOUT)

    @property
    def right(self) -> bool:
        placed = self.window_right or not self.sample.window
        return self.case_right and self.intent_right and self.optout_right and placed


@dataclass(frozen=True, slots=True)
class Class:
    """How one class was read: `named` texts that belong to it, `read` that were read as it, `right` that were both."""

    name: str
    named: int
    read: int
    right: int

    @property
    def precision(self) -> float | None:
        return self.right / self.read if self.read else None

    @property
    def recall(self) -> float | None:
        return self.right / self.named if self.named else None


@dataclass(frozen=True, slots=True)
class Score:
    """All readings of a sample."""

    readings: Sequence[Reading] = field(repr=False)

    @property
    def case(self) -> float:
        return _share([one.case_right for one in self.readings])

    @property
    def optout(self) -> float:
        return _share([one.optout_right for one in self.readings])

    @property
    def intent(self) -> float:
        return _share([one.intent_right for one in self.readings])

    @property
    def window(self) -> float:
        return _share([one.window_right for one in self._cases()])

    def intents(self) -> list[Class]:
        """Each intent, by an alternative where that is what was read and it is right."""
        return _classes((one.sample.intent.value, one.read.intent.value, one.intent_right) for one in self.readings)

    def windows(self) -> list[Class]:
        """Each window, of the texts that make a case."""
        return _classes((one.sample.window, one.window, one.window_right) for one in self._cases())

    def confusions(self) -> Counter[tuple[str, str]]:
        """(intent named, intent read) -> texts."""
        return Counter(
            (one.sample.intent.value, one.sample.intent.value if one.intent_right else one.read.intent.value)
            for one in self.readings
        )

    def wrong(self) -> list[Reading]:
        return [one for one in self.readings if not one.right]

    def _cases(self) -> list[Reading]:
        return [one for one in self.readings if one.sample.window]


def samples(name: str, text: str, windows: Sequence[Window]) -> list[Sample]:
    """The rows of a CSV text with the columns text, window, intent and perhaps note; Invalid names what is wrong."""
    return [
        Sample(row["text"], row["window"], Intent(row["intent"]), alternatives(row["note"]), at)
        for at, row in questions.rows(name, text, windows)
    ]


def score(triage: Triage, samples: Sequence[Sample]) -> Score:
    """Read every sample."""
    return Score([Reading(one, triage.read(one.text)) for one in samples])


def cross(train: Trainer, taught: Sequence[Question], folds: int) -> Score:
    """Read every question by a triage that was trained without its part; `folds` at least 2."""
    order = list(range(len(taught)))
    random.Random(SEED).shuffle(order)
    found: dict[int, Reading] = {}
    for fold in range(folds):
        asked = set(order[fold::folds])
        triage = train([one for at, one in enumerate(taught) if at not in asked])
        for at in asked:
            one = taught[at]
            found[at] = Reading(Sample(one.text, one.window, one.intent, row=at + 2), triage.read(one.text))
    return Score([found[at] for at in sorted(found)])


def _share(right: Sequence[bool]) -> float:
    return sum(right) / len(right) if right else 1.0


def _classes(pairs: Iterator[tuple[str, str, bool]]) -> list[Class]:
    named: Counter[str] = Counter()
    read: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for name, said, agreed in pairs:
        named[name] += 1
        read[name if agreed else said] += 1
        right[name] += agreed
    return [Class(name, named[name], read[name], right[name]) for name in sorted(named | read, key=lambda n: -named[n])]
