"""Every engine keeps exactly what `matches` keeps, with indexes of the payload and without."""

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

from m3kit.adapters.filter_translation import MAX_DEPTH
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
from m3kit_qdrant import M3KIT, EdgeIndex, QdrantIndex
from m3kit_qdrant.edge_filters import to_edge
from m3kit_qdrant.engine import Condition
from m3kit_qdrant.filters import to_qdrant
from m3kit_qdrant.layout import Layout

EXAMPLES = 5 * settings().max_examples  # 10,000 in the nightly profile


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[HybridIndex]]:
    """The same documents on Edge, where filters make indexes and where not, and locally."""
    path: Path = tmp_path_factory.mktemp("filters")
    client = QdrantClient(":memory:")
    with (
        pytest.MonkeyPatch.context() as patch,
        EdgeIndex(path / "plain", dim=DIM, reps=["dense"]) as plain,
        EdgeIndex(path / "indexed", dim=DIM, reps=["dense"]) as indexed,
    ):
        patch.setattr("m3kit_qdrant.edge_client._INDEXED_FROM", len(CORPUS))
        local = QdrantIndex(client, "filters", dim=DIM, reps=["dense"])
        engines: list[HybridIndex] = [indexed, plain, local]
        for engine in engines:
            engine.upsert(records(CORPUS))
        plain.delete([CORPUS[-1].id])  # so that it has too few to be indexed
        yield engines
    client.close()


def _assert_keeps(engines: list[HybridIndex], where: Filter) -> None:
    for engine in engines:
        corpus = CORPUS[:-1] if engine is engines[1] else CORPUS
        expected = {document.id for document in corpus if matches(where, document)}
        assert {record.document.id for record in engine.scan(where)} == expected
    assert engines[0].count(where) == sum(matches(where, document) for document in CORPUS)


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
@example(Not(Eq("a", value=False)))
@example(Eq("a", 0.30000000000000004))
@example(Range("a", gt=0.3, lt=0.4))
@example(Not(Eq("a", 123456789.12345679)))
@example(Eq("a", "00000000-0000-0000-0000-000000000001"))
def test_every_engine_keeps_what_matches_keeps(engines: list[HybridIndex], where: Filter) -> None:
    """Local mode, slow Python, is asked for some: the translation is the same for all of them."""
    _assert_keeps(engines if len(repr(where)) % 4 == 0 else engines[:2], where)


@pytest.mark.parametrize("operator", [or_, and_])
def test_a_long_chain_is_not_a_deep_filter(engines: list[HybridIndex], operator: Any) -> None:
    chain: list[Filter] = [Exists("a"), *(Eq("a", n) for n in range(200))]
    _assert_keeps(engines, reduce(operator, chain))


def test_a_filter_may_nest_thirty_levels(engines: list[HybridIndex]) -> None:
    where: Filter = Eq("a", "a")
    for level in range(MAX_DEPTH - 1):
        where = Not(where) if level % 3 == 0 else Or((where, Exists("missing")))
    _assert_keeps(engines, where)


def test_a_filter_that_would_kill_the_engine_is_refused(engines: list[HybridIndex]) -> None:
    where: Filter = Eq("a", "a")
    for _ in range(300):
        where = Not(where)
    for engine in engines:
        for use in (engine.count, engine.delete_where, engine.scan):
            with pytest.raises(ValueError, match=f"deeper than {MAX_DEPTH} levels"):
                use(where)
    _assert_keeps(engines, All())


@settings(max_examples=EXAMPLES)
@given(where=FILTERS)
def test_a_filter_crosses_grpc_unchanged(where: Filter) -> None:
    spoken = models.Filter.model_validate({"must": [_condition(where)]})
    message = grpc.Filter.FromString(RestToGrpc.convert_filter(spoken).SerializeToString())
    assert _bare(GrpcToRest.convert_filter(message)) == _bare(spoken)


def test_the_deepest_filter_fits_a_servers_messages() -> None:
    where: Filter = Range("a", gt=1)
    for _ in range(MAX_DEPTH):
        where = Not(where)
    spoken = models.Filter.model_validate({"must": [_condition(where)]})
    batch = grpc.QueryBatchPoints(
        query_points=[grpc.QueryPoints(filter=RestToGrpc.convert_filter(spoken))]
    )
    assert grpc.QueryBatchPoints.FromString(batch.SerializeToString()) == batch
    text = models.QueryRequest(filter=spoken).model_dump_json(exclude_none=True)
    opened = accumulate(
        text, lambda depth, char: depth + (char in "{[") - (char in "}]"), initial=0
    )
    assert max(opened) + 2 < 128


def _condition(where: Filter) -> Condition:
    return to_qdrant(where, Layout(M3KIT)).expression


@pytest.mark.parametrize(
    "where",
    [
        {},
        {"key": "a", "match": {"phrase": "x"}},
        {"nested": {}},
        {"must": [], "min_should": {}},
        {"has_id": [1], "key": "a"},
        {"must": [{"should": [{"is_null": {"key": "a"}}]}]},
    ],
)
def test_a_condition_that_edge_is_not_taught_is_an_error_and_never_everything(
    where: Condition,
) -> None:
    with pytest.raises(ValueError, match="is given no condition such as"):
        to_edge(where)


def test_common_filters_are_exact_and_so_never_read_what_they_count() -> None:
    filters: list[Filter] = [
        Range("year", ge=2020, lt=2025),
        Range("score", gt=0.5),
        Range("price", le=19.99),
        Range("when", ge=1764337500.123),
        Range("when", ge=1764337500123),
        Eq("year", 2024),
        Eq("lang", "de"),
        Eq("draft", value=False),
        Contains("tags", "a"),
        Exists("lang"),
        Substring("lang", "e"),
    ]
    for where in filters:
        assert to_qdrant(where, Layout(M3KIT)).exact
        assert to_qdrant(Not(where), Layout(M3KIT)).exact
    for where in (Eq("n", 2**60), Range("when", ge=1764337500.1234567), Eq("a", 0.1 + 0.2)):
        assert not to_qdrant(where, Layout(M3KIT)).exact


def _bare(where: object) -> object:
    """Leave out empty clauses, which gRPC does not tell from none."""
    if isinstance(where, BaseModel):
        where = where.model_dump(exclude_none=True)
    if isinstance(where, list):
        return [_bare(part) for part in where]
    if isinstance(where, dict):
        return {key: _bare(part) for key, part in where.items() if part != [] or key == "has_id"}
    return where
