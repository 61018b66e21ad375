"""A test collection: documents, queries, and what answers them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from m3kit.fusion import WeightedSum
from m3kit.index import M3Error
from m3kit.records import Document

Qrels: TypeAlias = Mapping[str, Mapping[str, int]]
"""Query id, document id, grade; 0 is judged and not relevant."""

Run: TypeAlias = Mapping[str, Sequence[tuple[str, float]]]
"""Query id, and its documents with their scores, best first. The order counts, not the scores."""


class EvaluationError(M3Error, ValueError):
    """An evaluation that cannot be done as it is asked for; the text says what to change."""


class DatasetError(EvaluationError):
    """A test collection that cannot be read, or that the policy refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """
    A test collection.

    Args:
        name: What reports call it.
        documents: Opens the corpus: called several times, and gives the same order each time.
        queries: Query id and text.
        qrels: What is relevant. Empty where `answers` are given.
        answers: Instead of qrels: the strings of which a passage must hold one (MKQA).
        measures: What is reported by default, in the names of ir-measures.
        weights: The weights that the paper gives modes on this collection, by the mode's name.
        keep_query_id: Whether a document with the query's own id counts (MIRACL), or is removed
            from the results (ArguAna and Quora, whose queries are documents).
    """

    name: str
    documents: Callable[[], Iterator[Document]]
    queries: Mapping[str, str]
    qrels: Qrels = field(default_factory=dict)
    answers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    measures: tuple[str, ...] = ("nDCG@10", "R@100", "RR@10")
    weights: Mapping[str, WeightedSum] = field(default_factory=dict)
    keep_query_id: bool = True

    @property
    def judged(self) -> frozenset[str]:
        """The queries that have an answer: a relevant document, or an answer string."""
        by_qrels = {
            query for query, grades in self.qrels.items() if any(map(_positive, grades.values()))
        }
        return frozenset(by_qrels | {query for query, answers in self.answers.items() if answers})


def _positive(grade: int) -> bool:
    return grade > 0
