"""Mutated frames of every wire protocol: read or refused, never a crash, a hang or growth.

FUZZ=1000000 in the environment is the long run (`make fuzz`); without it 10,000 frames a codec.
"""

from __future__ import annotations

import gc
import os
import random
import time
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import pytest

from gateway import carriers
from gateway.carriers.wire.codec import Codec, Pdu
from gateway.carriers.wire.dialect import Dialect, Role
from gateway.carriers.wire.fields import Layout, Malformed

COUNT = int(os.environ.get("FUZZ", "10000"))
NOW = datetime(2026, 7, 1, 9, 0, tzinfo=UTC)
ACCOUNTS: dict[str, tuple[str, dict[str, Any]]] = {
    "cmpp2": ("cmpp", {"user": "901234", "secret": "s", "version": "2.0"}),
    "cmpp3": ("cmpp", {"user": "901234", "secret": "s"}),
    "sgip": ("sgip", {"user": "u", "secret": "s", "node": 3010012345}),
    "smgp": ("smgp", {"user": "901234", "secret": "s"}),
    "smpp": ("smpp", {"user": "901234", "secret": "s"}),
}
TEXTS = [
    "我妈76了 养老认证刷不上脸".encode("utf-16-be"),
    b"\x05\x00\x03\x07\x02\x01" + "退订".encode("utf-16-be"),
    b"id:0123456789 sub:001 dlvrd:001 submit date:2607010900 done date:2607010901 stat:DELIVRD err:000 text:",
    (1 << 60).to_bytes(8, "big") + b"DELIVRD" + b"2607010900" * 2 + b"13800130001".ljust(21, b"\0") + bytes(4),
]


def dialect_of(name: str) -> Dialect:
    protocol, account = ACCOUNTS[name]
    kind = carriers.load(protocol)
    known = {key: value for key, value in account.items() if carriers.takes(kind, key)}
    return kind.Dialect(carriers.settings_of(kind, "fuzz", known | {"host": "h", "port": 1}))  # type: ignore[attr-defined]


def codec_of(name: str) -> Codec:
    found: Codec = import_module(f"gateway.carriers.{ACCOUNTS[name][0]}").CODECS[name]
    return found


def seeds(codec: Codec, dice: random.Random) -> list[bytes]:
    """Every kind of frame, with nothing in it and with a text where it has a place for one."""
    made = []
    for layout in codec.layouts.values():
        made.append(codec.encode(layout.name, {}))
        for name in layout.octets & {"Msg_Content", "MessageContent", "MsgContent", "short_message"}:
            made += [codec.encode(layout.name, _filled(layout, name, body)) for body in TEXTS]
    dice.shuffle(made)
    return made


def _filled(layout: Layout, name: str, body: bytes) -> dict[str, Any]:
    flags = {"TP_udhi": 1, "Msg_Fmt": 8, "Registered_Delivery": 1, "IsReport": 1, "esm_class": 0x44, "data_coding": 8}
    return {name: body} | {key: value for key, value in flags.items() if layout.takes(key) and not key.startswith("0x")}


def mutated(frame: bytes, dice: random.Random) -> bytes:
    """A few octets changed, cut off, doubled or put in; mostly with a length that fits, so that it is read at all."""
    octets = bytearray(frame)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(4, max(5, len(octets)))
        how = dice.random()
        if how < 0.6:
            octets[at : at + 1] = bytes((dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256))),))
        elif how < 0.75:
            del octets[at : at + dice.randint(1, 20)]
        elif how < 0.9:
            octets[at:at] = dice.randbytes(dice.randint(1, 20))
        else:
            octets += octets[at : at + 40]
    if dice.random() < 0.95:
        octets[:4] = len(octets).to_bytes(4, "big")
    return bytes(octets)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ACCOUNTS)
def test_mutated_frames(name: str) -> None:
    dice, codec, dialect = random.Random(2011), codec_of(name), dialect_of(name)
    frames = seeds(codec, dice)
    read, slowest, before = 0, 0.0, 0
    for n in range(COUNT):
        if n == COUNT // 2:
            gc.collect()
            before = len(gc.get_objects())
        octets = mutated(dice.choice(frames), dice)
        began = time.perf_counter()
        read += understood(codec, dialect, octets)
        slowest = max(slowest, time.perf_counter() - began)
    gc.collect()
    assert read > COUNT / 3
    assert slowest < 1.0
    assert len(gc.get_objects()) - before < 2_000


def understood(codec: Codec, dialect: Dialect, octets: bytes) -> bool:
    """Take them as a link does; whether there was a frame in them."""
    try:
        for frame in codec.frames(bytearray(octets)):
            act(dialect, codec.decode(frame))
            return True
    except Malformed:
        pass
    return False


def act(dialect: Dialect, pdu: Pdu) -> None:
    role = dialect.roles.get(pdu.name) or dialect.unasked(pdu)
    answer: Pdu | None = None
    if role is Role.INBOUND:
        for item in dialect.items(pdu, NOW):
            assert isinstance(item.phone, str)
        answer = dialect.stored(pdu)
    elif role is Role.ANSWERED:
        dialect.sequence(pdu)
        dialect.answered(pdu)
    elif role in (Role.ASKED, Role.ENDING):
        answer = dialect.reply(pdu)
    elif role is Role.KNOCKING:
        answer, _ = dialect.let_in(pdu)
    if answer is not None:
        dialect.codec.encode(answer.name, answer.fields)
