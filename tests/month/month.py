"""Which stories a month is made of, and how many of each: exactly so many texts, whatever the seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.month import stories
from tests.month.days import DAY, Office, at
from tests.month.plan import BEGIN, DANGER, END, HOUR, TEXTS, Act, Bank, Plan

Story = Callable[[stories.Teller], stories.Acts]

MONTH: tuple[tuple[Story, int, str], ...] = (
    (stories.plain, 140, ""),
    (partial(stories.plain, kinds=("complaint",)), 20, "complaint"),
    (stories.answered_first, 40, ""),
    (stories.silent, 60, ""),
    (stories.unsolved, 20, ""),
    (stories.disliked, 20, ""),
    (stories.late, 50, ""),
    (partial(stories.late, kinds=("complaint",), days=(15, 17)), 8, "complaint, early"),
    (stories.forgotten, 10, ""),
    (stories.papers, 30, ""),
    (partial(stories.papers, signs=False), 15, "unsigned"),
    (partial(stories.papers, came="hall"), 20, "brought"),
    (partial(stories.papers, came=""), 8, "closed without"),
    (stories.papers_twice, 10, ""),
    (stories.papers_never, 12, "early"),
    (stories.papers_late, 6, ""),
    (stories.extended, 25, ""),
    (partial(stories.extended, approved=False), 6, "refused"),
    (partial(stories.extended, after=True), 6, "too late"),
    (stories.moved, 30, ""),
    (partial(stories.moved, back=True), 12, "back"),
    (stories.wrongly_placed, 4, ""),
    (partial(stories.otherwise, how="spot"), 20, "spot"),
    (partial(stories.otherwise, how="counter"), 10, "counter"),
    (partial(stories.otherwise, how="phone"), 15, "phone"),
    (stories.published, 12, ""),
    (stories.in_pieces, 25, ""),
    (stories.parted, 12, ""),
    (partial(stories.parted, merged=True), 6, "merged"),
    (stories.shared, 8, ""),
    (partial(stories.again, answer="1"), 14, "same"),
    (partial(stories.again, answer="2"), 10, "another"),
    (partial(stories.again, answer=""), 8, "unsaid"),
    (stories.asks_on, 15, ""),
    *((partial(stories.dangerous, text=text, quick=n % 3 > 0), 1, "") for n, (text, _) in enumerate(DANGER)),
)


def villages(site: Path) -> dict[str, str]:
    """By number, of those whom stories may be about: where they live."""
    return dict(Bank(site, random.Random(0)).villages)


def month(site: Path, seed: int = 2026) -> Plan:
    """The plan that a seed makes, with exactly `TEXTS` texts."""
    bank, office = Bank(site, random.Random(seed)), Office(site)
    taken: set[int] = set()
    acts: list[Act] = []
    names: dict[int, str] = {}

    def tell(story: Story, title: str, until: int = END - DAY) -> None:
        number = len(names)
        names[number] = title
        start = bank.lot.randrange(BEGIN, until)
        if bank.lot.random() < 0.6:  # most people write by day
            start = start // DAY * DAY + bank.lot.randrange(7 * HOUR, 21 * HOUR)
        acts.extend(act for act in story(stories.Teller(bank, office, taken, number, start)) if act.at < END - HOUR)

    for story, times, variant in MONTH:
        called = getattr(story, "func", story).__name__ + (f" ({variant})" if variant else "")
        for _ in range(times):
            tell(story, called, at(9, 16) if "early" in variant else END - DAY)
    acts.extend(_given())
    while (missing := TEXTS - sum(act.verb == "text" for act in acts)) > 0:
        before = len(acts)
        tell(stories.chatty, "chatty")
        del acts[before + missing :]
    return Plan(sorted(acts, key=lambda act: act.at), names)


def _given() -> stories.Acts:
    """Points by hand and appeals; `case` counts the points that were given."""
    for number, (month_, day, subject, rule, by) in enumerate(
        (
            (9, 16, "window:minzheng", "praised", stories.DIRECTOR),
            (9, 17, "officer:he-fang", "praised", stories.DIRECTOR),
            (9, 18, "window:zhengwu", "complaint-upheld", stories.DIRECTOR),
            (9, 22, "window:weiji", "absent", stories.DEPUTY),
            (10, 9, "window:zhengwu", "complaint-upheld", stories.DIRECTOR),
            (10, 9, "window:weiji", "complaint-upheld", stories.DIRECTOR),
            (10, 10, "window:weiji", "complaint-upheld", stories.DEPUTY),
        )
    ):
        yield Act(
            at(month_, day, "10:00") + 7,
            by,
            "give",
            -1,
            number,
            f"经查实{number}",
            values={"subject": subject, "rule": rule},
        )
    for number, reverse in ((3, True), (6, True), (2, False)):
        yield Act(at(10, 12, "09:00") + 11 + number, stories.DIRECTOR, "appeal", -1, number, "不是窗口的责任")
        yield Act(
            at(10, 12, "10:00") + 11 + number, stories.DEPUTY, "decide", -1, number, "查实", values={"reverse": reverse}
        )
