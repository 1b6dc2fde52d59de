"""The verbs of clerks: what texts that came in have become, and what is done with it.

Policy
- People's numbers are masked, for lists stand on screens in a hall; `show --full-numbers` is for the clerk who calls
  back. What people wrote is shown as they wrote it, but for numbers in it, which are masked too.
- With `--as` a list or a case is what that official may see of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import casebook, shown
from gateway.cli.caller import Caller, caller
from gateway.cli.help import argument, noun, option, verb
from gateway.cli.language import t
from gateway.cli.tools import JsonFlag
from gateway.errors import NotFound, Refused

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.cases import Case, Conversation
    from gateway.config import Config
    from gateway.officials import Official

Number = Annotated[str, argument(("件号", "NUMBER"), zh="件的编号", en="the case's number")]
FullNumbers = Annotated[bool, option("--full-numbers", zh="显示完整号码", en="show whole numbers")]


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
            zh="open（待办）、answered（已答复）、waiting（等材料）、closed（已办结）",
            en="open, answered, waiting or closed",
        ),
    ] = None,
    limit: Annotated[int, option("--limit", value=("数", "N"), zh="最多列几件", en="at most so many")] = 100,
    json: JsonFlag = False,
) -> None:
    wanted = _state(state)
    who = caller(ctx)
    if window is not None:
        _known_window(who.config(), window)
    return _listed(
        who,
        lambda gateway, by: gateway.cases.list(window, wanted, limit=limit, by=by),
        t("没有待办的件。", "No such cases."),
        json=json,
    )


def _listed(
    who: Caller,
    find: Callable[[Gateway, Official | None], Awaitable[Sequence[Case]]],
    none: str,
    *,
    json: bool,
) -> None:
    """Cases with the time that is left of each; `none` where there are none."""

    async def work(gateway: Gateway, by: Official | None) -> tuple[Sequence[Case], list[tuple[str, str]], datetime]:
        found = await find(gateway, by)
        return found, [gateway.cases.left(one) for one in found], gateway.clock.now()

    found, left, now = who.look(work)
    if json:
        return shown.as_json([casebook.plain(one, full=False) for one in found])
    if not found:
        return shown.say(none)
    return casebook.table(found, left, now, who.config())


def _state(word: str | None) -> Any:
    from gateway.model import CaseState

    if word is None:
        return None
    states = {said: state for state in CaseState for said in (state.value, *casebook.STATES[state.value])}
    if word not in states:
        listed = [casebook.state(state.value) for state in CaseState]
        raise typer.BadParameter(
            t(f"没有状态 {word}；有：{'、'.join(listed)}", f"no state {word}: {', '.join(listed)}")
        )
    return states[word]


def _known_window(config: Config, code: str) -> None:
    if config.hall.window(code) is None:
        codes = [one.code for one in config.hall.windows]
        raise NotFound(f"没有窗口 {code}；有：{'、'.join(codes)}", f"no window {code}: {', '.join(codes)}")


@verb("看一件：谁在什么时候说了什么", "Look at a case: who said what, and when")
def show(
    ctx: typer.Context,
    number: Number,
    why: Annotated[bool, option("--why", zh="说明每个期限是怎么算的", en="explain every due date")] = False,
    full_numbers: FullNumbers = False,
    json: JsonFlag = False,
) -> None:
    async def work(gateway: Gateway, by: Official | None) -> tuple[Conversation, tuple[str, str]]:
        found = await gateway.cases.show(number, by=by)
        return found, gateway.cases.left(found.case)

    who = caller(ctx)
    found, left = who.look(work)
    if json:
        return casebook.as_json(found, full=full_numbers)
    casebook.conversation(found, left, who.config(), full=full_numbers)
    return casebook.why(found, who.config()) if why else None


@verb("签收：这件归我办", "Sign for a case: it is mine")
def sign(ctx: typer.Context, number: Number) -> None:
    caller(ctx).act(lambda gateway, by: gateway.cases.sign(number, by=by))
    shown.say(t("已签收。", "Signed."))


Answer = Annotated[
    str, argument(("答复", "TEXT"), zh="答复；@名字 用存好的答复", en="the answer; @NAME is one that was kept")
]


def _answer(ctx: typer.Context, text: str) -> str:
    from gateway.cases.kept import kept

    return kept(caller(ctx).directory(), text[1:]) if text.startswith("@") else text


@verb("答复来信人", "Answer the person")
def reply(ctx: typer.Context, number: Number, text: Answer) -> None:
    said = _answer(ctx, text)
    caller(ctx).act(lambda gateway, by: gateway.cases.reply(number, said, by=by))
    shown.say(t("已答复；由 gateway serve 发送。", "Answered; gateway serve sends it."))


@verb("电话答复了：记下说了什么，给来信人发小结", "Answered by phone: note what was said, and text it")
def called(
    ctx: typer.Context,
    number: Number,
    summary: Annotated[str, argument(("小结", "SUMMARY"), zh="电话里说了什么", en="what was said")],
    keep_open: Annotated[bool, option("--keep-open", zh="还没办完，不办结", en="not finished yet")] = False,
) -> None:
    caller(ctx).act(lambda gateway, by: gateway.cases.called(number, summary, by=by, close=not keep_open))
    shown.say(t("已记下。", "Noted.") if keep_open else t("已记下并办结。", "Noted and closed."))


@verb("要材料：一次说全，等材料时停表", "Ask for papers, all at once; the clock stops meanwhile")
def papers(
    ctx: typer.Context,
    number: Number,
    names: Annotated[
        list[str] | None,
        argument(("材料", "PAPERS"), zh="差的材料；不写就是该事项的全部材料", en="without names those of its item"),
    ] = None,
) -> None:
    breach = caller(ctx).act(lambda gateway, by: gateway.cases.ask_papers(number, names or (), by=by))
    shown.say(t("已告知，时限停着。", "Told; the clock stands still."))
    if breach:
        shown.hint(t("头一次没说全，已记为“未一次告知”。", "Not all were told the first time: recorded as a breach."))


@verb("材料到了，接着计时", "The papers came: the clock runs again")
def came(ctx: typer.Context, number: Number) -> None:
    caller(ctx).act(lambda gateway, by: gateway.cases.papers_came(number, by=by))
    shown.say(t("已记下，时限接着走。", "Noted; the clock runs again."))


@verb("申请延期，等主任批", "Ask for an extension, which a director grants")
def extend(
    ctx: typer.Context,
    number: Number,
    days: Annotated[int, argument(("工作日", "DAYS"), zh="延长几个工作日", en="working days")],
    reason: Annotated[str, argument(("原因", "REASON"), zh="为什么", en="why")],
) -> None:
    caller(ctx).act(lambda gateway, by: gateway.cases.ask_extension(number, days, reason, by=by))
    shown.say(t("已申请，等主任批。", "Asked for; a director decides."))


@verb("批延期：准了告诉来信人", "Decide an extension; if granted, the person is told")
def extension(
    ctx: typer.Context,
    number: Number,
    refuse: Annotated[bool, option("--refuse", zh="不准", en="refuse it")] = False,
    reason: Annotated[str, option("--reason", value=("原因", "TEXT"), zh="不准的原因", en="why it is refused")] = "",
) -> None:
    caller(ctx).act(lambda gateway, by: gateway.cases.decide_extension(number, not refuse, by=by, reason=reason))
    shown.say(t("没有准。", "Refused.") if refuse else t("已准，已告知来信人。", "Granted, and the person is told."))


@verb("转给另一个窗口，写明原因", "Hand over to another window, with the reason")
def handover(
    ctx: typer.Context,
    number: Number,
    window: Annotated[str, argument(("窗口", "WINDOW"), zh="windows.toml 里的代码", en="its code in windows.toml")],
    reason: Annotated[str, argument(("原因", "REASON"), zh="为什么", en="why")],
) -> None:
    who = caller(ctx)
    who.act(lambda gateway, by: gateway.cases.handover(number, window, reason, by=by))
    shown.say(t(f"已转给{casebook.window(who.config(), window)}。", f"Handed over to {window}."))


@verb("退回：派错了窗口", "Hand back: it was assigned wrongly")
def back(
    ctx: typer.Context,
    number: Number,
    reason: Annotated[str, argument(("原因", "REASON"), zh="为什么", en="why")],
) -> None:
    caller(ctx).act(lambda gateway, by: gateway.cases.hand_back(number, reason, by=by))
    shown.say(t("已退回。", "Handed back."))


@verb("把几条来信拆成另一件", "Make a case of its own of some texts")
def split(
    ctx: typer.Context,
    number: Number,
    window: Annotated[str, argument(("窗口", "WINDOW"), zh="拆出的交哪个窗口", en="the window it goes to")],
    texts: Annotated[list[int], argument(("第几条", "TEXTS"), zh="第几条来信，从 1 数起", en="which texts, from 1")],
) -> None:
    async def act(gateway: Gateway, by: Official) -> str:
        events = (await gateway.cases.show(number, by=by)).events
        said = [event.id for event in events if event.kind == "text"]
        wrong = [n for n in texts if not 1 <= n <= len(said)]
        if wrong:
            raise NotFound(f"来信只有 {len(said)} 条，没有第 {wrong[0]} 条", f"{len(said)} texts, none is {wrong[0]}")
        return await gateway.cases.split(number, [said[n - 1] for n in texts], window, by=by)

    new = caller(ctx).act(act)
    shown.say(t(f"拆出 {new}。", f"Split off: {new}."))


@verb("两件其实是一件：并到另一件", "Two cases are one: merge into the other")
def merge(
    ctx: typer.Context,
    number: Number,
    into: Annotated[str, argument(("并入", "INTO"), zh="并到哪一件", en="into which case")],
) -> None:
    caller(ctx).act(lambda gateway, by: gateway.cases.merge(number, into, by=by))
    shown.say(t(f"已并入 {into}。", f"Merged into {into}."))


@verb("同时分给几个窗口办", "Give a case to several windows side by side")
def parts(
    ctx: typer.Context,
    number: Number,
    windows: Annotated[list[str], argument(("窗口", "WINDOWS"), zh="哪几个窗口", en="their codes")],
) -> None:
    numbers = caller(ctx).act(lambda gateway, by: gateway.cases.open_subs(number, windows, by=by))
    shown.say(t(f"分办件：{' '.join(numbers)}", f"Parts: {' '.join(numbers)}"))


@verb("代办到了哪一步，告诉来信人", "A step of an errand is done; it is told to the person")
def step(
    ctx: typer.Context,
    number: Number,
    said: Annotated[str, argument(("进度", "STEP"), zh="办到哪一步", en="which step")],
) -> None:
    caller(ctx).act(lambda gateway, by: gateway.cases.step(number, said, by=by))
    shown.say(t("已告知。", "Told."))


@verb("问的差不多的件", "Open cases that ask much the same")
def alike(ctx: typer.Context, number: Number, json: JsonFlag = False) -> None:
    _listed(
        caller(ctx),
        lambda gateway, by: gateway.cases.alike(number, by=by),
        t("没有差不多的件。", "None asks the same."),
        json=json,
    )


@verb("一个答复给几件，可以存起来以后再用", "One answer to many cases, kept if it is to be used again")
def answer_all(
    ctx: typer.Context,
    text: Answer,
    numbers: Annotated[list[str], argument(("件号", "NUMBERS"), zh="哪几件", en="which cases")],
    close: Annotated[bool, option("--close", zh="答完就办结", en="which finishes them")] = False,
    keep: Annotated[
        str | None, option("--keep", value=("名字", "NAME"), zh="存成这个名字的答复", en="keep it under this name")
    ] = None,
) -> None:
    from gateway.cases import kept

    said = _answer(ctx, text)
    sent = caller(ctx).act(lambda gateway, by: gateway.cases.answer_all(numbers, said, by=by, close=close))
    n = len(sent)
    done = t(f"已答复并办结 {n} 件。", f"{n} cases answered and closed.")
    shown.say(done if close else t(f"已答复 {n} 件。", f"{n} cases answered."))
    if keep:
        path = kept.keep(caller(ctx).directory(), keep, said)
        shown.say(t(f"已存：{path}，以后用 @{keep}", f"kept: {path}; use @{keep}"))


@verb("存好的答复：名字和内容，用的时候写 @名字", "Answers that were kept; use one as @NAME")
def answers(ctx: typer.Context, json: JsonFlag = False) -> None:
    from gateway.cases import kept

    found = kept.everything(caller(ctx).directory())
    if json:
        return shown.as_json(found)
    if not found:
        return shown.say(t("还没有存过答复。", "No answers are kept."))
    return shown.table((t("名字", "name"), t("答复", "answer")), list(found.items()))


@verb("更正：替谁问、姓名、别的系统的编号、保密、换号……", "Correct what is known of a case")
def mark(
    ctx: typer.Context,
    number: Number,
    name: Annotated[str | None, option("--name", value=("姓名", "NAME"), zh="来信人", en="who writes")] = None,
    behalf: Annotated[str | None, option("--behalf", value=("姓名", "NAME"), zh="替谁问", en="for whom")] = None,
    external: Annotated[
        str | None, option("--external", value=("编号", "NUMBER"), zh="别的系统的编号，如 12345", en="number elsewhere")
    ] = None,
    kind: Annotated[str | None, option("--kind", value=("类型", "KIND"), zh="类型", en="kind")] = None,
    item: Annotated[str | None, option("--item", value=("事项", "ITEM"), zh="事项代码", en="code of its item")] = None,
    about: Annotated[
        str | None, option("--about", value=("窗口", "WINDOW"), zh="投诉的是哪个窗口", en="window complained about")
    ] = None,
    phone: Annotated[
        str | None, option("--phone", value=("号码", "NUMBER"), zh="换了号码", en="changed number")
    ] = None,
    restricted: Annotated[
        bool | None, option("--restricted/--not-restricted", zh="保密 / 不保密", en="restricted or not")
    ] = None,
    urgent: Annotated[bool | None, option("--urgent/--not-urgent", zh="急件 / 不急", en="urgent or not")] = None,
    publish: Annotated[
        bool | None, option("--publish/--not-publish", zh="办结后可以公开 / 不公开", en="may be published or not")
    ] = None,
) -> None:
    changes = {"name": name, "behalf": behalf, "external": external, "kind": kind, "item": item, "about": about}
    flags = {"phone": phone, "restricted": restricted, "urgent": urgent, "publish": publish}
    caller(ctx).act(lambda gateway, by: gateway.cases.mark(number, by=by, **changes, **flags))
    shown.say(t("已更正。", "Corrected."))


@verb("办结，可以带最后的答复", "Close, with a last answer if there is one")
def close(
    ctx: typer.Context,
    number: Number,
    text: Annotated[str | None, argument(("答复", "TEXT"), zh="最后的答复", en="the last answer")] = None,
    how: Annotated[
        str,
        option(
            "--how",
            value=("方式", "HOW"),
            zh="text（短信）、phone（电话）、counter（窗口）、spot（当场）",
            en="text, phone, counter or spot",
        ),
    ] = "text",
    publish: Annotated[bool | None, option("--publish", zh="可以公开（隐去姓名号码）", en="may be published")] = None,
) -> None:
    said = _answer(ctx, text) if text else None
    caller(ctx).act(lambda gateway, by: gateway.cases.close(number, said, by=by, how=how, publish=publish))
    shown.say(t("已办结。", "Closed."))


# -- lists for others ------------------------------------------------------------------------------------------

Since = Annotated[str | None, option("--since", value=("日期", "DATE"), zh="从这天起，缺省本月1日", en="from this day")]
Until = Annotated[str | None, option("--until", value=("日期", "DATE"), zh="到这天，含", en="to this day, included")]
File = Annotated[Path, argument(("文件", "FILE"), zh="新的 .xlsx", en="a new .xlsx")]


def _span(gateway: Gateway, since: str | None, until: str | None) -> tuple[datetime, datetime]:
    """The days asked for, on the site's clock; this month without any."""
    today = gateway.clock.now().astimezone(gateway.zone).date()
    first, last = _date(since) or today.replace(day=1), _date(until) or today
    return (
        datetime.combine(first, time(), gateway.zone),
        datetime.combine(last + timedelta(days=1), time(), gateway.zone),
    )


def _date(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise typer.BadParameter(t(f"日期应写作 2026-07-01：{text}", f"a date is written 2026-07-01: {text}")) from None


@verb("导出成 12345 平台能导入的表", "Export for a hotline platform to import")
def export(
    ctx: typer.Context,
    file: File,
    since: Since = None,
    until: Until = None,
    external: Annotated[bool, option("--external", zh="只要有外部编号的", en="only those with a number there")] = False,
) -> None:
    from gateway.cases import EXPORT
    from gateway.cli import spreadsheet

    spreadsheet.free_path(file)

    async def act(gateway: Gateway, by: Official) -> Sequence[Sequence[str]]:
        return await gateway.cases.export(*_span(gateway, since, until), by=by, external_only=external)

    rows = caller(ctx).act(act)
    spreadsheet.write(file, {"工单": (EXPORT, rows)})
    shown.say(t(f"已导出 {len(rows)} 件到 {file}", f"{len(rows)} cases exported to {file}"))


@verb("公开的件：隐去号码、姓名和村名", "What may be published, without numbers, names and villages")
def published(ctx: typer.Context, since: Since = None, until: Until = None, json: JsonFlag = False) -> None:
    found = caller(ctx).read(lambda gateway: gateway.cases.published(*_span(gateway, since, until)))
    if json:
        return shown.as_json([one._asdict() for one in found])
    if not found:
        return shown.say(t("没有可以公开的件。", "Nothing to publish."))
    for one in found:
        shown.text_box(f"{one.month}  {one.kind}  {one.window}", t("问：", "asked: ") + one.question)
        shown.text_box("", t("答：", "answer: ") + one.answer)
    return None


@verb("把改正过的件记成例句，大厅下次就认得", "Learn from cases that were corrected, so that texts are read better")
def learn(ctx: typer.Context, since: Since = None, until: Until = None) -> None:
    async def act(gateway: Gateway, by: Official) -> int:
        from gateway.triage import Question, load
        from gateway.triage import learn as teach
        from gateway.words import Intent

        found = await gateway.cases.corrected(*_span(gateway, since, until), by=by)
        directory, windows, name = gateway.config.directory, gateway.config.hall.windows, gateway.config.questions
        if name is None:
            raise Refused("config.toml 的 [hall] 里没有 questions", "config.toml names no questions under [hall]")
        known = {one.text for one in load(directory, windows, name)}
        new = [Question(one.text, one.window, Intent(one.intent), one.item) for one in found if one.text not in known]
        if new:
            teach(directory, new, name)
        return len(new)

    n = caller(ctx).act(act)
    shown.say(t(f"学了 {n} 条；serve 重启后生效。", f"{n} examples learned; they hold when serve starts again."))


cases = noun(
    "来信成的件：列出、签收、答复、转办、办结",
    "Cases: list, sign for, answer, hand over, close",
    list_=list_,
    show=show,
    sign=sign,
    reply=reply,
    called=called,
    papers=papers,
    came=came,
    extend=extend,
    extension=extension,
    handover=handover,
    back=back,
    step=step,
    close=close,
    split=split,
    merge=merge,
    parts=parts,
    alike=alike,
    answer_all=answer_all,
    answers=answers,
    mark=mark,
    export=export,
    published=published,
    learn=learn,
)
