"""
What a document says of its fields, for engines whose own filters would mean something else.

Engines find lists where a scalar is meant, take `True` for 1, or compare large integers as floats.
So a store writes these facts beside the metadata, in its own spelling, and its filters go by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from struct import pack, unpack
from typing import Any, Literal, TypeAlias, TypeGuard

Says: TypeAlias = Literal["has", "is", "in"]
"""`Exists`, `Eq` and `Contains`, each a fact that a document has or has not."""

EXACT = 2**53
"""Integers below this are floats too."""

ROUND = 2**10
"""The second half of `order` for a number whose first half says it all, such as 2024 or 0.5."""


def facts(metadata: Mapping[str, Any]) -> Iterator[tuple[Says, str, tuple[Any, ...]]]:
    """Yield each fact of a document: what it says, of which field, and with which value."""
    for field, value in metadata.items():
        if value is None or value == []:
            continue
        yield "has", field, ()
        if is_scalar(value):
            yield "is", field, (value,)
        elif isinstance(value, list):
            yield from (("in", field, (one,)) for one in value if is_scalar(one))


def by_value(value: Any) -> Any:
    """Give equal numbers one spelling: `1.0` is 1."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def order(number: float) -> tuple[int, int]:
    """
    Place a number among all others: two integers below 2⁵³ that compare as the numbers do.

    The first is the upper half of the nearest float's bits; the second its lower half, and how far
    an integer of 64 bits is from that float.
    """
    near = float(number)
    rest = int(number) - int(near) if isinstance(number, int) else 0
    (bits,) = unpack(">q", pack(">d", near))
    if bits < 0:  # sign and magnitude, where integers order by two's complement
        bits = -(bits & (2**63 - 1))
    return bits >> 32, ((bits & (2**32 - 1)) << 11) + rest + ROUND


def is_number(value: object) -> TypeGuard[float]:
    """Tell numbers from all else; a boolean is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_scalar(value: object) -> bool:
    """Tell what a filter's value can equal."""
    return isinstance(value, str | int | float)
