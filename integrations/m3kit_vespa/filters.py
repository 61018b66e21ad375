"""
Filters in YQL: by the attributes of declared fields, and by `terms` for all else.

An expression is inexact where an attribute keeps more than the filter does: doubles cannot tell
apart all integers from 2⁵³, and in a schema that `m3_package` did not make a missing string equals
an empty one, a missing boolean is false, case may be folded, and floats may be of 32 bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import assert_never

from m3kit.adapters.filter_terms import EXACT, TermKind
from m3kit.adapters.filter_translation import FilterExpression, translate
from m3kit.filters import (
    Comparison,
    Contains,
    Eq,
    Exists,
    Field,
    Filter,
    Ids,
    In,
    Leaf,
    Range,
    Substring,
    Value,
)
from m3kit_vespa.field_types import LONGEST, AttributeType, can_hold
from m3kit_vespa.layout import Layout, term
from m3kit_vespa.spelling import quoted, spelled
from m3kit_vespa.yql import EVERYTHING, NOTHING, all_of, any_of, double, is_in, negate

_STEP = 2**11
"""No double below 2⁶³ is further from the next."""

_SMALLEST = "-1.7976931348623157e308"

_OPERATORS: Mapping[Comparison, str] = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_ROUNDED_OPERATORS: Mapping[Comparison, str] = {"gt": ">=", "ge": ">=", "lt": "<=", "le": "<="}


@dataclass(frozen=True, slots=True)
class Condition:
    """
    A filter in Vespa's words.

    Args:
        yql: It in YQL; None if only `ids` can say it.
        ids: The documents' ids, where there is no YQL.
    """

    yql: str | None
    ids: tuple[str, ...] = ()


def to_condition(where: Filter, layout: Layout) -> FilterExpression[Condition]:
    """
    Translate a filter.

    Raises:
        ValueError: If the schema cannot answer it, or it nests too deep.
    """
    if isinstance(where, Ids) and layout.id_attribute is None:
        return FilterExpression(Condition(None, where.ids))
    translated = translate(
        where,
        leaf=lambda leaf: _leaf(layout, leaf),
        all_of=all_of,
        any_of=any_of,
        negate=negate,
    )
    return FilterExpression(Condition(translated.expression), exact=translated.exact)


def searchable(where: Condition | None) -> str:
    """
    Return the YQL of a condition by which a search is narrowed.

    Raises:
        ValueError: If ids are no attribute of the schema.
    """
    if where is None:
        return EVERYTHING
    if where.yql is None:
        raise _no_id_attribute()
    return where.yql


def _leaf(layout: Layout, where: Leaf) -> FilterExpression[str]:
    if not layout.is_native and not isinstance(where, Ids) and isinstance(where.field, tuple):
        return FilterExpression(EVERYTHING, exact=False)  # within a map or a struct
    match where:
        case Eq(field, value):
            return _equal(layout, field, [value])
        case In(field, values):
            return _equal(layout, field, values)
        case Contains(field, value):
            return _equal(layout, field, [value], element=True)
        case Range():
            return _range(layout, where)
        case Exists(field):
            return _exists(layout, field)
        case Substring(field, text):
            return _substring(layout, field, text)
        case Ids(ids):
            return _ids(layout, ids)
        case _:
            assert_never(where)


def _equal(
    layout: Layout, field: Field, values: Sequence[Value], *, element: bool = False
) -> FilterExpression[str]:
    """Compare scalars, or elements of lists, with each value by what can hold it."""
    type_, name = _type(layout, field), layout.attribute(field)
    by_attribute = [value for value in values if can_hold(type_, value, element=element)]
    terms: list[str] = []
    if layout.is_native:
        kind: TermKind = "in" if element else "is"
        tells = partial(layout.tells, field, element=element)
        by_attribute = [value for value in values if tells(value)]
        terms = [term(kind, field, value) for value in values if not tells(value)]
    literals = [_literal(type_, value) for value in by_attribute]
    if type_ in ("double", "bool"):  # for which YQL has no `in`
        parts = [f"{name} = {literal}" for literal in literals]
    else:
        parts = [is_in(name, literals)]
    exact = all(_is_exact(layout, type_, value) for value in by_attribute)
    return FilterExpression(any_of([*parts, _in_terms(terms)]), exact=exact)


def _exists(layout: Layout, field: Field) -> FilterExpression[str]:
    """Keep what the attribute tells from a missing value, and what terms do."""
    type_, name = _type(layout, field), layout.attribute(field)
    by_attribute = {
        "string": f'!({name} in (""))',
        "bool": f"{name} = true",
        "long": f"range({name}, -{LONGEST}L, {LONGEST}L)",
        "double": f"{name} >= {_SMALLEST}",
    }.get(type_ or "", NOTHING)
    if layout.is_native:
        return FilterExpression(any_of([by_attribute, _in_terms([term("has", field)])]))
    if type_ in ("long", "double"):
        return FilterExpression(by_attribute)
    return FilterExpression(EVERYTHING, exact=False)


def _range(layout: Layout, where: Range) -> FilterExpression[str]:
    if where.instants:
        return _date_range(layout, where.field)
    match _type(layout, where.field):
        case "double":
            return _double_range(layout, where)
        case "long":
            return _integer_range(layout.attribute(where.field), where)
        case _:
            return _undeclared(layout, where.field)


def _date_range(layout: Layout, field: Field) -> FilterExpression[str]:
    """Keep what holds anything: Vespa reads no dates, so they are verified."""
    if layout.is_native or _type(layout, field) == "string":
        return FilterExpression(_exists(layout, field).expression, exact=False)
    return FilterExpression(NOTHING)


def _substring(layout: Layout, field: Field, text: str) -> FilterExpression[str]:
    """Match a regular expression in which all but letters and digits are written by number."""
    if _type(layout, field) != "string":
        return _undeclared(layout, field)
    pattern = "".join(
        char if char.isascii() and char.isalnum() else rf"\\x{{{ord(char):x}}}"
        for char in spelled(text)
    )
    yql = f'{layout.attribute(field)} matches "{pattern}"'
    return FilterExpression(yql, exact=layout.is_native)


def _ids(layout: Layout, ids: Sequence[str]) -> FilterExpression[str]:
    if layout.id_attribute is None:
        raise _no_id_attribute()
    return FilterExpression(is_in(layout.id_attribute, map(quoted, ids)))


def _type(layout: Layout, field: Field) -> AttributeType | None:
    """Return the type of a field's attribute; None if it is not declared."""
    if not layout.is_native and field not in layout.field_types:
        raise ValueError(
            f"this filter needs {field!r} to be an attribute of the schema; if it is, declare it: "
            f"VespaIndex(…, field_types={{…, {field!r}: str}}), or whichever type it has"
        )
    return layout.attribute_type(field)


def _undeclared(layout: Layout, field: Field) -> FilterExpression[str]:
    """Keep what holds anything of no declared type; it is verified, document by document."""
    if layout.is_native:
        return FilterExpression(_in_terms([term("has", field)]), exact=False)
    return FilterExpression(NOTHING)


def _is_exact(layout: Layout, type_: AttributeType | None, value: Value) -> bool:
    """Tell whether an attribute equals a value only where the document's field does."""
    if type_ in ("long", "array<long>"):
        return True
    if layout.is_native:
        return isinstance(value, str) or abs(value) < EXACT
    return value is True


def _double_range(layout: Layout, where: Range) -> FilterExpression[str]:
    """Compare doubles: with what each bound is rounded to, where numbers may be rounded."""
    exact = layout.is_native and all(abs(bound) < EXACT for bound in where.bounds.values())
    operators = _OPERATORS if exact else _ROUNDED_OPERATORS
    name = layout.attribute(where.field)
    parts = [f"{name} {operators[of]} {double(bound)}" for of, bound in where.bounds.items()]
    return FilterExpression(all_of(parts), exact=exact)


def _integer_range(name: str, where: Range) -> FilterExpression[str]:
    """
    Compare integers with the integers between the bounds.

    Vespa may send bounds as doubles, so those from 2⁵³ are moved apart by what these may be off.
    """
    low, high = where.integers(-LONGEST, LONGEST)
    if low >= high:
        return FilterExpression(is_in(name, [f"{low}L"] if low == high else []))
    exact = all(abs(bound) < EXACT or abs(bound) == LONGEST for bound in (low, high))
    if not exact:
        low, high = max(low - _STEP, -LONGEST), min(high + _STEP, LONGEST)
    return FilterExpression(f"range({name}, {low}L, {high}L)", exact=exact)


def _in_terms(terms: Iterable[str]) -> str:
    return is_in("terms", map(quoted, terms))


def _literal(type_: AttributeType | None, value: Value) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return double(value) if type_ == "double" else f"{int(value)}L"


def _no_id_attribute() -> ValueError:
    return ValueError(
        "a search cannot be narrowed to ids here: declare the field that holds them, "
        "FieldNames(id=…) and field_types={…: str}, and let it be an attribute of the schema"
    )
