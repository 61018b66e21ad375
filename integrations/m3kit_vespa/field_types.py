"""The types of metadata fields, and the attributes that hold their values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import GenericAlias, UnionType
from typing import Any, Literal, TypeAlias, assert_never, get_args

from m3kit.filters import is_number
from m3kit_vespa.spelling import spelled

Kind: TypeAlias = Literal["str", "int", "float", "bool", "strs", "ints"]
"""What an attribute holds."""

FieldType: TypeAlias = type | UnionType | GenericAlias
"""`str`, `int`, `float`, `bool`, `list[str]`, `list[int]`, or several of them: `str | float`."""

LONGEST = 2**63 - 1
"""The largest integer of an attribute; the smallest is its negative."""

_KINDS: dict[object, Kind] = {
    str: "str", int: "int", float: "float", bool: "bool", list[str]: "strs", list[int]: "ints",
}  # fmt: skip
RESERVED = frozenset([
    "id", "text", "metadata", "terms", "salt", "dense", "sparse", "colbert", "tokens", "token_ids",
    "and", "asc", "as", "attribute", "by", "contains", "desc", "distance", "document", "false",
    "field", "from", "group", "in", "index", "limit", "like", "matches", "near", "nonempty", "not",
    "null", "offset", "onear", "or", "order", "phrase", "predicate", "range", "rank", "select",
    "sources", "struct", "summary", "timeout", "true", "type", "wand", "weakAnd", "weight",
    "where", "uri",
])  # fmt: skip
"""The fields that an index may have, and names that mean something else in schemas or queries."""


def to_kinds(field: str, declared: FieldType) -> tuple[Kind, ...]:
    """
    Read what a field is declared as.

    Raises:
        TypeError: If Vespa has no attribute for it.
    """
    types = get_args(declared) if isinstance(declared, UnionType) else (declared,)
    unknown = [type_ for type_ in types if type_ not in _KINDS]
    if unknown:
        raise TypeError(
            f"the field {field!r} is declared as {unknown[0]!r}; use str, int, float, bool, "
            "list[str], list[int], or several of them: str | float"
        )
    if {int, float} <= set(types):
        raise TypeError(
            f"the field {field!r} is declared int and float; float holds whole numbers too"
        )
    return tuple(_KINDS[type_] for type_ in types)


def attribute_name(field: str, kind: Kind | None) -> str:
    """
    Name the attribute of a field: as the field, unless a schema or YQL cannot take that name.

    Args:
        field: The field of the metadata.
        kind: Which of its attributes, if it has several.
    """
    is_word = re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]*", field, re.ASCII)
    is_reserved = {field, field.lower()} & RESERVED or field.startswith(("m3_", "x_"))
    name = field if is_word and not is_reserved else f"x_{field.encode().hex()}"
    return name if kind is None else f"{name}_{kind}"


def kind_for(value: object, kinds: Iterable[Kind], *, element: bool) -> Kind | None:
    """
    Choose the attribute that can hold a scalar.

    Args:
        value: The scalar.
        kinds: The attributes of its field.
        element: Whether it is an element of a list.
    """
    able: set[Kind] = set()
    if isinstance(value, str):
        able = {"strs"} if element else {"str"}
    elif isinstance(value, bool):
        able = set() if element else {"bool"}
    elif is_number(value):
        able = set() if element else {"float"}
        if value == int(value) and abs(value) <= LONGEST:
            able.add("ints" if element else "int")
    return next((kind for kind in kinds if kind in able), None)


def is_distinct(value: object) -> bool:
    """Tell whether an attribute with this scalar differs from one without a value."""
    return value is not False and value != ""


def attribute_value(kind: Kind, value: object) -> Any:
    """Return what an attribute holds of a field's value; None if it holds nothing of it."""
    elements: list[Any] = value if isinstance(value, list) else []
    match kind:
        case "str":
            return spelled(value) if isinstance(value, str) else None
        case "bool":
            return value if isinstance(value, bool) else None
        case "int":
            return int(value) if kind_for(value, [kind], element=False) else None  # type: ignore[call-overload]  # a number
        case "float":
            return float(value) if is_number(value) else None
        case "strs":
            return [spelled(text) for text in elements if isinstance(text, str)] or None
        case "ints":
            whole = [number for number in elements if kind_for(number, [kind], element=True)]
            return [int(number) for number in whole] or None
        case _:
            assert_never(kind)
