"""Bad input is named, counted, and decided by the policy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from m3kit import Document
from m3kit.evaluation import Dataset, DatasetError, EvaluationError, Policy, Run
from m3kit.evaluation.checks import check_other_model, check_runs, checked
from m3kit.evaluation.policy import Issues

DOCUMENTS = [Document("a", "first"), Document("b", "second"), Document("a", "third")]


def documents() -> Iterator[Document]:
    return iter(DOCUMENTS)


GOOD = Dataset(
    name="good",
    documents=lambda: iter(DOCUMENTS[:2]),
    queries={"q": "first", "r": "second"},
    qrels={"q": {"a": 1}, "r": {"b": 1}},
)


def decided(dataset: Dataset, **policy: Any) -> tuple[Dataset, list[tuple[str, int, str]]]:
    issues = Issues(Policy(**policy))
    cleaned = checked(dataset, issues)
    return cleaned, [(issue.kind, issue.count, issue.decision) for issue in issues.entries]


def test_nothing_is_said_of_what_is_good() -> None:
    cleaned, issues = decided(GOOD)
    assert issues == []
    assert (cleaned.queries, cleaned.qrels) == (GOOD.queries, GOOD.qrels)


@pytest.mark.parametrize(("choice", "text"), [("first", "first"), ("last", "third")])
def test_duplicates(choice: str, text: str, caplog: pytest.LogCaptureFixture) -> None:
    dataset = replace(GOOD, documents=documents)
    with pytest.raises(DatasetError, match=r"1 documents with the id of another: a \(error\)"):
        decided(dataset)
    cleaned, issues = decided(dataset, duplicates=choice)
    assert issues == [("duplicates", 1, choice)]
    for _ in range(2):
        assert {document.id: document.text for document in cleaned.documents()} == {
            "a": text,
            "b": "second",
        }
        assert len(list(cleaned.documents())) == 2
    assert "1 documents with the id of another: a" in caplog.text


def test_unknown_documents() -> None:
    dataset = replace(GOOD, qrels={"q": {"a": 1, "gone": 1}, "r": {"lost": 1}})
    cleaned, issues = decided(dataset)
    assert issues == [("unknown_documents", 2, "keep")]
    assert cleaned.qrels == dataset.qrels
    cleaned, issues = decided(dataset, unknown_documents="drop")
    assert issues == [("unknown_documents", 2, "drop"), ("unanswered", 1, "drop")]
    assert (cleaned.qrels, list(cleaned.queries)) == ({"q": {"a": 1}}, ["q"])
    with pytest.raises(DatasetError, match=r"2 judged documents that .* have: gone"):
        decided(dataset, unknown_documents="error")


def test_unknown_queries() -> None:
    dataset = replace(GOOD, qrels={**GOOD.qrels, "nobody": {"a": 1}})
    cleaned, issues = decided(dataset)
    assert issues == [("unknown_queries", 1, "drop")]
    assert list(cleaned.qrels) == ["q", "r"]
    with pytest.raises(DatasetError, match="nobody"):
        decided(dataset, unknown_queries="error")


def test_queries_without_answers() -> None:
    dataset = replace(GOOD, qrels={"q": {"a": 1}, "r": {"b": 0}})
    cleaned, issues = decided(dataset)
    assert issues == [("unanswered", 1, "drop")]
    assert list(cleaned.queries) == ["q"]
    cleaned, issues = decided(dataset, unanswered="zero")
    assert list(cleaned.queries) == ["q", "r"]
    with pytest.raises(DatasetError, match=r"1 queries for which nothing is relevant: r"):
        decided(dataset, unanswered="error")


def test_a_collection_that_is_empty() -> None:
    with pytest.raises(DatasetError, match="has no document"):
        decided(replace(GOOD, documents=lambda: iter(())))
    with pytest.raises(DatasetError, match="no query with an answer"):
        decided(replace(GOOD, qrels={}))


def test_an_empty_run() -> None:
    runs: dict[str, Run] = {"dense": {"q": [("a", 1.0)]}, "sparse": {"q": []}}
    with pytest.raises(DatasetError, match=r"1 runs that found nothing: sparse"):
        check_runs(runs, Issues(Policy()))
    issues = Issues(Policy(empty_run="zero"))
    check_runs(runs, issues)
    assert [issue.examples for issue in issues.entries] == [("sparse",)]


def test_an_index_of_another_model() -> None:
    with pytest.raises(EvaluationError, match=r"made by big@1, and tiny@2 would search it"):
        check_other_model("big@1", "tiny@2", Issues(Policy()))
    issues = Issues(Policy(other_model="warn"))
    check_other_model("big@1", "tiny@2", issues)
    (issue,) = issues.entries
    assert str(issue) == "1 indexes made by another model: big@1 instead of tiny@2 (warn)"


def test_a_policy_that_there_is_not() -> None:
    with pytest.raises(EvaluationError, match="duplicates is one of first, last, error, not 'all'"):
        Policy(duplicates="all")  # type: ignore[arg-type]  # what is refused
