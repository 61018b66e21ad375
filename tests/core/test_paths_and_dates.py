"""Filters on nested fields and over dates."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from m3kit import (
    Contains,
    Document,
    Eq,
    Exists,
    Filter,
    In,
    MemoryIndex,
    Not,
    Range,
    Record,
    Substring,
    matches,
)
from m3kit.testing import ENCODER

NESTED: dict[str, Any] = {
    "loc": {"lines": 1, "page": {"label": "iv"}, "tags": ["a", 1]},
    "loc.lines": "dotted",
    "author": [{"name": "ann"}],
}


@pytest.mark.parametrize(
    ("where", "keeps"),
    [
        (Eq(("loc", "lines"), 1), True),
        (Eq(("loc", "lines"), 1.0), True),
        (Eq(("loc", "lines"), value=True), False),
        (Eq("loc.lines", "dotted"), True),
        (Eq("loc.lines", 1), False),
        (In(("loc", "page", "label"), ("iv", "v")), True),
        (Range(("loc", "lines"), ge=1, lt=2), True),
        (Contains(("loc", "tags"), "a"), True),
        (Contains(("loc", "tags"), value=True), False),
        (Exists(("loc", "page")), True),
        (Exists(("loc", "size")), False),
        (Not(Exists(("loc", "size"))), True),
        (Substring(("loc", "page", "label"), "v"), True),
        (Eq(("author", "name"), "ann"), False),
        (Exists(("loc", "lines", "deeper")), False),
    ],
    ids=str,
)
def test_a_path_leads_through_objects_alone(where: Filter, keeps: bool) -> None:  # noqa: FBT001  # the expectation
    assert matches(where, Document("a", "", NESTED)) is keeps


def test_a_path_of_one_key_is_the_key() -> None:
    assert Eq(("lang",), "de") == Eq("lang", "de")


@pytest.mark.parametrize(
    "field", [(), ("a", ""), ("a", 1), ["a", "b"], None, ("a", 'b"')], ids=repr
)
def test_a_field_is_a_name_or_a_path_of_names(field: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"path|name"):
        Eq(field, 1)


@pytest.mark.parametrize(
    ("stored", "where", "keeps"),
    [
        ("2024-03-01", Range("day", ge="2024-03-01"), True),
        ("2024-03-01", Range("day", gt="2024-03-01"), False),
        ("2024-03-01", Range("day", ge=date(2024, 3, 1), lt=date(2024, 3, 2)), True),
        ("2024-02-29T23:30:00-01:00", Range("day", ge="2024-03-01"), True),
        ("2024-03-01T00:30:00+01:00", Range("day", ge="2024-03-01"), False),
        ("2024-03-01T09:30", Range("day", ge=datetime(2024, 3, 1, 9, 30, tzinfo=UTC)), True),
        (
            "2024-03-01T09:30",
            Range("day", gt=datetime(2024, 3, 1, 9, 30)),
            False,
        ),  # a naive one is UTC
        ("not a date", Range("day", ge="0001-01-01"), False),
        (20240301, Range("day", ge="0001-01-01"), False),
        ("2024-03-01", Range("day", ge=0), False),
        (["2024-03-01"], Range("day", ge="2024-01-01"), False),
        (None, Range("day", ge="2024-01-01"), False),
        ("2024-03-01T00:00Z", Eq("day", "2024-03-01"), False),
    ],
)
def test_dates_compare_as_instants_in_ranges_alone(stored: Any, where: Filter, keeps: bool) -> None:  # noqa: FBT001  # so
    assert matches(where, Document("a", "", {"day": stored})) is keeps


@pytest.mark.parametrize("bound", ["soon", "", "2024", True, [1], b"2024-03-01"], ids=repr)
def test_a_bound_is_a_number_or_a_date(bound: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="is no bound of a range"):
        Range("day", ge=bound)


def test_bounds_are_of_one_kind() -> None:
    with pytest.raises(TypeError, match="all numbers or all dates"):
        Range("day", ge="2024-03-01", lt=5)


def test_the_oracle_searches_by_paths_and_dates() -> None:
    documents = [
        Document("a", "the bear", {"loc": {"page": 1}, "day": "2024-03-01"}),
        Document("b", "the bear", {"loc": {"page": 2}, "day": "2024-03-02T01:00+02:00"}),
    ]
    index = MemoryIndex(encoder=ENCODER)
    outputs = ENCODER.encode_documents([document.text for document in documents])
    index.upsert([Record(*pair) for pair in zip(documents, outputs, strict=True)])
    assert index.count(Eq(("loc", "page"), 2)) == 1
    assert index.count(Range("day", ge="2024-03-02")) == 0
    assert index.count(Range("day", ge="2024-03-01T23:00Z")) == 1
