"""The hall as its windows file describes it: desks, what each of them does, with papers, steps and time.

Times are working days unless a kind says calendar days; a statute's calendar days are never converted.
A promise is never longer than the law allows: where the two are counted differently, a week of working
days is taken as a calendar week, which leaves public holidays to whoever writes the promise. No keyword
speaks for two windows and no alias for two items, or routing would be a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from gateway.tomlfile import Key, Table

DayKind = Literal["working", "calendar"]
Words = tuple[Annotated[str, Field(min_length=1)], ...]
Text = Annotated[str, Field(min_length=1)]
Days = Annotated[int, Field(ge=0, le=366)]

Finding = tuple[Key, str, str]
"""Where in the file, and what is the matter in zh and en."""


class Material(Table):
    """One paper of the one-time notification; `copies` 0 means it is shown and not kept."""

    name: Text
    form: Text
    copies: Annotated[int, Field(ge=0)]
    note: str = ""


class Item(Table):
    """One thing a window does, as its guide sheet has it."""

    code: Annotated[str, Field(pattern=r"^[a-z]{2}-\d{2}$")]
    name: Text
    aliases: Words = ()
    kind: Literal["即办件", "承诺件", "上报件", "代办件"]
    who: Text
    legal_days: Days
    legal_days_kind: DayKind = "working"
    promised_days: Days
    promised_days_kind: DayKind = "working"
    time_note: str = ""
    fee: Text
    where: Text
    contact: Text
    remote: str = ""
    basis: Text
    materials: tuple[Material, ...] = ()
    steps: Words = ()

    @property
    def called(self) -> str:
        """What people call it: the name in brackets at the end where it is one, else the name without brackets."""
        short = re.search(r"[（(]([^（）()]+)[）)]$", self.name)
        return short[1] if short and short[1] in self.aliases else re.sub(r"[（(][^（）()]*[）)]", "", self.name)

    @property
    def keeps_the_law(self) -> bool:
        """Whether the promise is no longer than the law allows."""
        return _in_calendar_days(self.promised_days, self.promised_days_kind) <= _in_calendar_days(
            self.legal_days, self.legal_days_kind
        )


def _in_calendar_days(days: int, kind: DayKind) -> float:
    return days if kind == "calendar" else days * 7 / 5


class CaseDays(Table):
    """Working days within which a case of each kind is finished."""

    consult: Days
    feedback: Days
    agency: Days
    complaint: Days


class Window(Table):
    """One desk of the hall; `duty_phone` is rung for what cannot wait."""

    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    name: Text
    seat: Text
    duty_phone: Text
    kinds: Words = ()
    keywords: Words = ()
    case_days: CaseDays
    note: str = ""
    items: tuple[Item, ...] = ()


class About(Table):
    """The hall itself. `hours` is what residents read; the totals, where given, are checked."""

    town: Text
    county: str = ""
    name: Text
    address: str = ""
    phone: Text
    hours: str = ""
    windows_total: int | None = None
    items_total: int | None = None


class Hall(Table):
    """The windows file: `hall.about.name`, `hall.windows`, `hall.window("caizheng")`."""

    sample: bool = False
    version: str = ""
    about: About = Field(alias="hall")
    windows: Annotated[tuple[Window, ...], Field(min_length=1)]

    def window(self, code: str) -> Window | None:
        return next((window for window in self.windows if window.code == code), None)

    def item(self, code: str) -> Item | None:
        return next((item for window in self.windows for item in window.items if item.code == code), None)


def contradictions(hall: Hall) -> Iterator[Finding]:
    """What no single table shows: things listed twice, promises beyond the law, totals that do not hold."""
    yield from _listed_twice(hall)
    yield from _totals(hall)
    for key, item in _items(hall):
        if not item.keeps_the_law:
            yield (*key, "promised_days"), "承诺时限超过法定时限", "the promise is longer than the law allows"


def _items(hall: Hall) -> Iterator[tuple[Key, Item]]:
    for w, window in enumerate(hall.windows):
        for i, item in enumerate(window.items):
            yield ("windows", w, "items", i), item


def _listed_twice(hall: Hall) -> Iterator[Finding]:
    desks = [(("windows", n), window) for n, window in enumerate(hall.windows)]
    items = list(_items(hall))
    yield from repeated([((*key, "code"), window.code) for key, window in desks])
    yield from repeated([((*key, "code"), item.code) for key, item in items])
    yield from repeated([((*key, "keywords"), word) for key, window in desks for word in window.keywords])
    yield from repeated([((*key, "aliases"), word) for key, item in items for word in item.aliases])


def repeated(entries: list[tuple[Key, str]]) -> Iterator[Finding]:
    """A finding for each word that stood at an earlier place already."""
    first: dict[str, Key] = {}
    for key, word in entries:
        if word in first:
            yield key, f"{word} 已经用过了", f"{word} is listed twice"
        first.setdefault(word, key)


def _totals(hall: Hall) -> Iterator[Finding]:
    counts = {"windows_total": len(hall.windows), "items_total": len(list(_items(hall)))}
    for name, count in counts.items():
        if getattr(hall.about, name) not in (None, count):
            yield ("hall", name), f"实际是 {count}", f"there are {count}"
