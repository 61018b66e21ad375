"""Filters in YQL, over the fields that `payload.py` writes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, assert_never

from m3kit.adapters.filter_terms import EXACT
from m3kit.filters import (
    Contains,
    Eq,
    Exists,
    Filter,
    Ids,
    In,
    Leaf,
    Range,
    Substring,
    Value,
    folded,
)
from m3kit_vespa.payload import key, spelled, term
from m3kit_vespa.shape import Shape, rest

EVERYTHING = "true"
NOTHING = "false"

DEEPEST = 32
"""Vespa's parser and the messages between its nodes are not endlessly deep."""

_MOST = 2**63 - 1
_SENT = 2**63 - 513
"""The largest whole number that Vespa sends to its nodes as such."""


def to_yql(where: Filter, words: Words) -> str:
    """
    Translate a filter; Vespa keeps what `m3kit.filters.matches` keeps, as exactly as `words` says.

    Raises:
        ValueError: If the schema cannot say it, or `And`, `Or` and `Not` alternate more than
            `DEEPEST` levels deep.
    """
    return folded(
        where,
        leaf=lambda one: _leaf(one, words),
        every=_every,
        some=_some,
        none=_none,
        deepest=DEEPEST,
    )


class Words(Protocol):
    """How a schema says what a filter asks of one field."""

    def equals(self, field: str, values: Sequence[Value]) -> str:
        """The field is a scalar equal to one of these."""
        ...

    def contains(self, field: str, value: Value) -> str:
        """The field is a list with this in it."""
        ...

    def exists(self, field: str) -> str:
        """The field holds something."""
        ...

    def within(self, where: Range) -> str:
        """The field is a number within bounds."""
        ...

    def substring(self, field: str, text: str) -> str:
        """The field is a string with this in it."""
        ...

    def ids(self, ids: Sequence[str]) -> str:
        """The document has one of these ids."""
        ...


def _leaf(where: Leaf, words: Words) -> str:
    match where:
        case Eq(field, value):
            return words.equals(field, [value])
        case In(field, values):
            return words.equals(field, values)
        case Range():
            return words.within(where)
        case Contains(field, value):
            return words.contains(field, value)
        case Exists(field):
            return words.exists(field)
        case Substring(field, text):
            return words.substring(field, text)
        case Ids(ids):
            return words.ids(ids)
        case _:
            assert_never(where)


def _every(parts: Sequence[str]) -> str:
    """Join conditions; of constants among them no query is left, which Vespa refuses."""
    if NOTHING in parts:
        return NOTHING
    return _joined("and", [part for part in parts if part != EVERYTHING]) or EVERYTHING


def _some(parts: Sequence[str]) -> str:
    if EVERYTHING in parts:
        return EVERYTHING
    return _joined("or", [part for part in parts if part != NOTHING]) or NOTHING


def _none(part: str) -> str:
    return {NOTHING: EVERYTHING, EVERYTHING: NOTHING}.get(part, f"!({part})")


def _joined(word: str, parts: Sequence[str]) -> str:
    return f"({f' {word} '.join(parts)})" if len(parts) > 1 else "".join(parts)


def has_keys(keys: Iterable[str]) -> str:
    """Keep the documents of these keys."""
    return _any("key", keys)


@dataclass(frozen=True, slots=True)
class Terms:
    """
    The words of a schema that `m3_package` made, which mean exactly what `matches` means.

    Values become digests, numbers, or regular expressions in which each character but letters and
    digits is written by its number: no quote of anybody's is ever part of a query.
    """

    shape: Shape

    def equals(self, field: str, values: Sequence[Value]) -> str:
        """Seek the digests of what the document says."""
        return _any("terms", [term("is", field, value) for value in values])

    def contains(self, field: str, value: Value) -> str:
        """Seek the digest."""
        return _any("terms", [term("in", field, value)])

    def exists(self, field: str) -> str:
        """Seek the digest."""
        return _any("terms", [term("has", field)])

    def within(self, where: Range) -> str:
        """Compare in the field's attribute."""
        if name := self.shape.attribute(where.field, "float"):
            given = {">": where.gt, ">=": where.ge, "<": where.lt, "<=": where.le}
            bounds = [_bound(name, how, one) for how, one in given.items() if one is not None]
            return _joined("and", bounds)
        if name := self.shape.attribute(where.field, "int"):
            return between(name, where)
        raise _undeclared("a range", where.field, "int, or of float")

    def substring(self, field: str, text: str) -> str:
        """Seek in the field's attribute, by a regular expression."""
        name = self.shape.attribute(field, "str")
        if name is None:
            raise _undeclared("a substring", field, "str")
        return has_part(name, spelled(text))

    def ids(self, ids: Sequence[str]) -> str:
        """Seek the keys."""
        return has_keys([key(id_) for id_ in ids])


def between(name: str, where: Range) -> str:
    """Compare whole numbers with the whole numbers between the bounds."""
    low = [-_MOST, *([] if where.ge is None else [math.ceil(where.ge)])]
    high = [_MOST, *([] if where.le is None else [math.floor(where.le)])]
    if where.gt is not None:
        low.append(math.floor(where.gt) + 1)
    if where.lt is not None:
        high.append(math.ceil(where.lt) - 1)
    return _between(name, max(low), min(high))


def _between(name: str, low: int, high: int) -> str:
    """
    Compare with two whole numbers.

    Vespa sends a bound above `_SENT` as a double, and the other one with it; so what doubles cannot
    tell apart is said by what is not meant.
    """
    if low > high:
        return NOTHING
    if low == high or low > _SENT:
        return _listed(name, low, high)
    if high <= _SENT or (high == _MOST and abs(low) <= EXACT):
        return _range(name, low, high)
    below = [] if low <= -_MOST else [_none(_between(name, -_MOST, low - 1))]
    above = [] if high == _MOST else [_none(_listed(name, high + 1, _MOST))]
    every = _joined("or", [_range(name, -_MOST, 0), _range(name, 0, _MOST)])
    return _joined("and", [every, *below, *above])


def _range(name: str, low: int, high: int) -> str:
    return f"range({name}, {low}L, {high}L)"


def _listed(name: str, low: int, high: int) -> str:
    return f"{name} in ({', '.join(f'{one}L' for one in range(low, high + 1))})"


def has_part(name: str, text: str) -> str:
    """Seek a text in an attribute, by a regular expression."""
    pattern = "".join(
        char if char.isascii() and char.isalnum() else rf"\\x{{{ord(char):x}}}" for char in text
    )
    return f'{name} matches "{pattern}"'


def double(number: float) -> str:
    """Write a double as YQL reads it: with a point, and no sign in the exponent but minus."""
    mantissa, _, exponent = repr(float(number)).partition("e")
    point = mantissa if "." in mantissa else f"{mantissa}.0"
    return f"{point}e{int(exponent)}" if exponent else point


def _any(attribute: str, digests: Iterable[str]) -> str:
    quoted = ", ".join(f'"{one}"' for one in dict.fromkeys(digests))
    return f"{attribute} in ({quoted})" if quoted else NOTHING


def _bound(name: str, operator: str, bound: float) -> str:
    """Compare doubles, and where these are equal, how far from them the numbers are."""
    near = float(bound)
    off = int(bound) - int(near) if isinstance(bound, int) else 0
    equal = f"{name} = {double(near)} and {rest(name)} {operator} {off}"
    return f"({name} {operator[0]} {double(near)} or ({equal}))"


def _undeclared(what: str, field: str, type_: str) -> ValueError:
    return ValueError(
        f"{what} needs an attribute of its field, and the schema declares no {field!r} of type "
        f"{type_}; deploy the package with m3_package(…, fields={{…, {field!r}: "
        f"{type_.partition(',')[0]}}}) and write the documents again"
    )
