"""Who is told: the officers on duty of a window at a moment, and the texts that go to them.

Policy
- The rota decides (`gateway.rota`). Where no turn fits, a window's own officers are on duty in office time, else the
  hall's turn, else the director, and in the end anybody: an alarm finds somebody wherever duty.toml names somebody.
- In office time a window's officers come before an undated turn of the hall, for the work is theirs.
- Whoever is away is passed over while there is anybody else.
- An officer of the window that a complaint is about is never told of it, whatever the rota says, and though then nobody
  is told: that is logged as an error.
- Texts to officers are single texts that need no approval and that no opt-out withholds. They carry case numbers, never
  a case's title or what a resident wrote; a page alone carries the resident's number, for the officer calls back.
- Danger is paged at all hours, to the hall's and the window's duty at once, the same word for the same case once in
  `PAGE_AGAIN`: ten thousand texts about one fire are one page.
- Logs name cases and logins, never numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Any

import structlog

from gateway import config as settings
from gateway import phone as phones
from gateway.config import Config, Officer
from gateway.errors import Problem
from gateway.model import Happened
from gateway.officials import SYSTEM
from gateway.outbox import Outbox
from gateway.store import Connection
from gateway.store import alarms as rows
from gateway.store import cases as case_rows
from gateway.templates import Template
from gateway.tomlfile import Key, TomlFile, did_you_mean
from gateway.worktime import ONE_DAY, Calendar, Clock, Hours, OfficeHours, utc

log = structlog.get_logger()

PAGE_AGAIN = timedelta(minutes=10)

Reason = tuple[str, str]
"""Why, in Chinese and in English."""

TURN: Reason = ("值班表", "rota")
DATED: Reason = ("值班表（按日期排的）", "rota, by date")
WINDOW: Reason = ("没有排班，该窗口人员", "no turn: the window's officers")
HALL: Reason = ("大厅值班", "the hall's turn")
DIRECTOR: Reason = ("没人值班，交主任", "nobody on duty: the director")
ANYBODY: Reason = ("没有别人", "nobody else")
NOBODY: Reason = ("没有人可以告知", "there is nobody to tell")


@dataclass(frozen=True, slots=True)
class OnDuty:
    """Who is on duty, the first of them answers for it; `why` in both languages."""

    officers: tuple[Officer, ...]
    why: Reason


@dataclass(frozen=True, slots=True)
class Shift:
    """A part of a day through which the same officers are on duty; UTC."""

    begins_at: datetime
    ends_at: datetime
    on_duty: OnDuty


class Duty:
    """The site's rota, asked and made use of."""

    def __init__(self, config: Config, outbox: Outbox, templates: Mapping[str, Template], clock: Clock) -> None:
        self._config, self._outbox, self._templates, self._clock = config, outbox, templates, clock
        self._rota = config.duty
        self._zone = config.site.zone
        self._calendar = Calendar(config.calendar.off, config.calendar.on)
        self.office = OfficeHours.of(config.office, self._calendar, self._zone)

    # -- who ---------------------------------------------------------------------------------------------------

    def on_duty(self, window: str, at: datetime, *, about: str = "") -> Sequence[Officer]:
        """Whom to tell of a case of `window` ("" is the hall), nobody of the window that it is `about`."""
        return self.explained(window, at, about=about).officers

    def explained(self, window: str, at: datetime, *, about: str = "") -> OnDuty:
        """The same with the reason."""
        today = utc(at).astimezone(self._zone).date()
        fit = [one for one in self._rota.officers if not about or one.window != about]
        here = [one for one in fit if today not in one.away]
        for officers, why in self._choices(window, at):
            if found := tuple(one for one in officers if one in here):
                return OnDuty(found, why)
        return OnDuty(tuple(fit[:1]), ANYBODY if fit else NOBODY)

    def director(self, at: datetime, *, about: str = "") -> Officer | None:
        """Who is told what is overdue; see `step`."""
        return self.step(0, at, about=about)

    def step(self, number: int, at: datetime, *, about: str = "") -> Officer | None:
        """The ladder's step, counted from 0, or the next one upwards whose officer may be told and is not away.

        Without a ladder the director is the first officer of the hall. None where nobody may be told.
        """
        today = utc(at).astimezone(self._zone).date()
        upwards = [one for one in self.ladder[number:] if not about or one.window != about]
        return next((one for one in upwards if today not in one.away), next(iter(upwards), None))

    @property
    def ladder(self) -> Sequence[Officer]:
        """Whom an overdue case is told to, the director first."""
        return self._rota.named(self._rota.ladder) or self._rota.at_window("")[:1]

    def day(self, window: str, day: date) -> Sequence[Shift]:
        """Who is on duty through a day of the site's clock, from midnight to midnight."""
        edges = list(self._edges(day))
        shifts: list[Shift] = []
        for begin, end in pairwise(edges):
            found = self.explained(window, begin)
            if shifts and shifts[-1].on_duty == found:
                shifts[-1] = Shift(shifts[-1].begins_at, end, found)
            else:
                shifts.append(Shift(begin, end, found))
        return shifts

    def _choices(self, window: str, at: datetime) -> Iterator[tuple[Sequence[Officer], Reason]]:
        """Officers who may be on duty, those to be preferred first."""
        wall = utc(at).astimezone(self._zone).replace(tzinfo=None)
        turns = self._rota.turns(window, wall, self._calendar.is_workday)
        own = [one for one in turns if one.dates or (window and one.window == window)]
        yield from ((self._rota.named(one.officers), DATED if one.dates else TURN) for one in own)
        if window and self.office.is_open(at):
            yield self._rota.at_window(window), WINDOW
        yield from ((self._rota.named(one.officers), HALL) for one in turns if one not in own)
        yield from (([one], DIRECTOR) for one in self.ladder[:1])
        yield from (([one], ANYBODY) for one in (*self.ladder, *self._rota.officers))

    def _edges(self, day: date) -> Iterator[datetime]:
        """Where somebody else may take over, in order, both midnights among them."""
        clocks = {time(), *(clock for turn in self._rota.rota for clock in turn.edges)}
        moments = {utc(datetime.combine(day, clock, self._zone)) for clock in clocks}
        office = {moment for span in self.office.spans(day) for moment in span}
        midnights = {utc(datetime.combine(one, time(), self._zone)) for one in (day, day + ONE_DAY)}
        yield from sorted(one for one in moments | office | midnights if min(midnights) <= one <= max(midnights))

    # -- telling -----------------------------------------------------------------------------------------------

    def say(
        self,
        db: Connection,
        officers: Sequence[Officer],
        template: str,
        values: Mapping[str, str],
        now: datetime,
        within: Hours | None = None,
    ) -> Sequence[int]:
        """Queue a service text to each of them in this transaction; the ids of those that a carrier takes.

        It leaves `within` these hours, or else within those of its template.
        """
        notice = self._templates[f"service/{template}"]
        body, hours = notice.render(values), within or self._config.hours[notice.hours]
        found = []
        for officer in officers:
            number = phones.parse(officer.phone)
            sent = number.e164 and self._outbox.single(
                db,
                number.e164,
                body,
                now,
                hours=str(Hours(hours.open, hours.close)) if hours else None,
                priority=notice.priority,
                expires_at=now + notice.expires,
            )
            if not sent:
                log.error("duty.unreached", officer=officer.login, template=template)
            else:
                found.append(sent)
        return found

    def worded(self, template: str, values: Mapping[str, str]) -> str:
        """What `say` would send, without the signature."""
        return self._templates[f"service/{template}"].render(values)

    def page(self, db: Connection, case: Any, danger: str, now: datetime) -> Sequence[int]:
        """Tell the hall's and the window's duty at once of danger in a case (its row); the ids of the texts."""
        if rows.paged_since(db, case.id, danger, now - PAGE_AGAIN):
            return []
        about = case.about or ""
        hall = self.on_duty("", now, about=about)
        officers = list({one.login: one for one in (*hall, *self.on_duty(case.window, now, about=about))}.values())
        sent = self.say(db, officers, "alarm-page", self._danger(case, danger), now)
        if not sent:
            log.error("duty.nobody_paged", case=case.number, danger=danger)
        told = {"danger": danger, "told": [one.login for one in officers], "messages": list(sent)}
        first = sent[0] if sent else None
        case_rows.append(db, case.id, Happened.PAGED, SYSTEM.login, now, data=told, message_id=first)
        return sent

    def _danger(self, case: Any, danger: str) -> Mapping[str, str]:
        village = next((area.name for area in self._config.areas if area.code == case.area), "")
        number = phones.local(case.phone) if phones.parse(case.phone).mobile else case.phone
        return {"编号": case.number, "险情": danger, "村": village or "不知哪村", "电话": number}


# -- checking ----------------------------------------------------------------------------------------------------


def check(config: Config) -> list[Problem]:
    """Windows of duty.toml that the hall has not, and numbers that no text reaches."""
    main = TomlFile.parse(settings.FILE, config.sources[settings.FILE])
    name = main.data.get("hall", {}).get("duty", "")
    if name not in config.sources:
        return []
    file = TomlFile.parse(name, config.sources[name])
    return [file.problem(*finding) for rule in _RULES for finding in rule(config)]


def _windows_known(config: Config) -> Iterator[tuple[Key, str, str]]:
    known = {window.code for window in config.hall.windows}
    named: list[tuple[Key, str]] = [
        (("officers", n, "window"), one.window) for n, one in enumerate(config.duty.officers)
    ]
    named += [(("rota", n, "window"), one.window) for n, one in enumerate(config.duty.rota)]
    for key, window in named:
        if window and window not in known:
            zh, en = did_you_mean(window, known)
            yield key, f"没有窗口 {window}{zh}", f"no window {window}{en}"


def _numbers_reachable(config: Config) -> Iterator[tuple[Key, str, str]]:
    for n, one in enumerate(config.duty.officers):
        if reason := phones.parse(one.phone).reason:
            yield ("officers", n, "phone"), *phones.explain(reason)


_RULES: tuple[Callable[[Config], Iterator[tuple[Key, str, str]]], ...] = (_windows_known, _numbers_reachable)
