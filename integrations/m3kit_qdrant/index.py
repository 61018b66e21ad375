"""`QdrantIndex`: one collection behind `qdrant-client`, on a server or in its local mode."""

from __future__ import annotations

from collections.abc import Collection

from qdrant_client import QdrantClient

from m3kit.adapters.closing import OwnsResources
from m3kit.adapters.field_names import FieldNames
from m3kit.adapters.manifest import IndexRequest
from m3kit.adapters.storage import ColbertStorage
from m3kit.adapters.store import StoreIndex
from m3kit.encoder import Encoder
from m3kit.index import UnsupportedError
from m3kit.optimization import Graph, Optimization
from m3kit.vectors import Rep
from m3kit_qdrant.client import ClientEngine, CollectionAdmin
from m3kit_qdrant.engine import Condition
from m3kit_qdrant.layout import M3KIT, Layout
from m3kit_qdrant.options import QdrantOptions
from m3kit_qdrant.provision import adopt, graph_problem, open_or_create, unused_vectors
from m3kit_qdrant.store import QdrantStore


class QdrantIndex(StoreIndex[Condition]):
    """
    An index in a collection; the client stays the caller's.

    A server answers exactly until it builds a graph of the dense vectors, beyond 20,000 KB of them
    (`indexing_threshold`). It is Qdrant 1.16 or newer, and stores fewer than 1,048,576 numbers of
    ColBERT vectors for one document, 1,023 tokens of 1,024 numbers. Threads may share an index, in
    local mode one after the other.

    The points are ordinary ones (`m3kit_qdrant.layout`): Qdrant's own client and the stores of
    frameworks read and filter them, and what those write is found here. A representation that they
    do not write scores 0; a point that is replaced loses the vectors that m3kit does not write.

    Args:
        client: A connected client.
        collection: Its name, or an alias of it. It is created if it does not exist.
        encoder: What makes the vectors: supplies `dim`, `model` and `reps`.
        dim: Without an encoder: the width of the vectors. None opens only what exists.
        reps: What a new index holds, by default all; an existing one knows it.
        model: Without an encoder: what makes the vectors, as `Encoder.model` says. A new index
            records it, an existing one is checked against it; for a collection that m3kit did not
            create, it is trusted.
        fields: The field names of a collection that m3kit did not create, such as
            `m3kit_qdrant.LANGCHAIN`.
        colbert: How a new index stores ColBERT vectors, whole by default; an existing one knows it,
            and is checked against it. Local mode takes the space of float32 all the same.
        options: How a server stores and searches.

    Raises:
        IndexNotFoundError: If there is none and neither `encoder` nor `dim`, or m3kit did not
            create it and no `fields` are given, or its vectors or payloads do not fit `fields`.
        ModelMismatchError: If it was made by another model, with another width, or stores ColBERT
            otherwise.
        RepresentationError: If Qdrant cannot store ColBERT vectors so (`binary`), or the encoder
            cannot make one of `reps`.
        ValueError: If `dim` or `model` is given besides an encoder.
        OSError: From `upsert`, with `errno.ENOSPC`: if local mode's disk is nearly full.
    """

    def __init__(
        self,
        client: QdrantClient,
        collection: str,
        *,
        encoder: Encoder | None = None,
        dim: int | None = None,
        reps: Collection[Rep] | None = None,
        model: str | None = None,
        fields: FieldNames | None = None,
        colbert: ColbertStorage | None = None,
        options: QdrantOptions | None = None,
    ) -> None:
        options = options or QdrantOptions()
        what = f"the collection {collection!r}"
        request = IndexRequest.of(encoder, dim=dim, reps=reps, model=model, colbert=colbert)
        self._admin = admin = CollectionAdmin(client, collection)
        info, manifest, vectors = (
            open_or_create(admin, request, options, what)
            if fields is None
            else adopt(admin, fields, request, what)
        )
        request.check(manifest, what)
        self._layout = layout = Layout(fields or M3KIT)
        indexes = {layout.path(name): index for name, index in options.payload_indexes.items()}
        admin.create_payload_indexes(
            info.payload_schema, {path: index for path, index in indexes.items() if path}
        )
        engine = ClientEngine(admin, vectors, options.search_params)
        self._points = QdrantStore(engine, layout, manifest)
        super().__init__(self._points)
        self._collection = collection
        self._dense = vectors.names.get("dense")
        self._unused = [] if fields is None else unused_vectors(info, vectors)

    def unindexed_fields(self) -> list[str]:
        """
        Name the metadata fields that a server's filters read without an index, point by point.

        They are those of a page of documents. `QdrantOptions.payload_indexes` creates indexes.
        """
        info = None if self._admin.is_local else self._admin.info()
        if info is None:
            return []
        fields = self._points.filterable_fields()
        return sorted(
            field for field in fields if self._layout.path(field) not in info.payload_schema
        )

    @property
    def takes_graph(self) -> bool:
        """See `Optimizable.takes_graph`."""
        return False

    @property
    def optimization(self) -> Optimization | None:
        """None: a server measures no recall; `QdrantOptions` say how it searches."""
        return None

    def optimize(self, graph: Graph | None = None, /) -> Optimization | None:
        """
        Have a server optimize, and return when it has nothing left; see `Optimizable.optimize`.

        Raises:
            UnsupportedError: If a `graph` is given, as `QdrantOptions.dense` is the server's own;
                or in local mode, which compares with every vector.
        """
        if self._admin.is_local:
            raise UnsupportedError(
                "Qdrant's local mode compares with every vector; copy the documents to an index "
                "in a directory (m3kit copy), which builds a graph, or to a server"
            )
        if graph is not None:
            raise UnsupportedError(
                "a Qdrant server builds its graph by QdrantOptions.dense; leave the graph out"
            )
        self._admin.optimize()
        return None

    def switch_alias(self, alias: str, /) -> None:
        """Have an alias stand for this collection from now on, wherever it stood before."""
        self._admin.switch_alias(alias)

    def graph_problem(self) -> str | None:
        """Say why a server has no graph of so many dense vectors; None where nothing is wrong."""
        info = None if self._admin.is_local else self._admin.info()
        return None if info is None or self._dense is None else graph_problem(info, self._dense)

    def __repr__(self) -> str:
        unused = f", unused: {', '.join(map(repr, self._unused))}" if self._unused else ""
        return f"{type(self).__name__}({self._collection!r}, {self._points.manifest}{unused})"


class OpenedQdrantIndex(OwnsResources, QdrantIndex):
    """A `QdrantIndex` that owns its client: what `open_directory` and `open_server` return."""
