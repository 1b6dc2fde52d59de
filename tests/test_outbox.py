"""gateway.outbox: which way a text goes, what it costs, how parcels are filled."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path as FilePath

import pytest

from gateway import config
from gateway.config import Config
from gateway.model import PARCEL_SIZE
from gateway.outbox import SHARED_BODIES, Outbox, Packing, Path, Written
from gateway.store import Store, ledgers
from tests.conftest import NOON
from tests.store.outbound import envelope

MOBILE, UNICOM, TELECOM = "+8613800130001", "+8618600130001", "+8613300130001"
FOREIGN = "+85200000000"
SITE = config.load(FilePath(__file__).parents[1])
PLAIN = Written("【枣原镇】停电", 1, 1, Decimal("0.05"))


def site(**accounts: dict[str, object]) -> Config:
    """The sample site with these accounts in one route, in order."""
    base = SITE.carriers["simulator"]
    carriers = {name: base.model_copy(update={"name": name, **changed}) for name, changed in accounts.items()}
    route = SITE.routes[0].model_copy(update={"carriers": tuple(accounts)})
    return SITE.model_copy(update={"carriers": carriers, "routes": (route,)})


def test_the_first_carrier_of_the_route_that_reaches_the_operator_is_taken() -> None:
    outbox = Outbox(site(a={"operators": ("移动",)}, b={"operators": ("移动", "联通")}))
    assert outbox.path(MOBILE, "policy") == Path("default", "a")
    assert outbox.path(UNICOM, "policy") == Path("default", "b")
    assert outbox.path(TELECOM, "policy") is None
    assert outbox.path(FOREIGN, "policy") == Path("default", "a")


def test_a_route_may_be_for_some_categories_or_operators_only() -> None:
    base = site(a={}, b={})
    routes = [
        base.routes[0].model_copy(update={"name": name, "carriers": (carrier,), **only})
        for name, carrier, only in (
            ("urgent", "a", {"categories": ("emergency",)}),
            ("unicom", "a", {"operators": ("联通",)}),
            ("rest", "b", {}),
        )
    ]
    outbox = Outbox(base.model_copy(update={"routes": tuple(routes)}))
    assert [outbox.path(*of) for of in ((MOBILE, "emergency"), (UNICOM, "policy"), (MOBILE, None))] == [
        Path("urgent", "a"), Path("unicom", "a"), Path("rest", "b")
    ]  # fmt: skip


def routed(*routes: dict[str, object]) -> Outbox:
    """Accounts a and b; routes in order, each named as its carrier."""
    base = site(a={}, b={})
    made = tuple(
        base.routes[0].model_copy(update={"name": str(r["via"]), "carriers": (r.pop("via"),), **r}) for r in routes
    )
    return Outbox(base.model_copy(update={"routes": made}))


def test_a_route_may_be_for_some_prefixes_or_areas_only() -> None:
    outbox = routed({"via": "a", "prefixes": ("1380013", "186")}, {"via": "b"})
    assert outbox.path(MOBILE, "policy") == Path("a", "a")
    assert outbox.path(UNICOM, "policy") == Path("a", "a")
    assert outbox.path("+8613900130001", "policy") == outbox.path(TELECOM, "policy") == Path("b", "b")
    outbox = routed({"via": "a", "areas": ("610899100201", "6107")}, {"via": "b", "areas": ("610899100",)})
    assert outbox.path(MOBILE, "policy", "610899100201") == Path("a", "a")
    assert outbox.path(MOBILE, "policy", "610899100202") == outbox.path(MOBILE, None) == Path("b", "b")
    assert outbox.path(MOBILE, "policy", "6101") is None


def test_the_first_route_in_which_everything_fits_is_taken() -> None:
    outbox = routed(
        {"via": "a", "prefixes": ("138",), "areas": ("610899100201",), "categories": ("weather",)}, {"via": "b"}
    )
    village = "610899100201"
    assert outbox.path(MOBILE, "weather", village) == Path("a", "a")
    for others in ((UNICOM, "weather", village), (MOBILE, "policy", village), (MOBILE, "weather", "610899100202")):
        assert outbox.path(*others) == Path("b", "b")


def test_a_carrier_is_relieved_by_one_that_reaches_all_it_reaches() -> None:
    outbox = Outbox(
        site(a={"operators": ("移动", "联通")}, b={"operators": ("电信",)}, c={"signature_state": "pending"}, d={})
    )
    assert [dict(outbox.onward(name)) for name in "abcd"] == [{"default": "d"}, {"default": "d"}, {"default": "d"}, {}]


def test_the_next_carrier_of_each_route_takes_over() -> None:
    outbox = Outbox(site(a={}, b={}, c={}))
    assert [dict(outbox.onward(name)) for name in "abc"] == [{"default": "b"}, {"default": "c"}, {}]


@pytest.mark.parametrize(
    ("place", "body"), [("front", "【枣原镇】停电"), ("back", "停电【枣原镇】"), ("carrier", "停电")]
)
def test_a_text_is_signed_where_the_account_wants_it_and_counted_with_it(place: str, body: str) -> None:
    outbox = Outbox(site(a={"signature_place": place, "price": Decimal("0.04")}))
    assert outbox.write("停电", "a") == Written(body, 1, 1, Decimal("0.04"))
    long = outbox.write("停" * 66, "a")
    assert (long.parts, long.billed, long.cost) == (2, 2, Decimal("0.08"))


async def test_a_single_text_is_queued_in_the_callers_transaction(store: Store) -> None:
    outbox = Outbox(site(a={"operators": ("移动",)}))
    key = await store.write(outbox.single, MOBILE, "收到", NOON)
    assert await store.write(outbox.single, UNICOM, "收到", NOON) is None
    found = await store.read(ledgers.to_phone, MOBILE)
    assert [(text.id, text.body, text.state) for text in found] == [(key, "【枣原镇】收到", "waiting")]
    assert await store.read(ledgers.to_phone, UNICOM) == []


def test_full_parcels_come_out_and_the_rest_at_the_end() -> None:
    packing, way = Packing(envelope(), personal=False), Path("default", "a")
    batches = [packing.add(way, MOBILE, n, PLAIN) for n in range(PARCEL_SIZE + 1)]
    full = [batch for batch in batches if batch]
    (rest,) = packing.rest()
    assert [len(batch.texts) for batch in (*full, rest)] == [PARCEL_SIZE, 1]
    assert rest.envelope == replace(envelope(), carrier="a", route="default", body=PLAIN.body)
    assert rest.texts[0].body is None and list(packing.rest()) == []


def test_texts_that_differ_bring_their_bodies_and_share_parcels() -> None:
    personal, way = Packing(envelope(), personal=True), Path("default", "a")
    for n in range(3):
        personal.add(way, MOBILE, n, replace(PLAIN, body=str(n)))
    (batch,) = personal.rest()
    assert batch.envelope.body is None and [text.body for text in batch.texts] == ["0", "1", "2"]


def test_too_many_bodies_to_fill_parcels_of_their_own_share_one() -> None:
    packing, way = Packing(envelope(), personal=False), Path("default", "a")
    for n in range(SHARED_BODIES + 5):
        packing.add(way, MOBILE, n, replace(PLAIN, body=str(n)))
    sizes = sorted(len(batch.texts) for batch in packing.rest())
    assert sizes == [1] * SHARED_BODIES + [5]
