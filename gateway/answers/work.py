"""Jobs and courses of offers.toml: what is open, who signed up, and who waits.

Policy
- An offer is told until its last day. A course takes names until its last day: into its places, then onto the waiting
  list, and then no more. Whoever leaves makes room for the first who waits, who is told.
- A name is signed up once per number; it is the roster's where one person has the number, else the number itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from gateway import words
from gateway.offers import Course, Job, Offers
from gateway.store import Connection, people, signups
from gateway.store.inbound import Waiting

LIST_AT_MOST = 5
_COURSES = re.compile(r"培训|课|班|学")
_LEAVES = re.compile(r"取消报名|退报|取消.{0,6}报名|不报了|不去了|不参加|撤.{0,4}报名")


def day(at: date) -> str:
    """7月6日."""
    return f"{at.month}月{at.day}日"


def asks_for_courses(whole: str) -> bool:
    """Whether a normalised text is about learning rather than about work."""
    return _COURSES.search(whole) is not None


def leaves(whole: str) -> bool:
    """Whether a normalised text takes a sign-up back."""
    return _LEAVES.search(whole) is not None


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


def named(offers: Offers, whole: str, today: date) -> Sequence[Course]:
    """The courses that a normalised text names."""
    return [
        course
        for course in open_courses(offers, today)
        if any(words.normalise(name) in whole for name in (course.name, *course.aliases))
    ]


def course_line(db: Connection, course: Course) -> str:
    """One course as a list has it, with the places that are left."""
    left = max(0, course.places - signups.count(db, course.code, signups.IN))
    places = f"余{left}名" if left else "满，可候补"
    return f"{course.name}（{day(course.starts)}，{course.place}，{places}）"


def mine(db: Connection, offers: Offers, phone: str) -> Sequence[Course]:
    """The courses that this number is in or waits for."""
    return [
        course
        for course in offers.courses
        if any(row.state != signups.OUT for row in signups.find(db, course.code, phone))
    ]


def join(db: Connection, course: Course, text: Waiting, now: datetime, zone: ZoneInfo) -> tuple[str, Mapping[str, str]]:
    """Sign somebody up; the template to answer with and its values."""
    signups.hold_course(db, course.code)
    who = people.by_phone(db, text.phone)
    person = who[0] if len(who) == 1 else None
    name = person.name if person else text.phone
    values = {"课程": course.name, "开课": day(course.starts), "地点": course.place, "电话": course.phone}
    if course.until < now.astimezone(zone).date():
        return "signup-closed", values
    stands = next((row.state for row in signups.find(db, course.code, text.phone, name)), signups.OUT)
    if stands == signups.OUT:
        stands = _next_place(db, course)
        if stands != signups.OUT:
            own = {"person_id": person.id if person else None, "inbound_id": text.id}
            signups.put(db, course.code, text.phone, name, stands, now, **own)
    if stands == signups.WAITING:
        line = [row.phone for row in signups.listed(db, course.code, signups.WAITING)]
        return "signup-waiting", {**values, "位次": str(line.index(text.phone) + 1)}
    return ("signup" if stands == signups.IN else "signup-full"), values


def _next_place(db: Connection, course: Course) -> str:
    if signups.count(db, course.code, signups.IN) < course.places:
        return signups.IN
    return signups.WAITING if signups.count(db, course.code, signups.WAITING) < course.waiting else signups.OUT


def leave(db: Connection, course: Course, text: Waiting, now: datetime) -> tuple[bool, Sequence[str]]:
    """Take a number out of a course; whether it was in it, and the numbers that move up."""
    signups.hold_course(db, course.code)
    mine = [row for row in signups.find(db, course.code, text.phone) if row.state != signups.OUT]
    for row in mine:
        signups.move(db, row.id, signups.OUT, now)
    free = course.places - signups.count(db, course.code, signups.IN)
    moved = signups.listed(db, course.code, signups.WAITING)[: max(0, free)]
    for row in moved:
        signups.move(db, row.id, signups.IN, now)
    return bool(mine), [row.phone for row in moved]
