"""The contract between the gateway and an operator's gate.

Policy
- A carrier only translates. It persists nothing, decides nothing and knows no other module of the gateway.
- `submit` never blocks and never raises for a text. What became of each comes back later as a value, in batches, to
  `answered`: Accepted, Rejected (for good), Deferred (may be tried later), Uncertain (it may have left: the link died
  before the operator answered). Every text handed over is answered exactly once while the carrier is open; `close`
  answers what is still in flight with Uncertain.
- A carrier that cannot work as a whole raises `Unavailable` from `open`, or calls `failed` when it stops working later.
- What comes in (receipts, texts) goes to `await receive(items)`, once per chunk read. When that returns the items are
  safe and may be acknowledged to the operator; when it raises they must not be.

`[carriers.NAME] protocol = "cmpp"` loads `gateway.carriers.cmpp`; one with a dot is a module outside the package.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from importlib import import_module
from typing import Any, NamedTuple

from gateway.errors import Invalid, Problem
from gateway.model import ReceiptState


class Text(NamedTuple):
    """One text to one number (E.164). `parts` wire parts; `key` and `attempt` name it in what comes back."""

    key: int
    attempt: int
    phone: str
    body: str
    parts: int


class Accepted(NamedTuple):
    """The operator took it; one reference per part, in order."""

    text: Text
    refs: tuple[str, ...]


class Rejected(NamedTuple):
    """The operator refuses this text for good; `error` is its own code."""

    text: Text
    error: str


class Deferred(NamedTuple):
    """The operator cannot take this text now; it did not leave."""

    text: Text
    error: str


class Uncertain(NamedTuple):
    """The text may have left and nobody can tell."""

    text: Text
    error: str


Answer = Accepted | Rejected | Deferred | Uncertain


class Receipt(NamedTuple):
    """What the operator says in the end of the part it gave `ref` to; `phone` in E.164."""

    ref: str
    phone: str
    state: ReceiptState
    error: str | None
    at: datetime


class Concat(NamedTuple):
    """Which part of a long text: the sender's reference of the whole, how many parts, which one from 1."""

    ref: int
    total: int
    number: int


class Received(NamedTuple):
    """One text that came in, or with `concat` a part of one. `ref` is the operator's own id of it, or ""."""

    ref: str
    phone: str
    to: str
    body: str
    at: datetime
    concat: Concat | None = None


Items = Sequence[Receipt | Received]


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """What a carrier is given to speak through; all four are called on the event loop."""

    answered: Callable[[Sequence[Answer]], None]
    receive: Callable[[Items], Awaitable[None]]
    failed: Callable[[str], None]
    now: Callable[[], datetime]


class Carrier(ABC):
    """One login with one operator. Made closed; `open` before use."""

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """The protocol's own keys of `[carriers.NAME]`."""

    def __init__(self, name: str, settings: Any, links: Links) -> None:
        self.name = name
        self.settings = settings
        self.links = links

    @property
    @abstractmethod
    def capacity(self) -> int:
        """Parts that may be in flight over all links: in_flight x links."""

    @property
    @abstractmethod
    def free(self) -> int:
        """Parts it can take now; 0 while it is not connected."""

    @abstractmethod
    def submit(self, texts: Sequence[Text]) -> None:
        """Take texts of at most `free` parts in all, or one text of any length when nothing is in flight."""

    @abstractmethod
    async def open(self) -> None:
        """Log in; `Unavailable` when that fails."""

    @abstractmethod
    async def close(self) -> None:
        """Let what is in flight be answered or call it Uncertain; then end the links."""


def load(protocol: str) -> type[Carrier]:
    """The class `Carrier` of a protocol's module; ModuleNotFoundError when there is none."""
    module = import_module(protocol if "." in protocol else f"gateway.carriers.{protocol}")
    carrier: type[Carrier] = module.Carrier
    return carrier


def settings_of(carrier: type[Carrier], name: str, options: Mapping[str, object]) -> Any:
    """The carrier's Settings from its table; `Invalid` names every unknown key and every wrong type."""
    known = {f.name: f for f in fields(carrier.Settings)}
    problems = [_unknown(name, key, list(known)) for key in options if key not in known]
    values = {}
    for key, value in options.items():
        if key not in known:
            continue
        wanted = _type_of(known[key].type)
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            problems.append(_mistyped(name, key, wanted))
        values[key] = value
    if problems:
        raise Invalid(problems)
    return carrier.Settings(**values)


def takes(carrier: type[Carrier], key: str) -> bool:
    """Whether the protocol has a setting of this name."""
    return any(f.name == key for f in fields(carrier.Settings))


_TYPES: Mapping[str, type] = {"int": int, "float": float, "str": str, "bool": bool, "list": list}


def _type_of(annotation: object) -> type:
    name = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "str")
    return _TYPES.get(name.split("[")[0].split(" ")[0], str)


def _unknown(carrier: str, key: str, known: Sequence[str]) -> Problem:
    listed = ", ".join(known)
    return Problem(
        "config.toml",
        f"carriers.{carrier}.{key}",
        None,
        f"没有这个设置；可用的有：{listed}",
        f"no such setting; there are: {listed}",
    )


def _mistyped(carrier: str, key: str, wanted: type) -> Problem:
    return Problem(
        "config.toml",
        f"carriers.{carrier}.{key}",
        None,
        f"应为 {wanted.__name__}",
        f"should be {wanted.__name__}",
    )
