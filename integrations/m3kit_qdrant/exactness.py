"""
What Qdrant's engines store exactly, and what stands for the rest in a payload.

The engines read a float from its decimal spelling: digits as an integer, times or divided by a
power of ten. That is exact where both are floats, and off by up to 2 units in the last place
otherwise, again at each rewrite of a segment. So a payload holds a float that would change rounded
to 15 or 16 digits, which does not change, beside its exact spelling (`Layout`).

The rounding never meets nor crosses a number of fewer digits: 0.30000000000000004 becomes
0.3000000000000001 and stays above 0.3. A filter's bound of fewer digits, a `clear` one, therefore
divides what is stored as it divides the exact numbers; others need `around` and a verification.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

_MANTISSA = 2**53
"""Integers up to this are floats."""

_POWERS = 22
"""Powers of ten up to this are floats."""

_LEAST, _MOST = 1e-7, 1e13
"""Between these every float has a neighbour of 15 or 16 digits that is stored exactly."""

_MAX_DEPTH = 24
"""Levels of metadata; a level of objects is three of a gRPC message, which may have a hundred."""

to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def is_exact(number: float) -> bool:
    """Tell whether the engines store a float exactly."""
    if round(number, 6) == number and abs(number) < 1e9:
        return True  # quickly, for most
    mantissa, exponent = _spelled(number)
    return mantissa < _MANTISSA and abs(exponent) <= _POWERS


def rounded(number: float) -> float:
    """Return what a payload holds for a float: itself, where it is exact or has no neighbour."""
    size = abs(number)
    if is_exact(number) or not _LEAST <= size < _MOST:
        return number
    exponent = math.floor(math.log10(size)) - 15
    if Decimal(size).scaleb(-exponent) >= _MANTISSA:
        exponent += 1
    mantissa = min(round(Decimal(size).scaleb(-exponent)), _MANTISSA - 1)
    if mantissa % 10 == 0:
        mantissa += 1 if size > float(f"{mantissa}e{exponent}") else -1
    return math.copysign(float(f"{mantissa}e{exponent}"), number)


def is_clear(bound: float) -> bool:
    """Tell whether a bound divides what payloads hold as it divides the exact numbers."""
    near = float(bound)
    if near == 0 or near != bound:
        return near == bound
    return 2 * _LEAST <= abs(near) <= _MOST / 2 and _spelled(near)[0] < _MANTISSA // 10


def around(bound: float) -> tuple[float, float]:
    """Return an interval that holds whatever a payload may hold for this number."""
    near = float(bound)
    margin = math.ldexp(abs(near), -45) + 100 * sys.float_info.min
    most = sys.float_info.max
    return max(near - margin, -most), min(near + margin, most)


def _spelled(number: float) -> tuple[int, int]:
    """Return the digits of the shortest spelling as an integer, and its power of ten."""
    digits, _, exponent = repr(abs(number)).partition("e")
    whole, _, fraction = digits.partition(".")
    return int(whole + fraction), int(exponent or 0) - len(fraction)


def is_stored_exactly(value: Any, depth: int = 1) -> bool:
    """Tell whether the engines give a JSON value back as it is."""
    match value:
        case float():
            return is_exact(value)
        case list():
            return depth <= _MAX_DEPTH and all(is_stored_exactly(item, depth + 1) for item in value)
        case dict():
            return depth <= _MAX_DEPTH and all(
                is_stored_exactly(item, depth + 1) for item in value.values()
            )
        case _:
            return True


def ordinary(value: Any, depth: int = 1) -> Any:
    """Return what a payload holds of JSON: floats rounded, and deep values as JSON texts."""
    match value:
        case float():
            return rounded(value)
        case list() | dict() if depth > _MAX_DEPTH:
            return to_json(value)
        case list():
            return [ordinary(item, depth + 1) for item in value]
        case dict():
            return {name: ordinary(item, depth + 1) for name, item in value.items()}
        case _:
            return value


def is_near(value: Any, other: Any) -> bool:
    """Compare JSON, and floats but for their last bits."""
    match value, other:
        case float(), float():
            return math.isclose(value, other, rel_tol=1e-9)
        case list(), list():
            return len(value) == len(other) and all(map(is_near, value, other))
        case dict(), Mapping():
            return value.keys() == other.keys() and all(
                is_near(item, other[name]) for name, item in value.items()
            )
        case _:
            return type(value) is type(other) and bool(value == other)
