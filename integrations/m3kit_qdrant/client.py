"""A collection behind `qdrant-client`, as an `Engine`: on a server or in local mode."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from threading import RLock
from time import sleep
from typing import Any

from grpc import Call, RpcError, StatusCode
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from m3kit.adapters.forks import check_process
from m3kit.scoring import scores
from m3kit.vectors import Rep
from m3kit_qdrant.directory import check_room
from m3kit_qdrant.engine import Answer, Condition, Key, Point, Selection, StoredPoint, VectorQuery
from m3kit_qdrant.vectors import Vectors

_LOCAL_LOCK = RLock()
"""Local mode loses and doubles points when threads meet; it is slow enough for one lock."""

_RRF_K = 61
"""Qdrant counts ranks from 0, so this is the usual 60 of reciprocal rank fusion."""

_EXACT = models.SearchParams(exact=True, quantization=models.QuantizationSearchParams(ignore=True))

_POLL_S = 0.5

_AWAY = {StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED}
_BUSY = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
"""What a server answers that may take the same request later."""

_WITH_SUBSTRING = (1, 20)
"""The first version of the server that has the condition."""


class CollectionAdmin:
    """
    What is asked of a collection before its vectors are known.

    Args:
        client: A connected client.
        name: The collection's name, or an alias of it.

    Raises:
        RuntimeError: From every method, and those of the engine, if this process was forked since.
    """

    def __init__(self, client: QdrantClient, name: str) -> None:
        self._client = client
        self._pid = os.getpid()
        self.name = name
        path = client.init_options["path"]
        self.path = None if path is None else Path(path)
        self.is_local = path is not None or client.init_options["location"] == ":memory:"
        self.lock: AbstractContextManager[object] = _LOCAL_LOCK if self.is_local else nullcontext()

    @property
    def client(self) -> QdrantClient:
        """The client; a forked process may use one of local mode in memory alone."""
        if not self.is_local or self.path is not None:
            check_process(self._pid, f"the collection {self.name!r}")
        return self._client

    def info(self) -> models.CollectionInfo | None:
        """Describe the collection, if it exists."""
        with self.lock:
            return self.client.get_collection(self.name) if self._exists() else None

    def create(self, arguments: Mapping[str, Any]) -> models.CollectionInfo:
        """Create the collection, unless another worker does."""
        with self.lock:
            try:
                self.client.create_collection(self.name, **arguments)
            except Exception:
                if not self._exists():
                    raise  # else another worker was faster, and its manifest is checked
            return self.client.get_collection(self.name)

    def create_payload_indexes(
        self, existing: Collection[str], wanted: Mapping[str, models.PayloadFieldSchema]
    ) -> None:
        """Create the payload indexes that a server lacks."""
        for path, index in wanted.items():
            if not self.is_local and path not in existing:
                self.client.create_payload_index(self.name, path, index, wait=True)

    def optimize(self) -> None:
        """
        Start a server's optimizations, such as were pending, and wait until none is left.

        Raises:
            RuntimeError: If one fails.
        """
        self.client.update_collection(self.name, optimizers_config=models.OptimizersConfigDiff())
        while True:
            info = self.client.get_collection(self.name)
            if info.status == models.CollectionStatus.GREEN:
                return
            if info.status == models.CollectionStatus.RED:
                raise RuntimeError(
                    f"Qdrant could not optimize {self.name!r}: {info.optimizer_status}"
                )
            sleep(_POLL_S)

    def switch_alias(self, alias: str) -> None:
        """Have an alias stand for the collection, in one request."""
        with self.lock:
            existing = {entry.alias_name for entry in self.client.get_aliases().aliases}
            delete = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))
            create = models.CreateAliasOperation(
                create_alias=models.CreateAlias(collection_name=self.name, alias_name=alias)
            )
            self.client.update_collection_aliases(
                [delete, create] if alias in existing else [create]
            )

    def payloads(self, limit: int) -> list[Mapping[str, Any]]:
        """Read the payloads of a few points."""
        with self.lock:
            records, _ = self.client.scroll(self.name, limit=limit)
        return [record.payload or {} for record in records]

    def _exists(self) -> bool:
        return self.client.collection_exists(self.name) or any(
            alias.alias_name == self.name for alias in self.client.get_aliases().aliases
        )


class ClientEngine:
    """
    The engine behind a client.

    Args:
        collection: The collection.
        vectors: How its vectors lie in it.
        search_params: How dense vectors are searched.
    """

    def __init__(
        self,
        collection: CollectionAdmin,
        vectors: Vectors,
        search_params: models.SearchParams | None,
    ) -> None:
        self._collection = collection
        self._name = collection.name
        self._path = collection.path
        self._lock = collection.lock
        self._vectors = vectors
        self._search_params = None if collection.is_local else search_params
        self._exact = None if collection.is_local else _EXACT
        self.is_remote = not collection.is_local
        self.colbert_limit = 2**20 if self.is_remote else None
        self.score_error = 0.0 if self.is_remote else 1e-6

    @cached_property
    def has_substring(self) -> bool:
        """See `Engine.has_substring`; a server that hides its version has not."""
        if not self.is_remote:
            return True
        try:
            numbers = self._collection.client.info().version.split("-")[0].split(".")[:2]
            return tuple(map(int, numbers)) >= _WITH_SUBSTRING
        except Exception as error:
            if unanswered(error) is not None:
                raise
            return False

    def prepare_filter(self, where: Condition, /) -> None:
        """Do nothing: the indexes of a server are chosen by `QdrantOptions`."""

    def write(self, points: Sequence[Point], /) -> None:
        """See `Engine.write`."""
        if self._path is not None:
            check_room(self._path, sum(point.nbytes for point in points))
        structs = [
            models.PointStruct(
                id=point.key,
                vector=self._vectors.to_point(point.output, _sparse),
                payload=point.payload,
            )
            for point in points
        ]
        with self._lock:
            self._collection.client.upsert(self._name, structs, wait=True)

    def query(self, queries: Sequence[VectorQuery], /) -> Sequence[Answer]:
        """See `Engine.query`."""
        if not self.is_remote:
            return [self._query_locally(query) for query in queries]
        vectors = [self._vectors.to_query(query, _sparse) for query in queries]
        requests = [
            models.QueryRequest(
                prefetch=self._fused(query.among, query.limit) if query.among else None,
                query=vector,
                using=self._using(query),
                filter=_filter(query.where),
                limit=query.limit,
                with_payload=query.select,
                params=self._params(query),
            )
            for query, (vector, _) in zip(queries, vectors, strict=True)
        ]
        answers = self._collection.client.query_batch_points(self._name, requests)
        return [
            Answer.scored(answer.points, to_score, query.select)
            for query, answer, (_, to_score) in zip(queries, answers, vectors, strict=True)
        ]

    def retrieve(
        self, keys: Sequence[Key], reps: Collection[Rep], select: Selection, /
    ) -> Sequence[StoredPoint]:
        """See `Engine.retrieve`."""
        with self._lock:
            records = self._collection.client.retrieve(
                self._name, [*keys], with_payload=select, with_vectors=self._vectors.selection(reps)
            )
        return [self._vectors.stored(record, reps) for record in records]

    def scroll(
        self, where: Condition | None, reps: Collection[Rep], start: Any, limit: int, /
    ) -> tuple[Sequence[StoredPoint], Any]:
        """See `Engine.scroll`."""
        with self._lock:
            records, following = self._collection.client.scroll(
                self._name,
                scroll_filter=_filter(where),
                offset=start,
                limit=limit,
                with_payload=True,
                with_vectors=self._vectors.selection(reps),
            )
        return [self._vectors.stored(record, reps) for record in records], following

    def delete(self, where: Condition, /) -> None:
        """See `Engine.delete`."""
        selector = models.FilterSelector(filter=_must(where))
        with self._lock:
            self._collection.client.delete(self._name, selector, wait=True)

    def count(self, where: Condition | None, /) -> int:
        """See `Engine.count`."""
        with self._lock:
            return self._collection.client.count(self._name, _filter(where), exact=True).count

    def flush(self) -> None:
        """Do nothing: each write waits until it is done."""

    def is_transient(self, error: Exception, /) -> bool:
        """See `Engine.is_transient`."""
        if isinstance(error, UnexpectedResponse):
            return error.status_code in _BUSY
        if isinstance(error, RpcError) and isinstance(error, Call):
            return error.code() in {*_AWAY, StatusCode.RESOURCE_EXHAUSTED}
        busy = (ResourceExhaustedResponse, ConnectionError, TimeoutError)
        return unanswered(error) is not None or isinstance(error, busy)

    def _query_locally(self, query: VectorQuery) -> Answer:
        """
        Let local mode find points, and score them as `MemoryIndex` would.

        Local mode's own scores differ in the last bit between equal vectors, so ties would be lost.
        """
        vector, _ = self._vectors.to_query(query, _sparse)
        with self._lock:
            answer = self._collection.client.query_points(
                self._name,
                query=vector,
                using=self._using(query),
                query_filter=_filter(query.where),
                limit=query.limit,
                with_payload=query.select,
                with_vectors=self._vectors.selection([query.rep]),
            )
        outputs = [self._vectors.from_point(point.vector, [query.rep]) for point in answer.points]
        exact = scores(query.rep, query.query, outputs).tolist()
        return Answer.of(answer.points, exact, query.select)

    def _fused(self, branches: Sequence[VectorQuery], limit: int) -> models.Prefetch:
        """Fuse branches, so that no more is rescored than the fusion returns."""
        prefetch = [
            models.Prefetch(
                query=self._vectors.to_query(query, _sparse)[0],
                using=self._using(query),
                filter=_filter(query.where),
                limit=query.limit,
                params=self._params(query),
            )
            for query in branches
        ]
        fusion = models.RrfQuery(rrf=models.Rrf(k=_RRF_K))
        return models.Prefetch(prefetch=prefetch, query=fusion, limit=limit)

    def _using(self, query: VectorQuery) -> str | None:
        return self._vectors.names[query.rep] or None

    def _params(self, query: VectorQuery) -> models.SearchParams | None:
        if query.exact or query.among:
            return self._exact
        return self._search_params if query.rep == "dense" else None


def unanswered(error: Exception) -> str | None:
    """Return why no server answered, by REST or by gRPC; None of any other error."""
    match error:
        case ResponseHandlingException():
            return str(error)
        case RpcError() if error.code() in _AWAY:
            return str(error.details())
        case _:
            return None


def _sparse(indices: list[int], values: list[float]) -> models.SparseVector:
    return models.SparseVector(indices=indices, values=values)


def _filter(where: Condition | None) -> models.Filter | None:
    return None if where is None else _must(where)


def _must(where: Condition) -> models.Filter:
    return models.Filter.model_validate({"must": [where]})
