from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import config, templates
from gateway.config import Config
from gateway.errors import Invalid, Problem, Refused
from gateway.model import Priority
from gateway.templates import PERSON_FIELDS, SERVICE, WARNING_FIELDS, Body, Template

ROOT = Path(__file__).parent.parent

NOTICES = {
    "weather-daily",
    "weather-warning",
    "weather-lifted",
    "policy",
    "regulation",
    "family-health",
    "conscription-registration",
    "conscription-physical",
    "work-safety",
    "forest-fire",
    "medical-premium",
    "pension-certification",
    "subsidy-payout",
    "jobs",
    "training",
    "price-list",
    "emergency",
}


@pytest.fixture(scope="module")
def town() -> Config:
    return config.load(ROOT)


def template(text: str, away: str = "", name: str = "policy", fields: str = "", **front: Any) -> Template:
    """A template with a field for each name in `fields`."""
    lines = ['title = "某事"', 'name_zh = "政策"']
    lines += [
        f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}" for key, value in front.items()
    ]
    lines += ["[fields]", *(f'"{field}" = {{ example = "例{field}" }}' for field in fields.split())]
    body = f"{text}\n--- away ---\n{away}" if away else text
    return templates.read(name, "+++\n" + "\n".join(lines) + f"\n+++\n{body}\n")


def problems(content: str, name: str = "policy") -> list[tuple[int | None, str, str]]:
    with pytest.raises(Invalid) as caught:
        templates.read(name, content)
    return [(problem.line, problem.key, problem.en) for problem in caught.value.problems]


def said(found: list[Problem]) -> list[str]:
    return [problem.en for problem in found]


# --- one line of text -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "values", "text"),
    [
        ("没有占位", {}, "没有占位"),
        ("{姓名}：{金额}元", {"姓名": "李秀英", "金额": "12.50"}, "李秀英：12.50元"),
        ("{称呼|乡亲}您好", {}, "乡亲您好"),
        ("{称呼|乡亲}您好", {"称呼": " "}, "乡亲您好"),
        ("{称呼|乡亲}您好", {"称呼": "李女士"}, "李女士您好"),
        ("{提示|}完", {}, "完"),
        ("{甲}{甲}", {"甲": " 一 "}, "一一"),
        ("{{甲}}{{{甲}}}", {"甲": "一"}, "{甲}{一}"),
        ("{甲}", {"甲": "一", "乙": "多余"}, "一"),
        ("{name_1}", {"name_1": "x"}, "x"),
    ],
)
def test_filling(source: str, values: dict[str, str], text: str) -> None:
    assert Body(source).fill(values) == text


@pytest.mark.parametrize(
    "source",
    [
        "{",
        "}",
        "{}",
        "{甲",
        "甲}",
        "{甲{乙}}",
        "{ 甲 }",
        "{甲.乙}",
        "{甲[0]}",
        "{甲!r}",
        "{甲:>9}",
        "{0}",
        "{甲|乙|丙}",
    ],
)
def test_braces_that_do_not_fit(source: str) -> None:
    with pytest.raises(Refused, match="braces"):
        Body(source)


def test_everything_missing_is_named_in_its_order() -> None:
    with pytest.raises(Refused) as caught:
        Body("{乙}{甲}{丙}{乙}{丁|}").fill({"丙": "在", "甲": "  "})
    assert (caught.value.zh, caught.value.en) == ("还缺：乙、甲", "missing: 乙, 甲")


@given(
    st.dictionaries(st.sampled_from("甲乙丙"), st.text("甲乙{}|\\%$. ", min_size=1).map(lambda s: f"<{s}>"), min_size=3)
)
def test_values_are_put_in_once_and_never_read_again(values: dict[str, str]) -> None:
    assert Body("甲{甲}{{{乙}}}{丙}").fill(values) == f"甲{values['甲']}{{{values['乙']}}}{values['丙']}"


@given(st.text("甲乙 ，{}"))
def test_a_text_with_its_braces_doubled_is_itself(text: str) -> None:
    assert Body(text.replace("{", "{{").replace("}", "}}")).fill({}) == text


def test_values_are_cleaned() -> None:
    body = Body("{甲}。")
    assert body.fill({"甲": "一\r\n二\t三\n"}) == "一 二 三。"
    assert body.fill({"甲": "【冒名银行】"}) == "[冒名银行]。"
    with pytest.raises(Refused) as caught:
        body.fill({"甲": "一\x00"})
    assert caught.value.zh.startswith("甲：") and caught.value.en.startswith("甲: ")


# --- one template -----------------------------------------------------------------------------------------


def test_front_matter_and_defaults() -> None:
    found = template("{姓名}：{事}", fields="事", **{"class": "urgent"})
    assert (found.name, found.category, found.title) == ("policy", "policy", "某事")
    assert found.priority is Priority.URGENT
    assert (found.hours, found.consent, found.uncertain, found.per) == ("notice", "optout", "leave", "number")
    assert found.expires.total_seconds() == 86400
    assert list(found.fields) == ["事"]


def test_two_texts_and_what_they_vary_by() -> None:
    both = template("在家{事}", "在外的{村}{事}", fields="事")
    assert both.render({"事": "一"}) == "在家一"
    assert both.render({"事": "一", "村": "枣湾村"}, away=True) == "在外的枣湾村一"
    assert (both.personal, both.varies_by_village) == (False, True)
    one = template("{称呼|乡亲}：{事}", fields="事")
    assert one.render({"事": "一"}, away=True) == "乡亲：一"
    assert (one.personal, one.varies_by_village) == (True, False)


def test_what_is_missing_and_what_is_unknown() -> None:
    found = template("{姓名}{甲}", "{乙}{丙|}", fields="甲 乙 丙")
    assert found.missing({"乙": "二", "甲": " "}) == ["甲"]
    assert found.missing({}) == ["甲", "乙"]
    assert found.unknown({"甲": "", "丁": "", "姓名": ""}) == ["丁"]
    assert template("{甲}", fields="甲").missing({"甲": "一"}) == []


def test_a_field_that_may_be_left_out() -> None:
    content = '+++\ntitle = "a"\nname_zh = "b"\n[fields]\n"甲" = { example = "例", required = false }\n+++\n完{甲}'
    assert templates.read("policy", content).render({}) == "完"


def test_the_version_is_the_files_hash() -> None:
    first, again, other = template("甲"), template("甲"), template("乙")
    assert first.sha256 == again.sha256 != other.sha256
    assert len(first.sha256) == 64


@pytest.mark.parametrize(
    ("level", "ignores"), [("红色", True), ("橙色", True), (" 橙", True), ("黄色", False), ("蓝色", False), ("", False)]
)
def test_only_red_and_orange_warnings_reach_those_who_opted_out(level: str, ignores: bool) -> None:
    warning = template(
        "".join(f"{{{name}}}" for name in WARNING_FIELDS),
        fields=" ".join(WARNING_FIELDS),
        warning=True,
        handwritten=False,
        consent="none",
    )
    assert warning.ignores_optout({"级别": level}) is ignores


def test_opt_outs_are_heeded_unless_the_template_says_otherwise() -> None:
    assert not template("{级别}", fields="级别").ignores_optout({"级别": "红色"})
    assert template("甲", consent="none").ignores_optout({})


def test_a_worked_example_and_what_it_takes(town: Config) -> None:
    found = template("{姓名}：{事}" + "长" * 60, "短{村}", fields="事")
    assert templates.worked_example(found) == "李秀英：例事" + "长" * 60
    assert templates.worked_example(found, away=True) == "短枣湾村"
    home, away = templates.estimate(found, town), templates.estimate(found, town, away=True)
    assert (home.characters, home.parts, str(home.cost)) == (71, 2, "0.10")
    assert (away.characters, away.parts, str(away.cost)) == (9, 1, "0.05")


# --- reading ----------------------------------------------------------------------------------------------

HEAD = '+++\ntitle = "a"\nname_zh = "b"\n'


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("甲", [(1, "", "front matter between")]),
        ("\n" + HEAD + "+++\n甲", [(1, "", "front matter between")]),
        (HEAD + "甲", [(1, "", "front matter between")]),
        (HEAD + "x = \n+++\n甲", [(4, "", "not TOML")]),
        (HEAD + "+++\n\n", [(6, "", "there is no text")]),
        (HEAD + "+++\n\n甲\n乙\n", [(6, "", "a text is one line")]),
        (HEAD + "+++\n甲\n--- away ---\n", [(7, "", "there is no text")]),
        (HEAD + "+++\n甲\n--- away ---\n\n{乙\n", [(8, "", "braces")]),
        (HEAD + "+++\n甲\x00", [(5, "", "U+0000")]),
        (HEAD + "+++\n{甲}", [(None, "fields.甲", "{甲} is not under [fields]")]),
        (
            HEAD + '[fields]\n"金额" = { example = "1" }\n+++\n{金额元}',
            [(4, "fields.金额元", "mean 金额"), (5, "fields.金额", "has no {金额}")],
        ),
        (HEAD + '[fields]\n"姓名" = { example = "1" }\n+++\n{姓名}', [(5, "fields.姓名", "roster")]),
        (
            HEAD + '[fields]\n"甲" = { exmaple = "1" }\n+++\n{甲}',
            [(5, "fields.甲.example", "required"), (5, "fields.甲.exmaple", "did you mean example")],
        ),
        (HEAD + 'clas = "bulk"\n+++\n甲', [(4, "clas", "did you mean class")]),
        (HEAD + 'class = "fast"\n+++\n甲', [(4, "class", "'emergency'")]),
        (HEAD + 'expires = "soon"\n+++\n{', [(4, "expires", "a span"), (6, "", "braces")]),
        (HEAD + 'uncertain = "resend"\n+++\n甲', [(None, "", "emergency")]),
        (HEAD + "warning = true\n+++\n甲", [(None, "", "never written by hand")]),
        (HEAD + "promotion = true\n+++\n甲", [(None, "", "promotional")]),
    ],
)
def test_problems_of_a_file(content: str, found: list[tuple[int | None, str, str]]) -> None:
    actual = problems(content)
    assert [(line, key) for line, key, _ in actual] == [(line, key) for line, key, _ in found]
    for (_, _, text), (_, _, word) in zip(actual, found, strict=True):
        assert word in text


def test_all_files_are_read_before_anything_is_said(tmp_path: Path) -> None:
    (tmp_path / "service").mkdir()
    (tmp_path / "a.md").write_text("甲", encoding="utf-8")
    (tmp_path / "service" / "b.md").write_bytes(b"\xff")
    (tmp_path / "good.md").write_text(HEAD + "+++\n甲", encoding="utf-8")
    with pytest.raises(Invalid) as caught:
        templates.load(tmp_path)
    name = tmp_path.name
    assert [p.file for p in caught.value.problems] == [f"{name}/a.md", f"{name}/service/b.md"]
    for bad in ("a.md", "service/b.md"):
        (tmp_path / bad).unlink()
    assert list(templates.load(tmp_path)) == ["good"]


# --- checking ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (template("甲"), []),
        (template("甲", hours="notise"), ["no hours notise, did you mean notice?"]),
        (template("甲", hours="always", promotion=True, **{"class": "bulk"}), ["keep hours", "should end with"]),
        (template("甲。拒收请回复R", "乙", promotion=True, **{"class": "bulk"}), ["should end with"]),
        (template("甲。拒收请回复R", promotion=True, **{"class": "bulk"}), []),
        (template("甲", consent="none"), ["only warnings, emergencies"]),
        (template("甲", consent="none", **{"class": "emergency"}), []),
        (template("甲", warning=True, handwritten=False), ["states 类别, 级别"]),
        (template("甲【乙】"), ["no 【】"]),
        (template("{编号}{村}", name="service/rating", fields="编号 村"), ["does not give this value"]),
        (template("甲", name="service/ratings"), ["no such text of its own, did you mean rating?"]),
    ],
)
def test_what_forbids_using_a_template(found: Template, words: list[str], town: Config) -> None:
    actual = said(templates.check(found, town))
    assert len(actual) == len(words)
    assert all(word in text for word, text in zip(words, actual, strict=True))


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("参加回复T，不参加不用回", "T"),
        ("不去请回N", "N"),
        ("取消报名请回复“取消”", "取消"),
        ("去的回Y，不去发送td", "td"),
        ("停水了回复别发", "别发"),
        ("回T恤厂的活", None),
        ("停发回复“退订”", None),
        ("拒收请回复R", None),
        ("不想再收，回T退订", None),
        ("回复Text看明细", None),
        ("回1是，回2不是", None),
    ],
)
def test_no_prompt_offers_a_word_that_opts_out(text: str, offered: str | None, town: Config) -> None:
    site = town.model_copy(update={"inbound": config.Inbound(optout_words=("别发",))})
    found = said(templates.check(template(text), site))
    assert found == ([f"{offered} opts people out: ask for another answer"] if offered else [])


def test_advice_looks_at_both_texts_with_their_examples(town: Config) -> None:
    found = templates.advise(template("见www.zaoyuan.gov.cn", "{事}" + "长" * 70, fields="事"), town)
    assert [(problem.key, problem.en) for problem in found] == [
        ("", "the text has a link"),
        ("away", "77 characters in all, more than 70"),
    ]
    assert templates.advise(template("短"), town) == []


def test_the_gateways_own_texts_may_not_be_missing(town: Config) -> None:
    all_templates = dict(templates.load(ROOT / "templates"))
    del all_templates["service/rating"]
    all_templates["policy"] = template("【甲】")
    assert [problem.file for problem in templates.check_all(all_templates, town)] == [
        "templates/policy.md",
        "templates/service/rating.md",
    ]


# --- the sample town --------------------------------------------------------------------------------------


def test_the_sample_towns_templates_are_complete_and_sound(town: Config) -> None:
    found = templates.load(ROOT / "templates")
    assert set(found) == NOTICES | {f"service/{name}" for name in SERVICE}
    assert templates.check_all(found, town) == []
    assert config.check_references(town, found, {one.category for one in found.values()}) == []


def test_the_sample_towns_texts_are_short_and_without_links(town: Config) -> None:
    for one in templates.load(ROOT / "templates").values():
        for away in (False, True):
            assert templates.estimate(one, town, away=away).parts <= 2
            assert "\n" not in templates.worked_example(one, away=away)
        assert {problem.en for problem in templates.advise(one, town) if "more than 70" not in problem.en} == set()


def test_a_schedule_gives_every_value_that_no_feed_gives(town: Config) -> None:
    found = templates.load(ROOT / "templates")
    for schedule in town.schedules:
        if schedule.feed is None:
            assert found[schedule.template].missing(schedule.fields) == []
            assert found[schedule.template].unknown(schedule.fields) == []


def test_warnings_and_forecasts_are_never_written_by_hand() -> None:
    found = templates.load(ROOT / "templates")
    assert {name for name, one in found.items() if not one.handwritten} == {
        "weather-daily",
        "weather-warning",
        "weather-lifted",
    }
    assert found["weather-lifted"].category == found["weather-warning"].category
    assert set(WARNING_FIELDS) <= found["weather-warning"].home.required
    assert not set(PERSON_FIELDS) & set(found["weather-warning"].names)
