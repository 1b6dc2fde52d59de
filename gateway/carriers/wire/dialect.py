"""What a protocol has to say for itself, so that links and carriers need know none.

A `Dialect` is the gateway's side of a protocol, a `Gate` the operator's: both are pure translations between the
contract's words and the fields of the protocol's tables. They hold the login and nothing that changes but what a login
teaches (the version that was agreed). Neither reads a clock nor touches a socket.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any, ClassVar, NamedTuple

from gateway import carriers
from gateway.carriers import Concat, Receipt, Received, Text
from gateway.carriers.wire.codec import Codec, Pdu
from gateway.carriers.wire.content import Piece
from gateway.codes import Code, Entry, Stage, explain
from gateway.model import ReceiptState
from gateway.text import Cutting


class Role(Enum):
    """What a frame is to the link that reads it."""

    ADMITTED = "the answer to our login"
    ANSWERED = "the answer to a text of ours"
    INBOUND = "a receipt or a text, to be acknowledged when it is stored"
    ASKED = "a question that is answered at once: a link test, or what we do not serve"
    ALIVE = "the answer to our link test"
    ENDING = "the peer wants to end"
    ENDED = "the answer to our wish to end"
    KNOCKING = "the login of an operator that opens links to us"
    IGNORED = "nothing to us"


class Mode(StrEnum):
    """What a link is for."""

    BOTH = "both"
    SEND = "send"
    RECEIVE = "receive"

    @property
    def sends(self) -> bool:
        return self is not Mode.RECEIVE


@dataclass(frozen=True, kw_only=True)
class WireSettings(carriers.Carrier.Settings):
    """What every wire protocol is told. Times are seconds.

    `service_code` is the access number that texts come from, with the extension digits we use; `in_flight` frames may
    be unanswered on each of `links`; a link that is silent for `idle_seconds` is tested, and closed after `tests`
    without an answer; a text that has no answer in `answer_seconds` is uncertain. `ask_receipts`: whether receipts are
    asked for; a lost link is not opened again before `relogin_seconds`. `codes`: what the account's own codes
    mean. `signature` is the site's: where the operator adds it itself, room is left for it.
    """

    host: str
    port: int
    service_code: str = ""
    links: int = 1
    in_flight: int = 16
    connect_seconds: float = 10.0
    answer_seconds: float = 60.0
    idle_seconds: float = 60.0
    tests: int = 3
    relogin_seconds: float = 0.0
    signature: str = ""
    signature_place: str = "front"
    ask_receipts: bool = True
    codes: Mapping[str, Entry] = field(default_factory=dict)

    def problems(self) -> Iterator[tuple[str, str, str]]:
        if not 0 < self.port < 65536:
            yield "port", "端口是 1 到 65535", "a port is 1 to 65535"
        for key in ("links", "in_flight", "tests"):
            if getattr(self, key) < 1:
                yield key, "至少 1", "at least 1"
        for key in ("connect_seconds", "answer_seconds", "idle_seconds"):
            if getattr(self, key) <= 0:
                yield key, "应大于 0", "should be above 0"


def choice(key: str, value: str, among: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """The problem of a setting that is none of `among`, if it is none."""
    if value not in among:
        yield key, f"应是 {'、'.join(among)} 之一", f"should be one of {', '.join(among)}"


def fits(settings: Any, **most: int) -> Iterator[tuple[str, str, str]]:
    """The problems of settings that go into fields of so many octets; of secrets only the login itself knows."""
    for key, size in most.items():
        value = getattr(settings, key)
        if not value.isascii() or len(value) > size:
            yield key, f"最多 {size} 个英文字母或数字", f"at most {size} ASCII characters"


class Dialect(ABC):
    """The gateway's side of one protocol, for one login."""

    protocol: ClassVar[str]
    """As status codes are kept under it."""
    roles: ClassVar[Mapping[str, Role]]
    """By the name of the frame; one that is in no table is `unasked`'s."""
    last_sequence: ClassVar[int] = 0xFFFFFFFF
    on_demand: ClassVar[bool] = False
    """Whether links are opened when they are needed, so that a peer's closing is no alarm."""
    sleeps: bool = False
    """Whether we end idle ones; else one that was closed is opened again, since something may come over it."""
    first_sequence: int = 1
    codec: Codec

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.noticed: dict[str, str] = {}

    def explained(self, stage: Stage, code: str) -> Code:
        """What a status code means, the account's own meanings first."""
        return explain(self.protocol, stage, code, self.settings.codes)

    def final(self, code: str) -> ReceiptState | None:
        """What a receipt's code says in the end; None while it says only: not yet."""
        kind = self.explained("receipt", code).kind
        if kind == "pending":
            return None
        return ReceiptState.DELIVERED if kind == "delivered" else ReceiptState.UNDELIVERED

    def plan(self) -> list[Mode]:
        """The links of the account, by what they are for."""
        return [Mode.BOTH] * self.settings.links

    def read(self, frame: bytes) -> Pdu:
        """A whole frame that came."""
        return self.codec.decode(frame)

    @classmethod
    @abstractmethod
    def cutting(cls, settings: Any) -> Cutting:
        """How long texts are cut."""

    def header(self, reference: int, total: int, number: int) -> bytes:
        """What each part of a long text begins with; asked where `cutting` has one."""
        raise NotImplementedError

    @abstractmethod
    def sequence(self, pdu: Pdu) -> int:
        """The number that joins an answer to its request, within a link."""

    @abstractmethod
    def numbered(self, sequence: int, now: datetime) -> dict[str, Any]:
        """The header fields of a request of ours."""

    @abstractmethod
    def login(self, mode: Mode, now: datetime) -> Pdu:
        """The request that opens a link."""

    @abstractmethod
    def admitted(self, pdu: Pdu) -> str:
        """The status code of a login's answer, "" for success."""

    @abstractmethod
    def submit(self, text: Text, piece: Piece) -> Pdu:
        """One part of a text."""

    def let_in(self, pdu: Pdu) -> tuple[Pdu, bool]:
        """The answer to an operator that opens a link to us, and whether it is let in."""
        raise NotImplementedError

    def named(self, pdu: Pdu) -> str:
        """The reference that we chose for a part, where the protocol has us choose; else ""."""
        return ""

    @abstractmethod
    def answered(self, pdu: Pdu) -> tuple[str, str]:
        """The reference that was given to a part, and the status code, "" for success."""

    @abstractmethod
    def items(self, pdu: Pdu, now: datetime) -> list[Receipt | Received]:
        """What an inbound frame says; none for what is not final yet."""

    @abstractmethod
    def stored(self, pdu: Pdu) -> Pdu:
        """The acknowledgement of an inbound frame."""

    @abstractmethod
    def reply(self, pdu: Pdu) -> Pdu | None:
        """What is answered at once to a link test, to the wish to end, and to what we do not serve."""

    @abstractmethod
    def test(self) -> Pdu | None:
        """A link test; None where the protocol has none."""

    @abstractmethod
    def end(self) -> Pdu:
        """The wish to end."""

    def unasked(self, pdu: Pdu) -> Role:
        """What a frame without a role is."""
        return Role.IGNORED


class Submitted(NamedTuple):
    """A part as the operator read it: `phone` in E.164, the text without its header."""

    phone: str
    sender: str
    body: str
    concat: Concat | None
    wants_receipt: bool


class Said(NamedTuple):
    """What the operator says of a part: `stat` as the protocol spells it, DELIVRD when it arrived."""

    ref: str
    phone: str
    sender: str
    stat: str
    at: datetime


class Gate(ABC):
    """The operator's side of one protocol, for one link."""

    codec: Codec
    admits: ClassVar[frozenset[str]]
    """Names of the frames that ask to be let in, that bring texts, that acknowledge, that end."""
    submits: ClassVar[frozenset[str]]
    acknowledges: ClassVar[frozenset[str]]
    ends: ClassVar[frozenset[str]]
    busy: ClassVar[int]
    """The code that says: slower."""
    refusal: ClassVar[int]
    """A code that says: never."""

    @abstractmethod
    def admit(self, pdu: Pdu, user: str, secret: str, now: datetime) -> tuple[Pdu, bool, Mode]:
        """The answer to a login, whether it is let in, and what the link is for."""

    @abstractmethod
    def taken(self, pdu: Pdu) -> Submitted:
        """The text in a submit."""

    @abstractmethod
    def reference(self, pdu: Pdu, number: int, now: datetime) -> str:
        """The reference of the `number`-th part taken, as a receipt names it."""

    @abstractmethod
    def answer(self, pdu: Pdu, ref: str, code: int) -> Pdu:
        """The answer to a submit: taken under `ref`, or refused with `code`."""

    @abstractmethod
    def report(self, said: Said) -> Pdu:
        """A receipt."""

    @abstractmethod
    def text(self, phone: str, to: str, piece: Piece, number: int, now: datetime) -> Pdu:
        """One part of a text to us."""

    @abstractmethod
    def reply(self, pdu: Pdu) -> Pdu | None:
        """What is answered to a link test or to the wish to end; None for what wants no answer."""

    @abstractmethod
    def sequence(self, pdu: Pdu) -> int:
        """As for the other side."""

    @abstractmethod
    def numbered(self, sequence: int, now: datetime) -> dict[str, Any]:
        """The header fields of a request of the operator's."""

    def call(self, user: str, secret: str) -> Pdu:
        """The login of an operator that opens links to us."""
        raise NotImplementedError

    def let_in(self, pdu: Pdu) -> bool:
        """Whether an acknowledgement says that we let in the operator that called us."""
        return False
