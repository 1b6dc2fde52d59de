"""Slips of typing mended before a text is weighed: homophones, and words typed in pinyin. The only home of pypinyin.

Policy
- Only the hall's own words and the words of everyday asking are mended to; nothing else in a text changes.
- A homophone keeps one character of the word ("底保" for "低保", "高令补贴"), sounds like it without tones, and with
  the slips of northern and southern tongues (zh/z, n/l, -n/-ng); what is a word itself ("找人" beside "招人"), by the
  dictionary of pypinyin or by our list, stays as it is.
- A word in letters counts from five letters on, "tianqi" and "dibao" as well as "di bao".
- The dictionaries take half a second to load, and most commands read no text: they are loaded when first looked into.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

_EVERYDAY = """
补贴 粮食 面积 天气 下雨 明天 今天 预报 报名 招工 找活 工作 进度 查询 材料 手续 证明 申请 怎么 多少 可以 老人 孩子
退订 恢复 帮助 菜单 满意 不满意 谢谢 你好 指南 流程 生育登记 到账 发放 结婚 户口本 打工 务工 回不来 医院 住院 老家
电话 号码 几点 过期 报销 交钱 高龄 残疾 低保 危房 窗口 态度 干部 反映 举报
"""
_RIGHT = """
一院 三户 三院 上放 上查 不交 乱放 事件 二院 人证 代领 作证 公司 公告 公园 公章 公证 公资 冷气 剩余 包销 卖农机 危害
名册 商户 回复 声音 存着 家正 工人 工程 工资 带上 带款 带领 座谈 待上 户主 打家 找人 护着 报告 报明 报纸 报警 摊位
整面 明白 村子 河滩 派出所 满一 炮震 生日 登机 短信 窑上 等级 统一 统计 绿灯 老任 老师 老是 花费 要上 要塌 话费 误工
财政所 贷过 赶紧 还领 退一 退货 领取 往返
"""
"""Words that sound like one of the hall's, are meant as they stand and are in no dictionary."""
LONGEST_PHRASE = 4
SHORTEST_IN_LETTERS = 5
_MARKS = re.compile(r"[\u0300-\u036f]")
_SLIPS = (("zh", "z"), ("ch", "c"), ("sh", "s"), ("ng", "n"))
_LETTERS = re.compile(r"[A-Z]{5,}")


@cache
def _readings() -> dict[int, str]:
    from pypinyin.constants import PINYIN_DICT

    return PINYIN_DICT


@cache
def sound(char: str) -> str:
    """The first reading of a character, toneless; the character itself where it has none."""
    readings = _readings().get(ord(char))
    if not readings:
        return char
    return _MARKS.sub("", unicodedata.normalize("NFD", readings.partition(",")[0]))


@cache
def heard(char: str) -> str:
    """The same as many would hear it."""
    blurred = sound(char)
    for one, other in _SLIPS:
        blurred = blurred.replace(one, other)
    return "l" + blurred[1:] if blurred.startswith("n") and len(blurred) > 1 else blurred


@cache
def _in_dictionaries() -> frozenset[str]:
    from pypinyin.phrases_dict import phrases_dict

    phrases = (phrase for phrase in phrases_dict if 1 < len(phrase) <= LONGEST_PHRASE)
    return frozenset((*_RIGHT.split(), *phrases))


class Mender:
    """Mends a normalised text towards `words`, which are normalised too."""

    def __init__(self, words: Iterable[str]) -> None:
        known = {word for word in (*words, *_EVERYDAY.split()) if len(word) > 1 and not word.isascii()}
        self._known = known | _in_dictionaries()
        self._longest = max(map(len, known))
        self._by_sound: dict[tuple[str, ...], list[str]] = {}
        for word in sorted(known):
            self._by_sound.setdefault(tuple(map(heard, word)), []).append(word)
        in_letters = {"".join(map(sound, word)).upper(): word for word in sorted(known)}
        self._in_letters = {spelt: word for spelt, word in in_letters.items() if len(spelt) >= SHORTEST_IN_LETTERS}
        spelt = sorted(self._in_letters, key=len, reverse=True)
        self._spelt = re.compile("|".join(map(re.escape, spelt)))

    def mend(self, whole: str) -> tuple[str, tuple[str, ...]]:
        """The text as it was probably meant, and what was changed, as "底保→低保"."""
        changes: list[str] = []
        if _LETTERS.search(whole):
            whole = _LETTERS.sub(lambda run: self._read_letters(run[0], changes), whole)
        return self._homophones(whole, changes), tuple(changes)

    def _read_letters(self, run: str, changes: list[str]) -> str:
        read = self._spelt.sub(lambda found: self._in_letters[found[0]], run)
        if read != run:
            changes.append(f"{run.lower()}→{read.lower()}")
        return read

    def _homophones(self, whole: str, changes: list[str]) -> str:
        sounds = tuple(map(heard, whole))
        mended, at = [], 0
        while at < len(whole):
            size, word = self._at(whole, sounds, at)
            if word != whole[at : at + size]:
                changes.append(f"{whole[at : at + size]}→{word}")
            mended.append(word)
            at += size
        return "".join(mended)

    def _at(self, whole: str, sounds: tuple[str, ...], at: int) -> tuple[int, str]:
        for size in range(min(self._longest, len(whole) - at), 1, -1):
            written = whole[at : at + size]
            if written in self._known:
                return size, written
            for word in self._by_sound.get(sounds[at : at + size], ()):
                same = sum(one == other for one, other in zip(written, word, strict=True))
                if same * 2 >= size and not self._splits(whole, at, size) and not self._means_itself(written):
                    return size, word
        return 1, whole[at]

    def _means_itself(self, written: str) -> bool:
        """Whether it is two known words: 「不交养老」 is no slip of 「补缴养老」."""
        return any(
            written[:at] in self._known and (written[at:] in self._known or written[at:] == "了")
            for at in range(2, len(written))
        )

    def _splits(self, whole: str, at: int, size: int) -> bool:
        """Whether a known word reaches over an edge of this place, which then is no word of its own."""
        around = range(max(0, at - 2), at + size)
        return any(
            whole[start : start + length] in self._known
            for start in around
            for length in (2, 3)
            if (start < at < start + length) or (start < at + size < start + length)
        )
