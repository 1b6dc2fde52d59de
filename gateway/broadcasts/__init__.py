"""Broadcasts: draft, compose, preview, approve, send, stop; one template version to one audience.

Policy
- What was previewed is what is stored is what is sent. Composing freezes every text in parcels that are `held`;
  editing throws them away. An approval names the digest of the frozen texts and times, and is refused when it no
  longer fits.
- The approver is another official than the author. Only a schedule whose standing approval covers the template's
  version, the audience's rule, the number of people and the cost needs nobody at the desk.
- Killed while composing: what was composed is thrown away and composed anew. Nothing of it could have been sent.
- Everybody of the audience gets a text or a row in `left_out` with the reason; nobody disappears.
- Composing reads and writes slices of a thousand people: memory is bounded, and no transaction holds up a watermark.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from gateway import phone
from gateway.broadcasts import preflight
from gateway.broadcasts.audience import INSTEAD_OF, Addressees, years_before
from gateway.broadcasts.composing import Composition, Knowledge, alive, this_process
from gateway.broadcasts.preflight import Finding, Objection, unopposed
from gateway.broadcasts.preview import Preview, look
from gateway.broadcasts.riding import ride
from gateway.config import Audience, Config
from gateway.errors import Conflict, NotFound, Refused
from gateway.model import BROADCAST_MOVES, BroadcastState, Priority, Role
from gateway.officials import SYSTEM, Official
from gateway.outbox import Outbox
from gateway.roster import Roster
from gateway.store import (
    DATABASE_ERRORS,
    REFUSED_ROWS,
    Connection,
    Store,
    audit,
    consent,
    counting,
    numbers,
    parcels,
    people,
    site_files,
)
from gateway.store import broadcasts as rows
from gateway.store.parcels import Again
from gateway.templates import Template
from gateway.worktime import Clock, Hours

__all__ = ["Broadcasts", "Draft", "Finding", "Preview", "hours_text", "rule_digest", "rule_json", "years_before"]

PAST = timedelta(minutes=5)
"""A draft's time may lie this far back: people type."""

CANCELLED = frozenset({BroadcastState.CANCELLED})
REPLACEABLE = frozenset({BroadcastState.STOPPED, BroadcastState.CANCELLED})

SENDERS = (Role.AUTHOR, Role.CLERK, Role.DIRECTOR)
"""Who may send one text to one person, for which nobody's approval is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What an author asks for. `list_file`: a payout sheet; `fields_by_area`: values for areas, by longest prefix.

    `columns` and `sheet` say which columns and which sheet of a list or payout sheet are meant. `instead_of`: a stopped
    broadcast that this one words anew, for those whom it may not have reached.
    """

    template: str
    fields: Mapping[str, str] = field(default_factory=dict)
    audience: Audience = field(default_factory=Audience)
    not_before: datetime | None = None
    expires_at: datetime | None = None
    key: str | None = None
    list_file: Path | None = None
    columns: Mapping[str, str] | None = None
    sheet: str | None = None
    fields_by_area: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    schedule: str | None = None
    note: str = ""
    instead_of: int | None = None


@dataclass(frozen=True, slots=True)
class _Checked:
    """What was read of a composed broadcast before the transaction that approves it."""

    digest: str
    findings: list[Finding]


class Broadcasts:
    """The verbs; each writes its audit row in its own transaction."""

    def __init__(
        self,
        store: Store,
        config: Config,
        templates: Mapping[str, Template],
        outbox: Outbox,
        roster: Roster,
        clock: Clock,
        queued: Callable[[], None],
        objection: Objection = unopposed,
    ) -> None:
        """`queued` is called after parcels became ready in this process; `objection` asks the accounts' protocols."""
        self._store, self._config, self._templates = store, config, templates
        self._outbox, self._clock, self._queued = outbox, clock, queued
        self._objection = objection
        self._addressees = Addressees(store, config, roster, clock)
        self._composing: set[int] = set()

    # -- draft -------------------------------------------------------------------------------------------------

    async def draft(self, draft: Draft, *, by: Official) -> int:
        """A new broadcast; the same key again is the same broadcast. Refused names every missing field."""
        if by is not SYSTEM:
            by.needs(Role.AUTHOR)
        template = self._template(draft.template)
        self._check_fields(template, draft)
        self._check_villages(draft.audience)
        if draft.not_before is not None and draft.not_before < self._clock.now() - PAST:
            raise Refused("时间已过", "that time is past")
        await self._addressees.check(self._audience_json(draft))
        if draft.instead_of is not None:
            await self._store.read(self._replaceable, draft.instead_of, REPLACEABLE)
        try:
            return await self._store.write(self._draft, template, draft, by)
        except REFUSED_ROWS:
            # Another process drafted under this key in the meantime.
            return await self._store.write(self._draft, template, draft, by)

    def _draft(self, db: Connection, template: Template, draft: Draft, by: Official) -> int:
        if draft.key is not None and (known := rows.by_key(db, draft.key)) is not None:
            return known
        return self.insert_draft(db, template, draft, by, BroadcastState.DRAFT)

    def insert_draft(
        self, db: Connection, template: Template, draft: Draft, by: Official, state: BroadcastState
    ) -> int:
        """The draft's row and its audit row, in the caller's transaction (a schedule's slot has it in its own)."""
        now = self._clock.now()
        start = draft.not_before or now
        broadcast_id = rows.add(
            db,
            template=template.name,
            site_file_id=site_files.keep(db, template.file, template.content, now),
            category=template.category,
            title=template.title,
            state=state,
            priority=template.priority,
            area=draft.audience.area or by.area or self._config.site.area,
            audience=self._audience_json(draft),
            fields={"": dict(draft.fields), **{area: dict(v) for area, v in draft.fields_by_area.items()}},
            author=by.login,
            not_before=draft.not_before,
            expires_at=draft.expires_at or start + template.expires,
            hours=hours_text(self._config, template),
            on_uncertain=template.uncertain,
            idempotency_key=draft.key,
            schedule=draft.schedule,
            test=False,
            people=0,
            texts=0,
            parts=0,
            cost=Decimal(0),
            note=draft.note,
            created_at=now,
        )
        self._audit(db, by, "draft", broadcast_id, {"template": template.name, "sha256": template.sha256})
        return broadcast_id

    @staticmethod
    def _audience_json(draft: Draft) -> dict[str, Any]:
        rule = rule_json(draft.audience)
        if draft.list_file is not None:
            rule["payout"] = str(draft.list_file.resolve())
        if draft.columns:
            rule["columns"] = dict(draft.columns)
        if draft.sheet:
            rule["sheet"] = draft.sheet
        if draft.instead_of is not None:
            rule[INSTEAD_OF] = draft.instead_of
        return rule

    def _replaceable(self, db: Connection, broadcast_id: int, states: Collection[BroadcastState]) -> None:
        """Refused while the one that is to be replaced may still send."""
        if self._require(rows.get(db, broadcast_id), broadcast_id).state not in states:
            zh = "取消" if states == CANCELLED else "停下"
            en = "cancelled" if states == CANCELLED else "stopped"
            raise Refused(f"先把群发 {broadcast_id} {zh}", f"broadcast {broadcast_id} has to be {en} first")

    def _template(self, name: str) -> Template:
        template = self._templates.get(name)
        if template is None or template.is_service:
            known = "、".join(sorted(n for n, t in self._templates.items() if not t.is_service))
            raise NotFound(f"没有模板 {name}；可用的有：{known}", f"no template {name}; there are: {known}")
        return template

    @staticmethod
    def _check_fields(template: Template, draft: Draft) -> None:
        given = dict.fromkeys((name for v in draft.fields_by_area.values() for name in v), "x") | dict(draft.fields)
        if unknown := template.unknown(given):
            raise Refused(f"模板里没有：{'、'.join(unknown)}", f"not in the template: {', '.join(unknown)}")
        missing = [] if draft.list_file else template.missing(given)
        if missing:
            raise Refused(f"还缺：{'、'.join(missing)}", f"missing: {', '.join(missing)}")

    def _check_villages(self, audience: Audience) -> None:
        """A misspelt village would quietly choose nobody."""
        known = [area.name for area in self._config.areas]
        if unknown := [village for village in audience.villages if village not in known]:
            names, places = "、".join(unknown), "、".join(known)
            raise Refused(f"没有这个村：{names}；有：{places}", f"no such village: {names}; there are: {places}")

    # -- compose -----------------------------------------------------------------------------------------------

    async def compose(
        self, broadcast_id: int, *, by: Official, progress: Callable[[int], None] | None = None
    ) -> Preview:
        """Freeze every text in held parcels. Also composes anew what is composed already, or was half composed."""
        if broadcast_id in self._composing:
            raise Conflict("这次群发正在生成", "this broadcast is being composed")
        self._composing.add(broadcast_id)
        try:
            await self._compose(broadcast_id, by, progress)
        finally:
            self._composing.discard(broadcast_id)
        return await self.preview(broadcast_id)

    async def _compose(self, broadcast_id: int, by: Official, progress: Callable[[int], None] | None) -> None:
        row = await self._get(broadcast_id)
        await self._store.write(self._start_composing, broadcast_id, by)
        try:
            while await self._store.write(rows.throw_away, broadcast_id):
                pass
            await self._freeze(row, by, progress)
        except BaseException:
            # Only a killed process may leave it in `composing`; what was written is thrown away by the next one.
            with contextlib.suppress(*DATABASE_ERRORS):
                await self._store.write(rows.move, broadcast_id, [BroadcastState.COMPOSING], BroadcastState.DRAFT)
            raise

    async def _freeze(self, row: Any, by: Official, progress: Callable[[int], None] | None) -> None:
        known = await self._store.read(self._knowledge, row)
        work = Composition(self._outbox, self._clock.now(), row, known)
        async for addressees in self._addressees.of(row.audience):
            await self._store.write(work.write, *work.take(addressees))
            if progress is not None:
                progress(work.seen)
        await self._store.write(work.write, [], work.rest())
        digest = await self._store.read(rows.digest, row.id)
        await self._store.write(self._finish_composing, work, digest, by)

    def _start_composing(self, db: Connection, broadcast_id: int, by: Official) -> None:
        row = self._require(rows.get(db, broadcast_id, lock=True), broadcast_id)
        if row.state == BroadcastState.COMPOSING and alive(row.composing_node):
            raise Conflict("另一个进程正在生成这次群发", "another process is composing this broadcast")
        self._move(db, broadcast_id, BroadcastState.COMPOSING, composing_node=this_process(), digest=None)
        self._audit(db, by, "compose", broadcast_id, {})

    def _knowledge(self, db: Connection, row: Any) -> Knowledge:
        template = self._template(row.template)
        heeds = not template.ignores_optout(row.fields.get("", {}))
        out = consent.opted_out(db, template.category) if heeds else set()
        replaced = row.audience.get(INSTEAD_OF)
        if replaced is not None and rows.in_hand(db, replaced):
            raise Conflict(
                f"群发 {replaced} 还有在途的，过一会儿再来", f"texts of {replaced} are on their way: try later"
            )
        reached = set() if replaced is None else rows.may_have_arrived(db, replaced)
        seen, dead = parcels.newest_consent(db), frozenset(numbers.dead(db))
        return Knowledge(template, frozenset(out), heeds, seen, frozenset(reached), dead)

    def _finish_composing(self, db: Connection, work: Composition, digest: str, by: Official) -> None:
        broadcast_id = work.row.id
        totals = {"people": work.people, "texts": work.texts, "parts": work.parts, "cost": work.cost}
        self._move(db, broadcast_id, BroadcastState.COMPOSED, digest=digest, composing_node=None, **totals)
        plain = {**totals, "cost": str(work.cost), "digest": digest}
        self._audit(db, by, "composed", broadcast_id, plain)

    # -- preview -----------------------------------------------------------------------------------------------

    async def preview(self, broadcast_id: int, *, names: Collection[str] = ()) -> Preview:
        """Exact counts and cost, who is left out and why, and real texts: of `names`, or the first few."""
        return await self._store.read(self._preview, broadcast_id, names)

    def _preview(self, db: Connection, broadcast_id: int, names: Collection[str]) -> Preview:
        row = self._require(rows.get(db, broadcast_id), broadcast_id)
        now = self._clock.now()
        return look(db, row, self._config, self._templates.get(row.template), now, names, self._findings(db, row))

    def _findings(self, db: Connection, row: Any) -> list[Finding]:
        """What its accounts say of a broadcast that waits for approval."""
        if row.state != BroadcastState.COMPOSED:
            return []
        return preflight.check(db, row, self._config, self._objection, self._clock.now())

    def _checked(self, db: Connection, broadcast_id: int) -> _Checked:
        row = rows.get(db, broadcast_id)
        return _Checked(rows.digest(db, broadcast_id), [] if row is None else self._findings(db, row))

    async def test_send(self, broadcast_id: int, number: str, *, by: Official) -> int | None:
        """The first text to a number of one's own, marked as a test; its message id."""
        by.needs(Role.AUTHOR, Role.APPROVER)
        message = await self._store.write(self._test_send, broadcast_id, phone.mobile(number), by)
        self._queued()
        return message

    def _test_send(self, db: Connection, broadcast_id: int, number: str, by: Official) -> int | None:
        first = next(rows.texts(db, broadcast_id), None)
        if first is None:
            raise Refused("还没有生成短信", "nothing is composed yet")
        signed = f"【{self._config.site.signature}】"
        body = self._templates["service/test-send"].render({"正文": first[3].replace(signed, "", 1)})
        self._audit(db, by, "test", broadcast_id, {"to": phone.mask(number)})
        return self._outbox.single(db, number, body, self._clock.now())

    # -- one text to one person --------------------------------------------------------------------------------

    async def send(self, template: str, number: str, fields: Mapping[str, str], *, by: Official) -> int:
        """Queue one text to one number; its message id. For templates marked `single`, which need no approval.

        Refused for any other, for missing values, for a number that opted out or that no account reaches.
        """
        by.needs(*SENDERS)
        one, e164 = self._template(template), phone.mobile(number)
        if not one.single:
            raise Refused(
                f"模板 {one.name} 不能单发（没有 single = true），请用 gateway broadcast draft",
                f"{one.name} is not marked single: use gateway broadcast draft",
            )
        self._check_fields(one, Draft(template=template, fields=fields))
        message_id = await self._store.write(self._send, one, e164, fields, by)
        self._queued()
        return message_id

    def _send(self, db: Connection, one: Template, number: str, fields: Mapping[str, str], by: Official) -> int:
        heeds, now = not one.ignores_optout(fields), self._clock.now()
        if heeds and not consent.wants(db, number, one.category):
            raise Refused(f"这个号码退订了{one.name_zh}", f"this number opted out of {one.category}")
        if one.personal and numbers.is_dead(db, number):
            raise Refused(
                "这个号码可能已换人，先核实：gateway roster confirm 号码",
                "this number may be somebody else's by now: gateway roster confirm NUMBER first",
            )
        known = people.by_phone(db, number)
        person = known[0] if len(known) == 1 else None
        own = {"姓名": person.name, "村": person.village, "组": person.grp} if person else {}
        message_id = self._outbox.single(
            db,
            number,
            one.render({**own, **fields}, away=bool(person and person.away_to)),
            now,
            category=one.category if heeds else None,
            hours=hours_text(self._config, one),
            priority=one.priority,
            expires_at=now + one.expires,
            person_id=person.id if person else None,
            area=person.area if person else "",
        )
        if message_id is None:
            raise Refused("没有通道能到这个号码", "no carrier reaches this number")
        what = {"template": one.name, "sha256": one.sha256, "to": phone.mask(number)}
        audit.append(db, now, by.login, "send", f"message {message_id}", what)
        return message_id

    # -- approve, stop -----------------------------------------------------------------------------------------

    async def approve(self, broadcast_id: int, *, by: Official, digest: str) -> int:
        """Send what `digest` names; answers how many parcels. Refused for the author, Conflict for another digest."""
        by.needs(Role.APPROVER, Role.DIRECTOR)
        found = await self._store.read(self._checked, broadcast_id)
        count = await self._store.write(self._approve, broadcast_id, by, digest, found)
        self._queued()
        return count

    def _approve(self, db: Connection, broadcast_id: int, by: Official, digest: str, found: _Checked) -> int:
        row = self._require(rows.get(db, broadcast_id, lock=True), broadcast_id)
        if by.login == row.author:
            raise Refused("不能审批自己起草的群发，须由另一人审批", "an author cannot approve their own broadcast")
        return self._release(db, row, by, digest, found)

    def _release(self, db: Connection, row: Any, by: Official, digest: str, found: _Checked) -> int:
        """`found` was read from the rows beforehand: hashing half a million in here would hold up every watermark.

        A composing that came in between shows in the state or in the digest it wrote.
        """
        if row.state != BroadcastState.COMPOSED:
            raise Conflict(f"这次群发现在是 {row.state}，不能审批", f"the broadcast is {row.state}, not composed")
        if not digest == row.digest == found.digest:
            raise Conflict(
                "内容、名单或时间在预览之后变过，请重新预览", "text, people or time changed since the preview"
            )
        if row.texts == 0:
            raise Refused("没有一个人可发", "there is nobody to send it to")
        self._check_times(row)
        if (refused := preflight.refusals(found.findings)) is not None:
            raise refused
        if (replaced := row.audience.get(INSTEAD_OF)) is not None:
            self._replaceable(db, replaced, CANCELLED)
        now = self._clock.now()
        self._move(db, row.id, BroadcastState.APPROVED, approver=by.login, approved_at=now)
        self._audit(db, by, "approve", row.id, {"digest": digest, "texts": row.texts})
        ride(db, self._config, self._outbox, row, now)
        return rows.release(db, row.id)

    def _check_times(self, row: Any) -> None:
        now = self._clock.now()
        start = max(now, row.not_before or now)
        if row.expires_at <= start:
            raise Refused("有效期已过，请重新设定时间", "it would expire before it could be sent")
        if row.hours is not None and not Hours.parse(row.hours).open_within(
            start, row.expires_at, self._config.site.zone
        ):
            raise Refused(f"有效期内没有可发的时段（{row.hours}）", f"no open hour ({row.hours}) before it expires")

    async def approve_standing(self, broadcast_id: int) -> bool:
        """Release a schedule's broadcast if its standing approval covers it; False when a person must look."""
        found = await self._store.read(self._checked, broadcast_id)
        released = await self._store.write(self._approve_standing, broadcast_id, found)
        if released:
            self._queued()
        return released

    def _approve_standing(self, db: Connection, broadcast_id: int, found: _Checked) -> bool:
        row = self._require(rows.get(db, broadcast_id, lock=True), broadcast_id)
        standing = rows.standing(db, row.schedule) if row.schedule else None
        template = self._template(row.template)
        covered = (
            standing is not None
            and standing.template_sha256 == template.sha256
            and standing.rule_sha256 == rule_digest(row.audience, row.hours)
            and row.people <= standing.max_people
            and row.cost <= standing.max_cost
        )
        if standing is None or not covered or preflight.refusals(found.findings):
            return False
        director = Official(standing.by, standing.by, frozenset({Role.DIRECTOR}), "")
        self._release(db, row, director, row.digest, found)
        return True

    async def stop(self, broadcast_id: int, *, by: Official) -> int:
        """Hold what has not left; it leaves no more within seconds. Answers the number of parcels held."""
        by.needs(Role.AUTHOR, Role.APPROVER, Role.DIRECTOR)
        return await self._act(broadcast_id, BroadcastState.STOPPED, "stop", by, rows.hold)

    async def resume(self, broadcast_id: int, *, by: Official) -> int:
        """Let a stopped broadcast go on."""
        by.needs(Role.APPROVER, Role.DIRECTOR)
        count = await self._act(
            broadcast_id, BroadcastState.APPROVED, "resume", by, rows.release, only=BroadcastState.STOPPED
        )
        self._queued()
        return count

    async def cancel(self, broadcast_id: int, *, by: Official) -> int:
        """What has not left never will."""
        by.needs(Role.AUTHOR, Role.APPROVER, Role.DIRECTOR)
        now = self._clock.now()
        return await self._act(
            broadcast_id, BroadcastState.CANCELLED, "cancel", by, lambda db, key: rows.cancel(db, key, now)
        )

    async def _act(
        self,
        broadcast_id: int,
        to: BroadcastState,
        verb: str,
        by: Official,
        act: Callable[[Connection, int], int],
        only: BroadcastState | None = None,
    ) -> int:
        def run(db: Connection) -> int:
            row = self._require(rows.get(db, broadcast_id, lock=True), broadcast_id)
            if only is not None and row.state != only:
                raise Conflict(f"这次群发现在是 {row.state}", f"the broadcast is {row.state}")
            self._move(db, broadcast_id, to)
            count = act(db, broadcast_id)
            self._audit(db, by, verb, broadcast_id, {"parcels": count})
            return count

        return await self._store.write(run)

    # -- afterwards --------------------------------------------------------------------------------------------

    async def settle_uncertain(self, broadcast_id: int, *, resend: bool, by: Official) -> int:
        """Decide on the texts whose fate is unknown: send them again, or leave them. Answers how many there are."""
        by.needs(Role.APPROVER, Role.DIRECTOR)
        await self.count()
        count = await self._store.write(self._settle, broadcast_id, resend, by)
        self._queued()
        return count

    def _settle(self, db: Connection, broadcast_id: int, resend: bool, by: Official) -> int:
        row = self._require(rows.get(db, broadcast_id, lock=True), broadcast_id)
        if resend and row.state != BroadcastState.APPROVED:
            raise Conflict(f"这次群发现在是 {row.state}，不能再发", f"the broadcast is {row.state}, not approved")
        if resend and row.expires_at <= self._clock.now():
            raise Refused("有效期已过，不能再发", "it has expired: nothing is sent again")
        found = rows.uncertain_texts(db, broadcast_id)
        count = sum(map(len, found.values()))
        if resend:
            for (home, attempt), keys in found.items():
                parcels.try_again(db, Again(home, attempt + 1, tuple(keys), None))
        verb = "resend-uncertain" if resend else "leave-uncertain"
        self._audit(db, by, verb, broadcast_id, {"texts": count})
        return count

    async def count(self) -> None:
        """Count every stale parcel, so that what is read next is true to the row."""
        await counting.count_all(self._store)

    async def counts(self, broadcast_id: int) -> dict[str, int]:
        """Texts by state; see `store.broadcasts.counts`."""
        await self.count()
        return await self._store.read(rows.counts, broadcast_id)

    async def list(self, *, by: Official, limit: int = 20) -> list[Any]:
        """The newest broadcasts in the official's sight."""
        return await self._store.read(rows.newest, limit, by.area)

    async def stand_for(
        self, schedule: str, broadcast_id: int, *, max_people: int, max_cost: Decimal, by: Official
    ) -> int:
        """A director's standing approval for what one composed broadcast of a schedule shows, up to these ceilings."""
        by.needs(Role.DIRECTOR)
        row = await self._get(broadcast_id)
        template = self._template(row.template)
        return await self._store.write(
            self._stand_for, schedule, template.sha256, rule_digest(row.audience, row.hours), max_people, max_cost, by
        )

    def _stand_for(
        self, db: Connection, schedule: str, template: str, rule: str, max_people: int, max_cost: Decimal, by: Official
    ) -> int:
        now = self._clock.now()
        ceilings = {"max_people": max_people, "max_cost": max_cost}
        key = rows.stand_for(
            db, schedule=schedule, template_sha256=template, rule_sha256=rule, by=by.login, at=now, **ceilings
        )
        what = {"template": template, "max_people": max_people, "max_cost": str(max_cost)}
        audit.append(db, now, by.login, "standing-approval", f"schedule {schedule}", what)
        return key

    # -- shared ------------------------------------------------------------------------------------------------

    async def _get(self, broadcast_id: int) -> Any:
        return self._require(await self._store.read(rows.get, broadcast_id), broadcast_id)

    @staticmethod
    def _require(row: Any, broadcast_id: int) -> Any:
        if row is None:
            raise NotFound(f"没有编号为 {broadcast_id} 的群发", f"no broadcast {broadcast_id}")
        return row

    @staticmethod
    def _move(db: Connection, broadcast_id: int, to: BroadcastState, **values: Any) -> None:
        came_from = [state for state, onward in BROADCAST_MOVES.items() if to in onward]
        if not rows.move(db, broadcast_id, came_from, to, **values):
            row = rows.get(db, broadcast_id)
            raise Conflict(
                f"这次群发现在是 {row.state}，不能变为 {to}", f"the broadcast is {row.state}, it cannot be {to}"
            )

    def _audit(self, db: Connection, by: Official, verb: str, broadcast_id: int, what: Mapping[str, Any]) -> None:
        audit.append(db, self._clock.now(), by.login, verb, f"broadcast {broadcast_id}", what)


def hours_text(config: Config, template: Template) -> str | None:
    """When a template's texts may leave on this site, "08:00-21:00"; None at any hour, as emergencies always may."""
    span = config.hours[template.hours]
    return None if span is None or template.priority is Priority.EMERGENCY else str(Hours(*span))


def rule_json(audience: Audience) -> dict[str, Any]:
    """An audience as a broadcast stores it and a standing approval is bound to it."""
    return audience.model_dump(mode="json", exclude_defaults=True)


def rule_digest(audience: Mapping[str, Any], hours: str | None) -> str:
    """What a standing approval is bound to besides the template: who is chosen, and when it may leave."""
    return rows.sha256_of({"audience": dict(audience), "hours": hours})
