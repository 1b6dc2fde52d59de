"""A modem that is played: SIM, storage and network in memory; well or badly behaved as it is told.

Policy
- Users rehearse with it before they buy a modem (`port = "tcp://127.0.0.1:5000"`), and the tests run on it, over TCP
  and over a pseudo-terminal. What it is sent goes nowhere.
- What happens to a part depends on the seed and its turn alone, so that a run can be repeated; `script` outranks that.
- Like a real one it takes one command at a time, keeps the SIM over a new connection and forgets its settings, holds
  back what the storage has no room for, and repeats what came directly and was not acknowledged.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway import text as texts
from gateway.carriers import Concat
from gateway.carriers.gsm import pdu
from gateway.carriers.gsm.memory import CHINA
from gateway.errors import Refused

CENTRE = "+8613800100500"
HANG, CUT = "hang", "cut"
"""Words of a script beside ends of an answer such as "+CMS ERROR: 38"."""
REMEMBERED = 10_000
_TOTAL = 3
"""Tries that a PIN has."""
_COMMAND = re.compile(r"(?i:AT)([+^]\w+|[EZ]\d?|)(=\?|=|\?|)(.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """Ratios are 0 to 1, times are seconds. More than `rate` parts a second are told to come later, 0 is any.

    `hang`: after such a text it says nothing for `hang_seconds`; `drop_every`: the line is cut after so many parts.
    `direct`: texts and reports are not stored but come at once, to be acknowledged. `slots` of the storage.
    """

    seed: int = 1
    latency: float = 0.05
    rate: float = 0.0
    reject: float = 0.0
    reject_code: int = 21
    defer: float = 0.0
    defer_code: int = 42
    hang: float = 0.0
    hang_seconds: float = 20.0
    receipt_after: float = 1.0
    receipt_failed: float = 0.0
    receipt_lost: float = 0.0
    receipt_early: float = 0.0
    receipt_late: float = 0.0
    receipt_late_after: float = 60.0
    receipt_twice: float = 0.0
    drop_every: int = 0
    pin: str = ""
    echo: bool = True
    direct: bool = False
    slots: int = 20


@dataclass(slots=True)
class Taken:
    """A part that the network took."""

    number: int
    fields: pdu.Fields
    at: datetime

    @property
    def phone(self) -> str:
        return str(self.fields["TP-DA"])

    @property
    def body(self) -> str:
        return pdu.words(self.fields)

    @property
    def concat(self) -> Concat | None:
        part = pdu.part_of(self.fields)
        return Concat(*part) if part else None


@dataclass(slots=True)
class Seen:
    """What it saw; the tests look at it."""

    commands: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    taken: deque[Taken] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    times: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    openings: int = 0
    offered: int = 0
    refused: int = 0
    most_unanswered: int = 0
    deleted: int = 0
    acknowledged: int = 0


class Modem:
    """One modem with its SIM; `connected` gives it a line to speak on."""

    def __init__(self, behaviour: Behaviour, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.behaviour, self._now = behaviour, now
        self.script: deque[str] = deque()
        """How the next parts fare, first of all."""
        self.answers: dict[str, Sequence[str]] = {}
        """What is said to a command instead of what it would say."""
        self.seen = Seen()
        self.watch: Callable[[Taken], None] = lambda taken: None
        self.network = 1
        self.hanging = False
        self.holding = False
        """While set, texts are taken and not answered."""
        self.storage: dict[str, dict[int, str]] = {"SM": {}, "SR": {}}
        self.locked, self.tries = bool(behaviour.pin), _TOTAL
        self._dice = random.Random(behaviour.seed)
        self._write: Callable[[bytes], None] | None = None
        self._cut: Callable[[], None] = lambda: None
        self._number = 254
        self._long = 0
        self._held: list[str] = []
        self._waiting: deque[tuple[str, str]] = deque()
        self._unacknowledged: deque[tuple[str, str]] = deque()
        self._timers: set[asyncio.TimerHandle] = set()
        self._reset()

    def _reset(self) -> None:
        self._waiting.extendleft(reversed(self._unacknowledged))
        self._unacknowledged.clear()
        self._buffer, self._prompted = b"", False
        self._echo, self._pdus, self._memory = self.behaviour.echo, False, "SM"
        self._cnmi: Sequence[int] = (0, 0, 0, 0, 0)
        self._acks = False

    # -- the line ------------------------------------------------------------------------------------------------

    def connected(self, write: Callable[[bytes], None], cut: Callable[[], None]) -> None:
        """Somebody opened the port: settings are forgotten, the SIM is not."""
        self._reset()
        self._write, self._cut = write, cut
        self.seen.openings += 1

    def disconnected(self, write: Callable[[bytes], None]) -> None:
        if self._write == write:
            self._write = None

    def cut(self) -> None:
        """Break the line."""
        self._cut()

    @property
    def unacknowledged(self) -> int:
        """What it has for us that is neither deleted nor acknowledged."""
        stored = sum(map(len, self.storage.values()))
        return stored + len(self._waiting) + len(self._unacknowledged)

    def stop(self) -> None:
        """Say nothing more."""
        self._cut()
        for timer in self._timers:
            timer.cancel()

    def feed(self, octets: bytes) -> None:
        """What the other end wrote."""
        if self._echo and not self.hanging:
            self._put(octets)
        self._buffer += octets
        while found := re.search(rb"[\x1a\x1b]" if self._prompted else rb"[\r\x1b]", self._buffer):
            said, self._buffer = self._buffer[: found.start()].decode("latin-1").strip(), self._buffer[found.end() :]
            if not self.hanging:
                self._said(said, found[0])

    def _said(self, said: str, end: bytes) -> None:
        if not self._prompted:
            if end == b"\r" and said:
                self._command(said)
            return
        self._prompted = False
        if end == b"\x1a":
            self.seen.most_unanswered = max(self.seen.most_unanswered, 1 + len(self._held))
            self._later(self.behaviour.latency, lambda: self._submitted(said))
        else:
            self._say("OK")

    def _put(self, octets: bytes) -> None:
        if self._write is not None:
            self._write(octets)

    def _say(self, *lines: str) -> None:
        for line in lines:
            self._put(f"\r\n{line}\r\n".encode())

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        def fire() -> None:
            self._timers.discard(timer)
            act()

        timer = asyncio.get_running_loop().call_later(seconds, fire)
        self._timers.add(timer)

    def _hang(self) -> None:
        self.hanging = True
        self._later(self.behaviour.hang_seconds, self.revive)

    def revive(self) -> None:
        """It answers again."""
        self.hanging = False

    def release(self) -> None:
        """Answer what was held back."""
        self.holding = False
        held, self._held = self._held, []
        for octets in held:
            self._submitted(octets)

    # -- commands ------------------------------------------------------------------------------------------------

    def _command(self, said: str) -> None:
        self.seen.commands.append(said)
        if said in self.answers:
            return self._say(*self.answers[said])
        found = _COMMAND.fullmatch(said)
        act = self._acts().get(found[1].upper()) if found else None
        return self._say(*(act(found[2], found[3]) if found and act else ["ERROR"]))

    def _acts(self) -> Mapping[str, Callable[[str, str], Sequence[str]]]:
        """By the name of the command: what it does with its sign ("", "=", "?", "=?") and value, and answers."""
        return {
            "": lambda sign, value: ["OK"],
            "Z": lambda sign, value: ["OK"],
            "E0": self._quieten,
            "+CMEE": lambda sign, value: ["OK"],
            "+CFUN": lambda sign, value: ["+CFUN: 1", "OK"],
            "+CPIN": self._pin,
            "+CPINR": lambda sign, value: [f"+CPINR: SIM PIN,{self.tries},{_TOTAL}", "OK"],
            "+CGMI": lambda sign, value: ["Rehearsal", "OK"],
            "+CGMM": lambda sign, value: ["Modem", "OK"],
            "+CREG": self._registration,
            "+COPS": lambda sign, value: ['+COPS: 0,0,"CHINA MOBILE",7', "OK"],
            "+CSQ": lambda sign, value: ["+CSQ: 21,99", "OK"],
            "+CSMS": self._service,
            "+CMGF": self._mode,
            "+CSCA": lambda sign, value: [f'+CSCA: "{CENTRE}",145', "OK"],
            "+CPMS": self._choose,
            "+CNMI": self._announcements,
            "+CNMA": self._acknowledge,
            "+CMGL": self._list,
            "+CMGD": self._delete,
            "+CMGS": self._prompt,
        }

    def _quieten(self, sign: str, value: str) -> Sequence[str]:
        self._echo = False
        return ["OK"]

    def _pin(self, sign: str, value: str) -> Sequence[str]:
        if sign == "=" and self.locked:
            self.locked = value.strip('"') != self.behaviour.pin or not self.tries
            self.tries = max(0, self.tries - 1) if self.locked else _TOTAL
            return ["+CME ERROR: 16"] if self.locked else ["OK"]
        state = "READY" if not self.locked else "SIM PIN" if self.tries else "SIM PUK"
        return [f"+CPIN: {state}", "OK"]

    def _registration(self, sign: str, value: str) -> Sequence[str]:
        return [f"+CREG: 1,{self.network}", "OK"] if sign == "?" else ["OK"]

    def _service(self, sign: str, value: str) -> Sequence[str]:
        self._acks = value == "1"
        return ["+CSMS: 1,1,1", "OK"]

    def _mode(self, sign: str, value: str) -> Sequence[str]:
        if sign == "?":
            return [f"+CMGF: {0 if self._pdus else 1}", "OK"]
        self._pdus = value == "0"
        return ["OK"]

    def _choose(self, sign: str, value: str) -> Sequence[str]:
        if sign == "=?":
            known = ",".join(f'"{name}"' for name in self.storage)
            return [f'+CPMS: ({known}),("SM"),("SM")', "OK"]
        self._memory = value.partition(",")[0].strip('"') if sign == "=" else self._memory
        if self._memory not in self.storage:
            return ["+CMS ERROR: 302"]
        return [f"+CPMS: {len(self.storage[self._memory])},{self.behaviour.slots},0,20,0,20", "OK"]

    def _announcements(self, sign: str, value: str) -> Sequence[str]:
        if sign == "=?":
            kinds = "(0,2),(0),(0,1)" if self.behaviour.direct else "(0-3),(0,2),(0-2)"
            return [f"+CNMI: (0-2),{kinds},(0,1)", "OK"]
        self._cnmi = tuple(map(int, value.split(",")))
        self._later(0, self._deliver_waiting)
        return ["OK"]

    def _acknowledge(self, sign: str, value: str) -> Sequence[str]:
        if not self._unacknowledged:
            return ["+CMS ERROR: 340"]
        self._unacknowledged.popleft()
        self.seen.acknowledged += 1
        self._later(0, self._offer)
        return ["OK"]

    def _list(self, sign: str, value: str) -> Sequence[str]:
        lines: list[str] = []
        for place, octets in sorted(self.storage[self._memory].items()):
            lines += [f"+CMGL: {place},0,,{pdu.length(bytes.fromhex(octets))}", octets]
        return [*lines, "OK"]

    def _delete(self, sign: str, value: str) -> Sequence[str]:
        gone = self.storage[self._memory].pop(int(value), None)
        self.seen.deleted += gone is not None
        self._later(0, self._deliver_waiting)
        return ["OK"] if gone is not None else ["+CMS ERROR: 321"]

    def _prompt(self, sign: str, value: str) -> Sequence[str]:
        if not self._pdus:
            return ["+CMS ERROR: 304"]
        self._prompted = True
        self._put(b"\r\n> ")
        return []

    # -- out -----------------------------------------------------------------------------------------------------

    def _submitted(self, octets: str) -> None:
        if self.holding:
            return self._held.append(octets)
        end = self.script.popleft() if self.script else self._fate()
        self.seen.times.append(asyncio.get_running_loop().time())
        self.seen.offered += 1
        if end == HANG:
            return self._hang()
        if end == CUT:
            return self._cut()
        if end != "OK":
            self.seen.refused += 1
            return self._say(end)
        try:
            _, fields = pdu.decode(bytes.fromhex(octets))
        except (Refused, ValueError):
            return self._say("+CMS ERROR: 304")
        return self._take(fields)

    def _take(self, fields: pdu.Fields) -> None:
        own = self.behaviour
        self._number = (self._number + 1) % 256
        taken = Taken(self._number, fields, self._now())
        self.seen.taken.append(taken)
        self.watch(taken)
        early = self._dice.random() < own.receipt_early
        if early:
            self._report_by_chance(taken)
        self._say(f"+CMGS: {taken.number}", "OK")
        if not early:
            late = self._dice.random() < own.receipt_late
            after = own.receipt_late_after if late else own.receipt_after
            self._later(after, lambda: self._report_by_chance(taken))

    def _fate(self) -> str:
        own, roll = self.behaviour, self._dice.random()
        if own.drop_every and not (self.seen.offered + 1) % own.drop_every:
            return CUT
        if own.rate and self.seen.times and asyncio.get_running_loop().time() - self.seen.times[-1] < 1 / own.rate:
            return f"+CMS ERROR: {own.defer_code}"
        refused, deferred = (f"+CMS ERROR: {code}" for code in (own.reject_code, own.defer_code))
        for share, end in ((own.reject, refused), (own.defer, deferred), (own.hang, HANG)):
            if roll < share:
                return end
            roll -= share
        return "OK"

    def bodies(self) -> dict[str, list[str]]:
        """What stands on each phone: whole texts, put together from their parts."""
        found: dict[str, list[str]] = {}
        parts: dict[tuple[str, int, int], dict[int, str]] = {}
        for taken in self.seen.taken:
            part = pdu.part_of(taken.fields)
            if part is None:
                found.setdefault(taken.phone, []).append(pdu.words(taken.fields))
                continue
            mine = parts.setdefault((taken.phone, *part[:2]), {})
            mine[part[2]] = pdu.words(taken.fields)
            if len(mine) == part[1]:
                found.setdefault(taken.phone, []).append("".join(words for _, words in sorted(mine.items())))
        return found

    # -- in ------------------------------------------------------------------------------------------------------

    def _report_by_chance(self, taken: Taken) -> None:
        if not taken.fields["TP-SRR"] or self._dice.random() < self.behaviour.receipt_lost:
            return
        status = 0x46 if self._dice.random() < self.behaviour.receipt_failed else 0x00
        for _ in range(2 if self._dice.random() < self.behaviour.receipt_twice else 1):
            self.report(taken, status)

    def report(self, taken: Taken, status: int) -> None:
        """The network tells what became of a part."""
        times = {"TP-SCTS": _written(taken.at), "TP-DT": _written(self._now())}
        told = {"SMSC": CENTRE, "TP-MR": taken.number, "TP-RA": taken.phone, "TP-ST": status} | times
        self._deliver("SR", pdu.encode(pdu.REPORT, told).hex().upper())

    def say(self, phone: str, body: str, wide: bool = False) -> None:
        """Somebody writes to the SIM; `wide`: parts have a reference of 16 bits."""
        room = (texts.UCS2_PART if _coding(body) else texts.GSM7_PART) - wide
        parts = texts.split(body) if not wide else [body[at : at + room] for at in range(0, len(body), room)]
        self._long = (self._long + 1) % 256
        whole = {"iei": 8 if wide else 0, "ref": self._long, "total": len(parts)}
        for number, part in enumerate(parts, 1):
            header = {"TP-UDH": [whole | {"seq": number}]} if len(parts) > 1 else {}
            told = {"TP-OA": phone, "TP-DCS": _coding(body), "TP-SCTS": _written(self._now()), "TP-UD": part}
            self.deliver(pdu.encode(pdu.DELIVER, {"SMSC": CENTRE} | told | header))

    def deliver(self, octets: bytes) -> None:
        """A text as the network brings it, whatever is in it."""
        self._deliver("SM", octets.hex().upper())

    def _deliver(self, memory: str, octets: str) -> None:
        self._waiting.append((memory, octets))
        self._deliver_waiting()

    def _deliver_waiting(self) -> None:
        """Into the storage, or at once, as it was asked for; what there is no room for waits at the network."""
        still: deque[tuple[str, str]] = deque()
        while self._waiting:
            memory, octets = self._waiting.popleft()
            how = self._cnmi[1] if memory == "SM" else self._cnmi[3]
            if how == (2 if memory == "SM" else 1):
                self._unacknowledged.append((memory, octets))
                if len(self._unacknowledged) == 1 or not self._acks:
                    self._later(0, self._offer)
            elif len(self.storage[memory]) < self.behaviour.slots:
                self._store(memory, octets, announced=how > 0)
            else:
                still.append((memory, octets))
                self._say(f'^SMMEMFULL: "{memory}"')
        self._waiting = still

    def _store(self, memory: str, octets: str, announced: bool) -> None:
        place = next(n for n in range(self.behaviour.slots) if n not in self.storage[memory])
        self.storage[memory][place] = octets
        if announced and not self.hanging:
            self._say(f'+CMTI: "SM",{place}' if memory == "SM" else f'+CDSI: "SR",{place}')

    def _offer(self) -> None:
        """Give the oldest that is not acknowledged; the others wait for that."""
        if self._unacknowledged and not self.hanging:
            memory, octets = self._unacknowledged[0]
            count = pdu.length(bytes.fromhex(octets))
            self._say(f"+CMT: ,{count}" if memory == "SM" else f"+CDS: {count}", octets)
        if not self._acks:
            self._unacknowledged.clear()


def _coding(body: str) -> int:
    return 0x08 if texts.measure(body).alphabet is texts.Alphabet.UCS2 else 0x00


def _written(at: datetime) -> str:
    return at.astimezone(CHINA).replace(microsecond=0).isoformat()


# -- over TCP --------------------------------------------------------------------------------------------------


class _Session(asyncio.Protocol):
    """One connection to the modem; a new one takes it from the one before."""

    def __init__(self, modem: Modem) -> None:
        self._modem = modem

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what TCP gives
        self._writes = transport.write
        self._modem.connected(self._writes, transport.abort)

    def data_received(self, data: bytes) -> None:
        self._modem.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._modem.disconnected(self._writes)


async def listen(modem: Modem, host: str, port: int) -> asyncio.Server:
    """Serve the modem over TCP."""
    return await asyncio.get_running_loop().create_server(lambda: _Session(modem), host, port)
