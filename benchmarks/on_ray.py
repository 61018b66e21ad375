"""
Indexing by Ray's workers beside the plain pipeline, with the shipped model and the same server.

    python -m benchmarks.on_ray qdrant://localhost:6333 [--documents 5000] [--workers 1 2]

The overhead is what one worker takes longer than the process alone; the time includes starting
workers, which load the model. Collections are made with new names, and left.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from time import perf_counter
from uuid import uuid4

import ray

from m3kit import Document, open_index
from m3kit.ingest import sync
from m3kit.ingest.on_ray import Workers, sync_on_ray
from m3kit.torch import TorchEncoder


def load() -> TorchEncoder:
    """Load the model."""
    return TorchEncoder.from_pretrained("tiny")


def documents(count: int) -> Iterator[Document]:
    """Yield texts of some 60 tokens."""
    for n in range(count):
        words = " ".join(f"number {n * k % 9973}" for k in range(1, 16))
        yield Document(f"{n}", f"Document {n}: {words}")


def measure(server: str, count: int, workers: int | None) -> dict[str, object]:
    """Index once, by so many workers, or by this process alone."""
    address = f"{server}/bench_{uuid4().hex[:8]}"
    encoder = load()
    with open_index(address, encoder=encoder, reps=["dense", "sparse"]) as index:
        start = perf_counter()
        if workers is None:
            sync(encoder, index, documents(count))
        else:
            sync_on_ray(
                load, encoder, index, address, documents(count), workers=Workers(count=workers)
            )
        seconds = perf_counter() - start
        stored = index.count()
    return {
        "workers": workers or "none",
        "documents": stored,
        "seconds": round(seconds, 1),
        "rate": round(count / seconds),
    }


def main() -> None:
    """Print a line of JSON for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", help="such as qdrant://localhost:6333")
    parser.add_argument("--documents", type=int, default=5_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    ray.init(log_to_driver=False, include_dashboard=False)
    for workers in (None, *options.workers):
        print(json.dumps(measure(options.server, options.documents, workers)), flush=True)


if __name__ == "__main__":
    main()
