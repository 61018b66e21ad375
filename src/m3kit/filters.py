"""
Metadata filters as data; `matches` is their meaning, and every store agrees with it.

Filters reach the top level of the metadata: a scalar, or a list of scalars. Numbers compare by
value (`1 == 1.0`), and a boolean is no number. A missing field matches nothing but `Not`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, TypeAlias, TypeGuard, assert_never
from unicodedata import category

from m3kit.records import Document, check_number, check_text, plain_text

Value: TypeAlias = str | int | float | bool
"""What a field is compared with."""

Comparison: TypeAlias = Literal["gt", "ge", "lt", "le"]
"""The name of a bound of a `Range`."""

COMPARE: Mapping[Comparison, Callable[[float, float], bool]] = {
    "gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le
}  # fmt: skip
"""What each bound means: `COMPARE[name](number, bound)`."""


class _Operators:
    """`&`, `|` and `~` between filters; `a | b | c` is one `Or` of three."""

    __slots__ = ()

    def __and__(self: Filter, other: Filter) -> And:  # type: ignore[misc]  # the union's base
        return And((*(self.of if isinstance(self, And) else (self,)), other))

    def __or__(self: Filter, other: Filter) -> Or:  # type: ignore[misc]  # the union's base
        return Or((*(self.of if isinstance(self, Or) else (self,)), other))

    def __invert__(self: Filter) -> Not:  # type: ignore[misc]  # the union's base
        return Not(self)


@dataclass(frozen=True, slots=True)
class Eq(_Operators):
    """The field is a scalar equal to `value`."""

    field: str
    value: Value

    def __post_init__(self) -> None:
        _check_field(self.field)
        object.__setattr__(self, "value", _plain(self.value))


@dataclass(frozen=True, slots=True)
class In(_Operators):
    """The field is a scalar equal to one of `values`; of no values, nothing is."""

    field: str
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        _check_field(self.field)
        object.__setattr__(self, "values", tuple(map(_plain, _tuple(self.values))))


@dataclass(frozen=True, slots=True)
class Range(_Operators):
    """The field is a number within all the bounds given; at least one is."""

    field: str
    _: KW_ONLY
    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None

    def __post_init__(self) -> None:
        _check_field(self.field)
        if not self.bounds:
            raise ValueError(f"Range({self.field!r}) has no bound; give gt, ge, lt or le")
        for bound in self.bounds.values():
            if not is_number(bound):
                raise TypeError(f"{bound!r} is no bound of a range; ranges compare numbers")
            check_number(bound)

    @property
    def bounds(self) -> dict[Comparison, float]:
        """The bounds that are given: `{"ge": 2020, "lt": 2025}`."""
        given: dict[Comparison, float | None] = {
            "gt": self.gt, "ge": self.ge, "lt": self.lt, "le": self.le
        }  # fmt: skip
        return {name: bound for name, bound in given.items() if bound is not None}

    def covers(self, value: object) -> bool:
        """Tell whether a value is a number within all bounds."""
        return is_number(value) and all(
            COMPARE[name](value, bound) for name, bound in self.bounds.items()
        )


@dataclass(frozen=True, slots=True)
class Contains(_Operators):
    """The field is a list with an element equal to `value`."""

    field: str
    value: Value

    def __post_init__(self) -> None:
        _check_field(self.field)
        object.__setattr__(self, "value", _plain(self.value))


@dataclass(frozen=True, slots=True)
class Exists(_Operators):
    """The field holds something: it is there, and neither None nor an empty list."""

    field: str

    def __post_init__(self) -> None:
        _check_field(self.field)


@dataclass(frozen=True, slots=True)
class Substring(_Operators):
    """The field is a string with `text` in it, upper and lower case told apart."""

    field: str
    text: str

    def __post_init__(self) -> None:
        _check_field(self.field)
        if not isinstance(self.text, str):
            raise TypeError(f"a substring is a string, not {self.text!r}")
        if not self.text:
            raise ValueError("the empty string is in every string; say Exists instead")
        check_text(self.text, "a filter's text")
        object.__setattr__(self, "text", plain_text(self.text))


@dataclass(frozen=True, slots=True)
class Ids(_Operators):
    """The document's id is one of `ids`."""

    ids: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", _tuple(self.ids))
        for id_ in self.ids:
            if not isinstance(id_, str):
                raise TypeError(f"a document's id is a string, not {id_!r}")
            check_text(id_, "an id")


@dataclass(frozen=True, slots=True)
class All(_Operators):
    """Every document."""


@dataclass(frozen=True, slots=True)
class And(_Operators):
    """All of these; of none, every document."""

    of: tuple[Filter, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", _filters(self.of))


@dataclass(frozen=True, slots=True)
class Or(_Operators):
    """At least one of these; of none, no document."""

    of: tuple[Filter, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", _filters(self.of))


@dataclass(frozen=True, slots=True)
class Not(_Operators):
    """Every document that `of` does not match."""

    of: Filter

    def __post_init__(self) -> None:
        _filters((self.of,))


Leaf: TypeAlias = Eq | In | Range | Contains | Exists | Substring | Ids
"""A filter that holds no other."""

Filter: TypeAlias = Leaf | All | And | Or | Not


def matches(where: Filter, document: Document) -> bool:
    """Tell whether `where` keeps `document`: what every store agrees with."""
    metadata: Any = document.metadata
    match where:
        case Eq(field, value):
            return equal(metadata.get(field), value)
        case In(field, values):
            return any(equal(metadata.get(field), value) for value in values)
        case Range(field=field):
            return where.covers(metadata.get(field))
        case Contains(field, value):
            stored = metadata.get(field)
            return isinstance(stored, list) and any(equal(element, value) for element in stored)
        case Exists(field):
            return metadata.get(field) not in (None, [])
        case Substring(field, text):
            stored = metadata.get(field)
            return isinstance(stored, str) and text in stored
        case Ids(ids):
            return document.id in ids
        case All():
            return True
        case And(of):
            return all(matches(part, document) for part in of)
        case Or(of):
            return any(matches(part, document) for part in of)
        case Not(of):
            return not matches(of, document)
        case _:
            assert_never(where)


def equal(stored: object, value: Value) -> bool:
    """Compare numbers by value, and all else by type and value: True is not 1."""
    if is_number(stored) and is_number(value):
        return stored == value
    return type(stored) is type(value) and stored == value


def is_number(value: object) -> TypeGuard[float]:
    """Tell numbers from all else; a boolean is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_scalar(value: object) -> TypeGuard[Value]:
    """Tell what a filter's value can equal."""
    return isinstance(value, str | int | float)


def _check_field(field: str) -> None:
    """A field's name is spliced into some engines' paths, so it is kept plain everywhere."""
    if not isinstance(field, str) or not field:
        raise TypeError(f"a filter's field is a name, not {field!r}")
    check_text(field, f"the field {field!r}")
    if any(char in "\"'`\\[](){}" or category(char) in {"Cc", "Zl", "Zp"} for char in field):
        raise ValueError(
            f"a filter cannot reach the field {field!r}: its name holds a quote, a backslash, "
            "a bracket or a control character; rename the field"
        )


def _plain(value: object) -> Value:
    """Check a value, and return it in Python's own type, which a subclass may hide."""
    match value:
        case bool():
            return value
        case int():
            check_number(value)
            return int(value)
        case float():
            check_number(value)
            return float(value)
        case str():
            check_text(value, "a filter's value")
            return plain_text(value)
        case None:
            raise TypeError("a filter compares with a value, not None; say Not(Exists(field))")
        case _:
            raise TypeError(f"a filter compares with str, int, float or bool, not {value!r}")


def _tuple(values: Iterable[Any]) -> tuple[Any, ...]:
    if isinstance(values, str):
        raise TypeError(f"expected several values, not the string {values!r}; write ({values!r},)")
    return tuple(values)


def _filters(of: Iterable[Any]) -> tuple[Filter, ...]:
    filters = tuple(of)
    for part in filters:
        if not isinstance(part, Filter):
            raise TypeError(f"{part!r} is not a filter; compose Eq, In, Range, And, Or, Not, …")
    return filters
