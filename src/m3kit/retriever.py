"""Texts in, hits out: an encoder and an index together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from math import isnan
from typing import TypeAlias

from m3kit._batching import batched
from m3kit._overlap import overlapped
from m3kit._truncation import aggregate_warnings
from m3kit.encoder import Encoder
from m3kit.filters import Field, Filter
from m3kit.fusion import Fusion, FusionName, WeightedSum, to_fusion
from m3kit.grouping import group_hits
from m3kit.index import (
    ChecksDocuments,
    DocumentError,
    HybridIndex,
    RepresentationError,
    Search,
    check_count,
    check_encoder,
    check_index,
    check_model,
    check_reps,
)
from m3kit.records import Document, Hit, Record
from m3kit.vectors import REPS, Rep

_AHEAD = 2
"""How many batches are encoded, or wait to be written, while one is written."""

Reranker: TypeAlias = Callable[[str, Sequence[str]], Sequence[float]]
"""`(query, texts) -> scores`, higher is better, one for each text."""


def reranked_scores(reranker: Reranker, query: str, texts: Sequence[str]) -> list[float]:
    """
    Call a reranker and check its scores; it is not called for no texts.

    Raises:
        ValueError: If there is not a score for each text, or one is not a number.
    """
    if not texts:
        return []
    scores = [float(score) for score in reranker(query, texts)]
    if len(scores) != len(texts):
        raise ValueError(f"the reranker gave {len(scores)} scores for {len(texts)} texts")
    for text, score in zip(texts, scores, strict=True):
        if isnan(score):
            raise ValueError(f"the reranker's score of the text {text!r:.80} is not a number")
    return scores


class Retriever:
    """
    Adds documents to an index and finds them: an encoder and an index together.

    Args:
        encoder: Encodes documents and queries.
        index: Where the documents live.
        reranker: Scores the final candidates, if given; its score becomes the hit's.
        fusion: How representations become one ranking where a search does not say;
            `WeightedSum.load("weights.json")` takes weights from a file.

    Raises:
        TypeError: If an argument is of another kind, such as the name of a model.
        RepresentationError: If the encoder cannot give what the index holds.
        ModelMismatchError: If the index was made by another model.
    """

    def __init__(
        self,
        encoder: Encoder,
        index: HybridIndex,
        *,
        reranker: Reranker | None = None,
        fusion: Fusion | FusionName = WeightedSum(),  # noqa: B008  # frozen, so one default serves all
    ) -> None:
        check_encoder(encoder)
        check_index(index)
        missing = index.reps - encoder.reps
        if missing:
            raise RepresentationError(
                f"the index holds {', '.join(sorted(missing))} vectors, which "
                f"{encoder.model or 'the encoder'} cannot make; create the index with "
                "encoder=encoder"
            )
        check_model(index.model, encoder.model, "the index")
        self.encoder = encoder
        self.index = index
        self.reranker = reranker
        self.fusion = to_fusion(fusion)

    def add(
        self,
        documents: Iterable[Document],
        *,
        batch_size: int = 128,
        on_batch: Callable[[int], None] | None = None,
    ) -> int:
        """
        Encode and write documents, any number of them, holding a few batches at a time.

        What can be checked without encoding is checked first: of a list all documents before the
        first is written, else those of a batch. A thread encodes the next batches while one is
        written; documents are read, and the index is written, in the caller's thread.

        Writing is idempotent by id: what an interrupted call has written stays, and a second call
        with all documents completes it.

        Args:
            documents: Read as they are needed, at most three batches ahead of what is written.
            batch_size: How many are encoded and written at once.
            on_batch: Called with the number of documents written so far, after each batch.

        Returns:
            How many documents were written.

        Raises:
            ValueError: If `batch_size` is below 1.
            DocumentError: If the engine cannot hold a document, by its position and id.
            Exception: What the encoder or the index raises, with a note of what was written.
        """
        if isinstance(documents, Document):
            raise TypeError("add takes several documents in a list, not one; write [document]")
        batch_size = check_count(batch_size, "batch_size")
        written = 0
        is_list = isinstance(documents, Sequence)
        try:
            if is_list:
                self._check(documents, 0)
            batches = self._checked(batched(documents, batch_size), check=not is_list)
            encoded = overlapped(self.encode, batches, threads=1, ahead=_AHEAD, wait=False)
            with aggregate_warnings(), closing(encoded):
                for records in encoded:
                    self.index.upsert(records)
                    written += len(records)
                    if on_batch is not None:
                        on_batch(written)
            self.index.flush()
        except BaseException as error:
            error.add_note(f"{written} documents were written before; add the rest, or all again")
            raise
        return written

    def search(
        self,
        text: str,
        *,
        k: int = 10,
        where: Filter | None = None,
        reps: Collection[Rep] | None = None,
        fusion: Fusion | FusionName | None = None,
        candidates: int = 100,
        min_score: float | None = None,
        with_scores: bool = False,
        group_by: Field | None = None,
        group_size: int = 1,
        exact: bool | None = None,
    ) -> list[Hit]:
        """
        Find the documents that answer `text`.

        With a reranker, the best `candidates` hits, never fewer than `k · group_size`, are
        reranked, and `min_score` and the order of groups go by its scores.

        Args:
            text: The query.
            k: How many hits are wanted; with `group_by`, of how many groups.
            where: What they must match.
            reps: Which representations take part; by default all that the index holds.
            fusion: How they become one ranking; None takes the retriever's.
            candidates: How many candidates each branch brings, and how many are rescored.
            min_score: Hits below it are left out.
            with_scores: Whether to fill `Hit.scores`.
            group_by: A field of the metadata, of whose values each has but its best hits; see
                `m3kit.Search`.
            group_size: How many hits of a group are wanted.
            exact: Whether dense vectors are compared one by one; see `Search`.

        Raises:
            TypeError: If an argument is of another kind.
            RepresentationError: If the index does not hold one of `reps`.
            ValueError: If the reranker does not give a number for each text.
        """
        if not isinstance(text, str):
            raise TypeError(f"a query is a string, not {text!r:.200}")
        chosen = self.index.reps if reps is None else reps
        check_reps(chosen, available=self.index.reps)
        (query,) = self.encoder.encode_queries([text], [rep for rep in REPS if rep in chosen])
        search = Search(
            query=query,
            k=k,
            where=where,
            fusion=self.fusion if fusion is None else to_fusion(fusion),
            candidates=candidates,
            min_score=min_score,
            with_scores=with_scores,
            group_by=group_by,
            group_size=group_size,
            exact=exact,
        )
        if self.reranker is None:
            return self.index.search(search)
        pool = self.index.search(
            replace(search, k=search.candidates, min_score=None, group_by=None, group_size=1)
        )
        reranked = _reranked(self.reranker, text, pool)
        hits = [hit for hit in reranked if min_score is None or hit.score >= min_score]
        if search.group_by is None:
            return hits[:k]
        return group_hits(hits, search.group_by, k=k, group_size=group_size)

    def encode(self, documents: Sequence[Document]) -> list[Record]:
        """Encode documents with the representations that the index holds."""
        texts = [document.text for document in documents]
        outputs = self.encoder.encode_documents(texts, self.index.reps)
        return [Record(*pair) for pair in zip(documents, outputs, strict=True)]

    def _checked(
        self, batches: Iterable[list[Document]], *, check: bool
    ) -> Iterator[list[Document]]:
        read = 0
        for batch in batches:
            if check:
                self._check(batch, read)
            read += len(batch)
            yield batch

    def _check(self, documents: Iterable[Document], first: int) -> None:
        """Check documents before they are encoded; `first` is the position of the first."""
        for position, document in enumerate(documents, first):
            if not isinstance(document, Document):
                raise TypeError(
                    f"add takes documents, not {document!r:.200}; write Document(id, text)"
                )
            if isinstance(self.index, ChecksDocuments):
                try:
                    self.index.check_document(document)
                except DocumentError as error:
                    raise DocumentError(f"documents[{position}]: {error}") from error


def _reranked(reranker: Reranker, text: str, hits: Sequence[Hit]) -> list[Hit]:
    scores = reranked_scores(reranker, text, [hit.document.text for hit in hits])
    reranked = [replace(hit, score=score) for hit, score in zip(hits, scores, strict=True)]
    return sorted(reranked, key=lambda hit: (-hit.score, hit.document.id))
