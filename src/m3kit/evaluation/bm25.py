"""BM25 by bm25s, with its own tokenizer or with the model's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import bm25s

from m3kit._batching import batched
from m3kit.encoder import ReadsTokens
from m3kit.evaluation.dataset import Dataset, Run
from m3kit.records import Document

_BATCH = 1024
Tokenize: TypeAlias = Callable[[Sequence[str]], list[list[str]]]
"""Texts in, their words out."""


def words(stopwords: str | Sequence[str] | None = "en") -> tuple[Tokenize, Tokenize]:
    """
    Return how bm25s itself cuts queries and documents: lower-cased words of two letters and more.

    Args:
        stopwords: A language of bm25s, a list, or None for none.
    """

    def tokenize(texts: Sequence[str]) -> list[list[str]]:
        matches: list[list[str]] = bm25s.tokenize(
            list(texts), stopwords=stopwords or [], return_ids=False, show_progress=False
        )
        return matches

    return tokenize, tokenize


def model_tokens(encoder: ReadsTokens) -> tuple[Tokenize, Tokenize]:
    """Return how the model cuts queries and documents, without its special tokens."""

    def of(tokens: Callable[[str], list[tuple[int, str]]]) -> Tokenize:
        return lambda texts: [[str(id_) for id_, _ in tokens(text)[1:-1]] for text in texts]

    return of(encoder.query_tokens), of(encoder.document_tokens)


def bm25_run(
    documents: Iterable[Document],
    queries: Mapping[str, str],
    tokenizers: tuple[Tokenize, Tokenize],
    *,
    k: int = 100,
) -> dict[str, list[tuple[str, float]]]:
    """
    Search a corpus by BM25, with k1 1.5 and b 0.75.

    The tokens of all documents are held at once, as bm25s needs them. Ties go by id, and what
    shares no word with the query is not found.
    """
    logging.getLogger("bm25s").setLevel(logging.ERROR)
    tokenize_queries, tokenize_documents = tokenizers
    ids: list[str] = []
    vocabulary: dict[str, int] = {}
    corpus: list[list[int]] = []
    for batch in batched(documents, _BATCH):
        ids += [document.id for document in batch]
        corpus += [
            [vocabulary.setdefault(token, len(vocabulary)) for token in tokens]
            for tokens in tokenize_documents([document.text for document in batch])
        ]
    if not vocabulary:
        return {query: [] for query in queries}
    index = bm25s.BM25()
    index.index((corpus, vocabulary), show_progress=False)
    query_tokens = tokenize_queries(list(queries.values()))
    return {
        query: _best(index, [vocabulary[t] for t in tokens if t in vocabulary], ids, k)
        for query, tokens in zip(queries, query_tokens, strict=True)
    }


def _best(
    index: bm25s.BM25, tokens: list[int], ids: Sequence[str], k: int
) -> list[tuple[str, float]]:
    if not tokens:
        return []
    scores = index.get_scores_from_ids(tokens)
    matches = [(ids[place], float(scores[place])) for place in scores.nonzero()[0].tolist()]
    return sorted(matches, key=lambda pair: (-pair[1], pair[0]))[:k]


def bm25_baselines(
    encoder: ReadsTokens | None = None, *, stopwords: str | Sequence[str] | None = "en"
) -> dict[str, Callable[[Dataset, int], Run]]:
    """
    Return BM25 for `evaluate(…, baselines=…)`: with bm25s's own words, and with the model's tokens.

    Args:
        encoder: Whose tokens are taken; None leaves that row out.
        stopwords: For bm25s's own words; see `words`.
    """
    tokenizers = {"bm25": words(stopwords)}
    if encoder is not None:
        tokenizers["bm25, model's tokens"] = model_tokens(encoder)

    def baseline(tokenize: tuple[Tokenize, Tokenize]) -> Callable[[Dataset, int], Run]:
        return lambda dataset, k: bm25_run(dataset.documents(), dataset.queries, tokenize, k=k)

    return {name: baseline(tokenize) for name, tokenize in tokenizers.items()}
