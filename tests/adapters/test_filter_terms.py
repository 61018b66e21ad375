from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from tests.filter_cases import DRAWN_NUMBERS

from m3kit.adapters.filter_terms import by_value, filter_terms, order


@settings(max_examples=500)
@given(DRAWN_NUMBERS, DRAWN_NUMBERS)
@example(2**53, 2**53 + 1)
@example(2**63 - 1, 2.0**63)
@example(-0.0, 0)
def test_the_order_of_numbers_is_kept_in_two_exact_halves(one: float, other: float) -> None:
    assert (order(one) < order(other)) is (one < other)
    assert (order(one) == order(other)) is (one == other)
    assert all(abs(half) < 2**53 for half in order(one))


def test_a_document_has_the_terms_that_filters_look_up() -> None:
    metadata: dict[str, Any] = {"a": 1.0, "b": ["x", None, [1]], "c": None, "d": [], "e": {}}
    assert list(filter_terms(metadata)) == [
        ("has", "a", ()),
        ("is", "a", (1.0,)),
        ("has", "b", ()),
        ("in", "b", ("x",)),
        ("has", "e", ()),
    ]
    assert (by_value(1.0), by_value(1.5), by_value("1.0")) == (1, 1.5, "1.0")
