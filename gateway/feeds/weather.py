"""Weather forecasts: read, kept in one shape, and put into words.

Only the weather service may publish a forecast; others pass it on with the station's name and the time it was
issued (气象法 22, 25). So every `Forecast` carries both, figures are restated and never altered, and the advice in
`fields` follows from the station's own figures and is no warning. Two kinds of feed are read: "station", our own
small format (docs/weather-feed.md), and "open-meteo", a free web forecast for planning and demonstrations, whose
`official` is False.

A missing figure (null or absent) is kept as missing; a wrong one is never mended: the whole payload is refused
with every problem named, and the last good forecast stands while it is young enough (`choose`). Words that go into
texts may hold no control characters and no 【】, which operators take for a signature.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gateway import feeds, model
from gateway.errors import Invalid, Problem, Refused

LONGEST_WORDS = 30
MOST_DAYS = 45
# Wide enough for any place; narrow enough for the 9999 that stations write for "no reading".
DEGREES = (-70.0, 60.0)
MILLIMETRES = (0.0, 2000.0)
KILOMETRES_PER_HOUR = (0.0, 500.0)
# A station's clock may be ahead of ours, but tomorrow's forecast cannot have been issued yet.
AHEAD = timedelta(hours=1)
# When advice is added: ice, a 高温日 (35 degrees), 大雨 in 24 hours (GB/T 28592).
FREEZING = 0.0
HOT = 35.0
HEAVY_RAIN = 25.0
STRONG_GUST = 6
AREA_CODE = re.compile(r"([0-9]{2}|[0-9]{4}|[0-9]{6}|[0-9]{9}|[0-9]{12})?")


@dataclass(frozen=True, slots=True)
class Day:
    """One day: words, degrees Celsius, wind in words ("" if not given), millimetres of rain; None is not given."""

    date: date
    weather: str
    low: float | None = None
    high: float | None = None
    wind: str = ""
    rain_mm: float | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What `source` said at `issued_at` about an area (code, "" for the whole site) and its days in order.

    `official` is whether the weather service itself issued it; only such a one may go to the public.
    """

    area: str
    name: str
    source: str
    issued_at: datetime
    days: tuple[Day, ...]
    official: bool = True

    def on(self, day: date) -> Day | None:
        return next((each for each in self.days if each.date == day), None)


async def fetch(
    location: str | Path,
    kind: str,
    *,
    now: datetime,
    source: str = "",
    area: str = "",
    name: str = "",
    token: str | None = None,
    timeout: float = feeds.TIMEOUT,  # noqa: ASYNC109
) -> list[Forecast]:
    """Brings a feed and reads it; raises FeedFault or Invalid. `token` goes out as a bearer's."""
    payload = await feeds.fetch(location, token=token, timeout=timeout)
    return read(payload, kind, file=feeds.shown(location), source=source, area=area, name=name, fetched_at=now)


def read(
    payload: bytes,
    kind: str,
    *,
    file: str,
    fetched_at: datetime,
    source: str = "",
    area: str = "",
    name: str = "",
) -> list[Forecast]:
    """The forecasts of a payload, one per area; Invalid with every problem, named by `file` and key.

    "station": a `source` given here must be the payload's own. "open-meteo": `source`, `area` and `name` say for
    whom the point was asked, and `fetched_at` stands for the time of issue, which that format lacks.
    """
    if kind not in READERS:
        known = ", ".join(READERS)
        raise Refused(f"没有这种天气数据：{kind}（可用：{known}）", f"no such kind of feed: {kind} (known: {known})")
    page = _Page(file)
    forecasts = READERS[kind](page, page.parse(payload), _Asked(source, area, name, fetched_at))
    page.close()
    return forecasts


def for_area(forecasts: Sequence[Forecast], area: str) -> Forecast | None:
    """The forecast of the area itself or of the closest area around it."""
    around = (forecast for forecast in forecasts if model.within(area, forecast.area))
    return max(around, key=lambda forecast: len(forecast.area), default=None)


def choose(fresh: Forecast | None, stored: Forecast | None, now: datetime, max_age: timedelta) -> Forecast | None:
    """The newest of the two that is at most `max_age` old, the fresh one on a tie; None is a fault to report."""
    usable = [f for f in (fresh, stored) if f is not None and -AHEAD <= now - f.issued_at <= max_age]
    return max(usable, key=lambda forecast: forecast.issued_at, default=None)


def fields(forecast: Forecast, day: date, now: datetime, zone: ZoneInfo) -> Mapping[str, str]:
    """The template's fields for one day, all strings; 提示 is "" when no figure asks for advice.

    Refused for a day gone by, a day not forecast, or one without its weather or temperatures.
    """
    if day < now.astimezone(zone).date():
        raise Refused(f"{day}已过", f"{day} is over")
    found = forecast.on(day)
    if found is None:
        raise Refused(f"预报里没有{day}", f"nothing is forecast for {day}")
    if not found.weather or found.low is None or found.high is None:
        raise Refused(f"{day}的预报缺天气或气温", f"the forecast for {day} lacks weather or temperatures")
    issued = forecast.issued_at.astimezone(zone)
    return {
        "地区": forecast.name,
        "日期": f"{day.month}月{day.day}日",
        "天气": found.weather,
        "最低": _number(found.low),
        "最高": _number(found.high),
        "风": found.wind or "风力未报",
        "提示": "".join(_advice(found)),
        "气象台": forecast.source,
        "发布时间": f"{issued.day}日{issued.hour}时" + (f"{issued.minute}分" if issued.minute else ""),
    }


def _number(value: float) -> str:
    return f"{round(value, 1) + 0.0:g}"  # + 0.0 makes 0 of -0


def _advice(day: Day) -> Iterator[str]:
    """Restates the figure that gives the reason, in the order of the danger to people."""
    if day.rain_mm is not None and day.rain_mm >= HEAVY_RAIN:
        yield f"降雨{_number(day.rain_mm)}毫米，远离河沟。"
    if day.high is not None and day.high >= HOT:
        yield f"最高{_number(day.high)}℃，注意防暑。"
    if day.low is not None and day.low <= FREEZING:
        yield f"最低{_number(day.low)}℃，注意防冻。"


def to_json(forecast: Forecast) -> str:
    """For storing the last good one; `from_json` gives an equal forecast back."""
    return json.dumps(asdict(forecast), ensure_ascii=False, default=lambda moment: moment.isoformat())


def from_json(text: str) -> Forecast:
    """Invalid if the text is not what `to_json` wrote."""
    page = _Page("forecast")
    data = page.table(page.parse(text.encode()), "")
    source, issued_at = page.words(data, "source", required=True), page.moment(data, "issued_at")
    official = data.get("official")
    if not isinstance(official, bool):
        page.wrong("official", "应为 true 或 false", "must be true or false")
    forecast = _area_forecast(page, data, "", source, issued_at, official=official is True)
    page.close()
    return forecast


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the site's settings say of the feed."""

    source: str
    area: str
    name: str
    fetched_at: datetime


class _Page:
    """One payload being read: takes values out of it by key and collects what is wrong with them.

    Wrong values become stand-ins, so that reading goes on; `close` raises before any of them gets out.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._problems: list[Problem] = []

    def wrong(self, key: str, zh: str, en: str) -> None:
        self._problems.append(Problem(self._file, key, None, zh, en))

    def close(self) -> None:
        if self._problems:
            raise Invalid(self._problems)

    def parse(self, payload: bytes) -> Any:
        try:
            return json.loads(payload.decode("utf-8-sig"), parse_constant=_no_constant)
        except UnicodeDecodeError:
            problem = Problem(self._file, "", None, "文件不是UTF-8编码", "not UTF-8")
        except json.JSONDecodeError as error:
            problem = Problem(self._file, "", error.lineno, f"不是JSON：{error.msg}", f"not JSON: {error.msg}")
        except (ValueError, RecursionError) as error:
            problem = Problem(self._file, "", None, f"不是JSON：{error}", f"not JSON: {error}")
        raise Invalid([problem])

    def table(self, value: object, key: str) -> Mapping[str, Any]:
        if isinstance(value, dict):
            return value
        self.wrong(key, "应为对象", "must be an object")
        return {}

    def rows(self, data: Mapping[str, Any], name: str, at: str = "") -> list[tuple[str, Mapping[str, Any]]]:
        """The non-empty list of objects under `name`, each with its own key."""
        key, value = f"{at}{name}", data.get(name)
        if not isinstance(value, list) or not value:
            self.wrong(key, "应为非空列表", "must be a list with entries")
            return []
        return [(f"{key}[{n}].", self.table(row, f"{key}[{n}]")) for n, row in enumerate(value)]

    def words(self, data: Mapping[str, Any], name: str, at: str = "", *, required: bool = False) -> str:
        value = data.get(name)
        text = "" if value is None else value.strip() if isinstance(value, str) else None
        if text is None or (required and not text):
            self.wrong(f"{at}{name}", "应为文字", "must be words")
        elif len(text) > LONGEST_WORDS or not text.isprintable() or "【" in text or "】" in text:
            self.wrong(
                f"{at}{name}",
                f"文字最多{LONGEST_WORDS}个字，不得有换行或【】",
                f"at most {LONGEST_WORDS} characters, no line breaks, no 【】",
            )
        return text or ""

    def figure(self, data: Mapping[str, Any], name: str, limits: tuple[float, float], at: str = "") -> float | None:
        value = data.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.wrong(f"{at}{name}", "应为数字或null", "must be a number or null")
        elif not limits[0] <= value <= limits[1]:
            bounds = f"{limits[0]:g}..{limits[1]:g}"
            self.wrong(f"{at}{name}", f"超出范围{bounds}", f"outside {bounds}")
        else:
            return value
        return None

    def day(self, data: Mapping[str, Any], name: str, at: str) -> date:
        try:
            return date.fromisoformat(data.get(name))  # type: ignore[arg-type]
        except (TypeError, ValueError):
            self.wrong(f"{at}{name}", "应为日期，如 2026-07-01", "must be a date such as 2026-07-01")
            return date.min

    def moment(self, data: Mapping[str, Any], name: str) -> datetime:
        try:
            moment = datetime.fromisoformat(data.get(name))  # type: ignore[arg-type]
            if moment.tzinfo is not None:
                return moment.astimezone(UTC)
        except (TypeError, ValueError, OverflowError):
            pass
        example = "2026-07-01T07:00:00+08:00"
        self.wrong(name, f"应为带时区的时间，如 {example}", f"must be a time with its offset such as {example}")
        return datetime.min.replace(tzinfo=UTC)


def _no_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity, which Python would take


def _station(page: _Page, payload: object, asked: _Asked) -> list[Forecast]:
    data = page.table(payload, "")
    source, issued_at = page.words(data, "source", required=True), page.moment(data, "issued_at")
    if asked.source and source and source != asked.source:
        page.wrong("source", f"来源不是{asked.source}", f"the source is not {asked.source}")
    forecasts = [
        _area_forecast(page, row, at, source, issued_at, official=True) for at, row in page.rows(data, "areas")
    ]
    _once(page, "areas", [forecast.area for forecast in forecasts])
    return forecasts


def _area_forecast(
    page: _Page, row: Mapping[str, Any], at: str, source: str, issued_at: datetime, *, official: bool
) -> Forecast:
    area, name = page.words(row, "area", at), page.words(row, "name", at, required=True)
    if not AREA_CODE.fullmatch(area):
        page.wrong(f"{at}area", "应为2、4、6、9或12位区划代码", "must be an area code of 2, 4, 6, 9 or 12 digits")
    days = [_day(page, each, key) for key, each in page.rows(row, "days", at)]
    return Forecast(area, name, source, issued_at, _in_order(page, days, f"{at}days"), official)


def _in_order(page: _Page, days: Sequence[Day], key: str) -> tuple[Day, ...]:
    if len(days) > MOST_DAYS:
        page.wrong(key, f"最多{MOST_DAYS}天", f"at most {MOST_DAYS} days")
    _once(page, key, [day.date for day in days])
    return tuple(sorted(days, key=lambda day: day.date))


def _day(page: _Page, row: Mapping[str, Any], at: str) -> Day:
    day = Day(
        date=page.day(row, "date", at),
        weather=page.words(row, "weather", at),
        low=page.figure(row, "low", DEGREES, at),
        high=page.figure(row, "high", DEGREES, at),
        wind=page.words(row, "wind", at),
        rain_mm=page.figure(row, "rain_mm", MILLIMETRES, at),
    )
    if day.low is not None and day.high is not None and day.low > day.high:
        page.wrong(f"{at}low", "低温高于高温", "low is above high")
    return day


def _once(page: _Page, key: str, values: Sequence[object]) -> None:
    for value in sorted({str(value) for value in values if values.count(value) > 1}):
        page.wrong(key, f"重复：{value}", f"twice: {value}")


# Open-Meteo's units unless others are asked for; with others the figures would be silently wrong.
_UNITS = {
    "temperature_2m_max": "°C",
    "temperature_2m_min": "°C",
    "precipitation_sum": "mm",
    "wind_speed_10m_max": "km/h",
    "wind_gusts_10m_max": "km/h",
}
# WMO table 4677 as far as Open-Meteo uses it, in the words of Chinese forecasts.
_WMO = {
    0: "晴", 1: "晴", 2: "多云", 3: "阴", 45: "雾", 48: "冻雾",
    51: "毛毛雨", 53: "毛毛雨", 55: "毛毛雨", 56: "冻雨", 57: "冻雨",
    61: "小雨", 63: "中雨", 65: "大雨", 66: "冻雨", 67: "冻雨",
    71: "小雪", 73: "中雪", 75: "大雪", 77: "米雪", 80: "阵雨", 81: "阵雨", 82: "强阵雨", 85: "阵雪", 86: "强阵雪",
    95: "雷阵雨", 96: "雷阵雨伴有冰雹", 99: "强雷阵雨伴有冰雹",
}  # fmt: skip
_DIRECTIONS = ("北风", "东北风", "东风", "东南风", "南风", "西南风", "西风", "西北风")
# Where the levels 1 to 17 begin, in metres a second (GB/T 28591).
_LEVELS = (0.3, 1.6, 3.4, 5.5, 8.0, 10.8, 13.9, 17.2, 20.8, 24.5, 28.5, 32.7, 37.0, 41.5, 46.2, 51.0, 56.1)


def _open_meteo(page: _Page, payload: object, asked: _Asked) -> list[Forecast]:
    if not asked.source or not asked.name:
        raise Refused("网络预报须写明来源和地区名", "a web forecast needs a source and a name of the place")
    data = page.table(payload, "")
    if data.get("error"):
        reason = str(data.get("reason"))[:200]
        page.wrong("reason", f"对方报错：{reason}", f"the provider says: {reason}")
        return []
    columns, units = page.table(data.get("daily"), "daily"), page.table(data.get("daily_units"), "daily_units")
    for name, unit in _UNITS.items():
        if name in columns and units.get(name) != unit:
            page.wrong(f"daily_units.{name}", f"单位应为{unit}", f"the unit must be {unit}")
    days = [_open_meteo_day(page, row, f"daily[{n}].") for n, row in enumerate(_turned(page, columns))]
    days_in_order = _in_order(page, days, "daily.time")
    return [Forecast(asked.area, asked.name, asked.source, asked.fetched_at, days_in_order, official=False)]


def _turned(page: _Page, columns: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Parallel columns as rows; a column that does not fit the days would shift figures to other days."""
    dates = columns.get("time")
    if not isinstance(dates, list) or not dates:
        page.wrong("daily.time", "应为非空列表", "must be a list with entries")
        return []
    for name, column in columns.items():
        if not isinstance(column, list) or len(column) != len(dates):
            page.wrong(f"daily.{name}", f"应有{len(dates)}项", f"must have {len(dates)} entries")
            return []
    return [{name: column[n] for name, column in columns.items()} for n in range(len(dates))]


def _open_meteo_day(page: _Page, row: Mapping[str, Any], at: str) -> Day:
    return Day(
        date=page.day(row, "time", at),
        weather=_weather(page, page.figure(row, "weather_code", (0, 99), at), f"{at}weather_code"),
        low=page.figure(row, "temperature_2m_min", DEGREES, at),
        high=page.figure(row, "temperature_2m_max", DEGREES, at),
        wind=_wind(
            page.figure(row, "wind_direction_10m_dominant", (0, 360), at),
            page.figure(row, "wind_speed_10m_max", KILOMETRES_PER_HOUR, at),
            page.figure(row, "wind_gusts_10m_max", KILOMETRES_PER_HOUR, at),
        ),
        rain_mm=page.figure(row, "precipitation_sum", MILLIMETRES, at),
    )


def _weather(page: _Page, code: float | None, key: str) -> str:
    if code is None:
        return ""
    if code not in _WMO:
        page.wrong(key, f"不认识的天气代码：{code:g}", f"not a known weather code: {code:g}")
    return _WMO.get(int(code), "")


def _wind(degrees: float | None, speed: float | None, gusts: float | None) -> str:
    """`西北风4级`, with `阵风7级` from level 6 on; "" without a speed."""
    if speed is None:
        return ""
    direction = "" if degrees is None else _DIRECTIONS[round(degrees / 45) % 8]
    level = wind_level(speed)
    words = f"{direction or '风力'}{level}级" if level else "微风"
    gust = 0 if gusts is None else wind_level(gusts)
    return f"{words}阵风{gust}级" if gust >= STRONG_GUST else words


def wind_level(kmh: float) -> int:
    """Beaufort's level, 0 to 17, of a speed in km/h, by its tenths of a metre a second (GB/T 28591)."""
    return bisect_right(_LEVELS, round(kmh / 3.6, 1))


Reader = Callable[[_Page, object, _Asked], list[Forecast]]
READERS: Mapping[str, Reader] = {"station": _station, "open-meteo": _open_meteo}
