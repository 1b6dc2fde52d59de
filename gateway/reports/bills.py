"""Operators' bills against what the store knows; see `gateway.reconcile` for what is compared.

Policy: our figures are of the site's days, read a day at a time, so that a month of any size takes bounded memory. A
part counts on the day on which it was submitted, also when its receipt came later.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from gateway import reconcile, sheets
from gateway.config import Config
from gateway.errors import NotFound, Refused
from gateway.phone import Operator, operator
from gateway.reconcile import Left, Reconciled
from gateway.store import Store, usage


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """A bill of one account, compared."""

    carrier: str
    since: date
    until: date
    found: Reconciled


class Bills:
    """Compares bills with what left."""

    def __init__(self, store: Store, config: Config) -> None:
        self._store, self._config = store, config

    async def reconcile(
        self,
        bill: Path,
        *,
        carrier: str | None = None,
        month: date | None = None,
        columns: Mapping[str, str] | None = None,
        sheet: str | None = None,
    ) -> Reconciliation:
        """What an account's bill says against what left over it in the bill's months.

        Refused where several accounts could be meant, or where a row cannot be read; Unsure for a column or sheet.
        """
        name = self._account(carrier)
        told = reconcile.read(sheets.open_table(bill, sheet=sheet), month, columns)
        since, until = told.span
        return Reconciliation(name, since, until, reconcile.compare(told, await self._ours(name, since, until)))

    def _account(self, carrier: str | None) -> str:
        known = list(self._config.carriers)
        if carrier is None and len(known) == 1:
            return known[0]
        named = "、".join(known)
        if carrier is None:
            raise Refused(f"是哪个账号的账单？请写 --carrier，有：{named}", f"whose bill? --carrier, one of: {named}")
        if carrier not in known:
            raise NotFound(f"没有账号 {carrier}，有：{named}", f"no account {carrier}; there are: {named}")
        return carrier

    async def _ours(self, carrier: str, since: date, until: date) -> dict[tuple[date, Operator | None], Left]:
        """(day, operator) -> what left, without the days on which nothing did."""
        ours: dict[tuple[date, Operator | None], Left] = {}
        day = since
        while day < until:
            found = await self._store.read(usage.by_number, carrier, self._midnight(day), self._midnight(day, 1))
            for whose, left in _by_operator(found).items():
                ours[day, whose] = left
            day += timedelta(days=1)
        return ours

    def _midnight(self, day: date, later: int = 0) -> datetime:
        return datetime.combine(day + timedelta(days=later), time(), self._config.site.zone).astimezone(UTC)


def _by_operator(found: Mapping[str, usage.Counts]) -> dict[Operator | None, Left]:
    sums: dict[Operator | None, list[int]] = defaultdict(lambda: [0] * len(Left._fields))
    for number, counts in found.items():
        for at, count in enumerate(counts):
            sums[operator(number)][at] += count
    return {whose: Left(*counts) for whose, counts in sums.items()}
