"""Kinds of values in config.toml: each says in both languages what is wrong with what was written.

A secret is never among the values: a key ending in `_env` names an environment variable, whose value is handed out by
`secret` and kept nowhere. Paths are relative to the site's directory and stay inside it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field

from gateway.errors import Refused
from gateway.tomlfile import wrong

SHORTEST_RETENTION = 180
"""Days; MIIT order 74 (2026) asks for six months of send and receive times, numbers, opt-ins and content."""

Environment = Mapping[str, str]


class Hours(NamedTuple):
    """Open from `open`, included, to `close`, excluded, on the site's clock; midnight as `close` is 24:00."""

    open: time
    close: time


def _hours(text: object) -> Hours | None:
    """`08:00-21:00`; an empty text is round the clock, None."""
    if text == "":
        return None
    found = re.fullmatch(r"(\d\d:\d\d)-(\d\d:\d\d)", text) if isinstance(text, str) else None
    if not found or found[1] == found[2]:
        raise wrong("时段应写作 08:00-21:00，全天写空", 'hours are written 08:00-21:00, always as ""')
    return Hours(clock_time(found[1]), time() if found[2] == "24:00" else clock_time(found[2]))


def clock_time(text: str) -> time:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        raise wrong(f"没有这个时间：{text}，应写作 07:30", f"no such time: {text}; times are written 07:30")
    return time.fromisoformat(text)


def office_spans(text: str) -> tuple[Hours, ...]:
    """`08:30-12:00,14:00-17:30`; empty is 00:00-24:00. They follow each other on one day."""
    parts = text.replace("，", ",").split(",") if text else ["00:00-24:00"]
    spans = [found for part in parts if (found := _hours(part.strip() or "-"))]
    for n, (begin, end) in enumerate(spans):
        if end != time() and end < begin:
            raise wrong(
                f"{_spelt(begin, end)} 跨了夜，上班时段要在一天之内", f"{_spelt(begin, end)} runs over midnight"
            )
        if n and not time() < spans[n - 1].close <= begin:
            both = _spelt(*spans[n - 1]), _spelt(begin, end)
            raise wrong(
                f"上班时段要从早到晚、互不重叠：{'、'.join(both)}",
                f"spans overlap or are out of order: {', '.join(both)}",
            )
    return tuple(spans)


def _spelt(begin: time, end: time) -> str:
    return f"{begin:%H:%M}-{'24:00' if end == time() else format(end, '%H:%M')}"


def _office_text(text: str) -> str:
    return ",".join(_spelt(*one) for one in office_spans(text))


def _month_day(text: str) -> str:
    try:
        return f"{date.fromisoformat(f'2000-{text}'):%m-%d}"
    except ValueError:
        raise wrong(f"{text} 应写作月-日，如 06-01", f"{text} should be month and day, like 06-01") from None


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def span(text: object) -> timedelta:
    """`30m`, `24h`, `3d`."""
    if isinstance(text, timedelta):
        return text
    found = re.fullmatch(r"([1-9]\d{0,4})([smhd])", text) if isinstance(text, str) else None
    if not found:
        raise wrong("时长应写作 30m、24h 或 3d", "a span is written 30m, 24h or 3d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _area_code(code: str) -> str:
    group = {2: 2, 4: 2, 6: 2, 9: 3, 12: 3}.get(len(code))
    if group is None or not (code.isascii() and code.isdigit()):
        raise wrong("区划代码是 2、4、6、9 或 12 位数字", "an area code has 2, 4, 6, 9 or 12 digits")
    if not code[-group:].strip("0"):
        raise wrong("区划代码末尾不要补零", "an area code is not padded with zeros")
    return code


def _inside(path: str) -> str:
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\\" in path:
        raise wrong("路径要在站点目录之内", "a path stays inside the site's directory")
    return path


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise wrong("没有这个时区", "no such time zone") from None
    return name


def _web_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.password:
        raise wrong("应是不带密码的 http(s) 地址", "should be an http(s) address without a password")
    return _only_area(url)


def _only_area(text: str) -> str:
    if "{" in text.replace("{area}", "") or "}" in text.replace("{area}", ""):
        raise wrong("只能有 {area} 一个占位", "the only placeholder is {area}")
    return text


OpenHours = Annotated[Hours | None, BeforeValidator(_hours)]
ZoneName = Annotated[str, AfterValidator(_zone)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
AreaCode = Annotated[str, AfterValidator(_area_code)]
Span = Annotated[timedelta, BeforeValidator(span)]
InnerPath = Annotated[str, Field(min_length=1), AfterValidator(_inside)]
AreaPath = Annotated[InnerPath, AfterValidator(_only_area)]
"""A path with `{area}` for the area's code."""
OfficeSpans = Annotated[str, AfterValidator(_office_text)]
MonthDay = Annotated[str, AfterValidator(_month_day)]
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
EnvName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
Price = Annotated[Decimal, Field(ge=0, le=100)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
NoneOrMore = Annotated[int, Field(ge=0)]
Kept = Annotated[int, Field(ge=SHORTEST_RETENTION)]


def secret(name: str, environ: Environment | None = None) -> str:
    """The value of an environment variable; Refused where it is missing or empty."""
    value = (os.environ if environ is None else environ).get(name, "")
    if not value:
        raise Refused(f"环境变量 {name} 没有设置", f"the environment variable {name} is not set")
    return value
