"""Adding a carrier touches one file and one table: an account of docs/example/line.py on an ordinary site."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway import site
from gateway.app import open_gateway
from gateway.carriers import Received
from gateway.errors import Invalid
from gateway.model import TextState
from tests.carriers.line_operator import Line
from tests.store.outbound import states

TABLE = """
[carriers.county]
protocol = "example.line"
host = "127.0.0.1"
port = {port}
user = "901234"
secret_env = "COUNTY_SECRET"
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "docs")
    monkeypatch.setenv("COUNTY_SECRET", Line.secret)
    site.write_site(tmp_path / "site")
    return tmp_path / "site"


def add_table(directory: Path, table: str) -> None:
    config = directory / "config.toml"
    text = config.read_text(encoding="utf-8").replace('carriers = ["simulator"]', 'carriers = ["county"]')
    config.write_text(text + table, encoding="utf-8")


async def test_a_text_goes_out_by_a_carrier_that_the_package_does_not_know(directory: Path) -> None:
    rig = Line()
    await rig.start(receipt_early=1.0)
    add_table(directory, TABLE.format(port=rig.port))
    async with open_gateway(directory) as gateway:
        key = await gateway.store.write(gateway.outbox.single, "+8613800130001", "您的事办好了", gateway.clock.now())
        assert key is not None
        async with gateway.dispatching(), asyncio.timeout(10):
            while (await states(gateway.store)).get(key) is not TextState.DELIVERED:
                await asyncio.sleep(0.05)
        assert rig.bodies() == {"+8613800130001": ["【枣原镇】您的事办好了"]}
    await rig.stop()


async def test_a_wrong_table_is_told_with_file_and_key(directory: Path) -> None:
    add_table(directory, TABLE.format(port=70000) + "colour = 3\n")
    with pytest.raises(Invalid) as caught:
        async with open_gateway(directory):
            pass
    assert {problem.key for problem in caught.value.problems} == {"carriers.county.colour"}


async def test_what_comes_from_an_accounts_own_number_is_not_answered(directory: Path) -> None:
    """Two gateways with numbers of mobile shape, as modems have them, would otherwise answer each other."""
    rig = Line()
    await rig.start()
    add_table(directory, TABLE.format(port=rig.port) + 'service_code = "13800130077"\n')
    async with open_gateway(directory) as gateway:
        for phone, answers in (("+8613800130077", 0), ("+8613800130078", 1)):
            await gateway.inbox.receive("county", [Received("", phone, "", "帮助", gateway.clock.now())])
            await gateway.inbox.handle_waiting()
            assert len(await states(gateway.store)) == answers
    await rig.stop()
