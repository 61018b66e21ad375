"""Every mode, option and deletion, over every store, held against M3's scores by hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from llama_index.core.indices.query.embedding_utils import get_top_k_mmr_embeddings
from llama_index.core.schema import MetadataMode, TextNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)
from tests.llama_index.conftest import Call
from tests.llama_index.corpus import (
    OP,
    QUERY,
    Counting,
    ids,
    make_nodes,
    one,
    pairs,
    ranked,
    score,
    source,
)

from m3kit.encoder import CachedEncoder
from m3kit.index import DocumentError, ModelMismatchError, RepresentationError, VectorError
from m3kit.memory import MemoryIndex
from m3kit.scoring import scores
from m3kit.testing import HashEncoder
from m3kit.vectors import Rep
from m3kit.with_colbert import WithColbert
from m3kit_llama_index import M3VectorStore
from m3kit_llama_index.embeddings import DeferredEmbedding

MODE = VectorStoreQueryMode
MODES = [MODE.DEFAULT, MODE.SPARSE, MODE.HYBRID, MODE.MMR]
NODES = make_nodes()
DENSE = {node.node_id: score("dense", QUERY, node) for node in NODES}
SPARSE = {node.node_id: score("sparse", QUERY, node) for node in NODES}
FOUND = {id_: score for id_, score in SPARSE.items() if score}
COLBERT = {node.node_id: score("colbert", QUERY, node) for node in NODES}
SUMS = {id_: (DENSE[id_] + 0.3 * SPARSE[id_] + COLBERT[id_]) / 2.3 for id_ in DENSE}


def asked(mode: VectorStoreQueryMode, **options: Any) -> VectorStoreQuery:
    options = {"similarity_top_k": 5, "query_str": QUERY, **options}
    return VectorStoreQuery(mode=mode, **options)


def same(found: list[tuple[str, float]], expected: list[tuple[str, float]]) -> bool:
    """Compare ids and order exactly, and scores as far as floats of 32 bits go."""
    return [id_ for id_, _ in found] == [id_ for id_, _ in expected] and [
        score for _, score in found
    ] == pytest.approx([score for _, score in expected], abs=1e-5)


def clipped(scored: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Cut scores to what LlamaIndex's cutoffs expect; the order stays."""
    return [(id_, min(max(score, 0), 1)) for id_, score in scored]


def test_the_base(store: M3VectorStore) -> None:
    assert isinstance(store, BasePydanticVectorStore)
    assert store.stores_text
    assert store.is_embedding_query  # else LlamaIndex would drop what HyDE imagines
    assert store.class_name() == "M3VectorStore"


def test_default_is_dense(filled: M3VectorStore, call: Call) -> None:
    result = call(filled, "query", asked(MODE.DEFAULT))
    assert same(pairs(result), ranked(DENSE)[:5])


def test_sparse_finds_what_shares_a_word(filled: M3VectorStore, call: Call) -> None:
    result = call(filled, "query", asked(MODE.SPARSE, similarity_top_k=50))
    assert same(pairs(result), clipped(ranked(FOUND)))
    result = call(filled, "query", asked(MODE.SPARSE, sparse_top_k=2))
    assert same(pairs(result), clipped(ranked(FOUND)[:2]))


def test_hybrid_is_m3_s_weighted_sum(filled: M3VectorStore, call: Call) -> None:
    result = call(filled, "query", asked(MODE.HYBRID))
    assert same(pairs(result), ranked(SUMS)[:5])
    result = call(filled, "query", asked(MODE.HYBRID, hybrid_top_k=3))
    assert same(pairs(result), ranked(SUMS)[:3])


def weighted(candidates: int) -> list[tuple[str, float]]:
    names = {id_ for branch in (DENSE, FOUND) for id_, _ in ranked(branch)[:candidates]}
    return clipped(ranked({id_: (DENSE[id_] + 0.3 * SPARSE[id_]) / 1.3 for id_ in names}))


def test_hybrid_without_colbert_and_with_few_candidates() -> None:
    store = M3VectorStore(HashEncoder(), MemoryIndex(reps=("dense", "sparse")))
    store.add(NODES)
    assert same(pairs(store.query(asked(MODE.HYBRID))), weighted(100)[:5])
    result = store.query(asked(MODE.HYBRID, similarity_top_k=1, sparse_top_k=2, hybrid_top_k=9))
    assert same(pairs(result), weighted(9)[:9])  # never fewer candidates than are wanted
    result = store.query(asked(MODE.HYBRID, similarity_top_k=7, sparse_top_k=1, hybrid_top_k=3))
    assert same(pairs(result), weighted(7)[:3])
    result = store.query(asked(MODE.HYBRID, similarity_top_k=2, sparse_top_k=3))
    assert same(pairs(result), weighted(3)[:2])


def test_a_cutoff_keeps_what_is_relevant(filled: M3VectorStore) -> None:
    for mode in (MODE.DEFAULT, MODE.SPARSE, MODE.HYBRID):
        result = filled.query(asked(mode, query_str="quantum chromodynamics", similarity_top_k=50))
        assert all(0 <= similarity < 0.5 for similarity in result.similarities or ())
        best = filled.query(asked(mode, query_str=NODES[1].get_content(MetadataMode.EMBED)))
        assert (best.similarities or [0])[0] > 0.9


def test_alpha_weighs_dense_and_sparse(filled: M3VectorStore, call: Call) -> None:
    for alpha in (0, 0.0, 0.25, 1):
        weighted = {id_: alpha * DENSE[id_] + (1 - alpha) * SPARSE[id_] for id_ in DENSE}
        result = call(filled, "query", asked(MODE.HYBRID, alpha=alpha))
        assert same(pairs(result), clipped(ranked(weighted)[:5])), alpha
    sparse_alone = filled.query(asked(MODE.HYBRID, alpha=0))
    assert same(pairs(sparse_alone), pairs(filled.query(asked(MODE.SPARSE))))


@cache
def mmr(k: int, threshold: float) -> list[tuple[str, float]]:
    """Carbonell and Goldstein's formula, pick by pick."""
    outputs = HashEncoder().encode_documents([node.get_content("embed") for node in NODES])  # type: ignore[arg-type]  # the mode's value
    vector: dict[str, Any] = {
        node.node_id: output.dense for node, output in zip(NODES, outputs, strict=True)
    }
    chosen: list[tuple[str, float]] = []
    while len(chosen) < k:
        scores = {
            id_: threshold * DENSE[id_]
            - (1 - threshold)
            * max((float(vector[id_] @ vector[other]) for other, _ in chosen), default=0)
            for id_ in DENSE
            if id_ not in dict(chosen)
        }
        chosen.append(ranked(scores)[0])
    return chosen


def test_mmr_finds_what_is_near_and_new(filled: M3VectorStore, call: Call) -> None:
    for threshold in (0.2, 0.5, 0.8):
        expected = mmr(5, threshold)
        result = call(filled, "query", asked(MODE.MMR, mmr_threshold=threshold))
        assert same(pairs(result), expected), threshold
        by_keyword = call(filled, "query", asked(MODE.MMR), mmr_threshold=threshold)
        assert same(pairs(by_keyword), expected), threshold
    assert same(pairs(call(filled, "query", asked(MODE.MMR))), mmr(5, 0.5))
    assert {id_ for id_, _ in mmr(5, 0.2)} != {id_ for id_, _ in ranked(DENSE)[:5]}


def test_mmr_s_edges(filled: M3VectorStore) -> None:
    relevance_alone = filled.query(asked(MODE.MMR, mmr_threshold=1))
    assert same(pairs(relevance_alone), ranked(DENSE)[:5])
    assert len(set(ids(filled.query(asked(MODE.MMR, similarity_top_k=50)).nodes))) == len(NODES)
    few = filled.query(asked(MODE.MMR, mmr_threshold=0), mmr_prefetch_k=2)
    assert {id_ for id_, _ in pairs(few)} == {id_ for id_, _ in ranked(DENSE)[:5]}
    assert not filled.query(asked(MODE.MMR, filters=one("lang", OP.EQ, "xx"))).nodes
    by_factor = filled.query(asked(MODE.MMR, mmr_threshold=0), mmr_prefetch_factor=1.2)
    assert {id_ for id_, _ in pairs(by_factor)} < {id_ for id_, _ in ranked(DENSE)[:6]}
    assert pairs(by_factor) == pairs(
        filled.query(asked(MODE.MMR, mmr_threshold=0), mmr_prefetch_k=6)
    )
    with pytest.raises(ValueError, match="mmr_threshold is from 0 to 1, not 7"):
        filled.query(asked(MODE.MMR, mmr_threshold=7))
    with pytest.raises(ValueError, match="not both"):
        filled.query(asked(MODE.MMR), mmr_prefetch_k=2, mmr_prefetch_factor=2)


def test_the_first_two_of_mmr_are_llama_index_s(
    filled: M3VectorStore, encoder: CachedEncoder
) -> None:
    """Later it looks at the last one chosen alone, where the paper looks at all."""
    texts = [node.get_content(MetadataMode.EMBED) for node in NODES]
    (query,) = encoder.encode_queries([QUERY], ["dense"])
    vectors = [np.asarray(output.dense).tolist() for output in encoder.encode_documents(texts)]
    scores, chosen = get_top_k_mmr_embeddings(
        np.asarray(query.dense).tolist(), vectors, None, 2, ids(NODES), None, 0.3
    )
    result = filled.query(asked(MODE.MMR, similarity_top_k=2, mmr_threshold=0.3))
    assert same(pairs(result), list(zip(chosen, scores, strict=True)))


@pytest.mark.parametrize("mode", [MODE.DEFAULT, MODE.SPARSE, MODE.HYBRID])
def test_every_mode_groups(filled: M3VectorStore, call: Call, mode: VectorStoreQueryMode) -> None:
    every = call(filled, "query", asked(mode, similarity_top_k=99))
    sources = list(dict.fromkeys(node.ref_doc_id for node in every.nodes))
    expected = [
        [node.node_id for node in every.nodes if node.ref_doc_id == source][:2]
        for source in sources[:2]
    ]
    options = {"group_by": "ref_doc_id", "group_size": 2}
    result = call(filled, "query", asked(mode, similarity_top_k=2), **options)
    assert ids(result.nodes) == [id_ for group in expected for id_ in group]
    two = call(filled, "query", asked(MODE.MMR, similarity_top_k=9), group_by="ref_doc_id")
    assert sorted(node.ref_doc_id for node in two.nodes) == sorted(sources)


def test_limits_hold_in_every_mode(filled: M3VectorStore, call: Call) -> None:
    own = {node.node_id for node in NODES if node.ref_doc_id == source(1)}
    late = {node.node_id for node in NODES if node.metadata["n"] > 5}
    for mode in MODES:

        def found(mode: VectorStoreQueryMode = mode, **options: Any) -> set[str]:
            options = {"similarity_top_k": 50, **options}
            return set(ids(call(filled, "query", asked(mode, **options)).nodes))

        everything = found()
        assert found(doc_ids=[source(1), "no"]) == everything & own
        assert found(node_ids=[NODES[2].node_id, "no"]) == everything & {NODES[2].node_id}
        assert found(node_ids=[]) == everything  # as_retriever always hands over a list
        assert found(doc_ids=[]) == set()
        assert found(filters=one("n", OP.GT, 5), doc_ids=[source(1)]) == everything & late & own


def test_a_filter_is_applied_before_the_cut(filled: M3VectorStore) -> None:
    worst = ranked(DENSE)[-1][0]
    n = next(node.metadata["n"] for node in NODES if node.node_id == worst)
    query = asked(MODE.DEFAULT, similarity_top_k=1, filters=one("n", OP.EQ, n))
    assert ids(filled.query(query).nodes) == [worst]


@pytest.mark.parametrize("mode", [mode for mode in MODE if mode not in MODES])
def test_a_mode_that_is_not_there_is_named(mode: VectorStoreQueryMode) -> None:
    store = M3VectorStore(HashEncoder(), MemoryIndex())
    with pytest.raises(ValueError, match=f"does not support the mode '{mode.value}'"):
        store.query(asked(mode))


@pytest.mark.parametrize(
    ("query", "because"),
    [
        (asked(MODE.HYBRID, alpha=1.5), r"alpha is from 0 .* not 1\.5"),
        (asked(MODE.DEFAULT, output_fields=["text"]), "does not support output_fields"),
        (asked(MODE.DEFAULT, embedding_field="v"), "does not support embedding_field"),
        (asked(MODE.DEFAULT, query_str=None), "no query_str"),
        (asked(MODE.HYBRID, query_str=None, query_embedding=[1.0] * 8), "only a dense embedding"),
        (asked(MODE.DEFAULT, similarity_top_k=0), "at least 1"),
        (asked(MODE.SPARSE, sparse_top_k=0), "at least 1"),
        (asked(MODE.MMR, similarity_top_k=0), "at least 1"),
    ],
    ids=lambda one: "" if isinstance(one, str) else None,
)
def test_what_cannot_be_followed_is_refused(query: VectorStoreQuery, because: str) -> None:
    store = M3VectorStore(HashEncoder(), MemoryIndex())
    with pytest.raises(ValueError, match=because):
        store.query(query)


def test_a_mode_may_be_a_plain_string(filled: M3VectorStore) -> None:
    for mode in MODES:
        assert pairs(filled.query(asked(mode.value))) == pairs(filled.query(asked(mode)))  # type: ignore[arg-type]  # what users write
    with pytest.raises(ValueError, match="'hybird' is not a valid"):
        filled.query(asked("hybird"))  # type: ignore[arg-type]  # what goes wrong


def test_a_string_is_not_a_list(filled: M3VectorStore, call: Call) -> None:
    calls: list[tuple[str, Any]] = [
        ("get_nodes", "node"),
        ("delete_nodes", "node"),
        ("query", asked(MODE.DEFAULT, node_ids="node")),
        ("query", asked(MODE.DEFAULT, doc_ids="node")),
    ]
    for name, argument in calls:
        with pytest.raises(TypeError, match=r"write \['node'\]"):
            call(filled, name, argument)
    assert filled.client.count() == len(NODES)


def test_an_embedding_stands_in_where_there_is_no_text(
    filled: M3VectorStore, counting: Counting
) -> None:
    (query,) = HashEncoder().encode_queries([QUERY])
    embedding = np.asarray(query.dense).tolist()
    for text in (None, ""):
        result = filled.query(asked(MODE.DEFAULT, query_str=text, query_embedding=embedding))
        assert same(pairs(result), ranked(DENSE)[:5])
    assert counting.queries == []
    other = filled.query(asked(MODE.DEFAULT, query_embedding=[0.0] * len(embedding)))
    assert {score for _, score in pairs(other)} == {0}  # the embedding counts
    longer = [7 * number for number in embedding]
    hybrid = filled.query(asked(MODE.HYBRID, query_embedding=longer))
    assert same(pairs(hybrid), pairs(filled.query(asked(MODE.HYBRID))))
    with pytest.raises(VectorError, match=r"1 wide.*32 wide.*embed_model=M3StoreEmbedding\(\)"):
        filled.query(asked(MODE.DEFAULT, query_embedding=[1.0]))


def test_a_query_is_encoded_once(filled: M3VectorStore, counting: Counting, call: Call) -> None:
    for mode in MODES:
        call(filled, "query", asked(mode, query_str=mode.value))
    assert counting.queries == [mode.value for mode in MODES]
    assert len(counting.documents) == len(NODES)


def test_nodes_are_encoded_once_with_their_metadata(
    filled: M3VectorStore, counting: Counting
) -> None:
    assert filled.client.count() == len(NODES)
    assert counting.documents == [node.get_content(MetadataMode.EMBED) for node in NODES]
    assert "lang: en" in counting.documents[0]
    assert "weight" not in counting.documents[0]


def test_add_returns_ids_and_replaces(store: M3VectorStore, call: Call) -> None:
    assert call(store, "add", NODES) == ids(NODES)
    changed = NODES[0].model_copy(update={"text": "something else"})
    assert call(store, "add", [changed]) == [changed.node_id]
    assert store.client.count() == len(NODES)
    assert store.get_nodes([changed.node_id])[0].get_content() == "something else"
    assert call(store, "add", []) == []
    assert call(store, "add", (node for node in NODES[:2])) == ids(NODES[:2])


def test_nothing_is_written_if_a_node_is_refused(store: M3VectorStore) -> None:
    bad = make_nodes()[0]
    bad.metadata["when"] = b"1"
    with pytest.raises(TypeError, match=r"document 10 .*metadata key 'when': .* is not JSON"):
        store.add([*NODES[1:], bad])
    assert store.client.count() == 0


def test_what_the_engine_cannot_hold_is_refused_before_anything_is_encoded(
    store: M3VectorStore, counting: Counting
) -> None:
    nodes = [TextNode(id_=str(n), text=f"text {n}") for n in range(300)]
    nodes[200].text = "x" * 70_000
    if isinstance(store.client, WithColbert):  # Milvus Lite: a text takes at most 65,535 bytes
        with pytest.raises(DocumentError, match=r"document 200 \('200'\): .* 70000 bytes"):
            store.add(nodes)
        assert counting.documents == []
        assert store.client.count() == 0
        nodes[200].text = "x"
    assert len(store.add(nodes)) == store.client.count() == 300


def left(store: M3VectorStore) -> set[int]:
    return {node.metadata["n"] for node in store.get_nodes()}


EVERY = set(range(len(NODES)))
DELETIONS: list[tuple[Callable[[Call, M3VectorStore], None], set[int]]] = [
    (lambda call, store: call(store, "delete", source(1)), {n for n in EVERY if n % 3 != 1}),
    (lambda call, store: call(store, "delete", "no such"), EVERY),
    (
        lambda call, store: call(store, "delete_nodes", [NODES[2].node_id, "no such"]),
        EVERY - {2},
    ),
    (lambda call, store: call(store, "delete_nodes", []), EVERY),
    (
        lambda call, store: call(store, "delete_nodes", filters=one("n", OP.LT, 4)),
        {n for n in EVERY if n >= 4},
    ),
    (
        lambda call, store: call(
            store, "delete_nodes", [node.node_id for node in NODES[:3]], one("n", OP.GT, 1)
        ),
        EVERY - {2},
    ),
    (lambda call, store: call(store, "delete_nodes", [], one("n", OP.GT, 1)), EVERY),
    (lambda call, store: call(store, "clear"), set()),
]


@pytest.mark.parametrize(("delete", "expected"), DELETIONS)
def test_deletions(
    filled: M3VectorStore,
    call: Call,
    delete: Callable[[Call, M3VectorStore], None],
    expected: set[int],
) -> None:
    delete(call, filled)
    assert left(filled) == expected


@pytest.mark.parametrize("filters", [None, "empty", "nested"])
def test_deleting_without_a_word_is_refused(
    filled: M3VectorStore, call: Call, filters: str | None
) -> None:
    said = {
        None: None,
        "empty": MetadataFilters(filters=[]),
        "nested": MetadataFilters(filters=[MetadataFilters(filters=[])]),
    }[filters]
    with pytest.raises(ValueError, match=r"to delete all nodes, call clear\(\)"):
        call(filled, "delete_nodes", filters=said)
    assert filled.client.count() == len(NODES)


def test_a_node_without_a_source_is_its_own(store: M3VectorStore, call: Call) -> None:
    node = make_nodes()[0]
    node.relationships = {}
    store.add([node, *NODES[1:]])
    result = call(store, "query", asked(MODE.DEFAULT, doc_ids=[node.node_id]))
    assert ids(result.nodes) == [node.node_id]
    call(store, "delete", node.node_id)
    assert left(store) == EVERY - {0}


def test_cleared_and_filled_again(filled: M3VectorStore, call: Call) -> None:
    call(filled, "clear")
    assert call(filled, "get_nodes") == []
    assert pairs(call(filled, "query", asked(MODE.HYBRID))) == []
    call(filled, "add", NODES)
    assert same(pairs(call(filled, "query", asked(MODE.HYBRID))), ranked(SUMS)[:5])


def test_get_nodes(filled: M3VectorStore, call: Call) -> None:
    wanted = [NODES[4].node_id, "no such", NODES[1].node_id]
    assert ids(call(filled, "get_nodes", wanted)) == [wanted[0], wanted[2]]
    assert ids(call(filled, "get_nodes", wanted, one("n", OP.LT, 3))) == [wanted[2]]
    assert sorted(ids(call(filled, "get_nodes"))) == sorted(ids(NODES))
    assert call(filled, "get_nodes", []) == []


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("add", (NODES,)),
        ("delete", ("a",)),
        ("delete_nodes", (["a"],)),
        ("query", (asked(MODE.DEFAULT),)),
        ("query", (asked(MODE.MMR),)),
    ],
)
def test_an_unknown_option_is_refused(call: Call, name: str, args: tuple[Any, ...]) -> None:
    store = M3VectorStore(HashEncoder(), MemoryIndex())
    with pytest.raises(TypeError, match="batch_sise"):
        call(store, name, *args, batch_sise=3)
    assert store.client.count() == 0


def test_an_index_must_hold_what_a_mode_needs() -> None:
    store = M3VectorStore(HashEncoder(), MemoryIndex(reps=["dense"]))
    store.add(NODES)
    assert store.query(asked(MODE.DEFAULT)).nodes
    for mode in (MODE.SPARSE, MODE.HYBRID):
        with pytest.raises(RepresentationError, match="holds no sparse"):
            store.query(asked(mode))


def test_an_encoder_and_an_index_must_fit() -> None:
    class Dense(HashEncoder):
        reps: frozenset[Rep] = frozenset({"dense"})

    with pytest.raises(RepresentationError, match="cannot make"):
        M3VectorStore(Dense(), MemoryIndex())
    with pytest.raises(ModelMismatchError, match="other"):
        M3VectorStore(HashEncoder(), MemoryIndex(model="other"))


def test_a_query_with_nothing_to_say(filled: M3VectorStore) -> None:
    assert pairs(filled.query(asked(MODE.SPARSE, query_str=""))) == []
    assert len(pairs(filled.query(asked(MODE.HYBRID, query_str="")))) == 5


def test_what_hyde_imagines_is_the_dense_vector(filled: M3VectorStore, call: Call) -> None:
    imagined = [NODES[7].get_content(MetadataMode.EMBED), NODES[3].get_content(MetadataMode.EMBED)]
    outputs = HashEncoder().encode_documents(imagined)
    mean = np.mean([np.asarray(output.dense) for output in outputs], axis=0)
    embedding = DeferredEmbedding(imagined)
    for mode in (MODE.DEFAULT, MODE.HYBRID):
        deferred = call(filled, "query", asked(mode, query_embedding=embedding))
        given = call(filled, "query", asked(mode, query_embedding=mean.tolist()))
        assert same(pairs(deferred), pairs(given))
        assert not same(pairs(deferred), pairs(filled.query(asked(mode))))


def test_what_hyde_imagines_is_searched_for_by_weights(filled: M3VectorStore, call: Call) -> None:
    imagined = [NODES[7].get_content(MetadataMode.EMBED), NODES[3].get_content(MetadataMode.EMBED)]
    queries = HashEncoder().encode_queries(imagined)
    documents = HashEncoder().encode_documents(
        [node.get_content(MetadataMode.EMBED) for node in NODES]
    )
    means = {
        node.node_id: float(np.mean([scores("sparse", query, [document]) for query in queries]))
        for node, document in zip(NODES, documents, strict=True)
    }
    expected = ranked({id_: score for id_, score in means.items() if score})[:5]
    query = asked(MODE.SPARSE, query_embedding=DeferredEmbedding(imagined))
    result = call(filled, "query", query)
    assert same(pairs(result), clipped(expected))
    assert not same(pairs(result), pairs(filled.query(asked(MODE.SPARSE))))


def test_nothing_is_set_that_would_do_nothing(filled: M3VectorStore) -> None:
    for name in ("client", "encoder", "index", "similarity_top_k"):
        with pytest.raises((AttributeError, ValueError)):
            setattr(filled, name, None)


def test_from_dict_wants_an_encoder_and_an_index(filled: M3VectorStore) -> None:
    data = filled.to_dict()
    with pytest.raises(TypeError, match="encoder= and index="):
        M3VectorStore.from_dict(data)
    again = M3VectorStore.from_dict(data, encoder=HashEncoder(), index=filled.client)
    assert again.client is filled.client
