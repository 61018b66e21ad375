"""Measures of a ranking, computed by ir-measures, and the test whether two runs differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import TypeAlias

import ir_measures
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from m3kit.evaluation.dataset import EvaluationError, Qrels, Run

Doubles: TypeAlias = NDArray[np.float64]

PerQuery: TypeAlias = Mapping[str, float]
"""A value for each judged query."""


def per_query(measures: Sequence[str], qrels: Qrels, run: Run) -> dict[str, dict[str, float]]:
    """
    Compute measures for each query of the qrels.

    The order of a ranking counts, whatever its scores say, so that a measure sees ties as the index
    broke them. A query without results has 0, and so weighs in every mean.

    Args:
        measures: In the names of ir-measures: `nDCG@10`, `R@100`, `RR@10`, `Success@20`.
        qrels: What is relevant.
        run: Rankings, best first.

    Returns:
        A mapping of queries for each of `measures`.

    Raises:
        EvaluationError: If a measure is not known.
    """
    parsed = {name: _parsed(name) for name in measures}
    values = {name: dict.fromkeys(qrels, 0.0) for name in measures}
    names = {measure: name for name, measure in parsed.items()}
    relevant = [
        ir_measures.Qrel(query, document, grade)
        for query, grades in qrels.items()
        for document, grade in grades.items()
    ]
    for metric in ir_measures.iter_calc(list(names), relevant, list(_by_rank(run, qrels))):
        values[names[metric.measure]][metric.query_id] = float(metric.value)
    return values


def mean(values: PerQuery) -> float:
    """Return the mean over all queries; of none, it is not a number."""
    return sum(values.values()) / len(values) if values else nan


def overlap(run: Run, reference: Run, k: int, *, depth: int | None = None) -> float:
    """
    Return which share of a reference's best documents a run finds: the mean over queries.

    Args:
        run: What is looked at.
        reference: What should be found.
        k: How many of the reference count.
        depth: How many of the run are looked at; by default `k`.
    """
    shares = [
        len({id_ for id_, _ in run.get(query, ())[: depth or k]} & expected) / len(expected)
        for query, ranking in reference.items()
        if (expected := {id_ for id_, _ in ranking[:k]})
    ]
    return sum(shares) / len(shares) if shares else nan


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    Two runs on one measure, query by query.

    Args:
        measure: Its name.
        first: The mean of the first run.
        second: The mean of the second.
        better: For how many queries the second run is better.
        worse: For how many it is worse.
        queries: How many there are.
        p_value: How likely a difference at least so large is if the two are alike: Fisher's
            randomization test of the paired differences, two-sided.
    """

    measure: str
    first: float
    second: float
    better: int
    worse: int
    queries: int
    p_value: float


def compare(
    first: Run, second: Run, qrels: Qrels, measures: Sequence[str], *, resamples: int = 9999
) -> list[Comparison]:
    """
    Compare two runs of the same queries.

    Args:
        first: The run to start from.
        second: The run that might be better.
        qrels: What is relevant.
        measures: In the names of ir-measures.
        resamples: How many random assignments the test draws; the seed is fixed.

    Raises:
        EvaluationError: If a measure is not known, or no query is judged.
    """
    if not qrels:
        raise EvaluationError("there is no judged query to compare on")
    before, after = (per_query(measures, qrels, run) for run in (first, second))
    return [
        _compared(measure, _array(before[measure], qrels), _array(after[measure], qrels), resamples)
        for measure in measures
    ]


def _array(values: PerQuery, qrels: Qrels) -> Doubles:
    return np.array([values[query] for query in qrels], dtype=np.float64)


def _compared(measure: str, first: Doubles, second: Doubles, resamples: int) -> Comparison:
    differences = second - first
    return Comparison(
        measure,
        float(first.mean()),
        float(second.mean()),
        int((differences > 0).sum()),
        int((differences < 0).sum()),
        len(differences),
        _p_value(differences, resamples) if differences.any() else 1.0,
    )


def _p_value(differences: Doubles, resamples: int) -> float:
    test = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        n_resamples=resamples,
        vectorized=True,
        random_state=np.random.default_rng(0),
    )
    return float(test.pvalue)


def _by_rank(run: Run, qrels: Qrels) -> Iterator[ir_measures.ScoredDoc]:
    for query in qrels:
        for rank, (document, _) in enumerate(run.get(query, ())):
            yield ir_measures.ScoredDoc(query, document, -float(rank))


def _parsed(name: str) -> ir_measures.Measure:
    try:
        return ir_measures.parse_measure(name)
    except (NameError, ValueError) as error:
        raise EvaluationError(
            f"{name!r} is no measure of ir-measures, as nDCG@10, R@100, RR@10 and Success@20 are"
        ) from error
