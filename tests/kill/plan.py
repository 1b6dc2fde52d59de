"""What a run is asked to do: known to the worker, which is killed, and to the checker, which is not.

The town, its opt-outs and the broadcasts follow from the plan alone. Which texts that makes and who is left out is
worked out here once more, by rules of its own: the gateway's rendering, measuring and selecting are what is checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from gateway.carriers.simulator import SimulatorSettings

CARRIER = "simulator"
UNBOUNDED = dict.fromkeys(("recipient_per_minute", "recipient_per_day", "same_per_minute", "same_per_hour"), 0)
"""Twenty broadcasts to one town within a minute: what limits are there to stop."""
BACKLOG = 8
"""Parcels that may wait before the next broadcast is composed: composing goes on for as long as the run does."""
PREFIXES = (138, 182, 133, 189, 130, 186, 192)
"""Of the numbers that belong to nobody."""

VILLAGES = ("枣湾村", "石畔村", "新河村", "高峁村", "柳坪村", "前塬村", "后沟村", "双泉村")
SURNAMES, GIVEN, MORE = "惠郭苗折马高", "生旺学明春娥秀英建国", "文慧志平玉兰"
COMPOUND = "欧阳"
SIGNATURE = "【枣原镇】"
TEMPLATES = Path(__file__).parents[2] / "templates"
PHONE = "0912-0000000"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The size of a run and its seed; `broken` names what the worker is to leave undone ("" for nothing)."""

    kills: int
    broadcasts: int = 20
    texts: int = 1000
    """Of each broadcast, at the least."""
    slice: int = 100
    """People to a slice of composing and texts to a parcel: small, so that kills find many of them half done."""
    seed: int = 1
    broken: str = ""
    moment: str = ""
    """The only one to be killed in; "" for all of them in turn."""
    in_flight: int = 32
    links: int = 2
    life_seconds: float = 2.0
    """How long a life lasts in which the moment to kill it does not come."""
    end_seconds: float = 120.0
    """How long the last life may take."""

    @property
    def at_risk(self) -> int:
        """The most texts that one kill may leave without a known fate."""
        return 2 * self.in_flight * self.links

    def account(self, address: str) -> dict[str, Any]:
        """What the site's account is to be instead: fast enough for the carrier's window to be what limits."""
        options = asdict(self.operator(address))
        own = {name: options.pop(name) for name in ("in_flight", "links")}
        return {**own, **UNBOUNDED, "rate": 5000.0, "options": options}

    def operator(self, address: str = "") -> SimulatorSettings:
        """An operator who does everything that makes trouble."""
        return SimulatorSettings(
            address=address,
            seed=self.seed,
            in_flight=self.in_flight,
            links=self.links,
            latency=0.06,
            reject=0.02,
            defer=0.06,
            receipt_after=0.05,
            receipt_failed=0.03,
            receipt_lost=0.02,
            receipt_late=0.05,
            receipt_late_after=1.5,
            receipt_early=0.03,
            receipt_twice=0.05,
        )


# -- the town --------------------------------------------------------------------------------------------------


class Resident(NamedTuple):
    """One row of the roster."""

    name: str
    phone: str
    village: str
    away: bool
    opted_out: bool


def town(plan: Plan) -> Iterator[Resident]:
    """Everybody, in the order of the roster. Two villages have a tenth more people than a broadcast has texts.

    Of a hundred people five share the number before theirs, two have opted out and ten work elsewhere.
    """
    numbers = 0
    for village in VILLAGES:
        for at in range(plan.texts * 11 // 20):
            shares = at % 20 == 19
            numbers += not shares
            yield Resident(_name(at), number(numbers), village, at % 10 == 3, at % 50 == 7)


def _name(at: int) -> str:
    """Two, three or four characters; of two who share a number no two are called the same."""
    given = GIVEN[at // 6 % 10] + (MORE[at // 60 % 6] if at % 3 else "")
    return (COMPOUND if at % 6 == 5 else SURNAMES[at % 6]) + given


def number(at: int) -> str:
    """The town's number `at`, from 1, as people write it."""
    return f"{PREFIXES[at % 7]}0013{at // 7 + 1:04d}"


# -- what it is told -------------------------------------------------------------------------------------------

_LONG = "9月30日前向村委会交申请，低保户、监测户优先，带身份证、户口本和房屋照片，到镇上审核后公示七天"
NOTICES: tuple[tuple[str, Mapping[str, str]], ...] = (
    (
        "emergency",
        {
            "地点": "后沟村前沟",
            "险情": "山体滑坡",
            "范围": "沟口1组、2组",
            "行动": "往外撤",
            "去处": "村小学",
            "禁止": "回去取东西",
            "电话": PHONE,
        },
    ),
    ("conscription-registration", {"年份": "2026", "截止": "10月31日", "电话": PHONE}),
    ("policy", {"事项": "农村危房改造开始申报", "要点": _LONG, "窗口": "2号窗口", "电话": PHONE}),
    (
        "jobs",
        {"单位": "清宁枣业", "工种": "分拣工", "人数": "20", "工资": "月薪3200元", "条件": "管吃住", "电话": PHONE},
    ),
    ("medical-premium", {"年份": "2027", "金额": "400", "截止": "12月31日", "电话": PHONE}),
)
"""Template and values of each fifth broadcast; the second names the person, the third has two parts."""

EMERGENCY, PER_PERSON = "emergency", "conscription-registration"


def notice(broadcast: int) -> tuple[str, Mapping[str, str]]:
    """The template of a broadcast (from 1) and its values."""
    return NOTICES[broadcast % 5]


def villages(broadcast: int) -> tuple[str, ...]:
    """Whom it is for."""
    first = 2 * (broadcast % 4)
    return VILLAGES[first : first + 2]


def resends(broadcast: int) -> bool:
    """Every fifth is an emergency: whoever may not have got it is sent it again, by the category's rule."""
    return notice(broadcast)[0] == EMERGENCY


def drafted_as(broadcast: int | str) -> str:
    """What it is drafted under, so that a killed draft is the same broadcast."""
    return f"kill-{broadcast}"


class Asked(NamedTuple):
    """A text as it must be stored."""

    phone: str
    body: str
    parts: int


@dataclass(frozen=True, slots=True)
class Expected:
    """What one broadcast must come to. `left_out`: (name, number, reason)."""

    people: int
    texts: Counter[Asked]
    left_out: Counter[tuple[str, str, str]]

    @property
    def parts(self) -> int:
        """Of all texts together."""
        return sum(text.parts * count for text, count in self.texts.items())


def expected(plan: Plan, broadcast: int) -> Expected:
    """By the template's words: everybody of the villages, once by number or by person, but for those opted out."""
    name, values = notice(broadcast)
    people = [one for one in town(plan) if one.village in villages(broadcast)]
    out = set[str]() if name == EMERGENCY else {one.phone for one in people if one.opted_out}
    texts, left = Counter[Asked](), Counter[tuple[str, str, str]]()
    told = set[str]()
    for one in people:
        phone = f"+86{one.phone}"
        if one.phone in out:
            left[one.name, phone, "opted_out"] += 1
        elif name != PER_PERSON and one.phone in told:
            left[one.name, phone, "same_number"] += 1
        else:
            told.add(one.phone)
            texts[_written(phone, _words(name)[one.away], {**values, "姓名": one.name})] += 1
    return Expected(len(people), texts, left)


def _written(phone: str, words: str, values: Mapping[str, str]) -> Asked:
    for name, value in values.items():
        words = words.replace(f"{{{name}}}", value)
    body = SIGNATURE + words
    return Asked(phone, body, 1 if len(body) <= 70 else -(-len(body) // 67))


@cache
def _words(name: str) -> tuple[str, str]:
    """A template's text for those at home and for those away."""
    home, _, away = (TEMPLATES / f"{name}.md").read_text("utf-8").split("+++")[2].partition("--- away ---")
    return home.strip(), (away or home).strip()
