"""Ids that come twice in one run: the last document is kept, and people are told."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from m3kit.records import Document

_log = logging.getLogger(__name__)

_REMEMBERED = 1_000_000
_NAMED = 3


@dataclass(slots=True)
class Repeats:
    """
    Counts documents whose id came before.

    The first million ids are remembered, which bounds the memory; of those that come later,
    repeats of these alone are seen.
    """

    count: int = 0
    examples: list[str] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)

    def watch(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Pass the documents on."""
        for document in documents:
            mark = hash(document.id)
            if mark in self._seen:
                self._note(document.id)
            elif len(self._seen) < _REMEMBERED:
                self._seen.add(mark)
            yield document

    def log(self) -> None:
        """Warn, if there were any."""
        if self.count:
            more = ", …" if self.count > len(self.examples) else ""
            _log.warning(
                "%d of the documents came with the id of an earlier one; the last of each id is "
                "kept: %s%s",
                self.count,
                ", ".join(self.examples),
                more,
            )

    def _note(self, id_: str) -> None:
        self.count += 1
        if len(self.examples) < _NAMED and id_ not in self.examples:
            self.examples.append(id_)
