"""CMPP 2.0 and 3.0 (China Mobile, SP to ISMG): the tables of its frames, and what they mean.

Sources: China Mobile's specification texts of CMPP 2.0 (2002-04) and 3.0.0 (2003-11). Versions differ in the width of
numbers and results; a server that was asked for 3.0 and answers in the layout of 2.0 is spoken to in 2.0. Where peers
differ:
- The layout of an answer to a login is told by its length; only where that is neither's, by its Version.
- A receipt's body has 60 or 71 octets, told by its length and not by the version; a shorter one is read as far as it
  goes. Its Stat is kept as the seven characters that came. The number in it is the receiver's even where that of the
  frame is something else.
- AuthenticatorISMG is made over one or four octets of Status; others hash something else altogether, so that a mismatch
  is a warning and not a refusal, unless the account is `strict`.
- ACTIVE_TEST may be answered by another ACTIVE_TEST; both are signs of life.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, ClassVar

import structlog

from gateway.carriers import Receipt, Received, Text
from gateway.carriers.wire import content, dialect
from gateway.carriers.wire.carrier import WireCarrier
from gateway.carriers.wire.codec import Codec, Pdu
from gateway.carriers.wire.content import Piece
from gateway.carriers.wire.dialect import Mode, Role, Said, Submitted, WireSettings, choice, fits
from gateway.carriers.wire.fields import ByLength, Layout, Listed, Octets, Tail, Values, raw, text, u8, u32, u64
from gateway.codes import Code, Stage, explain
from gateway.model import ReceiptState
from gateway.text import Cutting

log = structlog.get_logger()

LONGEST = 4096
VERSIONS: Mapping[str, int] = {"2.0": 0x20, "2.1": 0x21, "3.0": 0x30}


# -- tables ----------------------------------------------------------------------------------------------------


def _layouts(three: bool) -> list[Layout]:
    number = 32 if three else 21
    result = 4 if three else 1
    return [
        Layout(
            "CONNECT", 0x1,
            text("Source_Addr", 6), raw("AuthenticatorSource", 16), u8("Version", 0x30 if three else 0x20),
            u32("Timestamp"),
        ),
        Layout(
            "CONNECT_RESP", 0x80000001,
            ByLength("Status", result, {30: 1, 33: 4}), raw("AuthenticatorISMG", 16),
            u8("Version", 0x30 if three else 0x20),
        ),
        Layout("TERMINATE", 0x2),
        Layout("TERMINATE_RESP", 0x80000002),
        Layout(
            "SUBMIT", 0x4,
            u64("Msg_Id"), u8("Pk_total", 1), u8("Pk_number", 1), u8("Registered_Delivery"), u8("Msg_level"),
            text("Service_Id", 10), u8("Fee_UserType"), text("Fee_terminal_Id", number),
            *((u8("Fee_terminal_type"),) if three else ()),
            u8("TP_pId"), u8("TP_udhi"), u8("Msg_Fmt"), text("Msg_src", 6), text("FeeType", 2), text("FeeCode", 6),
            text("ValId_Time", 17), text("At_Time", 17), text("Src_Id", 21), u8("DestUsr_tl"),
            Listed("Dest_terminal_Id", number, "DestUsr_tl"),
            *((u8("Dest_terminal_type"),) if three else ()),
            u8("Msg_Length"), Octets("Msg_Content", "Msg_Length", 160),
            Tail("LinkID", 20) if three else Tail("Reserve", 8),
        ),
        Layout("SUBMIT_RESP", 0x80000004, u64("Msg_Id"), ByLength("Result", result, {21: 1, 24: 4})),
        Layout(
            "DELIVER", 0x5,
            u64("Msg_Id"), text("Dest_Id", 21), text("Service_Id", 10), u8("TP_pid"), u8("TP_udhi"), u8("Msg_Fmt"),
            text("Src_terminal_Id", number), *((u8("Src_terminal_type"),) if three else ()),
            u8("Registered_Delivery"), u8("Msg_Length"), Octets("Msg_Content", "Msg_Length", 255),
            Tail("LinkID", 20) if three else Tail("Reserved", 8),
        ),
        Layout("DELIVER_RESP", 0x80000005, u64("Msg_Id"), ByLength("Result", result, {21: 1, 24: 4})),
        Layout("QUERY", 0x6, text("Time", 8), u8("Query_Type"), text("Query_Code", 10), text("Reserve", 8)),
        Layout(
            "QUERY_RESP", 0x80000006,
            text("Time", 8), u8("Query_Type"), text("Query_Code", 10),
            *map(u32, ("MT_TLMsg", "MT_Tlusr", "MT_Scs", "MT_WT", "MT_FL", "MO_Scs", "MO_WT", "MO_FL")),
        ),
        Layout("CANCEL", 0x7, u64("Msg_Id")),
        Layout("CANCEL_RESP", 0x80000007, ByLength("Success_Id", result, {13: 1, 16: 4})),
        Layout("ACTIVE_TEST", 0x8),
        Layout("ACTIVE_TEST_RESP", 0x80000008, Tail("Reserved", 1)),
    ]  # fmt: skip


HEADER = (u32("Sequence_Id"),)
CODECS: Mapping[str, Codec] = {
    "cmpp2": Codec("cmpp2", HEADER, _layouts(three=False), LONGEST),
    "cmpp3": Codec("cmpp3", HEADER, _layouts(three=True), LONGEST),
}

REPORT = Layout(
    "report", 0,
    u64("Msg_Id"), Tail("Stat", 7), Tail("Submit_time", 10), Tail("Done_time", 10), Tail("Rest", 36),
)  # fmt: skip
"""A receipt's Msg_Content; Rest is Dest_terminal_Id (21 or 32 octets) and SMSC_sequence."""


@cache
def codec_of(version: str) -> Codec:
    """The tables of a version of the settings; 2.1 has those of 2.0."""
    return CODECS["cmpp3" if version == "3.0" else "cmpp2"]


def authenticator(source: str, secret: str, timestamp: int) -> bytes:
    """AuthenticatorSource: MD5 over the id, nine NULs, the secret, and the time as ten digits."""
    return _md5(source.encode() + bytes(9) + secret.encode() + b"%010d" % timestamp)


def _md5(octets: bytes) -> bytes:
    return hashlib.md5(octets, usedforsecurity=False).digest()


def _sequence(pdu: Pdu) -> int:
    return int(pdu.fields["Sequence_Id"])


def _answer(name: str, pdu: Pdu, **fields: Any) -> Pdu:
    return Pdu(name, {"Sequence_Id": pdu.fields["Sequence_Id"], **fields})


def _inbound_text(fields: Values, now: datetime) -> Received:
    concat, octets = content.joined(fields["Msg_Content"], fields["TP_udhi"] != 0)
    sender, to = content.e164(fields["Src_terminal_Id"]), fields["Dest_Id"]
    return Received(str(fields["Msg_Id"]), sender, to, content.decode(octets, fields["Msg_Fmt"]), now, concat)


# -- our side --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Settings(WireSettings):
    """`user` is the SP_Id (six digits), `service` the Service_Id of the contract.

    `version` 2.0, 2.1 or 3.0. `alphabet` ucs2, or gb18030 where the operator asks for format 15. `long` 6 or 7: the
    header of long texts. `fee_type` and `fee_user` as the contract says. `national`: numbers without 86. `strict`: an
    operator that cannot prove itself is refused.
    """

    user: str
    secret: str
    version: str = "3.0"
    service: str = ""
    alphabet: str = "ucs2"
    long: int = 6
    fee_type: str = "01"
    fee_user: int = 2
    national: bool = True
    strict: bool = False

    def problems(self) -> Iterator[tuple[str, str, str]]:
        yield from super().problems()
        yield from choice("version", self.version, tuple(VERSIONS))
        yield from choice("alphabet", self.alphabet, ("ucs2", "gb18030"))
        if self.long not in (6, 7):
            yield "long", "长短信头是 6 或 7", "the header of long texts is 6 or 7"
        yield from fits(self, user=6, service=10, fee_type=2)
        if not 0 <= self.fee_user <= 3:
            yield "fee_user", "0 到 3", "0 to 3"


class Cmpp(dialect.Dialect):
    """SP."""

    protocol = "cmpp"
    settings: Settings
    roles: ClassVar[Mapping[str, Role]] = {
        "CONNECT_RESP": Role.ADMITTED,
        "SUBMIT_RESP": Role.ANSWERED,
        "DELIVER": Role.INBOUND,
        "ACTIVE_TEST": Role.ASKED,
        "ACTIVE_TEST_RESP": Role.ALIVE,
        "TERMINATE": Role.ENDING,
        "TERMINATE_RESP": Role.ENDED,
    }

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.codec = codec_of(settings.version)
        self.header = content.header_of_6 if settings.long == 6 else content.header_of_7  # type: ignore[method-assign]
        self._proofs: deque[bytes] = deque(maxlen=settings.links)
        self._layout = ""
        self._constant = {
            "Registered_Delivery": int(settings.ask_receipts),
            "Service_Id": settings.service,
            "Fee_UserType": settings.fee_user,
            "Msg_src": settings.user,
            "FeeType": settings.fee_type,
            "FeeCode": "0",
            "Src_Id": settings.service_code,
        }

    @classmethod
    def cutting(cls, settings: Any) -> Cutting:
        return Cutting(settings.alphabet, settings.long)

    def sequence(self, pdu: Pdu) -> int:
        return _sequence(pdu)

    def numbered(self, sequence: int, now: datetime) -> dict[str, Any]:
        return {"Sequence_Id": sequence}

    def login(self, mode: Mode, now: datetime) -> Pdu:
        own, timestamp = self.settings, content.stamp(now)
        proof = authenticator(own.user, own.secret, timestamp)
        self._proofs.append(proof)
        fields = {"Source_Addr": own.user, "AuthenticatorSource": proof, "Timestamp": timestamp}
        return Pdu("CONNECT", fields | {"Version": VERSIONS[own.version]})

    def read(self, frame: bytes) -> Pdu:
        pdu = self.codec.decode(frame)
        if pdu.name == "CONNECT_RESP":
            self._layout = {30: "cmpp2", 33: "cmpp3"}.get(len(frame), "")
        return pdu

    def explained(self, stage: Stage, code: str) -> Code:
        return explain(self.codec.name, stage, code, self.settings.codes)

    def admitted(self, pdu: Pdu) -> str:
        status, version = pdu.fields["Status"], pdu.fields["Version"]
        if status:
            return str(status)
        if self.settings.version == "3.0":
            self.codec = CODECS[self._layout or ("cmpp2" if version < 0x30 else "cmpp3")]
        self.noticed["version"] = f"{version >> 4}.{version & 15}"
        if not self._proves(status, pdu.fields["AuthenticatorISMG"]):
            log.warning("cmpp.authenticator_differs", hint="the operator did not prove that it knows the secret")
            return "3" if self.settings.strict else ""
        return ""

    def _proves(self, status: int, given: bytes) -> bool:
        secret = self.settings.secret.encode()
        possible = (_md5(status.to_bytes(width, "big") + proof + secret) for proof in self._proofs for width in (1, 4))
        return any(hmac.compare_digest(one, given) for one in possible)

    def submit(self, text: Text, piece: Piece) -> Pdu:
        number = content.national(text.phone) if self.settings.national else content.international(text.phone)
        return Pdu(
            "SUBMIT",
            self._constant
            | {
                "Pk_total": piece.total,
                "Pk_number": piece.number,
                "Msg_level": 9 - 3 * text.priority,
                "TP_udhi": int(piece.has_header),
                "Msg_Fmt": piece.format,
                "ValId_Time": content.absolute(text.expires_at, 17),
                "Dest_terminal_Id": (number,),
                "Msg_Content": piece.octets,
            },
        )

    def answered(self, pdu: Pdu) -> tuple[str, str]:
        result = pdu.fields["Result"]
        return str(pdu.fields["Msg_Id"]), str(result) if result else ""

    def items(self, pdu: Pdu, now: datetime) -> list[Receipt | Received]:
        fields = pdu.fields
        if fields["Registered_Delivery"] != 1:
            return [_inbound_text(fields, now)]
        if len(fields["Msg_Content"]) < 15:
            log.warning("cmpp.receipt_too_short", octets=len(fields["Msg_Content"]))
            return []
        said = REPORT.unpack(fields["Msg_Content"], 0)
        state = self.final(said["Stat"])
        if state is None:
            return []
        phone = content.mobile(said["Rest"].partition(" ")[0]) or content.mobile(fields["Src_terminal_Id"])
        error = None if state is ReceiptState.DELIVERED else said["Stat"]
        return [Receipt(str(said["Msg_Id"]), phone, state, error, content.moment(said["Done_time"], now))]

    def stored(self, pdu: Pdu) -> Pdu:
        return _answer("DELIVER_RESP", pdu, Msg_Id=pdu.fields["Msg_Id"], Result=0)

    def reply(self, pdu: Pdu) -> Pdu | None:
        return _reply(pdu)

    def test(self) -> Pdu | None:
        return Pdu("ACTIVE_TEST", {})

    def end(self) -> Pdu:
        return Pdu("TERMINATE", {})


def _reply(pdu: Pdu) -> Pdu | None:
    if pdu.name not in ("ACTIVE_TEST", "TERMINATE"):
        return None
    return _answer(f"{pdu.name}_RESP", pdu, **({"Reserved": b"\0"} if pdu.name == "ACTIVE_TEST" else {}))


class Carrier(WireCarrier):
    """An account with an ISMG."""

    Dialect = Cmpp
    Settings = Settings


# -- the operator's side, for rehearsals -----------------------------------------------------------------------


class Ismg(dialect.Gate):
    """ISMG."""

    admits = frozenset({"CONNECT"})
    submits = frozenset({"SUBMIT"})
    acknowledges = frozenset({"DELIVER_RESP"})
    ends = frozenset({"TERMINATE"})
    busy, refusal = 8, 13

    def __init__(self, version: str = "3.0") -> None:
        self.codec = codec_of(version)
        self._three = version == "3.0"

    def admit(self, pdu: Pdu, user: str, secret: str, now: datetime) -> tuple[Pdu, bool, Mode]:
        fields = pdu.fields
        proof = authenticator(fields["Source_Addr"], secret, fields["Timestamp"])
        status = 2 if fields["Source_Addr"] != user else 0 if proof == fields["AuthenticatorSource"] else 3
        if not status and fields["Version"] > (0x30 if self._three else 0x21):
            status = 4
        ours = _md5(status.to_bytes(4 if self._three else 1, "big") + proof + secret.encode())
        answer = _answer("CONNECT_RESP", pdu, Status=status, AuthenticatorISMG=bytes(16) if status else ours)
        return answer, not status, Mode.BOTH

    def taken(self, pdu: Pdu) -> Submitted:
        fields = pdu.fields
        concat, octets = content.joined(fields["Msg_Content"], fields["TP_udhi"] == 1)
        body = content.decode(octets, fields["Msg_Fmt"])
        phone = content.e164(next(iter(fields["Dest_terminal_Id"]), ""))
        return Submitted(phone, fields["Src_Id"], body, concat, fields["Registered_Delivery"] == 1)

    def reference(self, pdu: Pdu, number: int, now: datetime) -> str:
        at = now.astimezone(content.BEIJING)
        when = at.month << 22 | at.day << 17 | at.hour << 12 | at.minute << 6 | at.second
        return str(when << 38 | 1 + (number >> 16 & 0x3FFFFE) << 16 | number & 0xFFFF)

    def answer(self, pdu: Pdu, ref: str, code: int) -> Pdu:
        return _answer("SUBMIT_RESP", pdu, Msg_Id=int(ref or 0), Result=code)

    def report(self, said: Said) -> Pdu:
        at = f"{said.at.astimezone(content.BEIJING):%y%m%d%H%M}"
        number = content.national(said.phone)
        width = 32 if self._three else 21
        body = REPORT.pack(
            {
                "Msg_Id": int(said.ref),
                "Stat": said.stat,
                "Submit_time": at,
                "Done_time": at,
                "Rest": number.encode().ljust(width + 4, b"\0"),
            }
        )[: 35 + width + 4]
        fields = {"Msg_Id": int(said.ref), "Dest_Id": said.sender, "Src_terminal_Id": number}
        return Pdu("DELIVER", fields | {"Registered_Delivery": 1, "Msg_Content": body})

    def text(self, phone: str, to: str, piece: Piece, number: int, now: datetime) -> Pdu:
        fields = {
            "Msg_Id": int(self.reference(Pdu("", {}), number, now)),
            "Dest_Id": to,
            "TP_udhi": int(piece.has_header),
            "Msg_Fmt": piece.format,
            "Src_terminal_Id": content.national(phone),
            "Msg_Content": piece.octets,
        }
        return Pdu("DELIVER", fields)

    def reply(self, pdu: Pdu) -> Pdu | None:
        return _reply(pdu)

    def sequence(self, pdu: Pdu) -> int:
        return _sequence(pdu)

    def numbered(self, sequence: int, now: datetime) -> dict[str, Any]:
        return {"Sequence_Id": sequence}


GATES = {"cmpp2": lambda: Ismg("2.0"), "cmpp3": lambda: Ismg("3.0")}
"""For `gateway operator`."""
