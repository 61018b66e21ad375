"""`M3Retriever` answers as `m3kit.Retriever` does, in nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import IndexNode, MetadataMode, NodeWithScore, QueryBundle, TextNode
from tests.llama_index.conftest import Call
from tests.llama_index.corpus import OP, QUERY, Counting, ids, make_nodes, one, score

from m3kit import (
    RRF,
    Eq,
    Fusion,
    HybridIndex,
    MemoryIndex,
    Rep,
    RepresentationError,
    Retriever,
    WeightedSum,
)
from m3kit.testing import HashEncoder
from m3kit_llama_index import M3Retriever, M3VectorStore, to_filter

NODES = {node.node_id: node for node in make_nodes()}


def lengths(query: str, texts: Any) -> list[float]:
    """Prefer long texts: a reranker that needs no model."""
    return [len(text) + len(query) for text in texts]


OPTIONS: list[dict[str, Any]] = [
    {},
    {"k": 3},
    {"where": Eq("lang", "de")},
    {"where": to_filter(one("n", OP.GT, 4))},
    {"fusion": RRF()},
    {"fusion": RRF(k=1), "reps": ["dense", "sparse"]},
    {"reps": ["dense"]},
    {"reps": ["sparse"]},
    {"candidates": 3, "k": 3, "fusion": RRF()},
    {"min_score": 0.6},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_it_finds_what_m3kit_finds(options: dict[str, Any], call: Call) -> None:
    store = M3VectorStore(HashEncoder(), MemoryIndex())
    store.add(list(NODES.values()))
    retriever = M3Retriever(HashEncoder(), store.client, **options)
    assert isinstance(retriever, BaseRetriever)
    expected = Retriever(HashEncoder(), store.client).search(QUERY, **options)
    for name in options:  # each of them changes the answer
        others = {key: value for key, value in options.items() if key != name}
        assert Retriever(HashEncoder(), store.client).search(QUERY, **others) != expected, name
    found = call(retriever, "retrieve", QUERY)
    assert expected
    assert ids([one.node for one in found]) == [hit.document.id for hit in expected]
    sums = {
        hit.document.id: min(max(hit.score, 0), 1)
        for hit in Retriever(HashEncoder(), store.client).search(
            QUERY, k=99, reps=options.get("reps")
        )
    }
    assert [one.score for one in found] == pytest.approx([sums[one.node_id] for one in found])
    assert all(one.node == NODES[one.node_id] for one in found)


def test_over_every_store(index_of_any_store: HybridIndex, call: Call) -> None:
    M3VectorStore(HashEncoder(), index_of_any_store).add(list(NODES.values()))
    exact = M3VectorStore(HashEncoder(), MemoryIndex())
    exact.add(list(NODES.values()))
    for options in OPTIONS:
        expected = M3Retriever(HashEncoder(), exact.client, **options).retrieve(QUERY)
        found = call(M3Retriever(HashEncoder(), index_of_any_store, **options), "retrieve", QUERY)
        assert ids([one.node for one in found]) == ids([one.node for one in expected]), options
        assert [one.score for one in found] == pytest.approx([one.score for one in expected])


@pytest.mark.parametrize("name", ["ref_doc_id", "doc_id", "document_id"])
@pytest.mark.parametrize("size", [1, 2])
def test_nodes_of_a_source_are_a_group(
    filled: M3VectorStore, call: Call, name: str, size: int
) -> None:
    every = M3Retriever(HashEncoder(), filled.client, k=99).retrieve(QUERY)
    sources = list(dict.fromkeys(hit.node.ref_doc_id for hit in every))
    expected = [
        [hit.node_id for hit in every if hit.node.ref_doc_id == source][:size]
        for source in sources[:2]
    ]
    found = call(
        M3Retriever(HashEncoder(), filled.client, k=2, group_by=name, group_size=size),
        "retrieve",
        QUERY,
    )
    assert [hit.node_id for hit in found] == [id_ for group in expected for id_ in group]


@pytest.mark.parametrize("fusion", [RRF(), WeightedSum()])
def test_groups_are_of_what_reaches_the_least_score(
    filled: M3VectorStore, fusion: Fusion, call: Call
) -> None:
    every = M3Retriever(HashEncoder(), filled.client, k=99, fusion=fusion).retrieve(QUERY)
    least = sorted(hit.get_score() for hit in every)[len(every) // 2]
    left = [hit for hit in every if hit.get_score() >= least]
    best = dict.fromkeys(hit.node.ref_doc_id for hit in left)
    expected = [next(hit for hit in left if hit.node.ref_doc_id == source) for source in best]
    options: dict[str, Any] = {"fusion": fusion, "min_score": least, "group_by": "doc_id"}
    found = call(M3Retriever(HashEncoder(), filled.client, k=2, **options), "retrieve", QUERY)
    assert [hit.node_id for hit in found] == [hit.node_id for hit in expected[:2]]


def test_llama_index_s_filters(filled: M3VectorStore, call: Call) -> None:
    filters = one("n", OP.GT, 4)
    found = call(M3Retriever(HashEncoder(), filled.client, where=filters), "retrieve", QUERY)
    same = M3Retriever(HashEncoder(), filled.client, where=to_filter(filters))
    assert found == call(same, "retrieve", QUERY)
    assert {one.node.metadata["n"] > 4 for one in found} == {True}


def test_a_query_is_encoded_once(filled: M3VectorStore, call: Call) -> None:
    counting = Counting()
    call(M3Retriever(counting, filled.client), "retrieve", QUERY)
    assert (counting.queries, counting.documents) == ([QUERY], [])


def test_a_reranker_orders_the_candidates(filled: M3VectorStore, call: Call) -> None:
    retriever = M3Retriever(HashEncoder(), filled.client, reranker=lengths, k=2)
    found = call(retriever, "retrieve", QUERY)
    texts = {id_: node.get_content(MetadataMode.EMBED) for id_, node in NODES.items()}
    longest = sorted((-len(text), id_) for id_, text in texts.items())
    assert ids([one.node for one in found]) == [id_ for _, id_ in longest[:2]]


def test_a_bundle(filled: M3VectorStore, call: Call) -> None:
    retriever = M3Retriever(HashEncoder(), filled.client)
    plain = call(retriever, "retrieve", QUERY)
    left_by_another = QueryBundle(QUERY, embedding=[1.0, 2.0])
    assert call(retriever, "retrieve", left_by_another) == plain
    imagined = NODES["node/7 é"].get_content(MetadataMode.EMBED)
    hyde = QueryBundle(QUERY, custom_embedding_strs=[imagined])
    dense = M3Retriever(HashEncoder(), filled.client, reps=["dense"], k=1)
    (found,) = call(dense, "retrieve", hyde)
    assert (found.node_id, found.score) == ("node/7 é", pytest.approx(1))
    assert call(retriever, "retrieve", hyde) != plain


@pytest.mark.parametrize("rep", ["sparse", "colbert"])
def test_what_hyde_imagines_without_dense_vectors(
    filled: M3VectorStore, call: Call, rep: Rep
) -> None:
    retriever = M3Retriever(HashEncoder(), filled.client, reps=[rep], k=50)
    imagined = "the growling bear"
    hyde = QueryBundle("nothing of it", custom_embedding_strs=[imagined])
    assert call(retriever, "retrieve", hyde) == call(retriever, "retrieve", imagined)
    texts = [imagined, "a dog sleeps"]
    both = QueryBundle("nothing", custom_embedding_strs=texts)
    means = {
        id_: np.mean([score(rep, text, node) for text in texts]) for id_, node in NODES.items()
    }
    found = {hit.node_id: hit.score for hit in call(retriever, "retrieve", both)}
    assert found == pytest.approx({id_: means[id_] for id_ in found}, abs=1e-6)
    assert len(found) == sum(mean > 0 for mean in means.values()) or rep == "colbert"


def test_what_is_set_later_holds_from_then_on(filled: M3VectorStore, call: Call) -> None:
    retriever = M3Retriever(HashEncoder(), filled.client)
    retriever.k = 1
    retriever.where = Eq("lang", "de")
    (found,) = call(retriever, "retrieve", QUERY)
    assert found.node.metadata["lang"] == "de"
    retriever.index = MemoryIndex()
    assert call(retriever, "retrieve", QUERY) == []
    with pytest.raises(AttributeError, match="no option similarity_top_k; there are k"):
        retriever.similarity_top_k = 1


def test_a_minimum_is_of_the_score_whatever_fusion_ranks(filled: M3VectorStore) -> None:
    every = M3Retriever(HashEncoder(), filled.client, k=50, fusion="rrf").retrieve(QUERY)
    best = M3Retriever(HashEncoder(), filled.client, k=50, fusion="rrf", min_score=0.5)
    assert best.retrieve(QUERY) == [one for one in every if one.get_score() >= 0.5]


def test_objects_are_entered(call: Call) -> None:
    inner = NodeWithScore(node=TextNode(id_="inner", text="found within"), score=0.5)
    outer = IndexNode(id_="outer", text="the dog", index_id="there", obj=inner)
    store = M3VectorStore(HashEncoder(), MemoryIndex())
    store.add([IndexNode(id_="outer", text="the dog", index_id="there")])
    retriever = M3Retriever(HashEncoder(), store.client, objects=[outer])
    assert call(retriever, "retrieve", "dog") == [inner]


def test_the_encoder_must_fit() -> None:
    class Dense(HashEncoder):
        reps: frozenset[Rep] = frozenset({"dense"})

    with pytest.raises(RepresentationError, match="cannot make"):
        M3Retriever(Dense(), MemoryIndex())
