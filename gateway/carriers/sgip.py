"""SGIP 1.2 (China Unicom, SP and SMG): the tables of its frames, and what they mean.

Source: China Unicom's specification text of SGIP 1.2 (2001-10). Policy, and where peers differ:
- Whoever opened a link asks, the other answers. Receipts and texts come over links that the operator opens to us, and
  are taken over our own as well, since some operators send them there.
- There is no link test. While we listen, a link of ours that is idle is ended and opened again with the next text;
  without a listener it is the only way for receipts to come, so that it stays, and is opened again when it was closed.
- The twelve octets of a sequence (node, time, counter) are the id of a part: we choose it, the answer repeats it, a
  REPORT names it. Some answers carry a time of their own, so that answers are told by node and counter alone; a REPORT
  means all three. The counter begins anywhere, so that ids of two runs within a second differ.
- A REPORT may name no number, and may come under DELIVER's command: it is told by its length.
- What an SP does not serve is answered with an error.
"""

from __future__ import annotations

import hmac
import random
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import structlog

from gateway.carriers import Links, Receipt, Received, Text
from gateway.carriers.wire import content, dialect
from gateway.carriers.wire.carrier import WireCarrier
from gateway.carriers.wire.codec import Codec, Pdu
from gateway.carriers.wire.content import Piece
from gateway.carriers.wire.dialect import Mode, Role, Said, Submitted, choice, fits
from gateway.carriers.wire.fields import Layout, Listed, Octets, Rest, Step, Tail, text, u8, u32
from gateway.carriers.wire.listener import Listener, ListeningSettings
from gateway.model import ReceiptState
from gateway.text import Cutting

log = structlog.get_logger()

LONGEST = 2048
SP_TO_SMG, SMG_TO_SP = 1, 2
"""Login Type."""
ILLEGAL_LOGIN, WRONG_TYPE, NOT_SERVED = 1, 4, 30
"""Results that we give."""
NEVER, ALWAYS = 2, 1
"""ReportFlag."""
SP_PAYS = "0" * 21
NOT_OF_A_REPLY = 2
"""MorelatetoMTFlag: no text of a phone caused this one."""


# -- tables ----------------------------------------------------------------------------------------------------

HEADER = (u32("Node"), u32("Time"), u32("Counter"))
"""The sequence."""


def _response(name: str, command: int) -> Layout:
    return Layout(f"{name}_RESP", command | 0x80000000, u8("Result"), Tail("Reserve", 8))


def _submit_number() -> tuple[Any, ...]:
    return u32("Submit_Node"), u32("Submit_Time"), u32("Submit_Counter")


def _reserve() -> Step:
    return Tail("Reserve", 8)


ROUTING = (
    *("ADDSP", "MODIFYSP", "DELETESP", "QUERYROUTE", "ADDTELESEG", "MODIFYTELESEG", "DELETETELESEG", "ADDSMG"),
    *("MODIFYSMG", "DELETESMG", "CHECKUSER"),
)
"""Commands 0x6 to 0x10, which go between gateways: known so that they can be refused."""

LAYOUTS = [
    Layout(
        "BIND", 0x1,
        u8("LoginType", SP_TO_SMG), text("LoginName", 16), text("LoginPassword", 16), _reserve(),
    ),
    _response("BIND", 0x1),
    Layout("UNBIND", 0x2),
    Layout("UNBIND_RESP", 0x80000002),
    Layout(
        "SUBMIT", 0x3,
        text("SPNumber", 21), text("ChargeNumber", 21), u8("UserCount"), Listed("UserNumber", 21, "UserCount"),
        text("CorpId", 5), text("ServiceType", 10), u8("FeeType"), text("FeeValue", 6), text("GivenValue", 6),
        u8("AgentFlag"), u8("MorelatetoMTFlag"), u8("Priority"), text("ExpireTime", 16), text("ScheduleTime", 16),
        u8("ReportFlag"), u8("TP_pid"), u8("TP_udhi"), u8("MessageCoding"), u8("MessageType"),
        u32("MessageLength"), Octets("MessageContent", "MessageLength", 160), _reserve(),
    ),
    _response("SUBMIT", 0x3),
    Layout(
        "DELIVER", 0x4,
        text("UserNumber", 21), text("SPNumber", 21), u8("TP_pid"), u8("TP_udhi"), u8("MessageCoding"),
        u32("MessageLength"), Octets("MessageContent", "MessageLength", 255), _reserve(),
    ),
    _response("DELIVER", 0x4),
    Layout(
        "REPORT", 0x5,
        *_submit_number(), u8("ReportType"), text("UserNumber", 21), u8("State"), u8("ErrorCode"), _reserve(),
    ),
    _response("REPORT", 0x5),
    *(Layout(name, command) for command, name in enumerate(ROUTING, 0x6)),
    *(_response(name, command) for command, name in enumerate(ROUTING, 0x6)),
    Layout("USERRPT", 0x11, text("SPNumber", 21), text("UserNumber", 21), u8("UserCondition"), _reserve()),
    _response("USERRPT", 0x11),
    Layout("TRACE", 0x1000, *_submit_number(), text("UserNumber", 21), _reserve()),
    Layout("TRACE_RESP", 0x80001000, u8("Count"), Rest("Nodes")),
]  # fmt: skip


class SgipCodec(Codec):
    """Tells a REPORT that came under DELIVER's command by its length, which no DELIVER has."""

    _MISTAKEN = struct.pack("!II", 64, 0x4)
    _MEANT = struct.pack("!II", 64, 0x5)

    def decode(self, frame: bytes) -> Pdu:
        if frame.startswith(self._MISTAKEN):
            frame = self._MEANT + frame[8:]
        return super().decode(frame)


CODEC = SgipCodec("sgip", HEADER, LAYOUTS, LONGEST)
CODECS: Mapping[str, Codec] = {"sgip": CODEC}


def node_id(area: str, corp: str) -> int:
    """An SP's node: 3, its area code filled up on the right to four digits, its enterprise code of five.

    >>> node_id("010", "12345"), node_id("0371", "1")
    (3010012345, 3037100001)
    """
    return int(f"3{area.ljust(4, '0')}{corp.rjust(5, '0')}")


def ref_of(*words: int) -> str:
    """The one form in which a sequence is written."""
    return "-".join(map(str, words))


def _sequence_of(pdu: Pdu) -> str:
    fields = pdu.fields
    return ref_of(fields["Node"], fields["Time"], fields["Counter"])


def _answer(name: str, pdu: Pdu, **fields: Any) -> Pdu:
    return Pdu(name, {word.name: pdu.fields[word.name] for word in HEADER} | fields)


# -- our side --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Settings(ListeningSettings):
    """`user` and `secret` are the login name and password; `corp` is the enterprise code, `node` our node number: where
    that is not given it is made of `area`, the telephone area code, and `corp`. `service` is the ServiceType.

    `payer` sp or recipient, `fee_type`, `fee_value` and `given_value` (fen) as the contract says. `alphabet` ucs2 or
    gb18030, `long` 6 or 7 as in CMPP. An answer comes within 30 s, 32 parts may be unanswered, and operators close
    what is idle for 60 s, so that we do before.
    """

    user: str
    secret: str
    corp: str = ""
    node: int = 0
    area: str = ""
    service: str = ""
    payer: str = "sp"
    fee_type: int = 1
    fee_value: str = "0"
    given_value: str = "0"
    alphabet: str = "ucs2"
    long: int = 6
    in_flight: int = 32
    answer_seconds: float = 30.0
    idle_seconds: float = 50.0

    @property
    def own_node(self) -> int:
        return self.node or node_id(self.area, self.corp)

    def problems(self) -> Iterator[tuple[str, str, str]]:
        yield from super().problems()
        yield from choice("payer", self.payer, ("sp", "recipient"))
        yield from choice("alphabet", self.alphabet, ("ucs2", "gb18030"))
        yield from fits(self, user=16, listen_user=16, corp=5, service=10)
        yield from fits(self, fee_value=6, given_value=6)
        if self.long not in (6, 7):
            yield "long", "长短信头是 6 或 7", "the header of long texts is 6 or 7"
        if not 0 <= self.fee_type <= 255:
            yield "fee_type", "0 到 255", "0 to 255"
        yield from self._node_problems()

    def _node_problems(self) -> Iterator[tuple[str, str, str]]:
        if not 0 <= self.node <= 0xFFFFFFFF:
            yield "node", "节点号放不进 32 位", "a node number has 32 bits"
        known = all(part.isascii() and part.isdigit() for part in (self.area, self.corp)) and len(self.area) in (3, 4)
        if not self.node and not known:
            zh = "写运营商给的节点号（3、四位区号、五位企业代码），或写 area 和 corp"
            yield "node", zh, "give the node number (3, area code, enterprise code) or both area and corp"


class Sgip(dialect.Dialect):
    """SP."""

    protocol = "sgip"
    settings: Settings
    codec = CODEC
    on_demand = True
    roles: ClassVar[Mapping[str, Role]] = {
        "BIND": Role.KNOCKING,
        "BIND_RESP": Role.ADMITTED,
        "SUBMIT_RESP": Role.ANSWERED,
        "DELIVER": Role.INBOUND,
        "REPORT": Role.INBOUND,
        "USERRPT": Role.INBOUND,
        "UNBIND": Role.ENDING,
        "UNBIND_RESP": Role.ENDED,
        **dict.fromkeys(("SUBMIT", "TRACE", *ROUTING), Role.ASKED),
    }

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.sleeps = bool(settings.listen)
        self.first_sequence = random.randrange(1, self.last_sequence)
        self.header = content.header_of_6 if settings.long == 6 else content.header_of_7  # type: ignore[method-assign]
        self._node = settings.own_node
        self._constant = {
            "SPNumber": settings.service_code,
            "CorpId": settings.corp,
            "ServiceType": settings.service,
            "FeeType": settings.fee_type,
            "FeeValue": settings.fee_value,
            "GivenValue": settings.given_value,
            "MorelatetoMTFlag": NOT_OF_A_REPLY,
            "ReportFlag": ALWAYS if settings.ask_receipts else NEVER,
        }

    @classmethod
    def cutting(cls, settings: Any) -> Cutting:
        return Cutting(settings.alphabet, settings.long)

    def sequence(self, pdu: Pdu) -> int:
        """The counter, where the answer is to us."""
        return int(pdu.fields["Counter"]) if pdu.fields["Node"] == self._node else -1

    def numbered(self, sequence: int, now: datetime) -> dict[str, Any]:
        return {"Node": self._node, "Time": content.stamp(now), "Counter": sequence}

    def named(self, pdu: Pdu) -> str:
        return _sequence_of(pdu)

    def login(self, mode: Mode, now: datetime) -> Pdu:
        return Pdu("BIND", {"LoginName": self.settings.user, "LoginPassword": self.settings.secret})

    def admitted(self, pdu: Pdu) -> str:
        return str(pdu.fields["Result"] or "")

    def let_in(self, pdu: Pdu) -> tuple[Pdu, bool]:
        result = self._judge(pdu)
        return _answer("BIND_RESP", pdu, Result=result), not result

    def _judge(self, pdu: Pdu) -> int:
        own, fields = self.settings, pdu.fields
        if not own.listen or fields["LoginType"] != SMG_TO_SP:
            return WRONG_TYPE
        given = (fields["LoginName"], fields["LoginPassword"])
        same = [
            hmac.compare_digest(said.encode("latin-1"), known.encode())
            for said, known in zip(given, (own.listen_user, own.listen_secret), strict=True)
        ]
        return 0 if all(same) else ILLEGAL_LOGIN

    def submit(self, text: Text, piece: Piece) -> Pdu:
        number = content.international(text.phone)
        return Pdu(
            "SUBMIT",
            self._constant
            | {
                "ChargeNumber": SP_PAYS if self.settings.payer == "sp" else number,
                "UserNumber": (number,),
                "Priority": 9 - 3 * text.priority,
                "ExpireTime": content.absolute(text.expires_at, 16),
                "TP_udhi": int(piece.has_header),
                "MessageCoding": piece.format,
                "MessageContent": piece.octets,
            },
        )

    def answered(self, pdu: Pdu) -> tuple[str, str]:
        return "", str(pdu.fields["Result"] or "")

    def items(self, pdu: Pdu, now: datetime) -> list[Receipt | Received]:
        fields = pdu.fields
        if pdu.name == "DELIVER":
            return [_inbound_text(pdu, now)]
        if pdu.name == "USERRPT":
            log.info("sgip.user_condition", condition=fields["UserCondition"])
            return []
        return self._receipt(fields, now)

    def _receipt(self, fields: Mapping[str, Any], now: datetime) -> list[Receipt | Received]:
        code = f"{fields['State']}:{fields['ErrorCode']}"
        state = self.final(code)
        if state is None or fields["ReportType"] == 1:  # not yet, or about a text that a phone sent
            return []
        ref = ref_of(*(fields[f"Submit_{word.name}"] for word in HEADER))
        error = None if state is ReceiptState.DELIVERED else code
        return [Receipt(ref, content.mobile(fields["UserNumber"]), state, error, now)]

    def stored(self, pdu: Pdu) -> Pdu:
        return _answer(f"{pdu.name}_RESP", pdu, Result=0)

    def reply(self, pdu: Pdu) -> Pdu | None:
        if pdu.name == "TRACE":
            return _answer("TRACE_RESP", pdu, Count=1, Nodes=bytes([NOT_SERVED]).ljust(47, b"\0"))
        return _reply(pdu)

    def test(self) -> Pdu | None:
        return None

    def end(self) -> Pdu:
        return Pdu("UNBIND", {})


def _inbound_text(pdu: Pdu, now: datetime) -> Received:
    fields = pdu.fields
    concat, octets = content.joined(fields["MessageContent"], fields["TP_udhi"] != 0)
    sender, body = content.e164(fields["UserNumber"]), content.decode(octets, fields["MessageCoding"])
    return Received(_sequence_of(pdu), sender, fields["SPNumber"], body, now, concat)


def _reply(pdu: Pdu) -> Pdu | None:
    if pdu.name == "UNBIND":
        return _answer("UNBIND_RESP", pdu)
    answer = f"{pdu.name}_RESP"
    return _answer(answer, pdu, Result=NOT_SERVED) if answer in CODEC.layouts else None


class Carrier(WireCarrier):
    """An account with an SMG: links of ours, and where `listen` says so those that it opens to us."""

    Dialect = Sgip
    Settings = Settings

    def __init__(self, name: str, settings: Any, links: Links) -> None:
        super().__init__(name, settings, links)
        self.listener = Listener(self, self.dialect) if settings.listen else None

    async def open(self) -> None:
        if self.listener is None:
            await super().open()
            return
        await self.listener.open()
        try:
            await super().open()
        except BaseException:
            await self.listener.close()
            raise

    async def close(self) -> None:
        await super().close()
        if self.listener is not None:
            await self.listener.close()


# -- the operator's side, for rehearsals -----------------------------------------------------------------------


class Smg(dialect.Gate):
    """SMG."""

    codec = CODEC
    admits = frozenset({"BIND"})
    submits = frozenset({"SUBMIT"})
    acknowledges = frozenset({"BIND_RESP", "DELIVER_RESP", "REPORT_RESP", "USERRPT_RESP"})
    ends = frozenset({"UNBIND"})
    busy, refusal = 11, 6

    NODE = 103711
    STATES: ClassVar[Mapping[str, tuple[int, int]]] = {"DELIVRD": (0, 0), "ACCEPTD": (1, 0)}
    UNREACHABLE = (2, 25)

    def admit(self, pdu: Pdu, user: str, secret: str, now: datetime) -> tuple[Pdu, bool, Mode]:
        fields = pdu.fields
        fitting = (fields["LoginName"], fields["LoginPassword"]) == (user, secret)
        result = WRONG_TYPE if fields["LoginType"] != SP_TO_SMG else 0 if fitting else ILLEGAL_LOGIN
        return _answer("BIND_RESP", pdu, Result=result), not result, Mode.BOTH

    def call(self, user: str, secret: str) -> Pdu:
        return Pdu("BIND", {"LoginType": SMG_TO_SP, "LoginName": user, "LoginPassword": secret})

    def let_in(self, pdu: Pdu) -> bool:
        return pdu.name == "BIND_RESP" and pdu.fields["Result"] == 0

    def taken(self, pdu: Pdu) -> Submitted:
        fields = pdu.fields
        concat, octets = content.joined(fields["MessageContent"], fields["TP_udhi"] == 1)
        body = content.decode(octets, fields["MessageCoding"])
        phone = content.e164(next(iter(fields["UserNumber"]), ""))
        return Submitted(phone, fields["SPNumber"], body, concat, fields["ReportFlag"] == ALWAYS)

    def reference(self, pdu: Pdu, number: int, now: datetime) -> str:
        return _sequence_of(pdu)

    def answer(self, pdu: Pdu, ref: str, code: int) -> Pdu:
        return _answer("SUBMIT_RESP", pdu, Result=code)

    def report(self, said: Said) -> Pdu:
        """`stat` may be written as we read it: "2:5"."""
        state, error = self.STATES.get(said.stat, self.UNREACHABLE)
        if ":" in said.stat:
            state, error = map(int, said.stat.split(":"))
        words = zip(HEADER, map(int, said.ref.split("-")), strict=True)
        fields = {f"Submit_{word.name}": value for word, value in words}
        return Pdu(
            "REPORT",
            fields | {"UserNumber": content.international(said.phone), "State": state, "ErrorCode": error},
        )

    def text(self, phone: str, to: str, piece: Piece, number: int, now: datetime) -> Pdu:
        fields = {
            "UserNumber": content.international(phone),
            "SPNumber": to,
            "TP_udhi": int(piece.has_header),
            "MessageCoding": piece.format,
            "MessageContent": piece.octets,
        }
        return Pdu("DELIVER", fields)

    def reply(self, pdu: Pdu) -> Pdu | None:
        return _reply(pdu)

    def sequence(self, pdu: Pdu) -> int:
        return int(pdu.fields["Counter"])

    def numbered(self, sequence: int, now: datetime) -> dict[str, Any]:
        return {"Node": self.NODE, "Time": content.stamp(now), "Counter": sequence}


GATES = {"sgip": Smg}
"""For `gateway operator`."""
