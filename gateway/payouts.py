"""A payout spreadsheet against the roster: one payment per person, or the reason why a row is none. Pure.

A personal text with somebody's money in it must not reach a neighbour, so a row is paid only where everything that
can be checked agrees. Each row gives one Payment or one PayoutProblem; the first reason that holds counts, in the
order of `REASONS`:

- the number is one mobile number, the roster has it, and under that name;
- the person was not payable in an earlier row (several people may share a number: the person counts);
- the amount can be read, is the row's own (one merged over several rows is the first row's) and is above 0;
- it is area x rate, rounded half up to a cent, where the table has both columns;
- the last digits of the account are four digits, where the table has that column (spreadsheets eat leading zeros).

Amounts are Decimals with two places, rounded half up, as a spreadsheet shows them. A payment carries all columns as
text for the template, but never an identity number or a whole account number: of that only the last four digits.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from gateway import phone as phones
from gateway.sheets import Cell, Header, Row, Table, headed, records, written
from gateway.sheets.cells import hidden, joined, person_name, plain
from gateway.sheets.headings import IDENTITIES, NAMES, PHONES, VILLAGES

WANTED: Final[Mapping[str, tuple[str, ...]]] = {
    "phone": PHONES,
    "name": NAMES,
    "village": VILLAGES,
    "amount": (
        *("金额", "发放金额", "实发金额", "补贴金额", "补助金额", "兑付金额", "兑现金额", "应发金额", "补贴资金"),
        *("补助资金", "资金", "实际发放金额", "发放资金", "amount"),
    ),
    "area": ("面积", "补贴面积", "补助面积", "种植面积", "核定面积", "核实面积", "亩数"),
    "rate": ("标准", "补贴标准", "补助标准", "发放标准", "单价", "每亩标准", "亩均标准"),
    "tail": ("账号尾号", "尾号", "账号后四位", "卡号尾号", "卡号后四位", "账户尾号", "银行卡尾号", "银行账号尾号"),
}
NEEDED: Final = ("name", "phone", "amount")
SINGLE: Final = ("phone", "amount", "area", "rate", "tail")
TAIL: Final = "账号尾号"

REASONS: Final[Mapping[str, tuple[str, str]]] = {
    "bad_number": ("不是手机号码", "no mobile number"),
    "not_in_roster": ("花名册里没有这个号码", "the roster does not have this number"),
    "wrong_name": ("花名册里这个号码不是此人的", "the roster has this number under another name"),
    "duplicate_person": ("此人前面已有一行可发", "this person is paid in an earlier row"),
    "missing_amount": ("金额没有填写或读不出", "the amount is missing or cannot be read"),
    "merged_amount": ("金额单元格与上面的行合并，不知各人多少", "the amount's cell is merged with the row above"),
    "zero_amount": ("金额不大于零", "the amount is not above zero"),
    "amount_mismatch": ("金额不等于面积乘标准", "the amount is not area times rate"),
    "bad_tail": (
        "账号尾号不是四位数字（可能丢了开头的零）",
        "the account's last digits are not four (zeros may be lost)",
    ),
}

_CENT: Final = Decimal("0.01")
_MONEY: Final = re.compile(r"[¥$]?(-?(?:\d{1,3}(?:,\d{3})+|\d{1,12})(?:\.\d{1,12})?)元?(?:/亩)?")
_TAIL_DIGITS: Final = re.compile(r"[0-9]{4}")
_ACCOUNT: Final = re.compile(r"(?:账|帐|卡)(?:户|号|号码|户号码)$|银行卡$|存折$|社保卡|一卡通")


@dataclass(frozen=True, slots=True)
class Payment:
    """A row to be paid. `phone` is E.164; `amount` in yuan; `fields`: heading without unit -> text as written.

    Where the heading's unit is yuan, the text has two decimals; 金额 is always there, whatever the column is called.
    """

    row: int
    name: str
    phone: str
    village: str
    fields: Mapping[str, str]
    amount: Decimal


@dataclass(frozen=True, slots=True)
class PayoutProblem:
    """A row that is not paid. `phone` is masked; `of_row` only for duplicate_person: the row that is paid."""

    row: int
    reason: str
    name: str
    phone: str
    of_row: int | None = None


def explain(reason: str) -> tuple[str, str]:
    """What to tell an official about a PayoutProblem.reason, as (zh, en); KeyError for another word."""
    return REASONS[reason]


def check(
    table: Table, people: Mapping[str, Collection[str]], columns: Mapping[str, str] | None = None
) -> Iterator[Payment | PayoutProblem]:
    """Each row judged, in order. `people`: E.164 -> the names the roster has for it; `columns` as in `headed`.

    Raises Unsure at once where the columns or the sheet are in doubt; while iterating, Refused where the file breaks.
    """
    table, header = headed(table, WANTED, columns, needed=NEEDED, single=SINGLE)
    return _judged(records(table.rows(), header), header, people)


def _judged(
    rows: Iterable[Row], header: Header, people: Mapping[str, Collection[str]]
) -> Iterator[Payment | PayoutProblem]:
    paid: dict[tuple[str, str], int] = {}
    for row in rows:
        name, number = person_name(header.cell(row, "name")), phones.parse(header.cell(row, "phone"))
        e164 = number.e164 or ""
        reason = _whose(number, name, people) or ("duplicate_person" if (e164, name) in paid else None)
        reason = reason or _money_trouble(row, header) or _tail_trouble(row, header)
        if reason is None:
            paid[e164, name] = row.number
            yield _payment(row, header, name, e164)
        else:
            earlier = paid.get((e164, name)) if reason == "duplicate_person" else None
            yield PayoutProblem(row.number, reason, name, hidden(header.cell(row, "phone")), earlier)


def _whose(number: phones.Phone, name: str, people: Mapping[str, Collection[str]]) -> str | None:
    if number.reason is not None or number.e164 is None:
        return "bad_number"
    if number.e164 not in people:
        return "not_in_roster"
    return None if name in people[number.e164] else "wrong_name"


def _money_trouble(row: Row, header: Header) -> str | None:
    amount = money(header.cell(row, "amount"))
    if amount is None:
        return "missing_amount"
    if header.columns["amount"] in row.filled:
        return "merged_amount"
    if amount <= 0:
        return "zero_amount"
    if "area" in header.columns and "rate" in header.columns and amount != _due(row, header):
        return "amount_mismatch"
    return None


def _due(row: Row, header: Header) -> Decimal | None:
    area, rate = quantity(header.cell(row, "area")), quantity(header.cell(row, "rate"))
    return None if area is None or rate is None else _to_cents(area * rate)


def _tail_trouble(row: Row, header: Header) -> str | None:
    if "tail" in header.columns and not _TAIL_DIGITS.fullmatch(joined(header.text(row, "tail"))):
        return "bad_tail"
    return None


def quantity(cell: Cell) -> Decimal | None:
    """A number as people write it: 1,455.12, ¥84.60, 84.60元/亩; None for what is none."""
    found = _MONEY.fullmatch(joined(written(cell))) if not isinstance(cell, bool) else None
    return Decimal(found[1].replace(",", "")) if found else None


def money(cell: Cell) -> Decimal | None:
    """Yuan with two places, rounded half up; None for what is no number."""
    amount = quantity(cell)
    return None if amount is None else _to_cents(amount)


def _to_cents(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, ROUND_HALF_UP)


def _payment(row: Row, header: Header, name: str, phone: str) -> Payment:
    amount = money(header.cell(row, "amount")) or Decimal()
    fields = dict(_fields(row, header)) | {"金额": str(amount)}
    return Payment(row.number, name, phone, joined(header.text(row, "village")), fields, amount)


def _fields(row: Row, header: Header) -> Iterator[tuple[str, str]]:
    for position, (heading, unit) in enumerate(zip(header.headings, header.units, strict=True)):
        text = plain(written(row.cells[position])) if position < len(row.cells) else ""
        if position == header.columns.get("tail"):
            yield TAIL, joined(text)
        elif _ACCOUNT.search(heading):
            if "tail" not in header.columns:
                yield TAIL, text[-4:]
        elif heading and heading not in IDENTITIES:
            yield heading, _yuan(text) if unit.startswith("元") else text


def _yuan(text: str) -> str:
    """84.6 -> 84.60; more than two decimals stay as they are."""
    amount = quantity(text)
    exact = amount is not None and amount == _to_cents(amount)
    return str(_to_cents(amount)) if amount is not None and exact else text
