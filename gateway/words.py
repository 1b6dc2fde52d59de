"""The words people write to the hall: how a text is read before anybody decides what to do with it. Pure.

Policy
- A text is stored as it came, but for what no database keeps (`storable`); it is normalised only to be compared.
- Normalising: NFKC (full-width to plain), then letters and digits alone, upper case, traditional to simplified. So
  "Ｔ Ｄ", "td。" and "退訂" are the words they look like.
- A word counts only when it is the whole text: "退订费怎么退" and "T恤厂招人不" are questions. A plain sentence that
  asks us to stop counts when nothing else is in the text but a few known fillings: one that may be about a pension or
  a truck goes to a person.
- A category is named by its whole name, the beginning of its name or title, or the end of its name, from two
  characters on, so "天气" is "天气预报"; where that fits several categories, they are all meant.
- Routing names a window only where the words of one window alone are in the text; otherwise it names none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from typing import NamedTuple

from opencc import OpenCC


class Intent(StrEnum):
    """What a text is about; the words of `gateway triage`. `error`: it could not be read and is shown to a person."""

    CONSULT = "consult"
    FEEDBACK = "feedback"
    AGENCY = "agency"
    COMPLAINT = "complaint"
    OPTOUT = "optout"
    RESUME = "resume"
    HELP = "help"
    STATUS = "status"
    RATING = "rating"
    GUIDE = "guide"
    SUBSIDY = "subsidy"
    WEATHER = "weather"
    JOBS = "jobs"
    SIGNUP = "signup"
    THANKS = "thanks"
    SPAM = "spam"
    UNCLEAR = "unclear"
    ERROR = "error"


class Topic(NamedTuple):
    """A category of notices as people may call it: its key, its name and the title of one of its templates."""

    category: str
    name: str
    title: str


@dataclass(frozen=True, slots=True)
class Word:
    """A service word. `categories` None is all; `of_last_notice`: those of the newest notice, if it is recent."""

    intent: Intent
    categories: tuple[str, ...] | None = None
    of_last_notice: bool = False


# --- keeping and comparing ------------------------------------------------------------------------------


def storable(text: str) -> str:
    """`text` as both databases keep it: NUL becomes U+2400, surrogate halves are joined or become U+FFFD."""
    if text.isascii():
        return text.replace("\0", "\u2400")
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return joined.replace("\0", "\u2400")


@cache
def _to_simplified() -> OpenCC:
    return OpenCC("t2s")


def normalise(text: str) -> str:
    """What is compared: letters and digits alone, plain, upper case and simplified; may be empty."""
    plain = unicodedata.normalize("NFKC", storable(text)).upper()
    letters = "".join([char for char in plain if char.isalnum()])
    return letters if letters.isascii() else _to_simplified().convert(letters)


def clauses(text: str) -> list[str]:
    """The parts between spaces and punctuation, each normalised."""
    plain = unicodedata.normalize("NFKC", storable(text))
    return [normalise(part) for part in re.split(r"[\W_]+", plain) if part]


_DIGITS = re.compile(r"[0-9]{5,}")
_SPREAD = re.compile(r"[0-9](?:[ -]?[0-9]){4,}")


def digit_runs(text: str) -> list[str]:
    """Runs of five digits or more, as written and with single spaces and dashes between them taken out."""
    plain = unicodedata.normalize("NFKC", text)
    spread = [re.sub("[ -]", "", run) for run in _SPREAD.findall(plain)]
    return list(dict.fromkeys([*_DIGITS.findall(plain), *spread]))


# --- service words --------------------------------------------------------------------------------------

_OUT = ("退订", "拒收", "取消", "取消订阅", "不要再发", "T", "TD", "N")
_OUT_IN_ENGLISH = ("STOP", "UNSUBSCRIBE", "CANCEL", "QUIT", "END")
_LETTERS = ("T", "TD", "N", "R")
_OUT_OF_ALL = ("全退", "全部退订", "退订全部", "退订所有", "全都退订", "都退订")
_STEMS_OUT = ("退订", "取消订阅", "拒收")
_STEMS_IN = ("恢复订阅", "重新订阅", "恢复", "订阅")
_IN = ("恢复", "订阅", "START", "恢复订阅", "重新订阅", "恢复接收", "全部恢复")
_HELP = ("帮助", "HELP", "菜单")
_STATUS = ("查询", "进度", "查进度", "查询进度", "进度查询")
_NOTICES = ("", "短信", "通知", "信息", "消息", "提醒")
_EVERYTHING = frozenset(f"{a}{b}" for a in ("", "全部", "所有", "一切") for b in _NOTICES)
_SHORTEST_NAME = 2
_LONGEST_SAYING = 60
"""Characters: what is longer is no thanks and no sentence that only asks to stop."""

_ASKED = r"(?:请|以后|往后|麻烦|你们|求你们)*"
_THING = r"(?:这些|这种|你们的?)?(?:短信|信息|通知|消息)"
_STOP = re.compile(
    f"{_ASKED}(?:不要|别|甭|莫)(?:再|老)?(?:给我|往我手机上?)?(?:再)?(?:乱)?发(?:{_THING})?(?:过来)?了?吧?"
    f"|{_ASKED}我?不想?(?:再)?(?:要|想)?(?:收到?|接收)(?:{_THING})了?"
)
_FILLING = re.compile(
    r"(?:太|真)?烦(?:死|得很|人)?(?:我)?了?|谢谢.{0,2}|麻烦.{0,2}|打扰.{0,3}|求.{0,3}|真的?|我不是.{0,8}(?:人|的)"
    r"|(?:我)?这个?号码?是?(?:新办|刚办|才办|换了?人).{0,3}|发错.{0,3}"
)
# Atomic, longest first: "你好" read as one word or as two would double the work with each repetition.
_THANKS = re.compile(
    r"(?=.*(?:好|行|OK|收到|已阅|知道|晓得|明白|清楚|谢|辛苦|麻烦|费心|劳烦|办成|在吗|快乐))"
    r"(?>给你们添麻烦|早上好|中午好|下午好|晚上好|新年好|节日快乐|办成|办好|你好|您好|你们|好的?|行|OK|收到|已阅|知道|晓得"
    r"|明白|清楚|谢谢|多谢|感谢|辛苦|麻烦|费心|劳烦|在吗|同志|您|你|大家|非常|太|了|啦|啊|哦|噢|嗯|哩)++"
)
_THANKFUL = frozenset("👍🙏🌹👌😊😄❤💐🤝👏")
_MARKETING = re.compile(r"(?:拒收|退订?)(?:请)?回复?[A-Z]{1,2}$|回复?[A-Z]{1,2}(?:退订?|拒收)$")


@lru_cache(maxsize=8)
def _out_words(extra: tuple[str, ...]) -> frozenset[str]:
    quoted = {f"{letter}{stem}" for letter in _LETTERS for stem in ("退订", "拒收")}
    quoted |= {f"{stem}{letter}" for letter in _LETTERS for stem in ("退订", "拒收")}
    return frozenset({*_OUT, *_OUT_IN_ENGLISH, *quoted, *(normalise(word) for word in extra)} - {""})


def read(text: str, topics: Collection[Topic] = (), optout_words: Iterable[str] = ()) -> Word | None:
    """The service word that the whole text is; None for every other text. Opting out is asked first."""
    whole = normalise(text)
    if not whole:
        return Word(Intent.HELP) if _only_question_marks(text) else None
    return _optout(text, whole, topics, tuple(optout_words)) or _resume(whole, topics) or _asking(whole)


def _optout(text: str, whole: str, topics: Collection[Topic], extra: tuple[str, ...]) -> Word | None:
    said = re.sub(r"^请?(?:回复?|发送|输入)", "", whole)
    if said == "R":
        return Word(Intent.OPTOUT, of_last_notice=True)
    if said in _OUT_OF_ALL or said in _out_words(extra) or _asks_to_stop(text):
        return Word(Intent.OPTOUT)
    return _about(Intent.OPTOUT, _STEMS_OUT, whole, topics)


def _resume(whole: str, topics: Collection[Topic]) -> Word | None:
    return Word(Intent.RESUME) if whole in _IN else _about(Intent.RESUME, _STEMS_IN, whole, topics)


def _asking(whole: str) -> Word | None:
    if whole in _HELP:
        return Word(Intent.HELP)
    if whole in ("1", "2", "3", "4", "5"):  # with no prompt open these mean nothing, and never a rating
        return Word(Intent.RATING)
    return Word(Intent.STATUS) if re.sub(r"\d{11,12}$", "", whole) in _STATUS else None


def _about(intent: Intent, stems: Sequence[str], whole: str, topics: Collection[Topic]) -> Word | None:
    for stem in stems:
        if whole.startswith(stem):
            called = whole.removeprefix(stem)
            if called in _EVERYTHING:
                return Word(intent)
            if named := _named(called, topics):
                return Word(intent, named)
    return None


def _named(called: str, topics: Collection[Topic]) -> tuple[str, ...]:
    if len(called) < _SHORTEST_NAME:
        return ()
    return tuple(sorted({topic.category for topic in topics if _calls(called, topic)}))


def _calls(called: str, topic: Topic) -> bool:
    name, title = normalise(topic.name), normalise(topic.title)
    return name.startswith(called) or name.endswith(called) or title.startswith(called)


def _asks_to_stop(text: str) -> bool:
    if len(text) > _LONGEST_SAYING:
        return False
    said = clauses(text)
    rest = [clause for clause in said if not _STOP.fullmatch(clause)]
    return len(rest) < len(said) and all(_FILLING.fullmatch(clause) for clause in rest)


def _only_question_marks(text: str) -> bool:
    marks = "".join(unicodedata.normalize("NFKC", text).split())
    return bool(marks) and not marks.strip("?")


def opens_nothing(text: str, *, from_service: bool = False) -> Intent | None:
    """`thanks` or `spam` where nobody needs to do anything about the text; `from_service`: a 106 number sent it."""
    whole = normalise(text)
    if (len(whole) <= _LONGEST_SAYING and _THANKS.fullmatch(whole)) or (not whole and not _THANKFUL.isdisjoint(text)):
        return Intent.THANKS
    return Intent.SPAM if from_service and _MARKETING.search(whole) else None


# --- routing --------------------------------------------------------------------------------------------


class Keyword(NamedTuple):
    """A word, normalised, that speaks for a window."""

    word: str
    window: str


def route(text: str, keywords: Iterable[Keyword]) -> tuple[str | None, str]:
    """The one window whose words are in the text, or None; and why, in Chinese.

    A word inside a longer one that was found ("证明" in "婚育证明") does not count.
    """
    whole = normalise(text)
    found = {keyword for keyword in keywords if keyword.word in whole}
    longest = [one for one in found if not any(one.word != other.word and one.word in other.word for other in found)]
    windows = {keyword.window for keyword in longest}
    words = "、".join(sorted({keyword.word for keyword in longest}))
    if len(windows) == 1:
        return windows.pop(), f"说到{words}"
    return None, f"说到几个窗口的事：{words}" if windows else "没有说到哪个窗口的词"
