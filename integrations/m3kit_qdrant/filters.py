"""
Filters in Qdrant's words, in the JSON form of its REST interface, which every engine reads.

Qdrant looks into lists: a condition holds of a field if it holds of one of its elements. So a
condition on a scalar says, too, that `field[]`, the elements of a list, is empty; and one on a
list, that it is not. Strings are matched by `any`, since an index of numbers takes a single string
of a UUID's form for a number. Numbers compare as 64-bit floats: a bound that these, or the floats
that payloads hold (`exactness`), could confuse is widened, and what it keeps is verified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import assert_never

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
    is_number,
)
from m3kit_qdrant.engine import NOTHING, Condition
from m3kit_qdrant.exactness import around, is_clear
from m3kit_qdrant.layout import Layout

_EVERYTHING: Condition = {"must_not": [NOTHING]}

_EPOCH = datetime(1970, 1, 1)  # UTC, which is written behind it
_FIRST_INSTANT = (datetime.min - _EPOCH) // timedelta(microseconds=1)
_LAST_INSTANT = (datetime.max - _EPOCH) // timedelta(microseconds=1)

_RANGE: dict[Comparison, str] = {"gt": "gt", "ge": "gte", "lt": "lt", "le": "lte"}
"""The bounds of a range in Qdrant's words."""


def to_qdrant(
    where: Filter, layout: Layout, has_substring: Callable[[], bool] = lambda: True
) -> FilterExpression[Condition]:
    """
    Translate a filter.

    Args:
        where: The filter.
        layout: How documents lie in the collection.
        has_substring: Whether the engine has `match: {substring: …}`: Qdrant 1.20 or newer.

    Raises:
        ValueError: If it nests too deep.
    """
    return translate(
        where,
        leaf=lambda leaf: _leaf(leaf, layout, has_substring),
        all_of=lambda parts: {"must": [*parts]} if parts else _EVERYTHING,
        any_of=lambda parts: {"should": [*parts]} if parts else NOTHING,
        negate=lambda part: {"must_not": [part]},
    )


def conditions_in(where: Condition) -> Iterator[Condition]:
    """Yield the conditions of a filter that hold no others."""
    clauses = where.keys() & {"must", "should", "must_not"}
    if not clauses:
        yield where
    for clause in clauses:
        for part in where[clause]:
            yield from conditions_in(part)


def _leaf(
    where: Leaf, layout: Layout, has_substring: Callable[[], bool]
) -> FilterExpression[Condition]:
    if isinstance(where, Ids):
        return FilterExpression(layout.ids(where.ids))
    key = layout.path(where.field)
    if key is None:
        return FilterExpression(NOTHING)
    expression = _of_field(where, key, has_substring)
    if layout.is_shared(where.field):
        return FilterExpression(expression.expression, exact=False)
    return expression


def _of_field(
    where: Eq | In | Range | Contains | Exists | Substring,
    key: str,
    has_substring: Callable[[], bool],
) -> FilterExpression[Condition]:
    is_scalar: Condition = {"is_empty": {"key": f"{key}[]"}}
    exists: Condition = {"must_not": [{"is_empty": {"key": key}}]}
    match where:
        case Eq(_, value):
            equal = _equal_to_any(key, [value])
            return FilterExpression({"must": [*equal, is_scalar]}, exact=_are_clear([value]))
        case In(_, values):
            equal = _equal_to_any(key, values)
            any_of = equal if len(equal) == 1 else [{"should": equal}]
            expression = {"must": [*any_of, is_scalar]} if values else NOTHING
            return FilterExpression(expression, exact=_are_clear(values))
        case Range() if where.instants:
            return FilterExpression(
                {"must": [exists, is_scalar, _within_dates(key, where)]}, exact=False
            )
        case Range():
            within = _within(key, where)
            return FilterExpression(
                {"must": [within, is_scalar]}, exact=_are_clear([*where.bounds.values()])
            )
        case Contains(_, value):
            equal = _equal_to_any(key, [value])
            expression = {"must": equal, "must_not": [is_scalar]}
            return FilterExpression(expression, exact=_are_clear([value]))
        case Exists():
            return FilterExpression(exists)
        case Substring(_, text) if has_substring():
            match_: Condition = {"key": key, "match": {"substring": text}}
            return FilterExpression({"must": [match_, is_scalar]})
        case Substring():
            return FilterExpression({"must": [exists, is_scalar]}, exact=False)
        case _:
            assert_never(where)


def _equal_to_any(key: str, values: Sequence[Value]) -> list[Condition]:
    """Translate equality with one of several values, a condition for each kind."""
    strings = [value for value in values if isinstance(value, str)]
    flags = {value for value in values if isinstance(value, bool)}
    numbers = [value for value in values if is_number(value)]
    return [
        *([{"key": key, "match": {"any": strings}}] if strings else []),
        *({"key": key, "match": {"value": flag}} for flag in sorted(flags)),
        *({"key": key, "range": _equal_to(number)} for number in numbers),
    ]


def _equal_to(number: float) -> dict[str, float]:
    low, high = (number, number) if is_clear(number) else around(number)
    return {"gte": low, "lte": high}


def _within(key: str, where: Range) -> Condition:
    bounds: dict[str, float] = {}
    for name, bound in where.bounds.items():
        if is_clear(bound):
            bounds[_RANGE[name]] = bound
        else:
            low, high = around(bound)
            bounds |= {"gte": low} if name in {"gt", "ge"} else {"lte": high}
    return {"key": key, "range": bounds}


def _within_dates(key: str, where: Range) -> Condition:
    """
    Keep the dates that Qdrant reads and that lie within the bounds, and all that it does not read.

    It reads RFC 3339 and a few forms besides, fewer than `m3kit.instants`. By an offset, what it
    reads may lie in the year 10000, which no bound can name.
    """
    bounds: dict[str, str] = {}
    for name, moment in where.instants.items():
        if name in {"gt", "ge"}:
            bounds["gte"] = _rfc3339(moment)
        elif moment <= _LAST_INSTANT:
            bounds["lte"] = _rfc3339(moment)
    if not bounds:
        return _EVERYTHING
    readable: Condition = {"key": key, "range": {"gte": _rfc3339(_FIRST_INSTANT)}}
    return {"should": [{"key": key, "range": bounds}, {"must_not": [readable]}]}


def _rfc3339(moment: int) -> str:
    clamped = min(max(moment, _FIRST_INSTANT), _LAST_INSTANT)
    return (_EPOCH + timedelta(microseconds=clamped)).isoformat(timespec="microseconds") + "Z"


def _are_clear(values: Sequence[Value]) -> bool:
    return all(is_clear(value) for value in values if is_number(value))
