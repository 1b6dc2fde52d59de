"""The answer of the triage, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.words import Intent

FRONT_DESK = "front-desk"
"""The first receiver's desk: what cannot be placed belongs there."""
PETITIONS = "xinfang"
"""The desk for complaints about officials; other desks never see them."""
SAFETY = "anjian"
"""The desk that a text about danger goes to where nothing else in it says which."""

CASE_INTENTS = frozenset({Intent.CONSULT, Intent.FEEDBACK, Intent.AGENCY, Intent.COMPLAINT})


@dataclass(frozen=True, slots=True)
class Understanding:
    """What a text was read as.

    intent: what is wanted. window: code of the window whose case it becomes, the front desk where that is unsure, None
    where no case is made. item: code of the one service item that is clearly meant. why: Chinese, for the official.
    urgent: somebody may come to harm, the short clock. danger: the word that pages whoever is on duty, or None.
    about: code of the window complained about; "" where an official or a village body is; None where it is no such
    complaint. confidential: asks not to be named, or reports an official. matters: windows, in the text's order, where
    there are several. items: candidates for a guide, most likely first; several are a menu.
    """

    intent: Intent
    window: str | None = None
    item: str | None = None
    why: str = ""
    urgent: bool = False
    danger: str | None = None
    about: str | None = None
    confidential: bool = False
    matters: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
