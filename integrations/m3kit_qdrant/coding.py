"""How ColBERT vectors are spelled for an engine that computes in other numbers than float32."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from m3kit.adapters.storage import INT8_SCALE, ColbertStorage
from m3kit.index import RepresentationError, VectorError
from m3kit.vectors import Floats

_ZERO = 128
"""What stands for 0 in a byte."""

_BYTE = 255


class Asked(NamedTuple):
    """A query's rows, and how a score is made of the engine's: `factor * score - offset`."""

    rows: Floats
    factor: float
    offset: float


class Coding(Protocol):
    """How stored rows and a query's rows are spelled."""

    def width(self, dim: int) -> int:
        """Return how many numbers a row takes."""
        ...

    def written(self, stored: Floats) -> Floats:
        """Spell what `ColbertStorage.stored` gives."""
        ...

    def read(self, rows: Floats, dim: int) -> Floats:
        """Undo `written`."""
        ...

    def asked(self, query: Floats) -> Asked:
        """Spell a query; the engine sums MaxSim over its rows, where M3 takes the mean."""
        ...


@dataclass(frozen=True, slots=True)
class AsIs:
    """The rows themselves; an engine that keeps them as float16 rounds a query's, too."""

    def width(self, dim: int) -> int:
        """See `Coding.width`."""
        return dim

    def written(self, stored: Floats) -> Floats:
        """See `Coding.written`."""
        return stored

    def read(self, rows: Floats, dim: int) -> Floats:  # noqa: ARG002  # the protocol's
        """See `Coding.read`."""
        return rows

    def asked(self, query: Floats) -> Asked:
        """See `Coding.asked`."""
        return Asked(query, 1 / len(query), 0.0)


@dataclass(frozen=True, slots=True)
class Bytes:
    """
    Rows as unsigned bytes, of which Qdrant computes inner products without a sign.

    A dimension is `round(127 x) + 128`. Its product with a query `y + 128` is `x y`, 128 times the
    sum of the query, and 128 times the sum of the row. So that the last does not tell one row from
    another, a row ends in a few bytes that bring the sums of all rows to one number: then a score
    is the engine's less a number that the query alone decides. The query is rounded to steps of its
    largest dimension / 127, some eight times finer than the rows.
    """

    def width(self, dim: int) -> int:
        """See `Coding.width`."""
        return dim + -(-2 * _farthest(dim) // _BYTE)

    def written(self, stored: Floats) -> Floats:
        """See `Coding.written`."""
        steps = np.rint(stored * INT8_SCALE)
        left = _farthest(stored.shape[1]) - steps.sum(axis=1, keepdims=True)
        places = np.arange(self.width(stored.shape[1]) - stored.shape[1])
        if np.abs(steps).max() > INT8_SCALE or left.min() < 0 or left.max() > _BYTE * len(places):
            raise VectorError("ColBERT vectors that are kept as int8 are unit rows; these are not")
        rest = (left - _BYTE * places).clip(0, _BYTE)
        return np.concatenate([steps + _ZERO, rest], axis=1, dtype=np.float32)

    def read(self, rows: Floats, dim: int) -> Floats:
        """See `Coding.read`."""
        return ((rows[:, :dim] - _ZERO) / INT8_SCALE).astype(np.float32)

    def asked(self, query: Floats) -> Asked:
        """See `Coding.asked`."""
        dim = query.shape[1]
        scale = INT8_SCALE / (float(np.abs(query).max()) or 1.0)
        steps = np.rint(query * scale)
        ends = np.full((len(query), self.width(dim) - dim), _ZERO)
        rows = np.concatenate([steps + _ZERO, ends], axis=1, dtype=np.float32)
        factor = 1 / (INT8_SCALE * scale)
        total = _ZERO * dim + _farthest(dim)
        offset = _ZERO * (total + float(steps.sum(axis=1, dtype=np.float64).mean()))
        return Asked(rows, factor / len(query), factor * offset)


def coding(storage: ColbertStorage) -> Coding:
    """
    Choose the spelling for a storage.

    Raises:
        RepresentationError: If Qdrant has none.
    """
    match storage.dtype:
        case "int8":
            return Bytes()
        case "binary":
            raise RepresentationError(
                "Qdrant keeps bits beside the whole vectors only; keep ColBERT vectors as int8 or "
                "float16, pooled, or have bits made beside them for speed (Options.colbert)"
            )
        case _:
            return AsIs()


def _farthest(dim: int) -> int:
    """Return how far from 0 the steps of a unit row may sum up, rounding included."""
    return math.ceil(INT8_SCALE * math.sqrt(dim) + dim / 2)
