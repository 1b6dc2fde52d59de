"""SMPP 3.4 (the ESME's side and, for rehearsals, the SMSC's): the tables of its frames, and what they mean.

Source: SMPP v3.4 Issue 1.2; section numbers below are its own. Where SMSCs differ:
- Ids of receipts may be spelled otherwise than those of responses: `receipt_ids` says how, and both are brought to one
  form before they leave this file.
- A receipt is read from its tagged values first, then from its text, keys in any case, up to `text:`. One that is an
  intermediate notification says nothing final.
- A response that refuses may have no body. An unknown command is answered with generic_nack, and is no reason to close.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from gateway import text as texts
from gateway.carriers import Concat, Receipt, Received, Text
from gateway.carriers.wire import content, dialect
from gateway.carriers.wire.carrier import WireCarrier
from gateway.carriers.wire.codec import Codec, Pdu
from gateway.carriers.wire.content import Piece
from gateway.carriers.wire.dialect import Mode, Role, Said, Submitted, WireSettings, choice
from gateway.carriers.wire.fields import (
    CString,
    Field,
    Layout,
    Octets,
    Tagged,
    Values,
    cstring_tag,
    octets_tag,
    raw,
    u8,
    u16,
    u32,
)
from gateway.model import ReceiptState
from gateway.text import Alphabet, Cutting

LONGEST = 64 * 1024
VERSION = 0x34
GSM, LATIN, UCS2 = 0, 3, 8
"""data_coding (5.2.19)."""
UDHI = 0x40
RECEIPT, INTERMEDIATE = 0x04, 0x20
"""esm_class, bits 5 to 2 (5.2.12)."""
UNKNOWN_COMMAND = 0x03


# -- tables ----------------------------------------------------------------------------------------------------

TAGS: Mapping[int, Field] = {
    0x0019: u8("payload_type"),
    0x001D: cstring_tag("additional_status_info_text"),
    0x001E: cstring_tag("receipted_message_id"),
    0x0204: u16("user_message_reference"),
    0x0205: u8("user_response_code"),
    0x020A: u16("source_port"),
    0x020B: u16("destination_port"),
    0x020C: u16("sar_msg_ref_num"),
    0x020E: u8("sar_total_segments"),
    0x020F: u8("sar_segment_seqnum"),
    0x0210: u8("sc_interface_version"),
    0x0420: u8("dpf_result"),
    0x0423: raw("network_error_code", 3),
    0x0424: octets_tag("message_payload"),
    0x0425: u8("delivery_failure_reason"),
    0x0426: u8("more_messages_to_send"),
    0x0427: u8("message_state"),
}
BIND = (
    CString("system_id", 16),
    CString("password", 65),
    CString("system_type", 13),
    u8("interface_version", VERSION),
    u8("addr_ton"),
    u8("addr_npi"),
    CString("address_range", 41),
)
"""4.1; the text allows a password 9 octets, operators hand out longer ones."""
MESSAGE = (
    CString("service_type", 6),
    u8("source_addr_ton"),
    u8("source_addr_npi"),
    CString("source_addr", 21),
    u8("dest_addr_ton"),
    u8("dest_addr_npi"),
    CString("destination_addr", 21),
    u8("esm_class"),
    u8("protocol_id"),
    u8("priority_flag"),
    CString("schedule_delivery_time", 17),
    CString("validity_period", 17),
    u8("registered_delivery"),
    u8("replace_if_present_flag"),
    u8("data_coding"),
    u8("sm_default_msg_id"),
    u8("sm_length"),
    Octets("short_message", "sm_length", 254),
    Tagged(TAGS),
)
"""submit_sm (4.4) and deliver_sm (4.6)."""
DATA = (
    CString("service_type", 6),
    u8("source_addr_ton"),
    u8("source_addr_npi"),
    CString("source_addr", 65),
    u8("dest_addr_ton"),
    u8("dest_addr_npi"),
    CString("destination_addr", 65),
    u8("esm_class"),
    u8("registered_delivery"),
    u8("data_coding"),
    Tagged(TAGS),
)
BOUND = (CString("system_id", 16, may_lack=True), Tagged(TAGS))
GIVEN = (CString("message_id", 65, may_lack=True), Tagged(TAGS))
QUERIED = (
    CString("message_id", 65, may_lack=True),
    CString("final_date", 17, may_lack=True),
    u8("message_state"),
    u8("error_code"),
)
ADDRESS = (u8("source_addr_ton"), u8("source_addr_npi"), CString("source_addr", 21))

LAYOUTS = (
    Layout("generic_nack", 0x80000000),
    Layout("bind_receiver", 0x1, *BIND),
    Layout("bind_receiver_resp", 0x80000001, *BOUND),
    Layout("bind_transmitter", 0x2, *BIND),
    Layout("bind_transmitter_resp", 0x80000002, *BOUND),
    Layout("query_sm", 0x3, CString("message_id", 65), *ADDRESS),
    Layout("query_sm_resp", 0x80000003, *QUERIED),
    Layout("submit_sm", 0x4, *MESSAGE),
    Layout("submit_sm_resp", 0x80000004, *GIVEN),
    Layout("deliver_sm", 0x5, *MESSAGE),
    Layout("deliver_sm_resp", 0x80000005, *GIVEN),
    Layout("unbind", 0x6),
    Layout("unbind_resp", 0x80000006),
    Layout(
        "cancel_sm", 0x8,
        CString("service_type", 6), CString("message_id", 65), *ADDRESS,
        u8("dest_addr_ton"), u8("dest_addr_npi"), CString("destination_addr", 21),
    ),
    Layout("cancel_sm_resp", 0x80000008),
    Layout("bind_transceiver", 0x9, *BIND),
    Layout("bind_transceiver_resp", 0x80000009, *BOUND),
    Layout("outbind", 0xB, CString("system_id", 16), CString("password", 65)),
    Layout("enquire_link", 0x15),
    Layout("enquire_link_resp", 0x80000015),
    Layout("alert_notification", 0x102),
    Layout("data_sm", 0x103, *DATA),
    Layout("data_sm_resp", 0x80000103, *GIVEN),
)  # fmt: skip
CODECS = {"smpp": Codec("smpp", (u32("command_status"), u32("sequence_number", 1)), LAYOUTS, LONGEST)}
CODEC = CODECS["smpp"]

STATES: Mapping[int, str] = {
    1: "ENROUTE",
    2: "DELIVRD",
    3: "EXPIRED",
    4: "DELETED",
    5: "UNDELIV",
    6: "ACCEPTD",
    7: "UNKNOWN",
    8: "REJECTD",
}
"""message_state (5.2.28) as receipts spell it."""


# -- ids -------------------------------------------------------------------------------------------------------


def _decimal(ref: str) -> str:
    return str(int(ref)) if ref.isascii() and ref.isdigit() else ref


def _hexadecimal(ref: str) -> str:
    try:
        return str(int(ref, 16))
    except ValueError:
        return ref


def _bare(ref: str) -> str:
    return ref.lower().lstrip("0") or "0"


RECEIPT_IDS: Mapping[str, tuple[Callable[[str], str], Callable[[str], str]]] = {
    "exact": (str, str),
    "any-case": (str.lower, str.lower),
    "unpadded": (_bare, _bare),
    "hex-to-decimal": (_hexadecimal, _decimal),
    "decimal-to-hex": (_decimal, _hexadecimal),
}
"""What brings an id of a response, and one of a receipt, to the form that both share."""


# -- receipts --------------------------------------------------------------------------------------------------

_RECEIPT_KEY = re.compile(r"\b(id|done date|stat|err):\s*(\S+)", re.IGNORECASE)


def read_receipt(fields: Values) -> tuple[str, str, str]:
    """Id, status (`UNDELIV:640` where there is an error besides) and done date of a receipt; "" for what is missing."""
    body = (fields.get("short_message") or fields.get("message_payload") or b"").decode("latin-1")
    told = re.split(r"\btext:", body, maxsplit=1, flags=re.IGNORECASE)[0]
    found = {key.lower(): value for key, value in reversed(_RECEIPT_KEY.findall(told))}
    ref = fields.get("receipted_message_id") or found.get("id", "")
    stat = STATES.get(fields.get("message_state", 0)) or found.get("stat", "").upper()
    error = found.get("err", "").strip("0") and found["err"]
    return ref, f"{stat}:{error}" if error and stat != "DELIVRD" else stat, found.get("done date", "")


# -- our side --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Settings(WireSettings):
    """`user` is the system_id. `bind` transceiver, or pair: every link is one that sends and one that receives.

    `alphabet` auto (GSM 7-bit where that does, else UCS-2) or ucs2. `long` 6 or 7: a header in the text; sar: tagged
    values; payload: the operator cuts. `receipt_ids`: how receipts spell ids against responses. `default` is what
    data_coding 0 is at this operator: gsm or latin1. Type and plan of our own number are guessed when -1.
    """

    user: str
    secret: str
    system_type: str = ""
    bind: str = "transceiver"
    alphabet: str = "auto"
    long: str = "6"
    receipt_ids: str = "exact"
    default: str = "gsm"
    service: str = ""
    source_ton: int = -1
    source_npi: int = -1
    tls: bool = False

    def problems(self) -> Iterator[tuple[str, str, str]]:
        yield from super().problems()
        yield from choice("bind", self.bind, ("transceiver", "pair"))
        yield from choice("alphabet", self.alphabet, ("auto", "ucs2"))
        yield from choice("long", self.long, ("6", "7", "sar", "payload"))
        yield from choice("receipt_ids", self.receipt_ids, tuple(RECEIPT_IDS))
        yield from choice("default", self.default, ("gsm", "latin1"))
        if len(self.user) > 15:
            yield "user", "system_id 最多 15 个字符", "a system_id has at most 15 characters"


class Esme(dialect.Dialect):
    """ESME."""

    protocol = "smpp"
    settings: Settings
    codec = CODEC
    last_sequence = 0x7FFFFFFE
    roles: ClassVar[Mapping[str, Role]] = {
        "bind_transceiver_resp": Role.ADMITTED,
        "bind_transmitter_resp": Role.ADMITTED,
        "bind_receiver_resp": Role.ADMITTED,
        "submit_sm_resp": Role.ANSWERED,
        "generic_nack": Role.ANSWERED,
        "deliver_sm": Role.INBOUND,
        "data_sm": Role.INBOUND,
        "enquire_link": Role.ASKED,
        "enquire_link_resp": Role.ALIVE,
        "unbind": Role.ENDING,
        "unbind_resp": Role.ENDED,
    }
    BINDS: ClassVar[Mapping[Mode, str]] = {
        Mode.BOTH: "bind_transceiver",
        Mode.SEND: "bind_transmitter",
        Mode.RECEIVE: "bind_receiver",
    }

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._given, self._told = RECEIPT_IDS[settings.receipt_ids]
        ton, npi = _kind_of(settings.service_code)
        self._constant = {
            "service_type": settings.service,
            "source_addr_ton": ton if settings.source_ton < 0 else settings.source_ton,
            "source_addr_npi": npi if settings.source_npi < 0 else settings.source_npi,
            "source_addr": settings.service_code.removeprefix("+"),
            "dest_addr_ton": 1,
            "dest_addr_npi": 1,
            "registered_delivery": int(settings.ask_receipts),
        }

    def plan(self) -> list[Mode]:
        modes = [Mode.SEND, Mode.RECEIVE] if self.settings.bind == "pair" else [Mode.BOTH]
        return modes * self.settings.links

    @classmethod
    def cutting(cls, settings: Any) -> Cutting:
        return Cutting(settings.alphabet, {"7": 7, "payload": 0}.get(settings.long, 6))  # type: ignore[arg-type]

    def header(self, reference: int, total: int, number: int) -> bytes:
        if self.settings.long == "sar":
            return b""
        made = content.header_of_7 if self.settings.long == "7" else content.header_of_6
        return made(reference, total, number)

    def sequence(self, pdu: Pdu) -> int:
        return int(pdu.fields["sequence_number"])

    def numbered(self, sequence: int, now: datetime) -> dict[str, Any]:
        return {"sequence_number": sequence}

    def login(self, mode: Mode, now: datetime) -> Pdu:
        own = self.settings
        return Pdu(self.BINDS[mode], {"system_id": own.user, "password": own.secret, "system_type": own.system_type})

    def admitted(self, pdu: Pdu) -> str:
        self.noticed["system_id"] = pdu.fields.get("system_id", "")
        if version := pdu.fields.get("sc_interface_version"):
            self.noticed["version"] = f"{version >> 4}.{version & 15}"
        return _code(pdu)

    def submit(self, text: Text, piece: Piece) -> Pdu:
        fields = self._constant | {
            "destination_addr": content.international(text.phone),
            "priority_flag": max(0, 3 - text.priority),
            "validity_period": content.absolute(text.expires_at, 16),
            "data_coding": GSM if piece.alphabet is Alphabet.GSM7 else UCS2,
            "short_message": piece.octets,
        }
        return Pdu("submit_sm", fields | self._joining(piece))

    def _joining(self, piece: Piece) -> dict[str, Any]:
        """What makes a part of a long text, or a whole one, known as such."""
        if self.settings.long == "payload" and len(piece.octets) > 140:
            return {"short_message": b"", "message_payload": piece.octets}
        if not piece.has_header:
            return {}
        if self.settings.long != "sar":
            return {"esm_class": UDHI}
        return {
            "sar_msg_ref_num": piece.reference,
            "sar_total_segments": piece.total,
            "sar_segment_seqnum": piece.number,
        }

    def answered(self, pdu: Pdu) -> tuple[str, str]:
        code = _code(pdu) or ("0x03" if pdu.name == "generic_nack" else "")
        return self._given(pdu.fields.get("message_id", "")), code

    def items(self, pdu: Pdu, now: datetime) -> list[Receipt | Received]:
        fields, kind = pdu.fields, pdu.fields["esm_class"] & 0x3C
        if kind == INTERMEDIATE:
            return []
        if kind == RECEIPT or "receipted_message_id" in fields:
            return self._receipt(fields, now)
        return [self._text(fields, now)]

    def _receipt(self, fields: Values, now: datetime) -> list[Receipt | Received]:
        ref, status, done = read_receipt(fields)
        state = self.final(status)
        if state is None:
            return []
        error = None if state is ReceiptState.DELIVERED else status
        phone = content.e164(fields["source_addr"])
        return [Receipt(self._told(ref), phone, state, error, content.moment(done, now))]

    def _text(self, fields: Values, now: datetime) -> Received:
        octets = fields.get("short_message") or fields.get("message_payload", b"")
        concat, octets = content.joined(octets, bool(fields["esm_class"] & UDHI))
        if "sar_msg_ref_num" in fields:
            total, number = fields.get("sar_total_segments", 0), fields.get("sar_segment_seqnum", 0)
            concat = Concat(fields["sar_msg_ref_num"], total, number) if 0 < number <= total else None
        body = decode(octets, fields["data_coding"], self.settings.default)
        return Received("", content.e164(fields["source_addr"]), fields["destination_addr"], body, now, concat)

    def stored(self, pdu: Pdu) -> Pdu:
        return _answer(pdu)

    def reply(self, pdu: Pdu) -> Pdu | None:
        return _reply(pdu)

    def test(self) -> Pdu | None:
        return Pdu("enquire_link", {})

    def end(self) -> Pdu:
        return Pdu("unbind", {})

    def unasked(self, pdu: Pdu) -> Role:
        """Requests that we do not serve are answered; answers that nobody waits for are not."""
        known = CODEC.layouts.get(pdu.name)
        command = known.command if known else int(pdu.name, 16)
        unanswerable = command & 0x80000000 or pdu.name in ("outbind", "alert_notification")
        return Role.IGNORED if unanswerable else Role.ASKED


def _code(pdu: Pdu) -> str:
    status = pdu.fields["command_status"]
    return f"0x{status:02X}" if status else ""


def _kind_of(number: str) -> tuple[int, int]:
    """TON and NPI: international with a plus, a name, else left to the SMSC."""
    if number.startswith("+"):
        return 1, 1
    return (0, 0) if number.isdigit() or not number else (5, 0)


def _answer(pdu: Pdu, **fields: Any) -> Pdu:
    return Pdu(f"{pdu.name}_resp", {"sequence_number": pdu.fields["sequence_number"], **fields})


def _reply(pdu: Pdu) -> Pdu | None:
    if pdu.name in ("enquire_link", "unbind"):
        return _answer(pdu)
    if pdu.name.endswith("_resp"):
        return None
    sequence = {"sequence_number": pdu.fields["sequence_number"]}
    return Pdu("generic_nack", sequence | {"command_status": UNKNOWN_COMMAND})


def decode(octets: bytes, coding: int, default: str) -> str:
    """The text of a short message; what cannot be read comes out as replacement characters."""
    if coding in (UCS2, 0x18) or coding & 0xFC == 0x18:
        return content.utf16(octets)
    if coding in (GSM, 0xF0, 0x10) and default == "gsm":
        return texts.decode_gsm7(octets)
    if coding == 1:
        return octets.decode("ascii", "replace")
    return octets.decode("latin-1")


class Carrier(WireCarrier):
    """An account with an SMSC."""

    Dialect = Esme
    Settings = Settings


# -- the operator's side, for rehearsals -----------------------------------------------------------------------


class Smsc(dialect.Gate):
    """SMSC."""

    codec = CODEC
    admits = frozenset(Esme.BINDS.values())
    submits = frozenset({"submit_sm"})
    acknowledges = frozenset({"deliver_sm_resp"})
    ends = frozenset({"unbind"})
    busy, refusal = 0x58, 0x0B

    def admit(self, pdu: Pdu, user: str, secret: str, now: datetime) -> tuple[Pdu, bool, Mode]:
        mode = next(mode for mode, name in Esme.BINDS.items() if name == pdu.name)
        status = 0x0F if pdu.fields["system_id"] != user else 0 if pdu.fields["password"] == secret else 0x0E
        answer = _answer(pdu, command_status=status, system_id="rehearsal", sc_interface_version=VERSION)
        return answer, not status, mode

    def taken(self, pdu: Pdu) -> Submitted:
        fields = pdu.fields
        octets = fields["short_message"] or fields.get("message_payload", b"")
        concat, octets = content.joined(octets, bool(fields["esm_class"] & UDHI))
        if "sar_msg_ref_num" in fields:
            concat = Concat(fields["sar_msg_ref_num"], fields["sar_total_segments"], fields["sar_segment_seqnum"])
        body = decode(octets, fields["data_coding"], "gsm")
        phone = content.e164(fields["destination_addr"])
        return Submitted(phone, fields["source_addr"], body, concat, fields["registered_delivery"] & 3 == 1)

    def reference(self, pdu: Pdu, number: int, now: datetime) -> str:
        return f"{int(now.timestamp()):08x}{number & 0xFFFFFFFF:08x}"

    def answer(self, pdu: Pdu, ref: str, code: int) -> Pdu:
        return _answer(pdu, message_id=ref, command_status=code)

    def report(self, said: Said) -> Pdu:
        at = f"{said.at.astimezone(content.BEIJING):%y%m%d%H%M}"
        body = (
            f"id:{said.ref} sub:001 dlvrd:{int(said.stat == 'DELIVRD'):03} submit date:{at} done date:{at} "
            f"stat:{said.stat} err:000 text:"
        )
        fields = {"source_addr": content.international(said.phone), "destination_addr": said.sender}
        return Pdu("deliver_sm", fields | {"esm_class": RECEIPT, "short_message": body.encode("latin-1")})

    def text(self, phone: str, to: str, piece: Piece, number: int, now: datetime) -> Pdu:
        fields = {
            "source_addr_ton": 1,
            "source_addr_npi": 1,
            "source_addr": content.international(phone),
            "destination_addr": to,
            "esm_class": UDHI if piece.has_header else 0,
            "data_coding": GSM if piece.alphabet is Alphabet.GSM7 else UCS2,
            "short_message": piece.octets,
        }
        return Pdu("deliver_sm", fields)

    def reply(self, pdu: Pdu) -> Pdu | None:
        return _reply(pdu)

    def sequence(self, pdu: Pdu) -> int:
        return int(pdu.fields["sequence_number"])

    def numbered(self, sequence: int, now: datetime) -> dict[str, Any]:
        return {"sequence_number": sequence}


GATES = {"smpp": Smsc}
