"""What operators' codes mean: one of them, or all.

Policy: without a site it answers from the common data; `--carrier` needs the site, whose account may have codes of its
own. The page docs/codes.md is made here, from the data alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from gateway.cli import shown
from gateway.cli.caller import caller
from gateway.cli.help import argument, option, verb
from gateway.cli.language import t
from gateway.codes import DISPUTED, DOES, KINDS, STAGES, Code, Entry, Own, Stage, data, explain, places
from gateway.errors import NotFound

STAGE_NAMES = {
    "login": ("登录", "login"),
    "submit": ("提交", "submit"),
    "receipt": ("回执", "receipt"),
    "answer": ("登录和提交", "login, submit"),
    "any": ("登录、提交、回执", "login, submit, receipt"),
}
TABLE_NAMES = {"all": ("各家通用", "all")}

Place = tuple[str, str]
"""Protocol or operator, and stage."""


@verb("解释运营商的代码；不写代码就列出全部", "Explain an operator's code; without one, list them all")
def codes(
    ctx: typer.Context,
    code: Annotated[
        str | None, argument(("代码", "CODE"), zh="如 MK:0001、UNDELIV、2:5", en="such as MK:0001, UNDELIV, 2:5")
    ] = None,
    carrier: Annotated[
        str | None,
        option(
            "--carrier",
            value=("账号", "NAME"),
            zh="按这个账号的协议和它自己的代码表",
            en="by this account's protocol and its own codes",
        ),
    ] = None,
    protocol: Annotated[
        str | None, option("--protocol", value=("协议", "NAME"), zh="只看这个协议", en="of this protocol only")
    ] = None,
    stage: Annotated[
        str | None,
        option(
            "--stage",
            value=("环节", "STAGE"),
            zh="login 登录，submit 提交，receipt 回执",
            en="login, submit or receipt",
        ),
    ] = None,
    json: Annotated[bool, option("--json", zh="输出 JSON", en="print JSON")] = False,
    markdown: Annotated[
        bool, option("--markdown", zh="输出文档页 docs/codes.md", en="print the page docs/codes.md")
    ] = False,
) -> None:
    if markdown:
        return shown.say(page().rstrip("\n"))
    own, protocol = _account(ctx, carrier) if carrier else ({}, protocol)
    if stage is not None and stage not in STAGES:
        raise typer.BadParameter(t(f"没有环节 {stage}", f"no stage {stage}"))
    stages = [one for one in STAGES if stage in (None, one)]
    if code is None:
        return _list(protocol, stages, own, as_json=json)
    return _explain(code, protocol, stages, own, as_json=json)


def _account(ctx: typer.Context, carrier: str) -> tuple[Own, str]:
    config = caller(ctx).config()
    if carrier not in config.carriers:
        raise NotFound(f"没有通道 {carrier}", f"no carrier {carrier}")
    found = config.carriers[carrier]
    return found.codes, found.protocol


# --- one code -----------------------------------------------------------------------------------


def _explain(code: str, protocol: str | None, stages: list[Stage], own: Own, *, as_json: bool) -> None:
    found = list(_meanings(code, protocol, stages, own))
    if as_json:
        return shown.as_json([{"protocols": where, "stage": stage, **one._asdict()} for stage, where, one in found])
    rows = [
        (t(*STAGE_NAMES[stage]), ", ".join(where), t(*KINDS[one.kind]), t(*DOES[one.does]), t(one.zh, one.en))
        for stage, where, one in found
    ]
    headings = (t("环节", "stage"), t("协议", "protocol"), t("类别", "kind"), t("怎么办", "then"), t("意思", "meaning"))
    shown.say(code)
    return shown.table(headings, rows, whole=(0,))


def _meanings(
    code: str, protocol: str | None, stages: list[Stage], own: Own
) -> Iterator[tuple[Stage, list[str], Code]]:
    """Each meaning once, with the protocols that give it; the unknown code alone where no table has it."""
    where: dict[tuple[Stage, Code], list[str]] = {}
    for stage in stages:
        for one in [protocol] if protocol else protocols():
            where.setdefault((stage, explain(one, stage, code, own)), []).append(one)
    known = {key: names for key, names in where.items() if key[1].known} or where
    yield from ((stage, names, found) for (stage, found), names in known.items())


def protocols() -> list[str]:
    """Those that the data has tables of."""
    return [name for name in data() if name.isascii() and name not in TABLE_NAMES]


# --- all of them --------------------------------------------------------------------------------


def _list(protocol: str | None, stages: list[Stage], own: Own, *, as_json: bool) -> None:
    found = [*(((t("本账号", "this account"), ""), key, one) for key, one in own.items()), *_rows(protocol, stages)]
    if as_json:
        return shown.as_json([_as_dict(*row) for row in found])
    rows = [
        (_place(*place), key, t(*KINDS[one.kind]), t(*DOES[one.does]), t(*sentence(one))) for place, key, one in found
    ]
    headings = (t("哪里", "where"), t("代码", "code"), t("类别", "kind"), t("怎么办", "then"), t("意思", "meaning"))
    return shown.table(headings, rows, whole=(0,))


def _rows(protocol: str | None, stages: list[Stage]) -> Iterator[tuple[Place, str, Entry]]:
    """Of one protocol: its own tables, and those that its receipts fall back to."""
    for who, of in places(protocol, stages):
        yield from (((who, of), key, entry) for key, entry in data()[who][of].items())


def _place(who: str, stage: str) -> str:
    return " ".join(word for word in (t(*TABLE_NAMES.get(who, (who, who))), stage and t(*STAGE_NAMES[stage])) if word)


def sentence(entry: Entry) -> tuple[str, str]:
    """Of a line of the data, in both languages; a disputed one says so."""
    zh, en = DISPUTED if entry.disputed else ("", "")
    return entry.zh + zh, entry.en + en


def _as_dict(place: Place, key: str, entry: Entry) -> dict[str, Any]:
    return {"table": place[0], "stage": place[1], "code": key, **entry.model_dump()}


# --- the page -----------------------------------------------------------------------------------

OPENING = """# 运营商的代码 / Operators' codes

由 `gateway codes --markdown` 生成，数据在 `gateway/codes.toml`，请勿手改。
Made by `gateway codes --markdown` from `gateway/codes.toml`; do not edit by hand.

看一个代码：`gateway codes MK:0001`；按某个账号：`gateway codes MA:0006 --carrier cmcc`。原来的代码总是留着。
One code: `gateway codes MK:0001`; as an account has it: `gateway codes MA:0006 --carrier cmcc`. The raw code is kept.

- 表里没有的代码算“故障或不明”，显示出来，不会因此停发任何人。
  A code that is not here is a fault, is shown, and suppresses nobody.
- 越具体的越先：代码或它所在的一段，`UNDELIV:640` 这样的先看后面的错误码，最后看前面的状态或一类（`MK:0001` 的 `MK`）。
  一样具体的，本账号的先，再是本协议的；回执再看本协议那家运营商的，然后别家的，最后通用的词。
  What is more exact wins: the code or its range, of `UNDELIV:640` the error alone, then the state or family. Of two
  alike the account's own, the protocol's, for receipts the operator's at home there, the others', the common words.
- 单独一个数字只在它自己的运营商那里有准；在别家看到的算“说法不一”。
  A bare number means something only at its own operator; elsewhere it counts as disputed.
- “说法不一”的代码一次不作数；“结果不明”的从不重发。
  A disputed code alone decides nothing; what is uncertain is never sent again.

## 本账号自己的代码 / An account's own codes

通道平台自己定的代码（如 MA:0006）意思各不相同，问清后写在 `config.toml`；登录、提交的代码前面加 `login `、`submit `：
What a platform coined (such as MA:0006) is written into `config.toml`; codes of logins and submits begin with
`login ` or `submit `:

```toml
[carriers.cmcc.codes]
"MA:0006" = { kind = "dead", does = "suppress", zh = "空号", en = "no such number" }
"submit 108" = { kind = "quota", does = "wait", zh = "余额不足", en = "out of credit" }
```
"""


def page() -> str:
    """docs/codes.md as it should be."""
    return "\n".join([OPENING, *_words(), *_tables()]) + "\n"


def _words() -> Iterator[str]:
    yield from ("| `kind` | 类别 | kind |", "|---|---|---|")
    yield from (f"| `{word}` | {zh} | {en} |" for word, (zh, en) in KINDS.items())
    yield from ("", "| `does` | 怎么办 | what is done |", "|---|---|---|")
    yield from (f"| `{word}` | {zh} | {en} |" for word, (zh, en) in DOES.items())


def _tables() -> Iterator[str]:
    for who, stages in data().items():
        for stage, entries in stages.items():
            zh, en = STAGE_NAMES[stage]
            who_zh, who_en = TABLE_NAMES.get(who, (who, who))
            yield from ("", f"## {who_zh} {zh} / {who_en} {en}", "")
            yield from ("| 代码 code | 类别 kind | 怎么办 then | 意思 | meaning |", "|---|---|---|---|---|")
            for key, entry in entries.items():
                zh, en = sentence(entry)
                yield f"| `{key}` | `{entry.kind}` | `{entry.does}` | {zh} | {en} |"
