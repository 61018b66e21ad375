"""
An index in a directory at 10,000, 100,000 and a million documents, exact and optimized.

    python -m benchmarks.scale [--documents 10000 100000] [--data tiny islands] [--folder DIR]

Two sets of vectors, 1,024 wide, of unit length. `tiny`: Gaussian, with the spectrum that the
shipped model's vectors of the sample corpus have (`--fit` measures it): the i-th largest variance
is in proportion to i^-0.58 exp(-i / 55), and the mean vector has 0.14 of the length. `islands`:
2,000 centres at right angles, nearly, and documents around them, which is hard for a graph.
Lexical weights: 14 of a document and 6 of a query, whose tokens are distributed by Zipf's law.

Queries are drawn as documents are, 200 of them. Recall is the share of the true 10 nearest that
dense search found. Times are of `index.search`, a query after the other, in milliseconds: p50 and
p95 of wall time, and the median of CPU time, for a busy machine. RSS is that of the process that
searches, of which the file cache is a part; bytes are those on the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any, Literal, TypeAlias

import numpy as np

from m3kit import Document, M3Output, Record, Rep, Search, Sparse
from m3kit.optimization import Graph
from m3kit.vectors import Floats

Data: TypeAlias = Literal["tiny", "islands"]

DIM = 1024
BATCH = 5_000
QUERIES = 200
ISLANDS = 2_000
VOCABULARY = 30_000
K = 10
KINDS: dict[str, tuple[Rep, ...]] = {"dense": ("dense",), "weighted": ("dense", "sparse")}


class Generator:
    """
    Vectors of documents or of queries, batch by batch; the seed decides them.

    Args:
        data: Which of the two sets.
    """

    def __init__(self, data: Data) -> None:
        rng = np.random.default_rng(0)
        self._data = data
        ranks = np.arange(1, DIM + 1)
        self._deviations = np.sqrt(ranks**-0.58 * np.exp(-ranks / 55))
        self._deviations /= np.linalg.norm(self._deviations)
        self._mean = rng.standard_normal(DIM)
        self._mean *= np.sqrt(0.14 / 0.86) / np.linalg.norm(self._mean)
        self._centres = rng.standard_normal((ISLANDS, DIM)).astype(np.float32)
        self._centres /= np.linalg.norm(self._centres, axis=1, keepdims=True)
        weights = 1 / np.arange(10, VOCABULARY + 10)
        self._frequencies = np.cumsum(weights / weights.sum())

    def dense(self, count: int, seed: int) -> Floats:
        """Return vectors, shape `(count, dim)`."""
        rng = np.random.default_rng([1, seed])
        vectors = rng.standard_normal((count, DIM), dtype=np.float32)
        if self._data == "tiny":
            vectors = vectors * self._deviations.astype(np.float32) + self._mean.astype(np.float32)
        else:
            vectors *= 0.5 / np.sqrt(DIM)
            vectors += self._centres[rng.integers(0, ISLANDS, count)]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def sparse(self, count: int, tokens: int, seed: int) -> Iterator[Sparse]:
        """Yield lexical weights."""
        rng = np.random.default_rng([2, seed])
        draws = np.searchsorted(self._frequencies, rng.random((count, tokens)))
        weights = rng.uniform(0.05, 0.4, (count, tokens)).astype(np.float32)
        for row, values in zip(draws, weights, strict=True):
            ids = np.unique(row)
            yield Sparse(ids.astype(np.int64), values[: len(ids)])

    def outputs(self, count: int, tokens: int, seed: int) -> Iterator[M3Output]:
        """Yield both."""
        for dense, sparse in zip(
            self.dense(count, seed), self.sparse(count, tokens, seed), strict=True
        ):
            yield M3Output(dense=dense, sparse=sparse)


def build(folder: Path, data: Data, documents: int) -> dict[str, Any]:
    """Write an index."""
    from m3kit_qdrant import EdgeIndex

    generator = Generator(data)
    start = perf_counter()
    with EdgeIndex(folder, dim=DIM, reps=["dense", "sparse"]) as index:
        for first in range(0, documents, BATCH):
            outputs = generator.outputs(min(BATCH, documents - first), 14, first)
            index.upsert(
                [
                    Record(Document(f"{first + n}", "", {"n": first + n}), output)
                    for n, output in enumerate(outputs)
                ]
            )
        index.flush()
    return {"build_s": round(perf_counter() - start, 1)}


def optimize(folder: Path, graph: Graph) -> dict[str, Any]:
    """Optimize it."""
    from m3kit_qdrant import EdgeIndex

    start = perf_counter()
    with EdgeIndex(folder) as index:
        optimization = index.optimize(graph)
    return {
        "build_s": round(perf_counter() - start, 1),
        "measured": None if optimization is None else optimization.to_json(),
    }


def search(folder: Path, data: Data, truth: Path, queries: int) -> dict[str, Any]:
    """Search it, and compare with the exact answers, which are written where there are none."""
    from m3kit_qdrant import EdgeIndex

    encoded = list(Generator(data).outputs(QUERIES, 6, 10**9))[:queries]
    figures: dict[str, Any] = {}
    with EdgeIndex(folder) as index:
        for kind, reps in KINDS.items():
            index.search(Search(query=encoded[0].only(*reps), k=K))
            times, cpu_times, answers = [], [], []
            for query in encoded:
                start, cpu_start = perf_counter(), process_time()
                hits = index.search(Search(query=query.only(*reps), k=K))
                times.append(1000 * (perf_counter() - start))
                cpu_times.append(1000 * (process_time() - cpu_start))
                answers.append([hit.document.id for hit in hits])
            figures |= {
                f"{kind}_p50_ms": round(float(np.median(times)), 2),
                f"{kind}_p95_ms": round(float(np.quantile(times, 0.95)), 2),
                f"{kind}_cpu_ms": round(float(np.median(cpu_times)), 2),
            }
            if kind == "dense":
                if not truth.exists():
                    truth.write_text(json.dumps(answers), encoding="utf-8")
                exact = json.loads(truth.read_text(encoding="utf-8"))
                common = [len({*a} & {*b}) / K for a, b in zip(answers, exact, strict=True)]
                figures["recall"] = round(float(np.mean(common)), 4)
        figures |= _memory()
    stats = [path.stat() for path in folder.rglob("*")]
    return {**figures, "disk_mb": sum(stat.st_blocks * 512 for stat in stats) >> 20}


def _memory() -> dict[str, int]:
    """Return what the process holds, all of it and without files."""
    status = dict(
        line.split(":", 1)
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    )
    rss, anonymous = (int(status[name].split()[0]) >> 10 for name in ("VmRSS", "RssAnon"))
    return {"rss_mb": rss, "private_mb": anonymous}


def fit() -> dict[str, Any]:
    """Measure the spectrum of the shipped model's vectors of the sample corpus."""
    from m3kit.torch import TorchEncoder

    corpus = Path(__file__).parents[1] / "examples" / "data" / "corpus.jsonl"
    lines = corpus.read_text(encoding="utf-8").splitlines()
    encoder = TorchEncoder.from_pretrained("tiny")
    outputs = encoder.encode_documents([json.loads(line)["text"] for line in lines], ["dense"])
    vectors = np.stack([output.dense for output in outputs if output.dense is not None])
    mean = vectors.mean(axis=0)
    variances = np.linalg.eigvalsh(np.cov((vectors - mean).T))[::-1]
    ranks = np.arange(1, len(variances) + 1)
    features = np.stack([np.ones(100), np.log(ranks[:100]), ranks[:100]], axis=1)
    (_, exponent, decay), *_ = np.linalg.lstsq(features, np.log(variances[:100]), rcond=None)
    return {
        "mean": round(float(mean @ mean), 3),
        "exponent": round(float(exponent), 2),
        "decay": round(float(-1 / decay), 1),
    }


def _step(name: str, *arguments: object) -> dict[str, Any]:
    """Do a step in a process for itself, whose memory is then its own."""
    command = [sys.executable, "-m", "benchmarks.scale", "--step", name, *map(str, arguments)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: dict[str, Any] = json.loads(answer)
    return figures


def measure(folder: Path, data: Data, documents: int, graph: Graph) -> Iterator[dict[str, Any]]:
    """Yield the figures of the exact index and of the optimized one."""
    index, truth = folder / "index", folder / "truth.json"
    queries = min(QUERIES, max(20, 20_000_000 // documents))
    for form, name, arguments in (
        ("exact", "build", (data, documents)),
        ("optimized", "optimize", (json.dumps([graph.m, graph.ef_construct]),)),
    ):
        made = _step(name, index, *arguments)
        row = {"data": data, "documents": documents, "form": form, **made}
        yield {**row, **_step("search", index, data, truth, queries)}


def run_step(name: str, folder: Path, *rest: str) -> dict[str, Any]:
    """Do the step of that name."""
    data: Data = "islands" if "islands" in rest else "tiny"
    match name, rest:
        case "build", [_, documents]:
            return build(folder, data, int(documents))
        case "optimize", [numbers]:
            m, ef_construct = json.loads(numbers)
            return optimize(folder, Graph(m=m, ef_construct=ef_construct, min_documents=1_000))
        case "search", [_, truth, queries]:
            return search(folder, data, Path(truth), int(queries))
        case _:
            raise ValueError(name)


def main() -> None:
    """Print a line of JSON for each row."""
    default = Graph()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--data", choices=["tiny", "islands"], nargs="+", default=["tiny"])
    parser.add_argument("--m", type=int, default=default.m)
    parser.add_argument("--ef-construct", type=int, default=default.ef_construct)
    parser.add_argument("--folder", help="where the indexes are made: 15 GB for a million")
    parser.add_argument("--fit", action="store_true", help="measure the spectrum, and no more")
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        name, folder, *rest = options.step
        print(json.dumps(run_step(name, Path(folder), *rest)))
        return
    if options.fit:
        print(json.dumps(fit()))
        return
    graph = Graph(m=options.m, ef_construct=options.ef_construct)
    for data in options.data:
        for documents in options.documents:
            with TemporaryDirectory(dir=options.folder) as folder:
                for row in measure(Path(folder), data, documents, graph):
                    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
