"""A month of the sample town, made up from a seed: who texts what when, and what each clerk does when.

12 September to 12 October 2026: Mid-Autumn, the end of the summer's hours, National Day, and two make-up days. Every
person has one story of their own (`stories`), written down as `Act`s; no two acts fall in one second. What a text means
is said beside it (`Means`), for the oracle: openings are taken word for word from the site's own sample questions, so
that reading them right is no matter of chance.
"""

from __future__ import annotations

import csv
import random
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.month.days import DAY, at, worked

BEGIN, END = at(9, 12), at(10, 13)
JOIN = 60
TEXTS = 2000
PEOPLE = re.compile(r"1[389][0-9]0013\d{4}")
CASES = ("consult", "feedback", "agency", "complaint")
MATTERS = Path(__file__).with_name("matters.csv")
"""A thousand of the site's own sample questions; none but those of `DANGER` is urgent or asks not to be named."""
DOWN = (at(9, 23, "08:00"), at(9, 23, "10:17"))
"""The gateway is down that morning."""
EACH_MINUTE = (at(9, 20, "13:50"), at(9, 20, "18:10"))
MINUTE, HOUR = 60, 3600


class Means(NamedTuple):
    """What a text is: `matter` opens a case, `word` is answered from data, the others are what they are called."""

    what: str
    kind: str = ""
    window: str = ""
    item: str = ""
    danger: str = ""
    urgent: bool = False


WORD, THANKS, DIGIT, PAPERS = (Means(what) for what in ("word", "thanks", "digit", "papers"))


@dataclass(frozen=True)
class Act:
    """One thing that somebody does: a resident's text, or a verb of a clerk about the n-th case of a story."""

    at: int
    who: str
    verb: str
    story: int
    case: int = 0
    text: str = ""
    means: Means = WORD
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def at_once(self) -> bool:
        """Whether a text is read by itself as it comes."""
        return self.text in AT_ONCE or bool(self.means.danger)


class Step(NamedTuple):
    """A moment of the month: an act, texts that are heard, a pass of alarms, points that are counted."""

    at: int
    what: str
    act: Act | None = None


@dataclass(frozen=True)
class Plan:
    acts: Sequence[Act]
    stories: dict[int, str]
    """What each story is called."""

    def steps(self) -> list[Step]:
        """Everything in order. Texts are heard at once or when they may be read together, and then every hour."""
        found = [Step(act.at, "act", act) for act in self.acts]
        texts = [act for act in self.acts if act.verb == "text"]
        found += [Step(act.at + (0 if act.at_once else JOIN), "hear") for act in texts]
        found += [Step(hour, "hear") for hour in range(BEGIN, END + 1, HOUR)]
        found += [Step(tick, "look") for tick in ticks()]
        found += [Step(day + 30, "count") for day in range(BEGIN, END + 1, DAY)]
        order = ("act", "hear", "look", "count")
        return sorted(found, key=lambda step: (step.at, order.index(step.what)))


def ticks() -> Iterator[int]:
    """When alarms are looked for: every ten minutes of a working day, else hourly; one afternoon each minute."""
    for minute in range(BEGIN, END + 1, MINUTE):
        by_day = worked(minute // DAY) and 8 * HOUR <= minute % DAY <= 18 * HOUR + 600
        apart = MINUTE if EACH_MINUTE[0] <= minute < EACH_MINUTE[1] else 10 * MINUTE if by_day else HOUR
        if minute % apart == 0 and not DOWN[0] <= minute < DOWN[1]:
            yield minute


# -- what there is to choose from --------------------------------------------------------------------------------------


class Bank:
    """Texts, people and officers of the site, by lot."""

    def __init__(self, site: Path, lot: random.Random) -> None:
        self.lot = lot
        self.duty = tomllib.loads((site / "duty.toml").read_text(encoding="utf-8"))
        rows = list(csv.DictReader(MATTERS.read_text(encoding="utf-8").splitlines()))
        known = {row["text"]: Means("matter", row["intent"], row["window"], row["item"]) for row in rows}
        self.urgent = {text: known.pop(text)._replace(danger=danger, urgent=True) for text, danger in DANGER}
        self.matters = list(known.items())
        lot.shuffle(self.matters)
        people = list(
            csv.DictReader((site / "subscribers/sample-town.csv").read_text(encoding="utf-8-sig").splitlines())
        )
        numbers = [person["手机号"] for person in people]
        villages = {area["name"] for area in tomllib.loads((site / "config.toml").read_text("utf-8"))["areas"]}
        self.villages = {
            f"+86{person['手机号']}": person["村"]
            for person in people
            if PEOPLE.fullmatch(person["手机号"]) and numbers.count(person["手机号"]) == 1 and person["村"] in villages
        }
        self.people = list(self.villages)
        lot.shuffle(self.people)

    def matter(self, *kinds: str, window: str = "") -> tuple[str, Means]:
        """The next text of one of these kinds."""
        fits = (n for n, (_, m) in enumerate(self.matters) if m.kind in (kinds or CASES) and window in ("", m.window))
        return self.matters.pop(next(fits))

    def officers(self, window: str) -> list[str]:
        return [one["login"] for one in self.duty["officers"] if one.get("window", "") == window]


DANGER = (
    ("山上着火了 快来人", "着火"),
    ("煤气罐漏气 味道大得很", "中毒"),
    ("家里煤烟打了人 头疼恶心", "中毒"),
    ("沟里发山洪了 冲了两家的院墙", "洪水"),
    ("房子要塌了 里面住着老人", "垮塌"),
    ("石畔那头有人被水冲走了 快救人", "洪水"),
    ("有人要跳河 在大桥上", "自杀"),
    ("电锅炉漏电 打人哩", "触电"),
    ("谷堆旁边有人放火烧荒", "着火"),
    ("街上的变压器嗡嗡响 冒火花", "着火"),
    ("山洪把便桥冲走了", "洪水"),
    ("我妈家里煤气味大 她闻不见 求你们派人去看看", "中毒"),
    ("淤地坝有裂缝", ""),
    ("窑顶裂了一道缝 能塞进手", ""),
    ("下大雨 崖上的石头往下滚", ""),
    ("学校后墙裂了", ""),
    ("拉炸药的车停在村里", ""),
    ("娃们在坝里耍水 大人不管", ""),
)
"""Those that are urgent, with the word that pages."""

WORDS = ("查询", "天气", "补贴", "岗位", "指南", "帮助", "退订", "恢复", "低保", "高龄补贴", "菜单", "进度")
AT_ONCE = ("1", "2", "3", "4", "5", "查询", "进度", "帮助", "菜单", "退订", "恢复")
PLEASANTRIES = ("谢谢", "收到", "好的 谢谢", "麻烦了", "辛苦了")
RATINGS = {
    5: ("5", "非常满意", "5分"),
    4: ("4", "满意"),
    3: ("3", "基本满意"),
    2: ("2", "不满意"),
    1: ("1", "非常不满意"),
}
YES, NO = ("1", "办成了", "好了", "1"), ("2", "没办成", "还没有")
PAPERS_HERE = ("齐了", "交了", "送去了")
ANSWERS = ("已经办好", "下周一带身份证来窗口", "资料收齐就办，不用再跑", "已和村上说好，今天就修")
LISTS = (("居民身份证复印件", "户口簿首页"), ("银行卡复印件",), ("村委会意见", "一寸照片"))
