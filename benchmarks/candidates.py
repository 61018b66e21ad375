"""
What finds ColBERT's best documents: how much of its exact top 10 is among the candidates.

    python -m benchmarks.candidates [--model tiny] [DATA]

An index compares ColBERT vectors of a few candidates, which something cheaper must have found. This
takes the exact ten best by ColBERT of every query, and prints which share of them the dense vector,
the sparse one, both, and a fixed-dimensional encoding find among their best 50 and 100. DATA is a
test collection, as `m3kit evaluate` takes it; by default the sample corpus in all languages.

The fixed-dimensional encoding is MUVERA's (Dhulipala et al., NeurIPS 2024): the space is cut by
random hyperplanes, a query adds up its vectors in each part, a document takes their mean, or in a
part without any the vector that is nearest by its bits; each part is projected at random.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from benchmarks.sample_corpus import DATA, lines

from m3kit import CachedEncoder, Document, Encoder
from m3kit._batching import batched
from m3kit.evaluation import MODES, Dataset, Run, evaluate, load_dataset, overlap, read_folder
from m3kit.scoring import require
from m3kit.torch import TorchEncoder
from m3kit.vectors import Floats

DEPTHS = (50, 100)
TOP = 10


@dataclass(frozen=True, slots=True)
class FixedDimensionalEncoding:
    """
    One vector for many, whose inner product estimates the sum of MaxSim.

    Args:
        dim: The width of the vectors.
        repetitions: How often the space is cut anew.
        bits: Hyperplanes of each cut: 2 ** bits parts.
        projected: The width that each part is projected to.
    """

    dim: int
    repetitions: int = 20
    bits: int = 4
    projected: int = 32

    @property
    def width(self) -> int:
        """The width of the one vector."""
        return int(self.repetitions * 2**self.bits * self.projected)

    def query(self, rows: Floats) -> Floats:
        """Encode a query's vectors, shape `(tokens, dim)`."""
        return self._encoded(rows, is_query=True)

    def document(self, rows: Floats) -> Floats:
        """Encode a document's vectors, shape `(tokens, dim)`."""
        return self._encoded(rows, is_query=False)

    def _encoded(self, rows: Floats, *, is_query: bool) -> Floats:
        random = np.random.default_rng(0)
        parts = []
        for _ in range(self.repetitions):
            planes = random.standard_normal((self.dim, self.bits))
            signs = random.choice([-1.0, 1.0], (self.dim, self.projected))
            bits = rows @ planes > 0
            part = bits @ (2 ** np.arange(self.bits))
            sums = np.zeros((2**self.bits, self.dim))
            np.add.at(sums, part, rows)
            if not is_query:
                counts = np.bincount(part, minlength=2**self.bits)
                sums /= np.maximum(counts, 1)[:, None]
                empty = np.flatnonzero(counts == 0)
                wanted = empty[:, None] >> np.arange(self.bits) & 1
                differing = (wanted[:, None, :] != bits[None]).sum(axis=2)
                sums[empty] = rows[differing.argmin(axis=1)]
            parts.append(sums @ signs / np.sqrt(self.projected))
        return np.concatenate(parts).ravel().astype(np.float32)


def encoded_run(encoder: Encoder, dataset: Dataset, k: int) -> Run:
    """Search by the fixed-dimensional encoding alone, exactly."""
    encoding = FixedDimensionalEncoding(encoder.dim)
    outputs = encoder.encode_queries(list(dataset.queries.values()), ["colbert"])
    queries = np.stack([encoding.query(require(output.colbert, "colbert")) for output in outputs])
    ids: list[str] = []
    scores: list[Floats] = []
    for batch in batched(dataset.documents(), 128):
        rows = encoder.encode_documents([document.text for document in batch], ["colbert"])
        vectors = [encoding.document(require(output.colbert, "colbert")) for output in rows]
        ids += [document.id for document in batch]
        scores.append(queries @ np.stack(vectors).T)
    table = np.concatenate(scores, axis=1)
    return {
        query: [(ids[place], float(row[place])) for place in (-row).argsort(kind="stable")[:k]]
        for query, row in zip(dataset.queries, table, strict=True)
    }


def sample() -> Dataset:
    """Give the passages of all languages, and all queries."""
    documents = [Document(**line) for line in lines("corpus.jsonl")]  # type: ignore[arg-type]  # str, str, dict
    queries = {query["id"]: query["text"] for query in lines("queries.jsonl")}
    return Dataset(
        name=f"{DATA.name}, all languages",
        documents=lambda: iter(documents),
        queries=queries,
        qrels={query: {documents[0].id: 1} for query in queries},  # nothing is measured by them
    )


def shares_of_top(encoder: Encoder, dataset: Dataset) -> dict[str, list[float]]:
    """Return the share of ColBERT's exact top 10 at each depth, by what finds candidates."""
    cached = CachedEncoder(encoder, max_bytes=2**30)
    names = ("colbert", "dense", "sparse", "dense+sparse")
    encoding = FixedDimensionalEncoding(encoder.dim)
    title = f"fixed-dimensional encoding, {encoding.width:,} wide"
    runs = evaluate(
        cached,
        dataset,
        modes=[MODES[name] for name in names],
        measures=["R@10"],
        baselines={title: lambda data, k: encoded_run(cached, data, k)},
        k=max(DEPTHS),
        candidates=max(DEPTHS),
    ).runs
    return {
        name: [overlap(run, runs["colbert"], TOP, depth=depth) for depth in DEPTHS]
        for name, run in runs.items()
        if name != "colbert"
    }


def table(shares: dict[str, list[float]]) -> Iterable[str]:
    """Yield the lines of the table."""
    yield f"| candidates by | {' | '.join(f'best {depth}' for depth in DEPTHS)} |"
    yield f"|---|{'---:|' * len(DEPTHS)}"
    for name, values in shares.items():
        yield f"| {name} | {' | '.join(f'{value:.3f}' for value in values)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("data", nargs="?", metavar="DATA", help="a folder, or a name as miracl:de")
    parser.add_argument("--model", default="tiny")
    options = parser.parse_args(arguments)
    encoder = TorchEncoder.from_pretrained(options.model)
    dataset = sample()
    if options.data:
        by_name = ":" in options.data or options.data == "narrativeqa"
        dataset = load_dataset(options.data) if by_name else read_folder(options.data)
    print(f"Share of ColBERT's exact top {TOP}, {dataset.name}, {encoder.model}")
    print(*table(shares_of_top(encoder, dataset)), sep="\n")


if __name__ == "__main__":
    main()
