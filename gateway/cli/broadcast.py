"""Broadcasts from the keyboard: draft, look, approve, watch, stop, settle.

Policy
- Drafting composes at once: what is shown is what is stored, and what is approved.
- Approving shows the preview and asks for the number of people to be typed; `--people` types it for a script. The
  digest approved is the one shown, or `--digest` from an earlier look.
- Numbers are masked everywhere; a report written to a file holds what whoever calls on people needs.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import shown
from gateway.cli.caller import caller
from gateway.cli.fields import (
    ColumnFlag,
    SetFields,
    SheetFlag,
    TemplateName,
    ToNumber,
    audience,
    columns,
    fields,
    moment,
)
from gateway.cli.help import argument, noun, option, verb
from gateway.cli.language import t
from gateway.cli.reports import OutFile, show_broadcast, show_left_behind
from gateway.cli.tools import FILE, JsonFlag
from gateway.errors import Conflict, NotFound, Refused

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.broadcasts import Draft, Preview
    from gateway.broadcasts.watch import Paused
    from gateway.config import Config
    from gateway.officials import Official
    from gateway.reports import Told

Id = Annotated[int, argument(("编号", "ID"), zh="群发的编号", en="the broadcast's id")]


# --- draft, compose ------------------------------------------------------------------------------------------


@verb("起草一次群发，立即生成并给出预览", "Draft a broadcast, compose it at once and show the preview")
def draft(
    ctx: typer.Context,
    template: TemplateName,
    set_: SetFields = None,
    audience_: Annotated[
        str | None,
        option("--audience", value=("人群", "NAME"), zh="config.toml 里的人群", en="an audience of config.toml"),
    ] = None,
    area: Annotated[str, option("--area", value=("代码", "CODE"), zh="区划代码", en="an area's code")] = "",
    village: Annotated[
        list[str] | None, option("--village", value=("村", "NAME"), zh="村，可写多次", en="a village; may be repeated")
    ] = None,
    tag: Annotated[
        list[str] | None, option("--tag", value=("标签", "TAG"), zh="标签，可写多次", en="a tag; may be repeated")
    ] = None,
    sex: Annotated[str, option("--sex", value=("性别", "SEX"), zh="男 或 女", en="男 or 女")] = "",
    age: Annotated[
        str, option("--age", value=("年龄", "AGES"), zh="周岁：18-22、60- 或 18", en="years: 18-22, 60- or 18")
    ] = "",
    away: Annotated[
        bool | None, option("--away/--home", zh="只发在外的／只发在家的", en="those who are away / at home alone")
    ] = None,
    list_: Annotated[
        Path | None, option("--list", value=FILE, zh="名单，放在站点目录里", en="a list within the site")
    ] = None,
    payout: Annotated[
        Path | None,
        option(
            "--payout", value=FILE, zh="发放表：一人一条，与花名册核对", en="a payout sheet: one text each, checked"
        ),
    ] = None,
    column: ColumnFlag = None,
    sheet: SheetFlag = None,
    at: Annotated[
        str,
        option(
            "--at", value=("时间", "TIME"), zh="不早于：2026-07-01 09:00 或 09:00", en="not before: 2026-07-01 09:00"
        ),
    ] = "",
    key: Annotated[
        str | None,
        option("--key", value=("键", "KEY"), zh="同一个键只起草一次", en="the same key is the same broadcast"),
    ] = None,
    instead_of: Annotated[
        int | None,
        option(
            "--instead-of",
            value=("编号", "ID"),
            zh="改写已停下的这一次，收到过的人不再发",
            en="words a stopped broadcast anew; who got that one is left out",
        ),
    ] = None,
    note: Annotated[str, option("--note", value=("备注", "TEXT"), zh="给审批人的话", en="a word to the approver")] = "",
    json: JsonFlag = False,
) -> None:
    chosen = {"area": area, "villages": village, "tags": tag, "sex": sex, "age": age, "away": away}
    options = {name: value for name, value in chosen.items() if value not in ("", None)}
    if payout is not None and (options or audience_ or list_):
        raise typer.BadParameter(t("--payout 不能再选人", "--payout chooses the people: no other choice beside it"))

    async def work(gateway: Gateway, by: Official) -> Preview:
        from gateway.broadcasts import Draft

        wanted = Draft(
            template=template,
            fields=fields(set_),
            audience=audience(gateway.config, audience_, options, list_),
            not_before=moment(at, gateway.zone, gateway.clock.now()) if at else None,
            key=key,
            list_file=_readable(payout),
            columns=columns(column),
            sheet=sheet,
            note=note,
            instead_of=instead_of,
        )
        return await _draft(gateway, wanted, by)

    _show_drafted(ctx, work, json=json)


def _show_drafted(ctx: typer.Context, work: Callable[[Gateway, Official], Awaitable[Preview]], *, json: bool) -> None:
    who = caller(ctx)
    found = who.act(work)
    _show_preview(found, who.config(), json=json)
    if found.state == "composed":
        step = f"gateway broadcast approve {found.id} --as"
        shown.hint(t(f"下一步，由另一人审批：{step} 登录名", f"next, by another official: {step} LOGIN"))


def _readable(file: Path | None) -> Path | None:
    if file is not None and not file.is_file():
        raise NotFound(f"找不到文件 {file}", f"there is no file {file}")
    return file


async def _draft(gateway: Gateway, wanted: Draft, by: Official) -> Preview:
    """Composed, unless the same key was drafted and composed before."""
    broadcast_id = await gateway.broadcasts.draft(wanted, by=by)
    known = await gateway.broadcasts.preview(broadcast_id)
    if known.state != "draft":
        return known
    return await _compose(gateway, broadcast_id, by)


async def _compose(gateway: Gateway, broadcast_id: int, by: Official) -> Preview:
    with shown.progress(t("正在生成，已看人数", "composing, people so far")) as moved:
        return await gateway.broadcasts.compose(broadcast_id, by=by, progress=moved)


@verb("按现在的花名册重新生成", "Compose anew from the roster as it is now")
def compose(ctx: typer.Context, broadcast: Id, json: JsonFlag = False) -> None:
    _show_drafted(ctx, lambda gateway, by: _compose(gateway, broadcast, by), json=json)


# --- show ----------------------------------------------------------------------------------------------------


@verb("看一次群发：人数、费用、样文、发到哪一步", "Look at a broadcast: people, cost, sample texts, how far it is")
def show(
    ctx: typer.Context,
    broadcast: Id,
    name: Annotated[
        list[str] | None,
        option("--name", value=("姓名", "NAME"), zh="看这个人收到的样子，可写多次", en="what this person gets"),
    ] = None,
    to_manager: Annotated[
        bool,
        option(
            "--to-manager",
            zh="系统停下的：给运营商客户经理的话，可直接转发",
            en="of one that the system stopped: a message for the account manager, ready to send",
        ),
    ] = False,
    json: JsonFlag = False,
) -> None:
    async def work(gateway: Gateway) -> tuple[Preview, dict[str, int], Paused | None]:
        found = await gateway.broadcasts.preview(broadcast, names=name or ())
        return found, await gateway.broadcasts.counts(broadcast), await gateway.watch.paused(broadcast)

    who = caller(ctx)
    if to_manager:
        messages = who.read(lambda gateway: gateway.watch.to_manager(broadcast))
        return shown.as_json(messages) if json else shown.say("\n\n".join(messages))
    found, counts, paused = who.read(work)
    if name and not found.samples:
        shown.hint(t(f"名单里没有 {'、'.join(name)}", f"no text to {', '.join(name)}"))
    _show_preview(found, who.config(), counts, paused, json=json)
    return None if paused is None or json else _what_next(found)


def _what_next(found: Preview) -> None:
    """What a person may do with a broadcast that the system has stopped."""
    show = f"gateway broadcast show {found.id} --to-manager"
    draft = f"gateway broadcast draft {found.template}"
    go_on, drop = f"gateway broadcast resume {found.id}", f"gateway broadcast cancel {found.id}"
    shown.hint(t(f"问运营商：{show}", f"ask the operator: {show}"))
    shown.hint(
        t(f"改写：{draft} --instead-of {found.id}，只发没收到的人", f"word it anew: {draft} --instead-of {found.id}")
    )
    shown.hint(t(f"照旧继续：{go_on}；不发了：{drop}", f"go on as it is: {go_on}; drop it: {drop}"))


def _show_preview(
    found: Preview,
    config: Config,
    counts: Mapping[str, int] | None = None,
    paused: Paused | None = None,
    *,
    json: bool = False,
) -> None:
    if json:
        more = {"counts": counts, "paused": paused}
        return shown.as_json({**shown.plain(found), **{name: one for name, one in more.items() if one}})
    shown.say(f"{t('群发', 'Broadcast')} {found.id}  {found.title}（{found.template}）  {shown.state(found.state)}")
    shown.facts(_preview_facts(found, config))
    if paused is not None:
        _show_paused(paused, config)
    shown.left_out_table(found.left_out)
    _show_findings(found)
    shown.texts(found.samples)
    if counts and found.state in ("approved", "stopped", "cancelled"):
        _show_counts(counts)
    return None


def _preview_facts(found: Preview, config: Config) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [
        (t("人数", "people"), f"{found.people:,}"),
        (t("短信", "texts"), shown.count(found.texts, "条", "texts")),
        (t("计费", "billed"), shown.count(found.parts, "段", "parts")),
        (t("费用", "cost"), shown.money(found.cost, config)),
        (t("发送", "sent"), _window(found, config)),
        (t("时段", "hours"), found.hours or t("全天", "any")),
        (t("起草", "author"), found.author),
        (t("没有通道", "unreached"), _unreached(found)),
        (t("摘要", "digest"), found.digest and found.digest[:16]),
    ]
    return rows


def _show_findings(found: Preview) -> None:
    """What the accounts say of it; what keeps it from being approved comes first."""
    for one in sorted(found.findings, key=lambda one: not one.refuses):
        mark = t("不能批准", "cannot be approved") if one.refuses else t("注意", "note")
        shown.say(t(f"{mark}：{one.zh}", f"{mark}: {one.en}"))


def _show_paused(found: Paused, config: Config) -> None:
    when = shown.when(found.at, config)
    shown.say(
        t(
            f"{when} 系统自动停下：最近没发成的 {found.among} 条里，{found.answers} 条是内容、签名或账号的问题",
            f"stopped by the system, {when}: {found.answers} of its last {found.among} failures are about its content, "
            "its signature or the account",
        )
    )
    headings = (t("账号", "account"), t("代码", "code"), t("条数", "texts"), t("意思", "meaning"))
    rows = [(one.account, one.code or "—", one.texts, t(one.zh, one.en)) for one in found.codes]
    shown.table(headings, rows, right=(2,))


PENDING = ("due", "draft", "composing", "composed")


def _window(found: Preview, config: Config) -> str:
    """When it may leave; before it is approved, from when on."""
    until = _day_time(found.expires_at, config)
    if found.state not in PENDING:
        start = _day_time(found.not_before, config) if found.not_before else t("批准后", "once approved")
        return f"{start} — {until}{_closed(found)}"
    if found.leaves_at is None:
        return t(f"{until} 到期，之前没有可发的时段", f"expires {until}, before any open hour")
    start = _day_time(found.leaves_at, config)
    return t(f"{start} 起，{until} 止", f"from {start} until {until}") + _closed(found)


def _closed(found: Preview) -> str:
    return t("（现在不在可发时段）", " (outside its hours now)") if found.outside_hours else ""


def _day_time(moment: datetime | None, config: Config) -> str:
    """`7月1日 09:00`; what is previewed leaves within days, so the year is left out."""
    if moment is None:
        return ""
    wall = moment.astimezone(config.site.zone)
    return t(f"{wall.month}月{wall.day}日 {wall:%H:%M}", f"{wall:%b} {wall.day} {wall:%H:%M}")


def _unreached(found: Preview) -> str:
    """`1042人是联通、电信号码，此账号只发移动`."""
    if not found.unreached:
        return ""
    people, of = sum(found.unreached.values()), [one or t("不明", "unknown") for one in found.unreached]
    if not found.reaches:
        return t(f"{people}人：没有账号发这类通知", f"{people} people: no account carries this category")
    whose = t("此账号", "this account") if len(found.accounts) == 1 else t("这些账号", "these accounts")
    reaches = t("、", ", ").join(found.reaches)
    return t(
        f"{people}人是{'、'.join(of)}号码，{whose}只发{reaches}",
        f"{people} numbers are with {', '.join(of)}; {whose} reaches {reaches} alone",
    )


def _show_counts(counts: Mapping[str, int]) -> None:
    rows = [(shown.state(name), f"{n:,}") for name, n in counts.items() if n or name in ("texts", "delivered")]
    shown.table((t("状态", "state"), t("条数", "texts")), rows, right=(1,))


@verb("最近的群发", "The newest broadcasts")
def list_(
    ctx: typer.Context,
    limit: Annotated[int, option("--limit", value=("数", "N"), zh="最多列几次", en="at most so many")] = 20,
    json: JsonFlag = False,
) -> None:
    who = caller(ctx)

    async def work(gateway: Gateway) -> list[dict[str, Any]]:
        found = await gateway.broadcasts.list(by=_reader(), limit=limit)
        names = ("id", "title", "template", "state", "author", "approver", "people", "texts", "parts", "cost")
        return [
            {**shown.columns(one, *names, "created_at", "not_before", "expires_at", "schedule", "test")}
            for one in found
        ]

    rows, config = who.read(work), who.config()
    if json:
        return shown.as_json(rows)
    if not rows:
        return shown.say(t("还没有群发。", "No broadcasts yet."))
    headings = (
        t("编号", "id"),
        t("标题", "title"),
        t("状态", "state"),
        t("人数", "people"),
        t("费用", "cost"),
        t("起草", "author"),
        t("审批", "approver"),
        t("起草时间", "drafted"),
    )
    table = [
        (
            one["id"],
            one["title"],
            shown.state(one["state"]),
            f"{one['people']:,}",
            shown.money(one["cost"], config),
            one["author"],
            one["approver"],
            shown.when(one["created_at"], config),
        )
        for one in rows
    ]
    return shown.table(headings, table, right=(0, 3, 4))


def _reader() -> Official:
    """Whoever reads at the keyboard sees the whole site."""
    from gateway.officials import SYSTEM

    return SYSTEM


# --- approve, stop -------------------------------------------------------------------------------------------


@verb("审批：看过预览，输入人数，放行", "Approve: look at the preview, type the number of people, let it go")
def approve(
    ctx: typer.Context,
    broadcast: Id,
    people: Annotated[
        int | None,
        option("--people", value=("人数", "N"), zh="不再询问，直接确认这个人数", en="confirm this number, unasked"),
    ] = None,
    digest: Annotated[
        str | None,
        option("--digest", value=("摘要", "DIGEST"), zh="只批准这个摘要的内容", en="approve nothing but this digest"),
    ] = None,
) -> None:
    who = caller(ctx)

    async def work(gateway: Gateway, by: Official) -> int:
        found = await gateway.broadcasts.preview(broadcast)
        _show_preview(found, gateway.config)
        if by.login != found.author:  # who may not approve is not asked, but refused
            _confirm_people(found, people)
        return await gateway.broadcasts.approve(broadcast, by=by, digest=_digest(found, digest))

    who.act(work)
    shown.say(t(f"已批准群发 {broadcast}。", f"Broadcast {broadcast} is approved."))
    shown.hint(t("由运行中的 gateway serve 发送。", "A running gateway serve sends it."))


def _digest(found: Preview, given: str | None) -> str:
    """The one shown; a given one may be its beginning, as it is printed."""
    actual = found.digest or ""
    return actual if given is None or (len(given) >= 16 and actual.startswith(given)) else given


def _confirm_people(found: Preview, given: int | None) -> None:
    if given is None:
        if not sys.stdin.isatty():
            raise Refused("这里不能询问，请加 --people 人数", "no terminal to ask: give --people N")
        typed = typer.prompt(t("确认要发的人数", "How many people will get it"), err=True).strip().replace(",", "")
        given = int(typed) if typed.isdecimal() else -1
    if given != found.people:
        raise Conflict(
            f"人数不对：预览是 {found.people} 人，没有批准", f"it goes to {found.people} people: not approved"
        )


@verb("停发：还没发出的几秒内停住", "Stop: what has not left is held within seconds")
def stop(ctx: typer.Context, broadcast: Id) -> None:
    n = caller(ctx).act(lambda gateway, by: gateway.broadcasts.stop(broadcast, by=by))
    shown.say(t(f"已停住，{n} 个包没有发完。", f"Stopped; {n} parcels held."))


@verb("让停住的群发继续", "Let a stopped broadcast go on")
def resume(ctx: typer.Context, broadcast: Id) -> None:
    n = caller(ctx).act(lambda gateway, by: gateway.broadcasts.resume(broadcast, by=by))
    shown.say(t(f"继续发送，{n} 个包。", f"It goes on; {n} parcels."))


@verb("取消：还没发出的不再发", "Cancel: what has not left never will")
def cancel(ctx: typer.Context, broadcast: Id) -> None:
    caller(ctx).act(lambda gateway, by: gateway.broadcasts.cancel(broadcast, by=by))
    shown.say(t("已取消。", "Cancelled."))


@verb("先发一条给自己看", "Send the first text to a number of one's own")
def test(ctx: typer.Context, broadcast: Id, to: ToNumber) -> None:
    sent = caller(ctx).act(lambda gateway, by: gateway.broadcasts.test_send(broadcast, to, by=by))
    if sent is None:
        raise Refused("没有通道能到这个号码", "no carrier reaches this number")
    shown.say(t("已排队，由 gateway serve 发送。", "Queued; gateway serve sends it."))


@verb("处理不确定的短信：重发或不再管", "Settle the uncertain texts: send them again, or leave them")
def uncertain(
    ctx: typer.Context,
    broadcast: Id,
    resend: Annotated[
        bool | None, option("--resend/--leave", zh="重发／不再管", en="send them again / leave them")
    ] = None,
) -> None:
    if resend is None:
        raise typer.BadParameter(t("要写 --resend 或 --leave", "give --resend or --leave"))
    n = caller(ctx).act(lambda gateway, by: gateway.broadcasts.settle_uncertain(broadcast, resend=resend, by=by))
    done = t("重发", "sent again") if resend else t("不再管", "left")
    shown.say(t(f"{n} 条不确定的短信，{done}。", f"{n} uncertain texts {done}."))


@verb("登记测试手机收到没有", "Write down whether one of the hall's own phones got it")
def testphone(
    ctx: typer.Context,
    broadcast: Id,
    number: Annotated[str, argument(("号码", "NUMBER"), zh="测试手机的号码", en="the phone's number")],
    got: Annotated[bool | None, option("--got/--not", zh="收到了／没收到", en="it came / it did not")] = None,
) -> None:
    if got is None:
        raise typer.BadParameter(t("要写 --got 或 --not", "give --got or --not"))
    said = got
    caller(ctx).act(lambda gateway, by: gateway.riders.answer(broadcast, number, said, by=by))
    shown.say(t("已登记。", "Written down."))


# --- afterwards ----------------------------------------------------------------------------------------------


@verb("一次群发的结果：按村、按运营商、没到的原因", "What became of it: by village, by operator, why texts failed")
def report(ctx: typer.Context, broadcast: Id, out: OutFile = None, json: JsonFlag = False) -> None:
    who = caller(ctx)
    show_broadcast(who.read(lambda gateway: gateway.reports.broadcast(broadcast)), who.config(), out, json=json)


@verb("没有收到的人：列出、打印，或发给各村文书", "Whom it did not reach: list, print, or tell the villages' clerks")
def left_behind(
    ctx: typer.Context,
    broadcast: Id,
    out: OutFile = None,
    tell: Annotated[
        bool, option("--tell", zh="把名单用短信发给各村文书，只发一次", en="text the villages' clerks, once")
    ] = False,
    json: JsonFlag = False,
) -> None:
    who = caller(ctx)
    if tell:
        told = who.act(lambda gateway, by: gateway.reports.tell_clerks(broadcast, by=by))
        if not json:
            return _show_told(told)
        return shown.as_json(told)
    return show_left_behind(who.read(lambda gateway: gateway.reports.left_behind(broadcast)), out, json=json)


def _show_told(told: Told) -> None:
    rows = [(name or "—", n, t("已通知文书", "clerk told")) for name, n in told.told.items()]
    rows += [(name or "—", n, t("没有文书号码", "no clerk's number")) for name, n in told.untold.items()]
    shown.table((t("村", "village"), t("人数", "people"), ""), rows, right=(1,))


broadcast = noun(
    "群发：起草、预览、审批、停发、结果",
    "Broadcasts: draft, preview, approve, stop, results",
    draft=draft,
    show=show,
    list_=list_,
    approve=approve,
    stop=stop,
    resume=resume,
    cancel=cancel,
    test=test,
    compose=compose,
    uncertain=uncertain,
    testphone=testphone,
    report=report,
    left_behind=left_behind,
)
