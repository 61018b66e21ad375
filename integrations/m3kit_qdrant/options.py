"""How a server stores and searches a collection, in the vendor's own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qdrant_client import models


@dataclass(frozen=True, slots=True, kw_only=True)
class QdrantOptions:
    """
    Qdrant's own options beyond the shape of an index; local mode ignores all of them.

    A graph or quantised vectors make dense search approximate, and so may change which documents
    are found; `models.SearchParams(exact=True)` compares with every vector again.

    Args:
        dense: The graph, quantisation and memory of dense vectors, in a new collection.
        colbert: The same of ColBERT vectors, which have no graph unless this gives one.
        sparse: The index of sparse vectors, in a new collection.
        create: Other arguments of `create_collection`, such as `shard_number`.
        payload_indexes: The indexes of fields of the metadata, created if missing:
            `{"lang": models.PayloadSchemaType.KEYWORD}`. A field without one is read point by point
            by a filter. Index numbers as `FLOAT`: an `INTEGER` index leaves floats out of ranges,
            and a `DATETIME` index leaves out all that is no date.
        search_params: How dense vectors are searched.
    """

    dense: models.VectorParamsDiff = field(default_factory=models.VectorParamsDiff)
    colbert: models.VectorParamsDiff = field(default_factory=models.VectorParamsDiff)
    sparse: models.SparseIndexParams | None = None
    create: Mapping[str, Any] = field(default_factory=dict)
    payload_indexes: Mapping[str, models.PayloadFieldSchema] = field(default_factory=dict)
    search_params: models.SearchParams | None = None
