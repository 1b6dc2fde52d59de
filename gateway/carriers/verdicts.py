"""What a provider is asked and what its answer means, as values: requests, answers, and the verdict on each.

What a code means stands in the status codes: what is about the pace, the hours or the account is tried later, what
nobody can tell is uncertain, all else is the text's own fault and final.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.carriers import Answer, Deferred, Rejected, Text, Uncertain
from gateway.codes import Code

THROTTLES = frozenset({429, 503})
MISDIRECTED = frozenset({401, 403, 404, 405, 407, 410, 421})
"""Statuses that are about the account or its address, not about a text."""


class Job(NamedTuple):
    """A text to send: jobs of one `key` may share a request; `params` is the protocol's own."""

    text: Text
    key: Hashable
    params: Any = None


@dataclass(eq=False, slots=True)
class Batch:
    """What one request carries. `ref` is ours and names it where the protocol has a place for that."""

    jobs: Sequence[Job]
    ref: str = field(default_factory=lambda: secrets.token_hex(8))
    tries: int = 0

    @property
    def texts(self) -> list[Text]:
        return [job.text for job in self.jobs]


class Request(NamedTuple):
    """As it leaves; `url` is encoded."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


class Answered(NamedTuple):
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """None where it is no JSON."""
        return parsed(self.body)


class Wait(NamedTuple):
    """The provider takes no more just now; `seconds` where it says for how long."""

    error: str
    seconds: float | None = None


class Refusal(NamedTuple):
    """The provider refuses the account, whatever the text."""

    error: str


class Apart(NamedTuple):
    """A request of several was refused for what is wrong with one of them: each is to be sent by itself."""

    error: str


Verdict = Sequence[Answer] | Wait | Refusal | Apart


def unread(texts: Sequence[Text], answered: Answered, refs: Callable[[Text], tuple[str, ...]]) -> Verdict:
    """What a status alone says. One of success without the protocol's words is as good as no answer."""
    status, error = answered.status, f"HTTP {answered.status}"
    if status in THROTTLES:
        return Wait(error, retry_after(answered.headers))
    if status in MISDIRECTED or 300 <= status < 400:
        return Refusal(error)
    if 400 <= status < 500:
        return [Rejected(text, error) for text in texts]
    return [Uncertain(text, error, refs(text)) for text in texts]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds; a date is not read, for clocks differ."""
    said = headers.get("retry-after", "").strip()
    return float(said) if said.isascii() and said.isdigit() and len(said) < 6 else None


def judged(code: Code, batch: Batch, refs: Callable[[Text], tuple[str, ...]]) -> Verdict:
    """The verdict on a whole request by what the provider's code means."""
    if code.does == "slow":
        return Wait(code.code)
    if of_the_account(code):
        return Refusal(code.code)
    return [judged_alone(code, text, refs(text)) for text in batch.texts]


def of_the_account(code: Code) -> bool:
    """Whether every other text would be told the same until somebody mends something."""
    return code.kind == "account" or (code.kind == "quota" and code.does == "tell")


def judged_alone(code: Code, text: Text, refs: tuple[str, ...] = ()) -> Answer:
    """The answer for one text by what the provider's code means."""
    if code.kind == "uncertain":
        return Uncertain(text, code.code, refs)
    if code.does in ("retry", "slow", "wait") or of_the_account(code):
        return Deferred(text, code.code)
    return Rejected(text, code.code)


def parsed(body: bytes) -> Any:
    """JSON, or None where it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def one_ref(ref: str, text: Text) -> tuple[str, ...]:
    """The references of a text of which the provider speaks as a whole: its first part bears it."""
    return (ref, *[""] * (text.parts - 1))
