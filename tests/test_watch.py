"""A broadcast that operators refuse for what it says pauses itself, tells who is on duty, and is told why."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select, update

from gateway.broadcasts.watch import Watch
from gateway.codes import Entry
from gateway.duty import Duty
from gateway.errors import Conflict, Refused
from gateway.model import Outcome, ParcelState, ReceiptState
from gateway.reports import Reports
from gateway.store import Store, failing, parcels
from gateway.store.tables import audit, parcel
from gateway.templates import worked_example
from gateway.worktime import ManualClock
from tests.notices import APPROVER, AUTHOR, POLICY, SITE, TEMPLATES, Office, Somebody, mobile


@pytest.fixture
def office(store: Store, clock: ManualClock) -> Office:
    """An account that speaks CMPP, and a limit that a village can reach."""
    simulator = SITE.carriers["simulator"].model_copy(update={"protocol": "cmpp", "service_code": "1069012345"})
    limits = SITE.dispatch.model_copy(update={"pause_after": 4, "pause_among": 6})
    changed = {"carriers": {**SITE.carriers, "simulator": simulator}, "dispatch": limits}
    return Office(store, clock, SITE.model_copy(update=changed))


@pytest.fixture
def watch(office: Office) -> Watch:
    duty = Duty(office.config, office.outbox, TEMPLATES, office.clock)
    return Watch(office.store, office.config, TEMPLATES, duty, office.clock)


async def leaving(office: Office, people: int = 20, template: str = "policy", **more: object) -> int:
    """A broadcast that has gone to so many, and has one text left to send."""
    await office.enrol(*(Somebody(f"村民{n}", mobile(n)) for n in range(people)))
    await office.enrol(Somebody("村民", mobile(9000, 133), "石畔村", area="610899100202"))
    sent = await office.send(template, **more)  # type: ignore[arg-type]
    await office.left([mobile(n) for n in range(people)])
    await unfinished(office)
    return sent


async def unfinished(office: Office) -> None:
    """Of every parcel some texts may still leave."""
    await office.store.write(lambda db: db.execute(update(parcel).values(state=ParcelState.READY, watermark=1)))


async def fail(office: Office, numbers: range, code: str) -> None:
    office.clock.advance(1)
    await office.told([mobile(n) for n in numbers], ReceiptState.UNDELIVERED, error=code)


async def state(office: Office, broadcast_id: int) -> str:
    return (await office.broadcasts.preview(broadcast_id)).state


async def test_enough_failures_of_its_wording_stop_it_and_it_is_held(office: Office, watch: Watch) -> None:
    sent = await leaving(office)
    await fail(office, range(3), "DB:0309")
    assert await watch.run_due() == 0
    await fail(office, range(3, 4), "GB:0004")
    assert await watch.run_due() == 1
    assert await state(office, sent) == "stopped"
    assert {one.state for one in await office.parcels(sent)} == {"held"}
    assert await watch.run_due() == 0


async def test_failures_of_the_recipients_do_not(office: Office, watch: Watch) -> None:
    sent = await leaving(office)
    await fail(office, range(4), "MK:0001")
    await fail(office, range(4, 8), "MK:0008")
    await fail(office, range(8, 12), "XY:0001")
    assert await watch.run_due() == 0
    assert await state(office, sent) == "approved"


async def test_only_the_last_ones_count(office: Office, watch: Watch) -> None:
    await leaving(office)
    await fail(office, range(3), "DB:0309")
    await fail(office, range(3, 7), "MK:0001")
    await fail(office, range(7, 9), "DB:0309")
    assert await watch.run_due() == 0  # two of the last six
    await fail(office, range(9, 11), "DB:0309")
    assert await watch.run_due() == 1  # four of the last six


async def test_refusals_at_the_submit_count_with_receipts(office: Office, watch: Watch) -> None:
    sent = await leaving(office, people=3)
    await fail(office, range(3), "DB:0309")
    await office.left([mobile(9000, 133)], Outcome.REJECTED, error="7")
    await unfinished(office)
    assert await watch.run_due() == 1
    found = await watch.paused(sent)
    assert found is not None
    assert (found.answers, found.among) == (4, 4)
    told = [(one.account, one.stage, one.code, one.texts, one.kind) for one in found.codes]
    assert told == [("simulator", "receipt", "DB:0309", 3, "content"), ("simulator", "submit", "7", 1, "account")]


async def test_who_is_on_duty_and_the_director_are_told_once_each(office: Office, watch: Watch) -> None:
    sent = await leaving(office)
    await fail(office, range(5), "DB:0309")
    await watch.run_due()
    told = await office.texts(0)
    assert told
    bodies = {body for texts in told.values() for body in texts}
    assert bodies == {f"【枣原镇】群发{sent}已自动停下：最近有5条因内容问题被运营商退回，请查看并处理。"}
    assert all(len(texts) == 1 for texts in told.values())
    assert (await office.audited())[-1] == "pause"


async def test_what_failed_before_it_was_resumed_does_not_stop_it_again(office: Office, watch: Watch) -> None:
    sent = await leaving(office)
    await fail(office, range(5), "DB:0309")
    await watch.run_due()
    office.clock.advance(60)
    await office.broadcasts.resume(sent, by=APPROVER)
    assert await watch.paused(sent) is None
    assert await watch.run_due() == 0
    await fail(office, range(5, 9), "DB:0309")
    assert await watch.run_due() == 1


async def test_an_emergency_goes_on_and_the_alarm_is_raised_once(office: Office, watch: Watch) -> None:
    fields = dict.fromkeys(TEMPLATES["emergency"].fields, "x")
    sent = await leaving(office, template="emergency", fields=fields)
    await fail(office, range(5), "DB:0309")
    assert await watch.run_due() == 1
    assert await state(office, sent) == "approved"
    assert "还在发" in next(iter((await office.texts(0)).values()))[0]
    office.clock.advance(5)
    assert await watch.run_due() == 0


async def test_worded_anew_it_goes_to_those_whom_the_first_may_not_have_reached(office: Office, watch: Watch) -> None:
    sent = await leaving(office)
    with pytest.raises(Refused, match="stopped first"):
        await office.compose(instead_of=sent)
    await fail(office, range(5), "DB:0309")
    await office.told([mobile(5)])
    await watch.run_due()
    again = await office.compose(fields={**POLICY, "事项": "危房改造"}, instead_of=sent)
    left = await office.left_out(again.id)
    assert left == {f"村民{n}": "got_before" for n in range(5, 20)}
    assert set(await office.texts(again.id)) == {*(mobile(n) for n in range(5)), mobile(9000, 133)}
    with pytest.raises(Refused, match="cancelled first"):
        await office.broadcasts.approve(again.id, by=APPROVER, digest=again.digest or "")
    await office.broadcasts.cancel(sent, by=APPROVER)
    await office.broadcasts.approve(again.id, by=APPROVER, digest=again.digest or "")
    reports = Reports(office.store, office.config, TEMPLATES, office.outbox, office.clock)
    assert {row.name for row in (await reports.left_behind(again.id)).rows} == {*(f"村民{n}" for n in range(5)), "村民"}


async def test_nothing_is_worded_anew_while_texts_of_the_first_are_on_their_way(office: Office) -> None:
    sent = await leaving(office)
    await office.broadcasts.stop(sent, by=APPROVER)
    await office.store.write(lambda db: db.execute(update(parcel).values(holder_epoch=1)))
    with pytest.raises(Conflict, match="on their way"):
        await office.compose(instead_of=sent)


async def test_what_a_person_stopped_is_not_called_paused(office: Office, watch: Watch) -> None:
    sent = await leaving(office)
    await office.broadcasts.stop(sent, by=APPROVER)
    assert await watch.paused(sent) is None
    with pytest.raises(Conflict):
        await watch.to_manager(sent)


async def test_the_account_manager_gets_account_time_codes_and_texts_but_no_number(
    office: Office, watch: Watch
) -> None:
    sent = await leaving(office)
    await fail(office, range(5), "DB:0309")
    await watch.run_due()
    (message,) = await watch.to_manager(sent)
    for part in (
        "枣原镇便民服务大厅",
        "账号 simulator",
        "1069012345",
        "2026年03月02日 12:00",
        "DB:0309，5 条：内容有关键词",
    ):
        assert part in message
    assert POLICY["事项"] in message
    assert "13800" not in message


async def test_a_personal_text_is_shown_by_the_templates_example(office: Office, watch: Watch) -> None:
    fields = {name: field.example for name, field in TEMPLATES["conscription-physical"].fields.items()}
    sent = await leaving(office, template="conscription-physical", fields=fields)
    await fail(office, range(5), "DB:0309")
    await watch.run_due()
    (message,) = await watch.to_manager(sent)
    assert "村民1" not in message
    assert worked_example(TEMPLATES["conscription-physical"]) in message


async def test_an_accounts_own_code_may_be_about_its_content(store: Store, clock: ManualClock, office: Office) -> None:
    own = {"MA:0006": Entry(kind="content", does="pause", zh="审核没过", en="review")}
    account = office.config.carriers["simulator"].model_copy(update={"codes": own})
    config = office.config.model_copy(update={"carriers": {**office.config.carriers, "simulator": account}})
    other = Office(store, clock, config)
    watch = Watch(store, config, TEMPLATES, Duty(config, other.outbox, TEMPLATES, clock), clock)
    await leaving(other)
    await fail(other, range(4), "MA:0006")
    assert await watch.run_due() == 1


async def test_the_reason_is_in_the_audit_trail_without_a_number(office: Office, watch: Watch) -> None:
    await leaving(office)
    await fail(office, range(5), "DB:0309")
    await watch.run_due()
    what = await office.store.read(
        lambda db: db.execute(select(audit.c.what).where(audit.c.verb == "pause")).scalar_one()
    )
    assert what == {"answers": 5, "among": 5, "codes": [["simulator", "receipt", "DB:0309", 5]]}
    assert "138" not in json.dumps(what)


async def test_other_broadcasts_between_its_parcels_do_not_count(office: Office, watch: Watch) -> None:
    first = await leaving(office, people=3)
    second = await office.send()
    await office.left([mobile(n) for n in range(3)], attempt=2)
    await unfinished(office)
    await fail(office, range(3), "DB:0309")
    found = {one: len(await office.store.read(failing.newest, one, 200)) for one in (first, second)}
    assert found == {first: 3, second: 3}
    assert await watch.run_due() == 0


async def test_nothing_is_looked_at_where_nothing_leaves(office: Office, watch: Watch) -> None:
    sent = await leaving(office)
    await fail(office, range(5), "DB:0309")
    await office.broadcasts.cancel(sent, by=AUTHOR)
    assert await office.store.read(failing.leaving) == []
    assert await office.store.read(parcels.waiting) == {}
    assert await watch.run_due() == 0
