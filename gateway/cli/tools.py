"""What needs no site and no database: measuring texts, reading numbers.

Policy: these start quickly and answer programs as well as people; a file gives one JSON object per line, in its order.
A number that cannot be sent to is an answer, not a failure: the exit code is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import shown
from gateway.cli.help import argument, option, verb
from gateway.cli.language import t

JsonFlag = Annotated[bool, option("--json", zh="输出 JSON", en="print JSON")]
FileName = tuple[str, str]
FILE: FileName = ("文件", "FILE")


@verb("量一段文字：字符表、单位数、段数、计费条数", "Measure a text: alphabet, units, parts, what is billed")
def text(
    string: Annotated[str | None, argument(("文字", "STRING"), zh="要量的文字", en="the text to measure")] = None,
    file: Annotated[
        Path | None,
        option(
            "--file",
            value=FILE,
            zh="表格文件，量其中 text 一列的每一格",
            en="a table: each cell of its column text",
        ),
    ] = None,
    signature: Annotated[
        str,
        option(
            "--signature",
            value=("签名", "NAME"),
            zh="把签名算在内（不写【】）",
            en="count this signature in (without its brackets)",
        ),
    ] = "",
    json: JsonFlag = False,
) -> None:
    from gateway import text as texts

    def signed(body: str) -> str:
        return texts.counted(body, signature, "front") if signature else body

    def measured(body: str) -> dict[str, Any]:
        found = texts.measure(signed(body))
        return {"alphabet": found.alphabet.value, "units": found.units, "parts": found.parts}

    def told(body: str) -> str:
        return _text_line(measured(body), texts.billed_parts(signed(body)))

    def notes(body: str) -> list[str]:
        return [t(*warning) for warning in texts.warnings(body, signature)]

    _each(string, file, ("text",), measured, told, notes, as_json=json)


def _text_line(found: dict[str, Any], billed: int) -> str:
    zh = f"{found['alphabet']}，{found['units']} 个单位，{found['parts']} 段，计费 {billed} 条"
    return t(zh, f"{found['alphabet']}, {found['units']} units, {found['parts']} parts, billed as {billed}")


@verb("看一个号码：能不能发、哪家运营商", "Read a phone number: whether it can be sent to, and its operator")
def phone(
    string: Annotated[str | None, argument(("号码", "STRING"), zh="要看的号码", en="the number to read")] = None,
    file: Annotated[
        Path | None,
        option(
            "--file",
            value=FILE,
            zh="表格文件，看其中 phone（或手机号）一列的每一格",
            en="a table: each cell of its column phone",
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    from gateway import phone as phones

    def parsed(cell: object) -> dict[str, Any]:
        found = phones.parse(cell)
        operator = found.operator.value if found.operator else None
        return {"e164": found.e164, "mobile": found.mobile, "operator": operator, "reason": found.reason}

    def told(cell: object) -> str:
        found = parsed(cell)
        if found["reason"] is None:
            return f"{found['e164']}  {found['operator'] or t('运营商不明', 'operator unknown')}"
        return t("不能发：", "cannot be sent to: ") + t(*phones.explain(found["reason"]))

    _each(string, file, ("phone", *_phone_headings(file)), parsed, told, lambda _: [], as_json=json)


def _phone_headings(file: Path | None) -> tuple[str, ...]:
    if file is None:
        return ()
    from gateway.sheets.headings import PHONES

    return PHONES


def _each(
    string: str | None,
    file: Path | None,
    headings: tuple[str, ...],
    answer: Callable[[Any], dict[str, Any]],
    told: Callable[[Any], str],
    notes: Callable[[Any], list[str]],
    *,
    as_json: bool,
) -> None:
    """Answer one string, or each cell of a column."""
    if (string is None) == (file is None):
        raise typer.BadParameter(t("要么给一段文字，要么给 --file 文件", "give either a string or --file FILE"))
    if file is None:
        if as_json:
            return shown.as_json(answer(string), line=True)
        for line in (told(string), *notes(string)):
            shown.say(line)
        return None
    for row, cell in _cells(file, headings):
        if as_json:
            shown.as_json(answer(cell), line=True)
        else:
            shown.say(f"{row:>6}  {told(cell)}")
    return None


def _cells(file: Path, headings: tuple[str, ...]) -> Iterator[tuple[int, object]]:
    """Row numbers and cells of the first of these columns that the table has; every row counts, also an empty cell."""
    from gateway import sheets

    key = headings[0]
    table, header = sheets.headed(sheets.open_table(file), {key: headings}, needed=(key,))
    for row in table.rows():
        if row.number > header.row:
            cell = header.cell(row, key)
            yield row.number, "" if cell is None else cell


@verb(
    "演示大厅的一天：在临时站点上真跑一遍，对三本账",
    "A day at the hall on a site of its own, its three ledgers compared",
)
def demo(
    json: JsonFlag = False,
    keep: Annotated[
        Path | None,
        option(
            "--keep",
            value=("目录", "DIR"),
            zh="把演示用的站点留在这个目录",
            en="keep the demo's site in this directory",
        ),
    ] = None,
) -> None:
    import asyncio

    from gateway import demo as day
    from gateway.cli.caller import quiet_log

    quiet_log()
    code = asyncio.run(day.run(as_json=json, keep=keep))
    if code:
        raise typer.Exit(code)
