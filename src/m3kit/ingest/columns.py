"""Numbers and booleans in columns of text, where all values of a column are such."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_BOOLEANS = {"true": True, "false": False}


def typed_columns(names: Sequence[str], rows: Iterable[Sequence[str]]) -> frozenset[str]:
    """
    Return the columns whose values are all numbers, or all booleans; empty ones do not count.

    Numbers are those of JSON that fit into 64 bits, so `007` is none, and its column stays text.
    Booleans are `true` and `false`, in any case.
    """
    kinds: dict[int, type | None] = {}
    texts: set[int] = set()
    for row in rows:
        for column, text in enumerate(row):
            if column in texts or not text.strip():
                continue
            kind = _kind(text)
            if kind is None or kinds.setdefault(column, kind) is not kind:
                texts.add(column)
    return frozenset(names[column] for column in kinds if column not in texts)


def typed_values(fields: Mapping[str, str], typed: frozenset[str]) -> dict[str, Scalar]:
    """Convert the values of typed columns, leaving out empty ones."""
    return {
        name: _value(text.strip()) if name in typed else text
        for name, text in fields.items()
        if name not in typed or text.strip()
    }


def _kind(text: str) -> type | None:
    bare = text.strip()
    if bare.lower() in _BOOLEANS:
        return bool
    if not _NUMBER.fullmatch(bare) or len(bare) > 40:
        return None
    value = json.loads(bare)
    fits = -(2**63) <= value < 2**63 if isinstance(value, int) else math.isfinite(value)
    return float if fits else None


def _value(text: str) -> Scalar:
    boolean = _BOOLEANS.get(text.lower())
    value: Scalar = json.loads(text) if boolean is None else boolean
    return value
