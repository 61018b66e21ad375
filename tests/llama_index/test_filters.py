"""Filters mean what LlamaIndex documents, in every store."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import FilterCondition, MetadataFilter, MetadataFilters
from llama_index.core.vector_stores.utils import build_metadata_filter_fn
from tests.llama_index.corpus import FILTERS, OP, ids, keeps, make_nodes, one

from m3kit.filters import All, And, Eq, Not, Or, matches
from m3kit_llama_index import M3VectorStore, to_filter
from m3kit_llama_index.nodes import to_document

NODES = make_nodes()

scalars = st.one_of(
    st.integers(-2, 12),
    st.sampled_from([0.25, 0.5, 2.0, 3.5]),
    st.sampled_from(["en", "de", "the", "cat", "", "or"]),
)
keys = st.sampled_from(["n", "weight", "lang", "tags", "sizes", "third", "none", "missing"])
lists = st.one_of(
    st.lists(st.integers(-2, 12), min_size=1, max_size=3),
    st.lists(st.sampled_from(["en", "the", "cat", "or"]), min_size=1, max_size=3),
)
numbers = st.one_of(st.integers(-2, 12), st.sampled_from([0.25, 1.5]))
comparisons = st.one_of(
    st.builds(
        MetadataFilter,
        key=keys,
        operator=st.sampled_from([OP.EQ, OP.NE, OP.CONTAINS]),
        value=scalars,
    ),
    st.builds(
        MetadataFilter,
        key=st.sampled_from(["n", "weight", "missing"]),
        operator=st.sampled_from([OP.GT, OP.GTE, OP.LT, OP.LTE]),
        value=numbers,
    ),
    st.builds(
        MetadataFilter,
        key=keys,
        operator=st.sampled_from([OP.IN, OP.NIN, OP.ANY, OP.ALL]),
        value=lists,
    ),
    st.builds(MetadataFilter, key=keys, operator=st.just(OP.IS_EMPTY), value=st.none()),
    st.builds(
        MetadataFilter,
        key=keys,
        operator=st.just(OP.TEXT_MATCH),
        value=st.sampled_from(["e", "or", "the"]),
    ),
)


def _group(of: st.SearchStrategy[MetadataFilter | MetadataFilters]) -> st.SearchStrategy[object]:
    conditions = st.sampled_from([*FilterCondition, None])
    return st.builds(MetadataFilters, filters=st.lists(of, max_size=3), condition=conditions)


filters = _group(st.recursive(comparisons, _group, max_leaves=6))  # type: ignore[arg-type]  # groups nest


@given(filters)
def test_any_nesting_keeps_what_is_documented(filters: MetadataFilters) -> None:
    where = to_filter(filters)
    for node in NODES:
        assert matches(where, to_document(node)) == keeps(filters, node.metadata)


def test_a_store_keeps_what_is_documented(filled: M3VectorStore) -> None:
    for filters in FILTERS:
        expected = [node.node_id for node in NODES if keeps(filters, node.metadata)]
        assert sorted(ids(filled.get_nodes(filters=filters))) == sorted(expected), filters


OTHERWISE = {("even", OP.EQ), ("third", OP.IS_EMPTY), ("tags", OP.TEXT_MATCH)}
"""Where its code differs from its documentation: True is 1, "" is empty, a list is a string."""

FLAT = [
    filters
    for filters in FILTERS
    for compared in filters.filters[:1]
    if isinstance(compared, MetadataFilter)
    and (compared.key, compared.operator) not in OTHERWISE
    and not any(isinstance(other, MetadataFilters) for other in filters.filters)
]


@pytest.mark.parametrize("filters", FLAT, ids=str)
def test_llama_index_s_own_store_agrees(filters: MetadataFilters) -> None:
    by_id = {node.node_id: node.metadata for node in NODES}
    own = build_metadata_filter_fn(by_id.__getitem__, filters)
    where = to_filter(filters)
    for node in NODES:
        assert matches(where, to_document(node)) == own(node.node_id)


def test_conditions_and_none_of_them() -> None:
    of = one("a", OP.EQ, 1).filters
    assert to_filter(MetadataFilters(filters=of)) == And((Eq("a", 1),))
    assert to_filter(MetadataFilters(filters=of, condition=None)) == And((Eq("a", 1),))
    assert to_filter(MetadataFilters(filters=of, condition=FilterCondition.OR)) == Or((Eq("a", 1),))
    assert to_filter(MetadataFilters(filters=of, condition=FilterCondition.NOT)) == Not(
        Or((Eq("a", 1),))
    )
    assert to_filter(MetadataFilters(filters=[], condition=FilterCondition.OR)) == All()


@pytest.mark.parametrize(
    ("refused", "because"),
    [
        (one("a", OP.TEXT_MATCH_INSENSITIVE, "b"), "'a' text_match_insensitive 'b' .*lower-case"),
        (one("a", OP.EQ), "'a' == None .*is_empty"),
        (one("a", OP.NE), "'a' != None .*is_empty"),
        (one("a", OP.EQ, ["b"]), "takes a single value"),
        (one("a", OP.CONTAINS, ["b"]), "'a' contains .*single value"),
        (one("a", OP.GT, "b"), "'a' > 'b' takes a number, or a date"),
        (one("a", OP.LTE, [1]), "takes a number"),
        (one("a", OP.IN, "b"), "'a' in 'b' takes a list"),
        (one("a", OP.ANY, 1), "'a' any 1 takes a list"),
        (one("a", OP.ALL, []), r"'a' all \[\] takes at least one value"),
        (one("a", OP.TEXT_MATCH, 1), "'a' text_match 1 takes a string"),
        (one("a", OP.TEXT_MATCH, ""), "say Exists"),
        (one("a'b", OP.EQ, 1), "cannot reach the field"),
    ],
    ids=str,
)
def test_what_has_no_counterpart_is_refused_by_name(refused: MetadataFilters, because: str) -> None:
    with pytest.raises((TypeError, ValueError), match=because):
        to_filter(MetadataFilters(filters=[refused], condition=FilterCondition.NOT))


def test_every_operator_is_tried() -> None:
    tried = {
        compared.operator
        for filters in FILTERS
        for compared in filters.filters
        if isinstance(compared, MetadataFilter)
    }
    assert set(OP) - tried == {OP.TEXT_MATCH_INSENSITIVE}


def test_values_are_data(filled: M3VectorStore) -> None:
    """No value, whatever an engine would read in it, keeps what it should not."""
    for value in (
        "' or 1 == 1 --",
        '" || true',
        "\\",
        "*",
        ".*",
        "%",
        "en\nde",
        "[1]",
        "en' OR 'x",
    ):
        assert not filled.get_nodes(filters=one("lang", OP.EQ, value))


def test_dates_and_nested_fields(store: M3VectorStore) -> None:
    nodes = [
        TextNode(id_=str(n), text="x", metadata={"day": f"2024-0{n}-01", "loc": {"lines": n}})
        for n in (1, 2, 3)
    ]
    store.add(nodes)

    def found(filters: MetadataFilters) -> list[str]:
        return sorted(ids(store.get_nodes(filters=filters)))

    assert found(one("day", OP.GT, "2024-02-01")) == ["3"]
    assert found(one("day", OP.LTE, "2024-02-01T00:00:00Z")) == ["1", "2"]
    assert found(one("loc.lines", OP.EQ, 2)) == ["2"]
    assert found(one("loc.lines", OP.NE, 2)) == ["1", "3"]
    assert found(one("loc.lines", OP.IS_EMPTY)) == []
    assert found(one("loc.pages", OP.IS_EMPTY)) == ["1", "2", "3"]
