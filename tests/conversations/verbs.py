"""What an official of the hall does with a case, by the words that conversations have for it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence

from gateway.officials import Official
from tests.desk import Hall

Names = Mapping[str, str]
Act = Callable[[Hall, str, str, str, Official], Awaitable[object]]
"""Hall, the case's number, what stands behind it, the words after the bracket, and who does it."""


def window(hall: Hall, name: str) -> str:
    """The code of the window of that name."""
    return next(one.code for one in hall.config.hall.windows if one.name == name)


def numbers(names: Names, said: str) -> Sequence[str]:
    """Case numbers of {乙}、{丙}."""
    return [names[name] for name in re.findall(r"\{(\w+)\}", said)]


def verbs(names: Names) -> Mapping[str, Act]:
    """The verbs; `names` are case numbers by what the file calls them."""
    return {
        **_VERBS,
        "并入": lambda hall, number, about, text, by: hall.cases.merge(number, *numbers(names, about), by=by),
        "一并答复": lambda hall, number, about, text, by: hall.cases.answer_all(
            [number, *numbers(names, about)], text, by=by
        ),
    }


_VERBS: Mapping[str, Act] = {
    "答复": lambda hall, number, about, text, by: hall.cases.reply(number, text, by=by),
    "办结": lambda hall, number, about, text, by: hall.cases.close(number, text or None, by=by),
    "当场办结": lambda hall, number, about, text, by: hall.cases.close(number, text or None, by=by, how="spot"),
    "来电答复": lambda hall, number, about, text, by: hall.cases.called(number, text, by=by, close=False),
    "来电办结": lambda hall, number, about, text, by: hall.cases.called(number, text, by=by),
    "签收": lambda hall, number, about, text, by: hall.cases.sign(number, by=by),
    "要材料": lambda hall, number, about, text, by: hall.cases.ask_papers(number, text.split("、"), by=by),
    "收到材料": lambda hall, number, about, text, by: hall.cases.papers_came(number, by=by),
    "转办": lambda hall, number, about, text, by: hall.cases.handover(number, window(hall, about), text, by=by),
    "退回": lambda hall, number, about, text, by: hall.cases.hand_back(number, text, by=by),
    "申请延期": lambda hall, number, about, text, by: hall.cases.ask_extension(number, int(about), text, by=by),
    "准延期": lambda hall, number, about, text, by: hall.cases.decide_extension(number, True, by=by),
    "不准延期": lambda hall, number, about, text, by: hall.cases.decide_extension(number, False, by=by, reason=text),
    "办到": lambda hall, number, about, text, by: hall.cases.step(number, text, by=by),
    "换号": lambda hall, number, about, text, by: hall.cases.mark(number, by=by, phone=about),
    "拆出": lambda hall, number, about, text, by: _split(hall, number, about, text, by),
    "分办": lambda hall, number, about, text, by: hall.cases.open_subs(
        number, [window(hall, name) for name in about.split("、")], by=by
    ),
}


async def _split(hall: Hall, number: str, about: str, text: str, by: Official) -> None:
    """The texts of a case that hold these words become a case of their own."""
    events = (await hall.cases.show(number)).events
    chosen = [event.id for event in events if event.kind == "text" and text in event.body]
    await hall.cases.split(number, chosen, window(hall, about), by=by)
