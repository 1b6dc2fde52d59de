"""The oracle's calendar: seconds since 1 September 2026, 00:00 in Beijing, and which of them the office is open.

The days are copied by hand from the notice of the State Council on the holidays of 2026: Mid-Autumn 25 to 27
September; National Day 1 to 7 October, with Sunday 20 September and Saturday 10 October worked for it. The hours are
read from the site's config.toml. Nothing is asked of `gateway.worktime`: open time is a list of spans that is walked.
"""

from __future__ import annotations

import tomllib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta, timezone
from functools import cache
from itertools import takewhile
from pathlib import Path

BEIJING = timezone(timedelta(hours=8))
EPOCH = datetime(2026, 9, 1, tzinfo=BEIJING)
DAY = 86_400
LAST = 150
"""Days that are known: until the end of January."""

OFF = {date(2026, 9, 25), *(date(2026, 10, day) for day in range(1, 8))}
ON = {date(2026, 9, 20), date(2026, 10, 10)}

Span = tuple[int, int]


def at(month: int, day: int, clock: str = "00:00") -> int:
    """Seconds of a day's clock."""
    hour, minute = map(int, clock.split(":"))
    return int((datetime(2026, month, day, hour, minute, tzinfo=BEIJING) - EPOCH).total_seconds())


def moment(seconds: int) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def seconds(moment: datetime) -> float:
    return (moment - EPOCH).total_seconds()


def day_of(seconds: int) -> int:
    """The day's number, 1 September being 0."""
    return seconds // DAY


def due_day(due: int) -> int:
    """The day at whose end, or on which, something is due."""
    return (due - 1) // DAY


@cache
def date_of(number: int) -> date:
    return EPOCH.date() + timedelta(days=number)


@cache
def worked(number: int) -> bool:
    day = date_of(number)
    return day in ON or (day not in OFF and day.weekday() < 5)


def next_worked(number: int, n: int = 1) -> int:
    """The n-th working day after a day (before it, for n below 0)."""
    while n:
        number += 1 if n > 0 else -1
        n -= (1 if n > 0 else -1) if worked(number) else 0
    return number


def _clock(text: str) -> int:
    hour, minute = map(int, text.split(":"))
    return hour * 3600 + minute * 60


class Office:
    """Open spans, in order."""

    def __init__(self, site: Path) -> None:
        table = tomllib.loads((site / "config.toml").read_text(encoding="utf-8"))["office"]
        self.table = table
        self.spans = [span for number in range(LAST) for span in self._read(number)]
        self._begins = [span[0] for span in self.spans]

    def _read(self, number: int) -> Iterator[Span]:
        if not worked(number):
            return
        summer = self.table["summer_from"] <= f"{date_of(number):%m-%d}" <= self.table["summer_until"]
        for span in self.table["summer" if summer else "hours"].split(","):
            begin, _, end = span.partition("-")
            yield number * DAY + _clock(begin), number * DAY + _clock(end)

    def of_day(self, number: int) -> Sequence[Span]:
        return list(takewhile(lambda span: span[0] < (number + 1) * DAY, self._from(number * DAY)))

    def _from(self, start: int) -> Iterator[Span]:
        """The spans that are not over at a moment."""
        for n in range(max(bisect_right(self._begins, start) - 1, 0), len(self.spans)):
            if self.spans[n][1] > start:
                yield self.spans[n]

    def half_day(self, now: int) -> Span | None:
        """The span that is running."""
        span = next(self._from(now))
        return span if span[0] <= now else None

    def opening(self, start: int) -> int:
        """That moment if the office is open, else when it opens."""
        return max(next(self._from(start))[0], start)

    def closing(self, number: int) -> int:
        return self.of_day(number)[-1][1]

    def length(self, number: int) -> int:
        return sum(end - begin for begin, end in self.of_day(number))

    def after(self, start: int, amount: int, without: Sequence[Span] = ()) -> int:
        """When so many seconds of open time have gone by since a moment, not counting what lies in `without`."""
        return run_out(self._from(start), start, amount, without)

    def between(self, start: int, end: int) -> int:
        spans = takewhile(lambda span: span[0] < end, self._from(start)) if start < end else ()
        return sum(min(one[1], end) - max(one[0], start) for one in spans)


def run_out(spans: Iterable[Span], start: int, amount: int, without: Sequence[Span]) -> int:
    """Walk spans from `start`, leaving out those in `without`, until `amount` is used up."""
    for begin, end in spans:
        for piece in _cut(max(begin, start), end, without):
            if piece[1] - piece[0] >= amount:
                return piece[0] + amount
            amount -= piece[1] - piece[0]
    raise ValueError("beyond the days that are known")


def _cut(begin: int, end: int, without: Sequence[Span]) -> Iterator[Span]:
    """What is left of a span."""
    for since, until in without:
        if since < end and until > begin:
            if begin < since:
                yield begin, since
            begin = max(begin, until)
    if begin < end:
        yield begin, end
