"""What an operator's code means, what is done with it, and a sentence that an official understands.

Policy
- The codes are data: `codes.toml`, a table per protocol or operator and stage. A code that is not there is a `fault`,
  is shown, and suppresses nobody. The raw code is always kept.
- What is more exact wins: the code or a range that has it; of STATE:ERROR the error alone; the state, or the family (MK
  of MK:0001). Of two alike the account's own, `[carriers.NAME.codes]`, wins, then the protocol's. A receipt falls back
  to the operator at home in its protocol, then to the others, then to the words that all use.
- A bare number means something only at its own operator: found at another's it counts as disputed.
- Disputed codes say so, and one of them alone never suppresses anybody. Suppressing is only for dead and blocked
  numbers, and what is uncertain is never sent again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal, NamedTuple, Self, get_args

from pydantic import ValidationError, model_validator

from gateway.errors import Invalid, Problem
from gateway.tomlfile import Key, Table, TomlFile, did_you_mean, wrong

FILE = "codes.toml"

Stage = Literal["login", "submit", "receipt"]
STAGES: tuple[Stage, ...] = get_args(Stage)
SHARING: Mapping[Stage, tuple[str, ...]] = {
    "login": ("login", "answer", "any"),
    "submit": ("submit", "answer", "any"),
    "receipt": ("receipt", "any"),
}
"""The tables that a stage is read from, in order: answers to us share codes that a receipt uses otherwise."""

TABLES = frozenset().union(*SHARING.values())

Kind = Literal[
    "delivered",
    "pending",
    "absent",
    "dead",
    "suspended",
    "blocked",
    "content",
    "signature",
    "rate",
    "hours",
    "quota",
    "route",
    "account",
    "fault",
    "uncertain",
]
Does = Literal["final", "retry", "slow", "wait", "reroute", "pause", "suppress", "tell", "relogin", "stop", "show"]

KINDS: Mapping[Kind, tuple[str, str]] = {
    "delivered": ("已送到", "delivered"),
    "pending": ("还没有结果", "pending"),
    "absent": ("关机或不在服务区", "absent"),
    "dead": ("空号", "no such number"),
    "suspended": ("停机", "suspended"),
    "blocked": ("退订或黑名单", "blocked"),
    "content": ("内容", "content"),
    "signature": ("签名", "signature"),
    "rate": ("太快", "rate"),
    "hours": ("时段", "hours"),
    "quota": ("额度", "quota"),
    "route": ("路由", "route"),
    "account": ("账号", "account"),
    "fault": ("故障或不明", "fault"),
    "uncertain": ("结果不明", "uncertain"),
}
DOES: Mapping[Does, tuple[str, str]] = {
    "final": ("到此为止", "nothing more"),
    "retry": ("过后再发一次", "sent once more later"),
    "slow": ("放慢，这条再发", "slower, this text again"),
    "wait": ("等", "wait"),
    "reroute": ("换一条通道", "another route"),
    "pause": ("多了就停下群发", "many of them pause the broadcast"),
    "suppress": ("两天都这样就不再发", "not sent to after two such days"),
    "tell": ("告诉技术人员", "tell IT"),
    "relogin": ("重新登录", "log in again"),
    "stop": ("停止登录，告诉技术人员", "no more logins, tell IT"),
    "show": ("显示出来，问运营商", "shown; ask the operator"),
}
"""Each word as officials read it, (zh, en)."""

DISPUTED = ("（各家说法不一）", " (sources disagree)")
UNKNOWN = ("不认得的代码，要问运营商的客户经理", "an unknown code: ask the operator's account manager")

HOMES: Mapping[str, str] = {"cmpp": "移动", "sgip": "联通", "smgp": "电信"}
OPERATORS = ("移动", "联通", "电信")
SHARED = "all"
ALONE = frozenset({"gsm"})
"""Protocols whose receipts are numbers of their own: no operator's table may read them."""


class Entry(Table):
    """What one line of the data says."""

    kind: Kind
    does: Does
    zh: str
    en: str
    disputed: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.does == "suppress" and self.kind not in ("dead", "blocked"):
            raise wrong("suppress 只用于 dead 和 blocked", "suppress is for dead and blocked only")
        if self.kind == "uncertain" and self.does not in ("final", "show", "tell"):
            raise wrong("结果不明的不能再发", "what is uncertain is not sent again")
        if self.does != {"delivered": "final", "pending": "wait"}.get(self.kind, self.does):
            raise wrong("delivered 配 final，pending 配 wait", "delivered goes with final, pending with wait")
        return self


Own = Mapping[str, Entry]
"""An account's own codes; "submit 108" and "login 7" are of those stages, all others of receipts."""


def miswritten(own: Own) -> Iterator[tuple[str, tuple[str, str]]]:
    """What is wrong with the keys of an account's own codes: key, and the mistake in both languages."""
    for stage in STAGES:
        here = {key: entry for key, entry in own.items() if _staged(key)[0] == stage}
        named = {_staged(key)[1]: key for key in here}
        yield from ((named[key], said) for key, said in mistakes({k: here[named[k]] for k in named}))


class Code(NamedTuple):
    """What a code means. `code` is the operator's own; not `known`: nothing in the data has it."""

    code: str
    kind: Kind
    does: Does
    zh: str
    en: str
    known: bool = True
    disputed: bool = False


def explain(protocol: str, stage: Stage, code: str, own: Own | None = None) -> Code:
    """The meaning of `code` as this protocol (cmpp, cmpp2, sgip, smgp, smpp, gsm, any other) gives it at this stage."""
    return _explained(protocol, stage, code, tuple(own.items()) if own else ())


@lru_cache(maxsize=4096)
def _explained(protocol: str, stage: Stage, code: str, own: tuple[tuple[str, Entry], ...]) -> Code:
    mine = (_Meanings(_own_table(stage, own)),) if own else ()
    splits = stage == "receipt" and _base(protocol) not in ALONE
    found = _find((*mine, *_chain(protocol, stage)), normal(code), splits=splits)
    if found is None:
        return Code(code, "fault", "show", *UNKNOWN, known=False)
    entry, disputed = found
    zh, en = DISPUTED if disputed else ("", "")
    return Code(code, entry.kind, entry.does, entry.zh + zh, entry.en + en, True, disputed)


def _own_table(stage: Stage, own: tuple[tuple[str, Entry], ...]) -> dict[str, Entry]:
    staged = [(*_staged(key), entry) for key, entry in own]
    return {key: entry for of, key, entry in staged if of == stage}


def _staged(key: str) -> tuple[str, str]:
    stage, space, rest = key.partition(" ")
    return (stage, rest) if space and stage in STAGES else ("receipt", key)


# --- codes and keys -----------------------------------------------------------------------------


def normal(code: str) -> str:
    """As codes are compared: capitals, numbers without leading zeros, `+CMS ERROR: 304` as CMS:304."""
    short = re.sub(r"^\+?(CM[SE]) ?(?:ERROR)?:? *", r"\1:", code.strip().upper())
    return ":".join(_number(part.strip()) for part in short.split(":", 1))


def _number(word: str) -> str:
    if re.fullmatch(r"0X[0-9A-F]+", word):
        return str(int(word, 16))
    return str(int(word)) if word.isascii() and word.isdecimal() else word


class Span(NamedTuple):
    """The codes that a key has under one head: numbers from `low` to `high`, or one of any kind where both are None."""

    head: str
    low: int | None
    high: int | None
    word: str

    def codes(self) -> str:
        return f"{self.head}:{self.word}" if self.head else self.word


def spans(key: str) -> Iterator[Span]:
    """What a key of the data names: `MA,CA:0051..0053,0060` is four spans, `2:` a state that is a number.

    ValueError where it is not written so.
    """
    heads, colon, rest = key.partition(":")
    for head in heads.split(",") if colon else [""]:
        for item in (rest if colon else heads).split(","):
            low, dots, high = item.partition("..")
            if (colon and not head.strip()) or not (low.strip() or head.strip().isdecimal()):
                raise ValueError(key)
            yield _span(
                _number(head.strip().upper()), _number(low.strip().upper()), _number(high.strip().upper()), dots
            )


def _span(head: str, low: str, high: str, dots: str) -> Span:
    if not dots:
        return Span(head, None, None, low)
    if int(low) >= int(high):
        raise ValueError(f"{low}..{high}")
    return Span(head, int(low), int(high), f"{low}..{high}")


# --- looking up ---------------------------------------------------------------------------------


@dataclass
class _Meanings:
    """A table ready to be asked. `foreign`: of an operator that is not at home in the protocol."""

    entries: Mapping[str, Entry]
    foreign: bool = False
    exact: dict[str, Entry] = field(default_factory=dict)
    ranges: dict[str, list[tuple[int, int, Entry]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, entry in self.entries.items():
            for span in spans(key):
                if span.low is None or span.high is None:
                    self.exact.setdefault(span.codes(), entry)
                else:
                    self.ranges.setdefault(span.head, []).append((span.low, span.high, entry))

    def get(self, code: str) -> Entry | None:
        found = self.exact.get(code)
        return self._within(code) if found is None else found

    def _within(self, code: str) -> Entry | None:
        head, _, last = code.rpartition(":")
        if not (last.isascii() and last.isdecimal()):
            return None
        return next((entry for low, high, entry in self.ranges.get(head, ()) if low <= int(last) <= high), None)


Found = tuple[Entry, bool]
"""What was found, and whether it is disputed here."""


def _find(chain: tuple[_Meanings, ...], code: str, *, splits: bool) -> Found | None:
    """`splits`: codes may be STATE:ERROR, each with a meaning of its own."""
    found = _first(chain, code)
    head, colon, error = code.partition(":")
    if found or not colon:
        return found
    if _is_family(head) or not splits:
        return _first(chain, head) if _is_family(head) else None
    # A state that is a number stands in the data as 2: and is no error 2.
    state = _first(chain, f"{head}:" if head.isdecimal() else head)
    # What has arrived or is on its way has no error, whatever number stands beside it.
    if state and state[0].kind in ("delivered", "pending"):
        return state
    found = _first(chain, error)
    # Nor does a number make delivered what the state says has failed: an error of 0 is none.
    return state if found is None or found[0].kind in ("delivered", "pending") else found


def _is_family(head: str) -> bool:
    """MK, CMS and their like number their own codes; UNDELIV and SGIP's 2 stand before an operator's error."""
    return head.isalpha() and len(head) <= 3


def _first(chain: tuple[_Meanings, ...], code: str) -> Found | None:
    for table in chain:
        if entry := table.get(code):
            return entry, entry.disputed or (table.foreign and code[:1].isdecimal())
    return None


@cache
def _chain(protocol: str, stage: Stage) -> tuple[_Meanings, ...]:
    home = HOMES.get(_base(protocol))
    named = _looked_in(protocol, stage)
    return tuple(_Meanings(data()[who][of], who in OPERATORS and who != home) for who, of in named)


def places(protocol: str | None, stages: Sequence[Stage]) -> list[tuple[str, str]]:
    """The tables, each once, that codes of a protocol are looked for in; None: all there are."""
    if protocol is not None:
        return list(dict.fromkeys(place for stage in stages for place in _looked_in(protocol, stage)))
    wanted = {of for stage in stages for of in SHARING[stage]}
    return [(who, of) for who, tables in data().items() for of in tables if of in wanted]


def _looked_in(protocol: str, stage: Stage) -> Iterator[tuple[str, str]]:
    """Where a code of this protocol and stage is looked for, in order."""
    base = _base(protocol)
    names = list(dict.fromkeys((protocol, base)))
    if stage == "receipt" and base not in ALONE:
        names += [*sorted(OPERATORS, key=lambda one: one != HOMES.get(base)), SHARED]
    return ((who, of) for who in names for of in SHARING[stage] if of in data().get(who, {}))


def _base(protocol: str) -> str:
    """cmpp of cmpp2 and of cmpp3."""
    return protocol.rstrip("0123456789")


# --- the data -----------------------------------------------------------------------------------

Data = Mapping[str, Mapping[str, Mapping[str, Entry]]]
"""Protocol or operator -> stage -> key -> what it says."""


@cache
def data() -> Data:
    """The file's tables, read once."""
    return read(FILE, (files("gateway") / FILE).read_text(encoding="utf-8"))


def read(name: str, text: str) -> Data:
    """The tables of a text; Invalid with every mistake and its line."""
    file = TomlFile.parse(name, text)
    problems: list[Problem] = []
    found = {who: dict(_stages(file, who, problems)) for who in file.data}
    if problems:
        raise Invalid(problems)
    return found


def _stages(file: TomlFile, who: str, problems: list[Problem]) -> Iterator[tuple[str, Mapping[str, Entry]]]:
    for stage, table in file.data[who].items():
        if stage not in TABLES:
            zh, en = did_you_mean(stage, TABLES)
            problems.append(file.problem((who, stage), f"没有这个环节{zh}", f"no such stage{en}"))
            continue
        entries = dict(_entries(file, (who, stage), table, problems))
        problems += [file.problem((who, stage, key), *said) for key, said in mistakes(entries)]
        yield stage, entries


def _entries(
    file: TomlFile, at: Key, table: Mapping[str, object], problems: list[Problem]
) -> Iterator[tuple[str, Entry]]:
    for key, value in table.items():
        try:
            yield key, Entry.model_validate(value)
        except ValidationError as error:
            problems += file.problems(error, Entry, (*at, key))


MISWRITTEN = (
    "代码应写作 MK:0001、MB:0008,0019 或 DB:0105..0114",
    "codes are written MK:0001, MB:0008,0019 or DB:0105..0114",
)


def mistakes(entries: Mapping[str, Entry]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Keys that are not written as a key is, and codes that an earlier key has already."""
    seen: list[Span] = []
    for key in entries:
        try:
            mine = list(spans(key))
        except ValueError:
            yield key, MISWRITTEN
            continue
        for span in mine:
            if any(_overlap(span, other) for other in seen):
                yield key, (f"{span.codes()} 写了两次", f"{span.codes()} stands twice")
        seen += mine


def _overlap(one: Span, other: Span) -> bool:
    """A single code may stand out of a range, and does not count."""
    if one.head != other.head or (one.low is None) != (other.low is None):
        return False
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return one.word == other.word
    return one.low <= other.high and other.low <= one.high
