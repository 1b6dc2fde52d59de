"""What every verb on a case is made of: finding it, speaking to the person, writing down, setting the clocks.

Policy
- One transaction holds what was said, the event, the case's row, its text in the outbox and the audit row.
- A case's row is a summary of its events: `settle` replays them and writes down where the clocks stand.
- Whoever may not see a case is told that there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from gateway import phone as phones
from gateway.cases import promises
from gateway.cases.views import Sight
from gateway.clocks import Clocks, replay
from gateway.config import Config, Window
from gateway.duty import Duty
from gateway.errors import Conflict, NotFound, Refused
from gateway.model import CaseState, Happened
from gateway.officials import Official
from gateway.outbox import Outbox
from gateway.store import Connection, audit, prompts, site_files
from gateway.store import cases as rows
from gateway.templates import Template
from gateway.worktime import Calendar, Clock, Hours, OfficeHours

FRONT_DESK = "front-desk"
PETITIONS = "xinfang"


class Book:
    """The hall's cases, one row and one event at a time."""

    def __init__(
        self, config: Config, templates: Mapping[str, Template], outbox: Outbox, duty: Duty, clock: Clock
    ) -> None:
        self.config, self.duty, self.clock = config, duty, clock
        self._templates, self._outbox = templates, outbox
        self.calendar = Calendar(config.calendar.off, config.calendar.on)
        self.office = OfficeHours.of(config.office, self.calendar, config.site.zone)
        self.sight = Sight(config.duty)
        self.front_desk = config.hall.window(FRONT_DESK) or config.hall.windows[0]

    # -- finding -----------------------------------------------------------------------------------------------

    def find(self, db: Connection, number: str, by: Official | None, *, hold: bool = True) -> Any:
        """The row of a case that `by` may see; NotFound."""
        row = rows.by_number(db, number.strip(), hold=hold)
        if row is None or not self.sight.may_see(row, by):
            raise NotFound(f"没有编号 {number}", f"no case {number}")
        return row

    def unclosed(self, db: Connection, number: str, by: Official | None) -> Any:
        """The same, if it is not finished; Conflict."""
        row = self.find(db, number, by)
        if row.state == CaseState.CLOSED:
            raise Conflict(f"{number} 已经办结", f"{number} is closed")
        return row

    def by_id(self, db: Connection, case_id: int) -> Any:
        """A case's row, held until the transaction ends."""
        return rows.get(db, case_id)

    def window(self, code: str) -> Window:
        """The window of that code; NotFound names those there are."""
        desk = self.config.hall.window(code)
        if desk is None:
            known = "、".join(one.code for one in self.config.hall.windows)
            raise NotFound(f"没有窗口 {code}；有：{known}", f"no window {code}; there are: {known}")
        return desk

    def desk(self, code: str) -> Window:
        """The window of a case; the front desk for one that the hall no longer has."""
        return self.config.hall.window(code) or self.front_desk

    def apart_from(self, code: str) -> Window:
        """Who takes what a window may not have: the petitions desk, else the front desk, else any other."""
        desks = [self.config.hall.window(PETITIONS), self.front_desk, *self.config.hall.windows]
        return next((desk for desk in desks if desk is not None and desk.code != code), self.front_desk)

    # -- writing down ------------------------------------------------------------------------------------------

    def note(self, db: Connection, row: Any, kind: Happened, by: Official, at: datetime, **event: Any) -> None:
        """Append an event to a case."""
        rows.append(db, row.id, kind, by.login, at, **event)

    def audit(self, db: Connection, by: Official, verb: str, row: Any, what: Mapping[str, Any]) -> None:
        audit.append(db, self.clock.now(), by.login, verb, f"case {row.number}", what)

    def version(self, db: Connection, name: str) -> int:
        """The kept version of one of the site's files, which an event cites."""
        return site_files.keep(db, name, self.config.sources[name], self.clock.now())

    def settle(self, db: Connection, row: Any, **changes: Any) -> Any:
        """Set columns of a case, replay its clocks and write down where they stand; its row as it is then."""
        found = self.clocks(rows.events(db, row.id))
        paused = found.finish.paused_since
        standing = {
            "signed_due_at": found.signed.due_at,
            "first_due_at": found.first.due_at,
            "due_at": found.finish.due_at,
            "signed_at": found.signed.met_at,
            "first_answer_at": found.first.met_at,
            "waiting_since": paused,
            "rounds": found.round,
        }
        rows.change(db, row.id, **{**standing, **changes})
        return rows.get(db, row.id)

    def clocks(self, events: Sequence[Any], *, explain: bool = False) -> Clocks:
        """Where the clocks of a case stand by its events; with `explain` why, for whoever is shown it."""
        promised, marks = promises.of_events(events)
        return replay(marks, promised, self.office, self.clock.now(), explain=explain)

    # -- speaking ----------------------------------------------------------------------------------------------

    def reachable(self, row: Any) -> None:
        """Refused where no text can reach the person."""
        if phones.parse(row.phone).reason is not None:
            raise Refused(
                "这个号码收不到短信，请打电话或当面答复（--how phone、counter）",
                "no text can reach this number: call or meet them (--how phone, counter)",
            )

    def tell(self, db: Connection, row: Any, name: str, **values: str) -> int:
        """Queue a text about a case to its person; its message id. Refused where no carrier reaches them."""
        self.reachable(row)
        about = {"编号": row.number, "窗口": self.desk(row.window).name, "电话": self.desk(row.window).duty_phone}
        message_id = self.say(db, row.phone, name, {**about, **values}, self.clock.now())
        if message_id is None:
            raise Refused("没有通道能到这个号码", "no carrier reaches this number")
        return message_id

    def tell_if_possible(self, db: Connection, row: Any, name: str, **values: str) -> int | None:
        """The same; None where nothing reaches them."""
        try:
            return self.tell(db, row, name, **values)
        except Refused:
            return None

    def say(self, db: Connection, phone: str, name: str, values: Mapping[str, str], now: datetime) -> int | None:
        """Queue one of the gateway's own texts; its message id, or None where no carrier reaches the number."""
        template = self._templates[f"service/{name}"]
        hours = self.config.hours[template.hours]
        given = {key: value for key, value in values.items() if key in template.names}
        return self._outbox.single(
            db,
            phone,
            template.render(given),
            now,
            hours=str(Hours(hours.open, hours.close)) if hours else None,
            priority=template.priority,
            expires_at=now + template.expires,
        )

    def withdraw(self, db: Connection, row: Any) -> None:
        """End what was asked about a case and no longer matters."""
        prompts.withdraw_of_case(db, row.id, self.clock.now())

    # -- days --------------------------------------------------------------------------------------------------

    def day(self, at: datetime) -> str:
        """A moment's day on the site's clock: 7月6日. The end of a day that closes at midnight is that day."""
        local = (at - timedelta(milliseconds=1)).astimezone(self.config.site.zone)
        return f"{local.month}月{local.day}日"

    def today(self) -> date:
        return self.clock.now().astimezone(self.config.site.zone).date()

    def left(self, case: Any) -> tuple[str, str]:
        """How much time a case has, in working days; nothing is left of one that is finished."""
        if case.due_at is None or case.state == CaseState.CLOSED:
            return "", ""
        if case.waiting_since is not None:
            return "停着", "paused"
        now = self.clock.now()
        day, today = self.office.day(case.due_at - timedelta(milliseconds=1)), self.today()
        days = sum(self.calendar.is_workday(min(day, today) + timedelta(n + 1)) for n in range(abs((day - today).days)))
        if case.due_at <= now:
            return (f"超{days}天", f"{days} d late") if days else ("已超期", "late")
        return (f"剩{days}天", f"{days} d") if days else ("今天", "today")

    def begins(self, at: datetime) -> str:
        """From when the clocks of a text run, for the person; empty in office time."""
        opening = self.office.next_opening(at)
        if opening == at:
            return ""
        zone = self.config.site.zone
        here, then = at.astimezone(zone), opening.astimezone(zone)
        clock = f"{then.hour}:{then.minute:02d}"
        if then.date() == here.date():
            return f"从今天{clock}起算。"
        day = "明天" if then.date() == here.date() + timedelta(days=1) else f"{then.month}月{then.day}日"
        return f"现在下班，从{day}{clock}起算。"


def one_line(text: str) -> str:
    """An official's words as part of a text: one line, without the last full stop."""
    return " ".join(text.split()).rstrip("。.").strip()
