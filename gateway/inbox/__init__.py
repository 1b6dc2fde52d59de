"""What comes in: receipts and texts are stored first and handled afterwards.

Policy
- When `receive` or `take` returns, everything is on the disk and may be acknowledged; when they raise nothing may be.
- Texts of one number that come within `join_seconds` of the first are read as one. Service words, opt-outs, digits and
  danger do not wait. What waits is what the database says: a restart loses no text and no second of the waiting.
- One transaction makes all consequences (consent, case events, the answer's parcel) and marks the texts handled. A
  crash leaves them unhandled, never half handled, and whoever comes next goes on. Texts of one number are handled in
  their order, different numbers side by side.
- Nothing is lost: texts that cannot be handled are put before the front desk, and where even that fails they are marked
  `error`. They hold up no other number.
- What is decided in which order is said in `deciding`, how often we answer in `guards`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import structlog

from gateway import phone as phones
from gateway import words
from gateway.answers import Answers
from gateway.carriers import Receipt, Received
from gateway.cases import Cases
from gateway.config import Config
from gateway.errors import place
from gateway.inbox.asking import HOLDING
from gateway.inbox.deciding import Deciding, Decision
from gateway.inbox.guards import Guards
from gateway.inbox.reading import Reader, Reading
from gateway.store import DATABASE_ERRORS, Connection, Store, inbound, numbers, parts, people, prompts, receipts
from gateway.store.inbound import ROW_ERRORS, Arrived, Waiting
from gateway.store.numbers import Signs
from gateway.store.parts import Part
from gateway.store.retrying import Retry
from gateway.templates import Template
from gateway.triage import Triage
from gateway.words import Intent, Topic
from gateway.worktime import Clock

log = structlog.get_logger()

SLICE = 1000
AT_ONCE = 200
"""Texts of one number in one transaction, and numbers in one round."""
SIDE_BY_SIDE = 8
POLL_SECONDS = 1.0
"""Texts that another process stored, the command line among them, wait at most this long."""
BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)
LONGEST_REF = 255

Decide = Callable[[Connection, Reading], Decision]
Pick = Callable[[Connection], list[Waiting]]
"""Which texts of a number are to be handled now; asked holding the number."""


class Found(NamedTuple):
    """What may have to be done in a round."""

    fresh: Sequence[Waiting]
    ripe: Sequence[str]
    overdue: Sequence[Any]
    forsaken: Sequence[str]
    late_parts: bool


class Inbox:
    """Receipts and texts of all accounts. `recent` is shared with the dispatcher; `own` are our sender numbers.

    `triage` gives what reads texts; it is asked when the first one comes, for making it takes a second.
    """

    def __init__(
        self,
        store: Store,
        config: Config,
        templates: Mapping[str, Template],
        cases: Cases,
        answers: Answers,
        triage: Callable[[], Triage],
        clock: Clock,
        recent: receipts.Recent,
        own: Collection[str] = (),
    ) -> None:
        self._store, self._config, self._clock, self._recent = store, config, clock, recent
        self.topics = topics_of(templates.values())
        numbers = frozenset(_number(phone) for phone in own)
        self._reader = Reader(triage, self.topics, config.inbound.optout_words, numbers)
        guards = Guards(timedelta(minutes=config.inbound.acknowledge_once_minutes))
        self._deciding = Deciding(config, cases, answers, self._reader, self.topics, guards)
        self._join = timedelta(seconds=config.inbound.join_seconds)
        self._parts = timedelta(seconds=config.inbound.parts_seconds)
        self._seen = 0
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
        texts = [item for item in items if isinstance(item, Received)]
        for start in range(0, len(texts), SLICE):
            self.repeats += await self._store.write(self._keep, account, texts[start : start + SLICE], now)
        if texts:
            self._wake.set()

    async def _store_receipts(self, account: str, told: Sequence[Receipt], now: datetime) -> None:
        rows = [receipts.Told(one.ref, one.phone, one.state, one.error, one.at) for one in told]
        known = [self._recent.find(account, one.ref) for one in told]
        bought = self._config.carriers.get(account)
        rule = bought.receipts if bought else "every"
        retry = Retry(partial(self._config.tries_again, account), self._config.dispatch.receipt_retry)
        signs = Signs(partial(self._config.says_of_number, account), self._config.site.zone)
        await self._store.write(receipts.store, account, rows, known, now, rule, retry, signs)

    def _keep(self, db: Connection, account: str, items: Sequence[Received], now: datetime) -> int:
        """Store texts, and parts of texts with what they complete; the number of repeats."""
        pieces = {at: part for at, item in enumerate(items) if (part := _part(item, now)) is not None}
        whole = [_arrived(item, now) for at, item in enumerate(items) if at not in pieces]
        whole += parts.keep(db, account, list(pieces.values()), now) if pieces else []
        return inbound.keep(db, account, whole) if whole else 0

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

    async def unheard(self) -> bool:
        """Whether a text waits, to be read together with what may follow it."""
        return await self._store.read(inbound.any_unhandled)

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

    async def handle_waiting(self) -> int:
        """Handle what need not wait any longer; how many texts were. Raises one of DATABASE_ERRORS when it is away."""
        found = await self._store.read(self._look, self._clock.now())
        if not any(found):
            return 0
        await self._learn_to_read()
        handled = await self._handle_new(found.fresh)
        handled += await self._side_by_side(self._handle_number(phone) for phone in found.ripe)
        handled += await self._see_to_questions(found)
        return handled + (await self._store.write(self._put_together_what_is_late) if found.late_parts else 0)

    def _look(self, db: Connection, now: datetime) -> Found:
        """All that there may be to do, in one read: mostly there is nothing."""
        return Found(
            inbound.fresh(db, self._seen, SLICE),
            inbound.ripe(db, now - self._join, AT_ONCE),
            prompts.overdue(db, now, AT_ONCE),
            inbound.forsaken(db, HOLDING, AT_ONCE),
            parts.any_overdue(db, now - self._parts),
        )

    async def handle_now(self, phone: str) -> int:
        """Handle all that waits of one number without waiting for more; how many texts were."""
        await self._learn_to_read()
        return await self._handle_number(_number(phone))

    async def _learn_to_read(self) -> None:
        """What reads texts takes a second to make: neither within a transaction nor on the loop."""
        if not self._reader.learned:
            await asyncio.to_thread(self._reader.learn)

    async def _handle_new(self, fresh: Sequence[Waiting]) -> int:
        """What came since the last round and does not wait: service words by themselves, danger with all before it."""
        urgent = dict.fromkeys(text.phone for text in fresh if self._reader.danger(text.body))
        alone = [text for text in fresh if text.phone not in urgent and self._reader.at_once(text)]
        handled = await self._side_by_side(self._handle_number(phone) for phone in urgent)
        for text in alone:  # in their order: one number may have sent several
            handled += await self._handle(text.phone, partial(inbound.if_unhandled, text=text))
        self._seen = max([self._seen, *(text.id for text in fresh)])
        return handled

    async def _side_by_side(self, jobs: Iterable[Any]) -> int:
        places = asyncio.Semaphore(SIDE_BY_SIDE)

        async def placed(job: Any) -> int:
            async with places:
                return int(await job)

        ends = await asyncio.gather(*map(placed, jobs), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        return sum(end for end in ends if isinstance(end, int))

    async def _handle_number(self, phone: str) -> int:
        """All waiting texts of a number, some hundreds in a transaction."""
        return await self._handle(phone, lambda db: inbound.unhandled(db, phone, AT_ONCE))

    async def _handle(self, phone: str, pick: Pick) -> int:
        """As it should be, else by the front desk, else marked; 0 where they stay unhandled."""
        for decide in (self._deciding.decide, self._deciding.before_the_front_desk, _give_up):
            try:
                return await self._store.write(self._transact, phone, pick, decide)
            except Exception as error:
                if isinstance(error, DATABASE_ERRORS) and not isinstance(error, ROW_ERRORS):
                    raise
                log.error("inbox.text_failed", error=type(error).__name__, where=place(error))
        return 0

    def _transact(self, db: Connection, phone: str, pick: Pick, decide: Decide) -> int:
        inbound.hold_number(db, phone)
        texts = pick(db)
        if not texts:
            return 0
        now = self._clock.now()
        mind_number(db, phone, texts, now.astimezone(self._config.site.zone).date(), now)
        made = decide(db, self._reader.read(texts, now))
        inbound.mark_handled(db, [text.id for text in texts], now, *made)
        return len(texts)

    # -- questions and parts whose time is over ------------------------------------------------------------------

    async def _see_to_questions(self, found: Found) -> int:
        """End the questions that found no answer; texts that they held go to the front desk."""
        forsaken = found.forsaken
        for prompt in found.overdue:
            await self._store.write(prompts.end, prompt.id, "expired", self._clock.now())
        if found.overdue:
            forsaken = await self._store.read(inbound.forsaken, HOLDING, AT_ONCE)
        return await self._side_by_side(self._forsaken(phone) for phone in forsaken)

    async def _forsaken(self, phone: str) -> int:
        return await self._store.write(
            self._transact, phone, lambda db: inbound.held(db, phone), self._deciding.unanswered
        )

    def _put_together_what_is_late(self, db: Connection) -> int:
        """Long texts of which a part is missing: what came is kept, with a mark where it is missing."""
        now = self._clock.now()
        found = parts.overdue(db, now - self._parts, AT_ONCE)
        for source, text in found:
            inbound.keep(db, source, [text])
        return len(found)


def mind_number(db: Connection, phone: str, texts: Sequence[Any], day: date, now: datetime) -> None:
    """Whoever writes from a number with the name that the roster has for it is that person; who says that it is newly
    theirs is somebody else, and nothing personal goes there any more.
    """
    new = [text for text in texts if words.says_number_is_new(text.body)]
    if not new and not numbers.is_dead(db, phone):
        return
    names = [one.name for one in people.by_phone(db, phone) if one.name]
    if any(name in text.body for name in names for text in texts):
        numbers.confirm(db, phone, "self", "sms", now)
    elif new:
        numbers.given_out_again(db, phone, new[-1].source, day, now)


def _give_up(db: Connection, reading: Reading) -> Decision:
    return Decision(Intent.ERROR)


def _part(item: Received, now: datetime) -> Part | None:
    """A part of a long text; None for a whole one, and for one whose header makes no sense."""
    if item.concat is None:
        return None
    part = Part(_arrived(item._replace(body=words.with_halves(item.body)), now), *item.concat)
    return part if part.sound else None


def _arrived(item: Received, now: datetime, digest: str | None = None, ref: str | None = None) -> Arrived:
    """As it is stored: a number in E.164 where it is one, characters that both databases keep, no time to come."""
    phone, body = _number(item.phone), words.storable(item.body)
    return Arrived(
        ref=words.storable(item.ref if ref is None else ref)[:LONGEST_REF],
        phone=phone,
        to=_number(item.to),
        body=body,
        digest=digest or inbound.digest(phone, body),
        at=min(item.at, now),
    )


def _number(raw: str) -> str:
    return phones.parse(raw).e164 or "".join(words.storable(raw).split())


def topics_of(templates: Iterable[Template]) -> tuple[Topic, ...]:
    """What can be opted out of: not the gateway's own texts, nor what goes out whatever people said."""
    notices = [one for one in templates if not one.is_service and not one.ignores_optout({})]
    return tuple(Topic(one.category, one.name_zh, one.title) for one in notices)
