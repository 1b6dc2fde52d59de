"""Where a provider is, and who may call us: addresses that secrets may go to, and tokens that end our own."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ssl
from ipaddress import ip_address
from urllib.parse import urlsplit

import structlog

from gateway.errors import Unavailable

log = structlog.get_logger()

SHORTEST_TOKEN = 16


def fits(token: str, given: str) -> bool:
    """Whether a caller gave our secret, in constant time; never where there is none or one that could be guessed."""
    if 0 < len(token) < SHORTEST_TOKEN:
        log.error("callback.token_too_short", should_have=SHORTEST_TOKEN)
    return len(token) >= SHORTEST_TOKEN and hmac.compare_digest(
        token.encode(), given.encode("utf-8", "surrogateescape")
    )


def address_problem(url: str) -> tuple[str, str] | None:
    """What is wrong with an address that secrets are sent to."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("http", "https"):
        return "应是 https 地址", "should be an https address"
    if parts.username is not None or parts.password is not None:
        return "地址里不写用户名和密码", "no user or password in the address"
    if parts.scheme == "http" and not loopback(host):
        return "应是 https；http 只能用于本机", "should be https; http is for this machine alone"
    return None


def loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def reach(address: str, seconds: float) -> str:
    """Connect once; our own address there. Unavailable where that fails, or where the certificate is not the host's."""
    parts = urlsplit(address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    context = ssl.create_default_context() if parts.scheme == "https" else None
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(parts.hostname, port, ssl=context)
    except OSError as error:
        what = type(error).__name__
        zh, en = f"连不上 {parts.hostname}:{port}（{what}）", f"cannot reach {parts.hostname}:{port}: {what}"
        raise Unavailable(zh, en) from error
    ours = writer.get_extra_info("sockname") or ("",)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return str(ours[0])
