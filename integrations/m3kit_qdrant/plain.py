"""
Filters in Qdrant's words over payloads as others write them, which hold the metadata itself.

Qdrant looks into lists: a field matches if one of its elements does. So a condition on a scalar
says, too, that `field[]`, the elements of a list, is empty; and one on a list, that it is not. Its
ranges compare 64-bit floats, which confuse integers above 2⁵³ with their neighbours; such a number
is told apart by naming those. What remains: a list that holds both a float above 2⁵³ and an integer
that rounds to it is not found by the float. And Edge keeps some floats with another last bit, which
then is what it compares and gives back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias, assert_never

from m3kit.adapters.filter_terms import EXACT, is_number
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
)
from m3kit_qdrant.filters import COMPARES, NOTHING, Condition, combined

Path: TypeAlias = Callable[[str], str | None]
"""Where a field of the metadata lies in a payload; None if it is none of the metadata."""

_WIDEST = 2**63


def to_plain(where: Filter, path: Path, ids: Callable[[tuple[str, ...]], Condition]) -> Condition:
    """
    Translate a filter.

    Args:
        where: The filter.
        path: Where fields lie.
        ids: Translates `Ids`.

    Raises:
        ValueError: As `to_qdrant` says.
    """
    return combined(where, lambda leaf: _leaf(leaf, path, ids))


def _leaf(where: Leaf, path: Path, ids: Callable[[tuple[str, ...]], Condition]) -> Condition:
    if isinstance(where, Ids):
        return ids(where.ids)
    key = path(where.field)
    if key is None:
        return NOTHING
    is_scalar: Condition = {"is_empty": {"key": f"{key}[]"}}
    match where:
        case Eq(_, value):
            return {"must": [_equals(key, value), is_scalar]}
        case In(_, values):
            some = [_equals(key, value) for value in values]
            return {"must": [{"should": some}, is_scalar]} if some else NOTHING
        case Range():
            return {"must": [*_within(key, where), is_scalar]}
        case Contains(_, value):
            return {"must": [_equals(key, value)], "must_not": [is_scalar]}
        case Exists():
            return {"must_not": [{"is_empty": {"key": key}}]}
        case Substring(_, text):
            return {"must": [{"key": key, "match": {"substring": text}}, is_scalar]}
        case _:
            assert_never(where)


def _equals(key: str, value: Value) -> Condition:
    if not is_number(value):
        return {"key": key, "match": {"value": value}}
    near = float(value)
    if abs(near) < EXACT:
        return {"key": key, "range": {"gte": near, "lte": near}}
    whole = int(value)
    own = [_is_one_of(key, [whole])] if -_WIDEST <= whole < _WIDEST else []
    return {"should": [*own, *([_is_float(key, near)] if near == value else [])]}


def _within(key: str, where: Range) -> list[Condition]:
    given = {"gt": where.gt, "gte": where.ge, "lt": where.lt, "lte": where.le}
    bounds = {name: bound for name, bound in given.items() if bound is not None}
    plain = {name: float(bound) for name, bound in bounds.items() if abs(float(bound)) < EXACT}
    return [
        *([{"key": key, "range": plain}] if plain else []),
        *(_beyond(key, name, bound) for name, bound in bounds.items() if name not in plain),
    ]


def _beyond(key: str, name: str, bound: float) -> Condition:
    """Compare with a bound that integers round to: apart from those, by them, and by the float."""
    near = float(bound)
    compare = COMPARES[name]
    rounding = _rounding_to(near)
    strictly: Condition = {"key": key, "range": {name[:2]: near}}
    inside = [whole for whole in rounding if compare(whole, bound)]
    return {
        "should": [
            {"must": [strictly], "must_not": [_is_one_of(key, rounding)]},
            *([_is_one_of(key, inside)] if inside else []),
            *([_is_float(key, near)] if compare(near, bound) else []),
        ]
    }


def _is_one_of(key: str, wholes: Sequence[int]) -> Condition:
    return {"key": key, "match": {"any": [*wholes]}} if wholes else NOTHING


def _is_float(key: str, near: float) -> Condition:
    """Find a float, and no integer that the engine takes for it."""
    return {
        "must": [{"key": key, "range": {"gte": near, "lte": near}}],
        "must_not": [_is_one_of(key, _rounding_to(near))],
    }


def _rounding_to(near: float) -> list[int]:
    """List the integers of 64 bits that round to a float of 2⁵³ or more: some thousand at most."""
    whole, step = int(near), int(math.ulp(near))
    if abs(whole) > _WIDEST:
        return []
    around = range(max(whole - step, -_WIDEST), min(whole + step, _WIDEST - 1) + 1)
    return [one for one in around if float(one) == near]
