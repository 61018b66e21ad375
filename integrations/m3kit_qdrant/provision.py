"""Creating a collection, and checking one that exists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from qdrant_client import models

from m3kit.adapters.field_names import FieldNames
from m3kit.adapters.manifest import IndexRequest, Manifest
from m3kit.adapters.storage import ColbertStorage, ColbertType
from m3kit.index import IndexNotFoundError
from m3kit.vectors import REPS, Rep
from m3kit_qdrant.client import CollectionAdmin
from m3kit_qdrant.layout import EXACT, ID, M3KIT
from m3kit_qdrant.options import QdrantOptions
from m3kit_qdrant.vectors import Metric, Rows, Vectors, rows_of

_DATATYPES: dict[ColbertType, models.Datatype] = {
    "float32": models.Datatype.FLOAT32,
    "float16": models.Datatype.FLOAT16,
    "bfloat16": models.Datatype.FLOAT16,
    "int8": models.Datatype.UINT8,
}
"""The type of a stored number; a float16 holds a bfloat16 of a unit vector to 2⁻²⁵."""

_METRICS: dict[models.Distance, Metric] = {
    models.Distance.DOT: "dot",
    models.Distance.COSINE: "dot",
    models.Distance.EUCLID: "euclid",
}
"""Metrics that order unit vectors as their inner product does."""

_SAMPLE = 16
"""How many points are read to check the names of a payload's fields."""

_GRAPH_KB = 20_000
"""From how many KB of a segment's vectors a server builds a graph of them."""


def open_or_create(
    collection: CollectionAdmin, request: IndexRequest, options: QdrantOptions, what: str
) -> tuple[models.CollectionInfo, Manifest, Vectors]:
    """
    Open a collection that m3kit made, or create it.

    Raises:
        IndexNotFoundError: If there is none and no width, or m3kit did not make it.
        RepresentationError: If Qdrant cannot store ColBERT vectors so.
    """
    if request.colbert is not None:
        rows_of(request.colbert)
    info = collection.info()
    if info is None:
        new = request.new_manifest(what)
        info = collection.create(_arguments(new, _vectors(collection, new), options))
    stored = (info.config.metadata or {}).get("m3kit")
    if stored is None:
        raise IndexNotFoundError(
            f"{what} was not created by m3kit; pass fields=FieldNames(…), or choose another name. "
            f"It has {_inventory(info, collection.payloads(1))}. (Or m3kit created it on a server "
            "older than Qdrant 1.16, which stores no manifest: upgrade the server.)"
        )
    manifest = Manifest.from_json(stored, what)
    return info, manifest, _vectors(collection, manifest)


def adopt(
    collection: CollectionAdmin, fields: FieldNames, request: IndexRequest, what: str
) -> tuple[models.CollectionInfo, Manifest, Vectors]:
    """
    Open a collection that m3kit did not create.

    Raises:
        IndexNotFoundError: If there is none, its vectors cannot serve, or its points have other
            payload fields than the names given.
    """
    if (info := collection.info()) is None:
        raise IndexNotFoundError(
            f"there is no index at {what}; leave fields= out to create one with m3kit's own names"
        )
    if (info.config.metadata or {}).get("m3kit") is not None:
        if fields != M3KIT:
            raise IndexNotFoundError(
                f"m3kit created {what} and knows its fields; leave fields= out"
            )
        return open_or_create(collection, request, QdrantOptions(), what)
    params = info.config.params
    dense, sparse = _named(params.vectors), params.sparse_vectors or {}
    if differences := [*_differences(fields, dense, sparse)]:
        raise IndexNotFoundError(f"{what} cannot serve: {'; '.join(differences)}")
    _check_payloads(fields, collection.payloads(_SAMPLE), what)
    widths = [dense[name].size for name in (fields.dense, fields.colbert) if name is not None]
    width = widths[0] if widths else request.dim or 1
    names = {rep: name for rep in REPS if (name := fields.vector(rep)) is not None}
    storage = ColbertStorage()
    if fields.colbert is not None and dense[fields.colbert].datatype == models.Datatype.FLOAT16:
        storage = ColbertStorage("float16")
    metric = "dot" if fields.dense is None else _METRICS[dense[fields.dense].distance]
    manifest = Manifest(width, fields.reps, request.model, storage)
    return info, manifest, Vectors(width, names, Rows(), metric)


def unused_vectors(info: models.CollectionInfo, vectors: Vectors) -> list[str]:
    """Name the vectors of a collection that are neither read nor written."""
    params = info.config.params
    stored = {**_named(params.vectors), **(params.sparse_vectors or {})}
    return sorted(stored.keys() - set(vectors.names.values()))


def graph_problem(info: models.CollectionInfo, name: str) -> str | None:
    """Say why the dense vectors of a large collection are in no graph; None if they are."""
    params, optimizers = _named(info.config.params.vectors)[name], info.config.optimizer_config
    points, threshold = info.points_count or 0, optimizers.indexing_threshold
    least = _GRAPH_KB if threshold is None else threshold
    if points * params.size * 4 / 1024 <= max(least, _GRAPH_KB) or info.indexed_vectors_count:
        return None
    m = info.config.hnsw_config.m if params.hnsw_config is None else params.hnsw_config.m
    why = f"its status is {info.status.value}; wait for its optimizers, or look at its log"
    if m == 0:
        why = "m=0 switches it off; update its hnsw_config"
    elif least == 0:
        why = "indexing_threshold=0 switches it off; update its optimizers_config"
    return f"none of its {points} dense vectors is in a graph, so searches read them all: {why}"


def _vectors(collection: CollectionAdmin, manifest: Manifest) -> Vectors:
    """Describe the vectors of an index of m3kit's; local mode computes in float32 alone."""
    vectors = Vectors.of(manifest)
    return replace(vectors, colbert=Rows()) if collection.is_local else vectors


def _arguments(manifest: Manifest, vectors: Vectors, options: QdrantOptions) -> dict[str, Any]:
    """Return the arguments of `create_collection`."""
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
        "vectors_config": {rep: value for rep, value in params.items() if rep in manifest.reps},
        "sparse_vectors_config": sparse if "sparse" in manifest.reps else {},
        "metadata": {"m3kit": manifest.to_json()},
        **options.create,
    }


def _check_payloads(fields: FieldNames, payloads: Sequence[Mapping[str, Any]], what: str) -> None:
    """Compare names with the points that there are; an empty collection has any names."""
    sample = next(filter(None, payloads), None)
    if sample is None:
        return
    about = f"one point of {what} has the payload keys {_listed(sample)}"
    for argument, name in (("text", fields.text), ("metadata", fields.metadata)):
        if name is not None and all(name not in payload for payload in payloads):
            raise IndexNotFoundError(
                f"{about}, and none is {name!r}; pass its name as FieldNames({argument}=…)"
            )
    beside = sample.keys() - {fields.id, fields.text, ID, EXACT}
    nests = beside == {"metadata"} and isinstance(sample["metadata"], Mapping | None)
    if fields.metadata is None and nests:
        raise IndexNotFoundError(f"{about}; pass FieldNames(metadata='metadata'), which nests it")


def _inventory(info: models.CollectionInfo, payloads: Sequence[Mapping[str, Any]]) -> str:
    params = info.config.params
    vectors = f"the vectors {_listed({**_named(params.vectors), **(params.sparse_vectors or {})})}"
    if not payloads:
        return f"{vectors} and no point"
    return f"{vectors}, and one of its points the payload keys {_listed(payloads[0])}"


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, sorted(names))) or "none"


def _differences(
    fields: FieldNames,
    dense: Mapping[str, models.VectorParams],
    sparse: Mapping[str, models.SparseVectorParams],
) -> Iterator[str]:
    names = {rep: name for rep in REPS if (name := fields.vector(rep)) is not None}
    for rep, name in names.items():
        kind, stored = ("sparse", sparse) if rep == "sparse" else ("dense", dense)
        if name not in stored:
            yield (
                f"it has no {kind} vector {name!r}, only {_listed(stored)}; pass "
                f"FieldNames({rep}=…)"
            )
        elif rep != "sparse":
            yield from _vector_differences(rep, dense[name], name)
        elif (modifier := sparse[name].modifier) is not None:
            yield (
                f"the sparse vector {name!r} has the modifier {modifier.value}, so its weights are "
                "made of word counts (BM25) and not by M3; leave it out of FieldNames"
            )
    if len({dense[name].size for name in names.values() if name in dense}) > 1:
        yield f"the vectors {fields.dense!r} and {fields.colbert!r} are not of one width"


def _vector_differences(rep: Rep, params: models.VectorParams, name: str) -> Iterator[str]:
    has_rows = params.multivector_config is not None
    if has_rows and rep == "dense":
        yield f"{name!r} holds several vectors of a text, as ColBERT does, not one"
    if not has_rows and rep == "colbert":
        yield f"{name!r} holds one vector of a text, and ColBERT has one for each token"
    if rep == "colbert" and params.distance is models.Distance.EUCLID:
        yield f"the metric of {name!r} is Euclid, by which MaxSim is another score"
    if params.distance not in _METRICS:
        yield (
            f"the metric of {name!r} is {params.distance.value}, and M3's scores come of "
            f"{', '.join(metric.value for metric in _METRICS)}"
        )
    if params.datatype is models.Datatype.UINT8:
        yield f"the numbers of {name!r} are bytes from 0 to 255, and those of M3 are not"


def _named(
    vectors: models.VectorParams | Mapping[str, models.VectorParams] | None,
) -> Mapping[str, models.VectorParams]:
    return {"": vectors} if isinstance(vectors, models.VectorParams) else vectors or {}


def _given(diff: models.VectorParamsDiff) -> dict[str, Any]:
    return {name: value for name, value in dict(diff).items() if value is not None}
