"""What is weighed in a text: its characters in ones, twos and threes, the hall's words, and the way it is said.

A text is seen twice: as it stands, and with every word of the hall made 「事」 and every relative made 「人」, so that
"帮我爸开个证明" teaches what "替我奶办老年证" means. Beside them stand the manners of speaking (`manners`), and for
each of the hall's windows and items whether its words are there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gateway.hall import Window
from gateway.triage.manners import manners
from gateway.triage.mending import Mender
from gateway.words import normalise

WHOLE_WORDS_AT_MOST = 4
LONGEST_TOLD_APART = 100
_NUMBER = re.compile(r"\d{10,12}")
_DIGITS = re.compile(r"\d+")
_MINE = "(?:我们?家?|俺|咱)的?"
_KIN = """
老丈人 丈母娘 老人家 爸妈 大妈 父母 公公 婆婆 公婆 爷爷 奶奶 姥姥 姥爷 外婆 外爷 岳父 岳母 老婆 老公 婆姨 媳妇 儿媳
女婿 女儿 儿子 女子 闺女 孙子 孙女 嫂子 妹夫 姐夫 侄子 侄儿 外甥 兄弟 弟弟 妹妹 哥哥 姐姐 老汉 老人 老伴 娃娃 孩子
二爸 二叔 三叔 三爷 二爷 舅舅 姑姑 母亲 父亲 舅 姑 姨 叔
"""
_RELATIVE = re.compile(
    "|".join(
        (
            f"(?:{_MINE})?(?:{'|'.join(_KIN.split())})",
            f"{_MINE}[大爸妈爷奶哥姐弟妹儿娃婆]",  # so short only as somebody's own
            "(?<=[帮替给让叫为和])[爸妈爷奶哥姐弟妹儿娃]",
        )
    )
)


class Seen(NamedTuple):
    """A text as it is weighed: mended, and what was mended in it; the hall's words that are in it; what tells the
    matter; what tells the matter and the manner.
    """

    whole: str
    changes: tuple[str, ...]
    found: tuple[str, ...]
    matter: tuple[str, ...]
    all: tuple[str, ...]


class Eyes:
    """Finds what is to be weighed. `vocabulary`: word -> (windows, items) that it speaks for."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self.vocabulary: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
        for word, window, item in _spoken(windows):
            desks, items = self.vocabulary.get(word, (frozenset(), frozenset()))
            self.vocabulary[word] = (desks | {window}, items | ({item} if item else frozenset()))
        self._mender = Mender(self.vocabulary)
        longest_first = sorted(self.vocabulary, key=len, reverse=True)
        self._words = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")

    def see(self, text: str) -> Seen:
        """What is to be weighed in `text`."""
        whole, changes = self._mender.mend(normalise(text))
        found = tuple(dict.fromkeys(self._words.findall(whole)))
        plain = _DIGITS.sub("0", _NUMBER.sub("号号", whole))  # how long a number is tells more than its digits
        matter = tuple(dict.fromkeys([*_grams(f"^{plain}$", (1, 2, 3), ""), *self._places(found)]))
        return Seen(whole, changes, found, matter, tuple(dict.fromkeys([*matter, *self._manner(plain)])))

    def _manner(self, plain: str) -> Iterator[str]:
        shape = _RELATIVE.sub("人", self._words.sub("事", plain))
        yield from _grams(f"^{shape}$", (2, 3, 4), "~")
        spoken = manners(plain)
        yield from (f"法:{name}" for name in spoken)
        yield from (f"法:{one}+{other}" for one in spoken for other in spoken if one < other)
        yield f"长:{min(len(plain), LONGEST_TOLD_APART).bit_length()}"
        if len(plain) <= WHOLE_WORDS_AT_MOST:
            yield f"整:{plain}"
        if plain in self.vocabulary:
            yield "整:事"

    def _places(self, found: Iterable[str]) -> Iterator[str]:
        for word in found:
            desks, items = self.vocabulary[word]
            yield f"词:{word}"
            yield from (f"窗:{desk}" for desk in sorted(desks))
            yield from (f"项:{item}" for item in sorted(items))


def _spoken(windows: Sequence[Window]) -> Iterator[tuple[str, str, str]]:
    """Each word of the hall, normalised, with its window and its item or ""."""
    for window in windows:
        for word in window.keywords:
            yield normalise(word), window.code, ""
        for item in window.items:
            for word in (item.name, *item.aliases, *re.split(r"[()()、与]", item.name)):
                if len(normalise(word)) > 1:
                    yield normalise(word), window.code, item.code


def _grams(text: str, sizes: Iterable[int], mark: str) -> Iterator[str]:
    for size in sizes:
        yield from (mark + text[at : at + size] for at in range(len(text) - size + 1))
