"""Sudden clusters of "no such number": an operator that screens us, and no numbers that died.

Policy
- `CLUSTER` numbers of one operator called dead within an hour, and they are `SHARE` of what it said of the texts around
  them: all of it is void, so that it suppresses nobody, and whoever is on duty and the director are told, once an hour.
- While a cluster is known, what the operator calls dead within the hour is void as well.
- Numbers that die one by one, a few of every notice, are no cluster however many there are in a year.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import structlog

from gateway.config import Config
from gateway.duty import Duty
from gateway.officials import SYSTEM
from gateway.store import Connection, Store, audit, failing, numbers
from gateway.store.numbers import Cluster, Signs
from gateway.worktime import Clock

log = structlog.get_logger()

WITHIN = timedelta(hours=1)
LOOKED_BACK = timedelta(minutes=5)
"""Refusals at the submit are looked for once a minute; a minute missed is made up for."""

CLUSTER = 20
SHARE = 0.25
SCREENED = "screened"
ALARM = "alarm-screened"


class Screening:
    """Looks every minute at what came in the last hour."""

    def __init__(
        self, store: Store, config: Config, duty: Duty, clock: Clock, queued: Callable[[], None] = lambda: None
    ) -> None:
        """`queued` is called after texts were queued in this process."""
        self._store, self._config, self._duty, self._clock, self._queued = store, config, duty, clock, queued

    async def run_due(self) -> int:
        """Note what was refused for its number, and void what came in clusters; answers how many signs."""
        now = self._clock.now()
        for name in self._config.carriers:
            signs = Signs(partial(self._config.says_of_number, name, stage="submit"), self._config.site.zone)
            await self._store.write(numbers.note_refused, name, now - LOOKED_BACK, signs, now)
        found = [one for one in await self._store.read(numbers.since, now - WITHIN) if one.operator]
        done = 0
        for one in found:
            if await self._store.read(self._is_cluster, one, now):
                done += await self._store.write(self._void, one, now)
        if done:
            self._queued()
        return done

    def _is_cluster(self, db: Connection, one: Cluster, now: datetime) -> bool:
        if self._known(db, one, now):
            return True
        return one.signs >= CLUSTER and one.signs >= SHARE * numbers.told_of(db, one)

    @staticmethod
    def _known(db: Connection, one: Cluster, now: datetime) -> bool:
        said = failing.last_said(db, _about(one), (SCREENED,), (now - WITHIN).date())
        return said is not None and said.at > now - WITHIN

    def _void(self, db: Connection, one: Cluster, now: datetime) -> int:
        count = numbers.void(db, one.operator, now - WITHIN)
        if count and not self._known(db, one, now):
            audit.append(db, now, SYSTEM.login, SCREENED, _about(one), {"numbers": count})
            log.error("numbers.screened", operator=one.operator, numbers=count)
            director = self._duty.director(now)
            officers = {each.login: each for each in (*self._duty.on_duty("", now), *([director] if director else []))}
            self._duty.say(db, list(officers.values()), ALARM, {"运营商": one.operator, "个数": str(count)}, now)
        return count


def _about(one: Cluster) -> str:
    return f"operator {one.operator}"
