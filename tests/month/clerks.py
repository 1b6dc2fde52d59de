"""The oracle's clerks: what each verb does to a case, and what the person is told of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.month.days import DAY
from tests.month.hall import Hall, Prompt, Text, day_text
from tests.month.ledger import Case
from tests.month.plan import Act, Means

Verb = Callable[[Hall, Case, Act], None]


def does(hall: Hall, act: Act) -> None:
    """Carry out one act of a clerk."""
    case = hall.of(act.story, act.case)
    VERBS[act.verb](hall, case, act)


def _settle(hall: Hall, case: Case, act: Act) -> None:
    case.officer = case.officer or act.who
    case.settle(hall.office, act.at)


def _sign(hall: Hall, case: Case, act: Act) -> None:
    case.signs(act.at)
    case.officer = act.who
    case.note(act.at, "signed", act.who)
    _settle(hall, case, act)


def _reply(hall: Hall, case: Case, act: Act) -> None:
    hall.tell(case, act.at, "case-answer", 答复=act.text)
    _answer(hall, case, act, "replied")


def _answer(hall: Hall, case: Case, act: Act, what: str) -> None:
    case.signs(act.at, answers=True)
    case.note(act.at, what, act.who)
    case.state = "answered"
    hall.spoke(case, act.at)
    _settle(hall, case, act)


def _called(hall: Hall, case: Case, act: Act) -> None:
    closes = act.values["close"]
    hall.tell(case, act.at, "case-called-closed" if closes else "case-called", 答复=act.text)
    _answer(hall, case, act, "called")
    if closes:
        _finish(hall, case, act, "phone")


def _close(hall: Hall, case: Case, act: Act) -> None:
    if act.values.get("publish"):
        case.publish = True
    if case.parent is None and act.text:
        hall.tell(case, act.at, "case-closed", 答复=act.text)
        case.signs(act.at, answers=True)
        case.note(act.at, "replied", act.who)
    elif case.parent is None:
        hall.tell(case, act.at, "case-done")
    else:
        hall.spoke(case.parent, act.at)
    _finish(hall, case, act, act.values.get("how", "text"))


def _finish(hall: Hall, case: Case, act: Act, how: str) -> None:
    """Whoever finishes has signed and answered."""
    hall.withdraw(case, act.at)
    case.signs(act.at, answers=True)
    case.now.closed = act.at
    if case.now.asked and case.now.asked[-1][1] is None:
        case.now.asked[-1] = (case.now.asked[-1][0], act.at)
    case.state, case.closed_at, case.how, case.solved, case.rating = "closed", act.at, how, None, None
    case.note(act.at, "closed", act.who, how=how, window=case.window, officer=case.officer or act.who)
    hall.spoke(case, act.at)
    _settle(hall, case, act)
    if case.parent is None:
        days = hall.site.cases["rating_days"]
        hall.ask(Prompt(case.phone, "solved", act.at, act.at + days * DAY, case))


def _papers(hall: Hall, case: Case, act: Act) -> None:
    """All at once: what the first list did not name is a breach. Saying what is missing is an answer."""
    wanted = list(act.values["papers"])
    listed = "；".join(f"{n}.{paper}" for n, paper in enumerate(wanted, 1))
    hall.tell(case, act.at, "papers", 材料=listed)
    first = next((event.data["papers"] for event in case.events if event.what == "asked_papers"), None)
    case.signs(act.at, answers=True)
    case.note(act.at, "asked_papers", act.who, papers=wanted)
    if first is not None and not set(wanted) <= set(first):
        case.note(act.at, "breach", act.who, window=case.window)
    if not case.now.asked or case.now.asked[-1][1] is not None:
        case.now.asked.append((act.at, None))
    case.state = "waiting"
    hall.spoke(case, act.at)
    _settle(hall, case, act)
    until = act.at + 2 * hall.site.cases["pause_cap_days"] * DAY
    hall.ask(Prompt(case.phone, "papers", act.at, until, case))


def _came(hall: Hall, case: Case, act: Act) -> None:
    case.now.asked[-1] = (case.now.asked[-1][0], act.at)
    case.note(act.at, "papers_came", act.who)
    hall.withdraw(case, act.at)
    case.state = "open"
    case.settle(hall.office, act.at)


def _extend(hall: Hall, case: Case, act: Act) -> None:
    case.note(act.at, "extension_asked", act.who, days=act.values["days"], why=act.text)


def _extension(hall: Hall, case: Case, act: Act) -> None:
    asked = next(event for event in reversed(case.events) if event.what == "extension_asked")
    if not act.values["approved"]:
        return
    days = asked.data["days"]
    case.now.extended.append((act.at, days))
    case.note(act.at, "extended", act.who, days=days)
    case.settle(hall.office, act.at)
    hall.tell(case, act.at, "extended", 天数=str(days), 期限=day_text(case.row.finish), 原因=asked.data["why"])


def _handover(hall: Hall, case: Case, act: Act) -> None:
    _moves(hall, case, act, "handed_over", act.values["window"])


def _back(hall: Hall, case: Case, act: Act) -> None:
    """To the window that gave it; to the front desk where nobody did."""
    moves = [event for event in case.events if event.what in ("handed_over", "handed_back")]
    came = [event.data["before"] for event in moves if event.data["window"] == case.window]
    _moves(hall, case, act, "handed_back", came[-1] if came else "front-desk")


def _moves(hall: Hall, case: Case, act: Act, what: str, window: str) -> None:
    case.note(act.at, what, act.who, before=case.window, window=window)
    case.window, case.officer = window, None
    case.settle(hall.office, act.at)


def _copy(hall: Hall, case: Case, act: Act, window: str, texts: list[tuple[int, str]]) -> Case:
    kind = "consult" if case.kind == "unclear" else case.kind
    said = [Text(at, case.phone, body, Means("matter"), case.story) for at, body in texts]
    made = hall.made(case.phone, case.story, window, kind, act.at, said, "", case.urgent)
    made.restricted = case.restricted
    return made


def _split(hall: Hall, case: Case, act: Act) -> None:
    chosen = [case.texts[n] for n in act.values["texts"]]
    made = _copy(hall, case, act, act.values["window"], chosen)
    hall.tell(made, act.at, "acknowledgement", 期限=day_text(made.row.finish), 起算="")


def _merge(hall: Hall, case: Case, act: Act) -> None:
    """Into a case whose clocks then run from the oldest text of both."""
    into = hall.of(act.story, act.values["into"])
    into.texts += case.texts
    into.rounds[0].begun = min(at for at, _ in into.texts)
    case.note(act.at, "closed", act.who, how="merged")
    hall.withdraw(case, act.at)
    into.settle(hall.office, act.at)
    case.signs(act.at, answers=True)
    case.now.closed = act.at
    case.settle(hall.office, act.at)
    case.state, case.closed_at, case.how, case.merged_into = "closed", act.at, "merged", into
    hall.spoke(case, act.at)


def _parts(hall: Hall, case: Case, act: Act) -> None:
    for window in act.values["windows"]:
        _copy(hall, case, act, window, case.texts).parent = case


VERBS: Mapping[str, Verb] = {
    "sign": _sign,
    "reply": _reply,
    "called": _called,
    "close": _close,
    "papers": _papers,
    "came": _came,
    "extend": _extend,
    "extension": _extension,
    "handover": _handover,
    "back": _back,
    "split": _split,
    "merge": _merge,
    "parts": _parts,
}
