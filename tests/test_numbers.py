"""Numbers that operators call dead or blocked: two days, disputed words, confirming, clusters, what is held back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace

import pytest
from sqlalchemy import Connection, func, select

from gateway.broadcasts.screening import CLUSTER, Screening
from gateway.duty import Duty
from gateway.errors import Refused
from gateway.inbox import mind_number
from gateway.model import Outcome, Role
from gateway.officials import Official
from gateway.roster import NumberState, Roster
from gateway.store import Store, bulk, consent, numbers, parcels, receipts
from gateway.store.numbers import Signs
from gateway.store.receipts import Told
from gateway.store.tables import message, number_sign, submission
from gateway.worktime import ManualClock
from tests.desk import MOTHER, Hall, triage
from tests.notices import CLERK, DIRECTOR, SITE, TEMPLATES, Office, Somebody, mobile

DAY = 24 * 3600
PERSONAL = {name: field.example for name, field in TEMPLATES["conscription-physical"].fields.items()}
LI, WANG = Somebody("李秀英", mobile(1)), Somebody("王建国", mobile(2))


@pytest.fixture
def office(store: Store, clock: ManualClock) -> Office:
    simulator = SITE.carriers["simulator"].model_copy(update={"protocol": "cmpp"})
    return Office(store, clock, SITE.model_copy(update={"carriers": {**SITE.carriers, "simulator": simulator}}))


def roster(office: Office) -> Roster:
    return Roster(office.store, office.config, office.clock)


async def failed(office: Office, code: str, *phones: str, arrived: Sequence[str] = ()) -> None:
    """A notice to everybody, of which the operator says this to these numbers, and that it reached those."""
    await office.send()
    keys = await office.store.read(_newest, [*phones, *arrived])
    now = office.clock.now()
    left = [(key, 1, 1, "accepted", "simulator", f"{key}", None, now) for key in keys.values()]
    await office.store.write(bulk.insert, submission, parcels.SUBMISSION_COLUMNS, left)
    told = [Told(f"{keys[one]}", one, "undelivered", code, now) for one in phones]
    told += [Told(f"{keys[one]}", one, "delivered", None, now) for one in arrived]
    signs = Signs(partial(office.config.says_of_number, "simulator"), office.config.site.zone)
    await office.store.write(receipts.store, "simulator", told, [None] * len(told), now, "every", None, signs)


def _newest(db: Connection, phones: list[str]) -> dict[str, int]:
    query = select(message.c.phone, func.max(message.c.id)).where(message.c.phone.in_(phones)).group_by(message.c.phone)
    return {row[0]: row[1] for row in db.execute(query)}


async def state(office: Office, number: str = mobile(1)) -> NumberState:
    found = await roster(office).number(number)
    assert found is not None
    return found


async def dead(office: Office) -> set[str]:
    return await office.store.read(numbers.dead)


async def dead_on_two_days(office: Office, code: str = "MK:0001") -> None:
    await office.enrol(LI, WANG)
    await failed(office, code, mobile(1))
    office.clock.advance(DAY)
    await failed(office, code, mobile(1))


async def test_dead_on_two_days_is_dead(office: Office) -> None:
    await office.enrol(LI, WANG)
    await failed(office, "MK:0001", mobile(1))
    assert await dead(office) == set()
    await failed(office, "MK:0001", mobile(1))
    assert await dead(office) == set()  # the same day
    office.clock.advance(DAY)
    await failed(office, "DB:0100", mobile(1))
    assert await dead(office) == {mobile(1)}
    assert [one.code for one in (await state(office)).signs] == ["MK:0001", "DB:0100"]


@pytest.mark.parametrize("code", ["UNDELIV", "MK:0008", "MK:0005", "XY:0001", "EXPIRED", "MN:0001", "DB:0318"])
async def test_other_words_never_make_a_number_dead(office: Office, code: str) -> None:
    await dead_on_two_days(office, code)
    assert await dead(office) == set()


async def test_a_disputed_word_needs_an_undisputed_one(office: Office) -> None:
    await dead_on_two_days(office, "MK:0012")
    assert await dead(office) == set()
    office.clock.advance(DAY)
    await failed(office, "MK:0001", mobile(1))
    assert await dead(office) == {mobile(1)}


async def test_personal_texts_stop_and_notices_do_not(office: Office) -> None:
    await dead_on_two_days(office)
    personal = await office.compose("conscription-physical", PERSONAL)
    assert (personal.texts, await office.left_out(personal.id)) == (1, {"李秀英": "dead"})
    assert (await office.compose()).texts == 2


async def test_one_text_to_one_person_is_refused(office: Office) -> None:
    await dead_on_two_days(office)
    single = TEMPLATES["conscription-physical"].model_copy(update={"single": True})
    broadcasts = office.broadcasts
    broadcasts._templates = {**TEMPLATES, "conscription-physical": single}
    with pytest.raises(Refused, match="roster confirm"):
        await broadcasts.send("conscription-physical", mobile(1), PERSONAL, by=CLERK)
    assert await broadcasts.send("conscription-physical", mobile(2), PERSONAL, by=CLERK)


async def test_confirmed_it_gets_them_again_until_it_dies_anew(office: Office) -> None:
    await dead_on_two_days(office)
    office.clock.advance(60)
    await roster(office).confirm(mobile(1), by=CLERK, how="来电")
    found = await state(office)
    assert (found.dead, found.signs, found.confirmed_by, found.confirmed_how) == (False, [], "he", "来电")
    assert (await office.compose("conscription-physical", PERSONAL)).texts == 2
    office.clock.advance(DAY)
    await failed(office, "MK:0001", mobile(1))
    assert not (await state(office)).dead
    office.clock.advance(DAY)
    await failed(office, "MK:0001", mobile(1))
    assert (await state(office)).dead


async def test_who_may_confirm(office: Office) -> None:
    auditor = Official("xu", "徐", frozenset({Role.AUDITOR}), "")
    with pytest.raises(Refused):
        await roster(office).confirm(mobile(1), by=auditor, how="x")
    with pytest.raises(Refused):
        await roster(office).confirm("12", by=DIRECTOR, how="x")
    assert await roster(office).number("李秀英") is None


# -- blocked ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["BLACK", "TUIDING", "DB:0141"])
async def test_an_operators_no_is_in_the_ledger_once_and_nothing_lifts_it(office: Office, code: str) -> None:
    await office.enrol(LI, WANG)
    await failed(office, code, mobile(1))
    await office.store.write(consent.block, mobile(1), code, by="simulator", at=office.clock.now())
    (word,) = await office.store.read(consent.history, mobile(1))
    assert (word.category, word.state, word.source, word.wording) == (None, "out", "operator_block", code)
    await roster(office).set_consent(mobile(1), None, "in", by=CLERK, source="counter", wording="要收")
    assert not await office.store.read(consent.wants, mobile(1), "policy")
    assert await office.store.read(consent.opted_out, "policy") == {mobile(1)}
    assert (await state(office)).blocked
    assert await office.left_out((await office.compose()).id) == {"李秀英": "opted_out"}


@pytest.mark.parametrize("code", ["MM:0064", "DB:0117", "MK:0001"])
async def test_other_codes_write_nothing_into_the_ledger(office: Office, code: str) -> None:
    await office.enrol(LI)
    await failed(office, code, mobile(1))
    assert await office.store.read(consent.history, mobile(1)) == []


# -- clusters --------------------------------------------------------------------------------------------------


def screening(office: Office) -> Screening:
    duty = Duty(office.config, office.outbox, TEMPLATES, office.clock)
    return Screening(office.store, office.config, duty, office.clock)


def town(people: int) -> list[Somebody]:
    return [Somebody(f"村民{n}", mobile(n)) for n in range(people)]


async def test_a_sudden_cluster_suppresses_nobody_and_is_told_once(office: Office) -> None:
    await office.enrol(*town(CLUSTER + 5))
    everybody = [mobile(n) for n in range(CLUSTER)]
    for _ in range(2):
        await failed(office, "MK:0001", *everybody)
        assert await screening(office).run_due() == CLUSTER
        office.clock.advance(DAY)
    assert await dead(office) == set()
    assert (await state(office)).signs[0].void
    said = [body for bodies in (await office.texts(0)).values() for body in bodies]
    assert f"移动把{CLUSTER}个号码报成空号" in said[0]
    assert (await office.audited()).count("screened") == 2  # a day apart


async def test_while_a_cluster_is_known_what_follows_is_void_and_told_no_more(office: Office) -> None:
    await office.enrol(*town(CLUSTER + 5))
    await failed(office, "MK:0001", *(mobile(n) for n in range(CLUSTER)))
    await screening(office).run_due()
    told = len(await office.texts(0))
    office.clock.advance(600)
    await failed(office, "MK:0001", mobile(CLUSTER))
    assert await screening(office).run_due() == 1
    assert len(await office.texts(0)) == told
    assert (await office.audited()).count("screened") == 1


async def test_a_few_of_a_large_notice_are_no_cluster(office: Office) -> None:
    people = 5 * CLUSTER
    await office.enrol(*town(people))
    few = [mobile(n) for n in range(0, people, 5)]
    rest = [mobile(n) for n in range(people) if n % 5]
    for _ in range(2):
        await failed(office, "MK:0001", *few, arrived=rest)
        assert await screening(office).run_due() == 0
        office.clock.advance(DAY)
    assert await dead(office) == set(few)


async def test_fewer_than_a_cluster_count(office: Office) -> None:
    await office.enrol(*town(CLUSTER))
    few = [mobile(n) for n in range(CLUSTER - 1)]
    await failed(office, "MK:0001", *few)
    assert await screening(office).run_due() == 0
    office.clock.advance(DAY)
    await failed(office, "MK:0001", *few)
    assert await screening(office).run_due() == 0
    assert await dead(office) == set(few)


@pytest.mark.parametrize(("code", "signs"), [("29", 1), ("6", 0), ("1", 0)])
async def test_a_refusal_at_the_submit_counts_as_well(store: Store, clock: ManualClock, code: str, signs: int) -> None:
    simulator = SITE.carriers["simulator"].model_copy(update={"protocol": "sgip"})
    office = Office(store, clock, SITE.model_copy(update={"carriers": {**SITE.carriers, "simulator": simulator}}))
    await office.enrol(LI)
    await office.send()
    await office.left([mobile(1)], Outcome.REJECTED, error=code)
    for _ in range(2):
        await screening(office).run_due()
    assert len((await state(office)).signs) == signs
    office.clock.advance(DAY)
    await screening(office).run_due()
    assert len((await state(office)).signs) == signs


# -- what a text says ---------------------------------------------------------------------------------------


async def writes(office: Office, body: str) -> None:
    """A text from the number, as the inbox takes it before anything is made of it."""
    now = office.clock.now()
    texts = [SimpleNamespace(body=body, source="simulator")]
    await office.store.write(mind_number, mobile(1), texts, now.date(), now)


async def test_whoever_writes_with_the_rosters_name_is_that_person(office: Office) -> None:
    await dead_on_two_days(office)
    office.clock.advance(60)
    await writes(office, "我的低保啥时候发")
    assert (await state(office)).dead
    await writes(office, "我是李秀英，低保啥时候发")
    found = await state(office)
    assert (found.dead, found.confirmed_by, found.confirmed_how) == (False, "self", "sms")


async def test_a_new_owner_says_so_and_nothing_personal_goes_there(office: Office) -> None:
    await office.enrol(LI)
    await failed(office, "MK:0001", mobile(1))
    await writes(office, "发错了，这号是我新办的")
    found = await state(office)
    assert (found.dead, [one.code for one in found.signs]) == (True, ["new-owner"])
    assert await screening(office).run_due() == 0
    office.clock.advance(60)
    await writes(office, "我是李秀英，这号是我新办的")
    assert not (await state(office)).dead


async def test_the_inbox_minds_it(store: Store, clock: ManualClock) -> None:
    triage()  # made beforehand: it takes longer than an idle transaction may
    hall = Hall(store, clock)
    await hall.hears("这号是新办的")
    assert await store.read(numbers.dead) == {MOTHER}


async def test_forgetting_a_number_forgets_what_was_said_of_it(office: Office) -> None:
    await dead_on_two_days(office)
    await Roster(office.store, office.config, office.clock, b"secret" * 6).forget(mobile(1), by=DIRECTOR)
    count = await office.store.read(lambda db: db.execute(select(func.count()).select_from(number_sign)).scalar_one())
    assert count == 0


async def test_signs_are_swept_with_the_texts_they_are_about(office: Office) -> None:
    await dead_on_two_days(office)
    office.clock.advance((office.config.retention.texts_days - 1) * DAY)
    await roster(office).sweep(by=DIRECTOR)
    assert [one.day.day for one in (await state(office)).signs] == [2, 3]
    office.clock.advance(0.5 * DAY)
    await roster(office).sweep(by=DIRECTOR)
    assert [one.day.day for one in (await state(office)).signs] == [3]
