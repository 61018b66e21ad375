"""
An index in a directory at 10,000, 100,000 and a million documents, exact and optimized.

    python -m benchmarks.scale [--documents 10000 100000] [--data tiny islands] [--folder DIR]
    python -m benchmarks.scale --write --documents 1000000 --folder DIR
        writes the index alone, which the next call without `--write` measures and removes

The vectors are those of `benchmarks.scale_data`. Of each index there are two rows: `exact`, whose
`build_s` is the time of writing, and `optimized`, whose `build_s` is that of `optimize` and whose
`measured` is what that recorded about itself. Recall is the share of the true 10 nearest, by NumPy,
that dense search found, of 200 queries; an exact search, which is slow, answers fewer of them.
Times are of `index.search`, a query after the other, in milliseconds: p50 and p95 of wall time, and
the median of CPU time, for a busy machine. An optimized index is searched when its files have been
read into the page cache, `warm_s` after its first search. RSS is the most that the process which
searches took, the mapped parts of files among it; bytes are those on the disk.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import numpy as np
from benchmarks.scale_data import DIM, Data, Generator, Nearest, dense_of

from m3kit import Document, M3Output, Record, Rep, Search
from m3kit.optimization import Graph
from m3kit_qdrant import EdgeIndex

_BATCH = 5_000
_QUERIES = 200
_EXACT_SCORES = 10_000_000
"""With so many documents an exact search is compared in all, but with 20 queries at least."""

_K = 10
_KINDS: dict[str, tuple[Rep, ...]] = {"dense": ("dense",), "weighted": ("dense", "sparse")}


def write(folder: Path, data: Data, documents: int) -> None:
    """Write an index, and beside it the true nearest documents of the queries."""
    generator = Generator(data, documents)
    queries = generator.queries(_QUERIES)
    nearest = Nearest(dense_of(queries), _K)
    seconds = 0.0
    with EdgeIndex(folder / "index", dim=DIM, reps=["dense", "sparse"]) as index:
        for first in range(0, documents, _BATCH):
            outputs = generator.documents(first, min(_BATCH, documents - first))
            nearest.add(first, dense_of(outputs))
            records = [
                Record(Document(f"{number}", "", {"n": number}), output)
                for number, output in enumerate(outputs, first)
            ]
            start = perf_counter()
            index.upsert(records)
            seconds += perf_counter() - start
        start = perf_counter()
        index.flush()
        seconds += perf_counter() - start
    written = {
        "documents": documents,
        "build_s": round(seconds, 1),
        "nearest": nearest.ids(),
    }
    (folder / "written.json").write_text(json.dumps(written), encoding="utf-8")


def optimize(folder: Path, graph: Graph) -> dict[str, Any]:
    """Optimize the index."""
    start = perf_counter()
    with EdgeIndex(folder / "index") as index:
        optimization = index.optimize(graph)
    return {
        "build_s": round(perf_counter() - start, 1),
        "measured": None if optimization is None else optimization.to_json(),
    }


def search(folder: Path, data: Data, queries: int, warm_up: int) -> dict[str, Any]:
    """Search the index as it is, first for other queries."""
    written = json.loads((folder / "written.json").read_text(encoding="utf-8"))
    nearest = written["nearest"]
    generator = Generator(data, written["documents"])
    outputs = generator.queries(_QUERIES)[:queries]
    others = generator.queries(warm_up, seed=1)
    figures: dict[str, Any] = {}
    with EdgeIndex(folder / "index") as index:
        start = perf_counter()
        index.search(Search(query=others[0], k=_K))
        if (cache := index._engine._page_cache) is not None:  # noqa: SLF001
            cache.wait()
            figures["warm_s"] = round(perf_counter() - start, 1)
        for kind, reps in _KINDS.items():
            for output in others:
                index.search(Search(query=output.only(*reps), k=_K))
            times, answers = _times(index, [output.only(*reps) for output in outputs])
            figures |= {f"{kind}_{name}": milliseconds for name, milliseconds in times.items()}
            if kind == "dense":
                common = [len({*a} & {*b}) / _K for a, b in zip(answers, nearest, strict=False)]
                figures["recall"] = round(float(np.mean(common)), 4)
        figures |= _memory()
    stats = [path.stat() for path in (folder / "index").rglob("*")]
    return {**figures, "disk_mb": sum(stat.st_blocks * 512 for stat in stats) >> 20}


def _times(index: EdgeIndex, queries: list[M3Output]) -> tuple[dict[str, float], list[list[str]]]:
    """Time each search, and return the ids of its hits, too."""
    wall, cpu, answers = [], [], []
    for query in queries:
        start, cpu_start = perf_counter(), process_time()
        hits = index.search(Search(query=query, k=_K))
        wall.append(1000 * (perf_counter() - start))
        cpu.append(1000 * (process_time() - cpu_start))
        answers.append([hit.document.id for hit in hits])
    p50, p95 = np.quantile(wall, [0.5, 0.95])
    times = {"p50_ms": p50, "p95_ms": p95, "cpu_ms": np.median(cpu)}
    return {name: round(float(time), 2) for name, time in times.items()}, answers


def _memory() -> dict[str, int]:
    """Return the most that the process took, and what it holds that is no file's."""
    status = dict(
        line.split(":", 1)
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    )
    rss, anonymous = (int(status[name].split()[0]) >> 10 for name in ("VmHWM", "RssAnon"))
    return {"rss_mb": rss, "private_mb": anonymous}


def _step(name: str, *arguments: object) -> dict[str, Any]:
    """Do a step in a process for itself, whose memory is then its own."""
    command = [sys.executable, "-m", "benchmarks.scale", "--step", name, *map(str, arguments)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: dict[str, Any] = json.loads(answer)
    return figures


def measure(folder: Path, data: Data, documents: int, graph: Graph) -> Iterator[dict[str, Any]]:
    """Yield the figures of the exact index and of the optimized one."""
    row = {"data": data, "documents": documents}
    written = json.loads((folder / "written.json").read_text(encoding="utf-8"))
    queries = min(_QUERIES, max(20, _EXACT_SCORES // documents))
    searched = _step("search", folder, data, queries, 1)
    yield {**row, "form": "exact", "build_s": written["build_s"], **searched}
    optimized = _step("optimize", folder, graph.m, graph.ef_construct, graph.recall)
    searched = _step("search", folder, data, _QUERIES, _QUERIES)
    yield {**row, "form": "optimized", **optimized, **searched}


def run_step(name: str, folder: Path, *rest: str) -> dict[str, Any]:
    """Do the step of that name."""
    match name, rest:
        case "optimize", [m, ef_construct, recall]:
            graph = Graph(
                m=int(m), ef_construct=int(ef_construct), recall=float(recall), min_documents=1_000
            )
            return optimize(folder, graph)
        case "search", ["tiny" | "islands" as data, queries, warm_up]:
            return search(folder, data, int(queries), int(warm_up))
        case _:
            raise ValueError(name)


def main() -> None:
    """Print a line of JSON for each row."""
    default = Graph()
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--documents", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--data", choices=["tiny", "islands"], nargs="+", default=["tiny"])
    parser.add_argument("--m", type=int, default=default.m)
    parser.add_argument("--ef-construct", type=int, default=default.ef_construct)
    parser.add_argument("--recall", type=float, default=default.recall)
    parser.add_argument("--folder", type=Path, help="where indexes are: 15 GB for a million")
    parser.add_argument("--write", action="store_true", help="write indexes into --folder alone")
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        name, folder, *rest = options.step
        print(json.dumps(run_step(name, Path(folder), *rest)))
        return
    if options.write and options.folder is None:
        parser.error("--write needs --folder, where the indexes stay")
    graph = Graph(m=options.m, ef_construct=options.ef_construct, recall=options.recall)
    with ExitStack() as stack:
        parent = options.folder or Path(stack.enter_context(TemporaryDirectory()))
        for data in options.data:
            for documents in options.documents:
                folder = parent / f"{data}-{documents}"
                if not (folder / "written.json").exists():
                    rmtree(folder, ignore_errors=True)
                    write(folder, data, documents)
                if not options.write:
                    for row in measure(folder, data, documents, graph):
                        print(json.dumps(row), flush=True)
                    rmtree(folder)


if __name__ == "__main__":
    main()
