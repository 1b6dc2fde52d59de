"""The oracle's alarms: who is told when of which clock, by duty.toml and the rules that docs/settings.md gives of it.

Warnings go out in office time alone: one digest per half-day and window; single texts for urgent cases and for the last
two hours; on the working day after the due day the director is told, and one step of the ladder more each working day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import time
from typing import Any, NamedTuple

from tests.month.days import DAY, date_of, day_of, due_day, next_worked, worked
from tests.month.hall import Hall, Said
from tests.month.ledger import Case

LISTED = 6
NAMES = {"signed": "签收", "first": "首次答复", "finish": "办结"}
LOOK_AGAIN = 30 * 60
PAGE_AGAIN = 600
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Told(NamedTuple):
    """A row of what was told: a clock of a case with the due time it had, at a level, to whom."""

    at: int
    number: str
    clock: str
    level: str
    due: int
    officers: str


class Due(NamedTuple):
    case: Case
    clock: str
    due: int


class Alarms:
    """Tells officers, over the cases of a hall."""

    def __init__(self, directory: Any) -> None:
        self.directory = directory
        self.hall: Hall
        self.told: list[Told] = []
        self.said: list[Said] = []
        """Digests, overdue notices and pages, text by text."""
        self.singles: list[tuple[int, str, str, str]] = []
        """When, to which number, from which seat, about which case and its clocks."""
        self._known: set[tuple[int, str, str, int]] = set()
        self._rounds: set[tuple[str, int]] = set()
        self._paged: dict[tuple[int, str], int] = {}
        self._looked: int | None = None

    # -- who ---------------------------------------------------------------------------------------------------------

    @property
    def duty(self) -> dict[str, Any]:
        return self.hall.site.duty

    def on_duty(self, window: str, at: int) -> list[str]:
        """Dated turns, the window's, in office time its officers, the hall's turns, the director: the first there."""
        turns = [one for one in self.duty["rota"] if self._fits(one, at)]
        here = [one["login"] for one in self.duty["officers"] if one.get("window", "") == window]
        choices = [one["officers"] for one in turns if one.get("dates")]
        if window:
            choices += [one["officers"] for one in turns if not one.get("dates") and one.get("window") == window]
            choices += [here] if self.hall.office.half_day(at) else []
        choices += [one["officers"] for one in turns if not one.get("dates") and not one.get("window")]
        choices += [self.duty["ladder"][:1]]
        present = ([one for one in logins if not self._away(one, at)] for logins in choices)
        return next(logins for logins in present if logins)

    def _fits(self, turn: dict[str, Any], at: int) -> bool:
        begin, end = (_seconds(one) for one in turn["hours"].split("-"))
        today, clock = at // DAY, at % DAY
        if begin < end:
            return begin <= clock < end and self._holds(turn, today)
        return (clock >= begin and self._holds(turn, today)) or (clock < end and self._holds(turn, today - 1))

    def _holds(self, turn: dict[str, Any], day: int) -> bool:
        if turn.get("dates"):
            return date_of(day) in turn["dates"]
        names = turn.get("days", WEEK)
        return WEEK[date_of(day).weekday()] in names or ("workdays" if worked(day) else "offdays") in names

    def _away(self, login: str, at: int) -> bool:
        return date_of(at // DAY) in self._officer(login).get("away", ())

    def _officer(self, login: str) -> dict[str, Any]:
        found: dict[str, Any] = next(one for one in self.duty["officers"] if one["login"] == login)
        return found

    # -- looking -----------------------------------------------------------------------------------------------------

    def look(self, now: int) -> None:
        """One pass."""
        self._end_pauses(now)
        half = self.hall.office.half_day(now)
        live = [case for case in self.hall.cases if case.live]
        if half is not None:
            self._digests(live, half[0], now)
            self._singles(live, now)
            for step in range(len(self.duty["ladder"])):
                self._overdue(live, step, now)
        self.hall.remind(now)

    def _end_pauses(self, now: int) -> None:
        """Pauses that have lasted as long as they may, seen within half an hour of office time."""
        if self._looked is not None and now < self._looked + LOOK_AGAIN:
            return
        if self.hall.office.half_day(now) is None:
            return
        self._looked = now
        for case in self.hall.cases:
            if case.live and case.row.paused_since is not None:
                before = len(case.trail)
                case.settle(self.hall.office, now)
                if case.row.paused_since is None:
                    case.state = "open"
                else:  # nothing has happened: its row stays as it was
                    case.trail.pop()
                    case.row = case.trail[before - 1][1]

    def _horizon(self, now: int) -> int:
        """The end of the next working day."""
        return (next_worked(day_of(now)) + 1) * DAY

    def _digests(self, live: Sequence[Case], half: int, now: int) -> None:
        for window, desk in self.hall.site.windows.items():
            if (window, half) in self._rounds:
                continue
            self._rounds.add((window, half))
            mine = [case for case in live if case.window == window and case.opened_at < half]
            dues = [Due(case, *one) for case in mine for one in case.unmet() if one[1] <= self._horizon(now)]
            if dues:
                officers = self.on_duty(window, now)
                self._note(dues, "digest", officers, now)
                self._say(officers, now, "alarm-digest", 窗口=desk["seat"], 清单=digest(dues, now))

    def _singles(self, live: Sequence[Case], now: int) -> None:
        groups: dict[str, list[Due]] = defaultdict(list)
        for case in live:
            for clock, due in case.unmet():
                if (case.id, clock, "single", due) not in self._known and self._is_near(case, due, now):
                    groups[case.window].append(Due(case, clock, due))
        for window, dues in groups.items():
            officers = self.on_duty(window, now)
            self._note(dues, "single", officers, now)
            for phrase in singles(dues, now):
                for login in officers:
                    seat = self.hall.site.windows[window]["seat"]
                    self.singles.append((now, f"+86{self._officer(login)['phone']}", seat, phrase))

    def _is_near(self, case: Case, due: int, now: int) -> bool:
        """Urgent ones by the end of the next working day, others within the last two hours of office time."""
        if not now <= due <= self._horizon(now):
            return False
        return case.urgent or self.hall.office.between(now, due) <= self.hall.site.cases["warn_minutes"] * 60

    def _overdue(self, live: Sequence[Case], step: int, now: int) -> None:
        level = f"ladder-{step}" if step else "overdue"
        before = next_worked(day_of(now), -step) * DAY
        dues = [
            Due(case, clock, due)
            for case in live
            for clock, due in case.unmet()
            if clock != "signed" and due <= before and (case.id, clock, level, due) not in self._known
        ]
        if dues:
            officers = [self._step(step, now)]
            self._note(dues, level, officers, now)
            values = {"件数": str(len({due.case.id for due in dues})), "清单": self._listed(dues, now)}
            self._say(officers, now, "alarm-overdue", **values)

    def _step(self, step: int, now: int) -> str:
        upwards: list[str] = self.duty["ladder"][step:]
        return next((one for one in upwards if not self._away(one, now)), upwards[0])

    def page(self, case: Case, danger: str, now: int) -> None:
        """Danger: the hall's and the window's duty at once, the same word once in ten minutes."""
        if now < self._paged.get((case.id, danger), -PAGE_AGAIN) + PAGE_AGAIN:
            return
        self._paged[case.id, danger] = now
        officers = list(dict.fromkeys([*self.on_duty("", now), *self.on_duty(case.window, now)]))
        village, phone = self.hall.villages[case.phone], case.phone.removeprefix("+86")
        self._say(officers, now, "alarm-page", 编号=case.number, 险情=danger, 村=village, 电话=phone)

    # -- writing down ------------------------------------------------------------------------------------------------

    def _note(self, dues: Sequence[Due], level: str, officers: Sequence[str], now: int) -> None:
        for case, clock, due in dues:
            if (case.id, clock, level, due) not in self._known:
                self._known.add((case.id, clock, level, due))
                self.told.append(Told(now, case.number, clock, level, due, ",".join(officers)))

    def _say(self, officers: Sequence[str], now: int, template: str, **values: str) -> None:
        body = self.hall.site.worded(template, **values)
        self.said += [Said(now, f"+86{self._officer(login)['phone']}", body) for login in officers]

    def _listed(self, dues: Sequence[Due], now: int) -> str:
        """Each case with its window and its clocks' working days of being late; six at most."""
        items = []
        for case, clocks in _by_case(dues):
            late = "、".join(f"{NAMES[one.clock]}超{_days_late(one.due, now)}个工作日" for one in clocks)
            items.append(f"{case.number}（{self.hall.site.windows[case.window]['name']}）{late}")
        return "、".join(items[:LISTED]) + (f"等{len(items)}件" if len(items) > LISTED else "")


def digest(dues: Sequence[Due], now: int) -> str:
    """Those overdue, those due today by the ends of their numbers; of other days how many."""
    short = _ends([due.case.number for due in dues])
    late = [one for one in dues if one.due <= now]
    parts = [f"已超期{_group(late, short)}"] if late else []
    coming: dict[int, list[Due]] = defaultdict(list)
    for one in sorted(dues, key=lambda one: one.due):
        if one.due > now:
            coming[due_day(one.due)].append(one)
    for day, found in coming.items():
        told = f"{_day_name(day, now)}到期{_group(found, short)}"
        parts.append(told if day == now // DAY else told.split("：")[0])
    return "；".join(parts)


def _group(dues: Sequence[Due], short: dict[str, str]) -> str:
    items = []
    for case, clocks in _by_case(dues):
        named = [NAMES[one.clock] for one in clocks]
        items.append(short[case.number] + ("" if "办结" in named else f"（{'、'.join(named)}）"))
    return f"{len(items)}件：{'、'.join(items[:LISTED])}{f'等{len(items)}件' if len(items) > LISTED else ''}"


def singles(dues: Sequence[Due], now: int) -> Iterator[str]:
    for case, clocks in _by_case(dues):
        times = (f"{_day_name(due_day(one.due), now)}{_clock_of(one.due)}前{NAMES[one.clock]}" for one in clocks)
        yield f"{'急件' if case.urgent else ''}{case.number}{'、'.join(times)}"


def _by_case(dues: Sequence[Due]) -> list[tuple[Case, list[Due]]]:
    """The clocks of each case, what is due first before the others."""
    found: dict[int, list[Due]] = {}
    for one in sorted(dues, key=lambda one: (one.due, one.case.number)):
        found.setdefault(one.case.id, []).append(one)
    return [(some[0].case, some) for some in found.values()]


def _ends(numbers: Sequence[str]) -> dict[str, str]:
    """So many last digits, four at least, that each is told apart."""
    known = set(numbers)
    length = next(n for n in range(4, 13) if len({one[-n:] for one in known}) == len(known))
    return {one: f"…{one[-length:]}" if length < len(one) else one for one in known}


def _day_name(day: int, now: int) -> str:
    ahead = day - now // DAY
    return ("今天", "明天")[ahead] if ahead in (0, 1) else f"{date_of(day).month}月{date_of(day).day}日"


def _clock_of(due: int) -> str:
    clock = time(due % DAY // 3600, due % 3600 // 60)
    return "24:00" if due % DAY == 0 else f"{clock:%H:%M}"


def _days_late(due: int, now: int) -> int:
    return sum(worked(day) for day in range(due_day(due) + 1, now // DAY + 1))


def _seconds(clock: str) -> int:
    hour, minute = map(int, clock.split(":"))
    return hour * 3600 + minute * 60
