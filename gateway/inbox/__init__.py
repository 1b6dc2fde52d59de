"""What comes in: receipts and texts are stored first and handled afterwards.

Policy
- When `receive` or `take` returns, everything is on the disk and may be acknowledged; when they raise nothing may be.
- One transaction makes all of a text's consequences (consent, case events, the answer's parcel) and marks it handled.
  A crash leaves it unhandled, never half handled, and whoever comes next goes on. Texts of one number are handled in
  their order, different numbers side by side.
- The first of `_STEPS` that knows what to do decides: service words (opting out before all others), a case number of
  this number's own, the only open case, texts that open nothing, several open cases, and else a new case. Answers to
  open prompts come after the service words, conversations about a closed case before those that open nothing; sender
  extensions are not used: one constant number per signature is the default.
- Nothing is lost: a text that cannot be handled is put before the front desk, and where even that fails it is marked
  `error`. It holds up no other number.
- Automatic answers are few. None to service numbers, to our own, to numbers no text can reach. One acknowledgement per
  case in `acknowledge_once_minutes`; none after three in a row without a word from the hall, counted over a day, so
  that two gateways fall silent and a person who comes back next week does not wait in vain. One confirmation where
  consent changed; one menu in the same span; five answers of whatever kind.
- Writing in never opts anybody back in: only the words for it do.
"""

from __future__ import annotations

import asyncio
import secrets
import traceback
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from gateway import phone as phones
from gateway import words
from gateway.carriers import Receipt, Received
from gateway.cases import UNCLEAR, Cases
from gateway.config import Config
from gateway.store import DATABASE_ERRORS, Connection, Store, consent, inbound, receipts
from gateway.store import cases as case_rows
from gateway.store.inbound import ROW_ERRORS, Answer, Arrived, Waiting
from gateway.templates import Template
from gateway.words import Intent, Topic, Word
from gateway.worktime import Clock

log = structlog.get_logger()

SLICE = 1000
HANDLED_AT_ONCE = 200
SIDE_BY_SIDE = 8
POLL_SECONDS = 1.0
"""Texts that another process stored, the command line among them, wait at most this long."""
BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)

NOTICE_IS_RECENT = timedelta(hours=72)
NOTICE_MAY_WAIT = timedelta(days=30)
"""How long before it left a notice may have been composed."""
IN_A_ROW = 3
IN_A_ROW_SPAN = timedelta(hours=24)
ANSWERS_AT_MOST = 5
SERVICE_INTENTS = frozenset({Intent.OPTOUT, Intent.RESUME, Intent.HELP, Intent.RATING})
NUMBERS_AT_MOST = 10
"""So many runs of digits of one text are looked up as case numbers."""
LONGEST_REF = 255


class Decision(NamedTuple):
    """What was made of a text."""

    intent: Intent
    case_id: int | None = None
    message_id: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One text with what was read in it."""

    text: Waiting
    word: Word | None
    idle: Intent | None
    """`thanks` or `spam`, which open nothing and wake nothing."""
    answerable: bool
    now: datetime

    @property
    def intent(self) -> Intent:
        if self.idle:
            return self.idle
        return self.word.intent if self.word else Intent.CONSULT


class Inbox:
    """Receipts and texts of all accounts. `recent` is shared with the dispatcher; `own` are our sender numbers."""

    def __init__(
        self,
        store: Store,
        config: Config,
        templates: Mapping[str, Template],
        cases: Cases,
        clock: Clock,
        recent: receipts.Recent,
        own: Collection[str] = (),
    ) -> None:
        self._store = store
        self._config = config
        self._cases = cases
        self._clock = clock
        self._recent = recent
        self._own = frozenset(_number(phone) for phone in own)
        self._topics = _topics(templates.values())
        self._once = timedelta(minutes=config.inbound.acknowledge_once_minutes)
        self._wake = asyncio.Event()
        self.repeats = 0
        """Texts that operators delivered again."""

    # -- storing -----------------------------------------------------------------------------------------------

    async def receive(self, account: str, items: Sequence[Receipt | Received]) -> None:
        """Store what a carrier read; returning means it is safe."""
        now = self._clock.now()
        told = [item for item in items if isinstance(item, Receipt)]
        for start in range(0, len(told), SLICE):
            await self._store_receipts(account, told[start : start + SLICE], now)
        texts = [_arrived(item, now) for item in items if isinstance(item, Received)]
        for start in range(0, len(texts), SLICE):
            self.repeats += await self._store.write(inbound.keep, account, texts[start : start + SLICE])
        if texts:
            self._wake.set()

    async def _store_receipts(self, account: str, told: Sequence[Receipt], now: datetime) -> None:
        rows = [receipts.Told(one.ref, one.phone, one.state, one.error, one.at) for one in told]
        known = [self._recent.find(account, one.ref) for one in told]
        await self._store.write(receipts.store, account, rows, known, now)

    async def take(self, source: str, item: Received, digest: str | None = None) -> tuple[int, bool]:
        """Store one text of a caller whose references are unique ("" makes one up); its id and whether it is new.

        The same reference with another `digest` (or another content) is a Conflict.
        """
        arrived = _arrived(item, self._clock.now(), digest, item.ref or secrets.token_hex(16))
        stored = await self._store.write(inbound.keep_one, source, arrived)
        self._wake.set()
        return stored

    async def texts(self, intents: Collection[Intent] = (), limit: int = 100) -> Sequence[Any]:
        """The newest texts, or those of these intents; `thanks`, `spam` and `error` are in no case's list."""
        return await self._store.read(inbound.newest, intents, limit)

    # -- handling ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Handle texts as they come, until cancelled; outlasts a database that is away."""
        failures = 0
        while True:
            self._wake.clear()
            try:
                handled = await self.handle_waiting()
                failures = 0
            except DATABASE_ERRORS as error:
                wait = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)]
                log.warning("inbox.database", error=type(error).__name__, again_in=wait)
                failures += 1
                await self._clock.sleep(wait)
                continue
            if not handled:
                await self._woken_or(POLL_SECONDS)

    async def _woken_or(self, seconds: float) -> None:
        waits = [asyncio.create_task(self._wake.wait()), asyncio.create_task(self._clock.sleep(seconds))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def handle_waiting(self, limit: int = HANDLED_AT_ONCE) -> int:
        """Handle up to `limit` of the oldest texts; how many were. Raises one of DATABASE_ERRORS when it is away."""
        by_number: dict[str, list[Waiting]] = defaultdict(list)
        for text in await self._store.read(inbound.waiting, limit):
            by_number[text.phone].append(text)
        places = asyncio.Semaphore(SIDE_BY_SIDE)
        ends = await asyncio.gather(
            *(self._handle_in_order(texts, places) for texts in by_number.values()), return_exceptions=True
        )
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        return sum(end for end in ends if isinstance(end, int))

    async def _handle_in_order(self, texts: Sequence[Waiting], places: asyncio.Semaphore) -> int:
        async with places:
            handled = 0
            for text in texts:
                if not await self._handle_somehow(text):
                    break
                handled += 1
            return handled

    async def _handle_somehow(self, text: Waiting) -> bool:
        """As it should be, else by the front desk, else marked; False where it stays unhandled and holds its number."""
        for way in (self._decide, self._before_the_front_desk, self._give_up):
            try:
                await self._store.write(self._handle, text, way)
                return True
            except Exception as error:
                if isinstance(error, DATABASE_ERRORS) and not isinstance(error, ROW_ERRORS):
                    raise
                log.error("inbox.text_failed", inbound=text.id, error=type(error).__name__, where=_where(error))
        return False

    def _handle(self, db: Connection, text: Waiting, decide: Callable[[Connection, Waiting], Decision]) -> None:
        inbound.hold_number(db, text.phone)
        if inbound.is_waiting(db, text.id):
            inbound.mark_handled(db, text.id, self._clock.now(), *decide(db, text))

    def _read(self, text: Waiting) -> Reading:
        sender = phones.parse(text.phone)
        own = text.phone in self._own or text.phone == _number(text.to)
        return Reading(
            text,
            words.read(text.body, self._topics, self._config.inbound.optout_words),
            words.opens_nothing(text.body, from_service=sender.reason == "service"),
            sender.reason is None and not own,
            self._clock.now(),
        )

    def _decide(self, db: Connection, text: Waiting) -> Decision:
        reading = self._read(text)
        return next(filter(None, (step(self, db, reading) for step in _STEPS)), Decision(Intent.ERROR))

    def _before_the_front_desk(self, db: Connection, text: Waiting) -> Decision:
        unplaced = [row for row in self._cases.open_of(db, text.phone) if row.kind == UNCLEAR]
        if unplaced:
            row = self._cases.join(db, unplaced[-1], text, asks=True)
        else:
            row = self._cases.open(db, text, None, "没有读懂", None)
        return Decision(Intent.ERROR, row.id)

    def _give_up(self, db: Connection, text: Waiting) -> Decision:
        return Decision(Intent.ERROR)

    # -- the steps ---------------------------------------------------------------------------------------------

    def _service_word(self, db: Connection, reading: Reading) -> Decision | None:
        word = reading.word
        if word is None:
            return None
        if word.intent in (Intent.OPTOUT, Intent.RESUME):
            return self._consent(db, reading, word)
        if word.intent in (Intent.HELP, Intent.RATING):
            return Decision(word.intent, None, self._menu(db, reading))
        return None  # status is answered from data later; until then its text goes to the case

    def _named_case(self, db: Connection, reading: Reading) -> Decision | None:
        for number in words.digit_runs(reading.text.body)[:NUMBERS_AT_MOST]:
            if row := self._cases.of_number(db, number, reading.text.phone):
                return self._join(db, reading, row)
        return None

    def _only_open_case(self, db: Connection, reading: Reading) -> Decision | None:
        opened = self._cases.open_of(db, reading.text.phone)
        return self._join(db, reading, opened[0]) if len(opened) == 1 else None

    def _nothing_to_do(self, db: Connection, reading: Reading) -> Decision | None:
        return Decision(reading.idle) if reading.idle else None

    def _several_open(self, db: Connection, reading: Reading) -> Decision | None:
        """Until the person is asked which, the front desk finds out: one case for all such texts."""
        opened = self._cases.open_of(db, reading.text.phone)
        if not opened:
            return None
        unplaced = [row for row in opened if row.kind == UNCLEAR]
        return self._join(db, reading, unplaced[-1]) if unplaced else self._open(db, reading, None, "在办的有几件")

    def _new_case(self, db: Connection, reading: Reading) -> Decision | None:
        return self._open(db, reading, *self._cases.route(reading.text.body))

    def _join(self, db: Connection, reading: Reading, row: Any) -> Decision:
        row = self._cases.join(db, row, reading.text, asks=reading.idle is None)
        message_id = self._acknowledge(db, reading, row) if reading.idle is None else None
        return Decision(reading.intent, row.id, message_id)

    def _open(self, db: Connection, reading: Reading, window: str | None, why: str) -> Decision:
        notice = self._last_notice(db, reading)
        row = self._cases.open(db, reading.text, window, why, notice.broadcast_id if notice else None)
        intent = reading.intent if window or reading.word else Intent.UNCLEAR
        return Decision(intent, row.id, self._acknowledge(db, reading, row))

    # -- consent -----------------------------------------------------------------------------------------------

    def _consent(self, db: Connection, reading: Reading, word: Word) -> Decision:
        categories = word.categories
        if word.of_last_notice:
            notice = self._last_notice(db, reading)
            known = {topic.category for topic in self._topics}
            categories = (notice.category,) if notice and notice.category in known else None
        changed = self._change_consent(db, reading, word.intent, categories)
        message_id = self._confirm(db, reading, word.intent, categories) if changed else None
        return Decision(word.intent, None, message_id)

    def _change_consent(
        self, db: Connection, reading: Reading, intent: Intent, categories: tuple[str, ...] | None
    ) -> bool:
        """Append what is new to the ledger; whether anything was."""
        state: consent.Word = "out" if intent is Intent.OPTOUT else "in"
        text, changed = reading.text, False
        for category in categories or (None,):
            if _stands(db, text.phone, category, state):
                continue
            consent.append(
                db,
                text.phone,
                category,
                state,
                source=text.source,
                wording=text.body,
                by="self",
                at=reading.now,
            )
            changed = True
        return changed

    def _confirm(
        self, db: Connection, reading: Reading, intent: Intent, categories: tuple[str, ...] | None
    ) -> int | None:
        if not self._may_answer(db, reading):
            return None
        values = {"类别": self._name(categories), "电话": self._config.hall.about.phone}
        return self._cases.say(db, reading.text.phone, str(intent), values, reading.now)

    def _name(self, categories: tuple[str, ...] | None) -> str:
        if categories is None:
            return "全部通知"
        return "、".join(dict.fromkeys(topic.name for topic in self._topics if topic.category in categories))

    def _last_notice(self, db: Connection, reading: Reading) -> inbound.Notice | None:
        since = reading.now - NOTICE_IS_RECENT
        return inbound.last_notice(db, reading.text.phone, since, since - NOTICE_MAY_WAIT)

    # -- automatic answers -------------------------------------------------------------------------------------

    def _menu(self, db: Connection, reading: Reading) -> int | None:
        same = (Intent.HELP, Intent.RATING)
        if not self._may_answer(db, reading, lambda answer: answer.intent in same):
            return None
        return self._cases.say(db, reading.text.phone, "menu", {"电话": self._config.hall.about.phone}, reading.now)

    def _acknowledge(self, db: Connection, reading: Reading, row: Any) -> int | None:
        may = self._may_answer(db, reading, lambda answer: answer.case_id == row.id)
        if not may or self._fell_silent(db, reading):
            return None
        return self._cases.acknowledge(db, row, reading.text)

    def _may_answer(
        self, db: Connection, reading: Reading, same: Callable[[Answer], bool] = lambda answer: False
    ) -> bool:
        """Whether the number may get one more answer now, and none like it (`same`) was given just before."""
        if not reading.answerable:
            return False
        given = inbound.answers_since(db, reading.text.phone, reading.now - self._once, ANSWERS_AT_MOST)
        return len(given) < ANSWERS_AT_MOST and not any(map(same, given))

    def _fell_silent(self, db: Connection, reading: Reading) -> bool:
        """Whether so many acknowledgements went unheard by the hall that the other side may be a machine."""
        since = reading.now - IN_A_ROW_SPAN
        if (said := case_rows.last_said(db, reading.text.phone)) is not None:
            since = max(since, said)
        given = inbound.answers_since(db, reading.text.phone, since, SLICE)
        return sum(answer.intent not in SERVICE_INTENTS for answer in given) >= IN_A_ROW


_STEPS: tuple[Callable[[Inbox, Connection, Reading], Decision | None], ...] = (
    Inbox._service_word,
    # An answer to an open prompt belongs here.
    Inbox._named_case,
    Inbox._only_open_case,
    # "Same matter?", after a case that was just closed, belongs here.
    Inbox._nothing_to_do,
    Inbox._several_open,
    Inbox._new_case,
)


def _arrived(item: Received, now: datetime, digest: str | None = None, ref: str | None = None) -> Arrived:
    """As it is stored: a number in E.164 where it is one, characters that both databases keep, no time to come."""
    phone, body = _number(item.phone), words.storable(item.body)
    return Arrived(
        ref=words.storable(item.ref if ref is None else ref)[:LONGEST_REF],
        phone=phone,
        to=words.storable(item.to),
        body=body,
        digest=digest or inbound.digest(phone, body),
        at=min(item.at, now),
    )


def _where(error: Exception) -> str:
    """The innermost line of ours. The message itself would quote the text, or its number."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "gateway" in Path(frame.filename).parts] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"


def _number(raw: str) -> str:
    return phones.parse(raw).e164 or "".join(words.storable(raw).split())


def _topics(templates: Iterable[Template]) -> tuple[Topic, ...]:
    """What can be opted out of: not the gateway's own texts, nor what goes out whatever people said."""
    notices = [one for one in templates if not one.is_service and not one.ignores_optout({})]
    return tuple(Topic(one.category, one.name_zh, one.title) for one in notices)


def _stands(db: Connection, phone: str, category: str | None, state: consent.Word) -> bool:
    """Whether saying this again would change nothing."""
    said = consent.history(db, phone)
    if category is None:
        return bool(said) and (said[-1].category, said[-1].state) == (None, state)
    about = [row for row in said if row.category in (None, category)]
    return bool(about) and about[-1].state == state
