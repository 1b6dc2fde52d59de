"""Days at the hall: who is told of what runs out, once, and of what has run out, upwards."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from desk import site
from sqlalchemy import select
from structlog.testing import capture_logs

from gateway.alarms import Alarms, level_of, wording
from gateway.alarms.wording import Due
from gateway.cases import Cases, issue_number
from gateway.config import Duty
from gateway.duty import Duty as Desk
from gateway.outbox import Outbox
from gateway.store import Store
from gateway.store import alarms as rows
from gateway.store import cases as case_rows
from gateway.store.tables import case_alarm, case_event, message, parcel
from gateway.worktime import ManualClock

ZONE = ZoneInfo("Asia/Shanghai")
CAIZHENG, MINZHENG_1, MINZHENG_2 = "8301", "8501", "8502"
DIRECTOR, TOWN, COUNTY = "8001", "8002", "8003"
MON, TUE, WED = "2026-09-28", "2026-09-29", "2026-09-30"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE).astimezone(UTC)


class Hall:
    """The alarms of the sample town and a clock to move."""

    def __init__(self, store: Store, when: str, **changed: Any) -> None:
        self.store, self.clock = store, ManualClock(at(when))
        self._changed = changed
        self.alarms = self.another()
        self._count = 0

    def another(self) -> Alarms:
        """A second process, or the same after a restart: the same database and nothing else."""
        loaded, texts = site()
        config = loaded.model_copy(update=self._changed)
        outbox = Outbox(config)
        duty = Desk(config, outbox, texts, self.clock)
        cases = Cases(self.store, config, texts, outbox, duty, self.clock)
        return Alarms(self.store, config, cases, duty, self.clock)

    async def opens(self, window: str = "caizheng", *, opened: str = "2026-09-25T10:00", **values: Any) -> str:
        """A case with nothing left to do but what is given; its number."""
        self._count += 1
        number = issue_number(date(2026, 9, 28), self._count)
        given = {key: at(one) if isinstance(one, str) and key.endswith("_at") else one for key, one in values.items()}
        base = {"number": number, "phone": "+8613800130001", "window": window, "kind": "consult", "state": "open"}
        base |= {"area": "610899100201", "title": "低保的事", "opened_at": at(opened)}
        await self.store.write(case_rows.add, {**base, **given})
        return number

    async def changes(self, number: str, **values: Any) -> None:
        def change(db: Any) -> None:
            case_rows.change(db, case_rows.by_number(db, number, hold=True).id, **values)

        await self.store.write(change)

    async def until(self, when: str, *, every: int = 60) -> None:
        """Run every so many seconds up to then, as a process that was started just now."""
        alarms = self.another()
        while self.clock.now() < at(when):
            self.clock.advance(min(every, (at(when) - self.clock.now()).total_seconds()))
            await alarms.run_due()

    async def told(self) -> list[tuple[str, str]]:
        """(end of the number, text) of everything sent since the last look, oldest first."""
        query = select(message.c.id, message.c.phone, message.c.body).order_by(message.c.id)
        found = list(await self.store.read(lambda db: db.execute(query).all()))
        new = found[getattr(self, "_seen", 0) :]
        self._seen = len(found)
        return [(row.phone[-4:], row.body.removeprefix("【枣原镇】")) for row in new]

    async def notes(self) -> list[tuple[str, str, str]]:
        query = select(case_alarm).order_by(case_alarm.c.id)
        return [(row.clock, row.level, row.told) for row in await self.store.read(lambda db: db.execute(query).all())]

    async def events(self) -> list[tuple[str, Mapping[str, Any]]]:
        query = select(case_event.c.kind, case_event.c.data).order_by(case_event.c.id)
        return [tuple(row) for row in await self.store.read(lambda db: db.execute(query).all())]


def tail(number: str) -> str:
    return f"…{number[-4:]}"


# -- digests -------------------------------------------------------------------------------------------------


async def test_a_digest_at_opening_names_what_is_due_today_and_counts_tomorrow(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, f"{MON}T08:30")
    first = await hall.opens(due_at=f"{MON}T17:30")
    second = await hall.opens(due_at=f"{MON}T17:30", signed_due_at=f"{MON}T11:00")
    signed = await hall.opens(signed_due_at=f"{MON}T11:00")
    await hall.opens(due_at=f"{TUE}T17:30")
    await hall.opens(due_at=f"{WED}T17:30")
    await hall.alarms.run_due()
    listed = f"{tail(second)}、{tail(signed)}（签收）、{tail(first)}"
    assert await hall.told() == [(CAIZHENG, f"3号窗口今天到期3件：{listed}；明天到期1件。")]


async def test_each_officer_on_duty_of_each_window_gets_one(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, f"{MON}T08:30")
    await hall.opens("minzheng", due_at=f"{MON}T17:30")
    await hall.opens("caizheng", due_at=f"{TUE}T17:30")
    await hall.until(f"{MON}T12:00", every=600)
    assert sorted(who for who, _ in await hall.told()) == [CAIZHENG, MINZHENG_1, MINZHENG_2]


async def test_nothing_due_nothing_sent_and_what_comes_later_waits(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, f"{MON}T08:30")
    await hall.opens(due_at=f"{WED}T17:30")
    assert await hall.alarms.run_due() == 0
    later = await hall.opens(opened=f"{MON}T09:00", due_at=f"{TUE}T17:30")
    await hall.changes(later, opened_at=at("2026-09-25T10:00"))  # as one that was handed over
    await hall.until(f"{MON}T11:00", every=600)
    assert await hall.told() == []


async def test_before_a_holiday_the_next_working_day_is_named(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, f"{WED}T08:30")
    await hall.opens(due_at="2026-10-08T17:30")
    await hall.opens(due_at="2026-10-05T00:00")  # counted in calendar days: the end of the 4th
    await hall.opens(due_at="2026-10-09T17:30")
    await hall.alarms.run_due()
    assert await hall.told() == [(CAIZHENG, "3号窗口10月4日到期1件；10月8日到期1件。")]


async def test_quiet_at_night_on_days_off_and_not_on_the_day_worked_for_it(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, f"{WED}T17:30")
    number = await hall.opens(due_at="2026-10-10T17:30")
    await hall.until("2026-10-09T08:29", every=1800)
    assert await hall.told() == []
    await hall.until("2026-10-09T08:30")
    assert await hall.told() == [(CAIZHENG, "3号窗口明天到期1件。")]
    await hall.until("2026-10-10T08:30", every=3600)
    assert await hall.told() == [
        (CAIZHENG, "3号窗口明天到期1件。"),
        (CAIZHENG, f"3号窗口今天到期1件：{tail(number)}。"),  # a Saturday
    ]


async def test_another_digest_when_the_afternoon_begins(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, f"{MON}T08:30")
    number = await hall.opens(due_at=f"{TUE}T12:00")
    await hall.until(f"{MON}T13:59", every=600)
    new = await hall.opens(opened=f"{MON}T11:00", due_at=f"{TUE}T17:30")
    assert await hall.told() == [(CAIZHENG, "3号窗口明天到期1件。")]
    await hall.until(f"{MON}T14:30")
    assert await hall.told() == [(CAIZHENG, "3号窗口明天到期2件。")]
    await hall.until(f"{TUE}T08:30", every=1800)
    assert await hall.told() == [(CAIZHENG, f"3号窗口今天到期2件：{tail(number)}、{tail(new)}。")]
    assert [kind for kind, _ in await hall.events()] == ["warned", "warned"]  # of each case one


async def test_a_gateway_that_was_down_at_opening_makes_up_for_it(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, f"{MON}T09:40")
    await hall.opens(due_at=f"{TUE}T17:30")
    await hall.alarms.run_due()
    assert len(await hall.told()) == 1


# -- singles -------------------------------------------------------------------------------------------------


async def test_a_single_in_the_last_two_hours_of_office_time(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, f"{MON}T08:30")
    number = await hall.opens(opened=f"{MON}T08:30", due_at=f"{MON}T17:00")
    await hall.until(f"{MON}T14:59", every=600)
    assert await hall.told() == [(CAIZHENG, f"3号窗口今天到期1件：{tail(number)}。")]
    await hall.until(f"{MON}T15:00")
    assert await hall.told() == [(CAIZHENG, f"3号窗口请抓紧：{number}今天17:00前办结。")]
    await hall.until(f"{MON}T17:30", every=600)
    assert await hall.told() == []


async def test_the_last_two_hours_may_lie_before_a_weekend(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, "2026-09-24T15:50")
    number = await hall.opens(opened="2026-09-24T15:00", due_at=f"{MON}T09:00")  # 中秋 lies between
    await hall.until("2026-09-24T16:29")
    assert await hall.told() == []
    await hall.until("2026-09-24T16:30")
    said = f"3号窗口请抓紧：{number}9月28日09:00前办结。"
    assert await hall.told() == [(CAIZHENG, said)]


async def test_an_urgent_case_is_told_at_once_with_all_its_clocks(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, f"{MON}T09:00")
    await hall.until(f"{MON}T09:10")
    times = {"signed_due_at": f"{MON}T09:41", "first_due_at": f"{MON}T11:11", "due_at": f"{TUE}T17:30"}
    number = await hall.opens(opened=f"{MON}T09:11", urgent=True, **times)
    await hall.until(f"{MON}T13:59", every=300)
    said = f"急件{number}今天09:41前签收、今天11:11前首次答复、明天17:30前办结"
    assert await hall.told() == [(CAIZHENG, f"3号窗口请抓紧：{said}。")]


async def test_many_at_once_share_texts(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, f"{MON}T16:00")
    numbers = [await hall.opens(opened=f"{MON}T15:00", due_at=f"{MON}T17:30") for _ in range(5)]
    assert await hall.alarms.run_due() == 2
    texts = [text for _, text in await hall.told()]
    assert [number for text in texts for number in numbers if number in text] == numbers


# -- overdue -------------------------------------------------------------------------------------------------


async def test_overdue_goes_to_the_director_and_up_one_step_a_working_day(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, f"{TUE}T17:31")
    number = await hall.opens(due_at=f"{TUE}T17:30", first_due_at=f"{MON}T17:30")
    await hall.changes(number, opened_at=at(f"{MON}T08:00"))
    await hall.until(f"{WED}T08:29", every=1800)
    assert await hall.told() == []
    await hall.until(f"{WED}T08:30")
    late = "首次答复超2个工作日、办结超1个工作日"
    told = await hall.told()
    assert (DIRECTOR, f"超期1件，请督办：{number}（财政惠农）{late}。") in told
    assert (TOWN, f"超期1件，请督办：{number}（财政惠农）首次答复超2个工作日。") in told
    await hall.until(f"{WED}T17:30", every=600)
    await hall.until("2026-10-08T08:29", every=4 * 3600)
    assert [text for _, text in await hall.told() if text.startswith("超期")] == []
    await hall.until("2026-10-08T08:30")
    told = [(who, text) for who, text in await hall.told() if text.startswith("超期")]
    assert told == [
        (TOWN, f"超期1件，请督办：{number}（财政惠农）办结超2个工作日。"),
        (COUNTY, f"超期1件，请督办：{number}（财政惠农）首次答复超3个工作日。"),
    ]
    await hall.until("2026-10-13T17:00", every=1800)
    assert [who for who, text in await hall.told() if text.startswith("超期")] == [COUNTY]
    levels = [level for clock, level, _ in await hall.notes() if clock == "finish" and level != "digest"]
    assert levels == ["overdue", "ladder-1", "ladder-2"]


async def test_one_text_lists_what_is_overdue_worst_first(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, f"{TUE}T08:30")
    numbers = [await hall.opens("minzheng", due_at=f"{MON}T{9 + n:02}:00") for n in range(8)]
    await hall.alarms.run_due()
    (text,) = [text for who, text in await hall.told() if who == DIRECTOR]
    assert text.startswith(f"超期8件，请督办：{numbers[0]}（民政社保）办结超1个工作日、{numbers[1]}")
    assert text.endswith(f"{numbers[5]}（民政社保）办结超1个工作日等8件。")


async def test_signing_late_goes_no_further_than_the_window(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, f"{TUE}T08:30")
    number = await hall.opens(signed_due_at=f"{MON}T12:00")
    await hall.until("2026-10-09T17:30", every=1800)
    assert {text for _, text in await hall.told()} == {f"3号窗口已超期1件：{tail(number)}（签收）。"}


async def test_no_ladder_stands_still_and_nobody_is_told_twice(sqlite_store: Store) -> None:
    own = site()[0].duty.model_copy(update={"ladder": ()})
    hall = Hall(sqlite_store, f"{TUE}T08:30", duty=own)
    await hall.opens(due_at=f"{MON}T17:30")
    await hall.until("2026-10-09T17:30", every=3600)
    assert [who for who, text in await hall.told() if text.startswith("超期")] == [DIRECTOR]


# -- alarms follow the case ----------------------------------------------------------------------------------


async def test_a_case_that_waits_for_papers_is_not_told_until_its_clock_runs_again(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, f"{MON}T08:00")
    number = await hall.opens(due_at=f"{MON}T17:30")
    await hall.changes(number, state="waiting", waiting_since=at("2026-09-25T16:00"))
    await hall.until("2026-10-08T17:30", every=1800)
    assert await hall.told() == []
    await hall.changes(number, state="open", waiting_since=None, due_at=at("2026-10-09T17:30"))
    await hall.until("2026-10-09T08:31", every=60 * 29)
    assert await hall.told() == [(CAIZHENG, f"3号窗口今天到期1件：{tail(number)}。")]


async def test_a_due_time_that_moves_is_told_anew(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, f"{TUE}T08:30")
    number = await hall.opens(due_at=f"{MON}T17:30")
    await hall.alarms.run_due()
    assert DIRECTOR in [who for who, _ in await hall.told()]
    await hall.changes(number, due_at=at(f"{WED}T17:30"))  # extended
    await hall.until(f"{WED}T17:00", every=1800)
    told = [text for _, text in await hall.told()]
    assert f"3号窗口请抓紧：{number}今天17:30前办结。" in told
    assert not any(text.startswith("超期") for text in told)
    await hall.until("2026-10-08T08:30", every=7200)
    assert [who for who, text in await hall.told() if text.startswith("超期")] == [DIRECTOR]


async def test_what_is_done_is_not_told(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, f"{TUE}T08:30")
    done = at(f"{MON}T10:00")
    await hall.opens(state="closed", closed_at=done, due_at=f"{MON}T17:30", first_due_at=f"{MON}T09:00")
    met = {"signed_due_at": f"{MON}T09:00", "signed_at": done, "first_due_at": f"{MON}T12:00"}
    await hall.opens(first_answer_at=done, due_at=f"{WED}T17:30", **met)
    await hall.until(f"{WED}T08:29", every=1800)
    assert set(await hall.told()) == {(CAIZHENG, "3号窗口明天到期1件。")}


# -- restricted cases ----------------------------------------------------------------------------------------


async def test_the_window_complained_about_is_never_told(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, f"{MON}T08:30")
    secret = await hall.opens("caizheng", restricted=True, about="caizheng", due_at=f"{MON}T17:30", urgent=True)
    other = await hall.opens("caizheng", due_at=f"{MON}T17:30")
    await hall.until("2026-10-12T17:30", every=1800)
    told = await hall.told()
    assert {who for who, text in told if tail(secret) in text or secret in text} == {DIRECTOR, TOWN, COUNTY}
    assert {who for who, text in told if tail(other) in text or other in text} == {CAIZHENG, DIRECTOR, TOWN, COUNTY}
    assert not any("低保" in text or "13800130001" in text for _, text in told)


async def test_nobody_who_may_know_is_an_error_that_is_said_once(sqlite_store: Store) -> None:
    people = tuple(one for one in site()[0].duty.officers if one.window == "caizheng")
    hall = Hall(sqlite_store, f"{TUE}T08:30", duty=Duty(officers=people, ladder=("zhao-ting",)))
    number = await hall.opens("minzheng", about="caizheng", due_at=f"{MON}T17:30")
    with capture_logs() as logs:
        await hall.until(f"{TUE}T10:00", every=300)
    assert await hall.told() == []
    assert [(one["event"], one["level"], one["cases"]) for one in logs] == [
        ("alarms.nobody", "digest", [number]),
        ("alarms.nobody", "overdue", [number]),
    ]


async def test_what_is_told_in_the_last_half_hour_of_summer_may_leave_then(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, "2026-07-07T17:40")
    await hall.opens("zhengwu", urgent=True, opened_at="2026-07-07T17:35", due_at="2026-07-08T18:00")
    assert await hall.alarms.run_due() == 2
    hours = await hall.store.read(lambda db: set(db.execute(select(parcel.c.hours)).scalars()))
    assert hours == {"08:30-18:00"}


# -- once ----------------------------------------------------------------------------------------------------


async def test_rows_events_and_texts_agree(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, f"{TUE}T08:30")
    await hall.opens(due_at=f"{MON}T17:30")
    await hall.alarms.run_due()
    assert await hall.notes() == [("finish", "digest", "zhao-ting"), ("finish", "overdue", "guo-zhuren")]
    due = at(f"{MON}T17:30").isoformat()
    assert await hall.events() == [
        ("warned", {"clock": "finish", "level": "digest", "due_at": due, "told": ["zhao-ting"]}),
        ("escalated", {"clock": "finish", "level": "overdue", "due_at": due, "told": ["guo-zhuren"]}),
    ]
    noted, sent = select(case_alarm.c.message_id), select(message.c.id)
    found = await hall.store.read(
        lambda db: [set(db.execute(one).scalars()) for one in (noted, sent, select(parcel.c.hours))]
    )
    assert found[0] == found[1]
    assert found[2] == {"08:30-18:00"}  # the summer's office hours


async def test_two_processes_at_once_tell_once(store: Store) -> None:
    hall = Hall(store, f"{TUE}T16:00")
    await hall.opens(due_at=f"{MON}T17:30")
    await hall.opens("minzheng", due_at=f"{TUE}T17:30")
    await hall.opens("zhengwu", urgent=True, signed_due_at=f"{TUE}T16:20", due_at=f"{WED}T17:30")
    sent = await asyncio.gather(*(hall.another().run_due() for _ in range(4)))
    told = await hall.told()
    assert sum(sent) == len(told) == len(set(told))
    assert sum(1 for who, _ in told if who == DIRECTOR) == 1
    assert sum(1 for who, _ in told if who == MINZHENG_1) == 2  # one digest, one single
    assert await hall.another().run_due() == 0


async def test_what_fails_is_told_the_next_time(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    hall = Hall(sqlite_store, f"{TUE}T08:30")
    await hall.opens(due_at=f"{MON}T17:30")

    def broken(*_: Any) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="disk full"):
        patched.setattr(rows, "sent", broken)
        await hall.alarms.run_due()
    assert (await hall.told(), await hall.notes()) == ([], [])
    assert await hall.alarms.run_due() == 2


# -- looking -------------------------------------------------------------------------------------------------


async def test_what_would_be_told_is_what_is_told(store: Store) -> None:
    hall = Hall(store, f"{TUE}T16:00")
    late = await hall.opens(due_at=f"{MON}T17:30")
    await hall.opens("minzheng", due_at=f"{TUE}T17:30")
    await hall.opens("zhengwu", urgent=True, signed_due_at=f"{TUE}T16:20")
    planned = await hall.alarms.planned()
    assert await hall.told() == []
    await hall.alarms.run_due()
    assert sorted({text for _, text in await hall.told()}) == sorted({one.text for one in planned})
    assert await hall.alarms.planned() == []
    (overdue,) = [one for one in planned if one.level == "overdue"]
    assert (overdue.officers, overdue.cases) == (["guo-zhuren"], [late])
    assert [zh for zh, _ in overdue.why] == [
        f"{late} 办结期限 09-28 17:30，已超期 1 个工作日",
        "告知郭海燕：督办第1级",
    ]
    said = {zh.partition("，")[2] for one in planned for zh, _ in one.why}
    assert {"急件", "剩下不到 120 分钟办公时间", "下一个工作日结束前到期"} <= said


async def test_why_nothing_is_told(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, f"{MON}T10:00")
    await hall.opens(due_at=f"{MON}T17:30")
    assert hall.alarms.quiet() is None
    assert "中秋" in (hall.alarms.quiet(at("2026-09-27T10:00")) or ("",))[0]
    assert await hall.alarms.planned(at("2026-09-27T10:00")) == []
    nobody = Hall(sqlite_store, f"{MON}T10:00", duty=Duty())
    assert nobody.alarms.quiet() == ("duty.toml 里没有人", "duty.toml names nobody")
    assert await nobody.alarms.run_due() == 0


# -- wording -------------------------------------------------------------------------------------------------


def test_numbers_are_shortened_only_as_far_as_they_stay_apart() -> None:
    assert wording.tails(["26092800014", "26092800022"]) == {"26092800014": "…0014", "26092800022": "…0022"}
    assert wording.tails(["26092800014", "26092900014"]) == {"26092800014": "…800014", "26092900014": "…900014"}
    assert wording.tails(["16092800014", "26092800014"])["26092800014"] == "26092800014"
    assert wording.tails([]) == {}


def test_midnight_is_the_end_of_the_day_before() -> None:
    assert wording.day_of(at("2026-10-05T00:00"), ZONE) == at("2026-10-04T12:00").date()
    assert wording.clock_of(at("2026-10-05T00:00"), ZONE) == "24:00"
    assert wording.clock_of(at("2026-10-05T09:05"), ZONE) == "09:05"


def test_a_list_is_cut_and_counts_the_rest() -> None:
    due = [Due(n, f"2609280{n:03}4", "w", "", False, "finish", at(f"{MON}T17:30")) for n in range(9)]
    said = wording.digest(due, at(f"{MON}T08:30"), ZONE)
    assert said == "今天到期9件：…0004、…0014、…0024、…0034、…0044、…0054等9件"
    assert "等" not in wording.digest(due[:6], at(f"{MON}T08:30"), ZONE)


def test_steps_have_names() -> None:
    assert [level_of(n) for n in range(3)] == ["overdue", "ladder-1", "ladder-2"]
