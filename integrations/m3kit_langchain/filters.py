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
    Field,
    Filter,
    In,
    Not,
    Or,
    Range,
    Substring,
)
from m3kit.frameworks import dotted, in_any, to_json

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

    Nested fields are reached by dots, `{"loc.lines": 1}`, or by dicts, `{"loc": {"lines": 1}}`; a
    key of the metadata that has the dots in its name is found too. `metadata.lang`, as
    langchain-qdrant spells `lang`, is the same as `lang`, unless the metadata has such a field.

    Dates compare as instants: `{"day": {"$gte": "2024-03-01"}}`, or with a `date` or `datetime`.
    Values that are no JSON are turned into it, as those of metadata are.

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
            return _condition((key,), value)


def _condition(path: tuple[str, ...], value: Any) -> Filter:
    name = ".".join(path)
    match value:
        case Mapping() if not value:
            raise ValueError(f"the dict of {name!r} is empty; give it an operator")
        case Mapping():
            return _all_of(
                _comparison(path, key, operand)
                if str(key).startswith("$")
                else _condition((*path, key), operand)
                for key, operand in value.items()
            )
        case list() | tuple() | set():
            raise TypeError(
                f"{name!r} is compared with several values; write {{'$in': […]}} for a field that "
                "equals one of them, {'$contains': value} for a list that holds one"
            )
        case _:
            return _leaf(path, Eq, value)


def _comparison(path: tuple[str, ...], operator: str, operand: Any) -> Filter:
    if operator == "$not":
        return Not(_condition(path, operand))
    if operator in _NEGATED:
        return Not(_leaf(path, _NEGATED[operator], operand))
    if operator == "$exists":
        exists = _leaf(path, _exists, operand)
        return exists if operand else Not(exists)
    if operator not in _OPERATORS:
        raise ValueError(_unknown(operator, _KNOWN, f"of the field {'.'.join(path)!r}"))
    return _leaf(path, _OPERATORS[operator], operand)


def _leaf(path: tuple[str, ...], make: Callable[[Field, Any], Filter], operand: Any) -> Filter:
    """Make a comparison in each field that a name may mean."""
    if len(path) > 1:
        fields: list[Field] = [path]
    else:
        prefix, _, rest = str(path[0]).partition(".")
        fields = dotted(path[0])
        if prefix == "metadata" and rest:
            fields += dotted(rest)
    return in_any(fields, lambda field: make(field, to_json(operand)))


def _between(field: Field, operand: Any) -> Filter:
    if not isinstance(operand, list) or len(operand) != 2:
        raise TypeError(f"$between of {field!r} is [low, high], not {operand!r}")
    return Range(field, ge=operand[0], le=operand[1])


def _exists(field: Field, operand: Any) -> Filter:
    if not isinstance(operand, bool):
        raise TypeError(f"$exists of {field!r} is True or False, not {operand!r}")
    return Exists(field)


def _operands(key: str, value: Any) -> tuple[Filter, ...]:
    if not isinstance(value, list | tuple) or not value or not all(value):
        raise TypeError(f"{key} takes a list of dicts, none of them empty, not {value!r}")
    return tuple(to_filter(operand) for operand in value)


def _all_of(filters: Iterable[Filter]) -> Filter:
    operands = tuple(filters)
    return operands[0] if len(operands) == 1 else And(operands)


def _unknown(name: str, known: Iterable[str], position: str) -> str:
    return f"unknown operator {name!r} {position}; known are {', '.join(known)}"


_LOGIC = ("$and", "$or", "$not")
_OPERATORS: Mapping[str, Callable[[Field, Any], Filter]] = {
    "$eq": Eq,
    "$gt": lambda field, operand: Range(field, gt=operand),
    "$gte": lambda field, operand: Range(field, ge=operand),
    "$lt": lambda field, operand: Range(field, lt=operand),
    "$lte": lambda field, operand: Range(field, le=operand),
    "$between": _between,
    "$in": In,
    "$contains": Contains,
    "$substring": Substring,
}
_NEGATED: Mapping[str, Callable[[Field, Any], Filter]] = {"$ne": Eq, "$nin": In}
_KNOWN = (*_OPERATORS, *_NEGATED, "$exists", "$not")
