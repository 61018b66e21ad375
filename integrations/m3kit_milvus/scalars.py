"""Filters over fields of one type each, whose comparisons are exact in every engine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
from pymilvus import DataType

from m3kit.adapters.filter_terms import is_number
from m3kit.filters import Contains, Eq, Exists, Range, Substring, Value
from m3kit_milvus.layout import Row, Said

_INTEGERS = {DataType.INT8: 8, DataType.INT16: 16, DataType.INT32: 32, DataType.INT64: 64}
_FLOATS: dict[DataType, type[np.floating[Any]]] = {
    DataType.FLOAT: np.float32,
    DataType.DOUBLE: np.float64,
}
KNOWN = frozenset({*_INTEGERS, *_FLOATS, DataType.VARCHAR, DataType.BOOL})
"""The types of fields that hold a scalar."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """
    A field that holds a scalar, or a list of scalars.

    Args:
        name: The field.
        type: What it holds, or what its elements are.
        array: Whether it is a list.
        required: Whether every row has it.
        length: How many bytes a text may have, or None where it is none.
    """

    name: str
    type: DataType
    array: bool
    required: bool
    length: int | None

    @classmethod
    def read(cls, field: Row) -> Scalar | None:
        """Read what a collection says of a field; None where it holds something else."""
        array = field["type"] == DataType.ARRAY
        type_ = DataType(field["element_type"] if array else field["type"])
        if type_ not in KNOWN:
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
            return isinstance(value, str) and len(value.encode()) <= (self.length or math.inf)
        if self.type == DataType.BOOL:
            return isinstance(value, bool)
        if not is_number(value):
            return False
        if self.type in _FLOATS:
            return isinstance(value, float)
        return isinstance(value, int) and _is_within(value, _INTEGERS[self.type])


def quoted(text: str) -> str:
    """Quote a text as a literal: only what would end one is escaped, since engines know no more."""
    for char, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(char, escaped)
    return f'"{text}"'


def scalar_says(scalar: Scalar, where: Eq | Range | Contains | Exists | Substring) -> Said | None:
    """Say a filter of one field; None says that nothing matches."""
    said, exact = _array_says(scalar, where) if scalar.array else _says(scalar, where)
    if said is None:
        return None
    there = "" if scalar.required else f"{scalar.name} is not null"
    parts = [part for part in (there, said) if part]
    return Said(f"({' and '.join(parts)})", exact) if parts else Said("", exact)


def _says(
    scalar: Scalar, where: Eq | Range | Contains | Exists | Substring
) -> tuple[str | None, bool]:
    """Say what is asked of a field that is there, and whether it says nothing else."""
    match where:
        case Eq(_, value):
            literal = _literal(scalar, value)
            return (None if literal is None else f"{scalar.name} == {literal}"), True
        case Exists():
            return "", True
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


def _array_says(
    scalar: Scalar, where: Eq | Range | Contains | Exists | Substring
) -> tuple[str | None, bool]:
    match where:
        case Contains(_, value):
            literal = _literal(scalar, value)
            return (
                None if literal is None else f"array_contains_any({scalar.name}, [{literal}])"
            ), True
        case Exists():
            return f"array_length({scalar.name}) > 0", True
        case Eq() | Range() | Substring():
            return None, True
        case _:
            assert_never(where)


def like(text: str) -> tuple[str, bool]:
    """Spell a substring as a pattern, and tell whether it says nothing else: there is no escape."""
    plain = "".join("_" if char in "%_\\" else char for char in text)
    return quoted(f"%{plain}%"), not any(char in text for char in "%_\\")


def _literal(scalar: Scalar, value: Value) -> str | None:
    """Spell a value in the field's type; None where none of its values equals it."""
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
    given = {">": where.gt, ">=": where.ge, "<": where.lt, "<=": where.le}
    bounds = [(operator, bound) for operator, bound in given.items() if bound is not None]
    if scalar.type in _INTEGERS:
        return _integers(scalar, bounds)
    if scalar.type in _FLOATS:
        return _floats(scalar, bounds)
    return None


def _integers(scalar: Scalar, bounds: list[tuple[str, float]]) -> str | None:
    """Compare with integers that the type has; a bound beyond them says nothing, or everything."""
    least, most = low, high = _limits(_INTEGERS[scalar.type])
    for operator, bound in bounds:
        match operator:
            case ">":
                low = max(low, math.floor(bound) + 1)
            case ">=":
                low = max(low, math.ceil(bound))
            case "<":
                high = min(high, math.ceil(bound) - 1)
            case _:
                high = min(high, math.floor(bound))
    if low > high:
        return None
    parts = [f"{scalar.name} >= {low}"] if low > least else []
    parts += [f"{scalar.name} <= {high}"] if high < most else []
    return " and ".join(parts)


def _floats(scalar: Scalar, bounds: list[tuple[str, float]]) -> str | None:
    """Compare with floats that the type has: where a bound lies between two, with the next."""
    parts = []
    for operator, bound in bounds:
        near = _nearest(scalar, bound)
        upwards = operator.startswith(">")
        if math.isinf(near):
            if (near > 0) == upwards:
                return None
            continue
        beyond = near > bound if upwards else near < bound
        strict = not beyond if near != bound else len(operator) == 1
        parts.append(f"{scalar.name} {operator[0]}{'' if strict else '='} {near!r}")
    return " and ".join(parts)


def _nearest(scalar: Scalar, value: float) -> float:
    with np.errstate(over="ignore"):
        return float(_FLOATS[scalar.type](value))


def _limits(bits: int) -> tuple[int, int]:
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def _is_within(value: int, bits: int) -> bool:
    least, most = _limits(bits)
    return least <= value <= most
