"""What is made of texts: the first of `STEPS` that knows what to do decides. All in one transaction.

The order is the law of texts that come in: opting out before everything; an answer to an open question; a service word
or an item's name as the whole text; a case number of this number's own; danger beside open cases; the digits behind our
number that it was sent to, where an account gives them to windows; the only open case; several of them; a case that was
just finished; a sentence that asks for what a service word gives; texts that open nothing; and else a new case, tagged
with the broadcast it may answer. What we send comes from one constant number per account all the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

from gateway import words
from gateway.answers import Answers
from gateway.cases import UNCLEAR, Cases
from gateway.config import Config
from gateway.inbox.asking import HOLDING, PAPERS_HERE, Asking, digit, rating, solved
from gateway.inbox.consenting import Consenting, last_notice
from gateway.inbox.guards import Guards
from gateway.inbox.reading import Reader, Reading
from gateway.model import Asked, CaseState
from gateway.store import Connection, inbound, prompts
from gateway.triage import CASE_INTENTS, FRONT_DESK, SERVICE_WORDS, Understanding
from gateway.words import Intent, Topic

NUMBERS_AT_MOST = 10
"""So many runs of digits of one text are looked up as case numbers."""
FROM_DATA = frozenset({Intent.GUIDE, Intent.SUBSIDY, Intent.WEATHER, Intent.JOBS, Intent.SIGNUP, Intent.STATUS})
DANGER_LASTS = timedelta(hours=2)
"""What somebody writes so soon after whoever is on duty was called is about that."""
FORM = "form"
"""The source of what was typed into a web page."""
_SIGNUP = re.compile(r"(?:我?要?|[给替帮]\w{1,6}|取消|退)(?:报名\w{0,12}|报\d)|不报了")


class Decision(NamedTuple):
    """What was made of texts that were read as one."""

    intent: Intent
    case_id: int | None = None
    message_id: int | None = None


class Deciding:
    """The steps, with what they need."""

    def __init__(
        self, config: Config, cases: Cases, answers: Answers, reader: Reader, topics: Sequence[Topic], guards: Guards
    ) -> None:
        self._config, self._cases, self._answers, self._guards = config, cases, answers, guards
        self._reader = reader
        self._asking = Asking(cases)
        self._consenting = Consenting(topics, cases.book.say, config.hall.about.phone)
        self._dialling = {
            f"{account.service_code}{digits}": window
            for account in config.carriers.values()
            for digits, window in account.extensions.items()
        }
        self._names = frozenset(
            words.normalise(name)
            for window in config.hall.windows
            for item in window.items
            for name in (item.name, *item.aliases)
        )

    def decide(self, db: Connection, reading: Reading) -> Decision:
        """What is made of them; the texts are not marked yet."""
        steps: Sequence[Callable[[Connection, Reading], Decision | None]] = (
            self._consent,
            self._prompt,
            self._service_word,
            self._named_case,
            self._danger,
            self._dialled,
            self._only_open_case,
            self._idle,
            self._several_open,
            self._just_closed,
        )
        return next(filter(None, (step(db, reading) for step in steps)), None) or self.new_matter(db, reading)

    # -- the steps -----------------------------------------------------------------------------------------------

    def _consent(self, db: Connection, reading: Reading) -> Decision | None:
        word = reading.word
        if word is None or word.intent not in (Intent.OPTOUT, Intent.RESUME):
            return None
        if reading.last.source == FORM:  # it proves no number: a person finds out
            return None
        about = self._consenting.change(db, reading, word)
        if about is None or not self._guards.may_answer(db, reading):
            return Decision(word.intent)
        return Decision(word.intent, None, self._consenting.confirm(db, reading, word, about))

    def _prompt(self, db: Connection, reading: Reading) -> Decision | None:
        prompt = prompts.last(db, reading.phone, reading.now)
        if prompt is None:
            return None
        answered = _ANSWERS[Asked(prompt.kind)](self, db, prompt, reading)
        if answered is not None:
            prompts.end(db, prompt.id, "answered", reading.now)
            return answered
        return self._hold(db, reading) if prompt.kind in HOLDING else None

    def _hold(self, db: Connection, reading: Reading) -> Decision | None:
        """What is said while it is open which matter is meant; danger waits for no answer."""
        known = reading.word or reading.idle or reading.whole in SERVICE_WORDS or self._own_number(db, reading)
        if known:
            return None
        if going_on := self._danger(db, reading):
            return going_on
        return self.new_matter(db, reading) if reading.understood.danger else Decision(Intent.HELD)

    def _service_word(self, db: Connection, reading: Reading) -> Decision | None:
        if reading.word and reading.word.intent in (Intent.HELP, Intent.RATING):
            return Decision(reading.word.intent, None, self._menu(db, reading))
        if reading.word and reading.word.intent is Intent.STATUS:
            return self._from_data(db, reading, Understanding(Intent.STATUS))
        if self._signs_up(reading):
            return self._from_data(db, reading, Understanding(Intent.SIGNUP))
        asked = reading.whole in SERVICE_WORDS or reading.whole in self._names
        return self._from_data(db, reading, reading.understood) if asked else None

    def _signs_up(self, reading: Reading) -> bool:
        """Whether a text begins like a sign-up and is one: 报名参军要不要回户籍地 is a question."""
        if not _SIGNUP.fullmatch(reading.whole):
            return False
        return reading.understood.intent not in CASE_INTENTS or self._answers.names_a_course(reading.whole)

    def _named_case(self, db: Connection, reading: Reading) -> Decision | None:
        row = self._own_number(db, reading)
        return self._join(db, reading, row) if row is not None else None

    def _danger(self, db: Connection, reading: Reading) -> Decision | None:
        """Danger is a matter of its own, or goes on about the urgent case that is open; nobody in it is asked which."""
        opened = self._cases.intake.open_of(db, reading.phone)
        urgent = [row for row in opened if row.urgent]
        if reading.understood.danger and opened:
            return self._join(db, reading, urgent[-1]) if urgent else self.new_matter(db, reading)
        since = reading.now - DANGER_LASTS
        paged = [row for row in urgent if self._cases.intake.paged_since(db, row, since)]
        return self._join(db, reading, paged[-1]) if paged else None

    def _dialled(self, db: Connection, reading: Reading) -> Decision | None:
        """The window whose digits it was sent to: its open case of this number, else a new one there."""
        window = self._dialling.get(reading.last.to)
        read = reading.understood
        if window is None or reading.idle or read.about is not None or read.confidential:
            return None  # what must not be seen by just any window finds its own way
        there = [row for row in self._cases.intake.open_of(db, reading.phone) if row.window == window]
        if there:
            return self._join(db, reading, there[-1])
        kind = read.intent if read.intent in CASE_INTENTS and read.intent is not Intent.UNCLEAR else Intent.CONSULT
        return self._open(db, reading, replace(read, intent=kind, window=window, why=f"发到了{window}的扩展号"))

    def _only_open_case(self, db: Connection, reading: Reading) -> Decision | None:
        opened = self._cases.intake.open_of(db, reading.phone)
        return self._join(db, reading, opened[0]) if len(opened) == 1 else None

    def _idle(self, db: Connection, reading: Reading) -> Decision | None:
        return Decision(reading.idle) if reading.idle else None

    def _several_open(self, db: Connection, reading: Reading) -> Decision | None:
        """Ask which. Where nobody can be asked the front desk finds out: one case for all such texts."""
        opened = self._cases.intake.open_of(db, reading.phone)
        if not opened:
            return None
        if asked := self._ask(db, reading, lambda: self._asking.which(db, reading, opened)):
            return asked
        unplaced = [row for row in opened if row.kind == UNCLEAR]
        return self._join(db, reading, unplaced[-1]) if unplaced else self._unclear(db, reading, "在办的有几件")

    def _just_closed(self, db: Connection, reading: Reading) -> Decision | None:
        since = reading.now - timedelta(days=self._config.cases.same_matter_days)
        closed = self._cases.intake.closed_since(db, reading.phone, since)
        if not closed:
            return None
        one = self._asking.same_matter
        return self._ask(
            db,
            reading,
            lambda: one(db, reading, closed[0]) if len(closed) == 1 else self._asking.which(db, reading, closed),
        )

    def new_matter(self, db: Connection, reading: Reading) -> Decision:
        """A sentence that is answered from data, or a new case; both where it asks for one thing more."""
        answered = self._from_data(db, reading, reading.understood) if not reading.understood.danger else None
        if answered is None:
            return self._open(db, reading, reading.understood)
        more = self._reader.beside(reading)
        return answered if more is None else self._open(db, reading, more)

    # -- answers to questions of ours ------------------------------------------------------------------------------

    def _solved(self, db: Connection, prompt: Any, reading: Reading) -> Decision | None:
        helped = solved(reading.whole)
        if helped is None:
            return None
        row = self._cases.book.by_id(db, prompt.case_id)
        if row.state != CaseState.CLOSED:
            return None
        prompts.end(db, prompt.id, "answered", reading.now)
        message_id = self._cases.intake.solved(db, row, helped, reading.last)
        return Decision(Intent.ANSWER, row.id, message_id)

    def _rated(self, db: Connection, prompt: Any, reading: Reading) -> Decision | None:
        value = rating(reading.whole)
        if value is None:
            return None
        row = self._cases.book.by_id(db, prompt.case_id)
        prompts.end(db, prompt.id, "answered", reading.now)  # before a bad one withdraws what was asked of the case
        return Decision(Intent.RATING, row.id, self._cases.intake.rate(db, row, value, reading.last))

    def _papers(self, db: Connection, prompt: Any, reading: Reading) -> Decision | None:
        row = self._cases.book.by_id(db, prompt.case_id)
        if reading.whole not in PAPERS_HERE or row.waiting_since is None:
            return None
        row = self._cases.intake.papers_told(db, row, reading.texts)
        return Decision(Intent.ANSWER, row.id, self._acknowledge(db, replace(reading, prompted=True), row))

    def _which(self, db: Connection, prompt: Any, reading: Reading) -> Decision | None:
        chosen = self._asking.chosen(db, prompt, reading.whole)
        if chosen is None:
            return None
        prompts.end(db, prompt.id, "answered", reading.now)
        held = replace(self._held(db, reading), prompted=True)
        made = self.new_matter(db, held) if chosen == 0 else self._join(db, held, chosen)
        ids = [text.id for text in held.texts]
        inbound.mark_handled(db, ids, reading.now, made.intent, made.case_id, None)
        return Decision(Intent.ANSWER, made.case_id, made.message_id)

    def _from_menu(self, db: Connection, prompt: Any, reading: Reading) -> Decision | None:
        number = digit(reading.whole)
        if number is None:
            return None
        said = self._answers.chosen(db, prompt, number, reading.last, reading.now)
        if said is None:  # none of them: the menu says what else there is
            return Decision(Intent.HELP, None, self._menu(db, reading))
        return Decision(said.intent, None, said.message_ids[-1])

    def _held(self, db: Connection, reading: Reading) -> Reading:
        """The texts of this number that wait for an answer, read as one."""
        return self._reader.read(inbound.held(db, reading.phone), reading.now)

    # -- what steps do ---------------------------------------------------------------------------------------------

    def _own_number(self, db: Connection, reading: Reading) -> Any:
        for number in words.digit_runs(reading.body)[:NUMBERS_AT_MOST]:
            if row := self._cases.intake.of_number(db, number, reading.phone):
                return row
        return None

    def _from_data(self, db: Connection, reading: Reading, read: Understanding) -> Decision | None:
        if read.intent not in FROM_DATA:
            return None
        if not self._guards.may_serve(db, reading):
            return None if read.intent is Intent.SIGNUP else Decision(read.intent)
        said = self._answers.answer(db, read, replace(reading.last, body=reading.body), reading.now)
        return Decision(said.intent, None, said.message_ids[-1]) if said else None

    def _menu(self, db: Connection, reading: Reading) -> int | None:
        same = (Intent.HELP, Intent.RATING)
        if not self._guards.may_answer(db, reading, lambda answer: answer.intent in same):
            return None
        values = {"电话": self._config.hall.about.phone}
        return self._cases.book.say(db, reading.phone, "menu", values, reading.now)

    def _ask(self, db: Connection, reading: Reading, ask: Callable[[], int | None]) -> Decision | None:
        if not self._guards.may_speak_first(db, reading) or reading.understood.danger:
            return None
        message_id = ask()
        return None if message_id is None else Decision(Intent.HELD, None, message_id)

    def _join(self, db: Connection, reading: Reading, row: Any) -> Decision:
        if _must_be_kept_apart(reading.understood, row):
            return self._open(db, reading, reading.understood)
        asks = reading.idle is None
        row = self._cases.intake.join(db, row, reading.texts, reading.understood, asks=asks)
        intent = reading.intent if reading.intent in CASE_INTENTS or not asks else Intent.CONSULT
        return Decision(intent, row.id, self._acknowledge(db, reading, row) if asks else None)

    def _open(self, db: Connection, reading: Reading, read: Understanding) -> Decision:
        notice = last_notice(db, reading)
        placed = read if read.window else Understanding(Intent.UNCLEAR, FRONT_DESK, why=read.why)
        row = self._cases.intake.open(db, reading.texts, placed, notice.broadcast_id if notice else None)
        return Decision(placed.intent, row.id, self._acknowledge(db, reading, row))

    def _unclear(self, db: Connection, reading: Reading, why: str) -> Decision:
        return self._open(db, reading, Understanding(Intent.UNCLEAR, FRONT_DESK, why=why))

    def _acknowledge(self, db: Connection, reading: Reading, row: Any) -> int | None:
        may_speak = self._guards.may_answer if reading.prompted else self._guards.may_speak_first
        if not may_speak(db, reading, lambda answer: answer.case_id == row.id):
            return None
        danger = reading.understood.danger is not None
        return self._cases.intake.acknowledge(db, row, reading.texts[0], danger=danger)

    # -- when all else fails ---------------------------------------------------------------------------------------

    def unanswered(self, db: Connection, reading: Reading) -> Decision:
        """Held texts whose question found no answer: a case at the front desk, its clock from the first of them."""
        return self._unclear(db, reading, "问了是哪件，没有回答")

    def before_the_front_desk(self, db: Connection, reading: Reading) -> Decision:
        """Texts that nothing could be made of."""
        opened = self._cases.intake.open_of(db, reading.phone)
        unplaced = [row for row in opened if row.kind == UNCLEAR]
        understood = reading.understood
        read = Understanding(
            Intent.ERROR, FRONT_DESK, why="没有读懂", urgent=understood.urgent, danger=understood.danger
        )
        if unplaced:
            row = self._cases.intake.join(db, unplaced[-1], reading.texts, read, asks=True)
        else:
            row = self._cases.intake.open(db, reading.texts, read)
        return Decision(Intent.ERROR, row.id)


def _must_be_kept_apart(read: Understanding, row: Any) -> bool:
    """Whether a text complains about a window of the hall: whoever has the case, or had it, is never to see that."""
    complains = read.intent is Intent.COMPLAINT and bool(read.about)
    return complains and not (row.restricted and row.about == read.about)


_ANSWERS: Mapping[Asked, Callable[[Deciding, Connection, Any, Reading], Decision | None]] = {
    Asked.SOLVED: Deciding._solved,
    Asked.RATING: Deciding._rated,
    Asked.PAPERS: Deciding._papers,
    Asked.WHICH_CASE: Deciding._which,
    Asked.SAME_MATTER: Deciding._which,
    Asked.WHICH_ITEM: Deciding._from_menu,
    Asked.WHICH_COURSE: Deciding._from_menu,
    Asked.WHICH_CATEGORY: Deciding._from_menu,
    Asked.MENU: Deciding._from_menu,
}
