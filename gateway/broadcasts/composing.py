"""One run of composing: people in, texts in parcels out, and a reason for everybody who gets none.

Policy
- `take` renders without SQL, `write` is one transaction: where that is tried again nobody is counted twice.
- Texts with one body are rendered and measured once; what is remembered of them is bounded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from gateway import phone
from gateway.broadcasts.audience import Addressee, Excluded
from gateway.errors import Refused
from gateway.model import LeftOut, ParcelState
from gateway.outbox import Batch, Outbox, Packing, Path, Written
from gateway.store import Connection, parcels, payments
from gateway.store import broadcasts as rows
from gateway.store.parcels import Envelope
from gateway.templates import Template

TEXTS_REMEMBERED = 4096
AMOUNT, ITEM = "金额", "项目"
"""Fields of a payout's rows: how much, and for what where the rows differ in it."""


@dataclass(frozen=True)
class Knowledge:
    """What composing must know beforehand."""

    template: Template
    opted_out: frozenset[str]
    heeds_optout: bool
    consent_seen: int
    reached: frozenset[tuple[str, int | None]] = frozenset()
    """(number, person) of whoever the text that this one replaces may have reached."""

    dead: frozenset[str] = frozenset()
    """Numbers that somebody has to confirm before anything personal is sent to them."""

    def is_unsure(self, number: str) -> bool:
        """Whether this text says something of one person and the number may be somebody else's by now."""
        return number in self.dead and (self.template.personal or self.template.per == "person")

    def has_it(self, number: str, person_id: int | None) -> bool:
        """Whether they need not get it; of a notice one text to the number is enough."""
        return number in self._numbers if self.template.per == "number" else (number, person_id) in self.reached

    @cached_property
    def _numbers(self) -> frozenset[str]:
        return frozenset(number for number, _ in self.reached)


class Composition:
    """One run of composing: takes people slice by slice, each slice a transaction of its own."""

    def __init__(self, outbox: Outbox, now: datetime, row: Any, known: Knowledge) -> None:
        self._outbox, self._now = outbox, now
        self.row, self._known = row, known
        self._template = known.template
        self._fields: Mapping[str, Mapping[str, str]] = row.fields
        personal = self._template.personal or "payout" in row.audience
        self._personal = personal
        self._packing = Packing(self._envelope(), personal=personal)
        self._numbers: set[str] = set()
        self._written: dict[tuple[Any, ...], Written] = {}
        self._paid: list[tuple[Any, ...]] = []
        self._left_out = 0
        self.seen = self.people = self.texts = self.parts = 0
        self.cost = Decimal(0)

    def _envelope(self) -> Envelope:
        return Envelope(
            broadcast_id=self.row.id,
            carrier="",
            route="",
            priority=self.row.priority,
            body=None,
            category=self.row.category if self._known.heeds_optout else None,
            hours=self.row.hours,
            on_uncertain=self.row.on_uncertain,
            consent_seen=self._known.consent_seen,
            state=ParcelState.HELD,
            not_before=self.row.not_before,
            expires_at=self.row.expires_at,
        )

    def take(self, addressees: Sequence[Addressee | Excluded]) -> tuple[list[tuple[Any, ...]], list[Batch]]:
        """Render these people's texts: rows of those who get none, and the parcels that are full.

        No SQL, since a transaction may be tried again and nobody may be counted twice.
        """
        left: list[tuple[Any, ...]] = []
        full: list[Batch] = []
        self._paid = []
        for one in addressees:
            self.seen += 1
            if isinstance(one, Excluded):
                left.append(self._row(None, one.reason, one.name, None, one.village, "", one.detail))
                continue
            self.people += 1
            why = self._take(one, full)
            if why is not None:
                left.append(self._row(one.person_id, why[0], one.name, one.phone, one.village, one.group, why[1]))
        return left, full

    def rest(self) -> list[Batch]:
        """The parcels that are not full."""
        self._paid = []
        return list(self._packing.rest())

    def write(self, db: Connection, left: Sequence[tuple[Any, ...]], batches: Sequence[Batch]) -> None:
        """Queue these parcels, say who gets no text, and keep what was paid to whom."""
        rows.leave_out(db, left)
        payments.keep(db, self._paid)
        for batch in batches:
            parcels.queue(db, batch.envelope, batch.texts, self._now)

    def _take(self, one: Addressee, full: list[Batch]) -> tuple[LeftOut, str] | None:
        if one.phone is None:
            return LeftOut.NO_NUMBER, ""
        self._remember_payment(one)
        if one.phone in self._known.opted_out:
            return LeftOut.OPTED_OUT, ""
        if self._known.is_unsure(one.phone):
            return LeftOut.DEAD, ""
        if self._known.has_it(one.phone, one.person_id):
            return LeftOut.GOT_BEFORE, ""
        if self._template.per == "number" and one.phone in self._numbers:
            return LeftOut.SAME_NUMBER, ""
        path = self._outbox.path(one.phone, self.row.category, one.area or self.row.area)
        if path is None:
            return LeftOut.NO_ROUTE, phone.operator(one.phone) or ""
        try:
            written = self._write(one, path)
        except Refused as error:
            return LeftOut.MISSING_FIELD, error.zh
        self._numbers.add(one.phone)
        self.texts, self.parts, self.cost = self.texts + 1, self.parts + written.billed, self.cost + written.cost
        batch = self._packing.add(path, one.phone, one.person_id, written)
        if batch is not None:
            full.append(batch)
        return None

    def _remember_payment(self, one: Addressee) -> None:
        """What was paid, for whoever asks later: also those who want no such texts."""
        if "payout" not in self.row.audience or one.phone is None or AMOUNT not in one.values:
            return
        item = one.values.get(ITEM) or self._fields.get("", {}).get(ITEM) or self.row.title
        self._paid.append((self.row.id, one.phone, one.name, item, Decimal(one.values[AMOUNT])))

    def _write(self, one: Addressee, path: Path) -> Written:
        if self._personal:
            return self._outbox.write(self._render(one), path.carrier)
        village = one.village if self._template.varies_by_village else ""
        key = (path.carrier, one.away, village, self._area_of(one))
        if key not in self._written:
            if len(self._written) >= TEXTS_REMEMBERED:
                self._written.clear()
            self._written[key] = self._outbox.write(self._render(one), path.carrier)
        return self._written[key]

    def _render(self, one: Addressee) -> str:
        own = {"姓名": one.name, "村": one.village, "组": one.group}
        values = {**self._fields.get("", {}), **self._fields.get(self._area_of(one), {}), **one.values, **own}
        return self._template.render(values, away=one.away)

    def _area_of(self, one: Addressee) -> str:
        """The longest prefix of the person's area that has values of its own."""
        fitting = [area for area in self._fields if area and one.area.startswith(area)]
        return max(fitting, key=len, default="")

    def _row(self, *values: Any) -> tuple[Any, ...]:
        self._left_out += 1
        return (self.row.id, self._left_out, *values)


def this_process() -> str:
    """How the process that composes is named in the broadcast's row."""
    return f"{os.uname().nodename}:{os.getpid()}"


def alive(node: str | None) -> bool:
    """Whether the process that composes still runs; one on another host is believed to."""
    host, _, pid = (node or "").rpartition(":")
    if not pid or (host == os.uname().nodename and int(pid) == os.getpid()):
        return False
    if host != os.uname().nodename:
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
