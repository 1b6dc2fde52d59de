"""Wire protocols by hand: frames read and written, and a rehearsal operator to speak to.

Policy: neither needs a site. The operator listens on this machine only, and what it is sent goes nowhere; its secret is
a rehearsal's and stands on the command line on purpose.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import shown
from gateway.cli.help import argument, noun, option, verb
from gateway.cli.language import t
from gateway.errors import NotFound, Refused

if TYPE_CHECKING:
    from gateway.carriers.wire.operator import Behaviour, Operator, Taken

PROTOCOLS = ("cmpp2", "cmpp3", "sgip", "smgp", "smpp", "gsm")
ProtocolName = Annotated[
    str,
    argument(
        ("协议", "PROTOCOL"), zh="cmpp2、cmpp3、sgip、smgp、smpp 或 gsm", en="cmpp2, cmpp3, sgip, smgp, smpp or gsm"
    ),
]


@verb("解读一个报文（十六进制）", "Read a frame (hexadecimal)")
def decode(
    protocol: ProtocolName,
    octets: Annotated[
        str, argument(("十六进制", "HEX"), zh="一个完整的报文，空格不计", en="a whole frame; spaces do not count")
    ],
    json: Annotated[bool, option("--json", zh="输出 JSON", en="print JSON")] = False,
) -> None:
    try:
        frame = bytes.fromhex("".join(octets.split()))
    except ValueError:
        raise Refused("不是十六进制", "this is not hexadecimal") from None
    found = _codec(protocol).show(frame)
    if json:
        return shown.as_json(found, line=True)
    shown.say(found["pdu"])
    shown.table(
        (t("字段", "field"), t("值", "value")),
        [(name, str(value)) for name, value in found["fields"].items()],
    )
    return None


@verb("写出一个报文：给 decode 输出的那种 JSON", "Write a frame from JSON as decode prints it")
def encode(
    protocol: ProtocolName,
    value: Annotated[
        str | None,
        argument(("JSON", "JSON"), zh='如 {"pdu": "ACTIVE_TEST", "fields": {"Sequence_Id": 1}}', en="the object"),
    ] = None,
    file: Annotated[
        Path | None,
        option(
            "--file", value=("文件", "FILE"), zh="从文件读，- 是标准输入", en="read it from a file, - is standard input"
        ),
    ] = None,
    json: Annotated[bool, option("--json", zh="输出 JSON", en="print JSON")] = False,
) -> None:
    given = _object(value, file)
    octets = _codec(protocol).read(str(given["pdu"]), given.get("fields", {})).hex()
    if json:
        shown.as_json({"hex": octets}, line=True)
    else:
        shown.say(octets)


pdu = noun("报文：解读和写出", "Frames of the wire protocols: read and write them", decode=decode, encode=encode)


def _object(value: str | None, file: Path | None) -> dict[str, Any]:
    import json

    if (value is None) == (file is None):
        raise typer.BadParameter(t("要么给 JSON，要么给 --file 文件", "give either JSON or --file FILE"))
    said = value if value is not None else sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")  # type: ignore[union-attr]
    try:
        found = json.loads(said)
    except ValueError as error:
        raise Refused(f"不是 JSON：{error}", f"not JSON: {error}") from None
    if not (isinstance(found, dict) and "pdu" in found and isinstance(found.get("fields", {}), dict)):
        raise Refused('应是 {"pdu": 名称, "fields": {...}}', 'should be {"pdu": NAME, "fields": {...}}')
    return found


def _codec(protocol: str) -> Any:
    """What shows and reads the frames of a protocol."""
    return _of(protocol, "CODECS")[protocol]


def _of(protocol: str, name: str) -> dict[str, Any]:
    if protocol not in PROTOCOLS:
        listed = "、".join(PROTOCOLS)
        raise NotFound(
            f"没有协议 {protocol}；有：{listed}", f"no protocol {protocol}; there are: {', '.join(PROTOCOLS)}"
        )
    module = import_module(f"gateway.carriers.{protocol.rstrip('0123456789')}")
    return dict(getattr(module, name, {}))


Ratio = float


@verb(
    "演练用的运营商：通道账号没下来之前先对着它练",
    "A rehearsal operator: practise with it before the carrier account is live",
)
def operator(
    protocol: ProtocolName,
    listen: Annotated[
        str,
        option(
            "--listen",
            value=("地址", "HOST:PORT"),
            zh="在本机哪个端口等（127.0.0.1:7890）",
            en="where on this machine to listen",
        ),
    ] = "127.0.0.1:7890",
    user: Annotated[
        str, option("--user", value=("账号", "NAME"), zh="账号（901234）", en="the account (901234)")
    ] = "901234",
    secret: Annotated[
        str, option("--secret", value=("密码", "WORD"), zh="密码（rehearsal）", en="its password (rehearsal)")
    ] = "rehearsal",  # noqa: S107 - nothing is behind it
    latency: Annotated[
        float, option("--latency", value=("秒", "SECONDS"), zh="多久才应答", en="how long an answer takes")
    ] = 0.0,
    rate: Annotated[
        float,
        option(
            "--rate",
            value=("条", "N"),
            zh="每秒最多收几条，多的说太快",
            en="texts a second; more are told to slow down",
        ),
    ] = 0.0,
    reject: Annotated[
        Ratio,
        option(
            "--reject",
            value=("比例", "SHARE"),
            min=0,
            max=1,
            zh="拒收的比例，0 到 1",
            en="share that is refused, 0 to 1",
        ),
    ] = 0.0,
    reject_code: Annotated[
        int,
        option("--reject-code", value=("代码", "CODE"), min=0, zh="拒收时回的代码", en="the code that it refuses with"),
    ] = 0,
    receipt_after: Annotated[
        float, option("--receipt-after", value=("秒", "SECONDS"), zh="回执过多久来", en="when receipts come")
    ] = 0.5,
    receipt_failed: Annotated[
        Ratio,
        option(
            "--receipt-failed",
            value=("比例", "SHARE"),
            min=0,
            max=1,
            zh="没送到的比例",
            en="share that is not delivered",
        ),
    ] = 0.0,
    receipt_lost: Annotated[
        Ratio,
        option(
            "--receipt-lost", value=("比例", "SHARE"), min=0, max=1, zh="没有回执的比例", en="share without a receipt"
        ),
    ] = 0.0,
    receipt_early: Annotated[
        Ratio,
        option(
            "--receipt-early",
            value=("比例", "SHARE"),
            min=0,
            max=1,
            zh="回执比应答先到的比例",
            en="share whose receipt overtakes the answer",
        ),
    ] = 0.0,
    receipt_late: Annotated[
        Ratio,
        option(
            "--receipt-late",
            value=("比例", "SHARE"),
            min=0,
            max=1,
            zh="回执迟到（1分钟）的比例",
            en="share whose receipt is a minute late",
        ),
    ] = 0.0,
    receipt_twice: Annotated[
        Ratio,
        option(
            "--receipt-twice",
            value=("比例", "SHARE"),
            min=0,
            max=1,
            zh="回执来两次的比例",
            en="share whose receipt comes twice",
        ),
    ] = 0.0,
    drop_every: Annotated[
        int, option("--drop-every", value=("条", "N"), zh="每多少条断一次线", en="cut the link after so many texts")
    ] = 0,
    call: Annotated[
        str,
        option(
            "--call",
            value=("地址", "HOST:PORT"),
            zh="SGIP：回头连到这里送回执和来信",
            en="SGIP: call this address with receipts and texts",
        ),
    ] = "",
    seed: Annotated[
        int, option("--seed", value=("数", "N"), zh="换一个数，出的岔子就换一批", en="another number, other mishaps")
    ] = 1,
) -> None:
    from gateway.carriers.wire.operator import Behaviour

    if call:
        _address("--call", call)
    behaviour = Behaviour(
        user=user, secret=secret, latency=latency, rate=rate, reject=reject, reject_code=reject_code,
        receipt_after=receipt_after, receipt_failed=receipt_failed, receipt_lost=receipt_lost,
        receipt_early=receipt_early, receipt_late=receipt_late, receipt_late_after=60.0, receipt_twice=receipt_twice,
        drop_every=drop_every, call=call, seed=seed,
    )  # fmt: skip
    asyncio.run(_rehearse(protocol, listen, behaviour))


async def _rehearse(protocol: str, listen: str, behaviour: Behaviour) -> None:
    host, port = _address("--listen", listen)
    if host not in ("127.0.0.1", "localhost", "::1"):
        raise Refused(
            "演练的运营商只在本机等：127.0.0.1", "a rehearsal operator listens on this machine only: 127.0.0.1"
        )
    made = _operator(protocol, behaviour)
    made.watch = _seen
    try:
        at = await made.start(host, port)
    except OSError as error:
        from gateway.cli.serving import cannot_listen

        raise cannot_listen(listen, error) from error
    shown.say_now(
        t(f"{protocol} 在 {host}:{at} 等着，Ctrl-C 结束。", f"{protocol} listens on {host}:{at}; Ctrl-C ends it.")
    )
    shown.say_now(t("打一行“号码 文字”就是群众发来一条。", "A line `NUMBER TEXT` is a text of a person's."))
    with contextlib.suppress(OSError):  # a file, or nothing at all, that cannot be waited for
        asyncio.get_running_loop().add_reader(sys.stdin, _typed, made)
    try:
        await _count(made)
    finally:
        asyncio.get_running_loop().remove_reader(sys.stdin)
        await made.stop()


def _address(name: str, address: str) -> tuple[str, int]:
    """Host and port of HOST:PORT."""
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit() and int(port) < 65536):
        raise Refused(
            f"{name} {address}：应是 主机:端口，如 127.0.0.1:7890",
            f"{name} {address}: should be HOST:PORT, as 127.0.0.1:7890",
        )
    return host.strip("[]"), int(port)


def _operator(protocol: str, behaviour: Behaviour) -> Operator:
    """A protocol's own operator, or that of the wire protocols behind its gate."""
    from gateway.carriers.wire.operator import Operator

    if own := _of(protocol, "OPERATORS"):
        made: Operator = own[protocol](behaviour)
        return made
    return Operator(_of(protocol, "GATES")[protocol], behaviour)


def _seen(taken: Taken) -> None:
    from gateway import phone as phones

    concat = taken.part.concat
    part = f" ({concat.number}/{concat.total})" if concat else ""
    shown.say_now(f"→ {phones.mask(taken.part.phone)}{part} {taken.part.body}")


def _typed(operator: Operator) -> None:
    octets = os.read(sys.stdin.fileno(), 65536)  # unbuffered: of several lines at once none shall wait for the next
    if not octets:
        asyncio.get_running_loop().remove_reader(sys.stdin)
    for line in octets.decode(errors="replace").splitlines():
        number, _, body = line.strip().partition(" ")
        if number and body:
            operator.say(number, operator.taken[-1].part.sender if operator.taken else "", body)


async def _count(operator: Operator) -> None:
    """Tell of logins, and each second in which something happened what there was so far."""
    before: Counter[str] = Counter()
    while True:
        await asyncio.sleep(1.0)
        if operator.seen != before:
            before = operator.seen.copy()
            words = {
                "logins": ("登录", "logins"),
                "refused logins": ("登录被拒", "refused logins"),
                "taken": ("收下", "taken"),
                "refused": ("拒收", "refused"),
                "slowed": ("说太快", "slowed"),
                "acknowledged": ("送出回执和来信", "receipts and texts acknowledged"),
                "malformed": ("读不懂", "malformed"),
            }
            shown.say_now("  ".join(f"{t(*said)} {before[key]}" for key, said in words.items() if before[key]))
