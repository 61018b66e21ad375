r"""
The conditions of `--where`, and the filters they stand for.

    condition = field operator value {"," value}
    operator  = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~=" | "*="
    value     = a number, true or false | "a JSON string" | any other text without a comma

    lang=de            the field is "de"                      Eq
    lang=de,fr         it is one of these                     In
    lang!=de           it is not, or there is no such field   Not
    year>=2020         the number is at least 2020            Range, also < <= >
    tags~=new          the list holds "new"                   Contains
    title*=table       the text holds "table"                 Substring

A comma separates alternatives, and several conditions must all hold. A number, true or false is
compared as such; quotes make it a text: `year="2020"`. So they do with what has a comma in it or
white space around it; inside of them JSON's escapes count (`\"`, `\\`, `\u00e9`).
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
    """A condition that cannot be read; the text names the part."""


def where(conditions: Sequence[str]) -> Filter | None:
    """
    Read conditions that must all hold; of none, there is no filter.

    Raises:
        WhereError: If one cannot be read.
    """
    filters = [_condition(condition) for condition in conditions]
    match filters:
        case []:
            return None
        case [one]:
            return one
        case _:
            return And(tuple(filters))


def _condition(condition: str) -> Filter:
    found = _CONDITION.fullmatch(condition)
    if found is None:
        raise WhereError(
            f"{condition!r} is no condition; write lang=de, year>=2020, tags~=new or title*=table"
        )
    field, operator = found[1].strip(), found[2]
    try:
        return _filter(field, operator, _values(found[3], after=field + operator))
    except (TypeError, ValueError) as error:
        raise WhereError(f"{condition!r}: {error}") from error


def _values(text: str, after: str) -> list[str]:
    """Part values at their commas, as they are written."""
    values = [found[1] for found in _VALUE.finditer(text)]
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
            return _any(Contains(field, _value(one)) for one in values)
        case "*=":
            return _any(Substring(field, _text(one)) for one in values)
        case _:
            return _any(Range(field, **{_BOUNDS[operator]: _number(one)}) for one in values)


def _equals(field: str, values: Sequence[str]) -> Filter:
    read = [_value(one) for one in values]
    return Eq(field, read[0]) if len(read) == 1 else In(field, tuple(read))


def _any(of: Iterable[Filter]) -> Filter:
    filters = tuple(of)
    return filters[0] if len(filters) == 1 else Or(filters)


def _number(written: str) -> float:
    value = _value(written)
    if isinstance(value, str | bool):
        raise WhereError(f"< <= > >= compare numbers, and {written} is none")
    return value


def _value(written: str) -> Value:
    if written in {"true", "false"} or _NUMBER.fullmatch(written):
        return cast(Value, json.loads(written))
    return _text(written)


def _text(written: str) -> str:
    if not written.startswith('"'):
        return written
    try:
        return str(json.loads(written, strict=False))
    except ValueError as error:
        raise WhereError(f"{written} is no JSON string: {error}") from error
