"""The three clocks by example, and against a walk through two months minute by minute."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from time import perf_counter
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clocks import Clocks, Mark, Promise, Span, Unit, replay
from gateway.model import Happened
from gateway.settings import OfficeTable
from gateway.worktime import Calendar, OfficeHours

SHANGHAI = ZoneInfo("Asia/Shanghai")
TWO_SPANS = "08:30-12:00,14:00-17:30"
IN_SUMMER = "08:30-12:00,14:30-18:00"
OFFICE = OfficeHours.of(OfficeTable(), Calendar(), SHANGHAI)
MINUTE, HOUR, NONE = timedelta(minutes=1), timedelta(hours=1), timedelta()
DAY = 7 * HOUR
PROMISE = Promise(Span(240, "minutes"), Span(1, "workdays"), Span(3, "workdays"), 15, "民政窗口咨询件")
H = Happened


def at(text: str) -> datetime:
    """`05-06 10:00`, of 2026 on the site's clock, or with a year."""
    return datetime.fromisoformat(text if text[4:5] == "-" else f"2026-{text}").replace(tzinfo=SHANGHAI).astimezone(UTC)


def mark(what: Happened, when: str, window: str = "", days: int = 0, papers: Sequence[str] = ()) -> Mark:
    return Mark(what, at(when), window, days, tuple(papers))


def text(when: str) -> Mark:
    return mark(H.TEXT, when, "civil")


def papers(when: str, *names: str) -> Mark:
    return mark(H.ASKED_PAPERS, when, papers=names or ("身份证复印件",))


def stand(*marks: Mark, now: str, promise: Promise = PROMISE, office: OfficeHours = OFFICE) -> Clocks:
    return replay(marks, promise, office, at(now))


def in_days(finish: int, unit: Unit = "workdays", cap: int = 15) -> Promise:
    return Promise(Span(240, "minutes"), Span(1, "workdays"), Span(finish, unit), cap)


def chinese(found: Clocks) -> list[str]:
    return [zh for zh, _ in found.why]


# due times


@pytest.mark.parametrize(
    ("texted", "starts", "signed", "first", "finish"),
    [
        ("05-06 10:00", "05-06 10:00", "05-06 16:00", "05-07 17:30", "05-09 17:30"),
        ("05-06 12:30", "05-06 14:00", "05-07 09:00", "05-07 17:30", "05-09 17:30"),
        ("05-06 17:30", "05-07 08:30", "05-07 14:30", "05-08 17:30", "05-11 17:30"),
        ("05-01 10:00", "05-06 08:30", "05-06 14:30", "05-07 17:30", "05-09 17:30"),
        ("04-30 17:00", "04-30 17:00", "05-06 12:00", "05-06 17:30", "05-08 17:30"),
        ("09-30 16:00", "09-30 16:00", "10-08 11:00", "10-08 17:30", "10-10 17:30"),
        ("10-09 09:00", "10-09 09:00", "10-09 15:00", "10-10 17:30", "10-13 17:30"),
    ],
)
def test_when_a_text_is_due(texted: str, starts: str, signed: str, first: str, finish: str) -> None:
    found = stand(text(texted), now=texted)
    assert {found.signed.starts_at, found.first.starts_at, found.finish.starts_at} == {at(starts)}
    assert [one.due_at for one in (found.signed, found.first, found.finish)] == [at(signed), at(first), at(finish)]
    assert [one.met_at for one in (found.signed, found.first, found.finish)] == [None] * 3
    assert (found.round, found.paused, found.holding) == (1, NONE, {"civil": NONE})


def test_no_days_at_all_is_by_the_end_of_the_day_on_which_the_clock_starts() -> None:
    assert stand(text("05-06 10:00"), now="05-06 10:00", promise=in_days(0)).finish.due_at == at("05-06 17:30")
    assert stand(text("05-06 18:00"), now="05-06 18:00", promise=in_days(0)).finish.due_at == at("05-07 17:30")
    days = in_days(0, "days")
    assert stand(text("05-08 18:00"), now="05-08 18:00", promise=days).finish.due_at == at("05-10 00:00")


def test_calendar_days_run_through_days_off_and_end_at_midnight() -> None:
    found = stand(text("04-29 10:00"), now="04-29 10:00", promise=in_days(3, "days"))
    assert found.finish.due_at == at("05-03 00:00")
    assert stand(text("05-01 10:00"), now="05-01 10:00", promise=in_days(20, "days")).finish.due_at == at("05-27 00:00")


def test_hours_change_with_the_summer() -> None:
    summery = OfficeHours.of(OfficeTable(summer=IN_SUMMER), Calendar(), SHANGHAI)
    found = stand(text("05-29 17:00"), now="05-29 17:00", office=summery)
    assert (found.signed.due_at, found.first.due_at) == (at("06-01 12:00"), at("06-01 18:00"))
    found = stand(text("09-30 17:00"), now="09-30 17:00", office=summery)
    assert (found.signed.due_at, found.first.due_at) == (at("10-08 11:30"), at("10-08 17:30"))


def test_an_office_round_the_clock() -> None:
    always = OfficeHours.of(OfficeTable(hours=""), Calendar(), SHANGHAI)
    found = stand(text("05-09 22:00"), now="05-09 22:00", office=always)
    assert (found.signed.due_at, found.first.due_at) == (at("05-11 02:00"), at("05-12 00:00"))


# meeting them


def test_who_answers_has_signed_and_who_finishes_has_answered() -> None:
    signed = stand(text("05-06 10:00"), mark(H.SIGNED, "05-06 11:00"), now="05-06 15:00")
    assert (signed.signed.met_at, signed.first.met_at) == (at("05-06 11:00"), None)
    for what in (H.REPLIED, H.CALLED):
        found = stand(text("05-06 10:00"), mark(what, "05-06 11:00"), now="05-06 15:00")
        assert (found.signed.met_at, found.first.met_at, found.finish.met_at) == (at("05-06 11:00"),) * 2 + (None,)
    closed = stand(text("05-06 10:00"), mark(H.CLOSED, "05-06 11:00"), now="05-06 15:00")
    assert {closed.signed.met_at, closed.first.met_at, closed.finish.met_at} == {at("05-06 11:00")}


def test_the_first_of_several_counts() -> None:
    marks = [mark(H.SIGNED, "05-06 11:00"), mark(H.REPLIED, "05-06 15:00"), mark(H.CALLED, "05-07 09:00")]
    found = stand(text("05-06 10:00"), *marks, now="05-07 10:00")
    assert (found.signed.met_at, found.first.met_at) == (at("05-06 11:00"), at("05-06 15:00"))


def test_lateness_is_office_time_past_due() -> None:
    waiting = stand(text("05-06 10:00"), now="05-11 09:30")
    assert waiting.signed.late == 1.5 * HOUR + 3 * DAY + HOUR
    assert (waiting.first.late, waiting.finish.late) == (2 * DAY + HOUR, HOUR)
    met = stand(text("05-06 10:00"), mark(H.CLOSED, "05-09 17:30"), now="05-20 09:00")
    assert (met.finish.late, met.first.late) == (NONE, 2 * DAY)


def test_what_says_nothing_about_the_clocks_changes_none() -> None:
    marks = [mark(H.MARKED, "05-06 12:00", "social"), mark(H.BREACH, "05-06 12:01"), mark(H.TEXT, "05-06 12:02")]
    assert stand(text("05-06 10:00"), *marks, now="05-20 09:00") == stand(text("05-06 10:00"), now="05-20 09:00")


# pauses


def test_waiting_for_papers_moves_the_finish_alone_by_what_it_took() -> None:
    marks = text("05-06 10:00"), papers("05-06 15:00"), mark(H.PAPERS_CAME, "05-08 09:00")
    found = stand(*marks, now="05-08 10:00")
    assert found.paused == 2.5 * HOUR + DAY + HOUR / 2
    assert found.finish.due_at == at("05-12 11:30")
    assert found.finish.paused_since is None
    assert (found.signed.due_at, found.first.due_at) == (at("05-06 16:00"), at("05-07 17:30"))
    assert found.holding == {"civil": OFFICE.between(at("05-06 10:00"), at("05-08 10:00"))}


def test_the_persons_text_ends_the_pause_as_papers_do() -> None:
    came = stand(text("05-06 10:00"), papers("05-06 15:00"), mark(H.PAPERS_CAME, "05-08 09:00"), now="05-08 10:00")
    wrote = stand(text("05-06 10:00"), papers("05-06 15:00"), mark(H.TEXT, "05-08 09:00"), now="05-08 10:00")
    assert wrote == came


def test_while_it_lasts_the_due_time_is_as_if_the_papers_came_now() -> None:
    marks = text("05-06 10:00"), papers("05-06 15:00")
    found = stand(*marks, now="05-07 15:00")
    assert (found.finish.paused_since, found.finish.due_at) == (at("05-06 15:00"), at("05-11 17:30"))
    assert found.finish.pause_ends_at == at("05-26 15:00")
    assert found.finish.due_at == stand(*marks, mark(H.PAPERS_CAME, "05-07 15:00"), now="05-07 15:00").finish.due_at


def test_a_pause_ends_by_its_cap() -> None:
    marks = text("05-06 10:00"), papers("05-06 15:00")
    before = stand(*marks, now="05-08 14:59", promise=in_days(3, cap=2))
    ended = stand(*marks, now="05-08 15:00", promise=in_days(3, cap=2))
    later = stand(*marks, mark(H.PAPERS_CAME, "05-20 10:00"), now="05-20 10:00", promise=in_days(3, cap=2))
    assert (before.finish.paused_since, before.finish.pause_ends_at) == (at("05-06 15:00"), at("05-08 15:00"))
    assert (ended.finish.paused_since, ended.finish.pause_ends_at) == (None, None)
    assert ended.finish.due_at == later.finish.due_at == at("05-12 17:30")
    assert (ended.paused, later.paused) == (2 * DAY, 2 * DAY)
    assert later.finish.late == OFFICE.between(at("05-12 17:30"), at("05-20 10:00"))


def test_the_cap_is_for_all_pauses_of_a_round() -> None:
    marks = [
        text("05-06 10:00"),
        papers("05-06 15:00"),
        mark(H.PAPERS_CAME, "05-07 15:00"),
        papers("05-08 15:00"),
        mark(H.PAPERS_CAME, "05-12 15:00"),
        papers("05-13 09:00"),
    ]
    found = stand(*marks, now="05-13 12:00", promise=in_days(9, cap=2))
    assert (found.paused, found.finish.paused_since) == (2 * DAY, None)
    assert found.finish.due_at == at("05-20 17:30")
    again = [*marks, mark(H.CLOSED, "05-14 09:00"), mark(H.REOPENED, "05-15 09:00"), papers("05-15 10:00")]
    fresh = stand(*again, now="05-15 12:00", promise=in_days(9, cap=2))
    assert (fresh.paused, fresh.finish.paused_since) == (2 * DAY + 2 * HOUR, at("05-15 10:00"))


def test_nothing_is_paused_where_no_paper_is_named_or_the_cap_is_nought() -> None:
    plain = stand(text("05-06 10:00"), now="05-20 10:00", promise=in_days(3))
    unnamed = stand(text("05-06 10:00"), mark(H.ASKED_PAPERS, "05-06 11:00"), now="05-20 10:00", promise=in_days(3))
    assert (unnamed.finish, unnamed.paused) == (plain.finish, plain.paused)
    uncapped = stand(text("05-06 10:00"), papers("05-06 11:00"), now="05-20 10:00", promise=in_days(3, cap=0))
    assert (uncapped.finish, uncapped.paused) == (plain.finish, plain.paused)


def test_saying_what_is_missing_or_what_is_done_is_an_answer() -> None:
    for told in (papers("05-06 11:00"), mark(H.STEP, "05-06 11:00")):
        found = stand(text("05-06 10:00"), told, now="05-20 10:00")
        assert (found.signed.met_at, found.first.met_at) == (at("05-06 11:00"), at("05-06 11:00"))
        assert (found.signed.late, found.first.late) == (timedelta(), timedelta())


def test_a_second_request_meanwhile_adds_papers_to_one_pause() -> None:
    marks = text("05-06 10:00"), papers("05-06 15:00"), papers("05-07 09:00", "户口本", "身份证复印件")
    found = stand(*marks, now="05-07 15:00")
    assert (found.finish.paused_since, found.paused) == (at("05-06 15:00"), DAY)
    assert "（身份证复印件、户口本）" in chinese(found)[4]


def test_a_pause_of_a_minute_wins_a_minute() -> None:
    marks = text("05-06 10:00"), papers("05-06 15:00"), mark(H.PAPERS_CAME, "05-06 15:01")
    assert stand(*marks, now="05-07 15:00").finish.due_at == at("05-11 08:31")
    assert stand(*marks, now="05-07 15:00", promise=in_days(3, "days")).finish.due_at == at("05-10 00:01")


def test_a_pause_out_of_office_time_moves_no_working_days() -> None:
    marks = text("05-08 10:00"), papers("05-09 18:00"), mark(H.PAPERS_CAME, "05-10 18:00")
    found = stand(*marks, now="05-11 15:00")
    assert (found.paused, found.finish.due_at) == (NONE, at("05-12 17:30"))
    assert stand(*marks, now="05-11 15:00", promise=in_days(3, "days")).finish.due_at == at("05-13 00:00")


def test_papers_asked_for_before_the_clock_starts_pause_it_from_its_start() -> None:
    marks = text("05-06 20:00"), papers("05-06 21:00"), mark(H.PAPERS_CAME, "05-07 09:00")
    assert stand(*marks, now="05-07 15:00", promise=in_days(3, "days")).finish.due_at == at("05-11 00:30")


def test_a_due_time_that_has_passed_is_not_moved_but_the_pause_is_not_late() -> None:
    marks = text("05-06 10:00"), papers("05-11 10:30"), mark(H.PAPERS_CAME, "05-13 10:30")
    found = stand(*marks, now="05-13 11:30")
    assert (found.finish.due_at, found.finish.late) == (at("05-09 17:30"), 3 * HOUR)
    assert chinese(found)[4] == "等材料停了2天（身份证复印件），期限不变"
    longer = stand(*marks, mark(H.EXTENDED, "05-12 09:00", days=3), now="05-13 11:30")
    assert (longer.finish.due_at, longer.finish.late) == (at("05-15 17:30"), NONE)


# extensions, hand-overs, rounds


def test_extensions_are_in_working_days_whatever_was_promised() -> None:
    longer = mark(H.EXTENDED, "05-07 09:00", days=5)
    assert stand(text("05-06 10:00"), longer, now="05-07 10:00").finish.due_at == at("05-15 17:30")
    calendar = stand(text("05-06 10:00"), longer, now="05-07 10:00", promise=in_days(3, "days"))
    assert calendar.finish.due_at == at("05-16 00:00")
    minutes = stand(text("05-06 10:00"), longer, now="05-07 10:00", promise=in_days(600, "minutes"))
    assert minutes.finish.due_at == at("05-13 17:30")
    twice = stand(text("05-06 10:00"), longer, mark(H.EXTENDED, "05-12 09:00", days=1), now="05-12 10:00")
    assert (twice.finish.due_at, twice.first.due_at) == (at("05-18 17:30"), at("05-07 17:30"))


def test_pauses_and_extensions_come_to_the_same_in_any_order() -> None:
    pause, longer = (papers("05-07 09:00"), mark(H.PAPERS_CAME, "05-07 12:00")), mark(H.EXTENDED, "05-08 09:00", days=2)
    early = mark(H.EXTENDED, "05-06 11:00", days=2)
    due = {stand(text("05-06 10:00"), *pause, longer, now="05-08 10:00").finish.due_at}
    due.add(stand(text("05-06 10:00"), early, *pause, now="05-08 10:00").finish.due_at)
    assert due == {at("05-13 11:30")}


def test_a_hand_over_restarts_nothing_and_moves_the_holding() -> None:
    marks = [
        text("05-06 10:00"),
        mark(H.HANDED_OVER, "05-06 16:00", "social"),
        mark(H.HANDED_BACK, "05-07 10:00", "civil"),
        mark(H.HANDED_OVER, "05-07 12:00"),
    ]
    found = stand(*marks, now="05-07 15:00")
    assert found.holding == {"civil": 4 * HOUR + 2 * HOUR + HOUR, "social": 3 * HOUR}
    alone = stand(marks[0], now="05-07 15:00")
    assert (found.signed, found.first, found.finish) == (alone.signed, alone.first, alone.finish)


def test_a_case_opened_again_has_fresh_clocks_and_goes_on_counting_who_holds_it() -> None:
    marks = [
        text("05-06 10:00"),
        mark(H.REPLIED, "05-06 11:00"),
        mark(H.EXTENDED, "05-06 11:00", days=9),
        mark(H.CLOSED, "05-06 12:00"),
        mark(H.REPLIED, "05-07 09:00"),
        mark(H.REOPENED, "05-08 18:00", "social"),
    ]
    closed = stand(*marks[:-1], now="05-08 10:00")
    assert (closed.finish.met_at, closed.holding) == (at("05-06 12:00"), {"civil": 2 * HOUR})
    found = stand(*marks, now="05-09 09:30")
    assert (found.round, found.holding) == (2, {"civil": 2 * HOUR, "social": HOUR})
    assert found.signed.starts_at == at("05-09 08:30")
    assert (found.signed.met_at, found.first.met_at, found.finish.met_at) == (None, None, None)
    assert found.finish.due_at == at("05-13 17:30")


def test_a_round_that_nobody_closed_ends_with_the_next() -> None:
    marks = text("05-06 10:00"), papers("05-06 11:00"), mark(H.REOPENED, "05-06 15:00", "social")
    found = stand(*marks, now="05-07 12:00")
    assert (found.round, found.paused, found.finish.paused_since) == (2, 2 * HOUR, None)


def test_a_window_that_got_a_closed_case_has_it_when_it_is_opened_again() -> None:
    marks = [
        mark(H.CLOSED, "05-06 11:00"),
        mark(H.HANDED_OVER, "05-06 12:00", "social"),
        mark(H.REOPENED, "05-07 09:00"),
    ]
    assert stand(text("05-06 10:00"), *marks, now="05-07 10:00").holding == {"civil": HOUR, "social": HOUR}


# what cannot be


def test_what_is_no_case() -> None:
    naive = at("05-06 10:00").replace(tzinfo=None)
    cases: list[tuple[list[Mark], datetime]] = [
        ([], at("05-06 10:00")),
        ([mark(H.SIGNED, "05-06 10:00")], at("05-06 10:00")),
        ([text("05-06 10:00")], naive),
        ([Mark(H.TEXT, naive)], at("05-06 10:00")),
        ([text("05-06 10:00"), Mark(H.SIGNED, naive)], at("05-06 10:00")),
    ]
    for marks, now in cases:
        with pytest.raises(ValueError, match=r"a case begins with a text|naive"):
            replay(marks, PROMISE, OFFICE, now)


def test_a_clock_that_was_put_back_undoes_nothing() -> None:
    marks = (
        text("05-06 10:00"),
        papers("05-06 15:00"),
        mark(H.PAPERS_CAME, "05-06 14:30"),
        mark(H.CLOSED, "05-06 11:00"),
    )
    found = stand(*marks, now="05-06 09:00")
    assert (found.paused, found.finish.met_at, found.holding) == (NONE, at("05-06 15:00"), {"civil": 3 * HOUR})


def test_the_zone_of_a_mark_does_not_matter() -> None:
    moved = Mark(H.TEXT, at("05-06 10:00").astimezone(ZoneInfo("America/New_York")), "civil")
    assert replay([moved], PROMISE, OFFICE, at("05-20 10:00")) == stand(text("05-06 10:00"), now="05-20 10:00")


# explanations


def test_a_long_story_explains_itself() -> None:
    marks = [
        text("04-29 12:40"),
        papers("05-06 10:00", "身份证复印件", "户口本"),
        mark(H.PAPERS_CAME, "05-09 09:00"),
        mark(H.EXTENDED, "05-09 10:00", days=5),
        papers("05-11 11:00", "照片"),
    ]
    assert stand(*marks, now="06-05 10:00").why == (
        (
            "4月29日（周三）12:40 来信，午休，从4月29日（周三）14:00起算",
            "texted Wed 29 Apr 12:40, lunch break: runs from Wed 29 Apr 14:00",
        ),
        ("签收：上班时间4小时内，4月30日（周四）9:00前", "signed for: 4 h of office time, by Thu 30 Apr 9:00"),
        ("首次答复：1个工作日，4月30日（周四）17:30前", "first answer: 1 working day, by Thu 30 Apr 17:30"),
        (
            "办结：民政窗口咨询件3个工作日，5月7日（周四）17:30前；跳过5月1日—5日（劳动节）",
            "finished: 3 working days (民政窗口咨询件), by Thu 7 May 17:30; skips 1-5 May (Labour Day)",
        ),
        (
            "等材料停了2天6小时（身份证复印件、户口本），顺延到5月11日（周一）16:30；"
            "跳过5月10日（周末）；5月9日（周六）上班（劳动节调休）",
            "paused 2 d 6 h for papers (身份证复印件, 户口本), moved to Mon 11 May 16:30; "
            "skips 10 May (weekend); Sat 9 May is worked (make-up for Labour Day)",
        ),
        (
            "延期5个工作日（主任批准），到5月18日（周一）16:30；跳过5月16日—17日（周末）",
            "extended by 5 working days (approved by the director), to Mon 18 May 16:30; skips 16-17 May (weekend)",
        ),
        (
            "等材料停了12天1小时（照片），停满15个工作日不再停，顺延到6月3日（周三）17:30；"
            "跳过5月23日—24日（周末）、5月30日—31日（周末）",
            "paused 12 d 1 h for papers (照片), no longer as 15 working days are used up, moved to Wed 3 Jun 17:30; "
            "skips 23-24 May (weekend), 30-31 May (weekend)",
        ),
        ("签收超期1天1小时（上班时间）", "signed for late by 1 d 1 h of office time"),
        ("首次答复超期1小时30分钟（上班时间）", "first answer late by 1 h 30 min of office time"),
        ("办结超期1天1小时30分钟（上班时间）", "finished late by 1 d 1 h 30 min of office time"),
    )


@pytest.mark.parametrize(
    ("texted", "zh", "en"),
    [
        ("03-06 10:40", "3月6日（周五）10:40 来信，当即起算", "texted Fri 6 Mar 10:40: runs at once"),
        (
            "03-06 17:40",
            "3月6日（周五）17:40 来信，下班了，从3月9日（周一）8:30起算",
            "texted Fri 6 Mar 17:40, after office hours: runs from Mon 9 Mar 8:30",
        ),
        (
            "03-06 07:05",
            "3月6日（周五）7:05 来信，还没上班，从3月6日（周五）8:30起算",
            "texted Fri 6 Mar 7:05, before office hours: runs from Fri 6 Mar 8:30",
        ),
        (
            "03-07 07:05",
            "3月7日（周六）7:05 来信，周末休息，从3月9日（周一）8:30起算",
            "texted Sat 7 Mar 7:05, day off: weekend: runs from Mon 9 Mar 8:30",
        ),
        (
            "10-01 00:00",
            "10月1日（周四）0:00 来信，国庆节休息，从10月8日（周四）8:30起算",
            "texted Thu 1 Oct 0:00, day off: National Day: runs from Thu 8 Oct 8:30",
        ),
        (
            "2030-03-09 09:00",
            "3月9日（周六）9:00 来信，休息：周末（估计：调休未公布），从3月11日（周一）8:30起算",
            "texted Sat 9 Mar 9:00, day off: weekend (estimated: make-up days unknown): runs from Mon 11 Mar 8:30",
        ),
    ],
    ids=["open", "after", "before", "weekend", "holiday", "estimated"],
)
def test_why_a_clock_starts_when_it_does(texted: str, zh: str, en: str) -> None:
    assert stand(text(texted), now=texted).why[0] == (zh, en)


def test_the_sites_own_days_are_named() -> None:
    local = Calendar(frozenset({at("05-07 00:00").astimezone(SHANGHAI).date()}), frozenset({at("05-10 09:00").date()}))
    office = OfficeHours.of(OfficeTable(), local, SHANGHAI)
    found = stand(text("05-06 10:00"), now="05-06 10:00", office=office)
    assert found.why[3] == (
        "办结：民政窗口咨询件3个工作日，5月10日（周日）17:30前；跳过5月7日（本单位放假表）；"
        "5月9日（周六）上班（劳动节调休）；5月10日（周日）上班（本单位上班表）",
        "finished: 3 working days (民政窗口咨询件), by Sun 10 May 17:30; skips 7 May (the site's own table); "
        "Sat 9 May is worked (make-up for Labour Day); Sun 10 May is worked (the site's own table)",
    )


def test_many_days_off_of_one_name_are_counted() -> None:
    found = stand(text("04-29 10:00"), now="04-29 10:00", promise=in_days(20))
    assert found.why[3] == (
        "办结：20个工作日，5月29日（周五）17:30前；跳过5月1日—5日（劳动节）、周末共5天；5月9日（周六）上班（劳动节调休）",
        "finished: 20 working days, by Fri 29 May 17:30; skips 1-5 May (Labour Day), 5 days of weekend; "
        "Sat 9 May is worked (make-up for Labour Day)",
    )


def test_calendar_days_skip_nothing_and_end_at_24() -> None:
    found = stand(text("04-29 10:00"), now="04-29 10:00", promise=in_days(1, "days"))
    assert found.why[3] == ("办结：1个自然日，4月30日（周四）24:00前", "finished: 1 calendar day, by Thu 30 Apr 24:00")
    marks = text("04-29 10:00"), papers("04-29 11:00"), mark(H.PAPERS_CAME, "04-30 13:30")
    found = stand(*marks, now="04-30 14:00", promise=in_days(1, "days"))
    assert chinese(found)[4] == "等材料停了1天2小时30分钟（身份证复印件），顺延到5月2日（周六）2:30"


def test_a_running_pause_a_second_round_and_another_year() -> None:
    marks = [
        text("12-28 10:00"),
        mark(H.CLOSED, "12-28 11:00"),
        mark(H.REOPENED, "12-30 18:00"),
        papers("12-31 10:00"),
    ]
    found = stand(*marks, now="12-31 11:00")
    assert found.why[0] == (
        "12月30日（周三）18:00 重新办理（第2轮），下班了，从12月31日（周四）8:30起算",
        "opened again (round 2) Wed 30 Dec 18:00, after office hours: runs from Thu 31 Dec 8:30",
    )
    assert found.why[4] == (
        "12月31日（周四）10:00起停着等材料（身份证复印件），要是现在交齐，到2027年1月7日（周四）9:30",
        "paused since Thu 31 Dec 10:00 for papers (身份证复印件), if they came now to Thu 7 Jan 2027 9:30",
    )
    assert found.why[5][0] == "其中有放假安排还没公布的日子，期限是估计的"


def test_a_run_of_days_off_may_cross_a_month() -> None:
    found = stand(text("01-30 10:00"), now="01-30 10:00", promise=in_days(1))
    assert found.why[3][0] == "办结：1个工作日，2月2日（周一）17:30前；跳过1月31日—2月1日（周末）"
    assert found.why[3][1].endswith("skips 31 Jan-1 Feb (weekend)")


def test_short_spans_and_the_same_day() -> None:
    urgent = Promise(Span(30, "minutes"), Span(90, "minutes"), Span(0, "workdays"), 15, "急件，民政窗口咨询件")
    assert chinese(stand(text("05-06 10:00"), now="05-06 10:30", promise=urgent))[1:] == [
        "签收：上班时间30分钟内，5月6日（周三）10:30前",
        "首次答复：上班时间1小时30分钟内，5月6日（周三）11:30前",
        "办结：急件，民政窗口咨询件当天，5月6日（周三）17:30前",
    ]
    late = replay([text("05-06 10:00")], urgent, OFFICE, at("05-06 10:30") + timedelta(seconds=20))
    assert late.why[-1] == ("签收超期不到1分钟（上班时间）", "signed for late by less than a minute of office time")


# against a walk by minutes

DAYS_OFF = {
    4: {4, 5, 6, 11, 12, 18, 19, 25, 26},
    5: {1, 2, 3, 4, 5, 10, 16, 17, 23, 24, 30, 31},  # Labour Day, made up for on Saturday the 9th
    6: {6, 7, 13, 14, 19, 20, 21, 27, 28},
    7: {4, 5, 11, 12, 18, 19, 25, 26},
    9: {5, 6, 12, 13, 19, 25, 26, 27},
    10: {1, 2, 3, 4, 5, 6, 7, 11, 17, 18, 24, 25, 31},  # National Day, made up for on Saturday the 10th
    11: {1, 7, 8, 14, 15, 21, 22, 28, 29},
    12: {5, 6, 12, 13, 19, 20, 26, 27},
}
"""Of 2026, as published; Qingming moved the 4th to the 6th of April."""


class Walk:
    """The clocks once more, by counting minutes off a budget."""

    def __init__(self, marks: Sequence[Mark], promise: Promise, hours: str, summer: str | None, now: datetime) -> None:
        self.plain, self.summer = of_the_day(hours), of_the_day(summer or hours)
        reopened = [n for n, one in enumerate(marks) if one.what is H.REOPENED]
        self.round = list(marks[reopened[-1] :] if reopened else marks)
        closed = [n for n, one in enumerate(self.round) if one.what is H.CLOSED]
        self.round = self.round[: closed[0] + 1] if closed else self.round
        self.marks, self.promise, self.now = marks, promise, now
        self.end = self.round[-1].at if closed else now

    def open(self, at: datetime) -> bool:
        today = self.summer if at.month in (6, 7, 8, 9) else self.plain
        return at.hour * 60 + at.minute in today and at.day not in DAYS_OFF[at.month]

    def start(self) -> datetime:
        at = self.round[0].at
        while not self.open(at):
            at += MINUTE
        return at

    def unpaused(self, span: Span, extended: int) -> datetime:
        at = self.start()
        if span.unit == "minutes":
            left = span.amount
            while left:
                left -= self.open(at)
                at += MINUTE
            return at
        midnight = at.replace(hour=0, minute=0)
        days = span.amount + extended if span.unit == "workdays" else extended
        midnight += timedelta(days=span.amount) if span.unit == "days" else NONE
        while days:
            midnight += timedelta(days=1)
            days -= midnight.day not in DAYS_OFF[midnight.month]
        at = midnight + timedelta(days=1)
        while span.unit == "workdays" and not self.open(at - MINUTE):
            at -= MINUTE
        return at

    def pausing(self) -> set[datetime]:
        """Every minute for which papers are awaited within the cap."""
        first = self.start().replace(hour=0, minute=0)
        left = self.promise.pause_cap_days * sum(self.open(first + n * MINUTE) for n in range(1440))
        found, waiting, moment = set(), False, self.round[0].at
        marked = {one.at: one.what for one in self.round[1:]}
        while moment < self.end:
            if what := marked.get(moment):
                waiting = what is H.ASKED_PAPERS or (waiting and what not in (H.PAPERS_CAME, H.TEXT))
            if waiting and left:
                found.add(moment)
                left -= self.open(moment)
            moment += MINUTE
        return found

    def finish(self) -> tuple[datetime, int]:
        """When it is due, and for how many minutes of office time it has been late."""
        span, paused = self.promise.finish, self.pausing()
        extended = sum(one.days for one in self.round if one.what is H.EXTENDED)
        counts = self.open if span.unit != "days" else (lambda _: True)
        due = self.start()
        budget = sum(counts(one) for one in minutes(due, self.unpaused(span, extended)))
        while budget:
            budget -= counts(due) and due not in paused
            due += MINUTE
        return due, sum(self.open(one) and one not in paused for one in minutes(due, self.end))

    def holding(self) -> dict[str, int]:
        held: dict[str, int] = {}
        window, closed, moment = self.marks[0].window, False, self.marks[0].at
        held[window] = 0
        rest = list(self.marks[1:])
        while True:
            while rest and rest[0].at == moment:
                one = rest.pop(0)
                closed = one.what is H.CLOSED or (closed and one.what is not H.REOPENED)
                window = one.window or window
                held.setdefault(window, 0)
            if moment == self.now:
                return {window: n for window, n in held.items() if n}
            held[window] += self.open(moment) and not closed
            moment += MINUTE


def of_the_day(hours: str) -> set[int]:
    """The minutes of a day that are open, counted from midnight."""
    ends = [[int(end[:2]) * 60 + int(end[3:]) for end in span.split("-")] for span in hours.split(",")]
    return {minute for first, last in ends for minute in range(first, last)}


def minutes(start: datetime, end: datetime) -> list[datetime]:
    return [start + n * MINUTE for n in range((end - start) // MINUTE)]


happenings = st.one_of(
    st.sampled_from([H.SIGNED, H.REPLIED, H.TEXT, H.PAPERS_CAME, H.MARKED]).map(lambda what: (what, "", 0, ())),
    st.just((H.ASKED_PAPERS, "", 0, ("户口本",))),
    st.just((H.ASKED_PAPERS, "", 0, ("户口本",))),
    st.integers(1, 4).map(lambda days: (H.EXTENDED, "", days, ())),
    st.sampled_from(["civil", "social"]).map(lambda window: (H.HANDED_OVER, window, 0, ())),
    st.sampled_from([(H.CLOSED, "", 0, ()), (H.REOPENED, "social", 0, ())]),
)
stories = st.lists(st.tuples(st.integers(1, 4000), happenings), max_size=8)
spans = st.one_of(
    st.builds(Span, st.integers(1, 900), st.just("minutes")),
    st.builds(Span, st.integers(0, 6), st.just("workdays")),
    st.builds(Span, st.integers(0, 9), st.just("days")),
)


@settings(max_examples=60, deadline=None)
@given(
    month=st.sampled_from([4, 5, 9]),
    start=st.integers(0, 30 * 1440),
    story=stories,
    after=st.integers(0, 5000),
    promise=st.builds(Promise, spans, spans, spans, st.integers(0, 4)),
    summer=st.sampled_from([None, IN_SUMMER]),
    hours=st.sampled_from([TWO_SPANS, "00:00-24:00"]),
)
def test_against_a_walk_by_minutes(
    month: int,
    start: int,
    story: list[tuple[int, tuple[Happened, str, int, tuple[str, ...]]]],
    after: int,
    promise: Promise,
    summer: str | None,
    hours: str,
) -> None:
    moment = datetime(2026, month, 1, tzinfo=SHANGHAI) + start * MINUTE
    marks = [Mark(H.TEXT, moment, "civil")]
    for wait, (what, window, days, named) in story:
        moment += wait * MINUTE
        marks.append(Mark(what, moment, window, days, named))
    now = moment + after * MINUTE
    office = OfficeHours.of(OfficeTable(hours=hours, summer=summer), Calendar(), SHANGHAI)
    found, walked = replay(marks, promise, office, now), Walk(marks, promise, hours, summer, now)
    assert found.signed.due_at == walked.unpaused(promise.signed, 0)
    assert found.first.due_at == walked.unpaused(promise.first, 0)
    if promise.finish.unit != "minutes" or not any(one.what is H.EXTENDED for one in marks):
        assert (found.finish.due_at, found.finish.late // MINUTE) == walked.finish()
    held = {window: held // MINUTE for window, held in found.holding.items() if held}
    assert held == walked.holding()
    assert found.finish.starts_at == walked.start()
    assert all(zh and en for zh, en in found.why)


def test_a_replay_is_quick() -> None:
    marks = [
        text("04-29 12:40"),
        mark(H.SIGNED, "04-29 15:00"),
        mark(H.HANDED_OVER, "04-30 09:00", "social"),
        papers("05-06 10:00"),
        mark(H.PAPERS_CAME, "05-09 09:00"),
        mark(H.EXTENDED, "05-09 10:00", days=5),
        mark(H.REPLIED, "05-11 10:00"),
        papers("05-11 11:00"),
        mark(H.HANDED_BACK, "05-12 09:00", "civil"),
        mark(H.CLOSED, "05-20 09:00"),
    ]
    stand(*marks, now="05-21 10:00")
    took = []
    for _ in range(50):
        begun = perf_counter()
        stand(*marks, now="05-21 10:00")
        took.append(perf_counter() - begun)
    # Some 0.2 ms; the bound leaves room for a busy machine and for counting branches.
    assert min(took) < 0.005
