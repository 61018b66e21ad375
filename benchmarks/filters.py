"""
What a filter costs beside the database's own client with the same filter in its own words.

    python -m benchmarks.filters [--engine "Qdrant Edge"] [--documents 100000] [--queries 20]

Both search the same collection, which m3kit has made: a dense vector 256 wide, and metadata. They
take turns, query by query. The first search by a field makes Edge's index over it, and is printed
apart. Milvus Lite's client filters the JSON, as its documentation does.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import qdrant_edge as edge
from pymilvus import MilvusClient

from m3kit import (
    Contains,
    Document,
    Eq,
    Filter,
    HybridIndex,
    M3Output,
    Not,
    Range,
    Record,
    Search,
)
from m3kit.vectors import Floats
from m3kit_milvus import MilvusIndex
from m3kit_qdrant import EdgeIndex

DIM = 256
BATCH = 500
LANGUAGES = ("en", "de", "fr", "ja", "zh")


@dataclass(frozen=True)
class Case:
    """A filter, and how each client's documentation spells it."""

    where: Filter | None
    edge: edge.Filter | None
    milvus: str


def _field(key: str, **condition: Any) -> edge.Filter:
    return edge.Filter(must=[edge.FieldCondition(f"metadata.{key}", **condition)])


def cases() -> dict[str, Case]:
    """Return the filters, by what they keep."""
    de = edge.FieldCondition("metadata.lang", match=edge.MatchValue("de"))
    return {
        "none": Case(None, None, ""),
        "lang = de (20 %)": Case(
            Eq("lang", "de"), edge.Filter(must=[de]), 'metadata["lang"] == "de"'
        ),
        "not lang = de (80 %)": Case(
            Not(Eq("lang", "de")), edge.Filter(must_not=[de]), 'not (metadata["lang"] == "de")'
        ),
        "year >= 2020 (16 %)": Case(
            Range("year", ge=2020),
            _field("year", range=edge.RangeFloat(gte=2020)),
            'metadata["year"] >= 2020',
        ),
        "tags contains a (33 %)": Case(
            Contains("tags", "a"),
            _field("tags", match=edge.MatchValue("a")),
            'json_contains(metadata["tags"], "a")',
        ),
    }


def records(count: int) -> Iterator[list[Record]]:
    """Draw documents, batch by batch."""
    rng = np.random.default_rng(0)
    for start in range(0, count, BATCH):
        vectors = _units(rng, min(BATCH, count - start))
        yield [
            Record(Document(f"{n}", "a passage", _metadata(n)), M3Output(dense=vectors[n - start]))
            for n in range(start, start + len(vectors))
        ]


def _metadata(n: int) -> dict[str, Any]:
    tags = [("a", "b", "c")[n % 3], "x"]
    return {"lang": LANGUAGES[n % 5], "year": 2000 + n * 7919 % 24, "tags": tags}


def _units(rng: np.random.Generator, count: int) -> Floats:
    rows = rng.standard_normal((count, DIM), dtype=np.float32)
    units: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return units


@contextmanager
def on_edge(folder: Path) -> Iterator[tuple[HybridIndex, Callable[[Floats, Case], int]]]:
    """Open Edge, and search its shard directly."""
    with EdgeIndex(folder / "edge", dim=DIM, reps=["dense"]) as index:

        def search(vector: Floats, case: Case) -> int:
            shard: Any = index._engine._shard  # noqa: SLF001  # the same files, without m3kit
            request = edge.QueryRequest(
                query=edge.Query.Nearest(vector.tolist(), using="dense"),
                filter=case.edge,
                limit=10,
                with_payload=True,
            )
            (points,) = shard.query_batch(edge.QueryBatchRequest([request]))
            return len(points)

        yield index, search


@contextmanager
def on_milvus(folder: Path) -> Iterator[tuple[HybridIndex, Callable[[Floats, Case], int]]]:
    """Open Milvus Lite, and search by its client."""
    client = MilvusClient(str(folder / "filters.db"))
    index = MilvusIndex(client, "filters", dim=DIM, reps=["dense"])

    def search(vector: Floats, case: Case) -> int:
        (hits,) = client.search(
            "filters",
            data=[vector],
            anns_field="dense",
            filter=case.milvus,
            limit=10,
            output_fields=["id", "text", "metadata"],
        )
        return len(hits)

    yield index, search
    client.close()


ENGINES = {"Qdrant Edge": on_edge, "Milvus Lite": on_milvus}


def main() -> None:
    """Measure each filter on each engine, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--engine", choices=ENGINES, action="append")
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=20)
    options = parser.parse_args()
    vectors = _units(np.random.default_rng(1), options.queries)
    print("| engine | filter | first, ms | m3kit p50, ms | client p50, ms |")
    print("|---|---|---:|---:|---:|")
    for engine in options.engine or ENGINES:
        with TemporaryDirectory() as folder, ENGINES[engine](Path(folder)) as (index, search):
            for batch in records(options.documents):
                index.upsert(batch)
            index.flush()
            for name, case in cases().items():
                print(f"| {engine} | {name} | {row(case, index, search, vectors)} |", flush=True)


def row(
    case: Case, index: HybridIndex, search: Callable[[Floats, Case], int], vectors: Floats
) -> str:
    """Measure one filter: both take turns, query by query."""
    first = _milliseconds(partial(_search, index, vectors[0], case))
    times = [
        (
            _milliseconds(partial(_search, index, vector, case)),
            _milliseconds(partial(search, vector, case)),
        )
        for vector in vectors
    ]
    mine, client = (median(of) for of in zip(*times, strict=True))
    return f"{first:.0f} | {mine:.2f} | {client:.2f}"


def _search(index: HybridIndex, vector: Floats, case: Case) -> int:
    return len(index.search(Search(query=M3Output(dense=vector), where=case.where)))


def _milliseconds(call: Callable[[], int]) -> float:
    start = perf_counter()
    call()
    return 1000 * (perf_counter() - start)


if __name__ == "__main__":
    main()
