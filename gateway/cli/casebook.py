"""How cases look: a list of them, and one with everything that was said and done.

Policy
- A list is read on 80 columns: what it is about, how long is left, and whether it is urgent or restricted.
- People's numbers are masked, and so are those of their cards in what they wrote, but where `full` asks for them.
- Officers are called by name, windows and items too; the words of the code are for `--json`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gateway.cli import shown
from gateway.cli.language import t

if TYPE_CHECKING:
    from gateway.cases import Case, Conversation, Event
    from gateway.config import Config

EVENTS = {
    "text": ("来信", "text"),
    "acknowledged": ("已回执", "acknowledged"),
    "signed": ("签收", "signed for"),
    "replied": ("答复", "answered"),
    "called": ("电话答复", "answered by phone"),
    "asked_papers": ("要材料", "papers asked for"),
    "papers_came": ("材料到了", "papers came"),
    "breach": ("未一次告知", "not told at once"),
    "extension_asked": ("申请延期", "extension asked for"),
    "extended": ("延期", "extended"),
    "extension_refused": ("不准延期", "extension refused"),
    "handed_over": ("转办", "handed over"),
    "handed_back": ("退回", "handed back"),
    "split_off": ("拆出一件", "split off"),
    "merged": ("并入一件", "merged"),
    "sub_opened": ("分办", "parts opened"),
    "step": ("进度", "step"),
    "marked": ("更正", "corrected"),
    "paged": ("险情已叫人", "paged"),
    "warned": ("已提醒", "warned"),
    "escalated": ("已督办", "escalated"),
    "closed": ("办结", "closed"),
    "solved": ("是否办成", "solved?"),
    "rated": ("评价", "rated"),
    "reminded": ("再问评价", "reminded"),
    "reopened": ("重开", "reopened"),
    "published": ("公开", "published"),
}
HOW = {
    "text": ("短信办结", "by text"),
    "phone": ("电话办结", "by phone"),
    "counter": ("窗口办结", "at the counter"),
    "spot": ("当场办结", "on the spot"),
    "merged": ("并到", "merged into"),
}
STATES = {
    "open": ("待办", "open"),
    "answered": ("已答复", "answered"),
    "waiting": ("等材料", "waiting for papers"),
    "closed": ("已办结", "closed"),
}
CORRECTED = {
    "name": ("来信人", "from"),
    "behalf": ("替谁问", "on behalf of"),
    "external": ("别的系统的编号", "number elsewhere"),
    "restricted": ("保密", "restricted"),
    "about": ("投诉的窗口", "window complained about"),
    "urgent": ("急件", "urgent"),
    "publish": ("可以公开", "may be published"),
    "item": ("事项", "item"),
    "kind": ("类型", "kind"),
    "phone": ("号码", "number"),
}
CLOCKS = {"signed": ("签收", "signed for"), "first": ("首次答复", "first answer"), "finish": ("办结", "finished")}


def state(word: str) -> str:
    """A case's state as people call it."""
    return t(*STATES[word])


def window(config: Config, code: str) -> str:
    """A window as people call it."""
    found = config.hall.window(code)
    return found.name if found else code


def who(config: Config, login: str) -> str:
    """An official by name where duty.toml knows them."""
    from gateway.officials import SYSTEM

    officer = config.duty.officer(login)
    if officer is not None:
        return officer.name
    return t("系统", "system") if login == SYSTEM.login else login


def masked(text: str) -> str:
    """What somebody wrote, without whole numbers."""
    from gateway import phone

    return phone.mask_numbers(text)


def plain(one: Case, *, full: bool) -> dict[str, Any]:
    """A case for `--json`."""
    from gateway import phone

    values: dict[str, Any] = shown.plain(one)
    return values if full else {**values, "phone": phone.mask(one.phone), "title": masked(one.title)}


# --- lists ---------------------------------------------------------------------------------------------------


def table(found: Sequence[Case], left: Sequence[tuple[str, str]], now: datetime, config: Config) -> None:
    """Cases, a line each; `left` says of each how much time is left."""
    from gateway import phone

    headings = (
        t("件号", "number"),
        t("窗口", "window"),
        t("状态", "state"),
        t("期限", "due"),
        t("还剩", "left"),
        t("号码", "phone"),
        t("内容", "about"),
    )
    rows = [
        (
            one.number,
            window(config, one.window),
            state(one.state),
            moment(one.due_at, now, config),
            t(*time),
            phone.mask(one.phone),
            _about(one),
        )
        for one, time in zip(found, left, strict=True)
    ]
    shown.table(headings, rows, whole=(0, 2, 3, 4, 5))


def moment(at: datetime | None, now: datetime, config: Config) -> str:
    """A moment of this year without its year."""
    zone = config.site.zone
    return shown.when(at, config)[5 if at and at.astimezone(zone).year == now.astimezone(zone).year else 0 :]


def _about(one: Case) -> str:
    marks = [t("急", "urgent")] * one.urgent + [t("保密", "restricted")] * one.restricted
    said = " ".join(masked(one.title).split()) or t("（空白）", "(blank)")
    return f"[{' '.join(marks)}] {said}" if marks else said


# --- one case ------------------------------------------------------------------------------------------------


def as_json(found: Conversation, *, full: bool) -> None:
    """One case with its events."""
    events = [shown.plain(one if full else replace(one, body=masked(one.body))) for one in found.events]
    more = {"why": [list(line) for line in found.why], "holding": dict(found.holding)}
    shown.as_json({**plain(found.case, full=full), **more, "events": events})


def conversation(found: Conversation, left: tuple[str, str], config: Config, *, full: bool) -> None:
    """Where it stands, and what was said and done."""
    shown.say(f"{t('件', 'Case')} {found.case.number}  {state(found.case.state)}")
    shown.facts(_facts(found, left, config, full=full))
    texts = 0
    for event in found.events:
        texts += event.kind == "text"
        title = f"{shown.when(event.at, config)}  {_called(event, texts)}  {who(config, event.who)}"
        body = event.body if full else masked(event.body)
        shown.text_box(title.rstrip(), f"{body}{_details(event, config, spaced=bool(body))}")
        if event.kind == "text" and event.data.get("why"):
            shown.noted(t("归口：", "placed: ") + (event.data["why"] if full else masked(event.data["why"])))


def _facts(found: Conversation, left: tuple[str, str], config: Config, *, full: bool) -> list[tuple[str, object]]:
    case = found.case
    item = config.hall.item(case.item) if case.item else None
    due, told = shown.when(case.due_at, config), t(*left)
    return [
        (t("窗口", "window"), window(config, case.window)),
        (t("类型", "kind"), _kind(case)),
        (t("事项", "item"), item.name if item else case.item),
        (t("投诉的窗口", "about"), window(config, case.about) if case.about else None),
        (t("号码", "phone"), _number(case.phone, full=full)),
        (t("来信人", "from"), case.name),
        (t("替谁问", "on behalf of"), case.behalf),
        (t("经办", "officer"), who(config, case.officer) if case.officer else None),
        (t("别的系统的编号", "elsewhere"), case.external),
        (t("来信时间", "opened"), shown.when(case.opened_at, config)),
        (t("签收期限", "to be signed"), _unless(case.signed_at, shown.when(case.signed_due_at, config))),
        (t("首次答复期限", "first answer due"), _unless(case.first_answer_at, shown.when(case.first_due_at, config))),
        (t("期限", "due"), f"{due}  {told}".rstrip()),
        (t("等材料，自", "waits for papers since"), shown.when(case.waiting_since, config)),
        (t("办结时间", "closed"), shown.when(case.closed_at, config)),
        (t("办成了", "solved"), {True: t("是", "yes"), False: t("否", "no"), None: None}[case.solved]),
        (t("评价", "rating"), case.rating),
        (t("可以公开", "may be published"), t("是", "yes") if case.publish else None),
        (t("回的群发", "about broadcast"), case.broadcast_id),
        (t("分办", "parts"), " ".join(found.subs) or None),
        (t("总件", "part of"), found.parent),
    ]


def why(found: Conversation, config: Config) -> None:
    """How its due times came about, and who held it how long."""
    shown.say()
    shown.say(t("期限怎么来的", "How the due dates came about"))
    for line in found.why:
        shown.noted(f"- {t(*line)}")
    for code, minutes in found.holding.items():
        name, hours = window(config, code), f"{minutes / 60:.1f}"
        shown.noted(t(f"- {name}手里 {hours} 小时（办公时间）", f"- {hours} office hours at {name}"))


def _unless(met: object, due: str | None) -> str | None:
    return None if met else due


def _number(number: str, *, full: bool) -> str:
    """As one dials it; a landline keeps its country code, for `phone.local` has no trunk 0."""
    from gateway import phone

    if not full:
        return phone.mask(number)
    return phone.local(number) if phone.parse(number).mobile else number


def _kind(case: Case) -> str:
    from gateway.cases import KINDS

    marks = [t("急", "urgent")] * case.urgent + [t("保密", "restricted")] * case.restricted
    return " ".join([KINDS.get(case.kind, case.kind), *marks])


def _called(event: Event, texts: int) -> str:
    """Texts are counted, since `split` names them by number."""
    name = t(*EVENTS.get(event.kind, (event.kind, event.kind)))
    return f"{name}{texts}" if event.kind == "text" else name


def _details(event: Event, config: Config, *, spaced: bool) -> str:
    """What an event says beside its words."""
    data = event.data
    known: Mapping[str, Callable[[], str]] = {
        "to": lambda: f"（{window(config, data['from'])} → {window(config, data['to'])}）",
        "papers": lambda: "、".join(data["papers"]),
        "days": lambda: t(f"（{data['days']} 个工作日）", f" ({data['days']} working days)"),
        "asked": lambda: t(f"（{data['asked']} 个工作日）", f" ({data['asked']} working days)"),
        "how": lambda: t(*HOW.get(data["how"], (data["how"], data["how"]))),
        "number": lambda: data["number"],
        "numbers": lambda: " ".join(data["numbers"]),
        "clock": lambda: t(*CLOCKS[data["clock"]]),
        "told": lambda: t("→ ", "→ ") + t("、", ", ").join(who(config, one) for one in data["told"]),
        "value": lambda: f"（{data['value']}）" if not spaced else "",
        "after": lambda: t("；", "; ").join(_corrections(data, config)),
    }
    said = " ".join(say() for name, say in known.items() if data.get(name))
    return f"{said}（{data['why']}）" if data.get("why") and event.kind == "reopened" else said


def _corrections(data: Mapping[str, Any], config: Config) -> list[str]:
    before = data.get("before", {})
    return [
        f"{t(*CORRECTED.get(name, (name, name)))}{t('：', ': ')}"
        f"{_value(name, before.get(name), config)} → {_value(name, value, config)}"
        for name, value in data["after"].items()
    ]


def _value(name: str, value: Any, config: Config) -> str:
    from gateway.cases import KINDS

    if isinstance(value, bool):
        return t("是", "yes") if value else t("否", "no")
    if value in (None, ""):
        return t("（没有）", "(none)")
    item = config.hall.item(str(value)) if name == "item" else None
    if item is not None:
        return item.name
    return window(config, value) if name == "about" else KINDS.get(value, str(value))
