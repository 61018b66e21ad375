"""How a server keeps and searches a collection, in the vendor's own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from qdrant_client import models

Index: TypeAlias = (
    models.PayloadSchemaType
    | models.KeywordIndexParams
    | models.IntegerIndexParams
    | models.FloatIndexParams
    | models.UuidIndexParams
    | models.BoolIndexParams
    | models.DatetimeIndexParams
    | models.TextIndexParams
)
"""An index over one field of the payload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QdrantOptions:
    """
    What a server is told beyond the shape of an index; local mode heeds none of it.

    A graph or quantised vectors make dense search approximate, and so may change who is found;
    `models.SearchParams(exact=True)` asks every vector again.

    Args:
        dense: The graph, quantisation and memory of dense vectors, in a new collection.
        colbert: The same of ColBERT vectors, which have no graph unless this says so.
        sparse: The index of sparse vectors, in a new collection.
        create: What else `create_collection` is to be told, such as `shard_number`.
        indexes: FieldNames of the metadata with an index of their own, made if it is missing. In an
            index of m3kit's, equality needs none; numbers profit in ranges, and a tenant's field
            (`KeywordIndexParams(type="keyword", is_tenant=True)`) keeps what is his together.
        search: How dense vectors are searched.
    """

    dense: models.VectorParamsDiff = field(default_factory=models.VectorParamsDiff)
    colbert: models.VectorParamsDiff = field(default_factory=models.VectorParamsDiff)
    sparse: models.SparseIndexParams | None = None
    create: Mapping[str, Any] = field(default_factory=dict)
    indexes: Mapping[str, Index] = field(default_factory=dict)
    search: models.SearchParams | None = None
