"""What a model computes of a batch of texts, end to end and differentiable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from m3kit.vectors import Rep


@dataclass(frozen=True, slots=True)
class Lexical:
    """
    The lexical weights of several texts; special tokens are left out.

    Args:
        weights: The weight of each token, at least 0, shape `(tokens,)`.
        ids: The id of each token, int64 of shape `(tokens,)`; a text may repeat one.
        counts: How many tokens each text has, int64 of shape `(texts,)`.
    """

    weights: torch.Tensor
    ids: torch.Tensor
    counts: torch.Tensor


@dataclass(frozen=True, slots=True)
class Vectors:
    """
    The ColBERT vectors of several texts.

    Args:
        vectors: Of unit length, shape `(tokens, dim)`.
        counts: How many vectors each text has, at least one, int64 of shape `(texts,)`.
    """

    vectors: torch.Tensor
    counts: torch.Tensor


@dataclass(frozen=True, slots=True)
class Representations:
    """
    Up to three representations of several texts; None is what was not computed.

    Args:
        dense: Of unit length, shape `(texts, width)`.
        sparse: The lexical weights.
        colbert: The ColBERT vectors.
    """

    dense: torch.Tensor | None = None
    sparse: Lexical | None = None
    colbert: Vectors | None = None

    @property
    def values(self) -> dict[Rep, torch.Tensor]:
        """The tensors that carry gradients, by representation."""
        tensors: dict[Rep, torch.Tensor] = {}
        if self.dense is not None:
            tensors["dense"] = self.dense
        if self.sparse is not None:
            tensors["sparse"] = self.sparse.weights
        if self.colbert is not None:
            tensors["colbert"] = self.colbert.vectors
        return tensors

    def select(self, texts: torch.Tensor) -> Representations:
        """Return the representations of some texts, in that order."""
        sparse, colbert = self.sparse, self.colbert
        if sparse is not None:
            rows = rows_of(texts, sparse.counts)
            sparse = Lexical(sparse.weights[rows], sparse.ids[rows], sparse.counts[texts])
        if colbert is not None:
            rows = rows_of(texts, colbert.counts)
            colbert = Vectors(colbert.vectors[rows], colbert.counts[texts])
        return Representations(None if self.dense is None else self.dense[texts], sparse, colbert)


def joined(parts: Sequence[Representations]) -> Representations:
    """Concatenate the texts of several batches, which have the same representations."""
    dense = [part.dense for part in parts if part.dense is not None]
    sparse = [part.sparse for part in parts if part.sparse is not None]
    colbert = [part.colbert for part in parts if part.colbert is not None]
    return Representations(
        dense=torch.cat(dense) if dense else None,
        sparse=Lexical(
            torch.cat([part.weights for part in sparse]),
            torch.cat([part.ids for part in sparse]),
            torch.cat([part.counts for part in sparse]),
        )
        if sparse
        else None,
        colbert=Vectors(
            torch.cat([part.vectors for part in colbert]),
            torch.cat([part.counts for part in colbert]),
        )
        if colbert
        else None,
    )


def owners(counts: torch.Tensor) -> torch.Tensor:
    """Return the number of the text that each row belongs to, shape `(rows,)`."""
    return torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)


def rows_of(texts: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Return the rows of some texts, in the order of these."""
    starts, lengths = (counts.cumsum(0) - counts)[texts], counts[texts]
    first = torch.repeat_interleave(starts - (lengths.cumsum(0) - lengths), lengths)
    return first + torch.arange(len(first), device=counts.device)
