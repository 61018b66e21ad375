"""What the owner of a collection may choose, in Milvus's own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from m3kit.vectors import Rep

_EXACT = frozenset({"FLAT", "BRUTE_FORCE", "HNSW", "IVF_FLAT", "SPARSE_INVERTED_INDEX"})
"""Indexes that score by the vectors themselves, whichever of them they find."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MilvusOptions:
    """
    How a collection is indexed, searched and divided; by default exactly, and not at all.

    What makes a collection is of no consequence to one that exists, and neither is checked against
    it; the parameters of searches and the consistency are this index's own.

    Args:
        dense_index: The index of the dense vectors: `{"index_type": "HNSW", "params": {"M": 32}}`.
            The metric is IP. An approximate one may miss documents; scores stay exact.
        sparse_index: The index of the lexical weights.
        colbert_index: The index of the ColBERT vectors, on servers that hold them; there is no
            exact one.
        dense_search: Parameters of a search in the dense index: `{"ef": 256}`.
        sparse_search: The same for the sparse one: `{"drop_ratio_search": 0.2}`.
        colbert_search: The same for the ColBERT one.
        consistency: How fresh an answer is: by default everything written is seen.
        partition_key: The field of the metadata that a new collection is divided by; a filter by
            `Eq` or `In` on it looks into its part alone.
        create: What `MilvusClient.create_collection` takes besides: `num_shards`,
            `num_partitions`, `properties`.

    Raises:
        ValueError: If an index is to have another metric.
    """

    dense_index: Mapping[str, Any] = field(default_factory=lambda: {"index_type": "FLAT"})
    sparse_index: Mapping[str, Any] = field(
        default_factory=lambda: {"index_type": "SPARSE_INVERTED_INDEX"}
    )
    colbert_index: Mapping[str, Any] = field(default_factory=lambda: {"index_type": "HNSW"})
    dense_search: Mapping[str, Any] = field(default_factory=dict)
    sparse_search: Mapping[str, Any] = field(default_factory=dict)
    colbert_search: Mapping[str, Any] = field(default_factory=dict)
    consistency: str = "Strong"
    partition_key: str | None = None
    create: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        metrics = {"dense": "IP", "sparse": "IP", "colbert": "MAX_SIM_IP"}
        for rep, metric in metrics.items():
            asked = getattr(self, f"{rep}_index").get("metric_type", metric)
            if asked != metric:
                raise ValueError(
                    f"M3's {rep} vectors are compared by {metric}, not by {asked}; "
                    "leave metric_type out"
                )

    def index(self, rep: Rep) -> dict[str, Any]:
        """Return the index of a representation, with its metric."""
        metric = "MAX_SIM_IP" if rep == "colbert" else "IP"
        return {**getattr(self, f"{rep}_index"), "metric_type": metric}

    def search(self, rep: Rep) -> Mapping[str, Any]:
        """Return the parameters of a search."""
        params: Mapping[str, Any] = getattr(self, f"{rep}_search")
        return params


def is_rough(index: str, search: Mapping[str, Any]) -> bool:
    """Tell whether an index may return scores of something less than the vectors."""
    return index not in _EXACT or "drop_ratio_search" in search
