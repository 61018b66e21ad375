"""Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998)."""

from __future__ import annotations

import numpy as np

from m3kit.vectors import Floats


def select_mmr(
    relevance: Floats, vectors: Floats, k: int, threshold: float
) -> list[tuple[int, float]]:
    """
    Select relevant rows one by one, each compared with all that are selected already.

    LlamaIndex's function compares with the last selected row alone, so that a duplicate comes back
    one step later.

    Args:
        relevance: Shape `(n,)`, best first.
        vectors: Shape `(n, dim)`, unit rows.
        k: How many rows are wanted.
        threshold: The weight of relevance; `1 - threshold` is the weight of similarity.

    Returns:
        Rows with their scores, in the order of selection.
    """
    selected: list[tuple[int, float]] = []
    remaining = np.ones(len(relevance), dtype=bool)
    similarity = np.zeros(len(relevance), dtype=np.float32)
    while len(selected) < k and remaining.any():
        scores = np.where(remaining, threshold * relevance - (1 - threshold) * similarity, -np.inf)
        row = int(scores.argmax())
        similarity_to_row = vectors @ vectors[row]
        similarity = np.maximum(similarity, similarity_to_row) if selected else similarity_to_row
        selected.append((row, float(scores[row])))
        remaining[row] = False
    return selected
