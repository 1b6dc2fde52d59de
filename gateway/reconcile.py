"""An operator's bill against what left: by day and operator, what differs and by how much. Pure.

Policy
- A bill is a spreadsheet as offices get it: title rows, merged cells, one row per day and operator, or per day alone,
  or per month; several rows of one day (by signature, by number) are summed. Sums and notes are no rows. An empty day
  is that of the row above, as merged cells become when they are saved as CSV.
- Headings are known by their names alone; a column that could be meant twice, or that is missing, is asked for.
- A row whose day cannot be read is a `Refused` with its number: a bill of which rows are left out proves nothing. So is
  an operator that nobody knows.
- A count that is empty, or that a merged cell lends to rows below, is no count. Nothing is compared that the bill has
  no column for; `billed` is compared with what the operator accepted.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, NamedTuple

from gateway.errors import Refused
from gateway.phone import Operator
from gateway.sheets import Cell, Header, Row, Table, headed, records, written
from gateway.sheets.cells import calendar_day, plain
from gateway.sheets.cells import day as read_day

WANTED: Final[Mapping[str, tuple[str, ...]]] = {
    "day": (
        *(
            "日期",
            "发送日期",
            "统计日期",
            "提交日期",
            "发送时间",
            "统计时间",
            "账期",
            "月份",
            "时间",
            "日",
            "day",
            "date",
        ),
        *("Day", "Date"),
    ),
    "operator": (
        *("运营商", "运营商类型", "运营商名称", "网络", "网别", "号码归属", "归属运营商", "通道类型"),
        *("operator", "Operator", "network", "Network"),
    ),
    "submitted": (
        *(
            "提交条数",
            "提交数",
            "提交量",
            "提交总数",
            "提交总条数",
            "总提交数",
            "总提交条数",
            "发送条数",
            "发送数",
            "发送量",
        ),
        *(
            "发送总数",
            "发送总量",
            "发送总条数",
            "总条数",
            "下发条数",
            "下发量",
            "submitted",
            "Submitted",
            "sent",
            "Sent",
        ),
    ),
    "accepted": (
        *("提交成功", "提交成功数", "提交成功条数", "受理条数", "受理数", "接收成功", "接收成功条数", "网关成功条数"),
        *("accepted", "Accepted"),
    ),
    "delivered": (
        *("送达条数", "送达数", "送达量", "到达条数", "到达数", "到达量", "成功条数", "成功数", "成功量", "发送成功"),
        *("发送成功数", "发送成功条数", "下发成功条数", "接收条数", "delivered", "Delivered"),
    ),
    "billed": (
        *("计费条数", "计费数", "计费量", "计费总条数", "计费短信数", "结算条数", "结算数", "结算量", "收费条数"),
        *("应收条数", "出账条数", "billed", "Billed"),
    ),
}
COUNTS: Final = ("submitted", "accepted", "delivered", "billed")
"""Columns that may be compared, in the order in which they are told."""

AGAINST: Final[Mapping[str, str]] = {
    "submitted": "submitted", "accepted": "accepted", "delivered": "delivered", "billed": "accepted"
}  # fmt: skip
"""Column of a bill -> our figure that it is compared with."""

NAMES: Final[Mapping[str, tuple[str, str]]] = {
    "submitted": ("提交", "submitted"),
    "accepted": ("受理", "accepted"),
    "delivered": ("送达", "delivered"),
    "billed": ("计费", "billed"),
}
_OPERATORS: Final[Mapping[Operator, re.Pattern[str]]] = {
    Operator.MOBILE: re.compile(r"移动|CMCC|CHINAMOBILE|^CM$|^YD$"),
    Operator.UNICOM: re.compile(r"联通|CUCC|UNICOM|^CU$|^LT$"),
    Operator.TELECOM: re.compile(r"电信|CTCC|TELECOM|^CT$|^DX$"),
    Operator.BROADNET: re.compile(r"广电|CBN|BROADNET|^GD$"),
}
_ALL: Final = re.compile(r"三网|四网|全网|全部|所有|不分|ALL|合计|总计")
_MONTH: Final = re.compile(r"(\d{4})[-/.年]?(\d{1,2})月?")
_DAY_OF_MONTH: Final = re.compile(r"(?:(\d{1,2})[-/.月])?(\d{1,2})[日号]?")
_COUNT: Final = re.compile(r"(\d{1,3}(?:,\d{3})+|\d{1,12})(?:\.0+)?(?:条|段)?")


class Key(NamedTuple):
    """What is compared: a day, or a whole month from its first; and an operator, None where the bill does not tell."""

    day: date
    whole_month: bool
    operator: Operator | None


@dataclass(frozen=True, slots=True)
class Bill:
    """What the operator says: the columns it has, and the counts of each key."""

    columns: tuple[str, ...]
    rows: Mapping[Key, Mapping[str, int]]

    @property
    def span(self) -> tuple[date, date]:
        """First day of its first month, and first day after its last one."""
        days = [key.day for key in self.rows]
        return min(days).replace(day=1), next_month(max(days))


class Left(NamedTuple):
    """Our own: parts submitted, accepted, delivered; and those that may have left, which nobody knows."""

    submitted: int = 0
    accepted: int = 0
    delivered: int = 0
    uncertain: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """One key: `bill` has the columns of the bill, empty where it has no such row; `differs` is bill minus ours."""

    key: Key
    ours: Left
    bill: Mapping[str, int]
    differs: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Reconciled:
    """All lines, in order, and their sums."""

    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    ours: Left
    bill: Mapping[str, int]
    differs: Mapping[str, int]

    @property
    def agrees(self) -> bool:
        return not any(any(line.differs.values()) for line in self.lines)


def next_month(day: date) -> date:
    """The first day of the month after a day's."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


# --- reading ------------------------------------------------------------------------------------------------


def read(table: Table, month: date | None = None, columns: Mapping[str, str] | None = None) -> Bill:
    """The bill in a table; `month`: only its rows count, and days written without a month are of it.

    Raises Unsure where a column or sheet is in doubt, Refused for a row that cannot be read or a bill without rows.
    """
    table, header = headed(table, WANTED, columns, needed=("day",), single=COUNTS)
    counted = tuple(name for name in COUNTS if name in header.columns)
    if not counted:
        named = "、".join(WANTED[name][0] for name in COUNTS)
        raise Refused(
            f"{table.name}：没有条数的列（{named}），请用 --column 指明",
            f"{table.name}: no column of counts ({', '.join(COUNTS)}); name one with --column",
        )
    rows: dict[Key, Counter[str]] = defaultdict(Counter)
    above: Cell = None
    for row in records(table.rows(), header):
        above = header.cell(row, "day") or above
        if (key := _key(table.name, row, header, above, month)) is not None:
            rows[key].update({name: _count(row, header, name) for name in counted})
    if not rows:
        raise Refused(f"{table.name}：没有这个月的行", f"{table.name}: no rows of that month")
    return Bill(counted, rows)


def _key(name: str, row: Row, header: Header, told: Cell, month: date | None) -> Key | None:
    """None for a row of another month."""
    when = _when(told, month)
    if when is None:
        raise Refused(f"{name} 第 {row.number} 行：日期读不出", f"{name}, row {row.number}: the day cannot be read")
    day, whole = when
    if month is not None and day.replace(day=1) != month:
        return None
    return Key(day, whole, _operator(name, row, header))


def _when(cell: Cell, month: date | None) -> tuple[date, bool] | None:
    """The day, or the first of a month and True."""
    if (found := read_day(cell)) is not None:
        return found, False
    text = plain(written(cell)).replace(" ", "")
    if (months := _MONTH.fullmatch(text)) and 1 <= int(months[2]) <= 12 and len(text) >= 6:
        return date(int(months[1]), int(months[2]), 1), True
    if month is not None and (days := _DAY_OF_MONTH.fullmatch(text)):
        told = calendar_day(month.year, int(days[1] or month.month), int(days[2]))
        return None if told is None else (told, False)
    return None


def _operator(name: str, row: Row, header: Header) -> Operator | None:
    text = plain(header.text(row, "operator")).replace(" ", "").upper()
    if not text or _ALL.search(text):
        return None
    found = [operator for operator, spelt in _OPERATORS.items() if spelt.search(text)]
    if len(found) != 1:
        raise Refused(
            f"{name} 第 {row.number} 行：认不出是哪家运营商", f"{name}, row {row.number}: which operator is meant?"
        )
    return found[0]


def _count(row: Row, header: Header, name: str) -> int:
    """A count that reaches over several rows belongs to the first."""
    if header.columns[name] in row.filled:
        return 0
    found = _COUNT.fullmatch(plain(header.text(row, name)).replace(" ", "").replace("，", ","))
    return int(found[1].replace(",", "")) if found else 0


# --- comparing ----------------------------------------------------------------------------------------------


def compare(bill: Bill, ours: Mapping[tuple[date, Operator | None], Left]) -> Reconciled:
    """Line by line. `ours`: (day, operator) -> what left, of the bill's whole span."""
    folded = _folded(bill, ours)
    lines = tuple(_line(bill, key, folded.get(key, Left())) for key in sorted({*bill.rows, *folded}, key=_order))
    sums = Left(*(sum(line.ours[at] for line in lines) for at in range(len(Left._fields))))
    billed = {name: sum(line.bill.get(name, 0) for line in lines) for name in bill.columns}
    return Reconciled(bill.columns, lines, sums, billed, _differs(bill.columns, billed, sums))


def _folded(bill: Bill, ours: Mapping[tuple[date, Operator | None], Left]) -> dict[Key, Left]:
    """Our figures under the keys that the bill would have for them."""
    by_month = {key.day for key in bill.rows if key.whole_month}
    by_operator = any(key.operator is not None for key in bill.rows)
    folded: dict[Key, Left] = {}
    for (day, operator), left in ours.items():
        whole = day.replace(day=1) in by_month
        key = Key(day.replace(day=1) if whole else day, whole, operator if by_operator else None)
        folded[key] = Left(*(one + other for one, other in zip(folded.get(key, Left()), left, strict=True)))
    return {key: left for key, left in folded.items() if any(left)}


def _line(bill: Bill, key: Key, ours: Left) -> Line:
    told = bill.rows.get(key, {})
    return Line(key, ours, dict(told), _differs(bill.columns, told, ours))


def _differs(columns: Iterable[str], bill: Mapping[str, int], ours: Left) -> dict[str, int]:
    return {name: bill.get(name, 0) - getattr(ours, AGAINST[name]) for name in columns}


def _order(key: Key) -> tuple[date, str]:
    return key.day, key.operator or ""


def differing(found: Reconciled) -> Iterator[Line]:
    """The lines in which anything differs."""
    return (line for line in found.lines if any(line.differs.values()))
