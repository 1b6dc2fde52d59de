"""What a modem is asked to do, in AT commands: to be ready, to send, to list and delete, to tell how it is.

Policy
- `start` is the whole initialisation, from the first AT to the announcements; nothing of an earlier one is relied on.
- What a modem need not have is asked for and done without: numeric errors, acknowledgements, a store of reports.
- The PIN is tried once, and only while the SIM has all its tries or does not say how many it has.
- Reports and texts are announced and fetched from the store where the modem can do that: what is stored waits for us.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from gateway.carriers.gsm import at, pdu
from gateway.carriers.gsm.at import Line, Result, Silent
from gateway.carriers.gsm.memory import Memory
from gateway.carriers.gsm.settings import GsmSettings
from gateway.errors import Unavailable

SYNC_TRIES, SYNC_SECONDS, SETTLE_SECONDS = 8, 0.5, 0.2
SLOW_SECONDS, LIST_SECONDS = 20.0, 25.0
BUSY_TRIES, BUSY_SECONDS = 10, 1.0
BUSY = frozenset({"CMS:310", "CMS:314", "CMS:515", "CME:14", "CME:515"})
"""A SIM that was unlocked a moment ago."""
MEMORIES = ("SM", "ME", "SR")
ALL_TRIES = 3

HOME, ROAMING = frozenset({1, 6}), frozenset({5, 7})
"""6 and 7 are registrations for texts alone."""


class Stored(NamedTuple):
    """One PDU in the storage; `own` where we, or somebody with the SIM in hand, put it there to send."""

    place: int
    hex: str
    own: bool


class Modem:
    """A modem on an open line."""

    def __init__(self, line: Line, settings: GsmSettings, memory: Memory) -> None:
        self._line, self._settings, self._memory = line, settings, memory
        self.registered = False
        self.acknowledges = False
        """Whether what comes directly must be acknowledged."""
        self.memories: tuple[str, ...] = ()
        self.noticed: dict[str, str] = {}

    # -- being ready -------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """The whole initialisation; `Unavailable` says what is to be done where it fails."""
        await self._synchronise()
        await self._line.ask("ATZ")
        await self._line.ask("ATE0")
        await self._line.ask("AT+CMEE=1")
        await self._wake()
        await self._unlock()
        await self._identify()
        await self._register()
        await self._prepare_texts()
        await self._announce()

    async def _synchronise(self) -> None:
        """Until it answers, then until what it still had to say is over."""
        for _ in range(SYNC_TRIES):
            self._line.escape()
            try:
                if (await self._line.ask("AT", seconds=SYNC_SECONDS)).ok:
                    await asyncio.sleep(SETTLE_SECONDS)
                    return
            except at.Gone:
                raise
            except Silent:
                continue
        raise Unavailable(
            "模块没有回应：看看电源、串口号和波特率",
            "the modem does not answer: check its power, the port and the baud rate",
        )

    async def _wake(self) -> None:
        answer = (await self._line.ask("AT+CFUN?", "+CFUN:")).after("+CFUN:")
        if answer is not None and answer.partition(",")[0] != "1":
            await self._line.ask("AT+CFUN=1", seconds=SLOW_SECONDS)

    async def _unlock(self) -> None:
        state = await self._lock()
        if state == "SIM PIN":
            await self._try_pin()
            state = await self._lock()
        if state != "READY":
            raise _locked(state)

    async def _lock(self) -> str:
        """READY, or what the SIM waits for; a SIM that is busy is waited for."""
        for _ in range(BUSY_TRIES):
            try:
                result = await self._line.ask("AT+CPIN?", "+CPIN:")
            except Silent as silent:
                # Some modems answer this one without an OK.
                if not silent.lines:
                    raise
                result = Result(silent.lines, "OK")
            if result.error not in BUSY:
                break
            await asyncio.sleep(BUSY_SECONDS)
        return result.after("+CPIN:") or result.error

    async def _try_pin(self) -> None:
        pin = self._settings.pin
        if not pin:
            raise Unavailable("SIM卡要密码：请配置 pin_env", "the SIM asks for a PIN: set pin_env")
        if not re.fullmatch(r"[0-9]{4,8}", pin):
            raise Unavailable("pin_env 应是4至8位数字", "pin_env should be 4 to 8 digits")
        if pin == self._memory.refused_pin or await self._tries_used():
            raise _pin_refused()
        # Before it is tried: whatever happens now, it is not tried again.
        self._memory.refused_pin = pin
        if not (await self._line.ask(f'AT+CPIN="{pin}"', seconds=SLOW_SECONDS)).ok:
            raise _pin_refused()
        self._memory.refused_pin = ""

    async def _tries_used(self) -> bool:
        """Whether the SIM says that a wrong PIN was tried before."""
        left = (await self._line.ask("AT+CPINR", "+CPINR:")).after("+CPINR: SIM PIN,")
        number = (left or "").partition(",")[0]
        return number.isdigit() and int(number) < ALL_TRIES

    async def _identify(self) -> None:
        maker, model = await self._line.ask("AT+CGMI", bare=True), await self._line.ask("AT+CGMM", bare=True)
        words = [re.sub(r"^\+CGM[IM]: ?", "", line).strip('" ') for line in (*maker.lines, *model.lines)]
        self.noticed["modem"] = " ".join(words)[:80]

    async def _register(self) -> None:
        await self._line.ask("AT+CREG=1")
        loop = asyncio.get_running_loop()
        until = loop.time() + self._settings.register_seconds
        while not await self.look():
            if loop.time() >= until:
                raise _no_network(self.noticed["network"])
            await asyncio.sleep(BUSY_SECONDS)
        operator = (await self._line.ask("AT+COPS?", "+COPS:", seconds=SLOW_SECONDS)).after("+COPS:")
        self.noticed["operator"] = _quoted(operator or "")

    async def look(self) -> bool:
        """Ask for signal and registration; whether there is a network."""
        signal = (await self._line.ask("AT+CSQ", "+CSQ:")).after("+CSQ:") or ""
        self.noticed["signal"] = _dbm(signal)
        states = [_state((await self._line.ask(f"AT+{name}?", f"+{name}:")).lines) for name in ("CREG", "CEREG")]
        self.hear_registration(next((s for s in states if s in HOME | ROAMING), states[0]))
        return self.registered

    def hear_registration(self, state: int | None) -> None:
        """The modem says how it is registered."""
        self.registered = state in HOME | ROAMING
        self.noticed["network"] = "home" if state in HOME else "roaming" if state in ROAMING else f"none ({state})"

    async def forgot(self) -> bool:
        """Whether the modem has lost its settings: it started anew without our noticing."""
        return (await self._line.ask("AT+CMGF?", "+CMGF:")).after("+CMGF:") not in ("0", None)

    async def _prepare_texts(self) -> None:
        self.acknowledges = (await self._line.ask("AT+CSMS=1", "+CSMS:")).ok
        if not self.acknowledges:
            await self._line.ask("AT+CSMS=0", "+CSMS:")
        if not (await self._patiently("AT+CMGF=0")).ok:
            raise Unavailable("模块不支持PDU模式", "the modem has no PDU mode")
        await self._set_centre()
        storages = (await self._patiently("AT+CPMS=?", "+CPMS:")).after("+CPMS:") or ""
        known = re.findall(r'"(\w+)"', storages.partition(")")[0])
        self.memories = tuple(name for name in MEMORIES if name in known) or (self._settings.storage,)
        await self._choose_storage()

    async def _set_centre(self) -> None:
        wanted = self._settings.smsc
        if wanted:
            kind = pdu.INTERNATIONAL if wanted.startswith("+") else pdu.NATIONAL
            if not (await self._line.ask(f'AT+CSCA="{wanted}",{kind}')).ok:
                raise Unavailable("短信中心号码设不上", "the number of the message centre cannot be set")
        elif not _quoted((await self._patiently("AT+CSCA?", "+CSCA:")).after("+CSCA:") or ""):
            raise Unavailable("卡上没有短信中心号码：请配置 smsc", "the SIM knows no message centre: set smsc")

    async def _choose_storage(self) -> None:
        """Where what comes in is kept; the one that was asked for, else what the modem has."""
        for name in (self._settings.storage, *self.memories):
            if name != "SR" and (await self._patiently(f'AT+CPMS="{name}","{name}","{name}"', "+CPMS:")).ok:
                return
        raise Unavailable("模块没有存短信的地方", "the modem has no storage for texts")

    async def _announce(self) -> None:
        """Texts into the storage, reports too where the modem keeps them, else directly."""
        ranges = _ranges((await self._line.ask("AT+CNMI=?", "+CNMI:")).after("+CNMI:") or "")
        for mode, direct, report in _announcements(ranges, "SR" in self.memories, self._settings.ask_receipts):
            if (await self._line.ask(f"AT+CNMI={mode},{direct},0,{report},0")).ok:
                self.noticed["reports"] = ("none", "direct", "stored")[report]
                return
        raise Unavailable("模块不会通知收到的短信", "the modem does not announce what comes in")

    async def _patiently(self, command: str, prefix: str = "") -> Result:
        """Ask again while the SIM is busy."""
        for _ in range(BUSY_TRIES):
            result = await self._line.ask(command, prefix, seconds=SLOW_SECONDS)
            if result.error not in BUSY:
                break
            await asyncio.sleep(BUSY_SECONDS)
        return result

    # -- texts -------------------------------------------------------------------------------------------------

    async def send(self, octets: bytes) -> Result:
        """Submit one PDU."""
        command = f"AT+CMGS={pdu.length(octets)}"
        return await self._line.ask(
            command, "+CMGS:", payload=octets.hex().upper(), seconds=self._settings.answer_seconds
        )  # fmt: skip

    async def stored(self, memory: str) -> list[Stored] | None:
        """What lies in a storage, which is the one that `delete` empties from then on; None where it cannot be read."""
        chosen = await self._line.ask(f'AT+CPMS="{memory}"', "+CPMS:")
        if not chosen.ok:
            return None
        if counts := chosen.after("+CPMS:"):
            self.noticed[f"storage {memory}"] = "/".join(part.strip() for part in counts.split(",")[:2])
        listed = await self._line.ask("AT+CMGL=4", "+CMGL:", pdus=True, seconds=LIST_SECONDS)
        return list(_listed(listed.lines)) if listed.ok else None

    async def delete(self, place: int) -> None:
        """Of the storage that was listed last; one that cannot be deleted is found again."""
        await self._line.ask(f"AT+CMGD={place}", seconds=SLOW_SECONDS)

    async def acknowledge(self) -> None:
        """Say of what came directly that it is safe; where no acknowledgement was expected that does no harm."""
        if self.acknowledges and (await self._line.ask("AT+CNMA")).error not in ("OK", "CMS:340"):
            await self._line.ask("AT+CNMA=0")


# -- reading what modems say -----------------------------------------------------------------------------------


def _no_network(state: str) -> Unavailable:
    return Unavailable(
        f"没有注册到网络（{state}）：看看天线、信号，SIM卡是不是停机",
        f"not registered with a network ({state}): check the aerial, the signal, and that the SIM is paid for",
    )


def _locked(state: str) -> Unavailable:
    if "PUK" in state:
        return Unavailable("SIM卡已锁，要用PUK解锁", f"the SIM is locked: {state}")
    if state in ("CME:10", "CMS:310"):
        return Unavailable("没有插SIM卡", "there is no SIM")
    return Unavailable(f"SIM卡不能用（{state}）", f"the SIM cannot be used ({state})")


def _pin_refused() -> Unavailable:
    return Unavailable(
        "SIM卡密码不对，不再试，免得锁卡：改对 pin_env，用手机解锁一次，再重启网关",
        "the PIN is wrong and not tried again, or the SIM would lock: mend pin_env, unlock it in a phone, restart",
    )


def _quoted(line: str) -> str:
    found = re.search(r'"([^"]*)"', line)
    return found[1][:40] if found else ""


def _dbm(signal: str) -> str:
    strength = signal.partition(",")[0].strip()
    known = strength.isdigit() and int(strength) <= 31
    return f"{-113 + 2 * int(strength)} dBm" if known else "unknown"


def _state(lines: tuple[str, ...]) -> int | None:
    """The registration in the answer to AT+CREG?, which has another number before it, unlike an announcement."""
    found = [re.search(r": *\d+ *, *(\d+)", line) for line in lines]
    return next((int(one[1]) for one in reversed(found) if one), None)


def _ranges(answer: str) -> list[set[int]]:
    """`(0-2),(0,1,3)` as sets of numbers; empty where it makes no sense."""
    found = []
    for inside in re.findall(r"\(([\d,\- ]*)\)", answer):
        ends = [part.partition("-") for part in inside.replace(" ", "").split(",") if part]
        found.append({n for low, _, high in ends if low for n in range(int(low), min(int(high or low), 9) + 1)})
    return found if len(found) >= 4 else []


def _announcements(ranges: list[set[int]], keeps_reports: bool, reports: bool) -> Iterator[tuple[int, int, int]]:
    """Mode, texts and reports of AT+CNMI in the order in which they are tried, as far as the modem says it has them."""
    wanted = [2, 1, 0] if keeps_reports else [1, 0]
    for report in wanted if reports else [0]:
        for direct in (1, 2):
            for mode in (2, 1, 3):
                if not ranges or (mode in ranges[0] and direct in ranges[1] and report in ranges[3]):
                    yield mode, direct, report


def _listed(lines: tuple[str, ...]) -> Iterator[Stored]:
    for header, octets in pairwise(lines):
        found = re.match(r"\+CMGL: *(\d+) *, *(\d+)", header)
        if found and not octets.startswith("+CMGL:"):
            yield Stored(int(found[1]), octets, own=found[2] in ("2", "3"))
