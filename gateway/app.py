"""The composition root: builds a `Gateway` from a site's directory and opens it.

Policy
- Nothing is read or opened at import. `open_gateway` reads and checks the site's files, opens the database (a new one
  gets its tables; an old one is refused until `gateway db upgrade`), and wires the modules together.
- Console, API and CLI speak to the verbs of `Gateway` and hold no rule of their own.
- Sending is a part that one may leave out: `Gateway.serving()` runs it; without it, verbs only queue.
- While the clock is behind what was stored last (a dead clock battery), nothing is sent and no slot runs.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from gateway import carriers, config, duty, templates
from gateway.alarms import Alarms
from gateway.answers import Answers
from gateway.broadcasts import Broadcasts
from gateway.broadcasts.riding import Riders
from gateway.broadcasts.screening import Screening
from gateway.broadcasts.watch import Watch
from gateway.carriers import Call, Carrier, Links, Reply
from gateway.cases import Cases
from gateway.codes import Stage
from gateway.config import Carrier as Account
from gateway.config import Config
from gateway.dispatch import Bounds, Dispatcher, Pace, Setup
from gateway.doctor import Examination, Finding, Patient
from gateway.duty import Duty
from gateway.errors import Invalid, NotFound, Problem, Refused
from gateway.health import HOUR, LOOKED_AT, Health, Marks, measure
from gateway.inbox import Inbox, topics_of
from gateway.officials import SYSTEM, Officials
from gateway.outbox import Outbox
from gateway.reports import Reports
from gateway.reports.bills import Bills
from gateway.roster import Roster
from gateway.schedule import Schedules, recurrence
from gateway.scores import Scores
from gateway.store import Store, audit, migrations, open_store, parcels, usage
from gateway.store.numbers import Signs
from gateway.store.receipts import Recent
from gateway.store.retrying import Retry
from gateway.templates import Template
from gateway.text import Cutting
from gateway.triage import Triage
from gateway.worktime import Calendar, Clock, SystemClock

log = structlog.get_logger()

CLOCK_PAUSE_SECONDS = 5.0
LISTS_SECONDS = 60.0
ALARMS_SECONDS = 60.0
WATCH_SECONDS = 2.0
SWEEP_SECONDS = 24 * 3600.0


class Gateway:
    """All nouns of one site. Its attributes hold the verbs."""

    def __init__(self, site: Config, notices: Mapping[str, Template], store: Store, clock: Clock) -> None:
        self.config, self.templates, self.store, self.clock = site, notices, store, clock
        self.zone: ZoneInfo = site.site.zone
        self.calendar = Calendar(site.calendar.off, site.calendar.on)
        self.recent = Recent()
        self.dispatcher: Dispatcher | None = None
        self._protocols = protocols(site)
        self.outbox = Outbox(site, cuttings(self._protocols))
        self.officials = Officials(store, clock)
        self.roster = Roster(store, site, clock)
        self.duty = Duty(site, self.outbox, notices, clock)
        self.cases = Cases(store, site, notices, self.outbox, self.duty, clock)
        self.alarms = Alarms(store, site, self.cases, self.duty, clock, self._queued)
        self.broadcasts = Broadcasts(
            store, site, notices, self.outbox, self.roster, clock, self._queued, self._objection
        )
        self.riders = Riders(store, clock)
        self.screening = Screening(store, site, self.duty, clock, self._queued)
        self.watch = Watch(store, site, notices, self.duty, clock, self._queued)
        self.reports = Reports(store, site, notices, self.outbox, clock, self._queued)
        self.bills = Bills(store, site)
        self.scores = Scores(store, site, clock)
        self.answers = Answers(site, self.cases)
        own = [account.service_code for account in site.carriers.values() if account.service_code]
        self.inbox = Inbox(store, site, notices, self.cases, self.answers, self.triage, clock, self.recent, own)
        self.schedules = Schedules(store, site, notices, self.broadcasts, clock, self.calendar)

    def triage(self) -> Triage:
        """What reads texts with the site's words and sample questions; made once in a process, which takes a second."""
        return Triage.of(self.config, topics_of(self.templates.values()))

    def _queued(self) -> None:
        if self.dispatcher is not None:
            self.dispatcher.look_again()

    def _objection(self, name: str, body: str) -> tuple[str, str] | None:
        """Why the account's protocol would refuse a signed body."""
        kind, settings = self._protocols[name]
        return kind.objection(settings, body)

    @contextlib.asynccontextmanager
    async def dispatching(self) -> AsyncIterator[Dispatcher]:
        """Hold the accounts of the site for the length of an `async with`."""
        setups = [self._setup(name) for name in self.config.carriers]
        dispatcher = Dispatcher(
            self.store, setups, clock=self.clock, zone=self.zone, recent=self.recent, receive=self.inbox.receive
        )
        async with dispatcher.running():
            self.dispatcher = dispatcher
            try:
                yield dispatcher
            finally:
                self.dispatcher = None

    def _setup(self, name: str) -> Setup:
        account, retries = self.config.carriers[name], self.config.dispatch
        return Setup(
            name=name,
            make=lambda links: make_carrier(self.config, name, links),
            pace=Pace(
                rate=account.rate,
                relogin_seconds=account.relogin_seconds,
                retry_seconds=retries.retry_seconds,
                max_attempts=retries.max_attempts,
            ),
            onward=self.outbox.onward(name),
            receipts=account.receipts,
            marks=_marks(self.config),
            means=partial(_kind_of_code, self.config, name),
            retry=Retry(partial(self.config.tries_again, name), retries.receipt_retry),
            signs=Signs(partial(self.config.says_of_number, name), self.zone),
            bounds=_bounds(account),
            bought=account,
        )

    @contextlib.asynccontextmanager
    async def handling(self) -> AsyncIterator[None]:
        """Answer texts that come in, for the length of an `async with`."""
        task = asyncio.create_task(self.inbox.run())
        try:
            yield
            await self.inbox.handle_waiting()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    @contextlib.asynccontextmanager
    async def keeping_house(self) -> AsyncIterator[None]:
        """Broadcasts that are refused pause; officers and clerks are told, points counted, what is old is masked."""
        tasks = [
            asyncio.create_task(self._now_and_then(WATCH_SECONDS, self.watch.run_due)),
            asyncio.create_task(self._now_and_then(ALARMS_SECONDS, self.screening.run_due)),
            asyncio.create_task(self._now_and_then(ALARMS_SECONDS, self.alarms.run_due)),
            asyncio.create_task(self._now_and_then(LISTS_SECONDS, self.reports.run_due)),
            asyncio.create_task(self._now_and_then(SWEEP_SECONDS, self._sweep)),
            asyncio.create_task(self._now_and_then(SWEEP_SECONDS, self.scores.run_due)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _now_and_then(self, seconds: float, act: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await act()
            except Exception as error:
                log.exception("housekeeping.failed", error=type(error).__name__)
            await asyncio.sleep(seconds)

    async def _sweep(self) -> None:
        await self.roster.sweep(by=SYSTEM)

    async def carriers(self) -> list[dict[str, Any]]:
        """Each account with its numbers: those of the process that holds it, and its health by what the store says."""
        waiting = await self.waiting()
        live = await self.store.read(parcels.living, self.clock.now())
        return [
            {"name": name, "waiting": waiting[name], "live": live.get(name), "health": await self._health(name)}
            for name in self.config.carriers
        ]

    async def stranded(self) -> dict[str, int]:
        """Texts that wait for accounts which config.toml no longer has, by account."""
        waiting = await self.store.read(parcels.waiting)
        return {name: texts for name, texts in waiting.items() if texts and name not in self.config.carriers}

    async def _health(self, name: str) -> Health:
        now = self.clock.now()
        sent = await self.store.read(usage.newest, name, now - HOUR, LOOKED_AT)
        return measure(sent, now, _marks(self.config), partial(_kind_of_code, self.config, name))

    async def examine(
        self, name: str, number: str | None, by: str, *, told: Callable[[Finding], None], wait: float
    ) -> Sequence[Finding]:
        """Try one account alone; with a text to `number` (E.164) and back where one is given."""
        if name not in self.config.carriers:
            known = "、".join(self.config.carriers)
            raise NotFound(f"没有账号 {name}；有：{known}", f"no account {name}; there are: {known}")
        patient = Patient(
            bought=self.config.carriers[name],
            make=lambda links: make_carrier(self.config, name, links),
            receive=self.inbox.receive,
            means=partial(self.config.meaning, name),
        )
        return await Examination(self.store, self.outbox, self.clock, patient, told=told, wait=wait).run(number, by)

    async def waiting(self) -> Mapping[str, int]:
        """Texts that are approved and have not left, by account."""
        found = await self.store.read(parcels.waiting)
        return {name: found.get(name, 0) for name in self.config.carriers}

    async def audit_verify(self) -> tuple[int, list[audit.Flaw]]:
        """The number of audit rows and every place where their chain does not hold."""
        return await self.store.read(audit.verify)

    async def wait_for_clock(self) -> None:
        """Return when the clock can be believed, or a person has said so."""
        while await self.schedules.clock_behind():
            log.error("clock.behind", hint="gateway schedule confirm-clock")
            await asyncio.sleep(CLOCK_PAUSE_SECONDS)


def _marks(site: Config) -> Marks:
    bounds = site.dispatch
    return Marks(
        late_after=timedelta(minutes=bounds.late_minutes),
        late_share=bounds.late_share,
        failing_share=bounds.failing_share,
        failing_of=bounds.failing_of,
    )


def _bounds(account: Account) -> Bounds:
    return Bounds(
        per_minute=account.recipient_per_minute,
        per_day=account.recipient_per_day,
        same_per_minute=account.same_per_minute,
        same_per_hour=account.same_per_hour,
    )


def _kind_of_code(site: Config, name: str, stage: Stage, code: str) -> str:
    return site.meaning(name, stage, code).kind


def make_carrier(site: Config, name: str, links: Links) -> Carrier:
    """A site's account, closed; Invalid where its table does not fit the protocol."""
    account = site.carriers[name]
    kind = _protocol(name, account.protocol)
    return kind(name, _own_settings(site, kind, account, account.with_secrets()), links)


Protocols = Mapping[str, tuple[type[Carrier], Any]]


def protocols(site: Config) -> Protocols:
    """Each account's protocol with its settings, secrets made up: for all that can be asked without a login."""
    kinds = {name: _protocol(name, account.protocol) for name, account in site.carriers.items()}
    accounts = site.carriers
    return {
        name: (kind, _own_settings(site, kind, accounts[name], accounts[name].with_secrets_made_up()))
        for name, kind in kinds.items()
    }


def cuttings(known: Protocols) -> Mapping[str, Cutting]:
    """How each account cuts long texts."""
    return {name: kind.cutting(settings) for name, (kind, settings) in known.items()}


Called = Callable[[Call, datetime], Reply]


def callbacks(site: Config) -> Mapping[str, Called | Refused]:
    """What translates the callbacks of each account that has any; Refused where its secrets are not set."""
    return {name: _called(site, name) for name, account in site.carriers.items() if _has_callbacks(name, account)}


def _has_callbacks(name: str, account: Account) -> bool:
    return _protocol(name, account.protocol).called.__func__ is not Carrier.called.__func__  # type: ignore[attr-defined]


def _called(site: Config, name: str) -> Called | Refused:
    account = site.carriers[name]
    kind = _protocol(name, account.protocol)
    try:
        return partial(kind.called, _own_settings(site, kind, account, account.with_secrets()))
    except Refused as error:
        return error


SHARED = (
    *("in_flight", "links", "rate", "signature_place", "service_code", "extension", "receipts", "content_limit"),
    *("relogin_seconds", "validity", "codes"),
)
"""Keys of an account that its protocol is told where it has a setting of that name; `validity` in seconds."""


def _own_settings(site: Config, kind: type[Carrier], account: Account, options: Mapping[str, Any]) -> Any:
    """The protocol's Settings; Invalid where the account's table does not fit them."""
    signature = {"signature": site.site.signature} if carriers.takes(kind, "signature") else {}
    return carriers.settings_of(kind, account.name, {**signature, **dict(_shared(kind, account)), **options})


def _shared(kind: type[Carrier], account: Account) -> Iterator[tuple[str, Any]]:
    for key in SHARED:
        value = getattr(account, key)
        if carriers.takes(kind, key) and value not in (None, ""):
            yield key, value.total_seconds() if isinstance(value, timedelta) else value


def _protocol(name: str, protocol: str) -> type[Carrier]:
    try:
        return carriers.load(protocol)
    except ModuleNotFoundError as error:
        raise Refused(
            f"通道 {name}：没有协议 {protocol}；有哪些见 docs/carriers.md",
            f"carrier {name}: no protocol {protocol}; docs/carriers.md lists them",
        ) from error


def check_site(directory: Path) -> tuple[Config, Mapping[str, Template]]:
    """Read and check everything a site's files say; Invalid with all problems at once."""
    problems: list[Problem] = []
    site: Config | None = None
    notices: Mapping[str, Template] = {}
    try:
        site = config.load(directory)
    except Invalid as error:
        problems += error.problems
    try:
        notices = templates.load(directory / "templates")
    except Invalid as error:
        problems += error.problems
    if site is not None:
        problems += _cross_check(site, notices)
    if problems or site is None:
        raise Invalid(problems)
    return site, notices


def _cross_check(site: Config, notices: Mapping[str, Template]) -> list[Problem]:
    found: list[Problem] = []
    if notices:  # else one broken template would have all the others missed as well
        found += templates.check_all(notices, site)
        categories = {template.category for template in notices.values()}
        found += config.check_references(site, [n for n, t in notices.items() if not t.is_service], categories)
    found += _check_schedules(site)
    found += duty.check(site)
    for name, account in site.carriers.items():
        try:
            kind = _protocol(name, account.protocol)
            _own_settings(site, kind, account, account.with_secrets_made_up())
        except Invalid as error:
            found += error.problems
        except Refused as error:
            found.append(Problem("config.toml", f"carriers.{name}.protocol", None, error.zh, error.en))
    return found or list(_cut_alike(site))


def _cut_alike(site: Config) -> Iterator[Problem]:
    """A text moves between the carriers of a route as it is, so they must cut it alike."""
    cut = cuttings(protocols(site))
    for n, route in enumerate(site.routes, 1):
        first = route.carriers[0]
        others = [name for name in route.carriers if cut[name] != cut[first]]
        if others:
            zh = f"{'、'.join(others)} 的编码或长短信拆法和 {first} 不同；改成一样（alphabet、long），或者分开写路由"
            en = f"{', '.join(others)} encode or cut long texts unlike {first}; make them alike or part the route"
            yield Problem(config.FILE, f"routes[{n}].carriers", None, zh, en)


def _check_schedules(site: Config) -> Iterator[Problem]:
    """Schedules whose words make no due time: better said here than when `serve` starts."""
    calendar = Calendar(site.calendar.off, site.calendar.on)
    lines = site.sources[config.FILE].splitlines()
    for schedule in site.schedules:
        try:
            recurrence(schedule, site.site.zone, calendar)
        except Refused as error:
            line = next((n for n, text in enumerate(lines, 1) if schedule.cron and schedule.cron in text), None)
            yield Problem(config.FILE, f"schedules.{schedule.name}", line, error.zh, error.en)


@contextlib.asynccontextmanager
async def open_gateway(
    directory: Path, clock: Clock | None = None, adapt: Callable[[Config], Config] = lambda site: site
) -> AsyncIterator[Gateway]:
    """The gateway of a site's directory, closed again at the end; `adapt` changes its settings for a rehearsal."""
    site, notices = check_site(directory)
    site = adapt(site)
    url = site.database_url()
    store = open_store(url)
    try:
        await ready(store, url)
        yield Gateway(site, notices, store, clock or SystemClock())
    finally:
        await store.close()


async def ready(store: Store, url: str) -> None:
    """A new database gets its tables; one of another version is Refused."""
    if await store.read(migrations.is_current):
        return
    if not await store.read(migrations.is_empty):
        raise Refused(
            "数据库是旧版本的，请先运行 gateway db upgrade",
            "the database is of an older version: run gateway db upgrade",
        )
    await asyncio.to_thread(migrations.upgrade, url)
