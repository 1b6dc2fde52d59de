"""A site's forecasts: fetched, kept, and put into the fields of a broadcast, area by area.

Policy
- Each area takes the newest forecast that is young enough, fresh or kept, its own or that of the area around it. What
  is found stands under the forecast's own area: people of the places within find it by the longest prefix.
- What goes wrong with one area or one fetch is a fault that stands (`feed:NAME`), and the others go out. Only when no
  area has any forecast is that `NoForecast`, and nobody is told anything.
- Only the weather service's forecasts may go out through carriers that reach anybody (气象法 22).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from pathlib import Path

from gateway.config import Config, Feed, secret
from gateway.errors import GatewayError, Invalid, Refused
from gateway.feeds import weather
from gateway.feeds.weather import Forecast
from gateway.model import within
from gateway.store import Connection, Store, slots
from gateway.worktime import ONE_DAY, Clock

FETCHES_AT_ONCE = 4
EVENING = time(17)
"""From then on a forecast is for the next day."""


class NoForecast(GatewayError):
    """Nobody's forecast can be had now; the broadcast waits."""


class Forecasts:
    """A site's feeds of weather."""

    def __init__(self, store: Store, config: Config, clock: Clock) -> None:
        self._store, self._config, self._clock = store, config, clock

    async def fields(self, feed: Feed, moment: datetime) -> Mapping[str, Mapping[str, str]]:
        """Area code -> fields of the day that `moment` is about; NoForecast when no area has any."""
        now, problems = self._clock.now(), dict[str, str]()
        fresh = await self._fresh(feed, now, problems)
        stored = await self._stored(feed, fresh, now)
        by_area: dict[str, Mapping[str, str]] = {}
        for area in self._config.areas:
            self._fill(by_area, self._chosen(feed, fresh, stored, area.code, now), moment, problems)
        if not by_area:
            problems = problems or {"没有可用的天气预报": "there is no forecast"}
            raise NoForecast("；".join(problems), "; ".join(problems.values()))
        await self._store.write(self._show, feed, by_area, problems)
        return by_area

    async def _fresh(self, feed: Feed, now: datetime, problems: dict[str, str]) -> list[Forecast]:
        place = feed.url or str(feed.file)
        areas = [(area.code, area.name) for area in self._config.areas]
        if "{area}" not in place:
            areas = [next((one for one in areas if one[0] == self._config.site.area), areas[0])]
        at_once = asyncio.Semaphore(FETCHES_AT_ONCE)

        async def one(code: str, name: str) -> list[Forecast]:
            async with at_once:
                return await self._fetch(feed, code, name, now, problems)

        return [forecast for found in await asyncio.gather(*(one(*area) for area in areas)) for forecast in found]

    async def _fetch(self, feed: Feed, code: str, name: str, now: datetime, problems: dict[str, str]) -> list[Forecast]:
        place: str | Path = (feed.url or str(feed.file)).replace("{area}", code)
        try:
            token = secret(feed.secret_env) if feed.secret_env else None
            if feed.url is None:
                place = self._config.directory / place
            found = await weather.fetch(
                place, feed.kind, now=now, source=feed.source, area=code, name=name, token=token
            )
            return [forecast for forecast in found if self._may_publish(forecast)]
        except Invalid as error:
            first = error.problems[0]
            problems[f"{first.where()}：{first.zh}"] = f"{first.where()}: {first.en}"
        except GatewayError as error:
            problems[error.zh] = error.en
        return []

    def _may_publish(self, forecast: Forecast) -> bool:
        if forecast.official or all(one.protocol == "simulator" for one in self._config.carriers.values()):
            return True
        raise Refused(
            f"{forecast.source}不是气象台发布的，正式通道不能转发（气象法第二十二条）",
            f"{forecast.source} is not the weather service: not for real carriers",
        )

    async def _stored(self, feed: Feed, fresh: Sequence[Forecast], now: datetime) -> list[Forecast]:
        """The last good ones as they were before; the fresh ones take their place."""
        kept = await self._store.read(slots.feed_get, feed.name)
        said = {one.area: (one.issued_at, weather.to_json(one)) for one in fresh}
        if said:
            await self._store.write(slots.feed_put, feed.name, said, now)
        readable = []
        for content in kept.values():
            with contextlib.suppress(Refused):  # a shape of another version, or a feed that may not be used any more
                forecast = weather.from_json(content)
                readable += [forecast] if self._may_publish(forecast) else []
        return readable

    @staticmethod
    def _chosen(
        feed: Feed, fresh: Sequence[Forecast], stored: Sequence[Forecast], code: str, now: datetime
    ) -> Forecast | None:
        max_age = timedelta(hours=feed.max_age_hours)
        return weather.choose(weather.for_area(fresh, code), weather.for_area(stored, code), now, max_age)

    def _fill(
        self,
        by_area: dict[str, Mapping[str, str]],
        forecast: Forecast | None,
        moment: datetime,
        problems: dict[str, str],
    ) -> None:
        """Kept under the forecast's own area: people of the places within find it by the longest prefix."""
        if forecast is None:
            problems.setdefault("预报没有或太旧", "a forecast is absent or too old")
            return
        zone = self._config.site.zone
        local = moment.astimezone(zone)
        day = local.date() + (ONE_DAY if local.time() >= EVENING else timedelta())
        try:
            values = weather.fields(forecast, day, self._clock.now(), zone)
            by_area[forecast.area or self._config.site.area] = values
        except Refused as error:
            problems[f"{forecast.name}：{error.zh}"] = f"{forecast.name}: {error.en}"

    def _show(
        self, db: Connection, feed: Feed, by_area: Mapping[str, Mapping[str, str]], problems: Mapping[str, str]
    ) -> None:
        """The feed's own fault: something was wrong, though a forecast goes out."""
        key = f"feed:{feed.name}"
        if not problems:
            slots.fault_clear(db, key)
            return
        without = [one.name for one in self._config.areas if not any(within(one.code, code) for code in by_area)]
        zh, en = "；".join(problems), "; ".join(problems.values())
        if without:
            zh, en = f"{zh}；没有预报的：{'、'.join(without)}", f"{en}; without a forecast: {', '.join(without)}"
        slots.fault_set(db, key, f"天气来源 {feed.name}：{zh}", f"feed {feed.name}: {en}", self._clock.now())
