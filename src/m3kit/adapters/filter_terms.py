"""
The terms of a document: what `Eq`, `Contains` and `Exists` can find in its metadata.

For engines whose own filters on JSON are slow or cannot express these. A store writes the terms
beside the metadata, in its own spelling, and its filters look them up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from struct import pack, unpack
from typing import Any, Literal, TypeAlias

from m3kit.filters import is_scalar

TermKind: TypeAlias = Literal["has", "is", "in"]
"""What finds a term: `Exists`, `Eq` or `Contains`."""

EXACT = 2**53
"""Integers below this are floats too."""

ROUND = 2**10
"""The second half of `order` for a number whose first half says it all, such as 2024 or 0.5."""


def filter_terms(
    metadata: Mapping[str, Any],
) -> Iterator[tuple[TermKind, str, tuple[Any, ...]]]:
    """Yield each term of a document: its kind, its field, and its value, if it has one."""
    for field, value in metadata.items():
        if value is None or value == []:
            continue
        yield "has", field, ()
        if is_scalar(value):
            yield "is", field, (value,)
        elif isinstance(value, list):
            yield from (("in", field, (item,)) for item in value if is_scalar(item))


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
