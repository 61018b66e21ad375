"""What a ledger holds, and what it refuses."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from m3kit import Document, MemoryIndex
from m3kit.ingest import Ledger, LedgerError, ledger_path
from m3kit.ingest.fingerprints import Fingerprint, is_positional
from m3kit.testing import DIM
from m3kit_qdrant import EdgeIndex


def fingerprint(id_: str, source: str = "a.txt") -> Fingerprint:
    return replace(Fingerprint.of(Document(id_, "text")), source=source)


@pytest.fixture
def index() -> MemoryIndex:
    return MemoryIndex(DIM, model="hash@1")


def test_what_was_planned_is_pending_until_it_is_committed(
    tmp_path: Path, index: MemoryIndex
) -> None:
    with Ledger(tmp_path / "ledger", index) as ledger:
        assert ledger.start()
        ledger.plan(unchanged=[], pending=[fingerprint("a"), fingerprint("b")])
        assert (ledger.count(), ledger.count(pending=True)) == (0, 2)
        ledger.commit([fingerprint("a")], "recipe")
    with Ledger(tmp_path / "ledger", index) as ledger:
        assert not ledger.start()  # it has not ended
        entries = ledger.get(["a", "b", "c"])
        assert entries["a"].is_durable
        assert entries["a"].fingerprint == fingerprint("a")
        assert entries["a"].recipe == "recipe"
        assert not entries["b"].is_durable
        assert [item.id for item, _ in ledger.unseen()] == ["a", "b"]
        ledger.end(2)
        assert ledger.start()
        assert ledger.index_count == 2


def test_unseen_documents_tell_whether_their_source_was_seen(
    tmp_path: Path, index: MemoryIndex
) -> None:
    many = [fingerprint(f"a.txt#{n:04}") for n in range(1200)]
    other = fingerprint("b.txt#1", source="b.txt")
    with Ledger(tmp_path / "ledger", index) as ledger:
        ledger.start()
        ledger.commit([*many, other], "recipe")
        ledger.start()
        ledger.plan(unchanged=many[:1], pending=[])
        unseen = list(ledger.unseen())
        assert [item.id for item, _ in unseen] == [item.id for item in [*many[1:], other]]
        assert {item.source for item, seen in unseen if seen} == {"a.txt"}
        assert ledger.sources() == {"a.txt": 1200, "b.txt": 1}


def test_metadata_counts_whatever_its_order() -> None:
    first = Fingerprint.of(Document("a", "x", {"b": 1, "c": {"d": 2, "e": 3}}))
    assert first == Fingerprint.of(Document("a", "x", {"c": {"e": 3, "d": 2}, "b": 1}))
    for value in (1.0, True, "1"):
        other = Document("a", "x", {"b": value, "c": {"d": 2, "e": 3}})
        assert first.metadata != Fingerprint.of(other).metadata
    assert first.text != Fingerprint.of(Document("a", "y")).text


@pytest.mark.parametrize(
    ("id_", "source", "positional"),
    [
        ("a.txt#1", "a.txt", True),
        ("a.txt", "a.txt", True),
        ("a.txt#how-to", "a.txt", True),
        ("a.txt2", "a.txt", False),
        ("7", "rows.jsonl", False),
        ("#1", "", False),
    ],
)
def test_ids_of_places_are_told_from_those_that_documents_bring(
    id_: str,
    source: str,
    positional: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    assert is_positional(id_, source) == positional


def test_a_damaged_or_foreign_file_is_one_line_that_says_what_to_do(
    tmp_path: Path, index: MemoryIndex
) -> None:
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"SQLite format 3\0" + b"x" * 4096)
    with pytest.raises(LedgerError, match=r"damaged .*remove it, and the next run"):
        Ledger(damaged, index)
    foreign = tmp_path / "foreign"
    with sqlite3.connect(foreign) as database:
        database.execute("CREATE TABLE mine (x)")
    with pytest.raises(LedgerError, match="of something else"):
        Ledger(foreign, index)
    newer = tmp_path / "newer"
    with sqlite3.connect(newer) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match="newer version; upgrade"):
        Ledger(newer, index)
    with pytest.raises(OSError, match="cannot be opened"):
        Ledger(tmp_path / "missing" / "ledger", index)


def test_two_processes_do_not_share_a_ledger(tmp_path: Path, index: MemoryIndex) -> None:
    code = (
        "import sys; from m3kit import MemoryIndex; from m3kit.ingest import Ledger\n"
        "Ledger(sys.argv[1], MemoryIndex(int(sys.argv[2]), model='hash@1'))"
    )
    with Ledger(tmp_path / "ledger", index):
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "ledger", str(DIM)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert "is in use by another process" in done.stderr


def test_the_ledger_of_an_index_in_files_moves_with_it(tmp_path: Path, index: MemoryIndex) -> None:
    with EdgeIndex(tmp_path / "index", dim=DIM) as edge:
        assert ledger_path(edge) == tmp_path / "index" / "m3kit.ledger"
        ledger = Ledger.beside(edge)
        assert ledger is not None
        ledger.close()
    assert Ledger.beside(index) is None
