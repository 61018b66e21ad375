"""Groups, held against their definition: what is listed first stands for the whole group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3kit import Document, Hit, MemoryIndex, Retriever, Search
from m3kit.filters import Field
from m3kit.grouping import best_groups, group_hits, group_key
from m3kit.testing import ENCODER, TEXTS, json_values, query, records

ENTRIES = st.lists(st.tuples(st.integers(), st.sampled_from([None, "a", "b", "c", "d"])))
PASSAGES = [
    Document(f"{n:02}", text, {"parent": f"p{n % 3}", "at": {"page": n % 2}} if n else {})
    for n, text in enumerate(TEXTS)
]


def plain(ranked: Sequence[tuple[int, str | None]], k: int, size: int) -> list[int]:
    """Give each entry its group's place and its place in the group, and sort by them."""
    names = [name or f"alone {place}" for place, (_, name) in enumerate(ranked)]
    order = list(dict.fromkeys(names))
    placed = [
        (order.index(name), names[:place].count(name), entry)
        for place, ((entry, _), name) in enumerate(zip(ranked, names, strict=True))
    ]
    return [
        entry
        for group, rank, entry in sorted(placed, key=lambda triple: triple[:2])
        if group < k and rank < size
    ]


@given(ENTRIES, st.integers(1, 6), st.integers(1, 4))
def test_groups_are_those_of_the_definition(
    ranked: list[tuple[int, str | None]], k: int, size: int
) -> None:
    assert best_groups(ranked, k=k, group_size=size) == plain(ranked, k, size)


@given(json_values(), json_values())
def test_keys_are_equal_where_the_values_are_equal_to_a_filter(value: Any, other: Any) -> None:
    """Lists of one scalar and objects of one key are what filters can compare, too."""
    keys = [
        group_key(Document("id", "", {"field": {"a": item}}), ("field", "a"))
        for item in (value, other)
    ]
    assert (keys[0] is None) == (value in (None, []))
    if type(value) is type(other):
        assert (keys[0] == keys[1]) == (value == other and not _has_boolean(value, other))


def _has_boolean(value: Any, other: Any) -> bool:
    """Tell whether equal containers of a type hold a boolean for a number."""
    if isinstance(value, list):
        return any(
            isinstance(first, bool) != isinstance(second, bool) or _has_boolean(first, second)
            for first, second in zip(value, other, strict=True)
        )
    if isinstance(value, dict):
        return any(
            isinstance(first, bool) != isinstance(other[key], bool)
            or _has_boolean(first, other[key])
            for key, first in value.items()
        )
    return False


@pytest.fixture(scope="module")
def index() -> MemoryIndex:
    index = MemoryIndex()
    index.upsert(records(PASSAGES))
    return index


@pytest.mark.parametrize("group_by", ["parent", ("at", "page"), ("parent",)])
def test_a_search_groups_all_that_it_would_list(index: MemoryIndex, group_by: Field) -> None:
    encoded = query("the growling bear and the salmon")
    every = index.search(Search(query=encoded, k=99))
    hits = index.search(Search(query=encoded, k=2, group_by=group_by, group_size=2))
    assert hits == group_hits(every, group_by, k=2, group_size=2)
    assert len(hits) == 4
    assert [hit.score for hit in hits] != sorted([hit.score for hit in hits], reverse=True)


def test_candidates_are_as_many_as_the_hits_that_are_wanted() -> None:
    assert Search(query=query("bear"), k=60, group_by="parent", group_size=2).candidates == 120
    assert Search(query=query("bear"), k=60).candidates == 100


@pytest.mark.parametrize("min_score", [None, 20.0])
def test_a_reranker_decides_what_is_best(index: MemoryIndex, min_score: float | None) -> None:
    def length(_: str, texts: Sequence[str]) -> list[float]:
        return [len(text) for text in texts]

    retriever = Retriever(ENCODER, index, reranker=length)
    hits = retriever.search("the bear", k=3, min_score=min_score, group_by="parent", group_size=2)
    longest = sorted(PASSAGES, key=lambda document: (-len(document.text), document.id))
    scored = [
        Hit(document, len(document.text))
        for document in longest
        if min_score is None or len(document.text) >= min_score
    ]
    assert hits == group_hits(scored, "parent", k=3, group_size=2)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"group_size": 2}, ValueError, "give group_by="),
        ({"group_by": "parent", "group_size": 0}, ValueError, "group_size is at least 1, not 0"),
        ({"group_by": "parent", "group_size": 1.5}, TypeError, "group_size is an integer"),
        ({"group_by": ""}, TypeError, "the field of a group is a name"),
        ({"group_by": ()}, TypeError, "the path of a group has at least one key"),
        ({"group_by": ["parent"]}, TypeError, "the field of a group is a name or a tuple"),
        ({"group_by": ("a", 1)}, TypeError, "the field of a group is a name"),
        ({"group_by": "a[0]"}, ValueError, "a group cannot reach the field 'a[0]'"),
    ],
)
def test_what_is_no_group_is_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message.replace("[", r"\[")):
        Search(query=query("bear"), **options)
