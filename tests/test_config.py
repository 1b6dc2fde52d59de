from pathlib import Path

import pytest

from gateway import config
from gateway.config import Config
from gateway.errors import Invalid, Problem

ROOT = Path(__file__).parent.parent

CONFIG = """\
[site]
name = "大厅"
signature = "枣原镇"
area = "610899100"
phone = "0912-0000000"

[[areas]]
code = "610899100201"
name = "枣湾村"

[carriers.simulator]
protocol = "simulator"

[[routes]]
name = "default"
carriers = ["simulator"]

[feeds.weather]
kind = "station"
source = "县气象台"
file = "weather.json"

[audiences.growers]
tags = ["种粮户"]

[[schedules]]
name = "daily"
template = "weather-daily"
on = "daily"
at = "07:00"
feed = "weather"
audience = "growers"
"""
WINDOWS = """\
[hall]
town = "枣原镇"
name = "大厅"
phone = "0912-0000000"

[[windows]]
code = "front-desk"
name = "前台"
seat = "1号台"
duty_phone = "0912-0000100"
keywords = ["换号"]
case_days = { consult = 1, feedback = 3, agency = 3, complaint = 5 }
"""


def site(directory: Path, text: str = CONFIG, windows: str = WINDOWS) -> Path:
    (directory / "config.toml").write_text(text, encoding="utf-8")
    (directory / "windows.toml").write_text(windows, encoding="utf-8")
    return directory


def problems(directory: Path, text: str = CONFIG, windows: str = WINDOWS) -> list[Problem]:
    with pytest.raises(Invalid) as caught:
        config.load(site(directory, text, windows))
    return list(caught.value.problems)


def places(found: list[Problem]) -> list[tuple[int | None, str]]:
    return [(problem.line, problem.key) for problem in found]


def changed(old: str, new: str, text: str = CONFIG) -> str:
    assert text.count(old) == 1
    return text.replace(old, new)


def test_a_small_site_is_filled_with_defaults(tmp_path: Path) -> None:
    found = config.load(site(tmp_path))
    assert found.directory == tmp_path
    assert found.store.url == "sqlite:///var/gateway.db"
    assert sorted(found.hours) == ["always", "notice", "office", "promotion"]
    assert found.carriers["simulator"].name == "simulator"
    assert found.schedules[0].audience == found.audiences["growers"]
    assert found.hall.windows[0].keywords == ("换号",)
    assert found.sources == {"config.toml": CONFIG, "windows.toml": WINDOWS}
    assert "[[areas]]" not in repr(found)


def test_every_problem_of_both_files_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    text = changed('"610899100201"', '"610899100000"')
    text = changed('carriers = ["simulator"]', 'carriers = ["simulater"]', text)
    text = changed('phone = "0912-0000000"', 'phone = "0912-0000000"\nphnoe = "1"', text)
    windows = changed("consult = 1", "consult = -1", WINDOWS)
    found = problems(tmp_path, text, windows)
    assert [problem.where() for problem in found] == [
        "windows.toml:12 windows[1].case_days.consult",
        "config.toml:6 site.phnoe",
        "config.toml:9 areas[1].code",
        "config.toml:17 routes[1].carriers",
    ]
    assert found[1].zh == "没有这一项，是不是 phone？"
    assert found[3].en == "no carrier simulater, did you mean simulator?"


def test_neither_file_hides_the_other(tmp_path: Path) -> None:
    found = problems(tmp_path, "[site\n", WINDOWS + "notes = 1\n")
    assert [problem.where() for problem in found] == ["config.toml:1", "windows.toml:13 windows[1].notes"]
    found = problems(tmp_path, changed('"610899100"', '"9"'), "[hall\n")
    assert [problem.where() for problem in found] == ["windows.toml:1", "config.toml:4 site.area"]


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        config.load(tmp_path)
    assert [problem.where() for problem in caught.value.problems] == ["config.toml", "windows.toml"]


def test_missing_tables(tmp_path: Path) -> None:
    found = problems(tmp_path, "")
    assert places(found) == [(None, "site"), (None, "areas"), (None, "carriers"), (None, "routes")]


@pytest.mark.parametrize("key", ["carriers", "audiences", "hours", "schedules"])
def test_tables_of_the_wrong_kind(tmp_path: Path, key: str) -> None:
    with pytest.raises(Invalid) as caught:
        config.load(site(tmp_path, f"{key} = 3\n"))
    assert (1, key) in places(list(caught.value.problems))


def test_entries_of_the_wrong_kind(tmp_path: Path) -> None:
    text = "schedules = [3]\ncarriers.simulator = 3\n" + CONFIG.partition("[carriers")[0]
    found = places(problems(tmp_path, text))
    assert (1, "schedules[1]") in found and (2, "carriers.simulator") in found


def test_another_windows_file(tmp_path: Path) -> None:
    (tmp_path / "desks.toml").write_text(WINDOWS, encoding="utf-8")
    found = config.load(site(tmp_path, CONFIG + '[hall]\nfile = "desks.toml"\n', "broken"))
    assert set(found.sources) == {"config.toml", "desks.toml"}


def test_a_windows_file_outside_the_site(tmp_path: Path) -> None:
    found = problems(tmp_path, CONFIG + '[hall]\nfile = "../windows.toml"\n')
    assert places(found) == [(CONFIG.count("\n") + 2, "hall.file")]


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("webhook", "secret"),
        ("carriers.simulator", "password"),
        ("carriers.simulator", "access_key_secret"),
        ("carriers.simulator", "API_KEY"),
        ("carriers.simulator.login", "shared_secret"),
        ("feeds.weather", "token"),
    ],
)
def test_literal_secrets_are_refused_and_not_repeated(tmp_path: Path, table: str, key: str) -> None:
    header = f"[{table}]\n"
    text = CONFIG if header in CONFIG else CONFIG + header
    found = problems(tmp_path, text.replace(header, f'{header}{key} = "geheim"\n'))
    assert [problem.key for problem in found] == [f"{table}.{key}"]
    assert f"{key}_env" in found[0].en
    assert "geheim" not in str(found)


def test_names_of_variables_and_public_ids_are_no_secrets(tmp_path: Path) -> None:
    text = changed('protocol = "simulator"', 'protocol = "simulator"\nsecret_env = "A"\naccess_key_id = "LTAI"')
    assert config.load(site(tmp_path, text)).carriers["simulator"].options == {
        "secret_env": "A",
        "access_key_id": "LTAI",
    }


SECOND = '[carriers.other]\nprotocol = "simulator"\nsignature_place = "back"\noperators = ["电信"]\n'


@pytest.mark.parametrize(
    ("text", "key", "word"),
    [
        (CONFIG + '[[areas]]\ncode = "610899100201"\nname = "又"\n', "areas[2].code", "twice"),
        (CONFIG + '[[areas]]\ncode = "610898"\nname = "外"\n', "areas[2].code", "outside"),
        (changed('tags = ["种粮户"]', 'area = "6109"'), "audiences.growers.area", "outside"),
        (changed('tags = ["种粮户"]', 'villages = ["枣弯村"]'), "audiences.growers.villages", "no area"),
        (changed('tags = ["种粮户"]', 'list = "x.csv"'), "audiences.growers.list", "no such file"),
        (
            changed('protocol = "simulator"', 'protocol = "simulator"\nwhitelist = "x.csv"'),
            "carriers.simulator.whitelist",
            "no such file",
        ),
        (
            changed('audience = "growers"', 'audience = { villages = ["X"] }'),
            "schedules[1].audience.villages",
            "no area X",
        ),
        (changed('audience = "growers"', 'audience = "grower"'), "schedules[1].audience", "mean growers"),
        (changed('feed = "weather"', 'feed = "wether"'), "schedules[1].feed", "mean weather"),
        (CONFIG + CONFIG[CONFIG.index("[[schedules]]") :], "schedules[2].name", "twice"),
        (CONFIG + '[[routes]]\nname = "default"\ncarriers = ["simulator"]\n', "routes[2].name", "twice"),
        (
            changed('carriers = ["simulator"]', 'carriers = ["simulator"]\nareas = ["6109"]'),
            "routes[1].areas",
            "6109 lies outside",
        ),
        (
            changed('["simulator"]', '["simulator", "other"]') + SECOND,
            "routes[1].carriers",
            "signature differently",
        ),
        (
            changed('["simulator"]', '["other"]\noperators = ["移动", "电信"]') + SECOND,
            "routes[1].operators",
            "no carrier reaches 移动",
        ),
    ],
)
def test_what_one_table_alone_does_not_show(tmp_path: Path, text: str, key: str, word: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert (problem.key, word in problem.en) == (key, True)
    assert problem.line is not None


def test_a_route_may_serve_a_part_of_the_site(tmp_path: Path) -> None:
    text = changed('carriers = ["simulator"]', 'carriers = ["simulator"]\nareas = ["610899100201", "6108"]')
    assert config.load(site(tmp_path, text)).routes[0].areas == ("610899100201", "6108")


def test_a_broken_audience_is_told_once_where_it_stands(tmp_path: Path) -> None:
    found = problems(tmp_path, changed('tags = ["种粮户"]', 'sex = "x"'))
    assert [problem.key for problem in found] == ["audiences.growers.sex"]


def test_the_windows_contradictions_are_told(tmp_path: Path) -> None:
    second = WINDOWS[WINDOWS.index("[[windows]]") :]
    found = problems(tmp_path, windows=WINDOWS + second)
    assert places(found) == [(14, "windows[2].code"), (18, "windows[2].keywords")]


def test_references_to_templates(tmp_path: Path) -> None:
    text = changed('carriers = ["simulator"]', 'carriers = ["simulator"]\ncategories = ["jobs"]')
    found = config.load(site(tmp_path, text))
    assert config.check_references(found, {"weather-daily"}) == []
    assert config.check_references(found, {"weather-daily"}, {"jobs"}) == []
    missing = config.check_references(found, {"weather-dialy"}, ())
    assert places(missing) == [(29, "schedules[1].template"), (17, "routes[1].categories")]
    assert missing[0].en == "no template weather-daily, did you mean weather-dialy?"


def test_extensions_are_windows(tmp_path: Path) -> None:
    own = (
        'protocol = "simulator"\nservice_code = "1069"\nextension = 2\nextensions = { "01" = "front-desk", "03" = "x" }'
    )
    found = config.load(site(tmp_path, changed('protocol = "simulator"', own)))
    (problem,) = config.check_references(found, {"weather-daily"})
    assert (problem.key, problem.en) == ("carriers.simulator.extensions.03", "no window x")
    assert problem.line is not None


# --- the sample town --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def town() -> Config:
    return config.load(ROOT)


def test_the_sample_town(town: Config) -> None:
    assert len([area for area in town.areas if len(area.code) == 12]) == 8
    assert len(town.hall.windows) == 9
    assert [(one.name, one.on, one.at) for one in town.schedules[:2]] == [
        ("weather-daily", ("daily",), ("07:00",)),
        ("pension-reminder", ("last-workday",), ("09:00",)),
    ]
    assert town.audiences["conscripts"].age == (18, 22)
    assert {name: carrier.protocol for name, carrier in town.carriers.items()} == {"simulator": "simulator"}


def test_statutory_calendar_days_are_not_converted(town: Config) -> None:
    calendar = [
        (item.code, item.legal_days, item.promised_days, item.promised_days_kind)
        for window in town.hall.windows
        for item in window.items
        if item.legal_days_kind == "calendar"
    ]
    assert calendar == [("zw-05", 60, 20, "working"), ("xf-01", 60, 30, "working")]


def test_a_file_that_is_named_and_missing_is_told(tmp_path: Path) -> None:
    found = problems(tmp_path, CONFIG + '\n[hall]\nquestions = "questions.csv"\n')
    assert [(problem.key, problem.en) for problem in found] == [("hall.questions", "there is no such file")]


def test_what_is_wrong_in_the_halls_other_files_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "duty.toml").write_text('[[officers]]\nlogin = "a"\nnmae = "甲"\n', encoding="utf-8")
    found = problems(tmp_path, CONFIG + '\n[hall]\nduty = "duty.toml"\n')
    assert ("duty.toml", "officers[1].nmae") in [(problem.file, problem.key) for problem in found]
    assert all(problem.file == "duty.toml" for problem in found)
