"""
LlamaIndex's metadata filters as m3kit's.

They mean what LlamaIndex documents for each operator, with these choices where it leaves one:

- `!=` and `nin` keep a node without the field, and so does NOT, as in LlamaIndex's own store.
- `any`, `all` and `contains` look into lists, `text_match` into strings.
- `text_match` tells upper and lower case apart; its insensitive twin is refused.
- `<`, `<=`, `>` and `>=` compare numbers.
- NOT of several filters keeps what none of them keeps; of no filters, everything is kept.

LlamaIndex's filters have no booleans: pydantic refuses them before they come here.
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
        ValueError: If an operator has no counterpart; it is named.
        TypeError: If a value is not one that its operator compares with.
    """
    of = tuple(
        to_filter(one) if isinstance(one, MetadataFilters) else _compared(one)
        for one in filters.filters
    )
    if not of:
        return All()
    match filters.condition:
        case FilterCondition.AND | None:
            return And(of)
        case FilterCondition.OR:
            return Or(of)
        case FilterCondition.NOT:
            return Not(Or(of))
        case _:
            assert_never(filters.condition)


def says_nothing(filters: MetadataFilters) -> bool:
    """Tell whether there is no comparison in these filters, so that they keep everything."""
    return all(isinstance(one, MetadataFilters) and says_nothing(one) for one in filters.filters)


def _compared(one: MetadataFilter) -> Filter:  # noqa: C901, PLR0912  # a case each
    match one.operator:
        case FilterOperator.EQ:
            return Eq(one.key, _scalar(one))
        case FilterOperator.NE:
            return Not(Eq(one.key, _scalar(one)))
        case FilterOperator.GT:
            return Range(one.key, gt=_number(one))
        case FilterOperator.GTE:
            return Range(one.key, ge=_number(one))
        case FilterOperator.LT:
            return Range(one.key, lt=_number(one))
        case FilterOperator.LTE:
            return Range(one.key, le=_number(one))
        case FilterOperator.IN:
            return In(one.key, _list(one))
        case FilterOperator.NIN:
            return Not(In(one.key, _list(one)))
        case FilterOperator.ANY:
            return Or(tuple(Contains(one.key, value) for value in _list(one)))
        case FilterOperator.ALL:
            return And(tuple(Contains(one.key, value) for value in _some(one)))
        case FilterOperator.CONTAINS:
            return Contains(one.key, _scalar(one))
        case FilterOperator.IS_EMPTY:
            return Not(Exists(one.key))
        case FilterOperator.TEXT_MATCH:
            return Substring(one.key, _text(one))
        case FilterOperator.TEXT_MATCH_INSENSITIVE:
            raise ValueError(
                f"{_said(one)} would compare without regard to case, which no index does; keep a "
                "lower-case copy of the field and say text_match"
            )
        case _:
            assert_never(one.operator)


def _scalar(one: MetadataFilter) -> _Scalar:
    if one.value is None:
        raise TypeError(f"{_said(one)} compares with nothing; for a missing field say is_empty")
    if isinstance(one.value, list):
        raise TypeError(f"{_said(one)} compares with one value; for several say in, any or all")
    return one.value


def _number(one: MetadataFilter) -> float:
    if not isinstance(one.value, int | float):
        raise TypeError(f"{_said(one)} compares no number, and ranges compare numbers")
    return one.value


def _text(one: MetadataFilter) -> str:
    if not isinstance(one.value, str):
        raise TypeError(f"{_said(one)} looks for no string")
    return one.value


def _list(one: MetadataFilter) -> tuple[_Scalar, ...]:
    if not isinstance(one.value, list):
        raise TypeError(f"{_said(one)} takes a list of values")
    return tuple(one.value)


def _some(one: MetadataFilter) -> tuple[_Scalar, ...]:
    if not (values := _list(one)):
        raise ValueError(f"{_said(one)} asks for all of nothing, which every node has")
    return values


def _said(one: MetadataFilter) -> str:
    return f"the filter {one.key!r} {one.operator.value} {one.value!r}"
