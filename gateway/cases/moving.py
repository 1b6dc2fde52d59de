"""Cases on their way: to another window, back, in two, into one, in parts, many at once.

Policy
- A hand-over names its reason and restarts no clock of the person's; each window's holding time is counted besides.
- A complaint is never handed to the window that it is about.
- A hand-back says that the assignment was wrong: the case goes back to where it came from, the front desk at first.
- Splitting copies the texts: both cases show what was said, for one text may hold several matters. Merging closes the
  younger story into the other, whose clocks run from the oldest text of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

from gateway import words
from gateway.cases import promises
from gateway.cases.book import Book
from gateway.cases.handling import Handling
from gateway.cases.intake import title
from gateway.cases.numbers import issue_number
from gateway.clocks import Promise
from gateway.config import Window
from gateway.errors import Conflict, NotFound, Refused
from gateway.model import CaseState, Happened
from gateway.officials import Official
from gateway.store import Connection
from gateway.store import cases as rows

ALIKE_FROM = 0.6
"""So much of the shorter of two titles is the same, in the same order."""
ALIKE_AMONG = 500
COPIED = ("phone", "person_id", "area", "name", "behalf", "broadcast_id", "source", "urgent", "restricted", "about")


class Moving:
    """What changes where a case lies, or how many there are."""

    def __init__(self, book: Book, handling: Handling) -> None:
        self._book, self._handling = book, handling

    # -- between windows ---------------------------------------------------------------------------------------

    def hand_over(self, db: Connection, number: str, window: str, reason: str, by: Official) -> None:
        row = self._book.unclosed(db, number, by)
        self._book.window(window)
        if not reason.strip():
            raise Refused("要写明转办原因", "say why it is handed over")
        self._move(db, row, window, Happened.HANDED_OVER, reason, by)

    def hand_back(self, db: Connection, number: str, reason: str, by: Official) -> None:
        row = self._book.unclosed(db, number, by)
        if not reason.strip():
            raise Refused("要写明退回原因", "say why it is handed back")
        self._move(db, row, self._came_from(db, row), Happened.HANDED_BACK, reason, by)

    def _move(self, db: Connection, row: Any, window: str, kind: Happened, reason: str, by: Official) -> None:
        if window == row.window:
            raise Refused("已经在这个窗口", "it is at this window already")
        if row.about and window == row.about:
            raise Refused("投诉的就是这个窗口，不能转给它", "it is about this window")
        moved = {"from": row.window, "to": window}
        self._book.note(db, row, kind, by, self._book.clock.now(), body=words.storable(reason.strip()), data=moved)
        self._book.settle(db, row, window=window, officer=None)
        self._book.audit(db, by, f"case.{kind}", row, moved)

    def _came_from(self, db: Connection, row: Any) -> str:
        """The window that gave it to this one; the front desk where nobody did."""
        moves = (Happened.HANDED_OVER, Happened.HANDED_BACK)
        given = [one.data for one in rows.events(db, row.id) if one.kind in moves and one.data.get("to") == row.window]
        return str(given[-1]["from"]) if given else self._book.front_desk.code

    # -- one into two, two into one ------------------------------------------------------------------------------

    def split(self, db: Connection, number: str, event_ids: Sequence[int], window: str, by: Official) -> str:
        """The number of the new case that those texts make."""
        row = self._book.unclosed(db, number, by)
        desk = self._book.window(window)
        if row.about and desk.code == row.about:
            raise Refused("投诉的就是这个窗口，不能拆给它", "it is about this window")
        said = [one for one in rows.events(db, row.id) if one.kind == Happened.TEXT]
        chosen = [one for one in said if one.id in event_ids]
        if len(chosen) != len(set(event_ids)) or not chosen:
            raise NotFound("这件里没有这几条来信", "the case has no such texts")
        new = self._copy(db, row, chosen, desk, f"从{row.number}拆出")
        told = self._book.tell_if_possible(db, new, "acknowledgement", 期限=self._book.day(new.due_at), 起算="")
        now = self._book.clock.now()
        if told is not None:
            self._book.note(db, new, Happened.ACKNOWLEDGED, by, now, message_id=told)
        data = {"number": new.number, "texts": [one.id for one in chosen]}
        self._book.note(db, row, Happened.SPLIT_OFF, by, now, data=data)
        self._book.audit(db, by, "case.split", row, data)
        return str(new.number)

    def merge(self, db: Connection, number: str, into: str, by: Official) -> None:
        row, target = self._book.unclosed(db, number, by), self._book.unclosed(db, into, by)
        if row.id == target.id:
            raise Refused("不能并到自己", "a case is not merged into itself")
        if row.phone != target.phone or row.restricted != target.restricted:
            raise Refused("不是同一个人的事，或保密程度不同", "not the same person's, or not as restricted")
        said = [one for one in rows.events(db, row.id) if one.kind == Happened.TEXT]
        now = self._book.clock.now()
        rows.add_texts(db, target.id, [(one.inbound_id, one.body, one.at) for one in said])
        self._book.note(db, target, Happened.MERGED, by, now, data={"number": row.number})
        self._book.note(db, row, Happened.CLOSED, by, now, data={"how": "merged", "number": target.number})
        self._book.withdraw(db, row)
        self._book.settle(db, target)
        self._book.settle(db, row, state=CaseState.CLOSED, closed_at=now, closed_how="merged", merged_into=target.id)
        self._book.audit(db, by, "case.merge", row, {"into": target.number})

    # -- parts -------------------------------------------------------------------------------------------------

    def open_subs(self, db: Connection, number: str, windows: Sequence[str], by: Official) -> list[str]:
        """Give a case to several windows at once: a part for each; their numbers."""
        row = self._book.unclosed(db, number, by)
        if row.parent_id is not None:
            raise Refused("分办件不能再分", "a part has no parts")
        desks = [self._book.window(window) for window in dict.fromkeys(windows)]
        if row.about and row.about in {desk.code for desk in desks}:
            raise Refused("投诉的就是这个窗口，不能分给它", "it is about this window")
        said = [one for one in rows.events(db, row.id) if one.kind == Happened.TEXT]
        numbers = [self._copy(db, row, said, desk, f"{row.number}分办", parent_id=row.id).number for desk in desks]
        data = {"numbers": numbers, "windows": [desk.code for desk in desks]}
        self._book.note(db, row, Happened.SUB_OPENED, by, self._book.clock.now(), data=data)
        self._book.audit(db, by, "case.subs", row, data)
        return numbers

    def _copy(
        self, db: Connection, row: Any, said: Sequence[Any], desk: Window, why: str, parent_id: int | None = None
    ) -> Any:
        """A case like another with some of its texts, at another window; its row."""
        day = self._book.today()
        kind = promises.CONSULT if row.kind == promises.UNCLEAR else row.kind
        begins = title(" ".join(" ".join(one.body for one in said).split()))
        made = rows.add(
            db,
            {name: getattr(row, name) for name in COPIED}
            | {"number": issue_number(day, rows.next_count(db, day)), "window": desk.code, "kind": kind}
            | {"state": CaseState.OPEN, "title": begins, "opened_at": self._book.clock.now(), "parent_id": parent_id},
        )
        promised = promises.promise(self._book.config, desk, kind, None, urgent=row.urgent)
        self._opening(db, made, said[0], promised, why)
        rows.add_texts(db, made.id, [(one.inbound_id, one.body, one.at) for one in said[1:]])
        return self._book.settle(db, made)

    def _opening(self, db: Connection, made: Any, first: Any, promised: Promise, why: str) -> None:
        data = {"window": made.window, "why": why, "promise": promises.written(promised)}
        data["config"] = self._book.version(db, "config.toml")
        rows.append(db, made.id, Happened.TEXT, "", first.at, body=first.body, data=data, inbound_id=first.inbound_id)

    # -- many at once --------------------------------------------------------------------------------------------

    def alike(self, db: Connection, number: str, by: Official | None) -> list[Any]:
        """Open cases at the same window that ask much the same, the likest first; not the case itself."""
        row = self._book.find(db, number, by, hold=False)
        others = rows.unclosed_at(db, row.window, by.area if by else "", ALIKE_AMONG)
        seen = [one for one in others if one.id != row.id and self._book.sight.may_see(one, by)]
        scored = [(_alike(row, one), one) for one in seen if not one.parent_id]
        return [one for score, one in sorted(scored, key=lambda pair: -pair[0]) if score >= ALIKE_FROM]

    def answer_all(self, db: Connection, numbers: Sequence[str], text: str, by: Official, close: bool) -> list[int]:
        """The same answer to each, with `close` its last; message ids. All or none: what cannot be is named."""
        sent = []
        for number in dict.fromkeys(numbers):
            try:
                sent.append(self._answer(db, number, text, by, close))
            except (Refused, Conflict, NotFound) as error:
                raise Refused(
                    f"{number}：{error.zh}；一件也没有答", f"{number}: {error.en}; none was answered"
                ) from error
        return sent

    def _answer(self, db: Connection, number: str, text: str, by: Official, close: bool) -> int:
        if not close:
            return self._handling.reply(db, number, text, by)
        message_id = self._handling.close(db, number, text, by, "text", None)
        if message_id is None:
            raise Refused("分办件要单独办结", "a part is closed by itself")
        return message_id


def _alike(one: Any, other: Any) -> float:
    """How much of the shorter title is in the longer; 1 where both are about one item."""
    if one.item and one.item == other.item:
        return 1.0
    short, long = sorted((words.normalise(one.title), words.normalise(other.title)), key=len)
    if not short:
        return 0.0
    same = sum(block.size for block in SequenceMatcher(None, short, long, autojunk=False).get_matching_blocks())
    return same / len(short)
