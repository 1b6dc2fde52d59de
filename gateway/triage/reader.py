"""Reading a text: the steps, in their order, and the thresholds."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from gateway import words
from gateway.config import Config
from gateway.hall import Item, Window
from gateway.triage import signs
from gateway.triage.features import Eyes, Seen
from gateway.triage.linear import Linear
from gateway.triage.near import Near
from gateway.triage.questions import Question, load
from gateway.triage.reasons import NAMES, Reason
from gateway.triage.understanding import CASE_INTENTS, FRONT_DESK, PETITIONS, SAFETY, Understanding
from gateway.words import Intent, Topic

NO_CASE_FROM = 0.5
"""Likelier than this it must be that a text makes no case; else a person looks."""
ANSWER_FROM = 0.26
"""What is answered without a person must be this likely."""
WINDOW_FROM = 0.30
"""A window less likely than this is a guess."""
ITEM_FROM = 0.40
SAME_FROM = 0.92
"""An example this like the text decides as a whole: what an official corrected once stays corrected."""
LONGEST_WEIGHED = 400
"""Characters; of a longer text its beginning and its end are weighed, but danger is looked for in all of it."""
MENU_AT_MOST = 5
SPLIT_FROM = 0.55

SERVICE_WORDS: Mapping[str, Intent] = {
    **dict.fromkeys(("指南", "办事指南"), Intent.GUIDE),
    **dict.fromkeys(("补贴", "粮补", "直补", "粮食补贴", "查补贴", "补贴查询", "我的补贴"), Intent.SUBSIDY),
    **dict.fromkeys(("天气", "天气预报", "查天气"), Intent.WEATHER),
    **dict.fromkeys(("工作", "岗位", "招工", "招聘", "招工信息", "招聘信息", "找活", "找工作"), Intent.JOBS),
    "报名": Intent.SIGNUP,
    **dict.fromkeys(("非常满意", "满意", "基本满意", "不满意", "非常不满意"), Intent.RATING),
}
"""What is answered from data when it is the whole text; needs no example."""
_PUT_BEFORE_A_PERSON = f"{Intent.UNCLEAR}@"
_OF_ITSELF = frozenset({Intent.RESUME, Intent.SPAM, Intent.THANKS})
"""They may speak of opting out, and do not want it."""
_GUIDE = re.compile(r"^(?:办事)?指南|(?:办事)?指南$")
_PARTS = re.compile(r"[\s,，。;；!！?？、]+|还有|顺便|另外|再就是|再一个|一个是")
_SEVERAL = re.compile(
    r"还有|顺便|另外|再就是|再一个|几[件样个]事|[两三四][件样个]事|一搭里|一次[给说办]|[一二三123][是、.．)]|(?:^|\s)[123]\s|也要|(?:^|\s)1\D.*\s2\D|\n"
)


class Triage:
    """Reads texts; trained once from the hall's windows and its examples, in about a second."""

    def __init__(
        self,
        windows: Sequence[Window],
        questions: Iterable[Question] = (),
        topics: Collection[Topic] = (),
        optout_words: Iterable[str] = (),
    ) -> None:
        self._names = {window.code: window.name for window in windows}
        self._items = {item.code: (window.code, item) for window in windows for item in window.items}
        self._seats = {found[0]: w.code for w in windows if (found := re.search(r"\d+", w.seat))}
        self._topics = topics
        self._optout_words = tuple(optout_words)
        self._eyes = Eyes(windows)
        self._learn([*_of_the_hall(windows), *questions])

    def _learn(self, questions: Sequence[Question]) -> None:
        seen = [(one, self._eyes.see(one.text)) for one in questions]
        self._taught = any(one.intent in CASE_INTENTS for one in questions)
        self._near = Near([(look.whole, look.matter, one) for one, look in seen])
        self._intents = Linear([look.all for _, look in seen], [_label(one) for one, _ in seen])
        placed = [(one, look) for one, look in seen if _home(one, self._items) and one.intent is not Intent.UNCLEAR]
        self._windows = Linear([look.matter for _, look in placed], [_home(one, self._items) for one, _ in placed])
        itemised = [(one, look) for one, look in seen if one.item]
        self._item_of = Linear([look.matter for _, look in itemised], [one.item for one, _ in itemised])

    @classmethod
    def of(cls, config: Config, topics: Collection[Topic] = ()) -> Triage:
        """The site's own; trained anew only where its windows, its examples or its words have changed."""
        windows = config.hall.windows
        examples = tuple(load(config.directory, windows, config.questions)) if config.questions else ()
        return _trained(_Ground(repr(windows), examples, tuple(topics), config.inbound.optout_words, windows))

    # -- the steps ---------------------------------------------------------------------------------------------

    def read(self, text: str) -> Understanding:
        """What `text` is about."""
        if word := words.read(text, self._topics, self._optout_words):
            return Understanding(word.intent, why=f"整条就是「{NAMES[word.intent]}」的说法")
        if idle := words.opens_nothing(text, from_service=signs.advertises(text)):
            return Understanding(idle, why=f"整条是{NAMES[idle]}")
        look = self._eyes.see(_weighed(text))
        if not look.whole:
            return Understanding(Intent.UNCLEAR, why="没有文字可读")
        if intent := SERVICE_WORDS.get(look.whole):
            return Understanding(intent, why=f"整条就是「{look.whole}」，{NAMES[intent]}")
        return self._finished(text, look, self._decided(look))

    def _decided(self, look: Seen) -> Understanding:
        """Intent and window, without what is added to every case."""
        like = self._near.best(look.whole, look.matter)
        if not self._taught and not (like and like.likeness >= SAME_FROM):
            return self._by_words(look)
        if like and like.likeness >= SAME_FROM:
            return self._as_example(look, like.question)
        shares = self._intents.shares(look.all)
        intent, share = _likeliest(shares)
        reason = Reason(look, intent, share, like.question.text if like else "")
        if _GUIDE.search(look.whole):
            return self._guide(look, reason)
        if intent in CASE_INTENTS:
            return self._case(look, reason)
        if intent is Intent.OPTOUT or (intent not in _OF_ITSELF and signs.wants_fewer(look.whole)):
            return Understanding(Intent.UNCLEAR, FRONT_DESK, why="像是不要短信，但拿不准，请人看一下")
        if share < ANSWER_FROM and intent is not Intent.UNCLEAR:
            return Understanding(Intent.UNCLEAR, FRONT_DESK, why=reason.told("不够确定，请前台看一下"))
        if intent is Intent.GUIDE:
            return self._guide(look, reason)
        if intent is Intent.UNCLEAR and shares.get(_PUT_BEFORE_A_PERSON, 0) >= shares.get(Intent.UNCLEAR, 0):
            return self._case(look, reason)
        return Understanding(intent, why=reason.told())

    def _by_words(self, look: Seen) -> Understanding:
        """Without sample questions: a question to the window whose words alone are in the text."""
        desks = {desk for word in look.found for desk in self._eyes.vocabulary[word][0]}
        said = "、".join(f"「{word}」" for word in look.found)
        if len(desks) == 1:
            return Understanding(Intent.CONSULT, desks.pop(), why=f"说到{said}；没有例句可比")
        why = f"说到几个窗口的事：{said}" if desks else "没有说到哪个窗口的词"
        return Understanding(Intent.CONSULT, FRONT_DESK, why=f"{why}；没有例句可比，先到前台")

    def _as_example(self, look: Seen, like: Question) -> Understanding:
        why = f"与例句「{like.text}」几乎一样"
        if like.intent is Intent.GUIDE:
            return Understanding(Intent.GUIDE, item=like.item or None, items=(like.item,) if like.item else (), why=why)
        if like.intent is Intent.OPTOUT:
            return Understanding(Intent.UNCLEAR, FRONT_DESK, why=f"{why}，但没有说清要退订")
        return Understanding(like.intent, like.window or None, like.item or None, why=why)

    def _guide(self, look: Seen, reason: Reason) -> Understanding:
        items = self._candidates(look)
        item = items[0] if len(items) == 1 else None
        return Understanding(Intent.GUIDE, item=item, items=items, why=reason.told())

    def _candidates(self, look: Seen) -> tuple[str, ...]:
        """Items whose words are in the text, else the likeliest one if it is clear; the likeliest first."""
        shares = self._item_of.shares(look.matter)
        meant = [self._eyes.vocabulary[word][1] for word in look.found]
        if len(alone := frozenset().union(*(items for items in meant if len(items) == 1))) > 1:
            return tuple(item for item in shares if item in alone)[:MENU_AT_MOST]
        named = frozenset().union(*meant)
        likely = [item for item, share in shares.items() if share >= ITEM_FROM]
        if likely and (not named or likely[0] in named):
            return (likely[0],)
        return tuple(item for item in shares if item in named)[:MENU_AT_MOST]

    def _case(self, look: Seen, reason: Reason) -> Understanding:
        window, share = next(iter(self._windows.shares(look.matter).items()))
        told = f"{self._names[window]}（{share:.0%}）"
        if signs.rude_at_a_window(look.whole) or (reason.intent is Intent.COMPLAINT and self._accuses(look, window)):
            item = self._item(look, PETITIONS)
            return Understanding(Intent.COMPLAINT, PETITIONS, item, why=reason.told("归信访"))
        if reason.intent is Intent.UNCLEAR or share < WINDOW_FROM:
            unsure = f"最像{told}，不够确定，先到前台"
            return Understanding(reason.intent, FRONT_DESK, why=reason.told(unsure))
        return Understanding(reason.intent, window, self._item(look, window), why=reason.told(told))

    def _accuses(self, look: Seen, window: str) -> bool:
        return window == PETITIONS or signs.against_officials(look.whole)

    def _item(self, look: Seen, window: str) -> str | None:
        for item, share in self._item_of.shares(look.matter).items():
            if self._items[item][0] == window:
                return item if share >= ITEM_FROM else None
        return None

    # -- what is added to every answer ------------------------------------------------------------------------

    def _finished(self, text: str, look: Seen, found: Understanding) -> Understanding:
        said = look.whole if len(text) <= LONGEST_WEIGHED else words.normalise(text)
        danger = signs.danger(said)
        if danger and found.intent is not Intent.SPAM and (found.window is None or found.intent is Intent.UNCLEAR):
            desk = SAFETY if SAFETY in self._names else FRONT_DESK
            found = Understanding(Intent.FEEDBACK, desk, why=found.why)
        if found.window is None:
            return found
        found = self._kept_from_the_accused(look, self._parted(text, found))
        return replace(
            found,
            danger=danger,
            urgent=bool(danger) or signs.urgent(said),
            confidential=signs.confidential(said) or found.about is not None,
            why=f"{found.why}；险情：{danger}" if danger else found.why,
        )

    def _kept_from_the_accused(self, look: Seen, found: Understanding) -> Understanding:
        """A complaint about an official says about whom, and never lies with the window that it is about."""
        if found.intent is not Intent.COMPLAINT or not signs.against_officials(look.whole):
            return found
        about = signs.complained_about(look.whole, self._seats)
        if about not in self._names:
            return replace(found, about="") if found.window == PETITIONS else found
        elsewhere = FRONT_DESK if about == PETITIONS else PETITIONS
        window = elsewhere if found.window == about else found.window
        return replace(found, window=window, about=about, why=f"{found.why}；投诉的是{self._names[about]}，不转给它")

    def _parted(self, text: str, found: Understanding) -> Understanding:
        """With the windows of its matters, where there are several; three or more have no leader but the front desk."""
        if found.intent is Intent.COMPLAINT or not _SEVERAL.search(text):
            return found
        matters = tuple(dict.fromkeys(filter(None, map(self._clear_window, _PARTS.split(_weighed(text))))))
        if len(matters) < 2:
            return found
        window = FRONT_DESK if len(matters) > 2 else found.window
        told = "、".join(self._names[matter] for matter in matters)
        return replace(found, window=window, matters=matters, why=f"{found.why}；说了几件事：{told}")

    def _clear_window(self, part: str) -> str | None:
        look = self._eyes.see(part)
        desks = {desk for word in look.found for desk in self._eyes.vocabulary[word][0]}
        if not desks:
            return None
        window, share = next(iter(self._windows.shares(look.matter).items()), ("", 0.0))
        return window if share >= SPLIT_FROM and window in desks else None


@dataclass(frozen=True)
class _Ground:
    """What a triage is trained from, to be compared; windows, which hold mappings, are compared by what they print."""

    printed: str
    examples: tuple[Question, ...]
    topics: tuple[Topic, ...]
    optout_words: tuple[str, ...]
    windows: Sequence[Window] = field(compare=False)


@lru_cache(maxsize=4)
def _trained(ground: _Ground) -> Triage:
    return Triage(ground.windows, ground.examples, ground.topics, ground.optout_words)


def _likeliest(shares: Mapping[str, float]) -> tuple[Intent, float]:
    """The likeliest intent; whether a case is made is asked first, and only then of what kind."""
    first, share = next(iter(shares.items()))
    intent = _intent(first)
    if intent in CASE_INTENTS or share >= NO_CASE_FROM:
        return intent, share
    cases = {label: one for label, one in shares.items() if _intent(label) in CASE_INTENTS}
    if sum(cases.values()) > sum(shares.values()) - sum(cases.values()):
        best = max(cases, key=lambda label: cases[label])
        return _intent(best), cases[best]
    return intent, share


def _weighed(text: str) -> str:
    half = LONGEST_WEIGHED // 2
    return text if len(text) <= LONGEST_WEIGHED else f"{text[:half]}\n{text[-half:]}"


def _intent(label: str) -> Intent:
    return Intent(label.removesuffix("@"))


def _label(one: Question) -> str:
    """The intent; what cannot be told but is put before a person is a class of its own."""
    return _PUT_BEFORE_A_PERSON if one.intent is Intent.UNCLEAR and one.window else str(one.intent)


def _home(one: Question, items: Mapping[str, tuple[str, Item]]) -> str:
    return one.window or (items[one.item][0] if one.item in items else "")


def _of_the_hall(windows: Sequence[Window]) -> Iterable[Question]:
    """What the windows file itself teaches: the name of an item alone asks for its guide."""
    for window in windows:
        for item in window.items:
            for name in (item.name, *item.aliases):
                yield Question(name, "", Intent.GUIDE, item.code)
