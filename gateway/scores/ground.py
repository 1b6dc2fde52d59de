"""What scores and summaries stand on: the site's months and days, who is meant by a name, and who may see what.

Policy
- Scores are of the whole hall: who sees only a part of its area has no board, and a summary of that part.
- An officer is known by the login of duty.toml; their window's points are theirs to read and to appeal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeVar

from gateway.cases.views import Sight
from gateway.config import Config
from gateway.errors import NotFound, Refused
from gateway.model import Role
from gateway.officials import SYSTEM, Official
from gateway.store.summary import Month
from gateway.worktime import ONE_DAY, Calendar, Clock, OfficeHours

MANAGE = (Role.DIRECTOR, Role.ADMIN)
READ = (*MANAGE, Role.AUDITOR)
WINDOW, OFFICER = "window", "officer"
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


class Ground:
    """A site as its scores see it."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self.config, self.clock, self.zone = config, clock, config.site.zone
        self.calendar = Calendar(config.calendar.off, config.calendar.on)
        self.office = OfficeHours.of(config.office, self.calendar, self.zone)
        self.sight = Sight(config.duty)

    # -- days --------------------------------------------------------------------------------------------------------

    def month(self, name: str | None) -> str:
        """A month as it is written, 2026-07; without a name this one. Refused for another form."""
        if name is not None and not _MONTH.fullmatch(name):
            raise Refused(f"月份写成 2026-07：{name}", f"months are written 2026-07: {name}")
        return name or month_of(self.today())

    def span(self, month: str) -> Month:
        first = date.fromisoformat(f"{month}-01")
        return Month(month, self.midnight(first), self.midnight((first + timedelta(days=31)).replace(day=1)))

    def midnight(self, day: date) -> datetime:
        """When a day of the site begins, UTC."""
        return datetime.combine(day, time(), self.zone).astimezone(UTC)

    def day(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()

    def today(self) -> date:
        return self.day(self.clock.now())

    def workdays(self, first: date, last: date) -> int:
        """How many working days there are from one day to another, both included."""
        return sum(self.calendar.is_workday(first + n * ONE_DAY) for n in range((last - first).days + 1))

    # -- names -------------------------------------------------------------------------------------------------------

    def everybody(self, who: str, others: Iterable[str] = ()) -> dict[str, str]:
        """Subjects with their names: the site's windows or the officers of its windows, then whoever else is named."""
        if who == WINDOW:
            known = {f"{WINDOW}:{one.code}": one.name for one in self.config.hall.windows}
        else:
            known = {f"{OFFICER}:{one.login}": one.name for one in self.config.duty.officers if one.window}
        return {**known, **{one: self.name(one) for one in sorted(set(others)) if one not in known}}

    def name(self, subject: str) -> str:
        """What people call a subject; a code or login that is in no file any more is its own name."""
        who, _, code = subject.partition(":")
        if who == WINDOW:
            window = self.config.hall.window(code)
            return window.name if window else code
        officer = self.config.duty.officer(code)
        return officer.name if officer else code

    def subject(self, word: str) -> str:
        """`window:minzheng` or `officer:zhao-ting` from that, a code, a login or a name; NotFound for others."""
        officers = {f"{OFFICER}:{one.login}": one.name for one in self.config.duty.officers}
        known = {**self.everybody(WINDOW), **officers}
        found = [one for one in known if word in (one, one.partition(":")[2])]
        found = found or [one for one, name in known.items() if name == word]
        if len(found) > 1:
            raise NotFound(f"{word} 有几个：{'、'.join(found)}", f"{word} may be {', '.join(found)}")
        if not found and not re.fullmatch(rf"({WINDOW}|{OFFICER}):\S+", word):
            raise NotFound(f"没有这个窗口或人：{word}", f"no such window or officer: {word}")
        return found[0] if found else word

    # -- who may -----------------------------------------------------------------------------------------------------

    def sees_all(self, by: Official) -> bool:
        """Whether the hall's whole area lies in the official's sight."""
        return by.sees(self.config.site.area)

    def needs_hall(self, by: Official) -> None:
        if not self.sees_all(by):
            raise Refused(
                "积分是全大厅的，您只管一部分地方", "scores are of the whole hall; you see a part of its area"
            )

    def may_read(self, by: Official | None) -> None:
        """Refused for whoever may not read everybody's scores."""
        if by is not None:
            by.needs(*READ)
            self.needs_hall(by)

    def may_manage(self, by: Official) -> None:
        """Whether `by` may count and give: directors, administrators, and the gateway itself every day."""
        if by is SYSTEM:
            return
        by.needs(*MANAGE)
        self.needs_hall(by)

    def own(self, subject: str, by: Official) -> bool:
        """Whether it is the official, or the window they work at."""
        officer = self.config.duty.officer(by.login)
        window = officer.window if officer else ""
        return subject == f"{OFFICER}:{by.login}" or bool(window and subject == f"{WINDOW}:{window}")


def month_of(day: date) -> str:
    return day.isoformat()[:7]


def month_before(month: str) -> str:
    return month_of(date.fromisoformat(f"{month}-01") - ONE_DAY)


def grouped(values: Sequence[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Values by key, in their order."""
    found: dict[K, list[T]] = {}
    for value in values:
        found.setdefault(key(value), []).append(value)
    return found


def given(text: str, zh: str, en: str) -> str:
    """A reason in one line; Refused for none."""
    if not text.strip():
        raise Refused(zh, en)
    return " ".join(text.split())
