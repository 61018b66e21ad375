"""
Seconds of an exact search of many queries, as mining and evaluation do it, and of the same by hand.

    python -m benchmarks.exact [--queries 5500] [--documents 827] [--dim 64] [--depth 200]

Vectors are drawn at random. Beside `ExactSearch` stands `MemoryIndex`, the oracle, which is asked
`--asked` of the queries, one after the other, and whose answers are compared to the last bit.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from time import perf_counter

import numpy as np
from benchmarks.machine import describe, to_line

from m3kit import Document, M3Output, MemoryIndex, Record, Rep, Search, Sparse
from m3kit.evaluation import ExactSearch

_TOKENS = 16_000


def draw(count: int, shortest: int, longest: int, dim: int, seed: int) -> list[M3Output]:
    """Draw outputs of texts whose lengths are between two numbers of tokens."""
    random = np.random.default_rng(seed)
    outputs = []
    for length in random.integers(shortest, longest, count).tolist():
        vectors = random.standard_normal((length, dim), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        ids = np.unique((_TOKENS * random.random(length) ** 3).astype(np.int64))
        weights = random.random(len(ids), dtype=np.float32) + np.float32(0.01)
        outputs.append(M3Output(dense=vectors[0], sparse=Sparse(ids, weights), colbert=vectors))
    return outputs


def measure(reps: Sequence[Rep], options: argparse.Namespace) -> tuple[float, float]:
    """Return the seconds of all queries by `ExactSearch`, and those of `MemoryIndex`, computed."""
    drawn = draw(options.queries, 6, 16, options.dim, 0)
    queries = [query.only(*reps) for query in drawn]
    documents = [
        document.only(*reps) for document in draw(options.documents, 60, 260, options.dim, 1)
    ]
    ids = [f"d{number}" for number in range(options.documents)]
    start, scans = perf_counter(), list(reps) == ["colbert"]
    exact = ExactSearch(queries, reps=reps, depth=options.depth, scan_colbert=scans)
    exact.add(ids, documents)
    requests = [Search(query=query, k=options.depth, candidates=options.depth) for query in queries]
    answers = [exact.rank(place, request) for place, request in enumerate(requests)]
    seconds = perf_counter() - start
    index = MemoryIndex(options.dim, reps=reps)
    index.upsert(
        [Record(Document(id_, ""), output) for id_, output in zip(ids, documents, strict=True)]
    )
    start = perf_counter()
    answers_of_index = [index.search(request) for request in requests[: options.asked]]
    by_hand = (perf_counter() - start) * options.queries / options.asked
    for answer, hits in zip(answers, answers_of_index, strict=False):
        expected = [(hit.document.id, hit.score) for hit in hits]
        if [(entry.name, entry.score) for entry in answer] != expected:
            raise AssertionError("an answer is not the oracle's")
    return seconds, by_hand


def main() -> None:
    """Print a row for each choice of representations."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--queries", type=int, default=5500)
    parser.add_argument("--documents", type=int, default=827)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--depth", type=int, default=200)
    parser.add_argument("--asked", type=int, default=50)
    options = parser.parse_args()
    print(to_line(describe()))
    print("| representations | s | one query at a time, s |\n|---|---:|---:|")
    choices: list[list[Rep]] = [["dense"], ["sparse"], ["colbert"], ["dense", "sparse", "colbert"]]
    for reps in choices:
        seconds, by_hand = measure(reps, options)
        print(f"| {', '.join(reps)} | {seconds:.1f} | {by_hand:.0f} |", flush=True)


if __name__ == "__main__":
    main()
