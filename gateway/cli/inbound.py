"""A text taken in by hand, as an operator's would be: stored first, then handled, here or by a running `serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import shown
from gateway.cli.caller import caller
from gateway.cli.help import argument, verb
from gateway.cli.language import t
from gateway.cli.tools import JsonFlag

if TYPE_CHECKING:
    from gateway.app import Gateway

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
    "answer": ("回答了大厅的提问", "an answer to our question"),
    "held": ("等回答是哪件事", "waits for which matter is meant"),
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
    await gateway.inbox.handle_now(from_)
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
