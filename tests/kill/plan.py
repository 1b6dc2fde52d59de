"""What a run is asked to do: known to the worker, which is killed, and to the checker, which is not.

Each broadcast is a list of numbers that follows from its own number alone, so that a worker started anew asks for the
same. Within a run no number is used twice: a text is known by its number in all three ledgers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from gateway.carriers.simulator import SimulatorSettings
from gateway.dispatch import Pace
from gateway.model import ParcelState, Priority
from gateway.store.parcels import Envelope, Queued

CARRIER = "sim"
PREFIXES = (138, 182, 133, 189, 130, 186, 192)
"""Of the numbers that belong to nobody: 7 x 10,000 of them."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The size of a run and its seed; `broken` names what the worker is to leave undone ("" for nothing)."""

    kills: int
    broadcasts: int = 20
    texts: int = 1000
    slice: int = 100
    seed: int = 1
    broken: str = ""
    in_flight: int = 32
    links: int = 2
    life_seconds: float = 2.0
    """How long a life lasts in which the moment to kill it does not come."""
    end_seconds: float = 120.0
    """How long the last life may take."""

    @property
    def at_risk(self) -> int:
        """The most texts that one kill may leave without a known fate."""
        return 2 * self.in_flight * self.links

    @property
    def pace(self) -> Pace:
        """Fast enough for the carrier's window to be what limits; texts are tried again soon."""
        return Pace(rate=5000.0, retry_seconds=(0.2, 0.4))

    def operator(self, address: str = "") -> SimulatorSettings:
        """An operator who does everything that makes trouble."""
        return SimulatorSettings(
            address=address,
            seed=self.seed,
            in_flight=self.in_flight,
            links=self.links,
            latency=0.08,
            reject=0.02,
            defer=0.06,
            receipt_after=0.05,
            receipt_failed=0.03,
            receipt_lost=0.02,
            receipt_late=0.05,
            receipt_late_after=1.5,
            receipt_early=0.03,
            receipt_twice=0.05,
        )


def resends(broadcast: int) -> bool:
    """Every fifth is an emergency: whoever may not have got it is sent it again, by the category's rule."""
    return broadcast % 5 == 0


def envelope(broadcast: int) -> Envelope:
    """Held until all of its parcels are there."""
    return Envelope(
        broadcast_id=broadcast,
        carrier=CARRIER,
        route="default",
        priority=Priority.EMERGENCY if resends(broadcast) else Priority.BULK,
        body=f"【枣原镇】第{broadcast}号通知：明天上午停水，请提前储水。",
        category="policy",
        hours=None,
        on_uncertain="resend" if resends(broadcast) else "leave",
        consent_seen=0,
        state=ParcelState.HELD,
        not_before=None,
        expires_at=None,
    )


def texts_of(plan: Plan, broadcast: int) -> list[Queued]:
    """One text per number; each seventh has two parts."""
    first = (broadcast - 1) * plan.texts
    return [Queued(number(at), None, None, 2 if at % 7 == 0 else 1) for at in range(first, first + plan.texts)]


def number(at: int) -> str:
    """The number of the run's text `at`, from 0."""
    return f"+86{PREFIXES[at // 10_000]}0013{at % 10_000:04d}"


SLICE_PAUSE = timedelta(milliseconds=10)
BACKLOG = 8
"""Parcels that may wait before the next broadcast is composed: composing goes on for as long as the run does."""
