"""All requests to Milvus: one collection behind `pymilvus`, and the differences of engines."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from threading import RLock
from time import sleep
from typing import Any, Literal, TypeAlias

from grpc import Call, RpcError, StatusCode
from pymilvus import MilvusClient, MilvusException
from pymilvus.client.types import LoadState, Status
from pymilvus.exceptions import ErrorCode

from m3kit.adapters.forks import check_process
from m3kit.index import IndexNotFoundError
from m3kit_milvus.workarounds import next_page, silenced

Row: TypeAlias = Mapping[str, Any]
Key: TypeAlias = str | int

Engine: TypeAlias = Literal["lite", "core", "server"]
"""Milvus Lite 3, in Python; Milvus Lite 2.5, a core in C++ that knows no `not`; or a server."""

KEEPALIVE: Mapping[str, Any] = {
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_permit_without_calls": False,
}
"""
gRPC options of a client that may be idle.

pymilvus pings every 10 s. `milvus-lite server` allows a ping every 5 minutes, and closes an idle
connection with "Too many pings".
"""

_WRITES = ("insert", "upsert", "delete", "flush")

_IO_ERROR = re.compile(r"\[Errno \d+\]")
"""What Milvus Lite's message has of an error of the file system."""

_KEYS_PAGE = 4_096
_SAMPLE_ROWS = 16

_FLUSH_ROWS = 1_000
"""
How many rows Milvus Lite holds unflushed.

It searches those row by row in Python, some 0.1 ms each, and flushes a thousand in as much.
"""

_NOT_LOADED = 101
"""Milvus's code for a collection that is to be loaded before it is searched."""

_BUSY = {ErrorCode.RATE_LIMIT, StatusCode.DEADLINE_EXCEEDED, StatusCode.RESOURCE_EXHAUSTED}
_PASSING = {StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED, StatusCode.RESOURCE_EXHAUSTED}
"""What a server answers that may take the same call later: as Milvus's codes, and as gRPC's."""

_VISIBLE_S = 0.005
"""Milvus Lite's core in C++ reads as of the last millisecond."""

_COMPACTION_POLL_S = 0.5

_RETRIES_S = (0.1, 0.5, 1.0, 2.0)
"""The waits between attempts to reach a server that closed an idle connection."""

_LITE_LOCK = RLock()
"""
Milvus Lite does not support concurrent writers; it is Python, so that one lock costs little.

A lock of this process: other processes may use one `milvus-lite server` at their own risk.
"""


class UnloadableError(IndexNotFoundError):
    """A collection of Milvus Lite whose files cannot be loaded."""


class CollectionClient:
    """
    A client of one collection, which calls it in the way that its engine needs.

    Args:
        client: A connected client.
        name: The collection, or an alias of it.
        timeout: How many seconds each call may take.
        consistency_level: How fresh an answer is.

    Raises:
        ConnectionError: If the server cannot be reached, as from every method.
        OSError: From every method that writes, after Milvus Lite failed to write to its files.
        RuntimeError: From every method, if this process was forked since.
    """

    def __init__(
        self, client: MilvusClient, name: str, timeout: float, consistency_level: str
    ) -> None:
        self._restarted = False
        self._writes: list[Callable[[], object]] = []  # since the last flush of Milvus Lite
        self._client = client
        self._timeout = timeout
        self._consistency = {"consistency_level": consistency_level}
        self._unflushed = 0
        self._pid = os.getpid()
        self._failed = self._why = ""
        self.lock: AbstractContextManager[object] = _LITE_LOCK
        self.engine: Engine = "server"  # until it is known
        self.name = name
        self.engine = self._read_engine()
        if self.engine == "server":
            self.lock = nullcontext()

    def exists(self) -> bool:
        """Tell whether there is such a collection."""
        return bool(self.call("has_collection", self.name))

    def describe(self) -> Row:
        """Return the collection's description."""
        description: Row = self.call("describe_collection", self.name)
        return description

    def index(self, field: str) -> Row | None:
        """Describe the index on a field, if there is one."""
        return next(self.indexes(field), None)

    def indexes(self, field: str) -> Iterator[Row]:
        """Describe the indexes on a field; a JSON has one for each indexed path."""
        for name in self.call("list_indexes", self.name, field_name=field):
            yield self.call("describe_index", self.name, name)

    def indexed_paths(self, field: str) -> set[str]:
        """Return the paths of a JSON that have an index."""
        return {str(index.get("json_path")) for index in self.indexes(field)}

    def create_index(self, field: str, name: str, params: Row) -> None:
        """Create an index, unless another worker just has."""
        index = self._client.prepare_index_params()
        index.add_index(field, index_name=name, **params)
        try:
            self.call("create_index", self.name, index, sync=False)
        except MilvusException:
            if name not in self.call("list_indexes", self.name, field_name=field):
                raise

    def upsert(self, rows: Sequence[Row]) -> None:
        """Write or replace rows by their primary key."""
        with self.lock:
            self._write(len(rows), ("upsert", {"data": [*rows]}))

    def replace(self, where: str, rows: Sequence[Row]) -> None:
        """Delete what `where` keeps and insert rows, for a collection that numbers them itself."""
        with self.lock:
            self._write(len(rows), ("delete", {"filter": where}), ("insert", {"data": [*rows]}))

    def search(
        self, field: str, vector: Any, params: Row, *, where: str, limit: int, fields: Sequence[str]
    ) -> list[tuple[float, Row]]:
        """Return the distances and rows of the nearest that match, best first."""
        (hits,) = self.call(
            "search",
            self.name,
            data=[vector],
            anns_field=field,
            search_params=dict(params),
            filter=where,
            limit=limit,
            output_fields=[*fields],
            **self._consistency,
        )
        return [(hit["distance"], hit["entity"]) for hit in hits]

    def query(self, where: str, fields: Sequence[str], **options: Any) -> list[Row]:
        """Return fields of the rows that match."""
        rows = self.call(
            "query",
            self.name,
            filter=where,
            output_fields=[*fields],
            **options,
            **self._consistency,
        )
        return list(rows)

    def stream(self, where: str, fields: Sequence[str]) -> Iterator[Row]:
        """Stream small fields of the rows that match; Milvus Lite returns all of them at once."""
        if self.engine != "server":
            yield from self.query(where, fields)
            return
        pages = self.call(
            "query_iterator",
            self.name,
            batch_size=_KEYS_PAGE,
            filter=where,
            output_fields=[*fields],
            **self._consistency,
        )
        try:
            while page := next_page(pages):
                yield from page
        finally:
            pages.close()

    def sample(self, fields: Sequence[str]) -> list[Row]:
        """Return fields of a few rows."""
        return self.query("", fields, limit=_SAMPLE_ROWS)

    def delete(self, where: str) -> None:
        """Delete the rows that match."""
        with self.lock:
            self._write(1, ("delete", {"filter": where}))

    def count(self, where: str, key: str) -> int:
        """Count the rows that match; `key` is their primary key."""
        if self.engine == "lite" and where:  # whose own count reads whole rows
            return len(self.query(where, [key]))
        (row,) = self.query(where, ["count(*)"])
        return int(row["count(*)"])

    def flush(self) -> None:
        """
        Return when what was written is durable and searchable.

        A server of Milvus Lite that is killed late in a flush has rows both in a segment and from
        its log when it starts again, and counts them twice, unless they are written again.
        """
        with self.lock:
            self.call("flush", self.name)
            while self.engine == "lite" and self._was_restarted():
                for write in self._writes:
                    write()
                self.call("flush", self.name)
            self._writes.clear()
            self._unflushed = 0

    def load(self) -> None:
        """
        Load the collection, so that it can be searched.

        Raises:
            UnloadableError: If Milvus Lite cannot read its files.
        """
        try:
            self.call("load_collection", self.name)
        except MilvusException as error:
            if self.engine != "lite":
                raise
            raise UnloadableError(
                f"Milvus Lite cannot load the collection {self.name!r} ({error.message}), as after "
                "a kill while it wrote an index; stop its server, remove the files "
                "partitions/*/indexes/*idx of the collection, which it makes again, and start it"
            ) from error

    def switch_alias(self, alias: str) -> None:
        """Have an alias stand for the collection."""
        try:
            self.call("create_alias", self.name, alias)
        except MilvusException:  # which says so in the words of its version
            self.call("alter_alias", self.name, alias)

    def compact(self) -> None:
        """Merge what is stored, without what was deleted; Milvus Lite does so by itself."""
        self.flush()
        if self.engine == "core":  # which knows no such request
            return
        job = self.call("compact", self.name)
        while self.call("get_compaction_state", job) != "Completed":
            sleep(_COMPACTION_POLL_S)

    def call(self, method: str, /, *args: Any, **options: Any) -> Any:
        """
        Call a method of the client, again where the connection was only idle.

        Raises:
            ConnectionError: If the server cannot be reached.
        """
        self._check_usable(method)
        with self.lock, silenced():
            for wait in (*_RETRIES_S, None):
                try:
                    return getattr(self._client, method)(*args, timeout=self._timeout, **options)
                except (MilvusException, RpcError) as error:
                    if wait is not None and self._is_unloaded(error):
                        self._restarted = True
                        self.load()
                        continue
                    if not _is_unreachable(error):
                        self._note_failure(method, error)
                        raise
                    if wait is None:
                        raise ConnectionError(
                            "cannot reach Milvus; check that the server is running and open the "
                            f"index again ({_summary(error)})"
                        ) from error
                    sleep(wait)
        raise AssertionError  # unreachable: the last attempt returns or raises

    def _check_usable(self, method: str) -> None:
        """
        Check that the client belongs to this process, and that no write to files has failed.

        Raises:
            RuntimeError: If this process was forked since: gRPC does not survive that.
            OSError: If one has failed. Milvus Lite would lose what it acknowledged afterwards.
        """
        check_process(self._pid, f"the collection {self.name!r}")
        if self._failed == "flush" or (self._failed and method in _WRITES):
            raise OSError(
                f"Milvus Lite could not write to its files before ({self._why}); make room, close "
                "this index and open it again: what was acknowledged is there"
            )

    def _note_failure(self, method: str, error: Exception) -> None:
        if self.engine == "lite" and method in _WRITES and _IO_ERROR.search(str(error)):
            self._failed, self._why = method, _summary(error)

    def _write(self, rows: int, *requests: tuple[str, Row]) -> None:
        for method, options in requests:
            write = partial(self.call, method, self.name, **options)
            write()
            if self.engine == "lite":
                self._writes.append(write)
        self._wait_visible()
        self._unflushed += rows
        if self.engine == "lite" and self._unflushed >= _FLUSH_ROWS:
            self.flush()

    def _was_restarted(self) -> bool:
        """Tell whether the server was since the last call; load the collection if it was."""
        restarted, self._restarted = self._restarted, False
        state = self.call("get_load_state", self.name)["state"]
        if state == LoadState.Loaded:
            return restarted
        self.load()
        return True

    def _is_unloaded(self, error: Exception) -> bool:
        """Tell whether a server of Milvus Lite was restarted, which then has nothing loaded."""
        if not isinstance(error, MilvusException):
            return False
        return self.engine == "lite" and error.code == _NOT_LOADED

    def _wait_visible(self) -> None:
        if self.engine == "core":
            sleep(_VISIBLE_S)

    def _read_engine(self) -> Engine:
        """Tell what answers: Milvus Lite's core in C++ does not know its version."""
        try:
            version = str(self.call("get_server_version"))
        except RpcError as error:
            if isinstance(error, Call) and error.code() == StatusCode.UNIMPLEMENTED:
                return "core"
            raise
        return "lite" if version.startswith("milvus_lite") else "server"


def is_transient(error: Exception) -> bool:
    """Tell whether a call may succeed later: a server that is away, too busy, or out of time."""
    if isinstance(error, MilvusException):
        return error.code in _BUSY or _is_unreachable(error)
    if isinstance(error, Call):
        return error.code() in _PASSING
    return isinstance(error, ConnectionError | TimeoutError)


def _is_unreachable(error: Exception) -> bool:
    if isinstance(error, MilvusException):
        return error.code in {Status.CONNECT_FAILED, StatusCode.UNAVAILABLE}
    return isinstance(error, Call) and error.code() == StatusCode.UNAVAILABLE


def _summary(error: Exception) -> str:
    text = error.message if isinstance(error, MilvusException) else error
    return f"{text}".partition("\n")[0]
