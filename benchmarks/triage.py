"""How long training takes, and reading a text.

    python -m benchmarks.triage

One process; the texts are those on which the triage is measured, and long ones put together from them.
"""

from __future__ import annotations

import csv
from pathlib import Path
from time import perf_counter

from gateway import config
from gateway.triage import Triage, load

ROOT = Path(__file__).parent.parent
SAMPLES = ("consultations.csv", "paraphrases.csv", "unseen.csv")
LONG = 2000


def texts() -> list[str]:
    found = []
    for name in SAMPLES:
        with (ROOT / "tests" / "data" / name).open(encoding="utf-8", newline="") as file:
            found += [row["text"] for row in csv.DictReader(file)]
    return found


def milliseconds(triage: Triage, text: str) -> float:
    begun = perf_counter()
    triage.read(text)
    return (perf_counter() - begun) * 1000


def main() -> None:
    windows = config.load(ROOT).hall.windows
    begun = perf_counter()
    triage = Triage(windows, load(ROOT, windows))
    print(f"train               {perf_counter() - begun:8.2f} s")
    for text in texts():
        triage.read(text)
    took = sorted(milliseconds(triage, text) for text in texts())
    print(f"read, median        {took[len(took) // 2]:8.2f} ms")
    print(f"read, slowest       {took[-1]:8.2f} ms")
    joined = " ".join(texts())
    long = [milliseconds(triage, joined[at : at + LONG]) for at in range(0, len(joined) - LONG, LONG)]
    print(f"read {LONG} characters {min(long):5.1f} to {max(long):.1f} ms")


if __name__ == "__main__":
    main()
