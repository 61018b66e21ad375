"""
Fewer ColBERT vectors for a text: neighbours in meaning become their mean.

Token pooling as Clavié, Chaffin and Adams propose it ("Reducing the Footprint of Multi-Vector
Retrieval with Minimal Performance Impact via Token Pooling", 2024): the rows of one text are
clustered by Ward's method, and each cluster is replaced by the mean of its rows, normalised.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from m3kit.vectors import Floats, Ints

_BLOCK = 1200
"""Rows clustered together; a multiple of every factor, so that blocks leave no remainder."""

_Merge: TypeAlias = tuple[float, int, int]
"""How far apart two clusters are, and the first row of each, the lower one first."""


def pooled(colbert: Floats, factor: int) -> Floats:
    """
    Replace `factor` rows by one on average: `ceil(rows / factor)` means, ordered by first rows.

    Every row takes part, that of the end token like the others. More than 1,200 rows are clustered
    in consecutive blocks of 1,200, which bounds the memory to 15 MB and makes the time linear.

    Args:
        colbert: Unit rows, shape `(tokens, dim)`.
        factor: 1 to 4; 1 returns the rows as they are.

    Raises:
        ValueError: If rows are not finite, or so long that their distances are not.
    """
    if factor == 1:
        return colbert
    blocks = [colbert[start : start + _BLOCK] for start in range(0, len(colbert), _BLOCK)]
    return np.concatenate([_means(block, clusters(block, factor)) for block in blocks])


def clusters(rows: Floats, factor: int) -> Ints:
    """
    Assign each row to one of `ceil(rows / factor)` clusters, named by their first rows.

    Args:
        rows: Unit rows, shape `(n, dim)`.
        factor: How many rows a cluster has on average.

    Returns:
        Shape `(n,)`: the place of the first row of each row's cluster.

    Raises:
        ValueError: As `pooled` says.
    """
    names = np.arange(len(rows), dtype=np.int64)
    remaining = -(-len(rows) // factor)
    nearest_first = sorted(_merges(_squared_distances(rows)), key=lambda merge: merge[0])
    for _, first, second in nearest_first[: len(rows) - remaining]:
        names[names == second] = first
    return names


def _means(rows: Floats, names: Ints) -> Floats:
    """Average each cluster; where its rows cancel out, its first row stands for it."""
    order = np.argsort(names, kind="stable")
    first, starts = np.unique(names[order], return_index=True)
    sums = np.add.reduceat(rows[order].astype(np.float64), starts, axis=0)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    means: Floats = rows[first].astype(np.float32)
    np.divide(sums, lengths, out=means, where=lengths > 1e-6)
    return means


def _squared_distances(rows: Floats) -> Floats:
    """Compare rows with each other: symmetric to the last bit, and infinite to themselves."""
    with np.errstate(over="ignore", invalid="ignore"):  # refused below
        products: Floats = rows @ rows.T
        norms = products.diagonal()
        distances = np.maximum(norms[:, None] + norms - 2 * products, 0)
        squared: Floats = np.minimum(distances, distances.T)
    if not np.isfinite(squared).all():
        raise ValueError("ColBERT vectors that are pooled are finite unit rows; these are not")
    np.fill_diagonal(squared, np.inf)
    return squared


def _merges(squared: Floats) -> list[_Merge]:
    """
    Build the whole tree of Ward's method by chains of nearest neighbours, in O(n²).

    A merge comes after those that it builds upon. Overwrites `squared`.
    """
    sizes = np.ones(len(squared), dtype=np.float32)
    merges: list[_Merge] = []
    chain: list[int] = []
    while len(merges) < len(squared) - 1:
        if not chain:
            chain.append(0)  # the first row is never merged into another
        first, second = sorted(_neighbours(squared, chain))
        merges.append((float(squared[first, second]), first, second))
        _join(squared, sizes, first, second)
    return merges


def _neighbours(squared: Floats, chain: list[int]) -> tuple[int, int]:
    """Go from nearest neighbour to nearest neighbour until two are each other's; drop these."""
    while True:
        row = squared[chain[-1]]
        nearest = int(row.argmin())
        if len(chain) > 1 and row[chain[-2]] <= row[nearest]:
            return chain.pop(), chain.pop()
        chain.append(nearest)


def _join(squared: Floats, sizes: Floats, first: int, second: int) -> None:
    """Update the distances by Lance and Williams' formula, never below both that they come from."""
    height, total = squared[first, second], sizes[first] + sizes[second]
    weighted = (sizes[first] + sizes) * squared[first] + (sizes[second] + sizes) * squared[second]
    joined = (weighted - sizes * height) / (total + sizes)
    joined = np.maximum(joined, np.minimum(squared[first], squared[second]))
    joined[first] = np.inf
    squared[first] = squared[:, first] = joined
    squared[second] = squared[:, second] = np.inf
    sizes[first] = total
