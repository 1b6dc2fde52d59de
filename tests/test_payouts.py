"""The sample payout list, in both formats, row by row; and what keeps a text with money from a neighbour."""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.payouts import REASONS, Payment, PayoutProblem, check, explain, money, quantity
from gateway.roster.reading import PersonRow, read_people
from gateway.sheets import Cell, Row, Table, Unsure, open_table

SUBSCRIBERS = Path(__file__).parents[1] / "subscribers"
EXPECTED = json.loads((Path(__file__).parent / "data" / "subsidy-2026-grain-expected.json").read_text("utf-8"))
A, B = "13800130001", "18200130002"
PEOPLE = {"+86" + A: {"惠波", "惠敏"}, "+86" + B: {"郭春娥"}}
HEADING = ("姓名", "手机号", "村", "面积(亩)", "标准(元/亩)", "金额(元)", "账号尾号")
FIELDS = ("姓名", "手机号", "村", "面积", "标准", "金额", "账号尾号")
GOOD: dict[str, Cell] = {"姓名": "惠波", "手机号": A, "村": "枣湾村", "面积(亩)": "17.2", "标准(元/亩)": "84.60"}
GOOD |= {"金额(元)": "1455.12", "账号尾号": "0215"}


def table(*rows: Mapping[str, Cell], heading: tuple[str, ...] = HEADING, merged: Collection[int] = ()) -> Table:
    """`merged`: numbers of the rows whose sixth column came down from a merged cell."""
    cells: list[Any] = [heading, *(tuple(row.get(key) for key in heading) for row in rows)]
    made = [Row(n, row, frozenset({5} if n in merged else ())) for n, row in enumerate(cells, 1)]
    return Table("发放表.csv", ("",), "", lambda _: iter(made))


def judged(*rows: Mapping[str, Cell], **options: Any) -> list[Payment | PayoutProblem]:
    return list(check(table(*(GOOD | dict(row) for row in rows), **options), PEOPLE))


def reason(**changed: Cell) -> str | None:
    [result] = judged({key if key in HEADING else LONG[key]: value for key, value in changed.items()})
    return None if isinstance(result, Payment) else result.reason


LONG = {"面积": "面积(亩)", "标准": "标准(元/亩)", "金额": "金额(元)"}


@pytest.fixture(scope="module")
def town() -> dict[str, set[str]]:
    names: dict[str, set[str]] = defaultdict(set)
    for person in read_people(open_table(SUBSCRIBERS / "sample-town.csv")):
        if isinstance(person, PersonRow) and person.phone:
            names[person.phone].add(person.name)
    return dict(names)


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_the_sample_list_row_by_row(form: str, town: dict[str, set[str]]) -> None:
    results = list(check(open_table(SUBSCRIBERS / f"sample-subsidy-2026-grain.{form}"), town))
    payments = [result for result in results if isinstance(result, Payment)]
    problems = [result for result in results if isinstance(result, PayoutProblem)]
    assert len(payments) == EXPECTED["counts"]["payable"] == 600
    assert str(sum(payment.amount for payment in payments)) == EXPECTED["payable_total"] == "514858.68"
    assert [(problem.row, problem.reason, problem.of_row) for problem in problems] == [
        (problem["row"], problem["reason"], problem.get("of_row")) for problem in EXPECTED["problems"]
    ]
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for payment in payments:
        totals[payment.village] += payment.amount
    assert {village: str(total) for village, total in totals.items()} == {
        village: expected["total"] for village, expected in EXPECTED["payable_by_village"].items()
    }


def test_both_formats_give_the_same_payments(town: dict[str, set[str]]) -> None:
    both = [
        list(check(open_table(SUBSCRIBERS / f"sample-subsidy-2026-grain.{form}"), town)) for form in ("csv", "xlsx")
    ]
    for text, book in zip(*both, strict=True):
        if isinstance(text, Payment) and isinstance(book, Payment):
            assert Decimal(text.fields["面积"]) == Decimal(book.fields["面积"])
            assert {**text.fields, "面积": ""} == {**book.fields, "面积": ""}
            assert (text.phone, text.name, text.amount) == (book.phone, book.name, book.amount)
        else:
            assert text == book


def test_a_payment_carries_all_columns_as_text() -> None:
    [payment] = judged({"面积(亩)": 17.2, "标准(元/亩)": 84.6, "金额(元)": 17.2 * 84.6, "村": " 枣湾村"})
    assert payment == Payment(
        row=2,
        name="惠波",
        phone="+86" + A,
        village="枣湾村",
        fields=dict(zip(FIELDS, ("惠波", A, "枣湾村", "17.2", "84.60", "1455.12", "0215"), strict=True)),
        amount=Decimal("1455.12"),
    )


def test_name_number_and_amount_are_enough() -> None:
    rows: list[dict[str, Cell]] = [
        {"户主": "惠波", "电话": A, "发放金额（元）": "¥1,455.1"},
        {"户主": "郭春娥", "电话": int(B), "发放金额（元）": 7},
    ]
    results = list(check(table(*rows, heading=("户主", "电话", "发放金额（元）")), PEOPLE))
    assert [(item.amount, item.fields) for item in results if isinstance(item, Payment)] == [
        (Decimal("1455.10"), {"户主": "惠波", "电话": A, "发放金额": "1455.10", "金额": "1455.10"}),
        (Decimal("7.00"), {"户主": "郭春娥", "电话": B, "发放金额": "7.00", "金额": "7.00"}),
    ]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, None),
        ({"手机号": "1820013029"}, "bad_number"),
        ({"手机号": None}, "bad_number"),
        ({"手机号": f"{A}/{B}"}, "bad_number"),
        ({"手机号": "19200139051"}, "not_in_roster"),
        ({"姓名": "郭春娥"}, "wrong_name"),
        ({"姓名": None}, "wrong_name"),
        ({"姓名": " 惠　敏"}, None),
        ({"金额": None}, "missing_amount"),
        ({"金额": "约一千"}, "missing_amount"),
        ({"金额": True}, "missing_amount"),
        ({"金额": "0.00"}, "zero_amount"),
        ({"金额": "0.004"}, "zero_amount"),
        ({"金额": -5}, "zero_amount"),
        ({"金额": "1455.13"}, "amount_mismatch"),
        ({"面积": None}, "amount_mismatch"),
        ({"标准": "面议"}, "amount_mismatch"),
        ({"面积": "2.5", "标准": "84.61元/亩", "金额": "211.53元"}, None),
        ({"面积": "2.5", "标准": "84.61", "金额": "211.52"}, "amount_mismatch"),
        ({"账号尾号": "75"}, "bad_tail"),
        ({"账号尾号": 215}, "bad_tail"),
        ({"账号尾号": None}, "bad_tail"),
        ({"账号尾号": 8215}, None),
        ({"账号尾号": "０２１５"}, None),
    ],
)
def test_reasons(changed: dict[str, Cell], expected: str | None) -> None:
    assert reason(**changed) == expected


@pytest.mark.parametrize("first", range(8))
def test_the_first_reason_counts(first: int) -> None:
    """Rows that are wrong in every respect from the n-th on."""
    wrong: list[dict[str, Cell]] = [
        {"手机号": "1820013029"},
        {"手机号": "19200139051"},
        {"姓名": "郭春娥"},
        {},
        {"金额(元)": None},
        {"金额(元)": "0"},
        {"金额(元)": "1"},
        {"账号尾号": "75"},
    ]
    order = [
        *("bad_number", "not_in_roster", "wrong_name", "duplicate_person", "missing_amount"),
        *("zero_amount", "amount_mismatch", "bad_tail"),
    ]
    row: dict[str, Cell] = {}
    for fault in reversed(wrong[first:]):
        row |= fault
    earlier = [GOOD] if first <= 3 else []
    last = judged(*earlier, row)[-1]
    assert isinstance(last, PayoutProblem)
    assert last.reason == order[first]


def test_a_family_on_one_number_is_paid_person_by_person() -> None:
    results = judged({}, {"姓名": "惠敏"}, {}, {"姓名": "惠敏", "金额(元)": None})
    assert [isinstance(result, Payment) for result in results] == [True, True, False, False]
    assert results[2] == PayoutProblem(4, "duplicate_person", "惠波", "138*****001", of_row=2)
    assert results[3] == PayoutProblem(5, "duplicate_person", "惠敏", "138*****001", of_row=3)


def test_a_row_that_was_not_payable_does_not_stand_in_the_way() -> None:
    results = judged({"金额(元)": None}, {})
    assert [isinstance(result, Payment) for result in results] == [False, True]
    assert isinstance(results[0], PayoutProblem)
    assert results[0].of_row is None


def test_an_amount_merged_over_two_people_is_not_two_amounts() -> None:
    results = judged({}, {"姓名": "惠敏"}, merged={3})
    assert isinstance(results[0], Payment)
    assert results[1] == PayoutProblem(3, "merged_amount", "惠敏", "138*****001")


def test_whole_accounts_and_identity_numbers_stay_behind() -> None:
    secret: dict[str, Cell] = {"银行账号": "6222000000004646", "身份证号": "610899199001020012", "": "x"}
    heading: tuple[str, ...] = ("姓名", "手机号", "金额", "银行账号", "身份证号", "")
    [payment] = check(table(GOOD | {"金额": "5"} | secret, heading=heading), PEOPLE)
    assert isinstance(payment, Payment)
    assert payment.fields == {"姓名": "惠波", "手机号": A, "金额": "5.00", "账号尾号": "4646"}
    heading = ("姓名", "手机号", "金额", "账号尾号", "银行卡号")
    [payment] = check(table(GOOD | {"金额": "5", "银行卡号": "6222000000009999"}, heading=heading), PEOPLE)
    assert isinstance(payment, Payment)
    assert payment.fields["账号尾号"] == "0215"
    assert "银行卡号" not in payment.fields


def test_short_rows() -> None:
    rows = [Row(1, (*HEADING[:2], "金额", "备注")), Row(2, ("惠波", A, 5))]
    [payment] = check(Table("a", ("",), "", lambda _: iter(rows)), PEOPLE)
    assert isinstance(payment, Payment)
    assert payment.fields["备注"] == ""


def test_two_columns_of_money_are_asked_for() -> None:
    heading = ("姓名", "手机号", "应发金额", "实发金额")
    made = table(GOOD | {"应发金额": 9, "实发金额": 5}, heading=heading)
    with pytest.raises(Unsure) as doubt:
        check(made, PEOPLE)
    assert (doubt.value.key, set(doubt.value.candidates)) == ("amount", {"应发金额", "实发金额"})
    [payment] = check(made, PEOPLE, {"amount": "实发金额"})
    assert isinstance(payment, Payment)
    assert payment.amount == 5


def test_numbers_as_people_write_them() -> None:
    cells: list[Cell] = [
        "1,455.12",
        "￥84.60",
        " 84.6 元/亩",
        "１２",
        12,
        0.1 + 0.2,
        "12,34",
        "1.5.5",
        "",
        None,
        "-3",
        False,
    ]
    assert [quantity(cell) for cell in cells] == [
        *(Decimal(number) for number in ("1455.12", "84.60", "84.6", "12", "12", "0.3")),
        *(None, None, None, None, Decimal(-3), None),
    ]
    assert [str(money(cell)) for cell in ("0.005", "2.675", 2.675, "7", "x")] == [
        "0.01",
        "2.68",
        "2.68",
        "7.00",
        "None",
    ]


def test_rates_with_more_than_two_decimals_stay_as_they_are() -> None:
    [payment] = judged({"标准(元/亩)": "84.605", "面积(亩)": "2", "金额(元)": "169.21"})
    assert isinstance(payment, Payment)
    assert payment.fields["标准"] == "84.605"
    heading = ("姓名", "手机号", "金额", "补贴类别(元)")
    [payment] = check(table(GOOD | {"金额": 1, "补贴类别(元)": "一次性"}, heading=heading), PEOPLE)
    assert isinstance(payment, Payment)
    assert payment.fields["补贴类别"] == "一次性"


def test_every_reason_can_be_explained() -> None:
    assert set(EXPECTED["problems_by_reason"]) | {"merged_amount"} == set(REASONS)
    assert all(zh and en for zh, en in map(explain, REASONS))
    with pytest.raises(KeyError):
        explain("weather")
