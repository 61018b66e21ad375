"""
Filters in Qdrant's words, once for both engines.

What comes out is a condition in the JSON form of Qdrant's REST interface, and each engine reads it
in its own classes. `to_qdrant` speaks of the fields that `payload.py` writes; `plain.py` speaks of
the payloads of others.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection
from typing import Any, TypeAlias, assert_never

from m3kit.adapters.filter_terms import EXACT, ROUND, order
from m3kit.filters import (
    Contains,
    Eq,
    Exists,
    Filter,
    Ids,
    In,
    Leaf,
    Range,
    Substring,
    folded,
)
from m3kit_qdrant.payload import path_to, point_id, term

Condition: TypeAlias = dict[str, Any]

NOTHING: Condition = {"has_id": []}
EVERYTHING: Condition = {"must_not": [NOTHING]}

COMPARES = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}
"""The bounds of a range in Qdrant's words."""

DEEPEST = 32
"""Servers read JSON of 128 levels and gRPC messages of 100, and Edge's stack is not endless."""


def to_qdrant(where: Filter, keywords: Collection[str] = ()) -> Condition:
    """
    Translate a filter; the engines keep exactly what `m3kit.filters.matches` keeps.

    Args:
        where: The filter.
        keywords: FieldNames with a keyword index of their own, where equal strings are looked up.

    Raises:
        ValueError: If `And`, `Or` and `Not` alternate more than `DEEPEST` levels deep.
    """
    return combined(where, lambda leaf: _leaf(leaf, keywords))


def combined(where: Filter, leaf: Callable[[Leaf], Condition]) -> Condition:
    """
    Translate what holds other filters, and by `leaf` what holds none.

    Raises:
        ValueError: As `to_qdrant` says.
    """
    return folded(
        where,
        leaf=leaf,
        every=lambda parts: {"must": [*parts]} if parts else EVERYTHING,
        some=lambda parts: {"should": [*parts]} if parts else NOTHING,
        none=lambda part: {"must_not": [part]},
        deepest=DEEPEST,
    )


def _leaf(where: Leaf, keywords: Collection[str]) -> Condition:
    match where:
        case Eq(field, str(value)) if field in keywords:
            return {"key": path_to("strings", field), "match": {"value": value}}
        case Eq(field, value):
            return _says(term("is", field, value))
        case In(field, values):
            return _says(*(term("is", field, value) for value in values))
        case Range():
            return _within(where)
        case Contains(field, value):
            return _says(term("in", field, value))
        case Exists(field):
            return _says(term("has", field))
        case Substring(field, text):
            return {"key": path_to("strings", field), "match": {"substring": text}}
        case Ids(ids):
            return {"has_id": [point_id(id_) for id_ in ids]}
        case _:
            assert_never(where)


def _says(*terms: str) -> Condition:
    return {"key": "terms", "match": {"any": list(terms)}} if terms else NOTHING


def _within(where: Range) -> Condition:
    """Compare the first integers alone where they decide: that is one look at a payload."""
    number, rest = path_to("numbers", where.field), path_to("rests", where.field)
    given = {"gt": where.gt, "gte": where.ge, "lt": where.lt, "lte": where.le}
    firsts: dict[str, float] = {}
    wholes: list[Condition] = []
    for name, bound in given.items():
        if bound is not None:
            high, low = order(bound)
            if name in {"gte", "lt"} and low == ROUND and abs(bound) < EXACT:
                firsts[name] = high
            else:
                beyond = {"key": number, "range": {name[:2]: high}}
                equal = {"key": number, "match": {"value": high}}
                wholes.append({"should": [beyond, {"must": [equal, _rest(rest, name, low)]}]})
    return {"must": [*([{"key": number, "range": firsts}] if firsts else []), *wholes]}


def _rest(key: str, name: str, low: int) -> Condition:
    """Compare the second integer, which is `ROUND` where there is none."""
    own: Condition = {"key": key, "range": {name: low}}
    return {"should": [own, {"is_empty": {"key": key}}]} if COMPARES[name](ROUND, low) else own
