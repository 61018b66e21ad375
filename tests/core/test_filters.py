from __future__ import annotations

from enum import Enum, StrEnum
from functools import reduce
from operator import and_, or_
from typing import Any

import numpy as np
import pytest

from m3kit import (
    All,
    And,
    Contains,
    Document,
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

DOCUMENT = Document(
    "a",
    "",
    {
        "int": 1,
        "float": 2.0,
        "big": 2**53 + 1,
        "flag": True,
        "text": "Hello",
        "blank": "",
        "none": None,
        "empty": [],
        "object": {},
        "tags": ["x", 1, True],
        "a.b": 3,
        "a": {"b": 4},
    },
)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Eq("int", 1), True),
        (Eq("int", 1.0), True),
        (Eq("float", 2), True),
        (Eq("int", value=True), False),
        (Eq("flag", value=True), True),
        (Eq("flag", 1), False),
        (Eq("int", "1"), False),
        (Eq("big", 2**53 + 1), True),
        (Eq("big", 2**53), False),
        (Eq("big", 2.0**53), False),
        (Eq("blank", ""), True),
        (Eq("missing", ""), False),
        (Eq("tags", "x"), False),
        (Eq("a.b", 3), True),
        (Eq("a.b", 4), False),
        (In("int", (5, 1.0)), True),
        (In("int", ()), False),
        (In("tags", ("x",)), False),
        (Range("int", ge=1), True),
        (Range("int", gt=1), False),
        (Range("int", le=1.0), True),
        (Range("int", lt=1), False),
        (Range("int", gt=0, lt=2), True),
        (Range("big", gt=2**53), True),
        (Range("flag", ge=0), False),
        (Range("text", ge=0), False),
        (Range("missing", ge=0), False),
        (Contains("tags", "x"), True),
        (Contains("tags", 1.0), True),
        (Contains("tags", value=True), True),
        (Contains("tags", value=False), False),
        (Contains("text", "Hello"), False),
        (Exists("int"), True),
        (Exists("blank"), True),
        (Exists("object"), True),
        (Exists("none"), False),
        (Exists("empty"), False),
        (Exists("missing"), False),
        (Substring("text", "ell"), True),
        (Substring("text", "ELL"), False),
        (Substring("tags", "x"), False),
        (Ids(("a", "b")), True),
        (Ids(()), False),
        (All(), True),
        (And(()), True),
        (Or(()), False),
        (Not(Eq("missing", 1)), True),
        (Eq("int", 1) & Eq("float", 2), True),
        (Eq("int", 1) & Eq("float", 3), False),
        (Eq("int", 2) | Eq("float", 2), True),
        (~Eq("int", 1), False),
    ],
    ids=repr,
)
def test_what_each_filter_means(where: Filter, *, expected: bool) -> None:
    assert matches(where, DOCUMENT) is expected


@pytest.mark.parametrize(
    ("make", "arguments", "says"),
    [
        (Eq, ("", 1), "is a name"),
        (Eq, (1, 1), "is a name"),
        (Eq, ("a", None), "Exists"),
        (Eq, ("a", [1]), "not \\[1\\]"),
        (In, ("a", "text"), "write \\('text',\\)"),
        (Ids, ("text",), "write \\('text',\\)"),
        (Ids, ((1,),), "is a string"),
        (Range, ("a",), "no bound"),
        (And, ((1,),), "is not a filter"),
        (Not, ("a",), "is not a filter"),
        (Substring, ("a", ""), "Exists"),
        (Substring, ("a", 1), "is a string"),
        (Eq, ("a", float("nan")), "not finite"),
        (Eq, ("a", 2**63), "64 bits"),
        (Eq, ("a", "\ud800"), "lone surrogate"),
    ],
)
def test_what_a_filter_cannot_say_is_refused_when_it_is_built(
    make: Any, arguments: tuple[Any, ...], says: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=says):
        make(*arguments)


@pytest.mark.parametrize("bound", ["2020", True, float("inf"), 2**63])
def test_the_bounds_of_a_range_are_numbers(bound: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        Range("a", ge=bound)


@pytest.mark.parametrize("char", list("\"'`\\[](){}\n\t\x00\x7f\u2028"))
def test_a_field_name_that_an_engine_could_misread_is_refused(char: str) -> None:
    for make in (lambda name: Eq(name, 1), Exists, lambda name: Range(name, ge=1)):
        with pytest.raises(ValueError, match="rename the field"):
            make(f"a{char}b")


def test_lists_are_accepted_and_kept_as_tuples() -> None:
    assert In("a", [1, 2]) == In("a", (1, 2))  # type: ignore[arg-type]  # what users write
    assert hash(And([Eq("a", 1)])) == hash(And((Eq("a", 1),)))  # type: ignore[arg-type]  # as above


def test_a_chain_of_any_length_is_one_level_deep() -> None:
    any_of = reduce(or_, [Eq("int", number) for number in range(5000)])
    all_of = reduce(and_, [~Eq("int", number) for number in range(2, 5000)])
    assert matches(any_of, DOCUMENT)
    assert matches(all_of, DOCUMENT)
    assert Eq("a", 1) | (Eq("b", 1) & Eq("c", 1)) == Or((Eq("a", 1), And((Eq("b", 1), Eq("c", 1)))))


class Lang(StrEnum):
    DE = "de"


class Language(str, Enum):  # noqa: UP042  # str() of a member is its name, unlike StrEnum's
    DE = "de"


def test_values_become_pythons_own_types() -> None:
    document = Document("a", "", {"lang": "de", "tags": ["de"]})
    for where in (
        Eq("lang", Lang.DE),
        Eq("lang", Language.DE),
        Substring("lang", Language.DE),
        In("lang", (np.str_("de"),)),
        Contains("tags", Lang.DE),
        Substring("lang", np.str_("d")),
    ):
        assert matches(where, document)
    assert type(Eq("n", np.float64(0.5)).value) is float
