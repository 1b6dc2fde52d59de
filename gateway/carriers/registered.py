"""Wordings that a provider renders itself: our finished text is taken apart into a registered template and parameters.

Policy
- What the provider renders is our text, character by character, or the text is refused before it is sent: a template
  fits only where its literal words and one value per placeholder make up the whole body.
- Of several that fit the most specific is taken: the one with most literal characters, then with fewest placeholders,
  then the first in the table.
- A value is not empty, not longer than the provider takes, and holds neither 【】, which operators read as a signature,
  nor a link, which providers refuse in a value. A placeholder that occurs twice has one value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

NAMED = r"\$\{([A-Za-z_]\w{0,63})\}"
NUMBERED = r"\{([1-9]\d?)\}"
_UNWELCOME = re.compile(r"[【】]|https?://|www\.", re.I)


class Fitted(NamedTuple):
    """The provider's code of the template and the value of each placeholder, in the template's order."""

    code: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Wording:
    """One template: words and names of placeholders by turns, words first and last (perhaps empty)."""

    code: str
    words: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, code: str, text: str, placeholder: str) -> Wording:
        pieces = re.split(placeholder, text)
        return cls(code, tuple(pieces[::2]), tuple(pieces[1::2]))

    @property
    def rank(self) -> tuple[int, int]:
        return (-sum(map(len, self.words)), len(self.names))

    def fit(self, body: str, longest: int) -> dict[str, str] | None:
        """The values with which this wording is `body`; None where there are none."""
        return _Fit(self, body, longest).values() if self._may_fit(body) else None

    def _may_fit(self, body: str) -> bool:
        """Whether its words stand in the body in their order: most wordings are out by that."""
        first, last = self.words[0], self.words[-1]
        if not (body.startswith(first) and body.endswith(last)):
            return False
        at = len(first)
        for words in self.words[1:-1]:
            at = body.find(words, at + 1)
            if at < 0:
                return False
            at += len(words)
        return True


class _Fit:
    """One search. Dead ends are remembered, so it takes at most placeholders x characters x `longest` steps."""

    def __init__(self, wording: Wording, body: str, longest: int) -> None:
        self._wording, self._body, self._longest = wording, body, longest
        self._twice = {name for name in wording.names if wording.names.count(name) > 1}
        self._dead: set[tuple[object, ...]] = set()
        self._behind = [sum(map(len, wording.words[n + 1 :])) for n in range(len(wording.words))]
        """Characters of all words behind the n-th."""

    def values(self) -> dict[str, str] | None:
        found = self._from(0, len(self._wording.words[0]), {})
        return None if found is None else {name: found[name] for name in dict.fromkeys(self._wording.names)}

    def _from(self, n: int, at: int, known: dict[str, str]) -> dict[str, str] | None:
        """Values of the placeholders from the n-th on, which begins at `at`."""
        if n == len(self._wording.names):
            return known if at == len(self._body) else None
        here = (n, at, *(known.get(name) for name in self._twice))
        if here in self._dead or not self._has_room(n, at):
            return None
        name = self._wording.names[n]
        for value in self._candidates(n, at, known.get(name)):
            after = at + len(value) + len(self._wording.words[n + 1])
            found = self._from(n + 1, after, {**known, name: value})
            if found is not None:
                return found
        self._dead.add(here)
        return None

    def _has_room(self, n: int, at: int) -> bool:
        """Whether the values still to come can be neither too short nor too long together."""
        values, rest = len(self._wording.names) - n, len(self._body) - at - self._behind[n]
        return values <= rest <= values * self._longest

    def _candidates(self, n: int, at: int, fixed: str | None) -> Iterator[str]:
        """Values behind which the template's next words follow, shortest first."""
        for end in self._ends(n, at):
            value = self._body[at:end]
            if 0 < len(value) <= self._longest and fixed in (None, value):
                yield value

    def _ends(self, n: int, at: int) -> Iterator[int]:
        words, body = self._wording.words[n + 1], self._body
        if n + 1 == len(self._wording.names):
            yield len(body) - len(words)
            return
        end, last = body.find(words, at + 1), min(at + self._longest, len(body))
        while 0 <= end <= last:
            yield end
            end = body.find(words, end + 1)


@lru_cache(maxsize=64)
def _wordings(templates: tuple[tuple[str, str], ...], placeholder: str) -> tuple[Wording, ...]:
    made = [Wording.of(code, text, placeholder) for code, text in templates]
    return tuple(sorted(made, key=lambda wording: wording.rank))


def fit(templates: Mapping[str, str], placeholder: str, body: str, longest: int) -> Fitted | None:
    """The most specific template of which `body` is made, with values that the provider takes."""
    for wording in _wordings(tuple(templates.items()), placeholder):
        values = wording.fit(body, longest)
        if values is not None and not any(_UNWELCOME.search(value) for value in values.values()):
            return Fitted(wording.code, values)
    return None


def objection(templates: Mapping[str, str], placeholder: str, body: str, longest: int) -> tuple[str, str] | None:
    """Why a body cannot be sent; None where it can."""
    if fit(templates, placeholder, body, longest) is not None:
        return None
    for wording in _wordings(tuple(templates.items()), placeholder):
        values = wording.fit(body, len(body))
        if values is not None:
            return _misfit(wording.code, values, longest)
    return (
        "正文和在服务商处报备过的模板都对不上",
        "the text is none of the templates that were registered with the provider",
    )


def _misfit(code: str, values: Mapping[str, str], longest: int) -> tuple[str, str]:
    long = [name for name, value in values.items() if len(value) > longest]
    if long:
        return (
            f"模板 {code} 的变量 {'、'.join(long)} 超过 {longest} 个字",
            f"template {code}: {', '.join(long)} longer than {longest} characters",
        )
    bad = [name for name, value in values.items() if _UNWELCOME.search(value)]
    return (
        f"模板 {code} 的变量 {'、'.join(bad)} 里有链接或【】",
        f"template {code}: a link or 【】 in {', '.join(bad)}",
    )


def template_problems(templates: Mapping[str, object], placeholder: str) -> Iterator[tuple[str, str]]:
    """What is wrong with the table of an account's settings."""
    if not templates:
        yield "至少写一个报备过的模板", "write at least one registered template"
    for code, text in templates.items():
        if not isinstance(text, str) or not text:
            yield f"{code} 应是模板的原文", f"{code} should be the template's wording"
        elif "{" in re.sub(placeholder, "", text) or "【" in text:
            yield f"{code} 里有写错的变量，或带了签名", f"{code} has a misspelt placeholder, or the signature"


def unsigned(body: str, signature: str) -> str:
    """The body without the signature in front of it, which the provider adds itself."""
    return body.removeprefix(f"【{signature}】")
