"""`EdgeIndex`: Qdrant's own engine within this process, over a directory."""

from __future__ import annotations

from collections.abc import Collection
from os import PathLike
from pathlib import Path

import qdrant_edge as edge

from m3kit.adapters.closing import ClosesOnExit
from m3kit.adapters.manifest import IndexRequest, Manifest
from m3kit.adapters.storage import ColbertStorage
from m3kit.adapters.store import StoreIndex
from m3kit.encoder import Encoder
from m3kit.optimization import Graph, Optimization
from m3kit.vectors import Rep
from m3kit_qdrant.directory import Directory
from m3kit_qdrant.edge_client import EdgeEngine
from m3kit_qdrant.edge_config import shard_config
from m3kit_qdrant.edge_optimize import EdgeOptimizer
from m3kit_qdrant.engine import Condition
from m3kit_qdrant.layout import M3KIT, Layout
from m3kit_qdrant.store import QdrantStore
from m3kit_qdrant.vectors import Vectors


class EdgeIndex(StoreIndex[Condition], ClosesOnExit):
    """
    An index in a directory, in the process that uses it; threads may share it.

    Every score is exact, and every search, until `optimize` builds a graph. Of 1,000 documents or
    more, the first filter on a field makes an index of it, which takes a second for 100,000
    documents. What is written survives the end of the process, however it ends; `flush` makes it
    survive the machine's. Close the index, or use it as a context manager; one that is forgotten
    leaves whole files, locked until it is collected.

    Args:
        path: The directory. In a new or an empty one an index is created.
        encoder: What makes the vectors: supplies `dim`, `model` and `reps`.
        dim: Without an encoder: the width of the vectors. None opens only what exists.
        reps: What a new index holds, by default all; an existing one knows it.
        model: Without an encoder: what makes the vectors, as `Encoder.model` says. A new index
            records it, an existing one is checked against it.
        colbert: How a new index stores ColBERT vectors, whole by default; an existing one knows it,
            and is checked against it.

    Raises:
        IndexNotFoundError: If there is none and neither `encoder` nor `dim`, or the directory holds
            something else, or its files are damaged.
        ModelMismatchError: If it was made by another model, with another width, or stores ColBERT
            otherwise.
        RepresentationError: If Qdrant cannot store ColBERT vectors so (`binary`), or the encoder
            cannot make one of `reps`.
        IndexLockedError: If it is open already; from every method, if this process was forked
            since.
        ValueError: If `dim` or `model` is given besides an encoder.
        OSError: With `errno.ENOSPC`, if the disk has less than 32 MiB free, even for a search: the
            engine writes to its files when it opens them, and kills the process where they cannot
            grow. `upsert` and `delete` raise it too, before anything is written.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        encoder: Encoder | None = None,
        dim: int | None = None,
        reps: Collection[Rep] | None = None,
        model: str | None = None,
        colbert: ColbertStorage | None = None,
    ) -> None:
        request = IndexRequest.of(encoder, dim=dim, reps=reps, model=model, colbert=colbert)
        self._directory = Directory.lock(Path(path), "edge", request)
        manifest = self._directory.manifest
        try:
            folder = self._directory.folder("edge", lambda folder: _create(folder, manifest))
            self._engine = EdgeEngine(self._directory, folder, Vectors.of(manifest))
            self._optimizer = EdgeOptimizer(self._directory, self._engine)
        except BaseException:
            self._directory.release()
            raise
        super().__init__(QdrantStore(self._engine, Layout(M3KIT), manifest))

    def unindexed_fields(self) -> list[str]:
        """Name the metadata fields that filters read without an index: none, they are made."""
        return []

    @property
    def sidecar(self) -> Path | None:
        """Where files about the index may lie, in its directory."""
        return self._directory.sidecar

    @property
    def takes_graph(self) -> bool:
        """See `Optimizable.takes_graph`."""
        return True

    @property
    def optimization(self) -> Optimization | None:
        """What dense searches may miss since `optimize`; None while they are exact."""
        return self._directory.optimization

    def optimize(self, graph: Graph | None = None, /) -> Optimization | None:
        """
        Build a graph of the dense vectors, and free the room of deleted documents.

        A process of its own builds it over a copy of the files. Searches go on meanwhile, and so do
        writes, but for the seconds in which files are copied; what is written is carried over, and
        the copy takes the place of the files at one instant. However a process ends, and if it
        fails, the index is what it was before or what it is after. Later calls build what is new.

        Args:
            graph: How it is built, and how the vectors are stored.

        Returns:
            What searches may miss, measured; None where they stay exact: of fewer documents than
            `Graph.min_documents`, and of an index without dense vectors.

        Raises:
            OSError: With `errno.ENOSPC`, if the disk has no room for the copy and the graph, before
                anything is done.
            RuntimeError: If the process that builds fails.
            ValueError: If another thread optimizes or closes the index meanwhile.
        """
        return self._optimizer.optimize(graph or Graph())

    def close(self) -> None:
        """Flush and release the files, and end an `optimize`; a second call does nothing."""
        try:
            self._optimizer.cancel()
            self._engine.close()
        finally:
            self._directory.release()

    def __repr__(self) -> str:
        return f"EdgeIndex({str(self._directory.path)!r}, {self._directory.manifest})"


def _create(path: Path, manifest: Manifest) -> None:
    """Create the engine's files."""
    edge.EdgeShard.create(str(path), shard_config(manifest)).close()
