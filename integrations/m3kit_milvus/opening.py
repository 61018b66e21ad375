"""Addresses: the entry point `milvus` of the group `m3kit.indexes`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import Lock

from pymilvus import MilvusClient, MilvusException

from m3kit.adapters.addresses import ServerAddress
from m3kit.adapters.forks import hold, let_go
from m3kit.adapters.read_only import ReadOnlyIndex
from m3kit.index import IndexNotFoundError, OpenedIndex
from m3kit.vectors import Rep
from m3kit_milvus.client import KEEPALIVE, UnloadableError
from m3kit_milvus.index import DEFAULT_REPS, OpenedMilvusIndex
from m3kit_milvus.lite import (
    copied,
    mark_closed,
    mark_open,
    repair,
    server_manager,
    why_not,
)
from m3kit_milvus.workarounds import silenced

_FORM = "host:19530/collection or path/to/file.db/collection"
_TOKEN = "MILVUS_TOKEN"  # noqa: S105  # the name of a variable
_TIMEOUT_S = 60.0

_OPEN_FILES: Counter[str] = Counter()
"""How many opened indexes of this process use each file."""

_OPENING = Lock()


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
    Open a collection on a server or in a file of Milvus Lite; see `m3kit.open_index`.

    Of `reps`, a new index holds what Milvus can; `m3kit.WithColbert` adds ColBERT. A token or
    `user:password` is taken from the environment variable `MILVUS_TOKEN`.

    Args:
        address: `"host:19530/collection"`, and `?https=true` or `&database=name` behind it; or
            `"path/to/file.db/collection"`, which ends in `.db` for Milvus Lite.
        dim: As in `MilvusIndex`.
        reps: As in `MilvusIndex`.
        model: As in `MilvusIndex`.
        read_only: Whether writes are refused, and a file is copied and not locked.

    Raises:
        ValueError: If the address is another.
        ConnectionError: If the server cannot be reached.
        IndexLockedError: If another process holds the file.
        OSError: If the file cannot be written, as on a file system that is read-only.
        RepresentationError, IndexNotFoundError, ModelMismatchError: As `MilvusIndex` says.
    """
    storable = [rep for rep in DEFAULT_REPS if rep in reps] or reps
    path, _, collection = address.rpartition("/")
    make = partial(OpenedMilvusIndex, collection=collection, dim=dim, reps=storable, model=model)
    with ExitStack() as resources:
        if path.endswith(".db") and collection:
            file = Path(path)
            if dim is None and not file.exists():
                raise IndexNotFoundError(
                    f"there is no index at {file}; give encoder= (or dim=) to create one"
                )
            if read_only:
                file = resources.enter_context(copied(file))
            index = _open_file(file, make, resources)
            again = None
            sidecar = file.absolute().with_name(f"{file.name}.{collection}")
        else:
            server = ServerAddress.parse(address, form=_FORM, secret=_TOKEN, options=("database",))
            client = resources.enter_context(_server_client(server))
            index = make(client, collection=server.name)
            again, sidecar = f"milvus://{address}", None
            if index.is_lite and not read_only:  # it may have been killed, and does not tell
                index.flush()  # or what a killed flush has written is there twice
        if read_only:
            return ReadOnlyIndex(index, resources, f"milvus://{address}")
        return index.owning(resources, address=again, sidecar=sidecar)


def _open_file(
    file: Path, make: Callable[[MilvusClient], OpenedMilvusIndex], resources: ExitStack
) -> OpenedMilvusIndex:
    """Open an index in a file, again without its vector indexes where these cannot be loaded."""
    with ExitStack() as attempt:
        try:
            index = make(attempt.enter_context(_file_client(file)))
        except UnloadableError:
            attempt.close()
            if not repair(file, unloadable=True):
                raise
            index = make(attempt.enter_context(_file_client(file)))
        resources.enter_context(attempt.pop_all())
    return index


@contextmanager
def _server_client(server: ServerAddress) -> Iterator[MilvusClient]:
    """Connect to a server, apart from other clients, whose connections may have been idle."""
    try:
        with silenced():
            client = MilvusClient(
                server.url,
                token=os.environ.get(_TOKEN, ""),
                db_name=server.options.get("database", ""),
                timeout=_TIMEOUT_S,
                dedicated=True,
                grpc_options=dict(KEEPALIVE),
            )
    except MilvusException as error:
        raise ConnectionError(
            f"cannot connect to Milvus at {server.url} ({error.message}); start it, correct the "
            f"address, or set the environment variable {_TOKEN}"
        ) from error
    try:
        yield client
    finally:
        client.close()


@contextmanager
def _file_client(file: Path) -> Iterator[MilvusClient]:
    """Connect to Milvus Lite, which serves a file from a thread of this process until released."""
    name, pid, manager = str(file.absolute()), os.getpid(), server_manager()
    file.parent.mkdir(parents=True, exist_ok=True)
    with _OPENING:
        in_use = name in manager._servers  # noqa: SLF001  # no public way
        opened_by_others = not _OPEN_FILES[name] and in_use
        if not in_use:
            repair(file)
        try:
            with silenced():
                client = MilvusClient(name, timeout=_TIMEOUT_S)
        except MilvusException as error:
            raise why_not(file) from error
        if not in_use:
            mark_open(file)
        _OPEN_FILES[name] += 1
        hold(file)
    try:
        yield client
    finally:
        if os.getpid() == pid:  # what a forked process has inherited is its parent's to close
            with _OPENING:
                client.close()
                let_go(file)
                _OPEN_FILES[name] -= 1
                if not _OPEN_FILES[name] and not opened_by_others:
                    manager.release_server(name)
                    mark_closed(file)
