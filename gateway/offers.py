"""Job offers and courses as the hall keeps them: the shape of offers.toml.

Policy
- An offer stands until its last day; a course takes sign-ups until its places are full or its last day, and then keeps
  a waiting list.
- Names and aliases are what people write after 报名; none stands for two courses.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated

from pydantic import Field

from gateway.hall import Finding, Text, Words, repeated
from gateway.tomlfile import Table


class Job(Table):
    """One employer's offer."""

    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    employer: Text
    work: Text
    place: Text
    pay: Text
    count: Annotated[int, Field(ge=1)]
    terms: str = ""
    phone: Text
    until: date
    keywords: Words = ()


class Course(Table):
    """One course that people sign up for by text."""

    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    name: Text
    aliases: Words = ()
    starts: date
    place: Text
    terms: str = ""
    places: Annotated[int, Field(ge=1)]
    waiting: Annotated[int, Field(ge=0)] = 20
    until: date
    phone: Text


class Offers(Table):
    """offers.toml as a whole."""

    jobs: tuple[Job, ...] = ()
    courses: tuple[Course, ...] = ()

    def course(self, code: str) -> Course | None:
        return next((course for course in self.courses if course.code == code), None)


def contradictions(offers: Offers) -> Iterator[Finding]:
    """Codes and names that stand twice, and courses that take names after they began."""
    yield from repeated([(("jobs", n, "code"), one.code) for n, one in enumerate(offers.jobs)])
    yield from repeated([(("courses", n, "code"), one.code) for n, one in enumerate(offers.courses)])
    courses = list(enumerate(offers.courses))
    yield from repeated([(("courses", n, "name"), word) for n, one in courses for word in (one.name, *one.aliases)])
