"""The seam between the query plan and Qdrant's engines, and the values that cross it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from m3kit.fusion import Ranking
from m3kit.scoring import carried
from m3kit.vectors import M3Output, Rep, Sparse
from m3kit_qdrant.filters import Condition
from m3kit_qdrant.payload import point_id


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A record as it is written."""

    output: M3Output
    payload: dict[str, Any]

    @property
    def id(self) -> str:
        """The name the engine knows it by."""
        return point_id(self.payload["id"])

    @property
    def nbytes(self) -> int:
        """About how many bytes it takes."""
        text, metadata = (len(self.payload[key].encode()) for key in ("text", "metadata"))
        return self.output.nbytes + text + 3 * metadata


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """One question: which documents that match are nearest to the query by one representation."""

    rep: Rep
    query: M3Output
    where: Condition | None
    limit: int
    exact: bool = False


class Scored(Protocol):
    """A point that a query found."""

    @property
    def score(self) -> float:
        """The engine's own score."""
        ...

    @property
    def payload(self) -> Mapping[str, Any] | None:
        """Its id at least."""
        ...


class Stored(Protocol):
    """A point that was read back."""

    @property
    def payload(self) -> Mapping[str, Any] | None:
        """All of it."""
        ...

    @property
    def vector(self) -> Any:
        """The vectors that were wanted, under their names."""
        ...


class Engine(Protocol):
    """What Qdrant's engines say differently."""

    @property
    def colbert_limit(self) -> int | None:
        """How many numbers the ColBERT vectors of one document must stay below."""
        ...

    def write(self, points: Sequence[Point], /) -> None:
        """Write or replace points."""
        ...

    def query(self, asked: Sequence[Ask], /) -> Sequence[Ranking]:
        """Answer each question with ids and M3's scores, best first."""
        ...

    def retrieve(self, ids: Sequence[str], reps: Collection[Rep], /) -> Sequence[Stored]:
        """Read the points of these names that there are, in any order."""
        ...

    def scroll(
        self, where: Condition | None, reps: Collection[Rep], start: Any, limit: int, /
    ) -> tuple[Sequence[Stored], Any]:
        """Read a page of points from `start`, and tell where the next begins, or None."""
        ...

    def delete(self, where: Condition, /) -> None:
        """Forget the points that match."""
        ...

    def count(self, where: Condition | None, /) -> int:
        """Count the points that match."""
        ...

    def flush(self) -> None:
        """Return when what was written is durable and searchable."""
        ...


def to_vectors(output: M3Output, sparse: Callable[[list[int], list[float]], Any]) -> dict[str, Any]:
    """
    Write vectors under their names, as lists, which Edge's binding reads faster than arrays.

    Args:
        output: What to write.
        sparse: The engine's own class of sparse vectors.
    """
    vectors: dict[str, Any] = {}
    if output.dense is not None:
        vectors["dense"] = output.dense.tolist()
    if output.sparse is not None:
        vectors["sparse"] = sparse(output.sparse.ids.tolist(), output.sparse.weights.tolist())
    if output.colbert is not None:
        vectors["colbert"] = output.colbert.tolist()
    return vectors


def to_vector(ask: Ask, sparse: Callable[[list[int], list[float]], Any]) -> Any:
    """Write the vector of a question; see `to_vectors`."""
    return to_vectors(ask.query.only(ask.rep), sparse)[ask.rep]


def to_output(vectors: Mapping[str, Any], reps: Collection[Rep]) -> M3Output:
    """Read the vectors that an engine returned."""
    sparse = vectors.get("sparse")
    return M3Output(
        dense=np.array(vectors["dense"], np.float32) if "dense" in reps else None,
        sparse=None
        if "sparse" not in reps
        else Sparse(np.array(sparse.indices, np.int64), np.array(sparse.values, np.float32))
        if sparse is not None
        else Sparse.from_dict({}),
        colbert=np.array(vectors["colbert"], np.float32) if "colbert" in reps else None,
    )


def to_ranking(points: Iterable[Scored], ask: Ask) -> Ranking:
    """Read an engine's answer; it sums MaxSim over the query's tokens, where M3 takes the mean."""
    tokens = len(carried(ask.query.colbert, "colbert")) if ask.rep == "colbert" else 1
    return [((point.payload or {})["id"], point.score / tokens) for point in points]
