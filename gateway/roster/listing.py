"""A list file: who of the roster is meant, by number and name.

A row with number and name means that person, one with a number alone everybody who uses it, and one with a name alone
those of that name who have no number of their own. A row with a number that is none is not guessed at but told in
`unread`; `rows_of` says which rows mean a person, so that those which mean nobody can be told too. Reads as a roster
does, in a thread; a list is held in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        self.named: set[int] = set()
        """Rows that mean somebody, whether the roster knows them or not."""
        self._naming: dict[tuple[str | None, str], list[int]] = {}

    def __contains__(self, who: object) -> bool:
        return isinstance(who, tuple) and len(who) == 2 and bool(self.rows_of(*who))

    def rows_of(self, phone: str | None, name: str) -> list[int]:
        """The rows that mean this person."""
        alone = self._naming.get((phone, ""), []) if phone else []
        return [*self._naming.get((phone, name), []), *alone]

    def add(self, row: int, phone: Cell, name: str) -> None:
        """One row; `phone` as it stands in the cell."""
        self.rows += 1
        numbers, reason = numbers_in(phone)
        if numbers:
            self._name(row, [(number, name) for number in numbers])
        elif name and reason == "missing_phone":
            self._name(row, [(None, name)])
        else:
            self.unread.append((row, reason or "missing_phone"))

    def _name(self, row: int, people: Sequence[tuple[str | None, str]]) -> None:
        self.named.add(row)
        for who in people:
            self._naming.setdefault(who, []).append(row)


def read_list(path: Path, columns: Mapping[str, str] | None = None, sheet: str | None = None) -> Listed:
    """The list at `path`; NotFound, Refused, or Unsure where no column of numbers is found and none was chosen."""
    opened = sheets.open_table(path, sheet=sheet)
    table, header = headed(opened, _WANTED, columns, needed=("phone",), single=("phone",))
    listed = Listed()
    for row in records(table.rows(), header):
        listed.add(row.number, header.cell(row, "phone"), person_name(header.cell(row, "name")))
    return listed
