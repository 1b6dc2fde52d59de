"""A hall with its people for tests of broadcasts and reports: the repository's own site, and texts that meet a fate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select, update

from gateway import config as sites
from gateway import templates as notices
from gateway.broadcasts import Broadcasts, Draft, Preview
from gateway.config import Config
from gateway.model import Outcome, ParcelState, ReceiptState, Role
from gateway.officials import Official
from gateway.outbox import Outbox
from gateway.roster import Roster
from gateway.store import Store, bulk, consent, parcels
from gateway.store.tables import audit, left_out, message, parcel, person, receipt, submission
from gateway.worktime import ManualClock
from tests.conftest import NOON

ROOT = Path(__file__).parent.parent
SITE = sites.load(ROOT)
TEMPLATES = notices.load(ROOT / "templates")
AUTHOR = Official("wang", "王秀兰", frozenset({Role.AUTHOR, Role.APPROVER}), "")
APPROVER = Official("liu", "刘建国", frozenset({Role.APPROVER}), "")
DIRECTOR = Official("ma", "马德福", frozenset({Role.DIRECTOR}), "")
CLERK = Official("he", "贺小军", frozenset({Role.CLERK}), "")

POLICY = {"事项": "农村危房改造开始申报", "要点": "9月30日前向村委会交申请", "窗口": "2号窗口", "电话": "0912-0000200"}
PEOPLE_COLUMNS = (
    *("key", "name", "phone", "taker_phone", "village", "grp", "area", "sex", "birth", "tags", "away_to", "note"),
    *("roster", "seen_import", "updated_at"),
)


def mobile(n: int, block: int = 138) -> str:
    """The n-th synthetic number: 138 is 移动, 133 电信, 130 联通."""
    return f"+86{block}0013{n:04}"


@dataclass(frozen=True)
class Somebody:
    name: str
    phone: str | None = None
    village: str = "枣湾村"
    group: str = "1组"
    taker: str | None = None
    away: str = ""
    area: str = "610899100201"

    def row(self) -> tuple[Any, ...]:
        key = f"{self.phone}|{self.name}|{self.village}"
        where = (self.village, self.group, self.area, "女", None, "", self.away, "", "test", 1, NOON)
        return (key, self.name, self.phone, self.taker, *where)


@dataclass(frozen=True)
class Office:
    """The verbs over one store."""

    store: Store
    clock: ManualClock
    config: Config = SITE

    @property
    def outbox(self) -> Outbox:
        return Outbox(self.config)

    @property
    def broadcasts(self) -> Broadcasts:
        roster = Roster(self.store, self.config, self.clock)
        return Broadcasts(self.store, self.config, TEMPLATES, self.outbox, roster, self.clock, lambda: None)

    async def enrol(self, *people: Somebody) -> None:
        await self.store.write(bulk.insert, person, PEOPLE_COLUMNS, [one.row() for one in people])

    async def compose(self, template: str = "policy", fields: Mapping[str, str] = POLICY, **more: Any) -> Preview:
        """Drafted and composed by AUTHOR."""
        draft = Draft(template=template, fields=fields, **more)
        broadcasts = self.broadcasts
        return await broadcasts.compose(await broadcasts.draft(draft, by=AUTHOR), by=AUTHOR)

    async def send(self, template: str = "policy", fields: Mapping[str, str] = POLICY, **more: Any) -> int:
        """Composed, and approved by somebody else; its id."""
        preview = await self.compose(template, fields, **more)
        await self.broadcasts.approve(preview.id, by=APPROVER, digest=preview.digest or "")
        return preview.id

    async def opt_out(self, phone: str, category: str | None = None) -> None:
        await self.store.write(
            consent.append, phone, category, "out", source="sms", wording="退订", by="system", at=self.clock.now()
        )

    async def texts(self, broadcast_id: int) -> dict[str, list[str]]:
        """Number -> bodies of all texts of a broadcast (0: single ones)."""
        return await self.store.read(_texts, broadcast_id)

    async def left_out(self, broadcast_id: int) -> dict[str, str]:
        """Name -> reason."""
        query = select(left_out.c.name, left_out.c.reason).where(left_out.c.broadcast_id == broadcast_id)
        return await self.store.read(lambda db: {row.name: row.reason for row in db.execute(query)})

    async def parcels(self, broadcast_id: int) -> list[Any]:
        query = select(parcel).where(parcel.c.broadcast_id == broadcast_id).order_by(parcel.c.id)
        return await self.store.read(lambda db: list(db.execute(query).all()))

    async def audited(self) -> list[str]:
        """Verbs in their order."""
        query = select(audit.c.verb).order_by(audit.c.day, audit.c.seq)
        return await self.store.read(lambda db: list(db.execute(query).scalars()))

    async def left(self, phones: Iterable[str], outcome: Outcome = Outcome.ACCEPTED, **more: Any) -> None:
        """The texts to these numbers had their turn."""
        await self.store.write(_left, list(phones), outcome, self.clock.now(), **more)

    async def told(self, phones: Iterable[str], state: ReceiptState = ReceiptState.DELIVERED, **more: Any) -> None:
        """The operator said this of them."""
        await self.store.write(_told, list(phones), state, self.clock.now(), **more)

    async def delivered(self, *phones: str) -> None:
        await self.left(phones)
        await self.told(phones)


def _texts(db: Connection, broadcast_id: int) -> dict[str, list[str]]:
    body = func.coalesce(message.c.body, parcel.c.body)
    home = parcels.home_of(message.c.id)
    query = select(message.c.phone, body).join(parcel, parcel.c.id == home)
    found: dict[str, list[str]] = {}
    for phone, text in db.execute(query.where(parcel.c.broadcast_id == broadcast_id).order_by(message.c.id)):
        found.setdefault(phone, []).append(text)
    return found


def _keys(db: Connection, phones: list[str]) -> list[tuple[int, int]]:
    query = select(message.c.id, message.c.parts).where(message.c.phone.in_(phones)).order_by(message.c.id)
    return [(row.id, row.parts) for row in db.execute(query)]


def _left(
    db: Connection, phones: list[str], outcome: Outcome, at: datetime, *, error: str | None = None, attempt: int = 1
) -> None:
    rows = [
        (key, attempt, part, outcome.value, "simulator", None, error, at)
        for key, parts in _keys(db, phones)
        for part in range(1, parts + 1)
    ]
    bulk.insert(db, submission, parcels.SUBMISSION_COLUMNS, rows)
    homes = {row[0] >> 10 for row in rows}
    db.execute(update(parcel).where(parcel.c.id.in_(homes)).values(state=ParcelState.DONE))
    parcels.mark_stale(db, homes)


def _told(
    db: Connection, phones: list[str], state: ReceiptState, at: datetime, *, error: str | None = None, attempt: int = 1
) -> None:
    rows = [
        (key, attempt, part, state.value, error, "ref", at)
        for key, parts in _keys(db, phones)
        for part in range(1, parts + 1)
    ]
    bulk.insert(db, receipt, ("message_id", "attempt", "part", "state", "error", "matched", "at"), rows)
    parcels.mark_stale(db, {row[0] >> 10 for row in rows})
