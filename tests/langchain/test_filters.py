from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from m3kit import (
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
)
from m3kit_langchain import to_filter


class Color(Enum):
    RED = "red"


_LINES_ABOVE_1 = Range(("loc", "lines"), gt=1)
_LINES_BELOW_3 = Range(("loc", "lines"), lt=3)
_MARCH = "2024-03-01T00:00:00+00:00"
_AS_TEXT = In("n", ("1.5", str(UUID(int=1)), "a.pdf", "red"))

SAME: list[tuple[dict[str, Any], Filter]] = [
    ({}, All()),
    ({"lang": "de"}, Eq("lang", "de")),
    ({"lang": "de", "n": 1}, And((Eq("lang", "de"), Eq("n", 1)))),
    ({"n": {"$eq": 1}}, Eq("n", 1)),
    ({"n": {"$ne": 1}}, Not(Eq("n", 1))),
    ({"year": {"$gt": 2020}}, Range("year", gt=2020)),
    ({"year": {"$gte": 2020}}, Range("year", ge=2020)),
    ({"year": {"$lt": 2020}}, Range("year", lt=2020)),
    ({"year": {"$lte": 2020}}, Range("year", le=2020)),
    ({"year": {"$between": [2020, 2024]}}, Range("year", ge=2020, le=2024)),
    ({"year": {"$gte": 1, "$lt": 2}}, And((Range("year", ge=1), Range("year", lt=2)))),
    ({"lang": {"$in": ["de", "en"]}}, In("lang", ("de", "en"))),
    ({"lang": {"$nin": ["de"]}}, Not(In("lang", ("de",)))),
    ({"tags": {"$contains": "a"}}, Contains("tags", "a")),
    ({"title": {"$substring": "a"}}, Substring("title", "a")),
    ({"lang": {"$exists": True}}, Exists("lang")),
    ({"lang": {"$exists": False}}, Not(Exists("lang"))),
    ({"n": {"$not": {"$gt": 1}}}, Not(Range("n", gt=1))),
    ({"n": {"$not": 1}}, Not(Eq("n", 1))),
    ({"$not": {"n": 1}}, Not(Eq("n", 1))),
    ({"$or": [{"n": 1}, {"n": 2}]}, Or((Eq("n", 1), Eq("n", 2)))),
    ({"$and": [{"n": 1}, Ids(("a",))]}, And((Eq("n", 1), Ids(("a",))))),
    (
        {"lang": "de", "$or": [{"n": {"$gt": 5}}, {"$not": {"n": {"$exists": True}}}]},
        And((Eq("lang", "de"), Or((Range("n", gt=5), Not(Exists("n")))))),
    ),
    ({"id": "x", "text": "y"}, And((Eq("id", "x"), Eq("text", "y")))),
    ({"loc": {"lines": 1}}, Eq(("loc", "lines"), 1)),
    ({"loc": {"lines": {"$gt": 1, "$lt": 3}}}, And((_LINES_ABOVE_1, _LINES_BELOW_3))),
    ({"loc.lines": 1}, Or((Eq("loc.lines", 1), Eq(("loc", "lines"), 1)))),
    ({"loc.lines": {"$ne": 1}}, Not(Or((Eq("loc.lines", 1), Eq(("loc", "lines"), 1))))),
    ({"v1.": 1}, Eq("v1.", 1)),
    (
        {"metadata.lang": "de"},
        Or((Eq("metadata.lang", "de"), Eq(("metadata", "lang"), "de"), Eq("lang", "de"))),
    ),
    ({"day": {"$gte": "2024-03-01"}}, Range("day", ge="2024-03-01")),
    ({"day": {"$lt": datetime(2024, 3, 1, tzinfo=UTC)}}, Range("day", lt=_MARCH)),
    ({"day": date(2024, 3, 1)}, Eq("day", "2024-03-01")),
    ({"n": np.int64(3)}, Eq("n", 3)),
    ({"n": {"$in": (Decimal("1.5"), UUID(int=1), Path("a.pdf"), Color.RED)}}, _AS_TEXT),
    ({"n": {"$between": np.array([1, 2])}}, Range("n", ge=1, le=2)),
]


@pytest.mark.parametrize(("where", "expected"), SAME, ids=[str(where) for where, _ in SAME])
def test_a_dict_is_a_filter(where: dict[str, Any], expected: Filter) -> None:
    assert to_filter(where) == expected
    assert to_filter(expected) is expected


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ({"n": {"$near": 1}}, r"'\$near' of the field 'n'; known are \$eq"),
        ({"$nor": [{"n": 1}]}, r"'\$nor' between fields; known are \$and"),
        ({"n": {"$like": "%a"}}, r"\$like"),
        ({"address": {"city": {}}}, "'address.city' is empty"),
        ({"n": {}}, "'n' is empty"),
    ],
)
def test_an_unknown_operator_is_refused_by_name(where: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        to_filter(where)


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ({"tags": ["a", "b"]}, r"'tags' is .* \{'\$in'"),
        ({"n": {"$in": "ab"}}, "several values"),
        ({"n": {"$exists": 1}}, "True or False"),
        ({"n": {"$between": 3}}, r"\$between of 'n'"),
        ({"n": {"$gt": [3]}}, "ranges compare numbers or dates"),
        ({"n": None}, "not None"),
        ({"$and": {"n": 1}}, r"\$and takes a list"),
        ({"$or": [1]}, "not 1"),
        ({"$and": []}, "none of them empty"),
        ({"$or": [{"n": 1}, {}]}, "none of them empty"),
        ({"$not": [{"n": 1}]}, "a dict, not"),
        ("lang = 'de'", "a dict, not"),
        (bool, "a dict, not"),
    ],
)
def test_an_operand_of_another_kind_is_refused(where: Any, named: str) -> None:
    with pytest.raises(TypeError, match=named):
        to_filter(where)
