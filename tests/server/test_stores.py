"""A server over each store: `m3kit serve --in` opens the index by its address."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tests.server.conftest import DOCUMENTS, Serve

from m3kit import Document, MemoryIndex, Retriever, open_index
from m3kit.cli.opening import open_existing
from m3kit.filter_json import filter_to_json
from m3kit.filters import Eq, Ids
from m3kit.torch import TorchEncoder

QUERIES = ["insert rows into a table", "Makro", "打印", "colour of a cell"]


@pytest.mark.parametrize("address", ["{}/index", "milvus://{}/index.db/papers"])
def test_a_server_answers_as_the_oracle_to_clients_at_the_same_time(
    encoder: TorchEncoder, index: MemoryIndex, serve: Serve, tmp_path: Path, address: str
) -> None:
    address = address.format(tmp_path)
    documents = [record.document for record in index.scan()]
    assert len(documents) == len(DOCUMENTS)
    with open_index(address, encoder=encoder) as made:
        Retriever(encoder, made).add(documents)
    with (
        open_existing(address) as opened,
        httpx.Client(base_url=serve(encoder, index=opened)) as client,
    ):
        oracle = Retriever(encoder, index)
        where = Eq("lang", "en")

        def search(query: str) -> list[tuple[str, float]]:
            body = {"query": query, "k": 5, "where": filter_to_json(where)}
            answer = client.post("/search", json=body, timeout=60).raise_for_status().json()
            return [(hit["id"], hit["score"]) for hit in answer["hits"]]

        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(search, QUERIES * 4))
        for query, answer in zip(QUERIES * 4, answers, strict=True):
            hits = oracle.search(query, k=5, where=where, reps=opened.reps)
            assert [id_ for id_, _ in answer] == [hit.document.id for hit in hits]
            assert [score for _, score in answer] == pytest.approx(
                [hit.score for hit in hits], abs=1e-5
            )
        body = {"query": QUERIES[0], "id": "rows.en"}
        explained = client.post("/explain", json=body).raise_for_status().json()
        (expected,) = oracle.search(QUERIES[0], where=Ids(("rows.en",)), with_scores=True)
        scores = {name: expected.scores[name] for name in ("dense", "sparse")}
        assert {name: explained["scores"][name] for name in scores} == pytest.approx(
            scores, abs=1e-5
        )


def test_a_document_that_is_written_later_is_found(
    encoder: TorchEncoder, serve: Serve, tmp_path: Path
) -> None:
    with (
        open_index(tmp_path / "index", encoder=encoder) as index,
        httpx.Client(base_url=serve(encoder, index=index)) as client,
    ):
        assert client.post("/search", json={"query": "rows"}).json()["hits"] == []
        Retriever(encoder, index).add([Document("new", "rows")])
        (hit,) = client.post("/search", json={"query": "rows"}).json()["hits"]
        assert (hit["id"], hit["text"]) == ("new", "rows")
