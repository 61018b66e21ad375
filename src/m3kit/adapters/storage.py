"""How an index stores the ColBERT vectors of a text: how many of them, and in how many bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, TypeAlias, assert_never, get_args

import numpy as np

from m3kit.adapters.pooling import pooled
from m3kit.vectors import Floats, M3Output

ColbertType: TypeAlias = Literal["float32", "float16", "bfloat16", "int8", "binary"]
"""The number in which a dimension of a ColBERT vector is stored."""

INT8_SCALE = 127
"""What a dimension is multiplied by to become an `int8`; the same for every vector and index."""

_BITS: dict[ColbertType, int] = {
    "float32": 32,
    "float16": 16,
    "bfloat16": 16,
    "int8": 8,
    "binary": 1,
}


@dataclass(frozen=True, slots=True)
class ColbertStorage:
    """
    The form in which ColBERT vectors are stored; a query's stay as they are.

    - `float16`, `bfloat16`: rounded to the nearest, ties to even.
    - `int8`: `round(127 x)`, which stands for `x` in steps of 1/127. One constant serves all
      vectors, so that an engine's score is `sum(q * d) / 127`; a scale for each vector would be
      finer, but the engine would have to multiply it in, row by row.
    - `binary`: one bit, whether the dimension is above zero. It stands for `1 / sqrt(dim)` or
      `-1 / sqrt(dim)`, so that rows are of unit length.

    Args:
        dtype: The number stored for each dimension.
        pool_factor: How many vectors become one on average, 1 to 4: see `m3kit.adapters.pooling`.

    Raises:
        ValueError: If there is no such type or factor.
    """

    dtype: ColbertType = "float32"
    pool_factor: int = 1

    def __post_init__(self) -> None:
        if self.dtype not in get_args(ColbertType):
            raise ValueError(
                f"ColBERT vectors are stored as one of {', '.join(get_args(ColbertType))}, "
                f"not {self.dtype!r}"
            )
        if type(self.pool_factor) is not int or not 1 <= self.pool_factor <= 4:
            raise ValueError(f"pool_factor is 1, 2, 3 or 4, not {self.pool_factor!r}")

    def stored(self, colbert: Floats) -> Floats:
        """
        Return what an index holds of a text, as float32: what its scores are computed from.

        To round again changes nothing; to pool again does.

        Args:
            colbert: Unit rows, shape `(tokens, dim)`.

        Returns:
            Shape `(ceil(tokens / pool_factor), dim)`; float32 unpooled is `colbert` itself, not a
            copy.

        Raises:
            ValueError: If rows that are to be pooled are not finite.
        """
        rows = pooled(colbert, self.pool_factor)
        match self.dtype:
            case "float32":
                return rows
            case "float16":
                return rows.astype(np.float16).astype(np.float32)
            case "bfloat16":
                return _bfloat16(rows)
            case "int8":
                return _int8(rows)
            case "binary":
                return _binary(rows)
            case _:
                assert_never(self.dtype)

    def stored_output(self, output: M3Output) -> M3Output:
        """Return what an index holds of an output; see `stored`."""
        if output.colbert is None:
            return output
        return replace(output, colbert=self.stored(output.colbert))

    def nbytes(self, tokens: int, dim: int) -> int:
        """Compute the bytes of the stored vectors of a text with so many tokens."""
        return -(-tokens // self.pool_factor) * -(-dim * _BITS[self.dtype] // 8)

    def to_json(self) -> Mapping[str, Any]:
        """Return it as JSON."""
        return {"dtype": self.dtype, "pool_factor": self.pool_factor}

    @classmethod
    def from_json(cls, stored: object) -> Self:
        """
        Read what `to_json` wrote.

        Raises:
            ValueError: If it is something else.
        """
        match stored:
            case {"dtype": str(dtype), "pool_factor": int(pool_factor)}:
                return cls(dtype, pool_factor)  # type: ignore[arg-type]  # checked by the class
            case _:
                raise ValueError(f"{stored!r} is not a form in which ColBERT vectors are stored")

    def __str__(self) -> str:
        return self.dtype if self.pool_factor == 1 else f"{self.dtype} pooled by {self.pool_factor}"


def _int8(rows: Floats) -> Floats:
    """Round to steps of `1 / INT8_SCALE`; a row that is a little too long ends at the last one."""
    steps = np.rint(rows * INT8_SCALE).clip(-INT8_SCALE, INT8_SCALE)
    nearest: Floats = (steps / INT8_SCALE).astype(np.float32)
    return nearest


def _bfloat16(rows: Floats) -> Floats:
    """Round to the upper 16 bits of a float32, ties to even."""
    bits = np.ascontiguousarray(rows, dtype=np.float32).view(np.uint32)
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) & np.uint32(0xFFFF0000)
    nearest: Floats = rounded.view(np.float32)
    return nearest


def _binary(rows: Floats) -> Floats:
    """Keep on which side of zero each dimension lies."""
    corners: Floats = (np.where(rows > 0, 1, -1) / np.sqrt(rows.shape[1])).astype(np.float32)
    return corners
