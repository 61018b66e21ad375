"""The exact search of a stream answers as `MemoryIndex` does, to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.conftest import Drawn, numbers

from m3kit import MemoryIndex, Record, Search
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
@pytest.mark.parametrize(("k", "candidates", "size"), [(10, 15, 7), (3, 3, 1), (30, 30, 200)])
def test_every_mode_answers_as_the_oracle(mode: Mode, k: int, candidates: int, size: int) -> None:
    dataset = numbers(160)
    index, search = memory(dataset), streamed(dataset, max(k, candidates), size)
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


def test_it_holds_no_more_for_more_documents() -> None:
    sizes = []
    for count in (200, 2000):
        search = streamed(numbers(count, distinct=10**5), 10, 50)
        sizes.append(sum(len(pool.ids) for pool in search._pools))
    assert sizes[1] <= len(numbers(1).queries) * 3 * (2 * 10 + 50)
    assert sizes[1] < 2 * sizes[0]


def test_more_than_is_held_is_refused() -> None:
    search = streamed(numbers(20), 5, 10)
    with pytest.raises(EvaluationError, match="only the best 5 are held"):
        search.rank(0, Search(query=search.queries[0], k=5))
