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
from pydantic import BaseModel
from qdrant_client import QdrantClient, grpc, models
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc
from tests.filter_cases import CORPUS, FILTERS

from m3kit.filters import (
    All,
    Contains,
    Eq,
    Exists,
    Filter,
    Not,
    Or,
    Range,
    Substring,
    matches,
)
from m3kit.index import HybridIndex
from m3kit.testing import DIM, records
from m3kit_qdrant import EdgeIndex, QdrantIndex
from m3kit_qdrant.filters import DEEPEST, to_qdrant

EXAMPLES = max(500, 5 * settings().max_examples)  # 10,000 in the nightly profile


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
@given(where=FILTERS)
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
@given(where=FILTERS)
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
