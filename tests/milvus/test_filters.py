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
from tests.filter_cases import CORPUS, FILTERS

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
from m3kit.testing import DIM, query, records
from m3kit_milvus import MilvusIndex, collection, making
from m3kit_milvus.filters import DEEPEST, positive, to_milvus
from m3kit_milvus.payload import TermsType, key, letters
from m3kit_milvus.table import Table

EXAMPLES = 10 * settings().max_examples


@pytest.fixture(scope="module")
def indexes(shared_client: MilvusClient) -> list[MilvusIndex]:
    """The same documents in both ways of keeping terms."""
    text = MilvusIndex(shared_client, "text", dim=DIM, reps=["dense"])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(collection, "engine_of", lambda *_: "server")
        patched.setattr(making, "SERVER_INDEXES", {})  # Milvus Lite has none for arrays
        array = MilvusIndex(shared_client, "arrays", dim=DIM, reps=["dense"])
    indexes: list[MilvusIndex] = [text, array]
    for index in indexes:
        index.upsert(records(CORPUS))
        index.flush()
    return indexes


def _assert_keeps(indexes: list[MilvusIndex], where: Filter) -> None:
    expected = sorted(key(one.id) for one in CORPUS if matches(where, one))
    for index in indexes:
        table = index._store
        assert isinstance(table, Table)
        assert sorted(table._rows.keys(table._where(where))) == expected


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
@example(Not(Range("a", gt=-1, lt=1)))
@example(Not(Range("missing", gt=-1)))
@example(Not(Substring("missing", "x")))
@example(Substring("a", "\\"))
@example(Substring("a", "%"))
@example(Substring("a", "_"))
def test_milvus_keeps_what_matches_keeps(indexes: list[MilvusIndex], where: Filter) -> None:
    _assert_keeps(indexes, where)


@settings(max_examples=2 * settings().max_examples)
@given(FILTERS, st.sampled_from(get_args(TermsType)))
def test_nothing_that_anybody_wrote_is_in_an_expression(
    where: Filter, terms_type: TermsType
) -> None:
    assert re.fullmatch(r'[A-Za-z0-9_ "()\[\],$%<>=!-]*', to_milvus(where, terms_type), re.ASCII)


@settings(max_examples=2 * settings().max_examples)
@given(st.text("aAéß€\u0001\u0010日", max_size=6), st.text("aAéß€\u0001\u0010日", max_size=2))
@example("a", "\u0010")
def test_a_part_of_a_text_is_a_part_of_its_letters(text: str, part: str) -> None:
    assert (letters(part) in letters(text)) is (part in text)
    assert re.fullmatch("[a-pA-P]*", letters(text))


@pytest.mark.parametrize("operator", [or_, and_])
def test_a_long_chain_is_not_a_deep_filter(indexes: list[MilvusIndex], operator: Any) -> None:
    some: list[Filter] = [Exists("a"), *(Eq("a", n) for n in range(200))]
    _assert_keeps(indexes, reduce(operator, some))


@pytest.mark.parametrize(
    "leaf", [Eq("a", "a"), Range("a", gt=1, lt=7), In("a", tuple(range(40)))], ids=repr
)
def test_a_filter_may_nest_thirty_levels(indexes: list[MilvusIndex], leaf: Filter) -> None:
    where = leaf
    for level in range(DEEPEST - 1):
        where = Not(where) if level % 3 == 0 else Or((where, Exists("missing")))
    _assert_keeps(indexes, where)


def test_a_filter_that_no_engine_reads_is_refused(indexes: list[MilvusIndex]) -> None:
    where: Filter = Eq("a", "a")
    for _ in range(300):
        where = Not(where)
    for index in indexes:
        for use in (index.count, index.delete_where, index.scan):
            with pytest.raises(ValueError, match=f"deeper than {DEEPEST} levels"):
                use(where)
    _assert_keeps(indexes, All())


@given(where=FILTERS)
def test_without_its_nots_a_filter_keeps_no_less(where: Filter) -> None:
    wide = positive(where)
    assert " not " not in f" {to_milvus(wide, 'text')}".replace("(", " ")
    assert all(matches(wide, one) for one in CORPUS if matches(where, one))


def test_an_engine_that_knows_no_not_is_asked_without_it(client: MilvusClient) -> None:
    """Milvus Lite's core in C++ is such a one; `tests/milvus/test_environments.py` runs it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(collection, "engine_of", lambda *_: "core")
        index = MilvusIndex(client, "papers", dim=DIM, reps=["dense"])
    index.upsert(records(CORPUS))
    where = Not(Exists("a")) | Eq("a", 1)
    kept = {one.id for one in CORPUS if matches(where, one)}
    assert {one.document.id for one in index.scan(where)} == kept
    assert index.count(where) == len(kept)
    hits = index.search(Search(query=query("", "dense"), k=len(CORPUS), where=where))
    assert {hit.document.id for hit in hits} == kept
    index.delete_where(where)
    assert index.count() == len(CORPUS) - len(kept)
