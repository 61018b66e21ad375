"""Writing, and reading back."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given

from m3kit.filters import All, Contains, Eq, Range
from m3kit.index import HybridIndex, Search
from m3kit.records import Document
from m3kit.testing import strategies
from m3kit.testing.assertions import assert_same_vectors, typed
from m3kit.testing.encoder import query, records
from m3kit.testing.samples import DOCUMENTS, NASTY_IDS, TEXTS
from m3kit.testing.strategies import driven
from m3kit.testing.suite import Suite


class StorageConformance(Suite):
    """What an index holds after it was written or deleted from."""

    def test_upsert_replaces_the_old_version_altogether(self, filled: HybridIndex) -> None:
        new = Document(DOCUMENTS[0].id, "a wholly different thing", {"m": 1})
        filled.upsert(records([new]))
        filled.flush()
        (record,) = filled.get([new.id], filled.reps)
        assert record.document == new
        assert_same_vectors(record.output, self.stored([new])[0].output, filled.reps)
        assert filled.count() == len(DOCUMENTS)
        assert filled.count(Eq("n", 0)) == 0
        if "sparse" in filled.reps:
            assert filled.search(Search(query=query("barking", "sparse"))) == []

    def test_of_several_records_with_one_id_the_last_is_written(self, index: HybridIndex) -> None:
        index.upsert(records([Document("a", "old"), Document("b", "x"), Document("a", "new")]))
        assert index.count() == 2
        assert index.get(["a"])[0].document.text == "new"

    def test_writing_nothing_changes_nothing(self, filled: HybridIndex) -> None:
        filled.upsert([])
        filled.delete([])
        filled.flush()
        filled.flush()
        assert filled.get([]) == []
        assert filled.count() == len(DOCUMENTS)

    def test_get_keeps_the_order_of_ids_and_leaves_out_the_unknown(
        self, filled: HybridIndex
    ) -> None:
        ids = [DOCUMENTS[n].id for n in (8, 0, 3, 0)]
        got = filled.get([ids[0], "unknown", *ids[1:]])
        assert [record.document for record in got] == [DOCUMENTS[n] for n in (8, 0, 3, 0)]
        assert all(not record.output.reps for record in got)

    def test_vectors_come_back_as_they_were_written(self, filled: HybridIndex) -> None:
        written = {record.document.id: record.output for record in self.stored(DOCUMENTS)}
        for record in filled.get(list(written), filled.reps):
            assert_same_vectors(record.output, written[record.document.id], filled.reps)
        for rep in filled.reps:
            for record in filled.scan(None, [rep]):
                assert_same_vectors(record.output, written[record.document.id], [rep])

    def test_what_was_written_is_a_copy(self, index: HybridIndex) -> None:
        metadata = {"tags": ["a"]}
        (record,) = records([Document("a", "bear", metadata)])
        index.upsert([record])
        for vectors in (record.output.dense, record.output.colbert):
            assert vectors is not None
            vectors[:] = 0
        metadata["tags"].append("b")
        (got,) = index.get(["a"], index.reps)
        assert got.document == Document("a", "bear", {"tags": ["a"]})
        assert_same_vectors(got.output, self.stored([got.document])[0].output, index.reps)

    def test_scan_gives_every_document_once(self, index: HybridIndex) -> None:
        many = [Document(f"{n}", TEXTS[n % 10], {"n": n}) for n in range(1100)]
        index.upsert(records(many))
        index.flush()
        by_id = {document.id: document for document in many}
        scanned = [record.document for record in index.scan()]
        assert len(scanned) == len(many)
        assert {document.id: document for document in scanned} == by_id
        in_range = [record.document.id for record in index.scan(Range("n", ge=30, lt=1070))]
        assert sorted(in_range) == sorted(f"{n}" for n in range(30, 1070))
        assert index.count() == len(many)

    def test_delete_removes_documents_and_unknown_ids_are_no_error(
        self, filled: HybridIndex
    ) -> None:
        filled.delete([DOCUMENTS[0].id, "unknown", DOCUMENTS[0].id])
        filled.flush()
        assert filled.get([DOCUMENTS[0].id]) == []
        assert filled.count() == len(DOCUMENTS) - 1
        for rep in filled.reps:
            hits = filled.search(Search(query=query("the dog is barking", rep), k=100))
            assert DOCUMENTS[0].id not in {hit.document.id for hit in hits}

    def test_delete_where_leaves_the_rest_and_all_deletes_everything(
        self, filled: HybridIndex
    ) -> None:
        filled.delete_where(Contains("tags", "bear"))
        left = {document.id for document in DOCUMENTS if "bear" not in document.text.split()}
        assert {record.document.id for record in filled.scan()} == left
        filled.delete_where(All())
        assert filled.count() == 0
        filled.upsert(records(DOCUMENTS[:1]))
        assert [record.document for record in filled.scan()] == DOCUMENTS[:1]

    def test_ids_are_any_text_and_never_confused(self, index: HybridIndex) -> None:
        documents = [Document(id_, f"text {n}", {"n": n}) for n, id_ in enumerate(NASTY_IDS)]
        index.upsert(records(documents))
        assert index.count() == len(NASTY_IDS)
        assert [record.document for record in index.get(NASTY_IDS)] == documents
        index.delete(NASTY_IDS[:5])
        assert {record.document.id for record in index.scan()} == set(NASTY_IDS[5:])

    @driven
    @given(metadata=strategies.metadata())
    @example({"id": 1, "text": 2, "dense": 3, "metadata": {"id": "x"}, "_id": None})
    @example({"": "", "a.b": 1, "a": {"b": 2}, '"': "'", "x[]": [1, 1.0, True, None, [], {}]})
    @example({"big": 2**63 - 1, "small": -(2**63), "float": 1e300, "zero": -0.0, "one": 1.0})
    def test_metadata_comes_back_exactly(
        self, index: HybridIndex, metadata: dict[str, Any]
    ) -> None:
        document = Document("a", "bear", metadata)
        index.upsert(records([document]))
        (got,) = index.get(["a"])
        assert typed(dict(got.document.metadata)) == typed(metadata)
        (scanned,) = index.scan()
        assert typed(dict(scanned.document.metadata)) == typed(metadata)
        (hit,) = index.search(Search(query=query("bear", *index.reps)))
        assert typed(dict(hit.document.metadata)) == typed(metadata)
