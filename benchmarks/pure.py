"""Texts measured and numbers parsed per second, beside the libraries that serve as test oracles.

    python -m benchmarks.pure

One process, best of five; figures of different machines do not compare, the ratios roughly do.
"""

from __future__ import annotations

from collections.abc import Callable
from timeit import Timer

import phonenumbers
import smsutil
from phonenumbers import carrier

from gateway import phone, text

CHINESE = "【枣原镇】" + "明天上午停水请储水" * 8 + "请互相转告"
ASCII = "Water will be off tomorrow. " * 6
EMOJI = "明天停水😀" * 16


def rate(work: Callable[[], object], number: int = 20_000) -> float:
    """Runs a second, best of five."""
    return number / min(Timer(work).repeat(repeat=5, number=number))


def with_library(digits: str) -> tuple[bool, str]:
    """What parse answers, asked of the library."""
    number = phonenumbers.parse(digits, "CN")
    return phonenumbers.is_valid_number(number), carrier.name_for_number(number, "zh")


def main() -> None:
    pairs: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
        (f"split, {len(CHINESE)} Chinese", lambda: text.split(CHINESE), lambda: smsutil.split(CHINESE)),
        (f"measure, {len(CHINESE)} Chinese", lambda: text.measure(CHINESE), lambda: smsutil.split(CHINESE)),
        (f"measure, {len(ASCII)} ASCII", lambda: text.measure(ASCII), lambda: smsutil.split(ASCII)),
        (f"measure, {len(EMOJI)} with emoji", lambda: text.measure(EMOJI), lambda: smsutil.split(EMOJI)),
        ("parse, clean", lambda: phone.parse("13800130001"), lambda: with_library("13800130001")),
        (
            "parse, spaced",
            lambda: phone.parse("+86 138 0013 0001"),
            lambda: with_library("+86 138 0013 0001"),
        ),
    ]
    for name, ours, theirs in pairs:
        mine, other = rate(ours), rate(theirs, 2_000)
        print(f"{name:28} {mine:>12,.0f}/s   library {other:>10,.0f}/s   x{mine / other:.0f}")


if __name__ == "__main__":
    main()
