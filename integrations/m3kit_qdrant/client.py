"""`QdrantIndex`: one collection behind `qdrant-client`, on a server or in its local mode."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from threading import RLock
from typing import Any

from grpc import RpcError, StatusCode  # type: ignore[import-untyped]  # it ships no types
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException

from m3kit.fusion import Ranking, by_score
from m3kit.index import Closing, NoIndexError
from m3kit.scoring import scores
from m3kit.stamp import Stamp
from m3kit.store import StoreIndex
from m3kit.vectors import REPS, Rep
from m3kit_qdrant.directory import check_room
from m3kit_qdrant.engine import (
    Ask,
    Point,
    Stored,
    to_output,
    to_ranking,
    to_vector,
    to_vectors,
)
from m3kit_qdrant.filters import Condition
from m3kit_qdrant.points import Points

_LOCAL = RLock()
"""Local mode loses and doubles points when threads meet; it is slow enough for one lock."""


class QdrantIndex(StoreIndex):
    """
    An index in a collection; the client stays the caller's.

    A server answers exactly until it builds a graph of the dense vectors, beyond 20,000 KB of them
    (`indexing_threshold`). It is Qdrant 1.16 or newer, and 1.20 where a filter seeks a `Substring`;
    it holds fewer than 1,048,576 numbers of ColBERT vectors for one document, 1,023 tokens of 1,024
    numbers. Threads may share an index, in local mode one after the other.

    Args:
        client: A connected client.
        collection: Its name. A new one is made.
        dim: The width of the vectors. None opens only what exists.
        reps: What a new index holds; an existing one knows it.
        model: What makes the vectors, as `Encoder.model` says. A new index keeps it, an existing
            one is checked against it.

    Raises:
        NoIndexError: If there is none and no `dim`, or others made the collection.
        ModelMismatchError: If it was made by another model or with another width.
        OSError: From `upsert`, with `errno.ENOSPC`: if local mode's disk is nearly full.
    """

    def __init__(
        self,
        client: QdrantClient,
        collection: str,
        *,
        dim: int | None,
        reps: Collection[Rep] = REPS,
        model: str | None = None,
    ) -> None:
        what = f"the collection {collection!r}"
        engine = _Collection(client, collection)
        stamp = engine.stamped(lambda: Stamp.new(dim, reps, model, what), what)
        stamp.check(dim, model, what)
        super().__init__(Points(engine, stamp))
        self._collection = collection

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._collection!r}, {self._store.stamp})"


class OpenedQdrantIndex(QdrantIndex, Closing):
    """
    A `QdrantIndex` that owns its client: what `open_directory` and `open_server` return.

    Args:
        client: As in `QdrantIndex`.
        collection: As in `QdrantIndex`.
        dim: As in `QdrantIndex`.
        reps: As in `QdrantIndex`.
        model: As in `QdrantIndex`.
        held: What `close` lets go of; it passes to the index once that is open.
    """

    def __init__(
        self,
        client: QdrantClient,
        collection: str,
        *,
        dim: int | None,
        reps: Collection[Rep],
        model: str | None,
        held: ExitStack,
    ) -> None:
        super().__init__(client, collection, dim=dim, reps=reps, model=model)
        self._held = held.pop_all()

    def close(self) -> None:
        """Let go of the client and of what it stands on; a second call does nothing."""
        self._held.close()


def unanswered(error: Exception) -> str | None:
    """Say why no server answered, by REST or by gRPC; None of any other error."""
    match error:
        case ResponseHandlingException():
            return str(error)
        case RpcError() if error.code() in {StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED}:
            return str(error.details())
        case _:
            return None


class _Collection:
    """A collection, whichever way the client reaches it."""

    def __init__(self, client: QdrantClient, collection: str) -> None:
        self._client = client
        self._name = collection
        path = client.init_options["path"]
        self._path = None if path is None else Path(path)
        self._local = path is not None or client.init_options["location"] == ":memory:"
        self._guard: AbstractContextManager[object] = _LOCAL if self._local else nullcontext()
        self.colbert_limit = None if self._local else 2**20

    def stamped(self, new: Callable[[], Stamp], what: str) -> Stamp:
        """Read the collection's stamp, making it if there is none."""
        with self._guard:
            if not self._client.collection_exists(self._name):
                self._make(new())
            info = self._client.get_collection(self._name)
            if not self._local and "terms" not in info.payload_schema:
                keyword = models.PayloadSchemaType.KEYWORD
                self._client.create_payload_index(self._name, "terms", keyword, wait=True)
        kept = (info.config.metadata or {}).get("m3kit")
        if kept is None:
            raise NoIndexError(
                f"{what} bears no stamp of m3kit's: others made it, or a server older than "
                "Qdrant 1.16, which keeps none; give another name, or upgrade the server"
            )
        return Stamp.from_json(kept, what)

    def write(self, points: Sequence[Point], /) -> None:
        if self._path is not None:
            check_room(self._path, sum(point.nbytes for point in points))
        with self._guard:
            self._client.upsert(self._name, [_point(point) for point in points], wait=True)

    def query(self, asked: Sequence[Ask], /) -> Sequence[Ranking]:
        requests = [
            models.QueryRequest(
                query=to_vector(ask, _sparse),
                using=ask.rep,
                filter=_filter(ask.where),
                limit=ask.limit,
                with_payload=["id"],
                with_vector=[ask.rep] if self._local else False,
                params=models.SearchParams(exact=True) if ask.exact and not self._local else None,
            )
            for ask in asked
        ]
        with self._guard:
            answers = self._client.query_batch_points(self._name, requests)
        read = _rescored if self._local else to_ranking
        return [read(one.points, ask) for one, ask in zip(answers, asked, strict=True)]

    def retrieve(self, ids: Sequence[str], reps: Collection[Rep], /) -> Sequence[Stored]:
        with self._guard:
            return self._client.retrieve(
                self._name, list(ids), with_payload=True, with_vectors=_wanted(reps)
            )

    def scroll(
        self, where: Condition | None, reps: Collection[Rep], start: Any, limit: int, /
    ) -> tuple[Sequence[Stored], Any]:
        with self._guard:
            return self._client.scroll(
                self._name,
                scroll_filter=_filter(where),
                offset=start,
                limit=limit,
                with_payload=True,
                with_vectors=_wanted(reps),
            )

    def delete(self, where: Condition, /) -> None:
        with self._guard:
            self._client.delete(self._name, models.FilterSelector(filter=_must(where)), wait=True)

    def count(self, where: Condition | None, /) -> int:
        with self._guard:
            return self._client.count(self._name, _filter(where), exact=True).count

    def flush(self) -> None:
        """Do nothing: each write waits until it is done."""

    def _make(self, stamp: Stamp) -> None:
        try:
            self._client.create_collection(
                self._name,
                vectors_config=_vectors(stamp),
                sparse_vectors_config=_sparse_vectors(stamp),
                metadata={"m3kit": stamp.to_json()},
            )
        except Exception:
            if not self._client.collection_exists(self._name):
                raise  # else another worker was faster, and its stamp is checked


def _vectors(stamp: Stamp) -> dict[str, models.VectorParams]:
    dense = models.VectorParams(size=stamp.dim, distance=models.Distance.DOT)
    colbert = models.VectorParams(
        size=stamp.dim,
        distance=models.Distance.DOT,
        multivector_config=models.MultiVectorConfig(
            comparator=models.MultiVectorComparator.MAX_SIM
        ),
        hnsw_config=models.HnswConfigDiff(m=0),
    )
    vectors = {"dense": dense, "colbert": colbert}
    return {rep: params for rep, params in vectors.items() if rep in stamp.reps}


def _sparse_vectors(stamp: Stamp) -> dict[str, models.SparseVectorParams]:
    return {"sparse": models.SparseVectorParams()} if "sparse" in stamp.reps else {}


def _sparse(indices: list[int], values: list[float]) -> models.SparseVector:
    return models.SparseVector(indices=indices, values=values)


def _point(point: Point) -> models.PointStruct:
    return models.PointStruct(
        id=point.id, vector=to_vectors(point.output, _sparse), payload=point.payload
    )


def _wanted(reps: Collection[Rep]) -> list[str] | bool:
    return list(reps) or False


def _filter(where: Condition | None) -> models.Filter | None:
    return None if where is None else _must(where)


def _must(where: Condition) -> models.Filter:
    return models.Filter.model_validate({"must": [where]})


def _rescored(points: Sequence[models.ScoredPoint], ask: Ask) -> Ranking:
    """
    Score what local mode found as `MemoryIndex` would.

    Local mode's own scores differ in the last bit between equal vectors, so ties would be lost.
    """
    ids = [(point.payload or {})["id"] for point in points]
    outputs = [to_output(_named(point.vector), [ask.rep]) for point in points]
    return by_score(zip(ids, scores(ask.rep, ask.query, outputs).tolist(), strict=True))


def _named(vectors: Any) -> dict[str, Any]:
    return dict(vectors)
