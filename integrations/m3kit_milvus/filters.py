"""Filters in Milvus's words, over the fields that `payload.py` writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import assert_never

from m3kit.adapters.filter_terms import order
from m3kit.filters import (
    All,
    And,
    Contains,
    Eq,
    Exists,
    Filter,
    Ids,
    In,
    Leaf,
    Not,
    Or,
    Range,
    Substring,
    Value,
    folded,
)
from m3kit_milvus.payload import PARTITION, TermsType, fact, key, letters, term

EVERYTHING = 'key != ""'
NOTHING = 'key == ""'

DEEPEST = 32
"""An expression's tree may be as deep as protobuf reads, 100 messages, two for each level."""


def to_milvus(where: Filter, terms_type: TermsType, partition_key: str | None = None) -> str:
    """
    Translate a filter; Milvus keeps exactly what `m3kit.filters.matches` keeps.

    What compares a dynamic field first asks whether the document has it, since to compare a missing
    one is neither true nor false, and neither would its `not` be.

    Args:
        where: The filter.
        terms_type: How terms are kept.
        partition_key: The field of the metadata that the collection is divided by.

    Raises:
        ValueError: If `And`, `Or` and `Not` alternate more than `DEEPEST` levels deep.
    """
    return folded(
        where,
        leaf=_Translator(terms_type, partition_key).leaf,
        every=lambda parts: joined("and", parts) or EVERYTHING,
        some=lambda parts: joined("or", parts) or NOTHING,
        none=lambda part: f"(not {part})",
        deepest=DEEPEST,
    )


def positive(where: Filter) -> Filter:
    """Widen a filter until there is no `Not` in it."""
    match where:
        case Not():
            return All()
        case And(of):
            return And(tuple(map(positive, of)))
        case Or(of):
            return Or(tuple(map(positive, of)))
        case _:
            return where


def has(ids: Iterable[str]) -> str:
    """Keep the documents of these ids."""
    return has_keys([key(id_) for id_ in ids])


def has_keys(keys: Sequence[str]) -> str:
    """Keep the rows of these keys, each named once: Milvus Lite gives a row for every name."""
    return f"key in {json.dumps(list(dict.fromkeys(keys)))}" if keys else NOTHING


@dataclass(frozen=True, slots=True)
class _Translator:
    terms_type: TermsType
    partition_key: str | None

    def leaf(self, where: Leaf) -> str:
        match where:
            case Eq(field, value):
                return self._is(field, value)
            case In(field, values):
                return self._is(field, *values)
            case Range(field=field):
                return f"({self._says(term('number', field))} and {_within(where)})"
            case Contains(field, value):
                return self._says(term("in", field, value))
            case Exists(field):
                return self._says(term("has", field))
            case Substring(field, text):
                sought = f'{_meta(fact(field, "S"))} like "%{letters(text)}%"'
                return f"({self._says(term('string', field))} and {sought})"
            case Ids(ids):
                return has(ids)
            case _:
                assert_never(where)

    def _is(self, field: str, *values: Value) -> str:
        terms = [term("is", field, value) for value in values]
        if terms and field == self.partition_key:
            return f"{PARTITION} in {json.dumps(terms)}"
        return self._says(*terms)

    def _says(self, *terms: str) -> str:
        if not terms:
            return NOTHING
        if self.terms_type == "array":
            return f"array_contains_any(terms, {json.dumps(terms)})"
        return joined("or", [f'terms like "%{one}%"' for one in dict.fromkeys(terms)])


def _within(where: Range) -> str:
    given = {">": where.gt, ">=": where.ge, "<": where.lt, "<=": where.le}
    bounds = [
        _bound(where.field, operator, bound)
        for operator, bound in given.items()
        if bound is not None
    ]
    return joined("and", bounds)


def _bound(field: str, operator: str, bound: float) -> str:
    """Compare the first halves, and the second where the first are equal."""
    high, low = _meta(fact(field, "H")), _meta(fact(field, "L"))
    first, second = order(bound)
    return f"({high} {operator[0]} {first} or ({high} == {first} and {low} {operator} {second}))"


def _meta(name: str) -> str:
    return f'$meta["{name}"]'


def joined(word: str, parts: Sequence[str]) -> str:
    """Join as a balanced tree: a server reads a long chain as one that is as deep as it is long."""
    if len(parts) < 2:
        return "".join(parts)
    half = len(parts) // 2
    return f"({joined(word, parts[:half])} {word} {joined(word, parts[half:])})"
