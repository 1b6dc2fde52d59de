"""Who sits where and who is on duty: the shape of duty.toml.

Policy
- An officer is named by the login with which they act; the number is where alarms reach them. A window may have several
  officers, an officer one window; who has none belongs to the hall (the director, whoever watches the desk at night).
- `rota` is read from above: the first entry that fits window, day and hour names who is on duty. An entry with dates
  outranks those without, wherever it stands.
- `ladder` is whom an overdue case is told to, step by step: the director, then upwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from gateway.hall import Finding, Text, repeated
from gateway.tomlfile import Key, Table

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEK: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Officer(Table):
    """One person of the hall; `window` "" is the hall as a whole."""

    login: Text
    name: Text
    phone: Text
    window: str = ""


class Turn(Table):
    """Who is on duty; `window` "" is the whole hall, `officers` are tried in order."""

    window: str = ""
    days: tuple[Weekday, ...] = WEEK
    dates: tuple[date, ...] = ()
    hours: str = ""
    officers: Annotated[tuple[Text, ...], Field(min_length=1)]


class Duty(Table):
    """duty.toml as a whole."""

    officers: tuple[Officer, ...] = ()
    rota: tuple[Turn, ...] = ()
    ladder: tuple[Text, ...] = ()

    def officer(self, login: str) -> Officer | None:
        return next((one for one in self.officers if one.login == login), None)


def contradictions(duty: Duty) -> Iterator[Finding]:
    """Officers listed twice, and turns and steps that name nobody."""
    yield from repeated([(("officers", n, "login"), one.login) for n, one in enumerate(duty.officers)])
    turns = list(enumerate(duty.rota))
    named: list[tuple[Key, str]] = [(("rota", n, "officers"), who) for n, turn in turns for who in turn.officers]
    named += [(("ladder", n), login) for n, login in enumerate(duty.ladder)]
    for key, login in named:
        if duty.officer(login) is None:
            yield key, f"officers 里没有 {login}", f"no officer {login}"
