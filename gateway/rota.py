"""Who sits where and who is on duty: the shape of duty.toml, and which entries of it fit a moment.

Policy
- An officer is named by the login with which they act; the number is where alarms reach them. A window may have several
  officers, an officer one window; who has none belongs to the hall (the director, whoever watches the desk at night).
- `rota` is read from above: the first entry that fits window, day and hour names who is on duty. An entry with dates
  outranks those without, wherever it stands; among the others one of the window outranks one of the hall.
- The hours of an entry belong to the day on which they begin: 17:30-08:30 on Friday lasts until Saturday morning.
  08:30-08:30 is a round of 24 hours, no hours at all is the calendar day.
- `workdays` and `offdays` follow the hall's calendar with its holidays and make-up days; mon to sun are the days' names
  whatever the calendar says.
- Somebody who is away that day is passed over; the next named takes their turn.
- `ladder` is whom an overdue case is told to, step by step: the director, then upwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gateway.hall import Finding, Text, repeated
from gateway.tomlfile import Key, Table, wrong

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEK: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Day = Literal[Weekday, "workdays", "offdays"]
ONE_DAY = timedelta(days=1)

_HOURS = re.compile(r"((?:[01]\d|2[0-3]):[0-5]\d)-((?:[01]\d|2[0-3]):[0-5]\d|24:00)")


def _hours(text: str) -> str:
    if text and not _HOURS.fullmatch(text):
        raise wrong("时段应写作 17:30-08:30，全天写空", 'hours are written 17:30-08:30, the whole day as ""')
    return text


class Officer(Table):
    """One person of the hall; `window` "" is the hall as a whole, `away` the days on which others stand in."""

    login: Text
    name: Text
    phone: Annotated[str, Field(pattern=r"^1\d{10}$")]
    window: str = ""
    away: frozenset[date] = frozenset()


class Turn(Table):
    """Who is on duty; `window` "" is the whole hall, `officers` are all told, the first of them answers for it."""

    window: str = ""
    days: tuple[Day, ...] = WEEK
    dates: tuple[date, ...] = ()
    hours: Annotated[str, AfterValidator(_hours)] = ""
    officers: Annotated[tuple[Text, ...], Field(min_length=1)]

    def fits(self, at: datetime, works: Callable[[date], bool]) -> bool:
        """Whether the turn holds at this reading of the wall clock; `works`: whether a day is worked."""
        today, clock = at.date(), at.time()
        begin, end = self.edges
        if not begin < end:  # over midnight, or a round of 24 hours
            return (clock >= begin and self._on(today, works)) or (clock < end and self._on(today - ONE_DAY, works))
        return begin <= clock < end and self._on(today, works)

    @property
    def edges(self) -> tuple[time, time]:
        """When the turn begins and ends on the wall clock; an end that is not later is on the next day."""
        found = _HOURS.fullmatch(self.hours)
        if found is None:
            return time(), time()
        return time.fromisoformat(found[1]), time() if found[2] == "24:00" else time.fromisoformat(found[2])

    def _on(self, day: date, works: Callable[[date], bool]) -> bool:
        if self.dates:
            return day in self.dates
        return WEEK[day.weekday()] in self.days or ("workdays" if works(day) else "offdays") in self.days


class Duty(Table):
    """duty.toml as a whole."""

    officers: tuple[Officer, ...] = ()
    rota: tuple[Turn, ...] = ()
    ladder: tuple[Text, ...] = ()

    def officer(self, login: str) -> Officer | None:
        return next((one for one in self.officers if one.login == login), None)

    def at_window(self, window: str) -> Sequence[Officer]:
        """The officers of one window, of the hall for "", as they are listed."""
        return [one for one in self.officers if one.window == window]

    def named(self, logins: Sequence[str]) -> Sequence[Officer]:
        """These officers, in this order; a login that is nobody's is passed over."""
        return [one for login in logins if (one := self.officer(login)) is not None]

    def turns(self, window: str, at: datetime, works: Callable[[date], bool]) -> Sequence[Turn]:
        """The turns of the window and of the hall that fit, best first: dated ones, then the window's own."""
        fitting = [one for one in self.rota if one.window in ("", window) and one.fits(at, works)]
        return sorted(fitting, key=lambda one: (not one.dates, one.window != window))


def contradictions(duty: Duty) -> Iterator[Finding]:
    """Officers listed twice, and turns and steps that name nobody."""
    yield from repeated([(("officers", n, "login"), one.login) for n, one in enumerate(duty.officers)])
    turns = list(enumerate(duty.rota))
    named: list[tuple[Key, str]] = [(("rota", n, "officers"), who) for n, turn in turns for who in turn.officers]
    named += [(("ladder", n), login) for n, login in enumerate(duty.ladder)]
    for key, login in named:
        if duty.officer(login) is None:
            yield key, f"officers 里没有 {login}", f"no officer {login}"
