"""An index in a directory in other processes: forked, pickled, and after its files were damaged."""

from __future__ import annotations

import copy
import gc
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient
from tests.processes import in_fork, pickled
from tests.qdrant.grpc_server import served

from m3kit import CachedEncoder, MemoryIndex, WithColbert, open_index
from m3kit.index import HybridIndex, IndexLockedError, IndexNotFoundError, Search
from m3kit.records import Document, Record
from m3kit.testing import DIM, DOCUMENTS, HashEncoder, query, records
from m3kit_qdrant import EdgeIndex, QdrantIndex

FORK_AND_DIE = """
import os, signal, sys, time
from m3kit.testing import DIM, DOCUMENTS, records
from m3kit_qdrant import EdgeIndex, QdrantIndex
index = EdgeIndex(sys.argv[1], dim=DIM)
index.upsert(records(DOCUMENTS))
pid = os.fork()
if not pid:
    os.close(1)
    os.close(2)
    time.sleep(60)
    os._exit(0)
print(pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

FORK_AND_EXIT = """
import os, sys
from pathlib import Path
from m3kit.testing import DIM, DOCUMENTS, records
from m3kit_qdrant import EdgeIndex
path = Path(sys.argv[1])
index = EdgeIndex(path, dim=DIM)
index.upsert(records(DOCUMENTS))
used = index._engine._shard  # as by a search of another thread
index.optimize()
def content():
    return {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
before = content()
pid = os.fork()
if not pid:
    sys.exit()
os.waitpid(pid, 0)
print(before == content(), flush=True)
"""


def _record(id_: str) -> Record:
    return records([Document(id_, "the dog is barking")])[0]


USES: list[Callable[[HybridIndex], object]] = [
    lambda index: index.upsert([_record("child")]),
    lambda index: index.search(Search(query=query("dog"))),
    lambda index: index.count(),
    lambda index: list(index.scan()),
    lambda index: index.get(["1"]),
    lambda index: index.delete(["1"]),
]
OF_A_PARENT = "' was opened before this process was forked; open it after"


@pytest.mark.parametrize("use", [*USES, lambda index: index.flush()])
def test_a_forked_process_is_told_to_open_its_own(
    directory: Path, use: Callable[[EdgeIndex], object]
) -> None:
    with EdgeIndex(directory, dim=DIM) as index:
        index.upsert(records(DOCUMENTS))
        message = in_fork(lambda: use(index))
        assert message.startswith(f"IndexLockedError: the index in {directory} was opened before")
        assert "qdrant://" in message
        assert index.count() == len(DOCUMENTS)


def test_what_a_parent_writes_survives_children_of_all_kinds(directory: Path) -> None:
    with EdgeIndex(directory, dim=DIM) as index:
        index.upsert(records(DOCUMENTS))
        in_fork(index.close)
        index.upsert([_record("after the first")])
        in_fork(lambda: index.__exit__(None, None, None))
        in_fork(lambda: sys.exit(0))
        index.upsert([_record("after the others")])
        with pytest.raises(IndexLockedError):
            EdgeIndex(directory)
    with EdgeIndex(directory) as index:
        assert index.count() == len(DOCUMENTS) + 2


def test_a_child_that_forgets_an_index_leaves_its_files(directory: Path) -> None:
    index: EdgeIndex | None = EdgeIndex(directory, dim=DIM)
    assert index is not None
    index.upsert(records(DOCUMENTS))
    before = _content(directory)

    def forget() -> None:
        nonlocal index
        index = None
        gc.collect()

    assert in_fork(forget) == "None"
    assert _content(directory) == before
    index.close()


def test_a_child_that_exits_leaves_the_files(directory: Path) -> None:
    """Those that an `optimize` has replaced, and a thread still reads, too."""
    done = subprocess.run(
        [sys.executable, "-c", FORK_AND_EXIT, directory],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "True\n"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are not listed here")
def test_a_child_that_lives_on_holds_no_lock(directory: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK_AND_DIE, directory],
        check=False,  # it ends by a signal
        capture_output=True,
        text=True,
        timeout=60,
    )
    child = int(done.stdout)
    try:
        with EdgeIndex(directory) as index:
            assert index.count() == len(DOCUMENTS)
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.filterwarnings("ignore:Qdrant Edge is not installed")
def test_local_mode_is_not_used_in_a_forked_process(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "qdrant_edge", None)
    with open_index(directory, dim=DIM) as index:
        index.upsert(records(DOCUMENTS))
        for use in USES:
            assert OF_A_PARENT in in_fork(partial(use, index))
        assert in_fork(index.close) == "None"
        index.upsert([_record("after")])
    with open_index(directory) as index:
        assert index.count() == len(DOCUMENTS) + 1


@pytest.mark.parametrize("protocol", ["REST", "gRPC"])
def test_a_client_of_a_server_is_not_used_in_a_forked_process(server: Any, protocol: str) -> None:
    """Which would share its connections with its parent, and get the other's answers."""
    with ExitStack() as resources:
        address = f"qdrant://{server.address}/papers"
        if protocol == "gRPC":
            port = resources.enter_context(served(f"http://{server.address}"))
            address = f"qdrant://127.0.0.1:1/papers?grpc_port={port}"
        index = resources.enter_context(open_index(address, dim=DIM))
        index.upsert(records(DOCUMENTS))
        for use in USES:
            assert OF_A_PARENT in in_fork(partial(use, index))
        assert in_fork(index.close) == "None"
        assert index.count() == len(DOCUMENTS)


def test_local_mode_in_memory_is_each_processs_own() -> None:
    client = QdrantClient(":memory:")
    index = QdrantIndex(client, "papers", dim=DIM)
    index.upsert(records(DOCUMENTS))
    assert in_fork(index.count) == str(len(DOCUMENTS))
    client.close()


def test_an_index_is_opened_in_a_forked_process(directory: Path) -> None:
    with EdgeIndex(directory, dim=DIM) as index:
        index.upsert(records(DOCUMENTS))

    def child() -> int:
        with EdgeIndex(directory) as opened:
            return opened.count()

    assert in_fork(child) == str(len(DOCUMENTS))


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.deepcopy, copy.copy])
def test_an_index_in_a_directory_is_not_copied(
    directory: Path, duplicate: Callable[[object], object]
) -> None:
    with (
        open_index(directory, dim=DIM) as index,
        pytest.raises(TypeError, match=r"cannot be pickled .* open an index by its address"),
    ):
        duplicate(index)


def test_an_index_on_a_server_is_opened_again(server: Any) -> None:
    address = f"qdrant://{server.address}/papers"
    with open_index(address, dim=DIM, model="hash@1") as index:
        index.upsert(records(DOCUMENTS))
        for other in (pickled(index), copy.deepcopy(index)):
            with other:
                assert (other.count(), other.model) == (len(DOCUMENTS), "hash@1")


def test_an_index_in_memory_is_pickled() -> None:
    index = MemoryIndex(DIM)
    index.upsert(records(DOCUMENTS))
    other = pickled(WithColbert(index, CachedEncoder(HashEncoder())))
    assert other.count() == len(DOCUMENTS)


def _content(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


# Damaged directories


def _made(directory: Path) -> None:
    with EdgeIndex(directory, dim=DIM) as index:
        index.upsert(records(DOCUMENTS))


@pytest.mark.parametrize(
    "file",
    [
        "wal/first-index",
        "edge_config.json",
        "segments/*/vector_storage-dense/vectors/status.dat",
        "segments/*/segment.json",
    ],
)
def test_a_truncated_file_is_an_error_that_names_the_directory(directory: Path, file: str) -> None:
    _made(directory)
    for path in (directory / "edge").glob(file):
        os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(IndexNotFoundError, match=rf"{directory} is damaged .* from a copy"):
        open_index(directory)
    shutil.rmtree(directory)
    _made(directory)  # the lock was released


@pytest.mark.slow
def test_no_truncated_file_is_a_panic(directory: Path, tmp_path: Path) -> None:
    _made(tmp_path / "whole")
    for file in [path for path in (tmp_path / "whole").rglob("*") if path.is_file()]:
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(tmp_path / "whole", directory)
        os.truncate(directory / file.relative_to(tmp_path / "whole"), file.stat().st_size // 2)
        with suppress(Exception), open_index(directory) as index:  # and nothing else
            list(index.scan(None, ("dense", "sparse", "colbert")))
            index.search(Search(query=query("dog")))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: _says(path, "local"),
        lambda path: _says(path, "local").rename(path / "local"),
        lambda path: (path / "edge" / "edge_config.json").unlink(),
        lambda path: (path / "edge").rename(path / "local"),
    ],
    ids=["the other engine's", "renamed", "emptied", "moved"],
)
def test_data_of_another_engine_is_refused_and_left(
    directory: Path, damage: Callable[[Path], object]
) -> None:
    _made(directory)
    damage(directory)
    before = sorted(directory.rglob("*"))
    with pytest.raises(IndexNotFoundError, match=rf"{directory} is damaged"):
        open_index(directory)
    assert sorted(directory.rglob("*")) == before


def _says(path: Path, engine: str) -> Path:
    """Change the engine that the manifest names, and return the folder of Edge."""
    manifest = json.loads((path / "m3kit.json").read_text())
    (path / "m3kit.json").write_text(json.dumps({**manifest, "engine": engine}))
    return path / "edge"
