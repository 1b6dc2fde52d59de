"""What may be said of a case in brackets, and whether it is so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gateway.cases import Conversation
from gateway.model import CaseState, Happened, Role
from gateway.officials import Official
from tests.desk import Hall

STATES = {"待办": "open", "已答复": "answered", "等材料": "waiting", "已办结": "closed"}
KINDS = {
    "咨询": "consult",
    "反映": "feedback",
    "代办": "agency",
    "投诉": "complaint",
    "信访": "petition",
    "不清": "unclear",
}
HAPPENED = {
    "叫了值班": Happened.PAGED,
    "多要了材料": Happened.BREACH,
    "重办过": Happened.REOPENED,
    "再问过": Happened.REMINDED,
}


class Known(NamedTuple):
    """A case: its row, its conversation, and who of the hall's officers does not see it."""

    row: Any
    talk: Conversation
    unseen: Sequence[str]
    """Names of windows."""


async def known(hall: Hall, row: Any) -> Known:
    """What is known of the case of a row."""
    windows = {one.code: one.name for one in hall.config.hall.windows}
    officers = [one for one in hall.config.duty.officers if one.window]
    clerks = [(one, Official(one.login, one.name, frozenset({Role.CLERK}), hall.config.site.area)) for one in officers]
    unseen = [windows[one.window] for one, clerk in clerks if not hall.cases.book.sight.may_see(row, clerk)]
    return Known(row, await hall.cases.show(row.number), unseen)


def holds(hall: Hall, names: Mapping[str, str], case: Known, fact: str) -> bool | None:
    """Whether `fact` is so; None where no such thing can be said. `names` are case numbers by name."""
    plain = _plain(case.row)
    if fact in plain:
        return plain[fact]
    if fact in HAPPENED:
        return any(event.kind == HAPPENED[fact] for event in case.talk.events)
    begun = next((begin for begin in _ABOUT if fact.startswith(begin)), None)
    return _ABOUT[begun](hall, names, case, fact.removeprefix(begun)) if begun else _ends(hall, case, fact)


def _plain(row: Any) -> Mapping[str, bool]:
    return {
        **{word: row.state == CaseState(state) for word, state in STATES.items()},
        **{f"是{word}": row.kind == kind for word, kind in KINDS.items()},
        "急": row.urgent,
        "保密": row.restricted,
        "不保密": not row.restricted,
        "不急": not row.urgent,
        "已解决": row.solved is True,
        "未解决": row.solved is False,
        "没评价": row.rating is None,
        "停着表": row.waiting_since is not None,
        "是回通知的": row.broadcast_id is not None,
        "不是回通知的": row.broadcast_id is None,
        "电话办结": row.closed_how == "phone",
        "当场办结": row.closed_how == "spot",
    }


def _at(hall: Hall, names: Mapping[str, str], case: Known, said: str) -> bool:
    return said in {one.name for one in hall.config.hall.windows if one.code == case.row.window}


def _rated(hall: Hall, names: Mapping[str, str], case: Known, said: str) -> bool:
    return str(case.row.rating) == said


def _due(hall: Hall, names: Mapping[str, str], case: Known, said: str) -> bool:
    return hall.cases.book.day(case.row.due_at) == said


def _behalf(hall: Hall, names: Mapping[str, str], case: Known, said: str) -> bool:
    return f"{case.row.behalf}问" == said


def _handler(hall: Hall, names: Mapping[str, str], case: Known, said: str) -> bool:
    logins = {one.login: one.name for one in hall.config.duty.officers}
    return logins.get(case.row.officer, case.row.officer or "还没人") == said


def _texts(hall: Hall, names: Mapping[str, str], case: Known, said: str) -> bool:
    return f"{sum(event.kind == Happened.TEXT for event in case.talk.events)}条" == said


def _mentions(hall: Hall, names: Mapping[str, str], case: Known, said: str) -> bool:
    codes = [code for event in case.talk.events for code in event.data.get("matters", ())]
    return said in {one.name for one in hall.config.hall.windows if one.code in codes}


def _merged(hall: Hall, names: Mapping[str, str], case: Known, said: str) -> bool:
    merged = [event.data["number"] for event in case.talk.events if event.data.get("how") == "merged"]
    return [names.get(said.strip("{}"))] == merged


def _part(hall: Hall, names: Mapping[str, str], case: Known, said: str) -> bool:
    return case.talk.parent is not None and case.talk.parent == names.get(said.strip("{}"))


_ABOUT: Mapping[str, Callable[[Hall, Mapping[str, str], Known, str], bool]] = {
    "在": _at,
    "评价": _rated,
    "期限": _due,
    "替": _behalf,
    "归": _handler,
    "有": _texts,
    "提到": _mentions,
    "并到": _merged,
    "分自": _part,
}


def _ends(hall: Hall, case: Known, fact: str) -> bool | None:
    if fact.endswith("看不见"):
        return fact.removesuffix("看不见") in case.unseen
    return fact.removesuffix("看得见") not in case.unseen if fact.endswith("看得见") else None
