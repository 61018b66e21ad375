"""
The terms of a document: what `Eq`, `Contains` and `Exists` can find in its metadata.

For engines whose own filters on JSON are slow or cannot express these. A store writes the terms
beside the metadata, in its own spelling, and its filters look them up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from m3kit.filters import Field, is_scalar

TermKind: TypeAlias = Literal["has", "is", "in"]
"""What finds a term: `Exists`, `Eq` or `Contains`."""

EXACT = 2**53
"""Integers below this are floats too."""


@dataclass(frozen=True, slots=True)
class Term:
    """
    Something that a filter can find in a document.

    Args:
        kind: What finds it.
        field: A key of the metadata, or the path to a nested one.
        value: What the field holds; for `Contains`, one item of the list.
    """

    kind: TermKind
    field: Field
    value: Any


def filter_terms(metadata: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[Term]:
    """Yield the terms of a document, those of nested fields included."""
    for key, value in metadata.items():
        if value is None or value == []:
            continue
        keys = (*path, key)
        field: Field = keys if path else key
        yield Term("has", field, value)
        if is_scalar(value):
            yield Term("is", field, value)
        elif isinstance(value, list):
            yield from (Term("in", field, item) for item in value if is_scalar(item))
        elif isinstance(value, Mapping):
            yield from filter_terms(value, keys)


def by_value(value: Any) -> Any:
    """Give equal numbers one spelling: `1.0` is 1."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
