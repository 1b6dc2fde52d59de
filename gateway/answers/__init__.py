"""Texts that are answered from data and need no person: guides, subsidies, weather, jobs and courses, progress.

Policy
- Nothing is invented: an answer says what the hall's files and tables say, and where they say nothing it says so and
  whom to call.
- Everybody sees their own alone: what was paid to their number, their number's cases, their number's sign-ups.
- None means that this is nothing to be answered from data: the text becomes a case.
- One module per kind. Each makes words; this one says them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from gateway import words
from gateway.answers import guide, money, progress, sky, work
from gateway.cases import Cases
from gateway.config import Config, Course
from gateway.model import Asked
from gateway.store import Connection, people, prompts
from gateway.store.inbound import Waiting
from gateway.triage import Understanding
from gateway.words import Intent

ANSWER_WITHIN = timedelta(hours=24)
"""So long a number of a list can be answered with."""


class Said(NamedTuple):
    """What was said: ids of the texts, and what the question was."""

    message_ids: tuple[int, ...]
    intent: Intent


class Spoken(NamedTuple):
    """One text to be said: a service template and its values."""

    template: str
    values: Mapping[str, str]


class Answers:
    """Answers people from data, in the inbox's transaction."""

    def __init__(self, config: Config, cases: Cases) -> None:
        self._config, self._cases = config, cases
        self._hall = config.hall

    def answer(self, db: Connection, read: Understanding, text: Waiting, now: datetime) -> Said | None:
        """Answer a text by what was understood of it; None where that takes a person."""
        answers: Mapping[Intent, Callable[[Connection, Understanding, Waiting, datetime], Said | None]] = {
            Intent.GUIDE: self._guide,
            Intent.SUBSIDY: self._subsidy,
            Intent.WEATHER: self._weather,
            Intent.JOBS: self._jobs,
            Intent.SIGNUP: self._signup,
            Intent.STATUS: self._status,
        }
        make = answers.get(read.intent)
        return make(db, read, text, now) if make else None

    def chosen(self, db: Connection, prompt: Any, digit: int, text: Waiting, now: datetime) -> Said | None:
        """Answer a digit that belongs to a list of ours; None for 0 and for a digit that is not on it."""
        choices = prompt.data.get("choices", [])
        if not 1 <= digit <= len(choices):
            return None
        if prompt.kind == Asked.WHICH_ITEM:
            return self._tell_guide(db, choices[digit - 1], text, now)
        return self._course_chosen(db, prompt, choices[digit - 1], text, now)

    def names_a_course(self, whole: str) -> bool:
        """Whether a normalised text names one of the courses there are."""
        return bool(work.named(self._config.offers.courses, whole))

    # -- guides --------------------------------------------------------------------------------------------------

    def _guide(self, db: Connection, read: Understanding, text: Waiting, now: datetime) -> Said | None:
        items = [code for code in read.items or ((read.item,) if read.item else ()) if self._hall.item(code)]
        if not items:
            return self._index(db, text, now) if guide.asks_for_the_list(words.normalise(text.body)) else None
        if len(items) == 1:
            return self._tell_guide(db, items[0], text, now)
        named = [found.called for code in items[: guide.MENU_AT_MOST] if (found := self._hall.item(code))]
        listed = work.numbered_list(named)
        said = self._say(db, text, now, Intent.GUIDE, [Spoken("guide-menu", {"事项": listed, "末号": str(len(named))})])
        return self._ask(db, said, text, now, Asked.WHICH_ITEM, items[: guide.MENU_AT_MOST])

    def _tell_guide(self, db: Connection, code: str, text: Waiting, now: datetime) -> Said | None:
        found = next(((w, item) for w in self._hall.windows for item in w.items if item.code == code), None)
        if found is None:
            return None
        pages = guide.pages(*found, room=guide.room(self._config.site.signature))
        return self._say(db, text, now, Intent.GUIDE, [Spoken("guide", {"正文": page}) for page in pages])

    def _index(self, db: Connection, text: Waiting, now: datetime) -> Said | None:
        windows = "、".join(window.name for window in self._hall.windows if window.items)
        return self._say(db, text, now, Intent.GUIDE, [Spoken("guide-index", {"窗口": windows, "电话": self._phone})])

    # -- money, weather, progress ----------------------------------------------------------------------------------

    def _subsidy(self, db: Connection, read: Understanding, text: Waiting, now: datetime) -> Said | None:
        lines = money.lines(db, text.phone, now, self._config.site.zone)
        desk = self._hall.window("caizheng") or self._hall.windows[0]
        values = {"窗口": desk.name, "电话": desk.duty_phone}
        if lines:
            values["明细"] = "；".join(lines)
            return self._say(db, text, now, Intent.SUBSIDY, [Spoken("subsidy", values)])
        return self._say(db, text, now, Intent.SUBSIDY, [Spoken("subsidy-none", values)])

    def _weather(self, db: Connection, read: Understanding, text: Waiting, now: datetime) -> Said | None:
        areas = [person.area for person in people.by_phone(db, text.phone)] or [self._config.site.area]
        if told := sky.told(db, self._config, areas[0], now, tomorrow=sky.asks_for_tomorrow(text.body)):
            return self._say(db, text, now, Intent.WEATHER, [Spoken("weather-answer", told)])
        last = sky.last(db, self._config, areas[0])
        values = {"电话": self._phone, "上次": f"上次的旧了，是{last}发的。" if last else ""}
        return self._say(db, text, now, Intent.WEATHER, [Spoken("weather-none", values)])

    def _status(self, db: Connection, read: Understanding, text: Waiting, now: datetime) -> Said | None:
        book, intake = self._cases.book, self._cases.intake
        numbers = words.digit_runs(text.body)[:1]
        named = intake.of_number(db, numbers[0], text.phone) if numbers else None
        found = [named] if named is not None else list(intake.open_of(db, text.phone))
        if not found:
            return self._say(db, text, now, Intent.STATUS, [Spoken("status-none", {"电话": self._phone})])
        lines = progress.lines(found, book, now)
        return self._say(db, text, now, Intent.STATUS, [Spoken("status", {"进度": "；".join(lines)})])

    # -- work and courses ------------------------------------------------------------------------------------------

    def _jobs(self, db: Connection, read: Understanding, text: Waiting, now: datetime) -> Said | None:
        today = self._today(now)
        offers, whole = self._config.offers, words.normalise(text.body)
        courses = work.open_courses(offers, today)
        if work.asks_for_courses(whole) and courses:
            return self._courses(db, text, now)
        jobs = work.jobs(offers, whole, today)
        spoken = [Spoken("jobs", {"岗位": work.job_line(job)}) for job in jobs]
        if not spoken:
            desk = self._hall.window("jiuye") or self._hall.windows[0]
            spoken = [Spoken("jobs-none", {"窗口": desk.name, "电话": desk.duty_phone})]
        return self._say(db, text, now, Intent.JOBS, spoken)

    def _signup(self, db: Connection, read: Understanding, text: Waiting, now: datetime) -> Said | None:
        whole = words.normalise(text.body)
        courses = self._config.offers.courses
        named = work.named(courses, whole)
        if not named and not work.asks_to_sign_up(whole):
            return None
        if work.leaves(whole):
            return self._sign_off(db, named, text, now)
        if (number := work.numbered(whole)) is not None:
            listed = self._listed(db, text.phone, now)
            named = [listed[number - 1]] if 1 <= number <= len(listed) else []
        if len(named) == 1:
            return self._join_course(db, named[0].code, work.students(db, text.phone, whole), text, now)
        return self._courses(db, text, now)

    def _sign_off(self, db: Connection, named: Sequence[Course], text: Waiting, now: datetime) -> Said | None:
        mine = work.mine(db, self._config.offers, text.phone)
        meant = [course for course in mine if course in named] if named else mine
        if len(meant) == 1:
            who = work.enrolled(db, meant[0], text.phone, words.normalise(text.body))
            return self._leave_course(db, meant[0].code, who, text, now)
        if not meant:
            return None
        values = {"课程": work.numbered_list([course.name for course in meant]), "末号": str(len(meant))}
        said = self._say(db, text, now, Intent.SIGNUP, [Spoken("signup-which", values)])
        return self._ask(db, said, text, now, Asked.WHICH_COURSE, [course.code for course in meant], leaves=True)

    def _listed(self, db: Connection, phone: str, now: datetime) -> Sequence[Course]:
        """The courses as they were last numbered for somebody, else as they would be now."""
        prompt = prompts.last(db, phone, now)
        if prompt is None or prompt.kind != Asked.WHICH_COURSE or len(prompt.data) > 1:
            return work.open_courses(self._config.offers, self._today(now))
        return [found for code in prompt.data["choices"] if (found := self._config.offers.course(code))]

    def _courses(self, db: Connection, text: Waiting, now: datetime) -> Said | None:
        courses = work.open_courses(self._config.offers, self._today(now))[: work.LIST_AT_MOST]
        if not courses:
            desk = self._hall.window("jiuye") or self._hall.windows[0]
            values = {"窗口": desk.name, "电话": desk.duty_phone}
            return self._say(db, text, now, Intent.SIGNUP, [Spoken("course-none", values)])
        listed = work.numbered_list([work.course_line(db, course) for course in courses])
        said = self._say(db, text, now, Intent.SIGNUP, [Spoken("courses", {"课程": listed})])
        return self._ask(db, said, text, now, Asked.WHICH_COURSE, [course.code for course in courses])

    def _join_course(
        self, db: Connection, code: str, who: Sequence[work.Student], text: Waiting, now: datetime
    ) -> Said | None:
        course = self._config.offers.course(code)
        if course is None:
            return None
        if len(who) > 1:
            return self._ask_who(db, course, who, text, now, leaves=False)
        self._fill(db, course, now)
        told = work.join(db, course, who[0], text, now, self._today(now))
        return self._say(db, text, now, Intent.SIGNUP, [Spoken(*told)])

    def _leave_course(
        self, db: Connection, code: str, who: Sequence[work.Student], text: Waiting, now: datetime
    ) -> Said | None:
        course = self._config.offers.course(code)
        if course is None or not who:
            return None
        if len(who) > 1:
            return self._ask_who(db, course, who, text, now, leaves=True)
        told = work.leave(db, course, who, text.phone, now)
        self._fill(db, course, now)
        return self._say(db, text, now, Intent.SIGNUP, [Spoken(*told)])

    def _fill(self, db: Connection, course: Course, now: datetime) -> None:
        for phone, told in work.fill(db, course, now):
            self._cases.book.say(db, phone, told.template, told.values, now)

    def _ask_who(
        self, db: Connection, course: Course, who: Sequence[work.Student], text: Waiting, now: datetime, *, leaves: bool
    ) -> Said | None:
        listed = work.numbered_list([money.masked(one.name) for one in who])
        values = {"课程": course.name, "名单": listed, "末号": str(len(who))}
        said = self._say(db, text, now, Intent.SIGNUP, [Spoken("signup-who", values)])
        choices = [one.name for one in who]
        return self._ask(db, said, text, now, Asked.WHICH_COURSE, choices, course=course.code, leaves=leaves)

    def _course_chosen(self, db: Connection, prompt: Any, choice: str, text: Waiting, now: datetime) -> Said | None:
        """A course of a list, or one of the people who have the number."""
        data = prompt.data
        code, named = (data["course"], words.normalise(choice)) if "course" in data else (choice, "")
        if not data.get("leaves"):
            return self._join_course(db, code, work.students(db, text.phone, named), text, now)
        course = self._config.offers.course(code)
        who = work.enrolled(db, course, text.phone, named) if course else []
        return self._leave_course(db, code, who, text, now)

    # -- saying ------------------------------------------------------------------------------------------------

    def _say(
        self, db: Connection, text: Waiting, now: datetime, intent: Intent, spoken: Sequence[Spoken]
    ) -> Said | None:
        """Queue the texts; None where no carrier reaches the number."""
        sent = [self._cases.book.say(db, text.phone, one.template, one.values, now) for one in spoken]
        ids = tuple(one for one in sent if one is not None)
        return Said(ids, intent) if ids else None

    def _ask(
        self,
        db: Connection,
        said: Said | None,
        text: Waiting,
        now: datetime,
        kind: Asked,
        choices: Sequence[str],
        **more: Any,
    ) -> Said | None:
        """Wait for a digit; `more` is what the answer needs beside the choice."""
        if said is not None:
            until, data = now + ANSWER_WITHIN, {"choices": list(choices), **more}
            prompts.ask(db, text.phone, kind, now, until, data=data, message_id=said.message_ids[-1])
        return said

    def _today(self, now: datetime) -> date:
        return now.astimezone(self._config.site.zone).date()

    @property
    def _phone(self) -> str:
        return self._hall.about.phone
