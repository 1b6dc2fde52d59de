"""Months of a hall whose points are counted by hand: what is worth points, the board, appeals, vetoes."""

from __future__ import annotations

import time
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from town import AUDITOR, BOSS, DEPUTY, KEEPER, SITE, VILLAGE, Town, at, clerk, site

from gateway.config import Config, Scoring, load
from gateway.errors import Conflict, Invalid, NotFound, Refused
from gateway.model import Happened, Role
from gateway.officials import Official
from gateway.rules import Rule
from gateway.scores import Scores
from gateway.store import Store
from gateway.store.tables import audit, point, site_file

H = Happened
HE, LIU, BAI = "he-fang", "liu-yang", "bai-jun"
JUNE, JULY, AUGUST = "2026-06", "2026-07", "2026-08"


def changed(tmp_path: Path, old: str, new: str) -> Config:
    """The sample site with another scoring.toml."""
    for name in ("config.toml", "windows.toml", "duty.toml", "offers.toml", "questions.csv"):
        if (SITE / name).exists():
            (tmp_path / name).write_text((SITE / name).read_text())
    text = (SITE / "scoring.toml").read_text()
    assert old in text
    (tmp_path / "scoring.toml").write_text(text.replace(old, new))
    return load(tmp_path)


async def scored(town: Town, month: str = JULY, who: str = "window") -> dict[str, str]:
    return {one.subject.partition(":")[2]: f"{one.score.normalize():f}" for one in await town.scores.board(month, who)}


async def finished(town: Town, opened: str = "07-06T10:00", who: str = HE, window: str = "minzheng") -> str:
    """A case that is done at once and gives the window and its officer 0.2 points; its number."""
    number = await town.opens(window, opened)
    await town.settles(number, opened, who, window)
    return number


# -- facts of the clocks -------------------------------------------------------------------------------------------


async def test_a_case_that_is_signed_late_and_finished_late(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    number = await town.promised(opened="07-06T10:00")  # signed by 16:30, answered by the 7th, finished by the 9th
    await town.happens(number, H.SIGNED, "07-06T16:31", HE)
    await town.happens(number, H.REPLIED, "07-07T17:00", HE)
    await town.settles(number, "07-14T09:00", HE)
    assert await town.scores.run(JULY, by=BOSS) == 8
    assert await town.points("minzheng") == [
        ("late-signed", "-0.5"),
        ("overdue", "-2"),
        *[("late-day", "-1")] * 3,  # 10, 13 and 14 July; 11 and 12 are a weekend
        ("finished", "+0.2"),
    ]
    assert await town.points(HE) == [("overdue", "-2"), ("finished", "+0.2")]
    sheet = await town.scores.show("minzheng", JULY)
    assert [one.why.removeprefix(f"{number} ") for one in sheet.points] == [
        "签收超时（期限7月6日）",
        "到期没有办结（期限7月9日）",
        "7月10日仍没有办结，超期第1个工作日",
        "7月13日仍没有办结，超期第2个工作日",
        "7月14日仍没有办结，超期第3个工作日",
        "办结",
    ]
    assert {(one.number, one.version) for one in sheet.points} == {(number, "scoring.toml 2026-07-01")}
    assert sheet.standing.score == Decimal("84.7")
    assert (sheet.standing.band, sheet.standing.disqualified) == ("良好", "一件超期3天")


async def test_on_the_due_day_after_hours_is_late_but_no_day_late(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    number = await town.promised(opened="07-06T10:00")
    await town.happens(number, H.SIGNED, "07-06T10:30", HE)
    await town.happens(number, H.REPLIED, "07-06T10:30", HE)
    await town.settles(number, "07-09T18:01", HE)
    await town.scores.run(JULY, by=BOSS)
    assert await town.points("minzheng") == [("overdue", "-2"), ("finished", "+0.2")]


async def test_in_time_to_the_minute(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    number = await town.promised(opened="07-06T10:00")
    await town.happens(number, H.SIGNED, "07-06T16:30", HE)
    await town.happens(number, H.REPLIED, "07-07T18:00", HE)
    await town.settles(number, "07-09T18:00", HE)
    await town.scores.run(JULY, by=BOSS)
    assert await town.points("minzheng") == [("finished", "+0.2")]


async def test_days_that_waited_for_papers_are_not_late(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    number = await town.promised(opened="07-06T10:00")
    await town.happens(number, H.REPLIED, "07-06T10:30", HE)
    await town.happens(number, H.ASKED_PAPERS, "07-10T10:00", HE, papers=["身份证"])  # overdue already
    await town.happens(number, H.PAPERS_CAME, "07-15T10:00", "", by="hall")
    await town.settles(number, "07-16T09:00", HE)
    await town.scores.run(JULY, by=BOSS)
    late = [one.why for one in (await town.scores.show("minzheng", JULY)).points if one.rule == "late-day"]
    assert [why.split()[1].partition("仍")[0] for why in late] == ["7月10日", "7月16日"]


async def test_a_pause_before_the_due_time_moves_it(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    number = await town.promised(opened="07-06T10:00")
    await town.happens(number, H.REPLIED, "07-06T10:30", HE)
    await town.happens(number, H.ASKED_PAPERS, "07-07T10:00", HE, papers=["身份证"])
    await town.happens(number, H.PAPERS_CAME, "07-14T10:00", "", by="hall")
    await town.settles(number, "07-16T17:00", HE)
    await town.scores.run(JULY, by=BOSS)
    assert await town.points("minzheng") == [("finished", "+0.2")]


async def test_an_extension_that_came_too_late_undoes_nothing(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    early, late = await town.promised(opened="07-06T10:00"), await town.promised(opened="07-06T10:00")
    for number, when in ((early, "07-08T10:00"), (late, "07-13T10:00")):
        await town.happens(number, H.REPLIED, "07-06T10:30", HE)
        await town.happens(number, H.EXTENDED, when, BOSS.login, days=5)
        await town.settles(number, "07-15T10:00", HE)
    await town.scores.run(JULY, by=BOSS)
    found = [(one.number, one.rule) for one in (await town.scores.show("minzheng", JULY)).points]
    assert [rule for number, rule in found if number == early] == ["finished"]
    assert [rule for number, rule in found if number == late] == ["overdue", "late-day", "late-day", "finished"]


async def test_late_days_are_for_whoever_had_it_that_morning(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    number = await town.promised(opened="07-06T10:00")
    await town.happens(number, H.REPLIED, "07-06T10:30", HE)
    await town.happens(number, H.HANDED_OVER, "07-13T10:00", HE, **{"from": "minzheng", "to": "zhengwu"})
    await town.happens(number, H.SIGNED, "07-13T10:30", BAI)
    await town.settles(number, "07-15T10:00", BAI, "zhengwu")
    await town.scores.run(JULY, by=BOSS)
    assert await town.points("minzheng") == [("overdue", "-2"), ("late-day", "-1"), ("late-day", "-1")]
    assert await town.points("zhengwu") == [("late-day", "-1"), ("late-day", "-1"), ("finished", "+0.2")]
    assert await town.points(HE) == [("overdue", "-2")]
    assert await town.points(BAI) == [("finished", "+0.2")]


async def test_each_round_has_its_own_clocks(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    number = await town.promised(opened="07-06T10:00")
    await town.happens(number, H.REPLIED, "07-06T10:30", HE)
    await town.settles(number, "07-10T10:00", HE)  # a day late
    await town.happens(number, H.SOLVED, "07-10T11:00", solved=False)
    again = {"window": "minzheng", "officer": LIU, "before": HE}
    await town.happens(number, H.REOPENED, "07-10T11:00", **again)  # answered by Monday, finished by Wednesday
    await town.happens(number, H.REPLIED, "07-14T10:00", LIU)
    await town.settles(number, "07-15T17:00", LIU)
    await town.happens(number, H.RATED, "07-15T18:00", value=5, officer=LIU, window="minzheng")
    await town.scores.run(JULY, by=BOSS)
    assert await town.points("minzheng") == [
        ("overdue", "-2"),
        ("late-day", "-1"),
        ("finished", "+0.2"),
        ("unsolved", "-1"),
        ("late-signed", "-0.5"),
        ("late-first", "-1"),
        ("five-stars", "+1"),
    ]
    assert await town.points(HE) == [("overdue", "-2"), ("finished", "+0.2")]
    assert await town.points(LIU) == [("late-first", "-1"), ("finished", "+0.2"), ("five-stars", "+1")]


async def test_a_complaint_costs_more_each_day(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    number = await town.promised("xinfang", "07-06T10:00", kind="complaint", restricted=True, about="minzheng")
    await town.happens(number, H.REPLIED, "07-06T10:30", "yan-gang")
    await town.settles(number, "07-10T10:00", "yan-gang", "xinfang")
    await town.scores.run(JULY, by=BOSS)
    assert ("late-day-complaint", "-4") in await town.points("xinfang")
    assert await town.points("minzheng") == []


async def test_a_case_without_a_promise_is_judged_by_its_row(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    due = {"signed_due_at": "07-06T16:00", "first_due_at": "07-07T17:30", "due_at": "07-09T17:30"}
    late = await town.opens(**due, signed_at="07-06T15:00", first_answer_at="07-08T09:00", officer=HE)
    await town.settles(late, "07-13T09:00", HE)
    await town.opens(**due, signed_at="07-06T15:00", first_answer_at="07-06T15:00", waiting_since="07-08T10:00")
    await town.scores.run(JULY, by=BOSS)
    mine = [(one.number, one.rule) for one in (await town.scores.show("minzheng", JULY)).points]
    assert [rule for number, rule in mine if number == late] == [
        *("late-first", "overdue", "late-day", "late-day", "finished")
    ]
    assert [rule for number, rule in mine if number != late] == ["overdue"]


async def test_what_goes_on_over_the_months_end(sqlite_store: Store) -> None:
    """A month counts as it stood at its end, whenever it is counted."""
    town = Town(sqlite_store, "09-01T09:00")
    number = await town.promised(opened="07-27T10:00")  # due on the 30th
    await town.happens(number, H.REPLIED, "07-27T10:30", HE)
    await town.settles(number, "08-04T10:00", HE)
    assert await town.scores.run(AUGUST, by=BOSS) == 4
    assert await town.scores.run(JULY, by=BOSS) == 3
    assert await town.points("minzheng") == [("overdue", "-2"), ("late-day", "-1")]
    assert await town.points("minzheng", AUGUST) == [("late-day", "-1"), ("late-day", "-1"), ("finished", "+0.2")]


# -- facts that events state ---------------------------------------------------------------------------------------


async def test_what_else_is_worth_points(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    number = await town.promised(publish=True)
    await town.happens(number, H.SIGNED, "07-06T10:10", HE)
    await town.happens(number, H.BREACH, "07-06T10:20", LIU, papers=["户口本"], window="minzheng")
    await town.settles(number, "07-06T10:30", HE, how="spot")
    await town.happens(number, H.RATED, "07-06T10:40", value=2, officer=HE, window="minzheng")
    await town.happens(number, H.RATED, "07-06T10:50", value=3, officer=HE, window="minzheng")
    await town.scores.run(JULY, by=BOSS)
    assert await town.points("minzheng") == [
        ("breach", "-3"),
        ("finished", "+0.2"),
        ("spot", "+0.5"),
        ("published", "+0.5"),
        ("bad-rating", "-2"),
    ]
    assert await town.points(LIU) == [("breach", "-3")]
    assert await town.points(HE) == [("finished", "+0.2"), ("spot", "+0.5"), ("bad-rating", "-2")]
    why = next(one.why for one in (await town.scores.show(LIU, JULY)).points)
    assert why == f"{number} 第二次要材料，有第一次没说的：户口本"


async def test_a_wrong_assignment_is_its_makers(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    by_hand, by_machine = await town.promised("front-desk"), await town.promised("minzheng")
    await town.happens(by_hand, H.HANDED_OVER, "07-06T10:10", "gao-yan", **{"from": "front-desk", "to": "minzheng"})
    for number in (by_hand, by_machine):
        await town.happens(number, H.HANDED_BACK, "07-06T10:20", HE, **{"from": "minzheng", "to": "front-desk"})
        await town.settles(number, "07-06T10:30", "gao-yan", "front-desk")
    await town.scores.run(JULY, by=BOSS)
    assert await town.points("front-desk") == [("handed-back", "-1"), ("finished", "+0.2"), ("finished", "+0.2")]
    assert (await town.points("gao-yan"))[0] == ("handed-back", "-1")
    assert await town.points("minzheng") == []


async def test_what_was_merged_away_is_not_finished(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    number = await town.promised()
    await town.settles(number, "07-06T10:30", HE, how="merged")
    assert await town.scores.run(JULY, by=BOSS) == 0


async def test_published_when_it_was_allowed_later(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    number = await finished(town)
    await town.happens(number, H.MARKED, "07-20T10:00", HE, before={"publish": False}, after={"publish": True})
    await town.changes(number, publish=True)
    await town.scores.run(JULY, by=BOSS)
    told = next(one for one in (await town.scores.show("minzheng", JULY)).points if one.rule == "published")
    assert told.at == at("07-20T10:00")


# -- running -------------------------------------------------------------------------------------------------------


async def test_running_again_adds_only_what_is_new(store: Store) -> None:
    town = Town(store, "07-10T09:00")
    await finished(town)
    late = await town.promised(opened="07-06T10:00")
    assert await town.scores.run(by=BOSS) == 6  # this month: each kind of lateness once, the first late day
    assert await town.scores.run(JULY, by=BOSS) == 0
    await finished(town)
    await town.settles(late, "07-14T08:40", HE)
    town.clock.advance(10 * 24 * 3600)
    assert await town.scores.run(by=KEEPER) == 6
    assert await town.scores.run(by=KEEPER) == 0
    rows = await store.read(lambda db: db.execute(select(point).order_by(point.c.id)).all())
    assert len(rows) == 12
    assert {row.by for row in rows} == {"guo-zhuren", "admin"}
    audited = await store.read(lambda db: db.execute(select(audit.c.verb, audit.c.what)).all())
    assert [(one.verb, one.what["added"]) for one in audited] == [("scores.run", 6), ("scores.run", 6)]


async def test_the_gateway_counts_last_month_and_this_one_by_itself(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    await finished(town)
    assert await town.scores.run_due() > 0
    assert await town.scores.run_due() == 0
    assert (await scored(town))["minzheng"] == "90.2"


async def test_a_month_that_has_not_begun(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    for month, said in (("2026-09", "has not begun"), ("2026-13", "are written"), ("七月", "are written")):
        with pytest.raises(Refused, match=said):
            await town.scores.run(month, by=BOSS)


async def test_without_a_rule_file_nothing_is_counted(sqlite_store: Store) -> None:
    config = site()
    text = config.sources["config.toml"].replace('scoring = "scoring.toml"', "")
    bare = config.model_copy(update={"sources": {"config.toml": text}, "scoring": Scoring()})
    with pytest.raises(Refused, match="names no"):
        await Town(sqlite_store, config=bare).scores.run(JULY, by=BOSS)


async def test_a_new_version_counts_what_is_new(sqlite_store: Store, tmp_path: Path) -> None:
    town = Town(sqlite_store, "07-10T09:00")
    await finished(town)
    await town.scores.run(JULY, by=BOSS)
    old = 'code = "finished"\nname = "办结一件"\nwhen = "finished"\nwho = "both"\npoints = 0.2'
    new = old.replace("0.2", "0.3").replace("办结一件", "办结")
    later = Scores(sqlite_store, changed(tmp_path, old, new), town.clock)
    await finished(town)
    assert await later.run(JULY, by=BOSS) == 2
    found = [(one.name, str(one.points)) for one in (await later.show("minzheng", JULY)).points]
    assert found == [("办结一件", "0.20"), ("办结", "0.30")]
    versions = await sqlite_store.read(lambda db: db.execute(select(site_file.c.name)).scalars().all())
    assert versions == ["scoring.toml"] * 2


async def test_a_month_is_added_up_by_the_rules_of_its_day(sqlite_store: Store, tmp_path: Path) -> None:
    town = Town(sqlite_store)
    await finished(town)
    await town.scores.run(JULY, by=BOSS)
    later = Scores(sqlite_store, changed(tmp_path, "base = 90", "base = 50"), town.clock)
    assert {one.score for one in await later.board(JULY)} == {Decimal("90.2"), Decimal(90)}
    assert {one.score for one in await later.board("2026-05")} == {Decimal(50)}


# -- the board -----------------------------------------------------------------------------------------------------


async def test_caps_hold_when_points_are_added_up(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    for _ in range(8):
        number = await finished(town)
        await town.happens(number, H.RATED, "07-07T10:00", value=5, officer=HE, window="minzheng")
    await town.scores.run(JULY, by=BOSS)
    standing = (await town.scores.show("minzheng", JULY)).standing
    assert [(one.rule, one.times, float(one.points), float(one.counted)) for one in standing.sums] == [
        ("finished", 8, 1.6, 1.6),
        ("five-stars", 8, 8, 5),
    ]
    assert standing.score == Decimal("96.6")
    first = next(one for one in (await town.scores.show("minzheng", JULY)).points if one.rule == "five-stars")
    await town.scores.decide(await town.scores.appeal(first.id, "记错", by=clerk(HE)), False, "属实", by=BOSS)
    assert (await town.scores.show("minzheng", JULY)).standing.score == Decimal("96.6")  # 7 stars are still 5 points


async def test_ranks_bands_and_trend(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    for opened, window, count in (("06-08T10:00", "minzheng", 2), ("07-06T10:00", "minzheng", 5)):
        for _ in range(count):
            await finished(town, opened, HE, window)
    await finished(town, "07-06T10:00", BAI, "zhengwu")
    await finished(town, "07-06T10:00", "cao-juan", "weiji")
    number = await finished(town, "07-06T10:00", "yan-gang", "xinfang")
    for minute in range(6):
        await town.happens(number, H.RATED, f"07-06T11:{minute:02}", value=1, officer="yan-gang", window="xinfang")
    for month in (JUNE, JULY):
        await town.scores.run(month, by=BOSS)
    board = await town.scores.board(JULY)
    assert [(one.rank, one.name, f"{one.score:g}", one.band, f"{one.trend:+g}") for one in board] == [
        (1, "民政社保", "91.00", "优秀", "+0.60"),
        (2, "综合政务", "90.20", "优秀", "+0.20"),
        (2, "卫生计生", "90.20", "优秀", "+0.20"),
        *[(4, name, "90", "优秀", "+0") for name in ("首问前台", "财政惠农", "就业", "武装(征兵)", "安全生产")],
        (9, "信访", "78.20", "合格", "-11.80"),
    ]
    officers = await town.scores.board(JULY, "officer")
    assert [(one.rank, one.subject, one.name) for one in officers[:3]] == [
        (1, "officer:he-fang", "贺芳"),
        (2, "officer:bai-jun", "白军"),
        (2, "officer:cao-juan", "曹娟"),
    ]
    with pytest.raises(Refused, match="window or officer"):
        await town.scores.board(JULY, "village")


async def test_whoever_has_gone_keeps_their_points(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    await finished(town, who="old-hand", window="old-desk")
    await town.scores.run(JULY, by=BOSS)
    assert (await town.scores.board(JULY))[0].name == "old-desk"
    assert (await town.scores.show("officer:old-hand", JULY)).standing.name == "old-hand"
    with pytest.raises(NotFound, match="has no points"):
        await town.scores.show("officer:old-hand", JUNE)
    with pytest.raises(NotFound, match="no such"):
        await town.scores.show("nobody", JULY)


# -- by hand, and the veto -----------------------------------------------------------------------------------------


async def test_two_complaints_upheld_within_22_working_days(sqlite_store: Store) -> None:
    town = Town(sqlite_store, "08-31T12:00")
    number = await finished(town)
    give, days = town.scores.give, [date(2026, 7, 1), date(2026, 8, 3), date(2026, 7, 30)]
    rude = "态度生硬，经查实"
    first = await give("minzheng", "complaint-upheld", rude, by=BOSS, day=days[0], number=number)
    await give("minzheng", "complaint-upheld", "再次查实", by=BOSS, day=days[1])
    assert (await town.scores.show("minzheng", AUGUST)).standing.disqualified == ""  # 24 working days
    await give("minzheng", "complaint-upheld", "又一次", by=KEEPER, day=days[2])
    board = await town.scores.board(AUGUST)
    last = board[-1]
    assert (last.name, last.rank, last.disqualified) == ("民政社保", None, "22个工作日内两次被投诉并查实")
    assert {one.rank for one in board[:-1]} == {1}
    assert (await town.scores.board(JULY))[-1].rank is None  # the 1st and the 30th are 22 working days
    (shown,) = [one for one in (await town.scores.show("minzheng", JULY)).points if one.id == first]
    assert (shown.number, shown.why, shown.by, shown.points) == (number, rude, BOSS.login, Decimal(-10))
    assert all(one.rank for one in await town.scores.board(JUNE))


async def test_the_veto_lasts_until_the_years_end(sqlite_store: Store) -> None:
    town = Town(sqlite_store, "12-31T12:00")
    for day in ("02-02", "02-03", "02-04"):
        number = await town.opens(opened=f"{day}T10:00", due_at=f"{day}T11:00", officer=HE)
        await town.settles(number, f"{day}T11:30", HE)
    await town.scores.run("2026-02", by=BOSS)
    assert (await town.scores.show("minzheng", "2026-11")).standing.disqualified == "一年超期办件3件"
    assert (await town.scores.show("minzheng", "2026-01")).standing.disqualified == ""
    assert (await town.scores.show("minzheng", "2027-01")).standing.disqualified == ""


async def test_what_cannot_be_given(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    give = town.scores.give
    await give("zhengwu", "absent", "下午没人", by=BOSS)
    with pytest.raises(Conflict, match="counted already"):
        await give("zhengwu", "absent", "下午没人", by=BOSS)
    for args, error, said in (
        (("zhengwu", "finished", "x"), NotFound, "there are: praised"),
        (("zhengwu", "absent", " "), Refused, "say why"),
        (("bai-jun", "absent", "x"), Refused, "for a window"),
        (("guo-zhuren", "praised", "x"), Refused, "nobody counts for themselves"),
    ):
        with pytest.raises(error, match=said):
            await give(*args, by=BOSS)
    with pytest.raises(NotFound, match="no case"):
        await give("zhengwu", "absent", "x", by=BOSS, number="26070100000")
    with pytest.raises(Refused, match="has not come"):
        await give("zhengwu", "absent", "x", by=BOSS, day=date(2026, 8, 3))


# -- appeals -------------------------------------------------------------------------------------------------------


async def a_bad_rating(town: Town) -> int:
    number = await finished(town)
    await town.happens(number, H.RATED, "07-07T10:00", value=1, officer=HE, window="minzheng")
    await town.scores.run(JULY, by=BOSS)
    found = (await town.scores.show("minzheng", JULY)).points
    return next(one.id for one in found if one.rule == "bad-rating")


async def test_a_reversed_point_is_kept_and_counts_no_more(store: Store) -> None:
    town = Town(store)
    bad = await a_bad_rating(town)
    assert (await scored(town))["minzheng"] == "88.2"
    appeal = await town.scores.appeal(bad, "政策不允许，不是态度问题", by=clerk(HE))
    (waiting,) = await town.scores.appeals(by=AUDITOR)
    assert (waiting.id, waiting.appeal, waiting.appeal_by) == (bad, "waiting", HE)
    assert (await scored(town))["minzheng"] == "88.2"
    await town.scores.decide(appeal, False, "查实不属窗口责任", by=BOSS)
    assert (await scored(town))["minzheng"] == "90.2"
    kept = next(one for one in (await town.scores.show("minzheng", JULY)).points if one.id == bad)
    assert (kept.counts, kept.appeal, kept.decided_by, kept.decided_why) == (
        *(False, "reversed"),
        *(BOSS.login, "查实不属窗口责任"),
    )
    assert kept.appeal_reason == "政策不允许，不是态度问题"
    assert await town.scores.run(JULY, by=BOSS) == 0  # nor does it come back
    assert await town.scores.appeals() == []
    verbs = select(audit.c.verb).order_by(audit.c.day, audit.c.seq)
    assert await store.read(lambda db: db.execute(verbs).scalars().all()) == [
        "scores.run",
        "scores.appeal",
        "scores.decide",
    ]


async def test_an_upheld_point_stands(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    bad = await a_bad_rating(town)
    appeal = await town.scores.appeal(bad, "不是我", by=clerk(LIU))  # of the same window
    await town.scores.decide(appeal, True, "记录清楚", by=BOSS)
    assert (await scored(town))["minzheng"] == "88.2"
    with pytest.raises(Conflict, match="has decided"):
        await town.scores.decide(appeal, False, "再看", by=BOSS)
    with pytest.raises(Conflict, match="appealed already"):
        await town.scores.appeal(bad, "再申诉", by=clerk(HE))


async def test_who_appealed_does_not_decide(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    bad = await a_bad_rating(town)
    appeal = await town.scores.appeal(bad, "记错了", by=BOSS)
    with pytest.raises(Refused, match="neither who appealed"):
        await town.scores.decide(appeal, False, "我看可以", by=BOSS)
    for other in (clerk(HE), AUDITOR, KEEPER):
        with pytest.raises(Refused, match="lacks the role"):
            await town.scores.decide(appeal, False, "我看可以", by=other)
    with pytest.raises(Refused, match="say why"):
        await town.scores.decide(appeal, False, "", by=DEPUTY)
    await town.scores.decide(appeal, False, "同意", by=DEPUTY)
    with pytest.raises(NotFound, match="no appeal"):
        await town.scores.decide(99, False, "同意", by=DEPUTY)


async def test_whom_it_concerns_does_not_decide(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    point_id = await town.scores.give("officer:guo-zhuren", "praised", "锦旗", by=DEPUTY)
    appeal = await town.scores.appeal(point_id, "重复了", by=DEPUTY)
    with pytest.raises(Refused, match="neither who appealed"):
        await town.scores.decide(appeal, True, "我的", by=BOSS)


async def test_who_may_appeal(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    bad = await a_bad_rating(town)
    with pytest.raises(NotFound, match="no point"):
        await town.scores.appeal(bad, "看不惯", by=clerk(BAI))
    with pytest.raises(NotFound, match="no point"):
        await town.scores.appeal(999, "没有的", by=BOSS)
    with pytest.raises(Refused, match="lacks the role"):
        await town.scores.appeal(bad, "审计意见", by=AUDITOR)
    with pytest.raises(Refused, match="say why"):
        await town.scores.appeal(bad, "\n", by=clerk(HE))


# -- who may -------------------------------------------------------------------------------------------------------


async def test_who_may_run_and_look(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    await finished(town)
    for other in (AUDITOR, clerk(HE)):
        with pytest.raises(Refused, match="lacks the role"):
            await town.scores.run(JULY, by=other)
        with pytest.raises(Refused, match="lacks the role"):
            await town.scores.give("minzheng", "absent", "x", by=other)
    await town.scores.run(JULY, by=KEEPER)
    assert (await town.scores.board(JULY, by=AUDITOR))[0].name == "民政社保"
    assert len((await town.scores.show("minzheng", JULY, by=clerk(LIU))).points) == 1
    assert len((await town.scores.show(HE, JULY, by=clerk(HE))).points) == 1
    for refused in (town.scores.board(JULY, by=clerk(HE)), town.scores.appeals(by=clerk(HE))):
        with pytest.raises(Refused, match="lacks the role"):
            await refused
    for other in ("zhengwu", LIU):
        with pytest.raises(Refused, match="lacks the role"):
            await town.scores.show(other, JULY, by=clerk(HE))


async def test_who_sees_a_village_has_no_board(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    village = Official("cun", "村主任", frozenset({Role.DIRECTOR}), VILLAGE)
    for refused in (town.scores.run(JULY, by=village), town.scores.board(JULY, by=village)):
        with pytest.raises(Refused, match="whole hall"):
            await refused


async def test_a_restricted_case_is_not_named_to_those_it_is_about(sqlite_store: Store) -> None:
    town = Town(sqlite_store)
    number = await finished(town, who="yan-gang", window="xinfang")
    await town.changes(number, kind="complaint", restricted=True, about="minzheng")
    await town.scores.give("minzheng", "complaint-upheld", f"{number} 查实", by=BOSS, number=number)
    theirs = (await town.scores.show("minzheng", AUGUST, by=clerk(HE))).points[0]
    assert (theirs.number, theirs.why) == (None, "（保密件） 查实")
    assert (await town.scores.show("minzheng", AUGUST, by=AUDITOR)).points[0].number == number


# -- the rule file -------------------------------------------------------------------------------------------------


def test_the_sample_rules_are_in_order() -> None:
    scoring = site().scoring
    assert (scoring.version, scoring.base) == ("2026-07-01", Decimal(90))
    assert scoring.rule("late-day-complaint") is not None
    assert {one.least for one in scoring.bands} == {90, 80, 60, -1000}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('when = "breach"', 'when = "breech"', "rules"),
        ('when = "late-first"', 'when = "late-first"\nper = "day"', "only late is counted by the day"),
        ('rule = "overdue"', 'rule = "overdu"', "no rule overdu"),
        ('code = "spot"', 'code = "finished"', "listed twice"),
    ],
)
def test_a_mistake_in_the_rules_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(Invalid) as found:
        changed(tmp_path, old, new)
    (problem,) = found.value.problems
    assert problem.file == "scoring.toml"
    assert said in f"{problem.key} {problem.en}"


def test_an_unnamed_band_and_a_rule_that_went() -> None:
    from gateway.scores import board

    scoring = Scoring(rules=(Rule(code="a", name="甲", when="spot", points=Decimal(1)),))
    gone: Any = {"rule": "b", "points": Decimal(2), "name": "乙", "counts": True}
    (total,) = board.sums([type("P", (), gone)()], scoring)
    assert (total.name, total.counted, board.band(Decimal(5), scoring)) == ("乙", 2, "")


# -- how fast ------------------------------------------------------------------------------------------------------


async def test_a_month_of_two_thousand_cases_is_quick(sqlite_store: Store) -> None:
    from gateway.cases import promises
    from gateway.clocks import Promise, Span
    from gateway.store import bulk
    from gateway.store.tables import case, case_event

    town = Town(sqlite_store)
    limits = promises.written(Promise(Span(240, "minutes"), Span(1, "workdays"), Span(3, "workdays"), 15))
    columns = ("number", "phone", "window", "kind", "state", "area", "title", "opened_at", "rounds")
    rest = ("+8613800130001", "minzheng", "consult", "open", VILLAGE, "", at("07-06T10:00"), 1)
    opening = {"window": "minzheng", "promise": limits}

    def fill(db: Any) -> None:
        bulk.insert(db, case, columns, [(f"n{n}", *rest) for n in range(2000)])
        texts = [(n + 1, H.TEXT, "", "", opening, None, at("07-06T10:00")) for n in range(2000)]
        ends = [(n + 1, H.CLOSED, HE, "", {"how": "text"}, None, at("07-07T10:00")) for n in range(0, 2000, 2)]
        names = ("case_id", "kind", "who", "body", "data", "inbound_id", "at")
        bulk.insert(db, case_event, names, [*texts, *ends])

    await sqlite_store.write(fill)
    began = time.perf_counter()
    added = await town.scores.run(JULY, by=BOSS)
    assert added == 1000 * 3 + 1000 * (1 + 1 + 1 + 16)
    assert time.perf_counter() - began < 20
