"""How things look: tables, money, times, states in words, progress, JSON.

Policy
- Standard output has the answer; progress and hints go to standard error, and only where somebody watches.
- No colour codes in a pipe, and there a table is as wide as it needs: nothing is cut off for a program.
- Numbers are shown masked unless a command says otherwise; money has the site's currency and at least two decimals.
- JSON has the words of the code: times in UTC, money as text, names as in the database.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

from gateway.cli.language import t

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from gateway.config import Config

PIPE_WIDTH = 200
NARROWEST = 8  # cells of a column that may be folded
CURRENCIES = {"CNY": ("元", "CNY")}

STATES: Mapping[str, tuple[str, str]] = {
    "due": ("到时", "due"),
    "draft": ("草稿", "draft"),
    "composing": ("生成中", "composing"),
    "composed": ("待审批", "to be approved"),
    "approved": ("已批准", "approved"),
    "stopped": ("已停", "stopped"),
    "failed": ("失败", "failed"),
    "held": ("未放行", "held"),
    "ready": ("待发", "ready"),
    "done": ("完", "done"),
    "texts": ("短信", "texts"),
    "waiting": ("待发", "waiting"),
    "accepted": ("已交运营商", "accepted"),
    "delivered": ("已送达", "delivered"),
    "incomplete": ("收到不全", "incomplete"),
    "undelivered": ("未送达", "undelivered"),
    "rejected": ("被拒", "rejected"),
    "uncertain": ("不确定", "uncertain"),
    "withheld": ("退订后未发", "withheld"),
    "expired": ("过期未发", "expired"),
    "cancelled": ("已取消", "cancelled"),
}
"""Words of the code as officials read them, (zh, en)."""

PRIORITIES: Mapping[str, tuple[str, str]] = {
    "emergency": ("紧急", "emergency"),
    "urgent": ("加急", "urgent"),
    "normal": ("普通", "normal"),
    "bulk": ("批量", "bulk"),
}


def state(word: str) -> str:
    """A state as people call it."""
    return t(*STATES.get(word, (word, word)))


def left_out(reason: str) -> str:
    """Why somebody gets no text, in the words of the reports."""
    if reason == "same_number":
        return t("同号的人已有一条", "somebody on the same number gets one")
    from gateway import reports

    return t(*reports.explain(reason))


def left_out_table(counts: Mapping[str, int]) -> None:
    """How many people get no text, by reason; nothing where there are none."""
    if counts:
        rows = [(left_out(reason), f"{n:,}") for reason, n in counts.items()]
        table((t("未列入的原因", "left out because"), t("人数", "people")), rows, right=(1,), whole=())


def money(amount: Decimal, config: Config) -> str:
    """`1,455.12 元`."""
    return f"{figure(amount)} {currency(config)}"


def figure(amount: Decimal) -> str:
    """`1,455.12`; more decimals only where they are not zero."""
    digits = max(2, -int(amount.normalize().as_tuple().exponent))
    return f"{amount:,.{digits}f}"


def currency(config: Config) -> str:
    """What the site's money is called."""
    code = config.site.currency
    return t(*CURRENCIES.get(code, (code, code)))


def when(moment: datetime | None, config: Config, empty: str = "") -> str:
    """A moment on the site's clock, to the minute."""
    return empty if moment is None else f"{moment.astimezone(config.site.zone):%Y-%m-%d %H:%M}"


def count(n: int, zh: str, en: str) -> str:
    """`3,000 人` or `3,000 people`."""
    return t(f"{n:,} {zh}", f"{n:,} {en}")


# --- printing ------------------------------------------------------------------------------------------------


def console(*, stderr: bool = False) -> Console:
    """For standard output, or for what is only to be watched."""
    from rich.console import Console

    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made = Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=PIPE_WIDTH)
    return made


def say(line: str = "") -> None:
    """One line of the answer."""
    sys.stdout.write(f"{line}\n")


def say_now(line: str) -> None:
    """One line that a program waiting for it reads at once."""
    say(line)
    sys.stdout.flush()


def hint(line: str) -> None:
    """What one may do next; not part of the answer."""
    sys.stderr.write(f"{line}\n")


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Collection[int] = (),
    whole: Collection[int] = (0,),
    title: str = "",
) -> None:
    """Rows under headings, a blank line before them; see `drawn`."""
    say()
    if title:
        say(title)
    show(drawn(headings, rows, right=right, whole=whole))


def drawn(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Collection[int] = (),
    whole: Collection[int] = (0,),
) -> Table:
    """Rows under headings. Columns are named by position: those in `right` hold numbers,
    those in `whole` are never broken over two lines, so that what is copied from them is whole.
    """
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    for position, heading in enumerate(headings):
        kept = position in right or position in whole
        justify: Literal["left", "right"] = "right" if position in right else "left"
        made.add_column(heading, justify=justify, overflow="fold", no_wrap=kept)
    for row in rows:
        made.add_row(*("" if cell is None else str(cell) for cell in row))
    return _uncut(made, console().width)


def _uncut(made: Table, width: int) -> Table:
    """In a narrow window the other columns fold before a figure loses a digit; at the worst its lines are broken."""
    from rich.cells import cell_len

    needed = 0
    for column in made.columns:
        widest = max(cell_len(str(cell)) for cell in (column.header, *column.cells))
        column.min_width = widest if column.no_wrap else min(widest, NARROWEST)
        needed += column.min_width + 1
    made.width = needed if needed > width else None
    return made


def facts(rows: Iterable[tuple[str, object]]) -> None:
    """Names and what they are, one under the other; what is empty is left out."""
    from rich.table import Table

    made = Table.grid(padding=(0, 2))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        if value not in (None, ""):
            made.add_row(name, str(value))
    show(made)


def show(what: RenderableType) -> None:
    """Print something drawn; in a pipe without the spaces that fill its lines."""
    out = console()
    if out.is_terminal:
        return out.print(what, crop=False)
    with out.capture() as drawn:
        out.print(what)
    lines = [line.rstrip() for line in drawn.get().splitlines()]
    return say("\n".join(lines).rstrip("\n"))


def text_box(title: str, body: str) -> None:
    """A text as it is sent, with a line above."""
    from rich.padding import Padding
    from rich.text import Text

    say()
    show(Text(title, style="dim"))
    if body:
        show(Padding(body, (0, 0, 0, 2)))


def noted(line: str) -> None:
    """Something about what stands above it, folded under its own beginning."""
    from rich.padding import Padding
    from rich.text import Text

    show(Padding(Text(line, style="dim"), (0, 0, 0, 2)))


def texts(samples: Iterable[tuple[str, str]]) -> None:
    """Texts as they are sent, each once, with the masked numbers that get it."""
    to: dict[str, list[str]] = {}
    for number, body in samples:
        to.setdefault(body, []).append(number)
    for body, numbers in to.items():
        text_box(t("、", ", ").join(numbers), body)


@contextlib.contextmanager
def progress(about: str) -> Iterator[Callable[[int], None]]:
    """Something long: a call with the number done so far moves the figure; silent where nobody watches."""
    out = console(stderr=True)
    if not out.is_terminal:
        yield lambda done: None
        return
    with out.status(about) as status:
        yield lambda done: status.update(f"{about} {done:,}")


@contextlib.contextmanager
def bar(counting: str, working: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar for work whose size is counted first: call it with what is done, and of how many once that is known."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    out = console(stderr=True)
    shape = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*shape, console=out, transient=True, disable=not out.is_terminal) as made:
        task = made.add_task(counting, total=None)
        yield lambda done, total: made.update(
            task, completed=done, total=total, description=counting if total is None else working
        )


# --- JSON ----------------------------------------------------------------------------------------------------


def as_json(value: object, *, line: bool = False) -> None:
    """Print as JSON, indented; `line`: in one line, for streams of objects."""
    say(json.dumps(plain(value), ensure_ascii=False, indent=None if line else 2))


def plain(value: Any) -> Any:
    """The same of JSON's own kinds."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Decimal):
        return figure(value).replace(",", "")
    if isinstance(value, datetime | date):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    return [plain(one) for one in value]


def columns(row: Any, *names: str) -> dict[str, Any]:
    """These columns of a row."""
    return {name: getattr(row, name) for name in names}
