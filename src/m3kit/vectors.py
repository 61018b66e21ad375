"""What BGE-M3 makes of a text: a dense vector, sparse lexical weights and ColBERT vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal, TypeAlias, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

Rep: TypeAlias = Literal["dense", "sparse", "colbert"]
"""One of the three representations."""

REPS: tuple[Rep, ...] = get_args(Rep)
"""All representations, in the order in which they are always named."""

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int64]
_Number = TypeVar("_Number", np.float32, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Sparse:
    """
    Lexical weights: one positive weight for each token id of the text.

    Args:
        ids: Token ids, shape `(n,)`, not negative, strictly increasing.
        weights: Their weights, shape `(n,)`, finite and above zero.

    Raises:
        ValueError: If the two arrays do not fit these rules.
    """

    ids: Ints
    weights: Floats

    def __post_init__(self) -> None:
        if self.ids.ndim != 1 or self.ids.shape != self.weights.shape:
            raise ValueError(
                f"sparse ids {self.ids.shape} and weights {self.weights.shape} must be two "
                "vectors of one length"
            )
        if not np.issubdtype(self.ids.dtype, np.integer):
            raise ValueError(f"sparse ids are integers, not {self.ids.dtype}")
        if self.ids.size and (self.ids[0] < 0 or (np.diff(self.ids) <= 0).any()):
            raise ValueError("sparse ids must be at least 0 and strictly increasing")
        if not (np.isfinite(self.weights).all() and (self.weights > 0).all()):
            raise ValueError("sparse weights must be finite and above zero; leave zeros out")

    @classmethod
    def from_dict(cls, weights: Mapping[int, float]) -> Sparse:
        """
        Read `{token id: weight}` in any order; weights of exactly zero are left out.

        Raises:
            ValueError: If an id or another weight does not fit `Sparse`.
        """
        nonzero = sorted((int(id_), weight) for id_, weight in weights.items() if weight != 0)
        return cls(
            np.array([id_ for id_, _ in nonzero], dtype=np.int64),
            np.array([weight for _, weight in nonzero], dtype=np.float32),
        )

    def to_dict(self) -> dict[int, float]:
        """Return `{token id: weight}` in Python's own numbers, fit for JSON."""
        return dict(zip(self.ids.tolist(), self.weights.tolist(), strict=True))

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class M3Output:
    """
    One encoded text. A representation that was not asked for is None.

    Args:
        dense: Shape `(dim,)`, unit norm.
        sparse: Lexical weights; empty for a text without a weighted token.
        colbert: Shape `(tokens, dim)`, unit rows, at least one.

    Raises:
        ValueError: If an array has another number of dimensions, or no row.
    """

    dense: Floats | None = None
    sparse: Sparse | None = None
    colbert: Floats | None = None

    def __post_init__(self) -> None:
        if self.dense is not None and self.dense.ndim != 1:
            raise ValueError(f"a dense vector has one dimension, not the shape {self.dense.shape}")
        if self.colbert is not None and (self.colbert.ndim != 2 or not len(self.colbert)):
            raise ValueError(
                "ColBERT vectors are a matrix of at least one row, "
                f"not the shape {self.colbert.shape}"
            )

    @property
    def reps(self) -> frozenset[Rep]:
        """The representations this output carries."""
        return _REPS_BY_PRESENCE[
            self.dense is not None, self.sparse is not None, self.colbert is not None
        ]

    @property
    def nbytes(self) -> int:
        """The size of the vectors in bytes."""
        sparse = 0 if self.sparse is None else self.sparse.ids.nbytes + self.sparse.weights.nbytes
        return sparse + sum(
            vectors.nbytes for vectors in (self.dense, self.colbert) if vectors is not None
        )

    def only(self, *reps: Rep) -> M3Output:
        """
        Keep just `reps`: what a query carries is what gets searched.

        A representation that this output does not carry stays None.
        """
        left_out = self.reps.difference(reps)
        return replace(self, **dict.fromkeys(left_out, None)) if left_out else self

    def copy(self) -> M3Output:
        """Copy the vectors, read-only, away from the batch that they are views of."""
        sparse = self.sparse
        return M3Output(
            dense=None if self.dense is None else _copy(self.dense),
            sparse=None if sparse is None else Sparse(_copy(sparse.ids), _copy(sparse.weights)),
            colbert=None if self.colbert is None else _copy(self.colbert),
        )


_REPS_BY_PRESENCE = {
    present: frozenset(rep for rep, is_present in zip(REPS, present, strict=True) if is_present)
    for present in product((False, True), repeat=len(REPS))
}


def _copy(array: NDArray[_Number]) -> NDArray[_Number]:
    copied = np.array(array)
    copied.setflags(write=False)
    return copied
