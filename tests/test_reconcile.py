"""gateway.reconcile and gateway.reports.bills: a bill as offices get it against what left, by day and operator."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from gateway import reconcile, sheets
from gateway.errors import NotFound, Refused
from gateway.model import Outcome, message_id
from gateway.phone import Operator
from gateway.reconcile import Bill, Key, Left, compare
from gateway.reports.bills import Bills
from gateway.store import Store, bulk, parcels, receipts
from gateway.store.parcels import Queued
from gateway.store.tables import receipt, submission
from tests.notices import SITE, mobile
from tests.store.outbound import envelope

M, U, T = Operator.MOBILE, Operator.UNICOM, Operator.TELECOM
NOVEMBER = date(2026, 11, 1)


def nov(day: int) -> date:
    return date(2026, 11, day)


def on(day: date, operator: Operator | None = None) -> Key:
    return Key(day, False, operator)


def csv(directory: Path, text: str) -> Path:
    path = directory / "bill.csv"
    path.write_text(text, encoding="gb18030")
    return path


def read(path: Path, month: date | None = None, **columns: str) -> Bill:
    return reconcile.read(sheets.open_table(path), month, columns)


def workbook(directory: Path, rows: Sequence[Sequence[Any]], merged: Sequence[str] = ()) -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    for cells in merged:
        sheet.merge_cells(cells)
    path = directory / "bill.xlsx"
    book.save(path)
    return path


# -- reading ---------------------------------------------------------------------------------------------------


def test_a_workbook_with_a_title_merged_days_and_sums(tmp_path: Path) -> None:
    rows = [
        ["枣原镇便民服务大厅 2026年11月短信账单"],
        ["接入号：1069001", None, None, "单位：条"],
        ["日期", "运营商", "提交条数", "成功条数", "计费条数（条）"],
        [datetime(2026, 11, 1), "中国移动", 1200, 1190, 1200],  # noqa: DTZ001 - as spreadsheets have them
        [None, "中国联通", "1,300", 1290, 1300],
        [None, "小计", 2500, 2480, 2500],
        ["2026年11月2日", "电信", 5, 4, 5],
        ["合计", None, 2505, 2484, 2505],
        ["备注：以计费条数结算"],
    ]
    found = read(workbook(tmp_path, rows, ["A1:E1", "A4:A6"]))
    assert found.columns == ("submitted", "delivered", "billed")
    assert found.rows == {
        on(nov(1), M): {"submitted": 1200, "delivered": 1190, "billed": 1200},
        on(nov(1), U): {"submitted": 1300, "delivered": 1290, "billed": 1300},
        on(nov(2), T): {"submitted": 5, "delivered": 4, "billed": 5},
    }
    assert found.span == (NOVEMBER, date(2026, 12, 1))


def test_a_csv_without_operators_and_with_empty_days(tmp_path: Path) -> None:
    found = read(
        csv(tmp_path, "统计日期,签名,发送量,到达数\n20261101,枣原镇,10,9\n,枣原,5,5\n2026/11/3,枣原镇,7条,-\n")
    )
    assert found.rows == {on(nov(1)): {"submitted": 15, "delivered": 14}, on(nov(3)): {"submitted": 7, "delivered": 0}}


@pytest.mark.parametrize(
    ("spelt", "operator"),
    [
        *((one, M) for one in ("中国移动", "移动", "CMCC", "China Mobile", "ＣＭＣＣ")),
        *((one, U) for one in ("联通", "China Unicom", "CUCC")),
        *((one, T) for one in ("中国电信", "CTCC", "CT")),
        *((one, Operator.BROADNET) for one in ("中国广电", "CBN")),
        *((one, None) for one in ("三网", "全网", "")),
    ],
)  # fmt: skip
def test_operators_are_known_however_they_are_spelt(tmp_path: Path, spelt: str, operator: Operator | None) -> None:
    assert list(read(csv(tmp_path, f"日期,运营商,计费条数\n2026-11-01,{spelt},1\n")).rows) == [on(nov(1), operator)]


@pytest.mark.parametrize("spelt", ["2026-11", "2026年11月", "202611", "2026/11"])
def test_a_bill_by_the_month(tmp_path: Path, spelt: str) -> None:
    found = read(csv(tmp_path, f"账期,运营商,结算条数\n{spelt},移动,54000\n"))
    assert found.rows == {Key(NOVEMBER, True, M): {"billed": 54000}}


@pytest.mark.parametrize("spelt", ["3", "3日", "11-03", "11月3日", "11.3"])
def test_a_day_without_its_year_is_of_the_month_that_is_asked_for(tmp_path: Path, spelt: str) -> None:
    bill = csv(tmp_path, f"日期,计费条数\n{spelt},8\n")
    assert read(bill, NOVEMBER).rows == {on(nov(3)): {"billed": 8}}
    with pytest.raises(Refused, match="row 2: the day cannot be read"):
        read(bill)


def test_only_the_month_that_is_asked_for(tmp_path: Path) -> None:
    bill = csv(tmp_path, "日期,计费条数\n2026-10-31,8\n2026-11-01,9\n")
    assert read(bill, NOVEMBER).rows == {on(nov(1)): {"billed": 9}}
    assert read(bill).span == (date(2026, 10, 1), date(2026, 12, 1))
    with pytest.raises(Refused, match="no rows of that month"):
        read(bill, date(2026, 9, 1))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("日期,运营商,计费条数\n下个月,移动,1\n", "row 2: the day"),
        ("日期,运营商,计费条数\n2026-11-01,卫星,1\n", "row 2: which operator"),
        ("日期,运营商,金额\n2026-11-01,移动,1\n", "no column of counts"),
        ("运营商,计费条数\n移动,1\n", "no column for 'day'"),
        ("日期,计费条数,计费条数\n2026-11-01,1,2\n", "which column is 'billed'"),
    ],
)
def test_what_cannot_be_read_is_refused_and_never_left_out(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(Refused, match=word):
        read(csv(tmp_path, text))


def test_a_column_can_be_named(tmp_path: Path) -> None:
    found = read(csv(tmp_path, "日期,本月用量\n2026-11-01,6\n"), billed="本月用量")
    assert found.rows == {on(nov(1)): {"billed": 6}}


# -- comparing -------------------------------------------------------------------------------------------------


def bill(rows: dict[Key, dict[str, int]]) -> Bill:
    return Bill(tuple(next(iter(rows.values()))), rows)


def test_differences_are_listed_and_summed() -> None:
    told = bill({on(nov(1), M): {"submitted": 10, "billed": 10}, on(nov(2), M): {"submitted": 7, "billed": 9}})
    found = compare(told, {(nov(1), M): Left(10, 10, 9), (nov(2), M): Left(7, 7, 7), (nov(3), U): Left(4, 3, 3, 1)})
    assert [(line.key.day.day, line.differs) for line in reconcile.differing(found)] == [
        (2, {"submitted": 0, "billed": 2}), (3, {"submitted": -4, "billed": -3})
    ]  # fmt: skip
    assert found.lines[-1].bill == {}
    assert (found.bill, found.ours) == ({"submitted": 17, "billed": 19}, Left(21, 20, 19, 1))
    assert found.differs == {"submitted": -4, "billed": -1}
    assert not found.agrees


def test_a_bill_that_does_not_tell_operators_or_days_is_compared_as_it_is() -> None:
    ours = {(nov(1), M): Left(10, 10), (nov(1), U): Left(5, 5), (nov(30), None): Left(1, 1), (nov(9), T): Left()}
    by_day = compare(bill({on(nov(1)): {"submitted": 15}, on(nov(30)): {"submitted": 1}}), ours)
    assert by_day.agrees and len(by_day.lines) == 2
    by_month = compare(bill({Key(NOVEMBER, True, M): {"billed": 10}, Key(NOVEMBER, True, U): {"billed": 6}}), ours)
    assert [(line.key.operator, line.differs["billed"]) for line in by_month.lines] == [(None, -1), (M, 0), (U, 1)]


# -- with what left --------------------------------------------------------------------------------------------

BEIJING = timedelta(hours=8)


async def left(
    store: Store, number: str, at: datetime, *said: tuple[Outcome, str | None], carrier: str = "simulator"
) -> None:
    """A text of a part per pair: what was recorded, and the receipt."""
    text = [Queued(number, None, "短信", len(said))]
    key = message_id(await store.write(parcels.queue, envelope(), text, at), 0)
    rows = [(key, 1, part, outcome.value, carrier, None, None, at) for part, (outcome, _) in enumerate(said, 1)]
    await store.write(bulk.insert, submission, parcels.SUBMISSION_COLUMNS, rows)
    told = [(key, 1, part, state, None, "ref", at) for part, (_, state) in enumerate(said, 1) if state]
    await store.write(bulk.insert, receipt, receipts.RECEIPT_COLUMNS, told)


async def test_parts_are_counted_by_day_of_the_site_and_operator(store: Store, tmp_path: Path) -> None:
    late_evening = datetime(2026, 11, 1, 23, 59, tzinfo=UTC) - BEIJING
    taken, delivered = (Outcome.ACCEPTED, None), (Outcome.ACCEPTED, "delivered")
    await left(store, mobile(1), late_evening, delivered, taken)
    await left(store, mobile(2), late_evening, (Outcome.REJECTED, None))
    await left(store, mobile(3), late_evening, (Outcome.DEFERRED, None))
    await left(store, mobile(3, 130), late_evening, (Outcome.UNCERTAIN, None))
    await left(store, mobile(3, 130), late_evening, (Outcome.ACCEPTED, "undelivered"))
    await left(store, mobile(4), late_evening + timedelta(minutes=2), delivered)
    await left(store, mobile(4), late_evening, delivered, carrier="other")
    sheet = csv(
        tmp_path, "日期,运营商,提交条数,受理条数,送达条数,计费条数\n2026-11-01,移动,3,2,1,3\n2026-11-01,联通,2,1,0,1\n"
    )
    found = await Bills(store, SITE).reconcile(sheet)
    assert (found.carrier, found.since, found.until) == ("simulator", NOVEMBER, date(2026, 12, 1))
    assert {(line.key.day.day, line.key.operator): line.ours for line in found.found.lines} == {
        (1, M): Left(3, 2, 1), (1, U): Left(2, 1, 0, 1), (2, M): Left(1, 1, 1)
    }  # fmt: skip
    assert [line.differs for line in found.found.lines] == [
        {"submitted": 0, "accepted": 0, "delivered": 0, "billed": 1},
        {"submitted": 0, "accepted": 0, "delivered": 0, "billed": 0},
        {"submitted": -1, "accepted": -1, "delivered": -1, "billed": -1},
    ]


async def test_one_of_several_accounts_must_be_named(sqlite_store: Store, tmp_path: Path) -> None:
    account = SITE.carriers["simulator"]
    two = SITE.model_copy(update={"carriers": {"a": account, "b": account}})
    sheet = csv(tmp_path, "日期,计费条数\n2026-11-01,0\n")
    with pytest.raises(Refused, match="whose bill"):
        await Bills(sqlite_store, two).reconcile(sheet)
    with pytest.raises(NotFound, match="no account c"):
        await Bills(sqlite_store, two).reconcile(sheet, carrier="c")
    assert (await Bills(sqlite_store, two).reconcile(sheet, carrier="b")).found.agrees
