"""Over an index, and over pairs."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest
from tests.server.conftest import DOCUMENTS, Letters, Serve
from tests.torch.random_reranker import write_reranker

from m3kit import MemoryIndex, ModelMismatchError, Retriever, WeightedSum
from m3kit.filter_json import filter_to_json
from m3kit.filters import Eq, Filter, Not
from m3kit.pairs import score_pairs
from m3kit.server import create_app
from m3kit.torch import CrossEncoder, TorchEncoder

QUERY = "insert rows into a table"


@pytest.fixture(scope="session")
def retriever(encoder: TorchEncoder, index: MemoryIndex) -> Retriever:
    return Retriever(encoder, index)


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({}, {}),
        ({"k": 3, "fusion": "rrf"}, {"k": 3, "fusion": "rrf"}),
        ({"reps": ["dense", "sparse"]}, {"reps": ["dense", "sparse"]}),
        ({"fusion": {"dense": 0.1}}, {"fusion": WeightedSum(dense=0.1)}),
        ({"min_score": 0.4, "candidates": 5}, {"min_score": 0.4, "candidates": 5}),
        ({"group_by": "topic", "group_size": 2}, {"group_by": "topic", "group_size": 2}),
        ({"group_by": ["lang"], "k": 2}, {"group_by": "lang", "k": 2}),
    ],
)
def test_a_search_is_the_retrievers(
    client: httpx.Client, retriever: Retriever, options: dict[str, Any], arguments: dict[str, Any]
) -> None:
    body = {"query": QUERY, "with_scores": True, **options}
    answer = client.post("/search", json=body).json()
    hits = retriever.search(QUERY, with_scores=True, **arguments)
    assert [hit["id"] for hit in answer["hits"]] == [hit.document.id for hit in hits]
    for ours, hit in zip(answer["hits"], hits, strict=True):
        assert ours["score"] == pytest.approx(hit.score, abs=1e-6)
        assert ours["scores"] == pytest.approx(dict(hit.scores), abs=1e-6)
        assert (ours["text"], ours["metadata"]) == (hit.document.text, hit.document.metadata)


@pytest.mark.parametrize("where", [Eq("lang", "de"), Not(Eq("lang", "de")) & Eq("topic", "rows")])
def test_filters_arrive_as_data(client: httpx.Client, retriever: Retriever, where: Filter) -> None:
    answer = client.post("/search", json={"query": QUERY, "where": filter_to_json(where)}).json()
    hits = retriever.search(QUERY, where=where)
    assert [hit["id"] for hit in answer["hits"]] == [hit.document.id for hit in hits]
    assert hits


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 422, "query: Field required"),
        ({"query": QUERY, "where": {"op": "eval"}}, 422, "where.op is one of"),
        ({"query": QUERY, "k": 0}, 422, "k: Input should be"),
        ({"query": QUERY, "k": 5000}, 413, "k and candidates are at most 1000"),
        ({"query": QUERY, "group_size": 2}, 422, "group_size is the hits of a group"),
        ({"query": QUERY, "group_by": "a", "group_size": 101}, 413, "k times group_size is at"),
        ({"query": QUERY, "group_by": []}, 422, "group_by: the path of a group has"),
        ({"query": QUERY, "reps": []}, 422, "reps names at least one of"),
        ({"query": QUERY, "fusion": "best"}, 422, "fusion"),
        ({"query": QUERY, "rerank": True}, 424, "this server has no reranker"),
        ({"query": QUERY, "fusion": {"dense": 0, "sparse": 0, "colbert": 0}}, 422, "WeightedSum"),
    ],
)
def test_a_search_that_cannot_be_done(
    client: httpx.Client, body: dict[str, Any], status: int, message: str
) -> None:
    response = client.post("/search", json=body)
    assert response.status_code == status, response.text
    assert response.json()["error"]["message"].startswith(message)


def test_an_explanation_adds_up(client: httpx.Client) -> None:
    answer = client.post("/explain", json={"query": QUERY, "id": "rows.en"}).json()
    assert set(answer) == {"id", "model", "scores", "matches", "alignment"}
    products = sum(match["product"] for match in answer["matches"])
    assert products == pytest.approx(answer["scores"]["sparse"], abs=1e-5)
    rows = [row["similarity"] for row in answer["alignment"]]
    assert np.mean(rows) == pytest.approx(answer["scores"]["colbert"], abs=1e-5)


def test_a_document_that_is_not_there(client: httpx.Client) -> None:
    assert client.post("/explain", json={"query": QUERY, "id": "nobody"}).status_code == 404


def test_a_server_without_an_index_says_so(serve: Serve, letters: Letters) -> None:
    address = serve(letters)
    for path, body in (("search", {"query": "a"}), ("explain", {"query": "a", "id": "b"})):
        response = httpx.post(f"{address}/{path}", json=body)
        assert response.status_code == 424
        assert "start it with --in" in response.text


def test_colbert_is_composed_over_an_index_without_it(
    serve: Serve, encoder: TorchEncoder, index: MemoryIndex
) -> None:
    flat = MemoryIndex(encoder=encoder, reps=["dense", "sparse"])
    flat.upsert(list(index.scan(None, ["dense", "sparse"])))
    body = {"query": QUERY, "reps": ["dense", "colbert"], "with_scores": True}
    answer = httpx.post(f"{serve(encoder, index=flat)}/search", json=body).json()
    assert set(answer["hits"][0]["scores"]) == {"dense", "colbert"}


def test_an_index_of_another_model_is_refused(letters: Letters, index: MemoryIndex) -> None:
    with pytest.raises(ModelMismatchError):
        create_app(letters, index=index)


PAIRS = [[QUERY, text] for text in DOCUMENTS.values()]


def test_scores_of_pairs_are_those_of_the_library(
    client: httpx.Client, encoder: TorchEncoder
) -> None:
    answer = client.post("/score", json={"pairs": PAIRS, "weights": [1, 0.3, 1]}).json()
    local = score_pairs(encoder, PAIRS, weights=[1, 0.3, 1])
    assert set(answer["scores"]) == set(local)
    for mode, scores in local.items():
        assert answer["scores"][mode] == pytest.approx(scores, abs=1e-6)


def test_without_a_reranker_m3s_own_scores_rank(
    client: httpx.Client, encoder: TorchEncoder
) -> None:
    texts = list(DOCUMENTS.values())
    answer = client.post("/rerank", json={"query": QUERY, "texts": texts}).json()
    local = score_pairs(encoder, PAIRS, weights=[1, 0.3, 1])["colbert+sparse+dense"]
    order = sorted(range(len(texts)), key=lambda n: -local[n])
    assert [rank["index"] for rank in answer] == order
    assert [rank["score"] for rank in answer] == pytest.approx([local[n] for n in order], abs=1e-6)


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> CrossEncoder:
    return CrossEncoder.from_pretrained(write_reranker(tmp_path_factory.mktemp("reranker")))


@pytest.mark.parametrize("options", [{"raw_scores": True}, {}])
def test_a_reranker_scores_pairs_of_several_requests(
    serve: Serve, encoder: TorchEncoder, reranker: CrossEncoder, options: dict[str, bool]
) -> None:
    texts = list(DOCUMENTS.values())
    body = {"query": QUERY, "texts": texts, "return_text": True, **options}
    answer = httpx.post(f"{serve(encoder, reranker=reranker)}/rerank", json=body).json()
    local = reranker.scores(PAIRS, normalize=not options)
    assert [rank["score"] for rank in answer] == pytest.approx(sorted(local)[::-1], abs=1e-6)
    for rank in answer:
        assert rank["text"] == texts[rank["index"]]
        assert rank["score"] == pytest.approx(local[rank["index"]], abs=1e-6)


def test_a_search_can_be_reranked(
    serve: Serve, encoder: TorchEncoder, index: MemoryIndex, reranker: CrossEncoder
) -> None:
    address = serve(encoder, index=index, reranker=reranker)
    answer = httpx.post(f"{address}/search", json={"query": QUERY, "rerank": True}).json()
    logits = reranker(QUERY, list(DOCUMENTS.values()))
    expected = sorted(zip(logits, DOCUMENTS, strict=True), reverse=True)
    assert [hit["id"] for hit in answer["hits"]] == [id_ for _, id_ in expected]
    assert all(0 < hit["score"] < 1 for hit in answer["hits"])


class Broken(MemoryIndex):
    """An index whose engine fails with a message that is nobody's business."""

    def search(self, _search: Any, /) -> Any:
        raise ValueError("cannot open /srv/papers/segment-7")


def test_what_an_engine_says_stays_inside(serve: Serve, encoder: TorchEncoder) -> None:
    address = serve(encoder, index=Broken(encoder=encoder))
    response = httpx.post(f"{address}/search", json={"query": QUERY})
    assert response.status_code == 500
    assert "/srv" not in response.text
