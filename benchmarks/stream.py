"""
The memory and the time of an exact evaluation, by the number of documents that stream through it.

    python -m benchmarks.stream [--queries 100] [100000 1000000]

Vectors of 64 numbers are drawn at random in place of a model, so that the evaluation is measured:
dense, sparse, dense+sparse and all, each document encoded once. A process for each size prints its
peak memory above that before the first document.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from time import perf_counter

import numpy as np

from m3kit import REPS, Document, M3Output, Rep, Sparse
from m3kit.evaluation import MODES, Dataset, evaluate

_DIM = 64
_TOKENS = 8


class Drawn:
    """An encoder whose vectors are random."""

    model = "random@0"
    dim = _DIM
    reps = frozenset(REPS)

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)

    def encode_queries(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        """Draw an output for each text."""
        return self.encode_documents(texts, reps)

    def encode_documents(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        """Draw an output for each text."""
        rows = self._random.standard_normal((len(texts), _TOKENS, _DIM), dtype=np.float32)
        rows /= np.linalg.norm(rows, axis=2, keepdims=True)
        ids = np.sort(self._random.integers(0, 10**5, (len(texts), _TOKENS)), axis=1)
        weights = np.full(_TOKENS, 0.5, dtype=np.float32)
        outputs = []
        for tokens, words in zip(rows, ids, strict=True):
            distinct = np.unique(words)
            sparse = Sparse(distinct, weights[: len(distinct)])
            output = M3Output(dense=tokens[0], sparse=sparse, colbert=tokens)
            outputs.append(output.only(*(reps or REPS)))
        return outputs


def collection(documents: int, queries: int) -> Dataset:
    """Describe documents that are made as they are read."""

    def stream() -> Iterator[Document]:
        return (Document(f"d{number}", "text") for number in range(documents))

    names = [f"q{number}" for number in range(queries)]
    return Dataset(
        name=f"{documents:,} documents",
        documents=stream,
        queries=dict.fromkeys(names, "text"),
        qrels={name: {"d0": 1} for name in names},
    )


def measure(documents: int, queries: int) -> None:
    """Print the peak memory and the time of one evaluation."""
    modes = [MODES[name] for name in ("dense", "sparse", "dense+sparse", "all")]
    evaluate(Drawn(), collection(1000, queries), modes=modes)
    before, start = _peak(), perf_counter()
    evaluate(Drawn(), collection(documents, queries), modes=modes)
    seconds, peak = perf_counter() - start, _peak() - before
    print(f"| {documents:,} | {peak:.0f} MB | {documents / seconds:,.0f} |", flush=True)


def _peak() -> float:
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / 1024


def main() -> None:
    """Print a row for each size."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("sizes", nargs="*", type=int, default=[100_000, 1_000_000])
    parser.add_argument("--queries", type=int, default=100)
    options = parser.parse_args()
    if len(options.sizes) == 1:
        measure(options.sizes[0], options.queries)
        return
    print(
        "| documents | more memory than for 1,000 | documents per second |\n|---:|---:|---:|",
        flush=True,
    )
    for size in options.sizes:
        command = [sys.executable, "-m", "benchmarks.stream", str(size)]
        subprocess.run([*command, "--queries", str(options.queries)], check=True)


if __name__ == "__main__":
    main()
