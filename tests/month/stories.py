"""The stories that a month is made of: what one person writes, and what becomes of it at the hall.

A story is a generator of acts, in order of time; `Teller` gives each a second of its own. Clerks act in office time,
people at all hours. What lies beyond the month is cut off, so that many stories are left unfinished.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.month import plan
from tests.month.days import DAY, Office, next_worked
from tests.month.plan import (
    ANSWERS,
    DIGIT,
    HOUR,
    LISTS,
    MINUTE,
    PAPERS,
    THANKS,
    WORD,
    Act,
    Bank,
    Means,
)

DIRECTOR, DEPUTY = "guo-zhuren", "nan-zhenzhang"
Acts = Iterator[Act]


class Teller:
    """Tells one story: knows the time, who writes, and who has the case."""

    def __init__(self, bank: Bank, office: Office, taken: set[int], number: int, start: int) -> None:
        self.bank, self.lot, self.office, self.taken = bank, bank.lot, office, taken
        self.number, self.now, self.phone = number, start, bank.people.pop()
        self.window, self.officer = "", ""

    # -- time ----------------------------------------------------------------------------------------------------

    def waits(self, least: int, most: int) -> None:
        """Some time of the clock on the wall."""
        self.now += self.lot.randint(least, most)

    def works(self, least: int, most: int) -> None:
        """Some minutes of office time, and then somebody is at their desk."""
        self.now = self.office.after(self.now, self.lot.randint(least * MINUTE, most * MINUTE))

    def days(self, least: int, most: int) -> None:
        """Some working days later, at an hour of the desk."""
        day = next_worked(self.now // DAY, self.lot.randint(least, most))
        begin, end = self.lot.choice(self.office.of_day(day))
        self.now = max(self.now, self.lot.randint(begin + MINUTE, end - MINUTE))

    def _own_second(self) -> int:
        while self.now in self.taken or self.now + plan.JOIN in self.taken or self.now % MINUTE == 0:
            self.now += 1
        self.taken |= {self.now, self.now + plan.JOIN}
        return self.now

    # -- acts ----------------------------------------------------------------------------------------------------

    def writes(self, text: str, means: Means = WORD) -> Act:
        return Act(self._own_second(), self.phone, "text", self.number, text=text, means=means)

    def opens(self, *kinds: str, window: str = "") -> Act:
        """Their first text; the case is at its window's desk from then on."""
        text, means = self.bank.matter(*kinds, window=window)
        self.takes(means.window)
        return self.writes(text, means)

    def takes(self, window: str) -> None:
        self.window = window
        self.officer = self.lot.choice(self.bank.officers(window))

    def does(self, verb: str, text: str = "", *, by: str = "", case: int = 0, **values: Any) -> Act:
        return Act(self._own_second(), by or self.officer, verb, self.number, case, text, values=values)

    def closes(self, case: int = 0, **values: Any) -> Act:
        return self.does("close", self.lot.choice(ANSWERS), case=case, **values)

    def judges(self, *ratings: int, answers: float = 0.8) -> Acts:
        """What a person says when asked whether it helped, and then how satisfied they are."""
        if self.lot.random() < answers:
            self.waits(5 * MINUTE, DAY)
            yield self.writes(self.lot.choice(plan.YES), DIGIT)
            if self.lot.random() < answers:
                self.waits(MINUTE, 8 * HOUR)
                yield self.writes(self.lot.choice(plan.RATINGS[self.lot.choice(ratings or (5, 5, 5, 4, 4, 3))]), DIGIT)

    def another_takes(self) -> None:
        """The case was opened again: another officer of the window has it."""
        self.officer = next(one for one in self.bank.officers(self.window) if one != self.officer)


# -- the stories -------------------------------------------------------------------------------------------------------


def plain(told: Teller, *, kinds: tuple[str, ...] = ()) -> Acts:
    """Signed, answered and finished in time."""
    yield told.opens(*kinds)
    told.works(5, 200)
    yield told.does("sign")
    told.works(3, 190)
    yield told.closes()
    yield from told.judges()


def answered_first(told: Teller) -> Acts:
    """Answered, asked again, finished days later."""
    yield told.opens()
    told.works(5, 230)
    yield told.does("reply", told.lot.choice(ANSWERS))
    told.waits(20 * MINUTE, 20 * HOUR)
    yield told.writes(*told.bank.matter("consult", window=told.window))
    told.days(1, 2)
    yield told.closes()
    yield from told.judges()


def silent(told: Teller) -> Acts:
    """Nobody says whether it helped until they are asked once more, if at all."""
    yield told.opens()
    told.works(5, 400)
    yield told.closes()
    if told.lot.random() < 0.5:
        told.waits(3 * DAY + HOUR, 6 * DAY)
        yield from told.judges(answers=1.0)


def unsolved(told: Teller) -> Acts:
    """It did not help: somebody else does it again."""
    yield told.opens()
    told.works(5, 300)
    yield told.closes()
    told.waits(HOUR, 2 * DAY)
    yield told.writes(told.lot.choice(plan.NO), DIGIT)
    told.another_takes()
    told.works(30, 500)
    yield told.does("sign")
    told.days(0, 3)
    yield told.closes()
    yield from told.judges(4, 3)


def disliked(told: Teller) -> Acts:
    """A bad rating opens the case again."""
    yield told.opens()
    told.works(5, 300)
    yield told.closes()
    told.waits(HOUR, DAY)
    yield told.writes("1", DIGIT)
    told.waits(5 * MINUTE, HOUR)
    yield told.writes(told.lot.choice(plan.RATINGS[told.lot.choice((1, 2))]), DIGIT)
    told.another_takes()
    told.works(20, 900)
    yield told.does("reply", told.lot.choice(ANSWERS))
    told.days(0, 2)
    yield told.closes()
    yield from told.judges(5, 3)


def late(told: Teller, *, kinds: tuple[str, ...] = (), days: tuple[int, int] = (1, 9)) -> Acts:
    """Signed, answered or finished too late, some by many days."""
    yield told.opens(*kinds)
    told.works(200, 900)
    if told.lot.random() < 0.7:
        yield told.does("sign")
        told.works(100, 600)
    yield told.does("reply", told.lot.choice(ANSWERS))
    told.days(*days)
    yield told.closes()
    yield from told.judges(4, 3, 2)


def forgotten(told: Teller) -> Acts:
    """Nobody ever looks at it."""
    yield told.opens()


def papers(told: Teller, *, signs: bool = True, came: str = "person") -> Acts:
    """Papers are asked for, and come: the person says so or brings them, or the case is closed without."""
    yield told.opens("agency", "consult")
    told.works(10, 300)
    if signs:
        yield told.does("sign")
        told.works(5, 200)
    yield told.does("papers", papers=told.lot.choice(LISTS))
    told.waits(30 * MINUTE, 4 * DAY)
    if came == "person":
        yield told.writes(told.lot.choice(plan.PAPERS_HERE), PAPERS)
    told.works(5, 200)
    if came == "hall":
        yield told.does("came")
    told.days(0, 4)
    yield told.closes()
    yield from told.judges()


def papers_twice(told: Teller) -> Acts:
    """Something is asked for that was not on the first list."""
    yield told.opens("agency", "feedback")
    told.works(10, 300)
    yield told.does("papers", papers=LISTS[0])
    told.days(1, 2)
    yield told.does("papers", papers=(*LISTS[0], "收入证明"))
    told.days(0, 2)
    yield told.does("came")
    told.days(1, 3)
    yield told.closes()
    yield from told.judges(3, 2)


def papers_never(told: Teller) -> Acts:
    """The papers do not come; the clock runs again when it has stood still as long as it may."""
    yield told.opens("consult", "agency")
    told.works(5, 100)
    yield told.does("sign")
    told.works(5, 60)
    yield told.does("papers", papers=LISTS[1])


def papers_late(told: Teller) -> Acts:
    """Papers are asked for when the case is late already."""
    yield told.opens("consult")
    told.days(5, 6)
    yield told.does("papers", papers=LISTS[2])
    told.days(2, 2)
    yield told.does("came")
    told.days(1, 2)
    yield told.closes()


def extended(told: Teller, *, approved: bool = True, after: bool = False) -> Acts:
    """More days are asked for, and granted by the director, or not."""
    yield told.opens("feedback", "consult", "agency")
    told.works(5, 200)
    yield told.does("sign")
    told.days(*((6, 7) if after else (1, 1)))
    yield told.does("extend", "要县上核对档案", days=told.lot.randint(2, 6))
    told.works(20, 300)
    yield told.does("extension", by=DIRECTOR, approved=approved)
    told.days(2, 8)
    yield told.closes()
    yield from told.judges()


def moved(told: Teller, *, back: bool = False) -> Acts:
    """Given to another window, and given back where that was wrong."""
    yield told.opens("consult", "feedback", "agency")
    here, officer = told.window, told.officer
    told.works(10, 300)
    if told.lot.random() < 0.5:
        yield told.does("sign")
    told.works(10, 200)
    there = told.lot.choice([one for one in ("zhengwu", "caizheng", "weiji", "jiuye", "xinfang") if one != here])
    yield told.does("handover", "不归本窗口", window=there)
    told.takes(there)
    told.works(20, 500)
    if back:
        yield told.does("back", "派错了")
        told.window, told.officer = here, officer
        told.works(10, 300)
    yield told.does("sign")
    told.days(1, 4)
    yield told.closes()
    yield from told.judges()


def wrongly_placed(told: Teller) -> Acts:
    """What the gateway itself had placed wrongly goes back to the front desk."""
    yield told.opens(window="weiji")
    told.works(10, 200)
    yield told.does("back", "派错了")
    told.takes("front-desk")
    told.works(10, 200)
    yield told.closes(how="counter")


def dangerous(told: Teller, *, text: str, quick: bool) -> Acts:
    """Somebody may come to harm: short clocks, and a page."""
    means = told.bank.urgent[text]
    told.takes(means.window)
    yield told.writes(text, means)
    told.works(2, 25) if quick else told.works(60, 600)
    yield told.does("called", "已经打电话问清，马上派人去看", close=False)
    told.works(30, 200)
    if not quick:
        told.days(1, 2)
    yield told.closes()
    yield from told.judges()


def otherwise(told: Teller, how: str) -> Acts:
    """Finished at the counter, on the spot, or by a call."""
    yield told.opens()
    told.works(5, 420)
    if how == "phone":
        yield told.does("called", "下周一带身份证来就行", close=True)
    else:
        yield told.does("close", how=how)
    yield from told.judges()


def published(told: Teller) -> Acts:
    """The answer may be read by everybody; it may be opened again after that."""
    yield told.opens("consult", "feedback")
    told.works(5, 420)
    yield told.closes(publish=True)
    yield from told.judges(5, 2)


def in_pieces(told: Teller) -> Acts:
    """A greeting, the matter, and no more: one case."""
    yield told.writes("在吗", THANKS)
    told.waits(4, 20)
    yield told.opens()
    told.works(20, 420)
    yield told.closes()
    told.waits(5, HOUR)
    yield told.writes(told.lot.choice(plan.PLEASANTRIES), THANKS)
    yield from told.judges()


def parted(told: Teller, *, merged: bool = False) -> Acts:
    """A second matter becomes a case of its own; then it must be asked which one a text is about."""
    yield told.opens("consult")
    first = told.window
    told.waits(2 * HOUR, 5 * HOUR)
    yield told.writes(*told.bank.matter("consult", window="minzheng"))
    told.works(10, 100)
    yield told.does("split", window="minzheng", texts=[1])
    told.works(5, 60)
    if merged:
        yield told.does("merge", case=1, into=0)
    else:
        told.waits(HOUR, 3 * HOUR)
        yield told.writes(*told.bank.matter("consult"))
        told.waits(MINUTE, HOUR)
        yield told.writes("2", DIGIT)
        told.takes("minzheng")
        told.works(10, 200)
        yield told.closes(case=1)
    told.takes(first)
    told.days(1, 2)
    yield told.closes()
    yield from told.judges()


def shared(told: Teller) -> Acts:
    """Several windows work on it side by side."""
    yield told.opens("consult", "feedback", "agency", window="front-desk")
    mine, windows = told.officer, ("caizheng", "minzheng")
    told.works(10, 200)
    yield told.does("parts", windows=windows)
    for number, window in enumerate(windows, 1):
        told.takes(window)
        told.works(60, 700)
        yield told.closes(case=number)
    told.officer, told.window = mine, "front-desk"
    told.works(10, 200)
    yield told.closes()
    yield from told.judges()


def again(told: Teller, answer: str) -> Acts:
    """They write within a week: of the same matter, of another, or they do not say of which."""
    yield told.opens("consult", "feedback")
    told.works(5, 300)
    yield told.closes()
    told.waits(2 * HOUR, 4 * DAY)
    text, means = told.bank.matter("consult", "feedback")
    yield told.writes(text, means)
    told.waits(2 * MINUTE, 5 * HOUR)
    if answer:
        yield told.writes(answer, DIGIT)
    else:
        told.waits(8 * HOUR, 9 * HOUR)
    told.takes({"1": told.window, "2": means.window, "": "front-desk"}[answer])
    told.works(20, 500)
    yield told.closes(case=0 if answer == "1" else 1)
    yield from told.judges()


def chatty(told: Teller) -> Acts:
    """Words that are answered from data or by nothing, and no case."""
    yield told.writes(told.lot.choice(plan.WORDS))
    while told.lot.random() < 0.5:
        told.waits(HOUR, 3 * DAY)
        word = told.lot.random() < 0.7
        yield (
            told.writes(told.lot.choice(plan.WORDS), WORD)
            if word
            else told.writes(told.lot.choice(plan.PLEASANTRIES), THANKS)
        )


def asks_on(told: Teller) -> Acts:
    """Asks how it stands, says thanks, writes more: all of it belongs to the one open case."""
    yield told.opens()
    told.waits(HOUR, 5 * HOUR)
    yield told.writes("查询")
    told.waits(HOUR, 5 * HOUR)
    yield told.writes(*told.bank.matter("consult", "feedback", window=told.window))
    told.waits(MINUTE, 5 * MINUTE)
    yield told.writes(told.lot.choice(plan.PLEASANTRIES), THANKS)
    told.works(10, 300)
    yield told.closes()
    told.waits(HOUR, 3 * HOUR)
    yield told.writes("5", DIGIT)  # before it was asked for
    yield from told.judges()
