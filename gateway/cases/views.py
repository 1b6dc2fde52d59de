"""Cases as callers see them: plain values, and what of them is kept from whom.

Policy (who sees a case)
- An official sees the cases of their area; directors, administrators and auditors all of them, whole.
- A restricted case (a complaint, or somebody who asked not to be named) is never shown to officers of the window that
  it is about, and its number and names only to whoever handles it: the officers of the window it lies at.
- Which window an officer belongs to is what duty.toml says. One whom it does not name sees no restricted case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from gateway import phone as phones
from gateway.config import Duty
from gateway.model import CaseState, Role
from gateway.officials import Official

SEE_ALL = (Role.DIRECTOR, Role.ADMIN, Role.AUDITOR)
Why = tuple[str, str]
"""One line of an explanation, in Chinese and in English."""


@dataclass(frozen=True, slots=True)
class Case:
    """Where a case stands; `phone` is whole for those who may see it, else masked."""

    number: str
    phone: str
    window: str
    kind: str
    item: str | None
    state: CaseState
    area: str
    title: str
    name: str | None
    behalf: str | None
    broadcast_id: int | None
    urgent: bool
    restricted: bool
    about: str | None
    external: str | None
    officer: str | None
    opened_at: datetime
    signed_due_at: datetime | None
    first_due_at: datetime | None
    due_at: datetime | None
    signed_at: datetime | None
    first_answer_at: datetime | None
    waiting_since: datetime | None
    closed_at: datetime | None
    closed_how: str | None
    rounds: int
    solved: bool | None
    rating: int | None
    publish: bool


@dataclass(frozen=True, slots=True)
class Event:
    """One thing said or done; `kind` is one of model.Happened."""

    id: int
    kind: str
    who: str
    body: str
    data: Mapping[str, Any]
    message_id: int | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Conversation:
    """A case with its events, oldest first; `why` explains its due times, `holding` is office time by window."""

    case: Case
    events: Sequence[Event]
    why: Sequence[Why]
    holding: Mapping[str, float]
    subs: Sequence[str] = ()
    parent: str | None = None


def case_of(row: Any) -> Case:
    """The value of a row."""
    values = {field.name: getattr(row, field.name) for field in fields(Case)}
    return Case(**{**values, "state": CaseState(row.state)})


def event_of(row: Any) -> Event:
    """The value of an event's row."""
    return Event(**{field.name: getattr(row, field.name) for field in fields(Event)})


class Sight:
    """Who may see what, by the site's rota."""

    def __init__(self, duty: Duty) -> None:
        self._duty = duty

    def window(self, by: Official) -> str | None:
        """The window that an official works at; None where the rota does not say."""
        officer = self._duty.officer(by.login)
        return officer.window if officer else None

    def may_see(self, row: Any, by: Official | None) -> bool:
        """Whether the case may be shown to `by`; None is the machine the gateway runs on."""
        if by is None:
            return True
        if not by.sees(row.area):
            return False
        return not row.restricted or self._trusted(by) or self._not_of_the_accused(row, by)

    def _not_of_the_accused(self, row: Any, by: Official) -> bool:
        window = self.window(by)
        return window is not None and (not window or window != row.about)

    def _trusted(self, by: Official) -> bool:
        return not by.roles.isdisjoint(SEE_ALL)

    def masked(self, case: Case, by: Official | None) -> Case:
        """The case as `by` sees it."""
        if not case.restricted or by is None or self._trusted(by) or self.window(by) == case.window:
            return case
        name, behalf = ("某人" if case.name else None), ("某人" if case.behalf else None)
        title = phones.mask_numbers(case.title)
        return replace(case, phone=phones.mask(case.phone), title=title, name=name, behalf=behalf)

    def masked_row(self, row: Any, by: Official | None) -> Case:
        """The case of a row as `by` sees it."""
        return self.masked(case_of(row), by)

    def masked_event(self, event: Event, case: Case, by: Official | None) -> Event:
        """An event of it, numbers in its words masked where the case's own is."""
        hides = self.masked(case, by) is not case
        return replace(event, body=phones.mask_numbers(event.body)) if hides else event
