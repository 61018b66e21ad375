"""Matrix products of few columns, and work that is shared among the cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np

from m3kit.vectors import Floats

_T = TypeVar("_T")
_Item = TypeVar("_Item")

_SMALL = 10**6
"""Multiplications up to which OpenBLAS uses its small-matrix kernel, which copies nothing."""

SHARED_TOKENS = 2**14
"""Document tokens from which on scoring them is work to be shared among the cores."""


def multiply(tokens: Floats, columns: Floats, product: Floats) -> None:
    """
    Multiply in steps that copy nothing: with few columns the product is bound by memory.

    Each of several matrices of columns has the same product, to the last bit, as it has alone.

    Args:
        tokens: Shape `(rows, dim)`.
        columns: Shape `(…, dim, columns)`.
        product: What is written, shape `(…, rows, columns)`.
    """
    *several, inner, outer = columns.shape
    step = next((rows for rows in (64, 32, 16) if rows * inner * outer <= _SMALL), 0)
    if not step or len(tokens) <= step:
        np.matmul(tokens, columns, out=product)
        return
    whole = len(tokens) // step * step
    parts = tokens[:whole].reshape(whole // step, step, inner)
    parts_of_product = product[..., :whole, :].reshape(*several, whole // step, step, outer)
    np.matmul(parts, columns[..., None, :, :], out=parts_of_product)
    if whole < len(tokens):
        np.matmul(tokens[whole:], columns, out=product[..., whole:, :])


def on_cores(
    work: Callable[[_Item], _T], items: Iterable[_Item], *, shared: bool = True
) -> list[_T]:
    """Call `work` for each item, on all cores if `shared`."""
    if not shared:
        return list(map(work, items))
    from concurrent.futures import ThreadPoolExecutor  # a tenth of the time of importing m3kit

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, items))
