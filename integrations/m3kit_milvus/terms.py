"""
The field `_terms` of Milvus Lite: a text in which filters look up what a document's metadata says.

Milvus Lite evaluates a filter on JSON row by row in Python, and one on a text in Arrow, twenty
times as fast. So a row carries, beside its metadata, a word for each thing that a filter can ask:

    <digest of ["has", field]>         for `Exists`; for a number its 64 bits follow, for `Range`
    <digest of ["is", field, value]>   for `Eq`
    <digest of ["in", field, item]>    for `Contains`

Digests are hexadecimal, so nothing that anybody wrote is ever part of a pattern. The 64 bits are
those of the nearest float, changed so that they order as the numbers do. A row that another client
has written has no terms: every filter keeps it, and it is verified.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from struct import pack, unpack
from typing import Any

from m3kit.adapters.filter_terms import EXACT, TermKind, by_value, filter_terms
from m3kit.adapters.filter_translation import FilterExpression
from m3kit.filters import Contains, Eq, Exists, Range, is_number

TERMS = "_terms"

NO_TERMS = " "
"""The terms of a document without metadata: an empty text would be another client's."""

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode


def to_terms(metadata: Mapping[str, Any]) -> str:
    """Write the terms of a document."""
    return " ".join(dict.fromkeys(_words(metadata))) or NO_TERMS


def translate_by_terms(
    where: Eq | Range | Contains | Exists, *, negates: bool
) -> FilterExpression[str]:
    """
    Translate a filter of one field, exactly for rows that have terms.

    Args:
        where: The filter.
        negates: Whether the engine knows `not`.
    """
    match where:
        case Eq(field, value):
            return FilterExpression(_like(_value_term("is", field, by_value(value))))
        case Contains(field, value):
            return FilterExpression(_like(_value_term("in", field, by_value(value))))
        case Exists(field):
            return FilterExpression(_like(_field_term(field)))
        case Range():
            return _range(where, negates=negates)


def joined(word: str, parts: list[str]) -> str:
    """Join as a balanced tree: a server reads a long chain as one that is as deep as it is long."""
    if len(parts) < 2:
        return "".join(parts)
    half = len(parts) // 2
    return f"({joined(word, parts[:half])} {word} {joined(word, parts[half:])})"


def _words(metadata: Mapping[str, Any]) -> Iterator[str]:
    for kind, field, value in filter_terms(metadata):
        if value:
            yield _value_term(kind, field, by_value(value[0]))
        elif is_number(metadata[field]):
            yield _field_term(field) + _bits(metadata[field])
        else:
            yield _field_term(field)


def _range(where: Range, *, negates: bool) -> FilterExpression[str]:
    """Compare bits; an integer beyond 2⁵³ has those of another, so such bounds are widened."""
    parts, exact = [], True
    for name, bound in where.bounds.items():
        is_lower = name in {"gt", "ge"}
        sharp = abs(bound) < EXACT
        number = float(bound)
        if not sharp:
            number = math.nextafter(number, -math.inf if is_lower else math.inf)
        if math.isinf(number):
            parts.append(_like(_field_term(where.field)))
        elif is_lower:
            parts.append(_at_least(where.field, number))
        else:
            parts.append(_at_most(where.field, number))
        if sharp and name in {"gt", "lt"} and negates:
            parts.append(f"(not {_like(_value_term('is', where.field, by_value(bound)))})")
        exact = exact and sharp and (negates or name in {"ge", "le"})
    return FilterExpression(joined("and", parts), exact=exact)


def _at_least(field: str, bound: float) -> str:
    """Find the bits that follow a common prefix with a 1 where the bound has a 0, or the bound."""
    bits = _bits(bound)
    end = len(bits.rstrip("0"))
    prefixes = [f"{bits[:n]}1" for n in range(end) if bits[n] == "0"]
    return joined("or", [_like(_field_term(field) + prefix) for prefix in [*prefixes, bits[:end]]])


def _at_most(field: str, bound: float) -> str:
    bits = _bits(bound)
    end = len(bits.rstrip("1"))
    prefixes = [f"{bits[:n]}0" for n in range(end) if bits[n] == "1"]
    return joined("or", [_like(_field_term(field) + prefix) for prefix in [*prefixes, bits[:end]]])


def _bits(number: float) -> str:
    """Spell a number as 64 binary digits that order as the numbers do."""
    (bits,) = unpack(">Q", pack(">d", float(number) + 0.0))  # -0.0 becomes 0.0
    ordered = bits ^ (2**64 - 1) if bits >> 63 else bits | 2**63
    return f"{ordered:064b}"


def _like(term: str) -> str:
    return f'{TERMS} like "%{term}%"'


@lru_cache(maxsize=4_096)
def _field_term(field: str) -> str:
    return _digest(["has", field])


@lru_cache(maxsize=4_096, typed=True)
def _value_term(kind: TermKind, field: str, value: object) -> str:
    return _digest([kind, field, value])


def _digest(parts: list[Any]) -> str:
    return blake2b(_encode(parts).encode(), digest_size=16).hexdigest()
