"""A provider over HTTP from a site's table on: texts out, receipts and texts in, also where a process only listens."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from cli.conftest import POLICY, Gateway
from gateway import config
from gateway.app import callbacks as callbacks_of
from gateway.app import open_gateway
from gateway.dispatch import account
from gateway.errors import Refused
from gateway.web.callbacks import callbacks
from gateway.web.hooks import listening
from tests.carriers.provider import Asked, Provider
from tests.store.outbound import tally

TOKEN = "an-unguessable-token-1"
ENVIRON = {"ALIYUN_SECRET": "a-secret-key", "ALIYUN_CALLBACK": TOKEN}
TABLE = """
[carriers.aliyun]
protocol = "aliyun"
signature_place = "carrier"
in_flight = 100
rate = 100
endpoint = "@"
access_key_id = "LTAI"
access_key_secret_env = "ALIYUN_SECRET"
callback_token_env = "ALIYUN_CALLBACK"
sign_name = "枣原镇"

[carriers.aliyun.templates]
SMS_1 = "尊敬的${name}，您的${item}已办好，@@@，${rest}。"
"""
WHERE = "请带身份证原件到便民服务大厅一号窗口领取，周一至周五上午八点半到十二点、下午两点到五点半"
LONG = f"尊敬的王大爷，您的社保卡已办好，{WHERE}，来前请打电话。"


def accepted(asked: Asked) -> Any:
    return {"Code": "OK", "BizId": "9006^0"}


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider(accepted).listening() as one:
        yield one


@pytest.fixture
def hall(site: Path, provider: Provider) -> Path:
    """The site, with this account alone."""
    text = (site / "config.toml").read_text()
    before, _, rest = text.partition("[carriers.simulator]")
    after = "[[routes]]" + rest.partition("[[routes]]")[2].replace('carriers = ["simulator"]', 'carriers = ["aliyun"]')
    table = TABLE.replace("@@@", WHERE).replace("@", provider.url)
    (site / "config.toml").write_text(f"{before}{table}\n{after}".replace("127.0.0.1:8081", "127.0.0.1:0"))
    return site


def test_check_reads_the_table_without_the_secrets(gateway: Gateway, hall: Path) -> None:
    assert "没有错误" in gateway("check").fine().out
    text = (hall / "config.toml").read_text()
    (hall / "config.toml").write_text(text.replace('"carrier"', '"back"'))
    assert "服务商把签名加在前面" in gateway("check").err


def test_a_notice_that_is_none_of_the_registered_templates_cannot_be_approved(gateway: Gateway, hall: Path) -> None:
    drafted = gateway("--as", "wang", "broadcast", "draft", *POLICY, "--json").fine().json
    refused = gateway("--as", "li", "broadcast", "approve", "1", "--people", str(drafted["people"]))
    assert refused.code == 1
    assert "报备过的模板" in refused.err


async def test_a_long_text_leaves_and_its_one_receipt_delivers_it(
    hall: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    async with open_gateway(hall) as gateway:
        await gateway.store.write(gateway.outbox.single, "+8613800130001", LONG, gateway.clock.now())
        async with gateway.dispatching():
            await state(gateway, "accepted")
        (asked,) = provider.asked
        values = json.loads(asked.query["TemplateParam"])
        assert values == {"name": "王大爷", "item": "社保卡", "rest": "来前请打电话"}
        report = {"phone_number": "13800130001", "success": True, "out_id": asked.query["OutId"], "sms_size": "2"}
        app = callbacks(None, callbacks_of(gateway.config), gateway.inbox.receive, gateway.clock)
        async with listening(app, "127.0.0.1:0") as port:
            assert await told(f"http://127.0.0.1:{port}/carriers/aliyun/{TOKEN}", [report]) == 200
        await state(gateway, "delivered")


async def test_what_a_refused_account_leaves_goes_by_the_next(
    hall: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(account, "FAILOVER_SECONDS", 0.4)
    provider.otherwise = lambda asked: {"Code": "isv.AMOUNT_NOT_ENOUGH"}
    async with Provider(accepted).listening() as other:
        text = (hall / "config.toml").read_text().replace("retry_seconds = [30,", "retry_seconds = [1,")
        second = TABLE.replace("@@@", WHERE).replace("@", other.url).replace("carriers.aliyun", "carriers.second")
        text = text.replace("[[routes]]", f"{second}\n[[routes]]").replace('["aliyun"]', '["aliyun", "second"]')
        (hall / "config.toml").write_text(text)
        async with open_gateway(hall) as gateway:
            await gateway.store.write(gateway.outbox.single, "+8613800130001", LONG, gateway.clock.now())
            async with gateway.dispatching():
                await state(gateway, "accepted")
    assert (len(provider.asked), len(other.asked)) == (1, 1)


async def state(gateway: Any, wanted: str) -> None:
    async with asyncio.timeout(20):
        while await tally(gateway.store) != {wanted: 1}:
            await asyncio.sleep(0.02)


async def told(address: str, said: Any) -> int:
    async with ClientSession() as session, session.post(address, json=said) as answer:
        return answer.status


@asynccontextmanager
async def serving(site: Path, environ: Mapping[str, str]) -> AsyncIterator[str]:
    """`gateway serve --only web` as a process of its own; what it says until it runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", "serve", "--only", "web"),
        cwd=site,
        env={**os.environ, **environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    said = ""
    while "正在运行" not in said and (line := await process.stdout.readline()):
        said += line.decode()
    try:
        yield said
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        assert TOKEN not in errors.decode() and "1380013" not in errors.decode()


async def test_a_process_that_only_listens_takes_what_the_provider_tells(hall: Path) -> None:
    reply = {"phone_number": "13800130001", "content": "粮补啥时候发", "dest_code": "1069", "sequence_id": 7}
    environ = {**ENVIRON, "GATEWAY_WEBHOOK_SECRET": "whsec_" + "QUJD" * 8}
    async with serving(hall, environ) as said:
        found = re.search(r"通道 aliyun 的回调：(http://127\.0\.0\.1:\d+/carriers/aliyun)\n", said)
        assert found is not None, said
        assert await told(f"{found[1]}/{TOKEN}", [reply]) == 200
        assert await told(f"{found[1]}/wrong", [reply]) == 404
        assert await told(f"{found[1]}s/{TOKEN}", [reply]) == 404
    async with open_gateway(hall) as gateway:
        (text,) = await gateway.inbox.texts()
    assert (text.source, text.ref, text.phone, text.body) == ("aliyun", "7", "+8613800130001", "粮补啥时候发")


async def test_without_its_secrets_an_account_is_told_of_and_asks_for_patience(hall: Path) -> None:
    async with serving(hall, {"GATEWAY_WEBHOOK_SECRET": "whsec_" + "QUJD" * 8}) as said:
        assert "通道 aliyun 的回调：没有打开" in said and "ALIYUN_SECRET" in said
        port = re.search(r"接口：http://127\.0\.0\.1:(\d+)/", said)
        assert port is not None
        assert await told(f"http://127.0.0.1:{port[1]}/carriers/aliyun/{TOKEN}", []) == 503


def test_what_an_account_lacks_is_known_by_name(hall: Path) -> None:
    site = config.load(hall)
    lacking = callbacks_of(site)["aliyun"]
    assert isinstance(lacking, Refused) and "ALIYUN_SECRET" in lacking.zh
    simulated = site.carriers["aliyun"].model_copy(update={"protocol": "simulator", "options": {}})
    assert callbacks_of(site.model_copy(update={"carriers": {"s": simulated}})) == {}
