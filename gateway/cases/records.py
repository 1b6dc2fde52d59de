"""Cases as records: what is known of them corrected, handed to another platform, published.

Policy
- Whatever is corrected is an event with the old and the new value, so that a wrong correction can be seen and undone.
- A case that turns out to be about the window that has it goes to the petitions desk at once.
- The export has the columns that hotline platforms import, so that nothing is typed twice; restricted cases are in it
  for directors alone.
- Published is what the site publishes at all and what somebody opted in case by case: finished, answered by text, and
  with whoever it is about taken out of the words (`anonymous`); so are the examples to learn from.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from gateway import phone as phones
from gateway.cases import anonymous, promises
from gateway.cases.book import Book
from gateway.errors import Refused
from gateway.model import CaseState, Happened
from gateway.officials import Official
from gateway.store import Connection, people, prompts
from gateway.store import cases as rows

CORRECTABLE = ("behalf", "name", "external", "restricted", "about", "urgent", "publish", "item", "kind", "phone")
EXPORT = (
    "工单编号",
    "本地编号",
    "来源",
    "诉求人",
    "联系电话",
    "诉求类型",
    "诉求标题",
    "诉求内容",
    "所属区划",
    "承办单位",
    "受理时间",
    "办理时限",
    "办理状态",
    "首次答复时间",
    "办结时间",
    "办理结果",
    "是否解决",
    "满意度",
)
SATISFACTION = {5: "非常满意", 4: "满意", 3: "基本满意", 2: "不满意", 1: "非常不满意"}
STATES = {
    CaseState.OPEN: "办理中",
    CaseState.ANSWERED: "已答复",
    CaseState.WAITING: "等材料",
    CaseState.CLOSED: "已办结",
}
FORM = "form"
"""The source of what was typed into a web page, whose last line may say who wrote it."""
_SIGNED = re.compile(r"\n（[^（）\n]*）\s*$")
_SPOKEN = (Happened.TEXT, Happened.REPLIED, Happened.CALLED)


class Published(NamedTuple):
    """One settled matter as everybody may read it."""

    month: str
    kind: str
    window: str
    question: str
    answer: str


class Corrected(NamedTuple):
    """A case whose reading an official corrected, as an example to learn from, without people."""

    text: str
    window: str
    intent: str
    item: str


class Records:
    """Corrections, export, publication."""

    def __init__(self, book: Book) -> None:
        self._book = book

    # -- corrections -------------------------------------------------------------------------------------------

    def mark(self, db: Connection, number: str, changes: Mapping[str, Any], by: Official) -> None:
        row = self._book.find(db, number, by)
        given = {name: value for name, value in changes.items() if value is not None}
        self._check(given)
        if not given:
            raise Refused("没有要改的", "there is nothing to change")
        if "phone" in given:
            given["phone"] = phones.mobile(given["phone"])
        if given.get("kind") == promises.COMPLAINT or given.get("about") is not None:
            given["restricted"] = True
        before = {name: getattr(row, name) for name in given}
        told = {name: _shown(name, value) for name, value in given.items()}
        data = {"before": {name: _shown(name, value) for name, value in before.items()}, "after": told}
        self._book.note(db, row, Happened.MARKED, by, self._book.clock.now(), data=data)
        rows.change(db, row.id, **given)
        if given.get("about") == row.window:
            self._take_away(db, row, by)
        if "phone" in given:
            self._move_others(db, row, given["phone"], by)
        self._book.audit(db, by, "case.mark", row, data)

    def _check(self, given: Mapping[str, Any]) -> None:
        if "kind" in given and given["kind"] not in promises.KINDS:
            raise Refused(f"类型有：{'、'.join(promises.KINDS)}", f"kinds: {', '.join(promises.KINDS)}")
        if "item" in given and self._book.config.hall.item(given["item"]) is None:
            raise Refused(f"没有事项 {given['item']}", f"no item {given['item']}")
        if given.get("about"):
            self._book.window(given["about"])

    def _take_away(self, db: Connection, row: Any, by: Official) -> None:
        """A case does not stay at the window that it turns out to be about."""
        moved = {"from": row.window, "to": self._book.apart_from(row.window).code}
        why = "投诉的就是原窗口"
        self._book.note(db, row, Happened.HANDED_OVER, by, self._book.clock.now(), body=why, data=moved)
        self._book.settle(db, row, window=moved["to"], officer=None)

    def _move_others(self, db: Connection, row: Any, phone: str, by: Official) -> None:
        """A changed number: the person's other open cases come along, and what we asked about them.

        Of a number that several people share, and where it is not known whose a case is, the case stays where it is.
        """
        prompts.move_of_case(db, row.id, phone)
        shared = row.person_id is None and len(people.by_phone(db, row.phone)) > 1
        for other in () if shared else rows.open_of(db, row.phone):
            if other.id != row.id and other.person_id == row.person_id:
                rows.change(db, other.id, phone=phone)
                prompts.move_of_case(db, other.id, phone)
                data = {"before": {"phone": phones.mask(other.phone)}, "after": {"phone": phones.mask(phone)}}
                self._book.note(db, other, Happened.MARKED, by, self._book.clock.now(), data=data)

    def corrected(self, db: Connection, since: datetime, until: datetime, by: Official) -> list[Corrected]:
        """Cases finished in that span that lay at another window in the end, or whose kind or item was corrected."""
        found = [row for row in rows.between(db, since, until, by.area, closed=True) if self._may_teach(row, by)]
        events = rows.events_of(db, [row.id for row in found], (Happened.TEXT, Happened.MARKED))
        wrong = [row for row in found if _was_corrected(row, events[row.id])]
        known = self._names(db, [event.body for row in wrong for event in events[row.id]])
        return [self._example(db, row, events[row.id], known) for row in wrong]

    def _example(self, db: Connection, row: Any, events: Sequence[Any], known: Collection[str]) -> Corrected:
        """Of the texts that opened it alone: what came later speaks of what was said before."""
        first = next(_unsigned(row, event.body) for event in events if event.kind == Happened.TEXT)
        said = " ".join(first.split())
        names = {*self._names_of(db, row), *known, *anonymous.named(said)}
        plain = anonymous.hide(said, names, self._villages).replace(anonymous.NUMBER, "").replace(anonymous.ADDRESS, "")
        return Corrected(" ".join(plain.split()), row.window, row.kind, row.item or "")

    def _may_teach(self, row: Any, by: Official) -> bool:
        whole = row.merged_into is None and row.parent_id is None
        return whole and row.kind != promises.UNCLEAR and not row.restricted and self._book.sight.may_see(row, by)

    # -- export ------------------------------------------------------------------------------------------------

    def export(
        self, db: Connection, since: datetime, until: datetime, by: Official | None, external_only: bool
    ) -> list[tuple[str, ...]]:
        """Rows of `EXPORT` of the cases opened in that span, oldest first."""
        found = [
            row
            for row in rows.between(db, since, until, by.area if by else "")
            if self._book.sight.may_see(row, by) and (row.external or not external_only) and row.parent_id is None
        ]
        events = rows.events_of(db, [row.id for row in found], _SPOKEN)
        return [self._exported(db, row, events[row.id], by) for row in found]

    def _exported(self, db: Connection, row: Any, events: Sequence[Any], by: Official | None) -> tuple[str, ...]:
        from_person = [event.body for event in events if event.kind == Happened.TEXT]
        answers = [event.body for event in events if event.kind != Happened.TEXT]
        case = self._book.sight.masked_row(row, by)
        return (
            row.external or "",
            row.number,
            "短信",
            case.name or self._name(db, row, case.phone == row.phone),
            phones.local(case.phone) if phones.parse(case.phone).mobile else case.phone,
            promises.KINDS[row.kind],
            case.title,
            "\n".join(from_person if case.phone == row.phone else map(phones.mask_numbers, from_person)),
            row.area,
            self._book.desk(row.window).name,
            self._at(row.opened_at),
            self._at(row.due_at),
            STATES[CaseState(row.state)],
            self._at(row.first_answer_at),
            self._at(row.closed_at),
            answers[-1] if answers else "",
            {True: "是", False: "否", None: ""}[row.solved],
            SATISFACTION.get(row.rating, ""),
        )

    def _name(self, db: Connection, row: Any, whole: bool) -> str:
        if not whole or row.person_id is None:
            return ""
        return next((one.name for one in people.by_phone(db, row.phone) if one.id == row.person_id), "")

    def _at(self, at: datetime | None) -> str:
        return f"{at.astimezone(self._book.config.site.zone):%Y-%m-%d %H:%M}" if at else ""

    # -- publication -------------------------------------------------------------------------------------------

    def published(self, db: Connection, since: datetime, until: datetime) -> list[Published]:
        """What was settled in that span and may be read by everybody, oldest first."""
        if not self._book.config.cases.publish:
            return []
        found = [row for row in rows.between(db, since, until, "", closed=True) if row.publish]
        events = rows.events_of(db, [row.id for row in found], _SPOKEN)
        known = self._names(db, [event.body for row in found for event in events[row.id]])
        return [one for row in found if (one := self._public(db, row, events[row.id], known)) is not None]

    def _public(self, db: Connection, row: Any, events: Sequence[Any], known: Collection[str]) -> Published | None:
        answers = [event.body for event in events if event.kind in (Happened.REPLIED, Happened.CALLED)]
        if row.state != CaseState.CLOSED or not answers:
            return None
        asked = " ".join(_unsigned(row, event.body) for event in events if event.kind == Happened.TEXT)
        mine = {*self._names_of(db, row), *known, *anonymous.named(asked), *anonymous.named(answers[-1])}
        question, answer = (anonymous.hide(one, mine, self._villages) for one in (asked, answers[-1]))
        closed = row.closed_at.astimezone(self._book.config.site.zone)
        kind, desk = promises.KINDS[row.kind], self._book.desk(row.window).name
        return Published(f"{closed:%Y-%m}", kind, desk, question, answer)

    def _names(self, db: Connection, texts: Iterable[str]) -> set[str]:
        """Names of the roster and of officers that stand in these texts."""
        looks_like = {name for text in texts for name in anonymous.candidates(text)}
        return people.known_names(db, looks_like) | {one.name for one in self._book.config.duty.officers}

    def _names_of(self, db: Connection, row: Any) -> list[str]:
        """Whoever has the case's number, and whom the case is known to be of and for."""
        mine = [person.name for person in people.by_phone(db, row.phone)]
        return [*mine, *(name for name in (row.name, row.behalf) if name and len(name) > 1)]

    @property
    def _villages(self) -> list[str]:
        site = self._book.config.site
        return [area.name for area in self._book.config.areas if area.code != site.area]


def _unsigned(row: Any, body: str) -> str:
    """What was written on the web form, without the line that says who wrote it."""
    return _SIGNED.sub("", body) if row.source == FORM else body


def _was_corrected(row: Any, events: Sequence[Any]) -> bool:
    opening = next((event for event in events if "promise" in event.data), None)
    marked = [event.data.get("after", {}) for event in events if event.kind == Happened.MARKED]
    moved = opening is not None and opening.data["window"] != row.window
    return moved or any(name in after for after in marked for name in ("kind", "item"))


def _shown(name: str, value: Any) -> Any:
    """A value as it stands in an event and in the audit: a number never whole."""
    return phones.mask(value) if name == "phone" and value else value
