"""Why a document answers a query: the matching tokens and their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from m3kit.scoring import scores
from m3kit.vectors import REPS, Floats, M3Output, Rep, Sparse

Tokens: TypeAlias = Sequence[tuple[int, str]]
"""Token ids with their texts, as the model reads them: the first is CLS, the last EOS."""


@dataclass(frozen=True, slots=True)
class Match:
    """
    A token in both texts.

    Args:
        token: Its text.
        token_id: Its id.
        query_weight: Its weight in the query.
        document_weight: Its weight in the document.
    """

    token: str
    token_id: int
    query_weight: float
    document_weight: float

    @property
    def product(self) -> float:
        """Its part of the sparse score."""
        return self.query_weight * self.document_weight


@dataclass(frozen=True, slots=True)
class Alignment:
    """
    A token of the query and the nearest token of the document.

    Args:
        query: The query's token.
        document: The document's token.
        position: Its position in the document, from 1; CLS, which has no ColBERT vector, is 0.
        similarity: Their inner product.
    """

    query: str
    document: str
    position: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    The parts of a document's scores.

    Args:
        scores: For each representation that query and document both carry.
        matches: Largest products first; they add up to the sparse score.
        alignment: In the query's order; the mean of the similarities is the ColBERT score.
    """

    scores: Mapping[Rep, float]
    matches: tuple[Match, ...]
    alignment: tuple[Alignment, ...]


def explain(
    query: M3Output, document: M3Output, query_tokens: Tokens, document_tokens: Tokens
) -> Explanation:
    """
    Explain the scores of a document.

    A document that was encoded with a smaller length limit has fewer ColBERT rows than
    `document_tokens`; its rows then belong to the first tokens and to EOS.

    Args:
        query: The encoded query.
        document: The encoded document.
        query_tokens: The query's tokens, as the encoder gives them.
        document_tokens: The document's.

    Raises:
        ValueError: If there are more ColBERT vectors than tokens.
    """
    return Explanation(
        scores={
            rep: float(scores(rep, query, [document])[0])
            for rep in REPS
            if rep in query.reps & document.reps
        },
        matches=_matches(query.sparse, document.sparse, dict(query_tokens)),
        alignment=_alignment(query.colbert, document.colbert, query_tokens, document_tokens),
    )


def _matches(
    query: Sparse | None, document: Sparse | None, names: Mapping[int, str]
) -> tuple[Match, ...]:
    if query is None or document is None:
        return ()
    weights = document.to_dict()
    matches = [
        Match(names[id_], id_, weight, weights[id_])
        for id_, weight in query.to_dict().items()
        if id_ in weights
    ]
    return tuple(sorted(matches, key=lambda match: (-match.product, match.token_id)))


def _alignment(
    query: Floats | None, document: Floats | None, query_tokens: Tokens, document_tokens: Tokens
) -> tuple[Alignment, ...]:
    if query is None or document is None:
        return ()
    query_rows = _tokens_of_rows(query, query_tokens)
    document_rows = _tokens_of_rows(document, document_tokens)
    similarity = query @ document.T
    best = similarity.argmax(axis=1)
    return tuple(
        Alignment(token, document_rows[nearest], int(nearest) + 1, float(similarity[row, nearest]))
        for row, (token, nearest) in enumerate(zip(query_rows, best, strict=True))
    )


def _tokens_of_rows(rows: Floats, tokens: Tokens) -> list[str]:
    """Return the token of each ColBERT row: CLS has none, and the last row is always EOS."""
    texts = [text for _, text in tokens[1:]]
    if len(rows) > len(texts):
        raise ValueError(
            f"{len(rows)} ColBERT vectors for {len(texts)} tokens: they belong to another text or "
            "another model"
        )
    return [*texts[: len(rows) - 1], texts[-1]]
