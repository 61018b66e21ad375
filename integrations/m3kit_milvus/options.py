"""What the owner of a collection may choose, in Milvus's own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from m3kit.vectors import Rep

METRICS: Mapping[Rep, str] = {"dense": "IP", "sparse": "IP", "colbert": "MAX_SIM_IP"}
"""The metrics of the indexes that m3kit creates."""

_EXACT = frozenset({"FLAT", "BRUTE_FORCE", "HNSW", "IVF_FLAT", "SPARSE_INVERTED_INDEX"})
"""Indexes that score by the vectors themselves, whichever of them they find."""


COMPLETE = frozenset({"FLAT", "BRUTE_FORCE"})
"""Indexes of dense vectors that compare with each, and so miss none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MilvusOptions:
    """
    How a collection is indexed, searched and partitioned; by default exactly, and not at all.

    What creates a collection is ignored for one that exists; the parameters of searches and the
    consistency level are this index's own.

    Args:
        dense_index: The index of the dense vectors: `{"index_type": "HNSW", "params": {"M": 32}}`.
            The metric is IP. An approximate one may miss documents; scores stay exact.
        sparse_index: The index of the lexical weights.
        colbert_index: The index of the ColBERT vectors, on servers that hold them; there is no
            exact one.
        dense_search_params: Parameters of a search in the dense index: `{"ef": 256}`.
        sparse_search_params: The same for the sparse one: `{"drop_ratio_search": 0.2}`.
        colbert_search_params: The same for the ColBERT one.
        json_indexes: JSON path indexes of the metadata, on servers: a field's name and the type to
            cast to, such as `{"lang": "VARCHAR", "year": "DOUBLE"}`. One that is missing is
            created when the index is opened. Milvus Lite has none.
        consistency_level: How fresh an answer is: by default everything written is seen.
        partition_key: The field of the metadata by which a new collection is partitioned; a filter
            by `Eq` or `In` on it searches those partitions alone.
        create: Further arguments of `MilvusClient.create_collection`: `num_shards`,
            `num_partitions`, `properties`.

    Raises:
        ValueError: If an index is to have another metric.
    """

    dense_index: Mapping[str, Any] = field(default_factory=lambda: {"index_type": "FLAT"})
    sparse_index: Mapping[str, Any] = field(
        default_factory=lambda: {"index_type": "SPARSE_INVERTED_INDEX"}
    )
    colbert_index: Mapping[str, Any] = field(default_factory=lambda: {"index_type": "HNSW"})
    dense_search_params: Mapping[str, Any] = field(default_factory=dict)
    sparse_search_params: Mapping[str, Any] = field(default_factory=dict)
    colbert_search_params: Mapping[str, Any] = field(default_factory=dict)
    json_indexes: Mapping[str, str] = field(default_factory=dict)
    consistency_level: str = "Strong"
    partition_key: str | None = None
    create: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for rep, metric in METRICS.items():
            given = getattr(self, f"{rep}_index").get("metric_type", metric)
            if given != metric:
                raise ValueError(
                    f"M3's {rep} vectors are compared by {metric}, not by {given}; "
                    "leave metric_type out"
                )

    def index_params(self, rep: Rep) -> dict[str, Any]:
        """Return the index of a representation, with its metric."""
        return {**getattr(self, f"{rep}_index"), "metric_type": METRICS[rep]}

    def search_params(self, rep: Rep) -> Mapping[str, Any]:
        """Return the parameters of a search."""
        params: Mapping[str, Any] = getattr(self, f"{rep}_search_params")
        return params


def is_approximate(index_type: str, search_params: Mapping[str, Any]) -> bool:
    """Tell whether an index may score by less than the vectors."""
    return index_type not in _EXACT or "drop_ratio_search" in search_params
