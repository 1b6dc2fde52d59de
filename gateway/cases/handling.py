"""Cases from the official's side: signing, answering, papers, extensions, finishing.

Policy
- The first who answers has signed. A telephone call counts as an answer, and is followed by a text that says so; so
  does saying which papers are missing, or which step is done.
- A case that was handed over is signed for once more by whoever takes it there.
- All papers are told at once. A second request may name only papers of the first; one that does not is sent, for the
  person needs it, and is written down as a breach.
- An extension is asked for with days and reason, approved by a director other than who asked, and told to the person.
- A case with parts is finished when its parts are. What a part's window says goes to whoever handles the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from gateway import words
from gateway.cases.book import Book, one_line
from gateway.errors import Conflict, Refused
from gateway.model import Asked, CaseState, Happened
from gateway.officials import Official
from gateway.store import Connection, prompts
from gateway.store import cases as rows

HOWS = ("text", "phone", "counter", "spot")
"""How a case was finished: by text, by a call, at the counter, or on the spot."""
PETITION = "petition"


class Handling:
    """What clerks do with one case; every method is one transaction's worth."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._terms = book.config.cases

    # -- answering ---------------------------------------------------------------------------------------------

    def sign(self, db: Connection, number: str, by: Official) -> None:
        row = self._book.unclosed(db, number, by)
        if row.signed_at is not None and row.officer is not None:
            holder = self._book.config.duty.officer(row.officer)
            raise Conflict(f"{holder.name if holder else row.officer}已经签收", f"signed by {row.officer}")
        self._book.note(db, row, Happened.SIGNED, by, self._book.clock.now())
        self._book.settle(db, row, officer=by.login)
        self._book.audit(db, by, "case.sign", row, {})

    def reply(self, db: Connection, number: str, text: str, by: Official) -> int:
        row = self._book.unclosed(db, number, by)
        message_id = self._say(db, row, "case-answer", text, by)
        self._book.settle(db, row, state=CaseState.ANSWERED, officer=row.officer or by.login)
        self._book.audit(db, by, "case.reply", row, {"message": message_id})
        return message_id

    def called(self, db: Connection, number: str, summary: str, by: Official, close: bool) -> int | None:
        """A call was made: what was said, and a text that sums it up; with `close` that finishes the case."""
        row = self._book.unclosed(db, number, by)
        said = words.storable(_given(summary, "要写明电话里说了什么", "say what was said"))
        name = "case-called-closed" if close and self._asks(row) else "case-called"
        message_id = self._book.tell_if_possible(db, row, name, 答复=one_line(said))
        now = self._book.clock.now()
        self._book.note(db, row, Happened.CALLED, by, now, body=said, message_id=message_id)
        self._book.settle(db, row, state=CaseState.ANSWERED, officer=row.officer or by.login)
        self._book.audit(db, by, "case.called", row, {"message": message_id})
        if close:
            self._finish(db, rows.get(db, row.id), by, "phone", message_id)
        return message_id

    def _say(self, db: Connection, row: Any, name: str, text: str, by: Official) -> int:
        said = _given(text, "答复不能空", "an answer is needed")
        message_id = self._book.tell(db, row, name, 答复=one_line(said))
        at = self._book.clock.now()
        self._book.note(db, row, Happened.REPLIED, by, at, body=words.storable(said), message_id=message_id)
        return message_id

    # -- finishing ---------------------------------------------------------------------------------------------

    def close(
        self, db: Connection, number: str, text: str | None, by: Official, how: str, publish: bool | None
    ) -> int | None:
        row = self._book.unclosed(db, number, by)
        if how not in HOWS:
            raise Refused(f"办结方式有：{'、'.join(HOWS)}", f"how is one of {', '.join(HOWS)}")
        self._no_open_parts(db, row)
        if publish is not None:
            rows.change(db, row.id, publish=publish)
        message_id = self._last_words(db, row, text, by)
        self._finish(db, rows.get(db, row.id), by, how, message_id)
        return message_id

    def _last_words(self, db: Connection, row: Any, text: str | None, by: Official) -> int | None:
        """The text that ends a case, if there is one to be sent; it asks whether it helped."""
        if row.parent_id is not None:
            self._report_to_whole(db, row, text, by)
            return None
        if text is not None:
            return self._say(db, row, "case-closed" if self._asks(row) else "case-answer", text, by)
        return self._book.tell_if_possible(db, row, "case-done") if self._asks(row) else None

    def _asks(self, row: Any) -> bool:
        return self._terms.rating and row.parent_id is None

    def _finish(self, db: Connection, row: Any, by: Official, how: str, message_id: int | None) -> None:
        now = self._book.clock.now()
        self._book.withdraw(db, row)
        data = {"how": how, "window": row.window, "officer": row.officer or by.login}
        self._book.note(db, row, Happened.CLOSED, by, now, data=data)
        self._book.settle(
            db,
            row,
            state=CaseState.CLOSED,
            officer=row.officer or by.login,
            closed_at=now,
            closed_how=how,
            solved=None,
            rating=None,
            rated_at=None,
        )
        if message_id is not None and self._asks(row):
            until = now + timedelta(days=self._terms.rating_days)
            prompts.ask(db, row.phone, Asked.SOLVED, now, until, case_id=row.id, message_id=message_id)
        self._book.audit(db, by, "case.close", row, {"message": message_id, "how": how})

    def _no_open_parts(self, db: Connection, row: Any) -> None:
        waiting = [sub.number for sub in rows.subs_of(db, row.id) if sub.state != CaseState.CLOSED]
        if waiting:
            listed = "、".join(waiting)
            raise Conflict(f"还有分办的没办完：{listed}", f"parts are still open: {listed}")

    def _report_to_whole(self, db: Connection, row: Any, text: str | None, by: Official) -> None:
        whole = rows.get(db, row.parent_id)
        said = f"{self._book.desk(row.window).name}办完了：{one_line(text or '') or '无'}"
        data = {"sub": row.number}
        self._book.note(db, whole, Happened.STEP, by, self._book.clock.now(), body=words.storable(said), data=data)

    # -- papers ------------------------------------------------------------------------------------------------

    def ask_papers(self, db: Connection, number: str, papers: Sequence[str], by: Official) -> bool:
        """Ask for papers; whether it was a breach of "all at once"."""
        row = self._book.unclosed(db, number, by)
        wanted = self._papers(row, papers)
        known = self._told_before(db, row)
        new = [paper for paper in wanted if known and paper not in known]
        listed = "；".join(f"{n}.{paper}" for n, paper in enumerate(wanted, 1))
        message_id = self._book.tell(db, row, "papers", 材料=listed)
        now = self._book.clock.now()
        self._book.note(db, row, Happened.ASKED_PAPERS, by, now, data={"papers": wanted}, message_id=message_id)
        if new:
            self._book.note(db, row, Happened.BREACH, by, now, data={"papers": new, "window": row.window})
        self._book.settle(db, row, state=CaseState.WAITING, officer=row.officer or by.login)
        until = now + timedelta(days=self._terms.pause_cap_days * 2)
        prompts.ask(db, row.phone, Asked.PAPERS, now, until, case_id=row.id, message_id=message_id)
        self._book.audit(db, by, "case.papers", row, {"papers": wanted, "breach": new})
        return bool(new)

    def _papers(self, row: Any, papers: Sequence[str]) -> list[str]:
        """Those named, else those of the case's item."""
        named = [words.storable(one_line(paper)) for paper in papers if paper.strip()]
        item = self._book.config.hall.item(row.item) if row.item and not named else None
        wanted = named or [material.name for material in (item.materials if item else ())]
        if not wanted:
            raise Refused("要写明差哪些材料", "name the papers that are missing")
        return list(dict.fromkeys(wanted))

    def _told_before(self, db: Connection, row: Any) -> set[str]:
        """The papers of the first request."""
        first = next((event for event in rows.events(db, row.id) if event.kind == Happened.ASKED_PAPERS), None)
        return set(first.data["papers"]) if first else set()

    def papers_came(self, db: Connection, number: str, by: Official) -> None:
        row = self._book.unclosed(db, number, by)
        if row.waiting_since is None:
            raise Conflict("没有在等材料", "no papers are awaited")
        self._book.note(db, row, Happened.PAPERS_CAME, by, self._book.clock.now(), data={"by": "hall"})
        self._book.withdraw(db, row)
        self._book.settle(db, row, state=CaseState.OPEN)
        self._book.audit(db, by, "case.papers_came", row, {})

    # -- extensions --------------------------------------------------------------------------------------------

    def ask_extension(self, db: Connection, number: str, days: int, reason: str, by: Official) -> None:
        row = self._book.unclosed(db, number, by)
        terms = self._book.config.cases
        most = terms.petition_extension_days if row.kind == PETITION else terms.extension_days
        if not 1 <= days <= most:
            raise Refused(f"延期 1 到 {most} 个工作日", f"1 to {most} working days")
        if any(one.kind == Happened.EXTENDED for one in rows.events(db, row.id)):
            raise Refused("已经延过一次，不能再延", "extended once already: not again")
        if self._asked_extension(db, row) is not None:
            raise Conflict("已经申请过，等主任批", "asked for already: a director decides")
        said = words.storable(_given(reason, "要写明延期原因", "say why"))
        self._book.note(db, row, Happened.EXTENSION_ASKED, by, self._book.clock.now(), body=said, data={"asked": days})
        self._book.audit(db, by, "case.ask_extension", row, {"days": days})

    def decide_extension(self, db: Connection, number: str, approved: bool, by: Official, reason: str) -> None:
        row = self._book.unclosed(db, number, by)
        asked = self._asked_extension(db, row)
        if asked is None:
            raise Conflict("没有待批的延期", "no extension is asked for")
        if asked.who == by.login:
            raise Refused("不能批自己申请的延期", "who asks does not approve")
        now = self._book.clock.now()
        if not approved:
            self._book.note(db, row, Happened.EXTENSION_REFUSED, by, now, body=words.storable(reason))
        else:
            self._extend(db, row, asked, by)
        self._book.audit(db, by, "case.extension", row, {"approved": approved, "days": asked.data["asked"]})

    def _extend(self, db: Connection, row: Any, asked: Any, by: Official) -> None:
        days, now = asked.data["asked"], self._book.clock.now()
        self._book.note(db, row, Happened.EXTENDED, by, now, body=asked.body, data={"days": days})
        row = self._book.settle(db, row)
        values = {"天数": str(days), "期限": self._book.day(row.due_at), "原因": one_line(asked.body)}
        self._book.tell_if_possible(db, row, "extended", **values)

    def _asked_extension(self, db: Connection, row: Any) -> Any:
        """The request that nobody has decided, or None."""
        ends = (Happened.EXTENDED, Happened.EXTENSION_REFUSED)
        events = [one for one in rows.events(db, row.id) if one.kind in (Happened.EXTENSION_ASKED, *ends)]
        return events[-1] if events and events[-1].kind == Happened.EXTENSION_ASKED else None

    # -- errands -----------------------------------------------------------------------------------------------

    def step(self, db: Connection, number: str, step: str, by: Official) -> int:
        """A step of an errand is done; told to the person."""
        row = self._book.unclosed(db, number, by)
        said = words.storable(_given(step, "要写明办到哪一步", "say which step"))
        message_id = self._book.tell(db, row, "case-step", 进度=one_line(said))
        self._book.note(db, row, Happened.STEP, by, self._book.clock.now(), body=said, message_id=message_id)
        self._book.settle(db, row, officer=row.officer or by.login)
        self._book.audit(db, by, "case.step", row, {"message": message_id})
        return message_id


def _given(text: str, zh: str, en: str) -> str:
    if not one_line(text):
        raise Refused(zh, en)
    return text.strip()
