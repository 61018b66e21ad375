"""Directories and collections that are read, by several processes at a time."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.mounts import read_only
from tests.processes import in_fork, pickled

from m3kit import ReadOnlyError, open_index
from m3kit.adapters.read_only import copy_files
from m3kit.filters import All, Eq
from m3kit.index import (
    HybridIndex,
    IndexLockedError,
    IndexNotFoundError,
    ModelMismatchError,
    Search,
)
from m3kit.memory import MemoryIndex
from m3kit.records import Document
from m3kit.testing import DIM, DOCUMENTS, assert_same_hits, query, records
from m3kit.vectors import REPS

MODEL = "hash@1"
SEARCH = Search(query=query("the growling bear"), where=Eq("lang", "en"), with_scores=True)
COUNT = "import sys; from m3kit import open_index; {}; print(open_index(sys.argv[1]{}).count())"


@pytest.fixture(params=["edge", "local", "server"])
def address(
    request: pytest.FixtureRequest, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    if request.param == "server":
        return f"qdrant://{request.getfixturevalue('server').address}/papers"
    if request.param == "local":
        monkeypatch.setitem(sys.modules, "qdrant_edge", None)
    return f"{directory}"


@pytest.fixture
def filled(address: str) -> str:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("m3kit_qdrant.opening.warn", lambda *_, **__: None)
        with open_index(address, dim=DIM, model=MODEL) as index:
            index.upsert(records(DOCUMENTS))
    return address


@pytest.fixture
def made(directory: Path) -> Path:
    """An index of Edge's in a directory."""
    with open_index(directory, dim=DIM, model=MODEL) as index:
        index.upsert(records(DOCUMENTS))
    return directory


@pytest.fixture(autouse=True)
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of readers' copies, of this test alone."""
    folder = tmp_path / "copies"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", f"{folder}")
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def test_a_reader_answers_as_the_oracle_and_refuses_to_write(filled: str) -> None:
    oracle = MemoryIndex(DIM, model=MODEL)
    oracle.upsert(records(DOCUMENTS))
    writes: list[Callable[[HybridIndex], object]] = [
        lambda index: index.upsert(records(DOCUMENTS)),
        lambda index: index.upsert([]),
        lambda index: index.delete(["1"]),
        lambda index: index.delete_where(All()),
    ]
    with open_index(filled, read_only=True) as index:
        assert (index.reps, index.model) == (oracle.reps, MODEL)
        assert_same_hits(index.search(SEARCH), oracle.search(SEARCH))
        ids = [document.id for document in DOCUMENTS]
        assert [record.document for record in index.get(ids)] == [*DOCUMENTS]
        assert {record.document.id for record in index.scan(None, REPS)} == set(ids)
        for write in writes:
            with pytest.raises(ReadOnlyError, match="opened with read_only=True; open it without"):
                write(index)
        index.flush()
        assert index.count() == len(DOCUMENTS)


def test_several_read_and_then_one_writes(filled: str) -> None:
    with (
        open_index(filled, read_only=True) as first,
        pickled(first) as second,
        open_index(filled, read_only=True, model=MODEL) as third,
    ):
        for index in (first, second, third):
            assert index.count() == len(DOCUMENTS)
        with open_index(filled) as writer:
            writer.delete([DOCUMENTS[0].id])
            assert writer.count() == len(DOCUMENTS) - 1


def test_a_reader_goes_on_with_what_it_opened(made: Path) -> None:
    with open_index(made, read_only=True) as reader:
        with open_index(made) as writer:
            writer.delete_where(All())
            writer.upsert(records([Document("new", "a new text")]))
        assert reader.count() == len(DOCUMENTS)
        with open_index(made, read_only=True) as later:
            assert [record.document.id for record in later.scan()] == ["new"]
        shutil.rmtree(made)
        assert len(reader.search(SEARCH)) == 10


def test_nobody_reads_what_is_open_to_be_written(made: Path) -> None:
    with open_index(made), pytest.raises(IndexLockedError, match="read an index that none writes"):
        open_index(made, read_only=True)
    with open_index(made, read_only=True) as index:
        assert index.count() == len(DOCUMENTS)


def test_other_processes_read_at_the_same_time(made: Path) -> None:
    command = [sys.executable, "-c", COUNT.format("pass", ", read_only=True"), f"{made}"]
    with open_index(made, read_only=True):
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        assert [process.communicate(timeout=60)[0] for process in running] == ["11\n"] * 3


def test_a_writer_waits_for_readers_that_copy(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And does not take them for a process that has the index open."""
    started: list[subprocess.Popen[str]] = []

    def copy(source: Path, target: Path) -> None:
        command = [sys.executable, "-c", COUNT.format("print('up', flush=True)", ""), f"{made}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        started.append(process)
        copy_files(source, target)

    monkeypatch.setattr("m3kit_qdrant.directory.copy_files", copy)
    with open_index(made, read_only=True) as reader:
        assert started[0].communicate(timeout=60)[0] == "11\n"
        assert reader.count() == len(DOCUMENTS)


def test_copies_take_little_room_and_are_removed(made: Path, copies: Path) -> None:
    with open_index(made, read_only=True) as index:
        files = [path.stat() for path in copies.rglob("*") if path.is_file()]
        assert 0 < sum(file.st_blocks * 512 for file in files) < 8 * 2**20
        assert in_fork(index.close) == "None"
        assert "was opened before this process was forked" in in_fork(index.count)
        assert index.count() == len(DOCUMENTS)
    index.close()
    assert [*copies.iterdir()] == []
    script = "from m3kit import open_index; import sys; open_index(sys.argv[1], read_only=True)"
    subprocess.run([sys.executable, "-c", script, made], check=True, timeout=60)
    assert [*copies.iterdir()] == []


def test_what_is_not_there_is_not_made(directory: Path, made: Path, copies: Path) -> None:
    nowhere = directory.with_name("nowhere")
    with pytest.raises(IndexNotFoundError, match="a reader creates none"):
        open_index(nowhere, read_only=True)
    assert not nowhere.exists()
    with pytest.raises(ValueError, match="leave dim= out"):
        open_index(made, dim=DIM, read_only=True)
    with pytest.raises(ModelMismatchError, match=f"the index in {made} was made by {MODEL}"):
        open_index(made, model="other@2", read_only=True)
    shutil.rmtree(made / "edge")
    with pytest.raises(IndexNotFoundError, match="its folder edge/ is gone"):
        open_index(made, read_only=True)
    assert [*copies.iterdir()] == []


def test_a_file_system_that_is_read_only_is_read_and_not_written(made: Path) -> None:
    with read_only(made, made):
        with pytest.raises(OSError, match="Read-only file system") as raised:
            open_index(made)
        assert not isinstance(raised.value, IndexLockedError)
        with open_index(made, read_only=True) as index:
            assert index.count() == len(DOCUMENTS)
    with open_index(made) as index:
        assert index.count() == len(DOCUMENTS)


def test_what_another_writes_is_not_read_from_a_read_only_mount(made: Path, tmp_path: Path) -> None:
    view = tmp_path / "view"
    view.mkdir()
    with read_only(made, view):
        with open_index(made), pytest.raises(IndexLockedError):
            open_index(view, read_only=True)
        with open_index(view, read_only=True) as index:
            assert index.count() == len(DOCUMENTS)
