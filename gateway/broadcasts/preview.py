"""What an approver sees of a broadcast: exact figures, who is left out and why, real texts, and when it may leave.

Policy
- Figures and texts are read from what is frozen, in one snapshot; nothing is rendered anew.
- The samples have one text of each of the first few bodies, and one to somebody who is away where the template has
  words of its own for them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from gateway import phone
from gateway.broadcasts.preflight import Finding
from gateway.config import Config
from gateway.store import Connection, people
from gateway.store import broadcasts as rows
from gateway.templates import Template
from gateway.worktime import Hours

SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Preview:
    """What an approver sees. Money is in the site's currency; `digest` is what they approve."""

    id: int
    title: str
    template: str
    state: str
    author: str
    people: int
    texts: int
    parts: int
    cost: Decimal
    not_before: datetime | None
    expires_at: datetime | None
    hours: str | None
    digest: str | None
    leaves_at: datetime | None
    """The first moment at which it may leave, if it were approved now; None when it would expire before."""
    outside_hours: bool
    """Whether its hours are closed now."""
    left_out: Mapping[str, int]
    unreached: Mapping[str, int]
    """Operator ("" where nobody can tell) -> people that no account reaches."""
    accounts: Sequence[str]
    """The accounts that carry its category."""
    reaches: Sequence[str]
    """The operators that these accounts reach."""
    samples: Sequence[tuple[str, str]]
    """(masked number, text)."""
    findings: Sequence[Finding]
    """What the accounts it would use object to or warn of, while it waits for approval."""


_COPIED = (
    *("id", "title", "template", "state", "author", "people", "texts", "parts", "cost"),
    *("not_before", "expires_at", "hours", "digest"),
)


def look(
    db: Connection,
    row: Any,
    config: Config,
    template: Template | None,
    now: datetime,
    names: Collection[str],
    findings: Sequence[Finding] = (),
) -> Preview:
    """The preview of one broadcast's `row`, with the texts of `names`, or the first few where there are none."""
    accounts, reaches = _reach(config, row.category)
    return Preview(
        **{name: getattr(row, name) for name in _COPIED},
        leaves_at=leaves_at(row, now, config.site.zone),
        outside_hours=row.hours is not None and not Hours.parse(row.hours).is_open(now, config.site.zone),
        left_out=rows.left_out_counts(db, row.id),
        unreached=rows.unreached_operators(db, row.id),
        accounts=accounts,
        reaches=reaches,
        findings=findings,
        samples=list(_of_names(db, row.id, names) if names else _first(db, row.id, template)),
    )


def leaves_at(row: Any, now: datetime, zone: ZoneInfo) -> datetime | None:
    """The first moment from `now` on that a broadcast's times and hours allow; None when it expires before."""
    start = max(now, row.not_before or now)
    opens = start if row.hours is None else Hours.parse(row.hours).next_opening(start, zone)
    return opens if opens < row.expires_at else None


def _reach(config: Config, category: str) -> tuple[list[str], list[str]]:
    """The accounts of the routes that carry this category, and the operators they reach by them."""
    accounts: dict[str, None] = {}
    operators: dict[str, None] = {}
    for route in config.routes:
        if route.categories and category not in route.categories:
            continue
        for name in route.carriers:
            accounts[name] = None
            reached = config.carriers[name].operators
            operators |= dict.fromkeys(one for one in reached if not route.operators or one in route.operators)
    return list(accounts), list(operators)


def _first(db: Connection, broadcast_id: int, template: Template | None) -> Iterator[tuple[str, str]]:
    chosen = {text[0]: text for text in rows.texts_by_body(db, broadcast_id, SAMPLES)}
    for key, number, _, body in islice(rows.texts(db, broadcast_id), SAMPLES):
        if len(chosen) < SAMPLES:
            chosen[key] = (key, number, body)
    away = rows.text_to_away(db, broadcast_id) if template is not None and template.away else None
    if away is not None:
        chosen[away[0]] = away
    return ((phone.mask(number), body) for _, (_, number, body) in sorted(chosen.items()))


def _of_names(db: Connection, broadcast_id: int, names: Collection[str]) -> Iterator[tuple[str, str]]:
    wanted = people.ids_of_names(db, names)
    theirs = (
        (phone.mask(number), body) for _, number, person_id, body in rows.texts(db, broadcast_id) if person_id in wanted
    )
    return islice(theirs, SAMPLES)
