"""Receipts that nobody should believe: too fast, too perfect, or contradicted by the hall's own phones. Pure.

Policy: a suspicion is shown with its figures, for a person to ask the operator. It changes no state and no count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.model import TextState
from gateway.store.riding import Ride, Told

FAST_SHARE = 0.99
FAST_OF = 200
PERFECT_OF = 2000

Said = tuple[str, str]


def suspicions(told: Told, rides: Sequence[Ride]) -> list[Said]:
    """What is odd about a broadcast's receipts, in Chinese and English."""
    return [*_too_fast(told), *_too_perfect(told), *_contradicted(rides)]


def _too_fast(told: Told) -> Iterator[Said]:
    if told.receipts >= FAST_OF and told.at_once >= FAST_SHARE * told.receipts:
        yield (
            f"{told.receipts:,} 个回执里有 {told.at_once:,} 个在一秒之内：太快，不像真的",
            f"{told.at_once:,} of {told.receipts:,} receipts came within a second: too fast to be true",
        )


def _too_perfect(told: Told) -> Iterator[Said]:
    if told.receipts >= PERFECT_OF and told.failed == 0:
        yield (
            f"{told.receipts:,} 个回执没有一个失败：太好，不像真的",
            f"not one of {told.receipts:,} receipts tells of a failure: too good to be true",
        )


def _contradicted(rides: Sequence[Ride]) -> Iterator[Said]:
    lost = sum(one.got is False and one.state == TextState.DELIVERED for one in rides)
    came = sum(one.got is True and one.state in (TextState.UNDELIVERED, TextState.REJECTED) for one in rides)
    if lost:
        yield (
            f"{lost} 部测试手机没有收到，回执却说已送达",
            f"{lost} of our own phones did not get it though the receipt says delivered",
        )
    if came:
        yield (
            f"{came} 部测试手机收到了，回执却说没送达",
            f"{came} of our own phones got it though the receipt says that it failed",
        )
