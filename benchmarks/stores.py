"""
What an index costs beside the database's own client doing the same work, and beside LangChain's.

    python -m benchmarks.stores [--engine "Qdrant Edge"] [--documents 10000] [--json FILE]
    python -m benchmarks.stores --documents 1000 --tokens 32

All are given the same NumPy arrays, 1,024 wide, with 100 lexical weights, and turn them into what
their client takes. They take turns, batch by batch and query by query, so that a busy machine is
busy for all. `--tokens` adds ColBERT vectors, and searches that are rescored by them. Servers take
part where `M3KIT_QDRANT_URL` names one; Milvus is measured by `stores_milvus.py`. The ratios are to
the client alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Protocol, TypeAlias

import numpy as np

from m3kit import REPS, Document, HybridIndex, M3Output, Record, Rep, Search, Sparse
from m3kit.vectors import Floats

DIM = 1024
BATCH = 256
K = 10
DEPTH = 100
KINDS: dict[str, tuple[Rep, ...]] = {
    "dense": ("dense",),
    "sparse": ("sparse",),
    "hybrid": ("dense", "sparse"),
    "hybrid + ColBERT": REPS,
}


@dataclass(frozen=True, slots=True)
class Corpus:
    """What is written: arrays as an encoder gives them."""

    documents: Sequence[Document]
    outputs: Sequence[M3Output]

    def batches(self) -> Iterator[Corpus]:
        """Cut it."""
        for start in range(0, len(self.documents), BATCH):
            cut = slice(start, start + BATCH)
            yield Corpus(self.documents[cut], self.outputs[cut])


class Contender(Protocol):
    """One way to write to a database and to search it."""

    def insert(self, some: Corpus) -> None:
        """Write a batch."""
        ...

    def finish(self) -> None:
        """Be done with writing."""
        ...

    def search(self, query: M3Output) -> list[str]:
        """Find the ids of the best ten by what the query carries; KeyError where it cannot."""
        ...


Factory: TypeAlias = Callable[[Path, tuple[Rep, ...]], AbstractContextManager[Contender]]
"""Opens an empty store in a folder, for these representations."""

Engines: TypeAlias = dict[str, dict[str, Factory]]
"""Databases, and for each its contenders: `m3kit`, `client` and others."""


@dataclass(frozen=True, slots=True)
class Ours:
    """An index of m3kit's."""

    index: HybridIndex

    def insert(self, some: Corpus) -> None:
        """Write a batch."""
        self.index.upsert(
            [Record(*pair) for pair in zip(some.documents, some.outputs, strict=True)]
        )

    def finish(self) -> None:
        """Flush."""
        self.index.flush()

    def search(self, query: M3Output) -> list[str]:
        """Search by RRF."""
        hits = self.index.search(Search(query=query, k=K, candidates=DEPTH))
        return [hit.document.id for hit in hits]


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one contender: seconds for a batch, milliseconds for a query."""

    engine: str
    contender: str
    inserted: list[float]
    searched: dict[str, list[float]]

    def told(self, own: Row | None) -> dict[str, Any]:
        """Say it in figures, with ratios to `own`, the client alone."""
        said: dict[str, Any] = {
            "engine": self.engine,
            "contender": self.contender,
            "insert documents/s": round(BATCH / median(self.inserted)),
        }
        if own is not None:
            said["insert ratio"] = round(median(self.inserted) / median(own.inserted), 2)
        for kind, times in self.searched.items():
            said[f"{kind} p50 ms"] = round(median(times), 2)
            said[f"{kind} p95 ms"] = round(quantiles(times, n=20)[-1], 2)
            if own is not None and kind in own.searched:
                said[f"{kind} ratio"] = round(median(times) / median(own.searched[kind]), 2)
        return said


def corpus(n: int, tokens: int, *, seed: int = 0) -> Corpus:
    """Draw vectors: dense ones at random, the hardest for a graph, and words by Zipf's law."""
    rng = np.random.default_rng(seed)
    outputs = [
        M3Output(
            dense=_units(rng, 1)[0],
            sparse=_weights(rng, 100 if tokens >= 0 else 12),
            colbert=_units(rng, abs(tokens)) if tokens else None,
        )
        for _ in range(n)
    ]
    text = "Forty words or so make up a passage of this size. " * 12
    documents = [
        Document(f"{i}", f"{i}. {text}", {"n": i, "lang": "en" if i % 3 else "de"})
        for i in range(n)
    ]
    return Corpus(documents, outputs)


def measure(
    engine: str, contenders: dict[str, Factory], told: Corpus, queries: Sequence[M3Output]
) -> list[Row]:
    """Let the contenders of one engine take turns."""
    reps = tuple(rep for rep in REPS if rep in told.outputs[0].reps)
    kinds = {kind: of for kind, of in KINDS.items() if set(of) <= set(reps)}
    with ExitStack() as opened:
        folder = Path(opened.enter_context(TemporaryDirectory()))
        there = {
            name: opened.enter_context(make(folder / f"{n}", reps))
            for n, (name, make) in enumerate(contenders.items())
        }
        rows = {name: Row(engine, name, [], {}) for name in there}
        for some in told.batches():
            for name, one in there.items():
                rows[name].inserted.append(_seconds(one.insert, some))
        for one in there.values():
            one.finish()
        for kind, of in kinds.items():
            able = {name: one for name, one in there.items() if _can(one, queries[0].only(*of))}
            for name in able:
                rows[name].searched[kind] = []
            for query in queries:
                for name, one in able.items():
                    took = 1000 * _seconds(one.search, query.only(*of))
                    rows[name].searched[kind].append(took)
        return list(rows.values())


def main() -> None:
    """Measure, print a line for each contender, and write all of it as JSON."""
    from benchmarks import stores_milvus, stores_qdrant  # which use the words of this file

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--engine", action="append", help="one of the engines; all by default")
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--tokens", type=int, default=0, help="ColBERT vectors of a document")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    told = corpus(asked.documents, asked.tokens)
    queries = corpus(asked.queries, -12 if asked.tokens else 0, seed=1).outputs
    report = []
    for engine, contenders in (stores_qdrant.ENGINES | stores_milvus.ENGINES).items():
        if asked.engine is None or engine in asked.engine:
            rows = measure(engine, contenders, told, queries)
            own = next((row for row in rows if row.contender == "client"), None)
            for row in rows:
                report.append(row.told(own))
                print(json.dumps(report[-1]), flush=True)
    if asked.json is not None:
        setting = {"documents": asked.documents, "tokens": asked.tokens, "dim": DIM}
        asked.json.write_text(json.dumps({"setting": setting, "rows": report}, indent=2) + "\n")


def _units(rng: np.random.Generator, n: int) -> Floats:
    rows = rng.standard_normal((n, DIM), dtype=np.float32)
    units: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return units


def _weights(rng: np.random.Generator, n: int) -> Sparse:
    ids = np.unique(rng.zipf(1.2, 4 * n) % 250_002)
    kept = np.sort(rng.permutation(ids)[:n])
    return Sparse(kept, rng.random(len(kept), dtype=np.float32) + np.float32(0.01))


def _can(one: Contender, query: M3Output) -> bool:
    """Warm it up, and tell whether it can search so at all."""
    try:
        one.search(query)
        one.search(query)
    except KeyError:
        return False
    return True


def _seconds(do: Callable[[Any], object], what: object) -> float:
    start = perf_counter()
    do(what)
    return perf_counter() - start


if __name__ == "__main__":
    main()
