"""Cases from the person's side: opened by texts, joined by more, judged at the end. Runs in the inbox's transaction.

Policy
- Several texts read as one open one case, whose clocks run from the oldest of them.
- A text that asks for something wakes a case that was answered, and opens a finished one again, with fresh clocks and
  at the window that had it. Papers that are still awaited stay awaited.
- "Did it help?" is asked when a case is finished, and how satisfied they are when it did. What did not help, and a bad
  rating, opens the case again with another handler: another officer of the window, else the front desk.
- Danger pages whoever is on duty in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from gateway.cases import promises
from gateway.cases.book import Book
from gateway.cases.numbers import is_number, issue_number
from gateway.model import Asked, CaseState, Happened
from gateway.officials import SYSTEM
from gateway.store import Connection, people, prompts
from gateway.store import cases as rows
from gateway.store.inbound import Waiting
from gateway.triage import Understanding
from gateway.words import Intent

TITLE_CHARACTERS = 40
NUMERALS = "0123456789０１２３４５６７８９"
BAD = 2
"""This rating and what is below it opens a case again."""
BEHALF = ("我妈", "我爸", "我爷", "我奶", "我大", "我婆", "我公", "我姥", "我外", "我娃", "我儿", "我女", "父母")


class Intake:
    """What the inbox does with cases."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._terms = book.config.cases

    # -- which case --------------------------------------------------------------------------------------------

    def of_number(self, db: Connection, number: str, phone: str) -> Any:
        """The case of that number, if it is this phone's own; else None, as if there were none."""
        row = rows.by_number(db, number, hold=True) if is_number(number) else None
        if row is None or row.phone != phone:
            return None
        return rows.get(db, row.merged_into) if row.merged_into else row

    def open_of(self, db: Connection, phone: str) -> Sequence[Any]:
        """The phone's cases that are not closed, oldest first; parts of a case are not the person's to see."""
        return [row for row in rows.open_of(db, phone) if row.parent_id is None]

    def closed_since(self, db: Connection, phone: str, since: datetime) -> Sequence[Any]:
        """The phone's cases that were finished since then, the newest first."""
        return rows.closed_since(db, phone, since)

    def paged_since(self, db: Connection, row: Any, since: datetime) -> bool:
        """Whether the case called whoever is on duty since then."""
        paged = rows.events_of(db, [row.id], [Happened.PAGED]).get(row.id, [])
        return any(event.at >= since for event in paged)

    # -- opening and joining -----------------------------------------------------------------------------------

    def open(
        self, db: Connection, texts: Sequence[Waiting], read: Understanding, broadcast_id: int | None = None
    ) -> Any:
        """A new case of texts that were read as one, at the window that was understood or the front desk; its row."""
        now, first = self._book.clock.now(), texts[0]
        desk = self._book.desk(read.window or "")
        who = people.by_phone(db, first.phone)
        areas = {person.area for person in who}
        said = " ".join(" ".join(text.body for text in texts).split())
        kind = _kind(read)
        row = rows.add(
            db,
            {
                "number": self._number(db),
                "phone": first.phone,
                "person_id": who[0].id if len(who) == 1 else None,
                "window": desk.code,
                "kind": kind,
                "item": read.item,
                "state": CaseState.OPEN,
                "area": areas.pop() if len(areas) == 1 else self._book.config.site.area,
                "title": title(said),
                "behalf": next((word[1:] for word in BEHALF if word in said), None),
                "broadcast_id": broadcast_id,
                "source": first.source,
                "urgent": read.urgent,
                "restricted": kind == promises.COMPLAINT or read.confidential,
                "about": read.about,
                "opened_at": now,
            },
        )
        self._first_event(db, row, first, read)
        rows.add_texts(db, row.id, [(text.id, text.body, text.at) for text in texts[1:]])
        row = self._book.settle(db, row)
        return self._page(db, row, read)

    def join(self, db: Connection, row: Any, texts: Sequence[Waiting], read: Understanding, *, asks: bool) -> Any:
        """Add texts to a case, which wakes where they ask for something; the case's row as it is then."""
        rows.add_texts(db, row.id, [(text.id, text.body, text.at) for text in texts])
        if read.urgent and not row.urgent:
            rows.change(db, row.id, urgent=True)
            row = rows.get(db, row.id)
        row = self._page(db, row, read)
        if not asks or row.state == CaseState.OPEN:
            return row
        if row.state == CaseState.CLOSED:
            return self.reopen(db, row, texts[0].at, "又来信")
        rows.change(db, row.id, state=CaseState.OPEN)
        return rows.get(db, row.id)

    def _number(self, db: Connection) -> str:
        day = self._book.today()
        return issue_number(day, rows.next_count(db, day))

    def _first_event(self, db: Connection, row: Any, text: Waiting, read: Understanding) -> None:
        book, desk = self._book, self._book.desk(row.window)
        item = book.config.hall.item(row.item) if row.item else None
        promised = promises.promise(book.config, desk, row.kind, item, urgent=row.urgent)
        data = {
            "window": row.window,
            "why": read.why,
            "intent": read.intent,
            "promise": promises.written(promised),
            "config": book.version(db, "config.toml"),
        }
        if read.matters:
            data["matters"] = list(read.matters)
        rows.append(db, row.id, Happened.TEXT, "", text.at, body=text.body, data=data, inbound_id=text.id)

    def _page(self, db: Connection, row: Any, read: Understanding) -> Any:
        if read.danger:
            self._book.duty.page(db, row, read.danger, self._book.clock.now())
        return row

    # -- answers to the person ---------------------------------------------------------------------------------

    def acknowledge(self, db: Connection, row: Any, text: Waiting, *, danger: bool = False) -> int | None:
        """Tell the person number, window, due date and phone; None where no carrier reaches them."""
        book, name = self._book, "danger" if danger else "acknowledgement"
        message_id = book.tell_if_possible(db, row, name, 期限=book.day(row.due_at), 起算=book.begins(text.at))
        if message_id is not None:
            now = book.clock.now()
            book.note(db, row, Happened.ACKNOWLEDGED, SYSTEM, now, message_id=message_id, inbound_id=text.id)
        return message_id

    # -- answers of the person ---------------------------------------------------------------------------------

    def solved(self, db: Connection, row: Any, yes: bool, text: Waiting) -> int | None:
        """They said whether it helped: then the rating is asked for, or the case is opened again."""
        now = self._book.clock.now()
        self._book.note(db, row, Happened.SOLVED, SYSTEM, now, body=text.body, data={"solved": yes}, inbound_id=text.id)
        rows.change(db, row.id, solved=yes)
        return self.ask_rating(db, row) if yes else self._again(db, row, now, "群众说没办成")

    def ask_rating(self, db: Connection, row: Any) -> int | None:
        """Ask how satisfied they are; once per completion."""
        message_id = self._book.tell_if_possible(db, row, "rating")
        if message_id is not None:
            now = self._book.clock.now()
            until = now + timedelta(days=self._terms.rating_days)
            prompts.ask(db, row.phone, Asked.RATING, now, until, case_id=row.id, message_id=message_id)
        return message_id

    def rate(self, db: Connection, row: Any, value: int, text: Waiting) -> int | None:
        """They gave 1 to 5; a bad rating opens the case again with another handler."""
        now = self._book.clock.now()
        data = {"value": value, "officer": row.officer, "window": row.window}
        self._book.note(db, row, Happened.RATED, SYSTEM, now, body=text.body, data=data, inbound_id=text.id)
        rows.change(db, row.id, rating=value, rated_at=now)
        return self._again(db, row, now, f"评价{value}") if value <= BAD else None

    def papers_told(self, db: Connection, row: Any, texts: Sequence[Waiting]) -> Any:
        """They say that the papers are there: the clock runs again; the case's row as it is then."""
        rows.add_texts(db, row.id, [(text.id, text.body, text.at) for text in texts])
        self._book.note(db, row, Happened.PAPERS_CAME, SYSTEM, self._book.clock.now(), data={"by": "person"})
        return self._book.settle(db, row, state=CaseState.OPEN)

    # -- opening again -----------------------------------------------------------------------------------------

    def reopen(self, db: Connection, row: Any, at: datetime, why: str, *, another: bool = False) -> Any:
        """Open a finished case again, with `another` handler if it is to be; the case's row as it is then."""
        window, officer = self._another(row) if another else (row.window, row.officer)
        data = {"window": window, "officer": officer, "before": row.officer, "why": why}
        self._book.note(db, row, Happened.REOPENED, SYSTEM, at, data=data)
        self._book.withdraw(db, row)
        return self._book.settle(
            db, row, state=CaseState.OPEN, window=window, officer=officer, closed_at=None, closed_how=None
        )

    def _again(self, db: Connection, row: Any, at: datetime, why: str) -> int | None:
        row = self.reopen(db, row, at, why, another=True)
        return self._book.tell_if_possible(db, row, "reopened", 期限=self._book.day(row.due_at))

    def _another(self, row: Any) -> tuple[str, str | None]:
        """Window and login of somebody else than who had it."""
        today = self._book.today()
        here = self._book.config.duty.at_window(row.window)
        others = [one for one in here if one.login != row.officer and today not in one.away]
        if others and row.officer is not None:
            return row.window, others[0].login
        front = self._book.front_desk.code
        return (front if front != row.about else row.window), None


def title(said: str) -> str:
    """The beginning of what was said; a number that would be cut is left out, for a part of it cannot be masked."""
    cut = said[:TITLE_CHARACTERS]
    return cut.rstrip(NUMERALS) if said[TITLE_CHARACTERS - 1 : TITLE_CHARACTERS + 1].isdigit() else cut


def _kind(read: Understanding) -> str:
    kinds = {
        Intent.CONSULT: promises.CONSULT,
        Intent.FEEDBACK: promises.FEEDBACK,
        Intent.AGENCY: promises.AGENCY,
        Intent.COMPLAINT: promises.COMPLAINT,
    }
    kind = kinds.get(read.intent, promises.UNCLEAR)
    return kind if read.window else promises.UNCLEAR
