"""Schedules from the keyboard: what is due, what was missed, who stands for it.

Policy: a slot that waits for a person is named by its due time, as `list` prints it. Faults that stand come first in
the list, with what one may do about them, since nobody looks for them elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import shown
from gateway.cli.caller import caller
from gateway.cli.fields import moment
from gateway.cli.help import argument, noun, option, verb
from gateway.cli.language import t
from gateway.cli.tools import JsonFlag

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.config import Config
    from gateway.officials import Official
    from gateway.schedule import Fault, Slot, Upcoming

Name = Annotated[str, argument(("定时", "NAME"), zh="config.toml 里的名字", en="its name in config.toml")]
NEXT_RUNS = 5

SLOTS = {
    "due": ("正在发", "under way"),
    "run": ("已发", "run"),
    "late": ("已补发", "run late"),
    "skipped": ("没有发", "skipped"),
    "asked": ("错过，等人决定", "missed: a person decides"),
    "fault": ("故障", "fault"),
}
STANDING = {
    "none": ("没有", "none"),
    "in force": ("有效", "in force"),
    "template changed": ("失效：模板改过", "void: template changed"),
    "audience changed": ("失效：对象改过", "void: audience changed"),
}
MISSED = {"late": ("补发", "late"), "skip": ("不补", "skip"), "ask": ("问人", "ask")}


@verb(
    "列出要处理的故障、定时任务、以后五次的时间、最近几次的结果",
    "List standing faults, schedules with their next five runs, and what became of the last ones",
)
def list_(ctx: typer.Context, json: JsonFlag = False) -> None:
    who = caller(ctx)
    found, faults = who.read(_upcoming)
    if json:
        return shown.as_json({"schedules": found, "faults": faults})
    config = who.config()
    _show_faults(faults, config)
    _show_schedules(found, config)
    _show_slots([slot for one in found for slot in one.slots], {one.key for one in faults}, config)
    return _show_steps(faults)


async def _upcoming(gateway: Gateway) -> tuple[list[Upcoming], list[Fault]]:
    return await gateway.schedules.upcoming(NEXT_RUNS), await gateway.schedules.faults()


def _show_faults(faults: list[Fault], config: Config) -> None:
    if faults:
        rows = [(shown.when(one.since, config), t(one.zh, one.en)) for one in faults]
        shown.table((t("从何时起", "since"), t("要处理", "to be dealt with")), rows)


STEPS = {
    "asked": (
        "补发：gateway schedule run 名字 --due 时间；不发：gateway schedule skip 名字 时间",
        "send it late: gateway schedule run NAME --due TIME; leave it: gateway schedule skip NAME TIME",
    ),
    "approval": ("审批：gateway broadcast approve 编号", "approve: gateway broadcast approve ID"),
    "clock": ("时钟没有错：gateway schedule confirm-clock", "the clock is right: gateway schedule confirm-clock"),
}
"""What a person may do about a fault, by its kind; a slot at fault is answered like one that asks."""


def _show_steps(faults: list[Fault]) -> None:
    kinds = {one.key.partition(":")[0] for one in faults}
    for kind in dict.fromkeys("asked" if one == "slot" else one for one in sorted(kinds)):
        if kind in STEPS:
            shown.hint(t(*STEPS[kind]))


def _show_schedules(found: list[Upcoming], config: Config) -> None:
    headings = (
        t("定时", "schedule"),
        t("对象", "audience"),
        t("错过时", "missed"),
        t("长期审批", "standing"),
        t("以后五次", "next five runs"),
    )
    shown.table(headings, [row for one in found for row in _rows(one, config)], whole=(0, 4))


def _rows(one: Upcoming, config: Config) -> Iterator[Sequence[str]]:
    """The runs one under the other; of a paused schedule those that it would have if it were resumed."""
    due = [shown.when(at, config) for at in one.due] or ["—"]
    first, *others = [t("暂停中", "paused"), *due] if one.paused else due
    yield one.name, one.audience, t(*MISSED[one.missed]), t(*STANDING[one.standing]), first
    yield from (("", "", "", "", run) for run in others)


def _show_slots(found: list[Slot], faults: Collection[str], config: Config) -> None:
    if not found:
        return
    headings = (t("时间", "due"), t("定时", "schedule"), t("结果", "outcome"), t("群发", "id"), "")
    rows = [
        (shown.when(one.due_at, config), one.schedule, _outcome(one, faults), one.broadcast_id, _note(one.note))
        for one in sorted(found, key=lambda slot: slot.due_at, reverse=True)
    ]
    shown.table(headings, rows, right=(3,), whole=(0, 1))


def _outcome(slot: Slot, faults: Collection[str]) -> str:
    """A slot's part is done once its texts are written; what then waits for approval is not sent."""
    waits = f"approval:{slot.broadcast_id}" in faults
    return shown.state("composed") if waits else t(*SLOTS[slot.state])


def _note(note: str) -> str:
    zh, _, en = note.partition(" / ")
    return t(zh, en or zh)


@verb("现在就运行一次；--due 指明补发错过的哪一次", "Run it now; --due names a missed slot to run")
def run(
    ctx: typer.Context,
    name: Name,
    due: Annotated[
        str, option("--due", value=("时间", "TIME"), zh="错过的那一次的时间", en="the due time of a missed slot")
    ] = "",
) -> None:
    async def work(gateway: Gateway, by: Official) -> tuple[int, str]:
        at = moment(due, gateway.zone, gateway.clock.now()) if due else None
        broadcast_id = await gateway.schedules.run(name, by=by, due_at=at)
        return broadcast_id, (await gateway.broadcasts.preview(broadcast_id)).state

    broadcast_id, state = caller(ctx).act(work)
    shown.say(t(f"群发 {broadcast_id}：{shown.state(state)}", f"broadcast {broadcast_id}: {shown.state(state)}"))
    if state == "composed":
        shown.hint(
            t(f"请审批：gateway broadcast approve {broadcast_id}", "a person approves it: gateway broadcast approve")
        )


@verb("错过的这一次不补发", "Leave a missed slot unsent")
def skip(
    ctx: typer.Context,
    name: Name,
    due: Annotated[str, argument(("时间", "TIME"), zh="那一次的时间", en="its due time")],
) -> None:
    async def work(gateway: Gateway, by: Official) -> None:
        await gateway.schedules.skip(name, moment(due, gateway.zone, gateway.clock.now()), by=by)

    caller(ctx).act(work)
    shown.say(t("不补发。", "Left unsent."))


@verb("暂停一个定时任务", "Pause a schedule")
def pause(ctx: typer.Context, name: Name) -> None:
    caller(ctx).act(lambda gateway, by: gateway.schedules.pause(name, by=by))
    shown.say(t(f"{name} 已暂停；到时的会记为没有发。", f"{name} is paused; what falls due is skipped, and shown."))


@verb("恢复一个定时任务", "Resume a schedule")
def resume(ctx: typer.Context, name: Name) -> None:
    caller(ctx).act(lambda gateway, by: gateway.schedules.resume(name, by=by))
    shown.say(t(f"{name} 已恢复。", f"{name} runs again."))


@verb(
    "长期审批：照这次群发的模板和对象，在限额之内自动发",
    "Standing approval: like this broadcast, within these ceilings, unasked",
)
def approve(
    ctx: typer.Context,
    name: Name,
    broadcast: Annotated[
        int, option("--broadcast", value=("编号", "ID"), zh="看过的那次群发", en="the broadcast that was looked at")
    ],
    max_people: Annotated[
        int, option("--max-people", value=("人数", "N"), zh="每次最多发给几人", en="at most so many people each time")
    ],
    max_cost: Annotated[
        str, option("--max-cost", value=("金额", "AMOUNT"), zh="每次最多花多少", en="at most this cost each time")
    ],
) -> None:
    ceiling = _amount(max_cost)

    async def work(gateway: Gateway, by: Official) -> None:
        verbs = gateway.broadcasts
        await verbs.stand_for(name, broadcast, max_people=max_people, max_cost=ceiling, by=by)

    who = caller(ctx)
    who.act(work)
    limit = shown.money(ceiling, who.config())
    shown.say(
        t(
            f"{name} 以后自动发：每次不超过 {max_people:,} 人、{limit}；模板或对象一改就失效。",
            f"{name} is sent unasked up to {max_people:,} people and {limit}, until template or audience change.",
        )
    )


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise typer.BadParameter(t(f"金额不对：{text}", f"not an amount: {text}"))
    return amount


@verb("确认系统时钟是对的（时钟曾落后而停发时）", "Confirm that the clock is right, after it was behind")
def confirm_clock(ctx: typer.Context) -> None:
    caller(ctx).act(lambda gateway, by: gateway.schedules.confirm_clock(by=by))
    shown.say(t("已确认，恢复发送。", "Confirmed; sending goes on."))


schedule = noun(
    "定时任务：列出、补发、暂停、长期审批",
    "Schedules: list, run, pause, standing approval",
    list_=list_,
    run=run,
    skip=skip,
    pause=pause,
    resume=resume,
    approve=approve,
    confirm_clock=confirm_clock,
)
