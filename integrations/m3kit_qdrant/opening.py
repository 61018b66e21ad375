"""Addresses: the entry points `file` and `qdrant` of the group `m3kit.indexes`."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from socket import create_connection
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit
from warnings import warn

from m3kit.index import IndexLockedError, IndexNotFoundError, OpenedIndex
from m3kit.vectors import Rep
from m3kit_qdrant.directory import Directory, engine_in

_COLLECTION = "m3kit"
_TIMEOUT_S = 60
_KNOCK_S = 1.0
_REST, _GRPC = 6333, 6334
"""A server's usual ports; who moves the first is asked to name the second."""


def open_directory(
    address: str, /, *, dim: int | None, reps: Collection[Rep], model: str | None
) -> OpenedIndex:
    """
    Open the index in a directory by the engine that made it; see `m3kit.open_index`.

    A new one is made by Qdrant Edge. Where qdrant-edge-py has no wheel for the platform, it is made
    by the local mode of `qdrant-client`, with a warning: the same answers, a hundred times slower.

    Raises:
        IndexNotFoundError, ModelMismatchError, IndexLockedError, OSError: As `EdgeIndex` says.
    """
    path = Path(address)
    kept = engine_in(path)
    has_edge = find_spec("qdrant_edge") is not None
    if kept == "edge" and not has_edge:
        raise IndexNotFoundError(
            f"the index in {path} was made by Qdrant Edge, which is not installed; "
            "pip install qdrant-edge-py, or index the documents anew at another address"
        )
    if kept == "edge" or (kept is None and has_edge):
        from m3kit_qdrant.edge import EdgeIndex

        return EdgeIndex(path, dim=dim, reps=reps, model=model)
    if kept is None and dim is not None:
        warn(
            "Qdrant Edge is not installed, so this index is made by the local mode of "
            "qdrant-client: the same answers, many times slower; pip install qdrant-edge-py",
            stacklevel=3,
        )
    return _open_local(path, dim=dim, reps=reps, model=model)


def open_server(
    address: str, /, *, dim: int | None, reps: Collection[Rep], model: str | None
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

    Raises:
        ValueError: If the address is another.
        ConnectionError: If nobody answers.
        IndexNotFoundError, ModelMismatchError: As `QdrantIndex` says.
    """
    from qdrant_client import QdrantClient

    from m3kit_qdrant.client import OpenedQdrantIndex, unanswered

    place = _preferring_grpc(_parsed(address))
    key = os.environ.get("QDRANT_API_KEY") or None
    with ExitStack() as held:
        client = QdrantClient(
            place.url,
            grpc_port=place.grpc_port or _GRPC,
            prefer_grpc=bool(place.grpc_port),
            api_key=key,
            timeout=_TIMEOUT_S,
            check_compatibility=False,  # it warns from a thread; the manifest tells a server too old
        )
        held.callback(client.close)
        try:
            return OpenedQdrantIndex(
                client, place.collection, dim=dim, reps=reps, model=model
            ).holding(held)
        except Exception as error:
            if (why := unanswered(error)) is None:
                raise
            raise ConnectionError(
                f"no Qdrant server answers at {place.answers} ({why}); start it, or "
                "correct the address"
            ) from error


def _open_local(
    path: Path, *, dim: int | None, reps: Collection[Rep], model: str | None
) -> OpenedIndex:
    from qdrant_client import QdrantClient

    from m3kit_qdrant.client import OpenedQdrantIndex

    with ExitStack() as held:
        files = Directory.hold(path, "local", dim=dim, reps=reps, model=model)
        held.callback(files.release)
        folder = files.made("local", lambda new: QdrantClient(path=str(new)).close())
        try:
            client = QdrantClient(path=str(folder), force_disable_check_same_thread=True)
        except RuntimeError as error:
            raise IndexLockedError(f"{error} Close that one first.") from error
        held.callback(client.close)
        manifest = files.manifest
        return OpenedQdrantIndex(
            client, _COLLECTION, dim=manifest.dim, reps=manifest.reps, model=manifest.model
        ).holding(held)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a collection is; `grpc_port` is 0 where REST alone is wanted."""

    url: str
    collection: str
    grpc_port: int | None

    @property
    def answers(self) -> str:
        """What is to answer, by gRPC where that is wanted."""
        if not self.grpc_port:
            return self.url
        return f"port {self.grpc_port} of {urlsplit(self.url).hostname} by gRPC"


def _is_port(split: SplitResult, grpc_port: str) -> bool:
    """Tell whether the address's ports, where it says any, are from 1 to 65535."""
    try:
        ports = [split.port, int(grpc_port) if grpc_port.isdecimal() else None]
    except ValueError:  # urllib's, of a text or a number that is too large
        return False
    rest, grpc = ports
    return (rest is None or 1 <= rest <= 65535) and (grpc is None or 0 <= grpc <= 65535)


def _preferring_grpc(place: _Place) -> _Place:
    """Use gRPC where it was not spoken of and answers at its usual port."""
    split = urlsplit(place.url)
    if place.grpc_port is not None or (split.port or _REST) != _REST or split.hostname is None:
        return place
    answers = _answers_grpc(split.hostname, secure=split.scheme == "https")
    return replace(place, grpc_port=_GRPC) if answers else place


def _answers_grpc(host: str, *, secure: bool) -> bool:
    """Knock at gRPC's port: a closed one is told at once, a silent one after a second or two."""
    try:
        create_connection((host, _GRPC), timeout=_KNOCK_S).close()
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
        grpc.channel_ready_future(channel).result(timeout=_KNOCK_S)
    except grpc.FutureTimeoutError:
        return False
    else:
        return True
    finally:
        channel.close()


def _parsed(address: str) -> _Place:
    split = urlsplit(f"//{address}")
    collection = unquote(split.path.removeprefix("/"))
    options = dict(parse_qsl(split.query, keep_blank_values=True))
    https, grpc_port = options.pop("https", "false"), options.pop("grpc_port", "")
    if "@" in split.netloc:
        raise ValueError("an address holds no key; set the environment variable QDRANT_API_KEY")
    if not split.hostname or not collection or "/" in collection:
        raise ValueError(f"{address!r} does not say host:port/collection")
    if not _is_port(split, grpc_port):
        raise ValueError(f"{address!r} has a port that is none; give a number from 1 to 65535")
    if options or https not in {"true", "false"} or not (grpc_port or "0").isdecimal():
        raise ValueError(f"{address!r} has other options than https=true and grpc_port=6334")
    return _Place(
        f"{'https' if https == 'true' else 'http'}://{split.netloc}",
        collection,
        int(grpc_port) if grpc_port else None,
    )
