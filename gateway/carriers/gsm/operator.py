"""The played modem as `gateway operator` runs it: over TCP, telling what it is sent, saying what is typed.

Policy: it is told in the words of the wire protocols' operators. A secret of four to eight digits is the SIM's PIN, one
that is not has no meaning here, nor has the name of an account.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from gateway.carriers.gsm.rehearsal import Behaviour, Modem, Taken, listen

REFUSAL = 21


class Shown:
    """A part that was taken; the sender is the SIM."""

    def __init__(self, taken: Taken) -> None:
        self.part = self
        self.phone, self.body, self.concat, self.sender = taken.phone, taken.body, taken.concat, ""


class Operator:
    """Listens for a gateway; `told` has the names of `Behaviour`, and others."""

    def __init__(self, told: Any) -> None:
        known = {one.name: getattr(told, one.name) for one in fields(Behaviour) if hasattr(told, one.name)}
        known["reject_code"] = getattr(told, "reject_code", 0) or REFUSAL
        secret = str(getattr(told, "secret", ""))
        pin = secret if secret.isascii() and secret.isdigit() and 4 <= len(secret) <= 8 else ""
        self.modem = Modem(Behaviour(**known | {"pin": pin}))
        self.modem.watch = self._took
        self.watch: Callable[[Any], None] = lambda shown: None
        self.taken: deque[Shown] = deque(maxlen=1)
        self._server: asyncio.Server | None = None

    @property
    def seen(self) -> Counter[str]:
        """As the operators of wire protocols count."""
        own = self.modem.seen
        told = {"logins": own.openings, "taken": own.offered - own.refused, "refused": own.refused}
        return Counter(told | {"acknowledged": own.deleted + own.acknowledged})

    async def start(self, host: str, port: int) -> int:
        """Listen; the port."""
        self._server = await listen(self.modem, host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.modem.stop()
        await asyncio.sleep(0)

    def say(self, phone: str, to: str, body: str) -> None:
        """A person writes to the SIM."""
        self.modem.say(phone, body)

    def _took(self, taken: Taken) -> None:
        self.taken.append(Shown(taken))
        self.watch(self.taken[-1])
