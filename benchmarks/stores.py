"""
What an index costs beside the database's own client doing the same work, and beside LangChain's.

    python -m benchmarks.stores [--engine "Qdrant Edge"] [--documents 10000] [--json FILE]
    python -m benchmarks.stores --documents 1000 --tokens 32

All are given the same NumPy arrays, 1,024 wide, with 100 lexical weights, and turn them into what
their client takes. They take turns, batch by batch and query by query, so that a busy machine is
busy for all. `--tokens` adds ColBERT vectors, and searches that are rescored by them. Servers take
part where `M3KIT_QDRANT_URL` or `M3KIT_MILVUS_URL` names one. The ratios are to the client alone,
which fuses by its engine's RRF; no client has M3's weighted sum, which scores every candidate on
every representation.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Protocol, TypeAlias

import numpy as np

from m3kit import (
    REPS,
    RRF,
    Document,
    Fusion,
    HybridIndex,
    M3Output,
    Record,
    Rep,
    Search,
    Sparse,
    WeightedSum,
)
from m3kit.vectors import Floats

DIM = 1024
BATCH = 256
K = 10
CANDIDATES = 100
KINDS: dict[str, tuple[tuple[Rep, ...], Fusion]] = {
    "dense": (("dense",), RRF()),
    "sparse": (("sparse",), RRF()),
    "RRF": (("dense", "sparse"), RRF()),
    "weighted": (("dense", "sparse"), WeightedSum()),
    "RRF + ColBERT": (REPS, RRF()),
    "weighted + ColBERT": (REPS, WeightedSum()),
}


@dataclass(frozen=True, slots=True)
class Corpus:
    """What is written: arrays as an encoder gives them."""

    documents: Sequence[Document]
    outputs: Sequence[M3Output]

    def batches(self) -> Iterator[Corpus]:
        """Cut it."""
        for start in range(0, len(self.documents), BATCH):
            rows = slice(start, start + BATCH)
            yield Corpus(self.documents[rows], self.outputs[rows])


class Contender(Protocol):
    """One way to write to a database and to search it."""

    def insert(self, batch: Corpus) -> None:
        """Write a batch."""
        ...

    def finish(self) -> None:
        """Be done with writing."""
        ...

    def search(self, query: M3Output, fusion: Fusion) -> list[str]:
        """Return the ids of the best ten by what the query carries; KeyError if it cannot."""
        ...


Factory: TypeAlias = Callable[[Path, tuple[Rep, ...]], AbstractContextManager[Contender]]
"""Opens an empty store in a folder, for these representations."""

Engines: TypeAlias = dict[str, dict[str, Factory]]
"""Databases, and for each its contenders: `m3kit`, `client` and others."""


@dataclass(frozen=True, slots=True)
class M3kit:
    """An index of m3kit."""

    index: HybridIndex

    def insert(self, batch: Corpus) -> None:
        """Write a batch."""
        self.index.upsert(
            [Record(*pair) for pair in zip(batch.documents, batch.outputs, strict=True)]
        )

    def finish(self) -> None:
        """Flush."""
        self.index.flush()

    def search(self, query: M3Output, fusion: Fusion) -> list[str]:
        """Search by what the query carries."""
        hits = self.index.search(Search(query=query, k=K, candidates=CANDIDATES, fusion=fusion))
        return [hit.document.id for hit in hits]


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one contender: seconds for a batch, milliseconds for a query."""

    engine: str
    contender: str
    inserted: list[float]
    searched: dict[str, list[float]]

    def figures(self, client: Row | None) -> dict[str, Any]:
        """Return the figures, with ratios to the client alone."""
        figures: dict[str, Any] = {
            "engine": self.engine,
            "contender": self.contender,
            "insert documents/s": round(BATCH / median(self.inserted)),
        }
        if client is not None:
            figures["insert ratio"] = round(median(self.inserted) / median(client.inserted), 2)
        for kind, times in self.searched.items():
            figures[f"{kind} p50 ms"] = round(median(times), 2)
            figures[f"{kind} p95 ms"] = round(quantiles(times, n=20)[-1], 2)
            if client is not None and kind in client.searched:
                figures[f"{kind} ratio"] = round(median(times) / median(client.searched[kind]), 2)
        return figures


def check_rrf(query: M3Output, fusion: Fusion) -> None:
    """Raise a KeyError for what no client of an engine fuses by."""
    if len(query.reps) > 1 and not isinstance(fusion, RRF):
        raise KeyError(f"{fusion}")


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
    engine: str, contenders: dict[str, Factory], documents: Corpus, queries: Sequence[M3Output]
) -> list[Row]:
    """Let the contenders of one engine take turns."""
    reps = tuple(rep for rep in REPS if rep in documents.outputs[0].reps)
    kinds = {kind: of for kind, of in KINDS.items() if set(of[0]) <= set(reps)}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        opened = {
            name: stack.enter_context(make(folder / f"{n}", reps))
            for n, (name, make) in enumerate(contenders.items())
        }
        rows = {name: Row(engine, name, [], {}) for name in opened}
        for batch in documents.batches():
            for name, contender in opened.items():
                rows[name].inserted.append(_seconds(partial(contender.insert, batch)))
        for contender in opened.values():
            contender.finish()
        for kind, (carried, fusion) in kinds.items():
            able = {
                name: contender
                for name, contender in opened.items()
                if _can(contender, queries[0].only(*carried), fusion)
            }
            for name in able:
                rows[name].searched[kind] = []
            for query in queries:
                for name, contender in able.items():
                    search = partial(contender.search, query.only(*carried), fusion)
                    rows[name].searched[kind].append(1000 * _seconds(search))
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
    options = parser.parse_args()
    documents = corpus(options.documents, options.tokens)
    queries = corpus(options.queries, -12 if options.tokens else 0, seed=1).outputs
    report = []
    for engine, contenders in (stores_qdrant.ENGINES | stores_milvus.ENGINES).items():
        if options.engine is None or engine in options.engine:
            rows = measure(engine, contenders, documents, queries)
            client = next((row for row in rows if row.contender == "client"), None)
            for row in rows:
                report.append(row.figures(client))
                print(json.dumps(report[-1]), flush=True)
    if options.json is not None:
        setting = {"documents": options.documents, "tokens": options.tokens, "dim": DIM}
        options.json.write_text(json.dumps({"setting": setting, "rows": report}, indent=2) + "\n")


def _units(rng: np.random.Generator, n: int) -> Floats:
    rows = rng.standard_normal((n, DIM), dtype=np.float32)
    units: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return units


def _weights(rng: np.random.Generator, n: int) -> Sparse:
    ids = np.unique(rng.zipf(1.2, 4 * n) % 250_002)
    drawn = np.sort(rng.permutation(ids)[:n])
    return Sparse(drawn, rng.random(len(drawn), dtype=np.float32) + np.float32(0.01))


def _can(contender: Contender, query: M3Output, fusion: Fusion) -> bool:
    """Warm it up, and tell whether it can search so at all."""
    try:
        contender.search(query, fusion)
        contender.search(query, fusion)
    except KeyError:
        return False
    return True


def _seconds(call: Callable[[], object]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start


if __name__ == "__main__":
    main()
