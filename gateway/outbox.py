"""The only way out: a text is signed, measured, routed and queued here and nowhere else.

Policy
- A route is the first one that fits the number's operator and prefix, the area and the category and has a carrier that
  reaches the operator; a number whose operator nobody can tell takes the first carrier of the first fitting route.
- A carrier that is down or in trouble is relieved by the next of the route that reaches all that it reaches there and
  whose signature is not waiting to be filed.
- Carriers of one route share the place of the signature (`gateway check` refuses others), so a parcel that moves to the
  next carrier needs no new wording.
- Texts with one body share it in their parcel; `Packing` keeps one open parcel per carrier and body.
- Single texts (answers, acknowledgements) are queued in the caller's transaction: decision and text are one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from gateway import phone as phones
from gateway import text as texts
from gateway.config import Config, Route
from gateway.model import PARCEL_SIZE, ParcelState, Priority, message_id, within
from gateway.store import Connection, parcels
from gateway.store.parcels import Envelope, Queued
from gateway.text import Cutting

SINGLE_EXPIRES = timedelta(days=3)
ORDINARY = Cutting()
PATHS_REMEMBERED = 4096
SHARED_BODIES = 64
"""Bodies that may each fill parcels of their own before texts bring their body along."""


@dataclass(frozen=True, slots=True)
class Path:
    """The route that was chosen for a number and the first carrier of it."""

    route: str
    carrier: str


@dataclass(frozen=True, slots=True)
class Written:
    """A body as it leaves: signed, with the parts on the wire, those that are billed and their price."""

    body: str
    parts: int
    billed: int
    cost: Decimal


class _Asked(NamedTuple):
    """All that a choice of route depends on."""

    operator: phones.Operator | None
    digits: str
    category: str | None
    area: str


def _fits(route: Route, asked: _Asked) -> bool:
    return (
        (not route.categories or asked.category in route.categories)
        and (not route.operators or asked.operator is None or asked.operator in route.operators)
        and (not route.prefixes or asked.digits.startswith(route.prefixes))
        and (not route.areas or any(within(asked.area, area) for area in route.areas))
    )


class Outbox:
    """Writes and routes by a site's settings."""

    def __init__(self, config: Config, cuttings: Mapping[str, Cutting] | None = None) -> None:
        """`cuttings`: how each carrier cuts long texts, where it is not the ordinary way."""
        self._config = config
        self._cuttings = cuttings or {}
        self._paths: dict[_Asked, Path | None] = {}
        prefixes = [prefix for route in config.routes for prefix in route.prefixes]
        self._digits = max(map(len, prefixes), default=0)
        self._by_area = any(route.areas for route in config.routes)

    def path(self, phone: str, category: str | None, area: str = "") -> Path | None:
        """How a text of this category gets to this number; None when no account reaches its operator.

        `area`: the code of where the person belongs, or else of what the text is about; "" is the site's own.
        """
        digits = phones.local(phone)[: self._digits]
        where = (area or self._config.site.area) if self._by_area else ""
        key = _Asked(phones.operator(phone), digits, category, where)
        if key not in self._paths:
            if len(self._paths) >= PATHS_REMEMBERED:
                self._paths.clear()
            self._paths[key] = self._find(key)
        return self._paths[key]

    def _find(self, asked: _Asked) -> Path | None:
        for route in self._config.routes:
            if not _fits(route, asked):
                continue
            for name in route.carriers:
                if asked.operator is None or asked.operator in self._config.carriers[name].operators:
                    return Path(route.name, name)
        return None

    def onward(self, carrier: str) -> Mapping[str, str]:
        """Route -> the carrier that takes over where this one is down or in trouble."""
        after = {}
        for route in self._config.routes:
            if carrier in route.carriers:
                rest = route.carriers[route.carriers.index(carrier) + 1 :]
                relief = next((name for name in rest if self._relieves(route, carrier, name)), None)
                if relief is not None:
                    after[route.name] = relief
        return after

    def _relieves(self, route: Route, carrier: str, other: str) -> bool:
        theirs = set(self._config.carriers[carrier].operators)
        needed = theirs.intersection(route.operators) if route.operators else theirs
        relief = self._config.carriers[other]
        return needed <= set(relief.operators) and relief.signature_state not in ("pending", "refused")

    def write(self, body: str, carrier: str) -> Written:
        """Sign and measure one body for this carrier; a signature that the carrier adds counts too."""
        account = self._config.carriers[carrier]
        signature, place = self._config.site.signature, account.signature_place
        billed = texts.billed_parts(texts.counted(body, signature, place))
        return Written(
            texts.sign(body, signature, place),
            texts.parts(texts.counted(body, signature, place), self._cuttings.get(carrier, ORDINARY)),
            billed,
            texts.cost(billed, self._config.price(carrier)),
        )

    def single(
        self,
        db: Connection,
        phone: str,
        body: str,
        now: datetime,
        *,
        category: str | None = None,
        hours: str | None = None,
        priority: Priority = Priority.URGENT,
        expires_at: datetime | None = None,
        person_id: int | None = None,
        area: str = "",
        not_before: datetime | None = None,
    ) -> int | None:
        """Queue one text in this transaction; its message id, or None when no account reaches the number.

        `category` None is an answer, which no opt-out withholds.
        """
        path = self.path(phone, category, area)
        if path is None:
            return None
        written = self.write(body, path.carrier)
        envelope = Envelope(
            broadcast_id=0,
            carrier=path.carrier,
            route=path.route,
            priority=priority,
            body=None,
            category=category,
            hours=hours,
            on_uncertain="leave",
            consent_seen=parcels.newest_consent(db),
            state=ParcelState.READY,
            not_before=not_before,
            expires_at=expires_at or now + SINGLE_EXPIRES,
        )
        queued = Queued(phone, person_id, written.body, written.parts)
        return message_id(parcels.queue(db, envelope, [queued], now), 0)


@dataclass(frozen=True, slots=True)
class Batch:
    """One parcel to be."""

    envelope: Envelope
    texts: Sequence[Queued]


class Packing:
    """Sorts texts into parcels: full ones come out of `add`, what is left out of `rest`."""

    def __init__(self, envelope: Envelope, *, personal: bool) -> None:
        """`envelope` names no carrier, route or body yet; `personal`: every text brings its own body."""
        self._envelope = envelope
        self._personal = personal
        self._open: dict[tuple[Path, str | None], list[Queued]] = {}

    def add(self, path: Path, phone: str, person_id: int | None, written: Written) -> Batch | None:
        """Take one text; a parcel when that has filled one."""
        shared = None if self._personal else written.body
        if shared is not None and (path, shared) not in self._open and len(self._open) >= SHARED_BODIES:
            shared = None
        waiting = self._open.setdefault((path, shared), [])
        waiting.append(Queued(phone, person_id, None if shared else written.body, written.parts))
        if len(waiting) < PARCEL_SIZE:
            return None
        del self._open[path, shared]
        return self._batch(path, shared, waiting)

    def rest(self) -> Iterator[Batch]:
        """The parcels that are not full."""
        for (path, shared), waiting in self._open.items():
            yield self._batch(path, shared, waiting)
        self._open.clear()

    def _batch(self, path: Path, shared: str | None, waiting: list[Queued]) -> Batch:
        return Batch(replace(self._envelope, carrier=path.carrier, route=path.route, body=shared), waiting)
