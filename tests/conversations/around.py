"""What happens around a conversation: people on the roster, forecasts, money that was paid."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import insert

from gateway.feeds import weather
from gateway.store import Store, payments, slots
from gateway.store.tables import broadcast, person
from tests.desk import Hall

STATION = "清宁县气象台"


async def enrol(hall: Hall, name: str, phone: str, village: str, area: str) -> None:
    """The roster has somebody with this number."""
    row = {"key": f"{phone}|{name}", "name": name, "phone": phone, "village": village, "grp": "1组", "area": area}
    row |= {"sex": "", "tags": "", "away_to": "", "note": "", "roster": "对话", "seen_import": 1}
    row |= {"updated_at": hall.clock.now()}
    await hall.store.write(lambda db: db.execute(insert(person).values(**row)))


async def forecast(hall: Hall, place: str, area: str, sky: str, low: float, high: float) -> None:
    """The station's forecast of now for an area: today, and tomorrow the same."""
    now = hall.clock.now()
    today = now.astimezone(hall.config.site.zone).date()
    days = tuple(weather.Day(today + timedelta(days=n), sky, low, high, "北风3级") for n in (0, 1))
    made = weather.Forecast(area=area, name=place, source=STATION, issued_at=now, days=days, official=True)
    await hall.store.write(slots.feed_put, "weather", {area: (now, weather.to_json(made))}, now)


async def paid(store: Store, phone: str, name: str, item: str, amount: str, at: datetime) -> None:
    """A payout to somebody was told to them."""
    row = {"template": "subsidy", "category": "subsidy", "title": item, "state": "approved", "priority": 2}
    row |= {"area": "610899100", "audience": {}, "fields": {}, "author": "wang", "on_uncertain": "leave"}
    row |= {"test": False, "people": 1, "texts": 1, "parts": 1, "cost": 0, "note": "", "created_at": at}

    def write(db: Any) -> None:
        key = db.execute(insert(broadcast).values(**row, approved_at=at)).inserted_primary_key[0]
        payments.keep(db, [(key, phone, name, item, Decimal(amount))])

    await store.write(write)
