"""A town of twenty cases, counted by hand: the summary's figures, its words, its cells and the county's form."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.styles import Font
from openpyxl.workbook.defined_name import DefinedName
from town import AUDITOR, BOSS, OTHER, TOWN, VILLAGE, Town, clerk

from gateway.errors import NotFound, Refused
from gateway.model import Happened, Role
from gateway.officials import Official
from gateway.scores import Scores, Summary, form, summary
from gateway.scores.summary import Cell, Line
from gateway.store import Store
from gateway.store.summary import FIGURES

FIRST, LAST = date(2026, 6, 1), date(2026, 7, 31)
GROUP_OF_VILLAGE = VILLAGE + "03"
NEXT_TOWN = "610899200201"

CASES: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    # minzheng: 7 received, 5 finished, 2 late
    *(
        ("minzheng", "07-06T10:00", one)
        for one in (
            {"item": "mz-01", "due_at": "07-09T17:30", "closed_at": "07-08T10:00", "rating": 5, "solved": True},
            {"item": "mz-01", "due_at": "07-09T17:30", "closed_at": "07-10T08:30", "rating": 3, "solved": True},
        )
    ),
    (
        "minzheng",
        "07-07T10:00",
        {
            "area": OTHER,
            "item": "mz-06",
            "due_at": "07-10T17:30",
            "closed_at": "07-07T10:05",
            "closed_how": "spot",
            "rating": 4,
            "solved": True,
        },
    ),
    ("minzheng", "07-08T10:00", {"due_at": "07-13T17:30", "closed_at": "07-13T17:30"}),
    ("minzheng", "07-20T10:00", {"area": OTHER, "due_at": "07-23T17:30"}),
    ("minzheng", "07-21T10:00", {"area": OTHER, "due_at": "07-24T17:30", "waiting_since": None, "state": "waiting"}),
    (
        "minzheng",
        "06-15T10:00",
        {
            "item": "mz-01",
            "due_at": "06-18T17:30",
            "closed_at": "06-17T10:00",
            "rating": 1,
            "solved": False,
            "rounds": 2,
        },
    ),
    # caizheng: 5 received, 4 finished
    (
        "caizheng",
        "06-20T10:00",
        {"item": "cz-01", "due_at": "06-25T17:30", "closed_at": "06-24T10:00", "rating": 2, "solved": True},
    ),
    (
        "caizheng",
        "07-01T00:30",
        {"due_at": "07-03T17:30", "closed_at": "07-01T09:00", "closed_how": "spot", "rating": 5, "solved": True},
    ),
    ("caizheng", "06-30T23:30", {"area": OTHER, "closed_at": "07-02T10:00"}),
    ("caizheng", "07-15T10:00", {"area": TOWN, "due_at": "08-05T17:30"}),
    ("caizheng", "07-15T10:00", {"area": NEXT_TOWN, "due_at": "07-20T17:30", "closed_at": "07-16T10:00"}),
    # one each
    ("front-desk", "07-10T10:00", {"due_at": "07-13T17:30", "closed_at": "07-10T11:00", "rating": 4, "solved": True}),
    (
        "xinfang",
        "07-11T10:00",
        {
            "kind": "complaint",
            "restricted": True,
            "about": "minzheng",
            "due_at": "07-17T17:30",
            "closed_at": "07-14T10:00",
        },
    ),
    ("old-desk", "07-12T10:00", {"due_at": "07-15T17:30", "closed_at": "07-13T10:00", "rating": 5}),
    (
        "jiuye",
        "07-13T10:00",
        {
            "area": GROUP_OF_VILLAGE,
            "item": "jy-02",
            "due_at": "07-16T17:30",
            "closed_at": "07-14T10:00",
            "rating": 5,
            "solved": True,
        },
    ),
    # not counted: merged, a part, before, after
    ("minzheng", "07-06T10:00", {"closed_at": "07-06T11:00", "closed_how": "merged", "merged_into": 1}),
    ("caizheng", "07-06T10:00", {"closed_at": "07-06T11:00", "parent_id": 1}),
    ("minzheng", "05-31T23:59", {"closed_at": "06-02T11:00"}),
    ("minzheng", "08-01T00:00", {}),
)
TOTAL = {
    "received": 16,
    "finished": 13,
    "open": 3,
    "on_time": 12,
    "late": 2,
    "handed_over": 2,
    "spot": 2,
    "rated": 9,
    "satisfied": 7,
    "told": 8,
    "solved": 7,
    "reopened": 1,
}


async def town(store: Store) -> Town:
    made = Town(store)
    numbers = [await made.opens(window, opened, **values) for window, opened, values in CASES]
    await made.changes(numbers[5], waiting_since=made.clock.now())
    for number, times in ((numbers[7], 2), (numbers[12], 1)):
        for _ in range(times):
            await made.happens(number, Happened.HANDED_OVER, "07-10T10:30", **{"from": "a", "to": "b"})
    return made


async def found(store: Store, by: Official | None = None) -> tuple[Scores, Summary]:
    scores = (await town(store)).scores
    return scores, await scores.summary(FIRST, LAST, by=by)


def received(lines: Any) -> dict[str, int]:
    return {line.name: line.counts["received"] for line in lines if line.counts["received"]}


# -- figures -------------------------------------------------------------------------------------------------------


async def test_the_whole_as_counted_by_hand(store: Store) -> None:
    _, all_of_it = await found(store)
    total = all_of_it.total
    assert dict(total.counts) == TOTAL
    assert total.stars == 34
    shown = {name: total.shown(name) for name in (*summary.RATES, "mean", "received")}
    assert shown == {
        "completion": "81.3%",
        "on_time_rate": "92.3%",
        "satisfaction": "77.8%",
        "solved_rate": "87.5%",
        "mean": "3.78",
        "received": "16",
    }


async def test_each_grouping_adds_up_to_the_whole(store: Store) -> None:
    _, all_of_it = await found(store)
    assert received(all_of_it.groups["window"]) == {
        "首问前台": 1,
        "财政惠农": 5,
        "民政社保": 7,
        "就业": 1,
        "信访": 1,
        "old-desk": 1,
    }
    assert received(all_of_it.groups["village"]) == {"枣原镇": 1, "枣湾村": 10, "石畔村": 4, "其他地方": 1}
    assert received(all_of_it.groups["month"]) == {"2026-06": 3, "2026-07": 13}
    assert received(all_of_it.groups["item"])["没有对上事项"] == 10
    for grouping, lines in all_of_it.groups.items():
        whole = summary.added("", "", lines)
        assert (dict(whole.counts), whole.stars) == (TOTAL, 34), grouping


async def test_one_window(store: Store) -> None:
    _, all_of_it = await found(store)
    line = next(one for one in all_of_it.groups["window"] if one.key == "minzheng")
    names = ("finished", "on_time", "late", "spot", "rated", "satisfied", "reopened")
    assert [line.counts[name] for name in names] == [5, 4, 2, 1, 4, 3, 1]
    idle = next(one for one in all_of_it.groups["window"] if one.key == "anjian")
    assert [idle.shown(name) for name in ("received", *summary.RATES, "mean")] == ["0", *["—"] * 5]


async def test_every_figure_lists_its_cases(store: Store) -> None:
    scores, all_of_it = await found(store)
    for grouping, lines in all_of_it.groups.items():
        for line in lines:
            for figure in FIGURES if line.counts["received"] else ("received",):
                listed = await scores.cases_of(Cell(figure, **{grouping: line.key}), FIRST, LAST)
                assert (len(listed.cases), listed.hidden) == (line.counts[figure], 0), (line.name, figure)


async def test_a_cell_in_words(sqlite_store: Store) -> None:
    scores, _ = await found(sqlite_store)
    late = await scores.cases_of("window=民政,超期", FIRST, LAST)
    assert [one.opened_at.day for one in late.cases] == [6, 20]
    both = await scores.cases_of("village=枣湾村，month=2026-06,finished", FIRST, LAST)
    assert [one.window for one in both.cases] == ["minzheng", "caizheng"]
    for wrong in ("window=nobody", "item=mz", "month=2026-08", "village=枣"):
        with pytest.raises(NotFound):
            await scores.cases_of(wrong, FIRST, LAST)
    for wrong in ("colour=red", "满意率"):
        with pytest.raises(Refused):
            await scores.cases_of(wrong, FIRST, LAST)


async def test_the_period_is_this_year_unless_it_is_said(sqlite_store: Store) -> None:
    scores = (await town(sqlite_store)).scores
    year = await scores.summary()
    assert (year.first, year.last, year.total.counts["received"]) == (date(2026, 1, 1), date(2026, 8, 1), 18)
    assert [line.key for line in year.groups["month"]] == [f"2026-{n:02}" for n in range(1, 9)]
    with pytest.raises(Refused, match="is after"):
        await scores.summary(LAST, FIRST)


# -- who sees what -------------------------------------------------------------------------------------------------


async def test_an_official_sees_their_area(sqlite_store: Store) -> None:
    village = Official("cun", "村文书", frozenset({Role.AUDITOR}), VILLAGE)
    scores, theirs = await found(sqlite_store, village)
    assert theirs.total.counts["received"] == 10
    assert received(theirs.groups["village"]) == {"枣湾村": 10}
    assert len((await scores.cases_of("received", FIRST, LAST, by=village)).cases) == 10
    assert (await scores.summary(FIRST, LAST, by=BOSS)).total.counts["received"] == 15
    assert (await scores.summary(FIRST, LAST, by=AUDITOR)).total.counts["received"] == 16


async def test_clerks_have_no_summary(sqlite_store: Store) -> None:
    scores, _ = await found(sqlite_store)
    with pytest.raises(Refused, match="lacks the role"):
        await scores.summary(by=clerk("he-fang"))
    with pytest.raises(Refused, match="lacks the role"):
        await scores.cases_of("received", by=clerk("he-fang"))


# -- in words ------------------------------------------------------------------------------------------------------


async def test_as_an_official_would_write_it(sqlite_store: Store) -> None:
    _, all_of_it = await found(sqlite_store)
    assert summary.in_words(all_of_it) == (
        "2026年6月1日至7月31日，枣原镇便民服务大厅共受理群众来信16件，办结13件，办结率81.3%，还有3件在办，"
        "其中按时办结12件，占办结数的92.3%；超期2件，转办2件，当场办结2件。"
        "群众评价9件，基本满意以上7件，满意率77.8%，平均3.78分（满分5分）；8件群众回复了办没办成，办成7件，占87.5%。"
        "分窗口看：首问前台受理1件、办结1件、满意率100.0%；财政惠农受理5件、办结4件、满意率50.0%；"
        "民政社保受理7件、办结5件、超期2件、满意率75.0%；就业受理1件、办结1件、满意率100.0%；"
        "信访受理1件、办结1件；old-desk受理1件、办结1件、满意率100.0%。"
    )
    assert "分月看：2026-06受理3件" in summary.in_words(all_of_it, "month")


async def test_words_of_nothing(sqlite_store: Store) -> None:
    empty = await Town(sqlite_store).scores.summary(FIRST, LAST)
    assert summary.in_words(empty) == "2026年6月1日至7月31日，枣原镇便民服务大厅没有受理群众来信。"
    assert empty.total.shown("completion") == "—"


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(38641, 38642, "99.9%"), (38642, 38642, "100.0%"), (1, 38642, "0.1%"), (0, 5, "0.0%"), (1, 16, "6.3%")],
)
def test_a_rate_is_whole_only_where_nothing_is_missing(part: int, whole: int, said: str) -> None:
    assert summary.percent(Decimal(part) / whole) == said


def test_words_that_mean_one_thing() -> None:
    names = {"front-desk": "首问前台", "minzheng": "民政社保", "mz": "民政"}
    assert [summary.matching(word, names) for word in ("民政", "front_desk", "首问", "民", "")] == [
        "mz",
        "front-desk",
        "front-desk",
        None,
        None,
    ]
    assert summary.matching("首问", names, begins=False) is None


# -- the county's form ---------------------------------------------------------------------------------------------

NAMES = {
    "受理总数": "总表!$B$2",
    "办结率": "总表!$B$3",
    "平均分": "总表!$B$4",
    "民政_受理": "总表!$B$5",
    "枣湾村_满意率": "总表!$B$6",
    "七月_办结": "总表!$B$7",
    "安全生产_满意率": "总表!$B$8",
    "单位": "总表!$B$1:$C$1",
    "front_desk_受理": "'县 里''s'!$A$1",
    "文字总结": "总表!$B$9",
    "合计_超期": "总表!$B$10",
    # not to be filled
    "民政_出勤": "总表!$D$1",
    "外出_受理": "总表!$D$2",
    "八月_受理": "总表!$D$3",
    "转办": "总表!$D$4:$E$5",
    "在办": "没有!$A$1",
    "满意": "5",
    "办结": "总表!$D$6",
}


@pytest.fixture
def county(tmp_path: Path) -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "总表"
    sheet["A1"], sheet["A2"], sheet["D6"] = "填报单位", "受理总数", "=SUM(B2,B5)"
    sheet["A1"].font = Font(bold=True, size=20)
    sheet["B3"].number_format = "0.00%"
    sheet.merge_cells("B1:C1")
    sheet.column_dimensions["A"].width = 33
    other = book.create_sheet("县 里's")
    other["B1"] = "=1+1"
    for name, target in NAMES.items():
        book.defined_names[name] = DefinedName(name, attr_text=target)
    other.defined_names["当场办结"] = DefinedName("当场办结", attr_text="'县 里''s'!$A$2")
    other.print_title_rows = "1:1"
    path = tmp_path / "county.xlsx"
    book.save(path)
    return path


async def test_the_form_is_filled_by_its_named_cells(sqlite_store: Store, county: Path, tmp_path: Path) -> None:
    _, all_of_it = await found(sqlite_store)
    done = form.fill(county, tmp_path / "out.xlsx", all_of_it)
    book = openpyxl.load_workbook(tmp_path / "out.xlsx")
    sheet, other = book["总表"], book["县 里's"]
    values = [sheet[f"B{n}"].value for n in range(1, 9)]
    assert values[0] == "枣原镇便民服务大厅"
    assert values[1:] == [16, 0.8125, 3.78, 7, 0.75, 10, "—"]
    assert [sheet[at].number_format for at in ("B3", "B6")] == ["0.00%", "0.0%"]
    assert sheet["B9"].value == summary.in_words(all_of_it)
    assert (sheet["B10"].value, other["A1"].value, other["A2"].value) == (2, 1, 2)
    assert done.filled["办结率"] == "81.3%"
    assert len(done.filled) == 12


async def test_what_is_not_filled_is_told_and_left(sqlite_store: Store, county: Path, tmp_path: Path) -> None:
    _, all_of_it = await found(sqlite_store)
    done = form.fill(county, tmp_path / "out.xlsx", all_of_it)
    assert list(done.unknown) == ["民政_出勤", "外出_受理", "八月_受理"]
    no_cell = ("不是一个单元格", "names no single cell")
    assert done.left == {"转办": no_cell, "在办": no_cell, "满意": no_cell, "办结": ("有公式", "holds a formula")}
    assert done.lost == []
    book = openpyxl.load_workbook(tmp_path / "out.xlsx")
    sheet, other = book["总表"], book["县 里's"]
    assert (sheet["A1"].value, sheet["A1"].font.size, sheet["A2"].value) == ("填报单位", 20, "受理总数")
    assert (sheet["D6"].value, other["B1"].value) == ("=SUM(B2,B5)", "=1+1")
    assert sheet.column_dimensions["A"].width == 33
    assert [str(one) for one in sheet.merged_cells.ranges] == ["B1:C1"]
    assert set(book.defined_names) == set(NAMES)
    assert other.print_title_rows == "$1:$1"


def test_a_text_is_never_a_formula(county: Path, tmp_path: Path) -> None:
    zero = summary.added("", "合计", ())
    evil = Summary(FIRST, LAST, "=HYPERLINK(1)", zero, dict.fromkeys(summary.GROUPINGS, ()))
    form.fill(county, tmp_path / "out.xlsx", evil)
    cell = openpyxl.load_workbook(tmp_path / "out.xlsx")["总表"]["B1"]
    assert (cell.value, cell.data_type) == ("=HYPERLINK(1)", "s")


def test_what_the_form_would_lose_is_told(county: Path, tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(county, "a") as packed:
        packed.writestr("xl/media/image1.png", b"seal")
    zero = Line("", "合计", dict.fromkeys(FIGURES, 0))
    empty = Summary(FIRST, LAST, "大厅", zero, dict.fromkeys(summary.GROUPINGS, ()))
    assert form.fill(county, tmp_path / "out.xlsx", empty).lost == [("图片", "pictures")]


def test_what_is_no_form(tmp_path: Path) -> None:
    zero = Summary(FIRST, LAST, "大厅", summary.added("", "", ()), dict.fromkeys(summary.GROUPINGS, ()))
    with pytest.raises(NotFound):
        form.fill(tmp_path / "none.xlsx", tmp_path / "out.xlsx", zero)
    (tmp_path / "old.xlsx").write_bytes(b"\xd0\xcf\x11\xe0")
    with pytest.raises(Refused):
        form.fill(tmp_path / "old.xlsx", tmp_path / "out.xlsx", zero)
    assert not (tmp_path / "out.xlsx").exists()
