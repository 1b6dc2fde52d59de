"""What can go wrong, sorted by whom it concerns.

A caller's mistake is `Refused`: it says what and where, in Chinese and in English, and nothing was changed.
`Invalid` collects every problem of a file or a form, so that people mend them at once and not one by one.
`Unavailable` is a carrier as a whole; what concerns one text alone is never raised but travels as a value
(`gateway.carriers`: Accepted, Rejected, Deferred, Uncertain).
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class GatewayError(Exception):
    """Root of all errors raised on purpose; `zh` is for officials, `en` for the console's second language."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh = zh
        self.en = en


class Refused(GatewayError):
    """A rule or the state of things forbids what was asked; nothing was changed."""


class NotFound(Refused):
    """There is no such thing, or the asker may not see it."""


class Conflict(Refused):
    """The thing has changed since the asker looked at it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend: `file` as the person named it, `key` dotted, `line` counted from 1 or None."""

    file: str
    key: str
    line: int | None
    zh: str
    en: str

    def where(self) -> str:
        """`config.toml:12 carriers.main.rate`"""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place} {self.key}".rstrip()


class Invalid(Refused):
    """Input with one or more problems, all of them named."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(
            "\n".join(f"{p.where()}: {p.zh}" for p in problems),
            "\n".join(f"{p.where()}: {p.en}" for p in problems),
        )
        self.problems = tuple(problems)


class Unavailable(GatewayError):
    """A carrier as a whole cannot be used now; its waiting parcels may move to the next of the route."""


def place(error: Exception) -> str:
    """File and line of ours where an error came up, for the log: its own words would quote the text, or the number."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "gateway" in Path(frame.filename).parts] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
