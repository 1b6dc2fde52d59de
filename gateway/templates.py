"""Notices and the gateway's own texts, one file each, read whole and checked before any is used.

A file is TOML between `+++` lines, then one line of text, then, after `--- away ---`, if wanted, another for
people who work elsewhere. Its name without `.md` is the template's; `service/` holds what the gateway itself
says, so that a site can reword it.

Placeholders are `{名称}` or `{名称|默认}`, a literal brace is doubled. Substitution is plain: no attributes, no
formats, no nesting. A value is put in once and never read again, so a placeholder inside a value stays text.
Values are cleaned: what no handset shows is refused, a line break becomes a space, and 【】, which only the
signature may use, becomes []. A missing required value is Refused by name; nothing is sent with a hole in it.

`check` finds what forbids using a template on this site; `advise` what a careful office would look at again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, NoReturn, Self

from pydantic import ConfigDict, ValidationError, model_validator
from pydantic import Field as Setting

from gateway import text
from gateway.config import Config
from gateway.errors import Invalid, Problem, Refused
from gateway.model import Priority
from gateway.tomlfile import Table, TomlFile, did_you_mean, read_text, wrong
from gateway.values import Slug, Span

PERSON_FIELDS: Mapping[str, str] = {"姓名": "李秀英", "称呼": "乡亲", "村": "枣湾村", "组": "3组"}
"""Known of each recipient without being declared, with what an example shows."""

PERSONAL_FIELDS = frozenset({"姓名", "称呼", "组"})
"""Those that differ within a village."""

WARNING_FIELDS = ("类别", "级别", "起始时间", "影响范围", "警示事项", "措施", "发布单位", "发布时间")
"""What a public warning states (突发事件应对法 63)."""

PROMOTION_ENDING = "拒收请回复R"

SERVICE: Mapping[str, tuple[str, ...]] = {
    "acknowledgement": ("编号", "窗口", "期限", "起算", "电话"),
    "danger": ("编号", "窗口", "期限", "起算", "电话"),
    "case-answer": ("编号", "窗口", "答复", "电话"),
    "case-closed": ("编号", "窗口", "答复", "电话"),
    "case-done": ("编号", "窗口", "电话"),
    "case-called": ("编号", "窗口", "答复", "电话"),
    "case-called-closed": ("编号", "窗口", "答复", "电话"),
    "case-step": ("编号", "窗口", "进度", "电话"),
    "case-reminder": ("编号", "窗口", "电话"),
    "papers": ("编号", "窗口", "材料", "电话"),
    "extended": ("编号", "窗口", "天数", "期限", "原因", "电话"),
    "reopened": ("编号", "窗口", "期限", "电话"),
    "rating": ("编号", "窗口", "电话"),
    "which-case": ("事项", "末号", "情形"),
    "same-matter": ("编号", "事项", "日期"),
    "optout": ("类别", "口令", "电话"),
    "resume": ("类别", "口令"),
    "menu": ("电话",),
    "guide": ("正文",),
    "guide-menu": ("事项", "末号"),
    "guide-index": ("窗口", "电话"),
    "subsidy": ("明细", "窗口", "电话"),
    "subsidy-none": ("窗口", "电话"),
    "weather-answer": ("日期", "地区", "天气", "最低", "最高", "风", "提示", "气象台", "发布时间"),
    "weather-none": ("上次", "电话"),
    "status": ("进度",),
    "status-none": ("电话",),
    "jobs": ("岗位",),
    "jobs-none": ("窗口", "电话"),
    "courses": ("课程",),
    "course-none": ("窗口", "电话"),
    "signup": ("课程", "开课", "地点", "电话"),
    "signup-again": ("课程", "开课", "地点", "电话"),
    "signup-who": ("课程", "名单", "末号"),
    "signup-which": ("课程", "末号"),
    "signup-waiting": ("课程", "开课", "地点", "电话", "位次"),
    "signup-full": ("课程", "开课", "地点", "电话"),
    "signup-closed": ("课程", "开课", "地点", "电话"),
    "signup-out": ("课程", "电话"),
    "signup-moved": ("课程", "开课", "电话"),
    "left-behind": ("村", "人数", "通知", "名单"),
    "test-send": ("正文",),
    "alarm-paused": ("编号", "结果", "条数", "原因"),
    "alarm-screened": ("运营商", "个数"),
    "alarm-page": ("编号", "险情", "村", "电话"),
    "alarm-digest": ("窗口", "清单"),
    "alarm-single": ("窗口", "清单"),
    "alarm-overdue": ("件数", "清单"),
}
"""The gateway's own texts and the values each of them is given."""

OPTOUT_WORDS = ("退订", "拒收", "取消订阅", "取消", "TD", "T", "N", "R", "STOP", "END", "QUIT", "CANCEL")
"""Words that stop notices when somebody sends them, so that no prompt may ask for one as its answer."""

_AWAY = "--- away ---"
_ODD = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff【】]")
_SOFTEN = str.maketrans({"\n": " ", "【": "[", "】": "]"})
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}|]*)(?:\|([^{}|]*))?\}|[{}]")
_NAME = re.compile(r"[^\W\d]\w{0,19}")


# --- one line of text -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a value; `default` stands in for an absent or blank one, None where it is required."""

    at: int
    name: str
    default: str | None


class Body:
    """One text, cut once into literal pieces and slots."""

    def __init__(self, source: str, optional: Iterable[str] = ()) -> None:
        """Refused where the braces do not fit. Names in `optional` may be left out without a default."""
        self.source = source
        self._pieces: list[str] = []
        self._slots: list[Slot] = []
        self._read(frozenset(optional))

    @property
    def names(self) -> frozenset[str]:
        return frozenset(slot.name for slot in self._slots)

    @property
    def required(self) -> frozenset[str]:
        return frozenset(slot.name for slot in self._slots if slot.default is None)

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with `values` in it; names it has no slot for are ignored."""
        pieces = self._pieces.copy()
        for slot in self._slots:
            value = values.get(slot.name, "").strip()
            if not value:
                if slot.default is None:
                    self._refuse_missing(values)
                value = slot.default
            elif _ODD.search(value):
                value = _cleaned(slot.name, value)
            pieces[slot.at] = value
        return "".join(pieces)

    def _read(self, optional: frozenset[str]) -> None:
        end = 0
        for found in _PIECE.finditer(self.source):
            self._pieces.append(self.source[end : found.start()])
            self._pieces.append(found[0][0])
            end = found.end()
            if found[0] not in ("{{", "}}"):
                self._slots.append(self._slot(found, optional))
        self._pieces.append(self.source[end:])

    def _slot(self, found: re.Match[str], optional: frozenset[str]) -> Slot:
        name, default = found[1], found[2]
        if name is None or not _NAME.fullmatch(name):
            raise Refused(
                f"花括号写法不对：{found[0]}，应写 {{名称}}，花括号本身写两遍",
                f"braces are wrong at {found[0]}: write {{name}}, and a brace itself twice",
            )
        if default is None and name in optional:
            default = ""
        return Slot(len(self._pieces) - 1, name, default)

    def _refuse_missing(self, values: Mapping[str, str]) -> NoReturn:
        order = dict.fromkeys(slot.name for slot in self._slots if slot.default is None)
        missing = [name for name in order if not values.get(name, "").strip()]
        raise Refused(f"还缺：{'、'.join(missing)}", f"missing: {', '.join(missing)}")


def _cleaned(name: str, value: str) -> str:
    try:
        return text.clean(value).translate(_SOFTEN)
    except Refused as error:
        raise Refused(f"{name}：{error.zh}", f"{name}: {error.en}") from None


# --- one template ---------------------------------------------------------------------------------------


class Field(Table):
    """A value that whoever sends the notice gives; the example is what previews and `check` show."""

    about: str = ""
    example: Annotated[str, Setting(min_length=1)]
    required: bool = True


class Front(Table):
    """A template's front matter.

    `category` is what residents opt out of, and `name_zh` what it is called to them. `expires`: how long after
    its due time it may still go out. `single`: sent to one person without approval. `uncertain`: whether a
    text that may or may not have left is sent again. `consent`: whether opt-outs are heeded. `per`: one
    text to each number or one to each person. `handwritten` False: values come from a feed, never from a form.
    `fields` are what the sender gives; what is known of each person (`PERSON_FIELDS`) is not among them.
    """

    title: Annotated[str, Setting(min_length=1)]
    category: Slug
    name_zh: Annotated[str, Setting(min_length=1)]
    urgency: Literal["emergency", "urgent", "normal", "bulk"] = Setting("normal", alias="class")
    hours: Annotated[str, Setting(min_length=1)] = "notice"
    expires: Span = timedelta(days=1)
    single: bool = False
    uncertain: Literal["leave", "resend"] = "leave"
    consent: Literal["none", "optout"] = "optout"
    per: Literal["number", "person"] = "number"
    promotion: bool = False
    warning: bool = False
    handwritten: bool = True
    fields: Mapping[str, Field] = Setting(default_factory=dict)

    @property
    def priority(self) -> Priority:
        return Priority[self.urgency.upper()]

    @model_validator(mode="after")
    def _rules_agree(self) -> Self:
        if self.uncertain == "resend" and self.urgency != "emergency":
            raise wrong(
                'uncertain = "resend" 只用于 class = "emergency"',
                'uncertain = "resend" is for class = "emergency" only',
            )
        if self.warning and self.handwritten:
            raise wrong(
                "公众预警只转发气象台发布的，须写 handwritten = false",
                "public warnings are passed on, never written by hand: handwritten = false",
            )
        if self.promotion and (self.warning or self.consent != "optout" or self.urgency != "bulk"):
            raise wrong(
                '推广短信须 class = "bulk"、consent = "optout"',
                'promotional texts are class = "bulk" with consent = "optout"',
            )
        return self


class Template(Front):
    """One file: what its front matter says, its texts, and the SHA-256 of this version of it."""

    model_config = ConfigDict(arbitrary_types_allowed=True, validate_by_name=True)

    name: str
    home: Body = Setting(repr=False)
    away: Body | None = Setting(repr=False)
    sha256: str
    content: str = Setting(repr=False)
    file: str

    @property
    def is_service(self) -> bool:
        return self.name.startswith("service/")

    @cached_property
    def names(self) -> frozenset[str]:
        """All placeholders of both texts."""
        return self.home.names | (self.away.names if self.away else frozenset())

    @cached_property
    def personal(self) -> bool:
        """Whether two people of one village may get different texts, apart from being away."""
        return not self.is_service and bool(self.names & PERSONAL_FIELDS)

    @cached_property
    def varies_by_village(self) -> bool:
        return not self.is_service and "村" in self.names

    def render(self, values: Mapping[str, str], *, away: bool = False) -> str:
        """The text without its signature. Refused, naming them all, where required values are missing."""
        return (self.away or self.home if away else self.home).fill(values)

    def missing(self, values: Mapping[str, str]) -> list[str]:
        """Declared fields that a sender still has to give, in their order."""
        required = self.home.required | (self.away.required if self.away else frozenset())
        return [name for name in self.fields if name in required and not values.get(name, "").strip()]

    def unknown(self, values: Mapping[str, str]) -> list[str]:
        """Names in `values` that no text of this template has a place for."""
        return sorted(values.keys() - self.names)

    def ignores_optout(self, values: Mapping[str, str]) -> bool:
        """Whether those who opted out get it too: emergencies, answers, and warnings of red and orange."""
        if self.consent != "none":
            return False
        return "级别" not in self.names or values.get("级别", "").strip()[:1] in ("红", "橙")


def worked_example(template: Template, *, away: bool = False) -> str:
    """The text with every field's example in it."""
    examples = {name: field.example for name, field in template.fields.items()}
    return template.render({**PERSON_FIELDS, **examples}, away=away)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a worked example takes: characters with the signature, billed parts, cost in the site's currency."""

    characters: int
    parts: int
    cost: Decimal


def estimate(template: Template, config: Config, *, away: bool = False) -> Estimate:
    """At the site's price; a route's carrier may have its own."""
    signed = text.counted(worked_example(template, away=away), config.site.signature, "front")
    parts = text.billed_parts(signed)
    return Estimate(len(signed.encode("utf-16-le")) // 2, parts, text.cost(parts, config.site.price))


# --- reading --------------------------------------------------------------------------------------------


def load(directory: Path) -> Mapping[str, Template]:
    """All templates of a site's `templates` directory by name; Invalid with every problem of every file."""
    problems: list[Problem] = []
    templates: dict[str, Template] = {}
    for path in sorted(directory.rglob("*.md")):
        name = path.relative_to(directory).with_suffix("").as_posix()
        try:
            templates[name] = read(name, read_text(path, f"{directory.name}/{name}.md"), directory.name)
        except Invalid as error:
            problems += error.problems
    if problems:
        raise Invalid(problems)
    return templates


def read(name: str, content: str, folder: str = "templates") -> Template:
    """One template from its file's text; Invalid with all of its problems."""
    file = f"{folder}/{name}.md"
    head, lines = _parts(file, content)
    problems: list[Problem] = []
    front = _front(name, head, problems)
    optional = [field for field, one in front.fields.items() if not one.required] if front else []
    bodies = [_body(file, line, one, optional, problems) for line, one in lines]
    home, away = bodies[0], bodies[1] if len(bodies) > 1 else None
    if front and home and not problems:
        sha256 = hashlib.sha256(content.encode()).hexdigest()
        template = Template(name=name, home=home, away=away, sha256=sha256, content=content, file=file, **dict(front))
        problems = [head.problem(("fields", field), *said) for field, *said in _undeclared(template)]
        if not problems:
            return template
    raise Invalid(problems)


def _parts(file: str, content: str) -> tuple[TomlFile, list[tuple[int, str]]]:
    """The front matter, and each text with the line it stands on."""
    lines = content.splitlines()
    fences = [n for n, line in enumerate(lines) if line.rstrip() == "+++"][:2]
    if len(fences) < 2 or fences[0] != 0:
        zh, en = "文件应以两行 +++ 之间的说明开头", "the file should begin with front matter between +++ lines"
        raise Invalid([Problem(file, "", 1, zh, en)])
    head = TomlFile.parse(file, "\n".join(lines[1 : fences[1]]), first_line=2)
    start = fences[1] + 1
    split = next((n for n, line in enumerate(lines) if n >= start and line.strip() == _AWAY), len(lines))
    blocks = [_block(lines, start, split)]
    return head, blocks if split == len(lines) else [*blocks, _block(lines, split + 1, len(lines))]


def _block(lines: list[str], start: int, end: int) -> tuple[int, str]:
    """The lines from `start` to `end` without blank ones around, and where they begin, counted from 1."""
    while start < end and not lines[start].strip():
        start += 1
    return start + 1, "\n".join(lines[start:end]).strip()


def _front(name: str, head: TomlFile, problems: list[Problem]) -> Front | None:
    stem = name.rpartition("/")[2]
    category = "service" if name.startswith("service/") else stem
    try:
        return Front.model_validate({"category": category, **head.data})
    except ValidationError as error:
        problems += head.problems(error, Front)
        return None


def _body(file: str, line: int, source: str, optional: Iterable[str], problems: list[Problem]) -> Body | None:
    try:
        if not source:
            raise Refused("没有正文", "there is no text")
        if "\n" in source:
            raise Refused("正文只能有一行", "a text is one line")
        return Body(text.clean(source), optional)
    except Refused as error:
        problems.append(Problem(file, "", line, error.zh, error.en))
        return None


def _undeclared(template: Template) -> Iterator[tuple[str, str, str]]:
    """Placeholders without a field, fields without a placeholder, and fields that hide a person's own."""
    known = frozenset() if template.is_service else frozenset(PERSON_FIELDS)
    for name in sorted(template.names - known - template.fields.keys()):
        zh, en = did_you_mean(name, [*template.fields, *known])
        yield name, f"正文用了 {{{name}}}，[fields] 里没有{zh}", f"{{{name}}} is not under [fields]{en}"
    for name in template.fields:
        if name in known:
            yield name, "这一项来自花名册，不必写在 [fields] 里", "comes from the roster: not a field"
        elif name not in template.names:
            yield name, f"正文里没有 {{{name}}}", f"the text has no {{{name}}}"


# --- checking -------------------------------------------------------------------------------------------

Finding = tuple[str, str, str]
"""Key of the front matter or "", and what is the matter in zh and en."""


def check(template: Template, config: Config) -> list[Problem]:
    """What forbids using the template on this site."""
    return _problems(template, (finding for rule in _RULES for finding in rule(template, config)))


def check_all(templates: Mapping[str, Template], config: Config) -> list[Problem]:
    """`check` of each, and the gateway's own texts, none of which may be missing."""
    problems = [problem for template in templates.values() for problem in check(template, config)]
    absent = [name for name in SERVICE if f"service/{name}" not in templates]
    zh, en = "缺少系统短信", "a text of the gateway's own is missing"
    return problems + [Problem(f"templates/service/{name}.md", "", None, zh, en) for name in absent]


def advise(template: Template, config: Config) -> list[Problem]:
    """What to look at again, in the worked examples: brackets, links, more than 70 characters."""
    found = [
        ("away" if away else "", zh, en)
        for away in ((False, True) if template.away else (False,))
        for zh, en in text.warnings(worked_example(template, away=away), config.site.signature)
    ]
    return _problems(template, found)


def _problems(template: Template, findings: Iterable[Finding]) -> list[Problem]:
    return [Problem(f"templates/{template.name}.md", key, None, zh, en) for key, zh, en in findings]


def _hours_known(template: Template, config: Config) -> Iterator[Finding]:
    hours = template.hours
    if hours not in config.hours:
        zh, en = did_you_mean(hours, config.hours)
        yield "hours", f"config.toml 的 [hours] 里没有 {hours}{zh}", f"config.toml has no hours {hours}{en}"
    elif template.promotion and config.hours[hours] is None:
        yield "hours", "推广短信不能全天发", "promotional texts keep hours"


def _promotion_ends_well(template: Template, config: Config) -> Iterator[Finding]:
    for body in _bodies(template):
        if template.promotion and not body.source.endswith(PROMOTION_ENDING):
            yield "", f"推广短信须以“{PROMOTION_ENDING}”结尾", f"should end with {PROMOTION_ENDING}"


def _consent_allowed(template: Template, config: Config) -> Iterator[Finding]:
    allowed = template.warning or template.is_service or template.urgency == "emergency"
    if template.consent == "none" and not allowed:
        yield (
            "consent",
            "只有预警、紧急通知和系统短信可以不看退订",
            "only warnings, emergencies and service texts ignore opt-outs",
        )


def _warning_complete(template: Template, config: Config) -> Iterator[Finding]:
    for body in _bodies(template):
        lacking = [name for name in WARNING_FIELDS if name not in body.required]
        if template.warning and lacking:
            yield "fields", f"预警必须有：{'、'.join(lacking)}", f"a warning states {', '.join(lacking)}"


def _only_the_signature_in_brackets(template: Template, config: Config) -> Iterator[Finding]:
    if any(mark in body.source for body in _bodies(template) for mark in "【】"):
        yield "", "正文里不能有【】，签名会自动加上", "no 【】 in the text: the signature is added"


def _no_optout_word_as_answer(template: Template, config: Config) -> Iterator[Finding]:
    words = sorted({*OPTOUT_WORDS, *config.inbound.optout_words}, key=len, reverse=True)
    asks = re.compile(rf"(?:回复?|发送?|输入)[“\"‘'「]?({'|'.join(map(re.escape, words))})(?![A-Za-z恤])", re.I)
    for body in _bodies(template):
        for clause in re.split(r"[,，;；。!！?？]", body.source):
            if (found := asks.search(clause)) and not re.search("退订|拒收|不再|停发", clause):
                yield (
                    "",
                    f"“{found[1]}”是退订词，不能让人拿它回答",
                    f"{found[1]} opts people out: ask for another answer",
                )


def _service_fields_given(template: Template, config: Config) -> Iterator[Finding]:
    name = template.name.removeprefix("service/")
    if template.is_service and name not in SERVICE:
        zh, en = did_you_mean(name, SERVICE)
        yield "", f"系统不发这条短信{zh}", f"the gateway has no such text of its own{en}"
    given = SERVICE.get(name, template.names) if template.is_service else template.names
    for field in sorted(template.names - set(given)):
        yield f"fields.{field}", "系统不提供这一项", "the gateway does not give this value"


_RULES: tuple[Callable[[Template, Config], Iterator[Finding]], ...] = (
    _hours_known,
    _promotion_ends_well,
    _consent_allowed,
    _warning_complete,
    _only_the_signature_in_brackets,
    _no_optout_word_as_answer,
    _service_fields_given,
)


def _bodies(template: Template) -> list[Body]:
    return [template.home, template.away] if template.away else [template.home]
