"""
Filters as JSON, for requests that come over a wire: data, never code.

    {"op": "eq", "field": "lang", "value": "de"}
    {"op": "range", "field": ["loc", "page"], "ge": 3, "lt": 9}
    {"op": "and", "of": [{"op": "exists", "field": "tags"}, {"op": "not", "of": {"op": "all"}}]}

`op` is the filter's name in lower case, the other keys are the names of its arguments. A path to a
nested field is a list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from m3kit.filters import (
    COMPARE,
    All,
    And,
    Contains,
    Eq,
    Exists,
    Field,
    Filter,
    Ids,
    In,
    Not,
    Or,
    Range,
    Substring,
    check_field,
)
from m3kit.records import DEEPEST, Json

_KEYS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    op: (frozenset(needed.split()), frozenset(optional))
    for op, needed, optional in (
        ("eq", "field value", ()),
        ("in", "field values", ()),
        ("range", "field", COMPARE),
        ("contains", "field value", ()),
        ("exists", "field", ()),
        ("substring", "field text", ()),
        ("ids", "ids", ()),
        ("all", "", ()),
        ("and", "of", ()),
        ("or", "of", ()),
        ("not", "of", ()),
    )
}
"""For each `op` the keys that it needs, and those that it may have."""


class _MisplacedError(ValueError):
    """An error that names its place already."""


def filter_to_json(where: Filter) -> dict[str, Json]:
    """Return a filter as JSON, which `filter_from_json` reads."""
    match where:
        case Eq(field, value):
            return {"op": "eq", "field": _field(field), "value": value}
        case In(field, values):
            return {"op": "in", "field": _field(field), "values": list(values)}
        case Range():
            bounds: dict[str, Json] = {name: getattr(where, name) for name in COMPARE}
            given = {name: bound for name, bound in bounds.items() if bound is not None}
            return {"op": "range", "field": _field(where.field), **given}
        case Contains(field, value):
            return {"op": "contains", "field": _field(field), "value": value}
        case Exists(field):
            return {"op": "exists", "field": _field(field)}
        case Substring(field, text):
            return {"op": "substring", "field": _field(field), "text": text}
        case Ids(ids):
            return {"op": "ids", "ids": list(ids)}
        case All():
            return {"op": "all"}
        case And(of):
            return {"op": "and", "of": [filter_to_json(part) for part in of]}
        case Or(of):
            return {"op": "or", "of": [filter_to_json(part) for part in of]}
        case Not(of):
            return {"op": "not", "of": filter_to_json(of)}
        case _:
            assert_never(where)


def filter_from_json(value: object, *, place: str = "where") -> Filter:
    """
    Read a filter from JSON.

    Args:
        value: What `filter_to_json` gives, or a user wrote.
        place: What an error calls it.

    Raises:
        ValueError: If it is no filter, with the place and what is wrong there.
    """
    return _read(value, place, 1)


def field_from_json(value: object, *, place: str = "group_by") -> Field:
    """
    Read a field from JSON: a name, or a list of names that lead to a nested field.

    Args:
        value: What was sent.
        place: What an error calls it.

    Raises:
        ValueError: If it is no field.
    """
    try:
        return check_field(tuple(value) if isinstance(value, list) else value, "a group")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{place}: {error}") from error


def _read(value: object, place: str, depth: int) -> Filter:
    if depth > DEEPEST:
        raise _MisplacedError(f"{place} is nested deeper than {DEEPEST} levels")
    if not isinstance(value, Mapping):
        raise _MisplacedError(f'{place} is an object such as {{"op": "eq", …}}')
    op = value.get("op")
    if not isinstance(op, str) or op not in _KEYS:
        raise _MisplacedError(f"{place}.op is one of {', '.join(_KEYS)}")
    needed, optional = _KEYS[op]
    given = {key for key in value if key != "op"}
    if missing := needed - given:
        raise _MisplacedError(f"{place} has the op {op} and lacks {', '.join(sorted(missing))}")
    if given - needed - optional:
        raise _MisplacedError(
            f"{place} has the op {op} and takes {', '.join(sorted(needed | optional)) or 'nothing'}"
        )
    try:
        if op in {"and", "or", "not"}:
            return _composed(op, value["of"], f"{place}.of", depth + 1)
        return _leaf(op, value)
    except _MisplacedError:
        raise
    except (TypeError, ValueError) as error:
        raise _MisplacedError(f"{place}: {error}") from error


def _composed(op: str, of: object, place: str, depth: int) -> Filter:
    if op == "not":
        return Not(_read(of, place, depth))
    parts = tuple(_read(part, f"{place}[{n}]", depth) for n, part in enumerate(_list(of, "of")))
    return And(parts) if op == "and" else Or(parts)


def _leaf(op: str, keys: Mapping[str, Any]) -> Filter:
    field: Any = tuple(path) if isinstance(path := keys.get("field"), list) else path
    match op:
        case "eq":
            return Eq(field, keys["value"])
        case "in":
            return In(field, tuple(_list(keys["values"], "values")))
        case "range":
            return Range(field, **{name: keys[name] for name in COMPARE if name in keys})
        case "contains":
            return Contains(field, keys["value"])
        case "exists":
            return Exists(field)
        case "substring":
            return Substring(field, keys["text"])
        case "ids":
            return Ids(tuple(_list(keys["ids"], "ids")))
        case _:
            return All()


def _list(value: object, name: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{name} is a list")
    return value


def _field(field: Field) -> Json:
    return field if isinstance(field, str) else list(field)
