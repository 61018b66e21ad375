"""What can be wrong with a test collection, an index or a run; `Policy` decides about it."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from m3kit.evaluation.dataset import Dataset, DatasetError, EvaluationError, Qrels, Run
from m3kit.evaluation.policy import Issues
from m3kit.records import Document


def checked(dataset: Dataset, issues: Issues) -> Dataset:
    """
    Read the ids of the corpus once, and return the collection with what the policy decides applied.

    Eight bytes are held for each document.

    Raises:
        DatasetError: If the policy refuses what is there, or nothing is left.
    """
    corpus = _ids(dataset)
    duplicates = _repeated(corpus.hashes)
    decision = issues.add(
        "duplicates", _named(dataset, duplicates), count=len(corpus.hashes) - corpus.distinct
    )
    documents = dataset.documents
    if duplicates:
        documents = _Once(dataset.documents, duplicates, last=decision == "last")
    unknown = sorted(_judged(dataset.qrels) - corpus.judged)
    qrels: Qrels = dataset.qrels
    if issues.add("unknown_documents", unknown) == "drop" and unknown:
        qrels = _without(qrels, frozenset(unknown))
    judged = dict.fromkeys([*qrels, *dataset.answers])
    issues.add("unknown_queries", [query for query in judged if query not in dataset.queries])
    queries = _answered(replace(dataset, qrels=qrels), issues)
    if not queries:
        raise DatasetError(
            f"{dataset.name} has no query with an answer; check the ids of the qrels"
        )
    if not corpus.hashes:
        raise DatasetError(f"{dataset.name} has no document")
    return replace(
        dataset,
        documents=documents,
        queries=queries,
        qrels={query: grades for query in queries if (grades := qrels.get(query)) is not None},
        answers={query: dataset.answers[query] for query in queries if query in dataset.answers},
    )


def check_runs(runs: Mapping[str, Run], issues: Issues) -> None:
    """
    Look for runs that are empty.

    Raises:
        DatasetError: If there is one, and the policy says so.
    """
    issues.add("empty_run", [name for name, run in runs.items() if not any(run.values())])


def check_other_model(recorded: str, model: str, issues: Issues) -> None:
    """
    Decide about an index that another model made.

    Raises:
        EvaluationError: If the policy says so.
    """
    if issues.policy.other_model == "error":
        raise EvaluationError(
            f"the index was made by {recorded}, and {model} would search it; use that model, or "
            'set the policy other_model="warn" if both make the same vectors'
        )
    issues.add("other_model", [f"{recorded} instead of {model}"])


@dataclass(frozen=True, slots=True)
class _Ids:
    hashes: array[int]
    judged: frozenset[str]

    @property
    def distinct(self) -> int:
        return len(np.unique(np.frombuffer(self.hashes, dtype=np.int64)))


def _ids(dataset: Dataset) -> _Ids:
    wanted, hashes, present = _judged(dataset.qrels), array("q"), set()
    for document in dataset.documents():
        hashes.append(hash(document.id))
        if document.id in wanted:
            present.add(document.id)
    return _Ids(hashes, frozenset(present))


def _repeated(hashes: array[int]) -> frozenset[int]:
    values, counts = np.unique(np.frombuffer(hashes, dtype=np.int64), return_counts=True)
    return frozenset(values[counts > 1].tolist())


def _named(dataset: Dataset, duplicates: frozenset[int]) -> list[str]:
    if not duplicates:
        return []
    counts = Counter(
        document.id for document in dataset.documents() if hash(document.id) in duplicates
    )
    return [id_ for id_, count in counts.items() if count > 1]


@dataclass(frozen=True, slots=True)
class _Once:
    """A corpus of which one document of each id is read."""

    documents: Callable[[], Iterator[Document]]
    duplicates: frozenset[int]
    last: bool

    def __call__(self) -> Iterator[Document]:
        left: Counter[str] = Counter()
        if self.last:
            left.update(document.id for document in self._repeated())
        seen: set[str] = set()
        for document in self.documents():
            if hash(document.id) in self.duplicates:
                left[document.id] -= 1
                if left[document.id] if self.last else document.id in seen:
                    continue
                seen.add(document.id)
            yield document

    def _repeated(self) -> Iterator[Document]:
        return (document for document in self.documents() if hash(document.id) in self.duplicates)


def _judged(qrels: Qrels) -> frozenset[str]:
    return frozenset(document for grades in qrels.values() for document in grades)


def _without(qrels: Qrels, unknown: frozenset[str]) -> Qrels:
    return {
        query: {document: grade for document, grade in grades.items() if document not in unknown}
        for query, grades in qrels.items()
    }


def _answered(dataset: Dataset, issues: Issues) -> dict[str, str]:
    judged = dataset.judged
    unanswered = [query for query in dataset.queries if query not in judged]
    decision = issues.add("unanswered", unanswered)
    if decision == "zero":
        return dict(dataset.queries)
    return {query: text for query, text in dataset.queries.items() if query in judged}
