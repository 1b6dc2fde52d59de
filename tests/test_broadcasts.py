"""gateway.broadcasts: what was previewed is what is stored is what is sent, to whom, and by whose word."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, update

from gateway import text
from gateway.broadcasts import Broadcasts, Draft, years_before
from gateway.config import Audience
from gateway.errors import Conflict, NotFound, Refused
from gateway.model import BroadcastState, Outcome, ParcelState, Priority
from gateway.officials import SYSTEM
from gateway.reports import explain
from gateway.roster import Roster
from gateway.store import Store, audit, broadcasts, parcels, payments, site_files
from gateway.store.tables import audit as audit_table
from gateway.store.tables import broadcast, message, parcel
from gateway.worktime import ManualClock
from tests.conftest import NOON
from tests.notices import APPROVER, AUTHOR, CLERK, DIRECTOR, POLICY, ROOT, SITE, Office, Somebody, mobile

PAYOUT = ROOT / "subscribers" / "sample-subsidy-2026-grain.csv"
ROSTER = ROOT / "subscribers" / "sample-town.csv"
HOME = "【枣原镇】农村危房改造开始申报：9月30日前向村委会交申请。不清楚的问2号窗口，电话0912-0000200。"
AWAY = "【枣原镇】农村危房改造开始申报：9月30日前向村委会交申请。在外的托家里办，或回短信问2号窗口0912-0000200。"
PAID = {"项目": "2026年种粮补贴", "电话": "0912-0000300"}
EMERGENCY = {
    "地点": "后沟村前沟",
    "险情": "山体滑坡",
    "范围": "沟口1组",
    "行动": "往外撤",
    "去处": "村小学",
    "禁止": "回去取东西",
    "电话": "0912-0000900",
}


@pytest.fixture
def office(store: Store, clock: ManualClock) -> Office:
    return Office(store, clock)


def some(count: int) -> list[Somebody]:
    return [Somebody(f"人{n}", mobile(n)) for n in range(count)]


async def state(office: Office, broadcast_id: int) -> str:
    row = await office.store.read(broadcasts.get, broadcast_id)
    return str(row.state)


async def change(office: Office, broadcast_id: int, **values: Any) -> None:
    await office.store.write(
        lambda db: db.execute(update(broadcast).where(broadcast.c.id == broadcast_id).values(values))
    )


# -- draft -----------------------------------------------------------------------------------------------------


async def test_a_draft_names_all_that_is_missing_and_what_has_no_place(office: Office) -> None:
    with pytest.raises(Refused, match="missing: 要点, 窗口"):
        await office.compose(fields={"事项": "改造", "电话": "1"})
    with pytest.raises(Refused, match="not in the template: 金额"):
        await office.compose(fields={**POLICY, "金额": "1"})
    with pytest.raises(NotFound, match="no template nothing"):
        await office.compose("nothing")
    with pytest.raises(NotFound, match="no template service/menu"):
        await office.compose("service/menu", {"电话": "1"})


async def test_a_draft_keeps_the_whole_file_of_the_template_it_was_made_from(office: Office) -> None:
    row = await office.store.read(broadcasts.get, (await office.compose()).id)
    kept = await office.store.read(site_files.get, row.site_file_id)
    file = ROOT / "templates" / "policy.md"
    assert kept is not None
    assert (kept.name, kept.content) == ("templates/policy.md", file.read_text(encoding="utf-8"))
    assert kept.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


async def test_a_draft_needs_an_author_or_the_gateway_itself(office: Office) -> None:
    draft = Draft(template="policy", fields=POLICY)
    with pytest.raises(Refused, match="lacks the role"):
        await office.broadcasts.draft(draft, by=CLERK)
    made = await office.broadcasts.draft(draft, by=SYSTEM)
    assert await state(office, made) == BroadcastState.DRAFT


async def test_one_key_is_one_broadcast_even_when_two_come_at_once(office: Office) -> None:
    draft = Draft(template="policy", fields=POLICY, key="k1")
    first, second = await asyncio.gather(*(office.broadcasts.draft(draft, by=AUTHOR) for _ in range(2)))
    assert first == second == await office.broadcasts.draft(draft, by=AUTHOR)
    assert await office.broadcasts.draft(replace(draft, key="k2"), by=AUTHOR) != first
    assert await office.audited() == ["draft", "draft"]


# -- compose and preview ---------------------------------------------------------------------------------------


async def test_the_preview_has_exact_people_parts_and_cost(office: Office) -> None:
    await office.enrol(
        Somebody("李秀英", mobile(1)),
        Somebody("王建国", mobile(1)),
        Somebody("高福堂", mobile(2), away="北京"),
        Somebody("白桂兰", None, taker=mobile(3)),
        Somebody("贺生财"),
        Somebody("薛振斌", mobile(4)),
        Somebody("苗文明", mobile(5)),
    )
    await office.opt_out(mobile(4))
    await office.opt_out(mobile(5), "jobs")
    preview = await office.compose()
    assert await office.texts(preview.id) == {
        mobile(1): [HOME],
        mobile(2): [AWAY],
        mobile(3): [HOME],
        mobile(5): [HOME],
    }
    assert (preview.people, preview.texts) == (7, 4)
    assert preview.parts == 3 * text.billed_parts(HOME) + text.billed_parts(AWAY)
    assert preview.cost == preview.parts * SITE.site.price
    assert preview.left_out == {"same_number": 1, "no_number": 1, "opted_out": 1}
    assert await office.left_out(preview.id) == {"王建国": "same_number", "贺生财": "no_number", "薛振斌": "opted_out"}
    assert (preview.state, preview.author, preview.hours) == ("composed", "wang", "08:00-21:00")
    assert preview.samples[0] == ("138****0001", HOME)
    assert {one.state for one in await office.parcels(preview.id)} == {ParcelState.HELD}
    assert await office.audited() == ["draft", "compose", "composed"]


async def test_a_personal_text_goes_once_per_person(office: Office) -> None:
    await office.enrol(
        Somebody("李秀英", mobile(1)), Somebody("王建国", mobile(1)), Somebody("白桂兰", None, taker=mobile(1))
    )
    fields = {**PAID, "金额": "12.00", "账号尾号": "0317"}
    preview = await office.compose("subsidy-payout", fields)
    bodies = (await office.texts(preview.id))[mobile(1)]
    assert [body.partition("：")[0] for body in bodies] == ["【枣原镇】李秀英", "【枣原镇】王建国", "【枣原镇】白桂兰"]
    named = await office.broadcasts.preview(preview.id, names=["王建国"])
    assert [body for _, body in named.samples] == [bodies[1]]


async def test_an_operator_that_no_account_reaches_is_told(store: Store, clock: ManualClock) -> None:
    partly = SITE.carriers["simulator"].model_copy(update={"operators": ("移动", "电信", "广电")})
    office = Office(store, clock, SITE.model_copy(update={"carriers": {"simulator": partly}}))
    await office.enrol(
        Somebody("李秀英", mobile(1)), Somebody("王建国", mobile(1, 130)), Somebody("高福堂", mobile(2, 186))
    )
    preview = await office.compose()
    assert (preview.texts, preview.left_out, preview.unreached) == (1, {"no_route": 2}, {"联通": 2})
    assert (preview.accounts, preview.reaches) == (["simulator"], ["移动", "电信", "广电"])


async def test_a_route_of_other_categories_or_operators_reaches_nobody_here(store: Store, clock: ManualClock) -> None:
    route = SITE.routes[0]
    jobs = route.model_copy(update={"name": "jobs", "categories": ("jobs",)})
    narrow = route.model_copy(update={"name": "narrow", "operators": ("移动",)})
    office = Office(store, clock, SITE.model_copy(update={"routes": (jobs, narrow)}))
    assert (await office.compose()).reaches == ["移动"]
    alone = Office(store, clock, SITE.model_copy(update={"routes": (jobs,)}))
    preview = await alone.compose()
    assert (preview.accounts, preview.reaches) == ([], [])


async def test_people_go_by_the_route_of_their_own_area(store: Store, clock: ManualClock) -> None:
    route = SITE.routes[0].model_copy(update={"areas": ("610899100202",)})
    office = Office(store, clock, SITE.model_copy(update={"routes": (route,)}))
    await office.enrol(Somebody("枣湾的", mobile(1)), Somebody("石畔的", mobile(2), area="610899100202"))
    preview = await office.compose()
    assert (preview.texts, await office.left_out(preview.id)) == (1, {"枣湾的": "no_route"})


async def test_the_preview_shows_each_of_the_first_bodies_and_one_to_who_is_away(office: Office) -> None:
    await office.enrol(*some(20), Somebody("高福堂", mobile(50), away="北京"))
    found = (await office.compose()).samples
    assert [body for _, body in found].count(HOME) == 4
    assert found[-1] == ("138****0050", AWAY)
    await office.enrol(*(Somebody(f"户{n}", mobile(60 + n), village=f"{n}村") for n in range(9)))
    fields = {**PAID, "金额": "12.00", "账号尾号": "0317"}
    assert len((await office.compose("subsidy-payout", fields)).samples) == 5


async def test_the_preview_says_from_when_on_it_may_leave(office: Office) -> None:
    await office.enrol(*some(2))
    now = await office.compose()
    assert (now.leaves_at, now.outside_hours) == (NOON, False)
    at = NOON + timedelta(hours=2)
    assert (await office.compose(not_before=at)).leaves_at == at
    evening = NOON + timedelta(hours=10)  # 22:00 in Beijing, closed until 08:00
    assert (await office.compose(not_before=evening)).leaves_at == NOON + timedelta(hours=20)
    assert (await office.compose(not_before=evening, expires_at=evening + timedelta(hours=1))).leaves_at is None
    office.clock.advance(10 * 3600)
    late = await office.broadcasts.preview(now.id)
    assert (late.leaves_at, late.outside_hours) == (NOON + timedelta(hours=20), True)
    emergency = await office.compose("emergency", EMERGENCY)
    assert (emergency.leaves_at, emergency.outside_hours) == (office.clock.now(), False)


async def test_a_village_that_nobody_knows_is_refused(office: Office) -> None:
    with pytest.raises(Refused, match="no such village: 石判村"):
        await office.compose(audience=Audience(villages=("石畔村", "石判村")))


async def test_areas_with_values_of_their_own_get_them_by_the_longest_prefix(office: Office) -> None:
    await office.enrol(
        Somebody("李秀英", mobile(1), area="610899100201"),
        Somebody("王建国", mobile(2), area="610899100202"),
        Somebody("高福堂", mobile(3), area="610899"),
    )
    own = {"610899100": {"窗口": "镇上"}, "610899100202": {"窗口": "石畔村委会"}}
    preview = await office.compose(fields_by_area=own)
    texts = {number: bodies[0] for number, bodies in (await office.texts(preview.id)).items()}
    assert ["问镇上" in texts[mobile(1)], "问石畔村委会" in texts[mobile(2)], texts[mobile(3)] == HOME] == [True] * 3


async def test_only_the_audience_is_composed(office: Office) -> None:
    await office.enrol(
        Somebody("李秀英", mobile(1)), Somebody("王建国", mobile(2), village="石畔村", area="610899100202")
    )
    by_village = await office.compose(audience=Audience(villages=("石畔村",)))
    by_area = await office.compose(audience=Audience(area="610899100201"))
    nobody = await office.compose(audience=Audience(tags=("党员",)))
    assert [set(await office.texts(p.id)) for p in (by_village, by_area, nobody)] == [{mobile(2)}, {mobile(1)}, set()]


async def test_a_list_file_chooses_among_the_roster(office: Office, tmp_path: Any) -> None:
    await office.enrol(Somebody("李秀英", mobile(1)), Somebody("王建国", mobile(2)))
    (tmp_path / "list.csv").write_text(
        f"姓名,手机号\n王建国,{mobile(2)[3:]}\n陌生人,{mobile(1)[3:]}\n", encoding="utf-8"
    )
    listing = Office(office.store, office.clock, SITE.model_copy(update={"directory": tmp_path}))
    preview = await listing.compose(audience=Audience(list="list.csv"))
    assert set(await office.texts(preview.id)) == {mobile(2)}


async def test_no_row_of_a_list_disappears(office: Office, tmp_path: Any) -> None:
    await office.enrol(Somebody("李秀英", mobile(1)), Somebody("王建国", mobile(2)))
    rows_ = ("手机号", mobile(1)[3:], "1380013", mobile(2)[3:], mobile(9)[3:])
    (tmp_path / "list.csv").write_text("\n".join(rows_), encoding="utf-8")
    listing = Office(office.store, office.clock, SITE.model_copy(update={"directory": tmp_path}))
    preview = await listing.compose(audience=Audience(list="list.csv"))
    assert (preview.texts, preview.left_out) == (2, {"list:too_short": 1, "list:not_among": 1})
    left = await office.store.read(broadcasts.left_out_people, preview.id)
    assert [(one.reason, one.detail) for one in left] == [("list:too_short", "row 3"), ("list:not_among", "row 5")]
    assert [explain(one.reason)[0] for one in left] == [
        "位数太少，手机号码应为11位",
        "名单上有，花名册里没有或不合其他条件",
    ]


async def test_a_column_and_a_sheet_can_be_chosen(office: Office, tmp_path: Any) -> None:
    await office.enrol(Somebody("李秀英", mobile(1)))
    (tmp_path / "list.csv").write_text(f"甲,乙\nx,{mobile(1)[3:]}\n", encoding="utf-8")
    listing = Office(office.store, office.clock, SITE.model_copy(update={"directory": tmp_path}))
    unsure = Draft(template="policy", fields=POLICY, audience=Audience(list="list.csv"))
    with pytest.raises(Refused):
        await listing.broadcasts.draft(unsure, by=AUTHOR)
    assert await listing.broadcasts.list(by=AUTHOR) == []
    made = await listing.broadcasts.draft(replace(unsure, columns={"phone": "乙"}), by=AUTHOR)
    assert (await listing.broadcasts.compose(made, by=AUTHOR)).texts == 1


async def test_a_time_that_is_past_is_refused_at_the_draft(office: Office) -> None:
    late = Draft(template="policy", fields=POLICY, not_before=NOON - timedelta(hours=1))
    with pytest.raises(Refused, match="past"):
        await office.broadcasts.draft(late, by=AUTHOR)


async def test_a_name_that_looks_like_a_placeholder_stays_text(office: Office) -> None:
    await office.enrol(Somebody("{金额}", mobile(1)), Somebody("{{项目}}", mobile(2)))
    preview = await office.compose("subsidy-payout", {**PAID, "金额": "12.00", "账号尾号": "{姓名}"})
    bodies = await office.texts(preview.id)
    assert bodies[mobile(1)][0].startswith("【枣原镇】{金额}：2026年种粮补贴12.00元已打到您尾号{姓名}的账户")
    assert bodies[mobile(2)][0].startswith("【枣原镇】{{项目}}：")


async def test_composing_again_makes_the_same_of_the_same_and_another_digest_of_more(office: Office) -> None:
    await office.enrol(*some(3))
    first = await office.compose()
    same = await office.broadcasts.compose(first.id, by=AUTHOR)
    assert (same.digest, same.texts) == (first.digest, 3)
    await office.enrol(Somebody("王建国", mobile(9)))
    again = await office.broadcasts.compose(first.id, by=AUTHOR)
    assert (again.texts, len(await office.texts(first.id))) == (4, 4)
    with pytest.raises(Conflict, match="changed since the preview"):
        await office.broadcasts.approve(first.id, by=APPROVER, digest=first.digest or "")
    assert await office.broadcasts.approve(first.id, by=APPROVER, digest=again.digest or "") == 1


def dead_process() -> str:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    return f"{os.uname().nodename}:{int(gone.stdout)}"


class Broken(Exception):
    """Ends a run in its middle."""


async def half_composed(office: Office, people: int) -> int:
    def die(seen: int) -> None:
        raise Broken

    await office.enrol(*some(people))
    made = await office.broadcasts.draft(Draft(template="policy", fields=POLICY), by=AUTHOR)
    with pytest.raises(Broken):
        await office.broadcasts.compose(made, by=AUTHOR, progress=die)
    assert await state(office, made) == BroadcastState.DRAFT
    assert len(await office.texts(made)) == 1000
    return made


async def test_what_a_killed_process_half_composed_is_composed_anew(office: Office) -> None:
    made = await half_composed(office, 1100)
    # An exception only leaves a draft; a kill leaves it as it was, with the name of a process that is no more.
    await change(office, made, state="composing", composing_node=dead_process())
    preview = await office.broadcasts.compose(made, by=AUTHOR)
    texts = await office.texts(made)
    assert (preview.texts, len(texts)) == (1100, 1100)
    assert {len(bodies) for bodies in texts.values()} == {1}
    assert [one.n for one in await office.parcels(made)] == [500, 500, 100]
    assert await office.broadcasts.approve(made, by=APPROVER, digest=preview.digest or "") == 3


@pytest.mark.parametrize("node", [f"{os.uname().nodename}:1", "another-host:5"])
async def test_what_a_living_process_composes_is_left_to_it(office: Office, node: str) -> None:
    preview = await office.compose()
    await change(office, preview.id, state="composing", composing_node=node)
    with pytest.raises(Conflict, match="another process"):
        await office.broadcasts.compose(preview.id, by=AUTHOR)


async def test_two_clicks_on_compose_write_every_text_once(office: Office) -> None:
    await office.enrol(*some(20))
    verbs = office.broadcasts
    made = await verbs.draft(Draft(template="policy", fields=POLICY), by=AUTHOR)
    runs = await asyncio.gather(*(verbs.compose(made, by=AUTHOR) for _ in range(3)), return_exceptions=True)
    assert sorted(type(run).__name__ for run in runs) == ["Conflict", "Conflict", "Preview"]
    assert list((await office.texts(made)).values()) == [[HOME]] * 20


async def test_composing_that_is_refused_leaves_a_draft(office: Office, tmp_path: Any) -> None:
    file = tmp_path / "gone.csv"
    file.write_text("姓名,手机号,金额\n", encoding="utf-8")
    gone = Draft(template="subsidy-payout", fields=PAID, list_file=file)
    made = await office.broadcasts.draft(gone, by=AUTHOR)
    file.unlink()
    with pytest.raises(NotFound, match=r"gone\.csv"):
        await office.broadcasts.compose(made, by=AUTHOR)
    with pytest.raises(NotFound, match=r"gone\.csv"):
        await office.broadcasts.draft(gone, by=AUTHOR)
    assert await state(office, made) == BroadcastState.DRAFT


# -- payouts ---------------------------------------------------------------------------------------------------


async def test_a_payout_sheet_is_600_texts_and_16_people_left_out(office: Office) -> None:
    await Roster(office.store, SITE, office.clock).import_file(ROSTER, by=SYSTEM)
    preview = await office.compose("subsidy-payout", PAID, list_file=PAYOUT)
    assert (preview.people, preview.texts, sum(preview.left_out.values())) == (600, 600, 16)
    assert preview.left_out == {
        "payout:zero_amount": 2,
        "payout:missing_amount": 2,
        "payout:wrong_name": 3,
        "payout:not_in_roster": 2,
        "payout:bad_tail": 1,
        "payout:bad_number": 1,
        "payout:amount_mismatch": 2,
        "payout:duplicate_person": 3,
    }
    texts = await office.texts(preview.id)
    first = "【枣原镇】惠生旺：2026年种粮补贴1455.12元已打到您尾号8215的账户。"
    assert texts["+8613300130006"][0].startswith(first)
    bodies = [body for bodies in texts.values() for body in bodies]
    assert preview.parts == sum(map(text.billed_parts, bodies))
    assert [one.n for one in await office.parcels(preview.id)] == [500, 100]
    unknown = select(func.count()).select_from(message).where(message.c.person_id.is_(None))
    assert await office.store.read(lambda db: db.execute(unknown).scalar_one()) == 0


async def paid(office: Office, *people: int) -> list[tuple[str, str, str]]:
    since = office.clock.now() - timedelta(days=1)
    found = [one for n in people for one in await office.store.read(payments.to_number, mobile(n), since, 9)]
    return [(one.name, one.item, str(one.amount)) for one in found]


async def test_what_a_payout_paid_is_kept_once_and_told_once_it_is_approved(office: Office, tmp_path: Any) -> None:
    await office.enrol(Somebody("李秀英", mobile(1)), Somebody("王建国", mobile(1)), Somebody("高强", mobile(2)))
    await office.opt_out(mobile(2))
    rows = [("李秀英", 1, "1.5"), ("王建国", 1, "20"), ("高强", 2, "3"), ("别人", 2, "4")]
    lines = "".join(f"{name},{mobile(n)[3:]},{amount}\n" for name, n, amount in rows)
    (tmp_path / "pay.csv").write_text(f"姓名,手机号,金额\n{lines}", encoding="utf-8")
    preview = await office.compose("subsidy-payout", {**PAID, "账号尾号": "0317"}, list_file=tmp_path / "pay.csv")
    again = await office.broadcasts.compose(preview.id, by=AUTHOR)
    assert await paid(office, 1, 2) == []
    await office.broadcasts.approve(preview.id, by=APPROVER, digest=again.digest or "")
    what = "2026年种粮补贴"
    assert await paid(office, 1) == [("李秀英", what, "1.50"), ("王建国", what, "20.00")]
    assert await paid(office, 2) == [("高强", what, "3.00")]  # who wants no texts may still ask


async def test_other_broadcasts_pay_nothing(office: Office) -> None:
    await office.enrol(Somebody("李秀英", mobile(1)))
    await office.send("subsidy-payout", {**PAID, "金额": "12.00", "账号尾号": "0317"})
    assert await paid(office, 1) == []


async def test_who_lacks_a_value_gets_no_text_with_a_hole(office: Office, tmp_path: Any) -> None:
    await office.enrol(Somebody("李秀英", mobile(1)), Somebody("王建国", mobile(2)))
    rows = f"李秀英,{mobile(1)[3:]},1.00,种粮补贴\n王建国,{mobile(2)[3:]},2.00,\n"
    (tmp_path / "pay.csv").write_text("姓名,手机号,金额,项目\n" + rows, encoding="utf-8")
    preview = await office.compose(
        "subsidy-payout", {"账号尾号": "0317", "电话": "0912-0000300"}, list_file=tmp_path / "pay.csv"
    )
    assert (set(await office.texts(preview.id)), preview.left_out) == ({mobile(1)}, {"missing_field": 1})
    (left,) = await office.store.read(broadcasts.left_out_people, preview.id)
    assert (left.name, left.detail) == ("王建国", "还缺：项目")


# -- approve ---------------------------------------------------------------------------------------------------


async def test_approval_needs_another_official_with_the_role(office: Office) -> None:
    await office.enrol(*some(2))
    preview = await office.compose()
    with pytest.raises(Refused, match="cannot approve their own"):
        await office.broadcasts.approve(preview.id, by=AUTHOR, digest=preview.digest or "")
    with pytest.raises(Refused, match="lacks the role"):
        await office.broadcasts.approve(preview.id, by=CLERK, digest=preview.digest or "")
    assert {one.state for one in await office.parcels(preview.id)} == {ParcelState.HELD}
    assert await office.broadcasts.approve(preview.id, by=DIRECTOR, digest=preview.digest or "") == 1
    assert {one.state for one in await office.parcels(preview.id)} == {ParcelState.READY}
    row = await office.store.read(broadcasts.get, preview.id)
    assert (row.state, row.approver, row.approved_at) == ("approved", "ma", NOON)
    with pytest.raises(Conflict, match="is approved, not composed"):
        await office.broadcasts.approve(preview.id, by=DIRECTOR, digest=preview.digest or "")


def alter_body(db: Connection) -> None:
    db.execute(update(parcel).values(body="【枣原镇】别的话"))


def alter_number(db: Connection) -> None:
    db.execute(update(message).where(message.c.phone == mobile(1)).values(phone=mobile(7)))


def alter_time(db: Connection) -> None:
    db.execute(update(broadcast).values(not_before=NOON + timedelta(hours=1)))


def alter_carrier(db: Connection) -> None:
    db.execute(update(parcel).values(carrier="other"))


@pytest.mark.parametrize("alter", [alter_body, alter_number, alter_time, alter_carrier])
async def test_nothing_that_was_changed_behind_our_back_is_approved(office: Office, alter: Any) -> None:
    await office.enrol(*some(2))
    preview = await office.compose()
    await office.store.write(alter)
    with pytest.raises(Conflict, match="changed since the preview"):
        await office.broadcasts.approve(preview.id, by=APPROVER, digest=preview.digest or "")
    assert await state(office, preview.id) == BroadcastState.COMPOSED


async def test_another_digest_or_what_is_not_composed_is_refused(office: Office) -> None:
    preview = await office.compose()
    with pytest.raises(Conflict, match="changed since the preview"):
        await office.broadcasts.approve(preview.id, by=APPROVER, digest="0" * 64)
    made = await office.broadcasts.draft(Draft(template="policy", fields=POLICY), by=AUTHOR)
    with pytest.raises(Conflict, match="is draft"):
        await office.broadcasts.approve(made, by=APPROVER, digest="")
    with pytest.raises(NotFound, match="no broadcast 99"):
        await office.broadcasts.approve(99, by=APPROVER, digest="")


async def test_a_time_without_an_open_hour_is_refused(office: Office) -> None:
    await office.enrol(*some(2))
    office.clock.advance(9.5 * 3600)  # 21:30, closed until 08:00
    closed = await office.compose(expires_at=NOON + timedelta(hours=19))
    with pytest.raises(Refused, match="no open hour"):
        await office.broadcasts.approve(closed.id, by=APPROVER, digest=closed.digest or "")
    opening = await office.compose(expires_at=NOON + timedelta(hours=21))
    await office.broadcasts.approve(opening.id, by=APPROVER, digest=opening.digest or "")
    over = await office.compose(expires_at=NOON)
    with pytest.raises(Refused, match="would expire"):
        await office.broadcasts.approve(over.id, by=APPROVER, digest=over.digest or "")


async def test_an_emergency_passes_the_hours_and_those_who_opted_out(office: Office) -> None:
    office.clock.advance(11 * 3600)
    await office.enrol(*some(2))
    await office.opt_out(mobile(0))
    preview = await office.compose("emergency", EMERGENCY)
    assert (preview.hours, preview.texts, preview.left_out) == (None, 2, {})
    await office.broadcasts.approve(preview.id, by=APPROVER, digest=preview.digest or "")
    (one,) = await office.parcels(preview.id)
    assert (one.priority, one.hours, one.category, one.on_uncertain) == (Priority.EMERGENCY, None, None, "resend")


# -- stop, resume, cancel --------------------------------------------------------------------------------------


async def test_stop_holds_resume_releases_and_cancel_ends(office: Office) -> None:
    await office.enrol(*some(600))
    sent = await office.send()
    verbs = office.broadcasts
    with pytest.raises(Refused, match="lacks the role"):
        await verbs.stop(sent, by=CLERK)
    assert await verbs.stop(sent, by=AUTHOR) == 2
    assert {one.state for one in await office.parcels(sent)} == {ParcelState.HELD}
    with pytest.raises(Conflict, match="is stopped"):
        await verbs.compose(sent, by=AUTHOR)
    with pytest.raises(Refused, match="lacks the role"):
        await verbs.resume(sent, by=CLERK)
    assert (await verbs.resume(sent, by=APPROVER), await state(office, sent)) == (2, "approved")
    with pytest.raises(Conflict, match="is approved"):
        await verbs.resume(sent, by=APPROVER)
    assert (await verbs.cancel(sent, by=AUTHOR), await state(office, sent)) == (2, "cancelled")
    assert {one.state for one in await office.parcels(sent)} == {ParcelState.CANCELLED}
    assert (await verbs.counts(sent))["cancelled"] == 600
    with pytest.raises(Conflict, match="is cancelled"):
        await verbs.stop(sent, by=AUTHOR)
    assert (await office.audited())[-4:] == ["approve", "stop", "resume", "cancel"]


async def test_resume_never_sends_what_was_only_composed(office: Office) -> None:
    await office.enrol(*some(1))
    preview = await office.compose()
    with pytest.raises(Conflict, match="is composed"):
        await office.broadcasts.resume(preview.id, by=APPROVER)
    assert [one.state for one in await office.parcels(preview.id)] == [ParcelState.HELD]


async def test_cancel_of_a_parcel_in_somebodys_hands_settles_what_has_not_left(office: Office) -> None:
    await office.enrol(*some(3))
    sent = await office.send()
    now = office.clock.now()
    epoch = await office.store.write(parcels.take, "simulator", "node", now, timedelta(seconds=4))
    opened = await office.store.write(parcels.open_next, "simulator", epoch or 0, Priority.NORMAL, 0, now)
    assert opened is not None and opened.broadcast_id == sent
    assert await office.broadcasts.cancel(sent, by=DIRECTOR) == 1
    assert (await office.broadcasts.counts(sent))["cancelled"] == 3


# -- test sends ------------------------------------------------------------------------------------------------


async def test_a_test_send_is_marked_and_goes_to_one_number(office: Office) -> None:
    await office.enrol(*some(2))
    preview = await office.compose()
    assert await office.broadcasts.test_send(preview.id, "133 0013 0099", by=AUTHOR) is not None
    assert await office.texts(0) == {mobile(99, 133): [HOME.replace("】", "】试发，不要转：", 1)]}
    with pytest.raises(Refused, match="eleven"):
        await office.broadcasts.test_send(preview.id, "1330013", by=AUTHOR)
    with pytest.raises(Refused, match="lacks the role"):
        await office.broadcasts.test_send(preview.id, "13300130099", by=CLERK)
    made = await office.broadcasts.draft(Draft(template="policy", fields=POLICY), by=AUTHOR)
    with pytest.raises(Refused, match="nothing is composed"):
        await office.broadcasts.test_send(made, "13300130099", by=AUTHOR)


# -- one text to one person ------------------------------------------------------------------------------------

APPOINTMENT = {"时间": "8月3日7时30分", "地点": "县医院体检中心", "电话": "0912-0000800"}


async def test_one_text_goes_to_one_person_by_name_and_is_audited_masked(office: Office) -> None:
    await office.enrol(Somebody("李秀英", mobile(1)))
    sent = await office.broadcasts.send("conscription-physical", mobile(1), APPOINTMENT, by=CLERK)
    [body] = (await office.texts(0))[mobile(1)]
    assert body.startswith("【枣原镇】李秀英：请8月3日7时30分空腹到县医院体检中心")
    row = (await office.store.read(lambda db: db.execute(select(audit_table)).all()))[-1]
    assert (row.who, row.verb, row.object, row.what["to"]) == ("he", "send", f"message {sent}", "138****0001")
    [queued] = await office.parcels(0)
    assert (queued.category, queued.hours, queued.state) == ("conscription-physical", "08:00-21:00", "ready")
    assert queued.expires_at == NOON + timedelta(days=1)


async def test_what_is_not_single_complete_or_wanted_is_not_sent(office: Office) -> None:
    send = office.broadcasts.send
    await office.opt_out(mobile(2), "conscription-physical")
    named = {**APPOINTMENT, "姓名": "李秀英"}
    for words, template, number, fields, by in [
        ("not marked single", "policy", mobile(1), POLICY, CLERK),
        ("no template", "nothing", mobile(1), named, CLERK),
        ("missing: 时间, 地点", "conscription-physical", mobile(1), {"姓名": "李秀英", "电话": "1"}, CLERK),
        ("missing: 姓名", "conscription-physical", mobile(1), APPOINTMENT, CLERK),
        ("not in the template: 色", "conscription-physical", mobile(1), {**named, "色": "红"}, CLERK),
        ("opted out of conscription-physical", "conscription-physical", mobile(2), named, CLERK),
        ("eleven", "conscription-physical", "1380013", named, CLERK),
        ("lacks the role", "conscription-physical", mobile(1), named, APPROVER),
    ]:
        with pytest.raises((Refused, NotFound), match=words):
            await send(template, number, fields, by=by)
    assert (await office.texts(0), await office.audited()) == ({}, [])


# -- uncertain texts -------------------------------------------------------------------------------------------


async def test_uncertain_texts_are_sent_again_once_however_often_it_is_asked(office: Office) -> None:
    await office.enrol(*some(4))
    sent = await office.send()
    await office.left([mobile(0), mobile(1)], Outcome.UNCERTAIN)
    await office.left([mobile(2), mobile(3)])
    verbs = office.broadcasts
    assert await verbs.settle_uncertain(sent, resend=False, by=APPROVER) == 2
    assert len(await office.parcels(sent)) == 1
    assert await verbs.settle_uncertain(sent, resend=True, by=APPROVER) == 2
    assert await verbs.settle_uncertain(sent, resend=True, by=APPROVER) == 0
    home, again = await office.parcels(sent)
    assert (again.attempt, again.members, again.state) == (2, [home.id << 10, home.id << 10 | 1], ParcelState.READY)
    with pytest.raises(Refused, match="lacks the role"):
        await verbs.settle_uncertain(sent, resend=True, by=CLERK)
    with pytest.raises(NotFound):
        await verbs.settle_uncertain(99, resend=True, by=APPROVER)


async def test_a_second_attempt_in_doubt_can_be_sent_a_third_time(office: Office) -> None:
    await office.enrol(*some(1))
    sent = await office.send()
    await office.left([mobile(0)], Outcome.UNCERTAIN)
    assert await office.broadcasts.settle_uncertain(sent, resend=True, by=APPROVER) == 1
    await office.left([mobile(0)], Outcome.UNCERTAIN, attempt=2)
    done = update(parcel).where(parcel.c.attempt == 2).values(state=ParcelState.DONE)
    await office.store.write(lambda db: db.execute(done))
    assert await office.broadcasts.settle_uncertain(sent, resend=True, by=APPROVER) == 1
    assert [one.attempt for one in await office.parcels(sent)] == [1, 2, 3]


# -- standing approvals ----------------------------------------------------------------------------------------


async def scheduled(office: Office, verbs: Broadcasts, **changes: Any) -> int:
    draft = Draft(template="policy", fields=POLICY, schedule="weekly")
    made = await verbs.draft(replace(draft, **changes), by=SYSTEM)
    await verbs.compose(made, by=SYSTEM)
    return made


async def test_a_standing_approval_covers_what_it_names_and_no_more(office: Office) -> None:
    await office.enrol(*some(3))
    verbs = office.broadcasts
    first = await scheduled(office, verbs)
    assert not await verbs.approve_standing(first)
    cost = (await verbs.preview(first)).cost
    with pytest.raises(Refused, match="lacks the role"):
        await verbs.stand_for("weekly", first, max_people=3, max_cost=cost, by=APPROVER)
    await verbs.stand_for("weekly", first, max_people=3, max_cost=cost, by=DIRECTOR)
    assert await verbs.approve_standing(first)
    assert (await office.store.read(broadcasts.get, first)).approver == "ma"
    other_audience = await scheduled(office, verbs, audience=Audience(villages=("枣湾村",)))
    assert not await verbs.approve_standing(other_audience)
    assert not await verbs.approve_standing(await scheduled(office, verbs, schedule="another"))
    await office.enrol(Somebody("王建国", mobile(9)))
    assert not await verbs.approve_standing(await scheduled(office, verbs))


@pytest.mark.parametrize(("people", "price", "covered"), [(2, 1, True), (1, 1, False), (2, Decimal("0.09"), False)])
async def test_the_ceilings_of_people_and_of_cost_both_hold(
    office: Office, people: int, price: Decimal, covered: bool
) -> None:
    await office.enrol(*some(2))
    verbs = office.broadcasts
    made = await scheduled(office, verbs)
    await verbs.stand_for("weekly", made, max_people=people, max_cost=Decimal(price), by=DIRECTOR)
    assert await verbs.approve_standing(made) is covered
    assert await state(office, made) == ("approved" if covered else "composed")


async def test_a_standing_approval_ends_with_the_templates_version(office: Office) -> None:
    await office.enrol(*some(1))
    verbs = office.broadcasts
    made = await scheduled(office, verbs)
    await verbs.stand_for("weekly", made, max_people=9, max_cost=Decimal(9), by=DIRECTOR)
    reworded = verbs._templates["policy"].model_copy(update={"sha256": "0" * 64})
    verbs._templates = {**verbs._templates, "policy": reworded}
    assert not await verbs.approve_standing(made)


# -- the rest --------------------------------------------------------------------------------------------------


async def test_officials_list_what_lies_in_their_area(office: Office) -> None:
    mine = await office.compose(audience=Audience(area="610899100201"))
    whole = await office.compose()
    assert [row.id for row in await office.broadcasts.list(by=AUTHOR)] == [whole.id, mine.id]
    here = replace(AUTHOR, area="610899100201")
    assert [row.id for row in await office.broadcasts.list(by=here)] == [mine.id]


async def test_the_audit_trail_of_it_all_holds(office: Office) -> None:
    await office.enrol(*some(1))
    await office.broadcasts.stop(await office.send(), by=AUTHOR)
    assert Counter(await office.audited()) == Counter(["draft", "compose", "composed", "approve", "stop"])
    assert await office.store.read(audit.verify) == (5, [])


@pytest.mark.parametrize(
    ("day", "years", "then"),
    [("2026-03-02", 60, "1966-03-02"), ("2028-02-29", 1, "2027-02-28"), ("2028-02-29", 4, "2024-02-29")],
)
def test_years_before_knows_leap_days(day: str, years: int, then: str) -> None:
    assert years_before(date.fromisoformat(day), years) == date.fromisoformat(then)
