"""What the gateway did beside what the oracle says, text by text and case by case."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from tests.month.days import moment, seconds
from tests.month.hall import Said
from tests.month.ledger import Case, held
from tests.month.oracle import Oracle
from tests.month.play import Played

CASE = (
    *("number", "phone", "window", "kind", "item", "state", "urgent", "restricted", "officer", "opened", "signed due"),
    *("first due", "due", "signed", "first answer", "waits since", "closed", "how", "round", "solved", "rating"),
    *("publish", "part of", "merged into"),
)
SINGLE = re.compile(r"(?s)【枣原镇】(.+?)请抓紧：(.+)。")
SINGLES_AT_MOST = 4
SHOWN = 12


def differences(oracle: Oracle, played: Played) -> dict[str, list[str]]:
    """By subject, what the one has and the other has not; nothing at all where they agree."""
    pairs: Mapping[str, tuple[Iterable[Any], Iterable[Any]]] = {
        "cases": (map(_expected, oracle.hall.cases), _rows(played)),
        "due times": (oracle.trail, played.trail),
        "holding": (_held(oracle), _holding(played)),
        "texts": (
            [*oracle.hall.said, *oracle.alarms.said],
            [said for said in played.said if not SINGLE.match(said[2])],
        ),
        "single warnings": (oracle.alarms.singles, _singles(played)),
        "warnings and escalations": (oracle.alarms.told, played.told),
        "questions": (_asked(oracle), played.prompts.elements()),
        "points": (_points(oracle), played.points),
        "boards": (_boards(oracle), ((*key, *line) for key, lines in played.boards.items() for line in lines.items())),
        "alarms into closed hours": ((), played.asleep),
        "too many in one text": ((), _too_long(played)),
    }
    return {subject: found for subject, pair in pairs.items() if (found := _differing(*pair))}


def _differing(expected: Iterable[Any], real: Iterable[Any]) -> list[str]:
    wanted, found = Counter(map(_plain, expected)), Counter(map(_plain, real))
    missing = [(one, "missing") for one in (wanted - found).elements()]
    return [
        f"{what}: {one}"
        for one, what in sorted([*missing, *((o, "unwanted") for o in (found - wanted).elements())], key=str)
    ]


def _plain(value: Any) -> Any:
    """To be compared: whole seconds, numbers without trailing zeros."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, float) and value == int(value):
        return int(value)
    return value.normalize() if isinstance(value, Decimal) else value


def _expected(case: Case) -> tuple[Any, ...]:
    last, parent, into = case.now, case.parent, case.merged_into
    return (
        *(case.number, case.phone, case.window, case.kind, case.item, case.state, case.urgent, case.restricted),
        *(case.officer, case.opened_at, case.row.signed, case.row.first, case.row.finish, last.signed, last.first),
        *(case.row.paused_since, case.closed_at, case.how, len(case.rounds), case.solved, case.rating, case.publish),
        *(parent.number if parent else None, into.number if into else None),
    )


def _rows(played: Played) -> Iterable[tuple[Any, ...]]:
    numbers = {row.id: row.number for row in played.cases}
    for row in played.cases:
        yield (
            *(row.number, row.phone, row.window, row.kind, row.item or "", row.state, row.urgent, row.restricted),
            *(row.officer, *map(_at, (row.opened_at, row.signed_due_at, row.first_due_at, row.due_at))),
            *map(_at, (row.signed_at, row.first_answer_at, row.waiting_since, row.closed_at)),
            *(row.closed_how, row.rounds, row.solved, row.rating, row.publish),
            *(numbers.get(row.parent_id), numbers.get(row.merged_into)),
        )


def _at(at: datetime | None) -> float | None:
    return None if at is None else seconds(at)


def _held(oracle: Oracle) -> Iterable[tuple[str, str, float]]:
    for case in oracle.hall.cases:
        for window, time in held(case, oracle.hall.office, oracle.end).items():
            yield case.number, window, time


def _holding(played: Played) -> Iterable[tuple[str, str, float]]:
    for number, windows in played.holding.items():
        for window, minutes in windows.items():
            yield number, window, round(minutes * 60, 3)


def _singles(played: Played) -> Iterable[tuple[float, str, str, str]]:
    """Each case of each single warning by itself: which of them share a text is not laid down."""
    for at, phone, body in played.said:
        if found := SINGLE.fullmatch(body):
            for phrase in found[2].split("；"):
                yield at, phone, found[1], phrase


def _too_long(played: Played) -> Iterable[Said]:
    for said in played.said:
        if (found := SINGLE.fullmatch(said[2])) and found[2].count("；") >= SINGLES_AT_MOST:
            yield Said(int(said[0]), *said[1:])


def _asked(oracle: Oracle) -> Iterable[tuple[Any, ...]]:
    for one in oracle.hall.prompts:
        number = one.case.number if one.case else ""
        yield one.phone, one.kind, number, one.asked, one.until, one.reminded, one.ended, one.end


def _points(oracle: Oracle) -> Iterable[tuple[Any, ...]]:
    for one in oracle.points.all:
        yield one.month, one.subject, one.rule, one.points, one.number, one.at


def _boards(oracle: Oracle) -> Iterable[tuple[Any, ...]]:
    for who in ("window", "officer"):
        for month, before in (("2026-09", "2026-08"), ("2026-10", "2026-09")):
            for subject, line in oracle.points.board(who, month, before).items():
                yield who, month, subject, tuple(line)


def told(found: Mapping[str, list[str]]) -> str:
    """The differences for people: how many of each kind, and the first of them."""
    lines = []
    for subject, some in found.items():
        lines.append(f"{subject}: {len(some)}")
        lines += [f"    {_dated(one)}" for one in some[:SHOWN]]
    return "\n".join(lines)


def _dated(line: str) -> str:
    """Seconds of the oracle as days and clocks."""
    return re.sub(r"\b\d{6,7}\b(?!\.)", lambda found: f"{moment(int(found[0])):%m-%dT%H:%M:%S}", line)
