"""What must outlive one opening of a modem: the account is opened anew after every hang.

Policy
- A PIN that was refused is not tried again by this process: the third time would lock the SIM.
- A reference is the hour (of China) in which the network took the part, and the modem's own number of it, which wraps
  at 256: `26030212-5`. A report repeats the number, the recipient and the network's time, so that its reference can be
  worked out again after a restart. It misses then when the hour turned between the network's clock and ours.
- Without a restart the parts are remembered, and a report goes to the one of that number and recipient that left
  nearest to its time, within an hour. Two alike are nobody's. A second part with the same reference to the same
  recipient gets one of its own.
- A modem that takes its initialisation but no text is not opened before the pause is over, which grows each time: else
  text after text would use up its attempts.
- The day's count begins anew with the process: a carrier keeps nothing on disk.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import NamedTuple

CHINA = timezone(timedelta(hours=8))
REMEMBERED = 4096
"""Parts; at a modem's pace some hours, and longer than the 256 numbers last."""
LONG_REFERENCES = 1 << 16
NEAR = timedelta(hours=1)
ALIKE = timedelta(minutes=1)
AMBIGUOUS = "?"


class Sent(NamedTuple):
    """A part that the network took."""

    number: int
    phone: str
    ref: str
    at: datetime


@dataclass(slots=True)
class Memory:
    """Of one port."""

    refused_pin: str = ""
    next_at: float = 0.0
    """The loop's time before which nothing is sent."""
    failures: int = 0
    """Texts in a row that the network would not take now."""
    trouble: str = ""
    """The error for which the modem was opened anew, until a text leaves."""
    _long: int = field(default_factory=lambda: random.randrange(LONG_REFERENCES))
    _sent: deque[Sent] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _day: date | None = None
    _count: int = 0

    def next_long(self) -> int:
        """A reference of 16 bits for the next long text; neither it nor its last 8 are those of the one before."""
        self._long = (self._long + 1) % LONG_REFERENCES
        return self._long

    def sent_today(self, now: datetime) -> int:
        """Parts that left today, as China's midnight has it."""
        return self._count if self._day == now.astimezone(CHINA).date() else 0

    def count(self, now: datetime) -> None:
        """One more left, or may have."""
        self._count, self._day = self.sent_today(now) + 1, now.astimezone(CHINA).date()

    def note(self, number: int, phone: str, now: datetime) -> str:
        """The reference of a part that was taken."""
        ref = _worked_out(number, now)
        again = sum(one.ref.partition(".")[0] == ref and one.phone == phone for one in self._sent)
        ref = f"{ref}.{again + 1}" if again else ref
        self._sent.append(Sent(number, phone, ref, now))
        return ref

    def knows(self, number: int, phone: str, at: datetime | None) -> bool:
        """Whether a report can be of a part that is remembered."""
        return bool(self._fitting(number, phone, at))

    def find(self, number: int, phone: str, at: datetime | None) -> str:
        """The reference that a report is about; at worst one that fits nothing."""
        fitting = self._fitting(number, phone, at)
        if at is None:
            return fitting[0].ref if len(fitting) == 1 else f"{AMBIGUOUS}-{number}"
        if not fitting:
            return _worked_out(number, at)
        nearest = sorted((abs(one.at - at), one.ref) for one in fitting)
        if len(nearest) > 1 and nearest[1][0] - nearest[0][0] < ALIKE:
            return f"{AMBIGUOUS}{_worked_out(number, at)}"
        return nearest[0][1]

    def _fitting(self, number: int, phone: str, at: datetime | None) -> list[Sent]:
        mine = (one for one in self._sent if one.number == number and one.phone == phone)
        return [one for one in mine if at is None or abs(one.at - at) <= NEAR]


def _worked_out(number: int, at: datetime) -> str:
    return f"{at.astimezone(CHINA):%y%m%d%H}-{number}"


_OF: dict[tuple[str, str], Memory] = {}


def of(account: str, port: str) -> Memory:
    """What is remembered of an account's port."""
    return _OF.setdefault((account, port), Memory())
