"""gateway.reports: what became of a broadcast, whom it left behind, and what the villages' clerks are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from zipfile import ZipFile

import pytest
from python_calamine import CalamineWorkbook
from sqlalchemy import Connection, delete, func, select, update

from gateway import codes, text
from gateway.codes import UNKNOWN
from gateway.errors import Conflict, NotFound, Refused
from gateway.model import LeftOut, Outcome, ReceiptState, TextState
from gateway.officials import SYSTEM
from gateway.payouts import REASONS as PAYOUT_REASONS
from gateway.reports import Failure, LeftBehind, LeftBehindRow, Reports, explain
from gateway.store import Store, audit, broadcasts
from gateway.store.tables import broadcast, receipt, submission
from gateway.worktime import ManualClock
from tests.conftest import NOON
from tests.notices import APPROVER, AUTHOR, CLERK, DIRECTOR, POLICY, SITE, TEMPLATES, Office, Somebody, mobile

CLERK_OF = {"枣湾村": "+8613800139201", "石畔村": "+8613800139202"}
WARNING = {
    "类别": "暴雨",
    "级别": "橙色",
    "起始时间": "15时",
    "影响范围": "全镇",
    "警示事项": "3小时雨量超50毫米",
    "措施": "往高处撤",
    "发布单位": "清宁县气象台",
    "发布时间": "29日15时",
}
DAY = 24 * 3600


@pytest.fixture
def office(store: Store, clock: ManualClock) -> Office:
    return Office(store, clock)


@pytest.fixture
def reports(office: Office) -> Reports:
    return reports_of(office)


def reports_of(office: Office) -> Reports:
    return Reports(office.store, office.config, TEMPLATES, office.outbox, office.clock)


TOWN = (
    Somebody("李秀英", mobile(1)),
    Somebody("王建国", mobile(2)),
    Somebody("高福堂", mobile(3, 133), group="10组"),
    Somebody("白桂兰", mobile(4, 130), group="2组"),
    Somebody("贺生财", None, group="2组"),
    Somebody("薛振斌", mobile(5), "石畔村", area="610899100202"),
    Somebody("苗文明", None, "石畔村", taker=mobile(6), area="610899100202"),
)


async def sent_to_town(office: Office) -> int:
    """One delivered, and one each that was not, was refused, is in doubt, opted out, waits at a taker's."""
    await office.enrol(*TOWN)
    await office.opt_out(mobile(5))
    sent = await office.send()
    office.clock.advance(60)
    await office.left([mobile(1), mobile(2)])
    office.clock.advance(60)
    await office.told([mobile(1)])
    await office.told([mobile(2)], ReceiptState.UNDELIVERED, error="EXPIRED")
    await office.left([mobile(3, 133)], Outcome.REJECTED, error="12")
    await office.left([mobile(4, 130)], Outcome.UNCERTAIN)
    return sent


# -- one broadcast ---------------------------------------------------------------------------------------------


async def test_a_report_counts_by_state_village_and_operator(office: Office, reports: Reports) -> None:
    sent = await sent_to_town(office)
    report = await reports.broadcast(sent)
    assert report.by_state == {"delivered": 1, "undelivered": 1, "rejected": 1, "uncertain": 1, "waiting": 1}
    assert report.by_village == {
        "枣湾村": {"delivered": 1, "undelivered": 1, "rejected": 1, "uncertain": 1},
        "石畔村": {"waiting": 1},
    }
    assert report.by_operator == {
        "移动": {"delivered": 1, "undelivered": 1, "waiting": 1},
        "电信": {"rejected": 1},
        "联通": {"uncertain": 1},
    }
    expired = codes.explain("simulator", "receipt", "EXPIRED")
    assert report.failures == [
        Failure("rejected", "12", 1, "fault", *UNKNOWN),
        Failure("uncertain", "", 1, "", *explain(TextState.UNCERTAIN)),
        Failure("undelivered", "EXPIRED", 1, "absent", expired.zh, expired.en),
    ]
    assert report.left_out == {"no_number": 1, "opted_out": 1}
    assert (report.people, report.texts, report.cost) == (7, 5, report.parts * Decimal("0.05"))


async def test_a_report_agrees_with_the_counters(office: Office, reports: Reports) -> None:
    sent = await sent_to_town(office)
    counted = await office.broadcasts.counts(sent)
    shown = (await reports.broadcast(sent)).by_state
    assert {state: n for state, n in counted.items() if n and state != "texts"} == shown
    assert counted["texts"] == sum(shown.values())


async def test_a_report_says_when_each_stage_happened(office: Office, reports: Reports) -> None:
    await office.enrol(*TOWN)
    preview = await office.compose()
    before = await reports.broadcast(preview.id)
    assert (before.stages.drafted, before.stages.composed, before.approver) == (NOON, NOON, None)
    assert (before.stages.approved, before.stages.first_left, before.stages.last_receipt) == (None, None, None)
    office.clock.advance(10)
    await office.broadcasts.compose(preview.id, by=AUTHOR)
    office.clock.advance(10)
    await office.broadcasts.approve(preview.id, by=APPROVER, digest=preview.digest or "")
    for number in (mobile(1), mobile(2)):
        office.clock.advance(10)
        await office.delivered(number)
    after = await reports.broadcast(preview.id)
    seconds = {
        "drafted": 0, "composed": 10, "approved": 20, "first_left": 30, "last_left": 40, "last_receipt": 40
    }  # fmt: skip
    assert {name: getattr(after.stages, name) for name in seconds} == {
        name: NOON + timedelta(seconds=n) for name, n in seconds.items()
    }
    assert after.approver == "liu"


async def test_a_report_of_a_draft_is_empty_and_of_nothing_is_not_found(office: Office, reports: Reports) -> None:
    preview = await office.compose()
    report = await reports.broadcast(preview.id)
    assert (report.by_state, report.by_village, report.failures, report.stages.last_left) == ({}, {}, [], None)
    with pytest.raises(NotFound, match="no broadcast 99"):
        await reports.broadcast(99)


async def test_a_text_sent_again_counts_by_its_newest_attempt(office: Office, reports: Reports) -> None:
    await office.enrol(TOWN[0])
    sent = await office.send()
    await office.left([mobile(1)], Outcome.UNCERTAIN)
    await office.left([mobile(1)], Outcome.REJECTED, error="9", attempt=2)
    report = await reports.broadcast(sent)
    assert (report.by_state, report.failures) == ({"rejected": 1}, [Failure("rejected", "9", 1, "fault", *UNKNOWN)])
    await office.told([mobile(1)], attempt=1)
    assert (await reports.broadcast(sent)).by_state == {"delivered": 1}


def entry(zh: str, en: str) -> codes.Entry:
    return codes.Entry(kind="dead", does="suppress", zh=zh, en=en)


async def test_a_failure_says_what_the_code_means_on_the_account_that_gave_it(store: Store, clock: ManualClock) -> None:
    simulator = SITE.carriers["simulator"]
    own = simulator.model_copy(update={"protocol": "cmpp", "codes": {"MA:0006": entry("没有这个号码", "no number")}})
    office = Office(store, clock, SITE.model_copy(update={"carriers": {**SITE.carriers, "simulator": own}}))
    await office.enrol(*TOWN[:4])
    sent = await office.send()
    await office.left([mobile(1), mobile(2)])
    await office.told([mobile(1)], ReceiptState.UNDELIVERED, error="MA:0006")
    await office.told([mobile(2)], ReceiptState.UNDELIVERED, error="MK:0005")
    await office.left([mobile(3, 133)], Outcome.REJECTED, error="5")
    await office.left([mobile(4, 130)], Outcome.UNCERTAIN, error="process died")
    found = (await reports_of(office).broadcast(sent)).failures
    assert {(one.error, one.kind, one.zh) for one in found} == {
        ("MA:0006", "dead", "没有这个号码"),
        ("MK:0005", "suspended", "停机或被限制，下个月再试"),
        ("5", "account", "资费代码不对"),
        ("process died", "fault", "是否发出不明"),
    }


@pytest.mark.parametrize("failed", ["receipt", "submit"])
async def test_a_long_text_of_which_a_part_failed_is_incomplete_and_never_delivered(
    office: Office, reports: Reports, failed: str
) -> None:
    await office.enrol(TOWN[0])
    sent = await office.send(fields={**POLICY, "要点": "申请" * 40})
    await office.left([mobile(1)])
    await office.told([mobile(1)])
    await store_failure_of_last_part(office, failed)
    report = await reports.broadcast(sent)
    assert report.by_state == {"undelivered" if failed == "receipt" else "rejected": 1}
    assert [(one.state, one.error) for one in report.failures] == [
        ("incomplete", "MK:0008" if failed == "receipt" else "8")
    ]
    (row,) = (await reports.left_behind(sent)).rows
    assert (row.reason, row.reason_zh) == ("incomplete", "收到不全（长短信缺了一段）")


async def store_failure_of_last_part(office: Office, failed: str) -> None:
    """The last part of the text to the first number has failed, by its receipt or already at the submit."""

    def change(db: Connection) -> None:
        last = db.execute(select(func.max(submission.c.part))).scalar_one()
        r, s = receipt.c, submission.c
        if failed == "receipt":
            db.execute(update(receipt).where(r.part == last).values(state="undelivered", error="MK:0008"))
        else:
            db.execute(delete(receipt).where(r.part == last))
            db.execute(update(submission).where(s.part == last).values(outcome="rejected", error="8"))

    await office.store.write(change)


async def test_a_text_without_a_receipt_in_three_days_is_unknown(office: Office, reports: Reports) -> None:
    await office.enrol(*TOWN[:2])
    sent = await office.send()
    await office.left([mobile(1), mobile(2)])
    await office.told([mobile(1)])
    office.clock.advance(72 * 3600 - 1)
    assert (await reports.broadcast(sent)).silent == 0
    assert [row.reason for row in (await reports.left_behind(sent)).rows] == ["accepted"]
    office.clock.advance(2)
    report = await reports.broadcast(sent)
    assert (report.silent, report.by_state) == (1, {"delivered": 1, "accepted": 1})
    assert [row.reason_zh for row in (await reports.left_behind(sent)).rows] == ["72小时没有回执，结果不明"]


# -- a period --------------------------------------------------------------------------------------------------


async def test_a_period_adds_up_what_was_approved_in_its_days(office: Office, reports: Reports) -> None:
    sent = await sent_to_town(office)
    office.clock.advance(DAY)
    again = await office.send()
    await office.broadcasts.cancel(again, by=DIRECTOR)
    await office.compose()  # never approved
    found = await reports.period(None, None, by=SYSTEM)
    assert (found.first, found.last) == (date(2026, 3, 1), date(2026, 3, 3))
    first, second = found.broadcasts
    assert (first.id, first.texts, first.delivered, first.undelivered, first.rejected) == (sent, 5, 1, 1, 1)
    assert (first.uncertain, first.waiting, first.state) == (1, 1, "approved")
    assert (second.id, second.state, second.cancelled, second.waiting) == (again, "cancelled", 5, 0)
    counts = await office.broadcasts.counts(sent)
    assert {name: getattr(first, name) for name in counts} == counts
    approved = {"people": 14, "texts": 10, "parts": first.parts * 2, "cost": first.cost * 2}
    became = {"delivered": 1, "undelivered": 1, "rejected": 1, "uncertain": 1, "cancelled": 5, "waiting": 1}
    assert found.totals == {**approved, **became, "accepted": 0, "withheld": 0, "expired": 0}


async def test_a_periods_days_are_the_sites_and_both_ends_are_in_it(office: Office, reports: Reports) -> None:
    await office.enrol(TOWN[0])
    office.clock.advance(12 * 3600 - 60)  # 23:59 in Beijing
    late = await office.send(expires_at=NOON + timedelta(days=2))
    office.clock.advance(120)
    early = await office.send(expires_at=NOON + timedelta(days=2))
    second, third = date(2026, 3, 2), date(2026, 3, 3)
    for first, last, expected in [(second, second, [late]), (third, third, [early]), (second, third, [late, early])]:
        found = await reports.period(first, last, by=SYSTEM)
        assert [one.id for one in found.broadcasts] == expected
    assert (await reports.period(None, date(2026, 2, 28), by=SYSTEM)).first == date(2026, 2, 1)
    with pytest.raises(Refused, match="2026-03-03 is after 2026-03-02"):
        await reports.period(third, second, by=SYSTEM)


async def test_a_period_is_told_as_far_as_an_official_sees(office: Office, reports: Reports) -> None:
    await office.enrol(TOWN[0])
    await office.send()
    stranger = replace(DIRECTOR, area="610801")
    found = await reports.period(None, None, by=stranger)
    assert (found.broadcasts, found.totals["cost"], found.totals["texts"]) == ([], Decimal(0), 0)
    assert len((await reports.period(None, None, by=replace(DIRECTOR, area="610899"))).broadcasts) == 1


# -- who was left behind ---------------------------------------------------------------------------------------


async def test_the_list_has_everybody_not_reached_with_the_reason(office: Office, reports: Reports) -> None:
    found = await reports.left_behind(await sent_to_town(office))
    assert [(row.village, row.group, row.name, row.reason, row.phone, row.taker) for row in found.rows] == [
        ("枣湾村", "1组", "王建国", "undelivered", "138****0002", False),
        ("枣湾村", "2组", "白桂兰", "uncertain", "130****0004", False),
        ("枣湾村", "2组", "贺生财", "no_number", "", False),
        ("枣湾村", "10组", "高福堂", "rejected", "133****0003", False),
        ("石畔村", "1组", "苗文明", "waiting", "138****0006", True),
        ("石畔村", "1组", "薛振斌", "opted_out", "138****0005", False),
    ]
    assert found.rows[2].reason_zh == "没有手机号码"
    with pytest.raises(NotFound):
        await reports.left_behind(99)


async def test_all_on_one_number_are_missed_where_its_text_failed_and_none_where_it_arrived(
    office: Office, reports: Reports
) -> None:
    await office.enrol(
        Somebody("李秀英", mobile(1)), Somebody("王建国", mobile(1)), Somebody("白桂兰", None, taker=mobile(1)),
        Somebody("高福堂", mobile(2)), Somebody("贺生财", mobile(2)),
    )  # fmt: skip
    sent = await office.send()
    everybody = {"李秀英", "王建国", "白桂兰", "高福堂", "贺生财"}
    assert {row.name for row in (await reports.left_behind(sent)).rows} == everybody
    await office.delivered(mobile(2))
    await office.left([mobile(1)], Outcome.EXPIRED)
    found = await reports.left_behind(sent)
    assert {(row.name, row.reason, row.taker) for row in found.rows} == {
        ("李秀英", "expired", False),
        ("王建国", "expired", False),
        ("白桂兰", "expired", True),
    }


async def test_what_ended_with_its_parcel_says_so(office: Office, reports: Reports) -> None:
    await office.enrol(*TOWN[:2])
    sent = await office.send()
    await office.broadcasts.cancel(sent, by=APPROVER)
    assert [row.reason for row in (await reports.left_behind(sent)).rows] == ["cancelled"] * 2
    assert (await reports.broadcast(sent)).by_state == {"cancelled": 2}


async def test_a_payout_row_paid_elsewhere_is_nobody_missed(office: Office, reports: Reports, tmp_path: Path) -> None:
    await office.enrol(TOWN[0])
    number = mobile(1)[3:]
    sheet = f"姓名,手机号,金额\n李秀英,{number},1.00\n李秀英,{number},2.00\n陌生人,{mobile(9)[3:]},3.00\n"
    (tmp_path / "pay.csv").write_text(sheet, encoding="utf-8")
    fields = {"项目": "补贴", "账号尾号": "0317", "电话": "0912-0000300"}
    sent = await office.send("subsidy-payout", fields, list_file=tmp_path / "pay.csv")
    await office.delivered(mobile(1))
    (row,) = (await reports.left_behind(sent)).rows
    assert (row.name, row.village, row.reason, row.reason_zh) == (
        "陌生人",
        "",
        "payout:not_in_roster",
        "花名册里没有这个号码",
    )


def test_every_reason_can_be_told() -> None:
    left_out = {*LeftOut} - {LeftOut.SAME_NUMBER}
    states = {*TextState} - {TextState.DELIVERED}
    payouts = {f"payout:{reason}" for reason in PAYOUT_REASONS}
    assert all(zh and en for zh, en in map(explain, left_out | states | payouts))


# -- printed ---------------------------------------------------------------------------------------------------


def person(village: str, name: str, **more: str) -> LeftBehindRow:
    given = {
        "group": "1组",
        "reason": "no_number",
        "reason_zh": "没有手机号码",
        "reason_en": "has no phone",
        "phone": "",
    }
    return LeftBehindRow(village=village, name=name, taker=False, **(given | more))


LIST = LeftBehind(
    7,
    "养老认证",
    NOON,
    [person("枣湾村", "李秀英"), person("枣湾村", "=1+1"), person("石畔村", "@SUM(A1)", phone="138****0001")],
)


def test_the_workbook_is_printable_and_never_counts(tmp_path: Path) -> None:
    LIST.to_xlsx(tmp_path / "list.xlsx")
    table = CalamineWorkbook.from_path(str(tmp_path / "list.xlsx")).get_sheet_by_index(0).to_python()
    assert table[0][0] == "未收到短信人员名单：养老认证（3人，2026-03-02 04:00）"
    assert [row[2] for row in table[1:]] == ["姓名 Name", "李秀英", "=1+1", "@SUM(A1)"]
    with ZipFile(tmp_path / "list.xlsx") as book:
        sheet, names = book.read("xl/worksheets/sheet1.xml").decode(), book.read("xl/workbook.xml").decode()
    assert "<f>" not in sheet
    assert 'orientation="landscape"' in sheet
    assert '<brk id="4"' in sheet and sheet.count("<brk ") == 1
    assert "$1:$2" in names and "fitToPage" not in sheet


def test_an_empty_list_is_a_workbook_too(tmp_path: Path) -> None:
    LeftBehind(7, "养老认证", NOON, []).to_xlsx(tmp_path / "list.xlsx")
    sheet = CalamineWorkbook.from_path(str(tmp_path / "list.xlsx")).get_sheet_by_index(0)
    assert len(sheet.to_python()) == 2


def test_the_text_is_in_columns_with_a_gap_between_villages() -> None:
    lines = LIST.to_text().splitlines()
    assert lines == [
        "未收到短信人员名单：养老认证（3人，2026-03-02 04:00）",
        "",
        "村 Village  组 Group  姓名 Name  原因 Reason                手机号 Phone  代收 Taker",
        "枣湾村      1组       李秀英     没有手机号码 has no phone",
        "枣湾村      1组       =1+1       没有手机号码 has no phone",
        "",
        "石畔村      1组       @SUM(A1)   没有手机号码 has no phone  138****0001",
    ]


# -- telling the clerks ----------------------------------------------------------------------------------------


async def test_each_clerk_gets_names_and_nothing_else(office: Office, reports: Reports) -> None:
    sent = await sent_to_town(office)
    told = await reports.tell_clerks(sent, by=AUTHOR)
    assert (told.told, told.untold) == ({"枣湾村": 4, "石畔村": 2}, {})
    texts = await office.texts(0)
    assert set(texts) == set(CLERK_OF.values())
    (body,) = texts[CLERK_OF["枣湾村"]]
    assert body.startswith("【枣原镇】枣湾村有4人")
    assert body.endswith("“政策通知”：王建国、白桂兰、贺生财、高福堂。")
    assert not any(word in body for word in ("退订", "0002", "没有送达"))
    assert await office.store.read(audit.verify) == (5, [])
    assert (await office.audited())[-1] == "tell-clerks"
    assert {one.hours for one in await office.parcels(0)} == {"08:00-21:00"}


async def test_the_clerks_are_told_once(office: Office, reports: Reports) -> None:
    sent = await sent_to_town(office)
    with pytest.raises(Refused, match="lacks the role"):
        await reports.tell_clerks(sent, by=CLERK)
    await reports.tell_clerks(sent, by=SYSTEM)
    with pytest.raises(Conflict, match="told before"):
        await reports.tell_clerks(sent, by=SYSTEM)
    assert len(await office.texts(0)) == 2
    assert (await office.store.read(broadcasts.get, sent)).left_behind_at == office.clock.now()


async def test_a_broadcast_that_was_not_sent_or_was_stopped_tells_nobody(office: Office, reports: Reports) -> None:
    await office.enrol(*TOWN)
    composed = await office.compose()
    stopped = await office.send()
    await office.broadcasts.stop(stopped, by=AUTHOR)
    for one in (composed.id, stopped):
        with pytest.raises(Conflict, match="not approved"):
            await reports.tell_clerks(one, by=AUTHOR)
    assert await office.texts(0) == {}


async def test_a_village_without_a_clerk_that_can_be_reached_is_reported(store: Store, clock: ManualClock) -> None:
    areas = tuple(area.model_copy(update={"clerk": None}) if area.name == "石畔村" else area for area in SITE.areas)
    office = Office(store, clock, SITE.model_copy(update={"areas": areas}))
    sent = await sent_to_town(office)
    told = await reports_of(office).tell_clerks(sent, by=AUTHOR)
    assert (told.told, told.untold) == ({"枣湾村": 4}, {"石畔村": 2})


@pytest.mark.parametrize(("people", "cut"), [(20, False), (200, True)])
async def test_a_long_list_of_names_stays_within_three_parts(
    office: Office, reports: Reports, people: int, cut: bool
) -> None:
    await office.enrol(*(Somebody(f"村民{n:03}", None) for n in range(people)), Somebody("李秀英", mobile(1)))
    sent = await office.send()
    await office.delivered(mobile(1))
    await reports.tell_clerks(sent, by=AUTHOR)
    (body,) = (await office.texts(0))[CLERK_OF["枣湾村"]]
    assert text.billed_parts(body) <= 3
    assert body.endswith(f"等{people}人。") is cut
    assert f"枣湾村有{people}人" in body
    if cut:
        one_more = body.replace("等200人", f"、村民{body.count('村民'):03}等200人")
        assert text.billed_parts(one_more) == 4


async def test_where_everybody_was_reached_no_text_goes_out_and_it_is_done(office: Office, reports: Reports) -> None:
    await office.enrol(TOWN[0])
    await office.send()
    await office.delivered(mobile(1))
    office.clock.advance(DAY)
    assert await reports.run_due() == 1
    assert await office.texts(0) == {}
    assert await reports.due(office.clock.now()) == []


async def test_a_notice_is_due_after_a_day_and_a_warning_after_ten_minutes(office: Office, reports: Reports) -> None:
    await office.enrol(*TOWN)
    notice = await office.send()
    later = await office.send(not_before=NOON + timedelta(hours=3))
    warning = await office.send("weather-warning", WARNING)
    await office.compose()
    due = {
        seconds: await reports.due(NOON + timedelta(seconds=seconds))
        for seconds in (599, 600, DAY - 1, DAY, DAY + 3 * 3600)
    }
    assert list(due.values()) == [[], [warning], [warning], [notice, warning], [notice, later, warning]]


async def test_what_is_due_is_told_and_what_is_refused_stops_nothing_else(
    office: Office, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.enrol(*TOWN)
    first, second = await office.send(), await office.send()
    office.clock.advance(DAY)
    due = await reports.due(office.clock.now())
    await office.broadcasts.stop(first, by=AUTHOR)

    async def as_seen_before(now: object) -> list[int]:
        return due

    monkeypatch.setattr(reports, "due", as_seen_before)
    assert await reports.run_due() == 1
    told = (await office.store.read(broadcasts.get, second)).left_behind_at
    assert (told, (await office.store.read(broadcasts.get, first)).left_behind_at) == (office.clock.now(), None)


async def test_a_test_broadcast_is_never_due(office: Office, reports: Reports) -> None:
    await office.enrol(TOWN[0])
    sent = await office.send()
    await office.store.write(lambda db: db.execute(update(broadcast).where(broadcast.c.id == sent).values(test=True)))
    assert await reports.due(NOON + timedelta(days=2)) == []


# -- codes of late ---------------------------------------------------------------------------------------------


async def test_what_operators_gave_as_reasons_in_the_last_day(office: Office, reports: Reports) -> None:
    await office.enrol(*TOWN[:4])
    await office.send()
    await office.left([mobile(1), mobile(2)])
    await office.told([mobile(1), mobile(2)], ReceiptState.UNDELIVERED, error="MK:0001")
    await office.left([mobile(3, 133)], Outcome.REJECTED, error="XY:1")
    await office.left([mobile(4, 130)], Outcome.UNCERTAIN, error="process died")
    found = [(one.account, one.stage, one.code, one.parts, one.kind) for one in await reports.codes()]
    assert found == [
        ("simulator", "receipt", "MK:0001", 2, "dead"),
        ("simulator", "submit", "XY:1", 1, "fault"),
    ]
    office.clock.advance(DAY + 1)
    assert await reports.codes() == []
