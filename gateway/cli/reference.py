"""Writes docs/cli.md from the commands' own help, in both languages: `python -m gateway.cli.reference`.

Policy: nothing in that page is written by hand. `--check` compares and answers 1 where the page is out of step, and
`--print` prints the part of the language that this process speaks.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from gateway.cli import build
from gateway.cli.help import sections, usage
from gateway.cli.language import t

PAGE = Path(__file__).parent.parent.parent / "docs" / "cli.md"


def main(args: list[str]) -> int:
    """Write the page, compare it or print one language of it."""
    if "--print" in args:
        sys.stdout.write(part())
        return 0
    page = whole()
    if "--check" in args:
        return 0 if PAGE.is_file() and PAGE.read_text() == page else 1
    PAGE.write_text(page)
    return 0


def whole() -> str:
    """The page: Chinese, then English, each printed by a process that speaks it."""
    command = [sys.executable, "-m", "gateway.cli.reference", "--print"]
    parts = [
        subprocess.run(  # noqa: S603 (this very module)
            command, env={**os.environ, "GATEWAY_LANG": language}, capture_output=True, check=True, encoding="utf-8"
        ).stdout
        for language in ("zh", "en")
    ]
    return "\n".join(parts)


def part() -> str:
    """All commands in this process's language."""
    command = build()
    ctx = typer.Context(command, info_name="gateway")
    return "\n".join([*_opening(), *_sections(command, ctx), *_commands(command, ctx)]) + "\n"


def _opening() -> list[str]:
    zh = (
        "由各命令的 `--help` 生成（`python -m gateway.cli.reference`），请勿手改。"
        "退出码：0 正常，1 被拒绝或失败，2 用法不对。查看类的命令都有 `--json`。"
    )
    en = (
        "Made from the commands' `--help` (`python -m gateway.cli.reference`); do not edit by hand. "
        "Exit codes: 0 fine, 1 refused or failed, 2 wrong use. Every reading command takes `--json`."
    )
    return [t("# 命令行", "# Command line"), "", t(zh, en), ""]


def _commands(group: TyperGroup, parent: Any) -> Iterator[str]:
    for name, command in group.commands.items():
        ctx = typer.Context(command, info_name=name, parent=parent)
        if isinstance(command, TyperGroup):
            yield from (f"## {ctx.command_path}", "", command.help or "", "")
            if command.invoke_without_command:
                yield from (f"    {ctx.command_path} {t('[选项]', '[OPTIONS]')}", "")
                yield from _sections(command, ctx)
            yield from _commands(command, ctx)
        else:
            level = "##" if parent.parent is None else "###"
            made: Any = command
            yield from (f"{level} {ctx.command_path}", "", command.help or "", "", f"    {usage(made, ctx)}", "")
            yield from _sections(made, ctx)


def _sections(command: Any, ctx: Any) -> Iterator[str]:
    for title, rows in sections(command, ctx):
        if told := [f"| `{name}` | {_cell(about)} |" for name, about in rows if name != "--help"]:
            yield from (f"| {title} | |", "|---|---|", *told, "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
