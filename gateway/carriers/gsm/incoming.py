"""What a PDU that came in says: a report about a part of ours, or a text of somebody's. Pure.

Policy
- A report that says "still trying", or cannot confirm the delivery, says nothing; a part that was replaced by a later
  one did not arrive.
- A text's reference is made of what a repeat has in common with it: sender, the network's time, header and words.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, NamedTuple

from gateway import phone as phones
from gateway.carriers import Concat, Received
from gateway.carriers.gsm import pdu
from gateway.model import ReceiptState

DELIVERED, REPLACED = 0x00, 0x02
GAVE_UP = range(0x40, 0x80)
"""Values of TP-ST after which the network tries no more."""


class Report(NamedTuple):
    """`number` and `phone` of the part, and when the network took it; None where its time is none."""

    number: int
    phone: str
    at: datetime | None
    state: ReceiptState
    error: str | None
    told_at: datetime


def reported(fields: pdu.Fields, now: datetime) -> Report | None:
    """What is final in a report; None where nothing is."""
    status = fields["TP-ST"]
    if status not in (DELIVERED, REPLACED, *GAVE_UP):
        return None
    arrived = status == DELIVERED
    return Report(
        number=fields["TP-MR"],
        phone=_e164(_written(fields["TP-RA"])),
        at=pdu.moment(fields["TP-SCTS"]),
        state=ReceiptState.DELIVERED if arrived else ReceiptState.UNDELIVERED,
        error=None if arrived else f"0x{status:02X}",
        told_at=pdu.moment(fields["TP-DT"]) or now,
    )


def received(fields: pdu.Fields, to: str, now: datetime) -> Received:
    """A text, or a part of one."""
    part = pdu.part_of(fields)
    same = repr([fields.get(key) for key in ("TP-OA", "TP-SCTS", "TP-UDH", "TP-UD")])
    return Received(
        ref=hashlib.sha256(same.encode("utf-8", "surrogatepass")).hexdigest()[:24],
        phone=_written(fields["TP-OA"]),
        to=to,
        body=pdu.words(fields),
        at=pdu.moment(fields["TP-SCTS"]) or now,
        concat=Concat(*part) if part else None,
    )


def _written(address: Any) -> str:
    """A number, or the name of a sender, as it is written."""
    return address if isinstance(address, str) else str(address.get("digits") or address.get("text") or "")


def _e164(number: str) -> str:
    return phones.parse(number).e164 or number
