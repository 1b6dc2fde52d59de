"""Frames of every wire protocol, mutated: whatever comes, a frame is read or Malformed, and only its link ends.

`FUZZ=1000000` mutates so many frames for each codec instead of the usual 10,000.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import pytest
import structlog

from gateway import carriers, codes
from gateway.carriers import Answer, Items
from gateway.carriers.wire import content
from gateway.carriers.wire.codec import Codec, Pdu
from gateway.carriers.wire.dialect import Dialect, Gate, Mode, Role, Said
from gateway.carriers.wire.fields import Malformed
from gateway.carriers.wire.link import Link
from gateway.carriers.wire.listener import Called, Listener
from gateway.carriers.wire.operator import DELIVERED, FAILED
from tests.carriers.rig import Cmpp2, Cmpp3, Sgip, Smgp, Smpp, WireRig, texts
from tests.conftest import NOON

FUZZ = int(os.environ.get("FUZZ", "10000"))
LONG = "长短信" * 40


class Spoken(NamedTuple):
    """A protocol: our side, the operator's, and whole frames of both."""

    dialect: Dialect
    gate: Gate
    frames: list[bytes]

    @property
    def codec(self) -> Codec:
        return self.dialect.codec


def spoken(kind: type[WireRig], **changes: Any) -> Spoken:
    rig = kind()
    rig.port = 1
    module = __import__(f"gateway.carriers.{rig.protocol}", fromlist=["GATES"])
    carrier = carriers.load(rig.protocol)
    given = {key: value for key, value in (rig.options() | changes).items() if carriers.takes(carrier, key)}
    own = module.Carrier.Dialect(carriers.settings_of(carrier, "main", given))
    gate = module.GATES[changes.get("gate", rig.gate)]()
    assert own.codec is gate.codec
    return Spoken(own, gate, [own.codec.encode(pdu.name, pdu.fields) for pdu in pdus(own, gate)])


def pdus(own: Dialect, gate: Gate) -> Iterator[Pdu]:
    """Everything that either side says, and every frame of the tables with nothing in it."""
    reference = gate.reference(Pdu("", own.numbered(3, NOON)), 3, NOON)
    pieces = content.pieces(LONG, own.cutting(own.settings), 7, content.header_of_6)
    [text] = texts(1, LONG)
    requests = [own.login(Mode.BOTH, NOON), *(own.submit(text, piece) for piece in pieces), own.end()]
    said = [Said(reference, "+8613800130009", "10690001", stat, NOON) for stat in (DELIVERED, FAILED, "ACCEPTD")]
    inbound = [gate.text("+8613800130009", "10690001", piece, 3, NOON) for piece in pieces]
    inbound += map(gate.report, said)
    yield from (Pdu(name, {}) for name in own.codec.layouts)
    yield from (Pdu(pdu.name, pdu.fields | own.numbered(3, NOON)) for pdu in requests)
    yield from (Pdu(pdu.name, pdu.fields | gate.numbered(3, NOON)) for pdu in inbound)
    yield own.codec.decode(own.codec.encode(*answered(own, gate, requests[1], reference)))


def answered(own: Dialect, gate: Gate, submit: Pdu, reference: str) -> Pdu:
    numbered = Pdu(submit.name, submit.fields | own.numbered(3, NOON))
    return gate.answer(own.codec.decode(own.codec.encode(*numbered)), reference, 0)


def mutated(dice: random.Random, frames: Sequence[bytes]) -> bytes:
    """Octets changed, cut out, put in or taken from another; the length set right mostly, so that the rest is read."""
    frame = bytearray(dice.choice(frames))
    for _ in range(dice.randint(1, 5)):
        at = dice.randrange(4, len(frame)) if len(frame) > 4 else 0
        match dice.randrange(5):
            case 0:
                frame[at:at] = dice.randbytes(dice.randint(1, 9))
            case 1:
                del frame[at : at + dice.randint(1, 9)]
            case 2:
                other = dice.choice(frames)
                frame[at:] = other[dice.randrange(len(other)) :]
            case _:
                frame[at : at + 1] = bytes([dice.choice((0, 1, 0x20, 0x7F, 0x80, 0xFF, dice.randrange(256)))])
    if dice.random() < 0.8:
        frame[:4] = len(frame).to_bytes(4, "big")
    return bytes(frame)


def heard(own: Dialect, frame: bytes) -> bool:
    """Take a frame as a link does, what it says included; whether it could be read."""
    try:
        pdu = own.read(frame)
        match own.roles.get(pdu.name) or own.unasked(pdu):
            case Role.INBOUND:
                items = own.items(pdu, NOON)
                assert all(isinstance(item, carriers.Receipt | carriers.Received) for item in items)
                own.codec.encode(*own.stored(pdu))
            case Role.ANSWERED:
                own.sequence(pdu)
                ref, code = own.answered(pdu)
                own.explained("submit", code)
                assert isinstance(ref, str)
            case Role.ADMITTED:
                own.explained("login", own.admitted(pdu))
            case Role.KNOCKING:
                answer, fits = own.let_in(pdu)
                assert not fits
                own.codec.encode(*answer)
            case Role.ASKED | Role.ENDING:
                reply = own.reply(pdu)
                assert reply is None or own.codec.encode(*reply)
    except Malformed as error:
        assert error.zh and error.en
        return False
    return True


PROTOCOLS = {
    "cmpp2": lambda: spoken(Cmpp2),
    "cmpp3": lambda: spoken(Cmpp3),
    "sgip": lambda: spoken(Sgip),
    "smgp": lambda: spoken(Smgp),
    "smgp13": lambda: spoken(Smgp, version="1.3", gate="smgp13"),
    "smpp": lambda: spoken(Smpp),
}


@pytest.fixture(params=PROTOCOLS)
def speech(request: pytest.FixtureRequest) -> Iterator[Spoken]:
    """Without a log: a line for each frame would be a million."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield PROTOCOLS[request.param]()
    structlog.reset_defaults()


@pytest.mark.timeout(3600)
def test_no_mutation_crashes_hangs_or_leaves_anything_behind(speech: Spoken) -> None:
    own, dice = speech.dialect, random.Random(20260302)
    first = own.codec
    read = [heard(own, mutated(dice, speech.frames)) for _ in range(FUZZ // 10)]
    before = blocks()
    readable = sum(read)
    for _ in range(FUZZ):
        own.codec = first  # an answer to a login may have chosen another version
        readable += heard(own, mutated(dice, speech.frames))
    assert blocks() - before < 2_000
    assert FUZZ / 5 < readable < FUZZ


@pytest.mark.timeout(3600)
def test_no_mutation_crashes_the_rehearsal_operator(speech: Spoken) -> None:
    gate, dice, read = speech.gate, random.Random(11), 0
    for _ in range(FUZZ // 5):
        try:
            pdu = gate.codec.decode(mutated(dice, speech.frames))
        except Malformed:
            continue
        read += 1
        if pdu.name in gate.submits:
            part = gate.taken(pdu)
            ref = gate.reference(pdu, read, NOON)
            gate.codec.encode(*gate.answer(pdu, ref, 0))
            assert isinstance(part.body, str)
        elif pdu.name in gate.admits:
            _, fits, _ = gate.admit(pdu, "901234", "unknown", NOON)
            assert not fits
        elif pdu.name in gate.acknowledges:
            gate.sequence(pdu)
            gate.let_in(pdu)
        elif (reply := gate.reply(pdu)) is not None:
            gate.codec.encode(*reply)
    assert read > FUZZ / 25


def blocks() -> int:
    """Allocated memory, without what is remembered of codes."""
    codes._explained.cache_clear()
    gc.collect()
    return sys.getallocatedblocks()


def test_what_is_read_is_written_again_octet_for_octet(speech: Spoken) -> None:
    """A frame of ours that was read and written is the same frame."""
    for frame in speech.frames:
        pdu = speech.codec.decode(frame)
        assert speech.codec.encode(*pdu) == frame, pdu.name


# -- a link ------------------------------------------------------------------------------------------------------


class Wire(asyncio.Transport):
    """The other end of a link: nobody."""

    def __init__(self, protocol: Link) -> None:
        super().__init__()
        self.protocol, self.closing = protocol, False

    def write(self, data: Any) -> None:
        assert not self.closing or data

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default


class Owner:
    """A carrier that keeps nothing."""

    name = "main"

    def __init__(self) -> None:
        self.lost = Counter[str]()
        """How often a link ended, by the first two words of why."""

    def answered(self, answers: Sequence[Answer]) -> None:
        pass

    def link_lost(self, link: Link, why: str) -> None:
        self.lost[" ".join(why.split()[:2])] += 1

    async def receive(self, items: Items) -> None:
        pass

    def next_sequence(self) -> int:
        return 3

    def now(self) -> datetime:
        return NOON


@pytest.mark.timeout(3600)
async def test_whatever_comes_over_a_link_only_that_link_ends(speech: Spoken) -> None:
    own, dice, owner = speech.dialect, random.Random(7), Owner()
    for _ in range(FUZZ // 50):
        link = Link(owner, own, Mode.BOTH)
        wire = Wire(link)
        link.connection_made(wire)
        link.up = link.was_up = True
        stream = b"".join(mutated(dice, speech.frames) for _ in range(10))
        at = 0
        while at < len(stream) and not wire.closing:
            size = dice.choice((1, 7, 64, 1000))
            link.data_received(stream[at : at + size])
            at += size
        assert len(link._buffer) <= own.codec.longest + 1000
        wire.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert link.ended and not link.up
        link._admitted.exception()
    assert owner.lost.total() == FUZZ // 50
    assert owner.lost["malformed frame:"] > FUZZ // 200
    assert not owner.lost["unreadable frame:"]


@pytest.mark.timeout(3600)
async def test_nothing_that_is_no_login_lets_an_operator_in() -> None:
    changes = {"listen": "127.0.0.1:1", "listen_user": "unicom", "listen_secret": "s3cret", "allow": ["127.0.0.1"]}
    speech = spoken(Sgip, **changes)
    own, dice, owner = speech.dialect, random.Random(5), Owner()
    listener = Listener(owner, own)
    for _ in range(FUZZ // 50):
        link = Called(listener, own)
        wire = Wire(link)
        link.connection_made(wire)
        while not wire.closing and link in listener.links and dice.random() < 0.98:
            link.data_received(mutated(dice, speech.frames))
        assert not link.was_up and not link._arrived
        wire.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert link.ended and not listener.links
