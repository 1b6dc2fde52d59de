"""gateway.triage: how well texts are read that it was not taught, and what must hold whatever the examples say."""

from __future__ import annotations

import csv
import difflib
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from test_words import TOPICS

from gateway import config, words
from gateway.errors import Invalid
from gateway.triage import FRONT_DESK, PETITIONS, SERVICE_WORDS, Question, Triage, learn, load, questions, scoring
from gateway.triage.scoring import Sample, Score, alternatives, cross, score
from gateway.words import Intent

ROOT = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
HALL = config.load(ROOT).hall
TOO_LIKE = 0.85
SAMPLES = ("consultations.csv", "paraphrases.csv", "sixty.csv", "unseen.csv")


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def samples(name: str) -> list[Sample]:
    return scoring.samples(name, (DATA / name).read_text(encoding="utf-8"), HALL.windows)


@pytest.fixture(scope="module")
def taught() -> Sequence[Question]:
    return load(ROOT, HALL.windows)


@pytest.fixture(scope="module")
def triage(taught: Sequence[Question]) -> Triage:
    return Triage(HALL.windows, taught, TOPICS)


ACCUSATION, BLUE_HOUSE = "财政窗口的人收好处 材料齐全了也不给办", "街上那个蓝房子的事你们管不管"


@pytest.fixture(scope="module")
def corrected(taught: Sequence[Question]) -> Triage:
    """Taught by an official who gave a complaint to the window that it is about."""
    theirs = [Question(ACCUSATION, "caizheng", Intent.COMPLAINT), Question(BLUE_HOUSE, "zhengwu", Intent.FEEDBACK)]
    return Triage(HALL.windows, [*taught, *theirs], TOPICS)


# --- how well ----------------------------------------------------------------------------------------------


def told(found: Score) -> str:
    wrong = [f"{one.sample.text[:30]} -> {one.window} {one.read.intent}" for one in found.wrong()]
    return "\n".join([f"case {found.case:.3f} window {found.window:.3f} intent {found.intent:.3f}", *wrong])


@pytest.mark.parametrize("name", SAMPLES)
def test_texts_that_it_was_not_taught(triage: Triage, name: str) -> None:
    found = score(triage, samples(name))
    assert found.optout == 1, told(found)
    assert found.case >= 0.95, told(found)
    assert found.window >= 0.90, told(found)
    assert found.intent >= 0.85, told(found)


def test_cross_validation_of_the_sample_questions(taught: Sequence[Question]) -> None:
    found = cross(lambda part: Triage(HALL.windows, part, TOPICS), taught, 3)
    assert len(found.readings) == len(taught)
    assert (found.case >= 0.93, found.window >= 0.79, found.intent >= 0.83, found.optout >= 0.995) == (True,) * 4, (
        found.case,
        found.window,
        found.intent,
        found.optout,
    )


def near(one: str, other: str) -> bool:
    match = difflib.SequenceMatcher(None, one, other, autojunk=False)
    quick = match.real_quick_ratio() >= TOO_LIKE and match.quick_ratio() >= TOO_LIKE
    return quick and match.ratio() >= TOO_LIKE


@pytest.mark.parametrize("name", SAMPLES)
def test_it_was_not_taught_what_it_is_measured_on(taught: Sequence[Question], name: str) -> None:
    known = {words.normalise(one.text) for one in taught}
    assert "" not in known
    asked = [words.normalise(one.text) for one in samples(name)]
    assert [one for one in asked if one in known] == []
    by_letter: dict[str, set[str]] = {}
    for one in known:
        for letter in one:
            by_letter.setdefault(letter, set()).add(one)
    for one in filter(None, asked):
        # Whoever is 85 % alike shares most letters, so also one of the rarest half.
        letters = sorted(set(one), key=lambda letter: len(by_letter.get(letter, ())))
        around = set().union(*(by_letter.get(letter, set()) for letter in letters[: len(letters) // 2 + 1]))
        assert [other for other in around if near(one, other)] == []


def test_numbers_in_the_questions_are_nobodys(taught: Sequence[Question]) -> None:
    numbers = [run for one in taught for run in re.findall(r"1[3-9]\d{9,}", one.text)]
    assert [one for one in numbers if not re.fullmatch(r"(138|182|133|189|130|186|192)0013\d{4}", one)] == []


# --- opting out --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", rows("optouts.csv"), ids=lambda row: row["text"])
def test_no_question_is_an_opt_out_and_no_clear_one_is_missed(triage: Triage, row: dict[str, str]) -> None:
    found = triage.read(row["text"])
    assert (found.intent is Intent.OPTOUT) == (row["out"] == "yes"), found
    if row["out"] == "person":
        assert found.window is not None, found


def test_what_only_looks_like_an_opt_out_goes_to_a_person(triage: Triage) -> None:
    found = triage.read("bie fa le")  # an example says what it means, but only whole words and sentences take effect
    assert (found.intent, found.window) == (Intent.UNCLEAR, FRONT_DESK)


# --- whatever the examples say -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "danger"),
    [
        ("家里着火了快来人", "着火"),
        ("我不想活了", "自杀"),
        ("前年就想喝药 没人管", "自杀"),
        ("后沟山洪下来了", "洪水"),
        ("窑塌了压住人了", "垮塌"),
        ("一家人煤气中毒了", "中毒"),
        ("电线断了掉在路上", "触电"),
        ("娃掉到河里了", "溺水"),
        ("我男人又打得我流血 救命", "伤人"),
        ("我爷走丢了 找不见人", "走失"),
        ("车翻沟里了", "困住"),
        ("去年窑塌了一孔 补助还没给", None),
        ("火灾保险咋买", None),
        ("森林防火演练啥时候", None),
        ("煤气中毒怎么预防", None),
        ("低保咋办", None),
    ],
)
def test_danger_pages_whoever_is_on_duty(triage: Triage, text: str, danger: str | None) -> None:
    found = triage.read(text)
    assert found.danger == danger, found
    if danger:
        assert found.window and found.urgent and "险情" in found.why


def test_danger_is_found_in_the_middle_of_a_long_text(triage: Triage) -> None:
    found = triage.read("粮补的事 " * 100 + "后沟山洪下来了 " + "粮补的事 " * 100)
    assert (found.window, found.danger) == ("caizheng", "洪水")


COMPLAINTS = [
    ("3号窗口那个女的态度太差", "caizheng"),
    ("三号窗口的人骂我", "caizheng"),
    ("5号窗口不耐烦 甩脸子", "minzheng"),
    ("民政窗口的人问啥都不说 推来推去", "minzheng"),
    ("前台的人爱答不理", "front-desk"),
    ("信访窗口的人不耐烦 把我骂出来", "xinfang"),
    ("征兵办的人收红包 体检合格的都刷下来了", "wuzhuang"),
    ("计生专干吃拿卡要 不给就不办", "weiji"),
]


@pytest.mark.parametrize(("text", "about"), COMPLAINTS)
def test_a_complaint_never_lies_with_the_window_that_it_is_about(triage: Triage, text: str, about: str) -> None:
    found = triage.read(text)
    assert found.intent is Intent.COMPLAINT, found
    assert (found.about, found.confidential) == (about, True), found
    assert found.window == (FRONT_DESK if about == PETITIONS else PETITIONS)


def test_nor_where_an_official_corrected_one_like_it_so(corrected: Triage) -> None:
    found = corrected.read(ACCUSATION)
    assert (found.window, found.about) == (PETITIONS, "caizheng")


def test_praise_is_no_complaint(triage: Triage) -> None:
    assert triage.read("3号窗口的小伙子态度好 表扬一下").intent is Intent.FEEDBACK


def test_a_village_official_is_no_window(triage: Triage) -> None:
    found = triage.read("村主任把集体的树卖了 不要说是我反映的")
    assert (found.intent, found.window, found.about) == (Intent.COMPLAINT, PETITIONS, "")
    assert found.confidential


def test_a_trader_is_complained_of_to_the_window_of_the_subject(triage: Triage) -> None:
    found = triage.read("工地老板欠我三个月工资不给")
    assert (found.window, found.about) == ("jiuye", None)


@pytest.mark.parametrize(
    ("text", "matters", "window"),
    [
        ("我妈合疗没交上 还有我家粮补没打 另外路灯坏了", ("minzheng", "caizheng", "zhengwu"), FRONT_DESK),
        ("我想问低保咋申请\n还有户口本丢了咋补", ("minzheng", "zhengwu"), None),
        ("低保咋申请", (), "minzheng"),
    ],
)
def test_several_matters(triage: Triage, text: str, matters: tuple[str, ...], window: str | None) -> None:
    found = triage.read(text)
    assert found.matters == matters, found
    assert found.window == window if window else found.window in matters


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("我媽的養老認證怎麼刷不過", "我妈的养老认证怎么刷不过"),
        ("底保材料", "低保材料"),
        ("养老任证刷不过", "养老认证刷不过"),
        ("粮捕到帐了没", "粮补到账了没"),
        ("tianqi", "天气"),
        ("TIAN QI", "天气"),
        ("dibao cailiao", "低保材料"),
        ("准生证怎么办😭😭", "准生证怎么办"),
        ("  低保，材料！！ ", "低保材料"),
        ("\u202e低保\u202c材料\u200f", "低保材料"),
        ("低保\0材料", "低保材料"),
    ],
)
def test_however_it_is_typed(triage: Triage, text: str, same: str) -> None:
    found, meant = triage.read(text), triage.read(same)
    assert (found.intent, found.window, found.item) == (meant.intent, meant.window, meant.item)


@pytest.mark.parametrize("text", ["往返车票补助要啥条件", "农贸市场几点开", "不交养老保险会咋样", "招大工小工"])
def test_right_words_are_not_mended(triage: Triage, text: str) -> None:
    assert "理解" not in triage.read(text).why


@pytest.mark.parametrize(
    "text", ["", "。。。", "\0", "\u202e", "👍", "😭", "?", "#", "字" * 2000, "低保" * 1000, "a" * 2000]
)
def test_every_text_is_read_and_explained(triage: Triage, text: str) -> None:
    why = triage.read(text).why
    assert re.search("[\u4e00-\u9fff]", why), why


@pytest.mark.parametrize(("word", "intent"), SERVICE_WORDS.items())
def test_service_words_need_no_examples(word: str, intent: Intent) -> None:
    assert Triage(HALL.windows).read(word).intent is intent


def test_the_name_of_an_item_asks_for_its_guide(triage: Triage) -> None:
    names = [(item, name) for window in HALL.windows for item in window.items for name in (item.name, *item.aliases)]
    asked = [(item.code, name, triage.read(name)) for item, name in names if words.normalise(name) not in SERVICE_WORDS]
    wrong = [(code, name, read.intent, read.item) for code, name, read in asked if read.item != code]
    assert len(wrong) / len(asked) < 0.06, wrong


def test_a_name_that_fits_several_items_gives_a_menu(triage: Triage) -> None:
    found = triage.read("低保和残疾证都要啥材料")
    assert found.intent is Intent.GUIDE and found.item is None and set(found.items) == {"mz-01", "mz-08"}


def test_without_sample_questions_the_windows_words_decide() -> None:
    bare = Triage(HALL.windows)
    found = bare.read("我家粮补咋少了")
    assert (found.intent, found.window) == (Intent.CONSULT, "caizheng") and "没有例句" in found.why
    assert bare.read("有个事想问").window == FRONT_DESK
    assert bare.read("低保和粮补咋办").window == FRONT_DESK
    assert bare.read("临时救助").intent is Intent.GUIDE
    assert bare.read("退订").intent is Intent.OPTOUT


def test_unsure_goes_to_the_front_desk(triage: Triage) -> None:
    found = triage.read("那个东西你们给看一下能不能弄")
    assert found.window == FRONT_DESK


# --- examples ----------------------------------------------------------------------------------------------


def test_a_correction_is_learned(triage: Triage, corrected: Triage) -> None:
    assert triage.read(BLUE_HOUSE).window != "zhengwu"
    found = corrected.read(BLUE_HOUSE)
    assert (found.window, found.intent) == ("zhengwu", Intent.FEEDBACK)
    assert "几乎一样" in found.why


def test_what_is_learned_lies_beside_the_questions(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "questions.csv").write_text("text,window,intent,item\n甲,zhengwu,consult,zw-01\n", "utf-8")
    where = learn(tmp_path, [Question("乙,\n二", "", Intent.THANKS)], "site/questions.csv")
    learn(tmp_path, [Question("丙", "minzheng", Intent.AGENCY)], "site/questions.csv")
    assert where == tmp_path / "site" / "learned.csv"
    assert load(tmp_path, HALL.windows, "site/questions.csv") == (
        Question("甲", "zhengwu", Intent.CONSULT, "zw-01"),
        Question("乙,\n二", "", Intent.THANKS),
        Question("丙", "minzheng", Intent.AGENCY),
    )
    assert load(tmp_path, HALL.windows) == ()


def test_every_wrong_row_is_told() -> None:
    text = "text,window,intent,item\n,zhengwu,consult,\n甲,nowhere,consult,\n乙,,consult,\n丙,,fun,\n丁,,guide,xx-99\n"
    with pytest.raises(Invalid) as raised:
        questions.parse("q.csv", text, HALL.windows)
    assert [(one.line, one.key) for one in raised.value.problems] == [
        (2, "text"),
        (3, "window"),
        (4, "window"),
        (5, "intent"),
        (6, "item"),
    ]
    with pytest.raises(Invalid, match="item"):
        questions.parse("q.csv", "text,window,intent\n", HALL.windows)


def test_a_site_is_trained_once_for_the_same_files(tmp_path: Path) -> None:
    for file in ROOT.glob("*.toml"):
        shutil.copy(file, tmp_path)
    settings = (ROOT / "config.toml").read_text("utf-8").replace('"questions.csv"', '"q.csv"')
    (tmp_path / "config.toml").write_text(settings, "utf-8")
    (tmp_path / "q.csv").write_text("text,window,intent,item\n蓝房子,zhengwu,feedback,\n", "utf-8")
    one = Triage.of(config.load(tmp_path), TOPICS)
    assert Triage.of(config.load(tmp_path), TOPICS) is one
    learn(tmp_path, [Question("红房子", "anjian", Intent.FEEDBACK)], "q.csv")
    other = Triage.of(config.load(tmp_path), TOPICS)
    assert other is not one
    assert (one.read("红房子").window, other.read("红房子").window) != ("anjian", "anjian")
    assert other.read("红房子").window == "anjian"
    assert Triage.of(config.load(tmp_path)) is not other


# --- the measure -------------------------------------------------------------------------------------------


def test_alternatives_count_as_right(triage: Triage) -> None:
    read = triage.read("低保咋申请条件是啥").window
    assert read == "minzheng"
    text = "低保咋申请条件是啥"
    for sample, case, window in [
        (Sample(text, "minzheng", Intent.CONSULT), True, True),
        (Sample(text, "zhengwu", Intent.CONSULT), True, False),
        (Sample(text, "zhengwu", Intent.CONSULT, frozenset({"minzheng"})), True, True),
        (Sample(text, "", Intent.GUIDE), False, False),
        (Sample(text, "", Intent.GUIDE, frozenset({"minzheng"})), True, True),
    ]:
        one = score(triage, [sample]).readings[0]
        assert (one.case_right, one.window_right) == (case, window), sample


def test_an_alternative_may_make_no_case(triage: Triage) -> None:
    sample = Sample("天气", FRONT_DESK, Intent.UNCLEAR, alternatives("tricky;alt=weather+jobs | alt=no"))
    one = score(triage, [sample]).readings[0]
    assert sample.alternatives == {"weather", "jobs"}
    assert one.right and one.case_right and one.window_right


def test_classes_and_confusions(triage: Triage) -> None:
    found = score(
        triage,
        [
            Sample("天气", "", Intent.WEATHER),
            Sample("退订", "", Intent.OPTOUT),
            Sample("补贴", "", Intent.WEATHER),
            Sample("低保", "minzheng", Intent.CONSULT),
        ],
    )
    assert found.confusions()["weather", "subsidy"] == 1
    weather = next(one for one in found.intents() if one.name == "weather")
    assert (weather.named, weather.read, weather.right, weather.precision, weather.recall) == (2, 1, 1, 1.0, 0.5)
    subsidy = next(one for one in found.intents() if one.name == "subsidy")
    assert (subsidy.precision, subsidy.recall) == (0.0, None)
    assert [(one.name, one.named, one.right) for one in found.windows()] == [("minzheng", 1, 0), ("", 0, 0)]
    assert (found.case, found.window, found.intent, found.optout) == (0.75, 0.0, 0.5, 1.0)
    assert [one.sample.text for one in found.wrong()] == ["补贴", "低保"]
    assert Score([]).case == 1.0
