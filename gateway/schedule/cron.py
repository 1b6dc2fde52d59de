"""Due times: of a cron expression on the wall clock, and of any recurrence between two moments.

Policy
- APScheduler reads the expression and computes readings of the wall clock, without a zone; what they mean in the
  site's zone is decided here, as for any rule: a time in a gap falls behind it, one that comes twice falls the first
  time. Its day of the month and its weekday must both fit.
- Nothing is due after `LAST_READING`, so that an expression that never comes true ends a search.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

from gateway.errors import Refused
from gateway.worktime import ONE_DAY, Recurrence

LAST_READING = datetime(2200, 1, 1, tzinfo=UTC)


class Cron:
    """A cron expression's due times; APScheduler only computes readings of the wall clock, without a zone."""

    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        """Refused for what is no cron expression."""
        minute, hour, day, month, weekday = expression.split()
        said = {"minute": minute, "hour": hour, "day": day, "month": month, "day_of_week": weekday}
        try:
            self._trigger = CronTrigger(**said, end_date=LAST_READING, timezone=UTC)
        except ValueError as error:
            raise Refused(f"cron 写法不对：{expression}", f"not a cron expression: {expression} ({error})") from None
        self._zone = zone
        self._around = lru_cache(maxsize=8)(self._on_day_and_next)

    def due_after(self, moment: datetime) -> datetime | None:
        """The first due time strictly after `moment`, UTC; None when there is none in this century or the next."""
        reading = self._reading_from(moment.astimezone(self._zone).date() - ONE_DAY)
        while reading is not None:
            day = reading.date()
            due = self._around(day)
            if due[-1] > moment:
                return due[bisect_right(due, moment)]
            reading = self._reading_from(day + ONE_DAY)
        return None

    def _on_day_and_next(self, day: date) -> tuple[datetime, ...]:
        """Of two days: a jump over midnight may put the last time of one behind the first of the next."""
        found, reading = set(), self._reading_from(day)
        while reading is not None and reading.date() <= day + ONE_DAY:
            # fold=0: of a reading that comes twice the first, and one in a gap falls behind it.
            found.add(reading.replace(tzinfo=self._zone).astimezone(UTC))
            reading = self._trigger.get_next_fire_time(None, reading + timedelta(seconds=1))
        return tuple(sorted(found))

    def _reading_from(self, day: date) -> datetime | None:
        found: datetime | None = self._trigger.get_next_fire_time(None, datetime.combine(day, time(), UTC))
        return found


def due_times(recurrence: Recurrence, start: datetime, end: datetime) -> Iterator[datetime]:
    """Every due time after `start` up to `end`, `end` included, one by one: an outage may have been long."""
    due = recurrence.due_after(start)
    while due is not None and due <= end:
        yield due
        due = recurrence.due_after(due)
