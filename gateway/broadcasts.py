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

import os
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path as FilePath
from typing import Any

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from gateway import payouts, phone, sheets
from gateway.config import Audience, Config
from gateway.errors import Conflict, NotFound, Refused
from gateway.model import BROADCAST_MOVES, BroadcastState, LeftOut, ParcelState, Priority, Role
from gateway.officials import SYSTEM, Official
from gateway.outbox import Batch, Outbox, Packing, Path, Written
from gateway.roster import Roster
from gateway.store import Store, audit, consent, parcels, people
from gateway.store import broadcasts as rows
from gateway.store.parcels import Again, Envelope
from gateway.templates import Template
from gateway.worktime import Clock, Hours

log = structlog.get_logger()

PEOPLE_SLICE = 1000
SAMPLES = 5
TEXTS_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Addressee:
    """One person of an audience with what only they are told; `phone` is where their text goes, theirs or a taker's."""

    person_id: int | None
    name: str
    phone: str | None
    village: str
    group: str
    area: str
    away: bool
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Excluded:
    """A row of a list that cannot be sent, as it is reported."""

    name: str
    village: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What an approver sees. Money is in the site's currency; `digest` is what they approve."""

    id: int
    title: str
    template: str
    state: str
    author: str
    people: int
    texts: int
    parts: int
    cost: Decimal
    not_before: datetime | None
    expires_at: datetime | None
    hours: str | None
    digest: str | None
    left_out: Mapping[str, int]
    unreached: Mapping[str, int]
    """Operator -> people that no account reaches."""
    samples: Sequence[tuple[str, str]]
    """(masked number, text)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What an author asks for. `list_file`: a payout sheet; `fields_by_area`: values for areas, by longest prefix."""

    template: str
    fields: Mapping[str, str] = field(default_factory=dict)
    audience: Audience = field(default_factory=Audience)
    not_before: datetime | None = None
    expires_at: datetime | None = None
    key: str | None = None
    list_file: FilePath | None = None
    fields_by_area: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    schedule: str | None = None
    note: str = ""


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
    ) -> None:
        """`queued` is called after parcels became ready in this process."""
        self._store, self._config, self._templates = store, config, templates
        self._outbox, self._roster, self._clock, self._queued = outbox, roster, clock, queued
        self._composing: set[int] = set()

    # -- draft -------------------------------------------------------------------------------------------------

    async def draft(self, draft: Draft, *, by: Official) -> int:
        """A new broadcast; the same key again is the same broadcast. Refused names every missing field."""
        if by is not SYSTEM:
            by.needs(Role.AUTHOR)
        template = self._template(draft.template)
        self._check_fields(template, draft)
        try:
            return await self._store.write(self._draft, template, draft, by)
        except IntegrityError:
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
        content = self._config.sources.get(template.name, template.home.source)
        broadcast_id = rows.add(
            db,
            template=template.name,
            site_file_id=rows.keep_file(db, f"templates/{template.name}.md", template.sha256, content, now),
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
            hours=self._hours_text(template),
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
        rule = draft.audience.model_dump(mode="json", exclude_defaults=True)
        if draft.list_file is not None:
            rule["payout"] = str(draft.list_file.resolve())
        return rule

    def _hours_text(self, template: Template) -> str | None:
        span = self._config.hours[template.hours]
        return None if span is None or template.priority is Priority.EMERGENCY else str(Hours(*span))

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
        while await self._store.write(rows.throw_away, broadcast_id):
            pass
        work = _Composition(self, row, await self._store.read(self._knowledge, row))
        try:
            async for addressees in self._addressees(row):
                await self._store.write(work.write, *work.take(addressees))
                if progress is not None:
                    progress(work.seen)
            await self._store.write(work.write, [], work.rest())
        except Refused:
            await self._store.write(rows.move, broadcast_id, [BroadcastState.COMPOSING], BroadcastState.DRAFT)
            raise
        digest = await self._store.read(rows.digest, broadcast_id)
        await self._store.write(self._finish_composing, work, digest, by)

    def _start_composing(self, db: Connection, broadcast_id: int, by: Official) -> None:
        row = self._require(rows.get(db, broadcast_id, lock=True), broadcast_id)
        if row.state == BroadcastState.COMPOSING and _alive(row.composing_node):
            raise Conflict("另一个进程正在生成这次群发", "another process is composing this broadcast")
        self._move(db, broadcast_id, BroadcastState.COMPOSING, composing_node=_node(), digest=None)
        self._audit(db, by, "compose", broadcast_id, {})

    def _knowledge(self, db: Connection, row: Any) -> _Knowledge:
        template = self._template(row.template)
        heeds = not template.ignores_optout(row.fields.get("", {}))
        out = consent.opted_out(db, template.category) if heeds else set()
        return _Knowledge(template, frozenset(out), heeds, parcels.newest_consent(db))

    def _finish_composing(self, db: Connection, work: _Composition, digest: str, by: Official) -> None:
        broadcast_id = work.row.id
        totals = {"people": work.people, "texts": work.texts, "parts": work.parts, "cost": work.cost}
        self._move(db, broadcast_id, BroadcastState.COMPOSED, digest=digest, composing_node=None, **totals)
        plain = {**totals, "cost": str(work.cost), "digest": digest}
        self._audit(db, by, "composed", broadcast_id, plain)

    async def _addressees(self, row: Any) -> AsyncIterator[Sequence[Addressee | Excluded]]:
        if payout := row.audience.get("payout"):
            known = await self._store.read(people.names_by_phone)
            async for slice_ in self._payments(FilePath(payout), known):
                yield slice_
            return
        rule = Audience.model_validate(row.audience)
        listed = await self._roster.listed(self._config.directory / rule.list) if rule.list else None
        selection = self._selection(rule)
        after = 0
        while found := await self._store.read(people.select_people, selection, after, PEOPLE_SLICE):
            after = found[-1].id
            yield [_addressee(one) for one in found if listed is None or (one.phone, one.name) in listed]

    def _selection(self, rule: Audience) -> people.Selection:
        today = self._clock.now().astimezone(self._config.site.zone).date()
        young, old = rule.age or (None, None)
        return people.Selection(
            areas=(rule.area,) if rule.area else (),
            villages=rule.villages,
            tags=rule.tags,
            sex=rule.sex,
            born_until=None if young is None else years_before(today, young),
            born_after=None if old is None else years_before(today, old + 1),
            away=rule.away,
        )

    async def _payments(
        self, file: FilePath, known: Mapping[str, Collection[str]]
    ) -> AsyncIterator[Sequence[Addressee | Excluded]]:
        ids = await self._store.read(people.ids_by_key)
        waiting: list[Addressee | Excluded] = []
        for row in payouts.check(sheets.open_table(file), known):
            waiting.append(self._payment(row, ids))
            if len(waiting) >= PEOPLE_SLICE:
                yield waiting
                waiting = []
        yield waiting

    def _payment(self, row: payouts.Payment | payouts.PayoutProblem, ids: Mapping[tuple[str, str], int]) -> Any:
        if isinstance(row, payouts.Payment):
            values = {**row.fields, "金额": row.fields.get("金额", f"{row.amount:.2f}")}
            return Addressee(ids.get((row.phone, row.name)), row.name, row.phone, row.village, "", "", False, values)
        return Excluded(row.name, "", f"payout:{row.reason}", f"row {row.row}")

    # -- preview -----------------------------------------------------------------------------------------------

    async def preview(self, broadcast_id: int, *, names: Collection[str] = ()) -> Preview:
        """Exact counts and cost, who is left out and why, and real texts: of `names`, or the first few."""
        return await self._store.read(self._preview, broadcast_id, names)

    def _preview(self, db: Connection, broadcast_id: int, names: Collection[str]) -> Preview:
        row = self._require(rows.get(db, broadcast_id), broadcast_id)
        return Preview(
            **{name: getattr(row, name) for name in _PREVIEWED},
            left_out=rows.left_out_counts(db, broadcast_id),
            unreached=rows.unreached_operators(db, broadcast_id),
            samples=list(self._samples(db, broadcast_id, names)),
        )

    @staticmethod
    def _samples(db: Connection, broadcast_id: int, names: Collection[str]) -> Iterator[tuple[str, str]]:
        wanted = people.ids_of_names(db, names) if names else None
        found = 0
        for _, number, person_id, body in rows.texts(db, broadcast_id):
            if wanted is None or person_id in wanted:
                yield phone.mask(number), body
                found += 1
            if found >= SAMPLES:
                return

    async def test_send(self, broadcast_id: int, number: str, *, by: Official) -> int | None:
        """The first text to a number of one's own, marked as a test; its message id."""
        by.needs(Role.AUTHOR, Role.APPROVER)
        parsed = phone.parse(number)
        if parsed.reason is not None or parsed.e164 is None:
            raise Refused(*phone.explain(parsed.reason or "not_digits"))
        message = await self._store.write(self._test_send, broadcast_id, parsed.e164, by)
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

    # -- approve, stop -----------------------------------------------------------------------------------------

    async def approve(self, broadcast_id: int, *, by: Official, digest: str) -> int:
        """Send what `digest` names; answers how many parcels. Refused for the author, Conflict for another digest."""
        by.needs(Role.APPROVER, Role.DIRECTOR)
        found = await self._store.read(rows.digest, broadcast_id)
        count = await self._store.write(self._approve, broadcast_id, by, digest, found)
        self._queued()
        return count

    def _approve(self, db: Connection, broadcast_id: int, by: Official, digest: str, found: str) -> int:
        row = self._require(rows.get(db, broadcast_id, lock=True), broadcast_id)
        if by.login == row.author:
            raise Refused("不能审批自己起草的群发，须由另一人审批", "an author cannot approve their own broadcast")
        return self._release(db, row, by, digest, found)

    def _release(self, db: Connection, row: Any, by: Official, digest: str, found: str) -> int:
        """`found` was hashed from the rows beforehand: hashing half a million in here would hold up every watermark.

        A composing that came in between shows in the state or in the digest it wrote.
        """
        if row.state != BroadcastState.COMPOSED:
            raise Conflict(f"这次群发现在是 {row.state}，不能审批", f"the broadcast is {row.state}, not composed")
        if not digest == row.digest == found:
            raise Conflict(
                "内容、名单或时间在预览之后变过，请重新预览", "text, people or time changed since the preview"
            )
        if row.texts == 0:
            raise Refused("没有一个人可发", "there is nobody to send it to")
        self._check_times(row)
        now = self._clock.now()
        self._move(db, row.id, BroadcastState.APPROVED, approver=by.login, approved_at=now)
        self._audit(db, by, "approve", row.id, {"digest": digest, "texts": row.texts})
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
        found = await self._store.read(rows.digest, broadcast_id)
        released = await self._store.write(self._approve_standing, broadcast_id, found)
        if released:
            self._queued()
        return released

    def _approve_standing(self, db: Connection, broadcast_id: int, found: str) -> bool:
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
        if standing is None or not covered:
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
        while await self._store.write(parcels.recount) == parcels.RECOUNTED_AT_ONCE:
            pass

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


_PREVIEWED = (
    "id",
    "title",
    "template",
    "state",
    "author",
    "people",
    "texts",
    "parts",
    "cost",
    "not_before",
    "expires_at",
    "hours",
    "digest",
)


def rule_digest(audience: Mapping[str, Any], hours: str | None) -> str:
    """What a standing approval is bound to besides the template: who is chosen, and when it may leave."""
    return rows.sha256_of({"audience": dict(audience), "hours": hours})


def years_before(day: date, years: int) -> date:
    """The same day so many years ago; 29 February becomes 28."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)


def _addressee(row: Any) -> Addressee:
    number = row.phone or row.taker_phone
    return Addressee(row.id, row.name, number, row.village, row.grp, row.area, bool(row.away_to))


def _node() -> str:
    return f"{os.uname().nodename}:{os.getpid()}"


def _alive(node: str | None) -> bool:
    """Whether the process that composes still runs; one on another host is believed to."""
    host, _, pid = (node or "").rpartition(":")
    if not pid or (host == os.uname().nodename and int(pid) == os.getpid()):
        return False
    if host != os.uname().nodename:
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@dataclass(frozen=True, slots=True)
class _Knowledge:
    """What composing must know beforehand."""

    template: Template
    opted_out: frozenset[str]
    heeds_optout: bool
    consent_seen: int


class _Composition:
    """One run of composing: takes people slice by slice, each slice a transaction of its own."""

    def __init__(self, broadcasts: Broadcasts, row: Any, known: _Knowledge) -> None:
        self._outbox, self._now = broadcasts._outbox, broadcasts._clock.now()
        self.row, self._known = row, known
        self._template = known.template
        self._fields: Mapping[str, Mapping[str, str]] = row.fields
        personal = self._template.personal or "payout" in row.audience
        self._personal = personal
        self._packing = Packing(self._envelope(), personal=personal)
        self._numbers: set[str] = set()
        self._written: dict[tuple[Any, ...], Written] = {}
        self._left_out = 0
        self.seen = self.people = self.texts = self.parts = 0
        self.cost = Decimal(0)

    def _envelope(self) -> Envelope:
        return Envelope(
            broadcast_id=self.row.id,
            carrier="",
            route="",
            priority=self.row.priority,
            body=None,
            category=self.row.category if self._known.heeds_optout else None,
            hours=self.row.hours,
            on_uncertain=self.row.on_uncertain,
            consent_seen=self._known.consent_seen,
            state=ParcelState.HELD,
            not_before=self.row.not_before,
            expires_at=self.row.expires_at,
        )

    def take(self, addressees: Sequence[Addressee | Excluded]) -> tuple[list[tuple[Any, ...]], list[Batch]]:
        """Render these people's texts: rows of those who get none, and the parcels that are full.

        No SQL, since a transaction may be tried again and nobody may be counted twice.
        """
        left: list[tuple[Any, ...]] = []
        full: list[Batch] = []
        for one in addressees:
            self.seen += 1
            if isinstance(one, Excluded):
                left.append(self._row(None, one.reason, one.name, None, one.village, "", one.detail))
                continue
            self.people += 1
            why = self._take(one, full)
            if why is not None:
                left.append(self._row(one.person_id, why[0], one.name, one.phone, one.village, one.group, why[1]))
        return left, full

    def rest(self) -> list[Batch]:
        """The parcels that are not full."""
        return list(self._packing.rest())

    def write(self, db: Connection, left: Sequence[tuple[Any, ...]], batches: Sequence[Batch]) -> None:
        """Queue these parcels and say who gets no text."""
        rows.leave_out(db, left)
        for batch in batches:
            parcels.queue(db, batch.envelope, batch.texts, self._now)

    def _take(self, one: Addressee, full: list[Batch]) -> tuple[LeftOut, str] | None:
        if one.phone is None:
            return LeftOut.NO_NUMBER, ""
        if one.phone in self._known.opted_out:
            return LeftOut.OPTED_OUT, ""
        if self._template.per == "number" and one.phone in self._numbers:
            return LeftOut.SAME_NUMBER, ""
        path = self._outbox.path(one.phone, self.row.category)
        if path is None:
            return LeftOut.NO_ROUTE, phone.operator(one.phone) or ""
        try:
            written = self._write(one, path)
        except Refused as error:
            return LeftOut.MISSING_FIELD, error.zh
        self._numbers.add(one.phone)
        self.texts, self.parts, self.cost = self.texts + 1, self.parts + written.billed, self.cost + written.cost
        batch = self._packing.add(path, one.phone, one.person_id, written)
        if batch is not None:
            full.append(batch)
        return None

    def _write(self, one: Addressee, path: Path) -> Written:
        if self._personal:
            return self._outbox.write(self._render(one), path.carrier)
        village = one.village if self._template.varies_by_village else ""
        key = (path.carrier, one.away, village, self._area_of(one))
        if key not in self._written:
            if len(self._written) >= TEXTS_REMEMBERED:
                self._written.clear()
            self._written[key] = self._outbox.write(self._render(one), path.carrier)
        return self._written[key]

    def _render(self, one: Addressee) -> str:
        own = {"姓名": one.name, "村": one.village, "组": one.group}
        values = {**self._fields.get("", {}), **self._fields.get(self._area_of(one), {}), **one.values, **own}
        return self._template.render(values, away=one.away)

    def _area_of(self, one: Addressee) -> str:
        """The longest prefix of the person's area that has values of its own."""
        fitting = [area for area in self._fields if area and one.area.startswith(area)]
        return max(fitting, key=len, default="")

    def _row(self, *values: Any) -> tuple[Any, ...]:
        self._left_out += 1
        return (self.row.id, self._left_out, *values)
