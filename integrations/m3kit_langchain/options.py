"""The options of a search, given by keyword; an unknown one is an error."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from m3kit.filters import Field
from m3kit.fusion import Fusion, WeightedSum
from m3kit.index import check_reps
from m3kit.vectors import REPS, Rep
from m3kit_langchain.filters import Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """
    How to search.

    Args:
        where: A filter of m3kit, or a dict (see `to_filter`). LangChain's name for it, `filter`, is
            accepted too.
        reps: Which representations take part; by default all that the index holds.
        fusion: How they become one ranking.
        candidates: How many candidates each branch brings, and how many are rescored.
        min_score: Documents below this score are left out.
        group_by: A field of the metadata, or the path to it: `k` counts groups of documents with
            the same value in it, and each has but its best; see `m3kit.Search`.
        group_size: How many documents of a group are wanted.
    """

    where: Where | None = None
    reps: Collection[Rep] | None = None
    fusion: Fusion = WeightedSum()  # noqa: RUF009  # frozen, so one default serves all
    candidates: int = 100
    min_score: float | None = None
    group_by: Field | None = None
    group_size: int = 1

    def updated(self, given: Mapping[str, Any]) -> Options:
        """
        Return these options with those of `given` in their place.

        Raises:
            TypeError: If one is unknown, or `where` and `filter` are both given.
        """
        renamed = without_filter(given)
        check_known(renamed, [field.name for field in fields(self)], "the options of a search")
        return replace(self, **renamed)

    def among(self, available: Collection[Rep]) -> tuple[Rep, ...]:
        """
        Return the representations that take part, of those that an index holds.

        Raises:
            RepresentationError: If the index lacks one of `reps`, or a name is unknown.
        """
        chosen = available if self.reps is None else self.reps
        check_reps(chosen, available=available)
        return tuple(rep for rep in REPS if rep in chosen)


def without_filter(given: Mapping[str, Any]) -> dict[str, Any]:
    """Rename LangChain's `filter` to `where`."""
    if "filter" in given and "where" in given:
        raise TypeError("where and filter are two names of one option; give one of them")
    return {"where" if name == "filter" else name: value for name, value in given.items()}


def check_known(given: Iterable[str], known: Collection[str], what: str) -> None:
    """Refuse unknown options, since a misspelt option would do nothing."""
    if unknown := [name for name in given if name not in known]:
        raise TypeError(
            f"{what} are {', '.join(known) or 'none'}; unknown: {', '.join(map(repr, unknown))}"
        )


def check_is_list(strings: Iterable[str], what: str) -> None:
    """Refuse a string where a list is expected, since it would be read as its letters."""
    if isinstance(strings, str):
        raise TypeError(f"{what} are a list, not the string {strings!r}; write [{strings!r}]")
