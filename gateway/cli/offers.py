"""Jobs and courses as people are told of them, who signed up, and guides as they are sent.

Policy
- Nothing here changes anything: offers stand in offers.toml, and people sign up and leave by text.
- Numbers are masked, for lists stand on screens in a hall; `signups --full-numbers` is for whoever calls the course
  together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
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
    from gateway.config import Config, Course, Item, Job, Window

Standing = tuple[int, int]
"""How many are in, and how many wait."""

OfferCode = Annotated[
    str, argument(("代码", "CODE"), zh="岗位或培训的代码；offers list 列出全部", en="its code; offers list has them")
]
CourseCode = Annotated[
    str, argument(("代码", "CODE"), zh="培训的代码；offers list 列出全部", en="a course's code; offers list has them")
]
FullNumbers = Annotated[bool, option("--full-numbers", zh="号码写全", en="whole numbers")]


# --- offers ---------------------------------------------------------------------------------------------------


@verb("岗位和培训：还收不收、报了多少", "Jobs and courses: whether they are open, and how many signed up")
def list_(ctx: typer.Context, json: JsonFlag = False) -> None:
    who = caller(ctx)
    today, standing = who.read(_standing)
    config = who.config()
    if json:
        return shown.as_json(
            {
                "jobs": [_plain_job(job, today) for job in config.offers.jobs],
                "courses": [_plain_course(course, standing[course.code], today) for course in config.offers.courses],
            }
        )
    if not config.offers.jobs and not config.offers.courses:
        return shown.say(t("没有岗位，也没有培训（offers.toml）。", "No jobs and no courses (offers.toml)."))
    _list_jobs(config.offers.jobs, today)
    return _list_courses(config.offers.courses, standing, today)


async def _standing(gateway: Gateway) -> tuple[date, Mapping[str, Standing]]:
    """The site's day, and how many are in and wait by course."""
    from gateway.store import Connection, signups

    codes = [course.code for course in gateway.config.offers.courses]

    def count(db: Connection) -> Mapping[str, Standing]:
        both = (signups.IN, signups.WAITING)
        return {code: (signups.count(db, code, both[0]), signups.count(db, code, both[1])) for code in codes}

    return gateway.clock.now().astimezone(gateway.zone).date(), await gateway.store.read(count)


def _list_jobs(jobs: Sequence[Job], today: date) -> None:
    if not jobs:
        return
    headings = (
        t("岗位", "job"),
        t("单位", "employer"),
        t("工种", "work"),
        t("人数", "wanted"),
        t("最后一天", "last day"),
        "",
    )
    rows = [(one.code, one.employer, one.work, one.count, one.until, _over(one, today)) for one in jobs]
    shown.table(headings, rows, right=(3,), whole=(0, 4))


def _list_courses(courses: Sequence[Course], standing: Mapping[str, Standing], today: date) -> None:
    if not courses:
        return
    headings = (
        t("培训", "course"),
        t("名称", "name"),
        t("开课", "starts"),
        t("最后一天", "last day"),
        t("名额", "places"),
        t("报上", "in"),
        t("候补", "waiting"),
        "",
    )
    rows = [
        (one.code, one.name, one.starts, one.until, one.places, *standing[one.code], _over(one, today))
        for one in courses
    ]
    shown.table(headings, rows, right=(4, 5, 6), whole=(0, 2, 3))


@verb("一个岗位或一期培训的全部", "All about a job or a course")
def show(ctx: typer.Context, code: OfferCode, json: JsonFlag = False) -> None:
    who = caller(ctx)
    today, standing = who.read(_standing)
    offers = who.config().offers
    job = next((one for one in offers.jobs if one.code == code), None)
    course = offers.course(code)
    if job is not None:
        return shown.as_json(_plain_job(job, today)) if json else shown.facts(_job_facts(job, today))
    if course is not None:
        plain = _plain_course(course, standing[code], today)
        return shown.as_json(plain) if json else shown.facts(_course_facts(course, standing[code], today))
    raise _unknown(code, [*(one.code for one in offers.jobs), *(one.code for one in offers.courses)])


def _job_facts(job: Job, today: date) -> list[tuple[str, object]]:
    return [
        (t("岗位", "job"), job.code),
        (t("单位", "employer"), job.employer),
        (t("工种", "work"), job.work),
        (t("地点", "place"), job.place),
        (t("工资", "pay"), job.pay),
        (t("人数", "wanted"), job.count),
        (t("条件", "terms"), job.terms),
        (t("电话", "phone"), job.phone),
        (t("最后一天", "last day"), _last_day(job, today)),
        (t("关键词", "keywords"), t("、", ", ").join(job.keywords)),
    ]


def _course_facts(course: Course, standing: Standing, today: date) -> list[tuple[str, object]]:
    return [
        (t("培训", "course"), course.code),
        (t("名称", "name"), course.name),
        (t("别名", "aliases"), t("、", ", ").join(course.aliases)),
        (t("开课", "starts"), course.starts),
        (t("地点", "place"), course.place),
        (t("说明", "terms"), course.terms),
        (t("名额", "places"), t(f"{course.places}，报上{standing[0]}", f"{course.places}, {standing[0]} in")),
        (t("候补", "waiting"), t(f"最多{course.waiting}，现有{standing[1]}", f"{standing[1]} of {course.waiting}")),
        (t("电话", "phone"), course.phone),
        (t("最后一天", "last day"), _last_day(course, today)),
    ]


@verb("一期培训谁报了名，按名额和候补的先后", "Who signed up for a course, in the order of places and of the line")
def signups(ctx: typer.Context, code: CourseCode, full_numbers: FullNumbers = False, json: JsonFlag = False) -> None:
    async def work(gateway: Gateway) -> Sequence[Any]:
        from gateway.store import signups as rows

        if gateway.config.offers.course(code) is None:
            raise _unknown(code, [one.code for one in gateway.config.offers.courses])
        return await gateway.store.read(rows.listed, code)

    who = caller(ctx)
    found = [_plain_signup(n, row, full_numbers) for n, row in _placed(who.read(work))]
    if json:
        return shown.as_json(found)
    if not found:
        return shown.say(t("还没有人报名。", "Nobody signed up."))
    headings = ("", t("位次", "place"), t("姓名", "name"), t("号码", "phone"), t("时间", "at"))
    config = who.config()
    rows = [
        (_stands(one["state"]), one["place"], one["name"], one["phone"], shown.when(one["at"], config)) for one in found
    ]
    return shown.table(headings, rows, right=(1,), whole=(0, 3, 4))


def _placed(rows: Sequence[Any]) -> list[tuple[int, Any]]:
    """Each row with its place in its own line."""
    last: dict[str, int] = {}
    found = []
    for row in rows:
        last[row.state] = last.get(row.state, 0) + 1
        found.append((last[row.state], row))
    return found


def _plain_signup(place: int, row: Any, full_numbers: bool) -> dict[str, Any]:
    """`name` is "" where the roster does not say who has the number."""
    from gateway import phone

    number = row.phone
    if not full_numbers:
        number = phone.mask(number)
    elif phone.parse(number).mobile:
        number = phone.local(number)
    name = "" if row.name == row.phone or row.name.startswith("*") else row.name
    return {"state": row.state, "place": place, "name": name, "phone": number, "at": row.changed_at}


def _stands(state: str) -> str:
    return {"in": t("报上", "in"), "waiting": t("候补", "waiting")}.get(state, state)


def _over(offer: Job | Course, today: date) -> str:
    return t("已截止", "over") if offer.until < today else ""


def _last_day(offer: Job | Course, today: date) -> str:
    over = _over(offer, today)
    return f"{offer.until}{t(f'（{over}）', f' ({over})')}" if over else str(offer.until)


def _plain_job(job: Job, today: date) -> dict[str, Any]:
    return {**job.model_dump(), "open": job.until >= today}


def _plain_course(course: Course, standing: Standing, today: date) -> dict[str, Any]:
    return {**course.model_dump(), "open": course.until >= today, "in": standing[0], "on_waiting_list": standing[1]}


def _unknown(code: str, known: Sequence[str]) -> NotFound:
    return NotFound(f"没有 {code}；有：{'、'.join(known)}", f"no {code}; there are: {', '.join(known)}")


# --- guides ---------------------------------------------------------------------------------------------------


@verb("一件事的办事指南，照群众收到的样子", "An item's guide, as people are sent it")
def guide(
    ctx: typer.Context,
    word: Annotated[
        str,
        argument(("事项", "WORD"), zh="事项的名字、叫法、代码，或其中几个字", en="its name, alias or code, or a part"),
    ],
    json: JsonFlag = False,
) -> None:
    from gateway.answers.guide import pages, room

    config = caller(ctx).config()
    found = _items(config, word)
    if not found:
        raise NotFound(f"没有事项叫 {word}", f"no item is called {word}")
    if len(found) > 1:
        return _several(found, json=json)
    ((window, item),) = found
    texts = pages(window, item, room(config.site.signature))
    if json:
        return shown.as_json({"code": item.code, "name": item.name, "window": window.code, "texts": texts})
    for n, text in enumerate(texts, 1):
        shown.text_box(_measured(n, text, config), text)
    return None


def _measured(n: int, text: str, config: Config) -> str:
    """`第1条  128字，2段`."""
    from gateway.text import billed_parts, counted

    signed = counted(text, config.site.signature, "front")
    length, parts = len(signed), billed_parts(signed)
    return t(f"第{n}条  {length}字，{parts}段", f"text {n}: {length} characters, {parts} parts")


def _items(config: Config, word: str) -> list[tuple[Window, Item]]:
    """Items of that code or name, else those in whose names it stands."""
    from gateway.words import normalise

    wanted = normalise(word)
    all_ = [(window, item) for window in config.hall.windows for item in window.items]
    names = {item.code: [normalise(name) for name in (item.code, item.name, *item.aliases)] for _, item in all_}
    exact = [(window, item) for window, item in all_ if wanted in names[item.code]]
    return exact or [(w, i) for w, i in all_ if wanted and any(wanted in name for name in names[i.code])]


def _several(found: Sequence[tuple[Window, Item]], *, json: bool) -> None:
    if json:
        return shown.as_json([{"code": item.code, "name": item.name, "window": window.code} for window, item in found])
    headings = (t("代码", "code"), t("事项", "item"), t("窗口", "window"))
    return shown.table(headings, [(item.code, item.name, window.name) for window, item in found])


offers = noun(
    "岗位和培训：有什么、谁报了名",
    "Jobs and courses: what there is, who signed up",
    list_=list_,
    show=show,
    signups=signups,
)
