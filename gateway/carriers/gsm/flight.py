"""A text on its way through the modem: the PDUs it becomes, the references it was given, the answer in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway import text as texts
from gateway.carriers import Accepted, Answer, Deferred, Rejected, Text, Uncertain
from gateway.carriers.gsm import pdu
from gateway.carriers.gsm.causes import Says
from gateway.carriers.gsm.memory import Memory
from gateway.carriers.gsm.settings import GsmSettings


@dataclass(slots=True)
class Flight:
    """A text that is not answered yet, and the references of its parts that were taken."""

    text: Text
    refs: list[str] = field(default_factory=list)

    def pdus(self, settings: GsmSettings, memory: Memory, now: datetime) -> list[bytes]:
        """One per part; `Refused` where no PDU can hold it."""
        alphabet, parts = texts.cut(self.text.body, settings.cutting)
        coding = 0x08 if alphabet is texts.Alphabet.UCS2 else 0x00
        fields: pdu.Fields = {"TP-DA": self.text.phone, "TP-DCS": coding, "TP-SRR": int(settings.ask_receipts)}
        fields["TP-VP"] = pdu.relative_validity(self._validity(timedelta(seconds=settings.validity), now))
        if len(parts) == 1:
            return [pdu.encode(pdu.SUBMIT, fields | {"TP-UD": self.text.body})]
        ref, wide = memory.next_long(), settings.long == 7
        whole = {"iei": 8 if wide else 0, "ref": ref if wide else ref & 0xFF, "total": len(parts)}
        return [
            pdu.encode(pdu.SUBMIT, fields | {"TP-UDH": [whole | {"seq": number}], "TP-UD": part})
            for number, part in enumerate(parts, 1)
        ]

    def _validity(self, longest: timedelta, now: datetime) -> timedelta:
        return min(longest, self.text.expires_at - now) if self.text.expires_at is not None else longest

    def expired(self, now: datetime) -> bool:
        """Whether it is worth nothing any more."""
        return self.text.expires_at is not None and self.text.expires_at <= now

    def answer(self, error: str, says: Says | None) -> Answer:
        """What became of it; without a word of refusal it was taken."""
        if says is None:
            return Accepted(self.text, tuple(self.refs))
        if says is Says.REJECTED:
            return Rejected(self.text, error, self._known())
        return self.unfinished(error, says is Says.UNCERTAIN)

    def unfinished(self, why: str, left: bool) -> Answer:
        """Uncertain where any of it left, or may have."""
        return Uncertain(self.text, why, self._known()) if left or self.refs else Deferred(self.text, why)

    def _known(self) -> tuple[str, ...]:
        """A reference or "" per part; nothing where none was taken."""
        return (*self.refs, *[""] * (self.text.parts - len(self.refs))) if self.refs else ()
