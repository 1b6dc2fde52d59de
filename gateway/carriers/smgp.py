"""SMGP 3.0 (China Telecom, SP and SMGW): the tables of its frames, and what they mean.

Source: China Telecom's specification text of SMGP V3.0.3. Policy, and where peers differ:
- LoginMode says what a link is for: one link for both, or where the operator wants it a pair, one each way.
- A MsgID is ten octets of digits, two an octet; some gateways put others, so that it is kept as 20 hexadecimal digits.
- A receipt is text around ten octets that may be anything, spaces, colons and NULs too: the id is taken by its place,
  the rest by the names of its keys, however they are spelled. The MsgID of the frame itself is another one; it is taken
  where the text has none.
- AuthenticatorServer is made in many ways: a mismatch is a warning. A ClientID of less than eight octets is hashed as
  it is, or with `pad` filled up.
- Peers of version 1.3 have no FixedFee.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

import structlog

from gateway.carriers import Receipt, Received, Text
from gateway.carriers.wire import content, dialect
from gateway.carriers.wire.carrier import WireCarrier
from gateway.carriers.wire.codec import Codec, Pdu
from gateway.carriers.wire.content import Piece
from gateway.carriers.wire.dialect import Mode, Role, Said, Submitted, WireSettings, choice, fits
from gateway.carriers.wire.fields import (
    Layout,
    Listed,
    Octets,
    Tagged,
    Tail,
    Values,
    octets_tag,
    raw,
    text,
    u8,
    u32,
)
from gateway.model import ReceiptState
from gateway.text import Cutting

log = structlog.get_logger()

LONGEST = 4096
VERSIONS: Mapping[str, int] = {"1.3": 0x13, "3.0": 0x30}
LOGIN_MODES: Mapping[Mode, int] = {Mode.SEND: 0, Mode.RECEIVE: 1, Mode.BOTH: 2}
MOBILE_TERMINATED = 6
"""MsgType."""


# -- tables ----------------------------------------------------------------------------------------------------

TAGS = {
    0x0001: u8("TP_pid"),
    0x0002: u8("TP_udhi"),
    0x0003: octets_tag("LinkID"),
    0x0004: u8("ChargeUserType"),
    0x0005: u8("ChargeTermType"),
    0x0006: octets_tag("ChargeTermPseudo"),
    0x0007: u8("DestTermType"),
    0x0008: octets_tag("DestTermPseudo"),
    0x0009: u8("PkTotal"),
    0x000A: u8("PkNumber"),
    0x000B: u8("SubmitMsgType"),
    0x000C: u8("SPDealResult"),
    0x000D: u8("SrcTermType"),
    0x000E: octets_tag("SrcTermPseudo"),
    0x000F: u8("NodesCount"),
    0x0010: octets_tag("MsgSrc"),
    0x0011: u8("SrcType"),
    0x0012: octets_tag("MServiceID"),
}


def _layouts(fixed_fee: bool, version: int) -> list[Layout]:
    query = text("QueryTime", 8), u8("QueryType"), text("QueryCode", 10)
    return [
        Layout(
            "Login", 0x1,
            text("ClientID", 8), raw("AuthenticatorClient", 16), u8("LoginMode"), u32("TimeStamp"),
            u8("ClientVersion", version),
        ),
        Layout(
            "Login_Resp", 0x80000001,
            u32("Status"), raw("AuthenticatorServer", 16), u8("ServerVersion", version),
        ),
        Layout(
            "Submit", 0x2,
            u8("MsgType", MOBILE_TERMINATED), u8("NeedReport"), u8("Priority"), text("ServiceID", 10),
            text("FeeType", 2), text("FeeCode", 6), *((text("FixedFee", 6),) if fixed_fee else ()), u8("MsgFormat"),
            text("ValidTime", 17), text("AtTime", 17), text("SrcTermID", 21), text("ChargeTermID", 21),
            u8("DestTermIDCount"), Listed("DestTermID", 21, "DestTermIDCount"),
            u8("MsgLength"), Octets("MsgContent", "MsgLength", 140), Tail("Reserve", 8), Tagged(TAGS),
        ),
        Layout("Submit_Resp", 0x80000002, raw("MsgID", 10), u32("Status")),
        Layout(
            "Deliver", 0x3,
            raw("MsgID", 10), u8("IsReport"), u8("MsgFormat"), text("RecvTime", 14), text("SrcTermID", 21),
            text("DestTermID", 21), u8("MsgLength"), Octets("MsgContent", "MsgLength", 255), Tail("Reserve", 8),
            Tagged(TAGS),
        ),
        Layout("Deliver_Resp", 0x80000003, raw("MsgID", 10), u32("Status")),
        Layout("Active_Test", 0x4),
        Layout("Active_Test_Resp", 0x80000004),
        Layout("Exit", 0x6),
        Layout("Exit_Resp", 0x80000006),
        Layout("Query", 0x7, *query),
        Layout(
            "Query_Resp", 0x80000007,
            *query, *map(u32, ("MT_TLMsg", "MT_TLUsr", "MT_Scs", "MT_WT", "MT_FL", "MO_Scs", "MO_WT", "MO_FL")),
            Tail("Reserve", 8),
        ),
    ]  # fmt: skip


HEADER = (u32("SequenceID"),)
CODECS: Mapping[str, Codec] = {
    "smgp": Codec("smgp", HEADER, _layouts(fixed_fee=True, version=0x30), LONGEST),
    "smgp13": Codec("smgp13", HEADER, _layouts(fixed_fee=False, version=0x13), LONGEST),
}


def codec_of(version: str) -> Codec:
    """The tables of a version of the settings."""
    return CODECS["smgp13" if version == "1.3" else "smgp"]


def authenticator(client: str, secret: str, timestamp: int, *, pad: bool = False) -> bytes:
    """AuthenticatorClient: MD5 over the id, seven NULs, the secret, and the time as ten digits."""
    octets = client.encode().ljust(8 if pad else 0, b"\0")
    return _md5(octets + bytes(7) + secret.encode() + b"%010d" % timestamp)


def _md5(octets: bytes) -> bytes:
    return hashlib.md5(octets, usedforsecurity=False).digest()


def _answer(name: str, pdu: Pdu, **fields: Any) -> Pdu:
    return Pdu(name, {"SequenceID": pdu.fields["SequenceID"], **fields})


# -- the text of a receipt ---------------------------------------------------------------------------------------

_WITH_ID = re.compile(rb"\s*id:(?:([0-9a-f]{20})(?=[ \0s]*sub:)|(.{10}))", re.DOTALL | re.IGNORECASE)
_KEYS = {
    "stat": re.compile(rb"stat:\s*(?!s?err:)([^\s\0]{1,7})", re.IGNORECASE),
    "err": re.compile(rb"err:\s*([0-9a-z]{1,3}\d{0,4})", re.IGNORECASE),
    "done": re.compile(rb"done[ _]?date:\s*(\d{10,14})", re.IGNORECASE),
}
"""Between them stands a space, mostly; one province writes the letter s."""


class Report(NamedTuple):
    """What a receipt's text says; "" for what it does not."""

    ref: str
    stat: str
    err: str
    done: str

    @property
    def code(self) -> str:
        """UNDELIV:640; an error of 0 is none, and MK:0001 has its own."""
        return f"{self.stat}:{self.err}" if self.err.strip("0") and ":" not in self.stat else self.stat


def read_report(octets: bytes) -> Report:
    """The id by its place, the rest by the names of its keys. Never fails."""
    found = _WITH_ID.match(octets)
    ref = ""
    if found:
        ref = found[1].decode().lower() if found[1] else found[2].hex()
    rest = octets[found.end() if found else 0 :]
    said = {key: pattern.search(rest) for key, pattern in _KEYS.items()}
    return Report(ref, **{key: match[1].decode("latin-1") if match else "" for key, match in said.items()})


def write_report(report: Report, text: str = "") -> bytes:
    """122 octets, as the specification lays them out."""
    head = b"id:" + bytes.fromhex(report.ref) + b" sub:001 dlvrd:001 "
    dates = f"Submit date:{report.done} done date:{report.done} "
    tail = f"stat:{report.stat:<7} err:{report.err or '000':>03} Text:{len(text):03}{text:<17.17}"
    return head + (dates + tail).encode("latin-1")


# -- our side --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Settings(WireSettings):
    """`user` is the ClientID, `service` the ServiceID of the contract. `corp` is our enterprise code (MsgSrc) and
    `product` the MServiceID: both are left out where they are empty.

    `modes` both, or pair where each link goes one way: as many again are opened to receive. `version` 3.0 or 1.3. `pad`
    fills a short ClientID up before it is hashed. `fee_type`, `fee_code` and `fixed_fee` (fen), and `fee_user` as the
    contract says (ChargeUserType; below 0 it is left out). `alphabet` ucs2, or gb18030 where the operator asks for
    format 15; `long` 6 or 7. `national`: numbers without 86.
    """

    user: str
    secret: str
    modes: str = "both"
    version: str = "3.0"
    pad: bool = False
    service: str = ""
    corp: str = ""
    product: str = ""
    fee_type: str = "00"
    fee_code: str = "0"
    fixed_fee: str = "0"
    fee_user: int = -1
    alphabet: str = "ucs2"
    long: int = 6
    national: bool = True

    def problems(self) -> Iterator[tuple[str, str, str]]:
        yield from super().problems()
        yield from choice("modes", self.modes, ("both", "pair"))
        yield from choice("version", self.version, tuple(VERSIONS))
        yield from choice("alphabet", self.alphabet, ("ucs2", "gb18030"))
        yield from fits(self, user=8, service=10, corp=8, product=21, fee_type=2, fee_code=6, fixed_fee=6)
        if self.long not in (6, 7):
            yield "long", "长短信头是 6 或 7", "the header of long texts is 6 or 7"
        if self.fee_user > 255:
            yield "fee_user", "最多 255", "at most 255"


class Smgp(dialect.Dialect):
    """SP."""

    protocol = "smgp"
    settings: Settings
    roles: ClassVar[Mapping[str, Role]] = {
        "Login_Resp": Role.ADMITTED,
        "Submit_Resp": Role.ANSWERED,
        "Deliver": Role.INBOUND,
        "Active_Test": Role.ASKED,
        "Active_Test_Resp": Role.ALIVE,
        "Exit": Role.ENDING,
        "Exit_Resp": Role.ENDED,
    }

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.codec = codec_of(settings.version)
        self.header = content.header_of_6 if settings.long == 6 else content.header_of_7  # type: ignore[method-assign]
        self._proofs: deque[bytes] = deque(maxlen=2 * settings.links)
        self._constant = {
            "NeedReport": int(settings.ask_receipts),
            "ServiceID": settings.service,
            "FeeType": settings.fee_type,
            "FeeCode": settings.fee_code,
            "FixedFee": settings.fixed_fee,
            "SrcTermID": settings.service_code,
        } | dict(_tags(settings))

    def plan(self) -> list[Mode]:
        if self.settings.modes == "both":
            return super().plan()
        return [Mode.SEND] * self.settings.links + [Mode.RECEIVE] * self.settings.links

    @classmethod
    def cutting(cls, settings: Any) -> Cutting:
        return Cutting(settings.alphabet, settings.long)

    def sequence(self, pdu: Pdu) -> int:
        return int(pdu.fields["SequenceID"])

    def numbered(self, sequence: int, now: datetime) -> dict[str, Any]:
        return {"SequenceID": sequence}

    def login(self, mode: Mode, now: datetime) -> Pdu:
        own, timestamp = self.settings, content.stamp(now)
        proof = authenticator(own.user, own.secret, timestamp, pad=own.pad)
        self._proofs.append(proof)
        fields = {"ClientID": own.user, "AuthenticatorClient": proof, "LoginMode": LOGIN_MODES[mode]}
        return Pdu("Login", fields | {"TimeStamp": timestamp, "ClientVersion": VERSIONS[own.version]})

    def admitted(self, pdu: Pdu) -> str:
        status, version = pdu.fields["Status"], pdu.fields["ServerVersion"]
        if status:
            return str(status)
        self.noticed["version"] = f"{version >> 4}.{version & 15}"
        if not any(_proves(proof, self.settings.secret, pdu) for proof in self._proofs):
            log.warning("smgp.authenticator_differs", hint="the operator did not prove that it knows the secret")
        return ""

    def submit(self, text: Text, piece: Piece) -> Pdu:
        number = content.national(text.phone) if self.settings.national else content.international(text.phone)
        fields = self._constant | {
            "Priority": max(0, 3 - text.priority),
            "MsgFormat": piece.format,
            "ValidTime": content.absolute(text.expires_at, 17),
            "DestTermID": (number,),
            "MsgContent": piece.octets,
        }
        if piece.has_header:
            fields |= {"TP_udhi": 1, "PkTotal": piece.total, "PkNumber": piece.number}
        return Pdu("Submit", fields)

    def answered(self, pdu: Pdu) -> tuple[str, str]:
        return pdu.fields["MsgID"].hex(), str(pdu.fields["Status"] or "")

    def items(self, pdu: Pdu, now: datetime) -> list[Receipt | Received]:
        fields = pdu.fields
        return self._receipt(fields, now) if fields["IsReport"] == 1 else [_inbound_text(fields, now)]

    def _receipt(self, fields: Values, now: datetime) -> list[Receipt | Received]:
        said = read_report(fields["MsgContent"])
        if not said.stat:
            log.warning("smgp.receipt_unreadable", octets=len(fields["MsgContent"]))
            return []
        state = self.final(said.code)
        if state is None:
            return []
        ref = said.ref or fields["MsgID"].hex()
        phone = content.mobile(fields["SrcTermID"]) or content.mobile(fields["DestTermID"])
        error = None if state is ReceiptState.DELIVERED else said.code
        return [Receipt(ref, phone, state, error, content.moment(said.done, now))]

    def stored(self, pdu: Pdu) -> Pdu:
        return _answer("Deliver_Resp", pdu, MsgID=pdu.fields["MsgID"], Status=0)

    def reply(self, pdu: Pdu) -> Pdu | None:
        return _reply(pdu)

    def test(self) -> Pdu | None:
        return Pdu("Active_Test", {})

    def end(self) -> Pdu:
        return Pdu("Exit", {})


def _tags(settings: Settings) -> Iterator[tuple[str, Any]]:
    """Tagged values that every text has."""
    if settings.corp:
        yield "MsgSrc", settings.corp.encode().ljust(8, b"\0")
    if settings.product:
        yield "MServiceID", settings.product.encode().ljust(21, b"\0")
    if settings.fee_user >= 0:
        yield "ChargeUserType", settings.fee_user


def _proves(proof: bytes, secret: str, pdu: Pdu) -> bool:
    expected = _md5(pdu.fields["Status"].to_bytes(4, "big") + proof + secret.encode())
    return hmac.compare_digest(expected, pdu.fields["AuthenticatorServer"])


def _inbound_text(fields: Values, now: datetime) -> Received:
    concat, octets = content.joined(fields["MsgContent"], fields.get("TP_udhi", 0) != 0)
    body = content.decode(octets, fields["MsgFormat"])
    sender, at = content.e164(fields["SrcTermID"]), min(now, content.moment(fields["RecvTime"], now))
    return Received(fields["MsgID"].hex(), sender, fields["DestTermID"], body, at, concat)


def _reply(pdu: Pdu) -> Pdu | None:
    return _answer(f"{pdu.name}_Resp", pdu) if pdu.name in ("Active_Test", "Exit") else None


class Carrier(WireCarrier):
    """An account with an SMGW."""

    Dialect = Smgp
    Settings = Settings


# -- the operator's side, for rehearsals -----------------------------------------------------------------------


class Smgw(dialect.Gate):
    """SMGW."""

    admits = frozenset({"Login"})
    submits = frozenset({"Submit"})
    acknowledges = frozenset({"Deliver_Resp"})
    ends = frozenset({"Exit"})
    busy, refusal = 1, 47

    GATEWAY = "010061"
    """The first six digits of a MsgID."""

    def __init__(self, version: str = "3.0") -> None:
        self.codec = codec_of(version)
        self._version = VERSIONS[version]

    def admit(self, pdu: Pdu, user: str, secret: str, now: datetime) -> tuple[Pdu, bool, Mode]:
        fields = pdu.fields
        proof = authenticator(user, secret, fields["TimeStamp"])
        status = 0 if (fields["ClientID"], fields["AuthenticatorClient"]) == (user, proof) else 21
        if not status and fields["ClientVersion"] > self._version:
            status = 22
        mode = {number: mode for mode, number in LOGIN_MODES.items()}.get(fields["LoginMode"], Mode.BOTH)
        ours = bytes(16) if status else _md5(status.to_bytes(4, "big") + proof + secret.encode())
        return _answer("Login_Resp", pdu, Status=status, AuthenticatorServer=ours), not status, mode

    def taken(self, pdu: Pdu) -> Submitted:
        fields = pdu.fields
        concat, octets = content.joined(fields["MsgContent"], fields.get("TP_udhi") == 1)
        body = content.decode(octets, fields["MsgFormat"])
        phone = content.e164(next(iter(fields["DestTermID"]), ""))
        return Submitted(phone, fields["SrcTermID"], body, concat, fields["NeedReport"] == 1)

    def reference(self, pdu: Pdu, number: int, now: datetime) -> str:
        return f"{self.GATEWAY}{now.astimezone(content.BEIJING):%m%d%H%M}{number % 1_000_000:06}"

    def answer(self, pdu: Pdu, ref: str, code: int) -> Pdu:
        return _answer("Submit_Resp", pdu, MsgID=bytes.fromhex(ref) if ref else bytes(10), Status=code)

    def report(self, said: Said) -> Pdu:
        """`stat` may be written as we read it: "UNDELIV:640"."""
        at = said.at.astimezone(content.BEIJING)
        stat, _, err = said.stat.partition(":")
        body = write_report(Report(said.ref, stat, err, f"{at:%y%m%d%H%M}"))
        return self._deliver(said.ref, said.phone, said.sender, at, {"IsReport": 1, "MsgContent": body})

    def text(self, phone: str, to: str, piece: Piece, number: int, now: datetime) -> Pdu:
        at = now.astimezone(content.BEIJING)
        fields: dict[str, Any] = {"MsgFormat": piece.format, "MsgContent": piece.octets}
        if piece.has_header:
            fields |= {"TP_udhi": 1, "PkTotal": piece.total, "PkNumber": piece.number}
        return self._deliver(self.reference(Pdu("", {}), number, now), phone, to, at, fields)

    def _deliver(self, ref: str, phone: str, to: str, at: datetime, fields: dict[str, Any]) -> Pdu:
        own = {"MsgID": bytes.fromhex(ref), "RecvTime": f"{at:%Y%m%d%H%M%S}"}
        return Pdu("Deliver", own | {"SrcTermID": content.national(phone), "DestTermID": to} | fields)

    def reply(self, pdu: Pdu) -> Pdu | None:
        return _reply(pdu)

    def sequence(self, pdu: Pdu) -> int:
        return int(pdu.fields["SequenceID"])

    def numbered(self, sequence: int, now: datetime) -> dict[str, Any]:
        return {"SequenceID": sequence}


GATES = {"smgp": Smgw, "smgp13": lambda: Smgw("1.3")}
"""For `gateway operator`."""
