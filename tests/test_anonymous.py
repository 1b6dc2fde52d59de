"""gateway.cases.anonymous: words that everybody may read, without the people in them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from gateway.cases import anonymous
from gateway.model import Role
from gateway.officials import Official
from gateway.store import Store
from gateway.store.tables import person
from gateway.worktime import ManualClock
from tests.desk import SON, Hall, site

ZONE = site()[0].site.zone
DIRECTOR = Official("guo-zhuren", "郭海燕", frozenset({Role.DIRECTOR}), "610899100")
SOMEBODY = {
    **dict.fromkeys(("village", "grp", "sex", "tags", "away_to", "note"), ""),
    "key": "k",
    "name": "折学录",
    "area": "610899100201",
    "roster": "town",
    "seen_import": 1,
    "updated_at": datetime(2026, 3, 1, tzinfo=ZONE),
}
VILLAGES = ("枣湾村", "石畔村")


def hidden(text: str, *names: str) -> str:
    return anonymous.hide(text, {*names, *anonymous.named(text)}, VILLAGES)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("我叫赵翠花 我妈高秀英76了", "我叫某人 我妈某人76了"),
        ("王建国同志，您父亲李富贵的证办好了", "某人同志，您父亲某人的证办好了"),
        ("找李主任问过 村里王书记不管", "找某人主任问过 村里某人书记不管"),
        ("前湾村三组的王建国", "某村（住址略）的某人"),
        ("家住枣湾村2组15号", "家住某村（住址略）"),
        ("住雁塔区长安路18号3单元502室", "（住址略）"),
        ("电话 133 0013 0003 或者13800130001", "电话 （号码略）或者（号码略）"),
        ("身份证612725 19700101 123X", "身份证（号码略）"),
        ("身份证６１２７２５１９７００１０１１２３Ｘ", "身份证（号码略）"),
        ("卡6217001234567890123，尾号不对", "卡（号码略），尾号不对"),
        ("电话一三八零零一三零零零一", "电话（号码略）"),
        ("车牌陕K12A45，邮箱abc@qq.com", "车牌（号码略），邮箱（号码略）"),
        ("微信zhangsan123", "（号码略）"),
    ],
)
def test_people_are_taken_out(said: str, told: str) -> None:
    assert hidden(said) == told


@pytest.mark.parametrize(
    "said",
    [
        "粮补2026年7月底前打到一卡通，每亩84.60元，一共1455.12元",
        "我们村路灯坏了 3号窗口说不归他管 5个工作日",
        "农村合作医疗交多少 枣原镇咋交",
        "我是高中毕业 想报焊工",
        "任何人都能办吗 安全生产 金额不对 常年在外 关于低保",
        "白条子的事 平常谁管 方便的话回个信",
    ],
)
def test_what_is_about_nobody_stays(said: str) -> None:
    assert hidden(said) == said


def test_a_known_name_goes_wherever_it_stands() -> None:
    assert hidden("那天二狗家的羊跑了，张二狗不认", "张二狗") == "那天二狗家的羊跑了，某人不认"
    assert "张二狗" in set(anonymous.candidates("那天张二狗家的羊跑了"))


@given(st.text("0123456789０１２ -XA村组号我叫王李建国，。", max_size=40))
def test_no_long_number_is_left(text: str) -> None:
    assert not re.search(r"[0-9０-９]{5,}", hidden(text))


async def test_publication_knows_the_roster_the_officers_and_who_signed_the_form(sqlite_store: Store) -> None:
    hall = Hall(sqlite_store, ManualClock(datetime(2026, 3, 2, 9, 30, tzinfo=ZONE)))
    await sqlite_store.write(lambda db: db.execute(insert(person).values(**SOMEBODY)))
    said = "隔壁折学录占了我家的地 民政窗口的贺芳说不管 咋办"
    await hall.hears(f"{said}\n（枣湾村 惠生旺）", phone=SON, account="form")
    number = (await hall.only_case()).number
    await hall.cases.close(number, "已和折学录说好，贺芳上门看过", by=DIRECTOR, publish=True)
    now = hall.clock.now()
    (one,) = await hall.cases.published(now - timedelta(days=1), now + timedelta(days=1))
    assert one.question == "隔壁某人占了我家的地 民政窗口的某人说不管 咋办"
    assert one.answer == "已和某人说好，某人上门看过"
