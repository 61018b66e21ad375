from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from langchain_core.structured_query import (
    Comparator,
    Comparison,
    Operation,
    Operator,
    StructuredQuery,
)

from m3kit import And, Contains, Eq, Filter, In, MemoryIndex, Not, Or, Range, Substring
from m3kit.testing import HashEncoder
from m3kit_langchain import M3Translator, M3VectorStore

DAY = {"date": "2024-03-01", "type": "date"}
TIME = {"datetime": "2024-03-01T09:30:00", "type": "datetime"}
SAME: list[tuple[Comparator, Any, Filter]] = [
    (Comparator.EQ, 3, Eq("n", 3)),
    (Comparator.NE, 3, Not(Eq("n", 3))),
    (Comparator.GT, 3, Range("n", gt=3)),
    (Comparator.GTE, DAY, Range("n", ge="2024-03-01")),
    (Comparator.LT, TIME, Range("n", lt="2024-03-01T09:30:00")),
    (Comparator.LTE, 3.5, Range("n", le=3.5)),
    (Comparator.EQ, DAY, Range("n", ge="2024-03-01", le="2024-03-01")),
    (Comparator.NE, DAY, Not(Range("n", ge="2024-03-01", le="2024-03-01"))),
    (Comparator.IN, ["a", "b"], In("n", ("a", "b"))),
    (Comparator.NIN, ["a"], Not(In("n", ("a",)))),
    (Comparator.CONTAIN, "a", Or((Contains("n", "a"), Substring("n", "a")))),
    (Comparator.CONTAIN, 1, Contains("n", 1)),
    (Comparator.LIKE, "%a%", Substring("n", "a")),
]


@pytest.mark.parametrize(("comparator", "value", "expected"), SAME)
def test_a_comparison_is_a_filter(comparator: Comparator, value: Any, expected: Filter) -> None:
    assert Comparison(comparator, "n", value).accept(M3Translator()) == expected


def test_every_comparator_is_translated() -> None:
    assert {comparator for comparator, _, _ in SAME} == set(Comparator)
    with pytest.raises(ValueError, match="has a % within"):
        Comparison(Comparator.LIKE, "n", "a%b").accept(M3Translator())


def test_operations_nest() -> None:
    first, second = (Comparison(Comparator.EQ, "n", n) for n in (1, 2))
    operation = Operation(
        Operator.AND, [first, Operation(Operator.NOT, [Operation(Operator.OR, [first, second])])]
    )
    assert operation.accept(M3Translator()) == And((Eq("n", 1), Not(Or((Eq("n", 1), Eq("n", 2))))))
    assert Operation(Operator.NOT, [first, second]).accept(M3Translator()) == Not(
        Or((Eq("n", 1), Eq("n", 2)))
    )


def test_the_store_takes_what_the_translator_gives() -> None:
    store = M3VectorStore(HashEncoder(), MemoryIndex())
    store.add_texts(
        ["a bear", "a bear"],
        [{"day": datetime(2024, month, 1)} for month in (2, 4)],  # as loaders do
        ids=["2", "4"],
    )
    structured = StructuredQuery("bear", Comparison(Comparator.GTE, "day", DAY), None)
    query, options = M3Translator().visit_structured_query(structured)
    assert [hit.id for hit in store.similarity_search(query, **options)] == ["4"]
    query, options = M3Translator().visit_structured_query(StructuredQuery("bear", None, None))
    assert len(store.similarity_search(query, **options)) == 2
