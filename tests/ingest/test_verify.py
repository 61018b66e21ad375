"""What a comparison of index, ledger and source shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from m3kit import Document, MemoryIndex, Record
from m3kit.ingest import Ledger, Reject, SourceDocument, delete, sync, verify
from m3kit.ingest.fingerprints import Fingerprint
from m3kit.testing import DIM, HashEncoder


class Doubling(MemoryIndex):
    """Returns one document twice."""

    def scan(self, *args: Any, **options: Any) -> Iterator[Record]:
        for record in super().scan(*args, **options):
            yield record
            if record.document.id == "doubled":
                yield record


def source(*ids: str) -> list[SourceDocument]:
    return [SourceDocument(id=id_, text=f"text {id_}", metadata={}, source="a") for id_ in ids]


def write(index: MemoryIndex, document: Document) -> None:
    index.upsert([Record(document, *HashEncoder().encode_documents([document.text]))])


@pytest.fixture
def index() -> MemoryIndex:
    return Doubling(DIM, model="hash")


def test_every_kind_of_difference_is_named(tmp_path: Path, index: MemoryIndex) -> None:
    written = source("same", "missing", "changed", "relabelled", "doubled", "vanished", "edited")
    with Ledger(tmp_path / "ledger", index) as ledger:
        sync(HashEncoder(), index, written, ledger=ledger)
        index.delete(["missing"])
        write(index, Document("changed", "another text"))
        write(index, Document("relabelled", "text relabelled", {"year": 1}))
        write(index, Document("unknown", "bear"))
        ledger.plan(unchanged=[], pending=[Fingerprint.of(Document("pending", "x"))])
        edited = SourceDocument(id="edited", text="a new text", metadata={}, source="a")
        now = [*source("same", "missing", "changed", "relabelled", "doubled", "pending"), edited]
        report = verify(index, ledger=ledger, documents=[*now, Reject("b", 3, "broken")])
    found = {name: sorted(difference.examples) for name, difference in report.differences()}
    assert found == {
        "doubled": ["doubled"],
        "missing": ["missing"],
        "changed": ["changed", "relabelled"],
        "pending": ["pending"],
        "outdated": ["changed", "edited", "missing", "pending", "relabelled"],
        "vanished": ["vanished"],
        "unknown": ["unknown"],
        "rejected": ["b:3: broken"],
    }
    assert not report.ok
    assert report.to_json()["missing"] == {"count": 1, "examples": ["missing"]}


def test_an_index_is_right_though_others_write_to_it(tmp_path: Path, index: MemoryIndex) -> None:
    with Ledger(tmp_path / "ledger", index) as ledger:
        sync(HashEncoder(), index, source("a", "b"), ledger=ledger)
        write(index, Document("unknown", "bear"))
        assert verify(index, ledger=ledger, documents=source("a", "b")).ok
    assert verify(index, documents=source("a", "b")).ok
    assert not verify(index, documents=source("a", "b", "c")).ok


def test_what_was_deleted_is_written_again_by_the_next_run(
    tmp_path: Path, index: MemoryIndex
) -> None:
    with Ledger(tmp_path / "ledger", index) as ledger:
        sync(HashEncoder(), index, source("a", "b"), ledger=ledger)
        assert delete(index, ["a", "a", "nobody"], ledger=ledger) == 1
        assert index.count() == 1
        assert ledger.count() == 1
        assert verify(index, ledger=ledger).ok
        assert sync(HashEncoder(), index, source("a", "b"), ledger=ledger).encoded == 1
