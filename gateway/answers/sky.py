"""Today's or tomorrow's weather where somebody lives, from what the site's feed said last.

Policy: only the weather service's own forecasts are passed on (气象法 22), with the station's name and the time. One
that is too old, or not of today, is not told at all, only that it is old and whose it was.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta

from gateway.config import Config
from gateway.errors import Refused
from gateway.feeds import weather
from gateway.feeds.weather import Forecast
from gateway.store import Connection, slots
from gateway.worktime import ONE_DAY

EVENING = time(17)
"""From then on people ask about tomorrow."""
_TOMORROW = re.compile("明[天儿早晚黑]|明后|明个")


def asks_for_tomorrow(text: str) -> bool:
    """Whether a text speaks of tomorrow."""
    return _TOMORROW.search(text) is not None


def told(
    db: Connection, config: Config, area: str, now: datetime, *, tomorrow: bool = False
) -> Mapping[str, str] | None:
    """Fields of the day's forecast for an area, that of the area around it where it has none; None if there is none."""
    for name, feed in config.feeds.items():
        max_age = timedelta(hours=feed.max_age_hours)
        found = weather.choose(None, weather.for_area(_known(db, config, name), area), now, max_age)
        if found is not None and (fields := _fields(found, config, now, tomorrow)):
            return fields
    return None


def last(db: Connection, config: Config, area: str) -> str:
    """Whose the newest forecast for an area is, and when it was issued: 清宁县气象台2日7时; "" where there is none."""
    found = [one for name in config.feeds if (one := weather.for_area(_known(db, config, name), area))]
    newest = max(found, key=lambda one: one.issued_at, default=None)
    if newest is None:
        return ""
    issued = newest.issued_at.astimezone(config.site.zone)
    return f"{newest.source}{issued.month}月{issued.day}日{issued.hour}时"


def _known(db: Connection, config: Config, feed: str) -> Sequence[Forecast]:
    """What a feed said last and may be passed on; any forecast will do where nothing is really sent."""
    rehearsal = all(one.protocol == "simulator" for one in config.carriers.values())
    read = [one for content in slots.feed_get(db, feed).values() if (one := _read(content)) is not None]
    return [one for one in read if one.official or rehearsal]


def _read(content: str) -> Forecast | None:
    with contextlib.suppress(Refused):  # a shape of another version
        return weather.from_json(content)
    return None


def _fields(found: Forecast, config: Config, now: datetime, tomorrow: bool) -> Mapping[str, str] | None:
    zone = config.site.zone
    local = now.astimezone(zone)
    tomorrow = tomorrow or local.time() >= EVENING
    for day in [local.date() + ONE_DAY, local.date()] if tomorrow else [local.date()]:
        with contextlib.suppress(Refused):
            return weather.fields(found, day, now, zone)
    return None
