"""A collection behind `qdrant-client`, as an `Engine`: on a server or in local mode."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from threading import RLock
from typing import Any

from qdrant_client import QdrantClient, models

from m3kit.adapters.manifest import Manifest
from m3kit.scoring import scores
from m3kit.vectors import Rep
from m3kit_qdrant.coding import AsIs
from m3kit_qdrant.directory import check_room
from m3kit_qdrant.engine import Ask, Found, Key, Point, Select, Stored
from m3kit_qdrant.filters import Condition
from m3kit_qdrant.options import Index, QdrantOptions
from m3kit_qdrant.schema import to_create
from m3kit_qdrant.vectors import Vectors

_LOCAL = RLock()
"""Local mode loses and doubles points when threads meet; it is slow enough for one lock."""

_K = 61
"""Qdrant counts ranks from 0, so this is the usual 60 of reciprocal rank fusion."""

_EXACT = models.SearchParams(exact=True, quantization=models.QuantizationSearchParams(ignore=True))


class Place:
    """
    Where a collection is, and what is asked of it before its vectors are known.

    Args:
        client: A connected client.
        name: The collection's name, or an alias of it.
    """

    def __init__(self, client: QdrantClient, name: str) -> None:
        self.client = client
        self.name = name
        path = client.init_options["path"]
        self.path = None if path is None else Path(path)
        self.is_local = path is not None or client.init_options["location"] == ":memory:"
        self.guard: AbstractContextManager[object] = _LOCAL if self.is_local else nullcontext()

    def info(self) -> models.CollectionInfo | None:
        """Describe the collection, if it is there."""
        with self.guard:
            return self.client.get_collection(self.name) if self._is_there() else None

    def vectors(self, manifest: Manifest) -> Vectors:
        """Tell how the vectors of m3kit's own lie there; local mode computes in float32 alone."""
        vectors = Vectors.of(manifest)
        return replace(vectors, colbert=AsIs()) if self.is_local else vectors

    def make(self, manifest: Manifest, options: QdrantOptions) -> models.CollectionInfo:
        """Make the collection, unless another worker does."""
        told = to_create(manifest, self.vectors(manifest), options)
        with self.guard:
            try:
                self.client.create_collection(self.name, **told)
            except Exception:
                if not self._is_there():
                    raise  # else another worker was faster, and its manifest is checked
            return self.client.get_collection(self.name)

    def index(self, there: Collection[str], wanted: Mapping[str, Index]) -> None:
        """Make the indexes of the payload that a server lacks."""
        for path, kind in wanted.items():
            if not self.is_local and path not in there:
                self.client.create_payload_index(self.name, path, kind, wait=True)

    def _is_there(self) -> bool:
        aliases = self.client.get_aliases
        return self.client.collection_exists(self.name) or any(
            one.alias_name == self.name for one in aliases().aliases
        )


class ClientEngine:
    """
    The engine behind a client.

    Args:
        place: Where the collection is.
        vectors: How its vectors lie in it.
        search: How dense vectors are searched.
    """

    def __init__(self, place: Place, vectors: Vectors, search: models.SearchParams | None) -> None:
        self._client = place.client
        self._name = place.name
        self._path = place.path
        self._guard = place.guard
        self._vectors = vectors
        self._search = None if place.is_local else search
        self._exact = None if place.is_local else _EXACT
        self.is_remote = not place.is_local
        self.colbert_limit = 2**20 if self.is_remote else None
        self.noise = 0.0 if self.is_remote else 1e-6

    def write(self, points: Sequence[Point], /) -> None:
        """See `Engine.write`."""
        if self._path is not None:
            check_room(self._path, sum(point.nbytes for point in points))
        written = [self._written(point) for point in points]
        with self._guard:
            self._client.upsert(self._name, written, wait=True)

    def query(self, asked: Sequence[Ask], /) -> Sequence[Sequence[Found]]:
        """See `Engine.query`."""
        if not self.is_remote:
            return [self._scored_here(ask) for ask in asked]
        told = [self._vectors.asked(ask, _sparse) for ask in asked]
        requests = [
            models.QueryRequest(
                prefetch=self._among(ask.among, ask.limit) if ask.among else None,
                query=vector,
                using=self._using(ask),
                filter=_filter(ask.where),
                limit=ask.limit,
                with_payload=ask.select,
                params=self._params(ask),
            )
            for ask, (vector, _) in zip(asked, told, strict=True)
        ]
        answers = self._client.query_batch_points(self._name, requests)
        return [
            [Found(_key(one.id), score(one.score), one.payload or {}) for one in answer.points]
            for answer, (_, score) in zip(answers, told, strict=True)
        ]

    def retrieve(
        self, keys: Sequence[Key], reps: Collection[Rep], select: Select, /
    ) -> Sequence[Stored]:
        """See `Engine.retrieve`."""
        with self._guard:
            records = self._client.retrieve(
                self._name, [*keys], with_payload=select, with_vectors=self._vectors.wanted(reps)
            )
        return [self._stored(one, reps) for one in records]

    def scroll(
        self, where: Condition | None, reps: Collection[Rep], start: Any, limit: int, /
    ) -> tuple[Sequence[Stored], Any]:
        """See `Engine.scroll`."""
        with self._guard:
            records, following = self._client.scroll(
                self._name,
                scroll_filter=_filter(where),
                offset=start,
                limit=limit,
                with_payload=True,
                with_vectors=self._vectors.wanted(reps),
            )
        return [self._stored(one, reps) for one in records], following

    def delete(self, where: Condition, /) -> None:
        """See `Engine.delete`."""
        with self._guard:
            self._client.delete(self._name, models.FilterSelector(filter=_must(where)), wait=True)

    def count(self, where: Condition | None, /) -> int:
        """See `Engine.count`."""
        with self._guard:
            return self._client.count(self._name, _filter(where), exact=True).count

    def flush(self) -> None:
        """Do nothing: each write waits until it is done."""

    def _scored_here(self, ask: Ask) -> list[Found]:
        """
        Let local mode find points, and score them as `MemoryIndex` would.

        Local mode's own scores differ in the last bit between equal vectors, so ties would be lost.
        """
        vector, _ = self._vectors.asked(ask, _sparse)
        with self._guard:
            answer = self._client.query_points(
                self._name,
                query=vector,
                using=self._using(ask),
                query_filter=_filter(ask.where),
                limit=ask.limit,
                with_payload=ask.select,
                with_vectors=self._vectors.wanted([ask.rep]),
            )
        outputs = [self._vectors.read(one.vector, [ask.rep]) for one in answer.points]
        own = scores(ask.rep, ask.query, outputs).tolist()
        return [
            Found(_key(one.id), score, one.payload or {})
            for one, score in zip(answer.points, own, strict=True)
        ]

    def _among(self, branches: Sequence[Ask], limit: int) -> models.Prefetch:
        """Fuse branches, so that no more is rescored than the fusion keeps."""
        prefetch = [
            models.Prefetch(
                query=self._vectors.asked(ask, _sparse)[0],
                using=self._using(ask),
                filter=_filter(ask.where),
                limit=ask.limit,
                params=self._params(ask),
            )
            for ask in branches
        ]
        fused = models.RrfQuery(rrf=models.Rrf(k=_K))
        return models.Prefetch(prefetch=prefetch, query=fused, limit=limit)

    def _using(self, ask: Ask) -> str | None:
        return self._vectors.names[ask.rep] or None

    def _params(self, ask: Ask) -> models.SearchParams | None:
        if ask.exact or ask.among:
            return self._exact
        return self._search if ask.rep == "dense" else None

    def _written(self, point: Point) -> models.PointStruct:
        vectors = self._vectors.written(point.output, _sparse)
        return models.PointStruct(id=point.key, vector=vectors, payload=point.payload)

    def _stored(self, record: models.Record, reps: Collection[Rep]) -> Stored:
        output = self._vectors.read(record.vector, reps)
        return Stored(_key(record.id), record.payload or {}, output)


def _sparse(indices: list[int], values: list[float]) -> models.SparseVector:
    return models.SparseVector(indices=indices, values=values)


def _filter(where: Condition | None) -> models.Filter | None:
    return None if where is None else _must(where)


def _must(where: Condition) -> models.Filter:
    return models.Filter.model_validate({"must": [where]})


def _key(id_: object) -> Key:
    """Spell a key as all engines do; by gRPC a client gives UUIDs in their own class."""
    return id_ if isinstance(id_, int) else str(id_)
