"""Filters in the words of `qdrant_edge`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import qdrant_edge as edge

from m3kit_qdrant.engine import Condition


def to_edge(where: Condition) -> edge.Filter:
    """
    Translate a filter into the binding's classes.

    Raises:
        ValueError: If it has a condition that is not known here.
    """
    return edge.Filter(must=[_condition(where)])


def _condition(where: Condition) -> edge.ConditionType:
    match where:
        case {"has_id": ids, **rest} if not rest:
            return edge.HasIdCondition(set(ids))
        case {"is_empty": {"key": key}, **rest} if not rest:
            return edge.IsEmptyCondition(key)
        case {"key": key, "match": {"any": values}, **rest} if not rest:
            return edge.FieldCondition(key, match=edge.MatchAny(values))
        case {"key": key, "match": {"value": bool(flag)}, **rest} if not rest:
            # The binding takes Python's True for the integer 1, and NumPy's for what it is.
            return edge.FieldCondition(key, match=edge.MatchValue(np.bool_(flag)))  # type: ignore[arg-type]
        case {"key": key, "match": {"value": value}, **rest} if not rest:
            return edge.FieldCondition(key, match=edge.MatchValue(value))
        case {"key": key, "match": {"substring": text}, **rest} if not rest:
            return edge.FieldCondition(key, match=edge.MatchSubstring(text))
        case {"key": key, "range": bounds, **rest} if not rest and _are_dates(bounds):
            return edge.FieldCondition(key, range=edge.RangeDateTime(**bounds))
        case {"key": key, "range": bounds, **rest} if not rest:
            return edge.FieldCondition(key, range=edge.RangeFloat(**bounds))
        case _ if where and where.keys() <= {"must", "should", "must_not"}:
            return edge.Filter(
                must=[*map(_condition, where.get("must", ()))],
                should=[*map(_condition, where["should"])] if "should" in where else None,
                must_not=[*map(_condition, where.get("must_not", ()))],
            )
        case _:
            raise ValueError(f"Qdrant Edge is given no condition such as {where!r}")


def _are_dates(bounds: Mapping[str, object]) -> bool:
    return all(isinstance(bound, str) for bound in bounds.values())
