"""Killed at any moment: nothing lost, nothing sent twice without a decision, `uncertain` within `at_risk`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kill.checker import Report, check
from tests.kill.plan import Plan
from tests.kill.run import kill_again_and_again

PHASES = ("composing", "approving", "dispatching", "recovering", "retrying")
pytestmark = [pytest.mark.kill, pytest.mark.timeout(400)]


async def run(plan: Plan, url: str, folder: Path) -> Report:
    told = await kill_again_and_again(plan, url, folder)
    report = await check(plan, url, folder, told)
    print(f"seed {plan.seed}: {report}")  # noqa: T201 - shown with the failure
    return report


def assert_kept(plan: Plan, report: Report) -> None:
    assert report.findings == []
    assert report.told.kills == plan.kills
    assert 0 < report.uncertain <= plan.kills * plan.at_risk
    assert sum(report.states.values()) >= plan.broadcasts * plan.texts


async def test_20000_texts_and_50_kills_on_sqlite(sqlite_url: str, tmp_path: Path) -> None:
    plan = Plan(kills=50)
    report = await run(plan, sqlite_url, tmp_path)
    assert_kept(plan, report)
    assert min(report.told.phases[phase] for phase in PHASES) >= 3


async def test_killed_on_postgres(postgres_url: str, tmp_path: Path) -> None:
    plan = Plan(kills=8, broadcasts=7, life_seconds=6.0)  # 4 seconds pass until the next process has the account
    assert_kept(plan, await run(plan, postgres_url, tmp_path))


async def test_without_the_watermark_texts_are_sent_twice_and_found(sqlite_url: str, tmp_path: Path) -> None:
    plan = Plan(kills=4, broadcasts=2, end_seconds=8.0, broken="watermark")
    report = await run(plan, sqlite_url, tmp_path)
    assert any(finding.startswith("sent twice without a decision") for finding in report.findings)


async def test_without_recovery_texts_are_lost_and_found(sqlite_url: str, tmp_path: Path) -> None:
    plan = Plan(kills=4, broadcasts=2, end_seconds=8.0, broken="recovery")
    report = await run(plan, sqlite_url, tmp_path)
    assert any(finding.startswith("lost") for finding in report.findings)


async def test_without_throwing_away_what_was_half_composed_stays_and_is_found(sqlite_url: str, tmp_path: Path) -> None:
    plan = Plan(kills=4, broadcasts=1, texts=400, slice=40, broken="throwing away", moment="composing")
    report = await run(plan, sqlite_url, tmp_path)
    assert any("text stored and not asked for" in finding for finding in report.findings)
