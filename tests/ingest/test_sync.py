"""The index follows its source: what a run writes, skips, rewrites and deletes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from m3kit import Document, DocumentError, M3Output, MemoryIndex, Record, Rep
from m3kit.ingest import Ledger, LedgerError, Reject, RejectsFile, Retries, SourceDocument, sync
from m3kit.ingest.documents import SourceError
from m3kit.testing import DIM, HashEncoder
from m3kit_qdrant import EdgeIndex


class CountingEncoder(HashEncoder):
    """Counts the texts that it is given."""

    def __init__(self, model: str = "hash@1") -> None:
        self.model = model
        self.texts: list[str] = []

    def encode_documents(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        self.texts += texts
        return super().encode_documents(texts, reps)


def paragraphs(*texts: str, source: str = "notes.txt", **metadata: Any) -> list[SourceDocument]:
    return [
        SourceDocument(
            id=f"{source}#{n}", text=text, metadata={"source": source, **metadata}, source=source
        )
        for n, text in enumerate(texts, 1)
    ]


@pytest.fixture
def encoder() -> CountingEncoder:
    return CountingEncoder()


@pytest.fixture
def index() -> MemoryIndex:
    return MemoryIndex(DIM, model="hash@1")


@pytest.fixture
def ledger(tmp_path: Path, index: MemoryIndex) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger", index) as ledger:
        yield ledger


def texts(index: MemoryIndex) -> dict[str, str]:
    return {record.document.id: record.document.text for record in index.scan()}


def test_what_did_not_change_is_neither_encoded_nor_written(
    encoder: CountingEncoder, index: MemoryIndex, ledger: Ledger
) -> None:
    documents = paragraphs("cats", "dogs", "birds")
    first = sync(encoder, index, documents, ledger=ledger)
    assert (first.read, first.encoded, first.unchanged) == (3, 3, 0)
    again = sync(encoder, index, documents, ledger=ledger)
    assert (again.read, again.encoded, again.unchanged, again.written) == (3, 0, 3, 0)
    assert encoder.texts == ["cats", "dogs", "birds"]


def test_an_edited_file_leaves_no_old_paragraph(
    encoder: CountingEncoder, index: MemoryIndex, ledger: Ledger
) -> None:
    sync(encoder, index, paragraphs("cats", "dogs", "birds"), ledger=ledger)
    edited = sync(encoder, index, paragraphs("cats", "fish"), ledger=ledger)
    assert (edited.encoded, edited.unchanged, edited.deleted) == (1, 1, 1)
    assert texts(index) == {"notes.txt#1": "cats", "notes.txt#2": "fish"}


def test_metadata_alone_is_rewritten_with_the_vectors_that_are_there(
    encoder: CountingEncoder, index: MemoryIndex, ledger: Ledger
) -> None:
    sync(encoder, index, paragraphs("cats", "dogs", year=1), ledger=ledger)
    (before,) = index.get(["notes.txt#1"], index.reps)
    summary = sync(encoder, index, paragraphs("cats", "dogs", year=2), ledger=ledger)
    assert (summary.encoded, summary.rewritten) == (0, 2)
    assert encoder.texts == ["cats", "dogs"]
    (after,) = index.get(["notes.txt#1"], index.reps)
    assert after.document.metadata == {"source": "notes.txt", "year": 2}
    assert after.output.dense is not None
    assert before.output.dense is not None
    assert after.output.dense.tolist() == before.output.dense.tolist()


def test_pooled_vectors_are_encoded_again_since_pooling_twice_changes_them(
    encoder: CountingEncoder, tmp_path: Path
) -> None:
    from m3kit import ColbertStorage

    index = MemoryIndex(DIM, model="hash@1", colbert=ColbertStorage(pool_factor=2))
    with Ledger(tmp_path / "ledger", index) as ledger:
        sync(encoder, index, paragraphs("cats and dogs and birds", year=1), ledger=ledger)
        summary = sync(encoder, index, paragraphs("cats and dogs and birds", year=2), ledger=ledger)
    assert (summary.encoded, summary.rewritten) == (1, 0)


@pytest.mark.parametrize("change", [{"chunking": "512"}, {"model": "hash@2"}])
def test_another_chunking_or_model_has_everything_encoded_again(
    change: dict[str, str], index: MemoryIndex, ledger: Ledger
) -> None:
    index._model = None  # so that it takes any
    documents = paragraphs("cats", "dogs")
    sync(CountingEncoder(), index, documents, ledger=ledger)
    encoder = CountingEncoder(change.pop("model", "hash@1"))
    assert sync(encoder, index, documents, ledger=ledger, **change).encoded == 2  # type: ignore[arg-type]  # a dict of options


def test_prune_deletes_what_vanished_and_nothing_that_others_wrote(
    encoder: CountingEncoder, index: MemoryIndex, ledger: Ledger
) -> None:
    index.upsert([Record(Document("theirs", "bear"), *HashEncoder().encode_documents(["bear"]))])
    old = [*paragraphs("cats"), *paragraphs("dogs", source="gone.txt")]
    own_id = SourceDocument(id="own", text="fish", metadata={}, source="rows.jsonl")
    sync(encoder, index, [*old, own_id], ledger=ledger)
    other_id = SourceDocument(id="other", text="fish", metadata={}, source="rows.jsonl")
    now = [*paragraphs("cats"), other_id]
    assert sync(encoder, index, now, ledger=ledger).deleted == 0
    assert set(texts(index)) == {"theirs", "notes.txt#1", "gone.txt#1", "own", "other"}
    assert sync(encoder, index, now, ledger=ledger, prune=True).deleted == 2
    assert set(texts(index)) == {"theirs", "notes.txt#1", "other"}


def test_prune_without_a_ledger_is_refused(encoder: CountingEncoder, index: MemoryIndex) -> None:
    with pytest.raises(ValueError, match="prune needs a ledger"):
        sync(encoder, index, [], prune=True)


def test_what_could_not_be_read_is_not_pruned(
    encoder: CountingEncoder, index: MemoryIndex, ledger: Ledger, tmp_path: Path
) -> None:
    sync(encoder, index, paragraphs("cats", "dogs"), ledger=ledger)
    broken: list[Document | Reject] = [*paragraphs("cats"), Reject("notes.txt", 7, "not UTF-8")]
    with RejectsFile(tmp_path / "rejects.jsonl") as rejects:
        summary = sync(encoder, index, broken, ledger=ledger, prune=True, rejects=rejects)
    assert (summary.rejected, summary.deleted) == (1, 0)
    assert set(texts(index)) == {"notes.txt#1", "notes.txt#2"}
    written = (tmp_path / "rejects.jsonl").read_text("utf-8")
    assert written == '{"source": "notes.txt", "line": 7, "reason": "not UTF-8"}\n'
    with RejectsFile(tmp_path / "rejects.jsonl"):
        pass
    assert not (tmp_path / "rejects.jsonl").exists()


class Picky(MemoryIndex):
    """Cannot hold the text `bad`, and finds out about `worse` only when it writes."""

    def check_document(self, document: Document, /) -> None:
        if document.text == "bad":
            raise DocumentError(f"document {document.id!r} is bad")

    def upsert(self, records: Sequence[Record], /) -> None:
        if any(record.document.text == "worse" for record in records):
            raise DocumentError("a document is worse")
        super().upsert(records)


def test_a_document_that_the_engine_cannot_hold_is_a_reject(
    encoder: CountingEncoder, tmp_path: Path
) -> None:
    index = Picky(DIM, model="hash@1")
    rejects = RejectsFile(None)
    with Ledger(tmp_path / "ledger", index) as ledger:
        sync(encoder, index, paragraphs("cats", "dogs", "birds", "fish"), ledger=ledger)
        changed = paragraphs("cats", "bad", "worse", "bears")
        summary = sync(encoder, index, changed, ledger=ledger, prune=True, rejects=rejects)
        assert (summary.encoded, summary.rejected, summary.deleted) == (1, 2, 0)
        assert [reject.source for reject in rejects.examples] == ["notes.txt"] * 2
        assert list(texts(index).values()) == ["cats", "dogs", "birds", "bears"]
        with pytest.raises(DocumentError, match="is bad"):
            sync(encoder, index, changed, ledger=ledger, strict=True)
        with pytest.raises(DocumentError, match="is worse"):
            sync(encoder, index, changed[2:], ledger=ledger, strict=True)
        with pytest.raises(SourceError, match="x:1: broken"):
            sync(encoder, index, [Reject("x", 1, "broken")], ledger=ledger, strict=True)


def test_the_last_document_of_an_id_wins_in_every_run(
    encoder: CountingEncoder, index: MemoryIndex, ledger: Ledger
) -> None:
    def same_id(*texts: str) -> list[SourceDocument]:
        return [SourceDocument(id="a", text=text, metadata={}, source="x") for text in texts]

    sync(encoder, index, same_id("cats"), ledger=ledger)
    for _ in range(2):
        sync(encoder, index, same_id("dogs", "cats"), ledger=ledger, batch_size=1)
        assert texts(index) == {"a": "cats"}
        sync(encoder, index, same_id("dogs", "cats"), ledger=ledger)
        assert texts(index) == {"a": "cats"}


def test_an_index_that_lost_or_doubled_documents_gets_each_once(
    encoder: CountingEncoder, ledger: Ledger, index: MemoryIndex
) -> None:
    documents = paragraphs("cats", "dogs", "birds")
    sync(encoder, index, documents, ledger=ledger)
    index.delete(["notes.txt#2"])
    summary = sync(encoder, index, documents, ledger=ledger)
    assert (summary.recovered, summary.encoded, summary.unchanged) == (1, 1, 2)
    assert index.count() == 3


class Doubling(MemoryIndex):
    """Returns a document twice until it is deleted."""

    twice: str | None = None

    def scan(self, *args: Any, **options: Any) -> Iterator[Record]:
        for record in super().scan(*args, **options):
            yield record
            if record.document.id == self.twice:
                yield record

    def count(self, *args: Any) -> int:
        return super().count(*args) + (self.twice is not None)

    def delete(self, ids: Sequence[str], /) -> None:
        super().delete(ids)
        if self.twice in ids:
            self.twice = None


def test_a_doubled_document_is_deleted_and_written_once(
    encoder: CountingEncoder, tmp_path: Path
) -> None:
    index, documents = Doubling(DIM, model="hash@1"), paragraphs("cats", "dogs")
    with Ledger(tmp_path / "ledger", index) as ledger:
        sync(encoder, index, documents, ledger=ledger)
        index.twice = "notes.txt#1"
        assert sync(encoder, index, documents, ledger=ledger).recovered == 1
    assert index.count() == 2
    assert encoder.texts == ["cats", "dogs", "cats"]


class Failing(MemoryIndex):
    """Fails a number of times with an error, having written half a batch."""

    errors: list[Exception]

    def upsert(self, records: Sequence[Record], /) -> None:
        if self.errors:
            super().upsert(records[: len(records) // 2])
            raise self.errors.pop()
        super().upsert(records)


def test_errors_that_may_pass_are_tried_again_and_others_are_not(
    encoder: CountingEncoder, tmp_path: Path
) -> None:
    index = Failing(DIM, model="hash@1")
    quick = Retries(attempts=3, first_wait=0.001)
    with Ledger(tmp_path / "ledger", index) as ledger:
        index.errors = [ConnectionError("gone"), TimeoutError("slow")]
        summary = sync(
            encoder, index, paragraphs("cats", "dogs", "birds"), ledger=ledger, retries=quick
        )
        assert (summary.retries, summary.encoded, index.count()) == (2, 3, 3)
        index.errors = [ConnectionError("gone") for _ in range(9)]
        with pytest.raises(ConnectionError) as error:
            sync(encoder, index, paragraphs("fish"), ledger=ledger, retries=quick)
        assert "gave up after 3 attempts" in error.value.__notes__
        assert len(index.errors) == 6
        index.errors = [ValueError("wrong")] * 2
        with pytest.raises(ValueError, match="wrong"):
            sync(encoder, index, paragraphs("fish"), ledger=ledger, retries=quick)
        assert len(index.errors) == 1


def test_a_source_that_fails_leaves_a_run_that_is_completed(
    encoder: CountingEncoder, index: MemoryIndex, ledger: Ledger
) -> None:
    documents = paragraphs(*(f"text {n}" for n in range(10)))

    def failing() -> Iterator[SourceDocument]:
        yield from documents[:7]
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged") as error:
        sync(encoder, index, failing(), ledger=ledger, prune=True, batch_size=3)
    assert "6 documents were written before" in error.value.__notes__[0]
    assert index.count() == 6
    summary = sync(encoder, index, documents, ledger=ledger, batch_size=3)
    assert (summary.encoded, summary.unchanged) == (4, 6)


def test_a_ledger_of_another_index_is_refused(tmp_path: Path, encoder: CountingEncoder) -> None:
    options: Any = {"dim": DIM, "model": "hash@1"}
    with (
        EdgeIndex(tmp_path / "a", **options) as index,
        Ledger(tmp_path / "ledger", index) as ledger,
    ):
        sync(encoder, index, paragraphs("cats"), ledger=ledger)
    with (
        EdgeIndex(tmp_path / "b", **options) as other,
        pytest.raises(LedgerError, match="is of another index"),
    ):
        Ledger(tmp_path / "ledger", other)
    (tmp_path / "a").rename(tmp_path / "moved")
    with EdgeIndex(tmp_path / "moved") as index, Ledger(tmp_path / "ledger", index) as ledger:
        assert sync(encoder, index, paragraphs("cats"), ledger=ledger).unchanged == 1


def test_without_a_ledger_every_document_is_written(
    encoder: CountingEncoder, index: MemoryIndex
) -> None:
    for _ in range(2):
        assert sync(encoder, index, paragraphs("cats", "dogs")).encoded == 2
    assert index.count() == 2
