"""Cases: a conversation with one number that needs a person, at one window of the hall.

Policy
- A case is at one window, and what nobody can place is at the front desk. It is `open` while the hall owes an answer,
  `answered` while the person may say more, `waiting` for papers, `closed` when it is done.
- What a clerk does is one transaction: the event, the case, its text in the outbox and the audit row, or none of them.
- Three clocks (signed for, first answer, finished) follow from the events alone; see `promises` and gateway.clocks.
- Verbs take `by`, who signs for it; reading with `by` None is for the machine that the gateway runs on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from gateway.cases.book import FRONT_DESK, Book
from gateway.cases.handling import HOWS, Handling
from gateway.cases.intake import Intake
from gateway.cases.moving import Moving
from gateway.cases.numbers import is_number, issue_number
from gateway.cases.promises import KINDS, UNCLEAR
from gateway.cases.records import EXPORT, Corrected, Published, Records
from gateway.cases.views import Case, Conversation, Event, case_of, event_of
from gateway.config import Config
from gateway.duty import Duty
from gateway.model import Asked, CaseState, Happened, Role
from gateway.officials import SYSTEM, Official
from gateway.outbox import Outbox
from gateway.store import Connection, Store, prompts
from gateway.store import cases as rows
from gateway.templates import Template
from gateway.worktime import Clock, Hours

__all__ = [
    "EXPORT",
    "FRONT_DESK",
    "HOWS",
    "KINDS",
    "UNCLEAR",
    "Case",
    "Cases",
    "Conversation",
    "Corrected",
    "Event",
    "Published",
    "is_number",
    "issue_number",
]

CLERKS = (Role.CLERK, Role.DIRECTOR)
REMINDED_AT_ONCE = 200
PAUSED_AT_ONCE = 5000
LOOK_EVERY = timedelta(minutes=30)
"""How late it may be seen that a pause is over: caps are counted in days."""


class Cases:
    """The verbs of clerks; `intake` is what the inbox uses in its own transactions."""

    def __init__(
        self,
        store: Store,
        config: Config,
        templates: Mapping[str, Template],
        outbox: Outbox,
        duty: Duty,
        clock: Clock,
    ) -> None:
        self._store, self._config, self._clock = store, config, clock
        self.book = Book(config, templates, outbox, duty, clock)
        self.intake = Intake(self.book)
        self._handling = Handling(self.book)
        self._moving = Moving(self.book, self._handling)
        self._records = Records(self.book)
        self._looked_at: datetime | None = None

    # -- looking -------------------------------------------------------------------------------------------------

    async def list(
        self,
        window: str | None = None,
        state: CaseState | None = None,
        area: str = "",
        limit: int = 100,
        *,
        by: Official | None = None,
    ) -> Sequence[Case]:
        """Cases in the area of that prefix, those due first before the others; without a state all but the closed."""
        found = await self._store.read(rows.listed, window, state, by.area if by else area, limit)
        return [self.book.sight.masked_row(row, by) for row in found if self.book.sight.may_see(row, by)]

    async def show(self, number: str, *, by: Official | None = None) -> Conversation:
        """A case, what was said, and why it is due when it is; NotFound for whoever may not see it."""
        return await self._store.read(self._show, number, by)

    def _show(self, db: Connection, number: str, by: Official | None) -> Conversation:
        row = self.book.find(db, number, by, hold=False)
        happened = rows.events(db, row.id)
        found, case, sight = self.book.clocks(happened, explain=True), case_of(row), self.book.sight
        whole = rows.get(db, row.parent_id).number if row.parent_id else None
        return Conversation(
            sight.masked(case, by),
            [sight.masked_event(event_of(event), case, by) for event in happened],
            found.why,
            {window: held / timedelta(minutes=1) for window, held in found.holding.items()},
            [sub.number for sub in rows.subs_of(db, row.id)],
            whole,
        )

    async def alike(self, number: str, *, by: Official | None = None) -> Sequence[Case]:
        """Open cases at the same window that ask much the same, the likest first."""
        found = await self._store.read(self._moving.alike, number, by)
        return [self.book.sight.masked_row(row, by) for row in found]

    def left(self, case: Case) -> tuple[str, str]:
        """How much time is left until a case is due, or since, in working days; in Chinese and in English."""
        return self.book.left(case)

    # -- answering -----------------------------------------------------------------------------------------------

    async def sign(self, number: str, *, by: Official) -> None:
        """Take charge of a case; Conflict where somebody has."""
        by.needs(*CLERKS)
        await self._store.write(self._handling.sign, number, by)

    async def reply(self, number: str, text: str, *, by: Official) -> int:
        """Answer the person; the text's message id. Refused for an empty text or a number no text can reach."""
        by.needs(*CLERKS)
        return await self._store.write(self._handling.reply, number, text, by)

    async def called(self, number: str, summary: str, *, by: Official, close: bool = True) -> int | None:
        """Answered by telephone: what was said is kept and texted; with `close` the case is finished."""
        by.needs(*CLERKS)
        return await self._store.write(self._handling.called, number, summary, by, close)

    async def answer_all(
        self, numbers: Sequence[str], text: str, *, by: Official, close: bool = False
    ) -> Sequence[int]:
        """One answer to many cases, all or none, with `close` the last that they get; message ids."""
        by.needs(*CLERKS)
        return await self._store.write(self._moving.answer_all, numbers, text, by, close)

    async def step(self, number: str, step: str, *, by: Official) -> int:
        """A step of an errand is done; it is told to the person."""
        by.needs(*CLERKS)
        return await self._store.write(self._handling.step, number, step, by)

    async def close(
        self, number: str, text: str | None = None, *, by: Official, how: str = "text", publish: bool | None = None
    ) -> int | None:
        """Finish a case, with a last answer if there is one; the id of the text that asks whether it helped."""
        by.needs(*CLERKS)
        return await self._store.write(self._handling.close, number, text, by, how, publish)

    # -- papers and time -----------------------------------------------------------------------------------------

    async def ask_papers(self, number: str, papers: Sequence[str] = (), *, by: Official) -> bool:
        """Ask for papers, all at once (without names those of the case's item), and stop the clock until they come.

        True where the first request did not name them all: that is recorded as a breach.
        """
        by.needs(*CLERKS)
        return await self._store.write(self._handling.ask_papers, number, papers, by)

    async def papers_came(self, number: str, *, by: Official) -> None:
        """The papers are there: the clock runs again."""
        by.needs(*CLERKS)
        await self._store.write(self._handling.papers_came, number, by)

    async def ask_extension(self, number: str, days: int, reason: str, *, by: Official) -> None:
        """Ask a director for so many more working days."""
        by.needs(*CLERKS)
        await self._store.write(self._handling.ask_extension, number, days, reason, by)

    async def decide_extension(self, number: str, approved: bool, *, by: Official, reason: str = "") -> None:
        """Grant or refuse it; granted, the person is told the new date and why."""
        by.needs(Role.DIRECTOR)
        await self._store.write(self._handling.decide_extension, number, approved, by, reason)

    # -- moving --------------------------------------------------------------------------------------------------

    async def handover(self, number: str, window: str, reason: str, *, by: Official) -> None:
        """Give a case to another window, with the reason; its due times stay."""
        by.needs(*CLERKS)
        await self._store.write(self._moving.hand_over, number, window, reason, by)

    async def hand_back(self, number: str, reason: str, *, by: Official) -> None:
        """It was assigned wrongly: back to where it came from."""
        by.needs(*CLERKS)
        await self._store.write(self._moving.hand_back, number, reason, by)

    async def split(self, number: str, texts: Sequence[int], window: str, *, by: Official) -> str:
        """Make a case of its own of these texts (ids of events); its number."""
        by.needs(*CLERKS)
        return await self._store.write(self._moving.split, number, texts, window, by)

    async def merge(self, number: str, into: str, *, by: Official) -> None:
        """Two cases of one person are one matter."""
        by.needs(*CLERKS)
        await self._store.write(self._moving.merge, number, into, by)

    async def open_subs(self, number: str, windows: Sequence[str], *, by: Official) -> Sequence[str]:
        """Give a case to several windows side by side; the numbers of its parts."""
        by.needs(*CLERKS)
        return await self._store.write(self._moving.open_subs, number, windows, by)

    # -- records -------------------------------------------------------------------------------------------------

    async def mark(self, number: str, *, by: Official, **changes: Any) -> None:
        """Correct what is known: behalf, name, external, restricted, about, urgent, publish, item, kind, phone.

        `phone` is a changed number: the person's other open cases move along.
        """
        by.needs(*CLERKS)
        await self._store.write(self._records.mark, number, changes, by)

    async def export(
        self, since: datetime, until: datetime, *, by: Official | None = None, external_only: bool = False
    ) -> Sequence[tuple[str, ...]]:
        """Rows of `EXPORT` for another platform: the cases opened from `since` up to `until`, excluded."""
        return await self._store.read(self._records.export, since, until, by, external_only)

    async def corrected(self, since: datetime, until: datetime, *, by: Official) -> Sequence[Corrected]:
        """Cases finished in that span whose reading was corrected: examples for whatever reads texts."""
        by.needs(Role.DIRECTOR, Role.ADMIN)
        return await self._store.read(self._records.corrected, since, until, by)

    async def published(self, since: datetime, until: datetime) -> Sequence[Published]:
        """What was settled in that span and may be read by everybody."""
        return await self._store.read(self._records.published, since, until)

    # -- by itself -----------------------------------------------------------------------------------------------

    async def end_pauses(self) -> int:
        """Let the clocks run again that stood still as long as they may; how many.

        Looks once in `LOOK_EVERY` of office time: while the hall is closed no cap is used up.
        """
        now = self._clock.now()
        if self._looked_at is not None and self._looked_at <= now < self._looked_at + LOOK_EVERY:
            return 0
        if not self.book.office.is_open(now):
            return 0
        self._looked_at = now
        return await self._store.write(self._end_pauses)

    def _end_pauses(self, db: Connection) -> int:
        ended = 0
        for row in rows.awaiting_papers(db, PAUSED_AT_ONCE):
            happened = rows.events(db, row.id)
            if happened and self.book.clocks(happened).finish.paused_since is None:
                self.book.settle(db, row, state=CaseState.OPEN)
                ended += 1
        return ended

    async def remind_due(self) -> int:
        """Ask once more whoever did not say whether it helped, where the site turns that on; how many texts.

        Nobody waits for it, so it keeps the hours of notices.
        """
        if not self._config.cases.rating_reminder or not self._by_day() or not await self._store.read(self._unreminded):
            return 0
        return await self._store.write(self._remind)

    def _by_day(self) -> bool:
        hours = self._config.hours.get("notice")
        return hours is None or Hours(hours.open, hours.close).is_open(self._clock.now(), self._config.site.zone)

    def _unreminded(self, db: Connection) -> Sequence[Any]:
        now = self._clock.now()
        before = now - timedelta(days=self._config.cases.rating_reminder_days)
        return prompts.unreminded(db, (Asked.SOLVED, Asked.RATING), before, now, REMINDED_AT_ONCE)

    def _remind(self, db: Connection) -> int:
        now, sent = self._clock.now(), 0
        for prompt in self._unreminded(db):
            row = rows.get(db, prompt.case_id)
            name = "rating" if prompt.kind == Asked.RATING else "case-reminder"
            message_id = self.book.tell_if_possible(db, row, name)
            prompts.reminded(db, prompt, now)
            self.book.note(db, row, Happened.REMINDED, SYSTEM, now, message_id=message_id)
            sent += message_id is not None
        return sent
