"""
Whether a copy of an index is what it was copied from.

Compared are the numbers of documents, and of some of them: texts and metadata, which are to be
equal; vectors, equal to the last bit where both stores hold them in one form, and else as near as
the coarser form is; and, with an index that holds the same documents, the rankings of searches for
them, by each representation, every vector compared.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from m3kit.adapters.manifest import manifest_of
from m3kit.filters import Filter
from m3kit.index import HybridIndex, Search
from m3kit.records import Record
from m3kit.vectors import REPS, M3Output, Rep, Sparse

_COARSE = 2.0**-6
"""How far a number of a unit vector may be from what it was: a step of int8, rounded twice."""

_TOP = 10
_AGREEMENT = 0.8
"""The share of the top that rankings have in common, at least, where vectors were rounded."""

_SCORES = 1e-4
"""How far scores of equal vectors may be from each other, as engines sum in orders of their own."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    How a target compares with its source.

    Args:
        documents: How many documents were to be copied.
        sampled: How many of them were compared.
        identical: For each representation, the share of the sampled whose vectors are equal to the
            last bit.
        agreement: For each representation, the share of the top 10 in common; none where the
            target holds other documents, too.
        problems: What is not as it should be.
    """

    documents: int
    sampled: int
    identical: Mapping[Rep, float]
    agreement: Mapping[Rep, float]
    problems: Sequence[str]

    def __str__(self) -> str:
        parts = [f"verified {self.documents} documents"]
        if self.sampled:
            equal = ", ".join(f"{rep} {share:.0%}" for rep, share in self.identical.items())
            parts.append(f"of {self.sampled} compared, bit-equal are {equal}")
        if self.agreement:
            common = ", ".join(f"{rep} {share:.0%}" for rep, share in self.agreement.items())
            parts.append(f"rankings agree in {common}")
        return "; ".join(parts)


def compare(
    source: HybridIndex,
    target: HybridIndex,
    where: Filter | None,
    reps: frozenset[Rep],
    *,
    sample: int,
) -> Comparison:
    """
    Compare a copy with its source.

    Args:
        source: What was copied.
        target: What it was copied to.
        where: Which documents.
        reps: Which representations.
        sample: How many documents are read and compared.
    """
    expected, stored = source.count(where), target.count()
    problems = []
    if stored < expected:
        problems.append(f"of {expected} documents, the target holds {stored}")
    ids = _sample((record.document.id for record in source.scan(where)), sample) if sample else []
    ordered = [rep for rep in REPS if rep in reps]
    read = {record.document.id: record for record in target.get(ids, ordered)}
    records = source.get(ids, ordered)
    as_stored = [_as_stored(record, target) for record in records]
    for record in as_stored:
        problems += _differences(record, read.get(record.document.id))
    identical = _identical(as_stored, read, ordered)
    unchanged = _identical(records, read, ordered)
    agreement: dict[Rep, float] = {}
    if stored == source.count():
        queries = [record.output for record in records[: -(-len(records) // 5)]]
        for rep in ordered if queries else ():
            shares = [_agreement(source, target, query.only(rep)) for query in queries]
            agreement[rep] = sum(shares) / len(shares)
            if agreement[rep] < (1 if unchanged[rep] == 1 else _AGREEMENT):
                problems.append(
                    f"{rep} searches of both have {agreement[rep]:.0%} of their hits in common"
                )
    return Comparison(expected, len(records), identical, agreement, problems)


def _as_stored(record: Record, target: HybridIndex) -> Record:
    """Put ColBERT vectors in the form in which the target stores them, where it tells."""
    manifest = manifest_of(target)
    if manifest is None:
        return record
    return replace(record, output=manifest.colbert.stored_output(record.output))


def _sample(items: Iterable[_T], size: int) -> list[_T]:
    """Choose items of a stream, each with the same probability, and always the same."""
    rng = random.Random(0)  # noqa: S311  # a sample, and no secret
    chosen: list[_T] = []
    for number, item in enumerate(items):
        if number < size:
            chosen.append(item)
        elif (place := rng.randrange(number + 1)) < size:
            chosen[place] = item
    return chosen


def _identical(
    records: Sequence[Record], copies: Mapping[str, Record], reps: Sequence[Rep]
) -> dict[Rep, float]:
    """Return the share of the records whose vectors are equal to the last bit."""
    pairs = [(record, copies.get(record.document.id)) for record in records]
    return {
        rep: sum(
            copied is not None and _difference(record.output, copied.output, rep) == 0
            for record, copied in pairs
        )
        / len(pairs)
        for rep in reps
        if pairs
    }


def _differences(record: Record, copied: Record | None) -> list[str]:
    name = f"document {record.document.id!r}"
    if copied is None:
        return [f"{name} is missing"]
    if copied.document != record.document:
        return [f"{name} has another text or other metadata"]
    return [
        f"the {rep} vectors of {name} differ by {difference:.3g}"
        for rep in REPS
        if rep in record.output.reps
        and (difference := _difference(record.output, copied.output, rep)) > _COARSE
    ]


def _difference(output: M3Output, other: M3Output, rep: Rep) -> float:
    """Return the largest difference of two numbers; infinity of vectors of two shapes."""
    vectors, others = getattr(output, rep), getattr(other, rep)
    if isinstance(vectors, Sparse):
        if not isinstance(others, Sparse) or not np.array_equal(vectors.ids, others.ids):
            return np.inf
        vectors, others = vectors.weights, others.weights
    if others is None or vectors.shape != others.shape:
        return np.inf
    return float(np.abs(vectors - others).max(initial=0))


def _agreement(source: HybridIndex, target: HybridIndex, query: M3Output) -> float:
    """
    Return the share of the hits of two indexes that are equal.

    A hit that only one of them has counts where its score is that of the other's last: engines that
    sum in another order may break a tie otherwise.
    """
    search = Search(query=query, k=_TOP, exact=True)
    hits, others = source.search(search), target.search(search)
    if not hits or not others:
        return float(len(hits) == len(others))
    scores = {hit.document.id: hit.score for hit in others}
    last = others[-1].score
    common = sum(
        hit.document.id in scores or abs(hit.score - last) <= _SCORES * max(1.0, abs(last))
        for hit in hits
    )
    return common / max(len(hits), len(others))
