"""The schema of a collection: of one that is to be made, and of one that others made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from qdrant_client import models

from m3kit.adapters.field_names import FieldNames
from m3kit.adapters.manifest import Manifest
from m3kit.adapters.storage import ColbertStorage, ColbertType
from m3kit.index import IndexNotFoundError
from m3kit.vectors import REPS
from m3kit_qdrant.coding import AsIs
from m3kit_qdrant.options import Index, QdrantOptions
from m3kit_qdrant.payload import path_to
from m3kit_qdrant.vectors import Metric, Vectors

_DATATYPES: dict[ColbertType, models.Datatype] = {
    "float32": models.Datatype.FLOAT32,
    "float16": models.Datatype.FLOAT16,
    "bfloat16": models.Datatype.FLOAT16,
    "int8": models.Datatype.UINT8,
}
"""What a number is kept in; a float16 holds a bfloat16 of a unit vector to 2⁻²⁵."""

_METRICS: dict[models.Distance, Metric] = {
    models.Distance.DOT: "dot",
    models.Distance.COSINE: "dot",
    models.Distance.EUCLID: "euclid",
}
"""Metrics that order unit vectors as their inner product does."""

_NUMBERS = {"integer", "float"}
_WORDS = {"keyword", "uuid"}


def to_create(manifest: Manifest, vectors: Vectors, options: QdrantOptions) -> dict[str, Any]:
    """Say what `create_collection` is told of an index that m3kit makes."""
    dtype = manifest.colbert.dtype
    dense = models.VectorParams(
        size=manifest.dim, distance=models.Distance.DOT, **_given(options.dense)
    )
    colbert = models.VectorParams(
        size=vectors.colbert.width(manifest.dim),
        distance=models.Distance.DOT,
        datatype=None if dtype == "float32" else _DATATYPES[dtype],
        multivector_config=models.MultiVectorConfig(
            comparator=models.MultiVectorComparator.MAX_SIM
        ),
        **{"hnsw_config": models.HnswConfigDiff(m=0), **_given(options.colbert)},
    )
    params = {"dense": dense, "colbert": colbert}
    sparse = {"sparse": models.SparseVectorParams(index=options.sparse)}
    return {
        "vectors_config": {rep: one for rep, one in params.items() if rep in manifest.reps},
        "sparse_vectors_config": sparse if "sparse" in manifest.reps else {},
        "metadata": {"m3kit": manifest.to_json()},
        **options.create,
    }


def own_indexes(options: QdrantOptions) -> dict[str, Index]:
    """
    Say which fields of m3kit's own payloads have an index.

    Raises:
        ValueError: If it is of a kind that these payloads have no field for.
    """
    indexes: dict[str, Index] = {"terms": models.PayloadSchemaType.KEYWORD}
    for field, index in options.indexes.items():
        kind = _kind(index)
        if kind in _NUMBERS:
            indexes[path_to("numbers", field)] = index
        elif kind in _WORDS:
            indexes[path_to("strings", field)] = index
        else:
            raise ValueError(
                f"an index of m3kit's has no {kind} index over {field!r}; say one of "
                f"{', '.join(sorted(_NUMBERS | _WORDS))}"
            )
    return indexes


def their_indexes(options: QdrantOptions, path: Callable[[str], str | None]) -> dict[str, Index]:
    """Say which fields of others' payloads are to have an index."""
    return {
        key: index for field, index in options.indexes.items() if (key := path(field)) is not None
    }


def keywords(options: QdrantOptions) -> frozenset[str]:
    """Name the fields whose strings have an index of their own."""
    return frozenset(name for name, index in options.indexes.items() if _kind(index) in _WORDS)


def adopted(
    info: models.CollectionInfo, fields: FieldNames, dim: int | None, model: str | None, what: str
) -> tuple[Manifest, Vectors]:
    """
    Read the schema of a collection that others made.

    Raises:
        IndexNotFoundError: If it cannot serve, with every difference.
    """
    if (info.config.metadata or {}).get("m3kit") is not None:
        raise IndexNotFoundError(
            f"m3kit made {what} and knows its fields; open it without FieldNames"
        )
    params = info.config.params
    dense, sparse = _named(params.vectors), params.sparse_vectors or {}
    if wrong := [*_differences(fields, dense, sparse)]:
        raise IndexNotFoundError(f"{what} cannot serve: {'; '.join(wrong)}")
    widths = [dense[name].size for name in (fields.dense, fields.colbert) if name is not None]
    width = widths[0] if widths else dim or 1
    names = {rep: name for rep in REPS if (name := fields.vector(rep)) is not None}
    storage = ColbertStorage()
    if fields.colbert is not None and dense[fields.colbert].datatype == models.Datatype.FLOAT16:
        storage = ColbertStorage("float16")
    metric = "dot" if fields.dense is None else _METRICS[dense[fields.dense].distance]
    manifest = Manifest(width, fields.reps, model, storage)
    return manifest, Vectors(width, names, AsIs(), metric)


def left_alone(info: models.CollectionInfo, fields: FieldNames) -> list[str]:
    """Name the vectors of a collection that nothing is done with."""
    params = info.config.params
    there = {**_named(params.vectors), **(params.sparse_vectors or {})}
    return sorted(there.keys() - {fields.vector(rep) for rep in REPS})


def _differences(
    fields: FieldNames,
    dense: Mapping[str, models.VectorParams],
    sparse: Mapping[str, models.SparseVectorParams],
) -> Iterator[str]:
    for rep in REPS:
        name = fields.vector(rep)
        there: Mapping[str, Any] = sparse if rep == "sparse" else dense
        if name is not None and name not in there:
            kind = "sparse" if rep == "sparse" else "dense"
            yield f"it has no {kind} vector {name!r}, only {', '.join(map(repr, there)) or 'none'}"
    if fields.dense in dense:
        yield from _of_dense(dense[fields.dense or ""], fields.dense)
    if fields.colbert in dense:
        yield from _of_colbert(dense[fields.colbert or ""], fields.colbert)
        if (
            fields.dense in dense
            and dense[fields.dense or ""].size != dense[fields.colbert or ""].size
        ):
            yield f"the vectors {fields.dense!r} and {fields.colbert!r} are not of one width"
    if fields.sparse in sparse and (modifier := sparse[fields.sparse or ""].modifier) is not None:
        yield (
            f"the sparse vector {fields.sparse!r} has the modifier {modifier.value}, so its "
            "weights are made of word counts (BM25) and not by M3; leave it out of FieldNames"
        )


def _of_dense(params: models.VectorParams, name: str | None) -> Iterator[str]:
    if params.multivector_config is not None:
        yield f"{name!r} holds several vectors of a text, as ColBERT does, not one"
    yield from _of_vectors(params, name)


def _of_colbert(params: models.VectorParams, name: str | None) -> Iterator[str]:
    if params.multivector_config is None:
        yield f"{name!r} holds one vector of a text, and ColBERT has one for each token"
    if params.distance is models.Distance.EUCLID:
        yield f"the metric of {name!r} is Euclid, by which MaxSim is another score"
    yield from _of_vectors(params, name)


def _of_vectors(params: models.VectorParams, name: str | None) -> Iterator[str]:
    if params.distance not in _METRICS:
        yield (
            f"the metric of {name!r} is {params.distance.value}, and M3's scores come of "
            f"{', '.join(one.value for one in _METRICS)}"
        )
    if params.datatype is models.Datatype.UINT8:
        yield f"the numbers of {name!r} are bytes from 0 to 255, and those of M3 are not"


def _named(
    vectors: models.VectorParams | Mapping[str, models.VectorParams] | None,
) -> Mapping[str, models.VectorParams]:
    return {"": vectors} if isinstance(vectors, models.VectorParams) else vectors or {}


def _given(diff: models.VectorParamsDiff) -> dict[str, Any]:
    return {name: value for name, value in dict(diff).items() if value is not None}


def _kind(index: Index) -> str:
    return str((index if isinstance(index, models.PayloadSchemaType) else index.type).value)
