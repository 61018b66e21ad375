"""What Milvus Lite's files survive: kills at bad moments, a disk without room, forks."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.mounts import read_only
from tests.processes import in_fork, pickled

from m3kit import All, open_index
from m3kit.index import IndexLockedError, IndexNotFoundError, ReadOnlyError, Search
from m3kit.testing import DIM, DOCUMENTS, query, records

KILLED_WHILE_CREATING = """
import os, signal, sys
from m3kit import open_index
replace = os.replace
def die(source, target, **options):
    if target.endswith("schema.json"):
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(source, target, **options)
os.replace = die
open_index(sys.argv[1], dim=32, model="hash@1")
"""
KILLED_LATE_IN_A_FLUSH = """
import os, signal, sys
from m3kit import open_index
from m3kit.testing import DIM, DOCUMENTS, records
from milvus_lite.storage.wal import WAL
index = open_index(sys.argv[1], dim=DIM, reps=["dense", "sparse"], model="hash@1")
index.upsert(records(DOCUMENTS))
WAL.close_and_delete = lambda self: os.kill(os.getpid(), signal.SIGKILL)
index.flush()
"""
KILLED_WHILE_AN_INDEX_IS_WRITTEN = """
import os, signal, sys
from pathlib import Path
from m3kit import open_index
from m3kit.testing import DIM, DOCUMENTS, records
from milvus_lite.index.brute_force import BruteForceIndex
save = BruteForceIndex.save
def die(self, path):
    save(self, path)
    os.truncate(path, int(sys.argv[2]))
    os.kill(os.getpid(), signal.SIGKILL)
index = open_index(sys.argv[1], dim=DIM, reps=["dense", "sparse"], model="hash@1")
index.upsert(records(DOCUMENTS))
BruteForceIndex.save = die
index.flush()
"""
KILLED_AFTER_A_FULL_DISK = """
import os, resource, signal, sys
from m3kit import Document, open_index
from m3kit.testing import DIM, records
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
index = open_index(sys.argv[1], dim=DIM, reps=["dense", "sparse"], model="hash@1")
def upsert(n):
    index.upsert(records([Document(str(n), "the dog is barking " * 500)]))
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, most))
acknowledged = 0
try:
    while True:
        upsert(acknowledged)
        acknowledged += 1
except Exception as error:
    pass
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
for _ in range(3):
    try:
        upsert(acknowledged)
        acknowledged += 1
    except OSError as error:
        print(error)
assert index.count() == acknowledged
if sys.argv[2] == "close":
    index.close()
    with open_index(sys.argv[1]) as index:
        assert index.count() == acknowledged, index.count()
        upsert(acknowledged)
    acknowledged += 1
print(acknowledged, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def _killed(script: str, *args: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, args)],
        check=False,  # it ends by a signal
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout


def test_a_kill_while_a_collection_is_made_leaves_the_address_usable(file: Path) -> None:
    address = f"milvus://{file}/papers"
    _killed(KILLED_WHILE_CREATING, address)
    assert (file / "collections" / "papers").exists()
    with pytest.raises(IndexNotFoundError):
        open_index(address)
    with open_index(address, dim=DIM, model="hash@1") as index:
        index.upsert(records(DOCUMENTS))
        assert index.count() == len(DOCUMENTS)


def test_only_what_has_no_schema_is_removed(file: Path) -> None:
    with open_index(f"milvus://{file}/papers", dim=DIM) as index:
        index.upsert(records(DOCUMENTS))
    notes = file / "collections" / "mine" / "notes.txt"
    notes.parent.mkdir()
    notes.write_text("mine")
    with open_index(f"milvus://{file}/papers") as index:
        assert index.count() == len(DOCUMENTS)
    assert notes.exists()


def test_a_kill_late_in_a_flush_doubles_nothing(file: Path) -> None:
    address = f"milvus://{file}/papers"
    _killed(KILLED_LATE_IN_A_FLUSH, address)
    for _ in range(2):
        with open_index(address) as index:
            index.upsert(records(DOCUMENTS[:1]))
            assert index.count() == len(DOCUMENTS)
            hits = index.search(Search(query=query("dog").only("dense", "sparse"), k=100))
            assert sorted(hit.document.id for hit in hits) == sorted(d.id for d in DOCUMENTS)


@pytest.mark.parametrize("size", [0, 200])
def test_a_kill_while_a_vector_index_is_written_loses_nothing(file: Path, size: int) -> None:
    address = f"milvus://{file}/papers"
    _killed(KILLED_WHILE_AN_INDEX_IS_WRITTEN, address, size)
    (damaged,) = file.glob("collections/papers/partitions/*/indexes/*idx")
    assert damaged.stat().st_size == size
    with open_index(address) as index:
        assert index.count() == len(DOCUMENTS)
        hits = index.search(Search(query=query("dog").only("dense"), k=100))
        assert sorted(hit.document.id for hit in hits) == sorted(d.id for d in DOCUMENTS)
    assert not (file / "m3kit.open").exists()
    (damaged,) = file.glob("collections/papers/partitions/*/indexes/*idx")
    for is_read in (True, False):  # one whose disk was full has closed the file in order
        damaged.write_bytes(b"")
        with open_index(address, read_only=is_read) as index:
            assert index.count() == len(DOCUMENTS)


@pytest.mark.parametrize("then", ["close", "kill"])
def test_after_a_failed_write_nothing_is_acknowledged_and_lost(file: Path, then: str) -> None:
    address = f"milvus://{file}/papers"
    *refusals, acknowledged = _killed(KILLED_AFTER_A_FULL_DISK, address, then).splitlines()
    assert len(refusals) == 3
    assert all(re.search(r"make room, close this index and open it", line) for line in refusals)
    assert int(acknowledged) > 1
    with open_index(address) as index:
        assert index.count() == int(acknowledged)


def test_what_keeps_a_file_from_opening_is_named(tmp_path: Path) -> None:
    long = tmp_path / f"{'a' * 300}.db"
    with pytest.raises(OSError, match="too long"):
        open_index(f"milvus://{long}/papers", dim=DIM)
    blocked = tmp_path / "blocked.db"
    (blocked / "LOCK").mkdir(parents=True)
    with pytest.raises(OSError, match=r"Milvus Lite cannot open it .*LOCK") as raised:
        open_index(f"milvus://{blocked}/papers", dim=DIM)
    assert not isinstance(raised.value, IndexLockedError)
    plain = tmp_path / "plain.db"
    plain.write_text("not a directory")
    with pytest.raises(IndexNotFoundError, match="it is no directory"):
        open_index(f"milvus://{plain}/papers", dim=DIM)


def test_several_processes_read_what_none_writes(file: Path) -> None:
    address = f"milvus://{file}/papers"
    with open_index(address, dim=DIM, model="hash@1") as index:
        index.upsert(records(DOCUMENTS))
        with pytest.raises(IndexLockedError, match="read_only=True"):
            open_index(address, read_only=True)
    with open_index(address, read_only=True) as index, pickled(index) as other:
        for reader in (index, other):
            assert (reader.count(), reader.model) == (len(DOCUMENTS), "hash@1")
            with pytest.raises(ReadOnlyError, match="open it without to write"):
                reader.delete_where(All())
        with open_index(address) as writer:
            writer.delete([DOCUMENTS[0].id])
            assert (writer.count(), index.count()) == (len(DOCUMENTS) - 1, len(DOCUMENTS))
    with pytest.raises(IndexNotFoundError, match="no index at the collection 'others'"):
        open_index(f"milvus://{file}/others", read_only=True)


def test_a_read_only_mount_is_read_and_not_said_to_be_locked(file: Path) -> None:
    with open_index(f"milvus://{file}/papers", dim=DIM) as index:
        index.upsert(records(DOCUMENTS))
    with read_only(file.parent, file.parent):
        for address in (f"milvus://{file}/papers", f"milvus://{file.parent}/new.db/papers"):
            with pytest.raises(OSError, match="Read-only file system") as raised:
                open_index(address, dim=DIM)
            assert not isinstance(raised.value, IndexLockedError)
        with open_index(f"milvus://{file}/papers", read_only=True) as index:
            assert index.count() == len(DOCUMENTS)


def test_a_forked_process_is_told_to_open_its_own_and_harms_nothing(file: Path) -> None:
    with open_index(f"milvus://{file}/papers", dim=DIM) as index:
        index.upsert(records(DOCUMENTS))
        assert in_fork(index.count).startswith("RuntimeError: the collection 'papers' was opened")
        in_fork(index.close)
        in_fork(lambda: sys.exit(0))
        index.upsert(records(DOCUMENTS[:1]))
        assert index.count() == len(DOCUMENTS)


def test_an_index_that_is_left_open_ends_quietly(file: Path) -> None:
    script = "import sys; from m3kit import open_index; i = open_index(sys.argv[1], dim=32)"
    done = subprocess.run(
        [sys.executable, "-c", script, f"milvus://{file}/papers"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""


def test_an_index_in_a_file_is_not_pickled(file: Path) -> None:
    with (
        open_index(f"milvus://{file}/papers", dim=DIM) as index,
        pytest.raises(TypeError, match="cannot be pickled"),
    ):
        pickled(index)


def test_an_index_on_a_server_is_opened_again(server: str) -> None:
    with open_index(f"milvus://{server}/pickled", dim=DIM, model="hash@1") as index:
        index.upsert(records(DOCUMENTS))
        with pickled(index) as other:
            assert (other.count(), other.model) == (len(DOCUMENTS), "hash@1")
