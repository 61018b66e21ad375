"""
What a process holds while it encodes a long stream of which nothing is kept.

    python -m benchmarks.memory [--texts 1000000] [--model tiny] [--reps dense sparse colbert]

Texts are short, of many lengths, and no two are alike. After each tenth of them a line tells how
many bytes are the process's own (`RssAnon`: without files that are mapped), so Linux is needed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from m3kit import REPS
from m3kit.torch import TorchEncoder

STATUS = Path("/proc/self/status")
_TEXT = "a table of rivers under the old bridge where bears fish for salmon in spring"


def texts(count: int) -> Iterator[str]:
    """Make texts of 3 to 60 words."""
    words = _TEXT.split()
    for number in range(count):
        length = 3 + number * 7919 % 58
        yield f"{number} " + " ".join(words[(number + n) % len(words)] for n in range(length))


def in_use() -> int:
    """Return the bytes that are the process's own, without files that are mapped."""
    (line,) = (row for row in STATUS.read_text().splitlines() if row.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Encode, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--texts", type=int, default=1_000_000)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--reps", nargs="+", choices=REPS, default=REPS)
    args = parser.parse_args()
    encoder = TorchEncoder.from_pretrained(args.model, device="cpu")
    step, start = max(1, args.texts // 10), time.perf_counter()
    print(f"| texts | MiB | seconds |\n|---:|---:|---:|\n| 0 | {in_use() >> 20} | 0 |", flush=True)
    for number, _ in enumerate(encoder.encode(texts(args.texts), args.reps), start=1):
        if number % step == 0:
            seconds = time.perf_counter() - start
            print(f"| {number} | {in_use() >> 20} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
