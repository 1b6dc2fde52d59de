"""What alarms say: case numbers, clocks, times. Pure.

Policy
- No text names a resident, a number of theirs, a title or a word of what they wrote.
- Digests shorten numbers to their ends, long enough to tell the listed cases apart; what has to be acted on is whole.
- A list is cut at `LISTED` and says how many there are; the rest is in `gateway duty alarms` and on the desk's list.
- A due time at midnight is the end of the day before: 24:00.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

LISTED = 6
SHORTEST_TAIL = 4
ONE_DAY = timedelta(days=1)
_MOMENT = timedelta(milliseconds=1)

CLOCKS: Mapping[str, tuple[str, str]] = {
    "signed": ("签收", "sign"),
    "first": ("首次答复", "first answer"),
    "finish": ("办结", "finish"),
}


@dataclass(frozen=True, slots=True)
class Due:
    """One clock of one case that is not met; `about` is the window complained about, "" where there is none."""

    case_id: int
    number: str
    window: str
    about: str
    urgent: bool
    clock: str
    due_at: datetime


def day_of(due_at: datetime, zone: ZoneInfo) -> date:
    """The day at whose end, or on which, something is due."""
    return (due_at - _MOMENT).astimezone(zone).date()


def clock_of(due_at: datetime, zone: ZoneInfo) -> str:
    """17:30; 24:00 for midnight."""
    local = due_at.astimezone(zone)
    return f"{local:%H:%M}" if local.date() == day_of(due_at, zone) else "24:00"


def day_name(day: date, today: date) -> str:
    """今天, 明天, or 10月9日."""
    if (day - today).days in (0, 1):
        return "今天" if day == today else "明天"
    return f"{day.month}月{day.day}日"


def tails(numbers: Iterable[str]) -> Mapping[str, str]:
    """Each number as …0014, by as many last digits as tell all of them apart."""
    known = sorted(set(numbers))
    longest = max((len(one) for one in known), default=0)
    length = next((n for n in range(SHORTEST_TAIL, longest) if len({one[-n:] for one in known}) == len(known)), longest)
    return {one: f"…{one[-length:]}" if len(one) > length else one for one in known}


def listed(items: Sequence[str], counted: int) -> str:
    """A、B、C, or A、B等12件."""
    return "、".join(items[:LISTED]) + (f"等{counted}件" if counted > LISTED else "")


def digest(dues: Sequence[Due], now: datetime, zone: ZoneInfo) -> str:
    """已超期1件：…0031；今天到期2件：…0014、…0022（签收）；明天到期1件."""
    today, short = now.astimezone(zone).date(), tails(due.number for due in dues)
    late = [due for due in dues if due.due_at <= now]
    coming = [due for due in dues if due.due_at > now]
    parts = [_group("已超期", late, short)] if late else []
    for day, group in groupby(_by_time(coming), key=lambda due: day_of(due.due_at, zone)):
        found = list(group)
        said = _group(f"{day_name(day, today)}到期", found, short)
        parts.append(said if day == today else said.partition("：")[0])
    return "；".join(parts)


def single(dues: Sequence[Due], now: datetime, zone: ZoneInfo) -> str:
    """急件26070100014今天10:00前签收、今天17:30前办结；26070100022今天17:30前办结."""
    today = now.astimezone(zone).date()

    def when(due: Due) -> str:
        day = day_name(day_of(due.due_at, zone), today)
        return f"{day}{clock_of(due.due_at, zone)}前{CLOCKS[due.clock][0]}"

    return "；".join(
        f"{'急件' if case[0].urgent else ''}{number}{'、'.join(when(due) for due in case)}"
        for number, case in _by_case(_by_time(dues))
    )


def overdue(dues: Sequence[Due], late: Callable[[Due], int], name: Callable[[str], str]) -> str:
    """26070100014（财政惠农）办结超2个工作日、...; `late`: working days, `name`: what a window is called."""
    items = []
    for number, case in _by_case(_by_time(dues)):
        clocks = "、".join(f"{CLOCKS[due.clock][0]}超{late(due)}个工作日" for due in case)
        items.append(f"{number}（{name(case[0].window)}）{clocks}")
    return listed(items, len(items))


def _group(title: str, dues: Sequence[Due], short: Mapping[str, str]) -> str:
    items = []
    for number, case in _by_case(_by_time(dues)):
        others = [CLOCKS[due.clock][0] for due in case if due.clock != "finish"]
        clocks = "" if any(due.clock == "finish" for due in case) else f"（{'、'.join(others)}）"
        items.append(f"{short[number]}{clocks}")
    return f"{title}{len(items)}件：{listed(items, len(items))}"


def _by_time(dues: Sequence[Due]) -> Sequence[Due]:
    return sorted(dues, key=lambda due: (due.due_at, due.number))


def _by_case(dues: Sequence[Due]) -> Sequence[tuple[str, Sequence[Due]]]:
    """The clocks of each case together, in the order in which its first one comes."""
    found: dict[str, list[Due]] = {}
    for due in dues:
        found.setdefault(due.number, []).append(due)
    return list(found.items())
