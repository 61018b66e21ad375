"""
PyTorch and ONNX Runtime side by side: tokens per second, and the time of a short query.

    python -m benchmarks.runtimes [--layers 6] [--texts 24] [--rounds 5]

Both compute the same random weights of BGE-M3's width on the same threads, in alternation; the
ratios are medians over the rounds. The best time of all rounds gives the absolute figures, by the
wall clock or (`--cpu`, for a machine that others use too) by the CPU time of the process.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from benchmarks.full_size import checkpoint, mixed_texts
from benchmarks.machine import describe, to_line

from m3kit.backend.encoder import TextEncoder
from m3kit.cli.export import Precisions, export
from m3kit.onnx import OnnxEncoder
from m3kit.torch import TorchEncoder

QUERY = "How do I keep the first row in view while I scroll?"
FIRST = "PyTorch, fp32"


def encoders(source: Path, folder: Path, threads: int) -> dict[str, TextEncoder]:
    """Open a checkpoint in PyTorch, and its export in both precisions."""
    for line in export(str(source), folder, list(Precisions)):
        print(line)
    made: dict[str, TextEncoder] = {FIRST: TorchEncoder.from_pretrained(source, device="cpu")}
    for precision in Precisions:
        made[f"ONNX Runtime, {precision}"] = OnnxEncoder.from_pretrained(
            folder, precision=precision.value, threads=threads
        )
    return made


def seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    """Return the time of one call."""
    start = clock()
    call()
    return clock() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--texts", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cpu", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    clock = time.process_time if args.cpu else time.perf_counter
    print(to_line(describe()))
    texts = mixed_texts(args.texts)
    with TemporaryDirectory() as home:
        made = encoders(checkpoint(args.layers), Path(home) / "onnx", args.threads)
        tokens = sum(len(made[FIRST].document_tokens(text)) for text in texts)
        all_: dict[str, list[float]] = {name: [] for name in made}
        single: dict[str, list[float]] = {name: [] for name in made}
        for _ in range(args.rounds):
            for name, encoder in made.items():
                encoder.encode_queries([QUERY])
                single[name].append(seconds(partial(encoder.encode_queries, [QUERY]), clock))
                all_[name].append(seconds(partial(encoder.encode_documents, texts), clock))
    print(f"{args.layers} layers, {args.texts} texts, {tokens} tokens")
    print("| | tokens/s | beside PyTorch | query, ms | beside PyTorch |")
    print("|---|---:|---:|---:|---:|")
    for name in made:
        ratio, faster = (
            median(a / b for a, b in zip(times[FIRST], times[name], strict=True))
            for times in (all_, single)
        )
        rate, query = tokens / min(all_[name]), 1000 * min(single[name])
        print(f"| {name} | {rate:,.0f} | {ratio:.2f} | {query:.1f} | {faster:.2f} |")


if __name__ == "__main__":
    main()
