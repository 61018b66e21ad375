"""The engines that jobs are killed on, and a server in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

from tests.faults.children import Child

from m3kit import REPS, HybridIndex, open_index
from m3kit.index import OpenedIndex
from m3kit.testing import DIM
from m3kit_qdrant.opening import _open_local

Open: TypeAlias = Callable[[Path], AbstractContextManager[HybridIndex]]
_STARTS = 3000
"""How often a server that starts is looked for, some 20 ms apart."""


@dataclass(frozen=True, slots=True)
class Engine:
    """
    Where a job writes.

    Args:
        name: Its name in the table.
        open: Opens the index in a folder, or creates it.
        ledger_name: The ledger in that folder.
    """

    name: str
    open: Open
    ledger_name: str

    def ledger(self, folder: Path) -> Path:
        """Return the path of the ledger."""
        return folder / self.ledger_name


def _edge(folder: Path) -> OpenedIndex:
    return open_index(folder / "index", dim=DIM, model="hash@1")


def _local(folder: Path) -> OpenedIndex:
    return _open_local(folder / "index", dim=DIM, reps=REPS, model="hash@1")


def _lite(folder: Path) -> OpenedIndex:
    return open_index(f"milvus://{folder}/papers.db/papers", dim=DIM, model="hash@1")


def tcp(port: int) -> Engine:
    """Return Milvus Lite behind a port."""
    address = f"milvus://127.0.0.1:{port}/papers"
    return Engine(
        "Milvus Lite over TCP",
        lambda _: open_index(address, dim=DIM, model="hash@1"),
        "ledger",
    )


EMBEDDED = {
    "edge": Engine("Qdrant Edge", _edge, "ledger"),
    "local": Engine("Qdrant local mode", _local, "ledger"),
    "lite": Engine("Milvus Lite", _lite, "ledger"),
}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_server(folder: Path, port: int, before: Callable[[], object] = lambda: None) -> Child:
    """Serve a folder by Milvus Lite, in a process that first calls `before`."""

    def serve() -> None:
        from milvus_lite.cmdline import main

        before()
        with Path(os.devnull).open("w", encoding="utf-8") as null:
            os.dup2(null.fileno(), 1)
            os.dup2(null.fileno(), 2)
        main(["server", "--data-dir", str(folder), "--host", "127.0.0.1", "--port", str(port)])

    server = Child(serve)
    for _ in range(_STARTS):
        if not server.is_alive():
            return server
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return server
        server.polls(10)
    server.kill(signal.SIGKILL)
    return server


def import_engines() -> None:
    """Import what children would import each by itself; nothing of it starts a thread."""
    for name in _ENGINES:
        import_module(name)


_ENGINES = (
    "grpc._channel",
    "grpc._interceptor",
    "grpc._server",
    "grpc.experimental",
    "m3kit.ingest.readers.jsonl",
    "m3kit.ingest.readers.txt",
    "m3kit_milvus.opening",
    "milvus_lite.adapter.grpc.servicer",
    "milvus_lite.analyzer.factory",
    "milvus_lite.cmdline",
    "milvus_lite.index.sparse_factory",
    "milvus_lite.index.sparse_inverted",
    "milvus_lite.schema.sparse",
    "milvus_lite.search.indexed_filter",
    "milvus_lite.server_manager",
    "pyarrow.dataset",
    "pyarrow.pandas_compat",
    "qdrant_client.local.qdrant_local",
    "scipy.sparse",
)
"""Modules that engines import when they are first used, which takes longer than a job."""
