"""A month of the sample town, played by the gateway and worked out by an oracle: they agree in everything.

`pytest -s tests/month` prints the figures. The comparison itself is tested too: whatever is taken away from what the
gateway did, or changed in it, is found.
"""

from __future__ import annotations

import asyncio
import copy
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import chinese_calendar
import pytest

from gateway import config, templates
from gateway.inbox import topics_of
from gateway.triage import Triage
from tests.month.compare import SINGLE, differences, told
from tests.month.days import BEIJING, EPOCH, OFF, ON, date_of, worked
from tests.month.month import month as a_month
from tests.month.month import villages
from tests.month.oracle import Oracle
from tests.month.plan import BEGIN, END, TEXTS, Plan
from tests.month.play import Played, a_site, play

SECONDS = 60
TRAINING_SECONDS = 1.3
"""Of processor time: the month, and what training the triage takes on the same machine when it has nothing else to do
(`python -m benchmarks.triage`). On a busy one both take longer, in the same proportion."""

pytestmark = pytest.mark.timeout(1800)


class Month(NamedTuple):
    """The month, both ways."""

    plan: Plan
    oracle: Oracle
    played: Played
    took: float
    waited: float
    slowness: float
    """How much longer the machine takes now than when it is quiet."""


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    site = a_site(tmp_path_factory.mktemp("month") / "site")
    (site / "var").mkdir()
    plan, slowness = a_month(site), max(_training(site) / TRAINING_SECONDS, 1.0)
    begun, clock = time.process_time(), time.monotonic()
    played = asyncio.run(play(site, plan))
    took, waited = time.process_time() - begun, time.monotonic() - clock
    yield Month(plan, Oracle(site, plan, villages(site)), played, took, waited, slowness)


def _training(site: Path) -> float:
    """Seconds that the triage takes to learn the site's words; the play finds it done."""
    begun = time.process_time()
    Triage.of(config.load(site), topics_of(templates.load(site / "templates").values()))
    return time.process_time() - begun


def test_the_gateway_and_the_oracle_agree(month: Month) -> None:
    assert not (found := differences(month.oracle, month.played)), told(found)


def test_it_is_a_month_of_a_town(month: Month) -> None:
    sys.stdout.write(f"\n{figures(month)}\n")
    assert month.played.people >= 2900
    assert sum(act.verb == "text" for act in month.plan.acts) == TEXTS == 2000
    assert {row.window for row in month.played.cases} == set(month.oracle.hall.site.windows)
    days = {date_of(day) for day in range(BEGIN // 86400, END // 86400)}
    assert OFF & days and days >= ON


def test_it_runs_in_under_a_minute(month: Month) -> None:
    assert month.took / month.slowness < SECONDS


def test_nothing_of_what_was_to_be_checked_is_missing(month: Month) -> None:
    """A month in which nothing ran late would prove little."""
    oracle = month.oracle
    levels = Counter(one.level for one in oracle.alarms.told)
    assert min(levels[level] for level in ("digest", "single", "overdue", "ladder-1", "ladder-2")) > 30
    rules = Counter(one.rule for one in oracle.points.all)
    assert set(rules) >= {rule["code"] for rule in oracle.hall.site.scoring["rules"]}
    ends = {(one.kind, one.end) for one in oracle.hall.prompts}
    assert ends >= {(kind, "answered") for kind in ("solved", "rating", "papers", "which-case", "same-matter")}
    assert ends >= {("solved", "expired"), ("same-matter", "expired"), ("papers", "withdrawn"), ("solved", "replaced")}
    assert any(one.reminded for one in oracle.hall.prompts if one.kind == "rating")
    boards = [line for lines in month.played.boards.values() for line in lines.values()]
    assert {why for *_, why in boards} > {""}
    assert {band for _, band, *_ in boards} >= {"优秀", "良好", "合格"}


@pytest.mark.parametrize("name", ["days", "ledger", "hall", "clerks", "alarms", "points", "oracle", "plan", "stories"])
def test_the_oracle_asks_the_gateway_for_nothing(name: str) -> None:
    text = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    assert not re.search(r"^(from|import) gateway", text, re.MULTILINE)


def test_the_days_that_were_copied_are_those_that_were_published() -> None:
    for day in range(BEGIN // 86400, 121):
        assert worked(day) == chinese_calendar.is_workday(date_of(day)), date_of(day)
    assert EPOCH.tzinfo is BEIJING


# -- whether the comparison would find anything ------------------------------------------------------------------------

Spoil = Callable[[Played], None]


def _late_clock(played: Played) -> None:
    row = played.cases[7]
    played.cases[7] = SimpleNamespace(**{**row._mapping, "due_at": row.due_at + timedelta(minutes=1)})


def _other_rating(played: Played) -> None:
    n = next(n for n, row in enumerate(played.cases) if row.rating == 5)
    played.cases[n] = SimpleNamespace(**{**played.cases[n]._mapping, "rating": 4})


def _no_single(played: Played) -> None:
    played.said.remove(next(said for said in played.said if SINGLE.match(said[2])))


def _digest_to_another(played: Played) -> None:
    n = next(n for n, said in enumerate(played.said) if "到期" in said[2])
    at, _, body = played.said[n]
    played.said[n] = (at, "+8618900138001", body)


def _one_question_less(played: Played) -> None:
    played.prompts.popitem()


def _another_point(played: Played) -> None:
    month, subject, rule, points, number, at = played.points[11]
    played.points[11] = (month, subject, rule, -points, number, at)


def _held_longer(played: Played) -> None:
    number, held = next(iter(played.holding.items()))
    played.holding[number] = {window: minutes + 1 for window, minutes in held.items()}


def _due_moved(played: Played) -> None:
    at, number, signed, *others = played.trail[100]
    played.trail[100] = (at, number, signed + 60, *others)


def _first_on_the_board(played: Played) -> None:
    board = played.boards["window", "2026-09"]
    subject, (score, band, _, *others) = next(iter(board.items()))
    board[subject] = (score, band, 99, *others)


@pytest.mark.parametrize(
    ("spoil", "subject"),
    [
        (_late_clock, "cases"),
        (_other_rating, "cases"),
        (_no_single, "single warnings"),
        (_digest_to_another, "texts"),
        (lambda played: played.told.pop(200), "warnings and escalations"),
        (_one_question_less, "questions"),
        (lambda played: played.points.pop(), "points"),
        (_another_point, "points"),
        (_held_longer, "holding"),
        (_due_moved, "due times"),
        (_first_on_the_board, "boards"),
        (lambda played: played.asleep.append((0.0, "", "")), "alarms into closed hours"),
    ],
)
def test_the_comparison_finds_whatever_is_wrong(month: Month, spoil: Spoil, subject: str) -> None:
    spoiled = copy.copy(month.played)
    for name in ("cases", "said", "told", "prompts", "points", "holding", "trail", "boards", "asleep"):
        setattr(
            spoiled,
            name,
            copy.deepcopy(getattr(spoiled, name)) if name == "boards" else copy.copy(getattr(spoiled, name)),
        )
    spoil(spoiled)
    assert list(differences(month.oracle, spoiled)) == [subject]


# -- figures -----------------------------------------------------------------------------------------------------------


def figures(month: Month) -> str:
    """What was played and compared."""
    oracle, played = month.oracle, month.played
    levels = Counter(one[3] for one in played.told)
    ratings = Counter(row.rating for row in played.cases if row.rating)
    lines = {
        "people": played.people,
        "texts": sum(act.verb == "text" for act in month.plan.acts),
        "acts of clerks": sum(act.verb != "text" for act in month.plan.acts),
        "cases": len(played.cases),
        "opened again": sum(row.rounds > 1 for row in played.cases),
        "due times compared": 3 * (len(played.cases) + len(played.trail)),
        "texts to people and officers compared": len(played.said),
        "warned and escalated": ", ".join(f"{level} {count}" for level, count in sorted(levels.items())),
        "questions": sum(played.prompts.values()),
        "asked once more": sum(one.reminded is not None for one in oracle.hall.prompts),
        "ratings": ", ".join(f"{value}: {count}" for value, count in sorted(ratings.items(), reverse=True)),
        "points": len(played.points),
        "seconds": f"{month.took:.0f} of a processor that is {month.slowness:.1f} times slower than a quiet one, "
        f"{month.waited:.0f} by the clock",
    }
    return "\n".join(f"{name:>40}  {value}" for name, value in lines.items())
