"""Cases: a conversation with one number that needs a person, at one window of the hall.

Policy
- One function issues all numbers: YYMMDD, the day's count in four digits, a check digit; digits only, so that any phone
  can type them. Days are the site's. After 9,999 cases in a day the count takes a fifth digit rather than fail.
- A case is at one window, and what nobody can place is at the front desk. It is `open` while the hall owes an answer,
  `answered` while the person may say more, `closed` when it is done.
- What a clerk does is one transaction: the event, the case, its text in the outbox and the audit row, or none of them.
- Due times are a simple beginning: the window's working days for a consultation, counted from the first text on working
  time, to the end of office hours; a hand-over does not restart them, a new question after an answer does. Clocks that
  pause, reminders and ratings have their place in `Terms` and `close`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from gateway import phone as phones
from gateway import words
from gateway.config import Config, Window
from gateway.errors import Conflict, NotFound, Refused
from gateway.model import CaseState, Role
from gateway.officials import SYSTEM, Official
from gateway.outbox import Outbox
from gateway.store import Connection, Store, audit, people
from gateway.store import cases as rows
from gateway.store.inbound import Waiting
from gateway.templates import Template
from gateway.worktime import Calendar, Clock, Hours

FRONT_DESK = "front-desk"
CLERKS = (Role.CLERK, Role.DIRECTOR)
TITLE_CHARACTERS = 40
CONSULT, UNCLEAR = "consult", "unclear"

# -- numbers ---------------------------------------------------------------------------------------------------


def issue_number(day: date, count: int) -> str:
    """The number of the day's `count`-th case: 2026-07-01 and 1 make 26070100014."""
    digits = f"{day:%y%m%d}{count:04d}"
    return digits + _check_digit(digits)


def is_number(text: str) -> bool:
    """Whether `text` is written like a case number and its check digit holds."""
    if len(text) not in (11, 12) or not (text.isascii() and text.isdigit()):
        return False
    try:
        date(2000 + int(text[:2]), int(text[2:4]), int(text[4:6]))
    except ValueError:
        return False
    return _check_digit(text[:-1]) == text[-1]


def _check_digit(digits: str) -> str:
    """ISO 7064 MOD 11,10 (GB/T 17710): finds every single wrong digit and nearly all that changed places."""
    carried = 10
    for digit in digits:
        carried = ((carried + int(digit)) % 10 or 10) * 2 % 11
    return str((11 - carried) % 10)


# -- due times -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Term:
    """When a clock starts and when an answer is due, UTC; `due_on` and `note` as the person reads them."""

    starts_at: datetime
    due_at: datetime
    due_on: str
    note: str
    """Empty in office hours."""


class Terms:
    """Due times by a site's calendar and office hours."""

    def __init__(self, config: Config) -> None:
        office = config.hours.get("office")
        self._office = Hours(office.open, office.close) if office else Hours(time(), time())
        self._calendar = Calendar(config.calendar.off, config.calendar.on)
        self._zone = config.site.zone

    def term(self, at: datetime, workdays: int) -> Term:
        """An answer to what came at `at`, within that many working days."""
        starts_at, note = self._start(at)
        due = self._calendar.add_workdays(starts_at.astimezone(self._zone).date(), workdays)
        return Term(starts_at, self._closing(due), self.day(self._closing(due)), note)

    def day(self, at: datetime) -> str:
        """A moment's day on the site's clock: 7月6日. The end of a day that closes at midnight is that day."""
        local = (at - timedelta(milliseconds=1)).astimezone(self._zone)
        return f"{local.month}月{local.day}日"

    def today(self, at: datetime) -> date:
        return at.astimezone(self._zone).date()

    def _start(self, at: datetime) -> tuple[datetime, str]:
        local = at.astimezone(self._zone)
        today, worked = local.date(), self._calendar.is_workday(local.date())
        if worked and self._office.is_open(at, self._zone):
            return at, ""
        early = worked and local.time() < self._office.open
        day = today if early else self._calendar.next_workday(today)
        opening = datetime.combine(day, self._office.open, self._zone)
        clock = f"{opening.hour}:{opening.minute:02d}"
        if early:
            return opening.astimezone(UTC), f"还没上班，从今天{clock}起算。"
        when = "明天" if day == today + timedelta(days=1) else f"{day.month}月{day.day}日"
        return opening.astimezone(UTC), f"现在下班，从{when}{clock}起算。"

    def _closing(self, day: date) -> datetime:
        whole_day = self._office.close == time()
        close = datetime.combine(day + timedelta(days=1) if whole_day else day, self._office.close, self._zone)
        return close.astimezone(UTC)


# -- what callers see ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """Where a case stands; `phone` is whole, for those who may see the case."""

    number: str
    phone: str
    window: str
    kind: str
    state: CaseState
    area: str
    title: str
    broadcast_id: int | None
    opened_at: datetime
    due_at: datetime | None
    first_answer_at: datetime | None
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Event:
    """One thing said or done: text, acknowledged, replied, handed_over, closed or reopened."""

    kind: str
    who: str
    body: str
    data: Mapping[str, Any]
    message_id: int | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Conversation:
    """A case with its events, oldest first."""

    case: Case
    events: Sequence[Event]


def _case(row: Any) -> Case:
    values = {field.name: getattr(row, field.name) for field in fields(Case)}
    return Case(**{**values, "state": CaseState(row.state)})


def _event(row: Any) -> Event:
    return Event(**{field.name: getattr(row, field.name) for field in fields(Event)})


class Cases:
    """What the inbox and the clerks do with cases."""

    def __init__(
        self, store: Store, config: Config, templates: Mapping[str, Template], outbox: Outbox, clock: Clock
    ) -> None:
        self._store = store
        self._config = config
        self._templates = templates
        self._outbox = outbox
        self._clock = clock
        self._terms = Terms(config)
        self._keywords = keywords_of(config.hall.windows)
        self.front_desk = config.hall.window(FRONT_DESK) or config.hall.windows[0]

    # -- verbs -------------------------------------------------------------------------------------------------

    async def list(
        self, window: str | None = None, state: CaseState | None = None, area: str = "", limit: int = 100
    ) -> Sequence[Case]:
        """Cases in the area of that prefix, those due first before the others; without a state all but the closed."""
        return [_case(row) for row in await self._store.read(rows.listed, window, state, area, limit)]

    async def show(self, number: str, area: str = "") -> Conversation:
        """A case and what was said; NotFound outside the area of that prefix."""
        return await self._store.read(self._show, number, area)

    async def reply(self, number: str, text: str, *, by: Official) -> int:
        """Answer the person; the text's message id. Refused for an empty text or a number no text can reach."""
        by.needs(*CLERKS)
        return await self._store.write(self._reply, number, text, by)

    async def close(self, number: str, text: str | None = None, *, by: Official) -> None:
        """Finish a case, with a last answer if there is one."""
        by.needs(*CLERKS)
        await self._store.write(self._close, number, text, by)

    async def handover(self, number: str, window: str, reason: str, *, by: Official) -> None:
        """Give a case to another window, with the reason; its due time stays."""
        by.needs(*CLERKS)
        await self._store.write(self._hand_over, number, window, reason, by)

    def _show(self, db: Connection, number: str, area: str) -> Conversation:
        row = self._find(db, number, area, hold=False)
        return Conversation(_case(row), [_event(event) for event in rows.events(db, row.id)])

    def _reply(self, db: Connection, number: str, text: str, by: Official) -> int:
        row = self._unclosed(db, number, by)
        message_id = self._answer(db, row, text, by)
        rows.change(db, row.id, state=CaseState.ANSWERED)
        self._audit(db, by, "reply", row, {"message": message_id})
        return message_id

    def _close(self, db: Connection, number: str, text: str | None, by: Official) -> None:
        # The rating is asked for here, once per completion, when there are prompts.
        row, now = self._unclosed(db, number, by), self._clock.now()
        message_id = self._answer(db, row, text, by) if text is not None else None
        rows.append(db, row.id, "closed", by.login, now)
        rows.change(db, row.id, state=CaseState.CLOSED, closed_at=now)
        self._audit(db, by, "close", row, {"message": message_id})

    def _hand_over(self, db: Connection, number: str, window: str, reason: str, by: Official) -> None:
        row = self._unclosed(db, number, by)
        if self._config.hall.window(window) is None:
            known = "、".join(one.code for one in self._config.hall.windows)
            raise NotFound(f"没有窗口 {window}；有：{known}", f"no window {window}; there are: {known}")
        if window == row.window:
            raise Refused("已经在这个窗口", "it is at this window already")
        if not reason.strip():
            raise Refused("要写明转办原因", "say why it is handed over")
        moved = {"from": row.window, "to": window}
        rows.append(db, row.id, "handed_over", by.login, self._clock.now(), body=words.storable(reason), data=moved)
        rows.change(db, row.id, window=window)
        self._audit(db, by, "handover", row, moved)

    def _answer(self, db: Connection, row: Any, text: str, by: Official) -> int:
        """Queue a clerk's words and write them down."""
        if phones.parse(row.phone).reason is not None:
            raise Refused("这个号码收不到短信，请换别的方式联系", "no text can reach this number")
        said, now = text.strip().rstrip("。.").strip(), self._clock.now()
        values = {"编号": row.number, "窗口": self._window_name(row.window), "答复": said}
        message_id = self.say(db, row.phone, "case-answer", values, now)
        if message_id is None:
            raise Refused("没有通道能到这个号码", "no carrier reaches this number")
        rows.append(db, row.id, "replied", by.login, now, body=text.strip(), message_id=message_id)
        if row.first_answer_at is None:
            rows.change(db, row.id, first_answer_at=now)
        return message_id

    def _find(self, db: Connection, number: str, area: str, *, hold: bool) -> Any:
        row = rows.by_number(db, number.strip(), hold=hold)
        if row is None or not row.area.startswith(area):
            raise NotFound(f"没有编号 {number}", f"no case {number}")
        return row

    def _unclosed(self, db: Connection, number: str, by: Official) -> Any:
        row = self._find(db, number, by.area, hold=True)
        if row.state == CaseState.CLOSED:
            raise Conflict("这件已经办结", "this case is closed")
        return row

    def _audit(self, db: Connection, by: Official, verb: str, row: Any, what: Mapping[str, Any]) -> None:
        audit.append(db, self._clock.now(), by.login, verb, f"case {row.number}", what)

    # -- what the inbox does, in its transaction -----------------------------------------------------------------

    def of_number(self, db: Connection, number: str, phone: str) -> Any:
        """The case of that number, if it is this phone's own; else None, as if there were none."""
        row = rows.by_number(db, number, hold=True) if is_number(number) else None
        return row if row is not None and row.phone == phone else None

    def open_of(self, db: Connection, phone: str) -> Sequence[Any]:
        """The phone's cases that are not closed, oldest first."""
        return rows.open_of(db, phone)

    def route(self, text: str) -> tuple[str | None, str]:
        """The one window that the text's words speak for, or None; and why."""
        return words.route(text, self._keywords)

    def open(self, db: Connection, text: Waiting, window: str | None, why: str, broadcast_id: int | None) -> Any:
        """A new case with its first text, at `window` or the front desk; its row."""
        now = self._clock.now()
        desk = self._config.hall.window(window or "") or self.front_desk
        who = people.by_phone(db, text.phone)
        areas = {person.area for person in who}
        day = self._terms.today(now)
        values = {
            "number": issue_number(day, rows.next_count(db, day)),
            "phone": text.phone,
            "person_id": who[0].id if len(who) == 1 else None,
            "window": desk.code,
            "kind": CONSULT if window else UNCLEAR,
            "state": CaseState.OPEN,
            "area": areas.pop() if len(areas) == 1 else self._config.site.area,
            "title": " ".join(text.body.split())[:TITLE_CHARACTERS],
            "broadcast_id": broadcast_id,
            "opened_at": now,
            "due_at": self._term(desk.code, text.at).due_at,
        }
        row = rows.add(db, values)
        self._add_text(db, row, text, {"window": desk.code, "why": why})
        return row

    def join(self, db: Connection, row: Any, text: Waiting, *, asks: bool) -> Any:
        """Add a text to a case, which wakes where the text `asks` for something; the case's row as it is then."""
        self._add_text(db, row, text, {})
        if not asks or row.state == CaseState.OPEN:
            return row
        if row.state == CaseState.CLOSED:
            rows.append(db, row.id, "reopened", SYSTEM.login, self._clock.now(), inbound_id=text.id)
        due_at = self._term(row.window, text.at).due_at
        rows.change(db, row.id, state=CaseState.OPEN, due_at=due_at, closed_at=None)
        return rows.by_number(db, row.number, hold=True)

    def acknowledge(self, db: Connection, row: Any, text: Waiting) -> int | None:
        """Tell the person number, window and due date; None where no carrier reaches them."""
        now = self._clock.now()
        values = {
            "编号": row.number,
            "窗口": self._window_name(row.window),
            "期限": self._terms.day(row.due_at),
            "起算": self._term(row.window, text.at).note,
        }
        message_id = self.say(db, row.phone, "acknowledgement", values, now)
        if message_id is not None:
            rows.append(db, row.id, "acknowledged", SYSTEM.login, now, message_id=message_id, inbound_id=text.id)
        return message_id

    def say(self, db: Connection, phone: str, name: str, values: Mapping[str, str], now: datetime) -> int | None:
        """Queue one of the gateway's own texts; its message id, or None where no carrier reaches the number."""
        template = self._templates[f"service/{name}"]
        hours = self._config.hours[template.hours]
        return self._outbox.single(
            db,
            phone,
            template.render(values),
            now,
            hours=str(Hours(hours.open, hours.close)) if hours else None,
            priority=template.priority,
            expires_at=now + template.expires,
        )

    def _add_text(self, db: Connection, row: Any, text: Waiting, data: Mapping[str, Any]) -> None:
        rows.append(db, row.id, "text", "", text.at, body=text.body, data=data, inbound_id=text.id)

    def _term(self, window: str, at: datetime) -> Term:
        desk = self._config.hall.window(window) or self.front_desk
        return self._terms.term(at, desk.case_days.consult)

    def _window_name(self, code: str) -> str:
        desk = self._config.hall.window(code)
        return desk.name if desk else code


def keywords_of(windows: Sequence[Window]) -> tuple[words.Keyword, ...]:
    """Names, keywords, items and their aliases, as words that speak for their window."""
    said = {
        words.Keyword(words.normalise(word), window.code)
        for window in windows
        for word in (window.name, *window.keywords, *(n for item in window.items for n in (item.name, *item.aliases)))
    }
    return tuple(sorted(keyword for keyword in said if keyword.word))
