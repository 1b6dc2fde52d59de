"""The vocabulary of the gateway and its transitions; pure.

A text's state is never stored. It is derived from facts that are appended and never changed: what was recorded when
it was submitted (`Outcome`) and what the operator said later (`ReceiptState`). The rule, in one place, is `text_state`;
the store counts by the same rule in SQL, and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

PARCEL_SIZE = 500
"""Texts in a full parcel."""

POSITION_BITS = 10
"""A message's id is its home parcel's id and its position in it; a parcel can never hold more than 1,024."""


def message_id(parcel_id: int, position: int) -> int:
    """The id of the text at `position` (from 0) of its home parcel."""
    return parcel_id << POSITION_BITS | position


def home_parcel(message: int) -> int:
    """The parcel that a text was first queued in, however often it was tried again."""
    return message >> POSITION_BITS


class Priority(IntEnum):
    """Lower goes first. The names are those of a template's `class`."""

    EMERGENCY = 0
    URGENT = 1
    NORMAL = 2
    BULK = 3


class ParcelState(StrEnum):
    """`held` waits for a person, `ready` may be taken by whoever holds the account; the others are ends."""

    HELD = "held"
    READY = "ready"
    DONE = "done"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Outcome(StrEnum):
    """What is recorded of one part when it was its turn. Final for that attempt."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DEFERRED = "deferred"
    UNCERTAIN = "uncertain"
    WITHHELD = "withheld"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class ReceiptState(StrEnum):
    """What the operator says of one part in the end."""

    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"


class TextState(StrEnum):
    """Derived; see `text_state`."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    REJECTED = "rejected"
    UNCERTAIN = "uncertain"
    WITHHELD = "withheld"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


ATTEMPT_ORDER: tuple[tuple[Outcome | ReceiptState, TextState], ...] = (
    (ReceiptState.UNDELIVERED, TextState.UNDELIVERED),
    (Outcome.REJECTED, TextState.REJECTED),
    (Outcome.WITHHELD, TextState.WITHHELD),
    (Outcome.EXPIRED, TextState.EXPIRED),
    (Outcome.CANCELLED, TextState.CANCELLED),
    (ReceiptState.DELIVERED, TextState.ACCEPTED),
    (Outcome.ACCEPTED, TextState.ACCEPTED),
    (Outcome.UNCERTAIN, TextState.UNCERTAIN),
)
"""The first of these that any part of an attempt shows is the attempt's state, unless all parts are delivered.

One part delivered of several is `accepted`: the operator has the text, and an answer outranks `uncertain`.
"""


@dataclass(frozen=True, slots=True)
class Fact:
    """One row of `submission` or `receipt`: part counts from 1."""

    attempt: int
    part: int
    what: Outcome | ReceiptState


def attempt_state(parts: int, facts: Iterable[Fact]) -> TextState:
    """The state of one attempt of a text of `parts` parts; `waiting` when all it shows is `deferred`."""
    seen: dict[Outcome | ReceiptState, set[int]] = {}
    for fact in facts:
        seen.setdefault(fact.what, set()).add(fact.part)
    if len(seen.get(ReceiptState.DELIVERED, ())) >= parts:
        return TextState.DELIVERED
    return next((state for what, state in ATTEMPT_ORDER if what in seen), TextState.WAITING)


def text_state(parts: int, facts: Iterable[Fact], *, end: ParcelState | None = None) -> TextState:
    """The state of a text: delivered if any attempt is, else that of its newest attempt.

    `end` is how the text's home parcel ended, which settles a text that has no fact of its own.
    """
    attempts: dict[int, list[Fact]] = {}
    for fact in facts:
        attempts.setdefault(fact.attempt, []).append(fact)
    if not attempts:
        return _unsent(end)
    states = {attempt: attempt_state(parts, its) for attempt, its in attempts.items()}
    if TextState.DELIVERED in states.values():
        return TextState.DELIVERED
    return states[max(states)]


def _unsent(end: ParcelState | None) -> TextState:
    if end is ParcelState.CANCELLED:
        return TextState.CANCELLED
    if end is ParcelState.EXPIRED:
        return TextState.EXPIRED
    return TextState.WAITING


class BroadcastState(StrEnum):
    """`due` is a slot's broadcast that no process has carried on yet; `composed` waits for approval."""

    DUE = "due"
    DRAFT = "draft"
    COMPOSING = "composing"
    COMPOSED = "composed"
    APPROVED = "approved"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    FAILED = "failed"


_B = BroadcastState
BROADCAST_MOVES: Mapping[BroadcastState, frozenset[BroadcastState]] = {
    _B.DUE: frozenset({_B.DRAFT, _B.COMPOSING, _B.FAILED, _B.CANCELLED}),
    _B.DRAFT: frozenset({_B.COMPOSING, _B.CANCELLED}),
    _B.COMPOSING: frozenset({_B.COMPOSED, _B.DRAFT, _B.FAILED, _B.COMPOSING}),
    _B.COMPOSED: frozenset({_B.APPROVED, _B.DRAFT, _B.COMPOSING, _B.CANCELLED}),
    _B.APPROVED: frozenset({_B.STOPPED, _B.CANCELLED}),
    _B.STOPPED: frozenset({_B.APPROVED, _B.CANCELLED}),
    _B.CANCELLED: frozenset(),
    _B.FAILED: frozenset({_B.DRAFT, _B.COMPOSING, _B.CANCELLED}),
}


class Role(StrEnum):
    """What an official may do; one person may have several, but never approve what they wrote."""

    AUTHOR = "author"
    APPROVER = "approver"
    CLERK = "clerk"
    DIRECTOR = "director"
    ADMIN = "admin"
    AUDITOR = "auditor"


class CaseState(StrEnum):
    """`open` waits for a window, `answered` for the person, `waiting` for papers, `closed` is finished."""

    OPEN = "open"
    ANSWERED = "answered"
    WAITING = "waiting"
    CLOSED = "closed"


class Happened(StrEnum):
    """What can happen to a case: the kinds of its events."""

    TEXT = "text"
    ACKNOWLEDGED = "acknowledged"
    SIGNED = "signed"
    REPLIED = "replied"
    CALLED = "called"
    ASKED_PAPERS = "asked_papers"
    PAPERS_CAME = "papers_came"
    BREACH = "breach"
    EXTENSION_ASKED = "extension_asked"
    EXTENDED = "extended"
    EXTENSION_REFUSED = "extension_refused"
    HANDED_OVER = "handed_over"
    HANDED_BACK = "handed_back"
    SPLIT_OFF = "split_off"
    MERGED = "merged"
    SUB_OPENED = "sub_opened"
    STEP = "step"
    MARKED = "marked"
    PAGED = "paged"
    WARNED = "warned"
    ESCALATED = "escalated"
    CLOSED = "closed"
    SOLVED = "solved"
    RATED = "rated"
    REMINDED = "reminded"
    REOPENED = "reopened"
    PUBLISHED = "published"


class Asked(StrEnum):
    """What the gateway can wait for an answer to: the kinds of its prompts."""

    SOLVED = "solved"
    RATING = "rating"
    WHICH_CASE = "which-case"
    SAME_MATTER = "same-matter"
    PAPERS = "papers"
    WHICH_ITEM = "which-item"
    WHICH_COURSE = "which-course"
    WHICH_CATEGORY = "which-category"
    MENU = "menu"


class LeftOut(StrEnum):
    """Why somebody of the audience gets no text of a broadcast."""

    OPTED_OUT = "opted_out"
    NO_NUMBER = "no_number"
    SAME_NUMBER = "same_number"
    NO_ROUTE = "no_route"
    DEAD = "dead"
    GOT_BEFORE = "got_before"
    MISSING_FIELD = "missing_field"


def within(area: str, prefix: str) -> bool:
    """Whether an administrative-division code lies in the area of `prefix` ("" is everywhere)."""
    return area.startswith(prefix)
