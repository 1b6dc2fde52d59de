"""The sample town's hall with everything that answers texts, over a given database; what tests of it say and see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from gateway import config, templates
from gateway.answers import Answers
from gateway.carriers import Received
from gateway.cases import Cases
from gateway.duty import Duty
from gateway.inbox import Inbox, topics_of
from gateway.model import Outcome, ParcelState, Priority, Role, message_id
from gateway.officials import Official
from gateway.outbox import Outbox
from gateway.store import Store, parcels
from gateway.store.parcels import Envelope, Queued
from gateway.store.receipts import Recent
from gateway.store.tables import case, case_event, consent, inbound, message, submission
from gateway.triage import Triage
from gateway.worktime import ManualClock

MOTHER, SON, NEIGHBOUR = "+8613800130001", "+8618200130002", "+8613300130003"
ACCOUNT = "simulator"
CLERK = Official("li", "李娟", frozenset({Role.CLERK}), "610899100")
SITE = Path(__file__).parents[1]


@cache
def site() -> tuple[config.Config, Any]:
    return config.load(SITE), templates.load(SITE / "templates")


@cache
def triage() -> Triage:
    """What the sample town's texts are read with; trained once for all tests."""
    config, texts = site()
    return Triage.of(config, topics_of(texts.values()))


class Hall:
    """The gateway as texts and clerks meet it."""

    def __init__(
        self,
        store: Store,
        clock: ManualClock,
        case_settings: Mapping[str, Any] | None = None,
        account: Mapping[str, Any] | None = None,
        **inbound_settings: Any,
    ) -> None:
        loaded, texts = site()
        inbound = loaded.inbound.model_copy(update={"join_seconds": 0} | inbound_settings)
        terms = loaded.cases.model_copy(update=dict(case_settings or {}))
        carriers = {name: one.model_copy(update=dict(account or {})) for name, one in loaded.carriers.items()}
        self.config = loaded.model_copy(update={"inbound": inbound, "cases": terms, "carriers": carriers})
        self.store, self.clock = store, clock
        outbox = Outbox(self.config)
        self.duty = Duty(self.config, outbox, texts, clock)
        self.cases = Cases(store, self.config, texts, outbox, self.duty, clock)
        self.answers = Answers(self.config, self.cases)
        own = ("10690001",)
        self.inbox = Inbox(store, self.config, texts, self.cases, self.answers, triage, clock, Recent(), own=own)
        self._refs = count(1)

    async def hears(self, *texts: str, phone: str = MOTHER, to: str = "", account: str = ACCOUNT) -> None:
        """The texts come in one after another and are handled."""
        for text in texts:
            ref = f"{phone}-{next(self._refs)}"
            await self.inbox.receive(account, [Received(ref, phone, to, text, self.clock.now())])
            await self.settle()

    async def settle(self) -> None:
        while await self.inbox.handle_waiting():
            pass

    async def unheard(self) -> bool:
        return await self.inbox.unheard()

    async def said(self, phone: str = MOTHER) -> list[str]:
        """What we sent to a number, oldest first, without the signature."""
        query = select(message.c.body).where(message.c.phone == phone).order_by(message.c.id)
        bodies = await self.store.read(lambda db: db.execute(query).scalars().all())
        return [str(body).removeprefix("【枣原镇】") for body in bodies]

    async def texts(self) -> list[Any]:
        return list(await self.store.read(lambda db: db.execute(select(inbound).order_by(inbound.c.id)).all()))

    async def intents(self) -> list[str | None]:
        return [row.intent for row in await self.texts()]

    async def all_cases(self) -> list[Any]:
        return list(await self.store.read(lambda db: db.execute(select(case).order_by(case.c.id)).all()))

    async def only_case(self) -> Any:
        (row,) = await self.all_cases()
        return row

    async def events(self) -> list[tuple[str, str]]:
        query = select(case_event.c.kind, case_event.c.body).order_by(case_event.c.id)
        return [tuple(row) for row in await self.store.read(lambda db: db.execute(query).all())]

    async def ledger(self) -> list[tuple[str, str | None, str]]:
        query = select(consent.c.phone, consent.c.category, consent.c.state).order_by(consent.c.id)
        return [tuple(row) for row in await self.store.read(lambda db: db.execute(query).all())]

    async def sent_notice(
        self, category: str | None, ago: timedelta, phone: str = MOTHER, broadcast_id: int = 7
    ) -> None:
        """A broadcast's text left for a number some time ago."""
        at = self.clock.now() - ago
        await self.store.write(_notice, category, at, phone, broadcast_id)


def _notice(db: Any, category: str | None, at: datetime, phone: str, broadcast_id: int) -> None:
    envelope = Envelope(
        broadcast_id=broadcast_id,
        carrier=ACCOUNT,
        route="default",
        priority=Priority.NORMAL,
        body="【枣原镇】通知",
        category=category,
        hours=None,
        on_uncertain="leave",
        consent_seen=0,
        state=ParcelState.READY,
        not_before=None,
        expires_at=None,
    )
    parcel_id = parcels.queue(db, envelope, [Queued(phone, None, None, 1)], at)
    left = {"attempt": 1, "part": 1, "outcome": Outcome.ACCEPTED, "carrier": ACCOUNT, "at": at}
    db.execute(insert(submission).values(message_id=message_id(parcel_id, 0), **left))


def received(*texts: str, phone: str = MOTHER, at: datetime, refs: Sequence[str] | None = None) -> list[Received]:
    """One chunk as a carrier hands it over."""
    named = refs or [f"r{n}" for n in range(len(texts))]
    return [Received(ref, phone, "", text, at) for ref, text in zip(named, texts, strict=True)]
