"""Mined negatives, beside a plain ranking by `MemoryIndex`, the oracle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from tests.training.conftest import WORDS

from m3kit.encoder import CachedEncoder
from m3kit.evaluation import MODES
from m3kit.fusion import WeightedSum
from m3kit.index import ModelMismatchError, RepresentationError, Search
from m3kit.memory import MemoryIndex
from m3kit.records import Document, Record
from m3kit.torch import TorchEncoder
from m3kit.training import (
    Example,
    MiningOptions,
    MiningQuery,
    from_callable,
    from_examples,
    from_headings,
    from_spans,
    mine,
)

QUERIES = ["insert a table", "print a page", "change the font"]


def passages(count: int = 60) -> list[Document]:
    random = np.random.RandomState(3)
    return [
        Document(f"p{number}", " ".join(random.choice(WORDS, 6).tolist()) + f" {number}")
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def encoder() -> CachedEncoder:
    return CachedEncoder(TorchEncoder.from_pretrained("tiny"))


@pytest.fixture(scope="module")
def index(encoder: CachedEncoder) -> MemoryIndex:
    documents = passages()
    outputs = encoder.encode_documents([document.text for document in documents])
    index = MemoryIndex(model=encoder.model)
    index.upsert([Record(*pair) for pair in zip(documents, outputs, strict=True)])
    return index


def examples() -> list[Example]:
    return [Example(query, [f"the answer to {query}"]) for query in QUERIES]


def ranked(
    encoder: CachedEncoder, index: MemoryIndex, query: str, options: MiningOptions
) -> list[str]:
    (output,) = encoder.encode_queries([query], options.mode.reps)
    search = Search(
        query=output, k=options.last, fusion=options.mode.fusion, candidates=options.last
    )
    return [hit.document.text for hit in index.search(search)][options.first :]


@pytest.mark.parametrize("name", ["dense", "sparse", "colbert", "dense+sparse", "all"])
def test_negatives_are_drawn_from_the_ranks_of_the_mode(
    encoder: CachedEncoder, index: MemoryIndex, name: str
) -> None:
    options = MiningOptions(mode=MODES[name], first=2, last=12, negatives=100)
    streamed = list(mine(from_examples(examples()), encoder, passages, options, batch_size=7))
    stored = list(mine(from_examples(examples()), encoder, index, options))
    for example, other in zip(streamed, stored, strict=True):
        expected = ranked(encoder, index, example.query, options)
        assert sorted(example.neg) == sorted(expected)
        assert example.neg == other.neg


def test_weights_change_the_ranking(encoder: CachedEncoder, index: MemoryIndex) -> None:
    mode = MODES["all"]
    weighted = type(mode)(mode.name, mode.reps, WeightedSum(0, 1, 0))
    options = MiningOptions(mode=weighted, first=0, last=5, negatives=5)
    (first, *_) = mine(from_examples(examples()), encoder, passages, options)
    assert sorted(first.neg) == sorted(ranked(encoder, index, first.query, options))


def test_a_seed_draws_the_same_whatever_else_is_mined(encoder: CachedEncoder) -> None:
    def negatives(queries: Sequence[Example], seed: int) -> list[Sequence[str]]:
        options = MiningOptions(first=0, last=40, negatives=5, seed=seed)
        return [e.neg for e in mine(from_examples(queries), encoder, passages, options)]

    all_of_them = negatives(examples(), 1)
    assert negatives(examples(), 1) == all_of_them
    assert negatives(examples()[1:], 1) == all_of_them[1:]
    assert negatives(examples(), 2) != all_of_them
    assert all(len(set(drawn)) == 5 for drawn in all_of_them)


def test_neither_a_positive_nor_its_document_nor_the_query_is_a_negative(
    encoder: CachedEncoder,
) -> None:
    documents = passages()
    query = MiningQuery(
        Example(documents[0].text, [documents[1].text]), frozenset([documents[2].id])
    )
    options = MiningOptions(first=0, last=60, negatives=100)
    (example,) = mine([query], encoder, lambda: documents, options)
    assert set(example.neg) == {document.text for document in documents[3:]}


def test_passages_of_one_text_are_one_negative(encoder: CachedEncoder) -> None:
    documents = [Document(str(number), "print a page") for number in range(3)]
    documents += [Document("other", "insert a table")]
    options = MiningOptions(first=0, last=4, negatives=4)
    (example,) = mine([MiningQuery(Example("q", ["p"]))], encoder, lambda: documents, options)
    assert sorted(example.neg) == ["insert a table", "print a page"]


def by_number(_: str, texts: Sequence[str]) -> list[float]:
    """Score a passage by its number, and the positive by 30."""
    return [float(text.split()[-1]) if text.split()[-1].isdigit() else 30.0 for text in texts]


def test_a_margin_leaves_out_what_the_teacher_takes_for_an_answer(encoder: CachedEncoder) -> None:
    options = MiningOptions(first=0, last=60, negatives=100, margin=5)
    for example in mine(from_examples(examples()), encoder, passages, options, teacher=by_number):
        assert sorted(example.neg_scores) == [float(number) for number in range(26)]
        assert example.neg_scores == by_number(example.query, example.neg)
        assert example.pos_scores == [30.0]


def test_a_margin_still_fills_the_number_wanted(encoder: CachedEncoder) -> None:
    options = MiningOptions(first=0, last=60, negatives=8, margin=5)
    for example in mine(from_examples(examples()), encoder, passages, options, teacher=by_number):
        assert len(example.neg) == 8
        assert max(example.neg_scores) <= 25


def test_a_margin_without_a_teacher_is_an_error(encoder: CachedEncoder) -> None:
    with pytest.raises(ValueError, match="give a reranker as teacher="):
        list(mine([], encoder, passages, MiningOptions(margin=1)))


@pytest.mark.parametrize("ranks", [(5, 5), (-1, 5), (9, 3)])
def test_an_empty_range_is_an_error(ranks: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="ranks go up from 0"):
        MiningOptions(first=ranks[0], last=ranks[1])


def test_an_index_of_another_model_is_refused(encoder: CachedEncoder) -> None:
    with pytest.raises(ModelMismatchError):
        list(mine([], encoder, MemoryIndex(model="other@00000000")))


def test_an_index_without_the_representation_is_refused(encoder: CachedEncoder) -> None:
    index = MemoryIndex(model=encoder.model, reps=["dense"])
    with pytest.raises(RepresentationError, match="sparse"):
        list(mine([], encoder, index, MiningOptions(mode=MODES["sparse"])))


def test_a_stream_is_never_held(encoder: CachedEncoder) -> None:
    alive = 0
    most = 0

    class Counted(Document):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def corpus() -> Iterator[Document]:
        nonlocal alive, most
        for document in passages(300):
            alive += 1
            most = max(most, alive)
            yield Counted(document.id, document.text)

    options = MiningOptions(first=0, last=5, negatives=2)
    list(mine(from_examples(examples()), encoder, corpus, options, batch_size=10))
    assert most <= 21  # a batch, and the next while it is read


def test_headings_are_queries_for_what_stands_below() -> None:
    documents = [
        Document("a", "# Print\nChoose File - Print.", {"title": "Print"}),
        Document("b", "No heading."),
        Document("c", "# Empty\n", {"title": "Empty"}),
    ]
    (query,) = from_headings(documents)
    assert (query.example.query, query.example.pos) == ("Print", ["Choose File - Print."])
    assert query.sources == {"a"}


def test_a_span_is_taken_out_of_its_passage() -> None:
    text = "Open the file. Choose Print. Click OK."
    documents = [Document(str(number), text) for number in range(20)]
    queries = list(from_spans([*documents, Document("single", "One sentence.")], seed=1))
    assert [next(iter(query.sources)) for query in queries] == [d.id for d in documents]
    assert len({query.example.query for query in queries}) == 3
    for query in queries:
        (passage,) = query.example.pos
        assert query.example.query not in passage
        assert sorted([*passage.split(), *query.example.query.split()]) == sorted(text.split())
    assert queries == list(from_spans(documents, seed=1))
    assert queries != list(from_spans(documents, seed=2))


def test_a_callable_writes_queries() -> None:
    document = Document("a", "Choose File - Print.")
    queries = from_callable([document], lambda d: ["how to print?", " ", f"what is {d.id}?"])
    assert [query.example.query for query in queries] == ["how to print?", "what is a?"]
