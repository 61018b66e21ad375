"""`MilvusIndex`: one collection behind `pymilvus`, in Milvus Lite or on a server."""

from __future__ import annotations

from collections.abc import Collection

from pymilvus import MilvusClient

from m3kit.adapters.closing import OwnsResources
from m3kit.adapters.field_names import FieldNames
from m3kit.adapters.manifest import IndexRequest
from m3kit.adapters.storage import ColbertStorage
from m3kit.adapters.store import StoreIndex
from m3kit.encoder import Encoder
from m3kit.index import UnsupportedError
from m3kit.optimization import Graph, Optimization
from m3kit.vectors import Rep
from m3kit_milvus.client import CollectionClient
from m3kit_milvus.options import MilvusOptions
from m3kit_milvus.provision import provision
from m3kit_milvus.schema import unindexed_fields
from m3kit_milvus.store import MilvusStore

DEFAULT_REPS: tuple[Rep, ...] = ("dense", "sparse")
"""What every Milvus can hold."""


class MilvusIndex(StoreIndex[str]):
    """
    An index in a collection; the client stays the caller's.

    By default it holds dense and sparse vectors, both searched exactly. Servers from 2.6.4 hold
    ColBERT vectors too; for others `m3kit.WithColbert` adds them. Milvus holds 65,535 bytes of a
    text. Threads may share an index, in Milvus Lite one after the other.

    A collection that m3kit did not create opens by `fields`, the names of its fields. Its vectors
    must be of length one and of the model that `model` names: it records no model.

    Args:
        client: A connected client.
        collection: Its name, or an alias. A new one is created.
        encoder: What makes the vectors: gives `dim`, `model` and `reps`.
        dim: The width of the vectors. None opens only what exists.
        reps: What a new index holds, by default dense and sparse; an existing one knows it.
        model: What makes the vectors, as `Encoder.model` says. A new index records it, an existing
            one is checked against it.
        fields: The field names of a collection that m3kit did not create.
        options: How it is indexed, searched and partitioned.
        colbert: How a new index stores ColBERT vectors: float32, float16 or int8, pooled or not.
            The two smaller ones round a query as well.
        timeout: How many seconds each call to Milvus may take.

    Raises:
        ConnectionError: If the server cannot be reached, as from every method.
        RepresentationError: If a new index is to hold ColBERT vectors, and the server holds none.
        IndexNotFoundError: If there is none and no `dim`; or m3kit did not create the collection
            and no `fields` are given, or it does not serve with these.
        ModelMismatchError: If it was made by another model or with another width.
    """

    _store: MilvusStore

    def __init__(
        self,
        client: MilvusClient,
        collection: str,
        *,
        encoder: Encoder | None = None,
        dim: int | None = None,
        reps: Collection[Rep] | None = None,
        model: str | None = None,
        fields: FieldNames | None = None,
        options: MilvusOptions | None = None,
        colbert: ColbertStorage | None = None,
        timeout: float = 60.0,
    ) -> None:
        options = options or MilvusOptions()
        request = IndexRequest.of(
            encoder, dim=dim, reps=reps, model=model, colbert=colbert, default_reps=DEFAULT_REPS
        )
        calls = CollectionClient(client, collection, timeout, options.consistency_level)
        layout = provision(calls, request, fields, options, f"the collection {collection!r}")
        super().__init__(MilvusStore(calls, layout))
        self._collection = collection

    @property
    def is_lite(self) -> bool:
        """Whether Milvus Lite 3 answers, in this process or on a server."""
        return self._store.client.engine == "lite"

    def unindexed_fields(self) -> list[str]:
        """
        Name fields of the metadata by which filters scan, since they have no index.

        On a server, those that a few stored documents have; Milvus Lite needs none.
        """
        return unindexed_fields(self._store.client, self._store.layout)

    @property
    def takes_graph(self) -> bool:
        """See `Optimizable.takes_graph`."""
        return False

    @property
    def optimization(self) -> Optimization | None:
        """None: Milvus measures no recall; `MilvusOptions.dense_index` says how it searches."""
        return None

    def optimize(self, graph: Graph | None = None, /) -> Optimization | None:
        """
        Compact the collection, and return when that is done; see `Optimizable.optimize`.

        Raises:
            UnsupportedError: If a `graph` is given: `MilvusOptions.dense_index` is Milvus's own.
        """
        if graph is not None:
            raise UnsupportedError(
                "Milvus builds its graphs by MilvusOptions.dense_index; leave the graph out"
            )
        self._store.client.compact()
        return None

    def switch_alias(self, alias: str, /) -> None:
        """Have an alias stand for this collection from now on, wherever it stood before."""
        self._store.client.switch_alias(alias)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._collection!r}, {self._store.manifest})"


class OpenedMilvusIndex(OwnsResources, MilvusIndex):
    """A `MilvusIndex` that owns its client: what `open_server` returns."""
