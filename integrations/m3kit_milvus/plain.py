"""
Filters over the fields of collections that others made, where nothing was written for filters.

An engine's own comparisons come near `m3kit.filters.matches`, and not always there: Milvus Lite
takes `true` for 1, knows no escape in `like`, and to compare what cannot be compared is neither
true nor false, so that its `not` is not the rest. So a filter is said with what is known of the
answer (`Said`): where the words keep more than the filter does, what they keep is read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, assert_never

from m3kit.adapters.filter_terms import EXACT, is_number
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
    matches,
)
from m3kit.records import Document
from m3kit_milvus.filters import DEEPEST, joined
from m3kit_milvus.layout import Said
from m3kit_milvus.scalars import Scalar, like, quoted, scalar_says


@dataclass(frozen=True, slots=True)
class Path:
    """
    A place in a JSON, which may hold anything.

    Args:
        text: How it is named.
        lists: Whether the engine looks into lists there.
    """

    text: str
    lists: bool


Place: TypeAlias = Path | Scalar | Literal["nowhere", "unknown"]
"""Where a field of the metadata is; `unknown`: where no filter of the engine reaches."""


@dataclass(frozen=True, slots=True)
class Plain:
    """
    The words for one collection.

    Args:
        place: Where a field of the metadata is.
        ids: Keeps the documents of given ids.
        everything: Keeps all rows.
        nothing: Keeps none.
        typed: Whether the engine tells booleans from numbers, as servers do.
        negates: Whether it knows `not`.
    """

    place: Callable[[str], Place]
    ids: Callable[[Sequence[str]], str]
    everything: str
    nothing: str
    typed: bool
    negates: bool

    def say(self, where: Filter) -> Said:
        """
        Translate a filter.

        Raises:
            ValueError: If `And`, `Or` and `Not` alternate more than `DEEPEST` levels deep.
        """
        return folded(
            where,
            leaf=self._one,
            every=lambda parts: self._joined("and", parts, self.everything),
            some=lambda parts: self._joined("or", parts, self.nothing),
            none=self._not,
            deepest=DEEPEST,
        )

    def _one(self, where: Leaf) -> Said:
        match where:
            case Ids(ids):
                return Said(self.ids(ids))
            case In(field, values):
                each = [self._leaf(Eq(field, value)) for value in values]
                return self._joined("or", each, self.nothing)
            case _:
                return self._leaf(where)

    def _joined(self, word: str, parts: Sequence[Said], otherwise: str) -> Said:
        return Said(
            joined(word, [one.text for one in parts]) or otherwise,
            exact=all(one.exact for one in parts),
            definite=all(one.definite for one in parts),
        )

    def _not(self, of: Said) -> Said:
        if of.exact and of.definite and self.negates:
            return Said(f"(not {of.text})")
        return Said(self.everything, exact=False)

    def _leaf(self, where: Eq | Range | Contains | Exists | Substring) -> Said:
        match self.place(where.field):
            case "nowhere":
                return Said(self.nothing)
            case "unknown":
                return Said(self.everything, exact=False)
            case Scalar() as scalar:
                said = scalar_says(scalar, where) or Said(self.nothing)
                return said if said.text else Said(self.everything)
            case Path() as path:
                return self._at(path, where)

    def _at(self, path: Path, where: Eq | Range | Contains | Exists | Substring) -> Said:
        there = f"exists {path.text}"
        match where:
            case Eq(field, value) if is_number(value) and abs(value) >= EXACT:
                return self._at(path, Range(field, ge=value, le=value))
            case Eq(_, value):
                return Said(f"({there} and {path.text} == {_literal(value)})", self._tells(value))
            case Range():
                compared = [f"{path.text} {bound}" for bound in _bounds(where)]
                text = f"({joined('and', [there, *compared])})"
                return Said(text, self._tells_range(where), definite=False)
            case Contains(_, value):
                return self._contains(path, value)
            case Exists():
                return Said(there, exact=False)  # an empty list is there
            case Substring(_, text):
                pattern, exact = like(text)
                return Said(f"({there} and {path.text} like {pattern})", exact)
            case _:
                assert_never(where)

    def _contains(self, path: Path, value: Value) -> Said:
        if not path.lists:
            return Said(f"exists {path.text}", exact=False)
        literals = {_literal(value)}
        if is_number(value) and self.typed:  # a server looks for an integer, or for a float
            literals = (
                literals | {repr(float(value))} if abs(value) < EXACT else {repr(float(value))}
            )
        sought = f"json_contains_any({path.text}, [{', '.join(sorted(literals))}])"
        a_list = f'not ({path.text} like "%")'  # Milvus Lite reads a list in a string, too
        text = f"(exists {path.text} and {sought} and {a_list})"
        return Said(text, self._tells(value))

    def _tells(self, value: Value) -> bool:
        """Tell whether the engine takes nothing else for this value."""
        if isinstance(value, bool):
            return self.typed
        if is_number(value):
            return abs(value) < EXACT and (self.typed or value not in (0, 1))
        return True

    def _tells_range(self, where: Range) -> bool:
        """Tell whether the engine finds no boolean in a range, and compares its bounds exactly."""
        bounds = (where.gt, where.ge, where.lt, where.le)
        if any(bound is not None and abs(bound) >= EXACT for bound in bounds):
            return False
        return self.typed or not any(
            matches(replace(where, field="a"), Document("a", "", {"a": own})) for own in (0, 1)
        )


def _bounds(where: Range) -> list[str]:
    """Spell the bounds; where integers are not floats, with the next float beyond."""
    given = {">": where.gt, ">=": where.ge, "<": where.lt, "<=": where.le}
    spelled = []
    for operator, bound in given.items():
        if bound is None:
            continue
        if abs(bound) < EXACT:
            spelled.append(f"{operator} {bound!r}")
            continue
        wide = math.nextafter(float(bound), -math.inf if operator[0] == ">" else math.inf)
        if math.isfinite(wide):
            spelled.append(f"{operator[0]}= {wide!r}")
    return spelled


def _literal(value: Value) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value)
        case _:
            return repr(value)
