from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3kit.filter_json import filter_from_json, filter_to_json
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
)

NAMES = st.sampled_from(["lang", "a.b", ("loc", "page"), "naïve"])
VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["de", "", "表"]),
)
LEAVES: st.SearchStrategy[Filter] = st.one_of(
    st.builds(Eq, NAMES, VALUES),
    st.builds(In, NAMES, st.lists(VALUES, max_size=3).map(tuple)),
    st.builds(lambda field, low: Range(field, ge=low, lt=low + 1), NAMES, st.integers(-9, 9)),
    st.builds(lambda field: Range(field, gt="2024-03-01"), NAMES),
    st.builds(Contains, NAMES, VALUES),
    st.builds(Exists, NAMES),
    st.builds(Substring, NAMES, st.sampled_from(["x", "表"])),
    st.builds(Ids, st.lists(st.sampled_from(["a", "b"])).map(tuple)),
    st.just(All()),
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(And, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=6,
)


@given(FILTERS)
def test_a_filter_comes_back_as_it_was(where: Filter) -> None:
    assert filter_from_json(json.loads(json.dumps(filter_to_json(where)))) == where


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("lang = 'de'", r"where is an object"),
        ({}, r"where.op is one of eq, in"),
        ({"op": "eval", "code": "1"}, r"where.op is one of"),
        ({"op": ["eq"]}, r"where.op is one of"),
        ({"op": "eq", "field": "lang"}, r"where has the op eq and lacks value"),
        ({"op": "all", "field": "lang"}, r"where has the op all and takes nothing"),
        ({"op": "eq", "field": "lang", "value": None}, r"where: a filter compares with a value"),
        ({"op": "in", "field": "lang", "values": "de"}, r"where: values is a list"),
        ({"op": "range", "field": "year"}, r"where: .* has no bound"),
        ({"op": "and", "of": {"op": "all"}}, r"where: of is a list"),
        (
            {"op": "or", "of": [{"op": "all"}, {"op": "not", "of": {"op": "ids", "ids": [1]}}]},
            r"where.of\[1\].of: a document's id is a string",
        ),
    ],
)
def test_what_is_no_filter_is_refused_with_its_place(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        filter_from_json(wrong)


def test_a_filter_has_a_greatest_depth() -> None:
    where: Any = {"op": "all"}
    for _ in range(70):
        where = {"op": "not", "of": where}
    with pytest.raises(ValueError, match="nested deeper than 64 levels"):
        filter_from_json(where)
