"""
What `VespaIndex` costs beside pyvespa alone, and what a document weighs in each form.

    python -m benchmarks.stores_vespa [--documents 100] [--json]

Both do the same, against the tests' peer (Vespa's own container, with documents in memory): the
same fields out of the same vectors, eight at a time; the same query, and documents out of its hits.
The vectors are random, of BGE-M3's width.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, get_args

import numpy as np
from tests.vespa_peer.peer import Peer
from vespa.application import Vespa, VespaSync

from m3kit.adapters.manifest import Manifest
from m3kit.adapters.storage import ColbertStorage, ColbertType
from m3kit.index import Search
from m3kit.records import Document, Record
from m3kit.vectors import REPS, M3Output, Sparse
from m3kit_vespa import M3KIT, VespaIndex, m3_package
from m3kit_vespa.layout import Layout
from m3kit_vespa.search import SLACK, to_inputs

DIM = 1024
TOKENS = 48
ROUNDS = 16
FORMS = [dtype for dtype in get_args(ColbertType) if dtype != "float16"]
PLAIN = ColbertStorage("bfloat16")


def main() -> None:
    """Measure all of it."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--documents", type=int, default=100)
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    records = [*drawn(options.documents)]
    measured: dict[str, Any] = {"bytes per document": weights(records[:20])}
    with served() as app:
        index = VespaIndex(app, "papers", dim=DIM)
        measured["feed"] = feeds(app, index, records)
        measured["query"] = queries(app, index, [record.output for record in records[:60]])
    print(json.dumps(measured, indent=2) if options.json else printed(measured))


@contextmanager
def served() -> Iterator[Vespa]:
    """A peer that serves an index of bfloat16 ColBERT vectors."""
    with TemporaryDirectory() as folder:
        m3_package("papers", DIM, colbert=PLAIN).to_files(Path(folder))
        with Peer(Path(folder)) as peer:
            yield Vespa(peer.url)


def drawn(n: int) -> Iterator[Record]:
    """Draw records of a passage's size."""
    rng = np.random.default_rng(0)
    for number in range(n):
        ids = np.sort(rng.choice(250_000, TOKENS, replace=False)).astype(np.int64)
        rows = rng.standard_normal((TOKENS + 1, DIM)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        weights_ = rng.uniform(0.01, 0.4, TOKENS).astype(np.float32)
        output = M3Output(dense=rows[0], sparse=Sparse(ids, weights_), colbert=rows[1:])
        yield Record(Document(f"{number}", "a passage " * 60, {"n": number}), output)


def weights(records: list[Record]) -> dict[str, dict[str, float]]:
    """Weigh what is sent of a document, and what is stored of its ColBERT vectors."""
    measured: dict[str, dict[str, float]] = {}
    for dtype in FORMS:
        storage = ColbertStorage(dtype)
        sent = [len(json.dumps(to_body(record, storage))) for record in records]
        measured[dtype] = {"sent": median(sent), "colbert stored": storage.nbytes(TOKENS, DIM)}
    plain = [len(json.dumps(to_numbers(record))) for record in records]
    measured["bfloat16 as JSON numbers"] = {
        "sent": median(plain), "colbert stored": PLAIN.nbytes(TOKENS, DIM)
    }  # fmt: skip
    return measured


def to_body(record: Record, storage: ColbertStorage) -> dict[str, Any]:
    """Write a document as pyvespa's users would, with cells in hexadecimal digits."""
    layout = layout_of(storage)
    return {**layout.to_fields(record.document), **layout.to_vectors(record.output)}


def layout_of(storage: ColbertStorage) -> Layout:
    """Return where documents lie in the schema of a package with this storage."""
    return Layout(M3KIT, Manifest(DIM, frozenset(REPS), None, storage), retrieval="exact")


def to_numbers(record: Record) -> dict[str, Any]:
    """The same with cells as JSON numbers."""
    body, output = to_body(record, PLAIN), record.output
    assert output.dense is not None  # noqa: S101  # drawn so
    assert output.colbert is not None  # noqa: S101  # drawn so
    rows = {str(n): row for n, row in enumerate(PLAIN.stored(output.colbert).tolist())}
    return {**body, "dense": {"values": output.dense.tolist()}, "colbert": {"blocks": rows}}


def feeds(app: Vespa, index: VespaIndex, records: list[Record]) -> dict[str, float]:
    """Documents a second, each way in turn, and the median of the ratios of each round."""
    layout = layout_of(PLAIN)

    def raw(to: Callable[[Record], dict[str, Any]]) -> None:
        names = (layout.document_name(record.document.id) for record in records)
        bodies = ({"id": name, "fields": to(of)} for name, of in zip(names, records, strict=True))
        app.feed_iterable(bodies, schema="papers", compress=False, max_workers=8)

    ours = timed(
        {
            "VespaIndex": lambda _: index.upsert(records),
            "pyvespa": lambda _: raw(lambda record: to_body(record, PLAIN)),
        },
        range(ROUNDS),
    )
    forms = timed(
        {
            "pyvespa": lambda _: raw(lambda record: to_body(record, PLAIN)),
            "pyvespa, JSON numbers": lambda _: raw(to_numbers),
        },
        range(ROUNDS // 4),
    )
    return {
        **{f"{way}, documents/s": len(records) / median(of) for way, of in (forms | ours).items()},
        "VespaIndex : pyvespa": ratio(ours["VespaIndex"], ours["pyvespa"]),
        "JSON numbers : hexadecimal": ratio(forms["pyvespa, JSON numbers"], forms["pyvespa"]),
    }


def queries(app: Vespa, index: VespaIndex, outputs: list[M3Output]) -> dict[str, float]:
    """Milliseconds of a search by RRF, each way in turn."""
    searches = [Search(query=output.only("dense", "sparse")) for output in outputs]
    layout, session = layout_of(PLAIN), app.get_sync_session()
    sync = VespaSync(app, session=session, compress=False)

    def raw(search: Search) -> list[Document]:
        sparse = search.query.sparse
        assert sparse is not None  # noqa: S101  # drawn so
        size = search.candidates + SLACK
        near = f"({{targetHits: {size}}}nearestNeighbor(dense, m3_dense))"
        tokens = ", ".join(map(str, sparse.ids.tolist()))
        body = {
            "yql": f"select id, text, metadata from papers where {near} or token_ids in ({tokens})",  # noqa: S608  # numbers
            "ranking": "m3_rrf",
            "hits": search.k + SLACK,
            "timeout": "30s",
            "ranking.globalPhase.rerankCount": 4 * size,
            **to_inputs(search.query),
        }
        answer: Any = sync.query(body)
        return [layout.to_document(hit["fields"]) for hit in answer.hits]

    ways: dict[str, Callable[[Any], object]] = {"VespaIndex": index.search, "pyvespa": raw}
    seconds = timed(ways, searches)
    session.close()
    return {
        **{f"{way}, ms": 1000 * median(of) for way, of in seconds.items()},
        "VespaIndex : pyvespa": ratio(seconds["VespaIndex"], seconds["pyvespa"]),
    }


def timed(ways: dict[str, Callable[[Any], object]], items: Sequence[Any]) -> dict[str, list[float]]:
    """Do each item each way in turn, the first item once unmeasured; return the seconds of each."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for run in ways.values():
        run(items[0])
    for turn, item in enumerate(items):
        for way, run in sorted(ways.items(), reverse=turn % 2 == 1):
            start = perf_counter()
            run(item)
            seconds[way].append(perf_counter() - start)
    return seconds


def ratio(first: list[float], second: list[float]) -> float:
    """The median of the items' ratios: what slows the machine down slows both ways down."""
    return median(a / b for a, b in zip(first, second, strict=True))


def printed(measured: dict[str, Any]) -> str:
    """Print it as lines."""
    lines = []
    for what, values in measured.items():
        lines.append(f"{what}:")
        for name, value in values.items():
            shown = value if isinstance(value, dict) else {"": value}
            numbers = "  ".join(f"{kind} {number:,.2f}".strip() for kind, number in shown.items())
            lines.append(f"  {name:<30} {numbers}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
