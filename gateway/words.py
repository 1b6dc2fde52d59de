"""The words people write to the hall: how a text is read before anybody decides what to do with it. Pure.

Policy
- A text is stored as it came, but for what no database keeps (`storable`); it is normalised only to be compared.
- Normalising: NFKC (full-width to plain), then letters and digits alone, upper case, traditional to simplified. So
  "Ｔ Ｄ", "td。" and "退訂" are the words they look like.
- A word counts only when it is the whole text: "退订费怎么退" and "T恤厂招人不" are questions. A plain sentence that
  asks us to stop counts when nothing else is in the text but a few known fillings: one that may be about a pension or
  a truck, or that may only want fewer texts ("别老发"), goes to a person.
- A category is named by its whole name, the beginning of its name or title, or the end of its name, from two
  characters on, so "天气" is "天气预报"; where that fits several categories, they are all meant.
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
    """What a text is about; the words of `gateway triage`.

    `error`: it could not be read and is shown to a person; `answer`: to a question of ours; `held`: until one is given.
    """

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
    ANSWER = "answer"
    HELD = "held"


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


_HALVES = {0xD800 + n: 0x10F800 + n for n in range(0x800)}
"""Halves of surrogate pairs, and the private characters in which they wait for each other."""
_WHOLE = {private: half for half, private in _HALVES.items()}


def with_halves(part: str) -> str:
    """A part of a long text as it is kept until the others come: half a pair at its edge may find its other half."""
    paired = part.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return paired.translate(_HALVES)


def of_halves(text: str) -> str:
    """What parts kept `with_halves` are together; halves that found none are told as unreadable."""
    return storable(text.translate(_WHOLE))


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
_OUT_IN_ENGLISH = ("STOP", "UNSUBSCRIBE", "CANCEL", "QUIT", "END", "TUIDING")
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
_AND = re.compile("[和跟与]")
_LONGEST_SAYING = 60
"""Characters: what is longer is no thanks and no sentence that only asks to stop."""

# A sentence that asks us to stop is put together from these parts. They are atomic and possessive: each is read once,
# or repetition would double the work.
_PARTS = {
    "please": "(?>从今以后|从今往后|今后|以后|往后|从现在起|请帮我|请给我|请给|请"
    "|求求你们|求你们|求求你|麻烦你们|麻烦给|麻烦|你们|能不能|可不可以|能否|可以|能|就|也|都|再也|千万|赶紧|立即|马上|快|我们|我|帮我|帮忙|给我|要求|申请|想要|想|要)*+",
    "stop": "(?>不要|不用|不必|不需要|不想要?|不准|不许|别|甭|莫|请勿|勿|再不要|停止|暂停)",
    "unwilling": "(?>不想|不愿意?|不要|不需要|不|拒绝)(?>再|要|想|继续)*+",
    "unwanted": "(?>不想要|不要|不需要|不订阅?|不收)",
    "again": "(?>再|乱|随便)*+",
    "to_me": "(?>(?>给|往|向|朝)(?>我们|我|俺|这个)(?>手机|号码?)?+上?)?+",
    "send": "(?>发送|发来|发过来|发|推送)(?>了)?+",
    "receive": "(?>收到|接收到?|接到|收|看到)(?>了)?+",
    "halt": "(?>停止|停掉|停|关闭|关掉|取消掉?|终止)",
    "texts": "(?>短信|信息|通知|消息)(?>发送|推送|接收|提醒|订阅|服务|通知)*+",
    "these": "(?>你们的?|镇上的?|大厅的?|这些|这种|这类|这个|任何|所有的?|全部的?|一切|我的?|的|把|将)*+",
    "kind": "(?P<kind>[^\\W\\d]{2,8}?)",
    "off": "(?>停掉|停了|停|关掉|关了|退订|退掉|退了|取消)(?>了|掉)?+",
    "not_wanted": "(?>别发|不用发|不要|不收|不想要|不想收|不需要|取消|退订|一条[也都]不(?>想要|要)"
    "|(?>停|关|退)(?>了吧|掉))(?>了)?+",
    "signed_off": "(?>退订|取消订阅)(?>了|掉|一下|下)?+",
    "my_number": "(?:我的?|这个)?(?:手机号码?|电话号?码?|号码?)",
    "list": "(?:从?(?:你们的?|镇上的?|发短信的)?(?:短信|群发|通知)?(?:名单|名册|通讯录|系统|群)里?上?中?)",
    "removed": "(?>删除|删掉|删了|去掉|移除|删|退出|踢)(?>了)?+",
    "disturb": "(?>再)?+(?>打扰|骚扰)(?>我们|我|了)*+",
    "done": "(?>了|啦|喽|吧|哈|啊|呀|嘛|哩|咧|嘞|行不行|行不|行吗|好吗|可以吗|成不|谢谢|多谢|过来|来|到我?手机上?)*+",
}
_SENTENCES = (
    "please stop again to_me again send done (these kind)? to_me done",  # 以后别再给我发短信了，谢谢
    "please these kind 我? stop again to_me again send done",  # 你们的短信不要再发了
    "please unwilling receive these kind done",  # 不想再收到你们的短信
    "please 不想?再 receive done",  # 不想再收到了；「不收了」说的可能是别的
    "please unwanted these kind done",  # 我不要你们的短信
    "please [把将] these texts to_me (全?都)? off done",  # 把我的短信全都停了
    "please these texts 我? (全?都)? not_wanted done",  # 你们的短信我不要了；「短信停了」说的是别的
    "please halt (我的)? to_me these (texts|send texts) done",  # 请停止给我发送短信
    "please halt send done",  # 停发吧
    "(please|texts) signed_off done (these kind)? done",  # 麻烦退订一下你们的短信
    "please [把将] my_number list? removed done",  # 把我的号码从名单上删了
    "please [把将] (我|my_number) (list removed|(移出|踢出|退出) list) done",  # 把我从名单里删了
    "please stop disturb done",  # 请勿打扰
    "please 不再? (订|订阅) 了? done",  # 不订了
)
_STOPS = tuple(
    re.compile(re.sub("[a-z_]+", lambda part: _PARTS[part[0]], sentence).replace(" ", "")) for sentence in _SENTENCES
)
_SURE_AMONG_OTHERS = frozenset({"退订", "TD", "取消订阅", "拒收", "不要再发", "STOP"})
_TEXTS_AS_SUCH = re.compile("(?:垃圾|骚扰|广告)?(?:短信|信息|通知|消息|提醒|推送)(?:服务)?|东西|内容|广告|这[种些]?")
_IS_TOLD = re.compile("(?:短信|通知|信息|消息|提醒|预报|预警|行情)$")
_TAIL = re.compile("的?(?:短信|通知|信息|消息|提醒)$")
_MARK = re.compile("[?？]")
_POLITE = re.compile("能不能|可不可以|能否|可以|行不|行吗|好吗|成不|烦不烦")
"""A question mark asks for it only with one of these: 「不发短信了？」 asks something else."""
_REPEATED = re.compile(r"(.{2,}?)\1+")

# What may stand beside such a sentence and asks for nothing else, a clause each.
_FILLING = re.compile(
    "|".join(
        (
            "(?:太|真|实在)?烦(?:死|得很|人|心|不烦)?(?:我|人)?(?:了|得?很)?|太?(?:烦人|吵人|闹心)了?",  # 烦死了
            "谢谢.{0,2}|多谢|麻烦.{0,3}|打扰.{0,3}|求.{0,3}|真的?|你们?好|您好|同志|领导",
            "我?(?:已经|早就)*不是.{0,8}(?:人|的|了)|这个?号码?不是.{0,10}(?:人|的|了)",  # 我不是你们镇上的人
            "我?的?(?:这个?)?号码?是?我?(?:新办|刚办|才办|新买|换了?主?人).{0,3}|发错.{0,3}",  # 这号是新办的
            "我?(?:已经|早就)*(?:不在|搬走|离开).{0,8}|我?又?不在家",  # 我早就不在那里住了
            "收不过来|看不过来|(?:短信)?太多了?|太频繁了?|一天.{0,4}[条个回]|天天发|(?:咋|怎么)老发",
            "没[啥甚什么]*用|用不[着上]|不需要|不要了|不看(?:短信)?|手机.{0,4}(?:满|爆|响).{0,3}|影响.{0,6}|骚扰.{0,4}",
            "再发.{0,2}(?:投诉|举报|拉黑|告|骂).{0,6}|不认识你们?|与我无关|跟我没关系|这?个?号码?不用了",
            "退了吧|取消吧|退订吧?|TD|取消订阅|拒收",  # beside a sentence that is sure
        )
    )
)
# Atomic, longest first: "你好" read as one word or as two would double the work with each repetition.
_THANKS = re.compile(
    r"(?=.*(?:好|行|OK|收到|已阅|知道|晓得|明白|清楚|谢|辛苦|麻烦|费心|劳烦|办成|在吗|快乐))"
    r"(?>给你们添麻烦|早上好|中午好|下午好|晚上好|新年好|节日快乐|办成|办好|你好|您好|你们|好的?|行|OK|收到|已阅|知道|晓得"
    r"|明白|清楚|谢谢|多谢|感谢|辛苦|麻烦|费心|劳烦|在吗|同志|您|你|大家|非常|太|了|啦|啊|哦|噢|嗯|哩)++"
)
_WISHES = re.compile(
    r"(?=.*(?:祝|快乐|安康|如意|发财|吉祥|愉快))"
    r"(?>恭祝|祝福|祝愿|祝|在此|提前|给|向|拜年|拜个早年|您和|你和|和|您|你们|你|大家|各位|大厅|领导|同志们?|工作人员|全体|全家|一家|家人|阖家"
    r"|元旦|新春|春节|元宵|端午|中秋|国庆|重阳|佳节|新年好?|新的一年|节日|过年好|五一|[鼠牛虎兔龙蛇马羊猴鸡狗猪]年|大吉大利|大吉"
    r"|快乐|安康|愉快|吉祥|如意|万事|事事|顺心|顺利|身体|健康|工作|幸福|美满|欢乐|团圆|恭喜|发财|平安|都|的|了|啊)++"
)
"""Wishes for a feast, and nothing else."""
_THANKFUL = frozenset("👍🙏🌹👌😊😄❤💐🤝👏")
_MARKETING = re.compile(r"(?:拒收|退订?)(?:请)?回复?[A-Z]{1,2}$|回复?[A-Z]{1,2}(?:退订?|拒收)$")


_NEW_NUMBER = re.compile(
    "(?:这个?|手机|电话|我的?)号码?(?:(?:是|我)*(?:新|刚|才)(?:办|买|换|领)|(?:已经?|早就?)?换了?主?人)"
)


def says_number_is_new(text: str) -> bool:
    """这号是新办的: whoever writes had the number from somebody else, as far as they know."""
    return _NEW_NUMBER.search(normalise(text)) is not None


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
    if said in _OUT_OF_ALL or said in _out_words(extra):
        return Word(Intent.OPTOUT)
    return _about(Intent.OPTOUT, _STEMS_OUT, whole, topics) or _asks_to_stop(text, topics)


def _resume(whole: str, topics: Collection[Topic]) -> Word | None:
    return Word(Intent.RESUME) if whole in _IN else _about(Intent.RESUME, _STEMS_IN, whole, topics)


def _asking(whole: str) -> Word | None:
    if whole in _HELP:
        return Word(Intent.HELP)
    if whole in ("1", "2", "3", "4", "5"):  # with no prompt open these mean nothing, and never a rating
        return Word(Intent.RATING)
    return Word(Intent.STATUS) if re.sub(r"^\d{11,12}|\d{11,12}$", "", whole) in _STATUS else None


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
    """The categories called so, one or several with an "and" between them; none where one of them is unknown."""
    found: set[str] = set()
    for name in _AND.split(called):
        meant = {topic.category for topic in topics if len(name) >= _SHORTEST_NAME and _calls(name, topic)}
        if not meant:
            return ()
        found |= meant
    return tuple(sorted(found))


def _calls(called: str, topic: Topic) -> bool:
    name, title = normalise(topic.name), normalise(topic.title)
    return name.startswith(called) or name.endswith(called) or title.startswith(called)


def _asks_to_stop(text: str, topics: Collection[Topic]) -> Word | None:
    """A sentence that asks for it and for nothing else; with a category where it names one."""
    if len(text) > _LONGEST_SAYING or (_MARK.search(text) and not _POLITE.search(text)):
        return None
    asked: list[Word] = []
    for clause in clauses(text):
        if word := _stop(clause, topics):
            asked.append(word)
        elif not _FILLING.fullmatch(clause):
            return None
    named = {category for word in asked for category in word.categories or ()}
    return Word(Intent.OPTOUT, tuple(sorted(named)) or None) if asked else None


def _stop(clause: str, topics: Collection[Topic]) -> Word | None:
    said = _REPEATED.sub(r"\1", clause)  # 别发了别发了
    if said in _SURE_AMONG_OTHERS:
        return Word(Intent.OPTOUT)
    for found in filter(None, (pattern.fullmatch(said) for pattern in _STOPS)):
        kind = found.groupdict().get("kind")
        if kind is None or _TEXTS_AS_SUCH.fullmatch(kind):
            return Word(Intent.OPTOUT)
        if named := _named(_TAIL.sub("", kind), _told(kind, topics)):
            return Word(Intent.OPTOUT, named)
    return None


def _told(kind: str, topics: Collection[Topic]) -> Sequence[Topic]:
    """Topics that a sentence may mean by `kind`: who wants no 补贴 may mean the money, no 补贴短信 means our texts."""
    return [topic for topic in topics if _TAIL.search(kind) or _IS_TOLD.search(topic.name)]


def _only_question_marks(text: str) -> bool:
    marks = "".join(unicodedata.normalize("NFKC", text).split())
    return bool(marks) and not marks.strip("?")


def opens_nothing(text: str, *, from_service: bool = False) -> Intent | None:
    """`thanks` or `spam` where nobody needs to do anything about the text; `from_service`: a 106 number sent it."""
    whole = normalise(text)
    if (len(whole) <= _LONGEST_SAYING and (_THANKS.fullmatch(whole) or _WISHES.fullmatch(whole))) or (
        not whole and not _THANKFUL.isdisjoint(text)
    ):
        return Intent.THANKS
    return Intent.SPAM if from_service and _MARKETING.search(whole) else None
