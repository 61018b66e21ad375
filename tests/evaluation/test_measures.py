"""Measures are those of the field, and see the order that an index gave."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
from scipy import stats

from m3kit.evaluation import EvaluationError, compare, comparison_table, mean, overlap, per_query

QRELS = {"a": {"1": 1, "2": 0}, "b": {"3": 2, "4": 1}, "c": {"5": 1}}


def test_measures_are_what_they_are_by_hand() -> None:
    run = {"a": [("9", 3.0), ("1", 2.0)], "b": [("4", 0.9), ("3", 0.8)]}
    values = per_query(["nDCG@10", "R@1", "RR@10"], QRELS, run)
    ideal = 2 + 1 / log2(3)
    assert values["nDCG@10"] == pytest.approx(
        {"a": 1 / log2(3), "b": (1 + 2 / log2(3)) / ideal, "c": 0.0}
    )
    assert values["R@1"] == pytest.approx({"a": 0, "b": 0.5, "c": 0})
    assert values["RR@10"] == pytest.approx({"a": 0.5, "b": 1, "c": 0})
    assert mean(values["RR@10"]) == pytest.approx(0.5)


def test_the_order_counts_where_scores_tie() -> None:
    for ids, expected in ((["1", "2"], 1.0), (["2", "1"], 0.5)):
        run = {"a": [(id_, 0.5) for id_ in ids]}
        assert per_query(["RR"], {"a": {"1": 1}}, run)["RR"]["a"] == expected


def test_an_unknown_measure_is_named() -> None:
    with pytest.raises(EvaluationError, match="'nDGC@10' is no measure"):
        per_query(["nDGC@10"], QRELS, {})


def test_the_share_of_what_should_be_found() -> None:
    reference = {"a": [("1", 1.0), ("2", 0.5)], "b": [("3", 1.0)], "c": []}
    run = {"a": [("2", 1.0), ("9", 0.5), ("1", 0.1)], "b": [("3", 1.0)]}
    assert overlap(run, reference, 2) == pytest.approx((0.5 + 1) / 2)
    assert overlap(run, reference, 2, depth=3) == 1.0


def test_two_runs_are_tested_query_by_query() -> None:
    qrels = {f"q{n}": {"1": 1} for n in range(40)}
    first = {query: [("2", 1.0), ("1", 0.5)] for query in qrels}
    second = {
        query: [("1", 1.0)] if n % 4 else [("2", 1.0), ("3", 0.9), ("1", 0.5)]
        for n, query in enumerate(qrels)
    }
    (result,) = compare(first, second, qrels, ["RR"])
    assert (result.first, result.second) == pytest.approx((0.5, 0.75 + 0.25 / 3))
    assert (result.better, result.worse, result.queries) == (30, 10, 40)
    differences = np.array([0.5 if n % 4 else 1 / 3 - 0.5 for n in range(40)])
    t_test = stats.ttest_1samp(differences, 0).pvalue
    assert result.p_value < 0.001
    assert result.p_value == pytest.approx(t_test, abs=0.001)
    assert "| RR | 0.500 | 0.833 | +0.333 | 30 | 10 | 40 |" in comparison_table([result])


def test_equal_runs_do_not_differ() -> None:
    run = {"a": [("1", 1.0)]}
    (result,) = compare(run, run, QRELS, ["nDCG@10"])
    assert (result.better, result.worse, result.p_value) == (0, 0, 1.0)


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(EvaluationError, match="no judged query"):
        compare({}, {}, {}, ["nDCG@10"])
    with pytest.raises(EvaluationError, match="nothing to compare"):
        comparison_table([])
