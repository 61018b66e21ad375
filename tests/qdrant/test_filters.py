"""Both engines keep exactly what `matches` keeps."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import accumulate
from operator import and_, or_
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from qdrant_client import QdrantClient, grpc, models
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc

from m3kit.facts import order
from m3kit.filters import (
    All,
    And,
    Contains,
    Eq,
    Exists,
    Filter,
    Ids,
    In,
    Not,
    Or,
    Range,
    Substring,
    matches,
)
from m3kit.index import HybridIndex
from m3kit.records import Document
from m3kit.testing import DIM, NASTY_VALUES, NUMBERS, records
from m3kit_qdrant import EdgeIndex, QdrantIndex
from m3kit_qdrant.filters import DEEPEST, to_qdrant

EXAMPLES = max(500, settings().max_examples)
FIELDS = [
    "a",
    "a.b",
    "with space",
    "ключ",
    "$id-1:x/y%z?*@#,;<>&|~^=+",
    "high",
    "terms",
    "metadata",
]
STRINGS = [
    *NASTY_VALUES,
    "x" * 201,
    "x" * 200 + "y",
    '["is","a",1]',
    "\x00",
    "\U0010ffff",
    "İ",
    "ß",
]
SCALARS: list[Any] = [
    *STRINGS, *NUMBERS, True, False, -0.0, 0.1, 0.1 + 0.2, 1 / 3, 2.0**63, -(2.0**63), 5e-324,
    1.7976931348623157e308, 2**53 + 3, 2**62 - 1, 2**62, -(2**62) - 1, 123456789.123456789,
]  # fmt: skip
VALUES: list[Any] = [
    *SCALARS,
    *([one] for one in SCALARS),
    ["a", 1, True, None, 2.0**53, ""],
    [1, [2, "a"], {"a": 1}],
    [[1]],
    [None],
    [[]],
    [],
    {},
    {"a": 1, "b": "a"},
    None,
]
CORPUS = [
    Document(
        f"{n}",
        "",
        {
            field: VALUES[(n * step) % len(VALUES)]
            for step, field in enumerate(FIELDS, start=1)
            if (n + step) % 5
        },
    )
    for n in range(len(VALUES))
]

_fields = st.sampled_from([*FIELDS, "missing", "a.c", "b"])
_strings = st.sampled_from(STRINGS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
_numbers = (
    st.sampled_from([one for one in SCALARS if isinstance(one, int | float)]).map(lambda n: n + 0)
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
_values = st.sampled_from(SCALARS) | _strings | _numbers


@st.composite
def _ranges(draw: st.DrawFn) -> Filter:
    some = st.dictionaries(st.sampled_from(["gt", "ge", "lt", "le"]), _numbers, min_size=1)
    return Range(draw(_fields), **draw(some))


_leaves: st.SearchStrategy[Filter] = (
    st.builds(Eq, _fields, _values)
    | st.builds(In, _fields, st.lists(_values, max_size=3))
    | st.builds(Contains, _fields, _values)
    | st.builds(Exists, _fields)
    | st.builds(Substring, _fields, _strings.filter(bool))
    | st.builds(Ids, st.lists(st.sampled_from(["0", "7", "70", "unknown"]), max_size=3))
    | st.just(All())
    | _ranges()
)
_filters = st.recursive(
    _leaves,
    lambda inner: (
        st.builds(And, st.lists(inner, max_size=3))
        | st.builds(Or, st.lists(inner, max_size=3))
        | st.builds(Not, inner)
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[HybridIndex]]:
    """The same documents in both engines."""
    path: Path = tmp_path_factory.mktemp("filters")
    client = QdrantClient(":memory:")
    written = records(CORPUS)
    with EdgeIndex(path, dim=DIM, reps=["dense"]) as index:
        engines: list[HybridIndex] = [index, QdrantIndex(client, "a", dim=DIM, reps=["dense"])]
        for engine in engines:
            engine.upsert(written)
        yield engines
    client.close()


def _assert_keeps(engines: list[HybridIndex], where: Filter) -> None:
    expected = {one.id for one in CORPUS if matches(where, one)}
    for engine in engines:
        assert {one.document.id for one in engine.scan(where)} == expected


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=_filters)
@example(Eq("a", value=True))
@example(Eq("a", 1))
@example(Contains("a", 1))
@example(Range("a", gt=2**53, le=2**53 + 1))
@example(Range("a", ge=0.1 + 0.2, le=0.1 + 0.2))
@example(Range("a", ge=-1, lt=2**62))
@example(Range("a", ge=-(2.0**63), lt=2.0**62))
@example(Not(Range("a", gt=-1, lt=1)))
@example(Substring("a", "\\"))
def test_both_engines_keep_what_matches_keeps(engines: list[HybridIndex], where: Filter) -> None:
    _assert_keeps(engines, where)


@settings(max_examples=EXAMPLES)
@given(_numbers, _numbers)
@example(2**53, 2**53 + 1)
@example(2**63 - 1, 2.0**63)
@example(-0.0, 0)
def test_the_order_of_numbers_is_kept_in_two_exact_halves(one: float, other: float) -> None:
    assert (order(one) < order(other)) is (one < other)
    assert (order(one) == order(other)) is (one == other)
    assert all(abs(half) < 2**53 for half in order(one))


@pytest.mark.parametrize("operator", [or_, and_])
def test_a_long_chain_is_not_a_deep_filter(engines: list[HybridIndex], operator: Any) -> None:
    some: list[Filter] = [Exists("a"), *(Eq("a", n) for n in range(200))]
    _assert_keeps(engines, reduce(operator, some))


def test_a_filter_may_nest_thirty_levels(engines: list[HybridIndex]) -> None:
    where: Filter = Eq("a", "a")
    for level in range(DEEPEST - 1):
        where = Not(where) if level % 3 == 0 else Or((where, Exists("missing")))
    _assert_keeps(engines, where)


def test_a_filter_that_would_kill_the_engine_is_refused(engines: list[HybridIndex]) -> None:
    where: Filter = Eq("a", "a")
    for _ in range(300):
        where = Not(where)
    for engine in engines:
        for use in (engine.count, engine.delete_where, engine.scan):
            with pytest.raises(ValueError, match=f"deeper than {DEEPEST} levels"):
                use(where)
    _assert_keeps(engines, All())


@settings(max_examples=EXAMPLES)
@given(where=_filters)
def test_a_filter_crosses_grpc_unchanged(where: Filter) -> None:
    spoken = models.Filter.model_validate({"must": [to_qdrant(where)]})
    message = grpc.Filter.FromString(RestToGrpc.convert_filter(spoken).SerializeToString())
    assert _bare(GrpcToRest.convert_filter(message)) == _bare(spoken)


def test_the_deepest_filter_fits_a_servers_messages() -> None:
    where: Filter = Range("a", gt=1)
    for _ in range(DEEPEST):
        where = Not(where)
    spoken = models.Filter.model_validate({"must": [to_qdrant(where)]})
    batch = grpc.QueryBatchPoints(
        query_points=[grpc.QueryPoints(filter=RestToGrpc.convert_filter(spoken))]
    )
    assert grpc.QueryBatchPoints.FromString(batch.SerializeToString()) == batch
    text = models.QueryRequest(filter=spoken).model_dump_json(exclude_none=True)
    opened = accumulate(
        text, lambda depth, char: depth + (char in "{[") - (char in "}]"), initial=0
    )
    assert max(opened) + 2 < 128


def _bare(where: object) -> object:
    """Leave out empty clauses, which gRPC does not tell from none."""
    if isinstance(where, BaseModel):
        where = where.model_dump(exclude_none=True)
    if isinstance(where, list):
        return [_bare(one) for one in where]
    if isinstance(where, dict):
        return {key: _bare(one) for key, one in where.items() if one != [] or key == "has_id"}
    return where
