"""
LlamaIndex's metadata filters as m3kit's.

They mean what LlamaIndex documents for each operator. Where its documentation is silent:

- `!=`, `nin` and NOT match a node without the field, as in LlamaIndex's `SimpleVectorStore`.
- `any`, `all` and `contains` are for lists, `text_match` is for strings.
- `text_match` is case-sensitive; `text_match_insensitive` is refused.
- `<`, `<=`, `>` and `>=` compare numbers, or dates in ISO 8601 as instants.
- `loc.lines` is the field `lines` of the dict `loc`, or a key of the metadata with that name.
- `doc_id`, `ref_doc_id` and `document_id` are the id of the source document, as in LlamaIndex's
  other stores, where the metadata has no such key.
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
    Field,
    Filter,
    In,
    Not,
    Or,
    Range,
    Substring,
)
from m3kit.frameworks import dotted, in_any
from m3kit.instants import instant
from m3kit_llama_index.nodes import REF_DOC_ID, SOURCE_NAMES

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


def _comparison(condition: MetadataFilter) -> Filter:
    if condition.operator is FilterOperator.TEXT_MATCH_INSENSITIVE:
        raise ValueError(
            f"{_describe(condition)} ignores case, which no index supports; store a lower-case "
            "copy of the field and use text_match"
        )
    negated = condition.operator in (FilterOperator.NE, FilterOperator.NIN, FilterOperator.IS_EMPTY)
    fields = dotted(condition.key)
    where = in_any(fields, lambda field: _leaf(condition, field))
    if condition.key in SOURCE_NAMES:
        by_source = And((Not(Exists(condition.key)), _leaf(condition, REF_DOC_ID)))
        where = Or((where, by_source))
    return Not(where) if negated else where


def _leaf(condition: MetadataFilter, field: Field) -> Filter:
    """Compare one field; of a negated operator, this is what is negated."""
    match condition.operator:
        case FilterOperator.EQ | FilterOperator.NE:
            return Eq(field, _scalar(condition))
        case FilterOperator.GT:
            return Range(field, gt=_bound(condition))
        case FilterOperator.GTE:
            return Range(field, ge=_bound(condition))
        case FilterOperator.LT:
            return Range(field, lt=_bound(condition))
        case FilterOperator.LTE:
            return Range(field, le=_bound(condition))
        case FilterOperator.IN | FilterOperator.NIN:
            return In(field, _list(condition))
        case FilterOperator.ANY:
            return Or(tuple(Contains(field, value) for value in _list(condition)))
        case FilterOperator.ALL:
            return And(tuple(Contains(field, value) for value in _non_empty_list(condition)))
        case FilterOperator.CONTAINS:
            return Contains(field, _scalar(condition))
        case FilterOperator.IS_EMPTY:
            return Exists(field)
        case FilterOperator.TEXT_MATCH:
            return Substring(field, _text(condition))
        case _:
            raise ValueError(f"{_describe(condition)} has no counterpart")


def _scalar(condition: MetadataFilter) -> _Scalar:
    if condition.value is None:
        raise TypeError(f"{_describe(condition)} has no value; for a missing field use is_empty")
    if isinstance(condition.value, list):
        raise TypeError(
            f"{_describe(condition)} takes a single value; for a list use in, any or all"
        )
    return condition.value


def _bound(condition: MetadataFilter) -> float | str:
    value = condition.value
    if isinstance(value, str) and instant(value) is not None:
        return value
    if not isinstance(value, int | float):
        raise TypeError(f"{_describe(condition)} takes a number, or a date as 2024-03-01")
    return value


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
