"""Addresses: the entry points `file` and `qdrant` of the group `m3kit.indexes`."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from socket import create_connection
from warnings import warn

from m3kit.adapters.addresses import ServerAddress
from m3kit.adapters.forks import in_this_process
from m3kit.adapters.manifest import IndexRequest
from m3kit.adapters.read_only import ReadOnlyIndex
from m3kit.index import IndexLockedError, IndexNotFoundError, OpenedIndex
from m3kit.vectors import Rep
from m3kit_qdrant.directory import Directory, copied, engine_in

_COLLECTION = "m3kit"
_SECRET = "QDRANT_API_KEY"  # noqa: S105  # where it is, not what
_TIMEOUT_S = 60
_PROBE_S = 1.0
_REST, _GRPC = 6333, 6334
"""A server's usual ports; an address that has another for the first may give the second."""


def open_directory(
    address: str,
    /,
    *,
    dim: int | None,
    reps: Collection[Rep],
    model: str | None,
    read_only: bool = False,
) -> OpenedIndex:
    """
    Open the index in a directory with the engine that made it; see `m3kit.open_index`.

    A new one is created by Qdrant Edge. Where qdrant-edge-py has no wheel for the platform, it is
    created by the local mode of `qdrant-client`, with a warning: the same answers, a hundred times
    slower.

    Raises:
        IndexNotFoundError, ModelMismatchError, IndexLockedError, OSError: As `EdgeIndex` says.
    """
    path = Path(address)
    if read_only:
        with ExitStack() as resources:
            request = IndexRequest.of(None, dim=None, reps=reps, model=model)
            copy = resources.enter_context(copied(path, request))
            index = open_directory(f"{copy}", dim=None, reps=reps, model=model)
            return ReadOnlyIndex(resources.enter_context(index), resources, f"{path.absolute()}")
    made_by = engine_in(path)
    has_edge = find_spec("qdrant_edge") is not None
    if made_by == "edge" and not has_edge:
        raise IndexNotFoundError(
            f"the index in {path} was made by Qdrant Edge, which is not installed; "
            "pip install qdrant-edge-py, or index the documents again at another address"
        )
    if made_by == "edge" or (made_by is None and has_edge):
        from m3kit_qdrant.edge import EdgeIndex

        return EdgeIndex(path, dim=dim, reps=reps, model=model)
    if made_by is None and dim is not None:
        warn(
            "Qdrant Edge is not installed, so this index is made by the local mode of "
            "qdrant-client: the same answers, many times slower; pip install qdrant-edge-py",
            stacklevel=3,
        )
    return _open_local(path, dim=dim, reps=reps, model=model)


def open_server(
    address: str,
    /,
    *,
    dim: int | None,
    reps: Collection[Rep],
    model: str | None,
    read_only: bool = False,
) -> OpenedIndex:
    """
    Open a collection on a server; see `m3kit.open_index`.

    The API key is taken from the environment variable `QDRANT_API_KEY`. Where gRPC answers at
    its usual port beside REST at its own, it is used, as it carries vectors in fewer bytes.

    Args:
        address: `"host:6333/collection"`, and `?https=true` or `&grpc_port=6334` behind it; with
            a port it is gRPC alone, and `grpc_port=0` is REST alone.
        dim: As in `QdrantIndex`.
        reps: As in `QdrantIndex`.
        model: As in `QdrantIndex`.
        read_only: Whether writes are refused.

    Raises:
        ValueError: If the address is malformed or holds a secret.
        ConnectionError: If no server answers.
        IndexNotFoundError, ModelMismatchError: As `QdrantIndex` says.
    """
    from qdrant_client import QdrantClient

    from m3kit_qdrant.client import unanswered
    from m3kit_qdrant.index import OpenedQdrantIndex

    server = ServerAddress.parse(
        address, form="host:6333/collection", secret=_SECRET, options=["grpc_port"]
    )
    grpc_port = server.port_option("grpc_port")
    if grpc_port is None and (server.port or _REST) == _REST:
        grpc_port = _GRPC if _answers_grpc(server.host, secure=server.https) else 0
    with ExitStack() as resources:
        client = QdrantClient(
            server.url,
            grpc_port=grpc_port or _GRPC,
            prefer_grpc=bool(grpc_port),
            api_key=os.environ.get(_SECRET) or None,
            timeout=_TIMEOUT_S,
            check_compatibility=False,  # it warns from a thread; the manifest needs a new server
        )
        resources.callback(in_this_process(client.close))
        try:
            index = OpenedQdrantIndex(client, server.name, dim=dim, reps=reps, model=model)
        except Exception as error:
            if (why := unanswered(error)) is None:
                raise
            where = f"port {grpc_port} of {server.host} by gRPC" if grpc_port else server.url
            raise ConnectionError(
                f"no Qdrant server answers at {where} ({why}); start it, or correct the address"
            ) from error
        if read_only:
            return ReadOnlyIndex(index, resources, f"qdrant://{address}")
        return index.owning(resources, address=f"qdrant://{address}")


def _open_local(
    path: Path, *, dim: int | None, reps: Collection[Rep], model: str | None
) -> OpenedIndex:
    from qdrant_client import QdrantClient

    from m3kit_qdrant.index import OpenedQdrantIndex

    request = IndexRequest.of(None, dim=dim, reps=reps, model=model)
    with ExitStack() as resources:
        directory = Directory.lock(path, "local", request)
        resources.callback(directory.release)
        folder = directory.folder("local", lambda new: QdrantClient(path=str(new)).close())
        try:
            client = QdrantClient(path=str(folder), force_disable_check_same_thread=True)
        except RuntimeError as error:
            raise IndexLockedError(f"{error} Close that one first.") from error
        resources.callback(in_this_process(client.close))
        manifest = directory.manifest
        index = OpenedQdrantIndex(
            client, _COLLECTION, dim=manifest.dim, reps=manifest.reps, model=manifest.model
        )
        return index.owning(resources, sidecar=directory.sidecar)


def _answers_grpc(host: str, *, secure: bool) -> bool:
    """Probe gRPC's port: a closed one answers at once, a silent one is given a second or two."""
    try:
        create_connection((host, _GRPC), timeout=_PROBE_S).close()
    except OSError:
        return False
    import grpc

    target = f"{host}:{_GRPC}"
    channel = (
        grpc.secure_channel(target, grpc.ssl_channel_credentials())
        if secure
        else grpc.insecure_channel(target)
    )
    try:
        grpc.channel_ready_future(channel).result(timeout=_PROBE_S)
    except grpc.FutureTimeoutError:
        return False
    else:
        return True
    finally:
        channel.close()
