"""Filters over a schema that others made, by its own attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from m3kit.filters import Range, Value
from m3kit_vespa.filters import NOTHING, between, double, has_part
from m3kit_vespa.shape import Kind


@dataclass(frozen=True, slots=True)
class Attributes:
    """The words of a schema that others made: its own attributes."""

    kinds: Mapping[str, Kind]
    id: str | None

    def equals(self, field: str, values: Sequence[Value]) -> str:
        """Compare with the values of the attribute's type."""
        return self._any(
            field, values, {"str": "str", "int": "int", "float": "float", "bool": "bool"}
        )

    def contains(self, field: str, value: Value) -> str:
        """Compare the elements of an array."""
        return self._any(field, [value], {"strs": "str", "ints": "int"})

    def exists(self, field: str) -> str:
        """Refuse: an attribute does not tell nothing from something empty."""
        raise ValueError(f"Vespa cannot tell whether {field!r} is missing; compare it with a value")

    def within(self, where: Range) -> str:
        """Compare numbers."""
        kind = self._kind(where.field, ("int", "float"))
        if kind == "int":
            return between(where.field, where)
        given = {">": where.gt, ">=": where.ge, "<": where.lt, "<=": where.le}
        bounds = [
            f"{where.field} {how} {double(one)}" for how, one in given.items() if one is not None
        ]
        return f"({' and '.join(bounds)})"

    def substring(self, field: str, text: str) -> str:
        """Seek by a regular expression."""
        self._kind(field, ("str",))
        return has_part(field, text)

    def ids(self, ids: Sequence[str]) -> str:
        """Compare the field of the ids, if it is an attribute."""
        if self.id is None or self.kinds.get(self.id) != "str":
            raise ValueError(
                "a search cannot be kept to ids here: declare the field that holds them, "
                "FieldNames(id=…) and attributes={…: str}, and let it be an attribute of the schema"
            )
        return self.equals(self.id, ids)

    def _any(self, field: str, values: Sequence[Value], kinds: Mapping[str, str]) -> str:
        kind = kinds[self._kind(field, tuple(kinds))]
        if kind == "str":
            parts = ", ".join(_quoted(one) for one in values if isinstance(one, str))
            return f"{field} in ({parts})" if parts else NOTHING
        said = [_number(one, kind) for one in values]
        found = [f"{field} = {one}" for one in said if one is not None]
        return f"({' or '.join(found)})" if found else NOTHING

    def _kind(self, field: str, kinds: Sequence[str]) -> Kind:
        kind = self.kinds.get(field)
        if kind is None or kind not in kinds:
            raise ValueError(
                f"this filter needs {field!r} to be an attribute of {' or '.join(kinds)}; if the "
                f"schema has it, say so by VespaIndex(…, attributes={{…, {field!r}: {kinds[0]}}})"
            )
        return kind


def _number(value: Value, kind: str) -> str | None:
    """Write a value as a number or a boolean; None if it is of another type."""
    if kind == "bool" or isinstance(value, bool):
        return str(value).lower() if kind == "bool" and isinstance(value, bool) else None
    if isinstance(value, str) or (kind == "int" and value != int(value)):
        return None
    return f"{int(value)}L" if kind == "int" else double(value)


def _quoted(text: str) -> str:
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(escapes.get(char, char) for char in text) + '"'
