"""What a sample of documents says about their fields."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from m3kit import Document, M3Output, MemoryIndex, Record
from m3kit.fields import FieldSummary, sample_fields


def index_of(*metadata: dict[str, Any]) -> MemoryIndex:
    index = MemoryIndex(2, reps=["dense"])
    output = M3Output(dense=np.array([1, 0], np.float32))
    index.upsert([Record(Document(str(n), "", m), output) for n, m in enumerate(metadata)])
    return index


@pytest.mark.parametrize(
    ("values", "summary"),
    [
        (["de", "en", "de"], FieldSummary(("f",), "string", 3, (("de", 2), ("en", 1)))),
        ([3, 1.5, 3], FieldSummary(("f",), "number", 3, ((3, 2), (1.5, 1)), 1.5, 3)),
        ([True, False, True], FieldSummary(("f",), "boolean", 3, ((True, 2), (False, 1)))),
        ([["a", "b"], ["b"]], FieldSummary(("f",), "list", 2, (("b", 2), ("a", 1)))),
        (
            ["2024-03-01T01:00+02:00", "2024-02-29T23:30"],
            FieldSummary(
                ("f",),
                "date",
                2,
                (("2024-02-29T23:30", 1), ("2024-03-01T01:00+02:00", 1)),
                "2024-03-01T01:00+02:00",
                "2024-02-29T23:30",
            ),
        ),
        ([1, True, 1.0], FieldSummary(("f",), "number", 3, ((1, 2), (True, 1)), 1, 1)),
    ],
)
def test_a_field_is_summed_up(values: list[Any], summary: FieldSummary) -> None:
    assert sample_fields(index_of(*({"f": value} for value in values))) == (summary,)
    json.dumps(summary.to_json())


def test_paths_lead_into_objects_and_what_no_filter_reaches_is_left_out() -> None:
    fields = sample_fields(
        index_of({"a": {"b": {"c": 1}}, "none": None, "empty": [], "rows": [{"x": 1}]}, {"z": "z"})
    )
    assert [field.path for field in fields] == [("a", "b", "c"), ("z",)]


def test_a_field_of_many_values_lists_none_and_the_sample_ends() -> None:
    index = index_of(*({"n": n, "rare": "x"} if n == 29 else {"n": n} for n in range(30)))
    (field,) = sample_fields(index, documents=25)
    assert (field.documents, field.values, field.lowest, field.highest) == (25, None, 0, 24)
    assert [field.path for field in sample_fields(index)] == [("n",), ("rare",)]


def test_free_text_is_not_collected() -> None:
    index = index_of(*({"text": f"sentence {n}"} for n in range(500)))
    (field,) = sample_fields(index)
    assert (field.documents, field.values) == (500, None)
