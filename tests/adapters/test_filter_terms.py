from __future__ import annotations

from typing import Any

from m3kit.adapters.filter_terms import Term, by_value, filter_terms


def test_a_document_has_the_terms_that_filters_look_up() -> None:
    metadata: dict[str, Any] = {
        "a": 1.0, "b": ["x", None, [1]], "c": None, "d": [], "e": {"f": {"g": True}, "h": []},
    }  # fmt: skip
    assert list(filter_terms(metadata)) == [
        Term("has", "a", 1.0),
        Term("is", "a", 1.0),
        Term("has", "b", ["x", None, [1]]),
        Term("in", "b", "x"),
        Term("has", "e", {"f": {"g": True}, "h": []}),
        Term("has", ("e", "f"), {"g": True}),
        Term("has", ("e", "f", "g"), value=True),
        Term("is", ("e", "f", "g"), value=True),
    ]
    assert (by_value(1.0), by_value(1.5), by_value("1.0")) == (1, 1.5, "1.0")
