"""Schedules: what is due, run once, and what was missed, shown. Ticks only.

APScheduler's only home is this package: it computes readings of cron expressions (`cron`) and wakes us (`timer`).

Policy
- A tick asks of each schedule which due times lie between what was seen and now, and claims a slot for each of them.
  The slot is unique, so any number of processes may tick at once, and ticks may be late, doubled or lost.
- On time (`ON_TIME`) is a run. Missed is handled by the schedule's rule: `late` sends the newest missed one within
  `late_within`, `skip` none, `ask` leaves it to a person. Each is a slot with its reason; none vanishes. A schedule
  that is new makes up for nothing.
- The winner of a slot inserts a `due` broadcast with it. Whoever ticks next carries it on: forecast, texts, standing
  approval. A process that dies meanwhile holds the slot no longer than `HELD_FOR`.
- Weather is the station's, per area, by the newest forecast young enough, an area without one taking that of the area
  around it. Without any the broadcast waits, tried again until it is too late. A web forecast goes to nobody real.
- While the clock is behind what was stored, nothing runs until it has caught up or a person has confirmed it.
- Whatever keeps a schedule from its work is a fault that stands, in words, until it is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from gateway.broadcasts import Broadcasts, Draft, hours_text, rule_digest, rule_json
from gateway.config import Config, Schedule
from gateway.errors import Conflict, GatewayError, NotFound, Refused
from gateway.forecasts import Forecasts, NoForecast
from gateway.model import BroadcastState, Role
from gateway.officials import SYSTEM, Official
from gateway.schedule import timer
from gateway.schedule.cron import Cron, due_times
from gateway.schedule.due import ON_TIME, Fault, Slot, Upcoming, last_slots, slot_of, verdict
from gateway.store import DATABASE_ERRORS, Connection, Store, audit, slots
from gateway.store import broadcasts as rows
from gateway.store.slots import SlotState
from gateway.templates import Template
from gateway.worktime import Calendar, Clock, Recurrence, Rule, clock_is_behind

__all__ = ["HELD_FOR", "Cron", "Fault", "Schedules", "Slot", "Upcoming", "due_times", "recurrence", "verdict"]

log = structlog.get_logger()

HEARTBEAT = timedelta(seconds=20)
"""How far `seen_until` may lag, so that not every tick of every process writes."""

HELD_FOR = timedelta(minutes=3)
"""How long a slot is one process's to carry on, and so also how soon a missing forecast is asked for again."""

STUCK_AFTER = timedelta(minutes=15)
SLICE = 200
CLOCK = "clock"
APPROVAL = "approval:"
COMPOSABLE = (BroadcastState.DUE, BroadcastState.COMPOSING)
RUNNERS = (Role.AUTHOR, Role.APPROVER, Role.DIRECTOR)


# -- the schedules of a site -----------------------------------------------------------------------------------


def recurrence(schedule: Schedule, zone: ZoneInfo, calendar: Calendar) -> Recurrence:
    """A schedule's due times in a zone; Refused where its words make none."""
    if schedule.cron is not None:
        return Cron(schedule.cron, zone)
    return Rule.parse(on=schedule.on, at=schedule.at).in_zone(zone, calendar)


class Schedules:
    """A site's schedules; any number of processes may have them."""

    def __init__(
        self,
        store: Store,
        config: Config,
        templates: Mapping[str, Template],
        broadcasts: Broadcasts,
        clock: Clock,
        calendar: Calendar,
    ) -> None:
        self._store, self._config, self._templates = store, config, templates
        self._broadcasts, self._clock, self._calendar = broadcasts, clock, calendar
        self._by_name = {schedule.name: schedule for schedule in config.schedules}
        self._forecasts = Forecasts(store, config, clock)
        self._carrying = asyncio.Lock()

    def recurrence(self, schedule: Schedule) -> Recurrence:
        """The schedule's due times in the site's zone; Refused where its words make none."""
        return recurrence(schedule, self._config.site.zone, self._calendar)

    async def upcoming(self, n: int = 5) -> list[Upcoming]:
        """Every schedule with its next `n` due times, its last `n` slots and those that wait for an answer."""
        return await self._store.read(self._upcoming, n)

    async def faults(self) -> list[Fault]:
        """What people must see, oldest first."""
        return [Fault(row.key, row.zh, row.en, row.since) for row in await self._store.read(slots.faults)]

    def _upcoming(self, db: Connection, n: int) -> list[Upcoming]:
        known, now = slots.schedules(db), self._clock.now()
        return [
            Upcoming(
                name=schedule.name,
                template=schedule.template,
                audience=schedule.audience.name or schedule.audience.area or self._config.site.name,
                due=list(islice(due_times(self.recurrence(schedule), now, datetime.max.replace(tzinfo=UTC)), n)),
                missed=schedule.missed,
                paused=schedule.name in known and known[schedule.name].paused,
                standing=self._standing(db, schedule),
                slots=last_slots(db, schedule.name, n),
            )
            for schedule in self._config.schedules
        ]

    def _standing(self, db: Connection, schedule: Schedule) -> str:
        row, template = rows.standing(db, schedule.name), self._templates.get(schedule.template)
        if row is None or template is None:
            return "none"
        if row.template_sha256 != template.sha256:
            return "template changed"
        rule = rule_digest(rule_json(schedule.audience), hours_text(self._config, template))
        return "in force" if row.rule_sha256 == rule else "audience changed"

    # -- ticks -------------------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Claim what is due and carry on what is claimed; does nothing while the clock is behind."""
        if await self.clock_behind():
            return
        await self.catch_up(self._clock.now())
        await self._carry_on()

    async def catch_up(self, now: datetime) -> list[Slot]:
        """Claim every due time up to `now` that has no slot; answers those that were claimed here."""
        known = await self._known(now)
        faults = {row.key for row in await self._store.read(slots.faults)}
        claimed: list[Slot] = []
        seen = []
        for schedule in self._config.schedules:
            row = known[schedule.name]
            mine = await self._catch_up_one(schedule, row, now, faults)
            claimed += mine or []
            if mine is not None and (mine or now - row.seen_until >= HEARTBEAT):
                seen.append(schedule.name)
        if seen:
            await self._store.write(slots.see, seen, now)
        return claimed

    async def _known(self, now: datetime) -> dict[str, Any]:
        known = await self._store.read(slots.schedules)
        if new := self._by_name.keys() - known.keys():
            await self._store.write(slots.begin, new, now)
            known = await self._store.read(slots.schedules)
        return known

    async def _catch_up_one(self, schedule: Schedule, row: Any, now: datetime, faults: set[str]) -> list[Slot] | None:
        """None, with a fault, where it could not be done: the others go on, and this one is tried again."""
        key = f"schedule:{schedule.name}"
        try:
            claimed = await self._claim_all(schedule, row, now)
        except DATABASE_ERRORS:
            raise
        except Exception as error:
            await self._failed(key, schedule.name, error)
            return None
        if key in faults:
            await self._store.write(slots.fault_clear, key)
        return claimed

    async def _claim_all(self, schedule: Schedule, row: Any, now: datetime) -> list[Slot]:
        recurrence, seen, claimed = self.recurrence(schedule), row.seen_until, list[Slot]()
        while due := list(islice(due_times(recurrence, seen, now), SLICE)):
            following, seen = recurrence.due_after(due[-1]), due[-1]
            newest = seen if following is None or following > now else None
            claimed += await self._store.write(self._claim, schedule, due, newest, row.paused, now)
        return claimed

    def _claim(
        self,
        db: Connection,
        schedule: Schedule,
        due: Sequence[datetime],
        newest: datetime | None,
        paused: bool,
        now: datetime,
    ) -> list[Slot]:
        claimed = []
        for at in due:
            state, note = verdict(schedule, at, now, newest=at == newest, paused=paused)
            make = self._make(schedule, at, SYSTEM) if state is SlotState.DUE else None
            if slots.claim(db, schedule.name, at, state=state, now=now, note=note, make=make):
                claimed.append(slot_of(slots.get(db, schedule.name, at)))
        slots.see(db, [schedule.name], due[-1])
        if any(slot.state is SlotState.ASKED for slot in claimed):
            self._show_asked(db, schedule.name)
        for slot in claimed:
            log.info("schedule.slot", schedule=slot.schedule, due=slot.due_at.isoformat(), state=slot.state)
        return claimed

    def _make(self, schedule: Schedule, start: datetime, by: Official) -> Callable[[Connection], int]:
        """The broadcast of a slot, which may go out for as long as its template says from `start` on."""
        template = self._template(schedule.template)
        draft = Draft(
            template=schedule.template,
            fields=schedule.fields,
            audience=schedule.audience,
            expires_at=start + template.expires,
            schedule=schedule.name,
        )
        return lambda db: self._broadcasts.insert_draft(db, template, draft, by, BroadcastState.DUE)

    def _template(self, name: str) -> Template:
        if name not in self._templates:
            raise NotFound(f"没有模板 {name}", f"no template {name}")
        return self._templates[name]

    # -- carrying on -------------------------------------------------------------------------------------------

    async def _carry_on(self) -> None:
        async with self._carrying:
            await self._store.write(slots.clear_approvals, APPROVAL)
            while await self._carry_on_once():
                pass

    async def _carry_on_once(self) -> bool:
        """Carry on each slot that nobody holds; whether there was one, since others may have come meanwhile."""
        found = await self._store.read(slots.unfinished, self._clock.now(), HELD_FOR)
        for slot in found:
            if await self._store.write(slots.take, slot.schedule, slot.due_at, self._clock.now(), HELD_FOR):
                await self._carry(slot)
        return bool(found)

    async def _carry(self, slot: Any) -> None:
        try:
            approved = await self._advance(slot)
        except NoForecast as error:
            await self._wait_or_give_up(slot, error)
        except Conflict as error:
            if self._clock.now() - slot.at > STUCK_AFTER:
                await self._fault(_key(slot), f"{_said(slot)}：{error.zh}", f"{slot.schedule}: {error}")
        except Refused as error:
            await self._store.write(self._give_up, slot, error)
        except DATABASE_ERRORS:
            raise
        except Exception as error:
            await self._failed(_key(slot), slot.schedule, error)
        else:
            await self._store.write(self._finish, slot, approved)

    async def _advance(self, slot: Any) -> bool:
        """From whatever state its broadcast is in to approved, or composed and waiting (False)."""
        if slot.carried == BroadcastState.DUE:
            await self._fill(slot)
        if slot.carried in COMPOSABLE:
            preview = await self._broadcasts.compose(slot.broadcast_id, by=SYSTEM)
            if preview.texts == 0:
                raise Refused("没有一个人可发", "there is nobody to send it to")
        if slot.carried in (*COMPOSABLE, BroadcastState.COMPOSED):
            return await self._broadcasts.approve_standing(slot.broadcast_id)
        return True

    async def _fill(self, slot: Any) -> None:
        """The fields of a due broadcast, from its schedule and its feed."""
        schedule = self._schedule(slot.schedule)
        template = self._template(schedule.template)
        fields = {"": dict(schedule.fields)}
        if schedule.feed is not None:
            by_area = await self._forecasts.fields(self._config.feeds[schedule.feed], slot.created_at)
            fields |= {area: _only(template.fields, values) for area, values in by_area.items()}
        if missing := template.missing({name: value for values in fields.values() for name, value in values.items()}):
            raise Refused(f"还缺：{'、'.join(missing)}", f"missing: {', '.join(missing)}")
        due = [BroadcastState.DUE]
        await self._store.write(rows.move, slot.broadcast_id, due, BroadcastState.DUE, fields=fields)

    def _finish(self, db: Connection, slot: Any, approved: bool) -> None:
        state = SlotState.LATE if slot.at - slot.due_at > ON_TIME else SlotState.RUN
        slots.settle(db, slot.schedule, slot.due_at, state)
        slots.fault_clear(db, _key(slot))
        if not approved:
            key = f"{APPROVAL}{slot.broadcast_id}"
            zh = f"{_said(slot)}等待审批（群发 {slot.broadcast_id}）：常设审批没有或不涵盖"
            en = f"{slot.schedule} awaits approval (broadcast {slot.broadcast_id}): no standing approval covers it"
            slots.fault_set(db, key, zh, en, self._clock.now())

    async def _wait_or_give_up(self, slot: Any, error: NoForecast) -> None:
        if self._clock.now() - slot.at >= self._schedule(slot.schedule).late_within:
            await self._store.write(self._give_up, slot, error)
        else:
            await self._store.write(self._stand_at_fault, slot, error)

    def _stand_at_fault(self, db: Connection, slot: Any, error: GatewayError) -> None:
        slots.settle(db, slot.schedule, slot.due_at, SlotState.FAULT, note=f"{error.zh} / {error.en}")
        zh, en = f"{_said(slot)}没有发：{error.zh}", f"{slot.schedule} was not sent: {error.en}"
        slots.fault_set(db, _key(slot), zh, en, self._clock.now())

    def _give_up(self, db: Connection, slot: Any, error: GatewayError) -> None:
        """The fault stays until a person has run the slot again or skipped it."""
        rows.move(db, slot.broadcast_id, COMPOSABLE, BroadcastState.FAILED, composing_node=None)
        self._stand_at_fault(db, slot, error)
        log.warning("schedule.gave_up", schedule=slot.schedule, broadcast=slot.broadcast_id, error=error.en)

    # -- by hand -----------------------------------------------------------------------------------------------

    async def run(self, name: str, *, by: Official, due_at: datetime | None = None) -> int:
        """Run a schedule now, or a slot of it that waits for a person; answers the broadcast, composed.

        It still needs approval where no standing one covers it. Conflict for a slot that is in another state.
        """
        schedule = self._allowed(name, by, *RUNNERS)
        if await self.clock_behind():
            raise Refused("系统时钟不可信，先核对时钟", "the clock is behind: confirm it first")
        broadcast_id = await self._store.write(self._run, schedule, by, due_at)
        await self._carry_on()
        return broadcast_id

    def _run(self, db: Connection, schedule: Schedule, by: Official, due_at: datetime | None) -> int:
        name, now = schedule.name, self._clock.now()
        make = self._make(schedule, now, by)
        if due_at is None:
            at = now.replace(second=0, microsecond=0)  # as people name it; twice in a minute is a slip
            won = slots.claim(
                db, name, at, state=SlotState.DUE, now=now, note=f"{by.login} 手动运行 / run by {by.login}", make=make
            )
        else:
            at, waiting = due_at, (SlotState.ASKED, SlotState.SKIPPED, SlotState.FAULT)
            won = slots.reclaim(db, name, at, came_from=waiting, now=now, make=make)
        if not won:
            raise Conflict("这一次已经处理过", "this slot is not waiting for anybody")
        self._answered(db, name, at, by, "run")
        self._replace(db, name, at)
        return int(slots.get(db, name, at).broadcast_id)

    @staticmethod
    def _replace(db: Connection, name: str, at: datetime) -> None:
        """What stood at fault is not carried on beside the run that a person asked for: nobody gets it twice."""
        for row in slots.at_fault(db, name):
            if row.due_at != at:
                rows.move(db, row.broadcast_id, (*COMPOSABLE, BroadcastState.FAILED), BroadcastState.CANCELLED)
                slots.settle(db, name, row.due_at, SlotState.SKIPPED, note="改为手动运行 / replaced by a run by hand")
                slots.fault_clear(db, _key(row))

    async def skip(self, name: str, due_at: datetime, *, by: Official) -> None:
        """A slot that waits for a person, or is at fault, is not sent. Conflict for one in another state."""
        self._allowed(name, by, *RUNNERS)
        await self._store.write(self._skip, name, due_at, by)

    def _skip(self, db: Connection, name: str, due_at: datetime, by: Official) -> None:
        row, waiting = slots.get(db, name, due_at), (SlotState.ASKED, SlotState.FAULT)
        note = f"{by.login} 决定不发 / skipped by {by.login}"
        if row is None or not slots.settle(db, name, due_at, SlotState.SKIPPED, note=note, came_from=waiting):
            raise Conflict("这一次已经处理过", "this slot is not waiting for anybody")
        if row.broadcast_id and not rows.move(db, row.broadcast_id, [BroadcastState.DUE], BroadcastState.CANCELLED):
            self._not_under_way(rows.get(db, row.broadcast_id))
        self._answered(db, name, due_at, by, "skip")

    @staticmethod
    def _not_under_way(row: Any) -> None:
        if row.state in (BroadcastState.COMPOSING, BroadcastState.APPROVED):
            raise Conflict("正在生成或已经发出，请到群发里停止", "it is under way: stop the broadcast itself")

    def _answered(self, db: Connection, name: str, due_at: datetime, by: Official, verb: str) -> None:
        slots.fault_clear(db, f"slot:{name}:{due_at.isoformat()}")
        self._show_asked(db, name)
        self._audit(db, by, verb, name, {"due_at": due_at.isoformat()})

    def _show_asked(self, db: Connection, name: str) -> None:
        """One fault for all the slots of a schedule that wait for an answer."""
        key, waiting = f"asked:{name}", slots.asked(db, name)
        if not waiting:
            slots.fault_clear(db, key)
            return
        newest = waiting[-1].astimezone(self._config.site.zone)
        zh = f"定时任务 {name} 停机错过 {len(waiting)} 次，最近是 {newest:%m-%d %H:%M}：补发还是不发？"
        en = f"schedule {name} missed {len(waiting)} times, last at {newest:%m-%d %H:%M}: run or skip?"
        slots.fault_set(db, key, zh, en, self._clock.now())

    async def pause(self, name: str, *, by: Official) -> None:
        """What falls due from now on is skipped, and shown as that."""
        await self._pause(name, by, paused=True)

    async def resume(self, name: str, *, by: Official) -> None:
        """Due times run again from now on."""
        await self._pause(name, by, paused=False)

    async def _pause(self, name: str, by: Official, *, paused: bool) -> None:
        self._allowed(name, by, Role.APPROVER, Role.DIRECTOR)
        if not await self.clock_behind():
            await self.catch_up(self._clock.now())
        await self._known(self._clock.now())

        def change(db: Connection) -> None:
            if slots.set_paused(db, name, paused):
                self._audit(db, by, "pause" if paused else "resume", name, {})

        await self._store.write(change)

    def _allowed(self, name: str, by: Official, *roles: Role) -> Schedule:
        by.needs(*roles)
        schedule = self._schedule(name)
        if not by.sees(schedule.audience.area or self._config.site.area):
            raise NotFound(f"没有定时任务 {name}", f"no schedule {name}")
        return schedule

    def _schedule(self, name: str) -> Schedule:
        if name not in self._by_name:
            raise NotFound(f"没有定时任务 {name}", f"no schedule {name}")
        return self._by_name[name]

    # -- the clock ---------------------------------------------------------------------------------------------

    async def clock_behind(self) -> bool:
        """Whether the clock is well behind what was stored, so that nothing may run or be sent; shows it as a fault."""
        now = self._clock.now()
        newest, recorded, confirmed, known = await self._store.read(self._times)
        behind = clock_is_behind(now, newest)
        if behind != known or (confirmed and not clock_is_behind(now, recorded)):
            await self._store.write(self._show_clock, behind, newest, clock_is_behind(now, recorded))
        return behind

    @staticmethod
    def _times(db: Connection) -> tuple[datetime | None, datetime | None, bool, bool]:
        known = any(row.key == CLOCK for row in slots.faults(db))
        return slots.newest_time(db), slots.recorded_time(db), slots.clock_confirmed(db) is not None, known

    def _show_clock(self, db: Connection, behind: bool, newest: datetime | None, ahead: bool) -> None:
        slots.fault_clear(db, *([] if behind else [CLOCK]), *([] if ahead else [slots.CLOCK_CONFIRMED]))
        if behind and newest is not None:
            now, last = (at.astimezone(self._config.site.zone) for at in (self._clock.now(), newest))
            zh = f"系统时钟 {now:%Y-%m-%d %H:%M} 早于已存的 {last:%Y-%m-%d %H:%M}，暂停发送，请核对时钟"
            en = f"the clock ({now:%Y-%m-%d %H:%M}) is behind what is stored ({last:%Y-%m-%d %H:%M}): nothing is sent"
            slots.fault_set(db, CLOCK, zh, en, self._clock.now())

    async def confirm_clock(self, *, by: Official) -> None:
        """A person says that the clock is right and what was stored is not; Refused when it is not behind."""
        by.needs(Role.DIRECTOR, Role.ADMIN)
        if not await self.clock_behind():
            raise Refused("时钟没有落后，不必确认", "the clock is not behind")
        await self._store.write(self._confirm_clock, by)

    def _confirm_clock(self, db: Connection, by: Official) -> None:
        slots.confirm_clock(db, by.login, self._clock.now())
        slots.fault_clear(db, CLOCK)
        for name in self._by_name:
            self._show_asked(db, name)
        audit.append(db, self._clock.now(), by.login, "confirm", "clock", {})

    # -- the timer ---------------------------------------------------------------------------------------------

    def running(self) -> AbstractAsyncContextManager[None]:
        """Tick at each due time, and in between, for the length of an `async with`."""
        due = {schedule.name: self.recurrence(schedule) for schedule in self._config.schedules}
        return timer.running(self._on_time, due, self._clock)

    async def _on_time(self) -> None:
        """A tick that does not queue behind one that is carrying on: that one looks again before it ends."""
        try:
            if await self.clock_behind():
                return
            await self.catch_up(self._clock.now())
            if not self._carrying.locked():
                await self._carry_on()
        except DATABASE_ERRORS as error:
            log.warning("schedule.database", error=type(error).__name__)
        except Exception:
            log.exception("schedule.tick")

    # -- shared ------------------------------------------------------------------------------------------------

    async def _failed(self, key: str, name: str, error: Exception) -> None:
        """What nobody foresaw stops one schedule and no other; it is tried again, and shown until it is over."""
        log.error("schedule.failed", schedule=name, exc_info=error)
        zh, en = (error.zh, error.en) if isinstance(error, GatewayError) else (type(error).__name__,) * 2
        await self._fault(key, f"定时任务 {name} 出错：{zh}", f"schedule {name} failed: {en}")

    async def _fault(self, key: str, zh: str, en: str) -> None:
        await self._store.write(slots.fault_set, key, zh, en, self._clock.now())

    def _audit(self, db: Connection, by: Official, verb: str, name: str, what: Mapping[str, Any]) -> None:
        audit.append(db, self._clock.now(), by.login, verb, f"schedule {name}", what)


def _key(slot: Any) -> str:
    return f"slot:{slot.schedule}:{slot.due_at.isoformat()}"


def _said(slot: Any) -> str:
    return f"定时任务 {slot.schedule} "


def _only(declared: Iterable[str], values: Mapping[str, str]) -> dict[str, str]:
    return {name: values[name] for name in declared if name in values}
