"""What Hypothesis draws."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hypothesis import HealthCheck, settings
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
    field_path,
)
from m3kit.filters import Field as FilterField
from m3kit.fusion import RRF, Fusion, WeightedSum
from m3kit.index import Search
from m3kit.instants import instant
from m3kit.records import Document
from m3kit.testing.encoder import query
from m3kit.testing.samples import DATES, NASTY_IDS, NASTY_VALUES, NUMBERS
from m3kit.vectors import REPS, Rep

MOMENTS = [date for date in DATES if instant(date) is not None]


driven = settings(
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # each example empties the one index
        HealthCheck.differing_executors,  # every subclass is another store
        HealthCheck.too_slow,
    ],
)


_words = st.sampled_from(
    ["dog", "cat", "bear", "salmon", "the", "growling", "purring", "index", "vector", "ruh"]
)
_texts = st.lists(_words, max_size=5).map(" ".join)
_strings = st.sampled_from(NASTY_VALUES) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=8
)
_integers = st.integers(-(2**63), 2**63 - 1)
_numbers = st.sampled_from(NUMBERS) | _integers | st.floats(allow_nan=False, allow_infinity=False)
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "string": _strings,
    "number": _numbers,
    "flag": st.booleans(),
    "strings": st.lists(_strings, max_size=3),
    "numbers": st.lists(st.sampled_from(NUMBERS), max_size=3),
    "dotted.name": _strings,
    "with space": st.sampled_from(NUMBERS),
    "ключ": st.lists(_strings, max_size=2) | _strings,
    "when": st.sampled_from(DATES),
    "dotted": st.fixed_dictionaries({}, optional={"name": st.sampled_from([1, True, "A"])}),
    "nested": st.fixed_dictionaries(
        {},
        optional={
            "number": st.sampled_from(NUMBERS),
            "strings": st.lists(st.sampled_from(NASTY_VALUES), max_size=2),
            "deeper": st.fixed_dictionaries(
                {}, optional={"when": st.sampled_from(DATES), "flag": st.booleans() | st.none()}
            ),
        },
    ),
}
_PATHS: list[FilterField] = [
    ("dotted", "name"),
    ("nested", "number"),
    ("nested", "strings"),
    ("nested", "deeper"),
    ("nested", "deeper", "when"),
    ("nested", "deeper", "flag"),
    ("string", "number"),
]


def json_values() -> st.SearchStrategy[Any]:
    """Draw any JSON that metadata may hold."""
    scalars = st.none() | st.booleans() | _numbers | _strings
    return st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=6,
    ).filter(_is_text)


def documents() -> st.SearchStrategy[Document]:
    """Draw documents with metadata that `filters` reach, over a small pool of ids."""
    metadata = st.fixed_dictionaries(
        {}, optional={name: values | st.none() for name, values in _FIELDS.items()}
    )
    return st.builds(Document, st.sampled_from(NASTY_IDS), _texts, metadata)


def filters() -> st.SearchStrategy[Filter]:
    """Draw filters over the fields of `documents`, and one field that no document has."""
    names: st.SearchStrategy[FilterField] = st.sampled_from([*_FIELDS, *_PATHS, "missing"])
    strings = st.sampled_from(NASTY_VALUES)
    values = strings | st.sampled_from(NUMBERS)
    moments = st.sampled_from(MOMENTS)

    def by_field(name: FilterField) -> st.SearchStrategy[Filter]:
        match field_path(name)[-1]:
            case "flag":
                operands: st.SearchStrategy[Any] = st.booleans()
            case "when":
                operands = st.sampled_from(DATES)
            case _:
                operands = values
        return (
            st.builds(Eq, st.just(name), operands)
            | st.builds(In, st.just(name), st.lists(operands, max_size=3))
            | st.builds(Contains, st.just(name), operands)
            | st.builds(Exists, st.just(name))
            | st.builds(Substring, st.just(name), strings.filter(bool))
            | st.builds(Range, st.just(name), ge=_numbers, lt=st.none() | _numbers)
            | st.builds(Range, st.just(name), gt=_numbers)
            | st.builds(Range, st.just(name), le=_numbers)
            | st.builds(Range, st.just(name), ge=moments, lt=st.none() | moments)
            | st.builds(Range, st.just(name), gt=moments)
            | st.builds(Range, st.just(name), le=moments)
        )

    leaves = (
        names.flatmap(by_field)
        | st.builds(Ids, st.lists(st.sampled_from(NASTY_IDS), max_size=3))
        | st.just(All())
    )
    return st.recursive(
        leaves,
        lambda inner: (
            st.builds(And, st.lists(inner, max_size=3))
            | st.builds(Or, st.lists(inner, max_size=3))
            | st.builds(Not, inner)
        ),
        max_leaves=4,
    )


def searches(reps: Collection[Rep]) -> st.SearchStrategy[Search]:
    """Draw requests for an index that holds `reps`."""
    fusions: st.SearchStrategy[Fusion] = st.sampled_from(
        [
            RRF(),
            RRF(k=1),
            RRF(weights={"sparse": 0.3}),
            WeightedSum(),
            WeightedSum(dense=0.4, sparse=0.2, colbert=0.4),
        ]
    )
    chosen = st.sets(st.sampled_from([rep for rep in REPS if rep in reps]), min_size=1)
    fields: st.SearchStrategy[FilterField] = st.sampled_from([*_FIELDS, *_PATHS, "missing"])
    groups = st.fixed_dictionaries({"group_by": fields, "group_size": st.integers(1, 3)})
    return st.builds(
        lambda text, taking_part, grouping, **options: Search(
            query=query(text, *taking_part), **grouping, **options
        ),
        _texts,
        chosen,
        st.just({}) | groups,
        k=st.integers(1, 6),
        candidates=st.sampled_from([1, 2, 3, 100]),
        fusion=fusions,
        where=st.none() | filters(),
        with_scores=st.booleans(),
    )


def _is_text(value: object) -> bool:
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return False
    return True


def metadata() -> st.SearchStrategy[dict[str, Any]]:
    """Draw any metadata."""
    return st.dictionaries(st.text(max_size=8), json_values(), max_size=4).filter(_is_text)
