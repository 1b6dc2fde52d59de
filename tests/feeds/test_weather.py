"""Forecasts from sample files, from broken ones, and over a real HTTP server on loopback."""

import asyncio
import json
import re
import tomllib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from gateway import feeds
from gateway.errors import Invalid, Refused
from gateway.feeds import weather
from gateway.feeds.weather import Day, Forecast

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "weather"
SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 4, 14, 9, 0, tzinfo=UTC)
STATION = "清宁县气象台"


def station(payload: bytes, **more: Any) -> list[Forecast]:
    return weather.read(payload, "station", file="forecast.json", fetched_at=NOW, **more)


def open_meteo(payload: bytes) -> Forecast:
    (forecast,) = weather.read(
        payload,
        "open-meteo",
        file="open-meteo.json",
        source="Open-Meteo",
        area="610899100",
        name="枣原镇",
        fetched_at=NOW,
    )
    return forecast


def sample(name: str) -> bytes:
    return (DATA / name).read_bytes()


def one_day(**values: Any) -> bytes:
    day = {"date": "2026-07-01", "weather": "晴", "low": 1, "high": 2, **values}
    area = {"area": "610899100", "name": "枣原镇", "days": [day]}
    page = {"source": STATION, "issued_at": "2026-07-01T05:00:00+08:00", "areas": [area]}
    return json.dumps(page).encode()


def problems(invalid: pytest.ExceptionInfo[Invalid]) -> dict[str, str]:
    return {problem.key: problem.en for problem in invalid.value.problems}


# the station's own format


def test_a_stations_file_is_read_whole() -> None:
    town, village = station(sample("station-frost.json"), source=STATION)
    assert (town.area, town.name, town.source, town.official) == ("610899100", "枣原镇", STATION, True)
    assert town.issued_at == datetime(2026, 4, 14, 8, 35, tzinfo=UTC)
    assert town.issued_at.tzinfo is UTC
    assert town.days[0] == Day(date(2026, 4, 14), "多云", 7, 19, "西南风3到4级", 0.0)
    assert town.days[3] == Day(date(2026, 4, 17), "晴", -2, 13, "", None)
    assert [day.date.day for day in village.days] == [16, 17]
    assert village.days[1].high is None


def test_the_sites_sample_forecast_covers_the_town_and_its_villages() -> None:
    forecasts = station((ROOT / "subscribers" / "sample-forecast.json").read_bytes(), source=STATION)
    assert [forecast.area for forecast in forecasts] == ["610899100"] + [f"61089910020{n}" for n in range(1, 9)]
    now = datetime(2026, 6, 30, 23, 0, tzinfo=UTC)
    for forecast in forecasts:
        assert [day.date for day in forecast.days] == [date(2026, 6, 30) + timedelta(days=n) for n in range(8)]
        assert all(weather.fields(forecast, day.date, now, SHANGHAI) for day in forecast.days[1:])


def test_every_problem_of_a_broken_file_is_named() -> None:
    with pytest.raises(Invalid) as invalid:
        station(sample("station-broken.json"))
    limits = "at most 30 characters, no line breaks, no 【】"
    assert problems(invalid) == {
        "source": limits,
        "issued_at": "must be a time with its offset such as 2026-07-01T07:00:00+08:00",
        "areas": "twice: 610899100",
        "areas[0].area": "must be an area code of 2, 4, 6, 9 or 12 digits",
        "areas[0].name": "must be words",
        "areas[0].days": "twice: 2026-04-15",
        "areas[0].days[0].date": "must be a date such as 2026-07-01",
        "areas[0].days[0].weather": "must be words",
        "areas[0].days[0].low": "must be a number or null",
        "areas[0].days[0].high": "outside -70..60",
        "areas[0].days[1].weather": limits,
        "areas[0].days[1].low": "low is above high",
        "areas[0].days[1].rain_mm": "must be a number or null",
        "areas[0].days[3]": "must be an object",
        "areas[0].days[3].date": "must be a date such as 2026-07-01",
        "areas[1].days": "must be a list with entries",
        "areas[2].days[0].date": "must be a date such as 2026-07-01",
    }
    assert "forecast.json areas[0].days[0].high: 超出范围" in invalid.value.zh


def test_another_stations_forecast_is_refused() -> None:
    with pytest.raises(Invalid) as invalid:
        station(sample("station-frost.json"), source="邻县气象台")
    assert problems(invalid) == {"source": "the source is not 邻县气象台"}


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"", "not JSON: Expecting value"),
        (b"<html>", "not JSON: Expecting value"),
        ("晴".encode("gb18030"), "not UTF-8"),
        (b'{"low": NaN}', "not JSON: NaN"),
        (b"[" * 100_000, "not JSON: "),
        (b"9" * 10_000, "not JSON: "),
    ],
)
def test_what_is_no_json_is_refused(payload: bytes, says: str) -> None:
    with pytest.raises(Invalid) as invalid:
        station(payload)
    assert problems(invalid)[""].startswith(says)


def test_a_syntax_error_has_its_line() -> None:
    with pytest.raises(Invalid) as invalid:
        station(b'{\n "source": "x",\n oops}')
    assert invalid.value.problems[0].line == 3
    assert invalid.value.problems[0].where() == "forecast.json:3"


@pytest.mark.parametrize("payload", [b"[]", b"null", b"7", b"{}", b'{"areas": {}}', b'{"areas": [7]}'])
def test_other_json_is_refused(payload: bytes) -> None:
    with pytest.raises(Invalid) as invalid:
        station(payload)
    assert problems(invalid)


def test_too_many_days_are_refused() -> None:
    page = json.loads(one_day())
    page["areas"][0]["days"] = [{"date": str(date(2026, 7, 1) + timedelta(days=n))} for n in range(46)]
    with pytest.raises(Invalid) as invalid:
        station(json.dumps(page).encode())
    assert problems(invalid) == {"areas[0].days": "at most 45 days"}


@pytest.mark.parametrize("issued_at", ["0001-01-01T00:00:00+08:00", "now", 7, None])
def test_impossible_times_of_issue_are_refused(issued_at: object) -> None:
    page = json.loads(one_day()) | {"issued_at": issued_at}
    with pytest.raises(Invalid) as invalid:
        station(json.dumps(page).encode())
    assert list(problems(invalid)) == ["issued_at"]


def test_a_byte_order_mark_is_no_obstacle() -> None:
    assert station(b"\xef\xbb\xbf" + one_day()) == station(one_day())


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(Refused, match="station, open-meteo"):
        weather.read(b"{}", "oracle", file="x", fetched_at=NOW)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
keys = st.sampled_from(["date", "weather", "low", "high", "wind", "rain_mm", "days", "area", "name", "source"])


@given(changes=st.dictionaries(keys | st.sampled_from(["issued_at", "areas"]), json_values, min_size=1))
def test_no_value_whatever_breaks_the_reader(changes: dict[str, Any]) -> None:
    page = json.loads(one_day())
    for table in (page["areas"][0]["days"][0], page["areas"][0], page):
        table.update({key: value for key, value in changes.items() if key in table})
    try:
        found = station(json.dumps(page).encode())
    except Invalid as invalid:
        assert invalid.problems
    else:
        assert all(weather.from_json(weather.to_json(forecast)) == forecast for forecast in found)


# Open-Meteo


def test_a_web_forecast_is_put_into_chinese_words() -> None:
    forecast = open_meteo(sample("open-meteo-frost.json"))
    assert (forecast.source, forecast.issued_at, forecast.official) == ("Open-Meteo", NOW, False)
    assert len(forecast.days) == 7
    assert forecast.days[1] == Day(date(2026, 4, 15), "小雨", 4.6, 13.8, "西北风4级阵风7级", 3.2)
    assert forecast.days[3].low == -2.4


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("open-meteo-heat.json", ["晴", "晴", "晴", "晴", "晴", "雷阵雨", "多云"]),
        ("open-meteo-rainstorm.json", ["雷阵雨", "大雨", "中雨", "阵雨", "多云", "晴", "雷阵雨伴有冰雹"]),
    ],
)
def test_weather_codes_of_the_samples(name: str, words: list[str]) -> None:
    assert [day.weather for day in open_meteo(sample(name)).days] == words


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    page = json.loads(sample("open-meteo-frost.json"))
    change(page)
    return json.dumps(page).encode()


def test_nulls_and_absent_columns_are_missing_figures() -> None:
    def thin(page: dict[str, Any]) -> None:
        time, temperature = page["daily"]["time"], page["daily"]["temperature_2m_max"]
        page["daily"] = {"time": time, "temperature_2m_max": [None, *temperature[1:]]}

    first, second, *_ = open_meteo(changed(thin)).days
    assert first == Day(date(2026, 4, 14), "", None, None, "", None)
    assert second.high == 13.8


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda page: page["daily_units"].update(temperature_2m_min="°F"), "daily_units.temperature_2m_min"),
        (lambda page: page["daily"]["weather_code"].pop(), "daily.weather_code"),
        (lambda page: page["daily"].update(weather_code=3), "daily.weather_code"),
        (lambda page: page["daily"].update(time=[]), "daily.time"),
        (lambda page: page.pop("daily"), "daily"),
        (lambda page: page["daily"]["time"].__setitem__(1, "2026-04-14"), "daily.time"),
        (lambda page: page["daily"]["weather_code"].__setitem__(2, 42), "daily[2].weather_code"),
        (lambda page: page.update(error=True, reason="out of credit"), "reason"),
    ],
)
def test_web_forecasts_that_would_mislead_are_refused(change: Callable[[dict[str, Any]], object], key: str) -> None:
    with pytest.raises(Invalid) as invalid:
        open_meteo(changed(change))
    assert key in problems(invalid)


def test_a_web_forecast_without_source_or_place_is_refused() -> None:
    for source, name in (("", "枣原镇"), ("Open-Meteo", "")):
        with pytest.raises(Refused, match="needs a source"):
            weather.read(b"{}", "open-meteo", file="x", fetched_at=NOW, source=source, name=name)


@pytest.mark.parametrize(
    ("kmh", "level"),
    [(0, 0), (0.8, 0), (1.1, 1), (12.0, 2), (12.3, 3), (28.6, 4), (28.8, 5), (61.7, 7), (62, 8), (118, 12), (300, 17)],
)
def test_wind_levels_begin_where_the_standard_says(kmh: float, level: int) -> None:
    assert weather.wind_level(kmh) == level


def test_wind_without_direction_and_without_wind() -> None:
    def calm(page: dict[str, Any]) -> None:
        del page["daily"]["wind_direction_10m_dominant"], page["daily"]["wind_gusts_10m_max"]
        page["daily"]["wind_speed_10m_max"] = [0.5, 20, None, 0, 0, 0, 0]

    days = open_meteo(changed(calm)).days
    assert [day.wind for day in days[:3]] == ["微风", "风力4级", ""]


# words for the template


def test_the_templates_fields() -> None:
    town, _ = station(sample("station-frost.json"))
    assert weather.fields(town, date(2026, 4, 15), NOW, SHANGHAI) == {
        "地区": "枣原镇",
        "日期": "4月15日",
        "天气": "小雨转雨夹雪",
        "最低": "5",
        "最高": "14",
        "风": "西北风4到5级",
        "提示": "",
        "气象台": "清宁县气象台",
        "发布时间": "14日16时35分",
    }
    assert weather.fields(town, date(2026, 4, 17), NOW, SHANGHAI)["风"] == "风力未报"


def test_a_day_that_cannot_be_told_is_refused() -> None:
    town, village = station(sample("station-frost.json"))
    evening = datetime(2026, 4, 14, 16, 0, tzinfo=UTC)  # already the 15th in Shanghai
    for forecast, day, now, says in [
        (town, date(2026, 4, 14), evening, "is over"),
        (town, date(2026, 4, 18), NOW, "nothing is forecast"),
        (village, date(2026, 4, 17), NOW, "lacks"),
    ]:
        with pytest.raises(Refused, match=says):
            weather.fields(forecast, day, now, SHANGHAI)


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        ({"low": 0.1, "high": 34.9, "rain_mm": 24.9}, ""),
        ({"low": -0.6}, "最低-0.6℃，注意防冻。"),
        ({"low": -0.04}, "最低0℃，注意防冻。"),
        ({"low": 20, "high": 39.1}, "最高39.1℃，注意防暑。"),
        ({"rain_mm": 78.4}, "降雨78.4毫米，远离河沟。"),
        (
            {"low": 20, "high": 35, "rain_mm": 25},
            "降雨25毫米，远离河沟。最高35℃，注意防暑。",
        ),
        ({"rain_mm": None}, ""),
    ],
)
def test_advice_restates_the_stations_figures(values: dict[str, Any], advice: str) -> None:
    (forecast,) = station(one_day(**values))
    found = weather.fields(forecast, date(2026, 7, 1), NOW, SHANGHAI)
    assert found["提示"] == advice
    assert "预警" not in found["提示"]


def test_advice_for_the_samples_falls_on_the_days_in_question() -> None:
    def advised(name: str) -> list[int]:
        forecast = open_meteo(sample(name))
        told = {day.date: weather.fields(forecast, day.date, NOW, SHANGHAI) for day in forecast.days}
        return [day.day for day, words in told.items() if words["提示"]]

    assert advised("open-meteo-frost.json") == [16, 17]
    assert advised("open-meteo-heat.json") == [9, 10, 11, 12, 13]
    assert advised("open-meteo-rainstorm.json") == [29, 30]


# which forecast counts


def test_the_closest_area_around_a_village_counts() -> None:
    town, village = station(sample("station-frost.json"))
    assert weather.for_area([town, village], "610899100204") is village
    assert weather.for_area([town, village], "610899100201") is town
    assert weather.for_area([town, village], "610899101") is None
    assert weather.for_area([], "") is None


def issued(hours_ago: float | None) -> Forecast | None:
    if hours_ago is None:
        return None
    return Forecast("", "枣原镇", STATION, NOW - timedelta(hours=hours_ago), ())


@pytest.mark.parametrize(
    ("fresh", "stored", "chosen"),
    [
        (1, 5, 1),
        (5, 1, 1),  # the station put an older file back
        (None, 24, 24),
        (None, 24.1, None),
        (25, 26, None),  # fetched just now, but long since issued
        (-1, 5, -1),
        (-1.1, 5, 5),  # issued in the future
        (None, None, None),
    ],
)
def test_the_last_good_forecast_stands_while_it_is_young(
    fresh: float | None, stored: float | None, chosen: float | None
) -> None:
    found = weather.choose(issued(fresh), issued(stored), NOW, timedelta(hours=24))
    assert found == issued(chosen)


def test_the_fresh_one_wins_a_tie() -> None:
    fresh, stored = issued(1), issued(1)
    assert weather.choose(fresh, stored, NOW, timedelta(hours=24)) is fresh


def test_a_stored_forecast_comes_back_equal() -> None:
    for forecast in (*station(sample("station-frost.json")), open_meteo(sample("open-meteo-heat.json"))):
        assert weather.from_json(weather.to_json(forecast)) == forecast


def test_a_damaged_stored_forecast_is_refused() -> None:
    whole = json.loads(weather.to_json(station(one_day())[0]))
    with pytest.raises(Invalid) as invalid:
        weather.from_json(json.dumps(whole | {"official": "yes"}))
    assert problems(invalid) == {"official": "must be true or false"}
    with pytest.raises(Invalid):
        weather.from_json("[]")


# fetching

Serve = Callable[[Callable[[web.Request], Any]], Any]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a server on loopback whose every path is answered by the given handler; gives its address."""
    runners: list[web.AppRunner] = []

    async def start(handler: Callable[[web.Request], Any]) -> str:
        app = web.Application()
        app.router.add_get("/{tail:.*}", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


async def test_a_forecast_is_fetched_over_http(serve: Serve) -> None:
    asked: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request)
        return web.Response(body=sample("station-frost.json"))

    url = await serve(handler)
    found = await weather.fetch(f"{url}/forecast.json?key=hidden", "station", now=NOW, token="pass")
    assert found == station(sample("station-frost.json"))
    assert asked[0].query["key"] == "hidden"
    assert asked[0].headers["Authorization"] == "Bearer pass"
    await feeds.fetch(url)
    assert "Authorization" not in asked[1].headers


async def test_what_is_wrong_in_a_fetched_forecast_names_the_address_without_its_key(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text="{}")

    url = await serve(handler)
    with pytest.raises(Invalid) as invalid:
        await weather.fetch(f"{url}/f.json?key=hidden", "station", now=NOW)
    assert invalid.value.problems[0].file == f"{url}/f.json"


async def test_redirects_are_not_followed(serve: Serve) -> None:
    followed: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        if request.path == "/elsewhere":
            followed.append(request.path)
        raise web.HTTPFound("/elsewhere")

    url = await serve(handler)
    with pytest.raises(feeds.FeedFault, match="redirected"):
        await feeds.fetch(f"{url}/forecast.json")
    assert followed == []


async def test_other_answers_are_faults_and_show_no_key(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=503)

    url = await serve(handler)
    with pytest.raises(feeds.FeedFault) as fault:
        await feeds.fetch(f"{url}/f?key=hidden")
    assert fault.value.en == f"answered 503: {url}/f"
    assert "503" in fault.value.zh


async def test_a_feed_that_is_too_large_is_cut_off(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.Response:
        response = web.Response(body=b" " * 200_000)
        response.enable_compression()
        return response

    url = await serve(handler)
    assert len(await feeds.fetch(url, limit=200_000)) == 200_000
    with pytest.raises(feeds.FeedFault, match="more than 199999 bytes"):
        await feeds.fetch(url, limit=199_999)


async def test_a_feed_that_does_not_answer_is_given_up(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        raise AssertionError

    url = await serve(handler)
    with pytest.raises(feeds.FeedFault, match=r"no answer in 0\.1 s"):
        await feeds.fetch(url, timeout=0.1)


async def test_a_connection_cut_short_is_a_fault(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.abort()
        return response

    url = await serve(handler)
    with pytest.raises(feeds.FeedFault, match="failed"):
        await feeds.fetch(f"{url}/?key=hidden")


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/f?key=hidden", "http://[/f?key=hidden", "ftp://a.invalid/f"])
async def test_addresses_that_lead_nowhere_are_faults(address: str) -> None:
    with pytest.raises(feeds.FeedFault) as fault:
        await feeds.fetch(address)
    assert "hidden" not in fault.value.en + fault.value.zh
    assert address.partition("?")[0] in fault.value.en


async def test_a_file_is_read_within_its_limit(tmp_path: Path) -> None:
    found = await weather.fetch(DATA / "station-frost.json", "station", now=NOW, source=STATION)
    assert len(found) == 2
    big = tmp_path / "big.json"
    big.write_bytes(b" " * 11)
    assert await feeds.fetch(str(big), limit=11) == b" " * 11
    with pytest.raises(feeds.FeedFault, match="more than 10 bytes"):
        await feeds.fetch(big, limit=10)
    with pytest.raises(feeds.FeedFault, match="cannot read"):
        await feeds.fetch(tmp_path / "none.json")


def test_addresses_are_shown_without_their_secrets() -> None:
    assert feeds.shown("https://user:word@a.invalid/f/g?key=1") == "https://a.invalid/f/g"
    assert feeds.shown("https://a.invalid?key=1@2") == "https://a.invalid"
    assert feeds.shown(Path("subscribers/f.json")) == "subscribers/f.json"


# the document


def test_the_documented_example_is_one_the_reader_takes() -> None:
    document = (ROOT / "docs" / "weather-feed.md").read_text()
    example = re.search(r"```json\n(.*?)```", document, re.DOTALL)
    assert example is not None
    (forecast,) = station(example[1].encode(), source=STATION)
    assert len(forecast.days) == 2


def test_every_key_and_every_field_is_documented() -> None:
    document = (ROOT / "docs" / "weather-feed.md").read_text()
    rows = set(re.findall(r"`([^`]+)`", "\n".join(re.findall(r"^\| `.*?\|", document, re.MULTILINE))))
    page = json.loads(one_day(wind="", rain_mm=0))
    keys = {*page, *page["areas"][0], *page["areas"][0]["days"][0]}
    (forecast,) = station(one_day())
    given = weather.fields(forecast, date(2026, 7, 1), NOW, SHANGHAI)
    assert given["发布时间"] == "1日5时"
    assert rows == keys | set(given)


def test_the_sites_template_asks_for_nothing_else() -> None:
    _, head, _ = (ROOT / "templates" / "weather-daily.md").read_text().split("+++\n", 2)
    (forecast,) = station(one_day())
    asked = set(tomllib.loads(head)["fields"])
    assert asked <= set(weather.fields(forecast, date(2026, 7, 1), NOW, SHANGHAI))
