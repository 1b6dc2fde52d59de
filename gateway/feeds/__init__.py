"""What the site reads from others: weather forecasts and warnings.

A feed is a file or an http(s) address. `fetch` brings its bytes and nothing else: it stays within a time and a
size, follows no redirect (where a feed comes from is the site's decision), and never shows the user, password or
query of an address, where providers put keys. Whatever goes wrong is a `FeedFault`; nothing is tried again here,
since the schedule asks again anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.errors import GatewayError

if TYPE_CHECKING:
    from aiohttp import StreamReader

SIZE_LIMIT = 1_000_000
TIMEOUT = 10.0


class FeedFault(GatewayError):
    """The feed could not be had: unreachable, too slow, too large, moved. What it said before stands."""


async def fetch(
    location: str | Path,
    *,
    token: str | None = None,
    limit: int = SIZE_LIMIT,
    timeout: float = TIMEOUT,  # noqa: ASYNC109 (the caller's setting, not a cancellation)
) -> bytes:
    """The feed's bytes, at most `limit`, within `timeout` seconds; FeedFault otherwise. `token` is a bearer's."""
    address = str(location)
    if isinstance(location, Path) or "://" not in address:
        return await asyncio.to_thread(_from_file, Path(location), limit)
    if address.partition("://")[0] not in ("http", "https"):
        raise FeedFault(f"不支持的地址：{shown(address)}", f"neither a file nor http(s): {shown(address)}")
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return await _from_http(address, headers, limit, timeout)


def shown(location: str | Path) -> str:
    """The location as logs and officials may see it: without user, password and query."""
    scheme, mark, rest = str(location).partition("://")
    if not mark:
        return scheme
    host, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _from_file(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            payload = file.read(limit + 1)
    except OSError as error:
        raise FeedFault(f"读不到文件：{path}", f"cannot read {path}: {error.strerror}") from error
    _bounded(payload, limit, path)
    return payload


async def _from_http(address: str, headers: Mapping[str, str], limit: int, seconds: float) -> bytes:
    import aiohttp

    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as session,
            session.get(address, headers=headers, allow_redirects=False) as response,
        ):
            _check_status(response.status, address)
            return await _read(response.content, limit, address)
    except TimeoutError as error:
        raise FeedFault(
            f"{seconds:g}秒内没有答复：{shown(address)}", f"no answer in {seconds:g} s: {shown(address)}"
        ) from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # The error's own words may repeat the address with its key.
        reason = type(error).__name__
        raise FeedFault(f"连接失败：{shown(address)}", f"failed ({reason}): {shown(address)}") from None


def _check_status(status: int, address: str) -> None:
    if 300 <= status < 400:
        raise FeedFault(f"地址已转移，请核实：{shown(address)}", f"redirected, not followed: {shown(address)}")
    if status != 200:
        raise FeedFault(f"对方答复{status}：{shown(address)}", f"answered {status}: {shown(address)}")


async def _read(content: StreamReader, limit: int, address: str) -> bytes:
    payload = bytearray()
    async for chunk in content.iter_any():
        payload += chunk
        _bounded(payload, limit, address)
    return bytes(payload)


def _bounded(payload: bytes | bytearray, limit: int, location: str | Path) -> None:
    if len(payload) > limit:
        raise FeedFault(f"超过{limit}字节：{shown(location)}", f"more than {limit} bytes: {shown(location)}")
