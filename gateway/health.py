"""How an account does, in numbers, from the parts that left over it in the last hour. Pure.

Policy
- What is looked at is bounded: the newest `LOOKED_AT` parts of the last hour. Two short spans judge: receipts are late
  by parts that are `late_after` to three times as old; failing is told by the newest answers of `FRESH`.
- So trouble passes by itself: when nothing leaves any more there is nothing to judge by, and the account is tried
  again.
- A dead number or a refused wording is the text's own failing: only what another carrier might do better counts.
- Fewer than `LEAST` parts prove nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from gateway.codes import Stage

HOUR = timedelta(hours=1)
FRESH = timedelta(minutes=15)
SPEED_OVER = timedelta(seconds=10)
LOOKED_AT = 5000
LEAST = 20

OF_THE_TEXT = frozenset({"delivered", "pending", "absent", "dead", "suspended", "blocked", "content"})
"""Kinds of codes that say nothing against the carrier."""

Trouble = Literal["", "slow", "failing"]
TROUBLES: dict[str, tuple[str, str]] = {
    "": ("正常", "fine"),
    "slow": ("回执慢", "slow"),
    "failing": ("失败多", "failing"),
}
Means = Callable[[Stage, str], str]
"""(stage, code) -> what kind of code it is."""


def no_meaning(_stage: Stage, _code: str) -> str:
    """Where nobody says what codes mean."""
    return "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """From where on an account is in trouble; a share of 0 is never looked at. `failing_of`: newest parts."""

    late_after: timedelta = timedelta(minutes=10)
    late_share: float = 0.5
    failing_share: float = 0.5
    failing_of: int = 200


class Sent(NamedTuple):
    """One part: what was recorded of it, and what the operator said in the end."""

    at: datetime
    outcome: str
    error: str | None
    state: str | None
    said: str | None
    told_at: datetime | None

    @property
    def failed(self) -> bool:
        return self.outcome == "rejected" or self.state == "undelivered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The numbers. Shares are of `parts`, 0 to 1; delays are seconds; None where there is nothing to tell by."""

    parts: int
    per_second: float
    delivered: float | None
    failed: float | None
    unknown: float | None
    median_delay: float | None
    late_delay: float | None
    """The 95th percentile."""
    last_error: str | None
    last_error_at: datetime | None
    without_receipt: float | None
    """Share of parts older than `late_after` of which nothing was said."""
    failing: float | None
    """Share of the newest parts that the carrier failed."""
    trouble: Trouble


def measure(sent: Sequence[Sent], now: datetime, marks: Marks, means: Means) -> Health:
    """The health that the parts of the last hour show, newest first."""
    delays = sorted(_delay(one.at, one.told_at) for one in sent if one.told_at is not None)
    without, failing = _without_receipt(sent, now, marks), _failing(sent, now, marks, means)
    failure = next((one for one in sent if one.error or (one.failed and one.said)), None)
    return Health(
        parts=len(sent),
        per_second=sum(now - one.at <= SPEED_OVER for one in sent) / SPEED_OVER.total_seconds(),
        delivered=_share(sum(one.state == "delivered" for one in sent), len(sent)),
        failed=_share(sum(one.failed for one in sent), len(sent)),
        unknown=_share(sum(one.state is None and not one.failed for one in sent), len(sent)),
        median_delay=_percentile(delays, 0.5),
        late_delay=_percentile(delays, 0.95),
        last_error=failure and (failure.error or failure.said),
        last_error_at=failure and failure.at,
        without_receipt=without,
        failing=failing,
        trouble=_judge(without, failing, marks),
    )


def _judge(without: float | None, failing: float | None, marks: Marks) -> Trouble:
    if failing is not None and 0 < marks.failing_share <= failing:
        return "failing"
    if without is not None and 0 < marks.late_share <= without:
        return "slow"
    return ""


def _without_receipt(sent: Sequence[Sent], now: datetime, marks: Marks) -> float | None:
    span = marks.late_after
    due = [one for one in sent if one.outcome == "accepted" and span < now - one.at <= 3 * span]
    return _share(sum(one.state is None for one in due), len(due), LEAST)


def _failing(sent: Sequence[Sent], now: datetime, marks: Marks, means: Means) -> float | None:
    answers = [one for one in sent if now - one.at <= FRESH and (one.failed or one.state)][: marks.failing_of]
    return _share(sum(one.failed and _of_the_carrier(one, means) for one in answers), len(answers), LEAST)


def _of_the_carrier(one: Sent, means: Means) -> bool:
    stage: Stage = "submit" if one.outcome == "rejected" else "receipt"
    return means(stage, (one.error if stage == "submit" else one.said) or "") not in OF_THE_TEXT


def _delay(sent: datetime, told: datetime) -> float:
    """Operators' clocks are not ours, and many tell whole minutes."""
    return max(0.0, (told - sent).total_seconds())


def _share(count: int, of: int, least: int = 1) -> float | None:
    return count / of if of >= least else None


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else None
