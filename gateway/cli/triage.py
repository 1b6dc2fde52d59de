"""How texts are understood: one text explained, a sample measured, corrections learned.

Policy
- Nothing here needs the database: it reads the site's windows, templates and questions, and writes learned.csv alone.
- Figures are an answer, whatever they are: the exit code is 0 unless the input is wrong.
- Without a file the site's own questions are measured, each by a triage that was not taught it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import shown
from gateway.cli.caller import Caller, caller
from gateway.cli.help import argument, option, verb
from gateway.cli.language import t
from gateway.cli.tools import JsonFlag
from gateway.errors import Refused

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.triage import Question, Triage, Understanding
    from gateway.triage.scoring import Class, Score
    from gateway.words import Topic

FOLDS = 5
MOST_FOLDS = 50
CSV = ("文件.csv", "FILE.csv")
NOTHING = "·"


@verb("看短信读得准不准：逐类的准确率和混淆表；也可以只读一条、学改正", "How well texts are understood, by class")
def triage(
    ctx: typer.Context,
    file: Annotated[
        Path | None,
        argument(
            CSV,
            zh="样本：text,window,intent 三列，可有 note 列（alt=也算对的）；不写就用本站例句交叉验证",
            en="a sample: columns text,window,intent and perhaps note (alt=also right); else the site's own questions",
        ),
    ] = None,
    text: Annotated[
        str | None,
        option("--text", value=("短信", "TEXT"), zh="只读这一条，说明为什么", en="read this text alone and say why"),
    ] = None,
    learn: Annotated[
        Path | None,
        option(
            "--learn",
            value=CSV,
            zh="学改正过的：text,window,intent（可有 item）各行记入 learned.csv",
            en="learn corrections: its rows text,window,intent (and item) are added to learned.csv",
        ),
    ] = None,
    cross: Annotated[
        int | None,
        option(
            "--cross",
            value=("份数", "N"),
            zh=f"本站例句分几份交叉验证（不写是 {FOLDS}）",
            en=f"folds of the cross-validation ({FOLDS} if not given)",
            min=2,
            max=MOST_FOLDS,
        ),
    ] = None,
    wrong: Annotated[bool, option("--wrong", zh="列出读错的和为什么", en="list what was read wrongly and why")] = False,
    json: JsonFlag = False,
) -> None:
    if sum(one is not None for one in (file, text, learn, cross)) > 1:
        raise typer.BadParameter(
            t("文件、--text、--learn、--cross 只能用一样", "give only one of FILE, --text, --learn and --cross")
        )
    who = caller(ctx)
    if learn is not None:
        return _learn(who.config(), learn, as_json=json)
    if text is not None:
        return _explain(who.config(), _triage(who).read(text), as_json=json)
    found = _measured(who, file) if file else _crossed(who, cross or FOLDS)
    return _as_json(found, wrong=wrong) if json else _tables(found, who.config(), wrong=wrong)


# --- the three things that are done -------------------------------------------------------------------------


def _triage(who: Caller) -> Triage:
    from gateway.triage import Triage

    return Triage.of(who.config(), _topics(who))


def _topics(who: Caller) -> Sequence[Topic]:
    from gateway import templates
    from gateway.inbox import topics_of

    return topics_of(templates.load(who.directory() / "templates").values())


def _measured(who: Caller, file: Path) -> Score:
    from gateway.tomlfile import read_text
    from gateway.triage import scoring

    sample = scoring.samples(file.name, read_text(file, file.name), who.config().hall.windows)
    return scoring.score(_triage(who), sample)


def _crossed(who: Caller, folds: int) -> Score:
    from gateway.triage import Triage, load, scoring

    config, topics = who.config(), _topics(who)
    windows, extra = config.hall.windows, config.inbound.optout_words
    taught = load(config.directory, windows, _questions(config))

    def train(part: Sequence[Question]) -> Triage:
        return Triage(windows, part, topics, extra)

    with shown.progress(t("交叉验证", "cross-validating")):
        return scoring.cross(train, taught, folds)


def _learn(config: Config, file: Path, *, as_json: bool) -> None:
    from gateway.tomlfile import read_text
    from gateway.triage import Question, questions
    from gateway.words import Intent

    name, windows = _questions(config), config.hall.windows
    rows = [row for _, row in questions.rows(file.name, read_text(file, file.name), windows)]
    known = set(questions.load(config.directory, windows, name))
    corrected = [Question(row["text"], row["window"], Intent(row["intent"]), row["item"]) for row in rows]
    fresh = [one for one in dict.fromkeys(corrected) if one not in known]
    where = questions.learn(config.directory, fresh, name)
    if as_json:
        return shown.as_json({"learned": len(fresh), "known": len(corrected) - len(fresh), "file": str(where)})
    known_already = t(f"，{len(corrected) - len(fresh)} 条早已记过", f", {len(corrected) - len(fresh)} were known")
    shown.say(
        t(f"记下 {len(fresh)} 条", f"learned {len(fresh)}") + (known_already if len(fresh) < len(corrected) else "")
    )
    return shown.hint(t(f"在 {where}；服务重新启动后用上", f"in {where}; used when serve starts again"))


def _questions(config: Config) -> str:
    if config.questions is None:
        raise Refused(
            'config.toml 的 [hall] 里没有写 questions = "questions.csv"',
            'config.toml names no sample questions: [hall] questions = "questions.csv"',
        )
    return config.questions


# --- how it looks -------------------------------------------------------------------------------------------


def _explain(config: Config, found: Understanding, *, as_json: bool) -> None:
    if as_json:
        return shown.as_json(asdict(found))
    rows = [
        (t("意图", "intent"), _intent(found.intent)),
        (t("窗口", "window"), _window(config, found.window or "")),
        (t("事项", "item"), _items(config, [found.item] if found.item else found.items)),
        (t("险情", "danger"), found.danger),
        (t("急", "urgent"), t("是", "yes") if found.urgent else ""),
        (t("投诉的是", "about"), _window(config, found.about) if found.about else ""),
        (t("保密", "confidential"), t("是", "yes") if found.confidential else ""),
        (t("几件事", "matters"), t("、", ", ").join(_window(config, one) for one in found.matters)),
        (t("为什么", "why"), found.why),
    ]
    return shown.facts(rows)


def _as_json(found: Score, *, wrong: bool) -> None:
    value: dict[str, Any] = {
        "texts": len(found.readings),
        "case": round(found.case, 4),
        "optout": round(found.optout, 4),
        "window": round(found.window, 4),
        "intent": round(found.intent, 4),
        "intents": [_class(one) for one in found.intents()],
        "windows": [_class(one) for one in found.windows()],
        "confusions": [{"named": one, "read": other, "texts": n} for (one, other), n in found.confusions().items()],
    }
    if wrong:
        value["wrong"] = [
            {
                **{name: getattr(one.sample, name) for name in ("row", "text", "window", "intent")},
                "read_window": one.window,
                "read_intent": one.read.intent,
                "why": one.read.why,
            }
            for one in found.wrong()
        ]
    shown.as_json(value)


def _class(one: Class) -> dict[str, Any]:
    return asdict(one) | {"precision": one.precision, "recall": one.recall}


def _tables(found: Score, config: Config, *, wrong: bool) -> None:
    cases = sum(bool(one.sample.window) for one in found.readings)
    figures = [
        (t("成不成件", "case or no case"), _percent(found.case), len(found.readings)),
        (t("退订", "opting out"), _percent(found.optout), len(found.readings)),
        (t("窗口（成件的）", "window (of cases)"), _percent(found.window), cases),
        (t("意图", "intent"), _percent(found.intent), len(found.readings)),
    ]
    shown.table(("", t("对", "right"), t("条", "texts")), figures, right=(1, 2))
    _classes(t("意图", "intent"), found.intents(), _intent)
    _classes(t("窗口", "window"), found.windows(), lambda code: _window(config, code))
    _confusion(found)
    if wrong:
        _wrong(found, config)


def _classes(title: str, classes: Sequence[Class], called: Any) -> None:
    headings = (
        title,
        t("条", "texts"),
        t("读成", "read as"),
        t("对", "right"),
        t("精确率", "precision"),
        t("召回率", "recall"),
    )
    rows = [
        (called(one.name), one.named, one.read, one.right, _percent(one.precision), _percent(one.recall))
        for one in classes
    ]
    shown.table(headings, rows, right=range(1, 6))


def _confusion(found: Score) -> None:
    """Rows are what a text is, columns what it was read as."""
    counts = found.confusions()
    names = [one.name for one in found.intents()]
    rows = [(_intent(one), *(counts[one, other] or NOTHING for other in names)) for one in names]
    title = t("混淆表：行是实际，列是读成", "Confusion: rows are what it is, columns what it was read as")
    shown.table(("", *map(_intent, names)), rows, right=range(1, len(names) + 1), title=title)


def _wrong(found: Score, config: Config) -> None:
    headings = (t("行", "row"), t("短信", "text"), t("实际", "is"), t("读成", "read as"), t("为什么", "why"))
    rows = [
        (
            one.sample.row,
            one.sample.text,
            f"{_window(config, one.sample.window)} {_intent(one.sample.intent)}",
            f"{_window(config, one.window)} {_intent(one.read.intent)}",
            one.read.why,
        )
        for one in found.wrong()
    ]
    shown.table(headings, rows, right=(0,), whole=(0,))


def _percent(share: float | None) -> str:
    return NOTHING if share is None else f"{share:.1%}"


def _intent(name: str) -> str:
    from gateway.triage import NAMES
    from gateway.words import Intent

    return t(NAMES[Intent(name)], str(name))


def _window(config: Config, code: str) -> str:
    window = config.hall.window(code)
    return window.name if window else code or t("不成件", "no case")


def _items(config: Config, codes: Sequence[str]) -> str:
    found = [item.name for code in codes if (item := config.hall.item(code))]
    return t("、", ", ").join(found)
