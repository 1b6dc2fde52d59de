"""The timer: calls at each due time and in between. APScheduler wakes us and decides nothing.

Policy
- Calls may be late, doubled or lost: whoever is called asks what is due by the clock that was handed in.
- A call in progress is given `GRACE_SECONDS` at the end, then cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any

from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

from gateway.worktime import Clock, Recurrence

TICK_SECONDS = 30
GRACE_SECONDS = 5.0

Tick = Callable[[], Coroutine[Any, Any, None]]


@contextlib.asynccontextmanager
async def running(tick: Tick, due: Mapping[str, Recurrence], clock: Clock) -> AsyncIterator[None]:
    """Call `tick` whenever one of `due` (name -> recurrence) is due by `clock`, every `TICK_SECONDS`, and at once."""
    calls: set[asyncio.Task[None]] = set()

    async def on_time() -> None:
        # A task of its own: the timer's shutdown would cut off what it runs itself.
        call = asyncio.create_task(tick())
        calls.add(call)
        call.add_done_callback(calls.discard)

    timer = _timer(on_time, due, clock)
    timer.start()
    try:
        yield
    finally:
        timer.shutdown(wait=False)
        await _ended(calls)


def _timer(on_time: Callable[[], Any], due: Mapping[str, Recurrence], clock: Clock) -> Any:
    usual = {"coalesce": True, "misfire_grace_time": None, "max_instances": 3}
    timer = AsyncIOScheduler(jobstores={"default": MemoryJobStore()}, timezone=UTC, job_defaults=usual)
    for name, recurrence in due.items():
        timer.add_job(on_time, _AtDueTimes(recurrence, clock), id=f"due:{name}")
    every = IntervalTrigger(seconds=TICK_SECONDS, timezone=UTC)
    timer.add_job(on_time, every, id="tick", next_run_time=datetime.now(UTC))
    return timer


class _AtDueTimes(BaseTrigger):  # type: ignore[misc]
    """Fires when a schedule is next due by our clock, which may be shifted against the timer's."""

    def __init__(self, recurrence: Recurrence, clock: Clock) -> None:
        self._recurrence, self._clock = recurrence, clock

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        ours = self._clock.now()
        due = self._recurrence.due_after(ours)
        return None if due is None else now + (due - ours)


async def _ended(ticks: Collection[asyncio.Task[None]]) -> None:
    """Once they have ended, or after a moment been cut off: whatever they leave is carried on."""
    if ticks:
        _, late = await asyncio.wait(set(ticks), timeout=GRACE_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
