"""
Filters in Milvus's words.

An engine's own comparisons come near `m3kit.matches`, and not always there: Milvus Lite takes
`true` for 1, knows no escape in `like`, and a comparison of what cannot be compared is neither true
nor false, so that its `not` is not the rest. So each expression says whether it is exact and
definite; the core verifies what an inexact one keeps.
"""

from __future__ import annotations

import math
from typing import assert_never

from m3kit.adapters.filter_terms import EXACT
from m3kit.adapters.filter_translation import FilterExpression, translate
from m3kit.filters import (
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
    is_number,
)
from m3kit_milvus.columns import Path
from m3kit_milvus.layout import Layout
from m3kit_milvus.private import PARTITION, to_partition
from m3kit_milvus.scalars import SYMBOLS, FieldFilter, Scalar, like, quoted, translate_scalar
from m3kit_milvus.terms import TERMS, joined, translate_by_terms


def to_milvus(where: Filter, layout: Layout) -> FilterExpression[str]:
    """
    Translate a filter for one collection.

    Raises:
        ValueError: If it nests too deep.
    """
    by_terms = False

    def translated(leaf: Leaf) -> FilterExpression[str]:
        nonlocal by_terms
        by_terms |= layout.has_terms and not isinstance(leaf, Ids | Substring)
        return _leaf(layout, leaf)

    expression = translate(
        where,
        leaf=translated,
        all_of=lambda parts: joined("and", [*parts]) or layout.everything,
        any_of=lambda parts: joined("or", [*parts]) or layout.nothing,
        negate=(lambda part: f"(not {part})") if layout.has_not else None,
    )
    if not by_terms:
        return expression
    return FilterExpression(f'({expression.expression} or {TERMS} == "")', exact=False)


def _leaf(layout: Layout, where: Leaf) -> FilterExpression[str]:
    match where:
        case Ids(ids):
            return FilterExpression(layout.has_keys(layout.keys(ids)))
        case In(field, values):
            parts = [_leaf(layout, Eq(field, value)) for value in values]
            return FilterExpression(
                joined("or", [part.expression for part in parts]) or layout.nothing,
                exact=all(part.exact for part in parts),
                definite=all(part.definite for part in parts),
            )
        case Eq(field, value) if field == layout.partition_key:
            equal = _field(layout, where)
            both = f"({PARTITION} == {quoted(to_partition(value))} and {equal.expression})"
            return FilterExpression(both, equal.exact, equal.definite)
        case _:
            return _field(layout, where)


def _field(layout: Layout, where: FieldFilter) -> FilterExpression[str]:
    if layout.has_terms and not isinstance(where, Substring):
        return translate_by_terms(where, negates=layout.has_not)
    match layout.place(where.field):
        case "nowhere":
            return FilterExpression(layout.nothing)
        case "unknown":
            return FilterExpression(layout.everything, exact=False)
        case Scalar() as scalar:
            translated = translate_scalar(scalar, where)
            if translated is None:
                return FilterExpression(layout.nothing)
            return translated if translated.expression else FilterExpression(layout.everything)
        case Path() as path:
            return _within_json(path, where, is_typed=layout.is_typed)


def _within_json(path: Path, where: FieldFilter, *, is_typed: bool) -> FilterExpression[str]:
    """Translate a filter of one place in a JSON."""
    is_there = f"exists {path.text}"
    match where:
        case Eq(field, value) if is_number(value) and abs(value) >= EXACT:
            return _range(path, Range(field, ge=value, le=value), is_typed=is_typed)
        case Eq(_, value):
            equal = f"({is_there} and {path.text} == {_literal(value)})"
            return FilterExpression(equal, _is_exact(value, is_typed=is_typed))
        case Range():
            return _range(path, where, is_typed=is_typed)
        case Contains(_, value):
            return _contains(path, value, is_typed=is_typed)
        case Exists():
            return FilterExpression(is_there, exact=False)  # an empty list is there
        case Substring(_, part):
            pattern, exact = like(part)
            return FilterExpression(f"({is_there} and {path.text} like {pattern})", exact)
        case _:
            assert_never(where)


def _range(path: Path, where: Range, *, is_typed: bool) -> FilterExpression[str]:
    if where.instants:  # which no engine reads
        return FilterExpression(f"exists {path.text}", exact=False)
    compared = [
        f"{path.text} {bound}"
        for name, number in where.bounds.items()
        if (bound := _bound(name, number))
    ]
    exact = all(abs(bound) < EXACT for bound in where.bounds.values()) and (
        is_typed or not (where.covers(0) or where.covers(1))
    )
    text = f"({joined('and', [f'exists {path.text}', *compared])})"
    return FilterExpression(text, exact, definite=False)


def _contains(path: Path, value: Value, *, is_typed: bool) -> FilterExpression[str]:
    text = path.text
    if not path.lists or (is_number(value) and abs(value) >= EXACT):
        return FilterExpression(f"exists {text}", exact=False)
    literals = {_literal(value)}
    if is_number(value) and is_typed:  # a server looks for an integer, or for a float
        literals.add(repr(float(value)))
    contains = f"json_contains_any({text}, [{', '.join(sorted(literals))}])"
    is_list = f'not ({text} like "%")'  # Milvus Lite reads a list in a string, too
    exact = _is_exact(value, is_typed=is_typed)
    return FilterExpression(f"(exists {text} and {contains} and {is_list})", exact)


def _is_exact(value: Value, *, is_typed: bool) -> bool:
    """Tell whether the engine takes nothing else for this value."""
    return is_typed or (not isinstance(value, bool) and value not in (0, 1))


def _bound(name: str, bound: float) -> str:
    """Return a comparison; where integers are not floats, with the next float beyond."""
    symbol = SYMBOLS[name]
    if abs(bound) < EXACT:
        return f"{symbol} {bound!r}"
    wide = math.nextafter(float(bound), -math.inf if symbol[0] == ">" else math.inf)
    return f"{symbol[0]}= {wide!r}" if math.isfinite(wide) else ""


def _literal(value: Value) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value)
        case _:
            return repr(value)
