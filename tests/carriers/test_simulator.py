"""gateway.carriers.simulator: the contract of a carrier, an operator rehearsed, and one in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway import carriers
from gateway.carriers import (
    Accepted,
    Answer,
    Deferred,
    Items,
    Links,
    Receipt,
    Rejected,
    Text,
    Uncertain,
    settings_of,
    simulator,
)
from gateway.carriers.simulator import Carrier, Operator, SimulatorSettings
from gateway.errors import Invalid, Unavailable
from gateway.model import ReceiptState
from tests.conftest import NOON


def text(key: int, *, attempt: int = 1, parts: int = 1) -> Text:
    return Text(key, attempt, f"+861380013{key % 10_000:04}", "今夜有雨", parts)


@dataclass
class Gateway:
    """What a carrier speaks to: keeps all it is told."""

    answers: list[Answer] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    refusals: int = 0
    """How many more times storing goes wrong."""

    async def receive(self, items: Items) -> None:
        if self.refusals:
            self.refusals -= 1
            raise RuntimeError("disk full")
        self.receipts.extend(item for item in items if isinstance(item, Receipt))

    def links(self) -> Links:
        return Links(
            answered=self.answers.extend, receive=self.receive, failed=self.failures.append, now=lambda: NOON
        )  # fmt: skip

    @contextlib.asynccontextmanager
    async def over(self, **settings: Any) -> AsyncIterator[Carrier]:
        carrier = Carrier("main", SimulatorSettings(**settings), self.links())
        await carrier.open()
        try:
            yield carrier
        finally:
            await carrier.close()

    async def hear(self, answers: int, receipts: int = 0) -> None:
        async with asyncio.timeout(8):
            while len(self.answers) < answers or len(self.receipts) < receipts:
                await asyncio.sleep(0.005)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def kinds(answers: Sequence[Answer]) -> Counter[str]:
    return Counter(type(answer).__name__ for answer in answers)


# -- the contract ----------------------------------------------------------------------------------------------


async def test_each_text_is_answered_once_and_each_part_has_a_reference_and_a_receipt(gateway: Gateway) -> None:
    texts = [text(1), text(2, parts=3)]
    async with gateway.over() as carrier:
        carrier.submit(texts)
        await gateway.hear(2, 4)
        assert carrier.idle
    assert [answer.text for answer in gateway.answers] == texts
    refs = [ref for answer in gateway.answers if isinstance(answer, Accepted) for ref in answer.refs]
    assert len(set(refs)) == 4 and [receipt.ref for receipt in gateway.receipts] == refs
    assert {(receipt.phone, receipt.state, receipt.error) for receipt in gateway.receipts} == {
        (texts[0].phone, ReceiptState.DELIVERED, None), (texts[1].phone, ReceiptState.DELIVERED, None)
    }  # fmt: skip


async def test_places_are_parts_and_there_are_none_while_it_is_closed(gateway: Gateway) -> None:
    closed = Carrier("main", SimulatorSettings(), gateway.links())
    assert closed.free == 0
    async with gateway.over(in_flight=5, links=2, latency=0.05) as carrier:
        assert (carrier.capacity, carrier.free) == (10, 10)
        carrier.submit([text(1, parts=3), text(2)])
        assert carrier.free == 6 and not carrier.idle
        await gateway.hear(2)
        assert carrier.free == 10
    assert carrier.free == 0


async def test_submitting_does_not_answer_at_once(gateway: Gateway) -> None:
    async with gateway.over() as carrier:
        carrier.submit([text(1)])
        assert gateway.answers == []
        await gateway.hear(1)


async def test_closing_calls_uncertain_what_is_in_flight_once(gateway: Gateway) -> None:
    async with gateway.over(latency=5.0) as carrier:
        carrier.submit([text(1), text(2)])
    assert [type(answer) for answer in gateway.answers] == [Uncertain, Uncertain]
    await carrier.close()
    assert len(gateway.answers) == 2 and gateway.failures == []


async def test_a_lost_link_answers_what_was_in_flight_and_says_so_once(gateway: Gateway) -> None:
    async with gateway.over(latency=5.0) as carrier:
        carrier.submit([text(1)])
        carrier.lost("cut")
        carrier.lost("cut again")
        assert (kinds(gateway.answers), gateway.failures, carrier.free) == (Counter(Uncertain=1), ["cut"], 0)
    assert len(gateway.answers) == 1


async def test_a_carrier_that_is_down_is_unavailable(gateway: Gateway) -> None:
    with pytest.raises(Unavailable, match="set to be down"):
        await Carrier("main", SimulatorSettings(down=True), gateway.links()).open()


async def test_receipts_that_were_not_stored_are_told_again(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulator, "REPEAT_SECONDS", 0.02)
    gateway.refusals = 2
    async with gateway.over() as carrier:
        carrier.submit([text(1)])
        await gateway.hear(1)
        await asyncio.sleep(0)
        assert not carrier.idle or gateway.receipts
        await gateway.hear(1, 1)
    assert len(gateway.receipts) == 1 and gateway.refusals == 0


# -- the dice --------------------------------------------------------------------------------------------------


def test_what_happens_to_a_text_depends_on_seed_key_and_attempt_alone() -> None:
    settings = SimulatorSettings(reject=0.3, defer=0.3, receipt_lost=0.3, receipt_failed=0.3, receipt_twice=0.3)
    fates = [Operator(settings).fate(text(key)) for key in range(200)]
    assert fates == [Operator(settings).fate(text(key)) for key in range(200)]
    assert fates != [Operator(settings).fate(text(key, attempt=2)) for key in range(200)]
    other = Operator(SimulatorSettings(**{**vars(settings), "seed": 2}))
    assert fates != [other.fate(text(key)) for key in range(200)]


@pytest.mark.parametrize(
    ("setting", "share"),
    [
        ("reject", lambda f: f.refused is not None),
        ("defer", lambda f: f.deferred),
        ("receipt_lost", lambda f: f.receipt == "lost"),
        ("receipt_early", lambda f: f.receipt == "early"),
        ("receipt_late", lambda f: f.receipt == "late"),
        ("receipt_failed", lambda f: f.failed),
        ("receipt_twice", lambda f: f.twice),
    ],
)
def test_each_ratio_is_kept(setting: str, share: Any) -> None:
    operator = Operator(SimulatorSettings(**{setting: 0.2}))
    assert not operator.perfect
    assert 160 <= sum(share(operator.fate(text(key))) for key in range(1000)) <= 240


async def test_refused_and_deferred_texts_are_not_taken(gateway: Gateway) -> None:
    async with gateway.over(reject=0.3, defer=0.3) as carrier:
        carrier.submit([text(key) for key in range(60)])
        await gateway.hear(60)
        found = kinds(gateway.answers)
        assert set(found) == {"Accepted", "Rejected", "Deferred"}
        assert carrier.operator.accepted == len(carrier.operator.seen) == found["Accepted"]
        assert {a.error for a in gateway.answers if isinstance(a, Rejected | Deferred)} == {"R:REFUSED", "BUSY"}


async def test_a_text_is_deferred_once(gateway: Gateway) -> None:
    async with gateway.over(defer=1.0) as carrier:
        carrier.submit([text(1)])
        carrier.submit([text(1, attempt=2)])
        await gateway.hear(2)
    assert [type(answer) for answer in gateway.answers] == [Deferred, Accepted]


async def test_early_receipts_come_before_the_answer_and_late_ones_after(gateway: Gateway) -> None:
    async with gateway.over(receipt_early=1.0, latency=0.05) as carrier:
        carrier.submit([text(1)])
        await gateway.hear(0, 1)
        assert gateway.answers == []
    late = Gateway()
    async with late.over(receipt_late=1.0, receipt_late_after=0.05) as carrier:
        carrier.submit([text(1)])
        await late.hear(1)
        assert late.receipts == []
        await late.hear(1, 1)


@pytest.mark.parametrize(("setting", "receipts"), [("receipt_lost", 0), ("receipt_twice", 2)])
async def test_receipts_are_lost_or_repeated(gateway: Gateway, setting: str, receipts: int) -> None:
    async with gateway.over(**{setting: 1.0}) as carrier:
        carrier.submit([text(1)])
        await gateway.hear(1, receipts)
        assert carrier.idle
    assert len(gateway.receipts) == receipts


async def test_the_ledger_knows_repeats_and_is_bounded(gateway: Gateway) -> None:
    async with gateway.over(remember=2) as carrier:
        carrier.submit([text(1)])
        carrier.submit([text(1)])
        assert carrier.operator.repeated == 1
        carrier.submit([text(key) for key in (2, 3)])
        assert list(carrier.operator.seen) == [(2, 1), (3, 1)] and set(carrier.operator.bodies) == {2, 3}
        assert carrier.operator.accepted == 4


# -- as a process of its own -----------------------------------------------------------------------------------


class Process:
    """The operator's process; `address` once it listens, `ledger` of what it took."""

    def __init__(self, ledger: Path) -> None:
        self.ledger = ledger
        self.address = ""

    @contextlib.asynccontextmanager
    async def running(self, *options: str) -> AsyncIterator[Process]:
        command = (sys.executable, "-m", "gateway.carriers.simulator", "--ledger", str(self.ledger), *options)
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        try:
            self.address = f"127.0.0.1:{(await process.stdout.readline()).split()[1].decode()}"
            yield self
        finally:
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0

    def taken(self) -> list[list[str]]:
        return [line.split() for line in self.ledger.read_text().splitlines()]


async def test_the_operator_runs_beside_the_gateway_and_repeats_what_was_not_stored(
    gateway: Gateway, tmp_path: Path
) -> None:
    async with Process(tmp_path / "ledger").running() as operator:
        gateway.refusals = 1
        async with gateway.over(address=operator.address) as carrier:
            carrier.submit([text(1), text(2, parts=2)])
            await gateway.hear(2)
            assert operator.taken() == [["1", "1", text(1).phone], ["2", "1", text(2).phone]]
            while not gateway.failures:
                await asyncio.sleep(0.005)
        assert gateway.receipts == [] and gateway.failures == ["not stored: RuntimeError"]
        async with gateway.over(address=operator.address):
            await gateway.hear(2, 3)
        refs = [ref for answer in gateway.answers if isinstance(answer, Accepted) for ref in answer.refs]
        assert sorted(receipt.ref for receipt in gateway.receipts) == sorted(refs)
        async with gateway.over(address=operator.address) as carrier:
            carrier.submit([text(3)])
            await gateway.hear(3, 4)  # what was stored is not told again


async def test_when_the_operators_process_ends_what_was_in_flight_is_uncertain(
    gateway: Gateway, tmp_path: Path
) -> None:
    operator = Process(tmp_path / "ledger")
    async with operator.running("--latency", "30", "--reject", "0.0"):
        carrier = Carrier("main", SimulatorSettings(address=operator.address), gateway.links())
        await carrier.open()
        carrier.submit([text(1)])
        while not operator.taken():
            await asyncio.sleep(0.005)
    await gateway.hear(1)
    assert kinds(gateway.answers) == Counter(Uncertain=1) and len(gateway.failures) == 1
    await carrier.close()
    with pytest.raises(Unavailable, match="cannot reach"):
        await Carrier("main", SimulatorSettings(address=operator.address), gateway.links()).open()


async def test_refusals_cross_the_line_as_such(gateway: Gateway, tmp_path: Path) -> None:
    process = Process(tmp_path / "ledger").running("--reject", "0.3", "--defer", "0.3")
    async with process as operator, gateway.over(address=operator.address) as carrier:
        carrier.submit([text(key) for key in range(60)])
        await gateway.hear(60)
    assert set(kinds(gateway.answers)) == {"Accepted", "Rejected", "Deferred"}


# -- its table of config.toml ----------------------------------------------------------------------------------


def test_a_protocol_is_a_module() -> None:
    assert carriers.load("simulator") is Carrier
    assert carriers.load("gateway.carriers.simulator") is Carrier
    with pytest.raises(ModuleNotFoundError):
        carriers.load("telepathy")


def test_settings_come_from_the_table_and_every_mistake_is_named() -> None:
    assert settings_of(Carrier, "main", {"in_flight": 5, "latency": 1}) == SimulatorSettings(in_flight=5, latency=1.0)
    with pytest.raises(Invalid) as caught:
        settings_of(Carrier, "main", {"in_fligth": 5, "links": "two", "seed": True, "down": 1})
    assert [problem.key for problem in caught.value.problems] == [
        "carriers.main.in_fligth", "carriers.main.links", "carriers.main.seed", "carriers.main.down"
    ]  # fmt: skip
