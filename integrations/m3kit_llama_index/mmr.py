"""Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998)."""

from __future__ import annotations

import numpy as np

from m3kit.vectors import Floats


def marginal(
    relevance: Floats, vectors: Floats, k: int, threshold: float
) -> list[tuple[int, float]]:
    """
    Choose rows one by one: relevant, and unlike every one that is chosen already.

    LlamaIndex's own function compares with the last one chosen only, and so lets a duplicate in
    again one place later.

    Args:
        relevance: Shape `(n,)`, best first.
        vectors: Shape `(n, dim)`, unit rows.
        k: How many are wanted.
        threshold: The weight of relevance; that of likeness is the rest.

    Returns:
        Rows with their scores, in the order of choice.
    """
    chosen: list[tuple[int, float]] = []
    left = np.ones(len(relevance), dtype=bool)
    likeness = np.zeros(len(relevance), dtype=np.float32)
    while len(chosen) < k and left.any():
        scores = np.where(left, threshold * relevance - (1 - threshold) * likeness, -np.inf)
        row = int(scores.argmax())
        likeness_to_it = vectors @ vectors[row]
        likeness = np.maximum(likeness, likeness_to_it) if chosen else likeness_to_it
        chosen.append((row, float(scores[row])))
        left[row] = False
    return chosen
