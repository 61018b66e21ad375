"""
The field `_terms` of Milvus Lite: a text in which filters look up what a document's metadata says.

Milvus Lite evaluates a filter on JSON row by row in Python, and one on a text in Arrow, twenty
times as fast. So a row carries, beside its metadata, a word for each thing that a filter can ask:

    <digest of ["has", field]>         for `Exists`; for a number its 64 bits follow, for `Range`
    <digest of ["at", field]>          for a `Range` of dates; the 64 bits of the instant follow
    <digest of ["is", field, value]>   for `Eq`
    <digest of ["in", field, item]>    for `Contains`

Digests are hexadecimal, so nothing that anybody wrote is ever part of a pattern. The 64 bits are
those of the nearest float, changed so that they order as the numbers do. A row that another client
has written has no terms, nor has one whose terms would be too long: every filter keeps it, and the
core verifies it.
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
from m3kit.filters import Contains, Eq, Exists, Field, Range, is_number
from m3kit.instants import instant

TERMS = "_terms"

NO_TERMS = " "
"""The terms of a document without metadata: an empty text would be another client's."""

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode


def to_terms(metadata: Mapping[str, Any], *, max_bytes: int = 65_535) -> str:
    """Write the terms of a document; those of one that has too many are left to verification."""
    terms = " ".join(dict.fromkeys(_words(metadata))) or NO_TERMS
    return terms if len(terms) <= max_bytes else ""


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
        case Range() if where.instants:
            return _date_range(where)
        case Range():
            return _range(where, negates=negates)


def joined(word: str, parts: list[str]) -> str:
    """Join as a balanced tree: a server reads a long chain as one that is as deep as it is long."""
    if len(parts) < 2:
        return "".join(parts)
    half = len(parts) // 2
    return f"({joined(word, parts[:half])} {word} {joined(word, parts[half:])})"


def _words(metadata: Mapping[str, Any]) -> Iterator[str]:
    for term in filter_terms(metadata):
        if term.kind != "has":
            yield _value_term(term.kind, term.field, by_value(term.value))
        elif is_number(term.value):
            yield _field_term(term.field) + _bits(term.value)
        else:
            yield _field_term(term.field)
            moment = instant(term.value) if isinstance(term.value, str) else None
            if moment is not None:
                yield _date_term(term.field) + _bits_of_instant(moment)


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
        else:
            parts.append(_compared(_field_term(where.field), _bits(number), above=is_lower))
        if sharp and name in {"gt", "lt"} and negates:
            parts.append(f"(not {_like(_value_term('is', where.field, by_value(bound)))})")
        exact = exact and sharp and (negates or name in {"ge", "le"})
    return FilterExpression(joined("and", parts), exact=exact)


def _date_range(where: Range) -> FilterExpression[str]:
    """Compare the bits of instants, which are integers: a strict bound is the next one."""
    parts = []
    for name, bound in where.instants.items():
        above, next_ = name in {"gt", "ge"}, name in {"gt", "lt"}
        bits = _bits_of_instant(bound + (next_ if above else -next_))
        parts.append(_compared(_date_term(where.field), bits, above=above))
    return FilterExpression(joined("and", parts))


def _compared(term: str, bits: str, *, above: bool) -> str:
    """
    Find what is at least the bound, or at most.

    That is the bits which follow a common prefix with a 1 where the bound has a 0, or the bound.
    """
    lesser, greater = ("0", "1") if above else ("1", "0")
    end = len(bits.rstrip(lesser))
    prefixes = [f"{bits[:n]}{greater}" for n in range(end) if bits[n] == lesser]
    return joined("or", [_like(term + prefix) for prefix in [*prefixes, bits[:end]]])


def _bits(number: float) -> str:
    """Spell a number as 64 binary digits that order as the numbers do."""
    (bits,) = unpack(">Q", pack(">d", float(number) + 0.0))  # -0.0 becomes 0.0
    ordered = bits ^ (2**64 - 1) if bits >> 63 else bits | 2**63
    return f"{ordered:064b}"


def _like(term: str) -> str:
    return f'{TERMS} like "%{term}%"'


def _bits_of_instant(moment: int) -> str:
    return f"{moment + 2**63:064b}"


@lru_cache(maxsize=4_096)
def _field_term(field: Field) -> str:
    return _digest(["has", field])


@lru_cache(maxsize=4_096)
def _date_term(field: Field) -> str:
    return _digest(["at", field])


@lru_cache(maxsize=4_096, typed=True)
def _value_term(kind: TermKind, field: Field, value: object) -> str:
    return _digest([kind, field, value])


def _digest(parts: list[Any]) -> str:
    return blake2b(_encode(parts).encode(), digest_size=16).hexdigest()
