"""What a person is promised when their case is opened, and what of a case's events its clocks are made of.

Policy
- The promise is written into the event that opens the case, and never read from the site's files again: a replay
  years later gives the same due times, whatever windows.toml says by then.
- Clocks run from the person's first text, that of a case that was merged into this one included. A hand-over does not
  restart them; a case that is opened again gets fresh ones.
- The person's own texts stop no pause: only papers do, or the cap.
- What the window of a part reports to the whole (an event with `sub`) is a step that the person has not heard of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.clocks import Mark, Promise, Span, Unit
from gateway.config import CaseSettings, Config, Window
from gateway.hall import Item
from gateway.model import Happened

CONSULT, FEEDBACK, AGENCY, COMPLAINT, UNCLEAR = "consult", "feedback", "agency", "complaint", "unclear"
KINDS: Mapping[str, str] = {
    CONSULT: "咨询件",
    FEEDBACK: "反映件",
    AGENCY: "代办件",
    COMPLAINT: "投诉件",
    UNCLEAR: "待分办件",
}

_MARKED = frozenset(
    {
        Happened.SIGNED,
        Happened.REPLIED,
        Happened.CALLED,
        Happened.ASKED_PAPERS,
        Happened.STEP,
        Happened.PAPERS_CAME,
        Happened.EXTENDED,
        Happened.HANDED_OVER,
        Happened.HANDED_BACK,
        Happened.CLOSED,
        Happened.REOPENED,
    }
)


def promise(config: Config, desk: Window, kind: str, item: Item | None, *, urgent: bool) -> Promise:
    """The time limits of a new case at `desk`; an errand takes as long as its item is promised to take."""
    terms, named = config.cases, f"{desk.name}{KINDS[kind]}"
    if urgent:
        return _urgent(terms, f"急件，{named}")
    days = desk.case_days.consult if kind == UNCLEAR else getattr(desk.case_days, kind)
    finish = Span(days, "workdays")
    if kind == AGENCY and item is not None and item.promised_days:
        unit: Unit = "workdays" if item.promised_days_kind == "working" else "days"
        finish, named = Span(item.promised_days, unit), f"{named}“{item.name}”的承诺时限"
    return Promise(
        signed=Span(terms.signed_minutes, "minutes"),
        first=Span(terms.first_days, "workdays"),
        finish=finish,
        pause_cap_days=terms.pause_cap_days,
        because=named,
    )


def _urgent(terms: CaseSettings, named: str) -> Promise:
    return Promise(
        signed=Span(terms.urgent_signed_minutes, "minutes"),
        first=Span(terms.urgent_first_minutes, "minutes"),
        finish=Span(terms.urgent_days, "workdays"),
        pause_cap_days=terms.pause_cap_days,
        because=named,
    )


def written(promised: Promise) -> dict[str, Any]:
    """As it is kept in the opening event."""
    spans = {name: [span.amount, span.unit] for name, span in _spans(promised).items()}
    return {**spans, "pause_cap_days": promised.pause_cap_days, "because": promised.because}


def read(data: Mapping[str, Any]) -> Promise:
    """What `written` wrote."""
    spans = {name: Span(*data[name]) for name in ("signed", "first", "finish")}
    return Promise(**spans, pause_cap_days=data["pause_cap_days"], because=data["because"])


def _spans(promised: Promise) -> Mapping[str, Span]:
    return {"signed": promised.signed, "first": promised.first, "finish": promised.finish}


def of_events(events: Sequence[Any]) -> tuple[Promise, list[Mark]]:
    """The promise and the marks that a case's events amount to; events as the store gives them, oldest first.

    ValueError where none of them opens a case.
    """
    opening = next((event for event in events if "promise" in event.data), None)
    if opening is None:
        raise ValueError("no event opens this case")
    start = min(event.at for event in events if event.kind == Happened.TEXT)
    marks = [Mark(Happened.TEXT, start, window=opening.data["window"])]
    marks += [_mark(event) for event in events if event.kind in _MARKED and "sub" not in event.data]
    return read(opening.data["promise"]), marks


def _mark(event: Any) -> Mark:
    data = event.data
    return Mark(
        Happened(event.kind),
        event.at,
        window=data.get("to", data.get("window", "")),
        days=data.get("days", 0),
        papers=tuple(data.get("papers", ())),
        text=event.body,
    )
