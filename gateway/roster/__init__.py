"""People: rosters imported, looked up, exported and forgotten, and what they consented to.

Policy
- An import takes in what it can and says of every other row why not. It updates and adds, and deletes nobody: who is
  gone from the file is shown as missing. Slices of a few hundred people are a transaction each; the last one
  writes the audit row and ends the import's own row. Killed before that it is run again from the start, to no harm.
- A person's area is that of their village, as far as the official who imports may see it; a village that is not known,
  or known twice, gives the site's area (or the official's, where that is narrower) and is reported.
- Consent is an append-only ledger by number. Forgetting a person deletes who they are and what is old enough; what the
  law has us keep of sending stays until its days are over (`store.retention`), and the report says so. Of a number that
  nobody uses any more the opt-outs stay under an HMAC, and come back before anything else if a roster brings it back.
- Texts that are queued already are not called back by forgetting: `Forgotten.waiting` counts them; a word of opt-out
  given first withholds them. The roster's file is the hall's own: forget removes nobody from it.
- Every verb that changes something, and the export, writes one audit row, in which numbers are masked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from gateway import phone as phones
from gateway.config import Config
from gateway.errors import Conflict, NotFound, Refused
from gateway.model import Role
from gateway.roster.answers import (
    Consent,
    Forgotten,
    Imported,
    ImportReport,
    Missing,
    NumberState,
    Overview,
    Said,
    Subscriber,
    subscriber,
)
from gateway.roster.export import Export
from gateway.roster.listing import Listed, read_list
from gateway.roster.loading import SLICE, Loading, entry, loading
from gateway.roster.reading import PersonRow, Read, Summary
from gateway.roster.secret import Secret
from gateway.store import Connection, Store, audit, consent, numbers, retention
from gateway.store import rosters as rows
from gateway.worktime import Clock

__all__ = [
    "Consent",
    "Forgotten",
    "ImportReport",
    "Imported",
    "Listed",
    "Missing",
    "NumberState",
    "Overview",
    "Roster",
    "Said",
    "Subscriber",
]

Progress = Callable[[int, int | None], None]
"""Rows done, and of how many; None while they are still being counted."""

FOUND = 50
MISSING_SHOWN = 500
IMPORTS_SHOWN = 10
GATEWAY = "system"
"""The login under which the gateway itself acts; it needs no role."""


class By(Protocol):
    """Who acts: an official, as far as the roster asks."""

    @property
    def login(self) -> str: ...
    @property
    def area(self) -> str: ...
    def needs(self, *any_of: Role) -> None: ...
    def sees(self, area: str) -> bool: ...


def _may(by: By, *roles: Role) -> None:
    if by.login != GATEWAY:
        by.needs(*roles)


@dataclass(frozen=True, slots=True)
class _Target:
    """Whom to forget; `whole`: nobody else uses the number, so that all that is about it goes."""

    ids: tuple[int, ...]
    phones: tuple[str, ...]
    whole: bool


class Roster:
    """The verbs."""

    def __init__(self, store: Store, config: Config, clock: Clock, secret: bytes | None = None) -> None:
        """`secret`: the key for forgotten numbers, where it is not the site's own (`gateway.roster.secret`)."""
        self._store, self._config, self._clock = store, config, clock
        self._secret = Secret(config.directory, secret)

    # -- import ------------------------------------------------------------------------------------------------

    async def import_file(
        self,
        path: Path,
        *,
        by: By,
        roster: str | None = None,
        columns: Mapping[str, str] | None = None,
        sheet: str | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> ImportReport:
        """Take in a roster (named `roster`, else as the file). `columns`: key of `reading.WANTED` -> heading or letter.

        Raises NotFound, Refused for what is no roster, and sheets.Unsure where a person must choose; then nothing was
        changed. Conflict where the file changed while it was read; then it is to be imported again.
        """
        _may(by, Role.AUTHOR, Role.DIRECTOR, Role.ADMIN)
        report = ImportReport(roster or path.stem, dry_run)
        tell = progress or (lambda done, total: None)
        async with loading(path, columns, sheet) as file:
            await _count(file, report, tell)
            if dry_run:
                await self._rehearse(file, report, by, tell)
            else:
                await self._take_in(file, report, by, path.name, tell)
        return report

    async def _rehearse(self, file: Loading, report: ImportReport, by: By, tell: Progress) -> None:
        found: set[int] = set()
        done = 0
        async for piece in file.slices():
            entries = self._entries(piece, report, by)
            compared = await self._store.read(rows.compare, entries, file.given)
            _add(report, compared)
            found.update(compared.found)
            done += len(piece)
            tell(done, report.rows)
        gone = [one for one in await self._store.read(rows.of_roster, report.roster) if one.id not in found]
        _set_missing(report, len(gone), gone[:MISSING_SHOWN])

    async def _take_in(self, file: Loading, report: ImportReport, by: By, name: str, tell: Progress) -> None:
        import_id = await self._store.write(rows.begin, report.roster, file.sha256, by.login, self._clock.now())
        some_forgotten = await self._store.read(rows.any_forgotten)
        done = 0
        async for piece in file.slices():
            entries = self._entries(piece, report, by)
            hmacs = self._hmacs(entries) if some_forgotten else {}
            take = partial(self._take, import_id=import_id, report=report, given=file.given, by=by)
            compared, returned = await self._store.write(take, entries, hmacs)
            _add(report, compared)
            report.returned += returned
            done += len(piece)
            tell(done, report.rows)
        await file.check_unchanged()
        count, gone = await self._store.read(rows.missing, report.roster, import_id, MISSING_SHOWN)
        _set_missing(report, count, gone)
        await self._store.write(self._finish, import_id, report, by, {"file": name, "sha256": file.sha256})

    def _take(
        self,
        db: Connection,
        entries: Sequence[rows.Entry],
        hmacs: Mapping[str, str],
        *,
        import_id: int,
        report: ImportReport,
        given: Collection[str],
        by: By,
    ) -> tuple[rows.Compared, int]:
        now = self._clock.now()
        returned = rows.come_back(db, hmacs, by.login, now) if hmacs else 0
        return rows.take(db, import_id, report.roster, entries, given, now), returned

    def _finish(self, db: Connection, import_id: int, report: ImportReport, by: By, source: Mapping[str, str]) -> None:
        now = self._clock.now()
        counts = {**report.as_dict(), "rejected": len(report.rejected)}
        rows.finish(db, import_id, counts, now)
        audit.append(db, now, by.login, "roster.import", f"roster {report.roster}", {**source, **counts})

    def _entries(self, piece: Sequence[Read], report: ImportReport, by: By) -> list[rows.Entry]:
        entries = []
        for one in piece:
            if not isinstance(one, PersonRow):
                continue
            area = self._area_of(one.village, by)
            if area is None and one.village:
                report.unplaced[one.village] = report.unplaced.get(one.village, 0) + 1
            report.other_phones += len(one.other_phones)
            entries.append(entry(one, area or self._own_area(by)))
        return entries

    def _area_of(self, village: str, by: By) -> str | None:
        codes = [code for code in self._config.area_codes(village) if by.sees(code)]
        return codes[0] if len(codes) == 1 else None

    def _own_area(self, by: By) -> str:
        return by.area if by.area.startswith(self._config.site.area) else self._config.site.area

    def _hmacs(self, entries: Sequence[rows.Entry]) -> dict[str, str]:
        numbers = {one["phone"] for one in entries if one["phone"]}
        return {self._secret.hmac(number, may_create=False): number for number in numbers}

    # -- looking up --------------------------------------------------------------------------------------------

    async def listed(self, path: Path, columns: Mapping[str, str] | None = None, sheet: str | None = None) -> Listed:
        """Whom a list file names: `(phone, name) in listed`."""
        return await asyncio.to_thread(read_list, path, columns, sheet)

    async def find(self, text: str, *, by: By | None = None) -> list[Subscriber]:
        """The first people with this number, their own or their taker's, or with this text in their name."""
        number = phones.parse(text).e164
        name = "".join(text.split())
        if not name:
            return []
        area = by.area if by else ""
        return [subscriber(row) for row in await self._store.read(rows.find, number, name, area, FOUND)]

    async def show(self, *, by: By | None = None) -> Overview:
        """Who is in the rosters, by roster and village, and the last imports."""
        return await self._store.read(_overview, by.area if by else "")

    async def export(self, path: Path, *, by: By, area: str = "") -> int:
        """Write the people of an area to a new .xlsx or .csv, as the import reads it; answers how many.

        Refused for another ending, Conflict where the file exists, NotFound for an area outside the official's sight.
        """
        _may(by, Role.DIRECTOR, Role.ADMIN)
        wanted = area or by.area
        if not by.sees(wanted):
            raise NotFound(f"没有区划 {area}，或不归您管", f"no such area, or not yours: {area}")
        export = await asyncio.to_thread(Export, path)
        try:
            people = await self._write_out(export, wanted)
            await asyncio.to_thread(export.finish)
            await self._store.write(self._audit, by, "roster.export", f"area {wanted}", {"people": people})
            await asyncio.to_thread(export.keep)
        finally:
            export.throw_away()
        return people

    async def _write_out(self, export: Export, area: str) -> int:
        people, after = 0, None
        while page := await self._store.read(rows.export_page, area, after, SLICE):
            await asyncio.to_thread(export.write, page)
            people += len(page)
            last = page[-1]
            after = (last.area, last.village, last.grp, last.id)
        return people

    # -- numbers -----------------------------------------------------------------------------------------------

    async def number(self, phone: str) -> NumberState | None:
        """What operators said of a number since somebody confirmed it last; None where `phone` is none."""
        found = phones.parse(phone).e164
        return None if found is None else await self._store.read(_number_state, found)

    async def confirm(self, phone: str, *, by: By, how: str) -> None:
        """The number is whose the roster says: personal texts go to it again. Refused for no number."""
        _may(by, Role.CLERK, Role.AUTHOR, Role.DIRECTOR, Role.ADMIN)
        number = _number(phone)

        def keep(db: Connection) -> None:
            now = self._clock.now()
            numbers.confirm(db, number, by.login, how, now)
            self._audit(db, by, "roster.confirm", f"number {phones.mask(number)}", {"how": how})

        await self._store.write(keep)

    # -- consent -----------------------------------------------------------------------------------------------

    async def set_consent(
        self, phone: str, category: str | None, state: Literal["in", "out"], *, by: By, source: str, wording: str
    ) -> int:
        """Add one word to the ledger, about one category or (None) all; answers its id. Refused for no number.

        `source`: how it was said (counter, letter, call ...); `wording`: in which words.
        """
        _may(by, Role.CLERK, Role.AUTHOR, Role.DIRECTOR, Role.ADMIN)
        number = _number(phone)

        def add(db: Connection) -> int:
            now = self._clock.now()
            key = consent.append(db, number, category, state, source=source, wording=wording, by=by.login, at=now)
            what = {"category": category, "state": state, "source": source}
            self._audit(db, by, "roster.consent", f"number {phones.mask(number)}", what)
            return key

        return await self._store.write(add)

    async def history(self, phone: str) -> list[Consent]:
        """Every word this number said, oldest first."""
        words = await self._store.read(consent.history, _number(phone))
        return [Consent(row.category, row.state, row.source, row.wording, row.by, row.at) for row in words]

    # -- forgetting --------------------------------------------------------------------------------------------

    async def forget(self, phone: str, name: str | None = None, *, by: By, village: str = "") -> Forgotten:
        """Remove a person, or without `name` everybody on a number; `phone` "" is somebody who has none.

        `village` tells namesakes without a number apart; Conflict where it is needed.
        NotFound where there is nobody, or nobody the official may see. Run again after a crash it goes on.
        """
        _may(by, Role.DIRECTOR, Role.ADMIN)
        number = _number(phone) if phone else None
        target = await self._store.read(self._target, number, name, village, by)
        phone_hmac = await self._hmac_for(number) if number and target.whole else None
        removed = await self._blank(target)
        now = self._clock.now()
        people, words = await self._store.write(self._remove, number, name, village, by, phone_hmac, removed, now)
        kept = await self._store.read(retention.kept_of, number) if number and target.whole else None
        return self._forgotten(people, removed, kept, words, now)

    def _target(self, db: Connection, number: str | None, name: str | None, village: str, by: By) -> _Target:
        if number is None:
            found = rows.without_number(db, name or "", village)
            if len(found) > 1:
                raise Conflict(f"叫 {name} 的不止一人，请指明村", f"several people are called {name}: name the village")
            return _target_of([row for row in found if by.sees(row.area)], [], whole=False)
        users = rows.users(db, number)
        own = [row for row in users if row.phone == number and name in (None, row.name)]
        if not all(by.sees(row.area) for row in own) or (name is not None and not own):
            raise _nobody()
        others = [] if name is None else [row for row in users if row not in own]
        if not users and not _anything(retention.kept_of(db, number)):
            raise _nobody()
        return _target_of(own, [number], whole=not others)

    async def _hmac_for(self, number: str) -> str:
        may_create = not await self._store.read(rows.any_forgotten)
        return await asyncio.to_thread(self._secret.hmac, number, may_create=may_create)

    async def _blank(self, target: _Target) -> dict[str, int]:
        """Whatever is old enough, in slices, before the people go: till then it is known which texts were theirs."""
        cutoff = self._clock.now() - timedelta(days=self._config.retention.texts_days)
        ids = None if target.whole else target.ids
        removed: dict[str, int] = {}
        swept = retention.Swept()
        while not swept.done:
            swept = await self._store.write(
                retention.blank_number, target.phones, ids, cutoff, swept.after, retention.SLICE
            )
            for kind, count in swept.counts.items():
                removed[kind] = removed.get(kind, 0) + count
        number = target.phones[0] if target.whole else None
        left = await self._store.read(rows.left_out_rows, target.ids, number)
        for at in range(0, len(left), SLICE):
            await self._store.write(retention.blank_left_out, left[at : at + SLICE])
        return removed | {"left_out": len(left)}

    def _remove(
        self,
        db: Connection,
        number: str | None,
        name: str | None,
        village: str,
        by: By,
        phone_hmac: str | None,
        removed: Mapping[str, int],
        now: datetime,
    ) -> tuple[int, list[rows.Word]]:
        target = self._target(db, number, name, village, by)
        rows.remove(db, target.ids, target.phones)
        words: list[rows.Word] = []
        if number and phone_hmac and target.whole:
            words = rows.let_number_go(db, number, phone_hmac, now)
        about = f"number {phones.mask(number)}" if number else "a person without a number"
        self._audit(db, by, "roster.forget", about, {"people": len(target.ids), **removed, "optouts": len(words)})
        return len(target.ids), words

    def _forgotten(
        self,
        people: int,
        removed: Mapping[str, int],
        kept: retention.Kept | None,
        words: Sequence[rows.Word],
        now: datetime,
    ) -> Forgotten:
        if kept is None:
            return Forgotten(people, removed, {}, None, 0, words)
        counts = {kind: getattr(kept, kind) for kind in ("messages", "inbound", "cases", "consent")}
        since = [kept.newest] if kept.newest else []
        since += [now] if kept.consent or kept.cases else []
        last = max(since, default=None)
        until = last and last + timedelta(days=self._config.retention.texts_days)
        day = until.astimezone(self._config.site.zone).date() if until else None
        return Forgotten(people, removed, {k: n for k, n in counts.items() if n}, day, kept.waiting, words)

    # -- retention ---------------------------------------------------------------------------------------------

    async def sweep(self, *, by: By) -> dict[str, int]:
        """Blank everything older than the site keeps it, in slices; answers counts by `retention.KINDS`."""
        _may(by, Role.DIRECTOR, Role.ADMIN)
        now, days = self._clock.now(), self._config.retention
        totals = dict.fromkeys(retention.KINDS, 0)
        swept = retention.Swept(after=await self._store.read(retention.begin, now, days.texts_days))
        while not swept.done:
            swept = await self._store.write(
                retention.sweep, now, days.texts_days, days.receipts_days, retention.SLICE, swept.after
            )
            for kind, count in swept.counts.items():
                totals[kind] += count
        if any(totals.values()):
            await self._store.write(self._audit, by, "db.sweep", "retention", totals)
        return totals

    def _audit(self, db: Connection, by: By, verb: str, about: str, what: Mapping[str, Any]) -> None:
        audit.append(db, self._clock.now(), by.login, verb, about, what)


async def _count(file: Loading, report: ImportReport, tell: Progress) -> None:
    """Read the whole file once: what it holds, and that it can be read to its end."""
    summary = Summary()
    async for piece in file.slices():
        for one in piece:
            summary.add(one)
        tell(summary.rows, None)
    for name in ("rows", "importable", "duplicates", "shared", "rejected"):
        setattr(report, name, getattr(summary, name))


def _add(report: ImportReport, compared: rows.Compared) -> None:
    report.new += len(compared.new)
    report.updated += len(compared.changed)
    report.unchanged += len(compared.same)


def _set_missing(report: ImportReport, count: int, gone: Sequence[Any]) -> None:
    report.missing_count = count
    report.missing = [Missing(row.id, row.name, row.village) for row in gone]


def _target_of(people: Sequence[Any], numbers: Sequence[str], *, whole: bool) -> _Target:
    if not people and not numbers:
        raise _nobody()
    theirs = [row.phone or row.taker_phone for row in people]
    known = dict.fromkeys(number for number in (*numbers, *theirs) if number)
    return _Target(tuple(row.id for row in people), tuple(known), whole)


def _anything(kept: retention.Kept) -> bool:
    return bool(kept.messages or kept.inbound or kept.cases or kept.consent)


def _nobody() -> NotFound:
    return NotFound("没有这个人，或不归您管", "there is no such person, or not in your area")


def _number(text: str) -> str:
    """E.164 of what somebody typed; Refused with the reason."""
    parsed = phones.parse(text)
    if parsed.e164 is None:
        raise Refused(*phones.explain(parsed.reason or "not_digits"))
    return parsed.e164


def _number_state(db: Connection, number: str) -> NumberState:
    signs = [Said(row.day, row.code, row.carrier, row.disputed, row.void) for row in numbers.signs_of(db, number)]
    known = numbers.confirmed(db, number)
    return NumberState(
        number,
        numbers.is_dead(db, number),
        consent.is_blocked(db, number),
        signs,
        known and known.by,
        known and known.how,
        known and known.at,
    )


def _overview(db: Connection, area: str) -> Overview:
    total = rows.totals(db, area)
    return Overview(
        total.people,
        total.numbers,
        total.without_number,
        total.away,
        rows.per(db, "roster", area),
        rows.per(db, "village", area),
        [
            Imported(row.roster, row.by, row.started_at, row.finished_at, row.counts)
            for row in rows.imports(db, IMPORTS_SHOWN)
        ],
    )
