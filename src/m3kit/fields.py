"""Which fields the documents of an index have, told by a sample of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, TypeAlias

from m3kit.filters import Value, is_number
from m3kit.index import HybridIndex
from m3kit.instants import instant
from m3kit.records import Json

FieldKind: TypeAlias = Literal["string", "number", "boolean", "date", "list"]
"""What the values of a field are; `"list"` is one of scalars, `"date"` a string in ISO 8601."""

_MOST = 200
"""Distinct values that are counted before a field counts as one of free text."""


@dataclass(frozen=True, slots=True)
class FieldSummary:
    """
    A field of the sampled documents.

    Args:
        path: Its keys, outermost first: `("loc", "page")`.
        kind: What its values are; of several kinds, the most frequent.
        documents: How many of the sampled documents have it.
        values: Its values with how many documents have each, most frequent first; of a list, its
            items. None where there are too many to choose from.
        lowest: Of numbers and dates, the smallest value.
        highest: The largest.
    """

    path: tuple[str, ...]
    kind: FieldKind
    documents: int
    values: tuple[tuple[Value, int], ...] | None
    lowest: float | str | None = None
    highest: float | str | None = None

    def to_json(self) -> dict[str, Json]:
        """Return it as JSON."""
        return {
            "path": list(self.path),
            "kind": self.kind,
            "documents": self.documents,
            "values": None if self.values is None else [list(pair) for pair in self.values],
            "lowest": self.lowest,
            "highest": self.highest,
        }


def sample_fields(
    index: HybridIndex, *, documents: int = 1000, values: int = 20
) -> tuple[FieldSummary, ...]:
    """
    List the fields of an index that filters reach, told by the documents that a scan brings first.

    Args:
        index: Read by `scan`, without vectors.
        documents: How many documents are read.
        values: A field with more distinct values than these lists none.

    Returns:
        The fields that most documents have first.
    """
    columns: dict[tuple[str, ...], _Column] = {}
    for record in islice(index.scan(), documents):
        for path, value in _leaves(record.document.metadata, ()):
            columns.setdefault(path, _Column()).add(value)
    summaries = (column.summary(path, values) for path, column in columns.items())
    known = [summary for summary in summaries if summary is not None]
    return tuple(sorted(known, key=lambda summary: (-summary.documents, summary.path)))


@dataclass(slots=True)
class _Column:
    """The values of a field, as far as they are counted."""

    documents: int = 0
    kinds: Counter[FieldKind] = field(default_factory=Counter)
    counts: Counter[tuple[bool, Value]] = field(default_factory=Counter)
    lowest: dict[FieldKind, float | str] = field(default_factory=dict)
    highest: dict[FieldKind, float | str] = field(default_factory=dict)

    def add(self, value: Json) -> None:
        kind = _kind(value)
        if kind is None:
            return
        self.documents += 1
        self.kinds[kind] += 1
        items: Sequence[Json] = value if isinstance(value, list) else [value]
        for item in dict.fromkeys((isinstance(item, bool), item) for item in items):
            if len(self.counts) <= _MOST or item in self.counts:
                self.counts[item] += 1  # type: ignore[index]  # `_kind` lets scalars alone pass
        if kind in {"number", "date"} and isinstance(value, int | float | str):
            self.lowest[kind] = min(self.lowest.get(kind, value), value, key=_order)
            self.highest[kind] = max(self.highest.get(kind, value), value, key=_order)

    def summary(self, path: tuple[str, ...], limit: int) -> FieldSummary | None:
        if not self.kinds:
            return None
        ((kind, _),) = self.kinds.most_common(1)
        ranked = sorted(self.counts.items(), key=lambda pair: (-pair[1], str(pair[0][1])))
        few = len(ranked) <= limit
        return FieldSummary(
            path,
            kind,
            self.documents,
            tuple((value, count) for (_, value), count in ranked) if few else None,
            self.lowest.get(kind),
            self.highest.get(kind),
        )


def _leaves(
    metadata: Mapping[str, Json], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Json]]:
    for key, value in metadata.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _kind(value: Json) -> FieldKind | None:
    """Return what a value is; None for what no filter compares."""
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string" if instant(value) is None else "date"
        case list() if value and all(isinstance(item, str | int | float) for item in value):
            return "list"
        case _:
            return None


def _order(value: float | str) -> float:
    """Order numbers by value, and dates by their instants."""
    return value if is_number(value) else instant(str(value)) or 0
