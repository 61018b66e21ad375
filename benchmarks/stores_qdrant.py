"""Qdrant's rows of `stores.py`: Edge, local mode, and a server where there is one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import qdrant_edge as edge
from benchmarks.stores import (
    CANDIDATES,
    DIM,
    Contender,
    Corpus,
    Engines,
    K,
    M3kit,
    check_rrf,
)
from langchain_core.embeddings import Embeddings
from langchain_qdrant import QdrantVectorStore, RetrievalMode, SparseEmbeddings, SparseVector
from qdrant_client import QdrantClient, models

from m3kit import REPS, Fusion, M3Output, Rep, WeightedSum
from m3kit.scoring import require
from m3kit_qdrant import EdgeIndex, QdrantIndex

Make: TypeAlias = Callable[[], QdrantClient]
_URL = os.environ.get("M3KIT_QDRANT_URL", "")


@contextmanager
def our_edge(folder: Path, reps: tuple[Rep, ...]) -> Iterator[Contender]:
    """Open m3kit's index on Edge."""
    with EdgeIndex(folder, dim=DIM, reps=reps) as index:
        yield M3kit(index)


@contextmanager
def our_client(_: Path, reps: tuple[Rep, ...], *, make: Make) -> Iterator[Contender]:
    """Open m3kit's index behind a client."""
    name = uuid4().hex
    with closing(make()) as client:
        yield M3kit(QdrantIndex(client, name, dim=DIM, reps=reps))
        client.delete_collection(name)


@dataclass(frozen=True, slots=True)
class RawEdge:
    """Edge's own binding."""

    shard: edge.EdgeShard

    def insert(self, batch: Corpus) -> None:
        """Write a batch."""
        points = [
            edge.Point(int(document.id), _vectors(output, edge.SparseVector), _payload(document))
            for document, output in zip(batch.documents, batch.outputs, strict=True)
        ]
        self.shard.update(edge.UpdateOperation.upsert_points(points))

    def finish(self) -> None:
        """Flush."""
        self.shard.flush()

    def search(self, query: M3Output, fusion: Fusion) -> list[str]:
        """Ask for everything in one request; the weighted sum takes three."""
        vectors = _vectors(query, edge.SparseVector)
        nearest = {
            rep: edge.Query.Nearest(vectors[rep], using=rep) for rep in REPS if rep in vectors
        }
        if len(nearest) > 1 and isinstance(fusion, WeightedSum):
            return self._weighted(nearest, fusion)
        branches = [
            edge.Prefetch(limit=CANDIDATES, query=nearest[name])
            for name in ("dense", "sparse")
            if name in nearest
        ]
        if len(nearest) == 1:
            ((_, last),) = nearest.items()
            request = edge.QueryRequest(limit=K, query=last, with_payload=True)
        elif "colbert" in nearest:
            fused = edge.Prefetch(limit=CANDIDATES, prefetches=branches, query=_rrf())
            request = edge.QueryRequest(
                limit=K, prefetches=[fused], query=nearest["colbert"], with_payload=True
            )
        else:
            request = edge.QueryRequest(
                limit=K, prefetches=branches, query=_rrf(), with_payload=True
            )
        return [str(key) for key, _ in _read(self.shard.query(request))]

    def _weighted(self, nearest: dict[Rep, edge.Query], fusion: WeightedSum) -> list[str]:
        """Score what the branches find on every representation by hand, and read the best."""
        branches = [rep for rep in ("dense", "sparse") if rep in nearest]
        scores = dict(zip(branches, self._scores(nearest, dict.fromkeys(branches)), strict=True))
        union = set().union(*scores.values())
        missing = {rep: union - scores.get(rep, {}).keys() for rep in nearest}
        for rep, completed in zip(missing, self._scores(nearest, missing), strict=True):
            scores[rep] = dict.fromkeys(union, 0.0) | scores.get(rep, {}) | completed
        fused = {
            key: fusion.score({rep: by_key[key] for rep, by_key in scores.items()}) for key in union
        }
        best = sorted(fused, key=lambda key: -fused[key])[:K]
        return [
            str(key)
            for key, _ in _read(self.shard.retrieve(best, with_payload=True, with_vector=False))
        ]

    def _scores(
        self, nearest: dict[Rep, edge.Query], keys: Mapping[Rep, set[Any] | None]
    ) -> list[dict[Any, float]]:
        """Score the nearest points of each representation, or those of given keys."""
        requests = [
            edge.QueryRequest(
                limit=CANDIDATES if among is None else len(among),
                query=nearest[rep],
                filter=None if among is None else edge.Filter(must=[edge.HasIdCondition(among)]),
            )
            for rep, among in keys.items()
        ]
        answers = self.shard.query_batch(edge.QueryBatchRequest(requests))
        return [{point.id: point.score for point in points} for points in answers]


def _read(points: Iterable[Any]) -> list[tuple[Any, Any]]:
    """Read the payloads, which the binding converts when they are asked for."""
    return [(point.id, point.payload) for point in points]


@contextmanager
def raw_edge(folder: Path, reps: tuple[Rep, ...]) -> Iterator[Contender]:
    """Open Edge by its own binding, with the vectors that m3kit gives it."""
    folder.mkdir(parents=True)
    dense = edge.EdgeVectorParams(DIM, edge.Distance.Dot)
    colbert = edge.EdgeVectorParams(
        DIM,
        edge.Distance.Dot,
        multivector_config=edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim),
        hnsw_config=edge.HnswIndexConfig(m=0, ef_construct=100, full_scan_threshold=10_000),
    )
    vectors = {"dense": dense, "colbert": colbert}
    config = edge.EdgeConfig(
        vectors={rep: params for rep, params in vectors.items() if rep in reps},
        sparse_vectors={"sparse": edge.EdgeSparseVectorParams()},
        wal_enabled=True,  # so that what is written outlives the process, as it does of an index
    )
    shard = edge.EdgeShard.create(str(folder), config)
    yield RawEdge(shard)
    shard.close()


@dataclass(frozen=True, slots=True)
class RawClient:
    """`qdrant-client` itself."""

    client: QdrantClient
    name: str

    def insert(self, batch: Corpus) -> None:
        """Write a batch."""
        points = [
            models.PointStruct(
                id=int(document.id), vector=_vectors(output, _sparse), payload=_payload(document)
            )
            for document, output in zip(batch.documents, batch.outputs, strict=True)
        ]
        self.client.upsert(self.name, points, wait=True)

    def finish(self) -> None:
        """Do nothing: each batch has waited."""

    def search(self, query: M3Output, fusion: Fusion) -> list[str]:
        """Ask for everything in one request."""
        check_rrf(query, fusion)
        vectors = _vectors(query, _sparse)
        branches = [
            models.Prefetch(query=vectors[name], using=name, limit=CANDIDATES)
            for name in ("dense", "sparse")
            if name in vectors
        ]
        rrf = models.RrfQuery(rrf=models.Rrf(k=61))
        if len(vectors) == 1:
            ((name, vector),) = vectors.items()
            parameters: dict[str, Any] = {"query": vector, "using": name}
        elif "colbert" in vectors:
            fused = models.Prefetch(prefetch=branches, query=rrf, limit=CANDIDATES)
            parameters = {"prefetch": fused, "query": vectors["colbert"], "using": "colbert"}
        else:
            parameters = {"prefetch": branches, "query": rrf}
        answer = self.client.query_points(self.name, limit=K, with_payload=True, **parameters)
        return [str(point.id) for point in answer.points]


@contextmanager
def raw_client(_: Path, reps: tuple[Rep, ...], *, make: Make) -> Iterator[Contender]:
    """Make a collection by the client alone."""
    name = uuid4().hex
    dense = models.VectorParams(size=DIM, distance=models.Distance.DOT)
    colbert = models.VectorParams(
        size=DIM,
        distance=models.Distance.DOT,
        multivector_config=models.MultiVectorConfig(
            comparator=models.MultiVectorComparator.MAX_SIM
        ),
        hnsw_config=models.HnswConfigDiff(m=0),
    )
    vectors = {"dense": dense, "colbert": colbert}
    with closing(make()) as client:
        client.create_collection(
            name,
            vectors_config={rep: params for rep, params in vectors.items() if rep in reps},
            sparse_vectors_config={"sparse": models.SparseVectorParams()},
        )
        yield RawClient(client, name)
        client.delete_collection(name)


class _Known(Embeddings):
    """Vectors that are known already, in LangChain's words."""

    def __init__(self) -> None:
        self.outputs: dict[str, M3Output] = {}

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        vector: list[float] = require(self.outputs[text].dense, "dense").tolist()
        return vector


class _KnownSparse(SparseEmbeddings):
    def __init__(self, known: _Known) -> None:
        self.known = known

    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> SparseVector:
        sparse = require(self.known.outputs[text].sparse, "sparse")
        return SparseVector(indices=sparse.ids.tolist(), values=sparse.weights.tolist())


@dataclass(frozen=True, slots=True)
class LangChain:
    """LangChain's own store, over vectors that are known already."""

    store: QdrantVectorStore
    known: _Known

    def insert(self, batch: Corpus) -> None:
        """Write a batch."""
        texts = [document.text for document in batch.documents]
        self.known.outputs.update(zip(texts, batch.outputs, strict=True))
        self.store.add_texts(
            texts,
            [dict(document.metadata) for document in batch.documents],
            ids=[int(document.id) for document in batch.documents],
            batch_size=len(texts),
        )

    def finish(self) -> None:
        """Do nothing: each batch has waited."""

    def search(self, query: M3Output, fusion: Fusion) -> list[str]:
        """Search in the mode that is the query's."""
        check_rrf(query, fusion)
        modes = {
            frozenset({"dense"}): RetrievalMode.DENSE,
            frozenset({"sparse"}): RetrievalMode.SPARSE,
            frozenset({"dense", "sparse"}): RetrievalMode.HYBRID,
        }
        self.store.retrieval_mode = modes[query.reps]
        self.known.outputs["query"] = query
        return [document.metadata["_id"] for document in self.store.similarity_search("query", k=K)]


@contextmanager
def langchain(_: Path, reps: tuple[Rep, ...], *, make: Make) -> Iterator[Contender]:  # noqa: ARG001  # no ColBERT
    """Make a collection by LangChain's store."""
    name, known = uuid4().hex, _Known()
    with closing(make()) as client:
        client.create_collection(
            name,
            vectors_config={"dense": models.VectorParams(size=DIM, distance=models.Distance.DOT)},
            sparse_vectors_config={"sparse": models.SparseVectorParams()},
        )
        store = QdrantVectorStore(
            client,
            name,
            embedding=known,
            sparse_embedding=_KnownSparse(known),
            retrieval_mode=RetrievalMode.HYBRID,
            vector_name="dense",
            sparse_vector_name="sparse",
            distance=models.Distance.DOT,
            validate_embeddings=False,
            validate_collection_config=False,
        )
        yield LangChain(store, known)
        client.delete_collection(name)


def _vectors(output: M3Output, sparse: Callable[[list[int], list[float]], Any]) -> dict[str, Any]:
    vectors: dict[str, Any] = {}
    if output.dense is not None:
        vectors["dense"] = output.dense.tolist()
    if output.sparse is not None:
        vectors["sparse"] = sparse(output.sparse.ids.tolist(), output.sparse.weights.tolist())
    if output.colbert is not None:
        vectors["colbert"] = output.colbert.tolist()
    return vectors


def _rrf() -> Any:
    return edge.Fusion.Rrf(k=61)  # whose stub calls it no query


def _sparse(indices: list[int], values: list[float]) -> models.SparseVector:
    return models.SparseVector(indices=indices, values=values)


def _payload(document: Any) -> dict[str, Any]:
    return {"page_content": document.text, "metadata": dict(document.metadata)}


def _client_rows(make: Make) -> dict[str, Any]:
    return {
        "m3kit": partial(our_client, make=make),
        "client": partial(raw_client, make=make),
        "langchain-qdrant": partial(langchain, make=make),
    }


ENGINES: Engines = {
    "Qdrant Edge": {"m3kit": our_edge, "client": raw_edge},
    "Qdrant local": _client_rows(lambda: QdrantClient(":memory:")),
}
if _URL:
    ENGINES |= {
        f"Qdrant server, {way}": _client_rows(
            partial(QdrantClient, _URL, prefer_grpc=way == "gRPC", timeout=60)
        )
        for way in ("REST", "gRPC")
    }
