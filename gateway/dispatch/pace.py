"""How fast an account may send, and how soon again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What an account may do: `rate` parts a second; when a deferred text is tried again, and how often."""

    rate: float
    retry_seconds: Sequence[float] = (30.0, 120.0, 600.0, 1800.0)
    max_attempts: int = 5


class Bucket:
    """Parts that may leave now; at most a tenth of a second's worth is saved up."""

    def __init__(self, rate: float, monotonic: Callable[[], float]) -> None:
        self.rate = rate
        self._monotonic = monotonic
        self._saved = max(1.0, rate / 10)
        self._most = self._saved
        self._at = monotonic()

    def available(self) -> float:
        """Whole and fractional parts."""
        now = self._monotonic()
        self._saved = min(self._most, self._saved + (now - self._at) * self.rate)
        self._at = now
        return self._saved

    def spend(self, parts: int) -> None:
        """A long text may overdraw it; what follows waits the longer."""
        self._saved -= parts
