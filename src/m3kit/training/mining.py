"""Hard negatives: passages that a search ranks high and that answer another query."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeAlias

from m3kit._batching import batched
from m3kit._truncation import aggregate_warnings
from m3kit.encoder import Encoder
from m3kit.evaluation.exact import ExactSearch
from m3kit.evaluation.modes import MODES, Mode
from m3kit.index import (
    HybridIndex,
    Search,
    check_encoder,
    check_index,
    check_model,
    check_reps,
)
from m3kit.records import Document
from m3kit.retriever import Reranker, reranked_scores
from m3kit.training.data import Example
from m3kit.training.queries import MiningQuery, generator
from m3kit.vectors import M3Output

Corpus: TypeAlias = Callable[[], Iterable[Document]]
"""Opens the passages: called twice, and gives the same order each time."""

Candidate: TypeAlias = tuple[str, str]
"""Id and text of a passage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MiningOptions:
    """
    Which passages become negatives.

    Args:
        mode: How passages are ranked: one representation, or M3's weighted sum of several, with
            any weights.
        first: The rank from which negatives are taken, from 0. The best passages are often
            answers that nobody labelled.
        last: The rank before which they end.
        negatives: How many are drawn for each query; fewer where there are not so many.
        margin: Leaves out what the teacher scores above the worst positive less this margin, as
            an answer that nobody labelled; None leaves nothing out.
        seed: Of the drawing.

    Raises:
        ValueError: If the range is empty, or no negative is to be drawn.
    """

    mode: Mode = MODES["dense"]
    first: int = 10
    last: int = 210
    negatives: int = 15
    margin: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.first < self.last:
            raise ValueError(f"ranks go up from 0, and not from {self.first} to {self.last}")
        if self.negatives < 1:
            raise ValueError(f"negatives is at least 1, not {self.negatives}")


def mine(
    queries: Iterable[MiningQuery],
    encoder: Encoder,
    passages: Corpus | HybridIndex,
    options: MiningOptions = MiningOptions(),  # frozen, so one default serves all
    *,
    teacher: Reranker | None = None,
    batch_size: int = 128,
    on_batch: Callable[[int], None] | None = None,
) -> Iterator[Example]:
    """
    Mine negatives for queries, in their order.

    A passage is no negative of a query if it equals it or one of its positives, or is the document
    that a positive was taken from. What is drawn for a query depends on the seed and its ranking,
    not on the other queries.

    Args:
        queries: What to mine for, see `m3kit.training.queries`.
        encoder: What ranks the passages.
        passages: An index that holds them, made by the same model; or the passages themselves,
            which are ranked exactly, and read as a stream: memory grows with the queries and the
            ranks, not with the passages.
        options: Which negatives.
        teacher: Scores passages for the margin; its scores are written, too.
        batch_size: How many passages are encoded at once.
        on_batch: Called with the number of passages that were read.

    Returns:
        Each example with its negatives in `neg`, and scores where there is a teacher.

    Raises:
        ValueError: If there is a margin and no teacher.
        ModelMismatchError: If the index was made by another model.
    """
    if options.margin is not None and teacher is None:
        raise ValueError("the margin is one of a teacher's scores; give a reranker as teacher=")
    check_encoder(encoder)
    if callable(passages):
        ranked = _exactly(
            list(queries), encoder, passages, options, batch_size=batch_size, on_batch=on_batch
        )
    else:
        check_index(passages)
        check_model(passages.model, encoder.model, "the index")
        check_reps(options.mode.reps, available=passages.reps)
        ranked = _through(queries, encoder, passages, options, batch_size)
    return (_with_negatives(*candidates, options, teacher) for candidates in ranked)


def _through(
    queries: Iterable[MiningQuery],
    encoder: Encoder,
    index: HybridIndex,
    options: MiningOptions,
    batch_size: int,
) -> Iterator[tuple[MiningQuery, list[Candidate]]]:
    """Search an index for each query."""
    for batch in batched(queries, batch_size):
        for query, output in zip(batch, _encoded(batch, encoder, options.mode), strict=True):
            hits = index.search(_search(output, options))
            yield query, [(hit.document.id, hit.document.text) for hit in hits[options.first :]]


def _exactly(
    queries: Sequence[MiningQuery],
    encoder: Encoder,
    corpus: Corpus,
    options: MiningOptions,
    *,
    batch_size: int,
    on_batch: Callable[[int], None] | None,
) -> Iterator[tuple[MiningQuery, list[Candidate]]]:
    """Rank a stream for all queries; its texts are read a second time, those that are wanted."""
    outputs = _encoded(queries, encoder, options.mode)
    reps = options.mode.reps
    search = ExactSearch(outputs, reps=reps, depth=options.last, scan_colbert=reps == ("colbert",))
    count = 0
    with aggregate_warnings():
        for batch in batched(corpus(), batch_size):
            texts = [document.text for document in batch]
            numbers = [f"{count + place:012}" for place in range(len(batch))]
            search.add(numbers, encoder.encode_documents(texts, reps))
            count += len(batch)
            if on_batch is not None:
                on_batch(count)
    rankings = [
        [entry.name for entry in search.rank(place, _search(output, options))][options.first :]
        for place, output in enumerate(outputs)
    ]
    documents = _read(corpus, {int(name) for names in rankings for name in names})
    for query, names in zip(queries, rankings, strict=True):
        yield query, [documents[int(name)] for name in names]


def _read(corpus: Corpus, wanted: set[int]) -> Mapping[int, Candidate]:
    documents = islice(corpus(), max(wanted, default=-1) + 1)
    return {
        place: (document.id, document.text)
        for place, document in enumerate(documents)
        if place in wanted
    }


def _with_negatives(
    query: MiningQuery,
    candidates: Sequence[Candidate],
    options: MiningOptions,
    teacher: Reranker | None,
) -> Example:
    example = query.example
    known = {example.query, *example.pos}
    texts = list(
        dict.fromkeys(
            text
            for id_, text in candidates
            if text.strip() and text not in known and id_ not in query.sources
        )
    )
    random = generator(options.seed, example.query)
    drawn = [texts[place] for place in random.permutation(len(texts))]
    if teacher is None:
        return replace(example, neg=drawn[: options.negatives], neg_scores=(), pos_scores=())
    positive = reranked_scores(teacher, example.query, example.pos)
    ceiling = float("inf") if options.margin is None else min(positive) - options.margin
    chosen: dict[str, float] = {}
    for batch in batched(drawn, options.negatives):
        scored = zip(batch, reranked_scores(teacher, example.query, batch), strict=True)
        chosen |= {text: score for text, score in scored if score <= ceiling}
        if len(chosen) >= options.negatives:
            break
    best = dict(islice(chosen.items(), options.negatives))
    return replace(example, neg=list(best), pos_scores=positive, neg_scores=list(best.values()))


def _encoded(queries: Sequence[MiningQuery], encoder: Encoder, mode: Mode) -> list[M3Output]:
    texts = [query.example.query for query in queries]
    return encoder.encode_queries(texts, mode.reps) if texts else []


def _search(query: M3Output, options: MiningOptions) -> Search:
    return Search(query=query, k=options.last, fusion=options.mode.fusion, candidates=options.last)
