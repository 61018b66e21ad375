"""`VespaIndex` on Vespa's own Java: what is its own, beside what every index does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from httpr import ConnectError
from tests.vespa.application import FORMS, NOTEBOOK
from vespa.application import Vespa, VespaSync
from vespa.exceptions import VespaError

from m3kit.adapters.storage import ColbertStorage
from m3kit.filters import All, Eq, Filter, Ids, Range, Substring
from m3kit.fusion import RRF, Fusion, WeightedSum
from m3kit.index import DocumentError, HybridIndex, IndexNotFoundError, Search
from m3kit.memory import MemoryIndex
from m3kit.records import Document, Record
from m3kit.testing import DIM, DOCUMENTS, assert_same_hits, assert_same_vectors, query, records
from m3kit.vectors import REPS, M3Output, Rep, Sparse
from m3kit_vespa import VespaIndex
from m3kit_vespa.client import AnswerError, FeedError
from m3kit_vespa.spelling import digest
from m3kit_vespa.vectors import TOKEN_ID_LIMIT

pytestmark = pytest.mark.peer
Emptied = Callable[[str], VespaIndex]
FUSIONS: list[Fusion] = [RRF(), RRF(7), WeightedSum(), WeightedSum(0.4, 0.2, 0.4)]
SEVERAL: list[tuple[Rep, ...]] = [reps for size in (1, 2, 3) for reps in combinations(REPS, size)]


def drawn(n: int) -> list[Record]:
    """Records whose scores never tie, as those of a real model hardly do."""
    rng = np.random.default_rng(7)
    return [
        Record(Document(f"{i}", f"text {i}", {"year": 1990 + i % 9}), output(rng)) for i in range(n)
    ]


def output(rng: np.random.Generator) -> M3Output:
    ids = np.sort(rng.choice(90, rng.integers(3, 15), replace=False)).astype(np.int64)
    colbert = rng.standard_normal((rng.integers(2, 9), DIM)).astype(np.float32)
    dense = rng.standard_normal(DIM).astype(np.float32)
    return M3Output(
        dense=dense / np.linalg.norm(dense),
        sparse=Sparse(ids, rng.uniform(0.01, 0.5, len(ids)).astype(np.float32)),
        colbert=colbert / np.linalg.norm(colbert, axis=1, keepdims=True),
    )


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The bodies of the queries that pyvespa sends from now on."""
    sent: list[Any] = []
    send = VespaSync.query

    def counted(self: VespaSync, body: Any = None, **how: Any) -> Any:
        sent.append(body)
        return send(self, body, **how)

    monkeypatch.setattr(VespaSync, "query", counted)
    return sent


@pytest.mark.parametrize("schema", ["typed", "wands", *FORMS])
def test_a_search_equals_the_oracles_and_is_one_request(
    emptied: Emptied, schema: str, requests: list[Any]
) -> None:
    index = emptied(schema)
    storage = FORMS.get(schema, ColbertStorage())
    oracle = MemoryIndex(DIM, colbert=storage)
    for one in (index, oracle):
        one.upsert(drawn(70))
    rng = np.random.default_rng(11)
    where: list[Filter | None] = [None, Eq("year", 1993) | Eq("year", 1996)]
    for number, reps in enumerate(SEVERAL * 2):
        asked = output(rng).only(*reps)
        for fusion in FUSIONS:
            search = Search(
                query=asked,
                k=4,
                candidates=9,
                fusion=fusion,
                with_scores=True,
                where=where[number % 2],
            )
            requests.clear()
            assert_same_hits(index.search(search), oracle.search(search))
            assert len(requests) == 1
            assert all("timeout" in body for body in requests)


def test_more_hits_than_vespa_gives_by_default(emptied: Emptied) -> None:
    index = emptied("cases")
    many = [Record(Document(f"{n}", ""), one.output) for n, one in enumerate(drawn(1200))]
    index.upsert(many)
    (asked,) = (one.output for one in drawn(1))
    hits = index.search(Search(query=asked.only("dense"), k=1100))
    assert len({hit.document.id for hit in hits}) == 1100
    assert hits[0].document.id == "0"


def test_ties_are_broken_by_id_at_the_price_of_asking_again(
    emptied: Emptied, requests: list[Any]
) -> None:
    index, oracle = emptied("typed"), MemoryIndex(DIM)
    (twin,) = records([Document("twin", "the same bear")])
    for one in (index, oracle):
        one.upsert(
            [*drawn(30), *(Record(Document(f"twin {n}", ""), twin.output) for n in range(40))]
        )
    requests.clear()
    search = Search(query=query("same bear", "dense", "sparse"), k=3, candidates=5)
    assert_same_hits(index.search(search), oracle.search(search))
    assert len(requests) > 1


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
    assert [one.document for one in index.get(ODD_IDS)] == documents
    hits = index.search(Search(query=query("text", "dense"), k=99))
    assert {hit.document.id: hit.document for hit in hits} == {one.id: one for one in documents}
    index.delete(["a//b", "./x", ".."])
    assert index.count(Ids(("a/../b", "a//b"))) == 1


def test_typed_attributes_serve_queries_of_your_own(emptied: Emptied, app: Vespa) -> None:
    metadata: dict[str, Any] = {
        "lang": "De", "year": 2024.0, "price": 1.5, "open": True, "tags": ["a", 1, "ü"],
        "sizes": [3, 4.0, "x"],
    }  # fmt: skip
    index = emptied("typed")
    index.upsert(
        records([Document("a", "x", metadata), Document("b", "y", {"lang": 1, "year": "2024"})])
    )
    for where in (
        'lang contains "De"',
        "year = 2024",
        "price > 1.2",
        "open = true",
        'tags contains "ü"',
        "sizes = 4",
    ):
        yql = f"select id from typed where {where}"  # noqa: S608  # of this test
        answer: Any = app.query(body={"yql": yql, "ranking": "unranked", "timeout": "9s"})
        assert [hit["fields"]["id"] for hit in answer.hits] == ["a"], where
    assert index.get(["a"])[0].document.metadata == metadata
    assert [
        one.document.id for one in index.scan(Range("year", ge=2024) & Substring("lang", "D"))
    ] == ["a"]


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


def test_a_feed_that_fails_names_each_document_and_can_be_resumed(
    emptied: Emptied, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = emptied("typed")
    feed = VespaSync.feed_data_point
    lost = {digest(f"{n}") for n in range(20, 60, 3)}

    def interrupted(self: VespaSync, schema: str, data_id: str, fields: Any, **how: Any) -> Any:
        if data_id in lost:
            raise ConnectError("the connection was lost")
        return feed(self, schema, data_id, fields, **how)

    with monkeypatch.context() as patched:
        patched.setattr(VespaSync, "feed_data_point", interrupted)
        with pytest.raises(FeedError, match="and 13 more: the connection was lost") as caught:
            index.upsert(drawn(60))
    assert set(caught.value.failures) == {f"{n}" for n in range(20, 60, 3)}
    assert index.count() == 60 - len(lost)
    index.upsert(drawn(60))
    assert sorted(one.document.id for one in index.scan()) == sorted(f"{n}" for n in range(60))


def test_what_vespa_itself_refuses_is_told_with_the_documents_id(emptied: Emptied) -> None:
    index = emptied("typed")
    with pytest.raises(FeedError, match=r"'mine'.*nobody"):
        index._client.write([("mine", "name", lambda: {"nobody": 1})])


def test_a_visit_continues_page_by_page(emptied: Emptied, monkeypatch: pytest.MonkeyPatch) -> None:
    index = emptied("typed")
    index.upsert(drawn(150))
    monkeypatch.setattr("m3kit_vespa.client._VISITED", 20)
    monkeypatch.setattr("m3kit_vespa.store._LISTED", 20)
    assert len({one.document.id for one in index.scan(None, REPS)}) == 150
    years = [one.document.metadata["year"] for one in index.scan(Range("year", lt=1996))]
    assert len(years) == sum(1990 + n % 9 < 1996 for n in range(150))
    index.delete_where(Range("year", lt=1996))
    assert index.count() == 150 - len(years)


def test_threads_may_share_an_index(emptied: Emptied) -> None:
    index = emptied("typed")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: index.upsert([one]), drawn(60)))
        asked = query("the bear", "dense", "sparse")
        found = list(pool.map(lambda _: index.search(Search(query=asked, k=5)), range(8)))
    assert index.count() == 60
    assert all(hits == found[0] for hits in found)


def test_an_answer_that_is_not_whole_is_an_error(
    emptied: Emptied, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = emptied("typed")
    send = VespaSync.query
    more: dict[str, Any] = {}

    def changed(self: VespaSync, body: Any = None, **how: Any) -> Any:
        answer: Any = send(self, body, **how)
        answer.json["root"] |= more
        return answer

    monkeypatch.setattr(VespaSync, "query", changed)
    more = {"coverage": {"full": False, "coverage": 50}}
    with pytest.raises(AnswerError, match="looked at only 50 %"):
        index.count()
    more = {"errors": [{"message": "a node is down"}]}
    with pytest.raises(AnswerError, match="a node is down"):
        index.search(Search(query=query("bear", "dense")))


@pytest.mark.parametrize("where", ["(((", "nobody contains 'x'", "lang = 'x'", "id in ()"])
def test_a_malformed_query_is_vespas_own_error(emptied: Emptied, where: str) -> None:
    with pytest.raises(VespaError):
        emptied("typed")._client.search(where, select=["id"])


@pytest.fixture(scope="module")
def notebook(app: Vespa) -> Iterator[tuple[VespaIndex, MemoryIndex]]:
    """The M3 notebook's schema with documents, and the oracle of what its bfloat16 keeps."""
    index = VespaIndex(app, "m", dim=DIM, fields=NOTEBOOK, field_types={"id": str, "year": int})
    oracle = MemoryIndex(DIM)
    for one in drawn(40):
        index.upsert([one])
        oracle.upsert([Record(one.document, truncated(one.output))])
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
    asked = output(np.random.default_rng(3)).only(*reps)
    where: list[Filter | None] = [None, Range("year", ge=1994)]
    for number, fusion in enumerate(FUSIONS):
        search = Search(
            query=asked, k=4, candidates=9, fusion=fusion, with_scores=True, where=where[number % 2]
        )
        assert_same_hits(index.search(search), oracle.search(search))


def test_an_existing_schemas_documents_are_read_written_and_deleted(
    notebook: tuple[VespaIndex, HybridIndex],
) -> None:
    index, oracle = notebook
    (mine,) = index.get(["3", "unheardof"], REPS)
    (theirs,) = oracle.get(["3"], REPS)
    assert mine.document == theirs.document
    assert_same_vectors(mine.output, theirs.output, REPS)
    years = Range("year", lt=1993)
    assert index.count() == oracle.count() == 40
    assert index.count(years) == oracle.count(years)
    assert {one.document.id for one in index.scan(years)} == {
        one.document.id for one in oracle.scan(years)
    }
    index.upsert(records([Document("new", "bear", {"year": 1})]))
    index.delete(["new", "unheardof"])
    assert index.get(["new"]) == []
    with pytest.raises(DocumentError, match="URLs shorten"):
        index.upsert(records([Document("a/../b", "")]))
    with pytest.raises(IndexNotFoundError, match=r"no rank profile m3_\w+ .*add_profiles"):
        VespaIndex(index._client._app, "m3kit", dim=DIM, fields=NOTEBOOK)
    with pytest.raises(ValueError, match="give encoder= or dim="):
        VespaIndex(index._client._app, "m", dim=None, fields=NOTEBOOK)


def test_everything_is_forgotten_when_all_is_said(emptied: Emptied) -> None:
    index = emptied("typed")
    index.upsert(records(DOCUMENTS))
    index.delete_where(All())
    assert index.count() == 0
