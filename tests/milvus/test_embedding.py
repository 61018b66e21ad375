"""`M3EmbeddingFunction`: in the shapes of `pymilvus.model`, so that its tutorials run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from milvus_lite.server_manager import server_manager_instance
from pymilvus import (
    AnnSearchRequest,
    DataType,
    MilvusClient,
    RRFRanker,
    WeightedRanker,
)
from tests.milvus.conftest import lite

from m3kit import FieldNames, M3Output, MemoryIndex, Search
from m3kit.encoder import Encoder
from m3kit.records import Document, Record
from m3kit.testing import ENCODER, TEXTS, assert_same_hits
from m3kit.torch import TorchEncoder
from m3kit_milvus import M3EmbeddingFunction, MilvusIndex
from m3kit_milvus.hybrid import BGEM3EmbeddingFunction

DOCS = [
    "Artificial intelligence was founded as an academic discipline in 1956.",
    "Alan Turing was the first person to conduct substantial research in AI.",
    "Born in Maida Vale, London, Turing was raised in southern England.",
]
QUERY = "Who started AI research?"


class Counted:
    """An encoder that notes how many texts it is given at once."""

    model, dim, reps = ENCODER.model, ENCODER.dim, ENCODER.reps

    def __init__(self) -> None:
        self.batches: list[int] = []

    def encode_documents(self, texts: list[str], reps: object = None) -> list[M3Output]:
        self.batches.append(len(texts))
        return ENCODER.encode_documents(texts, reps)  # type: ignore[arg-type]  # as it came

    encode_queries = encode_documents


@pytest.fixture(scope="module")
def ef() -> BGEM3EmbeddingFunction:
    return BGEM3EmbeddingFunction("tiny", use_fp16=False, device="cpu")


def test_the_shapes_are_those_of_pymilvus(ef: BGEM3EmbeddingFunction) -> None:
    encoder = TorchEncoder.from_pretrained("tiny", device="cpu")
    for result, outputs in (
        (ef(DOCS), encoder.encode_documents(DOCS)),
        (ef.encode_documents(DOCS), encoder.encode_documents(DOCS)),
        (ef.encode_queries(DOCS), encoder.encode_queries(DOCS)),
    ):
        assert list(result) == ["dense", "sparse"]
        assert isinstance(result["dense"], list)
        assert result["dense"][0].dtype == np.float32
        assert type(result["sparse"]).__name__ == "csr_matrix"
        assert result["sparse"].dtype == np.float64
        assert result["sparse"].shape == (3, ef.dim["sparse"]) == (3, 250_002)
        for n, output in enumerate(outputs):
            assert output.dense is not None
            assert output.sparse is not None
            assert result["dense"][n] == pytest.approx(output.dense, abs=1e-6)
            row = result["sparse"][[n]]
            assert row.shape == (1, 250_002)
            assert row.indices.tolist() == output.sparse.ids.tolist()
            assert row.data == pytest.approx(output.sparse.weights)


def test_an_encoder_of_any_kind_serves_and_encodes_each_text_once() -> None:
    counted = Counted()
    encoder: Encoder = counted  # type: ignore[assignment]  # its arguments are looser
    function = M3EmbeddingFunction(encoder, reps=["dense", "sparse", "colbert"], batch_size=4)
    result = function.encode_documents(TEXTS)
    assert counted.batches == [4, 4, 3]
    assert list(result) == ["dense", "sparse", "colbert_vecs"]
    assert [rows.shape for rows in result["colbert_vecs"]] == [
        (len(text.split()) + 1, ENCODER.dim) for text in TEXTS
    ]
    assert M3EmbeddingFunction(ENCODER).encode_queries([])["sparse"].shape == (0, 250_002)
    with pytest.raises(TypeError, match=r"write \[text\]"):
        function.encode_queries("a text")


def test_what_would_not_be_m3_is_refused() -> None:
    for other in ({"normalize_embeddings": False},):
        with pytest.raises(ValueError, match="vectors are of length one"):
            BGEM3EmbeddingFunction("tiny", **other)  # type: ignore[arg-type]  # booleans


def test_the_tutorial_runs_with_its_import_changed(
    ef: BGEM3EmbeddingFunction, client: MilvusClient
) -> None:
    """Milvus's "Hybrid Search with Milvus", and our index on the collection that it makes."""
    docs_embeddings, query_embeddings = ef(DOCS), ef([QUERY])
    schema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("pk", DataType.VARCHAR, is_primary=True, max_length=100)
    schema.add_field("text", DataType.VARCHAR, max_length=512)
    schema.add_field("sparse_vector", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_field("dense_vector", DataType.FLOAT_VECTOR, dim=ef.dim["dense"])
    params = client.prepare_index_params()
    params.add_index("sparse_vector", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
    params.add_index("dense_vector", index_type="FLAT", metric_type="COSINE")
    client.create_collection("hybrid_demo", schema=schema, index_params=params)
    client.insert(
        "hybrid_demo",
        [
            {
                "pk": f"{n}",
                "text": text,
                "sparse_vector": docs_embeddings["sparse"][[n]],
                "dense_vector": docs_embeddings["dense"][n],
            }
            for n, text in enumerate(DOCS)
        ],
    )
    requests = [
        AnnSearchRequest(
            [query_embeddings["sparse"][[0]]], "sparse_vector", {"metric_type": "IP"}, limit=3
        ),
        AnnSearchRequest(
            query_embeddings["dense"], "dense_vector", {"metric_type": "COSINE"}, limit=3
        ),
    ]
    for ranker in (RRFRanker(60), WeightedRanker(0.7, 1.0)):
        (hits,) = client.hybrid_search("hybrid_demo", requests, ranker, 3, output_fields=["text"])
        assert {hit["entity"]["text"] for hit in hits} == set(DOCS)
    fields = FieldNames(dense="dense_vector", sparse="sparse_vector")
    index = MilvusIndex(client, "hybrid_demo", fields=fields, model=ef.encoder.model)
    oracle = MemoryIndex(ef.dim["dense"], reps=index.reps)
    outputs = ef.encoder.encode_documents(DOCS)
    oracle.upsert([Record(Document(f"{n}", DOCS[n]), output) for n, output in enumerate(outputs)])
    (encoded,) = ef.encoder.encode_queries([QUERY], ["dense", "sparse"])
    search = Search(query=encoded, k=3, with_scores=True)
    assert_same_hits(index.search(search), oracle.search(search))


@pytest.mark.filterwarnings("ignore:.*is an ORM-style PyMilvus API")
def test_the_tutorials_older_words_run_as_well(ef: BGEM3EmbeddingFunction, file: Path) -> None:
    from pymilvus import Collection, CollectionSchema, FieldSchema, connections  # until 3.1

    docs = ["What is the strongest Kevlar cord?", "How do I learn Java?", "How to learn robotics?"]
    docs_embeddings = ef(docs)
    connections.connect(uri=str(file))
    fields = [
        FieldSchema(name="pk", dtype=DataType.INT64, is_primary=True, auto_id=True),
        FieldSchema(name="text", dtype=DataType.VARCHAR, max_length=512),
        FieldSchema(name="sparse_vector", dtype=DataType.SPARSE_FLOAT_VECTOR),
        FieldSchema(name="dense_vector", dtype=DataType.FLOAT_VECTOR, dim=ef.dim["dense"]),
    ]
    col = Collection("hybrid_demo", CollectionSchema(fields), consistency_level="Strong")
    sparse_index = {"index_type": "SPARSE_INVERTED_INDEX", "metric_type": "IP"}
    col.create_index("sparse_vector", sparse_index)
    col.create_index("dense_vector", {"index_type": "AUTOINDEX", "metric_type": "IP"})
    col.load()
    col.insert([docs, docs_embeddings["sparse"][0:3], docs_embeddings["dense"][0:3]])
    result = ef(["How to start learning Java?"])
    by = {"metric_type": "IP", "params": {}}
    requests = [
        AnnSearchRequest(result["sparse"][[0]], "sparse_vector", by, limit=3),
        AnnSearchRequest([result["dense"][0]], "dense_vector", by, limit=3),
    ]
    ranker = WeightedRanker(0.7, 1.0)
    hits = col.hybrid_search(requests, ranker, limit=3, output_fields=["text"])[0]
    assert hits[0].get("text") == "How do I learn Java?"
    connections.disconnect("default")
    server_manager_instance.release_server(str(file))


def test_rows_of_every_form_are_inserted_and_searched_by(
    ef: BGEM3EmbeddingFunction, file: Path
) -> None:
    with lite(file) as client:
        schema = client.create_schema(auto_id=True)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
        params = client.prepare_index_params()
        params.add_index("sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
        client.create_collection("c", schema=schema, index_params=params)
        documents = ef.encode_documents(["hello world", "another text", ""])["sparse"]
        queries = ef.encode_queries(["hello", ""])["sparse"]
        for rows in (
            list(documents),
            [documents[n] for n in range(3)],
            [documents[[n]] for n in range(3)],
        ):
            client.insert("c", [{"sparse": row} for row in rows])
        for query in (list(queries), [queries[0], queries[1]], [queries[[0]], queries[[1]]]):
            hits, nothing = client.search("c", data=query, anns_field="sparse", limit=9)
            assert [hit["distance"] > 1e-3 for hit in hits] == [True] * 3
            assert all(hit["distance"] < 1e-9 for hit in nothing)


def test_arguments_of_public_programs_are_taken() -> None:
    exact = BGEM3EmbeddingFunction("tiny", device="cpu", use_fp16=False).encode_documents(DOCS)
    for options in ({}, {"use_fp16": True}, {"trust_remote_code": True}, {"max_length": 8192}):
        function = BGEM3EmbeddingFunction("tiny", device="cpu", **options)
        np.testing.assert_array_equal(function.encode_documents(DOCS)["dense"], exact["dense"])
    short = BGEM3EmbeddingFunction("tiny", device="cpu", max_length=4)
    (cut,) = short.encode_documents(["one two three four five"])["sparse"]
    (whole,) = short.encode_documents(["one two"])["sparse"]
    assert cut.indices.tolist() == whole.indices.tolist()
