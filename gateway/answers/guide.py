"""A guide sheet in texts: what to bring, how long it takes, where to go. Pure.

Policy
- Everything is the windows file's own words. A text is cut between papers, not within one, and takes two parts of 67
  characters at most, so that a phone shows it whole. What does not fit into `TEXTS_AT_MOST` is left to the telephone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.config import Window
from gateway.hall import Item, Material

PART = 67
PARTS = 2
TEXTS_AT_MOST = 4
MENU_AT_MOST = 6
_LISTS = frozenset(["指南", "办事指南", "都能办什么", "能办什么", "能办啥", "办事", "流程", "目录"])


def asks_for_the_list(whole: str) -> bool:
    """Whether a normalised text asks for guides without saying which."""
    return whole in _LISTS or whole.endswith("指南")


def room(signature: str) -> int:
    """Characters of one text beside the signature."""
    return PART * PARTS - len(signature) - len("【】")


def pages(window: Window, item: Item, room: int) -> list[str]:
    """The texts that tell how an item is done; what may be left out for want of room goes step by step."""
    for all_steps, all_notes in ((True, True), (False, True), (False, False)):
        made = list(_packed(list(_pieces(window, item, all_steps, all_notes)), room))
        if len(made) <= TEXTS_AT_MOST:
            return made
    rest = f"其余材料请打{item.contact}问。"
    return [*made[: TEXTS_AT_MOST - 1], made[TEXTS_AT_MOST - 1][: room - len(rest)].rpartition("；")[0] + "；" + rest]


def _pieces(window: Window, item: Item, all_steps: bool, all_notes: bool) -> Iterator[str]:
    """The sheet in clauses that are never cut, each with its own ending."""
    yield f"{item.name}，{window.seat}{window.name}办，电话{item.contact}。"
    papers = [paper for paper in item.materials if paper.form != "-"]
    yield "要带：" if papers else "不用带材料。"
    for n, paper in enumerate(papers, 1):
        yield f"{n}.{_paper(paper, all_notes)}{'。' if n == len(papers) else '；'}"
    yield f"谁能办：{_closed(item.who)}"
    yield _closed(f"{_time(item, all_notes)}，{item.fee}")
    if item.remote:
        yield f"人在外地：{_closed(item.remote)}"
    if all_steps and item.steps:
        yield f"步骤：{_closed('→'.join(item.steps))}"


def _closed(clause: str) -> str:
    return f"{clause.rstrip('。.')}。"


def _paper(paper: Material, with_note: bool) -> str:
    """居民身份证（原件+复印件2份，户主）; one that nobody keeps is only shown."""
    copies = f"{paper.copies}份" if paper.copies > 1 else ""
    shown = "，只看不收" if paper.copies == 0 and "原件" in paper.form else ""
    note = f"，{paper.note}" if paper.note and with_note else ""
    return f"{paper.name}（{paper.form}{copies}{shown}{note}）"


def _time(item: Item, with_note: bool) -> str:
    unit = "个工作日" if item.promised_days_kind == "working" else "天"
    time = f"{item.promised_days}{unit}办结" if item.promised_days else "当天办"
    return f"{time}（{item.time_note.rstrip('。')}）" if item.time_note and with_note else time


def _packed(pieces: Sequence[str], room: int) -> Iterator[str]:
    text = ""
    for piece in pieces:
        for part in _cut(piece, room):
            if text and len(text) + len(part) > room:
                yield text
                text = ""
            text += part
    if text:
        yield text


def _cut(piece: str, room: int) -> Iterator[str]:
    """A clause that is longer than a text is cut at its commas, else anywhere."""
    while len(piece) > room:
        at = max(piece.rfind(mark, 0, room) for mark in "，、；") + 1 or room
        yield piece[:at]
        piece = piece[at:]
    yield piece
