"""
Filters over payloads as others write them keep exactly what `matches` keeps.

That is of the documents as the engine gives them back: it changes the last bit of some floats, and
others write no exact JSON beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from math import isclose
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from qdrant_client import QdrantClient, models
from tests.filter_cases import CORPUS, FILTERS

from m3kit import FieldNames
from m3kit.filters import (
    Contains,
    Eq,
    Filter,
    Ids,
    Not,
    Range,
    matches,
)
from m3kit.index import HybridIndex
from m3kit.records import Document
from m3kit_qdrant import QdrantIndex

_Test = TypeVar("_Test", bound=Callable[..., None])
EXAMPLES = max(500, 5 * settings().max_examples)  # 10,000 in the nightly profile
NESTED = FieldNames(dense="d", metadata="meta")
FLAT = FieldNames(id="the id", dense="d")


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection, and the documents that it gives back."""

    index: HybridIndex
    documents: Sequence[Document]


def _collection(client: QdrantClient, name: str, fields: FieldNames) -> Collection:
    """Write the corpus by the client alone."""
    size = models.VectorParams(size=1, distance=models.Distance.DOT)
    client.create_collection(name, vectors_config={"d": size}, sparse_vectors_config={})
    points = []
    for document in CORPUS:
        about: Any = (
            {fields.metadata: document.metadata} if fields.metadata else dict(document.metadata)
        )
        id_field: Any = {} if fields.id is None else {fields.id: document.id}
        key = int(document.id) if fields.id is None else str(UUID(int=int(document.id) + 7))
        points.append(
            models.PointStruct(
                id=key, vector={"d": [1.0]}, payload={"text": "", **about, **id_field}
            )
        )
    client.upsert(name, points, wait=True)
    index = QdrantIndex(client, name, fields=fields)
    return Collection(index, [record.document for record in index.scan()])


@pytest.fixture(scope="module")
def local() -> Iterator[Collection]:
    client = QdrantClient(":memory:")
    yield _collection(client, "papers", NESTED)
    client.close()


@pytest.fixture(scope="module")
def served(shared_server: Any) -> Iterator[Collection]:
    """The engine itself, whose binding takes True for 1."""
    client = QdrantClient(f"http://{shared_server.address}", check_compatibility=False)
    yield _collection(client, "flat papers", FLAT)
    client.close()


def _assert_keeps(collection: Collection, where: Filter) -> None:
    expected = {document.id for document in collection.documents if matches(where, document)}
    assert {record.document.id for record in collection.index.scan(where)} == expected


def _near(value: Any, other: Any) -> bool:
    """Compare JSON, and floats up to their last bit."""
    match value, other:
        case float(), float():
            return isclose(value, other, rel_tol=2**-52)
        case list(), list():
            return len(value) == len(other) and all(map(_near, value, other))
        case dict(), dict():
            return value.keys() == other.keys() and all(
                _near(value[key], other[key]) for key in value
            )
        case _:
            return type(value) is type(other) and bool(value == other)


def test_documents_come_back_as_the_client_wrote_them(
    local: Collection, served: Collection
) -> None:
    written = {document.id: document.metadata for document in CORPUS}
    assert {document.id: document.metadata for document in local.documents} == written
    assert all(_near(document.metadata, written[document.id]) for document in served.documents)


BEYOND: list[Filter] = [
    Eq("a", 2**53),
    Eq("a", 2.0**53),
    Eq("a", 2**53 + 1),
    Eq("a", 2.0**63),
    Eq("a", 2**63 - 1),
    Eq("a", 1e300),
    Range("a", gt=2**53, le=2**53 + 1),
    Range("a", ge=2.0**53),
    Range("a", lt=2**53 + 1),
    Range("a", le=2.0**63, gt=2**62),
    Range("a", ge=-(2.0**63), lt=0),
    Range("a", gt=1e300),
    Contains("a", 2.0**53),
    Not(Range("a", gt=-1, lt=1)),
    Range("a", gt=123456789.12345679),
    Eq("a", 123456789.12345679),
    Ids(("1", "70", "unknown")),
]


def _with(where: list[Filter]) -> Callable[[_Test], _Test]:
    return lambda test: reduce(
        lambda decorated, condition: example(where=condition)(decorated), where, test
    )


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=FILTERS)
@_with([*BEYOND, Eq("a", value=True), Eq("a", 1), Contains("a", 1)])
def test_local_mode_keeps_what_matches_keeps(local: Collection, where: Filter) -> None:
    _assert_keeps(local, where)


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=FILTERS)
@_with([*BEYOND, Eq("a", value=True), Eq("a", 1), Contains("a", 1)])
def test_the_engine_keeps_what_matches_keeps(served: Collection, where: Filter) -> None:
    _assert_keeps(served, where)
