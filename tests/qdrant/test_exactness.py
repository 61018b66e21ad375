"""What the engines store exactly, and what stands for the rest."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import qdrant_edge as edge
from hypothesis import given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from m3kit_qdrant.exactness import around, is_clear, is_exact, ordinary, rounded

EXAMPLES = max(500, 5 * settings().max_examples)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SPELLED = st.builds(
    lambda digits, power, sign: sign * float(f"{digits}e{power}"),
    st.integers(0, 10**17),
    st.integers(-25, 25),
    st.sampled_from([-1, 1]),
)
"""Floats with few digits, or as many as there are."""

CLEAR = st.builds(
    lambda digits, power, sign: sign * digits / 10**power,
    st.integers(0, 10**9),
    st.integers(0, 6),
    st.sampled_from([-1, 1]),
)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[edge.EdgeShard]:
    path: Path = tmp_path_factory.mktemp("numbers")
    config = edge.EdgeConfig(vectors={"d": edge.EdgeVectorParams(1, edge.Distance.Dot)})
    shard = edge.EdgeShard.create(str(path), config)
    yield shard
    shard.close()


@pytest.fixture(scope="module")
def local() -> Iterator[QdrantClient]:
    client = QdrantClient(":memory:")
    size = models.VectorParams(size=1, distance=models.Distance.DOT)
    client.create_collection("numbers", vectors_config=size)
    yield client
    client.close()


def stored(shard: edge.EdgeShard, numbers: list[float]) -> list[float]:
    """Let the engine write numbers to its files, and read them."""
    point = edge.Point(1, {"d": [1.0]}, {"numbers": numbers})
    shard.update(edge.UpdateOperation.upsert_points([point]))
    (record,) = shard.retrieve([1], with_payload=True, with_vector=False)
    payload = record.payload
    assert payload is not None
    return list(payload["numbers"])


@settings(max_examples=EXAMPLES)
@given(numbers=st.lists(FLOATS | SPELLED, min_size=50, max_size=50))
def test_what_is_called_exact_comes_back_from_edge(
    shard: edge.EdgeShard, numbers: list[float]
) -> None:
    exact = [number for number in numbers if is_exact(number)]
    assert [*map(repr, stored(shard, exact))] == [*map(repr, exact)]
    for number, other in zip(numbers, stored(shard, [*map(rounded, numbers)]), strict=True):
        low, high = around(number)
        assert low <= other <= high


@given(numbers=st.lists(FLOATS | SPELLED, max_size=5))
def test_local_mode_gives_every_float_back(local: QdrantClient, numbers: list[float]) -> None:
    local.upsert("numbers", [models.PointStruct(id=1, vector=[1.0], payload={"numbers": numbers})])
    (record,) = local.retrieve("numbers", [1])
    assert record.payload == {"numbers": numbers}


@settings(max_examples=EXAMPLES)
@given(bound=CLEAR, steps=st.integers(-12, 12))
def test_what_edge_stores_lies_on_the_same_side_of_a_clear_bound(
    shard: edge.EdgeShard, bound: float, steps: int
) -> None:
    assert is_clear(bound) or 0 < abs(bound) < 2e-7
    number = bound
    for _ in range(abs(steps)):
        number = math.nextafter(number, math.copysign(math.inf, steps))
    (other,) = stored(shard, [rounded(number)])
    if is_clear(bound):
        assert (other < bound, other == bound) == (number < bound, number == bound)


@given(number=FLOATS | SPELLED)
def test_rounding_twice_is_rounding_once_and_changes_little(number: float) -> None:
    assert rounded(rounded(number)) == rounded(number)
    assert rounded(number) == pytest.approx(number, rel=2e-15)
    assert rounded(-number) == -rounded(number)
    if rounded(number) != number:
        assert not is_clear(rounded(number))


def test_common_numbers_are_exact_and_clear() -> None:
    for number in (0.0, 1.0, -2.5, 19.99, 2020.0, 1e-6, 0.1, 123456789.125, 1764337500.123, 1e12):
        assert is_exact(number)
        assert is_clear(number)
    for number in (2020, -1, 1764337500123):
        assert is_clear(number)
    assert not is_exact(0.1 + 0.2)
    for bound in (0.1 + 0.2, 2**53 + 1, 2**60, 1e300, 5e-324):
        assert not is_clear(bound)


def test_what_lies_deep_is_spelled_as_json() -> None:
    deep: object = "x"
    for _ in range(30):
        deep = [deep]
    cut = ordinary(deep)
    for _ in range(24):
        (cut,) = cut
    assert cut == '[[[[[["x"]]]]]]'
