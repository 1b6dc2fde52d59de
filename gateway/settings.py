"""The tables of config.toml: what each key may be, and nothing about where it came from.

Every table is frozen and knows no key but its own. Accounts and routes are in `gateway.accounts`; what a single value
may be is in `gateway.values`; relations between tables are checked in `gateway.config`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from gateway.accounts import Carrier, Operator, Route
from gateway.codes import Code, Stage, explain
from gateway.errors import Invalid
from gateway.hall import Hall, Text, Words
from gateway.offers import Offers
from gateway.rota import Duty
from gateway.rules import Scoring
from gateway.tomlfile import Table, TomlFile, did_you_mean, wrong
from gateway.values import (
    AreaCode,
    AreaPath,
    Count,
    Environment,
    EnvName,
    Hours,
    InnerPath,
    Kept,
    MonthDay,
    OfficeSpans,
    OpenHours,
    Price,
    Share,
    Slug,
    Span,
    WebAddress,
    ZoneName,
    clock_time,
    office_spans,
    secret,
)

# --- tables -------------------------------------------------------------------------------------


class Site(Table):
    """Who sends. `price` is in `currency` per billed part."""

    name: Text
    signature: Annotated[str, Field(min_length=2, max_length=12, pattern=r"^[^【】\s]*$")]
    area: AreaCode
    timezone: ZoneName = "Asia/Shanghai"
    phone: Text
    language: Literal["zh", "en"] = "zh"
    price: Price = Decimal("0.05")
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "CNY"

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


class StoreSettings(Table):
    """Where the database is; an address with a password comes from the environment."""

    url: str | None = None
    url_env: EnvName | None = None

    @field_validator("url")
    @classmethod
    def _known_and_harmless(cls, url: str | None) -> str | None:
        if url and urlsplit(url).password:
            raise wrong("地址里不写密码，改用 url_env", "no password in the address: use url_env")
        if url and not url.startswith(("sqlite:///", "postgresql+asyncpg://")):
            raise wrong(
                "应以 sqlite:/// 或 postgresql+asyncpg:// 开头",
                "should begin with sqlite:/// or postgresql+asyncpg://",
            )
        return url

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        _exactly_one(url=self.url, url_env=self.url_env)
        return self


class Area(Table):
    """A place the site serves. `clerk` is told whom no text can reach."""

    code: AreaCode
    name: Text
    clerk: Annotated[str, Field(pattern=r"^1\d{10}$")] | None = None


class TestPhone(Table):
    """A phone of the hall's own, which gets mass notices too, so that somebody can see whether they arrive."""

    number: Annotated[str, Field(pattern=r"^1\d{10}$")]
    operator: Operator


class Calendar(Table):
    """The site's own days off and made-up working days; they outrank the published ones."""

    off: frozenset[date] = frozenset()
    on: frozenset[date] = frozenset()

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        if both := ", ".join(str(day) for day in sorted(self.off & self.on)):
            raise wrong(f"同一天既放假又上班：{both}", f"both off and on: {both}")
        return self


class Feed(Table):
    """Where weather comes from. `source` is the issuing station, which every text names (气象法 22)."""

    name: Slug
    kind: Literal["station", "open-meteo"]
    source: Text
    url: WebAddress | None = None
    file: AreaPath | None = None
    secret_env: EnvName | None = None
    max_age_hours: Count = 24

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        _exactly_one(url=self.url, file=self.file)
        return self


def _exactly_one(**given: object) -> None:
    if sum(value is not None for value in given.values()) != 1:
        names = list(given)
        raise wrong(f"{'、'.join(names)} 要写且只写一个", f"exactly one of {', '.join(names)}")


Sex = Literal["男", "女"]
Ages = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(le=150)]]


class Audience(Table):
    """A selection of people; every condition given must hold, an empty one is the whole site.

    `villages` and `tags` ask for any of those named. `age` is in whole years on the day of composing, both
    ends included. `away`: True only those who work elsewhere, False only those at home. `list` is a CSV or
    XLSX inside the site's directory.
    """

    name: str = ""
    area: AreaCode | Literal[""] = ""
    villages: Words = ()
    tags: Words = ()
    sex: Sex | None = None
    age: Ages | None = None
    away: bool | None = None
    list: InnerPath | None = None

    @field_validator("age")
    @classmethod
    def _in_order(cls, age: Ages | None) -> Ages | None:
        if age and age[0] > age[1]:
            raise wrong("年龄应从小到大", "ages go from low to high")
        return age

    @classmethod
    def of(cls, *, age: str | None = None, **options: Any) -> Audience:
        """From a form or a command line, where `age` is "18-22", "60-" or "18". Raises Invalid."""
        given = {key: value for key, value in options.items() if value is not None}
        if age:
            low, _, high = age.partition("-")
            given["age"] = (low or "0", high or ("150" if age.endswith("-") else low))
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise Invalid(TomlFile("audience", "", {}).problems(error, cls)) from None


_DAY_NAMES = {"daily", "workdays", "last-workday", "last", "mon", "tue", "wed", "thu", "fri", "sat", "sun"}


def _words(value: object) -> tuple[str, ...]:
    """A text with commas, a number, a date, or an array of these."""
    many = value if isinstance(value, list | tuple) else [value]
    return tuple(word.strip() for one in many for word in str(one).split(",") if word.strip())


def _day(word: str) -> str:
    if word in _DAY_NAMES or re.fullmatch(r"[1-9]|[12]\d|3[01]", word):
        return word
    try:
        return date.fromisoformat(word).isoformat()
    except ValueError:
        zh, en = did_you_mean(word, _DAY_NAMES)
        raise wrong(
            f"日期 {word} 不认识{zh or '，可写 daily、workdays、mon、5、2026-10-01 等'}",
            f"unknown day {word}{en or ': daily, workdays, mon, 5, 2026-10-01 and so on'}",
        ) from None


def _cron(text: str) -> str:
    fields = text.split()
    if len(fields) != 5 or any(re.search(r"[^0-9*/,-]", field) for field in fields[:4]):
        raise wrong("cron 应是五段", "cron has five fields")
    # Libraries disagree on which day 0 is, so that a digit would go out on the wrong day.
    if not re.fullmatch(r"\*|[a-z]{3}([,-][a-z]{3})*", fields[4].lower()):
        raise wrong("cron 的星期要写 mon-fri 这样的英文缩写", "cron's weekdays are names: mon-fri, not digits")
    return " ".join(fields).lower()


class Schedule(Table):
    """What is sent when. Either `on` and `at`, as words, or `cron`; `missed`: what to do after an outage."""

    name: Slug
    template: Text
    on: Annotated[tuple[Annotated[str, AfterValidator(_day)], ...], BeforeValidator(_words)] = ()
    at: Annotated[
        tuple[Annotated[str, AfterValidator(lambda word: f"{clock_time(word):%H:%M}")], ...],
        BeforeValidator(_words),
    ] = ()
    cron: Annotated[str, AfterValidator(_cron)] | None = None
    missed: Literal["late", "skip", "ask"] = "ask"
    late_within: Span = timedelta(hours=2)
    audience: Audience = Audience()
    feed: str | None = None
    fields: Mapping[str, Annotated[str, Field(coerce_numbers_to_str=True)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_way_to_say_when(self) -> Self:
        if bool(self.on) != bool(self.at) or bool(self.on) == bool(self.cron):
            raise wrong("要么写 on 和 at，要么写 cron", "either on and at, or cron")
        return self


class Webhook(Table):
    """Where operators and our own callers reach us; its secret signs what they send (Standard Webhooks).

    `form`: whether residents may write to us on a page of the same address.
    """

    listen: Annotated[str, Field(pattern=r"^[^\s:/]+:\d{1,5}$")] = "127.0.0.1:8081"
    secret_env: EnvName = "GATEWAY_WEBHOOK_SECRET"  # noqa: S105 (a name)
    tolerance_seconds: Count = 300
    form: bool = False

    def secret(self, environ: Environment | None = None) -> str:
        return secret(self.secret_env, environ)


class Dispatch(Table):
    """When a deferred text is tried again: after each of these, the last one repeated.

    A text whose receipt says that it may be tried again (absent, say) is, once, after `receipt_retry`. A broadcast
    pauses itself when `pause_after` of its last `pause_among` failures are about its content, its signature or the
    account.

    The hall's own phones ride along in notices of `test_phones_from` texts and more.

    From where on an account is in trouble, so that what waits goes to the next of its route: the share of parts older
    than `late_minutes` without receipt, and the share of the newest `failing_of` that it failed; 0 is never looked at.
    """

    retry_seconds: Annotated[tuple[Count, ...], Field(min_length=1)] = (30, 120, 600, 1800)
    max_attempts: Count = 5
    receipt_retry: Span = timedelta(hours=1)
    test_phones_from: Count = 200
    pause_after: Count = 20
    pause_among: Count = 200
    late_minutes: Count = 10
    late_share: Share = 0.5
    failing_share: Share = 0.5
    failing_of: Annotated[int, Field(ge=20, le=1000)] = 200

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.pause_after > self.pause_among:
            raise wrong("pause_after 不能大于 pause_among", "pause_after is at most pause_among")
        return self


class Inbound(Table):
    """How texts that come in are read; `optout_words` are added to the built-in ones."""

    join_seconds: Annotated[int, Field(ge=0, le=600)] = 60
    parts_seconds: Annotated[int, Field(ge=1, le=86400)] = 300
    acknowledge_once_minutes: Annotated[int, Field(ge=0)] = 10
    optout_words: Words = ()


class Retention(Table):
    """Days that things are kept, counted from when they happened."""

    texts_days: Kept = 180
    receipts_days: Kept = 180
    audit_days: Kept = 1095


class CaseSettings(Table):
    """The clocks of cases, and what people are asked afterwards. Minutes are of office time, days are working days."""

    signed_minutes: Count = 240
    first_days: Annotated[int, Field(ge=0, le=60)] = 1
    urgent_signed_minutes: Count = 15
    urgent_first_minutes: Count = 120
    urgent_days: Annotated[int, Field(ge=0, le=60)] = 1
    pause_cap_days: Count = 15
    extension_days: Count = 10
    petition_extension_days: Count = 30
    warn_minutes: Count = 120
    same_matter_days: Count = 7
    rating: bool = True
    rating_days: Count = 7
    rating_reminder: bool = False
    rating_reminder_days: Count = 3
    publish: bool = True


class OfficeTable(Table):
    """When the office works, which the clocks of cases count; spans of a working day in order, lunch left out.

    `summer` holds from `summer_from` to `summer_until`, month and day, both included.
    """

    hours: OfficeSpans = "08:30-12:00,14:00-17:30"
    summer: OfficeSpans | None = None
    summer_from: MonthDay = "06-01"
    summer_until: MonthDay = "09-30"

    @model_validator(mode="after")
    def _summer_in_order(self) -> Self:
        if self.summer_from > self.summer_until:
            raise wrong("summer_from 应在 summer_until 之前", "summer_from comes before summer_until")
        return self

    @property
    def spans(self) -> tuple[Hours, ...]:
        return office_spans(self.hours)

    @property
    def summer_spans(self) -> tuple[Hours, ...]:
        return () if self.summer is None else office_spans(self.summer)

    @property
    def summer_days(self) -> tuple[tuple[int, int], tuple[int, int]]:
        first, last = (date.fromisoformat(f"2000-{day}") for day in (self.summer_from, self.summer_until))
        return (first.month, first.day), (last.month, last.day)


class HallTable(Table):
    """Which files describe the hall: its windows, who is on duty, offers and courses, points, sample questions."""

    file: InnerPath = "windows.toml"
    duty: InnerPath | None = None
    offers: InnerPath | None = None
    scoring: InnerPath | None = None
    questions: InnerPath | None = None


DEFAULT_HOURS = {"notice": "08:00-21:00", "promotion": "08:00-21:00", "office": "08:30-17:30", "always": ""}


class Config(Table):
    """A site's settings. `sources` are the texts of the files they came from, by name."""

    directory: Path
    sources: Mapping[str, str] = Field(repr=False)
    site: Site
    store: StoreSettings = StoreSettings(url="sqlite:///var/gateway.db")
    areas: Annotated[tuple[Area, ...], Field(min_length=1)]
    test_phones: tuple[TestPhone, ...] = ()
    hall: Hall
    duty: Duty = Duty()
    offers: Offers = Offers()
    scoring: Scoring = Scoring()
    questions: str | None = None
    hours: Mapping[str, OpenHours]
    office: OfficeTable = OfficeTable()
    calendar: Calendar = Calendar()
    carriers: Annotated[Mapping[str, Carrier], Field(min_length=1)]
    routes: Annotated[tuple[Route, ...], Field(min_length=1)]
    feeds: Mapping[str, Feed] = Field(default_factory=dict)
    audiences: Mapping[str, Audience] = Field(default_factory=dict)
    schedules: tuple[Schedule, ...] = ()
    webhook: Webhook = Webhook()
    dispatch: Dispatch = Dispatch()
    inbound: Inbound = Inbound()
    cases: CaseSettings = CaseSettings()
    retention: Retention = Retention()

    def price(self, carrier: str) -> Decimal:
        """What one billed part costs through `carrier`."""
        own = self.carriers[carrier].price
        return self.site.price if own is None else own

    def meaning(self, carrier: str, stage: Stage, code: str) -> Code:
        """What an operator's code means on this account, which may be there no more."""
        account = self.carriers.get(carrier)
        return explain(account.protocol, stage, code, account.codes) if account else explain("", stage, code)

    def tries_again(self, carrier: str, code: str) -> bool:
        """Whether a receipt with this code asks for another try."""
        return self.meaning(carrier, "receipt", code).does == "retry"

    def says_of_number(
        self, carrier: str, code: str, stage: Stage = "receipt"
    ) -> tuple[Literal["dead", "blocked"], bool] | None:
        """What a code says of the number itself, and whether that is disputed; None where nothing."""
        found = self.meaning(carrier, stage, code)
        if found.does != "suppress":
            return None
        return ("blocked" if found.kind == "blocked" else "dead"), found.disputed

    def area_codes(self, village: str) -> tuple[str, ...]:
        """The codes of all areas of that name; several where two towns have a village of one name."""
        return tuple(area.code for area in self.areas if area.name == village)

    def database_url(self, environ: Environment | None = None) -> str:
        """The database's address, a relative SQLite path made absolute; Refused if its variable is unset."""
        if self.store.url is None:
            return secret(str(self.store.url_env), environ)
        scheme, slashes, path = self.store.url.partition(":///")
        if scheme != "sqlite":
            return self.store.url
        return f"{scheme}{slashes}{(self.directory / path).resolve()}"
