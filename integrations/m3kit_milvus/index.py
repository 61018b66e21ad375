"""`MilvusIndex`: one collection behind `pymilvus`, in Milvus Lite or on a server."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from pymilvus import MilvusClient

from m3kit.adapters.field_names import FieldNames
from m3kit.adapters.manifest import Manifest
from m3kit.adapters.storage import ColbertStorage
from m3kit.adapters.store import StoreIndex
from m3kit.index import Holding
from m3kit.vectors import Rep
from m3kit_milvus.collection import Connection, Rows
from m3kit_milvus.making import Making
from m3kit_milvus.options import MilvusOptions
from m3kit_milvus.own import Own
from m3kit_milvus.shape import check_rows
from m3kit_milvus.table import Table
from m3kit_milvus.theirs import Theirs

HELD: tuple[Rep, ...] = ("dense", "sparse")
"""What every Milvus can hold."""


class MilvusIndex(StoreIndex):
    """
    An index in a collection; the client stays the caller's.

    By default it holds dense and sparse vectors, both searched exactly. Servers from 2.6.4 hold
    ColBERT vectors too; for others `m3kit.WithColbert` adds them. Milvus holds 65,535 bytes of a text.
    Threads may share an index, in Milvus Lite one after the other.

    A collection that others made opens by `fields`, which says what it calls the text and the
    vectors. The vectors must be of length one and of the model that `model` names: such a
    collection says nothing of its model.

    Args:
        client: A connected client.
        collection: Its name, or an alias. A new one is made.
        dim: The width of the vectors. None opens only what exists.
        reps: What a new index holds; an existing one knows it.
        model: What makes the vectors, as `Encoder.model` says. A new index keeps it, an existing
            one is checked against it.
        fields: The names of the fields of a collection that others made.
        options: How it is indexed, searched and divided.
        colbert: How a new index keeps ColBERT vectors: float32, float16 or int8, pooled or not. The
            two smaller ones round a query as well.
        timeout: How many seconds each call to Milvus may take.

    Raises:
        RepresentationError: If a new index is to hold ColBERT vectors, and the server holds none.
        IndexNotFoundError: If there is none and no `dim`; or others made the collection, and no `fields`
            say what is where, or it cannot serve.
        ModelMismatchError: If it was made by another model or with another width.
    """

    def __init__(
        self,
        client: MilvusClient,
        collection: str,
        *,
        dim: int | None = None,
        reps: Collection[Rep] = HELD,
        model: str | None = None,
        fields: FieldNames | None = None,
        options: MilvusOptions | None = None,
        colbert: ColbertStorage | None = None,
        timeout: float = 60.0,
    ) -> None:
        what = f"the collection {collection!r}"
        chosen = options or MilvusOptions()
        connection = Connection(client, collection, timeout)
        making = Making(connection, chosen, what)
        layout: Own | Theirs
        if fields is None:
            layout = making.open(lambda: Manifest.new(dim, reps, model, what, colbert=colbert))
            layout.manifest.check(dim, model, what, colbert=colbert)
            rows = Rows(connection, layout, chosen.consistency)
        else:
            layout = making.open_theirs(fields)
            layout.manifest.check(dim, None, what)
            layout = replace(layout, manifest=replace(layout.manifest, model=model))
            rows = Rows(connection, layout, chosen.consistency)
            check_rows(layout, rows)
        super().__init__(Table(rows, layout))
        self._collection = collection

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._collection!r}, {self._store.stamp})"


class OpenedMilvusIndex(Holding, MilvusIndex):
    """A `MilvusIndex` that owns its client: what `open_server` returns."""
