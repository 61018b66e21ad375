from __future__ import annotations

from collections.abc import Sequence

import pytest
from langchain_core.documents import Document

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
