"""What stores' filters are held against: a corpus of awkward values, and filters over it."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from m3kit.filters import (
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
from m3kit.records import Document
from m3kit.testing import NASTY_VALUES, NUMBERS

FIELDS = [
    "a",
    "a.b",
    "with space",
    "ключ",
    "$id-1:x/y%z?*@#,;<>&|~^=+",
    "high",
    "key",
    "terms",
    "metadata",
]
STRINGS = [
    *NASTY_VALUES,
    "x" * 201,
    "x" * 200 + "y",
    '["is","a",1]',
    "\x00",
    "\x85",
    "\u2028",
    "\U0010ffff",
    "İ",
    "ß",
]
SCALARS: list[Any] = [
    *STRINGS, *NUMBERS, True, False, -0.0, 0.1, 0.1 + 0.2, 1 / 3, 2.0**63, -(2.0**63), 5e-324,
    1.7976931348623157e308, 2**53 + 3, 2**62 - 1, 2**62, -(2**62) - 1, 123456789.123456789,
]  # fmt: skip
VALUES: list[Any] = [
    *SCALARS,
    *([value] for value in SCALARS),
    ["a", 1, True, None, 2.0**53, ""],
    [1, [2, "a"], {"a": 1}],
    [[1]],
    [None],
    [[]],
    [],
    {},
    {"a": 1, "b": "a"},
    None,
]
CORPUS = [
    Document(
        f"{n}",
        "",
        {
            field: VALUES[(n * step) % len(VALUES)]
            for step, field in enumerate(FIELDS, start=1)
            if (n + step) % 5
        },
    )
    for n in range(len(VALUES))
]

_fields = st.sampled_from([*FIELDS, "missing", "a.c", "b"])
_strings = st.sampled_from(STRINGS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
DRAWN_NUMBERS = (
    st.sampled_from([value for value in SCALARS if isinstance(value, int | float)]).map(
        lambda n: n + 0
    )
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
_values = st.sampled_from(SCALARS) | _strings | DRAWN_NUMBERS


@st.composite
def _ranges(draw: st.DrawFn) -> Filter:
    bounds = st.dictionaries(st.sampled_from(["gt", "ge", "lt", "le"]), DRAWN_NUMBERS, min_size=1)
    return Range(draw(_fields), **draw(bounds))


_leaves: st.SearchStrategy[Filter] = (
    st.builds(Eq, _fields, _values)
    | st.builds(In, _fields, st.lists(_values, max_size=3))
    | st.builds(Contains, _fields, _values)
    | st.builds(Exists, _fields)
    | st.builds(Substring, _fields, _strings.filter(bool))
    | st.builds(Ids, st.lists(st.sampled_from(["0", "7", "70", "unknown"]), max_size=3))
    | st.just(All())
    | _ranges()
)
FILTERS: st.SearchStrategy[Filter] = st.recursive(
    _leaves,
    lambda inner: (
        st.builds(And, st.lists(inner, max_size=3))
        | st.builds(Or, st.lists(inner, max_size=3))
        | st.builds(Not, inner)
    ),
    max_leaves=6,
)
