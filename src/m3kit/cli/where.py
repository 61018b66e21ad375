r"""
The conditions of `--where`, and their filters.

    condition = field operator value {"," value}
    operator  = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~=" | "*="
    value     = a number, true or false | "a JSON string" | any other text without a comma

    lang=de            the field equals "de"                  Eq
    lang=de,fr         it equals one of these                 In
    lang!=de           it differs, or is missing              Not
    year>=2020         the number is at least 2020            Range, also < <= >
    tags~=new          the list contains "new"                Contains
    title*=table       the text contains "table"              Substring

A comma separates alternatives; several conditions must all match. A number, true or false is
compared as such; quotes make it a string: `year="2020"`. A string with commas or surrounding white
space needs quotes, too, and may then use JSON's escapes (`\"`, `\\`, `\u00e9`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import cast

from m3kit.filters import And, Contains, Eq, Filter, In, Not, Or, Range, Substring, Value

_CONDITION = re.compile(r"(.+?)(!=|<=|>=|~=|\*=|=|<|>)(.*)", re.DOTALL)
_VALUE = re.compile(r'(?:\A|,)\s*("(?:[^"\\]|\\.)*"|[^,]*?)\s*(?=,|\Z)', re.DOTALL)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_BOUNDS = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}


class WhereError(ValueError):
    """A malformed condition; the message names the part."""


def where(conditions: Sequence[str]) -> Filter | None:
    """
    Parse conditions into a filter that all of them must match; None without conditions.

    Raises:
        WhereError: If a condition is malformed.
    """
    filters = [_condition(condition) for condition in conditions]
    match filters:
        case []:
            return None
        case [single]:
            return single
        case _:
            return And(tuple(filters))


def _condition(condition: str) -> Filter:
    match = _CONDITION.fullmatch(condition)
    if match is None:
        raise WhereError(
            f"{condition!r} is no condition; write lang=de, year>=2020, tags~=new or title*=table"
        )
    field, operator = match[1].strip(), match[2]
    try:
        return _filter(field, operator, _values(match[3], after=field + operator))
    except (TypeError, ValueError) as error:
        raise WhereError(f"{condition!r}: {error}") from error


def _values(text: str, after: str) -> list[str]:
    """Split values at commas, without interpreting them."""
    values = [match[1] for match in _VALUE.finditer(text)]
    if not all(values):
        raise WhereError(f'a value is missing after {after} (the empty text is {after}"")')
    return values


def _filter(field: str, operator: str, values: Sequence[str]) -> Filter:
    match operator:
        case "=":
            return _equals(field, values)
        case "!=":
            return Not(_equals(field, values))
        case "~=":
            return _any_of(Contains(field, _value(value)) for value in values)
        case "*=":
            return _any_of(Substring(field, _text(value)) for value in values)
        case _:
            bound = _BOUNDS[operator]
            return _any_of(Range(field, **{bound: _number(value)}) for value in values)


def _equals(field: str, values: Sequence[str]) -> Filter:
    parsed = [_value(value) for value in values]
    return Eq(field, parsed[0]) if len(parsed) == 1 else In(field, tuple(parsed))


def _any_of(filters: Iterable[Filter]) -> Filter:
    operands = tuple(filters)
    return operands[0] if len(operands) == 1 else Or(operands)


def _number(literal: str) -> float:
    value = _value(literal)
    if isinstance(value, str | bool):
        raise WhereError(f"< <= > >= compare numbers, and {literal} is none")
    return value


def _value(literal: str) -> Value:
    if literal in {"true", "false"} or _NUMBER.fullmatch(literal):
        return cast(Value, json.loads(literal))
    return _text(literal)


def _text(literal: str) -> str:
    if not literal.startswith('"'):
        return literal
    try:
        return str(json.loads(literal, strict=False))
    except ValueError as error:
        raise WhereError(f"{literal} is no JSON string: {error}") from error
