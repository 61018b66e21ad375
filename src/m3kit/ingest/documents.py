"""What is read from sources: documents that know their file, and rejects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from m3kit.index import M3Error
from m3kit.records import Document


class SourceError(M3Error, ValueError):
    """A source that is missing or cannot be read at all; the message names the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDocument(Document):
    """
    A document read from a source.

    Args:
        id: The id that it has in its source, or else `relative/path#n`: the path of its file below
            the source as given, and its number in that file, from 1. The id never depends on the
            working directory.
        text: What is encoded and shown.
        metadata: JSON, as in `Document`.
        source: The path of its file below the source as given, with slashes: `guide/faq.md`.
        line: The line of that file on which it begins, from 1; None where there are no lines.
        location: Where that file is, an absolute path or a URL; empty where it is not known.
    """

    source: str
    line: int | None = None
    location: str = field(default="", compare=False)

    __hash__ = Document.__hash__


@dataclass(frozen=True, slots=True)
class Reject:
    """
    A document, or a file, that cannot be read.

    Args:
        source: The path of the file below the source as given, with slashes.
        line: The line on which it begins, from 1; None where there are no lines, or for the file.
        reason: What is wrong, and what to do.
    """

    source: str
    line: int | None
    reason: str

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        return f"{place}: {self.reason}"


Item: TypeAlias = SourceDocument | Reject
"""What a reader yields."""
