"""Filters in YQL: what they say, what is refused, and that Vespa keeps what `matches` keeps."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import reduce
from operator import and_, or_
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.filter_cases import CORPUS, DRAWN_NUMBERS, FIELDS, FILTERS

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
from m3kit.records import Document
from m3kit.testing import records
from m3kit_vespa import VespaIndex
from m3kit_vespa.attributes import Attributes
from m3kit_vespa.filters import DEEPEST, Terms, double, to_yql
from m3kit_vespa.payload import read, spelled
from m3kit_vespa.shape import Kind, Shape

EXAMPLES = 10_000 if settings().max_examples >= 2_000 else 500
CASES = Shape(8, fields=dict.fromkeys([*FIELDS, "missing", "a.c", "b"], ("str", "float")))
ODD = "aA\x00\x01\ue000\ue001\ue005\ue010\ufffe\ufdd0\n\U0001ffff日"
TYPED = Terms(Shape(8, fields={"lang": ("str",), "year": ("int",), "price": ("float",)}))


@settings(max_examples=max(150, settings().max_examples))
@given(FILTERS)
def test_nothing_that_anybody_wrote_is_in_a_query(where: Filter) -> None:
    said = to_yql(where, Terms(CASES))
    for one in re.findall(r'"([^"]*)"', said):
        assert re.fullmatch(r"[0-9a-f]{32}|([A-Za-z0-9]|\\\\x\{[0-9a-f]+\})+", one)
    assert re.fullmatch(r"[A-Za-z0-9_ (),.<>=!-]*", re.sub(r'"[^"]*"', "", said), re.ASCII)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (Range("year", ge=2000, lt=2010), "range(year, 2000L, 2009L)"),
        (Range("year", gt=1999.5, le=2009.5), "range(year, 2000L, 2009L)"),
        (Range("year", gt=1e300), "false"),
        (
            Range("year", lt=1e300),
            f"(range(year, {1 - 2**63}L, 0L) or range(year, 0L, {2**63 - 1}L))",
        ),
        (Range("price", gt=0.5), "(price > 0.5 or (price = 0.5 and price_rest > 0))"),
        (
            Range("price", le=2**53 + 1),
            "(price < 9007199254740992.0 or (price = 9007199254740992.0 and price_rest <= 1))",
        ),
        (Substring("lang", 'a"é\n'), r'lang matches "a\\x{22}\\x{e9}\\x{a}"'),
        (Or(()), "false"),
        (Not(Ids(())), "true"),
        (Or((In("a", ()), In("b", ()))), "false"),
        (And((All(), Not(All()))), "false"),
        (And((All(), Range("year", gt=1, lt=3))), "year in (2L)"),
    ],
    ids=repr,
)
def test_ranges_and_substrings_go_by_the_fields_attribute(where: Filter, said: str) -> None:
    assert to_yql(where, TYPED) == said


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (Range("month", gt=1), r"'month': int}"),
        (Range("lang", gt=1), r"'lang': int}"),
        (Substring("year", "1"), r"'year': str}"),
        (Not(Substring("a.b", "1")), r"'a.b': str}"),
    ],
    ids=repr,
)
def test_what_is_not_declared_is_refused_with_the_line_that_declares_it(
    where: Filter, said: str
) -> None:
    with pytest.raises(ValueError, match=r"m3_package\(…, fields=\{…, ") as caught:
        to_yql(where, TYPED)
    assert said in str(caught.value)


def test_a_filter_too_deep_is_refused() -> None:
    where: Filter = Eq("a", 1)
    for _ in range(DEEPEST + 1):
        where = Not(where)
    with pytest.raises(ValueError, match=f"deeper than {DEEPEST}"):
        to_yql(where, TYPED)


@settings(max_examples=200)
@given(DRAWN_NUMBERS)
@example(5e-324)
@example(-1.7976931348623157e308)
def test_a_double_is_written_whole(number: float) -> None:
    said = double(number)
    assert re.fullmatch(r"-?\d+\.\d+(e-?\d+)?", said)
    assert math.isclose(float(said), float(number), rel_tol=0)


@settings(max_examples=300)
@given(st.text(ODD, max_size=6), st.text(ODD, max_size=2))
@example("\ue000\ue001", "\ue001")
def test_a_part_of_a_text_is_a_part_of_its_spelling(text: str, part: str) -> None:
    assert read(spelled(text)) == text
    assert (spelled(part) in spelled(text)) is (part in text)
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ufdd0-\ufdef\ufffe\uffff]", spelled(text))


def test_a_schema_of_others_is_asked_by_its_own_attributes() -> None:
    kinds: dict[str, Kind] = {
        "id": "str", "lang": "str", "year": "int", "open": "bool", "tags": "strs",
        "sizes": "ints", "price": "float",
    }  # fmt: skip
    words = Attributes(kinds, "id")
    said: dict[Filter, str] = {
        Eq("lang", 'a"b\\'): r'lang in ("a\"b\\")',
        Eq("lang", 1): "false",
        In("year", (1, 2.0, 2.5, True)): "(year = 1L or year = 2L)",
        Eq("open", value=True): "(open = true)",
        Contains("tags", "x"): 'tags in ("x")',
        Contains("sizes", 4): "(sizes = 4L)",
        Range("price", gt=1, le=2.5): "(price > 1.0 and price <= 2.5)",
        Range("year", gt=1): f"range(year, 2L, {2**63 - 1}L)",
        Ids(("a", "b")): 'id in ("a", "b")',
        Substring("lang", "x"): 'lang matches "x"',
    }  # fmt: skip
    for where, expected in said.items():
        assert to_yql(where, words) == expected
    for where in (Exists("lang"), Eq("unknown", 1), Substring("year", "1"), Contains("lang", "x")):
        with pytest.raises(ValueError, match=r"cannot tell|needs"):
            to_yql(where, words)
    with pytest.raises(ValueError, match="kept to ids"):
        to_yql(Ids(("a",)), Attributes({}, None))


@pytest.fixture(scope="module")
def cases(emptied: Callable[[str], VespaIndex]) -> VespaIndex:
    index = emptied("cases")
    index.upsert(records(CORPUS))
    return index


def _assert_keeps(index: VespaIndex, where: Filter, among: list[Document]) -> None:
    expected = sorted(one.id for one in among if matches(where, one))
    assert index.count(where) == len(expected)
    assert sorted(one.document.id for one in index.scan(where)) == expected


@pytest.mark.peer
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=FILTERS)
@example(Eq("a", value=True))
@example(Eq("a", 1))
@example(Eq("a", ""))
@example(Contains("a", 1))
@example(Range("a", gt=2**53, le=2**53 + 1))
@example(Range("a", ge=0.1 + 0.2, le=0.1 + 0.2))
@example(Range("a", ge=-(2.0**63), lt=2.0**62))
@example(Range("a", ge=5e-324, le=5e-324))
@example(Not(Range("a", gt=-1, lt=1)))
@example(Not(Range("missing", gt=-1)))
@example(Not(Substring("missing", "x")))
@example(Substring("a", "\\"))
@example(Substring("a", "%"))
@example(Substring("a", "\x00"))
@example(Substring("a", "İ"))
def test_vespa_keeps_what_matches_keeps(cases: VespaIndex, where: Filter) -> None:
    _assert_keeps(cases, where, CORPUS)


@pytest.mark.peer
@pytest.mark.parametrize("operator", [or_, and_])
def test_a_long_chain_is_not_a_deep_filter(cases: VespaIndex, operator: Any) -> None:
    some: list[Filter] = [Exists("a"), *(Eq("a", n) for n in range(200))]
    _assert_keeps(cases, reduce(operator, some), CORPUS)


@pytest.mark.peer
def test_a_filter_may_nest_thirty_levels(cases: VespaIndex) -> None:
    where: Filter = Range("a", gt=1, lt=7)
    for level in range(DEEPEST - 1):
        where = Not(where) if level % 3 == 0 else Or((where, Exists("missing")))
    _assert_keeps(cases, where, CORPUS)


@pytest.mark.peer
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    year=st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(1990, 2030),
    bound=DRAWN_NUMBERS | st.integers(1990, 2030),
)
@example(2**53 + 1, 2**53)
@example(2**53, 2**53 + 1)
@example(2**63 - 1, 2.0**63)
@example(2**63 - 2, 2**63 - 2)
@example(2**63 - 1, 2**63 - 2)
@example(2**63 - 513, 2**63 - 513)
@example(-(2**53) - 1, -(2**53))
@example(-(2**63) + 1, -(2**63) + 1)
def test_ranges_of_whole_numbers(
    emptied: Callable[[str], VespaIndex], year: int, bound: float
) -> None:
    index = emptied("typed")
    documents = [Document("a", "", {"year": year}), Document("b", "", {})]
    index.upsert(records(documents))
    for where in (
        Range("year", gt=bound),
        Range("year", ge=bound),
        Not(Range("year", lt=bound)),
        Range("year", le=bound),
    ):
        _assert_keeps(index, where, documents)
