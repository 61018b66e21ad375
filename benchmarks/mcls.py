"""
Dense search of long documents with several CLS tokens (MCLS) and with one: nDCG@10.

    python -m benchmarks.mcls [--packages DIR] [--model tiny] [--every 128 256 512 1024]

The documents are the pages of the Debian handbook, the queries the headings that the tiny model is
not trained on (`training/tiny`): both come from Debian's packages, as `python -m training.tiny`
fetches them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import describe, to_line
from training.tiny.build import Build
from training.tiny.collection import Entry
from training.tiny.options import Options
from training.tiny.tasks import long_task

from m3kit.evaluation import MODES, evaluate
from m3kit.torch import TorchEncoder


def measure(
    model: str, entries: Sequence[Entry], every: Sequence[int], length: int
) -> dict[str, float]:
    """Return nDCG@10 of the dense vectors, by where CLS tokens stand."""
    task = long_task(entries, "test")
    settings: list[tuple[str, int, int | None]] = [
        ("one CLS, 512 tokens", 512, None),
        (f"one CLS, {length:,} tokens", length, None),
        *((f"a CLS every {count} tokens", length, count) for count in every),
    ]
    figures = {}
    for name, tokens, count in settings:
        encoder = TorchEncoder.from_pretrained(model, document_max_length=tokens, cls_every=count)
        report = evaluate(encoder, task, modes=[MODES["dense"]], measures=["nDCG@10"], k=10)
        figures[name] = report["dense"].means["nDCG@10"]
    return figures


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--packages", type=Path, help="a folder of .deb files")
    parser.add_argument("--work", type=Path, default=Path("build/tiny"))
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--every", type=int, nargs="+", default=[128, 256, 512, 1024])
    parser.add_argument("--length", type=int, default=8192)
    options = parser.parse_args()
    build = Build(options.work, Options(), options.packages, print)
    print(to_line(describe()))
    print("| dense vector | nDCG@10 |\n|---|---:|")
    for name, value in measure(options.model, build.entries, options.every, options.length).items():
        print(f"| {name} | {value:.3f} |")


if __name__ == "__main__":
    main()
