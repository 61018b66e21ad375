from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Self

import pytest
import qdrant_edge as edge
from tests.conftest import quick_folder

from m3kit_qdrant.edge_filters import to_edge


@pytest.fixture
def python() -> Callable[..., str]:
    """Run a script in a process of its own, and return what it prints."""

    def run(script: str, *args: object) -> str:
        command = [sys.executable, "-c", script, *map(str, args)]
        return subprocess.run(command, check=True, text=True, capture_output=True).stdout.strip()

    return run


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of its own: 400 MiB, as Edge's empty files claim 230 when they are read back."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(tmp_path)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs to mount a disk: {error}")
    yield Disk(tmp_path)
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)  # noqa: S607  # wherever it is


@dataclass(frozen=True)
class Disk:
    """A disk that can be filled."""

    path: Path

    def fill(self, left: int) -> None:
        with (self.path / "filler").open("wb") as file:
            free = shutil.disk_usage(self.path).free
            os.posix_fallocate(file.fileno(), 0, free - left)

    def clear(self) -> None:
        (self.path / "filler").unlink()


@pytest.fixture
def server(directory: Path) -> Iterator[Server]:
    with Server(directory) as server:
        yield server


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with quick_folder(tmp_path_factory.mktemp("server")) as folder, Server(folder) as server:
        yield server


class Server(ThreadingHTTPServer):
    """
    Qdrant's engine behind as much of a server's REST interface as an index uses.

    Args:
        path: Where its collections are kept.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.path = path
        self.port = self.server_address[1]
        self.collections: dict[str, tuple[edge.EdgeShard, dict[str, Any]]] = {}
        self.aliases: dict[str, str] = {}
        self.bodies: list[tuple[str, Any]] = []
        self.keys: set[str | None] = set()
        self.keeps_metadata = True
        self.statuses: list[str] = []
        self.version = "1.20.0"
        self.lock = Lock()

    def __enter__(self) -> Self:
        Thread(target=self.serve_forever, args=[0.01], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        for shard, _config in self.collections.values():
            shard.close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def change_aliases(self, actions: list[dict[str, Any]]) -> None:
        for action in actions:
            if "delete_alias" in action:
                del self.aliases[action["delete_alias"]["alias_name"]]
            else:
                alias = action["create_alias"]
                self.aliases[alias["alias_name"]] = alias["collection_name"]

    def collection(self, name: str) -> tuple[edge.EdgeShard, dict[str, Any]]:
        return self.collections[self.aliases.get(name, name)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer is one packet, which nothing delays
    server: Server

    def do_GET(self) -> None:
        self._answer({})

    def do_PUT(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    do_DELETE = do_GET  # noqa: N815  # http.server's name
    do_POST = do_PUT  # noqa: N815  # http.server's name

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append((f"PATCH {self.path.partition('?')[0].strip('/')}", body))
        self._send(True)  # noqa: FBT003  # a result

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, body: dict[str, Any]) -> None:
        self.server.keys.add(self.headers["api-key"])
        path = self.path.partition("?")[0].strip("/")
        self.server.bodies.append((f"{self.command} {path}", body))
        if self.server.version < "1.20" and '"substring"' in json.dumps(body):
            error = "data did not match any variant of untagged enum Condition"
            return self._send({"status": {"error": error}, "time": 0.0}, status=400, bare=True)
        match [self.command, *path.split("/")]:
            case [_, ""]:
                return self._send({"title": "qdrant", "version": self.server.version}, bare=True)
            case ["GET", "collections", name, "exists"]:
                return self._send({"exists": name in self.server.collections})
            case ["GET", "aliases"]:
                pairs = self.server.aliases.items()
                aliases = [{"alias_name": alias, "collection_name": of} for alias, of in pairs]
                return self._send({"aliases": aliases})
            case ["POST", "collections", "aliases"]:
                self.server.change_aliases(body["actions"])
                return self._send(True)  # noqa: FBT003  # a result
            case ["GET", "collections", name]:
                status = self.server.statuses.pop(0) if self.server.statuses else "green"
                return self._send({**_info(*self.server.collection(name)), "status": status})
            case ["DELETE", "collections", name]:
                shard, _ = self.server.collections.pop(name)
                shard.close()
                return self._send(True)  # noqa: FBT003  # a result
            case ["PUT", "collections", name]:
                with self.server.lock:
                    if name in self.server.collections:
                        return self._send(None, status=409)
                    config = {
                        "params": {
                            key: body[key] for key in ("vectors", "sparse_vectors") if key in body
                        },
                        "metadata": body.get("metadata") if self.server.keeps_metadata else {},
                    }
                    shard = _created(self.server.path / name, body)
                    self.server.collections[name] = shard, config
                    return self._send(True)  # noqa: FBT003  # a result
            case [_, "collections", name, *verb]:
                shard, _ = self.server.collection(name)
                return self._send(_done("/".join(verb), shard, body))
            case other:
                raise AssertionError(other)

    def _send(self, result: object, *, status: int = 200, bare: bool = False) -> None:
        answer = result if bare else {"result": result, "status": "ok", "time": 0.0}
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", f"{len(data)}")
        self.end_headers()
        self.wfile.write(data)


def _created(path: Path, body: dict[str, Any]) -> edge.EdgeShard:
    vectors = body.get("vectors") or {}
    named = {"": vectors} if "size" in vectors else vectors
    config = edge.EdgeConfig(
        vectors={
            name: edge.EdgeVectorParams(
                params["size"],
                getattr(edge.Distance, params["distance"]),
                datatype=getattr(
                    edge.VectorStorageDatatype, params.get("datatype", "float32").title()
                ),
                multivector_config=edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim)
                if "multivector_config" in params
                else None,
            )
            for name, params in named.items()
        },
        sparse_vectors={
            name: edge.EdgeSparseVectorParams() for name in body.get("sparse_vectors") or {}
        },
    )
    return edge.EdgeShard.create(str(path), config)


def _info(shard: edge.EdgeShard, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "status": "green",
        "optimizer_status": "ok",
        "segments_count": 1,
        "config": {
            **config,
            "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000},
            "optimizer_config": {
                "deleted_threshold": 0.2,
                "vacuum_min_vector_number": 1000,
                "default_segment_number": 0,
                "flush_interval_sec": 5,
            },
            "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0},
        },
        "payload_schema": {
            name: {"data_type": _TYPES[index.data_type], "points": index.points}
            for name, index in shard.info().payload_schema.items()
        },
    }


_TYPES = {
    edge.PayloadSchemaType.Bool: "bool",
    edge.PayloadSchemaType.Datetime: "datetime",
    edge.PayloadSchemaType.Float: "float",
    edge.PayloadSchemaType.Integer: "integer",
    edge.PayloadSchemaType.Keyword: "keyword",
}


def _done(verb: str, shard: edge.EdgeShard, body: dict[str, Any]) -> object:
    where = to_edge(body["filter"]) if body.get("filter") else None
    match verb:
        case "index":
            schema = body["field_schema"]
            kind = schema["type"] if isinstance(schema, dict) else schema
            made = getattr(edge.PayloadSchemaType, kind.title())
            shard.update(edge.UpdateOperation.create_field_index(body["field_name"], made))
        case "points" if "points" in body:
            shard.update(edge.UpdateOperation.upsert_points([*map(_point, body["points"])]))
        case "points/delete":
            assert where is not None
            shard.update(edge.UpdateOperation.delete_points_by_filter(where))
        case "points":
            points = shard.retrieve(body["ids"], body["with_payload"], body["with_vector"])
            return [*map(_record, points)]
        case "points/scroll":
            page, following = shard.scroll(
                edge.ScrollRequest(
                    offset=body.get("offset"),
                    limit=body["limit"],
                    filter=where,
                    with_payload=body["with_payload"],
                    with_vector=body["with_vector"],
                )
            )
            return {"points": [*map(_record, page)], "next_page_offset": _id(following)}
        case "points/count":
            assert body["exact"]
            return {"count": shard.count(edge.CountRequest(exact=True, filter=where))}
        case "points/query":
            return {"points": _queried(shard, body)}
        case "points/query/batch":
            return [{"points": _queried(shard, search)} for search in body["searches"]]
        case _:
            raise AssertionError(verb)
    return {"operation_id": 0, "status": "completed"}


def _queried(shard: edge.EdgeShard, body: dict[str, Any]) -> list[dict[str, Any]]:
    request = edge.QueryRequest(
        query=_query(body),
        prefetches=_prefetches(body),
        filter=to_edge(body["filter"]) if body.get("filter") else None,
        limit=body["limit"],
        with_payload=body["with_payload"],
        params=edge.SearchParams(exact=(body.get("params") or {}).get("exact") or False),
    )
    return [
        {"id": _id(point.id), "version": 0, "score": point.score, "payload": point.payload}
        for point in shard.query(request)
    ]


def _query(body: dict[str, Any]) -> Any:
    match body["query"]:
        case {"rrf": {"k": k}}:
            return edge.Fusion.Rrf(k=k)
        case {"nearest": vector} | vector:
            return edge.Query.Nearest(_vector(vector), using=body.get("using") or "")


def _prefetches(body: dict[str, Any]) -> list[edge.Prefetch]:
    prefetches = body.get("prefetch") or []
    return [
        edge.Prefetch(
            limit=prefetch["limit"],
            query=_query(prefetch),
            prefetches=_prefetches(prefetch),
            filter=to_edge(prefetch["filter"]) if prefetch.get("filter") else None,
        )
        for prefetch in (prefetches if isinstance(prefetches, list) else [prefetches])
    ]


def _id(id_: Any) -> Any:
    return id_ if id_ is None or isinstance(id_, int) else f"{id_}"


def _point(body: dict[str, Any]) -> edge.Point:
    vector = body["vector"]
    named = vector if isinstance(vector, dict) else {"": vector}
    vectors: Any = {name: _vector(vector) for name, vector in named.items()}
    return edge.Point(body["id"], vectors, body.get("payload"))


def _vector(body: Any) -> Any:
    return edge.SparseVector(**body) if isinstance(body, dict) else body


def _record(record: edge.Record) -> dict[str, Any]:
    vectors: Any = record.vector or {}
    return {"id": _id(record.id), "payload": record.payload, "vector": _plain(vectors)}


def _plain(vectors: Any) -> Any:
    if not isinstance(vectors, dict):
        return vectors
    return {
        name: {"indices": vector.indices, "values": vector.values}
        if isinstance(vector, edge.SparseVector)
        else vector
        for name, vector in vectors.items()
    }
