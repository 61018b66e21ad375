"""Filters in YQL: what they say, and that Vespa keeps what `matches` keeps."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from functools import reduce
from operator import and_, or_
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.filter_cases import CORPUS, DRAWN_NUMBERS, FIELDS, FILTERS
from tests.vespa.application import CASES, SHOP, SHOP_TYPES
from vespa.application import Vespa

from m3kit.adapters.field_names import FieldNames
from m3kit.adapters.filter_translation import MAX_DEPTH
from m3kit.adapters.manifest import Manifest
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
from m3kit.index import Search
from m3kit.records import Document
from m3kit.testing import DIM, query, records
from m3kit_vespa import M3KIT, VespaIndex
from m3kit_vespa.field_types import AttributeType
from m3kit_vespa.filters import to_condition
from m3kit_vespa.layout import Layout
from m3kit_vespa.yql import double

EXAMPLES = 10_000 if settings().max_examples >= 2_000 else 200
MANIFEST = Manifest(8, frozenset({"dense"}), None)
TYPES: dict[str, AttributeType] = {
    "lang": "string", "year": "long", "price": "double", "open": "bool", "tags": "array<string>",
    "sizes": "array<long>",
}  # fmt: skip
TYPED = Layout(M3KIT, MANIFEST, TYPES, "exact")
NAMES = FieldNames(id="id", dense="v")
EXISTING = Layout(NAMES, MANIFEST, {"id": "string", **TYPES})
_LITERAL = r'"(?:[^"\\]|\\.)*"'


@settings(max_examples=max(150, settings().max_examples))
@given(FILTERS)
def test_what_a_filter_compares_with_is_a_literal(where: Filter) -> None:
    for types in ({}, *(dict.fromkeys(FIELDS, type_) for type_ in TYPES.values())):
        layout = Layout(M3KIT, MANIFEST, types, "exact")
        yql = to_condition(where, layout).expression.yql
        assert yql is not None
        assert yql.isascii()
        for literal in re.findall(_LITERAL, yql):
            assert isinstance(json.loads(literal), str)
        assert re.fullmatch(r"[A-Za-z0-9_ (),.<>=!-]*", re.sub(_LITERAL, "", yql), re.ASCII)


@pytest.mark.parametrize(
    ("where", "yql"),
    [
        (Eq("lang", 'a"b\\'), r'lang in ("a\"b\\")'),
        (Eq("lang", ""), r'terms in ("[\"lang\",\"\"]")'),
        (Eq("lang", 1), r'terms in ("[\"lang\",1]")'),
        (Eq("author", "Öz"), r'terms in ("[\"author\",\"\u00d6z\"]")'),
        (In("year", (1, 2.0)), "year in (1L, 2L)"),
        (In("price", (1, 2.5)), "(price = 1.0 or price = 2.5)"),
        (Eq("open", value=True), "open = true"),
        (Contains("tags", "x"), 'tags in ("x")'),
        (Contains("sizes", 4), "sizes in (4L)"),
        (Contains("tags", 4), r'terms in ("[\"tags\",[4]]")'),
        (Exists("lang"), r'(!(lang in ("")) or terms in ("[\"lang\"]"))'),
        (Exists("author"), r'terms in ("[\"author\"]")'),
        (Range("year", ge=2000, lt=2010), "range(year, 2000L, 2009L)"),
        (Range("year", gt=1999.5, le=2009.5), "range(year, 2000L, 2009L)"),
        (Range("year", gt=1e300), "false"),
        (Range("year", lt=1e300), f"range(year, {1 - 2**63}L, {2**63 - 1}L)"),
        (Range("price", gt=0.5, le=2), "(price > 0.5 and price <= 2.0)"),
        (Substring("lang", 'a"é\n'), r'lang matches "a\\x{22}\\x{e9}\\x{a}"'),
        (Ids(("a", "b")), 'id in ("a", "b")'),
        (Or(()), "false"),
        (Not(Or(())), "true"),
        (Or((In("a", ()), In("b", ()))), "false"),
        (And((All(), Not(All()))), "false"),
        (And((All(), Range("year", gt=1, lt=3))), "year in (2L)"),
    ],
    ids=repr,
)
def test_declared_fields_go_by_their_attributes_and_others_by_terms(
    where: Filter, yql: str
) -> None:
    translated = to_condition(where, TYPED)
    assert translated.expression.yql == yql
    assert translated.exact


@pytest.mark.parametrize(
    ("where", "yql"),
    [
        (Range("month", gt=1), r'terms in ("[\"month\"]")'),
        (Range("lang", gt=1), r'terms in ("[\"lang\"]")'),
        (Substring("a.b", "1"), r'terms in ("[\"a.b\"]")'),
        (Not(Substring("a.b", "1")), "true"),
        (Range("price", le=2**53 + 1), "price <= 9007199254740992.0"),
        (Range("price", gt=2**53), "price >= 9007199254740992.0"),
        (Eq("price", 2**53), "price = 9007199254740992.0"),
        (Range("year", ge=2**53), f"range(year, {2**53 - 2**11}L, {2**63 - 1}L)"),
    ],
    ids=repr,
)
def test_what_keeps_more_than_the_filter_is_verified(where: Filter, yql: str) -> None:
    translated = to_condition(where, TYPED)
    assert translated.expression.yql == yql
    assert not translated.exact


def test_a_schema_of_your_own_is_filtered_by_its_attributes() -> None:
    expected: dict[Filter, tuple[str, bool]] = {
        Eq("lang", "a"): ('lang in ("a")', False),
        Eq("lang", 1): ("false", True),
        In("year", (1, 2.0, 2.5, True)): ("year in (1L, 2L)", True),
        Eq("open", value=True): ("open = true", True),
        Eq("open", value=False): ("open = false", False),
        Contains("sizes", 4): ("sizes in (4L)", True),
        Range("price", gt=1, le=2.5): ("(price >= 1.0 and price <= 2.5)", False),
        Range("year", gt=1): (f"range(year, 2L, {2**63 - 1}L)", True),
        Ids(("a", "b")): ('id in ("a", "b")', True),
        Substring("lang", "x"): ('lang matches "x"', False),
        Substring("year", "1"): ("false", True),
        Exists("year"): (f"range(year, {1 - 2**63}L, {2**63 - 1}L)", True),
        Exists("lang"): ("true", False),
    }
    for where, (yql, exact) in expected.items():
        translated = to_condition(where, EXISTING)
        assert (translated.expression.yql, translated.exact) == (yql, exact)
    for where in (Eq("unknown", 1), Exists("unknown"), Not(Range("unknown", gt=1))):
        with pytest.raises(ValueError, match=r"field_types=\{…, 'unknown': str\}"):
            to_condition(where, EXISTING)
    with pytest.raises(ValueError, match="narrowed to ids"):
        to_condition(Not(Ids(("a",))), Layout(NAMES, MANIFEST))


def test_a_filter_too_deep_is_refused() -> None:
    where: Filter = Eq("a", 1)
    for _ in range(MAX_DEPTH + 1):
        where = Not(where)
    with pytest.raises(ValueError, match=f"deeper than {MAX_DEPTH}"):
        to_condition(where, TYPED)


@settings(max_examples=200)
@given(DRAWN_NUMBERS)
@example(5e-324)
@example(-1.7976931348623157e308)
def test_a_double_is_written_whole(number: float) -> None:
    yql = double(number)
    assert re.fullmatch(r"-?\d+\.\d+(e-?\d+)?", yql)
    assert math.isclose(float(yql), float(number), rel_tol=0)


@pytest.fixture(scope="module", params=CASES)
def cases(emptied: Callable[[str], VespaIndex], request: pytest.FixtureRequest) -> VespaIndex:
    index = emptied(request.param)
    index.upsert(records(CORPUS))
    return index


def _assert_keeps(index: VespaIndex, where: Filter, among: list[Document]) -> None:
    expected = sorted(document.id for document in among if matches(where, document))
    assert index.count(where) == len(expected)
    assert sorted(record.document.id for record in index.scan(where)) == expected


@pytest.mark.peer
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=FILTERS)
@example(Eq("a", value=True))
@example(Eq("a", value=False))
@example(Eq("a", 1))
@example(Eq("a", ""))
@example(Eq("high", "x" * 201))
@example(Contains("a", 1))
@example(Contains("a", ""))
@example(Contains("a", 2.0**63))
@example(Exists("a"))
@example(Not(Exists("a")))
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
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=FILTERS)
@example(Range("a", gt=2**53, le=2**53 + 1))
@example(Not(Substring("a", "x")))
def test_a_search_keeps_what_matches_keeps(cases: VespaIndex, where: Filter) -> None:
    hits = cases.search(Search(query=query("", "dense"), k=len(CORPUS), where=where))
    expected = {document.id for document in CORPUS if matches(where, document)}
    assert {hit.document.id for hit in hits} == expected


@pytest.mark.peer
@pytest.mark.parametrize("operator", [or_, and_])
def test_a_long_chain_is_not_a_deep_filter(cases: VespaIndex, operator: Any) -> None:
    parts: list[Filter] = [Exists("a"), *(Eq("a", n) for n in range(200))]
    _assert_keeps(cases, reduce(operator, parts), CORPUS)


@pytest.mark.peer
def test_a_filter_may_nest_thirty_levels(cases: VespaIndex) -> None:
    where: Filter = Range("a", gt=1, lt=7)
    for level in range(MAX_DEPTH - 1):
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
        Eq("year", bound),
        Exists("year"),
    ):
        _assert_keeps(index, where, documents)


@pytest.fixture(scope="module")
def shop(app: Vespa) -> Iterator[VespaIndex]:
    """A schema that folds case, rounds floats and has no field for ids."""
    index = VespaIndex(app, "shop", dim=DIM, fields=SHOP, field_types=SHOP_TYPES)
    values: list[dict[str, Any]] = [
        {"lang": "de", "year": 1, "price": 0.25, "open": True, "tags": ["A", "b"]},
        {"lang": "DE", "year": 2, "price": 0.5, "open": False, "tags": ["a"]},
        {"lang": "en", "year": 2**31 - 1, "price": 2.0**25, "tags": []},
        {"open": False},
        {},
    ]
    index.upsert(records([Document(f"{n}", "x", of) for n, of in enumerate(values)]))
    yield index
    index.delete_where(All())
    assert index.count() == 0


_shop = st.recursive(
    st.builds(Eq, st.just("lang"), st.sampled_from(["de", "DE", "De", "", "x"]))
    | st.builds(Substring, st.just("lang"), st.sampled_from(["d", "D", "e"]))
    | st.builds(Eq, st.just("open"), st.booleans())
    | st.builds(Contains, st.just("tags"), st.sampled_from(["a", "A"]))
    | st.builds(Exists, st.sampled_from(sorted(SHOP_TYPES)))
    | st.builds(lambda n: Range("price", gt=n), st.sampled_from([0.25, 0.5, 2**25 - 1]))
    | st.builds(lambda n: Range("price", le=n), st.sampled_from([0.25, 0.5, 2**25 + 1]))
    | st.builds(lambda n: Eq("price", n), st.sampled_from([0.25, 0.5, 2**25 + 1]))
    | st.builds(lambda n: Range("year", ge=n), st.sampled_from([1, 2, 2**31])),
    lambda inner: st.builds(Not, inner) | st.builds(lambda *of: And(of), inner, inner),
    max_leaves=4,
)


@pytest.mark.peer
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=_shop)
def test_a_schema_of_your_own_keeps_what_matches_keeps(shop: VespaIndex, where: Filter) -> None:
    stored = [record.document for record in shop.scan()]
    assert len(stored) == 5
    _assert_keeps(shop, where, stored)
    hits = shop.search(Search(query=query("x", "dense"), k=5, where=where))
    expected = {document.id for document in stored if matches(where, document)}
    assert {hit.document.id for hit in hits} == expected
