"""
MaxSim over stored documents, block by block from a mapped file, beside NumPy doing it plainly.

    python -m benchmarks.maxsim [--documents 100000] [--tokens 32] [--dim 1024] [--folder DIR]
    python -m benchmarks.maxsim --write --folder DIR
        writes the file alone, which the next call without `--write` measures and removes

Both score every document for a query of 16 tokens, from the same file of float16 (6.6 GB by
default), of random vectors that are repeated after 1,000 documents. Plainly is a product, a maximum
and a mean for each document. They take turns. Memory is what the process holds beside the file's
pages, which are the system's cache.
"""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import numpy as np

from m3kit.mapped_colbert import StackedWriter, open_stacked
from m3kit.scoring import Stacked, maxsim
from m3kit.vectors import Floats

_QUERY_TOKENS = 16
_ROUNDS = 2
_DIFFERENT = 1_000


def plainly(query: Floats, stacked: Stacked) -> Floats:
    """Score each document by itself."""
    ends = [*stacked.starts[1:].tolist(), stacked.total]
    scores = [
        (query @ stacked.tokens[start:end].astype(np.float32).T).max(axis=1).mean()
        for start, end in zip(stacked.starts.tolist(), ends, strict=True)
    ]
    return np.array(scores, np.float32)


def write(folder: Path, documents: int, tokens: int, dim: int) -> None:
    """Write random unit vectors."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((min(documents, _DIFFERENT), tokens, dim), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    with StackedWriter(folder, dim) as writer:
        for number in range(documents):
            writer.add(rows[number % len(rows)])


def measure(folder: Path, dim: int) -> dict[str, object]:
    """Let both score, in turns; the best of a few rounds counts."""
    stacked = open_stacked(folder)
    query = np.random.default_rng(1).standard_normal((_QUERY_TOKENS, dim)).astype(np.float32)
    query /= np.linalg.norm(query, axis=1, keepdims=True)
    ways = {"blocks": maxsim, "plainly": plainly}
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    scores: dict[str, Floats] = {}
    for _ in range(_ROUNDS):
        for name, score in ways.items():
            start, cpu_start = perf_counter(), process_time()
            scores[name] = score(query, stacked)
            wall[name].append(perf_counter() - start)
            cpu[name].append(process_time() - cpu_start)
    np.testing.assert_allclose(scores["blocks"], scores["plainly"], atol=1e-5)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    private = next(line for line in status.splitlines() if line.startswith("RssAnon"))
    return {
        "documents": len(stacked),
        "file_gb": round(stacked.tokens.nbytes / 1e9, 2),
        **{f"{name}_s": round(min(times), 2) for name, times in wall.items()},
        **{f"{name}_cpu_s": round(min(times), 2) for name, times in cpu.items()},
        "private_mb": int(private.split()[1]) >> 10,
    }


def main() -> None:
    """Print a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--folder", type=Path, help="where the file is written")
    parser.add_argument("--write", action="store_true", help="write the file into --folder alone")
    options = parser.parse_args()
    if options.write and options.folder is None:
        parser.error("--write needs --folder, where the file stays")
    with ExitStack() as stack:
        parent = options.folder or Path(stack.enter_context(TemporaryDirectory()))
        folder = parent / f"stacked-{options.documents}-{options.tokens}-{options.dim}"
        if not folder.exists():
            write(folder, options.documents, options.tokens, options.dim)
        if not options.write:
            print(json.dumps(measure(folder, options.dim)))
            rmtree(folder)


if __name__ == "__main__":
    main()
