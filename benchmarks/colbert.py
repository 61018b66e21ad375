"""
The size and the quality of each form of ColBERT vectors: bytes per document, and nDCG@10.

    python -m benchmarks.colbert [--model tiny] [--json FILE]
    python -m benchmarks.colbert --pooling

The queries of `sample_corpus.py`, against its English passages: English ones, and those in the five
other languages (the mean). "hybrid" is RRF of dense and sparse, rescored by ColBERT. The sizes are
those of the numbers, without an engine's overhead. `--pooling` prints the time to pool a text.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import get_args

import numpy as np
from benchmarks.sample_corpus import NDCG, by_language, collection, passages

from m3kit import CachedEncoder, ColbertStorage, Document, Encoder, MemoryIndex
from m3kit.adapters.pooling import pooled
from m3kit.adapters.storage import ColbertType
from m3kit.evaluation import MODES, Dataset, evaluate
from m3kit.scoring import require
from m3kit.torch import TorchEncoder

STORAGES = [ColbertStorage(*form) for form in product(get_args(ColbertType), range(1, 5))]
HEADER = """\
| dtype | pool | bytes per passage | 300 rows of 1,024 | ColBERT en | other | hybrid en | other |
|---|---:|---:|---:|---:|---:|---:|---:|"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A form of storage: its size, and nDCG@10 in English and from other languages."""

    dtype: str
    pool: int
    passage_bytes: int
    large_bytes: int
    colbert: tuple[float, float]
    hybrid: tuple[float, float]

    def __str__(self) -> str:
        figures = " | ".join(f"{figure:.3f}" for figure in (*self.colbert, *self.hybrid))
        sizes = f"{self.passage_bytes:,} | {self.large_bytes:,}"
        return f"| {self.dtype} | {self.pool} | {sizes} | {figures} |"


def passage_bytes(encoder: Encoder, documents: Sequence[Document], storage: ColbertStorage) -> int:
    """Compute the mean size of a passage's ColBERT vectors."""
    outputs = encoder.encode_documents([document.text for document in documents], ["colbert"])
    sizes = [storage.nbytes(*require(output.colbert, "colbert").shape) for output in outputs]
    return round(sum(sizes) / len(sizes))


def ndcg(
    encoder: Encoder, dataset: Dataset, storage: ColbertStorage, modes: Sequence[str]
) -> list[tuple[float, float]]:
    """Measure modes over an index of a storage: English queries, and the mean of the others."""
    report = evaluate(
        encoder,
        dataset,
        modes=[MODES[mode] for mode in modes],
        index=MemoryIndex(encoder=encoder, colbert=storage),
        exact=False,
        k=10,
    )
    means = [by_language(row.values[NDCG]) for row in report.rows]
    return [(mean["en"], mean["other"]) for mean in means]


def rows(encoder: Encoder, storages: Sequence[ColbertStorage] = STORAGES) -> Iterator[Row]:
    """Measure one form after another; every text is encoded once."""
    cached, english = CachedEncoder(encoder, max_bytes=2**30), passages("en")
    for storage in storages:
        colbert, hybrid = ndcg(cached, collection(), storage, ["colbert", "rrf-all"])
        yield Row(
            dtype=storage.dtype,
            pool=storage.pool_factor,
            passage_bytes=passage_bytes(cached, english, storage),
            large_bytes=storage.nbytes(300, 1024),
            colbert=colbert,
            hybrid=hybrid,
        )


def pooling(tokens: int, *, pool: int = 2, repeats: int = 5) -> float:
    """Measure the milliseconds of pooling one text of random rows, 1,024 wide: the median."""
    rows = np.random.default_rng(0).standard_normal((tokens, 1024)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    times = []
    for _ in range(repeats):
        start = perf_counter()
        pooled(rows, pool)
        times.append(1000 * (perf_counter() - start))
    return median(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--json", type=Path, help="where to write the same as JSON")
    parser.add_argument("--pooling", action="store_true", help="measure the time of pooling")
    options = parser.parse_args()
    if options.pooling:
        times = [f"{tokens:,}: {pooling(tokens):.1f}" for tokens in (30, 300, 1000, 8192)]
        print(f"ms per text, by its tokens: {', '.join(times)}")
        return
    encoder = TorchEncoder.from_pretrained(options.model)
    print(f"nDCG@10, {encoder.model}, {encoder.dim} wide\n{HEADER}")
    table = []
    for row in rows(encoder):
        print(row, flush=True)
        table.append(row)
    if options.json:
        result = {"model": encoder.model, "rows": [asdict(row) for row in table]}
        options.json.write_text(json.dumps(result, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
