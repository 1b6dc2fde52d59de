"""The conversations of this directory, each played from beginning to end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from gateway.store import Store
from gateway.worktime import ManualClock
from tests.conversations.inline import InlineStore
from tests.conversations.play import Player, Wrong
from tests.conversations.talk import Talk, all_talks, matches, read
from tests.desk import site

START = datetime(2026, 3, 2, 9, 0, tzinfo=site()[0].site.zone)
TALKS = list(all_talks())


@pytest.fixture(scope="module")
def kept(sqlite_template: Path) -> Iterator[InlineStore]:
    store = InlineStore(sqlite_template)
    yield store
    store.end()


@pytest.fixture
def inline(kept: InlineStore) -> InlineStore:
    """Empty for every conversation."""
    kept.renew()
    return kept


def player(store: Store) -> Player:
    return Player(store, ManualClock(START))


@pytest.mark.parametrize("talk", TALKS, ids=lambda talk: f"{talk.file}-{talk.title}")
async def test_talk(talk: Talk, inline: Store) -> None:
    await player(inline).play(talk)


def test_there_are_enough_exchanges() -> None:
    assert sum(talk.exchanges for talk in TALKS) >= 150


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("大厅答：好的", "大厅答的是"),
        ("（{甲}在首问前台）", "不是这样"),
        ("（2件）", "不是这样"),
        ("大厅不答", "大厅还说了"),
        ("（退订：全部）", "不是这样"),
        ("（原话：我妈76了）", "记下的是"),
        ("（{甲}会飞）", "不认识"),
        ("（{乙}在民政社保）", "还不知道"),
        ("大厅马上答：…", "大厅没有答"),
        ("大厅叫贺芳：…", "大厅没有答"),
        ("大厅叫没这个人：…", "不会"),
        ("〔李娟 跳舞 {甲}〕", "不会"),
        ("〔李娟 答复 {甲}〕", "办不成：答复不能空"),
        ("〔李娟 签收 {甲}〕\n不许：已经签收", "办成了"),
        ("〔李娟 答复 {甲}〕\n不许：别的", "说的是：答复不能空"),
        ("〔通知 没有这类〕", "不会"),
        ("规定：随便", "不会"),
    ],
)
async def test_a_talk_that_goes_otherwise_fails(line: str, why: str, inline: Store, tmp_path: Path) -> None:
    bound = "" if line.startswith(("大厅", "规定")) else "大厅答：收到，编号{甲}，…\n"
    talk = written(f"# 一件\n高秀英：我妈76了 养老认证刷不上脸\n{bound}{line}\n", tmp_path)
    with pytest.raises(Wrong, match=why):
        await player(inline).play(talk)


def written(text: str, directory: Path) -> Talk:
    path = directory / "talk.txt"
    path.write_text(text, encoding="utf-8")
    return read(path)[0]


def test_a_line_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"talk\.txt:2: 这一行看不懂"):
        written("# 一件\n这是什么\n", tmp_path)


def test_a_name_stands_for_one_case_number() -> None:
    names: dict[str, str] = {}
    assert matches("编号{甲}，…", "编号26030200017，交民政社保办", names)
    assert names == {"甲": "26030200017"}
    assert not matches("编号{甲}，…", "编号26030200025，交民政社保办", names)
    assert not matches("编号{乙}。", "编号26030200025", names)
    assert names == {"甲": "26030200017"}
