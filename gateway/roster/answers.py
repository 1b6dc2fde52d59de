"""What the verbs of the roster answer: plain values, with nothing of the store in them.

Numbers in them are E.164 and whole where they are a person's own; who shows or logs them masks them. What is meant for
`--json` (`as_dict`, `done`) holds no names and no numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from gateway.roster.reading import NotTaken


@dataclass(frozen=True, slots=True)
class Said:
    """What an operator said of a number; `void`: in a sudden cluster, so that it does not count."""

    day: date
    code: str
    carrier: str
    disputed: bool
    void: bool


@dataclass(frozen=True, slots=True)
class NumberState:
    """What is known of a number. `dead`: no personal text goes to it until somebody confirms whose it is."""

    number: str
    dead: bool
    blocked: bool
    signs: Sequence[Said]
    confirmed_by: str | None
    confirmed_how: str | None
    confirmed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Missing:
    """Somebody of the roster whom this import did not bring."""

    id: int
    name: str
    village: str


@dataclass(slots=True)
class ImportReport:
    """What an import found and did.

    `rows` is importable + duplicates + rejected; importable is new + updated + unchanged.
    `shared`: further people on a number already seen. `returned`: numbers that had been forgotten and got their
    opt-outs back. `unplaced`: village -> people, where the village is unknown or known twice. `other_phones`: further
    numbers in people's cells, which are not kept. `missing` holds the first of `missing_count`.
    """

    roster: str
    dry_run: bool
    rows: int = 0
    importable: int = 0
    duplicates: int = 0
    shared: int = 0
    rejected: list[NotTaken] = field(default_factory=list)
    new: int = 0
    updated: int = 0
    unchanged: int = 0
    missing: list[Missing] = field(default_factory=list)
    missing_count: int = 0
    returned: int = 0
    unplaced: dict[str, int] = field(default_factory=dict)
    other_phones: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For `--json`: a dry run has what the file alone tells; no names and no numbers."""
        found = {
            "rows": self.rows,
            "importable": self.importable,
            "duplicates": self.duplicates,
            "shared": self.shared,
            "rejected": [{"row": lost.row, "reason": lost.reason} for lost in self.rejected],
        }
        return found if self.dry_run else found | self.done()

    def done(self) -> dict[str, Any]:
        """What the import changed, counted."""
        names = ("new", "updated", "unchanged", "returned", "other_phones")
        return {name: getattr(self, name) for name in names} | {
            "missing": self.missing_count,
            "unplaced": dict(self.unplaced),
        }


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A person of a roster; numbers are E.164 and whole: who shows them masks them."""

    id: int
    name: str
    phone: str | None
    taker_phone: str | None
    village: str
    group: str
    area: str
    sex: str
    birth: date | None
    tags: tuple[str, ...]
    away_to: str
    note: str
    roster: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Imported:
    """One import; `finished_at` None: it did not come to its end."""

    roster: str
    by: str
    started_at: datetime
    finished_at: datetime | None
    counts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Overview:
    """Who is in the rosters; `numbers` counts each once. Pairs are (name, people)."""

    people: int
    numbers: int
    without_number: int
    away: int
    rosters: Sequence[tuple[str, int]]
    villages: Sequence[tuple[str, int]]
    imports: Sequence[Imported]


@dataclass(frozen=True, slots=True)
class Consent:
    """One word of the ledger; `category` None is all of them."""

    category: str | None
    state: Literal["in", "out"]
    source: str
    wording: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What became of a person: rows deleted or blanked, and rows kept.

    `kept_until` is the day on which the last of `kept` will have been blanked, if no case is open; None if nothing is
    kept. `waiting`: texts queued that will still leave. `optouts`: words that hold if the number returns.
    """

    people: int
    removed: Mapping[str, int]
    kept: Mapping[str, int]
    kept_until: date | None
    waiting: int
    optouts: Sequence[tuple[str | None, str]]


def subscriber(row: Any) -> Subscriber:
    """Of a row of `person`."""
    same = ("id", "name", "phone", "taker_phone", "village", "area", "sex", "birth", "away_to", "note", "roster")
    tags = tuple(filter(None, row.tags.split(";")))
    values = {name: getattr(row, name) for name in same}
    return Subscriber(**values, group=row.grp, tags=tags, updated_at=row.updated_at)
