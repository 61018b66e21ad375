"""
The outputs of several texts as a few arrays, for a wire or a file; nothing is rounded.

    dense            (texts, dim)
    sparse_lengths   (texts,)       how many weights each text has
    sparse_ids       (weights,)     token ids, those of the first text first
    sparse_weights   (weights,)     float32 always: half precision would make zeros of small ones
    colbert_lengths  (texts,)       how many rows each text has
    colbert          (rows, dim)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from m3kit.scoring import require
from m3kit.vectors import M3Output, Sparse

Arrays: TypeAlias = dict[str, NDArray[Any]]
"""The arrays of a batch by their names; those of a representation that is not there are missing."""

Dtype: TypeAlias = Literal["float32", "float16"]
"""How the numbers of dense and ColBERT vectors are stored."""


def to_arrays(outputs: Sequence[M3Output], dtype: Dtype = "float32") -> Arrays:
    """
    Pack the outputs of texts, all of which carry the same representations.

    Raises:
        RepresentationError: If one lacks a representation that the first carries.
    """
    arrays: Arrays = {}
    reps = outputs[0].reps if outputs else frozenset()
    if "dense" in reps:
        dense = [require(output.dense, "dense") for output in outputs]
        arrays["dense"] = np.stack(dense).astype(dtype, copy=False)
    if "sparse" in reps:
        sparse = [require(output.sparse, "sparse") for output in outputs]
        arrays["sparse_lengths"] = _lengths(sparse)
        arrays["sparse_ids"] = np.concatenate([weights.ids for weights in sparse])
        arrays["sparse_weights"] = np.concatenate([weights.weights for weights in sparse])
    if "colbert" in reps:
        colbert = [require(output.colbert, "colbert") for output in outputs]
        arrays["colbert_lengths"] = _lengths(colbert)
        arrays["colbert"] = np.concatenate(colbert).astype(dtype, copy=False)
    return arrays


def from_arrays(arrays: Mapping[str, NDArray[Any]], texts: int) -> list[M3Output]:
    """
    Unpack the outputs of `texts` texts, as float32.

    Raises:
        ValueError: If the arrays are not those of so many texts.
    """
    nothing: list[Any] = [None] * texts
    dense: Sequence[Any] = nothing
    if "dense" in arrays:
        dense = list(arrays["dense"].astype(np.float32, copy=False))
    sparse, colbert = nothing, nothing
    if "sparse_lengths" in arrays:
        pairs = zip(
            _split(arrays["sparse_ids"].astype(np.int64, copy=False), arrays["sparse_lengths"]),
            _split(arrays["sparse_weights"].astype(np.float32), arrays["sparse_lengths"]),
            strict=True,
        )
        sparse = [Sparse(ids, weights) for ids, weights in pairs]
    if "colbert_lengths" in arrays:
        rows = arrays["colbert"].astype(np.float32, copy=False)
        colbert = [part.copy() for part in _split(rows, arrays["colbert_lengths"])]
    if not len(dense) == len(sparse) == len(colbert) == texts:
        raise ValueError(f"the arrays are not those of {texts} texts")
    return [
        M3Output(dense=d, sparse=s, colbert=c)
        for d, s, c in zip(dense, sparse, colbert, strict=True)
    ]


def _lengths(parts: Sequence[Any]) -> NDArray[np.int64]:
    return np.array([len(part) for part in parts], dtype=np.int64)


def _split(array: NDArray[Any], lengths: NDArray[Any]) -> list[NDArray[Any]]:
    ends = lengths.cumsum()
    if len(array) != (ends[-1] if len(ends) else 0):
        raise ValueError(f"an array of {len(array)} rows does not have the lengths {ends[-1:]}")
    return np.split(array, ends[:-1]) if len(ends) else []
