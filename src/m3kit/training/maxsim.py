"""ColBERT's scores of all queries and passages of a batch, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from m3kit.training.representations import Vectors, owners

_SIMILARITIES = 2**24
"""Token similarities computed at once: 64 MB in float32."""


def colbert_scores(queries: Vectors, passages: Vectors) -> torch.Tensor:
    """
    Compute the mean over a query's tokens of their best similarity in a passage.

    The similarities of all tokens are never stored: the position of each best is, and the backward
    pass goes there.

    Returns:
        Shape `(queries, passages)`.
    """
    best: torch.Tensor = _Best.apply(queries.vectors, passages.vectors, passages.counts)
    summed = best.new_zeros(len(queries.counts), len(passages.counts))
    summed = summed.index_add(0, owners(queries.counts), best)
    return summed / queries.counts[:, None]


class _Best(torch.autograd.Function):
    """The largest similarity of each query token in each passage: `(query tokens, passages)`."""

    @staticmethod
    def forward(
        ctx: Any, queries: torch.Tensor, passages: torch.Tensor, counts: torch.Tensor
    ) -> torch.Tensor:
        best = queries.new_empty(len(queries), len(counts))
        places = torch.empty(len(queries), len(counts), dtype=torch.int64, device=queries.device)
        for group, rows, padded in _groups(counts, len(queries)):
            shape = len(queries), len(group), -1
            similarity = (queries @ passages[rows.flatten()].T).view(shape)
            largest, place = similarity.masked_fill_(padded, -torch.inf).max(-1)
            best[:, group], places[:, group] = largest, place
        ctx.save_for_backward(queries, passages, counts, places)
        return best

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (gradient,) = gradients
        queries, passages, counts, places = ctx.saved_tensors
        of_queries, of_passages = torch.zeros_like(queries), torch.zeros_like(passages)
        for group, rows, padded in _groups(counts, len(queries)):
            chosen = gradient.new_zeros(len(queries), *padded.shape)
            chosen.scatter_(-1, places[:, group, None], gradient[:, group, None])
            chosen, rows = chosen.flatten(1), rows.flatten()  # noqa: PLW2901  # as a matrix
            of_queries.addmm_(chosen, passages[rows])
            of_passages.index_add_(0, rows, chosen.T @ queries)
        return of_queries, of_passages, None


def _groups(
    counts: torch.Tensor, tokens: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """
    Divide passages, sorted by length, so that the similarities of a group fit into the budget.

    Yields:
        The passages' numbers, `(group,)`; their rows, `(group, longest)`, where a row beyond the
        end of a passage repeats its last; and which rows those are.
    """
    order = counts.argsort(stable=True)
    starts, lengths = counts.cumsum(0) - counts, counts[order].tolist()
    first = 0
    while first < len(lengths):
        last = first + 1
        while last < len(lengths) and (last + 1 - first) * lengths[last] * tokens <= _SIMILARITIES:
            last += 1
        group = order[first:last]
        columns = torch.arange(lengths[last - 1], device=counts.device)
        ends = counts[group, None] - 1
        yield group, starts[group, None] + columns.minimum(ends), columns > ends
        first = last
