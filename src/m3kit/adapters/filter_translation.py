"""Translating filters into an engine's words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from m3kit.filters import All, And, Filter, Leaf, Not, Or

_T = TypeVar("_T")

MAX_DEPTH = 32
"""
How deep `And`, `Or` and `Not` may alternate, in every engine.

Protobuf reads 100 messages, two or three for each level; servers read JSON of 128 levels; and
neither Edge's stack nor Vespa's parser is endless.
"""


@dataclass(frozen=True, slots=True)
class FilterExpression(Generic[_T]):
    """
    A filter in an engine's words, and how far they can be relied on.

    Args:
        expression: Keeps at least the documents that the filter keeps.
        exact: Whether it keeps no others. What an inexact expression keeps is verified by
            `m3kit.matches` before anything is returned, counted or deleted.
        definite: Whether the engine finds it true or false of every document, so that its negation
            keeps exactly the rest. An engine with unknown values has expressions that are exact
            and not definite.
    """

    expression: _T
    exact: bool = True
    definite: bool = True


def translate(
    where: Filter,
    *,
    leaf: Callable[[Leaf], FilterExpression[_T]],
    all_of: Callable[[Sequence[_T]], _T],
    any_of: Callable[[Sequence[_T]], _T],
    negate: Callable[[_T], _T] | None,
) -> FilterExpression[_T]:
    """
    Translate a filter, from its leaves up.

    The negation of what is inexact cannot be expressed: it becomes an inexact "everything".

    Args:
        where: The filter.
        leaf: Translates a filter that holds no other.
        all_of: The conjunction of expressions; of none it keeps everything.
        any_of: The disjunction of expressions; of none it keeps nothing.
        negate: The negation of an expression; None for an engine that has none.

    Raises:
        ValueError: If `And`, `Or` and `Not` alternate more than `MAX_DEPTH` levels deep.
    """

    def joined(
        parts: Iterable[Filter], join: Callable[[Sequence[_T]], _T], depth: int
    ) -> FilterExpression[_T]:
        expressions = [visit(part, depth + 1) for part in parts]
        return FilterExpression(
            join([part.expression for part in expressions]),
            exact=all(part.exact for part in expressions),
            definite=all(part.definite for part in expressions),
        )

    def visit(part: Filter, depth: int) -> FilterExpression[_T]:
        if depth > MAX_DEPTH:
            raise ValueError(f"this filter nests And, Or and Not deeper than {MAX_DEPTH} levels")
        match part:
            case All():
                return FilterExpression(all_of([]))
            case And(of):
                return joined(flattened(of, And), all_of, depth)
            case Or(of):
                return joined(flattened(of, Or), any_of, depth)
            case Not(of):
                inner = visit(of, depth + 1)
                if negate is None or not (inner.exact and inner.definite):
                    return FilterExpression(all_of([]), exact=False)
                return FilterExpression(negate(inner.expression))
            case _:
                return leaf(part)

    return visit(where, 0)


def flattened(of: Iterable[Filter], kind: type[And | Or]) -> Iterator[Filter]:
    """Flatten an `And` of `And`s, or an `Or` of `Or`s, however deep it nests."""
    stack = [*of][::-1]
    while stack:
        part = stack.pop()
        if isinstance(part, kind):
            stack.extend(part.of[::-1])
        else:
            yield part
