"""
Metadata filters as data; `matches` is their meaning, and every store agrees with it.

A field is a key at the top of the metadata, or the path to a nested one: `("loc", "lines")`
reaches `{"loc": {"lines": 1}}`. There a filter finds a scalar, or a list of scalars. Numbers
compare by value (`1 == 1.0`), and a boolean is no number. A missing field matches nothing but
`Not`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import date
from typing import Any, Literal, TypeAlias, TypeGuard, assert_never
from unicodedata import category

from m3kit.instants import instant
from m3kit.records import Document, Json, check_number, check_text, plain_text

Field: TypeAlias = str | tuple[str, ...]
"""A key at the top of the metadata, dots and all; or the path to a nested one, key by key."""

Value: TypeAlias = str | int | float | bool
"""What a field is compared with."""

Bound: TypeAlias = float | str | date
"""A bound of a `Range`: a number, a date, a datetime, or either of these as ISO 8601."""

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

    field: Field
    value: Value

    def __post_init__(self) -> None:
        _set_field(self)
        object.__setattr__(self, "value", _plain(self.value))


@dataclass(frozen=True, slots=True)
class In(_Operators):
    """The field is a scalar equal to one of `values`; of no values, nothing is."""

    field: Field
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        _set_field(self)
        object.__setattr__(self, "values", tuple(map(_plain, _tuple(self.values))))


@dataclass(frozen=True, slots=True)
class Range(_Operators):
    """
    The field lies within all the bounds given; at least one is.

    Bounds are numbers, or they are dates and times: `date`, `datetime` or ISO 8601 as
    `m3kit.instants` reads it, where the field holds such a text. These compare as instants: no
    offset is UTC, a bare date is its midnight.
    """

    field: Field
    _: KW_ONLY
    gt: Bound | None = None
    ge: Bound | None = None
    lt: Bound | None = None
    le: Bound | None = None

    def __post_init__(self) -> None:
        _set_field(self)
        for name in COMPARE:
            object.__setattr__(self, name, _bound(getattr(self, name)))
        if not self._given:
            raise ValueError(f"Range({self.field!r}) has no bound; give gt, ge, lt or le")
        if self.bounds and self.instants:
            raise TypeError(f"the bounds of {self} are all numbers or all dates")

    @property
    def bounds(self) -> dict[Comparison, float]:
        """The bounds of a range of numbers: `{"ge": 2020, "lt": 2025}`; empty for dates."""
        return {name: bound for name, bound in self._given.items() if is_number(bound)}

    @property
    def instants(self) -> dict[Comparison, int]:
        """The bounds of a range of dates, in microseconds since 1970; empty for numbers."""
        texts = {name: bound for name, bound in self._given.items() if isinstance(bound, str)}
        parsed = {name: instant(text) for name, text in texts.items()}
        return {name: bound for name, bound in parsed.items() if bound is not None}

    def integers(self, least: int, most: int) -> tuple[int, int]:
        """Return the lowest and the highest of the integers from `least` to `most` within it."""
        low, high = least, most
        for name, bound in self.bounds.items():
            match name:
                case "gt":
                    low = max(low, math.floor(bound) + 1)
                case "ge":
                    low = max(low, math.ceil(bound))
                case "lt":
                    high = min(high, math.ceil(bound) - 1)
                case "le":
                    high = min(high, math.floor(bound))
        return low, high

    def covers(self, value: object) -> bool:
        """Tell whether a value lies within all bounds."""
        if bounds := self.bounds:
            return is_number(value) and all(
                COMPARE[name](value, bound) for name, bound in bounds.items()
            )
        moment = instant(value) if isinstance(value, str) else None
        return moment is not None and all(
            COMPARE[name](moment, bound) for name, bound in self.instants.items()
        )

    @property
    def _given(self) -> dict[Comparison, Bound]:
        return {name: bound for name in COMPARE if (bound := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class Contains(_Operators):
    """The field is a list with an element equal to `value`."""

    field: Field
    value: Value

    def __post_init__(self) -> None:
        _set_field(self)
        object.__setattr__(self, "value", _plain(self.value))


@dataclass(frozen=True, slots=True)
class Exists(_Operators):
    """The field holds something: it is there, and neither None nor an empty list."""

    field: Field

    def __post_init__(self) -> None:
        _set_field(self)


@dataclass(frozen=True, slots=True)
class Substring(_Operators):
    """The field is a string with `text` in it, upper and lower case told apart."""

    field: Field
    text: str

    def __post_init__(self) -> None:
        _set_field(self)
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
    match where:
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
            return _finds(where, value_at(document.metadata, where.field))


def field_path(field: Field) -> tuple[str, ...]:
    """Return the keys that lead to a field."""
    return (field,) if isinstance(field, str) else field


def value_at(metadata: Mapping[str, Json], field: Field) -> Json:
    """Return what a field holds; None if there is no such field, as for one that holds None."""
    value: Json = metadata
    for key in field_path(field):
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def _finds(where: Eq | In | Range | Contains | Exists | Substring, stored: Json) -> bool:
    match where:
        case Eq(_, value):
            return equal(stored, value)
        case In(_, values):
            return any(equal(stored, value) for value in values)
        case Range():
            return where.covers(stored)
        case Contains(_, value):
            return isinstance(stored, list) and any(equal(item, value) for item in stored)
        case Exists():
            return stored not in (None, [])
        case Substring(_, text):
            return isinstance(stored, str) and text in stored
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


def check_filter(where: object) -> None:
    """
    Check that something is a filter; every index calls this on what it is given.

    Raises:
        TypeError: If it is not, with what to write.
    """
    if where is None:
        raise TypeError("a filter is wanted, not None; to match every document, pass All()")
    if not isinstance(where, Filter):
        raise TypeError(
            f'{where!r:.200} is not a filter; write Eq("lang", "de"), or compose In, Range, '
            "Contains, Exists, Substring, Ids, And, Or, Not and All"
        )


def check_field(field: object, what: str = "a filter") -> Field:
    """
    Check a field, and turn a path of one key into the key.

    Args:
        field: A name, or a tuple of names.
        what: What is to reach it, for errors.

    Raises:
        TypeError: If it is none.
        ValueError: If a name holds what a filter cannot say to every engine.
    """
    path = field if isinstance(field, tuple) else (field,)
    if not path:
        raise TypeError(f"the path of {what} has at least one key")
    for key in path:
        _check_key(key, what)
    checked: Field = path[0] if len(path) == 1 else path
    return checked


def _set_field(where: Eq | In | Range | Contains | Exists | Substring) -> None:
    object.__setattr__(where, "field", check_field(where.field))


def _check_key(field: object, what: str) -> None:
    """A key is spliced into some engines' paths, so it is kept plain everywhere."""
    if not isinstance(field, str) or not field:
        raise TypeError(f"the field of {what} is a name or a tuple of names, not {field!r}")
    check_text(field, f"the field {field!r}")
    if any(char in "\"'`\\[](){}" or category(char) in {"Cc", "Zl", "Zp"} for char in field):
        raise ValueError(
            f"{what} cannot reach the field {field!r}: its name holds a quote, a backslash, "
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
    if isinstance(of, Filter | Mapping):
        raise TypeError(f"And and Or take several filters in a tuple, not {of!r:.200}")
    filters = tuple(of)
    for part in filters:
        check_filter(part)
    return filters


def _bound(bound: object) -> Bound | None:
    """Check a bound; a date becomes the text that stands for it."""
    match bound:
        case None:
            return None
        case date() | str():  # a datetime is a date
            text = plain_text(bound) if isinstance(bound, str) else bound.isoformat()
            if instant(text) is None:
                raise ValueError(
                    f"{text!r} is no bound of a range; give a number, a date, or ISO 8601 such as "
                    "2024-03-01 or 2024-03-01T09:30:00+01:00"
                )
            return text
        case _ if is_number(bound):
            check_number(bound)
            return bound
        case _:
            raise TypeError(f"{bound!r} is no bound of a range; ranges compare numbers or dates")
