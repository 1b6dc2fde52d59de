"""A carrier that sends nothing: an operator rehearsed by settings and a seed.

Policy
- What happens to a text depends on the seed and the text's key alone, so that a run can be repeated.
- Answers and receipts come in batches on the event loop, as from a socket: one timer per `submit`, not per text.
- The same operator runs inside the process, or as a process of its own that keeps its own ledger on disk
  (`python -m gateway.carriers.simulator --listen HOST:PORT --ledger FILE`): what *it* saw is what a kill test trusts.
  There, each line is one JSON object; receipts are sent again until they are acknowledged.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from gateway import carriers
from gateway.carriers import Accepted, Answer, Deferred, Links, Receipt, Rejected, Text, Uncertain
from gateway.errors import Unavailable
from gateway.model import ReceiptState

MAX_LINE = 4 * 1024 * 1024
REPEAT_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class SimulatorSettings(carriers.Carrier.Settings):
    """Ratios are 0 to 1, times are seconds; `remember` bounds the ledger that is kept in memory.

    `address` HOST:PORT: speak to an operator in a process of its own.
    """

    seed: int = 1
    in_flight: int = 64
    links: int = 1
    latency: float = 0.0
    reject: float = 0.0
    defer: float = 0.0
    receipt_after: float = 0.0
    receipt_failed: float = 0.0
    receipt_lost: float = 0.0
    receipt_late: float = 0.0
    receipt_late_after: float = 1.0
    receipt_early: float = 0.0
    receipt_twice: float = 0.0
    down: bool = False
    remember: int = 100_000
    address: str = ""


@dataclass(frozen=True, slots=True)
class Fate:
    """What the operator will do with one attempt of one text."""

    refused: str | None
    deferred: bool
    receipt: str
    """lost, early, late or due."""
    failed: bool
    twice: bool


class Operator:
    """The operator's side: takes texts, answers, and reports later. Counts what it saw, per text."""

    def __init__(self, settings: SimulatorSettings, note: Callable[[Text], None] | None = None) -> None:
        self.settings = settings
        self.accepted = 0
        self._note = note
        self.seen: dict[tuple[int, int], str] = {}
        """(key, attempt) of each text accepted -> the number it went to."""
        self.repeated = 0
        self.bodies: dict[int, str] = {}
        """key -> the text as it would stand on the phone."""

    def fate(self, text: Text) -> Fate:
        """Decided by seed, key and attempt alone."""
        s, dice = self.settings, random.Random(f"{self.settings.seed}:{text.key}:{text.attempt}")
        refused = "R:REFUSED" if dice.random() < s.reject else None
        deferred = dice.random() < s.defer
        roll, kind = dice.random(), "due"
        for name, share in (("lost", s.receipt_lost), ("early", s.receipt_early), ("late", s.receipt_late)):
            if roll < share:
                kind = name
                break
            roll -= share
        return Fate(refused, deferred, kind, dice.random() < s.receipt_failed, dice.random() < s.receipt_twice)

    @property
    def perfect(self) -> bool:
        """Nothing is left to chance: no dice are needed."""
        s = self.settings
        return not (s.reject or s.defer or s.receipt_lost or s.receipt_late or s.receipt_early or s.receipt_failed
                    or s.receipt_twice)  # fmt: skip

    def refs(self, text: Text) -> tuple[str, ...]:
        """One reference per part."""
        if text.parts == 1:
            return (f"{text.key:x}.{text.attempt}.1",)
        return tuple(f"{text.key:x}.{text.attempt}.{part}" for part in range(1, text.parts + 1))

    def take(self, text: Text, fate: Fate) -> Answer:
        """Look at one text, note it in the ledger when it is accepted, and answer."""
        if fate.deferred and text.attempt == 1:
            return Deferred(text, "BUSY")
        if fate.refused is not None:
            return Rejected(text, fate.refused)
        self._remember(text)
        return Accepted(text, self.refs(text))

    def _remember(self, text: Text) -> None:
        slot = (text.key, text.attempt)
        self.accepted += 1
        self.repeated += slot in self.seen
        self.seen[slot] = text.phone
        self.bodies[text.key] = text.body
        if len(self.seen) > self.settings.remember:
            oldest = next(iter(self.seen))
            del self.seen[oldest]
            self.bodies.pop(oldest[0], None)
        if self._note is not None:
            self._note(text)

    def receipts(self, accepted: Accepted, fate: Fate, now: datetime) -> Iterable[Receipt]:
        """What will be said of each part, twice where fate has it so."""
        state = ReceiptState.UNDELIVERED if fate.failed else ReceiptState.DELIVERED
        error = "UNDELIV" if fate.failed else None
        for _ in range(2 if fate.twice else 1):
            for ref in accepted.refs:
                yield Receipt(ref, accepted.text.phone, state, error, now)


ORDINARY = Fate(None, False, "due", False, False)


class Rehearsal:
    """Runs an `Operator` on the event loop: answers after the latency, receipts when they are due."""

    def __init__(
        self,
        operator: Operator,
        answered: Callable[[Sequence[Answer]], None],
        reported: Callable[[Sequence[Receipt]], None],
        now: Callable[[], datetime],
    ) -> None:
        self.operator = operator
        self._answered = answered
        self._reported = reported
        self._now = now
        self._timers: set[asyncio.TimerHandle] = set()

    def submit(self, texts: Sequence[Text]) -> None:
        """Decide on all of them; tell in one batch after the latency."""
        perfect, operator = self.operator.perfect, self.operator
        answers: list[Answer] = []
        due: dict[str, list[Receipt]] = {"early": [], "due": [], "late": []}
        for text in texts:
            fate = ORDINARY if perfect else operator.fate(text)
            answer = operator.take(text, fate)
            answers.append(answer)
            if isinstance(answer, Accepted) and fate.receipt != "lost":
                due[fate.receipt].extend(operator.receipts(answer, fate, self._now()))
        self._report_after(0.0, due["early"])
        self._after(operator.settings.latency, lambda: self._answered(answers))
        self._report_after(operator.settings.latency + operator.settings.receipt_after, due["due"])
        self._report_after(operator.settings.latency + operator.settings.receipt_late_after, due["late"])

    @property
    def idle(self) -> bool:
        """Whether no answer and no receipt is due."""
        return not self._timers

    def stop(self) -> None:
        """Forget every timer."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _report_after(self, seconds: float, receipts: list[Receipt]) -> None:
        if receipts:
            self._after(seconds, lambda: self._reported(receipts))

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()

        def fire() -> None:
            self._timers.discard(timer)
            act()

        timer = loop.call_later(seconds, fire)
        self._timers.add(timer)


class Carrier(carriers.Carrier):
    """The gateway's side, in the operator's process or beside it."""

    Settings = SimulatorSettings
    settings: SimulatorSettings

    def __init__(self, name: str, settings: Any, links: Links) -> None:
        super().__init__(name, settings, links)
        self.operator = Operator(settings)
        self._flying: dict[tuple[int, int], Text] = {}
        self._parts = 0
        self._opened = False
        self._peer: _Peer | None = None
        self._rehearsal = Rehearsal(self.operator, self._answer, self._report, links.now)
        self._reports: asyncio.Queue[Sequence[Receipt]] = asyncio.Queue()
        self._reporting: asyncio.Task[None] | None = None
        self._telling = False

    @property
    def capacity(self) -> int:
        return int(self.settings.in_flight * self.settings.links)

    @property
    def free(self) -> int:
        return max(0, self.capacity - self._parts) if self._opened else 0

    @property
    def links_up(self) -> tuple[int, int]:
        return (self.settings.links if self._opened else 0), self.settings.links

    @property
    def idle(self) -> bool:
        """Whether nothing is in flight and the operator inside the process has nothing more to say."""
        return not (self._flying or self._telling) and self._rehearsal.idle and self._reports.empty()

    def submit(self, texts: Sequence[Text]) -> None:
        for text in texts:
            self._flying[text.key, text.attempt] = text
            self._parts += text.parts
        if self._peer is not None:
            self._peer.submit(texts)
        else:
            self._rehearsal.submit(texts)

    async def open(self) -> None:
        if self.settings.down:
            raise Unavailable("模拟通道设为不可用", "the simulator is set to be down")
        if self.settings.address:
            self._peer = await _Peer.connect(self.settings.address, self)
        self._reporting = asyncio.create_task(self._deliver_reports())
        self._opened = True

    async def close(self) -> None:
        """In the process, wait for what was due anyway: the answers and the ordinary receipts."""
        self._opened = False
        if self._peer is not None:
            await self._peer.close()
        self._rehearsal.stop()
        if self._reporting is not None:
            self._reporting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reporting
        self._lose("closed")

    def lost(self, why: str) -> None:
        """The link to the operator's process is gone: what was in flight may have arrived."""
        if self._opened:
            self._opened = False
            self._lose(why)
            self.links.failed(why)

    def _lose(self, why: str) -> None:
        lost = [Uncertain(text, why) for text in self._flying.values()]
        self._flying.clear()
        self._parts = 0
        if lost:
            self.links.answered(lost)

    def _answer(self, answers: Sequence[Answer]) -> None:
        known = []
        for answer in answers:
            if self._flying.pop((answer.text.key, answer.text.attempt), None) is not None:
                self._parts -= answer.text.parts
                known.append(answer)
        self.links.answered(known)

    def answer_by_key(self, key: int, attempt: int, refs: Sequence[str], error: str | None) -> Answer | None:
        """An answer of the operator's process, told by key; None when nobody waits for it any more."""
        text = self._flying.get((key, attempt))
        if text is None:
            return None
        if refs:
            return Accepted(text, tuple(refs))
        return Deferred(text, error) if error == "BUSY" else Rejected(text, error or "")

    def answer(self, answers: Sequence[Answer]) -> None:
        """Answers of the operator's process."""
        self._answer(answers)

    def _report(self, receipts: Sequence[Receipt]) -> None:
        self._reports.put_nowait(receipts)

    async def _deliver_reports(self) -> None:
        while True:
            items = list(await self._reports.get())
            while not self._reports.empty():
                items.extend(self._reports.get_nowait())
            self._telling = True
            await self._store_at_last(items)
            self._telling = False

    async def _store_at_last(self, items: Sequence[Receipt]) -> None:
        """An operator repeats what was not acknowledged."""
        while True:
            try:
                return await self.links.receive(items)
            except Exception:
                await asyncio.sleep(REPEAT_SECONDS)


# -- the operator as a process of its own ----------------------------------------------------------------------


def _answer_row(answer: Answer) -> tuple[int, int, tuple[str, ...], str | None]:
    if isinstance(answer, Accepted):
        return (answer.text.key, answer.text.attempt, answer.refs, None)
    return (answer.text.key, answer.text.attempt, (), answer.error)


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


class _Peer:
    """The connection from the gateway to the operator's process."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, carrier: Carrier) -> None:
        self._reader, self._writer, self._carrier = reader, writer, carrier
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, address: str, carrier: Carrier) -> _Peer:
        host, _, port = address.rpartition(":")
        try:
            reader, writer = await asyncio.open_connection(host, int(port), limit=MAX_LINE)
        except OSError as error:
            raise Unavailable(
                f"连不上模拟运营商 {address}", f"cannot reach the operator at {address}: {error}"
            ) from error
        return cls(reader, writer, carrier)

    def submit(self, texts: Sequence[Text]) -> None:
        self._writer.write(_line({"submit": [(t.key, t.attempt, t.phone, t.body, t.parts) for t in texts]}))

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._writer.close()

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                await self._take(json.loads(line))
            why = "link lost"
        except OSError as error:
            why = f"link lost: {error}"
        except Exception as error:
            # Not stored, so not acknowledged: a new connection has it sent again.
            why = f"not stored: {type(error).__name__}"
        self._carrier.lost(why)

    async def _take(self, told: dict[str, Any]) -> None:
        if "answers" in told:
            answers = (self._carrier.answer_by_key(*row) for row in told["answers"])
            self._carrier.answer([answer for answer in answers if answer is not None])
        if "receipts" in told:
            now = self._carrier.links.now()
            items = [
                Receipt(ref, phone, ReceiptState(state), error, now) for ref, phone, state, error in told["receipts"]
            ]
            await self._carrier.links.receive(items)
            self._writer.write(_line({"stored": told["id"]}))


class Server:
    """The operator's process: one gateway at a time, a ledger line for each text it accepts, receipts until stored."""

    def __init__(self, settings: SimulatorSettings, ledger: TextIO) -> None:
        self.operator = Operator(settings, self._note)
        self._ledger = ledger
        self._writer: asyncio.StreamWriter | None = None
        self._unstored: dict[int, Sequence[Receipt]] = {}
        self._next = 0
        self._rehearsal = Rehearsal(self.operator, self._answer, self._report, lambda: datetime.now(UTC))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its login to its end."""
        self._writer = writer
        for key, receipts in list(self._unstored.items()):
            self._send_receipts(key, receipts)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                self._take(json.loads(line))
        if self._writer is writer:
            self._writer = None
        writer.close()

    def _take(self, told: dict[str, Any]) -> None:
        if "submit" in told:
            # In the ledger before anything is answered: a gateway that dies now has sent it all the same.
            self._rehearsal.submit([Text(*row) for row in told["submit"]])
            self._ledger.flush()
        if "stored" in told:
            self._unstored.pop(told["stored"], None)

    def _note(self, text: Text) -> None:
        self._ledger.write(f"{text.key} {text.attempt} {text.phone}\n")

    def _answer(self, answers: Sequence[Answer]) -> None:
        self._send({"answers": [_answer_row(answer) for answer in answers]})

    def _report(self, receipts: Sequence[Receipt]) -> None:
        self._next += 1
        self._unstored[self._next] = receipts
        self._send_receipts(self._next, receipts)

    def _send_receipts(self, key: int, receipts: Sequence[Receipt]) -> None:
        self._send({"id": key, "receipts": [(r.ref, r.phone, r.state, r.error) for r in receipts]})

    def _send(self, value: object) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(_line(value))


async def listen(settings: SimulatorSettings, host: str, port: int, ledger: Path) -> None:
    """Run the operator's process until it is told to end."""
    with ledger.open("a", encoding="utf-8") as file:
        server = await asyncio.start_server(Server(settings, file).serve, host, port, limit=MAX_LINE)
        print("listening", server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the parent reads the port
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        await ended.wait()
        server.close()


def main() -> None:
    """`python -m gateway.carriers.simulator --listen 127.0.0.1:0 --ledger FILE [--latency 0.01 ...]`"""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--listen", default="127.0.0.1:0")
    parser.add_argument("--ledger", type=Path, required=True)
    own = [f for f in fields(SimulatorSettings) if f.name not in ("address", "down")]
    for f in own:
        parser.add_argument(f"--{f.name.replace('_', '-')}", type=type(f.default), default=f.default)
    given = vars(parser.parse_args())
    host, _, port = given.pop("listen").rpartition(":")
    ledger = given.pop("ledger")
    asyncio.run(listen(SimulatorSettings(**given), host, int(port), ledger))


if __name__ == "__main__":
    main()
