"""Judgements of an index are a test collection."""

from __future__ import annotations

from pathlib import Path

import pytest

from m3kit import MemoryIndex, Retriever, WeightedSum
from m3kit.evaluation import (
    DatasetError,
    EvaluationError,
    evaluate,
    is_judged,
    read_folder,
    read_judged,
)
from m3kit.qrels import JudgementFolder
from m3kit.testing import DOCUMENTS, ENCODER


@pytest.fixture
def index() -> MemoryIndex:
    index = MemoryIndex(encoder=ENCODER)
    Retriever(ENCODER, index).add(DOCUMENTS)
    return index


def test_the_documents_are_those_of_the_index(tmp_path: Path, index: MemoryIndex) -> None:
    folder = JudgementFolder(tmp_path / "judged")
    folder.judge("growling bear", DOCUMENTS[2].id, 1)
    folder.judge("growling bear", DOCUMENTS[0].id, 0)
    assert is_judged(folder.path)
    dataset = read_judged(folder.path, index)
    assert dataset.queries == {"1": "growling bear"}
    assert dataset.qrels == {"1": {DOCUMENTS[2].id: 1, DOCUMENTS[0].id: 0}}
    ids = [document.id for document in dataset.documents()]
    assert ids == sorted(document.id for document in DOCUMENTS)
    report = evaluate(
        ENCODER,
        dataset,
        modes=[],
        weights=WeightedSum(0, 1, 0),
        measures=["RR"],
        index=index,
        exact=False,
        fill=False,
    )
    (row,) = report.rows
    hits = Retriever(ENCODER, index).search("growling bear", fusion=WeightedSum(0, 1, 0))
    rank = [hit.document.id for hit in hits].index(DOCUMENTS[2].id) + 1
    assert (row.name, row.values["RR"]["1"]) == ("weights @ index", 1 / rank)
    assert report.documents == len(DOCUMENTS)


def test_without_the_index_it_says_what_is_missing(tmp_path: Path, index: MemoryIndex) -> None:
    JudgementFolder(tmp_path).judge("bear", DOCUMENTS[2].id, 1)
    with pytest.raises(DatasetError, match="give the index that they were made on"):
        read_folder(tmp_path)
    dataset = read_judged(tmp_path, index)
    with pytest.raises(EvaluationError, match="gives no weight"):
        evaluate(ENCODER, dataset, weights=WeightedSum(0, 0, 0), index=index, fill=False)
    assert not is_judged(tmp_path / "nowhere")


def test_a_corpus_beside_judgements_is_a_collection_of_its_own(tmp_path: Path) -> None:
    JudgementFolder(tmp_path).judge("bear", "a", 1)
    (tmp_path / "corpus.jsonl").write_text('{"_id": "a", "text": "bear"}\n', "utf-8")
    assert not is_judged(tmp_path)
