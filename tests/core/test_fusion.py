from __future__ import annotations

import json
from pathlib import Path

import pytest

from m3kit import RRF, M3Output, Rep, RepresentationError, Search, WeightedSum
from m3kit.fusion import by_score
from m3kit.testing import query


def test_rrf_adds_reciprocal_ranks_from_one_with_ties_by_id() -> None:
    dense = [("b", 0.9), ("a", 0.8), ("c", 0.1)]
    sparse = [("a", 7.0), ("b", 5.0), ("d", 1.0)]
    fused = by_score(RRF().fuse({"dense": dense, "sparse": sparse}).items())
    assert [id_ for id_, _ in fused] == ["a", "b", "c", "d"]
    assert [score for _, score in fused] == [1 / 61 + 1 / 62] * 2 + [1 / 63] * 2


def test_the_weighted_sum_divides_by_the_weights_that_take_part() -> None:
    weighted = WeightedSum(dense=1.0, sparse=0.3, colbert=1.0)
    assert weighted.score({"dense": 0.5, "sparse": 1.0}) == pytest.approx(0.8 / 1.3)
    assert weighted.score({"dense": 0.5, "sparse": 1.0, "colbert": 0.2}) == pytest.approx(1 / 2.3)
    assert WeightedSum(sparse=0.0).score({"dense": 0.5, "sparse": 9.0}) == 0.5


def test_the_weighted_sum_is_the_same_to_the_last_bit_in_whatever_order_scores_come() -> None:
    scores: dict[Rep, float] = {"dense": 0.1, "sparse": 0.7, "colbert": 0.3}
    backwards = {rep: scores[rep] for rep in reversed(scores)}
    assert WeightedSum().score(scores) == (1.0 * 0.1 + 0.3 * 0.7 + 1.0 * 0.3) / 2.3
    assert WeightedSum().score(backwards) == WeightedSum().score(scores)


def test_documents_are_fused_together_as_each_is_alone() -> None:
    scores: dict[Rep, dict[str, float]] = {
        "sparse": {"a": 0.2, "b": 0.0},
        "dense": {"b": 0.9, "a": 0.4},
    }
    alone = {id_: WeightedSum().score({rep: scores[rep][id_] for rep in scores}) for id_ in "ab"}
    assert WeightedSum().fuse(scores) == alone
    with pytest.raises(ValueError, match="gives no weight to sparse"):
        WeightedSum(sparse=0.0).fuse({"sparse": {"a": 1.0}})


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_weights_are_finite_and_not_negative(weight: float) -> None:
    with pytest.raises(ValueError, match="weight of sparse"):
        WeightedSum(sparse=weight)


def test_a_search_that_cannot_be_answered_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        RRF(k=0)
    with pytest.raises(ValueError, match="at least 1"):
        Search(query=query("bear"), candidates=0)
    with pytest.raises(RepresentationError, match="carries no representation"):
        Search(query=M3Output())
    with pytest.raises(ValueError, match="gives no weight to sparse"):
        Search(query=query("bear", "sparse"), fusion=WeightedSum(sparse=0))


def test_depth_is_never_below_k() -> None:
    assert Search(query=query("bear"), k=500).candidates == 500
    assert Search(query=query("bear"), k=5, candidates=7).candidates == 7


def test_weights_come_back_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "weights.json"
    WeightedSum(0.7, 0, 1.25).save(path)
    assert json.loads(path.read_text()) == {"dense": 0.7, "sparse": 0, "colbert": 1.25}
    assert WeightedSum.load(path) == WeightedSum(0.7, 0, 1.25)
    path.write_text('{"sparse": 2}')
    assert WeightedSum.load(str(path)) == WeightedSum(1, 2, 1)


@pytest.mark.parametrize(
    "text", ["", "[1]", "{}", '{"dens": 1}', '{"dense": "1"}', '{"dense": true}', '{"dense": -1}',
             '{"dense": NaN}', '{"dense": 1' + "0" * 400 + "}"]
)  # fmt: skip
def test_a_file_without_weights_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "weights.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"weights\.json holds no weights: "):
        WeightedSum.load(path)


def test_a_sum_is_added_from_left_to_right() -> None:
    """As every other language adds, so that a page in a browser computes the same last bit."""
    scores: dict[Rep, float] = {"dense": 0.1, "sparse": 0.7, "colbert": 0.3}
    weights = WeightedSum(0.1, 0.7, 0.3)
    weighted = (0.1 * 0.1 + 0.7 * 0.7) + 0.3 * 0.3
    assert weights.score(scores) == weighted / ((0.1 + 0.7) + 0.3)
