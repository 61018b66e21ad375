"""Ids that occur more than once in a run, which is a warning: the last document wins."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from m3kit.ingest.documents import Reject
from m3kit.records import Document

_log = logging.getLogger(__name__)

_MAX_SEEN = 1_000_000
_MAX_EXAMPLES = 3


@dataclass(slots=True)
class RepeatedIds:
    """
    Counts documents whose id occurred before.

    `watch` finds them by itself. To bound the memory, it counts only repeats of the first million
    ids; a ledger knows all.
    """

    count: int = 0
    examples: list[str] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)

    def watch(self, items: Iterable[Document | Reject]) -> Iterator[Document | Reject]:
        """Pass documents and rejects on."""
        for document in items:
            if isinstance(document, Reject):
                yield document
                continue
            hashed = hash(document.id)
            if hashed in self._seen:
                self.add(document.id)
            elif len(self._seen) < _MAX_SEEN:
                self._seen.add(hashed)
            yield document

    def log(self) -> None:
        """Log a warning if there were any."""
        if self.count:
            more = ", …" if self.count > len(self.examples) else ""
            _log.warning(
                "ids were repeated %d times; the last document of each replaces the others: %s%s",
                self.count,
                ", ".join(self.examples),
                more,
            )

    def add(self, id_: str) -> None:
        """Count a document."""
        self.count += 1
        if len(self.examples) < _MAX_EXAMPLES and id_ not in self.examples:
            self.examples.append(id_)
