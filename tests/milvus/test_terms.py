"""Collections that m3kit creates keep what `matches` keeps, by terms and by JSON alone."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import reduce
from operator import and_, or_
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from pymilvus import MilvusClient
from tests.filter_cases import CORPUS, DRAWN_NUMBERS, FILTERS

from m3kit.adapters.filter_translation import MAX_DEPTH
from m3kit.filters import (
    All,
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
from m3kit_milvus import client as client_module
from m3kit_milvus.layout import Layout
from m3kit_milvus.terms import NO_TERMS, TERMS, to_terms, translate_by_terms

EXAMPLES = 4 * settings().max_examples  # 8,000 in the nightly profile


def taken_for_a_server(patch: pytest.MonkeyPatch) -> None:
    """Take Milvus Lite for a server, which has no terms; but True is 1 to it, as ever."""
    patch.setattr(client_module.CollectionClient, "_read_engine", lambda _: "server")
    patch.setattr(Layout, "is_typed", False)


@pytest.fixture(scope="module")
def indexes(shared_client: MilvusClient) -> Iterator[list[MilvusIndex]]:
    """The same documents with terms and without; others of them have been written by others."""
    by_terms = MilvusIndex(shared_client, "terms", dim=DIM, reps=["dense"])
    mixed = MilvusIndex(shared_client, "mixed", dim=DIM, reps=["dense"])
    with pytest.MonkeyPatch.context() as patch:
        taken_for_a_server(patch)
        by_json = MilvusIndex(shared_client, "json", dim=DIM, reps=["dense"])
    for index in (by_terms, by_json):
        index.upsert(records(CORPUS))
        index.flush()
    mixed.upsert(records(CORPUS[::2]))
    shared_client.insert("mixed", [_row(document) for document in CORPUS[1::2]])
    mixed.flush()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Layout, "is_typed", False)
        yield [by_terms, by_json, mixed]


def _row(document: Document) -> dict[str, Any]:
    """A row as the users of a client write it, without private fields."""
    (record,) = records([document])
    return {
        "id": document.id,
        "text": document.text,
        "metadata": dict(document.metadata),
        "dense": record.output.dense,
    }


def _assert_keeps(indexes: list[MilvusIndex], where: Filter) -> None:
    expected = sorted(document.id for document in CORPUS if matches(where, document))
    for index in indexes:
        search = Search(query=query("", "dense"), k=len(CORPUS), where=where)
        assert sorted(hit.document.id for hit in index.search(search)) == expected
        assert index.count(where) == len(expected)


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=FILTERS)
@example(Ids(("0", "7", "0")))
@example(Eq("a", value=True))
@example(Eq("a", 1))
@example(Contains("a", 1))
@example(Range("a", gt=2**53, le=2**53 + 1))
@example(Range("a", ge=0.1 + 0.2, le=0.1 + 0.2))
@example(Range("a", ge=-1, lt=2**62))
@example(Range("a", ge=-(2.0**63), lt=2.0**62))
@example(Range("a", gt=1.7976931348623157e308))
@example(Range("a", ge=0, lt=-0.0))
@example(Not(Range("a", gt=-1, lt=1)))
@example(Not(Range("missing", gt=-1)))
@example(Not(Substring("missing", "x")))
@example(Substring("a", "\\"))
@example(Substring("a", "%"))
@example(Substring("a", "_"))
def test_milvus_keeps_what_matches_keeps(indexes: list[MilvusIndex], where: Filter) -> None:
    """Each filter meets an index of the three, so that each meets filters of all kinds."""
    chosen = len(repr(where)) % len(indexes)
    _assert_keeps(indexes[chosen : chosen + 1], where)


@settings(max_examples=EXAMPLES)
@given(DRAWN_NUMBERS, DRAWN_NUMBERS)
@example(2**53 + 1, 2**53)
@example(-0.0, 0)
@example(5e-324, 0)
@example(-1.7976931348623157e308, 1.7976931348623157e308)
def test_terms_order_as_numbers_do(number: float, bound: float) -> None:
    terms = to_terms({"a": number})
    for name in ("gt", "ge", "lt", "le"):
        where = Range("a", **{name: bound})
        translated = translate_by_terms(where, negates=True)
        matching = _evaluate(translated.expression, terms)
        assert matching >= matches(where, Document("a", "", {"a": number}))
        if translated.exact:
            assert matching == matches(where, Document("a", "", {"a": number}))


def _evaluate(expression: str, terms: str) -> bool:
    """Evaluate an expression as Milvus does, over the terms of one row."""
    python = re.sub(rf'{TERMS} like "%([0-9a-f]+)%"', r"('\1' in terms)", expression)
    return bool(eval(python, {"terms": terms}))  # noqa: S307  # hexadecimal digits, and, or, not


@settings(max_examples=2 * settings().max_examples)
@given(FILTERS)
def test_nothing_that_anybody_wrote_is_in_an_expression_of_terms(where: Filter) -> None:
    if isinstance(where, Eq | Contains | Exists | Range):
        expression = translate_by_terms(where, negates=True).expression
        assert re.fullmatch(r'[a-z0-9_ "()%]*', expression, re.ASCII)


def test_a_short_range_takes_few_patterns() -> None:
    for bound, most in ((2024, 20), (1, 20), (19.99, 70), (math.pi, 70)):
        expression = translate_by_terms(Range("year", ge=bound), negates=True).expression
        assert expression.count("like") <= most


def test_a_document_without_metadata_has_terms_that_are_not_empty() -> None:
    assert to_terms({}) == to_terms({"a": None, "b": []}) == NO_TERMS != ""


@pytest.mark.parametrize("operator", [or_, and_])
def test_a_long_chain_is_not_a_deep_filter(indexes: list[MilvusIndex], operator: Any) -> None:
    parts: list[Filter] = [Exists("a"), *(Eq("a", n) for n in range(200))]
    _assert_keeps(indexes, reduce(operator, parts))


@pytest.mark.parametrize(
    "leaf", [Eq("a", "a"), Range("a", gt=1, lt=7), In("a", tuple(range(40)))], ids=repr
)
def test_a_filter_may_nest_thirty_levels(indexes: list[MilvusIndex], leaf: Filter) -> None:
    where = leaf
    for level in range(MAX_DEPTH - 1):
        where = Not(where) if level % 3 == 0 else Or((where, Exists("missing")))
    _assert_keeps(indexes, where)


def test_a_filter_that_no_engine_reads_is_refused(indexes: list[MilvusIndex]) -> None:
    where: Filter = Eq("a", "a")
    for _ in range(300):
        where = Not(where)
    uses: list[Callable[[MilvusIndex], Any]] = [
        lambda index: index.count(where),
        lambda index: index.delete_where(where),
        lambda index: index.scan(where),
    ]
    for index in indexes:
        for use in uses:
            with pytest.raises(ValueError, match=f"deeper than {MAX_DEPTH} levels"):
                use(index)
    _assert_keeps(indexes, All())


def test_a_deletion_spares_rows_without_terms_that_do_not_match(client: MilvusClient) -> None:
    index = MilvusIndex(client, "papers", dim=DIM, reps=["dense"])
    index.upsert(records(CORPUS[::2]))
    client.insert("papers", [_row(document) for document in CORPUS[1::2]])
    where = Eq("a", 1) | Not(Exists("a.b"))
    remaining = {document.id for document in CORPUS if not matches(where, document)}
    index.delete_where(where)
    assert {record.document.id for record in index.scan()} == remaining
    index.delete([f"{TERMS} like", *sorted(remaining)[:2]])
    assert {record.document.id for record in index.scan()} == {*sorted(remaining)[2:]}


def test_an_engine_that_knows_no_not_is_asked_without_it(client: MilvusClient) -> None:
    """Milvus Lite's core in C++ is one; `tests/milvus/test_environments.py` runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client_module.CollectionClient, "_read_engine", lambda _: "core")
        index = MilvusIndex(client, "papers", dim=DIM, reps=["dense"])
    index.upsert(records(CORPUS))
    where = Not(Exists("a")) | Eq("a", 1) | Range("a", gt=7)
    assert "not" not in index._store.translate(where).expression
    matching = {document.id for document in CORPUS if matches(where, document)}
    assert {record.document.id for record in index.scan(where)} == matching
    assert index.count(where) == len(matching)
    hits = index.search(Search(query=query("", "dense"), k=len(CORPUS), where=where))
    assert {hit.document.id for hit in hits} == matching
    index.delete_where(where)
    assert index.count() == len(CORPUS) - len(matching)
