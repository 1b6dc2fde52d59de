"""Parcels for tests: queue some, and read back what became of their texts, by the model's rule and by the counters."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from gateway.model import Fact, Outcome, ParcelState, Priority, ReceiptState, TextState, home_parcel, text_state
from gateway.store import Store, counting, parcels
from gateway.store.counting import COUNTED
from gateway.store.parcels import Envelope, Queued
from gateway.store.tables import message, parcel, receipt, submission
from tests.conftest import NOON


def number(n: int) -> str:
    """The n-th of the synthetic mobile numbers, in E.164."""
    block, rest = divmod(n, 10_000)
    return f"+86{(138, 182, 133, 189, 130, 186, 192)[block]}0013{rest:04}"


def envelope(**changes: Any) -> Envelope:
    """A bulk parcel of broadcast 1 for the carrier `main`, ready now, with one body for all."""
    values: dict[str, Any] = {
        "broadcast_id": 1,
        "carrier": "main",
        "route": "all",
        "priority": Priority.BULK,
        "body": "【榆阳】今夜有雨",
        "category": "weather",
        "hours": None,
        "on_uncertain": "leave",
        "consent_seen": 0,
        "state": ParcelState.READY,
        "not_before": None,
        "expires_at": None,
    }
    return Envelope(**values | changes)


def to(count: int, *, first: int = 0, parts: int = 1, body: str | None = None) -> list[Queued]:
    return [Queued(number(n), None, body, parts) for n in range(first, first + count)]


async def queue(store: Store, texts: int | Sequence[Queued], **changes: Any) -> int:
    """One parcel; answers its id."""
    given = to(texts) if isinstance(texts, int) else texts
    return await store.write(parcels.queue, envelope(**changes), given, NOON)


async def queue_many(store: Store, texts: int, **changes: Any) -> list[int]:
    """As many full parcels as it takes."""
    chunks = [to(min(500, texts - at), first=at) for at in range(0, texts, 500)]
    return [await queue(store, chunk, **changes) for chunk in chunks]


def _facts(db: Connection) -> dict[int, list[Fact]]:
    facts: dict[int, list[Fact]] = defaultdict(list)
    for table, kind in ((submission, Outcome), (receipt, ReceiptState)):
        said = table.c.outcome if table is submission else table.c.state
        for key, attempt, part, what in db.execute(select(*list(table.c)[:3], said)):
            facts[key].append(Fact(attempt, part, kind(what)))
    return facts


def _states(db: Connection) -> dict[int, TextState]:
    facts = _facts(db)
    ends = {key: ParcelState(state) for key, state in db.execute(select(parcel.c.id, parcel.c.state))}
    texts = db.execute(select(message.c.id, message.c.parts))
    return {key: text_state(parts, facts[key], end=ends[home_parcel(key)]) for key, parts in texts}


async def states(store: Store) -> dict[int, TextState]:
    """Every text's state by `model.text_state`."""
    return await store.read(_states)


async def tally(store: Store) -> dict[str, int]:
    """How many texts are in which state, by `model.text_state`."""
    return dict(Counter(state.value for state in (await states(store)).values()))


def _counted(db: Connection) -> dict[str, int]:
    home = select(parcel).where(parcel.c.members.is_(None))
    counted: Counter[str] = Counter()
    for row in db.execute(home):
        values = {state.value: getattr(row, state.value) for state in COUNTED}
        counted.update(values)
        counted["waiting"] += row.n - sum(values.values())
    return {state: n for state, n in counted.items() if n}


async def counted(store: Store) -> dict[str, int]:
    """The same by the parcels' counters, counted anew."""
    while await store.write(counting.recount):
        pass
    return await store.read(_counted)


async def row(store: Store, parcel_id: int) -> Any:
    """One parcel as it stands."""
    return await store.read(lambda db: db.execute(select(parcel).where(parcel.c.id == parcel_id)).one())


async def repeats(store: Store) -> list[Any]:
    """Parcels in which texts are tried again."""
    query = select(parcel).where(parcel.c.members.is_not(None)).order_by(parcel.c.id)
    return await store.read(lambda db: list(db.execute(query).all()))
