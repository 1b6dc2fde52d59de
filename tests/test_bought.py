"""gateway.bought: what is left of what was bought, and when it may leave."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway import bought
from gateway.bought import Used
from gateway.config import Carrier
from gateway.worktime import Hours
from tests.conftest import NOON

ZONE = ZoneInfo("Asia/Shanghai")
BALANCE = {"balance": 1000, "balance_on": date(2026, 2, 10)}


def account(**bought: Any) -> Carrier:
    return Carrier.model_validate({"name": "main", "protocol": "simulator", **bought})


def test_days_and_months_begin_at_midnight_of_the_site() -> None:
    found = bought.beginnings(account(**BALANCE), NOON, ZONE)
    assert found.day == datetime(2026, 3, 1, 16, tzinfo=UTC)
    assert found.month == datetime(2026, 2, 28, 16, tzinfo=UTC)
    assert found.balance == datetime(2026, 2, 9, 16, tzinfo=UTC)
    assert bought.beginnings(account(), NOON, ZONE).balance is None


def test_each_ceiling_says_what_is_left_and_when_it_renews() -> None:
    full = account(quota_per_day=100, quota_per_month=2000, monthly_cap=1500, **BALANCE)
    found = bought.ceilings(full, Used(40, 1600, 990), NOON, ZONE)
    assert [(one.name, one.most, one.left) for one in found] == [
        ("quota_per_day", 100, 60), ("quota_per_month", 2000, 400), ("monthly_cap", 1500, -100), ("balance", 1000, 10)
    ]  # fmt: skip
    tomorrow, april = datetime(2026, 3, 2, 16, tzinfo=UTC), datetime(2026, 3, 31, 16, tzinfo=UTC)
    assert [one.renews_at for one in found] == [tomorrow, april, april, None]


def test_an_account_without_limits_has_nothing_to_count() -> None:
    assert not bought.is_limited(account())
    assert bought.ceilings(account(), Used(), NOON, ZONE) == []
    assert bought.is_limited(account(monthly_cap=1))


@pytest.mark.parametrize("month", [1, 12])
def test_the_month_after_december_is_january(month: int) -> None:
    now = datetime(2026, month, 31, 4, tzinfo=UTC)
    (cap,) = bought.ceilings(account(monthly_cap=1), Used(), now, ZONE)
    assert cap.renews_at is not None and cap.renews_at.astimezone(ZONE).day == 1
    assert cap.renews_at.astimezone(ZONE).month == month % 12 + 1


def stretches(*hours: str, days: float) -> list[tuple[datetime, datetime]]:
    spans = [Hours.parse(one) for one in hours]
    return list(bought.open_spans(NOON, NOON + timedelta(days=days), spans, ZONE))


def test_open_hours_are_those_that_all_allow() -> None:
    hour = timedelta(hours=1)
    assert stretches(days=1) == [(NOON, NOON + 24 * hour)]
    assert stretches("08:00-21:00", "09:00-18:00", days=1) == [
        (NOON, NOON + 6 * hour),
        (NOON + 21 * hour, NOON + 24 * hour),
    ]
    assert stretches("08:00-11:00", "12:30-20:00", days=1) == []
    assert stretches("08:00-21:00", "20:00-09:00", days=1) == [
        (NOON + 8 * hour, NOON + 9 * hour), (NOON + 20 * hour, NOON + 21 * hour)
    ]  # fmt: skip
    assert stretches("00:00-24:00", days=0.5) == [(NOON, NOON + 12 * hour)]
    assert stretches("08:00-21:00", days=-1) == []


def test_a_whitelist_is_every_number_in_its_file(tmp_path: Path) -> None:
    listed = tmp_path / "allowed.csv"
    listed.write_text("姓名,手机\n王,13800130001\n李,+86 182 0013 0002\n座机,0912-0000000\n")
    only = account(whitelist="allowed.csv")
    assert bought.allowed(only, tmp_path) == {"+8613800130001", "+8618200130002"}
    assert bought.allowed(account(), tmp_path) is None
