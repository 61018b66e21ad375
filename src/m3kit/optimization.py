"""
Building a graph over an index's dense vectors: faster search that may miss documents.

    index.optimize()              an index that is `Optimizable`
    index.optimization            what that made of it; None while every search is exact
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

from m3kit.index import HybridIndex, UnsupportedError, check_count


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """
    An HNSW graph over dense vectors, and how an embedded index stores them for it.

    Args:
        m: Edges of a node, upwards of 4.
        ef_construct: How many candidates a node's edges are chosen from.
        quantize: Whether the graph is searched by codes of 4 bits a number, in memory; the hits are
            scored again by the vectors themselves.
        on_disk: Whether the vectors stay on the disk, from which the system caches what is read.
        recall: The share of the true nearest neighbours that a search is to find. Of the widths in
            which a graph is searched, the smallest that reaches it is chosen; how that is measured,
            `Optimization` says.
        min_documents: An index of fewer documents gets no graph: it is compared with every vector,
            as before.

    Raises:
        TypeError, ValueError: If a number is out of range.
    """

    m: int = 32
    ef_construct: int = 90
    quantize: bool = True
    on_disk: bool = True
    recall: float = 0.98
    min_documents: int = 10_000

    def __post_init__(self) -> None:
        if check_count(self.m, "m") < 4:
            raise ValueError(f"a graph has at least 4 edges at a node, not {self.m}")
        check_count(self.ef_construct, "ef_construct")
        check_count(self.min_documents, "min_documents")
        if not 0 < self.recall <= 1:
            raise ValueError(f"a recall is above 0 and at most 1, not {self.recall}")


@dataclass(frozen=True, slots=True)
class Optimization:
    """
    What an index's searches may miss since it was optimized.

    Args:
        documents: How many documents it held then; those written since are found exactly.
        recall: The share of the true 10 nearest neighbours that dense search found, less the
            standard error of that. `queries` of its documents were looked for as if they had no
            place in the graph, as a query has none.
        queries: How many.
        search: The engine's parameters of a search.
    """

    documents: int
    recall: float
    queries: int
    search: Mapping[str, int]

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(stored["documents"], stored["recall"], stored["queries"], stored["search"])

    def to_json(self) -> Mapping[str, Any]:
        """Return it as JSON."""
        return {
            "documents": self.documents,
            "recall": self.recall,
            "queries": self.queries,
            "search": dict(self.search),
        }

    def __str__(self) -> str:
        search = ", ".join(f"{name} {number}" for name, number in self.search.items())
        return (
            f"approximate, recall@10 {self.recall:.3f} of {self.queries} of {self.documents} "
            f"documents ({search})"
        )


@runtime_checkable
class Optimizable(Protocol):
    """An index whose engine can be told to optimize what it stores."""

    @property
    def takes_graph(self) -> bool:
        """Whether `optimize` builds a graph as a `Graph` says, from `Graph.min_documents` on."""
        ...

    @property
    def optimization(self) -> Optimization | None:
        """What its searches may miss, where it was measured; None of an exact or unmeasured one."""
        ...

    def optimize(self, graph: Graph | None = None, /) -> Optimization | None:
        """
        Make searches fast, and free the room of deleted documents; return when it is done.

        Other threads may search and write meanwhile.

        Args:
            graph: How an index that `takes_graph` builds it. Servers have options of their own.

        Raises:
            UnsupportedError: If the engine has nothing to optimize, or takes no `graph`.
        """
        ...


def optimize(index: HybridIndex, graph: Graph | None = None) -> Optimization | None:
    """
    Optimize any index; see `Optimizable.optimize`.

    Raises:
        UnsupportedError: If its engine has nothing to optimize.
    """
    if not isinstance(index, Optimizable):
        raise UnsupportedError(
            f"{type(index).__name__} has nothing to optimize: its engine compares with every "
            "vector, or builds its graph as documents are written"
        )
    return index.optimize(graph)
