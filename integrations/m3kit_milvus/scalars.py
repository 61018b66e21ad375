"""Fields of one type, and filters over them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never

import numpy as np
from pymilvus import DataType

from m3kit.adapters.filter_translation import FilterExpression
from m3kit.filters import Contains, Eq, Exists, Range, Substring, Value, is_number

FieldFilter: TypeAlias = Eq | Range | Contains | Exists | Substring
"""A filter of one field and no other."""

_INTEGERS = {DataType.INT8: 8, DataType.INT16: 16, DataType.INT32: 32, DataType.INT64: 64}
_FLOATS: dict[DataType, type[np.floating[Any]]] = {
    DataType.FLOAT: np.float32,
    DataType.DOUBLE: np.float64,
}
_TYPES = frozenset({*_INTEGERS, *_FLOATS, DataType.VARCHAR, DataType.BOOL})
SYMBOLS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
"""The bounds of a range as comparisons."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """
    A field that holds a scalar, or a list of scalars.

    Args:
        name: The field.
        type: What it holds, or what its elements are.
        array: Whether it is a list.
        required: Whether every row has it.
        max_length: How many bytes a text may have, or None where it is none.
    """

    name: str
    type: DataType
    array: bool
    required: bool
    max_length: int | None

    @classmethod
    def read(cls, field: Any) -> Scalar | None:
        """Read a field of a collection's description; None where it holds something else."""
        array = field["type"] == DataType.ARRAY
        type_ = DataType(field["element_type"] if array else field["type"])
        if type_ not in _TYPES:
            return None
        optional = bool(field.get("nullable")) or field.get("default_value") is not None
        length = field["params"].get("max_length") if type_ == DataType.VARCHAR else None
        return cls(field["name"], type_, array, not optional, length and int(length))

    def fits(self, value: object) -> bool:
        """Tell whether the field holds such a value, and gives it back as it was."""
        if self.array:
            return isinstance(value, list | tuple) and all(map(self._fits, value))
        return self._fits(value)

    def _fits(self, value: object) -> bool:
        if self.type == DataType.VARCHAR:
            return isinstance(value, str) and len(value.encode()) <= (self.max_length or math.inf)
        if self.type == DataType.BOOL:
            return isinstance(value, bool)
        if self.type in _FLOATS:
            return isinstance(value, float)
        return type(value) is int and _is_within(value, _INTEGERS[self.type])

    def __str__(self) -> str:
        return f"a list of {self.type.name}" if self.array else self.type.name


def quoted(text: str) -> str:
    """Quote a text as a literal: only what would end it is escaped, all that engines know."""
    for char, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(char, escaped)
    return f'"{text}"'


def like(text: str) -> tuple[str, bool]:
    """Return the pattern of a substring, and whether it is exact: there is no escape."""
    pattern = "".join("_" if char in "%_\\" else char for char in text)
    return quoted(f"%{pattern}%"), "_" not in pattern


def translate_scalar(scalar: Scalar, where: FieldFilter) -> FilterExpression[str] | None:
    """Translate a filter of one field; an empty text keeps every row, None keeps none."""
    expression, exact = _array(scalar, where) if scalar.array else _scalar(scalar, where)
    if expression is None:
        return None
    is_there = "" if scalar.required else f"{scalar.name} is not null"
    parts = [part for part in (is_there, expression) if part]
    return FilterExpression(f"({' and '.join(parts)})" if parts else "", exact)


def _scalar(scalar: Scalar, where: FieldFilter) -> tuple[str | None, bool]:
    match where:
        case Eq(_, value):
            literal = _literal(scalar, value)
            return (None if literal is None else f"{scalar.name} == {literal}"), True
        case Exists():
            return "", True
        case Range() if where.instants and scalar.type == DataType.VARCHAR:
            return "", False
        case Range():
            return _range(scalar, where), True
        case Substring(_, text):
            if scalar.type != DataType.VARCHAR:
                return None, True
            pattern, exact = like(text)
            return f"{scalar.name} like {pattern}", exact
        case Contains():
            return None, True
        case _:
            assert_never(where)


def _array(scalar: Scalar, where: FieldFilter) -> tuple[str | None, bool]:
    match where:
        case Contains(_, value):
            literal = _literal(scalar, value)
            contains = f"array_contains_any({scalar.name}, [{literal}])"
            return (None if literal is None else contains), True
        case Exists():
            return f"array_length({scalar.name}) > 0", True
        case Eq() | Range() | Substring():
            return None, True
        case _:
            assert_never(where)


def _literal(scalar: Scalar, value: Value) -> str | None:
    """Return a value in the field's type; None where none of its values equals it."""
    if scalar.type == DataType.VARCHAR:
        return quoted(value) if isinstance(value, str) else None
    if scalar.type == DataType.BOOL:
        return str(value).lower() if isinstance(value, bool) else None
    if not is_number(value):
        return None
    if scalar.type in _FLOATS:
        near = _nearest(scalar, value)
        return repr(near) if near == value else None
    if value != int(value) or not _is_within(int(value), _INTEGERS[scalar.type]):
        return None
    return repr(int(value))


def _range(scalar: Scalar, where: Range) -> str | None:
    if where.instants:
        return None
    if scalar.type in _INTEGERS:
        return _integers(scalar, where)
    return _floats(scalar, where) if scalar.type in _FLOATS else None


def _integers(scalar: Scalar, where: Range) -> str | None:
    """Compare with integers that the type has; a bound beyond them keeps nothing, or everything."""
    bits = _INTEGERS[scalar.type]
    least, most = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    low, high = where.integers(least, most)
    if low > high:
        return None
    parts = [f"{scalar.name} >= {low}"] if low > least else []
    parts += [f"{scalar.name} <= {high}"] if high < most else []
    return " and ".join(parts)


def _floats(scalar: Scalar, where: Range) -> str | None:
    """Compare with floats that the type has: where a bound lies between two, with the next."""
    parts = []
    for name, bound in where.bounds.items():
        near, is_lower = _nearest(scalar, bound), name in {"gt", "ge"}
        if math.isinf(near):
            if (near > 0) == is_lower:
                return None
            continue
        beyond = near > bound if is_lower else near < bound
        strict = not beyond if near != bound else name in {"gt", "lt"}
        parts.append(f"{scalar.name} {SYMBOLS[name][0]}{'' if strict else '='} {near!r}")
    return " and ".join(parts)


def _nearest(scalar: Scalar, value: float) -> float:
    with np.errstate(over="ignore"):
        return float(_FLOATS[scalar.type](value))


def _is_within(value: int, bits: int) -> bool:
    return value.bit_length() < bits or value == -(1 << (bits - 1))
