"""
Milliseconds for one short query, m3kit beside FlagEmbedding, all three outputs.

    make reference                       # an environment with FlagEmbedding, once
    .venv-reference/bin/python -m benchmarks.latency [--layers 24] [--rounds 30] [--model tiny]
        [--clock cpu] [--json FILE] [--plot FILE.png]

All take turns with the same text of 13 tokens; a ratio is the median over the rounds. On a busy
machine `OMP_NUM_THREADS=1` and `--clock cpu` measure the CPU time of one thread.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.contenders import REFERENCE, Contender, contenders, show
from benchmarks.full_size import LAYERS, checkpoint
from benchmarks.machine import CLOCKS, describe, to_line
from benchmarks.plot import bars

from m3kit.backend.locate import locate
from m3kit.torch import TorchEncoder

QUERY = "how do I change the width of a column"


def measure(
    runs: Sequence[Contender], rounds: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Take turns; return the milliseconds of each."""
    times: dict[str, list[float]] = {contender.name: [] for contender in runs}
    for turn in range(rounds + 2):  # two rounds warm up
        for contender in runs:
            start = clock()
            contender.run([QUERY])
            if turn > 1:
                times[contender.name].append(1e3 * (clock() - start))
    return times


def report(runs: Sequence[Contender], times: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Return a row for each: median and 95th percentile, and the ratio to FlagEmbedding."""
    reference = next(
        (times[contender.name] for contender in runs if contender.name.startswith(REFERENCE)), None
    )
    rows = []
    for contender in runs:
        measured = times[contender.name]
        ratio = reference and median(r / t for r, t in zip(reference, measured, strict=True))
        rows.append(
            {
                "name": contender.name,
                "outputs": contender.outputs,
                "p50 ms": round(median(measured), 2),
                "p95 ms": round(quantiles(measured, n=20)[-1], 2),
                "ratio": ratio and round(ratio, 2),
            }
        )
    return rows


def _folder(model: str) -> Path:
    return locate(model, revision=None, cache_dir=None, progress=False)[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--model", help="another checkpoint, as from_pretrained takes it")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    folder = _folder(args.model) if args.model else checkpoint(args.layers)
    tokens = len(TorchEncoder.from_pretrained(folder, device="cpu").query_tokens(QUERY))
    runs = contenders(folder, [12])
    rows = report(runs, measure(runs, args.rounds, CLOCKS[args.clock]))
    machine = {**describe(), "clock": args.clock}
    print(to_line(machine))
    print(f"{folder.name}, a query of {tokens} tokens, {args.rounds} rounds")
    show(rows)
    if args.json:
        result = {"machine": machine, "checkpoint": folder.name, "tokens": tokens, "rows": rows}
        args.json.write_text(json.dumps(result, indent=2), encoding="utf-8")
    if args.plot:
        bars(args.plot, {row["name"]: row["p50 ms"] for row in rows}, "milliseconds, median")


if __name__ == "__main__":
    main()
