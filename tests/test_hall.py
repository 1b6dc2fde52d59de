from copy import deepcopy
from typing import Any

import pytest

from gateway.hall import Hall, contradictions

ITEM = {
    "code": "mz-01",
    "name": "低保申请",
    "aliases": ["低保"],
    "kind": "承诺件",
    "who": "本镇居民",
    "legal_days": 30,
    "promised_days": 20,
    "fee": "不收费",
    "where": "5号窗口",
    "contact": "0912-0000500",
    "basis": "样例",
}
WINDOW = {
    "code": "minzheng",
    "name": "民政社保",
    "seat": "5号窗口",
    "duty_phone": "0912-0000500",
    "keywords": ["低保", "五保"],
    "case_days": {"consult": 3, "feedback": 5, "agency": 5, "complaint": 13},
    "items": [ITEM],
}
FILE = {
    "hall": {"town": "枣原镇", "name": "大厅", "phone": "0912-0000000", "windows_total": 1, "items_total": 1},
    "windows": [WINDOW],
}


def hall(**item: Any) -> Hall:
    data: dict[str, Any] = deepcopy(FILE)
    data["windows"][0]["items"][0].update(item)
    return Hall.model_validate(data)


def test_a_sound_hall_contradicts_nothing_and_is_looked_up_by_code() -> None:
    found = hall()
    assert list(contradictions(found)) == []
    window, item = found.window("minzheng"), found.item("mz-01")
    assert window is not None and window.name == "民政社保"
    assert item is not None and item.name == "低保申请"
    assert found.window("xinfang") is None and found.item("mz-99") is None
    assert found.about.name == "大厅"


@pytest.mark.parametrize(
    ("name", "aliases", "called"),
    [
        ("最低生活保障(低保)", ["低保"], "低保"),
        ("农村危房(危窑)改造申请", ["危窑"], "农村危房改造申请"),
        ("烟花爆竹零售许可(初审)", ["炮证"], "烟花爆竹零售许可"),
        ("兵役登记", [], "兵役登记"),
    ],
)
def test_an_item_is_called_as_people_call_it(name: str, aliases: list[str], called: str) -> None:
    found = hall(name=name, aliases=aliases).item("mz-01")
    assert found is not None and found.called == called


@pytest.mark.parametrize(
    ("legal", "legal_kind", "promised", "promised_kind", "keeps"),
    [
        (20, "working", 20, "working", True),
        (20, "working", 21, "working", False),
        (60, "calendar", 30, "working", True),
        (60, "calendar", 43, "working", False),
        (15, "working", 21, "calendar", True),
        (15, "working", 22, "calendar", False),
        (1, "working", 0, "working", True),
    ],
)
def test_a_promise_is_no_longer_than_the_law(
    legal: int, legal_kind: str, promised: int, promised_kind: str, keeps: bool
) -> None:
    found = hall(
        legal_days=legal,
        legal_days_kind=legal_kind,
        promised_days=promised,
        promised_days_kind=promised_kind,
    )
    keys = [key for key, _, _ in contradictions(found)]
    assert keys == ([] if keeps else [("windows", 0, "items", 0, "promised_days")])


def test_what_stands_twice_is_told_at_its_second_place() -> None:
    data: dict[str, Any] = deepcopy(FILE)
    data["windows"].append(deepcopy(WINDOW))
    found = [(key, zh) for key, zh, _ in contradictions(Hall.model_validate(data))]
    assert found == [
        (("windows", 1, "code"), "minzheng 已经用过了"),
        (("windows", 1, "items", 0, "code"), "mz-01 已经用过了"),
        (("windows", 1, "keywords"), "低保 已经用过了"),
        (("windows", 1, "keywords"), "五保 已经用过了"),
        (("windows", 1, "items", 0, "aliases"), "低保 已经用过了"),
        (("hall", "windows_total"), "实际是 2"),
        (("hall", "items_total"), "实际是 2"),
    ]
