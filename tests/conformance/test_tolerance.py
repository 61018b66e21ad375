"""How the suite compares scores, where an engine computes with less than float32."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from m3kit import Document, Hit
from m3kit.testing import assert_ranking, assert_same_hits

EXPECTED = [("a", 0.9), ("b", 0.5003), ("c", 0.5), ("d", 0.2)]


def hits(*pairs: tuple[str, float]) -> list[Hit]:
    return [Hit(Document(id_, "text"), score) for id_, score in pairs]


@pytest.mark.parametrize(
    "ranking",
    [
        [("a", 0.9), ("b", 0.5003), ("c", 0.5), ("d", 0.2)],
        [("a", 0.9004), ("c", 0.5002), ("b", 0.5001), ("d", 0.1999)],
        [("a", 0.9), ("b", 0.5003), ("c", 0.5), ("another", 0.2001)],
    ],
    ids=str,
)
def test_neighbours_within_the_tolerance_may_change_places(
    ranking: Sequence[tuple[str, float]],
) -> None:
    assert_ranking(hits(*ranking), EXPECTED, within=1e-3)


@pytest.mark.parametrize(
    "ranking",
    [
        [("b", 0.9), ("a", 0.5003), ("c", 0.5), ("d", 0.2)],
        [("a", 0.9), ("b", 0.5), ("c", 0.49), ("d", 0.2)],
        [("a", 0.9), ("b", 0.5), ("another", 0.5), ("d", 0.2)],
        [("a", 0.9), ("b", 0.5), ("b", 0.5), ("d", 0.2)],
        [("a", 0.9), ("b", 0.5), ("c", 0.5)],
        [],
    ],
    ids=str,
)
def test_anything_else_is_another_ranking(ranking: Sequence[tuple[str, float]]) -> None:
    with pytest.raises(AssertionError):
        assert_ranking(hits(*ranking), EXPECTED, within=1e-3)
    with pytest.raises(AssertionError):
        assert_same_hits(hits(*ranking), hits(*EXPECTED), within=1e-3)


def test_without_a_tolerance_the_order_is_exact() -> None:
    close = [("a", 0.9), ("b", 0.5 + 1e-6), ("c", 0.5)]
    assert_ranking(hits(*close), close)
    with pytest.raises(AssertionError):
        assert_ranking(hits(close[0], close[2], close[1]), close)
    assert_ranking([], [], within=1e-3)
