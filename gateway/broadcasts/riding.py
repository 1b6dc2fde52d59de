"""The hall's own phones, one of each operator, that ride along in mass notices: what arrives there has arrived.

Policy
- From `dispatch.test_phones_from` texts on, and for shared words only: nobody's own text goes to another phone.
- A ride is a single text beside the broadcast, with its words, times and priority: counts, costs, lists and shares of
  the broadcast do not have it, and its cost is told apart.
- Whether it came is what a person says who has the phone in hand; no receipt counts for that.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateway import phone as phones
from gateway.config import Config
from gateway.errors import NotFound, Refused
from gateway.model import Priority, Role
from gateway.officials import Official
from gateway.outbox import Outbox
from gateway.store import Connection, Store, audit, riding
from gateway.store import broadcasts as rows
from gateway.worktime import Clock


def ride(db: Connection, config: Config, outbox: Outbox, row: Any, now: datetime) -> int:
    """Queue the broadcast's words to our own phones; answers how many."""
    if row.texts < config.dispatch.test_phones_from or not config.test_phones:
        return 0
    shared = rows.texts_by_body(db, row.id, 1)
    if not shared:
        return 0
    body = shared[0][2].replace(f"【{config.site.signature}】", "", 1)
    taken = []
    for one in config.test_phones:
        number = phones.parse(one.number).e164
        path = outbox.path(number, None) if number else None
        if number is None or path is None:
            continue
        message = outbox.single(
            db,
            number,
            body,
            now,
            hours=row.hours,
            priority=Priority(row.priority),
            expires_at=row.expires_at,
            not_before=row.not_before,
        )
        written = outbox.write(body, path.carrier)
        taken.append((row.id, number, message, written.billed, written.cost, now))
    riding.add(db, taken)
    return len(taken)


class Riders:
    """What people say of the hall's own phones."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def answer(self, broadcast_id: int, number: str, got: bool, *, by: Official) -> None:
        """The phone has the text, or has not; NotFound where it did not ride along, Refused for no number."""
        by.needs(Role.AUTHOR, Role.APPROVER, Role.CLERK, Role.DIRECTOR, Role.ADMIN)
        e164 = phones.parse(number).e164
        if e164 is None:
            raise Refused(f"{number} 不是手机号码", f"{number} is no number")
        await self._store.write(self._answer, broadcast_id, e164, got, by)

    def _answer(self, db: Connection, broadcast_id: int, number: str, got: bool, by: Official) -> None:
        now = self._clock.now()
        if not riding.answer(db, broadcast_id, number, got, by.login, now):
            raise NotFound("这次群发没有发给这个测试手机", "this phone did not ride along in that broadcast")
        what = {"phone": phones.mask(number), "got": got}
        audit.append(db, now, by.login, "test-phone", f"broadcast {broadcast_id}", what)
