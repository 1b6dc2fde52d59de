"""Consent that changed since a text was composed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence


class Withdrawals:
    """Consent given or taken back since the oldest parcel in hand was composed."""

    def __init__(self, since: int) -> None:
        self.since = since
        self._rows: dict[str, dict[int, tuple[str | None, str]]] = defaultdict(dict)

    def learn(self, rows: Sequence[tuple[int, str, str | None, str]]) -> None:
        """(id, phone, category or None for all, "in" or "out") in the order of the ledger."""
        for key, phone, category, state in rows:
            self._rows[phone][key] = (category, state)
            self.since = max(self.since, key)

    def withholds(self, phone: str, category: str | None, seen: int) -> bool:
        """Whether the newest word of this number about the category, after `seen`, is no."""
        if category is None or phone not in self._rows:
            return False
        said = [
            state
            for key, (about, state) in sorted(self._rows[phone].items())
            if key > seen and about in (None, category)
        ]
        return bool(said) and said[-1] == "out"
