"""gateway.words: what a text is read as."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import words
from gateway.words import Intent, Topic, Word

TOPICS = (
    Topic("weather-daily", "天气预报", "每日天气"),
    Topic("weather-warning", "气象预警", "预警解除"),
    Topic("conscription-physical", "征兵", "征兵体检"),
    Topic("conscription-registration", "征兵", "兵役登记"),
    Topic("training", "技能培训", "培训报名"),
)


def read(text: str) -> Word | None:
    return words.read(text, TOPICS)


OUT = "退订 T TD N R 取消 取消订阅 拒收 不要再发 STOP UNSUBSCRIBE CANCEL QUIT END"


@pytest.mark.parametrize("text", [*OUT.split(), "回T退订", "TD退订", "退订TD", "回复TD退订", "回T", "拒收R", "发送TD"])
def test_the_words_that_stop_notices(text: str) -> None:
    word = read(text)
    assert word is not None and word.intent is Intent.OPTOUT and word.categories is None


@pytest.mark.parametrize(
    "text", ["Ｔ Ｄ", "td", "T.D.", "退訂", "退订。", " 退 订 ", "取消訂閱", "拒收!!!", "【退订】", "退订🙏"]
)
def test_they_are_found_however_they_are_typed(text: str) -> None:
    assert read(text) == Word(Intent.OPTOUT)


@pytest.mark.parametrize("text", ["R", "回R", "回复R", "ｒ"])
def test_r_speaks_of_the_last_notice(text: str) -> None:
    assert read(text) == Word(Intent.OPTOUT, of_last_notice=True)


@pytest.mark.parametrize(
    "text",
    [
        "退订费怎么退",
        "T恤厂招人不",
        "N次打电话都没人接",
        "取消低保是不是真的",
        "取消报名",
        "退",
        "退耕还林补助今年为啥还不发",
        "我妈不要再发养老金了",
        "养老金先不要打了",
        "我女子已经结婚户口迁走了 别再通知她三查了",
        "能不能少发些",
        "【某某购】清仓 拒收请回复R",
        "",
        "。。。",
    ],
)
def test_a_text_with_more_in_it_is_no_word(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "别再给我发了 烦死了",
        "不要再发了!!!",
        "我不是你们镇上的人 这号是新办的 别发了",
        "以后不要给我发短信了",
        "不想收短信了，谢谢",
        "烦死了 退订",
    ],
)
def test_a_plain_sentence_stops_notices_where_it_says_nothing_else(text: str) -> None:
    assert read(text) == Word(Intent.OPTOUT)


@pytest.mark.parametrize("text", ["别再发了，我爸的养老金呢", "别发了 " + "真的 " * 40, "不要钱", "别发货了"])
def test_a_sentence_with_another_matter_in_it_goes_to_a_person(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    ("text", "categories"),
    [
        ("退订天气", ("weather-daily",)),
        ("退订 天气预报", ("weather-daily",)),
        ("退訂天氣", ("weather-daily",)),
        ("退订预警", ("weather-warning",)),
        ("拒收征兵", ("conscription-physical", "conscription-registration")),
        ("取消订阅培训", ("training",)),
        ("别再给我发天气预报了", ("weather-daily",)),
        ("退订全部", None),
        ("退订所有短信", None),
        ("退订短信", None),
        ("全退", None),
    ],
)
def test_an_opt_out_may_name_a_category(text: str, categories: tuple[str, ...] | None) -> None:
    assert read(text) == Word(Intent.OPTOUT, categories)


@pytest.mark.parametrize("text", ["退订报名", "退订天", "退订低保"])
def test_a_name_that_fits_no_category_is_no_opt_out(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("恢复", Word(Intent.RESUME)),
        ("恢復", Word(Intent.RESUME)),
        ("start", Word(Intent.RESUME)),
        ("恢复全部", Word(Intent.RESUME)),
        ("恢复天气", Word(Intent.RESUME, ("weather-daily",))),
        ("订阅培训", Word(Intent.RESUME, ("training",))),
        ("恢复不了怎么办", None),
        ("帮助", Word(Intent.HELP)),
        ("幫助", Word(Intent.HELP)),
        ("？", Word(Intent.HELP)),
        ("菜单", Word(Intent.HELP)),
        ("查 詢", Word(Intent.STATUS)),
        ("進度 26070200461", Word(Intent.STATUS)),
        ("26070200461 进度", Word(Intent.STATUS)),
        ("3", Word(Intent.RATING)),
        ("6", None),
    ],
)
def test_the_other_service_words(text: str, word: Word | None) -> None:
    assert read(text) == word


def test_a_site_adds_words_of_its_own() -> None:
    assert words.read("住了价。", (), ["住了价", " 。"]) == Word(Intent.OPTOUT)
    assert words.read("住了价", ()) is None


@pytest.mark.parametrize("text", ["祝您和家人端午安康，万事如意！", "给大家拜年了 新年快乐", "恭喜发财 马年大吉"])
def test_wishes_for_a_feast_open_nothing(text: str) -> None:
    assert words.opens_nothing(text) is Intent.THANKS


@pytest.mark.parametrize(
    "text", ["谢谢", "謝謝你們", "收到", "好的知道了", "👍", "多谢 给你们添麻烦了", "麻烦了 办成了", "你好", "在吗"]
)
def test_thanks_and_greetings_open_nothing(text: str) -> None:
    assert words.opens_nothing(text) is Intent.THANKS


@pytest.mark.parametrize(
    "text",
    [
        "谢谢，我妈的养老认证咋办",
        "收到没",
        "办好了吗",
        "嗯",
        "了了了",
        "。。。",
        "",
        "不清楚",
        "你们好不好意思",
        "端午放几天假",
        "祝贺 我的低保批了没",
    ],
)
def test_what_may_want_something_is_no_thanks(text: str) -> None:
    assert words.opens_nothing(text) is None


def test_an_advertisement_is_spam_only_from_a_service_number() -> None:
    forwarded = "【某某购】亲 夏季清仓 全场3折 拒收请回复R"
    assert words.opens_nothing(forwarded, from_service=True) is Intent.SPAM
    assert words.opens_nothing(forwarded) is None
    assert words.opens_nothing("您的余额不足", from_service=True) is None


def test_repetition_takes_no_time() -> None:
    begun = time.perf_counter()
    for text in ("你好" * 5000 + "x", "你好" * 29 + "x", "别再发" * 19, "谢" * 60, "1 " * 30000, "请" * 30000):
        words.read(text, TOPICS)
        words.opens_nothing(text)
        words.digit_runs(text)
    assert time.perf_counter() - begun < 1


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("26070100014 咋还没信", ["26070100014"]),
        ("２６０７０１０００１４", ["26070100014"]),
        ("260701-0001-4", ["260701", "26070100014"]),
        ("26070100014 13800130001", ["26070100014", "13800130001", "2607010001413800130001"]),
        ("上了1234次", []),
    ],
)
def test_runs_of_digits(text: str, runs: list[str]) -> None:
    assert words.digit_runs(text) == runs


ANY = st.text(st.characters(exclude_categories=()))


@given(ANY)
def test_every_text_can_be_kept_and_read(text: str) -> None:
    kept = words.storable(text)
    kept.encode()
    assert "\0" not in kept
    assert kept == words.storable(kept)
    if not any(unicodedata.category(char) == "Cs" or char == "\0" for char in text):
        assert kept == text
    words.read(text, TOPICS)
    words.opens_nothing(text, from_service=True)
    words.digit_runs(text)
    assert words.normalise(kept) == words.normalise(text)


def test_what_no_database_keeps_is_replaced() -> None:
    assert words.storable("a\0b") == "a␀b"
    assert words.storable("中\0文") == "中␀文"
    assert words.storable("\ud83d\ude00") == "😀"
    assert words.storable("a\ud83db\ude00") == "a\ufffdb\ufffd"
    assert words.storable("\ufeff中") == "\ufeff中"


def test_halves_of_a_character_wait_for_each_other_and_are_whole_or_unreadable() -> None:
    first, second = "我姓\ud842", "\udfb7😀"
    kept = words.with_halves(first), words.with_halves(second)
    assert all(part.encode() for part in kept)  # both databases keep them
    assert words.of_halves("".join(kept)) == "我姓𠮷😀"
    assert words.of_halves(kept[0]) == "我姓\ufffd"
    assert words.of_halves(words.with_halves("\0好")) == "\u2400好"


@pytest.mark.parametrize(
    "body", ["这号是新办的", "这个号码我刚办的", "我的手机号才换", "这号早换人了", "电话号码换主人了"]
)
def test_words_for_a_new_number(body: str) -> None:
    assert words.says_number_is_new(body)


@pytest.mark.parametrize(
    "body", ["身份证号刚办下来", "账号新换的，补贴打哪", "这号啥时候办", "新办的低保证", "3号窗口换人了吗"]
)
def test_words_that_are_about_something_else(body: str) -> None:
    assert not words.says_number_is_new(body)
