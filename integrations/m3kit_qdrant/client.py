"""`QdrantIndex`: one collection behind `qdrant-client`, on a server or in its local mode."""

from __future__ import annotations

from collections.abc import Collection

from grpc import RpcError, StatusCode
from qdrant_client import QdrantClient
from qdrant_client.http.exceptions import ResponseHandlingException

from m3kit.adapters.field_names import FieldNames
from m3kit.adapters.manifest import Manifest
from m3kit.adapters.storage import ColbertStorage
from m3kit.adapters.store import StoreIndex
from m3kit.index import Holding, IndexNotFoundError
from m3kit.vectors import REPS, Rep
from m3kit_qdrant.coding import coding
from m3kit_qdrant.collection import ClientEngine, Place
from m3kit_qdrant.options import QdrantOptions
from m3kit_qdrant.own import Own
from m3kit_qdrant.points import Points
from m3kit_qdrant.schema import adopted, keywords, left_alone, own_indexes, their_indexes
from m3kit_qdrant.theirs import Theirs


class QdrantIndex(StoreIndex):
    """
    An index in a collection; the client stays the caller's.

    A server answers exactly until it builds a graph of the dense vectors, beyond 20,000 KB of them
    (`indexing_threshold`). It is Qdrant 1.16 or newer, and 1.20 where a filter seeks a `Substring`;
    it holds fewer than 1,048,576 numbers of ColBERT vectors for one document, 1,023 tokens of 1,024
    numbers. Threads may share an index, in local mode one after the other.

    With `fields` it is a collection that others made. Its points are written as theirs are; a point
    that is replaced loses its other vectors, which told of another text. A document's id is the
    point's own, a UUID or a number, unless a field holds it. The text of LlamaIndex's store lies in
    `FieldNames(text="_node_content")`.

    Args:
        client: A connected client.
        collection: Its name, or an alias of it. A new one is made.
        dim: The width of the vectors. None opens only what exists.
        reps: What a new index holds; an existing one knows it.
        model: What makes the vectors, as `Encoder.model` says. A new index keeps it, an existing
            one is checked against it; of a collection that others made, it is believed.
        fields: What a collection that others made calls what an index needs.
        colbert: How a new index keeps ColBERT vectors, whole by default; an existing one knows it,
            and is checked against it. Local mode takes the room of float32 all the same.
        options: What a server is told beyond that.

    Raises:
        IndexNotFoundError: If there is none and no `dim`, others made the collection and no `fields` are
            given, or its schema cannot serve.
        ModelMismatchError: If it was made by another model, with another width, or keeps ColBERT
            otherwise.
        RepresentationError: If Qdrant cannot keep ColBERT vectors so (`binary`).
        ValueError: If an index is wanted of a kind that the payload has no field for.
        OSError: From `upsert`, with `errno.ENOSPC`: if local mode's disk is nearly full.
    """

    def __init__(
        self,
        client: QdrantClient,
        collection: str,
        *,
        dim: int | None = None,
        reps: Collection[Rep] = REPS,
        model: str | None = None,
        fields: FieldNames | None = None,
        colbert: ColbertStorage | None = None,
        options: QdrantOptions | None = None,
    ) -> None:
        place, wanted = Place(client, collection), options or QdrantOptions()
        what = f"the collection {collection!r}"
        points, self._left = (
            _own(place, dim=dim, reps=reps, model=model, colbert=colbert, options=wanted, what=what)
            if fields is None
            else _theirs(place, fields=fields, dim=dim, model=model, options=wanted, what=what)
        )
        points.manifest.check(dim, model, what, colbert=colbert)
        super().__init__(points)
        self._collection = collection

    def __repr__(self) -> str:
        left = f", leaves alone {', '.join(map(repr, self._left))}" if self._left else ""
        return f"{type(self).__name__}({self._collection!r}, {self._store.stamp}{left})"


class OpenedQdrantIndex(Holding, QdrantIndex):
    """A `QdrantIndex` that owns its client: what `open_directory` and `open_server` return."""


def unanswered(error: Exception) -> str | None:
    """Say why no server answered, by REST or by gRPC; None of any other error."""
    match error:
        case ResponseHandlingException():
            return str(error)
        case RpcError() if error.code() in {StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED}:
            return str(error.details())
        case _:
            return None


def _own(
    place: Place,
    *,
    dim: int | None,
    reps: Collection[Rep],
    model: str | None,
    colbert: ColbertStorage | None,
    options: QdrantOptions,
    what: str,
) -> tuple[Points, list[str]]:
    """Open or make a collection of m3kit's."""
    indexes = own_indexes(options)
    if colbert is not None:
        coding(colbert)
    info = place.info()
    if info is None:
        info = place.make(Manifest.new(dim, reps, model, what, colbert=colbert), options)
    kept = (info.config.metadata or {}).get("m3kit")
    if kept is None:
        raise IndexNotFoundError(
            f"{what} bears no manifest of m3kit's: others made it, or a server older than "
            "Qdrant 1.16, which keeps none; say what it calls its fields (FieldNames), give another "
            "name, or upgrade the server"
        )
    place.index(info.payload_schema, indexes)
    manifest = Manifest.from_json(kept, what)
    engine = ClientEngine(place, place.vectors(manifest), options.search)
    return Points(engine, Own(keywords(options)), manifest), []


def _theirs(
    place: Place,
    *,
    fields: FieldNames,
    dim: int | None,
    model: str | None,
    options: QdrantOptions,
    what: str,
) -> tuple[Points, list[str]]:
    """Open a collection that others made, and name the vectors that are left alone."""
    if (info := place.info()) is None:
        raise IndexNotFoundError(
            f"there is no index at {what}; FieldNames tell of one that others made"
        )
    manifest, vectors = adopted(info, fields, dim, model, what)
    layout = Theirs(fields)
    place.index(info.payload_schema, their_indexes(options, layout.path))
    engine = ClientEngine(place, vectors, options.search)
    return Points(engine, layout, manifest), left_alone(info, fields)
