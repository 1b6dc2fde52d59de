"""What may still leave over an account: quotas, the hall's own cap, the balance, open hours, the list of numbers. Pure.

Policy
- Everything is counted in parts, as operators bill. What was taken for certain and what may have been taken count
  alike: a ceiling is never passed because a link broke.
- A day and a month begin at midnight on the site's clock.
- Emergencies pass every ceiling; whoever asks here decides that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from gateway import phone, sheets
from gateway.config import Carrier
from gateway.worktime import Hours, utc

DAY = timedelta(days=1)
CEILINGS = {
    "quota_per_day": ("运营商每天的限额", "the operator's quota per day"),
    "quota_per_month": ("运营商每月的限额", "the operator's quota per month"),
    "monthly_cap": ("大厅每月的上限", "the hall's own cap per month"),
    "balance": ("账号的余量", "the account's balance"),
}
"""The settings that limit how much may leave, as people are told of them."""


class Used(NamedTuple):
    """Parts taken by the operator: today, this month, and since the morning of the balance."""

    today: int = 0
    month: int = 0
    since_balance: int = 0


@dataclass(frozen=True, slots=True)
class Ceiling:
    """One limit of an account: `name` is its setting, `left` may be negative, a balance renews by a person alone."""

    name: str
    most: int
    left: int
    renews_at: datetime | None


@dataclass(frozen=True, slots=True)
class Beginnings:
    """When the spans began over which an account is counted; `balance` is None where none is written."""

    day: datetime
    month: datetime
    balance: datetime | None


def is_limited(account: Carrier) -> bool:
    """Whether there is anything to count."""
    return any(getattr(account, name) is not None for name in CEILINGS)


def beginnings(account: Carrier, now: datetime, zone: ZoneInfo) -> Beginnings:
    """The moments from which on parts of this account are to be counted."""
    today = now.astimezone(zone).date()
    balance = None if account.balance_on is None else _midnight(account.balance_on, zone)
    return Beginnings(_midnight(today, zone), _midnight(today.replace(day=1), zone), balance)


def ceilings(account: Carrier, used: Used, now: datetime, zone: ZoneInfo) -> list[Ceiling]:
    """The account's limits, with what is left of each."""
    today = now.astimezone(zone).date()
    tomorrow = _midnight(today + timedelta(days=1), zone)
    next_month = _midnight((today.replace(day=1) + timedelta(days=32)).replace(day=1), zone)
    spans = {
        "quota_per_day": (used.today, tomorrow),
        "quota_per_month": (used.month, next_month),
        "monthly_cap": (used.month, next_month),
        "balance": (used.since_balance, None),
    }
    return [
        Ceiling(name, most, most - taken, renews)
        for name, (taken, renews) in spans.items()
        if (most := getattr(account, name)) is not None
    ]


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return utc(datetime.combine(day, time(), zone))


def account_hours(account: Carrier) -> Hours | None:
    """When its operator takes texts; None at any hour."""
    return None if account.hours is None else Hours(*account.hours)


def open_spans(
    start: datetime, end: datetime, hours: Sequence[Hours], zone: ZoneInfo
) -> Iterator[tuple[datetime, datetime]]:
    """The stretches from `start` to `end` in which all of `hours` are open."""
    at = utc(start)
    while at < end:
        opens = max((one.next_opening(at, zone) for one in hours), default=at)
        if opens > at:
            at = opens
            continue
        closes = min((close for one in hours if (close := one.closing_after(at, zone))), default=end)
        yield at, min(closes, end)
        at = closes


def allowed(account: Carrier, directory: Path) -> frozenset[str] | None:
    """The numbers that an account may send to, in E.164; None for any. Raises what `sheets.open_table` does."""
    if account.whitelist is None:
        return None
    path = directory / account.whitelist
    return _numbers(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _numbers(path: Path, _changed: int) -> frozenset[str]:
    cells = (phone.parse(cell) for row in sheets.open_table(path).rows() for cell in row.cells)
    return frozenset(one.e164 for one in cells if one.e164 is not None and one.reason is None)
