"""The exact search of a stream answers as `MemoryIndex` does, to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.conftest import Drawn, numbers

from m3kit import Document, M3Output, MemoryIndex, Record, Rep, Search, Sparse
from m3kit._batching import batched
from m3kit.evaluation import MODES, Dataset, EvaluationError, ExactSearch, Mode

ENCODER = Drawn()


def memory(dataset: Dataset) -> MemoryIndex:
    index = MemoryIndex(encoder=ENCODER)
    documents = list(dataset.documents())
    outputs = ENCODER.encode_documents([document.text for document in documents])
    index.upsert([Record(*pair) for pair in zip(documents, outputs, strict=True)])
    return index


def streamed(
    dataset: Dataset, depth: int, size: int, *, first: int = 0, search: ExactSearch | None = None
) -> ExactSearch:
    queries = ENCODER.encode_queries(list(dataset.queries.values()))
    search = search or ExactSearch(queries, reps=ENCODER.reps, depth=depth, scan_colbert=True)
    for batch in batched(list(dataset.documents())[first:], size):
        outputs = ENCODER.encode_documents([document.text for document in batch])
        search.add([document.id for document in batch], outputs)
    return search


@pytest.mark.parametrize("mode", MODES.values(), ids=lambda mode: mode.name)
@pytest.mark.parametrize(
    "limits",
    [(10, 15, 7, 400, 2**14), (3, 3, 1, 1, 2**14), (30, 30, 200, 2**21, 1)],
    ids="k={0[0]}".format,
)
def test_every_mode_answers_as_the_oracle(
    mode: Mode, limits: tuple[int, int, int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    k, candidates, block, cells, shared = limits
    monkeypatch.setattr("m3kit.evaluation.exact._BLOCK", block)
    monkeypatch.setattr("m3kit.evaluation.pair_scores._CELLS", cells)
    monkeypatch.setattr("m3kit.evaluation.pair_scores.SHARED_TOKENS", shared)
    dataset = numbers(160)
    index, search = memory(dataset), streamed(dataset, max(k, candidates), 40)
    for position, query in enumerate(search.queries):
        request = Search(
            query=query.only(*mode.reps), k=k, fusion=mode.fusion, candidates=candidates
        )
        expected = [(hit.document.id, hit.score) for hit in index.search(request)]
        assert [(hit.name, hit.score) for hit in search.rank(position, request)] == expected


def test_what_is_saved_goes_on_where_it_was(tmp_path: Path) -> None:
    dataset = numbers(120)
    half = streamed(
        Dataset(
            name="half",
            documents=lambda: iter(list(dataset.documents())[:60]),
            queries=dataset.queries,
        ),
        10,
        20,
    )
    half.save(tmp_path / "state.npz")
    again = ExactSearch(half.queries, reps=ENCODER.reps, depth=10, scan_colbert=True)
    with np.load(tmp_path / "state.npz") as state:
        again.load(state)
    streamed(dataset, 10, 20, first=60, search=again)
    whole = streamed(dataset, 10, 20)
    for position, query in enumerate(whole.queries):
        request = Search(query=query, k=10, candidates=10)
        assert again.rank(position, request) == whole.rank(position, request)


@pytest.mark.parametrize("dim", [48, 1024])
@pytest.mark.parametrize("reps", [("dense", "sparse", "colbert"), ("colbert",)])
def test_scores_are_those_of_the_oracle_whatever_the_lengths(
    dim: int, reps: tuple[Rep, ...]
) -> None:
    generator = np.random.default_rng(dim)
    queries = [drawn(generator, int(length), dim) for length in generator.integers(1, 40, 25)]
    documents = [drawn(generator, length, dim) for length in [1, 2, 63, 64, 65, 128, 129, 200] * 3]
    index = MemoryIndex(dim, reps=reps)
    names = [f"d{number}" for number in range(len(documents))]
    index.upsert(
        [
            Record(Document(name, ""), output.only(*reps))
            for name, output in zip(names, documents, strict=True)
        ]
    )
    search = ExactSearch(queries, reps=reps, depth=24, scan_colbert=True)
    search.add(names, documents)
    for position, query in enumerate(queries):
        request = Search(query=query.only(*reps), k=24, candidates=24, with_scores=True)
        expected = [(hit.document.id, hit.score, hit.scores) for hit in index.search(request)]
        ranked = search.rank(position, request)
        assert [(entry.name, entry.score, entry.scores) for entry in ranked] == expected


def drawn(generator: np.random.Generator, tokens: int, dim: int) -> M3Output:
    vectors = generator.standard_normal((tokens, dim), dtype=np.float32)
    ids = np.unique(generator.integers(0, 50, tokens))
    weights = generator.random(len(ids), dtype=np.float32) + np.float32(0.01)
    return M3Output(dense=vectors[0], sparse=Sparse(ids, weights), colbert=vectors)


def test_it_holds_no_more_for_more_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("m3kit.evaluation.exact._BLOCK", 50)
    monkeypatch.setattr("m3kit.evaluation.pools.MANY", 100)
    sizes, names = [], []
    for count in (200, 2000):
        search = streamed(numbers(count, distinct=10**5), 10, 50)
        sizes.append(sum(len(pool.entries) + len(pool.pending) for pool in search._pools))
        names.append(len(search._names.by_number))
    assert sizes[1] <= len(numbers(1).queries) * 3 * (2 * 10 + 50)
    assert 0 < sizes[1] < 2 * sizes[0]
    assert 0 < names[1] < 2 * names[0]


def test_more_than_is_held_is_refused() -> None:
    search = streamed(numbers(20), 5, 10)
    with pytest.raises(EvaluationError, match="only the best 5 are held"):
        search.rank(0, Search(query=search.queries[0], k=5))
