"""gateway.broadcasts.preflight: what the accounts say of a broadcast, with figures, before it can be approved."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.broadcasts import Broadcasts, Finding
from gateway.broadcasts.preflight import Objection, unopposed
from gateway.config import Config
from gateway.errors import Refused
from gateway.model import Outcome
from gateway.roster import Roster
from gateway.store import Store
from gateway.worktime import ManualClock
from tests.conftest import NOON
from tests.notices import APPROVER, DIRECTOR, SITE, TEMPLATES, Office, Somebody, mobile
from tests.test_broadcasts import EMERGENCY, some


def site(**bought: Any) -> Config:
    """The sample site with an account of which this was bought."""
    account = SITE.carriers["simulator"].model_copy(update=bought)
    return SITE.model_copy(update={"carriers": {"simulator": account}})


def told(findings: Any) -> list[tuple[bool, str]]:
    return [(one.refuses, one.en.removeprefix("simulator: ")) for one in findings]


async def office_of(store: Store, clock: ManualClock, people: int = 4, **bought: Any) -> Office:
    office = Office(store, clock, site(**bought))
    await office.enrol(*some(people))
    return office


async def found(office: Office, template: str = "policy", **more: Any) -> list[tuple[bool, str]]:
    return told((await office.compose(template, **more)).findings)


async def refused(office: Office, **more: Any) -> str:
    """Why it cannot be approved; and nothing of it was released."""
    preview = await office.compose(**more)
    with pytest.raises(Refused) as caught:
        await office.broadcasts.approve(preview.id, by=APPROVER, digest=preview.digest or "")
    assert (await office.broadcasts.preview(preview.id)).state == "composed"
    return caught.value.en


async def test_an_account_without_limits_has_nothing_to_say(store: Store, clock: ManualClock) -> None:
    office = await office_of(store, clock)
    assert await found(office) == []
    await office.send()


@pytest.mark.parametrize(
    ("state", "word"), [("pending", "not filed yet: all 4 texts"), ("refused", "was refused: all 4")]
)
async def test_a_signature_that_is_not_filed_refuses(store: Store, clock: ManualClock, state: str, word: str) -> None:
    office = await office_of(store, clock, signature_state=state)
    assert word in await refused(office)
    assert "报备" in (await office.compose()).findings[0].zh


async def test_a_filed_one_does_not(store: Store, clock: ManualClock) -> None:
    assert await found(await office_of(store, clock, signature_state="filed")) == []


async def test_what_the_protocol_says_of_a_body_is_asked_once_and_counted(store: Store, clock: ManualClock) -> None:
    office, asked = await office_of(store, clock), list[tuple[str, str]]()
    await office.enrol(Somebody("外出的", mobile(77), away="西安"))

    def objection(account: str, body: str) -> tuple[str, str] | None:
        asked.append((account, body))
        return None if "家里" in body else ("没有登记的模板", "no template is registered for it")

    verbs = of(office, objection)
    preview = await verbs.preview((await office.compose()).id)
    assert told(preview.findings) == [(True, "4 texts would be refused: no template is registered for it")]
    assert len(asked) == 2
    with pytest.raises(Refused, match="no template is registered"):
        await verbs.approve(preview.id, by=APPROVER, digest=preview.digest or "")


def of(office: Office, objection: Objection = unopposed) -> Broadcasts:
    roster = Roster(office.store, office.config, office.clock)
    return Broadcasts(
        office.store, office.config, TEMPLATES, office.outbox, roster, office.clock, lambda: None, objection
    )  # fmt: skip


@pytest.mark.parametrize(("place", "longest"), [("front", 55), ("carrier", 55)])
async def test_texts_beyond_the_longest_are_counted(store: Store, clock: ManualClock, place: str, longest: int) -> None:
    office = await office_of(store, clock, content_limit=50, signature_place=place)
    assert await refused(office) == f"simulator: 4 texts have more than 50 characters, the longest {longest}"


async def test_numbers_outside_the_whitelist_are_counted(store: Store, clock: ManualClock, tmp_path: Path) -> None:
    (tmp_path / "allowed.csv").write_text("手机\n13800130000\n13800130001\n")
    office = await office_of(store, clock, whitelist="allowed.csv")
    office = replace(office, config=office.config.model_copy(update={"directory": tmp_path}))
    assert await refused(office) == "simulator: 2 of 4 numbers are not in allowed.csv"


async def test_a_rate_that_is_too_slow_for_the_time_there_is_refuses(store: Store, clock: ManualClock) -> None:
    office = await office_of(store, clock, rate=0.01)  # 100 s a part
    short = NOON + timedelta(minutes=5)
    assert await refused(office, expires_at=short) == (
        "simulator: 0 parts ahead and 4 of this at 0.01 a second take 7 min; the open hours before it expires are 5 min"
    )
    await office.send(expires_at=NOON + timedelta(minutes=10))
    assert "4 parts ahead and 4 of this" in await refused(office, expires_at=NOON + timedelta(minutes=10))


async def test_only_open_hours_count_as_time(store: Store, clock: ManualClock) -> None:
    office = await office_of(store, clock, rate=0.001, hours=SITE.hours["office"])  # 66 min for four, until 17:30
    office.clock.advance(5 * 3600)  # 17:00 in Beijing
    next_morning = NOON + timedelta(hours=20, minutes=50)  # 08:50
    assert "are 50 min" in await refused(office, expires_at=next_morning)
    assert await found(office, expires_at=NOON + timedelta(hours=22)) == []


async def test_an_operator_that_is_closed_until_it_expires_refuses_all_but_emergencies(
    store: Store, clock: ManualClock
) -> None:
    office = await office_of(store, clock, hours=SITE.hours["office"])
    office.clock.advance(6 * 3600)  # 18:00
    soon = office.clock.now() + timedelta(hours=2)
    assert "takes texts from 08:30-17:30 only" in await refused(office, expires_at=soon)
    assert [one[0] for one in await found(office, "emergency", fields=EMERGENCY, expires_at=soon)] == [False]


async def test_a_days_quota_counts_what_left_what_waits_and_this(store: Store, clock: ManualClock) -> None:
    office = await office_of(store, clock, people=4, quota_per_day=10)
    await office.send()
    await office.left([mobile(n) for n in range(4)])
    await office.send()
    said = "the operator's quota per day, 10 parts, has 6 left; 4 wait and this is 4"
    evening = NOON + timedelta(hours=8)
    assert await refused(office, expires_at=evening) == f"simulator: {said}: it cannot all leave before it expires"
    assert await found(office, expires_at=NOON + timedelta(hours=30)) == [(False, f"{said}: the rest leaves later")]
    assert await found(office, "emergency", fields=EMERGENCY) == [(False, f"{said} (emergencies pass)")]


async def test_two_days_quota_is_not_enough_for_three(store: Store, clock: ManualClock) -> None:
    office = await office_of(store, clock, people=9, quota_per_day=4)
    assert "cannot all leave" in await refused(office, expires_at=NOON + timedelta(hours=30))
    assert [one[0] for one in await found(office, expires_at=NOON + timedelta(hours=60))] == [False]


@pytest.mark.parametrize("name", ["quota_per_month", "monthly_cap"])
async def test_a_months_ceiling_that_is_reached_lets_emergencies_pass_alone(
    store: Store, clock: ManualClock, name: str
) -> None:
    office = await office_of(store, clock, **{name: 5})
    await office.send()
    await office.left([mobile(n) for n in range(4)], Outcome.UNCERTAIN)
    assert "5 parts, has 1 left; 0 wait and this is 4: it cannot all leave" in await refused(office)
    (emergency,) = (await office.compose("emergency", EMERGENCY)).findings
    assert not emergency.refuses and "（紧急的照发）" in emergency.zh
    await office.send("emergency", EMERGENCY)


async def test_a_balance_refuses_when_it_is_not_enough_and_warns_before(store: Store, clock: ManualClock) -> None:
    bought = {"balance": 10, "balance_on": date(2026, 3, 1), "balance_warning": 3}
    office = await office_of(store, clock, **bought)
    await office.send()
    await office.left([mobile(n) for n in range(4)])
    assert await found(office) == [(False, "after this the account has 2 parts left, fewer than 3")]
    await office.send()
    assert "the account's balance, 10 parts, has 6 left; 4 wait and this is 4" in await refused(office)


async def test_a_standing_approval_does_not_pass_what_an_account_objects_to(store: Store, clock: ManualClock) -> None:
    office = await office_of(store, clock)
    preview = await office.compose(schedule="pension-reminder")
    ceilings = {"max_people": 100, "max_cost": preview.cost}
    await office.broadcasts.stand_for("pension-reminder", preview.id, by=DIRECTOR, **ceilings)
    closed = replace(office, config=site(signature_state="pending"))
    assert not await closed.broadcasts.approve_standing(preview.id)
    assert await office.broadcasts.approve_standing(preview.id)


async def test_what_was_approved_is_not_weighed_again(store: Store, clock: ManualClock) -> None:
    office = await office_of(store, clock)
    sent = await office.send()
    closed = replace(office, config=site(signature_state="pending"))
    assert (await closed.broadcasts.preview(sent)).findings == []
    assert isinstance((await closed.compose()).findings[0], Finding)
