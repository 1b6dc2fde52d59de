"""Jobs and courses of offers.toml: what is open, who signed up, and who waits.

Policy
- An offer is told until its last day. A course takes names until its last day: into its places, then onto the waiting
  list, and then no more. Whoever leaves makes room for the first who waits, who is told.
- A name is signed up once per number; it is the roster's where it has the number, else the number itself. Where several
  people have the number and none is named, it is asked who.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from gateway import words
from gateway.offers import Course, Job, Offers
from gateway.store import Connection, people, signups
from gateway.store.inbound import Waiting

LIST_AT_MOST = 5
_COURSES = re.compile(r"培训|课|班|学")
_LEAVES = re.compile(r"取消报名|退报|取消.{0,6}报名|不报了?|不去了|不参加|撤.{0,4}报名")
_ASKS = re.compile(r"报名|报[个上]|[想要]报|baoming", re.IGNORECASE)
_NUMBERED = re.compile(r"(?:我?[想要]?报名?)第?(\d{1,2})[个号]?")


class Told(NamedTuple):
    """What to answer: a template and its values."""

    template: str
    values: Mapping[str, str]


class Student(NamedTuple):
    """Who is meant: by the roster, or by the number alone where the roster does not have it."""

    name: str
    person_id: int | None


def day(at: date) -> str:
    """7月6日."""
    return f"{at.month}月{at.day}日"


def numbered_list(names: Iterable[str]) -> str:
    """1焊工，2月嫂."""
    return "，".join(f"{n}{name}" for n, name in enumerate(names, 1))


def asks_for_courses(whole: str) -> bool:
    """Whether a normalised text is about learning rather than about work."""
    return _COURSES.search(whole) is not None


def leaves(whole: str) -> bool:
    """Whether a normalised text takes a sign-up back."""
    return _LEAVES.search(whole) is not None


def asks_to_sign_up(whole: str) -> bool:
    """Whether a normalised text wants into a course, or out of one."""
    return leaves(whole) or _ASKS.search(whole) is not None or numbered(whole) is not None


def numbered(whole: str) -> int | None:
    """The place on a list of courses that a normalised text names: 报2."""
    found = _NUMBERED.fullmatch(whole)
    return int(found[1]) if found else None


def jobs(offers: Offers, whole: str, today: date) -> Sequence[Job]:
    """Open offers that a text's words fit, else all that are open; a few."""
    open_jobs = [job for job in offers.jobs if job.until >= today]
    fitting = [job for job in open_jobs if any(words.normalise(word) in whole for word in (job.work, *job.keywords))]
    return (fitting or open_jobs)[:LIST_AT_MOST]


def job_line(job: Job) -> str:
    """One offer as a text says it."""
    terms = f"，{job.terms}" if job.terms else ""
    return (
        f"{job.employer}招{job.work}{job.count}人，{job.place}，{job.pay}{terms}，{day(job.until)}止，电话{job.phone}"
    )


def open_courses(offers: Offers, today: date) -> Sequence[Course]:
    """Courses that take names today."""
    return [course for course in offers.courses if course.until >= today]


def named(courses: Iterable[Course], whole: str) -> Sequence[Course]:
    """Those of the courses that a normalised text names."""
    return [
        course for course in courses if any(words.normalise(name) in whole for name in (course.name, *course.aliases))
    ]


def course_line(db: Connection, course: Course) -> str:
    """One course as a list has it, with the places that are left."""
    left = max(0, course.places - signups.count(db, course.code, signups.IN))
    places = f"余{left}名" if left else "满，可候补"
    return f"{course.name}（{day(course.starts)}，{course.place}，{places}）"


# -- who -------------------------------------------------------------------------------------------------------


def students(db: Connection, phone: str, whole: str) -> Sequence[Student]:
    """Whom a text may be about: who is named in it, else everybody who has the number; never nobody."""
    users = [Student(one.name, one.id) for one in people.by_phone(db, phone)]
    meant = [one for one in users if words.normalise(one.name) in whole]
    return meant or users or [Student(phone, None)]


def mine(db: Connection, offers: Offers, phone: str) -> Sequence[Course]:
    """The courses that this number is in or waits for."""
    return [course for course in offers.courses if _standing(db, course, phone)]


def enrolled(db: Connection, course: Course, phone: str, whole: str) -> Sequence[Student]:
    """Who of a number is in a course or waits for it: who is named in a text, else all of them."""
    all_ = [Student(row.name, row.person_id) for row in _standing(db, course, phone)]
    return [one for one in all_ if words.normalise(one.name) in whole] or all_


def _standing(db: Connection, course: Course, phone: str) -> Sequence[Any]:
    return [row for row in signups.find(db, course.code, phone) if row.state != signups.OUT]


# -- in and out ------------------------------------------------------------------------------------------------


def join(db: Connection, course: Course, who: Student, text: Waiting, now: datetime, today: date) -> Told:
    """Sign somebody up; whoever is in or waits is told so. Places that are free go to the line first: `fill`."""
    values = {"课程": course.name, "开课": day(course.starts), "地点": course.place, "电话": course.phone}
    stands = [row for row in signups.find(db, course.code, text.phone, who.name) if row.state != signups.OUT]
    if not stands:
        if course.until < today:
            return Told("signup-closed", values)
        state = _next_place(db, course)
        if state == signups.OUT:
            return Told("signup-full", values)
        own = {"person_id": who.person_id, "inbound_id": text.id}
        signups.put(db, course.code, text.phone, who.name, state, now, **own)
    (row,) = signups.find(db, course.code, text.phone, who.name)
    if row.state == signups.IN:
        return Told("signup-again" if stands else "signup", values)
    line = [one.id for one in signups.listed(db, course.code, signups.WAITING)]
    return Told("signup-waiting", {**values, "位次": str(line.index(row.id) + 1)})


def _next_place(db: Connection, course: Course) -> str:
    if signups.count(db, course.code, signups.IN) < course.places:
        return signups.IN
    return signups.WAITING if signups.count(db, course.code, signups.WAITING) < course.waiting else signups.OUT


def leave(db: Connection, course: Course, who: Sequence[Student], phone: str, now: datetime) -> Told:
    """Take people of a number out of a course."""
    names = {one.name for one in who}
    for row in _standing(db, course, phone):
        if row.name in names:
            signups.move(db, row.id, signups.OUT, now)
    return Told("signup-out", {"课程": course.name, "电话": course.phone})


def fill(db: Connection, course: Course, now: datetime) -> Sequence[tuple[str, Told]]:
    """Give free places to the first who wait: their numbers, and what to tell them. Holds the course's list."""
    signups.hold_course(db, course.code)
    free = course.places - signups.count(db, course.code, signups.IN)
    moved = signups.listed(db, course.code, signups.WAITING)[: max(0, free)]
    values = {"课程": course.name, "开课": day(course.starts), "电话": course.phone}
    for row in moved:
        signups.move(db, row.id, signups.IN, now)
    return [(row.phone, Told("signup-moved", values)) for row in moved]
