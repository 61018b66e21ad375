"""Milvus keeps exactly what `matches` keeps, in both ways of keeping terms."""

from __future__ import annotations

import re
from functools import reduce
from operator import and_, or_
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pymilvus import MilvusClient

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
from m3kit_milvus import MilvusIndex, collection
from m3kit_milvus.filters import DEEPEST, to_milvus
from m3kit_milvus.payload import TermsType, letters

EXAMPLES = max(200, settings().max_examples)
FIELDS = [
    "a",
    "a.b",
    "with space",
    "ключ",
    "$id-1:x/y%z?*@#,;<>&|~^=+",
    "key",
    "terms",
    "metadata",
]
STRINGS = [*NASTY_VALUES, "x" * 201, "x" * 200 + "y", "\x00", "\x85", "\u2028", "\U0010ffff", "İ"]
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
def indexes(shared_client: MilvusClient) -> list[HybridIndex]:
    """The same documents in both ways of keeping terms."""
    text = MilvusIndex(shared_client, "text", dim=DIM, reps=["dense"])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(collection, "_is_lite", lambda *_: False)
        patched.setattr(collection, "_SERVER_INDEXES", {})  # Milvus Lite has none for arrays
        array = MilvusIndex(shared_client, "arrays", dim=DIM, reps=["dense"])
    indexes: list[HybridIndex] = [text, array]
    for index in indexes:
        index.upsert(records(CORPUS))
        index.flush()
    return indexes


def _assert_keeps(indexes: list[HybridIndex], where: Filter) -> None:
    expected = sorted(one.id for one in CORPUS if matches(where, one))
    for index in indexes:
        assert sorted(one.document.id for one in index.scan(where)) == expected
        assert index.count(where) == len(expected)


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=_filters)
@example(Ids(("0", "7", "0")))
@example(Eq("a", value=True))
@example(Eq("a", 1))
@example(Contains("a", 1))
@example(Range("a", gt=2**53, le=2**53 + 1))
@example(Range("a", ge=0.1 + 0.2, le=0.1 + 0.2))
@example(Range("a", ge=-1, lt=2**62))
@example(Range("a", ge=-(2.0**63), lt=2.0**62))
@example(Not(Range("a", gt=-1, lt=1)))
@example(Not(Range("missing", gt=-1)))
@example(Not(Substring("missing", "x")))
@example(Substring("a", "\\"))
@example(Substring("a", "%"))
@example(Substring("a", "_"))
def test_milvus_keeps_what_matches_keeps(indexes: list[HybridIndex], where: Filter) -> None:
    _assert_keeps(indexes, where)


@settings(max_examples=EXAMPLES)
@given(_filters, st.sampled_from(get_args(TermsType)))
def test_nothing_that_anybody_wrote_is_in_an_expression(
    where: Filter, terms_type: TermsType
) -> None:
    assert re.fullmatch(r'[A-Za-z0-9_ "()\[\],$%<>=!-]*', to_milvus(where, terms_type), re.ASCII)


@settings(max_examples=EXAMPLES)
@given(_numbers, _numbers)
@example(2**53, 2**53 + 1)
@example(2**63 - 1, 2.0**63)
@example(-0.0, 0)
def test_the_order_of_numbers_is_kept_in_two_exact_halves(one: float, other: float) -> None:
    assert (order(one) < order(other)) is (one < other)
    assert (order(one) == order(other)) is (one == other)
    assert all(abs(half) < 2**53 for half in order(one))


@settings(max_examples=EXAMPLES)
@given(st.text("aAéß€\u0001\u0010日", max_size=6), st.text("aAéß€\u0001\u0010日", max_size=2))
@example("a", "\u0010")
def test_a_part_of_a_text_is_a_part_of_its_letters(text: str, part: str) -> None:
    assert (letters(part) in letters(text)) is (part in text)
    assert re.fullmatch("[a-pA-P]*", letters(text))


@pytest.mark.parametrize("operator", [or_, and_])
def test_a_long_chain_is_not_a_deep_filter(indexes: list[HybridIndex], operator: Any) -> None:
    some: list[Filter] = [Exists("a"), *(Eq("a", n) for n in range(200))]
    _assert_keeps(indexes, reduce(operator, some))


@pytest.mark.parametrize(
    "leaf", [Eq("a", "a"), Range("a", gt=1, lt=7), In("a", tuple(range(40)))], ids=repr
)
def test_a_filter_may_nest_thirty_levels(indexes: list[HybridIndex], leaf: Filter) -> None:
    where = leaf
    for level in range(DEEPEST - 1):
        where = Not(where) if level % 3 == 0 else Or((where, Exists("missing")))
    _assert_keeps(indexes, where)


def test_a_filter_that_no_engine_reads_is_refused(indexes: list[HybridIndex]) -> None:
    where: Filter = Eq("a", "a")
    for _ in range(300):
        where = Not(where)
    for index in indexes:
        for use in (index.count, index.delete_where, index.scan):
            with pytest.raises(ValueError, match=f"deeper than {DEEPEST} levels"):
                use(where)
    _assert_keeps(indexes, All())
