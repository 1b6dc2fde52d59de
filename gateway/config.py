"""Loads a site's settings: config.toml and its windows file, checked whole and then frozen.

Loading is all or nothing and says everything at once: each problem of both files becomes a `Problem`
with its line, and nothing is half-loaded. Relations between tables are checked only where the tables
are sound, so that one mistake is told once. What lies outside the two files is checked by its owner: a
carrier's own keys by its protocol, names of templates by `check_references`.

A literal password, secret or token is refused wherever it stands; `NAME_env` names an environment
variable instead. The tables themselves are in `gateway.settings` and `gateway.hall` and are offered
here under one name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gateway import offers, rota, rules
from gateway.accounts import OPERATORS, Carrier, Route
from gateway.errors import Invalid, Problem
from gateway.hall import Finding, Hall, Item, Material, Window, contradictions, repeated
from gateway.offers import Course, Job, Offers
from gateway.rota import Duty, Officer
from gateway.rules import Scoring
from gateway.settings import (
    DEFAULT_HOURS,
    Area,
    Audience,
    Calendar,
    CaseSettings,
    Config,
    Dispatch,
    Feed,
    HallTable,
    Inbound,
    Retention,
    Schedule,
    Site,
    StoreSettings,
    Webhook,
)
from gateway.tomlfile import Key, Table, TomlFile, did_you_mean
from gateway.values import SHORTEST_RETENTION, Hours, secret

__all__ = [
    "FILE",
    "OPERATORS",
    "SHORTEST_RETENTION",
    "Area",
    "Audience",
    "Calendar",
    "Carrier",
    "CaseSettings",
    "Config",
    "Course",
    "Dispatch",
    "Duty",
    "Feed",
    "Hall",
    "Hours",
    "Inbound",
    "Item",
    "Job",
    "Material",
    "Offers",
    "Officer",
    "Retention",
    "Route",
    "Schedule",
    "Scoring",
    "Site",
    "StoreSettings",
    "Webhook",
    "Window",
    "check_references",
    "load",
    "secret",
]

FILE = "config.toml"
"""The one file that makes a directory a site."""


def load(directory: Path) -> Config:
    """The settings of the site in `directory`; Invalid with every problem of both files."""
    problems: list[Problem] = []
    main = _read(directory, FILE, problems)
    named = _hall_files(main, problems)
    windows = _read(directory, named.file, problems)
    hall = _hall(windows, problems) if windows else None
    others = _others(directory, named, problems)
    config = _config(directory, main, windows, hall, others, problems) if main else None
    if problems or not config:
        raise Invalid(problems)
    return config


def check_references(
    config: Config, template_names: Collection[str], categories: Collection[str] | None = None
) -> list[Problem]:
    """Schedules' templates and routes' categories that are not among the templates', extensions' windows."""
    main = TomlFile.parse(FILE, config.sources[FILE])
    named = [(("schedules", n, "template"), one.template) for n, one in enumerate(config.schedules)]
    found = list(_unknown(named, template_names, "模板", "template"))
    dialled = [
        (("carriers", name, "extensions", digits), window)
        for name, carrier in config.carriers.items()
        for digits, window in carrier.extensions.items()
    ]
    found += _unknown(dialled, [window.code for window in config.hall.windows], "窗口", "window")
    if categories is not None:
        routed = [(("routes", n, "categories"), c) for n, one in enumerate(config.routes) for c in one.categories]
        found += _unknown(routed, categories, "类别", "category")
    return [main.problem(*finding) for finding in found]


def _read(directory: Path, name: str, problems: list[Problem]) -> TomlFile | None:
    try:
        return TomlFile.read(directory / name, name)
    except Invalid as error:
        problems += error.problems
        return None


def _hall_files(main: TomlFile | None, problems: list[Problem]) -> HallTable:
    try:
        return HallTable.model_validate(main.data.get("hall", {}) if main else {})
    except ValidationError as error:
        problems += main.problems(error, HallTable, ("hall",)) if main else []
        return HallTable()


def _others(directory: Path, named: HallTable, problems: list[Problem]) -> dict[str, tuple[TomlFile | None, Any]]:
    """The hall's other files that are named, each with what was read: by the name of its setting."""
    shapes: dict[str, tuple[type[Table], Callable[[Any], Iterator[Finding]]]] = {
        "duty": (Duty, rota.contradictions),
        "offers": (Offers, offers.contradictions),
        "scoring": (Scoring, rules.contradictions),
    }
    found: dict[str, tuple[TomlFile | None, Any]] = {}
    for key, (shape, contradicts) in shapes.items():
        name = getattr(named, key)
        file = _read(directory, name, problems) if name else None
        if file is not None:
            found[key] = (file, _shaped(file, shape, contradicts, problems))
    if named.questions is not None:
        found["questions"] = (None, named.questions)
        if not (directory / named.questions).is_file():
            problems.append(Problem(FILE, "hall.questions", None, "没有这个文件", "there is no such file"))
    return found


def _shaped(
    file: TomlFile, shape: type[Table], contradicts: Callable[[Any], Iterator[Finding]], problems: list[Problem]
) -> Table:
    try:
        table = shape.model_validate(file.data)
    except ValidationError as error:
        problems += file.problems(error, shape)
        return shape()
    problems += [file.problem(*finding) for finding in contradicts(table)]
    return table


def _hall(windows: TomlFile, problems: list[Problem]) -> Hall | None:
    try:
        hall = Hall.model_validate(windows.data)
    except ValidationError as error:
        problems += windows.problems(error, Hall)
        return None
    problems += [windows.problem(*finding) for finding in contradictions(hall)]
    return hall


def _config(
    directory: Path,
    main: TomlFile,
    windows: TomlFile | None,
    hall: Hall | None,
    others: Mapping[str, tuple[TomlFile | None, Any]],
    problems: list[Problem],
) -> Config:
    """The settings; with problems only what is sound of them."""
    data = _prepared(main, problems) | {
        "directory": directory,
        "sources": {file.name: file.text for file in (main, windows, *(file for file, _ in others.values())) if file},
        "hall": hall or Hall.model_construct(),
        **{key: table for key, (_, table) in others.items()},
    }
    bad: set[str | int] = set()
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        problems += main.problems(error, Config)
        bad = {found["loc"][0] for found in error.errors()}
        config = _sound_part(data, bad)
    checks = [check for needs, check in _CHECKS if not needs & bad]
    problems += [main.problem(*finding) for check in checks for finding in check(config)]
    return config


def _sound_part(data: Mapping[str, Any], bad: set[str | int]) -> Config:
    sound = {
        name: TypeAdapter[Any](field.rebuild_annotation()).validate_python(data[name])
        for name, field in Config.model_fields.items()
        if name in data and name not in bad
    }
    return Config.model_construct(**sound)


_SECRET = re.compile(
    r"(?:^|_)(?:password|passwd|pwd|secret|token|credentials?|(?:api|access|private|secret|signing)_?key)$",
    re.IGNORECASE,
)


def _prepared(main: TomlFile, problems: list[Problem]) -> dict[str, Any]:
    """The data as `Config` takes it: secrets out, names into named tables, named audiences looked up."""
    data = _without_secrets(main, main.data, (), problems)
    data.pop("hall", None)
    for section in ("carriers", "feeds", "audiences"):
        if isinstance(data.get(section), dict):
            data[section] = {name: _named(name, table) for name, table in data[section].items()}
    if isinstance(data.setdefault("hours", {}), dict):
        data["hours"] = DEFAULT_HOURS | data["hours"]
    if isinstance(data.get("schedules"), list):
        data["schedules"] = [
            _with_audience(main, n, one, data.get("audiences"), problems) for n, one in enumerate(data["schedules"])
        ]
    return data


def _without_secrets(main: TomlFile, table: Mapping[str, Any], at: Key, problems: list[Problem]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in table.items():
        if _SECRET.search(key) and not isinstance(value, dict):
            zh, en = (
                f"密钥不写在文件里，改用 {key}_env 写环境变量名",
                f"no secrets in files: name a variable in {key}_env",
            )
            problems.append(main.problem((*at, key), zh, en))
        else:
            kept[key] = _without_secrets(main, value, (*at, key), problems) if isinstance(value, dict) else value
    return kept


def _named(name: str, table: object) -> object:
    return {**table, "name": name} if isinstance(table, dict) else table


def _with_audience(main: TomlFile, n: int, schedule: Any, audiences: Any, problems: list[Problem]) -> Any:
    """An audience given by name is looked up; what is wrong with it is told where it stands."""
    if not isinstance(schedule, dict) or not isinstance(name := schedule.get("audience"), str):
        return schedule
    known = audiences if isinstance(audiences, dict) else {}
    unknown = _unknown([(("schedules", n, "audience"), name)], known, "人群", "audience")
    problems += [main.problem(*finding) for finding in unknown]
    try:
        return {**schedule, "audience": Audience.model_validate(known.get(name, {}))}
    except ValidationError:
        return {**schedule, "audience": Audience()}


# --- what one table alone does not show ---------------------------------------------------------


def _unknown(named: Iterable[tuple[Key, str]], known: Collection[str], what_zh: str, what_en: str) -> Iterator[Finding]:
    for key, word in named:
        if word not in known:
            zh, en = did_you_mean(word, known)
            yield key, f"没有叫 {word} 的{what_zh}{zh}", f"no {what_en} {word}{en}"


def _areas_once(config: Config) -> Iterator[Finding]:
    return repeated([(("areas", n, "code"), area.code) for n, area in enumerate(config.areas)])


def _areas_inside(config: Config) -> Iterator[Finding]:
    codes: list[tuple[Key, str]] = [(("areas", n, "code"), area.code) for n, area in enumerate(config.areas)]
    codes += [((*key, "area"), audience.area) for key, audience in _audiences(config) if audience.area]
    for key, code in codes:
        if not code.startswith(config.site.area):
            yield key, "不在本站的区划之内", "lies outside the site's area"


def _villages_known(config: Config) -> Iterator[Finding]:
    named = [((*key, "villages"), name) for key, audience in _audiences(config) for name in audience.villages]
    return _unknown(named, {area.name for area in config.areas}, "地方", "area")


def _lists_there(config: Config) -> Iterator[Finding]:
    for key, audience in _audiences(config):
        if audience.list and not (config.directory / audience.list).is_file():
            yield (*key, "list"), "没有这个名单文件", "there is no such file"


def _whitelists_there(config: Config) -> Iterator[Finding]:
    for name, carrier in config.carriers.items():
        if carrier.whitelist and not (config.directory / carrier.whitelist).is_file():
            yield ("carriers", name, "whitelist"), "没有这个名单文件", "there is no such file"


def _audiences(config: Config) -> Iterator[tuple[Key, Audience]]:
    """Each audience where it is written; one that a schedule names stands under its own name."""
    for name, audience in config.audiences.items():
        yield ("audiences", name), audience
    for n, schedule in enumerate(config.schedules):
        if not schedule.audience.name:
            yield ("schedules", n, "audience"), schedule.audience


def _routes_once(config: Config) -> Iterator[Finding]:
    return repeated([(("routes", n, "name"), route.name) for n, route in enumerate(config.routes)])


def _schedules_once(config: Config) -> Iterator[Finding]:
    return repeated([(("schedules", n, "name"), one.name) for n, one in enumerate(config.schedules)])


def _feeds_known(config: Config) -> Iterator[Finding]:
    named = [(("schedules", n, "feed"), one.feed) for n, one in enumerate(config.schedules) if one.feed]
    return _unknown(named, config.feeds, "来源", "feed")


def _carriers_known(config: Config) -> Iterator[Finding]:
    named = [(("routes", n, "carriers"), name) for n, route in enumerate(config.routes) for name in route.carriers]
    return _unknown(named, config.carriers, "通道", "carrier")


def _route_areas_inside(config: Config) -> Iterator[Finding]:
    for n, route in enumerate(config.routes):
        for code in route.areas:
            if not (code.startswith(config.site.area) or config.site.area.startswith(code)):
                yield ("routes", n, "areas"), f"{code} 不在本站的区划之内", f"{code} lies outside the site's area"


def _carriers_agree(config: Config) -> Iterator[Finding]:
    """A text moves between the carriers of a route as it is, so they must place the signature alike."""
    for n, route in enumerate(config.routes):
        carriers = [config.carriers[name] for name in route.carriers if name in config.carriers]
        if len({carrier.signature_place for carrier in carriers}) > 1:
            yield (
                ("routes", n, "carriers"),
                "各通道签名位置不同",
                "the carriers place the signature differently",
            )
        reached = {operator for carrier in carriers for operator in carrier.operators}
        if carriers and (missed := [one for one in route.operators if one not in reached]):
            zh, en = "、".join(missed), ", ".join(missed)
            yield ("routes", n, "operators"), f"没有通道能到{zh}", f"no carrier reaches {en}"


_CHECKS: tuple[tuple[set[str], Callable[[Config], Iterator[Finding]]], ...] = (
    ({"areas"}, _areas_once),
    ({"site", "areas", "audiences", "schedules"}, _areas_inside),
    ({"areas", "audiences", "schedules"}, _villages_known),
    ({"audiences", "schedules"}, _lists_there),
    ({"carriers"}, _whitelists_there),
    ({"routes"}, _routes_once),
    ({"schedules"}, _schedules_once),
    ({"schedules", "feeds"}, _feeds_known),
    ({"routes", "site"}, _route_areas_inside),
    ({"routes", "carriers"}, _carriers_known),
    ({"routes", "carriers"}, _carriers_agree),
)
