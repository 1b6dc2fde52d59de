"""The oracle's hall: what becomes of each text and of each act of a clerk, and what is said to people.

Written by `docs/officials.md` and the conventions of texts that come in, over the cases of `ledger`. What a text means
is told by the plan. Answers from data (weather, guides ...) are left out: no clock and no point hangs on them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.month.days import DAY, Office, date_of, due_day
from tests.month.ledger import Case, Limits, Round
from tests.month.plan import HOUR, JOIN, NO, PAPERS_HERE, RATINGS, YES, Act, Means

FRONT = "front-desk"
TEN_MINUTES, THREE_IN_A_ROW, FIVE = 600, 3, 5
ASK_WITHIN, AGAIN_WITHIN = 6 * 3600, 7 * DAY
NOTICES = (8 * HOUR, 21 * HOUR)
"""When something may be said that nobody has asked for."""
HOLDING = ("which-case", "same-matter")


class Text(NamedTuple):
    at: int
    phone: str
    body: str
    means: Means
    story: int


class Said(NamedTuple):
    """One text of the hall's."""

    at: int
    phone: str
    body: str


@dataclass
class Prompt:
    """A question that waits for an answer."""

    phone: str
    kind: str
    asked: int
    until: int
    case: Case | None
    cases: Sequence[Case] = ()
    reminded: int | None = None
    ended: int | None = None
    end: str | None = None


class Site:
    """What the site's files say, read with tomllib."""

    def __init__(self, directory: Path) -> None:
        read = lambda name: tomllib.loads((directory / name).read_text(encoding="utf-8"))  # noqa: E731
        self.config, self.duty, self.scoring, hall = map(
            read, ("config.toml", "duty.toml", "scoring.toml", "windows.toml")
        )
        self.cases = self.config["cases"]
        self.windows = {one["code"]: one for one in hall["windows"]}
        self.items = {item["code"]: item for one in hall["windows"] for item in one["items"]}
        self.phone = hall["hall"]["phone"]
        self.signature = f"【{self.config['site']['signature']}】"
        self._folder = directory / "templates/service"
        self._templates: dict[str, str] = {}

    def worded(self, template: str, **values: str) -> str:
        if template not in self._templates:
            self._templates[template] = (self._folder / f"{template}.md").read_text("utf-8").split("+++")[2].strip()
        body = self._templates[template]
        for name, value in values.items():
            body = body.replace(f"{{{name}}}", value)
        return self.signature + body


class Hall:
    """Cases, prompts and texts as they should be."""

    def __init__(self, directory: Path, villages: dict[str, str], page: Any) -> None:
        """`page(case, danger, at)` is told of danger."""
        self.site, self.office, self._page = Site(directory), Office(directory), page
        self.villages = villages
        self.cases: list[Case] = []
        self.prompts: list[Prompt] = []
        self.said: list[Said] = []
        self.from_data: list[tuple[int, str]] = []
        """When somebody was answered from data."""
        self._of_story: dict[int, list[Case]] = {}
        self._waiting: list[Text] = []
        self._held: dict[str, list[Text]] = {}
        self._given: dict[str, list[tuple[int, bool, str]]] = {}
        """Automatic answers by number: when, whether it was asked for, of what."""
        self._spoke: dict[str, int] = {}
        self._counts: dict[int, int] = {}

    # -- texts that come in ----------------------------------------------------------------------------------------

    def receive(self, act: Act) -> None:
        """A text comes in; what does not wait is read by itself, danger with what came before it."""
        text = Text(act.at, act.who, act.text, act.means, act.story)
        if act.means.danger:
            self._read([*self._take(act.who), text], act.at)
        elif act.at_once:
            self._read([text], act.at)
        else:
            self._waiting.append(text)

    def hear(self, now: int) -> None:
        """Read what has waited long enough; end questions whose time is over."""
        for phone in dict.fromkeys(text.phone for text in self._waiting if text.at <= now - JOIN):
            self._read(self._take(phone), now)
        for prompt in self.prompts:
            if prompt.ended is None and prompt.until <= now:
                prompt.ended, prompt.end = now, "expired"
        for phone in [phone for phone, texts in self._held.items() if texts and not self._asking(phone)]:
            texts = self._held.pop(phone)
            self._open(texts, Means("matter", "unclear", FRONT), now)

    def _take(self, phone: str) -> list[Text]:
        mine = [text for text in self._waiting if text.phone == phone]
        self._waiting = [text for text in self._waiting if text.phone != phone]
        return mine

    def _asking(self, phone: str) -> bool:
        return any(one.phone == phone and one.ended is None and one.kind in HOLDING for one in self.prompts)

    def _read(self, texts: list[Text], now: int) -> None:
        """What these texts are taken for, in the order of the conventions."""
        matter = next((text.means for text in texts if text.means.what == "matter"), texts[-1].means)
        body, phone = texts[-1].body, texts[0].phone
        if matter.what == "word":
            return self.from_data.append((now, phone))
        prompt = next((one for one in reversed(self.prompts) if one.phone == phone and one.ended is None), None)
        if prompt is not None and prompt.until > now and self._answers(prompt, texts, matter, body, now):
            return None
        if matter.what == "digit":
            return self._menu(phone, now)
        opened = [case for case in self.cases if case.phone == phone and case.live and case.parent is None]
        if len(opened) == 1:
            return self._join(opened[0], texts, matter.what == "matter", now)
        if matter.what != "matter":
            return None
        if opened:
            return self._ask_which(opened, texts, now)
        closed = [case for case in self.cases if case.phone == phone and self._recent(case, now)]
        if closed:
            return self._ask_same(closed, texts, now)
        return self._open(texts, matter, now)

    def _recent(self, case: Case, now: int) -> bool:
        done = case.closed_at is not None and case.closed_at > now - AGAIN_WITHIN
        return done and case.merged_into is None and case.parent is None

    def _menu(self, phone: str, now: int) -> None:
        if self._may(phone, now, "menu", first=False):
            self._answered(phone, now, True, "menu")
            self.say(now, phone, "menu", 电话=self.site.phone)

    # -- answers to questions --------------------------------------------------------------------------------------

    def _answers(self, prompt: Prompt, texts: list[Text], means: Means, body: str, now: int) -> bool:
        """Whether the texts answered an open question, or are held for one."""
        if prompt.kind in HOLDING:
            return self._chooses(prompt, texts, means, body, now)
        case = prompt.case
        assert case is not None
        if prompt.kind == "solved" and body in (*YES, *NO) and not case.live:
            self._ends(prompt, now)
            self._is_solved(case, body in YES, now)
        elif prompt.kind == "rating" and (value := _rating(body)):
            self._ends(prompt, now)
            self._is_rated(case, value, now)
        elif prompt.kind == "papers" and body in PAPERS_HERE and case.row.paused_since is not None:
            self._ends(prompt, now)
            case.texts += [(text.at, text.body) for text in texts]
            self._papers_here(case, now)
            self._acknowledge(case, texts[0].at, now, False, asked_for=True)
        else:
            return False
        return True

    def _ends(self, prompt: Prompt, now: int) -> None:
        prompt.ended, prompt.end = now, "answered"

    def _chooses(self, prompt: Prompt, texts: list[Text], means: Means, body: str, now: int) -> bool:
        number = {"1": 1, "2": 2 if prompt.kind == "which-case" else 0, "0": 0}.get(body)
        if means.what == "matter":
            self._held.setdefault(prompt.phone, []).extend(texts)
            return True
        if number is None or number > len(prompt.cases):
            return False
        self._ends(prompt, now)
        waiting = self._held.pop(prompt.phone)
        meant = next(text.means for text in waiting if text.means.what == "matter")
        if number:
            self._join(prompt.cases[number - 1], waiting, True, now, asked_for=True)
        else:
            self._open(waiting, meant, now, asked_for=True)
        return True

    def _is_solved(self, case: Case, yes: bool, now: int) -> None:
        case.solved = yes
        case.note(now, "solved", yes=yes)
        self._answered(case.phone, now, True, case.number)
        if yes:
            self.tell(case, now, "rating")
            self.ask(Prompt(case.phone, "rating", now, now + self.site.cases["rating_days"] * DAY, case))
        else:
            self._once_more(case, now)

    def _is_rated(self, case: Case, value: int, now: int) -> None:
        case.rating = value
        case.note(now, "rated", value=value)
        if value <= 2:
            self._answered(case.phone, now, True, case.number)
            self._once_more(case, now)

    def _once_more(self, case: Case, now: int) -> None:
        """Opened again, with another officer of the window."""
        today = date_of(now // DAY)
        here = [one for one in self.site.duty["officers"] if one.get("window") == case.window]
        other = [one["login"] for one in here if one["login"] != case.officer and today not in one.get("away", ())]
        window, officer = (case.window, other[0]) if other and case.officer else (FRONT, None)
        self._reopen(case, now, now, window, officer)
        self.tell(case, now, "reopened", 期限=day_text(case.row.finish))

    def _reopen(self, case: Case, begun: int, now: int, window: str, officer: str | None) -> None:
        case.rounds.append(Round(begun))
        case.note(begun, "reopened", window=window, officer=officer or "")
        self.withdraw(case, now)
        case.state, case.window, case.officer, case.closed_at, case.how = "open", window, officer, None, None
        case.settle(self.office, now)

    def _papers_here(self, case: Case, now: int) -> None:
        since, _ = case.now.asked[-1]
        case.now.asked[-1] = (since, now)
        case.state = "open"
        case.note(now, "papers_came")
        case.settle(self.office, now)

    # -- opening and joining ---------------------------------------------------------------------------------------

    def _open(self, texts: list[Text], means: Means, now: int, *, asked_for: bool = False) -> None:
        case = self.made(texts[0].phone, texts[0].story, means.window, means.kind, now, texts, means.item, means.urgent)
        case.restricted = means.kind == "complaint"
        if means.danger:
            self._page(case, means.danger, now)
        self._acknowledge(case, texts[0].at, now, bool(means.danger), asked_for)

    def made(
        self, phone: str, story: int, window: str, kind: str, now: int, texts: Sequence[Text], item: str, urgent: bool
    ) -> Case:
        """A new case, with the number that is its turn."""
        self._counts[now // DAY] = count = self._counts.get(now // DAY, 0) + 1
        case = Case(
            id=len(self.cases) + 1,
            number=case_number(now, count),
            phone=phone,
            story=story,
            window=window,
            kind=kind,
            item=item,
            urgent=urgent,
            title=" ".join(text.body for text in texts)[:40],
            limits=self._limits(window, kind, item, urgent),
            opened_at=now,
            rounds=[Round(min(text.at for text in texts))],
            texts=[(text.at, text.body) for text in texts],
            first_window=window,
        )
        self.cases.append(case)
        self._of_story.setdefault(story, []).append(case)
        case.settle(self.office, now)
        return case

    def _limits(self, window: str, kind: str, item: str, urgent: bool) -> Limits:
        terms, found = self.site.cases, self.site.items.get(item, {})
        if urgent:
            first = (terms["urgent_first_minutes"], "minutes")
            finish = (terms["urgent_days"], "workdays")
            return Limits(terms["urgent_signed_minutes"], first, finish, terms["pause_cap_days"])
        days = self.site.windows[window]["case_days"]["consult" if kind == "unclear" else kind]
        finish = (days, "workdays")
        if kind == "agency" and found.get("promised_days"):
            calendar = found.get("promised_days_kind") == "calendar"
            finish = (found["promised_days"], "days" if calendar else "workdays")
        return Limits(terms["signed_minutes"], (terms["first_days"], "workdays"), finish, terms["pause_cap_days"])

    def _join(self, case: Case, texts: list[Text], asks: bool, now: int, *, asked_for: bool = False) -> None:
        case.texts += [(text.at, text.body) for text in texts]
        if not asks:
            return
        if not case.live:
            self._reopen(case, texts[0].at, now, case.window, case.officer)
        case.state = "open"
        self._acknowledge(case, texts[0].at, now, False, asked_for)

    def _acknowledge(self, case: Case, first: int, now: int, danger: bool, asked_for: bool) -> None:
        if self._may(case.phone, now, case.number, first=not asked_for):
            self._answered(case.phone, now, asked_for, case.number)
            values = {"期限": day_text(case.row.finish), "起算": self._begins(first)}
            self.tell(case, now, "danger" if danger else "acknowledgement", **values)

    def _begins(self, first: int) -> str:
        opening = self.office.opening(first)
        if opening == first:
            return ""
        hour, minute = divmod(opening % DAY // 60, 60)
        days = opening // DAY - first // DAY
        if not days:
            return f"从今天{hour}:{minute:02}起算。"
        return f"现在下班，从{'明天' if days == 1 else day_text(opening + 1)}{hour}:{minute:02}起算。"

    # -- what we may say by ourselves --------------------------------------------------------------------------------

    def _may(self, phone: str, now: int, about: str, *, first: bool = True) -> bool:
        """Once in ten minutes about one thing, five in all; none after three in a row without a word from the hall."""
        given = self._given.get(phone, [])
        recent = [about_ for at, _, about_ in given if at > now - TEN_MINUTES]
        if len(recent) >= FIVE or about in recent:
            return False
        since = max(now - DAY, self._spoke.get(phone, 0))
        return not first or sum(at > since and not asked for at, asked, _ in given) < THREE_IN_A_ROW

    def _answered(self, phone: str, now: int, asked_for: bool, about: str) -> None:
        self._given.setdefault(phone, []).append((now, asked_for, about))

    def _ask_which(self, opened: Sequence[Case], texts: list[Text], now: int) -> None:
        phone = texts[0].phone
        assert self._may(phone, now, "which")
        self._answered(phone, now, False, "which")
        titles = "，".join(f"{n}{self._title(case)}" for n, case in enumerate(opened, 1))
        self.say(now, phone, "which-case", 事项=titles, 末号=str(len(opened)), 情形="在办")
        self._hold("which-case", opened, texts, now)

    def _ask_same(self, closed: Sequence[Case], texts: list[Text], now: int) -> None:
        (case,) = closed
        assert self._may(case.phone, now, "same")
        self._answered(case.phone, now, False, "same")
        assert case.closed_at is not None
        values = {"事项": self._title(case), "日期": day_text(case.closed_at)}
        self.say(now, case.phone, "same-matter", 编号=case.number, **values)
        self._hold("same-matter", closed, texts, now)

    def _hold(self, kind: str, cases: Sequence[Case], texts: list[Text], now: int) -> None:
        self.ask(Prompt(texts[0].phone, kind, now, now + ASK_WITHIN, None, cases))
        self._held.setdefault(texts[0].phone, []).extend(texts)

    def _title(self, case: Case) -> str:
        title = _called(self.site.items[case.item]) if case.item else case.title
        return title if len(title) <= 10 else f"{title[:9]}…"

    def ask(self, prompt: Prompt) -> None:
        """A number's last question is the one that counts."""
        for other in self.prompts:
            if other.phone == prompt.phone and other.ended is None:
                other.ended, other.end = prompt.asked, "replaced"
        self.prompts.append(prompt)

    def withdraw(self, case: Case, now: int) -> None:
        for prompt in self.prompts:
            if prompt.case is case and prompt.ended is None:
                prompt.ended, prompt.end = now, "withdrawn"

    def remind(self, now: int) -> None:
        """Ask once more who said nothing for three days, by day."""
        terms = self.site.cases
        if not NOTICES[0] <= now % DAY < NOTICES[1]:
            return
        for prompt in self.prompts:
            asked = prompt.case is not None and prompt.kind in ("solved", "rating") and prompt.reminded is None
            old = prompt.asked <= now - terms["rating_reminder_days"] * DAY
            if asked and old and prompt.case and prompt.ended is None and prompt.until > now:
                self.tell(prompt.case, now, "rating" if prompt.kind == "rating" else "case-reminder")
                prompt.reminded, prompt.until = now, max(prompt.until, now + prompt.until - prompt.asked)

    # -- saying ------------------------------------------------------------------------------------------------------

    def of(self, story: int, number: int) -> Case:
        return self._of_story[story][number]

    def say(self, now: int, phone: str, template: str, **values: str) -> None:
        self.said.append(Said(now, phone, self.site.worded(template, **values)))

    def tell(self, case: Case, now: int, template: str, **values: str) -> None:
        desk = self.site.windows[case.window]
        about = {"编号": case.number, "窗口": desk["name"], "电话": desk["duty_phone"]}
        self.say(now, case.phone, template, **about, **values)

    def spoke(self, case: Case, now: int) -> None:
        """Somebody of the hall spoke to the person."""
        self._spoke[case.phone] = max(now, self._spoke.get(case.phone, 0))


def _called(item: dict[str, Any]) -> str:
    """An item as people call it: by the alias in brackets at its end, else without what stands in brackets."""
    plain, _, rest = item["name"].replace("（", "(").replace("）", ")").partition("(")
    inside, _, after = rest.partition(")")
    return inside if not after and inside in item["aliases"] else plain + after


def case_number(now: int, count: int) -> str:
    """YYMMDD, the day's count, and the check digit of GB/T 17710 (MOD 11,10)."""
    digits = f"{date_of(now // DAY):%y%m%d}{count:04}"
    p = 10
    for digit in digits:
        s = (p + int(digit)) % 10
        p = (10 if s == 0 else s) * 2 % 11
    return digits + str(next(check for check in range(10) if (p + check) % 10 == 1))


def day_text(due: int) -> str:
    day = date_of(due_day(due))
    return f"{day.month}月{day.day}日"


def _rating(body: str) -> int:
    return next((value for value, said in RATINGS.items() if body in said), 0)
