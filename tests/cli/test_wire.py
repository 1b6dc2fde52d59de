"""`gateway pdu` and `gateway operator`: frames by hand, and an operator to practise with."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from cli.conftest import Gateway
from gateway.carriers import Accepted, Rejected
from tests.carriers.modem import Gsm
from tests.carriers.rig import Cmpp3, Rig, Sgip, texts


@pytest.mark.parametrize(
    ("protocol", "octets", "pdu", "fields"),
    [
        ("cmpp3", "0000000c 00000008 00000007", "ACTIVE_TEST", {"Sequence_Id": 7}),
        (
            "cmpp2",
            "00000027 00000001 00000001 393031323334 00112233445566778899aabbccddeeff 20 11f0e540",
            "CONNECT",
            {
                "Source_Addr": "901234",
                "AuthenticatorSource": "00112233445566778899aabbccddeeff",
                "Version": 0x20,
                "Timestamp": 301000000,
                "Sequence_Id": 1,
            },
        ),
        (
            "gsm",
            "0006050d91683108100300f1623020210000236230202105002346",
            "SMS-STATUS-REPORT",
            {
                "SMSC": "",
                "TP-MTI": 2,
                "TP-MMS": 1,
                "TP-LP": 0,
                "TP-SRQ": 0,
                "TP-UDHI": 0,
                "TP-MR": 5,
                "TP-ST": 0x46,
                "TP-RA": "+8613800130001",
                "TP-SCTS": "2026-03-02T12:00:00+08:00",
                "TP-DT": "2026-03-02T12:50:00+08:00",
            },
        ),
        ("smpp", "00000010 00000015 00000000 00000003", "enquire_link", {"command_status": 0, "sequence_number": 3}),
    ],
)
def test_a_frame_is_read_and_written_back(
    gateway: Gateway, protocol: str, octets: str, pdu: str, fields: dict[str, Any]
) -> None:
    found = gateway("pdu", "decode", protocol, octets, "--json").fine().json
    assert found == {"pdu": pdu, "fields": fields}
    written = gateway("pdu", "encode", protocol, json.dumps(found), "--json").fine().json
    assert written == {"hex": octets.replace(" ", "")}


def test_a_file_and_lists_are_read(gateway: Gateway, tmp_path: Any) -> None:
    file = tmp_path / "submit.json"
    fields = {"Sequence_Id": 1, "Dest_terminal_Id": ["13800130001"], "Msg_Content": "4f60", "Msg_Fmt": 8}
    file.write_text(json.dumps({"pdu": "SUBMIT", "fields": fields}))
    octets = gateway("pdu", "encode", "cmpp3", "--file", file).fine().out.strip()
    found = gateway("pdu", "decode", "cmpp3", octets, "--json").fine().json["fields"]
    assert {key: found[key] for key in fields} == fields
    assert (found["DestUsr_tl"], found["Msg_Length"]) == (1, 2)
    assert "13800130001" in gateway("pdu", "decode", "cmpp3", octets).fine().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("decode", "cmpp3", "zz"), "不是十六进制"),
        (("decode", "cmpp3", "00"), "不足报文头"),
        (("decode", "cmpp3", "0000000d0000000800000007"), "实长 12"),
        (("decode", "cmpp4", "00"), "没有协议 cmpp4"),
        (("decode", "gsm", "000605"), "第4个八位组：TP-RA 不完整"),
        (("encode", "gsm", '{"pdu": "SMS-SUBMIT", "fields": {"TP-UD": "x"}}'), "缺少字段 TP-DA"),
        (("encode", "cmpp3", "{"), "不是 JSON"),
        (("encode", "cmpp3", "[]"), '应是 {"pdu"'),
        (("encode", "cmpp3", '{"pdu": "SUBMITS"}'), "没有报文 SUBMITS"),
        (("encode", "cmpp3", '{"pdu": "SUBMIT", "fields": {"Nope": 1}}'), "SUBMIT 没有字段 Nope"),
        (("encode", "cmpp3", '{"pdu": "SUBMIT", "fields": {"Msg_Content": "x"}}'), "Msg_Content 应是十六进制"),
        (("encode", "cmpp3", '{"pdu": "SUBMIT", "fields": {"Pk_total": "x"}}'), "数值放不进字段"),
    ],
)
def test_what_is_wrong_is_told(gateway: Gateway, words: tuple[str, ...], said: str) -> None:
    answer = gateway("pdu", *words)
    assert answer.code == 1
    assert said in answer.err


def test_an_operator_listens_here_only(gateway: Gateway) -> None:
    answer = gateway("operator", "cmpp3", "--listen", "0.0.0.0:0")
    assert answer.code == 1 and "只在本机" in answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--listen", "127.0.0.1:abc"), "--listen 127.0.0.1:abc：应是 主机:端口"),
        (("--listen", "127.0.0.1:70000"), "--listen 127.0.0.1:70000：应是 主机:端口"),
        (("--listen", "7890"), "--listen 7890：应是 主机:端口"),
        (("--call", "somewhere"), "--call somewhere：应是 主机:端口"),
        (("--reject", "3"), "--reject"),
    ],
)
def test_what_is_wrong_with_an_operator_is_told(gateway: Gateway, words: tuple[str, ...], said: str) -> None:
    answer = gateway("operator", "sgip", *words)
    assert answer.code != 0
    assert said in answer.err and "Traceback" not in answer.err


def test_an_address_that_is_taken_is_told(gateway: Gateway) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        assert f"不能监听 {listen}：已被别的程序占用" in gateway("operator", "cmpp3", "--listen", listen).err


async def test_an_operator_without_a_keyboard_listens_all_the_same() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from gateway.cli import main; main()", "operator", "sgip", "--listen", "127.0.0.1:0",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, env={**os.environ, "GATEWAY_LANG": "zh"},
    )  # fmt: skip
    assert process.stdout is not None
    rig = Sgip()
    rig.secret = "rehearsal"
    try:
        rig.port = int(re.findall(r":(\d+)", (await process.stdout.readline()).decode())[0])
        carrier = await rig.opened()
        carrier.submit(texts(1))
        await rig.desk.until(lambda: rig.desk.receipts)
        await carrier.close()
    finally:
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 5) == 130


async def test_an_operator_refuses_with_the_code_that_it_is_told() -> None:
    """So that a hall can rehearse a broadcast that stops itself."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from gateway.cli import main; main()", "operator", "cmpp3", "--listen", "127.0.0.1:0",
        "--reject", "1", "--reject-code", "9",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, env={**os.environ, "GATEWAY_LANG": "zh"},
    )  # fmt: skip
    assert process.stdout is not None
    rig = Cmpp3()
    rig.secret = "rehearsal"
    try:
        rig.port = int(re.findall(r":(\d+)", (await process.stdout.readline()).decode())[0])
        carrier = await rig.opened()
        carrier.submit(texts(1))
        (answer,) = await rig.desk.answered(1)
        assert isinstance(answer, Rejected) and answer.error == "9"
        await carrier.close()
    finally:
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 5) == 130


@pytest.mark.parametrize(("protocol", "kind"), [("cmpp3", Cmpp3), ("gsm", Gsm)])
async def test_somebody_practises_with_an_operator(protocol: str, kind: type[Rig]) -> None:
    """Typed as a user would: the operator in a process of its own, a carrier of ours, a text each way."""
    command = ("operator", protocol, "--listen", "127.0.0.1:0", "--receipt-after", "0.1")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from gateway.cli import main; main()", *command,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env={**os.environ, "GATEWAY_LANG": "zh"},
    )  # fmt: skip
    assert process.stdout is not None and process.stdin is not None
    rig: Any = kind()
    rig.secret = "rehearsal"
    try:
        line = (await process.stdout.readline()).decode()
        rig.port = int(re.findall(r":(\d+)", line)[0])
        carrier = await rig.opened()
        carrier.submit(texts(1))
        assert isinstance((await rig.desk.answered(1))[0], Accepted)
        await rig.desk.until(lambda: rig.desk.receipts)
        process.stdin.write("13800130009 我要问养老\n13800130008 查询\n".encode())
        await rig.desk.until(lambda: len(rig.desk.received) == 2)
        assert (rig.desk.received[0].body, rig.desk.received[0].to) == ("我要问养老", rig.sender)
        assert rig.desk.received[0].at <= datetime.now(UTC)
        await carrier.close()
        rest = await asyncio.wait_for(process.stdout.readuntil("明天上午停水".encode()), 5)
        assert "13800130000" not in rest.decode()
    finally:
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 5) == 130
        process.stdin.close()
        await process.stdin.wait_closed()
