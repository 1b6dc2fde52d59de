"""Imports of the sample town on both databases, look-ups, exports, consent, and what stays of who is forgotten."""

import asyncio
import csv
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from python_calamine import CalamineWorkbook
from sqlalchemy import Connection, func, insert, select, update

from gateway import config
from gateway.config import Config
from gateway.errors import Conflict, NotFound, Refused
from gateway.model import CaseState, ParcelState, Role
from gateway.officials import SYSTEM, Official
from gateway.roster import ImportReport, Roster, Subscriber
from gateway.sheets import Unsure
from gateway.store import Store, audit, consent, parcels, tables
from gateway.store.parcels import Queued
from gateway.worktime import ManualClock
from tests.store.outbound import envelope

ROOT = Path(__file__).parents[2]
TOWN = ROOT / "subscribers" / "sample-town.csv"
DIRECTOR = Official("li", "李主任", frozenset({Role.DIRECTOR}), "610899100")
CLERK = Official("zhao", "赵", frozenset({Role.CLERK}), "610899100")
VILLAGER = Official("bai", "白书记", frozenset({Role.DIRECTOR}), "610899100201")
ANNA, BELA, TAKER = "+8613800130001", "+8613800130002", "+8618200130003"
HEADING = ("姓名", "手机号", "村", "标签")
SMALL = (
    ("惠安", "13800130001", "枣湾村", "党员"),
    ("惠小安", "13800130001", "枣湾村", ""),
    ("白贝", "13800130002", "新河村", "果农"),
)
TAKEN = (("姓名", "手机号", "村", "代收电话"), ("高婆", "", "枣湾村", "18200130003"))


@pytest.fixture
def site(tmp_path: Path) -> Config:
    """The sample site in a directory of its own, where its secret is written."""
    return config.load(ROOT).model_copy(update={"directory": tmp_path})


@pytest.fixture
def roster(store: Store, site: Config, clock: ManualClock) -> Roster:
    return Roster(store, site, clock)


@pytest.fixture
def desk(sqlite_store: Store, site: Config, clock: ManualClock) -> Roster:
    """On SQLite alone: for what no database has a say in."""
    return Roster(sqlite_store, site, clock)


@pytest.fixture
def sheet(tmp_path: Path) -> Callable[..., Path]:
    """Writes a CSV; rows under HEADING unless another heading is given."""

    def write(rows: Iterable[tuple[str, ...]], name: str = "town.csv", heading: tuple[str, ...] = HEADING) -> Path:
        path = tmp_path / name
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([heading, *rows])
        return path

    return write


async def take_in(people: Roster, path: Path, **options: Any) -> ImportReport:
    return await people.import_file(path, by=SYSTEM, **options)


async def only(roster: Roster, text: str) -> Subscriber:
    [found] = await roster.find(text)
    return found


async def verbs(store: Store) -> list[str]:
    columns = select(tables.audit.c.verb).order_by(tables.audit.c.seq)
    return await store.read(lambda db: list(db.execute(columns).scalars()))


async def count(store: Store, table: Any) -> int:
    return await store.read(lambda db: db.execute(select(func.count()).select_from(table)).scalar_one())


# -- import ----------------------------------------------------------------------------------------------------


async def test_the_sample_town_comes_in_whole_and_a_second_time_changes_nothing(roster: Roster, store: Store) -> None:
    report = await take_in(roster, TOWN)
    assert (report.rows, report.importable, report.duplicates, report.shared) == (3000, 2955, 18, 6)
    assert (len(report.rejected), report.new, report.updated, report.unchanged) == (27, 2955, 0, 0)
    assert (report.missing_count, report.unplaced, report.roster) == (0, {}, "sample-town")
    again = await take_in(roster, TOWN)
    assert (again.new, again.updated, again.unchanged, again.missing) == (0, 0, 2955, [])
    assert await count(store, tables.person) == 2955
    assert await verbs(store) == ["roster.import", "roster.import"]
    assert await store.read(audit.verify) == (2, [])


async def test_people_lie_in_the_area_of_their_village(roster: Roster) -> None:
    await take_in(roster, TOWN)
    overview = await roster.show()
    assert (overview.people, overview.numbers, overview.without_number) == (2955, 2949, 0)
    assert overview.rosters == [("sample-town", 2955)]
    assert dict(overview.villages)["后沟村"] >= 231
    assert overview.imports[0].counts["importable"] == 2955
    village = await roster.show(by=VILLAGER)
    assert [name for name, _ in village.villages] == ["枣湾村"]
    assert village.people == dict(overview.villages)["枣湾村"]


async def test_the_same_town_in_gb18030_is_the_same_people(desk: Roster, tmp_path: Path) -> None:
    await take_in(desk, TOWN)
    copy = tmp_path / "town-gbk.csv"
    copy.write_bytes(TOWN.read_text("utf-8").encode("gb18030"))
    report = await take_in(desk, copy, roster="sample-town")
    assert (report.new, report.updated, report.unchanged) == (0, 0, 2955)


async def test_a_changed_field_updates_and_who_is_gone_is_shown_and_stays(
    roster: Roster, sheet: Callable[..., Path], clock: ManualClock
) -> None:
    await take_in(roster, sheet(SMALL))
    before = await only(roster, "白贝")
    clock.step(timedelta(days=1))
    report = await take_in(roster, sheet([("惠安", "138-0013-0001", "新河村", "党员；种粮户"), SMALL[1]]))
    assert (report.new, report.updated, report.unchanged) == (0, 1, 1)
    changed = await only(roster, "惠安")
    assert (changed.village, changed.area, changed.tags) == ("新河村", "610899100203", ("党员", "种粮户"))
    assert changed.updated_at == clock.now()
    assert [(one.id, one.name, one.village) for one in report.missing] == [(before.id, "白贝", "新河村")]
    assert report.missing_count == 1
    assert await only(roster, "白贝") == before
    elsewhere = await take_in(roster, sheet([("新人", "13000130009", "", "")], "party.csv"))
    assert elsewhere.missing == []


async def test_a_column_the_file_lacks_stays_as_it_was_known(desk: Roster, sheet: Callable[..., Path]) -> None:
    await take_in(desk, sheet(SMALL))
    report = await take_in(desk, sheet([("惠安", "13800130001", "种植")], heading=("姓名", "手机号", "备注")))
    assert report.updated == 1
    kept = await only(desk, "惠安")
    assert (kept.village, kept.tags, kept.area, kept.note) == ("枣湾村", ("党员",), "610899100201", "种植")


async def test_a_village_that_is_unknown_or_known_twice_gives_the_sites_area_and_is_reported(
    desk: Roster, sqlite_store: Store, site: Config, clock: ManualClock, sheet: Callable[..., Path]
) -> None:
    twice = site.areas[1].model_copy(update={"code": "610899100299"})
    two = Roster(sqlite_store, site.model_copy(update={"areas": (*site.areas, twice)}), clock)
    report = await take_in(two, sheet([SMALL[0], ("外人", "13000130001", "远村", "")]))
    assert report.unplaced == {"枣湾村": 1, "远村": 1}
    assert {one.area for one in [await only(two, "惠安"), await only(two, "外人")]} == {"610899100"}
    report = await two.import_file(sheet(SMALL), by=VILLAGER)
    assert "枣湾村" not in report.unplaced
    assert (await only(two, "惠安")).area == VILLAGER.area


async def test_a_dry_run_tells_what_would_happen_and_does_nothing(
    desk: Roster, sqlite_store: Store, sheet: Callable[..., Path]
) -> None:
    await take_in(desk, sheet(SMALL))
    path = sheet([("惠安", "13800130001", "新河村", "党员"), SMALL[1], ("新人", "13000130009", "", "")])
    dry = await take_in(desk, path, dry_run=True)
    assert (dry.new, dry.updated, dry.unchanged, dry.missing_count) == (1, 1, 1, 1)
    assert [one.name for one in dry.missing] == ["白贝"]
    assert dry.as_dict() == {"rows": 3, "importable": 3, "duplicates": 0, "shared": 1, "rejected": []}
    assert await count(sqlite_store, tables.person) == 3
    assert await verbs(sqlite_store) == ["roster.import"]
    wet = await take_in(desk, path)
    assert wet.done() == {**dry.done(), "returned": 0}


async def test_who_has_no_number_is_told_apart_by_village(desk: Roster, sheet: Callable[..., Path]) -> None:
    heading, one = TAKEN
    other = ("高婆", "", "新河村", "18200130003")
    report = await take_in(desk, sheet([one, other], heading=heading))
    assert report.new == 2
    assert {(person.phone, person.taker_phone) for person in await desk.find("高婆")} == {(None, TAKER)}
    assert len(await desk.find("18200130003")) == 2


async def test_killed_halfway_it_is_run_again_and_is_whole(roster: Roster, store: Store) -> None:
    def stop_at_half(done: int, total: int | None) -> None:
        if total is not None and done >= 1000:
            task.cancel()

    task = asyncio.ensure_future(take_in(roster, TOWN, progress=stop_at_half))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert 0 < await count(store, tables.person) < 2955
    assert await verbs(store) == []
    assert [one.finished_at for one in (await roster.show()).imports] == [None]
    again = await take_in(roster, TOWN)
    assert again.new + again.unchanged == 2955
    assert (again.unchanged > 0, again.missing_count) == (True, 0)
    assert await count(store, tables.person) == 2955
    assert [one.finished_at is None for one in (await roster.show()).imports] == [False, True]


async def test_a_file_that_breaks_off_changes_nothing(
    desk: Roster, sqlite_store: Store, sheet: Callable[..., Path]
) -> None:
    path = sheet([(f"张{n}", f"1380013{n:04}", "", "") for n in range(2000)])
    path.write_text(path.read_text("utf-8") + '"never closed,13800130009', "utf-8")
    with pytest.raises(Refused):
        await take_in(desk, path)
    assert await count(sqlite_store, tables.person) == 0
    assert await count(sqlite_store, tables.roster_import) == 0


async def test_a_file_that_changes_while_it_is_read_does_not_count_as_imported(
    desk: Roster, sheet: Callable[..., Path]
) -> None:
    path = sheet(SMALL)

    def change(done: int, total: int | None) -> None:
        if total is not None:
            path.write_text(path.read_text("utf-8") + "新人,13000130009,,\n", "utf-8")

    with pytest.raises(Conflict):
        await take_in(desk, path, progress=change)
    assert (await desk.show()).imports[0].finished_at is None


async def test_what_is_no_roster_and_who_may_not_import(desk: Roster, sheet: Callable[..., Path]) -> None:
    with pytest.raises(Unsure):
        await take_in(desk, sheet([("a", "b")], heading=("甲", "乙")))
    with pytest.raises(NotFound):
        await take_in(desk, Path("nowhere.csv"))
    with pytest.raises(Refused):
        await desk.import_file(sheet(SMALL), by=CLERK)


async def test_twenty_thousand_rows_leave_the_loop_free(roster: Roster, sheet: Callable[..., Path]) -> None:
    blocks = (138, 182)
    path = sheet((f"惠{n}", f"{blocks[n // 10_000]}0013{n % 10_000:04}", "枣湾村", "果农") for n in range(20_000))
    seen: list[tuple[int, int | None]] = []
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(0.005)
            longest = max(longest, loop.time() - before)

    watching = asyncio.ensure_future(watch())
    report = await take_in(roster, path, progress=lambda done, total: seen.append((done, total)))
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    assert report.new == 20_000
    assert (seen[0], seen[-1]) == ((500, None), (20_000, 20_000))
    assert 0 < longest < 0.5  # a loaded machine's allowance: 0.1 is promised


# -- looking up ------------------------------------------------------------------------------------------------


async def test_people_are_found_by_number_and_by_a_piece_of_their_name(
    roster: Roster, sheet: Callable[..., Path]
) -> None:
    await take_in(roster, sheet(SMALL))
    assert {one.name for one in await roster.find("138 0013 0001")} == {"惠安", "惠小安"}
    assert {one.name for one in await roster.find("安")} == {"惠安", "惠小安"}
    assert [one.name for one in await roster.find("白 贝")] == ["白贝"]
    assert await roster.find("%") == []
    assert await roster.find(" ") == []
    assert await roster.find("白贝", by=VILLAGER) == []


async def test_a_list_names_people_by_number_and_name_or_by_number_alone(
    desk: Roster, sheet: Callable[..., Path]
) -> None:
    rows = [("惠安", "138-0013-0001"), ("", "13800130002"), ("高婆", ""), ("坏", "0912-0000573")]
    listed = await desk.listed(sheet(rows, heading=("姓名", "联系电话")))
    assert (ANNA, "惠安") in listed
    assert (ANNA, "惠小安") not in listed
    assert (BELA, "谁都行") in listed
    assert (None, "高婆") in listed
    assert (None, "坏") not in listed
    assert ANNA not in listed
    assert (listed.rows, listed.unread) == (4, [(5, "landline")])
    numbers = await desk.listed(sheet([("13800130002",)], heading=("手机号",)))
    assert (BELA, "白贝") in numbers


@pytest.mark.parametrize("ending", ["xlsx", "csv"])
async def test_an_export_is_imported_again_without_a_change(
    desk: Roster, sqlite_store: Store, tmp_path: Path, ending: str
) -> None:
    await take_in(desk, TOWN)
    path = tmp_path / f"out.{ending}"
    assert await desk.export(path, by=SYSTEM) == 2955
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    report = await take_in(desk, path, roster="sample-town")
    assert (report.importable, report.unchanged) == (2955, 2955)
    assert "roster.export" in await verbs(sqlite_store)
    with pytest.raises(Conflict):
        await desk.export(path, by=SYSTEM)
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


async def test_an_export_needs_its_directory(desk: Roster, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no directory"):
        await desk.export(tmp_path / "nowhere" / "out.csv", by=SYSTEM)


async def test_no_cell_of_an_export_is_a_formula(desk: Roster, sheet: Callable[..., Path], tmp_path: Path) -> None:
    evil = '=HYPERLINK("http://x.invalid")'
    await take_in(desk, sheet([("+惠安", "13800130001", evil)], heading=("姓名", "手机号", "备注")))
    await desk.export(tmp_path / "out.csv", by=SYSTEM)
    await desk.export(tmp_path / "out.xlsx", by=SYSTEM)
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        [_, row] = csv.reader(file)
    assert (row[0], row[1], row[8]) == ("'+惠安", "13800130001", f"'{evil}")
    [_, cells] = CalamineWorkbook.from_path(str(tmp_path / "out.xlsx")).get_sheet_by_index(0).to_python()
    assert (cells[1], cells[8]) == ("13800130001", evil)


async def test_an_export_shows_an_official_only_their_area(
    desk: Roster, sheet: Callable[..., Path], tmp_path: Path
) -> None:
    await take_in(desk, sheet(SMALL))
    assert await desk.export(tmp_path / "mine.csv", by=VILLAGER) == 2
    with pytest.raises(NotFound):
        await desk.export(tmp_path / "all.csv", by=VILLAGER, area="610899100")
    with pytest.raises(Refused):
        await desk.export(tmp_path / "clerk.csv", by=CLERK)
    with pytest.raises(Refused):
        await desk.export(tmp_path / "all.pdf", by=DIRECTOR)
    assert sorted(one.name for one in tmp_path.glob("*.*sv")) == ["mine.csv", "town.csv"]


# -- consent ---------------------------------------------------------------------------------------------------


async def test_words_of_consent_are_kept_in_order_and_audited_masked(roster: Roster, store: Store) -> None:
    await roster.set_consent("13800130001", None, "out", by=CLERK, source="counter", wording="不要再发")
    await roster.set_consent(ANNA, "weather", "in", by=CLERK, source="counter", wording="天气还要")
    words = await roster.history("138 0013 0001")
    assert [(word.category, word.state, word.by) for word in words] == [
        (None, "out", "zhao"),
        ("weather", "in", "zhao"),
    ]
    assert await store.read(consent.wants, ANNA, "weather")
    assert not await store.read(consent.wants, ANNA, "jobs")
    about = await store.read(lambda db: db.execute(select(tables.audit.c.object)).scalars().all())
    assert about == ["number 138****0001"] * 2
    with pytest.raises(Refused):
        await roster.set_consent("12345", None, "out", by=CLERK, source="counter", wording="")


# -- forgetting ------------------------------------------------------------------------------------------------


async def test_a_forgotten_number_that_returns_gets_its_opt_outs_back(
    roster: Roster, store: Store, site: Config, clock: ManualClock, sheet: Callable[..., Path]
) -> None:
    path = sheet(SMALL)
    await take_in(roster, path)
    await roster.set_consent(ANNA, "jobs", "out", by=CLERK, source="counter", wording="不要招工")
    gone = await roster.forget(ANNA, by=DIRECTOR)
    assert (gone.people, gone.optouts) == (2, [("jobs", "out")])
    assert gone.kept == {"consent": 1}
    assert gone.kept_until == (clock.now() + timedelta(days=180)).date()
    assert [one.name for one in await roster.find("惠")] == []
    [row] = await store.read(lambda db: db.execute(select(tables.forgotten)).all())
    assert (len(row.phone_hmac), "0001" in str(row.optouts)) == (64, False)
    assert stat.S_IMODE((site.directory / "var" / "secret.key").stat().st_mode) == 0o600

    clock.step(timedelta(days=181))
    assert (await roster.sweep(by=SYSTEM))["consent"] == 1
    assert await roster.history(ANNA) == []
    report = await take_in(Roster(store, site, clock), path)  # another process: the key is read from the file
    assert (report.new, report.returned) == (2, 1)
    assert [(w.category, w.state, w.source) for w in await roster.history(ANNA)] == [("jobs", "out", "forgotten")]
    assert await count(store, tables.forgotten) == 0
    assert "+86138" not in str(await store.read(lambda db: db.execute(select(tables.audit.c.what)).all()))


async def test_what_a_number_said_since_it_was_forgotten_counts(
    roster: Roster, clock: ManualClock, sheet: Callable[..., Path]
) -> None:
    path = sheet(SMALL)
    await take_in(roster, path)
    await roster.set_consent(ANNA, None, "out", by=CLERK, source="text", wording="退订")
    await roster.forget(ANNA, by=DIRECTOR)
    clock.step(timedelta(hours=1))
    await roster.set_consent(ANNA, None, "in", by=CLERK, source="text", wording="恢复")
    assert (await take_in(roster, path)).returned == 1
    assert [word.state for word in await roster.history(ANNA)] == ["out", "in"]


async def test_one_of_a_family_goes_and_the_number_stays_the_others(
    roster: Roster, store: Store, sheet: Callable[..., Path]
) -> None:
    await take_in(roster, sheet(SMALL))
    person_id = (await only(roster, "惠小安")).id
    await store.write(parcels.queue, envelope(body=None), [Queued(ANNA, person_id, "小安您好", 1)], roster._clock.now())
    gone = await roster.forget("13800130001", "惠小安", by=DIRECTOR)
    assert (gone.people, gone.kept_until) == (1, None)
    assert [one.name for one in await roster.find(ANNA)] == ["惠安"]
    assert await count(store, tables.forgotten) == 0
    [text] = await store.read(lambda db: db.execute(select(tables.message)).all())
    assert (text.phone, text.body, text.person_id) == (ANNA, "小安您好", None)
    with pytest.raises(NotFound):
        await roster.forget(ANNA, "惠小安", by=DIRECTOR)
    last = await roster.forget(ANNA, "惠安", by=DIRECTOR)
    assert (last.people, last.kept["messages"], last.waiting) == (1, 1, 1)
    assert await count(store, tables.forgotten) == 1


async def test_who_has_no_number_is_forgotten_by_name_and_village(roster: Roster, sheet: Callable[..., Path]) -> None:
    heading, one = TAKEN
    await take_in(roster, sheet([one, ("高婆", "", "新河村", "18200130003")], heading=heading))
    with pytest.raises(Conflict):
        await roster.forget("", "高婆", by=DIRECTOR)
    assert (await roster.forget("", "高婆", by=DIRECTOR, village="新河村")).people == 1
    assert (await only(roster, "高婆")).village == "枣湾村"
    taker = await roster.forget("18200130003", by=DIRECTOR)
    assert taker.people == 0
    assert (await only(roster, "高婆")).taker_phone is None


async def test_forgetting_is_for_those_who_may_and_see(desk: Roster, sheet: Callable[..., Path]) -> None:
    await take_in(desk, sheet(SMALL))
    for by, number, error in ((CLERK, ANNA, Refused), (VILLAGER, BELA, NotFound), (DIRECTOR, TAKER, NotFound)):
        with pytest.raises(error):
            await desk.forget(number, by=by)
    assert len(await desk.find("惠")) == 2


async def test_old_texts_are_blanked_at_once_and_the_rest_when_its_days_are_over(
    roster: Roster, store: Store, clock: ManualClock, sheet: Callable[..., Path]
) -> None:
    await take_in(roster, sheet(SMALL))

    async def sent(body: str) -> None:
        values = {"source": "main", "phone": ANNA, "to": "106", "digest": "x", "handled_at": clock.now()}
        text = tables.inbound.insert().values(**values, ref=body, body=body, received_at=clock.now())
        about = {"phone": ANNA, "window": "x", "kind": "consult", "state": CaseState.CLOSED, "area": "", "title": body}
        times = {"opened_at": clock.now(), "closed_at": clock.now()}
        await store.write(lambda db: db.execute(text))
        await store.write(lambda db: db.execute(tables.case.insert().values(**about, **times, number=body)))
        await store.write(parcels.queue, envelope(body=None), [Queued(ANNA, None, body, 1)], clock.now())
        done = update(tables.parcel).values(state=ParcelState.DONE)
        await store.write(lambda db: db.execute(done))

    async def bodies() -> list[tuple[str, str]]:
        columns = (tables.message.c.phone, tables.message.c.body)
        rows = await store.read(lambda db: db.execute(select(*columns).order_by(tables.message.c.id)).all())
        return [tuple(row) for row in rows]

    await sent("去年的")
    clock.step(timedelta(days=200))
    await sent("上周的")
    gone = await roster.forget(ANNA, by=DIRECTOR)
    assert gone.removed == {"messages": 1, "inbound": 1, "cases": 1, "left_out": 0}
    assert gone.kept == {"messages": 1, "inbound": 1, "cases": 1}
    assert gone.kept_until == (clock.now() + timedelta(days=180)).date()
    assert await bodies() == [("138****0001", ""), (ANNA, "上周的")]
    clock.step(timedelta(days=181))
    swept = await roster.sweep(by=SYSTEM)
    assert {kind: n for kind, n in swept.items() if n} == {"messages": 1, "inbound": 1, "cases": 1}
    assert await bodies() == [("138****0001", ""), ("138****0001", "")]
    assert not any((await roster.sweep(by=SYSTEM)).values())
    with pytest.raises(NotFound):
        await roster.forget(ANNA, by=DIRECTOR)


async def test_who_was_left_out_of_a_broadcast_stays_a_number_without_a_name(
    roster: Roster, store: Store, clock: ManualClock, sheet: Callable[..., Path]
) -> None:
    await take_in(roster, sheet(SMALL))
    plain = {"template": "t", "category": "notice", "title": "t", "state": "approved", "priority": 3, "area": "61"}
    words = {"author": "wang", "on_uncertain": "leave", "note": "", "test": False, "audience": {}, "fields": {}}
    numbers = {"people": 2, "texts": 0, "parts": 0, "cost": 0}

    def leave_out(db: Connection) -> None:
        db.execute(insert(tables.broadcast).values(**plain, **words, **numbers, id=1, created_at=clock.now()))
        for seq, phone in enumerate((ANNA, BELA)):
            row = {"broadcast_id": 1, "seq": seq, "reason": "opted_out", "village": "", "grp": "", "detail": ""}
            db.execute(insert(tables.left_out).values(**row, name="某人", phone=phone))

    async def left() -> list[tuple[str, str | None]]:
        query = select(tables.left_out.c.name, tables.left_out.c.phone).order_by(tables.left_out.c.seq)
        return [(row[0], row[1]) for row in await store.read(lambda db: db.execute(query).all())]

    await store.write(leave_out)
    assert (await roster.forget(ANNA, by=DIRECTOR)).removed["left_out"] == 1
    assert await left() == [("", None), ("某人", BELA)]
    clock.step(timedelta(days=181))
    assert (await roster.sweep(by=SYSTEM))["left_out"] == 1
    assert await left() == [("", None), ("", None)]


async def test_without_its_key_no_forgotten_number_is_known_so_nothing_is_taken_in(
    roster: Roster, store: Store, site: Config, clock: ManualClock, sheet: Callable[..., Path], monkeypatch: Any
) -> None:
    path = sheet(SMALL)
    await take_in(roster, path)
    await roster.forget(ANNA, by=DIRECTOR)
    (site.directory / "var" / "secret.key").unlink()
    with pytest.raises(Refused, match="restore"):
        await take_in(Roster(store, site, clock), path)
    with pytest.raises(Refused, match="restore"):
        await Roster(store, site, clock).forget(BELA, by=DIRECTOR)
    monkeypatch.setitem(os.environ, "GATEWAY_SECRET", "short")
    with pytest.raises(Refused, match="too short"):
        await take_in(Roster(store, site, clock), path)
    monkeypatch.setitem(os.environ, "GATEWAY_SECRET", "k" * 40)
    assert (await take_in(Roster(store, site, clock), path)).returned == 0
