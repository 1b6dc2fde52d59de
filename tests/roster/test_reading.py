"""The sample town in every form in which a hall may hand it over, row by row against what it must give."""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from gateway.errors import Refused
from gateway.roster.reading import (
    Duplicate,
    NotTaken,
    PersonRow,
    Read,
    Summary,
    explain,
    numbers_in,
    read_people,
    tags_in,
)
from gateway.sheets import Row, Table, Unsure, open_table

TOWN = Path(__file__).parents[2] / "subscribers" / "sample-town.csv"
DATA = Path(__file__).parents[1] / "data"
EXPECTED = json.loads((DATA / "roster-expected.json").read_text("utf-8"))
A, B = "13800130001", "18200130002"
HEADING = ("姓名", "手机号", "村", "组", "性别", "出生日期", "身份证号", "标签", "务工地", "备注", "代收人", "代收电话")


def summed(people: Iterator[Read]) -> tuple[Summary, list[Read]]:
    summary, read = Summary(), list(people)
    for one in read:
        summary.add(one)
    return summary, read


def in_memory(*rows: Mapping[str, object], heading: tuple[str, ...] = HEADING) -> Table:
    cells: list[Any] = [heading, *(tuple(row.get(key) for key in heading) for row in rows)]
    return Table("名单.csv", ("",), "", lambda _: (Row(number, row) for number, row in enumerate(cells, 1)))


def one(**fields: object) -> Read:
    [read] = read_people(in_memory({"姓名": "惠波", "手机号": A} | fields))
    return read


def person(**fields: object) -> PersonRow:
    read = one(**fields)
    assert isinstance(read, PersonRow)
    return read


@pytest.fixture(scope="module")
def town_rows() -> list[list[str]]:
    with TOWN.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.fixture(scope="module")
def town() -> tuple[Summary, list[Read]]:
    return summed(read_people(open_table(TOWN)))


def test_the_town_row_by_row(town: tuple[Summary, list[Read]]) -> None:
    summary, read = town
    assert summary.as_dict() == {
        "rows": 3000,
        "importable": 2955,
        "duplicates": 18,
        "shared": 6,
        "rejected": [{"row": lost["row"], "reason": lost["reason"]} for lost in EXPECTED["rejected"]],
    }
    assert [item.row for item in read] == list(range(2, 3002))
    duplicates = {item.row: item.of_row for item in read if isinstance(item, Duplicate)}
    shared = {item.row: item.shares_with for item in read if isinstance(item, PersonRow) and item.shares_with}
    for expected in EXPECTED["duplicates"]:
        found = duplicates if expected["same_person"] else shared
        assert found.pop(expected["row"]) == expected["of_row"]
    assert not duplicates
    assert not shared


def test_what_is_normalised_and_nothing_else(town: tuple[Summary, list[Read]], town_rows: list[list[str]]) -> None:
    heading = town_rows[0]
    changed = {row["row"]: {key: new for key, (_, new) in row["fields"].items()} for row in EXPECTED["normalised"]}
    for item in town[1]:
        if isinstance(item, PersonRow) and not item.shares_with:
            expected = dict(zip(heading, town_rows[item.row - 1], strict=True)) | changed.pop(item.row, {})
            assert as_written(item) == expected
    assert not changed


def as_written(item: PersonRow) -> dict[str, str]:
    assert item.phone is not None
    assert item.birth is not None
    return {
        "姓名": item.name,
        "手机号": item.phone.removeprefix("+86"),
        "村": item.village,
        "组": item.group,
        "性别": item.sex,
        "出生日期": item.birth.isoformat(),
        "标签": ";".join(item.tags),
        "在外务工地": item.away_to,
        "备注": item.note,
    }


def test_the_counts_by_village_and_tag(town: tuple[Summary, list[Read]]) -> None:
    first = [item for item in town[1] if isinstance(item, PersonRow) and not item.shares_with]
    assert Counter(item.village for item in first) == EXPECTED["importable_by"]["村"]
    assert Counter(tag for item in first for tag in item.tags) == EXPECTED["importable_by"]["标签"]


def as_text(rows: list[list[str]], mark: str) -> str:
    return "".join(mark.join(f'"{cell}"' for cell in row) + "\r\n" for row in rows)


def as_workbook(path: Path, rows: list[list[str]]) -> None:
    """Two title rows, the village first and merged over its people, sums at the end, a second sheet with a note."""
    made = xlsxwriter.Workbook(path)
    sheet = made.add_worksheet("花名册")
    sheet.merge_range(0, 0, 0, 8, "枣原镇2026年居民花名册")
    sheet.write(1, 0, "单位：枣原镇便民服务中心")
    for number, row in enumerate(rows, 2):
        sheet.write_row(number, 1, row[:2] + row[3:])
    sheet.write(2, 0, "所在村")
    start = 1
    while start < len(rows):
        end = next((n for n in range(start, len(rows)) if rows[n][2] != rows[start][2]), len(rows))
        if end - start > 1:
            sheet.merge_range(start + 2, 0, end + 1, 0, rows[start][2])
        else:
            sheet.write(start + 2, 0, rows[start][2])
        start = end
    sheet.write_row(len(rows) + 2, 0, ["合计", f"{len(rows) - 1}人"])
    sheet.write(len(rows) + 3, 0, "制表人：样例　审核人：样例")
    made.add_worksheet("填表说明").write(0, 0, "手机号按本人填写")
    made.close()


@pytest.mark.parametrize("form", ["gb18030", "utf-16", "xlsx"])
def test_the_town_in_other_forms(
    form: str, tmp_path: Path, town: tuple[Summary, list[Read]], town_rows: list[list[str]]
) -> None:
    file = tmp_path / "town"
    if form == "xlsx":
        as_workbook(file, town_rows)
    else:
        file.write_bytes(as_text(town_rows, "\t" if form == "utf-16" else ",").encode(form))
    offset = 2 if form == "xlsx" else 0
    summary, read = summed(read_people(open_table(file)))
    assert (summary.rows, summary.importable, summary.duplicates, summary.shared) == (3000, 2955, 18, 6)
    for item, expected in zip(read, town[1], strict=True):
        assert type(item) is type(expected)
        assert item.row == expected.row + offset
        if isinstance(item, PersonRow) and isinstance(expected, PersonRow):
            assert as_written(item) == as_written(expected)
        elif isinstance(item, NotTaken) and isinstance(expected, NotTaken):
            assert item.reason == expected.reason


def test_an_old_workbook_with_titles_merged_villages_and_a_sum() -> None:
    people = [item for item in read_people(open_table(DATA / "sample-town.xls")) if isinstance(item, PersonRow)]
    assert [(item.row, item.name, item.phone, item.village) for item in people] == [
        (3, "折学录", "+8618200130219", "枣湾村"),
        (4, "苗文明", "+8613300130086", "枣湾村"),
        (5, "惠敏", "+8613800130302", "枣湾村"),
        (6, "惠涛", "+8613800130336", "石畔村"),
    ]
    assert people[0].birth == date(1964, 10, 22)
    assert people[0].tags == ("果农", "种粮户")


# Single fields


def test_all_fields() -> None:
    read = person(
        村=" 枣湾村 ", 组=3, 性别="女性", 出生日期="1990/1/2", 标签="党员、果农，党员", 务工地="西 安", 备注=" 夜班 "
    )
    assert read == PersonRow(
        row=2,
        name="惠波",
        phone="+86" + A,
        village="枣湾村",
        group="3组",
        sex="女",
        birth=date(1990, 1, 2),
        tags=("党员", "果农"),
        away_to="西安",
        note="夜班",
    )


def test_lesser_fields_that_cannot_be_read_are_left_empty() -> None:
    read = person(性别="不详", 出生日期="不详", 组="二组")
    assert (read.sex, read.birth, read.group) == ("", None, "二组")


def test_tags() -> None:
    assert tags_in("党员;低保；高龄、果农, 军属  学生/党员") == ("党员", "低保", "高龄", "果农", "军属", "学生")
    assert tags_in(" ") == ()


@pytest.mark.parametrize(
    ("cell", "numbers", "reason"),
    [
        (f"{A}/{B}", (A, B), None),
        (f"{A}、{B}", (A, B), None),
        (f"{A} {B}", (A, B), None),
        (f"{A}\n{B}", (A, B), None),
        (f"138 0013 0001；{B}", (A, B), None),
        (f"{A},{A}", (A,), None),
        (f"0912-0000573/{B}", (B,), None),
        (f"{A}/", (A,), None),
        ("138 0013 0001", (A,), None),
        (13800130001, (A,), None),
        ("0912-0000573/1380013000", (), "landline"),
        ("1380013000 1820013000", (), "too_long"),
        ("///", (), "not_digits"),
        ("", (), "missing_phone"),
        (None, (), "missing_phone"),
        (1380013000, (), "ten_digits"),
    ],
)
def test_two_numbers_in_a_cell(cell: str | int | None, numbers: tuple[str, ...], reason: str | None) -> None:
    assert numbers_in(cell) == (tuple("+86" + number for number in numbers), reason)


def test_the_other_numbers_are_kept() -> None:
    read = person(手机号=f"{A}/{B}")
    assert (read.phone, read.other_phones) == ("+86" + A, ("+86" + B,))


def test_who_has_no_number_has_a_taker() -> None:
    read = person(手机号=None, 代收人="惠 敏", 代收电话=B)
    assert (read.phone, read.taker_name, read.taker_phone) == (None, "惠敏", "+86" + B)
    assert person(代收电话=B).phone == "+86" + A


@pytest.mark.parametrize(
    ("fields", "reason", "shown"),
    [
        ({"手机号": None}, "missing_phone", ""),
        ({"手机号": None, "代收电话": "0912-0000573"}, "bad_taker", ""),
        ({"手机号": "0912-0000573", "代收电话": B}, "landline", "091******573"),
        ({"姓名": " "}, "missing_name", "138*****001"),
        ({"姓名": None, "手机号": None, "村": "枣湾村"}, "missing_name", ""),
    ],
)
def test_who_is_not_taken(fields: dict[str, object], reason: str, shown: str) -> None:
    read = one(**fields)
    assert isinstance(read, NotTaken)
    assert (read.row, read.reason, read.phone) == (2, reason, shown)
    assert all(explain(reason))


def test_every_reason_can_be_explained() -> None:
    assert {lost["reason"] for lost in EXPECTED["rejected"]} | {"bad_taker"} == {
        reason for reason in {*EXPECTED["rejected_by_reason"], "bad_taker"} if all(explain(reason))
    }
    with pytest.raises(KeyError):
        explain("weather")


def test_prepared_lines_with_nothing_in_them_are_no_rows() -> None:
    heading = ("序号", "姓名", "手机号", "村")
    rows: list[Any] = [
        heading,
        (1, "惠波", A, "枣湾村"),
        (2, None, None, "枣湾村"),
        (3, " ", None),
        (4, None, None, "x"),
    ]
    table = Table("a", ("",), "", lambda _: (Row(n, row, frozenset({3} & {n})) for n, row in enumerate(rows, 1)))
    assert [(item.row, type(item)) for item in read_people(table)] == [(2, PersonRow), (5, NotTaken)]


def with_check_digit(first: str) -> str:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    remainder = sum(int(digit) * weight for digit, weight in zip(first, weights, strict=True)) % 11
    return first + "10X98765432"[remainder]


@pytest.mark.parametrize(("order", "sex"), [("001", "男"), ("002", "女")])
def test_an_identity_number_gives_birth_and_sex_and_is_not_kept(order: str, sex: str) -> None:
    identity = with_check_digit("61089919900102" + order)
    read = person(身份证号="'" + identity.lower())
    assert (read.birth, read.sex) == (date(1990, 1, 2), sex)
    assert identity[:17] not in repr(read)


def test_an_identity_number_does_not_overrule_what_is_written() -> None:
    identity = with_check_digit("61089919900102001")
    assert person(身份证号=identity, 性别="女").sex == "女"
    assert person(身份证号=identity, 出生日期="1991-1-1").birth == date(1991, 1, 1)
    assert person(身份证号=identity, 出生日期="1991-1-1", 性别="女").birth == date(1991, 1, 1)


@pytest.mark.parametrize("identity", ["61089919900102001X", "61089919900102001", 610899199001020000, "无", None])
def test_a_wrong_identity_number_says_nothing(identity: object) -> None:
    assert identity != with_check_digit("61089919900102001")
    read = person(身份证号=identity)
    assert (read.birth, read.sex) == (None, "")


def test_a_right_check_digit_does_not_make_a_day() -> None:
    assert person(身份证号=with_check_digit("61089919900230001")).birth is None


# Who is who


def test_the_same_again_the_family_and_those_without_a_number() -> None:
    rows: list[dict[str, object]] = [
        {"姓名": "惠波", "手机号": A, "务工地": "西安"},
        {"姓名": "惠 波", "手机号": "+86" + A, "务工地": "榆林"},
        {"姓名": "惠敏", "手机号": A},
        {"姓名": "惠敏", "手机号": A},
        {"姓名": "郭春娥", "代收电话": B, "村": "枣湾村"},
        {"姓名": "郭春娥", "代收电话": B, "村": "石畔村"},
        {"姓名": "郭春娥", "代收电话": A, "村": "枣湾村"},
    ]
    summary, read = summed(read_people(in_memory(*rows)))
    assert (summary.rows, summary.importable, summary.duplicates, summary.shared) == (7, 4, 3, 1)
    assert [(item.row, item.of_row) for item in read if isinstance(item, Duplicate)] == [(3, 2), (5, 4), (8, 6)]
    assert isinstance(read[1], Duplicate)
    assert read[1].person.away_to == "榆林"
    assert [item.shares_with for item in read if isinstance(item, PersonRow)] == [None, 2, None, None]


def test_columns_in_doubt_are_asked_for_at_once() -> None:
    table = in_memory({"姓名": "惠波", "手机": A, "家庭电话": B}, heading=("姓名", "手机", "家庭电话"))
    with pytest.raises(Unsure) as doubt:
        read_people(table)
    assert doubt.value.candidates == ("手机", "家庭电话")
    [read] = read_people(table, {"phone": "家庭电话"})
    assert isinstance(read, PersonRow)
    assert read.phone == "+86" + B


def test_a_file_that_breaks_gives_its_good_rows_first(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("姓名,手机号\n" + f"惠波,{A}\n" * 60 + f'"郭春娥,{B}\n', "utf-8")
    people = read_people(open_table(tmp_path / "a.csv"))
    assert [next(people).row for _ in range(60)] == list(range(2, 62))
    with pytest.raises(Refused, match="row 62"):
        next(people)


@pytest.mark.parametrize(
    "heading", ["手机", "手机号码", "联系电话", "电话号码", "电话", "联系方式", "联系人电话", "本人电话"]
)
@pytest.mark.parametrize("name", ["姓名", "户主姓名", "户主", "领款人"])
def test_the_many_names_of_two_columns(heading: str, name: str) -> None:
    [read] = read_people(in_memory({name: "惠波", heading: A}, heading=("序号", name, heading)))
    assert isinstance(read, PersonRow)
