"""Filters as LangChain's users write them: dicts, with operators that begin with a dollar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from m3kit.filters import (
    All,
    And,
    Contains,
    Eq,
    Exists,
    Filter,
    In,
    Not,
    Or,
    Range,
    Substring,
)

Where: TypeAlias = Filter | Mapping[str, Any]
"""A filter of m3kit, or a dict."""


def to_filter(where: Where) -> Filter:
    """
    Translate a dict into a filter; a filter is returned unchanged.

    `{"lang": "de"}` is `Eq`, several fields are `And`, and `{}` is every document. A field's
    operators: $eq $ne $gt $gte $lt $lte, `$between: [low, high]` (both ends included), $in $nin,
    $contains (the field is a list with this element), $substring (a string with this text in it),
    `$exists: True` or False, $not. Between dicts: `$and: […]`, `$or: […]`, `$not: {…}`.
    As in MongoDB, a document without the field matches $ne and $nin.

    Raises:
        ValueError: If an operator is unknown; the error lists the known ones.
        TypeError: If an operand is not what its operator takes.
    """
    if isinstance(where, Filter):
        return where
    if not isinstance(where, Mapping):
        raise TypeError(f"a filter is an m3kit.Filter or a dict, not {where!r}")
    return _all_of(_clause(key, value) for key, value in where.items()) if where else All()


def _clause(key: str, value: Any) -> Filter:
    match key:
        case "$and":
            return And(_operands(key, value))
        case "$or":
            return Or(_operands(key, value))
        case "$not":
            return Not(to_filter(value))
        case str() if key.startswith("$"):
            raise ValueError(_unknown(key, _LOGIC, "between fields"))
        case _:
            return _condition(key, value)


def _condition(field: str, value: Any) -> Filter:
    match value:
        case Mapping() if value:
            return _all_of(_comparison(field, name, operand) for name, operand in value.items())
        case Mapping():
            raise ValueError(f"the dict of {field!r} is empty; give it an operator")
        case list() | tuple() | set():
            raise TypeError(
                f"{field!r} is compared with several values; write {{'$in': […]}} for a field that "
                "equals one of them, {'$contains': value} for a list that holds one"
            )
        case _:
            return Eq(field, value)


def _comparison(field: str, operator: str, operand: Any) -> Filter:
    if operator not in _OPERATORS:
        raise ValueError(_unknown(operator, _OPERATORS, f"of the field {field!r}"))
    return _OPERATORS[operator](field, operand)


def _between(field: str, operand: Any) -> Filter:
    if not isinstance(operand, list | tuple) or len(operand) != 2:
        raise TypeError(f"$between of {field!r} is [low, high], not {operand!r}")
    return Range(field, ge=operand[0], le=operand[1])


def _exists(field: str, operand: Any) -> Filter:
    if not isinstance(operand, bool):
        raise TypeError(f"$exists of {field!r} is True or False, not {operand!r}")
    return Exists(field) if operand else Not(Exists(field))


def _operands(key: str, value: Any) -> tuple[Filter, ...]:
    if not isinstance(value, list | tuple) or not value or not all(value):
        raise TypeError(f"{key} takes a list of dicts, none of them empty, not {value!r}")
    return tuple(to_filter(operand) for operand in value)


def _all_of(filters: Iterable[Filter]) -> Filter:
    operands = tuple(filters)
    return operands[0] if len(operands) == 1 else And(operands)


def _unknown(name: str, known: Iterable[str], position: str) -> str:
    hint = "" if str(name).startswith("$") else "; filters reach the top level of the metadata"
    return f"unknown operator {name!r} {position}; known are {', '.join(known)}{hint}"


_LOGIC = ("$and", "$or", "$not")
_OPERATORS: Mapping[str, Callable[[str, Any], Filter]] = {
    "$eq": Eq,
    "$ne": lambda field, operand: Not(Eq(field, operand)),
    "$gt": lambda field, operand: Range(field, gt=operand),
    "$gte": lambda field, operand: Range(field, ge=operand),
    "$lt": lambda field, operand: Range(field, lt=operand),
    "$lte": lambda field, operand: Range(field, le=operand),
    "$between": _between,
    "$in": In,
    "$nin": lambda field, operand: Not(In(field, operand)),
    "$contains": Contains,
    "$substring": Substring,
    "$exists": _exists,
    "$not": lambda field, operand: Not(_condition(field, operand)),
}
