from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from pydantic import ValidationError
from tests.torch.random_reranker import write_reranker

from m3kit.torch import CrossEncoder
from m3kit_langchain import M3Reranker

DOCUMENTS = [
    Document(id=str(n), page_content=text, metadata={"n": n})
    for n, text in enumerate(["aa", "a", "aaa", "b"])
]


def count(query: str, texts: Sequence[str]) -> list[int]:
    """Count the query's letter."""
    return [text.count(query) for text in texts]


async def test_documents_are_ordered_by_score_and_left_as_they_were() -> None:
    before = [document.model_copy(deep=True) for document in DOCUMENTS]
    reranker = M3Reranker(reranker=count)
    reranked = reranker.compress_documents(DOCUMENTS, "a")
    assert [document.id for document in reranked] == ["2", "0", "1", "3"]
    assert reranked == await reranker.acompress_documents(DOCUMENTS, "a")
    assert before == DOCUMENTS


def test_equal_scores_keep_their_order() -> None:
    reranked = M3Reranker(reranker=count).compress_documents(DOCUMENTS, "z")
    assert reranked == DOCUMENTS


def test_top_n_and_min_score_leave_out_the_rest() -> None:
    best = M3Reranker(reranker=count, top_n=2).compress_documents(DOCUMENTS, "a")
    assert [document.id for document in best] == ["2", "0"]
    good = M3Reranker(reranker=count, min_score=1).compress_documents(DOCUMENTS, "a")
    assert [document.id for document in good] == ["2", "0", "1"]


def test_nothing_is_not_reranked() -> None:
    def never(query: str, texts: Sequence[str]) -> list[float]:
        raise AssertionError(query, texts)

    assert M3Reranker(reranker=never).compress_documents([], "a") == []


@pytest.mark.parametrize(("given", "message"), [(1, "1 scores for 4"), (4, "not a number")])
def test_a_number_for_each_document(given: int, message: str) -> None:
    reranker = M3Reranker(reranker=lambda *_: [float("nan")] * given)
    with pytest.raises(ValueError, match=message):
        reranker.compress_documents(DOCUMENTS, "a")


def test_scores_are_in_the_metadata_where_a_key_is_given() -> None:
    reranker = M3Reranker(reranker=count, top_n=1, score_key="relevance_score")
    (best,) = reranker.compress_documents(DOCUMENTS, "a")
    assert best.metadata == {"n": 2, "relevance_score": 3.0}
    assert DOCUMENTS[2].metadata == {"n": 2}


def test_what_is_set_later_holds_from_then_on() -> None:
    reranker = M3Reranker(reranker=count)
    reranker.reranker, reranker.top_n = (lambda *_: [1, 2, 3, 4]), 1
    assert [document.id for document in reranker.compress_documents(DOCUMENTS, "a")] == ["3"]
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        reranker.top_n = 0
    with pytest.raises(ValidationError, match="frozen"):
        reranker.model_name = "other"


def test_a_model_is_loaded_by_its_name(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "reranker")
    reranker = M3Reranker(model_name=str(folder), model_kwargs={"device": "cpu"}, top_n=1)
    scores = CrossEncoder.from_pretrained(folder)("a", ["aa", "a", "aaa", "b"])
    (best,) = reranker.compress_documents(DOCUMENTS, "a")
    assert best == DOCUMENTS[max(range(4), key=scores.__getitem__)]
    with pytest.raises(ValueError, match="does not exist"):
        M3Reranker(model_name="./nothing")


class Scorer:
    """As FlagEmbedding's rerankers."""

    def compute_score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [len(text) for _, text in pairs]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give reranker=.* or model_name="),
        ({"reranker": count, "model_name": "tiny"}, "give reranker=.* or model_name="),
        ({"reranker": count, "model_kwargs": {"device": "cpu"}}, "device would load a model"),
        ({"reranker": "BAAI/bge-reranker-v2-m3"}, "give model_name='BAAI/bge-reranker-v2-m3'"),
        ({"reranker": Scorer()}, r"Scorer scores pairs; .* model.compute_score\(\["),
        ({"reranker": 3}, "a reranker is a function .*, not 3"),
    ],
)
def test_what_cannot_rerank_is_refused_when_made(arguments: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        M3Reranker(**arguments)
