"""What a refused command says of the text, and of the modem (3GPP TS 27.005 section 3.2.5, 24.011 annex E). Pure.

Policy
- A code that nobody knows is the modem's passing trouble: the text is deferred.
- A network that did not answer in time may have taken the text: that is uncertain, never tried again by itself.
- What is wrong with the SIM, the modem or its settings concerns every text: it is deferred, and the modem opened anew.
- A refusal without a reason, several times in a row, is taken for a modem in trouble.
"""

from __future__ import annotations

from enum import StrEnum


class Says(StrEnum):
    """What becomes of the text."""

    REJECTED = "rejected"
    DEFERRED = "deferred"
    UNCERTAIN = "uncertain"
    REOPEN = "reopen"
    """Deferred, and the modem is to be opened anew."""
    FULL = "full"
    """Deferred, and the storage is to be emptied."""


def _numbers(written: str) -> frozenset[int]:
    """`1 8 95-99`"""
    ends = [part.partition("-") for part in written.split()]
    return frozenset(n for low, _, high in ends for n in range(int(low), int(high or low) + 1))


_CMS = {
    Says.REJECTED: _numbers("1 8 10 21 28-30 50 69 81 95-99 111 127-191 193 195-207 209 210 212-255 303-305"),
    Says.UNCERTAIN: _numbers("332"),
    Says.REOPEN: _numbers("300 302 310-318 330"),
    Says.FULL: _numbers("208 211 320 322"),
}
_CME = {Says.UNCERTAIN: _numbers("31"), Says.REOPEN: _numbers("3 10-18 32"), Says.FULL: _numbers("20")}
MALFORMED = frozenset({"CMS:304", "CMS:305"})
"""Said too by a modem that has lost its settings."""
VAGUE = frozenset({"CMS:500", "CMS:512", "CMS:513", "CME:100", "ERROR"})
"""Refusals without a reason."""
VAGUE_AT_MOST = 3


def of(error: str) -> Says:
    """What the error of a submission says: `CMS:38`, `CME:10`, or the modem's own word."""
    family, _, number = error.partition(":")
    table = {"CMS": _CMS, "CME": _CME}.get(family)
    if table is None or not number.isascii() or not number.isdigit():
        return Says.DEFERRED
    return next((says for says, codes in table.items() if int(number) in codes), Says.DEFERRED)
