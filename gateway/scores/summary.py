"""The summary of a period: figures by window, item, village and month, as a table, and in an official's words; pure.

Policy
- Counts are whole cases that were opened in the period, as they stand now. Rates follow from counts and are never
  stored; what would be divided by nothing is "—". A rate reads 100 % only where nothing is missing.
- A cell is named by conditions and a figure, `window=minzheng,on_time`: so every figure can be asked for its cases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from gateway.errors import Refused
from gateway.store.summary import FIGURES

NOTHING = "—"
GROUPINGS: Mapping[str, tuple[str, str]] = {
    "window": ("窗口", "window"),
    "item": ("事项", "item"),
    "village": ("村", "village"),
    "month": ("月份", "month"),
}
TITLES: Mapping[str, tuple[str, str]] = {
    "received": ("受理", "received"),
    "finished": ("办结", "finished"),
    "open": ("在办", "open"),
    "completion": ("办结率", "completion"),
    "on_time": ("按时办结", "on time"),
    "on_time_rate": ("按时率", "on time %"),
    "late": ("超期", "late"),
    "handed_over": ("转办", "handed over"),
    "spot": ("当场办结", "on the spot"),
    "reopened": ("重办", "reopened"),
    "rated": ("评价", "rated"),
    "satisfied": ("满意", "satisfied"),
    "satisfaction": ("满意率", "satisfaction"),
    "mean": ("平均分", "mean"),
    "told": ("回复是否办成", "told"),
    "solved": ("办成", "solved"),
    "solved_rate": ("办成率", "solved %"),
}
"""Every figure as (zh, en), in the order of a table's columns."""
RATES: Mapping[str, tuple[str, str]] = {
    "completion": ("finished", "received"),
    "on_time_rate": ("on_time", "finished"),
    "satisfaction": ("satisfied", "rated"),
    "solved_rate": ("solved", "told"),
}
"""Rate -> count over count."""
_TENTH = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Line:
    """The figures of one value of a grouping; `key` is a window's or an item's code, a village or a month."""

    key: str
    name: str
    counts: Mapping[str, int]
    stars: int = 0

    def rate(self, name: str) -> Decimal | None:
        """A rate as a fraction; None where it would be divided by nothing."""
        part, whole = (self.counts[one] for one in RATES[name])
        return Decimal(part) / whole if whole else None

    @property
    def mean(self) -> Decimal | None:
        """The mean of the ratings."""
        rated = self.counts["rated"]
        return Decimal(self.stars) / rated if rated else None

    def value(self, figure: str) -> int | Decimal | None:
        """A count, a rate (a fraction) or the mean."""
        if figure in RATES:
            return self.rate(figure)
        return self.mean if figure == "mean" else self.counts[figure]

    def shown(self, figure: str) -> str:
        """The same as people read it: 1,234, 93.3% or 4.27."""
        if figure in RATES:
            return percent(self.rate(figure))
        if figure == "mean":
            return NOTHING if self.mean is None else f"{rounded(self.mean, Decimal('0.01'))}"
        return f"{self.counts[figure]:,}"


@dataclass(frozen=True, slots=True)
class Summary:
    """The cases opened from the day `first` to `last`, both included: all of them, and by each grouping."""

    first: date
    last: date
    place: str
    total: Line
    groups: Mapping[str, Sequence[Line]]


class Cell(NamedTuple):
    """A figure of the cases that fit all conditions; None is any."""

    figure: str
    window: str | None = None
    item: str | None = None
    village: str | None = None
    month: str | None = None


def rounded(value: Decimal, step: Decimal) -> Decimal:
    return value.quantize(step, ROUND_HALF_UP)


def percent(rate: Decimal | None) -> str:
    """93.3%; what is short of everything never reads 100.0%, nor what is more than nothing 0.0%."""
    if rate is None:
        return NOTHING
    tenths = rounded(rate * 100, _TENTH)
    if tenths == 100 and rate < 1:
        return "99.9%"
    return "0.1%" if tenths == 0 and rate > 0 else f"{tenths}%"


def added(key: str, name: str, lines: Iterable[Line]) -> Line:
    """Several lines as one."""
    some = list(lines)
    counts = {figure: sum(line.counts[figure] for line in some) for figure in FIGURES}
    return Line(key, name, counts, sum(line.stars for line in some))


# -- cells -----------------------------------------------------------------------------------------------------------


def cell(spec: str) -> Cell:
    """`window=minzheng,on_time`, in any order, with the figure's name in Chinese or English; Refused otherwise."""
    given: dict[str, str] = {}
    found = "received"
    for part in spec.replace("，", ",").split(","):
        name, mark, value = part.strip().partition("=")
        if mark:
            given[_named(name.strip(), GROUPINGS, "条件", "condition")] = value.strip()
        elif name:
            found = figure(name)
    return Cell(found, **given)


def figure(name: str) -> str:
    """The count of that name; Refused for one that is none, and for rates, which count no cases."""
    known = {key: TITLES[key] for key in FIGURES}
    return _named(name, known, "数字", "figure")


def _named(name: str, known: Mapping[str, tuple[str, str]], zh: str, en: str) -> str:
    found = next((key for key, words in known.items() if name in (key, *words)), None)
    if found is None:
        listed = "、".join(words[0] for words in known.values())
        raise Refused(f"没有{zh} {name}；有：{listed}", f"no {en} {name}; there are: {', '.join(known)}")
    return found


# -- in words --------------------------------------------------------------------------------------------------------


def in_words(found: Summary, parts: str = "window") -> str:
    """The summary as an official would write it, in Chinese, with a sentence for each part that had a case."""
    total = found.total
    span = f"{_day(found.first)}至{_day(found.last, found.first)}"
    if not total.counts["received"]:
        return f"{span}，{found.place}没有受理群众来信。"
    said = [_whole(f"{span}，{found.place}共", total), _judged(total)]
    lines = [line for line in found.groups.get(parts, ()) if line.counts["received"]]
    if len(lines) > 1:
        listed = "；".join(_part(line) for line in lines)
        said.append(f"{_BY[parts]}看：{listed}。")
    return "".join(said)


_BY = {"window": "分窗口", "item": "分事项", "village": "分村", "month": "分月"}


def _whole(begins: str, line: Line) -> str:
    n = line.counts
    said = [f"{begins}受理群众来信{n['received']:,}件，办结{n['finished']:,}件，办结率{line.shown('completion')}"]
    if n["open"]:
        said.append(f"还有{n['open']:,}件在办")
    if n["finished"]:
        said.append(f"其中按时办结{n['on_time']:,}件，占办结数的{line.shown('on_time_rate')}")
    late = [f"超期{n['late']:,}件"] if n["late"] else []
    moved = [*late, f"转办{n['handed_over']:,}件", f"当场办结{n['spot']:,}件"]
    return f"{'，'.join(said)}；{'，'.join(moved)}。"


def _judged(line: Line) -> str:
    n = line.counts
    said = []
    if n["rated"]:
        mean = line.shown("mean")
        said.append(
            f"群众评价{n['rated']:,}件，基本满意以上{n['satisfied']:,}件，"
            f"满意率{line.shown('satisfaction')}，平均{mean}分（满分5分）"
        )
    if n["told"]:
        said.append(f"{n['told']:,}件群众回复了办没办成，办成{n['solved']:,}件，占{line.shown('solved_rate')}")
    return f"{'；'.join(said)}。" if said else "没有群众评价。"


def _part(line: Line) -> str:
    n = line.counts
    said = [f"{line.name}受理{n['received']:,}件、办结{n['finished']:,}件"]
    if n["late"]:
        said.append(f"超期{n['late']:,}件")
    if n["rated"]:
        said.append(f"满意率{line.shown('satisfaction')}")
    return "、".join(said)


def _day(day: date, after: date | None = None) -> str:
    year = "" if after is not None and after.year == day.year else f"{day.year}年"
    return f"{year}{day.month}月{day.day}日"


# -- names -----------------------------------------------------------------------------------------------------------


def matching(word: str, names: Mapping[str, str], *, begins: bool = True) -> str | None:
    """The key that a word means: the key or its name, or with `begins` the only name that begins with the word; None
    for no or several.
    """
    found = [key for key, name in names.items() if word in (name, key, key.replace("-", "_"))]
    if begins and not found:
        found = [key for key, name in names.items() if word and name.startswith(word)]
    return found[0] if len(found) == 1 else None
