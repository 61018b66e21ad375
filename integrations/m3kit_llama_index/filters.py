"""
LlamaIndex's metadata filters as m3kit's.

They mean what LlamaIndex documents for each operator. Where its documentation is silent:

- `!=`, `nin` and NOT match a node without the field, as in LlamaIndex's `SimpleVectorStore`.
- `any`, `all` and `contains` are for lists, `text_match` is for strings.
- `text_match` is case-sensitive; `text_match_insensitive` is refused.
- `<`, `<=`, `>` and `>=` compare numbers.
- NOT of several filters matches what none of them matches. No filters match everything.

LlamaIndex's filters have no booleans: pydantic refuses them first.
"""

from __future__ import annotations

from typing import TypeAlias, assert_never

from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from m3kit.filters import (
    All,
    And,
    Contains,
    Eq,
    Exists,
    Filter,
    In,
    Not,
    Or,
    Range,
    Substring,
)

_Scalar: TypeAlias = str | int | float


def to_filter(filters: MetadataFilters) -> Filter:
    """
    Translate filters, nested ones too.

    Raises:
        ValueError: If an operator has no counterpart; the error names it.
        TypeError: If a value has a type that its operator does not take.
    """
    operands = tuple(
        to_filter(operand) if isinstance(operand, MetadataFilters) else _comparison(operand)
        for operand in filters.filters
    )
    if not operands:
        return All()
    match filters.condition:
        case FilterCondition.AND | None:
            return And(operands)
        case FilterCondition.OR:
            return Or(operands)
        case FilterCondition.NOT:
            return Not(Or(operands))
        case _:
            assert_never(filters.condition)


def is_empty(filters: MetadataFilters) -> bool:
    """Tell whether the filters contain no comparison, so that they match everything."""
    return all(
        isinstance(operand, MetadataFilters) and is_empty(operand) for operand in filters.filters
    )


def _comparison(condition: MetadataFilter) -> Filter:  # noqa: C901, PLR0912  # a case each
    match condition.operator:
        case FilterOperator.EQ:
            return Eq(condition.key, _scalar(condition))
        case FilterOperator.NE:
            return Not(Eq(condition.key, _scalar(condition)))
        case FilterOperator.GT:
            return Range(condition.key, gt=_number(condition))
        case FilterOperator.GTE:
            return Range(condition.key, ge=_number(condition))
        case FilterOperator.LT:
            return Range(condition.key, lt=_number(condition))
        case FilterOperator.LTE:
            return Range(condition.key, le=_number(condition))
        case FilterOperator.IN:
            return In(condition.key, _list(condition))
        case FilterOperator.NIN:
            return Not(In(condition.key, _list(condition)))
        case FilterOperator.ANY:
            return Or(tuple(Contains(condition.key, value) for value in _list(condition)))
        case FilterOperator.ALL:
            return And(
                tuple(Contains(condition.key, value) for value in _non_empty_list(condition))
            )
        case FilterOperator.CONTAINS:
            return Contains(condition.key, _scalar(condition))
        case FilterOperator.IS_EMPTY:
            return Not(Exists(condition.key))
        case FilterOperator.TEXT_MATCH:
            return Substring(condition.key, _text(condition))
        case FilterOperator.TEXT_MATCH_INSENSITIVE:
            raise ValueError(
                f"{_describe(condition)} ignores case, which no index supports; store a lower-case "
                "copy of the field and use text_match"
            )
        case _:
            assert_never(condition.operator)


def _scalar(condition: MetadataFilter) -> _Scalar:
    if condition.value is None:
        raise TypeError(f"{_describe(condition)} has no value; for a missing field use is_empty")
    if isinstance(condition.value, list):
        raise TypeError(
            f"{_describe(condition)} takes a single value; for a list use in, any or all"
        )
    return condition.value


def _number(condition: MetadataFilter) -> float:
    if not isinstance(condition.value, int | float):
        raise TypeError(f"{_describe(condition)} takes a number")
    return condition.value


def _text(condition: MetadataFilter) -> str:
    if not isinstance(condition.value, str):
        raise TypeError(f"{_describe(condition)} takes a string")
    return condition.value


def _list(condition: MetadataFilter) -> tuple[_Scalar, ...]:
    if not isinstance(condition.value, list):
        raise TypeError(f"{_describe(condition)} takes a list of values")
    return tuple(condition.value)


def _non_empty_list(condition: MetadataFilter) -> tuple[_Scalar, ...]:
    if not (values := _list(condition)):
        raise ValueError(
            f"{_describe(condition)} takes at least one value: every node matches all of none"
        )
    return values


def _describe(condition: MetadataFilter) -> str:
    return f"the filter {condition.key!r} {condition.operator.value} {condition.value!r}"
