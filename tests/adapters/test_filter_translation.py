"""What is known of a translation: where it is exact, and what becomes of the rest."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from tests.filter_cases import FILTERS

from m3kit import All, And, Contains, Document, Eq, Exists, Filter, Ids, Not, Or, Range, matches
from m3kit.adapters.filter_translation import MAX_DEPTH, FilterExpression, translate
from m3kit.filters import Leaf


def coarse(where: Filter, *, negates: bool = True) -> FilterExpression[Filter]:
    """Translate for an engine that finds any number in place of a range, and nulls neither way."""

    def leaf(part: Leaf) -> FilterExpression[Filter]:
        match part:
            case Range(field):
                return FilterExpression(Exists(field), exact=False)
            case Contains():
                return FilterExpression(part, definite=False)
            case _:
                return FilterExpression(part)

    def all_of(parts: Sequence[Filter]) -> Filter:
        return And(tuple(parts))

    def any_of(parts: Sequence[Filter]) -> Filter:
        return Or(tuple(parts))

    return translate(
        where,
        leaf=leaf,
        all_of=all_of,
        any_of=any_of,
        negate=Not if negates else None,
    )


def test_a_translation_is_exact_as_far_as_its_parts_are() -> None:
    lang, year, tags = Eq("lang", "de"), Range("year", ge=2020), Contains("tags", "a")
    assert coarse(lang & Not(lang)).exact
    assert not coarse(lang & year).exact
    assert not coarse(Or((lang, year))).exact
    assert coarse(tags) == FilterExpression(tags, exact=True, definite=False)
    assert not coarse(And((lang, tags))).definite


def test_the_negation_of_what_is_inexact_keeps_everything() -> None:
    everything = And(())
    for inner in (Range("year", ge=2020), Contains("tags", "a")):
        assert coarse(Not(inner)) == FilterExpression(everything, exact=False)
    assert coarse(Not(Eq("a", 1)), negates=False) == FilterExpression(everything, exact=False)
    assert coarse(Not(Eq("a", 1))) == FilterExpression(Not(Eq("a", 1)))


@given(FILTERS)
def test_what_a_filter_keeps_its_translation_keeps_too(where: Filter) -> None:
    document = Document("a", "text", {"lang": "de", "year": 2024, "tags": ["a", 1], "n": None})
    translated = coarse(where)
    assert matches(translated.expression, document) or not matches(where, document)
    if translated.exact:
        assert matches(translated.expression, document) is matches(where, document)


def test_alternating_too_deep_is_refused_and_nesting_alike_is_not() -> None:
    alternating: Filter = Ids(("a",))
    for _ in range(MAX_DEPTH + 1):
        alternating = Not(alternating)
    with pytest.raises(ValueError, match=f"deeper than {MAX_DEPTH} levels"):
        coarse(alternating)
    alike: Filter = All()
    for _ in range(500):
        alike = And((alike,))
    assert coarse(alike) == FilterExpression(And((And(()),)))
