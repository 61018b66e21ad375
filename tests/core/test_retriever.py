from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pytest

from m3kit import (
    Document,
    DocumentError,
    Eq,
    Filter,
    Hit,
    HybridIndex,
    M3Output,
    MemoryIndex,
    ModelMismatchError,
    Record,
    Rep,
    RepresentationError,
    Retriever,
    Search,
    WeightedSum,
    WithColbert,
)
from m3kit.testing import DIM, DOCUMENTS, ENCODER, HashEncoder


class Dense(HashEncoder):
    model = "dense"
    reps = frozenset({"dense"})


def retriever(index: HybridIndex | None = None) -> Retriever:
    return Retriever(ENCODER, MemoryIndex(DIM) if index is None else index)


def test_it_finds_texts_by_a_text() -> None:
    finder = retriever()
    assert finder.add(DOCUMENTS) == len(DOCUMENTS)
    assert finder.search("growling bear")[0].document == DOCUMENTS[2]
    assert finder.search("über", where=Eq("lang", "de"), k=1)[0].document == DOCUMENTS[8]
    assert len(finder.search("the bear", k=3)) == 3
    hits = finder.search("dog", reps=["sparse"], with_scores=True, min_score=0.1)
    assert [set(hit.scores) for hit in hits] == [{"sparse"}] * 2
    assert finder.search("dog", fusion=WeightedSum())[0].document.text.count("dog") == 1


def test_a_retriever_has_weights_of_its_own() -> None:
    index = retriever().index
    weighted = Retriever(ENCODER, index, fusion=WeightedSum(0, 1, 0))
    weighted.add(DOCUMENTS)
    plain = retriever(index)
    assert weighted.search("dog") == plain.search("dog", fusion=WeightedSum(0, 1, 0))
    assert weighted.search("dog") != plain.search("dog")
    assert weighted.search("dog", fusion="weighted") == plain.search("dog")
    assert Retriever(ENCODER, index, fusion="rrf").search("dog") == plain.search(
        "dog", fusion="rrf"
    )


def test_documents_are_read_a_few_batches_ahead() -> None:
    read: list[int] = []
    seen: list[tuple[int, int]] = []

    def many() -> Iterator[Document]:
        for n in range(24):
            read.append(n)
            yield Document(f"{n}", "bear")

    written = retriever().add(
        many(), batch_size=4, on_batch=lambda done: seen.append((done, len(read)))
    )
    assert written == 24
    assert [done for done, _ in seen] == [4, 8, 12, 16, 20, 24]
    assert [ahead for _, ahead in seen] == [12, 16, 20, 24, 24, 24]


class Dying(MemoryIndex):
    """Dies at the third batch, as a store does that goes away."""

    def upsert(self, records: Sequence[Record], /) -> None:
        if self.count() >= 8:
            raise ConnectionError("gone")
        super().upsert(records)


def test_a_store_that_dies_keeps_what_was_written_and_says_how_much() -> None:
    index = Dying(DIM)
    with pytest.raises(ConnectionError, match="gone") as error:
        retriever(index).add((Document(f"{n}", "bear") for n in range(12)), batch_size=4)
    assert "8 documents were written before" in error.value.__notes__[0]
    assert index.count() == 8


def test_adding_again_completes_what_was_interrupted() -> None:
    documents = [Document(f"{n}", "bear") for n in range(10)]

    def interrupted() -> Iterator[Document]:
        yield from documents[:7]
        raise KeyboardInterrupt

    finder = retriever()
    with pytest.raises(KeyboardInterrupt):
        finder.add(interrupted(), batch_size=3)
    assert finder.index.count() == 6
    assert finder.add(documents) == 10
    assert finder.index.count() == 10


def test_a_reranker_has_the_last_word() -> None:
    def longest(query: str, texts: Sequence[str]) -> list[float]:
        assert query == "bear"
        return [len(text) for text in texts]

    finder = Retriever(ENCODER, MemoryIndex(DIM), reranker=longest)
    assert finder.search("bear") == []
    finder.add(DOCUMENTS)
    lengths = sorted((len(document.text) for document in DOCUMENTS), reverse=True)
    assert [hit.score for hit in finder.search("bear", k=3)] == lengths[:3]
    assert all(hit.score >= 30 for hit in finder.search("bear", min_score=30))


def test_an_encoder_that_cannot_serve_the_index_is_refused() -> None:
    with pytest.raises(
        RepresentationError, match="colbert, sparse vectors, which dense cannot make"
    ):
        Retriever(Dense(), MemoryIndex(DIM))
    Retriever(Dense(), MemoryIndex(DIM, reps=["dense"]))
    with pytest.raises(ModelMismatchError, match="made by other"):
        Retriever(ENCODER, MemoryIndex(DIM, model="other"))
    with pytest.raises(RepresentationError, match="no ColBERT"):
        WithColbert(MemoryIndex(DIM), Dense())


def test_rescored_answers_as_an_index_that_holds_colbert() -> None:
    exact = retriever()
    composed = retriever(WithColbert(MemoryIndex(DIM, reps=["dense", "sparse"]), ENCODER))
    for finder in (exact, composed):
        finder.add(DOCUMENTS)
    for text in ("the bear", "sparse vector", "friends"):
        assert composed.search(text, with_scores=True) == exact.search(text, with_scores=True)
        only = {"reps": ["colbert"], "k": 4}
        assert composed.search(text, **only) == exact.search(text, **only)  # type: ignore[arg-type]  # a dict of options


def test_a_reranker_is_given_no_fewer_than_are_wanted() -> None:
    finder = Retriever(ENCODER, MemoryIndex(DIM), reranker=lambda _, texts: [0.0] * len(texts))
    finder.add(Document(f"{n}", "bear") for n in range(30))
    assert len(finder.search("bear", k=20, candidates=5)) == 20


@pytest.mark.parametrize(
    ("scores", "message"),
    [([float("nan")], "the text 'bear' is not a number"), ([], "0 scores for 1 texts")],
)
def test_a_reranker_gives_each_text_a_number(scores: list[float], message: str) -> None:
    finder = Retriever(ENCODER, MemoryIndex(DIM), reranker=lambda *_: scores)
    finder.add([Document("the id", "bear")])
    with pytest.raises(ValueError, match=message):
        finder.search("bear")


@pytest.mark.parametrize("reps", [["dense", "colbrt"], "dense", ["spam"]])
def test_representations_that_there_are_none_of_are_refused(reps: Any) -> None:
    finder = retriever()
    with pytest.raises(RepresentationError, match="some of"):
        finder.search("bear", reps=reps)
    with pytest.raises(RepresentationError, match="some of"):
        finder.index.get(["a"], reps)


def test_a_batch_has_at_least_one_document() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        retriever().add(DOCUMENTS, batch_size=0)


class Flushed(MemoryIndex):
    flushes = 0

    def flush(self) -> None:
        self.flushes += 1


def test_what_was_added_is_flushed() -> None:
    index = Flushed(DIM)
    retriever(index).add(DOCUMENTS, batch_size=2)
    assert index.flushes == 1


class Vanishing(MemoryIndex):
    """Loses a document between a search and the reading of it, as another thread would do."""

    def search(self, search: Search, /) -> list[Hit]:
        hits = super().search(search)
        self.delete([DOCUMENTS[2].id])
        return hits

    def scan(self, where: Filter | None = None, /, reps: Collection[Rep] = ()) -> Iterator[Record]:
        yield from list(super().scan(where, reps))
        self.delete([DOCUMENTS[3].id])


@pytest.mark.parametrize("reps", [["dense", "sparse", "colbert"], ["colbert"]])
def test_rescored_leaves_out_what_is_deleted_meanwhile(reps: list[Rep]) -> None:
    index = Vanishing(DIM, reps=["dense", "sparse"])
    finder = retriever(WithColbert(index, ENCODER))
    finder.add(DOCUMENTS)
    hits = finder.search("growling bear", reps=reps, with_scores=True)
    assert len(hits) >= len(DOCUMENTS) - 2


def test_rescored_refuses_an_index_of_another_model() -> None:
    with pytest.raises(ModelMismatchError, match="made by other"):
        WithColbert(MemoryIndex(DIM, reps=["dense"], model="other"), ENCODER)


class Limited(MemoryIndex):
    """An index of texts of at most 20 characters, which notes what it writes."""

    def check_document(self, document: Document, /) -> None:
        if len(document.text) > 20:
            raise DocumentError(f"document {document.id!r} is too long")


class Counting(HashEncoder):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode_documents(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        self.texts += texts
        return super().encode_documents(texts, reps)


MANY = [*(Document(f"{n}", "bear") for n in range(9)), Document("long", "bear " * 20)]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_document_that_cannot_be_held_stops_a_list_before_all_encoding(wrapped: bool) -> None:  # noqa: FBT001
    index = Limited(DIM, reps=["dense", "sparse"])
    encoder = Counting()
    finder = Retriever(encoder, WithColbert(index, ENCODER) if wrapped else index)
    with pytest.raises(DocumentError, match=r"^documents\[9\]: document 'long' is too long"):
        finder.add(MANY, batch_size=4)
    assert (encoder.texts, index.count()) == ([], 0)
    with pytest.raises(TypeError, match="add takes documents, not 'text'"):
        finder.add([*MANY[:5], "text"], batch_size=4)  # type: ignore[list-item]  # on purpose
    assert (encoder.texts, index.count()) == ([], 0)


def test_a_document_that_cannot_be_held_stops_its_batch_of_a_stream() -> None:
    index, encoder = Limited(DIM), Counting()
    with pytest.raises(DocumentError, match=r"^documents\[9\]: ") as raised:
        Retriever(encoder, index).add(iter(MANY), batch_size=4)
    assert (len(encoder.texts), index.count()) == (8, 8)
    assert "8 documents were written" in raised.value.__notes__[0]
