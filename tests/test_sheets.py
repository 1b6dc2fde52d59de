"""Table files as people send them: every format and encoding, and everything that must be refused."""

import codecs
import io
import struct
import zipfile
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import NotFound, Refused
from gateway.sheets import (
    Row,
    Table,
    Unsure,
    delimited,
    find_header,
    headed,
    heading,
    open_table,
    records,
    unit,
    unpacking,
    written,
)
from gateway.sheets.cells import day, hidden, joined, person_name

MORNING = datetime.fromisoformat("1990-01-02T08:30:00")
MIDNIGHT = datetime.fromisoformat("1990-01-02")
WANTED = {
    "phone": ("手机号", "手机", "联系电话", "家庭电话"),
    "name": ("姓名", "户主姓名"),
    "village": ("村",),
    "note": ("备注", "说明"),
}
PEOPLE = [("姓名", "手机号", "村"), ("惠波", "18600130001", "枣湾村"), ("郭春娥", "13800130017", "石畔村")]
OLD_BOOK = Path(__file__).parent / "data" / "sample-town.xls"


def text_of(rows: Sequence[tuple[str, ...]], mark: str = ",") -> str:
    return "".join(mark.join(row) + "\r\n" for row in rows)


def values(table: Table) -> list[tuple[object, ...]]:
    return [row.cells for row in table.rows()]


def book(path: Path, **sheets: Callable[[xlsxwriter.worksheet.Worksheet, xlsxwriter.Workbook], None]) -> Path:
    made = xlsxwriter.Workbook(path)
    for name, fill in sheets.items():
        fill(made.add_worksheet(name), made)
    made.close()
    return path


def people_sheet(sheet: xlsxwriter.worksheet.Worksheet, _: xlsxwriter.Workbook) -> None:
    for number, row in enumerate(PEOPLE):
        sheet.write_row(number, 0, row)


def note_sheet(sheet: xlsxwriter.worksheet.Worksheet, _: xlsxwriter.Workbook) -> None:
    sheet.write(0, 0, "说明")
    sheet.write(1, 0, "本表由财政所提供")


def hand_made(*rows: tuple[object, ...], filled: dict[int, set[int]] | None = None) -> list[Row]:
    filled = filled or {}
    return [Row(n, row, frozenset(filled.get(n, ()))) for n, row in enumerate(rows, 1)]  # type: ignore[arg-type]


# Text files


@pytest.mark.parametrize(
    ("encoding", "start"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("gb18030", b""),
        ("gbk", b""),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
    ],
)
@pytest.mark.parametrize("mark", [",", "\t", ";"])
def test_text_in_every_encoding_with_every_mark(tmp_path: Path, encoding: str, start: bytes, mark: str) -> None:
    file = tmp_path / "名单.csv"
    file.write_bytes(start + text_of(PEOPLE, mark).encode(encoding))
    table = open_table(file)
    assert values(table) == PEOPLE
    assert values(table) == PEOPLE, "a table can be read again"
    assert (table.sheet_names, table.sheet) == (("",), "")


def test_commas_and_tags_with_semicolons_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("花名册\n姓名,手机号,标签\n甲,13800130001,果农;党员\n乙,13800130002,果农;党员;低保\n", "utf-8")
    assert values(open_table(file))[3] == ("乙", "13800130002", "果农;党员;低保")


def test_rows_are_counted_as_a_spreadsheet_counts_them(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('姓名,备注\n\n惠波,"两行\n的备注"\n郭春娥,\n', "utf-8")
    rows = list(open_table(file).rows())
    assert [row.number for row in rows] == [1, 2, 3, 4]
    assert rows[2].cells == ("惠波", "两行\n的备注")
    assert rows[3].cells == ("郭春娥", None)


def test_a_file_longer_than_one_piece_is_judged_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "_PIECE", 7)
    file = tmp_path / "a.csv"
    file.write_text(text_of(PEOPLE), "utf-8", newline="")
    assert values(open_table(file)) == PEOPLE
    file.write_bytes(file.read_bytes() + "马燕,13000130001,村\r\n".encode("gbk"))
    with pytest.raises(Refused, match="neither UTF-8 nor GB18030"):
        open_table(file)


@pytest.mark.parametrize("content", [b"", b" \r\n \r\n", codecs.BOM_UTF8])
def test_empty(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(Refused, match=r"a\.csv: the file is empty"):
        open_table(tmp_path / "a.csv")


@pytest.mark.parametrize(
    "content",
    [
        b"<html><table><tr><td>1</td></tr></table></html>",
        b'<?xml version="1.0"?><Workbook/>',
        b"%PDF-1.7 ...",
        b"a,b\n\0\0,c\n",
    ],
)
def test_no_table_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.xls").write_bytes(content)
    with pytest.raises(Refused, match="no table file"):
        open_table(tmp_path / "a.xls")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_cut_off_in_a_character(tmp_path: Path, encoding: str) -> None:
    whole = "姓名,手机号\n惠波,1380013000a\n郭".encode(encoding)
    (tmp_path / "a.csv").write_bytes(whole[:-1])
    with pytest.raises(Refused, match="damaged or cut off"):
        open_table(tmp_path / "a.csv")


def test_a_utf8_mark_with_other_text_is_not_read_as_gb18030(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(codecs.BOM_UTF8 + text_of(PEOPLE).encode("gbk"))
    with pytest.raises(Refused, match="neither UTF-8 nor GB18030"):
        open_table(tmp_path / "a.csv")


def test_nul_far_down_is_refused_when_reached(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n" * 40_000 + "\0,c\n", "utf-8")
    with pytest.raises(Refused, match="no table file"):
        list(open_table(tmp_path / "a.csv").rows())


@pytest.mark.parametrize("broken", ['"乙,13800130002\n丙,13800130003\n', '"乙"x,13800130002\n', f"{'x' * 200_000},1\n"])
def test_unpaired_quotes_name_the_row_and_swallow_nobody(tmp_path: Path, broken: str) -> None:
    (tmp_path / "a.csv").write_text("姓名,手机号\n甲,13800130001\n" + broken, "utf-8")
    rows = open_table(tmp_path / "a.csv").rows()
    assert next(rows).number == 1
    assert next(rows).cells[0] == "甲"
    with pytest.raises(Refused, match="row 3") as refusal:
        next(rows)
    assert "第 3 行" in refusal.value.zh
    assert "13800130002" not in refusal.value.zh + refusal.value.en


def test_limits_of_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.csv"
    file.write_text("姓名,备注\n甲," + "长" * 32_768 + "\n", "utf-8")
    with pytest.raises(Refused, match="row 2 has a cell of more than 32,767"):
        list(open_table(file).rows())
    file.write_text("甲," + "长" * 32_767 + "\n", "utf-8")
    assert len(list(open_table(file).rows())) == 1
    file.write_text("," * 512, "utf-8")
    with pytest.raises(Refused, match="too large"):
        list(open_table(file).rows())
    file.write_text("," * 511, "utf-8")
    assert len(next(open_table(file).rows()).cells) == 512
    file.write_text(f"{'a,' * 600_000}\n", "utf-8")
    with pytest.raises(Refused, match="a line is too long"):
        list(open_table(file).rows())
    monkeypatch.setattr("gateway.sheets.table.MAX_ROWS", 2)
    file.write_text("a,b\n" * 3, "utf-8")
    with pytest.raises(Refused, match="too large"):
        list(open_table(file).rows())


def test_limit_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("a,b\n", "utf-8")
    monkeypatch.setattr("gateway.sheets.MAX_FILE", 3)
    with pytest.raises(Refused, match="larger than"):
        open_table(tmp_path / "a.csv")


def test_there_is_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no file a\.csv"):
        open_table(tmp_path / "a.csv")
    with pytest.raises(NotFound):
        open_table(tmp_path)


# Workbooks


def test_values_of_a_workbook(tmp_path: Path) -> None:
    def fill(sheet: xlsxwriter.worksheet.Worksheet, made: xlsxwriter.Workbook) -> None:
        days, hours = made.add_format({"num_format": "yyyy-mm-dd"}), made.add_format({"num_format": "hh:mm"})
        moments = made.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        sheet.write_row(2, 1, ["惠波", 13800130001, 1455.12, True])
        sheet.write_datetime(2, 5, MIDNIGHT, days)
        sheet.write_datetime(2, 6, MORNING, moments)
        sheet.write(2, 7, 0.5, hours)
        sheet.write_formula(2, 8, "=1/0", None, "#DIV/0!")
        sheet.write(2, 9, "完")

    table = open_table(book(tmp_path / "a.bin", 名单=fill))
    rows = list(table.rows())
    assert [row.number for row in rows] == [1, 2, 3]
    assert rows[2].cells == (
        *("惠波", 13800130001, 1455.12, True, date(1990, 1, 2), MORNING),
        *("12:00:00", None, "完"),
    )
    assert type(rows[2].cells[1]) is int
    assert rows[0].cells == (None,) * 9


def test_merged_cells_fill_down_and_say_so(tmp_path: Path) -> None:
    def fill(sheet: xlsxwriter.worksheet.Worksheet, _: xlsxwriter.Workbook) -> None:
        sheet.merge_range("B1:E1", "枣原镇花名册")
        sheet.write_row(1, 1, ["村", "姓名", "手机号", "备注"])
        sheet.merge_range("B3:B5", "枣湾村")
        sheet.merge_range("B6:B7", "石畔村")
        for row, name in enumerate("甲乙丙丁戊", 2):
            sheet.write_row(row, 2, [name, f"1380013000{row}", "x"])

    rows = list(open_table(book(tmp_path / "a.xlsx", 名单=fill)).rows())
    assert [row.cells[0] for row in rows] == ["枣原镇花名册", "村", *["枣湾村"] * 3, "石畔村", "石畔村"]
    assert [sorted(row.filled) for row in rows] == [[], [], [], [0], [0], [], [0]]
    assert rows[0].cells[1:] == (None, None, None)


def test_a_merged_cell_beside_the_data_is_harmless(tmp_path: Path) -> None:
    def fill(sheet: xlsxwriter.worksheet.Worksheet, _: xlsxwriter.Workbook) -> None:
        people_sheet(sheet, _)
        sheet.merge_range("H1:H3", "")

    assert values(open_table(book(tmp_path / "a.xlsx", 名单=fill))) == PEOPLE


def test_an_old_workbook() -> None:
    rows = list(open_table(OLD_BOOK).rows())
    assert rows[2].cells == ("枣湾村", "折学录", "18200130219", date(1964, 10, 22), "果农；种粮户", None)
    assert rows[4].cells[0] == "枣湾村"
    assert rows[3].cells[2] == 13300130086


def ods(path: Path, rows: str, manifest: str = "") -> Path:
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        packed.writestr("META-INF/manifest.xml", f"<manifest>{manifest}</manifest>")
        packed.writestr(
            "content.xml",
            f"<office:document-content {spaces}><office:body><office:spreadsheet>"
            f'<table:table table:name="名单">{rows}</table:table>'
            "</office:spreadsheet></office:body></office:document-content>",
        )
    return path


def ods_row(*cells: str, repeated: int = 1) -> str:
    inner = "".join(
        f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>' for cell in cells
    )
    return f'<table:table-row table:number-rows-repeated="{repeated}">{inner}</table:table-row>'


def test_ods(tmp_path: Path) -> None:
    file = ods(tmp_path / "a.ods", "".join(ods_row(*row) for row in PEOPLE))
    assert values(open_table(file)) == PEOPLE


def test_sheets_are_named_and_hidden_ones_are_not(tmp_path: Path) -> None:
    file = book(
        tmp_path / "a.xlsx",
        名单=people_sheet,
        说明=note_sheet,
        旧=lambda sheet, _: sheet.hide(),
    )
    table = open_table(file)
    assert (table.sheet_names, table.sheet) == (("名单", "说明"), None)
    with pytest.raises(Unsure, match="several sheets") as doubt:
        table.rows()
    assert (doubt.value.key, doubt.value.candidates) == ("sheet", ("名单", "说明"))
    assert values(open_table(file, sheet="名单")) == PEOPLE
    assert values(table.on("说明"))[0] == ("说明",)
    with pytest.raises(NotFound, match="no sheet '旧'"):
        open_table(file, sheet="旧")


def test_nothing_to_see(tmp_path: Path) -> None:
    made = xlsxwriter.Workbook(tmp_path / "a.xlsx")
    chart = made.add_chart({"type": "line"})
    chart.add_series({"values": "=数据!$A$1:$A$2"})
    made.add_chartsheet("图").set_chart(chart)
    made.add_worksheet("数据").hide()
    made.close()
    with pytest.raises(Refused, match="no visible sheet"):
        open_table(tmp_path / "a.xlsx")


def repack(path: Path, **changed: bytes) -> Path:
    with zipfile.ZipFile(path) as packed:
        entries = {entry: packed.read(entry) for entry in packed.namelist()}
    entries |= {name.replace("__", "/"): content for name, content in changed.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in entries.items():
            packed.writestr(name, content)
    return path


def test_a_cell_in_the_last_corner_does_not_end_the_process(tmp_path: Path) -> None:
    def fill(sheet: xlsxwriter.worksheet.Worksheet, _: xlsxwriter.Workbook) -> None:
        sheet.write(0, 0, "姓名")
        sheet.write(1_048_575, 16_383, "x")

    with pytest.raises(Refused, match="too large") as refusal:
        open_table(book(tmp_path / "a.xlsx", 名单=fill))
    assert "多余的格子" in refusal.value.zh


def test_a_repeated_cell_does_not_end_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MAX_MEMORY", 200_000_000)
    row = ods_row(*["x" * 100] * 100, repeated=1_000_000)
    with pytest.raises(Refused, match="too large"):
        open_table(ods(tmp_path / "a.ods", row))


def test_a_workbook_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MAX_SECONDS", 0.1)
    monkeypatch.setattr(unpacking, "_TRIAL", "import time; time.sleep(5)")
    with pytest.raises(Refused, match="too large"):
        open_table(book(tmp_path / "a.xlsx", 名单=people_sheet))


def test_damaged_workbooks(tmp_path: Path) -> None:
    whole = book(tmp_path / "a.xlsx", 名单=people_sheet).read_bytes()
    flipped = bytearray(OLD_BOOK.read_bytes())
    flipped[30:32] = b"\0\0"
    for content in (whole[:3000], whole[:-30], b"PK\x03\x04 not a zip", OLD_BOOK.read_bytes()[:2000], flipped):
        (tmp_path / "b.xlsx").write_bytes(content)
        with pytest.raises(Refused, match="damaged or cut off"):
            open_table(tmp_path / "b.xlsx")
    broken = repack(tmp_path / "a.xlsx", xl__workbook__xml=b"", **{"xl__worksheets__sheet1.xml": b"<worksheet><row"})
    with pytest.raises(Refused, match="damaged or cut off"):
        open_table(broken)


@settings(max_examples=25, deadline=None)
@given(place=st.integers(0, OLD_BOOK.stat().st_size - 1), byte=st.integers(0, 255))
def test_a_flipped_byte_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, place: int, byte: int) -> None:
    content = bytearray(OLD_BOOK.read_bytes())
    content[place] = byte
    file = tmp_path_factory.getbasetemp() / "flipped.xls"
    file.write_bytes(content)
    try:
        table = open_table(file)
        assert all(list(table.on(sheet).rows()) for sheet in table.sheet_names)
    except Refused as refusal:
        assert refusal.zh.startswith("flipped.xls：")


def test_bombs_are_refused_unopened(tmp_path: Path) -> None:
    file = book(tmp_path / "a.xlsx", 名单=people_sheet)
    with pytest.raises(Refused, match="unpack to far too much"):
        open_table(repack(file, xl__bomb=bytes(11_000_000)))
    with pytest.raises(Refused, match="unpack to far too much"):
        open_table(repack(file, **{"xl__bomb": b"x", **{f"x{n}": b"" for n in range(2_000)}}))


def test_unpacked_size_has_a_limit_at_any_ratio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MAX_UNPACKED", 1_000)
    with pytest.raises(Refused, match="unpack to far too much"):
        open_table(book(tmp_path / "a.xlsx", 名单=people_sheet))


def test_other_archives_are_no_tables(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as packed:
        packed.writestr("word/document.xml", "<w/>")
    with pytest.raises(Refused, match="no table file"):
        open_table(tmp_path / "a.xlsx")


def locked_books(tmp_path: Path) -> list[bytes]:
    plain = io.BytesIO(book(tmp_path / "a.xlsx", 名单=people_sheet).read_bytes())
    flagged = bytearray(plain.getvalue())
    at = flagged.find(b"PK\x01\x02")
    flagged[at + 8] |= 1  # "encrypted" in the zip directory
    old = OLD_BOOK.read_bytes()
    after_start = old.find(struct.pack("<HH", 0x0809, 16)) + 20
    sealed_old = old[:after_start] + struct.pack("<H", 0x002F) + old[after_start + 2 :]  # FILEPASS
    new_format = unpacking.OLE + bytes(600) + "EncryptedPackage".encode("utf-16-le") + bytes(600)
    sealed = ods(tmp_path / "a.ods", "", "<manifest:encryption-data/>").read_bytes()
    return [bytes(flagged), sealed_old, new_format, sealed]


@pytest.mark.parametrize("kind", range(4))
def test_locked_workbooks(tmp_path: Path, kind: int) -> None:
    (tmp_path / "b.xlsx").write_bytes(locked_books(tmp_path)[kind])
    with pytest.raises(Refused, match="password"):
        open_table(tmp_path / "b.xlsx")


# Headings


def test_headings_are_normalised() -> None:
    assert [heading(text) for text in ("手机号码（必填）", " 姓　名：", "*金额(元)", "面积[亩]", "(元)")] == [
        *("手机号码", "姓名", "金额", "面积", "(元)")
    ]
    assert [unit(text) for text in ("标准（元/亩）", "金额", "面积【 亩 】")] == ["元/亩", "", "亩"]


def test_titles_above_and_sums_below() -> None:
    rows = hand_made(
        ("枣原镇花名册", None, None, None),
        ("单位：枣原镇", None, None, "2026年7月"),
        ("序号", "姓 名", "联系电话", "备注"),
        (1, "惠波", "18600130001", None),
        (None, "小计", 1, None),
        (None, " ", None, None),
        ("序号", "姓 名", "联系电话", "备注"),
        (2, "郭春娥", 13800130017, "合计"),
        ("枣湾村合计", None, 2, None),
        ("合计：2人", None, None, None),
        ("合计", "马燕", "13000130015", None),
        ("制表人：张三", None, "审核人：李四", None),
        ("注：以上为样例", None, None, None),
    )
    header = find_header(rows, WANTED)
    assert (header.row, header.columns) == (3, {"phone": 2, "name": 1, "note": 3})
    kept = list(records(rows, header))
    assert [row.number for row in kept] == [4, 8, 11], "who has a number of their own is never a sum"
    assert header.cell(kept[1], "phone") == 13800130017
    assert header.text(kept[1], "phone") == "13800130017"
    assert header.cell(kept[1], "village") is None
    assert header.cell(Row(9, ("x",)), "phone") is None


def test_people_are_not_taken_for_sums_or_signatures() -> None:
    rows = hand_made(("姓名", "手机号"), ("计小红", None), ("注小明", None), ("合小计划", None), ("共计划", None))
    assert len(list(records(rows, find_header(rows, WANTED)))) == 4


def test_a_merged_village_alone_is_a_blank_row() -> None:
    rows = hand_made(("村", "姓名", "手机号"), ("枣湾村", "惠波", "1"), ("枣湾村", None, None), filled={3: {0}})
    assert [row.number for row in records(rows, find_header(rows, WANTED))] == [2]


def test_a_heading_two_rows_tall() -> None:
    rows = hand_made(
        ("姓名", "手机号", "补贴", None),
        ("姓名", "手机号", "面积（亩）", "金额（元）"),
        ("惠波", "18600130001", 3.5, 296.1),
        filled={2: {0, 1}},
    )
    header = find_header(rows, WANTED)
    assert (header.row, header.headings[2:], header.units[2:]) == (2, ("面积", "金额"), ("亩", "元"))


@pytest.mark.parametrize("second", ["家庭电话", "手机"])
def test_two_columns_could_be_the_number(second: str) -> None:
    rows = hand_made(("姓名", "手机号", second), ("惠波", "18600130001", "0912-0000573"))
    with pytest.raises(Unsure) as doubt:
        find_header(rows, WANTED, single=("phone",))
    assert (doubt.value.key, doubt.value.candidates) == ("phone", ("手机号", second))
    assert "--column phone=手机号" in doubt.value.zh
    assert find_header(rows, WANTED, {"phone": second}, single=("phone",)).columns["phone"] == 2
    assert find_header(rows, WANTED).columns["phone"] == 1, "not asked: the name listed first"


def test_two_columns_of_one_name_are_told_apart_by_letters() -> None:
    rows = hand_made(("姓名", "手机号", "手机号"), ("惠波", "18600130001", "18600130002"))
    with pytest.raises(Unsure) as doubt:
        find_header(rows, WANTED, {"phone": "手机号"})
    assert doubt.value.candidates == ("B", "C")
    assert find_header(rows, WANTED, {"phone": "c"}).columns["phone"] == 2


def test_no_column_could_be_the_number() -> None:
    rows = hand_made(("姓名", "小灵通", None, "村"), ("惠波", "18600130001", None, "枣湾村"))
    with pytest.raises(Unsure, match="no column for 'phone'") as doubt:
        find_header(rows, WANTED)
    assert doubt.value.candidates == ("姓名", "小灵通", "C", "村")
    assert find_header(rows, WANTED, {"phone": "小灵通"}).columns["phone"] == 1


def test_what_was_chosen_must_be_there() -> None:
    rows = hand_made(("姓名", "手机号"), ("惠波", "18600130001"))
    with pytest.raises(Unsure) as doubt:
        find_header(rows, WANTED, {"village": "村庄名"})
    assert doubt.value.key == "village"
    with pytest.raises(Refused, match="no column kind 'fon'"):
        find_header(rows, WANTED, {"fon": "手机号"})


def test_a_table_without_heading_shows_nobody_and_takes_letters() -> None:
    rows = hand_made(("惠波", "18600130001", "枣湾村"), ("郭春娥", "13800130017", "石畔村"))
    with pytest.raises(Unsure) as doubt:
        find_header(rows, WANTED)
    assert "18600130001" not in doubt.value.zh + doubt.value.en
    assert doubt.value.candidates[1] == "B"
    header = find_header(rows, WANTED, {"name": "A", "phone": "B"})
    assert (header.row, header.columns) == (0, {"name": 0, "phone": 1})
    assert [row.number for row in records(rows, header)] == [1, 2]


def test_letters_beyond_z() -> None:
    rows = hand_made(("姓名", *[None] * 27, "手机号", "手机号"))
    with pytest.raises(Unsure) as doubt:
        find_header(rows, WANTED, single=("phone",))
    assert doubt.value.candidates == ("AC", "AD")
    assert find_header(rows, WANTED, {"phone": "AD"}).columns["phone"] == 29


def test_nothing_at_all() -> None:
    with pytest.raises(Unsure, match="column phone=B") as doubt:
        find_header([], WANTED, needed=("phone",))
    assert doubt.value.candidates == ()


def test_the_heading_is_sought_in_the_first_fifty_rows() -> None:
    blank: list[tuple[object, ...]] = [(None,)]
    assert find_header(hand_made(*blank * 49, ("姓名", "手机号")), WANTED).row == 50
    with pytest.raises(Unsure):
        find_header(hand_made(*blank * 50, ("姓名", "手机号")), WANTED)


def test_the_one_sheet_that_holds_a_table_is_taken(tmp_path: Path) -> None:
    table, header = headed(open_table(book(tmp_path / "a.xlsx", 说明=note_sheet, 名单=people_sheet)), WANTED)
    assert (table.sheet, header.row, header.columns["phone"]) == ("名单", 1, 1)
    assert headed(table, WANTED)[1] == header


def test_several_or_no_sheets_hold_a_table(tmp_path: Path) -> None:
    several = book(tmp_path / "a.xlsx", 一月=people_sheet, 二月=people_sheet)
    none = book(tmp_path / "b.xlsx", 说明=note_sheet, 备忘=note_sheet)
    for file in (several, none):
        with pytest.raises(Unsure) as doubt:
            headed(open_table(file), WANTED)
        assert doubt.value.key == "sheet"


def test_the_one_sheet_that_holds_a_table_may_be_in_doubt(tmp_path: Path) -> None:
    def fill(sheet: xlsxwriter.worksheet.Worksheet, _: xlsxwriter.Workbook) -> None:
        sheet.write_row(0, 0, ["姓名", "手机号", "家庭电话"])

    with pytest.raises(Unsure) as doubt:
        headed(open_table(book(tmp_path / "a.xlsx", 说明=note_sheet, 名单=fill)), WANTED, single=("phone",))
    assert (doubt.value.key, doubt.value.candidates) == ("phone", ("手机号", "家庭电话"))


# Cells


def test_cells_as_a_person_writes_them() -> None:
    cells = [" 惠波 ", None, True, False, 12, 1455.12, 17.2 * 84.6, 0.1 + 0.2, 1e-7, date(1990, 1, 2)]
    assert [written(cell) for cell in cells] == [
        *("惠波", "", "是", "否", "12", "1455.12", "1455.12", "0.3", "0.0000001", "1990-01-02")
    ]
    assert written(MIDNIGHT) == "1990-01-02"
    assert written(MORNING) == "1990-01-02T08:30:00"


def test_names() -> None:
    written_names = [" 张　三 ", "张\u200b三", "白保明", "Anna  Maria Li", "阿卜杜•热合曼", "ＬＩ", None, "⾼明"]
    assert [person_name(name) for name in written_names] == [
        *("张三", "张三", "白保明", "Anna Maria Li", "阿卜杜·热合曼", "LI", "", "高明")
    ]


@pytest.mark.parametrize(
    "cell",
    [
        *(
            "1990-1-2",
            "1990/01/02",
            "1990.1.2",
            "1990年1月2日",
            "１９９０年０１月０２日",
            "19900102",
            " 1990 年 1 月 2 日",
        ),
        *("1990-01-02 00:00:00", "1990-1-2T0:00", 19900102, 32875, "32875", date(1990, 1, 2), MORNING),
    ],
)
def test_days(cell: object) -> None:
    assert day(cell) == date(1990, 1, 2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "cell", ["", None, "不详", "1990-13-01", "1990-2-30", "1990年1月", "0990-01-01", "1990", 7, True]
)
def test_no_days(cell: object) -> None:
    assert day(cell) is None  # type: ignore[arg-type]


def test_numbers_are_shown_by_their_ends() -> None:
    assert [hidden(cell) for cell in ("1820013068", 13800130001, "1.38001E+10", "12345", "", None)] == [
        *("182****068", "138*****001", "1.3*****+10", "1***5", "", "")
    ]
    assert joined(" 枣 湾\u3000村 ") == "枣湾村"


def test_words_where_a_number_should_be_are_shown_whole() -> None:
    assert [hidden(cell) for cell in ("无", " 没有 手机 ", "啊" * 20, "一三八零")] == [
        "无",
        "没有手机",
        "啊" * 12,
        "一**零",
    ]


def test_the_second_row_of_a_heading_is_nobody() -> None:
    rows = [("姓名", "联系方式", None, "备注"), (None, "手机号", "座机", None), ("张三", "13800130001", None, None)]
    made = [Row(number, cells) for number, cells in enumerate(rows, 1)]
    header = find_header(made, {"name": ("姓名",), "phone": ("联系方式",), "note": ("备注",)})
    assert [row.number for row in records(made, header)] == [3]


def test_a_table_without_a_heading_offers_letters_and_no_names() -> None:
    made = [Row(1, ("张三", "13800130001")), Row(2, ("李四", 13800130002))]
    with pytest.raises(Unsure) as doubt:
        find_header(made, {"name": ("姓名",), "phone": ("手机号",)})
    assert doubt.value.candidates == ("A", "B")
    assert "张三" not in doubt.value.zh


def test_several_sheets_name_the_option(tmp_path: Path) -> None:
    def people(sheet: xlsxwriter.worksheet.Worksheet, _: xlsxwriter.Workbook) -> None:
        sheet.write_row(0, 0, ["姓名", "手机号"])

    file = book(tmp_path / "two.xlsx", 枣湾=people, 石畔=people)
    with pytest.raises(Unsure, match="--sheet 枣湾"):
        open_table(file).rows()
