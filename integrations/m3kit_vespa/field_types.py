"""The types of metadata fields, and the attributes that hold their values."""

from __future__ import annotations

import re
from types import GenericAlias
from typing import Any, Literal, TypeAlias

from m3kit.filters import is_number
from m3kit_vespa.spelling import spelled

FieldType: TypeAlias = type | GenericAlias
"""`str`, `int`, `float`, `bool`, `list[str]` or `list[int]`."""

AttributeType: TypeAlias = Literal[
    "string", "long", "double", "bool", "array<string>", "array<long>"
]
"""The same in a schema."""

ATTRIBUTE_TYPES: dict[object, AttributeType] = {
    str: "string", int: "long", float: "double", bool: "bool",
    list[str]: "array<string>", list[int]: "array<long>",
}  # fmt: skip

LONGEST = 2**63 - 1
"""The largest integer of an attribute; the smallest is its negative."""

RESERVED = frozenset([
    "id", "text", "metadata", "terms", "salt", "dense", "sparse", "colbert", "tokens", "token_ids",
    "and", "asc", "as", "attribute", "by", "contains", "desc", "distance", "document", "false",
    "field", "from", "group", "in", "index", "limit", "like", "matches", "near", "nonempty", "not",
    "null", "offset", "onear", "or", "order", "phrase", "predicate", "range", "rank", "select",
    "sources", "struct", "summary", "timeout", "true", "type", "wand", "weakAnd", "weight",
    "where", "uri",
])  # fmt: skip
"""The fields that an index may have, and names that mean something else in schemas or queries."""


def to_attribute_type(field: str, declared: FieldType) -> AttributeType:
    """
    Read what a field is declared as.

    Raises:
        TypeError: If Vespa has no attribute for it.
    """
    if declared not in ATTRIBUTE_TYPES:
        raise TypeError(
            f"the field {field!r} is declared as {declared!r}; use str, int, float (any number), "
            "bool, list[str] or list[int]"
        )
    return ATTRIBUTE_TYPES[declared]


def attribute_name(field: str) -> str:
    """Name the attribute of a field: as the field, unless a schema or YQL cannot take that name."""
    is_word = re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]*", field, re.ASCII)
    is_reserved = {field, field.lower()} & RESERVED or field.startswith(("m3_", "x_"))
    return field if is_word and not is_reserved else f"x_{field.encode().hex()}"


def can_hold(type_: AttributeType | None, value: object, *, element: bool) -> bool:
    """
    Tell whether an attribute can hold a scalar.

    Args:
        type_: The attribute's type; None if there is none.
        value: The scalar.
        element: Whether it is an element of a list.
    """
    if type_ is None or element != type_.startswith("array"):
        return False
    if isinstance(value, bool | str):
        return ("string" in type_) if isinstance(value, str) else type_ == "bool"
    if type_ == "double":
        return is_number(value)
    return "long" in type_ and is_number(value) and value == int(value) and abs(value) <= LONGEST


def attribute_value(type_: AttributeType, value: object) -> Any:
    """Return what an attribute holds of a field's value; None if it holds nothing of it."""
    elements = value if isinstance(value, list) else []
    able = [element for element in elements if can_hold(type_, element, element=True)]
    if able:
        return [_value(type_, element) for element in able]
    return _value(type_, value) if can_hold(type_, value, element=False) else None


def _value(type_: AttributeType, value: Any) -> Any:
    if isinstance(value, str):
        return spelled(value)
    return int(value) if "long" in type_ else float(value) if type_ == "double" else value
