"""The example that is most like a text: to be shown as a reason, and to decide where it is nearly the same."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from gateway.triage.questions import Question

LIKE_FROM = 0.25


class Likeness(NamedTuple):
    """An example and how like it is, 0 to 1."""

    question: Question
    likeness: float


class Near:
    """Examples by their pairs of characters, rare pairs weighing more; the cosine between two of them."""

    def __init__(self, examples: Sequence[tuple[str, Sequence[str], Question]]) -> None:
        self._questions = [question for _, _, question in examples]
        self._same = {whole: at for at, (whole, _, _) in enumerate(examples)}
        pairs = [_pairs(matter) for _, matter, _ in examples]
        counts = Counter(pair for row in pairs for pair in row)
        self._weight = {pair: math.log(1 + len(pairs) / count) for pair, count in counts.items()}
        self._length = [self._norm(row) for row in pairs]
        self._places: dict[str, list[int]] = defaultdict(list)
        for at, row in enumerate(pairs):
            for pair in row:
                self._places[pair].append(at)

    def _norm(self, row: Sequence[str]) -> float:
        return math.sqrt(sum(self._weight.get(pair, 1.0) ** 2 for pair in row)) or 1.0

    def best(self, whole: str, matter: Sequence[str]) -> Likeness | None:
        """The most like; None where no example is even a little like it."""
        if whole in self._same:
            return Likeness(self._questions[self._same[whole]], 1.0)
        row = _pairs(matter)
        sums: dict[int, float] = defaultdict(float)
        for pair in row:
            square = self._weight.get(pair, 0.0) ** 2
            for at in self._places.get(pair, ()):
                sums[at] += square
        if not sums:
            return None
        mine = self._norm(row)
        at = max(sums, key=lambda one: sums[one] / self._length[one])
        likeness = sums[at] / (self._length[at] * mine)
        return Likeness(self._questions[at], likeness) if likeness >= LIKE_FROM else None


def _pairs(matter: Sequence[str]) -> list[str]:
    return [feature for feature in matter if len(feature) == 2]
