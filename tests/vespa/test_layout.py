"""How documents lie in a schema: in one that m3kit made, and in one of your own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from tests.vespa.application import NOTEBOOK
from tests.vespa.drawn import drawn, output
from vespa.application import Vespa

from m3kit.filters import All, Contains, Eq, Exists, Filter, Ids, In, Range, Substring
from m3kit.fusion import RRF, Fusion, WeightedSum
from m3kit.index import DocumentError, HybridIndex, Search
from m3kit.memory import MemoryIndex
from m3kit.records import Document, Record
from m3kit.testing import DIM, assert_same_hits, assert_same_vectors, query, records
from m3kit.vectors import REPS, M3Output, Rep, Sparse
from m3kit_vespa import VespaIndex

pytestmark = pytest.mark.peer
Emptied = Callable[[str], VespaIndex]


FUSIONS: list[Fusion] = [RRF(), RRF(7), WeightedSum(), WeightedSum(0.4, 0.2, 0.4)]


SEVERAL: list[tuple[Rep, ...]] = [reps for size in (1, 2, 3) for reps in combinations(REPS, size)]


METADATA: dict[str, Any] = {
    "lang": "De", "year": 2024.0, "price": 1.5, "open": True, "tags": ["a", 1, "ü"],
    "sizes": [3, 4.0, "x"], "author": 'O"Neill', "at": {"page": [1, None]},
}  # fmt: skip


def test_a_document_lies_in_fields_of_its_own_names(emptied: Emptied, app: Vespa) -> None:
    index = emptied("typed")
    index.upsert(records([Document("a/b", "the bear", METADATA)]))
    yql = 'select * from typed where id contains "a/b"'
    body = {"yql": yql, "ranking": "unranked", "timeout": "9s"}
    answer: Any = app.query(body=body)
    (fields,) = (hit["fields"] for hit in answer.hits)
    declared = {"lang": "De", "year": 2024, "price": 1.5, "open": True, "tags": ["a", "ü"]}
    assert fields.items() >= {**declared, "sizes": [3, 4], "text": "the bear"}.items()
    assert json.loads(fields["metadata"]) == METADATA
    assert fields["terms"] == [
        '["tags"]', '["tags",[1]]', '["sizes"]', '["sizes",["x"]]', '["author"]',
        r'["author","O\"Neill"]', '["at"]', '[["at","page"]]', '[["at","page"],[1]]',
    ]  # fmt: skip
    assert index.get(["a/b"])[0].document.metadata == METADATA


@pytest.mark.parametrize(
    "where",
    [
        'lang contains "De"',
        "year = 2024",
        "year > 2020 and year < 2025",
        "price > 1.2",
        "open = true",
        'tags contains "ü"',
        "sizes = 4",
        r"terms contains '[\"author\",\"O\\\"Neill\"]'",
    ],
)
def test_pyvespa_filters_what_m3kit_wrote(emptied: Emptied, app: Vespa, where: str) -> None:
    other = Document("b", "y", {"lang": 1, "year": "2024", "open": "true"})
    index = emptied("typed")
    index.upsert(records([Document("a", "x", METADATA), other]))
    yql = f"select id, text from typed where {where}"  # noqa: S608  # of this test
    answer: Any = app.query(body={"yql": yql, "ranking": "unranked", "timeout": "9s"})
    assert [(hit["fields"]["id"], hit["fields"]["text"]) for hit in answer.hits] == [("a", "x")]
    matching = index.scan(Range("year", ge=2024) & Substring("lang", "D"))
    assert [record.document.id for record in matching] == ["a"]


def test_m3kit_finds_what_pyvespa_wrote(emptied: Emptied, app: Vespa) -> None:
    """Documents without m3kit's own fields: terms, salt, the metadata as JSON."""
    index = emptied("typed")
    dense = query("the bear", "dense").dense
    assert dense is not None
    fields = {"id": "mine", "text": "the bear", "lang": "de", "year": 2024, "tags": ["a"]}
    app.feed_data_point("typed", "mine", {**fields, "dense": dense.tolist()})
    for where in (
        Eq("lang", "de"), In("year", (2023, 2024)), Contains("tags", "a"), Range("year", gt=2020),
        Exists("year"), Substring("lang", "e"), Ids(("mine",)), ~Eq("lang", "en"),
    ):  # fmt: skip
        search = Search(query=query("the bear", "dense"), where=where)
        assert [hit.document.text for hit in index.search(search)] == ["the bear"], where
        assert index.count(where) == 1
    index.delete_where(Eq("lang", "de"))
    assert index.count() == 0


@pytest.fixture(scope="module")
def notebook(app: Vespa) -> Iterator[tuple[VespaIndex, MemoryIndex]]:
    """The M3 notebook's schema with documents, and the oracle of what its bfloat16 keeps."""
    index = VespaIndex(app, "m", dim=DIM, fields=NOTEBOOK, field_types={"year": int})
    oracle = MemoryIndex(DIM)
    for record in drawn(40):
        index.upsert([record])
        oracle.upsert([Record(record.document, truncated(record.output))])
    yield index, oracle
    index.delete_where(All())
    assert index.count() == 0


def truncated(whole: M3Output) -> M3Output:
    """What Vespa makes of floats in cells of bfloat16."""

    def cut(values: Any) -> Any:
        return (np.ascontiguousarray(values).view(np.uint32) & 0xFFFF0000).view(np.float32)

    assert whole.sparse is not None
    sparse = Sparse(whole.sparse.ids, cut(whole.sparse.weights))
    return M3Output(dense=cut(whole.dense), sparse=sparse, colbert=cut(whole.colbert))


@pytest.mark.parametrize("reps", SEVERAL, ids="+".join)
def test_an_existing_schema_gives_m3s_scores(
    notebook: tuple[VespaIndex, MemoryIndex], reps: Sequence[Rep]
) -> None:
    index, oracle = notebook
    vectors = output(np.random.default_rng(3)).only(*reps)
    where: list[Filter | None] = [None, Range("year", ge=1994)]
    for number, fusion in enumerate(FUSIONS):
        search = Search(
            query=vectors,
            k=4,
            candidates=9,
            fusion=fusion,
            with_scores=True,
            where=where[number % 2],
        )
        assert_same_hits(index.search(search), oracle.search(search))


def test_an_existing_schemas_documents_are_read_written_and_deleted(
    notebook: tuple[VespaIndex, HybridIndex],
) -> None:
    index, oracle = notebook
    (stored,) = index.get(["3", "unheardof"], REPS)
    (expected,) = oracle.get(["3"], REPS)
    assert stored.document == expected.document
    assert_same_vectors(stored.output, expected.output, REPS)
    years = Range("year", lt=1993)
    assert index.count() == oracle.count() == 40
    assert index.count(years) == oracle.count(years)
    assert {record.document.id for record in index.scan(years)} == {
        record.document.id for record in oracle.scan(years)
    }
    index.upsert(records([Document("new", "bear", {"year": 1})]))
    index.delete(["new", "unheardof"])
    assert index.get(["new"]) == []
    with pytest.raises(DocumentError, match="URLs shorten"):
        index.upsert(records([Document("a/../b", "")]))
