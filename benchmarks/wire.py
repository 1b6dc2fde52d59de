"""Wire protocols: a carrier by the contract against a bare client, and the codec alone.

    python -m benchmarks.wire [--texts 20000] [--rounds 3] [--in-flight 64]

Both speak to the same bare responder in a process of its own, which answers each submit at once; the bare client
encodes with the same tables, keeps the same window, and does nothing else: no contract, no flights, no references.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import struct
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from gateway import carriers
from gateway.carriers import Answer, Links, Text
from gateway.carriers.wire import content
from gateway.carriers.wire.codec import Codec, Pdu

BODY = "【枣原镇】明天上午9点到12点停水检修，请提前储水。电话0912-0000500。"
ACCOUNTS: dict[str, tuple[str, dict[str, Any]]] = {
    "cmpp3": ("cmpp", {"user": "901234", "secret": "s", "version": "3.0"}),
    "smpp": ("smpp", {"user": "901234", "secret": "s"}),
}
ANSWERS = {
    "cmpp3": (0x4, struct.Struct("!IIIQI"), lambda head: (24, 0x80000004, head[2], head[2], 0), 12),
    "smpp": (
        0x4,
        struct.Struct("!IIII5s"),
        lambda head: (21, 0x80000004, 0, head[3], b"%04x\0" % (head[3] & 0xFFFF)),
        16,
    ),
}
LOGINS = {
    "cmpp3": struct.pack("!III", 33, 0x80000001, 1) + bytes(21),
    "smpp": struct.pack("!IIII", 17, 0x80000009, 0, 1) + b"\0",
}


class Responder(asyncio.Protocol):
    """Answers logins and submits, and looks at nothing."""

    def __init__(self, protocol: str) -> None:
        self._protocol, self._buffer = protocol, b""
        self._submit, self._answer, self._values, header = ANSWERS[protocol]
        self._head = struct.Struct("!" + "I" * (header // 4))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        buffer, at, out = self._buffer + data, 0, []
        while len(buffer) - at >= self._head.size:
            head = self._head.unpack_from(buffer, at)
            if len(buffer) - at < head[0]:
                break
            at += head[0]
            if head[1] == self._submit:
                out.append(self._answer.pack(*self._values(head)))
            elif not head[1] & 0x80000000:
                login = LOGINS[self._protocol]
                sequence = head[-1].to_bytes(4, "big")
                place = self._head.size - 4
                out.append(login[:place] + sequence + login[place + 4 :])
        self._buffer = buffer[at:]
        self._transport.write(b"".join(out))


def respond(protocol: str, port: Any) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: Responder(protocol), "127.0.0.1", 0)
        port.put(server.sockets[0].getsockname()[1])
        await asyncio.sleep(600)

    asyncio.run(serve())


def texts(count: int) -> list[Text]:
    return [Text(n, 1, f"+861380013{n % 10000:04}", BODY, 1) for n in range(count)]


async def by_contract(protocol: str, port: int, count: int, in_flight: int) -> float:
    """Texts a second through `gateway.carriers`."""
    kind_of, account = ACCOUNTS[protocol]
    kind = carriers.load(kind_of)
    options = account | {"host": "127.0.0.1", "port": port, "in_flight": in_flight}
    todo, done, left = texts(count), asyncio.Event(), count

    def fill() -> None:
        free = min(carrier.free, len(todo))
        if free:
            batch = todo[-free:]
            del todo[-free:]
            carrier.submit(batch)

    def answered(answers: Sequence[Answer]) -> None:
        nonlocal left
        left -= len(answers)
        if left == 0:
            done.set()
        fill()

    async def receive(items: Any) -> None:
        return None

    links = Links(answered=answered, receive=receive, failed=lambda why: None, now=lambda: datetime.now(UTC))
    carrier = kind("bench", carriers.settings_of(kind, "bench", options), links)
    await carrier.open()
    before = time.perf_counter()
    fill()
    await done.wait()
    took = time.perf_counter() - before
    await carrier.close()
    return count / took


class Bare(asyncio.Protocol):
    """The same tables and the same window, and nothing else."""

    def __init__(self, codec: Codec, first: Pdu, todo: list[tuple[str, dict[str, Any]]], in_flight: int) -> None:
        self._codec, self._first, self._todo, self._in_flight = codec, first, todo, in_flight
        self._left, self._flying, self._sequence = len(todo), 0, 1
        self._buffer = bytearray()
        self.done = asyncio.get_running_loop().create_future()
        self.began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        transport.write(self._codec.encode(self._first.name, self._first.fields))  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        for frame in self._codec.frames(self._buffer):
            self._codec.decode(frame)
            if not self.began:
                self.began = time.perf_counter()
                continue
            self._flying -= 1
            self._left -= 1
        if self._left == 0 and not self.done.done():
            self.done.set_result(None)
        out = []
        while self._todo and self._flying < self._in_flight:
            name, fields = self._todo.pop()
            self._sequence += 1
            self._flying += 1
            fields["Sequence_Id" if "Msg_Fmt" in fields else "sequence_number"] = self._sequence
            out.append(self._codec.encode(name, fields))
        self._transport.write(b"".join(out))


async def bare(protocol: str, port: int, count: int, in_flight: int) -> float:
    """Texts a second of a client that only encodes, decodes and counts."""
    kind = carriers.load(ACCOUNTS[protocol][0])
    settings = carriers.settings_of(kind, "bench", ACCOUNTS[protocol][1] | {"host": "h", "port": 1})
    dialect = kind.Dialect(settings)  # type: ignore[attr-defined]
    made = []
    for text in texts(count):
        piece = content.pieces(text.body, kind.cutting(settings), 0, dialect.header)[0]
        made.append(tuple(dialect.submit(text, piece)))
    from gateway.carriers.wire.dialect import Mode

    login = dialect.login(Mode.BOTH, datetime.now(UTC))
    client = Bare(dialect.codec, login, made, in_flight)
    transport, _ = await asyncio.get_running_loop().create_connection(lambda: client, "127.0.0.1", port)
    await client.done
    took = time.perf_counter() - client.began
    transport.close()
    return count / took


def codec(protocol: str, count: int = 5_000) -> tuple[float, float]:
    """Microseconds of one encode and one decode of a submit, and of a loop of thirty assignments beside it."""
    kind = carriers.load(ACCOUNTS[protocol][0])
    settings = carriers.settings_of(kind, "bench", ACCOUNTS[protocol][1] | {"host": "h", "port": 1})
    dialect = kind.Dialect(settings)  # type: ignore[attr-defined]
    piece = content.pieces(BODY, kind.cutting(settings), 0, dialect.header)[0]
    name, fields = dialect.submit(texts(1)[0], piece)
    fastest = yardstick = float("inf")
    for _ in range(7):
        before = time.perf_counter()
        for _ in range(count):
            dialect.codec.decode(dialect.codec.encode(name, fields))
        fastest = min(fastest, (time.perf_counter() - before) / count * 1e6)
        before = time.perf_counter()
        for _ in range(count):
            numbers = {}
            for n in range(30):
                numbers[n] = n  # noqa: PERF403 - it is the loop that is timed
        yardstick = min(yardstick, (time.perf_counter() - before) / count * 1e6)
    return fastest, yardstick


async def compare(protocol: str, port: int, arguments: argparse.Namespace) -> None:
    ours, theirs = [], []
    for _ in range(arguments.rounds):
        theirs.append(await bare(protocol, port, arguments.texts, arguments.in_flight))
        ours.append(await by_contract(protocol, port, arguments.texts, arguments.in_flight))
    a, b = statistics.median(ours), statistics.median(theirs)
    round_trip, yardstick = codec(protocol)
    print(f"{protocol:6} by contract {a:9,.0f} texts/s   bare client {b:9,.0f}   ratio {a / b:.2f}")
    print(f"{'':6} codec round trip of a submit {round_trip:.1f} us (thirty dict assignments: {yardstick:.1f} us)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=int, default=64)
    arguments = parser.parse_args()
    for protocol in ACCOUNTS:
        port: Any = multiprocessing.Queue()
        process = multiprocessing.Process(target=respond, args=(protocol, port), daemon=True)
        process.start()
        try:
            asyncio.run(compare(protocol, port.get(timeout=10), arguments))
        finally:
            process.terminate()
            process.join()


if __name__ == "__main__":
    main()
