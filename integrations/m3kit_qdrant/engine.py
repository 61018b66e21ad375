"""The seam between the store and Qdrant's engines, and the values that cross it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self, TypeAlias

from m3kit.fusion import Ranking
from m3kit.vectors import M3Output, Rep

Condition: TypeAlias = dict[str, Any]
"""A filter, in the JSON form of Qdrant's REST interface."""

NOTHING: Condition = {"has_id": []}
"""The filter that keeps no point."""

Key: TypeAlias = str | int
"""The id of a point: a UUID or an unsigned integer."""

ToScore: TypeAlias = Callable[[float], float]
"""Makes M3's score of an engine's."""

Selection: TypeAlias = list[str] | bool
"""Which part of a payload is wanted: these fields, all of it or nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A record as it is written, and about how many bytes it takes."""

    key: Key
    output: M3Output
    payload: dict[str, Any]
    nbytes: int


class VectorQuery(NamedTuple):
    """
    A search for the nearest points by one representation.

    Args:
        rep: The representation.
        query: The query that carries it.
        where: What a point must match.
        limit: How many are wanted.
        select: The part of their payloads that is wanted.
        exact: Whether a graph may not be used.
        among: If given, only what the reciprocal rank fusion of these returns is scored.
    """

    rep: Rep
    query: M3Output
    where: Condition | None
    limit: int
    select: Selection
    exact: bool = False
    among: tuple[VectorQuery, ...] = ()


class Answer(NamedTuple):
    """
    The points that a query returned.

    Args:
        ranking: The spellings of their keys, and M3's own scores, best first.
        payloads: What was selected of their payloads, by those spellings.
    """

    ranking: Ranking
    payloads: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, points: Sequence[Any], scores: Iterable[float], select: Selection) -> Self:
        """Read what an engine returned, with M3's own scores of it."""
        ranking = [(str(point.id), score) for point, score in zip(points, scores, strict=True)]
        if not select:
            return cls(ranking, {})
        named = zip(ranking, points, strict=True)
        return cls(ranking, {name: point.payload or {} for (name, _), point in named})

    @classmethod
    def scored(cls, points: Sequence[Any], to_score: ToScore | None, select: Selection) -> Self:
        """Read what an engine returned with scores of its own, and what makes M3's of them."""
        scores = [point.score for point in points]
        return cls.of(points, map(to_score, scores) if to_score else scores, select)


class StoredPoint(NamedTuple):
    """A point that was read, with the representations that were wanted."""

    key: Key
    payload: dict[str, Any]
    output: M3Output


def to_key(id_: object) -> Key:
    """Spell the id of a point as a key; a client may give UUIDs in a class of their own."""
    return id_ if isinstance(id_, int) else str(id_)


class Engine(Protocol):
    """One collection, in Qdrant's words."""

    @property
    def colbert_limit(self) -> int | None:
        """The ColBERT vectors of one document hold fewer numbers than this."""
        ...

    @property
    def is_remote(self) -> bool:
        """Whether a request takes time, so that queries are better sent together."""
        ...

    @property
    def score_error(self) -> float:
        """How far, relatively, its order may be from that of the scores it returns."""
        ...

    @property
    def has_substring(self) -> bool:
        """Whether it has the condition `match: {substring: …}`."""
        ...

    def prepare_filter(self, where: Condition, /) -> None:
        """Make what lets the engine answer a filter fast, where that is the engine's own matter."""
        ...

    def write(self, points: Sequence[Point], /) -> None:
        """Write or replace points."""
        ...

    def query(self, queries: Sequence[VectorQuery], /) -> Sequence[Answer]:
        """Answer each query."""
        ...

    def retrieve(
        self, keys: Sequence[Key], reps: Collection[Rep], select: Selection, /
    ) -> Sequence[StoredPoint]:
        """Read the points of these keys that there are, in any order."""
        ...

    def scroll(
        self, where: Condition | None, reps: Collection[Rep], start: Any, limit: int, /
    ) -> tuple[Sequence[StoredPoint], Any]:
        """Read a page of points from `start`, and tell where the next begins, or None."""
        ...

    def delete(self, where: Condition, /) -> None:
        """Delete the points that match."""
        ...

    def count(self, where: Condition | None, /) -> int:
        """Count the points that match."""
        ...

    def flush(self) -> None:
        """Return when what was written is durable and searchable."""
        ...

    def is_transient(self, error: Exception, /) -> bool:
        """Tell whether a call may succeed later; see `m3kit.index.TellsTransient`."""
        ...
