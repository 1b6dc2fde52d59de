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
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from datetime import datetime
from importlib import import_module
from typing import Any, NamedTuple

from gateway.errors import Invalid, Problem
from gateway.model import ReceiptState
from gateway.text import Cutting


class Text(NamedTuple):
    """One text to one number (E.164). `parts` wire parts; `key` and `attempt` name it in what comes back.

    `priority` is that of the model, 0 for emergencies to 3 for bulk; past `expires_at` it is worth nothing any more.
    """

    key: int
    attempt: int
    phone: str
    body: str
    parts: int
    priority: int = 2
    expires_at: datetime | None = None


class Accepted(NamedTuple):
    """The operator took it; one reference per part, in order."""

    text: Text
    refs: tuple[str, ...]


class Rejected(NamedTuple):
    """The operator refuses this text for good; `error` is its own code.

    `refs`, one per part, are of a long text of which it took some parts: "" stands for a part that it refused.
    """

    text: Text
    error: str
    refs: tuple[str, ...] = ()


class Deferred(NamedTuple):
    """The operator cannot take this text now; it did not leave."""

    text: Text
    error: str


class Uncertain(NamedTuple):
    """The text may have left and nobody can tell.

    `refs`, one per part, are those that a receipt may yet name: of parts that were taken, or chosen by us; else "".
    """

    text: Text
    error: str
    refs: tuple[str, ...] = ()


Answer = Accepted | Rejected | Deferred | Uncertain


class Receipt(NamedTuple):
    """What the operator says in the end of the part it gave `ref` to; `phone` in E.164, "" where it names none."""

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
    """One text that came in, or with `concat` a part of one. `ref` is the operator's id of it, "" if there is none."""

    ref: str
    phone: str
    to: str
    body: str
    at: datetime
    concat: Concat | None = None


Items = Sequence[Receipt | Received]


class Call(NamedTuple):
    """A provider's request to our callback address. Header names are in lower case; `query` has the first of each.

    `token` is what stood behind the account's name in the address: a secret of ours, where the provider signs nothing.
    """

    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    token: str = ""


class Reply(NamedTuple):
    """What a callback brought, and what the provider is told once that is stored."""

    items: Items
    status: int = 200
    body: str = ""
    content_type: str = "text/plain"


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
        """The protocol's own keys of `[carriers.NAME]`. A secret X is written `X_env` there and is a `str` here."""

        def problems(self) -> Iterator[tuple[str, str, str]]:
            """What no type can tell: key, and what is wrong with it in Chinese and English."""
            yield from ()

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

    @property
    def links_up(self) -> tuple[int, int]:
        """Connections that work now, and how many there should be."""
        return (1, 1) if self.free else (0, 1)

    @property
    def noticed(self) -> Mapping[str, str]:
        """What the operator let us see of itself, for `carriers doctor`: its version, our address as it sees it, ..."""
        return {}

    @classmethod
    def cutting(cls, settings: Any) -> Cutting:
        """How the account's texts are encoded and cut into parts."""
        return Cutting()

    @classmethod
    def objection(cls, settings: Any, body: str) -> tuple[str, str] | None:
        """Why the account would refuse a text of this signed body, in Chinese and English; None where it takes it."""
        return None

    @classmethod
    def called(cls, settings: Any, call: Call, now: datetime) -> Reply:
        """Translate a provider's callback; nothing is acknowledged before its items are stored. Pure."""
        return Reply((), 404)

    @abstractmethod
    async def open(self) -> None:
        """Log in; `Unavailable` when that fails."""

    @abstractmethod
    async def close(self) -> None:
        """Let what is in flight be answered or call it Uncertain; then end the links."""


def load(protocol: str) -> type[Carrier]:
    """The class `Carrier` of a protocol's module; ModuleNotFoundError when there is none."""
    module = import_module(protocol if "." in protocol else f"gateway.carriers.{protocol}")
    carrier: type[Carrier] | None = vars(module).get("Carrier")
    if carrier is None:
        raise ModuleNotFoundError(protocol)
    return carrier


def settings_of(carrier: type[Carrier], name: str, options: Mapping[str, object]) -> Any:
    """The carrier's Settings from its table; `Invalid` names every key that is unknown, missing or wrong."""
    known = {f.name: f for f in fields(carrier.Settings)}
    problems = [_unknown(name, key, list(known)) for key in options if key not in known]
    values = {key: _value(known[key].type, value) for key, value in options.items() if key in known}
    problems += [_mistyped(name, key, known[key].type) for key, value in values.items() if value is WRONG]
    problems += [_missing(name, key) for key, f in known.items() if key not in options and _required(f)]
    if not problems:
        settings = carrier.Settings(**values)
        problems = [Problem("config.toml", f"carriers.{name}.{key}", None, *said) for key, *said in settings.problems()]
        if not problems:
            return settings
    raise Invalid(problems)


WRONG = object()


def _value(annotation: object, value: object) -> object:
    """As the setting's type has it, or WRONG."""
    wanted = _type_of(annotation)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if wanted is tuple and isinstance(value, list):
        return tuple(value)
    fits = isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))
    return value if fits else WRONG


def _required(setting: Field[Any]) -> bool:
    return setting.default is MISSING and setting.default_factory is MISSING


def takes(carrier: type[Carrier], key: str) -> bool:
    """Whether the protocol has a setting of this name."""
    return any(f.name == key for f in fields(carrier.Settings))


_TYPES: Mapping[str, type] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "list": list,
    "tuple": tuple,
    "dict": dict,
    "Mapping": dict,
}


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


_SAID: Mapping[type, tuple[str, str]] = {
    int: ("整数，不加引号", "a whole number, without quotes"),
    float: ("数，不加引号", "a number, without quotes"),
    str: ("文字，加引号", "text, in quotes"),
    bool: ("true 或 false", "true or false"),
    tuple: ('列表，如 ["甲", "乙"]', 'a list, as ["a", "b"]'),
    list: ('列表，如 ["甲", "乙"]', 'a list, as ["a", "b"]'),
    dict: ("表", "a table"),
}


def _mistyped(carrier: str, key: str, annotation: object) -> Problem:
    zh, en = _SAID[_type_of(annotation)]
    return Problem("config.toml", f"carriers.{carrier}.{key}", None, f"应为{zh}", f"should be {en}")


def _missing(carrier: str, key: str) -> Problem:
    return Problem("config.toml", f"carriers.{carrier}.{key}", None, "没有写", "is missing")
