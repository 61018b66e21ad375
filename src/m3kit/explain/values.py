"""The parts of an explanation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

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
