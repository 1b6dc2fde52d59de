"""Reports: what became of a broadcast, and whom it left behind.

Policy
- A report of one broadcast reads rows, in one snapshot, and counts them itself: its figures agree with each other, and
  with the broadcast's counters once those are counted anew. It writes nothing.
- A report of a period reads the counters, in one statement, after having them counted anew. Its days are the site's,
  both ends included.
- A code is told with what it means on the account that gave it (`gateway.codes`). A long text of which a part failed
  counts as failed, though another arrived: the phone shows a piece of it. Without a receipt in `SILENT_AFTER` a text
  is unknown, and is never sent again.
- The list of those left behind has everybody of the audience whom no text is known to have reached, once: who got no
  text (no number, opted out, no account for the operator, a row that could not be paid) and whose text was not
  delivered, was lost in doubt or has no receipt. Two people on one number were both reached if its text was.
- It is due 24 hours after a broadcast was to leave, 10 minutes after a warning or an emergency. Then each village's
  clerk is told once, by text, names only: why somebody was not reached is nobody's business but the hall's.
- Printed, numbers are masked. A cell of a spreadsheet is always text, whatever a name begins with.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

import structlog

from gateway import payouts, phone
from gateway.codes import Kind, Stage
from gateway.config import Config
from gateway.errors import Conflict, NotFound, Refused
from gateway.health import Sent
from gateway.model import BroadcastState, LeftOut, Outcome, Priority, ReceiptState, Role, TextState
from gateway.officials import SYSTEM, Official
from gateway.outbox import Outbox
from gateway.reports.printed import LeftBehind, LeftBehindRow
from gateway.reports.suspicion import suspicions
from gateway.roster import reading
from gateway.store import Connection, Store, audit, counting, riding, usage
from gateway.store import broadcasts as broadcast_rows
from gateway.store import reports as rows
from gateway.store.counting import COUNTED
from gateway.store.riding import Told as Receipts
from gateway.templates import Template
from gateway.worktime import ONE_DAY, Clock

__all__ = [
    "FIGURES",
    "BroadcastReport",
    "CodeCount",
    "Failure",
    "LeftBehind",
    "LeftBehindRow",
    "PeriodReport",
    "PeriodRow",
    "Probe",
    "Reports",
    "Stages",
    "Told",
    "explain",
]

log = structlog.get_logger()

DUE_AFTER: Final = timedelta(hours=24)
WARNING_DUE_AFTER: Final = timedelta(minutes=10)
SILENT_AFTER: Final = timedelta(hours=72)
"""So long an operator may take for its receipt; what has none by then is unknown, and is never sent again."""

LOOKED_AT: Final = 2000
CLERK_PARTS: Final = 3
"""Billed parts of the text to a clerk; a longer list of names is cut."""

REASONS: Final[Mapping[str, tuple[str, str]]] = {
    LeftOut.OPTED_OUT: ("已退订", "opted out"),
    "list:not_among": ("名单上有，花名册里没有或不合其他条件", "on the list, but not in the roster or not chosen"),
    LeftOut.NO_NUMBER: ("没有手机号码", "has no phone"),
    LeftOut.DEAD: ("号码可能已换人，等核实", "the number may be somebody else's by now, to be confirmed"),
    LeftOut.GOT_BEFORE: ("已收到改写前的那条", "got the text that this one replaces"),
    LeftOut.NO_ROUTE: ("没有通道能到这家运营商", "no account reaches the operator"),
    LeftOut.MISSING_FIELD: ("缺少要填的内容", "a value is missing"),
    TextState.WAITING: ("还没有发出", "not sent yet"),
    TextState.ACCEPTED: ("已交运营商，没有回执", "with the operator, no receipt"),
    rows.SILENT: ("72小时没有回执，结果不明", "no receipt in 72 hours: unknown"),
    rows.INCOMPLETE: ("收到不全（长短信缺了一段）", "arrived in part"),
    TextState.UNDELIVERED: ("没有送达（停机、关机或空号）", "not delivered"),
    TextState.REJECTED: ("运营商不收", "rejected by the operator"),
    TextState.UNCERTAIN: ("是否发出不明", "may or may not have left"),
    TextState.WITHHELD: ("发出前已退订", "opted out before it left"),
    TextState.EXPIRED: ("过了有效期没有发出", "expired before it left"),
    TextState.CANCELLED: ("群发已取消", "the broadcast was cancelled"),
}

FAILED: Final = frozenset({TextState.UNDELIVERED, TextState.REJECTED, TextState.UNCERTAIN})
"""States for which an operator or a carrier gives a code."""


def explain(reason: str) -> tuple[str, str]:
    """Why somebody was not reached, as (zh, en); KeyError for another word."""
    kind, _, detail = reason.partition(":")
    if kind == "payout":
        return payouts.explain(detail)
    return reading.explain(detail) if kind == "list" and reason not in REASONS else REASONS[reason]


# -- one broadcast ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stages:
    """When each stage happened; None for what has not."""

    drafted: datetime
    composed: datetime | None
    approved: datetime | None
    first_left: datetime | None
    last_left: datetime | None
    last_receipt: datetime | None


@dataclass(frozen=True, slots=True)
class Failure:
    """How many texts ended in this state with this error code ("" where none was given), and what it means.

    `state` is a TextState, or "incomplete" where a part of a long text arrived. `kind` is that of `gateway.codes`.
    """

    state: str
    error: str
    texts: int
    kind: str = ""
    zh: str = ""
    en: str = ""


@dataclass(frozen=True, slots=True)
class CodeCount:
    """A code that an account's operator gave of late: at which stage (submit, receipt), for how many parts, and why."""

    account: str
    stage: str
    code: str
    parts: int
    kind: Kind
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Probe:
    """One of the hall's own phones: what the operator says, and what the person says who holds it (None: nothing)."""

    phone: str
    state: str
    parts: int
    cost: Decimal
    got: bool | None


@dataclass(frozen=True, slots=True)
class BroadcastReport:
    """What became of a broadcast. Counts are of texts by state, but for `left_out`: people by reason.

    `silent`: those of the accepted ones whose receipt did not come in time, so that nobody knows what became of them.

    `people` and `texts`, `parts` (billed) and `cost` in the site's currency are those that were approved.
    """

    id: int
    title: str
    template: str
    state: str
    author: str
    approver: str | None
    people: int
    texts: int
    parts: int
    cost: Decimal
    stages: Stages
    by_state: Mapping[str, int]
    silent: int
    by_village: Mapping[str, Mapping[str, int]]
    by_operator: Mapping[str, Mapping[str, int]]
    failures: Sequence[Failure]
    left_out: Mapping[str, int]
    test_phones: Sequence[Probe] = ()
    """The hall's own phones that rode along; in none of the counts above, nor in the cost."""
    suspicions: Sequence[tuple[str, str]] = ()
    """What is odd about the receipts, in Chinese and English."""


class _Tally:
    """Counts texts slice by slice."""

    def __init__(self, config: Config, now: datetime) -> None:
        self._config, self._silent_before = config, now - SILENT_AFTER
        self.silent = 0
        self.told = Receipts(0, 0, 0)
        self.by_state: Counter[str] = Counter()
        self.by_village: dict[str, Counter[str]] = defaultdict(Counter)
        self.by_operator: dict[str, Counter[str]] = defaultdict(Counter)
        self.failures: Counter[tuple[str, rows.Given | None]] = Counter()
        self.moments: list[rows.Moments] = []

    def take(self, db: Connection, homes: dict[int, str]) -> None:
        codes, exact = rows.errors(db, homes), rows.states(db, homes, self._silent_before)
        self.moments.append(rows.moments(db, homes))
        self.told = Receipts(*map(sum, zip(self.told, riding.told(db, homes), strict=True)))
        for one in rows.texts(db, homes):
            self.by_state[one.state] += 1
            self.by_village[one.village][one.state] += 1
            self.by_operator[phone.operator(one.phone) or ""][one.state] += 1
            state = exact.get((one.key, one.attempt, one.state), one.state)
            self.silent += state == rows.SILENT
            if one.state in FAILED:
                self.failures[state, codes.get((one.key, one.attempt))] += 1

    def stages(self, drafted: datetime, composed: datetime | None, approved: datetime | None) -> Stages:
        firsts, lasts, receipts = zip(*self.moments, strict=True) if self.moments else ((), (), ())
        first_left = min(_known(firsts), default=None)
        return Stages(
            drafted,
            composed,
            approved,
            first_left,
            max(_known(lasts), default=None),
            max(_known(receipts), default=None),
        )

    def worst(self) -> list[Failure]:
        found: Counter[tuple[str, str, str, str, str]] = Counter()
        for (state, given), count in self.failures.items():
            found[state, *self._meaning(state, given)] += count
        ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        return [Failure(state, code, count, *said) for (state, code, *said), count in ordered]

    def _meaning(self, state: str, given: rows.Given | None) -> tuple[str, str, str, str]:
        """Code, kind, and a sentence in both languages; of what is in doubt the code is mostly our own word."""
        if given is None:
            return "", "", *REASONS[state]
        known = self._config.meaning(given.carrier, given.stage, given.code)
        said = REASONS[state] if state == TextState.UNCERTAIN and not known.known else (known.zh, known.en)
        return given.code, known.kind, *said


def _known(moments: Iterable[datetime | None]) -> Iterator[datetime]:
    return (moment for moment in moments if moment is not None)


# -- a period --------------------------------------------------------------------------------------------------

FIGURES: Final = ("people", "texts", "parts", "cost", *(state.value for state in COUNTED), "waiting")


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodRow:
    """A broadcast with what was approved (`people` to `cost`, in the site's currency) and its texts by state."""

    id: int
    title: str
    template: str
    category: str
    state: str
    author: str
    approver: str
    approved_at: datetime
    people: int
    texts: int
    parts: int
    cost: Decimal
    delivered: int
    accepted: int
    undelivered: int
    rejected: int
    uncertain: int
    withheld: int
    expired: int
    cancelled: int
    waiting: int


@dataclass(frozen=True, slots=True)
class PeriodReport:
    """The broadcasts approved from the day `first` to `last`, both included, and the sums of their `FIGURES`."""

    first: date
    last: date
    broadcasts: Sequence[PeriodRow]
    totals: Mapping[str, int | Decimal]


# -- the verbs -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """What `tell_clerks` did: villages whose clerk gets a text, and those without a clerk it could go to."""

    told: Mapping[str, int]
    untold: Mapping[str, int]
    """Village -> people ("" for those whose village nobody wrote down)."""


class Reports:
    """Reads what became of broadcasts, and tells the villages' clerks."""

    def __init__(
        self,
        store: Store,
        config: Config,
        templates: Mapping[str, Template],
        outbox: Outbox,
        clock: Clock,
        queued: Callable[[], None] = lambda: None,
    ) -> None:
        """`queued` is called after texts were queued in this process."""
        self._store, self._config, self._templates = store, config, templates
        self._outbox, self._clock, self._queued = outbox, clock, queued
        self._place = {area.name: at for at, area in reversed(list(enumerate(config.areas)))}

    async def broadcast(self, broadcast_id: int) -> BroadcastReport:
        """What became of it; NotFound."""
        return await self._store.read(self._broadcast, broadcast_id)

    def _broadcast(self, db: Connection, broadcast_id: int) -> BroadcastReport:
        row = _require(broadcast_rows.get(db, broadcast_id), broadcast_id)
        tally = _Tally(self._config, self._clock.now())
        for homes in rows.slices(db, broadcast_id):
            tally.take(db, homes)
        rides = riding.of_broadcast(db, broadcast_id)
        copied = ("id", "title", "template", "state", "author", "approver", "people", "texts", "parts", "cost")
        return BroadcastReport(
            **{name: getattr(row, name) for name in copied},
            stages=tally.stages(row.created_at, rows.composed_at(db, row), row.approved_at),
            by_state=dict(tally.by_state),
            silent=tally.silent,
            by_village={name: dict(tally.by_village[name]) for name in sorted(tally.by_village, key=self._order)},
            by_operator={name: dict(counts) for name, counts in sorted(tally.by_operator.items())},
            failures=tally.worst(),
            left_out=broadcast_rows.left_out_counts(db, broadcast_id),
            test_phones=[Probe(phone.mask(one.phone), one.state, one.parts, one.cost, one.got) for one in rides],
            suspicions=suspicions(tally.told, rides),
        )

    def _order(self, village: str) -> tuple[int, str]:
        """The site's own order of villages; those it does not know last."""
        return self._place.get(village, len(self._place)), village

    async def period(self, first: date | None, last: date | None, *, by: Official) -> PeriodReport:
        """What was approved in the official's sight; from the month's first where `first` is None, up to today.

        Refused where it would end before it begins.
        """
        zone = self._config.site.zone
        last = last or self._clock.now().astimezone(zone).date()
        first = first or last.replace(day=1)
        if first > last:
            raise Refused(f"起止日期反了：{first} 至 {last}", f"{first} is after {last}")
        start, end = (datetime.combine(day, time(), zone).astimezone(UTC) for day in (first, last + ONE_DAY))
        await counting.count_all(self._store)
        found = await self._store.read(rows.period, start, end, by.area)
        listed = [PeriodRow(**row._mapping) for row in found]
        totals = {name: sum(getattr(row, name) for row in listed) for name in FIGURES}
        return PeriodReport(first, last, listed, totals | {"cost": sum((row.cost for row in listed), Decimal(0))})

    async def codes(self, within: timedelta = timedelta(days=1)) -> list[CodeCount]:
        """What operators gave as reasons for the newest `LOOKED_AT` parts of each account, the most frequent first."""
        since, found = self._clock.now() - within, list[CodeCount]()
        for name in self._config.carriers:
            given: Counter[tuple[Stage, str]] = Counter()
            for one in await self._store.read(usage.newest, name, since, LOOKED_AT):
                given.update(_codes_of(one))
            found += [self._counted(name, *key, parts) for key, parts in given.most_common()]
        return found

    def _counted(self, account: str, stage: Stage, code: str, parts: int) -> CodeCount:
        known = self._config.meaning(account, stage, code)
        return CodeCount(account, stage, code, parts, known.kind, known.zh, known.en)

    async def left_behind(self, broadcast_id: int) -> LeftBehind:
        """Everybody it did not reach so far; NotFound. What is still on its way counts as not reached."""
        silent_before = self._clock.now() - SILENT_AFTER
        row, missed = await self._store.read(self._missed, broadcast_id, silent_before)
        ordered = sorted(missed, key=lambda one: (self._order(one.village), _natural(one.group), one.name))
        made_at = self._clock.now().astimezone(self._config.site.zone)
        return LeftBehind(broadcast_id, row.title, made_at, [_row(one) for one in ordered])

    @staticmethod
    def _missed(db: Connection, broadcast_id: int, silent_before: datetime) -> tuple[Any, list[rows.Missed]]:
        row = _require(broadcast_rows.get(db, broadcast_id), broadcast_id)
        return row, rows.missed(db, broadcast_id, silent_before)

    # -- telling the clerks ------------------------------------------------------------------------------------

    async def due(self, now: datetime) -> list[int]:
        """Approved broadcasts whose list is due and whose clerks were not told, oldest first."""
        return [row.id for row in await self._store.read(rows.untold) if self._due_at(row) <= now]

    def _due_at(self, row: Any) -> datetime:
        template = self._templates.get(row.template)
        urgent = row.priority == Priority.EMERGENCY or (template is not None and template.warning)
        left: datetime = max(row.approved_at, row.not_before or row.approved_at)
        return left + (WARNING_DUE_AFTER if urgent else DUE_AFTER)

    async def run_due(self) -> int:
        """Tell the clerks of every broadcast that is due; answers how many. One that is refused is logged and left."""
        done = 0
        for broadcast_id in await self.due(self._clock.now()):
            try:
                await self.tell_clerks(broadcast_id, by=SYSTEM)
                done += 1
            except Refused as error:
                log.warning("left-behind list not sent", broadcast=broadcast_id, why=error.en)
        return done

    async def tell_clerks(self, broadcast_id: int, *, by: Official) -> Told:
        """One text to each village's clerk with the names of those left behind; Conflict the second time."""
        if by is not SYSTEM:
            by.needs(Role.AUTHOR, Role.APPROVER, Role.DIRECTOR)
        villages = (await self.left_behind(broadcast_id)).by_village()
        told = await self._store.write(self._tell, broadcast_id, villages, by)
        self._queued()
        return told

    def _tell(
        self, db: Connection, broadcast_id: int, villages: Mapping[str, Sequence[LeftBehindRow]], by: Official
    ) -> Told:
        row = _require(broadcast_rows.get(db, broadcast_id), broadcast_id)
        if row.state != BroadcastState.APPROVED:
            raise Conflict(f"这次群发现在是 {row.state}，没有在发", f"the broadcast is {row.state}, not approved")
        now = self._clock.now()
        if now < self._due_at(row) and broadcast_rows.in_motion(db, broadcast_id):
            raise Conflict("还在发，发完再告知各村", "texts are still waiting to be sent: tell the clerks afterwards")
        if not rows.mark_told(db, broadcast_id, now):
            raise Conflict("名单已经发给各村了", "the clerks were told before")
        told: dict[str, int] = {}
        untold: dict[str, int] = {}
        for village, people in villages.items():
            reached = self._tell_clerk(db, row, village, [one.name for one in people if one.name], now)
            (told if reached else untold)[village] = len(people)
        audit.append(db, now, by.login, "tell-clerks", f"broadcast {broadcast_id}", {"told": told, "untold": untold})
        return Told(told, untold)

    def _tell_clerk(self, db: Connection, row: Any, village: str, names: Sequence[str], now: datetime) -> bool:
        clerk = next((area.clerk for area in self._config.areas if area.name == village and area.clerk), None)
        number = phone.parse(clerk).e164 if clerk else None
        path = self._outbox.path(number, None) if number else None
        if number is None or path is None or not names:
            return False
        body = self._clerk_text(row.title, village, names, path.carrier)
        return self._outbox.single(db, number, body, now, hours=row.hours) is not None

    def _clerk_text(self, title: str, village: str, names: Sequence[str], carrier: str) -> str:
        """The text with as many names as `CLERK_PARTS` hold, but at least one."""

        def text(count: int) -> str:
            listed = "、".join(names[:count]) + (f"等{len(names)}人" if count < len(names) else "")
            values = {"村": village, "人数": str(len(names)), "通知": title, "名单": listed}
            return self._templates["service/left-behind"].render(values)

        def parts(count: int) -> int:
            return self._outbox.write(text(count), carrier).billed

        if parts(len(names)) <= CLERK_PARTS:
            return text(len(names))
        return text(max(1, bisect_right(range(1, len(names)), CLERK_PARTS, key=parts)))


def _codes_of(one: Sent) -> Iterator[tuple[Stage, str]]:
    """What the operator gave for a part that failed; of what is in doubt the word is our own."""
    if one.outcome == Outcome.REJECTED and one.error:
        yield "submit", one.error
    if one.state == ReceiptState.UNDELIVERED and one.said:
        yield "receipt", one.said


def _row(one: rows.Missed) -> LeftBehindRow:
    masked = phone.mask(one.phone) if one.phone else ""
    return LeftBehindRow(one.village, one.group, one.name, one.reason, *explain(one.reason), masked, one.taker)


_NUMBER: Final = re.compile(r"(\d+)")


def _natural(text: str) -> list[tuple[int, str]]:
    """2组 before 10组."""
    return [(int(piece), "") if piece.isdigit() else (0, piece) for piece in _NUMBER.split(text) if piece]


def _require(row: Any, broadcast_id: int) -> Any:
    if row is None:
        raise NotFound(f"没有编号为 {broadcast_id} 的群发", f"no broadcast {broadcast_id}")
    return row
