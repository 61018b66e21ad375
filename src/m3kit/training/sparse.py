"""Sparse scores on the vocabulary that queries and passages of a batch share."""

from __future__ import annotations

import torch

from m3kit.training.representations import Lexical, owners


def sparse_scores(queries: Lexical, passages: Lexical) -> torch.Tensor:
    """
    Compute the inner products of the lexical weights; a repeated token counts by its largest.

    Only tokens that occur in a query and in a passage have a column, so that memory grows with the
    batch and not with the model's vocabulary.

    Returns:
        Shape `(queries, passages)`.
    """
    vocabulary = torch.unique(queries.ids)
    vocabulary = vocabulary[torch.isin(vocabulary, passages.ids)]
    return _matrix(queries, vocabulary) @ _matrix(passages, vocabulary).T


def _matrix(texts: Lexical, vocabulary: torch.Tensor) -> torch.Tensor:
    """Lay weights out as `(texts, vocabulary)`; the vocabulary is sorted."""
    shape = len(texts.counts), len(vocabulary)
    if not len(vocabulary):
        return texts.weights.sum() * 0 + texts.weights.new_zeros(shape)
    columns = torch.searchsorted(vocabulary, texts.ids).clamp_max(len(vocabulary) - 1)
    shared = vocabulary[columns] == texts.ids
    cells = (owners(texts.counts) * len(vocabulary) + columns)[shared]
    matrix = texts.weights.new_zeros(shape[0] * shape[1])
    return matrix.scatter_reduce(0, cells, texts.weights[shared], reduce="amax").view(shape)
