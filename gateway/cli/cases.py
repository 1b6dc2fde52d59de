"""Texts that come in and the cases they become.

Policy
- People's numbers are masked, for lists stand on screens in a hall; `show --full-numbers` is for the clerk who calls
  back. What people wrote is shown as they wrote it, but for numbers in it, which are masked too.
- `inbound` does what an operator's text does: stored first, then handled, here or by a running `serve`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import shown
from gateway.cli.caller import caller
from gateway.cli.help import argument, noun, option, verb
from gateway.cli.language import t
from gateway.cli.tools import JsonFlag
from gateway.errors import NotFound

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.cases import Case, Conversation
    from gateway.config import Config

Number = Annotated[str, argument(("件号", "NUMBER"), zh="件的编号", en="the case's number")]
FullNumbers = Annotated[bool, option("--full-numbers", zh="显示完整号码", en="show whole numbers")]

EVENTS = {
    "text": ("来信", "text"),
    "acknowledged": ("已回执", "acknowledged"),
    "replied": ("答复", "answered"),
    "handed_over": ("转办", "handed over"),
    "closed": ("办结", "closed"),
    "reopened": ("重开", "reopened"),
}
INTENTS = {
    "consult": ("咨询", "consult"),
    "optout": ("退订", "opt-out"),
    "resume": ("恢复订阅", "resume"),
    "help": ("求助菜单", "help"),
    "feedback": ("反映情况", "feedback"),
    "agency": ("代办", "agency"),
    "complaint": ("投诉", "complaint"),
    "status": ("查进度", "status"),
    "rating": ("评价", "rating"),
    "guide": ("办事指南", "guide"),
    "subsidy": ("查补贴", "subsidy"),
    "weather": ("查天气", "weather"),
    "jobs": ("查岗位", "jobs"),
    "signup": ("报名", "sign-up"),
    "thanks": ("致谢，不开件", "thanks: no case"),
    "spam": ("垃圾，不开件", "spam: no case"),
    "unclear": ("归属不清，交首问前台", "unclear: at the front desk"),
    "error": ("没有读懂，交首问前台", "not understood: at the front desk"),
}


IDLE = ("thanks", "spam")
"""Those that open no case; where one is open they go on with it."""


@verb("收一条短信，就像运营商送来的一样", "Take in a text as if an operator had brought it")
def inbound(
    ctx: typer.Context,
    from_: Annotated[str, argument(("号码", "FROM"), zh="谁发的", en="who wrote it")],
    text: Annotated[str, argument(("文字", "TEXT"), zh="写了什么", en="what they wrote")],
    json: JsonFlag = False,
) -> None:
    found = caller(ctx).read(lambda gateway: _take(gateway, from_, text))
    if json:
        return shown.as_json(found)
    intent = found["intent"]
    shown.say(t(*INTENTS.get(intent, (intent, intent))) if intent else t("已存，等待处理", "stored, to be handled"))
    if found["case"]:
        number = found["case"]
        idle = intent in IDLE
        shown.say(t(f"记入件 {number}", f"added to case {number}") if idle else t(f"件号 {number}", f"case {number}"))
    if found["answered"]:
        shown.hint(t("自动答复已排队，由 gateway serve 发送。", "An answer is queued; gateway serve sends it."))
    return None


async def _take(gateway: Gateway, from_: str, text: str) -> dict[str, Any]:
    from gateway.carriers import Received

    stored, _ = await gateway.inbox.take("cli", Received("", from_, "", text, gateway.clock.now()))
    await gateway.inbox.handle_waiting()
    row = next((one for one in await gateway.inbox.texts(limit=200) if one.id == stored), None)
    found = {"id": stored, "intent": None, "case": None, "answered": False}
    if row is None:
        return found
    number = await _case_of(gateway, row) if row.case_id is not None else None
    return {**found, "intent": row.intent, "case": number, "answered": row.message_id is not None}


async def _case_of(gateway: Gateway, text: Any) -> str | None:
    """The number of the case that this text went to."""
    for case in await gateway.cases.list(limit=1000):
        if case.phone == text.phone:
            events = (await gateway.cases.show(case.number)).events
            if any(one.kind == "text" and one.body == text.body and one.at == text.received_at for one in events):
                return case.number
    return None


@verb("待办和已答复的件，先到期的在前", "Cases that are not closed, those due first before the others")
def list_(
    ctx: typer.Context,
    window: Annotated[
        str | None, option("--window", value=("窗口", "CODE"), zh="只列这个窗口的", en="of this window alone")
    ] = None,
    state: Annotated[
        str | None,
        option(
            "--state",
            value=("状态", "STATE"),
            zh="open（待办）、answered（已答复）、closed（已办结）",
            en="open, answered or closed",
        ),
    ] = None,
    limit: Annotated[int, option("--limit", value=("数", "N"), zh="最多列几件", en="at most so many")] = 100,
    json: JsonFlag = False,
) -> None:
    wanted = _state(state)
    who = caller(ctx)
    if window is not None:
        _known_window(who.config(), window)
    found = who.read(lambda gateway: gateway.cases.list(window, wanted, limit=limit))
    if json:
        return shown.as_json([_plain(one, full=False) for one in found])
    if not found:
        return shown.say(t("没有待办的件。", "No such cases."))
    return _show_cases(list(found), who.config())


def _state(word: str | None) -> Any:
    from gateway.model import CaseState

    if word is None:
        return None
    states = {said: state for state in CaseState for said in (state.value, *shown.STATES[state.value])}
    if word not in states:
        listed = [shown.state(state.value) for state in CaseState]
        raise typer.BadParameter(
            t(f"没有状态 {word}；有：{'、'.join(listed)}", f"no state {word}: {', '.join(listed)}")
        )
    return states[word]


def _known_window(config: Config, code: str) -> None:
    if config.hall.window(code) is None:
        codes = [one.code for one in config.hall.windows]
        raise NotFound(f"没有窗口 {code}；有：{'、'.join(codes)}", f"no window {code}: {', '.join(codes)}")


def _show_cases(found: list[Case], config: Config) -> None:
    headings = (
        t("件号", "number"),
        t("窗口", "window"),
        t("状态", "state"),
        t("期限", "due"),
        t("号码", "phone"),
        t("内容", "about"),
    )
    rows = []
    for one in found:
        due = shown.when(one.due_at, config)
        shown_phone, about = _masked(one.phone), _masked_text(one.title) or t("（空白）", "(blank)")
        rows.append((one.number, _window(config, one.window), shown.state(one.state), due, shown_phone, about))
    shown.table(headings, rows, whole=(0, 3, 4))


def _masked(number: str) -> str:
    from gateway import phone

    return phone.mask(number)


def _local(number: str) -> str:
    """As one dials it; a landline keeps its country code, for `phone.local` has no trunk 0."""
    from gateway import phone

    return phone.local(number) if phone.parse(number).mobile else number


def _masked_text(text: str) -> str:
    from gateway import phone

    return phone.mask_text(text)


def _window(config: Config, code: str) -> str:
    window = config.hall.window(code)
    return window.name if window else code


def _plain(one: Case, *, full: bool) -> dict[str, Any]:
    values: dict[str, Any] = shown.plain(one)
    return values if full else {**values, "phone": _masked(one.phone), "title": _masked_text(one.title)}


@verb("看一件：谁在什么时候说了什么", "Look at a case: who said what, and when")
def show(ctx: typer.Context, number: Number, full_numbers: FullNumbers = False, json: JsonFlag = False) -> None:
    who = caller(ctx)
    found = who.read(lambda gateway: gateway.cases.show(number))
    if json:
        masked = [event if full_numbers else replace(event, body=_masked_text(event.body)) for event in found.events]
        events = [shown.plain(event) for event in masked]
        return shown.as_json({**_plain(found.case, full=full_numbers), "events": events})
    return _show_conversation(found, who.config(), full=full_numbers)


def _show_conversation(found: Conversation, config: Config, *, full: bool) -> None:
    case = found.case
    shown.say(f"{t('件', 'Case')} {case.number}  {shown.state(case.state)}")
    rows = [
        (t("窗口", "window"), _window(config, case.window)),
        (t("号码", "phone"), _local(case.phone) if full else _masked(case.phone)),
        (t("来信时间", "opened"), shown.when(case.opened_at, config)),
        (t("期限", "due"), shown.when(case.due_at, config)),
        (t("办结时间", "closed"), shown.when(case.closed_at, config)),
        (t("回的群发", "about broadcast"), case.broadcast_id),
    ]
    shown.facts(rows)
    for event in found.events:
        body = event.body if full else _masked_text(event.body)
        moved = (
            f"{_window(config, event.data['from'])} → {_window(config, event.data['to'])} "
            if event.data.get("to")
            else ""
        )
        kind = t(*EVENTS.get(event.kind, (event.kind, event.kind)))
        title = f"{shown.when(event.at, config)}  {kind}  {_who(event.who)}"
        shown.text_box(title.rstrip(), f"{moved}{body}")


def _who(login: str) -> str:
    from gateway.officials import SYSTEM

    return t("系统", "system") if login == SYSTEM.login else login


@verb("答复来信人", "Answer the person")
def reply(
    ctx: typer.Context, number: Number, text: Annotated[str, argument(("答复", "TEXT"), zh="答复", en="the answer")]
) -> None:
    caller(ctx).act(lambda gateway, by: gateway.cases.reply(number, text, by=by))
    shown.say(t("已答复；由 gateway serve 发送。", "Answered; gateway serve sends it."))


@verb("转给另一个窗口，写明原因", "Hand over to another window, with the reason")
def handover(
    ctx: typer.Context,
    number: Number,
    window: Annotated[str, argument(("窗口", "WINDOW"), zh="windows.toml 里的代码", en="its code in windows.toml")],
    reason: Annotated[str, argument(("原因", "REASON"), zh="为什么", en="why")],
) -> None:
    caller(ctx).act(lambda gateway, by: gateway.cases.handover(number, window, reason, by=by))
    shown.say(t(f"已转给 {window}。", f"Handed over to {window}."))


@verb("办结，可以带最后的答复", "Close, with a last answer if there is one")
def close(
    ctx: typer.Context,
    number: Number,
    text: Annotated[str | None, argument(("答复", "TEXT"), zh="最后的答复", en="the last answer")] = None,
) -> None:
    caller(ctx).act(lambda gateway, by: gateway.cases.close(number, text, by=by))
    shown.say(t("已办结。", "Closed."))


cases = noun(
    "来信成的件：列出、答复、转办、办结",
    "Cases: list, answer, hand over, close",
    list_=list_,
    show=show,
    reply=reply,
    handover=handover,
    close=close,
)
