"""gateway.carriers.sgip: frames by hand, sequences as ids, links on demand, and the links that an operator opens."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.carriers import Accepted, Answer, Concat, Deferred, Receipt, Received, Text, Uncertain, settings_of, sgip
from gateway.carriers.wire import content, listener
from gateway.carriers.wire.codec import Pdu
from gateway.carriers.wire.dialect import Mode, Said
from gateway.carriers.wire.operator import Behaviour, Operator, Session
from gateway.errors import Invalid, Unavailable
from gateway.model import ReceiptState
from tests.carriers.laid import fixed_text, laid, u8s, u32s
from tests.carriers.rig import Desk, Sgip, SgipCalled, free_port, texts
from tests.conftest import NOON

patient = hypothesis_settings(deadline=None)
"""A busy machine is no failure."""
NODE = 3037100001
STAMP = 302120000
"""NOON, in Beijing."""
CODEC = sgip.CODECS["sgip"]
WORDS = {8: (NODE, 4), 12: (STAMP, 4), 16: (77, 4)}
SEQUENCE = {"Node": NODE, "Time": STAMP, "Counter": 77}


def options(**changes: Any) -> dict[str, Any]:
    own = {"host": "127.0.0.1", "port": 8801, "user": "hall", "secret": "s3cret", "node": NODE, "corp": "00001"}
    return own | {"service": "NOTICE", "service_code": "10655001"} | changes


def settings(**changes: Any) -> sgip.Settings:
    found: sgip.Settings = settings_of(sgip.Carrier, "main", options(**changes))
    return found


def dialect(**changes: Any) -> sgip.Sgip:
    return sgip.Sgip(settings(**changes))


def sent(text: Text, number: int = 1, **changes: Any) -> list[bytes]:
    """The frames of a text, with the sequence 77."""
    own = dialect(**changes)
    pieces = content.pieces(text.body, own.cutting(own.settings), number, own.header)
    submits = [own.submit(text, piece) for piece in pieces]
    return [CODEC.encode(pdu.name, pdu.fields | own.numbered(77, NOON)) for pdu in submits]


# -- frames ------------------------------------------------------------------------------------------------------


def test_bind() -> None:
    frame = laid(61, {4: (1, 4), **WORDS, 20: 1, 21: "hall", 37: "s3cret"})
    pdu = dialect().login(Mode.BOTH, NOON)
    assert CODEC.encode(pdu.name, pdu.fields | SEQUENCE) == frame
    assert CODEC.decode(frame).fields["LoginPassword"] == "s3cret"


@pytest.mark.parametrize(
    ("name", "command"),
    [("BIND", 1), ("SUBMIT", 3), ("DELIVER", 4), ("REPORT", 5), ("USERRPT", 0x11), ("CHECKUSER", 0x10)],
)
def test_responses_have_one_layout(name: str, command: int) -> None:
    frame = laid(29, {4: (command | 0x80000000, 4), **WORDS, 20: 11})
    assert CODEC.encode(f"{name}_RESP", SEQUENCE | {"Result": 11}) == frame
    short = laid(21, {4: (command | 0x80000000, 4), **WORDS, 20: 11})  # without its Reserve
    for one in (frame, short):
        assert CODEC.decode(one) == Pdu(f"{name}_RESP", SEQUENCE | {"Result": 11, "Reserve": ""})


def test_submit() -> None:
    text = Text(1, 1, "+8613000130001", "停水", 1, 0, datetime(2026, 3, 2, 6, 30, 5, tzinfo=UTC))
    zeros = "0" * 21
    frame = laid(
        164 + 4,
        {
            4: (3, 4), **WORDS, 20: "10655001", 41: zeros, 62: 1, 63: "8613000130001", 84: "00001", 89: "NOTICE",
            99: 1, 100: "0", 106: "0", 112: 0, 113: 2, 114: 9, 115: "260302143005032+", 147: 1, 149: 0, 150: 8,
            152: (4, 4), 156: b"\x50\x5c\x6c\x34",
        },
    )  # fmt: skip
    assert sent(text) == [frame]
    fields = CODEC.decode(frame).fields
    assert (fields["ExpireTime"], fields["ReportFlag"], fields["UserNumber"]) == (
        "260302143005032+",
        1,
        ("8613000130001",),
    )


def test_a_submit_to_several_is_read() -> None:
    users = tuple(f"861300013{n:04}" for n in range(100))
    places = {63 + 21 * n: user for n, user in enumerate(users)}
    frame = laid(143 + 2100 + 2, {4: (3, 4), **WORDS, 62: 100, **places, 63 + 2100 + 68: (2, 4), 63 + 2100 + 72: "OK"})
    fields = CODEC.decode(frame).fields
    assert fields["UserNumber"] == users and fields["MessageContent"] == b"OK"


def test_an_account_decides_on_the_rest_of_a_submit() -> None:
    text = Text(1, 1, "+8613000130001", "停水", 1)
    [frame] = sent(text, payer="recipient", ask_receipts=False, alphabet="gb18030", fee_type=2, fee_value="10")
    fields = CODEC.decode(frame).fields
    assert fields["ChargeNumber"] == "8613000130001"
    assert (fields["ReportFlag"], fields["MessageCoding"], fields["MessageContent"]) == (2, 15, "停水".encode("gbk"))
    assert (fields["FeeType"], fields["FeeValue"], fields["ExpireTime"]) == (2, "10", "")


@pytest.mark.parametrize(("long", "header"), [(6, b"\5\0\3\2\2"), (7, b"\6\x08\4\1\2\2")])
def test_parts_of_a_long_text_begin_with_a_header(long: int, header: bytes) -> None:
    first, second = sent(Text(1, 1, "+8613000130001", "长" * 71, 2), number=0x0102, long=long)
    assert [CODEC.decode(one).fields["TP_udhi"] for one in (first, second)] == [1, 1]
    assert CODEC.decode(first).fields["MessageContent"].startswith(header + b"\1")
    assert CODEC.decode(second).fields["MessageContent"].startswith(header + b"\2")
    assert len(CODEC.decode(first).fields["MessageContent"]) <= 140


def deliver(body: bytes, coding: int = 8, udhi: int = 0, sender: str = "8613000130009") -> bytes:
    return laid(
        77 + len(body),
        {4: (4, 4), **WORDS, 20: sender, 41: "10655001", 63: udhi, 64: coding, 65: (len(body), 4), 69: body},
    )


def report(state: int, error: int = 0, user: str = "8613000130001", kind: int = 0, command: int = 5) -> bytes:
    return laid(
        64,
        {
            4: (command, 4), **WORDS, 20: (NODE, 4), 24: (1120203225, 4), 28: (5, 4), 32: kind, 33: user, 54: state,
            55: error,
        },
    )  # fmt: skip


def read(frame: bytes) -> list[Receipt | Received]:
    return dialect().items(CODEC.decode(frame), NOON)


def test_deliver() -> None:
    assert read(deliver("查询".encode("utf-16-be"))) == [
        Received(f"{NODE}-{STAMP}-77", "+8613000130009", "10655001", "查询", NOON)
    ]
    part = b"\5\0\3\x10\2\1" + "前".encode("utf-16-be")
    [found] = read(deliver(part, udhi=1))
    assert isinstance(found, Received) and (found.body, found.concat) == ("前", Concat(16, 2, 1))
    assert read(deliver("你好".encode("gb18030"), coding=15))[0].body == "你好"  # type: ignore[union-attr]
    assert read(deliver(b"TD", coding=0, sender="13000130009"))[0].phone == "+8613000130009"


@pytest.mark.parametrize(
    ("state", "error", "told"),
    [
        (0, 0, (ReceiptState.DELIVERED, None)),
        (0, 7, (ReceiptState.DELIVERED, None)),
        (1, 0, None),
        (2, 5, (ReceiptState.UNDELIVERED, "2:5")),
        (2, 0, (ReceiptState.UNDELIVERED, "2:0")),
        (2, 200, (ReceiptState.UNDELIVERED, "2:200")),
        (9, 1, (ReceiptState.UNDELIVERED, "9:1")),
    ],
)
def test_report(state: int, error: int, told: tuple[ReceiptState, str | None] | None) -> None:
    found = read(report(state, error))
    assert found == ([Receipt(f"{NODE}-1120203225-5", "+8613000130001", *told, NOON)] if told else [])


def test_what_reports_lack_and_confuse() -> None:
    assert read(report(0, user=""))[0].phone == ""
    assert read(report(0, user="10655001"))[0].phone == ""  # the reference decides
    assert read(report(0, kind=1)) == []  # about a text that a phone sent
    mistaken = report(2, 5, command=4)  # a REPORT under DELIVER's command
    assert CODEC.decode(mistaken).name == "REPORT"
    assert read(mistaken) == read(report(2, 5))


def test_userrpt_is_acknowledged_and_tells_nothing() -> None:
    frame = laid(71, {4: (0x11, 4), **WORDS, 20: "10655001", 41: "8613000130001", 62: 1})
    pdu = CODEC.decode(frame)
    assert pdu.fields["UserCondition"] == 1
    assert dialect().items(pdu, NOON) == []
    assert dialect().stored(pdu) == Pdu("USERRPT_RESP", SEQUENCE | {"Result": 0})


def test_what_an_sp_does_not_serve_is_answered_with_an_error() -> None:
    own = dialect()
    for name, command in (("ADDSP", 6), ("DELETESMG", 0xF), ("CHECKUSER", 0x10)):
        pdu = CODEC.decode(laid(25, {4: (command, 4), **WORDS}))
        assert pdu.name == name
        assert own.reply(pdu) == Pdu(f"{name}_RESP", SEQUENCE | {"Result": 30})
    trace = CODEC.decode(
        laid(61, {4: (0x1000, 4), **WORDS, 20: (NODE, 4), 24: (9, 4), 28: (8, 4), 32: "8613000130001"})
    )
    assert trace.fields["Submit_Counter"] == 8
    answer = own.reply(trace)
    assert answer is not None
    assert CODEC.encode(*answer) == laid(68, {4: (0x80001000, 4), **WORDS, 20: 1, 21: 30})


@pytest.mark.parametrize("total", [20, 29])
def test_an_unbind_resp_may_be_too_long(total: int) -> None:
    assert CODEC.decode(laid(total, {4: (0x80000002, 4), **WORDS})) == Pdu("UNBIND_RESP", SEQUENCE)


@patient
@given(
    words=st.tuples(u32s, u32s, u32s), numbers=st.lists(fixed_text(21), max_size=5), body=st.binary(max_size=160),
    sender=fixed_text(21), expires=fixed_text(16), coding=u8s,
)  # fmt: skip
def test_a_submit_comes_back_as_it_was_given(
    words: tuple[int, int, int], numbers: list[str], body: bytes, sender: str, expires: str, coding: int
) -> None:
    fields = dict(zip(("Node", "Time", "Counter"), words, strict=True))
    fields |= {"UserNumber": tuple(numbers), "MessageContent": body, "SPNumber": sender, "ExpireTime": expires}
    fields |= {"MessageCoding": coding}
    found = CODEC.decode(CODEC.encode("SUBMIT", fields)).fields
    assert {key: found[key] for key in fields} == fields
    assert (found["UserCount"], found["MessageLength"]) == (len(numbers), len(body))


# -- sequences ---------------------------------------------------------------------------------------------------


def test_node_ids() -> None:
    assert sgip.node_id("010", "12345") == 3010012345 == 0xB36924B9
    assert sgip.node_id("0371", "1") == 3037100001
    assert sgip.node_id("021", "00007") == 3021000007
    assert settings(node=0, area="0755", corp="99999").own_node == 3075599999 < 2**32
    assert settings(node=NODE, area="0755").own_node == NODE


def test_the_time_is_that_of_beijing_in_nine_or_ten_digits() -> None:
    own = dialect()
    assert own.numbered(1, datetime(2026, 11, 20, 12, 32, 25, tzinfo=UTC))["Time"] == 1120203225
    assert own.numbered(1, datetime(2026, 1, 2, 16, 0, 5, tzinfo=UTC))["Time"] == 103000005


def test_answers_are_told_by_node_and_counter() -> None:
    own = dialect()
    assert own.sequence(Pdu("SUBMIT_RESP", SEQUENCE)) == 77
    assert own.sequence(Pdu("SUBMIT_RESP", SEQUENCE | {"Time": 1})) == 77
    assert own.sequence(Pdu("SUBMIT_RESP", SEQUENCE | {"Node": 1})) == -1
    assert own.named(Pdu("SUBMIT", SEQUENCE)) == f"{NODE}-{STAMP}-77"


def test_two_runs_begin_to_count_at_different_numbers() -> None:
    assert len({dialect().first_sequence for _ in range(20)}) > 15


# -- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"user": "大厅"}, "user"),
        ({"corp": "123456"}, "corp"),
        ({"node": 2**32}, "node"),
        ({"node": 0}, "node"),
        ({"node": 0, "area": "10"}, "node"),
        ({"payer": "nobody"}, "payer"),
        ({"long": 5}, "long"),
        ({"fee_type": 256}, "fee_type"),
        ({"listen": "8801"}, "listen"),
        ({"listen": "127.0.0.1:99999"}, "listen"),
        ({"listen": "127.0.0.1:8801"}, "allow"),
        ({"listen": "127.0.0.1:8801", "allow": ["127.0.0.1"]}, "listen_secret"),
        ({"allow": ["unicom"]}, "allow"),
        ({"listen_links": 0}, "listen_links"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(Invalid) as caught:
        settings(**changes)
    assert f"carriers.main.{key}" in {problem.key for problem in caught.value.problems}


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("fe80::1%eth0", False),
        ("", False),
        ("unknown", False),
    ],
)
def test_addresses_that_may_call(address: str, inside: bool) -> None:
    networks = [found for one in ("10.0.0.0/8", "192.0.2.7", "2001:db8::/32") if (found := listener.network(one))]
    assert listener.allowed(address, networks) is inside


# -- links of ours -----------------------------------------------------------------------------------------------


@pytest.fixture
async def rig() -> AsyncIterator[Sgip]:
    made = Sgip()
    yield made
    await made.stop()


@pytest.fixture
async def called() -> AsyncIterator[SgipCalled]:
    made = SgipCalled()
    yield made
    await made.stop()


async def test_an_idle_link_sleeps_and_the_next_text_wakes_it(called: SgipCalled) -> None:
    await called.start(receipt_lost=1.0)
    carrier = await called.opened(idle_seconds=0.2, tests=50)
    own = called.operator
    for turn in range(3):
        await called.desk.until(lambda: all(session._calling for session in own.sessions) and carrier.free)
        assert carrier.free == carrier.capacity and carrier.links_up == (1, 1)
        carrier.submit(texts(2, first=10 * turn))
        await called.desk.answered(2 * turn + 2)
    assert all(isinstance(answer, Accepted) for answer in called.desk.answers)
    assert own.seen["logins"] == 4 and own.seen["malformed"] == 0
    assert not called.desk.failures


async def test_receipts_come_while_our_own_link_sleeps(called: SgipCalled) -> None:
    await called.start(receipt_after=0.6)
    carrier = await called.opened(idle_seconds=0.2, tests=50)
    carrier.submit(texts(1))
    await called.desk.answered(1)
    await called.desk.until(lambda: all(session._calling for session in called.operator.sessions))
    await called.desk.until(lambda: called.desk.receipts)
    assert called.operator.seen["logins"] == 1


async def test_without_a_listener_a_link_that_was_closed_is_opened_again(
    rig: Sgip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.carriers.wire.carrier.PAUSES", (0.1,))
    await rig.start(receipt_lost=1.0)
    carrier = await rig.opened(idle_seconds=0.1)
    await asyncio.sleep(0.3)
    assert rig.operator.sessions  # it does not sleep: nobody could tell us anything
    with capture_logs() as logs:
        rig.operator.sessions[0].close()
        await rig.desk.until(lambda: rig.operator.seen["logins"] == 2)
    assert not rig.desk.failures and not [line for line in logs if line["log_level"] == "warning"]
    rig.say("+8613800130009", "查询")
    await rig.desk.until(lambda: rig.desk.received)
    assert carrier.free == carrier.capacity


async def test_a_link_that_cannot_wake_defers_its_texts_and_fails(called: SgipCalled) -> None:
    await called.start(receipt_lost=1.0)
    carrier = await called.opened(idle_seconds=0.1, tests=50)
    own = called.operator
    await called.desk.until(lambda: all(session._calling for session in own.sessions) and carrier.free)
    await called.operator.stop()
    carrier.submit(texts(2))
    assert all(isinstance(answer, Deferred) for answer in await called.desk.answered(2))
    assert len(called.desk.failures) == 1 and carrier.free == 0


async def test_a_link_closed_right_after_the_login_is_opened_for_the_next_text(
    rig: Sgip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next text comes on the heels of the loss, before the opening that was cut short is over."""
    await rig.start(receipt_lost=1.0)
    carrier = await rig.opened()
    assert isinstance(carrier, sgip.Carrier)
    let_in, more = Session._admit, texts(1, first=1)

    def cut_off(session: Session, pdu: Pdu) -> None:
        let_in(session, pdu)
        session._request(Pdu("UNBIND", {}))  # in one piece with the answer
        monkeypatch.setattr(Session, "_admit", let_in)

    def answered(answers: Sequence[Answer]) -> None:
        rig.desk.answers.extend(answers)
        if more and carrier._slots == [None] and rig.operator.seen["logins"] == 2:
            assert carrier._keeping  # the opening that was cut short is not over
            carrier.submit([more.pop()])

    monkeypatch.setattr(Session, "_admit", cut_off)
    carrier.links = replace(carrier.links, answered=answered)
    rig.drop()
    await rig.desk.until(lambda: carrier._slots == [None])
    carrier.submit(texts(1))
    found = {answer.text.key: type(answer) for answer in await rig.desk.answered(2)}
    assert found == {0: Deferred, 1: Accepted} and rig.operator.seen["logins"] == 3


class Single(sgip.Smg):
    """Lets in one link at a time."""

    open = 0

    def admit(self, pdu: Pdu, user: str, secret: str, now: datetime) -> tuple[Pdu, bool, Mode]:
        answer, fits, mode = super().admit(pdu, user, secret, now)
        if not fits or Single.open:
            return Pdu(answer.name, answer.fields | {"Result": answer.fields["Result"] or 3}), False, mode
        Single.open += 1
        return answer, fits, mode

    def reply(self, pdu: Pdu) -> Pdu | None:
        Single.open -= pdu.name == "UNBIND"
        return super().reply(pdu)


async def test_a_second_link_that_is_refused_does_not_end_the_first(rig: Sgip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.carriers.wire.carrier.PAUSES", (0.1,))
    monkeypatch.setattr(Single, "open", 0)
    rig.operator = Operator(Single, Behaviour(user="901234", secret=rig.secret, receipt_lost=1.0))
    rig.port = await rig.operator.start()
    address = f"127.0.0.1:{free_port()}"
    carrier = await rig.opened(links=2, idle_seconds=0.2, tests=50, **listens(address))
    await rig.desk.until(lambda: rig.operator.seen["logins"] == 2)  # one sleeps, and the other gets its place
    assert rig.operator.seen["refused logins"] and not rig.desk.failures
    carrier.submit(texts(1))
    await rig.desk.answered(1)
    assert not rig.desk.failures


async def test_a_dead_link_is_left_and_the_parts_keep_their_names(rig: Sgip) -> None:
    await rig.start(receipt_lost=1.0)
    carrier = await rig.opened(answer_seconds=0.8)
    rig.operator.sessions[0].frozen = True
    carrier.submit(texts(1, "长" * 100, 2))
    [answer] = await rig.desk.answered(1)
    assert isinstance(answer, Uncertain)
    assert len(set(answer.refs)) == 2 and all(ref.startswith(f"{NODE}-") for ref in answer.refs)
    await rig.desk.until(lambda: carrier.free == carrier.capacity)
    carrier.submit(texts(1, first=7))
    assert isinstance((await rig.desk.answered(2))[1], Accepted)


class Forgetful(sgip.Smg):
    """Answers with a time of its own, as some do."""

    def answer(self, pdu: Pdu, ref: str, code: int) -> Pdu:
        answer = super().answer(pdu, ref, code)
        return Pdu(answer.name, answer.fields | {"Time": 101000000})

    def reply(self, pdu: Pdu) -> Pdu | None:
        answer = super().reply(pdu)
        return answer and Pdu(answer.name, answer.fields | {"Time": 101000000})


async def test_an_answer_with_another_time_is_ours_and_the_id_is_what_we_sent(rig: Sgip) -> None:
    rig.operator = Operator(Forgetful, Behaviour(user="901234", secret=rig.secret, receipt_after=0.01))
    rig.port = await rig.operator.start()
    carrier = await rig.opened()
    carrier.submit(texts(1))
    [answer] = await rig.desk.answered(1)
    assert isinstance(answer, Accepted) and "101000000" not in answer.refs[0]
    await rig.desk.until(lambda: rig.desk.receipts)
    assert rig.desk.receipts[0].ref == answer.refs[0]
    await carrier.close()
    assert not rig.desk.failures


async def test_a_wrong_password_is_explained(rig: Sgip) -> None:
    await rig.start()
    with pytest.raises(Unavailable) as caught:
        await rig.opened(secret="wrong")
    assert "1" in caught.value.en and "密码" in caught.value.zh


async def test_an_operator_that_has_forgotten_us_is_logged_in_to_again(rig: Sgip) -> None:
    await rig.start(receipt_lost=1.0, reject=1.0, reject_code=1)  # not logged in
    carrier = await rig.opened(in_flight=2)
    carrier.submit(texts(5))  # more than it said it could take
    answers = await rig.desk.answered(5)
    assert all(isinstance(answer, Deferred) for answer in answers) and rig.operator.seen["refused"] == 2
    rig.operator.behaviour = replace(rig.operator.behaviour, reject=0.0)
    await rig.desk.until(lambda: carrier.free == carrier.capacity)
    carrier.submit(texts(1, first=9))
    assert isinstance((await rig.desk.answered(6))[-1], Accepted)
    assert rig.operator.seen["logins"] == 2 and not rig.desk.failures


async def test_a_password_that_fits_no_login_is_explained(rig: Sgip) -> None:
    await rig.start()
    with pytest.raises(Unavailable, match="LoginPassword has 17 octets, at most 16"):
        await rig.opened(secret="x" * 17)


async def test_a_failed_receipt_has_state_and_error(rig: Sgip) -> None:
    await rig.start(receipt_lost=1.0)
    carrier = await rig.opened()
    carrier.submit(texts(1))
    [answer] = await rig.desk.answered(1)
    assert isinstance(answer, Accepted)
    for stat in ("2:5", "ACCEPTD", "UNDELIV", "DELIVRD"):
        rig.operator.report(Said(answer.refs[0], answer.text.phone, "10690001", stat, NOON))
    await rig.desk.until(lambda: len(rig.desk.receipts) == 3)
    assert [receipt.error for receipt in rig.desk.receipts] == ["2:5", "2:25", None]


# -- links of the operator's -------------------------------------------------------------------------------------


class Smg:
    """An operator's end of a link, by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, *frames: bytes) -> list[Pdu]:
        """Send them at once; an answer to each."""
        self.writer.write(b"".join(frames))
        return [await self.answer() for _ in frames]

    async def answer(self) -> Pdu:
        async with asyncio.timeout(3):
            head = await self.reader.readexactly(4)
            return CODEC.decode(head + await self.reader.readexactly(int.from_bytes(head, "big") - 4))

    async def is_closed(self) -> bool:
        """Whether it was closed without another word."""
        async with asyncio.timeout(3):
            try:
                return await self.reader.read() == b""
            except ConnectionResetError:
                return True

    def close(self) -> None:
        self.writer.close()


Dial = Callable[[str], Awaitable[Smg]]


@pytest.fixture
async def dial() -> AsyncIterator[Dial]:
    """Opens links as an operator does."""
    made: list[Smg] = []

    async def connect(address: str) -> Smg:
        host, _, port = address.rpartition(":")
        made.append(Smg(*await asyncio.open_connection(host, int(port))))
        return made[-1]

    yield connect
    for smg in made:
        smg.close()
        with contextlib.suppress(OSError):
            await smg.writer.wait_closed()


def bind(kind: int = 2, user: str = "unicom", secret: str = "th3irs") -> bytes:
    return laid(61, {4: (1, 4), 8: (103711, 4), 12: (STAMP, 4), 16: (3, 4), 20: kind, 21: user, 37: secret})


BOUND = Pdu("BIND_RESP", {"Node": 103711, "Time": STAMP, "Counter": 3, "Result": 0, "Reserve": ""})


@pytest.fixture
async def listening(rig: Sgip) -> AsyncIterator[tuple[str, Desk, sgip.Carrier]]:
    """Where we listen, who hears, and the carrier."""
    await rig.start()
    address = f"127.0.0.1:{free_port()}"
    carrier = await rig.opened(**listens(address))
    assert isinstance(carrier, sgip.Carrier)
    yield address, rig.desk, carrier


def listens(address: str, **changes: Any) -> dict[str, Any]:
    own = {"listen": address, "listen_user": "unicom", "listen_secret": "th3irs", "allow": ["127.0.0.0/8"]}
    return own | changes


Listening = tuple[str, Desk, sgip.Carrier]


async def test_an_operator_is_let_in_and_heard(listening: Listening, dial: Dial) -> None:
    address, desk, carrier = listening
    smg = await dial(address)
    assert await smg.ask(bind()) == [BOUND]
    assert carrier.noticed["called from"] == "127.0.0.1"
    body = "查询".encode("utf-16-be")
    answers = await smg.ask(deliver(body), report(0), laid(71, {4: (0x11, 4), **WORDS, 62: 2}), report(2, 5, command=4))
    assert [(one.name, one.fields["Result"]) for one in answers] == [
        ("DELIVER_RESP", 0), ("REPORT_RESP", 0), ("USERRPT_RESP", 0), ("REPORT_RESP", 0),
    ]  # fmt: skip
    assert {key: answers[0].fields[key] for key in SEQUENCE} == SEQUENCE
    assert [type(item) for item in desk.items] == [Received, Receipt, Receipt]
    assert [one.name for one in await smg.ask(laid(20, {4: (2, 4), **WORDS}))] == ["UNBIND_RESP"]
    assert await smg.is_closed()
    assert not desk.failures and carrier.listener is not None and not carrier.listener.links


async def test_what_cannot_be_stored_is_not_acknowledged(listening: Listening, dial: Dial) -> None:
    address, desk, _ = listening
    smg = await dial(address)
    await smg.ask(bind())
    desk.refusals = 2
    [answer] = await smg.ask(deliver(b"TD", coding=0))
    assert answer.name == "DELIVER_RESP" and desk.refusals == 0 and len(desk.received) == 1


@pytest.mark.parametrize(
    ("login", "result"),
    [
        (bind(secret="wrong"), 1),
        (bind(user="hall"), 1),
        (bind(secret=""), 1),
        (bind(kind=1), 4),
        (bind(kind=11), 4),
    ],
)
async def test_a_wrong_login_is_refused_and_closed(listening: Listening, login: bytes, result: int, dial: Dial) -> None:
    address, desk, _ = listening
    smg = await dial(address)
    smg.writer.write(login + deliver(b"TD", coding=0))
    assert (await smg.answer()).fields["Result"] == result
    assert await smg.is_closed()
    assert not desk.items


@pytest.mark.parametrize(
    "first",
    [deliver(b"TD", coding=0), report(0), laid(71, {4: (0x11, 4), **WORDS}), b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x14"],
    ids=["deliver", "report", "userrpt", "http", "silence"],
)
async def test_who_has_not_logged_in_is_not_heard(rig: Sgip, first: bytes, dial: Dial) -> None:
    await rig.start()
    address = f"127.0.0.1:{free_port()}"
    await rig.opened(connect_seconds=1.0, **listens(address))
    smg = await dial(address)
    smg.writer.write(first)
    assert await smg.is_closed()
    assert not rig.desk.items and not rig.desk.failures


async def test_an_answer_to_a_login_lets_nobody_in(listening: Listening, dial: Dial) -> None:
    address, desk, _ = listening
    smg = await dial(address)
    smg.writer.write(laid(29, {4: (0x80000001, 4), **WORDS}) + deliver(b"TD", coding=0))
    assert await smg.is_closed()
    assert not desk.items


async def test_only_addresses_that_are_allowed_are_read(rig: Sgip, dial: Dial) -> None:
    await rig.start()
    address = f"127.0.0.1:{free_port()}"
    await rig.opened(**listens(address, allow=["192.0.2.1", "10.0.0.0/8"]))
    with capture_logs() as logs:
        smg = await dial(address)
        smg.writer.write(bind() + deliver(b"TD", coding=0))
        assert await smg.is_closed()
    assert [(line["event"], line["peer"], line["why"]) for line in logs] == [
        ("listener.closed", "127.0.0.1", "address not allowed")
    ]
    assert not rig.desk.items


async def test_what_we_do_not_serve_is_answered_with_an_error(listening: Listening, dial: Dial) -> None:
    address, _, _ = listening
    smg = await dial(address)
    await smg.ask(bind())
    [submit] = sent(Text(1, 1, "+8613000130001", "停水", 1))
    answers = await smg.ask(submit, laid(20, {4: (0x10, 4), **WORDS}), laid(61, {4: (0x1000, 4), **WORDS}))
    assert [one.name for one in answers] == ["SUBMIT_RESP", "CHECKUSER_RESP", "TRACE_RESP"]
    assert [one.fields["Result"] for one in answers[:2]] == [30, 30]
    assert await smg.ask(bind()) == [BOUND]  # it goes on


async def test_links_of_the_operator_are_bounded(rig: Sgip, dial: Dial) -> None:
    await rig.start()
    address = f"127.0.0.1:{free_port()}"
    await rig.opened(**listens(address, listen_links=2))
    smgs = [await dial(address) for _ in range(2)]
    for smg in smgs:
        assert await smg.ask(bind()) == [BOUND]
    third = await dial(address)
    assert await third.is_closed()
    smgs[0].close()
    await asyncio.sleep(0.05)
    assert await (await dial(address)).ask(bind()) == [BOUND]  # there is a place again
    assert [one.name for one in await smgs[1].ask(report(0))] == ["REPORT_RESP"]


async def test_a_link_that_says_nothing_more_gives_up_its_place(rig: Sgip, dial: Dial) -> None:
    await rig.start()
    address = f"127.0.0.1:{free_port()}"
    await rig.opened(idle_seconds=0.5, tests=2, **listens(address))
    smg = await dial(address)
    await smg.ask(bind())
    await asyncio.sleep(0.6)
    assert [one.name for one in await smg.ask(report(0))] == ["REPORT_RESP"]  # heard again
    assert await smg.is_closed()


async def test_a_port_that_is_taken_is_unavailable(rig: Sgip) -> None:
    await rig.start()
    with socket.create_server(("127.0.0.1", 0)) as server:
        with pytest.raises(Unavailable, match="cannot listen"):
            await rig.opened(**listens(f"127.0.0.1:{server.getsockname()[1]}"))
        assert rig.operator.seen["logins"] == 0


async def test_nothing_listens_after_a_failed_opening_or_a_close(rig: Sgip, dial: Dial) -> None:
    await rig.start()
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(Unavailable):
        await rig.opened(**listens(address), secret="wrong")
    carrier = await rig.opened(**listens(address))
    smg = await dial(address)
    await smg.ask(bind())
    await carrier.close()
    assert await smg.is_closed()
    with pytest.raises(OSError):
        await dial(address)


async def test_the_rehearsal_operator_goes_on_calling_until_it_is_let_in(called: SgipCalled) -> None:
    await called.start()
    calls = called.operator
    carrier = await called.opened(listen_secret="another")
    await called.desk.until(lambda: calls.seen["calls refused"] >= 2)
    called.say("+8613800130009", "查询")
    await asyncio.sleep(0.1)
    assert not called.desk.received
    await carrier.close()
    await called.opened()
    await called.desk.until(lambda: called.desk.received)
    assert calls.seen["calls let in"] >= 1


async def test_without_listening_a_login_of_the_operators_is_refused() -> None:
    own = dialect()
    answer, fits = own.let_in(CODEC.decode(bind(user="", secret="")))
    assert not fits and answer.fields["Result"] == 4


def test_a_part_expires_in_sixteen_octets_whatever_the_site_s_zone() -> None:
    [frame] = sent(Text(1, 1, "+8613000130001", "停水", 1, 2, NOON + timedelta(hours=20)))
    assert frame[115:131] == b"260303080000032+"
    assert frame[114] == 3  # priority 2 of 0 to 3


def test_messages_of_the_settings_are_in_both_languages() -> None:
    for zh, en in (problem[1:] for problem in replace(settings(), node=-1, corp="x" * 9, fee_type=-1).problems()):
        assert any(char >= "\u4e00" for char in zh) and en.isascii()
