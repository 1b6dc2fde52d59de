"""The site of a run: the sample town's files, a roster of its own, and two officials who need each other.

It is always about noon there: hours are open, and its clock goes on between the lives of the worker.
"""

from __future__ import annotations

import contextlib
import csv
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.app import Gateway, open_gateway
from gateway.config import Config, StoreSettings
from gateway.model import Role
from gateway.officials import Official
from gateway.site import write_site
from gateway.worktime import ShiftedClock
from tests.kill.plan import CARRIER, Plan, town

NOON = datetime(2026, 7, 1, 4, 0, tzinfo=UTC)
"""Twelve o'clock in Beijing on a Wednesday."""

AUTHOR, APPROVER = "wang", "li"
RETRY_SECONDS = (0.2, 0.4)
HEADINGS = ("姓名", "手机号", "村", "组", "在外务工地")


def ahead_of_noon() -> float:
    """Seconds to add to the machine's clock for it to be noon now."""
    return (NOON - datetime.now(UTC)).total_seconds()


@contextlib.asynccontextmanager
async def opened(plan: Plan, url: str, directory: Path, ahead: float, address: str = "") -> AsyncIterator[Gateway]:
    """The product on this site, over the database at `url`, speaking to the operator at `address`."""
    clock = ShiftedClock(datetime.now(UTC) + timedelta(seconds=ahead))
    async with open_gateway(directory, clock, lambda site: _rehearsing(site, plan, url, address)) as gateway:
        yield gateway


def _rehearsing(site: Config, plan: Plan, url: str, address: str) -> Config:
    account = site.carriers[CARRIER].model_copy(update=plan.account(address))
    retries = site.dispatch.model_copy(update={"retry_seconds": RETRY_SECONDS})
    return site.model_copy(
        update={"carriers": {CARRIER: account}, "dispatch": retries, "store": StoreSettings(url=url)}
    )


async def prepare(plan: Plan, url: str, directory: Path, ahead: float) -> None:
    """Write the site and bring its people in, before any killing."""
    write_site(directory)
    roster = directory / "subscribers" / "kill-town.csv"
    write_roster(plan, roster)
    async with opened(plan, url, directory, ahead) as gateway:
        author = await _add_officials(gateway)
        report = await gateway.roster.import_file(roster, by=author)
        assert report.importable == report.rows == sum(1 for _ in town(plan)), report
        for one in town(plan):
            if one.opted_out:
                await gateway.roster.set_consent(one.phone, None, "out", by=author, source="counter", wording="退订")


def write_roster(plan: Plan, path: Path) -> None:
    """The town as a village clerk would hand it in."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(HEADINGS)
        rows.writerows((one.name, one.phone, one.village, "1组", "北京" if one.away else "") for one in town(plan))


async def _add_officials(gateway: Gateway) -> Official:
    area, add = gateway.config.site.area, gateway.officials.add
    await add(APPROVER, "李主任", "killed-password-2", [Role.APPROVER], area, by="test")
    return await add(AUTHOR, "王干事", "killed-password-1", [Role.AUTHOR, Role.CLERK], area, by="test")
