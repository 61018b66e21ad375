"""What filters keep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from m3kit.index import HybridIndex, Search
from m3kit.records import Document
from m3kit.testing.encoder import query, records
from m3kit.testing.samples import DATES, DOCUMENTS, NASTY_VALUES, NUMBERS
from m3kit.testing.strategies import MOMENTS, documents, driven, filters
from m3kit.testing.suite import Suite, needs
from m3kit.vectors import Rep


class FilterConformance(Suite):
    """That every filter keeps what `matches` keeps."""

    @pytest.mark.parametrize(
        "where",
        [
            Eq("lang", "de"),
            Eq("even", value=True),
            Eq("n", 3.0),
            Eq("tags", "bear"),
            Eq("lang", np.str_("de")),
            In("n", (np.float64(3), 5)),
            In("n", (1, 3, 5)),
            In("n", ()),
            Range("n", ge=2, lt=6),
            Range("n", gt=2.5, le=6.0),
            Contains("tags", "cat"),
            Contains("lang", "en"),
            Exists("n"),
            Exists("nothing"),
            Exists("tags"),
            Substring("lang", "e"),
            Substring("tags", "bear"),
            Ids((DOCUMENTS[3].id, "unknown")),
            Ids(()),
            All(),
            Eq("lang", "en") & Range("n", ge=4),
            Eq("n", 0) | Eq("n", 9),
            ~Eq("even", value=True),
            ~Eq("nothing", 1),
            And(()),
            Or(()),
            Not(Or((Eq("n", 1), Not(Range("n", lt=5))))),
        ],
        ids=repr,
    )
    def test_a_filter_keeps_what_matches_keeps(self, filled: HybridIndex, where: Filter) -> None:
        _assert_filters(filled, where, DOCUMENTS)

    @pytest.mark.parametrize("value", NASTY_VALUES, ids=ascii)
    def test_a_value_is_data_and_never_part_of_a_query(
        self, index: HybridIndex, value: str
    ) -> None:
        documents = [
            Document(f"{n}", "bear", {"a": nasty, "list": [nasty, "z"]})
            for n, nasty in enumerate(NASTY_VALUES)
        ]
        index.upsert(records(documents))
        for where in (Eq("a", value), Contains("list", value), In("a", (value, "zz"))):
            _assert_filters(index, where, documents)
            _assert_filters(index, Not(where), documents)
        if value:
            _assert_filters(index, Substring("a", value), documents)

    @pytest.mark.parametrize("value", NUMBERS, ids=repr)
    def test_numbers_compare_by_value(self, index: HybridIndex, value: float) -> None:
        documents = [
            Document(f"{n}", "bear", {"a": number, "list": [number, "z"], "flag": bool(n % 2)})
            for n, number in enumerate(NUMBERS)
        ]
        index.upsert(records(documents))
        for where in (
            Eq("a", value),
            Contains("list", value),
            In("a", (value, 7)),
            Range("a", gt=value),
            Range("a", ge=value),
            Range("a", lt=value),
            Range("a", le=value),
        ):
            _assert_filters(index, where, documents)

    def test_dates_compare_as_instants(self, index: HybridIndex) -> None:
        documents = [Document(f"{n}", "bear", {"when": date}) for n, date in enumerate(DATES)]
        index.upsert(records(documents))
        for date in MOMENTS:
            for bound in ("gt", "ge", "lt", "le"):
                _assert_filters(index, Range("when", **{bound: date}), documents)

    def test_a_dot_in_a_fields_name_is_a_plain_character(self, index: HybridIndex) -> None:
        documents = [
            Document("dotted", "bear", {"a.b": 1}),
            Document("nested", "bear", {"a": {"b": 1}}),
            Document("both", "bear", {"a.b": 2, "a": {"b": 1}}),
        ]
        index.upsert(records(documents))
        for where in (Eq("a.b", 1), Eq("a.b", 2), Exists("a.b"), Not(Eq("a.b", 1))):
            _assert_filters(index, where, documents)

    @driven
    @given(
        drawn=st.lists(documents(), max_size=6, unique_by=lambda document: document.id),
        where=filters(),
    )
    def test_any_filter_keeps_what_matches_keeps(
        self, index: HybridIndex, drawn: list[Document], where: Filter
    ) -> None:
        index.delete_where(All())
        index.upsert(records(drawn))
        _assert_filters(index, where, drawn)


def _assert_filters(index: HybridIndex, where: Filter, among: Sequence[Document]) -> None:
    expected = sorted(document.id for document in among if matches(where, document))
    assert sorted(record.document.id for record in index.scan(where)) == expected
    assert index.count(where) == len(expected)
    rep: Rep = "dense" if "dense" in index.reps else "colbert"
    needs(index, rep)
    hits = index.search(Search(query=query("bear", rep), k=100, where=where))
    assert sorted(hit.document.id for hit in hits) == expected
