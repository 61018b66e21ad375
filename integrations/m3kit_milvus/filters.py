"""
Filters in Milvus's words.

An engine's own comparisons come near `m3kit.matches`, and not always there: Milvus Lite takes
`true` for 1, knows no escape in `like`, and a comparison of what cannot be compared is neither true
nor false, so that its `not` is not the rest. So each expression says whether it is exact and
definite; the core verifies what an inexact one keeps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never

from m3kit.adapters.filter_terms import EXACT
from m3kit.adapters.filter_translation import FilterExpression, translate
from m3kit.filters import (
    Contains,
    Eq,
    Exists,
    Field,
    Filter,
    Ids,
    In,
    Leaf,
    Range,
    Substring,
    Value,
    is_number,
)
from m3kit_milvus.client import Engine
from m3kit_milvus.scalars import FieldFilter, Scalar, like, quoted, translate_scalar
from m3kit_milvus.terms import TERMS, joined, translate_by_terms

MAX_DEPTH = 32
"""An expression's tree may be as deep as protobuf reads, 100 messages, two for each level."""

STRICTLY_TYPED: frozenset[Engine] = frozenset({"server"})
"""Engines that tell True from 1."""

_SYMBOLS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


@dataclass(frozen=True, slots=True)
class Path:
    """
    A place in a JSON, which may hold anything.

    Args:
        text: How it is named.
        lists: Whether the engine looks into lists there.
    """

    text: str
    lists: bool


Place: TypeAlias = Path | Scalar | Literal["nowhere", "unknown"]
"""Where a field of the metadata is; `unknown`: where no filter of the engine reaches."""


@dataclass(frozen=True, slots=True)
class FilterTranslator:
    """
    Translates filters for one collection.

    Args:
        place: Tells where a field of the metadata lies.
        ids: Keeps the documents of given ids.
        everything: Keeps all rows.
        nothing: Keeps none.
        engine: What evaluates it.
        is_typed: Whether that tells True from 1.
        has_terms: Whether rows have the field `_terms`.
        partition_key: The field of the metadata by which the collection is partitioned.
        partition: Keeps the partition of a value of that field.
    """

    place: Callable[[Field], Place]
    ids: Callable[[Sequence[str]], str]
    everything: str
    nothing: str
    engine: Engine
    is_typed: bool
    has_terms: bool
    partition_key: str | None
    partition: Callable[[Value], str]

    def translate(self, where: Filter) -> FilterExpression[str]:
        """
        Translate a filter.

        Raises:
            ValueError: If `And`, `Or` and `Not` alternate more than `MAX_DEPTH` levels deep.
        """
        by_terms = False

        def leaf(part: Leaf) -> FilterExpression[str]:
            nonlocal by_terms
            by_terms |= self.has_terms and not isinstance(part, Ids | Substring)
            return self._leaf(part)

        expression = translate(
            where,
            leaf=leaf,
            all_of=lambda parts: joined("and", [*parts]) or self.everything,
            any_of=lambda parts: joined("or", [*parts]) or self.nothing,
            negate=None if self.engine == "core" else lambda part: f"(not {part})",
            max_depth=MAX_DEPTH,
        )
        if not by_terms:
            return expression
        return FilterExpression(f'({expression.expression} or {TERMS} == "")', exact=False)

    def _leaf(self, where: Leaf) -> FilterExpression[str]:
        match where:
            case Ids(ids):
                return FilterExpression(self.ids(ids))
            case In(field, values):
                parts = [self._eq(Eq(field, value)) for value in values]
                return FilterExpression(
                    joined("or", [part.expression for part in parts]) or self.nothing,
                    exact=all(part.exact for part in parts),
                    definite=all(part.definite for part in parts),
                )
            case Eq():
                return self._eq(where)
            case _:
                return self._field(where)

    def _eq(self, where: Eq) -> FilterExpression[str]:
        translated = self._field(where)
        if where.field != self.partition_key:
            return translated
        both = f"({self.partition(where.value)} and {translated.expression})"
        return FilterExpression(both, translated.exact, translated.definite)

    def _field(self, where: FieldFilter) -> FilterExpression[str]:
        if self.has_terms and not isinstance(where, Substring):
            return translate_by_terms(where, negates=self.engine != "core")
        match self.place(where.field):
            case "nowhere":
                return FilterExpression(self.nothing)
            case "unknown":
                return FilterExpression(self.everything, exact=False)
            case Scalar() as scalar:
                translated = translate_scalar(scalar, where)
                if translated is None:
                    return FilterExpression(self.nothing)
                return translated if translated.expression else FilterExpression(self.everything)
            case Path() as path:
                return _JsonTranslator(path, self.is_typed).translate(where)


@dataclass(frozen=True, slots=True)
class _JsonTranslator:
    """
    Translates filters of one place in a JSON.

    Args:
        path: The place.
        is_typed: Whether the engine tells True from 1.
    """

    path: Path
    is_typed: bool

    def translate(self, where: FieldFilter) -> FilterExpression[str]:
        text = self.path.text
        is_there = f"exists {text}"
        match where:
            case Eq(field, value) if is_number(value) and abs(value) >= EXACT:
                return self.translate(Range(field, ge=value, le=value))
            case Eq(_, value):
                equal = f"({is_there} and {text} == {_literal(value)})"
                return FilterExpression(equal, self._is_exact(value))
            case Range():
                return self._range(where)
            case Contains(_, value):
                return self._contains(value)
            case Exists():
                return FilterExpression(is_there, exact=False)  # an empty list is there
            case Substring(_, part):
                pattern, exact = like(part)
                return FilterExpression(f"({is_there} and {text} like {pattern})", exact)
            case _:
                assert_never(where)

    def _range(self, where: Range) -> FilterExpression[str]:
        if where.instants:  # which no engine reads
            return FilterExpression(f"exists {self.path.text}", exact=False)
        compared = [
            f"{self.path.text} {bound}"
            for name, number in where.bounds.items()
            if (bound := _bound(name, number))
        ]
        exact = all(abs(bound) < EXACT for bound in where.bounds.values()) and (
            self.is_typed or not (where.covers(0) or where.covers(1))
        )
        text = f"({joined('and', [f'exists {self.path.text}', *compared])})"
        return FilterExpression(text, exact, definite=False)

    def _contains(self, value: Value) -> FilterExpression[str]:
        text = self.path.text
        if not self.path.lists or (is_number(value) and abs(value) >= EXACT):
            return FilterExpression(f"exists {text}", exact=False)
        literals = {_literal(value)}
        if is_number(value) and self.is_typed:  # a server looks for an integer, or for a float
            literals.add(repr(float(value)))
        contains = f"json_contains_any({text}, [{', '.join(sorted(literals))}])"
        is_list = f'not ({text} like "%")'  # Milvus Lite reads a list in a string, too
        return FilterExpression(
            f"(exists {text} and {contains} and {is_list})", self._is_exact(value)
        )

    def _is_exact(self, value: Value) -> bool:
        """Tell whether the engine takes nothing else for this value."""
        if isinstance(value, bool):
            return self.is_typed
        return self.is_typed or value not in (0, 1)


def _bound(name: str, bound: float) -> str:
    """Return a comparison; where integers are not floats, with the next float beyond."""
    symbol = _SYMBOLS[name]
    if abs(bound) < EXACT:
        return f"{symbol} {bound!r}"
    wide = math.nextafter(float(bound), -math.inf if symbol[0] == ">" else math.inf)
    return f"{symbol[0]}= {wide!r}" if math.isfinite(wide) else ""


def _literal(value: Value) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value)
        case _:
            return repr(value)
