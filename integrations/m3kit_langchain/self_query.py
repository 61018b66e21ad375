"""What an LLM makes of a question, for LangChain's `SelfQueryRetriever`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.structured_query import (
    Comparator,
    Comparison,
    Operation,
    Operator,
    StructuredQuery,
    Visitor,
)

from m3kit.filters import And, Filter, Not, Or
from m3kit_langchain.filters import to_filter


class M3Translator(Visitor):
    """
    Translates structured queries into filters of m3kit.

        SelfQueryRetriever.from_llm(
            llm, store, "Papers", fields, structured_query_translator=M3Translator()
        )

    Dates and times compare as instants. `contain` matches a list with this element and a string
    with this text in it; `like` a string with the text between the signs `%`.
    """

    allowed_comparators = tuple(Comparator)
    allowed_operators = tuple(Operator)

    def visit_operation(self, operation: Operation) -> Filter:
        """
        Translate an operation.

        `not` of several is what none of them matches.
        """
        operands = tuple(argument.accept(self) for argument in operation.arguments)
        match operation.operator:
            case Operator.AND:
                return And(operands)
            case Operator.OR:
                return Or(operands)
            case Operator.NOT:
                return Not(operands[0] if len(operands) == 1 else Or(operands))

    def visit_comparison(self, comparison: Comparison) -> Filter:
        """
        Translate a comparison.

        Raises:
            ValueError: If a pattern of `like` has a `%` within.
        """
        name, value = comparison.attribute, _plain(comparison.value)
        is_date = isinstance(comparison.value, Mapping)
        match comparison.comparator:
            case Comparator.EQ | Comparator.NE if is_date:
                same = to_filter({name: {"$between": [value, value]}})
                return Not(same) if comparison.comparator is Comparator.NE else same
            case Comparator.LIKE:
                return to_filter({name: {"$substring": _text(value)}})
            case Comparator.CONTAIN:
                contains = to_filter({name: {"$contains": value}})
                if not isinstance(value, str):
                    return contains
                return Or((contains, to_filter({name: {"$substring": value}})))
            case comparator:
                return to_filter({name: {f"${comparator.value}": value}})

    def visit_structured_query(
        self, structured_query: StructuredQuery
    ) -> tuple[str, dict[str, Any]]:
        """Return the text to search for, and the options of the search."""
        if structured_query.filter is None:
            return structured_query.query, {}
        return structured_query.query, {"filter": structured_query.filter.accept(self)}


def _plain(value: Any) -> Any:
    """Return a date as its text; LangChain's parser makes a dict of it."""
    if isinstance(value, Mapping):
        return value.get("datetime", value.get("date"))
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _text(pattern: Any) -> str:
    text = str(pattern).strip("%")
    if "%" in text:
        raise ValueError(f"like finds a text within a field, and {pattern!r} has a % within")
    return text
