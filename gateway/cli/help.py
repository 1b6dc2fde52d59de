"""What `--help` prints and how wrong use is told, in the person's language.

Policy
- Each line of help is ours: the library's own words, which know no Chinese, are replaced here and nowhere else.
- No frames: they break where a terminal draws their lines two columns wide, as Chinese ones may.
- `--site` and `--as` hold for every command, so they may stand anywhere on the line; `hoisted` moves them to the front.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from gateway.cli.language import t

if TYPE_CHECKING:
    from rich.table import Table
    from typer._click import Command as AnyCommand
    from typer._click import Context, HelpFormatter

F = TypeVar("F", bound=Callable[..., None])

EVERYWHERE = ("--site", "--as")
WIDEST_NAME = 30


def option(*names: str, zh: str, en: str, value: tuple[str, str] | None = None, **more: Any) -> Any:
    """An option with its help in both languages; `value`: what its value is called, in both."""
    metavar = t(*value) if value else None
    return typer.Option(*names, help=t(zh, en), metavar=metavar, show_default=False, **more)


def argument(name: tuple[str, str], *, zh: str, en: str, **more: Any) -> Any:
    """An argument with its name and its help in both languages."""
    return typer.Argument(help=t(zh, en), metavar=t(*name), show_default=False, **more)


def verb(zh: str, en: str) -> Callable[[F], F]:
    """What a command does, in both languages; its first line stands in lists."""

    def describe(function: F) -> F:
        function.__doc__ = t(zh, en)
        return function

    return describe


def noun(zh: str, en: str, **verbs: Callable[..., None]) -> typer.Typer:
    """A group of verbs, in this order; `left_behind` is typed left-behind."""
    made = typer.Typer(cls=Group, no_args_is_help=True, help=t(zh, en))
    add(made, "", **verbs)
    return made


def add(app: typer.Typer, panel: str, **verbs: Callable[..., None] | typer.Typer) -> None:
    """Offer these commands and groups under the title `panel` of the help."""
    for name, one in verbs.items():
        called = name.rstrip("_").replace("_", "-")
        if isinstance(one, typer.Typer):
            app.add_typer(one, name=called, cls=Group, rich_help_panel=panel or None)
        else:
            app.command(called, cls=Command, rich_help_panel=panel or None)(one)


def _print_help(command: TyperCommand | TyperGroup, ctx: Context) -> None:
    from rich.cells import cell_len
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    console.print(f"{t('用法：', 'Usage: ')}{usage(command, ctx)}", soft_wrap=True)
    console.print(f"\n{command.help or ''}")
    shown = list(sections(command, ctx))
    widths = [cell_len(name) for _, rows in shown for name, _ in rows]
    for title, rows in shown:
        console.print(f"\n{title}", style="bold")
        console.print(_columns(rows, min(max(widths), WIDEST_NAME)))


class Command(TyperCommand):
    """A command that speaks the person's language."""

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        _print_help(self, ctx)

    def get_help_option(self, ctx: Context) -> TyperOption | None:
        return _translated_help(super().get_help_option(ctx))


class Group(TyperGroup):
    """A group of commands."""

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        _print_help(self, ctx)

    def get_help_option(self, ctx: Context) -> TyperOption | None:
        return _translated_help(super().get_help_option(ctx))

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, AnyCommand | None, list[str]]:
        if args[0] not in self.commands and not args[0].startswith("-"):
            near = get_close_matches(args[0], self.commands, n=1)
            zh = f"没有命令 {args[0]}" + (f"，是不是 {near[0]}？" if near else "")
            en = f"no command {args[0]}" + (f"; did you mean {near[0]}?" if near else "")
            ctx.fail(t(zh, en))
        return super().resolve_command(ctx, args)


def _translated_help(found: TyperOption | None) -> TyperOption | None:
    if found is not None:
        found.help = t("显示本说明", "show this help")
    return found


def _columns(rows: Sequence[tuple[str, str]], width: int) -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2), pad_edge=True)
    table.add_column(style="cyan", no_wrap=True, min_width=width)
    table.add_column()
    for name, about in rows:
        table.add_row(name, about)
    return table


def usage(command: TyperCommand | TyperGroup, ctx: Context) -> str:
    """`gateway broadcast draft [选项] 模板`."""
    given = [_argument(one) for one in command.get_params(ctx) if isinstance(one, TyperArgument)]
    tail = [t("命令 ...", "COMMAND ...")] if isinstance(command, TyperGroup) else given
    return " ".join([ctx.command_path, t("[选项]", "[OPTIONS]"), *tail])


def _argument(one: TyperArgument) -> str:
    name = (one.metavar or one.name.upper()) + ("..." if one.nargs != 1 else "")
    return name if one.required else f"[{name}]"


def sections(command: TyperCommand | TyperGroup, ctx: Context) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Titles with (name, meaning): commands by panel, arguments, options."""
    if isinstance(command, TyperGroup):
        panels: dict[str, list[tuple[str, str]]] = {}
        for name, one in command.commands.items():
            title = getattr(one, "rich_help_panel", None) or t("命令", "Commands")
            panels.setdefault(title, []).append((name, (one.help or "").partition("\n")[0]))
        yield from panels.items()
    shown = [one for one in command.get_params(ctx) if not getattr(one, "hidden", False)]
    for title, kind in ((t("参数", "Arguments"), TyperArgument), (t("选项", "Options"), TyperOption)):
        if rows := [_row(one) for one in shown if isinstance(one, kind)]:
            yield title, rows


def _row(one: TyperArgument | TyperOption) -> tuple[str, str]:
    if isinstance(one, TyperArgument):
        return _argument(one).strip("[]"), one.help or ""
    name = ", ".join([*one.opts, *one.secondary_opts])
    return (name if one.is_flag else f"{name} {one.metavar or ''}".rstrip()), one.help or ""


def hoisted(args: Sequence[str]) -> list[str]:
    """The same line with `--site DIR` and `--as LOGIN` in front, wherever they stood."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(args)
    for word in words:
        if word == "--":
            return [*front, *rest, word, *words]
        if word in EVERYWHERE:
            value = next(words, None)
            if value is None:  # nothing else may be taken for its value
                return [*front, word]
            front += [word, value]
        else:
            (front if word.startswith(tuple(f"{one}=" for one in EVERYWHERE)) else rest).append(word)
    return [*front, *rest]


# --- wrong use ----------------------------------------------------------------------------------------------


def wrong_use(error: Any) -> str:
    """One line about a usage error of the library's, as the person reads it."""
    kind, hint = type(error).__name__, _hint(getattr(error, "param", None))
    if kind == "MissingParameter":
        return t(f"缺少 {hint}", f"missing: {hint}")
    if kind == "NoSuchOption":
        near = ", ".join(sorted(error.possibilities or ()))
        zh, en = (f"，是不是 {near}？", f"; did you mean {near}?") if near else ("", "")
        return t(f"没有选项 {error.option_name}{zh}", f"no option {error.option_name}{en}")
    if hint:
        return t(f"{hint} 的值不对", f"wrong value for {hint}")
    return _translated(error.message)


def _hint(param: Any) -> str:
    if param is None:
        return ""
    return str(param.metavar or param.name) if isinstance(param, TyperArgument) else ", ".join(param.opts)


_KNOWN: Sequence[tuple[str, Callable[[re.Match[str]], str]]] = (
    (r"Got unexpected extra argument\S* \((.*)\)", lambda m: t(f"多出来的参数：{m[1]}", f"too many arguments: {m[1]}")),
    (r"Option '?(\S+?)'? requires an argument\.?", lambda m: t(f"选项 {m[1]} 后面要有值", f"{m[1]} needs a value")),
    (r"Option '?(\S+?)'? does not take a value\.?", lambda m: t(f"选项 {m[1]} 后面没有值", f"{m[1]} takes no value")),
    (r"Missing command\.?", lambda m: t("缺少命令", "missing: a command")),
)


def _translated(message: str) -> str:
    for pattern, ours in _KNOWN:
        if found := re.fullmatch(pattern, message.strip()):
            return ours(found)
    return message
