"""What was paid to a number's people in the last year, newest first, each by a masked name.

Policy: numbers are given out again. Whoever asks is told what was paid to those who have the number by the roster of
today, and nothing of those who had it before.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from gateway.store import Connection, payments, people

SPAN = timedelta(days=payments.ANSWERED_DAYS)
LINES_AT_MOST = 5


def lines(db: Connection, phone: str, now: datetime, zone: ZoneInfo) -> list[str]:
    """One line per payment; several people may share a number."""
    names = [one.name for one in people.by_phone(db, phone)]
    found = payments.to_number(db, phone, now - SPAN, LINES_AT_MOST, names)
    return [f"{one.at.astimezone(zone):%-m月%-d日}{masked(one.name)}{one.item}{one.amount}元" for one in found]


def masked(name: str) -> str:
    """A name as it may stand on somebody's phone: 高秀英 is 高*英, 高英 is 高*."""
    if len(name) < 2:
        return name
    return f"{name[0]}*" if len(name) == 2 else f"{name[0]}{'*' * (len(name) - 2)}{name[-1]}"
