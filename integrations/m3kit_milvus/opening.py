"""Addresses: the entry point `milvus` of the group `m3kit.indexes`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pymilvus import MilvusClient, MilvusException

from m3kit.index import IndexLockedError, IndexNotFoundError, OpenedIndex
from m3kit.vectors import Rep
from m3kit_milvus.index import HELD, OpenedMilvusIndex
from m3kit_milvus.quiet import silenced

_TIMEOUT_S = 60.0

_FILES: Counter[str] = Counter()
"""How many opened indexes of this process stand on each file."""

_OPENING = Lock()


def open_server(
    address: str, /, *, dim: int | None, reps: Collection[Rep], model: str | None
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

    Raises:
        ValueError: If the address is another.
        ConnectionError: If nobody answers.
        IndexLockedError: If another process holds the file.
        RepresentationError, IndexNotFoundError, ModelMismatchError: As `MilvusIndex` says.
    """
    place = _parsed(address)
    able = [rep for rep in HELD if rep in reps] or reps
    with ExitStack() as held:
        if place.file is not None:
            if dim is None and not place.file.exists():
                raise IndexNotFoundError(f"there is no index at {place.file}; give dim to make one")
            client = held.enter_context(_file_client(place.file))
        else:
            client = held.enter_context(_server_client(place))
        return OpenedMilvusIndex(client, place.collection, dim=dim, reps=able, model=model).holding(
            held
        )


@contextmanager
def _server_client(place: _Place) -> Iterator[MilvusClient]:
    token = os.environ.get("MILVUS_TOKEN", "")
    try:
        with silenced():
            client = MilvusClient(
                place.uri, token=token, db_name=place.database, timeout=_TIMEOUT_S
            )
    except MilvusException as error:
        raise ConnectionError(
            f"no Milvus server lets us in at {place.uri} ({error.message}); start it, correct the "
            "address, or set the environment variable MILVUS_TOKEN"
        ) from error
    try:
        yield client
    finally:
        client.close()


@contextmanager
def _file_client(file: Path) -> Iterator[MilvusClient]:
    """Connect to Milvus Lite, which serves a file from a thread of this process until released."""
    name = str(file.absolute())
    file.parent.mkdir(parents=True, exist_ok=True)
    with _OPENING:
        others = not _FILES[name] and name in _lite()._servers  # noqa: SLF001  # no public way
        try:
            with silenced():
                client = MilvusClient(name, timeout=_TIMEOUT_S)
        except MilvusException as error:
            raise IndexLockedError(
                f"Milvus Lite does not open {file}: another process holds it, or the file is none "
                "of Milvus Lite 3; close that one, or give another address"
            ) from error
        _FILES[name] += 1
    try:
        yield client
    finally:
        with _OPENING:
            client.close()
            _FILES[name] -= 1
            if not _FILES[name] and not others:
                _lite().release_server(name)


def _lite() -> Any:
    from milvus_lite.server_manager import server_manager_instance

    return server_manager_instance


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a collection is: in a file, or on a server."""

    collection: str
    file: Path | None = None
    uri: str = ""
    database: str = ""


def _parsed(address: str) -> _Place:
    where, _, collection = address.rpartition("/")
    if where.endswith(".db") and collection:
        return _Place(collection, file=Path(where))
    split = urlsplit(f"//{address}")
    collection = unquote(split.path.removeprefix("/"))
    options = dict(parse_qsl(split.query, keep_blank_values=True))
    https, database = options.pop("https", "false"), options.pop("database", "")
    if "@" in split.netloc:
        raise ValueError("an address holds no token; set the environment variable MILVUS_TOKEN")
    if not split.hostname or not collection or "/" in collection:
        raise ValueError(
            f"{address!r} says neither host:19530/collection nor path/to/file.db/collection"
        )
    if options or https not in {"true", "false"}:
        raise ValueError(f"{address!r} has other options than https=true and database=name")
    uri = f"{'https' if https == 'true' else 'http'}://{split.netloc}"
    return _Place(collection, uri=uri, database=database)
