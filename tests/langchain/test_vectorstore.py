from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.example_selectors import (
    MaxMarginalRelevanceExampleSelector,
    SemanticSimilarityExampleSelector,
)
from tests.langchain.conftest import Counted

from m3kit import (
    RRF,
    All,
    DocumentError,
    Encoder,
    Eq,
    Fusion,
    HybridIndex,
    MemoryIndex,
    ModelMismatchError,
    Rep,
    RepresentationError,
    Retriever,
    WeightedSum,
    WithColbert,
)
from m3kit.testing import DOCUMENTS, ENCODER, TEXTS, HashEncoder
from m3kit_langchain import EmbeddingsEncoder, M3Embeddings, M3VectorStore

Opened: TypeAlias = Callable[[Encoder], AbstractContextManager[HybridIndex]]

FAKE = DeterministicFakeEmbedding(size=6)
AWKWARD = {
    "id": 1,
    "text": "x",
    "dense": [0.5, 1],
    "sparse": None,
    "_id": "y",
    "page_content": True,
    "nested": {"a": [{"b": 1.0}], "é": []},
    "float": 1.0,
}


@pytest.fixture
def store() -> M3VectorStore:
    """The suite's documents in memory."""
    store = M3VectorStore(HashEncoder(), MemoryIndex())
    Retriever(HashEncoder(), store.index).add(DOCUMENTS)
    return store


@pytest.fixture
def anywhere(open_index: Opened) -> Iterator[M3VectorStore]:
    """An empty store, over each index in turn."""
    with open_index(ENCODER) as index:
        yield M3VectorStore(ENCODER, index)


# Writing ------------------------------------------------------------------------------------------


def test_metadata_and_ids_come_back_exactly(anywhere: M3VectorStore) -> None:
    document = Document(id="my id/é", page_content="the dog", metadata=AWKWARD)
    assert anywhere.add_documents([document]) == ["my id/é"]
    (searched,) = anywhere.similarity_search("dog")
    (got,) = anywhere.get_by_ids(["my id/é"])
    for hit in (searched, got):
        assert hit == document
        assert repr(hit.metadata) == repr(document.metadata)  # 1 and 1.0 are told apart


def test_a_key_named_as_a_field_collides_with_nothing(anywhere: M3VectorStore) -> None:
    anywhere.add_texts(["the dog", "the cat"], [{"id": "b", "text": "x"}, {"id": "a"}], ids="ab")
    assert [hit.id for hit in anywhere.similarity_search("the", where={"id": "a"})] == ["b"]
    assert [hit.id for hit in anywhere.similarity_search("the", where={"text": "x"})] == ["a"]


def test_input_is_left_as_it_was_and_shared_with_nobody(store: M3VectorStore) -> None:
    document = Document(page_content="a new dog", metadata={"tags": ["a"]})
    before = document.model_copy(deep=True)
    (id_,) = store.add_documents([document])
    assert document == before
    document.metadata["tags"].append("b")
    store.get_by_ids([id_])[0].metadata["tags"].append("c")
    assert store.get_by_ids([id_])[0].metadata == {"tags": ["a"]}


def test_documents_without_an_id_get_a_uuid(store: M3VectorStore) -> None:
    ids = store.add_texts(["one", "two"])
    assert [UUID(id_).version for id_ in ids] == [4, 4]
    assert len(set(ids)) == 2


def test_ids_given_go_before_the_documents_own(store: M3VectorStore) -> None:
    documents = [Document(id=id_, page_content="x") for id_ in ("a", "b", None)]
    first, second, third = store.add_documents(documents, ids=["c", None, None])
    assert (first, second) == ("c", "b")
    assert UUID(third).version == 4
    assert store.get_by_ids(["a"]) == []


def test_adding_again_replaces(anywhere: M3VectorStore) -> None:
    anywhere.add_texts(["the dog"], [{"n": 1}], ids=["a"])
    anywhere.add_texts(["the cat"], ids=["a"])
    assert anywhere.get_by_ids(["a"]) == [Document(id="a", page_content="the cat")]
    assert anywhere.index.count() == 1


def test_a_stream_is_read_batch_by_batch() -> None:
    store = M3VectorStore(HashEncoder(), MemoryIndex())
    ahead: list[int] = []

    def documents() -> Iterator[Document]:
        for n in range(30):
            ahead.append(n - store.index.count())
            yield Document(id=str(n), page_content=f"text {n}")

    assert store.add_documents(documents(), batch_size=4) == [str(n) for n in range(30)]
    assert max(ahead) < 16  # four batches: read, encoded, waiting and written
    texts, ids = (f"text {n}" for n in range(3)), (str(n) for n in range(3))
    assert store.add_texts(texts, ({"n": n} for n in range(3)), ids=ids) == ["0", "1", "2"]
    assert store.get_by_ids(["2"])[0].metadata == {"n": 2}


@pytest.mark.parametrize("more", [{"metadatas": [{}]}, {"ids": ["a"]}, {"ids": ["a", "b", "c"]}])
def test_lists_of_other_lengths_are_refused_before_anything_is_written(
    store: M3VectorStore, more: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="for 2 documents"):
        store.add_texts(["one", "two"], **more)
    with pytest.raises(ValueError, match="zip"):
        store.add_texts(
            iter(["one", "two"]), **{name: iter(values) for name, values in more.items()}
        )
    assert store.index.count() == len(TEXTS)


def test_what_is_no_json_is_refused_naming_the_document(store: M3VectorStore) -> None:
    with pytest.raises(TypeError, match=r"document 0 \('a'\), metadata key 'when': .* not JSON"):
        store.add_texts(["one"], [{"when": b"1"}], ids=["a"])
    with pytest.raises(ValueError, match=r"document 0 \('a'\), metadata key 'size': inf"):
        store.add_texts(["one"], [{"size": float("inf")}], ids=["a"])


def test_a_list_is_written_as_a_whole_or_not_at_all(anywhere: M3VectorStore) -> None:
    documents = [Document(f"text {n}", metadata={"n": n}) for n in range(300)]
    documents[200].metadata["when"] = object()
    with pytest.raises(TypeError, match=r"document 200 .*, metadata key 'when'"):
        anywhere.add_documents(documents)
    assert anywhere.index.count() == 0
    texts = [document.page_content for document in documents]
    with pytest.raises(TypeError, match=r"document 200 .*, metadata key 'when'"):
        anywhere.add_texts(texts, [document.metadata for document in documents])
    assert anywhere.index.count() == 0


def test_what_the_engine_cannot_hold_is_refused_before_anything_is_written(
    anywhere: M3VectorStore,
) -> None:
    texts = [f"text {n}" for n in range(300)]
    texts[200] = "x" * 70_000
    if isinstance(anywhere.index, WithColbert):  # Milvus Lite: a text takes at most 65,535 bytes
        with pytest.raises(DocumentError, match=r"document 200 \('200'\): .* 70000 bytes"):
            anywhere.add_texts(texts, ids=list(map(str, range(300))))
        assert anywhere.index.count() == 0
        texts[200] = "x"
    anywhere.add_texts(texts)
    assert anywhere.index.count() == 300


class Color(Enum):
    RED = "red"


VALUES: list[tuple[Any, Any]] = [
    (datetime(2024, 5, 1, 9, 30), "2024-05-01T09:30:00"),  # as loaders make it
    (date(2024, 5, 1), "2024-05-01"),
    (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    (Path("a.pdf"), "a.pdf"),
    (Decimal("1.5"), "1.5"),
    (Color.RED, "red"),
    ((1, (2, 3)), [1, [2, 3]]),
    ({3, 1, 2}, [1, 2, 3]),
    (np.int64(3), 3),
    (np.float32(0.5), 0.5),
    (np.bool_(True), True),  # noqa: FBT003  # a value of metadata
    (np.array([1, 2]), [1, 2]),
    ({"nested": np.int8(1)}, {"nested": 1}),
]


@pytest.mark.parametrize(("value", "stored"), VALUES, ids=[str(value) for value, _ in VALUES])
def test_metadata_becomes_json_as_in_other_stores(
    store: M3VectorStore, value: Any, stored: Any
) -> None:
    store.add_texts(["a text"], [{"v": value}], ids=["v"])
    (document,) = store.get_by_ids(["v"])
    assert document.metadata == {"v": stored}
    assert type(document.metadata["v"]) is type(stored)
    if isinstance(stored, str | int | float):
        assert [hit.id for hit in store.similarity_search("a", filter={"v": value})] == ["v"]


def test_dates_and_nested_fields_are_filtered(anywhere: M3VectorStore) -> None:
    metadatas = [
        {"day": date(2024, month, 1), "loc": {"lines": month}, "a.b": month} for month in (1, 2, 3)
    ]
    anywhere.add_texts(["x", "y", "z"], metadatas, ids=["1", "2", "3"])

    def matching(where: Any) -> list[str]:
        return sorted(hit.id or "" for hit in anywhere.similarity_search("x", filter=where))

    assert matching({"day": {"$gte": "2024-02-01"}}) == ["2", "3"]
    assert matching({"day": {"$lt": date(2024, 2, 1)}}) == ["1"]
    assert matching({"loc.lines": 2}) == ["2"]
    assert matching({"loc": {"lines": {"$lte": 2}}}) == ["1", "2"]
    assert matching({"metadata.loc.lines": {"$ne": 2}}) == ["1", "3"]
    assert matching({"a.b": 3}) == ["3"]


@pytest.mark.parametrize(
    "options", [{"filter": {"n": 1}}, {"where": Eq("n", 1)}, {"k": 1}, {"search_kwarg": {"k": 1}}]
)
def test_as_retriever_refuses_what_langchain_would_ignore(
    store: M3VectorStore, options: dict[str, Any]
) -> None:
    with pytest.raises(TypeError, match=f"not {next(iter(options))}; .* search_kwargs="):
        store.as_retriever(**options)
    retriever = store.as_retriever(
        search_type="mmr", search_kwargs={"k": 1}, tags=["a"], metadata={"b": 1}, name="c"
    )
    assert (retriever.tags, retriever.metadata, retriever.name) == (["a"], {"b": 1}, "c")
    assert len(retriever.invoke("bear")) == 1


@pytest.mark.parametrize("name", ["index", "encoder", "embeddings", "fusion", "candidates", "k"])
def test_a_store_is_not_changed(store: M3VectorStore, name: str) -> None:
    with pytest.raises(AttributeError, match=f"{name} of this M3VectorStore cannot be set"):
        setattr(store, name, None)


@pytest.mark.parametrize("fusion", [WeightedSum(), RRF()])
@pytest.mark.parametrize("reps", [("dense", "sparse"), ("dense", "sparse", "colbert")])
def test_what_has_nothing_to_do_with_a_query_is_below_a_threshold(
    store: M3VectorStore, reps: tuple[Rep, ...], fusion: Fusion
) -> None:
    unrelated = store.similarity_search_with_relevance_scores(
        "quantum chromodynamics lagrangian", k=3, score_threshold=0.5, reps=reps, fusion=fusion
    )
    assert unrelated == []
    plain = Retriever(HashEncoder(), store.index)
    sums = {hit.document.id: hit.score for hit in plain.search("a bear", k=99, reps=reps)}
    scored = store.similarity_search_with_relevance_scores("a bear", k=9, reps=reps, fusion=fusion)
    for document, score in scored:
        assert document.id is not None
        assert score == pytest.approx(min(max(sums[document.id], 0), 1), abs=1e-6)


def test_unknown_arguments_are_refused_by_name(store: M3VectorStore) -> None:
    calls: list[Callable[..., object]] = [
        lambda **more: store.add_texts(["a"], **more),
        lambda **more: store.add_documents([], **more),
        lambda **more: store.delete(["a"], **more),
        lambda **more: store.similarity_search("a", **more),
        lambda **more: store.similarity_search_by_vector([1.0] * 32, **more),
        lambda **more: store.similarity_search_with_relevance_scores("a", **more),
        lambda **more: store.max_marginal_relevance_search("a", **more),
        lambda **more: store.as_retriever(search_kwargs=more).invoke("a"),
        lambda **more: M3VectorStore.from_texts(["a"], ENCODER, **more),
    ]
    for call in calls:
        with pytest.raises(TypeError, match="fetch"):
            call(fetch=3)


@pytest.mark.parametrize("reps", [["dens"], "dense", ["dense", "colbrt"]])
def test_a_misspelt_representation_is_refused(store: M3VectorStore, reps: Any) -> None:
    with pytest.raises(RepresentationError, match="representations are some of"):
        store.similarity_search("bear", reps=reps)


def test_a_string_is_not_a_list(store: M3VectorStore) -> None:
    for call in (store.add_texts, store.delete, store.get_by_ids):
        with pytest.raises(TypeError, match="write"):
            call("ab")


def test_delete_forgets_what_is_said_and_never_all_by_default(anywhere: M3VectorStore) -> None:
    anywhere.add_texts(["a", "b", "c", "d"], [{"n": n} for n in range(4)], ids=list("abcd"))
    refused: list[dict[str, Any]] = [
        {},
        {"ids": None},
        {"where": None},
        {"where": {}},
        {"filter": {}},
        {"ids": ["a"], "where": Eq("n", 1)},
    ]
    for arguments in refused:
        with pytest.raises(ValueError, match="All"):
            anywhere.delete(**arguments)
    assert anywhere.delete([])
    assert anywhere.index.count() == 4
    assert anywhere.delete(["a", "unknown"])
    assert anywhere.delete(where={"n": {"$gt": 2}})
    assert anywhere.delete(filter=Eq("n", 1))
    assert [hit.id for hit in anywhere.get_by_ids(list("abcd"))] == ["c"]
    assert anywhere.delete(where=All())
    assert anywhere.index.count() == 0


# Making -------------------------------------------------------------------------------------------


def test_from_texts_takes_any_embeddings() -> None:
    store = M3VectorStore.from_texts(["foo", "bar"], FAKE, [{"n": 1}, {"n": 2}], ids=["1", "2"])
    assert store.similarity_search("bar", k=1) == [
        Document(id="2", page_content="bar", metadata={"n": 2})
    ]
    ((_, score),) = store.similarity_search_with_score("bar", k=1)
    assert score == pytest.approx(1)
    assert store.embeddings is FAKE
    assert store.index.reps == {"dense"}
    assert store.as_retriever().tags == ["M3VectorStore", "DeterministicFakeEmbedding"]


async def test_from_documents_takes_m3_embeddings_and_keeps_ids() -> None:
    documents = [Document(id="a", page_content="foo"), Document(page_content="bar")]
    embeddings = M3Embeddings(encoder=HashEncoder())
    for store in (
        M3VectorStore.from_documents(documents, embeddings),
        await M3VectorStore.afrom_documents(documents, embeddings),
    ):
        assert store.index.reps == {"dense", "sparse", "colbert"}
        assert isinstance(store.embeddings, M3Embeddings)
        assert store.get_by_ids(["a"]) == documents[:1]
        assert store.index.count() == 2


def test_from_texts_fills_an_index_that_is_given() -> None:
    index = MemoryIndex(reps=["dense"])
    M3VectorStore.from_texts(["foo"], FAKE, index=index, candidates=5)
    assert index.count() == 1


def test_an_index_of_another_model_is_refused() -> None:
    with pytest.raises(ModelMismatchError):
        M3VectorStore(HashEncoder(), MemoryIndex(model="BAAI/bge-m3@1"))
    with pytest.raises(RepresentationError, match="which the encoder cannot make"):
        M3VectorStore(FAKE, MemoryIndex())


# Searching ----------------------------------------------------------------------------------------


def test_a_search_is_the_retrievers_own(store: M3VectorStore) -> None:
    plain = Retriever(HashEncoder(), store.index)
    options: list[dict[str, Any]] = [
        {},
        {"reps": ("dense",)},
        {"reps": ("dense", "sparse"), "fusion": RRF(k=3), "candidates": 4},
        {"fusion": WeightedSum(), "where": Eq("even", value=True)},
        {"reps": ("sparse",), "min_score": 0.5},
    ]
    for each in options:
        hits = plain.search("the growling bear", k=5, **each)
        scored = store.similarity_search_with_score("the growling bear", 5, **each)
        assert [(hit.id, score) for hit, score in scored] == [
            (hit.document.id, hit.score) for hit in hits
        ]
        results = store.similarity_search("the growling bear", k=5, **each)
        assert results == [hit for hit, _ in scored]
        assert results[0].page_content == hits[0].document.text


def test_what_the_store_was_made_with_is_what_a_call_does_not_say() -> None:
    store = M3VectorStore(HashEncoder(), MemoryIndex(), reps=["sparse"], candidates=3)
    store.add_texts(TEXTS)
    assert len(store.similarity_search("salmon", k=9)) == 2
    assert len(store.similarity_search("salmon", k=9, reps=("dense",))) == 9


def test_where_and_filter_are_one_option(store: M3VectorStore) -> None:
    wheres: list[Any] = [{"lang": "de"}, Eq("lang", "de"), {"lang": {"$nin": ["en"]}}]
    for where in wheres:
        assert [hit.metadata["lang"] for hit in store.similarity_search("ruh", where=where)] == [
            "de"
        ]
        assert len(store.similarity_search("ruh", filter=where)) == 1
        assert len(store.max_marginal_relevance_search("ruh", filter=where)) == 1
        retriever = store.as_retriever(search_kwargs={"filter": where})
        assert len(retriever.invoke("ruh")) == 1
    with pytest.raises(TypeError, match="where and filter"):
        store.similarity_search("ruh", where=All(), filter=All())


def test_by_vector_is_dense_search_of_any_length_of_vector(store: M3VectorStore) -> None:
    vector = store.embeddings.embed_query("growling bear")
    expected = store.similarity_search("growling bear", reps=("dense",))
    assert store.similarity_search_by_vector(vector) == expected
    longer = [7 * number for number in vector]
    assert store.similarity_search_by_vector(longer, min_score=0.9, k=1) == []
    assert store.similarity_search_by_vector(longer, min_score=0.5, k=1) == expected[:1]
    with pytest.raises(TypeError, match="reps"):
        store.similarity_search_by_vector(vector, reps=("dense",))


@pytest.mark.parametrize("fusion", [RRF(), RRF(k=1), WeightedSum(), WeightedSum(1, 9, 1)])
@pytest.mark.parametrize(
    "reps",
    [
        ("dense",),
        ("sparse",),
        ("colbert",),
        ("dense", "sparse"),
        ("dense", "colbert"),
        ("dense", "sparse", "colbert"),
    ],
)
def test_relevance_is_from_0_to_1_in_the_order_of_the_scores(
    store: M3VectorStore, reps: tuple[Rep, ...], fusion: Fusion
) -> None:
    for text in ("the growling bear", "", "xylophone zebra", "purring " * 9):
        options: dict[str, Any] = {"reps": reps, "fusion": fusion}
        results = store.similarity_search_with_relevance_scores(text, k=99, **options)
        scores = [score for _, score in results]
        assert all(0 <= score <= 1 for score in scores)
        if isinstance(fusion, WeightedSum):  # RRF ranks by places
            assert scores == sorted(scores, reverse=True)
        assert [hit for hit, _ in results] == store.similarity_search(text, k=99, **options)
        half = store.similarity_search_with_relevance_scores(
            text, k=99, score_threshold=0.5, **options
        )
        assert half == [pair for pair in results if pair[1] >= 0.5]


def test_the_same_text_is_relevant_by_1(store: M3VectorStore) -> None:
    reps: list[tuple[Rep, ...]] = [("dense",), ("colbert",), ("dense", "sparse")]
    for each in reps:
        ((best, score),) = store.similarity_search_with_relevance_scores(
            "the bear is growling", k=1, reps=each
        )
        assert best.page_content == "the bear is growling"
        assert score == pytest.approx(1)


async def test_a_threshold_works_through_a_retriever(store: M3VectorStore) -> None:
    retriever = store.as_retriever(
        search_type="similarity_score_threshold",
        search_kwargs={"score_threshold": 0.9, "k": 9},
    )
    results = retriever.invoke("the bear is growling")
    assert [hit.page_content for hit in results] == ["the bear is growling"]
    assert await retriever.ainvoke("the bear is growling") == results


# Maximal marginal relevance -----------------------------------------------------------------------


def test_mmr_is_relevance_alone_at_1_and_difference_alone_at_0(anywhere: M3VectorStore) -> None:
    anywhere.add_texts(["bear growling", "bear growling", "bear salmon", "gpu"], ids=list("abcd"))

    def chosen(lambda_mult: float) -> list[str | None]:
        results = anywhere.max_marginal_relevance_search("bear", k=3, lambda_mult=lambda_mult)
        return [hit.id for hit in results]

    by_dense = anywhere.similarity_search("bear", k=3, reps=("dense",))
    assert chosen(1) == [hit.id for hit in by_dense]
    assert {"a", "b"} <= {*chosen(1)}
    assert "d" in chosen(0)
    assert not {"a", "b"} <= {*chosen(0)}


@pytest.mark.parametrize("lambda_mult", [0, 0.3, 0.5, 0.8, 1])
def test_mmr_is_its_definition(store: M3VectorStore, lambda_mult: float) -> None:
    query = np.array(store.embeddings.embed_query("the growling bear"))
    left = {
        hit.page_content: np.array(store.embeddings.embed_documents([hit.page_content])[0])
        for hit in store.similarity_search("the growling bear", k=6)
    }
    expected: dict[str, Any] = {}
    while len(expected) < 4:
        value = {
            text: (lambda_mult if expected else 1) * (vector @ query)
            - (1 - lambda_mult) * max((vector @ other for other in expected.values()), default=0)
            for text, vector in left.items()
        }
        best = max(value, key=value.__getitem__)
        expected[best] = left.pop(best)
    results = store.max_marginal_relevance_search(
        "the growling bear", k=4, fetch_k=6, lambda_mult=lambda_mult
    )
    assert [hit.page_content for hit in results] == list(expected)


def test_mmr_by_vector_through_a_retriever_and_at_the_edges(store: M3VectorStore) -> None:
    vector = store.embeddings.embed_query("bear")
    dense = store.similarity_search("bear", k=3, reps=("dense",))
    assert store.max_marginal_relevance_search_by_vector(vector, k=3, lambda_mult=1) == dense
    retriever = store.as_retriever(search_type="mmr", search_kwargs={"k": 3, "fetch_k": 2})
    assert len(retriever.invoke("bear")) == 3
    assert store.max_marginal_relevance_search("bear", where={"n": 99}) == []
    with pytest.raises(ValueError, match="lambda_mult"):
        store.max_marginal_relevance_search("bear", lambda_mult=1.5)
    for ask in (store.similarity_search, store.max_marginal_relevance_search):
        with pytest.raises(ValueError, match="at least 1"):
            ask("bear", k=0)


def test_mmr_reads_dense_vectors_even_where_sparse_alone_finds(store: M3VectorStore) -> None:
    results = store.max_marginal_relevance_search("salmon", k=9, reps=("sparse",), lambda_mult=0.5)
    assert {hit.page_content for hit in results} == {text for text in TEXTS if "salmon" in text}


# The host ---------------------------------------------------------------------------------------


async def test_the_asynchronous_twins_answer_alike(anywhere: M3VectorStore) -> None:
    documents = [Document(id=f"d{n}", page_content=text) for n, text in enumerate(TEXTS)]
    assert await anywhere.aadd_documents(documents) == [hit.id for hit in documents]
    assert await anywhere.aadd_texts(["a wolf"], [{"n": 1}], ids=["w"]) == ["w"]
    assert await anywhere.aget_by_ids(["w"]) == anywhere.get_by_ids(["w"])
    vector, where = anywhere.embeddings.embed_query("bear"), {"n": {"$exists": False}}
    pairs: list[tuple[Any, Any, Any]] = [
        (anywhere.similarity_search, anywhere.asimilarity_search, "bear"),
        (anywhere.similarity_search_with_score, anywhere.asimilarity_search_with_score, "bear"),
        (anywhere.similarity_search_by_vector, anywhere.asimilarity_search_by_vector, vector),
        (
            anywhere.similarity_search_with_relevance_scores,
            anywhere.asimilarity_search_with_relevance_scores,
            "bear",
        ),
        (anywhere.max_marginal_relevance_search, anywhere.amax_marginal_relevance_search, "bear"),
        (
            anywhere.max_marginal_relevance_search_by_vector,
            anywhere.amax_marginal_relevance_search_by_vector,
            vector,
        ),
    ]
    for plain, twin, argument in pairs:
        results = plain(argument, k=3, filter=where)
        assert len(results) == 3
        assert await twin(argument, k=3, filter=where) == results
    for kind in ("similarity", "mmr", "similarity_score_threshold"):
        results = anywhere.search("bear", kind, k=2)
        assert results
        assert await anywhere.asearch("bear", kind, k=2) == results
    assert await anywhere.adelete(["w"])
    assert anywhere.get_by_ids(["w"]) == []
    with pytest.raises(ValueError, match="All"):
        await anywhere.adelete()


@pytest.mark.parametrize(
    "selector", [SemanticSimilarityExampleSelector, MaxMarginalRelevanceExampleSelector]
)
async def test_it_serves_langchains_example_selectors(
    selector: type[SemanticSimilarityExampleSelector],
) -> None:
    examples = [{"input": text, "output": text[::-1]} for text in TEXTS if text]
    embeddings = M3Embeddings(encoder=HashEncoder())
    chosen = selector.from_examples(examples, embeddings, M3VectorStore, k=1)
    assert chosen.select_examples({"input": "the bear is growling"}) == [
        {"input": "the bear is growling", "output": "gnilworg si raeb eht"}
    ]
    await chosen.aadd_example({"input": "a wolf", "output": "x"})
    assert await chosen.aselect_examples({"input": "wolf"}) == [{"input": "a wolf", "output": "x"}]


def test_a_retriever_of_the_store_writes_too(store: M3VectorStore) -> None:
    assert store.as_retriever().add_documents([Document(id="w", page_content="a wolf")]) == ["w"]
    assert store.get_by_ids(["w"])[0].page_content == "a wolf"


# Cost ---------------------------------------------------------------------------------------------


async def test_every_text_is_encoded_once() -> None:
    encoder = Counted(HashEncoder())
    store = M3VectorStore(encoder, MemoryIndex())
    store.add_texts(["one", "two"])
    await store.aadd_documents([Document(page_content="three")])
    store.get_by_ids(["a"])
    assert encoder.documents == ["one", "two", "three"]
    assert encoder.queries == []
    searches: list[Callable[[str], object]] = [
        store.similarity_search,
        store.similarity_search_with_score,
        store.similarity_search_with_relevance_scores,
        store.max_marginal_relevance_search,
        store.as_retriever().invoke,
    ]
    for number, ask in enumerate(searches):
        ask(f"q{number}")
    awaited: list[Callable[[str], Any]] = [
        store.asimilarity_search,
        store.asimilarity_search_with_relevance_scores,
        store.amax_marginal_relevance_search,
        store.as_retriever().ainvoke,
    ]
    for number, ask in enumerate(awaited):
        await ask(f"a{number}")
    assert encoder.queries == [*(f"q{n}" for n in range(5)), *(f"a{n}" for n in range(4))]


def test_many_questions_at_once(anywhere: M3VectorStore) -> None:
    anywhere.add_texts([text for text in TEXTS if text])
    texts = [text for text in TEXTS if text] * 3
    retriever = anywhere.as_retriever(search_kwargs={"k": 1})
    answers = retriever.batch(texts)
    assert [hits[0].page_content for hits in answers] == texts


def test_an_embeddings_encoder_can_be_given_too() -> None:
    store = M3VectorStore(EmbeddingsEncoder(FAKE), MemoryIndex(reps=["dense"]))
    store.add_texts(["foo"], ids=["1"])
    assert M3VectorStore(FAKE, store.index).similarity_search("foo")[0].id == "1"
