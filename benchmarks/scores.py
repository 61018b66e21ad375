"""
Scores beside FlagEmbedding: pairs of texts, MaxSim over many documents, lexical matching.

    make reference                       # an environment with FlagEmbedding, once
    .venv-reference/bin/python -m benchmarks.scores [--layers 24] [--rounds 3] [--pairs 32]
        [--clock cpu] [--json FILE]

Pairs are of one query with so many passages, through a random checkpoint of BGE-M3's size; for
MaxSim vectors are random, with the lengths of a usual corpus. All take turns; a ratio is the
median over the rounds of FlagEmbedding's time divided by m3kit's. `stacked` documents were
concatenated beforehand. On a busy machine, `OMP_NUM_THREADS=1` and `--clock cpu` measure the CPU
time of one thread.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import numpy as np
from benchmarks.full_size import LAYERS, WIDTH, checkpoint, mixed_texts
from benchmarks.machine import CLOCKS, describe, to_line
from numpy.typing import ArrayLike, NDArray

from m3kit.flag import BGEM3FlagModel
from m3kit.pairs import score_pairs
from m3kit.scoring import Stacked, lexical_scores, maxsim
from m3kit.torch import Passages, TorchEncoder
from m3kit.torch.kernels import Precision
from m3kit.torch.kernels.precision import cpu_has_bf16
from m3kit.vectors import Floats, Sparse

REFERENCE = "FlagEmbedding"
DOCUMENTS, QUERIES = 1000, 50

Runs: TypeAlias = Mapping[str, Callable[[], ArrayLike]]
"""What takes turns: the reference first. Each returns the scores."""


def pairs(reference: Any, folder: Path, count: int) -> Runs:
    """Score one query with many passages in five ways."""
    query, *passages = mixed_texts(count + 1)
    given = [[query, passage] for passage in passages]
    precisions: list[Precision] = ["fp32", "bf16", "int8"] if cpu_has_bf16() else ["fp32", "int8"]
    runs: dict[str, Callable[[], ArrayLike]] = {
        f"{REFERENCE}, batch {size}": lambda size=size: _all(  # type: ignore[misc]  # mypy does not see the default
            reference.compute_score(given, batch_size=size)
        )
        for size in (256, 8)
    }
    for precision in precisions:
        encoder = TorchEncoder.from_pretrained(folder, device="cpu", precision=precision)
        runs[f"m3kit {precision}"] = lambda encoder=encoder: _all(  # type: ignore[misc]  # the same
            score_pairs(encoder, given, max_query_length=512, max_passage_length=512)
        )
    return runs


def colbert(reference: Any, tokens: int) -> Runs:
    """Score a query of so many tokens with the ColBERT vectors of many documents."""
    random = np.random.default_rng(tokens)
    sizes = np.clip(np.exp(random.normal(4.1, 0.9, DOCUMENTS)), 4, 511).astype(int)
    query, *documents = (_unit(random, size) for size in (tokens, *sizes))
    stacked, passages = Stacked.of(documents), Passages(documents)
    runs: dict[str, Callable[[], ArrayLike]] = {
        REFERENCE: lambda: [float(reference.colbert_score(query, d)) for d in documents],
        "m3kit": lambda: maxsim(query, documents),
        "m3kit, stacked": lambda: maxsim(query, stacked),
    }
    return runs | {"m3kit, Passages in bf16": lambda: passages(query)} if cpu_has_bf16() else runs


def lexical(reference: Any, flag: BGEM3FlagModel, encoder: TorchEncoder) -> Runs:
    """Match the lexical weights of some queries with those of many documents."""
    texts = mixed_texts(DOCUMENTS)
    query_texts = [" ".join(text.split()[:8]) for text in texts[:QUERIES]]
    random = np.random.default_rng(1)

    def weights(texts: list[str]) -> list[Sparse]:
        every = (np.unique(tokens.ids[1:-1]) for tokens in encoder.tokenizer(texts, 512))
        return [Sparse(ids, random.random(len(ids), np.float32) + 0.01) for ids in every]

    def to_dicts(outputs: list[Sparse], number: Callable[[float], Any]) -> list[dict[str, Any]]:
        return [{str(id_): number(w) for id_, w in sparse.to_dict().items()} for sparse in outputs]

    queries, documents = weights(query_texts), weights(texts)
    reference_input = to_dicts(queries, np.float32), to_dicts(documents, np.float32)
    flag_input = to_dicts(queries, float), to_dicts(documents, float)
    return {
        REFERENCE: lambda: reference.compute_lexical_matching_score(*reference_input),
        "m3kit.flag, dicts": lambda: flag.compute_lexical_matching_score(*flag_input),
        "m3kit": lambda: lexical_scores(queries, documents),
    }


def compare(
    task: str, runs: Runs, rounds: int, clock: Callable[[], float]
) -> list[dict[str, str | float]]:
    """Take turns; give a row for each, with its time, ratio and error."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    scores: dict[str, NDArray[np.float64]] = {}
    for _ in range(rounds):
        for name, run in runs.items():
            start = clock()
            made = run()
            times[name].append(clock() - start)
            scores[name] = np.asarray(made, dtype=np.float64)
    first = next(iter(runs))
    return [
        {
            "task": task,
            "name": name,
            "ms": round(1e3 * median(measured), 2),
            "ratio": round(median(a / b for a, b in zip(times[first], measured, strict=True)), 2),
            "error": float(f"{_error(scores[name], scores[first]):.1e}"),
        }
        for name, measured in times.items()
    ]


def _error(actual: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """Return the largest difference, as a part of the largest score of its row."""
    differences = np.abs(actual - expected).max(axis=-1) / np.abs(expected).max(axis=-1)
    return float(differences.max())


def _all(scores: Any) -> list[list[float]]:
    return list(scores.values())


def _unit(random: np.random.Generator, rows: int) -> Floats:
    vectors = random.standard_normal((rows, WIDTH), dtype=np.float32)
    unit: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=32, help="0 leaves the model's part out")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    from FlagEmbedding import BGEM3FlagModel as Reference

    folder, clock = checkpoint(args.layers), CLOCKS[args.clock]
    tiny = BGEM3FlagModel("tiny", devices="cpu")
    reference = Reference(str(folder), devices="cpu", use_fp16=False)
    machine = {**describe(), "clock": args.clock, "layers": args.layers}
    print(to_line(machine))
    encoder = TorchEncoder.from_pretrained("tiny", device="cpu")
    print("| task | name | ms | ratio | error |\n|---|---|---:|---:|---:|")
    tasks: dict[str, partial[Runs]] = {
        f"MaxSim, {tokens} tokens x {DOCUMENTS}": partial(colbert, reference, tokens)
        for tokens in (11, 32)
    }
    tasks[f"lexical {QUERIES} x {DOCUMENTS}"] = partial(lexical, reference, tiny, encoder)
    if args.pairs:
        tasks[f"compute_score 1 x {args.pairs}"] = partial(pairs, reference, folder, args.pairs)
    rows = []
    for task, make in tasks.items():
        rounds = args.rounds if make.func is pairs else 5 * args.rounds
        for row in compare(task, make(), rounds, clock):
            print("| " + " | ".join(map(str, row.values())) + " |", flush=True)
            rows.append(row)
    if args.json:
        result = {"machine": machine, "rows": rows}
        args.json.write_text(json.dumps(result, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
