"""Today's weather where somebody lives, as the site's feed said it last; never a forecast of our own (气象法 22)."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime, time, timedelta

from gateway.config import Config
from gateway.errors import Refused
from gateway.feeds import weather
from gateway.feeds.weather import Forecast
from gateway.store import Connection, slots
from gateway.worktime import ONE_DAY

EVENING = time(17)
"""From then on people ask about tomorrow."""


def told(db: Connection, config: Config, area: str, now: datetime) -> Mapping[str, str] | None:
    """Fields of the day's forecast for an area, that of the area around it where it has none; None if there is none."""
    for name, feed in config.feeds.items():
        max_age = timedelta(hours=feed.max_age_hours)
        known = [one for content in slots.feed_get(db, name).values() if (one := _read(content)) is not None]
        found = weather.choose(None, weather.for_area(known, area), now, max_age)
        if found is not None and (fields := _fields(found, config, now)):
            return fields
    return None


def _read(content: str) -> Forecast | None:
    with contextlib.suppress(Refused):  # a shape of another version
        return weather.from_json(content)
    return None


def _fields(found: Forecast, config: Config, now: datetime) -> Mapping[str, str] | None:
    zone = config.site.zone
    local = now.astimezone(zone)
    for day in [local.date()] if local.time() < EVENING else [local.date() + ONE_DAY, local.date()]:
        with contextlib.suppress(Refused):
            return weather.fields(found, day, now, zone)
    return None
