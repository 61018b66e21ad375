"""`MilvusIndex`: one collection behind `pymilvus`, in Milvus Lite or on a server."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack

from pymilvus import MilvusClient

from m3kit.index import Closing, RepError
from m3kit.stamp import Stamp
from m3kit.store import StoreIndex
from m3kit.vectors import Rep
from m3kit_milvus.collection import Rows
from m3kit_milvus.table import Table

HELD: tuple[Rep, ...] = ("dense", "sparse")
"""What a collection can hold."""


class MilvusIndex(StoreIndex):
    """
    An index in a collection; the client stays the caller's.

    It holds dense and sparse vectors, both searched exactly; `m3kit.Rescored` adds ColBERT. The
    caller may replace the dense index by an approximate one of metric IP, by his client. Milvus
    holds 65,535 bytes of a text. Threads may share an index, in Milvus Lite one after the other.

    Args:
        client: A connected client.
        collection: Its name. A new one is made.
        dim: The width of the vectors. None opens only what exists.
        reps: What a new index holds; an existing one knows it.
        model: What makes the vectors, as `Encoder.model` says. A new index keeps it, an existing
            one is checked against it.
        timeout: How many seconds each call to Milvus may take.

    Raises:
        RepError: If a new index is to hold ColBERT vectors.
        NoIndexError: If there is none and no `dim`, or others made the collection.
        ModelMismatchError: If it was made by another model or with another width.
    """

    def __init__(
        self,
        client: MilvusClient,
        collection: str,
        *,
        dim: int | None,
        reps: Collection[Rep] = HELD,
        model: str | None = None,
        timeout: float = 60.0,
    ) -> None:
        what = f"the collection {collection!r}"
        rows = Rows(client, collection, timeout)
        stamp = rows.open(lambda: _new(dim, reps, model, what), what)
        stamp.check(dim, model, what)
        super().__init__(Table(rows, stamp))
        self._collection = collection

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._collection!r}, {self._store.stamp})"


class OpenedMilvusIndex(MilvusIndex, Closing):
    """
    A `MilvusIndex` that owns its client: what `open_server` returns.

    Args:
        client: As in `MilvusIndex`.
        collection: As in `MilvusIndex`.
        dim: As in `MilvusIndex`.
        reps: As in `MilvusIndex`.
        model: As in `MilvusIndex`.
        held: What `close` lets go of; it passes to the index once that is open.
    """

    def __init__(
        self,
        client: MilvusClient,
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


def _new(dim: int | None, reps: Collection[Rep], model: str | None, what: str) -> Stamp:
    stamp = Stamp.new(dim, reps, model, what)
    if not stamp.reps <= set(HELD):
        raise RepError(
            "a Milvus index holds no colbert vectors; make it with reps=('dense', 'sparse'), "
            "and let m3kit.Rescored(index, encoder) add ColBERT"
        )
    return stamp
