"""
The error of each precision compared with float32, on random weights and on the tiny model.

    python -m benchmarks.precision [--layers 6] [--texts 60] [--model FOLDER]

The worst case over all texts: cosine of the dense vectors and of each token's ColBERT vector, the
largest difference of a lexical weight; and how many of a text's five nearest neighbours, on the
average, stay its five nearest, by each representation. Random weights say what the arithmetic
does, not what becomes of a retrieval: for that, `--model` takes a checkpoint of yours.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from benchmarks.full_size import checkpoint, mixed_texts
from benchmarks.machine import describe, to_line

from m3kit import REPS, M3Output, Rep
from m3kit.cli.exactness import largest_error
from m3kit.scoring import scores
from m3kit.torch import TorchEncoder
from m3kit.torch.kernels import Precision
from m3kit.torch.kernels.precision import cpu_has_bf16

NEIGHBOURS = 5


def errors(actual: Sequence[M3Output], exact: Sequence[M3Output]) -> dict[str, float]:
    """Compare outputs with those of float32, by the numbers that the module's docstring names."""
    return {
        "1 - cos, dense": largest_error(actual, exact, "dense"),
        "1 - cos, ColBERT": largest_error(actual, exact, "colbert"),
        "weight": largest_error(actual, exact, "sparse"),
        **{f"top 5, {rep}": agreement(actual, exact, rep) for rep in REPS},
    }


def agreement(actual: Sequence[M3Output], exact: Sequence[M3Output], rep: Rep) -> float:
    """Return the mean share of a text's nearest neighbours that stay its nearest."""
    shares = []
    for place in range(len(exact)):
        nearest, exact_nearest = (
            np.delete(scores(rep, outputs[place], outputs), place).argsort()[-NEIGHBOURS:]
            for outputs in (actual, exact)
        )
        shares.append(len(set(nearest) & set(exact_nearest)) / NEIGHBOURS)
    return float(np.mean(shares))


def compare(name: str, folder: str | Path, texts: Sequence[str]) -> None:
    """Print the rows of one checkpoint."""
    exact = TorchEncoder.from_pretrained(folder, device="cpu").encode_documents(texts)
    precisions: list[Precision] = ["bf16", "int8"] if cpu_has_bf16() else ["int8"]
    for precision in precisions:
        encoder = TorchEncoder.from_pretrained(folder, device="cpu", precision=precision)
        row = errors(encoder.encode_documents(texts), exact)
        cells = [f"{v:.2f}" if k.startswith("top") else f"{v:.1e}" for k, v in row.items()]
        print(f"| {name}, {precision} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--texts", type=int, default=60)
    parser.add_argument("--model", type=Path)
    args = parser.parse_args()
    texts = mixed_texts(args.texts)
    print(to_line(describe()))
    print("| | 1 - cos, dense | 1 - cos, ColBERT | weight | top 5, dense | sparse | ColBERT |")
    print("|---|" + "---:|" * 6)
    if args.model:
        compare(args.model.name, args.model, texts)
        return
    compare(f"random, {args.layers} layers", checkpoint(args.layers), texts)
    compare("tiny", "tiny", texts)


if __name__ == "__main__":
    main()
