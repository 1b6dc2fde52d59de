"""What may leave over an account now: how often to one number, and whether anything but an emergency at all.

Policy
- Operators refuse what comes too often to one number, and punish whoever tries: a text that is over a limit is put off
  before it leaves, until the moment at which it is not. Emergencies are counted and never put off.
- What is remembered is bounded: the newest `NUMBERS` numbers, each with what left within a day. It lies in memory, so a
  restart begins anew; then the operator's own limits stand alone.
- While the operator's hours are closed, or a quota, the cap or the balance is used up, nothing but emergencies leaves,
  and what waits stays where it is. What was used is read from the store at the start of each span and counted on here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zlib import crc32
from zoneinfo import ZoneInfo

from gateway import bought
from gateway.bought import Beginnings, Ceiling, Used
from gateway.config import Carrier as Bought

NUMBERS = 100_000
"""About 20 MB."""

MINUTE, DAY = 60.0, 86400.0
SAME_MINUTE, SAME_HOUR = 59.0, 59 * 60.0
"""Seconds in which the same text counts, as providers state them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Texts to one number: in a minute, in a day, the same one in 59 seconds and in 59 minutes; 0 is no limit."""

    per_minute: int = 15
    per_day: int = 50
    same_per_minute: int = 2
    same_per_hour: int = 5


UNBOUNDED = Bounds(per_minute=0, per_day=0, same_per_minute=0, same_per_hour=0)


class Frequency:
    """Remembers what left to whom, and says how long the next must wait."""

    def __init__(self, bounds: Bounds, monotonic: Callable[[], float], numbers: int = NUMBERS) -> None:
        self._bounds, self._monotonic = bounds, monotonic
        self._most = 0 if bounds == UNBOUNDED else numbers
        self._left: OrderedDict[str, list[int]] = OrderedDict()
        self._body, self._sum = "", 0

    def wait(self, phone: str, body: str) -> float:
        """Seconds until this text may leave to this number; 0 for now."""
        left = self._left.get(phone)
        if left is None:
            return 0.0
        now, mark = self._monotonic(), self._mark(body)
        times = [one >> 32 for one in left]
        same = [one >> 32 for one in left if one & 0xFFFFFFFF == mark]
        return max(
            _until(times, self._bounds.per_minute, MINUTE, now),
            _until(times, self._bounds.per_day, DAY, now),
            _until(same, self._bounds.same_per_minute, SAME_MINUTE, now),
            _until(same, self._bounds.same_per_hour, SAME_HOUR, now),
        )

    def left(self, phone: str, body: str) -> None:
        """It leaves now."""
        if not self._most:
            return
        now = int(self._monotonic() * 1000)
        earlier = [one for one in self._left.pop(phone, ()) if now - (one >> 32) < DAY * 1000]
        self._left[phone] = [*earlier, now << 32 | self._mark(body)]
        if len(self._left) > self._most:
            self._left.popitem(last=False)

    def _mark(self, body: str) -> int:
        """Texts that share a body are mostly one object, which is then summed once."""
        if body is not self._body:
            self._body, self._sum = body, crc32(body.encode())
        return self._sum


def _until(times: Sequence[int], most: int, span: float, now: float) -> float:
    if not most or len(times) < most:
        return 0.0
    return max(0.0, times[-most] / 1000 + span - now)


class Gate:
    """Whether anything but emergencies may leave: the operator's hours, quotas, cap and balance."""

    def __init__(self, account: Bought | None, zone: ZoneInfo) -> None:
        """None: an account of which nothing is known, always open."""
        self._account, self._zone = account, zone
        self._hours = bought.account_hours(account) if account else None
        self._limited = account is not None and bought.is_limited(account)
        self._ceilings: list[Ceiling] = []
        self._known_until: datetime | None = None
        self._out = self._spent = 0
        self._full = False

    def must_learn(self, now: datetime) -> Beginnings | None:
        """The spans of which the use is to be read from the store, when that is due."""
        if self._account is None or not self._limited or (self._known_until is not None and now < self._known_until):
            return None
        return bought.beginnings(self._account, now, self._zone)

    def learn(self, used: Used, now: datetime) -> None:
        """What the store says; parts that are out and not answered yet are not in it."""
        if self._account is None:
            return
        self._ceilings = bought.ceilings(self._account, used, now, self._zone)
        self._known_until = bought.beginnings(self._account, now + bought.DAY, self._zone).day
        self._spent, self._full = self._out, False

    def leaves(self, parts: int) -> None:
        """So many parts are handed over."""
        self._out, self._spent = self._out + parts, self._spent + parts

    def answered(self, parts: int, *, taken: bool) -> None:
        """The operator said whether it took them."""
        self._out -= parts
        if not taken:
            self._spent, self._full = self._spent - parts, False

    def takes(self, parts: int, now: datetime) -> bool:
        """Whether an ordinary text of so many parts may leave."""
        if not self._is_open(now) or self._unread:
            return False
        # Once a long text did not fit, shorter ones do not slip past it: parcels would be opened for them in vain.
        self._full = self._full or any(one.left - self._spent < parts for one in self._ceilings)
        return not self._full

    def closed(self, now: datetime) -> tuple[str, str] | None:
        """Why nothing but emergencies leaves, in Chinese and English."""
        if not self._is_open(now):
            return f"运营商只在 {self._hours} 收短信", f"the operator takes texts from {self._hours} only"
        if self._unread:
            return "还没有读到已用了多少", "what was used is not read yet"
        least = min(self._ceilings, key=lambda one: one.left, default=None)
        if least is None or (least.left - self._spent > 0 and not self._full):
            return None
        zh, en = bought.CEILINGS[least.name]
        return f"{zh} {least.most:,} 段已用完", f"{en}, {least.most:,} parts, is used up"

    @property
    def _unread(self) -> bool:
        return self._limited and self._known_until is None

    def _is_open(self, now: datetime) -> bool:
        return self._hours is None or self._hours.is_open(now, self._zone)
