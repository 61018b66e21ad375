"""The seam between the query plan and Qdrant's engines, and the values that cross it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

from m3kit.vectors import M3Output, Rep
from m3kit_qdrant.filters import Condition

Key: TypeAlias = str | int
"""What an engine knows a point by: a UUID or an unsigned integer."""

Select: TypeAlias = list[str] | bool
"""What of a payload is wanted: these fields, all of it or nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A record as it is written, and about how many bytes it takes."""

    key: Key
    output: M3Output
    payload: dict[str, Any]
    nbytes: int


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """
    One question: which documents that match are nearest to the query by one representation.

    Args:
        rep: The representation.
        query: The query that carries it.
        where: What a document must match.
        limit: How many are wanted.
        select: What of their payloads is wanted.
        exact: Whether a graph may not be used.
        among: If given, only what the reciprocal rank fusion of these finds is looked at.
    """

    rep: Rep
    query: M3Output
    where: Condition | None
    limit: int
    select: Select
    exact: bool = False
    among: tuple[Ask, ...] = ()


class Found(NamedTuple):
    """A point that a query found, with M3's own score."""

    key: Key
    score: float
    payload: dict[str, Any]


class Stored(NamedTuple):
    """A point that was read back, with the representations that were wanted."""

    key: Key
    payload: dict[str, Any]
    output: M3Output


class Engine(Protocol):
    """What Qdrant's engines say differently."""

    @property
    def colbert_limit(self) -> int | None:
        """How many numbers the ColBERT vectors of one document must stay below."""
        ...

    @property
    def is_remote(self) -> bool:
        """Whether a request takes time, so that questions are better asked together."""
        ...

    @property
    def noise(self) -> float:
        """How far, relatively, its order may be from that of the scores it gives."""
        ...

    def write(self, points: Sequence[Point], /) -> None:
        """Write or replace points."""
        ...

    def query(self, asked: Sequence[Ask], /) -> Sequence[Sequence[Found]]:
        """Answer each question, best first."""
        ...

    def retrieve(
        self, keys: Sequence[Key], reps: Collection[Rep], select: Select, /
    ) -> Sequence[Stored]:
        """Read the points of these keys that there are, in any order."""
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
