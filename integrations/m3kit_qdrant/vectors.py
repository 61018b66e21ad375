"""How M3's vectors lie in points, under which names and by which metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from m3kit.adapters.manifest import Manifest
from m3kit.scoring import require
from m3kit.vectors import REPS, M3Output, Rep, Sparse
from m3kit_qdrant.coding import Coding, coding
from m3kit_qdrant.engine import Ask

Metric: TypeAlias = Literal["dot", "euclid"]
"""What a score is: the inner product, which is the cosine of unit vectors, or their distance."""


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """
    The vectors of a collection.

    Args:
        dim: Their width.
        names: What the points call each representation; `""` is Qdrant's unnamed vector.
        colbert: How ColBERT vectors are spelled.
        dense: What the engine's score of dense vectors is.
    """

    dim: int
    names: Mapping[Rep, str]
    colbert: Coding
    dense: Metric = "dot"

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """Describe the vectors of an index that m3kit makes."""
        names = {rep: str(rep) for rep in REPS if rep in manifest.reps}
        return cls(manifest.dim, names, coding(manifest.colbert))

    def written(
        self,
        output: M3Output,
        sparse: Callable[[Any, Any], Any],
        *,
        spelled: Callable[[NDArray[Any]], Any] = np.ndarray.tolist,
    ) -> dict[str, Any]:
        """
        Write vectors under their names.

        Args:
            output: What to write; its ColBERT vectors are those that are stored.
            sparse: The engine's own class of sparse vectors.
            spelled: How the engine is given an array of numbers.
        """
        written: dict[str, Any] = {}
        if output.dense is not None:
            written[self.names["dense"]] = spelled(output.dense)
        if output.sparse is not None:
            weights = output.sparse
            written[self.names["sparse"]] = sparse(spelled(weights.ids), spelled(weights.weights))
        if output.colbert is not None:
            rows = self.colbert.written(output.colbert)
            written[self.names["colbert"]] = [spelled(row) for row in rows]
        return written

    def asked(
        self, ask: Ask, sparse: Callable[[list[int], list[float]], Any]
    ) -> tuple[Any, Callable[[float], float]]:
        """Write the vector of a question, and tell how M3's score is made of the engine's."""
        match ask.rep:
            case "dense":
                vector = require(ask.query.dense, "dense").tolist()
                return vector, _as_it_is if self.dense == "dot" else _near
            case "sparse":
                return _sparse(require(ask.query.sparse, "sparse"), sparse), _as_it_is
            case "colbert":
                asked = self.colbert.asked(require(ask.query.colbert, "colbert"))
                return asked.rows.tolist(), lambda raw: asked.factor * raw - asked.offset

    def wanted(self, reps: Collection[Rep]) -> list[str] | bool:
        """Name the vectors that an engine is to return; the unnamed comes with all others."""
        names = [self.names[rep] for rep in REPS if rep in reps]
        return "" in names or names or False

    def read(self, vectors: Any, reps: Collection[Rep]) -> M3Output:
        """Read the vectors that an engine returned."""
        if not reps:
            return M3Output()
        named = vectors if isinstance(vectors, dict) else {"": vectors}
        own = {rep: named.get(self.names[rep]) for rep in reps}
        dense, rows = (
            None if vector is None else np.array(vector, np.float32)
            for vector in (own.get("dense"), own.get("colbert"))
        )
        return M3Output(
            dense=dense,
            sparse=_weights(own["sparse"]) if "sparse" in own else None,
            colbert=None if rows is None else self.colbert.read(rows, self.dim),
        )


def _sparse(sparse: Sparse, kind: Callable[[list[int], list[float]], Any]) -> Any:
    return kind(sparse.ids.tolist(), sparse.weights.tolist())


def _weights(sparse: Any) -> Sparse:
    if sparse is None:
        return Sparse.from_dict({})
    return Sparse(np.array(sparse.indices, np.int64), np.array(sparse.values, np.float32))


def _as_it_is(score: float) -> float:
    return score


def _near(distance: float) -> float:
    """Turn the distance of two unit vectors into their inner product."""
    return 1 - math.pow(distance, 2) / 2
