"""The docs are in step: every setting, template, command, link and Make target they name is there, and the reverse.

The command reference itself, docs/cli.md, is generated and held in step by tests/cli/test_language.py.
"""

from __future__ import annotations

import pkgutil
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.core import TyperGroup

from gateway import accounts, carriers, hall, offers, rota, rules, settings, templates
from gateway.carriers.simulator import SimulatorSettings
from gateway.cli import build
from gateway.cli.help import hoisted

ROOT = Path(__file__).parent.parent
READERS = ("README.md", "README.zh-CN.md", "docs/officials.md", "docs/install.md", "docs/settings.md", "docs/README.md")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")])

TABLES: Mapping[str, tuple[type[BaseModel], set[str]]] = {
    "[site]": (settings.Site, set()),
    "[store]": (settings.StoreSettings, set()),
    "[[areas]]": (settings.Area, set()),
    "[[test_phones]]": (settings.TestPhone, set()),
    "[hall]": (settings.HallTable, set()),
    "[office]": (settings.OfficeTable, set()),
    "[calendar]": (settings.Calendar, set()),
    "[carriers.名字]": (accounts.Carrier, {"name", "options"}),
    "[[routes]]": (accounts.Route, set()),
    "[feeds.名字]": (settings.Feed, {"name"}),
    "[audiences.名字]": (settings.Audience, {"name"}),
    "[[schedules]]": (settings.Schedule, set()),
    "[webhook]": (settings.Webhook, set()),
    "[dispatch]": (settings.Dispatch, set()),
    "[inbound]": (settings.Inbound, set()),
    "[cases]": (settings.CaseSettings, set()),
    "[retention]": (settings.Retention, set()),
    "+++": (templates.Front, set()),
    "[fields]": (templates.Field, set()),
    "顶层 / Top level": (hall.Hall, set()),
    "[hall] (windows.toml)": (hall.About, set()),
    "[[windows]]": (hall.Window, set()),
    "case_days": (hall.CaseDays, set()),
    "[[windows.items]]": (hall.Item, set()),
    "materials": (hall.Material, set()),
    "duty.toml": (rota.Duty, set()),
    "[[officers]]": (rota.Officer, set()),
    "[[rota]]": (rota.Turn, set()),
    "[[jobs]]": (offers.Job, set()),
    "[[courses]]": (offers.Course, set()),
    "offers.toml": (offers.Offers, set()),
    "scoring.toml": (rules.Scoring, set()),
    "[[rules]]": (rules.Rule, set()),
    "[[bands]]": (rules.Band, set()),
    "[[disqualified]]": (rules.Disqualified, set()),
}
"""Heading in docs/settings.md -> its table, and what is not written as a key: names that the heading itself gives."""

SETTING_COLUMNS = 5

LOADED_IN_CODE = {("[[schedules]]", "audience"), ("+++", "category")}
"""Defaults that are told in words."""


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def sections() -> dict[str, dict[str, str]]:
    """Heading of docs/settings.md -> key -> what its column of defaults says."""
    found: dict[str, dict[str, str]] = {}
    heading = ""
    for line in page("docs/settings.md").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif row := re.match(r"\| `([^`]+)` \|", line):
            cells = [cell.strip() for cell in line.strip("| ").split("|")]
            found.setdefault(heading, {})[row[1]] = cells[2]
    return found


def in_toml(value: Any) -> str:
    """A default as it would be written in the file; — where there is none."""
    match value:
        case None:
            return "—"
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"'
        case timedelta():
            hours = int(value.total_seconds()) // 3600
            return f'"{hours // 24}d"' if hours % 24 == 0 else f'"{hours}h"'
        case Decimal():
            return f'"{value}"'
        case tuple() | frozenset():
            return f"[{', '.join(in_toml(one) for one in value)}]"
        case dict():
            return "{}"
        case _:
            return str(value)


def told(value: Any) -> str:
    return "—" if value is None else f"`{in_toml(value)}`"


def default_of(field: FieldInfo) -> str:
    return "必填" if field.is_required() else told(field.get_default(call_default_factory=True, validated_data={}))


@pytest.mark.parametrize("heading", TABLES)
def test_each_table_is_told_with_its_keys_and_defaults(heading: str) -> None:
    table, given = TABLES[heading]
    known = {field.alias or name: field for name, field in table.model_fields.items() if name not in given}
    written = sections()[heading]
    assert written.keys() == known.keys()
    defaults = {key: default_of(field) for key, field in known.items() if (heading, key) not in LOADED_IN_CODE}
    assert {key: written[key] for key in defaults} == defaults


def test_each_table_of_a_site_is_among_them() -> None:
    headings = {re.split(r"[\].]", heading.strip("["))[0] for heading in sections()}
    assert settings.Config.model_fields.keys() - {"directory", "sources"} <= headings


def test_hours_that_every_site_has() -> None:
    written = sections()["[hours]"]
    assert written == {name: f'`"{span}"`' for name, span in settings.DEFAULT_HOURS.items()}


def test_the_simulators_settings() -> None:
    known = {one.name: told(one.default) for one in fields(SimulatorSettings) if one.default is not MISSING}
    assert sections()["simulator"] == known


def test_each_template_is_listed_with_its_title_and_fields() -> None:
    lines = {
        row[1]: line
        for line in page("docs/settings.md").splitlines()
        if (row := re.match(r"\| `([\w/-]+)`", line)) and line.count("|") != SETTING_COLUMNS + 1
    }
    notices = templates.load(ROOT / "templates")
    listed = [
        sections()[heading]
        for heading in ("样例站点的模板 / Templates of the sample site", "系统短信 / The gateway's own texts")
    ]
    assert set().union(*listed) == notices.keys()
    for name, one in notices.items():
        names = templates.SERVICE[name.removeprefix("service/")] if one.is_service else tuple(one.fields)
        assert f"| {one.title} |" in lines[name]
        assert lines[name].endswith(f"| {'、'.join(names) or '—'} |")


# --- commands -------------------------------------------------------------------------------------------


def command_lines(name: str) -> Iterator[str]:
    """What a page tells people to type of `gateway ...`, in fenced blocks and between backticks."""
    text = page(name)
    fenced = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.M | re.S)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    for line in [line for block in fenced for line in block.splitlines()] + inline:
        if found := re.match(r"\s*(?:[$#] )?(?:sudo -u \w+ )?(?:\S*/)?gateway (.+)", line):
            yield found[1]


def options_of(command: Any) -> set[str]:
    return {name for one in command.params for name in (*one.opts, *one.secondary_opts)}


def faults(line: str) -> list[str]:
    """What of a command line is not there: a command, or an option."""
    words = hoisted(shlex.split(line, comments=True))
    command: Any = build()
    known = {"--help", *options_of(command)}
    while words and (isinstance(command, TyperGroup) or words[0].startswith("-")):
        word = words.pop(0)
        if word.startswith("--site") or word == "--as":
            words = words if "=" in word else words[1:]
        elif not isinstance(command, TyperGroup):
            words.insert(0, word)
            break
        elif word.startswith("-") and word in options_of(command):
            continue
        elif word not in command.commands:
            return [word]
        else:
            command = command.commands[word]
    known |= options_of(command)
    return [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]


@pytest.mark.parametrize("name", READERS)
def test_commands_and_options_are_there(name: str) -> None:
    assert [(line, wrong) for line in command_lines(name) if (wrong := faults(line))] == []


def test_a_wrong_command_would_be_found() -> None:
    assert faults("official add wang --role author") == ["--role"]
    assert faults("--as li brodcast list") == ["brodcast"]
    assert faults("carriers --watsh") == ["--watsh"] and faults("carriers --watch") == []
    assert faults("broadcast approve 1 --as liu --people 3") == []
    assert sum(1 for name in READERS for _ in command_lines(name)) > 60


@pytest.mark.parametrize("name", READERS)
def test_values_are_set_in_fields_that_the_template_has(name: str) -> None:
    notices = templates.load(ROOT / "templates")
    for line in command_lines(name):
        words = shlex.split(line, comments=True)
        used = [notices[word] for word in words if word in notices]
        given = {words[n + 1].partition("=")[0] for n, word in enumerate(words) if word == "--set"}
        if used:
            assert given <= used[0].names, line


# --- the rest of the pages ------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        file, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        there = (path.parent / file).resolve() if file else path
        if not there.exists() or (anchor and anchor not in anchors(there.read_text(encoding="utf-8"))):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "docs/install.md"])
def test_make_targets_are_there(name: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", page("Makefile"), re.M))
    told = set(re.findall(r"(?:^|`)make ([a-z]+)", page(name), re.M))
    assert {"demo", "test"} <= told <= targets


def test_every_page_is_in_the_index() -> None:
    index = page("docs/README.md")
    assert [path.name for path in (ROOT / "docs").glob("*.md") if f"({path.name})" not in index] == ["README.md"]


def test_no_number_is_anybodys() -> None:
    """Numbers of the sample's shape alone may stand in the pages."""
    for path in PAGES:
        numbers = re.findall(r"(?<!\d)1[3-9]\d{9}(?!\d)", path.read_text(encoding="utf-8"))
        assert [one for one in numbers if not re.fullmatch(r"(138|182|133|189|130|186|192)0013\d{4}", one)] == []


# -- carriers ------------------------------------------------------------------------------------------------------

BUILT_IN = ("cmpp", "sgip", "smgp", "smpp", "gsm", "aliyun", "tencent", "http", "android", "simulator")
SHARED_BY_WIRE = "四种运营商协议共有的键"
SHARED_BY_WEB = "网上的服务商共有的规矩"
OWN_ELSEWHERE = frozenset(accounts.Carrier.model_fields) | {"signature", "codes"}
"""Keys that every account has, and what the site says; they are in settings.md."""


def carrier_section(name: str) -> str:
    return next(
        part for part in re.split(r"^## ", page("docs/carriers.md"), flags=re.M) if part.startswith(f"{name}\n")
    )


def carrier_tables(text: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for block in re.findall(r"^```toml\n(.*?)^```", text, flags=re.M | re.S):
        found |= tomllib.loads(block)["carriers"]
    return found


def test_every_carrier_is_told() -> None:
    found = set()
    for module in pkgutil.iter_modules([str(ROOT / "gateway" / "carriers")]):
        if hasattr(import_module(f"gateway.carriers.{module.name}"), "Carrier"):
            kind = carriers.load(module.name)
            found |= {module.name} if kind.__module__.startswith(f"gateway.carriers.{module.name}") else set()
    assert found == set(BUILT_IN)


@pytest.mark.parametrize("name", BUILT_IN)
def test_its_table_works(name: str) -> None:
    tables = carrier_tables(carrier_section(name))
    assert tables
    for called, table in tables.items():
        assert table["protocol"] == name
        account = accounts.Carrier.model_validate({"name": called, **table})
        kind = carriers.load(name)
        shared = {key: getattr(account, key) for key in ("in_flight", "links", "receipts", "signature_place")}
        own = {key: value for key, value in shared.items() if carriers.takes(kind, key)}
        for key in ("service_code", "relogin_seconds"):
            if carriers.takes(kind, key):
                own[key] = getattr(account, key)
        carriers.settings_of(kind, called, own | account.with_secrets_made_up())


@pytest.mark.parametrize("name", BUILT_IN[:-1])
def test_its_own_keys_are_told(name: str) -> None:
    said = carrier_section(name)
    if name in ("cmpp", "sgip", "smgp", "smpp"):
        said += carrier_section(SHARED_BY_WIRE)
    if name in ("aliyun", "tencent", "http", "android"):
        said += carrier_section(SHARED_BY_WEB)
    keys = {field.name for field in fields(carriers.load(name).Settings)} - OWN_ELSEWHERE
    missing = {key for key in keys if not re.search(rf"\b{key}(_env)?\b", said)}
    assert not missing
