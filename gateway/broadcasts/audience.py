"""Who a broadcast is for: people of the roster by a rule, or the rows of a payout sheet, slice by slice.

Policy
- Slices of `PEOPLE_SLICE` people, so that memory is bounded however large the audience.
- A payout sheet's rows are checked against the roster; a row that cannot be paid comes out with its reason, and so
  does a row of a list that means nobody of the audience.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from gateway import payouts, sheets
from gateway.config import Audience, Config
from gateway.roster import Roster
from gateway.store import Store, people
from gateway.worktime import Clock

PEOPLE_SLICE = 1000
INSTEAD_OF = "instead_of"
"""In a stored audience: the broadcast whose texts this one's are to replace."""

FILE_KEYS = frozenset({"payout", "columns", "sheet", INSTEAD_OF})
"""What a stored audience says beside the rule itself, mostly of its file."""


@dataclass(frozen=True, slots=True)
class Addressee:
    """One person of an audience with what only they are told; `phone` is where their text goes, theirs or a taker's."""

    person_id: int | None
    name: str
    phone: str | None
    village: str
    group: str
    area: str
    away: bool
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Excluded:
    """A row of a list that cannot be sent, as it is reported."""

    name: str
    village: str
    reason: str
    detail: str


class Addressees:
    """Reads audiences by a site's roster and clock."""

    def __init__(self, store: Store, config: Config, roster: Roster, clock: Clock) -> None:
        self._store, self._config, self._roster, self._clock = store, config, roster, clock

    async def of(self, audience: Mapping[str, Any]) -> AsyncIterator[Sequence[Addressee | Excluded]]:
        """Everybody of a broadcast's stored `audience`, in slices; Refused where its list or sheet cannot be read."""
        if "payout" in audience:
            known = await self._store.read(people.names_by_phone)
            async for slice_ in self._payments(audience, known):
                yield slice_
            return
        rule = Audience.model_validate({name: of for name, of in audience.items() if name not in FILE_KEYS})
        if rule.list:
            async for slice_ in self._listed(rule, audience):
                yield slice_
            return
        async for found in self._people(rule):
            yield [_addressee(one) for one in found]

    async def check(self, audience: Mapping[str, Any]) -> None:
        """Refused, NotFound or Unsure where the list or sheet of an audience cannot be read."""
        if "payout" in audience:
            next(payouts.check(_sheet(audience), {}, audience.get("columns")), None)
        elif listed := audience.get("list"):
            await self._roster.listed(self._config.directory / listed, audience.get("columns"), audience.get("sheet"))

    async def _people(self, rule: Audience) -> AsyncIterator[list[Any]]:
        selection, after = self._selection(rule), 0
        while found := await self._store.read(people.select_people, selection, after, PEOPLE_SLICE):
            after = found[-1].id
            yield found

    async def _listed(
        self, rule: Audience, audience: Mapping[str, Any]
    ) -> AsyncIterator[Sequence[Addressee | Excluded]]:
        file = self._config.directory / str(rule.list)
        listed = await self._roster.listed(file, audience.get("columns"), audience.get("sheet"))
        met: set[int] = set()
        async for found in self._people(rule):
            chosen = [one for one in found if (one.phone, one.name) in listed]
            met.update(row for one in chosen for row in listed.rows_of(one.phone, one.name))
            yield [_addressee(one) for one in chosen]
        unmet = [(row, "not_among") for row in listed.named - met]
        yield [Excluded("", "", f"list:{why}", f"row {row}") for row, why in sorted([*listed.unread, *unmet])]

    def _selection(self, rule: Audience) -> people.Selection:
        today = self._clock.now().astimezone(self._config.site.zone).date()
        young, old = rule.age or (None, None)
        return people.Selection(
            areas=(rule.area,) if rule.area else (),
            villages=rule.villages,
            tags=rule.tags,
            sex=rule.sex,
            born_until=None if young is None else years_before(today, young),
            born_after=None if old is None else years_before(today, old + 1),
            away=rule.away,
        )

    async def _payments(
        self, audience: Mapping[str, Any], known: Mapping[str, Collection[str]]
    ) -> AsyncIterator[Sequence[Addressee | Excluded]]:
        ids = await self._store.read(people.ids_by_key)
        waiting: list[Addressee | Excluded] = []
        for row in payouts.check(_sheet(audience), known, audience.get("columns")):
            waiting.append(self._payment(row, ids))
            if len(waiting) >= PEOPLE_SLICE:
                yield waiting
                waiting = []
        yield waiting

    def _payment(self, row: payouts.Payment | payouts.PayoutProblem, ids: Mapping[tuple[str, str], int]) -> Any:
        if isinstance(row, payouts.Payment):
            values = {**row.fields, "金额": row.fields.get("金额", f"{row.amount:.2f}")}
            return Addressee(ids.get((row.phone, row.name)), row.name, row.phone, row.village, "", "", False, values)
        return Excluded(row.name, "", f"payout:{row.reason}", f"row {row.row}")


def _sheet(audience: Mapping[str, Any]) -> sheets.Table:
    return sheets.open_table(Path(audience["payout"]), sheet=audience.get("sheet"))


def years_before(day: date, years: int) -> date:
    """The same day so many years ago; 29 February becomes 28."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)


def _addressee(row: Any) -> Addressee:
    number = row.phone or row.taker_phone
    return Addressee(row.id, row.name, number, row.village, row.grp, row.area, bool(row.away_to))
