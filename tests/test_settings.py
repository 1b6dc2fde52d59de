from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway import values
from gateway.accounts import Carrier, Route
from gateway.errors import Invalid, Refused
from gateway.settings import (
    Area,
    Audience,
    Calendar,
    Config,
    Dispatch,
    Feed,
    OfficeTable,
    Retention,
    Schedule,
    Site,
    StoreSettings,
    Webhook,
)
from gateway.tomlfile import Table
from gateway.values import Hours

SITE = {"name": "大厅", "signature": "枣原镇", "area": "610899100", "phone": "0912-0000000"}


def refuses(table: type[Table], data: dict[str, Any]) -> str:
    """The one complaint about `data`."""
    with pytest.raises(ValidationError) as caught:
        table.model_validate(data)
    (error,) = caught.value.errors()
    return error["msg"]


@pytest.mark.parametrize("code", ["61", "6108", "610899", "610899100", "610899100201", "441900003"])
def test_area_codes(code: str) -> None:
    assert Area(code=code, name="某地").code == code


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("610800", "padded"),
        ("610899100000", "padded"),
        ("6100", "padded"),
        ("6108991", "digits"),
        ("61089x", "digits"),
        ("٦١", "digits"),
        ("", "digits"),
    ],
)
def test_area_codes_that_are_none(code: str, word: str) -> None:
    assert word in refuses(Area, {"code": code, "name": "某地"})


@pytest.mark.parametrize("signature", ["枣", "枣" * 13, "【枣原镇】", "枣 原镇"])
def test_signatures_that_are_none(signature: str) -> None:
    refuses(Site, SITE | {"signature": signature})


def test_the_site_has_a_zone() -> None:
    assert str(Site.model_validate(SITE).zone) == "Asia/Shanghai"
    for name in ("Asia/Nowhere", "../etc", ""):
        assert refuses(Site, SITE | {"timezone": name}) == "no such time zone"


HOURS: TypeAdapter[Hours | None] = TypeAdapter(Config.model_fields["hours"].rebuild_annotation())


def test_hours() -> None:
    found = HOURS.validate_python({"a": "08:00-21:00", "b": "", "c": "22:00-24:00", "d": "21:00-08:00"})
    assert found == {
        "a": Hours(time(8), time(21)),
        "b": None,
        "c": Hours(time(22), time()),
        "d": Hours(time(21), time(8)),
    }


@pytest.mark.parametrize("text", ["8:00-21:00", "08:00", "08:00-08:00", "25:00-26:00", "08:60-09:00", 8, None])
def test_hours_that_are_none(text: object) -> None:
    with pytest.raises(ValidationError):
        HOURS.validate_python({"a": text})


@pytest.mark.parametrize(
    ("text", "span"), [("30m", timedelta(minutes=30)), ("24h", timedelta(days=1)), ("45s", timedelta(seconds=45))]
)
def test_spans(text: str, span: timedelta) -> None:
    assert values.span(text) == span
    assert values.span(span) == span


@pytest.mark.parametrize("text", ["0h", "1w", "h", "-1h", 3, ""])
def test_spans_that_are_none(text: object) -> None:
    schedule = {"name": "x", "template": "x", "on": "daily", "at": "07:00", "late_within": text}
    assert refuses(Schedule, schedule) == "a span is written 30m, 24h or 3d"


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.csv", "a/../../x.csv", "..\\x.csv"])
def test_paths_stay_inside_the_site(path: str) -> None:
    assert "inside" in refuses(Audience, {"list": path})


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ({"url": "sqlite:///a.db", "url_env": "DB"}, "exactly one"),
        ({}, "exactly one"),
        ({"url": "postgresql+asyncpg://gateway:geheim@db/gateway"}, "url_env"),
        ({"url": "postgresql://db/gateway"}, "should begin"),
    ],
)
def test_database_addresses_that_are_refused(data: dict[str, str], word: str) -> None:
    said = refuses(StoreSettings, data)
    assert word in said and "geheim" not in said


@pytest.mark.parametrize(
    ("store", "url"),
    [
        ({"url": "sqlite:///var/a.db"}, "sqlite:////site/var/a.db"),
        ({"url": "sqlite:////data/a.db"}, "sqlite:////data/a.db"),
        ({"url": "postgresql+asyncpg://db/a"}, "postgresql+asyncpg://db/a"),
        ({"url_env": "DB"}, "postgresql+asyncpg://from-environment"),
    ],
)
def test_database_url(store: dict[str, str], url: str) -> None:
    config = Config.model_construct(directory=Path("/site"), store=StoreSettings.model_validate(store))
    assert config.database_url({"DB": "postgresql+asyncpg://from-environment"}) == url


def test_office_hours_of_a_day_and_of_summer() -> None:
    plain, morning = OfficeTable(), Hours(time(8, 30), time(12))
    assert plain.spans == (morning, Hours(time(14), time(17, 30)))
    assert plain.summer_spans == ()
    summer = OfficeTable(summer="08:30-12:00，14:30-18:00", summer_from="05-15", summer_until="10-08")
    assert summer.summer == "08:30-12:00,14:30-18:00"
    assert summer.summer_spans == (morning, Hours(time(14, 30), time(18)))
    assert summer.summer_days == ((5, 15), (10, 8))
    assert OfficeTable(summer_from="02-29", summer_until="02-29").summer_days == ((2, 29), (2, 29))


@pytest.mark.parametrize("text", ["", "00:00-24:00"])
def test_an_office_round_the_clock(text: str) -> None:
    assert OfficeTable(hours=text).hours == "00:00-24:00"
    assert OfficeTable(hours=text).spans == (Hours(time(), time()),)


def test_spans_of_an_office_may_touch_and_end_at_midnight() -> None:
    assert OfficeTable(hours="18:00-20:00, 20:00-24:00").hours == "18:00-20:00,20:00-24:00"


@pytest.mark.parametrize(
    ("table", "word"),
    [
        ({"hours": "08:30-12:00,11:30-17:30"}, "overlap or are out of order: 08:30-12:00, 11:30-17:30"),
        ({"hours": "14:00-17:30,08:30-12:00"}, "overlap or are out of order: 14:00-17:30, 08:30-12:00"),
        ({"hours": "08:00-24:00,09:00-10:00"}, "overlap or are out of order: 08:00-24:00, 09:00-10:00"),
        ({"hours": "22:00-06:00"}, "22:00-06:00 runs over midnight"),
        ({"hours": "08:30-12:00,"}, "hours are written"),
        ({"hours": "8:30-12:00"}, "hours are written"),
        ({"hours": "08:30-08:30"}, "hours are written"),
        ({"hours": "08:30-25:00"}, "no such time"),
        ({"summer": "14:00-17:30,08:30-12:00"}, "overlap"),
        ({"summer_from": "6-1"}, "like 06-01"),
        ({"summer_until": "09-31"}, "like 06-01"),
        ({"summer_from": "10-01"}, "summer_from comes before summer_until"),
    ],
)
def test_office_hours_that_are_none(table: dict[str, str], word: str) -> None:
    assert word in refuses(OfficeTable, table)


def test_a_calendar_does_not_contradict_itself() -> None:
    day = "2026-10-01"
    assert "both off and on: 2026-10-01" in refuses(Calendar, {"off": [day], "on": [date(2026, 10, 1)]})
    assert Calendar.model_validate({"off": [day]}).off == {date(2026, 10, 1)}


def test_a_carrier_keeps_what_only_its_protocol_knows() -> None:
    carrier = Carrier.model_validate(
        {"name": "main", "protocol": "cmpp", "rate": 100, "host": "127.0.0.1", "password_env": "CMPP_PASSWORD"}
    )
    assert carrier.options == {"host": "127.0.0.1", "password_env": "CMPP_PASSWORD"}
    assert carrier.operators == ("移动", "电信", "联通", "广电")
    assert carrier.with_secrets({"CMPP_PASSWORD": "geheim"}) == {"host": "127.0.0.1", "password": "geheim"}
    assert "geheim" not in repr(carrier)
    assert carrier.with_secrets_made_up() == {"host": "127.0.0.1", "password": "0000"}
    with pytest.raises(Refused, match="CMPP_PASSWORD"):
        carrier.with_secrets({"CMPP_PASSWORD": ""})


BOUGHT = {"name": "main", "protocol": "cmpp"}


def test_what_was_bought_is_told_in_full() -> None:
    told = {
        "service_code": "1069001", "extension": 4, "whitelist": "subscribers/allowed.csv", "content_limit": 350,
        "receipts": "last", "validity": "48h", "hours": "08:00-20:00", "quota_per_day": 5000, "monthly_cap": 90000,
        "extensions": {"0301": "caizheng"},
        "balance": 100000, "balance_on": date(2026, 11, 1), "balance_warning": 10000, "relogin_seconds": 90,
    }  # fmt: skip
    carrier = Carrier.model_validate(BOUGHT | told)
    assert carrier.options == {}
    assert carrier.hours == Hours(time(8), time(20))
    assert (carrier.validity, carrier.receipts, carrier.relogin_seconds) == (timedelta(hours=48), "last", 90)
    assert Carrier.model_validate(BOUGHT).hours is None


@pytest.mark.parametrize(
    ("table", "word"),
    [
        ({"balance": 5}, "balance_on"),
        ({"balance_on": date(2026, 11, 1)}, "go together"),
        ({"balance_warning": 5}, "needs a balance"),
        ({"service_code": "1069" + "0" * 13, "extension": 4}, "more than 20"),
        ({"hours": "8-20"}, "written 08:00-21:00"),
        ({"extensions": {"03": "caizheng"}}, "no extension 03"),
        ({"service_code": "10690001", "extension": 1, "extensions": {"03": "caizheng"}}, "1 digits behind it"),
        ({"codes": {"submit ": {"kind": "dead", "does": "final", "zh": "空号", "en": "dead"}}}, "submit"),
    ],
)
def test_what_was_bought_does_not_contradict_itself(table: dict[str, Any], word: str) -> None:
    assert word in refuses(Carrier, BOUGHT | table)


def test_a_code_means_what_the_account_says() -> None:
    own = {"MA:0006": {"kind": "absent", "does": "retry", "zh": "关机", "en": "off"}}
    main = Carrier.model_validate({"name": "main", "protocol": "cmpp", "codes": own})
    made = Config.model_construct(carriers={"main": main})
    assert made.meaning("main", "receipt", "MA:0006").zh == "关机"
    assert made.tries_again("main", "MA:0006") and not made.tries_again("gone", "MA:0006")
    assert made.meaning("gone", "receipt", "MA:0006").zh != "关机"


def test_a_code_may_say_something_of_the_number() -> None:
    made = Config.model_construct(carriers={"main": Carrier.model_validate({"name": "main", "protocol": "cmpp"})})
    assert made.says_of_number("main", "MK:0001") == ("dead", False)
    assert made.says_of_number("main", "BLACK") == ("blocked", False)
    assert made.says_of_number("main", "UNDELIV") is None


def test_a_broadcast_pauses_after_no_more_than_it_looks_at() -> None:
    assert Dispatch.model_validate({"pause_after": 5, "pause_among": 5}).pause_after == 5
    assert "at most" in refuses(Dispatch, {"pause_after": 6, "pause_among": 5})


def test_a_carrier_must_be_a_table() -> None:
    with pytest.raises(ValidationError):
        Carrier.model_validate("simulator")


def test_a_price_of_its_own_outranks_the_sites() -> None:
    own, other = ({"name": name, "protocol": "simulator"} for name in ("own", "other"))
    config = Config.model_construct(
        site=Site.model_validate(SITE | {"price": "0.05"}),
        carriers={"own": Carrier.model_validate(own | {"price": "0"}), "other": Carrier.model_validate(other)},
    )
    assert (str(config.price("own")), str(config.price("other"))) == ("0", "0.05")


def test_two_villages_of_one_name() -> None:
    areas = (Area(code="610899100201", name="双泉村"), Area(code="610899101201", name="双泉村"))
    config = Config.model_construct(areas=areas)
    assert config.area_codes("双泉村") == ("610899100201", "610899101201")
    assert config.area_codes("别处") == ()


@pytest.mark.parametrize(
    ("place", "word"),
    [
        ({}, "exactly one"),
        ({"url": "https://weather.invalid/{area}", "file": "a.json"}, "exactly one"),
        ({"url": "ftp://weather.invalid"}, "http"),
        ({"url": "https://a:geheim@weather.invalid"}, "without a password"),
        ({"url": "https://"}, "http"),
        ({"url": "https://weather.invalid/{town}"}, "{area}"),
        ({"file": "{area}/}.json"}, "{area}"),
    ],
)
def test_feeds_that_are_refused(place: dict[str, str], word: str) -> None:
    assert word in refuses(Feed, {"name": "w", "kind": "station", "source": "县气象台"} | place)


def test_a_feed_by_area() -> None:
    feed = {"name": "w", "kind": "station", "source": "县气象台", "url": "https://weather.invalid/{area}"}
    assert Feed.model_validate(feed).max_age_hours == 24


def test_an_audience_from_options() -> None:
    audience = Audience.of(villages=["枣湾村"], tags=("种粮户",), sex="男", age="18-22", away=None)
    assert audience == Audience(villages=("枣湾村",), tags=("种粮户",), sex="男", age=(18, 22))


@pytest.mark.parametrize(("text", "ages"), [("60-", (60, 150)), ("-6", (0, 6)), ("18", (18, 18)), (None, None)])
def test_ages_from_options(text: str | None, ages: tuple[int, int] | None) -> None:
    assert Audience.of(age=text).age == ages


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"age": "22-18"}, "age"),
        ({"age": "old"}, "age"),
        ({"sex": "m"}, "sex"),
        ({"area": "610800"}, "area"),
        ({"vilages": ["枣湾村"]}, "vilages"),
    ],
)
def test_an_audience_that_is_none(options: dict[str, Any], key: str) -> None:
    with pytest.raises(Invalid) as caught:
        Audience.of(**options)
    assert {problem.key.split("[")[0].split(".")[0] for problem in caught.value.problems} == {key}


def schedule(**when: Any) -> dict[str, Any]:
    return {"name": "x", "template": "weather-daily"} | when


@pytest.mark.parametrize(
    ("on", "words"),
    [
        ("daily", ("daily",)),
        ("mon, wed", ("mon", "wed")),
        ("5,20", ("5", "20")),
        (5, ("5",)),
        ([date(2026, 10, 1), "2026-10-08"], ("2026-10-01", "2026-10-08")),
        ("last-workday", ("last-workday",)),
    ],
)
def test_days_of_a_schedule(on: object, words: tuple[str, ...]) -> None:
    assert Schedule.model_validate(schedule(on=on, at="07:00")).on == words


@pytest.mark.parametrize(
    ("when", "word"),
    [
        ({"on": "dayly", "at": "07:00"}, "did you mean daily"),
        ({"on": "32", "at": "07:00"}, "unknown day 32: daily"),
        ({"on": "2026-02-30", "at": "07:00"}, "unknown day"),
        ({"on": "daily", "at": "7:00"}, "07:30"),
        ({"on": "daily"}, "either"),
        ({"at": "07:00"}, "either"),
        ({}, "either"),
        ({"on": "daily", "at": "07:00", "cron": "0 7 * * *"}, "either"),
        ({"cron": "0 7 * *"}, "five fields"),
        ({"cron": "x 7 * * *"}, "five fields"),
        ({"cron": "0 9 * * 0"}, "names"),
    ],
)
def test_schedules_that_are_refused(when: dict[str, Any], word: str) -> None:
    assert word in refuses(Schedule, schedule(**when))


def test_cron_and_numbers_as_values() -> None:
    found = Schedule.model_validate(schedule(cron="0  7 * * MON-FRI", fields={"金额": 400}))
    assert (found.cron, found.fields) == ("0 7 * * mon-fri", {"金额": "400"})
    assert Schedule.model_validate(schedule(on="daily", at=["07:00", "19:00"])).at == ("07:00", "19:00")


def test_the_webhooks_secret_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    webhook = Webhook(secret_env="HOOK")
    monkeypatch.setenv("HOOK", "geheim")
    assert webhook.secret() == "geheim"
    assert "geheim" not in repr(webhook)
    with pytest.raises(Refused, match="HOOK"):
        webhook.secret({})


def test_records_are_not_thrown_away_early() -> None:
    for key in ("texts_days", "receipts_days", "audit_days"):
        assert "180" in refuses(Retention, {key: 179})


def test_settings_are_frozen() -> None:
    route = Route(name="default", carriers=("simulator",))
    with pytest.raises(ValidationError):
        route.name = "other"  # type: ignore[misc]
