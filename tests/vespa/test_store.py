"""Writing, reading and deleting documents on Vespa's own Java."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.vespa.drawn import drawn

from m3kit.filters import All, Ids, Range
from m3kit.index import DocumentError, Search
from m3kit.records import Document, Record
from m3kit.testing import DOCUMENTS, query, records
from m3kit.vectors import REPS, M3Output, Sparse
from m3kit_vespa import VespaIndex
from m3kit_vespa.vectors import TOKEN_ID_LIMIT

pytestmark = pytest.mark.peer
Emptied = Callable[[str], VespaIndex]


ODD_IDS = [
    "a//b", "a/../b", "./x", "..", ".", "%2e%2e", "?a=b&c#d", "id:x:y::z", "\x00\x1f", "\ufffe",
    "\ue000", "l\nine", "x" * 9000, "b",
]  # fmt: skip


def test_no_id_overwrites_another(emptied: Emptied) -> None:
    index = emptied("typed")
    documents = [
        Document(id_, f"{id_} \x07 \ufdd0 text", {"n": n, id_[:9]: id_})
        for n, id_ in enumerate(ODD_IDS)
    ]
    index.upsert(records(documents))
    assert index.count() == len(ODD_IDS)
    assert [record.document for record in index.get(ODD_IDS)] == documents
    hits = index.search(Search(query=query("text", "dense"), k=99))
    assert {hit.document.id: hit.document for hit in hits} == {
        document.id: document for document in documents
    }
    index.delete(["a//b", "./x", ".."])
    assert index.count(Ids(("a/../b", "a//b"))) == 1


@pytest.mark.parametrize("value", [1990.5, 2.0**63, -(2**63)], ids=repr)
def test_a_value_that_an_attribute_cannot_hold_is_refused(emptied: Emptied, value: float) -> None:
    index = emptied("typed")
    with pytest.raises(DocumentError, match=r"document 'b' holds .* 'year': float"):
        index.upsert(records([Document("a", ""), Document("b", "", {"year": value})]))
    assert index.count() == 0


def test_a_token_that_vespa_cannot_hold_is_refused_and_not_sought(emptied: Emptied) -> None:
    index = emptied("typed")
    (good,) = records([Document("a", "bear")])
    huge = Sparse(np.array([TOKEN_ID_LIMIT], np.int64), np.array([1], np.float32))
    bad = Record(
        Document("b", ""),
        M3Output(dense=good.output.dense, sparse=huge, colbert=good.output.colbert),
    )
    with pytest.raises(DocumentError, match=f"'b' has the token {TOKEN_ID_LIMIT}"):
        index.upsert([good, bad])
    assert index.count() == 0
    index.upsert([good])
    assert index.search(Search(query=M3Output(sparse=huge))) == []


def test_a_visit_continues_page_by_page(emptied: Emptied, monkeypatch: pytest.MonkeyPatch) -> None:
    index = emptied("typed")
    index.upsert(drawn(150))
    monkeypatch.setattr("m3kit_vespa.client._VISITED", 20)
    monkeypatch.setattr("m3kit_vespa.store._LISTED", 20)
    assert len({record.document.id for record in index.scan(None, REPS)}) == 150
    years = [record.document.metadata["year"] for record in index.scan(Range("year", lt=1996))]
    assert len(years) == sum(1990 + n % 9 < 1996 for n in range(150))
    index.delete_where(Range("year", lt=1996))
    assert index.count() == 150 - len(years)


def test_threads_may_share_an_index(emptied: Emptied) -> None:
    index = emptied("typed")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda record: index.upsert([record]), drawn(60)))
        vectors = query("the bear", "dense", "sparse")
        results = list(pool.map(lambda _: index.search(Search(query=vectors, k=5)), range(8)))
    assert index.count() == 60
    assert all(hits == results[0] for hits in results)


def test_all_documents_are_deleted_at_once(emptied: Emptied) -> None:
    index = emptied("typed")
    index.upsert(records(DOCUMENTS))
    index.delete_where(All())
    assert index.count() == 0
