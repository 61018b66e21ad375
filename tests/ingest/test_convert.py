"""Rows of datasets, and the documents of LangChain and LlamaIndex."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest

from m3kit.ingest import Reject, from_langchain, from_llama_index, from_rows, strict


def test_rows_are_documents() -> None:
    rows: list[dict[str, Any]] = [
        {"title": "T", "body": "b", "day": date(2024, 5, 1), "n": np.int64(3)},
        {"title": "", "body": "c", "day": None, "n": 4},
        {"title": 5, "body": "c"},
    ]
    first, second, third = from_rows(rows, source="squad", text_fields=["title", "body"])
    assert not isinstance(first, Reject)
    assert not isinstance(second, Reject)
    assert (first.id, first.text) == ("squad#1", "T\n\nb")
    assert first.metadata == {"day": "2024-05-01", "n": 3}
    assert (second.id, second.text, second.source) == ("squad#2", "c", "squad")
    assert str(third) == "squad: record 3: the field 'title' is no string: 5"


def test_a_dataset_of_hugging_face_is_rows() -> None:
    datasets = pytest.importorskip("datasets")
    dataset = datasets.Dataset.from_dict({"id": ["a", "b"], "text": ["x", "y"], "n": [1, 2]})
    for rows in (dataset, dataset.to_iterable_dataset()):
        documents = list(strict(from_rows(rows, source="mine")))
        assert [(document.id, document.text, document.metadata) for document in documents] == [
            ("a", "x", {"n": 1}),
            ("b", "y", {"n": 2}),
        ]


def test_documents_of_langchain() -> None:
    documents = pytest.importorskip("langchain_core.documents")
    given = [
        documents.Document("x", metadata={"source": "a.pdf", "day": date(2024, 5, 1)}),
        documents.Document("y", metadata={"source": "a.pdf"}),
        documents.Document("z", id="mine"),
        documents.Document("bad", metadata={"source": "b.pdf", "o": object()}),
    ]
    first, second, third, fourth = from_langchain(given)
    assert not isinstance(first, Reject)
    assert (first.id, first.text, first.source) == ("a.pdf#1", "x", "a.pdf")
    assert first.metadata == {"source": "a.pdf", "day": "2024-05-01"}
    assert [getattr(second, "id", ""), getattr(third, "id", "")] == ["a.pdf#2", "mine"]
    assert isinstance(fourth, Reject)
    assert fourth.source == "b.pdf"
    assert "is not JSON" in fourth.reason


def test_documents_of_llama_index() -> None:
    schema = pytest.importorskip("llama_index.core.schema")
    given = [
        schema.Document(text="x", id_="a", metadata={"file_path": "a.pdf", "n": 1}),
        schema.TextNode(text="y", id_="b"),
    ]
    first, second = strict(from_llama_index(given))
    assert (first.id, first.text, first.source) == ("a", "x", "a.pdf")
    assert first.metadata == {"file_path": "a.pdf", "n": 1}
    assert (second.id, second.text, second.source) == ("b", "y", "llama_index")
