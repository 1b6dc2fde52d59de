"""A list file: who of the roster is meant, by number and name.

A row with number and name means that person, one with a number alone everybody who uses it, and one with a name alone
those of that name who have no number of their own. A row with a number that is none is not guessed at but told in
`unread`. Reads as a roster does, in a thread; a list is held in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway import sheets
from gateway.roster.reading import numbers_in
from gateway.sheets import Cell, headed, records
from gateway.sheets.cells import person_name
from gateway.sheets.headings import NAMES, PHONES

_WANTED: Final[Mapping[str, tuple[str, ...]]] = {"phone": PHONES, "name": NAMES}


class Listed:
    """The people of a list; ask whether `(phone, name) in listed`, with an E.164 number or None."""

    def __init__(self) -> None:
        self.rows = 0
        self.unread: list[tuple[int, str]] = []
        """(row, reason) as `gateway.roster.reading.explain` knows it."""
        self._people: set[tuple[str | None, str]] = set()
        self._numbers: set[str] = set()

    def __contains__(self, who: object) -> bool:
        if not isinstance(who, tuple) or len(who) != 2:
            return False
        return who[0] in self._numbers or who in self._people

    def add(self, row: int, phone: Cell, name: str) -> None:
        """One row; `phone` as it stands in the cell."""
        self.rows += 1
        numbers, reason = numbers_in(phone)
        if numbers and name:
            self._people.update((number, name) for number in numbers)
        elif numbers:
            self._numbers.update(numbers)
        elif name and reason == "missing_phone":
            self._people.add((None, name))
        else:
            self.unread.append((row, reason or "missing_phone"))


def read_list(path: Path) -> Listed:
    """The list at `path`; NotFound, Refused, or Unsure where no column of numbers is found."""
    table, header = headed(sheets.open_table(path), _WANTED, needed=("phone",), single=("phone",))
    listed = Listed()
    for row in records(table.rows(), header):
        listed.add(row.number, header.cell(row, "phone"), person_name(header.cell(row, "name")))
    return listed
