"""A text on its way: what became of each of its parts, and what that makes of the whole.

Policy
- Parts of a text go over one link, one after another, and are answered for together.
- A part that may have left and was not answered makes the text uncertain, whatever the others are. A part refused for
  good makes it rejected, and what has not left of it does not leave. A part refused for now makes it deferred only
  while no other was taken: nobody shall get half a text and then all of it.
"""

from __future__ import annotations

from gateway.carriers import Accepted, Answer, Deferred, Rejected, Text, Uncertain
from gateway.carriers.wire.codec import Pdu


class Flight:
    """One text, from being handed over to its answer."""

    __slots__ = ("_deferred", "_left", "_lost", "_refs", "_refused", "named", "text", "written")

    def __init__(self, text: Text, parts: int) -> None:
        self.text = text
        self.written = 0
        """Parts that may have left."""
        self.named: list[str] = [""] * parts
        """References that we chose."""
        self._refs: list[str] = [""] * parts
        self._left = parts
        self._refused = self._deferred = self._lost = ""

    @property
    def refused(self) -> bool:
        """Whether what has not left shall not leave."""
        return bool(self._refused or self._deferred)

    def took(self, number: int, ref: str) -> None:
        """The operator took a part, under its reference or under ours."""
        self._refs[number - 1] = ref or self.named[number - 1]
        self._left -= 1

    def refuse(self, code: str, *, for_good: bool) -> None:
        """The operator refused a part, or it does not leave any more."""
        if for_good:
            self._refused = self._refused or code
        else:
            self._deferred = self._deferred or code
        self._left -= 1

    def lose(self, why: str) -> None:
        """A part may have left and will not be answered."""
        self._lost = self._lost or why
        self._left -= 1

    def answer(self) -> Answer | None:
        """What became of the text; None while a part is unanswered."""
        if self._left > 0:
            return None
        if self._lost:
            known = tuple(taken or named for taken, named in zip(self._refs, self.named, strict=True))
            return Uncertain(self.text, self._lost, known if any(known) else ())
        taken = tuple(self._refs)
        if self._refused or (self._deferred and any(taken)):
            return Rejected(self.text, self._refused or self._deferred, taken if any(taken) else ())
        if self._deferred:
            return Deferred(self.text, self._deferred)
        return Accepted(self.text, taken)


class Segment:
    """One part of a flight, and the frame it goes in."""

    __slots__ = ("at", "flight", "number", "pdu", "slowed")

    def __init__(self, flight: Flight, number: int, pdu: Pdu) -> None:
        self.flight, self.number, self.pdu = flight, number, pdu
        self.at = 0.0
        """When it was written last, by the loop's clock."""
        self.slowed = 0
        """How often the operator asked to send it again more slowly."""
