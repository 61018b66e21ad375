"""
Groups of hits: the best hits of the best groups, of what a search has ranked already.

A group is the documents that hold the same value in a field, such as the passages of one text. The
value may be any JSON: numbers are the same by value (`1` and `1.0`), a boolean is no number, lists
are the same if all their elements are, in order, and objects if they hold the same under the same
keys. A document without the field is a group of its own, and so is one that holds None or an empty
list there, which are as good as missing to `m3kit.Exists`, too.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeAlias, TypeVar

from m3kit.filters import Field, is_number, value_at
from m3kit.records import Document, Hit, Json

GroupKey: TypeAlias = Hashable
"""Equal for documents of one group; None for a document that is a group of its own."""

_T = TypeVar("_T")


def group_key(document: Document, group_by: Field) -> GroupKey:
    """Return what a document shares with the others of its group; None if it has none."""
    value = value_at(document.metadata, group_by)
    return None if value in (None, []) else _key(value)


def best_groups(ranked: Iterable[tuple[_T, GroupKey]], *, k: int, group_size: int) -> list[_T]:
    """
    Return the best of the best groups, group by group, the group of the best first.

    Args:
        ranked: Entries, best first, each with the key of its group.
        k: How many groups are returned at most.
        group_size: How many entries of each at most.
    """
    groups: dict[GroupKey, list[_T]] = {}
    for entry, key in ranked:
        identity = object() if key is None else key
        group = groups.get(identity)
        if group is None and len(groups) < k:
            group = groups[identity] = []
        if group is not None and len(group) < group_size:
            group.append(entry)
    return [entry for group in groups.values() for entry in group]


def group_hits(hits: Sequence[Hit], group_by: Field, *, k: int, group_size: int = 1) -> list[Hit]:
    """
    Return the best hits of the best groups, as `Search(group_by=…)` does of its candidates.

    Args:
        hits: All that may be returned, best first.
        group_by: See `Search`.
        k: How many groups are returned at most.
        group_size: How many hits of each at most.
    """
    ranked = ((hit, group_key(hit.document, group_by)) for hit in hits)
    return best_groups(ranked, k=k, group_size=group_size)


def _key(value: Json) -> GroupKey:
    """Make a key of a JSON value, with its kind, since to Python `1` and `True` are equal."""
    match value:
        case str():
            return ("string", value)
        case Mapping():
            return ("object", frozenset((name, _key(item)) for name, item in value.items()))
        case Sequence():
            return ("list", tuple(map(_key, value)))
        case _:
            return ("number" if is_number(value) else "constant", value)
