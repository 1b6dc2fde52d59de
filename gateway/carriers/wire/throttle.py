"""How much a link sends while its operator asks for less. Pure: times are given.

Policy
- When the operator asks for less the link pauses; the pause doubles up to `LONGEST_PAUSE` while nothing at all is taken
  in between. What it says of parts that left before the pause is nothing new.
- The window of unanswered parts halves, and grows again by a half with each part that is taken.
- The gap between two parts doubles, and shrinks by half in `EASE_SECONDS` in which parts are taken: so the link finds
  the pace of an operator that takes less than was bought, and tries from time to time whether it takes more.
"""

from __future__ import annotations

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
FIRST_GAP, LONGEST_GAP = 0.002, 5.0
EASE_SECONDS = 10.0


class Throttle:
    """Of one link. `paused` while nothing may leave."""

    def __init__(self, most: int) -> None:
        self.paused = False
        self._most = self._window = float(most)
        self._pause = self._resumed_at = 0.0
        self._gap = self._next_at = self._eased_at = 0.0

    @property
    def window(self) -> int:
        """Parts that may be unanswered."""
        return int(self._window)

    def wait(self, now: float) -> float:
        """Seconds until the next part may leave; 0 when it leaves now."""
        if self._gap and now < self._next_at:
            return self._next_at - now
        self._next_at = now + self._gap
        return 0.0

    def slow_down(self, sent_at: float, now: float) -> float:
        """The operator asks for less: seconds to pause, 0 where it has been heard already."""
        if self.paused or sent_at < self._resumed_at:
            return 0.0
        self._window = max(1.0, self._window / 2)
        self._gap, self._eased_at = min(LONGEST_GAP, max(FIRST_GAP, self._gap * 2)), now
        self._pause = min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)
        self.paused = True
        return self._pause

    def resume(self, now: float) -> None:
        """The pause is over."""
        self.paused, self._resumed_at = False, now

    def taken(self, now: float) -> None:
        """The operator took a part."""
        self._pause = 0.0
        self._window = min(self._most, self._window + 0.5)
        if self._gap:
            gap = self._gap * 0.5 ** (min(1.0, now - self._eased_at) / EASE_SECONDS)
            self._gap, self._eased_at = (gap if gap > FIRST_GAP / 2 else 0.0), now
