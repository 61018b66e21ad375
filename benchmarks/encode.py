"""
Tokens per second of m3kit beside FlagEmbedding, on texts of mixed lengths, all three outputs.

    make reference                       # an environment with FlagEmbedding, once
    .venv-reference/bin/python -m benchmarks.encode [--layers 24] [--texts 200] [--rounds 5]
        [--batch 12 32] [--only m3kit Flag] [--clock cpu]
        [--json FILE] [--plot FILE.png]

All load the same random checkpoint and take turns, so that a busy machine slows all of them; a
ratio is the median over the rounds. The utilisation is tokens per second times the products that a
token takes, over the fastest matrix product that PyTorch reaches on the machine in the same
precision. On a busy machine, `OMP_NUM_THREADS=1` and `--clock cpu` measure the CPU time of one
thread.
sentence-transformers and the plain loop over transformers give the dense vector alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from benchmarks.contenders import REFERENCE, Contender, contenders, show
from benchmarks.full_size import LAYERS, checkpoint, flops_per_token, mixed_texts
from benchmarks.machine import CLOCKS, describe, gemm_peak, to_line
from benchmarks.plot import bars

from m3kit.torch import TorchEncoder


def measure(
    runs: Sequence[Contender], texts: Sequence[str], rounds: int, clock: Callable[[], float]
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Take turns; return the seconds of each, and the machine's best product by precision."""
    seconds: dict[str, list[float]] = {contender.name: [] for contender in runs}
    peaks: dict[str, float] = {}
    for contender in runs:
        contender.run(texts[:4])  # warms up
    for _ in range(rounds):
        for contender in runs:
            peaks[contender.precision] = max(
                peaks.get(contender.precision, 0), gemm_peak(contender.precision, clock)
            )
            start = clock()
            contender.run(texts)
            seconds[contender.name].append(clock() - start)
    return seconds, peaks


def report(
    runs: Sequence[Contender],
    seconds: dict[str, list[float]],
    peaks: dict[str, float],
    lengths: Sequence[int],
    layers: int,
) -> list[dict[str, Any]]:
    """Return a row for each: tokens per second, the ratio to FlagEmbedding, the utilisation."""
    flops = flops_per_token(layers, np.array(lengths))
    references = [
        seconds[contender.name] for contender in runs if contender.name.startswith(REFERENCE)
    ]
    reference = min(references, key=median) if references else None
    rows = []
    for contender in runs:
        speed = sum(lengths) / median(seconds[contender.name])
        ratio = None
        if reference:
            ratio = median(r / s for r, s in zip(reference, seconds[contender.name], strict=True))
        used = (
            speed * flops / peaks[contender.precision] if contender.outputs == "all three" else None
        )
        rows.append(
            {
                "name": contender.name,
                "outputs": contender.outputs,
                "tokens/s": round(speed),
                "ratio": ratio and round(ratio, 2),
                "utilisation": used and round(used, 3),
                "peak GFLOP/s": round(peaks[contender.precision] / 1e9),
            }
        )
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, nargs="+", default=[12])
    parser.add_argument("--only", nargs="+", default=[""], help="beginnings of names to measure")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    folder, texts = checkpoint(args.layers), mixed_texts(args.texts)
    counting = TorchEncoder.from_pretrained(folder, device="cpu", document_max_length=512)
    lengths = [len(counting.document_tokens(text)) for text in texts]
    del counting
    runs = [r for r in contenders(folder, args.batch) if r.name.startswith(tuple(args.only))]
    rows = report(
        runs, *measure(runs, texts, args.rounds, CLOCKS[args.clock]), lengths, args.layers
    )
    machine = {**describe(), "clock": args.clock}
    print(to_line(machine))
    print(f"{len(texts)} texts, {sum(lengths)} tokens, {args.layers} layers, {args.rounds} rounds")
    show(rows)
    if args.json:
        result = {"machine": machine, "layers": args.layers, "tokens": sum(lengths), "rows": rows}
        args.json.write_text(json.dumps(result, indent=2), encoding="utf-8")
    if args.plot:
        bars(args.plot, {row["name"]: row["tokens/s"] for row in rows}, "tokens per second")


if __name__ == "__main__":
    main()
