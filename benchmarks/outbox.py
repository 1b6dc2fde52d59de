"""Texts per second through the outbox, stage by stage and end to end, beside a bare script that writes the same rows.

    python -m benchmarks.outbox [--texts 100000] [--rounds 3] [--databases sqlite,postgres] [--postgres URL|auto]

Each measurement is a process of its own over an empty, migrated database, so that memory and processor time are its
own. Rounds alternate between the gateway and `benchmarks.bare`; what is shown are medians. The operator is the
simulator inside the process: answers at once, one receipt per text. SQLite runs with synchronous=FULL; `auto` starts a
PostgreSQL from the machine's binaries with its default durability (fsync and synchronous_commit on); a URL replaces it,
and everything in that database.

Stages: `queue` inserts parcels of 500; `dispatch` opens them, writes watermarks, hands over and records; `receipts`
stores what was reported. `whole` is a run of its own in which all three go on at once, until the last receipt is on the
disk and every parcel is counted. `--profile FILE` writes a cProfile of one whole run on SQLite instead.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import json
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, select
from sqlalchemy.engine import URL, make_url

from benchmarks import bare
from gateway.carriers import Accepted, Items, Links, Receipt, simulator
from gateway.dispatch import Dispatcher, Pace, Setup
from gateway.model import PARCEL_SIZE, ParcelState, Priority, ReceiptState, message_id
from gateway.store import Store, counting, open_store, parcels, receipts
from gateway.store.migrations import upgrade
from gateway.store.parcels import Envelope, Queued
from gateway.store.receipts import Recent, Told
from gateway.store.tables import parcel, receipt
from gateway.worktime import SystemClock

CARRIER = "sim"
RECEIPTS_AT_ONCE = 1000
OPTIONS = ("listen_addresses=", "max_connections=50")

clock = SystemClock()
Measured = dict[str, float]


# -- the gateway's side ----------------------------------------------------------------------------------------

ENVELOPE = Envelope(
    broadcast_id=1,
    carrier=CARRIER,
    route="default",
    priority=Priority.BULK,
    body=bare.BODY,
    category="policy",
    hours=None,
    on_uncertain="leave",
    consent_seen=0,
    state=ParcelState.READY,
    not_before=None,
    expires_at=None,
)


async def queue(store: Store, texts: int) -> None:
    """Insert parcels of 500 that share one body."""
    for start in range(0, texts, PARCEL_SIZE):
        queued = [Queued(bare.phone(start + at), None, None, 1) for at in range(PARCEL_SIZE)]
        await store.write(parcels.queue, ENVELOPE, queued, clock.now())


class Silent(simulator.Operator):
    """An operator that never reports: dispatch is measured alone."""

    def receipts(self, accepted: Accepted, fate: simulator.Fate, now: datetime) -> Iterable[Receipt]:
        return ()


def dispatcher(store: Store, *, silent: bool) -> Dispatcher:
    """Over the simulator in this process: 4 links of 256 in flight, no pace."""
    recent = Recent()

    async def receive(carrier: str, items: Items) -> None:
        told = [Told(r.ref, r.phone, r.state, r.error, r.at) for r in items if isinstance(r, Receipt)]
        known = [recent.find(carrier, one.ref) for one in told]
        for start in range(0, len(told), RECEIPTS_AT_ONCE):
            part = slice(start, start + RECEIPTS_AT_ONCE)
            await store.write(receipts.store, carrier, told[part], known[part], clock.now())

    def make(links: Links) -> simulator.Carrier:
        carrier = simulator.Carrier(CARRIER, simulator.SimulatorSettings(in_flight=256, links=4, remember=1000), links)
        if silent:
            carrier.operator.__class__ = Silent
        return carrier

    return Dispatcher(
        store,
        [Setup(name=CARRIER, make=make, pace=Pace(rate=1e6))],
        clock=clock,
        zone=ZoneInfo("Asia/Shanghai"),
        recent=recent,
        receive=receive,
    )


async def until(store: Store, condition: Callable[[Connection], bool]) -> None:
    while not await store.read(condition):
        await asyncio.sleep(0.05)


def _all_done(db: Connection) -> bool:
    return db.execute(select(parcel.c.id).where(parcel.c.state != ParcelState.DONE).limit(1)).first() is None


async def dispatch(store: Store, texts: int) -> None:
    async with dispatcher(store, silent=True).running():
        await until(store, _all_done)


async def report(store: Store, texts: int) -> None:
    """Store a receipt for every text, as carriers bring them; the references are still in memory."""
    for start in range(0, texts, RECEIPTS_AT_ONCE):
        ats = range(start, min(texts, start + RECEIPTS_AT_ONCE))
        keys = [message_id(1 + at // PARCEL_SIZE, at % PARCEL_SIZE) for at in ats]
        told = [
            Told(f"{key:x}.1.1", bare.phone(at), ReceiptState.DELIVERED, None, clock.now())
            for at, key in zip(ats, keys, strict=True)
        ]
        known = [receipts.Part(key, 1, 1, bare.phone(at)) for at, key in zip(ats, keys, strict=True)]
        await store.write(receipts.store, CARRIER, told, known, clock.now())
    while await store.write(counting.recount):
        pass


async def whole(store: Store, texts: int) -> None:
    """Queue, dispatch and receipts side by side; leaves when all is counted."""
    one = dispatcher(store, silent=False)
    async with one.running():
        await queue(store, texts)
        one.look_again()
        await until(store, lambda db: db.execute(select(func.count()).select_from(receipt)).scalar_one() >= texts)


# -- one measurement, in its own process -----------------------------------------------------------------------


STAGED: dict[str, dict[str, bare.Stage]] = {
    "stages": {"queue": queue, "dispatch": dispatch, "receipts": report},
    "whole": {"whole": whole},
}


async def measure(kind: str, url: str, texts: int) -> Measured:
    """Texts per second of each stage (`kind` stages) or of all at once (`kind` whole), with what they cost."""
    store = open_store(url)
    found = await bare.timed(STAGED[kind], store, texts)
    await store.close()
    return found


def in_own_process(side: str, kind: str, url: str, texts: int) -> Measured:
    """The memory and the processor time of a process are then its own."""
    arguments = ["benchmarks.bare", kind, url, str(texts)]
    if side == "gateway":
        arguments = ["benchmarks.outbox", "--one", kind, url, "--texts", str(texts)]
    done = subprocess.run([sys.executable, "-m", *arguments], check=True, stdout=subprocess.PIPE, text=True)
    found: Measured = json.loads(done.stdout.splitlines()[-1])
    return found


# -- databases -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Database:
    """A kind of database that hands out empty ones and says how large they are."""

    name: str
    fresh: Callable[[], str]
    size: Callable[[str], int]


def sqlite(folder: Path) -> Database:
    def fresh() -> str:
        for file in folder.glob("bench.db*"):
            file.unlink()
        return _migrated(f"sqlite:///{folder / 'bench.db'}")

    def size(url: str) -> int:
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return (folder / "bench.db").stat().st_size

    return Database(f"SQLite {sqlite3.sqlite_version}", fresh, size)


def postgres(address: URL) -> Database:
    url = address.render_as_string(hide_password=False)

    def fresh() -> str:
        asyncio.run(_execute(address, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public"))
        return _migrated(url)

    def size(_: str) -> int:
        return int(asyncio.run(_execute(address, "CHECKPOINT", SIZE_QUERY)))

    version = str(asyncio.run(_execute(address, "SHOW server_version"))).split()[0]
    return Database(f"PostgreSQL {version}", fresh, size)


SIZE_QUERY = """
    SELECT sum(pg_total_relation_size(oid)) FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""


def _migrated(url: str) -> str:
    upgrade(url)
    return url


async def _execute(url: URL, *statements: str) -> Any:
    import asyncpg

    connection = await asyncpg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))
    try:
        return [await connection.fetchval(statement) for statement in statements][-1]
    finally:
        await connection.close()


def _programs() -> Path:
    if found := sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        return found[-1].parent
    if on_path := shutil.which("initdb"):
        return Path(on_path).resolve().parent
    sys.exit("no PostgreSQL here: give --postgres URL or --databases sqlite")


@contextlib.contextmanager
def own_postgres(folder: Path) -> Iterator[URL]:
    """A server on a Unix socket with its default durability."""
    programs = _programs()
    user = "nobody" if os.geteuid() == 0 else None  # it refuses to run as root
    home = folder / "postgres"
    home.mkdir()
    folder.chmod(0o755)
    if user:
        shutil.chown(home, user)
    first: list[str | Path] = [
        programs / "initdb",
        "-D",
        home,
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
    ]
    subprocess.run(first, check=True, user=user, cwd=home, stdout=subprocess.DEVNULL)
    command: list[str | Path] = [programs / "postgres", "-D", home, "-k", home, *(f"-c{option}" for option in OPTIONS)]
    with (folder / "postgres.log").open("wb") as log:
        process = subprocess.Popen(command, user=user, cwd=home, stdout=log, stderr=log)
    try:
        url = URL.create("postgresql+asyncpg", "postgres", database="postgres", query={"host": str(home)})
        _wait_for(url)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(url: URL) -> None:
    for _ in range(200):
        with contextlib.suppress(Exception):
            asyncio.run(_execute(url, "SELECT 1"))
            return
        time.sleep(0.05)
    sys.exit("PostgreSQL does not answer")


# -- the table -------------------------------------------------------------------------------------------------


def rounds_of(database: Database, rounds: int, texts: int) -> dict[str, list[Measured]]:
    """(side kind) -> what each round measured; sides take turns at going first."""
    found: dict[str, list[Measured]] = {}
    for number in range(rounds):
        for kind in ("stages", "whole"):
            for side in ("gateway", "bare") if number % 2 == 0 else ("bare", "gateway"):
                url = database.fresh()
                measured = in_own_process(side, kind, url, texts)
                measured["bytes"] = database.size(url) / texts
                found.setdefault(f"{side} {kind}", []).append(measured)
                print(".", end="", file=sys.stderr, flush=True)
    return found


def rows_of(database: Database, found: dict[str, list[Measured]]) -> Iterator[str]:
    """Lines of the Markdown table: medians of the rounds, and the median of their ratios."""
    for stage in (*STAGED["stages"], "whole"):
        kind = "whole" if stage == "whole" else "stages"
        ours, theirs = ([m[stage] for m in found[f"{side} {kind}"]] for side in ("gateway", "bare"))
        yield _row(database.name, f"{stage}, texts/s", ours, theirs, "{:,.0f}")
    for key, label, shape in (
        ("cpu_ms", "whole, processor ms per 1,000 texts (Python side)", "{:,.0f}"),
        ("peak_mb", "whole, peak memory MB", "{:,.0f}"),
        ("bytes", "whole, bytes stored per text", "{:,.0f}"),
    ):
        ours, theirs = ([m[key] for m in found[f"{side} whole"]] for side in ("gateway", "bare"))
        yield _row(database.name, label, ours, theirs, shape)


def _row(name: str, label: str, ours: list[float], theirs: list[float], shape: str) -> str:
    ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
    cells = (name, label, shape.format(statistics.median(ours)), shape.format(statistics.median(theirs)))
    return f"| {' | '.join(cells)} | {ratio:.2f} | {shape.format(min(ours))} to {shape.format(max(ours))} |"


def machine(folder: Path) -> str:
    """What the figures were measured on."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    return (
        f"{cpu}, {os.cpu_count()} cores; {platform.system()} {platform.release()}; "
        f"Python {platform.python_version()}; one fsync {fsync_ms(folder):.2f} ms; {datetime.now().date()}"  # noqa: DTZ005
    )


def _lines(path: str) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(path).read_text("utf-8").splitlines()
    return []


def fsync_ms(folder: Path) -> float:
    """The median of 50 of 4 kB."""
    took = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(50):
            file.write(bytes(4096))
            started = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - started)
    return statistics.median(took) * 1000


# -- the command -----------------------------------------------------------------------------------------------


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=100_000, help="a multiple of 500")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--databases", default="sqlite,postgres")
    parser.add_argument("--postgres", default="auto")
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    texts = max(PARCEL_SIZE, given.texts - given.texts % PARCEL_SIZE)
    if given.one:
        print(json.dumps(asyncio.run(measure(given.one[0], given.one[1], texts))))
        return
    with tempfile.TemporaryDirectory(prefix="bench") as directory:
        if given.profile:
            profile(sqlite(Path(directory)), texts, given.profile)
        else:
            show(given, Path(directory), texts)


def profile(database: Database, texts: int, file: Path) -> None:
    """Where the time of the event loop's thread goes, in one whole run."""
    url = database.fresh()
    with cProfile.Profile() as profiler:
        asyncio.run(measure("whole", url, texts))
    profiler.dump_stats(file)


def show(given: argparse.Namespace, folder: Path, texts: int) -> None:
    """Measure and print the table."""
    print(f"{texts:,} texts, {given.rounds} rounds, medians. {machine(folder)}\n")
    print("| database | what | gateway | bare | ratio | gateway, least to most |\n|---|---|---|---|---|---|")
    with contextlib.ExitStack() as stack:
        for kind in given.databases.split(","):
            if kind == "sqlite":
                database = sqlite(folder)
            elif given.postgres == "auto":
                database = postgres(stack.enter_context(own_postgres(folder)))
            else:
                database = postgres(make_url(given.postgres).set(drivername="postgresql+asyncpg"))
            for row in rows_of(database, rounds_of(database, given.rounds, texts)):
                print(row, flush=True)


if __name__ == "__main__":
    main()
