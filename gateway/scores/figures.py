"""The summary of a period from the database, and the cases behind each of its figures.

Policy
- Groups list everything the site's files know, also what had no case, and then whatever else the cases name, so that
  the lines of each grouping add up to the whole.
- Villages are the site's areas: a case belongs to the smallest one that its area lies in.
- An official's figures are those of their area; cases that they may not see are counted, but not listed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import NamedTuple

from gateway.cases.views import Case
from gateway.errors import NotFound, Refused
from gateway.officials import Official
from gateway.scores import summary
from gateway.scores.ground import Ground, grouped, month_of
from gateway.scores.summary import Cell, Line, Summary
from gateway.store import Connection
from gateway.store import summary as rows
from gateway.store.summary import Month, Scope
from gateway.worktime import ONE_DAY

NO_ITEM, ELSEWHERE = "没有对上事项", "其他地方"


class Listed(NamedTuple):
    """The cases of a figure; `hidden` more may not be shown to who asks."""

    cases: Sequence[Case]
    hidden: int


class Figures:
    """One transaction's worth each."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        config = ground.config
        self._windows = {one.code: one.name for one in config.hall.windows}
        self._items = {item.code: item.name for window in config.hall.windows for item in window.items} | {"": NO_ITEM}
        self._villages = {area.code: area.name for area in config.areas}

    def period(self, since: date | None, until: date | None) -> tuple[date, date]:
        """Without days this year up to today; Refused where it ends before it begins."""
        last = until or self._ground.today()
        first = since or last.replace(month=1, day=1)
        if first > last:
            raise Refused(f"起止日期反了：{first} 至 {last}", f"{first} is after {last}")
        return first, last

    def summary(self, db: Connection, first: date, last: date, by: Official | None) -> Summary:
        scope, months = self._scope(first, last, by), self._months(first, last)
        groups = {
            "window": self._lines(db, scope, "window", self._windows),
            "item": self._lines(db, scope, "item", self._items),
            "village": self._by_village(db, scope),
            "month": self._lines(db, scope, "month", {one.name: one.name for one in months}, months),
        }
        total = summary.added("", "合计", self._lines(db, scope, "", {}))
        return Summary(first, last, self._ground.config.hall.about.name, total, groups)

    def _lines(
        self, db: Connection, scope: Scope, grouping: str, names: Mapping[str, str], months: Sequence[Month] = ()
    ) -> list[Line]:
        """A line for each name, and one for each other value there is."""
        found = {group.key: group for group in rows.counted(db, scope, grouping, months)}
        called = {**names, **{key: key for key in sorted(found) if key not in names}}
        none = summary.added("", "", ())
        return [
            Line(key, name, found[key].counts, found[key].stars) if key in found else replace(none, key=key, name=name)
            for key, name in called.items()
        ]

    def _by_village(self, db: Connection, scope: Scope) -> list[Line]:
        lines = grouped(self._lines(db, scope, "area", {}), lambda one: self._village(one.key))
        names = dict.fromkeys(self._villages.values())
        whole = [summary.added(name, name, lines.get(name, ())) for name in names]
        return [*whole, summary.added("", ELSEWHERE, lines[""])] if "" in lines else whole

    def _village(self, area: str) -> str:
        """The place of the site in which an area lies, the smallest; "" for one outside."""
        fitting = [code for code in self._villages if area.startswith(code)]
        return self._villages[max(fitting, key=len)] if fitting else ""

    # -- behind a figure ---------------------------------------------------------------------------------------------

    def cases_of(self, db: Connection, asked: Cell, first: date, last: date, by: Official | None) -> Listed:
        scope, month, sight = (
            self._scope(first, last, by),
            self._one_month(asked.month, first, last),
            self._ground.sight,
        )
        window = self._meant("window", asked.window, self._called(db, scope, "window", self._windows))
        item = self._meant("item", asked.item, self._called(db, scope, "item", self._items))
        village = self._meant("village", asked.village, {one: one for one in self._villages.values()} | {"": ELSEWHERE})
        found = rows.listed(db, scope, asked.figure, window, item, month)
        found = [row for row in found if village is None or self._village(row.area) == village]
        seen = [sight.masked_row(row, by) for row in found if sight.may_see(row, by)]
        return Listed(seen, len(found) - len(seen))

    def _called(self, db: Connection, scope: Scope, grouping: str, names: Mapping[str, str]) -> Mapping[str, str]:
        """The names of a grouping's lines, those that are in no file any more included."""
        return {line.key: line.name for line in self._lines(db, scope, grouping, names)}

    def _meant(self, grouping: str, word: str | None, known: Mapping[str, str]) -> str | None:
        """The key that a word means; NotFound for one that means none or several."""
        found = None if word is None else summary.matching(word, known)
        if word is not None and found is None:
            zh, en = summary.GROUPINGS[grouping]
            raise NotFound(f"没有{zh} {word}，或有几个", f"no {en} {word}, or several")
        return found

    # -- time --------------------------------------------------------------------------------------------------------

    def _scope(self, first: date, last: date, by: Official | None) -> Scope:
        begins, ends = self._ground.midnight(first), self._ground.midnight(last + ONE_DAY)
        return Scope(begins, ends, by.area if by else "", self._ground.clock.now())

    def _months(self, first: date, last: date) -> list[Month]:
        found, day = list[Month](), first.replace(day=1)
        while day <= last:
            found.append(self._ground.span(month_of(day)))
            day = (day + timedelta(days=31)).replace(day=1)
        return found

    def _one_month(self, name: str | None, first: date, last: date) -> Month | None:
        if name is None:
            return None
        found = [one for one in self._months(first, last) if one.name == name]
        if not found:
            raise NotFound(f"这段时间里没有 {name}，月份写成 2026-07", f"{name} is not within; months are 2026-07")
        return found[0]
