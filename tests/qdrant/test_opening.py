"""Addresses, and what is checked when an index is opened."""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socket import socket
from typing import Any

import grpc
import pytest
from httpx import Headers
from qdrant_client import QdrantClient
from qdrant_client.http.exceptions import UnexpectedResponse

from m3kit import open_index
from m3kit.index import (
    IndexLockedError,
    IndexNotFoundError,
    ModelMismatchError,
    RepresentationError,
    Search,
)
from m3kit.testing import DIM, DOCUMENTS, ENCODER, query, records
from m3kit_qdrant import EdgeIndex, QdrantIndex
from m3kit_qdrant.manifest_file import ManifestFile

MODEL = "BAAI/bge-m3@5617a9f6"


@pytest.fixture
def without_edge(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Take qdrant-edge-py away, as on a platform that it has no wheel for."""
    return lambda: monkeypatch.setitem(sys.modules, "qdrant_edge", None)


# Directories


def test_an_address_is_a_directory(directory: Path) -> None:
    for address in (directory, f"{directory}", f"file://{directory}"):
        with open_index(address, dim=DIM, model=MODEL) as index:
            assert isinstance(index, EdgeIndex)
            index.upsert(records(DOCUMENTS))
    with open_index(directory) as index:
        assert index.count() == len(DOCUMENTS)
        assert index.model == MODEL
        assert repr(index) == (
            f"EdgeIndex('{directory}', dim={DIM}, reps=('dense', 'sparse', 'colbert'), "
            f"model='{MODEL}')"
        )


def test_the_manifest_lies_beside_the_data(directory: Path) -> None:
    with open_index(directory, dim=DIM, reps=["sparse", "dense"], model=MODEL):
        pass
    manifest = json.loads((directory / "m3kit.json").read_text())
    assert len(manifest.pop("id")) == 32
    assert manifest == {
        "engine": "edge",
        "format": 2,
        "dim": DIM,
        "reps": ["dense", "sparse"],
        "model": MODEL,
    }


def test_the_same_weights_under_another_name_are_the_same_model(directory: Path) -> None:
    with open_index(directory, dim=DIM, model=MODEL):
        pass
    with open_index(directory, dim=DIM, model="./copy@5617a9f6") as index:
        assert index.model == MODEL


def test_an_existing_index_knows_its_representations(directory: Path) -> None:
    with open_index(directory, dim=DIM, reps=["dense"]):
        pass
    with open_index(directory, reps=["sparse"]) as index:
        assert index.reps == {"dense"}
        assert index.model is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "other@1"}, f"was made by {MODEL}, and other@1"),
        ({"dim": 7}, f"are {DIM} wide, and 7 is asked for"),
    ],
)
def test_another_model_or_width_is_refused_and_the_index_stays_whole(
    directory: Path, arguments: dict[str, Any], message: str
) -> None:
    with open_index(directory, dim=DIM, model=MODEL) as index:
        index.upsert(records(DOCUMENTS))
    with pytest.raises(ModelMismatchError, match=message) as caught:
        open_index(directory, **arguments)
    assert str(directory) in str(caught.value)
    with open_index(directory, dim=DIM, model=MODEL) as index:
        assert index.count() == len(DOCUMENTS)


def test_an_encoder_supplies_what_a_new_index_holds(directory: Path) -> None:
    with EdgeIndex(directory, encoder=ENCODER) as index:
        assert (index.model, index.reps) == (ENCODER.model, ENCODER.reps)
    with open_index(directory, encoder=ENCODER) as opened:
        assert isinstance(opened, EdgeIndex)


def test_nothing_is_made_without_a_width(directory: Path) -> None:
    with pytest.raises(IndexNotFoundError, match=f"no index at {directory}; give encoder"):
        open_index(directory)
    directory.mkdir()
    with pytest.raises(IndexNotFoundError, match=f"no index at {directory}; give encoder"):
        open_index(directory)
    assert list(directory.iterdir()) == []
    with open_index(directory, dim=DIM) as index:
        assert index.count() == 0


def test_a_directory_of_something_else_is_left_alone(directory: Path, tmp_path: Path) -> None:
    directory.mkdir()
    (directory / "thesis.txt").write_text("three years")
    file = tmp_path / "file"
    file.write_text("a file")
    for path in (directory, file):
        with pytest.raises(IndexNotFoundError, match=f"{path} exists and holds no index"):
            open_index(path, dim=DIM)
    assert [entry.name for entry in directory.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("{", "is damaged"),
        ("[]", "names no engine"),
        ('{"engine": "milvus"}', "names no engine"),
        ('{"engine": "edge"}', "was not created by m3kit"),
        ('{"engine": "edge", "format": 1}', "made by an earlier development version of m3kit"),
        ('{"engine": "edge", "format": 3}', "of format 3, and this m3kit reads 2; upgrade"),
        (
            '{"engine": "local", "format": 2, "dim": 32, "reps": ["dense"], "model": null}',
            "engine 'local', not 'edge'; open it with",
        ),
    ],
)
def test_a_manifest_that_is_not_understood_is_refused(
    directory: Path, manifest: str, message: str
) -> None:
    directory.mkdir()
    (directory / "m3kit.json").write_text(manifest)
    with pytest.raises(IndexNotFoundError, match=message):
        EdgeIndex(directory, dim=DIM)


@pytest.mark.parametrize("leftover", [".lock", ".opening", "m3kit.json.new"])
def test_a_process_killed_at_its_first_step_leaves_a_new_directory(
    directory: Path, leftover: str
) -> None:
    directory.mkdir()
    (directory / leftover).write_text("")
    with open_index(directory, dim=DIM) as index:
        assert index.count() == 0


def _without(path: Path, *names: str) -> None:
    for name in names:
        (path / name).unlink()


@pytest.mark.parametrize(
    "missing", [["m3kit.json"], ["m3kit.json", "edge.new/edge_config.json"], []]
)
def test_a_process_killed_while_it_made_the_files_leaves_a_new_index(
    directory: Path, missing: list[str]
) -> None:
    with open_index(directory, dim=DIM):
        pass
    (directory / "edge").rename(directory / "edge.new")
    _without(directory, *missing)
    with open_index(directory, dim=DIM) as index:
        index.upsert(records(DOCUMENTS))
        assert index.count() == len(DOCUMENTS)
    assert not (directory / "edge.new").exists()


@pytest.mark.parametrize("step", ["write", "rename"])
def test_a_step_that_fails_leaves_a_directory_in_which_the_index_is_made(
    directory: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no more")

    target = Path if step == "rename" else ManifestFile
    with monkeypatch.context() as patched:
        patched.setattr(target, step, fail)
        with pytest.raises(OSError, match="no more"):
            open_index(directory, dim=DIM)
    with open_index(directory, dim=DIM) as index:
        assert index.count() == 0


@pytest.mark.parametrize("engine", ["edge", "local"])
def test_an_index_whose_folder_is_gone_is_an_error(
    directory: Path, engine: str, without_edge: Callable[[], None]
) -> None:
    if engine == "local":
        without_edge()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that local mode is slow
        index = open_index(directory, dim=DIM)
    with index:
        index.upsert(records(DOCUMENTS))
    shutil.rmtree(directory / engine)
    before = sorted(directory.rglob("*"))
    for dim in (None, DIM):
        with pytest.raises(IndexNotFoundError, match=f"its folder {engine}/ is gone.*from a copy"):
            open_index(directory, dim=dim)
    assert sorted(directory.rglob("*")) == before


@pytest.mark.parametrize(
    ("shape", "kind", "message"),
    [
        ({"dim": 0}, ValueError, "at least 1, not 0"),
        ({"reps": []}, RepresentationError, "not none"),
        ({"reps": ["multi"]}, RepresentationError, "not multi"),
    ],
)
def test_a_shape_that_no_index_has_is_refused(
    directory: Path, shape: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        open_index(directory, **{"dim": DIM, **shape})
    assert not directory.exists()


# Without Qdrant Edge


def test_local_mode_stands_in_where_there_is_no_edge(
    directory: Path, without_edge: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    without_edge()
    with pytest.warns(UserWarning, match="Edge is not installed.*many times slower"):
        index = open_index(directory, dim=DIM, model=MODEL)
    with index:
        index.upsert(records(DOCUMENTS))
        with pytest.raises(IndexLockedError, match="is open already"):
            open_index(directory)
    index.close()
    monkeypatch.undo()
    for _ in range(2):  # the engine that made it opens it, wherever that is
        with open_index(directory, dim=DIM, model=MODEL) as index:
            assert isinstance(index, QdrantIndex)
            assert index.count() == len(DOCUMENTS)
            (hit,) = index.search(Search(query=query("gipfeln", "sparse")))
            assert hit.document == DOCUMENTS[8]
    with pytest.raises(ModelMismatchError, match=f"{directory} was made by"):
        open_index(directory, model="other@1")


@pytest.mark.filterwarnings("ignore:.*FileIO.*")  # the client that is refused forgets its lock file
def test_a_directory_that_a_plain_client_holds_is_locked(
    directory: Path, without_edge: Callable[[], None]
) -> None:
    without_edge()
    with pytest.warns(UserWarning, match="local mode"), open_index(directory, dim=DIM):
        pass
    client = QdrantClient(path=str(directory / "local"))
    with pytest.raises(IndexLockedError, match="already accessed by another instance"):
        open_index(directory)
    client.close()
    open_index(directory).close()


def test_an_edge_index_is_not_opened_by_another_engine(
    directory: Path, without_edge: Callable[[], None]
) -> None:
    with open_index(directory, dim=DIM):
        pass
    without_edge()
    with pytest.raises(IndexNotFoundError, match="made by Qdrant Edge, which is not installed"):
        open_index(directory)


def test_an_edge_index_opens_without_qdrant_client(
    directory: Path, python: Callable[..., str]
) -> None:
    script = (
        "import sys, m3kit\n"
        f"m3kit.open_index(sys.argv[1], dim={DIM}).close()\n"
        "print([name for name in ('qdrant_client', 'httpx', 'torch') if name in sys.modules])"
    )
    assert python(script, directory) == "[]"


# Servers


def test_an_address_is_a_collection_on_a_server(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QDRANT_API_KEY", "secret-key")
    address = f"qdrant://{server.address}/papers%20of%202026"
    with pytest.warns(UserWarning, match="insecure connection"):
        index = open_index(address, dim=DIM, model=MODEL)
    with index:
        index.upsert(records(DOCUMENTS))
        assert "secret" not in repr(index)
        assert "'papers of 2026'" in repr(index)
    monkeypatch.delenv("QDRANT_API_KEY")
    with open_index(address) as index:
        assert index.count() == len(DOCUMENTS)
        assert index.model == MODEL
    assert server.keys == {"secret-key", None}


def test_a_missing_collection_is_told(server: Any) -> None:
    with pytest.raises(
        IndexNotFoundError, match="no index at the collection 'papers'; give encoder"
    ):
        open_index(f"qdrant://{server.address}/papers")


def test_a_server_that_does_not_answer_is_told() -> None:
    with pytest.raises(ConnectionError, match=r"no Qdrant server answers at http://127.0.0.1:1 "):
        open_index("qdrant://127.0.0.1:1/papers", dim=DIM)


def test_a_server_that_does_not_answer_by_grpc_is_told_in_one_line() -> None:
    message = (
        r"no Qdrant server answers at port 1 of 127\.0\.0\.1 by gRPC \(.*\); start it, or correct"
    )
    with pytest.raises(ConnectionError, match=message) as caught:
        open_index("qdrant://127.0.0.1:6333/papers?grpc_port=1", dim=DIM)
    assert "\n" not in str(caught.value)
    assert "debug_error_string" not in str(caught.value)


@pytest.fixture
def grpc_port() -> Iterator[int]:
    """A port where gRPC answers, and knows no method."""
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None).wait()


def test_grpc_is_preferred_where_it_answers(
    server: Any, grpc_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("m3kit_qdrant.opening._REST", server.port)
    monkeypatch.setattr("m3kit_qdrant.opening._GRPC", grpc_port)
    address = f"qdrant://{server.address}/papers"
    with pytest.raises(grpc.RpcError) as caught:
        open_index(address, dim=DIM)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert not server.bodies
    open_index(f"{address}?grpc_port=0", dim=DIM).close()
    assert server.bodies


@pytest.mark.parametrize("listens", [False, True])
def test_rest_is_used_where_grpc_does_not_answer(
    server: Any, monkeypatch: pytest.MonkeyPatch, *, listens: bool
) -> None:
    monkeypatch.setattr("m3kit_qdrant.opening._REST", server.port)
    monkeypatch.setattr("m3kit_qdrant.opening._PROBE_S", 0.2)
    with socket() as other:
        other.bind(("127.0.0.1", 0))
        if listens:
            other.listen()
        monkeypatch.setattr("m3kit_qdrant.opening._GRPC", other.getsockname()[1])
        with open_index(f"qdrant://{server.address}/papers", dim=DIM) as index:
            index.upsert(records(DOCUMENTS))
    assert server.bodies


def test_another_error_of_the_client_stays_what_it_is(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> bool:
        raise UnexpectedResponse(403, "Forbidden", b"", Headers())

    monkeypatch.setattr(QdrantClient, "collection_exists", refused)
    with pytest.raises(UnexpectedResponse, match="403"):
        open_index(f"qdrant://{server.address}/papers", dim=DIM)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "is not an address of the form host:6333/collection"),
        ("host:6333", "is not an address of the form host:6333/collection"),
        ("host:6333/", "is not an address of the form host:6333/collection"),
        ("/papers", "is not an address of the form host:6333/collection"),
        ("host/a/b", "is not an address of the form host:6333/collection"),
        ("host:99999/a", "has no valid port; give a number from 1 to 65535"),
        ("host:0/a", "has no valid port; give a number from 1 to 65535"),
        ("host:http/a", "has no valid port; give a number from 1 to 65535"),
        ("host/a?grpc_port=65536", "the option grpc_port of http://host is a port"),
        ("secret-key@host:99999/a", "set the environment variable QDRANT_API_KEY"),
        ("host/a?https=yes", "the option https of 'host/a' is true or false"),
        ("host/a?grpc_port=x", "the option grpc_port of http://host is a port"),
        ("host/a?timeout=3", "has no option 'timeout'; valid are https, grpc_port"),
        ("secret-key@host/a", "set the environment variable QDRANT_API_KEY"),
    ],
)
def test_an_address_that_says_something_else_is_refused(address: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        open_index(f"qdrant://{address}", dim=DIM)
    assert "secret-key" not in str(caught.value)
