"""
Filters in YQL: by the attributes of declared fields, and by `terms` for all else.

An expression is inexact where an attribute keeps more than the filter does: doubles cannot tell
apart all integers from 2⁵³, and in a schema that `m3_package` did not make a missing string equals
an empty one, a missing boolean is false, case may be folded, and floats may be of 32 bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from m3kit.adapters.filter_terms import EXACT
from m3kit.adapters.filter_translation import FilterExpression, translate
from m3kit.filters import (
    Comparison,
    Contains,
    Eq,
    Exists,
    Filter,
    Ids,
    In,
    Leaf,
    Range,
    Substring,
    Value,
)
from m3kit_vespa.field_types import LONGEST, Kind, is_distinct, kind_for
from m3kit_vespa.layout import Layout, term
from m3kit_vespa.spelling import quoted, spelled

EVERYTHING = "true"
NOTHING = "false"

MAX_DEPTH = 32
"""Vespa's parser and the messages between its nodes limit how deep a query nests."""

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
        ids: The documents' ids, where the filter is about nothing else.
    """

    yql: str | None
    ids: tuple[str, ...] | None = None


def to_condition(where: Filter, layout: Layout) -> FilterExpression[Condition]:
    """
    Translate a filter.

    Raises:
        ValueError: If the schema cannot answer it, or `And`, `Or` and `Not` alternate more than
            `MAX_DEPTH` levels deep.
    """
    if isinstance(where, Ids):
        yql = None if layout.id_attribute is None else _ids(layout, where.ids).expression
        return FilterExpression(Condition(yql, where.ids))
    translated = translate(
        where,
        leaf=lambda leaf: _leaf(layout, leaf),
        all_of=_all_of,
        any_of=_any_of,
        negate=_negate,
        max_depth=MAX_DEPTH,
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
    layout: Layout, field: str, values: Sequence[Value], *, element: bool = False
) -> FilterExpression[str]:
    """Compare scalars, or elements of lists, with each value by what can hold it."""
    kinds = _kinds(layout, field)
    literals: dict[str, list[str]] = {}
    parts: list[str] = []
    exact = True
    for value in values:
        kind = kind_for(value, kinds, element=element)
        if layout.is_native and not layout.tells(field, value, element=element):
            wanted = term("in" if element else "is", field, value)
            literals.setdefault("terms", []).append(quoted(wanted))
            continue
        if kind is None:  # no document of such a schema holds this
            continue
        exact = exact and _is_exact(layout, kind, value)
        name = layout.attribute(field, kind)
        if kind == "bool":
            parts.append(f"{name} = {'true' if value else 'false'}")
        elif kind == "float":
            parts.append(f"{name} = {_double(float(value))}")
        else:
            literals.setdefault(name, []).append(_literal(value))
    parts += [_in(name, listed) for name, listed in literals.items()]
    return FilterExpression(_any_of(parts), exact=exact)


def _range(layout: Layout, where: Range) -> FilterExpression[str]:
    kinds = _kinds(layout, where.field)
    if "float" in kinds:
        return _double_range(layout.attribute(where.field, "float"), where, layout)
    if "int" in kinds:
        return _integer_range(layout.attribute(where.field, "int"), where)
    return _undeclared(layout, where.field)


def _exists(layout: Layout, field: str) -> FilterExpression[str]:
    kinds = _kinds(layout, field)
    parts = [
        part
        for kind in kinds
        if (part := _has_value(layout.attribute(field, kind), kind)) is not None
    ]
    if layout.is_native:
        return FilterExpression(_any_of([*parts, _in("terms", [quoted(term("has", field))])]))
    if all(kind in ("int", "float") for kind in kinds):
        return FilterExpression(_any_of(parts))
    return FilterExpression(EVERYTHING, exact=False)


def _substring(layout: Layout, field: str, text: str) -> FilterExpression[str]:
    """Match a regular expression in which all but letters and digits are written by number."""
    if "str" not in _kinds(layout, field):
        return _undeclared(layout, field)
    pattern = "".join(
        char if char.isascii() and char.isalnum() else rf"\\x{{{ord(char):x}}}"
        for char in spelled(text)
    )
    yql = f'{layout.attribute(field, "str")} matches "{pattern}"'
    return FilterExpression(yql, exact=layout.is_native)


def _ids(layout: Layout, ids: Sequence[str]) -> FilterExpression[str]:
    if layout.id_attribute is None:
        raise _no_id_attribute()
    return FilterExpression(_in(layout.id_attribute, map(quoted, ids)))


def _kinds(layout: Layout, field: str) -> tuple[Kind, ...]:
    """Return the kinds of a field's attributes; of an undeclared one there are none."""
    if not layout.is_native and field not in layout.kinds:
        raise ValueError(
            f"this filter needs {field!r} to be an attribute of the schema; if it is, declare it by "
            f"VespaIndex(…, field_types={{…, {field!r}: str}}), or whichever type it has"
        )
    return layout.kinds.get(field, ())


def _undeclared(layout: Layout, field: str) -> FilterExpression[str]:
    """Keep what holds anything of no declared type; it is verified, document by document."""
    if layout.is_native:
        return FilterExpression(_in("terms", [quoted(term("has", field))]), exact=False)
    return FilterExpression(NOTHING)


def _is_exact(layout: Layout, kind: Kind, value: Value) -> bool:
    """Tell whether an attribute equals a value only where the document's field does."""
    match kind:
        case "int" | "ints":
            return True
        case "float":
            return layout.is_native and abs(float(value)) < EXACT
        case "bool":
            return layout.is_native or is_distinct(value)
        case "str" | "strs":
            return layout.is_native
        case _:
            assert_never(kind)


def _double_range(name: str, where: Range, layout: Layout) -> FilterExpression[str]:
    """Compare doubles: with what each bound is rounded to, where numbers may be rounded."""
    exact = layout.is_native and all(abs(bound) < EXACT for bound in where.bounds.values())
    operators = _OPERATORS if exact else _ROUNDED_OPERATORS
    parts = [f"{name} {operators[of]} {_double(bound)}" for of, bound in where.bounds.items()]
    return FilterExpression(_all_of(parts), exact=exact)


def _integer_range(name: str, where: Range) -> FilterExpression[str]:
    """
    Compare integers with the integers between the bounds.

    Vespa may send bounds as doubles, so those from 2⁵³ are moved apart by what these may be off.
    """
    low, high = -LONGEST, LONGEST
    for of, bound in where.bounds.items():
        match of:
            case "gt":
                low = max(low, math.floor(bound) + 1)
            case "ge":
                low = max(low, math.ceil(bound))
            case "lt":
                high = min(high, math.ceil(bound) - 1)
            case "le":
                high = min(high, math.floor(bound))
    if low > high:
        return FilterExpression(NOTHING)
    exact = all(abs(bound) < EXACT or abs(bound) == LONGEST for bound in (low, high))
    if not exact:
        low, high = max(low - _STEP, -LONGEST), min(high + _STEP, LONGEST)
    return FilterExpression(f"range({name}, {low}L, {high}L)", exact=exact)


def _has_value(name: str, kind: Kind) -> str | None:
    """Keep what an attribute tells from a missing value; None where no query does."""
    match kind:
        case "str":
            return f'!({name} in (""))'
        case "bool":
            return f"{name} = true"
        case "int":
            return f"range({name}, -{LONGEST}L, {LONGEST}L)"
        case "float":
            return f"{name} >= {_SMALLEST}"
        case "strs" | "ints":
            return None
        case _:
            assert_never(kind)


def _in(name: str, literals: Iterable[str]) -> str:
    listed = ", ".join(dict.fromkeys(literals))
    return f"{name} in ({listed})" if listed else NOTHING


def _literal(value: Value) -> str:
    return quoted(value) if isinstance(value, str) else f"{int(value)}L"


def _double(number: float) -> str:
    """Write a double as YQL reads it: with a point, and no sign in the exponent but minus."""
    mantissa, _, exponent = repr(float(number)).partition("e")
    point = mantissa if "." in mantissa else f"{mantissa}.0"
    return f"{point}e{int(exponent)}" if exponent else point


def _no_id_attribute() -> ValueError:
    return ValueError(
        "a search cannot be narrowed to ids here: declare the field that holds them, "
        "FieldNames(id=…) and field_types={…: str}, and let it be an attribute of the schema"
    )


def _all_of(parts: Sequence[str]) -> str:
    """Fold constants away: Vespa rejects a query made only of constants."""
    varying = [part for part in parts if part != EVERYTHING]
    return NOTHING if NOTHING in varying else _joined("and", varying) or EVERYTHING


def _any_of(parts: Sequence[str]) -> str:
    varying = [part for part in parts if part != NOTHING]
    return EVERYTHING if EVERYTHING in varying else _joined("or", varying) or NOTHING


def _negate(part: str) -> str:
    return {NOTHING: EVERYTHING, EVERYTHING: NOTHING}.get(part, f"!({part})")


def _joined(operator: str, parts: Sequence[str]) -> str:
    return f"({f' {operator} '.join(parts)})" if len(parts) > 1 else "".join(parts)
