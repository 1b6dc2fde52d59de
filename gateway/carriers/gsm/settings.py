"""What `[carriers.NAME]` says of a modem."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gateway import carriers
from gateway.text import Cutting


@dataclass(frozen=True, kw_only=True)
class GsmSettings(carriers.Carrier.Settings):
    """`port` is a device or tcp://HOST:PORT; `pin` is a secret. Times are in seconds.

    `smsc` is the message centre where the SIM has none, `storage` SM, ME or MT, `service_code` our own number. `long`
    is the length of the header of long texts: 6 octets, or 7 for a reference of 16 bits. `per_day` 0 is no limit.
    """

    port: str
    baud: int = 115200
    rtscts: bool = False
    pin: str = ""
    smsc: str = ""
    storage: str = "SM"
    ask_receipts: bool = True
    pause: float = 4.0
    per_day: int = 200
    validity: float = 48 * 3600.0
    service_code: str = ""
    long: int = 6
    register_seconds: float = 30.0
    answer_seconds: float = 60.0
    check_seconds: float = 30.0

    @property
    def cutting(self) -> Cutting:
        """How long texts are cut."""
        return Cutting("auto", 7 if self.long == 7 else 6)

    def problems(self) -> Iterator[tuple[str, str, str]]:
        if not re.fullmatch(r"tcp://[^/:]+:[0-9]{1,5}|(?!tcp:).+", self.port):
            yield "port", "应为串口（如 /dev/ttyUSB0）或 tcp://主机:端口", "should be a device or tcp://HOST:PORT"
        if self.smsc and not re.fullmatch(r"\+?[0-9]{5,20}", self.smsc):
            yield "smsc", "应为号码，如 +8613800100500", "should be a number such as +8613800100500"
        if self.storage not in ("SM", "ME", "MT"):
            yield "storage", "应为 SM、ME 或 MT", "should be SM, ME or MT"
        if self.long not in (6, 7):
            yield "long", "长短信头是 6 或 7", "the header of long texts is 6 or 7"
        for key in ("baud", "validity", "answer_seconds", "check_seconds"):
            if getattr(self, key) <= 0:
                yield key, "应大于0", "should be above 0"
        for key in ("pause", "per_day", "register_seconds"):
            if getattr(self, key) < 0:
                yield key, "不能小于0", "should not be below 0"
