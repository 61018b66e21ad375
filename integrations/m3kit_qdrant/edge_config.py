"""How an Edge shard stores vectors: plain at first, for a graph once it is optimized."""

from __future__ import annotations

from collections.abc import Mapping

import qdrant_edge as edge

from m3kit.adapters.manifest import Manifest
from m3kit.adapters.storage import ColbertType
from m3kit.optimization import Graph
from m3kit_qdrant.vectors import rows_of

_DATATYPES: dict[ColbertType, edge.VectorStorageDatatype] = {
    "float32": edge.VectorStorageDatatype.Float32,
    "float16": edge.VectorStorageDatatype.Float16,
    "bfloat16": edge.VectorStorageDatatype.Float16,
    "int8": edge.VectorStorageDatatype.Uint8,
}
"""The type of a stored number; a float16 holds a bfloat16 of a unit vector to 2⁻²⁵."""

_NUMBER_BYTES = 4
_FULL_SCAN_KB = 10_000
"""Of fewer kilobytes of vectors, such as a filter leaves, all are compared."""

_DELETED = 0.01
"""The share of deleted documents from which on a segment is built anew without them."""

_NO_GRAPH = edge.HnswIndexConfig(m=0, ef_construct=100, full_scan_threshold=_FULL_SCAN_KB)

EXACT = edge.SearchParams(exact=True, quantization=edge.QuantizationSearchParams(ignore=True))
"""The parameters of a search that compares with every vector."""


def approximate(search: Mapping[str, int]) -> edge.SearchParams:
    """
    Return the parameters of a search by a graph.

    Args:
        search: `hnsw_ef`, the width of the search, and `oversampling`: how many times as many
            documents as are wanted are scored by the vectors themselves.
    """
    oversampling = float(search.get("oversampling", 2))
    rescored = edge.QuantizationSearchParams(rescore=True, oversampling=oversampling)
    return edge.SearchParams(hnsw_ef=search["hnsw_ef"], quantization=rescored)


def shard_config(manifest: Manifest, graph: Graph | None = None) -> edge.EdgeConfig:
    """Describe a shard with named vectors for what an index holds, to be built with a graph."""
    vectors = {}
    if "dense" in manifest.reps:
        vectors["dense"] = _dense(manifest.dim, graph)
    if "colbert" in manifest.reps:
        vectors["colbert"] = edge.EdgeVectorParams(
            rows_of(manifest.colbert).width(manifest.dim),
            edge.Distance.Dot,
            datatype=_DATATYPES[manifest.colbert.dtype],
            multivector_config=edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim),
            hnsw_config=_NO_GRAPH,
        )
    return edge.EdgeConfig(
        vectors=vectors,
        sparse_vectors={"sparse": edge.EdgeSparseVectorParams()}
        if "sparse" in manifest.reps
        else {},
        optimizers=None if graph is None else _optimizers(manifest.dim, graph),
        wal_enabled=True,
    )


def _dense(dim: int, graph: Graph | None) -> edge.EdgeVectorParams:
    if graph is None:
        return edge.EdgeVectorParams(dim, edge.Distance.Dot)
    codes = edge.TurboQuantQuantizationConfig(
        bits=edge.TurboQuantBitSize.Bits4, memory=edge.Memory.Pinned
    )
    return edge.EdgeVectorParams(
        dim,
        edge.Distance.Dot,
        hnsw_config=edge.HnswIndexConfig(
            m=graph.m,
            ef_construct=graph.ef_construct,
            full_scan_threshold=min(_FULL_SCAN_KB, _kilobytes(dim, graph.min_documents)),
        ),
        quantization_config=codes if graph.quantize else None,
        memory=edge.Memory.Cold if graph.on_disk else edge.Memory.Cached,
    )


def _optimizers(dim: int, graph: Graph) -> edge.EdgeOptimizersConfig:
    return edge.EdgeOptimizersConfig(
        deleted_threshold=_DELETED,
        vacuum_min_vector_number=1,
        default_segment_number=1,
        indexing_threshold=_kilobytes(dim, graph.min_documents),
    )


def _kilobytes(dim: int, documents: int) -> int:
    return max(1, documents * dim * _NUMBER_BYTES // 1024)
