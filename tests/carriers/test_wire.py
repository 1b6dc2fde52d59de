"""gateway.carriers.wire: tables, frames, links and texts on their way; the protocols' own tests are beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers import Accepted, Concat, Deferred, Rejected, Text, Uncertain
from gateway.carriers.wire import content, throttle
from gateway.carriers.wire.carrier import References
from gateway.carriers.wire.codec import Codec, Pdu
from gateway.carriers.wire.fields import (
    ByLength,
    CString,
    Layout,
    Listed,
    Malformed,
    Octets,
    Tagged,
    Tail,
    cstring_tag,
    octets_tag,
    raw,
    text,
    u8,
    u16,
    u32,
    u64,
)
from gateway.carriers.wire.flight import Flight
from gateway.errors import Unavailable
from gateway.text import Alphabet, Cutting
from gateway.text import parts as text_parts
from tests.carriers.rig import Cmpp3, texts

TABLE = Layout(
    "ALL", 7,
    u8("A", 5), u64("B"), text("C", 4), raw("D", 2), u8("N"), Listed("L", 3, "N"), u8("Size"),
    Octets("O", "Size", 10), CString("S", 6), ByLength("W", 2, {60: 1}), u16("Z"),
    Tagged({1: u8("T1"), 2: cstring_tag("T2"), 3: octets_tag("T3")}),
)  # fmt: skip
CODEC = Codec("test", (u32("Sequence"),), [TABLE, Layout("END", 8, Tail("Rest", 4))], 200)
FULL: dict[str, Any] = {
    "Sequence": 9, "A": 1, "B": 2**64 - 1, "C": "ab", "D": b"\0\1", "N": 2, "L": ("x", "yz"), "Size": 3, "O": b"\0\0\1",
    "S": "hi", "W": 300, "Z": 4, "T1": 200, "T2": "é", "T3": b"\0", "0x1400": b"vendor",
}  # fmt: skip


# -- tables ------------------------------------------------------------------------------------------------------


def test_a_frame_comes_back_as_it_was_given() -> None:
    assert CODEC.decode(CODEC.encode("ALL", FULL)) == Pdu("ALL", FULL)


def test_what_is_not_given_has_its_default_and_counts_are_counted() -> None:
    found = CODEC.decode(CODEC.encode("ALL", {"L": ("x",), "O": b"12"})).fields
    assert (found["A"], found["B"], found["C"], found["N"], found["Size"]) == (5, 0, "", 1, 2)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"C": "abcde"}, "C has 5 octets, at most 4"),
        ({"C": "中"}, "C holds a character"),
        ({"A": 256}, "does not fit"),
        ({"A": -1}, "does not fit"),
        ({"Sequence": 2**32}, "header"),
        ({"N": 3}, "N does not count L"),
        ({"L": ("abcd",)}, "L has 4 octets"),
        ({"O": bytes(11)}, "O has 11 octets"),
        ({"S": "123456"}, "S has 6 octets, at most 5"),
        ({"S": "a\0"}, "S holds a NUL"),
        ({"W": 65536}, "W does not hold"),
        ({"T1": 256}, "T1 does not hold"),
    ],
)
def test_what_does_not_fit_is_told_and_never_cut(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(Malformed, match=said):
        CODEC.encode("ALL", wrong)


def test_a_frame_that_is_cut_names_the_field() -> None:
    whole = CODEC.encode("ALL", FULL)
    seen = set()
    for size in range(CODEC.header, len(whole)):
        part = size.to_bytes(4, "big") + whole[4:size]
        try:
            CODEC.decode(part)
        except Malformed as error:
            seen.add(error.en.rsplit(" begins")[0].split("where ")[-1])
    assert seen == {"A", "L", "Size", "O", "S", "W", "Z"}


def test_tolerances() -> None:
    frame = CODEC.encode("END", {"Rest": "ab"})
    for cut in range(5):
        short = frame[: len(frame) - cut]
        assert CODEC.decode(len(short).to_bytes(4, "big") + short[4:]).fields["Rest"] == "ab"[: 4 - cut]
    assert CODEC.decode((16).to_bytes(4, "big") + (99).to_bytes(4, "big") + bytes(8)).name == "0x00000063"
    with pytest.raises(Malformed, match="says"):
        CODEC.decode(frame + b"x")
    with pytest.raises(Malformed, match="less than a header"):
        CODEC.decode(b"\0\0\0\4")


def test_unknown_names_are_found() -> None:
    assert CODEC.unknown("ALL", {"A": 1, "Sequence": 1, "T1": 1, "0x9999": b"", "Nope": 1}) == ["Nope"]
    assert CODEC.unknown("END", {"0x9999": b""}) == ["0x9999"]


@given(st.binary(max_size=80))
def test_any_octets_are_a_frame_or_malformed(octets: bytes) -> None:
    framed = (len(octets) + 12).to_bytes(4, "big") + (7).to_bytes(4, "big") + bytes(4) + octets
    try:
        found = CODEC.decode(framed)
    except Malformed:
        return
    assert found.name == "ALL"


@given(st.lists(st.integers(1, 50), max_size=6))
def test_a_stream_is_cut_into_frames_wherever_chunks_end(sizes: list[int]) -> None:
    whole = b"".join(CODEC.encode("ALL", FULL | {"Sequence": n}) for n in range(4))
    buffer, found, at = bytearray(), [], 0
    for size in [*sizes, len(whole)]:
        buffer += whole[at : at + size]
        at += size
        found += [CODEC.decode(frame).fields["Sequence"] for frame in CODEC.frames(buffer)]
    assert found == [0, 1, 2, 3] and not buffer


@pytest.mark.parametrize("length", [0, 11, 201, 2**32 - 1])
def test_a_length_that_no_frame_has_is_malformed(length: int) -> None:
    good = CODEC.encode("END", {})
    buffer = bytearray(good + length.to_bytes(4, "big") + bytes(8))
    frames = CODEC.frames(buffer)
    assert next(frames) == good
    with pytest.raises(Malformed, match="no frame has"):
        next(frames)


# -- texts in frames -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cutting", "body", "alphabet", "sizes"),
    [
        (Cutting("ucs2", 6), "字" * 70, Alphabet.UCS2, [140]),
        (Cutting("ucs2", 6), "字" * 71, Alphabet.UCS2, [140, 14]),
        (Cutting("ucs2", 7), "字" * 71, Alphabet.UCS2, [139, 17]),
        (Cutting("ucs2", 6), "字" * 66 + "😀" + "字" * 40, Alphabet.UCS2, [138, 90]),
        (Cutting("ucs2", 0), "字" * 200, Alphabet.UCS2, [400]),
        (Cutting("auto", 6), "a" * 160, Alphabet.GSM7, [160]),
        (Cutting("auto", 6), "a" * 161, Alphabet.GSM7, [159, 14]),
        (Cutting("auto", 7), "a" * 161, Alphabet.GSM7, [159, 16]),
        (Cutting("auto", 6), "a" * 152 + "€" * 5, Alphabet.GSM7, [158, 16]),
        (Cutting("gb18030", 6), "字" * 70, Alphabet.GB18030, [140]),
        (Cutting("gb18030", 6), "字" * 71, Alphabet.GB18030, [140, 14]),
        (Cutting("gb18030", 6), "a" + "字" * 70, Alphabet.GB18030, [139, 14]),
        (Cutting("gb18030", 6), "𠮷" + "字" * 69, Alphabet.UCS2, [140, 14]),
    ],
)
def test_a_text_is_cut_as_the_account_says(cutting: Cutting, body: str, alphabet: Alphabet, sizes: list[int]) -> None:
    header = content.HEADERS[cutting.header]
    made = content.pieces(body, cutting, 0x1234, header)
    assert [len(piece.octets) for piece in made] == sizes
    assert {piece.alphabet for piece in made} == {alphabet}
    joined = [content.joined(piece.octets, piece.has_header and header is not None) for piece in made]
    if len(made) > 1:
        reference = 0x34 if cutting.header == 6 else 0x1234
        assert [concat for concat, _ in joined] == [Concat(reference, len(made), n + 1) for n in range(len(made))]
    formats = {Alphabet.UCS2: content.UCS2, Alphabet.GB18030: content.GB}
    if alphabet in formats:
        assert "".join(content.decode(octets, formats[alphabet]) for _, octets in joined) == body


@pytest.mark.parametrize("characters", [65, 66, 70, 100, 129, 130, 200])
def test_room_is_left_for_a_signature_that_the_operator_adds(characters: int) -> None:
    """枣原镇 in brackets takes five."""
    body, cutting = "停" * characters, Cutting("ucs2", 6)
    counted = text_parts("【枣原镇】" + body, cutting)
    made = content.pieces(body, cutting, 1, content.header_of_6, "【枣原镇】")
    assert len(made) == counted
    assert len(made[0].octets) + 10 <= 140
    assert "".join(content.utf16(content.joined(one.octets, one.has_header)[1]) for one in made) == body


@pytest.mark.parametrize(
    ("header", "concat"),
    [
        (b"\x05\x00\x03\x07\x02\x01", Concat(7, 2, 1)),
        (b"\x06\x08\x04\x01\x07\x02\x02", Concat(0x107, 2, 2)),
        (b"\x09\x24\x01\x01\x00\x03\x07\x02\x01" + b"\x00", Concat(7, 2, 1)),  # another element before it
        (b"\x05\x00\x03\x07\x00\x00", None),  # no parts
        (b"\x05\x00\x03\x07\x02\x03", None),  # a third of two
        (b"\x05\x00\x03\x07\x02\x00", None),
        (b"\x03\x70\x01\x00", None),
    ],
)
def test_the_header_of_a_part_is_read_element_by_element(header: bytes, concat: Concat | None) -> None:
    assert content.joined(header + "字".encode("utf-16-be"), True) == (concat, "字".encode("utf-16-be"))


def test_a_header_that_is_longer_than_all_is_text() -> None:
    assert content.joined(b"\x20abc", True) == (None, b"\x20abc")
    assert content.joined(b"", True) == (None, b"")
    assert content.joined(b"\x05\x00\x03\x07\x02\x01ab", False)[0] is None


@pytest.mark.parametrize(
    ("octets", "format", "body"),
    [
        (b"TD", 0, "TD"),
        ("退订".encode("gb18030"), 0, "退订"),  # said to be ASCII, and is not
        ("退订".encode("gb18030"), 15, "退订"),
        ("退订".encode("utf-16-be"), 8, "退订"),
        ("退订".encode("utf-16-be"), 0x18, "退订"),
        (b"\xfe\xff" + "退订".encode("utf-16-be"), 8, "退订"),
        ("退订".encode("utf-16-be") + b"\x00", 8, "退订"),
        (b"\xff", 15, "\ufffd"),
        (b"\x01\x02", 4, "\x01\x02"),
    ],
)
def test_what_came_is_read(octets: bytes, format: int, body: str) -> None:
    assert content.decode(octets, format) == body


@pytest.mark.parametrize(
    ("number", "e164"),
    [
        ("13800130001", "+8613800130001"),
        ("8613800130001", "+8613800130001"),
        ("+8613800130001", "+8613800130001"),
        ("008613800130001", "+8613800130001"),
        ("10690001", "10690001"),
        ("85212345678", "85212345678"),
        ("", ""),
    ],
)
def test_numbers(number: str, e164: str) -> None:
    assert content.e164(number) == e164


def test_references_to_one_number_follow_each_other() -> None:
    references = References()
    first = references.next("+8613800130001")
    assert references.next("+8613800130001") == (first + 1) % 65536
    for n in range(30_000):
        references.next(f"+86{n}")
    assert len(references._last) == 20_000


# -- a text on its way ---------------------------------------------------------------------------------------------

ONE = Text(1, 1, "+8613800130001", "字", 3)


def flown(*happened: tuple[str, int]) -> Any:
    flight = Flight(ONE, 3)
    flight.named = ["n1", "n2", "n3"]
    for what, number in happened:
        if what == "took":
            flight.took(number, f"r{number}")
        elif what == "lost":
            flight.lose("link lost")
        else:
            flight.refuse("9", for_good=what == "refused")
    return flight.answer()


def test_a_flight_ends_when_all_its_parts_are_answered() -> None:
    assert flown(("took", 1), ("took", 2)) is None
    assert flown(("took", 1), ("took", 2), ("took", 3)) == Accepted(ONE, ("r1", "r2", "r3"))
    assert flown(("refused", 1), ("refused", 2), ("refused", 3)) == Rejected(ONE, "9")
    assert flown(("took", 1), ("refused", 2), ("took", 3)) == Rejected(ONE, "9", ("r1", "", "r3"))
    assert flown(("later", 1), ("later", 2), ("later", 3)) == Deferred(ONE, "9")
    assert flown(("took", 1), ("later", 2), ("later", 3)) == Rejected(ONE, "9", ("r1", "", ""))
    assert flown(("took", 1), ("lost", 2), ("refused", 3)) == Uncertain(ONE, "link lost", ("r1", "n2", "n3"))


# -- links ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def rig() -> AsyncIterator[Cmpp3]:
    made = Cmpp3()
    yield made
    await made.stop()


async def test_a_wrong_secret_is_explained(rig: Cmpp3) -> None:
    await rig.start()
    with pytest.raises(Unavailable) as caught:
        await rig.opened(secret="wrong")
    assert "3" in caught.value.zh and len(caught.value.zh) > len("登录被拒（3）：")
    assert "wrong" not in caught.value.zh + caught.value.en
    assert rig.desk.failures == []


async def test_a_lost_link_comes_back_beside_the_others(rig: Cmpp3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.carriers.wire.carrier.PAUSES", (0.2,))
    await rig.start()
    carrier = await rig.opened(links=3)
    assert carrier.links_up == (3, 3)
    rig.operator.sessions[0].abort()
    await rig.desk.until(lambda: carrier.links_up == (2, 3))
    assert carrier.free == 2 * 16
    await rig.desk.until(lambda: carrier.links_up == (3, 3))
    assert not rig.desk.failures


async def test_texts_are_spread_over_links(rig: Cmpp3) -> None:
    await rig.start(receipt_lost=1.0)
    carrier = await rig.opened(links=2, in_flight=4)
    rig.hold()
    carrier.submit(texts(8))
    await rig.desk.until(lambda: sum(len(pdus) for _, pdus in rig.operator._held) == 8)
    assert rig.most_unanswered == 4


async def test_a_half_open_link_is_found(rig: Cmpp3) -> None:
    await rig.start(receipt_lost=1.0)
    carrier = await rig.opened(idle_seconds=0.1, tests=2)
    await asyncio.sleep(0.3)
    assert carrier.links_up == (1, 1)  # tests are answered
    rig.operator.sessions[0].frozen = True
    carrier.submit(texts(1))
    assert isinstance((await rig.desk.answered(1))[0], Uncertain)
    assert rig.desk.failures == ["link tests unanswered"]


async def test_no_more_than_a_window_is_lost_with_a_half_open_link(rig: Cmpp3) -> None:
    await rig.start(receipt_lost=1.0)
    carrier = await rig.opened(in_flight=4, answer_seconds=0.2, idle_seconds=0.3, tests=2)
    rig.operator.sessions[0].frozen = True
    carrier.submit(texts(6))  # more than it said it could take
    await rig.desk.answered(4)
    assert carrier.free == 0 and not rig.desk.failures
    await rig.desk.until(lambda: rig.desk.failures)
    kinds = [type(answer).__name__ for answer in rig.desk.answers]
    assert kinds == ["Uncertain"] * 4 + ["Deferred"] * 2


async def test_a_link_that_was_doubted_and_says_something_takes_texts_again(rig: Cmpp3) -> None:
    await rig.start(receipt_lost=1.0)
    carrier = await rig.opened(in_flight=4, answer_seconds=0.2)
    session = rig.operator.sessions[0]
    session.frozen = True
    carrier.submit(texts(2))
    await rig.desk.answered(2)
    assert carrier.free == 0
    session.frozen = False
    session._request(Pdu("ACTIVE_TEST", {}))
    session._flush()
    await rig.desk.until(lambda: carrier.free == 4)
    carrier.submit(texts(2, first=2))
    answers = await rig.desk.answered(4)
    assert all(isinstance(answer, Accepted) for answer in answers[2:]) and not rig.desk.failures


async def test_what_waited_for_the_window_when_the_link_was_lost_has_not_left(rig: Cmpp3) -> None:
    await rig.start()
    carrier = await rig.opened(in_flight=2)
    rig.hold()
    carrier.submit(texts(4))  # more than it said it could take
    await rig.desk.until(lambda: rig.most_unanswered == 2)
    rig.drop()
    kinds = sorted(type(answer).__name__ for answer in await rig.desk.answered(4))
    assert kinds == ["Deferred", "Deferred", "Uncertain", "Uncertain"]


async def test_throttling_halves_the_window_and_answers_widen_it(rig: Cmpp3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "FIRST_PAUSE", 0.05)
    await rig.start(receipt_lost=1.0, rate=1.0)
    carrier = await rig.opened(in_flight=8)
    carrier.submit(texts(2))
    await rig.desk.until(lambda: rig.operator.seen["slowed"])
    assert carrier.free == 0  # nothing leaves while it pauses
    rig.operator.behaviour = rig.operator.behaviour.__class__(secret=rig.secret, user="901234", receipt_lost=1.0)
    await rig.desk.answered(2)
    assert 0 < carrier.free < 8
    carrier.submit(texts(4, first=10))
    await rig.desk.answered(6)
    carrier.submit(texts(6, first=20))
    await rig.desk.answered(12)
    assert carrier.free == 8
    assert all(isinstance(answer, Accepted) for answer in rig.desk.answers)


async def test_an_operator_that_takes_less_than_was_bought_is_sent_to_at_its_own_pace(
    rig: Cmpp3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at one part per longest pause: 120 parts are 3 seconds' worth of what it takes."""
    monkeypatch.setattr(throttle, "FIRST_PAUSE", 0.1)
    await rig.start(receipt_lost=1.0, rate=40.0)
    carrier = await rig.opened(in_flight=16)
    carrier.submit(texts(120))
    await rig.desk.until(lambda: len(rig.desk.answers) == 120, seconds=25)
    assert all(isinstance(answer, Accepted) for answer in rig.desk.answers)
    assert rig.operator.seen["slowed"] < 120


async def test_a_frozen_operator_is_left_long_before_its_link_would_be_called_quiet(rig: Cmpp3) -> None:
    """What waits behind it shall go another way: silence on what was asked is not the silence of a quiet evening."""
    await rig.start()
    carrier = await rig.opened(answer_seconds=0.2, connect_seconds=0.2, idle_seconds=60.0)
    rig.operator.sessions[0].frozen = True
    carrier.submit(texts(2))
    await rig.desk.until(lambda: rig.desk.failures)
    assert all(isinstance(answer, Uncertain) for answer in await rig.desk.answered(2))


async def test_a_text_that_is_throttled_for_long_is_deferred(rig: Cmpp3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(throttle, "LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(throttle, "LONGEST_GAP", 0.01)
    await rig.start(rate=0.0001)
    carrier = await rig.opened()
    rig.operator._too_fast()  # what was saved up is spent
    carrier.submit(texts(1))
    answers = await rig.desk.answered(1)
    assert isinstance(answers[0], Deferred | Accepted)
    carrier.submit(texts(1, first=1))
    assert isinstance((await rig.desk.answered(2))[1], Deferred)


async def test_nonsense_closes_only_its_link(rig: Cmpp3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.carriers.wire.carrier.PAUSES", (0.2,))
    await rig.start(receipt_lost=1.0)
    carrier = await rig.opened(links=2)
    session = rig.operator.sessions[0]
    assert session._transport is not None
    session._transport.write(b"\xff" * 64)
    await rig.desk.until(lambda: carrier.links_up == (1, 2) or rig.operator.seen["logins"] == 3)
    carrier.submit(texts(3))
    assert all(isinstance(answer, Accepted) for answer in await rig.desk.answered(3))
    await rig.desk.until(lambda: carrier.links_up == (2, 2))


async def test_an_operator_that_ends_is_answered(rig: Cmpp3) -> None:
    await rig.start()
    await rig.opened()
    session = rig.operator.sessions[0]
    session._request(Pdu("TERMINATE", {}))
    session._flush()
    await rig.desk.until(lambda: rig.desk.failures)
    assert rig.desk.failures == ["ended by the operator"]


async def test_a_text_that_fits_no_frame_is_rejected_alone(rig: Cmpp3) -> None:
    await rig.start(receipt_lost=1.0)
    carrier = await rig.opened()
    wrong = texts(1)[0]._replace(phone="+1" + "2" * 40)
    carrier.submit([wrong, *texts(2, first=1)])
    answers = {answer.text.key: answer for answer in await rig.desk.answered(3)}
    assert isinstance(answers[0], Rejected) and "Dest_terminal_Id" in answers[0].error
    assert isinstance(answers[1], Accepted) and isinstance(answers[2], Accepted)


async def test_logins_that_get_no_answer_end_in_time(rig: Cmpp3) -> None:
    await rig.start()
    mute = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    before = time.monotonic()
    with pytest.raises(Unavailable, match="no answer"):
        await rig.opened(connect_seconds=0.2, port=mute.sockets[0].getsockname()[1])
    assert time.monotonic() - before < 2
    mute.close()
