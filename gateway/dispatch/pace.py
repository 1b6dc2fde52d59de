"""How fast an account may send, and how soon again; how soon it may log in again."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What an account may do: `rate` parts a second; when a deferred text is tried again, and how often.

    `relogin_seconds`: the shortest time between two logins.
    """

    rate: float
    relogin_seconds: float = 0.0
    retry_seconds: Sequence[float] = (30.0, 120.0, 600.0, 1800.0)
    max_attempts: int = 5


class Bucket:
    """Parts that may leave now; at most a fiftieth of a second's worth is saved up, so that no second has 2 % more."""

    def __init__(self, rate: float, monotonic: Callable[[], float]) -> None:
        self.rate = rate
        self._monotonic = monotonic
        self._saved = max(1.0, rate / 50)
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


JITTER = 0.25
"""Share by which a pause before the next login is lengthened at most, so that accounts do not come back in step."""


class Logins:
    """When an account may log in again: pauses that grow with each failure, and never closer than `apart` seconds.

    Some gates hold a dead connection for minutes and refuse, or lock out, whoever comes back before.
    """

    def __init__(self, apart: float, pauses: Sequence[float], monotonic: Callable[[], float]) -> None:
        self._apart, self._pauses, self._monotonic = apart, pauses, monotonic
        self._failures = 0
        self._again_at = 0.0

    def wait(self) -> float:
        """Seconds until it may log in."""
        return max(0.0, self._again_at - self._monotonic())

    def begins(self) -> None:
        """It logs in now, with whatever outcome."""
        self._again_at = self._monotonic() + self._apart * _jitter() if self._apart else 0.0

    def succeeded(self) -> None:
        """The pauses begin anew."""
        self._failures = 0

    def failed(self) -> float:
        """Seconds to wait before the next one."""
        pause = self._pauses[min(self._failures, len(self._pauses) - 1)] * _jitter()
        self._failures += 1
        return max(pause, self.wait())


def _jitter() -> float:
    return 1 + random.random() * JITTER
