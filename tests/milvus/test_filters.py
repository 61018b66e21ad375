"""Filters over collections that m3kit did not create: what `matches` keeps, in their fields."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pymilvus import DataType, MilvusClient
from tests.filter_cases import CORPUS, DRAWN_NUMBERS, FILTERS, STRINGS

from m3kit import FieldNames
from m3kit.adapters.filter_translation import MAX_DEPTH
from m3kit.filters import (
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
from m3kit.index import Search
from m3kit.records import Document
from m3kit.testing import DIM, query, records
from m3kit_milvus import MilvusIndex

EXAMPLES = 2 * settings().max_examples

COLUMNS: Mapping[str, dict[str, Any]] = {
    "string": {"datatype": DataType.VARCHAR, "max_length": 1000},
    "flag": {"datatype": DataType.BOOL},
    "small": {"datatype": DataType.INT8},
    "large": {"datatype": DataType.INT64},
    "float": {"datatype": DataType.FLOAT},
    "double": {"datatype": DataType.DOUBLE},
    "strings": {"datatype": DataType.ARRAY, "element_type": DataType.VARCHAR},
    "numbers": {"datatype": DataType.ARRAY, "element_type": DataType.INT64},
}
SINGLES = [
    struct.unpack("f", struct.pack("f", value))[0] for value in (0.0, 0.1, -1.5, 2.0**24, 1e30)
]
VALUES: Mapping[str, list[Any]] = {
    "string": STRINGS,
    "flag": [True, False],
    "small": [0, 1, -1, 127, -128],
    "large": [0, 1, -1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)],
    "float": SINGLES,
    "double": [0.0, 0.1, -1.5, 2.0**53, 1e300, 5e-324],
    "strings": [["a", ""], ['"', "\\"], []],
    "numbers": [[0, 1], [2**53 + 1], []],
}
TYPED = [
    Document(
        f"{n}",
        "",
        {
            name: values[n % len(values)]
            for step, (name, values) in enumerate(VALUES.items())
            if (n + step) % 4
        },
    )
    for n in range(60)
]


def _collection(client: MilvusClient, name: str, *fields: dict[str, Any], dynamic: bool) -> None:
    schema = client.create_schema(auto_id=False, enable_dynamic_field=dynamic)
    schema.add_field("pk", DataType.VARCHAR, is_primary=True, max_length=200)
    schema.add_field("text", DataType.VARCHAR, max_length=1000)
    for field in fields:
        schema.add_field(**field)
    schema.add_field("dense", DataType.FLOAT_VECTOR, dim=DIM)
    index = client.prepare_index_params()
    index.add_index("dense", index_type="FLAT", metric_type="COSINE")
    client.create_collection(name, schema=schema, index_params=index)


def made(client: MilvusClient, suffix: str = "") -> list[MilvusIndex]:
    """Put the same documents with their metadata into one JSON, and into dynamic fields."""
    about = {"field_name": "about", "datatype": DataType.JSON}
    _collection(client, f"json{suffix}", about, dynamic=False)
    _collection(client, f"dynamic{suffix}", dynamic=True)
    indexes = [
        MilvusIndex(client, f"json{suffix}", fields=FieldNames(metadata="about", dense="dense")),
        MilvusIndex(client, f"dynamic{suffix}", fields=FieldNames(dense="dense")),
    ]
    for index in indexes:
        index.upsert(records(CORPUS))
        index.flush()
    return indexes


@pytest.fixture(scope="module")
def indexes(shared_client: MilvusClient) -> list[MilvusIndex]:
    return made(shared_client)


@pytest.fixture(scope="module")
def typed(shared_client: MilvusClient) -> MilvusIndex:
    """Documents with their metadata in fields of one type each."""
    fields = [
        {"field_name": name, "nullable": True, "max_capacity": 8, "max_length": 100, **how}
        for name, how in COLUMNS.items()
    ]
    _collection(shared_client, "typed", *fields, dynamic=False)
    index = MilvusIndex(shared_client, "typed", fields=FieldNames(dense="dense"))
    index.upsert(records(TYPED))
    index.flush()
    return index


def assert_keeps(index: MilvusIndex, where: Filter, among: list[Document]) -> None:
    expected = sorted(document.id for document in among if matches(where, document))
    hits = index.search(Search(query=query("", "dense"), k=len(among), where=where))
    assert sorted(hit.document.id for hit in hits) == expected
    assert index.count(where) == len(expected)


def test_the_documents_come_back_as_they_went_in(
    indexes: list[MilvusIndex], typed: MilvusIndex
) -> None:
    for index in indexes:
        assert sorted((record.document for record in index.scan()), key=_id) == sorted(
            CORPUS, key=_id
        )
    assert sorted((record.document for record in typed.scan()), key=_id) == sorted(TYPED, key=_id)


def _id(document: Document) -> str:
    return document.id


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=FILTERS)
@example(Eq("a", value=True))
@example(Not(Eq("a", 1)))
@example(Eq("a", 2**53 + 1))
@example(Contains("a", 1))
@example(Not(Contains("a", "a")))
@example(Range("a", gt=2**53, le=2**53 + 1))
@example(Range("a", ge=2**53 + 3))
@example(Range("a", gt=1.7976931348623157e308))
@example(Not(Range("a", gt=-1, lt=1)))
@example(Not(Range("missing", gt=-1)))
@example(Substring("a", "\\"))
@example(Substring("a", "_"))
@example(Not(Exists("a")))
@example(Ids(("0", "nobody's")))
def test_milvus_keeps_what_matches_keeps(indexes: list[MilvusIndex], where: Filter) -> None:
    for index in indexes:
        assert_keeps(index, where, CORPUS)


_numbers = DRAWN_NUMBERS | st.sampled_from(
    [value for name in ("small", "large", "float", "double") for value in VALUES[name]]
).flatmap(lambda value: st.sampled_from([value, value + 0.5, math.nextafter(value, math.inf)]))
_fields = st.sampled_from([*COLUMNS, "text", "pk", "dense", "missing"])
_values = _numbers | st.sampled_from(STRINGS) | st.booleans()
_leaves: st.SearchStrategy[Filter] = (
    st.builds(Eq, _fields, _values)
    | st.builds(In, _fields, st.lists(_values, max_size=3))
    | st.builds(Contains, _fields, _values)
    | st.builds(Exists, _fields)
    | st.builds(Substring, _fields, st.sampled_from(STRINGS).filter(bool))
    | st.builds(Range, _fields, gt=_numbers, lt=st.none() | _numbers)
    | st.builds(Range, _fields, ge=_numbers, le=st.none() | _numbers)
)
_filters = st.recursive(
    _leaves,
    lambda inner: (
        st.builds(And, st.lists(inner, max_size=3))
        | st.builds(Or, st.lists(inner, max_size=3))
        | st.builds(Not, inner)
    ),
    max_leaves=4,
)


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=_filters)
@example(Eq("float", 0.1))
@example(Range("float", gt=0.1))
@example(Range("float", lt=1e300))
@example(Range("large", gt=2.0**63))
@example(Range("large", ge=-(2**63)))
@example(Not(Range("small", le=1000)))
@example(Not(Eq("string", "a")))
def test_fields_of_one_type_keep_what_matches_keeps(typed: MilvusIndex, where: Filter) -> None:
    assert_keeps(typed, where, TYPED)


@pytest.mark.parametrize(
    "where", [Eq("a", 1), Not(Exists("a")), Substring("a", "%"), Range("a", lt=5)], ids=repr
)
def test_a_search_and_a_deletion_keep_it_too(indexes: list[MilvusIndex], where: Filter) -> None:
    matching = {document.id for document in CORPUS if matches(where, document)}
    for index in indexes:
        hits = index.search(Search(query=query("", "dense"), k=len(CORPUS), where=where))
        assert {hit.document.id for hit in hits} == matching
        index.delete_where(where)
        assert index.count() == len(CORPUS) - len(matching)
        index.upsert(records(CORPUS))


def test_a_filter_that_no_engine_reads_is_refused(indexes: list[MilvusIndex]) -> None:
    where: Filter = Eq("a", "a")
    for _ in range(300):
        where = Not(where)
    with pytest.raises(ValueError, match=f"deeper than {MAX_DEPTH} levels"):
        indexes[0].count(where)
