"""One run: an operator in its own process, a worker that is killed again and again, and what was said meanwhile.

Moments are chosen by seed: what the worker is to be at (composing, approving, sending, recovering, trying again), how
often it must have said so before, and how many milliseconds later it is killed with SIGKILL. The operator lives through
it all.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from tests.kill.plan import Plan
from tests.kill.site import ahead_of_noon, prepare

MOMENTS = {"composing": 9, "approving": 1, "sending": 12, "recovering": 1, "retrying": 4, "deciding": 2}
"""What to wait for -> how often at most it is said before the kill."""
AT = {
    "approving": "approving",
    "recovering": "recovering",
    "recovered": "recovering",
    "sending": "dispatching",
    "retrying": "retrying",
    "deciding": "retrying",
}
"""What was said last of these -> what a kill is counted under; besides, it may be composing."""
DELAY_SECONDS = 0.04
START_SECONDS = 30.0


@dataclass(slots=True)
class Told:
    """What the worker said in all its lives."""

    composed: dict[int, tuple[int, str]] = field(default_factory=dict)
    """Broadcast -> its id and digest, of every one that was acknowledged as composed."""
    changed: list[int] = field(default_factory=list)
    """Broadcasts acknowledged twice and not as the same."""
    recovered: list[int] = field(default_factory=list)
    """Texts found uncertain, per recovery."""
    kills: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    """What it was at when it was killed; it may be composing and sending at once."""
    finished: bool = False

    def hear(self, line: str) -> str:
        """Take down one line; answers its first word."""
        word, *rest = line.split()
        if word == "composed":
            broadcast, same = int(rest[0]), (int(rest[1]), rest[2])
            if self.composed.setdefault(broadcast, same) != same:
                self.changed.append(broadcast)
        elif word == "recovered":
            self.recovered.append(int(rest[0]))
        self.finished = self.finished or word == "done"
        return word


@contextlib.asynccontextmanager
async def operator(plan: Plan, ledger: Path) -> AsyncIterator[str]:
    """An operator's process that writes `ledger`; its address."""
    settings = plan.operator()
    options = [f"--{f.name.replace('_', '-')}={getattr(settings, f.name)}" for f in fields(settings)]
    options = [option for option in options if not option.startswith(("--address", "--down"))]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateway.carriers.simulator", "--listen=127.0.0.1:0", f"--ledger={ledger}", *options),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        port = (await process.stdout.readline()).split()[1].decode()
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


class Worker:
    """One life of the worker."""

    def __init__(self, process: asyncio.subprocess.Process, told: Told) -> None:
        assert process.stdout is not None
        self._process, self._lines, self._told = process, process.stdout, told
        self._composing = False
        self._at = "starting"
        self._ended = False

    async def hear(self) -> str | None:
        """The next word; None when it has ended."""
        if not (line := await self._lines.readline()):
            self._ended = True
            return None
        word = self._told.hear(line.decode())
        self._at = AT.get(word, self._at)
        self._composing = word == "composing" or (self._composing and word != "approved")
        return word

    async def hear_until(self, moment: str, times: int, seconds: float) -> None:
        """Until it has said `moment` so often, or ends, or was up for so long: starting takes its own time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS) as limit:
                while times and (word := await self.hear()) is not None:
                    times -= word == moment
                    if word == "up":
                        limit.reschedule(asyncio.get_running_loop().time() + seconds)

    async def live_until(self, moment: str, dice: random.Random, seconds: float) -> None:
        """Until shortly after `moment`, or for so long once it is up where that does not come; killed then."""
        await self.hear_until(moment, dice.randint(1, MOMENTS[moment]), seconds)
        await self.listen_for(dice.uniform(0.0, DELAY_SECONDS))
        await self.kill()

    async def listen_for(self, seconds: float) -> None:
        """Take down what it says in that time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while await self.hear() is not None:
                    pass

    async def kill(self) -> None:
        """SIGKILL; what it had said before is still heard."""
        if self._ended:
            raise RuntimeError("the worker ended by itself")
        self._told.kills += 1
        self._told.phases.update([self._at, "composing"] if self._composing else [self._at])
        self._process.kill()
        while await self.hear() is not None:
            pass
        await self._process.wait()

    async def end(self, seconds: float) -> None:
        """Let it finish; one that does not in this time is left unfinished."""
        await self.listen_for(seconds)
        if self._ended and await self._process.wait():
            raise RuntimeError("the worker ended by itself")


@contextlib.asynccontextmanager
async def life(options: Sequence[str], log: Path, told: Told) -> AsyncIterator[Worker]:
    """A worker started with these options; its log is appended to `log`. Outlives no `with`."""
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.kill.worker", *options),
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    try:
        yield Worker(process, told)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def kill_again_and_again(plan: Plan, url: str, folder: Path) -> Told:
    """`plan.kills` lives cut short, then one that may finish; the operator's ledger is `folder`/ledger."""
    dice, told, log = random.Random(plan.seed), Told(), folder / "worker.log"
    site, ahead = folder / "site", ahead_of_noon()
    await prepare(plan, url, site, ahead)
    async with operator(plan, folder / "ledger") as address:
        given = {"store": url, "site": site, "ahead": ahead, "operator": address, "plan": json.dumps(asdict(plan))}
        options = [f"--{name}={value}" for name, value in given.items()]
        for moment in _moments(plan, dice):
            async with life(options, log, told) as worker:
                await worker.live_until(moment, dice, plan.life_seconds)
        async with life(options, log, told) as worker:
            await worker.end(plan.end_seconds)
    return told


def _moments(plan: Plan, dice: random.Random) -> list[str]:
    often = [plan.moment] if plan.moment else [*MOMENTS, "sending"]
    moments = [often[at % len(often)] for at in range(plan.kills)]
    dice.shuffle(moments)
    return moments
