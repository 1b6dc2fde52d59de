"""A town whose cases are written by hand into a database: what tests of scores and summaries count."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gateway.cases import issue_number, promises
from gateway.clocks import Promise, Span
from gateway.config import Config, load
from gateway.model import Happened, Role
from gateway.officials import Official
from gateway.scores import Scores
from gateway.store import Connection, Store
from gateway.store import cases as rows
from gateway.worktime import ManualClock

SITE = Path(__file__).parents[1]
ZONE = ZoneInfo("Asia/Shanghai")
VILLAGE, OTHER, TOWN = "610899100201", "610899100202", "610899100"
BOSS = Official("guo-zhuren", "郭海燕", frozenset({Role.DIRECTOR}), TOWN)
DEPUTY = Official("nan-zhenzhang", "南志强", frozenset({Role.DIRECTOR}), "61")
KEEPER = Official("admin", "管理员", frozenset({Role.ADMIN}), "")
AUDITOR = Official("shen", "审计", frozenset({Role.AUDITOR}), "")


@cache
def site() -> Config:
    return load(SITE)


def at(text: str) -> datetime:
    """07-06T10:00 of 2026, or 2025-07-06T10:00, on the site's clock."""
    return datetime.fromisoformat(text if len(text) > 11 else f"2026-{text}").replace(tzinfo=ZONE).astimezone(UTC)


def clerk(login: str) -> Official:
    return Official(login, login, frozenset({Role.CLERK}), TOWN)


class Town:
    """Its scores over a database, and a pen to write cases with."""

    def __init__(self, store: Store, now: str = "08-01T09:00", config: Config | None = None) -> None:
        self.store, self.clock = store, ManualClock(at(now))
        self.config = config or site()
        self.scores = Scores(store, self.config, self.clock)
        self._count = 0

    async def opens(self, window: str = "minzheng", opened: str = "07-06T10:00", **values: Any) -> str:
        """A case; what ends in `_at` or `_since` is read as a moment. Its number."""
        self._count += 1
        number = issue_number(date(2026, 7, 1), self._count)
        given = {key: at(one) if key.endswith(("_at", "_since")) and one else one for key, one in values.items()}
        base = {"number": number, "phone": "+8613800130001", "window": window, "kind": "consult", "state": "open"}
        base |= {"area": VILLAGE, "title": "低保的事", "opened_at": at(opened)}
        if "closed_at" in given:
            base |= {"state": "closed", "closed_how": "text"}
        await self.store.write(rows.add, {**base, **given})
        return number

    async def promised(self, window: str = "minzheng", opened: str = "07-06T10:00", **values: Any) -> str:
        """A case with its first text and the promise made then: signed in 4 hours, answered in 1 day, finished in 3."""
        number = await self.opens(window, opened, **values)
        limits = Promise(Span(240, "minutes"), Span(1, "workdays"), Span(3, "workdays"), pause_cap_days=15)
        data = {"window": window, "promise": promises.written(limits)}
        await self.happens(number, Happened.TEXT, opened, **data)
        return number

    async def happens(self, number: str, kind: Happened, when: str, who: str = "", **data: Any) -> None:
        def append(db: Connection) -> None:
            rows.append(db, rows.by_number(db, number, hold=True).id, kind, who, at(when), data=data)

        await self.store.write(append)

    async def settles(self, number: str, when: str, who: str, window: str = "minzheng", how: str = "text") -> None:
        """The case is closed, with its event."""

        def close(db: Connection) -> None:
            row = rows.by_number(db, number, hold=True)
            rows.change(db, row.id, state="closed", closed_at=at(when), closed_how=how, officer=who)
            data = {"how": how, "window": window, "officer": who}
            rows.append(db, row.id, Happened.CLOSED, who, at(when), data=data)

        await self.store.write(close)

    async def changes(self, number: str, **values: Any) -> None:
        def change(db: Connection) -> None:
            rows.change(db, rows.by_number(db, number, hold=True).id, **values)

        await self.store.write(change)

    async def points(self, subject: str, month: str = "2026-07") -> list[tuple[str, str]]:
        """(rule, points) of a subject in the order of the facts."""
        found = (await self.scores.show(subject, month)).points
        return [(one.rule, f"{one.points.normalize():+f}") for one in found]
