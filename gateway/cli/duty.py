"""Who is on duty, and whom the alarms would tell of what.

Policy: nothing here tells anybody anything. Officers' numbers are masked, for lists stand on screens in a hall.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import shown
from gateway.cli.caller import caller
from gateway.cli.fields import moment
from gateway.cli.help import noun, option, verb
from gateway.cli.language import t
from gateway.cli.tools import JsonFlag
from gateway.errors import NotFound

if TYPE_CHECKING:
    from gateway.alarms import Planned
    from gateway.app import Gateway
    from gateway.config import Config, Officer
    from gateway.duty import OnDuty, Reason, Shift

DAYS = 7
LEVELS = {"digest": ("到期提醒", "digest"), "single": ("急件、临期", "single"), "overdue": ("超期督办", "overdue")}

WindowOption = Annotated[
    str | None, option("--window", value=("窗口", "CODE"), zh="只看这个窗口", en="of this window alone")
]
AtOption = Annotated[
    str | None,
    option("--at", value=("时间", "TIME"), zh="看这个时间的，不写是现在", en="at this time; now if it is not given"),
]
WhyFlag = Annotated[bool, option("--why", zh="说明为什么", en="say why")]


@verb("现在谁值班：大厅和每个窗口", "Who is on duty now: of the hall and of each window")
def now(ctx: typer.Context, window: WindowOption = None, at: AtOption = None, json: JsonFlag = False) -> None:
    async def work(gateway: Gateway) -> Sequence[tuple[str, OnDuty]]:
        when = _moment(gateway, at)
        return [(code, gateway.duty.explained(code, when)) for code in _windows(gateway.config, window)]

    who = caller(ctx)
    found = who.read(work)
    if json:
        return shown.as_json([_plain(code, one) for code, one in found])
    headings = (t("窗口", "window"), t("值班", "on duty"), t("号码", "phone"), t("依据", "why"))
    rows = [
        (_called(who.config(), code), _names(one.officers), _numbers(one.officers), t(*one.why)) for code, one in found
    ]
    return shown.table(headings, rows, whole=(0,))


@verb("今后七天的值班表", "The rota of the next seven days")
def week(
    ctx: typer.Context,
    window: Annotated[
        str, option("--window", value=("窗口", "CODE"), zh="哪个窗口，不写是大厅", en="a window; the hall without")
    ] = "",
    at: AtOption = None,
    json: JsonFlag = False,
) -> None:
    async def work(gateway: Gateway) -> Sequence[tuple[date, Reason, Sequence[Shift]]]:
        if window:
            _windows(gateway.config, window)
        first = _moment(gateway, at).astimezone(gateway.zone).date()
        days = [first + timedelta(days=n) for n in range(DAYS)]
        return [(day, gateway.calendar.explain(day), gateway.duty.day(window, day)) for day in days]

    who = caller(ctx)
    found = who.read(work)
    if json:
        return shown.as_json([_plain_shift(day, shift) for day, _, shifts in found for shift in shifts])
    headings = (t("日期", "day"), t("时间", "hours"), t("值班", "on duty"), t("依据", "why"), "")
    rows: list[Sequence[str]] = []
    for day, worked, shifts in found:
        for n, shift in enumerate(shifts):
            first = n == 0
            rows.append((day.isoformat() if first else "", *_shift(shift, who.config()), t(*worked) if first else ""))
    return shown.table(headings, rows, whole=(0, 1))


@verb("现在要提醒谁什么（只看，不发）", "What would be told to whom now, without telling it")
def alarms(ctx: typer.Context, at: AtOption = None, why: WhyFlag = False, json: JsonFlag = False) -> None:
    async def work(gateway: Gateway) -> tuple[Sequence[Planned], Reason | None]:
        when = _moment(gateway, at)
        return await gateway.alarms.planned(when), gateway.alarms.quiet(when)

    who = caller(ctx)
    found, quiet = who.read(work)
    if json:
        return shown.as_json(found)
    if quiet is not None:
        return shown.say(t(*quiet))
    if not found:
        return shown.say(t("没有要提醒的。", "Nothing is to be told."))
    for one in found:
        _show(one, who.config(), why=why)
    return None


def _show(one: Planned, config: Config, *, why: bool) -> None:
    level = t(*LEVELS.get(one.level, ("逐级督办", "ladder")))
    names = [found.name for login in one.officers if (found := config.duty.officer(login))]
    window = f"{_called(config, one.window)} " if one.window else ""
    shown.text_box(f"{level}  {window}→ {t('、', ', ').join(names) or t('没有人', 'nobody')}", one.text)
    for line in one.why if why else ():
        shown.say(f"  - {t(*line)}")


def _moment(gateway: Gateway, at: str | None) -> datetime:
    now = gateway.clock.now()
    return moment(at, gateway.zone, now) if at else now


def _windows(config: Config, window: str | None) -> Sequence[str]:
    """The codes asked for: "" is the hall; NotFound for one that is not there."""
    codes = [one.code for one in config.hall.windows]
    if window is None:
        return ["", *codes]
    if window not in codes:
        raise NotFound(f"没有窗口 {window}；有：{'、'.join(codes)}", f"no window {window}: {', '.join(codes)}")
    return [window]


def _called(config: Config, code: str) -> str:
    window = config.hall.window(code)
    return window.name if window else code or t("大厅", "the hall")


def _names(officers: Sequence[Officer]) -> str:
    return t("、", ", ").join(one.name for one in officers) or t("没有人", "nobody")


def _numbers(officers: Sequence[Officer]) -> str:
    return t("、", ", ").join(_masked(one) for one in officers)


def _masked(officer: Officer) -> str:
    from gateway import phone

    return phone.mask(officer.phone)


def _shift(shift: Shift, config: Config) -> tuple[str, str, str]:
    zone = config.site.zone
    begin, end = shift.begins_at.astimezone(zone), shift.ends_at.astimezone(zone)
    until = f"{end:%H:%M}" if end.date() == begin.date() else "24:00"
    return f"{begin:%H:%M}-{until}", _names(shift.on_duty.officers), t(*shift.on_duty.why)


def _plain(window: str, one: OnDuty) -> dict[str, Any]:
    officers = [{"login": found.login, "name": found.name, "phone": _masked(found)} for found in one.officers]
    return {"window": window, "officers": officers, "why": t(*one.why)}


def _plain_shift(day: date, shift: Shift) -> dict[str, Any]:
    return {
        "day": day,
        "begins_at": shift.begins_at,
        "ends_at": shift.ends_at,
        "officers": [one.login for one in shift.on_duty.officers],
        "why": t(*shift.on_duty.why),
    }


duty = noun(
    "值班和提醒：谁值班、要提醒谁什么",
    "Duty and alarms: who is on duty, who is told what",
    now=now,
    week=week,
    alarms=alarms,
)
