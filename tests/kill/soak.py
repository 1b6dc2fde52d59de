"""The kill test for as long as one likes.

    python -m tests.kill.soak [--minutes 30] [--kills 50] [--texts 20000] [--seed N]

Round after round on SQLite and PostgreSQL in turn, each with the next seed and an empty database, until the time is
over. A line for each round and one for all; the exit code is 1, and the round's directory is kept, when anything was
found. On PostgreSQL a killed process's account is free again after 4 seconds, so its rounds take a fifth of the kills.
"""

# ruff: noqa: T201 - its output is what it is for

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.engine import URL

from gateway.store.migrations import upgrade
from tests.conftest import execute, server
from tests.kill.checker import Report, check
from tests.kill.plan import Plan
from tests.kill.run import kill_again_and_again

BROADCAST_TEXTS = 1000


@contextlib.contextmanager
def databases(folder: Path) -> Iterator[Iterator[tuple[str, str]]]:
    """(kind, URL) of an empty database after another, of both kinds in turn."""
    with server() as postgres:
        yield _databases(folder, postgres)


def _databases(folder: Path, postgres: URL) -> Iterator[tuple[str, str]]:
    at = 0
    while True:
        at += 1
        yield "sqlite", _ready(f"sqlite:///{folder / f'{at}.db'}")
        asyncio.run(execute(postgres, f"CREATE DATABASE soak_{at}"))
        yield "postgres", _ready(postgres.set(database=f"soak_{at}").render_as_string(hide_password=False))


def _ready(url: str) -> str:
    upgrade(url)
    return url


def plan_of(kind: str, given: argparse.Namespace, seed: int) -> Plan:
    """Fewer kills and texts per round on PostgreSQL, where a life takes longer."""
    share = 1 if kind == "sqlite" else 5
    return Plan(
        kills=max(1, given.kills // share),
        broadcasts=max(1, given.texts // BROADCAST_TEXTS // share),
        texts=BROADCAST_TEXTS,
        seed=seed,
        life_seconds=2.0 if kind == "sqlite" else 6.0,
        end_seconds=600.0,
    )


def one_round(plan: Plan, kind: str, url: str) -> Report:
    """Run and check; the directory of a round with findings stays."""
    folder = Path(tempfile.mkdtemp(prefix=f"soak-{kind}-{plan.seed}-"))
    report = asyncio.run(_run(plan, url, folder))
    print(f"{kind}, seed {plan.seed}: {report}", flush=True)
    if report.findings:
        (folder / "findings").write_text("\n".join(report.findings) + "\n", "utf-8")
        print(f"kept: {folder}", flush=True)
    else:
        shutil.rmtree(folder)
    return report


async def _run(plan: Plan, url: str, folder: Path) -> Report:
    return await check(plan, url, folder, await kill_again_and_again(plan, url, folder))


def main() -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    given = parser.parse_args()
    until = time.monotonic() + given.minutes * 60
    kills = texts = findings = rounds = 0
    with tempfile.TemporaryDirectory(prefix="soak-") as folder, databases(Path(folder)) as fresh:
        while time.monotonic() < until:
            kind, url = next(fresh)
            report = one_round(plan_of(kind, given, given.seed + rounds), kind, url)
            rounds += 1
            kills += report.told.kills
            texts += report.states.total()
            findings += len(report.findings)
    print(f"{rounds} rounds: {kills} kills, {texts} texts, {findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
